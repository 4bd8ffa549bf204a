// SPDX-License-Identifier: Apache-2.0
//
// The two-level form: what can't be shipped is only above FROM, WHERE and GROUP BY.
//
//   grouped      inner: the groups and their aggregates            outer: target list, HAVING, DISTINCT, ORDER BY, LIMIT...
//   set          inner: the set operation                          outer: ORDER BY, LIMIT
//   other        inner: the columns needed, joined and filtered    outer: the rest
//   rows         the same also for a grouped query, and for one with conditions that can't be shipped: those of WHERE and
//                of inner joins are evaluated above as well. It may move more rows than scans of their own would.
#include "translate/translator.h"

extern "C" {
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
}

namespace ivy::translate {

namespace {

struct Splitter {
    Query* query;
    List* inner_targets;  // TargetEntry
    bool grouped;
    bool keeps_aggregates;  // they are computed above
    int sublevels_up;
    bool failed;
};

constexpr Index kInnerRti = 1;

// The Var in the outer query for an expression that the inner one computes.
Expr* InnerColumn(Splitter* s, Expr* expression) {
    AttrNumber resno = 0;
    const TargetEntry* found = nullptr;
    foreach_node (TargetEntry, entry, s->inner_targets) {
        resno++;
        if (equal(entry->expr, expression)) {
            found = entry;
            break;
        }
    }
    if (found == nullptr) {
        resno = static_cast<AttrNumber>(list_length(s->inner_targets) + 1);
        auto* copy = static_cast<Expr*>(copyObjectImpl(expression));
        s->inner_targets = lappend(s->inner_targets, makeTargetEntry(copy, resno, psprintf("c%d", resno), false));
    }
    // The type modifier that clients see is that of the simplified expression.
    auto* node = reinterpret_cast<Node*>(expression);
    Node* simplified = node;
    if (IsA(node, Var)) {
        const auto* inner = castNode(Var, node);
        const RangeTblEntry* rte = rt_fetch(inner->varno, s->query->rtable);
        if (rte->rtekind == RTE_GROUP) simplified = static_cast<Node*>(list_nth(rte->groupexprs, inner->varattno - 1));
    }
    simplified = eval_const_expressions(nullptr, simplified);
    Var* var = makeVar(kInnerRti, resno, exprType(node), exprTypmod(simplified), exprCollation(node),
                       static_cast<Index>(s->sublevels_up));
    return reinterpret_cast<Expr*>(var);
}

// Moves what the inner query computes out of an expression of the outer one.
Node* SplitMutator(Node* node, void* context) {
    auto* s = static_cast<Splitter*>(context);
    if (node == nullptr) return nullptr;
    switch (nodeTag(node)) {
        case T_Aggref: {
            auto* aggregate = castNode(Aggref, node);
            if (s->keeps_aggregates && aggregate->agglevelsup == 0 && s->sublevels_up == 0) break;
            if (static_cast<int>(aggregate->agglevelsup) == s->sublevels_up && s->sublevels_up == 0) {
                return reinterpret_cast<Node*>(InnerColumn(s, reinterpret_cast<Expr*>(aggregate)));
            }
            if (static_cast<int>(aggregate->agglevelsup) >= s->sublevels_up) {
                s->failed = true;
                return node;
            }
            break;
        }
        case T_GroupingFunc:
            if (s->keeps_aggregates) {
                s->failed = true;
                return node;
            }
            if (s->sublevels_up == 0) return reinterpret_cast<Node*>(InnerColumn(s, reinterpret_cast<Expr*>(node)));
            if (static_cast<int>(castNode(GroupingFunc, node)->agglevelsup) >= s->sublevels_up) s->failed = true;
            return node;
        case T_Var: {
            auto* var = castNode(Var, node);
            if (static_cast<int>(var->varlevelsup) < s->sublevels_up) return node;
            if (static_cast<int>(var->varlevelsup) > s->sublevels_up || var->varattno <= 0) {
                s->failed = true;
                return node;
            }
            auto* own = static_cast<Var*>(copyObjectImpl(var));
            own->varlevelsup = 0;
            return reinterpret_cast<Node*>(InnerColumn(s, reinterpret_cast<Expr*>(own)));
        }
        case T_RangeTblEntry: break;
        case T_Query: {
            s->sublevels_up++;
            Query* result = query_tree_mutator(castNode(Query, node), SplitMutator, context, 0);
            s->sublevels_up--;
            return reinterpret_cast<Node*>(result);
        }
        default: break;
    }
    return expression_tree_mutator(node, SplitMutator, context);
}

Query* MakeInner(const Splitter* s, bool with_having) {
    auto* inner = static_cast<Query*>(copyObjectImpl(s->query));
    inner->targetList = static_cast<List*>(copyObjectImpl(s->inner_targets));
    if (!with_having) inner->havingQual = nullptr;
    inner->windowClause = NIL;
    inner->hasWindowFuncs = false;
    inner->distinctClause = NIL;
    inner->hasDistinctOn = false;
    inner->sortClause = NIL;
    inner->limitOffset = nullptr;
    inner->limitCount = nullptr;
    inner->limitOption = LIMIT_OPTION_COUNT;
    inner->hasTargetSRFs = false;
    if (!s->grouped) return inner;
    // Group clauses name target entries: those of the grouping step's columns.
    int index = 0;
    foreach_node (SortGroupClause, clause, inner->groupClause) {
        index++;
        TargetEntry* found = nullptr;
        foreach_node (TargetEntry, entry, inner->targetList) {
            if (!IsA(entry->expr, Var)) continue;
            const auto* var = castNode(Var, entry->expr);
            const RangeTblEntry* rte = rt_fetch(var->varno, inner->rtable);
            if (rte->rtekind == RTE_GROUP && var->varattno == index) found = entry;
        }
        if (found == nullptr) {
            const TargetEntry* original = get_sortgroupref_tle(clause->tleSortGroupRef, s->query->targetList);
            const auto resno = static_cast<AttrNumber>(list_length(inner->targetList) + 1);
            found = makeTargetEntry(static_cast<Expr*>(copyObjectImpl(original->expr)), resno, psprintf("c%d", resno),
                                    true);
            inner->targetList = lappend(inner->targetList, found);
        }
        found->ressortgroupref = clause->tleSortGroupRef;
    }
    return inner;
}

Query* MakeOuter(Splitter* s, Query* inner, bool with_having) {
    const Query* query = s->query;
    auto* outer = makeNode(Query);
    outer->commandType = CMD_SELECT;
    outer->querySource = query->querySource;
    outer->queryId = query->queryId;
    outer->canSetTag = query->canSetTag;
    outer->stmt_location = query->stmt_location;
    outer->stmt_len = query->stmt_len;
    outer->hasWindowFuncs = query->hasWindowFuncs;
    outer->hasTargetSRFs = query->hasTargetSRFs;
    outer->hasDistinctOn = query->hasDistinctOn;
    outer->hasRowSecurity = query->hasRowSecurity;

    auto* rte = makeNode(RangeTblEntry);
    List* names = NIL;
    foreach_node (TargetEntry, entry, inner->targetList) {
        if (!entry->resjunk) names = lappend(names, makeString(pstrdup(entry->resname)));
    }
    rte->rtekind = RTE_SUBQUERY;
    rte->subquery = inner;
    rte->eref = makeAlias("mirrors", names);
    rte->inFromCl = true;
    outer->rtable = list_make1(rte);
    auto* ref = makeNode(RangeTblRef);
    ref->rtindex = kInnerRti;

    Node* having = nullptr;
    if (s->grouped && !with_having) having = SplitMutator(query->havingQual, s);
    outer->jointree = makeFromExpr(list_make1(ref), having);
    outer->targetList = reinterpret_cast<List*>(SplitMutator(reinterpret_cast<Node*>(query->targetList), s));
    outer->windowClause = reinterpret_cast<List*>(SplitMutator(reinterpret_cast<Node*>(query->windowClause), s));
    outer->distinctClause = static_cast<List*>(copyObjectImpl(query->distinctClause));
    outer->sortClause = static_cast<List*>(copyObjectImpl(query->sortClause));
    outer->limitOffset = SplitMutator(query->limitOffset, s);
    outer->limitCount = SplitMutator(query->limitCount, s);
    outer->limitOption = query->limitOption;
    outer->hasSubLinks = query->hasSubLinks && (checkExprHasSubLink(reinterpret_cast<Node*>(outer->targetList)) ||
                                                checkExprHasSubLink(having) || checkExprHasSubLink(outer->limitCount) ||
                                                checkExprHasSubLink(outer->limitOffset));
    return outer;
}

bool HasSubqueryBelow(const Query* query) {
    return query->hasSubLinks && checkExprHasSubLink(reinterpret_cast<Node*>(query->jointree));
}

// Whether scans of its own for each mirror would do as well as an inner query that only joins nothing.
bool IsSingleScan(const Query* query) {
    if (list_length(query->jointree->fromlist) != 1 || !IsA(linitial(query->jointree->fromlist), RangeTblRef))
        return false;
    const RangeTblEntry* rte =
        rt_fetch(castNode(RangeTblRef, linitial(query->jointree->fromlist))->rtindex, query->rtable);
    return (rte->rtekind == RTE_RELATION || rte->rtekind == RTE_FUNCTION) && !HasSubqueryBelow(query);
}

// Puts the inner query in its place and translates it.
Split* Join(Query* outer, Query* inner, IsMirrorFn is_mirror) {
    auto* rte = castNode(RangeTblEntry, linitial(outer->rtable));
    rte->subquery = inner;
    rte->eref->colnames = NIL;
    foreach_node (TargetEntry, entry, inner->targetList) {
        if (!entry->resjunk) rte->eref->colnames = lappend(rte->eref->colnames, makeString(pstrdup(entry->resname)));
    }
    Translation* translation = TranslateQuery(inner, is_mirror);
    if (!translation->ok) return nullptr;
    auto* split = static_cast<Split*>(palloc0(sizeof(Split)));
    split->outer = outer;
    split->inner_rti = kInnerRti;
    split->inner = translation;
    return split;
}

// A query without any columns needs one.
void AddColumnIfNone(Splitter* s) {
    if (s->inner_targets != NIL) return;
    InnerColumn(s, reinterpret_cast<Expr*>(makeConst(INT4OID, -1, InvalidOid, 4, Int32GetDatum(1), false, true)));
}

Split* TrySplit(Query* query, IsMirrorFn is_mirror, bool having_below) {
    Splitter s{};
    s.query = query;
    s.grouped =
        query->hasAggs || query->groupClause != NIL || query->groupingSets != NIL || query->havingQual != nullptr;

    // A set operation's columns keep their places.
    if (query->setOperations != nullptr) {
        s.inner_targets = static_cast<List*>(copyObjectImpl(query->targetList));
        foreach_node (TargetEntry, entry, s.inner_targets) entry->ressortgroupref = 0;
    }

    // The outer query first: it tells what the inner one must compute.
    auto* placeholder = makeNode(Query);
    Query* outer = MakeOuter(&s, placeholder, having_below);
    if (s.failed) return nullptr;
    // Subqueries that stay above may not refer to what goes below.
    if (outer->hasSubLinks && query->cteList != NIL) return nullptr;
    AddColumnIfNone(&s);
    return Join(outer, MakeInner(&s, having_below), is_mirror);
}

// --- the form "rows" -----------------------------------------------------------------------------------------------------

// Moves the conditions of inner joins that stand below no outer join into a list, from where they are as good.
void TakeInnerConditions(Node* item, List** conditions) {
    if (!IsA(item, JoinExpr)) return;
    auto* join = castNode(JoinExpr, item);
    if (join->jointype != JOIN_INNER) return;
    *conditions = list_concat(*conditions, make_ands_implicit(reinterpret_cast<Expr*>(join->quals)));
    join->quals = nullptr;
    TakeInnerConditions(join->larg, conditions);
    TakeInnerConditions(join->rarg, conditions);
}

// SELECT 1 FROM what the query reads WHERE the conditions.
bool Ships(const Query* query, List* conditions, IsMirrorFn is_mirror) {
    auto* probe = static_cast<Query*>(copyObjectImpl(query));
    probe->targetList = list_make1(
        makeTargetEntry(reinterpret_cast<Expr*>(makeConst(INT4OID, -1, InvalidOid, 4, Int32GetDatum(1), false, true)),
                        1, pstrdup("c1"), false));
    probe->jointree->quals =
        conditions == NIL ? nullptr
                          : reinterpret_cast<Node*>(make_ands_explicit(static_cast<List*>(copyObjectImpl(conditions))));
    const Translation* translation = TranslateQuery(probe, is_mirror);
    return translation->ok && translation->mirrors != NIL;
}

// FROM and WHERE of a query, with nothing above.
Query* RowsOf(const Query* query) {
    auto* rows = static_cast<Query*>(copyObjectImpl(query));
    rows->hasAggs = rows->hasWindowFuncs = rows->hasTargetSRFs = rows->hasDistinctOn = false;
    rows->groupClause = rows->windowClause = rows->distinctClause = rows->sortClause = NIL;
    rows->havingQual = rows->limitOffset = rows->limitCount = nullptr;
    rows->limitOption = LIMIT_OPTION_COUNT;
    rows->hasGroupRTE = false;
    foreach_node (RangeTblEntry, rte, rows->rtable) {
        if (rte->rtekind != RTE_GROUP) continue;
        RangeTblEntry* nothing = makeNode(RangeTblEntry);
        nothing->rtekind = RTE_RESULT;
        nothing->eref = makeAlias("*RESULT*", NIL);
        *rte = *nothing;
    }
    return rows;
}

}  // namespace

Split* SplitQuery(Query* query, IsMirrorFn is_mirror) {
    if (query->commandType != CMD_SELECT || query->hasModifyingCTE || query->rowMarks != NIL) return nullptr;
    const bool grouped =
        query->hasAggs || query->groupClause != NIL || query->groupingSets != NIL || query->havingQual != nullptr;
    if (!grouped && query->setOperations == nullptr && IsSingleScan(query)) return nullptr;
    // HAVING below leaves fewer groups to read.
    if (query->havingQual != nullptr) {
        if (Split* split = TrySplit(query, is_mirror, true)) return split;
    }
    return TrySplit(query, is_mirror, false);
}

Split* SplitRows(Query* original, IsMirrorFn is_mirror) {
    // Above the inner query, grouping sets would need the planner's own step for groups.
    if (original->commandType != CMD_SELECT || original->hasModifyingCTE || original->rowMarks != NIL ||
        original->setOperations != nullptr || original->groupingSets != NIL || IsSingleScan(original)) {
        return nullptr;
    }
    auto* query = static_cast<Query*>(copyObjectImpl(original));
    if (query->hasGroupRTE) {
        query->targetList =
            reinterpret_cast<List*>(flatten_group_exprs(nullptr, query, reinterpret_cast<Node*>(query->targetList)));
        query->havingQual = flatten_group_exprs(nullptr, query, query->havingQual);
    }
    List* conditions = make_ands_implicit(reinterpret_cast<Expr*>(query->jointree->quals));
    foreach_ptr (Node, item, query->jointree->fromlist) TakeInnerConditions(item, &conditions);
    query->jointree->quals = nullptr;

    Query* inner = RowsOf(query);
    if (!Ships(inner, NIL, is_mirror)) return nullptr;
    List* below = NIL;
    List* above = NIL;
    foreach_ptr (Node, condition, conditions) {
        List** side = Ships(inner, list_make1(condition), is_mirror) ? &below : &above;
        *side = lappend(*side, condition);
    }

    Splitter s{};
    s.query = query;
    s.keeps_aggregates = true;
    Query* outer = MakeOuter(&s, makeNode(Query), true);
    outer->hasAggs = query->hasAggs;
    outer->groupClause = static_cast<List*>(copyObjectImpl(query->groupClause));
    outer->groupDistinct = query->groupDistinct;
    outer->havingQual = SplitMutator(query->havingQual, &s);
    outer->jointree->quals =
        SplitMutator(above == NIL ? nullptr : reinterpret_cast<Node*>(make_ands_explicit(above)), &s);
    outer->hasSubLinks =
        outer->hasSubLinks ||
        (query->hasSubLinks && (checkExprHasSubLink(outer->havingQual) || checkExprHasSubLink(outer->jointree->quals)));
    if (s.failed || (outer->hasSubLinks && query->cteList != NIL)) return nullptr;
    AddColumnIfNone(&s);
    inner->targetList = s.inner_targets;
    inner->jointree->quals = below == NIL ? nullptr : reinterpret_cast<Node*>(make_ands_explicit(below));
    return Join(outer, inner, is_mirror);
}

}  // namespace ivy::translate
