// SPDX-License-Identifier: Apache-2.0
// ColumnarScan: execution. No C++ object lives in a frame here; those of EngineQuery belong to run_context.
#include "columnar_scan.h"

#include "freshness.h"
#include "lake_access.h"
#include "lake_plan.h"
#include "mirrors.h"
#include "own_writes.h"
#include "row_upload.h"
#include "settings.h"
#include "types/type_map.h"

extern "C" {
#include "access/parallel.h"
#include "access/xact.h"
#include "catalog/pg_inherits.h"
#include "executor/executor.h"
#include "executor/nodeSubplan.h"
#include "nodes/extensible.h"
#include "nodes/nodeFuncs.h"
#include "storage/lmgr.h"
}

namespace ivy::duck {

namespace {

ColumnarScanState* State(CustomScanState* node) { return reinterpret_cast<ColumnarScanState*>(node); }
EState* Estate(ColumnarScanState* state) { return state->css.ss.ps.state; }

// --- why not the engine ----------------------------------------------------------------------------------------------

// Whether something known beforehand keeps the engine from answering.
bool MayServe(ColumnarScanState* state, const char** reason) {
    if (state->plan.mirrors == NIL) return true;
    if (!SnapshotIsServable(Estate(state)->es_snapshot, reason)) return false;
    for (int i = 0; i < list_length(state->plan.mirrors); i++) {
        const Oid source = list_nth_oid(state->plan.sources, i);
        if (MayHaveOwnWrites(source)) {
            *reason = psprintf("this transaction has changed table \"%s\"", get_rel_name(source));
            return false;
        }
        if (!MirrorReady(list_nth_oid(state->plan.mirrors, i), reason)) return false;
    }
    return true;
}

void RegisterReads(ColumnarScanState* state) {
    if (!IsolationIsSerializable()) return;
    for (int i = 0; i < list_length(state->plan.sources); i++) {
        ListCell* cell;
        foreach (cell, find_all_inheritors(list_nth_oid(state->plan.sources, i), AccessShareLock, nullptr)) {
            if (get_rel_relkind(lfirst_oid(cell)) != RELKIND_RELATION) continue;
            Relation table = table_open(lfirst_oid(cell), AccessShareLock);
            RegisterSerializableRead(table, Estate(state)->es_snapshot);
            table_close(table, NoLock);
        }
    }
}

// --- the text --------------------------------------------------------------------------------------------------------

// The literal of {value:i}, or null.
const char* ValueLiteral(ColumnarScanState* state, int i) {
    const auto* plan = reinterpret_cast<const CustomScan*>(state->css.ss.ps.plan);
    const auto* expression = static_cast<const Node*>(list_nth(plan->custom_exprs, i));
    bool is_null;
    const Datum value = ExecEvalExprSwitchContext(static_cast<ExprState*>(list_nth(state->values, i)),
                                                  state->css.ss.ps.ps_ExprContext, &is_null);
    return translate::LiteralFor(exprType(expression), exprTypmod(expression), value, is_null);
}

// The plan's SQL with every {value:i} outside quotes replaced. Null if one has no literal.
char* CompleteSql(ColumnarScanState* state) {
    constexpr char kPlaceholder[] = "{value:";
    StringInfoData out;
    initStringInfo(&out);
    char quote = '\0';
    for (const char* at = state->plan.sql; *at; at++) {
        if (quote) {
            if (*at == quote) quote = '\0';  // a doubled quote opens again at once
        } else if (*at == '\'' || *at == '"') {
            quote = *at;
        } else if (strncmp(at, kPlaceholder, sizeof kPlaceholder - 1) == 0) {
            char* end;
            const long i = strtol(at + sizeof kPlaceholder - 1, &end, 10);
            const char* literal = ValueLiteral(state, static_cast<int>(i));
            if (!literal) return nullptr;
            appendStringInfoString(&out, literal);
            at = end;  // the closing brace
            continue;
        }
        appendStringInfoChar(&out, *at);
    }
    return out.data;
}

// --- one run ---------------------------------------------------------------------------------------------------------

// Completes the text and sends the row sources. False: see the engine query's failure.
bool Prepare(ColumnarScanState* state, QueryMode mode, const char** sql) {
    EngineQuery* engine = &state->engine;
    *engine = EngineQuery{};
    *sql = CompleteSql(state);
    if (!*sql) {
        SetFailure(engine, Unavailable::kInexact,
                   "a value in the query has no exact equivalent in the columnar engine");
        return false;
    }
    if (!OpenEngineQuery(engine, state->run_context)) return false;
    ListCell* cell;
    foreach (cell, state->plan.row_queries) {
        auto* rows = static_cast<::Query*>(lfirst(cell));
        if (!UploadRows(engine, rows, Estate(state), mode == QueryMode::kExplain)) return false;
        if (!engine->lease->connection) {
            SetFailure(engine, Unavailable::kNotReady, engine->lease->failure);
            return false;
        }
    }
    return true;
}

// Prepare computes values and row sources that the row table's plan might never need: what a condition without any row
// to look at would have computed, say. An error then sends the query to the row table, which knows. What the values need from
// other parts of the plan is computed before: those must not run inside a subtransaction.
bool PrepareGuarded(ColumnarScanState* state, QueryMode mode, const char** sql) {
    if (!bms_is_empty(state->params)) ExecSetParamPlanMulti(state->params, state->css.ss.ps.ps_ExprContext);
    if (!state->may_raise || IsInParallelMode()) return Prepare(state, mode, sql);
    MemoryContext context = CurrentMemoryContext;
    ResourceOwner owner = CurrentResourceOwner;
    volatile bool prepared = false;
    BeginInternalSubTransaction(nullptr);
    MemoryContextSwitchTo(context);
    PG_TRY();
    {
        prepared = Prepare(state, mode, sql);
        ReleaseCurrentSubTransaction();
        MemoryContextSwitchTo(context);
        CurrentResourceOwner = owner;
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(context);
        ErrorData* error = CopyErrorData();
        FlushErrorState();
        RollbackAndReleaseCurrentSubTransaction();
        MemoryContextSwitchTo(context);
        CurrentResourceOwner = owner;
        if (!IsAboutData(error->sqlerrcode)) ReThrowError(error);
        CloseEngineQuery(&state->engine);
        state->engine = EngineQuery{};
        state->engine.failure.error = pg::CaptureText(unpack_sql_state(error->sqlerrcode), error->message);
        prepared = false;
    }
    PG_END_TRY();
    return prepared;
}

// The files that lake functions read. ereports if the user may not.
List* LakeFiles(ColumnarScanState* state) {
    List* files = NIL;
    ListCell* cell;
    foreach (cell, state->plan.functions) {
        const auto* info = static_cast<const Node*>(lfirst(cell));
        List* paths = LakeInfoPaths(info);
        CheckLakeCall(LakeInfoFunction(info), paths);
        files = list_concat(files, paths);
    }
    return files;
}

// Sends everything that the engine needs and waits for the beginning of its answer. "copy" (may be null) is what to do with
// the rows.
bool AskEngine(ColumnarScanState* state, QueryMode mode, XLogRecPtr lsn, const EngineCopy* copy = nullptr) {
    EngineQuery* engine = &state->engine;
    List* files = LakeFiles(state);
    const char* sql = nullptr;
    if (!PrepareGuarded(state, mode, &sql)) return false;
    List* types = state->plan.result_types;
    if (copy) {
        sql = psprintf("%s%s%s", copy->begin, sql, copy->end);
        types = list_make1(PackType({TypeKind::kInt64}));
        files = list_concat(files, copy->files);
    }
    const QueryText text = {
        sql, state->plan.mirrors, types, Estate(state)->es_snapshot, lsn, mode, files, copy ? copy->finished : nullptr};
    return SendEngineQuery(engine, text) && AwaitEngineResult(engine);
}

XLogRecPtr LsnToAwait(const ColumnarScanState* state) {
    return state->plan.mirrors == NIL ? InvalidXLogRecPtr : FlushVisibleWal();
}

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
        if (!AskEngine(state, mode, LsnToAwait(state))) {
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

// Whether expressions need values that EXPLAIN has not.
bool NeedsParams(Node* node, void* context) {
    if (!node) return false;
    if (IsA(node, Param)) {
        auto* estate = static_cast<EState*>(context);
        return reinterpret_cast<Param*>(node)->paramkind != PARAM_EXTERN || !estate->es_param_list_info;
    }
    return expression_tree_walker(node, NeedsParams, context);
}

}  // namespace

const CustomScanMethods columnar_scan_methods = {
    .CustomName = "ColumnarScan",
    .CreateCustomScanState = create_custom_scan_state,
};

bool IsAboutData(int sqlstate) {
    switch (ERRCODE_TO_CATEGORY(sqlstate)) {
        case ERRCODE_DATA_EXCEPTION:
        case ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION:  // of a domain
        case ERRCODE_CARDINALITY_VIOLATION:
        case ERRCODE_FEATURE_NOT_SUPPORTED:  // of an input function
        case ERRCODE_PLPGSQL_ERROR:
        case ERRCODE_EXTERNAL_ROUTINE_EXCEPTION: return true;
        default: return false;
    }
}

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

bool CopyOnEngine(ColumnarScanState* state, const EngineCopy* copy, uint64* rows) {
    MemoryContext before = MemoryContextSwitchTo(state->run_context);
    EngineQuery* engine = &state->engine;
    state->started = true;
    state->runs++;
    *engine = EngineQuery{};
    *rows = 0;
    const char* reason = nullptr;
    bool copied = MayServe(state, &reason);
    if (copied) {
        RegisterReads(state);
        copied = AskEngine(state, QueryMode::kCopy, LsnToAwait(state), copy);
    } else {
        SetFailure(engine, Unavailable::kNotReady, reason);
    }
    while (copied && !engine->done) {
        copied = NextEngineChunk(engine);
        for (size_t row = 0; copied && row < engine->rows; row++) *rows += EngineColumn(engine, 0)->Get<uint64>(row);
    }
    MemoryContextSwitchTo(before);
    return copied;
}

void ContinueOnRowTable(ColumnarScanState* state) {
    MemoryContext before = MemoryContextSwitchTo(state->run_context);
    StartFallback(state);
    MemoryContextSwitchTo(before);
}

char* ExplainOnEngine(ColumnarScanState* state, const char** why) {
    auto* plan = reinterpret_cast<CustomScan*>(state->css.ss.ps.plan);
    if (NeedsParams(reinterpret_cast<Node*>(plan->custom_exprs), Estate(state))) {
        *why = "it depends on parameters";
        return nullptr;
    }
    if (state->plan.mirrors != NIL && !SnapshotIsServable(Estate(state)->es_snapshot, why)) return nullptr;
    MemoryContext before = MemoryContextSwitchTo(state->run_context);
    char* text = nullptr;
    if (AskEngine(state, QueryMode::kExplain, InvalidXLogRecPtr)) {
        text = state->engine.plan ? MemoryContextStrdup(before, state->engine.plan) : nullptr;
        *why = "the columnar engine sent none";
    } else {
        *why = MemoryContextStrdup(before, state->engine.failure.error.message);
    }
    CloseEngineQuery(&state->engine);
    MemoryContextSwitchTo(before);
    return text;
}

}  // namespace ivy::duck
