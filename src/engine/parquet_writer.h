// SPDX-License-Identifier: Apache-2.0
//
// ParquetWriter: a mirror's rows to one Parquet data file, by DuckDB's own Parquet writer.
//
// It drives the same copy function that COPY ... TO uses, chunk by chunk, so that rows keep their order (their ordinal
// is their address in indexes and deletion vectors) and a producer needs no query of its own. Files have Iceberg's
// field ids, zstd compression over the encodings of Parquet v2 (a third of v1's size for numbers that grow or repeat,
// and read twice as fast: bench/README.md), and row groups of 122,880 rows, or fewer if they are wide: memory is
// bounded by one row group. One thread at a time. A writer that goes before Finish leaves no file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <duckdb.hpp>

#include "base/status.h"
#include "engine/instance.h"
#include "iceberg/table.h"
#include "protocol/messages.h"

namespace ivy::engine {

class ParquetWriter {
  public:
    // Begins a new file. Makes the local folders above it.
    static Result<std::unique_ptr<ParquetWriter>> Open(Instance& instance, const std::string& path,
                                                       const std::vector<MirrorColumn>& columns);
    ~ParquetWriter();

    // Adds rows; the chunk has the mirror's types (delta::ToDuckTypes).
    Status Append(duckdb::DataChunk& chunk);

    uint64_t rows() const { return rows_; }
    // Bytes in the file so far, without the row group under way.
    uint64_t file_bytes() const;

    // Completes the file; it is on stable storage then. The result is what an Iceberg manifest needs.
    Result<iceberg::DataFile> Finish();

  private:
    struct State;  // DuckDB's

    ParquetWriter(std::string path, std::vector<MirrorColumn> columns);
    void Start(Instance& instance);
    void ToStored(duckdb::DataChunk& chunk);
    void AppendPart(size_t begin, size_t count);
    void WriteRowGroup();

    const std::string path_;
    const std::vector<MirrorColumn> columns_;
    const std::vector<MirrorColumn> file_columns_;
    const std::vector<std::string> names_;  // of file_columns_
    std::unique_ptr<State> state_;
    uint64_t rows_ = 0;
    bool finished_ = false;
};

}  // namespace ivy::engine
