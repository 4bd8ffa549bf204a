// SPDX-License-Identifier: Apache-2.0
#include "iceberg/schema.h"

#include <algorithm>
#include <set>

#include "iceberg/json.h"
#include "iceberg/single_value.h"

namespace ivy::iceberg {
namespace {

constexpr int kLargestFreeFieldId = INT32_MAX - 200;  // those above are reserved for metadata columns

Result<std::string> TypeText(const Json& json) {
    if (json.is_string()) return json.get<std::string>();
    if (json.is_object()) return DumpJson(json);
    return Status::Corrupt("schema: a field's type is neither a name nor an object");
}

// Collects the ids in a nested type: of a struct's fields, a list's element, a map's key and value.
void CollectIds(const Json& type, std::vector<int64_t>* ids) {
    if (!type.is_object()) return;
    for (const char* key : {"element-id", "key-id", "value-id"}) {
        if (const auto found = type.find(key); found != type.end() && found->is_number_integer())
            ids->push_back(found->get<int64_t>());
    }
    for (const char* key : {"element", "key", "value"}) {
        if (const auto found = type.find(key); found != type.end()) CollectIds(*found, ids);
    }
    const auto fields = type.find("fields");
    if (fields == type.end() || !fields->is_array()) return;
    for (const Json& field : *fields) {
        if (!field.is_object()) continue;
        if (const auto id = field.find("id"); id != field.end() && id->is_number_integer())
            ids->push_back(id->get<int64_t>());
        if (const auto inner = field.find("type"); inner != field.end()) CollectIds(*inner, ids);
    }
}

std::vector<int64_t> AllIds(const Schema& schema) {
    std::vector<int64_t> ids;
    for (const Field& field : schema.fields) {
        ids.push_back(field.id);
        if (!field.type.starts_with('{')) continue;
        const Result<Json> type = ParseJson(field.type, "type");
        if (type.ok()) CollectIds(*type, &ids);
    }
    return ids;
}

Status Bad(const std::string& what) { return Status::Make(sqlstate::kInvalidParameter, "Iceberg schema: " + what); }

}  // namespace

Result<Json> SchemaToJson(const Schema& schema) {
    Json fields = Json::array();
    for (const Field& field : schema.fields) {
        Json json = {{"id", field.id}, {"name", field.name}, {"required", field.required}};
        json["type"] = field.type;
        if (field.type.starts_with('{')) {
            IVY_ASSIGN_OR_RETURN(json["type"], ParseJson(field.type, "type of " + field.name));
        }
        if (!field.doc.empty()) json["doc"] = field.doc;
        if (field.initial_default) {
            IVY_ASSIGN_OR_RETURN(json["initial-default"],
                                 ParseJson(*field.initial_default, "default of " + field.name));
        }
        if (field.write_default) {
            IVY_ASSIGN_OR_RETURN(json["write-default"], ParseJson(*field.write_default, "default of " + field.name));
        }
        fields.push_back(std::move(json));
    }
    Json json = {{"type", "struct"}, {"schema-id", schema.id}, {"fields", std::move(fields)}};
    if (!schema.identifier_field_ids.empty()) json["identifier-field-ids"] = schema.identifier_field_ids;
    return json;
}

Result<Schema> SchemaFromJson(const Json& json) {
    if (!json.is_object()) return Status::Corrupt("schema: not an object");
    Schema schema;
    IVY_ASSIGN_OR_RETURN(const auto id, OptionalInt(json, "schema-id"));
    schema.id = static_cast<int>(id.value_or(0));
    IVY_ASSIGN_OR_RETURN(const Json* fields, OptionalArray(json, "fields"));
    if (fields == nullptr) return Status::Corrupt("schema: no fields");
    for (const Json& member : *fields) {
        Field field;
        IVY_ASSIGN_OR_RETURN(field.id, RequiredInt32(member, "id"));
        IVY_ASSIGN_OR_RETURN(field.name, RequiredString(member, "name"));
        IVY_ASSIGN_OR_RETURN(const auto required, OptionalBool(member, "required"));
        field.required = required.value_or(false);
        const auto type = member.find("type");
        if (type == member.end()) return Status::Corrupt("schema: field \"" + field.name + "\" has no type");
        IVY_ASSIGN_OR_RETURN(field.type, TypeText(*type));
        IVY_ASSIGN_OR_RETURN(const auto doc, OptionalString(member, "doc"));
        field.doc = doc.value_or("");
        const auto default_text = [&member](const char* key, std::optional<std::string>* text) -> Status {
            const auto found = member.find(key);
            if (found == member.end() || found->is_null()) return Status::Ok();
            IVY_ASSIGN_OR_RETURN(*text, DumpJson(*found));
            return Status::Ok();
        };
        IVY_RETURN_IF_ERROR(default_text("initial-default", &field.initial_default));
        IVY_RETURN_IF_ERROR(default_text("write-default", &field.write_default));
        schema.fields.push_back(std::move(field));
    }
    IVY_ASSIGN_OR_RETURN(const Json* identifiers, OptionalArray(json, "identifier-field-ids"));
    if (identifiers == nullptr) return schema;
    for (const Json& identifier : *identifiers) {
        if (!identifier.is_number_integer()) return Status::Corrupt("schema: an identifier field id is not an integer");
        schema.identifier_field_ids.push_back(identifier.get<int>());
    }
    return schema;
}

Status CheckSchema(const Schema& schema, int format_version) {
    std::set<std::string> names;
    std::set<int64_t> ids;
    for (const int64_t id : AllIds(schema)) {
        if (id < 1 || id > kLargestFreeFieldId) return Bad("field id " + std::to_string(id) + " is out of range");
        if (!ids.insert(id).second) return Bad("field id " + std::to_string(id) + " is used twice");
    }
    for (const Field& field : schema.fields) {
        if (field.name.empty()) return Bad("a field has no name");
        IVY_RETURN_IF_ERROR(DumpJson(Json::array({field.name, field.doc})).status());  // UTF-8?
        if (!names.insert(field.name).second) return Bad("field name \"" + field.name + "\" is used twice");
        IVY_ASSIGN_OR_RETURN(const PrimitiveType type, ParseType(field.type));
        const bool new_type = type.kind == TypeKind::kUnknown || type.kind == TypeKind::kTimestampNs ||
                              type.kind == TypeKind::kTimestampTzNs || type.kind == TypeKind::kVariant ||
                              type.kind == TypeKind::kGeometry || type.kind == TypeKind::kGeography;
        if (format_version < 3 && (new_type || field.initial_default || field.write_default)) {
            return Bad("field \"" + field.name + "\" needs format version 3");
        }
        if (type.kind == TypeKind::kUnknown && field.required)
            return Bad("field \"" + field.name + "\" of type unknown is required");
    }
    for (const int id : schema.identifier_field_ids) {
        const auto field =
            std::find_if(schema.fields.begin(), schema.fields.end(), [id](const Field& f) { return f.id == id; });
        if (field == schema.fields.end() || !field->required || field->type == "float" || field->type == "double") {
            return Bad("field " + std::to_string(id) +
                       " cannot identify rows: it must be a required field, not float or double");
        }
    }
    return Status::Ok();
}

int LargestFieldId(const Schema& schema) {
    int64_t largest = 0;
    for (const int64_t id : AllIds(schema)) largest = std::max(largest, id);
    return static_cast<int>(std::min<int64_t>(largest, INT32_MAX));
}

}  // namespace ivy::iceberg
