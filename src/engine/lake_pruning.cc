// SPDX-License-Identifier: Apache-2.0
#include "engine/lake_pruning.h"

#include <duckdb/optimizer/filter_combiner.hpp>
#include <duckdb/planner/filter/expression_filter.hpp>

namespace ivy::engine {

std::vector<uint32_t> PruneFiles(duckdb::ClientContext& context, const LakeTable& table,
                                 const std::vector<uint32_t>& files, const duckdb::vector<duckdb::ColumnIndex>& columns,
                                 const duckdb::TableFilterSet& filters) {
    struct Check {
        size_t column;
        const duckdb::ExpressionFilter* filter;
    };
    std::vector<Check> checks;
    for (const auto& entry : filters) {
        const duckdb::ColumnIndex& index = columns[entry.GetIndex()];
        // Neither virtual columns nor parts of nested ones have statistics here.
        if (index.HasChildren() || index.GetPrimaryIndex() >= table.columns().size()) continue;
        if (table.columns()[index.GetPrimaryIndex()].IsNested()) continue;
        checks.push_back(
            {index.GetPrimaryIndex(), &duckdb::ExpressionFilter::GetExpressionFilter(entry.Filter(), "lake")});
    }
    if (checks.empty()) return files;
    const auto may_match = [&](uint32_t file) {
        for (const Check& check : checks) {
            const auto statistics = table.Statistics(file, check.column);
            if (!statistics) continue;
            const auto result = check.filter->CheckStatistics(context, *statistics);
            if (result == duckdb::FilterPropagateResult::FILTER_ALWAYS_FALSE ||
                result == duckdb::FilterPropagateResult::FILTER_FALSE_OR_NULL) {
                return false;
            }
        }
        return true;
    };
    std::vector<uint32_t> kept;
    for (const uint32_t file : files) {
        if (may_match(file)) kept.push_back(file);
    }
    return kept;
}

std::vector<uint32_t> PruneFiles(duckdb::ClientContext& context, const LakeTable& table,
                                 const std::vector<uint32_t>& files, const duckdb::vector<duckdb::ColumnIndex>& columns,
                                 const duckdb::vector<duckdb::unique_ptr<duckdb::Expression>>& conditions) {
    duckdb::FilterCombiner combiner(context);
    for (const auto& condition : conditions) {
        if (combiner.AddFilter(condition->Copy()) == duckdb::FilterResult::UNSATISFIABLE) return {};
    }
    duckdb::vector<duckdb::FilterPushdownResult> results;
    const duckdb::TableFilterSet filters = combiner.GenerateTableScanFilters(columns, results);
    return PruneFiles(context, table, files, columns, filters);
}

}  // namespace ivy::engine
