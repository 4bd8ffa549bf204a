// SPDX-License-Identifier: Apache-2.0
#include "engine/lake_pruning.h"

#include <duckdb/optimizer/filter_combiner.hpp>
#include <duckdb/planner/expression/bound_columnref_expression.hpp>
#include <duckdb/planner/expression/bound_operator_expression.hpp>
#include <duckdb/planner/expression/bound_reference_expression.hpp>
#include <duckdb/planner/expression_iterator.hpp>

#include <algorithm>

#include "engine/lake_types.h"

namespace ivy::engine {
namespace {

using duckdb::Expression;
using duckdb::ExpressionType;
using duckdb::Value;
using Values = std::optional<std::vector<Value>>;

// Adds a constant that the column must equal; false if it is not a constant of the column's type. NULL equals nothing.
bool AddConstant(const Expression& expression, const duckdb::LogicalType& type, std::vector<Value>* values) {
    if (expression.GetExpressionType() != ExpressionType::VALUE_CONSTANT) return false;
    const Value& value = expression.Cast<duckdb::BoundConstantExpression>().GetValue();
    if (value.type() != type) return false;
    if (!value.IsNull()) values->push_back(value);
    return true;
}

bool IsColumn(const Expression& expression) { return expression.GetExpressionType() == ExpressionType::BOUND_REF; }

// See LakeCondition::values. The expression is over a single column.
Values ValuesOf(const Expression& expression, const duckdb::LogicalType& type) {
    if (const auto wrapped = duckdb::ExpressionFilter::GetOptionalFilterChild(expression))
        return ValuesOf(*wrapped, type);
    switch (expression.GetExpressionType()) {
        case ExpressionType::COMPARE_EQUAL: {
            const auto& comparison = expression.Cast<duckdb::BoundFunctionExpression>();
            const Expression& left = duckdb::BoundComparisonExpression::Left(comparison);
            const Expression& right = duckdb::BoundComparisonExpression::Right(comparison);
            std::vector<Value> values;
            if (IsColumn(left) && AddConstant(right, type, &values)) return values;
            if (IsColumn(right) && AddConstant(left, type, &values)) return values;
            return std::nullopt;
        }
        case ExpressionType::COMPARE_IN: {
            const auto& children = expression.Cast<duckdb::BoundOperatorExpression>().GetChildren();
            if (!IsColumn(*children[0])) return std::nullopt;
            std::vector<Value> values;
            for (size_t i = 1; i < children.size(); i++) {
                if (!AddConstant(*children[i], type, &values)) return std::nullopt;
            }
            return values;
        }
        case ExpressionType::CONJUNCTION_AND: {
            Values least;
            for (const auto& child : expression.Cast<duckdb::BoundConjunctionExpression>().GetChildren()) {
                Values values = ValuesOf(*child, type);
                if (values && (!least || values->size() < least->size())) least = std::move(values);
            }
            return least;
        }
        case ExpressionType::CONJUNCTION_OR: {
            std::vector<Value> all;
            for (const auto& child : expression.Cast<duckdb::BoundConjunctionExpression>().GetChildren()) {
                const Values values = ValuesOf(*child, type);
                if (!values) return std::nullopt;
                all.insert(all.end(), values->begin(), values->end());
            }
            return all;
        }
        default: return std::nullopt;
    }
}

// The column that an expression is about if that is a single one, and it is made of nothing but comparisons, tests for NULL
// and their combinations. False if it is not.
bool FindColumn(const Expression& expression, std::optional<duckdb::ProjectionIndex>* column) {
    switch (expression.GetExpressionType()) {
        case ExpressionType::BOUND_COLUMN_REF: {
            const auto index = expression.Cast<duckdb::BoundColumnRefExpression>().Binding().column_index;
            if (*column && **column != index) return false;
            *column = index;
            return true;
        }
        case ExpressionType::VALUE_CONSTANT: return true;
        case ExpressionType::CONJUNCTION_AND:
        case ExpressionType::CONJUNCTION_OR:
        case ExpressionType::OPERATOR_IS_NULL:
        case ExpressionType::OPERATOR_IS_NOT_NULL:
        case ExpressionType::COMPARE_IN: break;
        default:
            if (!duckdb::BoundComparisonExpression::IsComparison(expression)) return false;
    }
    bool simple = true;
    duckdb::ExpressionIterator::EnumerateChildren(
        expression, [&](const Expression& child) { simple = simple && FindColumn(child, column); });
    return simple;
}

// An expression over a single column, with a reference to a filter's subject in the column's place.
void ReplaceColumn(duckdb::unique_ptr<Expression>& expression) {
    if (expression->GetExpressionType() == ExpressionType::BOUND_COLUMN_REF) {
        expression = duckdb::make_uniq<duckdb::BoundReferenceExpression>(expression->GetReturnType(), 0);
        return;
    }
    duckdb::ExpressionIterator::EnumerateChildren(*expression,
                                                  [](duckdb::unique_ptr<Expression>& child) { ReplaceColumn(child); });
}

// A boolean column, or its negation, as a comparison.
duckdb::unique_ptr<Expression> AsComparison(const Expression& condition) {
    const bool negated = condition.GetExpressionType() == ExpressionType::OPERATOR_NOT;
    const Expression& column =
        negated ? *condition.Cast<duckdb::BoundOperatorExpression>().GetChildren()[0] : condition;
    if (column.GetExpressionType() != ExpressionType::BOUND_COLUMN_REF) return condition.Copy();
    return duckdb::BoundComparisonExpression::Create(
        ExpressionType::COMPARE_EQUAL, column.Copy(),
        duckdb::make_uniq<duckdb::BoundConstantExpression>(Value::BOOLEAN(!negated)));
}

}  // namespace

bool LakeCondition::MayHold(duckdb::ClientContext& context, const duckdb::BaseStatistics& statistics) const {
    const auto result = filter->CheckStatistics(context, statistics);
    return result != duckdb::FilterPropagateResult::FILTER_ALWAYS_FALSE &&
           result != duckdb::FilterPropagateResult::FILTER_FALSE_OR_NULL;
}

LakeConditions::LakeConditions(const LakeTable& table, const duckdb::vector<duckdb::ColumnIndex>& columns,
                               const duckdb::TableFilterSet& filters) {
    Add(table, columns, filters);
}

LakeConditions::LakeConditions(duckdb::ClientContext& context, const LakeTable& table,
                               const duckdb::vector<duckdb::ColumnIndex>& columns,
                               const duckdb::vector<duckdb::unique_ptr<Expression>>& conditions) {
    duckdb::FilterCombiner combiner(context);
    for (const auto& condition : conditions) {
        never_ = never_ || combiner.AddFilter(condition->Copy()) == duckdb::FilterResult::UNSATISFIABLE;
    }
    if (never_) return;
    duckdb::vector<duckdb::FilterPushdownResult> results;
    Add(table, columns, combiner.GenerateTableScanFilters(columns, results));
    // The combiner knows what follows from several conditions, but has no filters for some simple ones.
    for (const auto& condition : conditions) {
        auto expression = AsComparison(*condition);
        std::optional<duckdb::ProjectionIndex> column;
        if (!FindColumn(*expression, &column) || !column) continue;
        ReplaceColumn(expression);
        AddFilter(table, columns[*column], duckdb::make_uniq<duckdb::ExpressionFilter>(std::move(expression)));
    }
}

void LakeConditions::Add(const LakeTable& table, const duckdb::vector<duckdb::ColumnIndex>& columns,
                         const duckdb::TableFilterSet& filters) {
    for (const auto& entry : filters) {
        AddFilter(table, columns[entry.GetIndex()],
                  duckdb::ExpressionFilter::GetExpressionFilter(entry.Filter(), "lake").Copy());
    }
}

void LakeConditions::AddFilter(const LakeTable& table, const duckdb::ColumnIndex& index,
                               duckdb::unique_ptr<const duckdb::ExpressionFilter> filter) {
    const size_t column = index.GetPrimaryIndex();
    // Neither virtual columns nor parts of nested ones have statistics here.
    if (index.HasChildren() || column >= table.columns().size() || table.columns()[column].IsNested()) return;
    auto values = ValuesOf(*filter->expr, LakeType(table.columns()[column]));
    conditions_.push_back({column, std::move(filter), std::move(values)});
}

std::vector<uint32_t> LakeConditions::Prune(duckdb::ClientContext& context, const LakeTable& table,
                                            const std::vector<uint32_t>& files) const {
    if (never_) return {};
    const auto may_match = [&](uint32_t file) {
        return std::all_of(conditions_.begin(), conditions_.end(), [&](const LakeCondition& condition) {
            const auto statistics = table.Statistics(file, condition.column);
            return (!statistics || condition.MayHold(context, *statistics)) &&
                   table.PartitionMayHold(context, file, condition);
        });
    };
    std::vector<uint32_t> kept;
    std::copy_if(files.begin(), files.end(), std::back_inserter(kept), may_match);
    return kept;
}

}  // namespace ivy::engine
