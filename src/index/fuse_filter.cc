// SPDX-License-Identifier: Apache-2.0
// Building and probing of binary fuse filters; sizes are those that the paper found for three slots.
#include "index/fuse_filter.h"

#include <algorithm>
#include <cmath>

#include "index/key_hash.h"

namespace ivy::index {

namespace {

constexpr int kSeeds = 64;
constexpr uint32_t kLongestSegment = 1u << 18;

}  // namespace

// The hashes are good ones already: as they are, sorted input gives a build that walks through memory in order.
uint64_t FuseFilter::Mixed(uint64_t hash) const { return seed_ == 0 ? hash : Mix(hash ^ seed_); }

FuseFilter::Slots FuseFilter::SlotsOf(uint64_t mixed) const {
    const uint64_t range = uint64_t{segments_} * segment_length_;
    const auto first = static_cast<uint32_t>(static_cast<unsigned __int128>(mixed) * range >> 64);
    const uint32_t mask = segment_length_ - 1;
    return {{first, (first + segment_length_) ^ (static_cast<uint32_t>(mixed >> 18) & mask),
             (first + 2 * segment_length_) ^ (static_cast<uint32_t>(mixed) & mask)}};
}

bool FuseFilter::MayContain(uint64_t hash) const {
    if (slots_.empty()) return passes_all_;
    const uint64_t mixed = Mixed(hash);
    const Slots slots = SlotsOf(mixed);
    return (slots_[slots.at[0]] ^ slots_[slots.at[1]] ^ slots_[slots.at[2]]) == Fingerprint(mixed);
}

FuseFilter FuseFilter::Build(const std::vector<uint64_t>& hashes) {
    FuseFilter filter;
    if (hashes.empty()) return filter;
    const auto count = static_cast<double>(hashes.size());
    const double log_count = std::log(std::max(count, 2.0));
    filter.segment_length_ =
        std::min(kLongestSegment, 1u << static_cast<int>(std::floor(log_count / std::log(3.33) + 2.25)));
    const double factor = std::max(1.125, 0.875 + 0.25 * std::log(1e6) / log_count);
    const double wanted = std::max(count * factor, 32.0);
    const auto total = static_cast<uint32_t>(std::ceil(wanted / filter.segment_length_));
    filter.segments_ = total > 2 ? total - 2 : 1;
    filter.slots_.assign(size_t{filter.segments_ + 2} * filter.segment_length_, 0);
    for (int i = 0; i < kSeeds; i++) {
        if (filter.TryBuild(hashes, i == 0 ? 0 : Mix(static_cast<uint64_t>(i)))) return filter;
    }
    filter = {};
    filter.passes_all_ = true;
    return filter;
}

// Peeling: a slot that one hash alone uses can still be given any byte, so that hash goes to the end of the order and
// frees its other slots; in reverse order every hash then has a slot of its own to fix its fingerprint with.
bool FuseFilter::TryBuild(const std::vector<uint64_t>& hashes, uint64_t seed) {
    seed_ = seed;
    struct Use {
        uint64_t mixed = 0;  // XOR of the hashes that use the slot
        uint32_t count = 0;
    };
    std::vector<Use> uses(slots_.size());
    for (const uint64_t hash : hashes) {
        const uint64_t mixed = Mixed(hash);
        for (const uint32_t slot : SlotsOf(mixed).at) {
            uses[slot].mixed ^= mixed;
            uses[slot].count++;
        }
    }
    std::vector<uint32_t> alone;
    for (uint32_t slot = 0; slot < uses.size(); slot++) {
        if (uses[slot].count == 1) alone.push_back(slot);
    }
    struct Peeled {
        uint64_t mixed;
        uint32_t slot;
    };
    std::vector<Peeled> order;
    order.reserve(hashes.size());
    while (!alone.empty()) {
        const uint32_t slot = alone.back();
        alone.pop_back();
        if (uses[slot].count != 1) continue;
        const uint64_t mixed = uses[slot].mixed;
        order.push_back({mixed, slot});
        for (const uint32_t other : SlotsOf(mixed).at) {
            uses[other].mixed ^= mixed;
            if (--uses[other].count == 1) alone.push_back(other);
        }
    }
    if (order.size() != hashes.size()) return false;
    std::fill(slots_.begin(), slots_.end(), 0);
    for (auto peeled = order.rbegin(); peeled != order.rend(); ++peeled) {
        uint8_t value = Fingerprint(peeled->mixed);
        for (const uint32_t slot : SlotsOf(peeled->mixed).at) value ^= slots_[slot];
        slots_[peeled->slot] = value;  // was 0: this slot's turn comes once
    }
    return true;
}

void FuseFilter::Write(ByteWriter* out) const {
    out->Bool(passes_all_);
    out->U64(seed_);
    out->U32(segment_length_);
    out->U32(segments_);
    out->U64(slots_.size());
    out->Raw(slots_.data(), slots_.size());
}

FuseFilter FuseFilter::Read(ByteReader* in) {
    FuseFilter filter;
    filter.passes_all_ = in->Bool();
    filter.seed_ = in->U64();
    filter.segment_length_ = in->U32();
    filter.segments_ = in->U32();
    const uint64_t size = in->U64();
    const bool sane = size == 0 || (filter.segment_length_ > 0 && filter.segments_ > 0 &&
                                    (filter.segment_length_ & (filter.segment_length_ - 1)) == 0 &&
                                    size == (uint64_t{filter.segments_} + 2) * filter.segment_length_);
    const uint8_t* slots = in->Raw(sane ? size : SIZE_MAX);
    if (!slots) return {};
    filter.slots_.assign(slots, slots + size);
    return filter;
}

}  // namespace ivy::index
