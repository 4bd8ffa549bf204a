// SPDX-License-Identifier: Apache-2.0
//
// The database's replication slot: acquiring, creating, dropping, advancing.
//
// The slot is the durable registration of a database that has mirrors, and keeps the WAL from the last position that
// needs no replay. A new one becomes persistent only once decoding has found its starting point, so that a crash in
// between leaves none behind.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "access/xlogdefs.h"
}

namespace ivy::capture {

enum class SlotState : uint8_t {
    kMissing,
    kUsable,
    kInvalidated,  // WAL that it needs was removed (max_slot_wal_keep_size, idle_replication_slot_timeout)
    kForeign,      // somebody has made a slot of another kind under the name
};
SlotState FindSlot(const char* name);

// REQUIRES: none is held. Fails if another process has it.
void AcquireSlot(const char* name);

// Creates and acquires the slot. Waits for transactions that are running now (interruptible).
void CreateSlot(const char* name);

// Does nothing if there is none. Fails if another process holds it. The caller may hold it.
void DropSlot(const char* name);

// Lets the acquired slot advance: transactions that commit before "lsn" are not needed again. Never moves backwards.
void ConfirmSlot(XLogRecPtr lsn);

// Bytes of WAL that the acquired slot holds back.
uint64 RetainedWal();

}  // namespace ivy::capture
