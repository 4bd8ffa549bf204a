// SPDX-License-Identifier: Apache-2.0
// Changing mooncake.mirrors and mooncake.dropped, tuple by tuple.
#include "catalog.h"

extern "C" {
#include "access/stratnum.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_depend.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"
}

#include "catalog_rows.h"
#include "launcher.h"
#include "location.h"
#include "mirror_access.h"

namespace ivy::mooncake {

using namespace rows;

Datum rows::TextsDatum(const List* texts) {
    Datum* datums = static_cast<Datum*>(palloc(sizeof(Datum) * Max(list_length(texts), 1)));
    int count = 0;
    ListCell* cell;
    foreach (cell, texts) datums[count++] = CStringGetTextDatum(static_cast<const char*>(lfirst(cell)));
    return PointerGetDatum(construct_array_builtin(datums, count, TEXTOID));
}

namespace {

// A mirror that has failed is copied anew after these pauses, one for each failure in a row; then it waits for somebody,
// or goes on with the last pause if its files are on the network: a server may be away for days. A failure so much later
// than the one before begins a new row.
constexpr int64 kRetryPausesMs[] = {1000, 10 * 1000, 60 * 1000, 300 * 1000, 1800 * 1000, 3600 * 1000, 3600 * 1000};
constexpr int kForgetFailuresMs = 6 * 3600 * 1000;

Datum Int16sDatum(const int16* values, int count) {
    Datum* datums = static_cast<Datum*>(palloc(sizeof(Datum) * Max(count, 1)));
    for (int i = 0; i < count; i++) datums[i] = Int16GetDatum(values[i]);
    return PointerGetDatum(construct_array_builtin(datums, count, INT2OID));
}

// Changing a tuple whose long texts are stored apart needs an active snapshot; workers and commit have none.
bool PushSnapshotIfNone() {
    if (ActiveSnapshotSet()) return false;
    PushActiveSnapshot(GetTransactionSnapshot());
    return true;
}

void Update(Relation mirrors, HeapTuple tuple, RowBuffer* row) {
    const bool pushed = PushSnapshotIfNone();
    HeapTuple changed = heap_modify_tuple(tuple, RelationGetDescr(mirrors), row->values, row->nulls, row->replace);
    CatalogTupleUpdate(mirrors, &tuple->t_self, changed);
    heap_freetuple(changed);
    if (pushed) PopActiveSnapshot();
}

void Delete(Relation rel, HeapTuple tuple) {
    const bool pushed = PushSnapshotIfNone();
    CatalogTupleDelete(rel, &tuple->t_self);
    if (pushed) PopActiveSnapshot();
}

// Makes cached plans that use the mirror, and the cached row of it, be looked at again, here and in other backends.
void InvalidateMirror(Oid mirror) {
    if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(mirror))) CacheInvalidateRelcacheByRelid(mirror);
}

// For the workers' changes: the open table and a tuple that nobody else changes until the end of the transaction.
struct LockedMirror {
    Relation mirrors;
    HeapTuple tuple;
    MirrorRow* row;
};

ChangeResult LockMirror(Oid mirror, LockedMirror* out) {
    if (!ConditionalLockRelationOid(mirror, ShareUpdateExclusiveLock)) return ChangeResult::kBusy;
    out->mirrors = OpenTable("mirrors", RowExclusiveLock);
    if (!out->mirrors) return ChangeResult::kGone;
    if (!FetchMirror(out->mirrors, mirror, &out->tuple, &out->row)) {
        table_close(out->mirrors, RowExclusiveLock);
        return ChangeResult::kGone;
    }
    return ChangeResult::kDone;
}

void NoteDropped(Oid mirror, const char* location) {
    Relation dropped = OpenTable("dropped", RowExclusiveLock);
    if (!dropped) return;
    Datum values[kDroppedColumns];
    bool nulls[kDroppedColumns] = {};
    values[kDroppedLocation - 1] = CStringGetTextDatum(location);
    values[kDroppedMirror - 1] = ObjectIdGetDatum(mirror);
    values[kDroppedTime - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
    const Oid owner = OwnerOf(mirror);
    values[kDroppedOwner - 1] = ObjectIdGetDatum(OidIsValid(owner) ? owner : GetUserId());
    nulls[kDroppedError - 1] = true;
    HeapTuple tuple = heap_form_tuple(RelationGetDescr(dropped), values, nulls);
    CatalogTupleInsert(dropped, tuple);
    heap_freetuple(tuple);
    table_close(dropped, RowExclusiveLock);
}

// A mirror goes with its source. The dependency is missing only in a cluster made by pg_upgrade.
void EnsureDependency(Oid mirror, Oid source) {
    ScanKeyData keys[2];
    bool found = false;
    Relation depend = table_open(DependRelationId, AccessShareLock);
    ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(RelationRelationId));
    ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(mirror));
    SysScanDesc scan = systable_beginscan(depend, DependDependerIndexId, true, nullptr, 2, keys);
    while (HeapTuple tuple = systable_getnext(scan)) {
        const auto* form = reinterpret_cast<Form_pg_depend>(GETSTRUCT(tuple));
        if (form->refclassid == RelationRelationId && form->refobjid == source && form->refobjsubid == 0) found = true;
    }
    systable_endscan(scan);
    table_close(depend, AccessShareLock);
    if (found) return;

    ObjectAddress depender, referenced;
    ObjectAddressSet(depender, RelationRelationId, mirror);
    ObjectAddressSet(referenced, RelationRelationId, source);
    recordDependencyOn(&depender, &referenced, DEPENDENCY_NORMAL);
}

void Fail(Relation mirrors, HeapTuple tuple, const MirrorRow* old, MirrorState state, const char* error, bool retry) {
    RowBuffer row = {};
    row.SetText(kState, MirrorStateName(state));
    row.SetText(kError, error);
    row.SetNull(kRetryAt);
    if (state == MirrorState::kError && retry) {
        const TimestampTz now = GetCurrentTimestamp();
        const bool in_a_row = old->failed != 0 && !TimestampDifferenceExceeds(old->failed, now, kForgetFailuresMs);
        const int failures = in_a_row ? old->failures + 1 : 1;
        row.Set(kFailures, Int32GetDatum(failures));
        row.Set(kFailed, TimestampTzGetDatum(now));
        constexpr int kPauses = lengthof(kRetryPausesMs);
        if (failures <= kPauses || IsNetworkLocation(old->location)) {
            const int64 pause = kRetryPausesMs[Min(failures, kPauses) - 1];
            row.Set(kRetryAt, TimestampTzGetDatum(TimestampTzPlusMilliseconds(now, pause)));
        }
    }
    Update(mirrors, tuple, &row);
    InvalidateMirror(old->mirror);
}

void Restart(Relation mirrors, HeapTuple tuple, const MirrorRow* old, const char* reason) {
    const int generation = old->generation + 1;
    RowBuffer row = {};
    row.SetText(kState, MirrorStateName(MirrorState::kCopying));
    row.Set(kGeneration, Int32GetDatum(generation));
    row.SetText(kLocation, MirrorLocation(old->mirror, generation, old->options.warehouse));
    row.SetNull(kMetadataLocation);
    row.SetNull(kPreviousMetadataLocation);
    row.SetNull(kFlushedLsn);
    row.SetNull(kCopySnapshot);
    row.Set(kKey, Int16sDatum(old->key, old->key_count));
    row.SetNull(kInexact);
    row.Set(kRowCount, Int64GetDatum(0));
    row.Set(kByteCount, Int64GetDatum(0));
    row.SetNull(kError);
    row.SetNull(kPublished);
    row.SetNull(kRetryAt);
    Update(mirrors, tuple, &row);
    if (OwnsLocation(old->location)) NoteDropped(old->mirror, old->location);
    if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(old->source))) EnsureDependency(old->mirror, old->source);
    InvalidateMirror(old->mirror);
    WakeWorkerAtCommit();
    ereport(LOG, errmsg("mirror \"%s\" is to be copied anew: %s", get_rel_name(old->mirror), reason));
}

}  // namespace

ChangeResult PublishMirror(const Publication& publication) {
    LockedMirror locked;
    const ChangeResult result = LockMirror(publication.mirror, &locked);
    if (result != ChangeResult::kDone) return result;

    const MirrorRow* old = locked.row;
    const char* current = old->metadata_location ? old->metadata_location : "";
    const char* expected = publication.previous_metadata_location ? publication.previous_metadata_location : "";
    const size_t folder = strlen(old->location);
    const bool ours = strncmp(publication.metadata_location, old->location, folder) == 0 &&
                      publication.metadata_location[folder] == '/';
    const bool serves = old->state == MirrorState::kLive || old->state == MirrorState::kCopying;
    if (!ours || !serves || strcmp(current, expected) != 0) {
        table_close(locked.mirrors, RowExclusiveLock);
        return ChangeResult::kGone;
    }

    RowBuffer row = {};
    row.SetText(kMetadataLocation, publication.metadata_location);
    row.SetText(kPreviousMetadataLocation, old->metadata_location);
    row.Set(kFlushedLsn, LSNGetDatum(publication.flushed_lsn));
    row.Set(kRowCount, Int64GetDatum(static_cast<int64>(publication.rows)));
    row.Set(kByteCount, Int64GetDatum(static_cast<int64>(publication.bytes)));
    row.Set(kPublished, TimestampTzGetDatum(GetCurrentTimestamp()));
    if (publication.copy_snapshot) {
        row.SetText(kCopySnapshot, publication.copy_snapshot);
        row.SetText(kState, MirrorStateName(MirrorState::kLive));
        row.SetNull(kError);
        InvalidateMirror(publication.mirror);
    }
    Update(locked.mirrors, locked.tuple, &row);
    table_close(locked.mirrors, RowExclusiveLock);
    return ChangeResult::kDone;
}

static ChangeResult FailIf(Oid mirror, int generation, bool copying, MirrorState state, const char* error, bool retry) {
    LockedMirror locked;
    ChangeResult result = LockMirror(mirror, &locked);
    if (result != ChangeResult::kDone) return result;
    if (locked.row->generation == generation && (!copying || locked.row->state == MirrorState::kCopying)) {
        Fail(locked.mirrors, locked.tuple, locked.row, state, error, retry);
        WakeWorkerAtCommit();
    } else {
        result = ChangeResult::kGone;
    }
    table_close(locked.mirrors, RowExclusiveLock);
    return result;
}

ChangeResult FailMirror(Oid mirror, int generation, MirrorState state, const char* error, bool retry) {
    return FailIf(mirror, generation, false, state, error, retry);
}

ChangeResult FailCopy(Oid mirror, int generation, MirrorState state, const char* error, bool retry) {
    return FailIf(mirror, generation, true, state, error, retry);
}

ChangeResult RestartCopy(Oid mirror, const char* reason) {
    LockedMirror locked;
    const ChangeResult result = LockMirror(mirror, &locked);
    if (result != ChangeResult::kDone) return result;
    Restart(locked.mirrors, locked.tuple, locked.row, reason);
    table_close(locked.mirrors, RowExclusiveLock);
    return ChangeResult::kDone;
}

ChangeResult MarkInexact(Oid mirror, const int16* columns, int count) {
    LockedMirror locked;
    const ChangeResult result = LockMirror(mirror, &locked);
    if (result != ChangeResult::kDone) return result;

    const MirrorRow* old = locked.row;
    auto* all = static_cast<int16*>(palloc(sizeof(int16) * (old->inexact_count + count)));
    int all_count = 0;
    for (int i = 0; i < old->inexact_count + count; i++) {
        const int16 column = i < old->inexact_count ? old->inexact[i] : columns[i - old->inexact_count];
        bool known = false;
        for (int j = 0; j < all_count; j++) known = known || all[j] == column;
        if (!known) all[all_count++] = column;
    }
    if (all_count > old->inexact_count) {
        RowBuffer row = {};
        row.Set(kInexact, Int16sDatum(all, all_count));
        Update(locked.mirrors, locked.tuple, &row);
        InvalidateMirror(mirror);
    }
    table_close(locked.mirrors, RowExclusiveLock);
    return ChangeResult::kDone;
}

void NoteDroppedError(const char* location, const char* error) {
    Relation dropped = OpenTable("dropped", RowExclusiveLock);
    if (!dropped) return;
    TupleDesc desc = RelationGetDescr(dropped);
    SysScanDesc scan = systable_beginscan(dropped, InvalidOid, false, nullptr, 0, nullptr);
    while (HeapTuple tuple = systable_getnext(scan)) {
        if (strcmp(TextAt(tuple, desc, kDroppedLocation), location) != 0) continue;
        Datum values[kDroppedColumns] = {};
        bool nulls[kDroppedColumns] = {}, replace[kDroppedColumns] = {};
        values[kDroppedError - 1] = CStringGetTextDatum(error);
        replace[kDroppedError - 1] = true;
        const bool pushed = PushSnapshotIfNone();
        CatalogTupleUpdate(dropped, &tuple->t_self, heap_modify_tuple(tuple, desc, values, nulls, replace));
        if (pushed) PopActiveSnapshot();
    }
    systable_endscan(scan);
    table_close(dropped, RowExclusiveLock);
}

void ForgetDropped(const char* location) {
    Relation dropped = OpenTable("dropped", RowExclusiveLock);
    if (!dropped) return;
    SysScanDesc scan = systable_beginscan(dropped, InvalidOid, false, nullptr, 0, nullptr);
    while (HeapTuple tuple = systable_getnext(scan)) {
        if (strcmp(TextAt(tuple, RelationGetDescr(dropped), kDroppedLocation), location) == 0) {
            Delete(dropped, tuple);
        }
    }
    systable_endscan(scan);
    table_close(dropped, RowExclusiveLock);
}

void InsertMirror(Oid mirror, Oid source, const int16* key, int key_count, const MirrorOptions& options) {
    Relation mirrors = OpenTable("mirrors", RowExclusiveLock);
    if (!mirrors) ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("extension \"pg_mooncake\" does not exist"));
    RowBuffer row = {};
    memset(row.nulls, true, sizeof row.nulls);
    row.Set(kMirror, ObjectIdGetDatum(mirror));
    row.Set(kSource, ObjectIdGetDatum(source));
    row.SetText(kState, MirrorStateName(MirrorState::kCopying));
    row.Set(kGeneration, Int32GetDatum(1));
    row.Set(kFormatVersion, Int16GetDatum(static_cast<int16>(options.format_version)));
    row.SetText(kLocation, MirrorLocation(mirror, 1, options.warehouse));
    row.Set(kKey, Int16sDatum(key, key_count));
    row.Set(kRowCount, Int64GetDatum(0));
    row.Set(kByteCount, Int64GetDatum(0));
    row.Set(kCreated, TimestampTzGetDatum(GetCurrentTimestamp()));
    row.Set(kFailures, Int32GetDatum(0));
    row.SetText(kIdentity, IdentityName(options.identity));
    row.SetTexts(kStoredColumns, options.columns);
    row.SetCount(kFlushIntervalMs, options.flush_interval_ms);
    row.SetCount(kFlushRows, options.flush_rows);
    row.SetCount(kFlushBytes, options.flush_bytes);
    row.SetText(kWarehouse, options.warehouse);
    row.SetTexts(kSortColumns, options.sort_columns);
    row.SetScales(kNumericScale, options.numeric_scales);
    HeapTuple tuple = heap_form_tuple(RelationGetDescr(mirrors), row.values, row.nulls);
    CatalogTupleInsert(mirrors, tuple);
    heap_freetuple(tuple);
    table_close(mirrors, RowExclusiveLock);
    EnsureDependency(mirror, source);
    InvalidateMirror(mirror);
    WakeWorkerAtCommit();
}

bool DeleteMirror(Oid mirror) {
    Relation mirrors = OpenTable("mirrors", RowExclusiveLock);
    if (!mirrors) return false;
    HeapTuple tuple;
    MirrorRow* row;
    const bool found = FetchMirror(mirrors, mirror, &tuple, &row);
    if (found) {
        if (OwnsLocation(row->location)) NoteDropped(mirror, row->location);
        Delete(mirrors, tuple);
        WakeWorkerAtCommit();
    }
    table_close(mirrors, RowExclusiveLock);
    return found;
}

void FailMirrorLocked(Oid mirror, const char* error) {
    CommandCounterIncrement();
    Relation mirrors = OpenTable("mirrors", RowExclusiveLock);
    if (!mirrors) return;
    HeapTuple tuple;
    MirrorRow* row;
    if (FetchMirror(mirrors, mirror, &tuple, &row)) {
        Fail(mirrors, tuple, row, MirrorState::kError, error, false);
        WakeWorkerAtCommit();
        CommandCounterIncrement();
    }
    table_close(mirrors, RowExclusiveLock);
}

void RestartCopyLocked(Oid mirror, const int16* key, int key_count, const char* reason) {
    CommandCounterIncrement();
    Relation mirrors = OpenTable("mirrors", RowExclusiveLock);
    if (!mirrors) return;
    HeapTuple tuple;
    MirrorRow* old;
    if (FetchMirror(mirrors, mirror, &tuple, &old)) {
        old->key = key;
        old->key_count = key_count;
        Restart(mirrors, tuple, old, reason);
        CommandCounterIncrement();
    }
    table_close(mirrors, RowExclusiveLock);
}

void SetOptionColumns(Oid mirror, const MirrorOptions& options) {
    Relation mirrors = OpenTable("mirrors", RowExclusiveLock);
    if (!mirrors) return;
    HeapTuple tuple;
    MirrorRow* old;
    if (FetchMirror(mirrors, mirror, &tuple, &old)) {
        RowBuffer row = {};
        row.SetTexts(kStoredColumns, options.columns);
        row.SetTexts(kSortColumns, options.sort_columns);
        row.SetScales(kNumericScale, options.numeric_scales);
        Update(mirrors, tuple, &row);
        InvalidateMirror(mirror);
        CommandCounterIncrement();
    }
    table_close(mirrors, RowExclusiveLock);
}

}  // namespace ivy::mooncake
