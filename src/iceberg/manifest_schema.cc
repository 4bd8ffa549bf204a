// SPDX-License-Identifier: Apache-2.0
#include "iceberg/manifest_schema.h"

#include "iceberg/json.h"

namespace ivy::iceberg {
namespace {

Json Required(int id, const char* name, Json type) {
    return {{"name", name}, {"type", std::move(type)}, {"field-id", id}};
}

Json Optional(int id, const char* name, Json type) {
    return {{"name", name}, {"type", Json::array({"null", std::move(type)})}, {"default", nullptr}, {"field-id", id}};
}

Json Record(const std::string& name, Json fields) {
    return {{"type", "record"}, {"name", name}, {"fields", std::move(fields)}};
}

Json ListOf(int element_id, Json element) {
    return {{"type", "array"}, {"items", std::move(element)}, {"element-id", element_id}};
}

// A map with int keys: an array of key-value records.
Json MapOf(int key_id, int value_id, const char* value_type) {
    const std::string name = "k" + std::to_string(key_id) + "_v" + std::to_string(value_id);
    Json pair = Record(name, Json::array({Required(key_id, "key", "int"), Required(value_id, "value", value_type)}));
    return {{"type", "array"}, {"logicalType", "map"}, {"items", std::move(pair)}};
}

}  // namespace

std::string ManifestAvroSchema(int format_version) {
    Json file = Json::array({
        Required(134, "content", "int"),
        Required(100, "file_path", "string"),
        Required(101, "file_format", "string"),
        Required(102, "partition", Record("r102", Json::array())),
        Required(103, "record_count", "long"),
        Required(104, "file_size_in_bytes", "long"),
        Optional(108, "column_sizes", MapOf(117, 118, "long")),
        Optional(109, "value_counts", MapOf(119, 120, "long")),
        Optional(110, "null_value_counts", MapOf(121, 122, "long")),
        Optional(137, "nan_value_counts", MapOf(138, 139, "long")),
        Optional(125, "lower_bounds", MapOf(126, 127, "bytes")),
        Optional(128, "upper_bounds", MapOf(129, 130, "bytes")),
        Optional(131, "key_metadata", "bytes"),
        Optional(132, "split_offsets", ListOf(133, "long")),
        Optional(135, "equality_ids", ListOf(136, "int")),
        Optional(140, "sort_order_id", "int"),
    });
    if (format_version >= 3) file.push_back(Optional(142, "first_row_id", "long"));
    file.push_back(Optional(143, "referenced_data_file", "string"));
    if (format_version >= 3) {
        file.push_back(Optional(144, "content_offset", "long"));
        file.push_back(Optional(145, "content_size_in_bytes", "long"));
    }
    return Record("manifest_entry", Json::array({
                                        Required(0, "status", "int"),
                                        Optional(1, "snapshot_id", "long"),
                                        Optional(3, "sequence_number", "long"),
                                        Optional(4, "file_sequence_number", "long"),
                                        Required(2, "data_file", Record("r2", std::move(file))),
                                    }))
        .dump();
}

std::string ManifestListAvroSchema(int format_version) {
    Json summary = Record("r508", Json::array({
                                      Required(509, "contains_null", "boolean"),
                                      Optional(518, "contains_nan", "boolean"),
                                      Optional(510, "lower_bound", "bytes"),
                                      Optional(511, "upper_bound", "bytes"),
                                  }));
    Json fields = Json::array({
        Required(500, "manifest_path", "string"),
        Required(501, "manifest_length", "long"),
        Required(502, "partition_spec_id", "int"),
        Required(517, "content", "int"),
        Required(515, "sequence_number", "long"),
        Required(516, "min_sequence_number", "long"),
        Required(503, "added_snapshot_id", "long"),
        Required(504, "added_files_count", "int"),
        Required(505, "existing_files_count", "int"),
        Required(506, "deleted_files_count", "int"),
        Required(512, "added_rows_count", "long"),
        Required(513, "existing_rows_count", "long"),
        Required(514, "deleted_rows_count", "long"),
        Optional(507, "partitions", ListOf(508, std::move(summary))),
        Optional(519, "key_metadata", "bytes"),
    });
    if (format_version >= 3) fields.push_back(Optional(520, "first_row_id", "long"));
    return Record("manifest_file", std::move(fields)).dump();
}

}  // namespace ivy::iceberg
