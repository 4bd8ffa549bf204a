// SPDX-License-Identifier: Apache-2.0
//
// Data files of mirrors with their key indexes: writing both together, reading key columns and single values back.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "delta/index_builder.h"
#include "delta/mirror_table.h"
#include "engine/instance.h"
#include "engine/parquet_writer.h"

namespace ivy::engine {

// The ordinals of the key's columns among "columns", in key order. An error if one is missing.
Result<std::vector<size_t>> KeyOrdinals(const std::vector<MirrorColumn>& columns, const std::vector<uint32_t>& key);

// A file under a table's location that no other file has ever had the name of.
std::string NewDataPath(const std::string& location, const std::string& extension);

// Writes a Parquet file and, if there is a key, its index segment. One that goes before Finish leaves neither.
class DataFileWriter {
  public:
    static Result<std::unique_ptr<DataFileWriter>> Open(Instance& instance, const std::string& location,
                                                        const std::string& index_folder,
                                                        const std::vector<MirrorColumn>& columns,
                                                        const std::vector<uint32_t>& key);
    Status Append(duckdb::DataChunk& chunk);
    uint64_t file_bytes() const { return file_->file_bytes(); }
    uint64_t rows() const { return file_->rows(); }

    struct Written {
        iceberg::DataFile file;
        delta::NewFile entry;  // for the MirrorTable
    };
    Result<Written> Finish();

  private:
    std::string index_path_;
    std::unique_ptr<ParquetWriter> file_;
    std::optional<delta::IndexBuilder> index_;
    std::vector<size_t> key_ordinals_;
    duckdb::DataChunk keys_;
};

// Reads columns of a Parquet file, found by field id, in row order. Thread-safe: every call has its own connection.
class DataFileReader {
  public:
    explicit DataFileReader(Instance& instance) : instance_(instance) {}

    // Calls take(first row's ordinal, chunk) for all rows. A column that the file lacks is NULL.
    using Take = std::function<Status(uint64_t, duckdb::DataChunk&)>;
    Status Scan(const std::string& path, const std::vector<MirrorColumn>& columns, const Take& take) const;

    // Builds the index segment of a data file anew.
    Status RebuildIndex(const std::string& path, int64_t rows, const std::vector<MirrorColumn>& key_columns,
                        const std::string& index_path) const;

  private:
    Instance& instance_;
};

// Single rows for a MirrorTable with these columns.
class MirrorRowReader : public delta::RowReader {
  public:
    MirrorRowReader(Instance& instance, std::vector<MirrorColumn> columns)
        : instance_(instance), columns_(std::move(columns)) {}
    Status ReadRows(const std::string& path, const std::vector<uint64_t>& rows, const std::vector<size_t>& columns,
                    const std::function<Status(duckdb::DataChunk&)>& sink) override;

  private:
    Instance& instance_;
    const std::vector<MirrorColumn> columns_;
};

}  // namespace ivy::engine
