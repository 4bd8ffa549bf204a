// SPDX-License-Identifier: Apache-2.0
#include "engine/row_sorter.h"

#include <duckdb/common/sorting/sort.hpp>
#include <duckdb/execution/execution_context.hpp>
#include <duckdb/parallel/interrupt.hpp>
#include <duckdb/parallel/thread_context.hpp>
#include <duckdb/planner/expression/bound_reference_expression.hpp>

#include "base/fault_point.h"
#include "engine/error_map.h"

namespace ivy::engine {

struct RowSorter::State {
    std::unique_ptr<duckdb::Connection> connection;
    std::unique_ptr<duckdb::ThreadContext> thread;
    std::unique_ptr<duckdb::ExecutionContext> execution;
    duckdb::InterruptState interrupt;
    std::vector<size_t> keys;
    std::unique_ptr<duckdb::Sort> sort;
    duckdb::unique_ptr<duckdb::GlobalSinkState> sink;
    duckdb::unique_ptr<duckdb::LocalSinkState> local_sink;
    duckdb::unique_ptr<duckdb::GlobalSourceState> source;
    duckdb::unique_ptr<duckdb::LocalSourceState> local_source;
    bool done = false;
    duckdb::DataChunk input;  // the rows' columns, then the keys once more

    duckdb::ClientContext& context() { return *connection->context; }
    void Start(Instance& instance, const duckdb::vector<duckdb::LogicalType>& types);
    void Finish();
};

void RowSorter::State::Start(Instance& instance, const duckdb::vector<duckdb::LogicalType>& types) {
    connection = instance.Connect();
    thread = std::make_unique<duckdb::ThreadContext>(context());
    execution = std::make_unique<duckdb::ExecutionContext>(context(), *thread, nullptr);
    duckdb::vector<duckdb::LogicalType> input_types = types;
    duckdb::vector<duckdb::BoundOrderByNode> orders;
    duckdb::vector<duckdb::idx_t> output;
    for (size_t i = 0; i < types.size(); i++) output.push_back(i);
    for (const size_t key : keys) {
        orders.emplace_back(duckdb::OrderType::ASCENDING, duckdb::OrderByNullType::NULLS_LAST,
                            duckdb::make_uniq<duckdb::BoundReferenceExpression>(types[key], input_types.size()));
        input_types.push_back(types[key]);
    }
    input.InitializeEmpty(input_types);
    context().RunFunctionInTransaction(
        [&] { sort = std::make_unique<duckdb::Sort>(context(), orders, input_types, output); });
    sink = sort->GetGlobalSinkState(context());
    local_sink = sort->GetLocalSinkState(*execution);
}

void RowSorter::State::Finish() {
    duckdb::OperatorSinkCombineInput combine{*sink, *local_sink, interrupt};
    sort->Combine(*execution, combine);
    local_sink.reset();
    duckdb::OperatorSinkFinalizeInput finalize{*sink, interrupt};
    sort->Finalize(context(), finalize);
    source = sort->GetGlobalSourceState(context(), *sink);
    local_source = sort->GetLocalSourceState(*execution, *source);
}

RowSorter::RowSorter(std::unique_ptr<State> state) : state_(std::move(state)) {}
RowSorter::~RowSorter() = default;

Result<std::unique_ptr<RowSorter>> RowSorter::Make(Instance& instance, const duckdb::vector<duckdb::LogicalType>& types,
                                                   const std::vector<size_t>& keys) {
    auto state = std::make_unique<State>();
    state->keys = keys;
    try {
        state->Start(instance, types);
    } catch (const std::exception& exception) {
        return StatusFromException(exception).Prepend("could not sort rows");
    }
    return std::unique_ptr<RowSorter>(new RowSorter(std::move(state)));
}

Status RowSorter::Append(duckdb::DataChunk& chunk) {
    if (chunk.size() == 0) return Status::Ok();
    IVY_FAULT_POINT("sort-append");
    State& state = *state_;
    try {
        const size_t columns = chunk.ColumnCount();
        for (size_t i = 0; i < columns; i++) state.input.data[i].Reference(chunk.data[i]);
        for (size_t i = 0; i < state.keys.size(); i++) {
            state.input.data[columns + i].Reference(chunk.data[state.keys[i]]);
        }
        state.input.SetCardinalityUnsafe(chunk.size());
        duckdb::OperatorSinkInput sink{*state.sink, *state.local_sink, state.interrupt};
        state.sort->Sink(*state.execution, state.input, sink);
        rows_ += chunk.size();
    } catch (const std::exception& exception) {
        return StatusFromException(exception).Prepend("could not sort rows");
    }
    return Status::Ok();
}

Status RowSorter::Next(duckdb::DataChunk* out) {
    State& state = *state_;
    try {
        out->Reset();
        if (state.done) return Status::Ok();
        if (!state.source) state.Finish();
        duckdb::OperatorSourceInput source{*state.source, *state.local_source, state.interrupt};
        state.sort->GetData(*state.execution, *out, source);
        state.done = out->size() == 0;
    } catch (const std::exception& exception) {
        return StatusFromException(exception).Prepend("could not sort rows");
    }
    return Status::Ok();
}

}  // namespace ivy::engine
