// SPDX-License-Identifier: Apache-2.0
//
// ivy_iceberg_tool: the Iceberg library on the command line, for the interoperability tests. Requests and answers are JSON.
//
//   ivy_iceberg_tool create < {"location", "version", "schema", "properties"}     → {"metadata"}
//   ivy_iceberg_tool commit < {"metadata", "changes": [...], "delete_expired"}    → {"metadata", "expired"}
//   ivy_iceberg_tool dump   < {"metadata"}                                        → the table's live files
//   ivy_iceberg_tool encode < [{"type", "value"}, ...]                            → [hexadecimal single values]
//
// "commit" applies its changes one after the other with one Table object and publishes each. Values for "encode" are text.
#include <iostream>
#include <iterator>

#include "iceberg/deletion_vector.h"
#include "iceberg/json.h"
#include "iceberg/metadata.h"
#include "iceberg/single_value.h"
#include "iceberg/table.h"

namespace ivy::iceberg {
namespace {

std::string Hex(std::string_view bytes) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string hex;
    for (const unsigned char byte : bytes) {
        hex.push_back(kDigits[byte >> 4]);
        hex.push_back(kDigits[byte & 15]);
    }
    return hex;
}

std::string FromHex(const std::string& hex) {
    std::string bytes;
    for (size_t i = 0; i + 1 < hex.size(); i += 2)
        bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
    return bytes;
}

template <typename T, typename Get>
void ReadMetric(const Json& json, const char* name, std::map<int, T>* map, Get get) {
    const Json members = json.value(name, Json::object());
    for (const auto& [id, value] : members.items()) (*map)[std::stoi(id)] = get(value);
}

DataFile FileFromJson(const Json& json) {
    DataFile file;
    file.path = json.at("path");
    file.record_count = json.at("record_count");
    file.file_size = json.at("file_size");
    file.content = static_cast<Content>(json.value("content", 0));
    if (json.contains("referenced_data_file")) file.referenced_data_file = json["referenced_data_file"];
    const auto number = [](const Json& value) { return value.get<int64_t>(); };
    const auto bytes = [](const Json& value) { return FromHex(value); };
    ReadMetric(json, "column_sizes", &file.metrics.column_sizes, number);
    ReadMetric(json, "value_counts", &file.metrics.value_counts, number);
    ReadMetric(json, "null_value_counts", &file.metrics.null_value_counts, number);
    ReadMetric(json, "lower_bounds", &file.metrics.lower_bounds, bytes);
    ReadMetric(json, "upper_bounds", &file.metrics.upper_bounds, bytes);
    file.split_offsets = json.value("split_offsets", std::vector<int64_t>());
    return file;
}

template <typename T, typename Put>
Json MetricToJson(const std::map<int, T>& map, Put put) {
    Json json = Json::object();
    for (const auto& [id, value] : map) json[std::to_string(id)] = put(value);
    return json;
}

Json FileToJson(FileIo* io, const DataFile& file) {
    const auto number = [](int64_t value) { return Json(value); };
    const auto bytes = [](const std::string& value) { return Json(Hex(value)); };
    Json json = {
        {"content", static_cast<int>(file.content)},
        {"path", file.path},
        {"format", file.format},
        {"record_count", file.record_count},
        {"file_size", file.file_size},
        {"value_counts", MetricToJson(file.metrics.value_counts, number)},
        {"null_value_counts", MetricToJson(file.metrics.null_value_counts, number)},
        {"lower_bounds", MetricToJson(file.metrics.lower_bounds, bytes)},
        {"upper_bounds", MetricToJson(file.metrics.upper_bounds, bytes)},
        {"sequence_number", file.sequence_number},
        {"snapshot_id", file.snapshot_id},
        {"partition", file.partition_json},
    };
    if (file.first_row_id) json["first_row_id"] = *file.first_row_id;
    if (file.referenced_data_file) json["referenced_data_file"] = *file.referenced_data_file;
    if (file.format == "PUFFIN") {
        const auto rows = ReadDeletionVector(io, file);
        if (!rows.ok()) throw std::runtime_error(rows.error().message);
        for (const uint64_t row : *rows) json["rows"].push_back(row);
    }
    return json;
}

template <typename T>
T Need(Result<T> result) {
    if (!result.ok()) throw std::runtime_error(result.error().message);
    return std::move(result).value();
}

Change ChangeFromJson(FileIo* io, const std::string& location, const Json& json) {
    Change change;
    change.operation = json.value("operation", "append");
    for (const Json& file : json.value("added", Json::array())) change.added.push_back(FileFromJson(file));
    change.removed = json.value("removed", std::vector<std::string>());
    for (const Json& file : json.value("position_deletes", Json::array()))
        change.position_deletes.push_back(FileFromJson(file));
    change.summary = json.value("summary", std::map<std::string, std::string>());
    change.properties = json.value("properties", std::map<std::string, std::string>());
    change.keep_snapshots = json.value("keep_snapshots", 100);
    if (json.contains("schema")) change.schema = Need(SchemaFromJson(json["schema"]));
    const Json deletes = json.value("deletes", Json::object());  // path of data file → all its deleted rows
    if (deletes.empty()) return change;
    std::vector<DeletedRows> rows(deletes.size());
    std::vector<std::pair<std::string, const DeletedRows*>> vectors;
    for (const auto& [path, positions] : deletes.items()) {
        DeletedRows& target = rows[vectors.size()];
        for (const Json& position : positions) target.add(position.get<uint64_t>());
        vectors.emplace_back(path, &target);
    }
    change.deletion_vectors = Need(WriteDeletionVectors(io, location + "/data/" + NewUuid() + ".puffin", vectors));
    return change;
}

SingleValue ValueFromText(const PrimitiveType& type, const std::string& text) {
    switch (type.kind) {
        case TypeKind::kBoolean: return text == "true";
        case TypeKind::kInt:
        case TypeKind::kDate: return static_cast<int32_t>(std::stol(text));
        case TypeKind::kFloat: return std::stof(text);
        case TypeKind::kDouble: return std::stod(text);
        case TypeKind::kDecimal: {
            Int128 value = 0;
            for (const char c : text) {
                if (c != '-') value = value * 10 + (c - '0');
            }
            return text.starts_with('-') ? -value : value;
        }
        case TypeKind::kString: return text;
        case TypeKind::kBinary:
        case TypeKind::kFixed:
        case TypeKind::kUuid: return FromHex(text);
        default: return static_cast<int64_t>(std::stoll(text));
    }
}

Json Run(const std::string& command, const Json& request) {
    const auto io = MakeLocalFileIo();
    if (command == "create") {
        const auto table = Need(Table::Create(io.get(), request.at("location"),
                                              Need(SchemaFromJson(request.at("schema"))), request.at("version"),
                                              request.value("properties", std::map<std::string, std::string>())));
        return {{"metadata", table->metadata_location()}};
    }
    if (command == "encode") {
        Json answer = Json::array();
        for (const Json& item : request) {
            const PrimitiveType type = Need(ParseType(item.at("type").get<std::string>()));
            answer.push_back(Hex(Need(EncodeSingleValue(type, ValueFromText(type, item.at("value"))))));
        }
        return answer;
    }
    const auto table = Need(Table::Load(io.get(), request.at("metadata")));
    if (command == "dump") {
        Json answer = {{"location", table->location()},
                       {"version", table->format_version()},
                       {"summary", table->snapshot_summary()}};
        answer["data_files"] = answer["delete_files"] = Json::array();
        for (const DataFile& file : table->data_files()) answer["data_files"].push_back(FileToJson(io.get(), file));
        for (const DataFile& file : table->delete_files()) answer["delete_files"].push_back(FileToJson(io.get(), file));
        return answer;
    }
    if (command != "commit") throw std::runtime_error("unknown command " + command);
    Json answer = {{"expired", Json::array()}};
    for (const Json& change : request.at("changes")) {
        const CommitResult result = Need(table->Commit(ChangeFromJson(io.get(), table->location(), change)));
        const Status published = table->Publish();
        if (!published.ok()) throw std::runtime_error(published.error().message);
        for (const std::string& path : result.expired) {
            answer["expired"].push_back(path);
            if (request.value("delete_expired", false)) (void)io->DeleteFile(path).ok();
        }
    }
    answer["metadata"] = table->metadata_location();
    return answer;
}

}  // namespace
}  // namespace ivy::iceberg

int main(int argc, char** argv) {
    try {
        const std::string input{std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
        std::cout << ivy::iceberg::Run(argc > 1 ? argv[1] : "", nlohmann::json::parse(input)).dump() << "\n";
        return 0;
    } catch (const std::exception& error) {
        std::cerr << "ivy_iceberg_tool: " << error.what() << "\n";
        return 1;
    }
}
