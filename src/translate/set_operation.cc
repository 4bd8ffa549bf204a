// SPDX-License-Identifier: Apache-2.0
// UNION, INTERSECT, EXCEPT.
#include "translate/query_parts.h"

extern "C" {
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "parser/parsetree.h"
}

namespace ivy::translate {

namespace {

bool CommonColumns(Translator* t, const Columns& left, const Columns& right, Columns* out) {
    out->count = left.count;
    out->items = static_cast<Sql*>(palloc0(Max(left.count, 1) * sizeof(Sql)));
    for (int i = 0; i < left.count; i++) {
        const Sql sides[2] = {left.items[i], right.items[i]};
        if (!CommonType(t, sides, 2, "set operation", &out->items[i])) return false;
        if (out->items[i].scale_kind != NumericScale::kFixed) out->items[i] = NumericText(nullptr);
    }
    return true;
}

// The columns of one side of a set operation as the operation's types: Postgres converts them above the side's query.
bool ConvertSide(Translator* t, const SetOperationStmt* stmt, const char** text, Columns* columns) {
    const char* alias = nullptr;
    auto** converted = static_cast<const char**>(palloc0(static_cast<size_t>(columns->count + 1) * sizeof(char*)));
    for (int i = 0; i < columns->count; i++) {
        Sql* item = &columns->items[i];
        const Oid type = list_nth_oid(stmt->colTypes, i);
        if (item->is_null || item->type == getBaseType(type)) continue;
        if (alias == nullptr) alias = NewAlias(t);
        auto* value = makeNode(CaseTestExpr);
        value->typeId = item->type;
        value->typeMod = -1;
        value->collation = get_typcollation(item->type);
        Node* conversion =
            coerce_to_common_type(nullptr, reinterpret_cast<Node*>(value), type, "UNION/INTERSECT/EXCEPT");
        Sql column = *item;
        column.text = psprintf("%s.c%d", alias, i + 1);
        Sql* outer = t->case_value;
        t->case_value = &column;
        const bool ok = TranslateExpression(t, Fold(t, conversion), item);
        t->case_value = outer;
        if (!ok) return false;
        converted[i] = item->text;
    }
    if (alias == nullptr) return true;
    StringInfoData out;
    initStringInfo(&out);
    for (int i = 0; i < columns->count; i++) {
        const char* expression = converted[i] != nullptr ? converted[i] : psprintf("%s.c%d", alias, i + 1);
        appendStringInfo(&out, "%s%s AS c%d", i == 0 ? "SELECT " : ", ", expression, i + 1);
    }
    *text = psprintf("%s FROM (%s) AS %s", out.data, *text, alias);
    return true;
}

// A set operation whose duplicates are rows with the same keys.
const char* SetByKey(Translator* t, const SetOperationStmt* stmt, const char* left, const char* right,
                     const Columns& columns) {
    if (stmt->op == SETOP_UNION) {
        return DistinctByKey(t, columns.items, columns.count, psprintf("(%s) UNION ALL (%s)", left, right));
    }
    const char* first = NewAlias(t);
    const char* second = NewAlias(t);
    StringInfoData targets;
    StringInfoData equal;
    initStringInfo(&targets);
    initStringInfo(&equal);
    for (int i = 0; i < columns.count; i++) {
        const char* here = psprintf("%s.c%d", first, i + 1);
        appendStringInfo(&targets, "%s%s AS c%d", i == 0 ? "" : ", ", here, i + 1);
        appendStringInfo(&equal, "%s%s IS NOT DISTINCT FROM %s", i == 0 ? "" : " AND ", KeyOf(columns.items[i], here),
                         KeyOf(columns.items[i], psprintf("%s.c%d", second, i + 1)));
    }
    return psprintf("SELECT %s FROM (%s) AS %s WHERE %s (SELECT 1 FROM (%s) AS %s WHERE %s)", targets.data,
                    DistinctByKey(t, columns.items, columns.count, left), first,
                    stmt->op == SETOP_INTERSECT ? "EXISTS" : "NOT EXISTS", right, second, equal.data);
}

}  // namespace

const char* CastColumns(Translator* t, const char* text, const Columns& columns, const Columns& wanted) {
    bool same = true;
    for (int i = 0; i < wanted.count; i++) same = same && columns.items[i].rep == wanted.items[i].rep;
    if (same) return text;
    const char* alias = NewAlias(t);
    StringInfoData out;
    initStringInfo(&out);
    for (int i = 0; i < wanted.count; i++) {
        Sql column = columns.items[i];
        column.text = psprintf("%s.c%d", alias, i + 1);
        appendStringInfo(&out, "%sCAST(%s AS %s) AS c%d", i == 0 ? "SELECT " : ", ", ConvertTo(column, wanted.items[i]),
                         TypeName(wanted.items[i].rep), i + 1);
    }
    appendStringInfo(&out, " FROM (%s) AS %s", text, alias);
    return out.data;
}

const char* KeyOf(const Sql& item, const char* column) {
    if (IsNumericText(item)) return psprintf("ivy_num_key(%s)", column);
    if (item.type == INTERVALOID && !item.text_form) return psprintf("ivy_interval_key(%s)", column);
    return column;
}

bool HasKeys(const Sql* items, int count) {
    for (int i = 0; i < count; i++) {
        if (IsNumericText(items[i]) || (items[i].type == INTERVALOID && !items[i].text_form)) return true;
    }
    return false;
}

const char* DistinctByKey(Translator* t, const Sql* items, int count, const char* rows) {
    const char* alias = NewAlias(t);
    StringInfoData out;
    StringInfoData keys;
    initStringInfo(&out);
    initStringInfo(&keys);
    for (int i = 0; i < count; i++) {
        const char* column = psprintf("%s.c%d", alias, i + 1);
        const char* key = KeyOf(items[i], column);
        const char* one = items[i].type == INTERVALOID ? "ivy_interval_one" : "ivy_num_one";
        appendStringInfo(&out, "%s%s AS c%d", i == 0 ? "SELECT " : ", ",
                         key != column ? psprintf("%s(%s)", one, column) : column, i + 1);
        appendStringInfo(&keys, "%s%s", i == 0 ? "" : ", ", key);
    }
    appendStringInfo(&out, " FROM (%s) AS %s GROUP BY %s", rows, alias, keys.data);
    return out.data;
}

bool CheckSetColumns(Translator* t, const SetOperationStmt* stmt, const Columns& columns, bool by_key) {
    for (int i = 0; i < columns.count; i++) {
        if (stmt->groupClauses == NIL) break;
        const auto* clause = static_cast<SortGroupClause*>(list_nth(stmt->groupClauses, i));
        const char* key = nullptr;
        if (!CheckGroupable(t, columns.items[i], list_nth_oid(stmt->colCollations, i), clause->eqop,
                            list_nth_int(stmt->colTypmods, i), by_key ? &key : nullptr)) {
            return false;
        }
    }
    return true;
}

const char* SetOperator(const SetOperationStmt* stmt) {
    switch (stmt->op) {
        case SETOP_UNION: return stmt->all ? "UNION ALL" : "UNION";
        case SETOP_INTERSECT: return stmt->all ? "INTERSECT ALL" : "INTERSECT";
        case SETOP_EXCEPT: return stmt->all ? "EXCEPT ALL" : "EXCEPT";
        default: elog(ERROR, "unknown set operation");
    }
}

bool TranslateSetNode(Translator* t, Node* node, const char** text, Columns* columns) {
    check_stack_depth();
    StringInfoData out;
    initStringInfo(&out);
    if (IsA(node, RangeTblRef)) {
        const RangeTblEntry* rte = rt_fetch(castNode(RangeTblRef, node)->rtindex, t->level->query->rtable);
        if (!TranslateOrFetch(t, rte->subquery, t->level, &out, columns)) return false;
        *text = out.data;
        return true;
    }
    const auto* stmt = castNode(SetOperationStmt, node);
    const char* left;
    const char* right;
    Columns left_columns;
    Columns right_columns;
    bool ok = TranslateSetNode(t, stmt->larg, &left, &left_columns);
    ok = TranslateSetNode(t, stmt->rarg, &right, &right_columns) && ok;
    ok = ok && ConvertSide(t, stmt, &left, &left_columns) && ConvertSide(t, stmt, &right, &right_columns);
    if (!ok || !CommonColumns(t, left_columns, right_columns, columns) ||
        !CheckSetColumns(t, stmt, *columns, !stmt->all))
        return false;
    left = CastColumns(t, left, left_columns, *columns);
    right = CastColumns(t, right, right_columns, *columns);
    if (!stmt->all && HasKeys(columns->items, columns->count)) {
        *text = SetByKey(t, stmt, left, right, *columns);
        return true;
    }
    appendStringInfo(&out, "(%s) %s (%s)", left, SetOperator(stmt), right);
    *text = out.data;
    return true;
}

bool TranslateSetBody(Translator* t, bool final, Body* body) {
    const Query* query = t->level->query;
    Columns columns;
    const char* text;
    if (!TranslateSetNode(t, query->setOperations, &text, &columns)) return false;
    InitBody(body, columns.count);
    body->count = body->visible = columns.count;
    const char* alias = NewAlias(t);
    StringInfoData targets;
    initStringInfo(&targets);
    int i = 0;
    foreach_node (TargetEntry, entry, query->targetList) {
        if (entry->resjunk || i >= columns.count) return Refuse(t, "set operation with computed columns");
        body->items[i] = columns.items[i];
        body->items[i].text = psprintf("%s.c%d", alias, i + 1);
        body->refs[i] = static_cast<int>(entry->ressortgroupref);
        body->collations[i] = exprCollation(reinterpret_cast<Node*>(entry->expr));
        appendStringInfo(&targets, "%sCAST(%s AS %s) AS c%d", i == 0 ? "" : ", ", body->items[i].text,
                         TypeName(body->items[i].rep), i + 1);
        i++;
    }
    if (i == 0) return Refuse(t, "set operation without columns");
    body->text = psprintf("SELECT %s FROM (%s) AS %s", targets.data, text, alias);
    return true;
}

}  // namespace ivy::translate
