// SPDX-License-Identifier: Apache-2.0
//
// What the mirror launcher does for databases whose capture worker does not run, without a connection to any database.
//
// A capture worker watches its slot itself. But a worker may be switched off (pg_mooncake.enable_bgworker), find no free
// background worker, or have had its slot taken by somebody else; meanwhile the slot would hold back WAL until the disk is
// full. The launcher gives such a slot up at the same limit. And a database may have mirrors but no slot, after a restore
// of a base backup, say, which has none: its folder shows that.
#pragma once

#include "pg/postgres_api.h"

namespace ivy::mooncake {

// A slot that is ours by its name.
struct SlotOwner {
    Oid database;
    bool idle;        // no process has acquired it
    uint64 retained;  // bytes of WAL that it holds back
};
// Our slots; the result is palloc'ed.
SlotOwner* ListSlots(int* count);

// Drops idle slots that hold back more WAL than mooncake.max_retained_wal. Their mirrors are copied anew by the next
// worker, which finds no slot.
void GiveUpIdleSlots(const SlotOwner* slots, int count);

// Databases that exist and have a folder of mirrors: a list of OIDs.
List* DatabasesWithFolders(void);

// Removes the folders of mirrors of databases that do not exist: a crash came right after DROP DATABASE.
void RemoveForsakenFolders(void);

}  // namespace ivy::mooncake
