// SPDX-License-Identifier: Apache-2.0
//
// LakeIo: foreign tables' files through a query's own file system, so that its credentials and its limits on what may
// be read apply to everything that a table's metadata names.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <duckdb.hpp>

#include "lake/table_io.h"

namespace ivy::engine {

class LakeIo final : public lake::TableIo {
  public:
    // Lives no longer than the statement that the context runs.
    explicit LakeIo(duckdb::ClientContext& context) : context_(context) {}

    Result<Bytes> ReadFile(const std::string& path) override;
    Result<Bytes> ReadRange(const std::string& path, int64_t offset, int64_t size) override;
    Result<bool> Exists(const std::string& path) override;
    Result<std::vector<std::string>> List(const std::string& folder) override;
    Result<int64_t> FileSize(const std::string& path) override;
    Result<int64_t> ModifiedMs(const std::string& path) override;
    Status ReadRows(const std::string& path, const std::vector<std::string>& columns, const TakeRow& take) override;

  private:
    duckdb::ClientContext& context_;
};

// Runs DuckDB's Parquet reader inside a statement that is being bound or run, for the files beside the data:
// checkpoints and delete files. "function" is parquet_scan or a variant of it. Calls "prepare" with the columns that
// the file has and takes from it which of them to read (ordinals or virtual column ids); then "take" with every chunk
// of them.
using PrepareColumns = std::function<duckdb::vector<duckdb::column_t>(
    const duckdb::vector<duckdb::string>& names, const duckdb::vector<duckdb::LogicalType>& types)>;
using TakeChunk = std::function<void(duckdb::DataChunk&)>;
void ScanParquet(duckdb::ClientContext& context, const duckdb::TableFunction& function, const std::string& path,
                 const PrepareColumns& prepare, const TakeChunk& take);

// DuckDB's parquet_scan for one path.
const duckdb::TableFunction& ParquetFunction(duckdb::ClientContext& context);

// Throws a DuckDB exception from which the error map gets this error back.
[[noreturn]] void ThrowError(const Error& error);

template <typename T>
T ValueOrThrow(Result<T> result) {
    if (!result.ok()) ThrowError(result.error());
    return std::move(result).value();
}
inline void OkOrThrow(const Status& status) {
    if (!status.ok()) ThrowError(status.error());
}

}  // namespace ivy::engine
