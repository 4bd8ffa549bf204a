// SPDX-License-Identifier: Apache-2.0
// access_guard: a walk over a plan before it is optimised.
#include "engine/access_guard.h"

#include <duckdb.hpp>

#include <duckdb/optimizer/optimizer_extension.hpp>
#include <duckdb/planner/operator/logical_copy_to_file.hpp>
#include <duckdb/planner/operator/logical_get.hpp>

#include <algorithm>
#include <string_view>

#include "engine/error_map.h"
#include "engine/query_inputs.h"

namespace ivy::engine {
namespace {

// Table functions that read no files, or only those of mirrors.
constexpr std::string_view kOwnFunctions[] = {"ivy_rows", "ivy_files", "ivy_delta",
                                              "unnest",   "range",     "generate_series"};

// Table functions whose first argument is a path, a glob, or a list of them.
constexpr std::string_view kFileFunctions[] = {
    "read_parquet",          "parquet_scan",      "read_csv",         "read_csv_auto",  "read_json",
    "read_json_auto",        "read_json_objects", "ivy_iceberg_scan", "ivy_delta_scan", "ivy_iceberg_metadata",
    "ivy_iceberg_snapshots", "ivy_file_bytes"};

[[noreturn]] void Refuse(const std::string& what) {
    ThrowSqlError(sqlstate::kInsufficientPrivilege, "the columnar engine must not " + what);
}

void CheckFile(const duckdb::Value& path, const QueryInputs& inputs) {
    if (path.IsNull()) Refuse("open a file without a name");
    if (path.type().id() == duckdb::LogicalTypeId::LIST) {
        for (const duckdb::Value& element : duckdb::ListValue::GetChildren(path)) CheckFile(element, inputs);
        return;
    }
    const std::string name = path.ToString();
    if (std::find(inputs.files.begin(), inputs.files.end(), name) == inputs.files.end())
        Refuse("open \"" + name + "\"");
}

void CheckScan(const duckdb::LogicalGet& get, const QueryInputs& inputs) {
    const std::string name = get.function.GetName().GetIdentifierName();
    if (std::find(std::begin(kOwnFunctions), std::end(kOwnFunctions), name) != std::end(kOwnFunctions)) return;
    if (std::find(std::begin(kFileFunctions), std::end(kFileFunctions), name) == std::end(kFileFunctions) ||
        get.parameters.empty()) {
        Refuse("run \"" + name + "\"");
    }
    CheckFile(get.parameters[0], inputs);
}

void CheckOperator(const duckdb::LogicalOperator& op, const QueryInputs& inputs) {
    switch (op.type) {
        case duckdb::LogicalOperatorType::LOGICAL_GET: CheckScan(op.Cast<duckdb::LogicalGet>(), inputs); break;
        case duckdb::LogicalOperatorType::LOGICAL_COPY_TO_FILE:
            if (!inputs.may_write) Refuse("write files for this query");
            CheckFile(duckdb::Value(op.Cast<duckdb::LogicalCopyToFile>().file_path), inputs);
            break;
        case duckdb::LogicalOperatorType::LOGICAL_ATTACH:
        case duckdb::LogicalOperatorType::LOGICAL_LOAD:
        case duckdb::LogicalOperatorType::LOGICAL_EXPORT: Refuse("attach, load or export");
        default: break;
    }
    for (const auto& child : op.children) CheckOperator(*child, inputs);
}

void CheckPlan(duckdb::OptimizerExtensionInput& input, duckdb::unique_ptr<duckdb::LogicalOperator>& plan) {
    // Without inputs the connection is not a client's but the engine's own.
    if (const QueryInputs* inputs = QueryInputs::Find(input.context)) CheckOperator(*plan, *inputs);
}

}  // namespace

void RegisterAccessGuard(duckdb::DatabaseInstance& database) {
    duckdb::OptimizerExtension extension;
    extension.pre_optimize_function = CheckPlan;
    duckdb::OptimizerExtension::Register(duckdb::DBConfig::GetConfig(database), std::move(extension));
}

}  // namespace ivy::engine
