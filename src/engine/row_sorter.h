// SPDX-License-Identifier: Apache-2.0
//
// RowSorter: puts rows into the order of some of their columns, ascending and NULLs last, by DuckDB's own sort, which
// goes to temporary files when memory is short. Rows of equal keys come out in any order.
//
// The values themselves are not taken from the sort keys, which would make -0.0 to 0.0. One thread at a time.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <duckdb.hpp>

#include "base/status.h"
#include "engine/instance.h"

namespace ivy::engine {

class RowSorter {
  public:
    // "keys" are ordinals into "types", most significant first; at least one.
    static Result<std::unique_ptr<RowSorter>> Make(Instance& instance, const duckdb::vector<duckdb::LogicalType>& types,
                                                   const std::vector<size_t>& keys);
    ~RowSorter();

    Status Append(duckdb::DataChunk& chunk);
    uint64_t rows() const { return rows_; }

    // After the last Append: makes "out", which has the types, the next rows in order; empty at the end.
    Status Next(duckdb::DataChunk* out);

  private:
    struct State;  // DuckDB's
    explicit RowSorter(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
    uint64_t rows_ = 0;
};

}  // namespace ivy::engine
