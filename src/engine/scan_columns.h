// SPDX-License-Identifier: Apache-2.0
//
// ScanColumns: the columns that DuckDB asks one of our table functions for, some of which may be no columns of the
// source at all: a query that only counts rows asks for the "empty" column, whose content nobody looks at.
#pragma once

#include <duckdb.hpp>

#include <vector>

namespace ivy::engine {

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
