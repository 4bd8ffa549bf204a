// SPDX-License-Identifier: Apache-2.0
// Replaying actions, and what is checked once the last one is in.
#include "lake/delta_state.h"

#include <algorithm>
#include <charconv>

#include "lake/paths.h"

namespace ivy::lake {
namespace {

constexpr int64_t kMaxReaderVersion = 3;

// What a table may ask of its readers. Widened types need nothing more than casts from the file's types.
constexpr const char* kReaderFeatures[] = {
    "columnMapping", "deletionVectors",      "timestampNtz",        "v2Checkpoint",
    "typeWidening",  "typeWidening-preview", "vacuumProtocolCheck",
};

Status Bad(const std::string& what) { return Status::Corrupt("Delta log: " + what); }

Result<std::map<std::string, std::optional<std::string>>> PartitionValues(const Json& add) {
    std::map<std::string, std::optional<std::string>> values;
    IVY_ASSIGN_OR_RETURN(const Json* object, iceberg::OptionalObject(add, "partitionValues"));
    if (object == nullptr) return values;
    for (const auto& [name, value] : object->items()) {
        if (value.is_null())
            values[name] = std::nullopt;
        else if (value.is_string())
            values[name] = value.get_ref<const std::string&>();
        else
            return Bad("the value of partition column \"" + name + "\" is not a text");
    }
    return values;
}

// The file's statistics as a JSON text, also where a checkpoint has them as a struct only.
Result<std::string> Statistics(const Json& add) {
    IVY_ASSIGN_OR_RETURN(const auto text, iceberg::OptionalString(add, "stats"));
    if (text) return *text;
    IVY_ASSIGN_OR_RETURN(const Json* parsed, iceberg::OptionalObject(add, "stats_parsed"));
    return parsed ? iceberg::DumpJson(*parsed) : std::string();
}

}  // namespace

std::optional<int64_t> DeltaFile::Rows() const {
    constexpr std::string_view kKey = "\"numRecords\":";
    const size_t found = stats.find(kKey);  // a member of the object itself, which comes before those of its members
    if (found == std::string::npos) return std::nullopt;
    size_t at = found + kKey.size();
    while (at < stats.size() && stats[at] == ' ') at++;
    int64_t rows = 0;
    const auto [end, error] = std::from_chars(stats.data() + at, stats.data() + stats.size(), rows);
    return error == std::errc() && rows >= 0 ? std::optional(rows) : std::nullopt;
}

const std::vector<std::string>& DeltaState::CheckpointColumns() {
    static const std::vector<std::string> kColumns = {"add", "remove", "metaData", "protocol", "sidecar"};
    return kColumns;
}

Status DeltaState::Apply(const Json& action) {
    if (!action.is_object()) return Bad("an action is not an object");
    for (const auto& [kind, value] : action.items()) {
        if (value.is_null()) continue;
        if (kind == "add") {
            IVY_RETURN_IF_ERROR(Add(value));
        } else if (kind == "remove") {
            IVY_RETURN_IF_ERROR(Remove(value));
        } else if (kind == "metaData") {
            metadata_ = value;
        } else if (kind == "protocol") {
            protocol_ = value;
        } else if (kind == "sidecar") {
            IVY_ASSIGN_OR_RETURN(std::string path, iceberg::RequiredString(value, "path"));
            sidecars_.push_back(std::move(path));
        }
    }
    return Status::Ok();
}

Result<std::string> DeltaState::KeyOf(const Json& action, const std::string& path,
                                      std::optional<DeletionVectorRef>* vector) const {
    IVY_ASSIGN_OR_RETURN(const Json* json, iceberg::OptionalObject(action, "deletionVector"));
    if (json == nullptr) return path;
    IVY_ASSIGN_OR_RETURN(*vector, DeletionVectorRefFromJson(*json));
    return path + '\0' + (*vector)->UniqueId();
}

Status DeltaState::Add(const Json& add) {
    DeltaFile file;
    IVY_ASSIGN_OR_RETURN(const std::string path, iceberg::RequiredString(add, "path"));
    IVY_ASSIGN_OR_RETURN(file.path, ResolvePath(table_, PercentDecoded(path)));
    IVY_ASSIGN_OR_RETURN(file.size, iceberg::RequiredInt(add, "size"));
    if (file.size < 0) return Bad("file \"" + path + "\" has a negative size");
    IVY_ASSIGN_OR_RETURN(file.partition, PartitionValues(add));
    IVY_ASSIGN_OR_RETURN(file.stats, Statistics(add));
    IVY_ASSIGN_OR_RETURN(const std::string key, KeyOf(add, file.path, &file.deletion_vector));
    files_.insert_or_assign(key, std::move(file));
    return Status::Ok();
}

Status DeltaState::Remove(const Json& remove) {
    IVY_ASSIGN_OR_RETURN(const std::string text, iceberg::RequiredString(remove, "path"));
    IVY_ASSIGN_OR_RETURN(const std::string path, ResolvePath(table_, PercentDecoded(text)));
    std::optional<DeletionVectorRef> vector;
    IVY_ASSIGN_OR_RETURN(const std::string key, KeyOf(remove, path, &vector));
    files_.erase(key);
    return Status::Ok();
}

Status DeltaState::CheckProtocol() const {
    IVY_ASSIGN_OR_RETURN(const int64_t version, iceberg::RequiredInt(*protocol_, "minReaderVersion"));
    if (version > kMaxReaderVersion) {
        return Status::Make(sqlstate::kFeatureNotSupported,
                            "Delta table needs reader version " + std::to_string(version) + ", which is not supported");
    }
    IVY_ASSIGN_OR_RETURN(const Json* features, iceberg::OptionalArray(*protocol_, "readerFeatures"));
    if (version < 3 || features == nullptr) return Status::Ok();
    for (const Json& feature : *features) {
        if (!feature.is_string()) return Bad("a reader feature's name is not a text");
        const auto& name = feature.get_ref<const std::string&>();
        if (std::find(std::begin(kReaderFeatures), std::end(kReaderFeatures), name) == std::end(kReaderFeatures)) {
            return Status::Make(sqlstate::kFeatureNotSupported,
                                "Delta table needs reader feature \"" + name + "\", which is not supported");
        }
    }
    return Status::Ok();
}

Result<DeltaSnapshot> DeltaState::Finish(int64_t version) && {
    if (!protocol_) return Bad("version " + std::to_string(version) + " has no protocol");
    if (!metadata_) return Bad("version " + std::to_string(version) + " has no metadata");
    IVY_RETURN_IF_ERROR(CheckProtocol());
    IVY_ASSIGN_OR_RETURN(const Json* format, iceberg::OptionalObject(*metadata_, "format"));
    if (format != nullptr) {
        IVY_ASSIGN_OR_RETURN(const auto provider, iceberg::OptionalString(*format, "provider"));
        if (provider.value_or("parquet") != "parquet") {
            return Status::Make(sqlstate::kFeatureNotSupported,
                                "Delta table with files in format \"" + *provider + "\" is not supported");
        }
    }

    DeltaSnapshot snapshot;
    snapshot.table = table_;
    snapshot.version = version;
    // The property counts only where the protocol knows column mapping.
    IVY_ASSIGN_OR_RETURN(const auto properties, iceberg::StringMap(*metadata_, "configuration"));
    const auto mode = properties.find("delta.columnMapping.mode");
    IVY_ASSIGN_OR_RETURN(const int64_t reader, iceberg::RequiredInt(*protocol_, "minReaderVersion"));
    const std::string mapping = mode == properties.end() || reader < 2 ? "none" : mode->second;
    IVY_ASSIGN_OR_RETURN(const std::string schema, iceberg::RequiredString(*metadata_, "schemaString"));
    IVY_ASSIGN_OR_RETURN(snapshot.columns, ColumnsOfDelta(schema, mapping));
    snapshot.matching = mapping == "id" ? Matching::kByFieldId : Matching::kByPhysicalName;

    IVY_ASSIGN_OR_RETURN(const Json* partitions, iceberg::OptionalArray(*metadata_, "partitionColumns"));
    for (const Json& name : partitions ? *partitions : Json::array()) {
        const auto column = std::find_if(snapshot.columns.begin(), snapshot.columns.end(),
                                         [&name](const Column& c) { return name.is_string() && name == c.name; });
        if (column == snapshot.columns.end()) return Bad("a partition column is not in the schema");
        snapshot.partition_columns.push_back(static_cast<size_t>(column - snapshot.columns.begin()));
    }
    snapshot.files.reserve(files_.size());
    for (auto& [key, file] : files_) snapshot.files.push_back(std::move(file));
    std::sort(snapshot.files.begin(), snapshot.files.end(),
              [](const DeltaFile& a, const DeltaFile& b) { return a.path < b.path; });
    for (size_t i = 1; i < snapshot.files.size(); i++) {
        if (snapshot.files[i].path == snapshot.files[i - 1].path) {
            return Bad("file \"" + snapshot.files[i].path + "\" is twice in version " + std::to_string(version));
        }
    }
    return snapshot;
}

}  // namespace ivy::lake
