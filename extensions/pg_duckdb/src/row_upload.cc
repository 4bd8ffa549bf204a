// SPDX-License-Identifier: Apache-2.0
// Row sources: a DestReceiver that builds column chunks and sends them.
#include "row_upload.h"

#include "mirrors.h"
#include "types/type_map.h"

extern "C" {
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/snapmgr.h"
}

namespace ivy::duck {

namespace {

// A chunk is sent at whichever comes first: large enough to make its costs small, small enough to flow.
constexpr size_t kChunkRows = 16 * 1024;
constexpr size_t kChunkBytes = 1024 * 1024;

struct UploadReceiver {
    DestReceiver receiver;  // first: Postgres passes a pointer to it
    EngineQuery* query;
    int columns;
    types::DatumWriter* writers;
    ColumnChunkBuilder* builder;
    MemoryContext scratch;  // detoasted values of the rows of one chunk
    bool failed;
};

UploadReceiver* Upload(DestReceiver* receiver) { return reinterpret_cast<UploadReceiver*>(receiver); }

bool SendChunk(UploadReceiver* upload) {
    pg::Guard([&] {
        ByteWriter payload;
        upload->builder->Write(&payload);
        AppendFrame(static_cast<uint8_t>(MessageType::kChunk), payload.bytes(), &pg::EngineOut(upload->query->lease));
        upload->builder->Clear();
    });
    MemoryContextReset(upload->scratch);
    // A broken connection is noticed by whoever reads the answer next, which may be the reason.
    return pg::SendToEngine(upload->query->lease);
}

bool ReceiveRow(TupleTableSlot* slot, DestReceiver* receiver) {
    UploadReceiver* upload = Upload(receiver);
    slot_getallattrs(slot);
    MemoryContext before = MemoryContextSwitchTo(upload->scratch);
    for (int i = 0; i < upload->columns; i++) {
        ColumnBuilder* column = &upload->builder->column(static_cast<size_t>(i));
        types::DatumWriter* writer = &upload->writers[i];
        if (slot->tts_isnull[i]) {
            pg::Guard([&] { column->AppendNull(); });
        } else if (!writer->write(writer, slot->tts_values[i], column)) {
            upload->failed = true;
            break;
        }
    }
    if (upload->columns == 0) upload->builder->AddEmptyRows(1);
    MemoryContextSwitchTo(before);
    if (upload->failed) return false;
    if (upload->builder->rows() < kChunkRows && upload->builder->bytes() < kChunkBytes) return true;
    return SendChunk(upload);
}

void Startup(DestReceiver*, int, TupleDesc) {}
void Finish(DestReceiver*) {}

// Sets up the writers and announces the source's columns.
void Announce(UploadReceiver* upload, List* target_list) {
    upload->writers =
        static_cast<types::DatumWriter*>(palloc0(sizeof(types::DatumWriter) * Max(list_length(target_list), 1)));
    ListCell* cell;
    foreach (cell, target_list) {
        const auto* entry = lfirst_node(TargetEntry, cell);
        if (entry->resjunk) continue;
        const auto* expression = reinterpret_cast<const Node*>(entry->expr);
        types::InitDatumWriter(&upload->writers[upload->columns++], exprType(expression), exprTypmod(expression));
    }
    upload->builder = pg::OwnObject<ColumnChunkBuilder>(CurrentMemoryContext);
    pg::Guard([&] {
        RowSource source;
        for (int i = 0; i < upload->columns; i++) source.columns.push_back(upload->writers[i].mapping.column);
        AppendMessage(MessageType::kRowSource, source, &pg::EngineOut(upload->query->lease));
        *upload->builder = ColumnChunkBuilder(source.columns);
    });
}

// What an upload's query takes from where it stands.
struct Surroundings {
    const char* text;
    ::Snapshot snapshot;
    ParamListInfo params;
    QueryEnvironment* environment;
    bool checked;  // privileges were checked with the query that it is a part of
};

bool Upload(EngineQuery* query, ::Query* rows, const Surroundings& outer, bool announce_only) {
    MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "columnar row source", ALLOCSET_DEFAULT_SIZES);
    MemoryContext before = MemoryContextSwitchTo(context);
    auto* upload = static_cast<UploadReceiver*>(palloc0(sizeof(UploadReceiver)));
    upload->receiver.receiveSlot = ReceiveRow;
    upload->receiver.rStartup = Startup;
    upload->receiver.rShutdown = Finish;
    upload->receiver.rDestroy = Finish;
    upload->receiver.mydest = DestNone;
    upload->query = query;
    upload->scratch = AllocSetContextCreate(context, "columnar row source values", ALLOCSET_DEFAULT_SIZES);
    Announce(upload, rows->targetList);

    if (!announce_only) {
        auto* copy = static_cast<::Query*>(copyObjectImpl(rows));
        if (outer.checked) copy->queryId = 0;  // not a statement of its own to what counts statements
        if (outer.checked) ClearPermissions(copy);
        PlannedStmt* plan = pg_plan_query(copy, outer.text, CURSOR_OPT_PARALLEL_OK, outer.params);
        QueryDesc* desc = CreateQueryDesc(plan, outer.text, outer.snapshot, nullptr, &upload->receiver, outer.params,
                                          outer.environment, 0);
        ExecutorStart(desc, 0);
        ExecutorRun(desc, ForwardScanDirection, 0);
        ExecutorFinish(desc);
        ExecutorEnd(desc);
        FreeQueryDesc(desc);
        if (!upload->failed && upload->builder->rows() > 0) SendChunk(upload);
    }
    MemoryContextSwitchTo(before);
    const bool sent = !upload->failed;
    MemoryContextDelete(context);
    if (!sent) {
        SetFailure(query, Unavailable::kInexact,
                   "a row table holds a value that the columnar engine can't hold exactly");
    }
    return sent;
}

}  // namespace

bool UploadRows(EngineQuery* query, ::Query* rows, EState* outer, bool announce_only) {
    const Surroundings surroundings{outer->es_sourceText, outer->es_snapshot, outer->es_param_list_info,
                                    outer->es_queryEnv, true};
    return Upload(query, rows, surroundings, announce_only);
}

bool UploadQuery(EngineQuery* query, ::Query* rows, const char* text) {
    return Upload(query, rows, Surroundings{text, GetActiveSnapshot(), nullptr, nullptr, false}, false);
}

}  // namespace ivy::duck
