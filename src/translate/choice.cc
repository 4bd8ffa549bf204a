// SPDX-License-Identifier: Apache-2.0
// Expressions that choose one of several values: CASE, COALESCE, GREATEST, LEAST.
#include "translate/query_parts.h"

extern "C" {
#include "nodes/nodeFuncs.h"
#include "utils/typcache.h"
}

namespace ivy::translate {

bool TranslateCase(Translator* t, CaseExpr* expression, Sql* out) {
    Sql argument;
    Sql* outer_case_value = t->case_value;
    if (expression->arg != nullptr) {
        if (!TranslateExpression(t, reinterpret_cast<Node*>(expression->arg), &argument)) return false;
        t->case_value = &argument;
    }
    const int count = list_length(expression->args);
    auto* conditions = static_cast<const char**>(palloc0(count * sizeof(char*)));
    auto* results = static_cast<Sql*>(palloc0((count + 1) * sizeof(Sql)));
    bool ok = true;
    int i = 0;
    foreach_ptr (CaseWhen, when, expression->args) {
        ok = TranslateQual(t, reinterpret_cast<Node*>(when->expr), &conditions[i]) && ok;
        // The value to test is for the conditions only.
        Sql* inner = t->case_value;
        t->case_value = outer_case_value;
        ok = TranslateExpression(t, reinterpret_cast<Node*>(when->result), &results[i]) && ok;
        t->case_value = inner;
        i++;
    }
    t->case_value = outer_case_value;
    ok = TranslateExpression(t, reinterpret_cast<Node*>(expression->defresult), &results[count]) && ok;
    if (!ok || !CommonType(t, results, count + 1, "CASE", out)) return false;

    const bool by_row = out->scale_kind == NumericScale::kByRow;
    StringInfoData text;
    StringInfoData scale;
    initStringInfo(&text);
    initStringInfo(&scale);
    for (i = 0; i < count; i++) {
        appendStringInfo(&text, "%s WHEN %s THEN %s", i == 0 ? "CASE" : "", conditions[i], ConvertTo(results[i], *out));
        if (by_row) {
            appendStringInfo(&scale, "%s WHEN %s THEN %s", i == 0 ? "CASE" : "", conditions[i], ScaleOf(results[i]));
        }
    }
    appendStringInfo(&text, " ELSE %s END", ConvertTo(results[count], *out));
    if (by_row) {
        appendStringInfo(&scale, " ELSE %s END", ScaleOf(results[count]));
        out->scale = scale.data;
    }
    out->text = text.data;
    return true;
}

bool TranslateCoalesce(Translator* t, CoalesceExpr* expression, Sql* out) {
    const int count = list_length(expression->args);
    auto* args = static_cast<Sql*>(palloc0(count * sizeof(Sql)));
    if (!TranslateArguments(t, expression->args, args) || !CommonType(t, args, count, "COALESCE", out)) return false;
    StringInfoData text;
    StringInfoData scale;
    initStringInfo(&text);
    initStringInfo(&scale);
    for (int i = 0; i < count; i++) {
        appendStringInfo(&text, "%s%s", i == 0 ? "coalesce(" : ", ", ConvertTo(args[i], *out));
        appendStringInfo(&scale, "%s WHEN %s IS NOT NULL THEN %s", i == 0 ? "CASE" : "", args[i].text,
                         ScaleOf(args[i]));
    }
    appendStringInfoChar(&text, ')');
    appendStringInfoString(&scale, " END");
    out->text = text.data;
    if (out->scale_kind == NumericScale::kByRow) out->scale = scale.data;
    return true;
}

bool TranslateMinMax(Translator* t, MinMaxExpr* expression, Sql* out) {
    const int count = list_length(expression->args);
    auto* args = static_cast<Sql*>(palloc0(count * sizeof(Sql)));
    const char* name = expression->op == IS_GREATEST ? "greatest" : "least";
    if (!TranslateArguments(t, expression->args, args) || !CommonType(t, args, count, name, out)) return false;
    // The comparison is the type's default one.
    TypeCacheEntry* entry = lookup_type_cache(out->type, TYPECACHE_LT_OPR);
    const bool varying = IsNumericText(*out) || out->scale_kind != NumericScale::kFixed;
    auto* keys = static_cast<const char**>(palloc0(count * sizeof(char*)));
    for (int i = 0; i < count; i++) {
        bool descending;
        if (varying) args[i] = ToNumericText(args[i]);
        if (!CheckSortable(t, args[i], expression->inputcollid, entry->lt_opr, &keys[i], &descending)) return false;
        if (!varying && keys[i] != args[i].text) return Refuse(t, "%s of type %s", name, format_type_be(out->type));
    }
    const bool is_float = out->rep.kind == TypeKind::kFloat || out->rep.kind == TypeKind::kDouble;
    if (varying || is_float) {
        // Of equal values Postgres gives the first. Numerics have their display scale, and DuckDB's functions lose the sign
        // of zero.
        if (count > 3) return Refuse(t, "%s of more than three values of type %s", name, format_type_be(out->type));
        if (varying) *out = NumericText(nullptr);
        const char* best = keys[0];
        out->text = args[0].text;
        for (int i = 1; i < count; i++) {
            const char* better =
                psprintf("%s IS NULL OR %s %s %s", best, keys[i], expression->op == IS_GREATEST ? ">" : "<", best);
            out->text = psprintf("CASE WHEN %s THEN %s ELSE %s END", better, args[i].text, out->text);
            best = psprintf("CASE WHEN %s THEN %s ELSE %s END", better, keys[i], best);
        }
        return true;
    }
    StringInfoData text;
    initStringInfo(&text);
    for (int i = 0; i < count; i++) {
        appendStringInfo(&text, "%s%s", i == 0 ? psprintf("%s(", name) : ", ", ConvertTo(args[i], *out));
    }
    appendStringInfoChar(&text, ')');
    out->text = text.data;
    return true;
}

}  // namespace ivy::translate
