// SPDX-License-Identifier: Apache-2.0
//
// mooncake.create_table(dst, src, options): makes a mirror.
//
// Everything that the mirror is (relation, row in mooncake.mirrors, dependency on the source) is made in one
// transaction; the copying is the capture worker's and begins after that transaction's commit. Called on its own, the
// procedure commits and waits until the mirror is live; inside a transaction block it can't commit, so it returns and
// queries use the row table until the copy is done.
//
// When the wait fails or is cancelled, the mirror is dropped in a transaction of its own before the error goes on. When
// the session is killed while it waits, the mirror stays and becomes live in its own time.
#include "pg/postgres_api.h"

extern "C" {
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_inherits.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "pgstat.h"
#include "replication/slot.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/fmgrprotos.h"
#include "utils/regproc.h"
#include "utils/varlena.h"
#include "utils/wait_event.h"
}

#include "catalog.h"
#include "launcher.h"
#include "location.h"
#include "mirror_relation.h"
#include "module.h"
#include "options.h"
#include "source.h"
#include "worker.h"

namespace ivy::mooncake {
namespace {

constexpr int kWorkerTimeoutMs = 15 * 1000;
constexpr int kEngineTimeoutMs = 10 * 1000;  // for the engine to serve what the catalog calls live
constexpr int kFirstPollMs = 2;
constexpr int kLastPollMs = 50;

RangeVar* ParseName(text* name) { return makeRangeVarFromNameList(textToQualifiedNameList(name)); }

// Whether this database's slot exists or one is free.
bool SlotAvailable() {
    char name[NAMEDATALEN];
    SlotName(MyDatabaseId, name);
    if (SearchNamedReplicationSlot(name, true)) return true;
    bool free = false;
    LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
    for (int i = 0; i < max_replication_slots; i++) free = free || !ReplicationSlotCtl->replication_slots[i].in_use;
    LWLockRelease(ReplicationSlotControlLock);
    return free;
}

// What the server must be, whatever the tables are.
void CheckServer() {
    if (!ExtensionExists()) {
        ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("extension \"pg_mooncake\" does not exist"));
    }
    if (!enable_bgworker) {
        ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                errmsg("mirrors can't be made because \"pg_mooncake.enable_bgworker\" is off"),
                errhint("Set \"pg_mooncake.enable_bgworker\" to on and restart the server."));
    }
    if (wal_level < WAL_LEVEL_LOGICAL) {
        ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                errmsg("mirrors need \"wal_level\" >= \"logical\""),
                errhint("Set \"wal_level\" to \"logical\" and restart the server."));
    }
    if (RecoveryInProgress()) {
        ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                errmsg("cannot make a mirror during recovery"));
    }
    if (GetDatabaseEncoding() != PG_UTF8) {
        ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                errmsg("mirrors need a database with encoding UTF8, not %s", GetDatabaseEncodingName()));
    }
    if (!SlotAvailable()) {
        ereport(ERROR, errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED), errmsg("all replication slots are in use"),
                errdetail("The mirrors of a database need one logical replication slot."),
                errhint("Free one or increase \"max_replication_slots\"."));
    }
}

// Starts this database's capture worker if it does not run yet, and says so if it can't.
void EnsureWorker() {
    RequestWorker(MyDatabaseId);
    const TimestampTz start = GetCurrentTimestamp();
    WorkerState state;
    while ((state = GetWorkerState(MyDatabaseId)) != WorkerState::kRunning) {
        if (state == WorkerState::kNoSlot) {
            EndWaitForWorkerChange();
            ereport(ERROR, errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
                    errmsg("no background worker is free for the mirrors of this database"),
                    errhint("You might need to increase \"max_worker_processes\"."));
        }
        if (state == WorkerState::kNoSpace ||
            TimestampDifferenceExceeds(start, GetCurrentTimestamp(), kWorkerTimeoutMs)) {
            EndWaitForWorkerChange();
            ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("the capture worker of this database does not start"),
                    errhint("The server's log says why."));
        }
        WaitForWorkerChange(100);
    }
    EndWaitForWorkerChange();
}

void CheckTargetName(RangeVar* name) {
    const Oid schema = RangeVarGetCreationNamespace(name);
    if (isAnyTempNamespace(schema) || name->relpersistence == RELPERSISTENCE_TEMP) {
        ereport(ERROR, errcode(ERRCODE_INVALID_TABLE_DEFINITION), errmsg("a mirror can't be temporary"));
    }
    const Oid existing = get_relname_relid(name->relname, schema);
    if (!OidIsValid(existing)) return;
    const MirrorRow* row = HasMirrorAccessMethod(existing) ? FindMirror(existing) : nullptr;
    if (row) {
        ereport(ERROR, errcode(ERRCODE_DUPLICATE_TABLE), errmsg("mirror \"%s\" already exists", name->relname),
                errdetail("It mirrors table \"%s\".", get_rel_name(row->source)));
    }
    ereport(ERROR, errcode(ERRCODE_DUPLICATE_TABLE), errmsg("relation \"%s\" already exists", name->relname),
            errhint("Choose another name for the mirror."));
}

// Opens and checks the source. Its lock keeps its definition as it is until the transaction ends.
Relation OpenSource(RangeVar* name, const CreateOptions& options, SourceCheck* check) {
    const Oid relid = RangeVarGetRelid(name, AccessShareLock, false);
    const char relkind = get_rel_relkind(relid);
    if (relkind == RELKIND_INDEX || relkind == RELKIND_PARTITIONED_INDEX || relkind == RELKIND_COMPOSITE_TYPE) {
        ereport(ERROR, errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" is not a table", get_rel_name(relid)));
    }
    Relation source = table_open(relid, NoLock);
    const char* relname = RelationGetRelationName(source);
    if (HasMirrorAccessMethod(relid)) {
        ereport(ERROR, errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" is a mirror itself", relname));
    }
    if (!object_ownercheck(RelationRelationId, relid, GetUserId())) {
        aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(source->rd_rel->relkind), relname);
    }
    if (IsCatalogRelation(source) || get_rel_namespace(relid) == get_namespace_oid("mooncake", true)) {
        ereport(ERROR, errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("cannot mirror system table \"%s\"", relname));
    }
    LockMembership(relid, options.mirror.identity);
    CheckSourceOptions(options, source);
    *check = CheckSource(source, options.mirror);
    if (check->problem) {
        ereport(ERROR, errcode(check->sqlerrcode), errmsg("cannot mirror \"%s\"", relname),
                errdetail("The relation can't be captured: %s.", check->problem),
                check->hint ? errhint("%s", check->hint) : 0);
    }
    return source;
}

Oid MakeMirror(text* dst, text* src, const CreateOptions& options) {
    RangeVar* dst_name = ParseName(dst);
    SourceCheck check;
    Relation source = OpenSource(ParseName(src), options, &check);
    CheckTargetName(dst_name);
    EnsureWorker();
    ProbeWarehouse(options.mirror.warehouse, source->rd_rel->relowner);

    const Oid mirror = CreateMirrorRelation(dst_name, source, source->rd_rel->relowner);
    InsertMirror(mirror, RelationGetRelid(source), check.key, check.key_count, options.mirror);
    CommandCounterIncrement();
    table_close(source, NoLock);
    return mirror;
}

// Brings a mirror in step with its source, whatever its state, and orders a new copy.
Oid RebuildMirror(text* name) {
    const Oid mirror = OwnMirror(ParseName(name), ShareUpdateExclusiveLock);
    const MirrorRow* row = FindMirror(mirror);
    if (!row) {
        ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                errmsg("relation \"%s\" is not in mooncake.mirrors", get_rel_name(mirror)),
                errhint("Drop it and use CALL mooncake.create_table."));
    }
    EnsureWorker();
    LockRelationOid(row->source, AccessShareLock);
    Relation source = table_open(row->source, NoLock);
    const SourceCheck check = CheckSource(source, row->options);
    if (check.problem) {
        ereport(
            ERROR, errcode(check.sqlerrcode), errmsg("cannot rebuild mirror \"%s\"", get_rel_name(mirror)),
            errdetail("Its source table \"%s\" can't be captured: %s.", RelationGetRelationName(source), check.problem),
            check.hint ? errhint("%s", check.hint) : 0);
    }
    SyncMirrors(row->source, false, DROP_RESTRICT);
    ProbeWarehouse(row->options.warehouse, source->rd_rel->relowner);
    RestartCopyLocked(mirror, check.key, check.key_count, "it was ordered by rebuild_table");
    table_close(source, NoLock);
    return mirror;
}

// Whether the engine has taken the publication in. Until it has, which takes moments, queries use the row table.
bool EngineServes(Oid mirror) {
    PushActiveSnapshot(GetTransactionSnapshot());
    const char* query = psprintf(
        "SELECT 1 FROM pg_catalog.jsonb_array_elements(mooncake.engine_status() OPERATOR(pg_catalog.->) 'mirrors') AS "
        "m(mirror) "
        "WHERE m.mirror OPERATOR(pg_catalog.@>) '{\"id\": %u, \"state\": \"live\"}'::pg_catalog.jsonb",
        mirror);
    const bool serves = SPI_execute(query, true, 1) == SPI_OK_SELECT && SPI_processed > 0;
    PopActiveSnapshot();
    return serves;
}

// Returns when the mirror is live. REQUIRES: no transaction state that anybody else waits for.
void WaitUntilLive(Oid mirror) {
    int poll_ms = kFirstPollMs;
    TimestampTz live_since = 0;
    bool warned = false;
    for (;;) {
        CHECK_FOR_INTERRUPTS();
        PushActiveSnapshot(GetTransactionSnapshot());
        const MirrorRow* row = FindMirror(mirror);
        PopActiveSnapshot();
        if (!row) {
            ereport(ERROR, errcode(ERRCODE_UNDEFINED_TABLE),
                    errmsg("the mirror was dropped while it was being copied"));
        }
        if (row->state == MirrorState::kLive) {
            if (live_since == 0) live_since = GetCurrentTimestamp();
            if (EngineServes(mirror) ||
                TimestampDifferenceExceeds(live_since, GetCurrentTimestamp(), kEngineTimeoutMs)) {
                return;
            }
            poll_ms = kFirstPollMs;
        }
        if (row->state == MirrorState::kCopying && row->error && !warned) {
            ereport(WARNING, errmsg("the copy can't begin or go on yet: %s", row->error),
                    errhint("It is tried again by itself, and waited for. See mooncake.copy_progress."));
            warned = true;
        }
        if (row->state == MirrorState::kError) {
            ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("the mirror could not be copied"),
                    row->error ? errdetail_internal("%s", row->error) : 0);
        }
        if (GetWorkerState(MyDatabaseId) == WorkerState::kNoSlot) {
            ereport(ERROR, errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
                    errmsg("no background worker is free for the mirrors of this database"),
                    errhint("You might need to increase \"max_worker_processes\"."));
        }
        WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, poll_ms, PG_WAIT_EXTENSION);
        ResetLatch(MyLatch);
        poll_ms = Min(poll_ms * 2, kLastPollMs);
    }
}

void WaitOrDrop(Oid mirror) {
    MemoryContext context = CurrentMemoryContext;
    PG_TRY();
    {
        WaitUntilLive(mirror);
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(context);
        ErrorData* error = CopyErrorData();
        FlushErrorState();
        SPI_rollback();
        PushActiveSnapshot(GetTransactionSnapshot());
        DropMirrorRelation(mirror);
        PopActiveSnapshot();
        SPI_commit();
        ReThrowError(error);
    }
    PG_END_TRY();
}

}  // namespace
}  // namespace ivy::mooncake

extern "C" {

PG_FUNCTION_INFO_V1(mooncake_create_table);
Datum mooncake_create_table(PG_FUNCTION_ARGS) {
    using namespace ivy::mooncake;
    const bool atomic = !fcinfo->context || !IsA(fcinfo->context, CallContext) ||
                        reinterpret_cast<CallContext*>(fcinfo->context)->atomic;
    if (PG_ARGISNULL(0) || PG_ARGISNULL(1)) {
        ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                errmsg("the names of mirror and source must not be NULL"));
    }
    CheckServer();
    const CreateOptions options = ParseOptions(fcinfo, 2);
    if (SPI_connect_ext(atomic ? 0 : SPI_OPT_NONATOMIC) != SPI_OK_CONNECT) elog(ERROR, "SPI_connect failed");
    const Oid mirror = MakeMirror(PG_GETARG_TEXT_PP(0), PG_GETARG_TEXT_PP(1), options);
    if (!atomic && options.wait) {
        SPI_commit();
        WaitOrDrop(mirror);
    }
    SPI_finish();
    PG_RETURN_VOID();
}

// Stops a copy, begun or not. The mirror waits for rebuild_table; queries use the row table.
PG_FUNCTION_INFO_V1(mooncake_cancel_copy);
Datum mooncake_cancel_copy(PG_FUNCTION_ARGS) {
    using namespace ivy::mooncake;
    if (PG_ARGISNULL(0)) {
        ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("the mirror's name must not be NULL"));
    }
    const Oid mirror = OwnMirror(ParseName(PG_GETARG_TEXT_PP(0)), ShareUpdateExclusiveLock);
    const MirrorRow* row = FindMirror(mirror);
    if (!row || row->state != MirrorState::kCopying) {
        ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                errmsg("mirror \"%s\" is not being copied", get_rel_name(mirror)));
    }
    FailMirrorLocked(mirror, "its copy was cancelled");
    PG_RETURN_VOID();
}

// Orders a new copy of a mirror and, called on its own, waits until it is live. Queries use the row table meanwhile. If
// the wait ends early the order stands.
PG_FUNCTION_INFO_V1(mooncake_rebuild_table);
Datum mooncake_rebuild_table(PG_FUNCTION_ARGS) {
    using namespace ivy::mooncake;
    const bool atomic = !fcinfo->context || !IsA(fcinfo->context, CallContext) ||
                        reinterpret_cast<CallContext*>(fcinfo->context)->atomic;
    if (PG_ARGISNULL(0)) {
        ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("the mirror's name must not be NULL"));
    }
    CheckServer();
    if (SPI_connect_ext(atomic ? 0 : SPI_OPT_NONATOMIC) != SPI_OK_CONNECT) elog(ERROR, "SPI_connect failed");
    const Oid mirror = RebuildMirror(PG_GETARG_TEXT_PP(0));
    const bool wait = PG_ARGISNULL(1) || PG_GETARG_BOOL(1);
    if (!atomic && wait) {
        SPI_commit();
        WaitUntilLive(mirror);
    }
    SPI_finish();
    PG_RETURN_VOID();
}
}
