// SPDX-License-Identifier: Apache-2.0
//
// The server's to_char for dates, times and intervals: formats such as "YYYY-MM-DD HH24:MI". Names are English; what is
// localised (TM) or needs the abbreviations of time zones (TZ) is refused.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ivy::engine {

// What is formatted. Of an interval, parts may be negative or larger than in a calendar.
struct DateParts {
    bool interval = false;
    int64_t year = 0;  // astronomical: 0 is 1 BC
    int64_t month = 0;
    int64_t day = 0;
    int64_t hour = 0;
    int64_t minute = 0;
    int64_t second = 0;
    int64_t micros = 0;
    int64_t offset = 0;  // seconds east of Greenwich

    static DateParts OfTimestamp(int64_t local_micros);
    static DateParts OfInterval(int64_t months, int64_t days, int64_t micros);
};

class DateFormat {
  public:
    // Never fails: what is no pattern stands for itself. Throws for TM and TZ.
    explicit DateFormat(std::string_view format);
    bool empty() const { return nodes_.empty(); }
    std::string Format(const DateParts& parts) const;

  private:
    struct Node {
        const char* pattern;  // or null: literal text
        bool fill;            // without FM
        char ordinal;         // 'H' for TH, 'h' for th, or 0
        std::string literal;
    };
    std::vector<Node> nodes_;
};

}  // namespace ivy::engine
