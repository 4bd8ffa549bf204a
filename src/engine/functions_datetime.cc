// SPDX-License-Identifier: Apache-2.0
//
// ivy_date_trunc(unit, timestamp): Postgres's date_trunc for timestamps without time zone. Unlike DuckDB's, centuries
// and millennia begin in year 1 and 1001, decades count as in Postgres before Christ, and all of Postgres's unit names
// and errors are here.
#include <duckdb.hpp>

#include <duckdb/main/extension/extension_loader.hpp>

#include <cmath>
#include <utility>

#include "engine/calendar.h"
#include "engine/error_map.h"
#include "engine/functions.h"
#include "engine/scalar_function.h"

namespace ivy::engine {
namespace {

using duckdb::LogicalType;
using duckdb::string_t;
using duckdb::timestamp_t;

Unit Parse(string_t unit) { return ParseUnit({unit.GetData(), unit.GetSize()}, "timestamp without time zone"); }

timestamp_t Truncate(Unit unit, timestamp_t timestamp) {
    return timestamp.IsFinite() ? timestamp_t(TruncateMicros(unit, timestamp.value)) : timestamp;
}

void DateTrunc(duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
    // The unit is nearly always a constant.
    const duckdb::Vector& units = args.data[0];
    if (units.GetVectorType() == duckdb::VectorType::CONSTANT_VECTOR && !duckdb::ConstantVector::IsNull(units)) {
        const Unit unit = Parse(*duckdb::ConstantVector::GetData<string_t>(units));
        duckdb::UnaryExecutor::Execute<timestamp_t, timestamp_t>(
            args.data[1], result, args.size(), [unit](timestamp_t value) { return Truncate(unit, value); });
        return;
    }
    duckdb::BinaryExecutor::Execute<string_t, timestamp_t, timestamp_t>(
        args.data[0], args.data[1], result, args.size(),
        [](string_t unit, timestamp_t value) { return Truncate(Parse(unit), value); });
}

[[noreturn]] void OutOfRange() { ThrowSqlError(sqlstate::kDatetimeOverflow, "timestamp out of range"); }

// ivy_date_bin(stride, timestamp, origin)
void DateBin(duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
    duckdb::TernaryExecutor::Execute<duckdb::interval_t, timestamp_t, timestamp_t, timestamp_t>(
        args.data[0], args.data[1], args.data[2], result,
        [](duckdb::interval_t stride, timestamp_t value, timestamp_t origin) {
            if (!value.IsFinite()) return value;
            if (!origin.IsFinite()) ThrowSqlError(sqlstate::kDatetimeOverflow, "origin out of range");
            if (stride.months != 0) {
                ThrowSqlError(sqlstate::kFeatureNotSupported,
                              "timestamps cannot be binned into intervals containing months or years");
            }
            int64_t size;
            int64_t distance;
            if (__builtin_add_overflow(int64_t{stride.days} * kDayMicros, stride.micros, &size)) {
                ThrowSqlError(sqlstate::kDatetimeOverflow, "interval out of range");
            }
            if (size <= 0) ThrowSqlError(sqlstate::kDatetimeOverflow, "stride must be greater than zero");
            if (__builtin_sub_overflow(value.value, origin.value, &distance)) {
                ThrowSqlError(sqlstate::kDatetimeOverflow, "interval out of range");
            }
            int64_t bin;
            if (__builtin_mul_overflow(FloorDivide(distance, size), size, &bin) ||
                __builtin_add_overflow(origin.value, bin, &bin) || bin < kFirstDay * kDayMicros) {
                OutOfRange();
            }
            return timestamp_t(bin);
        });
}

// ivy_to_timestamp(seconds): rounded as the server does, in microseconds from its own epoch.
void ToTimestamp(duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
    constexpr int64_t kEpochDays = 10957;  // 2000-01-01
    duckdb::UnaryExecutor::Execute<double, timestamp_t>(args.data[0], result, args.size(), [](double seconds) {
        if (std::isnan(seconds)) ThrowSqlError(sqlstate::kDatetimeOverflow, "timestamp cannot be NaN");
        if (std::isinf(seconds)) return seconds < 0 ? timestamp_t::ninfinity() : timestamp_t::infinity();
        const double micros = std::rint((seconds - static_cast<double>(kEpochDays * 86400)) * 1000000.0);
        if (std::abs(micros) > 9.2e18) OutOfRange();
        int64_t value;
        if (__builtin_add_overflow(static_cast<int64_t>(micros), kEpochDays * kDayMicros, &value) ||
            value == INT64_MAX || value < kFirstDay * kDayMicros) {
            OutOfRange();
        }
        return timestamp_t(value);
    });
}

// Microseconds of the day, as make_time and make_timestamp take them.
int64_t TimeOfDay(int32_t hour, int32_t minute, double second) {
    const double micros = std::rint(second * 1000000.0);
    if (hour < 0 || hour > 24 || minute < 0 || minute > 59 || std::isnan(second) || micros < 0 || micros > 60000000.0) {
        ThrowSqlError(sqlstate::kDatetimeOverflow, "time field value out of range");
    }
    const int64_t time = (int64_t{hour} * 60 + minute) * 60000000 + static_cast<int64_t>(micros);
    if (time > kDayMicros) ThrowSqlError(sqlstate::kDatetimeOverflow, "time field value out of range");
    return time;
}

// The day, counted from 1970-01-01. Negative years are before Christ.
int64_t DayOf(int32_t year, int32_t month, int32_t day) {
    const int64_t astronomical = year < 0 ? int64_t{year} + 1 : year;
    if (year == 0 || month < 1 || month > 12 || day < 1 || day > DaysInMonth(astronomical, month) ||
        astronomical < -4713 || astronomical > 5874897) {
        ThrowSqlError(sqlstate::kDatetimeOverflow, "date field value out of range");
    }
    const int64_t days = ToDays({astronomical, month, day});
    if (days < kFirstDay || days >= 2145042906) ThrowSqlError(sqlstate::kDatetimeOverflow, "date out of range");
    return days;
}

// ivy_make_date(year, month, day): negative years are before Christ.
void MakeDate(duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
    duckdb::TernaryExecutor::Execute<int32_t, int32_t, int32_t, duckdb::date_t>(
        args.data[0], args.data[1], args.data[2], result, [](int32_t year, int32_t month, int32_t day) {
            return duckdb::date_t(static_cast<int32_t>(DayOf(year, month, day)));
        });
}

timestamp_t MakeTimestamp(int32_t year, int32_t month, int32_t day, int32_t hour, int32_t minute, double second) {
    int64_t micros;
    if (__builtin_mul_overflow(DayOf(year, month, day), kDayMicros, &micros) ||
        __builtin_add_overflow(micros, TimeOfDay(hour, minute, second), &micros) || micros == INT64_MAX) {
        OutOfRange();
    }
    return timestamp_t(micros);
}

// The distance in years, months, days and time of day, each as people count them. A borrowed month has as many days as
// the earlier date's.
duckdb::interval_t Age(int64_t a, int64_t b) {
    const bool negative = a < b;
    if (negative) std::swap(a, b);
    const int64_t a_days = FloorDivide(a, kDayMicros);
    const int64_t b_days = FloorDivide(b, kDayMicros);
    const Date later = FromDays(a_days);
    const Date earlier = FromDays(b_days);
    int64_t months = (later.year - earlier.year) * 12 + later.month - earlier.month;
    int64_t days = later.day - earlier.day;
    int64_t micros = (a - a_days * kDayMicros) - (b - b_days * kDayMicros);
    if (micros < 0) {
        micros += kDayMicros;
        days--;
    }
    while (days < 0) {
        days += DaysInMonth(earlier.year, earlier.month);
        months--;
    }
    const int sign = negative ? -1 : 1;
    return {static_cast<int32_t>(sign * months), static_cast<int32_t>(sign * days), sign * micros};
}

void AgeOf(duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
    duckdb::BinaryExecutor::Execute<timestamp_t, timestamp_t, duckdb::interval_t>(
        args.data[0], args.data[1], result, args.size(), [](timestamp_t a, timestamp_t b) {
            if (!a.IsFinite() || !b.IsFinite())
                ThrowSqlError(sqlstate::kFeatureNotSupported, "age of an infinite timestamp");
            return Age(a.value, b.value);
        });
}

// Intervals compare as if a month had 30 days and a day 24 hours.
void IntervalKey(duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
    duckdb::UnaryExecutor::Execute<duckdb::interval_t, duckdb::hugeint_t>(
        args.data[0], result, args.size(), [](duckdb::interval_t value) {
            const __int128 days = __int128{value.months} * 30 + value.days;
            const __int128 micros = days * kDayMicros + value.micros;
            return duckdb::hugeint_t(static_cast<int64_t>(micros >> 64), static_cast<uint64_t>(micros));
        });
}

}  // namespace

void RegisterDateTime(duckdb::ExtensionLoader& loader) {
    duckdb::ScalarFunction function(duckdb::Identifier("ivy_date_trunc"),
                                    duckdb::vector<LogicalType>{LogicalType::VARCHAR, LogicalType::TIMESTAMP},
                                    LogicalType::TIMESTAMP, DateTrunc);
    function.SetFallible();
    loader.RegisterFunction(std::move(function));
    const auto add = [&](const char* name, duckdb::vector<LogicalType> arguments, const LogicalType& type,
                         duckdb::scalar_function_t execute) {
        duckdb::ScalarFunction scalar(duckdb::Identifier(name), std::move(arguments), type, std::move(execute));
        scalar.SetFallible();
        loader.RegisterFunction(std::move(scalar));
    };
    const LogicalType integer = LogicalType::INTEGER;
    const LogicalType stamp = LogicalType::TIMESTAMP;
    add("ivy_date_bin", {LogicalType::INTERVAL, stamp, stamp}, stamp, DateBin);
    add("ivy_to_timestamp", {LogicalType::DOUBLE}, LogicalType::TIMESTAMP_TZ, ToTimestamp);
    add("ivy_make_date", {integer, integer, integer}, LogicalType::DATE, MakeDate);
    AddScalar(loader, "ivy_make_timestamp",
              [](int32_t year, int32_t month, int32_t day, int32_t hour, int32_t minute, double second) -> timestamp_t {
                  return MakeTimestamp(year, month, day, hour, minute, second);
              });
    AddScalar(loader, "ivy_make_time", [](int32_t hour, int32_t minute, double second) -> duckdb::dtime_t {
        return duckdb::dtime_t(TimeOfDay(hour, minute, second));
    });
    add("ivy_age", {stamp, stamp}, LogicalType::INTERVAL, AgeOf);
    loader.RegisterFunction(duckdb::ScalarFunction(duckdb::Identifier("ivy_interval_key"),
                                                   duckdb::vector<LogicalType>{LogicalType::INTERVAL},
                                                   LogicalType::HUGEINT, IntervalKey));
}

}  // namespace ivy::engine
