// SPDX-License-Identifier: Apache-2.0
// ColumnarScan: execution. No C++ object lives in a frame here; those of EngineQuery belong to run_context.
#include "columnar_scan.h"

#include "columnar_query.h"
#include "settings.h"
#include "types/type_map.h"

extern "C" {
#include "executor/executor.h"
#include "nodes/extensible.h"
#include "nodes/nodeFuncs.h"
#include "storage/lmgr.h"
}

namespace ivy::duck {

namespace {

ColumnarScanState* State(CustomScanState* node) { return reinterpret_cast<ColumnarScanState*>(node); }
EState* Estate(ColumnarScanState* state) { return state->css.ss.ps.state; }

// Adds what the engine told at the end to what EXPLAIN ANALYZE shows, once a run.
void TakeSummary(ColumnarScanState* state) {
    const EngineQuery& engine = state->engine;
    if (!engine.complete || state->summary_taken) return;
    state->summary_taken = true;
    state->summaries++;
    state->freshness_wait_us += engine.freshness_wait_us;
    state->file_rows += engine.file_rows;
    state->delta_rows += engine.delta_rows;
    state->files = engine.files;
    if (engine.plan) state->profile = MemoryContextStrdup(Estate(state)->es_query_cxt, engine.plan);
}

[[noreturn]] void RaiseFailure(const EngineFailure& failure) {
    if (failure.unavailable == Unavailable::kNo || failure.unavailable == Unavailable::kFailed) {
        pg::RaiseCaptured(failure.error);
    }
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("columnstore mirror can't serve this query: %s",
                           failure.error.message ? failure.error.message : "unknown reason"),
                    failure.error.detail ? errdetail_internal("%s", failure.error.detail) : 0,
                    errhint("Set \"mooncake.fallback\" to on to let such queries run on the row table.")));
    pg_unreachable();
}

// After rows were returned the row table can't take over.
[[noreturn]] void RaiseLateFailure(const EngineFailure& failure) {
    if (failure.unavailable == Unavailable::kNo || failure.unavailable == Unavailable::kFailed) {
        pg::RaiseCaptured(failure.error);
    }
    ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
                    errmsg("the columnar engine failed while it returned rows: %s",
                           failure.error.message ? failure.error.message : "unknown reason"),
                    errhint("Run the query again.")));
    pg_unreachable();
}

// Whether Postgres would meet the same error on the files.
bool IsFileError(const EngineFailure& failure) {
    const char* sqlstate = failure.error.sqlstate;
    return failure.unavailable == Unavailable::kNo || strncmp(sqlstate, "58", 2) == 0 ||
           strncmp(sqlstate, "08", 2) == 0;
}

void StartFallback(ColumnarScanState* state) {
    const EngineFailure& failure = state->engine.failure;
    if (state->plan.mirrors != NIL && !fallback) RaiseFailure(failure);
    if (state->plan.mirrors == NIL && IsFileError(failure)) RaiseFailure(failure);
    CloseEngineQuery(&state->engine);
    state->fallback_runs++;
    if (failure.error.message) {
        state->fallback_reason = MemoryContextStrdup(Estate(state)->es_query_cxt, failure.error.message);
    }
    elog(DEBUG1, "columnar scan runs on the row table: %s", state->fallback_reason ? state->fallback_reason : "");
    state->fallback =
        BeginFallback(state->plan.fallback, Estate(state), state->css.ss.ps.ps_ExprContext, &state->css.ss.ps);
}

void InitReaders(ColumnarScanState* state) {
    if (state->readers) return;
    const int count = list_length(state->plan.result_types);
    TupleDesc desc = state->css.ss.ss_ScanTupleSlot->tts_tupleDescriptor;
    MemoryContext before = MemoryContextSwitchTo(Estate(state)->es_query_cxt);
    auto* readers = static_cast<types::DatumReader*>(palloc0(sizeof(types::DatumReader) * Max(count, 1)));
    for (int i = 0; i < count; i++) {
        const int column = state->slot_column[i];
        if (column < 0) continue;
        const FormData_pg_attribute* attribute = TupleDescAttr(desc, column);
        Oid type = attribute->atttypid;
        int32 typmod = attribute->atttypmod;
        if (i < list_length(state->plan.casts) && list_nth(state->plan.casts, i)) {
            auto* cast = static_cast<List*>(list_nth(state->plan.casts, i));
            type = linitial_node(CaseTestExpr, cast)->typeId;
            typmod = linitial_node(CaseTestExpr, cast)->typeMod;
            if (!state->casts) state->casts = static_cast<ExprState**>(palloc0(sizeof(ExprState*) * count));
            state->casts[i] = ExecInitExpr(static_cast<Expr*>(lsecond(cast)), &state->css.ss.ps);
        }
        types::InitDatumReader(&readers[i], type, typmod,
                               UnpackType(static_cast<const Node*>(list_nth(state->plan.result_types, i))));
    }
    state->readers = readers;
    MemoryContextSwitchTo(before);
}

void Start(ColumnarScanState* state) {
    MemoryContext before = MemoryContextSwitchTo(state->run_context);
    state->started = true;
    state->runs++;
    state->engine = EngineQuery{};
    const char* reason = nullptr;
    if (!MayServe(state, &reason)) {
        SetFailure(&state->engine, Unavailable::kNotReady, reason);
        StartFallback(state);
    } else {
        InitReaders(state);
        RegisterReads(state);
        const QueryMode mode = state->css.ss.ps.instrument ? QueryMode::kProfile : QueryMode::kExecute;
        if (!AskEngine(state, mode, LsnToAwait(state), nullptr)) {
            StartFallback(state);
        } else {
            TakeSummary(state);
            if (!state->engine.complete && fallback && state->plan.mirrors != NIL) {
                state->delivered = TrackRows(state->run_context, state->css.ss.ss_ScanTupleSlot->tts_tupleDescriptor,
                                             state->slot_column, list_length(state->plan.result_types));
            }
        }
    }
    MemoryContextSwitchTo(before);
}

// After rows were returned: the row table takes over if they are known, and the rest comes from there.
void TakeOver(ColumnarScanState* state) {
    CHECK_FOR_INTERRUPTS();
    if (!state->delivered) RaiseLateFailure(state->engine.failure);
    MemoryContext before = MemoryContextSwitchTo(state->run_context);
    state->late_failure = state->engine.failure;
    StartFallback(state);
    MemoryContextSwitchTo(before);
}

enum class Chunk { kRows, kEnd, kFailed };

// Moves to the next chunk with rows.
Chunk NextChunk(ColumnarScanState* state) {
    MemoryContext before = MemoryContextSwitchTo(state->run_context);
    state->row = 0;
    const bool received = NextEngineChunk(&state->engine);
    MemoryContextSwitchTo(before);
    if (!received) return Chunk::kFailed;
    TakeSummary(state);
    return state->engine.done ? Chunk::kEnd : Chunk::kRows;
}

struct CastPosition {
    const char* column;
};

void DescribeCast(void* arg) { errcontext("column \"%s\" of a file", static_cast<CastPosition*>(arg)->column); }

// Casts a value of the slot from what the file holds to the column's type.
void Cast(ColumnarScanState* state, int i, int column) {
    TupleTableSlot* slot = state->css.ss.ss_ScanTupleSlot;
    CastPosition position{NameStr(TupleDescAttr(slot->tts_tupleDescriptor, column)->attname)};
    ErrorContextCallback callback{error_context_stack, DescribeCast, &position};
    error_context_stack = &callback;
    ExprContext* econtext = state->css.ss.ps.ps_ExprContext;
    econtext->caseValue_datum = slot->tts_values[column];
    econtext->caseValue_isNull = slot->tts_isnull[column];
    slot->tts_values[column] = ExecEvalExpr(state->casts[i], econtext, &slot->tts_isnull[column]);
    error_context_stack = callback.previous;
}

TupleTableSlot* StoreEngineRow(ColumnarScanState* state) {
    TupleTableSlot* slot = state->css.ss.ss_ScanTupleSlot;
    ExecClearTuple(slot);
    const int natts = slot->tts_tupleDescriptor->natts;
    const int count = list_length(state->plan.result_types);
    if (count != natts) memset(slot->tts_isnull, true, sizeof(bool) * natts);
    MemoryContext before = MemoryContextSwitchTo(state->css.ss.ps.ps_ExprContext->ecxt_per_tuple_memory);
    for (int i = 0; i < count; i++) {
        const int column = state->slot_column[i];
        if (column < 0) continue;
        const ColumnView* view = EngineColumn(&state->engine, i);
        slot->tts_isnull[column] = view->IsNull(state->row);
        types::DatumReader* reader = &state->readers[i];
        if (!slot->tts_isnull[column]) slot->tts_values[column] = reader->read(reader, view, state->row);
        if (state->casts && state->casts[i]) Cast(state, i, column);
    }
    MemoryContextSwitchTo(before);
    state->row++;
    if (state->delivered && !RememberRow(state->delivered, slot)) state->delivered = nullptr;
    return ExecStoreVirtualTuple(slot);
}

TupleTableSlot* StoreFallbackRow(ColumnarScanState* state) {
    TupleTableSlot* slot = state->css.ss.ss_ScanTupleSlot;
    for (;;) {
        ExecClearTuple(slot);
        TupleTableSlot* row = NextFallbackRow(state->fallback);
        if (!row) break;
        slot_getallattrs(row);
        memset(slot->tts_isnull, true, sizeof(bool) * slot->tts_tupleDescriptor->natts);
        for (int i = 0; i < list_length(state->plan.result_types); i++) {
            const int column = state->slot_column[i];
            if (column < 0) continue;
            slot->tts_values[column] = row->tts_values[i];
            slot->tts_isnull[column] = row->tts_isnull[i];
        }
        if (!state->delivered || !WasDelivered(state->delivered, slot)) return ExecStoreVirtualTuple(slot);
    }
    // Rows that the row table doesn't have were taken for others, or stand for one of several right answers.
    if (state->delivered && RowsNotSeenAgain(state->delivered) > 0) RaiseLateFailure(state->late_failure);
    return nullptr;
}

// The scan's access method: the next row in the scan slot, or null.
TupleTableSlot* NextRow(ScanState* node) {
    auto* state = reinterpret_cast<ColumnarScanState*>(node);
    if (!state->started) Start(state);
    if (state->fallback) return StoreFallbackRow(state);
    if (state->row < state->engine.rows) return StoreEngineRow(state);
    switch (state->engine.done ? Chunk::kEnd : NextChunk(state)) {
        case Chunk::kRows: return StoreEngineRow(state);
        case Chunk::kEnd: return nullptr;
        case Chunk::kFailed: break;
    }
    TakeOver(state);
    return StoreFallbackRow(state);
}

bool Recheck(ScanState*, TupleTableSlot*) { return true; }

void EndRun(ColumnarScanState* state) {
    CloseEngineQuery(&state->engine);
    if (state->fallback) EndFallback(state->fallback);
    state->fallback = nullptr;
    state->delivered = nullptr;
    state->started = state->summary_taken = false;
    state->row = 0;
    state->engine = EngineQuery{};
}

// What evaluating expressions takes besides looking values up.
struct Effort {
    bool computes;
    Bitmapset* params;  // the plan's own parameters, whose values come from other parts of the plan
};

bool EffortWalker(Node* node, void* context) {
    auto* effort = static_cast<Effort*>(context);
    if (!node) return false;
    if (IsA(node, Param) && reinterpret_cast<Param*>(node)->paramkind == PARAM_EXEC) {
        effort->params = bms_add_member(effort->params, reinterpret_cast<Param*>(node)->paramid);
        return false;
    }
    if (!IsA(node, Param) && !IsA(node, Const) && !IsA(node, List) && !IsA(node, SQLValueFunction))
        effort->computes = true;
    return expression_tree_walker(node, EffortWalker, context);
}

// --- callbacks -------------------------------------------------------------------------------------------------------

void begin_custom_scan(CustomScanState* node, EState* estate, int eflags) {
    ColumnarScanState* state = State(node);
    auto* plan = reinterpret_cast<CustomScan*>(node->ss.ps.plan);
    state->plan = UnpackPlan(plan->custom_private);
    state->values = ExecInitExprList(plan->custom_exprs, &node->ss.ps);
    Effort effort{state->plan.row_queries != NIL, nullptr};
    EffortWalker(reinterpret_cast<Node*>(plan->custom_exprs), &effort);
    state->may_raise = effort.computes;
    state->params = effort.params;
    state->run_context = AllocSetContextCreate(estate->es_query_cxt, "columnar scan", ALLOCSET_DEFAULT_SIZES);

    const int count = list_length(state->plan.result_types);
    state->slot_column = static_cast<int*>(palloc(sizeof(int) * Max(count, 1)));
    for (int i = 0; i < count; i++) {
        if (state->plan.level != PlanLevel::kScan || i < list_length(plan->custom_scan_tlist)) {
            state->slot_column[i] = i;
        } else if (i < list_length(state->plan.attributes)) {
            state->slot_column[i] = list_nth_int(state->plan.attributes, i) - 1;
        } else {
            state->slot_column[i] = -1;  // a scan that only counts rows returns a column that fills nothing
        }
    }
    if (eflags & EXEC_FLAG_EXPLAIN_ONLY) return;
    // As a scan of the row table itself would, but without waiting: a command that waits for the mirror's lock while it
    // holds its row table's (DROP ... CASCADE) would wait for us. The mirror's lock protects what the engine reads; the
    // row table is locked again, waiting, if it has to be read.
    ListCell* cell;
    foreach (cell, state->plan.sources) ConditionalLockRelationOid(lfirst_oid(cell), AccessShareLock);
}

TupleTableSlot* exec_custom_scan(CustomScanState* node) { return ExecScan(&node->ss, NextRow, Recheck); }

void end_custom_scan(CustomScanState* node) {
    EndRun(State(node));
    MemoryContextDelete(State(node)->run_context);
}

void rescan_custom_scan(CustomScanState* node) {
    EndRun(State(node));
    MemoryContextReset(State(node)->run_context);
    ExecScanReScan(&node->ss);
}

const CustomExecMethods kExecMethods = {
    .CustomName = "ColumnarScan",
    .BeginCustomScan = begin_custom_scan,
    .ExecCustomScan = exec_custom_scan,
    .EndCustomScan = end_custom_scan,
    .ReScanCustomScan = rescan_custom_scan,
    .MarkPosCustomScan = nullptr,
    .RestrPosCustomScan = nullptr,
    .EstimateDSMCustomScan = nullptr,
    .InitializeDSMCustomScan = nullptr,
    .ReInitializeDSMCustomScan = nullptr,
    .InitializeWorkerCustomScan = nullptr,
    .ShutdownCustomScan = nullptr,
    .ExplainCustomScan = ExplainColumnarScan,
};

Node* create_custom_scan_state(CustomScan*) {
    auto* state = static_cast<ColumnarScanState*>(palloc0(sizeof(ColumnarScanState)));
    NodeSetTag(&state->css, T_CustomScanState);
    state->css.methods = &kExecMethods;
    return reinterpret_cast<Node*>(state);
}

}  // namespace

const CustomScanMethods columnar_scan_methods = {
    .CustomName = "ColumnarScan",
    .CreateCustomScanState = create_custom_scan_state,
};

void RegisterColumnarScan() { RegisterCustomScanMethods(&columnar_scan_methods); }

CustomScan* MakeColumnarScan(const ColumnarPlan& plan, List* values, List* target_list, List* quals,
                             List* scan_target_list, Index scan_relid) {
    CustomScan* scan = makeNode(CustomScan);
    scan->methods = &columnar_scan_methods;
    scan->flags = CUSTOMPATH_SUPPORT_PROJECTION;
    scan->custom_private = PackPlan(plan);
    scan->custom_exprs = values;
    scan->custom_scan_tlist = scan_target_list;
    scan->scan.scanrelid = scan_relid;
    scan->scan.plan.targetlist = target_list;
    scan->scan.plan.qual = quals;
    return scan;
}

ColumnarScanState* WholeColumnarScan(PlanState* plan) {
    if (!plan || !IsA(plan, CustomScanState)) return nullptr;
    ColumnarScanState* state = State(reinterpret_cast<CustomScanState*>(plan));
    return state->css.methods == &kExecMethods && state->plan.level == PlanLevel::kWhole ? state : nullptr;
}

void ContinueOnRowTable(ColumnarScanState* state) {
    MemoryContext before = MemoryContextSwitchTo(state->run_context);
    StartFallback(state);
    MemoryContextSwitchTo(before);
}

}  // namespace ivy::duck
