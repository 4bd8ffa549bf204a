// SPDX-License-Identifier: Apache-2.0
//
// DeletedRows: which rows of one data file are deleted, by which transaction.
//
// Deletes that are in the file's deletion vector are a bitmap that every view shows. Later ones are pending: a list of
// (row, xid) in commit order, of which a view shows those that its snapshot sees. Merging both is work in proportion to
// the list, so two merged bitmaps are kept: one of what every snapshot sees, one of what the latest views saw.
//
// Threads: the applying thread adds; readers take a Capture under the table's mutex and merge it without. The list lies
// in blocks that never move, and a reader touches only entries that were published under that mutex.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "base/snapshot.h"
#include "delta/row_set.h"

namespace ivy::delta {

class DeletedRows {
  public:
    // "vector" may be null.
    explicit DeletedRows(std::shared_ptr<const RowSet> vector) : vector_(std::move(vector)) {}

    // --- applying thread; "table_mutex" is the table's, not held ---

    // Whether a transaction that has been applied deleted the row.
    bool Contains(uint64_t row) const { return (vector_ && vector_->contains(row)) || applied_.contains(row); }
    void Add(uint64_t row, Xid xid, std::mutex* table_mutex);

    // --- holding the table's mutex and the applying thread's ---

    // Makes what was added visible to captures.
    void Publish() { published_ = end_; }
    // The first "count" pending deletes, and nothing else new, are in "vector" now.
    void SetVector(std::shared_ptr<const RowSet> vector, uint64_t count);

    // --- holding either ---

    const std::shared_ptr<const RowSet>& vector() const { return vector_; }
    uint64_t pending() const { return published_ - begin_; }

    // --- readers ---

    struct Block;
    // A bitmap of everything up to an entry.
    struct Checkpoint {
        std::shared_ptr<const RowSet> bitmap;  // null: empty
        uint64_t end = 0;                      // ordinal of the first entry that is not in it
        Xid max_xid = kInvalidXid;             // of the pending entries that are in it
    };
    // The state at one moment. Holding the table's mutex.
    struct Capture {
        Checkpoint base, latest;
        std::vector<std::shared_ptr<const Block>> blocks;
        uint64_t end = 0;
        // Set by Merge: whether the snapshot saw all entries, and then the largest xid of the pending ones.
        bool complete = false;
        Xid max_xid = kInvalidXid;
    };
    Capture Take() const;
    // What a snapshot sees of a capture, or null for nothing; no lock needed. Also gives the capture better
    // checkpoints, which Keep then stores for others.
    static std::shared_ptr<const RowSet> Merge(Capture* capture, const Snapshot& snapshot, Xid oldest_xmin);
    // Holding the table's mutex.
    void Keep(const Capture& capture);

  private:
    struct Entry {
        uint64_t row;
        Xid xid;
    };

    std::shared_ptr<const RowSet> vector_;
    RowSet applied_;  // pending rows; the applying thread's
    std::vector<std::shared_ptr<Block>> blocks_;
    // Ordinals of pending entries, ascending for ever.
    uint64_t begin_ = 0;      // the first that is not in vector_
    uint64_t published_ = 0;  // readers stop here
    uint64_t end_ = 0;
    Checkpoint base_, latest_;
};

}  // namespace ivy::delta
