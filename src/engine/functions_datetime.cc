// SPDX-License-Identifier: Apache-2.0
//
// ivy_date_trunc(unit, timestamp): Postgres's date_trunc for timestamps without time zone. Unlike DuckDB's, centuries
// and millennia begin in year 1 and 1001, decades count as in Postgres before Christ, and all of Postgres's unit names
// and errors are here.
#include <duckdb.hpp>

#include <duckdb/main/extension/extension_loader.hpp>

#include <algorithm>
#include <optional>
#include <string_view>

#include "engine/error_map.h"
#include "engine/functions.h"

namespace ivy::engine {
namespace {

using duckdb::LogicalType;
using duckdb::string_t;
using duckdb::timestamp_t;

constexpr int64_t kDayMicros = int64_t{86400} * 1000000;
// Postgres's calendar begins on Julian day 0, 24 November 4714 BC.
constexpr int64_t kFirstDay = -2440588;

enum class Unit {
    kMicrosecond, kMillisecond, kSecond, kMinute, kHour, kDay, kWeek, kMonth, kQuarter, kYear, kDecade, kCentury,
    kMillennium, kZone
};

struct UnitName {
    std::string_view name;
    Unit unit;
};

// Ascending. As in Postgres, names are compared by their first ten bytes.
constexpr UnitName kUnits[] = {
    {"c", Unit::kCentury},          {"cent", Unit::kCentury},         {"centuries", Unit::kCentury},
    {"century", Unit::kCentury},    {"d", Unit::kDay},                {"day", Unit::kDay},
    {"days", Unit::kDay},           {"dec", Unit::kDecade},           {"decade", Unit::kDecade},
    {"decades", Unit::kDecade},     {"decs", Unit::kDecade},          {"h", Unit::kHour},
    {"hour", Unit::kHour},          {"hours", Unit::kHour},           {"hr", Unit::kHour},
    {"hrs", Unit::kHour},           {"m", Unit::kMinute},             {"microsecon", Unit::kMicrosecond},
    {"mil", Unit::kMillennium},     {"millennia", Unit::kMillennium}, {"millennium", Unit::kMillennium},
    {"millisecon", Unit::kMillisecond}, {"mils", Unit::kMillennium},  {"min", Unit::kMinute},
    {"mins", Unit::kMinute},        {"minute", Unit::kMinute},        {"minutes", Unit::kMinute},
    {"mon", Unit::kMonth},          {"mons", Unit::kMonth},           {"month", Unit::kMonth},
    {"months", Unit::kMonth},       {"ms", Unit::kMillisecond},       {"msec", Unit::kMillisecond},
    {"msecond", Unit::kMillisecond}, {"mseconds", Unit::kMillisecond}, {"msecs", Unit::kMillisecond},
    {"qtr", Unit::kQuarter},        {"quarter", Unit::kQuarter},      {"s", Unit::kSecond},
    {"sec", Unit::kSecond},         {"second", Unit::kSecond},        {"seconds", Unit::kSecond},
    {"secs", Unit::kSecond},        {"timezone", Unit::kZone},        {"timezone_h", Unit::kZone},
    {"timezone_m", Unit::kZone},    {"us", Unit::kMicrosecond},       {"usec", Unit::kMicrosecond},
    {"usecond", Unit::kMicrosecond}, {"useconds", Unit::kMicrosecond}, {"usecs", Unit::kMicrosecond},
    {"w", Unit::kWeek},             {"week", Unit::kWeek},            {"weeks", Unit::kWeek},
    {"y", Unit::kYear},             {"year", Unit::kYear},            {"years", Unit::kYear},
    {"yr", Unit::kYear},            {"yrs", Unit::kYear},
};

Unit ParseUnit(string_t text) {
    std::string name(text.GetData(), text.GetSize());
    for (char& c : name) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    const std::string_view key = std::string_view(name).substr(0, 10);
    const auto* found = std::lower_bound(std::begin(kUnits), std::end(kUnits), key,
                                         [](const UnitName& unit, std::string_view k) { return unit.name < k; });
    if (found == std::end(kUnits) || found->name != key) {
        ThrowSqlError(sqlstate::kInvalidParameter,
                      "unit \"" + name + "\" not recognized for type timestamp without time zone");
    }
    if (found->unit == Unit::kZone) {
        ThrowSqlError(sqlstate::kFeatureNotSupported,
                      "unit \"" + name + "\" not supported for type timestamp without time zone");
    }
    return found->unit;
}

int64_t FloorDivide(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }
int64_t FloorTo(int64_t value, int64_t unit) { return FloorDivide(value, unit) * unit; }

struct YearMonth {
    int64_t year;   // astronomical: year 0 is 1 BC
    int64_t month;  // 1 to 12
};

// Years are counted from March, so that the leap day is a year's last. An era is 400 years or 146097 days.
YearMonth FromDays(int64_t days) {
    const int64_t shifted = days + 719468;  // days since 0000-03-01
    const int64_t era = FloorDivide(shifted, 146097);
    const int64_t day_of_era = shifted - era * 146097;
    const int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t month_from_march = (5 * day_of_year + 2) / 153;
    const int64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    return {year_of_era + era * 400 + (month <= 2 ? 1 : 0), month};
}

// The first day of a month.
int64_t ToDays(YearMonth value) {
    const int64_t year = value.year - (value.month <= 2 ? 1 : 0);
    const int64_t era = FloorDivide(year, 400);
    const int64_t year_of_era = year - era * 400;
    const int64_t month_from_march = value.month > 2 ? value.month - 3 : value.month + 9;
    const int64_t day_of_year = (153 * month_from_march + 2) / 5;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

// The first year of the century or millennium ("size" years) that holds a year. People have no year 0: both begin in
// years ending in 1 after Christ; before Christ, 100 BC (astronomical -99) begins the last century.
int64_t FirstYearOfPeriod(int64_t year, int64_t size) { return FloorTo(year - 1, size) + 1; }

int64_t TruncateDays(Unit unit, int64_t days) {
    if (unit == Unit::kWeek) return days - (days + 3 - FloorTo(days + 3, 7));  // 1970-01-01 was a Thursday
    YearMonth date = FromDays(days);
    switch (unit) {
        case Unit::kMonth:
            break;
        case Unit::kQuarter:
            date.month = (date.month - 1) / 3 * 3 + 1;
            break;
        case Unit::kYear:
            date.month = 1;
            break;
        case Unit::kDecade:
            date = {FloorTo(date.year, 10), 1};
            break;
        case Unit::kCentury:
            date = {FirstYearOfPeriod(date.year, 100), 1};
            break;
        case Unit::kMillennium:
            date = {FirstYearOfPeriod(date.year, 1000), 1};
            break;
        default:
            return days;
    }
    return ToDays(date);
}

timestamp_t Truncate(Unit unit, timestamp_t timestamp) {
    if (!timestamp.IsFinite()) return timestamp;
    const int64_t micros = timestamp.value;
    switch (unit) {
        case Unit::kMicrosecond:
            return timestamp;
        case Unit::kMillisecond:
            return timestamp_t(FloorTo(micros, 1000));
        case Unit::kSecond:
            return timestamp_t(FloorTo(micros, 1000000));
        case Unit::kMinute:
            return timestamp_t(FloorTo(micros, int64_t{60} * 1000000));
        case Unit::kHour:
            return timestamp_t(FloorTo(micros, int64_t{3600} * 1000000));
        default:
            break;
    }
    const int64_t days = TruncateDays(unit, FloorDivide(micros, kDayMicros));
    if (days < kFirstDay) ThrowSqlError(sqlstate::kDatetimeOverflow, "timestamp out of range");
    return timestamp_t(days * kDayMicros);
}

void DateTrunc(duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
    // The unit is nearly always a constant.
    const duckdb::Vector& units = args.data[0];
    if (units.GetVectorType() == duckdb::VectorType::CONSTANT_VECTOR && !duckdb::ConstantVector::IsNull(units)) {
        const Unit unit = ParseUnit(*duckdb::ConstantVector::GetData<string_t>(units));
        duckdb::UnaryExecutor::Execute<timestamp_t, timestamp_t>(
            args.data[1], result, args.size(), [unit](timestamp_t value) { return Truncate(unit, value); });
        return;
    }
    duckdb::BinaryExecutor::Execute<string_t, timestamp_t, timestamp_t>(
        args.data[0], args.data[1], result, args.size(),
        [](string_t unit, timestamp_t value) { return Truncate(ParseUnit(unit), value); });
}

}  // namespace

void RegisterDateTime(duckdb::ExtensionLoader& loader) {
    duckdb::ScalarFunction function(duckdb::Identifier("ivy_date_trunc"),
                                    duckdb::vector<LogicalType>{LogicalType::VARCHAR, LogicalType::TIMESTAMP},
                                    LogicalType::TIMESTAMP, DateTrunc);
    function.SetFallible();
    loader.RegisterFunction(std::move(function));
}

}  // namespace ivy::engine
