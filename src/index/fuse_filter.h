// SPDX-License-Identifier: Apache-2.0
//
// FuseFilter: whether a hash may be in a fixed set, in 9 bits a hash, with 0.4 % false positives and no false
// negatives.
//
// The algorithm is the 3-wise binary fuse filter of Graf and Lemire, "Binary Fuse Filters: Fast and Smaller Than Xor
// Filters", ACM JEA 27 (2022): each hash owns three slots in neighbouring segments of a byte array, and the XOR of the
// three bytes is its fingerprint. Building solves for the bytes by peeling slots that only one hash uses.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"

namespace ivy::index {

class FuseFilter {
  public:
    // A filter of nothing.
    FuseFilter() = default;
    // For hashes that are all different, in any order, fastest if ascending. In the practically impossible case that no
    // seed works, the filter lets everything pass.
    static FuseFilter Build(const std::vector<uint64_t>& hashes);

    bool MayContain(uint64_t hash) const;
    size_t bytes() const { return slots_.size(); }

    void Write(ByteWriter* out) const;
    // A filter as written, or a reader that is not ok().
    static FuseFilter Read(ByteReader* in);

  private:
    struct Slots {
        uint32_t at[3];
    };
    bool TryBuild(const std::vector<uint64_t>& hashes, uint64_t seed);
    uint64_t Mixed(uint64_t hash) const;
    Slots SlotsOf(uint64_t mixed) const;
    static uint8_t Fingerprint(uint64_t mixed) { return static_cast<uint8_t>(mixed ^ (mixed >> 32)); }

    bool passes_all_ = false;
    uint64_t seed_ = 0;
    uint32_t segment_length_ = 0;  // a power of two
    uint32_t segments_ = 0;        // in which the first of the three slots may lie; two more follow
    std::vector<uint8_t> slots_;   // (segments_ + 2) * segment_length_
};

}  // namespace ivy::index
