// SPDX-License-Identifier: Apache-2.0
//
// Mirror: one mirror's life in the engine: its Iceberg table, its MirrorTable, and what waits between them.
//
//   copying ──copy published──► live ◄──files reopened── reorganizing
//   loading ──files opened────►  │  ──columns changed──►
//   any state ──error──► failed
//
// The slot is not held back for a copy: should it end early, the next one sees what was committed meanwhile. So what had
// come by the time when the last row was copied goes to files with the copy, before it is offered (CatchUp); only what
// comes later will be sent again after a crash.
//
// Files on the network are opened by the flusher's side (loading), which tries again as long as the storage fails: the
// stream of changes does not wait for a server, and nothing is given up because one is away. So are transactions applied there
// which need values out of files (unchanged ones of updated rows, or equal rows); what comes after them waits in the
// backlog. If a file can't be read when a query asks for it, queries are refused until all can be opened again.
//
// While a mirror is copying, loading or reorganizing, committed transactions wait in its backlog, in commit order, and queries
// are refused. A change of columns empties the delta into files first (flushing even what some running snapshot does
// not see yet) and then opens the files again under the new columns: field ids make old files readable, so nothing is
// rewritten.
//
// New files become current in two steps. The engine writes them and sends FlushReady, which makes a Publication; when
// the worker has answered Published, the mirror switches to them. Should the session end in between, the publication
// waits: the next session's MirrorOpen says whether it became current, and if not, it is offered again.
//
// Files are rewritten into better ones (rewrite_job.h) beside all that: the flusher's thread plans it and publishes the
// result like a flush, the compactor's thread does the work in between.
//
// Threads: the capture session's thread commits, opens and closes; the flusher's thread does everything with files;
// copy sessions bring the first files; the compactor's thread rewrites files; queries read. ingest_mutex_ is held while
// transactions are applied or queued and may be held for seconds; rewrite_mutex_ guards the rewrite, state_mutex_ what queries
// look at; both are held for moments. Order: ingest_mutex_, rewrite_mutex_, state_mutex_.
//
// Crash behaviour: nothing here is durable but the files; the slot sends again what is not in published files. Files of
// a flush that was never published, whose names were noted beside the key index before, are deleted at the next start;
// so is everything in the location of a copy that never was.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "delta/mirror_table.h"
#include "engine/change_spool.h"
#include "engine/clearings.h"
#include "engine/data_file.h"
#include "engine/events.h"
#include "engine/ingest.h"
#include "engine/mirrors.h"
#include "engine/reload_history.h"
#include "engine/rewrite_job.h"
#include "engine/rewrite_turns.h"
#include "iceberg/table.h"

namespace ivy::engine {

// What all mirrors use; outlives them.
struct MirrorContext {
    Instance& instance;
    iceberg::FileIo& io;
    Events& events;
    const IngestOptions& options;
    FlushPolicy& policy;
    ReloadHistory& reloads;
    const std::shared_ptr<delta::FileMemory>& memory;
    RewriteTurns& turns;
    Clearings& clearings;
};

// As Postgres writes it, such as "0/016B3748".
std::string LsnText(Lsn lsn);

class Mirror {
  public:
    enum class State { kCopying, kLoading, kLive, kReorganizing, kFailed };

    // The local folder of a mirror's key index segments. Each copy of a source, having a location of its own, has its
    // own.
    static std::string IndexRoot(const std::string& engine_folder, uint32_t id, const std::string& location);

    // A mirror as the worker describes it, with nothing loaded yet.
    Mirror(MirrorContext& context, MirrorOpen open);
    ~Mirror();

    uint32_t id() const { return id_; }
    const std::string& name() const { return name_; }          // schema.table, for messages
    const std::string& location() const { return location_; }  // warehouse folder

    // --- capture session's thread ---

    // Loads what "open" names and makes the mirror live, or leaves it copying. Of a mirror on the network the files are
    // left to the flusher.
    Status Load();
    // The credentials have changed: what failed is tried again at once.
    void RetryNow() { retry_now_ = true; }
    // A committed transaction's changes: applied, kept for later, or skipped if the mirror has them already. True if they are
    // for the flusher's thread to apply, now.
    bool Commit(ChangeSpool changes, Xid xid, Lsn lsn);
    void SetOldestXmin(Xid oldest_xmin);
    // Hides the mirror from queries until the session has come to "lsn", which they may believe to be applied already:
    // a mirror loaded anew lacks what earlier sessions brought.
    void HideUntil(Lsn lsn);
    void Reached(Lsn lsn);
    Lsn hidden_until() const;  // 0: it is not hidden
    // The worker opened the mirror again: after a schema change, or in a new session. False: this object does not fit
    // what the worker says; close it and make another.
    bool Reopen(const MirrorOpen& open, bool new_session);
    void Published(const std::string& metadata_location);
    // Lets go of everything; what other threads still do with it comes to nothing.
    void Close();
    // The mirror can't go on: it is loaded again by a new session, or its failure is the worker's to know.
    void Fail(const Error& error);
    // The same for one that could not be loaded: the worker is told.
    void FailForGood(const Error& error);

    // --- queries ---

    Result<MirrorRead> Read(const Snapshot& snapshot, Unavailable* why);
    // Whether it is being brought up to date with values from the network, so that waiting a little may be worth it.
    bool IsFetching() const;

    // --- copy sessions ---

    struct CopyTicket {
        uint64_t number = 0;  // of this copy; a later one makes it invalid
        std::vector<MirrorColumn> columns;
        std::vector<uint32_t> key, sort;
        std::string index_folder;
        Snapshot snapshot;
    };
    // Begins a copy, or joins the one that has begun with this snapshot. What an earlier attempt left behind is removed
    // first, which may take as long as the storage takes; refused if another session is still at that after a while.
    Result<CopyTicket> BeginCopy(const CopyBegin& begin);
    bool CopyIsBeginning() const { return beginning_copies_ > 0; }
    // Whether the copy still is what the mirror waits for; counts rows that have come.
    Status CopyProgress(const CopyTicket& ticket, uint64_t added_rows);
    void CopyScanned(const CopyTicket& ticket, uint64_t bytes);
    // How the copy ended, for the status.
    void NoteCopy(const Status& status);
    // Takes the files of one that has joined.
    Status AddCopyFiles(const CopyTicket& ticket, std::vector<DataFileWriter::Written> files,
                        const std::vector<uint32_t>& inexact);
    // Commits these files, and those of all that joined, as the table's first snapshot and offers it to the worker.
    Status FinishCopy(const CopyTicket& ticket, const std::vector<DataFileWriter::Written>& files,
                      const std::vector<uint32_t>& inexact);
    void AbandonCopy(const CopyTicket& ticket);
    // The capture session is over: a copy that runs comes to nothing. The next session has the mirror begin anew, without
    // the changes since that copy's snapshot.
    void EndCopies();

    // --- flusher's thread ---

    // One step of whatever is due: finishes a publication, applies some backlog, changes columns, flushes (not without
    // a session, whose position "session_lsn" then is). True if there may be more to do at once.
    bool Work(Xid oldest_xmin, bool may_flush, Lsn session_lsn);
    // Whether files that nothing refers to are still to be looked for, once after the mirror was loaded; and doing so. Not
    // while an earlier object of the same location has readers, whose files are in no list.
    bool SweepIsDue() const { return sweep_due_; }
    void Sweep();
    // Any thread: fails a mirror on the network that is about to hold back too much WAL.
    void GiveUpIfDue(Lsn session_lsn);
    // Wants everything that committed at or before "lsn" in files soon, whatever became of earlier flushes.
    void RequestFlush(Lsn lsn);
    // Wants the files rewritten that there are now, as far as it is worth anything. Returns a ticket for the two below.
    uint64_t RequestOptimize();
    // Whether that is done, or has failed: then *error says why.
    bool Optimized(uint64_t ticket, Error* error) const;
    void CancelOptimize(uint64_t ticket);
    // A query could not read a file: all of them are looked at, and the mirror fails if one is damaged or gone. If that
    // was the storage's failure, it is enough that they are there.
    void RequestCheck(const Error& error);

    // --- compactor's thread ---

    // Rewrites what the flusher's thread has planned, if it has. False if there was nothing.
    bool Rewrite();
    void StopRewrite();  // any thread

    // --- any thread ---

    State state() const;
    bool closed() const;
    bool publishing() const;                           // files are written, or wait to become current
    bool behind() const { return backlog_size_ > 0; }  // transactions wait to be applied
    Lsn last_commit() const;                           // of the last transaction that it has, applied or waiting
    // Commit LSN of the oldest transaction that is not in published files; 0 if there is none. A mirror that failed
    // keeps what it had then until the worker, having noted the failure, closes it: should the worker end before that,
    // the changes come again.
    Lsn OldestUnflushed() const;
    // The same for the slot: of those that must come again should this process end. A copy has none before CatchUp.
    Lsn OldestNeeded() const;
    Error error() const;  // why it failed
    // How many flushes in a row have failed, and why the last one did.
    int FailedFlushes(Error* error) const;
    // Whether everything that committed at or before "lsn" is in published files.
    bool IsFlushed(Lsn lsn) const;
    std::vector<MirrorColumn> columns() const;
    nlohmann::json StatusJson() const;
    // Expires when no view of this mirror that exists now is left.
    std::weak_ptr<const void> readers() const;

  private:
    struct Waiting {
        Xid xid;
        Lsn lsn;
        ChangeSpool changes;
    };
    // Files that are written and wait to become current.
    struct Publication {
        FlushReady ready;
        bool published = false;
        iceberg::Expired expired;
        std::optional<delta::FlushCut> cut;      // of a flush
        std::optional<delta::NewFile> file;      // of a flush that wrote rows
        std::shared_ptr<RewriteJob> rewrite;     // of a rewrite, with...
        std::shared_ptr<delta::RewriteMap> map;  // ...where its rows went
    };
    using Clock = std::chrono::steady_clock;

    // Whether rows look the same under both: names and constraints aside.
    static bool SameLayout(const MirrorOpen& a, const MirrorOpen& b);

    // mirror.cc
    Status Apply(const ChangeSpool& changes, Xid xid, Lsn lsn);
    Status ApplyTo(delta::MirrorTable& table, const std::vector<MirrorColumn>& columns,
                   const std::set<uint32_t>& copied, const ChangeSpool& changes, Xid xid, Lsn lsn);
    void CheckSize();
    void ForgetSeen(const Snapshot& snapshot);
    void Keep(Waiting waiting);
    Waiting TakeFirst();
    Status CopyIsWanted(const CopyBegin& begin) const;
    Status ClearForCopy(const CopyBegin& begin);
    void NoteInexact(const std::vector<uint32_t>& columns);
    std::vector<uint32_t> Inexact() const;
    void SetState(State state);
    void FailLocked(const Error& error, bool for_good = false);
    Lsn OldestUnflushedLocked() const;
    bool IsCurrent(const std::string& metadata_location, Lsn flushed_lsn) const;
    const MirrorColumn* ComesBack(const MirrorOpen& open);
    void TakeColumns(const MirrorOpen& open);
    void UpdateReadable();

    // mirror_rewrite.cc
    void PlanRewrite();
    std::vector<size_t> FilesToRewrite(bool requested) const;
    bool FinishRewriting();
    Status OfferRewrite(const std::shared_ptr<RewriteJob>& job);
    void EndRewrite(const std::shared_ptr<RewriteJob>& job, const Status& status);
    void DropRewriteLocked();

    // mirror_flush.cc, mirror_files.cc, mirror_publish.cc
    bool DrainBacklog();
    bool DrainSlowly();
    bool MayReadFiles(const ChangeSpool& changes) const;
    bool AwaitStorage(const Status& failed);
    bool FlushIsDue(const delta::MirrorTable::Stats& stats, Lsn session_lsn, bool* force) const;
    MirrorOpen Description() const;
    Status Flush(Xid oldest_xmin, bool force);
    // What a flush has written so far, for the commit or for its removal.
    struct Written {
        std::optional<DataFileWriter::Written> file;
        std::vector<iceberg::DataFile> deletes;
    };
    Status WriteCut(delta::MirrorTable& table, const delta::FlushCut& cut, const MirrorOpen& open, Written* written);
    Status CommitCut(iceberg::Table& files, const delta::FlushCut& cut, const MirrorOpen& open, const Written& written,
                     Publication* publication);
    Status CatchUp(const CopyTicket& ticket, iceberg::Table& files, FlushReady* ready);
    Status ApplyToFiles(const CopyTicket& ticket, const std::deque<Waiting>& waiting, const MirrorOpen& open,
                        Xid oldest_xmin, iceberg::Table& files, FlushReady* ready);
    void RemoveWritten(const Written& written);
    void NoteFlush(const Status& status, const char* what = "could not flush mirror");
    Status LoadFiles();
    bool WorkOnLoading();
    bool MayRetry(const Status& status) const;
    void SetUnreadable(const Error* error);
    Status FinishPublication();
    Status TakeRewritten(Publication* publication, delta::MirrorTable& table, const MirrorOpen& open);
    Status SwitchColumns();
    // All data files, or those of some paths.
    Result<std::vector<delta::NewFile>> FilesOfTable(const iceberg::Table& table, const MirrorOpen& open,
                                                     const std::set<std::string>* only = nullptr);
    Result<std::shared_ptr<delta::MirrorTable>> OpenFiles(const iceberg::Table& table, const MirrorOpen& open);
    Status MakeTable(const MirrorOpen& open);
    // Ids of the columns that the rows had when they were copied.
    static std::set<uint32_t> CopiedColumns(const iceberg::Table& table);
    void RemoveStaleIndexes();
    Status NoteFilesToWrite(const char* note, const std::vector<std::string>& paths);
    void RemoveUnpublishedFiles();
    // Deleted rows of data files as files of the table's kind: names for them, writing them, and entering them into a change.
    std::vector<std::string> NewDeletePaths(size_t data_files) const;
    Result<std::vector<iceberg::DataFile>> WriteDeletes(
        const std::vector<std::pair<std::string, const delta::RowSet*>>& deleted,
        const std::vector<std::string>& paths);
    static void AddDeletes(const iceberg::Table& table, const std::vector<iceberg::DataFile>& deletes,
                           iceberg::Change* change);
    void CheckFiles();
    Status CheckFile(const iceberg::DataFile& file, const std::vector<MirrorColumn>& columns, bool whole);
    void Retire(iceberg::Expired files);
    void DeleteRetired();

    static constexpr char kFlushNote[] = "/unpublished";  // in the index folder: what the last flush was about to write
    static constexpr char kRewriteNote[] = "/rewriting";  // ... and what the rewrite under way

    MirrorContext& context_;
    const uint32_t id_;
    const uint32_t generation_;
    const std::string name_;
    const std::string location_;
    const bool network_;  // the location is
    const std::string index_folder_;
    const std::unique_ptr<iceberg::FileIo> local_io_;

    // Held while transactions are applied or queued.
    mutable std::mutex ingest_mutex_;
    MirrorOpen open_;  // as last told by the worker, with what has happened since
    bool closed_ = false;
    Lsn last_commit_ = kInvalidLsn;
    Lsn hidden_until_ = kInvalidLsn;
    Xid oldest_xmin_ = kInvalidXid;
    Lsn applying_lsn_ = kInvalidLsn;  // of the transaction that is taken out of the backlog
    std::deque<Waiting> backlog_;
    std::shared_ptr<SpillFile> backlog_file_;
    uint64_t backlog_memory_ = 0;          // bytes of it that are in memory
    uint64_t backlog_bytes_ = 0;           // in memory and in files
    uint64_t applied_bytes_ = 0;           // since the delta's size was last looked at
    bool delta_full_ = false;              // transactions wait in the backlog until a flush has made room
    std::optional<MirrorOpen> next_open_;  // the columns to come, while reorganizing
    uint32_t largest_column_ = 0;          // id, of those that were taken over by others; see ComesBack
    std::optional<Publication> publication_;
    std::string current_metadata_;  // what the catalog has
    Lsn current_flushed_lsn_ = kInvalidLsn;
    std::set<uint32_t> copied_columns_;  // see CopiedColumns; while there is a table
    uint64_t copy_number_ = 0;
    bool copy_active_ = false;
    bool copies_ended_ = false;                          // none may begin any more
    bool catching_up_ = false;                           // the active copy is in CatchUp, or has been
    Snapshot copying_snapshot_;                          // of the active copy
    std::vector<DataFileWriter::Written> joined_files_;  // of the active copy, by those that joined and have ended
    std::vector<uint32_t> joined_inexact_;
    Lsn flush_requested_ = kInvalidLsn;
    Lsn failed_lsn_ = kInvalidLsn;  // see OldestUnflushed
    bool flushing_ = false;

    // Held for moments.
    mutable std::mutex rewrite_mutex_;
    std::shared_ptr<RewriteJob> rewrite_;                  // planned, under way, or waiting to be published
    uint64_t optimize_requested_ = 0, optimize_done_ = 0;  // tickets
    int64_t optimize_sequence_ = 0;                        // a request is about files that are not younger
    Error optimize_error_;                                 // of the last request

    // What queries look at.
    mutable std::mutex state_mutex_;
    State state_ = State::kCopying;
    bool readable_ = false;
    std::shared_ptr<delta::MirrorTable> table_;
    Snapshot copy_snapshot_;
    std::vector<uint32_t> inexact_;
    std::vector<MirrorColumn> columns_;
    Error error_, flush_error_;
    Error unreadable_;        // why files can't be read for now; without a message: they can
    int failed_flushes_ = 0;  // in a row
    Error rewrite_error_;     // of the last rewrite
    uint64_t rewrites_done_ = 0;
    int failed_rewrites_ = 0;              // in a row
    std::shared_ptr<const void> readers_;  // held by every view; changed when files are retired
    std::atomic<uint64_t> copied_rows_{0};
    std::atomic<uint64_t> estimated_rows_{0};
    std::atomic<int> beginning_copies_{0};  // that BeginCopy is at work for
    enum class CopyPhase { kWaiting, kCopying, kPublishing };
    std::atomic<CopyPhase> copy_phase_{CopyPhase::kWaiting};
    std::atomic<uint64_t> scanned_bytes_{0};
    std::atomic<uint64_t> estimated_bytes_{0};
    std::atomic<uint64_t> backlog_size_{0};
    std::atomic<bool> check_requested_{false}, check_whole_{false}, sweep_due_{false}, retry_now_{false};
    mutable std::atomic<bool> flush_at_once_{false};  // a new request does not wait for next_flush_

    // Used by the flusher's thread, and by the others only before it can know the mirror (Load) or while it leaves the
    // mirror alone (a copy).
    std::unique_ptr<iceberg::Table> iceberg_;
    std::atomic<std::thread::id> applier_;  // who is in DrainSlowly
    bool storage_failed_ = false;           // while a transaction was applied
    Clock::time_point next_flush_{}, next_check_{}, next_rewrite_{}, next_sweep_{};
    struct Retired {
        std::vector<std::weak_ptr<const void>> readers;
        iceberg::Expired files;
    };
    std::vector<Retired> retired_;
};

}  // namespace ivy::engine
