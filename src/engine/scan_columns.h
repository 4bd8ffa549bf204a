// SPDX-License-Identifier: Apache-2.0
//
// What our table functions over rows that a query brings along have in common.
#pragma once

#include <duckdb.hpp>

#include <memory>
#include <vector>

namespace ivy::engine {

// Bind data: what is scanned. It is the query's own, so the statement must not be kept.
template <typename Source>
struct ScanBindData final : public duckdb::TableFunctionData {
    std::shared_ptr<Source> source;

    duckdb::unique_ptr<duckdb::FunctionData> Copy() const override {
        auto copy = duckdb::make_uniq<ScanBindData>();
        copy->source = source;
        return copy;
    }
    bool Equals(const duckdb::FunctionData& other) const override {
        return source == other.Cast<ScanBindData>().source;
    }
    bool SupportStatementCache() const override { return false; }
};

// A thread's state with a "chunk" for columns of the global state's "types".
template <typename Local, typename Global>
duckdb::unique_ptr<duckdb::LocalTableFunctionState> InitScanChunk(duckdb::ExecutionContext& context,
                                                                  duckdb::TableFunctionInitInput&,
                                                                  duckdb::GlobalTableFunctionState* global) {
    auto local = duckdb::make_uniq<Local>();
    const auto& types = global->Cast<Global>().types;
    if (!types.empty()) local->chunk.Initialize(context.client, types);
    return local;
}

// The columns that DuckDB asks a function for, some of which may be no columns of the source at all: a query that only
// counts rows asks for the "empty" column, whose content nobody looks at.
struct ScanColumns {
    std::vector<size_t> sources;  // ordinals of the source's columns to read
    std::vector<size_t> outputs;  // where each goes in the output; other output columns are left NULL

    ScanColumns(const duckdb::vector<duckdb::column_t>& requested, size_t source_columns) {
        for (size_t i = 0; i < requested.size(); i++) {
            if (requested[i] >= source_columns) continue;
            sources.push_back(requested[i]);
            outputs.push_back(i);
        }
    }

    // Puts what was read into the function's output.
    void Deliver(duckdb::DataChunk& read, duckdb::DataChunk& output) const {
        const duckdb::idx_t count = read.size();
        if (outputs.size() < output.ColumnCount()) {
            for (auto& column : output.data) duckdb::ConstantVector::SetNull(column, duckdb::count_t(count));
        }
        for (size_t i = 0; i < outputs.size(); i++) output.data[outputs[i]].Reference(read.data[i]);
        output.SetCardinalityUnsafe(count);
    }

    // What a table function declares so that it may be asked for no columns.
    static duckdb::virtual_column_map_t Virtual(duckdb::ClientContext&, duckdb::optional_ptr<duckdb::FunctionData>) {
        duckdb::virtual_column_map_t columns;
        columns.emplace(duckdb::COLUMN_IDENTIFIER_EMPTY,
                        duckdb::TableColumn(duckdb::Identifier(""), duckdb::LogicalType::BOOLEAN));
        return columns;
    }
};

}  // namespace ivy::engine
