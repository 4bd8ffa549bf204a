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
#include "engine/row_sorter.h"

namespace ivy::engine {

// The ordinals of the key's columns among "columns", in key order. An error if one is missing.
Result<std::vector<size_t>> KeyOrdinals(const std::vector<MirrorColumn>& columns, const std::vector<uint32_t>& key);

// A file under a table's location that no other file has ever had the name of.
std::string NewDataPath(const std::string& location, const std::string& extension);

// What DataFileWriter writes.
struct DataFileSpec {
    std::string path;  // see NewDataPath
    std::string index_folder;
    std::vector<MirrorColumn> columns;
    std::vector<uint32_t> key;   // column ids; empty: the file gets no index segment
    std::vector<uint32_t> sort;  // column ids by which the file is sorted; empty: rows stay in the order of Append
    bool keep_order = false;     // of a sorted file: have delta::NewFile::order, for at most kMaxOrderedRows rows
};
inline constexpr uint64_t kMaxOrderedRows = UINT32_MAX;

// Writes a Parquet file and, if there is a key, its index segment. One that goes before Finish leaves neither. A sorted file
// is written by Finish; its rows wait in DuckDB's memory, or in its temporary files.
class DataFileWriter {
  public:
    static Result<std::unique_ptr<DataFileWriter>> Open(Instance& instance, DataFileSpec spec);
    Status Append(duckdb::DataChunk& chunk);
    // Bytes in the file so far; of a sorted file a guess.
    uint64_t file_bytes() const;
    uint64_t rows() const { return sorter_ ? sorter_->rows() : file_->rows(); }

    struct Written {
        iceberg::DataFile file;
        delta::NewFile entry;  // for the MirrorTable
    };
    Result<Written> Finish();

  private:
    Status OpenIndex();
    Status OpenSorter(Instance& instance);
    Status Write(duckdb::DataChunk& chunk);
    Status WriteSorted();

    DataFileSpec spec_;
    std::string index_path_;
    std::unique_ptr<ParquetWriter> file_;
    std::optional<delta::IndexBuilder> index_;
    std::vector<size_t> key_ordinals_;
    duckdb::DataChunk keys_;
    std::unique_ptr<RowSorter> sorter_;
    duckdb::DataChunk numbered_;  // rows with their ordinal, going to the sorter and coming from it
    uint64_t sorted_bytes_ = 0;
    std::shared_ptr<std::vector<uint32_t>> order_;
};

// Reads columns of a Parquet file, found by field id, in row order. Thread-safe: every call has its own connection.
class DataFileReader {
  public:
    explicit DataFileReader(Instance& instance) : instance_(instance) {}

    // Calls take(first row's ordinal, chunk) for all rows. A column that the file lacks is NULL.
    using Take = std::function<Status(uint64_t, duckdb::DataChunk&)>;
    Status Scan(const std::string& path, const std::vector<MirrorColumn>& columns, const Take& take) const;
    // The same for a file of that many rows, a few row groups at a time: DuckDB has no order but that of a sort, and to sort
    // a whole file takes memory.
    Status ScanInParts(const std::string& path, int64_t rows, const std::vector<MirrorColumn>& columns,
                       const Take& take) const;

    // Builds the index segment of a data file anew.
    Status RebuildIndex(const std::string& path, int64_t rows, const std::vector<MirrorColumn>& key_columns,
                        const std::string& index_path) const;

  private:
    Instance& instance_;
};

// Single rows for a MirrorTable with these columns.
class MirrorRowReader : public delta::RowReader {
  public:
    // Asked when reading has failed: whether, and when, to go on.
    using TryAgain = std::function<bool(const Status&)>;
    MirrorRowReader(Instance& instance, std::vector<MirrorColumn> columns, TryAgain try_again = {})
        : instance_(instance), columns_(std::move(columns)), try_again_(std::move(try_again)) {}
    Status ReadRows(const std::string& path, const std::vector<uint64_t>& rows, const std::vector<size_t>& columns,
                    const Sink& sink) override;

  private:
    Instance& instance_;
    const std::vector<MirrorColumn> columns_;
    const TryAgain try_again_;
};

}  // namespace ivy::engine
