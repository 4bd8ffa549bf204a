// SPDX-License-Identifier: Apache-2.0
// TableImpl: making, adding files, read views, statistics.
#include "delta/table_impl.h"

#include <algorithm>

#include "delta/chunk_convert.h"

namespace ivy::delta {

namespace {

// Ordinary memory that goes with a flush, about: a row's entry in the hot table, and a delete's in the log, in its file's
// list and in that file's bitmap.
constexpr uint64_t kHotBytes = 24;
constexpr uint64_t kDeleteBytes = 40;

std::vector<ColumnType> TypesOf(const std::vector<MirrorColumn>& columns) {
    std::vector<ColumnType> types;
    for (const MirrorColumn& column : columns) types.push_back(column.type);
    return types;
}

}  // namespace

Result<std::unique_ptr<MirrorTable>> MirrorTable::Make(Options options) {
    std::vector<size_t> key_columns;
    std::vector<ColumnType> key_types;
    for (const uint32_t id : options.open.key) {
        const auto& columns = options.open.columns;
        const auto column = std::find_if(columns.begin(), columns.end(), [&](const auto& c) { return c.id == id; });
        if (column == columns.end()) {
            return Status::Make(sqlstate::kProtocolViolation, "key column " + std::to_string(id) + " of mirror \"" +
                                                                  options.open.table_name +
                                                                  "\" is not one of its columns");
        }
        key_columns.push_back(static_cast<size_t>(column - columns.begin()));
        key_types.push_back(column->type);
    }
    const uint64_t hash_mask = options.hash_mask;
    return std::unique_ptr<MirrorTable>(
        new TableImpl(std::move(options), std::move(key_columns), KeyColumns(std::move(key_types), hash_mask)));
}

TableImpl::TableImpl(Options options, std::vector<size_t> key_columns, KeyColumns key)
    : options_(std::move(options)),
      columns_(std::make_shared<const std::vector<MirrorColumn>>(options_.open.columns)),
      types_(ToDuckTypes(TypesOf(options_.open.columns))),
      key_columns_(std::move(key_columns)),
      key_(std::move(key)),
      key_is_row_(!key_columns_.empty() && key_columns_.size() == columns_->size()),
      last_lsn_(options_.open.flushed_lsn),
      unseen_xids_(options_.flushed_xids),
      flushed_lsn_(options_.open.flushed_lsn) {
    std::sort(unseen_xids_.begin(), unseen_xids_.end());
    if (options_.open.has_copy_snapshot) copy_snapshot_ = options_.open.copy_snapshot;
    if (!key_columns_.empty()) {
        key_chunk_.Initialize(duckdb::Allocator::DefaultAllocator(), ToDuckTypes(key_.types()), kChunkRows);
    }
}

Result<TableImpl::FilePtr> TableImpl::OpenFile(const NewFile& file) const {
    auto opened = std::make_shared<File>(file.deleted);
    opened->path = file.path;
    opened->rows = file.rows;
    opened->size = file.size;
    if (!key_columns_.empty()) {
        IVY_ASSIGN_OR_RETURN(opened->segment, index::Segment::Open(file.index_path, static_cast<uint64_t>(file.rows)));
    }
    return opened;
}

Result<std::vector<uint32_t>> TableImpl::AddFiles(const std::vector<NewFile>& files) {
    std::vector<FilePtr> opened;
    for (const NewFile& file : files) {
        IVY_ASSIGN_OR_RETURN(FilePtr one, OpenFile(file));
        opened.push_back(std::move(one));
    }
    const std::lock_guard apply_lock(apply_mutex_);
    const std::lock_guard lock(mutex_);
    std::vector<uint32_t> slots;
    for (const FilePtr& file : opened) {
        file->slot = next_slot_++;
        slots.push_back(file->slot);
        known_files_.emplace(file->slot, file);
        lookup_files_.push_back(file);
        live_files_.push_back(file);
    }
    files_version_++;
    return slots;
}

void TableImpl::SetCopySnapshot(const Snapshot& snapshot) {
    const std::lock_guard lock(mutex_);
    copy_snapshot_ = snapshot;
}

void TableImpl::SetOldestXmin(Xid oldest_xmin) {
    const std::lock_guard lock(mutex_);
    if (oldest_xmin <= oldest_xmin_) return;
    oldest_xmin_ = oldest_xmin;
    unseen_xids_.erase(unseen_xids_.begin(), std::lower_bound(unseen_xids_.begin(), unseen_xids_.end(), oldest_xmin));
    std::erase_if(substitutes_, [&](const Substitute& one) { return one.inserter < oldest_xmin; });
}

// Holding mutex_.
Status TableImpl::CheckReadable(const Snapshot& snapshot) const {
    if (failure_) {
        return Status::Make(sqlstate::kObjectNotInState, "mirror \"" + options_.open.table_name + "\" has failed",
                            "Applying changes to it failed: " + failure_->message + ".");
    }
    if (!copy_snapshot_) {
        return Status::Make(sqlstate::kObjectNotInState,
                            "mirror \"" + options_.open.table_name + "\" has not been copied yet");
    }
    const bool too_old =
        !snapshot.SeesAllOf(*copy_snapshot_) ||
        std::any_of(unseen_xids_.begin(), unseen_xids_.end(), [&](Xid xid) { return !snapshot.Sees(xid); });
    if (too_old) {
        return Status::Make(sqlstate::kObjectNotInState,
                            "the snapshot is older than the files of mirror \"" + options_.open.table_name + "\"");
    }
    for (const Substitute& one : substitutes_) {
        if (!snapshot.Sees(one.deleter) || snapshot.Sees(one.inserter)) continue;
        return Status::Make(sqlstate::kObjectNotInState, "mirror \"" + options_.open.table_name +
                                                             "\" can't tell equal rows apart for this snapshot");
    }
    return Status::Ok();
}

Result<std::shared_ptr<const ReadView>> TableImpl::Read(const Snapshot& snapshot) {
    TableView::Parts parts;
    parts.columns = columns_;
    parts.snapshot = snapshot;
    std::vector<std::pair<FilePtr, DeletedRows::Capture>> captures;
    uint64_t version;
    Xid oldest_xmin;
    {
        const std::lock_guard lock(mutex_);
        IVY_RETURN_IF_ERROR(CheckReadable(snapshot));
        parts.end = published_end_;
        parts.begin = std::min(parts.end, std::max(flushed_end_, truncated_end_));
        if (!chunk_list_) chunk_list_ = std::make_shared<const ChunkList>(chunks_.begin(), chunks_.end());
        parts.chunks = chunk_list_;
        parts.chunks_position = first_chunk_ * kChunkRows;
        if (parts.begin < parts.end) parts.last_inserted = ChunkAt(parts.end - 1).inserted();
        version = files_version_;
        oldest_xmin = oldest_xmin_;
        if (file_views_.version == version && file_views_.max_xid < snapshot.xmin) {
            parts.files = file_views_.files;
            return std::shared_ptr<const ReadView>(std::make_shared<const TableView>(std::move(parts)));
        }
        for (const FilePtr& file : live_files_) captures.emplace_back(file, file->deleted.Take());
    }
    auto views = std::make_shared<std::vector<FileView>>();
    views->reserve(captures.size());
    bool all_seen = true;
    Xid max_xid = kInvalidXid;
    for (auto& [file, capture] : captures) {
        auto deleted = DeletedRows::Merge(&capture, snapshot, oldest_xmin);
        if (deleted && deleted->isEmpty()) deleted = nullptr;
        views->push_back({file->slot, file->path, file->rows, file->size, std::move(deleted)});
        all_seen &= capture.complete;
        max_xid = std::max(max_xid, capture.max_xid);
    }
    parts.files = views;
    const std::lock_guard lock(mutex_);
    for (const auto& [file, capture] : captures) file->deleted.Keep(capture);
    if (all_seen && version == files_version_) {
        file_views_.version = version;
        file_views_.files = std::move(views);
        file_views_.max_xid = max_xid;
    }
    return std::shared_ptr<const ReadView>(std::make_shared<const TableView>(std::move(parts)));
}

MirrorTable::Stats TableImpl::GetStats() const {
    const std::lock_guard lock(mutex_);
    Stats stats;
    stats.delta_rows = published_end_ - flushed_end_;
    for (const auto& chunk : chunks_) stats.delta_bytes += chunk->bytes();
    if (!key_columns_.empty()) stats.delta_bytes += stats.delta_rows * kHotBytes;
    stats.delta_bytes += unflushed_deletes_ * kDeleteBytes;
    stats.index_bytes = hot_bytes_;
    for (const FilePtr& file : live_files_) {
        stats.pending_deletes += file->deleted.pending();
        stats.file_rows += static_cast<uint64_t>(file->rows);
        stats.file_bytes += static_cast<uint64_t>(file->size);
        if (file->segment) stats.index_bytes += file->segment->resident_bytes();
        stats.files++;
    }
    if (!transactions_.empty()) {
        stats.oldest_unflushed_lsn = transactions_.front().commit_lsn;
        stats.oldest_unflushed_us = transactions_.front().applied_us;
    }
    stats.flushed_lsn = flushed_lsn_;
    return stats;
}

}  // namespace ivy::delta
