// SPDX-License-Identifier: Apache-2.0
//
// Fallback: a nested executor run. Rows are pulled one by one, as the outer executor asks for them, so that a cursor or
// a LIMIT above costs no more than on the row table. Only a parallel plan runs to its end at once (the server shuts
// workers down when it stops), into a tuplestore.
#include "fallback.h"

#include "columnar_scan.h"
#include "mirrors.h"
#include "planner.h"

extern "C" {
#include "executor/executor.h"
#include "executor/tstoreReceiver.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/datum.h"
#include "utils/tuplestore.h"
}

namespace ivy::duck {

struct FallbackRun {
    QueryDesc* desc;
    Tuplestorestate* store;  // parallel plans only
    TupleTableSlot* slot;    // for rows of the store
};

namespace {

struct ParamContext {
    ExprContext* econtext;
    PlanState* parent;
};

// PARAM_EXEC Params number what the outer plan computes; the nested one has numbers of its own.
Node* ReplaceExecutorParams(Node* node, void* arg) {
    auto* context = static_cast<ParamContext*>(arg);
    if (!node || IsA(node, Query)) return node;
    if (IsA(node, Param) && reinterpret_cast<Param*>(node)->paramkind == PARAM_EXEC) {
        auto* param = reinterpret_cast<Param*>(node);
        ExprState* state = ExecInitExpr(&param->xpr, context->parent);
        bool is_null;
        Datum value = ExecEvalExprSwitchContext(state, context->econtext, &is_null);
        int16 length;
        bool by_value;
        get_typlenbyval(param->paramtype, &length, &by_value);
        if (!is_null) value = datumCopy(value, by_value, length);
        return reinterpret_cast<Node*>(
            makeConst(param->paramtype, param->paramtypmod, param->paramcollid, length, value, is_null, by_value));
    }
    return expression_tree_mutator(node, ReplaceExecutorParams, arg);
}

}  // namespace

FallbackRun* BeginFallback(const ::Query* query, EState* outer, ExprContext* econtext, PlanState* parent) {
    auto* run = static_cast<FallbackRun*>(palloc0(sizeof(FallbackRun)));
    auto* copy = static_cast<::Query*>(copyObjectImpl(query));
    copy->queryId = 0;  // not a statement of its own to what counts statements
    ParamContext params{econtext, parent};
    // Executor parameters occur in the filters of a single scan only, and those have no sub-queries.
    copy->jointree =
        reinterpret_cast<FromExpr*>(ReplaceExecutorParams(reinterpret_cast<Node*>(copy->jointree), &params));
    ExchangeForRowTables(copy, true);
    ClearPermissions(copy);
    PlannedStmt* plan = PlanOnServer(copy, outer->es_sourceText, outer->es_param_list_info);
    const bool store = plan->parallelModeNeeded;
    DestReceiver* dest = None_Receiver;
    if (store) {
        run->store = tuplestore_begin_heap(false, false, work_mem);
        dest = CreateDestReceiver(DestTuplestore);
        SetTuplestoreDestReceiverParams(dest, run->store, CurrentMemoryContext, false, nullptr, nullptr);
    }
    run->desc = CreateQueryDesc(plan, outer->es_sourceText, outer->es_snapshot, nullptr, dest,
                                outer->es_param_list_info, outer->es_queryEnv, 0);
    ExecutorStart(run->desc, 0);
    if (store) {
        ExecutorRun(run->desc, ForwardScanDirection, 0);
        run->slot = MakeSingleTupleTableSlot(run->desc->tupDesc, &TTSOpsMinimalTuple);
        dest->rDestroy(dest);
    }
    return run;
}

TupleTableSlot* NextFallbackRow(FallbackRun* run) {
    if (run->store) return tuplestore_gettupleslot(run->store, true, false, run->slot) ? run->slot : nullptr;
    EState* estate = run->desc->estate;
    MemoryContext before = MemoryContextSwitchTo(estate->es_query_cxt);
    ResetPerTupleExprContext(estate);
    TupleTableSlot* slot = ExecProcNode(run->desc->planstate);
    if (TupIsNull(slot)) {
        slot = nullptr;
    } else if (estate->es_junkFilter) {
        slot = ExecFilterJunk(estate->es_junkFilter, slot);
    }
    MemoryContextSwitchTo(before);
    return slot;
}

void EndFallback(FallbackRun* run) {
    if (run->slot) ExecDropSingleTupleTableSlot(run->slot);
    if (run->store) tuplestore_end(run->store);
    ExecutorFinish(run->desc);
    ExecutorEnd(run->desc);
    FreeQueryDesc(run->desc);
    run->desc = nullptr;
}

namespace {

bool RepeatsScan(const Plan* plan, bool repeated) {
    if (!plan) return false;
    repeated = repeated || !bms_is_empty(plan->extParam);
    if (IsA(plan, CustomScan)) {
        return repeated && reinterpret_cast<const CustomScan*>(plan)->methods == &columnar_scan_methods;
    }
    if (RepeatsScan(plan->lefttree, repeated) || RepeatsScan(plan->righttree, repeated)) return true;
    List* more = NIL;
    if (IsA(plan, Append)) more = reinterpret_cast<const Append*>(plan)->appendplans;
    if (IsA(plan, MergeAppend)) more = reinterpret_cast<const MergeAppend*>(plan)->mergeplans;
    if (IsA(plan, SubqueryScan)) return RepeatsScan(reinterpret_cast<const SubqueryScan*>(plan)->subplan, repeated);
    ListCell* cell;
    foreach (cell, more) {
        if (RepeatsScan(static_cast<Plan*>(lfirst(cell)), repeated)) return true;
    }
    return false;
}

}  // namespace

bool RepeatsScan(const PlannedStmt* plan) {
    ListCell* cell;
    foreach (cell, plan->subplans) {
        if (RepeatsScan(static_cast<Plan*>(lfirst(cell)), false)) return true;
    }
    return RepeatsScan(plan->planTree, false);
}

}  // namespace ivy::duck
