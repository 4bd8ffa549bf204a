// SPDX-License-Identifier: Apache-2.0
//
// A foreign Iceberg table as a scan sees it: statistics come from the manifests' column metrics and partition values.
#include <duckdb/common/types/uuid.hpp>

#include <map>

#include "engine/error_map.h"
#include "engine/lake_deletes.h"
#include "engine/lake_io.h"
#include "engine/lake_tables.h"
#include "engine/lake_types.h"
#include "engine/query_inputs.h"
#include "iceberg/single_value.h"
#include "lake/snapshot_cache.h"

namespace ivy::engine {
namespace {

using duckdb::Value;
using iceberg::DataFile;
using iceberg::Int128;
using iceberg::PrimitiveType;
using iceberg::SingleValue;
using iceberg::TypeKind;
using lake::Column;
using lake::Json;
using lake::Kind;

std::optional<PrimitiveType> TypeOf(const Column& column, size_t bytes) {
    PrimitiveType type;
    type.precision = column.precision;
    type.scale = column.scale;
    type.length = static_cast<int64_t>(bytes);
    switch (column.kind) {
        case Kind::kBoolean: type.kind = TypeKind::kBoolean; return type;
        case Kind::kInt32: type.kind = TypeKind::kInt; return type;
        case Kind::kInt64: type.kind = TypeKind::kLong; return type;
        case Kind::kFloat: type.kind = TypeKind::kFloat; return type;
        case Kind::kDouble: type.kind = TypeKind::kDouble; return type;
        case Kind::kDecimal: type.kind = TypeKind::kDecimal; return type;
        case Kind::kDate: type.kind = TypeKind::kDate; return type;
        case Kind::kTime: type.kind = TypeKind::kTime; return type;
        case Kind::kTimestamp: type.kind = TypeKind::kTimestamp; return type;
        case Kind::kTimestampTz: type.kind = TypeKind::kTimestampTz; return type;
        case Kind::kTimestampNs: type.kind = TypeKind::kTimestampNs; return type;
        case Kind::kTimestampTzNs: type.kind = TypeKind::kTimestampTzNs; return type;
        case Kind::kString: type.kind = TypeKind::kString; return type;
        case Kind::kUuid: type.kind = TypeKind::kUuid; return type;
        case Kind::kBinary: type.kind = TypeKind::kBinary; return type;
        default: return std::nullopt;
    }
}

// A decoded value as DuckDB's; none if there is none of that type.
std::optional<Value> ToValue(const Column& column, const SingleValue& value) {
    const auto* wide = std::get_if<int64_t>(&value);
    const auto* narrow = std::get_if<int32_t>(&value);
    const auto* bytes = std::get_if<std::string>(&value);
    switch (column.kind) {
        case Kind::kBoolean:
            if (const auto* v = std::get_if<bool>(&value)) return Value::BOOLEAN(*v);
            break;
        case Kind::kInt32:
            if (narrow) return Value::INTEGER(*narrow);
            break;
        case Kind::kInt64:
            if (wide) return Value::BIGINT(*wide);
            break;
        case Kind::kFloat:
            if (const auto* v = std::get_if<float>(&value)) return Value::FLOAT(*v);
            break;
        case Kind::kDouble:
            if (const auto* v = std::get_if<double>(&value)) return Value::DOUBLE(*v);
            break;
        case Kind::kDecimal:
            if (const auto* v = std::get_if<Int128>(&value)) {
                duckdb::hugeint_t huge;
                huge.upper = static_cast<int64_t>(*v >> 64);
                huge.lower = static_cast<uint64_t>(*v);
                return Value::DECIMAL(huge, 38, static_cast<uint8_t>(column.scale)).DefaultCastAs(LakeType(column));
            }
            break;
        case Kind::kDate:
            if (narrow) return Value::DATE(duckdb::date_t(*narrow));
            break;
        case Kind::kTime:
            if (wide) return Value::TIME(duckdb::dtime_t(*wide));
            break;
        case Kind::kTimestamp:
            if (wide) return Value::TIMESTAMP(duckdb::timestamp_t(*wide));
            break;
        case Kind::kTimestampTz:
            if (wide) return Value::TIMESTAMPTZ(duckdb::timestamp_tz_t(*wide));
            break;
        case Kind::kTimestampNs:
            if (wide) return Value::TIMESTAMPNS(duckdb::timestamp_ns_t(*wide));
            break;
        case Kind::kTimestampTzNs:
            if (wide) return Value::TIMESTAMPTZNS(duckdb::timestamp_tz_ns_t(*wide));
            break;
        case Kind::kString:
            if (bytes && Value::StringIsValid(*bytes)) return Value(*bytes);
            break;
        case Kind::kBinary:
            if (bytes) return Value::BLOB_RAW(*bytes);
            break;
        case Kind::kUuid:
            if (bytes && bytes->size() == 16) {
                return Value::UUID(
                    duckdb::BaseUUID::FromBlob(reinterpret_cast<duckdb::const_data_ptr_t>(bytes->data())));
            }
            break;
        default: break;
    }
    return std::nullopt;
}

std::string FromHex(const std::string& hex) {
    std::string bytes;
    const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
    for (size_t i = 0; i + 2 <= hex.size(); i += 2) bytes += static_cast<char>(digit(hex[i]) << 4 | digit(hex[i + 1]));
    return bytes;
}

// An identity partition's value, as DataFile::partition_json has it. None if it is not of the column's type.
std::optional<Value> FromPartition(const Column& column, const Json& json) {
    if (json.is_null()) return Value(LakeType(column));
    switch (column.kind) {
        case Kind::kBoolean:
            if (json.is_boolean()) return Value::BOOLEAN(json.get<bool>());
            return std::nullopt;
        case Kind::kFloat:
        case Kind::kDouble:
            if (json.is_string()) return LakeValueFromText(column, json.get<std::string>());
            if (json.is_number()) return Value::DOUBLE(json.get<double>()).DefaultCastAs(LakeType(column));
            return std::nullopt;
        case Kind::kInt32:
        case Kind::kDate:
            if (json.is_number_integer()) return ToValue(column, static_cast<int32_t>(json.get<int64_t>()));
            return std::nullopt;
        case Kind::kInt64:
        case Kind::kTime:
        case Kind::kTimestamp:
        case Kind::kTimestampTz:
        case Kind::kTimestampNs:
        case Kind::kTimestampTzNs:
            if (json.is_number_integer()) return ToValue(column, json.get<int64_t>());
            return std::nullopt;
        case Kind::kString:
            if (json.is_string()) return ToValue(column, json.get<std::string>());
            return std::nullopt;
        default: {
            if (!json.is_string()) return std::nullopt;
            const std::string bytes = FromHex(json.get<std::string>());
            const auto type = TypeOf(column, bytes.size());
            if (!type) return std::nullopt;
            const Result<SingleValue> value = iceberg::DecodeSingleValue(*type, bytes);
            return value.ok() ? ToValue(column, *value) : std::nullopt;
        }
    }
}

class IcebergTable final : public LakeTable {
  public:
    explicit IcebergTable(std::shared_ptr<const lake::IcebergSnapshot> snapshot)
        : shared_(std::move(snapshot)), snapshot_(*shared_), deletes_(snapshot_) {
        for (const lake::IcebergEntry& entry : snapshot_.data()) {
            if (entry.file.format == "PARQUET") continue;
            ThrowSqlError(sqlstate::kFeatureNotSupported, "data file \"" + entry.file.path + "\" has format " +
                                                              entry.file.format + ", which is not supported");
        }
    }

    const std::vector<Column>& columns() const override { return snapshot_.columns(); }
    lake::Matching matching() const override { return lake::Matching::kByFieldId; }
    size_t file_count() const override { return snapshot_.data().size(); }

    File file(size_t index) const override {
        const DataFile& file = snapshot_.data()[index].file;
        return {file.path, file.file_size, file.record_count};
    }

    // A column that the file lacks has its partition's value, if it is partitioned by the column itself.
    std::optional<Value> Constant(size_t index, size_t column, bool in_file) const override {
        return in_file ? std::nullopt : PartitionValue(index, column);
    }

    duckdb::unique_ptr<duckdb::BaseStatistics> Statistics(size_t index, size_t ordinal) const override {
        const Column& column = columns()[ordinal];
        const duckdb::LogicalType type = LakeType(column);
        const iceberg::Metrics& metrics = snapshot_.data()[index].file.metrics;
        const auto count = [&column](const std::map<int, int64_t>& counts) {
            const auto found = counts.find(column.id);
            return found == counts.end() || found->second < 0 ? std::nullopt : std::optional(found->second);
        };
        if (!metrics.value_counts.contains(column.id) && !metrics.lower_bounds.contains(column.id)) {
            // Perhaps not in the file. NaN and NULL keep nothing out.
            const auto constant = PartitionValue(index, ordinal);
            return constant ? duckdb::BaseStatistics::FromConstant(*constant).ToUnique() : nullptr;
        }
        auto lower = Bound(column, metrics.lower_bounds), upper = Bound(column, metrics.upper_bounds);
        // NaN, which is larger than all numbers, is left out of bounds.
        const bool floating = column.kind == Kind::kFloat || column.kind == Kind::kDouble;
        if (floating && count(metrics.nan_value_counts) != 0) upper.reset();
        return MakeStatistics(type, lower, upper, count(metrics.null_value_counts), count(metrics.value_counts));
    }

    bool CanHaveNan(size_t index, size_t column) const override {
        const auto& counts = snapshot_.data()[index].file.metrics.nan_value_counts;
        const auto found = counts.find(columns()[column].id);
        return LakeTable::CanHaveNan(index, column) && (found == counts.end() || found->second != 0);
    }

    std::shared_ptr<const delta::RowSet> Deleted(duckdb::ClientContext& context, size_t index) const override {
        return deletes_.Of(context, *this, index);
    }

  private:
    static std::optional<Value> Bound(const Column& column, const std::map<int, std::string>& bounds) {
        const auto found = bounds.find(column.id);
        if (found == bounds.end()) return std::nullopt;
        const auto type = TypeOf(column, found->second.size());
        if (!type) return std::nullopt;
        const Result<SingleValue> value = iceberg::DecodeSingleValue(*type, found->second);
        return value.ok() ? ToValue(column, *value) : std::nullopt;
    }

    std::optional<Value> PartitionValue(size_t index, size_t column) const {
        const DataFile& file = snapshot_.data()[index].file;
        if (file.partition_json.empty()) return std::nullopt;
        for (const lake::PartitionField& field : snapshot_.spec(file.partition_spec_id)) {
            if (field.source_id != columns()[column].id || field.transform != "identity") continue;
            const Result<Json> tuple = iceberg::ParseJson(file.partition_json, "partition");
            const auto value = tuple.ok() ? tuple->find(std::to_string(field.field_id)) : Json::const_iterator();
            if (!tuple.ok() || value == tuple->end()) return std::nullopt;
            return FromPartition(columns()[column], *value);
        }
        return std::nullopt;
    }

    const std::shared_ptr<const lake::IcebergSnapshot> shared_;
    const lake::IcebergSnapshot& snapshot_;
    mutable LakeDeletes deletes_;
};

std::string SecretsOf(duckdb::ClientContext& context) {
    const QueryInputs* inputs = QueryInputs::Find(context);
    return inputs ? inputs->secrets : "";
}

}  // namespace

std::shared_ptr<const LakeTable> OpenIcebergTable(duckdb::ClientContext& context, const std::string& path,
                                                  const lake::IcebergOptions& options) {
    // The metadata file is found and read each time. Where it is the one that a snapshot was read from, to the last value in
    // it, so are the manifests, which never change under their names. Others' secrets may open other files: not theirs then.
    static lake::SnapshotCache<lake::IcebergSnapshot> cache(kMaxCachedFiles);
    LakeIo io(context);
    lake::IcebergLocation location = ValueOrThrow(lake::FindIcebergMetadata(&io, path, options.version));
    std::string key = location.table + '\n' + location.metadata_file + '\n' + SecretsOf(context) + '\n' + options.ref;
    for (const std::optional<int64_t>& number : {options.snapshot_id, options.timestamp_ms}) {
        key += '\n' + (number ? std::to_string(*number) : std::string("-"));
    }
    key += options.allow_moved_paths ? "\nmoved" : "";
    auto snapshot = cache.Find(key);
    if (!snapshot || snapshot->metadata().document() != location.metadata.document()) {
        snapshot = std::make_shared<const lake::IcebergSnapshot>(
            ValueOrThrow(lake::IcebergSnapshot::Load(&io, std::move(location), options)));
        cache.Put(key, snapshot, 1 + snapshot->data().size() + snapshot->deletes().size());
    }
    return std::make_shared<IcebergTable>(std::move(snapshot));
}

}  // namespace ivy::engine
