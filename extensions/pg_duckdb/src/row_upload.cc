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
    int unstorable;         // the number of the column with a value that can't be held; 0: none
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
            upload->unstorable = i + 1;
            break;
        }
    }
    if (upload->columns == 0) upload->builder->AddEmptyRows(1);
    MemoryContextSwitchTo(before);
    if (upload->unstorable > 0) return false;
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

}  // namespace

DestReceiver* BeginUpload(EngineQuery* query, List* target_list) {
    auto* upload = static_cast<UploadReceiver*>(palloc0(sizeof(UploadReceiver)));
    upload->receiver.receiveSlot = ReceiveRow;
    upload->receiver.rStartup = Startup;
    upload->receiver.rShutdown = Finish;
    upload->receiver.rDestroy = Finish;
    upload->receiver.mydest = DestNone;
    upload->query = query;
    upload->scratch = AllocSetContextCreate(CurrentMemoryContext, "columnar row source values", ALLOCSET_DEFAULT_SIZES);
    Announce(upload, target_list);
    return &upload->receiver;
}

bool EndUpload(DestReceiver* receiver, int* unstorable) {
    UploadReceiver* upload = Upload(receiver);
    if (upload->unstorable > 0) {
        if (unstorable) *unstorable = upload->unstorable;
        SetFailure(upload->query, Unavailable::kInexact,
                   "a row table holds a value that the columnar engine can't hold exactly");
        return false;
    }
    if (upload->builder->rows() > 0) SendChunk(upload);
    return true;
}

bool UploadRows(EngineQuery* query, ::Query* rows, EState* outer, bool announce_only) {
    MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "columnar row source", ALLOCSET_DEFAULT_SIZES);
    MemoryContext before = MemoryContextSwitchTo(context);
    DestReceiver* receiver = BeginUpload(query, rows->targetList);
    if (!announce_only) {
        auto* copy = static_cast<::Query*>(copyObjectImpl(rows));
        copy->queryId = 0;       // not a statement of its own to what counts statements
        ClearPermissions(copy);  // they were checked with the query that it is a part of
        PlannedStmt* plan =
            pg_plan_query(copy, outer->es_sourceText, CURSOR_OPT_PARALLEL_OK, outer->es_param_list_info);
        QueryDesc* desc = CreateQueryDesc(plan, outer->es_sourceText, outer->es_snapshot, nullptr, receiver,
                                          outer->es_param_list_info, outer->es_queryEnv, 0);
        ExecutorStart(desc, 0);
        ExecutorRun(desc, ForwardScanDirection, 0);
        ExecutorFinish(desc);
        ExecutorEnd(desc);
        FreeQueryDesc(desc);
    }
    MemoryContextSwitchTo(before);
    const bool sent = EndUpload(receiver, nullptr);
    MemoryContextDelete(context);
    return sent;
}

}  // namespace ivy::duck
