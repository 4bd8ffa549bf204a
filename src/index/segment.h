// SPDX-License-Identifier: Apache-2.0
//
// Segment: the key index of one data file, on local disk: hash of a key -> candidate rows. Immutable, made once by a
// SegmentBuilder, 8.1 bytes a key on disk, 9.1 bits a key in memory; everything else is mapped and paged in on demand.
// It is derived data: a damaged or missing segment is rebuilt from the data file.
//
// File, little-endian:
//   header    one page: magic, version, counts, offsets, fences of the key, checksums
//   pages     4096 bytes each: checksum:u32 count:u16 shift:u8 zero:u8, then count entries of 8 bytes, all pages full
//             but the last. Entries are in order of their hashes; one is (hash - first hash of the page) >> shift in
//             the upper bits and the row in as many lower bits as the largest row needs. So a look-up touches one page.
//   resident  the first hash of each page (8 bytes each), then the FuseFilter
//
// Crash behaviour: written under a temporary name, fsynced, renamed. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "index/fuse_filter.h"

namespace ivy::index {

// Smallest and largest key of a file, for keys that are one integer-like column.
struct KeyRange {
    int64_t min = INT64_MAX;
    int64_t max = INT64_MIN;
    void Extend(int64_t key) {
        if (key < min) min = key;
        if (key > max) max = key;
    }
};

class SegmentBuilder {
  public:
    void Reserve(size_t rows) { entries_.reserve(rows); }
    // The hash of the next row's key: row 0, 1, 2...
    void Add(uint64_t hash) { entries_.push_back({hash, entries_.size()}); }
    // Keys outside of the range are known not to be in the file.
    void SetRange(const KeyRange& range) { range_ = range; }
    size_t rows() const { return entries_.size(); }

    // Writes the segment; the builder is used up. On an error nothing is left behind.
    Status Write(const std::string& path);

  private:
    struct Entry {
        uint64_t hash;
        uint64_t row;
    };
    std::vector<Entry> entries_;
    std::optional<KeyRange> range_;
};

class Segment {
  public:
    // Maps a segment for a data file of "rows" rows. An error if it is missing, damaged, of another version, or for
    // another number of rows.
    static Result<std::unique_ptr<Segment>> Open(const std::string& path, uint64_t rows);
    ~Segment();
    Segment(const Segment&) = delete;
    Segment& operator=(const Segment&) = delete;

    bool MayContain(uint64_t hash) const { return filter_.MayContain(hash); }
    // Whether a key outside of it can't be in the file; null if nothing is known.
    const KeyRange* range() const { return range_ ? &*range_ : nullptr; }

    // Calls visit(row) for the rows whose key may have this hash, except the first "skip" of them, until it returns
    // false. The order is always the same. All rows with the hash are among them; others hardly ever. An error (XX001)
    // if a page is damaged: the file has then been removed, so that the next Open fails and the segment is rebuilt.
    template <typename Visit>
    Status Find(uint64_t hash, uint64_t skip, Visit&& visit) {
        Cursor cursor;
        IVY_RETURN_IF_ERROR(Seek(hash, skip, &cursor));
        while (cursor.matches) {
            if (!visit(cursor.row)) break;
            IVY_RETURN_IF_ERROR(Next(hash, &cursor));
        }
        return Status::Ok();
    }

    uint64_t rows() const { return rows_; }
    size_t resident_bytes() const { return filter_.bytes() + first_hashes_.size() * sizeof(uint64_t); }

  private:
    struct Cursor {
        uint64_t entry = 0;  // ordinal in the segment
        uint64_t row = 0;
        bool matches = false;
    };
    explicit Segment(std::string path) : path_(std::move(path)) {}
    Status Load(uint64_t rows);
    Status Seek(uint64_t hash, uint64_t skip, Cursor* cursor);
    Status Next(uint64_t hash, Cursor* cursor);
    Status Look(uint64_t hash, Cursor* cursor);
    Result<const uint8_t*> Page(uint64_t page);
    size_t PageOf(uint64_t hash) const;

    const std::string path_;
    const uint8_t* map_ = nullptr;
    size_t map_size_ = 0;
    uint64_t rows_ = 0;
    int row_bits_ = 1;
    std::vector<uint64_t> first_hashes_;
    std::vector<bool> verified_;  // pages whose checksum has been compared
    FuseFilter filter_;
    std::optional<KeyRange> range_;
};

}  // namespace ivy::index
