// SPDX-License-Identifier: Apache-2.0
//
// What a query must tell the engine about time: its snapshot, and how far the engine must have followed the WAL so that
// it has everything that the snapshot sees.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "access/transam.h"
#include "access/xlogdefs.h"
}

namespace ivy::duck {

// Whether a snapshot can be served from mirrors at all. If not, *reason says why.
bool SnapshotIsServable(::Snapshot snapshot, const char** reason);

// Flushes the WAL that exists now and returns its end. Every transaction that a snapshot taken before this call sees
// has its commit record before that point: a transaction leaves the list of running ones after its commit record is
// written. Flushing matters because decoding reads only what is flushed, and an asynchronous commit is visible before
// it is.
XLogRecPtr FlushVisibleWal();

// Under SERIALIZABLE a mirror stands for its row table in the search for dangerous structures too. The whole table is
// marked as read; transactions that run concurrently with the snapshot are taken to have written to it. That can only
// raise more serialization failures than the row table would, never fewer. Call before the engine is asked.
void RegisterSerializableRead(Relation source, ::Snapshot snapshot);

}  // namespace ivy::duck
