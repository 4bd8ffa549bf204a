// SPDX-License-Identifier: Apache-2.0
//
// TableImpl: the one implementation of MirrorTable. Its methods are in five files: apply.cc, equal_rows.cc, flush.cc,
// rewrite.cc, and table_impl.cc for the rest.
//
// Two mutexes. Whoever changes the table holds apply_mutex_ from start to end: the applying thread for a transaction,
// the flusher for the instant of taking or finishing a cut. mutex_ guards what readers see and is only ever held for a
// moment, inside apply_mutex_ if both are needed. A field marked "both" is written holding both and read holding
// either.
//
// A transaction becomes visible at once, when Publish moves published_end_ and the files' lists: rows beyond it are not
// looked at by readers, and a mark of deletion carries the deleter's xid, which no reader's snapshot sees before the
// transaction is published (a reader waits until all that its snapshot sees has been applied).
//
// Deletes are also kept as one log in commit order, which tells a cut exactly what it contains, and FinishFlush which
// deletes have to follow their rows into the new file.
#pragma once

#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "delta/deleted_rows.h"
#include "delta/delta_chunk.h"
#include "delta/mirror_table.h"
#include "delta/table_view.h"
#include "index/hot_table.h"
#include "index/segment.h"

namespace ivy::delta {

class TableImpl final : public MirrorTable {
  public:
    TableImpl(Options options, std::vector<size_t> key_columns, KeyColumns key);

    Status Apply(const std::vector<const Changes*>& changes, Xid xid, Lsn commit_lsn) override;
    Status ApplyPart(const std::vector<const Changes*>& changes, Xid xid) override;
    void SetOldestXmin(Xid oldest_xmin) override;

    void SetCopySnapshot(const Snapshot& snapshot) override;
    Result<std::vector<uint32_t>> AddFiles(const std::vector<NewFile>& files) override;
    IndexBuilder MakeIndexBuilder() const override { return IndexBuilder(key_); }
    const std::vector<size_t>& key_columns() const override { return key_columns_; }

    FlushCut BeginFlush(Xid oldest_xmin, bool force) override;
    void ScanCut(const FlushCut& cut, uint64_t* position, duckdb::DataChunk& out) override;
    Status FinishFlush(const FlushCut& cut, const NewFile* file) override;
    void AbandonFlush(const FlushCut& cut) override;
    std::optional<std::vector<RewriteSource>> RewriteSources(const std::vector<std::string>& paths) const override;
    Status FinishRewrite(const RewriteMap& map, const std::vector<NewFile>& files) override;

    Result<std::shared_ptr<const ReadView>> Read(const Snapshot& snapshot) override;
    Stats GetStats() const override;

  private:
    // A data file, from the moment it is published until the TRUNCATE that removes it is.
    struct File {
        uint32_t slot = 0;
        std::string path;
        int64_t rows = 0;
        int64_t size = 0;
        std::unique_ptr<index::Segment> segment;  // apply_mutex_; null in append-only mirrors
        DeletedRows deleted;
        Lsn dropped_by = kInvalidLsn;                  // both: commit of the TRUNCATE that emptied it
        std::unordered_map<uint64_t, uint64_t> skips;  // apply_mutex_: by hash, leading candidates known to be deleted
        explicit File(std::shared_ptr<const RowSet> vector) : deleted(std::move(vector)) {}
    };
    using FilePtr = std::shared_ptr<File>;

    // An applied transaction that is not in files yet.
    struct Transaction {
        Xid xid = kInvalidXid;
        Lsn commit_lsn = kInvalidLsn;
        uint64_t begin = 0, end = 0;        // positions of its rows
        uint64_t deletes_end = 0;           // ordinal in the delete log
        std::optional<uint64_t> truncated;  // position at its last TRUNCATE
        int64_t applied_us = 0;
    };

    // In a table whose rows may repeat, the row that was deleted may not be the one that Postgres deleted but its
    // equal. Nobody can tell, unless a snapshot sees the deleter but not who inserted the one we chose.
    struct Substitute {
        Xid deleter, inserter;
        auto operator<=>(const Substitute&) const = default;
    };

    // Leading deleted candidates of a hash that are worth remembering.
    static constexpr uint64_t kWorthASkip = 16;

    // A delete in the log.
    static constexpr uint32_t kDeltaSlot = UINT32_MAX;
    struct DeleteRecord {
        uint64_t row = 0;   // in the file, or the position
        uint32_t slot = 0;  // of the file, or kDeltaSlot
    };

    // The transaction that is being applied.
    struct Staged {
        Xid xid = kInvalidXid;  // invalid: none
        uint64_t begin = 0;
        uint64_t deletes_begin = 0;
        std::optional<uint64_t> truncated;
        std::vector<FilePtr> touched;  // with new deletes
        std::vector<Substitute> substitutes;
    };

    // Rows of files that are known, because they were read, to be exactly equal to a row: in tables whose rows may repeat, the
    // next delete of such a row need not read a file again. See equal_rows.cc.
    struct EqualRows {
        std::string key;                                  // KeyColumns::AppendBytes
        std::vector<std::pair<uint32_t, uint64_t>> rows;  // slot and row
    };

    // Where a row is: in the delta, in a file, or in a file but not decided yet in which row (see Part).
    struct RowAddress {
        enum { kDelta, kFile, kAmbiguous } kind = kDelta;
        uint64_t row = 0;      // position, row number, or ordinal in Part::ambiguous
        File* file = nullptr;  // kFile
    };

    // What one call of ApplyPart puts off to its end.
    struct Part {
        std::vector<std::unique_ptr<ColumnChunkView>> keys;  // of the messages, for later comparison

        // A key that several rows of files may have. Decided at the end: (file, row) of the one that is deleted.
        struct Ambiguous {
            const ColumnChunkView* keys;
            size_t key_row;
            uint64_t hash;
            std::string bytes = {};  // KeyColumns::AppendBytes, where rows may repeat
            File* file = nullptr;
            uint64_t row = 0;
        };
        std::vector<Ambiguous> ambiguous;
        // Where rows may repeat: their hashes and, while they are resolved, rows of one hash that are looked for.
        std::unordered_set<uint64_t> hashes;
        struct Wanted {
            std::string key;              // KeyColumns::AppendBytes
            std::vector<size_t> deletes;  // ordinals in "ambiguous"
        };
        std::unordered_map<uint64_t, std::vector<Wanted>> wanted;

        // A value to be copied from a row's previous version into its new one.
        struct Unchanged {
            uint64_t position;  // of the new version
            size_t column;
            RowAddress from;
        };
        std::vector<Unchanged> unchanged;
    };
    struct EqualRead;  // what is read for deletes of equal rows; see equal_rows.cc

    // The cut between BeginFlush and its end. Made holding both mutexes, then the flusher's own.
    struct CutChunk {
        std::shared_ptr<const DeltaChunk> chunk;
        size_t begin = 0, end = 0;                      // rows of the chunk in the cut
        std::array<uint64_t, kChunkRows / 64> written;  // rows that go to the file
        uint64_t first_row = 0;                         // row number in the file of the first of them
    };
    struct ActiveCut {
        FlushCut cut;
        size_t transactions = 0;
        uint64_t deletes_end = 0;  // ordinal in the delete log
        uint64_t chunks_position = 0;
        std::vector<CutChunk> chunks;
        std::map<uint32_t, uint64_t> file_deletes;           // by slot: pending deletes contained
        std::shared_ptr<const std::vector<uint32_t>> order;  // NewFile::order, when the cut is finished
        // The row number in the new file of a row in the cut, if it is written.
        std::optional<uint64_t> RowNumber(uint64_t position) const;
    };

    // --- apply.cc ---
    Status Guarded(const std::function<Status()>& step);
    Status Begin(Xid xid);
    Status ApplyChanges(const std::vector<const Changes*>& changes);
    Status ApplyOne(const Changes& changes, Part* part);
    Status Unidentified() const;
    Status AppendRows(const ColumnChunkView& rows);
    Status FillUnchangedKeys(const Changes& changes, const ColumnChunkView& keys, uint64_t base);
    void HashRows(uint64_t begin, uint64_t end, std::vector<uint64_t>* hashes) const;
    Result<RowAddress> FindOld(const std::vector<FlatColumn>& keys, size_t key_row, uint64_t hash, Part* part);
    uint64_t FindHot(const std::vector<FlatColumn>& keys, size_t key_row, uint64_t hash, bool exact) const;
    // Rows of a file that may have the hash and are not deleted, in ascending order, until "visit" returns false.
    template <typename Visit>
    Status VisitLiveRows(File* file, uint64_t hash, Visit&& visit) {
        if (!file->segment->MayContain(hash)) return Status::Ok();
        uint64_t skip = 0;
        if (!file->skips.empty()) {
            const auto known = file->skips.find(hash);
            if (known != file->skips.end()) skip = known->second;
        }
        uint64_t leading = 0;
        bool found = false;
        IVY_RETURN_IF_ERROR(file->segment->Find(hash, skip, [&](uint64_t row) {
            if (file->deleted.Contains(row)) {
                leading += !found;
                return true;
            }
            found = true;
            return visit(row);
        }));
        if (leading >= kWorthASkip) file->skips[hash] = skip + leading;
        return Status::Ok();
    }
    void Delete(const RowAddress& address, uint64_t hash);
    void Forget(uint32_t slot);
    void NoteSubstitute(uint64_t position);
    void Truncate(uint64_t position, Part* part);
    Status ResolveAmbiguous(Part* part);
    Status FillUnchanged(Part* part);
    void Publish(Lsn commit_lsn);
    DeltaChunk& ChunkAt(uint64_t position) { return *chunks_[position / kChunkRows - first_chunk_]; }
    const DeltaChunk& ChunkAt(uint64_t position) const { return *chunks_[position / kChunkRows - first_chunk_]; }

    // --- equal_rows.cc ---
    std::optional<RowAddress> KnownEqual(const std::vector<FlatColumn>& keys, size_t key_row, uint64_t hash);
    void NoteAmbiguous(const std::vector<FlatColumn>& keys, size_t key_row, Part* part);
    Status ResolveEqual(Part* part, std::vector<size_t>* open);
    Status PlanEqual(uint64_t hash, size_t needed, std::map<uint32_t, EqualRead>* reads);
    Status ReadEqual(File* file, EqualRead* read, Part* part);
    bool TakeWanted(const std::string& key, std::vector<Part::Wanted>* wanted, File* file, uint64_t row, Part* part);
    void NoteEqual(uint64_t hash, const std::string& key, uint32_t slot, uint64_t row);
    void ForgetEqual();

    // --- flush.cc ---
    void PlanCut(ActiveCut* active, const std::vector<DeleteRecord>& deletes,
                 const std::map<uint32_t, FilePtr>& files) const;
    void CarryOver(const ActiveCut& active, const FilePtr& file);
    void DropFlushedRows(uint64_t end);

    // --- rewrite.cc ---
    void MoveDeletes(const RewriteMap& map, const std::unordered_map<uint32_t, size_t>& sources,
                     const std::vector<FilePtr>& files);

    // --- table_impl.cc ---
    Result<FilePtr> OpenFile(const NewFile& file) const;
    Status CheckReadable(const Snapshot& snapshot) const;

    const Options options_;
    const std::shared_ptr<const std::vector<MirrorColumn>> columns_;
    const duckdb::vector<duckdb::LogicalType> types_;
    const std::vector<size_t> key_columns_;
    const KeyColumns key_;
    const bool key_is_row_;  // the key is all columns, and rows may repeat: REPLICA IDENTITY FULL

    std::mutex apply_mutex_;
    mutable std::mutex mutex_;

    // --- apply_mutex_ ---
    index::HotTable hot_;
    std::deque<DeleteRecord> deletes_;                      // of unflushed transactions and the staged one
    uint64_t deletes_begin_ = 0;                            // ordinal of its first
    std::vector<FilePtr> lookup_files_;                     // in which rows to delete are looked for
    std::unordered_map<uint64_t, EqualRows> equal_rows_;    // by hash
    size_t equal_bytes_ = 0;                                // that they take, about
    std::set<std::pair<uint32_t, uint64_t>> equal_blocks_;  // slot and block, of which all rows were noted
    uint64_t end_ = 0;                                      // position of the next row
    Staged staged_;
    Lsn last_lsn_ = kInvalidLsn;
    duckdb::DataChunk key_chunk_;            // scratch
    std::unique_ptr<ActiveCut> active_cut_;  // the flusher's; set and reset holding apply_mutex_
    uint64_t next_cut_ = 1;

    // --- both ---
    std::deque<std::shared_ptr<DeltaChunk>> chunks_;
    uint64_t first_chunk_ = 0;  // positions / kChunkRows of the first of them
    std::deque<Transaction> transactions_;
    std::map<uint32_t, FilePtr> known_files_;  // by slot, dropped ones included
    uint32_t next_slot_ = 0;

    // --- mutex_ ---
    std::vector<FilePtr> live_files_;  // what views show
    uint64_t published_end_ = 0;       // views show positions below
    uint64_t flushed_end_ = 0;         // views show positions at or above, being in no file
    uint64_t truncated_end_ = 0;       // views show positions at or above
    std::optional<Snapshot> copy_snapshot_;
    std::vector<Xid> unseen_xids_;         // ascending; in files, not below oldest_xmin_
    std::vector<Substitute> substitutes_;  // whose inserter is not below oldest_xmin_
    Xid oldest_xmin_ = kInvalidXid;
    Lsn flushed_lsn_ = kInvalidLsn;
    std::optional<Error> failure_;
    size_t hot_bytes_ = 0;
    uint64_t unflushed_deletes_ = 0;  // in the delete log, of published transactions
    // Kept for views to come.
    std::shared_ptr<const ChunkList> chunk_list_;
    struct {
        uint64_t version = 0;
        std::shared_ptr<const std::vector<FileView>> files;
        Xid max_xid = kInvalidXid;  // of the pending deletes in "files": right for snapshots with an xmin above
    } file_views_;
    uint64_t files_version_ = 1;  // raised with every change of what files show
};

}  // namespace ivy::delta
