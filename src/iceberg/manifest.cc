// SPDX-License-Identifier: Apache-2.0
//
// A manifest's entries to and from Avro. Fields are found by their ids in the schema that the file was written with.
#include "iceberg/manifest.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>

#include "iceberg/json.h"
#include "iceberg/manifest_schema.h"

namespace ivy::iceberg {
namespace {

using avro::Value;

// A record with its type: fields by id.
class RecordView {
  public:
    static Result<RecordView> Of(const avro::Type& type, const Value& value, const char* what) {
        const auto* list = value.Get<Value::List>();
        if (type.kind != avro::Kind::kRecord || list == nullptr) {
            return Status::Corrupt(std::string("manifest: ") + what + " is not a record");
        }
        return RecordView(type, *list);
    }

    // A field's value; null if the file has no such field. Its type, without null, in *type if that is given.
    const Value* Find(int id, const char* name, const avro::Type** type = nullptr) const {
        const int index = type_.FieldIndex(id, name);
        if (index < 0 || list_[static_cast<size_t>(index)].IsNull()) return nullptr;
        if (type != nullptr) *type = &type_.fields[static_cast<size_t>(index)].type->NonNull();
        return &list_[static_cast<size_t>(index)];
    }

    template <typename T>
    Result<std::optional<T>> Optional(int id, const char* name) const {
        const Value* value = Find(id, name);
        if (value == nullptr) return std::optional<T>();
        const T* typed = value->Get<T>();
        if (typed == nullptr) return Status::Corrupt(std::string("manifest: field ") + name + " has another type");
        return std::optional<T>(*typed);
    }

    template <typename T>
    Result<T> Required(int id, const char* name) const {
        IVY_ASSIGN_OR_RETURN(const auto optional, Optional<T>(id, name));
        if (!optional) return Status::Corrupt(std::string("manifest: field ") + name + " is missing");
        return *optional;
    }

  private:
    RecordView(const avro::Type& type, const Value::List& list) : type_(type), list_(list) {}
    const avro::Type& type_;
    const Value::List& list_;
};

Status CheckInt(int64_t value, const char* what) {
    if (value < std::numeric_limits<int>::min() || value > std::numeric_limits<int>::max()) {
        return Status::Corrupt(std::string("manifest: ") + what + " is out of range");
    }
    return Status::Ok();
}

template <typename T>
Status ReadMap(const RecordView& record, int id, const char* name, std::map<int, T>* map) {
    IVY_ASSIGN_OR_RETURN(const auto list, record.Optional<Value::List>(id, name));
    if (!list) return Status::Ok();
    for (const Value& item : *list) {
        const auto* pair = item.Get<Value::List>();
        const int64_t* key = pair && pair->size() == 2 ? (*pair)[0].Get<int64_t>() : nullptr;
        const T* value = key ? (*pair)[1].Get<T>() : nullptr;
        if (key == nullptr || (value == nullptr && !(*pair)[1].IsNull())) {
            return Status::Corrupt(std::string("manifest: ") + name + " is not a map of the expected type");
        }
        IVY_RETURN_IF_ERROR(CheckInt(*key, name));
        if (value != nullptr) (*map)[static_cast<int>(*key)] = *value;
    }
    return Status::Ok();
}

template <typename T>
Status ReadList(const RecordView& record, int id, const char* name, std::vector<T>* out) {
    IVY_ASSIGN_OR_RETURN(const auto list, record.Optional<Value::List>(id, name));
    if (!list) return Status::Ok();
    for (const Value& item : *list) {
        const int64_t* number = item.Get<int64_t>();
        if (number == nullptr) return Status::Corrupt(std::string("manifest: ") + name + " is not a list of integers");
        if constexpr (std::is_same_v<T, int>) IVY_RETURN_IF_ERROR(CheckInt(*number, name));
        out->push_back(static_cast<T>(*number));
    }
    return Status::Ok();
}

std::string Hex(const std::string& bytes) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string hex;
    for (const unsigned char byte : bytes) {
        hex.push_back(kDigits[byte >> 4]);
        hex.push_back(kDigits[byte & 15]);
    }
    return hex;
}

Json PartitionValue(const avro::Type& type, const Value& value) {
    if (value.IsNull()) return nullptr;
    if (const auto* v = value.Get<bool>()) return *v;
    if (const auto* v = value.Get<int64_t>()) return *v;
    if (const auto* v = value.Get<double>()) {  // JSON has no NaN and no infinity
        return std::isfinite(*v) ? Json(*v) : Json(std::isnan(*v) ? "NaN" : *v > 0 ? "Infinity" : "-Infinity");
    }
    if (const auto* v = value.Get<std::string>()) {
        return type.NonNull().kind == avro::Kind::kString ? Json(*v) : Json(Hex(*v));
    }
    return nullptr;
}

// The partition tuple as DataFile::partition_json describes it.
Result<std::string> ReadPartition(const RecordView& file) {
    const avro::Type* type = nullptr;
    const Value* value = file.Find(102, "partition", &type);
    if (value == nullptr) return std::string();
    const auto* list = value->Get<Value::List>();
    if (list == nullptr || type->kind != avro::Kind::kRecord)
        return Status::Corrupt("manifest: partition is not a record");
    if (list->empty()) return std::string();
    Json object = Json::object();
    for (size_t i = 0; i < list->size(); i++) {
        const avro::Field& field = type->fields[i];
        object[field.id ? std::to_string(*field.id) : field.name] = PartitionValue(*field.type, (*list)[i]);
    }
    return DumpJson(object);
}

Result<DataFile> ReadDataFile(const RecordView& record) {
    DataFile file;
    IVY_ASSIGN_OR_RETURN(const auto content, record.Optional<int64_t>(134, "content"));
    if (content.value_or(0) < 0 || content.value_or(0) > 2)
        return Status::Corrupt("manifest: unknown content of a file");
    file.content = static_cast<Content>(content.value_or(0));
    IVY_ASSIGN_OR_RETURN(file.path, record.Required<std::string>(100, "file_path"));
    IVY_ASSIGN_OR_RETURN(file.format, record.Required<std::string>(101, "file_format"));
    for (char& c : file.format) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    IVY_ASSIGN_OR_RETURN(file.partition_json, ReadPartition(record));
    IVY_ASSIGN_OR_RETURN(file.record_count, record.Required<int64_t>(103, "record_count"));
    IVY_ASSIGN_OR_RETURN(file.file_size, record.Required<int64_t>(104, "file_size_in_bytes"));
    if (file.record_count < 0 || file.file_size < 0) return Status::Corrupt("manifest: a file has a negative size");
    IVY_RETURN_IF_ERROR(ReadMap(record, 108, "column_sizes", &file.metrics.column_sizes));
    IVY_RETURN_IF_ERROR(ReadMap(record, 109, "value_counts", &file.metrics.value_counts));
    IVY_RETURN_IF_ERROR(ReadMap(record, 110, "null_value_counts", &file.metrics.null_value_counts));
    IVY_RETURN_IF_ERROR(ReadMap(record, 137, "nan_value_counts", &file.metrics.nan_value_counts));
    IVY_RETURN_IF_ERROR(ReadMap(record, 125, "lower_bounds", &file.metrics.lower_bounds));
    IVY_RETURN_IF_ERROR(ReadMap(record, 128, "upper_bounds", &file.metrics.upper_bounds));
    IVY_RETURN_IF_ERROR(ReadList(record, 132, "split_offsets", &file.split_offsets));
    IVY_RETURN_IF_ERROR(ReadList(record, 135, "equality_ids", &file.equality_ids));
    IVY_ASSIGN_OR_RETURN(const auto sort_order_id, record.Optional<int64_t>(140, "sort_order_id"));
    if (sort_order_id) {
        IVY_RETURN_IF_ERROR(CheckInt(*sort_order_id, "sort_order_id"));
        file.sort_order_id = static_cast<int>(*sort_order_id);
    }
    IVY_ASSIGN_OR_RETURN(file.first_row_id, record.Optional<int64_t>(142, "first_row_id"));
    IVY_ASSIGN_OR_RETURN(file.referenced_data_file, record.Optional<std::string>(143, "referenced_data_file"));
    IVY_ASSIGN_OR_RETURN(file.content_offset, record.Optional<int64_t>(144, "content_offset"));
    IVY_ASSIGN_OR_RETURN(file.content_size, record.Optional<int64_t>(145, "content_size_in_bytes"));
    if (record.Find(131, "key_metadata") != nullptr) {
        return Status::Make(sqlstate::kFeatureNotSupported, "encrypted Iceberg tables are not supported");
    }
    return file;
}

Result<ManifestEntry> ReadEntry(const avro::Type& type, const Value& value, const ManifestFile& manifest,
                                int64_t* next_row_id) {
    IVY_ASSIGN_OR_RETURN(const RecordView record, RecordView::Of(type, value, "an entry"));
    ManifestEntry entry;
    IVY_ASSIGN_OR_RETURN(const int64_t status, record.Required<int64_t>(0, "status"));
    if (status < 0 || status > 2) return Status::Corrupt("manifest: unknown status of an entry");
    entry.status = static_cast<EntryStatus>(status);

    const avro::Type* file_type = nullptr;
    const Value* file_value = record.Find(2, "data_file", &file_type);
    if (file_value == nullptr) return Status::Corrupt("manifest: an entry has no data file");
    IVY_ASSIGN_OR_RETURN(const RecordView file_record, RecordView::Of(*file_type, *file_value, "a data file"));
    IVY_ASSIGN_OR_RETURN(entry.file, ReadDataFile(file_record));
    DataFile& file = entry.file;
    file.partition_spec_id = manifest.partition_spec_id;
    if ((file.content != Content::kData) != manifest.deletes) {
        return Status::Corrupt("manifest: data and delete files are mixed");
    }

    IVY_ASSIGN_OR_RETURN(const auto snapshot_id, record.Optional<int64_t>(1, "snapshot_id"));
    IVY_ASSIGN_OR_RETURN(const auto sequence, record.Optional<int64_t>(3, "sequence_number"));
    IVY_ASSIGN_OR_RETURN(const auto file_sequence, record.Optional<int64_t>(4, "file_sequence_number"));
    file.snapshot_id = snapshot_id.value_or(manifest.added_snapshot_id);
    // Only added files inherit; a missing number of another entry is version 1's, where all are 0. A manifest of version 1
    // has sequence number 0 in its list, so that one rule serves both.
    const int64_t inherited = entry.status == EntryStatus::kAdded ? manifest.sequence_number : 0;
    file.sequence_number = sequence.value_or(inherited);
    file.file_sequence_number = file_sequence.value_or(inherited);
    if (!manifest.deletes && manifest.first_row_id && !file.first_row_id && entry.status != EntryStatus::kDeleted) {
        file.first_row_id = *next_row_id;
        if (__builtin_add_overflow(*next_row_id, file.record_count, next_row_id)) {
            return Status::Corrupt("manifest: row ids are out of range");
        }
    }
    return entry;
}

template <typename T>
Value MapValue(const std::map<int, T>& map) {
    if (map.empty()) return {};
    Value::List list;
    for (const auto& [key, value] : map) list.push_back(Value::List{Value(key), Value(value)});
    return list;
}

template <typename T>
Value ListValue(const std::vector<T>& items) {
    if (items.empty()) return {};
    return Value::List(items.begin(), items.end());
}

// The fields of ManifestAvroSchema's record r2, in its order.
Value::List DataFileValue(const DataFile& file, int format_version, const std::optional<int64_t>& first_row_id) {
    const Metrics& metrics = file.metrics;
    Value::List list{
        static_cast<int64_t>(file.content),
        file.path,
        file.format,
        Value::List{},
        file.record_count,
        file.file_size,
        MapValue(metrics.column_sizes),
        MapValue(metrics.value_counts),
        MapValue(metrics.null_value_counts),
        MapValue(metrics.nan_value_counts),
        MapValue(metrics.lower_bounds),
        MapValue(metrics.upper_bounds),
        Value(),
        ListValue(file.split_offsets),
        ListValue(file.equality_ids),
        file.sort_order_id,
    };
    if (format_version >= 3) list.push_back(first_row_id);
    list.push_back(file.referenced_data_file);
    if (format_version >= 3) {
        list.push_back(file.content_offset);
        list.push_back(file.content_size);
    }
    return list;
}

}  // namespace

Result<std::vector<ManifestEntry>> ReadManifest(const Bytes& content, const ManifestFile& manifest) {
    IVY_ASSIGN_OR_RETURN(avro::FileReader reader, avro::FileReader::Open(content));
    std::vector<ManifestEntry> entries;
    int64_t next_row_id = manifest.first_row_id.value_or(0);
    for (;;) {
        Value value;
        IVY_ASSIGN_OR_RETURN(const bool more, reader.Next(&value));
        if (!more) return entries;
        IVY_ASSIGN_OR_RETURN(ManifestEntry entry, ReadEntry(reader.root(), value, manifest, &next_row_id));
        entries.push_back(std::move(entry));
    }
}

Result<ManifestWriter> ManifestWriter::Make(const ManifestHeader& header, int64_t snapshot_id,
                                            int64_t sequence_number) {
    const std::map<std::string, std::string> metadata = {
        {"schema", header.schema_json},
        {"schema-id", std::to_string(header.schema_id)},
        {"partition-spec", header.partition_fields_json},
        {"partition-spec-id", std::to_string(header.partition_spec_id)},
        {"format-version", std::to_string(header.format_version)},
        {"content", header.deletes ? "deletes" : "data"},
    };
    IVY_ASSIGN_OR_RETURN(avro::FileWriter file,
                         avro::FileWriter::Make(ManifestAvroSchema(header.format_version), metadata));
    ManifestWriter writer(std::move(file));
    writer.header_ = header;
    ManifestFile& summary = writer.summary_;
    summary.partition_spec_id = header.partition_spec_id;
    summary.deletes = header.deletes;
    summary.sequence_number = sequence_number;
    summary.min_sequence_number = sequence_number;
    summary.added_snapshot_id = snapshot_id;
    summary.added_files = summary.existing_files = summary.deleted_files = 0;
    summary.added_rows = summary.existing_rows = summary.deleted_rows = 0;
    return writer;
}

Status ManifestWriter::Add(EntryStatus status, const DataFile& file) {
    const bool added = status == EntryStatus::kAdded;
    std::optional<int64_t> first_row_id;
    if (!added && file.content == Content::kData) first_row_id = file.first_row_id;
    std::optional<int64_t> sequence, file_sequence;
    if (!added) {
        sequence = file.sequence_number;
        file_sequence = file.file_sequence_number;
    }
    const int64_t snapshot_id = status == EntryStatus::kExisting ? file.snapshot_id : summary_.added_snapshot_id;
    IVY_RETURN_IF_ERROR(file_.Append(Value::List{static_cast<int64_t>(status), snapshot_id, sequence, file_sequence,
                                                 DataFileValue(file, header_.format_version, first_row_id)}));
    entries_++;
    auto& files = added                              ? summary_.added_files
                  : status == EntryStatus::kExisting ? summary_.existing_files
                                                     : summary_.deleted_files;
    auto& rows = added                              ? summary_.added_rows
                 : status == EntryStatus::kExisting ? summary_.existing_rows
                                                    : summary_.deleted_rows;
    *files += 1;
    *rows += file.record_count;
    if (status == EntryStatus::kDeleted) return Status::Ok();
    if (!header_.deletes && !first_row_id) inherited_rows_ += file.record_count;
    if (!added) summary_.min_sequence_number = std::min(summary_.min_sequence_number, file.sequence_number);
    return Status::Ok();
}

Result<std::pair<Bytes, ManifestFile>> ManifestWriter::Finish() {
    IVY_ASSIGN_OR_RETURN(Bytes content, file_.Finish());
    summary_.length = static_cast<int64_t>(content.size());
    return std::make_pair(std::move(content), summary_);
}

namespace {

Status ReadPartitionSummaries(const RecordView& record, std::vector<PartitionSummary>* summaries) {
    const avro::Type* type = nullptr;
    const Value* value = record.Find(507, "partitions", &type);
    if (value == nullptr) return Status::Ok();
    const auto* list = value->Get<Value::List>();
    if (list == nullptr || type->kind != avro::Kind::kArray)
        return Status::Corrupt("manifest list: partitions are not a list");
    for (const Value& item : *list) {
        IVY_ASSIGN_OR_RETURN(const RecordView field,
                             RecordView::Of(type->items->NonNull(), item, "a partition summary"));
        PartitionSummary& summary = summaries->emplace_back();
        IVY_ASSIGN_OR_RETURN(summary.contains_null, field.Required<bool>(509, "contains_null"));
        IVY_ASSIGN_OR_RETURN(summary.contains_nan, field.Optional<bool>(518, "contains_nan"));
        IVY_ASSIGN_OR_RETURN(summary.lower, field.Optional<std::string>(510, "lower_bound"));
        IVY_ASSIGN_OR_RETURN(summary.upper, field.Optional<std::string>(511, "upper_bound"));
    }
    return Status::Ok();
}

}  // namespace

Result<std::vector<ManifestFile>> ReadManifestList(const Bytes& content) {
    IVY_ASSIGN_OR_RETURN(avro::FileReader reader, avro::FileReader::Open(content));
    std::vector<ManifestFile> manifests;
    for (;;) {
        Value value;
        IVY_ASSIGN_OR_RETURN(const bool more, reader.Next(&value));
        if (!more) return manifests;
        IVY_ASSIGN_OR_RETURN(const RecordView record, RecordView::Of(reader.root(), value, "a manifest list's entry"));
        ManifestFile manifest;
        IVY_ASSIGN_OR_RETURN(manifest.path, record.Required<std::string>(500, "manifest_path"));
        IVY_ASSIGN_OR_RETURN(manifest.length, record.Required<int64_t>(501, "manifest_length"));
        IVY_ASSIGN_OR_RETURN(const int64_t spec_id, record.Required<int64_t>(502, "partition_spec_id"));
        IVY_RETURN_IF_ERROR(CheckInt(spec_id, "partition_spec_id"));
        manifest.partition_spec_id = static_cast<int>(spec_id);
        IVY_ASSIGN_OR_RETURN(const auto kind, record.Optional<int64_t>(517, "content"));
        if (kind.value_or(0) != 0 && *kind != 1) return Status::Corrupt("manifest list: unknown content of a manifest");
        manifest.deletes = kind.value_or(0) == 1;
        IVY_ASSIGN_OR_RETURN(const auto sequence, record.Optional<int64_t>(515, "sequence_number"));
        IVY_ASSIGN_OR_RETURN(const auto min_sequence, record.Optional<int64_t>(516, "min_sequence_number"));
        IVY_ASSIGN_OR_RETURN(const auto snapshot_id, record.Optional<int64_t>(503, "added_snapshot_id"));
        manifest.sequence_number = sequence.value_or(0);
        manifest.min_sequence_number = min_sequence.value_or(0);
        manifest.added_snapshot_id = snapshot_id.value_or(0);
        IVY_ASSIGN_OR_RETURN(manifest.added_files, record.Optional<int64_t>(504, "added_files_count"));
        IVY_ASSIGN_OR_RETURN(manifest.existing_files, record.Optional<int64_t>(505, "existing_files_count"));
        IVY_ASSIGN_OR_RETURN(manifest.deleted_files, record.Optional<int64_t>(506, "deleted_files_count"));
        IVY_ASSIGN_OR_RETURN(manifest.added_rows, record.Optional<int64_t>(512, "added_rows_count"));
        IVY_ASSIGN_OR_RETURN(manifest.existing_rows, record.Optional<int64_t>(513, "existing_rows_count"));
        IVY_ASSIGN_OR_RETURN(manifest.deleted_rows, record.Optional<int64_t>(514, "deleted_rows_count"));
        IVY_ASSIGN_OR_RETURN(manifest.first_row_id, record.Optional<int64_t>(520, "first_row_id"));
        IVY_RETURN_IF_ERROR(ReadPartitionSummaries(record, &manifest.partitions));
        if (record.Find(519, "key_metadata") != nullptr) {
            return Status::Make(sqlstate::kFeatureNotSupported, "encrypted Iceberg tables are not supported");
        }
        manifests.push_back(std::move(manifest));
    }
}

Result<Bytes> WriteManifestList(const ManifestListHeader& header, const std::vector<ManifestFile>& manifests) {
    std::map<std::string, std::string> metadata = {
        {"snapshot-id", std::to_string(header.snapshot_id)},
        {"parent-snapshot-id", header.parent_snapshot_id ? std::to_string(*header.parent_snapshot_id) : "null"},
        {"sequence-number", std::to_string(header.sequence_number)},
        {"format-version", std::to_string(header.format_version)},
    };
    if (header.format_version >= 3) metadata["first-row-id"] = std::to_string(header.first_row_id);
    IVY_ASSIGN_OR_RETURN(avro::FileWriter file,
                         avro::FileWriter::Make(ManifestListAvroSchema(header.format_version), metadata));
    for (const ManifestFile& m : manifests) {
        Value::List partitions;
        for (const PartitionSummary& p : m.partitions) {
            partitions.push_back(Value::List{p.contains_null, p.contains_nan, p.lower, p.upper});
        }
        Value::List list{
            m.path,
            m.length,
            m.partition_spec_id,
            m.deletes ? 1 : 0,
            m.sequence_number,
            m.min_sequence_number,
            m.added_snapshot_id,
            m.added_files.value_or(0),
            m.existing_files.value_or(0),
            m.deleted_files.value_or(0),
            m.added_rows.value_or(0),
            m.existing_rows.value_or(0),
            m.deleted_rows.value_or(0),
            std::move(partitions),
            Value(),
        };
        if (header.format_version >= 3) list.push_back(m.first_row_id);
        IVY_RETURN_IF_ERROR(file.Append(list));
    }
    return file.Finish();
}

}  // namespace ivy::iceberg
