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
#include "capture/worker.h"

#include <sys/stat.h>

#include <algorithm>
#include <deque>
#include <set>

#include "capture/decoder.h"
#include "capture/engine_link.h"
#include "capture/horizon.h"
#include "capture/row_layout.h"
#include "capture/session.h"
#include "capture/slot.h"
#include "pg/guard.h"
#include "pg/xid.h"
#include "pg_mooncake/src/catalog.h"
#include "pg_mooncake/src/worker.h"

extern "C" {
#include "access/xlog.h"
#include "postmaster/bgworker.h"
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
#include "utils/inval.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"
}

namespace ivy::capture {

namespace {

using mooncake::ChangeResult;
using mooncake::MirrorRow;
using mooncake::MirrorState;

constexpr int kConnectTimeoutMs = 30 * 1000;
constexpr int kIdleMs = 10 * 1000;              // the loop turns at least this often
constexpr int kBusyRetryMs = 50;                // a catalog row was locked
constexpr int kCopyPollMs = 20;                 // waiting for transactions to end before a copy
constexpr int kCopyGraceMs = 500;               // a copy worker has ended: its files should be announced in this time
constexpr int kMaxCopyPauseMs = 60 * 1000;      // between two attempts of a copy
constexpr int kMaxCopies = 2;                   // at a time
constexpr int kProgressEveryUs = 1000;          // while there is always more WAL
constexpr int kHorizonEveryUs = 10 * 1000;
constexpr int kConfirmEveryUs = 200 * 1000;
constexpr int kRetainedEveryUs = 5 * 1000 * 1000;
constexpr int kUnstreamedMs = 60 * 1000;        // at least, once streaming has failed
constexpr int kDropPollMs = 1000;               // folders that the engine is deleting

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

// Before another look at a row that somebody had locked.
void PauseForLock() {
    WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, kBusyRetryMs, PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
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
    Stage stage = Stage::kSettling;
    CommitsInFlight in_flight;
    std::vector<Xid> streamed;  // transactions of which parts had been sent before
    BackgroundWorkerHandle* handle = nullptr;
    int failures = 0;
    TimestampTz due = 0;  // end of kEnded or kPaused
};

class CaptureWorker {
  public:
    explicit CaptureWorker(bool streaming) : streaming_(streaming) {}
    [[noreturn]] void Run(Oid database);
    // After an error in Run. Returns if another worker without streaming may do better.
    void Fail();

  private:
    // start
    void PrepareSlot();
    void RestartAllCopies(const char* reason);
    void Connect();

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

    // events
    void HandleEvents();
    bool HandleEvent(const Frame& event);
    bool HandleFlushReady(const Frame& frame);
    bool HandleMirrorFailed(const Frame& frame);
    void HandlePersisted(const Frame& frame);

    // copies
    void AdvanceCopies();
    void AdvanceCopy(CopyJob* job);
    bool HasWaitingEvent(Oid mirror) const;
    bool Settled(CopyJob* job);
    void StartCopy(CopyJob* job);
    void RetryCopy(CopyJob* job);
    void ForgetJob(Oid mirror, bool terminate);

    // decoding
    bool Decode();
    void FinishHeldCommit();
    void SendProgress(bool caught_up);
    void Confirm();
    void CheckRetainedWal();
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
    bool refresh_ = true;                   // the catalog must be read
    bool extension_gone_ = false;
    std::vector<std::unique_ptr<CapturedMirror>> wanted_;  // of the last ReadCatalog
    std::vector<std::pair<Oid, std::string>> dropped_;     // mirror and location, of the last ReadCatalog
    std::set<std::string> deleting_;        // locations that this engine was told to delete
    TimestampTz forget_due_ = 0;

    std::deque<Frame> waiting_;             // events that could not be handled yet, in order...
    std::vector<uint32_t> locked_;          // ...and, during a pass over them, whose mirrors are locked
    std::vector<std::unique_ptr<CopyJob>> jobs_;
    bool no_worker_reported_ = false;

    XLogRecPtr sent_lsn_ = InvalidXLogRecPtr;
    Xid oldest_xmin_ = kInvalidXid, sent_xmin_ = kInvalidXid;
    TimestampTz horizon_at_ = 0, progress_at_ = 0, confirm_at_ = 0, retained_at_ = 0;
    int horizon_pause_ms_ = 0;
    XLogRecPtr persisted_ = InvalidXLogRecPtr, confirmed_ = InvalidXLogRecPtr;
    long wake_ms_ = kIdleMs;                // the longest that this turn may sleep
};

// --- start -----------------------------------------------------------------------------------------------------------

// Ends for good: the extension is not in this database (any more).
void CaptureWorker::GoneForGood() {
    DropSlot(slot_);
    mooncake::Api().request_engine(database_, false);
    ereport(LOG, (errmsg("pg_mooncake is not installed in database %u any more: its capture worker ends", database_)));
    proc_exit(0);
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

// The copies are ordered before the slot exists for good: whatever happens in between, no mirror serves with a gap.
void CaptureWorker::PrepareSlot() {
    switch (FindSlot(slot_)) {
        case SlotState::kUsable:
            AcquireSlot(slot_);
            return;
        case SlotState::kInvalidated:
            RestartAllCopies("the replication slot was invalidated");
            DropSlot(slot_);
            break;
        case SlotState::kMissing:
            RestartAllCopies("the replication slot was missing");
            break;
    }
    CreateSlot(slot_);
    ereport(LOG, (errmsg("created replication slot \"%s\" for the mirrors of database %u", slot_, database_)));
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
    Connect();
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
        }
        MemoryContextReset(turn_context_);
        MemoryContextSwitchTo(turn_context_);
        wake_ms_ = kIdleMs;

        link_->Receive();
        HandleEvents();
        if (mooncake::CatalogVersion() != catalog_version_) refresh_ = true;
        if (refresh_) RefreshCatalog();
        AdvanceCopies();
        const bool caught_up = Decode();
        SendProgress(caught_up);
        link_->Flush();
        Confirm();
        CheckRetainedWal();
        if (!streaming_ && caught_up) StreamAgain();
        if (caught_up) Sleep();
    }
}

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
    }
    proc_exit(1);
}

// --- the catalog -----------------------------------------------------------------------------------------------------

// Makes the captured mirrors and the engine's agree with the catalog.
void CaptureWorker::RefreshCatalog() {
    refresh_ = false;
    catalog_version_ = mooncake::CatalogVersion();  // before reading, so that a change meanwhile is seen next time
    pg::Guard([&] {
        wanted_.clear();
        dropped_.clear();
    });
    bool complete = true;
    InTransaction([&] { complete = ReadCatalog(); });
    if (extension_gone_) GoneForGood();
    if (!complete) {
        refresh_ = true;
        WakeIn(kBusyRetryMs);
    }
    ApplyCatalog();
}

// In a transaction. False if something was locked and must be looked at again.
bool CaptureWorker::ReadCatalog() {
    extension_gone_ = !mooncake::ExtensionExists();
    if (extension_gone_) return true;
    bool complete = true;
    bool restarted = false;
    ListCell* cell;
    foreach (cell, mooncake::ListMirrors()) {
        const auto* row = static_cast<const MirrorRow*>(lfirst(cell));
        const char* reason = nullptr;
        if (!mooncake::OwnsLocation(row->location)) {
            reason = "its files belong to another server or database";
        } else if (row->state == MirrorState::kStale) {
            reason = "changes were given up";
        }
        if (!reason) continue;
        if (mooncake::RestartCopy(row->mirror, reason) == ChangeResult::kBusy) {
            complete = false;
        } else {
            restarted = true;
        }
    }
    if (restarted) CommandCounterIncrement();
    foreach (cell, mooncake::ListMirrors()) {
        const auto* row = static_cast<const MirrorRow*>(lfirst(cell));
        if (row->state != MirrorState::kCopying && row->state != MirrorState::kLive) continue;
        if (!mooncake::OwnsLocation(row->location)) continue;
        ReadMirror(row);
    }
    foreach (cell, mooncake::ListDropped()) {
        const auto* dropped = static_cast<const mooncake::DroppedLocation*>(lfirst(cell));
        pg::Guard([&] { dropped_.emplace_back(dropped->mirror, dropped->location); });
    }
    return complete;
}

// In a transaction: adds the mirror to wanted_ unless its relations are gone.
void CaptureWorker::ReadMirror(const MirrorRow* row) {
    // Without a lock: an ALTER TABLE that waits in some session must not stop all mirrors. The descriptor is that of some
    // committed moment, and a later one is announced by the WAL.
    Relation source = RelationIdGetRelation(row->source);
    const char* table = get_rel_name(row->mirror);
    if (!RelationIsValid(source)) return;
    if (!table) {
        RelationClose(source);
        return;
    }
    const char* schema = get_namespace_name(get_rel_namespace(row->mirror));
    RowLayout* layout = MakeRowLayout(CurrentMemoryContext, RelationGetDescr(source), row->key, row->key_count);
    pg::Guard([&]() -> Status {
        auto mirror = std::make_unique<CapturedMirror>();
        mirror->id = row->mirror;
        mirror->source = row->source;
        mirror->generation = row->generation;
        mirror->key.assign(row->key, row->key + row->key_count);
        MirrorOpen& open = mirror->told;
        open.id = row->mirror;
        open.schema_name = schema ? schema : "";
        open.table_name = table;
        open.columns = LayoutColumns(*layout);
        for (const int16 attribute : mirror->key) open.key.push_back(static_cast<uint32_t>(attribute));
        open.location = row->location;
        if (row->metadata_location) open.metadata_location = row->metadata_location;
        open.flushed_lsn = row->flushed_lsn;
        open.has_copy_snapshot = row->copy_snapshot != nullptr;
        if (row->copy_snapshot && !mooncake::SnapshotFromText(row->copy_snapshot, &open.copy_snapshot)) {
            return Status::Corrupt("mooncake.mirrors has a damaged copy_snapshot");
        }
        open.format_version = static_cast<uint8_t>(row->format_version);
        for (int i = 0; i < row->inexact_count; i++) open.inexact.push_back(static_cast<uint32_t>(row->inexact[i]));
        wanted_.push_back(std::move(mirror));
        return Status::Ok();
    });
    FreeRowLayout(layout);
    RelationClose(source);
}

// Outside of a transaction: sends what has changed.
void CaptureWorker::ApplyCatalog() {
    // What is gone, or is another generation now.
    for (size_t i = decoder_->mirrors().size(); i-- > 0;) {
        const CapturedMirror* captured = decoder_->mirrors()[i];
        bool kept = false;
        for (const auto& wanted : wanted_) {
            kept = kept || (wanted->id == captured->id && wanted->generation == captured->generation);
        }
        if (!kept) Release(captured->id);
    }
    // A folder is deleted before the mirror's next generation is opened under the same id.
    DeleteDroppedFiles();
    for (auto& wanted : wanted_) {
        if (CapturedMirror* captured = decoder_->FindMirror(wanted->id)) {
            UpdateMirror(captured, *wanted);
        } else {
            OpenMirror(&wanted);
        }
    }
    pg::Guard([&] { wanted_.clear(); });
}

void CaptureWorker::Release(Oid mirror) {
    ForgetJob(mirror, true);
    decoder_->RemoveMirror(mirror);
    MirrorClose close;
    close.id = mirror;
    link_->Queue(MessageType::kMirrorClose, close);
}

void CaptureWorker::OpenMirror(std::unique_ptr<CapturedMirror>* wanted) {
    CapturedMirror* mirror = decoder_->AddMirror(wanted->release());
    link_->Queue(MessageType::kMirrorOpen, mirror->told);
    if (mirror->told.has_copy_snapshot) return;
    CopyJob* job = pg::Guard([&] {
        jobs_.push_back(std::make_unique<CopyJob>());
        CopyJob* made = jobs_.back().get();
        made->mirror = mirror->id;
        made->generation = mirror->generation;
        made->streamed.assign(decoder_->streamed().begin(), decoder_->streamed().end());
        return made;
    });
    job->in_flight.Begin();
}

// Whether chunks with the columns "from" can become rows with the columns "to" without looking at the source again.
bool CanFollow(const std::vector<MirrorColumn>& from, const std::vector<MirrorColumn>& to) {
    for (const MirrorColumn& column : to) {
        const auto old = std::find_if(from.begin(), from.end(), [&](const auto& c) { return c.id == column.id; });
        if (old == from.end()) continue;
        const bool wider = old->type.kind == TypeKind::kDecimal && column.type.kind == TypeKind::kDecimal &&
                           old->type.scale == column.type.scale && old->type.precision <= column.type.precision;
        if (!(old->type == column.type) && !wider) return false;
    }
    return true;
}

// The same generation as before, perhaps with other columns or another name.
void CaptureWorker::UpdateMirror(CapturedMirror* captured, const CapturedMirror& wanted) {
    MirrorOpen& told = captured->told;
    const bool same = pg::Guard([&] {
        const auto equal = [](const MirrorColumn& a, const MirrorColumn& b) {
            return a.id == b.id && a.name == b.name && a.type == b.type && a.not_null == b.not_null;
        };
        return told.schema_name == wanted.told.schema_name && told.table_name == wanted.told.table_name &&
               std::equal(told.columns.begin(), told.columns.end(), wanted.told.columns.begin(),
                          wanted.told.columns.end(), equal);
    });
    if (same) return;
    if (!CanFollow(told.columns, wanted.told.columns)) {
        // The extension's own hooks order the copy with the ALTER; this is for whatever they do not see.
        ChangeResult result = ChangeResult::kDone;
        InTransaction([&] { result = mooncake::RestartCopy(captured->id, "a column of the source has another type"); });
        refresh_ = true;
        if (result == ChangeResult::kBusy) WakeIn(kBusyRetryMs);
        return;
    }
    pg::Guard([&] { told = wanted.told; });
    link_->Queue(MessageType::kMirrorOpen, told);
}

void CaptureWorker::DeleteDroppedFiles() {
    for (const auto& [mirror, location] : dropped_) {
        const bool fresh = pg::Guard([&] { return deleting_.insert(location).second; });
        if (!fresh) continue;
        MirrorClose* close = pg::Guard([&] { return new MirrorClose{mirror, true, location}; });
        link_->Queue(MessageType::kMirrorClose, *close);
        delete close;
    }
    if (!dropped_.empty()) forget_due_ = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), kDropPollMs);
}

// Rows of mooncake.dropped whose folder is gone, or is not where this process could look.
void CaptureWorker::ForgetDeletedFiles() {
    if (dropped_.empty()) return;
    if (GetCurrentTimestamp() < forget_due_) {
        WakeIn(kDropPollMs);
        return;
    }
    bool left = false;
    InTransaction([&] {
        for (const auto& [mirror, location] : dropped_) {
            struct stat status;
            if (strstr(location.c_str(), "://") == nullptr && stat(location.c_str(), &status) == 0) {
                left = true;
            } else {
                mooncake::ForgetDropped(location.c_str());
            }
        }
    });
    pg::Guard([&] {
        std::erase_if(dropped_, [](const auto& entry) {
            struct stat status;
            return entry.second.find("://") != std::string::npos || stat(entry.second.c_str(), &status) != 0;
        });
    });
    forget_due_ = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), left ? kIdleMs : kDropPollMs);
}

// --- events ----------------------------------------------------------------------------------------------------------

// An event whose mirror is locked by somebody waits, and with it the later ones of the same mirror.
void CaptureWorker::HandleEvents() {
    while (const Frame* event = link_->FirstEvent()) {
        pg::Guard([&] { waiting_.push_back(*event); });
        link_->PopEvent();
    }
    pg::Guard([&] { locked_.clear(); });
    for (size_t i = 0; i < waiting_.size();) {
        const uint32_t mirror = waiting_[i].reader().U32();
        if (std::find(locked_.begin(), locked_.end(), mirror) == locked_.end() && HandleEvent(waiting_[i])) {
            pg::Guard([&] { waiting_.erase(waiting_.begin() + static_cast<ptrdiff_t>(i)); });
        } else {
            pg::Guard([&] { locked_.push_back(mirror); });
            WakeIn(kBusyRetryMs);
            i++;
        }
    }
}

// False if the mirror's row is locked: try again later.
bool CaptureWorker::HandleEvent(const Frame& event) {
    switch (static_cast<MessageType>(event.type)) {
        case MessageType::kFlushReady: return HandleFlushReady(event);
        case MessageType::kMirrorFailed: return HandleMirrorFailed(event);
        case MessageType::kPersisted: HandlePersisted(event); return true;
        case MessageType::kError: RaiseEngineError(event);
        default:
            ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
                            errmsg("unexpected message %d from the columnar engine", event.type)));
    }
}

bool CaptureWorker::HandleFlushReady(const Frame& frame) {
    const FlushReady* ready = pg::Guard([&]() -> Result<const FlushReady*> {
        auto message = FlushReady::Read(frame);
        if (!message.ok()) return message.status();
        return static_cast<const FlushReady*>(new FlushReady(std::move(*message)));
    });
    ChangeResult result = ChangeResult::kDone;
    FaultPoint("capture-before-publish");
    InTransaction([&] {
        mooncake::Publication publication = {};
        publication.mirror = ready->mirror;
        publication.metadata_location = ready->metadata_location.c_str();
        publication.previous_metadata_location = ready->previous_metadata_location.c_str();
        publication.flushed_lsn = ready->flushed_lsn;
        if (ready->has_copy_snapshot) publication.copy_snapshot = mooncake::SnapshotToText(ready->copy_snapshot);
        publication.rows = ready->total_rows;
        publication.bytes = ready->total_bytes;
        result = mooncake::PublishMirror(publication);
    });
    FaultPoint("capture-after-publish");
    if (result == ChangeResult::kDone) {
        if (CapturedMirror* mirror = decoder_->FindMirror(ready->mirror)) {
            pg::Guard([&] {
                MirrorOpen& told = mirror->told;
                told.metadata_location = ready->metadata_location;
                told.flushed_lsn = ready->flushed_lsn;
                if (ready->has_copy_snapshot) {
                    told.has_copy_snapshot = true;
                    told.copy_snapshot = ready->copy_snapshot;
                }
            });
        }
        if (ready->has_copy_snapshot) ForgetJob(ready->mirror, false);
        Published* published = pg::Guard([&] { return new Published{ready->mirror, ready->metadata_location}; });
        link_->Queue(MessageType::kPublished, *published);
        delete published;
    } else if (result == ChangeResult::kGone) {
        // Dropped, or to be copied anew: the catalog says which, and the engine is told.
        refresh_ = true;
    }
    delete ready;
    return result != ChangeResult::kBusy;
}

bool CaptureWorker::HandleMirrorFailed(const Frame& frame) {
    const MirrorFailed* failed = pg::Guard([&]() -> Result<const MirrorFailed*> {
        auto message = MirrorFailed::Read(frame);
        if (!message.ok()) return message.status();
        return static_cast<const MirrorFailed*>(new MirrorFailed(std::move(*message)));
    });
    ChangeResult result = ChangeResult::kGone;
    if (const CapturedMirror* mirror = decoder_->FindMirror(failed->mirror)) {
        InTransaction([&] {
            if (!failed->inexact.empty()) {
                const int count = static_cast<int>(failed->inexact.size());
                auto* columns = static_cast<int16*>(palloc(sizeof(int16) * static_cast<Size>(count)));
                for (int i = 0; i < count; i++) columns[i] = static_cast<int16>(failed->inexact[static_cast<size_t>(i)]);
                result = mooncake::MarkInexact(mirror->id, columns, count);
            } else {
                result = mooncake::FailMirror(mirror->id, mirror->generation, MirrorState::kError,
                                              failed->error.message.c_str());
            }
        });
        if (result == ChangeResult::kDone && failed->inexact.empty()) {
            ereport(LOG, (errmsg("mirror %u failed: %s", mirror->id, failed->error.message.c_str()),
                          errdetail("Queries on it use the row table.")));
            refresh_ = true;
        } else if (result == ChangeResult::kDone) {
            pg::Guard([&] {
                auto& known = decoder_->FindMirror(failed->mirror)->told.inexact;
                for (const uint32_t id : failed->inexact) {
                    if (std::find(known.begin(), known.end(), id) == known.end()) known.push_back(id);
                }
            });
        }
    }
    delete failed;
    return result != ChangeResult::kBusy;
}

void CaptureWorker::HandlePersisted(const Frame& frame) {
    const Lsn lsn = pg::Guard([&]() -> Result<Lsn> {
        auto message = Persisted::Read(frame);
        if (!message.ok()) return message.status();
        return message->lsn;
    });
    persisted_ = std::max<XLogRecPtr>(persisted_, std::min<XLogRecPtr>(lsn, decoder_->decoded_lsn()));
}

// --- copies ----------------------------------------------------------------------------------------------------------

void CaptureWorker::ForgetJob(Oid mirror, bool terminate) {
    for (const auto& job : jobs_) {
        if (job->mirror != mirror) continue;
        job->in_flight.End();
        if (job->handle && terminate) TerminateBackgroundWorker(job->handle);
        if (job->handle) pfree(job->handle);
    }
    pg::Guard([&] { std::erase_if(jobs_, [&](const auto& job) { return job->mirror == mirror; }); });
}

void CaptureWorker::AdvanceCopies() {
    for (size_t i = 0; i < jobs_.size(); i++) AdvanceCopy(jobs_[i].get());
    ForgetDeletedFiles();
}

bool CaptureWorker::Settled(CopyJob* job) {
    for (const Xid xid : job->streamed) {
        if (decoder_->streamed().count(xid) > 0) return false;
    }
    return job->in_flight.Settled();
}

void CaptureWorker::StartCopy(CopyJob* job) {
    int running = 0;
    for (const auto& other : jobs_) running += other->stage == CopyJob::Stage::kRunning ? 1 : 0;
    if (running >= kMaxCopies) return;
    link_->FlushAll();  // the engine must know the mirror
    MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
    job->handle = mooncake::StartCopyWorker(job->mirror, job->generation);
    MemoryContextSwitchTo(caller);
    if (job->handle) {
        job->stage = CopyJob::Stage::kRunning;
        no_worker_reported_ = false;
        return;
    }
    if (!no_worker_reported_) {
        ereport(LOG, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
                      errmsg("no background worker is free to copy the source of mirror %u", job->mirror),
                      errhint("You might need to increase \"max_worker_processes\".")));
        no_worker_reported_ = true;
    }
    job->stage = CopyJob::Stage::kPaused;
    job->due = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), 1000);
}

void CaptureWorker::RetryCopy(CopyJob* job) {
    const int pause = std::min(kMaxCopyPauseMs, 500 << std::min(job->failures, 10));
    job->failures++;
    job->stage = CopyJob::Stage::kPaused;
    job->due = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), pause);
}

bool CaptureWorker::HasWaitingEvent(Oid mirror) const {
    return std::any_of(waiting_.begin(), waiting_.end(),
                       [&](const Frame& event) { return event.reader().U32() == mirror; });
}

void CaptureWorker::AdvanceCopy(CopyJob* job) {
    if (job->stage == CopyJob::Stage::kSettling) {
        if (!Settled(job)) {
            WakeIn(kCopyPollMs);
            return;
        }
        job->in_flight.End();
        job->stage = CopyJob::Stage::kReady;
    }
    if (job->stage == CopyJob::Stage::kRunning) {
        pid_t pid;
        if (GetBackgroundWorkerPid(job->handle, &pid) != BGWH_STOPPED) return;
        pfree(job->handle);
        job->handle = nullptr;
        job->stage = CopyJob::Stage::kEnded;
        job->due = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), kCopyGraceMs);
    }
    if (job->stage == CopyJob::Stage::kEnded || job->stage == CopyJob::Stage::kPaused) {
        const long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), job->due);
        if (left > 0) {
            WakeIn(static_cast<int>(std::min<long>(left, kIdleMs)));
            return;
        }
        if (job->stage == CopyJob::Stage::kEnded) {
            // An announcement that waits for the mirror's lock is an announcement.
            if (!HasWaitingEvent(job->mirror)) RetryCopy(job);
            return;
        }
        job->stage = CopyJob::Stage::kReady;
    }
    StartCopy(job);
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

void CaptureWorker::Confirm() {
    if (persisted_ <= confirmed_) return;
    const TimestampTz now = GetCurrentTimestamp();
    if (now - confirm_at_ < kConfirmEveryUs) {
        WakeIn(kConfirmEveryUs / 1000);
        return;
    }
    confirm_at_ = now;
    confirmed_ = persisted_;
    ConfirmSlot(confirmed_);
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

// What could not be streamed lies behind: the next process may stream again.
void CaptureWorker::StreamAgain() {
    if (confirmed_ < unstreamed_until_ ||
        !TimestampDifferenceExceeds(started_, GetCurrentTimestamp(), kUnstreamedMs)) {
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
