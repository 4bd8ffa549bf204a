// SPDX-License-Identifier: Apache-2.0
//
// Numerics without a precision as decimals in data files (option "numeric_scale", MirrorColumn::numeric_scale).
//
// Everything but data files has such a column as the text of its values, whose number of digits after the point, the
// display scale, is part of them: 1.5 is not 1.50. In files it is two columns, so that every reader sees numbers:
//   - decimal(38, numeric_scale), under the column's own name and field id;
//   - an int with the display scale, "<name>$scale", whose field id is kScaleFieldOffset more. NULL where it is the
//     decimal's own scale, so that a column of which all values have that scale costs next to nothing.
// A display scale may be larger than the decimal's: 1.50000 is a decimal(38,2) with display scale 5.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <duckdb.hpp>

#include "protocol/messages.h"

namespace duckdb {
class ExtensionLoader;
}

namespace ivy::engine {

// Attribute numbers, which are field ids, end at 1600.
inline constexpr uint32_t kScaleFieldOffset = 10000;

// The columns of data files: those of a mirror, in order and with stored numerics as decimals, then the display scales'.
// Names differ where those of "columns" do.
std::vector<MirrorColumn> FileColumns(const std::vector<MirrorColumn>& columns);

// SQL for a mirror's column over the columns that FileColumns gives for it, which are named as EngineColumnName says.
std::string StoredColumnSql(const MirrorColumn& column);

// A numeric's text as a decimal of a scale.
struct StoredNumeric {
    Int128 value;  // times 10^scale
    int display_scale;
};
// Nothing if it does not fit: NaN, an infinity, too many digits before the point, or other than zero too far behind it.
std::optional<StoredNumeric> SplitNumeric(std::string_view text, int scale);
// The reverse.
std::string JoinNumeric(const StoredNumeric& number, int scale);

// Takes a vector of texts apart, into flat vectors of decimal(38, scale) and INTEGER. Throws if a value does not fit.
void SplitNumerics(const duckdb::Vector& texts, duckdb::idx_t count, int scale, duckdb::Vector* values,
                   duckdb::Vector* display_scales);

// Rows with such columns are sorted by decimals, which are added behind the columns of a chunk for that. Adds the types of those
// that sorting by columns "keys" (ordinals of "columns") needs, and makes the keys the ordinals of what to sort by.
void AddSortDecimals(const std::vector<MirrorColumn>& columns, duckdb::vector<duckdb::LogicalType>* types,
                     std::vector<size_t>* keys);
// Fills them, in columns "first" and following of "rows", for the same keys as they were.
void FillSortDecimals(const std::vector<MirrorColumn>& columns, const std::vector<size_t>& keys, duckdb::idx_t count,
                      size_t first, duckdb::DataChunk* rows);

// ivy_stored_numeric(DECIMAL, INTEGER): the text.
void RegisterStoredNumeric(duckdb::ExtensionLoader& loader);

}  // namespace ivy::engine
