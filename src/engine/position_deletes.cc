// SPDX-License-Identifier: Apache-2.0
#include "engine/position_deletes.h"

#include <cstring>

#include "engine/data_file.h"
#include "engine/parquet_writer.h"

namespace ivy::engine {
namespace {

// The specification's reserved field ids.
constexpr uint32_t kPathField = 2147483546;
constexpr uint32_t kPositionField = 2147483545;

std::string LongBytes(uint64_t value) {
    std::string bytes(sizeof value, '\0');
    std::memcpy(bytes.data(), &value, sizeof value);  // little-endian, as Iceberg's single values are
    return bytes;
}

}  // namespace

Result<iceberg::DataFile> WritePositionDeletes(Instance& instance, const std::string& path,
                                               const std::string& data_file, const delta::RowSet& deleted) {
    const std::vector<MirrorColumn> columns = {{kPathField, "file_path", {TypeKind::kText}, true},
                                               {kPositionField, "pos", {TypeKind::kInt64}, true}};
    IVY_ASSIGN_OR_RETURN(const std::unique_ptr<ParquetWriter> writer, ParquetWriter::Open(instance, path, columns));
    duckdb::DataChunk chunk;
    chunk.Initialize(duckdb::Allocator::DefaultAllocator(),
                     {duckdb::LogicalType::VARCHAR, duckdb::LogicalType::BIGINT});
    const duckdb::Value name(data_file);
    for (auto row = deleted.begin(); row != deleted.end();) {
        chunk.Reset();
        duckdb::idx_t count = 0;
        auto* positions = reinterpret_cast<int64_t*>(duckdb::FlatVector::GetDataMutable(chunk.data[1]));
        for (; row != deleted.end() && count < STANDARD_VECTOR_SIZE; ++row)
            positions[count++] = static_cast<int64_t>(*row);
        chunk.data[0].Reference(name, duckdb::count_t(count));
        chunk.SetChildCardinality(count);
        IVY_RETURN_IF_ERROR(writer->Append(chunk));
    }
    IVY_ASSIGN_OR_RETURN(iceberg::DataFile file, writer->Finish());
    file.content = iceberg::Content::kPositionDeletes;
    file.referenced_data_file = data_file;
    // Bounds of the path that are not cut tell older readers that this is about one data file.
    const int path_field = kPathField, position_field = kPositionField;
    file.metrics.lower_bounds = {{path_field, data_file}, {position_field, LongBytes(deleted.minimum())}};
    file.metrics.upper_bounds = {{path_field, data_file}, {position_field, LongBytes(deleted.maximum())}};
    return file;
}

Result<delta::RowSet> ReadPositionDeletes(Instance& instance, const iceberg::DataFile& file) {
    delta::RowSet deleted;
    IVY_RETURN_IF_ERROR(DataFileReader(instance).Scan(
        file.path, {{kPositionField, "pos", {TypeKind::kInt64}, false}},
        [&](uint64_t, duckdb::DataChunk& chunk) -> Status {
            chunk.Flatten();
            const auto* positions = duckdb::FlatVector::GetData<int64_t>(chunk.data[0]);
            for (duckdb::idx_t i = 0; i < chunk.size(); i++) {
                if (duckdb::FlatVector::IsNull(chunk.data[0], i) || positions[i] < 0) {
                    return Status::Corrupt("\"" + file.path + "\" is no file of deleted positions");
                }
                deleted.add(static_cast<uint64_t>(positions[i]));
            }
            return Status::Ok();
        }));
    if (deleted.cardinality() == static_cast<uint64_t>(file.record_count)) return deleted;
    return Status::Corrupt("\"" + file.path + "\" does not have the deleted rows that its manifest says");
}

}  // namespace ivy::engine
