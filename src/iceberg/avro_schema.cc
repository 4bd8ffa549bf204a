// SPDX-License-Identifier: Apache-2.0
// Avro schemas: from JSON to linked Type nodes.
#include <unordered_map>

#include "iceberg/avro.h"
#include "iceberg/json.h"

namespace ivy::iceberg::avro {
namespace {

constexpr int64_t kMaxFixedSize = 1 << 20;
constexpr size_t kMaxTypes = 100000;  // bounds what a small but tangled schema can cost

Status Bad(const std::string& what) { return Status::Corrupt("Avro schema: " + what); }

}  // namespace

int Type::FieldIndex(int id, std::string_view field_name) const {
    bool any_ids = false;
    for (size_t i = 0; i < fields.size(); i++) {
        if (fields[i].id == id) return static_cast<int>(i);
        any_ids = any_ids || fields[i].id.has_value();
    }
    if (any_ids) return -1;
    for (size_t i = 0; i < fields.size(); i++) {
        if (fields[i].name == field_name) return static_cast<int>(i);
    }
    return -1;
}

const Type& Type::NonNull() const {
    if (kind != Kind::kUnion || branches.size() != 2) return *this;
    if (branches[0]->kind == Kind::kNull) return *branches[1];
    if (branches[1]->kind == Kind::kNull) return *branches[0];
    return *this;
}

class SchemaParser {
  public:
    explicit SchemaParser(Schema* schema) : schema_(schema) {
        static constexpr std::pair<const char*, Kind> kPrimitives[] = {
            {"null", Kind::kNull},   {"boolean", Kind::kBoolean}, {"int", Kind::kInt},     {"long", Kind::kLong},
            {"float", Kind::kFloat}, {"double", Kind::kDouble},   {"bytes", Kind::kBytes}, {"string", Kind::kString},
        };
        for (const auto& [name, kind] : kPrimitives) {
            Type* type = NewType(kind);
            type->name = name;
            named_[name] = type;
        }
    }

    // "space" is the enclosing namespace, which unqualified names are relative to.
    Result<const Type*> Parse(const Json& json, const std::string& space) {
        if (schema_->types_.size() > kMaxTypes) return Bad("too many types");
        if (json.is_string()) return Named(json.get_ref<const std::string&>(), space);
        if (json.is_array()) return Union(json, space);
        if (!json.is_object()) return Bad("a type is neither a name nor an object nor an array");
        const auto found = json.find("type");
        if (found == json.end()) return Bad("an object has no type");
        if (!found->is_string()) return Parse(*found, space);
        const std::string& kind = found->get_ref<const std::string&>();
        if (kind == "record" || kind == "error") return Record(json, space);
        if (kind == "enum") return Enum(json, space);
        if (kind == "fixed") return Fixed(json, space);
        if (kind == "array" || kind == "map")
            return Container(json, space, kind == "array" ? Kind::kArray : Kind::kMap);
        IVY_ASSIGN_OR_RETURN(const Type* named, Named(kind, space));
        IVY_ASSIGN_OR_RETURN(const auto logical, OptionalString(json, "logicalType"));
        if (!logical || named->kind == Kind::kRecord) return named;
        Type* annotated = NewType(named->kind);
        *annotated = *named;
        annotated->logical_type = *logical;
        return annotated;
    }

  private:
    Type* NewType(Kind kind) {
        schema_->types_.push_back(std::make_unique<Type>());
        schema_->types_.back()->kind = kind;
        return schema_->types_.back().get();
    }

    Result<const Type*> Named(const std::string& name, const std::string& space) {
        if (!space.empty() && name.find('.') == std::string::npos) {
            const auto found = named_.find(space + "." + name);
            if (found != named_.end()) return found->second;
        }
        const auto found = named_.find(name);
        if (found == named_.end()) return Bad("type \"" + name + "\" is not defined");
        return found->second;
    }

    // Makes the node of a named type and enters its full name; "*space" becomes its namespace.
    Result<Type*> Define(const Json& json, Kind kind, std::string* space) {
        IVY_ASSIGN_OR_RETURN(std::string name, RequiredString(json, "name"));
        IVY_ASSIGN_OR_RETURN(const auto own_space, OptionalString(json, "namespace"));
        const size_t dot = name.find_last_of('.');
        if (dot != std::string::npos)
            *space = name.substr(0, dot);
        else if (own_space)
            *space = *own_space;
        if (dot == std::string::npos && !space->empty()) name = *space + "." + name;
        Type* type = NewType(kind);
        type->name = name;
        IVY_ASSIGN_OR_RETURN(const auto logical, OptionalString(json, "logicalType"));
        type->logical_type = logical.value_or("");
        if (!named_.emplace(name, type).second) return Bad("type \"" + name + "\" is defined twice");
        return type;
    }

    Result<const Type*> Union(const Json& json, const std::string& space) {
        Type* type = NewType(Kind::kUnion);
        if (json.empty()) return Bad("a union has no branches");
        for (const Json& branch : json) {
            IVY_ASSIGN_OR_RETURN(const Type* parsed, Parse(branch, space));
            if (parsed->kind == Kind::kUnion) return Bad("a union is directly in a union");
            type->branches.push_back(parsed);
        }
        return type;
    }

    Result<const Type*> Record(const Json& json, std::string space) {
        IVY_ASSIGN_OR_RETURN(Type * type, Define(json, Kind::kRecord, &space));
        IVY_ASSIGN_OR_RETURN(const Json* fields, OptionalArray(json, "fields"));
        if (fields == nullptr) return Bad("record \"" + type->name + "\" has no fields");
        for (const Json& member : *fields) {
            if (!member.is_object()) return Bad("a field is not an object");
            Field field;
            IVY_ASSIGN_OR_RETURN(field.name, RequiredString(member, "name"));
            IVY_ASSIGN_OR_RETURN(const auto id, OptionalInt(member, "field-id"));
            if (id && (*id < 0 || *id > INT32_MAX)) return Bad("a field id is out of range");
            if (id) field.id = static_cast<int>(*id);
            const auto found = member.find("type");
            if (found == member.end()) return Bad("field \"" + field.name + "\" has no type");
            IVY_ASSIGN_OR_RETURN(field.type, Parse(*found, space));
            type->fields.push_back(std::move(field));
        }
        return type;
    }

    Result<const Type*> Enum(const Json& json, std::string space) {
        IVY_ASSIGN_OR_RETURN(Type * type, Define(json, Kind::kEnum, &space));
        IVY_ASSIGN_OR_RETURN(const Json* symbols, OptionalArray(json, "symbols"));
        if (symbols == nullptr) return Bad("enum \"" + type->name + "\" has no symbols");
        for (const Json& symbol : *symbols) {
            if (!symbol.is_string()) return Bad("a symbol is not a string");
            type->symbols.push_back(symbol.get_ref<const std::string&>());
        }
        return type;
    }

    Result<const Type*> Fixed(const Json& json, std::string space) {
        IVY_ASSIGN_OR_RETURN(Type * type, Define(json, Kind::kFixed, &space));
        IVY_ASSIGN_OR_RETURN(type->size, RequiredInt(json, "size"));
        if (type->size < 0 || type->size > kMaxFixedSize)
            return Bad("the size of \"" + type->name + "\" is out of range");
        return type;
    }

    Result<const Type*> Container(const Json& json, const std::string& space, Kind kind) {
        Type* type = NewType(kind);
        const auto found = json.find(kind == Kind::kArray ? "items" : "values");
        if (found == json.end()) return Bad("an array or map has no item type");
        IVY_ASSIGN_OR_RETURN(const auto logical, OptionalString(json, "logicalType"));
        type->logical_type = logical.value_or("");
        IVY_ASSIGN_OR_RETURN(type->items, Parse(*found, space));
        return type;
    }

    Schema* schema_;
    std::unordered_map<std::string, const Type*> named_;
};

Result<std::shared_ptr<const Schema>> Schema::Parse(std::string_view json) {
    IVY_ASSIGN_OR_RETURN(const Json parsed, ParseJson(json, "Avro schema"));
    auto schema = std::make_shared<Schema>();
    SchemaParser parser(schema.get());
    IVY_ASSIGN_OR_RETURN(schema->root_, parser.Parse(parsed, ""));
    return std::shared_ptr<const Schema>(std::move(schema));
}

}  // namespace ivy::iceberg::avro
