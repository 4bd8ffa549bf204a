// SPDX-License-Identifier: Apache-2.0
//
// ivy_expect(value, 'TYPE'): the value, if it is of exactly that type when the query is bound, else an error.
//
// A backend asks what columns a file has, decides how each is to be cast, and writes that into a query that may run much
// later. If the file was replaced in between, the casts would mean something else; this makes such a query fail, and the
// backend asks again. At run time nothing is left of it, except around floating-point numbers: Parquet writers leave NaN,
// the largest of them, out of the bounds of row groups, and DuckDB believes the bounds. A function of which it knows
// nothing keeps it from skipping row groups, and from answering min and max, by them.
#include <duckdb.hpp>

#include <duckdb/common/type_visitor.hpp>
#include <duckdb/execution/expression_executor.hpp>
#include <duckdb/main/extension/extension_loader.hpp>

#include "engine/error_map.h"
#include "engine/functions.h"

namespace ivy::engine {
namespace {

bool MayHoldNan(const duckdb::LogicalType& type) {
    return duckdb::TypeVisitor::Contains(type, duckdb::LogicalTypeId::DOUBLE) ||
           duckdb::TypeVisitor::Contains(type, duckdb::LogicalTypeId::FLOAT);
}

void ResolveExpect(duckdb::ResolveScalarFunctionTypesInput& input) {
    const duckdb::LogicalType type = input.GetArgumentType(0);
    input.GetBoundFunction().GetArguments()[0] = type;
    input.GetBoundFunction().SetReturnType(type);
}

void PassOn(duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
    result.Reference(args.data[0]);
}

// The value alone, or nothing, which keeps the function.
duckdb::unique_ptr<duckdb::Expression> BindExpect(duckdb::FunctionBindExpressionInput& input) {
    duckdb::Expression& value = *input.children[0];
    const std::string actual = value.GetReturnType().ToString();
    const std::string expected =
        duckdb::ExpressionExecutor::EvaluateScalar(input.context, *input.children[1]).ToString();
    if (actual != expected) {
        ThrowSqlError(sqlstate::kObjectNotInState,
                      "a column of the files is of type " + actual + " instead of " + expected);
    }
    if (MayHoldNan(value.GetReturnType())) return nullptr;
    return std::move(input.children[0]);
}

}  // namespace

void RegisterExpect(duckdb::ExtensionLoader& loader) {
    duckdb::ScalarFunction function(duckdb::Identifier("ivy_expect"),
                                    {duckdb::LogicalType::ANY, duckdb::LogicalType::VARCHAR}, duckdb::LogicalType::ANY,
                                    PassOn);
    function.SetNullHandling(duckdb::FunctionNullHandling::SPECIAL_HANDLING);
    function.SetResolveTypesCallback(ResolveExpect);
    function.SetBindExpressionCallback(BindExpect);
    loader.RegisterFunction(function);
}

}  // namespace ivy::engine
