// SPDX-License-Identifier: Apache-2.0
#include "iceberg/snapshot_history.h"

#include <algorithm>
#include <set>

#include "iceberg/manifest.h"

namespace ivy::iceberg {

void SnapshotHistory::Add(int64_t snapshot_id, std::vector<std::string> manifests,
                          std::vector<std::string> removed_files) {
    entries_[snapshot_id] = Entry{std::move(manifests), std::move(removed_files)};
}

Result<SnapshotHistory::Entry*> SnapshotHistory::Find(FileIo* io, const TableSnapshot& snapshot) {
    const auto found = entries_.find(snapshot.id);
    if (found != entries_.end()) return &found->second;
    IVY_ASSIGN_OR_RETURN(const Bytes list, io->ReadFile(snapshot.manifest_list));
    IVY_ASSIGN_OR_RETURN(const std::vector<ManifestFile> manifests, ReadManifestList(list));
    Entry entry;
    for (const ManifestFile& manifest : manifests) {
        entry.manifests.push_back(manifest.path);
        if (manifest.added_snapshot_id != snapshot.id || manifest.deleted_files == 0) continue;
        IVY_ASSIGN_OR_RETURN(const Bytes content, io->ReadFile(manifest.path));
        IVY_ASSIGN_OR_RETURN(const std::vector<ManifestEntry> files, ReadManifest(content, manifest));
        for (const ManifestEntry& file : files) {
            if (file.status == EntryStatus::kDeleted && file.file.snapshot_id == snapshot.id) {
                entry.removed_files.push_back(file.file.path);
            }
        }
    }
    return &(entries_[snapshot.id] = std::move(entry));
}

Expired SnapshotHistory::Collect(FileIo* io, const TableMetadata::ExpiredSnapshots& gone, const TableMetadata& now,
                                 const std::vector<DataFile>& data_files, const std::vector<DataFile>& delete_files) {
    Expired expired;
    if (!gone.linear || gone.snapshots.empty() || now.snapshots().empty()) return expired;
    std::set<std::string> unreachable, reachable;
    for (const TableSnapshot& snapshot : gone.snapshots) {
        const Result<Entry*> entry = Find(io, snapshot);
        if (!entry.ok()) return expired;
        unreachable.insert((*entry)->manifests.begin(), (*entry)->manifests.end());
        unreachable.insert((*entry)->removed_files.begin(), (*entry)->removed_files.end());
        unreachable.insert(snapshot.manifest_list);
    }

    // What the oldest kept snapshot removed is not in it, and so in none. A Puffin file is unreachable only when the last of
    // its vectors is.
    const auto oldest =
        std::min_element(now.snapshots().begin(), now.snapshots().end(),
                         [](const auto& a, const auto& b) { return a.sequence_number < b.sequence_number; });
    for (const TableSnapshot& snapshot : now.snapshots()) {
        const Result<Entry*> entry = Find(io, snapshot);
        if (!entry.ok()) return expired;
        reachable.insert((*entry)->manifests.begin(), (*entry)->manifests.end());
        auto& removed = (*entry)->removed_files;
        if (&snapshot == &*oldest)
            unreachable.insert(removed.begin(), removed.end());
        else
            reachable.insert(removed.begin(), removed.end());
    }
    for (const auto* files : {&data_files, &delete_files}) {
        for (const DataFile& file : *files) {
            if (unreachable.contains(file.path)) reachable.insert(file.path);
        }
    }
    std::set_difference(unreachable.begin(), unreachable.end(), reachable.begin(), reachable.end(),
                        std::back_inserter(expired));
    expired.insert(expired.end(), gone.statistics.begin(), gone.statistics.end());

    for (const TableSnapshot& snapshot : gone.snapshots) entries_.erase(snapshot.id);
    // Reported now, so it need not be again; but a Puffin file that is still reachable has its turn later.
    std::erase_if(entries_[oldest->id].removed_files,
                  [&reachable](const std::string& path) { return !reachable.contains(path); });
    return expired;
}

}  // namespace ivy::iceberg
