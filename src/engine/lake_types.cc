// SPDX-License-Identifier: Apache-2.0
#include "engine/lake_types.h"

#include <duckdb/parser/expression/constant_expression.hpp>
#include <duckdb/storage/statistics/numeric_stats.hpp>
#include <duckdb/storage/statistics/string_stats.hpp>

#include <algorithm>
#include <limits>

#include "engine/error_map.h"

namespace ivy::engine {
namespace {

using duckdb::LogicalType;
using duckdb::LogicalTypeId;
using duckdb::MultiFileColumnDefinition;
using duckdb::Value;
using lake::Column;
using lake::Kind;

// A default as Iceberg's JSON form of single values has it (appendix D of the specification).
Value DefaultValue(const Column& column) {
    const LogicalType type = LakeType(column);
    if (!column.initial_default) return Value(type);
    const iceberg::Json& json = *column.initial_default;
    const auto refuse = [&column]() {
        ThrowSqlError(sqlstate::kFeatureNotSupported,
                      "the default of column \"" + column.name + "\" of an Iceberg table is not supported");
    };
    if (column.IsNested()) {
        // The one default that a struct may have is {}: its fields have theirs.
        if (column.kind != Kind::kStruct || !json.is_object() || !json.empty()) refuse();
        duckdb::child_list_t<Value> fields;
        for (const Column& child : column.children) {
            fields.emplace_back(duckdb::Identifier(child.name), DefaultValue(child));
        }
        return Value::STRUCT(std::move(fields));
    }
    if (column.kind == Kind::kBinary) {
        const std::string hex = json.is_string() ? json.get<std::string>() : "";
        std::string bytes;
        for (size_t i = 0; i + 2 <= hex.size(); i += 2) {
            bytes += static_cast<char>(std::stoi("0" + hex.substr(i, 2), nullptr, 16));
        }
        return Value::BLOB_RAW(bytes);
    }
    const std::string text = json.is_string() ? json.get<std::string>() : json.dump();
    const auto value = LakeValueFromText(column, text);
    if (!value) refuse();
    return *value;
}

bool HasFieldIds(const duckdb::vector<MultiFileColumnDefinition>& in_file) {
    for (const auto& column : in_file) {
        if (!column.identifier.IsNull() || HasFieldIds(column.children)) return true;
    }
    return false;
}

class IdAssigner {
  public:
    IdAssigner(lake::Matching matching, bool file_has_ids, const std::string& path)
        : by_id_(matching == lake::Matching::kByFieldId && file_has_ids),
          by_mapping_(matching == lake::Matching::kByFieldId && !file_has_ids),
          path_(path) {}

    void Assign(const std::vector<Column>& columns, duckdb::vector<MultiFileColumnDefinition>* in_file, bool nested) {
        std::vector<MultiFileColumnDefinition*> found(columns.size(), nullptr);
        for (size_t i = 0; i < columns.size(); i++) found[i] = Find(columns[i], in_file);
        for (auto& column : *in_file) column.identifier = Value::INTEGER(next_hidden_--);
        for (size_t i = 0; i < columns.size(); i++) {
            if (found[i] != nullptr) AssignOne(columns[i], found[i], nested);
        }
    }

  private:
    MultiFileColumnDefinition* Find(const Column& column, duckdb::vector<MultiFileColumnDefinition>* in_file) const {
        for (auto& candidate : *in_file) {
            if (by_id_) {
                if (!column.field_id || candidate.identifier.IsNull()) continue;
                if (candidate.identifier.GetValue<int32_t>() == *column.field_id) return &candidate;
            } else if (by_mapping_) {
                const std::string name = candidate.name.GetIdentifierName();
                const auto& names = column.mapped_names;
                if (std::find(names.begin(), names.end(), name) != names.end()) return &candidate;
            } else if (candidate.name.GetIdentifierName() == column.physical_name) {
                return &candidate;
            }
        }
        return nullptr;
    }

    [[noreturn]] void Mismatch(const Column& column, const MultiFileColumnDefinition& in_file) const {
        ThrowSqlError(sqlstate::kFeatureNotSupported, "column \"" + column.name + "\" has type " +
                                                          in_file.type.ToString() + " in file \"" + path_ +
                                                          "\", which cannot be read as " + LakeType(column).ToString());
    }

    void AssignOne(const Column& column, MultiFileColumnDefinition* in_file, bool nested) {
        in_file->identifier = Value::INTEGER(column.id);
        const LogicalTypeId local = in_file->type.id();
        switch (column.kind) {
            case Kind::kStruct:
                if (local != LogicalTypeId::STRUCT) Mismatch(column, *in_file);
                return Assign(column.children, &in_file->children, true);
            case Kind::kList:
                if (local != LogicalTypeId::LIST || in_file->children.size() != 1) Mismatch(column, *in_file);
                return AssignOne(column.children[0], &in_file->children[0], true);
            case Kind::kMap: {
                // The reader shows a map as one child, of the pairs.
                if (local != LogicalTypeId::MAP || in_file->children.size() != 1) Mismatch(column, *in_file);
                auto& pair = in_file->children[0].children;
                if (pair.size() != 2) Mismatch(column, *in_file);
                AssignOne(column.children[0], &pair[0], true);
                return AssignOne(column.children[1], &pair[1], true);
            }
            default: CheckType(column, *in_file, nested);
        }
    }

    // What DuckDB's casts would turn into something else: bytes into escaped text, and times by the session's zone.
    // (At the top level the scan casts times itself.)
    void CheckType(const Column& column, const MultiFileColumnDefinition& in_file, bool nested) const {
        const LogicalTypeId local = in_file.type.id();
        const LogicalType type = LakeType(column);
        if (in_file.type.IsNested()) Mismatch(column, in_file);
        const bool text = type.id() == LogicalTypeId::VARCHAR, bytes = type.id() == LogicalTypeId::BLOB;
        if (column.kind != Kind::kNull && text != (local == LogicalTypeId::VARCHAR)) Mismatch(column, in_file);
        if (bytes != (local == LogicalTypeId::BLOB) && type.id() != LogicalTypeId::UUID) Mismatch(column, in_file);
        const auto zoned = [](LogicalTypeId id) {
            return id == LogicalTypeId::TIMESTAMP_TZ || id == LogicalTypeId::TIMESTAMP_TZ_NS;
        };
        if (nested && in_file.type.IsTemporal() && zoned(type.id()) != zoned(local)) Mismatch(column, in_file);
    }

    const bool by_id_, by_mapping_;
    const std::string& path_;
    int32_t next_hidden_ = -1;
};

bool HasMappedNames(const std::vector<Column>& columns) {
    return std::any_of(columns.begin(), columns.end(), [](const Column& c) { return !c.mapped_names.empty(); });
}

}  // namespace

LogicalType LakeType(const Column& column) {
    switch (column.kind) {
        case Kind::kBoolean: return LogicalType::BOOLEAN;
        case Kind::kInt8: return LogicalType::TINYINT;
        case Kind::kInt16: return LogicalType::SMALLINT;
        case Kind::kInt32: return LogicalType::INTEGER;
        case Kind::kInt64: return LogicalType::BIGINT;
        case Kind::kFloat: return LogicalType::FLOAT;
        case Kind::kDouble: return LogicalType::DOUBLE;
        case Kind::kDecimal:
            return LogicalType::DECIMAL(static_cast<uint8_t>(column.precision), static_cast<uint8_t>(column.scale));
        case Kind::kDate: return LogicalType::DATE;
        case Kind::kTime: return LogicalType::TIME;
        case Kind::kTimestamp: return LogicalType::TIMESTAMP;
        case Kind::kTimestampTz: return LogicalType::TIMESTAMP_TZ;
        case Kind::kTimestampNs: return LogicalType::TIMESTAMP_NS;
        case Kind::kTimestampTzNs: return LogicalType::TIMESTAMP_TZ_NS;
        case Kind::kString:
        case Kind::kNull: return LogicalType::VARCHAR;
        case Kind::kUuid: return LogicalType::UUID;
        case Kind::kBinary: return LogicalType::BLOB;
        case Kind::kStruct: {
            duckdb::child_list_t<LogicalType> fields;
            for (const Column& child : column.children) {
                fields.emplace_back(duckdb::Identifier(child.name), LakeType(child));
            }
            return LogicalType::STRUCT(std::move(fields));
        }
        case Kind::kList: return LogicalType::LIST(LakeType(column.children[0]));
        case Kind::kMap: return LogicalType::MAP(LakeType(column.children[0]), LakeType(column.children[1]));
    }
    return LogicalType::INVALID;
}

MultiFileColumnDefinition LakeDefinition(const Column& column) {
    MultiFileColumnDefinition definition(duckdb::Identifier(column.name), LakeType(column));
    definition.identifier = Value::INTEGER(column.id);
    definition.default_expression = duckdb::ConstantExpression::FromValue(DefaultValue(column));
    for (const Column& child : column.children) definition.children.push_back(LakeDefinition(child));
    return definition;
}

void AssignIds(const std::vector<Column>& columns, lake::Matching matching, const std::string& path,
               duckdb::vector<MultiFileColumnDefinition>* in_file) {
    const bool has_ids = HasFieldIds(*in_file);
    if (matching == lake::Matching::kByFieldId && !has_ids && !HasMappedNames(columns)) {
        ThrowSqlError(sqlstate::kDataCorrupted,
                      "file \"" + path + "\" has no field ids, and the table has no mapping of names");
    }
    IdAssigner(matching, has_ids, path).Assign(columns, in_file, false);
}

std::optional<Value> LakeValueFromText(const Column& column, const std::string& text) {
    if (column.kind == Kind::kNull || column.IsNested()) return std::nullopt;
    if (column.kind == Kind::kBinary) return Value::BLOB_RAW(text);
    // A text that is not UTF-8 must not become a value.
    if (!Value::StringIsValid(text)) return std::nullopt;
    // The casts that know no session: times are UTC.
    duckdb::string error;
    auto value = Value(text).DefaultTryCastAs(LakeType(column), &error);
    return value ? std::optional<Value>(std::move(*value)) : std::nullopt;
}

duckdb::unique_ptr<duckdb::BaseStatistics> MakeStatistics(const LogicalType& type, std::optional<Value> lower,
                                                          std::optional<Value> upper, std::optional<int64_t> nulls,
                                                          std::optional<int64_t> values) {
    auto statistics = duckdb::BaseStatistics::CreateUnknown(type);
    bool known = false;
    if (nulls && *nulls == 0) {
        statistics.Set(duckdb::StatsInfo::CANNOT_HAVE_NULL_VALUES);
        known = true;
    } else if (nulls && values && *values > 0 && *nulls == *values) {
        statistics.Set(duckdb::StatsInfo::CANNOT_HAVE_VALID_VALUES);
        known = true;
    }
    switch (duckdb::BaseStatistics::GetStatsType(type)) {
        case duckdb::StatisticsType::NUMERIC_STATS:
            // Bounds count together only. NaN is the largest of the floating-point numbers.
            if (type.id() == LogicalTypeId::DOUBLE && lower && !upper) {
                upper = Value::DOUBLE(std::numeric_limits<double>::quiet_NaN());
            } else if (type.id() == LogicalTypeId::FLOAT && lower && !upper) {
                upper = Value::FLOAT(std::numeric_limits<float>::quiet_NaN());
            }
            if (lower) duckdb::NumericStats::SetMin(statistics, *lower);
            if (upper) duckdb::NumericStats::SetMax(statistics, *upper);
            break;
        case duckdb::StatisticsType::STRING_STATS: {
            const auto truncated = duckdb::StringStatsType::TRUNCATED_STATS;
            const auto set = [&](const Value& value, auto setter) {
                const auto& text = duckdb::StringValue::Get(value);
                setter(statistics, duckdb::string_t(text.data(), static_cast<uint32_t>(text.size())), truncated);
            };
            // Both or none: bounds that are cut are prefixes, and the upper one must stay above.
            if (!lower || !upper) break;
            set(*lower, [](auto& s, auto v, auto t) { duckdb::StringStats::SetMin(s, v, t); });
            set(*upper, [](auto& s, auto v, auto t) { duckdb::StringStats::SetMax(s, v, t); });
            break;
        }
        default: return known ? statistics.ToUnique() : nullptr;
    }
    return known || lower || upper ? statistics.ToUnique() : nullptr;
}

}  // namespace ivy::engine
