// SPDX-License-Identifier: Apache-2.0
// DateFormat: see the header.
#include "engine/date_format.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "engine/calendar.h"
#include "engine/error_map.h"

namespace ivy::engine {
namespace {

// Longer names before those that they begin with. Letters are all upper or all lower case, but for the names of days and
// months.
constexpr const char* kPatterns[] = {"A.D.", "A.M.", "AD",   "AM",    "B.C.",  "BC",   "CC",  "DAY",   "DDD", "DD",
                                     "DY",   "Day",  "Dy",   "D",     "FF1",   "FF2",  "FF3", "FF4",   "FF5", "FF6",
                                     "FX",   "HH24", "HH12", "HH",    "IDDD",  "ID",   "IW",  "IYYY",  "IYY", "IY",
                                     "I",    "J",    "MI",   "MM",    "MONTH", "MON",  "MS",  "Month", "Mon", "OF",
                                     "P.M.", "PM",   "Q",    "RM",    "SSSSS", "SSSS", "SS",  "TZH",   "TZM", "TZ",
                                     "US",   "WW",   "W",    "Y,YYY", "YYYY",  "YYY",  "YY",  "Y"};

constexpr const char* kMonths[] = {"January", "February", "March",     "April",   "May",      "June",
                                   "July",    "August",   "September", "October", "November", "December"};
constexpr const char* kDays[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
constexpr const char* kRoman[] = {"I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"};

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
char Upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }
bool IsLower(char c) { return c >= 'a' && c <= 'z'; }

// The pattern that the text begins with, or null. *lower says that it is written in small letters.
const char* FindPattern(std::string_view text, bool* lower) {
    for (const char* pattern : kPatterns) {
        const std::string_view name(pattern);
        if (text.starts_with(name)) {
            *lower = false;
            return pattern;
        }
    }
    for (const char* pattern : kPatterns) {
        const std::string_view name(pattern);
        const bool mixed = std::any_of(name.begin(), name.end(), IsLower);
        if (mixed || text.size() < name.size()) continue;
        if (std::equal(name.begin(), name.end(), text.begin(), [](char a, char b) { return Lower(a) == b; })) {
            *lower = true;
            return pattern;
        }
    }
    return nullptr;
}

std::string Cased(std::string_view name, char first, char second) {
    std::string result(name);
    if (IsLower(first)) {
        std::transform(result.begin(), result.end(), result.begin(), Lower);
    } else if (!IsLower(second)) {
        std::transform(result.begin(), result.end(), result.begin(), Upper);
    }
    return result;
}

std::string Number(int64_t value, int width) {
    char text[32];
    std::snprintf(text, sizeof text, "%0*lld", width, static_cast<long long>(value));
    return text;
}

std::string Padded(std::string text, size_t width, bool fill) {
    if (fill && text.size() < width) text.append(width - text.size(), ' ');
    return text;
}

const char* OrdinalEnding(const std::string& number) {
    const char last = number.back();
    const bool teen = number.size() > 1 && number[number.size() - 2] == '1';
    if (teen) return "th";
    return last == '1' ? "st" : last == '2' ? "nd" : last == '3' ? "rd" : "th";
}

[[noreturn]] void NotForIntervals() {
    ThrowSqlError(sqlstate::kInvalidDatetime, "invalid format specification for an interval value", "",
                  "Intervals are not tied to specific calendar dates.");
}

int64_t JulianDay(int64_t year, int64_t month, int64_t day) { return ToDays({year, month, day}) - kFirstDay; }

// The Monday that week 1 of an ISO year begins with.
int64_t IsoYearStart(int64_t year) {
    const int64_t fourth = JulianDay(year, 1, 4);
    return FloorTo(fourth, 7);
}
int64_t IsoYear(int64_t year, int64_t julian) {
    if (julian >= IsoYearStart(year + 1)) return year + 1;
    return julian >= IsoYearStart(year) ? year : year - 1;
}

}  // namespace

DateParts DateParts::OfTimestamp(int64_t local_micros) {
    const int64_t days = FloorDivide(local_micros, kDayMicros);
    const Date date = FromDays(days);
    int64_t rest = local_micros - days * kDayMicros;
    DateParts parts;
    parts.year = date.year;
    parts.month = date.month;
    parts.day = date.day;
    parts.micros = rest % 1000000;
    rest /= 1000000;
    parts.second = rest % 60;
    parts.minute = rest / 60 % 60;
    parts.hour = rest / 3600;
    return parts;
}

DateParts DateParts::OfInterval(int64_t months, int64_t days, int64_t micros) {
    DateParts parts;
    parts.interval = true;
    parts.year = months / 12;
    parts.month = months % 12;
    parts.day = days;
    parts.hour = micros / 3600000000;
    parts.minute = micros / 60000000 % 60;
    parts.second = micros / 1000000 % 60;
    parts.micros = micros % 1000000;
    return parts;
}

DateFormat::DateFormat(std::string_view format) {
    const auto literal = [this](std::string_view text) { nodes_.push_back({nullptr, false, 0, std::string(text)}); };
    while (!format.empty()) {
        bool fill = true;
        if (format.starts_with("FM") || format.starts_with("fm")) {
            fill = false;
            format.remove_prefix(2);
        } else if (format.starts_with("TM") || format.starts_with("tm")) {
            ThrowSqlError(sqlstate::kFeatureNotSupported, "localised names in formats");
        }
        if (format.empty()) break;
        bool lower;
        const char* pattern = FindPattern(format, &lower);
        if (pattern != nullptr) {
            const std::string_view name(pattern);
            if (name == "TZ") ThrowSqlError(sqlstate::kFeatureNotSupported, "time zone abbreviations in formats");
            Node node{pattern, fill, 0, std::string(format.substr(0, name.size()))};
            format.remove_prefix(name.size());
            if (format.starts_with("TH") || format.starts_with("th")) {
                node.ordinal = format[1];
                format.remove_prefix(2);
            } else if (format.starts_with("SP")) {
                format.remove_prefix(2);
            }
            nodes_.push_back(std::move(node));
            continue;
        }
        if (format[0] == '"') {
            format.remove_prefix(1);
            while (!format.empty() && format[0] != '"') {
                if (format[0] == '\\' && format.size() > 1) format.remove_prefix(1);
                literal(format.substr(0, 1));
                format.remove_prefix(1);
            }
            if (!format.empty()) format.remove_prefix(1);
            continue;
        }
        if (format.starts_with("\\\"")) format.remove_prefix(1);
        literal(format.substr(0, 1));
        format.remove_prefix(1);
    }
}

std::string DateFormat::Format(const DateParts& p) const {
    const int64_t julian = p.interval ? 0 : JulianDay(p.year, p.month, p.day);
    const int64_t weekday = p.interval ? 0 : (julian + 1) % 7;
    const int64_t year_day = p.interval ? (p.year * 12 + p.month) * 30 + p.day : julian - JulianDay(p.year, 1, 1) + 1;
    const auto shown_year = [&p](int64_t year) { return p.interval ? year : year <= 0 ? -(year - 1) : year; };
    std::string out;
    for (const Node& node : nodes_) {
        if (node.pattern == nullptr) {
            out += node.literal;
            continue;
        }
        const std::string_view name(node.pattern);
        const char first = node.literal[0];
        const char second = node.literal.size() > 1 ? node.literal[1] : first;
        const auto width = [&node](int64_t value, int digits) {
            return !node.fill ? 0 : value >= 0 ? digits : digits + 1;
        };
        const auto calendar_only = [&p] {
            if (p.interval) NotForIntervals();
        };
        std::string text;
        bool number = true;
        if (name == "YYYY" || name == "YYY" || name == "YY" || name == "Y" || name == "IYYY" || name == "IYY" ||
            name == "IY" || name == "I") {
            if (first == 'I' || first == 'i') calendar_only();
            const bool iso = name[0] == 'I';
            const int digits = static_cast<int>(name.size());
            const int64_t year = shown_year(p.year);
            int64_t shown = iso ? shown_year(IsoYear(p.year, julian)) : year;
            if (digits < 4) shown %= digits == 3 ? 1000 : digits == 2 ? 100 : 10;
            text = Number(shown, digits == 1 ? 1 : width(year, digits));
        } else if (name == "Y,YYY") {
            const int64_t year = shown_year(p.year);
            text = std::to_string(year / 1000) + "," + Number(year - year / 1000 * 1000, 3);
        } else if (name == "MM") {
            text = Number(p.month, width(p.month, 2));
        } else if (name == "DD") {
            text = Number(p.day, node.fill ? 2 : 0);
        } else if (name == "HH24") {
            text = Number(p.hour, width(p.hour, 2));
        } else if (name == "HH12" || name == "HH") {
            text = Number(p.hour % 12 == 0 ? 12 : p.hour % 12, width(p.hour, 2));
        } else if (name == "MI") {
            text = Number(p.minute, width(p.minute, 2));
        } else if (name == "SS") {
            text = Number(p.second, width(p.second, 2));
        } else if (name == "MS" || name == "FF3") {
            text = Number(p.micros / 1000, 3);
        } else if (name == "US" || name == "FF6") {
            text = Number(p.micros, 6);
        } else if (name[0] == 'F' && name[1] == 'F') {
            const int digits = name[2] - '0';
            int64_t unit = 1;
            for (int i = digits; i < 6; i++) unit *= 10;
            text = Number(p.micros / unit, digits);
        } else if (name == "SSSS" || name == "SSSSS") {
            text = std::to_string(p.hour * 3600 + p.minute * 60 + p.second);
        } else if (name == "DDD") {
            text = Number(year_day, node.fill ? 3 : 0);
        } else if (name == "IDDD") {
            calendar_only();
            text = Number(julian - IsoYearStart(IsoYear(p.year, julian)) + 1, node.fill ? 3 : 0);
        } else if (name == "D") {
            calendar_only();
            text = std::to_string(weekday + 1);
        } else if (name == "ID") {
            calendar_only();
            text = std::to_string(weekday == 0 ? 7 : weekday);
        } else if (name == "WW") {
            text = Number((year_day - 1) / 7 + 1, node.fill ? 2 : 0);
        } else if (name == "IW") {
            calendar_only();
            text = Number((julian - IsoYearStart(IsoYear(p.year, julian))) / 7 + 1, node.fill ? 2 : 0);
        } else if (name == "W") {
            text = std::to_string((p.day - 1) / 7 + 1);
        } else if (name == "Q") {
            if (p.month == 0) continue;
            text = std::to_string((p.month - 1) / 3 + 1);
        } else if (name == "CC") {
            const int64_t century = p.interval ? p.year / 100 : p.year > 0 ? (p.year - 1) / 100 + 1 : p.year / 100 - 1;
            text = Number(century, century <= 99 && century >= -99 ? width(century, 2) : 0);
        } else if (name == "J") {
            calendar_only();
            text = std::to_string(julian);
        } else if (name == "TZH" || name == "OF") {
            calendar_only();
            const int64_t seconds = std::abs(p.offset);
            text = (p.offset >= 0 ? "+" : "-") + Number(seconds / 3600, name == "OF" && !node.fill ? 0 : 2);
            if (name == "OF" && seconds % 3600 != 0) text += ":" + Number(seconds % 3600 / 60, 2);
            number = false;
        } else if (name == "TZM") {
            calendar_only();
            text = Number(std::abs(p.offset) % 3600 / 60, 2);
            number = false;
        } else if (name == "RM") {
            if (p.month == 0 && p.year == 0) continue;
            // Months before zero count from the year's end; whole years of an interval are its last month, or the first.
            const int64_t index = p.month > 0 ? p.month - 1 : p.month < 0 ? 12 + p.month : p.year >= 0 ? 11 : 0;
            text = Padded(Cased(kRoman[index], first, 'M'), 4, node.fill);
            number = false;
        } else if (name == "AM" || name == "PM" || name == "A.M." || name == "P.M.") {
            const bool after_noon = (p.hour % 24) >= 12;
            text = name.size() == 2 ? (after_noon ? "PM" : "AM") : (after_noon ? "P.M." : "A.M.");
            text = Cased(text, first, 'M');
            number = false;
        } else if (name == "AD" || name == "BC" || name == "A.D." || name == "B.C.") {
            calendar_only();
            text = name.size() == 2 ? (p.year <= 0 ? "BC" : "AD") : (p.year <= 0 ? "B.C." : "A.D.");
            text = Cased(text, first, 'C');
            number = false;
        } else if (name[0] == 'M' && (name[1] == 'O' || name[1] == 'o')) {
            calendar_only();
            if (p.month == 0) continue;
            const bool full = name.size() == 5;
            const std::string_view month(kMonths[p.month - 1]);
            text = Padded(Cased(full ? month : month.substr(0, 3), first, second), 9, full && node.fill);
            number = false;
        } else if (name[0] == 'D' && (name.size() == 3 || name[1] == 'Y' || name[1] == 'y')) {
            calendar_only();
            const bool full = name.size() == 3;
            const std::string_view day(kDays[weekday]);
            text = Padded(Cased(full ? day : day.substr(0, 3), first, second), 9, full && node.fill);
            number = false;
        } else {
            continue;  // FX means nothing here
        }
        out += text;
        if (number && node.ordinal != 0) {
            const std::string ending = OrdinalEnding(text);
            out += node.ordinal == 'H' ? Cased(ending, 'T', 'H') : ending;
        }
    }
    return out;
}

}  // namespace ivy::engine
