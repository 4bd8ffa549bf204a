// SPDX-License-Identifier: Apache-2.0
// HotTable's probing, removal by shifting back, and rebuilding of shards.
#include "index/hot_table.h"

#include <algorithm>
#include <bit>

namespace ivy::index {

namespace {

constexpr size_t kSmallestShard = 16;

}  // namespace

const HotTable::Entry* HotTable::Lookup(const Shard& shard, uint64_t hash) const {
    if (shard.entries.empty()) return nullptr;
    for (size_t slot = hash & shard.mask();; slot = (slot + 1) & shard.mask()) {
        const Entry& entry = shard.entries[slot];
        if (entry.position == kNone) return nullptr;
        if (entry.hash == hash) return &entry;
    }
}

uint64_t HotTable::Head(uint64_t hash) const {
    const Entry* entry = Lookup(shards_[ShardOf(hash)], hash);
    return entry && Live(*entry) ? entry->position : kNone;
}

uint64_t HotTable::Older(uint64_t position) const {
    if (older_.empty()) return kNone;
    const auto found = older_.find(position);
    return found == older_.end() || found->second < floor_ ? kNone : found->second;
}

void HotTable::Insert(uint64_t hash, uint64_t position) {
    Shard& shard = shards_[ShardOf(hash)];
    if ((shard.used + 1) * 5 > shard.entries.size() * 4) Rebuild(&shard);
    for (size_t slot = hash & shard.mask();; slot = (slot + 1) & shard.mask()) {
        Entry& entry = shard.entries[slot];
        if (entry.position == kNone) {
            entry = {hash, position};
            shard.used++;
            return;
        }
        if (entry.hash == hash) {
            if (Live(entry)) older_.emplace(position, entry.position);
            entry.position = position;
            return;
        }
    }
}

void HotTable::Erase(uint64_t hash, uint64_t position) {
    Shard& shard = shards_[ShardOf(hash)];
    auto* entry = const_cast<Entry*>(Lookup(shard, hash));
    if (!entry || !Live(*entry)) return;
    if (entry->position == position) {
        const uint64_t older = Older(position);
        older_.erase(position);
        if (older == kNone) {
            Remove(&shard, static_cast<size_t>(entry - shard.entries.data()));
        } else {
            entry->position = older;
        }
        return;
    }
    for (uint64_t newer = entry->position; newer != kNone;) {
        const uint64_t at = Older(newer);
        if (at == position) {
            const uint64_t older = Older(position);
            older_.erase(position);
            if (older == kNone) {
                older_.erase(newer);
            } else {
                older_[newer] = older;
            }
            return;
        }
        newer = at;
    }
}

// Entries behind the gap move up into it unless that would put them before their home slot.
void HotTable::Remove(Shard* shard, size_t slot) {
    const size_t mask = shard->mask();
    size_t gap = slot;
    for (size_t next = (gap + 1) & mask; shard->entries[next].position != kNone; next = (next + 1) & mask) {
        const size_t home = shard->entries[next].hash & mask;
        if (((next - home) & mask) >= ((next - gap) & mask)) {
            shard->entries[gap] = shard->entries[next];
            gap = next;
        }
    }
    shard->entries[gap] = {};
    shard->used--;
}

void HotTable::Rebuild(Shard* shard) {
    const auto live = static_cast<size_t>(
        std::count_if(shard->entries.begin(), shard->entries.end(), [&](const Entry& entry) { return Live(entry); }));
    std::vector<Entry> old = std::move(shard->entries);
    shard->entries.assign(std::max(kSmallestShard, std::bit_ceil(live * 2 + 1)), {});
    shard->used = live;
    for (const Entry& entry : old) {
        if (!Live(entry)) continue;
        size_t slot = entry.hash & shard->mask();
        while (shard->entries[slot].position != kNone) slot = (slot + 1) & shard->mask();
        shard->entries[slot] = entry;
    }
}

void HotTable::RaiseFloor(uint64_t floor) {
    if (floor <= floor_) return;
    floor_ = floor;
    std::erase_if(older_, [&](const auto& link) { return link.second < floor_; });
}

void HotTable::Clear() {
    for (Shard& shard : shards_) shard = {};
    older_ = {};
}

void HotTable::Prefetch(uint64_t hash) const {
    const Shard& shard = shards_[ShardOf(hash)];
    if (!shard.entries.empty()) __builtin_prefetch(&shard.entries[hash & shard.mask()]);
}

size_t HotTable::bytes() const {
    size_t entries = 0;
    for (const Shard& shard : shards_) entries += shard.entries.capacity();
    return entries * sizeof(Entry) + older_.size() * 48;
}

}  // namespace ivy::index
