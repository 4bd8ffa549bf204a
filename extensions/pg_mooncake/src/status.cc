// SPDX-License-Identifier: Apache-2.0
// SQL functions that show and drive what runs: bgworker_status, engine_status, create_snapshot, optimize; and two for the script.
#include "pg/postgres_api.h"

extern "C" {
#include "access/xlog.h"
#include "access/xloginsert.h"
#include "catalog/namespace.h"
#include "commands/trigger.h"
#include "funcapi.h"
#include "replication/slot.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"
}

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "catalog.h"
#include "catalog_rows.h"
#include "launcher.h"
#include "location.h"
#include "mirror_relation.h"
#include "module.h"
#include "protocol/messages.h"
#include "worker.h"

namespace ivy::mooncake {
namespace {

constexpr int kChainTimeoutMs = 5 * 1000;  // bgworker_status waits so long for a chain that is starting
constexpr int kStatusTimeoutMs = 5 * 1000;

// The links of the chain from a commit to a mirror, in the order of bgworker_status()'s columns.
struct Chain {
    bool guc_enabled;
    bool wal_level_logical;
    bool launcher_running;
    bool worker_running;
    bool slot_exists;
    bool socket_exists;
    bool socket_listening;

    bool Complete() const { return worker_running && slot_exists && socket_exists && socket_listening; }
};

bool SocketExists() {
    struct stat status;
    const char* path = psprintf("pg_duckdb/%u/engine.sock", MyDatabaseId);
    return stat(path, &status) == 0 && S_ISSOCK(status.st_mode);
}

// Whether an engine accepts a connection and answers its greeting.
bool EngineAnswers(int timeout_ms) {
    char* error = nullptr;
    const int fd = Api().connect_engine(MyDatabaseId, static_cast<int>(Role::kControl), timeout_ms, &error);
    if (fd < 0) return false;
    close(fd);
    return true;
}

Chain LookAtChain() {
    Chain chain = {};
    char slot[NAMEDATALEN];
    SlotName(MyDatabaseId, slot);
    chain.guc_enabled = enable_bgworker;
    chain.wal_level_logical = wal_level >= WAL_LEVEL_LOGICAL;
    chain.launcher_running = LauncherRunning();
    chain.worker_running = GetWorkerState(MyDatabaseId) == WorkerState::kRunning;
    chain.slot_exists = SearchNamedReplicationSlot(slot, true) != nullptr;
    chain.socket_exists = SocketExists();
    chain.socket_listening = chain.socket_exists && EngineAnswers(0);
    return chain;
}

// Has the engine do something with the mirror that the first argument names, and everything that has committed so far.
void CommandMirror(const char* command, FunctionCallInfo fcinfo) {
    if (PG_ARGISNULL(0))
        ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("the mirror's name must not be NULL"));
    const Oid mirror =
        OwnMirror(makeRangeVarFromNameList(textToQualifiedNameList(PG_GETARG_TEXT_PP(0))), AccessShareLock);
    const MirrorRow* row = FindMirror(mirror);
    if (!row || row->state != MirrorState::kLive) {
        ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                errmsg("mirror \"%s\" is not live", get_rel_name(mirror)),
                row ? errdetail("Its state is \"%s\".", MirrorStateName(row->state)) : 0);
    }
    // The capture worker publishes files under a lock which it does not get while an ALTER TABLE waits for ours.
    UnlockRelationOid(mirror, AccessShareLock);
    const XLogRecPtr end = GetXLogInsertEndRecPtr();
    XLogFlush(end);
    Api().control(MyDatabaseId, command, mirror, end, 0);
}

// The OID of the mirror that a member of the status's "mirrors" tells of.
Oid StatusMirror(JsonbContainer* status) {
    const JsonbValue* id = getKeyJsonValueFromContainer(status, "id", strlen("id"), nullptr);
    if (!id || id->type != jbvNumeric) return InvalidOid;
    return DatumGetObjectId(DirectFunctionCall1(numeric_int8, NumericGetDatum(id->val.numeric)));
}

bool IsError(const JsonbValue& key) {
    constexpr std::string_view kErrors[] = {"error", "flush_error", "optimize_error"};
    const std::string_view name(key.val.string.val, static_cast<size_t>(key.val.string.len));
    return std::find(std::begin(kErrors), std::end(kErrors), name) != std::end(kErrors);
}

bool MayRead(Oid mirror) {
    bool is_missing = false;
    return pg_class_aclcheck_ext(mirror, GetUserId(), ACL_SELECT, &is_missing) == ACLCHECK_OK;
}

// Copies a JSON container. Errors of mirrors may quote values: only who may read a mirror sees them.
JsonbValue* CopyStatus(JsonbContainer* from, JsonbParseState** to) {
    const Oid mirror = JsonContainerIsObject(from) ? StatusMirror(from) : InvalidOid;
    const bool hide = OidIsValid(mirror) && !MayRead(mirror);
    JsonbIterator* it = JsonbIteratorInit(from);
    JsonbValue value;
    JsonbValue* copy = nullptr;
    bool hidden = false;
    for (JsonbIteratorToken token; (token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE;) {
        if (token == WJB_KEY) hidden = hide && IsError(value);
        if (hidden && (token == WJB_KEY || token == WJB_VALUE)) continue;
        if ((token == WJB_VALUE || token == WJB_ELEM) && value.type == jbvBinary) {
            copy = CopyStatus(value.val.binary.data, to);
        } else {
            const bool has_value = token == WJB_KEY || token == WJB_VALUE || token == WJB_ELEM;
            copy = pushJsonbValue(to, token, has_value ? &value : nullptr);
        }
    }
    return copy;
}

}  // namespace
}  // namespace ivy::mooncake

extern "C" {

PG_FUNCTION_INFO_V1(mooncake_bgworker_status);
Datum mooncake_bgworker_status(PG_FUNCTION_ARGS) {
    using namespace ivy::mooncake;
    TupleDesc desc;
    if (get_call_result_type(fcinfo, nullptr, &desc) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row type");
    Chain chain = LookAtChain();
    // A chain that is just starting, after CREATE EXTENSION or a server start, gets a moment.
    const bool can_start = chain.guc_enabled && chain.wal_level_logical && ExtensionExists() && !RecoveryInProgress();
    if (can_start && !chain.Complete()) {
        RequestWorker(MyDatabaseId);
        const TimestampTz start = GetCurrentTimestamp();
        while (!chain.Complete() && !TimestampDifferenceExceeds(start, GetCurrentTimestamp(), kChainTimeoutMs)) {
            WaitForWorkerChange(20);
            chain = LookAtChain();
        }
        EndWaitForWorkerChange();
    }
    Datum values[] = {BoolGetDatum(chain.guc_enabled),      BoolGetDatum(chain.wal_level_logical),
                      BoolGetDatum(chain.launcher_running), BoolGetDatum(chain.worker_running),
                      BoolGetDatum(chain.slot_exists),      BoolGetDatum(chain.socket_exists),
                      BoolGetDatum(chain.socket_listening)};
    bool nulls[lengthof(values)] = {};
    PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

// The engine's "status" reply, as far as it is the user's to see, or NULL if no engine runs.
PG_FUNCTION_INFO_V1(mooncake_engine_status);
Datum mooncake_engine_status(PG_FUNCTION_ARGS) {
    using namespace ivy::mooncake;
    if (!SocketExists() || !EngineAnswers(0)) PG_RETURN_NULL();
    char* reply = Api().control(MyDatabaseId, "status", InvalidOid, 0, kStatusTimeoutMs);
    Jsonb* status = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(reply)));
    JsonbParseState* state = nullptr;
    PG_RETURN_JSONB_P(JsonbValueToJsonb(CopyStatus(&status->root, &state)));
}

// Publishes everything that has committed so far as an Iceberg snapshot.
PG_FUNCTION_INFO_V1(mooncake_create_snapshot);
Datum mooncake_create_snapshot(PG_FUNCTION_ARGS) {
    ivy::mooncake::CommandMirror("flush", fcinfo);
    PG_RETURN_VOID();
}

// The same, and rewrites the mirror's files where that is worth anything.
PG_FUNCTION_INFO_V1(mooncake_optimize);
Datum mooncake_optimize(PG_FUNCTION_ARGS) {
    ivy::mooncake::CommandMirror("optimize", fcinfo);
    PG_RETURN_VOID();
}

// At the end of the extension's script: the chain comes up when CREATE EXTENSION commits.
PG_FUNCTION_INFO_V1(mooncake_start_capture);
Datum mooncake_start_capture(PG_FUNCTION_ARGS) {
    if (ivy::mooncake::enable_bgworker) ivy::mooncake::WakeWorkerAtCommit();
    PG_RETURN_VOID();
}

// BEFORE INSERT on mooncake.mirrors: a row that SQL inserts comes from a dump (C++ code fires no triggers). Its names
// have been resolved to this database's relations; everything else was true elsewhere. It becomes an order for a new
// copy.
PG_FUNCTION_INFO_V1(mooncake_restore_mirror);
Datum mooncake_restore_mirror(PG_FUNCTION_ARGS) {
    using namespace ivy::mooncake;
    if (!CALLED_AS_TRIGGER(fcinfo)) elog(ERROR, "not called by a trigger");
    auto* trigger = reinterpret_cast<TriggerData*>(fcinfo->context);
    if (!TRIGGER_FIRED_BEFORE(trigger->tg_event) || !TRIGGER_FIRED_BY_INSERT(trigger->tg_event)) {
        elog(ERROR, "not fired before an insert");
    }
    HeapTuple tuple = trigger->tg_trigtuple;
    TupleDesc desc = RelationGetDescr(trigger->tg_relation);
    MirrorRow* row = rows::RowFromTuple(tuple, desc);
    if (row->options.warehouse) row->options.warehouse = CheckWarehouse(row->options.warehouse, true);
    RestoreMirror(row);
    return PointerGetDatum(nullptr);  // the row has been inserted by RestoreMirror
}
}
