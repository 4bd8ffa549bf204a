// SPDX-License-Identifier: Apache-2.0
// Booleans, integers, floats and numerics: comparison and arithmetic.
//
// DuckDB's + - * on integers raise an error at overflow as Postgres's do. Division is the engine's own: DuckDB's / gives a
// float. So is float arithmetic, because Postgres raises errors where IEEE gives infinities.
#include "translate/signature.h"

#include "types/numeric.h"

extern "C" {
#include "utils/fmgroids.h"
}

namespace ivy::translate {

namespace {

// The scale of a result whose arguments' scales are a and b, as text, when it varies by row.
const char* RowScale(const Sql& e) {
    return e.scale_kind == NumericScale::kByRow ? e.scale : psprintf("CAST(%d AS INTEGER)", e.rep.scale);
}

NumericScale Worse(const Sql& a, const Sql& b) {
    if (a.scale_kind == NumericScale::kUnknown || b.scale_kind == NumericScale::kUnknown) return NumericScale::kUnknown;
    if (a.scale_kind == NumericScale::kByRow || b.scale_kind == NumericScale::kByRow) return NumericScale::kByRow;
    return NumericScale::kFixed;
}

void SetNumeric(const Call& call, const char* text, int precision, int scale, Sql* out) {
    *out = Sql{};
    out->text = text;
    out->type = NUMERICOID;
    out->rep = Decimal(Max(precision, 1), scale);
}

// The display scale of a sum is the larger of the two.
bool NumericSum(const Call& call, Sql* out) {
    const Sql& a = call.args[0];
    const Sql& b = call.args[1];
    const int scale = Max(a.rep.scale, b.rep.scale);
    const int digits = Max(a.rep.precision - a.rep.scale, b.rep.precision - b.rep.scale) + 1;
    SetNumeric(call, Expand(call.signature->sql, call.args, 2), digits + scale, scale, out);
    out->scale_kind = Worse(a, b);
    if (out->scale_kind == NumericScale::kByRow) out->scale = psprintf("greatest(%s, %s)", RowScale(a), RowScale(b));
    return true;
}

// That of a product is the sum of the two.
bool NumericProduct(const Call& call, Sql* out) {
    const Sql& a = call.args[0];
    const Sql& b = call.args[1];
    const int scale = a.rep.scale + b.rep.scale;
    if (scale > 38) return RefuseCall(call, "more than 38 digits after the point");
    SetNumeric(call, Expand(call.signature->sql, call.args, 2), a.rep.precision + b.rep.precision, scale, out);
    out->scale_kind = Worse(a, b);
    if (out->scale_kind == NumericScale::kByRow) out->scale = psprintf("(%s + %s)", RowScale(a), RowScale(b));
    return true;
}

bool NumericSameScale(const Call& call, Sql* out) {
    *out = call.args[0];
    out->text = Expand(call.signature->sql, call.args, 1);
    return true;
}

// ceil, floor, sign.
bool NumericInteger(const Call& call, Sql* out) {
    const Sql& a = call.args[0];
    const int precision = Min(a.rep.precision - a.rep.scale + 1, 38);
    SetNumeric(call, psprintf("CAST(%s AS DECIMAL(%d,0))", Expand(call.signature->sql, call.args, 1), precision), precision,
               0, out);
    return true;
}

// round and trunc to a number of digits, which may be negative. The engine's functions give the same types.
bool NumericDigits(const Call& call, Sql* out) {
    int32 digits;
    if (!ConstInt(call, 1, &digits)) return RefuseCall(call, "number of digits is not a constant");
    const Sql& a = call.args[0];
    const int scale = Max(digits, 0);
    if (digits < -38 || scale > 37) return RefuseCall(call, "number of digits is out of range");
    SetNumeric(call, Expand(call.signature->sql, call.args, 2), a.rep.precision - a.rep.scale + 1 + scale, scale, out);
    return true;
}

bool NumericTypmod(const Call& call, Sql* out) {
    int32 typmod;
    if (!ConstInt(call, 1, &typmod) || typmod < VARHDRSZ) return RefuseCall(call, "type modifier is not a constant");
    const int precision = types::NumericTypmodPrecision(typmod);
    const int scale = types::NumericTypmodScale(typmod);
    if (precision > 38 || scale < 0 || scale > precision) return RefuseCall(call, "more than 38 digits");
    // A cast to another scale rounds half away from zero in DuckDB too.
    SetNumeric(call, nullptr, precision, scale, out);
    out->text = psprintf("CAST(%s AS %s)", call.args[0].text, TypeName(out->rep));
    return true;
}

bool NumericDisplayScale(const Call& call, Sql* out) {
    const Sql& a = call.args[0];
    if (a.scale_kind == NumericScale::kUnknown) return RefuseCall(call, "display scale is not known");
    SetResult(call, '4', psprintf("CASE WHEN %s IS NULL THEN NULL ELSE %s END", a.text, RowScale(a)), out);
    return true;
}

#define IVY_COMPARISONS(EQ, NE, LT, LE, GT, GE, TYPES) \
    {EQ, TYPES, "="}, {NE, TYPES, "<>"}, {LT, TYPES, "<"}, {LE, TYPES, "<="}, {GT, TYPES, ">"}, {GE, TYPES, ">="}
#define IVY_COMPARE(PREFIX, TYPES) \
    IVY_COMPARISONS(PREFIX##EQ, PREFIX##NE, PREFIX##LT, PREFIX##LE, PREFIX##GT, PREFIX##GE, TYPES)
#define IVY_INTEGER_MATH(PREFIX, TYPES)                                                                        \
    {PREFIX##PL, TYPES, "($1 + $2)"}, {PREFIX##MI, TYPES, "($1 - $2)"}, {PREFIX##MUL, TYPES, "($1 * $2)"}, \
        {PREFIX##DIV, TYPES, "ivy_div($1, $2)"}
#define IVY_FLOAT_MATH(PREFIX, TYPES)                                                                                    \
    {PREFIX##PL, TYPES, "ivy_add($1, $2)"}, {PREFIX##MI, TYPES, "ivy_sub($1, $2)"}, {PREFIX##MUL, TYPES, "ivy_mul($1, $2)"}, \
        {PREFIX##DIV, TYPES, "ivy_fdiv($1, $2)"}

constexpr Signature kRows[] = {
    IVY_COMPARE(F_BOOL, "bb>b"),
    IVY_COMPARE(F_INT2, "22>b"),
    IVY_COMPARE(F_INT4, "44>b"),
    IVY_COMPARE(F_INT8, "88>b"),
    IVY_COMPARE(F_INT24, "44>b"),
    IVY_COMPARE(F_INT42, "44>b"),
    IVY_COMPARE(F_INT28, "88>b"),
    IVY_COMPARE(F_INT82, "88>b"),
    IVY_COMPARE(F_INT48, "88>b"),
    IVY_COMPARE(F_INT84, "88>b"),
    IVY_COMPARE(F_OID, "88>b"),
    IVY_COMPARE(F_FLOAT4, "ff>b"),
    IVY_COMPARE(F_FLOAT8, "dd>b"),
    IVY_COMPARE(F_FLOAT48, "dd>b"),
    IVY_COMPARE(F_FLOAT84, "dd>b"),
    IVY_COMPARE(F_NUMERIC_, "nn>b"),

    IVY_INTEGER_MATH(F_INT2, "22>2"),
    IVY_INTEGER_MATH(F_INT4, "44>4"),
    IVY_INTEGER_MATH(F_INT8, "88>8"),
    IVY_INTEGER_MATH(F_INT24, "44>4"),
    IVY_INTEGER_MATH(F_INT42, "44>4"),
    IVY_INTEGER_MATH(F_INT28, "88>8"),
    IVY_INTEGER_MATH(F_INT82, "88>8"),
    IVY_INTEGER_MATH(F_INT48, "88>8"),
    IVY_INTEGER_MATH(F_INT84, "88>8"),
    {F_INT2MOD, "22>2", "ivy_mod($1, $2)"},
    {F_INT4MOD, "44>4", "ivy_mod($1, $2)"},
    {F_INT8MOD, "88>8", "ivy_mod($1, $2)"},
    {F_MOD_INT2_INT2, "22>2", "ivy_mod($1, $2)"},
    {F_MOD_INT4_INT4, "44>4", "ivy_mod($1, $2)"},
    {F_MOD_INT8_INT8, "88>8", "ivy_mod($1, $2)"},
    {F_INT2UM, "2>2", "ivy_neg($1)"},
    {F_INT4UM, "4>4", "ivy_neg($1)"},
    {F_INT8UM, "8>8", "ivy_neg($1)"},
    {F_INT2UP, "2>2", "$1"},
    {F_INT4UP, "4>4", "$1"},
    {F_INT8UP, "8>8", "$1"},
    {F_INT2ABS, "2>2", "abs($1)"},
    {F_INT4ABS, "4>4", "abs($1)"},
    {F_INT8ABS, "8>8", "abs($1)"},
    {F_ABS_INT2, "2>2", "abs($1)"},
    {F_ABS_INT4, "4>4", "abs($1)"},
    {F_ABS_INT8, "8>8", "abs($1)"},
    {F_INT2AND, "22>2", "($1 & $2)"},
    {F_INT4AND, "44>4", "($1 & $2)"},
    {F_INT8AND, "88>8", "($1 & $2)"},
    {F_INT2OR, "22>2", "($1 | $2)"},
    {F_INT4OR, "44>4", "($1 | $2)"},
    {F_INT8OR, "88>8", "($1 | $2)"},
    {F_INT2XOR, "22>2", "xor($1, $2)"},
    {F_INT4XOR, "44>4", "xor($1, $2)"},
    {F_INT8XOR, "88>8", "xor($1, $2)"},
    {F_INT2NOT, "2>2", "(~$1)"},
    {F_INT4NOT, "4>4", "(~$1)"},
    {F_INT8NOT, "8>8", "(~$1)"},

    IVY_FLOAT_MATH(F_FLOAT4, "ff>f"),
    IVY_FLOAT_MATH(F_FLOAT8, "dd>d"),
    IVY_FLOAT_MATH(F_FLOAT48, "dd>d"),
    IVY_FLOAT_MATH(F_FLOAT84, "dd>d"),
    {F_FLOAT4UM, "f>f", "(-$1)"},
    {F_FLOAT8UM, "d>d", "(-$1)"},
    {F_FLOAT4UP, "f>f", "$1"},
    {F_FLOAT8UP, "d>d", "$1"},
    {F_FLOAT4ABS, "f>f", "abs($1)"},
    {F_FLOAT8ABS, "d>d", "abs($1)"},
    {F_ABS_FLOAT4, "f>f", "abs($1)"},
    {F_ABS_FLOAT8, "d>d", "abs($1)"},
    {F_CEIL_FLOAT8, "d>d", "ceil($1)"},
    {F_CEILING_FLOAT8, "d>d", "ceil($1)"},
    {F_FLOOR_FLOAT8, "d>d", "floor($1)"},
    {F_TRUNC_FLOAT8, "d>d", "trunc($1)"},
    {F_ROUND_FLOAT8, "d>d", "ivy_round_half_even($1)"},
    {F_SQRT_FLOAT8, "d>d",
     "CASE WHEN $1 < 0 THEN CAST(error('square root of a negative number') AS DOUBLE) ELSE sqrt($1) END"},

    {F_NUMERIC_ADD, "nn>n", "($1 + $2)", Needs::kNothing, NumericSum},
    {F_NUMERIC_SUB, "nn>n", "($1 - $2)", Needs::kNothing, NumericSum},
    {F_NUMERIC_MUL, "nn>n", "($1 * $2)", Needs::kNothing, NumericProduct},
    {F_NUMERIC_UMINUS, "n>n", "(-$1)", Needs::kNothing, NumericSameScale},
    {F_NUMERIC_UPLUS, "n>n", "$1", Needs::kNothing, NumericSameScale},
    {F_NUMERIC_ABS, "n>n", "abs($1)", Needs::kNothing, NumericSameScale},
    {F_ABS_NUMERIC, "n>n", "abs($1)", Needs::kNothing, NumericSameScale},
    {F_CEIL_NUMERIC, "n>n", "ceil($1)", Needs::kNothing, NumericInteger},
    {F_CEILING_NUMERIC, "n>n", "ceil($1)", Needs::kNothing, NumericInteger},
    {F_FLOOR_NUMERIC, "n>n", "floor($1)", Needs::kNothing, NumericInteger},
    {F_SIGN_NUMERIC, "n>n", "sign($1)", Needs::kNothing, NumericInteger},
    {F_TRUNC_NUMERIC_INT4, "n4>n", "ivy_trunc($1, $2)", Needs::kNothing, NumericDigits},
    {F_ROUND_NUMERIC_INT4, "n4>n", "ivy_round($1, $2)", Needs::kNothing, NumericDigits},
    {F_NUMERIC_NUMERIC_INT4, "n4>n", "$1", Needs::kNothing, NumericTypmod},
    {F_SCALE, "n>4", "$1", Needs::kNothing, NumericDisplayScale},
};

}  // namespace

SignatureTable NumericSignatures() { return {kRows, lengthof(kRows)}; }

}  // namespace ivy::translate
