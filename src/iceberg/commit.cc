// SPDX-License-Identifier: Apache-2.0
//
// CommitChange: from a table's state and a change to new manifests, a manifest list and a metadata file.
//
// Manifests without removed files are kept as they are. Those that lose a file are rewritten together: survivors as EXISTING,
// removed files as DELETED entries (which the next rewrite drops). Once more than kMaxSmallManifests small ones of a kind
// have gathered, they are rewritten into large ones, so that their number stays bounded at a cost that is spread over many
// commits. Added data files get a manifest of their own, since only they have no row ids yet; added delete files share one
// with the survivors.
#include <algorithm>
#include <array>
#include <limits>
#include <unordered_map>
#include <unordered_set>

#include "iceberg/table_state.h"

namespace ivy::iceberg {
namespace {

constexpr size_t kMaxSmallManifests = 100;
constexpr int64_t kManifestTarget = 8 << 20;  // bytes; smaller ones are small

Status Invalid(std::string message) { return Status::Make(sqlstate::kInvalidParameter, std::move(message)); }

bool IsVector(const DataFile& file) { return file.format == "PUFFIN"; }

// Bytes of a file that count as the table's: of a deletion vector only the vector.
int64_t ContentSize(const DataFile& file) { return IsVector(file) ? file.content_size.value_or(0) : file.file_size; }

// What a set of files contributes to a snapshot's summary.
struct Totals {
    int64_t data_files = 0, records = 0, size = 0;
    int64_t vectors = 0, position_files = 0, equality_files = 0, position_deletes = 0, equality_deletes = 0;

    int64_t delete_files() const { return vectors + position_files + equality_files; }
    void Add(const DataFile& file) {
        size += ContentSize(file);
        if (file.content == Content::kData) {
            data_files++;
            records += file.record_count;
        } else if (file.content == Content::kEqualityDeletes) {
            equality_files++;
            equality_deletes += file.record_count;
        } else {
            (IsVector(file) ? vectors : position_files)++;
            position_deletes += file.record_count;
        }
    }
};

// One kind of files of the state, with what becomes of them. Index 0 is data files, 1 delete files.
struct Kind {
    const std::vector<DataFile>* files = nullptr;
    const std::vector<uint64_t>* homes = nullptr;
    std::vector<bool> removed;
    std::vector<uint64_t> new_homes;
    std::vector<DataFile> added;
    std::vector<uint64_t> added_homes;
};

struct NewManifest {
    LiveManifest manifest;
    int64_t inherited_rows = 0;
};

class Committer {
  public:
    Committer(FileIo* io, TableState* state, const Change& change)
        : io_(io),
          state_(state),
          change_(change),
          metadata_(state->metadata),
          next_number_(state->next_manifest_number) {
        kinds_[0].files = &state->data_files;
        kinds_[0].homes = &state->data_homes;
        kinds_[1].files = &state->delete_files;
        kinds_[1].homes = &state->delete_homes;
        for (Kind& kind : kinds_) {
            kind.removed.resize(kind.files->size());
            kind.new_homes = *kind.homes;
        }
    }

    Result<CommitResult> Run() {
        const Status status = Prepare();
        if (!status.ok()) {
            for (const std::string& path : written_)
                (void)io_->DeleteFile(path).ok();  // the first error is the one to report
            return status;
        }
        return Apply();
    }

  private:
    Status Prepare();
    Status CheckTable() const;
    Status CheckAdded() const;
    Status MarkRemoved();
    void MarkDangling();
    bool MakesSnapshot() const;
    Status WriteManifests();
    std::unordered_set<uint64_t> Rewritten(bool deletes) const;
    Status RewriteKind(bool deletes);
    Status WriteEntries(bool deletes, const std::vector<std::pair<EntryStatus, size_t>>& entries);
    Status FinishManifest(ManifestWriter* writer);
    Status AssignRowIds();
    Status WriteSnapshot();
    std::map<std::string, std::string> Summary() const;
    CommitResult Apply();

    FileIo* io_;
    TableState* state_;
    const Change& change_;
    TableMetadata metadata_;
    std::array<Kind, 2> kinds_;
    std::unordered_set<uint64_t> rewritten_;  // manifests that the new list does not have
    std::vector<NewManifest> new_manifests_;
    std::vector<LiveManifest> manifests_;  // of the new list
    uint64_t next_number_;
    int64_t snapshot_id_ = 0, sequence_number_ = 0, timestamp_ms_ = 0, next_row_id_ = 0;
    bool makes_snapshot_ = false;
    ManifestHeader header_;
    std::string manifest_prefix_;
    std::string metadata_location_;
    std::vector<std::string> dropped_metadata_;
    TableMetadata::ExpiredSnapshots gone_;
    std::vector<std::string> written_;
};

Status Committer::CheckTable() const {
    if (metadata_.format_version() < 2) {
        return Status::Make(sqlstate::kFeatureNotSupported, "Iceberg tables of format version 1 cannot be written");
    }
    if (metadata_.partitioned())
        return Status::Make(sqlstate::kFeatureNotSupported, "partitioned Iceberg tables cannot be written");
    if (metadata_.format_version() < 3 && !change_.deletion_vectors.empty()) {
        return Invalid("deletion vectors need Iceberg format version 3");
    }
    if (metadata_.format_version() >= 3 && !change_.position_deletes.empty()) {
        return Invalid("position delete files must not be added to an Iceberg table of format version 3");
    }
    static constexpr const char* kOperations[] = {"append", "overwrite", "delete", "replace"};
    if (std::find(std::begin(kOperations), std::end(kOperations), change_.operation) == std::end(kOperations)) {
        return Invalid("unknown snapshot operation \"" + change_.operation + "\"");
    }
    return Status::Ok();
}

Status Committer::CheckAdded() const {
    const auto check = [](const DataFile& file, Content content, bool vector) -> Status {
        if (file.content != content || IsVector(file) != vector)
            return Invalid("\"" + file.path + "\" is a file of another kind");
        if (!file.path.starts_with('/') && file.path.find(":/") == std::string::npos) {
            return Invalid("path \"" + file.path + "\" of a file to add is not absolute");
        }
        if (file.record_count < 0 || file.file_size <= 0)
            return Invalid("file \"" + file.path + "\" has no valid size");
        if (!vector) return Status::Ok();
        if (!file.referenced_data_file || file.record_count == 0 || file.content_offset.value_or(0) < 4 ||
            file.content_size.value_or(0) <= 0 || *file.content_offset > file.file_size - *file.content_size) {
            return Invalid("a deletion vector in \"" + file.path + "\" lacks its data file, or has no valid size");
        }
        return Status::Ok();
    };
    for (const DataFile& file : change_.added) IVY_RETURN_IF_ERROR(check(file, Content::kData, false));
    for (const DataFile& file : change_.deletion_vectors)
        IVY_RETURN_IF_ERROR(check(file, Content::kPositionDeletes, true));
    for (const DataFile& file : change_.position_deletes)
        IVY_RETURN_IF_ERROR(check(file, Content::kPositionDeletes, false));
    return Status::Ok();
}

// Finds what the change removes, and checks that each file it names is there, once.
Status Committer::MarkRemoved() {
    std::unordered_set<std::string> to_remove(change_.removed.begin(), change_.removed.end());
    if (to_remove.size() != change_.removed.size()) return Invalid("a file is to be removed twice");
    std::unordered_map<std::string, const DataFile*> added, vectors;
    for (const auto* list : {&change_.added, &change_.position_deletes}) {
        for (const DataFile& file : *list) {
            if (!added.emplace(file.path, &file).second) return Invalid("file \"" + file.path + "\" is added twice");
            if (to_remove.contains(file.path)) return Invalid("file \"" + file.path + "\" is added and removed");
        }
    }
    for (const DataFile& vector : change_.deletion_vectors) {
        if (!vectors.emplace(*vector.referenced_data_file, &vector).second) {
            return Invalid("data file \"" + *vector.referenced_data_file + "\" gets two deletion vectors");
        }
        const auto target = added.find(*vector.referenced_data_file);
        if (target != added.end() && vector.record_count > target->second->record_count) {
            return Invalid("the deletion vector of \"" + target->first + "\" has more rows than the file");
        }
    }

    size_t removed = 0, targets = 0;
    for (const auto& [path, vector] : vectors) targets += added.contains(path);
    std::unordered_set<std::string> removed_data;
    for (size_t i = 0; i < kinds_[0].files->size(); i++) {
        const DataFile& file = (*kinds_[0].files)[i];
        if (added.contains(file.path)) return Invalid("file \"" + file.path + "\" is in the table already");
        const auto vector = vectors.find(file.path);
        if (to_remove.contains(file.path)) {
            kinds_[0].removed[i] = true;
            removed++;
            removed_data.insert(file.path);
        } else if (vector != vectors.end()) {
            if (vector->second->record_count > file.record_count) {
                return Invalid("the deletion vector of \"" + file.path + "\" has more rows than the file");
            }
            targets++;
        }
    }
    if (targets != vectors.size()) return Invalid("a deletion vector is for a data file that is not in the table");

    for (size_t i = 0; i < kinds_[1].files->size(); i++) {
        const DataFile& file = (*kinds_[1].files)[i];
        if (!IsVector(file) && added.contains(file.path))
            return Invalid("file \"" + file.path + "\" is in the table already");
        const bool named = !IsVector(file) && to_remove.contains(file.path);
        removed += named;
        const auto& target = file.referenced_data_file;
        kinds_[1].removed[i] = named || (target && (removed_data.contains(*target) || vectors.contains(*target)));
    }
    if (removed == to_remove.size()) return Status::Ok();
    return Status::Make(sqlstate::kObjectNotInState, "a file to remove is not in the Iceberg table");
}

// Removes delete files that are older than every data file left: they apply to none.
void Committer::MarkDangling() {
    if (std::find(kinds_[0].removed.begin(), kinds_[0].removed.end(), true) == kinds_[0].removed.end()) return;
    int64_t oldest = std::numeric_limits<int64_t>::max();
    for (size_t i = 0; i < kinds_[0].files->size(); i++) {
        if (!kinds_[0].removed[i]) oldest = std::min(oldest, (*kinds_[0].files)[i].sequence_number);
    }
    for (size_t i = 0; i < kinds_[1].files->size(); i++) {
        const DataFile& file = (*kinds_[1].files)[i];
        const bool equality = file.content == Content::kEqualityDeletes;  // these spare files of their own commit
        if (equality ? file.sequence_number <= oldest : file.sequence_number < oldest) kinds_[1].removed[i] = true;
    }
}

bool Committer::MakesSnapshot() const {
    const bool files = !change_.added.empty() || !change_.removed.empty() || !change_.deletion_vectors.empty() ||
                       !change_.position_deletes.empty();
    return files || !change_.summary.empty() || (!change_.schema && !change_.sort_fields && change_.properties.empty());
}

Status Committer::Prepare() {
    IVY_RETURN_IF_ERROR(CheckTable());
    IVY_RETURN_IF_ERROR(CheckAdded());
    IVY_RETURN_IF_ERROR(MarkRemoved());
    MarkDangling();
    if (change_.schema) IVY_RETURN_IF_ERROR(metadata_.SetSchema(*change_.schema));
    if (change_.sort_fields) IVY_RETURN_IF_ERROR(metadata_.SetSortOrder(*change_.sort_fields));
    if (!change_.properties.empty()) metadata_.SetProperties(change_.properties);
    timestamp_ms_ = std::max(NowMs(), metadata_.last_updated_ms());
    makes_snapshot_ = MakesSnapshot();
    if (makes_snapshot_) {
        do snapshot_id_ = NewSnapshotId();
        while (metadata_.Find(snapshot_id_) != nullptr);
        sequence_number_ = metadata_.last_sequence_number() + 1;
        IVY_RETURN_IF_ERROR(WriteManifests());
        IVY_RETURN_IF_ERROR(AssignRowIds());
        IVY_RETURN_IF_ERROR(WriteSnapshot());
    }
    gone_ = metadata_.ExpireSnapshots(change_.keep_snapshots);
    dropped_metadata_ = metadata_.PushMetadataLog(state_->metadata_location, state_->metadata.last_updated_ms());
    metadata_.SetLastUpdated(timestamp_ms_);
    IVY_ASSIGN_OR_RETURN(metadata_location_, WriteMetadata(io_, metadata_, state_->version + 1));
    return Status::Ok();
}

Status Committer::WriteManifests() {
    header_.format_version = metadata_.format_version();
    header_.schema_id = metadata_.schema().id;
    header_.partition_spec_id = metadata_.default_spec_id();
    IVY_ASSIGN_OR_RETURN(const Json schema, SchemaToJson(metadata_.schema()));
    IVY_ASSIGN_OR_RETURN(header_.schema_json, DumpJson(schema));
    manifest_prefix_ = metadata_.location() + "/metadata/" + NewFileId();

    kinds_[0].added = change_.added;
    if (change_.sort_fields) {
        for (DataFile& file : kinds_[0].added) {
            if (!file.sort_order_id) file.sort_order_id = metadata_.default_sort_order_id();
        }
    }
    kinds_[1].added = change_.deletion_vectors;
    kinds_[1].added.insert(kinds_[1].added.end(), change_.position_deletes.begin(), change_.position_deletes.end());
    for (Kind& kind : kinds_) {
        kind.added_homes.resize(kind.added.size());
        for (DataFile& file : kind.added) {
            file.partition_spec_id = header_.partition_spec_id;
            file.partition_json.clear();
            file.sequence_number = file.file_sequence_number = sequence_number_;
            file.snapshot_id = snapshot_id_;
            file.first_row_id.reset();
        }
    }
    IVY_RETURN_IF_ERROR(RewriteKind(false));
    return RewriteKind(true);
}

// The manifests of a kind that have to be, or had better be, rewritten.
std::unordered_set<uint64_t> Committer::Rewritten(bool deletes) const {
    const Kind& kind = kinds_[deletes];
    std::unordered_set<uint64_t> numbers;
    for (size_t i = 0; i < kind.removed.size(); i++) {
        if (kind.removed[i]) numbers.insert((*kind.homes)[i]);
    }
    std::vector<uint64_t> small;
    for (const LiveManifest& manifest : state_->manifests) {
        if (manifest.file.deletes != deletes) continue;
        // A table that was upgraded to version 3 has manifests without row ids: rewriting gives them some.
        const bool needs_row_ids = !deletes && metadata_.format_version() >= 3 && !manifest.file.first_row_id;
        if (!manifest.file.HasLiveFiles() || needs_row_ids)
            numbers.insert(manifest.number);
        else if (manifest.file.length < kManifestTarget && !numbers.contains(manifest.number))
            small.push_back(manifest.number);
    }
    if (small.size() > kMaxSmallManifests) numbers.insert(small.begin(), small.end());
    return numbers;
}

Status Committer::RewriteKind(bool deletes) {
    Kind& kind = kinds_[deletes];
    const std::unordered_set<uint64_t> numbers = Rewritten(deletes);
    rewritten_.insert(numbers.begin(), numbers.end());
    // Added files have indexes behind those of the state's files.
    std::vector<std::pair<EntryStatus, size_t>> old_entries, added_entries;
    for (size_t i = 0; i < kind.files->size(); i++) {
        if (!numbers.contains((*kind.homes)[i])) continue;
        old_entries.emplace_back(kind.removed[i] ? EntryStatus::kDeleted : EntryStatus::kExisting, i);
    }
    auto& added_to = deletes ? old_entries : added_entries;
    for (size_t i = 0; i < kind.added.size(); i++) added_to.emplace_back(EntryStatus::kAdded, kind.files->size() + i);
    IVY_RETURN_IF_ERROR(WriteEntries(deletes, old_entries));
    return WriteEntries(deletes, added_entries);
}

// Writes entries into new manifests, each about as large as the target at most.
Status Committer::WriteEntries(bool deletes, const std::vector<std::pair<EntryStatus, size_t>>& entries) {
    Kind& kind = kinds_[deletes];
    header_.deletes = deletes;
    std::optional<ManifestWriter> writer;
    for (const auto& [status, index] : entries) {
        if (writer && writer->size() >= static_cast<size_t>(kManifestTarget)) {
            IVY_RETURN_IF_ERROR(FinishManifest(&*writer));
            writer.reset();
        }
        if (!writer) {
            IVY_ASSIGN_OR_RETURN(writer, ManifestWriter::Make(header_, snapshot_id_, sequence_number_));
            new_manifests_.emplace_back().manifest.number = next_number_++;
        }
        const bool added = status == EntryStatus::kAdded;
        const size_t i = added ? index - kind.files->size() : index;
        IVY_RETURN_IF_ERROR(writer->Add(status, added ? kind.added[i] : (*kind.files)[i]));
        (added ? kind.added_homes : kind.new_homes)[i] = new_manifests_.back().manifest.number;
    }
    return writer ? FinishManifest(&*writer) : Status::Ok();
}

// Writes the last of new_manifests_.
Status Committer::FinishManifest(ManifestWriter* writer) {
    NewManifest& added = new_manifests_.back();
    added.inherited_rows = writer->inherited_rows();
    IVY_ASSIGN_OR_RETURN(auto finished, writer->Finish());
    added.manifest.file = std::move(finished.second);
    added.manifest.file.path = manifest_prefix_ + "-m" + std::to_string(new_manifests_.size() - 1) + ".avro";
    written_.push_back(added.manifest.file.path);
    return io_->WriteFile(added.manifest.file.path, finished.first, /*exclusive=*/false);
}

// Makes the list of manifests. In version 3, new data manifests get row ids, and through them files that have none.
Status Committer::AssignRowIds() {
    for (const LiveManifest& manifest : state_->manifests) {
        if (!rewritten_.contains(manifest.number)) manifests_.push_back(manifest);
    }
    next_row_id_ = metadata_.next_row_id();
    std::unordered_map<uint64_t, int64_t> next_in;
    for (NewManifest& added : new_manifests_) {
        if (metadata_.format_version() >= 3 && !added.manifest.file.deletes) {
            added.manifest.file.first_row_id = next_row_id_;
            next_in[added.manifest.number] = next_row_id_;
            if (__builtin_add_overflow(next_row_id_, added.inherited_rows, &next_row_id_)) {
                return Status::Corrupt("the Iceberg table has no row ids left");
            }
        }
        manifests_.push_back(added.manifest);
    }
    for (size_t i = 0; i < kinds_[0].added.size(); i++) {
        const auto next = next_in.find(kinds_[0].added_homes[i]);
        if (next == next_in.end()) continue;
        kinds_[0].added[i].first_row_id = next->second;
        next->second += kinds_[0].added[i].record_count;
    }
    return Status::Ok();
}

std::map<std::string, std::string> Committer::Summary() const {
    Totals added, removed, total;
    for (const Kind& kind : kinds_) {
        for (size_t i = 0; i < kind.files->size(); i++) (kind.removed[i] ? removed : total).Add((*kind.files)[i]);
        for (const DataFile& file : kind.added) {
            added.Add(file);
            total.Add(file);
        }
    }
    std::map<std::string, std::string> summary = change_.summary;
    std::string operation = change_.operation;
    const bool only_appends = removed.data_files == 0 && removed.delete_files() == 0 && added.delete_files() == 0;
    if (operation == "append" && !only_appends) operation = added.data_files > 0 ? "overwrite" : "delete";
    summary["operation"] = operation;
    const auto put_some = [&summary](const char* key, int64_t value) {
        if (value != 0) summary[key] = std::to_string(value);
    };
    put_some("added-data-files", added.data_files);
    put_some("deleted-data-files", removed.data_files);
    put_some("added-records", added.records);
    put_some("deleted-records", removed.records);
    put_some("added-files-size", added.size);
    put_some("removed-files-size", removed.size);
    put_some("added-delete-files", added.delete_files());
    put_some("removed-delete-files", removed.delete_files());
    put_some("added-dvs", added.vectors);
    put_some("removed-dvs", removed.vectors);
    put_some("added-position-delete-files", added.position_files);
    put_some("removed-position-delete-files", removed.position_files);
    put_some("removed-equality-delete-files", removed.equality_files);
    put_some("added-position-deletes", added.position_deletes);
    put_some("removed-position-deletes", removed.position_deletes);
    put_some("removed-equality-deletes", removed.equality_deletes);
    summary["total-data-files"] = std::to_string(total.data_files);
    summary["total-delete-files"] = std::to_string(total.delete_files());
    summary["total-records"] = std::to_string(total.records);
    summary["total-files-size"] = std::to_string(total.size);
    summary["total-position-deletes"] = std::to_string(total.position_deletes);
    summary["total-equality-deletes"] = std::to_string(total.equality_deletes);
    return summary;
}

Status Committer::WriteSnapshot() {
    TableSnapshot snapshot;
    snapshot.id = snapshot_id_;
    if (const TableSnapshot* parent = metadata_.current_snapshot()) snapshot.parent_id = parent->id;
    snapshot.sequence_number = sequence_number_;
    snapshot.timestamp_ms = timestamp_ms_;
    // The random id makes the name unique. Names are short, since pg_basebackup takes no path of more than 99 bytes.
    snapshot.manifest_list = metadata_.location() + "/metadata/snap-" + std::to_string(snapshot_id_) + ".avro";
    snapshot.summary = Summary();
    snapshot.schema_id = metadata_.schema().id;
    if (metadata_.format_version() >= 3) {
        snapshot.first_row_id = metadata_.next_row_id();
        snapshot.added_rows = next_row_id_ - metadata_.next_row_id();
    }

    const ManifestListHeader header{metadata_.format_version(), snapshot.id, snapshot.parent_id,
                                    snapshot.sequence_number, metadata_.next_row_id()};
    std::vector<ManifestFile> list;
    for (const LiveManifest& manifest : manifests_) list.push_back(manifest.file);
    IVY_ASSIGN_OR_RETURN(const Bytes content, WriteManifestList(header, list));
    written_.push_back(snapshot.manifest_list);
    IVY_RETURN_IF_ERROR(io_->WriteFile(snapshot.manifest_list, content, /*exclusive=*/false));
    metadata_.AddSnapshot(snapshot, next_row_id_);
    return Status::Ok();
}

// Everything is written: moves the state.
CommitResult Committer::Apply() {
    TableState& state = *state_;
    if (makes_snapshot_) {
        std::unordered_map<uint64_t, int64_t> next_in;  // row ids for old files that had none
        for (const NewManifest& added : new_manifests_) {
            if (added.manifest.file.first_row_id) next_in[added.manifest.number] = *added.manifest.file.first_row_id;
        }
        for (size_t i = 0; i < kinds_[0].removed.size(); i++) {
            const auto next = next_in.find(kinds_[0].new_homes[i]);
            if (kinds_[0].removed[i] || next == next_in.end() || state.data_files[i].first_row_id) continue;
            state.data_files[i].first_row_id = next->second;
            next->second += state.data_files[i].record_count;
        }

        std::vector<std::string> paths, removed_files;
        for (const LiveManifest& manifest : manifests_) paths.push_back(manifest.file.path);
        const std::pair<std::vector<DataFile>*, std::vector<uint64_t>*> targets[] = {
            {&state.data_files, &state.data_homes}, {&state.delete_files, &state.delete_homes}};
        for (size_t k = 0; k < 2; k++) {
            Kind& kind = kinds_[k];
            auto& [files, homes] = targets[k];
            size_t left = 0;
            for (size_t i = 0; i < kind.removed.size(); i++) {
                if (kind.removed[i]) {
                    removed_files.push_back((*files)[i].path);
                    continue;
                }
                if (left != i) (*files)[left] = std::move((*files)[i]);
                (*homes)[left++] = kind.new_homes[i];
            }
            files->resize(left);
            homes->resize(left);
            std::move(kind.added.begin(), kind.added.end(), std::back_inserter(*files));
            homes->insert(homes->end(), kind.added_homes.begin(), kind.added_homes.end());
        }
        state.manifests = std::move(manifests_);
        state.next_manifest_number = next_number_;
        state.history.Add(snapshot_id_, std::move(paths), std::move(removed_files));
    }
    state.metadata = std::move(metadata_);
    state.metadata_location = metadata_location_;
    state.version++;

    CommitResult result;
    result.metadata_location = metadata_location_;
    if (makes_snapshot_) result.snapshot_id = snapshot_id_;
    result.expired = state.history.Collect(io_, gone_, state.metadata, state.data_files, state.delete_files);
    for (const std::string& location : dropped_metadata_) {
        result.expired.push_back(location);
        const std::string published = PublishedName(location);
        if (published != location) result.expired.push_back(published);
    }
    return result;
}

}  // namespace

Result<CommitResult> CommitChange(FileIo* io, TableState* state, const Change& change) {
    return Committer(io, state, change).Run();
}

}  // namespace ivy::iceberg
