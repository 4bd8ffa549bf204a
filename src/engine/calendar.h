// SPDX-License-Identifier: Apache-2.0
//
// Postgres's calendar: the proleptic Gregorian one. Days and microseconds count from 1970-01-01; years are astronomical:
// year 0 is 1 BC.
#pragma once

#include <cstdint>
#include <string_view>

namespace ivy::engine {

inline constexpr int64_t kDayMicros = int64_t{86400} * 1000000;
// Postgres's calendar begins on Julian day 0, 24 November 4714 BC.
inline constexpr int64_t kFirstDay = -2440588;

inline int64_t FloorDivide(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }
inline int64_t FloorTo(int64_t value, int64_t unit) { return FloorDivide(value, unit) * unit; }

struct Date {
    int64_t year;
    int64_t month;  // 1 to 12
    int64_t day;    // 1 to 31
};

Date FromDays(int64_t days);
int64_t ToDays(Date date);
int64_t DaysInMonth(int64_t year, int64_t month);
// A day that the month doesn't have becomes its last one.
Date AddMonths(Date date, int64_t months);

enum class Unit {
    kMicrosecond,
    kMillisecond,
    kSecond,
    kMinute,
    kHour,
    kDay,
    kWeek,
    kMonth,
    kQuarter,
    kYear,
    kDecade,
    kCentury,
    kMillennium,
    kZone
};

// A unit of date_trunc in any spelling that Postgres takes. Throws Postgres's errors, which name the type.
Unit ParseUnit(std::string_view text, const char* type_name);

// date_trunc of a finite timestamp. Throws if the result is out of Postgres's range.
int64_t TruncateMicros(Unit unit, int64_t micros);

}  // namespace ivy::engine
