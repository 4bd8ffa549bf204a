// SPDX-License-Identifier: Apache-2.0
//
// Column chunks to DuckDB vectors and back: the only place that knows how both lay out a value.
//
// Most arrays are the same on both sides and are copied whole. What differs: decimals (16 bytes on the wire, 2 to 16 in
// DuckDB by precision) and UUIDs (printed order on the wire, a biased big integer in DuckDB). Infinite dates and
// timestamps have the same codes on both sides. Stateless, any thread.
#pragma once

#include <vector>

#include "duckdb/common/types/data_chunk.hpp"
#include "protocol/column_chunk.h"

namespace ivy::delta {

// The DuckDB type that holds a column's values.
duckdb::LogicalType ToDuckType(const ColumnType& type);
duckdb::vector<duckdb::LogicalType> ToDuckTypes(const std::vector<ColumnType>& types);

// The column type whose wire form carries every value of a DuckDB type; HUGEINT is sent as a decimal of scale 0. An
// error (0A000) for types without one, such as unsigned integers and nested types: the query must cast them.
Result<ColumnType> FromDuckType(const duckdb::LogicalType& type);

// Copies the values, but not which of them are NULL, of rows [offset, offset + count) of a column to positions [at, at
// + count) of a flat vector of ToDuckType's type, whose capacity the caller has checked. Strings are copied to the
// vector's own heap. Does not set the vector's size. An error (08P01) for a decimal that exceeds its precision.
Status CopyValues(const ColumnView& column, size_t offset, size_t count, duckdb::Vector* out, size_t at);

// The same with NULLs.
Status AppendToVector(const ColumnView& column, size_t offset, size_t count, duckdb::Vector* out, size_t at);

// Replaces the content of "out", initialised with ToDuckTypes of the view's types and a capacity of at least "count",
// by rows [offset, offset + count) of the view. The chunk is reset first, so that one may be used again and again.
Status ChunkFromView(const ColumnChunkView& view, size_t offset, size_t count, duckdb::DataChunk* out);

// Appends rows [offset, offset + count) of a DuckDB chunk to *out, as ColumnChunkBuilder::Write would. "types" is what
// the reader has been told; a vector of another type is an error (42804), except that a decimal may have another
// precision. An error (54000) if a text column of these rows is over 4 GB: send fewer rows at once.
Status WriteChunk(const duckdb::DataChunk& chunk, size_t offset, size_t count, const std::vector<ColumnType>& types,
                  ByteWriter* out);

}  // namespace ivy::delta
