// SPDX-License-Identifier: Apache-2.0
// delta_scan: ReadView::ScanDelta as a DuckDB source.
#include "engine/delta_scan.h"

#include <duckdb.hpp>

#include <duckdb/main/extension/extension_loader.hpp>

#include <atomic>

#include "delta/chunk_convert.h"
#include "engine/query_inputs.h"
#include "engine/scan_columns.h"

namespace ivy::engine {
namespace {

using delta::ReadView;

using BindData = ScanBindData<const ReadView>;

struct GlobalState final : public duckdb::GlobalTableFunctionState {
    GlobalState(std::shared_ptr<const ReadView> the_view, const duckdb::vector<duckdb::column_t>& column_ids)
        : view(std::move(the_view)), columns(column_ids, view->columns().size()) {
        for (const size_t source : columns.sources) types.push_back(delta::ToDuckType(view->columns()[source].type));
    }
    duckdb::idx_t MaxThreads() const override { return std::max<size_t>(1, view->delta_chunks()); }

    const std::shared_ptr<const ReadView> view;
    const ScanColumns columns;
    duckdb::vector<duckdb::LogicalType> types;
    std::atomic<size_t> next_chunk{0};
};

struct LocalState final : public duckdb::LocalTableFunctionState {
    duckdb::DataChunk chunk;
};

duckdb::unique_ptr<duckdb::FunctionData> Bind(duckdb::ClientContext& context, duckdb::TableFunctionBindInput& input,
                                              duckdb::vector<duckdb::LogicalType>& types,
                                              duckdb::vector<duckdb::Identifier>& names) {
    auto data = duckdb::make_uniq<BindData>();
    data->source = QueryInputs::Of(context).mirror(input.inputs[0].GetValue<int64_t>()).view;
    for (const MirrorColumn& column : data->source->columns()) {
        names.emplace_back(EngineColumnName(column.id));
        types.push_back(delta::ToDuckType(column.type));
    }
    return data;
}

duckdb::unique_ptr<duckdb::GlobalTableFunctionState> InitGlobal(duckdb::ClientContext&,
                                                                duckdb::TableFunctionInitInput& input) {
    return duckdb::make_uniq<GlobalState>(input.bind_data->Cast<BindData>().source, input.column_ids);
}

void Scan(duckdb::ClientContext&, duckdb::TableFunctionInput& input, duckdb::DataChunk& output) {
    auto& global = input.global_state->Cast<GlobalState>();
    duckdb::DataChunk& chunk = input.local_state->Cast<LocalState>().chunk;
    while (true) {
        const size_t next = global.next_chunk.fetch_add(1, std::memory_order_relaxed);
        if (next >= global.view->delta_chunks()) return;
        if (!global.types.empty()) chunk.Reset();
        global.view->ScanDelta(next, global.columns.sources, chunk);
        if (chunk.size() == 0) continue;
        global.columns.Deliver(chunk, output);
        return;
    }
}

duckdb::unique_ptr<duckdb::NodeStatistics> Cardinality(duckdb::ClientContext&, const duckdb::FunctionData* data) {
    const uint64_t rows = data->Cast<BindData>().source->delta_rows();
    return duckdb::make_uniq<duckdb::NodeStatistics>(rows, rows);
}

}  // namespace

void RegisterDeltaScan(duckdb::ExtensionLoader& loader) {
    duckdb::TableFunction function(duckdb::Identifier("ivy_delta"), {duckdb::LogicalType::BIGINT}, Scan, Bind,
                                   InitGlobal, InitScanChunk<LocalState, GlobalState>);
    function.projection_pushdown = true;
    function.cardinality = Cardinality;
    function.get_virtual_columns = ScanColumns::Virtual;
    function.order_preservation_type = duckdb::OrderPreservationType::NO_ORDER;
    loader.RegisterFunction(function);
}

}  // namespace ivy::engine
