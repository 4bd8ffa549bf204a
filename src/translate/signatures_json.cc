// SPDX-License-Identifier: Apache-2.0
// jsonb: parts of its text form.
#include "translate/signature.h"

extern "C" {
#include "utils/array.h"
#include "utils/fmgroids.h"
}

namespace ivy::translate {

namespace {

// #> and #>> with a constant path, step by step.
bool Path(const Call& call, Sql* out) {
    const Node* node = static_cast<Node*>(lsecond(call.nodes));
    const char letter = strchr(call.signature->types, '>')[1];
    if (!IsA(node, Const) || reinterpret_cast<const Const*>(node)->constisnull) {
        return RefuseCall(call, "path that is not a constant");
    }
    Datum* steps;
    bool* nulls;
    int count;
    deconstruct_array_builtin(DatumGetArrayTypeP(reinterpret_cast<const Const*>(node)->constvalue), TEXTOID, &steps,
                              &nulls, &count);
    if (count == 0) return RefuseCall(call, "empty path");
    const char* text = call.args[0].text;
    for (int i = 0; i < count; i++) {
        if (nulls[i]) return RefuseCall(call, "NULL in a path");
        const bool as_text = letter == 't' && i == count - 1;
        text = psprintf("ivy_jsonb_step%s(%s, %s)", as_text ? "_text" : "", text,
                        LiteralFor(TEXTOID, -1, steps[i], false));
    }
    SetResult(call, letter, text, out);
    return true;
}

constexpr Signature kRows[] = {
    {F_JSONB_OBJECT_FIELD, "jt>j", "ivy_jsonb_field($1, $2)"},
    {F_JSONB_OBJECT_FIELD_TEXT, "jt>t", "ivy_jsonb_field_text($1, $2)"},
    {F_JSONB_ARRAY_ELEMENT, "j4>j", "ivy_jsonb_element($1, $2)"},
    {F_JSONB_ARRAY_ELEMENT_TEXT, "j4>t", "ivy_jsonb_element_text($1, $2)"},
    {F_JSONB_EXTRACT_PATH, "j?>j", "", Needs::kNothing, Path},
    {F_JSONB_EXTRACT_PATH_TEXT, "j?>t", "", Needs::kNothing, Path},
    {F_JSONB_EXISTS, "jt>b", "ivy_jsonb_exists($1, $2)"},
    {F_JSONB_TYPEOF, "j>t", "ivy_jsonb_typeof($1)"},
    {F_JSONB_ARRAY_LENGTH, "j>4", "ivy_jsonb_array_length($1)"},
};

}  // namespace

SignatureTable JsonSignatures() { return {kRows, lengthof(kRows)}; }

}  // namespace ivy::translate
