// SPDX-License-Identifier: Apache-2.0
//
// Arithmetic as Postgres does it. Integer addition, subtraction and multiplication are DuckDB's own, which raise the
// same errors; division, remainder and negation are not (DuckDB's "/" is a float's, "-" widens its type), and neither
// are the floats' operators, which DuckDB lets run into infinities.
#include <duckdb.hpp>

#include <duckdb/main/extension/extension_loader.hpp>

#include <cmath>
#include <limits>

#include "engine/error_map.h"
#include "engine/functions.h"

namespace ivy::engine {
namespace {

using duckdb::LogicalType;

template <typename T>
struct TypeOf;
template <>
struct TypeOf<int16_t> {
    static LogicalType Logical() { return LogicalType::SMALLINT; }
    static constexpr char kOutOfRange[] = "smallint out of range";
};
template <>
struct TypeOf<int32_t> {
    static LogicalType Logical() { return LogicalType::INTEGER; }
    static constexpr char kOutOfRange[] = "integer out of range";
};
template <>
struct TypeOf<int64_t> {
    static LogicalType Logical() { return LogicalType::BIGINT; }
    static constexpr char kOutOfRange[] = "bigint out of range";
};
template <>
struct TypeOf<float> {
    static LogicalType Logical() { return LogicalType::FLOAT; }
};
template <>
struct TypeOf<double> {
    static LogicalType Logical() { return LogicalType::DOUBLE; }
};

[[noreturn]] void DivisionByZero() { ThrowSqlError(sqlstate::kDivisionByZero, "division by zero"); }
[[noreturn]] void Overflow() { ThrowSqlError(sqlstate::kNumericOutOfRange, "value out of range: overflow"); }
[[noreturn]] void Underflow() { ThrowSqlError(sqlstate::kNumericOutOfRange, "value out of range: underflow"); }

struct Divide {
    template <typename T>
    static T Apply(T a, T b) {
        if (b == 0) DivisionByZero();
        if (b == -1 && a == std::numeric_limits<T>::min()) {
            ThrowSqlError(sqlstate::kNumericOutOfRange, TypeOf<T>::kOutOfRange);
        }
        return static_cast<T>(a / b);
    }
};

struct Modulo {
    template <typename T>
    static T Apply(T a, T b) {
        if (b == 0) DivisionByZero();
        return b == -1 ? T{0} : static_cast<T>(a % b);  // the machine traps on the smallest value % -1
    }
};

struct Negate {
    template <typename T>
    static T Apply(T a) {
        if (a == std::numeric_limits<T>::min()) ThrowSqlError(sqlstate::kNumericOutOfRange, TypeOf<T>::kOutOfRange);
        return static_cast<T>(-a);
    }
};

// Not DuckDB's "-": its optimizer takes "-x >= c" for "x <= -c", which is wrong for NaN, the largest value on both sides.
struct FloatNegate {
    template <typename T>
    static T Apply(T a) {
        return std::isnan(a) ? a : -a;
    }
};

struct FloatAdd {
    template <typename T>
    static T Apply(T a, T b) {
        const T result = a + b;
        if (std::isinf(result) && !std::isinf(a) && !std::isinf(b)) Overflow();
        return result;
    }
};

struct FloatSubtract {
    template <typename T>
    static T Apply(T a, T b) {
        const T result = a - b;
        if (std::isinf(result) && !std::isinf(a) && !std::isinf(b)) Overflow();
        return result;
    }
};

struct FloatMultiply {
    template <typename T>
    static T Apply(T a, T b) {
        const T result = a * b;
        if (std::isinf(result) && !std::isinf(a) && !std::isinf(b)) Overflow();
        if (result == 0 && a != 0 && b != 0) Underflow();
        return result;
    }
};

struct FloatDivide {
    template <typename T>
    static T Apply(T a, T b) {
        if (b == 0 && !std::isnan(a)) DivisionByZero();
        const T result = a / b;
        if (std::isinf(result) && !std::isinf(a)) Overflow();
        if (result == 0 && a != 0 && !std::isinf(b)) Underflow();
        return result;
    }
};

template <typename Op, typename T>
void AddBinary(duckdb::ScalarFunctionSet* set) {
    const LogicalType type = TypeOf<T>::Logical();
    duckdb::ScalarFunction function(
        {type, type}, type, [](duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
            duckdb::BinaryExecutor::Execute<T, T, T>(args.data[0], args.data[1], result, args.size(),
                                                     [](T a, T b) { return Op::template Apply<T>(a, b); });
        });
    function.SetFallible();
    set->AddFunction(std::move(function));
}

duckdb::interval_t NegateInterval(duckdb::interval_t a) {
    // The infinities are the largest and the smallest of each field.
    constexpr duckdb::interval_t kInfinity = {std::numeric_limits<int32_t>::max(), std::numeric_limits<int32_t>::max(),
                                              std::numeric_limits<int64_t>::max()};
    constexpr duckdb::interval_t kMinusInfinity = {
        std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::min(), std::numeric_limits<int64_t>::min()};
    const auto same = [&a](duckdb::interval_t b) {
        return a.months == b.months && a.days == b.days && a.micros == b.micros;
    };
    if (same(kInfinity)) return kMinusInfinity;
    if (same(kMinusInfinity)) return kInfinity;
    if (a.months == std::numeric_limits<int32_t>::min() || a.days == std::numeric_limits<int32_t>::min() ||
        a.micros == std::numeric_limits<int64_t>::min()) {
        ThrowSqlError(sqlstate::kDatetimeOverflow, "interval out of range");
    }
    return {-a.months, -a.days, -a.micros};
}

template <typename Op, typename T>
void AddUnary(duckdb::ScalarFunctionSet* set) {
    const LogicalType type = TypeOf<T>::Logical();
    duckdb::ScalarFunction function(
        {type}, type, [](duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
            duckdb::UnaryExecutor::Execute<T, T>(args.data[0], result, args.size(),
                                                 [](T a) { return Op::template Apply<T>(a); });
        });
    function.SetFallible();
    set->AddFunction(std::move(function));
}

template <typename Op>
void RegisterIntegers(duckdb::ExtensionLoader& loader, const char* name) {
    duckdb::ScalarFunctionSet set{duckdb::Identifier(name)};
    AddBinary<Op, int16_t>(&set);
    AddBinary<Op, int32_t>(&set);
    AddBinary<Op, int64_t>(&set);
    loader.RegisterFunction(std::move(set));
}

template <typename Op>
void RegisterFloats(duckdb::ExtensionLoader& loader, const char* name) {
    duckdb::ScalarFunctionSet set{duckdb::Identifier(name)};
    AddBinary<Op, float>(&set);
    AddBinary<Op, double>(&set);
    loader.RegisterFunction(std::move(set));
}

}  // namespace

void RegisterArithmetic(duckdb::ExtensionLoader& loader) {
    RegisterIntegers<Divide>(loader, "ivy_div");
    RegisterIntegers<Modulo>(loader, "ivy_mod");
    duckdb::ScalarFunctionSet negate{duckdb::Identifier("ivy_neg")};
    AddUnary<Negate, int16_t>(&negate);
    AddUnary<Negate, int32_t>(&negate);
    AddUnary<Negate, int64_t>(&negate);
    duckdb::ScalarFunction interval({LogicalType::INTERVAL}, LogicalType::INTERVAL,
                                    [](duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
                                        duckdb::UnaryExecutor::Execute<duckdb::interval_t, duckdb::interval_t>(
                                            args.data[0], result, args.size(), NegateInterval);
                                    });
    interval.SetFallible();
    negate.AddFunction(std::move(interval));
    AddUnary<FloatNegate, float>(&negate);
    AddUnary<FloatNegate, double>(&negate);
    loader.RegisterFunction(std::move(negate));
    RegisterFloats<FloatAdd>(loader, "ivy_add");
    RegisterFloats<FloatSubtract>(loader, "ivy_sub");
    RegisterFloats<FloatMultiply>(loader, "ivy_mul");
    RegisterFloats<FloatDivide>(loader, "ivy_fdiv");
}

void RegisterScalarFunctions(duckdb::ExtensionLoader& loader) {
    RegisterArithmetic(loader);
    RegisterRounding(loader);
    RegisterNumeric(loader);
    RegisterDateTime(loader);
    RegisterZoned(loader);
    RegisterExpect(loader);
    RegisterStorable(loader);
    RegisterText(loader);
    RegisterCollation(loader);
    RegisterMath(loader);
    RegisterJson(loader);
    RegisterOrdered(loader);
    RegisterStatistics(loader);
    RegisterCasts(loader);
    RegisterFormats(loader);
    RegisterIntervals(loader);
    RegisterBytes(loader);
    RegisterArrays(loader);
}

}  // namespace ivy::engine
