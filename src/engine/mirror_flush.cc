// SPDX-License-Identifier: Apache-2.0
//
// Mirror: when a flush is due, the backlog, and flushing up to the commit.
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "base/fault_point.h"
#include "delta/chunk_convert.h"
#include "engine/error_map.h"
#include "engine/log.h"
#include "engine/mirror.h"
#include "engine/mirror_storage.h"
#include "engine/mirror_summary.h"

namespace ivy::engine {
namespace {

using namespace std::chrono_literals;

constexpr char kConfigurationLimitExceeded[] = "53400";
constexpr auto kDrainSlice = 50ms;
constexpr auto kBlockedRetry = 250ms;  // a running snapshot keeps everything in memory
constexpr auto kRequestRetry = 20ms;
constexpr auto kStoragePoll = 50ms;
constexpr auto kLongestBackoff = 60s;

}  // namespace

// --- what is due -----------------------------------------------------------------------------------------------------

bool Mirror::Work(Xid oldest_xmin, bool may_flush, Lsn session_lsn) {
    if (retry_now_.exchange(false)) next_flush_ = next_check_ = {};
    DeleteRetired();
    bool waiting = false, published = false, reorganizing = false, loading = false;
    std::shared_ptr<delta::MirrorTable> table;
    {
        std::lock_guard ingest(ingest_mutex_);
        if (closed_ || state_ == State::kFailed) return false;
        waiting = publication_ && !publication_->published;
        published = publication_ && publication_->published;
        reorganizing = state_ == State::kReorganizing;
        loading = state_ == State::kLoading;
        table = table_;
    }
    if (loading) return WorkOnLoading();
    if (published) {
        if (network_ && Clock::now() < next_flush_) return false;
        const Status finished = FinishPublication();
        if (MayRetry(finished)) {
            NoteFlush(finished, "could not open the files of mirror");
        } else if (!finished.ok()) {
            Fail(finished.error());
        }
        return finished.ok();
    }
    const bool more = DrainBacklog();
    if (check_requested_ && !waiting && table) CheckFiles();
    if (waiting || !table || !may_flush) return more;
    if (FinishRewriting()) return true;
    const delta::MirrorTable::Stats stats = table->GetStats();
    if (reorganizing && stats.oldest_unflushed_lsn == kInvalidLsn) {
        if (network_ && Clock::now() < next_flush_) return more;
        const Status switched = SwitchColumns();
        if (MayRetry(switched)) {
            NoteFlush(switched, "could not open the files of mirror");
        } else if (!switched.ok()) {
            Fail(switched.error());
        }
        return switched.ok();
    }
    bool force = false;
    if (!FlushIsDue(stats, session_lsn, &force)) {
        PlanRewrite();
        return more;
    }
    NoteFlush(Flush(oldest_xmin, force));
    return more;
}

// Whether the storage may well take it later, so that nothing is to be given up.
bool Mirror::MayRetry(const Status& status) const {
    return network_ && !status.ok() && IsStorageFailure(status.error());
}

// A mirror whose storage fails, or does not answer, keeps the slot from advancing. Before all mirrors would be given up for
// that it is this one.
void Mirror::GiveUpIfDue(Lsn session_lsn) {
    const Lsn oldest = OldestNeeded();
    const uint64_t limit = context_.policy.copy_bytes;
    if (oldest == kInvalidLsn || limit == UINT64_MAX || session_lsn < oldest || closed()) return;
    Error failed;
    const bool fails = FailedFlushes(&failed) > 0;
    if (session_lsn - oldest < (fails ? limit / 2 : limit / 4 * 3)) return;
    Error reason{kConfigurationLimitExceeded,
                 "the WAL of changes that are not in its files yet would soon exceed \"mooncake.max_retained_wal\"", "",
                 ""};
    if (fails) reason.message += ": " + failed.message;
    FailForGood(reason);
}

bool Mirror::FlushIsDue(const delta::MirrorTable::Stats& stats, Lsn session_lsn, bool* force) const {
    if (stats.oldest_unflushed_lsn == kInvalidLsn) return false;
    if (!flush_at_once_.exchange(false) && Clock::now() < next_flush_) return false;
    const IngestOptions& options = context_.options;
    const FlushPolicy& policy = context_.policy;
    const uint64_t wal_bytes = session_lsn > stats.oldest_unflushed_lsn ? session_lsn - stats.oldest_unflushed_lsn : 0;
    uint64_t rows = options.flush_rows, bytes = policy.bytes, age_ms = policy.age_ms;
    bool due = wal_bytes >= policy.wal_bytes;
    {
        std::lock_guard ingest(ingest_mutex_);
        if (open_.flush_rows > 0) rows = open_.flush_rows;
        if (open_.flush_bytes > 0) bytes = open_.flush_bytes;
        if (open_.flush_ms > 0) age_ms = open_.flush_ms;
        due = due || flush_requested_ >= stats.oldest_unflushed_lsn;
        *force = state_ == State::kReorganizing || stats.delta_bytes >= options.force_bytes ||
                 wal_bytes >= policy.force_wal_bytes;
    }
    const auto age =
        std::chrono::steady_clock::now().time_since_epoch() - std::chrono::microseconds(stats.oldest_unflushed_us);
    return due || *force || stats.delta_rows + stats.pending_deletes >= rows || stats.delta_bytes >= bytes ||
           age >= std::chrono::milliseconds(age_ms);
}

void Mirror::RequestFlush(Lsn lsn) {
    std::lock_guard ingest(ingest_mutex_);
    flush_requested_ = std::max(flush_requested_, lsn);
    flush_at_once_ = true;
}

void Mirror::NoteFlush(const Status& status, const char* what) {
    std::lock_guard state(state_mutex_);
    if (status.ok()) {
        failed_flushes_ = 0;
        flush_error_ = {};
        flush_error_.message.clear();
        return;
    }
    if (failed_flushes_ == 0 || flush_error_.message != status.error().message) {
        LogError(LogLevel::kWarning, std::string(what) + " \"" + name_ + "\"", status.error());
    }
    flush_error_ = status.error();
    const auto backoff = std::chrono::seconds(1) * (1 << std::min(failed_flushes_, 6));
    failed_flushes_++;
    next_flush_ = Clock::now() + std::min<Clock::duration>(backoff, kLongestBackoff);
}

bool Mirror::DrainBacklog() {
    if (backlog_size_ == 0) return false;
    if (network_) return DrainSlowly();
    const auto deadline = Clock::now() + kDrainSlice;
    bool more = false;
    {
        std::lock_guard ingest(ingest_mutex_);
        while (state_ == State::kLive && !closed_ && !backlog_.empty() && !delta_full_) {
            const Waiting waiting = TakeFirst();
            if (!open_.copy_snapshot.Sees(waiting.xid)) {
                applying_lsn_ = waiting.lsn;
                const Status applied = Apply(waiting.changes, waiting.xid, waiting.lsn);
                if (!applied.ok()) FailLocked(applied.error());  // with this one as what must come again
                applying_lsn_ = kInvalidLsn;
                if (!applied.ok()) return false;
            }
            more = !backlog_.empty();
            if (more && Clock::now() > deadline) break;
        }
        UpdateReadable();
    }
    // Lets the capture session in, which waits for the same mutex.
    if (more) std::this_thread::sleep_for(1ms);
    return more;
}

// The same where files are on the network: applying may wait for a server for a long time, so nothing is held meanwhile
// that others wait for. Nobody else applies anything then: Commit sees applying_lsn_.
bool Mirror::DrainSlowly() {
    const auto deadline = Clock::now() + kDrainSlice;
    while (true) {
        std::optional<Waiting> waiting;
        std::shared_ptr<delta::MirrorTable> table;
        std::vector<MirrorColumn> columns;
        std::set<uint32_t> copied;
        bool has_it = false;  // from the copy
        {
            std::lock_guard ingest(ingest_mutex_);
            const bool may_apply = state_ == State::kLive && !closed_ && !backlog_.empty() && !delta_full_;
            if (may_apply) {
                waiting = TakeFirst();
                applying_lsn_ = waiting->lsn;
                table = table_;
                columns = open_.columns;
                copied = copied_columns_;
            }
            UpdateReadable();
            if (!may_apply) return false;
            has_it = open_.copy_snapshot.Sees(waiting->xid);
        }
        applier_ = std::this_thread::get_id();
        Status applied;
        if (!has_it) applied = ApplyTo(*table, columns, copied, waiting->changes, waiting->xid, waiting->lsn);
        applier_ = std::thread::id();
        if (storage_failed_ && applied.ok()) {
            NoteFlush(Status::Ok());
            next_flush_ = {};
        }
        storage_failed_ = false;
        std::lock_guard ingest(ingest_mutex_);
        if (applied.ok()) {
            CheckSize();
        } else {
            FailLocked(applied.error());
        }
        applying_lsn_ = kInvalidLsn;
        UpdateReadable();
        if (backlog_.empty()) return false;
        if (Clock::now() > deadline) return true;
    }
}

// A value could not be read from the network while a transaction is applied, which can't be begun again. Returns, in DrainSlowly's
// thread, when it should be tried again; false if there is nobody any more whom it is for, and to other threads.
bool Mirror::AwaitStorage(const Status& failed) {
    if (!MayRetry(failed) || applier_ != std::this_thread::get_id()) return false;
    const auto is_over = [this] {
        std::lock_guard ingest(ingest_mutex_);
        return closed_ || state_ == State::kFailed;
    };
    if (is_over()) return false;
    storage_failed_ = true;
    NoteFlush(failed, "could not read files of mirror");
    while (Clock::now() < next_flush_ && !retry_now_.exchange(false)) {
        std::this_thread::sleep_for(kStoragePoll);
        if (is_over()) return false;
    }
    return !is_over();
}

// --- flushing --------------------------------------------------------------------------------------------------------

Status Mirror::Flush(Xid oldest_xmin, bool force) {
    std::shared_ptr<delta::MirrorTable> table;
    delta::FlushCut cut;
    Publication publication;
    MirrorOpen open;
    {
        // A transaction that is applied in parts is complete here.
        std::lock_guard ingest(ingest_mutex_);
        if (!table_) return Status::Ok();
        table = table_;
        cut = table->BeginFlush(oldest_xmin, force);
        open = open_;
        publication.ready.previous_metadata_location = current_metadata_;
        flushing_ = cut.id != 0;
        next_flush_ = Clock::now() + (cut.id != 0                       ? 0ms
                                      : flush_requested_ != kInvalidLsn ? kRequestRetry
                                                                        : kBlockedRetry);
    }
    if (cut.id == 0) return Status::Ok();
    Written written;
    Status status;
    const std::string base = iceberg_->metadata_location();
    try {
        status = WriteCut(*table, cut, open, &written);
        if (status.ok()) status = CommitCut(*iceberg_, cut, open, written, &publication);
    } catch (const std::exception& exception) {
        status = StatusFromException(exception);
    }
    if (status.ok()) {
        std::lock_guard ingest(ingest_mutex_);
        if (!closed_ && state_ != State::kFailed) {
            context_.events.Send(publication.ready);
            publication.cut = std::move(cut);
            publication_ = std::move(publication);
            flushing_ = false;
            return Status::Ok();
        }
        status = Status::Make(sqlstate::kObjectNotInState, "mirror \"" + name_ + "\" was closed");
    }
    table->AbandonFlush(cut);
    RemoveWritten(written);
    {
        std::lock_guard ingest(ingest_mutex_);
        flushing_ = false;
    }
    if (iceberg_->metadata_location() != base) {
        // The commit was made but never offered.
        Result<std::unique_ptr<iceberg::Table>> loaded = iceberg::Table::Load(&context_.io, base);
        if (!loaded.ok()) {
            Fail(loaded.error());
            return loaded.status();
        }
        iceberg_ = std::move(loaded).value();
    }
    return status;
}

Status Mirror::WriteCut(delta::MirrorTable& table, const delta::FlushCut& cut, const MirrorOpen& open,
                        Written* written) {
    const std::string path = NewDataPath(location_, ".parquet");
    std::vector<std::pair<std::string, const delta::RowSet*>> deleted;
    for (const auto& file : cut.deletes) {
        if (!file.Emptied()) deleted.emplace_back(file.path, file.deleted.get());
    }
    const std::vector<std::string> delete_paths = NewDeletePaths(deleted.size());
    std::vector<std::string> noted = delete_paths;
    noted.push_back(path);
    IVY_RETURN_IF_ERROR(NoteFilesToWrite(kFlushNote, noted));
    IVY_FAULT_POINT("flush-before-write");
    if (cut.rows > 0) {
        DataFileSpec spec;
        spec.path = path;
        spec.index_folder = index_folder_;
        spec.columns = open.columns;
        spec.key = open.key;
        if (cut.rows <= kMaxOrderedRows) spec.sort = open.sort;
        spec.keep_order = true;
        IVY_ASSIGN_OR_RETURN(const std::unique_ptr<DataFileWriter> writer,
                             DataFileWriter::Open(context_.instance, std::move(spec)));
        std::vector<ColumnType> types;
        for (const MirrorColumn& column : open.columns) types.push_back(column.type);
        duckdb::DataChunk chunk;
        chunk.Initialize(duckdb::Allocator::DefaultAllocator(), delta::ToDuckTypes(types));
        uint64_t position = cut.begin_position;
        while (true) {
            table.ScanCut(cut, &position, chunk);
            if (chunk.size() == 0) break;
            IVY_RETURN_IF_ERROR(writer->Append(chunk));
        }
        if (writer->rows() != cut.rows) {
            return Status::Internal("a flush wrote " + std::to_string(writer->rows()) + " rows instead of " +
                                    std::to_string(cut.rows));
        }
        IVY_FAULT_POINT("flush-before-index");
        IVY_ASSIGN_OR_RETURN(written->file, writer->Finish());
        if (cut.rows > kMaxOrderedRows) written->file->file.sort_order_id = 0;
    }
    if (!deleted.empty()) {
        IVY_FAULT_POINT("flush-before-vectors");
        IVY_ASSIGN_OR_RETURN(written->deletes, WriteDeletes(deleted, delete_paths));
    }
    return Status::Ok();
}

Status Mirror::CommitCut(iceberg::Table& files, const delta::FlushCut& cut, const MirrorOpen& open,
                         const Written& written, Publication* publication) {
    FlushReady& ready = publication->ready;
    iceberg::Change change;
    const bool redefined = AddDefinition(files, open, Inexact(), &change);
    // Transactions whose changes cancel out need no new snapshot: only the catalog's LSN moves.
    if (!cut.Empty() || !cut.unseen_xids.empty() || redefined || ready.previous_metadata_location.empty()) {
        IVY_FAULT_POINT("flush-before-commit");
        change.keep_snapshots = context_.options.keep_snapshots;
        if (written.file) change.added.push_back(written.file->file);
        if (cut.truncated) {
            for (const iceberg::DataFile& file : files.data_files()) change.removed.push_back(file.path);
        }
        for (const auto& file : cut.deletes) {
            if (file.Emptied()) change.removed.push_back(file.path);
        }
        AddDeletes(files, written.deletes, &change);
        change.summary[kFlushedLsn] = LsnText(cut.flushed_lsn);
        if (!cut.unseen_xids.empty()) change.summary[kUnseenXids] = XidsText(cut.unseen_xids);
        IVY_ASSIGN_OR_RETURN(iceberg::CommitResult committed, files.Commit(change));
        publication->expired = std::move(committed.expired);
    }
    ready.mirror = id_;
    ready.metadata_location = files.metadata_location();
    ready.flushed_lsn = cut.flushed_lsn;
    ready.total_rows = static_cast<uint64_t>(std::max<int64_t>(0, LiveRows(files)));
    ready.total_bytes = static_cast<uint64_t>(LiveBytes(files));
    if (written.file) publication->file = written.file->entry;
    IVY_FAULT_POINT("flush-before-publish");
    return Status::Ok();
}

void Mirror::RemoveWritten(const Written& written) {
    if (written.file) {
        (void)context_.io.DeleteFile(written.file->file.path);
        if (!written.file->entry.index_path.empty()) unlink(written.file->entry.index_path.c_str());
    }
    for (const iceberg::DataFile& file : written.deletes) (void)context_.io.DeleteFile(file.path);
}

}  // namespace ivy::engine
