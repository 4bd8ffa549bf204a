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
#include "rewrite/rewriteManip.h"
}

namespace ivy::translate {

namespace {

// A SELECT whose columns are named, before ORDER BY and what goes with it.
struct Body {
    const char* text;
    const char* with;   // "WITH ... " or ""
    Sql* items;         // c1, c2, ...: first those of the result, then those that only ORDER BY or DISTINCT ON use
    int* refs;          // ressortgroupref of each, or 0
    Oid* collations;
    int visible;
    int count;
};

// --- what a query may not have --------------------------------------------------------------------------------------------

bool CheckQuery(Translator* t, const Query* query) {
    if (query->commandType != CMD_SELECT || query->utilityStmt != nullptr) return Refuse(t, "a command that is not SELECT");
    if (query->hasModifyingCTE) return Refuse(t, "data-modifying WITH query");
    if (query->rowMarks != NIL) return Refuse(t, "FOR UPDATE or FOR SHARE");
    if (query->hasTargetSRFs) return Refuse(t, "set-returning function in the target list");
    if (query->limitOption == LIMIT_OPTION_WITH_TIES) return Refuse(t, "FETCH FIRST WITH TIES");
    return true;
}

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
        case T_Aggref:
            state->outside |= static_cast<int>(castNode(Aggref, node)->agglevelsup) >= state->depth;
            break;
        case T_GroupingFunc:
            state->outside |= static_cast<int>(castNode(GroupingFunc, node)->agglevelsup) >= state->depth;
            break;
        case T_Param:
            state->outside |= castNode(Param, node)->paramkind != PARAM_EXTERN &&
                              castNode(Param, node)->paramkind != PARAM_SUBLINK;
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
            const bool found = query_tree_walker(castNode(Query, node), IndependenceWalker, context,
                                                 QTW_EXAMINE_RTES_BEFORE);
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
    foreach_node(TargetEntry, entry, query->targetList) {
        if (entry->resjunk) continue;
        Node* node = reinterpret_cast<Node*>(entry->expr);
        columns->items[columns->count++] = ColumnOf(exprType(node), exprTypmod(node), nullptr);
    }
    if (columns->count == 0) source->query->targetList = lcons(OneColumn(), source->query->targetList);
    appendStringInfo(out, "SELECT * FROM {rows:%d}", source->index);
}

// --- bodies ------------------------------------------------------------------------------------------------------------------

void InitBody(Body* body, int capacity) {
    *body = Body{};
    body->with = "";
    body->items = static_cast<Sql*>(palloc0(Max(capacity, 1) * sizeof(Sql)));
    body->refs = static_cast<int*>(palloc0(Max(capacity, 1) * sizeof(int)));
    body->collations = static_cast<Oid*>(palloc0(Max(capacity, 1) * sizeof(Oid)));
}

bool IsSortKey(const Query* query, Index ref) {
    if (ref == 0) return false;
    foreach_node(SortGroupClause, clause, query->sortClause) {
        if (clause->tleSortGroupRef == ref) return true;
    }
    foreach_node(SortGroupClause, clause, query->distinctClause) {
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
        foreach_node(TargetEntry, entry, query->targetList) {
            if (entry->resjunk != (junk == 1)) continue;
            if (entry->resjunk && !IsSortKey(query, entry->ressortgroupref)) continue;
            Node* node = Fold(t, reinterpret_cast<Node*>(entry->expr));
            const int column = body->count++;
            Sql* item = &body->items[column];
            if (!TranslateExpression(t, node, item)) {
                ok = false;
                continue;
            }
            if (!entry->resjunk && final && item->scale_kind != NumericScale::kFixed) {
                ok = Refuse(t, "numeric result whose display scale varies by row");
                continue;
            }
            const bool is_bare = item->rep.kind != TypeKind::kDecimal && IsA(node, Var);
            const bool cast = !entry->resjunk && (item->is_null || (final && !is_bare));
            const char* text = cast ? psprintf("CAST(%s AS %s)", item->text, TypeName(item->rep)) : item->text;
            appendStringInfo(&targets, "%s%s AS c%d", column == 0 ? "" : ", ", text, column + 1);
            body->refs[column] = static_cast<int>(entry->ressortgroupref);
            body->collations[column] = exprCollation(node);
            // The expressions that gave the scale of a row stay inside.
            if (item->scale_kind == NumericScale::kByRow) item->scale_kind = NumericScale::kUnknown;
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

    StringInfoData text;
    initStringInfo(&text);
    appendStringInfo(&text, "SELECT %s%s", query->distinctClause != NIL && !query->hasDistinctOn ? "DISTINCT " : "",
                     targets.data);
    if (grouped) {
        appendStringInfoString(&text, " FROM ");
        if (!EndGrouping(t, from.data, &text)) return false;
        if (having != nullptr) appendStringInfo(&text, " WHERE %s", having);
    } else {
        appendStringInfoString(&text, from.data);
    }
    body->text = text.data;
    return true;
}

// --- set operations ------------------------------------------------------------------------------------------------------------

bool TranslateSetNode(Translator* t, Node* node, const char** text, Columns* columns);

// "SELECT ... FROM (text)" with the columns cast to "wanted", or the text itself.
const char* CastColumns(Translator* t, const char* text, const Columns& columns, const Columns& wanted) {
    bool same = true;
    for (int i = 0; i < wanted.count; i++) same = same && columns.items[i].rep == wanted.items[i].rep;
    if (same) return text;
    const char* alias = NewAlias(t);
    StringInfoData out;
    initStringInfo(&out);
    for (int i = 0; i < wanted.count; i++) {
        appendStringInfo(&out, "%sCAST(%s.c%d AS %s) AS c%d", i == 0 ? "SELECT " : ", ", alias, i + 1,
                         TypeName(wanted.items[i].rep), i + 1);
    }
    appendStringInfo(&out, " FROM (%s) AS %s", text, alias);
    return out.data;
}

// Duplicates that the set operation removes must be what Postgres sees as duplicates.
bool CheckSetColumns(Translator* t, const SetOperationStmt* stmt, const Columns& columns) {
    for (int i = 0; i < columns.count; i++) {
        if (stmt->groupClauses == NIL) break;
        const auto* clause = static_cast<SortGroupClause*>(list_nth(stmt->groupClauses, i));
        if (!CheckGroupable(t, columns.items[i], list_nth_oid(stmt->colCollations, i), clause->eqop,
                            list_nth_int(stmt->colTypmods, i))) {
            return false;
        }
    }
    return true;
}

bool CommonColumns(Translator* t, const Columns& left, const Columns& right, Columns* out) {
    out->count = left.count;
    out->items = static_cast<Sql*>(palloc0(Max(left.count, 1) * sizeof(Sql)));
    for (int i = 0; i < left.count; i++) {
        const Sql sides[2] = {left.items[i], right.items[i]};
        if (!CommonType(t, sides, 2, "set operation", &out->items[i])) return false;
        if (out->items[i].scale_kind == NumericScale::kByRow) out->items[i].scale_kind = NumericScale::kUnknown;
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
    if (!ok || !CommonColumns(t, left_columns, right_columns, columns) || !CheckSetColumns(t, stmt, *columns)) return false;
    appendStringInfo(&out, "(%s) %s (%s)", CastColumns(t, left, left_columns, *columns), SetOperator(stmt),
                     CastColumns(t, right, right_columns, *columns));
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
    foreach_node(TargetEntry, entry, query->targetList) {
        if (entry->resjunk || i >= columns.count) return Refuse(t, "set operation with computed columns");
        body->items[i] = columns.items[i];
        body->items[i].text = psprintf("%s.c%d", alias, i + 1);
        body->refs[i] = static_cast<int>(entry->ressortgroupref);
        body->collations[i] = exprCollation(reinterpret_cast<Node*>(entry->expr));
        if (final && body->items[i].scale_kind != NumericScale::kFixed) {
            return Refuse(t, "numeric result whose display scale varies by row");
        }
        appendStringInfo(&targets, "%sCAST(%s AS %s) AS c%d", i == 0 ? "" : ", ", body->items[i].text,
                         TypeName(body->items[i].rep), i + 1);
        i++;
    }
    if (i == 0) return Refuse(t, "set operation without columns");
    body->text = psprintf("SELECT %s FROM (%s) AS %s", targets.data, text, alias);
    return true;
}

// --- WITH ----------------------------------------------------------------------------------------------------------------------

// The recursive term refers to the whole, so its columns' types are settled by the other term alone.
bool TranslateRecursive(Translator* t, Query* query, Cte* cte, StringInfo out) {
    const auto* stmt = reinterpret_cast<SetOperationStmt*>(query->setOperations);
    if (stmt == nullptr || !IsA(stmt, SetOperationStmt) || stmt->op != SETOP_UNION || query->cteList != NIL ||
        query->sortClause != NIL || query->limitCount != nullptr || query->limitOffset != nullptr || !CheckQuery(t, query)) {
        return Refuse(t, "recursive WITH query of unusual form");
    }
    PushLevel(t, query, t->level);
    const char* first;
    const char* second = nullptr;
    Columns seed;
    Columns step;
    bool ok = TranslateSetNode(t, stmt->larg, &first, &seed);
    if (ok) {
        Columns wanted{static_cast<Sql*>(palloc0(seed.count * sizeof(Sql))), seed.count};
        for (int i = 0; i < seed.count; i++) {
            Sql* item = &wanted.items[i];
            *item = seed.items[i];
            item->is_null = false;
            if (IsNumeric(*item)) item->rep = Decimal(38, item->rep.scale);
        }
        cte->columns = wanted.items;
        cte->column_count = wanted.count;
        ok = TranslateSetNode(t, stmt->rarg, &second, &step);
        for (int i = 0; ok && i < wanted.count; i++) {
            const Sql& item = wanted.items[i];
            const Sql& next = step.items[i];
            if (!next.is_null && (next.rep.kind != item.rep.kind || next.rep.scale != item.rep.scale ||
                                  next.text_form != item.text_form || next.scale_kind != item.scale_kind)) {
                ok = Refuse(t, "recursive WITH query whose terms have different representations");
            }
        }
        if (ok) {
            ok = CheckSetColumns(t, stmt, wanted);
            appendStringInfo(out, "(%s) %s (%s)", CastColumns(t, first, seed, wanted), SetOperator(stmt),
                             CastColumns(t, second, step, wanted));
        }
    }
    t->level = t->level->parent;
    return ok;
}

bool TranslateWith(Translator* t, const char** with) {
    Level* level = t->level;
    StringInfoData text;
    initStringInfo(&text);
    bool recursive = false;
    bool ok = true;
    foreach_node(CommonTableExpr, expression, level->query->cteList) {
        auto* cte = static_cast<Cte*>(palloc0(sizeof(Cte)));
        cte->name = expression->ctename;
        level->ctes = lappend(level->ctes, cte);
        if (expression->cterefcount == 0) continue;
        cte->alias = psprintf("w%d", ++t->cte_count);
        if (!IsA(expression->ctequery, Query)) {
            ok = Refuse(t, "WITH query that was not analysed");
            continue;
        }
        Query* query = castNode(Query, expression->ctequery);
        StringInfoData body;
        initStringInfo(&body);
        if (expression->cterecursive) {
            recursive = true;
            if (expression->search_clause != nullptr || expression->cycle_clause != nullptr) {
                ok = Refuse(t, "SEARCH or CYCLE clause");
                continue;
            }
            ok = TranslateRecursive(t, query, cte, &body) && ok;
        } else {
            Columns columns;
            if (!TranslateOrFetch(t, query, level, &body, &columns)) {
                ok = false;
                continue;
            }
            cte->columns = columns.items;
            cte->column_count = columns.count;
        }
        appendStringInfo(&text, "%s%s", text.len == 0 ? "" : ", ", cte->alias);
        if (expression->cterecursive) {
            for (int i = 0; i < cte->column_count; i++) appendStringInfo(&text, "%sc%d", i == 0 ? "(" : ", ", i + 1);
            appendStringInfoChar(&text, ')');
        }
        const bool fence = expression->ctematerialized == CTEMaterializeAlways && !expression->cterecursive;
        appendStringInfo(&text, " AS %s(%s)", fence ? "MATERIALIZED " : "", body.data);
    }
    *with = text.len == 0 ? "" : psprintf("WITH %s%s ", recursive ? "RECURSIVE " : "", text.data);
    return ok;
}

// --- DISTINCT, ORDER BY, LIMIT -----------------------------------------------------------------------------------------------------

int ItemOfRef(const Body& body, Index ref) {
    for (int i = 0; i < body.count; i++) {
        if (body.refs[i] == static_cast<int>(ref)) return i;
    }
    elog(ERROR, "sort key %u not found", ref);
}

bool CheckDistinct(Translator* t, const Query* query, const Body& body) {
    foreach_node(SortGroupClause, clause, query->distinctClause) {
        const int item = ItemOfRef(body, clause->tleSortGroupRef);
        const TargetEntry* entry = get_sortgroupclause_tle(clause, query->targetList);
        if (!CheckGroupable(t, body.items[item], body.collations[item], clause->eqop,
                            exprTypmod(reinterpret_cast<Node*>(entry->expr)))) {
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
        foreach_node(SortGroupClause, clause, query->sortClause) {
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
            foreach_node(SortGroupClause, clause, query->distinctClause) {
                appendStringInfo(out, "%s%s.c%d", comma, alias, ItemOfRef(*body, clause->tleSortGroupRef) + 1);
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
    foreach_node(Var, var, source->vars) {
        resno++;
        TargetEntry* entry = makeTargetEntry(reinterpret_cast<Expr*>(copyObjectImpl(var)), resno, psprintf("c%d", resno), false);
        query->targetList = lappend(query->targetList, entry);
    }
    if (query->targetList == NIL) query->targetList = list_make1(OneColumn());
    return query;
}

}  // namespace

Level* PushLevel(Translator* t, Query* query, Level* outer) {
    auto* level = static_cast<Level*>(palloc0(sizeof(Level)));
    level->parent = outer;
    level->query = query;
    level->entries = static_cast<FromEntry*>(palloc0((list_length(query->rtable) + 1) * sizeof(FromEntry)));
    foreach_node(RangeTblEntry, rte, query->rtable) {
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
    ok = ok && (query->setOperations != nullptr ? TranslateSetBody(t, final, &body) : TranslatePlainBody(t, final, &body));
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
    return Mark{list_length(t->mirrors), list_length(t->row_sources), list_length(t->values), list_length(t->reasons), out->len};
}

void ResetToMark(Translator* t, const Mark& mark, StringInfo out) {
    t->mirrors = list_truncate(t->mirrors, mark.mirrors);
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
    foreach_ptr(RowSource, source, t->row_sources) {
        result->row_queries = lappend(result->row_queries, RowQuery(source));
    }
    result->values = t->values;
    for (int i = 0; i < columns.count; i++) {
        const ColumnType type = columns.items[i].rep;
        const int packed = static_cast<int>(type.kind) | type.precision << 8 | type.scale << 16;
        result->result_types = lappend(result->result_types, makeInteger(packed));
    }
    return result;
}

Translation* TranslateInner(Query* query, IsMirrorFn is_mirror, bool sums_are_rescaled, bool* varying_sum) {
    auto* t = static_cast<Translator*>(palloc0(sizeof(Translator)));
    t->is_mirror = is_mirror;
    t->sums_are_rescaled = sums_are_rescaled;
    StringInfoData sql;
    initStringInfo(&sql);
    Columns columns{nullptr, 0};
    bool ok = TranslateSelect(t, query, nullptr, true, &sql, &columns);
    if (ok && columns.count == 0) ok = Refuse(t, "result without columns");
    *varying_sum |= t->varying_sum;
    return Finish(t, ok, sql.data, columns);
}

Translation* TranslateQuery(Query* query, IsMirrorFn is_mirror) {
    bool varying_sum = false;
    return TranslateInner(query, is_mirror, false, &varying_sum);
}

}  // namespace ivy::translate
