// SPDX-License-Identifier: Apache-2.0
#include "translate/signature.h"

extern "C" {
#include "access/stratnum.h"
#include "catalog/pg_operator.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteManip.h"
#include "utils/array.h"
#include "parser/parsetree.h"
#include "utils/typcache.h"
}

#include "translate/query_parts.h"

namespace ivy::translate {

namespace {

constexpr int kMaxArguments = 8;

Sql Boolean(const char* text) {
    Sql out;
    out.text = text;
    out.type = BOOLOID;
    out.rep = Native(TypeKind::kBool);
    return out;
}

// --- values ------------------------------------------------------------------------------------------------------------

bool NeedsRowsWalker(Node* node, void* context) {
    auto* test_depth = static_cast<int*>(context);
    if (node == nullptr) return false;
    switch (nodeTag(node)) {
        case T_Var:
        case T_Aggref:
        case T_GroupingFunc:
        case T_WindowFunc:
        case T_SubLink:
        case T_SubPlan:
        case T_AlternativeSubPlan:
        case T_PlaceHolderVar:
        case T_SetToDefault:
        case T_CurrentOfExpr:
        case T_NextValueExpr:
        case T_Query:
        case T_MergeSupportFunc:
            return true;
        // The planner's own parameters (PARAM_EXEC) occur in filters of a scan, whose node evaluates them like the client's.
        case T_Param: return castNode(Param, node)->paramkind != PARAM_EXTERN && castNode(Param, node)->paramkind != PARAM_EXEC;
        case T_CaseTestExpr: return *test_depth == 0;
        case T_FuncExpr:
            if (castNode(FuncExpr, node)->funcretset) return true;
            break;
        case T_OpExpr:
            if (castNode(OpExpr, node)->opretset) return true;
            break;
        case T_CaseExpr:
        case T_ArrayCoerceExpr: {
            (*test_depth)++;
            const bool found = expression_tree_walker(node, NeedsRowsWalker, context);
            (*test_depth)--;
            return found;
        }
        default: break;
    }
    return expression_tree_walker(node, NeedsRowsWalker, context);
}

// --- arguments -----------------------------------------------------------------------------------------------------------

// Translates arguments, all of them even if one is refused, so that every reason is found.
bool TranslateArguments(Translator* t, List* nodes, Sql* out) {
    bool ok = true;
    int i = 0;
    foreach_ptr(Node, node, nodes) {
        ok = TranslateExpression(t, node, &out[i++]) && ok;
    }
    return ok;
}

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

bool PrepareCall(Translator* t, const Signature& signature, List* nodes, Sql* args, Oid collation) {
    const int count = list_length(nodes);
    if (signature.IsComparison() && strncmp(signature.types, "cc>", 3) == 0 && !args[0].text_form && !args[1].text_form &&
        PadConstant(nodes, args)) {
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
    if (!PrepareCall(t, *signature, nodes, args, collation)) return false;
    const Call call{t, signature, nodes, args, count, collation, result_type, result_typmod};
    return ApplySignature(call, out);
}

bool TranslateFunction(Translator* t, FuncExpr* function, Sql* out) {
#ifdef PACKAGE_IVORYSQL_VERSION
    if (!FUNC_EXPR_FROM_PG_PROC(function->function_from)) {
        return Refuse(t, "function %s", function->function_name ? function->function_name : "of a package");
    }
#endif
    if (function->funcretset) return Refuse(t, "set-returning %s", DescribeFunction(function->funcid));
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
    if (!signature->IsComparison() || strcmp(signature->sql, "=") != 0) return Refuse(t, "%s", DescribeOperator(op->opno));
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
    foreach_ptr(Node, node, expression->args) {
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

// --- choices -----------------------------------------------------------------------------------------------------------

const char* ScaleOf(const Sql& e) {
    if (e.is_null) return "CAST(NULL AS INTEGER)";
    return e.scale_kind == NumericScale::kByRow ? e.scale : psprintf("CAST(%d AS INTEGER)", e.rep.scale);
}

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
    foreach_ptr(CaseWhen, when, expression->args) {
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
        appendStringInfo(&text, "%s WHEN %s THEN %s", i == 0 ? "CASE" : "", conditions[i], CastTo(results[i], out->rep));
        if (by_row) {
            appendStringInfo(&scale, "%s WHEN %s THEN %s", i == 0 ? "CASE" : "", conditions[i], ScaleOf(results[i]));
        }
    }
    appendStringInfo(&text, " ELSE %s END", CastTo(results[count], out->rep));
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
        appendStringInfo(&text, "%s%s", i == 0 ? "coalesce(" : ", ", CastTo(args[i], out->rep));
        appendStringInfo(&scale, "%s WHEN %s IS NOT NULL THEN %s", i == 0 ? "CASE" : "", args[i].text, ScaleOf(args[i]));
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
    bool descending;
    const char* key;
    for (int i = 0; i < count; i++) {
        if (!CheckSortable(t, args[i], expression->inputcollid, entry->lt_opr, &key, &descending)) return false;
        if (key != args[i].text) return Refuse(t, "%s of type %s", name, format_type_be(out->type));
    }
    // Of several equal numerics Postgres gives the first, with its scale.
    if (out->scale_kind == NumericScale::kByRow) out->scale_kind = NumericScale::kUnknown;
    if (out->rep.kind == TypeKind::kFloat || out->rep.kind == TypeKind::kDouble) {
        // DuckDB's lose the sign of zero.
        if (count > 3) return Refuse(t, "%s of more than three floats", name);
        out->text = args[0].text;
        for (int i = 1; i < count; i++) {
            out->text = psprintf("CASE WHEN %s IS NULL OR %s %s %s THEN %s ELSE %s END", out->text, args[i].text,
                                 expression->op == IS_GREATEST ? ">" : "<", out->text, args[i].text, out->text);
        }
        return true;
    }
    StringInfoData text;
    initStringInfo(&text);
    for (int i = 0; i < count; i++) {
        appendStringInfo(&text, "%s%s", i == 0 ? psprintf("%s(", name) : ", ", CastTo(args[i], out->rep));
    }
    appendStringInfoChar(&text, ')');
    out->text = text.data;
    return true;
}

// --- arrays --------------------------------------------------------------------------------------------------------------

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
        if (!IsValue(array)) return Refuse(t, "ANY or ALL of an array that varies by row");
        if (!TranslateValue(t, array, &value)) return false;
        Sql column = ColumnOf(element, -1, nullptr);
        if (column.type == NUMERICOID && column.text_form) {
            column.text_form = false;
            column.rep = Decimal(38, 0);
            column.scale_kind = NumericScale::kUnknown;
        }
        Sql left;
        if (!TranslateExpression(t, scalar, &left)) return false;
        const char* alias = NewAlias(t);
        const char* rows = psprintf("SELECT unnest(%s) AS c1", value.text);
        column.text = psprintf("%s.c1", alias);
        Sql quantified;
        if (!TranslateQuantified(t, signature, expression->opno, left, column, rows, alias, expression->inputcollid, any,
                                 &quantified)) {
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
    StringInfoData text;
    initStringInfo(&text);
    bool first = true;
    foreach_ptr(Node, element, elements) {
        List* nodes = list_make2(scalar, element);
        if (is_list) {
            Sql args[2];
            if (!TranslateArguments(t, nodes, args) || !PrepareCall(t, *signature, nodes, args, expression->inputcollid)) {
                return false;
            }
            // Padding or trimming must be the same decision for every element: the scalar is written once.
            if (first) {
                appendStringInfo(&text, "(%s %s (", args[0].text, any ? "IN" : "NOT IN");
            } else if (strncmp(text.data + 1, args[0].text, strlen(args[0].text)) != 0) {
                return Refuse(t, "list of strings longer than the column");
            }
            appendStringInfo(&text, "%s%s", first ? "" : ", ", args[1].text);
        } else {
            Sql result;
            if (!TranslateCall(t, signature, nodes, expression->inputcollid, BOOLOID, -1, &result)) return false;
            appendStringInfo(&text, "%s%s", first ? "(" : (any ? " OR " : " AND "), result.text);
        }
        first = false;
    }
    appendStringInfoString(&text, is_list ? "))" : ")");
    *out = Boolean(text.data);
    return true;
}

// --- casts ---------------------------------------------------------------------------------------------------------------

bool TranslateRelabel(Translator* t, RelabelType* relabel, Sql* out) {
    if (!TranslateExpression(t, reinterpret_cast<Node*>(relabel->arg), out)) return false;
    const Sql wanted = ColumnOf(relabel->resulttype, relabel->resulttypmod, out->text);
    // The bits stay; so must what they mean to DuckDB. A numeric keeps the scale that it has.
    const bool numeric = IsNumeric(*out) && wanted.type == NUMERICOID;
    if (!numeric && (wanted.rep.kind != out->rep.kind || wanted.text_form != out->text_form)) {
        return Refuse(t, "cast from %s to %s", format_type_be(out->type), format_type_be(relabel->resulttype));
    }
    if (wanted.text_form && wanted.type != out->type) {
        return Refuse(t, "cast from %s to %s", format_type_be(out->type), format_type_be(relabel->resulttype));
    }
    out->type = wanted.type;
    return true;
}

// Casts through text whose text is the same in both systems.
bool TranslateTextCast(Translator* t, CoerceViaIO* cast, Sql* out) {
    auto* node = reinterpret_cast<Node*>(cast->arg);
    const Oid from = getBaseType(exprType(node));
    const bool to_text = cast->resulttype == TEXTOID || cast->resulttype == VARCHAROID;
    const bool known = from == INT2OID || from == INT4OID || from == INT8OID || from == NUMERICOID || from == UUIDOID;
    if (!to_text || !known) {
        return Refuse(t, "cast from %s to %s", format_type_be(from), format_type_be(cast->resulttype));
    }
    Sql argument;
    if (!TranslateExpression(t, node, &argument)) return false;
    if (argument.text_form || argument.scale_kind != NumericScale::kFixed) {
        return Refuse(t, "cast to text of a numeric whose display scale is not fixed");
    }
    *out = Sql{};
    out->text = psprintf("CAST(%s AS VARCHAR)", argument.text);
    out->type = cast->resulttype;
    out->rep = Native(TypeKind::kText);
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

struct AliasState {
    Query* query;
    int levels_up;
};

// Replaces Vars of join entries by what they stand for.
Node* ResolveAliasesMutator(Node* node, void* context) {
    auto* state = static_cast<AliasState*>(context);
    if (node == nullptr) return nullptr;
    if (IsA(node, Var)) {
        auto* var = castNode(Var, node);
        if (static_cast<int>(var->varlevelsup) != state->levels_up || var->varattno <= 0) return node;
        const RangeTblEntry* rte = rt_fetch(var->varno, state->query->rtable);
        if (rte->rtekind != RTE_JOIN) return node;
        Node* alias = static_cast<Node*>(copyObjectImpl(list_nth(rte->joinaliasvars, var->varattno - 1)));
        AliasState inner{state->query, 0};
        alias = ResolveAliasesMutator(alias, &inner);
        if (state->levels_up > 0) IncrementVarSublevelsUp(alias, state->levels_up, 0);
        return alias;
    }
    if (IsA(node, Query)) {
        state->levels_up++;
        Query* result = query_tree_mutator(castNode(Query, node), ResolveAliasesMutator, context, 0);
        state->levels_up--;
        return reinterpret_cast<Node*>(result);
    }
    return expression_tree_mutator(node, ResolveAliasesMutator, context);
}

}  // namespace

bool IsValue(Node* node) {
    int test_depth = 0;
    return !NeedsRowsWalker(node, &test_depth) && !contain_volatile_functions(node);
}

bool TranslateValue(Translator* t, Node* node, Sql* out) {
    const Oid type = exprType(node);
    if (!HasLiteral(type)) return Refuse(t, "constant or parameter of type %s", format_type_be(type));
    *out = ColumnOf(type, exprTypmod(node), nullptr);
    if (OidIsValid(get_element_type(out->type))) {
        out->text_form = true;
    }
    if (IsA(node, Const)) {
        const auto* constant = castNode(Const, node);
        out->text = LiteralFor(type, exprTypmod(node), constant->constvalue, constant->constisnull);
        if (out->text == nullptr) return Refuse(t, "constant of type %s without a literal", format_type_be(type));
        out->is_null = constant->constisnull;
        if (out->type == NUMERICOID) {
            out->text_form = false;
            int precision = 1;
            int scale = 0;
            const char* decimal = strstr(out->text, " AS DECIMAL(");
            if (decimal != nullptr) sscanf(decimal, " AS DECIMAL(%d,%d)", &precision, &scale);
            out->rep = Decimal(precision, scale);
        }
        return true;
    }
    int index = 0;
    foreach_ptr(Node, known, t->values) {
        if (equal(known, node)) break;
        index++;
    }
    if (index == list_length(t->values)) t->values = lappend(t->values, copyObjectImpl(node));
    out->text = psprintf("{value:%d}", index);
    if (out->type == NUMERICOID) {
        if (out->text_form) {
            out->text_form = false;
            out->rep = Decimal(38, 0);
            out->scale_kind = NumericScale::kUnknown;
        } else {
            // The literal has the value's own precision.
            out->text = psprintf("CAST(%s AS %s)", out->text, TypeName(out->rep));
        }
    }
    return true;
}

Node* Fold(Translator* t, Node* node) {
    AliasState state{t->level->query, 0};
    if (node == nullptr) return nullptr;
    if (t->level->query != nullptr && t->level->has_joins) node = ResolveAliasesMutator(node, &state);
    return eval_const_expressions(nullptr, node);
}

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
    if (!IsA(node, Var) && !IsA(node, BoolExpr) && IsValue(node)) return TranslateValue(t, node, out);
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
        case T_CoerceToDomain:
            return Refuse(t, "cast to domain %s with constraints", format_type_be(exprType(node)));
        case T_RowExpr: return Refuse(t, "row constructor");
        case T_ArrayExpr: return Refuse(t, "array constructor");
        case T_SubscriptingRef: return Refuse(t, "subscript");
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

bool CheckGroupable(Translator* t, const Sql& e, Oid collation, Oid equality_operator, int32 typmod) {
    const Signature* signature = FindSignature(get_opcode(equality_operator));
    if (signature == nullptr || !signature->IsComparison() || strcmp(signature->sql, "=") != 0) {
        return Refuse(t, "grouping by type %s", format_type_be(e.type));
    }
    // Padded to one length they differ in no trailing blanks.
    if (signature->types[0] == 'c' && typmod < VARHDRSZ) return Refuse(t, "grouping by character of varying length");
    Sql args[2] = {e, e};
    if (IsNumeric(e) && e.scale_kind != NumericScale::kFixed) {
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
