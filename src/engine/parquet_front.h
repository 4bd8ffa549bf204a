// SPDX-License-Identifier: Apache-2.0
//
// What scans of tables made of Parquet files have in common (file_scan, lake_scan): each is DuckDB's Parquet reader behind a
// MultiFileReader of its own, over data files that never change, less the rows that were deleted.
#pragma once

#include <duckdb.hpp>

#include <duckdb/common/multi_file/multi_file_reader.hpp>

#include <memory>
#include <string>

#include "delta/row_set.h"

namespace ivy::engine {

// The Parquet reader's function under another name and with another front.
duckdb::TableFunction ParquetFront(const duckdb::TableFunction& parquet, const char* name,
                                   duckdb::table_function_get_multi_file_reader_t reader);

// A file of which everything that is cached is good for ever. "size" in bytes; 0: not known.
duckdb::OpenFileInfo UnchangingFile(const std::string& path, int64_t size = 0);

// Leaves out the rows with these numbers, if there are any; "deleted" may be null.
void LeaveOut(std::shared_ptr<const delta::RowSet> deleted, duckdb::BaseFileReader* reader);

}  // namespace ivy::engine
