// SPDX-License-Identifier: Apache-2.0
//
// Functions of floats: the machine's libm, as the server calls it, so the bits are the same, with the server's errors where
// IEEE would give infinity, zero or NaN. And divisors of integers.
#include <duckdb.hpp>

#include <duckdb/main/extension/extension_loader.hpp>

#include <cerrno>
#include <cmath>
#include <limits>
#include <numbers>

#include "engine/error_map.h"
#include "engine/functions.h"
#include "engine/scalar_function.h"

namespace ivy::engine {
namespace {

using duckdb::LogicalType;

constexpr char kInvalidLogarithm[] = "2201E";
constexpr char kInvalidPower[] = "2201F";

[[noreturn]] void Overflow() { ThrowSqlError(sqlstate::kNumericOutOfRange, "value out of range: overflow"); }
[[noreturn]] void Underflow() { ThrowSqlError(sqlstate::kNumericOutOfRange, "value out of range: underflow"); }
[[noreturn]] void InputOutOfRange() { ThrowSqlError(sqlstate::kNumericOutOfRange, "input is out of range"); }

// What libm said by errno or by the result of finite arguments.
double Checked(double result) {
    if (errno == ERANGE ? result != 0 : std::isinf(result)) Overflow();
    if (result == 0) Underflow();
    return result;
}

double Exp(double a) {
    if (std::isnan(a) || a == HUGE_VAL) return a;
    if (a == -HUGE_VAL) return 0;
    errno = 0;
    return Checked(std::exp(a));
}

template <double (*kLogarithm)(double)>
double Logarithm(double a) {
    if (a == 0) ThrowSqlError(kInvalidLogarithm, "cannot take logarithm of zero");
    if (a < 0) ThrowSqlError(kInvalidLogarithm, "cannot take logarithm of a negative number");
    const double result = kLogarithm(a);
    if (std::isinf(result) && !std::isinf(a)) Overflow();
    if (result == 0 && a != 1) Underflow();
    return result;
}

double Power(double a, double b) {
    if (std::isnan(a)) return b == 0 ? 1 : a;
    if (std::isnan(b)) return a == 1 ? 1 : b;
    if (a == 0 && b < 0) ThrowSqlError(kInvalidPower, "zero raised to a negative power is undefined");
    if (a < 0 && std::floor(b) != b) {
        ThrowSqlError(kInvalidPower, "a negative number raised to a non-integer power yields a complex result");
    }
    if (std::isinf(a) || std::isinf(b)) return std::pow(a, b);
    errno = 0;
    const double result = std::pow(a, b);
    if (errno == ERANGE ? result != 0 : std::isinf(result)) Overflow();
    if (result == 0 && a != 0) Underflow();
    return result;
}

double CubeRoot(double a) { return std::cbrt(a); }
double SquareRoot(double a) {
    if (a < 0) ThrowSqlError(kInvalidPower, "cannot take square root of a negative number");
    return std::sqrt(a);
}
double Sign(double a) { return a > 0 ? 1 : a < 0 ? -1 : 0; }

// Defined for finite numbers only.
template <double (*kFunction)(double)>
double OfFinite(double a) {
    if (std::isnan(a)) return a;
    if (std::isinf(a)) InputOutOfRange();
    return kFunction(a);
}

// Defined from -1 to 1.
template <double (*kFunction)(double)>
double OfUnit(double a) {
    if (std::isnan(a)) return a;
    if (a < -1 || a > 1) InputOutOfRange();
    return kFunction(a);
}

double Sinh(double a) {
    errno = 0;
    const double result = std::sinh(a);
    return errno == ERANGE ? (a < 0 ? -HUGE_VAL : HUGE_VAL) : result;
}
double Cosh(double a) {
    errno = 0;
    const double result = std::cosh(a);
    return errno == ERANGE ? HUGE_VAL : result;
}
double Acosh(double a) {
    if (a < 1) InputOutOfRange();
    return std::acosh(a);
}
double Atanh(double a) {
    if (std::isnan(a)) return a;
    if (a < -1 || a > 1) InputOutOfRange();
    if (a == 1 || a == -1) return a * HUGE_VAL;
    return std::atanh(a);
}
double Degrees(double a) {
    constexpr double kRadiansPerDegree = std::numbers::pi / 180.0;
    const double result = a / kRadiansPerDegree;
    if (std::isinf(result) && !std::isinf(a)) Overflow();
    if (result == 0 && a != 0) Underflow();
    return result;
}
double Radians(double a) {
    constexpr double kRadiansPerDegree = std::numbers::pi / 180.0;
    const double result = a * kRadiansPerDegree;
    if (std::isinf(result) && !std::isinf(a)) Overflow();
    if (result == 0 && a != 0) Underflow();
    return result;
}
double ArcTangent(double a, double b) { return std::atan2(a, b); }

template <double (*kFunction)(double)>
void Unary(duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
    duckdb::UnaryExecutor::Execute<double, double>(args.data[0], result, args.size(),
                                                   [](double a) { return kFunction(a); });
}

template <double (*kFunction)(double, double)>
void Binary(duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
    duckdb::BinaryExecutor::Execute<double, double, double>(args.data[0], args.data[1], result, args.size(),
                                                            [](double a, double b) { return kFunction(a, b); });
}

// --- integers ----------------------------------------------------------------------------------------------------------------

template <typename T>
T GreatestCommonDivisor(T a, T b) {
    // In a type where the smallest value has a magnitude.
    auto x = static_cast<__int128>(a < 0 ? -static_cast<__int128>(a) : a);
    auto y = static_cast<__int128>(b < 0 ? -static_cast<__int128>(b) : b);
    while (y != 0) {
        const __int128 rest = x % y;
        x = y;
        y = rest;
    }
    if (x > std::numeric_limits<T>::max()) {
        ThrowSqlError(sqlstate::kNumericOutOfRange, sizeof(T) == 4 ? "integer out of range" : "bigint out of range");
    }
    return static_cast<T>(x);
}

template <typename T>
T LeastCommonMultiple(T a, T b) {
    if (a == 0 || b == 0) return 0;
    __int128 product = static_cast<__int128>(a / GreatestCommonDivisor(a, b)) * b;
    if (product < 0) product = -product;
    if (product > std::numeric_limits<T>::max()) {
        ThrowSqlError(sqlstate::kNumericOutOfRange, sizeof(T) == 4 ? "integer out of range" : "bigint out of range");
    }
    return static_cast<T>(product);
}

template <typename T, T (*kFunction)(T, T)>
duckdb::ScalarFunction OfIntegers(const LogicalType& type) {
    duckdb::ScalarFunction function(
        {type, type}, type, [](duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
            duckdb::BinaryExecutor::Execute<T, T, T>(args.data[0], args.data[1], result, args.size(),
                                                     [](T a, T b) { return kFunction(a, b); });
        });
    function.SetFallible();
    return function;
}

// The server leaves shifts to the processor, which takes the count modulo the width of an int, or of a bigint.
template <typename T>
T ShiftLeft(T value, int32_t count) {
    using Wide = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
    return static_cast<T>(static_cast<Wide>(value) << (static_cast<uint32_t>(count) % (sizeof(Wide) * 8)));
}
template <typename T>
T ShiftRight(T value, int32_t count) {
    using Wide = std::conditional_t<sizeof(T) == 8, int64_t, int32_t>;
    return static_cast<T>(static_cast<Wide>(value) >> (static_cast<uint32_t>(count) % (sizeof(Wide) * 8)));
}

// The bucket of "count" equal ones between the bounds: 0 before the first, count + 1 behind the last.
int32_t WidthBucketOf(double value, double low, double high, int32_t count) {
    constexpr char kInvalidArgument[] = "2201G";
    if (count <= 0) ThrowSqlError(kInvalidArgument, "count must be greater than zero");
    if (std::isnan(value) || std::isnan(low) || std::isnan(high)) {
        ThrowSqlError(kInvalidArgument, "operand, lower bound, and upper bound cannot be NaN");
    }
    if (std::isinf(low) || std::isinf(high)) ThrowSqlError(kInvalidArgument, "lower and upper bounds must be finite");
    if (low == high) ThrowSqlError(kInvalidArgument, "lower bound cannot equal upper bound");
    const bool ascending = low < high;
    if (ascending ? value < low : value > low) return 0;
    if (ascending ? value >= high : value <= high) {
        if (count == std::numeric_limits<int32_t>::max())
            ThrowSqlError(sqlstate::kNumericOutOfRange, "integer out of range");
        return count + 1;
    }
    // The difference of the bounds may be too large; that of their halves isn't.
    const double unit = std::isinf(high - low) ? 2 : 1;
    const double from_low = ascending ? value / unit - low / unit : low / unit - value / unit;
    const double width = ascending ? high / unit - low / unit : low / unit - high / unit;
    return std::min(static_cast<int32_t>(count * (from_low / width)), count - 1) + 1;
}

}  // namespace

void RegisterMath(duckdb::ExtensionLoader& loader) {
    const LogicalType type = LogicalType::DOUBLE;
    const auto add = [&](const char* name, int arguments, duckdb::scalar_function_t execute) {
        duckdb::ScalarFunction function(duckdb::Identifier(name),
                                        duckdb::vector<LogicalType>(static_cast<size_t>(arguments), type), type,
                                        std::move(execute));
        function.SetFallible();
        loader.RegisterFunction(std::move(function));
    };
    add("ivy_exp", 1, Unary<Exp>);
    add("ivy_ln", 1, Unary<Logarithm<std::log>>);
    add("ivy_log10", 1, Unary<Logarithm<std::log10>>);
    add("ivy_power", 2, Binary<Power>);
    add("ivy_cbrt", 1, Unary<CubeRoot>);
    add("ivy_sqrt", 1, Unary<SquareRoot>);
    add("ivy_sign", 1, Unary<Sign>);
    add("ivy_sin", 1, Unary<OfFinite<std::sin>>);
    add("ivy_cos", 1, Unary<OfFinite<std::cos>>);
    add("ivy_tan", 1, Unary<OfFinite<std::tan>>);
    add("ivy_asin", 1, Unary<OfUnit<std::asin>>);
    add("ivy_acos", 1, Unary<OfUnit<std::acos>>);
    add("ivy_atan", 1, Unary<std::atan>);
    add("ivy_atan2", 2, Binary<ArcTangent>);
    add("ivy_sinh", 1, Unary<Sinh>);
    add("ivy_cosh", 1, Unary<Cosh>);
    add("ivy_tanh", 1, Unary<std::tanh>);
    add("ivy_asinh", 1, Unary<std::asinh>);
    add("ivy_acosh", 1, Unary<Acosh>);
    add("ivy_atanh", 1, Unary<Atanh>);
    add("ivy_degrees", 1, Unary<Degrees>);
    add("ivy_radians", 1, Unary<Radians>);

    duckdb::ScalarFunctionSet gcd{duckdb::Identifier("ivy_gcd")};
    gcd.AddFunction(OfIntegers<int32_t, GreatestCommonDivisor<int32_t>>(LogicalType::INTEGER));
    gcd.AddFunction(OfIntegers<int64_t, GreatestCommonDivisor<int64_t>>(LogicalType::BIGINT));
    loader.RegisterFunction(std::move(gcd));
    duckdb::ScalarFunctionSet lcm{duckdb::Identifier("ivy_lcm")};
    lcm.AddFunction(OfIntegers<int32_t, LeastCommonMultiple<int32_t>>(LogicalType::INTEGER));
    lcm.AddFunction(OfIntegers<int64_t, LeastCommonMultiple<int64_t>>(LogicalType::BIGINT));
    loader.RegisterFunction(std::move(lcm));
    AddScalar(loader, "ivy_shl2", [](int16_t a, int32_t count) -> int16_t { return ShiftLeft(a, count); });
    AddScalar(loader, "ivy_shl4", [](int32_t a, int32_t count) -> int32_t { return ShiftLeft(a, count); });
    AddScalar(loader, "ivy_shl8", [](int64_t a, int32_t count) -> int64_t { return ShiftLeft(a, count); });
    AddScalar(loader, "ivy_shr2", [](int16_t a, int32_t count) -> int16_t { return ShiftRight(a, count); });
    AddScalar(loader, "ivy_shr4", [](int32_t a, int32_t count) -> int32_t { return ShiftRight(a, count); });
    AddScalar(loader, "ivy_shr8", [](int64_t a, int32_t count) -> int64_t { return ShiftRight(a, count); });
    AddScalar(loader, "ivy_float_of_double", [](double value) -> float {
        const auto narrow = static_cast<float>(value);
        if (std::isinf(narrow) && !std::isinf(value)) Overflow();
        if (narrow == 0 && value != 0) Underflow();
        return narrow;
    });
    AddScalar(loader, "ivy_width_bucket", [](double value, double low, double high, int32_t count) -> int32_t {
        return WidthBucketOf(value, low, high, count);
    });
}

}  // namespace ivy::engine
