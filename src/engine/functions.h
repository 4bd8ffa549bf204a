// SPDX-License-Identifier: Apache-2.0
//
// SQL functions that give Postgres's results and errors where DuckDB's own differ. The translator writes calls to them;
// all are strict (a NULL argument gives NULL) and deterministic.
#pragma once

#include <cstdint>
#include <string_view>

namespace duckdb {
class ExtensionLoader;
struct interval_t;
}  // namespace duckdb

namespace ivy::engine {

// The setting that holds the table of the session's time zone (time_zone.h).
inline constexpr char kTimeZoneSetting[] = "ivy_time_zone";

// ivy_div, ivy_mod, ivy_neg (integers), ivy_add, ivy_sub, ivy_mul, ivy_fdiv (floats)
void RegisterArithmetic(duckdb::ExtensionLoader& loader);
// ivy_round_half_even (DOUBLE), ivy_round, ivy_trunc (DECIMAL, INTEGER)
void RegisterRounding(duckdb::ExtensionLoader& loader);
// ivy_num_*: numerics in text form, scalar functions and aggregates
void RegisterNumeric(duckdb::ExtensionLoader& loader);
// text under collations: ivy_collation_compare, _key, _min, _max
void RegisterCollation(duckdb::ExtensionLoader& loader);
// jsonb in text form: ivy_jsonb_*
void RegisterJson(duckdb::ExtensionLoader& loader);
// text by code points: ivy_substr, ivy_lpad, ivy_split_part and so on
void RegisterText(duckdb::ExtensionLoader& loader);
// libm with Postgres's errors: ivy_exp, ivy_ln and so on; ivy_gcd, ivy_lcm
void RegisterMath(duckdb::ExtensionLoader& loader);
// ivy_date_trunc, ivy_date_bin, ivy_make_date, ivy_to_timestamp, ivy_age, ivy_interval_key
void RegisterDateTime(duckdb::ExtensionLoader& loader);

// ivy_zoned_*: what depends on a time zone
void RegisterZoned(duckdb::ExtensionLoader& loader);
// percentiles, the mode and arrays of sorted lists: ivy_percentile_*, ivy_mode_row, ivy_array
void RegisterOrdered(duckdb::ExtensionLoader& loader);
// aggregates of floats: ivy_float_*, ivy_regr_*, ivy_covar_*, ivy_corr
void RegisterStatistics(duckdb::ExtensionLoader& loader);
// to text and from text: ivy_<type>_text, ivy_<type>_of_text
void RegisterCasts(duckdb::ExtensionLoader& loader);
// to_char: ivy_<type>_format
void RegisterFormats(duckdb::ExtensionLoader& loader);
// ivy_interval_* (with an aggregate, ivy_interval_one), ivy_justify_*, ivy_make_interval, ivy_time_add and so on
void RegisterIntervals(duckdb::ExtensionLoader& loader);
// arrays in text form: ivy_array_*, ivy_string_split
void RegisterArrays(duckdb::ExtensionLoader& loader);
// ivy_encode, ivy_decode, ivy_lower, ivy_upper, ivy_initcap
void RegisterBytes(duckdb::ExtensionLoader& loader);
// ivy_expect (ANY, VARCHAR)
void RegisterExpect(duckdb::ExtensionLoader& loader);
void RegisterStorable(duckdb::ExtensionLoader& loader);

void RegisterScalarFunctions(duckdb::ExtensionLoader& loader);

struct TextStamp;
// Throws unless a setting's value (DateStyle, IntervalStyle) begins with the style that is known here.
void RequireStyle(std::string_view setting, std::string_view known);
// Microseconds from 1970-01-01 of a finite one, or an error about the text.
int64_t StampMicros(const TextStamp& stamp, std::string_view text);
// 1 or -1 for an infinite interval.
int IntervalInfinity(duckdb::interval_t interval);

}  // namespace ivy::engine
