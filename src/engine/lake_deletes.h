// SPDX-License-Identifier: Apache-2.0
//
// LakeDeletes: the rows of an Iceberg table's data files that its delete files delete, as one bitmap for each data
// file.
//
// Position delete files are read once, for all data files that they name. Equality deletes are turned into positions:
// the key columns of a data file are read (all else is not) and looked up among the deleted keys, whose hash table is
// made once for all data files of the same key columns and partition. It remembers for each key the largest sequence
// number that deletes it, so that the number of delete files does not matter. Its memory counts towards DuckDB's limit.
//
// Threads: any number may ask at once. Each delete file is read by one of them, the others wait.
#pragma once

#include <memory>

#include <duckdb.hpp>

#include "delta/row_set.h"
#include "engine/lake_table.h"
#include "lake/iceberg_snapshot.h"

namespace ivy::engine {

// Throws the error for a data or delete file ("what") that is not in Parquet.
[[noreturn]] void ThrowUnsupportedFormat(const char* what, const iceberg::DataFile& file);

class LakeDeletes {
  public:
    // "snapshot" lives as long as this.
    explicit LakeDeletes(const lake::IcebergSnapshot& snapshot);
    ~LakeDeletes();

    // The deleted rows of a data file, or null. "table" is the table that the file, its index in it, is of: equality
    // deletes read it.
    std::shared_ptr<const delta::RowSet> Of(duckdb::ClientContext& context, const LakeTable& table, size_t file);

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace ivy::engine
