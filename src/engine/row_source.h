// SPDX-License-Identifier: Apache-2.0
//
// Rows that a backend has read from row tables for a query: a buffer-managed collection, which counts towards the
// engine's memory limit and spills to its folder, and ivy_rows(i), the DuckDB table function that scans it in parallel.
#pragma once

#include <duckdb.hpp>

#include <memory>

#include "base/status.h"
#include "protocol/messages.h"

namespace duckdb {
class ExtensionLoader;
}

namespace ivy::engine {

// Collects one announced row source from its chunks. One thread.
class RowSourceBuilder {
  public:
    RowSourceBuilder(duckdb::ClientContext& context, std::vector<ColumnType> types);

    // "payload" is a kChunk frame's. The columns must be those that were announced.
    Status Append(const Bytes& payload);

    std::shared_ptr<duckdb::ColumnDataCollection> rows() const { return rows_; }

  private:
    const std::vector<ColumnType> types_;
    std::shared_ptr<duckdb::ColumnDataCollection> rows_;
    duckdb::DataChunk chunk_;
};

void RegisterRowSource(duckdb::ExtensionLoader& loader);

}  // namespace ivy::engine
