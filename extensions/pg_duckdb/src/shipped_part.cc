// SPDX-License-Identifier: Apache-2.0
#include "shipped_part.h"

#include "columnar_query.h"
#include "settings.h"

extern "C" {
#include "access/parallel.h"
#include "access/xact.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
}

namespace ivy::duck {

namespace {

using translate::Translation;

constexpr char kShippedMark[] = "mooncake";

Node* NoOffset() {
    return reinterpret_cast<Node*>(
        makeConst(INT8OID, -1, InvalidOid, sizeof(int64), Int64GetDatum(0), false, FLOAT8PASSBYVAL));
}

void MarkShipped(Planning* context, RangeTblEntry* rte, Translation* translation, ::Query* query) {
    auto* part = static_cast<ShippedPart*>(palloc0(sizeof(ShippedPart)));
    part->translation = translation;
    part->query = static_cast<::Query*>(copyObjectImpl(query));
    // OFFSET 0 keeps the planner from pulling the subquery up and from pushing conditions down into it: what is shipped
    // was translated already, and a condition that moved into it would be lost.
    if (!rte->subquery->limitOffset) rte->subquery->limitOffset = NoOffset();
    rte->enrname = pstrdup(kShippedMark);
    rte->enrtuples = list_length(context->shipped);
    context->shipped = lappend(context->shipped, part);
}

// Runs "translate" and returns NIL, or the reason why it failed: constants are folded on the way, also where the server never
// looks, and one may be an error (a column that nobody reads, say). Other errors go on.
template <typename F>
List* Guarded(F translate) {
    if (IsInParallelMode()) {
        translate();
        return NIL;
    }
    MemoryContext context = CurrentMemoryContext;
    ResourceOwner owner = CurrentResourceOwner;
    List* volatile reasons = NIL;
    BeginInternalSubTransaction(nullptr);
    MemoryContextSwitchTo(context);
    PG_TRY();
    {
        translate();
        ReleaseCurrentSubTransaction();
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(context);
        ErrorData* error = CopyErrorData();
        FlushErrorState();
        RollbackAndReleaseCurrentSubTransaction();
        CurrentResourceOwner = owner;
        if (!IsAboutData(error->sqlerrcode)) ReThrowError(error);
        reasons = list_make1(makeString(error->message));
    }
    PG_END_TRY();
    MemoryContextSwitchTo(context);
    CurrentResourceOwner = owner;
    return reasons;
}

// Marks the inner part of a split. Returns the outer query, or null if there is no split that helps.
::Query* MarkSplit(Planning* context, const translate::Split* split) {
    if (!split || !split->inner->ok || !UsesEngine(split->inner)) return nullptr;
    RangeTblEntry* rte = rt_fetch(split->inner_rti, split->outer->rtable);
    MarkShipped(context, rte, split->inner, rte->subquery);
    return split->outer;
}

::Query* Split(Planning* context, ::Query* query) {
    translate::Split* split = nullptr;
    List* error = Guarded([&] { split = translate::SplitQuery(query, IsUsableMirror); });
    return error == NIL ? MarkSplit(context, split) : nullptr;
}

// The subquery of INSERT ... SELECT, or null.
RangeTblEntry* InsertedSelect(::Query* query) {
    if (query->commandType != CMD_INSERT || !query->jointree) return nullptr;
    if (list_length(query->jointree->fromlist) != 1) return nullptr;
    auto* reference = static_cast<Node*>(linitial(query->jointree->fromlist));
    if (!IsA(reference, RangeTblRef)) return nullptr;
    RangeTblEntry* rte = rt_fetch(reinterpret_cast<RangeTblRef*>(reference)->rtindex, query->rtable);
    return rte->rtekind == RTE_SUBQUERY && !OidIsValid(rte->relid) ? rte : nullptr;
}

// --- subqueries ------------------------------------------------------------------------------------------------------

// Whether anything below refers to a level above the query in which the walk began.
struct OutsideContext {
    int depth;
};

bool RefersOutside(Node* node, void* context) {
    auto* state = static_cast<OutsideContext*>(context);
    if (!node) return false;
    switch (nodeTag(node)) {
        case T_Var: return static_cast<int>(reinterpret_cast<Var*>(node)->varlevelsup) >= state->depth;
        case T_Aggref:
            if (static_cast<int>(reinterpret_cast<Aggref*>(node)->agglevelsup) >= state->depth) return true;
            break;
        case T_GroupingFunc:
            if (static_cast<int>(reinterpret_cast<GroupingFunc*>(node)->agglevelsup) >= state->depth) return true;
            break;
        case T_RangeTblEntry: {
            const auto* rte = reinterpret_cast<RangeTblEntry*>(node);
            return (rte->rtekind == RTE_CTE && static_cast<int>(rte->ctelevelsup) >= state->depth) ||
                   rte->rtekind == RTE_NAMEDTUPLESTORE;
        }
        case T_Query: {
            state->depth++;
            const bool found =
                query_tree_walker(reinterpret_cast<::Query*>(node), RefersOutside, context, QTW_EXAMINE_RTES_BEFORE);
            state->depth--;
            return found;
        }
        default: break;
    }
    return expression_tree_walker(node, RefersOutside, context);
}

// A scan of one relation is as good where it is: conditions around it reach it there.
bool IsScan(const ::Query* query) {
    return !query->hasAggs && !query->hasWindowFuncs && !query->hasSubLinks && query->groupClause == NIL &&
           query->groupingSets == NIL && query->distinctClause == NIL && query->setOperations == nullptr &&
           query->cteList == NIL && query->limitCount == nullptr && query->havingQual == nullptr &&
           list_length(query->rtable) <= 1;
}

Translation* TranslatePart(::Query* query) {
    if (query->commandType != CMD_SELECT || IsScan(query) || SurveyMirrors(query).mirrors == NIL) return nullptr;
    OutsideContext context{0};
    if (RefersOutside(reinterpret_cast<Node*>(query), &context)) return nullptr;
    Translation* translation = TranslateGuarded(query);
    return translation->ok && UsesEngine(translation) ? translation : nullptr;
}

// The type modifier that clients see is that of the simplified expression.
int32 SimplifiedTypmod(const ::Query* query, const Node* expression) {
    auto* node = static_cast<Node*>(copyObjectImpl(expression));
    if (IsA(node, Var)) {
        const RangeTblEntry* rte = rt_fetch(reinterpret_cast<Var*>(node)->varno, query->rtable);
        if (rte->rtekind == RTE_GROUP)
            node = static_cast<Node*>(list_nth(rte->groupexprs, reinterpret_cast<Var*>(node)->varattno - 1));
    }
    return exprTypmod(eval_const_expressions(nullptr, node));
}

// SELECT all columns FROM (query), which is a part: what stands around it may ask for whole rows, which a part doesn't have.
::Query* AroundPart(Planning* context, ::Query* query, Translation* translation) {
    auto* outer = reinterpret_cast<::Query*>(newNode(sizeof(::Query), T_Query));
    outer->commandType = CMD_SELECT;
    outer->canSetTag = true;
    outer->hasRowSecurity = query->hasRowSecurity;
    RangeTblEntry* rte = makeNode(RangeTblEntry);
    rte->rtekind = RTE_SUBQUERY;
    rte->subquery = query;
    rte->eref = makeAlias("mirrors", NIL);
    rte->inFromCl = true;
    AttrNumber number = 0;
    ListCell* cell;
    foreach (cell, query->targetList) {
        const auto* entry = lfirst_node(TargetEntry, cell);
        if (entry->resjunk) continue;
        const auto* expression = reinterpret_cast<const Node*>(entry->expr);
        Var* var = makeVar(1, ++number, exprType(expression), SimplifiedTypmod(query, expression),
                           exprCollation(expression), 0);
        TargetEntry* target = makeTargetEntry(reinterpret_cast<Expr*>(var), number, entry->resname, false);
        outer->targetList = lappend(outer->targetList, target);
        rte->eref->colnames =
            lappend(rte->eref->colnames, makeString(pstrdup(entry->resname ? entry->resname : "?column?")));
    }
    outer->rtable = list_make1(rte);
    RangeTblRef* reference = makeNode(RangeTblRef);
    reference->rtindex = 1;
    outer->jointree = makeFromExpr(list_make1(reference), nullptr);
    MarkShipped(context, rte, translation, query);
    if (context->refetches) outer->limitOffset = NoOffset();  // rows are fetched again from it
    return outer;
}

struct SubqueryContext {
    Planning* planning;
    List* parts;  // Query*: what was shipped, not to be looked at again
};

// The subquery, or a query around it if it was shipped.
::Query* ShipSubquery(SubqueryContext* context, ::Query* query) {
    Translation* translation = TranslatePart(query);
    if (!translation) return nullptr;
    context->parts = lappend(context->parts, query);
    return AroundPart(context->planning, query, translation);
}

bool SubqueryWalker(Node* node, void* walker_context) {
    auto* context = static_cast<SubqueryContext*>(walker_context);
    if (!node) return false;
    if (IsA(node, SubLink)) {
        auto* link = reinterpret_cast<SubLink*>(node);
        if (::Query* around = ShipSubquery(context, reinterpret_cast<::Query*>(link->subselect))) {
            link->subselect = reinterpret_cast<Node*>(around);
            return SubqueryWalker(link->testexpr, walker_context);
        }
    }
    if (IsA(node, CommonTableExpr)) {
        auto* cte = reinterpret_cast<CommonTableExpr*>(node);
        ::Query* around =
            cte->cterecursive ? nullptr : ShipSubquery(context, reinterpret_cast<::Query*>(cte->ctequery));
        if (around) {
            cte->ctequery = reinterpret_cast<Node*>(around);
            return false;
        }
    }
    if (IsA(node, RangeTblEntry)) {
        auto* rte = reinterpret_cast<RangeTblEntry*>(node);
        Translation* translation =
            rte->rtekind == RTE_SUBQUERY && !rte->enrname ? TranslatePart(rte->subquery) : nullptr;
        if (!translation) return false;  // the caller walks on into it
        context->parts = lappend(context->parts, rte->subquery);
        rte->subquery = AroundPart(context->planning, rte->subquery, translation);
        rte->lateral = false;
        return false;
    }
    if (IsA(node, Query)) {
        if (list_member_ptr(context->parts, node)) return false;
        return query_tree_walker(reinterpret_cast<::Query*>(node), SubqueryWalker, walker_context,
                                 QTW_EXAMINE_RTES_BEFORE);
    }
    return expression_tree_walker(node, SubqueryWalker, walker_context);
}

}  // namespace

Translation* TranslateGuarded(::Query* query) {
    Translation* translation = nullptr;
    List* error = Guarded([&] { translation = translate::TranslateQuery(query, IsUsableMirror); });
    if (error == NIL) return translation;
    translation = static_cast<Translation*>(palloc0(sizeof(Translation)));
    translation->reasons = error;
    return translation;
}

ShippedPart* FindShipped(const Planning* planning, const RangeTblEntry* rte) {
    if (!planning || rte->rtekind != RTE_SUBQUERY || !rte->enrname) return nullptr;
    const int i = static_cast<int>(rte->enrtuples);
    return i < list_length(planning->shipped) ? static_cast<ShippedPart*>(list_nth(planning->shipped, i)) : nullptr;
}

::Query* ShipParts(Planning* context, ::Query* query, const MirrorSurvey& survey) {
    if (execution < kExecutionSplit || survey.locks_rows || survey.modifies) return query;
    if (query->commandType == CMD_SELECT) {
        ::Query* outer = Split(context, query);
        return outer ? outer : query;
    }
    if (RangeTblEntry* rte = InsertedSelect(query)) {
        Translation* translation = TranslateGuarded(rte->subquery);
        context->reasons = translation->reasons;
        if (translation->ok && UsesEngine(translation) && execution >= kExecutionWhole) {
            MarkShipped(context, rte, translation, rte->subquery);
        } else if (::Query* outer = Split(context, rte->subquery)) {
            rte->subquery = outer;
        }
    }
    return query;
}

::Query* ShipRows(Planning* context, ::Query* query, const MirrorSurvey& survey) {
    if (query->commandType != CMD_SELECT || execution < kExecutionSplit || survey.locks_rows || survey.modifies)
        return nullptr;
    translate::Split* split = nullptr;
    List* error = Guarded([&] { split = translate::SplitRows(query, IsUsableMirror); });
    return error == NIL ? MarkSplit(context, split) : nullptr;
}

bool ShipSubqueries(Planning* context, ::Query* query) {
    if (execution < kExecutionSplit) return false;
    SubqueryContext walk{context, NIL};
    query_tree_walker(query, SubqueryWalker, &walk, QTW_EXAMINE_RTES_BEFORE);
    return walk.parts != NIL;
}

}  // namespace ivy::duck
