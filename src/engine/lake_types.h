// SPDX-License-Identifier: Apache-2.0
//
// From foreign tables' columns and values to DuckDB's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <duckdb.hpp>
#include <duckdb/common/multi_file/multi_file_data.hpp>
#include <duckdb/storage/statistics/base_statistics.hpp>

#include "lake/column.h"

namespace ivy::engine {

duckdb::LogicalType LakeType(const lake::Column& column);

// The column as the multi-file reader wants it: children included, identified by Column::id, with its default.
duckdb::MultiFileColumnDefinition LakeDefinition(const lake::Column& column);

// Gives the columns of a file (as its reader found them) the ids of the table's columns that they hold, so that the
// reader can match them by id; those that hold none get ids that no column has. Throws if a file's column cannot hold
// the table's: a struct where the table has a number, times with and without zone inside of nested types.
// "path" names the file in errors.
void AssignIds(const std::vector<lake::Column>& columns, lake::Matching matching, const std::string& path,
               duckdb::vector<duckdb::MultiFileColumnDefinition>* in_file);

// A value from its text: of a partition in Delta's log, of statistics. Times without zone are UTC. None if it does not
// parse.
std::optional<duckdb::Value> LakeValueFromText(const lake::Column& column, const std::string& text);

// Statistics from what a table's metadata say of one column of one file. "nulls" and "values" (NULLs included) are
// counts, as far as they are known; bounds are of the column's type. Null if nothing follows from them.
duckdb::unique_ptr<duckdb::BaseStatistics> MakeStatistics(const duckdb::LogicalType& type,
                                                          std::optional<duckdb::Value> lower,
                                                          std::optional<duckdb::Value> upper,
                                                          std::optional<int64_t> nulls, std::optional<int64_t> values);

}  // namespace ivy::engine
