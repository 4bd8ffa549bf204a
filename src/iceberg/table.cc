// SPDX-License-Identifier: Apache-2.0
//
// Creating, loading and publishing tables. Commits are in commit.cc.
#include "iceberg/table.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdio>
#include <numeric>
#include <unordered_set>

#include "iceberg/table_state.h"

namespace ivy::iceberg {
namespace {

bool IsAbsolute(const std::string& path) {
    return path.starts_with('/') || path.find("://") != std::string::npos || path.starts_with("file:/");
}

// Replaces counts that version 1 may leave out by those of the entries.
void FillCounts(const std::vector<ManifestEntry>& entries, ManifestFile* manifest) {
    if (manifest->added_files && manifest->existing_files && manifest->deleted_files && manifest->added_rows &&
        manifest->existing_rows && manifest->deleted_rows) {
        return;
    }
    int64_t files[3] = {}, rows[3] = {};
    for (const ManifestEntry& entry : entries) {
        files[static_cast<int>(entry.status)]++;
        rows[static_cast<int>(entry.status)] += entry.file.record_count;
    }
    manifest->existing_files = files[0], manifest->existing_rows = rows[0];
    manifest->added_files = files[1], manifest->added_rows = rows[1];
    manifest->deleted_files = files[2], manifest->deleted_rows = rows[2];
}

// Puts files into the order in which they were added; files of one commit stay in manifest order.
void SortByAge(std::vector<DataFile>* files, std::vector<uint64_t>* homes) {
    std::vector<size_t> order(files->size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [files](size_t a, size_t b) {
        return (*files)[a].file_sequence_number < (*files)[b].file_sequence_number;
    });
    std::vector<DataFile> sorted_files;
    std::vector<uint64_t> sorted_homes;
    for (const size_t i : order) {
        sorted_files.push_back(std::move((*files)[i]));
        sorted_homes.push_back((*homes)[i]);
    }
    *files = std::move(sorted_files);
    *homes = std::move(sorted_homes);
}

// Refuses what would make a scan's result undefined.
Status CheckFiles(const TableState& state) {
    std::unordered_set<std::string> paths, vectors;
    for (const DataFile& file : state.data_files) {
        if (!paths.insert(file.path).second)
            return Status::Corrupt("data file \"" + file.path + "\" is twice in one Iceberg snapshot");
    }
    for (const DataFile& file : state.delete_files) {
        if (file.format != "PUFFIN") continue;
        if (!file.referenced_data_file || !file.content_offset || !file.content_size) {
            return Status::Corrupt("a deletion vector in \"" + file.path + "\" lacks its data file, offset or size");
        }
        if (!vectors.insert(*file.referenced_data_file).second) {
            return Status::Corrupt("data file \"" + *file.referenced_data_file + "\" has two deletion vectors");
        }
    }
    return Status::Ok();
}

Status LoadFiles(FileIo* io, TableState* state) {
    const TableSnapshot* snapshot = state->metadata.current_snapshot();
    if (snapshot == nullptr) return Status::Ok();
    std::vector<ManifestFile> manifests;
    if (!snapshot->manifest_list.empty()) {
        IVY_ASSIGN_OR_RETURN(const Bytes content, io->ReadFile(snapshot->manifest_list));
        Result<std::vector<ManifestFile>> list = ReadManifestList(content);
        if (!list.ok()) return list.status().Prepend("\"" + snapshot->manifest_list + "\"");
        manifests = std::move(*list);
    }
    for (const std::string& path : snapshot->manifests) manifests.emplace_back().path = path;

    for (ManifestFile& manifest : manifests) {
        const uint64_t number = state->next_manifest_number++;
        if (manifest.HasLiveFiles()) {
            IVY_ASSIGN_OR_RETURN(const Bytes content, io->ReadFile(manifest.path));
            Result<std::vector<ManifestEntry>> entries = ReadManifest(content, manifest);
            if (!entries.ok()) return entries.status().Prepend("\"" + manifest.path + "\"");
            if (manifest.length == 0) manifest.length = static_cast<int64_t>(content.size());
            FillCounts(*entries, &manifest);
            for (ManifestEntry& entry : *entries) {
                if (entry.status == EntryStatus::kDeleted) continue;
                (manifest.deletes ? state->delete_files : state->data_files).push_back(std::move(entry.file));
                (manifest.deletes ? state->delete_homes : state->data_homes).push_back(number);
            }
        }
        state->manifests.push_back({number, std::move(manifest)});
    }
    SortByAge(&state->data_files, &state->data_homes);
    SortByAge(&state->delete_files, &state->delete_homes);
    return CheckFiles(*state);
}

class TableImpl : public Table {
  public:
    TableImpl(FileIo* io, TableState state) : io_(io), state_(std::move(state)) {}

    const std::string& metadata_location() const override { return state_.metadata_location; }
    const std::string& location() const override { return state_.metadata.location(); }
    const std::string& uuid() const override { return state_.metadata.uuid(); }
    int format_version() const override { return state_.metadata.format_version(); }
    const Schema& schema() const override { return state_.metadata.schema(); }
    const Schema& first_schema() const override { return state_.metadata.schemas().front(); }
    std::vector<int> sort_fields() const override { return state_.metadata.SortFields(); }
    std::optional<int64_t> current_snapshot_id() const override {
        const TableSnapshot* snapshot = state_.metadata.current_snapshot();
        return snapshot ? std::optional(snapshot->id) : std::nullopt;
    }
    const std::map<std::string, std::string>& snapshot_summary() const override {
        static const std::map<std::string, std::string> kNone;
        const TableSnapshot* snapshot = state_.metadata.current_snapshot();
        return snapshot ? snapshot->summary : kNone;
    }
    const std::vector<DataFile>& data_files() const override { return state_.data_files; }
    const std::vector<DataFile>& delete_files() const override { return state_.delete_files; }

    Result<CommitResult> Commit(const Change& change) override { return CommitChange(io_, &state_, change); }

    Result<std::set<std::string>> ReferencedFiles() const override {
        std::set<std::string> files;
        const auto add_metadata = [&files](const std::string& path) {
            files.insert(path);
            files.insert(PublishedName(path));
        };
        add_metadata(state_.metadata_location);
        for (const std::string& path : state_.metadata.OtherFiles()) add_metadata(path);
        for (const TableSnapshot& snapshot : state_.metadata.snapshots()) {
            std::vector<ManifestFile> manifests;
            if (!snapshot.manifest_list.empty()) {
                files.insert(snapshot.manifest_list);
                IVY_ASSIGN_OR_RETURN(const Bytes list, io_->ReadFile(snapshot.manifest_list));
                IVY_ASSIGN_OR_RETURN(manifests, ReadManifestList(list));
            }
            for (const std::string& path : snapshot.manifests) manifests.emplace_back().path = path;
            for (const ManifestFile& manifest : manifests) {
                if (!files.insert(manifest.path).second) continue;
                IVY_ASSIGN_OR_RETURN(const Bytes content, io_->ReadFile(manifest.path));
                IVY_ASSIGN_OR_RETURN(const std::vector<ManifestEntry> entries, ReadManifest(content, manifest));
                for (const ManifestEntry& entry : entries) files.insert(entry.file.path);
            }
        }
        return files;
    }

    Status Publish() override {
        const std::string& from = state_.metadata_location;
        const std::string copy = PublishedName(from), version = std::to_string(state_.version);
        const std::string folder = from.substr(0, from.find_last_of('/') + 1);
        if (copy != from) {
            IVY_ASSIGN_OR_RETURN(const Bytes content, io_->ReadFile(from));
            IVY_RETURN_IF_ERROR(io_->WriteFile(copy, content, /*exclusive=*/false));
        }
        return io_->WriteFile(folder + "version-hint.text", Bytes(version.begin(), version.end()), /*exclusive=*/false);
    }

  private:
    FileIo* io_;
    TableState state_;
};

}  // namespace

int64_t VersionOf(const std::string& location) {
    size_t at = location.find_last_of('/') + 1;  // 0 if there is no slash
    if (at < location.size() && location[at] == 'v') at++;
    int64_t version = 0;
    size_t digits = 0;
    for (; at < location.size() && std::isdigit(static_cast<unsigned char>(location[at])) && digits < 15;
         at++, digits++) {
        version = 10 * version + (location[at] - '0');
    }
    const bool ends_well = at < location.size() && (location[at] == '-' || location[at] == '.');
    return digits > 0 && ends_well ? version : 0;
}

std::string PublishedName(const std::string& location) {
    const char* suffix = location.ends_with(".gz.metadata.json") ? ".gz.metadata.json" : ".metadata.json";
    return location.substr(0, location.find_last_of('/') + 1) + "v" + std::to_string(VersionOf(location)) + suffix;
}

int64_t NowMs() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

Result<std::string> WriteMetadata(FileIo* io, const TableMetadata& metadata, int64_t version) {
    IVY_ASSIGN_OR_RETURN(const Bytes content, metadata.Serialize());
    char number[24];
    std::snprintf(number, sizeof number, "%05lld", static_cast<long long>(version));
    const std::string location = metadata.location() + "/metadata/" + number + "-" + NewFileId() + ".metadata.json";
    IVY_RETURN_IF_ERROR(io->WriteFile(location, content, /*exclusive=*/false));
    return location;
}

Result<std::unique_ptr<Table>> Table::Create(FileIo* io, const std::string& location, const Schema& schema,
                                             int format_version, const std::map<std::string, std::string>& properties) {
    std::string folder = location;
    while (folder.size() > 1 && folder.ends_with('/')) folder.pop_back();
    if (!IsAbsolute(folder))
        return Status::Make(sqlstate::kInvalidParameter, "table location \"" + location + "\" is not absolute");
    IVY_ASSIGN_OR_RETURN(TableMetadata metadata, TableMetadata::New(folder, schema, format_version, properties));
    metadata.SetLastUpdated(NowMs());
    TableState state{.metadata = std::move(metadata), .version = 1};
    IVY_ASSIGN_OR_RETURN(state.metadata_location, WriteMetadata(io, state.metadata, state.version));
    return std::unique_ptr<Table>(std::make_unique<TableImpl>(io, std::move(state)));
}

Result<std::unique_ptr<Table>> Table::Load(FileIo* io, const std::string& metadata_location) {
    IVY_ASSIGN_OR_RETURN(const Bytes content, io->ReadFile(metadata_location));
    Result<TableMetadata> metadata = TableMetadata::Parse(content);
    if (!metadata.ok()) return metadata.status().Prepend("\"" + metadata_location + "\"");
    TableState state{.metadata = std::move(*metadata),
                     .metadata_location = metadata_location,
                     .version = VersionOf(metadata_location)};
    IVY_RETURN_IF_ERROR(LoadFiles(io, &state));
    return std::unique_ptr<Table>(std::make_unique<TableImpl>(io, std::move(state)));
}

}  // namespace ivy::iceberg
