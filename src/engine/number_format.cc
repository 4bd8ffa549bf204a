// SPDX-License-Identifier: Apache-2.0
// NumberFormat: see the header.
#include "engine/number_format.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "engine/error_map.h"

namespace ivy::engine {
namespace {

constexpr char kSyntaxError[] = "42601";

constexpr const char* kNames[] = {",", ".",  "0",  "9",  "B",  "C",  "D",  "EEEE", "FM", "G",
                                  "L", "MI", "PL", "PR", "RN", "SG", "SP", "S",    "TH", "V"};

char Upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }

// The name that the picture begins with, in capital or in small letters, or null.
const char* FindName(std::string_view picture, bool* upper) {
    for (const char* candidate : kNames) {
        const std::string_view name(candidate);
        if (picture.size() < name.size()) continue;
        const std::string_view part = picture.substr(0, name.size());
        const bool capital = part == name;
        const bool small = std::equal(name.begin(), name.end(), part.begin(),
                                      [](char n, char c) { return n == Upper(c) && (c < 'A' || c > 'Z'); });
        if (!capital && !small) continue;
        *upper = capital;
        return candidate;
    }
    return nullptr;
}

[[noreturn]] void Wrong(const char* message) { ThrowSqlError(kSyntaxError, message); }

const char* OrdinalEnding(std::string_view digits, bool upper) {
    const char last = digits.back();
    if (last < '0' || last > '9') {
        ThrowSqlError(sqlstate::kInvalidText, "\"" + std::string(digits) + "\" is not a number");
    }
    const bool teen = digits.size() > 1 && digits[digits.size() - 2] == '1';
    const int index = teen || last < '1' || last > '3' ? 3 : last - '1';
    constexpr const char* kSmall[] = {"st", "nd", "rd", "th"};
    constexpr const char* kCapital[] = {"ST", "ND", "RD", "TH"};
    return upper ? kCapital[index] : kSmall[index];
}

}  // namespace

NumberFormat::NumberFormat(std::string_view picture) {
    while (!picture.empty()) {
        bool upper;
        if (const char* name = FindName(picture, &upper)) {
            Add(name, upper);
            picture.remove_prefix(std::string_view(name).size());
            continue;
        }
        const auto literal = [&] {
            items_.push_back({Kind::kLiteral, false, std::string(picture.substr(0, 1))});
            picture.remove_prefix(1);
        };
        if (picture[0] == '"') {
            picture.remove_prefix(1);
            while (!picture.empty() && picture[0] != '"') {
                if (picture[0] == '\\' && picture.size() > 1) picture.remove_prefix(1);
                literal();
            }
            if (!picture.empty()) picture.remove_prefix(1);
            continue;
        }
        if (picture.starts_with("\\\"")) picture.remove_prefix(1);
        literal();
    }
}

void NumberFormat::Add(std::string_view name, bool upper) {
    Kind kind = Kind::kNothing;
    if (name == "9" || name == "0") {
        const bool zero = name == "0";
        kind = zero ? Kind::kZero : Kind::kNine;
        if (bracket_) Wrong(zero ? "\"0\" must be ahead of \"PR\"" : "\"9\" must be ahead of \"PR\"");
        if (zero && !zero_ && !point_) {
            zero_ = true;
            zero_start_ = before_;
        }
        (point_ ? after_ : before_)++;
        if (zero) zero_end_ = before_ + after_;
    } else if (name == "." || name == "D") {
        kind = name == "." ? Kind::kPoint : Kind::kLocalPoint;
        if (point_) Wrong("multiple decimal points");
        point_ = true;
    } else if (name == ",") {
        kind = Kind::kComma;
    } else if (name == "G") {
        kind = Kind::kGroup;
    } else if (name == "FM") {
        fill_ = false;
    } else if (name == "MI") {
        kind = Kind::kMinus;
        minus_ = true;
    } else if (name == "PL") {
        kind = Kind::kPlus;
        plus_ = true;
    } else if (name == "SG") {
        kind = Kind::kSign;
        minus_ = plus_ = true;
    } else if (name == "PR") {
        if (plus_ || minus_) Wrong("cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together");
        bracket_ = true;
    } else if (name == "TH") {
        kind = Kind::kOrdinal;
    } else {
        ThrowSqlError(sqlstate::kFeatureNotSupported, "\"" + std::string(name) + "\" in number formats");
    }
    items_.push_back({kind, upper, {}});
}

// One number on its way through the picture.
class NumberFormat::Run {
  public:
    Run(const NumberFormat& format, std::string digits, bool negative, int after, int spaces, std::string_view point)
        : f_(format), digits_(std::move(digits)), negative_(negative), after_(after), spaces_(spaces), point_(point) {
        bracket_ = f_.bracket_;
        if (f_.plus_ || f_.minus_) {
            sign_written_ = f_.minus_;
        } else {
            if (!negative_ && !f_.fill_) bracket_ = false;
            sign_written_ = !negative_ && !f_.fill_;
        }
        places_ = after_ + f_.before_ - 1;
        if (!f_.fill_ && f_.point_) FindLastRelevant();
        if (!sign_written_ && spaces_ == 0) places_++;
    }

    void Digit(Kind kind) {
        const bool leading_zero = f_.zero_ && f_.zero_start_ <= place_;
        if (!sign_written_ && (place_ >= spaces_ || (f_.zero_ && f_.zero_start_ == place_)) &&
            (!BeforePointSpace() || (has_relevant_ && RelevantIsPoint()))) {
            WriteSign();
        }
        in_number_ = false;
        if (place_ < spaces_) {
            if (leading_zero) {
                out_ += '0';
                in_number_ = true;
            } else if (f_.fill_) {
                out_ += ' ';
            }
        } else {
            WriteNext(kind);
            if (at_ < digits_.size()) at_++;
        }
        int end = places_ + (spaces_ != 0 ? 1 : 0) + (f_.point_ ? 1 : 0);
        if (has_relevant_ && relevant_ == at_) end = place_;
        if (place_ + 1 == end && sign_written_ && bracket_) out_ += negative_ ? '>' : ' ';
        place_++;
    }

    void Separator(std::string_view text) {
        if (in_number_) {
            out_ += text;
        } else if (f_.fill_) {
            const auto continues = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; };
            out_.append(text.size() - static_cast<size_t>(std::count_if(text.begin(), text.end(), continues)), ' ');
        }
    }
    void Mark(bool shown, char mark) {
        if (shown) {
            out_ += mark;
        } else if (f_.fill_) {
            out_ += ' ';
        }
    }
    void Ordinal(bool upper) {
        if (digits_.starts_with('#') || negative_ || f_.point_) return;
        out_ += OrdinalEnding(digits_, upper);
    }
    void Literal(std::string_view text) { out_ += text; }
    bool negative() const { return negative_; }
    std::string Take() {
        out_.resize(std::min(end_, out_.size()));
        return std::move(out_);
    }

  private:
    // With FM, zeros at the end are left out, but for those that the picture asks for with 0.
    void FindLastRelevant() {
        const size_t point = digits_.find('.');
        if (point == digits_.npos) return;
        has_relevant_ = true;
        relevant_ = std::max(point, digits_.find_last_not_of('0'));
        if (f_.zero_end_ > spaces_) {
            const size_t wanted = std::min(digits_.size() - 1, static_cast<size_t>(f_.zero_end_ - spaces_));
            relevant_ = std::max(relevant_, wanted);
        }
    }
    bool RelevantIsPoint() const { return digits_[relevant_] == '.'; }
    // "0.1" by "9.9" is " .1".
    bool BeforePointSpace() const { return !f_.zero_ && at_ == 0 && digits_.starts_with('0') && after_ != 0; }

    void WriteSign() {
        if (bracket_) {
            out_ += negative_ ? '<' : ' ';
        } else if (negative_) {
            out_ += '-';
        } else if (f_.fill_) {
            out_ += ' ';
        }
        sign_written_ = true;
    }
    void WriteNext(Kind kind) {
        const char next = at_ < digits_.size() ? digits_[at_] : '\0';
        if (next == '.') {
            if (!has_relevant_ || !RelevantIsPoint() || !f_.fill_) out_ += point_;
        } else if (has_relevant_ && at_ > relevant_ && kind != Kind::kZero) {
            // Left out.
        } else if (BeforePointSpace()) {
            if (f_.fill_) {
                out_ += ' ';
            } else if (has_relevant_ && RelevantIsPoint()) {
                out_ += '0';
            }
        } else {
            // Behind its end the number is zero bytes, which end the server's result.
            if (next == '\0') {
                end_ = std::min(end_, out_.size());
            } else {
                out_ += next;
            }
            in_number_ = true;
        }
    }

    const NumberFormat& f_;
    std::string digits_;
    bool negative_;
    int after_;
    int spaces_;  // places of the picture before the number's first digit
    std::string_view point_;
    bool bracket_;
    bool sign_written_;
    int places_;
    bool has_relevant_ = false;
    size_t relevant_ = 0;
    int place_ = 0;
    size_t at_ = 0;
    bool in_number_ = false;
    size_t end_ = std::string::npos;
    std::string out_;
};

std::string NumberFormat::Render(std::string digits, bool negative, int after, std::string_view symbols) const {
    const auto before = static_cast<int>(std::min(digits.find('.'), digits.size()));
    const int spaces = std::max(before_ - before, 0);
    if (before > before_) {
        digits.assign(static_cast<size_t>(before_ + after + 1), '#');
        digits[static_cast<size_t>(before_)] = '.';
    }
    // 1<group>234<point>5
    const size_t second = symbols.find("234");
    const std::string_view group = symbols.substr(1, second - 1);
    const std::string_view local_point = symbols.substr(second + 3, symbols.size() - second - 4);
    const bool local =
        std::any_of(items_.begin(), items_.end(), [](const Item& i) { return i.kind == Kind::kLocalPoint; });
    Run run(*this, std::move(digits), negative, after, spaces, local ? local_point : ".");
    for (const Item& item : items_) {
        switch (item.kind) {
            case Kind::kNine:
            case Kind::kZero:
            case Kind::kPoint:
            case Kind::kLocalPoint: run.Digit(item.kind); break;
            case Kind::kComma: run.Separator(","); break;
            case Kind::kGroup: run.Separator(group); break;
            case Kind::kMinus: run.Mark(run.negative(), '-'); break;
            case Kind::kPlus: run.Mark(!run.negative(), '+'); break;
            case Kind::kSign: run.Literal(run.negative() ? "-" : "+"); break;
            case Kind::kOrdinal: run.Ordinal(item.upper); break;
            case Kind::kNothing: break;
            case Kind::kLiteral: run.Literal(item.literal); break;
        }
    }
    return run.Take();
}

std::string NumberFormat::FormatInteger(int64_t value, std::string_view symbols) const {
    std::string digits = std::to_string(value);
    if (value < 0) digits.erase(0, 1);
    if (after_ > 0) digits += "." + std::string(static_cast<size_t>(after_), '0');
    return Render(std::move(digits), value < 0, after_, symbols);
}

std::string NumberFormat::FormatDecimal(std::string_view text, std::string_view symbols) const {
    const bool negative = text.starts_with('-');
    return Render(std::string(text.substr(negative ? 1 : 0)), negative, after_, symbols);
}

std::string NumberFormat::FormatFloat(double value, int digits, std::string_view symbols) const {
    const bool negative = std::signbit(value) && !std::isnan(value);
    const double magnitude = std::abs(value);
    char text[400];
    const auto print = [&](int decimals) -> std::string {
        if (std::isnan(value)) return "NaN";
        if (std::isinf(value)) return "Infinity";
        std::snprintf(text, sizeof text, "%.*f", decimals, magnitude);
        return text;
    };
    const auto before = static_cast<int>(print(0).size());
    const int after = before >= digits ? 0 : std::min(after_, digits - before);
    return Render(print(after), negative, after, symbols);
}

}  // namespace ivy::engine
