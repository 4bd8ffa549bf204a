// SPDX-License-Identifier: Apache-2.0
//
// Transaction ids and snapshots of the server as values of ours: 32-bit ids get their epoch.
//
// A 32-bit id is widened relative to the next id to be assigned: every id that a snapshot, a running transaction or
// the WAL of an undecoded transaction can hold lies within two billion of it.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "access/transam.h"
}

#include "base/snapshot.h"

namespace ivy::pg {

// REQUIRES: xid is invalid or recent (see above).
Xid WidenXid(TransactionId xid);

// The snapshot's view of top-level transactions. May throw std::bad_alloc: call inside pg::Guard, with "next" read
// before (ReadNextFullTransactionId). REQUIRES: an MVCC snapshot that was not taken during recovery.
ivy::Snapshot ConvertSnapshot(const SnapshotData& snapshot, FullTransactionId next);

}  // namespace ivy::pg
