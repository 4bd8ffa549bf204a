// SPDX-License-Identifier: Apache-2.0
// Number: see the header.
#include "engine/number.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include "engine/error_map.h"

namespace ivy::engine {
namespace {

// Limits of the server's format.
constexpr int kMaxScale = 16383;       // of any value
constexpr int kMaxResultScale = 1000;  // chosen for a quotient or a root
constexpr int kMinSignificantDigits = 16;
constexpr int kMaxDigitsBeforePoint = 131072;
// The server counts in groups of four decimal digits; its choice of scales shows it.
constexpr int kGroup = 4;

mpz_class PowerOfTen(int exponent) {
    mpz_class power;
    mpz_ui_pow_ui(power.get_mpz_t(), 10, static_cast<unsigned long>(exponent));
    return power;
}

[[noreturn]] void DivisionByZero() { ThrowSqlError(sqlstate::kDivisionByZero, "division by zero"); }
[[noreturn]] void NegativeRoot() { ThrowSqlError("2201F", "cannot take square root of a negative number"); }

int FloorDivide(int a, int b) { return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0); }

// a / b rounded half away from zero, or toward zero.
mpz_class DivideRounded(const mpz_class& a, const mpz_class& b, bool round) {
    mpz_class quotient;
    mpz_class rest;
    mpz_tdiv_qr(quotient.get_mpz_t(), rest.get_mpz_t(), a.get_mpz_t(), b.get_mpz_t());
    if (round && mpz_cmpabs(mpz_class(rest * 2).get_mpz_t(), b.get_mpz_t()) >= 0) quotient += sgn(a) * sgn(b);
    return quotient;
}

// "digits" counted in units of 10^-from, counted in 10^-to.
mpz_class Shift(const mpz_class& digits, int from, int to, bool round) {
    if (to >= from) return digits * PowerOfTen(to - from);
    return DivideRounded(digits, PowerOfTen(from - to), round);
}

Number Checked(Number value) {
    // A quick look first: a decimal digit is more than three bits.
    if (mpz_sizeinbase(value.digits.get_mpz_t(), 2) < 3 * kMaxDigitsBeforePoint) return value;
    if (static_cast<int64_t>(value.digits.get_str().size()) - value.scale - (sgn(value.digits) < 0 ? 1 : 0) >
        kMaxDigitsBeforePoint) {
        ThrowSqlError(sqlstate::kNumericOutOfRange, "value overflows numeric format");
    }
    return value;
}

// The first group of four digits that isn't zero: its place and its value. Zero has place 0 and value 0.
struct Leading {
    int weight = 0;
    int value = 0;
};

Leading LeadingGroup(const Number& number) {
    Leading leading;
    if (sgn(number.digits) == 0) return leading;
    const mpz_class magnitude = abs(number.digits);
    const std::string text = magnitude.get_str();
    const int exponent = static_cast<int>(text.size()) - 1 - number.scale;  // of the first digit
    leading.weight = FloorDivide(exponent, kGroup);
    const int count = exponent - kGroup * leading.weight + 1;
    for (int i = 0; i < count; i++) {
        leading.value =
            leading.value * 10 + (i < static_cast<int>(text.size()) ? text[static_cast<size_t>(i)] - '0' : 0);
    }
    return leading;
}

int QuotientScale(const Number& a, const Number& b) {
    const Leading first = LeadingGroup(a);
    const Leading second = LeadingGroup(b);
    const int weight = first.weight - second.weight - (first.value <= second.value ? 1 : 0);
    return std::min(std::max({kMinSignificantDigits - weight * kGroup, a.scale, b.scale, 0}), kMaxResultScale);
}

Number RootTo(const Number& a, int scale) {
    // floor(sqrt(digits * 10^(2 * (scale + 1) - a.scale))) has one digit more than wanted, which rounds.
    const int shift = 2 * (scale + 1) - a.scale;
    mpz_class radicand = Shift(a.digits, 0, shift, false);
    Number result;
    result.scale = scale;
    result.digits = DivideRounded(sqrt(radicand), 10, true);
    return result;
}

Number RoundTo(const Number& a, int digits, bool round) {
    if (!a.IsFinite()) return a;
    digits = std::clamp(digits, -kMaxDigitsBeforePoint - 1, kMaxScale);
    Number result;
    result.scale = std::max(digits, 0);
    result.digits = digits >= a.scale ? a.digits * PowerOfTen(digits - a.scale)
                                      : Shift(Shift(a.digits, a.scale, digits, round), digits, result.scale, false);
    return Checked(std::move(result));
}

}  // namespace

int Number::Sign() const {
    switch (kind) {
        case Kind::kFinite: return sgn(digits);
        case Kind::kMinusInfinity: return -1;
        default: return 1;
    }
}

Number Number::Parse(std::string_view text) {
    const auto bad = [text] {
        ThrowSqlError(sqlstate::kInvalidText, "invalid input syntax for type numeric: \"" + std::string(text) + "\"");
    };
    if (text == "NaN") return NaN();
    if (text == "Infinity") return Infinity(1);
    if (text == "-Infinity") return Infinity(-1);
    const bool negative = text.starts_with('-');
    size_t at = negative ? 1 : 0;
    Number number;
    std::string digits;
    int64_t small = 0;
    size_t count = 0;
    bool point = false;
    for (; at < text.size(); at++) {
        const char c = text[at];
        if (c >= '0' && c <= '9') {
            // Up to 18 digits fit into 64 bits.
            if (count < 18) {
                small = small * 10 + (c - '0');
            } else {
                if (count == 18) digits = text.substr(negative ? 1 : 0, at - (negative ? 1 : 0));
                digits += c;
            }
            count++;
            if (point) number.scale++;
        } else if (c == '.' && !point) {
            point = true;
        } else {
            break;
        }
    }
    if (count == 0) bad();
    if (count <= 18) {
        number.digits = static_cast<long>(small);
    } else {
        std::erase(digits, '.');
        number.digits = mpz_class(digits, 10);
    }
    if (negative) number.digits = -number.digits;
    if (at < text.size()) {
        if (text[at] != 'e' && text[at] != 'E') bad();
        const std::string exponent(text.substr(at + 1));
        char* end = nullptr;
        const long value = std::strtol(exponent.c_str(), &end, 10);
        if (exponent.empty() || *end != '\0' || value > kMaxDigitsBeforePoint || value < -kMaxScale) bad();
        const int scale = number.scale - static_cast<int>(value);
        if (scale < 0) number.digits *= PowerOfTen(-scale);
        number.scale = std::max(scale, 0);
    }
    return number;
}

Number Number::FromDouble(double value, int significant_digits) {
    if (std::isnan(value)) return NaN();
    if (std::isinf(value)) return Infinity(value < 0 ? -1 : 1);
    char text[64];
    std::snprintf(text, sizeof text, "%.*g", significant_digits, value);
    Number number = Parse(text);
    return number;
}

std::string Number::Text() const {
    switch (kind) {
        case Kind::kNaN: return "NaN";
        case Kind::kInfinity: return "Infinity";
        case Kind::kMinusInfinity: return "-Infinity";
        default: break;
    }
    std::string text = digits.fits_slong_p() ? std::to_string(digits.get_si()) : digits.get_str();
    if (scale == 0) return text;
    const size_t sign = text[0] == '-' ? 1 : 0;
    const auto wanted = static_cast<size_t>(scale) + 1;
    if (text.size() - sign < wanted) text.insert(sign, wanted - (text.size() - sign), '0');
    text.insert(text.size() - static_cast<size_t>(scale), 1, '.');
    return text;
}

// One byte for the class of the value, three for the exponent, then two decimal digits a byte without zeros at the end,
// and an end that is below any digits. Those of negative numbers are complemented.
std::string Number::Key() const {
    switch (kind) {
        case Kind::kMinusInfinity: return std::string(1, '\x01');
        case Kind::kInfinity: return std::string(1, '\x05');
        case Kind::kNaN: return std::string(1, '\x06');
        default: break;
    }
    const int sign = sgn(digits);
    if (sign == 0) return std::string(1, '\x03');
    std::string text = digits.fits_slong_p() ? std::to_string(digits.get_si()) : digits.get_str();
    if (sign < 0) text.erase(0, 1);
    const int exponent = static_cast<int>(text.size()) - scale + (1 << 22);
    text.resize(text.find_last_not_of('0') + 1);
    if (text.size() % 2 != 0) text += '0';
    std::string key;
    key += static_cast<char>(exponent >> 16);
    key += static_cast<char>(exponent >> 8);
    key += static_cast<char>(exponent);
    for (size_t i = 0; i < text.size(); i += 2) key += static_cast<char>((text[i] - '0') * 10 + text[i + 1] - '0' + 1);
    key += '\0';
    if (sign < 0) {
        for (char& c : key) c = static_cast<char>(~c);
    }
    return (sign < 0 ? '\x02' : '\x04') + key;
}

template <typename T>
T Number::ToFloat() const {
    switch (kind) {
        case Kind::kNaN: return std::numeric_limits<T>::quiet_NaN();
        case Kind::kInfinity: return std::numeric_limits<T>::infinity();
        case Kind::kMinusInfinity: return -std::numeric_limits<T>::infinity();
        default: break;
    }
    const std::string text = Text();
    T value;
    errno = 0;
    if constexpr (sizeof(T) == sizeof(float)) {
        value = std::strtof(text.c_str(), nullptr);
    } else {
        value = std::strtod(text.c_str(), nullptr);
    }
    if (errno == ERANGE && (value == 0 || std::isinf(value))) {
        ThrowSqlError(sqlstate::kNumericOutOfRange, "\"" + text + "\" is out of range for type " +
                                                        (sizeof(T) == sizeof(float) ? "real" : "double precision"));
    }
    return value;
}
template float Number::ToFloat<float>() const;
template double Number::ToFloat<double>() const;

int64_t Number::ToInteger(int64_t min, int64_t max, const char* type_name) const {
    if (IsNaN()) ThrowSqlError(sqlstate::kFeatureNotSupported, std::string("cannot convert NaN to ") + type_name);
    if (!IsFinite())
        ThrowSqlError(sqlstate::kFeatureNotSupported, std::string("cannot convert infinity to ") + type_name);
    const Number rounded = Round(*this, 0);
    if (!rounded.digits.fits_slong_p() || rounded.digits.get_si() < min || rounded.digits.get_si() > max) {
        ThrowSqlError(sqlstate::kNumericOutOfRange, std::string(type_name) + " out of range");
    }
    return rounded.digits.get_si();
}

Number Add(const Number& a, const Number& b) {
    if (a.IsNaN() || b.IsNaN()) return Number::NaN();
    if (!a.IsFinite() && !b.IsFinite()) return a.kind == b.kind ? a : Number::NaN();
    if (!a.IsFinite()) return a;
    if (!b.IsFinite()) return b;
    Number sum;
    sum.scale = std::max(a.scale, b.scale);
    if (a.scale == b.scale) {
        sum.digits = a.digits + b.digits;
    } else {
        sum.digits = Shift(a.digits, a.scale, sum.scale, false) + Shift(b.digits, b.scale, sum.scale, false);
    }
    return Checked(std::move(sum));
}

Number Negate(Number a) {
    if (a.kind == Number::Kind::kInfinity) return Number::Infinity(-1);
    if (a.kind == Number::Kind::kMinusInfinity) return Number::Infinity(1);
    a.digits = -a.digits;
    return a;
}

Number Subtract(const Number& a, const Number& b) { return Add(a, Negate(b)); }

Number MultiplyExactly(const Number& a, const Number& b) {
    if (a.IsNaN() || b.IsNaN()) return Number::NaN();
    if (!a.IsFinite() || !b.IsFinite()) {
        const int sign = a.Sign() * b.Sign();
        return sign == 0 ? Number::NaN() : Number::Infinity(sign);
    }
    Number product;
    product.scale = a.scale + b.scale;
    product.digits = a.digits * b.digits;
    return product;
}

Number Multiply(const Number& a, const Number& b) {
    Number product = MultiplyExactly(a, b);
    if (product.scale > kMaxScale) return RoundTo(product, kMaxScale, true);
    return Checked(std::move(product));
}

Number Divide(const Number& a, const Number& b) {
    if (a.IsNaN() || b.IsNaN()) return Number::NaN();
    if (!a.IsFinite()) {
        if (!b.IsFinite()) return Number::NaN();
        if (b.Sign() == 0) DivisionByZero();
        return Number::Infinity(a.Sign() * b.Sign());
    }
    if (!b.IsFinite()) return Number::FromInteger(0);
    if (b.Sign() == 0) DivisionByZero();
    Number quotient;
    quotient.scale = QuotientScale(a, b);
    const int shift = quotient.scale - a.scale + b.scale;
    quotient.digits = shift >= 0 ? DivideRounded(a.digits * PowerOfTen(shift), b.digits, true)
                                 : DivideRounded(a.digits, b.digits * PowerOfTen(-shift), true);
    return Checked(std::move(quotient));
}

Number DivideToInteger(const Number& a, const Number& b) {
    if (a.IsNaN() || b.IsNaN()) return Number::NaN();
    if (!a.IsFinite()) {
        if (!b.IsFinite()) return Number::NaN();
        if (b.Sign() == 0) DivisionByZero();
        return Number::Infinity(a.Sign() * b.Sign());
    }
    if (!b.IsFinite()) return Number::FromInteger(0);
    if (b.Sign() == 0) DivisionByZero();
    const int scale = std::max(a.scale, b.scale);
    Number quotient;
    quotient.digits =
        DivideRounded(Shift(a.digits, a.scale, scale, false), Shift(b.digits, b.scale, scale, false), false);
    return Checked(std::move(quotient));
}

Number Modulo(const Number& a, const Number& b) {
    if (a.IsNaN() || b.IsNaN()) return Number::NaN();
    if (!a.IsFinite()) {
        if (b.Sign() == 0) DivisionByZero();
        return Number::NaN();
    }
    if (!b.IsFinite()) return a;
    if (b.Sign() == 0) DivisionByZero();
    Number rest;
    rest.scale = std::max(a.scale, b.scale);
    const mpz_class dividend = Shift(a.digits, a.scale, rest.scale, false);
    const mpz_class divisor = Shift(b.digits, b.scale, rest.scale, false);
    mpz_tdiv_r(rest.digits.get_mpz_t(), dividend.get_mpz_t(), divisor.get_mpz_t());
    return rest;
}

Number Round(const Number& a, int digits) { return RoundTo(a, digits, true); }
Number Truncate(const Number& a, int digits) { return RoundTo(a, digits, false); }

Number Ceiling(const Number& a) {
    if (!a.IsFinite()) return a;
    Number result;
    const mpz_class unit = PowerOfTen(a.scale);
    mpz_cdiv_q(result.digits.get_mpz_t(), a.digits.get_mpz_t(), unit.get_mpz_t());
    return result;
}

Number Floor(const Number& a) {
    if (!a.IsFinite()) return a;
    Number result;
    const mpz_class unit = PowerOfTen(a.scale);
    mpz_fdiv_q(result.digits.get_mpz_t(), a.digits.get_mpz_t(), unit.get_mpz_t());
    return result;
}

Number SquareRoot(const Number& a) {
    if (a.kind == Number::Kind::kMinusInfinity || (a.IsFinite() && sgn(a.digits) < 0)) NegativeRoot();
    if (!a.IsFinite()) return a;
    const int before_point = LeadingGroup(a).weight * kGroup / 2 + 1;
    const int scale = std::min(std::max({kMinSignificantDigits - before_point, a.scale, 0}), kMaxResultScale);
    return RootTo(a, scale);
}

int Compare(const Number& a, const Number& b) {
    const auto rank = [](const Number& n) {
        switch (n.kind) {
            case Number::Kind::kMinusInfinity: return -1;
            case Number::Kind::kInfinity: return 1;
            case Number::Kind::kNaN: return 2;
            default: return 0;
        }
    };
    if (rank(a) != rank(b)) return rank(a) < rank(b) ? -1 : 1;
    if (!a.IsFinite()) return 0;
    const int scale = std::max(a.scale, b.scale);
    return cmp(Shift(a.digits, a.scale, scale, false), Shift(b.digits, b.scale, scale, false));
}

Number TrimScale(Number a) {
    while (a.IsFinite() && a.scale > 0 && mpz_divisible_ui_p(a.digits.get_mpz_t(), 10)) {
        a.digits /= 10;
        a.scale--;
    }
    return a;
}

Number GreatestCommonDivisor(const Number& a, const Number& b) {
    if (!a.IsFinite() || !b.IsFinite()) return Number::NaN();
    Number result;
    result.scale = std::max(a.scale, b.scale);
    result.digits = gcd(Shift(a.digits, a.scale, result.scale, false), Shift(b.digits, b.scale, result.scale, false));
    return result;
}

Number LeastCommonMultiple(const Number& a, const Number& b) {
    if (!a.IsFinite() || !b.IsFinite()) return Number::NaN();
    Number result;
    result.scale = std::max(a.scale, b.scale);
    result.digits = lcm(Shift(a.digits, a.scale, result.scale, false), Shift(b.digits, b.scale, result.scale, false));
    return Checked(std::move(result));
}

Number Factorial(int64_t n) {
    constexpr int64_t kLargest = 32177;  // whose factorial has not too many digits
    if (n < 0) ThrowSqlError(sqlstate::kNumericOutOfRange, "factorial of a negative number is undefined");
    if (n > kLargest) ThrowSqlError(sqlstate::kNumericOutOfRange, "value overflows numeric format");
    Number result;
    mpz_fac_ui(result.digits.get_mpz_t(), static_cast<unsigned long>(n));
    return result;
}

int64_t WidthBucket(const Number& value, const Number& low, const Number& high, int32_t count) {
    constexpr char kInvalidArgument[] = "2201G";
    if (count <= 0) ThrowSqlError(kInvalidArgument, "count must be greater than zero");
    if (value.IsNaN() || low.IsNaN() || high.IsNaN()) {
        ThrowSqlError(kInvalidArgument, "operand, lower bound, and upper bound cannot be NaN");
    }
    if (!low.IsFinite() || !high.IsFinite()) ThrowSqlError(kInvalidArgument, "lower and upper bounds must be finite");
    const int order = Compare(low, high);
    if (order == 0) ThrowSqlError(kInvalidArgument, "lower bound cannot equal upper bound");
    if (Compare(value, low) * order > 0) return 0;
    if (Compare(value, high) * order <= 0) return int64_t{count} + 1;
    const Number distance = MultiplyExactly(Subtract(value, low), Number::FromInteger(count));
    return DivideToInteger(distance, Subtract(high, low)).digits.get_si() + 1;
}

Number Deviation(const Number& count, const Number& sum, const Number& squares, bool sample, bool root) {
    if (!sum.IsFinite() || !squares.IsFinite()) return Number::NaN();
    // The sum's scale is the largest of the values', so nothing here has more than twice as many digits.
    const Number numerator = Subtract(MultiplyExactly(count, squares), MultiplyExactly(sum, sum));
    if (numerator.Sign() <= 0) return Number::FromInteger(0);
    const Number divisor = Multiply(count, sample ? Subtract(count, Number::FromInteger(1)) : count);
    const Number variance = Divide(numerator, divisor);
    return root ? RootTo(variance, variance.scale) : variance;
}

}  // namespace ivy::engine
