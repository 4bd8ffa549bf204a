// SPDX-License-Identifier: Apache-2.0
// Iceberg schemas as columns.
#include <map>
#include <set>

#include "iceberg/single_value.h"
#include "lake/column_type.h"

namespace ivy::lake {
namespace {

using iceberg::TypeKind;

std::optional<Kind> KindOf(TypeKind kind) {
    switch (kind) {
        case TypeKind::kUnknown: return Kind::kNull;
        case TypeKind::kBoolean: return Kind::kBoolean;
        case TypeKind::kInt: return Kind::kInt32;
        case TypeKind::kLong: return Kind::kInt64;
        case TypeKind::kFloat: return Kind::kFloat;
        case TypeKind::kDouble: return Kind::kDouble;
        case TypeKind::kDecimal: return Kind::kDecimal;
        case TypeKind::kDate: return Kind::kDate;
        case TypeKind::kTime: return Kind::kTime;
        case TypeKind::kTimestamp: return Kind::kTimestamp;
        case TypeKind::kTimestampTz: return Kind::kTimestampTz;
        case TypeKind::kTimestampNs: return Kind::kTimestampNs;
        case TypeKind::kTimestampTzNs: return Kind::kTimestampTzNs;
        case TypeKind::kString: return Kind::kString;
        case TypeKind::kUuid: return Kind::kUuid;
        case TypeKind::kFixed:
        case TypeKind::kBinary: return Kind::kBinary;
        case TypeKind::kVariant:
        case TypeKind::kGeometry:
        case TypeKind::kGeography:
        case TypeKind::kNested: return std::nullopt;
    }
    return std::nullopt;
}

Status SetType(const Json& type, const std::string& path, int depth, Column* column);

// A list's element, or a map's key or value.
Status AddPart(const Json& type, const char* name, const std::string& path, int depth, Column* column) {
    Column& part = column->children.emplace_back();
    IVY_ASSIGN_OR_RETURN(part.id, iceberg::RequiredInt32(type, (std::string(name) + "-id").c_str()));
    part.field_id = part.id;
    part.name = part.physical_name = name;
    const auto inner = type.find(name);
    if (inner == type.end()) return BadSchema("column \"" + path + "\" has no " + name + " type");
    return SetType(*inner, path + "." + name, depth + 1, &part);
}

Status AddField(const Json& json, const std::string& prefix, int depth, std::vector<Column>* columns) {
    Column& column = columns->emplace_back();
    IVY_ASSIGN_OR_RETURN(column.id, iceberg::RequiredInt32(json, "id"));
    IVY_ASSIGN_OR_RETURN(column.name, iceberg::RequiredString(json, "name"));
    column.field_id = column.id;
    column.physical_name = column.name;
    const auto type = json.find("type");
    if (type == json.end()) return BadSchema("column \"" + prefix + column.name + "\" has no type");
    if (const auto value = json.find("initial-default"); value != json.end() && !value->is_null()) {
        column.initial_default = *value;
    }
    return SetType(*type, prefix + column.name, depth, &column);
}

Status SetType(const Json& type, const std::string& path, int depth, Column* column) {
    if (depth > kMaxTypeDepth) return BadSchema("column \"" + path + "\" is nested too deeply");
    if (type.is_string()) {
        const std::string& text = type.get_ref<const std::string&>();
        const Result<iceberg::PrimitiveType> parsed = iceberg::ParseType(text);
        const std::optional<Kind> kind = parsed.ok() ? KindOf(parsed->kind) : std::nullopt;
        if (!kind) return UnsupportedType(path, text);
        column->kind = *kind;
        column->precision = parsed->precision;
        column->scale = parsed->scale;
        return Status::Ok();
    }
    IVY_ASSIGN_OR_RETURN(const std::string name, iceberg::RequiredString(type, "type"));
    if (name == "struct") {
        column->kind = Kind::kStruct;
        IVY_ASSIGN_OR_RETURN(const Json* fields, iceberg::OptionalArray(type, "fields"));
        if (fields == nullptr || fields->empty()) return UnsupportedType(path, "struct without fields");
        for (const Json& field : *fields) {
            IVY_RETURN_IF_ERROR(AddField(field, path + ".", depth + 1, &column->children));
        }
        return Status::Ok();
    }
    if (name == "list") {
        column->kind = Kind::kList;
        return AddPart(type, "element", path, depth, column);
    }
    if (name == "map") {
        column->kind = Kind::kMap;
        IVY_RETURN_IF_ERROR(AddPart(type, "key", path, depth, column));
        return AddPart(type, "value", path, depth, column);
    }
    return UnsupportedType(path, name);
}

Status CheckIds(const std::vector<Column>& columns, std::set<int>* ids) {
    for (const Column& column : columns) {
        if (column.id < 1 || !ids->insert(column.id).second) {
            return BadSchema("field id " + std::to_string(column.id) + " is out of range or used twice");
        }
        IVY_RETURN_IF_ERROR(CheckIds(column.children, ids));
    }
    return Status::Ok();
}

using NamesById = std::map<int64_t, std::vector<std::string>>;

Status CollectNames(const Json& mapping, int depth, NamesById* names) {
    if (depth > kMaxTypeDepth || !mapping.is_array()) return BadSchema("the name mapping is malformed");
    for (const Json& entry : mapping) {
        IVY_ASSIGN_OR_RETURN(const auto id, iceberg::OptionalInt(entry, "field-id"));
        IVY_ASSIGN_OR_RETURN(const Json* list, iceberg::OptionalArray(entry, "names"));
        if (id && list != nullptr) {
            for (const Json& name : *list) {
                if (name.is_string()) (*names)[*id].push_back(name.get<std::string>());
            }
        }
        IVY_ASSIGN_OR_RETURN(const Json* fields, iceberg::OptionalArray(entry, "fields"));
        if (fields != nullptr) IVY_RETURN_IF_ERROR(CollectNames(*fields, depth + 1, names));
    }
    return Status::Ok();
}

void EnterNames(const NamesById& names, std::vector<Column>* columns) {
    for (Column& column : *columns) {
        if (const auto found = names.find(column.id); found != names.end()) column.mapped_names = found->second;
        EnterNames(names, &column.children);
    }
}

}  // namespace

Result<std::vector<Column>> ColumnsOfIceberg(const iceberg::Schema& schema) {
    IVY_ASSIGN_OR_RETURN(const Json json, iceberg::SchemaToJson(schema));
    std::vector<Column> columns;
    for (const Json& field : json["fields"]) IVY_RETURN_IF_ERROR(AddField(field, "", 1, &columns));
    std::set<int> ids;
    IVY_RETURN_IF_ERROR(CheckIds(columns, &ids));
    return columns;
}

Status ApplyNameMapping(const std::string& json, std::vector<Column>* columns) {
    IVY_ASSIGN_OR_RETURN(const Json mapping, iceberg::ParseJson(json, "schema.name-mapping.default"));
    NamesById names;
    IVY_RETURN_IF_ERROR(CollectNames(mapping, 1, &names));
    EnterNames(names, columns);
    return Status::Ok();
}

}  // namespace ivy::lake
