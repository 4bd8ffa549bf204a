// SPDX-License-Identifier: Apache-2.0
//
// Mirror: its files as a whole: opening them, removing those that nothing refers to, checking them when one is suspected.
#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>

#include "base/bytes.h"
#include "base/fault_point.h"
#include "engine/duck_file_io.h"
#include "engine/error_map.h"
#include "engine/iceberg_schema.h"
#include "engine/log.h"
#include "engine/mirror.h"
#include "engine/mirror_storage.h"
#include "engine/mirror_summary.h"
#include "engine/position_deletes.h"
#include "iceberg/deletion_vector.h"
#include "index/segment.h"
#include "protocol/engine_process.h"

namespace ivy::engine {
namespace {

using namespace std::chrono_literals;

constexpr auto kCheckPause = 60s;      // between two checks of all files
constexpr auto kUnreadablePause = 2s;  // ...on the network, which only ask whether they are there
constexpr auto kSweepPause = 10s;      // after a failure of the storage

// A MirrorTable with what has to outlive it.
struct OpenTable {
    OpenTable(Instance& instance, std::vector<MirrorColumn> columns, MirrorRowReader::TryAgain try_again)
        : reader(instance, std::move(columns), std::move(try_again)) {}
    MirrorRowReader reader;
    std::unique_ptr<delta::MirrorTable> table;
};

}  // namespace

std::string Mirror::IndexRoot(const std::string& engine_folder, uint32_t id, const std::string& location) {
    return engine_folder + "/" + kScratchPrefix + "index/" + std::to_string(id) + "-" +
           std::to_string(Crc32(location.data(), location.size()));
}

// --- loading ---------------------------------------------------------------------------------------------------------

Status Mirror::Load() {
    IVY_FAULT_POINT("mirror-load");
    IVY_RETURN_IF_ERROR(KeyOrdinals(open_.columns, open_.key).status());
    IVY_RETURN_IF_ERROR(MakeFolder(index_folder_));
    if (!open_.has_copy_snapshot) return Status::Ok();
    if (!network_) return LoadFiles();
    std::lock_guard ingest(ingest_mutex_);
    SetState(State::kLoading);
    return Status::Ok();
}

Status Mirror::LoadFiles() {
    const MirrorOpen open = Description();
    if (open.metadata_location.empty()) {
        IVY_ASSIGN_OR_RETURN(iceberg_,
                             iceberg::Table::Create(&context_.io, location_, MakeIcebergSchema(open.columns, open.key),
                                                    open.format_version, {}));
    } else {
        IVY_ASSIGN_OR_RETURN(iceberg_, iceberg::Table::Load(&context_.io, open.metadata_location));
        // A crash may have come before this the last time.
        const Status published = iceberg_->Publish();
        if (!published.ok())
            LogError(LogLevel::kWarning, "could not write version hint of \"" + name_ + "\"", published.error());
    }
    IVY_RETURN_IF_ERROR(MakeTable(open));
    RemoveUnpublishedFiles();
    RemoveStaleIndexes();
    sweep_due_ = true;
    std::lock_guard ingest(ingest_mutex_);
    if (closed_) return Status::Ok();
    if (!SameLayout(open, open_)) {
        next_open_ = open_;  // the source was altered meanwhile
        SetState(State::kReorganizing);
        return Status::Ok();
    }
    SetState(State::kLive);
    return Status::Ok();
}

// By the flusher: opens files on the network, again and again while the storage fails.
bool Mirror::WorkOnLoading() {
    if (Clock::now() < next_flush_) return false;
    const Status loaded = LoadFiles();
    NoteFlush(loaded, "could not load mirror");
    if (!loaded.ok() && !IsStorageFailure(loaded.error())) FailForGood(loaded.error());
    return loaded.ok();
}

MirrorOpen Mirror::Description() const {
    std::lock_guard ingest(ingest_mutex_);
    return open_;
}

// Segments of files that a crash left behind, or that have gone from the table.
void Mirror::RemoveStaleIndexes() {
    const std::vector<uint32_t> key = Description().key;
    {
        // A rewrite may be writing some; its publication comes here again.
        std::lock_guard rewrite(rewrite_mutex_);
        if (rewrite_ && rewrite_->phase() != RewriteJob::Phase::kPublishing) return;
    }
    std::set<std::string> used = {kFlushNote + 1, kRewriteNote + 1};
    for (const iceberg::DataFile& file : iceberg_->data_files()) {
        used.insert(std::filesystem::path(delta::IndexPathFor(index_folder_, file.path, key)).filename());
    }
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(index_folder_, error)) {
        if (!used.contains(entry.path().filename())) std::filesystem::remove(entry.path(), error);
    }
}

Status Mirror::NoteFilesToWrite(const char* note, const std::vector<std::string>& paths) {
    Bytes lines;
    for (const std::string& path : paths) {
        lines.insert(lines.end(), path.begin(), path.end());
        lines.push_back('\n');
    }
    return local_io_->WriteFile(index_folder_ + note, lines, false);
}

// The notes are those of the last flush and of the last rewrite: if they were published, their files are in the table.
void Mirror::RemoveUnpublishedFiles() {
    std::set<std::string> live;
    for (const iceberg::DataFile& file : iceberg_->data_files()) live.insert(file.path);
    for (const iceberg::DataFile& file : iceberg_->delete_files()) live.insert(file.path);
    for (const char* note : {kFlushNote, kRewriteNote}) {
        const Result<Bytes> lines = local_io_->ReadFile(index_folder_ + note);
        if (!lines.ok()) continue;  // none yet
        std::istringstream in(std::string(lines->begin(), lines->end()));
        for (std::string path; std::getline(in, path);) {
            if (!live.contains(path)) (void)context_.io.DeleteFile(path);
        }
    }
}

// --- deleted rows ----------------------------------------------------------------------------------------------------

std::vector<std::string> Mirror::NewDeletePaths(size_t data_files) const {
    std::vector<std::string> paths;
    const bool vectors = open_.format_version >= 3;  // all of a commit are in one file
    for (size_t i = 0; i < (vectors ? std::min<size_t>(data_files, 1) : data_files); i++) {
        paths.push_back(NewDataPath(location_, vectors ? ".puffin" : ".parquet"));
    }
    return paths;
}

Result<std::vector<iceberg::DataFile>> Mirror::WriteDeletes(
    const std::vector<std::pair<std::string, const delta::RowSet*>>& deleted, const std::vector<std::string>& paths) {
    if (deleted.empty()) return std::vector<iceberg::DataFile>();
    if (open_.format_version >= 3) return iceberg::WriteDeletionVectors(&context_.io, paths.front(), deleted);
    std::vector<iceberg::DataFile> files;
    for (size_t i = 0; i < deleted.size(); i++) {
        Result<iceberg::DataFile> file =
            WritePositionDeletes(context_.instance, paths[i], deleted[i].first, *deleted[i].second);
        if (!file.ok()) {
            for (const iceberg::DataFile& written : files) (void)context_.io.DeleteFile(written.path);
            return file.status();
        }
        files.push_back(std::move(file).value());
    }
    return files;
}

void Mirror::AddDeletes(const iceberg::Table& table, const std::vector<iceberg::DataFile>& deletes,
                        iceberg::Change* change) {
    if (table.format_version() >= 3) {
        change->deletion_vectors = deletes;
        return;
    }
    change->position_deletes = deletes;
    // Those that they replace; others go with their data files.
    std::set<std::string> targets;
    for (const iceberg::DataFile& file : deletes) targets.insert(*file.referenced_data_file);
    for (const iceberg::DataFile& old : table.delete_files()) {
        if (old.referenced_data_file && targets.contains(*old.referenced_data_file))
            change->removed.push_back(old.path);
    }
}

// --- orphans, and what the table is made of ---------------------------------------------------------------------------

void Mirror::Sweep() {
    if (Clock::now() < next_sweep_) return;
    sweep_due_ = false;
    if (closed() || state() != State::kLive) return;
    const Result<std::set<std::string>> referenced = iceberg_->ReferencedFiles();
    size_t removed = 0;
    for (const char* folder : {"/data", "/metadata"}) {
        const Result<std::vector<std::string>> files = context_.io.List(location_ + folder);
        if (!referenced.ok() || !files.ok()) {
            const Status failed = referenced.ok() ? files.status() : referenced.status();
            LogError(LogLevel::kLog, "could not look for orphans of \"" + name_ + "\"", failed.error());
            next_sweep_ = Clock::now() + kSweepPause;
            sweep_due_ = MayRetry(failed);
            return;
        }
        for (const std::string& file : *files) {
            if (referenced->contains(file) || file.ends_with("/version-hint.text")) continue;
            if (!PassFaultPoint("sweep").ok()) return;
            removed += context_.io.DeleteFile(file).ok() ? 1 : 0;
        }
    }
    if (removed == 0) return;
    Log(LogLevel::kLog,
        "deleted " + std::to_string(removed) + " files that mirror \"" + name_ + "\" does not refer to");
}

Result<std::vector<delta::NewFile>> Mirror::FilesOfTable(const iceberg::Table& table, const MirrorOpen& open,
                                                         const std::set<std::string>* only) {
    std::map<std::string, const iceberg::DataFile*> vectors;
    for (const iceberg::DataFile& file : table.delete_files()) {
        if (file.content != iceberg::Content::kPositionDeletes || !file.referenced_data_file) {
            return Status::Make(sqlstate::kFeatureNotSupported,
                                "\"" + file.path + "\" is a delete file of a kind that mirrors do not have");
        }
        vectors[*file.referenced_data_file] = &file;
    }
    IVY_ASSIGN_OR_RETURN(const std::vector<size_t> key, KeyOrdinals(open.columns, open.key));
    std::vector<MirrorColumn> key_columns;
    for (const size_t ordinal : key) key_columns.push_back(open.columns[ordinal]);
    const std::set<uint32_t> copied = CopiedColumns(table);
    const DataFileReader reader(context_.instance);
    std::vector<delta::NewFile> files;
    for (const iceberg::DataFile& data : table.data_files()) {
        if (only && !only->contains(data.path)) continue;
        for (const MirrorColumn& column : open.columns) {
            // Only of columns that came later does a file without them have NULLs.
            if (!copied.contains(column.id) || data.metrics.value_counts.contains(static_cast<int>(column.id)))
                continue;
            return Status::Corrupt("data file \"" + data.path + "\" lacks column \"" + column.name + "\"");
        }
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
            const iceberg::DataFile& deletes = *found->second;
            IVY_ASSIGN_OR_RETURN(iceberg::DeletedRows rows, deletes.format == "PUFFIN"
                                                                ? iceberg::ReadDeletionVector(&context_.io, deletes)
                                                                : ReadPositionDeletes(context_.instance, deletes));
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
    auto open_table = std::make_shared<OpenTable>(context_.instance, open.columns,
                                                  [this](const Status& failed) { return AwaitStorage(failed); });
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

std::set<uint32_t> Mirror::CopiedColumns(const iceberg::Table& table) {
    std::set<uint32_t> columns;
    for (const iceberg::Field& field : table.first_schema().fields) columns.insert(static_cast<uint32_t>(field.id));
    return columns;
}

Status Mirror::MakeTable(const MirrorOpen& open) {
    IVY_ASSIGN_OR_RETURN(std::shared_ptr<delta::MirrorTable> table, OpenFiles(*iceberg_, open));
    std::lock_guard ingest(ingest_mutex_);
    if (oldest_xmin_ != kInvalidXid) table->SetOldestXmin(oldest_xmin_);
    delta_full_ = false;
    copied_columns_ = CopiedColumns(*iceberg_);
    std::lock_guard state(state_mutex_);
    table_ = std::move(table);
    copy_snapshot_ = open.copy_snapshot;
    columns_ = open.columns;
    return Status::Ok();
}

// --- files that nobody needs, or that are damaged --------------------------------------------------------------------

void Mirror::RequestCheck(const Error& error) {
    const bool storage = network_ && IsStorageFailure(error);
    if (!storage) check_whole_ = true;
    // Other queries need not wait for the same server. The message may have the object's URL instead of its location: there the
    // bucket may be a part of the host's name.
    const size_t key = storage ? location_.find('/', location_.find("://") + 3) : std::string::npos;
    if (key != std::string::npos && error.message.find(location_.substr(key)) != std::string::npos)
        SetUnreadable(&error);
    check_requested_ = true;
}

Status Mirror::CheckFile(const iceberg::DataFile& file, const std::vector<MirrorColumn>& columns, bool whole) {
    IVY_ASSIGN_OR_RETURN(const int64_t size, context_.io.FileSize(file.path));
    if (size != file.file_size) return Status::Corrupt("it does not have what was written");
    if (!whole) return Status::Ok();
    int64_t rows = 0;
    IVY_RETURN_IF_ERROR(
        DataFileReader(context_.instance).Scan(file.path, columns, [&](uint64_t, duckdb::DataChunk& chunk) {
            rows += static_cast<int64_t>(chunk.size());
            return closed() ? Status::Internal("closed") : Status::Ok();
        }));
    if (rows != file.record_count) return Status::Corrupt("it does not have what was written");
    return Status::Ok();
}

// Whoever asked has read what is damaged, if something is; the row table has answered meanwhile.
void Mirror::CheckFiles() {
    if (Clock::now() < next_check_) return;
    check_requested_ = false;
    const bool whole = check_whole_.exchange(false);
    next_check_ = Clock::now() + kCheckPause;
    (void)PassFaultPoint("mirror-check");  // takes long where a test says so
    if (whole) Log(LogLevel::kLog, "checking the files of mirror \"" + name_ + "\"");
    const std::vector<MirrorColumn> columns = Description().columns;
    for (const iceberg::DataFile& file : iceberg_->data_files()) {
        const Status status = CheckFile(file, columns, whole);
        if (closed()) return;
        if (status.ok()) continue;
        if (MayRetry(status)) {
            SetUnreadable(&status.error());
            next_check_ = Clock::now() + kUnreadablePause;
            if (whole) check_whole_ = true;
            check_requested_ = true;
            return;
        }
        FailForGood(status.Prepend("data file \"" + file.path + "\" is damaged").error());
        return;
    }
    if (!network_) return;
    SetUnreadable(nullptr);
    next_check_ = Clock::now() + kUnreadablePause;
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
        for (const std::string& path : retired.files) {
            if (PassFaultPoint("expire").ok()) (void)context_.io.DeleteFile(path);
        }
        return true;
    });
}

}  // namespace ivy::engine
