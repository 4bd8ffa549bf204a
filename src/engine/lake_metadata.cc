// SPDX-License-Identifier: Apache-2.0
#include "engine/lake_metadata.h"

#include <duckdb.hpp>

#include <duckdb/main/extension/extension_loader.hpp>

#include "engine/error_map.h"
#include "engine/lake_io.h"
#include "engine/lake_options.h"

namespace ivy::engine {
namespace {

using duckdb::LogicalType;
using duckdb::Value;
using Row = duckdb::vector<Value>;

// The rows are made while binding: they are what was read to know the table.
struct BindData final : public duckdb::TableFunctionData {
    std::shared_ptr<const std::vector<Row>> rows;

    duckdb::unique_ptr<duckdb::FunctionData> Copy() const override {
        auto copy = duckdb::make_uniq<BindData>();
        copy->rows = rows;
        return copy;
    }
    bool Equals(const duckdb::FunctionData& other) const override { return rows == other.Cast<BindData>().rows; }
    bool SupportStatementCache() const override { return false; }
};

struct GlobalState final : public duckdb::GlobalTableFunctionState {
    size_t next = 0;
};

using Columns = std::initializer_list<std::pair<const char*, LogicalType>>;

duckdb::unique_ptr<duckdb::FunctionData> Bound(std::vector<Row> rows, const Columns& columns,
                                               duckdb::vector<LogicalType>& types,
                                               duckdb::vector<duckdb::Identifier>& names) {
    for (const auto& [name, type] : columns) {
        names.emplace_back(name);
        types.push_back(type);
    }
    auto data = duckdb::make_uniq<BindData>();
    data->rows = std::make_shared<const std::vector<Row>>(std::move(rows));
    return data;
}

// The path and the options of a call.
std::pair<std::string, lake::IcebergOptions> Arguments(const duckdb::TableFunctionBindInput& input) {
    if (input.inputs[0].IsNull())
        ThrowSqlError(sqlstate::kInvalidParameter, "the path of a lake table must not be NULL");
    LakeOptions options;
    for (const auto& [name, value] : input.named_parameters) options.Parse(name.GetIdentifierName(), value);
    return {input.inputs[0].ToString(), options.ForIceberg()};
}

const char* ContentName(iceberg::Content content) {
    switch (content) {
        case iceberg::Content::kData: return "DATA";
        case iceberg::Content::kPositionDeletes: return "POSITION_DELETES";
        case iceberg::Content::kEqualityDeletes: return "EQUALITY_DELETES";
    }
    return "";
}

duckdb::unique_ptr<duckdb::FunctionData> BindMetadata(duckdb::ClientContext& context,
                                                      duckdb::TableFunctionBindInput& input,
                                                      duckdb::vector<LogicalType>& types,
                                                      duckdb::vector<duckdb::Identifier>& names) {
    const auto [path, options] = Arguments(input);
    LakeIo io(context);
    const lake::IcebergSnapshot snapshot = ValueOrThrow(lake::IcebergSnapshot::Load(&io, path, options));
    std::vector<Row> rows;
    for (const auto* entries : {&snapshot.data(), &snapshot.deletes()}) {
        for (const lake::IcebergEntry& entry : *entries) {
            const bool deletes = entry.file.content != iceberg::Content::kData;
            rows.push_back({Value(entry.manifest), Value::BIGINT(entry.manifest_sequence_number),
                            Value(deletes ? "DELETE" : "DATA"),
                            Value(entry.status == iceberg::EntryStatus::kAdded ? "ADDED" : "EXISTING"),
                            Value(ContentName(entry.file.content)), Value(entry.file.path), Value(entry.file.format),
                            Value::BIGINT(entry.file.record_count)});
        }
    }
    return Bound(std::move(rows),
                 {{"manifest_path", LogicalType::VARCHAR},
                  {"manifest_sequence_number", LogicalType::BIGINT},
                  {"manifest_content", LogicalType::VARCHAR},
                  {"status", LogicalType::VARCHAR},
                  {"content", LogicalType::VARCHAR},
                  {"file_path", LogicalType::VARCHAR},
                  {"file_format", LogicalType::VARCHAR},
                  {"record_count", LogicalType::BIGINT}},
                 types, names);
}

duckdb::unique_ptr<duckdb::FunctionData> BindSnapshots(duckdb::ClientContext& context,
                                                       duckdb::TableFunctionBindInput& input,
                                                       duckdb::vector<LogicalType>& types,
                                                       duckdb::vector<duckdb::Identifier>& names) {
    const auto [path, options] = Arguments(input);
    LakeIo io(context);
    const lake::IcebergLocation table = ValueOrThrow(lake::FindIcebergMetadata(&io, path, options.version));
    std::vector<Row> rows;
    for (const iceberg::TableSnapshot& snapshot : table.metadata.snapshots()) {
        int64_t micros = 0;
        if (__builtin_mul_overflow(snapshot.timestamp_ms, 1000, &micros)) {
            ThrowSqlError(sqlstate::kDataCorrupted, "a snapshot's time is out of range");
        }
        rows.push_back({Value::BIGINT(snapshot.sequence_number), Value::BIGINT(snapshot.id),
                        Value::TIMESTAMP(duckdb::timestamp_t(micros)), Value(snapshot.manifest_list)});
    }
    return Bound(std::move(rows),
                 {{"sequence_number", LogicalType::BIGINT},
                  {"snapshot_id", LogicalType::BIGINT},
                  {"timestamp_ms", LogicalType::TIMESTAMP},
                  {"manifest_list", LogicalType::VARCHAR}},
                 types, names);
}

duckdb::unique_ptr<duckdb::GlobalTableFunctionState> InitGlobal(duckdb::ClientContext&,
                                                                duckdb::TableFunctionInitInput&) {
    return duckdb::make_uniq<GlobalState>();
}

void Scan(duckdb::ClientContext&, duckdb::TableFunctionInput& input, duckdb::DataChunk& output) {
    const auto& rows = *input.bind_data->Cast<BindData>().rows;
    size_t& next = input.global_state->Cast<GlobalState>().next;
    size_t count = 0;
    for (; count < STANDARD_VECTOR_SIZE && next < rows.size(); count++, next++) {
        for (size_t i = 0; i < rows[next].size(); i++) output.data[i].Append(rows[next][i]);
    }
    output.SetCardinalityUnsafe(count);
}

void Register(duckdb::ExtensionLoader& loader, const char* name, duckdb::table_function_bind_t bind) {
    loader.RegisterFunction(
        duckdb::TableFunction(duckdb::Identifier(name), LakeOptions::IcebergSignature(), Scan, bind, InitGlobal));
}

}  // namespace

void RegisterLakeMetadata(duckdb::ExtensionLoader& loader) {
    Register(loader, "ivy_iceberg_metadata", BindMetadata);
    Register(loader, "ivy_iceberg_snapshots", BindSnapshots);
}

}  // namespace ivy::engine
