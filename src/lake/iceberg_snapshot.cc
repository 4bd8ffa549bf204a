// SPDX-License-Identifier: Apache-2.0
#include "lake/iceberg_snapshot.h"

#include <algorithm>

#include "lake/paths.h"

namespace ivy::lake {
namespace {

using iceberg::Content;
using iceberg::DataFile;
using iceberg::TableSnapshot;

constexpr int kDeletePathFieldId = 2147483546;  // the column file_path of position deletes

Status NoSnapshot(const std::string& table, const std::string& what) {
    return Status::Make(sqlstate::kInvalidParameter, "Iceberg table \"" + table + "\" has no " + what);
}

std::string PartitionKey(const DataFile& file) {
    return std::to_string(file.partition_spec_id) + ":" + file.partition_json;
}

// The data file that all rows of a position delete file name, if its metadata tell.
std::optional<std::string> OnlyDataFile(const DataFile& file) {
    if (file.referenced_data_file) return file.referenced_data_file;
    const auto lower = file.metrics.lower_bounds.find(kDeletePathFieldId);
    const auto upper = file.metrics.upper_bounds.find(kDeletePathFieldId);
    if (lower == file.metrics.lower_bounds.end() || upper == file.metrics.upper_bounds.end()) return std::nullopt;
    if (lower->second != upper->second) return std::nullopt;
    return lower->second;
}

}  // namespace

Result<IcebergSnapshot> IcebergSnapshot::Load(TableIo* io, const std::string& path, const IcebergOptions& options) {
    IVY_ASSIGN_OR_RETURN(IcebergLocation location, FindIcebergMetadata(io, path, options.version));
    IVY_ASSIGN_OR_RETURN(const IcebergSnapshot snapshot, LoadList(io, std::move(location), options));
    return snapshot.WithFiles(io, std::vector<bool>(snapshot.manifests().size(), true));
}

Result<IcebergSnapshot> IcebergSnapshot::LoadList(TableIo* io, IcebergLocation location,
                                                  const IcebergOptions& options) {
    const std::string file = location.metadata_file;
    IcebergSnapshot snapshot(std::move(location));
    snapshot.moved_ = options.allow_moved_paths;
    const auto load = [&]() -> Status {
        IVY_RETURN_IF_ERROR(snapshot.ChooseSnapshot(options));
        IVY_RETURN_IF_ERROR(snapshot.ReadColumns(snapshot.schema_id_.has_value()));
        return snapshot.ReadSpecs();
    };
    const Status loaded = load();
    if (!loaded.ok())
        return loaded.error().sqlstate == sqlstate::kDataCorrupted ? loaded.Prepend("\"" + file + "\"") : loaded;
    IVY_RETURN_IF_ERROR(snapshot.ReadManifestList(io));
    return snapshot;
}

Result<IcebergSnapshot> IcebergSnapshot::WithFiles(TableIo* io, const std::vector<bool>& wanted) const {
    IcebergSnapshot snapshot(*this);
    for (size_t i = 0; i < manifests_.size(); i++) {
        if (wanted[i]) IVY_RETURN_IF_ERROR(snapshot.ReadFiles(io, manifests_[i]));
    }
    IVY_RETURN_IF_ERROR(snapshot.IndexDeletes());
    return snapshot;
}

Status IcebergSnapshot::ChooseSnapshot(const IcebergOptions& options) {
    const iceberg::TableMetadata& table = metadata();
    const auto choose = [this, &table](int64_t id) -> Status {
        const TableSnapshot* found = table.Find(id);
        if (found == nullptr) return NoSnapshot(this->table(), "snapshot " + std::to_string(id));
        snapshot_ = id;
        schema_id_ = found->schema_id;
        return Status::Ok();
    };
    if (options.snapshot_id) return choose(*options.snapshot_id);
    if (options.timestamp_ms) {
        // The log says what was current when; a table of version 1 may have none.
        std::optional<int64_t> id, time;
        const auto consider = [&](int64_t candidate, int64_t since) {
            if (since > *options.timestamp_ms || (time && since < *time)) return;
            id = candidate;
            time = since;
        };
        IVY_ASSIGN_OR_RETURN(const Json* log, iceberg::OptionalArray(table.document(), "snapshot-log"));
        if (log != nullptr && !log->empty()) {
            for (const Json& entry : *log) {
                IVY_ASSIGN_OR_RETURN(const int64_t candidate, iceberg::RequiredInt(entry, "snapshot-id"));
                IVY_ASSIGN_OR_RETURN(const int64_t since, iceberg::RequiredInt(entry, "timestamp-ms"));
                consider(candidate, since);
            }
        } else {
            for (const TableSnapshot& candidate : table.snapshots()) consider(candidate.id, candidate.timestamp_ms);
        }
        if (!id) return NoSnapshot(this->table(), "snapshot as old as the requested timestamp");
        return choose(*id);
    }
    if (!options.ref.empty()) {
        IVY_ASSIGN_OR_RETURN(const Json* refs, iceberg::OptionalObject(table.document(), "refs"));
        const auto ref = refs ? refs->find(options.ref) : Json::const_iterator();
        if (refs != nullptr && ref != refs->end()) {
            IVY_ASSIGN_OR_RETURN(const int64_t id, iceberg::RequiredInt(*ref, "snapshot-id"));
            IVY_ASSIGN_OR_RETURN(const auto type, iceberg::OptionalString(*ref, "type"));
            IVY_RETURN_IF_ERROR(choose(id));
            if (type.value_or("branch") == "branch") schema_id_.reset();  // a branch is read with the table's schema
            return Status::Ok();
        }
        if (options.ref != "main") return NoSnapshot(this->table(), "branch or tag \"" + options.ref + "\"");
    }
    if (table.current_snapshot() != nullptr) snapshot_ = table.current_snapshot()->id;
    return Status::Ok();
}

Status IcebergSnapshot::ReadColumns(bool as_of_snapshot) {
    const iceberg::Schema* schema = &metadata().schema();
    if (as_of_snapshot) {
        const auto& schemas = metadata().schemas();
        const auto found =
            std::find_if(schemas.begin(), schemas.end(), [this](const auto& s) { return s.id == *schema_id_; });
        if (found == schemas.end()) return Status::Corrupt("a snapshot's schema is not among the schemas");
        schema = &*found;
    }
    IVY_ASSIGN_OR_RETURN(columns_, ColumnsOfIceberg(*schema));
    IVY_ASSIGN_OR_RETURN(const auto properties, iceberg::StringMap(metadata().document(), "properties"));
    const auto mapping = properties.find("schema.name-mapping.default");
    return mapping == properties.end() ? Status::Ok() : ApplyNameMapping(mapping->second, &columns_);
}

Status IcebergSnapshot::ReadSpecs() {
    const auto read = [](const Json& fields, std::vector<PartitionField>* spec) -> Status {
        int next_id = 1000;  // version 1 may leave the ids out
        for (const Json& json : fields) {
            PartitionField& field = spec->emplace_back();
            const auto sources = json.find("source-ids");
            const bool several = sources != json.end() && sources->is_array() && sources->size() == 1;
            IVY_ASSIGN_OR_RETURN(const auto source, iceberg::OptionalInt(json, "source-id"));
            if (source)
                field.source_id = static_cast<int>(*source);
            else if (several && (*sources)[0].is_number_integer())
                field.source_id = (*sources)[0].get<int>();
            IVY_ASSIGN_OR_RETURN(const auto id, iceberg::OptionalInt(json, "field-id"));
            field.field_id = static_cast<int>(id.value_or(next_id));
            next_id = field.field_id + 1;
            IVY_ASSIGN_OR_RETURN(const std::string transform, iceberg::RequiredString(json, "transform"));
            field.transform = ParseTransform(transform);
        }
        return Status::Ok();
    };
    IVY_ASSIGN_OR_RETURN(const Json* specs, iceberg::OptionalArray(metadata().document(), "partition-specs"));
    if (specs == nullptr) {
        IVY_ASSIGN_OR_RETURN(const Json* only, iceberg::OptionalArray(metadata().document(), "partition-spec"));
        return read(only ? *only : Json::array(), &specs_[0]);
    }
    for (const Json& spec : *specs) {
        IVY_ASSIGN_OR_RETURN(const int id, iceberg::RequiredInt32(spec, "spec-id"));
        IVY_ASSIGN_OR_RETURN(const Json* fields, iceberg::OptionalArray(spec, "fields"));
        if (fields != nullptr) IVY_RETURN_IF_ERROR(read(*fields, &specs_[id]));
    }
    return Status::Ok();
}

const std::vector<PartitionField>& IcebergSnapshot::spec(int id) const {
    static const std::vector<PartitionField> kNone;
    const auto found = specs_.find(id);
    return found == specs_.end() ? kNone : found->second;
}

Result<std::string> IcebergSnapshot::Resolve(const std::string& path) const {
    if (moved_) {
        const std::string old = NormalPath(metadata().location()), normal = NormalPath(path);
        if (normal.starts_with(old + "/")) return table() + normal.substr(old.size());
    }
    return ResolvePath(table(), path);
}

Status IcebergSnapshot::ReadManifestList(TableIo* io) {
    if (snapshot() == nullptr) return Status::Ok();
    if (!snapshot()->manifest_list.empty()) {
        IVY_ASSIGN_OR_RETURN(const std::string path, Resolve(snapshot()->manifest_list));
        IVY_ASSIGN_OR_RETURN(const Bytes content, io->ReadFile(path));
        Result<std::vector<iceberg::ManifestFile>> list = iceberg::ReadManifestList(content);
        if (!list.ok()) return list.status().Prepend("\"" + path + "\"");
        manifests_ = std::move(*list);
    }
    for (const std::string& path : snapshot()->manifests) manifests_.emplace_back().path = path;
    std::erase_if(manifests_, [](const iceberg::ManifestFile& manifest) { return !manifest.HasLiveFiles(); });
    return Status::Ok();
}

Status IcebergSnapshot::ReadFiles(TableIo* io, const iceberg::ManifestFile& manifest) {
    IVY_ASSIGN_OR_RETURN(const std::string path, Resolve(manifest.path));
    IVY_ASSIGN_OR_RETURN(const Bytes content, io->ReadFile(path));
    Result<std::vector<iceberg::ManifestEntry>> entries = iceberg::ReadManifest(content, manifest);
    if (!entries.ok()) return entries.status().Prepend("\"" + path + "\"");
    for (iceberg::ManifestEntry& entry : *entries) {
        if (entry.status == iceberg::EntryStatus::kDeleted) continue;
        IcebergEntry& added = (manifest.deletes ? deletes_ : data_).emplace_back();
        added.file = std::move(entry.file);
        added.manifest = path;
        added.manifest_sequence_number = manifest.sequence_number;
        added.status = entry.status;
        if (!specs_.contains(added.file.partition_spec_id)) {
            return Status::Corrupt("\"" + path + "\" has a partition spec that the table does not have");
        }
        IVY_ASSIGN_OR_RETURN(added.file.path, Resolve(added.file.path));
        if (!added.file.referenced_data_file) continue;
        IVY_ASSIGN_OR_RETURN(added.file.referenced_data_file, Resolve(*added.file.referenced_data_file));
    }
    return Status::Ok();
}

Status IcebergSnapshot::IndexDeletes() {
    for (size_t i = 0; i < deletes_.size(); i++) {
        const DataFile& file = deletes_[i].file;
        if (file.format == "PUFFIN") {
            if (!file.referenced_data_file || !file.content_offset || !file.content_size) {
                return Status::Corrupt("a deletion vector in \"" + file.path +
                                       "\" lacks its data file, offset or size");
            }
            if (!vectors_.emplace(*file.referenced_data_file, i).second) {
                return Status::Corrupt("data file \"" + *file.referenced_data_file + "\" has two deletion vectors");
            }
        } else if (file.content == Content::kEqualityDeletes) {
            if (file.equality_ids.empty()) {
                return Status::Corrupt("equality delete file \"" + file.path + "\" names no columns");
            }
            if (spec(file.partition_spec_id).empty())
                everywhere_.push_back(i);
            else
                by_partition_[PartitionKey(file)].push_back(i);
        } else if (const auto only = OnlyDataFile(file)) {
            IVY_ASSIGN_OR_RETURN(const std::string path, Resolve(*only));
            by_path_[path].push_back(i);
        } else {
            by_partition_[PartitionKey(file)].push_back(i);
        }
    }
    return Status::Ok();
}

AppliedDeletes IcebergSnapshot::DeletesOf(const DataFile& file) const {
    AppliedDeletes applied;
    if (const auto vector = vectors_.find(file.path); vector != vectors_.end()) {
        if (deletes_[vector->second].file.sequence_number >= file.sequence_number) applied.vector = vector->second;
    }
    const auto consider = [&](const std::vector<size_t>& candidates) {
        for (const size_t i : candidates) {
            const DataFile& deletes = deletes_[i].file;
            if (deletes.content == Content::kEqualityDeletes) {
                if (deletes.sequence_number > file.sequence_number) applied.equalities.push_back(i);
            } else if (!applied.vector && deletes.sequence_number >= file.sequence_number) {
                applied.positions.push_back(i);
            }
        }
    };
    consider(everywhere_);
    if (const auto found = by_partition_.find(PartitionKey(file)); found != by_partition_.end())
        consider(found->second);
    if (const auto found = by_path_.find(file.path); found != by_path_.end()) consider(found->second);
    return applied;
}

}  // namespace ivy::lake
