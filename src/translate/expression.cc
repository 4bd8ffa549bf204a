// SPDX-License-Identifier: Apache-2.0
// Expression nodes: function calls, operators, boolean logic; and which expressions can be grouped and sorted by.
#include "translate/query_parts.h"

extern "C" {
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
}

namespace ivy::translate {

namespace {

// --- arguments -----------------------------------------------------------------------------------------------------------

// The bpchar column of a given length in a comparison with a constant: the column's values are padded, so padding the
// constant instead of trimming the column is exact and leaves min/max statistics usable.
bool PadConstant(List* nodes, Sql* args) {
    if (list_length(nodes) != 2) return false;
    for (int side = 0; side < 2; side++) {
        Node* column = static_cast<Node*>(list_nth(nodes, side));
        Node* other = static_cast<Node*>(list_nth(nodes, 1 - side));
        if (!IsA(column, Var) || !IsA(other, Const)) continue;
        const auto* var = castNode(Var, column);
        const auto* constant = castNode(Const, other);
        if (var->vartype != BPCHAROID || var->vartypmod < VARHDRSZ || constant->constisnull ||
            constant->consttype != BPCHAROID) {
            continue;
        }
        const int length = var->vartypmod - VARHDRSZ;
        const char* string = TextDatumGetCString(constant->constvalue);
        int size = static_cast<int>(strlen(string));
        while (size > 0 && string[size - 1] == ' ') size--;
        const int characters = pg_mbstrlen_with_len(string, size);
        if (characters > length) continue;
        StringInfoData padded;
        initStringInfo(&padded);
        appendBinaryStringInfo(&padded, string, size);
        appendStringInfoSpaces(&padded, length - characters);
        const Datum datum = PointerGetDatum(cstring_to_text_with_len(padded.data, padded.len));
        args[1 - side].text = LiteralFor(BPCHAROID, -1, datum, false);
        return true;
    }
    return false;
}

}  // namespace

Sql Boolean(const char* text) {
    Sql out;
    out.text = text;
    out.type = BOOLOID;
    out.rep = Native(TypeKind::kBool);
    return out;
}

// Translates arguments, all of them even if one is refused, so that every reason is found.
bool TranslateArguments(Translator* t, List* nodes, Sql* out) {
    bool ok = true;
    int i = 0;
    foreach_ptr (Node, node, nodes) {
        ok = TranslateExpression(t, node, &out[i++]) && ok;
    }
    return ok;
}

bool PrepareCall(Translator* t, const Signature& signature, List* nodes, Sql* args, Oid collation) {
    const int count = list_length(nodes);
    if (signature.IsComparison() && strncmp(signature.types, "cc>", 3) == 0 && !args[0].text_form &&
        !args[1].text_form && PadConstant(nodes, args)) {
        Signature exact = signature;
        exact.types = "pp>b";
        return PrepareArguments(t, exact, args, count, collation);
    }
    return PrepareArguments(t, signature, args, count, collation);
}

bool TranslateCall(Translator* t, const Signature* signature, List* nodes, Oid collation, Oid result_type,
                   int32 result_typmod, Sql* out) {
    const int count = list_length(nodes);
    Sql args[kMaxArguments];
    if (count > kMaxArguments) return Refuse(t, "%s: too many arguments", DescribeFunction(signature->function));
    if (!TranslateArguments(t, nodes, args)) return false;
    if (signature->needs == Needs::kBytes && signature->IsComparison() && count == 2 && !SortsByBytes(collation)) {
        // Without sort keys a comparison can still be made.
        bool has_keys = true;
        const char* name = CollationName(collation, &has_keys);
        if (name != nullptr && !has_keys) {
            Signature equality = *signature;
            equality.needs = Needs::kDeterministic;
            if (!PrepareArguments(t, equality, args, count, collation)) return false;
            *out = Boolean(
                psprintf("(ivy_collation_compare(%s, %s, %s) %s 0)", args[0].text, args[1].text, name, signature->sql));
            return true;
        }
    }
    if (!PrepareCall(t, *signature, nodes, args, collation)) return false;
    const Call call{t, signature, nodes, args, count, collation, result_type, result_typmod};
    return ApplySignature(call, out);
}

namespace {

bool TranslateFunction(Translator* t, FuncExpr* function, Sql* out) {
#ifdef PACKAGE_IVORYSQL_VERSION
    if (!FUNC_EXPR_FROM_PG_PROC(function->function_from)) {
        return Refuse(t, "function %s", function->function_name ? function->function_name : "of a package");
    }
#endif
    if (function->funcretset) return Refuse(t, "set-returning %s", DescribeFunction(function->funcid));
    if (IsConcatenation(function->funcid)) return TranslateConcatenation(t, function, out);
    const Signature* signature = FindSignature(function->funcid);
    if (signature == nullptr || function->funcvariadic ||
        static_cast<int>(strcspn(signature->types, ">")) != list_length(function->args)) {
        return Refuse(t, "%s", DescribeFunction(function->funcid));
    }
    return TranslateCall(t, signature, function->args, function->inputcollid, function->funcresulttype,
                         exprTypmod(reinterpret_cast<Node*>(function)), out);
}

bool TranslateOperator(Translator* t, OpExpr* op, Sql* out) {
    const Signature* signature = FindOperator(t, op->opno, op->args);
    if (signature == nullptr) return false;
    return TranslateCall(t, signature, op->args, op->inputcollid, op->opresulttype, -1, out);
}

// DISTINCT FROM and NULLIF carry an equality operator.
bool TranslateEquality(Translator* t, OpExpr* op, Sql* args, Sql* plain) {
    const Signature* signature = FindOperator(t, op->opno, op->args);
    if (signature == nullptr || !TranslateArguments(t, op->args, args)) return false;
    if (!signature->IsComparison() || strcmp(signature->sql, "=") != 0)
        return Refuse(t, "%s", DescribeOperator(op->opno));
    if (plain != nullptr) *plain = args[0];
    return PrepareCall(t, *signature, op->args, args, op->inputcollid);
}

bool TranslateDistinct(Translator* t, DistinctExpr* op, Sql* out) {
    Sql args[2];
    if (!TranslateEquality(t, op, args, nullptr)) return false;
    *out = Boolean(psprintf("(%s IS DISTINCT FROM %s)", args[0].text, args[1].text));
    return true;
}

bool TranslateNullIf(Translator* t, NullIfExpr* op, Sql* out) {
    Sql args[2];
    Sql plain;
    if (!TranslateEquality(t, op, args, &plain)) return false;
    *out = plain;
    out->text = psprintf("CASE WHEN %s = %s THEN NULL ELSE %s END", args[0].text, args[1].text, plain.text);
    return true;
}

// --- boolean -----------------------------------------------------------------------------------------------------------

bool TranslateBoolean(Translator* t, BoolExpr* expression, bool as_qual, Sql* out) {
    StringInfoData text;
    initStringInfo(&text);
    if (expression->boolop == NOT_EXPR) {
        Sql argument;
        if (!TranslateExpression(t, static_cast<Node*>(linitial(expression->args)), &argument)) return false;
        *out = Boolean(psprintf("(NOT %s)", argument.text));
        return true;
    }
    bool ok = true;
    appendStringInfoChar(&text, '(');
    foreach_ptr (Node, node, expression->args) {
        Sql argument;
        t->as_qual = as_qual;
        if (!TranslateExpression(t, node, &argument)) {
            ok = false;
            continue;
        }
        if (text.len > 1) appendStringInfoString(&text, expression->boolop == AND_EXPR ? " AND " : " OR ");
        appendStringInfoString(&text, argument.text);
    }
    appendStringInfoChar(&text, ')');
    *out = Boolean(text.data);
    return ok;
}

bool TranslateNullTest(Translator* t, NullTest* test, Sql* out) {
    if (test->argisrow || type_is_rowtype(exprType(reinterpret_cast<Node*>(test->arg)))) {
        return Refuse(t, "NULL test of a row");
    }
    Sql argument;
    if (!TranslateExpression(t, reinterpret_cast<Node*>(test->arg), &argument)) return false;
    *out = Boolean(psprintf("(%s IS %s)", argument.text, test->nulltesttype == IS_NULL ? "NULL" : "NOT NULL"));
    return true;
}

bool TranslateBooleanTest(Translator* t, BooleanTest* test, Sql* out) {
    Sql argument;
    if (!TranslateExpression(t, reinterpret_cast<Node*>(test->arg), &argument)) return false;
    const char* is = nullptr;
    switch (test->booltesttype) {
        case IS_TRUE: is = "IS NOT DISTINCT FROM TRUE"; break;
        case IS_NOT_TRUE: is = "IS DISTINCT FROM TRUE"; break;
        case IS_FALSE: is = "IS NOT DISTINCT FROM FALSE"; break;
        case IS_NOT_FALSE: is = "IS DISTINCT FROM FALSE"; break;
        case IS_UNKNOWN: is = "IS NULL"; break;
        case IS_NOT_UNKNOWN: is = "IS NOT NULL"; break;
    }
    *out = Boolean(psprintf("(%s %s)", argument.text, is));
    return true;
}

}  // namespace

bool TranslateQual(Translator* t, Node* quals, const char** out) {
    Sql sql;
    if (quals == nullptr) {
        *out = "TRUE";
        return true;
    }
    if (IsA(quals, List)) {
        List* list = castNode(List, quals);
        if (list_length(list) == 1) {
            quals = static_cast<Node*>(linitial(list));
        } else {
            quals = reinterpret_cast<Node*>(makeBoolExpr(AND_EXPR, list, -1));
        }
    }
    t->as_qual = true;
    const bool ok = TranslateExpression(t, quals, &sql);
    t->as_qual = false;
    *out = sql.text;
    return ok;
}

bool TranslateExpression(Translator* t, Node* node, Sql* out) {
    check_stack_depth();
    const bool as_qual = t->as_qual;
    t->as_qual = false;
    if (!IsA(node, Var) && !IsA(node, BoolExpr) && IsValue(node)) {
        const bool is_array = OidIsValid(get_element_type(getBaseType(exprType(node))));
        return is_array ? TranslateArrayValue(t, node, out) : TranslateValue(t, node, out);
    }
    switch (nodeTag(node)) {
        case T_Var: return TranslateVar(t, castNode(Var, node), out);
        case T_Param: {
            const auto* param = castNode(Param, node);
            if (param->paramkind != PARAM_SUBLINK || t->subquery_columns == nullptr) {
                return Refuse(t, "internal parameter");
            }
            *out = t->subquery_columns[param->paramid - 1];
            return true;
        }
        case T_CaseTestExpr:
            if (t->case_value == nullptr) return Refuse(t, "CASE value outside of a CASE");
            *out = *t->case_value;
            return true;
        case T_FuncExpr: return TranslateFunction(t, castNode(FuncExpr, node), out);
        case T_OpExpr: return TranslateOperator(t, castNode(OpExpr, node), out);
        case T_DistinctExpr: return TranslateDistinct(t, reinterpret_cast<DistinctExpr*>(node), out);
        case T_NullIfExpr: return TranslateNullIf(t, reinterpret_cast<NullIfExpr*>(node), out);
        case T_BoolExpr: return TranslateBoolean(t, castNode(BoolExpr, node), as_qual, out);
        case T_NullTest: return TranslateNullTest(t, castNode(NullTest, node), out);
        case T_BooleanTest: return TranslateBooleanTest(t, castNode(BooleanTest, node), out);
        case T_CaseExpr: return TranslateCase(t, castNode(CaseExpr, node), out);
        case T_CoalesceExpr: return TranslateCoalesce(t, castNode(CoalesceExpr, node), out);
        case T_MinMaxExpr: return TranslateMinMax(t, castNode(MinMaxExpr, node), out);
        case T_ScalarArrayOpExpr: return TranslateScalarArray(t, castNode(ScalarArrayOpExpr, node), out);
        case T_RelabelType: return TranslateRelabel(t, castNode(RelabelType, node), out);
        case T_CollateExpr:
            return TranslateExpression(t, reinterpret_cast<Node*>(castNode(CollateExpr, node)->arg), out);
        case T_CoerceViaIO: return TranslateTextCast(t, castNode(CoerceViaIO, node), out);
        case T_RowCompareExpr: return TranslateRowCompare(t, castNode(RowCompareExpr, node), out);
        case T_Aggref: return TranslateAggregate(t, castNode(Aggref, node), out);
        case T_GroupingFunc: return TranslateGroupingFunc(t, castNode(GroupingFunc, node), out);
        case T_WindowFunc: return TranslateWindowFunction(t, castNode(WindowFunc, node), out);
        case T_SubLink: return TranslateSubLink(t, castNode(SubLink, node), as_qual, out);
        case T_CoerceToDomain: return Refuse(t, "cast to domain %s with constraints", format_type_be(exprType(node)));
        case T_RowExpr: return Refuse(t, "row constructor");
        case T_ArrayExpr: return TranslateArray(t, castNode(ArrayExpr, node), out);
        case T_SubscriptingRef: return TranslateSubscript(t, castNode(SubscriptingRef, node), out);
        case T_FieldSelect: return Refuse(t, "field of a composite value");
        case T_NextValueExpr: return Refuse(t, "identity column's next value");
        case T_JsonExpr:
        case T_JsonConstructorExpr:
        case T_JsonIsPredicate: return Refuse(t, "SQL/JSON expression");
        case T_XmlExpr: return Refuse(t, "XML expression");
        case T_ArrayCoerceExpr: return Refuse(t, "cast of an array");
        case T_SubPlan:
        case T_AlternativeSubPlan: return Refuse(t, "subquery");
        case T_SQLValueFunction: return Refuse(t, "SQL value function");
        default: return Refuse(t, "expression of kind %d", static_cast<int>(nodeTag(node)));
    }
}

bool CheckGroupable(Translator* t, const Sql& e, Oid collation, Oid equality_operator, int32 typmod, const char** key) {
    const Signature* signature = FindSignature(get_opcode(equality_operator));
    if (signature == nullptr || !signature->IsComparison() || strcmp(signature->sql, "=") != 0) {
        return Refuse(t, "grouping by type %s", format_type_be(e.type));
    }
    // Equal intervals may differ, as numerics may.
    if (signature->types[0] == 'i') {
        if (key == nullptr) return Refuse(t, "grouping by intervals, which may be equal and yet differ");
        *key = psprintf("ivy_interval_key(%s)", e.text);
        return true;
    }
    // Padded to one length they differ in no trailing blanks.
    if (signature->types[0] == 'c' && typmod < VARHDRSZ) return Refuse(t, "grouping by character of varying length");
    Sql args[2] = {e, e};
    if (IsNumericText(e) || (IsNumeric(e) && e.scale_kind != NumericScale::kFixed)) {
        if (key != nullptr) {
            *key = psprintf("ivy_num_key(%s)", ToNumericText(e).text);
            return true;
        }
        return Refuse(t, "grouping by a numeric whose display scale varies by row");
    }
    return PrepareArguments(t, *signature, args, 2, collation);
}

bool CheckSortable(Translator* t, const Sql& e, Oid collation, Oid sort_operator, const char** key, bool* descending) {
    const Signature* signature = FindSignature(get_opcode(sort_operator));
    if (signature == nullptr || !signature->IsComparison() ||
        (strcmp(signature->sql, "<") != 0 && strcmp(signature->sql, ">") != 0)) {
        return Refuse(t, "order of type %s", format_type_be(e.type));
    }
    *descending = strcmp(signature->sql, ">") == 0;
    Sql args[2] = {e, e};
    if (!PrepareArguments(t, *signature, args, 2, collation)) return false;
    *key = args[0].text;
    return true;
}

const char* SortDirection(bool descending, bool nulls_first) {
    if (descending) return nulls_first ? "DESC NULLS FIRST" : "DESC NULLS LAST";
    return nulls_first ? "ASC NULLS FIRST" : "ASC NULLS LAST";
}

}  // namespace ivy::translate
