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

NumericScale Worse(const Sql& a, const Sql& b) {
    return a.scale_kind == NumericScale::kByRow || b.scale_kind == NumericScale::kByRow ? NumericScale::kByRow
                                                                                        : NumericScale::kFixed;
}

// The result by the template for text form, if an argument has it or "force" says so.
bool InText(const Call& call, bool force, Sql* out) {
    bool text = force;
    for (int i = 0; i < call.count; i++) text |= IsNumericText(call.args[i]);
    if (!text) return false;
    for (int i = 0; i < call.count; i++) {
        if (call.signature->types[i] == 'n' || call.signature->types[i] == 'S')
            call.args[i] = ToNumericText(call.args[i]);
    }
    SetResult(call, strchr(call.signature->types, '>')[1],
              Expand(NumericTemplate(call.signature->sql, true), call.args, call.count), out);
    return true;
}

bool TextOnly(const Call& call, Sql* out) { return InText(call, true, out); }

const char* DecimalText(const Call& call) {
    return Expand(NumericTemplate(call.signature->sql, false), call.args, call.count);
}

void SetDecimal(const char* text, int precision, int scale, Sql* out) {
    *out = Sql{};
    out->text = text;
    out->type = NUMERICOID;
    out->rep = Decimal(Max(precision, 1), scale);
}

// The display scale of a sum is the larger of the two.
bool NumericSum(const Call& call, Sql* out) {
    if (InText(call, false, out)) return true;
    const Sql& a = call.args[0];
    const Sql& b = call.args[1];
    const int scale = Max(a.rep.scale, b.rep.scale);
    const int digits = Max(a.rep.precision - a.rep.scale, b.rep.precision - b.rep.scale) + 1;
    SetDecimal(DecimalText(call), digits + scale, scale, out);
    out->scale_kind = Worse(a, b);
    if (out->scale_kind == NumericScale::kByRow) out->scale = psprintf("greatest(%s, %s)", ScaleOf(a), ScaleOf(b));
    return true;
}

// That of a product is the sum of the two.
bool NumericProduct(const Call& call, Sql* out) {
    const Sql& a = call.args[0];
    const Sql& b = call.args[1];
    const int scale = a.rep.scale + b.rep.scale;
    if (InText(call, scale > 38, out)) return true;
    SetDecimal(DecimalText(call), a.rep.precision + b.rep.precision, scale, out);
    out->scale_kind = Worse(a, b);
    if (out->scale_kind == NumericScale::kByRow) out->scale = psprintf("(%s + %s)", ScaleOf(a), ScaleOf(b));
    return true;
}

bool NumericSameScale(const Call& call, Sql* out) {
    if (InText(call, false, out)) return true;
    *out = call.args[0];
    out->text = DecimalText(call);
    return true;
}

// ceil, floor, sign.
bool NumericInteger(const Call& call, Sql* out) {
    if (InText(call, false, out)) return true;
    const Sql& a = call.args[0];
    const int precision = Min(a.rep.precision - a.rep.scale + 1, 38);
    SetDecimal(psprintf("CAST(%s AS DECIMAL(%d,0))", DecimalText(call), precision), precision, 0, out);
    return true;
}

// round and trunc to a number of digits, which may be negative. The engine's functions give the same types.
bool NumericDigits(const Call& call, Sql* out) {
    int32 digits;
    const bool constant = ConstInt(call, 1, &digits);
    if (InText(call, !constant || digits < -38 || digits > 37, out)) return true;
    const Sql& a = call.args[0];
    const int scale = Max(digits, 0);
    SetDecimal(DecimalText(call), a.rep.precision - a.rep.scale + 1 + scale, scale, out);
    return true;
}

bool NumericTypmod(const Call& call, Sql* out) {
    int32 typmod;
    if (!ConstInt(call, 1, &typmod)) return RefuseCall(call, "type modifier is not a constant");
    if (typmod < VARHDRSZ) {
        *out = call.args[0];
        return true;
    }
    const int precision = types::NumericTypmodPrecision(typmod);
    const int scale = types::NumericTypmodScale(typmod);
    const bool decimal = precision <= 38 && scale >= 0 && scale <= precision;
    const Sql& a = call.args[0];
    if (decimal && !a.text_form) {
        // A cast to another scale rounds half away from zero in DuckDB too.
        SetDecimal(nullptr, precision, scale, out);
        out->text = psprintf("CAST(%s AS %s)", a.text, TypeName(out->rep));
        return true;
    }
    const char* text = psprintf("ivy_num_fit(%s, %d, %d)", ToNumericText(a).text, precision, scale);
    if (!decimal) {
        *out = NumericText(text);
        return true;
    }
    SetDecimal(nullptr, precision, scale, out);
    out->text = psprintf("CAST(%s AS %s)", text, TypeName(out->rep));
    return true;
}

bool NumericDisplayScale(const Call& call, Sql* out) {
    const Sql& a = call.args[0];
    const char* text = a.text_form ? psprintf("ivy_num_scale(%s)", a.text)
                                   : psprintf("CASE WHEN %s IS NULL THEN NULL ELSE %s END", a.text, ScaleOf(a));
    SetResult(call, '4', text, out);
    return true;
}

#define IVY_COMPARISONS(EQ, NE, LT, LE, GT, GE, TYPES) \
    {EQ, TYPES, "="}, {NE, TYPES, "<>"}, {LT, TYPES, "<"}, {LE, TYPES, "<="}, {GT, TYPES, ">"}, {GE, TYPES, ">="}
#define IVY_COMPARE(PREFIX, TYPES) \
    IVY_COMPARISONS(PREFIX##EQ, PREFIX##NE, PREFIX##LT, PREFIX##LE, PREFIX##GT, PREFIX##GE, TYPES)
#define IVY_INTEGER_MATH(PREFIX, TYPES)                                                                    \
    {PREFIX##PL, TYPES, "($1 + $2)"}, {PREFIX##MI, TYPES, "($1 - $2)"}, {PREFIX##MUL, TYPES, "($1 * $2)"}, \
        {PREFIX##DIV, TYPES, "ivy_div($1, $2)"}
#define IVY_FLOAT_MATH(PREFIX, TYPES)                                               \
    {PREFIX##PL, TYPES, "ivy_add($1, $2)"}, {PREFIX##MI, TYPES, "ivy_sub($1, $2)"}, \
        {PREFIX##MUL, TYPES, "ivy_mul($1, $2)"}, {PREFIX##DIV, TYPES, "ivy_fdiv($1, $2)"}

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
    {F_FLOAT4UM, "f>f", "ivy_neg($1)"},
    {F_FLOAT8UM, "d>d", "ivy_neg($1)"},
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
    {F_SQRT_FLOAT8, "d>d", "ivy_sqrt($1)"},
    {F_DSQRT, "d>d", "ivy_sqrt($1)"},
    {F_CBRT, "d>d", "ivy_cbrt($1)"},
    {F_DCBRT, "d>d", "ivy_cbrt($1)"},
    {F_EXP_FLOAT8, "d>d", "ivy_exp($1)"},
    {F_LN_FLOAT8, "d>d", "ivy_ln($1)"},
    {F_LOG_FLOAT8, "d>d", "ivy_log10($1)"},
    {F_LOG10_FLOAT8, "d>d", "ivy_log10($1)"},
    {F_SIGN_FLOAT8, "d>d", "ivy_sign($1)"},
    {F_SIN, "d>d", "ivy_sin($1)"},
    {F_COS, "d>d", "ivy_cos($1)"},
    {F_TAN, "d>d", "ivy_tan($1)"},
    {F_ASIN, "d>d", "ivy_asin($1)"},
    {F_ACOS, "d>d", "ivy_acos($1)"},
    {F_ATAN, "d>d", "ivy_atan($1)"},
    {F_SINH, "d>d", "ivy_sinh($1)"},
    {F_COSH, "d>d", "ivy_cosh($1)"},
    {F_TANH, "d>d", "ivy_tanh($1)"},
    {F_ASINH, "d>d", "ivy_asinh($1)"},
    {F_ACOSH, "d>d", "ivy_acosh($1)"},
    {F_ATANH, "d>d", "ivy_atanh($1)"},
    {F_DEGREES, "d>d", "ivy_degrees($1)"},
    {F_RADIANS, "d>d", "ivy_radians($1)"},
    {F_ATAN2, "dd>d", "ivy_atan2($1, $2)"},
    {F_POWER_FLOAT8_FLOAT8, "dd>d", "ivy_power($1, $2)"},
    {F_POW_FLOAT8_FLOAT8, "dd>d", "ivy_power($1, $2)"},
    {F_DPOW, "dd>d", "ivy_power($1, $2)"},
    {F_GCD_INT4_INT4, "44>4", "ivy_gcd($1, $2)"},
    {F_GCD_INT8_INT8, "88>8", "ivy_gcd($1, $2)"},
    {F_LCM_INT4_INT4, "44>4", "ivy_lcm($1, $2)"},
    {F_LCM_INT8_INT8, "88>8", "ivy_lcm($1, $2)"},

    {F_NUMERIC_ADD, "SS>n", "($1 + $2)|ivy_num_add($1, $2)", Needs::kNothing, NumericSum},
    {F_NUMERIC_SUB, "SS>n", "($1 - $2)|ivy_num_sub($1, $2)", Needs::kNothing, NumericSum},
    {F_NUMERIC_MUL, "SS>n", "($1 * $2)|ivy_num_mul($1, $2)", Needs::kNothing, NumericProduct},
    {F_NUMERIC_DIV, "nn>n", "ivy_num_div($1, $2)", Needs::kNothing, TextOnly},
    {F_DIV, "nn>n", "ivy_num_idiv($1, $2)", Needs::kNothing, TextOnly},
    {F_NUMERIC_MOD, "nn>n", "ivy_num_mod($1, $2)", Needs::kNothing, TextOnly},
    {F_MOD_NUMERIC_NUMERIC, "nn>n", "ivy_num_mod($1, $2)", Needs::kNothing, TextOnly},
    {F_NUMERIC_UMINUS, "S>n", "(-$1)|ivy_num_neg($1)", Needs::kNothing, NumericSameScale},
    {F_NUMERIC_UPLUS, "S>n", "$1|$1", Needs::kNothing, NumericSameScale},
    {F_NUMERIC_ABS, "S>n", "abs($1)|ivy_num_abs($1)", Needs::kNothing, NumericSameScale},
    {F_ABS_NUMERIC, "S>n", "abs($1)|ivy_num_abs($1)", Needs::kNothing, NumericSameScale},
    {F_CEIL_NUMERIC, "n>n", "ceil($1)|ivy_num_ceil($1)", Needs::kNothing, NumericInteger},
    {F_CEILING_NUMERIC, "n>n", "ceil($1)|ivy_num_ceil($1)", Needs::kNothing, NumericInteger},
    {F_FLOOR_NUMERIC, "n>n", "floor($1)|ivy_num_floor($1)", Needs::kNothing, NumericInteger},
    {F_SIGN_NUMERIC, "n>n", "sign($1)|ivy_num_sign($1)", Needs::kNothing, NumericInteger},
    {F_SQRT_NUMERIC, "n>n", "ivy_num_sqrt($1)", Needs::kNothing, TextOnly},
    {F_TRUNC_NUMERIC_INT4, "n4>n", "ivy_trunc($1, $2)|ivy_num_trunc($1, $2)", Needs::kNothing, NumericDigits},
    {F_ROUND_NUMERIC_INT4, "n4>n", "ivy_round($1, $2)|ivy_num_round($1, $2)", Needs::kNothing, NumericDigits},
    {F_NUMERIC_NUMERIC_INT4, "n4>n", "$1", Needs::kNothing, NumericTypmod},
    {F_TRIM_SCALE, "n>n", "ivy_num_trim_scale($1)", Needs::kNothing, TextOnly},
    {F_MIN_SCALE, "n>4", "ivy_num_min_scale($1)", Needs::kNothing, TextOnly},
    {F_GCD_NUMERIC_NUMERIC, "nn>n", "ivy_num_gcd($1, $2)", Needs::kNothing, TextOnly},
    {F_LCM_NUMERIC_NUMERIC, "nn>n", "ivy_num_lcm($1, $2)", Needs::kNothing, TextOnly},
    {F_FACTORIAL, "8>n", "ivy_factorial($1)"},
    {F_WIDTH_BUCKET_NUMERIC_NUMERIC_NUMERIC_INT4, "nnn4>4", "ivy_num_width_bucket($1, $2, $3, $4)", Needs::kNothing,
     TextOnly},
    {F_WIDTH_BUCKET_FLOAT8_FLOAT8_FLOAT8_INT4, "ddd4>4", "ivy_width_bucket($1, $2, $3, $4)"},
    {F_INT2SHL, "24>2", "ivy_shl2($1, $2)"},
    {F_INT4SHL, "44>4", "ivy_shl4($1, $2)"},
    {F_INT8SHL, "84>8", "ivy_shl8($1, $2)"},
    {F_INT2SHR, "24>2", "ivy_shr2($1, $2)"},
    {F_INT4SHR, "44>4", "ivy_shr4($1, $2)"},
    {F_INT8SHR, "84>8", "ivy_shr8($1, $2)"},
    {F_SCALE, "S>4", "$1", Needs::kNothing, NumericDisplayScale},
};

}  // namespace

SignatureTable NumericSignatures() { return {kRows, lengthof(kRows)}; }

}  // namespace ivy::translate
