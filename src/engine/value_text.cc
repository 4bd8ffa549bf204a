// SPDX-License-Identifier: Apache-2.0
// Values from text and to text: see the header.
#include "engine/value_text.h"

#include <gmpxx.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include "engine/calendar.h"
#include "engine/error_map.h"
#include "engine/number.h"

namespace ivy::engine {
namespace {

bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

std::string_view Trimmed(std::string_view text) {
    while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
    while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
    return text;
}

bool EqualsIgnoringCase(std::string_view text, std::string_view lower) {
    return std::equal(text.begin(), text.end(), lower.begin(), lower.end(),
                      [](char a, char b) { return Lower(a) == b; });
}

[[noreturn]] void BadSyntax(std::string_view text, const char* type) {
    ThrowSqlError(sqlstate::kInvalidText,
                  std::string("invalid input syntax for type ") + type + ": \"" + std::string(text) + "\"");
}

int DigitValue(char c) {
    if (IsDigit(c)) return c - '0';
    const char lower = Lower(c);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : 99;
}

int BaseOf(std::string_view digits) {
    if (digits.size() < 2 || digits[0] != '0') return 10;
    switch (Lower(digits[1])) {
        case 'x': return 16;
        case 'o': return 8;
        case 'b': return 2;
        default: return 10;
    }
}

}  // namespace

// --- numbers -------------------------------------------------------------------------------------------------------------

int64_t IntegerFromText(std::string_view text, int64_t min, int64_t max, const char* type) {
    const auto out_of_range = [&] {
        ThrowSqlError(sqlstate::kNumericOutOfRange,
                      "value \"" + std::string(text) + "\" is out of range for type " + type);
    };
    std::string_view rest = text;
    while (!rest.empty() && IsSpace(rest.front())) rest.remove_prefix(1);
    const bool negative = rest.starts_with('-');
    if (negative || rest.starts_with('+')) rest.remove_prefix(1);
    const int base = BaseOf(rest);
    if (base != 10) rest.remove_prefix(2);
    const auto limit = static_cast<uint64_t>(-(min / base));
    uint64_t value = 0;
    bool any = false;
    while (!rest.empty()) {
        if (rest[0] == '_' && (any || base != 10) && rest.size() > 1 && DigitValue(rest[1]) < base)
            rest.remove_prefix(1);
        const int digit = DigitValue(rest[0]);
        if (digit >= base) break;
        if (value > limit) out_of_range();
        value = value * static_cast<uint64_t>(base) + static_cast<uint64_t>(digit);
        any = true;
        rest.remove_prefix(1);
    }
    if (!any || !Trimmed(rest).empty()) BadSyntax(text, type);
    if (value > static_cast<uint64_t>(max) + (negative ? 1 : 0)) out_of_range();
    return negative ? static_cast<int64_t>(-value) : static_cast<int64_t>(value);
}

bool BooleanFromText(std::string_view text) {
    const std::string_view word = Trimmed(text);
    const auto begins = [word](std::string_view name, size_t least) {
        return word.size() >= least && word.size() <= name.size() &&
               EqualsIgnoringCase(word, name.substr(0, word.size()));
    };
    if (begins("true", 1) || begins("yes", 1) || begins("on", 2) || word == "1") return true;
    if (begins("false", 1) || begins("no", 1) || begins("off", 2) || word == "0") return false;
    BadSyntax(text, "boolean");
}

template <typename T>
T FloatFromText(std::string_view text) {
    constexpr bool kSingle = sizeof(T) == sizeof(float);
    const char* type = kSingle ? "real" : "double precision";
    const std::string copy(text);
    const char* begin = copy.c_str();
    while (IsSpace(*begin)) begin++;
    if (*begin == '\0') BadSyntax(text, type);
    char* end;
    errno = 0;
    T value;
    if constexpr (kSingle) {
        value = std::strtof(begin, &end);
    } else {
        value = std::strtod(begin, &end);
    }
    if (end == begin) BadSyntax(text, type);
    if (errno == ERANGE && (value == 0 || std::isinf(value))) {
        ThrowSqlError(sqlstate::kNumericOutOfRange, "\"" + std::string(begin, static_cast<size_t>(end - begin)) +
                                                        "\" is out of range for type " + type);
    }
    while (IsSpace(*end)) end++;
    if (*end != '\0') BadSyntax(text, type);
    // NaN has one form.
    return std::isnan(value) ? std::numeric_limits<T>::quiet_NaN() : value;
}
template float FloatFromText<float>(std::string_view);
template double FloatFromText<double>(std::string_view);

std::string NumericFromText(std::string_view text) {
    constexpr int kMaxScale = 16383;
    constexpr int64_t kMaxDigits = 131072;
    const auto bad = [text] { BadSyntax(text, "numeric"); };
    const auto overflow = [] { ThrowSqlError(sqlstate::kNumericOutOfRange, "value overflows numeric format"); };
    std::string_view rest = Trimmed(text);
    if (EqualsIgnoringCase(rest, "nan")) return "NaN";
    const bool negative = rest.starts_with('-');
    if (negative || rest.starts_with('+')) rest.remove_prefix(1);
    if (EqualsIgnoringCase(rest, "infinity") || EqualsIgnoringCase(rest, "inf"))
        return negative ? "-Infinity" : "Infinity";
    const int base = BaseOf(rest);
    if (base != 10) rest.remove_prefix(2);

    std::string digits;
    int64_t scale = 0;
    bool point = false;
    bool after_digit = base != 10;  // where an underscore may stand
    while (!rest.empty()) {
        const char c = rest[0];
        if (c == '_' && after_digit) {
            rest.remove_prefix(1);
            if (rest.empty() || DigitValue(rest[0]) >= base) bad();
            continue;
        }
        if (c == '.' && base == 10 && !point) {
            if (digits.empty() && (rest.size() < 2 || !IsDigit(rest[1]))) bad();
            point = true;
            after_digit = false;
        } else if (DigitValue(c) < base) {
            digits += c;
            if (point) scale++;
            after_digit = true;
        } else {
            break;
        }
        rest.remove_prefix(1);
    }
    if (digits.empty()) bad();
    if (base == 10 && (rest.starts_with('e') || rest.starts_with('E'))) {
        rest.remove_prefix(1);
        const bool minus = rest.starts_with('-');
        if (minus || rest.starts_with('+')) rest.remove_prefix(1);
        if (rest.empty() || !IsDigit(rest[0])) bad();
        int64_t exponent = 0;
        while (!rest.empty()) {
            if (rest[0] == '_') {
                rest.remove_prefix(1);
                if (rest.empty() || !IsDigit(rest[0])) bad();
            }
            if (!IsDigit(rest[0])) break;
            exponent = exponent * 10 + (rest[0] - '0');
            if (exponent > std::numeric_limits<int32_t>::max() / 2) overflow();
            rest.remove_prefix(1);
        }
        scale += minus ? exponent : -exponent;
    }
    if (!rest.empty()) bad();
    Number number;
    number.digits = mpz_class(digits, base);
    if (scale > kMaxScale || (number.digits != 0 && static_cast<int64_t>(digits.size()) - scale > kMaxDigits + 2000))
        overflow();
    if (scale < 0 && number.digits != 0) {
        mpz_class power;
        mpz_ui_pow_ui(power.get_mpz_t(), 10, static_cast<unsigned long>(-scale));
        number.digits *= power;
    }
    number.scale = static_cast<int>(std::max<int64_t>(scale, 0));
    if (number.digits != 0 &&
        static_cast<int64_t>(mpz_class(abs(number.digits)).get_str().size()) - number.scale > kMaxDigits) {
        overflow();
    }
    if (negative) number.digits = -number.digits;
    return number.Text();
}

std::string UuidFromText(std::string_view text) {
    std::string_view rest = text;
    const bool braces = rest.starts_with('{');
    if (braces) rest.remove_prefix(1);
    std::string out;
    for (int i = 0; i < 16; i++) {
        if (rest.size() < 2 || DigitValue(rest[0]) > 15 || DigitValue(rest[1]) > 15) BadSyntax(text, "uuid");
        if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
        out += Lower(rest[0]);
        out += Lower(rest[1]);
        rest.remove_prefix(2);
        if (rest.starts_with('-') && i % 2 == 1 && i < 15) rest.remove_prefix(1);
    }
    if (braces) {
        if (!rest.starts_with('}')) BadSyntax(text, "uuid");
        rest.remove_prefix(1);
    }
    if (!rest.empty()) BadSyntax(text, "uuid");
    return out;
}

// --- floats to text --------------------------------------------------------------------------------------------------------

namespace {

// Whether a decimal, digits * 10^exponent, is exactly halfway between the value and its neighbour. Postgres takes no such
// decimal for the value, as other readers might round it to the neighbour; the standard library does.
template <typename T>
bool IsHalfway(T value, const std::string& digits, int exponent) {
    // Below this, halves of the last bit have more digits than any shortest form.
    constexpr int kMantissa = std::numeric_limits<T>::digits;
    if (value < std::ldexp(T(1), kMantissa) || exponent < 0) return false;
    int binary;
    const auto mantissa = static_cast<int64_t>(std::ldexp(std::frexp(value, &binary), kMantissa));
    binary -= kMantissa;  // value = mantissa * 2^binary
    mpz_class decimal(digits, 10);
    mpz_class power;
    mpz_ui_pow_ui(power.get_mpz_t(), 10, static_cast<unsigned long>(exponent));
    decimal *= power * 4;
    const mpz_class exact = (mpz_class(static_cast<long>(mantissa)) * 4) << static_cast<unsigned long>(binary);
    const mpz_class half = mpz_class(2) << static_cast<unsigned long>(binary);
    // Below a power of two the neighbour is only half as far away.
    const bool power_of_two = mantissa == int64_t{1} << (kMantissa - 1);
    const mpz_class half_below = power_of_two ? mpz_class(half / 2) : half;
    return decimal == exact + half || decimal == exact - half_below;
}

// The shortest digits and the exponent of ten of the first one.
template <typename T>
std::string ShortestDigits(T value, int* exponent) {
    char text[64];
    const auto parse = [&](const char* end) {
        const std::string_view whole(text, static_cast<size_t>(end - text));
        const size_t e = whole.find('e');
        std::string digits(whole.substr(0, e));
        std::erase(digits, '.');
        *exponent = std::atoi(std::string(whole.substr(e + 1)).c_str());
        const size_t last = digits.find_last_not_of('0');
        digits.resize(std::max<size_t>(last == digits.npos ? 1 : last + 1, 1));
        return digits;
    };
    std::string digits = parse(std::to_chars(text, text + sizeof text, value, std::chars_format::scientific).ptr);
    for (auto count = static_cast<int>(digits.size()) + 1;
         IsHalfway(value, digits, *exponent - static_cast<int>(digits.size()) + 1); count++) {
        std::snprintf(text, sizeof text, "%.*e", count - 1, static_cast<double>(value));
        digits = parse(text + std::string_view(text).size());
    }
    return digits;
}

template <typename T>
std::string FloatTextOf(T value, int extra) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
    constexpr int kDigits = std::numeric_limits<T>::digits10;
    std::string out = std::signbit(value) ? "-" : "";
    if (value == 0) return out + "0";
    if (extra <= 0) {
        char text[64];
        std::snprintf(text, sizeof text, "%.*g", std::max(kDigits + extra, 1), std::abs(static_cast<double>(value)));
        return out + text;
    }
    int exponent;
    std::string digits = ShortestDigits(std::abs(value), &exponent);
    const auto count = static_cast<int>(digits.size());
    if (exponent < -4 || exponent >= kDigits) {
        out += digits[0];
        if (count > 1) out += "." + digits.substr(1);
        char text[16];
        std::snprintf(text, sizeof text, "e%c%02d", exponent < 0 ? '-' : '+', std::abs(exponent));
        return out + text;
    }
    if (exponent < 0) return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
    if (count <= exponent + 1) return out + digits + std::string(static_cast<size_t>(exponent + 1 - count), '0');
    return out + digits.substr(0, static_cast<size_t>(exponent) + 1) + "." +
           digits.substr(static_cast<size_t>(exponent) + 1);
}

}  // namespace

std::string FloatText(double value, int extra_float_digits) { return FloatTextOf(value, extra_float_digits); }
std::string FloatText(float value, int extra_float_digits) { return FloatTextOf(value, extra_float_digits); }

// --- dates and times from text ---------------------------------------------------------------------------------------------

namespace {

// Takes parts off the front of a text.
class Reader {
  public:
    Reader(std::string_view text, std::string_view whole, const char* type) : rest_(text), whole_(whole), type_(type) {}

    bool Done() const { return rest_.empty(); }
    char Peek() const { return rest_.empty() ? '\0' : rest_[0]; }
    bool Take(char c) {
        if (Peek() != c) return false;
        rest_.remove_prefix(1);
        return true;
    }
    bool TakeWord(std::string_view lower) {
        if (rest_.size() < lower.size() || !EqualsIgnoringCase(rest_.substr(0, lower.size()), lower)) return false;
        rest_.remove_prefix(lower.size());
        return true;
    }
    void TakeSpaces() {
        while (Take(' ')) {
        }
    }
    size_t Digits() const {
        return static_cast<size_t>(std::find_if_not(rest_.begin(), rest_.end(), IsDigit) - rest_.begin());
    }
    // A number of "least" to "most" digits; with "cut", more may follow.
    int64_t TakeNumber(size_t least, size_t most, bool cut = false) {
        size_t count = Digits();
        if (cut) count = std::min(count, most);
        if (count < least || count > most) Unknown();
        int64_t value = 0;
        std::from_chars(rest_.data(), rest_.data() + count, value);
        rest_.remove_prefix(count);
        return value;
    }
    // Digits behind a point as microseconds.
    int64_t TakeFraction() {
        const size_t count = Digits();
        if (count == 0) return 0;
        const double fraction = std::strtod(("0." + std::string(rest_.substr(0, count))).c_str(), nullptr);
        rest_.remove_prefix(count);
        return static_cast<int64_t>(std::rint(fraction * 1000000.0));
    }
    [[noreturn]] void Unknown() const {
        ThrowSqlError(sqlstate::kFeatureNotSupported,
                      std::string("form of a value of type ") + type_ + ": \"" + std::string(whole_) + "\"");
    }
    [[noreturn]] void OutOfRange() const {
        ThrowSqlError(sqlstate::kDatetimeOverflow,
                      "date/time field value out of range: \"" + std::string(whole_) + "\"");
    }

  private:
    std::string_view rest_;
    std::string_view whole_;
    const char* type_;
};

}  // namespace

TextStamp StampFromText(std::string_view text, const char* type) {
    Reader reader(Trimmed(text), text, type);
    TextStamp stamp;
    if (reader.TakeWord("infinity") || reader.TakeWord("+infinity") || reader.TakeWord("-infinity")) {
        if (!reader.Done()) reader.Unknown();
        stamp.infinity = Trimmed(text)[0] == '-' ? -1 : 1;
        return stamp;
    }
    Date date{};
    if (reader.Digits() == 8) {
        date.year = reader.TakeNumber(4, 4, true);
        date.month = reader.TakeNumber(2, 2, true);
        date.day = reader.TakeNumber(2, 2);
        if (!reader.Done() && reader.Peek() != ' ' && reader.Peek() != 'T') reader.Unknown();
    } else {
        date.year = reader.TakeNumber(4, 7);
        const char separator = reader.Peek();
        if (separator != '-' && separator != '/') reader.Unknown();
        reader.Take(separator);
        date.month = reader.TakeNumber(1, 2);
        if (!reader.Take(separator)) reader.Unknown();
        date.day = reader.TakeNumber(1, 2);
    }
    if (!reader.Done()) {
        const bool blank = reader.Peek() == ' ';
        if (blank) {
            reader.TakeSpaces();
        } else if (!reader.Take('T') && !reader.Take('t')) {
            reader.Unknown();
        }
        if (!blank || IsDigit(reader.Peek())) {
            const int64_t hour = reader.TakeNumber(1, 2);
            if (!reader.Take(':')) reader.Unknown();
            const int64_t minute = reader.TakeNumber(2, 2);
            const int64_t second = reader.Take(':') ? reader.TakeNumber(2, 2) : 0;
            const int64_t micros = reader.Take('.') ? reader.TakeFraction() : 0;
            if (hour > 23 || minute > 59 || second > 59) reader.Unknown();
            stamp.time = ((hour * 60 + minute) * 60 + second) * 1000000 + micros;
            if (reader.Take('Z') || reader.Take('z')) {
                stamp.has_offset = true;
            } else if (reader.Peek() == '+' || reader.Peek() == '-') {
                const bool west = reader.Take('-');
                if (!west) reader.Take('+');
                stamp.has_offset = true;
                const bool packed = reader.Digits() == 4;
                const int64_t hours = reader.TakeNumber(packed ? 2 : 1, 2, packed);
                const int64_t minutes = packed || reader.Take(':') ? reader.TakeNumber(2, 2) : 0;
                const int64_t seconds = !packed && reader.Take(':') ? reader.TakeNumber(2, 2) : 0;
                if (hours > 15 || minutes > 59 || seconds > 59) reader.Unknown();
                stamp.offset = (hours * 3600 + minutes * 60 + seconds) * (west ? -1 : 1);
            }
            reader.TakeSpaces();
        }
        const bool before_christ = reader.TakeWord("bc");
        if (!reader.Done()) reader.Unknown();
        if (before_christ && date.year > 0)
            date.year = 1 - date.year;
        else if (date.year == 0)
            reader.OutOfRange();
    } else if (date.year == 0) {
        reader.OutOfRange();
    }
    if (date.month < 1 || date.month > 12 || date.day < 1 || date.day > DaysInMonth(date.year, date.month))
        reader.OutOfRange();
    stamp.days = ToDays(date);
    if (stamp.days < kFirstDay) reader.Unknown();
    return stamp;
}

// --- dates and times to text -----------------------------------------------------------------------------------------------

namespace {

void AppendPadded(int64_t value, int width, std::string* out) {
    char text[32];
    std::snprintf(text, sizeof text, "%0*lld", width, static_cast<long long>(value));
    *out += text;
}

void AppendTime(int64_t micros, std::string* out) {
    AppendPadded(micros / 3600000000, 2, out);
    *out += ':';
    AppendPadded(micros / 60000000 % 60, 2, out);
    *out += ':';
    AppendPadded(micros / 1000000 % 60, 2, out);
    if (const int64_t rest = micros % 1000000; rest != 0) {
        *out += '.';
        AppendPadded(rest, 6, out);
        out->resize(out->find_last_not_of('0') + 1);
    }
}

void AppendDate(const Date& date, std::string* out) {
    AppendPadded(date.year > 0 ? date.year : 1 - date.year, 4, out);
    *out += '-';
    AppendPadded(date.month, 2, out);
    *out += '-';
    AppendPadded(date.day, 2, out);
}

}  // namespace

std::string DateText(int64_t days) {
    const Date date = FromDays(days);
    std::string out;
    AppendDate(date, &out);
    return date.year <= 0 ? out + " BC" : out;
}

std::string TimeText(int64_t micros) {
    std::string out;
    AppendTime(micros, &out);
    return out;
}

std::string StampText(int64_t local_micros) { return StampText(local_micros, ""); }

std::string StampText(int64_t local_micros, std::string_view offset) {
    const int64_t days = FloorDivide(local_micros, kDayMicros);
    const Date date = FromDays(days);
    std::string out;
    AppendDate(date, &out);
    out += ' ';
    AppendTime(local_micros - days * kDayMicros, &out);
    out += offset;
    return date.year <= 0 ? out + " BC" : out;
}

std::string OffsetText(int64_t seconds) {
    const int64_t size = std::abs(seconds);
    std::string out(1, seconds >= 0 ? '+' : '-');
    AppendPadded(size / 3600, 2, &out);
    if (size % 3600 == 0) return out;
    out += ':';
    AppendPadded(size / 60 % 60, 2, &out);
    if (size % 60 == 0) return out;
    out += ':';
    AppendPadded(size % 60, 2, &out);
    return out;
}

std::string IntervalText(int64_t months, int64_t days, int64_t micros) {
    std::string out;
    bool after_negative = false;
    const auto part = [&](int64_t value, const char* unit) {
        if (value == 0) return;
        if (!out.empty()) out += ' ';
        if (after_negative && value > 0) out += '+';
        out += std::to_string(value) + " " + unit + (value != 1 ? "s" : "");
        after_negative = value < 0;
    };
    part(months / 12, "year");
    part(months % 12, "mon");
    part(days, "day");
    if (out.empty() || micros != 0) {
        if (!out.empty()) out += ' ';
        if (micros < 0) {
            out += '-';
        } else if (after_negative) {
            out += '+';
        }
        // The smallest value has no positive counterpart; it is that of an infinite interval, which isn't shown here.
        AppendTime(std::abs(micros), &out);
    }
    return out;
}

}  // namespace ivy::engine
