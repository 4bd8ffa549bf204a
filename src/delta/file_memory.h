// SPDX-License-Identifier: Apache-2.0
//
// FileMemory: the memory of delta chunks: ordinary memory up to a limit, and beyond it pages of temporary files, which the
// system may write out and take back.
//
// A transaction is applied as a whole, so its rows must be somewhere until they are flushed, and it may be larger than the
// machine's memory. Pages mapped from a file need no code to be spilled and read again: the system keeps in memory what is
// used. Space in the files is reserved before it is used, so that a full disk is an error here and not a signal later;
// then ordinary memory is used all the same: slower is better than failed.
//
// The files have no names and vanish with the process. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "duckdb/common/allocator.hpp"

namespace ivy::delta {

class FileMemory {
  public:
    // "folder" is where the files are made; "limit" is the number of bytes of ordinary memory that may be in use.
    FileMemory(std::string folder, uint64_t limit);
    ~FileMemory();  // REQUIRES: everything was freed
    FileMemory(const FileMemory&) = delete;
    FileMemory& operator=(const FileMemory&) = delete;

    // For DuckDB's vectors. Lives as long as this object.
    duckdb::Allocator& allocator() { return *allocator_; }

    uint64_t heap_bytes() const { return heap_bytes_; }
    uint64_t file_bytes() const;

  private:
    // A mapped file, filled from its start; gone when all that was in it was freed.
    struct Segment {
        uint64_t size = 0, used = 0;
        uint64_t live = 0;  // allocations
    };
    struct Private;

    uint8_t* Allocate(uint64_t size);
    void Free(uint8_t* memory, uint64_t size);
    uint8_t* AllocateInFile(uint64_t size);
    bool AddSegment(uint64_t size);

    const std::string folder_;
    const uint64_t limit_;
    std::unique_ptr<duckdb::Allocator> allocator_;
    std::atomic<uint64_t> heap_bytes_{0};
    mutable std::mutex mutex_;
    std::map<uint8_t*, Segment> segments_;  // by address
    uint8_t* current_ = nullptr;            // the segment that is being filled
    bool no_room_ = false;                  // the last attempt to add one failed; tried again when one goes
};

}  // namespace ivy::delta
