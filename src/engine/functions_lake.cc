// SPDX-License-Identifier: Apache-2.0
//
// ivy_expect(value, 'TYPE'): the value, if it is of exactly that type when the query is bound, else an error.
//
// A backend asks what columns a file has, decides how each is to be cast, and writes that into a query that may run much
// later. If the file was replaced in between, the casts would mean something else; this makes such a query fail, and the
// backend asks again. At run time nothing is left of it.
#include <duckdb.hpp>

#include <duckdb/execution/expression_executor.hpp>
#include <duckdb/main/extension/extension_loader.hpp>

#include "engine/error_map.h"
#include "engine/functions.h"

namespace ivy::engine {
namespace {

duckdb::unique_ptr<duckdb::Expression> BindExpect(duckdb::FunctionBindExpressionInput& input) {
    duckdb::Expression& value = *input.children[0];
    const std::string actual = value.GetReturnType().ToString();
    const std::string expected =
        duckdb::ExpressionExecutor::EvaluateScalar(input.context, *input.children[1]).ToString();
    if (actual != expected) {
        ThrowSqlError(sqlstate::kObjectNotInState,
                      "a column of the files is of type " + actual + " instead of " + expected);
    }
    return std::move(input.children[0]);
}

}  // namespace

void RegisterExpect(duckdb::ExtensionLoader& loader) {
    duckdb::ScalarFunction function(duckdb::Identifier("ivy_expect"),
                                    {duckdb::LogicalType::ANY, duckdb::LogicalType::VARCHAR}, duckdb::LogicalType::ANY,
                                    nullptr);
    function.SetBindExpressionCallback(BindExpect);
    loader.RegisterFunction(function);
}

}  // namespace ivy::engine
