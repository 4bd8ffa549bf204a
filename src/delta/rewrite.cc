// SPDX-License-Identifier: Apache-2.0
//
// RewriteMap, and TableImpl's part in a rewrite: like the end of a flush (flush.cc), it is an instant between transactions.
#include "delta/rewrite.h"

#include <algorithm>

#include "delta/table_impl.h"

namespace ivy::delta {

RewriteMap::RewriteMap(std::vector<RewriteSource> sources, std::shared_ptr<const std::vector<uint32_t>> order,
                       const std::vector<uint64_t>& file_rows)
    : sources_(std::move(sources)), order_(std::move(order)) {
    uint64_t ordinal = 0;
    for (const RewriteSource& source : sources_) {
        begins_.push_back(ordinal);
        ordinal += static_cast<uint64_t>(source.rows) - (source.deleted ? source.deleted->cardinality() : 0);
    }
    uint64_t end = 0;
    for (const uint64_t rows : file_rows) ends_.push_back(end += rows);
}

std::optional<RewriteMap::Place> RewriteMap::Find(size_t source, uint64_t row) const {
    const auto& deleted = sources_[source].deleted;
    if (deleted && deleted->contains(row)) return std::nullopt;
    const uint64_t ordinal = begins_[source] + row - (deleted ? deleted->rank(row) : 0);
    const uint64_t place = order_ ? (*order_)[ordinal] : ordinal;
    const auto file = static_cast<size_t>(std::upper_bound(ends_.begin(), ends_.end(), place) - ends_.begin());
    return Place{file, place - (file == 0 ? 0 : ends_[file - 1])};
}

std::vector<std::shared_ptr<const RowSet>> RewriteMap::MapDeleted(
    const std::vector<std::shared_ptr<const RowSet>>& now) const {
    std::vector<std::shared_ptr<RowSet>> vectors(files());
    for (size_t source = 0; source < sources_.size(); source++) {
        if (!now[source]) continue;
        RowSet added = *now[source];
        if (sources_[source].deleted) added -= *sources_[source].deleted;
        for (const uint64_t row : added) {
            const std::optional<Place> place = Find(source, row);
            if (!place) continue;
            if (!vectors[place->file]) vectors[place->file] = std::make_shared<RowSet>();
            vectors[place->file]->add(place->row);
        }
    }
    return {vectors.begin(), vectors.end()};
}

std::optional<std::vector<RewriteSource>> TableImpl::RewriteSources(const std::vector<std::string>& paths) const {
    const std::lock_guard lock(mutex_);
    std::vector<RewriteSource> sources;
    for (const std::string& path : paths) {
        const auto file =
            std::find_if(live_files_.begin(), live_files_.end(), [&](const FilePtr& f) { return f->path == path; });
        if (file == live_files_.end()) return std::nullopt;
        sources.push_back({path, (*file)->rows, (*file)->deleted.vector()});
    }
    return sources;
}

Status TableImpl::FinishRewrite(const RewriteMap& map, const std::vector<NewFile>& files) {
    std::vector<FilePtr> added;
    for (const NewFile& file : files) {
        IVY_ASSIGN_OR_RETURN(FilePtr opened, OpenFile(file));
        added.push_back(std::move(opened));
    }
    if (added.size() != map.files()) return Status::Internal("a rewrite has other files than it says");
    std::vector<FilePtr> replaced;  // freed without the locks
    const std::lock_guard apply_lock(apply_mutex_);
    if (active_cut_) return Status::Internal("a rewrite can't be finished during a flush");
    std::unordered_map<uint32_t, size_t> sources;  // by slot
    for (size_t i = 0; i < map.sources().size(); i++) {
        const auto known = std::find_if(known_files_.begin(), known_files_.end(),
                                        [&](const auto& entry) { return entry.second->path == map.sources()[i].path; });
        if (known == known_files_.end()) return Status::Internal("a rewritten file is not in the mirror any more");
        sources.emplace(known->first, i);
        replaced.push_back(known->second);
    }
    for (const FilePtr& file : added) file->slot = next_slot_++;
    MoveDeletes(map, sources, added);

    const std::lock_guard lock(mutex_);
    const auto is_replaced = [&](const FilePtr& file) { return sources.contains(file->slot); };
    // A TRUNCATE, published or not, has emptied all of the sources or none.
    const Lsn dropped_by = replaced.empty() ? kInvalidLsn : replaced.front()->dropped_by;
    const bool looked_up = std::any_of(lookup_files_.begin(), lookup_files_.end(), is_replaced);
    ForgetEqual();
    std::erase_if(live_files_, is_replaced);
    std::erase_if(lookup_files_, is_replaced);
    for (const auto& [slot, source] : sources) known_files_.erase(slot);
    for (const FilePtr& file : added) {
        file->dropped_by = dropped_by;
        known_files_.emplace(file->slot, file);
        if (dropped_by == kInvalidLsn) live_files_.push_back(file);
        if (looked_up) lookup_files_.push_back(file);
    }
    files_version_++;
    return Status::Ok();
}

// Holding apply_mutex_. The sources' pending deletes become those of the new files, in the same order. As in CarryOver, those
// of published transactions are published, the staged one's follow with it.
void TableImpl::MoveDeletes(const RewriteMap& map, const std::unordered_map<uint32_t, size_t>& sources,
                            const std::vector<FilePtr>& files) {
    auto transaction = transactions_.begin();
    bool staged = false;
    const auto publish = [&] {
        for (const FilePtr& file : files) file->deleted.Publish();
    };
    for (uint64_t i = deletes_begin_; i < deletes_begin_ + deletes_.size(); i++) {
        while (transaction != transactions_.end() && transaction->deletes_end <= i) ++transaction;
        if (transaction == transactions_.end() && !staged) {
            staged = true;
            publish();
        }
        DeleteRecord& record = deletes_[i - deletes_begin_];
        const auto source = record.slot == kDeltaSlot ? sources.end() : sources.find(record.slot);
        if (source == sources.end()) continue;
        const auto place = map.Find(source->second, record.row);
        if (!place) continue;  // can't be: what is in a vector was flushed
        const FilePtr& file = files[place->file];
        file->deleted.Add(place->row, staged ? staged_.xid : transaction->xid, &mutex_);
        record = {place->row, file->slot};
    }
    if (!staged) publish();
    auto& touched = staged_.touched;
    const auto before = touched.size();
    std::erase_if(touched, [&](const FilePtr& file) { return sources.contains(file->slot); });
    if (touched.size() != before) touched.insert(touched.end(), files.begin(), files.end());
}

}  // namespace ivy::delta
