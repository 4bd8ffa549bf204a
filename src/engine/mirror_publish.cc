// SPDX-License-Identifier: Apache-2.0
//
// Mirror: switching to files that have become current, and to other columns.
#include <algorithm>

#include "base/fault_point.h"
#include "engine/log.h"
#include "engine/mirror.h"

namespace ivy::engine {

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
    } else if (publication.rewrite) {
        if (!table) return Status::Ok();  // closed meanwhile
        IVY_RETURN_IF_ERROR(TakeRewritten(&publication, *table, open));
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
    if (publication.rewrite || (publication.cut && publication.cut->RemovesFiles())) RemoveStaleIndexes();
    if (publication.rewrite) {
        // A later rewrite may remove these files from the table, but not from older snapshots.
        (void)NoteFilesToWrite(kRewriteNote, {});
        EndRewrite(publication.rewrite, Status::Ok());
    }
    const bool was_copy = !publication.cut && !publication.rewrite;
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

// Has the table switch to rewritten files.
Status Mirror::TakeRewritten(Publication* publication, delta::MirrorTable& table, const MirrorOpen& open) {
    std::set<std::string> paths;
    for (const auto& written : publication->rewrite->files()) paths.insert(written.file.path);
    IVY_ASSIGN_OR_RETURN(const std::vector<delta::NewFile> all, FilesOfTable(*iceberg_, open, &paths));
    std::vector<delta::NewFile> files;  // in the order of the rewrite
    for (const auto& written : publication->rewrite->files()) {
        const auto file =
            std::find_if(all.begin(), all.end(), [&](const auto& f) { return f.path == written.file.path; });
        if (file == all.end()) return Status::Internal("a rewritten file is not in the table");
        files.push_back(*file);
    }
    return table.FinishRewrite(*publication->map, files);
}

Status Mirror::SwitchColumns() {
    MirrorOpen open;
    {
        std::lock_guard ingest(ingest_mutex_);
        if (!next_open_) return Status::Internal("a mirror is reorganized without new columns");
        open_.columns = next_open_->columns;
        open_.key = next_open_->key;
        open_.sort = next_open_->sort;
        next_open_.reset();
        open = open_;
    }
    IVY_FAULT_POINT("mirror-switch-columns");
    const Status made = MakeTable(open);
    std::lock_guard ingest(ingest_mutex_);
    if (!made.ok()) {
        if (!next_open_) next_open_ = open;  // should it be tried again
        return made;
    }
    if (!next_open_) SetState(State::kLive);
    UpdateReadable();
    return Status::Ok();
}

}  // namespace ivy::engine
