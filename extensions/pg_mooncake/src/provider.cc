// SPDX-License-Identifier: Apache-2.0
// The provider of column relations for pg_duckdb, and its cache.
#include "provider.h"

extern "C" {
#include "access/sysattr.h"
#include "access/xlog.h"
#include "optimizer/optimizer.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
}

#include "catalog.h"
#include "launcher.h"
#include "location.h"
#include "mirror_relation.h"
#include "module.h"
#include "source.h"
#include "worker.h"

namespace ivy::mooncake {
namespace {

constexpr int kReasonSize = 512;

struct Entry {
    Oid relid;       // hash key
    bool valid;      // false: being read
    bool is_mirror;  // false: the access method's, but without a row in mooncake.mirrors
    Oid source;
    bool usable;
    Bitmapset* row_only;       // in CacheMemoryContext; see ColumnRelation
    char reason[kReasonSize];  // why not usable
};

struct SourceEntry {
    Oid relid;  // hash key
};

// Both tables go and come together. "stale" may be set at any moment by an invalidation.
HTAB* entries = nullptr;
HTAB* sources = nullptr;
bool stale = true;

void Invalidate(Datum, Oid relid) {
    if (stale || !entries) return;
    if (!OidIsValid(relid) || hash_search(entries, &relid, HASH_FIND, nullptr) ||
        hash_search(sources, &relid, HASH_FIND, nullptr)) {
        stale = true;
    }
}

void StartCache() {
    if (!stale && entries) return;
    if (entries) {
        HASH_SEQ_STATUS scan;
        hash_seq_init(&scan, entries);
        while (auto* entry = static_cast<Entry*>(hash_seq_search(&scan))) {
            if (entry->valid) bms_free(entry->row_only);
        }
        hash_destroy(entries);
    }
    if (sources) hash_destroy(sources);
    entries = sources = nullptr;
    HASHCTL control = {};
    control.keysize = sizeof(Oid);
    control.entrysize = sizeof(Entry);
    control.hcxt = CacheMemoryContext;
    HTAB* table = hash_create("mirrors", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
    control.entrysize = sizeof(SourceEntry);
    sources = hash_create("sources of mirrors", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
    entries = table;
    stale = false;
}

// Columns that the mirror does not store, and virtual ones that are computed from such.
Bitmapset* RowOnlyColumns(const MirrorRow* row, TupleDesc desc) {
    Bitmapset* columns = nullptr;
    if (row->options.columns == NIL) return nullptr;
    for (int i = 0; i < desc->natts; i++) {
        const FormData_pg_attribute* att = TupleDescAttr(desc, i);
        if (att->attisdropped || att->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL) continue;
        if (!IsStoredColumn(row->options, NameStr(att->attname))) columns = bms_add_member(columns, i + 1);
    }
    for (int i = 0; i < desc->natts; i++) {
        const FormData_pg_attribute* att = TupleDescAttr(desc, i);
        if (att->attisdropped || att->attgenerated != ATTRIBUTE_GENERATED_VIRTUAL) continue;
        Bitmapset* used = nullptr;
        pull_varattnos(TupleDescGetDefault(desc, static_cast<AttrNumber>(i + 1)), 1, &used);
        for (int member = -1; (member = bms_next_member(used, member)) >= 0;) {
            if (bms_is_member(member + FirstLowInvalidHeapAttributeNumber, columns)) {
                columns = bms_add_member(columns, i + 1);
                break;
            }
        }
    }
    return columns;
}

// Why a mirror can't serve, or null. Otherwise *row_only is set.
const char* WhyNotUsable(const MirrorRow* row, Bitmapset** row_only) {
    if (!OwnsLocation(row->location)) {
        // The whole database was copied, and nobody has started its capture worker yet.
        if (enable_bgworker) RequestWorker(MyDatabaseId);
        return "it was copied here with its database and has not been copied anew yet";
    }
    switch (row->state) {
        case MirrorState::kLive: break;
        case MirrorState::kCopying: return "it is being copied";
        case MirrorState::kStale: return row->error ? psprintf("it is stale: %s", row->error) : "it is stale";
        case MirrorState::kError: return row->error ? psprintf("it has failed: %s", row->error) : "it has failed";
    }
    Relation source = try_table_open(row->source, AccessShareLock);
    if (!source) return "its source table does not exist";
    Relation mirror = table_open(row->mirror, AccessShareLock);
    const char* reason = ColumnDifference(mirror, source);
    if (!reason) reason = CheckSource(source, row->options).problem;
    if (!reason) *row_only = RowOnlyColumns(row, RelationGetDescr(mirror));
    table_close(mirror, AccessShareLock);
    table_close(source, AccessShareLock);
    return reason;
}

// The cached entry, read anew if needed. Valid until the next call of anything that may accept invalidations.
const Entry* GetEntry(Oid relid) {
    if (!stale && entries) {
        auto* found = static_cast<Entry*>(hash_search(entries, &relid, HASH_FIND, nullptr));
        if (found && found->valid) return found;
    }
    static Entry uncached;
    for (int attempt = 0; attempt < 10; attempt++) {
        StartCache();
        // With an entry, if only a placeholder, invalidations of the mirror count from now on.
        bool found;
        static_cast<Entry*>(hash_search(entries, &relid, HASH_ENTER, &found))->valid = false;
        const MirrorRow* row = FindMirror(relid);
        const char* reason = nullptr;
        Bitmapset* row_only = nullptr;
        if (row) {
            if (!stale) hash_search(sources, &row->source, HASH_ENTER, nullptr);
            reason = WhyNotUsable(row, &row_only);
        }
        uncached = {relid, true, row != nullptr, row ? row->source : InvalidOid, row && !reason, row_only, {}};
        if (reason) strlcpy(uncached.reason, reason, kReasonSize);
        if (stale) continue;  // something changed while it was read
        auto* entry = static_cast<Entry*>(hash_search(entries, &relid, HASH_ENTER, &found));
        *entry = uncached;
        MemoryContext caller = MemoryContextSwitchTo(CacheMemoryContext);
        entry->row_only = bms_copy(row_only);
        MemoryContextSwitchTo(caller);
        return entry;
    }
    return &uncached;  // invalidations never stop: what was read last, for this once
}

bool Ready(Oid relid, const char** reason) {
    const Entry* entry = GetEntry(relid);
    if (!entry->is_mirror) {
        *reason = "it is not a mirror (any more)";
        return false;
    }
    if (entry->usable) return true;
    *reason = pstrdup(entry->reason);
    return false;
}

// A restored or upgraded server may have neither a slot nor a folder that tells the launcher of this database's mirrors.
void RequestMissingWorker() {
    if (!enable_bgworker || wal_level < WAL_LEVEL_LOGICAL || RecoveryInProgress()) return;
    if (GetWorkerState(MyDatabaseId) == WorkerState::kNone) RequestWorker(MyDatabaseId);
}

// The capture worker is asked to look, if there are files that it could concern.
void SecretsChanged() {
    bool concerned = false;
    ListCell* cell;
    foreach (cell, ListMirrors())
        concerned = concerned || IsNetworkLocation(static_cast<const MirrorRow*>(lfirst(cell))->location);
    foreach (cell, ListDropped())
        concerned = concerned || IsNetworkLocation(static_cast<const DroppedLocation*>(lfirst(cell))->location);
    if (concerned) WakeWorkerAtCommit();
}

const ColumnRelationProvider kProvider = {LookupMirror, Ready, MirrorAccessMethod, SecretsChanged};

}  // namespace

bool LookupMirror(Oid relid, ColumnRelation* out) {
    const Entry* entry = GetEntry(relid);
    if (!entry->is_mirror) return false;
    RequestMissingWorker();
    *out = {relid, entry->source, entry->usable, entry->usable ? nullptr : pstrdup(entry->reason),
            bms_copy(entry->row_only)};
    return true;
}

void InitProvider() {
    CacheRegisterRelcacheCallback(Invalidate, Datum{0});
    Api().register_provider(&kProvider);
}

}  // namespace ivy::mooncake
