// SPDX-License-Identifier: Apache-2.0
//
// Schema: an Iceberg table's columns. Types are kept as Iceberg's own strings ("int", "decimal(10,2)", ...); nested types,
// which only foreign tables have, as their JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"

namespace ivy::iceberg {

struct Field {
    int id = 0;
    std::string name;
    std::string type;  // a primitive type's name, or the JSON text of a nested type
    bool required = false;
    std::string doc;
    std::optional<std::string> initial_default, write_default;  // JSON values, v3
    bool operator==(const Field&) const = default;
};

struct Schema {
    int id = 0;
    std::vector<Field> fields;
    std::vector<int> identifier_field_ids;
    bool SameFields(const Schema& other) const {
        return fields == other.fields && identifier_field_ids == other.identifier_field_ids;
    }
};

// The schema's JSON form (appendix C of the specification). An error for a nested type or default that is not JSON.
Result<nlohmann::json> SchemaToJson(const Schema& schema);
Result<Schema> SchemaFromJson(const nlohmann::json& json);

// Whether a table of this format version may have the schema: ids positive, unique and not reserved, names unique and in
// UTF-8, types known, version 3's types and defaults not in version 2.
Status CheckSchema(const Schema& schema, int format_version);

// The largest field id in the schema, those inside nested types counted.
int LargestFieldId(const Schema& schema);

}  // namespace ivy::iceberg
