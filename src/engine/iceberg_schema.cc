// SPDX-License-Identifier: Apache-2.0
#include "engine/iceberg_schema.h"

#include <algorithm>
#include <optional>
#include <set>

#include <duckdb/common/sql_identifier.hpp>
#include <duckdb/common/string_util.hpp>
#include <duckdb/common/types/uuid.hpp>
#include <duckdb/function/copy_function.hpp>

#include "delta/chunk_convert.h"
#include "engine/stored_numeric.h"
#include "iceberg/single_value.h"

namespace ivy::engine {
namespace {

bool IsFloating(const ColumnType& type) { return type.kind == TypeKind::kFloat || type.kind == TypeKind::kDouble; }

// A value of a stored type, not of text or bytes, in Iceberg's terms.
iceberg::SingleValue ToSingleValue(const ColumnType& type, const duckdb::Value& value) {
    switch (type.kind) {
        case TypeKind::kBool: return value.GetValue<bool>();
        case TypeKind::kInt16:
        case TypeKind::kInt32: return value.GetValue<int32_t>();
        case TypeKind::kFloat: return value.GetValue<float>();
        case TypeKind::kDouble: return value.GetValue<double>();
        case TypeKind::kDecimal: {
            const duckdb::Value wide = value.DefaultCastAs(duckdb::LogicalType::DECIMAL(38, type.scale));
            const auto number = wide.GetValueUnsafe<duckdb::hugeint_t>();
            return static_cast<Int128>(number.upper) << 64 | number.lower;
        }
        case TypeKind::kDate: return value.GetValueUnsafe<duckdb::date_t>().days;
        case TypeKind::kUuid: {
            std::string bytes(16, '\0');
            duckdb::BaseUUID::ToBlob(value.GetValueUnsafe<duckdb::hugeint_t>(),
                                     reinterpret_cast<duckdb::data_ptr_t>(bytes.data()));
            return bytes;
        }
        case TypeKind::kText:
        case TypeKind::kBytes:
        case TypeKind::kInterval: return duckdb::StringValue::Get(value);
        case TypeKind::kInt64:
        case TypeKind::kTime:
        case TypeKind::kTimestamp:
        case TypeKind::kTimestampTz: return value.GetValueUnsafe<int64_t>();
    }
    return false;
}

std::string BytesFromHex(const std::string& text) {
    std::string bytes;
    for (size_t i = 0; i + 1 < text.size(); i += 2) {
        bytes.push_back(static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16)));
    }
    return bytes;
}

// A bound as DuckDB reports it, in binary form; nothing if it has none.
std::optional<std::string> Bound(const ColumnType& type, const std::string& text, bool upper) {
    switch (type.kind) {
        case TypeKind::kText: return upper ? iceberg::TruncatedUpperText(text) : iceberg::TruncatedLowerText(text);
        case TypeKind::kBytes: {
            const std::string bytes = BytesFromHex(text);
            if (upper) return iceberg::TruncatedUpperBinary(bytes);
            return iceberg::TruncatedLowerBinary(bytes);
        }
        case TypeKind::kInterval:  // its text does not sort as intervals do
            return std::nullopt;
        default: {
            const auto value = duckdb::Value(text).DefaultTryCastAs(StoredType(type));
            const auto name = iceberg::ParseType(IcebergTypeName(type));
            if (!value || !name.ok()) return std::nullopt;
            Result<std::string> bytes = iceberg::EncodeSingleValue(*name, ToSingleValue(type, *value));
            if (!bytes.ok()) return std::nullopt;
            return std::move(bytes).value();
        }
    }
}

}  // namespace

duckdb::LogicalType StoredType(const ColumnType& type) {
    if (type.kind == TypeKind::kInt16) return duckdb::LogicalType::INTEGER;
    if (type.kind == TypeKind::kInterval) return duckdb::LogicalType::VARCHAR;
    return delta::ToDuckType(type);
}

std::string IcebergTypeName(const ColumnType& type) {
    switch (type.kind) {
        case TypeKind::kBool: return "boolean";
        case TypeKind::kInt16:
        case TypeKind::kInt32: return "int";
        case TypeKind::kInt64: return "long";
        case TypeKind::kFloat: return "float";
        case TypeKind::kDouble: return "double";
        case TypeKind::kDecimal:
            return "decimal(" + std::to_string(type.precision) + "," + std::to_string(type.scale) + ")";
        case TypeKind::kText:
        case TypeKind::kInterval: return "string";
        case TypeKind::kBytes: return "binary";
        case TypeKind::kDate: return "date";
        case TypeKind::kTime: return "time";
        case TypeKind::kTimestamp: return "timestamp";
        case TypeKind::kTimestampTz: return "timestamptz";
        case TypeKind::kUuid: return "uuid";
    }
    return "string";
}

iceberg::Schema MakeIcebergSchema(const std::vector<MirrorColumn>& columns, const std::vector<uint32_t>& key,
                                  const std::vector<uint32_t>& inexact) {
    iceberg::Schema schema;
    bool key_allowed = !key.empty();
    for (const MirrorColumn& column : FileColumns(columns)) {
        iceberg::Field field;
        field.id = static_cast<int>(column.id);
        field.name = column.name;
        field.type = IcebergTypeName(column.type);
        field.required = column.not_null && std::find(inexact.begin(), inexact.end(), column.id) == inexact.end();
        const bool in_key = std::find(key.begin(), key.end(), column.id) != key.end();
        if (in_key && (!field.required || IsFloating(column.type))) key_allowed = false;
        schema.fields.push_back(std::move(field));
    }
    if (key_allowed) schema.identifier_field_ids.assign(key.begin(), key.end());
    return schema;
}

iceberg::Schema EvolveIcebergSchema(const iceberg::Schema& current, const std::vector<MirrorColumn>& columns,
                                    const std::vector<uint32_t>& key, const std::vector<uint32_t>& inexact) {
    std::vector<MirrorColumn> allowed = columns;
    for (MirrorColumn& column : allowed) {
        const bool was_required = std::any_of(
            current.fields.begin(), current.fields.end(),
            [&](const iceberg::Field& field) { return field.id == static_cast<int>(column.id) && field.required; });
        column.not_null = column.not_null && was_required;
    }
    return MakeIcebergSchema(allowed, key, inexact);
}

std::vector<std::string> FileColumnNames(const std::vector<MirrorColumn>& columns) {
    std::set<std::string> taken = {"__duckdb_field_id"};
    for (const MirrorColumn& column : columns) taken.insert(duckdb::StringUtil::Lower(column.name));
    std::set<std::string> used = {"__duckdb_field_id"};
    std::vector<std::string> names;
    for (const MirrorColumn& column : columns) {
        std::string name = column.name;
        if (!used.insert(duckdb::StringUtil::Lower(name)).second) {
            name += "_" + std::to_string(column.id);
            while (taken.contains(duckdb::StringUtil::Lower(name))) name += "_";
            taken.insert(duckdb::StringUtil::Lower(name));
            used.insert(duckdb::StringUtil::Lower(name));
        }
        names.push_back(std::move(name));
    }
    return names;
}

iceberg::Metrics MakeMetrics(const std::vector<MirrorColumn>& columns, const std::vector<std::string>& names,
                             const duckdb::CopyFunctionFileStatistics& statistics) {
    iceberg::Metrics metrics;
    for (size_t i = 0; i < columns.size(); i++) {
        const auto found = statistics.column_statistics.find(duckdb::SQLQuotedIdentifier::ToString(names[i]));
        if (found == statistics.column_statistics.end()) continue;
        const auto& reported = found->second;
        const int id = static_cast<int>(columns[i].id);
        const auto count = [&](const char* what, std::map<int, int64_t>* out) {
            const auto value = reported.find(what);
            if (value != reported.end()) (*out)[id] = value->second.GetValue<int64_t>();
        };
        count("column_size_bytes", &metrics.column_sizes);
        count("num_values", &metrics.value_counts);
        count("null_count", &metrics.null_value_counts);
        const auto lower = reported.find("min"), upper = reported.find("max");
        if (lower == reported.end() || upper == reported.end()) continue;
        const auto low = Bound(columns[i].type, lower->second.ToString(), false);
        const auto high = Bound(columns[i].type, upper->second.ToString(), true);
        if (low) metrics.lower_bounds[id] = *low;
        if (high) metrics.upper_bounds[id] = *high;
    }
    return metrics;
}

}  // namespace ivy::engine
