// SPDX-License-Identifier: Apache-2.0
#include "iceberg/metadata.h"

#include <zlib.h>
#include <cstdio>

#include <algorithm>
#include <random>
#include <set>

namespace ivy::iceberg {
namespace {

constexpr size_t kMetadataLogLength = 100;
constexpr size_t kMaxMetadataSize = 1ull << 30;  // bytes, decompressed
constexpr int kFirstPartitionFieldId = 1000;

Status Bad(const std::string& what) { return Status::Corrupt("Iceberg table metadata: " + what); }

Result<std::string> Gunzip(const Bytes& content) {
    z_stream stream{};
    if (inflateInit2(&stream, MAX_WBITS + 16) != Z_OK)
        return Status::Make(sqlstate::kOutOfMemory, "could not start decompression");
    stream.next_in = const_cast<Bytef*>(content.data());
    stream.avail_in = static_cast<uInt>(std::min<size_t>(content.size(), UINT32_MAX));
    std::string out;
    int result = Z_OK;
    while (result == Z_OK && out.size() < kMaxMetadataSize) {
        const size_t before = out.size();
        out.resize(before + std::max<size_t>(64 * 1024, before));
        stream.next_out = reinterpret_cast<Bytef*>(out.data()) + before;
        stream.avail_out = static_cast<uInt>(out.size() - before);
        result = inflate(&stream, Z_NO_FLUSH);
        out.resize(out.size() - stream.avail_out);
    }
    inflateEnd(&stream);
    if (result != Z_STREAM_END) return Bad("the gzip data is damaged or too large");
    return out;
}

Result<TableSnapshot> SnapshotFromJson(const Json& json) {
    TableSnapshot snapshot;
    IVY_ASSIGN_OR_RETURN(snapshot.id, RequiredInt(json, "snapshot-id"));
    IVY_ASSIGN_OR_RETURN(snapshot.parent_id, OptionalInt(json, "parent-snapshot-id"));
    IVY_ASSIGN_OR_RETURN(const auto sequence, OptionalInt(json, "sequence-number"));
    snapshot.sequence_number = sequence.value_or(0);
    IVY_ASSIGN_OR_RETURN(snapshot.timestamp_ms, RequiredInt(json, "timestamp-ms"));
    IVY_ASSIGN_OR_RETURN(const auto list, OptionalString(json, "manifest-list"));
    snapshot.manifest_list = list.value_or("");
    IVY_ASSIGN_OR_RETURN(const Json* manifests, OptionalArray(json, "manifests"));
    if (snapshot.manifest_list.empty() && manifests == nullptr) return Bad("a snapshot has no manifest list");
    if (snapshot.manifest_list.empty()) {
        for (const Json& manifest : *manifests) {
            if (!manifest.is_string()) return Bad("a manifest's location is not a string");
            snapshot.manifests.push_back(manifest.get<std::string>());
        }
    }
    IVY_ASSIGN_OR_RETURN(snapshot.summary, StringMap(json, "summary"));
    IVY_ASSIGN_OR_RETURN(const auto schema_id, OptionalInt(json, "schema-id"));
    if (schema_id) snapshot.schema_id = static_cast<int>(*schema_id);
    IVY_ASSIGN_OR_RETURN(snapshot.first_row_id, OptionalInt(json, "first-row-id"));
    IVY_ASSIGN_OR_RETURN(snapshot.added_rows, OptionalInt(json, "added-rows"));
    return snapshot;
}

Json SnapshotToJson(const TableSnapshot& snapshot) {
    Json json = {
        {"snapshot-id", snapshot.id},
        {"sequence-number", snapshot.sequence_number},
        {"timestamp-ms", snapshot.timestamp_ms},
        {"manifest-list", snapshot.manifest_list},
        {"summary", snapshot.summary},
    };
    if (snapshot.parent_id) json["parent-snapshot-id"] = *snapshot.parent_id;
    if (snapshot.schema_id) json["schema-id"] = *snapshot.schema_id;
    if (snapshot.first_row_id) json["first-row-id"] = *snapshot.first_row_id;
    if (snapshot.added_rows) json["added-rows"] = *snapshot.added_rows;
    return json;
}

// An optional array, as something to iterate over.
const Json& Items(const Json* array) {
    static const Json kEmpty = Json::array();
    return array ? *array : kEmpty;
}

// The snapshot id of an object in one of the metadata's lists, or 0.
int64_t SnapshotIdOf(const Json& object) {
    const Result<std::optional<int64_t>> id = OptionalInt(object, "snapshot-id");
    return id.ok() ? id->value_or(0) : 0;
}

}  // namespace

Result<TableMetadata> TableMetadata::New(const std::string& location, const Schema& schema, int format_version,
                                         const std::map<std::string, std::string>& properties) {
    if (format_version != 2 && format_version != 3) {
        return Status::Make(sqlstate::kFeatureNotSupported,
                            "Iceberg format version " + std::to_string(format_version) + " cannot be written");
    }
    IVY_RETURN_IF_ERROR(CheckSchema(schema, format_version));
    TableMetadata metadata;
    metadata.format_version_ = format_version;
    metadata.uuid_ = NewUuid();
    metadata.location_ = location;
    metadata.last_column_id_ = LargestFieldId(schema);
    metadata.schemas_ = {schema};
    metadata.schemas_[0].id = 0;
    IVY_ASSIGN_OR_RETURN(Json schema_json, SchemaToJson(metadata.schemas_[0]));
    metadata.document_ = {
        {"format-version", format_version},
        {"table-uuid", metadata.uuid_},
        {"location", location},
        {"last-sequence-number", 0},
        {"last-updated-ms", 0},
        {"last-column-id", metadata.last_column_id_},
        {"schemas", Json::array({std::move(schema_json)})},
        {"current-schema-id", 0},
        {"partition-specs", Json::array({Json{{"spec-id", 0}, {"fields", Json::array()}}})},
        {"default-spec-id", 0},
        {"last-partition-id", kFirstPartitionFieldId - 1},
        {"sort-orders", Json::array({Json{{"order-id", 0}, {"fields", Json::array()}}})},
        {"default-sort-order-id", 0},
        {"properties", properties},
        {"snapshots", Json::array()},
        {"snapshot-log", Json::array()},
        {"metadata-log", Json::array()},
        {"refs", Json::object()},
    };
    if (format_version >= 3) metadata.document_["next-row-id"] = 0;
    return metadata;
}

Result<TableMetadata> TableMetadata::Parse(const Bytes& content) {
    std::string inflated;
    std::string_view text(reinterpret_cast<const char*>(content.data()), content.size());
    if (content.size() >= 2 && content[0] == 0x1f && content[1] == 0x8b) {
        IVY_ASSIGN_OR_RETURN(inflated, Gunzip(content));
        text = inflated;
    }
    TableMetadata metadata;
    IVY_ASSIGN_OR_RETURN(metadata.document_, ParseJson(text, "Iceberg table metadata"));
    const Json& document = metadata.document_;
    if (!document.is_object()) return Bad("not an object");
    IVY_ASSIGN_OR_RETURN(metadata.format_version_, RequiredInt32(document, "format-version"));
    if (metadata.format_version_ < 1 || metadata.format_version_ > 3) {
        return Status::Make(sqlstate::kFeatureNotSupported,
                            "Iceberg format version " + std::to_string(metadata.format_version_) + " is not supported");
    }
    const bool v2 = metadata.format_version_ >= 2;
    IVY_ASSIGN_OR_RETURN(const auto uuid, OptionalString(document, "table-uuid"));
    if (v2 && !uuid) return Bad("table-uuid is missing");
    metadata.uuid_ = uuid.value_or("");
    IVY_ASSIGN_OR_RETURN(metadata.location_, RequiredString(document, "location"));
    while (metadata.location_.size() > 1 && metadata.location_.ends_with('/')) metadata.location_.pop_back();
    IVY_ASSIGN_OR_RETURN(const auto sequence, OptionalInt(document, "last-sequence-number"));
    if (v2 && !sequence) return Bad("last-sequence-number is missing");
    metadata.last_sequence_number_ = sequence.value_or(0);
    IVY_ASSIGN_OR_RETURN(const auto updated, OptionalInt(document, "last-updated-ms"));
    metadata.last_updated_ms_ = updated.value_or(0);
    IVY_ASSIGN_OR_RETURN(const auto next_row_id, OptionalInt(document, "next-row-id"));
    if (metadata.format_version_ >= 3 && !next_row_id) return Bad("next-row-id is missing");
    metadata.next_row_id_ = next_row_id.value_or(0);
    IVY_RETURN_IF_ERROR(StringMap(document, "properties").status());
    IVY_RETURN_IF_ERROR(metadata.ParseSchemas());
    IVY_RETURN_IF_ERROR(metadata.ParseSpecs());
    IVY_RETURN_IF_ERROR(metadata.ParseSortOrders());
    IVY_RETURN_IF_ERROR(metadata.ParseSnapshots());
    return metadata;
}

Status TableMetadata::ParseSchemas() {
    IVY_ASSIGN_OR_RETURN(const auto last_column_id, OptionalInt(document_, "last-column-id"));
    IVY_ASSIGN_OR_RETURN(const Json* schemas, OptionalArray(document_, "schemas"));
    if (schemas != nullptr) {
        for (const Json& json : *schemas) {
            IVY_ASSIGN_OR_RETURN(Schema schema, SchemaFromJson(json));
            schemas_.push_back(std::move(schema));
        }
        IVY_ASSIGN_OR_RETURN(const int current, RequiredInt32(document_, "current-schema-id"));
        const auto found =
            std::find_if(schemas_.begin(), schemas_.end(), [current](const Schema& s) { return s.id == current; });
        if (found == schemas_.end()) return Bad("the current schema is not among the schemas");
        current_schema_ = static_cast<size_t>(found - schemas_.begin());
    } else {
        IVY_ASSIGN_OR_RETURN(const Json* only, OptionalObject(document_, "schema"));  // version 1
        if (only == nullptr || format_version_ > 1) return Bad("schemas are missing");
        IVY_ASSIGN_OR_RETURN(Schema schema, SchemaFromJson(*only));
        schemas_.push_back(std::move(schema));
    }
    int largest = 0;
    for (const Schema& schema : schemas_) largest = std::max(largest, LargestFieldId(schema));
    last_column_id_ = static_cast<int>(std::max<int64_t>(largest, last_column_id.value_or(0)));
    return Status::Ok();
}

Status TableMetadata::ParseSpecs() {
    IVY_ASSIGN_OR_RETURN(const Json* specs, OptionalArray(document_, "partition-specs"));
    if (specs == nullptr && format_version_ >= 2) return Bad("partition-specs are missing");
    for (const Json& spec : Items(specs)) {
        IVY_ASSIGN_OR_RETURN(const Json* fields, OptionalArray(spec, "fields"));
        partitioned_ = partitioned_ || (fields != nullptr && !fields->empty());
    }
    IVY_ASSIGN_OR_RETURN(const Json* old_fields, OptionalArray(document_, "partition-spec"));  // version 1
    if (specs == nullptr) partitioned_ = old_fields != nullptr && !old_fields->empty();
    IVY_ASSIGN_OR_RETURN(const auto default_spec_id, OptionalInt(document_, "default-spec-id"));
    default_spec_id_ = static_cast<int>(default_spec_id.value_or(0));
    return Status::Ok();
}

// What the orders say is left to SortFields: a table may have others than ours.
Status TableMetadata::ParseSortOrders() {
    IVY_ASSIGN_OR_RETURN(const Json* orders, OptionalArray(document_, "sort-orders"));
    for (const Json& order : Items(orders)) IVY_RETURN_IF_ERROR(RequiredInt32(order, "order-id").status());
    IVY_ASSIGN_OR_RETURN(const auto id, OptionalInt(document_, "default-sort-order-id"));
    default_sort_order_id_ = static_cast<int>(id.value_or(0));
    return Status::Ok();
}

Status TableMetadata::ParseSnapshots() {
    IVY_ASSIGN_OR_RETURN(const Json* snapshots, OptionalArray(document_, "snapshots"));
    std::set<int64_t> ids;
    for (const Json& json : Items(snapshots)) {
        IVY_ASSIGN_OR_RETURN(TableSnapshot snapshot, SnapshotFromJson(json));
        if (!ids.insert(snapshot.id).second) return Bad("two snapshots have one id");
        snapshots_.push_back(std::move(snapshot));
    }
    IVY_ASSIGN_OR_RETURN(current_snapshot_id_, OptionalInt(document_, "current-snapshot-id"));
    if (current_snapshot_id_ == -1) current_snapshot_id_.reset();  // how Java's versions 1 and 2 write "none"
    if (current_snapshot_id_ && !ids.contains(*current_snapshot_id_))
        return Bad("the current snapshot is not among the snapshots");

    IVY_ASSIGN_OR_RETURN(const Json* refs, OptionalObject(document_, "refs"));
    const auto main = refs ? refs->find("main") : Json::const_iterator();
    if (refs != nullptr && main != refs->end()) {
        IVY_ASSIGN_OR_RETURN(const int64_t id, RequiredInt(*main, "snapshot-id"));
        if (id != current_snapshot_id_) return Bad("branch main is not the current snapshot");
    }
    // The lists that are edited later, so that a commit need not check them.
    for (const char* list : {"snapshot-log", "metadata-log", "statistics", "partition-statistics"}) {
        IVY_RETURN_IF_ERROR(OptionalArray(document_, list).status());
    }
    return Status::Ok();
}

Result<Bytes> TableMetadata::Serialize() const {
    IVY_ASSIGN_OR_RETURN(const std::string text, DumpJson(document_));
    return Bytes(text.begin(), text.end());
}

const TableSnapshot* TableMetadata::Find(int64_t snapshot_id) const {
    for (const TableSnapshot& snapshot : snapshots_) {
        if (snapshot.id == snapshot_id) return &snapshot;
    }
    return nullptr;
}

Status TableMetadata::SetSchema(const Schema& schema) {
    IVY_RETURN_IF_ERROR(CheckSchema(schema, format_version_));
    int next_id = 0;
    for (size_t i = 0; i < schemas_.size(); i++) {
        if (schemas_[i].SameFields(schema)) {
            current_schema_ = i;
            document_["current-schema-id"] = schemas_[i].id;
            return Status::Ok();
        }
        next_id = std::max(next_id, schemas_[i].id + 1);
    }
    Schema added = schema;
    added.id = next_id;
    IVY_ASSIGN_OR_RETURN(Json json, SchemaToJson(added));
    document_["schemas"].push_back(std::move(json));
    document_["current-schema-id"] = next_id;
    last_column_id_ = std::max(last_column_id_, LargestFieldId(added));
    document_["last-column-id"] = last_column_id_;
    schemas_.push_back(std::move(added));
    current_schema_ = schemas_.size() - 1;
    return Status::Ok();
}

Status TableMetadata::SetSortOrder(const std::vector<int>& fields) {
    Json list = Json::array();
    for (const int id : fields) {
        const auto& columns = schema().fields;
        if (std::none_of(columns.begin(), columns.end(), [id](const Field& field) { return field.id == id; })) {
            return Status::Make(sqlstate::kInvalidParameter,
                                "a sort order needs a field that the schema does not have");
        }
        list.push_back(
            {{"transform", "identity"}, {"source-id", id}, {"direction", "asc"}, {"null-order", "nulls-last"}});
    }
    Json& orders = document_["sort-orders"];
    if (!orders.is_array()) orders = Json::array();
    int id = 0;  // the specification's id for no order
    if (!fields.empty()) {
        for (const Json& order : orders) {
            const int known = order.value("order-id", 0);
            if (order.value("fields", Json()) == list && known > 0) {
                default_sort_order_id_ = known;
                document_["default-sort-order-id"] = known;
                return Status::Ok();
            }
            id = std::max(id, known);
        }
        id++;
        orders.push_back({{"order-id", id}, {"fields", std::move(list)}});
    }
    default_sort_order_id_ = id;
    document_["default-sort-order-id"] = id;
    return Status::Ok();
}

std::vector<int> TableMetadata::SortFields() const {
    std::vector<int> fields;
    if (default_sort_order_id_ == 0) return fields;
    for (const Json& order : document_.value("sort-orders", Json::array())) {
        if (order.value("order-id", 0) != default_sort_order_id_) continue;
        for (const Json& field : order.value("fields", Json::array())) fields.push_back(field.value("source-id", 0));
    }
    return fields;
}

void TableMetadata::SetProperties(const std::map<std::string, std::string>& properties) {
    Json& target = document_["properties"];
    if (!target.is_object()) target = Json::object();
    for (const auto& [key, value] : properties) target[key] = value;
}

void TableMetadata::AddSnapshot(const TableSnapshot& snapshot, int64_t next_row_id) {
    Json& list = document_["snapshots"];
    if (!list.is_array()) list = Json::array();
    list.push_back(SnapshotToJson(snapshot));
    snapshots_.push_back(snapshot);

    current_snapshot_id_ = snapshot.id;
    document_["current-snapshot-id"] = snapshot.id;
    Json& refs = document_["refs"];
    if (!refs.is_object()) refs = Json::object();
    Json& main = refs["main"];
    if (!main.is_object()) main = Json::object();
    main["snapshot-id"] = snapshot.id;
    main["type"] = "branch";

    Json& log = document_["snapshot-log"];
    if (!log.is_array()) log = Json::array();
    log.push_back({{"snapshot-id", snapshot.id}, {"timestamp-ms", snapshot.timestamp_ms}});

    last_sequence_number_ = snapshot.sequence_number;
    document_["last-sequence-number"] = snapshot.sequence_number;
    if (format_version_ >= 3) {
        next_row_id_ = next_row_id;
        document_["next-row-id"] = next_row_id;
    }
}

std::vector<std::string> TableMetadata::PushMetadataLog(const std::string& location, int64_t timestamp_ms) {
    Json& log = document_["metadata-log"];
    if (!log.is_array()) log = Json::array();
    log.push_back({{"metadata-file", location}, {"timestamp-ms", timestamp_ms}});
    std::vector<std::string> dropped;
    while (log.size() > kMetadataLogLength) {
        const Result<std::string> file = RequiredString(log[0], "metadata-file");
        if (file.ok()) dropped.push_back(*file);
        log.erase(log.begin());
    }
    return dropped;
}

std::vector<std::string> TableMetadata::OtherFiles() const {
    std::vector<std::string> files;
    for (const auto& [list, member] :
         {std::pair{"metadata-log", "metadata-file"}, std::pair{"statistics", "statistics-path"},
          std::pair{"partition-statistics", "statistics-path"}}) {
        const auto found = document_.find(list);
        if (found == document_.end() || !found->is_array()) continue;
        for (const Json& entry : *found) {
            if (Result<std::string> file = RequiredString(entry, member); file.ok()) files.push_back(std::move(*file));
        }
    }
    return files;
}

void TableMetadata::SetLastUpdated(int64_t timestamp_ms) {
    last_updated_ms_ = timestamp_ms;
    document_["last-updated-ms"] = timestamp_ms;
}

TableMetadata::ExpiredSnapshots TableMetadata::ExpireSnapshots(int keep) {
    ExpiredSnapshots result;
    std::set<int64_t> main_line, kept;
    for (const TableSnapshot* s = current_snapshot(); s != nullptr && main_line.insert(s->id).second;) {
        if (static_cast<int>(kept.size()) < std::max(keep, 1)) kept.insert(s->id);
        s = s->parent_id ? Find(*s->parent_id) : nullptr;
    }
    result.linear = main_line.size() == snapshots_.size();
    const Json refs = document_.contains("refs") ? document_["refs"] : Json::object();
    for (const auto& [name, ref] : refs.items()) {
        if (name == "main") continue;
        result.linear = false;
        std::set<int64_t> seen;
        const Result<std::string> type = RequiredString(ref, "type");
        const bool tag = type.ok() && *type == "tag";
        for (const TableSnapshot* s = Find(SnapshotIdOf(ref)); s != nullptr && seen.insert(s->id).second;) {
            kept.insert(s->id);
            s = !tag && s->parent_id ? Find(*s->parent_id) : nullptr;
        }
    }

    std::vector<int64_t> expired;
    std::vector<TableSnapshot> remaining;
    for (TableSnapshot& snapshot : snapshots_) {
        if (kept.contains(snapshot.id)) {
            remaining.push_back(std::move(snapshot));
            continue;
        }
        expired.push_back(snapshot.id);
        result.snapshots.push_back(std::move(snapshot));
    }
    snapshots_ = std::move(remaining);
    if (expired.empty()) return result;
    Json& list = document_["snapshots"];
    Json left = Json::array();
    for (Json& json : list) {
        if (kept.contains(SnapshotIdOf(json))) left.push_back(std::move(json));
    }
    list = std::move(left);
    result.statistics = DropStatistics(expired);
    TrimSnapshotLog(expired);
    return result;
}

std::vector<std::string> TableMetadata::DropStatistics(const std::vector<int64_t>& snapshot_ids) {
    std::vector<std::string> files;
    for (const char* name : {"statistics", "partition-statistics"}) {
        const auto found = document_.find(name);
        if (found == document_.end() || !found->is_array()) continue;
        Json left = Json::array();
        for (Json& json : *found) {
            if (std::find(snapshot_ids.begin(), snapshot_ids.end(), SnapshotIdOf(json)) == snapshot_ids.end()) {
                left.push_back(std::move(json));
            } else if (const Result<std::string> path = RequiredString(json, "statistics-path"); path.ok()) {
                files.push_back(*path);
            }
        }
        *found = std::move(left);
    }
    return files;
}

// The log must not have gaps: what comes before an expired snapshot's entry goes too.
void TableMetadata::TrimSnapshotLog(const std::vector<int64_t>& expired) {
    const auto found = document_.find("snapshot-log");
    if (found == document_.end() || !found->is_array()) return;
    Json left = Json::array();
    for (Json& entry : *found) {
        if (std::find(expired.begin(), expired.end(), SnapshotIdOf(entry)) == expired.end())
            left.push_back(std::move(entry));
        else
            left.clear();
    }
    *found = std::move(left);
}

std::string NewFileId() {
    std::random_device random;
    char text[17];
    std::snprintf(text, sizeof text, "%08x%08x", random(), random());
    return text;
}

std::string NewUuid() {
    std::random_device random;
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string uuid;
    for (int i = 0; i < 32; i++) {
        uint32_t digit = random() & 15;
        if (i == 12) digit = 4;                // version
        if (i == 16) digit = 8 | (digit & 3);  // variant
        if (i == 8 || i == 12 || i == 16 || i == 20) uuid.push_back('-');
        uuid.push_back(kDigits[digit]);
    }
    return uuid;
}

int64_t NewSnapshotId() {
    std::random_device random;
    for (;;) {
        const int64_t id = static_cast<int64_t>((static_cast<uint64_t>(random()) << 32 | random()) & INT64_MAX);
        if (id > 0) return id;
    }
}

}  // namespace ivy::iceberg
