// SPDX-License-Identifier: Apache-2.0
// Calendar: see the header.
#include "engine/calendar.h"

#include <duckdb.hpp>

#include <algorithm>
#include <string>

#include "engine/error_map.h"

namespace ivy::engine {
namespace {

struct UnitName {
    std::string_view name;
    Unit unit;
};

// Ascending. As in Postgres, names are compared by their first ten bytes.
constexpr UnitName kUnits[] = {
    {"c", Unit::kCentury},
    {"cent", Unit::kCentury},
    {"centuries", Unit::kCentury},
    {"century", Unit::kCentury},
    {"d", Unit::kDay},
    {"day", Unit::kDay},
    {"days", Unit::kDay},
    {"dec", Unit::kDecade},
    {"decade", Unit::kDecade},
    {"decades", Unit::kDecade},
    {"decs", Unit::kDecade},
    {"h", Unit::kHour},
    {"hour", Unit::kHour},
    {"hours", Unit::kHour},
    {"hr", Unit::kHour},
    {"hrs", Unit::kHour},
    {"m", Unit::kMinute},
    {"microsecon", Unit::kMicrosecond},
    {"mil", Unit::kMillennium},
    {"millennia", Unit::kMillennium},
    {"millennium", Unit::kMillennium},
    {"millisecon", Unit::kMillisecond},
    {"mils", Unit::kMillennium},
    {"min", Unit::kMinute},
    {"mins", Unit::kMinute},
    {"minute", Unit::kMinute},
    {"minutes", Unit::kMinute},
    {"mon", Unit::kMonth},
    {"mons", Unit::kMonth},
    {"month", Unit::kMonth},
    {"months", Unit::kMonth},
    {"ms", Unit::kMillisecond},
    {"msec", Unit::kMillisecond},
    {"msecond", Unit::kMillisecond},
    {"mseconds", Unit::kMillisecond},
    {"msecs", Unit::kMillisecond},
    {"qtr", Unit::kQuarter},
    {"quarter", Unit::kQuarter},
    {"s", Unit::kSecond},
    {"sec", Unit::kSecond},
    {"second", Unit::kSecond},
    {"seconds", Unit::kSecond},
    {"secs", Unit::kSecond},
    {"timezone", Unit::kZone},
    {"timezone_h", Unit::kZone},
    {"timezone_m", Unit::kZone},
    {"us", Unit::kMicrosecond},
    {"usec", Unit::kMicrosecond},
    {"usecond", Unit::kMicrosecond},
    {"useconds", Unit::kMicrosecond},
    {"usecs", Unit::kMicrosecond},
    {"w", Unit::kWeek},
    {"week", Unit::kWeek},
    {"weeks", Unit::kWeek},
    {"y", Unit::kYear},
    {"year", Unit::kYear},
    {"years", Unit::kYear},
    {"yr", Unit::kYear},
    {"yrs", Unit::kYear},
};

}  // namespace

Unit ParseUnit(std::string_view text, const char* type_name) {
    std::string name(text);
    for (char& c : name) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    const std::string_view key = std::string_view(name).substr(0, 10);
    const auto* found = std::lower_bound(std::begin(kUnits), std::end(kUnits), key,
                                         [](const UnitName& unit, std::string_view k) { return unit.name < k; });
    if (found == std::end(kUnits) || found->name != key) {
        ThrowSqlError(sqlstate::kInvalidParameter, "unit \"" + name + "\" not recognized for type " + type_name);
    }
    if (found->unit == Unit::kZone) {
        ThrowSqlError(sqlstate::kFeatureNotSupported, "unit \"" + name + "\" not supported for type " + type_name);
    }
    return found->unit;
}

// Years are counted from March, so that the leap day is a year's last. An era is 400 years or 146097 days.
Date FromDays(int64_t days) {
    const int64_t shifted = days + 719468;  // days since 0000-03-01
    const int64_t era = FloorDivide(shifted, 146097);
    const int64_t day_of_era = shifted - era * 146097;
    const int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t month_from_march = (5 * day_of_year + 2) / 153;
    const int64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    return {year_of_era + era * 400 + (month <= 2 ? 1 : 0), month, day_of_year - (153 * month_from_march + 2) / 5 + 1};
}

int64_t ToDays(Date date) {
    const int64_t year = date.year - (date.month <= 2 ? 1 : 0);
    const int64_t era = FloorDivide(year, 400);
    const int64_t year_of_era = year - era * 400;
    const int64_t month_from_march = date.month > 2 ? date.month - 3 : date.month + 9;
    const int64_t day_of_year = (153 * month_from_march + 2) / 5 + date.day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

int64_t DaysInMonth(int64_t year, int64_t month) {
    constexpr int64_t kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return kDays[month - 1] + (month == 2 && leap ? 1 : 0);
}

Date AddMonths(Date date, int64_t months) {
    const int64_t count = date.year * 12 + date.month - 1 + months;
    date.year = FloorDivide(count, 12);
    date.month = count - date.year * 12 + 1;
    date.day = std::min(date.day, DaysInMonth(date.year, date.month));
    return date;
}

namespace {

// The first year of the century or millennium ("size" years) that holds a year. People have no year 0: both begin in
// years ending in 1 after Christ; before Christ, 100 BC (astronomical -99) begins the last century.
int64_t FirstYearOfPeriod(int64_t year, int64_t size) { return FloorTo(year - 1, size) + 1; }

int64_t TruncateDays(Unit unit, int64_t days) {
    if (unit == Unit::kWeek) return days - (days + 3 - FloorTo(days + 3, 7));  // 1970-01-01 was a Thursday
    Date date = FromDays(days);
    date.day = 1;
    switch (unit) {
        case Unit::kMonth: break;
        case Unit::kQuarter: date.month = (date.month - 1) / 3 * 3 + 1; break;
        case Unit::kYear: date.month = 1; break;
        case Unit::kDecade: date = {FloorTo(date.year, 10), 1, 1}; break;
        case Unit::kCentury: date = {FirstYearOfPeriod(date.year, 100), 1, 1}; break;
        case Unit::kMillennium: date = {FirstYearOfPeriod(date.year, 1000), 1, 1}; break;
        default: return days;
    }
    return ToDays(date);
}

}  // namespace

int64_t TruncateMicros(Unit unit, int64_t micros) {
    switch (unit) {
        case Unit::kMicrosecond: return micros;
        case Unit::kMillisecond: return FloorTo(micros, 1000);
        case Unit::kSecond: return FloorTo(micros, 1000000);
        case Unit::kMinute: return FloorTo(micros, int64_t{60} * 1000000);
        case Unit::kHour: return FloorTo(micros, int64_t{3600} * 1000000);
        default: break;
    }
    const int64_t days = TruncateDays(unit, FloorDivide(micros, kDayMicros));
    if (days < kFirstDay) ThrowSqlError(sqlstate::kDatetimeOverflow, "timestamp out of range");
    return days * kDayMicros;
}

}  // namespace ivy::engine
