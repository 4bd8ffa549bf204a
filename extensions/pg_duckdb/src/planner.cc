// SPDX-License-Identifier: Apache-2.0
//
// Planning of queries on mirrors.
//
// Four levels, the first that fits: the whole SELECT on the engine; its lower part (split); single scans; the row
// tables. The last is also mixed in: mirrors that the engine can't serve in this query are exchanged for their row
// tables before anything else, and the rest is planned around them.
//
// A shipped part of a query is a subquery in the range table that Postgres plans around (shipped_part.h):
// set_rel_pathlist_hook gives it a ColumnarScan as its only path.
#include "planner.h"

#include "columnar_scan.h"
#include "fallback.h"
#include "lake_plan.h"
#include "mirrors.h"
#include "settings.h"
#include "shipped_part.h"
#include "translate/translate.h"

extern "C" {
#include "access/sysattr.h"
#include "access/xlog.h"
#include "catalog/pg_am.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/value.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"
#include "optimizer/planner.h"
#include "optimizer/restrictinfo.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "tcop/tcopprot.h"
}

namespace ivy::duck {

namespace {

using translate::Translation;

planner_hook_type previous_planner;
set_rel_pathlist_hook_type previous_pathlist;

// --- the planning in progress ----------------------------------------------------------------------------------------

Planning* planning;
bool server_only;  // PlanOnServer

PlannedStmt* CallPlanner(::Query* query, const char* text, int options, ParamListInfo params) {
    return previous_planner ? previous_planner(query, text, options, params)
                            : standard_planner(query, text, options, params);
}

PlannedStmt* CallPlannerIn(Planning* context, ::Query* query, const char* text, int options, ParamListInfo params) {
    if (!context && !planning) return CallPlanner(query, text, options, params);
    Planning* const outer = planning;
    PlannedStmt* volatile plan = nullptr;
    planning = context;
    PG_TRY();
    {
        plan = CallPlanner(query, text, options, params);
    }
    PG_FINALLY();
    {
        planning = outer;
    }
    PG_END_TRY();
    return plan;
}

// The plan of a part, which also tells why it is only a part.
ColumnarPlan PartialPlan(PlanLevel level, const Translation* translation, ::Query* fallback_query) {
    ColumnarPlan plan = MakeColumnarPlan(level, translation, fallback_query);
    if (planning) plan.reasons = list_union(plan.reasons, planning->reasons);
    return plan;
}

// --- costs -----------------------------------------------------------------------------------------------------------

// In the planner's unit, a page read in order. A round trip to the engine takes about half a millisecond; it reads tens
// of millions of values a second; a row costs the backend about what a row of any scan does.
constexpr double kStartupCost = 100;
constexpr double kEngineCostPerValue = 0.0001;
constexpr double kEngineShare = 0.05;  // of what the server would pay for the same work
constexpr double kCostPerValue = 0.002;

// "local" are conditions that the server evaluates for each row that it gets.
void SetCosts(PlannerInfo* root, Path* path, double engine_cost, double rows_out, int columns, List* local) {
    QualCost conditions;
    cost_qual_eval(&conditions, local, root);
    path->startup_cost = kStartupCost + engine_cost + conditions.startup;
    path->total_cost =
        path->startup_cost + rows_out * (cpu_tuple_cost + kCostPerValue * columns + conditions.per_tuple);
}

// --- scans of single mirrors -----------------------------------------------------------------------------------------

struct ScanPath {
    Translation* translation;
    List* attributes;  // int list
    List* remote;      // clauses
    List* local;
};

List* AttributesNeeded(RelOptInfo* rel, Oid relid) {
    Bitmapset* members = nullptr;
    pull_varattnos(reinterpret_cast<Node*>(rel->reltarget->exprs), rel->relid, &members);
    ListCell* cell;
    foreach (cell, rel->baserestrictinfo) {
        pull_varattnos(reinterpret_cast<Node*>(lfirst_node(RestrictInfo, cell)->clause), rel->relid, &members);
    }
    const bool whole_row = bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, members);
    List* attributes = NIL;
    Relation relation = table_open(relid, NoLock);
    TupleDesc desc = RelationGetDescr(relation);
    for (int i = 0; i < desc->natts; i++) {
        if (TupleDescAttr(desc, i)->attisdropped) continue;
        const int attribute = i + 1;
        const bool needed = whole_row || bms_is_member(attribute - FirstLowInvalidHeapAttributeNumber, members);
        if (needed) attributes = lappend_int(attributes, attribute);
    }
    table_close(relation, NoLock);
    return attributes;
}

// SELECT attributes FROM the relation WHERE the remote clauses, for the row table.
::Query* ScanAsQuery(const RangeTblEntry* rte, Index rti, List* attributes, List* remote) {
    auto* query = reinterpret_cast<::Query*>(newNode(sizeof(::Query), T_Query));
    query->commandType = CMD_SELECT;
    query->canSetTag = true;

    auto* from = static_cast<RangeTblEntry*>(copyObjectImpl(rte));
    from->perminfoindex = 0;
    from->securityQuals = NIL;
    from->inFromCl = true;
    from->lateral = false;
    query->rtable = list_make1(from);
    addRTEPermissionInfo(&query->rteperminfos, from);  // which asks for nothing
    RangeTblRef* reference = makeNode(RangeTblRef);
    reference->rtindex = 1;

    auto* quals = static_cast<List*>(copyObjectImpl(remote));
    ChangeVarNodes(reinterpret_cast<Node*>(quals), static_cast<int>(rti), 1, 0);
    query->jointree = makeFromExpr(list_make1(reference), reinterpret_cast<Node*>(make_ands_explicit(quals)));
    if (quals == NIL) query->jointree->quals = nullptr;

    int number = 0;
    ListCell* cell;
    foreach (cell, attributes) {
        const auto attribute = static_cast<AttrNumber>(lfirst_int(cell));
        Oid type, collation;
        int32 typmod;
        get_atttypetypmodcoll(rte->relid, attribute, &type, &typmod, &collation);
        Var* var = makeVar(1, attribute, type, typmod, collation, 0);
        TargetEntry* entry =
            makeTargetEntry(reinterpret_cast<Expr*>(var), static_cast<AttrNumber>(++number), nullptr, false);
        query->targetList = lappend(query->targetList, entry);
    }
    if (attributes == NIL) {  // rows are only counted; the engine's result has a column too
        Expr* one = reinterpret_cast<Expr*>(makeBoolConst(true, false));
        query->targetList = list_make1(makeTargetEntry(one, 1, nullptr, false));
    }
    return query;
}

Plan* PlanScan(PlannerInfo* root, RelOptInfo* rel, CustomPath* path, List* target_list, List* clauses, List*) {
    auto* scan = static_cast<ScanPath*>(linitial(path->custom_private));
    const RangeTblEntry* rte = planner_rt_fetch(rel->relid, root);
    // "clauses" is in the planner's order of evaluation.
    List* quals = NIL;
    ListCell* cell;
    foreach (cell, extract_actual_clauses(clauses, false)) {
        if (!list_member_ptr(scan->remote, lfirst(cell))) quals = lappend(quals, lfirst(cell));
    }
    ColumnarPlan plan =
        PartialPlan(PlanLevel::kScan, scan->translation, ScanAsQuery(rte, rel->relid, scan->attributes, scan->remote));
    plan.attributes = scan->attributes;
    return &MakeColumnarScan(plan, scan->translation->values, target_list, quals, NIL, rel->relid)->scan.plan;
}

const CustomPathMethods kScanPathMethods = {
    .CustomName = "ColumnarScan",
    .PlanCustomPath = PlanScan,
    .ReparameterizeCustomPathByChild = nullptr,
};

CustomPath* NewPath(RelOptInfo* rel, const CustomPathMethods* methods, void* private_data) {
    CustomPath* path = makeNode(CustomPath);
    path->path.pathtype = T_CustomScan;
    path->path.parent = rel;
    path->path.pathtarget = rel->reltarget;
    path->path.parallel_safe = false;
    path->path.rows = rel->rows;
    path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
    path->methods = methods;
    path->custom_private = list_make1(private_data);
    return path;
}

// The path takes the place of all others: only the engine has the rows.
void ReplacePaths(RelOptInfo* rel, CustomPath* path) {
    rel->pathlist = NIL;
    rel->partial_pathlist = NIL;
    rel->consider_parallel = false;
    add_path(rel, &path->path);
}

void PlanMirrorScan(PlannerInfo* root, RelOptInfo* rel, const RangeTblEntry* rte) {
    auto* scan = static_cast<ScanPath*>(palloc0(sizeof(ScanPath)));
    scan->attributes = AttributesNeeded(rel, rte->relid);
    // Where row security hides rows, a filter that could tell about them is not for the engine, which keeps no order.
    List* candidates = NIL;
    List* leaky = NIL;
    ListCell* cell;
    foreach (cell, rel->baserestrictinfo) {
        auto* restriction = lfirst_node(RestrictInfo, cell);
        if (restriction->pseudoconstant) continue;
        List** list = restriction_is_securely_promotable(restriction, rel) ? &candidates : &leaky;
        *list = lappend(*list, restriction->clause);
    }
    scan->translation =
        translate::TranslateScan(rel->relid, rte->relid, scan->attributes, candidates, &scan->remote, &scan->local);
    scan->local = list_concat(scan->local, leaky);
    CustomPath* path = NewPath(rel, &kScanPathMethods, scan);
    // Expressions that are computed at the scan may have columns of other relations in them.
    path->path.param_info = get_baserel_parampathinfo(root, rel, rel->lateral_relids);
    if (path->path.param_info) path->path.rows = path->path.param_info->ppi_rows;
    // Without filters of its own the server gets what the scan keeps; the estimate of both is the relation's.
    const double rows_out = scan->local == NIL ? rel->rows : rel->tuples;
    const int columns = list_length(scan->attributes);
    const double engine_cost = rel->tuples * kEngineCostPerValue * Max(columns, 1);
    SetCosts(root, &path->path, engine_cost, rows_out, columns, scan->local);
    ReplacePaths(rel, path);
}

// --- scans of lake functions ------------------------------------------------------------------------------------------

// SELECT columns FROM the function WHERE the remote clauses, for Postgres.
::Query* FunctionScanAsQuery(const RangeTblEntry* rte, Index rti, List* columns, List* remote) {
    auto* query = reinterpret_cast<::Query*>(newNode(sizeof(::Query), T_Query));
    query->commandType = CMD_SELECT;
    query->canSetTag = true;
    auto* from = static_cast<RangeTblEntry*>(copyObjectImpl(rte));
    from->inFromCl = true;
    from->lateral = false;
    query->rtable = list_make1(from);
    RangeTblRef* reference = makeNode(RangeTblRef);
    reference->rtindex = 1;
    auto* quals = static_cast<List*>(copyObjectImpl(remote));
    ChangeVarNodes(reinterpret_cast<Node*>(quals), static_cast<int>(rti), 1, 0);
    Node* condition = quals == NIL ? nullptr : reinterpret_cast<Node*>(make_ands_explicit(quals));
    query->jointree = makeFromExpr(list_make1(reference), condition);
    ListCell* cell;
    foreach (cell, columns) {
        auto* var = static_cast<Var*>(copyObjectImpl(lfirst_node(TargetEntry, cell)->expr));
        var->varno = 1;
        TargetEntry* entry =
            makeTargetEntry(reinterpret_cast<Expr*>(var), lfirst_node(TargetEntry, cell)->resno, nullptr, false);
        query->targetList = lappend(query->targetList, entry);
    }
    if (columns == NIL) {
        Expr* one = reinterpret_cast<Expr*>(makeBoolConst(true, false));
        query->targetList = list_make1(makeTargetEntry(one, 1, nullptr, false));
    }
    return query;
}

struct LakePath {
    Translation* translation;
    const LakeTable* table;
    List* numbers;  // int list: the function's columns that are read
    List* remote;   // clauses
};

Plan* PlanLakePath(PlannerInfo* root, RelOptInfo* rel, CustomPath* path, List* target_list, List* clauses, List*) {
    auto* scan = static_cast<LakePath*>(linitial(path->custom_private));
    const RangeTblEntry* rte = planner_rt_fetch(rel->relid, root);
    List* columns = NIL;
    List* casts = NIL;
    ListCell* cell;
    foreach (cell, scan->numbers) {
        const LakeColumn* column = &scan->table->columns[lfirst_int(cell) - 1];
        const auto number = static_cast<AttrNumber>(list_length(columns) + 1);
        Var* var = makeVar(static_cast<int>(rel->relid), static_cast<AttrNumber>(lfirst_int(cell)), column->type,
                           column->typmod, column->collation, 0);
        columns = lappend(columns, makeTargetEntry(reinterpret_cast<Expr*>(var), number, pstrdup(column->name), false));
        Expr* cast = LakeConversion(column);
        CaseTestExpr* read = makeNode(CaseTestExpr);
        read->typeId = column->read_type;
        read->typeMod = column->read_typmod;
        casts = lappend(casts, cast ? list_make2(read, cast) : nullptr);
    }
    List* quals = NIL;
    foreach (cell, extract_actual_clauses(clauses, false)) {
        if (!list_member_ptr(scan->remote, lfirst(cell))) quals = lappend(quals, lfirst(cell));
    }
    ColumnarPlan plan =
        PartialPlan(PlanLevel::kScan, scan->translation, FunctionScanAsQuery(rte, rel->relid, columns, scan->remote));
    plan.casts = casts;
    return &MakeColumnarScan(plan, scan->translation->values, target_list, quals, columns, 0)->scan.plan;
}

const CustomPathMethods kLakePathMethods = {
    .CustomName = "ColumnarScan",
    .PlanCustomPath = PlanLakePath,
    .ReparameterizeCustomPathByChild = nullptr,
};

// Not for whole rows, which are one value, and not where rows may be fetched again, by that value.
void PlanLakeScan(PlannerInfo* root, RelOptInfo* rel, RangeTblEntry* rte) {
    if (!planning || planning->refetches || execution < kExecutionScan || !bms_is_empty(rel->lateral_relids)) return;
    translate::EngineFunction function;
    const LakeTable* table;
    if (!FindLakeTable(rte, &function, &table)) return;
    Bitmapset* members = nullptr;
    pull_varattnos(reinterpret_cast<Node*>(rel->reltarget->exprs), rel->relid, &members);
    ListCell* cell;
    foreach (cell, rel->baserestrictinfo) {
        pull_varattnos(reinterpret_cast<Node*>(lfirst_node(RestrictInfo, cell)->clause), rel->relid, &members);
    }
    auto* scan = static_cast<LakePath*>(palloc0(sizeof(LakePath)));
    scan->table = table;
    for (int member = -1; (member = bms_next_member(members, member)) >= 0;) {
        const int number = member + FirstLowInvalidHeapAttributeNumber;
        if (number <= 0) return;
        scan->numbers = lappend_int(scan->numbers, number);
    }
    List* local;
    scan->translation =
        translate::TranslateFunctionScan(rel->relid, function, scan->numbers,
                                         extract_actual_clauses(rel->baserestrictinfo, false), &scan->remote, &local);
    CustomPath* path = NewPath(rel, &kLakePathMethods, scan);
    path->path.param_info = nullptr;
    const int columns = list_length(scan->numbers);
    SetCosts(root, &path->path, rel->tuples * kEngineCostPerValue * Max(columns, 1),
             local == NIL ? rel->rows : rel->tuples, columns, local);
    ReplacePaths(rel, path);
}

// --- shipped subqueries ----------------------------------------------------------------------------------------------

Plan* PlanShipped(PlannerInfo*, RelOptInfo* rel, CustomPath* path, List* target_list, List* clauses, List*) {
    auto* part = static_cast<ShippedPart*>(linitial(path->custom_private));
    List* columns = NIL;
    ListCell* cell;
    foreach (cell, part->query->targetList) {
        const auto* entry = lfirst_node(TargetEntry, cell);
        if (entry->resjunk) continue;
        const auto number = static_cast<AttrNumber>(list_length(columns) + 1);
        const auto* expression = reinterpret_cast<const Node*>(entry->expr);
        Var* var = makeVar(static_cast<int>(rel->relid), entry->resno, exprType(expression), exprTypmod(expression),
                           exprCollation(expression), 0);
        columns = lappend(columns, makeTargetEntry(reinterpret_cast<Expr*>(var), number, entry->resname, false));
    }
    const ColumnarPlan plan = PartialPlan(PlanLevel::kSplit, part->translation, part->query);
    List* values = NIL;
    foreach (cell, part->translation->values) {
        values = lappend(values, expression_planner(static_cast<Expr*>(copyObjectImpl(lfirst(cell)))));
    }
    return &MakeColumnarScan(plan, values, target_list, extract_actual_clauses(clauses, false), columns, 0)->scan.plan;
}

const CustomPathMethods kShippedPathMethods = {
    .CustomName = "ColumnarScan",
    .PlanCustomPath = PlanShipped,
    .ReparameterizeCustomPathByChild = nullptr,
};

void PlanShippedPart(PlannerInfo* root, RelOptInfo* rel, ShippedPart* part) {
    CustomPath* path = NewPath(rel, &kShippedPathMethods, part);
    double server_cost = 0;
    ListCell* cell;
    foreach (cell, rel->pathlist) {
        const double cost = static_cast<Path*>(lfirst(cell))->total_cost;
        server_cost = server_cost == 0 ? cost : Min(server_cost, cost);
    }
    // The server gets what the part gives, and evaluates what conditions are left above it.
    const double rows_out = rel->baserestrictinfo == NIL ? rel->rows : Max(rel->tuples, rel->rows);
    SetCosts(root, &path->path, server_cost * kEngineShare, rows_out, list_length(rel->reltarget->exprs),
             rel->baserestrictinfo);
    ReplacePaths(rel, path);
    // Not planned: setrefs.c then takes over the subquery's range table, with its privileges and dependencies.
    rel->subroot = nullptr;
}

void OnPathList(PlannerInfo* root, RelOptInfo* rel, Index rti, RangeTblEntry* rte) {
    if (previous_pathlist) previous_pathlist(root, rel, rti, rte);
    if (IS_DUMMY_REL(rel)) return;
    if (ShippedPart* part = FindShipped(planning, rte)) {
        PlanShippedPart(root, rel, part);
        return;
    }
    if (rte->rtekind == RTE_FUNCTION) {
        PlanLakeScan(root, rel, rte);
        return;
    }
    ColumnRelation relation;
    if (LookupMirror(rte, &relation)) PlanMirrorScan(root, rel, rte);
}

// --- whole queries ---------------------------------------------------------------------------------------------------

// Puts one ColumnarScan in the place of the plan that Postgres made for the query. The range table, the privileges and
// the dependencies of that plan stay.
void ReplacePlan(PlannedStmt* stmt, ::Query* query, Translation* translation, int options) {
    // The columns are described by a range table entry of their own, for EXPLAIN.
    RangeTblEntry* result = makeNode(RangeTblEntry);
    result->rtekind = RTE_RESULT;
    result->eref = makeAlias("columnar", NIL);
    stmt->rtable = lappend(stmt->rtable, result);
    const int result_rti = list_length(stmt->rtable);

    List* columns = NIL;
    List* target_list = NIL;
    ListCell* cell;
    foreach (cell, query->targetList) {
        const auto* entry = lfirst_node(TargetEntry, cell);
        if (entry->resjunk) continue;
        const auto number = static_cast<AttrNumber>(list_length(columns) + 1);
        // As planned, since constant folding may find a typmod that the analysed expression does not show.
        const TargetEntry* planned = get_tle_by_resno(stmt->planTree->targetlist, entry->resno);
        const auto* expression = reinterpret_cast<const Node*>(planned ? planned->expr : entry->expr);
        const Oid type = exprType(expression);
        const int32 typmod = exprTypmod(expression);
        const Oid collation = exprCollation(expression);
        result->eref->colnames =
            lappend(result->eref->colnames, makeString(pstrdup(entry->resname ? entry->resname : "?column?")));
        Var* column = makeVar(result_rti, number, type, typmod, collation, 0);
        columns = lappend(columns, makeTargetEntry(reinterpret_cast<Expr*>(column), number, entry->resname, false));
        Var* output = makeVar(INDEX_VAR, number, type, typmod, collation, 0);
        TargetEntry* target = makeTargetEntry(reinterpret_cast<Expr*>(output), number, entry->resname, false);
        target->resorigtbl = entry->resorigtbl;
        target->resorigcol = entry->resorigcol;
        target_list = lappend(target_list, target);
    }
    List* values = NIL;
    foreach (cell, translation->values) {
        values = lappend(values, expression_planner(static_cast<Expr*>(copyObjectImpl(lfirst(cell)))));
    }
    const ColumnarPlan plan = MakeColumnarPlan(PlanLevel::kWhole, translation, query);
    CustomScan* scan = MakeColumnarScan(plan, values, target_list, NIL, columns, 0);

    Path costs{};
    SetCosts(nullptr, &costs, stmt->planTree->total_cost * kEngineShare, stmt->planTree->plan_rows,
             list_length(columns), NIL);
    Plan* node = &scan->scan.plan;
    node->startup_cost = costs.startup_cost;
    node->total_cost = costs.total_cost;
    node->plan_rows = stmt->planTree->plan_rows;
    node->plan_width = stmt->planTree->plan_width;
    if (options & CURSOR_OPT_SCROLL) node = materialize_finished_plan(node);

    stmt->planTree = node;
    stmt->subplans = NIL;
    stmt->rewindPlanIDs = nullptr;
    stmt->rowMarks = NIL;
    stmt->partPruneInfos = NIL;
    stmt->parallelModeNeeded = false;
    stmt->jitFlags = 0;
}

// --- the hook --------------------------------------------------------------------------------------------------------

bool IsWholeCandidate(const ::Query* query, const MirrorSurvey& survey) {
    return query->commandType == CMD_SELECT && !survey.locks_rows && !survey.modifies && execution >= kExecutionWhole;
}

// Statements that may fetch rows again by their place, after a concurrent update of what they change or lock.
bool RefetchesRows(const ::Query* query, const MirrorSurvey& survey) {
    return query->commandType == CMD_UPDATE || query->commandType == CMD_DELETE || query->commandType == CMD_MERGE ||
           survey.locks_rows || survey.modifies;
}

// The plan of a query that is not shipped whole. Where it would ask the engine once for every row of something, the row
// tables with their indexes may be the cheaper way; the same rows come out of both.
PlannedStmt* PlanInParts(Planning* context, ::Query* query, const MirrorSurvey& survey, const char* text, int options,
                         ParamListInfo params, bool lakes, List** exchanged) {
    const bool has_mirrors = SurveyMirrors(query).mirrors != NIL;
    auto* original = has_mirrors ? static_cast<::Query*>(copyObjectImpl(query)) : nullptr;
    ::Query* shipped = has_mirrors || lakes ? ShipParts(context, query, survey) : query;
    if (context->refetches) WrapMirrors(shipped);
    PlannedStmt* plan = CallPlannerIn(context, shipped, text, options, params);
    if (!has_mirrors || lakes) return plan;
    if (context->shipped == NIL) {
        // Scans of their own, joined and grouped by the server, or queries that do more: whichever is cheaper.
        const auto offer = [&](Planning* other, ::Query* candidate) {
            PlannedStmt* offered = CallPlannerIn(other, candidate, text, options, params);
            if (offered->planTree->total_cost < plan->planTree->total_cost) plan = offered;
        };
        Planning joining{NIL, context->reasons, context->refetches};
        if (::Query* outer = ShipRows(&joining, original, survey)) offer(&joining, outer);
        Planning nested{NIL, context->reasons, context->refetches};
        auto* copy = static_cast<::Query*>(copyObjectImpl(original));
        if (ShipSubqueries(&nested, copy)) {
            if (context->refetches) WrapMirrors(copy);
            offer(&nested, copy);
        }
    }
    if (!fallback || !RepeatsScan(plan)) return plan;
    List* all = ExchangeForRowTables(original, true);
    PlannedStmt* on_rows = CallPlannerIn(nullptr, original, text, options, params);
    if (on_rows->planTree->total_cost >= plan->planTree->total_cost) return plan;
    *exchanged = list_concat(*exchanged, all);
    return on_rows;
}

PlannedStmt* PlanWithEngine(::Query* query, const char* text, int options, ParamListInfo params, bool lakes) {
    const MirrorSurvey survey = SurveyMirrors(query);
    if (survey.mirrors == NIL && !lakes) return CallPlannerIn(nullptr, query, text, options, params);

    List* exchanged = NIL;
    if (survey.mirrors != NIL) {
        exchanged =
            ExchangeForRowTables(query, execution == kExecutionRow || survey.reads_storage || RecoveryInProgress());
    }
    Planning context{};
    context.refetches = RefetchesRows(query, survey);
    PlannedStmt* plan = nullptr;
    Translation* whole = IsWholeCandidate(query, survey) ? TranslateGuarded(query) : nullptr;
    if (whole && whole->ok && UsesEngine(whole)) {
        auto* copy = static_cast<::Query*>(copyObjectImpl(query));
        plan = CallPlannerIn(&context, query, text, options & ~(CURSOR_OPT_SCROLL | CURSOR_OPT_PARALLEL_OK), params);
        ReplacePlan(plan, copy, whole, options);
    } else {
        if (whole) context.reasons = whole->reasons;
        plan = PlanInParts(&context, query, survey, text, options, params, lakes, &exchanged);
    }
    AddExchanged(plan, exchanged);
    ListCell* cell;
    foreach (cell, survey.mirrors) {
        plan->relationOids =
            list_append_unique_oid(plan->relationOids, static_cast<ColumnRelation*>(lfirst(cell))->source);
    }
    return plan;
}

PlannedStmt* PlanQuery(::Query* query, const char* text, int options, ParamListInfo params) {
    const bool lakes = PrepareLakeCalls(query);
    if (server_only) return CallPlannerIn(nullptr, query, text, options, params);
    LakePlanning lake_planning{params, NIL};
    LakePlanning* const outer = EnterLakePlanning(lakes ? &lake_planning : nullptr);
    PlannedStmt* volatile plan = nullptr;
    PG_TRY();
    {
        plan = PlanWithEngine(query, text, options, params, lakes);
    }
    PG_FINALLY();
    {
        EnterLakePlanning(outer);
    }
    PG_END_TRY();
    return plan;
}

}  // namespace

PlannedStmt* PlanOnServer(::Query* query, const char* text, ParamListInfo params) {
    const bool outer = server_only;
    PlannedStmt* volatile plan = nullptr;
    server_only = true;
    PG_TRY();
    {
        plan = pg_plan_query(query, text, CURSOR_OPT_PARALLEL_OK, params);
    }
    PG_FINALLY();
    {
        server_only = outer;
    }
    PG_END_TRY();
    return plan;
}

void InstallPlanner() {
    previous_planner = planner_hook;
    planner_hook = PlanQuery;
    previous_pathlist = set_rel_pathlist_hook;
    set_rel_pathlist_hook = OnPathList;
}

}  // namespace ivy::duck
