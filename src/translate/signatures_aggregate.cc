// SPDX-License-Identifier: Apache-2.0
// Aggregates. The order of additions of floats is nobody's promise; all other sums are exact.
#include "translate/signature.h"

extern "C" {
#include "nodes/nodeFuncs.h"
#include "utils/fmgroids.h"
}

namespace ivy::translate {

namespace {

// Postgres raises an error when a sum of floats overflows, which can't be told from an infinite or NaN input by the
// result. The row table decides.
#define IVY_FINITE(SUM) \
    "CASE WHEN NOT isfinite(" SUM ") THEN CAST(error('sum of floats is not finite') AS DOUBLE) ELSE " SUM " END"

// The text form of a sum whatever the representation of what is summed up. The display scale of a sum is the largest.
const char* SumText(const Call& call) {
    const Sql& a = call.args[0];
    if (a.text_form) return AggregateOf(call, "ivy_num_sum", a.text);
    const char* sum = psprintf("CAST(%s AS VARCHAR)", AggregateOf(call, "sum", a.text));
    if (a.scale_kind != NumericScale::kByRow) return sum;
    return psprintf("ivy_num_round(%s, %s)", sum, AggregateOf(call, "max", a.scale));
}

bool SumNumeric(const Call& call, Sql* out) {
    const Sql& a = call.args[0];
    if (a.text_form || a.scale_kind == NumericScale::kByRow) {
        *out = NumericText(SumText(call));
        return true;
    }
    *out = Sql{};
    out->type = NUMERICOID;
    out->rep = Decimal(38, a.rep.scale);
    out->text = psprintf("CAST(%s AS %s)", AggregateOf(call, "sum", a.text), TypeName(out->rep));
    return true;
}

bool SumBigint(const Call& call, Sql* out) {
    *out = Sql{};
    out->type = NUMERICOID;
    out->rep = Decimal(38, 0);
    out->text = psprintf("CAST(sum%s AS DECIMAL(38,0))", call.aggregate);
    return true;
}

// The server divides sum by count too. Without any rows the sum is NULL, and so is the quotient.
bool Average(const Call& call, Sql* out) {
    *out = NumericText(psprintf("ivy_num_div(%s, CAST(count%s AS VARCHAR))", SumText(call), call.aggregate));
    return true;
}

// Variance and standard deviation come from the count, the sum and the sum of squares, all exact.
bool Deviation(const Call& call, Sql* out) {
    const Sql& a = call.args[0];
    const bool sample = strstr(call.signature->sql, "_samp") != nullptr;
    if (call.is_distinct) {
        // Squares of distinct values need not be distinct.
        const char* values = AggregateOf(call, "list", a.text);
        const char* texts = psprintf("list_transform(%s, lambda v: CAST(v AS VARCHAR))", values);
        const char* products = psprintf("list_transform(%s, lambda v: ivy_num_mul_exact(v, v))", texts);
        *out =
            NumericText(psprintf("CASE WHEN count%s > %d THEN %s(count%s, list_aggregate(%s, 'ivy_num_sum'), "
                                 "list_aggregate(%s, 'ivy_num_sum')) END",
                                 call.aggregate, sample ? 1 : 0, call.signature->sql, call.aggregate, texts, products));
        return true;
    }
    const char* squares;
    if (a.rep.kind != TypeKind::kDecimal && !a.text_form) {
        squares =
            psprintf("CAST(%s AS VARCHAR)",
                     AggregateOf(call, "sum", psprintf("CAST(%s AS HUGEINT) * CAST(%s AS HUGEINT)", a.text, a.text)));
    } else if (!a.text_form && a.rep.precision <= 19) {
        // Of two decimals of 19 digits DuckDB makes a product of 38.
        const char* wide = psprintf("CAST(%s AS DECIMAL(19,%d))", a.text, a.rep.scale);
        squares = psprintf("CAST(%s AS VARCHAR)", AggregateOf(call, "sum", psprintf("%s * %s", wide, wide)));
    } else {
        const char* text = ToNumericText(a).text;
        squares = AggregateOf(call, "ivy_num_sum", psprintf("ivy_num_mul_exact(%s, %s)", text, text));
    }
    const char* count = psprintf("count%s", call.aggregate);
    *out = NumericText(psprintf("CASE WHEN %s > %d THEN %s(%s, %s, %s) END", count, sample ? 1 : 0, call.signature->sql,
                                count, SumText(call), squares));
    return true;
}

bool MinMaxNumeric(const Call& call, Sql* out) {
    *out = call.args[0];
    out->is_null = false;
    out->text = psprintf("%s%s", NumericTemplate(call.signature->sql, out->text_form), call.aggregate);
    return true;
}

bool MinMaxText(const Call& call, Sql* out) {
    const char* text = psprintf("%s%s", call.signature->sql, call.aggregate);
    if (!SortsByBytes(call.collation)) {
        bool has_keys;
        const char* name = CollationName(call.collation, &has_keys);
        if (name == nullptr) return RefuseCall(call, "a collation that the engine doesn't know");
        text = AggregateOf(call, psprintf("ivy_collation_%s", call.signature->sql),
                           psprintf("%s, %s", call.args[0].text, name));
    }
    SetResult(call, 't', text, out);
    return true;
}

// Without trailing blanks, which don't count; with the same length, equal ones are the same.
bool MinMaxPadded(const Call& call, Sql* out) {
    const Node* node = static_cast<Node*>(linitial(call.nodes));
    if (exprTypmod(node) < VARHDRSZ) return RefuseCall(call, "character of varying length");
    const char* text = call.args[0].text;
    const char* arguments = psprintf("%s, rtrim(%s, ' ')", text, text);
    SetResult(call, 'p', AggregateOf(call, psprintf("arg_%s", call.signature->sql), arguments), out);
    return true;
}

// regr_count: the pairs without NULLs.
bool CountPairs(const Call& call, Sql* out) {
    const char* pair =
        psprintf("CASE WHEN %s IS NOT NULL AND %s IS NOT NULL THEN 1 END", call.args[0].text, call.args[1].text);
    SetResult(call, '8', AggregateOf(call, "count", pair), out);
    return true;
}

#define IVY_DEVIATIONS(TYPE, TYPES)                                                         \
    {F_VARIANCE_##TYPE, TYPES, "ivy_num_var_samp", Needs::kNothing, Deviation},             \
        {F_VAR_SAMP_##TYPE, TYPES, "ivy_num_var_samp", Needs::kNothing, Deviation},         \
        {F_VAR_POP_##TYPE, TYPES, "ivy_num_var_pop", Needs::kNothing, Deviation},           \
        {F_STDDEV_##TYPE, TYPES, "ivy_num_stddev_samp", Needs::kNothing, Deviation},        \
        {F_STDDEV_SAMP_##TYPE, TYPES, "ivy_num_stddev_samp", Needs::kNothing, Deviation}, { \
        F_STDDEV_POP_##TYPE, TYPES, "ivy_num_stddev_pop", Needs::kNothing, Deviation        \
    }

#define IVY_FLOAT_DEVIATIONS(TYPE)                                                                             \
    {F_VARIANCE_##TYPE, "d>d", "ivy_float_var_samp$a"}, {F_VAR_SAMP_##TYPE, "d>d", "ivy_float_var_samp$a"},    \
        {F_VAR_POP_##TYPE, "d>d", "ivy_float_var_pop$a"}, {F_STDDEV_##TYPE, "d>d", "ivy_float_stddev_samp$a"}, \
        {F_STDDEV_SAMP_##TYPE, "d>d", "ivy_float_stddev_samp$a"},                                              \
        {F_STDDEV_POP_##TYPE, "d>d", "ivy_float_stddev_pop$a"}

constexpr Signature kAggregates[] = {
    {F_COUNT_, ">8", "count$a"},
    {F_COUNT_ANY, "?>8", "count$a"},
    {F_SUM_INT2, "2>8", "CAST(sum$a AS BIGINT)"},
    {F_SUM_INT4, "4>8", "CAST(sum$a AS BIGINT)"},
    {F_SUM_INT8, "8>n", "sum", Needs::kNothing, SumBigint},
    {F_SUM_NUMERIC, "S>n", "sum", Needs::kNothing, SumNumeric},
    {F_AVG_INT2, "2>n", "avg", Needs::kNothing, Average},
    {F_AVG_INT4, "4>n", "avg", Needs::kNothing, Average},
    {F_AVG_INT8, "8>n", "avg", Needs::kNothing, Average},
    {F_AVG_NUMERIC, "S>n", "avg", Needs::kNothing, Average},
    IVY_DEVIATIONS(INT2, "2>n"),
    IVY_DEVIATIONS(INT4, "4>n"),
    IVY_DEVIATIONS(INT8, "8>n"),
    IVY_DEVIATIONS(NUMERIC, "n>n"),
    {F_SUM_FLOAT8, "d>d", IVY_FINITE("sum$a")},
    {F_AVG_FLOAT4, "d>d", IVY_FINITE("avg$a")},
    {F_AVG_FLOAT8, "d>d", IVY_FINITE("avg$a")},
    IVY_FLOAT_DEVIATIONS(FLOAT4),
    IVY_FLOAT_DEVIATIONS(FLOAT8),
    {F_COVAR_POP, "dd>d", "ivy_covar_pop$a"},
    {F_COVAR_SAMP, "dd>d", "ivy_covar_samp$a"},
    {F_CORR, "dd>d", "ivy_corr$a"},
    {F_REGR_COUNT, "dd>8", "count", Needs::kNothing, CountPairs},
    {F_REGR_SXX, "dd>d", "ivy_regr_sxx$a"},
    {F_REGR_SYY, "dd>d", "ivy_regr_syy$a"},
    {F_REGR_SXY, "dd>d", "ivy_regr_sxy$a"},
    {F_REGR_AVGX, "dd>d", "ivy_regr_avgx$a"},
    {F_REGR_AVGY, "dd>d", "ivy_regr_avgy$a"},
    {F_REGR_R2, "dd>d", "ivy_regr_r2$a"},
    {F_REGR_SLOPE, "dd>d", "ivy_regr_slope$a"},
    {F_REGR_INTERCEPT, "dd>d", "ivy_regr_intercept$a"},

    {F_MIN_INT2, "2>2", "min$a"},
    {F_MIN_INT4, "4>4", "min$a"},
    {F_MIN_INT8, "8>8", "min$a"},
    {F_MIN_BYTEA, "y>y", "min$a"},
    {F_MIN_FLOAT4, "f>f", "min$a"},
    {F_MIN_FLOAT8, "d>d", "min$a"},
    {F_MIN_NUMERIC, "n>n", "min|ivy_num_min", Needs::kNothing, MinMaxNumeric},
    {F_MIN_DATE, "D>D", "min$a"},
    {F_MIN_TIME, "T>T", "min$a"},
    {F_MIN_TIMESTAMP, "s>s", "min$a"},
    {F_MIN_TIMESTAMPTZ, "z>z", "min$a"},
    {F_MIN_TEXT, "t>t", "min", Needs::kDeterministic, MinMaxText},
    {F_MIN_OID, "8>8", "min$a"},
    {F_MIN_BPCHAR, "p>p", "min", Needs::kBytes, MinMaxPadded},
    {F_MAX_INT2, "2>2", "max$a"},
    {F_MAX_INT4, "4>4", "max$a"},
    {F_MAX_INT8, "8>8", "max$a"},
    {F_MAX_BYTEA, "y>y", "max$a"},
    {F_MAX_FLOAT4, "f>f", "max$a"},
    {F_MAX_FLOAT8, "d>d", "max$a"},
    {F_MAX_NUMERIC, "n>n", "max|ivy_num_max", Needs::kNothing, MinMaxNumeric},
    {F_MAX_DATE, "D>D", "max$a"},
    {F_MAX_TIME, "T>T", "max$a"},
    {F_MAX_TIMESTAMP, "s>s", "max$a"},
    {F_MAX_TIMESTAMPTZ, "z>z", "max$a"},
    {F_MAX_TEXT, "t>t", "max", Needs::kDeterministic, MinMaxText},
    {F_MAX_OID, "8>8", "max$a"},
    {F_MAX_BPCHAR, "p>p", "max", Needs::kBytes, MinMaxPadded},

    {F_BOOL_AND, "b>b", "bool_and$a"},
    {F_BOOL_OR, "b>b", "bool_or$a"},
    {F_EVERY, "b>b", "bool_and$a"},
    {F_BIT_AND_INT2, "2>2", "bit_and$a"},
    {F_BIT_AND_INT4, "4>4", "bit_and$a"},
    {F_BIT_AND_INT8, "8>8", "bit_and$a"},
    {F_BIT_OR_INT2, "2>2", "bit_or$a"},
    {F_BIT_OR_INT4, "4>4", "bit_or$a"},
    {F_BIT_OR_INT8, "8>8", "bit_or$a"},
    {F_BIT_XOR_INT2, "2>2", "bit_xor$a"},
    {F_BIT_XOR_INT4, "4>4", "bit_xor$a"},
    {F_BIT_XOR_INT8, "8>8", "bit_xor$a"},
};

}  // namespace

SignatureTable AggregateSignatures() { return {kAggregates, lengthof(kAggregates)}; }

}  // namespace ivy::translate
