// SPDX-License-Identifier: Apache-2.0
// FileMemory: an allocator of DuckDB's kind over malloc and mapped temporary files.
#include "delta/file_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <new>

namespace ivy::delta {

namespace {
constexpr uint64_t kSegmentBytes = 64ull << 20;
constexpr uint64_t kAlignment = 64;

uint64_t RoundUp(uint64_t size, uint64_t unit) { return (size + unit - 1) / unit * unit; }
}  // namespace

struct FileMemory::Private : public duckdb::PrivateAllocatorData {
    explicit Private(FileMemory* memory) : memory(memory) {}
    FileMemory* memory;
};

FileMemory::FileMemory(std::string folder, uint64_t limit) : folder_(std::move(folder)), limit_(limit) {
    allocator_ = std::make_unique<duckdb::Allocator>(
        [](duckdb::PrivateAllocatorData* data, duckdb::idx_t size) -> duckdb::data_ptr_t {
            return static_cast<Private*>(data)->memory->Allocate(size);
        },
        [](duckdb::PrivateAllocatorData* data, duckdb::data_ptr_t memory, duckdb::idx_t size) {
            static_cast<Private*>(data)->memory->Free(memory, size);
        },
        [](duckdb::PrivateAllocatorData* data, duckdb::data_ptr_t memory, duckdb::idx_t old_size,
           duckdb::idx_t size) -> duckdb::data_ptr_t {
            FileMemory* own = static_cast<Private*>(data)->memory;
            uint8_t* moved = own->Allocate(size);
            std::memcpy(moved, memory, std::min(old_size, size));
            own->Free(memory, old_size);
            return moved;
        },
        duckdb::make_uniq<Private>(this));
}

FileMemory::~FileMemory() {
    for (const auto& [address, segment] : segments_) munmap(address, segment.size);
}

uint64_t FileMemory::file_bytes() const {
    std::lock_guard guard(mutex_);
    uint64_t bytes = 0;
    for (const auto& [address, segment] : segments_) bytes += segment.size;
    return bytes;
}

uint8_t* FileMemory::Allocate(uint64_t size) {
    if (heap_bytes_ + size > limit_) {
        if (uint8_t* memory = AllocateInFile(size)) return memory;
    }
    auto* memory = static_cast<uint8_t*>(std::malloc(size));
    if (!memory) throw std::bad_alloc();
    heap_bytes_ += size;
    return memory;
}

uint8_t* FileMemory::AllocateInFile(uint64_t size) {
    const uint64_t needed = RoundUp(std::max<uint64_t>(size, 1), kAlignment);
    std::lock_guard guard(mutex_);
    if (no_room_) return nullptr;
    if (!current_ || segments_[current_].size - segments_[current_].used < needed) {
        uint8_t* const filled = current_;
        if (!AddSegment(std::max(needed, kSegmentBytes))) {
            no_room_ = true;
            return nullptr;
        }
        if (filled && segments_[filled].live == 0) {
            munmap(filled, segments_[filled].size);
            segments_.erase(filled);
        }
    }
    Segment& segment = segments_[current_];
    uint8_t* memory = current_ + segment.used;
    segment.used += needed;
    segment.live++;
    return memory;
}

bool FileMemory::AddSegment(uint64_t size) {
    std::error_code error;
    std::filesystem::create_directories(folder_, error);
    int fd = open(folder_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        std::string name = folder_ + "/memory-XXXXXX";
        fd = mkostemp(name.data(), O_CLOEXEC);
        if (fd >= 0) unlink(name.c_str());
    }
    if (fd < 0) return false;
    const uint64_t bytes = RoundUp(size, 4096);
    void* mapped = MAP_FAILED;
    if (posix_fallocate(fd, 0, static_cast<off_t>(bytes)) == 0) {
        mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    close(fd);
    if (mapped == MAP_FAILED) return false;
    current_ = static_cast<uint8_t*>(mapped);
    segments_[current_] = Segment{bytes, 0, 0};
    return true;
}

void FileMemory::Free(uint8_t* memory, uint64_t size) {
    {
        std::lock_guard guard(mutex_);
        auto found = segments_.upper_bound(memory);
        if (found != segments_.begin()) {
            --found;
            auto& [address, segment] = *found;
            if (memory < address + segment.size) {
                if (--segment.live > 0 || address == current_) return;
                munmap(address, segment.size);
                segments_.erase(found);
                no_room_ = false;
                return;
            }
        }
    }
    heap_bytes_ -= size;
    std::free(memory);
}

}  // namespace ivy::delta
