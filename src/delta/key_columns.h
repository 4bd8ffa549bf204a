// SPDX-License-Identifier: Apache-2.0
//
// KeyColumns: what makes the rows of a mirror findable: hashing, comparing and fencing the values of its key columns,
// as they lie in flat DuckDB vectors. The delta, keys that arrive, and rows read back from Parquet all come through
// here, so that one key has one hash everywhere.
//
// Keys are equal as Postgres sees them where that differs from their bytes: -0 and 0, all NaN, decimals by value,
// intervals by length. Text is compared by its bytes, which is right for deterministic collations. NULLs are equal.
// Stateless, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "duckdb/common/types/data_chunk.hpp"
#include "index/segment.h"
#include "protocol/column_chunk.h"

namespace ivy::delta {

// One column of flat values, read in place. Not owned.
struct FlatColumn {
    const uint8_t* data = nullptr;
    const uint64_t* validity = nullptr;  // one bit a row, 1 is "not NULL"; null: no NULLs

    bool IsNull(size_t row) const { return validity && !(validity[row >> 6] >> (row & 63) & 1); }
};

// A flat vector's values. REQUIRES: the vector is flat and stays so.
FlatColumn FlatColumnOf(const duckdb::Vector& vector);

class KeyColumns {
  public:
    // "types" in key order. "hash_mask" is for tests: fewer bits make collisions.
    explicit KeyColumns(std::vector<ColumnType> types, uint64_t hash_mask = ~uint64_t{0});

    const std::vector<ColumnType>& types() const { return types_; }

    // Hashes of the keys of rows [offset, offset + count), one FlatColumn for each key column.
    void Hash(const std::vector<FlatColumn>& columns, size_t offset, size_t count, uint64_t* out) const;

    // Whether two keys are equal; with "exact", whether their bits are too (except that one NaN is as good as another).
    bool Equal(const std::vector<FlatColumn>& left, size_t left_row, const std::vector<FlatColumn>& right,
               size_t right_row, bool exact) const;

    // Appends a key as bytes: the same for keys that are exactly equal, others for all others.
    void AppendBytes(const std::vector<FlatColumn>& columns, size_t row, std::string* out) const;

    // Whether the key is a single column whose order a 64-bit integer can keep, so that Ordinal may be called. The
    // values of wider types are clamped or cut, which keeps a range of them valid.
    bool HasOrdinal() const { return has_ordinal_; }
    // REQUIRES: HasOrdinal() and the value is not NULL
    int64_t Ordinal(const FlatColumn& column, size_t row) const;

  private:
    std::vector<ColumnType> types_;
    std::vector<size_t> widths_;  // of values in vectors
    uint64_t hash_mask_;
    bool has_ordinal_;
};

}  // namespace ivy::delta
