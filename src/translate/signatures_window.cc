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

// lag and lead with a default.
bool SameAsArgumentOrDefault(const Call& call, Sql* out) {
    const Sql sides[2] = {call.args[0], call.args[2]};
    if (!CommonType(call.t, sides, 2, "default of a window function", out)) return false;
    if (out->rep != call.args[0].rep) {
        return RefuseCall(call, "default of another representation");
    }
    return SameAsArgument(call, out);
}

constexpr Signature kWindows[] = {
    {F_ROW_NUMBER, ">8", "row_number$a"},
    {F_RANK_, ">8", "rank$a"},
    {F_DENSE_RANK_, ">8", "dense_rank$a"},
    {F_PERCENT_RANK_, ">d", "percent_rank$a"},
    {F_CUME_DIST_, ">d", "cume_dist$a"},
    {F_NTILE, "4>4", "CAST(ntile$a AS INTEGER)"},
    {F_LAG_ANYELEMENT, "?>*", "lag$a", Needs::kNothing, SameAsArgument},
    {F_LAG_ANYELEMENT_INT4, "?4>*", "lag$a", Needs::kNothing, SameAsArgument},
    {F_LAG_ANYCOMPATIBLE_INT4_ANYCOMPATIBLE, "?4?>*", "lag$a", Needs::kNothing, SameAsArgumentOrDefault},
    {F_LEAD_ANYELEMENT, "?>*", "lead$a", Needs::kNothing, SameAsArgument},
    {F_LEAD_ANYELEMENT_INT4, "?4>*", "lead$a", Needs::kNothing, SameAsArgument},
    {F_LEAD_ANYCOMPATIBLE_INT4_ANYCOMPATIBLE, "?4?>*", "lead$a", Needs::kNothing, SameAsArgumentOrDefault},
    {F_FIRST_VALUE, "?>*", "first_value$a", Needs::kNothing, SameAsArgument},
    {F_LAST_VALUE, "?>*", "last_value$a", Needs::kNothing, SameAsArgument},
    {F_NTH_VALUE, "?4>*", "nth_value$a", Needs::kNothing, SameAsArgument},
};

}  // namespace

SignatureTable WindowSignatures() { return {kWindows, lengthof(kWindows)}; }

}  // namespace ivy::translate
