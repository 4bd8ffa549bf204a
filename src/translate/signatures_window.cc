// SPDX-License-Identifier: Apache-2.0
// Window functions that are not aggregates.
#include "translate/signature.h"

extern "C" {
#include "utils/fmgroids.h"
}

namespace ivy::translate {

namespace {

// Window functions that give one of their argument's values.
bool SameAsArgument(const Call& call, Sql* out) {
    *out = call.args[0];
    out->is_null = false;
    out->text = Expand(call.signature->sql, call.args, call.count, call.aggregate);
    return true;
}

// lag and lead with a default, which may have another display scale than the values.
bool SameAsArgumentOrDefault(const Call& call, Sql* out) {
    Sql sides[2] = {call.args[0], call.args[2]};
    if (!CommonType(call.t, sides, 2, "default of a window function", out)) return false;
    if (out->scale_kind != NumericScale::kFixed) *out = NumericText(nullptr);
    const char* text = psprintf("%s, %s, %s", ConvertTo(sides[0], *out), call.args[1].text, ConvertTo(sides[1], *out));
    out->is_null = false;
    out->text = AggregateOf(call, call.signature->sql, text);
    return true;
}

// Postgres evaluates the number of buckets for a partition's first row only.
bool Ntile(const Call& call, Sql* out) {
    if (!IsValue(static_cast<Node*>(linitial(call.nodes))))
        return RefuseCall(call, "a number of buckets that varies by row");
    SetResult(call, '4', psprintf("CAST(ntile%s AS INTEGER)", call.aggregate), out);
    return true;
}

constexpr Signature kWindows[] = {
    {F_ROW_NUMBER, ">8", "row_number$a"},
    {F_RANK_, ">8", "rank$a"},
    {F_DENSE_RANK_, ">8", "dense_rank$a"},
    {F_PERCENT_RANK_, ">d", "percent_rank$a"},
    {F_CUME_DIST_, ">d", "cume_dist$a"},
    {F_NTILE, "4>4", "ntile", Needs::kNothing, Ntile},
    {F_LAG_ANYELEMENT, "?>*", "lag$a", Needs::kNothing, SameAsArgument},
    {F_LAG_ANYELEMENT_INT4, "?4>*", "lag$a", Needs::kNothing, SameAsArgument},
    {F_LAG_ANYCOMPATIBLE_INT4_ANYCOMPATIBLE, "?4?>*", "lag", Needs::kNothing, SameAsArgumentOrDefault},
    {F_LEAD_ANYELEMENT, "?>*", "lead$a", Needs::kNothing, SameAsArgument},
    {F_LEAD_ANYELEMENT_INT4, "?4>*", "lead$a", Needs::kNothing, SameAsArgument},
    {F_LEAD_ANYCOMPATIBLE_INT4_ANYCOMPATIBLE, "?4?>*", "lead", Needs::kNothing, SameAsArgumentOrDefault},
    {F_FIRST_VALUE, "?>*", "first_value$a", Needs::kNothing, SameAsArgument},
    {F_LAST_VALUE, "?>*", "last_value$a", Needs::kNothing, SameAsArgument},
    {F_NTH_VALUE, "?4>*", "nth_value$a", Needs::kNothing, SameAsArgument},
};

}  // namespace

SignatureTable WindowSignatures() { return {kWindows, lengthof(kWindows)}; }

}  // namespace ivy::translate
