// SPDX-License-Identifier: Apache-2.0
//
// CaptureWorker: what the capture worker knows and does. Its parts: capture_worker.cc (start, main loop, decoding),
// capture_slot.cc (the replication slot), capture_catalog.cc (catalog and engine agree), capture_events.cc (the engine's
// events), capture_copies.cc (copies).
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "postmaster/bgworker.h"
#include "utils/inval.h"
#include "utils/timestamp.h"
}

#include <deque>
#include <map>
#include <set>

#include "capture/decoder.h"
#include "capture/engine_link.h"
#include "capture/horizon.h"
#include "pg/guard.h"
#include "pg_mooncake/src/catalog.h"
#include "pg_mooncake/src/worker.h"

namespace ivy::capture {

using mooncake::ChangeResult;
using mooncake::MirrorRow;
using mooncake::MirrorState;

inline constexpr int kIdleMs = 10 * 1000;  // the loop turns at least this often
inline constexpr int kBusyRetryMs = 50;    // a catalog row was locked

// Before another look at a row that somebody had locked.
void PauseForLock();

// Runs "body" in a transaction between decoded records. What body pallocs is gone afterwards.
template <typename F>
void InTransaction(F&& body) {
    InvalidateSystemCaches();
    StartTransactionCommand();
    PushActiveSnapshot(GetTransactionSnapshot());
    body();
    PopActiveSnapshot();
    CommitTransactionCommand();
    InvalidateSystemCaches();
}

// A mirror that is to be copied: from the moment its changes are captured until its first files are published.
struct CopyJob {
    enum class Stage : uint8_t {
        kSettling,  // transactions that began to arrive before capturing did must end first
        kReady,     // a copy worker may start
        kRunning,   // it does
        kEnded,     // it has ended; the engine should have announced its files
        kPaused,    // an attempt has failed
    };
    Oid mirror = InvalidOid;
    int generation = 0;
    uint64 order = 0;  // MirrorOpen::copy_order
    Stage stage = Stage::kSettling;
    CommitsInFlight in_flight;
    std::vector<Xid> streamed;  // transactions of which parts had been sent before
    BackgroundWorkerHandle* handle = nullptr;
    int failures = 0;
    TimestampTz due = 0;           // end of kEnded or kPaused
    bool no_worker_noted = false;  // in the catalog
};

// A folder that is to be deleted.
struct DroppedFiles {
    Oid mirror;
    std::string location;
    std::vector<Secret> secrets;
    bool network;  // the engine tells when it is done
};
// That the engine was told so, with these secrets; and when it is to be told again because it could not do it.
struct Removal {
    std::vector<Secret> secrets;
    TimestampTz retry_at = 0;
};

class CaptureWorker {
  public:
    explicit CaptureWorker(bool streaming) : streaming_(streaming) {}
    [[noreturn]] void Run(Oid database);
    // After an error in Run. Returns if another worker without streaming may do better.
    void Fail();

  private:
    // start
    void Connect();

    // the slot
    void PrepareSlot();
    void CheckSlotRecord();
    void RecordSlot(XLogRecPtr confirmed);
    void RestartAllCopies(const char* reason);
    void Confirm();
    void KeepSlotMoving();
    void CheckRetainedWal();

    // the catalog
    void RefreshCatalog();
    bool ReadCatalog();
    void ReadMirror(const MirrorRow* row);
    void ApplyCatalog();
    void OpenMirror(std::unique_ptr<CapturedMirror>* wanted);
    void UpdateMirror(CapturedMirror* captured, const CapturedMirror& wanted);
    void DeleteDroppedFiles();
    void ForgetDeletedFiles();
    void Release(Oid mirror);
    bool RetryIsDue();
    bool NoteSecrets(const MirrorRow* row);
    bool SecretsAreDue();

    // events
    void HandleEvents();
    bool HandleEvent(const Frame& event);
    bool HandleFlushReady(const Frame& frame);
    bool HandleMirrorFailed(const Frame& frame);
    void HandlePersisted(const Frame& frame);
    void HandleFilesRemoved(const Frame& frame);

    // copies
    void AdvanceCopies();
    void AdvanceCopy(CopyJob* job);
    bool HasWaitingEvent(Oid mirror) const;
    bool Settled(CopyJob* job);
    void ReportNoWorker(CopyJob* job);
    void StartCopy(CopyJob* job);
    void RetryCopy(CopyJob* job);
    void ForgetJob(Oid mirror, bool terminate);

    // decoding
    bool Decode();
    void FinishHeldCommit();
    void SendFlushSettings();
    void SendProgress(bool caught_up);
    void Sleep();
    void WakeIn(int ms) { wake_ms_ = std::min<long>(wake_ms_, ms); }
    void StreamAgain();
    void GoneForGood();

    const bool streaming_;
    TimestampTz started_ = 0;
    XLogRecPtr unstreamed_until_ = InvalidXLogRecPtr;  // what must be confirmed before streaming is tried again
    Oid database_ = InvalidOid;
    char slot_[NAMEDATALEN] = "";
    EngineLink* link_ = nullptr;
    Decoder* decoder_ = nullptr;
    MemoryContext turn_context_ = nullptr;  // reset at each turn of the loop

    uint64 catalog_version_ = 0;
    bool refresh_ = true;  // the catalog must be read
    bool extension_gone_ = false;
    std::vector<std::unique_ptr<CapturedMirror>> wanted_;  // of the last ReadCatalog
    std::unique_ptr<CapturedMirror> reading_;              // that is being added to them
    std::vector<DroppedFiles> dropped_;                    // of the last ReadCatalog
    std::map<std::string, Removal> deleting_;              // by location: that this engine was told to delete
    TimestampTz forget_due_ = 0;
    std::map<Oid, std::vector<Secret>> secrets_;  // of mirrors on the network, at the last ReadCatalog
    TimestampTz secrets_due_ = 0;                 // when to look at them again; 0: there are no such mirrors
    TimestampTz retry_due_ = 0;                   // when a mirror that has failed is to be copied anew; 0: none

    std::deque<Frame> waiting_;     // events that could not be handled yet, in order...
    std::vector<uint32_t> locked_;  // ...and, during a pass over them, whose mirrors are locked
    std::vector<std::unique_ptr<CopyJob>> jobs_;
    bool no_worker_reported_ = false;

    XLogRecPtr sent_lsn_ = InvalidXLogRecPtr;
    Xid oldest_xmin_ = kInvalidXid, sent_xmin_ = kInvalidXid;
    TimestampTz horizon_at_ = 0, progress_at_ = 0, confirm_at_ = 0, retained_at_ = 0;
    int horizon_pause_ms_ = 0;
    XLogRecPtr persisted_ = InvalidXLogRecPtr, confirmed_ = InvalidXLogRecPtr;
    XLogRecPtr snapshot_logged_ = InvalidXLogRecPtr;  // see KeepSlotMoving
    long wake_ms_ = kIdleMs;                          // the longest that this turn may sleep
};

}  // namespace ivy::capture
