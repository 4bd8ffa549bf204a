// SPDX-License-Identifier: Apache-2.0
//
// A mirror's columns as an Iceberg table has them: schema, names and types in data files, and column metrics.
//
// Every column type has an Iceberg type that holds all its values. Two have none of their own:
//   int16     is stored as int;
//   interval  is stored as a string such as "14 months -3 days 1 seconds 500000 microseconds": all parts are kept as
//             they are, any reader can print it, and DuckDB and Postgres parse it. (Parquet's own interval type has no
//             sign and only milliseconds.)
// Numerics without a precision are texts, or decimals with a display scale beside them: see stored_numeric.h.
// A scan that asks for the mirror's type gets it by DuckDB's ordinary cast from the stored type.
#pragma once

#include <string>
#include <vector>

#include <duckdb.hpp>

#include "base/status.h"
#include "iceberg/schema.h"
#include "iceberg/table.h"
#include "protocol/messages.h"

namespace duckdb {
struct CopyFunctionFileStatistics;
}

namespace ivy::engine {

// The type of a column in data files.
duckdb::LogicalType StoredType(const ColumnType& type);

// The name of Iceberg's type for it.
std::string IcebergTypeName(const ColumnType& type);

// The schema of a new table, of a mirror's columns as FileColumns has them. Field ids are column ids. The key becomes the identifier fields if Iceberg allows that:
// all of its columns are NOT NULL and none is a floating-point number.
// Columns of "inexact" (ids) hold NULLs in place of values that can't be stored, so they are not required either.
iceberg::Schema MakeIcebergSchema(const std::vector<MirrorColumn>& columns, const std::vector<uint32_t>& key,
                                  const std::vector<uint32_t>& inexact = {});

// The schema that a table gets when its mirror's columns change: a column may be required only if it was so before,
// since the files may hold NULLs in it, or lack it.
iceberg::Schema EvolveIcebergSchema(const iceberg::Schema& current, const std::vector<MirrorColumn>& columns,
                                    const std::vector<uint32_t>& key, const std::vector<uint32_t>& inexact = {});

// The columns' names in data files: as in Postgres, but DuckDB's writer wants names that differ by more than case and
// reserves one, so a column that clashes has its id added. Iceberg finds columns by field id only. "columns" are those of
// FileColumns, here and below.
std::vector<std::string> FileColumnNames(const std::vector<MirrorColumn>& columns);

// Metrics from what DuckDB's Parquet writer reports. Bounds of strings are cut to 16 characters, of bytes to 16 bytes.
iceberg::Metrics MakeMetrics(const std::vector<MirrorColumn>& columns, const std::vector<std::string>& names,
                             const duckdb::CopyFunctionFileStatistics& statistics);

}  // namespace ivy::engine
