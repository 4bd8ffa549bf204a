// SPDX-License-Identifier: Apache-2.0
//
// Leaving out the files of a foreign table that no row can come from, by what its metadata say of their columns and of
// their partitions, and the lists of files that name only such. Filters stay in the plan: a file that is left in is
// filtered by the reader as ever.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <duckdb.hpp>
#include <duckdb/planner/expression.hpp>
#include <duckdb/planner/filter/expression_filter.hpp>
#include <duckdb/planner/table_filter_set.hpp>

#include "engine/lake_table.h"

namespace ivy::engine {

// A condition on one column that every row of a result fulfils.
struct LakeCondition {
    size_t column = 0;  // ordinal
    duckdb::unique_ptr<const duckdb::ExpressionFilter> filter;
    // Of the column's type, none NULL: a row that fulfils it has one of them. None: other values may do so, too.
    std::optional<std::vector<duckdb::Value>> values;

    // Whether a value of which these are the statistics may fulfil it.
    bool MayHold(duckdb::ClientContext& context, const duckdb::BaseStatistics& statistics) const;
};

// The conditions of a scan that files can be left out by.
class LakeConditions {
  public:
    // "columns": what the filters' indexes stand for.
    LakeConditions(const LakeTable& table, const duckdb::vector<duckdb::ColumnIndex>& columns,
                   const duckdb::TableFilterSet& filters);
    // Those of a plan.
    LakeConditions(duckdb::ClientContext& context, const LakeTable& table,
                   const duckdb::vector<duckdb::ColumnIndex>& columns,
                   const duckdb::vector<duckdb::unique_ptr<duckdb::Expression>>& conditions);

    bool empty() const { return conditions_.empty() && !never_; }
    bool never() const { return never_; }  // no row can fulfil them
    const std::vector<LakeCondition>& conditions() const { return conditions_; }

    // Of "files" those that may have rows which fulfil them. The table is listed.
    std::vector<uint32_t> Prune(duckdb::ClientContext& context, const LakeTable& table,
                                const std::vector<uint32_t>& files) const;

  private:
    void Add(const LakeTable& table, const duckdb::vector<duckdb::ColumnIndex>& columns,
             const duckdb::TableFilterSet& filters);
    void AddFilter(const LakeTable& table, const duckdb::ColumnIndex& index,
                   duckdb::unique_ptr<const duckdb::ExpressionFilter> filter);

    std::vector<LakeCondition> conditions_;
    bool never_ = false;
};

}  // namespace ivy::engine
