// SPDX-License-Identifier: Apache-2.0
//
// What is known about running transactions beyond a snapshot.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "storage/lock.h"
}

#include "base/snapshot.h"

namespace ivy::capture {

// The transaction id below which every committed transaction is seen by all snapshots that are in use in this database
// or will be taken. Needs no transaction and touches no cache, so it may be called between decoded records.
Xid OldestXmin();

// Transactions whose commit record may have been decoded although snapshots still show them as running.
//
// A transaction writes its commit record, then marks itself committed (pg_xact), waits for synchronous standbys if there
// are any, and only then leaves the list of running transactions. A snapshot taken now might therefore miss a
// transaction whose commit was decoded long ago. Whoever starts capturing at this position and copies under a later
// snapshot must wait until those that were in that state at the start are gone.
class CommitsInFlight {
  public:
    // Notes which transactions are between writing the commit record and marking themselves now.
    void Begin();
    // True once all transactions that had written their commit record at Begin are visible to new snapshots.
    bool Settled();
    // Frees what is held.
    void End();

  private:
    enum class Stage : uint8_t { kIdle, kMarking, kLeaving, kSettled };
    Stage stage_ = Stage::kIdle;
    VirtualTransactionId* marking_ = nullptr;
    int marking_count_ = 0;
    TransactionId* leaving_ = nullptr;
    int leaving_count_ = 0;
};

}  // namespace ivy::capture
