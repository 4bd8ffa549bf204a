// SPDX-License-Identifier: Apache-2.0
// Slots and folders of databases, as seen without a connection to them.
#include "slot_guard.h"

extern "C" {
#include "access/xlog.h"
#include "replication/slot.h"
#include "storage/lwlock.h"
#include "storage/spin.h"
}

#include "pg/database_folder.h"
#include "worker.h"

namespace ivy::mooncake {
namespace {
constexpr char kMirrorFolder[] = "pg_mooncake";
}

SlotOwner* ListSlots(int* count) {
    auto* found = static_cast<SlotOwner*>(palloc(sizeof(SlotOwner) * Max(max_replication_slots, 1)));
    *count = 0;
    const XLogRecPtr end = GetFlushRecPtr(nullptr);
    LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
    for (int i = 0; i < max_replication_slots; i++) {
        ReplicationSlot* slot = &ReplicationSlotCtl->replication_slots[i];
        if (!slot->in_use || !SlotIsLogical(slot)) continue;
        char ours[NAMEDATALEN];
        SlotName(slot->data.database, ours);
        if (strcmp(ours, NameStr(slot->data.name)) != 0) continue;
        SpinLockAcquire(&slot->mutex);
        const XLogRecPtr restart = slot->data.restart_lsn;
        const bool idle = slot->active_pid == 0;
        SpinLockRelease(&slot->mutex);
        const uint64 retained = restart == InvalidXLogRecPtr || end < restart ? 0 : end - restart;
        found[(*count)++] = {slot->data.database, idle, retained};
    }
    LWLockRelease(ReplicationSlotControlLock);
    return found;
}

void GiveUpIdleSlots(const SlotOwner* slots, int count) {
    if (max_retained_wal_mb < 0) return;
    for (int i = 0; i < count; i++) {
        const uint64 megabytes = slots[i].retained >> 20;
        if (!slots[i].idle || megabytes <= static_cast<uint64>(max_retained_wal_mb)) continue;
        char name[NAMEDATALEN];
        SlotName(slots[i].database, name);
        ereport(LOG, errmsg("the mirrors of database %u are given up and will be copied anew", slots[i].database),
                errdetail("Their replication slot, which no process uses, holds back %lu MB of WAL, more than "
                          "\"mooncake.max_retained_wal\".",
                          static_cast<unsigned long>(megabytes)));
        ReplicationSlotDrop(name, true);
    }
}

List* DatabasesWithFolders(void) {
    List* existing = NIL;
    ListCell* cell;
    foreach (cell, pg::DatabaseFolders(kMirrorFolder)) {
        if (pg::DatabaseExists(lfirst_oid(cell))) existing = lappend_oid(existing, lfirst_oid(cell));
    }
    return existing;
}

void RemoveForsakenFolders(void) { pg::RemoveForsakenFolders(kMirrorFolder); }

}  // namespace ivy::mooncake
