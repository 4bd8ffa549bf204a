// SPDX-License-Identifier: Apache-2.0
//
// DeltaChunk: up to STANDARD_VECTOR_SIZE rows of the delta in columns, with the transactions that made and deleted
// them.
//
// Values lie in DuckDB vectors, so that a scan hands out references to them. Rows are only ever appended, by one
// thread, while others read the rows before: the appender writes beyond every reader's row limit, which a reader got
// under the table's mutex, so values need no further synchronisation. Bits of NULLs share words with rows that are
// read, and deletes change rows that are read: both are atomic.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "base/snapshot.h"
#include "delta/file_memory.h"
#include "delta/key_columns.h"
#include "duckdb/common/types/data_chunk.hpp"
#include "duckdb/common/types/selection_vector.hpp"
#include "protocol/column_chunk.h"

namespace ivy::delta {

inline constexpr size_t kChunkRows = STANDARD_VECTOR_SIZE;

// Rows that one transaction inserted: those from the end of the run before up to "end".
struct InsertRun {
    uint32_t end = 0;  // row in the chunk
    Xid xid = kInvalidXid;
};

// The runs of a chunk, or of its first rows: who inserted them.
struct InsertRuns {
    std::vector<InsertRun> runs;
    Xid max_xid = kInvalidXid;
    void Add(uint32_t end, Xid xid) {
        runs.push_back({end, xid});
        if (xid > max_xid) max_xid = xid;
    }
};

class DeltaChunk {
  public:
    // Values are kept in "memory", or in ordinary memory if it is null. Throws what DuckDB throws when memory is short.
    DeltaChunk(const duckdb::vector<duckdb::LogicalType>& types, const std::vector<size_t>& key_columns,
               std::shared_ptr<FileMemory> memory);
    ~DeltaChunk();
    DeltaChunk(const DeltaChunk&) = delete;
    DeltaChunk& operator=(const DeltaChunk&) = delete;

    // --- appending thread ---

    // Writes rows [offset, offset + count) of a view to rows [at, at + count).
    Status Append(const ColumnChunkView& view, size_t offset, size_t count, size_t at);
    // Overwrites one value of a row that nobody reads yet. The source is of the column's type, flat.
    void SetValue(size_t row, size_t column, const FlatColumn& source, size_t source_row);
    void MarkDeleted(size_t row, Xid xid);
    FlatColumn Column(size_t ordinal) const;
    // The key columns, in key order.
    const std::vector<FlatColumn>& key() const { return key_; }

    // --- under the table's mutex while the chunk grows, then constant ---

    InsertRuns& inserted() { return inserted_; }
    const InsertRuns& inserted() const { return inserted_; }

    // --- any thread ---

    // Memory held, strings included.
    size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
    // Which of rows [begin, end) a snapshot sees. Returns their number; if that is not all of them, they are in "sel",
    // which is given memory then.
    size_t Visible(const Snapshot& snapshot, const InsertRuns& inserted, size_t begin, size_t end,
                   duckdb::SelectionVector* sel) const;
    // Makes "out" reference columns "columns" of rows [begin, end), or those of "sel" (counted from the chunk's start)
    // if it is set.
    void Reference(const std::vector<size_t>& columns, size_t begin, size_t end, const duckdb::SelectionVector& sel,
                   size_t sel_count, duckdb::DataChunk& out) const;

  private:
    static constexpr size_t kWords = kChunkRows / 64;
    using Validity = std::array<uint64_t, kWords>;
    using Deleters = std::array<std::atomic<Xid>, kChunkRows>;

    void SetValidity(size_t column, size_t begin, size_t count, const ColumnView& from, size_t offset);
    void SetValid(size_t column, size_t row, bool valid);

    const std::shared_ptr<FileMemory> memory_;  // of the columns, which go before it does
    duckdb::vector<duckdb::Vector> columns_;
    std::vector<size_t> widths_;
    std::vector<FlatColumn> key_;
    std::unique_ptr<Validity[]> validity_;      // of each column; words are accessed atomically
    std::atomic<Deleters*> deleters_{nullptr};  // made with the first delete
    InsertRuns inserted_;
    std::atomic<size_t> bytes_{0};
};

}  // namespace ivy::delta
