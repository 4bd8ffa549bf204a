// SPDX-License-Identifier: Apache-2.0
//
// The copy worker: a source read under one snapshot, sent to the engine in chunks.
//
// What is read is cut into ranges of blocks, of all tables whose rows the source shows. Parallel workers (the server's own
// kind, which share the snapshot and the locks) and the copy worker itself take one range after the other, each with a
// connection to the engine of its own.
//
// The locks on source and members come before the snapshot: an ALTER TABLE that was waited for is then seen by the
// snapshot, and none can come in between; nor can a TRUNCATE, of which a snapshot says nothing. They are those of a
// SELECT: writers go on, and what they commit meanwhile arrives by capture. Whether the members locked are those that the
// snapshot sees is looked at afterwards: a table may become a partition without a lock that conflicts with ours.
//
// A failure leaves the mirror as it is, without files; the capture worker starts another copy worker after a while. Only
// what can't get better by itself (a value whose output function fails, say) ends in the state "error". So does a copy that
// somebody cancels, which is not tried again before it is ordered.
#include "capture/worker.h"

#include <algorithm>

#include "capture/engine_link.h"
#include "capture/row_layout.h"
#include "capture/session.h"
#include "pg/guard.h"
#include "pg/xid.h"
#include "pg_mooncake/src/catalog.h"
#include "pg_mooncake/src/source.h"
#include "pg_mooncake/src/worker.h"

extern "C" {
#include "access/genam.h"
#include "access/heapam.h"
#include "access/parallel.h"
#include "access/tableam.h"
#include "catalog/indexing.h"
#include "catalog/pg_inherits.h"
#include "commands/progress.h"
#include "storage/bufmgr.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "utils/backend_progress.h"
#include "utils/backend_status.h"
#include "utils/fmgroids.h"
#include "utils/wait_event.h"
}

namespace ivy::capture {

namespace {

constexpr int kConnectTimeoutMs = 30 * 1000;
constexpr size_t kChunkRows = 4096;
constexpr size_t kChunkBytes = 1 << 20;
constexpr BlockNumber kRangeBlocks = 512;  // read in one go by one process
constexpr int kRangesPerWorker = 16;       // fewer are not worth a process
constexpr long kLockedPauseMs = 50;
constexpr int kMemberAttempts = 100;  // partitions came and went each time that a snapshot was taken
constexpr uint64 kToc = 1;            // key of the Order in shared memory

// A piece of work: blocks of one table.
struct Range {
    Oid table;
    BlockNumber first, count;
};

// What all processes of a copy share.
struct Order {
    mooncake::CopyOrder copy;
    pg_atomic_uint32 next;     // range to take
    pg_atomic_uint64 scanned;  // blocks read
    uint32 count;
    Range ranges[FLEXIBLE_ARRAY_MEMBER];
};

// What the process works on: ends with it.
struct Copy {
    EngineLink* link = nullptr;
    MirrorShape shape;
    ColumnChunkBuilder rows;
    CopyBegin begin;
    CopyEnd end;
    int64 count = 0;
};
Copy* copy = nullptr;
const mooncake::CopyOrder* wanted = nullptr;  // what the process is to do

bool IsWanted(const mooncake::MirrorRow* row) {
    return row && row->generation == wanted->generation && row->state == mooncake::MirrorState::kCopying;
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
                const auto id = static_cast<uint32_t>(column->id);
                auto& inexact = copy->end.inexact;
                if (std::find(inexact.begin(), inexact.end(), id) == inexact.end()) inexact.push_back(id);
            });
        }
    }
    if (layout->column_count == 0) copy->rows.AddEmptyRows(1);
    CheckMessageSize(copy->rows.bytes());
}

void SendRows() {
    if (copy->rows.rows() == 0) return;
    FaultPoint("copy-chunk");
    copy->link->QueueChunk(&copy->rows);
    TakeAnswer();
}

// --- reading ---------------------------------------------------------------------------------------------------------

void ReportScanned(Order* order, bool leader) {
    if (!leader) return;
    const uint64 bytes = pg_atomic_read_u64(&order->scanned) * BLCKSZ;
    copy->link->Queue(MessageType::kCopyScanned, CopyScanned{bytes});
    pgstat_progress_update_param(PROGRESS_COPY_TUPLES_PROCESSED, copy->count);
    pgstat_progress_update_param(PROGRESS_COPY_BYTES_PROCESSED, static_cast<int64>(bytes));
}

void ScanRange(Relation table, const Range& range, RowLayout* layout) {
    MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext, "copied row", ALLOCSET_DEFAULT_SIZES);
    TupleTableSlot* slot = table_slot_create(table, nullptr);
    TableScanDesc scan = table_beginscan_strat(table, GetActiveSnapshot(), 0, nullptr, true, false);
    heap_setscanlimits(scan, range.first, range.count);
    while (table_scan_getnextslot(scan, ForwardScanDirection, slot)) {
        CHECK_FOR_INTERRUPTS();
        slot_getallattrs(slot);
        MemoryContext caller = MemoryContextSwitchTo(row_context);
        AppendRow(layout, slot);
        MemoryContextSwitchTo(caller);
        MemoryContextReset(row_context);
        copy->count++;
        if (copy->rows.rows() >= kChunkRows || copy->rows.bytes() >= kChunkBytes) SendRows();
    }
    table_endscan(scan);
    ExecDropSingleTupleTableSlot(slot);
    MemoryContextDelete(row_context);
}

// Takes ranges until there are none left. All locks are held.
void ScanRanges(Order* order, Relation source, bool leader) {
    Relation table = nullptr;
    RowLayout* layout = nullptr;
    for (;;) {
        const uint32 next = pg_atomic_fetch_add_u32(&order->next, 1);
        if (next >= order->count) break;
        const Range range = order->ranges[next];
        if (!table || RelationGetRelid(table) != range.table) {
            if (layout) FreeRowLayout(layout);
            if (table) table_close(table, NoLock);
            table = table_open(range.table, AccessShareLock);
            TupleDesc desc =
                RelationGetRelid(source) == range.table ? RelationGetDescr(source) : RelationGetDescr(table);
            layout = MakeRowLayout(CurrentMemoryContext, RelationGetDescr(source), desc, copy->shape);
        }
        ScanRange(table, range, layout);
        pg_atomic_fetch_add_u64(&order->scanned, range.count);
        ReportScanned(order, leader);
    }
    SendRows();
    if (layout) FreeRowLayout(layout);
    if (table) table_close(table, NoLock);
}

// Connects, and announces what is to come.
void BeginCopy(const mooncake::MirrorRow* row, Relation source, bool joins) {
    FaultPoint("copy-connect");
    char* error = nullptr;
    const int fd =
        mooncake::Api().connect_engine(MyDatabaseId, static_cast<int>(Role::kCopy), kConnectTimeoutMs, &error);
    if (fd < 0) {
        ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
                        errmsg("could not connect to the columnar engine: %s", error ? error : "unknown error")));
    }
    copy = pg::Guard([] { return new Copy(); });
    copy->link = EngineLink::Make(fd);
    ShapeOfMirror(row, RelationGetDescr(source), &copy->shape);
    RowLayout* layout =
        MakeRowLayout(CurrentMemoryContext, RelationGetDescr(source), RelationGetDescr(source), copy->shape);
    const ::Snapshot snapshot = GetActiveSnapshot();
    const FullTransactionId next = ReadNextFullTransactionId();
    pg::Guard([&] {
        copy->begin.mirror = row->mirror;
        copy->begin.order = wanted->number;
        copy->begin.snapshot = pg::ConvertSnapshot(*snapshot, next);
        copy->begin.columns = LayoutColumnIds(*layout);
        copy->begin.joins = joins;
        copy->rows = LayoutRows(*layout);
    });
}

void EndCopy() {
    copy->link->Queue(MessageType::kCopyEnd, copy->end);
    copy->link->FlushAll();
    while (!TakeAnswer()) {
        copy->link->Wait(-1, PG_WAIT_EXTENSION);
        ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
    }
}

// --- the ranges ------------------------------------------------------------------------------------------------------

struct Extent {
    Range* tables;  // whole tables: blocks that came after the snapshot have nothing that it sees
    int table_count;
    uint64 blocks;
    double rows;
    uint32 ranges;
};

Extent MeasureTables(List* tables) {
    Extent extent = {};
    extent.tables = static_cast<Range*>(palloc(sizeof(Range) * static_cast<Size>(Max(list_length(tables), 1))));
    ListCell* cell;
    foreach (cell, tables) {
        Relation table = table_open(lfirst_oid(cell), AccessShareLock);
        const BlockNumber blocks = RelationGetNumberOfBlocks(table);
        extent.tables[extent.table_count++] = {RelationGetRelid(table), 0, blocks};
        extent.blocks += blocks;
        extent.ranges += (blocks + kRangeBlocks - 1) / kRangeBlocks;
        BlockNumber pages;
        double rows, visible;
        table_relation_estimate_size(table, nullptr, &pages, &rows, &visible);
        extent.rows += rows;
        table_close(table, NoLock);
    }
    return extent;
}

Size OrderSize(uint32 ranges) { return offsetof(Order, ranges) + sizeof(Range) * ranges; }

void FillOrder(Order* order, const mooncake::MirrorRow* row, const Extent& extent) {
    order->copy = *wanted;
    pg_atomic_init_u32(&order->next, 0);
    pg_atomic_init_u64(&order->scanned, 0);
    order->count = 0;
    for (int i = 0; i < extent.table_count; i++) {
        const Range& table = extent.tables[i];
        for (BlockNumber first = 0; first < table.count; first += Min(kRangeBlocks, table.count - first)) {
            order->ranges[order->count++] = {table.table, first, Min(kRangeBlocks, table.count - first)};
        }
    }
}

// --- one process or several ------------------------------------------------------------------------------------------

int WantedWorkers(const Extent& extent) {
    return Min(mooncake::copy_workers, static_cast<int>(extent.ranges / kRangesPerWorker));
}

// The transaction's snapshot is S; source and members are locked.
void CopyTables(const mooncake::MirrorRow* row, Relation source, List* tables) {
    const Extent extent = MeasureTables(tables);
    const int workers = WantedWorkers(extent);
    BeginCopy(row, source, false);
    copy->begin.estimated_rows = static_cast<uint64_t>(extent.rows);
    copy->begin.estimated_bytes = extent.blocks * BLCKSZ;
    copy->link->Queue(MessageType::kCopyBegin, copy->begin);

    pgstat_progress_start_command(PROGRESS_COMMAND_COPY, RelationGetRelid(source));
    pgstat_progress_update_param(PROGRESS_COPY_COMMAND, PROGRESS_COPY_COMMAND_TO);
    pgstat_progress_update_param(PROGRESS_COPY_BYTES_TOTAL, static_cast<int64>(extent.blocks * BLCKSZ));

    if (workers == 0) {
        auto* order = static_cast<Order*>(palloc(OrderSize(extent.ranges)));
        FillOrder(order, row, extent);
        ScanRanges(order, source, true);
    } else {
        // Those that join must find the copy begun.
        copy->link->FlushAll();
        EnterParallelMode();
        ParallelContext* context = CreateParallelContext("pg_mooncake", "mooncake_copy_parallel", workers);
        shm_toc_estimate_chunk(&context->estimator, OrderSize(extent.ranges));
        shm_toc_estimate_keys(&context->estimator, 1);
        InitializeParallelDSM(context);
        auto* order = static_cast<Order*>(shm_toc_allocate(context->toc, OrderSize(extent.ranges)));
        FillOrder(order, row, extent);
        shm_toc_insert(context->toc, kToc, order);
        LaunchParallelWorkers(context);
        ScanRanges(order, source, true);
        WaitForParallelWorkersToFinish(context);
        DestroyParallelContext(context);
        ExitParallelMode();
    }
    EndCopy();
    pgstat_progress_end_command();
}

// The tables below a source as a snapshot sees them, with the partitioned ones between, the source first.
List* TablesAsOf(Oid source, ::Snapshot snapshot) {
    List* tables = list_make1_oid(source);
    Relation inherits = table_open(InheritsRelationId, AccessShareLock);
    for (int i = 0; i < list_length(tables); i++) {
        ScanKeyData key;
        ScanKeyInit(&key, Anum_pg_inherits_inhparent, BTEqualStrategyNumber, F_OIDEQ,
                    ObjectIdGetDatum(list_nth_oid(tables, i)));
        SysScanDesc scan = systable_beginscan(inherits, InheritsParentIndexId, true, snapshot, 1, &key);
        while (HeapTuple tuple = systable_getnext(scan)) {
            tables = list_append_unique_oid(tables, reinterpret_cast<Form_pg_inherits>(GETSTRUCT(tuple))->inhrelid);
        }
        systable_endscan(scan);
    }
    table_close(inherits, AccessShareLock);
    return tables;
}

// One attempt, in a transaction of its own. False if the source's members changed under its hands.
bool CopyUnderSnapshot() {
    bool settled = true;
    StartTransactionCommand();
    XactIsoLevel = XACT_REPEATABLE_READ;
    XactReadOnly = true;
    const mooncake::MirrorRow* row = mooncake::FindMirror(wanted->mirror);
    Relation source = IsWanted(row) ? try_table_open(row->source, AccessShareLock) : nullptr;
    if (source) {
        List* locked = find_all_inheritors(RelationGetRelid(source), AccessShareLock, nullptr);
        // Waiting for the locks may have changed what there is to do.
        row = mooncake::FindMirror(wanted->mirror);
        if (IsWanted(row)) {
            PushActiveSnapshot(GetTransactionSnapshot());
            List* seen = TablesAsOf(RelationGetRelid(source), GetActiveSnapshot());
            settled = list_difference_oid(seen, locked) == NIL && list_difference_oid(locked, seen) == NIL;
            if (settled) CopyTables(row, source, mooncake::SourceMembers(RelationGetRelid(source), NoLock));
            PopActiveSnapshot();
        }
        table_close(source, NoLock);
    }
    CommitTransactionCommand();
    return settled;
}

void CopyUntilSettled() {
    for (int attempt = 0; !CopyUnderSnapshot(); attempt++) {
        if (attempt == kMemberAttempts) {
            ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                            errmsg("the tables below the source change all the time")));
        }
    }
}

// Whether another attempt would end the same way.
bool IsPermanent(int sqlerrcode) {
    const int category = ERRCODE_TO_CATEGORY(sqlerrcode);
    return category == ERRCODE_TO_CATEGORY(ERRCODE_DATA_EXCEPTION) ||
           category == ERRCODE_TO_CATEGORY(ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION) ||
           category == ERRCODE_TO_CATEGORY(ERRCODE_PROGRAM_LIMIT_EXCEEDED) ||
           category == ERRCODE_TO_CATEGORY(ERRCODE_FEATURE_NOT_SUPPORTED);
}

// With the error's data still in place: notes it in the catalog, for whoever waits for the copy.
[[noreturn]] void NoteFailure() {
    MemoryContextSwitchTo(TopMemoryContext);
    const ErrorData* error = CopyErrorData();
    EmitErrorReport();
    FlushErrorState();
    AbortCurrentTransaction();
    StartTransactionCommand();
    PushActiveSnapshot(GetTransactionSnapshot());
    const bool cancelled = error->sqlerrcode == ERRCODE_QUERY_CANCELED;
    const bool failed = cancelled || IsPermanent(error->sqlerrcode);
    while (mooncake::FailCopy(wanted->mirror, wanted->generation,
                              failed ? mooncake::MirrorState::kError : mooncake::MirrorState::kCopying,
                              cancelled ? "its copy was cancelled" : error->message,
                              !cancelled) == mooncake::ChangeResult::kBusy) {
        // Somebody has locked the mirror. The other failures come again.
        if (!cancelled) break;
        WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, kLockedPauseMs, PG_WAIT_EXTENSION);
        ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
    }
    PopActiveSnapshot();
    CommitTransactionCommand();
    proc_exit(1);
}

}  // namespace

void CopyMain(const mooncake::CopyOrder& order) {
    wanted = &order;
    PinWorkerSettings();
    PG_TRY();
    {
        CopyUntilSettled();
    }
    PG_CATCH();
    {
        NoteFailure();
    }
    PG_END_TRY();
}

void CopyParallelMain(shm_toc* toc) {
    auto* order = static_cast<Order*>(shm_toc_lookup(toc, kToc, false));
    wanted = &order->copy;
    const mooncake::MirrorRow* row = mooncake::FindMirror(wanted->mirror);
    if (!IsWanted(row)) return;
    Relation source = table_open(row->source, AccessShareLock);
    BeginCopy(row, source, true);
    copy->link->Queue(MessageType::kCopyBegin, copy->begin);
    ScanRanges(order, source, false);
    EndCopy();
    table_close(source, NoLock);
}

}  // namespace ivy::capture
