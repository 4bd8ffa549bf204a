// SPDX-License-Identifier: Apache-2.0
// Comparisons of more than two values: with the elements of an array, and of rows.
#include "translate/query_parts.h"

extern "C" {
#include "access/stratnum.h"
#include "catalog/pg_operator.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
}

namespace ivy::translate {

namespace {

// The elements of "= ANY (array)" as nodes, or false if they are not known now.
bool ArrayElements(Node* array, List** elements) {
    *elements = NIL;
    if (IsA(array, ArrayExpr)) {
        const auto* expression = castNode(ArrayExpr, array);
        *elements = expression->elements;
        return !expression->multidims;
    }
    if (!IsA(array, Const)) return false;
    const auto* constant = castNode(Const, array);
    const Oid element = get_element_type(constant->consttype);
    if (constant->constisnull || !OidIsValid(element)) return false;
    int16 size;
    bool by_value;
    char align;
    get_typlenbyvalalign(element, &size, &by_value, &align);
    Datum* items;
    bool* nulls;
    int count;
    deconstruct_array(DatumGetArrayTypeP(constant->constvalue), element, size, by_value, align, &items, &nulls, &count);
    for (int i = 0; i < count; i++) {
        Const* item = makeConst(element, -1, constant->constcollid, size, items[i], nulls[i], by_value);
        *elements = lappend(*elements, item);
    }
    return true;
}

// "x IN (...)" or "x NOT IN (...)". False, without a reason noted, if x would have to be written differently for different
// elements: padding or trimming of a bpchar, or a key instead of a numeric, is decided for each.
bool TranslateList(Translator* t, const Signature& signature, ScalarArrayOpExpr* expression, List* elements, Sql* out) {
    auto* scalar = static_cast<Node*>(linitial(expression->args));
    StringInfoData text;
    initStringInfo(&text);
    const char* left = nullptr;
    const int reasons = list_length(t->reasons);
    foreach_ptr (Node, element, elements) {
        List* nodes = list_make2(scalar, element);
        Sql args[2];
        const bool ok =
            TranslateArguments(t, nodes, args) && PrepareCall(t, signature, nodes, args, expression->inputcollid);
        if (!ok || (left != nullptr && strcmp(left, args[0].text) != 0)) {
            t->reasons = list_truncate(t->reasons, reasons);
            return false;
        }
        if (left == nullptr) appendStringInfo(&text, "(%s %s (", args[0].text, expression->useOr ? "IN" : "NOT IN");
        appendStringInfo(&text, "%s%s", left == nullptr ? "" : ", ", args[1].text);
        left = args[0].text;
    }
    appendStringInfoString(&text, "))");
    *out = Boolean(text.data);
    return true;
}

}  // namespace

bool TranslateScalarArray(Translator* t, ScalarArrayOpExpr* expression, Sql* out) {
    auto* scalar = static_cast<Node*>(linitial(expression->args));
    auto* array = static_cast<Node*>(lsecond(expression->args));
    const Signature* signature = FindOperator(t, expression->opno, expression->args);
    if (signature == nullptr) return false;
    const bool any = expression->useOr;
    List* elements;
    if (!ArrayElements(array, &elements)) {
        if (IsA(array, Const) && castNode(Const, array)->constisnull) {
            *out = Boolean("CAST(NULL AS BOOLEAN)");
            return true;
        }
        const Oid element = get_base_element_type(exprType(array));
        Sql value;
        if (!OidIsValid(element)) return Refuse(t, "ANY or ALL of %s", format_type_be(exprType(array)));
        if (!IsValue(array)) return TranslateAnyOfArray(t, signature, expression, out);
        if (!TranslateValue(t, array, &value)) return false;
        Sql column = ColumnOf(element, -1, nullptr);
        if (column.type == NUMERICOID && column.text_form) {
            column.text_form = false;
            column.rep = Decimal(38, 0);
            column.scale_kind = NumericScale::kLiteral;
        }
        Sql left;
        if (!TranslateExpression(t, scalar, &left)) return false;
        const char* alias = NewAlias(t);
        const char* rows = psprintf("SELECT unnest(%s) AS c1", value.text);
        column.text = psprintf("%s.c1", alias);
        Sql quantified;
        if (!TranslateQuantified(t, signature, expression->opno, left, column, rows, alias, expression->inputcollid,
                                 any, &quantified)) {
            return false;
        }
        *out = Boolean(psprintf("CASE WHEN %s IS NULL THEN NULL ELSE %s END", value.text, quantified.text));
        return true;
    }
    if (elements == NIL) {
        *out = Boolean(any ? "FALSE" : "TRUE");
        return true;
    }
    const bool is_list = signature->IsComparison() && strcmp(signature->sql, any ? "=" : "<>") == 0;
    if (is_list && TranslateList(t, *signature, expression, elements, out)) return true;
    StringInfoData text;
    initStringInfo(&text);
    foreach_ptr (Node, element, elements) {
        Sql result;
        if (!TranslateCall(t, signature, list_make2(scalar, element), expression->inputcollid, BOOLOID, -1, &result))
            return false;
        appendStringInfo(&text, "%s%s", text.len == 0 ? "(" : (any ? " OR " : " AND "), result.text);
    }
    appendStringInfoChar(&text, ')');
    *out = Boolean(text.data);
    return true;
}

// (a, b) < (c, d): the first pair that differs decides.
bool TranslateRowCompare(Translator* t, RowCompareExpr* row, Sql* out) {
    const int count = list_length(row->opnos);
    const char* text = nullptr;
    for (int i = count - 1; i >= 0; i--) {
        auto* left = static_cast<Node*>(list_nth(row->largs, i));
        auto* right = static_cast<Node*>(list_nth(row->rargs, i));
        const Oid op = list_nth_oid(row->opnos, i);
        const Oid family = list_nth_oid(row->opfamilies, i);
        const Oid collation = list_nth_oid(row->inputcollids, i);
        Oid left_type;
        Oid right_type;
        int strategy;
        get_op_opfamily_properties(op, family, false, &strategy, &left_type, &right_type);
        List* nodes = list_make2(left, right);
        const bool last = i == count - 1;
        // All but the last pair decide only if they differ.
        int decide = strategy;
        if (!last && strategy == BTLessEqualStrategyNumber) decide = BTLessStrategyNumber;
        if (!last && strategy == BTGreaterEqualStrategyNumber) decide = BTGreaterStrategyNumber;
        const Oid deciding = get_opfamily_member(family, left_type, right_type, decide);
        const Oid equal = get_opfamily_member(family, left_type, right_type, BTEqualStrategyNumber);
        if (!OidIsValid(deciding) || !OidIsValid(equal)) return Refuse(t, "row comparison");
        const Signature* signature = FindOperator(t, deciding, nodes);
        const Signature* equality = FindOperator(t, equal, nodes);
        Sql decided;
        Sql equals;
        if (signature == nullptr || equality == nullptr) return false;
        if (!TranslateCall(t, signature, nodes, collation, BOOLOID, -1, &decided)) return false;
        if (last) {
            text = decided.text;
        } else {
            if (!TranslateCall(t, equality, nodes, collation, BOOLOID, -1, &equals)) return false;
            text = psprintf("(%s OR (%s AND %s))", decided.text, equals.text, text);
        }
    }
    *out = Boolean(text);
    return true;
}

}  // namespace ivy::translate
