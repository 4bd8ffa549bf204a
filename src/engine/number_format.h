// SPDX-License-Identifier: Apache-2.0
//
// The server's to_char for numbers: pictures such as "FM999,990.00". Digits, points, commas, D, G, MI, PL, SG, PR, FM, TH and
// literal text; what else the server knows (S, L, V, RN, EEEE...) is refused.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ivy::engine {

class NumberFormat {
  public:
    // Throws the server's errors for pictures that contradict themselves.
    explicit NumberFormat(std::string_view picture);
    bool empty() const { return items_.empty(); }

    // "symbols" shows the locale's separators: 1234.5 by the picture 9G999D9 (or 9G999.9 if this one has no D).
    std::string FormatInteger(int64_t value, std::string_view symbols) const;
    // A numeric's text, already rounded to Decimals() digits after the point.
    std::string FormatDecimal(std::string_view text, std::string_view symbols) const;
    // A float with so many significant digits (DBL_DIG or FLT_DIG).
    std::string FormatFloat(double value, int digits, std::string_view symbols) const;
    // Digits after the point that the picture has.
    int Decimals() const { return after_; }

  private:
    enum class Kind : uint8_t {
        kNine,
        kZero,
        kPoint,
        kLocalPoint,
        kComma,
        kGroup,
        kMinus,
        kPlus,
        kSign,
        kOrdinal,
        kNothing,
        kLiteral
    };
    struct Item {
        Kind kind;
        bool upper;
        std::string literal;
    };
    class Run;

    void Add(std::string_view name, bool upper);
    std::string Render(std::string digits, bool negative, int after, std::string_view symbols) const;

    std::vector<Item> items_;
    int before_ = 0;  // digits before the point
    int after_ = 0;
    bool fill_ = true;  // no FM
    bool point_ = false;
    bool minus_ = false;
    bool plus_ = false;
    bool bracket_ = false;
    bool zero_ = false;
    int zero_start_ = 0;  // digits before the first 0
    int zero_end_ = 0;    // digits up to the last 0
};

}  // namespace ivy::engine
