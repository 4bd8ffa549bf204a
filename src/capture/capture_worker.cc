// SPDX-License-Identifier: Apache-2.0
//
// The capture worker's main loop: decode and send; take in the engine's events; keep catalog and engine in agreement.
//
// Decoding looks at the system catalogs as of the WAL position, everything else here as of now. Both go through the same
// caches, so every ordinary transaction is run between two records, with all caches emptied before and after. Such
// transactions are rare: the catalog was changed, files are to be published, a source was altered.
//
// What is known lives in one object. After an error it is made anew, once, and decodes without streaming (see decoder.h
// for why); the next error ends the process, after the mirror that caused it, if one did, was told so in the catalog: the
// next process then leaves that mirror alone. Lost connections, lack of resources and the like end the process at once.
#include "capture/capture_worker.h"

#include <algorithm>

#include "capture/session.h"
#include "capture/slot.h"
#include "capture/worker.h"
#include "pg/xid.h"

extern "C" {
#include "access/xlog.h"
#include "postmaster/interrupt.h"
#include "replication/slot.h"
#include "replication/walsender.h"
#include "replication/walsender_private.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/procarray.h"
#include "utils/guc.h"
#include "utils/wait_event.h"
}

namespace ivy::capture {

namespace {

constexpr int kConnectTimeoutMs = 30 * 1000;
constexpr int kProgressEveryUs = 1000;  // while there is always more WAL
constexpr int kHorizonEveryUs = 10 * 1000;
constexpr uint64_t kFlushWalBytes = 96ull << 20;  // mirrors with changes that far back in the WAL are flushed...
constexpr uint64_t kForceWalBytes = 1ull << 30;   // ...and here although some snapshot does not see those changes yet
constexpr int kHopelessFailures = 3;              // runs in a row that could not decode
constexpr int kUnstreamedMs = 60 * 1000;          // at least, once streaming has failed

// Leaves the failed state as the server's own main loops do.
void CleanUpAfterError() {
    HOLD_INTERRUPTS();
    LWLockReleaseAll();
    ConditionVariableCancelSleep();
    AbortCurrentTransaction();
    if (MyReplicationSlot) ReplicationSlotRelease();
    InvalidateSystemCaches();
    RESUME_INTERRUPTS();
}

}  // namespace

// --- start -----------------------------------------------------------------------------------------------------------

// Ends for good: the extension is not in this database (any more).
void CaptureWorker::GoneForGood() {
    DropSlot(slot_);
    mooncake::Api().request_engine(database_, false);
    ereport(LOG, (errmsg("pg_mooncake is not installed in database %u any more: its capture worker ends", database_)));
    proc_exit(0);
}

void CaptureWorker::Connect() {
    const DuckdbApi& api = mooncake::Api();
    api.request_engine(database_, true);
    char* error = nullptr;
    const int fd = api.connect_engine(database_, static_cast<int>(Role::kCapture), kConnectTimeoutMs, &error);
    if (fd < 0) {
        ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
                        errmsg("could not connect to the columnar engine: %s", error ? error : "unknown error")));
    }
    link_ = EngineLink::Make(fd);
}

void CaptureWorker::Run(Oid database) {
    database_ = database;
    mooncake::SlotName(database, slot_);
    turn_context_ = AllocSetContextCreate(TopMemoryContext, "capture loop", ALLOCSET_DEFAULT_SIZES);
    MemoryContextSwitchTo(turn_context_);
    PinWorkerSettings();

    bool installed = false;
    InTransaction([&] { installed = mooncake::ExtensionExists(); });
    if (!installed) GoneForGood();
    PrepareSlot();
    CheckRetainedWal();  // before an engine that does not start ends this process
    Connect();
    SendFlushSettings();
    decoder_ = Decoder::Start(link_, streaming_);
    started_ = GetCurrentTimestamp();
    unstreamed_until_ = GetFlushRecPtr(nullptr);
    persisted_ = confirmed_ = MyReplicationSlot->data.confirmed_flush;
    RefreshCatalog();
    link_->Queue(MessageType::kCaptureReady);

    for (;;) {
        ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
        if (ConfigReloadPending) {
            ConfigReloadPending = false;
            ProcessConfigFile(PGC_SIGHUP);
            PinWorkerSettings();
            SendFlushSettings();
        }
        MemoryContextReset(turn_context_);
        MemoryContextSwitchTo(turn_context_);
        wake_ms_ = kIdleMs;

        link_->Receive();
        HandleEvents();
        if (mooncake::CatalogVersion() != catalog_version_) refresh_ = true;
        if (RetryIsDue() || SecretsAreDue()) refresh_ = true;
        if (refresh_) RefreshCatalog();
        AdvanceCopies();
        const bool caught_up = Decode();
        SendProgress(caught_up);
        link_->Flush();
        Confirm();
        KeepSlotMoving();
        CheckRetainedWal();
        if (!streaming_ && caught_up) StreamAgain();
        if (caught_up) Sleep();
    }
}

// With the error's data still in place.
void CaptureWorker::Fail() {
    MemoryContextSwitchTo(TopMemoryContext);
    const ErrorData* error = CopyErrorData();
    const int category = ERRCODE_TO_CATEGORY(error->sqlerrcode);
    const bool outside = category == ERRCODE_TO_CATEGORY(ERRCODE_CONNECTION_EXCEPTION) ||
                         category == ERRCODE_INSUFFICIENT_RESOURCES || category == ERRCODE_OPERATOR_INTERVENTION ||
                         category == ERRCODE_SYSTEM_ERROR;
    EmitErrorReport();
    FlushErrorState();
    if (!decoder_ || outside) proc_exit(1);
    CleanUpAfterError();
    if (streaming_) {
        for (const auto& job : jobs_) {
            if (job->handle) TerminateBackgroundWorker(job->handle);
        }
        link_->Close();
        ereport(LOG, (errmsg("capture of database %u goes on without streaming large transactions", database_)));
        return;
    }
    if (const CapturedMirror* culprit = decoder_->culprit()) {
        for (bool again = true; again;) {
            InTransaction([&] {
                again = mooncake::FailMirror(culprit->id, culprit->generation, MirrorState::kError, error->message) ==
                        ChangeResult::kBusy;
            });
            if (again) PauseForLock();
        }
    } else if (mooncake::WorkerFailures() >= kHopelessFailures) {
        // The server can't decode what is there: "could not map filenumber" after ALTER DATABASE SET TABLESPACE, say.
        ereport(LOG, (errmsg("the mirrors of database %u are given up and will be copied anew", database_),
                      errdetail("The WAL from their replication slot on can't be decoded.")));
        RestartAllCopies("the WAL could not be decoded");
        DropSlot(slot_);
    }
    proc_exit(1);
}

// --- decoding --------------------------------------------------------------------------------------------------------

// Decodes until there is no more flushed WAL, true, or for about as long as other things can wait, false.
bool CaptureWorker::Decode() {
    for (int records = 1;; records++) {
        switch (decoder_->DecodeRecord()) {
            case Decoder::Step::kEnd: return true;
            case Decoder::Step::kHeld: FinishHeldCommit(); break;
            case Decoder::Step::kMore: break;
        }
        CHECK_FOR_INTERRUPTS();
        if (records % 16 == 0 && GetCurrentTimestamp() - progress_at_ > kProgressEveryUs) return false;
    }
}

// A transaction that touched the definition of a source has committed: tell the engine of the columns that the catalog
// has now, then let the commit go.
void CaptureWorker::FinishHeldCommit() {
    // The commit is in the WAL, but the catalog shows it only once it has left the list of running transactions.
    const auto xid = static_cast<TransactionId>(decoder_->held_xid());
    while (TransactionIdIsInProgress(xid)) {
        link_->Flush();
        link_->Wait(1, PG_WAIT_EXTENSION);
        ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
        link_->Receive();
    }
    FaultPoint("capture-held-commit");
    RefreshCatalog();
    decoder_->ReleaseHeldCommit();
    SetLatch(MyLatch);
}

void CaptureWorker::SendFlushSettings() {
    FlushSettings settings;
    settings.interval_ms = static_cast<uint64_t>(mooncake::flush_interval_ms);
    settings.bytes = static_cast<uint64_t>(mooncake::flush_size_mb) << 20;
    uint64_t wal = kFlushWalBytes;
    uint64_t forced = kForceWalBytes;
    if (mooncake::max_retained_wal_mb >= 0) {
        const uint64_t limit = static_cast<uint64_t>(std::max(mooncake::max_retained_wal_mb, 1)) << 20;
        wal = std::min(wal, limit / 4);
        forced = std::min(forced, limit / 2);
        settings.copy_bytes = limit;
    }
    settings.file_bytes = static_cast<uint64_t>(mooncake::target_file_size_mb) << 20;
    settings.rewrite_files = static_cast<uint64_t>(mooncake::optimize_files);
    settings.rewrite_deleted_percent = static_cast<uint64_t>(mooncake::optimize_deleted_percent);
    settings.wal_bytes = wal;
    settings.force_wal_bytes = forced;
    link_->Queue(MessageType::kFlushSettings, settings);
}

void CaptureWorker::SendProgress(bool caught_up) {
    const TimestampTz now = GetCurrentTimestamp();
    if (!caught_up && now - progress_at_ < kProgressEveryUs) return;
    progress_at_ = now;
    if (now - horizon_at_ >= kHorizonEveryUs) {
        horizon_at_ = now;
        const Xid horizon = OldestXmin();
        horizon_pause_ms_ = horizon > oldest_xmin_ ? 10 : std::min(1000, horizon_pause_ms_ * 2 + 1);
        oldest_xmin_ = std::max(oldest_xmin_, horizon);
    }
    // Committed rows that some snapshot does not see yet can't be flushed: look again soon, then less and less often.
    if (decoder_->newest_commit() >= oldest_xmin_) WakeIn(std::max(10, horizon_pause_ms_));
    const XLogRecPtr lsn = decoder_->decoded_lsn();
    if (lsn == sent_lsn_ && oldest_xmin_ == sent_xmin_) return;
    sent_lsn_ = lsn;
    sent_xmin_ = oldest_xmin_;
    link_->Queue(MessageType::kProgress, Progress{lsn, oldest_xmin_});
    decoder_->set_progress_xmin(oldest_xmin_);
}

// What could not be streamed lies behind: the next process may stream again.
void CaptureWorker::StreamAgain() {
    if (confirmed_ < unstreamed_until_ || !TimestampDifferenceExceeds(started_, GetCurrentTimestamp(), kUnstreamedMs)) {
        return;
    }
    ereport(LOG, (errmsg("capture of database %u starts again, streaming large transactions", database_)));
    proc_exit(1);
}

void CaptureWorker::Sleep() {
    // Walsenders are woken at each flush of the WAL through this variable, and only if there can be any.
    if (max_wal_senders == 0) WakeIn(5);
    ConditionVariablePrepareToSleep(&WalSndCtl->wal_flush_cv);
    if (!decoder_->MoreWal() && !MyLatch->is_set) link_->Wait(wake_ms_, PG_WAIT_EXTENSION);
    ConditionVariableCancelSleep();
}

namespace {

// Returns after an error if it may go better without streaming.
void RunWorker(Oid database, bool streaming) {
    CaptureWorker* const worker = pg::Guard([&] { return new CaptureWorker(streaming); });
    PG_TRY();
    {
        worker->Run(database);
    }
    PG_CATCH();
    {
        worker->Fail();
    }
    PG_END_TRY();
    delete worker;
}

}  // namespace

void CaptureMain(Oid database) {
    RunWorker(database, true);
    RunWorker(database, false);
    pg_unreachable();
}

}  // namespace ivy::capture
