// SPDX-License-Identifier: Apache-2.0
// Reading and writing of mooncake.mirrors and mooncake.dropped, tuple by tuple.
#include "catalog.h"

extern "C" {
#include "access/genam.h"
#include "access/stratnum.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_namespace.h"
#include "commands/extension.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/pg_lsn.h"
#include "utils/relcache.h"
#include "utils/timestamp.h"
}

#include <cinttypes>

#include "launcher.h"

namespace ivy::mooncake {
namespace {

// Columns of mooncake.mirrors: the order in sql/catalog.sql.
enum : AttrNumber {
    kMirror = 1,
    kSource,
    kState,
    kGeneration,
    kFormatVersion,
    kLocation,
    kMetadataLocation,
    kPreviousMetadataLocation,
    kFlushedLsn,
    kCopySnapshot,
    kKey,
    kInexact,
    kRowCount,
    kByteCount,
    kError,
    kCreated,
    kPublished,
    kFailures,
    kFailed,
    kRetryAt,
    kMirrorColumns = kRetryAt
};

// Columns of mooncake.dropped.
enum : AttrNumber { kDroppedLocation = 1, kDroppedMirror, kDroppedTime, kDroppedColumns = kDroppedTime };

// A mirror that has failed is copied anew after these pauses, one for each failure in a row; then it waits for
// somebody. A failure so much later than the one before begins a new row.
constexpr int64 kRetryPausesMs[] = {1000, 10 * 1000, 60 * 1000, 300 * 1000, 1800 * 1000, 3600 * 1000, 3600 * 1000};
constexpr int kForgetFailuresMs = 6 * 3600 * 1000;

// A row under construction or change: values, NULLs, and which columns an update replaces.
struct RowBuffer {
    Datum values[kMirrorColumns];
    bool nulls[kMirrorColumns];
    bool replace[kMirrorColumns];

    void Set(AttrNumber column, Datum value) {
        values[column - 1] = value;
        nulls[column - 1] = false;
        replace[column - 1] = true;
    }
    void SetNull(AttrNumber column) {
        values[column - 1] = Datum{0};
        nulls[column - 1] = true;
        replace[column - 1] = true;
    }
    void SetText(AttrNumber column, const char* text) {
        if (text) {
            Set(column, CStringGetTextDatum(text));
        } else {
            SetNull(column);
        }
    }
};

Oid TableOid(const char* name) {
    if (!ExtensionExists()) return InvalidOid;
    const Oid schema = get_namespace_oid("mooncake", true);
    return OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;
}

// Opens one of our tables; null if the extension does not exist (any more).
Relation OpenTable(const char* name, LOCKMODE lockmode) {
    const Oid relid = TableOid(name);
    return OidIsValid(relid) ? try_table_open(relid, lockmode) : nullptr;
}

// The index on a column other than the primary key's, or InvalidOid (then the scan is sequential).
Oid SourceIndex(Relation mirrors) { return get_relname_relid("mirrors_source", RelationGetNamespace(mirrors)); }

SysScanDesc BeginScan(Relation rel, Oid index, AttrNumber column, Oid value, ScanKeyData* key) {
    ScanKeyInit(key, column, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(value));
    return systable_beginscan(rel, index, OidIsValid(index), nullptr, 1, key);
}

SysScanDesc ScanForMirror(Relation mirrors, Oid mirror, ScanKeyData* key) {
    return BeginScan(mirrors, RelationGetPrimaryKeyIndex(mirrors, false), kMirror, mirror, key);
}

const char* TextAt(HeapTuple tuple, TupleDesc desc, AttrNumber column) {
    bool null;
    const Datum value = heap_getattr(tuple, column, desc, &null);
    return null ? nullptr : TextDatumGetCString(value);
}

Datum DatumAt(HeapTuple tuple, TupleDesc desc, AttrNumber column) {
    bool null;
    const Datum value = heap_getattr(tuple, column, desc, &null);
    return null ? Datum{0} : value;
}

const int16* Int16sAt(HeapTuple tuple, TupleDesc desc, AttrNumber column, int* count) {
    bool null;
    const Datum value = heap_getattr(tuple, column, desc, &null);
    *count = 0;
    if (null) return nullptr;
    ArrayType* array = DatumGetArrayTypePCopy(value);
    if (ARR_NDIM(array) != 1 || ARR_HASNULL(array) || ARR_ELEMTYPE(array) != INT2OID) return nullptr;
    *count = ARR_DIMS(array)[0];
    return reinterpret_cast<const int16*>(ARR_DATA_PTR(array));
}

Datum Int16sDatum(const int16* values, int count) {
    Datum* datums = static_cast<Datum*>(palloc(sizeof(Datum) * Max(count, 1)));
    for (int i = 0; i < count; i++) datums[i] = Int16GetDatum(values[i]);
    return PointerGetDatum(construct_array_builtin(datums, count, INT2OID));
}

MirrorState StateFromName(const char* name) {
    for (const MirrorState state : {MirrorState::kCopying, MirrorState::kLive, MirrorState::kError}) {
        if (strcmp(name, MirrorStateName(state)) == 0) return state;
    }
    return MirrorState::kStale;
}

MirrorRow* RowFromTuple(HeapTuple tuple, TupleDesc desc) {
    auto* row = static_cast<MirrorRow*>(palloc0(sizeof(MirrorRow)));
    row->mirror = DatumGetObjectId(DatumAt(tuple, desc, kMirror));
    row->source = DatumGetObjectId(DatumAt(tuple, desc, kSource));
    row->state = StateFromName(TextAt(tuple, desc, kState));
    row->generation = DatumGetInt32(DatumAt(tuple, desc, kGeneration));
    row->format_version = DatumGetInt16(DatumAt(tuple, desc, kFormatVersion));
    row->location = TextAt(tuple, desc, kLocation);
    row->metadata_location = TextAt(tuple, desc, kMetadataLocation);
    row->previous_metadata_location = TextAt(tuple, desc, kPreviousMetadataLocation);
    row->flushed_lsn = DatumGetLSN(DatumAt(tuple, desc, kFlushedLsn));
    row->copy_snapshot = TextAt(tuple, desc, kCopySnapshot);
    row->key = Int16sAt(tuple, desc, kKey, &row->key_count);
    row->inexact = Int16sAt(tuple, desc, kInexact, &row->inexact_count);
    row->rows = static_cast<uint64>(DatumGetInt64(DatumAt(tuple, desc, kRowCount)));
    row->bytes = static_cast<uint64>(DatumGetInt64(DatumAt(tuple, desc, kByteCount)));
    row->error = TextAt(tuple, desc, kError);
    row->failures = DatumGetInt32(DatumAt(tuple, desc, kFailures));
    row->failed = DatumGetTimestampTz(DatumAt(tuple, desc, kFailed));
    row->retry_at = DatumGetTimestampTz(DatumAt(tuple, desc, kRetryAt));
    return row;
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

// The tuple of a mirror in an open table (a copy) and what it says; false if there is none. The row is made while the
// scan is open: long texts are fetched under its snapshot.
bool FetchMirror(Relation mirrors, Oid mirror, HeapTuple* copy, MirrorRow** row) {
    ScanKeyData key;
    SysScanDesc scan = ScanForMirror(mirrors, mirror, &key);
    HeapTuple tuple = systable_getnext(scan);
    const bool found = HeapTupleIsValid(tuple);
    if (found) {
        *copy = heap_copytuple(tuple);
        *row = RowFromTuple(tuple, RelationGetDescr(mirrors));
    }
    systable_endscan(scan);
    return found;
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
        if (failures <= static_cast<int>(lengthof(kRetryPausesMs))) {
            const int64 pause = kRetryPausesMs[failures - 1];
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
    row.SetText(kLocation, MirrorLocation(old->mirror, generation));
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

const char* MirrorStateName(MirrorState state) {
    switch (state) {
        case MirrorState::kCopying:
            return "copying";
        case MirrorState::kLive:
            return "live";
        case MirrorState::kError:
            return "error";
        case MirrorState::kStale:
            return "stale";
    }
    return "error";
}

char* SnapshotToText(const Snapshot& snapshot) {
    StringInfoData text;
    initStringInfo(&text);
    appendStringInfo(&text, "%" PRIu64 ":%" PRIu64 ":", snapshot.xmin, snapshot.xmax);
    for (size_t i = 0; i < snapshot.xip.size(); i++) {
        appendStringInfo(&text, "%s%" PRIu64, i == 0 ? "" : ",", snapshot.xip[i]);
    }
    return text.data;
}

bool SnapshotFromText(const char* text, Snapshot* out) {
    char* end;
    out->xip.clear();
    out->xmin = strtou64(text, &end, 10);
    if (end == text || *end != ':') return false;
    text = end + 1;
    out->xmax = strtou64(text, &end, 10);
    if (end == text || *end != ':') return false;
    text = end + 1;
    while (*text != '\0') {
        const Xid xid = strtou64(text, &end, 10);
        if (end == text || (*end != ',' && *end != '\0')) return false;
        if (xid < out->xmin || xid >= out->xmax || (!out->xip.empty() && xid <= out->xip.back())) return false;
        out->xip.push_back(xid);
        if (*end == '\0') break;
        text = end + 1;
    }
    return out->xmin <= out->xmax;
}

bool ExtensionExists(void) { return OidIsValid(get_extension_oid("pg_mooncake", true)); }

List* ListMirrors(void) {
    Relation mirrors = OpenTable("mirrors", AccessShareLock);
    if (!mirrors) return NIL;
    List* rows = NIL;
    SysScanDesc scan = systable_beginscan(mirrors, InvalidOid, false, nullptr, 0, nullptr);
    while (HeapTuple tuple = systable_getnext(scan))
        rows = lappend(rows, RowFromTuple(tuple, RelationGetDescr(mirrors)));
    systable_endscan(scan);
    table_close(mirrors, AccessShareLock);
    return rows;
}

MirrorRow* FindMirror(Oid mirror) {
    Relation mirrors = OpenTable("mirrors", AccessShareLock);
    if (!mirrors) return nullptr;
    HeapTuple tuple;
    MirrorRow* row = nullptr;
    FetchMirror(mirrors, mirror, &tuple, &row);
    table_close(mirrors, AccessShareLock);
    return row;
}

List* FindMirrorsOfSource(Oid source) {
    Relation mirrors = OpenTable("mirrors", AccessShareLock);
    if (!mirrors) return NIL;
    List* rows = NIL;
    ScanKeyData key;
    SysScanDesc scan = BeginScan(mirrors, SourceIndex(mirrors), kSource, source, &key);
    while (HeapTuple tuple = systable_getnext(scan))
        rows = lappend(rows, RowFromTuple(tuple, RelationGetDescr(mirrors)));
    systable_endscan(scan);
    table_close(mirrors, AccessShareLock);
    return rows;
}

bool HasMirrorOfSource(Oid source) {
    Relation mirrors = OpenTable("mirrors", AccessShareLock);
    if (!mirrors) return false;
    ScanKeyData key;
    SysScanDesc scan = BeginScan(mirrors, SourceIndex(mirrors), kSource, source, &key);
    const bool found = HeapTupleIsValid(systable_getnext(scan));
    systable_endscan(scan);
    table_close(mirrors, AccessShareLock);
    return found;
}

int SourceIdentity(Relation source, int16** key, const char** reason) {
    Oid index_oid = InvalidOid;
    *key = nullptr;
    switch (source->rd_rel->relreplident) {
        case REPLICA_IDENTITY_NOTHING:
            *reason = "its replica identity is NOTHING";
            return 0;
        case REPLICA_IDENTITY_FULL:
            index_oid = RelationGetPrimaryKeyIndex(source, false);
            *reason = "its replica identity is FULL and it has no primary key";
            break;
        case REPLICA_IDENTITY_INDEX:
            index_oid = RelationGetReplicaIndex(source);
            *reason = "the index of its replica identity does not exist any more";
            break;
        default:
            index_oid = RelationGetReplicaIndex(source);
            *reason = "it has no primary key, or a deferrable one";
            break;
    }
    if (!OidIsValid(index_oid)) return 0;

    Relation index = index_open(index_oid, AccessShareLock);
    const int count = IndexRelationGetNumberOfKeyAttributes(index);
    *key = static_cast<int16*>(palloc(sizeof(int16) * count));
    for (int i = 0; i < count; i++) (*key)[i] = index->rd_index->indkey.values[i];
    index_close(index, NoLock);
    *reason = nullptr;
    return count;
}

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

ChangeResult FailMirror(Oid mirror, int generation, MirrorState state, const char* error) {
    LockedMirror locked;
    ChangeResult result = LockMirror(mirror, &locked);
    if (result != ChangeResult::kDone) return result;
    if (locked.row->generation == generation) {
        Fail(locked.mirrors, locked.tuple, locked.row, state, error, true);
    } else {
        result = ChangeResult::kGone;
    }
    table_close(locked.mirrors, RowExclusiveLock);
    return result;
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

bool OwnsLocation(const char* location) {
    char folder[MAXPGPATH];
    pg_snprintf(folder, sizeof folder, "%s/pg_mooncake/%u/", DataDir, MyDatabaseId);
    return strncmp(location, folder, strlen(folder)) == 0;
}

List* ListDropped(void) {
    Relation dropped = OpenTable("dropped", AccessShareLock);
    if (!dropped) return NIL;
    List* rows = NIL;
    SysScanDesc scan = systable_beginscan(dropped, InvalidOid, false, nullptr, 0, nullptr);
    while (HeapTuple tuple = systable_getnext(scan)) {
        auto* row = static_cast<DroppedLocation*>(palloc(sizeof(DroppedLocation)));
        row->location = TextAt(tuple, RelationGetDescr(dropped), kDroppedLocation);
        row->mirror = DatumGetObjectId(DatumAt(tuple, RelationGetDescr(dropped), kDroppedMirror));
        rows = lappend(rows, row);
    }
    systable_endscan(scan);
    table_close(dropped, AccessShareLock);
    return rows;
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

char* MirrorLocation(Oid mirror, int generation) {
    StringInfoData location;
    initStringInfo(&location);
    appendStringInfo(&location, "%s/pg_mooncake/%u/", DataDir, MyDatabaseId);
    const int begin = location.len;
    char* schema = get_namespace_name(get_rel_namespace(mirror));
    char* table = get_rel_name(mirror);
    appendStringInfo(&location, "%s.%s", schema ? schema : "x", table ? table : "x");
    // Readers take locations for URIs: anything but plain letters and digits is replaced; the OID makes the name
    // unique.
    for (int i = begin, dots = 0; i < location.len; i++) {
        const char c = location.data[i];
        if (i == begin + static_cast<int>(strlen(schema ? schema : "x")) && dots++ == 0) continue;
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '_' && c != '-') {
            location.data[i] = '_';
        }
    }
    appendStringInfo(&location, "-%u", mirror);
    if (generation > 1) appendStringInfo(&location, ".%d", generation);
    return location.data;
}

void InsertMirror(Oid mirror, Oid source, const int16* key, int key_count, int format_version) {
    Relation mirrors = OpenTable("mirrors", RowExclusiveLock);
    if (!mirrors) ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("extension \"pg_mooncake\" does not exist"));
    RowBuffer row = {};
    memset(row.nulls, true, sizeof row.nulls);
    row.Set(kMirror, ObjectIdGetDatum(mirror));
    row.Set(kSource, ObjectIdGetDatum(source));
    row.SetText(kState, MirrorStateName(MirrorState::kCopying));
    row.Set(kGeneration, Int32GetDatum(1));
    row.Set(kFormatVersion, Int16GetDatum(static_cast<int16>(format_version)));
    row.SetText(kLocation, MirrorLocation(mirror, 1));
    row.Set(kKey, Int16sDatum(key, key_count));
    row.Set(kRowCount, Int64GetDatum(0));
    row.Set(kByteCount, Int64GetDatum(0));
    row.Set(kCreated, TimestampTzGetDatum(GetCurrentTimestamp()));
    row.Set(kFailures, Int32GetDatum(0));
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

}  // namespace ivy::mooncake
