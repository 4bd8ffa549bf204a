// SPDX-License-Identifier: Apache-2.0
// Intervals and times of day. Intervals are ordered and equal by what they are with months of 30 days and days of 24 hours,
// which ivy_interval_key gives (see PrepareArguments).
#include "translate/signature.h"

extern "C" {
#include "utils/datetime.h"
#include "utils/fmgroids.h"
}

namespace ivy::translate {

namespace {

struct Field {
    int unit;
    const char* name;
    int scale;     // digits after the point of what extract gives
    bool of_time;  // times of day have it
};

constexpr Field kFields[] = {
    {DTK_MICROSEC, "microseconds", 0, true},
    {DTK_MILLISEC, "milliseconds", 3, true},
    {DTK_SECOND, "second", 6, true},
    {DTK_MINUTE, "minute", 0, true},
    {DTK_HOUR, "hour", 0, true},
    {DTK_DAY, "day", 0, false},
    {DTK_WEEK, "week", 0, false},
    {DTK_MONTH, "month", 0, false},
    {DTK_QUARTER, "quarter", 0, false},
    {DTK_YEAR, "year", 0, false},
    {DTK_DECADE, "decade", 0, false},
    {DTK_CENTURY, "century", 0, false},
    {DTK_MILLENNIUM, "millennium", 0, false},
    {DTK_EPOCH, "epoch", 6, true},
};

// extract() gives a numeric with the field's digits, date_part() a float8.
bool Extract(const Call& call, Sql* out) {
    const int unit = ConstUnit(call);
    const bool of_time = call.signature->types[1] == 'T';
    const Field* field = nullptr;
    for (const Field& known : kFields) {
        if (known.unit == unit && (known.of_time || !of_time)) field = &known;
    }
    if (field == nullptr) return RefuseCall(call, "field is not a known constant");
    const char* interval = of_time ? psprintf("ivy_interval_of_time(%s)", call.args[1].text) : call.args[1].text;
    if (strchr(call.signature->types, '>')[1] == 'd') {
        SetResult(call, 'd', psprintf("ivy_interval_part(%s, '%s')", interval, field->name), out);
        return true;
    }
    *out = Sql{};
    out->type = NUMERICOID;
    const char* whole = psprintf("ivy_interval_field(%s, '%s')", interval, field->name);
    if (field->scale == 0) {
        out->rep = Decimal(19, 0);
        out->text = psprintf("CAST(%s AS DECIMAL(19,0))", whole);
        return true;
    }
    const int scale = field->scale;
    const int precision = 23 + scale;
    out->rep = Decimal(precision, scale);
    out->text = psprintf("CAST(CAST(%s AS DECIMAL(23,0)) * CAST('0.%0*d' AS DECIMAL(%d,%d)) AS DECIMAL(%d,%d))", whole,
                         scale, 1, scale, scale, precision, scale);
    return true;
}

constexpr Signature kRows[] = {
    {F_INTERVAL_EQ, "ii>b", "="},
    {F_INTERVAL_NE, "ii>b", "<>"},
    {F_INTERVAL_LT, "ii>b", "<"},
    {F_INTERVAL_LE, "ii>b", "<="},
    {F_INTERVAL_GT, "ii>b", ">"},
    {F_INTERVAL_GE, "ii>b", ">="},
    {F_INTERVAL_UM, "i>i", "ivy_interval_neg($1)"},
    {F_INTERVAL_PL, "ii>i", "ivy_interval_add($1, $2)"},
    {F_INTERVAL_MI, "ii>i", "ivy_interval_sub($1, $2)"},
    {F_INTERVAL_MUL, "id>i", "ivy_interval_mul($1, $2)"},
    {F_MUL_D_INTERVAL, "di>i", "ivy_interval_mul($2, $1)"},
    {F_INTERVAL_DIV, "id>i", "ivy_interval_div($1, $2)"},
    {F_JUSTIFY_HOURS, "i>i", "ivy_justify_hours($1)"},
    {F_JUSTIFY_DAYS, "i>i", "ivy_justify_days($1)"},
    {F_JUSTIFY_INTERVAL, "i>i", "ivy_justify_interval($1)"},
    {F_MAKE_INTERVAL, "444444d>i", "ivy_make_interval($1, $2, $3, $4, $5, $6, $7)"},
    {F_ISFINITE_INTERVAL, "i>b", "ivy_interval_finite($1)"},
    {F_EXTRACT_TEXT_INTERVAL, "ti>n", "", Needs::kNothing, Extract},
    {F_DATE_PART_TEXT_INTERVAL, "ti>d", "", Needs::kNothing, Extract},
    {F_EXTRACT_TEXT_TIME, "tT>n", "", Needs::kNothing, Extract},
    {F_DATE_PART_TEXT_TIME, "tT>d", "", Needs::kNothing, Extract},

    {F_TIME_MI_TIME, "TT>i", "ivy_time_difference($1, $2)"},
    {F_TIME_PL_INTERVAL, "Ti>T", "ivy_time_add($1, $2)"},
    {F_TIME_MI_INTERVAL, "Ti>T", "ivy_time_sub($1, $2)"},
    {F_TIME_INTERVAL, "i>T", "ivy_time_of_interval($1)"},
    {F_INTERVAL_TIME, "T>i", "ivy_interval_of_time($1)"},
};

}  // namespace

SignatureTable IntervalSignatures() { return {kRows, lengthof(kRows)}; }

}  // namespace ivy::translate
