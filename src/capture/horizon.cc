// SPDX-License-Identifier: Apache-2.0
// OldestXmin and CommitsInFlight, on the server's list of running transactions.
#include "capture/horizon.h"

#include "pg/xid.h"

extern "C" {
#include "access/transam.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/standbydefs.h"
}

namespace ivy::capture {

Xid OldestXmin() {
    // The server computes horizons for kinds of relations; the kind that is asked for here is "ordinary table of this
    // database". A relation made up on the spot says so without the relation cache, whose entries belong to another
    // moment while WAL is being decoded.
    FormData_pg_class form = {};
    form.relkind = RELKIND_RELATION;
    form.relpersistence = RELPERSISTENCE_PERMANENT;
    RelationData ordinary_table = {};
    ordinary_table.rd_id = FirstNormalObjectId;
    ordinary_table.rd_rel = &form;
    return pg::WidenXid(GetOldestNonRemovableTransactionId(&ordinary_table));
}

void CommitsInFlight::Begin() {
    End();
    MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
    // The flag that keeps checkpoints waiting is set exactly from before the commit record until after the marking.
    marking_ = GetVirtualXIDsDelayingChkpt(&marking_count_, DELAY_CHKPT_START);
    MemoryContextSwitchTo(caller);
    stage_ = Stage::kMarking;
}

bool CommitsInFlight::Settled() {
    if (stage_ == Stage::kMarking) {
        if (marking_count_ > 0 && HaveVirtualXIDsDelayingChkpt(marking_, marking_count_, DELAY_CHKPT_START))
            return false;
        RunningTransactions running = GetRunningTransactionData();
        const int count = running->xcnt;
        // Copied under the locks, which that function leaves held: the result is in a buffer of its own.
        LWLockRelease(ProcArrayLock);
        LWLockRelease(XidGenLock);
        leaving_ = static_cast<TransactionId*>(
            MemoryContextAlloc(TopMemoryContext, sizeof(TransactionId) * static_cast<Size>(Max(count, 1))));
        for (int i = 0; i < count; i++) {
            if (TransactionIdDidCommit(running->xids[i])) leaving_[leaving_count_++] = running->xids[i];
        }
        stage_ = Stage::kLeaving;
    }
    if (stage_ == Stage::kLeaving) {
        while (leaving_count_ > 0 && !TransactionIdIsInProgress(leaving_[leaving_count_ - 1])) leaving_count_--;
        if (leaving_count_ > 0) return false;
        stage_ = Stage::kSettled;
    }
    return true;
}

void CommitsInFlight::End() {
    if (marking_) pfree(marking_);
    if (leaving_) pfree(leaving_);
    *this = CommitsInFlight();
}

}  // namespace ivy::capture
