// SPDX-License-Identifier: Apache-2.0
//
// BitmapFilter: drops rows of a data file while DuckDB's Parquet reader reads it.
//
// Threads: a reader's threads share its filter, which only reads an immutable bitmap.
#pragma once

#include <memory>
#include <utility>

#include <duckdb.hpp>
#include <duckdb/common/multi_file/multi_file_data.hpp>

#include "delta/row_set.h"

namespace ivy::engine {

// Drops the rows of one file that its bitmap names.
class BitmapFilter final : public duckdb::DeleteFilter {
  public:
    explicit BitmapFilter(std::shared_ptr<const delta::RowSet> deleted) : deleted_(std::move(deleted)) {}

    // Selects what is left of the rows [start, start + count) of the file, as offsets from start.
    duckdb::idx_t Filter(duckdb::row_t start, duckdb::idx_t count, duckdb::SelectionVector& selection) override {
        if (!selection.data()) selection.Initialize(STANDARD_VECTOR_SIZE);
        const auto first = static_cast<uint64_t>(start);
        auto deleted = deleted_->begin();
        const auto end = deleted_->end();
        deleted.move(first);
        duckdb::idx_t kept = 0;
        duckdb::idx_t row = 0;
        while (row < count) {
            const uint64_t next = deleted == end ? UINT64_MAX : *deleted - first;
            const duckdb::idx_t stop = next < count ? next : count;
            while (row < stop) selection.set_index(kept++, row++);
            if (next < count) {
                row++;
                ++deleted;
            }
        }
        return kept;
    }

  private:
    const std::shared_ptr<const delta::RowSet> deleted_;
};

}  // namespace ivy::engine
