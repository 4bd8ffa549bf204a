// SPDX-License-Identifier: Apache-2.0
// The replication slot, on the server's own slot functions.
#include "capture/slot.h"

#include "capture/session.h"

extern "C" {
#include "access/xlog.h"
#include "access/xlogreader.h"
#include "access/xlogutils.h"
#include "replication/logical.h"
#include "replication/slot.h"
#include "storage/spin.h"
#include "utils/guc.h"
}

namespace ivy::capture {

namespace {
constexpr char kPlugin[] = "pgoutput";
}

SlotState FindSlot(const char* name) {
    ReplicationSlot* slot = SearchNamedReplicationSlot(name, true);
    if (!slot) return SlotState::kMissing;
    SpinLockAcquire(&slot->mutex);
    const bool invalidated = slot->data.invalidated != RS_INVAL_NONE;
    const bool ours = slot->data.database == MyDatabaseId && slot->data.persistency == RS_PERSISTENT &&
                      strcmp(NameStr(slot->data.plugin), kPlugin) == 0;
    SpinLockRelease(&slot->mutex);
    if (!ours) return SlotState::kForeign;
    return invalidated ? SlotState::kInvalidated : SlotState::kUsable;
}

void AcquireSlot(const char* name) { ReplicationSlotAcquire(name, true, true); }

void CreateSlot(const char* name) {
    CheckLogicalDecodingRequirements();
    ReplicationSlotCreate(name, true, RS_EPHEMERAL, false, true, false);
    XLogReaderRoutine reader = {};
    reader.page_read = read_local_xlog_page;
    reader.segment_open = wal_segment_open;
    reader.segment_close = wal_segment_close;
    LogicalDecodingContext* context =
        CreateInitDecodingContext(kPlugin, NIL, false, InvalidXLogRecPtr, &reader, nullptr, nullptr, nullptr);
    // It waits for the transactions that are running, and holds back WAL meanwhile. When one of them goes on for long, the
    // error ends the attempt and lets the WAL go; the next process tries again.
    SetConfigOption("lock_timeout", "10min", PGC_SUSET, PGC_S_OVERRIDE);
    DecodingContextFindStartpoint(context);
    SetConfigOption("lock_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
    FreeDecodingContext(context);
    LeaveDecodingStatus();
    ReplicationSlotPersist();
}

void DropSlot(const char* name) {
    if (MyReplicationSlot) ReplicationSlotRelease();
    if (FindSlot(name) != SlotState::kMissing) ReplicationSlotDrop(name, true);
}

void ConfirmSlot(XLogRecPtr lsn) {
    if (lsn <= MyReplicationSlot->data.confirmed_flush) return;
    LogicalConfirmReceivedLocation(lsn);
    // Written at the next checkpoint: a crash before only means more to replay.
    ReplicationSlotMarkDirty();
}

uint64 RetainedWal() {
    const XLogRecPtr restart = MyReplicationSlot->data.restart_lsn;
    const XLogRecPtr now = GetFlushRecPtr(nullptr);
    return restart == InvalidXLogRecPtr || now < restart ? 0 : now - restart;
}

}  // namespace ivy::capture
