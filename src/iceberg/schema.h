// SPDX-License-Identifier: Apache-2.0
//
// Schema: an Iceberg table's columns. Types are kept as Iceberg's own strings ("int", "decimal(10,2)", ...); nested types,
// which only foreign tables have, as their JSON.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace ivy::iceberg {

struct Field {
    int id = 0;
    std::string name;
    std::string type;       // a primitive type's name, or the JSON text of a nested type
    bool required = false;
    std::string doc;
    std::optional<std::string> initial_default, write_default;  // JSON values, v3
    bool operator==(const Field&) const = default;
};

struct Schema {
    int id = 0;
    std::vector<Field> fields;
    std::vector<int> identifier_field_ids;
    bool SameFields(const Schema& other) const { return fields == other.fields && identifier_field_ids == other.identifier_field_ids; }
};

}  // namespace ivy::iceberg
