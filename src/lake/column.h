// SPDX-License-Identifier: Apache-2.0
//
// Column: a column of a foreign table, the same for Iceberg and Delta Lake, nested types as trees.
//
// A column has three names: what users see, what data files and the log call it, and a field id that survives renames.
// How a file's columns are found is the table's Matching.
//
// Formats: https://iceberg.apache.org/spec/#schemas-and-data-types and appendix C; Delta Lake's PROTOCOL.md, "Schema
// Serialization Format" and "Column Mapping".
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "iceberg/json.h"
#include "iceberg/schema.h"

namespace ivy::lake {

using iceberg::Json;

enum class Kind {
    kBoolean,
    kInt8,
    kInt16,
    kInt32,
    kInt64,
    kFloat,
    kDouble,
    kDecimal,
    kDate,
    kTime,
    kTimestamp,
    kTimestampTz,
    kTimestampNs,
    kTimestampTzNs,
    kString,
    kUuid,
    kBinary,
    kNull,  // a type without values but NULL: Iceberg's "unknown", Delta's "void"
    kStruct,
    kList,
    kMap,
};

struct Column {
    std::string name;             // as users see it
    std::string physical_name;    // in data files and in Delta's log
    int id = 0;                   // unique in the table, 1 or more; Iceberg's field id, or a number of our own
    std::optional<int> field_id;  // the id in data files, if they are matched by it
    Kind kind = Kind::kNull;
    int precision = 0, scale = 0;           // decimal: 1..38 digits, 0..precision of them behind the point
    std::vector<Column> children;           // struct: its fields; list: its element; map: its key and its value
    std::optional<Json> initial_default;    // the value in files that lack the column (Iceberg 3); none: NULL
    std::vector<std::string> mapped_names;  // names in files without field ids (Iceberg's default name mapping)

    bool IsNested() const { return kind == Kind::kStruct || kind == Kind::kList || kind == Kind::kMap; }
};

// Whether the column or a part of it is a floating-point number.
bool HasFloatingPoint(const Column& column);
// Whether a part of the column has a default of its own.
bool HasInnerDefault(const Column& column);

// How the columns of data files are found.
enum class Matching {
    kByFieldId,  // by field id; in a file that has none, by Column::mapped_names
    kByPhysicalName,
};

// The columns of an Iceberg schema. An error names the first column of a type that cannot be read.
Result<std::vector<Column>> ColumnsOfIceberg(const iceberg::Schema& schema);

// Enters an Iceberg table's property "schema.name-mapping.default" (a JSON text) into its columns.
Status ApplyNameMapping(const std::string& json, std::vector<Column>* columns);

// The columns of a Delta table's schemaString. "mode" is the table property delta.columnMapping.mode: none, name or id.
Result<std::vector<Column>> ColumnsOfDelta(const std::string& schema_json, const std::string& mode);

}  // namespace ivy::lake
