// SPDX-License-Identifier: Apache-2.0
// Snapshots, the WAL's end, and serializable reads.
#include "freshness.h"

extern "C" {
#include "access/xlog.h"
#include "storage/predicate.h"
}

namespace ivy::duck {

bool SnapshotIsServable(::Snapshot snapshot, const char** reason) {
    if (RecoveryInProgress()) {
        *reason = "the server is a standby";
    } else if (!snapshot || !IsMVCCSnapshot(snapshot)) {
        *reason = "the query has no MVCC snapshot";
    } else if (snapshot->takenDuringRecovery) {
        *reason = "the snapshot was taken during recovery";
    } else {
        return true;
    }
    return false;
}

XLogRecPtr FlushVisibleWal() {
    const XLogRecPtr end = GetXLogInsertEndRecPtr();
    XLogFlush(end);
    return end;
}

void RegisterSerializableRead(Relation source, ::Snapshot snapshot) {
    if (!IsolationIsSerializable()) return;
    // The lock first: a transaction that writes after this sees it.
    PredicateLockRelation(source, snapshot);
    for (uint32 i = 0; i < snapshot->xcnt; i++) CheckForSerializableConflictOut(source, snapshot->xip[i], snapshot);
    const TransactionId next = XidFromFullTransactionId(ReadNextFullTransactionId());
    for (TransactionId xid = snapshot->xmax; TransactionIdPrecedes(xid, next);) {
        CheckForSerializableConflictOut(source, xid, snapshot);
        TransactionIdAdvance(xid);
    }
}

}  // namespace ivy::duck
