// SPDX-License-Identifier: Apache-2.0
// Casts between numbers. Text is in signatures_text.cc, dates and times are in signatures_datetime.cc.
#include "translate/signature.h"

extern "C" {
#include "utils/fmgroids.h"
}

namespace ivy::translate {

namespace {

// Every integer has display scale 0.
bool IntegerToNumeric(const Call& call, Sql* out) {
    const TypeKind kind = call.args[0].rep.kind;
    const int digits = kind == TypeKind::kInt16 ? 5 : kind == TypeKind::kInt32 ? 10 : 19;
    *out = Sql{};
    out->type = NUMERICOID;
    out->rep = Decimal(digits, 0);
    out->text = CastTo(call.args[0], out->rep);
    return true;
}

// DuckDB divides by a power of ten: the quotient is correctly rounded, as Postgres's conversion of digits is, if dividend
// and divisor are exact doubles.
bool NumericToDouble(const Call& call, Sql* out) {
    const Sql& a = call.args[0];
    const bool exact = !a.text_form && a.rep.precision <= 15;
    SetResult(call, 'd',
              psprintf(exact ? "CAST(%s AS DOUBLE)" : "ivy_num_double(%s)", exact ? a.text : ToNumericText(a).text),
              out);
    return true;
}

bool NumericToFloat(const Call& call, Sql* out) {
    SetResult(call, 'f', psprintf("ivy_num_float(%s)", ToNumericText(call.args[0]).text), out);
    return true;
}

bool NumericToInteger(const Call& call, Sql* out) {
    const char letter = strchr(call.signature->types, '>')[1];
    SetResult(call, letter, Expand(NumericTemplate(call.signature->sql, call.args[0].text_form), call.args, 1), out);
    return true;
}

constexpr Signature kRows[] = {
    {F_INT4_INT2, "2>4", "CAST($1 AS INTEGER)"},
    {F_INT8_INT2, "2>8", "CAST($1 AS BIGINT)"},
    {F_INT8_INT4, "4>8", "CAST($1 AS BIGINT)"},
    {F_INT2_INT4, "4>2", "CAST($1 AS SMALLINT)"},
    {F_INT2_INT8, "8>2", "CAST($1 AS SMALLINT)"},
    {F_INT4_INT8, "8>4", "CAST($1 AS INTEGER)"},
    {F_INT4_BOOL, "b>4", "CAST($1 AS INTEGER)"},
    {F_BOOL_INT4, "4>b", "($1 <> 0)"},
    {F_FLOAT4_INT2, "2>f", "CAST($1 AS FLOAT)"},
    {F_FLOAT4_INT4, "4>f", "CAST($1 AS FLOAT)"},
    {F_FLOAT4_INT8, "8>f", "CAST($1 AS FLOAT)"},
    {F_FLOAT8_INT2, "2>d", "CAST($1 AS DOUBLE)"},
    {F_FLOAT8_INT4, "4>d", "CAST($1 AS DOUBLE)"},
    {F_FLOAT8_INT8, "8>d", "CAST($1 AS DOUBLE)"},
    {F_FLOAT4_FLOAT8, "d>f", "ivy_float_of_double($1)"},
    {F_FLOAT8_FLOAT4, "f>d", "CAST($1 AS DOUBLE)"},
    // Both round to the nearest even integer and refuse what is out of range.
    {F_INT2_FLOAT4, "f>2", "CAST($1 AS SMALLINT)"},
    {F_INT4_FLOAT4, "f>4", "CAST($1 AS INTEGER)"},
    {F_INT8_FLOAT4, "f>8", "CAST($1 AS BIGINT)"},
    {F_INT2_FLOAT8, "d>2", "CAST($1 AS SMALLINT)"},
    {F_INT4_FLOAT8, "d>4", "CAST($1 AS INTEGER)"},
    {F_INT8_FLOAT8, "d>8", "CAST($1 AS BIGINT)"},
    {F_NUMERIC_INT2, "2>n", "$1", Needs::kNothing, IntegerToNumeric},
    {F_NUMERIC_INT4, "4>n", "$1", Needs::kNothing, IntegerToNumeric},
    {F_NUMERIC_INT8, "8>n", "$1", Needs::kNothing, IntegerToNumeric},
    // Both round half away from zero.
    {F_INT2_NUMERIC, "n>2", "CAST($1 AS SMALLINT)|ivy_num_int2($1)", Needs::kNothing, NumericToInteger},
    {F_INT4_NUMERIC, "n>4", "CAST($1 AS INTEGER)|ivy_num_int4($1)", Needs::kNothing, NumericToInteger},
    {F_INT8_NUMERIC, "n>8", "CAST($1 AS BIGINT)|ivy_num_int8($1)", Needs::kNothing, NumericToInteger},
    {F_FLOAT8_NUMERIC, "n>d", "$1", Needs::kNothing, NumericToDouble},
    {F_FLOAT4_NUMERIC, "n>f", "$1", Needs::kNothing, NumericToFloat},
    {F_NUMERIC_FLOAT8, "d>n", "ivy_num_of_double($1)"},
    {F_NUMERIC_FLOAT4, "f>n", "ivy_num_of_float($1)"},
};

}  // namespace

SignatureTable CastSignatures() { return {kRows, lengthof(kRows)}; }

}  // namespace ivy::translate
