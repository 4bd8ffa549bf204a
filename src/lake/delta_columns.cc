// SPDX-License-Identifier: Apache-2.0
// Delta Lake schemas as columns.
#include <charconv>
#include <string_view>

#include "lake/column_type.h"

namespace ivy::lake {
namespace {

constexpr std::pair<const char*, Kind> kPlainTypes[] = {
    {"string", Kind::kString},
    {"long", Kind::kInt64},
    {"integer", Kind::kInt32},
    {"short", Kind::kInt16},
    {"byte", Kind::kInt8},
    {"float", Kind::kFloat},
    {"double", Kind::kDouble},
    {"boolean", Kind::kBoolean},
    {"binary", Kind::kBinary},
    {"date", Kind::kDate},
    {"timestamp", Kind::kTimestampTz},
    {"timestamp_ntz", Kind::kTimestamp},
    {"void", Kind::kNull},
};

// "decimal(10,2)", also as "decimal", which is decimal(10,0).
bool ParseDecimal(std::string_view text, Column* column) {
    column->precision = 10;
    column->scale = 0;
    if (text == "decimal") return true;
    if (!text.starts_with("decimal(") || !text.ends_with(')')) return false;
    text = text.substr(8, text.size() - 9);
    const size_t comma = text.find(',');
    const auto number = [](std::string_view digits, int* out) {
        while (digits.starts_with(' ')) digits.remove_prefix(1);
        while (digits.ends_with(' ')) digits.remove_suffix(1);
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), *out);
        return error == std::errc() && end == digits.data() + digits.size();
    };
    if (!number(text.substr(0, comma), &column->precision)) return false;
    if (comma != std::string_view::npos && !number(text.substr(comma + 1), &column->scale)) return false;
    return column->precision >= 1 && column->precision <= 38 && column->scale >= 0 &&
           column->scale <= column->precision;
}

class Reader {
  public:
    explicit Reader(const std::string& mode) : mode_(mode) {}

    Status AddFields(const Json& type, const std::string& prefix, int depth, std::vector<Column>* columns) {
        IVY_ASSIGN_OR_RETURN(const Json* fields, iceberg::OptionalArray(type, "fields"));
        if (fields == nullptr) return BadSchema("a struct has no fields");
        columns->reserve(fields->size());
        for (const Json& field : *fields) IVY_RETURN_IF_ERROR(AddField(field, prefix, depth, columns));
        return Status::Ok();
    }

  private:
    Status AddField(const Json& json, const std::string& prefix, int depth, std::vector<Column>* columns) {
        Column& column = columns->emplace_back();
        column.id = ++last_id_;
        IVY_ASSIGN_OR_RETURN(column.name, iceberg::RequiredString(json, "name"));
        column.physical_name = column.name;
        if (mode_ != "none") {
            IVY_ASSIGN_OR_RETURN(const Json* metadata, iceberg::OptionalObject(json, "metadata"));
            static const Json kEmpty = Json::object();
            const Json& properties = metadata ? *metadata : kEmpty;
            IVY_ASSIGN_OR_RETURN(const auto name,
                                 iceberg::OptionalString(properties, "delta.columnMapping.physicalName"));
            if (!name) return BadSchema("column \"" + prefix + column.name + "\" has no physical name");
            column.physical_name = *name;
            if (mode_ == "id") {
                IVY_ASSIGN_OR_RETURN(column.field_id, iceberg::RequiredInt32(properties, "delta.columnMapping.id"));
            }
        }
        const auto type = json.find("type");
        if (type == json.end()) return BadSchema("column \"" + prefix + column.name + "\" has no type");
        return SetType(*type, prefix + column.name, depth, &column);
    }

    // An array's element, or a map's key or value.
    Status AddPart(const Json& type, const char* member, const char* name, const std::string& path, int depth,
                   Column* column) {
        Column& part = column->children.emplace_back();
        part.id = ++last_id_;
        part.name = part.physical_name = name;
        const auto inner = type.find(member);
        if (inner == type.end()) return BadSchema("column \"" + path + "\" has no " + member);
        return SetType(*inner, path + "." + name, depth + 1, &part);
    }

    Status SetType(const Json& type, const std::string& path, int depth, Column* column) {
        if (depth > kMaxTypeDepth) return BadSchema("column \"" + path + "\" is nested too deeply");
        if (type.is_string()) {
            const std::string& text = type.get_ref<const std::string&>();
            for (const auto& [name, kind] : kPlainTypes) {
                if (text != name) continue;
                column->kind = kind;
                return Status::Ok();
            }
            if (!ParseDecimal(text, column)) return UnsupportedType(path, text);
            column->kind = Kind::kDecimal;
            return Status::Ok();
        }
        IVY_ASSIGN_OR_RETURN(const std::string name, iceberg::RequiredString(type, "type"));
        if (name == "struct") {
            column->kind = Kind::kStruct;
            IVY_RETURN_IF_ERROR(AddFields(type, path + ".", depth + 1, &column->children));
            return column->children.empty() ? UnsupportedType(path, "struct without fields") : Status::Ok();
        }
        if (name == "array") {
            column->kind = Kind::kList;
            return AddPart(type, "elementType", "element", path, depth, column);
        }
        if (name == "map") {
            column->kind = Kind::kMap;
            IVY_RETURN_IF_ERROR(AddPart(type, "keyType", "key", path, depth, column));
            return AddPart(type, "valueType", "value", path, depth, column);
        }
        return UnsupportedType(path, name);
    }

    const std::string mode_;
    int last_id_ = 0;
};

}  // namespace

Result<std::vector<Column>> ColumnsOfDelta(const std::string& schema_json, const std::string& mode) {
    if (mode != "none" && mode != "name" && mode != "id") {
        return Status::Make(sqlstate::kFeatureNotSupported, "column mapping mode \"" + mode + "\" is not supported");
    }
    IVY_ASSIGN_OR_RETURN(const Json json, iceberg::ParseJson(schema_json, "the table's schemaString"));
    IVY_ASSIGN_OR_RETURN(const std::string type, iceberg::RequiredString(json, "type"));
    if (type != "struct") return BadSchema("the table's schema is not a struct");
    std::vector<Column> columns;
    IVY_RETURN_IF_ERROR(Reader(mode).AddFields(json, "", 1, &columns));
    return columns;
}

}  // namespace ivy::lake
