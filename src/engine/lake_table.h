// SPDX-License-Identifier: Apache-2.0
//
// LakeTable: a foreign table at one version, as a scan sees it, whatever its format: columns, data files, and for each
// file what its metadata say about it. A table need not be listed, that is know its files, before it is clear which of
// them a query is interested in.
//
// Threads: immutable once made, but for caches of deleted rows that guard themselves.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <duckdb.hpp>
#include <duckdb/storage/statistics/base_statistics.hpp>

#include "delta/row_set.h"
#include "lake/column.h"

namespace ivy::engine {

class LakeConditions;
struct LakeCondition;

class LakeTable {
  public:
    struct File {
        std::string path;
        int64_t size = 0;             // bytes; 0: not known
        std::optional<int64_t> rows;  // that are not deleted, as far as is known without opening anything
    };

    // Data files and their rows, deleted ones included, as far as they are known without listing.
    struct Size {
        std::optional<int64_t> files, rows;
    };
    // The lists of files (Iceberg's manifests) that a table has, and those that its files are from.
    struct Lists {
        size_t used = 0, total = 0;
    };

    virtual ~LakeTable() = default;

    virtual const std::vector<lake::Column>& columns() const = 0;
    virtual lake::Matching matching() const = 0;

    // Whether it is listed. One that is not answers columns(), matching() and size() alone.
    virtual bool listed() const { return true; }
    virtual Size size() const { return {}; }
    // The table with the files that may have rows which fulfil the conditions (null: with all), and perhaps others. Reads
    // files, through the context's file system. REQUIRES: not listed().
    virtual std::shared_ptr<const LakeTable> List(duckdb::ClientContext&, const LakeConditions*) const {
        return nullptr;
    }
    virtual std::optional<Lists> lists() const { return std::nullopt; }

    virtual size_t file_count() const = 0;
    virtual File file(size_t index) const = 0;

    // The value, of the column's type, that a column has in all rows of a file; "in_file": whether the file has the
    // column. None if it is to be read, or is missing. Columns are ordinals.
    virtual std::optional<duckdb::Value> Constant(size_t file, size_t column, bool in_file) const = 0;

    // What is known about a column's values in a file, for leaving the file out; null if nothing. Bounds may be wider
    // than the values.
    virtual duckdb::unique_ptr<duckdb::BaseStatistics> Statistics(size_t file, size_t column) const = 0;

    // Whether a row of a file may fulfil a condition, by the partition that the file is of.
    virtual bool PartitionMayHold(duckdb::ClientContext&, size_t /*file*/, const LakeCondition&) const { return true; }

    // Whether a column, or a part of it, may have NaN in a file: only for those that have floating-point numbers.
    virtual bool CanHaveNan(size_t file, size_t column) const;

    // The rows of a file that are deleted, or null. May read files, through the context's file system.
    virtual std::shared_ptr<const delta::RowSet> Deleted(duckdb::ClientContext& context, size_t file) const = 0;
};

inline bool LakeTable::CanHaveNan(size_t, size_t column) const { return lake::HasFloatingPoint(columns()[column]); }

}  // namespace ivy::engine
