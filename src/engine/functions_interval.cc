// SPDX-License-Identifier: Apache-2.0
//
// Intervals: ivy_interval_*. They are months, days and microseconds, each with its own sign; with all three at their largest
// or smallest they are infinite, which DuckDB doesn't know.
#include "engine/calendar.h"
#include "engine/error_map.h"
#include "engine/functions.h"
#include "engine/scalar_function.h"

#include <cmath>
#include <limits>

namespace ivy::engine {

using duckdb::dtime_t;
using duckdb::hugeint_t;
using duckdb::interval_t;

namespace {

constexpr int32_t kMax = std::numeric_limits<int32_t>::max();
constexpr int32_t kMin = std::numeric_limits<int32_t>::min();

[[noreturn]] void OutOfRange() { ThrowSqlError(sqlstate::kDatetimeOverflow, "interval out of range"); }

interval_t Infinite(int sign) {
    return sign > 0 ? interval_t{kMax, kMax, INT64_MAX} : interval_t{kMin, kMin, INT64_MIN};
}

interval_t Finite(interval_t value) {
    if (IntervalInfinity(value) != 0) OutOfRange();
    return value;
}

interval_t Negated(interval_t a) {
    if (const int sign = IntervalInfinity(a)) return Infinite(-sign);
    interval_t result;
    if (__builtin_sub_overflow(0, a.months, &result.months) || __builtin_sub_overflow(0, a.days, &result.days) ||
        __builtin_sub_overflow(int64_t{0}, a.micros, &result.micros)) {
        OutOfRange();
    }
    return Finite(result);
}

// a + b or a - b.
interval_t Sum(interval_t a, interval_t b, bool subtract) {
    const int first = IntervalInfinity(a);
    const int second = IntervalInfinity(b) * (subtract ? -1 : 1);
    if (first != 0) {
        if (second == -first) OutOfRange();
        return a;
    }
    if (second != 0) return Infinite(second);
    interval_t result;
    const bool overflow = subtract ? __builtin_sub_overflow(a.months, b.months, &result.months) ||
                                         __builtin_sub_overflow(a.days, b.days, &result.days) ||
                                         __builtin_sub_overflow(a.micros, b.micros, &result.micros)
                                   : __builtin_add_overflow(a.months, b.months, &result.months) ||
                                         __builtin_add_overflow(a.days, b.days, &result.days) ||
                                         __builtin_add_overflow(a.micros, b.micros, &result.micros);
    if (overflow) OutOfRange();
    return Finite(result);
}

int Sign(interval_t a) {
    const __int128 micros = (__int128{a.months} * 30 + a.days) * kDayMicros + a.micros;
    return micros < 0 ? -1 : micros > 0 ? 1 : 0;
}

double RoundedToMicros(double value) { return std::rint(value * 1000000.0) / 1000000.0; }

int32_t Whole(double value) {
    if (std::isnan(value) || value < -2147483648.0 || value >= 2147483648.0) OutOfRange();
    return static_cast<int32_t>(value);
}

// Multiplication and division: fractions of months become days, those of days time. "scale" multiplies or divides.
template <typename Scale>
interval_t Scaled(interval_t a, Scale scale) {
    interval_t result;
    result.months = Whole(scale(a.months));
    result.days = Whole(scale(a.days));
    const double month_days = RoundedToMicros((scale(a.months) - result.months) * 30);
    double seconds = RoundedToMicros((scale(a.days) - result.days + month_days - static_cast<int>(month_days)) * 86400);
    if (std::abs(seconds) >= 86400) {
        const int days = static_cast<int>(seconds / 86400);
        if (__builtin_add_overflow(result.days, days, &result.days)) OutOfRange();
        seconds -= days * 86400;
    }
    if (__builtin_add_overflow(result.days, static_cast<int32_t>(month_days), &result.days)) OutOfRange();
    const double micros = std::rint(scale(static_cast<double>(a.micros)) + seconds * 1000000.0);
    if (std::isnan(micros) || micros < -9223372036854775808.0 || micros >= 9223372036854775808.0) OutOfRange();
    result.micros = static_cast<int64_t>(micros);
    return Finite(result);
}

interval_t Multiplied(interval_t a, double factor) {
    if (std::isnan(factor)) OutOfRange();
    if (const int sign = IntervalInfinity(a)) {
        if (factor == 0) OutOfRange();
        return Infinite(factor < 0 ? -sign : sign);
    }
    if (std::isinf(factor)) {
        const int sign = Sign(a);
        if (sign == 0) OutOfRange();
        return Infinite(factor * sign < 0 ? -1 : 1);
    }
    return Scaled(a, [factor](double value) { return value * factor; });
}

interval_t Divided(interval_t a, double divisor) {
    if (divisor == 0) ThrowSqlError(sqlstate::kDivisionByZero, "division by zero");
    if (std::isnan(divisor)) OutOfRange();
    if (const int sign = IntervalInfinity(a)) {
        if (std::isinf(divisor)) OutOfRange();
        return Infinite(divisor < 0 ? -sign : sign);
    }
    return Scaled(a, [divisor](double value) { return value / divisor; });
}

// --- justify_* -----------------------------------------------------------------------------------------------------------

void MoveDays(interval_t* value) {
    const int32_t months = value->days / 30;
    value->days -= months * 30;
    if (__builtin_add_overflow(value->months, months, &value->months)) OutOfRange();
}

void MoveTime(interval_t* value) {
    const int64_t days = value->micros / kDayMicros;
    value->micros -= days * kDayMicros;
    if (__builtin_add_overflow(value->days, static_cast<int32_t>(days), &value->days)) OutOfRange();
}

// Gives time the sign of days.
void AlignTime(interval_t* value) {
    if (value->days > 0 && value->micros < 0) {
        value->micros += kDayMicros;
        value->days--;
    } else if (value->days < 0 && value->micros > 0) {
        value->micros -= kDayMicros;
        value->days++;
    }
}

// Gives days (and with "time" what is below them) the sign of months.
void AlignDays(interval_t* value, bool time) {
    const bool below = value->days < 0 || (time && value->days == 0 && value->micros < 0);
    const bool above = value->days > 0 || (time && value->days == 0 && value->micros > 0);
    if (value->months > 0 && below) {
        value->days += 30;
        value->months--;
    } else if (value->months < 0 && above) {
        value->days -= 30;
        value->months++;
    }
}

interval_t JustifyHours(interval_t value) {
    if (IntervalInfinity(value) != 0) return value;
    MoveTime(&value);
    AlignTime(&value);
    return value;
}

interval_t JustifyDays(interval_t value) {
    if (IntervalInfinity(value) != 0) return value;
    MoveDays(&value);
    AlignDays(&value, false);
    return value;
}

interval_t JustifyInterval(interval_t value) {
    if (IntervalInfinity(value) != 0) return value;
    // Where days and time have the same sign their sum might not fit.
    if ((value.days > 0 && value.micros > 0) || (value.days < 0 && value.micros < 0)) MoveDays(&value);
    MoveTime(&value);
    MoveDays(&value);
    AlignDays(&value, true);
    AlignTime(&value);
    return value;
}

interval_t Make(int32_t years, int32_t months, int32_t weeks, int32_t days, int32_t hours, int32_t minutes,
                double seconds) {
    interval_t result;
    if (!std::isfinite(seconds) || __builtin_mul_overflow(years, 12, &result.months) ||
        __builtin_add_overflow(result.months, months, &result.months) ||
        __builtin_mul_overflow(weeks, 7, &result.days) || __builtin_add_overflow(result.days, days, &result.days)) {
        OutOfRange();
    }
    const double micros = seconds * 1000000.0;
    if (std::isinf(micros)) ThrowSqlError(sqlstate::kNumericOutOfRange, "value out of range: overflow");
    const double rounded = std::rint(micros);
    result.micros = hours * int64_t{3600000000} + minutes * int64_t{60000000};
    if (rounded < -9223372036854775808.0 || rounded >= 9223372036854775808.0 ||
        __builtin_add_overflow(result.micros, static_cast<int64_t>(rounded), &result.micros)) {
        OutOfRange();
    }
    return Finite(result);
}

// --- fields ----------------------------------------------------------------------------------------------------------------

// A field's value, with seconds and epoch in microseconds and so milliseconds.
__int128 FieldOf(interval_t a, std::string_view field) {
    const int64_t years = a.months / 12;
    const int64_t months = a.months % 12;
    if (field == "second" || field == "milliseconds" || field == "microseconds") return a.micros % 60000000;
    if (field == "minute") return a.micros / 60000000 % 60;
    if (field == "hour") return a.micros / 3600000000;
    if (field == "day") return a.days;
    if (field == "week") return a.days / 7;
    if (field == "month") return months;
    if (field == "quarter") return a.months >= 0 ? months / 3 + 1 : -((-int64_t{a.months} % 12) / 3 + 1);
    if (field == "year") return years;
    if (field == "decade") return years / 10;
    if (field == "century") return years / 100;
    if (field == "millennium") return years / 1000;
    if (field == "epoch") {
        // A year has 365.25 days here, a month 30.
        const __int128 quarter_days = __int128{1461} * years + __int128{120} * months + __int128{4} * a.days;
        return quarter_days * (86400 / 4) * 1000000 + a.micros;
    }
    ThrowSqlError(sqlstate::kFeatureNotSupported,
                  "unit \"" + std::string(field) + "\" not supported for type interval");
}

// Of an infinite interval these are NULL, the others infinite.
bool Oscillates(std::string_view field) {
    return field == "microseconds" || field == "milliseconds" || field == "second" || field == "minute" ||
           field == "week" || field == "month" || field == "quarter";
}

std::optional<hugeint_t> Extract(interval_t a, std::string_view field) {
    if (IntervalInfinity(a) != 0) {
        if (Oscillates(field)) return {};
        ThrowSqlError(sqlstate::kFeatureNotSupported, "field of an infinite interval");
    }
    const __int128 value = FieldOf(a, field);
    return hugeint_t(static_cast<int64_t>(value >> 64), static_cast<uint64_t>(value));
}

std::optional<double> Part(interval_t a, std::string_view field) {
    if (const int sign = IntervalInfinity(a)) {
        if (Oscillates(field)) return {};
        return sign * std::numeric_limits<double>::infinity();
    }
    if (field == "epoch") {
        double result = static_cast<double>(a.micros) / 1000000.0;
        result += 365.25 * 86400 * (a.months / 12);
        result += 30.0 * 86400 * (a.months % 12);
        result += 86400.0 * a.days;
        return result;
    }
    const auto second = static_cast<int>(a.micros / 1000000 % 60);
    const auto fraction = static_cast<int>(a.micros % 1000000);
    if (field == "second") return second + fraction / 1000000.0;
    if (field == "milliseconds") return second * 1000.0 + fraction / 1000.0;
    return static_cast<double>(static_cast<int64_t>(FieldOf(a, field)));
}

dtime_t ShiftedTime(dtime_t time, interval_t a, bool subtract) {
    if (IntervalInfinity(a) != 0) {
        ThrowSqlError(sqlstate::kDatetimeOverflow, subtract ? "cannot subtract infinite interval from time"
                                                            : "cannot add infinite interval to time");
    }
    // Only what is within a day matters, of which the sum always fits.
    int64_t result = (time.value + (subtract ? -(a.micros % kDayMicros) : a.micros % kDayMicros)) % kDayMicros;
    if (result < 0) result += kDayMicros;
    return dtime_t(result);
}

// --- the one interval of a group --------------------------------------------------------------------------------------------

// Intervals that are equal may be different; which one of a group Postgres would show depends on the order of rows.
struct OneState {
    interval_t value;
    bool is_set;
    bool ambiguous;
};

struct OneAggregate {
    static bool IgnoreNull() { return true; }
    static void Offer(OneState& state, interval_t value, bool ambiguous) {
        const bool same = !state.is_set || (state.value.months == value.months && state.value.days == value.days &&
                                            state.value.micros == value.micros);
        state = {value, true, state.ambiguous || ambiguous || !same};
    }
    template <class Input, class State, class Op>
    static void Operation(State& state, const Input& input, duckdb::AggregateUnaryInput&) {
        Offer(state, input, false);
    }
    template <class Input, class State, class Op>
    static void ConstantOperation(State& state, const Input& input, duckdb::AggregateUnaryInput&, duckdb::idx_t) {
        Offer(state, input, false);
    }
    template <class State, class Op>
    static void Combine(const State& source, State& target, duckdb::AggregateInputData&) {
        if (source.is_set) Offer(target, source.value, source.ambiguous);
    }
    template <class T, class State>
    static void Finalize(State& state, T& target, duckdb::AggregateFinalizeData& data) {
        if (!state.is_set) return data.ReturnNull();
        if (state.ambiguous)
            ThrowSqlError(sqlstate::kFeatureNotSupported, "interval shown depends on the order of rows");
        target = state.value;
    }
};

}  // namespace

int IntervalInfinity(interval_t a) {
    if (a.months == kMax && a.days == kMax && a.micros == INT64_MAX) return 1;
    return a.months == kMin && a.days == kMin && a.micros == INT64_MIN ? -1 : 0;
}

void RegisterIntervals(duckdb::ExtensionLoader& loader) {
    auto one = duckdb::AggregateFunction::UnaryAggregate<OneState, interval_t, interval_t, OneAggregate>(
        duckdb::LogicalType::INTERVAL, duckdb::LogicalType::INTERVAL);
    one.SetName(duckdb::Identifier("ivy_interval_one"));
    one.SetFallible();
    one.SetOrderDependent(duckdb::AggregateOrderDependent::NOT_ORDER_DEPENDENT);
    loader.RegisterFunction(std::move(one));
    AddScalar(loader, "ivy_interval_neg", [](interval_t a) -> interval_t { return Negated(a); });
    AddScalar(loader, "ivy_interval_add", [](interval_t a, interval_t b) -> interval_t { return Sum(a, b, false); });
    AddScalar(loader, "ivy_interval_sub", [](interval_t a, interval_t b) -> interval_t { return Sum(a, b, true); });
    AddScalar(loader, "ivy_interval_mul",
              [](interval_t a, double factor) -> interval_t { return Multiplied(a, factor); });
    AddScalar(loader, "ivy_interval_div",
              [](interval_t a, double divisor) -> interval_t { return Divided(a, divisor); });
    AddScalar(loader, "ivy_justify_hours", [](interval_t a) -> interval_t { return JustifyHours(a); });
    AddScalar(loader, "ivy_justify_days", [](interval_t a) -> interval_t { return JustifyDays(a); });
    AddScalar(loader, "ivy_justify_interval", [](interval_t a) -> interval_t { return JustifyInterval(a); });
    AddScalar(loader, "ivy_make_interval",
              [](int32_t years, int32_t months, int32_t weeks, int32_t days, int32_t hours, int32_t minutes,
                 double seconds) -> interval_t { return Make(years, months, weeks, days, hours, minutes, seconds); });
    AddScalar(loader, "ivy_interval_finite", [](interval_t a) -> bool { return IntervalInfinity(a) == 0; });
    AddScalar(loader, "ivy_interval_field",
              [](interval_t a, std::string_view field) -> std::optional<hugeint_t> { return Extract(a, field); });
    AddScalar(loader, "ivy_interval_part",
              [](interval_t a, std::string_view field) -> std::optional<double> { return Part(a, field); });
    AddScalar(loader, "ivy_time_add",
              [](dtime_t time, interval_t a) -> dtime_t { return ShiftedTime(time, a, false); });
    AddScalar(loader, "ivy_time_sub", [](dtime_t time, interval_t a) -> dtime_t { return ShiftedTime(time, a, true); });
    AddScalar(loader, "ivy_time_of_interval", [](interval_t a) -> dtime_t {
        if (IntervalInfinity(a) != 0)
            ThrowSqlError(sqlstate::kDatetimeOverflow, "cannot convert infinite interval to time");
        return dtime_t((a.micros % kDayMicros + kDayMicros) % kDayMicros);
    });
    AddScalar(loader, "ivy_interval_of_time", [](dtime_t a) -> interval_t { return {0, 0, a.value}; });
    AddScalar(loader, "ivy_time_difference",
              [](dtime_t a, dtime_t b) -> interval_t { return {0, 0, a.value - b.value}; });
}

}  // namespace ivy::engine
