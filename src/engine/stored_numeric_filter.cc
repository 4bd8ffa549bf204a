// SPDX-License-Identifier: Apache-2.0
#include "engine/stored_numeric_filter.h"

#include <duckdb.hpp>

#include <duckdb/common/types/decimal.hpp>
#include <duckdb/optimizer/optimizer_extension.hpp>
#include <duckdb/planner/expression/bound_columnref_expression.hpp>
#include <duckdb/planner/expression/bound_comparison_expression.hpp>
#include <duckdb/planner/expression/bound_constant_expression.hpp>
#include <duckdb/planner/expression/bound_function_expression.hpp>
#include <duckdb/planner/filter/expression_filter.hpp>
#include <duckdb/planner/operator/logical_get.hpp>
#include <duckdb/planner/operator/logical_projection.hpp>

#include <utility>

#include "engine/number.h"
#include "engine/stored_numeric.h"

namespace ivy::engine {
namespace {

using duckdb::BoundComparisonExpression;
using duckdb::BoundFunctionExpression;
using duckdb::Expression;
using duckdb::ExpressionType;

// The largest number of this type, times 10^scale.
constexpr Int128 kLargest = [] {
    Int128 power = 1;
    for (int i = 0; i < kMaxDecimalDigits; i++) power *= 10;
    return power - 1;
}();

std::string KeyOf(Int128 value, int scale) { return Number::Parse(JoinNumeric({value, scale}, scale)).Key(); }

// The largest value whose key is below "key", or equal to it if that counts; -kLargest - 1 if there is none.
Int128 LargestUpTo(const std::string& key, bool or_equal, int scale) {
    Int128 below = -kLargest - 1, above = kLargest + 1;
    while (below + 1 < above) {
        const Int128 middle = (below & above) + ((below ^ above) >> 1);  // their sum may not fit
        const int order = KeyOf(middle, scale).compare(key);
        (order < 0 || (or_equal && order == 0) ? below : above) = middle;
    }
    return below;
}

// A call of a function by this name, or null.
const BoundFunctionExpression* CallOf(const Expression& expression, const char* name) {
    if (expression.GetExpressionClass() != duckdb::ExpressionClass::BOUND_FUNCTION) return nullptr;
    const auto& call = expression.Cast<BoundFunctionExpression>();
    return call.Function().GetName().GetIdentifierName() == name ? &call : nullptr;
}

// What an expression over "*input" is in terms of the scan below, null if there is none; *input is set to the scan.
const Expression* Resolve(const Expression& expression, duckdb::LogicalOperator** input) {
    const Expression* found = &expression;
    while (found->GetExpressionClass() == duckdb::ExpressionClass::BOUND_COLUMN_REF) {
        const duckdb::ColumnBinding binding = found->Cast<duckdb::BoundColumnRefExpression>().Binding();
        duckdb::LogicalOperator& below = **input;
        if (below.type == duckdb::LogicalOperatorType::LOGICAL_FILTER) {
            *input = below.children[0].get();
        } else if (below.type == duckdb::LogicalOperatorType::LOGICAL_PROJECTION) {
            const auto& projection = below.Cast<duckdb::LogicalProjection>();
            if (binding.table_index != projection.table_index) return nullptr;
            found = &projection.GetExpression(binding);
            *input = below.children[0].get();
        } else {
            return below.type == duckdb::LogicalOperatorType::LOGICAL_GET ? found : nullptr;
        }
    }
    return found;
}

// What a comparison with a constant implies for a decimal of that scale. False: nothing.
bool Imply(ExpressionType type, const std::string& key, int scale, ExpressionType* implied, Int128* limit) {
    switch (type) {
        case ExpressionType::COMPARE_GREATERTHAN:
        case ExpressionType::COMPARE_GREATERTHANOREQUALTO:
            *limit = LargestUpTo(key, type == ExpressionType::COMPARE_GREATERTHAN, scale);
            *implied = ExpressionType::COMPARE_GREATERTHAN;
            if (*limit >= -kLargest) return true;
            *limit = -kLargest;
            *implied = ExpressionType::COMPARE_GREATERTHANOREQUALTO;
            return true;
        case ExpressionType::COMPARE_LESSTHAN:
        case ExpressionType::COMPARE_LESSTHANOREQUALTO:
            *limit = LargestUpTo(key, type == ExpressionType::COMPARE_LESSTHANOREQUALTO, scale);
            *implied = ExpressionType::COMPARE_LESSTHANOREQUALTO;
            if (*limit >= -kLargest) return true;
            break;
        case ExpressionType::COMPARE_EQUAL:
            *limit = LargestUpTo(key, true, scale);
            *implied = ExpressionType::COMPARE_EQUAL;
            if (*limit >= -kLargest && KeyOf(*limit, scale) == key) return true;
            break;
        default: return false;
    }
    // No decimal does.
    *limit = -kLargest;
    *implied = ExpressionType::COMPARE_LESSTHAN;
    return true;
}

void TellScan(const Expression& condition, duckdb::LogicalOperator& input) {
    if (!BoundComparisonExpression::IsComparison(condition)) return;
    const auto& comparison = condition.Cast<BoundFunctionExpression>();
    const Expression* left = &BoundComparisonExpression::Left(comparison);
    const Expression* right = &BoundComparisonExpression::Right(comparison);
    ExpressionType type = condition.GetExpressionType();
    if (left->GetExpressionClass() == duckdb::ExpressionClass::BOUND_CONSTANT) {
        std::swap(left, right);
        type = duckdb::FlipComparisonExpression(type);
    }
    if (right->GetExpressionClass() != duckdb::ExpressionClass::BOUND_CONSTANT) return;
    const duckdb::Value& constant = right->Cast<duckdb::BoundConstantExpression>().GetValue();
    const BoundFunctionExpression* key = CallOf(*left, "ivy_num_key");
    if (!key || constant.IsNull() || constant.type().id() != duckdb::LogicalTypeId::BLOB) return;

    duckdb::LogicalOperator* scan = &input;
    const Expression* text = Resolve(*key->GetChildren()[0], &scan);
    const BoundFunctionExpression* stored = text ? CallOf(*text, "ivy_stored_numeric") : nullptr;
    const Expression* column = stored ? Resolve(*stored->GetChildren()[0], &scan) : nullptr;
    if (!column || column->GetExpressionClass() != duckdb::ExpressionClass::BOUND_COLUMN_REF) return;
    if (scan->type != duckdb::LogicalOperatorType::LOGICAL_GET) return;
    auto& get = scan->Cast<duckdb::LogicalGet>();
    const duckdb::ColumnBinding binding = column->Cast<duckdb::BoundColumnRefExpression>().Binding();
    if (binding.table_index != get.table_index || get.function.GetName().GetIdentifierName() != "ivy_files") return;
    if (column->GetReturnType().id() != duckdb::LogicalTypeId::DECIMAL) return;

    const uint8_t scale = duckdb::DecimalType::GetScale(column->GetReturnType());
    ExpressionType implied;
    Int128 limit;
    if (!Imply(type, duckdb::StringValue::Get(constant), scale, &implied, &limit)) return;
    const duckdb::hugeint_t number(static_cast<int64_t>(limit >> 64), static_cast<uint64_t>(limit));
    get.table_filters.PushFilter(binding.column_index,
                                 duckdb::ExpressionFilter::CreateComparisonFilter(
                                     implied, duckdb::Value::DECIMAL(number, kMaxDecimalDigits, scale)));
}

void Walk(duckdb::LogicalOperator& op) {
    if (op.type == duckdb::LogicalOperatorType::LOGICAL_FILTER) {
        for (const auto& condition : op.expressions) TellScan(*condition, *op.children[0]);
    }
    for (const auto& child : op.children) Walk(*child);
}

}  // namespace

void RegisterStoredNumericFilter(duckdb::DatabaseInstance& database) {
    duckdb::OptimizerExtension extension;
    extension.optimize_function = [](duckdb::OptimizerExtensionInput&,
                                     duckdb::unique_ptr<duckdb::LogicalOperator>& plan) { Walk(*plan); };
    duckdb::OptimizerExtension::Register(duckdb::DBConfig::GetConfig(database), std::move(extension));
}

}  // namespace ivy::engine
