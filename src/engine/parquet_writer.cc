// SPDX-License-Identifier: Apache-2.0
#include "engine/parquet_writer.h"

#include <unistd.h>

#include <duckdb/catalog/catalog.hpp>
#include <duckdb/catalog/catalog_entry/copy_function_catalog_entry.hpp>
#include <duckdb/common/file_system.hpp>
#include <duckdb/common/types/column/column_data_collection.hpp>
#include <duckdb/function/copy_function.hpp>
#include <duckdb/parser/parsed_data/copy_info.hpp>

#include "base/fault_point.h"
#include "delta/chunk_convert.h"
#include "engine/duck_file_io.h"
#include "engine/error_map.h"
#include "engine/iceberg_schema.h"
#include "engine/mirror_storage.h"
#include "engine/stored_numeric.h"

namespace ivy::engine {
namespace {

constexpr uint64_t kRowGroupRows = 122880;
constexpr uint64_t kRowGroupBytes = 128ull << 20;  // of the rows in memory...
constexpr uint64_t kRowGroupShare = 16;            // ...and at most this part of all memory

void IntervalsToText(const duckdb::Vector& from, duckdb::idx_t count, duckdb::Vector* to) {
    duckdb::UnifiedVectorFormat format;
    from.ToUnifiedFormat(format);
    const auto* values = duckdb::UnifiedVectorFormat::GetData<duckdb::interval_t>(format);
    auto* texts = reinterpret_cast<duckdb::string_t*>(duckdb::FlatVector::GetDataMutable(*to));
    for (duckdb::idx_t row = 0; row < count; row++) {
        const auto at = format.sel->get_index(row);
        if (!format.validity.RowIsValid(at)) {
            duckdb::FlatVector::SetNull(*to, row, true);
            continue;
        }
        const duckdb::interval_t value = values[at];
        const std::string text = std::to_string(value.months) + " months " + std::to_string(value.days) + " days " +
                                 std::to_string(value.micros / 1000000) + " seconds " +
                                 std::to_string(value.micros % 1000000) + " microseconds";
        texts[row] = duckdb::StringVector::AddString(*to, text);
    }
}

// Adds the bytes of a column's long strings to those of each row.
void AddStringBytes(const duckdb::Vector& column, std::vector<uint64_t>* bytes) {
    if (column.GetType().InternalType() != duckdb::PhysicalType::VARCHAR) return;
    duckdb::UnifiedVectorFormat format;
    column.ToUnifiedFormat(format);
    const auto* strings = duckdb::UnifiedVectorFormat::GetData<duckdb::string_t>(format);
    for (size_t row = 0; row < bytes->size(); row++) {
        const auto at = format.sel->get_index(row);
        if (format.validity.RowIsValid(at) && !strings[at].IsInlined()) (*bytes)[row] += strings[at].GetSize();
    }
}

}  // namespace

struct ParquetWriter::State {
    std::unique_ptr<duckdb::Connection> connection;
    duckdb::unique_ptr<duckdb::CopyFunction> function;
    duckdb::CopyInfo info;
    duckdb::vector<duckdb::LogicalType> types;  // stored types
    duckdb::CopyFunctionFileStatistics statistics;
    duckdb::unique_ptr<duckdb::FunctionData> bind;
    duckdb::unique_ptr<duckdb::GlobalFunctionData> global;
    duckdb::unique_ptr<duckdb::ColumnDataCollection> rows;
    duckdb::ColumnDataAppendState append;
    duckdb::DataChunk stored;  // a chunk with stored types
    duckdb::DataChunk part;    // some of its rows
    uint64_t row_group_bytes = kRowGroupBytes;

    duckdb::ClientContext& context() { return *connection->context; }
    void NewRowGroup() {
        rows = duckdb::make_uniq<duckdb::ColumnDataCollection>(context(), types);
        rows->InitializeAppend(append);
    }
};

ParquetWriter::ParquetWriter(std::string path, std::vector<MirrorColumn> columns)
    : path_(std::move(path)),
      columns_(std::move(columns)),
      file_columns_(FileColumns(columns_)),
      names_(FileColumnNames(file_columns_)),
      state_(std::make_unique<State>()) {}

ParquetWriter::~ParquetWriter() {
    const bool started = state_->global != nullptr;
    try {
        state_.reset();
    } catch (const std::exception&) {
        // DuckDB reports a failed asynchronous write once more: the file is given up anyway.
    }
    if (started && !finished_ && IsLocalPath(path_)) unlink(path_.c_str());
}

Result<std::unique_ptr<ParquetWriter>> ParquetWriter::Open(Instance& instance, const std::string& path,
                                                           const std::vector<MirrorColumn>& columns) {
    IVY_FAULT_POINT("parquet-open");
    const size_t slash = path.rfind('/');
    if (slash != std::string::npos) IVY_RETURN_IF_ERROR(MakeFolder(path.substr(0, slash)));
    auto writer = std::unique_ptr<ParquetWriter>(new ParquetWriter(path, columns));
    try {
        writer->Start(instance);
    } catch (const std::exception& exception) {
        return StatusFromException(exception).Prepend("could not write \"" + path + "\"");
    }
    return writer;
}

void ParquetWriter::Start(Instance& instance) {
    State& state = *state_;
    state.connection = instance.Connect();
    state.row_group_bytes =
        std::clamp<uint64_t>(instance.GetUsage().memory_limit / kRowGroupShare, 1 << 20, kRowGroupBytes);
    duckdb::ClientContext& context = state.context();
    context.RunFunctionInTransaction([&] {
        auto& entry = duckdb::Catalog::GetSystemCatalog(context).GetEntry<duckdb::CopyFunctionCatalogEntry>(
            context, duckdb::QualifiedName(duckdb::Identifier(), duckdb::Identifier(DEFAULT_SCHEMA), "parquet"));
        state.function = duckdb::make_uniq<duckdb::CopyFunction>(entry.function);
    });
    duckdb::vector<duckdb::Identifier> names;
    duckdb::child_list_t<duckdb::Value> field_ids;
    for (size_t i = 0; i < file_columns_.size(); i++) {
        names.emplace_back(names_[i]);
        state.types.push_back(StoredType(file_columns_[i].type));
        field_ids.emplace_back(duckdb::Identifier(names_[i]),
                               duckdb::Value::INTEGER(static_cast<int32_t>(file_columns_[i].id)));
    }
    state.info.is_from = false;
    state.info.file_path = OpenName(path_);
    state.info.format = "parquet";
    state.info.options["field_ids"] = {duckdb::Value::STRUCT(std::move(field_ids))};
    state.info.options["compression"] = {duckdb::Value("zstd")};
    state.info.options["parquet_version"] = {duckdb::Value("v2")};
    duckdb::CopyFunctionBindInput input(state.info);
    input.file_extension = "parquet";
    state.bind = state.function->copy_to_bind(context, input, names, state.types);
    state.global = state.function->copy_to_initialize_global(context, *state.bind, OpenName(path_));
    state.function->copy_to_get_written_statistics(context, *state.bind, *state.global, state.statistics);
    state.stored.InitializeEmpty(state.types);
    state.part.InitializeEmpty(state.types);
    state.NewRowGroup();
}

void ParquetWriter::ToStored(duckdb::DataChunk& chunk) {
    State& state = *state_;
    const duckdb::idx_t count = chunk.size();
    size_t next_scale = columns_.size();
    for (size_t i = 0; i < columns_.size(); i++) {
        duckdb::Vector& from = chunk.data[i];
        if (const auto scale = columns_[i].numeric_scale) {
            duckdb::Vector values(state.types[i], count), display_scales(state.types[next_scale], count);
            SplitNumerics(from, count, *scale, &values, &display_scales);
            state.stored.data[i].Reference(values);
            state.stored.data[next_scale++].Reference(display_scales);
            continue;
        }
        if (from.GetType() == state.types[i]) {
            state.stored.data[i].Reference(from);
            continue;
        }
        duckdb::Vector cast(state.types[i], count);
        if (columns_[i].type.kind == TypeKind::kInterval) {
            IntervalsToText(from, count, &cast);
        } else {
            duckdb::VectorOperations::DefaultCast(from, cast, count);
        }
        state.stored.data[i].Reference(cast);
    }
    state.stored.SetChildCardinality(count);
}

// Rows of state_->stored, which are a row group or less.
void ParquetWriter::AppendPart(size_t begin, size_t count) {
    State& state = *state_;
    if (count == state.stored.size()) {
        state.rows->Append(state.append, state.stored);
    } else {
        state.part.Reference(state.stored);
        state.part.Slice(begin, count);
        state.rows->Append(state.append, state.part);
        state.part.Reset();
    }
    if (state.rows->Count() >= kRowGroupRows || state.rows->SizeInBytes() >= state.row_group_bytes) WriteRowGroup();
}

Status ParquetWriter::Append(duckdb::DataChunk& chunk) {
    if (chunk.size() == 0) return Status::Ok();
    IVY_FAULT_POINT("parquet-append");
    State& state = *state_;
    try {
        ToStored(chunk);
        // A chunk of wide rows is more than a row group, perhaps more than memory.
        std::vector<uint64_t> bytes(chunk.size());
        for (const duckdb::Vector& column : state.stored.data) AddStringBytes(column, &bytes);
        size_t begin = 0;
        uint64_t part_bytes = 0;
        for (size_t row = 0; row < bytes.size(); row++) {
            if (row > begin && part_bytes + bytes[row] > state.row_group_bytes) {
                AppendPart(begin, row - begin);
                begin = row;
                part_bytes = 0;
            }
            part_bytes += bytes[row];
        }
        AppendPart(begin, bytes.size() - begin);
        rows_ += chunk.size();
    } catch (const std::exception& exception) {
        return StatusFromException(exception).Prepend("could not write \"" + path_ + "\"");
    }
    return Status::Ok();
}

void ParquetWriter::WriteRowGroup() {
    State& state = *state_;
    if (state.rows->Count() == 0) return;
    state.append.current_chunk_state.handles.clear();
    auto batch = state.function->prepare_batch(state.context(), *state.bind, *state.global, std::move(state.rows));
    state.function->flush_batch(state.context(), *state.bind, *state.global, *batch);
    state.NewRowGroup();
}

uint64_t ParquetWriter::file_bytes() const { return state_->function->file_size_bytes(*state_->global); }

Result<iceberg::DataFile> ParquetWriter::Finish() {
    State& state = *state_;
    try {
        WriteRowGroup();
        state.function->copy_to_finalize(state.context(), *state.bind, *state.global);
    } catch (const std::exception& exception) {
        return StatusFromException(exception).Prepend("could not write \"" + path_ + "\"");
    }
    IVY_FAULT_POINT("parquet-sync");
    IVY_RETURN_IF_ERROR(SyncFile(path_));
    iceberg::DataFile file;
    file.path = path_;
    file.record_count = static_cast<int64_t>(rows_);
    file.file_size = static_cast<int64_t>(state.statistics.file_size_bytes);
    file.metrics = MakeMetrics(file_columns_, names_, state.statistics);
    finished_ = true;
    return file;
}

}  // namespace ivy::engine
