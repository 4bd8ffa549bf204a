// SPDX-License-Identifier: Apache-2.0
#include "member_rows.h"

extern "C" {
#include "access/genam.h"
#include "access/heapam.h"
#include "access/heaptoast.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "replication/message.h"
#include "storage/bufmgr.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
}

#include "catalog.h"
#include "source.h"
#include "worker.h"

namespace ivy::mooncake {
namespace {

constexpr uint64 kAlwaysTold = 1 << 20;  // bytes of a table that is never compared with the others
constexpr int kMessageBytes = 256 * 1024;

uint64 TableBytes(Oid relid) {
    Relation table = try_table_open(relid, NoLock);
    if (!table) return 0;
    const Oid toast = table->rd_rel->reltoastrelid;
    const uint64 bytes = table_relation_size(table, MAIN_FORKNUM) + (OidIsValid(toast) ? TableBytes(toast) : 0);
    table_close(table, NoLock);
    return bytes;
}

// Whether a new copy of what the tables come to or leave would cost less, or the command take its locks for too long. (A copy
// has the rows that come as well, so it never costs less for them.)
bool AreLarge(const List* tables, const List* sources, bool come) {
    if (member_rows_limit_kb < 0) return false;
    uint64 bytes = 0;
    ListCell* cell;
    foreach (cell, tables) bytes += TableBytes(lfirst_oid(cell));
    if (bytes > static_cast<uint64>(member_rows_limit_kb) * 1024) return true;
    if (come) return false;
    foreach (cell, sources) {
        uint64 others = 0;
        ListCell* member;
        foreach (member, SourceMembers(lfirst_oid(cell), NoLock)) {
            if (!list_member_oid(tables, lfirst_oid(member))) others += TableBytes(lfirst_oid(member));
        }
        if (bytes > Max(others, kAlwaysTold)) return true;
    }
    return false;
}

// The mirrors of the sources; false if one can't follow.
bool FindMirrors(const List* sources, bool come, List** mirrors) {
    ListCell* cell;
    foreach (cell, sources) {
        ListCell* row;
        foreach (row, FindMirrorsOfSource(lfirst_oid(cell))) {
            auto* mirror = static_cast<MirrorRow*>(lfirst(row));
            if (!come && mirror->options.identity == Identity::kAppendOnly) return false;
            *mirrors = lappend(*mirrors, mirror);
        }
    }
    return true;
}

// Attributes of the table that the mirrors need to find its rows, or null for all of them.
Bitmapset* KeyAttributes(Relation table, const List* mirrors) {
    Bitmapset* key = nullptr;
    ListCell* cell;
    foreach (cell, mirrors) {
        const auto* mirror = static_cast<const MirrorRow*>(lfirst(cell));
        if (mirror->options.identity == Identity::kFull) return nullptr;
        Relation source = table_open(mirror->source, AccessShareLock);
        for (int i = 0; i < mirror->key_count; i++) {
            key = bms_add_member(key,
                                 SameNamedAttribute(RelationGetDescr(source), mirror->key[i], RelationGetDescr(table)));
        }
        table_close(source, NoLock);
    }
    return key;
}

// A message under construction.
struct Message {
    StringInfoData text;
    MemberRowsHead head;
    const List* mirrors;
    bool sent;
};

void Begin(Message* message) {
    resetStringInfo(&message->text);
    message->head.row_count = 0;
    appendBinaryStringInfo(&message->text, &message->head, sizeof message->head);
    ListCell* cell;
    foreach (cell, message->mirrors) {
        const Oid mirror = static_cast<MirrorRow*>(lfirst(cell))->mirror;
        appendBinaryStringInfo(&message->text, &mirror, sizeof mirror);
    }
    appendStringInfoSpaces(&message->text, static_cast<int>(MAXALIGN(message->text.len)) - message->text.len);
}

void Send(Message* message) {
    memcpy(message->text.data, &message->head, sizeof message->head);
    LogLogicalMessage(kMemberRowsPrefix, message->text.data, static_cast<size_t>(message->text.len), true, false);
    message->sent = true;
}

void Add(Message* message, HeapTuple row) {
    const uint64 length = row->t_len;
    appendBinaryStringInfo(&message->text, &length, sizeof length);
    appendBinaryStringInfo(&message->text, row->t_data, static_cast<int>(row->t_len));
    appendStringInfoSpaces(&message->text, static_cast<int>(MAXALIGN(row->t_len) - row->t_len));
    message->head.row_count++;
    if (message->text.len < kMessageBytes) return;
    Send(message);
    Begin(message);
}

HeapTuple KeyOf(TupleTableSlot* slot, TupleDesc desc, const Bitmapset* key) {
    auto* nulls = static_cast<bool*>(palloc(sizeof(bool) * static_cast<Size>(Max(desc->natts, 1))));
    memset(nulls, true, sizeof(bool) * static_cast<Size>(desc->natts));
    slot_getsomeattrs(slot, bms_prev_member(key, -1));  // what comes after the key need not be looked at
    for (int i = 0; (i = bms_next_member(key, i)) > 0;) nulls[i - 1] = slot->tts_isnull[i - 1];
    return heap_form_tuple(desc, slot->tts_values, nulls);
}

void TellRows(Relation table, const Bitmapset* key, Message* message) {
    ::Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
    TupleTableSlot* slot = table_slot_create(table, nullptr);
    TableScanDesc scan = table_beginscan(table, snapshot, 0, nullptr);
    MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext, "told row", ALLOCSET_DEFAULT_SIZES);
    while (table_scan_getnextslot(scan, ForwardScanDirection, slot)) {
        CHECK_FOR_INTERRUPTS();
        MemoryContext caller = MemoryContextSwitchTo(row_context);
        HeapTuple row = key ? KeyOf(slot, RelationGetDescr(table), key) : ExecFetchSlotHeapTuple(slot, false, nullptr);
        if (HeapTupleHasExternal(row)) row = toast_flatten_tuple(row, RelationGetDescr(table));
        MemoryContextSwitchTo(caller);
        Add(message, row);
        MemoryContextReset(row_context);
    }
    MemoryContextDelete(row_context);
    table_endscan(scan);
    ExecDropSingleTupleTableSlot(slot);
    UnregisterSnapshot(snapshot);
}

bool CanTell(Oid relid) {
    Relation table = table_open(relid, NoLock);
    const bool can =
        table->rd_rel->relam == HEAP_TABLE_AM_OID && table->rd_rel->relpersistence == RELPERSISTENCE_PERMANENT;
    table_close(table, NoLock);
    return can;
}

void TellTable(Oid relid, Message* message) {
    Relation table = table_open(relid, NoLock);
    message->head.table = relid;
    message->sent = false;
    Begin(message);
    TellRows(table, message->head.come ? nullptr : KeyAttributes(table, message->mirrors), message);
    if (message->head.row_count > 0 || (!message->head.come && !message->sent)) Send(message);
    table_close(table, NoLock);
}

}  // namespace

bool ReadMessageKey(pg_uuid_t* key) {
    if (!ExtensionExists()) return false;
    const Oid schema = get_namespace_oid("mooncake", true);
    const Oid relid = OidIsValid(schema) ? get_relname_relid("message_key", schema) : InvalidOid;
    Relation table = OidIsValid(relid) ? try_table_open(relid, AccessShareLock) : nullptr;
    if (!table) return false;
    bool found = false;
    SysScanDesc scan = systable_beginscan(table, InvalidOid, false, nullptr, 0, nullptr);
    while (HeapTuple tuple = systable_getnext(scan)) {
        bool null;
        *key = *DatumGetUUIDP(heap_getattr(tuple, 1, RelationGetDescr(table), &null));
        found = true;
    }
    systable_endscan(scan);
    table_close(table, AccessShareLock);
    return found;
}

bool TellMemberRows(Oid relid, const List* sources, bool come) {
    List* mirrors = NIL;
    if (!FindMirrors(sources, come, &mirrors)) return false;
    if (mirrors == NIL) return true;
    List* tables = SourceMembers(relid, NoLock);
    if (get_rel_relkind(relid) != RELKIND_PARTITIONED_TABLE && list_length(tables) != 1) return false;
    ListCell* cell;
    foreach (cell, tables) {
        if (!CanTell(lfirst_oid(cell))) return false;
    }
    if (AreLarge(tables, sources, come)) return false;
    Message message = {};
    if (!ReadMessageKey(&message.head.key)) return true;  // the extension is about to go
    initStringInfo(&message.text);
    message.mirrors = mirrors;
    message.head.version = kMemberRowsVersion;
    message.head.xid = GetCurrentTransactionId();
    message.head.mirror_count = static_cast<uint32>(list_length(mirrors));
    message.head.come = come;
    foreach (cell, tables) TellTable(lfirst_oid(cell), &message);
    pfree(message.text.data);
    return true;
}

}  // namespace ivy::mooncake
