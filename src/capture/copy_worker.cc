// SPDX-License-Identifier: Apache-2.0
//
// The copy worker: one table scan under one snapshot, sent to the engine in chunks.
//
// The lock on the source comes before the snapshot: an ALTER TABLE that was waited for is then seen by the snapshot, and
// none can come in between. It is the lock of a SELECT: writers go on, and what they commit meanwhile arrives by capture.
//
// A failure leaves the mirror as it is, without files; the capture worker starts another copy worker after a while. Only
// what can't get better by itself (a value whose output function fails, say) ends in the state "error".
#include "capture/worker.h"

#include <algorithm>

#include "capture/engine_link.h"
#include "capture/row_layout.h"
#include "capture/session.h"
#include "pg/guard.h"
#include "pg/xid.h"
#include "pg_mooncake/src/catalog.h"
#include "pg_mooncake/src/worker.h"

extern "C" {
#include "access/tableam.h"
#include "commands/progress.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "utils/backend_progress.h"
#include "utils/backend_status.h"
#include "utils/wait_event.h"
}

namespace ivy::capture {

namespace {

constexpr int kConnectTimeoutMs = 30 * 1000;
constexpr size_t kChunkRows = 4096;
constexpr size_t kChunkBytes = 1 << 20;

// What the process works on: ends with it.
struct Copy {
    EngineLink* link = nullptr;
    ColumnChunkBuilder rows;
    CopyBegin begin;
    CopyEnd end;
};
Copy* copy = nullptr;

bool IsWanted(const mooncake::MirrorRow* row, int generation) {
    return row && row->generation == generation && row->state == mooncake::MirrorState::kCopying;
}

// Raises the error if the engine has sent one; true if it has sent Ok.
bool TakeAnswer() {
    copy->link->Receive();
    const Frame* frame = copy->link->FirstEvent();
    if (!frame) return false;
    if (frame->type == static_cast<uint8_t>(MessageType::kOk)) return true;
    if (frame->type == static_cast<uint8_t>(MessageType::kError)) RaiseEngineError(*frame);
    ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
                    errmsg("unexpected message %d from the columnar engine", frame->type)));
}

void AppendRow(RowLayout* layout, const TupleTableSlot* slot) {
    for (int i = 0; i < layout->column_count; i++) {
        LayoutColumn* column = &layout->columns[i];
        ColumnBuilder& out = copy->rows.column(static_cast<size_t>(i));
        if (slot->tts_isnull[column->attnum - 1]) {
            pg::Guard([&] { out.AppendNull(); });
        } else if (!column->writer.write(&column->writer, slot->tts_values[column->attnum - 1], &out)) {
            pg::Guard([&] {
                const auto id = static_cast<uint32_t>(column->attnum);
                auto& inexact = copy->end.inexact;
                if (std::find(inexact.begin(), inexact.end(), id) == inexact.end()) inexact.push_back(id);
            });
        }
    }
    if (layout->column_count == 0) copy->rows.AddEmptyRows(1);
}

void SendRows() {
    if (copy->rows.rows() == 0) return;
    FaultPoint("copy-chunk");
    copy->link->QueueChunk(copy->rows);
    copy->rows.Clear();
    TakeAnswer();
}

void ScanTable(Relation source, RowLayout* layout) {
    MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext, "copied row", ALLOCSET_DEFAULT_SIZES);
    TupleTableSlot* slot = table_slot_create(source, nullptr);
    TableScanDesc scan = table_beginscan_strat(source, GetActiveSnapshot(), 0, nullptr, true, false);
    int64 count = 0;
    while (table_scan_getnextslot(scan, ForwardScanDirection, slot)) {
        CHECK_FOR_INTERRUPTS();
        slot_getallattrs(slot);
        MemoryContext caller = MemoryContextSwitchTo(row_context);
        AppendRow(layout, slot);
        MemoryContextSwitchTo(caller);
        MemoryContextReset(row_context);
        count++;
        if (copy->rows.rows() >= kChunkRows || copy->rows.bytes() >= kChunkBytes) {
            SendRows();
            pgstat_progress_update_param(PROGRESS_COPY_TUPLES_PROCESSED, count);
            pgstat_progress_update_param(PROGRESS_COPY_BYTES_PROCESSED, static_cast<int64>(copy->link->bytes_sent()));
        }
    }
    SendRows();
    table_endscan(scan);
    ExecDropSingleTupleTableSlot(slot);
}

// The transaction's snapshot is S.
void CopyTable(const mooncake::MirrorRow* row, Relation source) {
    char* error = nullptr;
    const int fd = mooncake::Api().connect_engine(MyDatabaseId, static_cast<int>(Role::kCopy), kConnectTimeoutMs, &error);
    if (fd < 0) {
        ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
                        errmsg("could not connect to the columnar engine: %s", error ? error : "unknown error")));
    }
    RowLayout* layout = MakeRowLayout(CurrentMemoryContext, RelationGetDescr(source), row->key, row->key_count);
    copy = pg::Guard([] { return new Copy(); });
    copy->link = EngineLink::Make(fd);

    pgstat_progress_start_command(PROGRESS_COMMAND_COPY, RelationGetRelid(source));
    pgstat_progress_update_param(PROGRESS_COPY_COMMAND, PROGRESS_COPY_COMMAND_TO);
    const ::Snapshot snapshot = GetActiveSnapshot();
    const FullTransactionId next = ReadNextFullTransactionId();
    pg::Guard([&] {
        copy->begin.mirror = row->mirror;
        copy->begin.snapshot = pg::ConvertSnapshot(*snapshot, next);
        copy->begin.estimated_rows = static_cast<uint64_t>(Max(source->rd_rel->reltuples, 0));
        copy->begin.columns = LayoutColumnIds(*layout);
        copy->rows = LayoutRows(*layout);
    });
    copy->link->Queue(MessageType::kCopyBegin, copy->begin);
    ScanTable(source, layout);
    copy->link->Queue(MessageType::kCopyEnd, copy->end);
    copy->link->FlushAll();
    while (!TakeAnswer()) {
        copy->link->Wait(-1, PG_WAIT_EXTENSION);
        ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
    }
    pgstat_progress_end_command();
}

void CopyUnderSnapshot(Oid mirror, int generation) {
    StartTransactionCommand();
    XactIsoLevel = XACT_REPEATABLE_READ;
    XactReadOnly = true;
    const mooncake::MirrorRow* row = mooncake::FindMirror(mirror);
    Relation source = IsWanted(row, generation) ? try_table_open(row->source, AccessShareLock) : nullptr;
    if (source) {
        // Waiting for the lock may have changed what there is to do.
        row = mooncake::FindMirror(mirror);
        if (IsWanted(row, generation)) {
            PushActiveSnapshot(GetTransactionSnapshot());
            CopyTable(row, source);
            PopActiveSnapshot();
        }
        table_close(source, NoLock);
    }
    CommitTransactionCommand();
}

// Whether another attempt would end the same way.
bool IsPermanent(int sqlerrcode) {
    const int category = ERRCODE_TO_CATEGORY(sqlerrcode);
    return category == ERRCODE_TO_CATEGORY(ERRCODE_DATA_EXCEPTION) ||
           category == ERRCODE_TO_CATEGORY(ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION) ||
           category == ERRCODE_TO_CATEGORY(ERRCODE_FEATURE_NOT_SUPPORTED);
}

// With the error's data still in place: notes it in the catalog, for whoever waits for the copy.
[[noreturn]] void NoteFailure(Oid mirror, int generation) {
    MemoryContextSwitchTo(TopMemoryContext);
    const ErrorData* error = CopyErrorData();
    EmitErrorReport();
    FlushErrorState();
    AbortCurrentTransaction();
    StartTransactionCommand();
    PushActiveSnapshot(GetTransactionSnapshot());
    mooncake::FailMirror(mirror, generation,
                         IsPermanent(error->sqlerrcode) ? mooncake::MirrorState::kError : mooncake::MirrorState::kCopying,
                         error->message);
    PopActiveSnapshot();
    CommitTransactionCommand();
    proc_exit(1);
}

}  // namespace

void CopyMain(Oid mirror, int generation) {
    PinWorkerSettings();
    PG_TRY();
    {
        CopyUnderSnapshot(mirror, generation);
    }
    PG_CATCH();
    {
        NoteFailure(mirror, generation);
    }
    PG_END_TRY();
}

}  // namespace ivy::capture
