// SPDX-License-Identifier: Apache-2.0
// CaptureWorker: the replication slot: whether it goes with the catalog, how far it may advance, how much it holds back.
#include "capture/capture_worker.h"

#include <algorithm>

#include "capture/session.h"
#include "capture/slot.h"
#include "pg_mooncake/src/slot_record.h"

extern "C" {
#include "access/xlog.h"
#include "replication/slot.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/standby.h"
#include "utils/wait_event.h"
}

namespace ivy::capture {

namespace {

// The slot advances in steps: each costs a transaction, whose own WAL must not be the reason for the next.
constexpr int kConfirmEveryUs = 200 * 1000;
constexpr uint64 kConfirmStep = 16 << 20;  // bytes that are worth a step at once...
constexpr int kSmallConfirmEveryUs = 10 * 1000 * 1000;
constexpr uint64 kSmallConfirmStep = 64 << 10;  // ...and after some time
constexpr int kRetainedEveryUs = 2 * 1000 * 1000;
constexpr uint64 kStuckBytes = 32 << 20;        // held back although nothing needs it
constexpr uint64 kLogSnapshotEvery = 16 << 20;  // bytes of WAL between two attempts to end that

}  // namespace

void PauseForLock() {
    WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, kBusyRetryMs, PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
}

// Orders a new copy of every mirror that has or had one. Published files no longer follow from slot and catalog.
void CaptureWorker::RestartAllCopies(const char* reason) {
    for (bool again = true; again;) {
        again = false;
        InTransaction([&] {
            ListCell* cell;
            foreach (cell, mooncake::ListMirrors()) {
                const auto* row = static_cast<const MirrorRow*>(lfirst(cell));
                const bool untouched = row->state == MirrorState::kCopying && !row->metadata_location;
                if (untouched || row->state == MirrorState::kError) continue;
                if (mooncake::RestartCopy(row->mirror, reason) == ChangeResult::kBusy) again = true;
            }
        });
        if (again) PauseForLock();
    }
}

void CaptureWorker::RecordSlot(XLogRecPtr confirmed) {
    InTransaction([&] { mooncake::RecordSlotPosition(confirmed); });
}

// A slot that is ahead of its record has passed changes that the mirrors may not have.
void CaptureWorker::CheckSlotRecord() {
    const XLogRecPtr confirmed = MyReplicationSlot->data.confirmed_flush;
    XLogRecPtr recorded = InvalidXLogRecPtr;
    InTransaction([&] { recorded = mooncake::RecordedSlotPosition(); });
    if (confirmed <= recorded) return;
    RestartAllCopies("the replication slot is ahead of the mirrors");
    RecordSlot(confirmed);
}

// The copies are ordered before the slot exists for good: whatever happens in between, no mirror serves with a gap.
void CaptureWorker::PrepareSlot() {
    switch (FindSlot(slot_)) {
        case SlotState::kUsable:
            AcquireSlot(slot_);
            CheckSlotRecord();
            return;
        case SlotState::kForeign:
            ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                            errmsg("replication slot \"%s\" is not one that mirrors can use", slot_),
                            errdetail("It is physical, temporary, or has another output plugin than pgoutput."),
                            errhint("Drop it: the mirrors make their own.")));
            break;
        case SlotState::kInvalidated:
            RestartAllCopies("the replication slot was invalidated");
            DropSlot(slot_);
            break;
        case SlotState::kMissing: RestartAllCopies("the replication slot was missing"); break;
    }
    CreateSlot(slot_);
    RecordSlot(MyReplicationSlot->data.confirmed_flush);
    ereport(LOG, (errmsg("created replication slot \"%s\" for the mirrors of database %u", slot_, database_)));
}

// Lets the slot advance to what the published files account for.
void CaptureWorker::Confirm() {
    if (persisted_ <= confirmed_) return;
    const uint64 step = persisted_ - confirmed_;
    const TimestampTz now = GetCurrentTimestamp();
    const bool stream_again = !streaming_ && confirmed_ < unstreamed_until_ && persisted_ >= unstreamed_until_;
    const bool moves_on = confirmed_ < snapshot_logged_ && persisted_ >= snapshot_logged_;
    if (step < kConfirmStep && !stream_again && !moves_on) {
        if (step < kSmallConfirmStep) return;
        const TimestampTz due = confirm_at_ + kSmallConfirmEveryUs;
        if (now < due) {
            WakeIn(static_cast<int>((due - now) / 1000) + 1);
            return;
        }
    }
    if (now - confirm_at_ < kConfirmEveryUs) {
        WakeIn(kConfirmEveryUs / 1000);
        return;
    }
    confirm_at_ = now;
    FaultPoint("capture-before-confirm");
    RecordSlot(persisted_);
    FaultPoint("capture-recorded-confirm");
    confirmed_ = persisted_;
    ConfirmSlot(confirmed_);
}

// The slot lets WAL go only where the WAL lists the running transactions. The server writes such a list every 15 seconds
// and at checkpoints: when much is written, that is too rarely.
void CaptureWorker::KeepSlotMoving() {
    const XLogRecPtr restart = MyReplicationSlot->data.restart_lsn;
    if (confirmed_ < restart + kStuckBytes) return;
    if (confirmed_ < snapshot_logged_) return;  // the last attempt's list has not been confirmed yet
    const XLogRecPtr end = GetFlushRecPtr(nullptr);
    if (snapshot_logged_ != InvalidXLogRecPtr && end < snapshot_logged_ + kLogSnapshotEvery) return;
    snapshot_logged_ = LogStandbySnapshot();
}

// The disk comes before the mirrors: past the limit the slot is given up, and everything is copied anew by the next
// process, which starts from a slot of its own.
void CaptureWorker::CheckRetainedWal() {
    const TimestampTz now = GetCurrentTimestamp();
    if (mooncake::max_retained_wal_mb < 0 || now - retained_at_ < kRetainedEveryUs) return;
    retained_at_ = now;
    const uint64 retained = RetainedWal() >> 20;
    if (retained <= static_cast<uint64>(mooncake::max_retained_wal_mb)) return;
    ereport(LOG, (errmsg("the mirrors of database %u are given up and will be copied anew", database_),
                  errdetail("Their replication slot holds back %lu MB of WAL, more than \"mooncake.max_retained_wal\".",
                            static_cast<unsigned long>(retained))));
    RestartAllCopies("the replication slot held back too much WAL");
    DropSlot(slot_);
    proc_exit(1);
}

}  // namespace ivy::capture
