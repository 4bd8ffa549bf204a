// SPDX-License-Identifier: Apache-2.0
//
// Mirror: what the flusher's thread does: files, publications, backlog, changes of columns.
//
// Snapshot summary properties: "ivy.flushed-lsn", the commit LSN of the last transaction contained, for people who
// look; and "ivy.unseen-xids", transactions contained that some snapshot of that time might not see
// (FlushCut::unseen_xids).
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>
#include <thread>

#include "base/bytes.h"
#include "base/fault_point.h"
#include "delta/chunk_convert.h"
#include "engine/duck_file_io.h"
#include "engine/error_map.h"
#include "engine/iceberg_schema.h"
#include "engine/log.h"
#include "engine/mirror.h"
#include "iceberg/deletion_vector.h"
#include "index/segment.h"
#include "protocol/engine_process.h"

namespace ivy::engine {
namespace {

using namespace std::chrono_literals;

constexpr char kNotedFiles[] = "/unpublished";  // in the index folder: what the last flush was about to write
constexpr char kFlushedLsn[] = "ivy.flushed-lsn";
constexpr char kUnseenXids[] = "ivy.unseen-xids";
constexpr auto kDrainSlice = 50ms;
constexpr auto kBlockedRetry = 250ms;  // a running snapshot keeps everything in memory
constexpr auto kRequestRetry = 20ms;
constexpr auto kLongestBackoff = 60s;
constexpr auto kCheckPause = 60s;  // between two checks of all files

// A MirrorTable with what has to outlive it.
struct OpenTable {
    OpenTable(Instance& instance, std::vector<MirrorColumn> columns) : reader(instance, std::move(columns)) {}
    MirrorRowReader reader;
    std::unique_ptr<delta::MirrorTable> table;
};

std::string XidsText(const std::vector<Xid>& xids) {
    std::string text;
    for (const Xid xid : xids) text += (text.empty() ? "" : ",") + std::to_string(xid);
    return text;
}

std::vector<Xid> XidsFromText(const std::string& text) {
    std::vector<Xid> xids;
    const char* at = text.data();
    const char* end = at + text.size();
    while (at < end) {
        Xid xid = kInvalidXid;
        const auto [next, error] = std::from_chars(at, end, xid);
        if (error != std::errc()) break;
        xids.push_back(xid);
        at = next + 1;
    }
    return xids;
}

int64_t LiveRows(const iceberg::Table& table) {
    int64_t rows = 0;
    for (const iceberg::DataFile& file : table.data_files()) rows += file.record_count;
    for (const iceberg::DataFile& file : table.delete_files()) rows -= file.record_count;
    return rows;
}

int64_t LiveBytes(const iceberg::Table& table) {
    int64_t bytes = 0;
    for (const iceberg::DataFile& file : table.data_files()) bytes += file.file_size;
    for (const iceberg::DataFile& file : table.delete_files()) bytes += file.content_size.value_or(0);
    return bytes;
}

}  // namespace

std::string Mirror::IndexRoot(const std::string& engine_folder, uint32_t id, const std::string& location) {
    return engine_folder + "/" + kScratchPrefix + "index/" + std::to_string(id) + "-" +
           std::to_string(Crc32(location.data(), location.size()));
}

// --- loading ---------------------------------------------------------------------------------------------------------

Status Mirror::Load() {
    if (open_.format_version != 3) {
        return Status::Make(sqlstate::kFeatureNotSupported,
                            "Iceberg format version " + std::to_string(open_.format_version) + " can't be written", "",
                            "Use format version 3.");
    }
    IVY_FAULT_POINT("mirror-load");
    IVY_RETURN_IF_ERROR(KeyOrdinals(open_.columns, open_.key).status());
    IVY_RETURN_IF_ERROR(MakeFolder(index_folder_));
    if (!open_.has_copy_snapshot) return Status::Ok();
    if (open_.metadata_location.empty()) {
        IVY_ASSIGN_OR_RETURN(
            iceberg_, iceberg::Table::Create(&context_.io, location_, MakeIcebergSchema(open_.columns, open_.key),
                                             open_.format_version, {}));
    } else {
        IVY_ASSIGN_OR_RETURN(iceberg_, iceberg::Table::Load(&context_.io, open_.metadata_location));
        // A crash may have come before this the last time.
        const Status published = iceberg_->Publish();
        if (!published.ok())
            LogError(LogLevel::kWarning, "could not write version hint of \"" + name_ + "\"", published.error());
    }
    IVY_RETURN_IF_ERROR(MakeTable(open_));
    RemoveUnpublishedFiles();
    RemoveStaleIndexes();
    sweep_due_ = true;
    std::lock_guard ingest(ingest_mutex_);
    SetState(State::kLive);
    return Status::Ok();
}

MirrorOpen Mirror::Description() const {
    std::lock_guard ingest(ingest_mutex_);
    return open_;
}

// Segments of files that a crash left behind, or that have gone from the table.
void Mirror::RemoveStaleIndexes() {
    const std::vector<uint32_t> key = Description().key;
    std::set<std::string> used = {kNotedFiles + 1};
    for (const iceberg::DataFile& file : iceberg_->data_files()) {
        used.insert(std::filesystem::path(delta::IndexPathFor(index_folder_, file.path, key)).filename());
    }
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(index_folder_, error)) {
        if (!used.contains(entry.path().filename())) std::filesystem::remove(entry.path(), error);
    }
}

Status Mirror::NoteFilesToWrite(const std::vector<std::string>& paths) {
    Bytes lines;
    for (const std::string& path : paths) {
        lines.insert(lines.end(), path.begin(), path.end());
        lines.push_back('\n');
    }
    return local_io_->WriteFile(index_folder_ + kNotedFiles, lines, false);
}

// The note is that of the last flush: if it was published, its files are in the table. (No later one has removed them.)
void Mirror::RemoveUnpublishedFiles() {
    const Result<Bytes> lines = local_io_->ReadFile(index_folder_ + kNotedFiles);
    if (!lines.ok()) return;  // no flush yet
    std::set<std::string> live;
    for (const iceberg::DataFile& file : iceberg_->data_files()) live.insert(file.path);
    for (const iceberg::DataFile& file : iceberg_->delete_files()) live.insert(file.path);
    std::istringstream in(std::string(lines->begin(), lines->end()));
    for (std::string path; std::getline(in, path);) {
        if (!live.contains(path)) (void)context_.io.DeleteFile(path);
    }
}

void Mirror::Sweep() {
    sweep_due_ = false;
    if (closed() || state() != State::kLive) return;
    const Result<std::set<std::string>> referenced = iceberg_->ReferencedFiles();
    size_t removed = 0;
    for (const char* folder : {"/data", "/metadata"}) {
        const Result<std::vector<std::string>> files = context_.io.List(location_ + folder);
        if (!referenced.ok() || !files.ok()) {
            LogError(LogLevel::kLog, "could not look for orphans of \"" + name_ + "\"",
                     referenced.ok() ? files.error() : referenced.error());
            return;
        }
        for (const std::string& file : *files) {
            if (referenced->contains(file) || file.ends_with("/version-hint.text")) continue;
            removed += context_.io.DeleteFile(file).ok() ? 1 : 0;
        }
    }
    if (removed == 0) return;
    Log(LogLevel::kLog, "deleted " + std::to_string(removed) + " files that mirror \"" + name_ + "\" does not refer to");
}

Result<std::vector<delta::NewFile>> Mirror::FilesOfTable(const iceberg::Table& table, const MirrorOpen& open) {
    std::map<std::string, const iceberg::DataFile*> vectors;
    for (const iceberg::DataFile& file : table.delete_files()) {
        if (file.format != "PUFFIN" || !file.referenced_data_file) {
            return Status::Make(sqlstate::kFeatureNotSupported,
                                "\"" + file.path + "\" is a delete file of a kind that mirrors do not have");
        }
        vectors[*file.referenced_data_file] = &file;
    }
    IVY_ASSIGN_OR_RETURN(const std::vector<size_t> key, KeyOrdinals(open.columns, open.key));
    std::vector<MirrorColumn> key_columns;
    for (const size_t ordinal : key) key_columns.push_back(open.columns[ordinal]);
    const DataFileReader reader(context_.instance);
    std::vector<delta::NewFile> files;
    for (const iceberg::DataFile& data : table.data_files()) {
        IVY_ASSIGN_OR_RETURN(const int64_t size, context_.io.FileSize(data.path));
        if (size != data.file_size) {
            return Status::Corrupt("data file \"" + data.path + "\" has " + std::to_string(size) +
                                   " bytes instead of " + std::to_string(data.file_size));
        }
        delta::NewFile file;
        file.path = data.path;
        file.rows = data.record_count;
        file.size = data.file_size;
        if (const auto found = vectors.find(data.path); found != vectors.end()) {
            IVY_ASSIGN_OR_RETURN(iceberg::DeletedRows rows, iceberg::ReadDeletionVector(&context_.io, *found->second));
            file.deleted = std::make_shared<const delta::RowSet>(std::move(rows));
        }
        if (!key.empty()) {
            file.index_path = delta::IndexPathFor(index_folder_, data.path, open.key);
            // Pages of a segment are checked when they are read. One that may be the reason of a failure is not trusted.
            if (context_.reloads.HasFailed(id_) ||
                !index::Segment::Open(file.index_path, static_cast<uint64_t>(file.rows)).ok()) {
                Log(LogLevel::kLog, "rebuilding the key index of \"" + data.path + "\"");
                IVY_RETURN_IF_ERROR(reader.RebuildIndex(data.path, data.record_count, key_columns, file.index_path));
            }
        }
        files.push_back(std::move(file));
    }
    return files;
}

Result<std::shared_ptr<delta::MirrorTable>> Mirror::OpenFiles(const iceberg::Table& table, const MirrorOpen& open) {
    IVY_ASSIGN_OR_RETURN(const std::vector<delta::NewFile> files, FilesOfTable(table, open));
    auto open_table = std::make_shared<OpenTable>(context_.instance, open.columns);
    delta::MirrorTable::Options options;
    options.open = open;
    options.index_folder = index_folder_;
    options.memory = context_.memory;
    options.row_reader = &open_table->reader;
    const auto& summary = table.snapshot_summary();
    if (const auto found = summary.find(kUnseenXids); found != summary.end()) {
        options.flushed_xids = XidsFromText(found->second);
    }
    IVY_ASSIGN_OR_RETURN(open_table->table, delta::MirrorTable::Make(std::move(options)));
    IVY_RETURN_IF_ERROR(open_table->table->AddFiles(files).status());
    return std::shared_ptr<delta::MirrorTable>(open_table, open_table->table.get());
}

Status Mirror::MakeTable(const MirrorOpen& open) {
    IVY_ASSIGN_OR_RETURN(std::shared_ptr<delta::MirrorTable> table, OpenFiles(*iceberg_, open));
    std::lock_guard ingest(ingest_mutex_);
    if (oldest_xmin_ != kInvalidXid) table->SetOldestXmin(oldest_xmin_);
    delta_full_ = false;
    std::lock_guard state(state_mutex_);
    table_ = std::move(table);
    copy_snapshot_ = open.copy_snapshot;
    columns_ = open.columns;
    return Status::Ok();
}

// --- what is due -----------------------------------------------------------------------------------------------------

bool Mirror::Work(Xid oldest_xmin, bool may_flush, Lsn session_lsn) {
    DeleteRetired();
    bool waiting = false, published = false, reorganizing = false;
    std::shared_ptr<delta::MirrorTable> table;
    {
        std::lock_guard ingest(ingest_mutex_);
        if (closed_ || state_ == State::kFailed) return false;
        waiting = publication_ && !publication_->published;
        published = publication_ && publication_->published;
        reorganizing = state_ == State::kReorganizing;
        table = table_;
    }
    if (published) {
        const Status finished = FinishPublication();
        if (!finished.ok()) Fail(finished.error());
        return finished.ok();
    }
    const bool more = DrainBacklog();
    if (check_requested_ && !waiting && table) CheckFiles();
    if (waiting || !table || !may_flush) return more;
    const delta::MirrorTable::Stats stats = table->GetStats();
    if (reorganizing && stats.oldest_unflushed_lsn == kInvalidLsn) {
        const Status switched = SwitchColumns();
        if (!switched.ok()) Fail(switched.error());
        return switched.ok();
    }
    bool force = false;
    if (!FlushIsDue(stats, session_lsn, &force)) return more;
    NoteFlush(Flush(oldest_xmin, force));
    return more;
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

void Mirror::NoteFlush(const Status& status) {
    std::lock_guard state(state_mutex_);
    if (status.ok()) {
        failed_flushes_ = 0;
        flush_error_ = {};
        flush_error_.message.clear();
        return;
    }
    if (failed_flushes_ == 0 || flush_error_.message != status.error().message) {
        LogError(LogLevel::kWarning, "could not flush mirror \"" + name_ + "\"", status.error());
    }
    flush_error_ = status.error();
    const auto backoff = std::chrono::seconds(1) * (1 << std::min(failed_flushes_, 6));
    failed_flushes_++;
    next_flush_ = Clock::now() + std::min<Clock::duration>(backoff, kLongestBackoff);
}

bool Mirror::DrainBacklog() {
    if (backlog_size_ == 0) return false;
    const auto deadline = Clock::now() + kDrainSlice;
    bool more = false;
    {
        std::lock_guard ingest(ingest_mutex_);
        while (state_ == State::kLive && !closed_ && !backlog_.empty() && !delta_full_) {
            const Waiting waiting = TakeFirst();
            if (!open_.copy_snapshot.Sees(waiting.xid)) {
                const Status applied = Apply(waiting.changes, waiting.xid, waiting.lsn);
                if (!applied.ok()) {
                    FailLocked(applied.error());
                    return false;
                }
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
    const std::string vectors_path = NewDataPath(location_, ".puffin");
    IVY_RETURN_IF_ERROR(NoteFilesToWrite({path, vectors_path}));
    IVY_FAULT_POINT("flush-before-write");
    if (cut.rows > 0) {
        IVY_ASSIGN_OR_RETURN(const std::unique_ptr<ParquetWriter> writer,
                             ParquetWriter::Open(context_.instance, path, open.columns));
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
        IVY_ASSIGN_OR_RETURN(written->file, writer->Finish());
        IVY_FAULT_POINT("flush-before-index");
        IVY_ASSIGN_OR_RETURN(written->index_path, table.WriteIndexSegment(cut, path));
    }
    if (!cut.deletes.empty()) {
        IVY_FAULT_POINT("flush-before-vectors");
        std::vector<std::pair<std::string, const iceberg::DeletedRows*>> vectors;
        for (const auto& file : cut.deletes) {
            if (!file.Emptied()) vectors.emplace_back(file.path, file.deleted.get());
        }
        if (vectors.empty()) return Status::Ok();
        IVY_ASSIGN_OR_RETURN(written->deletion_vectors,
                             iceberg::WriteDeletionVectors(&context_.io, vectors_path, vectors));
    }
    return Status::Ok();
}

Status Mirror::CommitCut(iceberg::Table& files, const delta::FlushCut& cut, const MirrorOpen& open,
                         const Written& written, Publication* publication) {
    FlushReady& ready = publication->ready;
    iceberg::Schema schema = EvolveIcebergSchema(files.schema(), open.columns, open.key);
    const bool schema_changed = !schema.SameFields(files.schema());
    // Transactions whose changes cancel out need no new snapshot: only the catalog's LSN moves.
    if (!cut.Empty() || !cut.unseen_xids.empty() || schema_changed || ready.previous_metadata_location.empty()) {
        IVY_FAULT_POINT("flush-before-commit");
        iceberg::Change change;
        change.keep_snapshots = context_.options.keep_snapshots;
        if (written.file) change.added.push_back(*written.file);
        if (cut.truncated) {
            for (const iceberg::DataFile& file : files.data_files()) change.removed.push_back(file.path);
        }
        for (const auto& file : cut.deletes) {
            if (file.Emptied()) change.removed.push_back(file.path);
        }
        change.deletion_vectors = written.deletion_vectors;
        change.summary[kFlushedLsn] = LsnText(cut.flushed_lsn);
        if (!cut.unseen_xids.empty()) change.summary[kUnseenXids] = XidsText(cut.unseen_xids);
        if (schema_changed) change.schema = std::move(schema);
        IVY_ASSIGN_OR_RETURN(iceberg::CommitResult committed, files.Commit(change));
        publication->expired = std::move(committed.expired);
    }
    ready.mirror = id_;
    ready.metadata_location = files.metadata_location();
    ready.flushed_lsn = cut.flushed_lsn;
    ready.total_rows = static_cast<uint64_t>(std::max<int64_t>(0, LiveRows(files)));
    ready.total_bytes = static_cast<uint64_t>(LiveBytes(files));
    if (written.file) {
        delta::NewFile file;
        file.path = written.file->path;
        file.rows = written.file->record_count;
        file.size = written.file->file_size;
        file.index_path = written.index_path;
        publication->file = std::move(file);
    }
    IVY_FAULT_POINT("flush-before-publish");
    return Status::Ok();
}

void Mirror::RemoveWritten(const Written& written) {
    if (written.file) (void)context_.io.DeleteFile(written.file->path);
    if (!written.index_path.empty()) unlink(written.index_path.c_str());
    if (!written.deletion_vectors.empty()) (void)context_.io.DeleteFile(written.deletion_vectors.front().path);
}

// --- the end of a copy -----------------------------------------------------------------------------------------------

// By a copy session's thread: what came while rows were copied goes to files as well. After an error it waits again, for the
// next copy: that one's snapshot need not see a transaction which has written its commit record just now.
Status Mirror::CatchUp(const CopyTicket& ticket, iceberg::Table& files, FlushReady* ready) {
    std::deque<Waiting> waiting;
    MirrorOpen open;
    Xid oldest_xmin = kInvalidXid;
    {
        std::lock_guard ingest(ingest_mutex_);
        if (ticket.number != copy_number_) return Status::Internal("a copy that has ended is to catch up");
        catching_up_ = true;
        waiting.swap(backlog_);
        backlog_memory_ = backlog_bytes_ = 0;
        backlog_file_.reset();
        UpdateReadable();
        open = open_;
        oldest_xmin = oldest_xmin_;
    }
    open.has_copy_snapshot = true;
    open.copy_snapshot = ticket.snapshot;
    open.flushed_lsn = ready->flushed_lsn;
    open.metadata_location = files.metadata_location();
    Status status;
    try {
        if (!waiting.empty()) status = ApplyToFiles(ticket, waiting, open, oldest_xmin, files, ready);
    } catch (const std::exception& exception) {
        status = StatusFromException(exception);
    }
    if (status.ok()) return status;
    std::lock_guard ingest(ingest_mutex_);
    if (closed_ || state_ == State::kFailed) return status;
    backlog_.insert(backlog_.begin(), std::make_move_iterator(waiting.begin()), std::make_move_iterator(waiting.end()));
    ForgetSeen(ticket.snapshot);  // and counts them
    return status;
}

Status Mirror::ApplyToFiles(const CopyTicket& ticket, const std::deque<Waiting>& waiting, const MirrorOpen& open,
                            Xid oldest_xmin, iceberg::Table& files, FlushReady* ready) {
    IVY_ASSIGN_OR_RETURN(const std::shared_ptr<delta::MirrorTable> table, OpenFiles(files, open));
    for (auto next = waiting.begin(); next != waiting.end(); ++next) {
        IVY_RETURN_IF_ERROR(CopyProgress(ticket, 0));
        if (!ticket.snapshot.Sees(next->xid)) {
            IVY_RETURN_IF_ERROR(ApplyTo(*table, open.columns, next->changes, next->xid, next->lsn));
        }
        if (std::next(next) != waiting.end() && table->GetStats().delta_bytes < context_.options.force_bytes) continue;
        const delta::FlushCut cut = table->BeginFlush(oldest_xmin, true);
        if (cut.id == 0) continue;
        Written written;
        Publication publication;
        IVY_RETURN_IF_ERROR(WriteCut(*table, cut, open, &written));
        IVY_FAULT_POINT("copy-catch-up");
        IVY_RETURN_IF_ERROR(CommitCut(files, cut, open, written, &publication));
        IVY_RETURN_IF_ERROR(table->FinishFlush(cut, publication.file ? &*publication.file : nullptr));
        ready->metadata_location = publication.ready.metadata_location;
        ready->flushed_lsn = publication.ready.flushed_lsn;
        ready->total_rows = publication.ready.total_rows;
        ready->total_bytes = publication.ready.total_bytes;
    }
    return Status::Ok();
}

// --- publications and columns ----------------------------------------------------------------------------------------

Status Mirror::FinishPublication() {
    // Nobody takes a published one away, and nobody else changes one.
    Publication& publication = *publication_;
    std::shared_ptr<delta::MirrorTable> table;
    {
        std::lock_guard state(state_mutex_);
        table = table_;
    }
    IVY_FAULT_POINT("flush-after-publish");
    MirrorOpen open = Description();
    if (publication.cut) {
        if (!table) return Status::Ok();  // closed meanwhile
        const delta::NewFile* file = publication.file ? &*publication.file : nullptr;
        Status finished = table->FinishFlush(*publication.cut, file);
        if (!finished.ok() && file && !file->index_path.empty()) {
            // Its key index has been lost already.
            IVY_ASSIGN_OR_RETURN(const std::vector<size_t> key, KeyOrdinals(open.columns, open.key));
            std::vector<MirrorColumn> key_columns;
            for (const size_t ordinal : key) key_columns.push_back(open.columns[ordinal]);
            IVY_RETURN_IF_ERROR(
                DataFileReader(context_.instance).RebuildIndex(file->path, file->rows, key_columns, file->index_path));
            finished = table->FinishFlush(*publication.cut, file);
        }
        IVY_RETURN_IF_ERROR(finished);
    } else {
        {
            std::lock_guard ingest(ingest_mutex_);
            open_.has_copy_snapshot = true;
            open_.copy_snapshot = publication.ready.copy_snapshot;
            open_.flushed_lsn = publication.ready.flushed_lsn;
            open = open_;
        }
        // Not publication.files: the key may have changed since they were written.
        IVY_RETURN_IF_ERROR(MakeTable(open));
        RemoveStaleIndexes();
    }
    const Status hinted = iceberg_->Publish();
    if (!hinted.ok()) LogError(LogLevel::kWarning, "could not write version hint of \"" + name_ + "\"", hinted.error());
    Retire(std::move(publication.expired));
    if (publication.cut && publication.cut->RemovesFiles()) RemoveStaleIndexes();
    const bool was_copy = !publication.cut;
    std::lock_guard ingest(ingest_mutex_);
    current_metadata_ = publication.ready.metadata_location;
    current_flushed_lsn_ = publication.ready.flushed_lsn;
    open_.metadata_location = current_metadata_;
    open_.flushed_lsn = current_flushed_lsn_;
    publication_.reset();
    if (delta_full_ && table_) delta_full_ = table_->GetStats().delta_bytes > context_.options.force_bytes;
    if (was_copy && state_ == State::kCopying) {
        const bool same = SameLayout(open, open_);
        if (!same) next_open_ = open_;  // the source was altered in this moment
        SetState(same ? State::kLive : State::kReorganizing);
    }
    UpdateReadable();
    return Status::Ok();
}

Status Mirror::SwitchColumns() {
    MirrorOpen open;
    {
        std::lock_guard ingest(ingest_mutex_);
        if (!next_open_) return Status::Internal("a mirror is reorganized without new columns");
        open_.columns = next_open_->columns;
        open_.key = next_open_->key;
        next_open_.reset();
        open = open_;
    }
    IVY_FAULT_POINT("mirror-switch-columns");
    IVY_RETURN_IF_ERROR(MakeTable(open));
    std::lock_guard ingest(ingest_mutex_);
    if (!next_open_) SetState(State::kLive);
    UpdateReadable();
    return Status::Ok();
}

// Whoever asked has read what is damaged, if something is; the row table has answered meanwhile.
void Mirror::CheckFiles() {
    if (Clock::now() < next_check_) return;
    check_requested_ = false;
    next_check_ = Clock::now() + kCheckPause;
    (void)PassFaultPoint("mirror-check");  // takes long where a test says so
    Log(LogLevel::kLog, "checking the files of mirror \"" + name_ + "\"");
    const std::vector<MirrorColumn> columns = Description().columns;
    const DataFileReader reader(context_.instance);
    for (const iceberg::DataFile& file : iceberg_->data_files()) {
        int64_t rows = 0;
        Status status;
        const Result<int64_t> size = context_.io.FileSize(file.path);
        if (!size.ok()) {
            status = size.status();
        } else if (*size == file.file_size) {
            status = reader.Scan(file.path, columns, [&](uint64_t, duckdb::DataChunk& chunk) {
                rows += static_cast<int64_t>(chunk.size());
                return closed() ? Status::Internal("closed") : Status::Ok();
            });
        }
        if (closed()) return;
        if (status.ok() && rows != file.record_count) status = Status::Corrupt("it does not have what was written");
        if (status.ok()) continue;
        FailForGood(status.Prepend("data file \"" + file.path + "\" is damaged").error());
        return;
    }
}

void Mirror::Retire(iceberg::Expired files) {
    if (files.empty()) return;
    Retired retired;
    for (const Retired& earlier : retired_) {
        for (const auto& reader : earlier.readers) {
            if (!reader.expired()) retired.readers.push_back(reader);
        }
    }
    {
        std::lock_guard state(state_mutex_);
        retired.readers.push_back(readers_);
        readers_ = std::make_shared<int>();
    }
    retired.files = std::move(files);
    retired_.push_back(std::move(retired));
}

void Mirror::DeleteRetired() {
    std::erase_if(retired_, [this](const Retired& retired) {
        if (std::any_of(retired.readers.begin(), retired.readers.end(),
                        [](const auto& reader) { return !reader.expired(); })) {
            return false;
        }
        // What can't be deleted is an orphan: in nobody's way.
        for (const std::string& path : retired.files) (void)context_.io.DeleteFile(path);
        return true;
    });
}

}  // namespace ivy::engine
