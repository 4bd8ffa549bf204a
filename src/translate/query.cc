// SPDX-License-Identifier: Apache-2.0
// Whole queries: SELECT, set operations, WITH, and what stands above them (DISTINCT, ORDER BY, LIMIT).
#include "translate/query_parts.h"

extern "C" {
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/value.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "portability/instr_time.h"
#include "rewrite/rewriteManip.h"
}

namespace ivy::translate {

namespace {

// --- what a query may not have --------------------------------------------------------------------------------------------

struct Independence {
    Translator* t;
    int depth;
    bool outside;
};

bool IndependenceWalker(Node* node, void* context) {
    auto* state = static_cast<Independence*>(context);
    if (node == nullptr) return false;
    switch (nodeTag(node)) {
        case T_Var:
            state->outside |= static_cast<int>(castNode(Var, node)->varlevelsup) >= state->depth;
            return state->outside;
        case T_Aggref: state->outside |= static_cast<int>(castNode(Aggref, node)->agglevelsup) >= state->depth; break;
        case T_GroupingFunc:
            state->outside |= static_cast<int>(castNode(GroupingFunc, node)->agglevelsup) >= state->depth;
            break;
        case T_Param:
            state->outside |=
                castNode(Param, node)->paramkind != PARAM_EXTERN && castNode(Param, node)->paramkind != PARAM_SUBLINK;
            break;
        case T_RangeTblEntry: {
            const auto* rte = castNode(RangeTblEntry, node);
            if (rte->rtekind == RTE_CTE) state->outside |= static_cast<int>(rte->ctelevelsup) >= state->depth;
            if (rte->rtekind == RTE_RELATION) state->outside |= state->t->is_mirror(rte->relid);
            if (rte->rtekind == RTE_NAMEDTUPLESTORE) state->outside = true;
            return state->outside;
        }
        case T_Query: {
            state->depth++;
            const bool found =
                query_tree_walker(castNode(Query, node), IndependenceWalker, context, QTW_EXAMINE_RTES_BEFORE);
            state->depth--;
            return found;
        }
        default: break;
    }
    return state->outside || expression_tree_walker(node, IndependenceWalker, context);
}

// Whether Postgres can run a query apart from the rest: no mirrors in it, nothing from outside, same rows each time.
bool IsFetchable(Translator* t, Query* query) {
    Independence state{t, 0, false};
    IndependenceWalker(reinterpret_cast<Node*>(query), &state);
    return !state.outside && query->commandType == CMD_SELECT && !query->hasModifyingCTE && query->rowMarks == NIL &&
           !contain_volatile_functions(reinterpret_cast<Node*>(query));
}

// What a row source without any columns has instead: rows must be made of something.
TargetEntry* OneColumn() {
    return makeTargetEntry(reinterpret_cast<Expr*>(makeBoolConst(true, false)), 1, pstrdup("c1"), false);
}

void FetchWhole(Translator* t, Query* query, StringInfo out, Columns* columns) {
    auto* source = static_cast<RowSource*>(palloc0(sizeof(RowSource)));
    source->index = list_length(t->row_sources);
    source->query = static_cast<Query*>(copyObjectImpl(query));
    t->row_sources = lappend(t->row_sources, source);
    columns->count = 0;
    columns->items = static_cast<Sql*>(palloc0(list_length(query->targetList) * sizeof(Sql)));
    foreach_node (TargetEntry, entry, query->targetList) {
        if (entry->resjunk) continue;
        Node* node = reinterpret_cast<Node*>(entry->expr);
        columns->items[columns->count++] = ColumnOf(exprType(node), exprTypmod(node), nullptr);
    }
    if (columns->count == 0) source->query->targetList = lcons(OneColumn(), source->query->targetList);
    appendStringInfo(out, "SELECT * FROM {rows:%d}", source->index);
}

// --- bodies ------------------------------------------------------------------------------------------------------------------

bool IsSortKey(const Query* query, Index ref) {
    if (ref == 0) return false;
    foreach_node (SortGroupClause, clause, query->sortClause) {
        if (clause->tleSortGroupRef == ref) return true;
    }
    foreach_node (SortGroupClause, clause, query->distinctClause) {
        if (clause->tleSortGroupRef == ref) return true;
    }
    return false;
}

bool IsGrouped(const Query* query) {
    return query->hasAggs || query->groupClause != NIL || query->groupingSets != NIL || query->havingQual != nullptr;
}

bool TranslatePlainBody(Translator* t, bool final, Body* body) {
    Level* level = t->level;
    Query* query = level->query;
    InitBody(body, list_length(query->targetList));

    StringInfoData from;
    initStringInfo(&from);
    const char* where = nullptr;
    bool ok = true;
    if (query->jointree->fromlist != NIL) appendStringInfoString(&from, " FROM ");
    if (!TranslateFrom(t, &from, &where)) ok = false;
    // Without FROM nothing else could be looked at: other reasons would be consequences.
    if (!ok) return false;
    if (where != nullptr) appendStringInfo(&from, " WHERE %s", where);

    const bool grouped = IsGrouped(query);
    if (grouped) {
        if (!BeginGrouping(t)) return false;
        level->above_grouping = true;
    }
    StringInfoData targets;
    initStringInfo(&targets);
    for (int junk = 0; junk < 2; junk++) {
        foreach_node (TargetEntry, entry, query->targetList) {
            if (entry->resjunk != (junk == 1)) continue;
            if (entry->resjunk && !IsSortKey(query, entry->ressortgroupref)) continue;
            Node* node = Fold(t, reinterpret_cast<Node*>(entry->expr));
            const int column = body->count++;
            Sql* item = &body->items[column];
            if (!TranslateExpression(t, node, item)) {
                ok = false;
                continue;
            }
            // The expressions that give the scale of a row stay inside.
            if (item->scale_kind != NumericScale::kFixed) *item = ToNumericText(*item);
            const bool is_bare = item->rep.kind != TypeKind::kDecimal && IsA(node, Var);
            const bool cast = !entry->resjunk && (item->is_null || (final && !is_bare));
            const char* text = cast ? psprintf("CAST(%s AS %s)", item->text, TypeName(item->rep)) : item->text;
            appendStringInfo(&targets, "%s%s AS c%d", column == 0 ? "" : ", ", text, column + 1);
            body->refs[column] = static_cast<int>(entry->ressortgroupref);
            body->collations[column] = exprCollation(node);
        }
        if (junk == 0) body->visible = body->count;
    }
    if (body->count == 0) {
        // A row without columns, as in EXISTS (SELECT FROM ...).
        appendStringInfoString(&targets, "1 AS c0");
    }
    const char* having = nullptr;
    if (query->havingQual != nullptr) {
        Node* condition = Fold(t, query->havingQual);
        ok = TranslateQual(t, condition, &having) && ok;
    }
    level->above_grouping = false;
    if (!ok) return false;

    const bool distinct = query->distinctClause != NIL && !query->hasDistinctOn;
    const bool by_key = distinct && HasKeys(body->items, body->count);
    StringInfoData text;
    initStringInfo(&text);
    appendStringInfo(&text, "SELECT %s%s", distinct && !by_key ? "DISTINCT " : "", targets.data);
    if (grouped) {
        appendStringInfoString(&text, " FROM ");
        if (!EndGrouping(t, from.data, &text)) return false;
        if (having != nullptr) appendStringInfo(&text, " WHERE %s", having);
    } else {
        appendStringInfoString(&text, from.data);
    }
    body->text = by_key ? DistinctByKey(t, body->items, body->count, text.data) : text.data;
    return true;
}

// --- DISTINCT, ORDER BY, LIMIT -----------------------------------------------------------------------------------------------------

int ItemOfRef(const Body& body, Index ref) {
    for (int i = 0; i < body.count; i++) {
        if (body.refs[i] == static_cast<int>(ref)) return i;
    }
    elog(ERROR, "sort key %u not found", ref);
}

bool CheckDistinct(Translator* t, const Query* query, const Body& body) {
    foreach_node (SortGroupClause, clause, query->distinctClause) {
        const int item = ItemOfRef(body, clause->tleSortGroupRef);
        const TargetEntry* entry = get_sortgroupclause_tle(clause, query->targetList);
        const char* key = nullptr;
        if (!CheckGroupable(t, body.items[item], body.collations[item], clause->eqop,
                            exprTypmod(reinterpret_cast<Node*>(entry->expr)), &key)) {
            return false;
        }
    }
    return true;
}

bool AppendLimit(Translator* t, Node* node, const char* keyword, StringInfo out) {
    if (node == nullptr) return true;
    Node* folded = Fold(t, node);
    if (IsA(folded, Const)) {
        const auto* constant = castNode(Const, folded);
        if (!constant->constisnull) {
            appendStringInfo(out, " %s " INT64_FORMAT, keyword, DatumGetInt64(constant->constvalue));
        }
        return true;
    }
    if (!IsValue(folded)) return Refuse(t, "%s that is not a constant", keyword);
    Sql value;
    if (!TranslateValue(t, folded, &value)) return false;
    appendStringInfo(out, " %s %s", keyword, value.text);
    return true;
}

// The body with everything above it.
bool Complete(Translator* t, Body* body, StringInfo out) {
    const Query* query = t->level->query;
    bool ok = CheckDistinct(t, query, *body);

    // Keys are positions where they can be. Everything else goes over a SELECT from the body.
    const char* alias = NewAlias(t);
    StringInfoData order;
    initStringInfo(&order);
    bool wrap = body->visible < body->count || query->hasDistinctOn;
    for (int pass = 0; pass < 2; pass++) {
        resetStringInfo(&order);
        foreach_node (SortGroupClause, clause, query->sortClause) {
            const int item = ItemOfRef(*body, clause->tleSortGroupRef);
            Sql column = body->items[item];
            column.text = psprintf("%s.c%d", alias, item + 1);
            const char* key;
            bool descending;
            if (!CheckSortable(t, column, body->collations[item], clause->sortop, &key, &descending)) {
                ok = false;
                continue;
            }
            if (key != column.text) wrap = true;
            appendStringInfo(&order, "%s%s %s", order.len == 0 ? " ORDER BY " : ", ",
                             wrap ? key : psprintf("%d", item + 1), SortDirection(descending, clause->nulls_first));
        }
        if (!wrap) break;
    }
    if (!ok) return false;
    appendStringInfoString(out, body->with);
    if (wrap) {
        appendStringInfoString(out, "SELECT ");
        if (query->hasDistinctOn) {
            const char* comma = "DISTINCT ON (";
            foreach_node (SortGroupClause, clause, query->distinctClause) {
                const int item = ItemOfRef(*body, clause->tleSortGroupRef);
                appendStringInfo(out, "%s%s", comma, KeyOf(body->items[item], psprintf("%s.c%d", alias, item + 1)));
                comma = ", ";
            }
            appendStringInfoString(out, ") ");
        }
        for (int i = 0; i < body->visible; i++) {
            appendStringInfo(out, "%s%s.c%d AS c%d", i == 0 ? "" : ", ", alias, i + 1, i + 1);
        }
        if (body->visible == 0) appendStringInfoString(out, "1 AS c0");
        appendStringInfo(out, " FROM (%s) AS %s", body->text, alias);
    } else {
        appendStringInfoString(out, body->text);
    }
    appendStringInfoString(out, order.data);
    ok = AppendLimit(t, query->limitCount, "LIMIT", out);
    return AppendLimit(t, query->limitOffset, "OFFSET", out) && ok;
}

// --- results -----------------------------------------------------------------------------------------------------------------------

// The Query that reads a row source.
Query* RowQuery(const RowSource* source) {
    if (source->query != nullptr) return source->query;
    auto* query = makeNode(Query);
    auto* rte = static_cast<RangeTblEntry*>(copyObjectImpl(source->rte));
    query->commandType = CMD_SELECT;
    query->canSetTag = true;
    if (source->perminfo != nullptr) {
        query->rteperminfos = list_make1(copyObjectImpl(source->perminfo));
        rte->perminfoindex = 1;
    }
    rte->lateral = false;
    rte->inFromCl = true;
    query->rtable = list_make1(rte);
    query->hasRowSecurity = rte->securityQuals != NIL;
    query->hasSubLinks = rte->securityQuals != NIL && checkExprHasSubLink(reinterpret_cast<Node*>(rte->securityQuals));
    auto* ref = makeNode(RangeTblRef);
    ref->rtindex = 1;
    Node* quals = nullptr;
    if (source->quals != NIL) {
        quals = reinterpret_cast<Node*>(make_ands_explicit(static_cast<List*>(copyObjectImpl(source->quals))));
        ChangeVarNodes(quals, static_cast<int>(source->rti), 1, 0);
    }
    query->jointree = makeFromExpr(list_make1(ref), quals);
    AttrNumber resno = 0;
    foreach_node (Var, var, source->vars) {
        resno++;
        TargetEntry* entry =
            makeTargetEntry(reinterpret_cast<Expr*>(copyObjectImpl(var)), resno, psprintf("c%d", resno), false);
        query->targetList = lappend(query->targetList, entry);
    }
    if (query->targetList == NIL) query->targetList = list_make1(OneColumn());
    return query;
}

}  // namespace

bool CheckQuery(Translator* t, const Query* query) {
    if (query->commandType != CMD_SELECT || query->utilityStmt != nullptr)
        return Refuse(t, "a command that is not SELECT");
    if (query->hasModifyingCTE) return Refuse(t, "data-modifying WITH query");
    if (query->rowMarks != NIL) return Refuse(t, "FOR UPDATE or FOR SHARE");
    if (query->hasTargetSRFs) return Refuse(t, "set-returning function in the target list");
    if (query->limitOption == LIMIT_OPTION_WITH_TIES) return Refuse(t, "FETCH FIRST WITH TIES");
    return true;
}

void InitBody(Body* body, int capacity) {
    *body = Body{};
    body->with = "";
    body->items = static_cast<Sql*>(palloc0(Max(capacity, 1) * sizeof(Sql)));
    body->refs = static_cast<int*>(palloc0(Max(capacity, 1) * sizeof(int)));
    body->collations = static_cast<Oid*>(palloc0(Max(capacity, 1) * sizeof(Oid)));
}

Level* PushLevel(Translator* t, Query* query, Level* outer) {
    auto* level = static_cast<Level*>(palloc0(sizeof(Level)));
    level->parent = outer;
    level->query = query;
    level->entries = static_cast<FromEntry*>(palloc0((list_length(query->rtable) + 1) * sizeof(FromEntry)));
    foreach_node (RangeTblEntry, rte, query->rtable) {
        if (rte->rtekind == RTE_JOIN) level->has_joins = true;
    }
    t->level = level;
    return level;
}

bool TranslateSelect(Translator* t, Query* query, Level* outer, bool final, StringInfo out, Columns* columns) {
    check_stack_depth();
    Level* previous = t->level;
    if (!CheckQuery(t, query)) return false;
    PushLevel(t, query, outer);
    Body body;
    const char* with;
    bool ok = TranslateWith(t, &with);
    ok = ok &&
         (query->setOperations != nullptr ? TranslateSetBody(t, final, &body) : TranslatePlainBody(t, final, &body));
    if (ok) {
        body.with = with;
        ok = Complete(t, &body, out);
        columns->items = body.items;
        columns->count = body.visible;
    }
    t->level = previous;
    return ok;
}

Mark SetMark(const Translator* t, const StringInfoData* out) {
    return Mark{list_length(t->mirrors), list_length(t->functions), list_length(t->row_sources),
                list_length(t->values),  list_length(t->reasons),   out->len};
}

void ResetToMark(Translator* t, const Mark& mark, StringInfo out) {
    t->mirrors = list_truncate(t->mirrors, mark.mirrors);
    t->functions = list_truncate(t->functions, mark.functions);
    t->row_sources = list_truncate(t->row_sources, mark.row_sources);
    t->values = list_truncate(t->values, mark.values);
    t->reasons = list_truncate(t->reasons, mark.reasons);
    out->len = mark.text;
    out->data[out->len] = '\0';
}

bool TranslateOrFetch(Translator* t, Query* query, Level* outer, StringInfo out, Columns* columns) {
    const Mark mark = SetMark(t, out);
    Level* level = t->level;
    if (TranslateSelect(t, query, outer, false, out, columns)) return true;
    if (!IsFetchable(t, query)) return false;
    ResetToMark(t, mark, out);
    t->level = level;
    FetchWhole(t, query, out, columns);
    return true;
}

Translation* Finish(Translator* t, bool ok, const char* sql, Columns columns) {
    auto* result = static_cast<Translation*>(palloc0(sizeof(Translation)));
    result->ok = ok;
    result->reasons = t->reasons;
    if (!ok) return result;
    result->sql = const_cast<char*>(sql);
    result->mirrors = t->mirrors;
    foreach_ptr (RowSource, source, t->row_sources) {
        result->row_queries = lappend(result->row_queries, RowQuery(source));
    }
    result->functions = t->functions;
    result->values = t->values;
    for (int i = 0; i < columns.count; i++) {
        const ColumnType type = columns.items[i].rep;
        const int packed = static_cast<int>(type.kind) | type.precision << 8 | type.scale << 16;
        result->result_types = lappend(result->result_types, makeInteger(packed));
    }
    return result;
}

Translation* TranslateQuery(Query* query, IsMirrorFn is_mirror) {
    instr_time start;
    INSTR_TIME_SET_CURRENT(start);
    auto* t = static_cast<Translator*>(palloc0(sizeof(Translator)));
    t->is_mirror = is_mirror;
    StringInfoData sql;
    initStringInfo(&sql);
    Columns columns{nullptr, 0};
    bool ok = !HasLeakyCondition(query) || Refuse(t, "condition that could tell about rows which row security hides");
    ok = TranslateSelect(t, query, nullptr, true, &sql, &columns) && ok;
    if (ok && columns.count == 0) ok = Refuse(t, "result without columns");
    Translation* translation = Finish(t, ok, sql.data, columns);
    instr_time end;
    INSTR_TIME_SET_CURRENT(end);
    INSTR_TIME_SUBTRACT(end, start);
    translation->micros = static_cast<int>(INSTR_TIME_GET_MICROSEC(end));
    return translation;
}

}  // namespace ivy::translate
