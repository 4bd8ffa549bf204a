// SPDX-License-Identifier: Apache-2.0
//
// Casts from text and to text: ivy_<type>_of_text and ivy_<type>_text. Those whose form depends on a setting are given its
// value; forms other than the default one are left to the server.
#include "engine/calendar.h"
#include "engine/error_map.h"
#include "engine/functions.h"
#include "engine/scalar_function.h"
#include "engine/time_zone.h"
#include "engine/value_text.h"

#include <cmath>
#include <limits>

namespace ivy::engine {

using duckdb::date_t;
using duckdb::dtime_t;
using duckdb::interval_t;
using duckdb::timestamp_t;

void RequireStyle(std::string_view setting, std::string_view known) {
    if (!setting.starts_with(known)) {
        ThrowSqlError(sqlstate::kFeatureNotSupported,
                      "text of dates and times other than in style \"" + std::string(known) + "\"");
    }
}

int64_t StampMicros(const TextStamp& stamp, std::string_view text) {
    int64_t micros;
    if (__builtin_mul_overflow(stamp.days, kDayMicros, &micros) ||
        __builtin_add_overflow(micros, stamp.time, &micros) || micros == INT64_MAX) {
        ThrowSqlError(sqlstate::kDatetimeOverflow, "timestamp out of range: \"" + std::string(text) + "\"");
    }
    return micros;
}

namespace {

date_t ToDate(std::string_view text) {
    const TextStamp stamp = StampFromText(text, "date");
    if (stamp.infinity != 0) return stamp.infinity > 0 ? date_t::infinity() : date_t::ninfinity();
    if (stamp.days >= 2145042906)
        ThrowSqlError(sqlstate::kDatetimeOverflow, "date out of range: \"" + std::string(text) + "\"");
    return date_t(static_cast<int32_t>(stamp.days));
}

timestamp_t ToTimestamp(std::string_view text) {
    const TextStamp stamp = StampFromText(text, "timestamp without time zone");
    if (stamp.infinity != 0) return stamp.infinity > 0 ? timestamp_t::infinity() : timestamp_t::ninfinity();
    return timestamp_t(StampMicros(stamp, text));
}

int ExtraDigits(std::string_view setting) { return std::atoi(std::string(setting).c_str()); }

}  // namespace

void RegisterCasts(duckdb::ExtensionLoader& loader) {
    AddScalar(loader, "ivy_int2_of_text", [](std::string_view text) -> int16_t {
        return static_cast<int16_t>(IntegerFromText(text, INT16_MIN, INT16_MAX, "smallint"));
    });
    AddScalar(loader, "ivy_int4_of_text", [](std::string_view text) -> int32_t {
        return static_cast<int32_t>(IntegerFromText(text, INT32_MIN, INT32_MAX, "integer"));
    });
    AddScalar(loader, "ivy_int8_of_text",
              [](std::string_view text) -> int64_t { return IntegerFromText(text, INT64_MIN, INT64_MAX, "bigint"); });
    AddScalar(loader, "ivy_bool_of_text", [](std::string_view text) -> bool { return BooleanFromText(text); });
    AddScalar(loader, "ivy_float_of_text", [](std::string_view text) -> float { return FloatFromText<float>(text); });
    AddScalar(loader, "ivy_double_of_text",
              [](std::string_view text) -> double { return FloatFromText<double>(text); });
    AddScalar(loader, "ivy_num_of_text", [](std::string_view text) -> std::string { return NumericFromText(text); });
    AddScalar(loader, "ivy_uuid_of_text", [](std::string_view text) -> std::string { return UuidFromText(text); });
    AddScalar(loader, "ivy_date_of_text", [](std::string_view text) -> date_t { return ToDate(text); });
    AddScalar(loader, "ivy_timestamp_of_text", [](std::string_view text) -> timestamp_t { return ToTimestamp(text); });

    AddScalar(loader, "ivy_double_text",
              [](double value, std::string_view extra) -> std::string { return FloatText(value, ExtraDigits(extra)); });
    AddScalar(loader, "ivy_float_text",
              [](float value, std::string_view extra) -> std::string { return FloatText(value, ExtraDigits(extra)); });
    AddScalar(loader, "ivy_date_text", [](date_t value, std::string_view style) -> std::string {
        RequireStyle(style, "ISO");
        if (value == date_t::infinity()) return "infinity";
        if (value == date_t::ninfinity()) return "-infinity";
        return DateText(value.days);
    });
    AddScalar(loader, "ivy_timestamp_text", [](timestamp_t value, std::string_view style) -> std::string {
        RequireStyle(style, "ISO");
        if (!value.IsFinite()) return value.value > 0 ? "infinity" : "-infinity";
        return StampText(value.value);
    });
    AddScalar(loader, "ivy_time_text", [](dtime_t value) -> std::string { return TimeText(value.value); });
    AddScalar(loader, "ivy_interval_text", [](interval_t value, std::string_view style) -> std::string {
        if (style != "postgres") RequireStyle(style, "postgres ");
        if (const int sign = IntervalInfinity(value)) return sign > 0 ? "infinity" : "-infinity";
        return IntervalText(value.months, value.days, value.micros);
    });
}

}  // namespace ivy::engine
