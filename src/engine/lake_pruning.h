// SPDX-License-Identifier: Apache-2.0
//
// Leaving out the files of a foreign table that no row can come from, by what its metadata say of their columns.
// Filters stay in the plan: a file that is left in is filtered by the reader as ever.
#pragma once

#include <cstdint>
#include <vector>

#include <duckdb.hpp>
#include <duckdb/planner/expression.hpp>
#include <duckdb/planner/table_filter_set.hpp>

#include "engine/lake_table.h"

namespace ivy::engine {

// Of "files" those that may have rows which pass the filters. "columns": what the filters' indexes stand for.
std::vector<uint32_t> PruneFiles(duckdb::ClientContext& context, const LakeTable& table,
                                 const std::vector<uint32_t>& files, const duckdb::vector<duckdb::ColumnIndex>& columns,
                                 const duckdb::TableFilterSet& filters);

// The same by the conditions of a plan.
std::vector<uint32_t> PruneFiles(duckdb::ClientContext& context, const LakeTable& table,
                                 const std::vector<uint32_t>& files, const duckdb::vector<duckdb::ColumnIndex>& columns,
                                 const duckdb::vector<duckdb::unique_ptr<duckdb::Expression>>& conditions);

}  // namespace ivy::engine
