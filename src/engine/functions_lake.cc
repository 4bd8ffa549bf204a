// SPDX-License-Identifier: Apache-2.0
//
// ivy_expect(value, 'TYPE'): the value, if it is of exactly that type when the query is bound, else an error.
//
// A backend asks what columns a file has, decides how each is to be cast, and writes that into a query that may run much
// later. If the file was replaced in between, the casts would mean something else; this makes such a query fail, and the
// backend asks again. At run time nothing is left of it, except around floating-point numbers: Parquet writers leave NaN,
// the largest of them, out of the bounds of row groups, and DuckDB believes the bounds. A function of which it knows
// nothing keeps it from skipping row groups, and from answering min and max, by them.
//
// ivy_storable(value): the value, if Postgres's type for it can hold it, else an error. DuckDB's texts may have zero bytes,
// and its dates and timestamps begin earlier. DuckDB knows nothing of the result, also not that there are no NULLs.
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

void ResolveAsGiven(duckdb::ResolveScalarFunctionTypesInput& input) {
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

// Throws unless all values but NULL pass.
template <typename T, typename Passes>
void CheckValues(const duckdb::Vector& values, duckdb::idx_t count, const char* sqlstate, const char* what,
                 Passes passes) {
    duckdb::UnifiedVectorFormat format;
    values.ToUnifiedFormat(format);
    const auto* data = duckdb::UnifiedVectorFormat::GetData<T>(format);
    for (duckdb::idx_t row = 0; row < count; row++) {
        const auto at = format.sel->get_index(row);
        if (format.validity.RowIsValid(at) && !passes(data[at])) ThrowSqlError(sqlstate, what);
    }
}

constexpr int32_t kFirstDay = -2440588;                                // 4714-11-24 BC, from 1970-01-01
constexpr int32_t kLastDay = 2145042905;                               // 5874897-12-31
constexpr int64_t kFirstMicros = int64_t{kFirstDay} * 86'400'000'000;  // DuckDB's last timestamp is before Postgres's

void CheckStorable(duckdb::DataChunk& args, duckdb::ExpressionState& state, duckdb::Vector& result) {
    const duckdb::Vector& values = args.data[0];
    switch (values.GetType().id()) {
        case duckdb::LogicalTypeId::VARCHAR:
            CheckValues<duckdb::string_t>(
                values, args.size(), "22021", "invalid byte sequence for encoding \"UTF8\": 0x00",
                [](const duckdb::string_t& text) { return !std::memchr(text.GetData(), 0, text.GetSize()); });
            break;
        case duckdb::LogicalTypeId::DATE:
            CheckValues<duckdb::date_t>(values, args.size(), "22008", "date out of range", [](duckdb::date_t date) {
                return !duckdb::Value::IsFinite(date) || (date.days >= kFirstDay && date.days <= kLastDay);
            });
            break;
        case duckdb::LogicalTypeId::TIMESTAMP:
        case duckdb::LogicalTypeId::TIMESTAMP_TZ:
            CheckValues<duckdb::timestamp_t>(
                values, args.size(), "22008", "timestamp out of range",
                [](duckdb::timestamp_t stamp) { return !stamp.IsFinite() || stamp.value >= kFirstMicros; });
            break;
        default: break;
    }
    PassOn(args, state, result);
}

}  // namespace

void RegisterStorable(duckdb::ExtensionLoader& loader) {
    duckdb::ScalarFunction function(duckdb::Identifier("ivy_storable"), {duckdb::LogicalType::ANY},
                                    duckdb::LogicalType::ANY, CheckStorable);
    function.SetNullHandling(duckdb::FunctionNullHandling::SPECIAL_HANDLING);
    function.SetFallible();
    function.SetStability(duckdb::FunctionStability::VOLATILE);  // a constant is nothing that is known, either
    function.SetResolveTypesCallback(ResolveAsGiven);
    loader.RegisterFunction(function);
}

void RegisterExpect(duckdb::ExtensionLoader& loader) {
    duckdb::ScalarFunction function(duckdb::Identifier("ivy_expect"),
                                    {duckdb::LogicalType::ANY, duckdb::LogicalType::VARCHAR}, duckdb::LogicalType::ANY,
                                    PassOn);
    function.SetNullHandling(duckdb::FunctionNullHandling::SPECIAL_HANDLING);
    function.SetResolveTypesCallback(ResolveAsGiven);
    function.SetBindExpressionCallback(BindExpect);
    loader.RegisterFunction(function);
}

}  // namespace ivy::engine
