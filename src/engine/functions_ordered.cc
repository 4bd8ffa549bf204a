// SPDX-License-Identifier: Apache-2.0
//
// What is computed from a sorted list of a group's values: percentiles and the mode; and the text of arrays.
//
//   ivy_percentile_row(fraction DOUBLE, count BIGINT)     the row, from 1, that percentile_disc shows; NULL of no rows
//   ivy_percentile_cont(fraction DOUBLE, values DOUBLE[]) the value between two rows; NULL of no rows
//   ivy_mode_row(values ANY[])                            where the longest run of equal values begins, the first of them
//   ivy_num_at(values VARCHAR[], row BIGINT)              that numeric of a sorted list; an error if equal ones look different
//   ivy_at_least(time, first)                             the timestamp, or an error if it is finite and before the first
//   ivy_array(elements VARCHAR[])                         array_out of one dimension: elements quoted where they need it
#include <duckdb.hpp>

#include <duckdb/common/vector/list_vector.hpp>
#include <duckdb/common/vector_operations/vector_operations.hpp>
#include <duckdb/main/extension/extension_loader.hpp>

#include <cmath>
#include <cstdio>
#include <string>

#include "engine/error_map.h"
#include "engine/functions.h"
#include "engine/number.h"

namespace ivy::engine {
namespace {

using duckdb::list_entry_t;
using duckdb::LogicalType;
using duckdb::string_t;

void CheckFraction(double fraction) {
    if (fraction >= 0 && fraction <= 1) return;
    char text[32];
    std::snprintf(text, sizeof text, "%g", fraction);
    ThrowSqlError(sqlstate::kNumericOutOfRange, "percentile value " + std::string(text) + " is not between 0 and 1");
}

void PercentileRow(duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
    duckdb::BinaryExecutor::Execute<double, int64_t, int64_t>(
        args.data[0], args.data[1], result, args.size(),
        [](double fraction, int64_t count) -> duckdb::optional<int64_t> {
            CheckFraction(fraction);
            if (count == 0) return {};
            return std::max<int64_t>(static_cast<int64_t>(std::ceil(fraction * static_cast<double>(count))), 1);
        });
}

void PercentileCont(duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
    duckdb::UnifiedVectorFormat child;
    duckdb::ListVector::GetChild(args.data[1]).ToUnifiedFormat(child);
    const auto* values = duckdb::UnifiedVectorFormat::GetData<double>(child);
    duckdb::BinaryExecutor::Execute<double, list_entry_t, double>(
        args.data[0], args.data[1], result, args.size(),
        [&](double fraction, list_entry_t list) -> duckdb::optional<double> {
            CheckFraction(fraction);
            if (list.length == 0) return {};
            const double place = fraction * static_cast<double>(list.length - 1);
            const double first = std::floor(place);
            const double low = values[child.sel->get_index(list.offset + static_cast<duckdb::idx_t>(first))];
            if (first == std::ceil(place)) return low;
            const double high = values[child.sel->get_index(list.offset + static_cast<duckdb::idx_t>(first) + 1)];
            return low + (place - first) * (high - low);
        });
}

void ModeRow(duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
    const duckdb::Vector& child = duckdb::ListVector::GetChild(args.data[0]);
    const duckdb::idx_t count = duckdb::ListVector::GetListSize(args.data[0]);
    // Whether each value of the child vector differs from the next one, by as many as a vector of DuckDB's holds.
    std::vector<uint8_t> differs(count, 1);
    for (duckdb::idx_t begin = 0; begin + 1 < count; begin += STANDARD_VECTOR_SIZE) {
        const duckdb::idx_t size = std::min<duckdb::idx_t>(STANDARD_VECTOR_SIZE, count - 1 - begin);
        duckdb::SelectionVector here(size);
        duckdb::SelectionVector next(size);
        for (duckdb::idx_t i = 0; i < size; i++) {
            here.set_index(i, begin + i);
            next.set_index(i, begin + i + 1);
        }
        const duckdb::Vector left(child, here, size);
        const duckdb::Vector right(child, next, size);
        duckdb::Vector different(LogicalType::BOOLEAN, size);
        duckdb::VectorOperations::DistinctFrom(left, right, different);
        duckdb::UnifiedVectorFormat flags;
        different.ToUnifiedFormat(flags);
        const auto* values = duckdb::UnifiedVectorFormat::GetData<bool>(flags);
        for (duckdb::idx_t i = 0; i < size; i++) differs[begin + i] = values[flags.sel->get_index(i)];
    }
    duckdb::UnaryExecutor::Execute<list_entry_t, int64_t>(
        args.data[0], result, args.size(), [&](list_entry_t list) -> duckdb::optional<int64_t> {
            duckdb::idx_t longest = 0;
            duckdb::idx_t best = 0;
            for (duckdb::idx_t begin = 0; begin < list.length;) {
                duckdb::idx_t end = begin + 1;
                while (end < list.length && !differs[list.offset + end - 1]) end++;
                if (end - begin > longest) {
                    longest = end - begin;
                    best = begin;
                }
                begin = end;
            }
            if (longest == 0) return {};
            return static_cast<int64_t>(best + 1);
        });
}

// Which of equal numerics with different display scales Postgres would show depends on the order in which it reads rows.
void NumericAt(duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
    duckdb::UnifiedVectorFormat child;
    duckdb::ListVector::GetChild(args.data[0]).ToUnifiedFormat(child);
    const auto* values = duckdb::UnifiedVectorFormat::GetData<string_t>(child);
    const auto text = [&](duckdb::idx_t i) {
        const string_t& value = values[child.sel->get_index(i)];
        return std::string_view(value.GetData(), value.GetSize());
    };
    duckdb::BinaryExecutor::Execute<list_entry_t, int64_t, string_t>(
        args.data[0], args.data[1], result, args.size(), [&](list_entry_t list, int64_t row) {
            const duckdb::idx_t here = list.offset + static_cast<duckdb::idx_t>(row) - 1;
            const std::string_view chosen = text(here);
            const std::string key = Number::Parse(chosen).Key();
            const auto check = [&](duckdb::idx_t i) {
                if (text(i) == chosen) return true;
                if (Number::Parse(text(i)).Key() != key) return false;
                ThrowSqlError(sqlstate::kFeatureNotSupported, "display scale depends on the order of rows");
            };
            for (duckdb::idx_t i = here; i > list.offset && check(i - 1);) i--;
            for (duckdb::idx_t i = here + 1; i < list.offset + list.length && check(i);) i++;
            return duckdb::StringVector::AddString(result, values[child.sel->get_index(here)]);
        });
}

bool NeedsQuotes(std::string_view text) {
    if (text.empty()) return true;
    if (text.size() == 4 && strncasecmp(text.data(), "null", 4) == 0) return true;
    return text.find_first_of("\"\\{}, \t\n\r\v\f") != std::string_view::npos;
}

void AppendElement(std::string_view text, std::string* out) {
    if (!NeedsQuotes(text)) {
        *out += text;
        return;
    }
    *out += '"';
    for (const char c : text) {
        if (c == '"' || c == '\\') *out += '\\';
        *out += c;
    }
    *out += '"';
}

void ArrayText(duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
    duckdb::UnifiedVectorFormat child;
    duckdb::ListVector::GetChild(args.data[0]).ToUnifiedFormat(child);
    const auto* elements = duckdb::UnifiedVectorFormat::GetData<string_t>(child);
    std::string text;
    duckdb::UnaryExecutor::Execute<list_entry_t, string_t>(args.data[0], result, args.size(), [&](list_entry_t list) {
        text = "{";
        for (duckdb::idx_t i = list.offset; i < list.offset + list.length; i++) {
            if (i > list.offset) text += ',';
            const duckdb::idx_t index = child.sel->get_index(i);
            if (child.validity.RowIsValid(index)) {
                AppendElement({elements[index].GetData(), elements[index].GetSize()}, &text);
            } else {
                text += "NULL";
            }
        }
        text += '}';
        return duckdb::StringVector::AddString(result, text);
    });
}

// Of TIMESTAMP and TIMESTAMPTZ, which have the same bits.
void AtLeast(duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
    duckdb::BinaryExecutor::Execute<duckdb::timestamp_t, duckdb::timestamp_t, duckdb::timestamp_t>(
        args.data[0], args.data[1], result, args.size(), [](duckdb::timestamp_t time, duckdb::timestamp_t first) {
            if (duckdb::Value::IsFinite(time) && time < first)
                ThrowSqlError(sqlstate::kDatetimeOverflow, "timestamp out of range");
            return time;
        });
}

}  // namespace

void RegisterOrdered(duckdb::ExtensionLoader& loader) {
    const auto add = [&](const char* name, duckdb::vector<LogicalType> arguments, const LogicalType& result,
                         duckdb::scalar_function_t execute) {
        duckdb::ScalarFunction function(duckdb::Identifier(name), std::move(arguments), result, std::move(execute));
        function.SetFallible();
        loader.RegisterFunction(std::move(function));
    };
    duckdb::ScalarFunctionSet at_least{duckdb::Identifier("ivy_at_least")};
    add("ivy_percentile_row", {LogicalType::DOUBLE, LogicalType::BIGINT}, LogicalType::BIGINT, PercentileRow);
    add("ivy_percentile_cont", {LogicalType::DOUBLE, LogicalType::LIST(LogicalType::DOUBLE)}, LogicalType::DOUBLE,
        PercentileCont);
    add("ivy_num_at", {LogicalType::LIST(LogicalType::VARCHAR), LogicalType::BIGINT}, LogicalType::VARCHAR, NumericAt);
    add("ivy_mode_row", {LogicalType::LIST(LogicalType::ANY)}, LogicalType::BIGINT, ModeRow);
    for (const LogicalType& type : {LogicalType(LogicalType::TIMESTAMP), LogicalType(LogicalType::TIMESTAMP_TZ)}) {
        duckdb::ScalarFunction function({type, type}, type, AtLeast);
        function.SetFallible();
        at_least.AddFunction(std::move(function));
    }
    loader.RegisterFunction(std::move(at_least));
    add("ivy_array", {LogicalType::LIST(LogicalType::VARCHAR)}, LogicalType::VARCHAR, ArrayText);
}

}  // namespace ivy::engine
