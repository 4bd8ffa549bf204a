// SPDX-License-Identifier: Apache-2.0
//
// What depends on a time zone: ivy_zoned_*. The zone is a table of transitions (time_zone.h): the last argument if it is
// given, a constant, or else the session's, which the backend sends along with the query as setting "ivy_time_zone".
#include <duckdb.hpp>

#include <duckdb/main/client_context.hpp>
#include <duckdb/main/config.hpp>
#include <duckdb/main/extension/extension_loader.hpp>
#include <duckdb/planner/expression/bound_function_expression.hpp>

#include <memory>

#include "engine/calendar.h"
#include "engine/date_format.h"
#include "engine/error_map.h"
#include "engine/functions.h"
#include "engine/scalar_function.h"
#include "engine/time_zone.h"
#include "engine/value_text.h"

namespace ivy::engine {
namespace {

using duckdb::LogicalType;
using duckdb::string_t;
using duckdb::timestamp_t;

constexpr int64_t kFirstMicros = kFirstDay * kDayMicros;

struct ZoneData final : public duckdb::FunctionData {
    std::string text;
    std::shared_ptr<const TimeZone> zone;

    duckdb::unique_ptr<FunctionData> Copy() const override { return duckdb::make_uniq<ZoneData>(*this); }
    bool Equals(const FunctionData& other) const override { return text == other.Cast<ZoneData>().text; }
};

// "kArguments" without the zone.
template <int kArguments>
duckdb::unique_ptr<duckdb::FunctionData> Bind(duckdb::BindScalarFunctionInput& input) {
    auto data = duckdb::make_uniq<ZoneData>();
    if (input.GetArguments().size() > kArguments) {
        data->text = input.GetConstant(kArguments).ToString();
    } else {
        duckdb::Value value;
        if (input.GetClientContext().TryGetCurrentSetting(duckdb::Identifier(kTimeZoneSetting), value) &&
            !value.IsNull()) {
            data->text = value.ToString();
        }
    }
    if (data->text.empty()) ThrowSqlError(sqlstate::kFeatureNotSupported, "no table of the time zone");
    data->zone = std::make_shared<TimeZone>(TimeZone::Parse(data->text));
    return data;
}

const TimeZone& Zone(duckdb::ExpressionState& state) {
    return *state.expr.Cast<duckdb::BoundFunctionExpression>().BindInfo()->Cast<ZoneData>().zone;
}

[[noreturn]] void OutOfRange() { ThrowSqlError(sqlstate::kDatetimeOverflow, "timestamp out of range"); }

int64_t Checked(int64_t micros) {
    if (micros < kFirstMicros) OutOfRange();
    return micros;
}

// --- operations on finite timestamps -------------------------------------------------------------------------------------

int64_t Truncate(const TimeZone& zone, Unit unit, int64_t utc) {
    const int64_t local = zone.ToLocal(utc);
    const int64_t truncated = TruncateMicros(unit, local);
    // The offset of the day's begin may be another one; that of the hour's is kept.
    return Checked(unit >= Unit::kDay ? zone.ToUtc(truncated) : utc - (local - truncated));
}

timestamp_t AddInfinity(timestamp_t value, int sign) {
    if (!value.IsFinite() && (value.value > 0) != (sign > 0)) OutOfRange();
    return sign > 0 ? timestamp_t::infinity() : timestamp_t::ninfinity();
}

int64_t AddInterval(const TimeZone& zone, int64_t utc, duckdb::interval_t interval) {
    if (interval.months != 0) {
        const int64_t local = zone.ToLocal(utc);
        const int64_t days = FloorDivide(local, kDayMicros);
        const int64_t moved = ToDays(AddMonths(FromDays(days), interval.months));
        int64_t result;
        if (__builtin_mul_overflow(moved, kDayMicros, &result) ||
            __builtin_add_overflow(result, local - days * kDayMicros, &result)) {
            OutOfRange();
        }
        utc = Checked(zone.ToUtc(result));
    }
    if (interval.days != 0) {
        int64_t local = zone.ToLocal(utc);
        if (__builtin_add_overflow(local, int64_t{interval.days} * kDayMicros, &local)) OutOfRange();
        utc = Checked(zone.ToUtc(local));
    }
    if (__builtin_add_overflow(utc, interval.micros, &utc) || utc == INT64_MAX) OutOfRange();
    return Checked(utc);
}

// --- vectors -----------------------------------------------------------------------------------------------------------------

void ToLocal(duckdb::DataChunk& args, duckdb::ExpressionState& state, duckdb::Vector& result) {
    const TimeZone& zone = Zone(state);
    duckdb::UnaryExecutor::Execute<timestamp_t, timestamp_t>(args.data[0], result, args.size(), [&](timestamp_t value) {
        return value.IsFinite() ? timestamp_t(Checked(zone.ToLocal(value.value))) : value;
    });
}

void ToInstant(duckdb::DataChunk& args, duckdb::ExpressionState& state, duckdb::Vector& result) {
    const TimeZone& zone = Zone(state);
    duckdb::UnaryExecutor::Execute<timestamp_t, timestamp_t>(args.data[0], result, args.size(), [&](timestamp_t value) {
        return value.IsFinite() ? timestamp_t(Checked(zone.ToUtc(value.value))) : value;
    });
}

void ZonedTrunc(duckdb::DataChunk& args, duckdb::ExpressionState& state, duckdb::Vector& result) {
    const TimeZone& zone = Zone(state);
    duckdb::BinaryExecutor::Execute<string_t, timestamp_t, timestamp_t>(
        args.data[0], args.data[1], result, args.size(), [&](string_t text, timestamp_t value) {
            const Unit unit = ParseUnit({text.GetData(), text.GetSize()}, "timestamp with time zone");
            return value.IsFinite() ? timestamp_t(Truncate(zone, unit, value.value)) : value;
        });
}

void ZonedAdd(duckdb::DataChunk& args, duckdb::ExpressionState& state, duckdb::Vector& result) {
    const TimeZone& zone = Zone(state);
    duckdb::BinaryExecutor::Execute<timestamp_t, duckdb::interval_t, timestamp_t>(
        args.data[0], args.data[1], result, args.size(), [&](timestamp_t value, duckdb::interval_t interval) {
            if (const int sign = IntervalInfinity(interval)) return AddInfinity(value, sign);
            return value.IsFinite() ? timestamp_t(AddInterval(zone, value.value, interval)) : value;
        });
}

// Seconds east of Greenwich. An infinite timestamp has none.
void Offset(duckdb::DataChunk& args, duckdb::ExpressionState& state, duckdb::Vector& result) {
    const TimeZone& zone = Zone(state);
    duckdb::UnaryExecutor::Execute<timestamp_t, int32_t>(
        args.data[0], result, args.size(), [&](timestamp_t value) -> duckdb::optional<int32_t> {
            if (!value.IsFinite()) return {};
            return static_cast<int32_t>((zone.ToLocal(value.value) - value.value) / 1000000);
        });
}

// --- text ------------------------------------------------------------------------------------------------------------------

void ZonedText(duckdb::DataChunk& args, duckdb::ExpressionState& state, duckdb::Vector& result) {
    const TimeZone& zone = Zone(state);
    scalar::Run<std::string, timestamp_t, std::string_view>(
        args, result, [&](timestamp_t value, std::string_view style) -> std::string {
            RequireStyle(style, "ISO");
            if (!value.IsFinite()) return value.value > 0 ? "infinity" : "-infinity";
            const int64_t local = zone.ToLocal(value.value);
            return StampText(local, OffsetText((local - value.value) / 1000000));
        });
}

void ZonedOfText(duckdb::DataChunk& args, duckdb::ExpressionState& state, duckdb::Vector& result) {
    const TimeZone& zone = Zone(state);
    scalar::Run<timestamp_t, std::string_view>(args, result, [&](std::string_view text) -> timestamp_t {
        const TextStamp stamp = StampFromText(text, "timestamp with time zone");
        if (stamp.infinity != 0) return stamp.infinity > 0 ? timestamp_t::infinity() : timestamp_t::ninfinity();
        const int64_t local = StampMicros(stamp, text);
        const int64_t utc = stamp.has_offset ? local - stamp.offset * 1000000 : zone.ToUtc(local);
        if (utc < kFirstMicros || utc == INT64_MAX) {
            ThrowSqlError(sqlstate::kDatetimeOverflow, "timestamp out of range: \"" + std::string(text) + "\"");
        }
        return timestamp_t(utc);
    });
}

void ZonedFormat(duckdb::DataChunk& args, duckdb::ExpressionState& state, duckdb::Vector& result) {
    const TimeZone& zone = Zone(state);
    scalar::Run<std::optional<std::string>, timestamp_t, std::string_view>(
        args, result, [&](timestamp_t value, std::string_view text) -> std::optional<std::string> {
            const auto& format = Known<DateFormat>(text);
            if (text.empty() || !value.IsFinite()) return {};
            const int64_t local = zone.ToLocal(value.value);
            DateParts parts = DateParts::OfTimestamp(local);
            parts.offset = (local - value.value) / 1000000;
            return format.Format(parts);
        });
}

template <int kArguments>
void Register(duckdb::ExtensionLoader& loader, const char* name, const duckdb::vector<LogicalType>& arguments,
              const LogicalType& result, duckdb::scalar_function_t execute) {
    duckdb::ScalarFunctionSet set{duckdb::Identifier(name)};
    for (int with_zone = 0; with_zone < 2; with_zone++) {
        duckdb::vector<LogicalType> types = arguments;
        if (with_zone) types.push_back(LogicalType::VARCHAR);
        duckdb::ScalarFunction function(std::move(types), result, execute, Bind<kArguments>);
        function.SetFallible();
        set.AddFunction(std::move(function));
    }
    loader.RegisterFunction(std::move(set));
}

}  // namespace

void RegisterZoned(duckdb::ExtensionLoader& loader) {
    duckdb::DBConfig::GetConfig(loader.GetDatabaseInstance())
        .AddExtensionOption(duckdb::Identifier(kTimeZoneSetting), "Transitions of the session's time zone",
                            LogicalType::VARCHAR, duckdb::Value(""));
    const LogicalType instant = LogicalType::TIMESTAMP_TZ;
    const LogicalType local = LogicalType::TIMESTAMP;
    Register<1>(loader, "ivy_zoned_local", {instant}, local, ToLocal);
    Register<1>(loader, "ivy_zoned_instant", {local}, instant, ToInstant);
    Register<2>(loader, "ivy_zoned_trunc", {LogicalType::VARCHAR, instant}, instant, ZonedTrunc);
    Register<2>(loader, "ivy_zoned_add", {instant, LogicalType::INTERVAL}, instant, ZonedAdd);
    const LogicalType text = LogicalType::VARCHAR;
    Register<2>(loader, "ivy_zoned_text", {instant, text}, text, ZonedText);
    Register<1>(loader, "ivy_zoned_of_text", {text}, instant, ZonedOfText);
    Register<2>(loader, "ivy_zoned_format", {instant, text}, text, ZonedFormat);
    Register<1>(loader, "ivy_zoned_offset", {instant}, LogicalType::INTEGER, Offset);
}

}  // namespace ivy::engine
