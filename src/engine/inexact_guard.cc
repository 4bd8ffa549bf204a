// SPDX-License-Identifier: Apache-2.0
// inexact_guard: a walk over the scans of a plan.
#include "engine/inexact_guard.h"

#include <duckdb.hpp>

#include <duckdb/optimizer/optimizer_extension.hpp>
#include <duckdb/planner/operator/logical_get.hpp>

#include <algorithm>

#include "engine/error_map.h"
#include "engine/query_inputs.h"

namespace ivy::engine {
namespace {

void CheckScan(const duckdb::LogicalGet& get, QueryInputs& inputs) {
    const duckdb::string& name = get.function.GetName().GetIdentifierName();
    if (name != "ivy_files" && name != "ivy_delta") return;
    const auto index = get.parameters.at(0).DefaultCastAs(duckdb::LogicalType::BIGINT).GetValue<int64_t>();
    const QueryInputs::Mirror& mirror = inputs.mirror(index);
    const auto& columns = mirror.view->columns();
    for (const duckdb::ColumnIndex& column : get.GetColumnIds()) {
        const duckdb::idx_t ordinal = column.GetPrimaryIndex();
        if (ordinal >= columns.size()) continue;
        const auto found = std::find(mirror.inexact.begin(), mirror.inexact.end(), columns[ordinal].id);
        if (found == mirror.inexact.end()) continue;
        inputs.reads_inexact = true;
        ThrowSqlError(sqlstate::kFeatureNotSupported,
                      "column \"" + columns[ordinal].name + "\" holds values that the column format can't hold");
    }
}

void CheckOperator(const duckdb::LogicalOperator& op, QueryInputs& inputs) {
    if (op.type == duckdb::LogicalOperatorType::LOGICAL_GET) CheckScan(op.Cast<duckdb::LogicalGet>(), inputs);
    for (const auto& child : op.children) CheckOperator(*child, inputs);
}

void CheckPlan(duckdb::OptimizerExtensionInput& input, duckdb::unique_ptr<duckdb::LogicalOperator>& plan) {
    QueryInputs* inputs = QueryInputs::Find(input.context);
    if (!inputs) return;
    const bool any = std::any_of(inputs->mirrors.begin(), inputs->mirrors.end(),
                                 [](const QueryInputs::Mirror& mirror) { return !mirror.inexact.empty(); });
    if (any) CheckOperator(*plan, *inputs);
}

}  // namespace

void RegisterInexactGuard(duckdb::DatabaseInstance& database) {
    duckdb::OptimizerExtension extension;
    extension.optimize_function = CheckPlan;
    duckdb::OptimizerExtension::Register(duckdb::DBConfig::GetConfig(database), std::move(extension));
}

}  // namespace ivy::engine
