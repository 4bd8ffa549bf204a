// SPDX-License-Identifier: Apache-2.0
//
// HotTable: where the rows of the delta are, by the hash of their key.
//
// Open addressing with linear probing over 16-byte entries (hash, position). Positions ascend for ever, so a flush need
// not remove its rows one by one: it raises the floor, below which entries count as empty, and they go when their part
// of the table is rebuilt. The table is cut into shards that grow on their own, which keeps every pause short.
// Entries of equal hash (duplicate rows of keyless tables, or collisions) hang on the newest one as a chain in a side
// map, so that any number of duplicates costs no long probes. Not thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace ivy::index {

class HotTable {
  public:
    static constexpr uint64_t kNone = UINT64_MAX;

    // REQUIRES: "position" is above every position inserted before.
    void Insert(uint64_t hash, uint64_t position);

    // The newest position with this hash that "accept" accepts, or kNone.
    template <typename Accept>
    uint64_t Find(uint64_t hash, Accept&& accept) const {
        uint64_t position = Head(hash);
        while (position != kNone && !accept(position)) position = Older(position);
        return position;
    }

    // Removes an entry if it is there.
    void Erase(uint64_t hash, uint64_t position);

    // Entries below are gone. The floor never falls.
    void RaiseFloor(uint64_t floor);
    // Forgets everything and gives the memory back.
    void Clear();

    // Starts loading what a look-up of this hash will read.
    void Prefetch(uint64_t hash) const;
    // Allocated memory.
    size_t bytes() const;

  private:
    struct Entry {
        uint64_t hash = 0;
        uint64_t position = kNone;
    };
    struct Shard {
        std::vector<Entry> entries;  // empty, or a power of two
        size_t used = 0;             // entries with a position, those below the floor included
        size_t mask() const { return entries.size() - 1; }
    };
    static constexpr int kShardBits = 7;

    bool Live(const Entry& entry) const { return entry.position != kNone && entry.position >= floor_; }
    static size_t ShardOf(uint64_t hash) { return hash >> (64 - kShardBits); }
    const Entry* Lookup(const Shard& shard, uint64_t hash) const;
    uint64_t Head(uint64_t hash) const;
    uint64_t Older(uint64_t position) const;
    void Rebuild(Shard* shard);
    static void Remove(Shard* shard, size_t slot);

    std::array<Shard, size_t{1} << kShardBits> shards_;
    std::unordered_map<uint64_t, uint64_t> older_;  // next older position of the same hash
    uint64_t floor_ = 0;
};

}  // namespace ivy::index
