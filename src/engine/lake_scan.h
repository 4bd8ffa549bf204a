// SPDX-License-Identifier: Apache-2.0
//
// Table functions over foreign tables:
//
//   ivy_iceberg_scan(path, snapshot_id := BIGINT, timestamp := ..., ref := VARCHAR, version := VARCHAR,
//                    allow_moved_paths := BOOLEAN)
//   ivy_delta_scan(path, version := BIGINT, timestamp := ...)
//
// They are DuckDB's own Parquet reader with another front, like ivy_files: columns and files come from the table's
// metadata, columns are matched by id, partition values are constants, deleted rows are dropped while they are read.
// Projection, filters, row-group pruning and parallel reading are the Parquet reader's; files are left out by what the
// metadata say of their columns before anything of them is read.
//
// Parameters: timestamp is a TIMESTAMP or text (UTC) or a TIMESTAMP WITH TIME ZONE. DuckDB's own names are taken as
// well: snapshot_from_id, snapshot_from_timestamp, and without effect metadata_compression_codec,
// skip_schema_inference, mode, version_name_format (compressed metadata and all common names are recognised).
#pragma once

#include <memory>

#include <duckdb.hpp>

#include "engine/lake_table.h"

namespace duckdb {
class ExtensionLoader;
class TableFunction;
}  // namespace duckdb

namespace ivy::engine {

void RegisterLakeScans(duckdb::ExtensionLoader& loader);

// A table function over a table that is open already, for ScanParquet; its path argument is not looked at.
duckdb::TableFunction ScanOf(duckdb::ClientContext& context, std::shared_ptr<const LakeTable> table);

}  // namespace ivy::engine
