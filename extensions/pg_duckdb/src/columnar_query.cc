// SPDX-License-Identifier: Apache-2.0
// What a ColumnarScan asks the engine. No C++ object lives in a frame here; those of EngineQuery belong to run_context.
#include "columnar_query.h"

#include "freshness.h"
#include "lake_access.h"
#include "lake_plan.h"
#include "mirrors.h"
#include "own_writes.h"
#include "row_upload.h"

extern "C" {
#include "access/parallel.h"
#include "access/xact.h"
#include "catalog/pg_inherits.h"
#include "executor/executor.h"
#include "executor/nodeSubplan.h"
#include "nodes/nodeFuncs.h"
}

namespace ivy::duck {

namespace {

EState* Estate(ColumnarScanState* state) { return state->css.ss.ps.state; }

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

bool AskEngine(ColumnarScanState* state, QueryMode mode, XLogRecPtr lsn, const EngineCopy* copy) {
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

char* ExplainOnEngine(ColumnarScanState* state, const char** why) {
    auto* plan = reinterpret_cast<CustomScan*>(state->css.ss.ps.plan);
    if (NeedsParams(reinterpret_cast<Node*>(plan->custom_exprs), Estate(state))) {
        *why = "it depends on parameters";
        return nullptr;
    }
    if (state->plan.mirrors != NIL && !SnapshotIsServable(Estate(state)->es_snapshot, why)) return nullptr;
    MemoryContext before = MemoryContextSwitchTo(state->run_context);
    char* text = nullptr;
    if (AskEngine(state, QueryMode::kExplain, InvalidXLogRecPtr, nullptr)) {
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
