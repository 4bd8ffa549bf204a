// SPDX-License-Identifier: Apache-2.0
//
// Rounding as Postgres does it: doubles to the nearest even integer, decimals half away from zero to a given scale,
// which may be negative and which is the scale of the result (0 if negative). The scale must be a constant, since it
// decides the result's type: DECIMAL(p, s) rounded to n becomes DECIMAL(min(38, p - s + 1 + max(n, 0)), max(n, 0)).
#include <duckdb.hpp>

#include <duckdb/main/extension/extension_loader.hpp>
#include <duckdb/planner/expression/bound_function_expression.hpp>

#include <algorithm>
#include <cmath>

#include "engine/error_map.h"
#include "engine/functions.h"

namespace ivy::engine {
namespace {

using duckdb::hugeint_t;
using duckdb::LogicalType;
using Int128 = __int128;

constexpr int kMaxDigits = 38;

Int128 PowerOfTen(int exponent) {
    Int128 power = 1;
    for (int i = 0; i < exponent; i++) power *= 10;
    return power;
}

// How values of one scale become values of another.
struct Rescale final : public duckdb::FunctionData {
    int from = 0;            // scale of the argument
    int digits = 0;          // where to cut: digits after the point, may be negative
    int to = 0;              // scale of the result
    int precision = 0;       // of the result
    bool half_away = false;  // round, or else cut off

    duckdb::unique_ptr<FunctionData> Copy() const override { return duckdb::make_uniq<Rescale>(*this); }
    bool Equals(const FunctionData& other_data) const override {
        const auto& other = other_data.Cast<Rescale>();
        return from == other.from && digits == other.digits && precision == other.precision &&
               half_away == other.half_away;
    }

    // REQUIRES: |value| < 10^38
    Int128 Apply(Int128 value) const {
        Int128 result = value;
        if (const int cut = from - digits; cut > kMaxDigits) {
            result = 0;
        } else if (cut > 0) {
            const Int128 unit = PowerOfTen(cut);
            result = value / unit;
            const Int128 rest = value % unit;
            const Int128 magnitude = rest < 0 ? -rest : rest;
            if (half_away && magnitude >= unit - magnitude) result += value < 0 ? -1 : 1;
        }
        // "result" counts units of 10^-min(from, digits).
        const int missing = to - std::min(from, digits);
        if (missing > 0 && result != 0) {
            if (missing > kMaxDigits || __builtin_mul_overflow(result, PowerOfTen(missing), &result)) Overflow();
        }
        const Int128 limit = PowerOfTen(precision);
        if (result >= limit || result <= -limit) Overflow();
        return result;
    }

    [[noreturn]] static void Overflow() {
        ThrowSqlError(sqlstate::kNumericOutOfRange, "rounded value needs more than 38 digits");
    }
};

Int128 FromHuge(hugeint_t value) { return static_cast<Int128>(value.upper) << 64 | value.lower; }

template <typename T>
T ToPhysical(Int128 value) {
    return static_cast<T>(value);
}
template <>
hugeint_t ToPhysical<hugeint_t>(Int128 value) {
    return hugeint_t(static_cast<int64_t>(value >> 64), static_cast<uint64_t>(value));
}

template <typename T>
void ExecuteTo(duckdb::DataChunk& args, const Rescale& rescale, duckdb::Vector& result) {
    duckdb::UnaryExecutor::Execute<hugeint_t, T>(args.data[0], result, args.size(), [&rescale](hugeint_t value) {
        return ToPhysical<T>(rescale.Apply(FromHuge(value)));
    });
}

void Execute(duckdb::DataChunk& args, duckdb::ExpressionState& state, duckdb::Vector& result) {
    const auto& rescale = state.expr.Cast<duckdb::BoundFunctionExpression>().BindInfo()->Cast<Rescale>();
    switch (result.GetType().InternalType()) {
        case duckdb::PhysicalType::INT16: return ExecuteTo<int16_t>(args, rescale, result);
        case duckdb::PhysicalType::INT32: return ExecuteTo<int32_t>(args, rescale, result);
        case duckdb::PhysicalType::INT64: return ExecuteTo<int64_t>(args, rescale, result);
        default: return ExecuteTo<hugeint_t>(args, rescale, result);
    }
}

int Digits(const duckdb::Value& constant) {
    const duckdb::Value digits = constant.DefaultCastAs(LogicalType::INTEGER);
    // Beyond these nothing changes: no decimal has as many digits.
    return digits.IsNull() ? 0 : std::clamp(digits.GetValue<int32_t>(), -2 * kMaxDigits, 2 * kMaxDigits);
}

void ResolveTypes(duckdb::ResolveScalarFunctionTypesInput& input) {
    const LogicalType& argument = input.GetArgumentType(0);
    const bool is_decimal = argument.id() == duckdb::LogicalTypeId::DECIMAL;
    const int width = is_decimal ? duckdb::DecimalType::GetWidth(argument) : kMaxDigits;
    const int from = is_decimal ? duckdb::DecimalType::GetScale(argument) : 0;
    const int to = std::max(Digits(input.GetConstant(1)), 0);
    if (to > kMaxDigits) throw duckdb::BinderException("cannot round to more than 38 digits");
    const int precision = std::min(kMaxDigits, width - from + 1 + to);
    auto& function = input.GetBoundFunction();
    function.GetArguments()[0] = LogicalType::DECIMAL(kMaxDigits, static_cast<uint8_t>(from));
    function.SetReturnType(LogicalType::DECIMAL(static_cast<uint8_t>(precision), static_cast<uint8_t>(to)));
}

template <bool kHalfAway>
duckdb::unique_ptr<duckdb::FunctionData> Bind(duckdb::BindScalarFunctionInput& input) {
    const auto& function = input.GetBoundFunction();
    auto rescale = duckdb::make_uniq<Rescale>();
    rescale->from = duckdb::DecimalType::GetScale(function.GetArguments()[0]);
    rescale->digits = Digits(input.GetConstant(1));
    rescale->to = duckdb::DecimalType::GetScale(function.GetReturnType());
    rescale->precision = duckdb::DecimalType::GetWidth(function.GetReturnType());
    rescale->half_away = kHalfAway;
    return rescale;
}

template <bool kHalfAway>
void RegisterDecimal(duckdb::ExtensionLoader& loader, const char* name) {
    const LogicalType any_decimal(duckdb::LogicalTypeId::DECIMAL);
    duckdb::ScalarFunction function(duckdb::Identifier(name), {any_decimal, LogicalType::INTEGER}, any_decimal, Execute,
                                    Bind<kHalfAway>);
    function.SetResolveTypesCallback(ResolveTypes);
    function.SetFallible();
    loader.RegisterFunction(std::move(function));
}

// The default rounding mode of the processor is to even, and nothing changes it.
void RoundHalfEven(duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
    duckdb::UnaryExecutor::Execute<double, double>(args.data[0], result, args.size(),
                                                   [](double value) { return std::rint(value); });
}

}  // namespace

void RegisterRounding(duckdb::ExtensionLoader& loader) {
    RegisterDecimal<true>(loader, "ivy_round");
    RegisterDecimal<false>(loader, "ivy_trunc");
    loader.RegisterFunction(duckdb::ScalarFunction(duckdb::Identifier("ivy_round_half_even"),
                                                   duckdb::vector<LogicalType>{LogicalType::DOUBLE},
                                                   LogicalType::DOUBLE, RoundHalfEven));
}

}  // namespace ivy::engine
