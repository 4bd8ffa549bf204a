// SPDX-License-Identifier: Apache-2.0
//
// The table access method "mooncake": how Postgres's executor sees a mirror.
//
// A mirror has no rows here: they are in the engine. Its file stays empty; it exists because CREATE DATABASE and
// pg_upgrade copy the file of every relation that may have one. Only sequential scans exist, and even they are a last
// resort (COPY TO, and whatever the planner of pg_duckdb leaves alone): pg_duckdb's scan streams all columns. There are
// no row identifiers, hence no indexes, row locks, updates or samples. Whatever writes is refused: by pg_duckdb's
// planner, by ddl.cc, and here row by row (COPY FROM). What maintains storage (vacuum, truncation, copying files) has
// nothing to do.
#include "pg/postgres_api.h"

extern "C" {
#include "access/multixact.h"
#include "access/tableam.h"
#include "catalog/storage.h"
#include "commands/vacuum.h"
#include "executor/tuptable.h"
#include "nodes/execnodes.h"
}

#include "catalog.h"
#include "mirror_relation.h"
#include "provider.h"
#include "source.h"
#include "worker.h"

namespace ivy::mooncake {
namespace {

struct MirrorScan {
    TableScanDescData base;
    ColumnarTableScan* rows;  // null: not begun
    bool empty;               // nothing to read: ANALYZE, or a change of the mirror's own columns
};

[[noreturn]] void RefuseWrite(Relation rel, const char* verb) {
    ColumnRelation mirror;
    const bool known = LookupMirror(RelationGetRelid(rel), &mirror);
    ereport(ERROR, errcode(ERRCODE_WRONG_OBJECT_TYPE),
            errmsg("cannot %s mirror \"%s\"", verb, RelationGetRelationName(rel)),
            known ? errhint("Write to its source table \"%s\".", get_rel_name(mirror.source)) : 0);
    pg_unreachable();
}

[[noreturn]] void RefuseRowAccess(Relation rel, const char* what) {
    ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
            errmsg("mirror \"%s\" does not support %s", RelationGetRelationName(rel), what),
            errdetail("Rows of a mirror have no physical address."));
    pg_unreachable();
}

[[noreturn]] void RefuseParallel(Relation rel) { RefuseRowAccess(rel, "parallel scans"); }

const TupleTableSlotOps* slot_callbacks(Relation) { return &TTSOpsVirtual; }

// --- scans -----------------------------------------------------------------------------------------------------------

TableScanDesc scan_begin(Relation rel, ::Snapshot snapshot, int nkeys, ScanKeyData* key, ParallelTableScanDesc parallel,
                         uint32 flags) {
    if (parallel) RefuseParallel(rel);
    if (nkeys != 0) elog(ERROR, "scan keys are not supported on mirrors");
    auto* scan = static_cast<MirrorScan*>(palloc0(sizeof(MirrorScan)));
    RelationIncrementReferenceCount(rel);
    scan->base.rs_rd = rel;
    scan->base.rs_snapshot = snapshot;
    scan->base.rs_flags = flags;
    scan->empty = (flags & SO_TYPE_ANALYZE) != 0 || ChangingMirror();
    return &scan->base;
}

void CloseRows(MirrorScan* scan) {
    if (!scan->rows) return;
    ColumnarTableScan* rows = scan->rows;
    scan->rows = nullptr;
    Api().end_table_scan(rows);
}

void scan_end(TableScanDesc base) {
    auto* scan = reinterpret_cast<MirrorScan*>(base);
    CloseRows(scan);
    if (base->rs_flags & SO_TEMP_SNAPSHOT) UnregisterSnapshot(base->rs_snapshot);
    RelationDecrementReferenceCount(base->rs_rd);
    pfree(scan);
}

void scan_rescan(TableScanDesc base, ScanKeyData*, bool, bool, bool, bool) {
    CloseRows(reinterpret_cast<MirrorScan*>(base));
}

bool scan_getnextslot(TableScanDesc base, ScanDirection direction, TupleTableSlot* slot) {
    auto* scan = reinterpret_cast<MirrorScan*>(base);
    ExecClearTuple(slot);
    if (scan->empty) return false;
    if (!ScanDirectionIsForward(direction)) RefuseRowAccess(base->rs_rd, "backward scans");
    if (!scan->rows && !FindMirror(RelationGetRelid(base->rs_rd))) {
        ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                errmsg("\"%s\" is a mirror without a source", RelationGetRelationName(base->rs_rd)),
                errdetail("It was restored from a dump without the rows of \"mooncake.mirrors\"."),
                errhint("Drop it and make it again with CALL mooncake.create_table."));
    }
    if (!scan->rows) scan->rows = Api().begin_table_scan(base->rs_rd, base->rs_snapshot);
    return Api().next_table_row(scan->rows, slot);
}

Size parallelscan_estimate(Relation rel) { RefuseParallel(rel); }
Size parallelscan_initialize(Relation rel, ParallelTableScanDesc) { RefuseParallel(rel); }
void parallelscan_reinitialize(Relation rel, ParallelTableScanDesc) { RefuseParallel(rel); }

bool scan_bitmap_next_tuple(TableScanDesc base, TupleTableSlot*, bool*, uint64*, uint64*) {
    RefuseRowAccess(base->rs_rd, "bitmap scans");
}
bool scan_sample_next_block(TableScanDesc base, SampleScanState*) { RefuseRowAccess(base->rs_rd, "TABLESAMPLE"); }
bool scan_sample_next_tuple(TableScanDesc base, SampleScanState*, TupleTableSlot*) {
    RefuseRowAccess(base->rs_rd, "TABLESAMPLE");
}

// The source's statistics serve (pg_duckdb gives them to the planner), so ANALYZE finds nothing to read.
bool scan_analyze_next_block(TableScanDesc, ReadStream*) { return false; }
bool scan_analyze_next_tuple(TableScanDesc, TransactionId, double*, double*, TupleTableSlot*) { return false; }

// --- access by address -----------------------------------------------------------------------------------------------

IndexFetchTableData* index_fetch_begin(Relation rel) { RefuseRowAccess(rel, "index scans"); }
void index_fetch_reset(IndexFetchTableData*) {}
void index_fetch_end(IndexFetchTableData*) {}
bool index_fetch_tuple(IndexFetchTableData* fetch, ItemPointer, ::Snapshot, TupleTableSlot*, bool*, bool*) {
    RefuseRowAccess(fetch->rel, "index scans");
}
bool tuple_fetch_row_version(Relation rel, ItemPointer, ::Snapshot, TupleTableSlot*) {
    RefuseRowAccess(rel, "access by ctid");
}
bool tuple_tid_valid(TableScanDesc base, ItemPointer) { RefuseRowAccess(base->rs_rd, "access by ctid"); }
void tuple_get_latest_tid(TableScanDesc base, ItemPointer) { RefuseRowAccess(base->rs_rd, "access by ctid"); }
bool tuple_satisfies_snapshot(Relation rel, TupleTableSlot*, ::Snapshot) { RefuseRowAccess(rel, "visibility checks"); }
TransactionId index_delete_tuples(Relation rel, TM_IndexDeleteOp*) { RefuseRowAccess(rel, "indexes"); }
double index_build_range_scan(Relation rel, Relation, IndexInfo*, bool, bool, bool, BlockNumber, BlockNumber,
                              IndexBuildCallback, void*, TableScanDesc) {
    RefuseRowAccess(rel, "indexes");
}
void index_validate_scan(Relation rel, Relation, IndexInfo*, ::Snapshot, ValidateIndexState*) {
    RefuseRowAccess(rel, "indexes");
}

// --- writes ----------------------------------------------------------------------------------------------------------

void tuple_insert(Relation rel, TupleTableSlot*, CommandId, int, BulkInsertStateData*) {
    RefuseWrite(rel, "insert into");
}
void tuple_insert_speculative(Relation rel, TupleTableSlot*, CommandId, int, BulkInsertStateData*, uint32) {
    RefuseWrite(rel, "insert into");
}
void tuple_complete_speculative(Relation rel, TupleTableSlot*, uint32, bool) { RefuseWrite(rel, "insert into"); }
void multi_insert(Relation rel, TupleTableSlot**, int, CommandId, int, BulkInsertStateData*) {
    RefuseWrite(rel, "insert into");
}
TM_Result tuple_delete(Relation rel, ItemPointer, CommandId, ::Snapshot, ::Snapshot, bool, TM_FailureData*, bool) {
    RefuseWrite(rel, "delete from");
}
TM_Result tuple_update(Relation rel, ItemPointer, TupleTableSlot*, CommandId, ::Snapshot, ::Snapshot, bool,
                       TM_FailureData*, LockTupleMode*, TU_UpdateIndexes*) {
    RefuseWrite(rel, "update");
}
TM_Result tuple_lock(Relation rel, ItemPointer, ::Snapshot, TupleTableSlot*, CommandId, LockTupleMode, LockWaitPolicy,
                     uint8, TM_FailureData*) {
    RefuseRowAccess(rel, "row locks");
}

// --- storage: one file that stays empty ------------------------------------------------------------------------------

void relation_set_new_filelocator(Relation rel, const RelFileLocator* locator, char persistence,
                                  TransactionId* freeze_xid, MultiXactId* min_multi) {
    if (persistence != RELPERSISTENCE_PERMANENT) {
        ereport(ERROR, errcode(ERRCODE_INVALID_TABLE_DEFINITION),
                errmsg("mirror \"%s\" can't be temporary or unlogged", RelationGetRelationName(rel)));
    }
    *freeze_xid = InvalidTransactionId;
    *min_multi = InvalidMultiXactId;
    RelationCreateStorage(*locator, persistence, true);
}
void relation_nontransactional_truncate(Relation) {}
void relation_copy_data(Relation rel, const RelFileLocator* locator) {
    RelationCreateStorage(*locator, rel->rd_rel->relpersistence, true);
    RelationDropStorage(rel);
}
void relation_copy_for_cluster(Relation, Relation, Relation, bool, TransactionId, TransactionId*, MultiXactId*,
                               double* tuples, double* vacuumed, double* recently_dead) {
    *tuples = *vacuumed = *recently_dead = 0;
}
void relation_vacuum(Relation, VacuumParams*, BufferAccessStrategy) {}
uint64 relation_size(Relation, ForkNumber) { return 0; }
bool relation_needs_toast_table(Relation) { return false; }

// A mirror is as large as its source.
void relation_estimate_size(Relation rel, int32* widths, BlockNumber* pages, double* tuples, double* all_visible) {
    *pages = 1;
    *tuples = 1;
    *all_visible = 0;
    ColumnRelation mirror;
    if (!LookupMirror(RelationGetRelid(rel), &mirror)) return;
    *pages = 0;
    *tuples = 0;
    ListCell* cell;
    foreach (cell, SourceMembers(mirror.source, NoLock)) {
        Relation table = try_table_open(lfirst_oid(cell), AccessShareLock);
        if (!table) continue;
        BlockNumber table_pages;
        double table_tuples, visible;
        table_relation_estimate_size(table, widths, &table_pages, &table_tuples, &visible);
        *pages += table_pages;
        *tuples += table_tuples;
        table_close(table, AccessShareLock);
    }
}

const TableAmRoutine kRoutine = {
    .type = T_TableAmRoutine,
    .slot_callbacks = slot_callbacks,
    .scan_begin = scan_begin,
    .scan_end = scan_end,
    .scan_rescan = scan_rescan,
    .scan_getnextslot = scan_getnextslot,
    .parallelscan_estimate = parallelscan_estimate,
    .parallelscan_initialize = parallelscan_initialize,
    .parallelscan_reinitialize = parallelscan_reinitialize,
    .index_fetch_begin = index_fetch_begin,
    .index_fetch_reset = index_fetch_reset,
    .index_fetch_end = index_fetch_end,
    .index_fetch_tuple = index_fetch_tuple,
    .tuple_fetch_row_version = tuple_fetch_row_version,
    .tuple_tid_valid = tuple_tid_valid,
    .tuple_get_latest_tid = tuple_get_latest_tid,
    .tuple_satisfies_snapshot = tuple_satisfies_snapshot,
    .index_delete_tuples = index_delete_tuples,
    .tuple_insert = tuple_insert,
    .tuple_insert_speculative = tuple_insert_speculative,
    .tuple_complete_speculative = tuple_complete_speculative,
    .multi_insert = multi_insert,
    .tuple_delete = tuple_delete,
    .tuple_update = tuple_update,
    .tuple_lock = tuple_lock,
    .relation_set_new_filelocator = relation_set_new_filelocator,
    .relation_nontransactional_truncate = relation_nontransactional_truncate,
    .relation_copy_data = relation_copy_data,
    .relation_copy_for_cluster = relation_copy_for_cluster,
    .relation_vacuum = relation_vacuum,
    .scan_analyze_next_block = scan_analyze_next_block,
    .scan_analyze_next_tuple = scan_analyze_next_tuple,
    .index_build_range_scan = index_build_range_scan,
    .index_validate_scan = index_validate_scan,
    .relation_size = relation_size,
    .relation_needs_toast_table = relation_needs_toast_table,
    .relation_estimate_size = relation_estimate_size,
    .scan_bitmap_next_tuple = scan_bitmap_next_tuple,
    .scan_sample_next_block = scan_sample_next_block,
    .scan_sample_next_tuple = scan_sample_next_tuple,
};

}  // namespace
}  // namespace ivy::mooncake

extern "C" {

PG_FUNCTION_INFO_V1(mooncake_table_handler);
Datum mooncake_table_handler(PG_FUNCTION_ARGS) { PG_RETURN_POINTER(&ivy::mooncake::kRoutine); }
}
