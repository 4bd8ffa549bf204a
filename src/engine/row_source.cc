// SPDX-License-Identifier: Apache-2.0
// row_source: uploaded chunks into a ColumnDataCollection, and its scan.
#include "engine/row_source.h"

#include <duckdb/main/extension/extension_loader.hpp>
#include <duckdb/storage/buffer_manager.hpp>

#include "delta/chunk_convert.h"
#include "engine/error_map.h"
#include "engine/query_inputs.h"
#include "engine/scan_columns.h"

namespace ivy::engine {

RowSourceBuilder::RowSourceBuilder(duckdb::ClientContext& context, std::vector<ColumnType> types)
    : types_(std::move(types)),
      rows_(std::make_shared<duckdb::ColumnDataCollection>(duckdb::BufferManager::GetBufferManager(context),
                                                           delta::ToDuckTypes(types_))) {
    if (!types_.empty()) chunk_.Initialize(context, rows_->Types());
}

Status RowSourceBuilder::Append(const Bytes& payload) {
    ByteReader in(payload);
    IVY_ASSIGN_OR_RETURN(const ColumnChunkView view, ColumnChunkView::Read(&in));
    IVY_RETURN_IF_ERROR(in.Finish("column chunk"));
    bool as_announced = view.columns.size() == types_.size();
    for (size_t i = 0; as_announced && i < types_.size(); i++) as_announced = view.columns[i].type == types_[i];
    if (!as_announced) {
        return Status::Make(sqlstate::kProtocolViolation, "columns of a chunk are not those of its row source");
    }
    try {
        for (size_t offset = 0; offset < view.rows; offset += STANDARD_VECTOR_SIZE) {
            const size_t count = std::min<size_t>(STANDARD_VECTOR_SIZE, view.rows - offset);
            if (types_.empty()) {
                chunk_.SetCardinalityUnsafe(count);
            } else {
                IVY_RETURN_IF_ERROR(delta::ChunkFromView(view, offset, count, &chunk_));
            }
            rows_->Append(chunk_);
        }
    } catch (const std::exception& exception) {
        return StatusFromException(exception);
    }
    return Status::Ok();
}

namespace {

using BindData = ScanBindData<duckdb::ColumnDataCollection>;

struct GlobalState final : public duckdb::GlobalTableFunctionState {
    GlobalState(std::shared_ptr<duckdb::ColumnDataCollection> the_rows,
                const duckdb::vector<duckdb::column_t>& column_ids)
        : rows(std::move(the_rows)), columns(column_ids, rows->ColumnCount()) {
        rows->InitializeScan(scan, duckdb::vector<duckdb::column_t>(columns.sources.begin(), columns.sources.end()));
        for (const size_t source : columns.sources) types.push_back(rows->Types()[source]);
    }
    duckdb::idx_t MaxThreads() const override { return std::max<duckdb::idx_t>(1, rows->ChunkCount()); }

    const std::shared_ptr<duckdb::ColumnDataCollection> rows;
    const ScanColumns columns;
    duckdb::vector<duckdb::LogicalType> types;
    duckdb::ColumnDataParallelScanState scan;
};

struct LocalState final : public duckdb::LocalTableFunctionState {
    duckdb::ColumnDataLocalScanState scan;
    duckdb::DataChunk chunk;
};

duckdb::unique_ptr<duckdb::FunctionData> Bind(duckdb::ClientContext& context, duckdb::TableFunctionBindInput& input,
                                              duckdb::vector<duckdb::LogicalType>& types,
                                              duckdb::vector<duckdb::Identifier>& names) {
    auto data = duckdb::make_uniq<BindData>();
    data->source = QueryInputs::Of(context).rows(input.inputs[0].GetValue<int64_t>());
    types = data->source->Types();
    for (size_t i = 1; i <= types.size(); i++) names.emplace_back("c" + std::to_string(i));
    // A DuckDB relation has at least one column; nobody can name this one.
    if (types.empty()) {
        types.push_back(duckdb::LogicalType::BOOLEAN);
        names.emplace_back("c0");
    }
    return data;
}

duckdb::unique_ptr<duckdb::GlobalTableFunctionState> InitGlobal(duckdb::ClientContext&,
                                                                duckdb::TableFunctionInitInput& input) {
    return duckdb::make_uniq<GlobalState>(input.bind_data->Cast<BindData>().source, input.column_ids);
}

void Scan(duckdb::ClientContext&, duckdb::TableFunctionInput& input, duckdb::DataChunk& output) {
    auto& global = input.global_state->Cast<GlobalState>();
    auto& local = input.local_state->Cast<LocalState>();
    if (!global.types.empty()) local.chunk.Reset();
    if (!global.rows->Scan(global.scan, local.scan, local.chunk)) return;
    global.columns.Deliver(local.chunk, output);
}

duckdb::unique_ptr<duckdb::NodeStatistics> Cardinality(duckdb::ClientContext&, const duckdb::FunctionData* data) {
    const duckdb::idx_t rows = data->Cast<BindData>().source->Count();
    return duckdb::make_uniq<duckdb::NodeStatistics>(rows, rows);
}

}  // namespace

void RegisterRowSource(duckdb::ExtensionLoader& loader) {
    duckdb::TableFunction function(duckdb::Identifier("ivy_rows"), {duckdb::LogicalType::BIGINT}, Scan, Bind,
                                   InitGlobal, InitScanChunk<LocalState, GlobalState>);
    function.projection_pushdown = true;
    function.cardinality = Cardinality;
    function.get_virtual_columns = ScanColumns::Virtual;
    // Matters for COPY with PRESERVE_ORDER alone: the engine's queries don't keep an order that they don't make.
    function.order_preservation_type = duckdb::OrderPreservationType::INSERTION_ORDER;
    loader.RegisterFunction(function);
}

}  // namespace ivy::engine
