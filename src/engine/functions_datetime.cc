// SPDX-License-Identifier: Apache-2.0
//
// ivy_date_trunc(unit, timestamp): Postgres's date_trunc for timestamps without time zone. Unlike DuckDB's, centuries
// and millennia begin in year 1 and 1001, decades count as in Postgres before Christ, and all of Postgres's unit names
// and errors are here.
#include <duckdb.hpp>

#include <duckdb/main/extension/extension_loader.hpp>

#include "engine/calendar.h"
#include "engine/functions.h"

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
    loader.RegisterFunction(duckdb::ScalarFunction(duckdb::Identifier("ivy_interval_key"),
                                                   duckdb::vector<LogicalType>{LogicalType::INTERVAL},
                                                   LogicalType::HUGEINT, IntervalKey));
}

}  // namespace ivy::engine
