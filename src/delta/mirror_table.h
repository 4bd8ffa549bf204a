// SPDX-License-Identifier: Apache-2.0
//
// MirrorTable: the content of one mirror in the engine: immutable data files, committed rows that are not in files yet
// (the delta), and which rows of both are deleted, by which transaction.
//
// Threads: one applies (the capture session), one flushes, any number call Read. A reader never waits for a flush, only
// for the short critical section in which a transaction is applied.
//
// Addresses: every delta row has a position, ascending for ever; every file has a slot, ascending, never reused in this
// process. A delete is kept as (address, xid of the deleting transaction). It becomes part of a file's deletion vector
// only when every snapshot sees it. Transactions are applied in commit order, whole.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/snapshot.h"
#include "base/status.h"
#include "delta/read_view.h"
#include "protocol/messages.h"

namespace ivy::delta {

// A data file to add to a mirror, from a metadata file at start or from a flush.
struct NewFile {
    std::string path;
    int64_t rows = 0;
    int64_t size = 0;
    std::string index_path;  // its key index segment (see src/index); rebuilt by the caller if it was missing
    std::shared_ptr<const RowSet> deleted;  // its deletion vector, or null
};

// What one flush takes: a prefix of the applied transactions.
struct FlushCut {
    uint64_t id = 0;
    Lsn flushed_lsn = kInvalidLsn;      // commit LSN of the last transaction contained
    uint64_t begin_position = 0, end_position = 0;  // delta positions contained
    uint64_t rows = 0;                  // rows to write: those in the range that no contained transaction deleted
    bool truncated = false;             // a contained TRUNCATE removes every file
    // Files whose deletion vector changes: slot, path, and the whole new vector.
    struct FileDeletes {
        uint32_t slot;
        std::string path;
        int64_t file_rows;
        std::shared_ptr<const RowSet> deleted;
    };
    std::vector<FileDeletes> deletes;
    bool Empty() const { return rows == 0 && deletes.empty() && !truncated; }
};

class MirrorTable {
  public:
    struct Options {
        MirrorOpen open;              // columns, key, flushed_lsn, ...
        std::string index_folder;     // local folder for key index segments
    };
    static Result<std::unique_ptr<MirrorTable>> Make(Options options);
    virtual ~MirrorTable() = default;

    // --- applying thread ---

    // Applies one transaction's changes, in order. Changes at or before flushed_lsn must not be passed again. Either the
    // whole transaction is applied or, on an error (a deleted key that does not exist, a damaged chunk), nothing that
    // matters: the caller then declares the mirror failed.
    virtual Status Apply(const std::vector<const Changes*>& changes, Xid xid, Lsn commit_lsn) = 0;
    // Everything below is seen by every snapshot from now on: lets delete lists be folded.
    virtual void SetOldestXmin(Xid oldest_xmin) = 0;

    // --- files ---

    // Adds files (at start, or the initial copy's). Returns their slots.
    virtual Result<std::vector<uint32_t>> AddFiles(const std::vector<NewFile>& files) = 0;

    // --- flushing thread ---

    // The longest prefix of unflushed transactions whose ids are all below oldest_xmin (any prefix, with "force": older
    // snapshots are refused afterwards). Empty cut if there is none. One cut at a time.
    virtual FlushCut BeginFlush(Xid oldest_xmin, bool force) = 0;
    // Copies the rows of the cut, in the order in which they get row numbers 0, 1, 2... of the one new file. Call until
    // it leaves "out" empty. "out" has the mirror's columns.
    virtual void ScanCut(const FlushCut& cut, uint64_t* position, duckdb::DataChunk& out) = 0;
    // The cut is published: its rows are now in "file" (null if it had none), its deletes in deletion vectors. Deletes that
    // were applied to its rows meanwhile are carried over to the file.
    virtual Status FinishFlush(const FlushCut& cut, const NewFile* file) = 0;
    // The cut failed or was given up: as if it had never begun.
    virtual void AbandonFlush(const FlushCut& cut) = 0;

    // --- any thread ---

    // A view for a snapshot. An error with SQLSTATE 55000 if the snapshot is too old for what the files contain.
    virtual Result<std::shared_ptr<const ReadView>> Read(const Snapshot& snapshot) = 0;

    struct Stats {
        uint64_t delta_rows = 0, delta_bytes = 0;  // in memory
        uint64_t pending_deletes = 0;              // deletes of file rows that are not in deletion vectors yet
        uint64_t file_rows = 0, file_bytes = 0, index_bytes = 0;
        uint32_t files = 0;
        Lsn oldest_unflushed_lsn = kInvalidLsn;    // commit LSN of the first transaction that is only in memory; 0: none
        int64_t oldest_unflushed_us = 0;           // when it was applied, steady clock microseconds; 0: none
        Lsn flushed_lsn = kInvalidLsn;
    };
    virtual Stats GetStats() const = 0;
};

}  // namespace ivy::delta
