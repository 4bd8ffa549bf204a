// SPDX-License-Identifier: Apache-2.0
//
// Number: Postgres's numeric outside of Postgres, for what DuckDB's DECIMAL can't say: a display scale that depends on the
// row, more than 38 digits, NaN and the infinities. In SQL it travels as its canonical text, which is also how columns of
// unbounded numeric are stored.
//
// The rules of scales are those of the server: a sum has the larger scale, a product the sum of both, a quotient enough
// digits for 16 significant ones. The digits come from GMP's integers; rounding is half away from zero everywhere.
#pragma once

#include <gmpxx.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace ivy::engine {

struct Number {
    enum class Kind : uint8_t { kFinite, kNaN, kInfinity, kMinusInfinity };

    Kind kind = Kind::kFinite;
    int scale = 0;     // digits after the point, those of "digits" too
    mpz_class digits;  // value * 10^scale

    bool IsFinite() const { return kind == Kind::kFinite; }
    bool IsNaN() const { return kind == Kind::kNaN; }
    // -1, 0 or 1; NaN counts as positive.
    int Sign() const;

    static Number NaN() { return {Kind::kNaN, 0, {}}; }
    static Number Infinity(int sign) { return {sign < 0 ? Kind::kMinusInfinity : Kind::kInfinity, 0, {}}; }
    static Number FromInteger(int64_t value) { return {Kind::kFinite, 0, mpz_class(static_cast<long>(value))}; }
    // The decimal form, with an exponent if need be, or NaN, Infinity, -Infinity. Throws for anything else.
    static Number Parse(std::string_view text);
    // As the server converts floats: 15 significant digits of a double, 6 of a float.
    static Number FromDouble(double value, int significant_digits);

    std::string Text() const;
    // Bytes whose memcmp order is the order of values; the display scale doesn't count.
    std::string Key() const;
    // double or float, by way of the decimal text. Throws where the server raises an error.
    template <typename T>
    T ToFloat() const;
    int64_t ToInteger(int64_t min, int64_t max, const char* type_name) const;
};

// All throw errors with Postgres's SQLSTATEs.
Number Add(const Number& a, const Number& b);
Number Subtract(const Number& a, const Number& b);
Number Multiply(const Number& a, const Number& b);
// With all digits after the point, where the server's multiplication keeps 16383 of them: for what it sums up inside.
Number MultiplyExactly(const Number& a, const Number& b);
Number Divide(const Number& a, const Number& b);
Number Modulo(const Number& a, const Number& b);
Number DivideToInteger(const Number& a, const Number& b);
Number Negate(Number a);
Number SquareRoot(const Number& a);
// To "digits" after the point (negative: before it). The result's scale is that, or 0.
Number Round(const Number& a, int digits);
Number Truncate(const Number& a, int digits);
Number Ceiling(const Number& a);
Number Floor(const Number& a);
int Compare(const Number& a, const Number& b);
// Without zeros at the end of the fraction.
Number TrimScale(Number a);
Number GreatestCommonDivisor(const Number& a, const Number& b);
Number LeastCommonMultiple(const Number& a, const Number& b);
Number Factorial(int64_t n);
// The bucket of "count" equal ones between the bounds that a value is in: 0 before the first, count + 1 behind the last.
int64_t WidthBucket(const Number& value, const Number& low, const Number& high, int32_t count);

// Variance or standard deviation of "count" values, from their sum and the sum of their squares. REQUIRES: count > 1, or
// count > 0 for the population's.
Number Deviation(const Number& count, const Number& sum, const Number& squares, bool sample, bool root);

}  // namespace ivy::engine
