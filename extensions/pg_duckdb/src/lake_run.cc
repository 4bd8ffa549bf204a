// SPDX-License-Identifier: Apache-2.0
// Running queries over files: errors, values, and their casts.
#include "lake_run.h"

#include "columnar_plan.h"
#include "engine_query.h"
#include "types/type_map.h"

extern "C" {
#include "executor/executor.h"
#include "mb/pg_wchar.h"
#include "nodes/value.h"
#include "utils/snapmgr.h"
}

namespace ivy::duck {

namespace {

// Sends a query and waits for the beginning of its answer.
bool StartQuery(EngineQuery* engine, const char* sql, List* result_types, List* files) {
    if (!OpenEngineQuery(engine, CurrentMemoryContext)) return false;
    const QueryText text = {sql,   NIL,    result_types, GetActiveSnapshot(), InvalidXLogRecPtr, QueryMode::kExecute,
                            files, nullptr};
    return SendEngineQuery(engine, text) && AwaitEngineResult(engine);
}

// What an error while a value is cast says about where it came from.
struct CastPosition {
    const LakeTable* table;
    const LakeColumn* column;
};

void DescribeCast(void* arg) {
    const auto* position = static_cast<CastPosition*>(arg);
    if (!position->column) return;
    errcontext("column \"%s\" of %s", position->column->name, LakeCallName(position->table->call));
}

struct Reader {
    types::DatumReader value;
    ExprState* conversion;
};

}  // namespace

void RaiseLakeFailure(const EngineFailure& failure) {
    if (failure.unavailable == Unavailable::kNo || failure.unavailable == Unavailable::kFailed) {
        pg::RaiseCaptured(failure.error);
    }
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("files can't be read now"),
                    errdetail_internal("%s", failure.error.message ? failure.error.message : "unknown reason")));
    pg_unreachable();
}

List* RunLakeTexts(const char* sql, int columns, List* files, bool may_fail) {
    MemoryContext caller = CurrentMemoryContext;
    MemoryContext context = AllocSetContextCreate(caller, "lake query", ALLOCSET_DEFAULT_SIZES);
    MemoryContextSwitchTo(context);
    EngineQuery engine{};
    List* types = NIL;
    for (int i = 0; i < columns; i++) types = lappend(types, PackType({TypeKind::kText}));
    List* rows = NIL;
    bool ok = StartQuery(&engine, sql, types, files);
    while (ok) {
        ok = NextEngineChunk(&engine);
        if (!ok || engine.done) break;
        for (size_t row = 0; row < engine.rows; row++) {
            MemoryContextSwitchTo(caller);
            auto** values = static_cast<char**>(palloc0(sizeof(char*) * columns));
            for (int i = 0; i < columns; i++) {
                const ColumnView* view = EngineColumn(&engine, i);
                if (view->IsNull(row)) continue;
                const std::string_view text = view->GetVariable(row);
                values[i] =
                    pg_any_to_server(pnstrdup(text.data(), text.size()), static_cast<int>(text.size()), PG_UTF8);
            }
            rows = lappend(rows, values);
            MemoryContextSwitchTo(context);
        }
    }
    if (!ok && !(may_fail && engine.failure.unavailable == Unavailable::kFailed)) RaiseLakeFailure(engine.failure);
    MemoryContextSwitchTo(caller);
    MemoryContextDelete(context);
    return ok ? rows : NIL;
}

void ReadLakeTable(const LakeTable* table, TupleDesc desc, Tuplestorestate* store) {
    MemoryContext caller = CurrentMemoryContext;
    MemoryContext context = AllocSetContextCreate(caller, "lake scan", ALLOCSET_DEFAULT_SIZES);
    MemoryContextSwitchTo(context);
    EState* estate = CreateExecutorState();
    ExprContext* econtext = GetPerTupleExprContext(estate);
    const int count = Max(table->count, 1);
    auto* readers = static_cast<Reader*>(palloc0(sizeof(Reader) * count));
    List* types = NIL;
    StringInfoData sql;
    initStringInfo(&sql);
    for (int i = 0; i < table->count; i++) {
        const LakeColumn* column = &table->columns[i];
        if (!column->expression) continue;
        appendStringInfo(&sql, "%s%s", sql.len ? ", " : "SELECT ", column->expression);
        types = lappend(types, PackType(column->wire));
        types::InitDatumReader(&readers[i].value, column->read_type, column->read_typmod, column->wire);
        if (Expr* conversion = LakeConversion(column)) readers[i].conversion = ExecPrepareExpr(conversion, estate);
    }
    if (types == NIL) {
        appendStringInfoString(&sql, "SELECT TRUE");
        types = list_make1(PackType({TypeKind::kBool}));
    }
    appendStringInfo(&sql, " FROM %s", table->source);

    EngineQuery engine{};
    if (!StartQuery(&engine, sql.data, types, table->call->paths)) RaiseLakeFailure(engine.failure);
    CastPosition position{table, nullptr};
    ErrorContextCallback callback{error_context_stack, DescribeCast, &position};
    error_context_stack = &callback;
    auto* values = static_cast<Datum*>(palloc0(sizeof(Datum) * count));
    auto* nulls = static_cast<bool*>(palloc0(sizeof(bool) * count));
    while (true) {
        position.column = nullptr;
        if (!NextEngineChunk(&engine)) RaiseLakeFailure(engine.failure);
        if (engine.done) break;
        CHECK_FOR_INTERRUPTS();
        for (size_t row = 0; row < engine.rows; row++) {
            ResetExprContext(econtext);
            MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
            int at = 0;
            for (int i = 0; i < table->count; i++) {
                nulls[i] = true;
                if (!table->columns[i].expression) continue;
                position.column = &table->columns[i];
                const ColumnView* view = EngineColumn(&engine, at++);
                nulls[i] = view->IsNull(row);
                values[i] = nulls[i] ? static_cast<Datum>(0) : readers[i].value.read(&readers[i].value, view, row);
                if (!readers[i].conversion) continue;
                econtext->caseValue_datum = values[i];
                econtext->caseValue_isNull = nulls[i];
                values[i] = ExecEvalExpr(readers[i].conversion, econtext, &nulls[i]);
            }
            MemoryContextSwitchTo(context);
            tuplestore_putvalues(store, desc, values, nulls);
        }
    }
    error_context_stack = callback.previous;
    FreeExecutorState(estate);
    MemoryContextSwitchTo(caller);
    MemoryContextDelete(context);
}

}  // namespace ivy::duck
