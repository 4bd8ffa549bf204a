// SPDX-License-Identifier: Apache-2.0
// What this transaction has touched and not yet followed up. The lists live in TopTransactionContext.
#include "ddl_internal.h"

extern "C" {
#include "access/tableam.h"
#include "access/xact.h"
#include "utils/snapmgr.h"
}

#include "catalog.h"
#include "mirror_access.h"
#include "mirror_relation.h"
#include "source.h"

namespace ivy::mooncake::ddl {
namespace {

List* touched = NIL;    // relations that may be sources, or below one, and whose definition may have changed
List* rewritten = NIL;  // those of them whose content may have changed without row changes in the WAL
List* truncated = NIL;  // tables truncated by one command
List* told = NIL;       // tables of which the mirrors above know that their rows have gone
bool policies_changed = false;

void AddOid(List** list, Oid relid) {
    MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
    *list = list_append_unique_oid(*list, relid);
    MemoryContextSwitchTo(old);
}

bool TableHasRows(Oid relid) {
    Relation table = try_table_open(relid, NoLock);
    if (!table) return false;
    ::Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
    TupleTableSlot* slot = table_slot_create(table, nullptr);
    TableScanDesc scan = table_beginscan(table, snapshot, 0, nullptr);
    const bool found = table_scan_getnextslot(scan, ForwardScanDirection, slot);
    table_endscan(scan);
    ExecDropSingleTupleTableSlot(slot);
    UnregisterSnapshot(snapshot);
    table_close(table, NoLock);
    return found;
}

// The sources above tables of which not all were truncated. Truncating all of them at once is a change that decoding
// sees; of the others nobody knows which rows have gone.
List* PartlyTruncated(List* tables, const List* accounted) {
    List* sources = NIL;
    ListCell* cell;
    foreach (cell, tables) {
        if (list_member_oid(accounted, lfirst_oid(cell))) continue;
        if (get_rel_relkind(lfirst_oid(cell)) == RELKIND_PARTITIONED_TABLE)
            continue;  // its partitions are there as well
        ListCell* above;
        foreach (above, SourcesAbove(lfirst_oid(cell))) {
            const Oid source = lfirst_oid(above);
            if (!HasMirrorOfSource(source)) continue;
            if (list_difference_oid(SourceMembers(source, NoLock), tables) == NIL) continue;
            sources = list_append_unique_oid(sources, source);
        }
    }
    return sources;
}

}  // namespace

void Touch(Oid relid) {
    if (OidIsValid(relid)) AddOid(&touched, relid);
}

void TouchContent(Oid relid) {
    Touch(relid);
    if (OidIsValid(relid)) AddOid(&rewritten, relid);
}

void TouchAbove(Oid relid, bool content) {
    ListCell* cell;
    foreach (cell, SourcesAbove(relid)) {
        if (lfirst_oid(cell) == relid) continue;
        Touch(lfirst_oid(cell));
        if (content) TouchContent(lfirst_oid(cell));
    }
}

void NoteTold(Oid relid) { AddOid(&told, relid); }

bool WasTold(Oid relid) { return list_member_oid(told, relid); }

void TouchPolicies(void) { policies_changed = true; }

void NoteTruncated(Oid relid) { AddOid(&truncated, relid); }

bool HasRows(Oid relid) {
    ListCell* cell;
    foreach (cell, SourceMembers(relid, NoLock)) {
        if (TableHasRows(lfirst_oid(cell))) return true;
    }
    return false;
}

bool AnythingTouched(void) { return touched != NIL || truncated != NIL || policies_changed; }

void ForgetTouched(void) {
    touched = rewritten = truncated = told = NIL;
    policies_changed = false;
}

void FollowUp(DropBehavior behavior) {
    while (AnythingTouched()) {
        List* now = touched;
        List* changed = rewritten;
        List* emptied = truncated;
        List* accounted = told;
        const bool policies = policies_changed;
        ForgetTouched();
        if (!ExtensionExists()) return;
        if (policies) ForgetPolicies();
        CommandCounterIncrement();
        List* recopied = PartlyTruncated(emptied, accounted);
        List* sources = list_copy(recopied);
        ListCell* cell;
        foreach (cell, now) {
            ListCell* above;
            foreach (above, SourcesAbove(lfirst_oid(cell))) {
                if (!HasMirrorOfSource(lfirst_oid(above))) continue;
                sources = list_append_unique_oid(sources, lfirst_oid(above));
                if (list_member_oid(changed, lfirst_oid(cell))) {
                    recopied = list_append_unique_oid(recopied, lfirst_oid(above));
                }
            }
        }
        foreach (cell, sources) {
            SyncMirrors(lfirst_oid(cell), list_member_oid(recopied, lfirst_oid(cell)), behavior);
        }
    }
}

}  // namespace ivy::mooncake::ddl
