// SPDX-License-Identifier: Apache-2.0
//
// Aggregates whose result depends on the order of rows: array_agg and its like, percentiles, the mode, and hypothetical
// ranks. The engine sorts a group's values into a list; functions_ordered.cc has what Postgres computes from it.
#include "translate/query_parts.h"

extern "C" {
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
}

namespace ivy::translate {

namespace {

// --- lists ---------------------------------------------------------------------------------------------------------------

// A value as an element of an array's text. Null, with the reason noted, if its text isn't known.
const char* ElementText(const Call& call, const Sql& value) {
    if (IsNumeric(value)) return ToNumericText(value).text;
    if (value.text_form) return value.text;
    switch (value.rep.kind) {
        case TypeKind::kText: return value.text;
        case TypeKind::kInt16:
        case TypeKind::kInt32:
        case TypeKind::kInt64:
        case TypeKind::kFloat:
        case TypeKind::kDouble:
        case TypeKind::kUuid:
        case TypeKind::kTime:
        case TypeKind::kDate:
        case TypeKind::kTimestamp: return psprintf("CAST(%s AS VARCHAR)", value.text);
        case TypeKind::kBool: return psprintf("CASE WHEN %s THEN 't' WHEN NOT %s THEN 'f' END", value.text, value.text);
        case TypeKind::kBytes: return psprintf("'\\x' || lower(hex(%s))", value.text);
        default: RefuseCall(call, psprintf("array of %s", format_type_be(value.type))); return nullptr;
    }
}

bool ArrayOf(const Call& call, const char* list, Sql* out) {
    const Oid element = get_element_type(getBaseType(call.result_type));
    int16 size;
    bool by_value;
    char align;
    char delimiter;
    Oid io_param;
    Oid function;
    if (!OidIsValid(element)) return RefuseCall(call, "result that is not an array");
    get_type_io_data(element, IOFunc_output, &size, &by_value, &align, &delimiter, &io_param, &function);
    if (delimiter != ',') return RefuseCall(call, psprintf("array of %s", format_type_be(element)));
    *out = ColumnOf(call.result_type, -1, psprintf("ivy_array(%s)", list));
    return out->text_form || RefuseCall(call, "array that has no text form");
}

bool ArrayAgg(const Call& call, Sql* out) {
    const char* list = OrderedOf(call, "list", call.args[0].text);
    if (call.element > 0) {
        *out = call.args[0];
        out->is_null = false;
        out->text = psprintf("(%s)[%d]", list, call.element);
        return true;
    }
    Sql element = call.args[0];
    element.text = "e";
    const char* text = ElementText(call, element);
    if (text == nullptr) return false;
    if (strcmp(text, "e") != 0) list = psprintf("list_transform(%s, lambda e: %s)", list, text);
    return ArrayOf(call, list, out);
}

// Leaves NULLs out. DuckDB's separator has to be a constant; that of the first row is not used.
bool StringAgg(const Call& call, Sql* out) {
    auto* separator = static_cast<Node*>(lsecond(call.nodes));
    if (!IsValue(separator)) return RefuseCall(call, "a separator that varies by row");
    Sql constant;
    if (!TranslateValue(call.t, separator, &constant)) return false;
    const char* text =
        IsA(separator, Const) && !constant.is_null ? constant.text : psprintf("coalesce(%s, '')", constant.text);
    const char* arguments = psprintf("%s, %s", call.args[0].text, text);
    SetResult(call, 't', OrderedOf(call, "string_agg", arguments), out);
    return true;
}

// Any value that isn't NULL, but of those that come first if there is an order.
bool AnyValue(const Call& call, Sql* out) {
    *out = call.args[0];
    out->is_null = false;
    out->text = OrderedOf(call, "any_value", out->text);
    return true;
}

// --- ordered sets ----------------------------------------------------------------------------------------------------------

// The fractions of a constant array, empty or of one dimension that begins at 1; false if it isn't that.
bool Fractions(const Call& call, Datum** values, bool** nulls, int* count) {
    const Node* node = static_cast<Node*>(linitial(call.nodes));
    if (!IsA(node, Const) || reinterpret_cast<const Const*>(node)->constisnull) return false;
    ArrayType* array = DatumGetArrayTypeP(reinterpret_cast<const Const*>(node)->constvalue);
    if (ARR_NDIM(array) > 1 || (ARR_NDIM(array) == 1 && ARR_LBOUND(array)[0] != 1)) return false;
    deconstruct_array_builtin(array, FLOAT8OID, values, nulls, count);
    return *count <= 100;
}

// The list of values, and that of what they are sorted by.
const char* Values(const Call& call) { return OrderedOf(call, "list", call.args[call.direct].text); }
const char* SortedKeys(const Call& call) { return OrderedOf(call, "list", call.keys[0].text); }

// An element of the sorted list. Which of equal numerics with different display scales Postgres would give depends on the
// order in which it reads rows: the row table has to say so.
const char* Element(const Call& call, const char* row) {
    return psprintf(IsNumericText(call.args[call.direct]) ? "ivy_num_at(%s, %s)" : "(%s)[%s]", Values(call), row);
}

const char* Percentile(const Call& call, const char* fraction, bool continuous) {
    const char* values = Values(call);
    if (continuous) return psprintf("ivy_percentile_cont(%s, coalesce(%s, CAST([] AS DOUBLE[])))", fraction, values);
    return Element(call, psprintf("ivy_percentile_row(%s, coalesce(len(%s), 0))", fraction, values));
}

bool IsContinuous(const Call& call) { return call.signature->types[1] == 'd'; }

bool PercentileOf(const Call& call, Sql* out) {
    *out = call.args[1];
    out->is_null = false;
    out->text = Percentile(call, call.args[0].text, IsContinuous(call));
    return true;
}

bool PercentilesOf(const Call& call, Sql* out) {
    Datum* fractions;
    bool* nulls;
    int count;
    StringInfoData list;
    if (!Fractions(call, &fractions, &nulls, &count))
        return RefuseCall(call, "fractions that are not a constant array");
    initStringInfo(&list);
    appendStringInfoString(&list, "CAST([");
    for (int i = 0; i < count; i++) {
        Sql element = call.args[1];
        element.text = Percentile(call, LiteralFor(FLOAT8OID, -1, fractions[i], nulls[i]), IsContinuous(call));
        const char* text = ElementText(call, element);
        if (text == nullptr) return false;
        appendStringInfo(&list, "%s%s", i == 0 ? "" : ", ", text);
    }
    appendStringInfoString(&list, "] AS VARCHAR[])");
    // Of no rows the result is NULL, not an array of them.
    return ArrayOf(call, psprintf("CASE WHEN %s IS NOT NULL THEN %s END", Values(call), list.data), out);
}

// The first, in the order given, of the values that are most frequent.
bool Mode(const Call& call, Sql* out) {
    *out = call.args[0];
    out->is_null = false;
    out->text = Element(call, psprintf("ivy_mode_row(%s)", SortedKeys(call)));
    return true;
}

// --- hypothetical rows -------------------------------------------------------------------------------------------------------

// Whether a row comes before the hypothetical one; with "or_equal" also if it is a peer.
bool ComesBefore(const Call& call, bool or_equal, const char** row, const char** out) {
    const char* text = or_equal ? "TRUE" : "FALSE";
    *row = "";
    for (int i = call.key_count - 1; i >= 0; i--) {
        const SortKey& key = call.keys[i];
        Sql sides[2] = {key.value, call.args[i]};
        if (IsNumericText(sides[0]) || IsNumericText(sides[1]) || sides[1].scale_kind == NumericScale::kLiteral) {
            for (Sql& side : sides) side = ToNumericText(side);
        }
        const char* texts[2];
        for (int side = 0; side < 2; side++) {
            bool descending;
            if (!CheckSortable(call.t, sides[side], key.collation, key.op, &texts[side], &descending)) return false;
        }
        const char* here = texts[0];
        const char* there = texts[1];
        const char* nulls = key.nulls_first ? psprintf("(%s IS NULL AND %s IS NOT NULL)", here, there)
                                            : psprintf("(%s IS NOT NULL AND %s IS NULL)", here, there);
        text = psprintf("(%s OR coalesce(%s %s %s, FALSE) OR (%s IS NOT DISTINCT FROM %s AND %s))", nulls, here,
                        key.descending ? ">" : "<", there, here, there, text);
        *row = psprintf("%s%s%s", here, **row == '\0' ? "" : ", ", *row);
    }
    *out = text;
    return true;
}

const char* CountWhere(const Call& call, const char* condition, const char* distinct) {
    Sql argument;
    argument.text =
        psprintf("CASE WHEN %s THEN %s END", condition, distinct != nullptr ? psprintf("row(%s)", distinct) : "1");
    UseArgument(call.t->level->grouping, &argument);
    return psprintf("count(%s%s%s", distinct != nullptr ? "DISTINCT " : "", argument.text, call.after);
}

bool HypotheticalRank(const Call& call, Sql* out) {
    const char* name = call.signature->sql;
    const bool cume_dist = strcmp(name, "cume_dist") == 0;
    const char* condition;
    const char* row;
    if (call.key_count != call.direct) return RefuseCall(call, "other columns than arguments");
    if (!ComesBefore(call, cume_dist, &row, &condition)) return false;
    const char* before = CountWhere(call, condition, strcmp(name, "dense_rank") == 0 ? row : nullptr);
    const char* all = psprintf("count(*%s", call.after);
    const char result = strchr(call.signature->types, '>')[1];
    const char* text = psprintf("(%s + 1)", before);
    if (cume_dist) text = psprintf("(CAST(%s + 1 AS DOUBLE) / CAST(%s + 1 AS DOUBLE))", before, all);
    if (strcmp(name, "percent_rank") == 0) {
        text = psprintf("CASE WHEN %s = 0 THEN CAST(0 AS DOUBLE) ELSE CAST(%s AS DOUBLE) / CAST(%s AS DOUBLE) END", all,
                        before, all);
    }
    SetResult(call, result, text, out);
    return true;
}

constexpr Signature kOrdered[] = {
    {F_ARRAY_AGG_ANYNONARRAY, "?>?", "list", Needs::kNothing, ArrayAgg, true},
    {F_STRING_AGG_TEXT_TEXT, "tt>t", "string_agg", Needs::kNothing, StringAgg, true},
    {F_ANY_VALUE, "?>?", "any_value", Needs::kNothing, AnyValue, true},
    {F_PERCENTILE_DISC_FLOAT8_ANYELEMENT, "d?>?", "percentile_disc", Needs::kNothing, PercentileOf, true},
    {F_PERCENTILE_CONT_FLOAT8_FLOAT8, "dd>d", "percentile_cont", Needs::kNothing, PercentileOf, true},
    {F_PERCENTILE_DISC__FLOAT8_ANYELEMENT,
     "?"
     "?>?",
     "percentile_disc", Needs::kNothing, PercentilesOf, true},
    {F_PERCENTILE_CONT__FLOAT8_FLOAT8, "?d>?", "percentile_cont", Needs::kNothing, PercentilesOf, true},
    {F_MODE, "?>?", "mode", Needs::kNothing, Mode, true},
    {F_RANK_ANY, "?>8", "rank", Needs::kNothing, HypotheticalRank, true},
    {F_DENSE_RANK_ANY, "?>8", "dense_rank", Needs::kNothing, HypotheticalRank, true},
    {F_PERCENT_RANK_ANY, "?>d", "percent_rank", Needs::kNothing, HypotheticalRank, true},
    {F_CUME_DIST_ANY, "?>d", "cume_dist", Needs::kNothing, HypotheticalRank, true},
};

}  // namespace

SignatureTable OrderedSignatures() { return {kOrdered, lengthof(kOrdered)}; }

}  // namespace ivy::translate
