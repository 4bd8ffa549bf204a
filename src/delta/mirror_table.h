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
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/snapshot.h"
#include "base/status.h"
#include "delta/file_memory.h"
#include "delta/index_builder.h"
#include "delta/read_view.h"
#include "delta/rewrite.h"
#include "protocol/messages.h"

namespace ivy::delta {

// A data file to add to a mirror, from a metadata file at start or from a flush.
struct NewFile {
    std::string path;
    int64_t rows = 0;
    int64_t size = 0;
    std::string index_path;  // its key index segment (see src/index); rebuilt by the caller if it was missing
    std::shared_ptr<const RowSet> deleted;  // its deletion vector, or null
    // Of a cut's file whose rows are sorted: the row number of each row that ScanCut gave, in turn. Null: 0, 1, 2...
    std::shared_ptr<const std::vector<uint32_t>> order;
};

// Reads single rows of data files. The engine supplies it; a table asks when a key's row in a file has to be told from
// others, and for the unchanged values of an updated row.
class RowReader {
  public:
    virtual ~RowReader() = default;
    // Rows that lie together in a file, which cost about as much to read as a few of them.
    static constexpr uint64_t kBlockRows = 122880;

    // Takes rows: their numbers in the file, and their values in flat vectors.
    using Sink = std::function<Status(const int64_t* numbers, duckdb::DataChunk&)>;
    // Gives columns "columns" (ordinals into the mirror's columns, with the DuckDB types of ToDuckType) of rows "rows"
    // (row numbers in the file, ascending, each once) to "sink", in any order, in chunks of any size but 0; stops at its error.
    // Other rows of the file, which had to be read anyway, may be among them.
    virtual Status ReadRows(const std::string& path, const std::vector<uint64_t>& rows,
                            const std::vector<size_t>& columns, const Sink& sink) = 0;
};

// What one flush takes: a prefix of the applied transactions.
struct FlushCut {
    uint64_t id = 0;                                // 0: there is no transaction to flush
    Lsn flushed_lsn = kInvalidLsn;                  // commit LSN of the last transaction contained
    uint64_t begin_position = 0, end_position = 0;  // delta positions contained
    uint64_t rows = 0;       // rows to write: those in the range that no contained transaction deleted
    bool truncated = false;  // a contained TRUNCATE removes every file
    // Files whose deletion vector changes: slot, path, and the whole new vector.
    struct FileDeletes {
        uint32_t slot;
        std::string path;
        int64_t file_rows;
        std::shared_ptr<const RowSet> deleted;
        bool Emptied() const;  // no row is left: the file goes from the mirror
    };
    std::vector<FileDeletes> deletes;
    // Once this cut is published: transactions in files that some snapshot may not see yet, ascending. Keep them with
    // the metadata (Options::flushed_xids); there are none unless the flush was forced, or a recent one was.
    std::vector<Xid> unseen_xids;
    // Nothing to write. (A cut of transactions whose changes cancel out is empty but has an id: finish it all the
    // same.)
    bool Empty() const { return rows == 0 && deletes.empty() && !truncated; }
    bool RemovesFiles() const;
};

class MirrorTable {
  public:
    struct Options {
        MirrorOpen open;                     // columns, key, flushed_lsn, ...
        std::string index_folder;            // local folder for key index segments; must exist
        std::shared_ptr<FileMemory> memory;  // of the delta's values; null: ordinary memory
        RowReader* row_reader = nullptr;     // must outlive the table; null only for append-only mirrors and some tests
        std::vector<Xid> flushed_xids;       // FlushCut::unseen_xids of the last published flush
        // Of tables whose rows may repeat: memory for what is known of equal rows of files, and rows that are read together.
        size_t equal_rows_bytes = 16 << 20;
        uint64_t block_rows = RowReader::kBlockRows;
        uint64_t hash_mask = ~uint64_t{0};  // tests only: bits of key hashes to use, to make keys collide
    };
    // An error if a key column is unknown.
    static Result<std::unique_ptr<MirrorTable>> Make(Options options);
    virtual ~MirrorTable() = default;

    // --- applying thread ---

    // Applies one transaction's changes, in order. Changes at or before flushed_lsn must not be passed again. Either
    // the whole transaction is applied or, on an error (a deleted key that does not exist, a damaged chunk), nothing
    // that matters: the table then refuses everything, and the caller declares the mirror failed. Columns of "changes"
    // must have the mirror's types. SQLSTATEs: 08P01 (a damaged message), XX001 (the row to delete is not in the
    // mirror, a key index is damaged), 53200, and what the RowReader returns.
    virtual Status Apply(const std::vector<const Changes*>& changes, Xid xid, Lsn commit_lsn) = 0;
    // Applies the next part of a large transaction, which nobody sees until Apply was called for the same xid with the
    // last part (which may be empty). No other transaction may come between.
    virtual Status ApplyPart(const std::vector<const Changes*>& changes, Xid xid) = 0;
    // Everything below is seen by every snapshot from now on: lets delete lists be folded.
    virtual void SetOldestXmin(Xid oldest_xmin) = 0;

    // --- files ---

    // What the initial copy saw: a mirror opened without it refuses to be read until this is called.
    virtual void SetCopySnapshot(const Snapshot& snapshot) = 0;
    // Adds files (at start, or the initial copy's). Returns their slots. An error, and no file added, if the key index
    // of one is missing or damaged: NewFile::index_path is to be rebuilt (MakeIndexBuilder). Append-only mirrors need
    // none.
    virtual Result<std::vector<uint32_t>> AddFiles(const std::vector<NewFile>& files) = 0;

    // --- flushing thread ---

    // For the key index of a file that did not come from a cut. The keys to add are columns key_columns() of its rows.
    virtual IndexBuilder MakeIndexBuilder() const = 0;
    virtual const std::vector<size_t>& key_columns() const = 0;  // ordinals of columns, in key order; empty: no key

    // The longest prefix of unflushed transactions whose ids are all below oldest_xmin (any prefix, with "force": older
    // snapshots are refused afterwards). Empty cut if there is none. One cut at a time.
    virtual FlushCut BeginFlush(Xid oldest_xmin, bool force) = 0;
    // Copies the rows of the cut, in the order in which they get row numbers 0, 1, 2... of the one new file, unless
    // NewFile::order says otherwise. Call until it leaves "out" empty. "out" has the mirror's columns.
    virtual void ScanCut(const FlushCut& cut, uint64_t* position, duckdb::DataChunk& out) = 0;
    // The cut is published: its rows are now in "file" (null if it had none), its deletes in deletion vectors (files that it
    // emptied are forgotten). Deletes
    // that were applied to its rows meanwhile are carried over to the file. On an error nothing has changed: the
    // segment of NewFile::index_path could not be opened, say. A cut without id is ignored.
    virtual Status FinishFlush(const FlushCut& cut, const NewFile* file) = 0;
    // The cut failed or was given up: as if it had never begun.
    virtual void AbandonFlush(const FlushCut& cut) = 0;

    // What the files with these paths are now, in this order; nothing if one of them is gone, or emptied by a TRUNCATE.
    virtual std::optional<std::vector<RewriteSource>> RewriteSources(const std::vector<std::string>& paths) const = 0;
    // The rewrite is published: "files" are in the place of its sources, with the deletion vectors that they have now
    // (RewriteMap::MapDeleted of the sources' present ones). On an error nothing has changed. Not between BeginFlush and the
    // end of the flush.
    virtual Status FinishRewrite(const RewriteMap& map, const std::vector<NewFile>& files) = 0;

    // --- any thread ---

    // A view for a snapshot, which must only see transactions that have been applied. An error with SQLSTATE 55000 if
    // the snapshot is too old for what the files contain, if the initial copy is still to come, or if an Apply failed.
    virtual Result<std::shared_ptr<const ReadView>> Read(const Snapshot& snapshot) = 0;

    struct Stats {
        uint64_t delta_rows = 0;
        uint64_t delta_bytes = 0;      // in memory: rows, and what finds and deletes rows, as far as a flush frees it
        uint64_t pending_deletes = 0;  // deletes of file rows that are not in deletion vectors yet
        uint64_t file_rows = 0, file_bytes = 0, index_bytes = 0;
        uint32_t files = 0;
        Lsn oldest_unflushed_lsn = kInvalidLsn;  // commit LSN of the first transaction only in memory; 0: none
        int64_t oldest_unflushed_us = 0;         // when it was applied, steady clock microseconds; 0: none
        Lsn flushed_lsn = kInvalidLsn;
    };
    virtual Stats GetStats() const = 0;
};

}  // namespace ivy::delta
