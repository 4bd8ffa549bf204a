// SPDX-License-Identifier: Apache-2.0
//
// ChangeSpool: one transaction's changes to one mirror, from their arrival until they are applied.
//
// They wait in memory up to a limit and beyond it in a temporary file, so that a transaction of any size, or any number
// of transactions that wait for an initial copy, needs bounded memory. The files have no name and vanish with the
// process: after a crash the slot sends everything again. When the disk is full, changes stay in memory: slower is
// better than lost. Not thread-safe; whoever owns a spool guards it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/status.h"
#include "protocol/messages.h"

namespace ivy::engine {

// A temporary file without a name that bytes are appended to. One spool's, or shared by many.
class SpillFile {
  public:
    // Makes it in "folder", which is made if missing.
    static Result<std::shared_ptr<SpillFile>> Make(const std::string& folder);
    ~SpillFile();
    SpillFile(const SpillFile&) = delete;
    SpillFile& operator=(const SpillFile&) = delete;

    // Returns the offset at which the bytes were put. A failed append leaves no trace.
    Result<uint64_t> Append(const Bytes& bytes);
    Status Read(uint64_t offset, size_t size, Bytes* out) const;
    uint64_t size() const { return size_; }

  private:
    explicit SpillFile(int fd) : fd_(fd) {}
    const int fd_;
    uint64_t size_ = 0;
};

class ChangeSpool {
  public:
    // Keeps up to "memory_limit" bytes in memory, the rest in a file in "folder".
    ChangeSpool(std::string folder, uint64_t memory_limit) : folder_(std::move(folder)), memory_limit_(memory_limit) {}

    void Append(Changes changes);
    // Forgets what this subtransaction did. Its id never comes again.
    void AbortSubtransaction(Xid subxid);

    // Gives everything in order, in batches of about "batch_bytes" that are valid during the call; stops at the first
    // error. "last" is true for exactly one batch, the last one, which may be empty. May be called again.
    using Take = std::function<Status(const std::vector<const Changes*>&, bool last)>;
    Status ForEachBatch(uint64_t batch_bytes, const Take& take) const;

    // Moves what is in memory to "file". On an error it stays in memory.
    Status SpillTo(std::shared_ptr<SpillFile> file);

    bool empty() const { return memory_.empty() && extents_.empty(); }
    // Whether some rows were deleted or updated; whether values of some are those of their previous version.
    bool has_old_rows() const { return has_old_rows_; }
    bool has_unchanged() const { return has_unchanged_; }
    uint64_t memory_bytes() const { return memory_bytes_; }
    // What it takes in memory and in files.
    uint64_t bytes() const;

  private:
    // A run of serialized changes in a file.
    struct Extent {
        std::shared_ptr<SpillFile> file;
        uint64_t offset = 0;
        uint64_t size = 0;
    };

    Status ForEachSpilled(const std::function<Status(Changes)>& take) const;

    std::string folder_;
    uint64_t memory_limit_;
    std::vector<Extent> extents_;  // older than everything in memory
    std::vector<Changes> memory_;
    uint64_t memory_bytes_ = 0;
    std::set<Xid> aborted_;
    bool has_old_rows_ = false, has_unchanged_ = false;
};

}  // namespace ivy::engine
