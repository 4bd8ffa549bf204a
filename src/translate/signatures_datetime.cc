// SPDX-License-Identifier: Apache-2.0
// Dates, times, timestamps and intervals.
//
// Infinity is a value in both systems, but DuckDB answers NULL for most functions of it where Postgres answers infinity or
// raises an error: those are guarded by an error of ours, which sends the query to the row table.
//
// What depends on the session's time zone are functions of the engine's own, to which each query brings the table of the
// zone (time_zone.h): plans may live longer than the setting.
#include "translate/signature.h"

#include "translate/time_zone.h"

extern "C" {
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/scansup.h"
#include "pgtime.h"
#include "utils/datetime.h"
#include "utils/fmgroids.h"
#include "utils/timestamp.h"
}

namespace ivy::translate {

namespace {

// --- units -----------------------------------------------------------------------------------------------------------------

}  // namespace

int ConstUnit(const Call& call) {
    char* name;
    if (!ConstText(call, 0, &name)) return -1;
    char* lower = downcase_truncate_identifier(name, static_cast<int>(strlen(name)), false);
    int value;
    int kind = DecodeUnits(0, lower, &value);
    if (kind == UNKNOWN_FIELD) kind = DecodeSpecial(0, lower, &value);
    return kind == UNITS || (kind == RESERV && value == DTK_EPOCH) ? value : -1;
}

namespace {

const char* TruncUnitName(int unit) {
    switch (unit) {
        case DTK_MICROSEC: return "microseconds";
        case DTK_MILLISEC: return "milliseconds";
        case DTK_SECOND: return "second";
        case DTK_MINUTE: return "minute";
        case DTK_HOUR: return "hour";
        case DTK_DAY: return "day";
        case DTK_WEEK: return "week";
        case DTK_MONTH: return "month";
        case DTK_QUARTER: return "quarter";
        case DTK_YEAR: return "year";
        case DTK_DECADE: return "decade";
        case DTK_CENTURY: return "century";
        case DTK_MILLENNIUM: return "millennium";
        default: return nullptr;
    }
}

// --- time zones ---------------------------------------------------------------------------------------------------------------

const char* ToLocal(const char* stamp) { return psprintf("ivy_zoned_local(%s)", stamp); }

// AT TIME ZONE 'name', and date_trunc with a zone: the zone's table as one more argument.
bool InNamedZone(const Call& call, int argument, const char** table) {
    char* name;
    *table = ConstText(call, argument, &name) ? NamedZoneTable(name) : nullptr;
    if (*table == nullptr) return RefuseCall(call, "time zone that is not a constant or has no table");
    *table = LiteralFor(TEXTOID, -1, CStringGetTextDatum(*table), false);
    return true;
}

// The zone is the first argument, the timestamp the second.
bool AtTimeZone(const Call& call, Sql* out) {
    const char* table;
    if (!InNamedZone(call, 0, &table)) return false;
    const char letter = strchr(call.signature->types, '>')[1];
    SetResult(call, letter,
              psprintf("%s(%s, %s)", letter == 's' ? "ivy_zoned_local" : "ivy_zoned_instant", call.args[1].text, table),
              out);
    return true;
}

// --- truncation ------------------------------------------------------------------------------------------------------------------

bool Trunc(const Call& call, Sql* out) {
    const char* unit = TruncUnitName(ConstUnit(call));
    if (unit == nullptr) return RefuseCall(call, "unit is not a known constant");
    SetResult(call, 's', psprintf("ivy_date_trunc('%s', %s)", unit, call.args[1].text), out);
    return true;
}

bool TruncZoned(const Call& call, Sql* out) {
    const char* unit = TruncUnitName(ConstUnit(call));
    const char* table = nullptr;
    if (unit == nullptr) return RefuseCall(call, "unit is not a known constant");
    if (call.count == 3 && !InNamedZone(call, 2, &table)) return false;
    SetResult(call, 'z',
              psprintf("ivy_zoned_trunc('%s', %s%s%s)", unit, call.args[1].text, table ? ", " : "", table ? table : ""),
              out);
    return true;
}

// --- extraction ------------------------------------------------------------------------------------------------------------------

struct Field {
    int unit;
    const char* sql;  // BIGINT, of $1
    int scale;        // digits after the point of what the field is: sql is that times 10^scale
    bool monotonic;   // infinity's is infinite
    bool of_date;     // dates have it
};

// DuckDB's year() counts 1 BC as year 0, as Postgres does inside. Postgres has no year 0 in its answers.
constexpr Field kFields[] = {
    {DTK_MICROSEC, "microsecond($1)", 0, false, false},
    {DTK_MILLISEC, "microsecond($1)", 3, false, false},
    {DTK_SECOND, "microsecond($1)", 6, false, false},
    {DTK_MINUTE, "minute($1)", 0, false, false},
    {DTK_HOUR, "hour($1)", 0, false, false},
    {DTK_DAY, "day($1)", 0, false, true},
    {DTK_MONTH, "month($1)", 0, false, true},
    {DTK_QUARTER, "quarter($1)", 0, false, true},
    {DTK_WEEK, "week($1)", 0, false, true},
    {DTK_DOW, "dayofweek($1)", 0, false, true},
    {DTK_ISODOW, "isodow($1)", 0, false, true},
    {DTK_DOY, "dayofyear($1)", 0, false, true},
    {DTK_YEAR, "CASE WHEN year($1) > 0 THEN year($1) ELSE year($1) - 1 END", 0, true, true},
    {DTK_ISOYEAR, "CASE WHEN isoyear($1) > 0 THEN isoyear($1) ELSE isoyear($1) - 1 END", 0, true, true},
    {DTK_DECADE, "CASE WHEN year($1) >= 0 THEN year($1) // 10 ELSE -((8 - (year($1) - 1)) // 10) END", 0, true, true},
    {DTK_CENTURY, "CASE WHEN year($1) > 0 THEN (year($1) + 99) // 100 ELSE -((99 - (year($1) - 1)) // 100) END", 0,
     true, true},
    {DTK_MILLENNIUM, "CASE WHEN year($1) > 0 THEN (year($1) + 999) // 1000 ELSE -((999 - (year($1) - 1)) // 1000) END",
     0, true, true},
};

const Field* FindField(int unit) {
    for (const Field& field : kFields) {
        if (field.unit == unit) return &field;
    }
    return nullptr;
}

// extract() gives a numeric with the field's digits, date_part() a float8. "source" is a DATE or a TIMESTAMP.
bool ExtractFrom(const Call& call, const char* source, bool is_date, Sql* out) {
    const bool numeric = strchr(call.signature->types, '>')[1] == 'n';
    const int unit = ConstUnit(call);
    Sql argument;
    argument.text = source;
    const char* text = nullptr;
    int scale = 0;
    bool monotonic = true;
    if (unit == DTK_EPOCH && numeric) {
        // A date's has no digits after the point, a timestamp's has six.
        text = is_date ? Expand("CAST($1 - make_date(CAST(0 AS INTEGER)) AS BIGINT) * 86400", &argument, 1)
                       : Expand("epoch_us($1)", &argument, 1);
        scale = is_date ? 0 : 6;
    } else {
        const Field* field = FindField(unit);
        if (field == nullptr || (is_date && !field->of_date)) return RefuseCall(call, "field is not a known constant");
        if (!numeric && field->scale > 0) return RefuseCall(call, "field with digits after the point");
        text = Expand(field->sql, &argument, 1);
        scale = field->scale;
        monotonic = field->monotonic;
    }
    if (monotonic) {
        text = psprintf("CASE WHEN isinf(%s) THEN CAST(error('field of an infinite date') AS BIGINT) ELSE %s END",
                        source, text);
    }
    *out = Sql{};
    if (!numeric) {
        out->type = FLOAT8OID;
        out->rep = Native(TypeKind::kDouble);
        out->text = psprintf("CAST(%s AS DOUBLE)", text);
        return true;
    }
    out->type = NUMERICOID;
    out->rep = Decimal(19 + scale, scale);
    out->text = scale == 0
                    ? psprintf("CAST(%s AS DECIMAL(19,0))", text)
                    : psprintf("CAST(CAST(%s AS DECIMAL(19,0)) * CAST('0.%0*d' AS DECIMAL(%d,%d)) AS DECIMAL(%d,%d))",
                               text, scale, 1, scale, scale, 19 + scale, scale);
    return true;
}

// A field of the offset from Greenwich; NULL for infinite timestamps.
bool ExtractOffset(const Call& call, const char* text, Sql* out) {
    if (strchr(call.signature->types, '>')[1] != 'n') {
        SetResult(call, 'd', psprintf("CAST(%s AS DOUBLE)", text), out);
        return true;
    }
    *out = Sql{};
    out->type = NUMERICOID;
    out->rep = Decimal(10, 0);
    out->text = psprintf("CAST(%s AS DECIMAL(10,0))", text);
    return true;
}

bool Extract(const Call& call, Sql* out) {
    return ExtractFrom(call, call.args[1].text, call.signature->types[1] == 'D', out);
}

bool ExtractZoned(const Call& call, Sql* out) {
    const char* stamp = call.args[1].text;
    switch (ConstUnit(call)) {
        // The instant itself; no time zone is involved.
        case DTK_EPOCH: return ExtractFrom(call, psprintf("(%s AT TIME ZONE 'UTC')", stamp), false, out);
        case DTK_TZ: return ExtractOffset(call, psprintf("ivy_zoned_offset(%s)", stamp), out);
        case DTK_TZ_HOUR:
            return ExtractOffset(call, psprintf("ivy_div(ivy_zoned_offset(%s), 3600::INTEGER)", stamp), out);
        case DTK_TZ_MINUTE:
            return ExtractOffset(
                call, psprintf("ivy_mod(ivy_div(ivy_zoned_offset(%s), 60::INTEGER), 60::INTEGER)", stamp), out);
        default: return ExtractFrom(call, ToLocal(stamp), false, out);
    }
}

// --- arithmetic --------------------------------------------------------------------------------------------------------------------

// Only a column of intervals may hold infinite ones, which DuckDB doesn't know. It answers an infinite timestamp for an
// infinite timestamp plus anything, and an error for every other sum with such an interval.
bool AddInterval(const Call& call, Sql* out) {
    const char* text = Expand(call.signature->sql, call.args, 2);
    if (!IsValue(static_cast<Node*>(lsecond(call.nodes)))) {
        text =
            psprintf("CASE WHEN isinf(%s) THEN CAST(error('infinite timestamp and interval') AS TIMESTAMP) ELSE %s END",
                     call.args[0].text, text);
    }
    SetResult(call, 's', text, out);
    return true;
}

// --- comparison of different types --------------------------------------------------------------------------------------------------

// "a op b" is "b flipped a".
const char* Flip(const char* op) {
    switch (op[0]) {
        case '<': return strcmp(op, "<") == 0 ? ">" : strcmp(op, "<=") == 0 ? ">=" : op;
        case '>': return strcmp(op, ">") == 0 ? "<" : "<=";
        default: return op;
    }
}

// A value of the query that Postgres computes from one of the arguments.
bool ConvertValue(const Call& call, int argument, Oid function, Oid result_type, Sql* out) {
    auto* node = static_cast<Node*>(copyObjectImpl(list_nth(call.nodes, argument)));
    FuncExpr* converted =
        makeFuncExpr(function, result_type, list_make1(node), InvalidOid, InvalidOid, COERCE_EXPLICIT_CAST);
    return TranslateValue(call.t, eval_const_expressions(nullptr, reinterpret_cast<Node*>(converted)), out);
}

// A date with a timestamp. Where the timestamp is a value, so is its day; comparing the date with that too says nothing
// new, but files can be pruned by it.
bool CompareDate(const Call& call, Sql* out) {
    const int date = call.args[0].rep.kind == TypeKind::kDate ? 0 : 1;
    const char* op = call.signature->sql;
    Sql sides[2] = {call.args[0], call.args[1]};
    sides[date].text = CastTo(sides[date], Native(TypeKind::kTimestamp));
    const char* text = psprintf("(%s %s %s)", sides[0].text, op, sides[1].text);
    if (strcmp(op, "<>") != 0 && IsValue(static_cast<Node*>(list_nth(call.nodes, 1 - date)))) {
        const char* by_date = date == 0 ? op : Flip(op);
        const char* implied = by_date[0] == '<' ? "<=" : by_date[0] == '>' ? ">=" : "=";
        Sql day;
        if (!ConvertValue(call, 1 - date, F_DATE_TIMESTAMP, DATEOID, &day)) return false;
        text = psprintf("(%s AND (%s %s %s))", text, call.args[date].text, implied, day.text);
    }
    SetResult(call, 'b', text, out);
    return true;
}

// A timestamptz with a date or timestamp, which means an instant in the session's time zone.
bool CompareZoned(const Call& call, Sql* out) {
    const int zoned = call.args[0].rep.kind == TypeKind::kTimestampTz ? 0 : 1;
    const int local = 1 - zoned;
    Sql sides[2] = {call.args[0], call.args[1]};
    const bool is_date = sides[local].rep.kind == TypeKind::kDate;
    if (IsValue(static_cast<Node*>(list_nth(call.nodes, local)))) {
        if (!ConvertValue(call, local, is_date ? F_TIMESTAMPTZ_DATE : F_TIMESTAMPTZ_TIMESTAMP, TIMESTAMPTZOID,
                          &sides[local])) {
            return false;
        }
        SetResult(call, 'b', psprintf("(%s %s %s)", sides[0].text, call.signature->sql, sides[1].text), out);
        return true;
    }
    sides[local].text = psprintf("ivy_zoned_instant(%s)", CastTo(sides[local], Native(TypeKind::kTimestamp)));
    SetResult(call, 'b', psprintf("(%s %s %s)", sides[0].text, call.signature->sql, sides[1].text), out);
    return true;
}

#define IVY_COMPARE(PREFIX, TYPES)                                                                            \
    {PREFIX##EQ, TYPES, "="}, {PREFIX##NE, TYPES, "<>"}, {PREFIX##LT, TYPES, "<"}, {PREFIX##LE, TYPES, "<="}, \
        {PREFIX##GT, TYPES, ">"}, {PREFIX##GE, TYPES, ">="}
#define IVY_COMPARE_CROSS(LEFT, RIGHT, TYPES, REWRITE)                                                                 \
    {LEFT##EQ##RIGHT, TYPES, "=", Needs::kNothing, REWRITE}, {LEFT##NE##RIGHT, TYPES, "<>", Needs::kNothing, REWRITE}, \
        {LEFT##LT##RIGHT, TYPES, "<", Needs::kNothing, REWRITE},                                                       \
        {LEFT##LE##RIGHT, TYPES, "<=", Needs::kNothing, REWRITE},                                                      \
        {LEFT##GT##RIGHT, TYPES, ">", Needs::kNothing, REWRITE}, {                                                     \
        LEFT##GE##RIGHT, TYPES, ">=", Needs::kNothing, REWRITE                                                         \
    }

// DuckDB's dates and timestamps reach further back, and its dates further ahead, than Postgres's, which raises an error.
#define IVY_DATE(X)                                                     \
    "CASE WHEN NOT isinf(" X ") AND (" X " < make_date(-2440588) OR " X \
    " >= make_date(2145042906)) "                                       \
    "THEN CAST(error('date out of range') AS DATE) ELSE " X " END"
#define IVY_STAMP(X, TYPE)                                       \
    "CASE WHEN NOT isinf(" X ") AND " X " < make_timestamp" TYPE \
    "(-210866803200000000) "                                     \
    "THEN CAST(error('timestamp out of range') AS TIMESTAMP" TYPE ") ELSE " X " END"

constexpr Signature kRows[] = {
    IVY_COMPARE(F_DATE_, "DD>b"),
    IVY_COMPARE(F_TIME_, "TT>b"),
    IVY_COMPARE(F_TIMESTAMP_, "ss>b"),
    IVY_COMPARE(F_TIMESTAMPTZ_, "zz>b"),
    IVY_COMPARE_CROSS(F_DATE_, _TIMESTAMP, "Ds>b", CompareDate),
    IVY_COMPARE_CROSS(F_TIMESTAMP_, _DATE, "sD>b", CompareDate),
    IVY_COMPARE_CROSS(F_DATE_, _TIMESTAMPTZ, "Dz>b", CompareZoned),
    IVY_COMPARE_CROSS(F_TIMESTAMPTZ_, _DATE, "zD>b", CompareZoned),
    IVY_COMPARE_CROSS(F_TIMESTAMP_, _TIMESTAMPTZ, "sz>b", CompareZoned),
    IVY_COMPARE_CROSS(F_TIMESTAMPTZ_, _TIMESTAMP, "zs>b", CompareZoned),

    {F_DATE_PLI, "D4>D", IVY_DATE("($1 + $2)")},
    {F_DATE_MII, "D4>D", IVY_DATE("($1 - $2)")},
    {F_DATE_MI, "DD>4",
     "CASE WHEN isinf($1) OR isinf($2) THEN CAST(error('cannot subtract infinite dates') AS INTEGER) "
     "ELSE CAST($1 - $2 AS INTEGER) END"},
    {F_DATE_PL_INTERVAL, "si>s", IVY_STAMP("($1 + $2)", ""), Needs::kNothing, AddInterval},
    {F_DATE_MI_INTERVAL, "si>s", IVY_STAMP("($1 - $2)", ""), Needs::kNothing, AddInterval},
    {F_TIMESTAMP_PL_INTERVAL, "si>s", IVY_STAMP("($1 + $2)", ""), Needs::kNothing, AddInterval},
    {F_TIMESTAMP_MI_INTERVAL, "si>s", IVY_STAMP("($1 - $2)", ""), Needs::kNothing, AddInterval},
    {F_TIMESTAMPTZ_PL_INTERVAL, "zi>z", "ivy_zoned_add($1, $2)"},
    {F_TIMESTAMPTZ_MI_INTERVAL, "zi>z", "ivy_zoned_add($1, ivy_interval_neg($2))"},
    {F_TIMESTAMPTZ_MI, "zz>i",
     "CASE WHEN isinf($1) OR isinf($2) THEN CAST(error('difference of infinite timestamps') AS INTERVAL) "
     "ELSE ($1 AT TIME ZONE 'UTC') - ($2 AT TIME ZONE 'UTC') END"},
    {F_TIMESTAMP_MI, "ss>i",
     "CASE WHEN isinf($1) OR isinf($2) THEN CAST(error('difference of infinite timestamps') AS INTERVAL) ELSE $1 - $2 "
     "END"},
    {F_DATE_BIN_INTERVAL_TIMESTAMP_TIMESTAMP, "iss>s", "ivy_date_bin($1, $2, $3)"},
    {F_DATE_BIN_INTERVAL_TIMESTAMPTZ_TIMESTAMPTZ, "izz>z",
     "(ivy_date_bin($1, $2 AT TIME ZONE 'UTC', $3 AT TIME ZONE 'UTC') AT TIME ZONE 'UTC')"},
    {F_TO_TIMESTAMP_FLOAT8, "d>z", "ivy_to_timestamp($1)"},
    {F_MAKE_DATE, "444>D", "ivy_make_date($1, $2, $3)"},
    {F_MAKE_TIME, "44d>T", "ivy_make_time($1, $2, $3)"},
    {F_MAKE_TIMESTAMP, "44444d>s", "ivy_make_timestamp($1, $2, $3, $4, $5, $6)"},
    {F_AGE_TIMESTAMP_TIMESTAMP, "ss>i", "ivy_age($1, $2)"},
    {F_AGE_TIMESTAMPTZ_TIMESTAMPTZ, "zz>i", "ivy_age(ivy_zoned_local($1), ivy_zoned_local($2))"},
    {F_ISFINITE_DATE, "D>b", "isfinite($1)"},
    {F_ISFINITE_TIMESTAMP, "s>b", "isfinite($1)"},
    {F_ISFINITE_TIMESTAMPTZ, "z>b", "isfinite($1)"},

    {F_DATE_TRUNC_TEXT_TIMESTAMP, "ts>s", "", Needs::kNothing, Trunc},
    {F_DATE_TRUNC_TEXT_TIMESTAMPTZ, "tz>z", "", Needs::kNothing, TruncZoned},
    {F_DATE_TRUNC_TEXT_TIMESTAMPTZ_TEXT, "tzt>z", "", Needs::kNothing, TruncZoned},
    {F_EXTRACT_TEXT_DATE, "tD>n", "", Needs::kNothing, Extract},
    {F_EXTRACT_TEXT_TIMESTAMP, "ts>n", "", Needs::kNothing, Extract},
    {F_EXTRACT_TEXT_TIMESTAMPTZ, "tz>n", "", Needs::kNothing, ExtractZoned},
    {F_DATE_PART_TEXT_TIMESTAMP, "ts>d", "", Needs::kNothing, Extract},
    {F_DATE_PART_TEXT_TIMESTAMPTZ, "tz>d", "", Needs::kNothing, ExtractZoned},

    // An infinite timestamp has no time of day.
    {F_TIME_TIMESTAMP, "s>T", "CASE WHEN isfinite($1) THEN CAST($1 AS TIME) END"},
    {F_TIME_TIMESTAMPTZ, "z>T", "CASE WHEN isfinite($1) THEN CAST(ivy_zoned_local($1) AS TIME) END"},
    {F_TIMESTAMP_DATE, "D>s", "CAST($1 AS TIMESTAMP)"},
    {F_DATE_TIMESTAMP, "s>D", "CAST($1 AS DATE)"},
    {F_TIMESTAMPTZ_DATE, "D>z", "ivy_zoned_instant(CAST($1 AS TIMESTAMP))"},
    {F_TIMESTAMPTZ_TIMESTAMP, "s>z", "ivy_zoned_instant($1)"},
    {F_TIMESTAMP_TIMESTAMPTZ, "z>s", "ivy_zoned_local($1)"},
    {F_DATE_TIMESTAMPTZ, "z>D", "CAST(ivy_zoned_local($1) AS DATE)"},
    {F_TIMEZONE_TEXT_TIMESTAMPTZ, "tz>s", "", Needs::kNothing, AtTimeZone},
    {F_TIMEZONE_TEXT_TIMESTAMP, "ts>z", "", Needs::kNothing, AtTimeZone},
};

}  // namespace

SignatureTable DatetimeSignatures() { return {kRows, lengthof(kRows)}; }

}  // namespace ivy::translate
