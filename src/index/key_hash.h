// SPDX-License-Identifier: Apache-2.0
//
// Hashes of key values. They are stored in index segments: changing a constant here means raising the segment version.
//
// Each value is hashed from its meaning rather than its type, so that an integer has one hash in every width, and the
// values of a key are combined in order. The mixer is the finalizer of SplitMix64 (Steele, Lea, Flood: Fast Splittable
// Pseudorandom Number Generators, 2014), a bijection: single-column integer keys never collide.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace ivy::index {

inline constexpr uint64_t kHashNull = 0x6e756c6c9d1b54a3;
inline constexpr uint64_t kHashSeed = 0x9e3779b97f4a7c15;

inline uint64_t Mix(uint64_t x) {
    x += kHashSeed;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

inline uint64_t HashInteger(int64_t value) { return Mix(static_cast<uint64_t>(value)); }

// The hash so far and the next value's hash, in this order.
inline uint64_t Combine(uint64_t hash, uint64_t next) { return Mix((hash << 23 | hash >> 41) ^ next); }

// A value that fits 64 bits has the hash that HashInteger gives.
inline uint64_t HashWideInteger(__int128 value) {
    const auto low = static_cast<int64_t>(value);
    const uint64_t hash = HashInteger(low);
    return value == low ? hash : Combine(hash, static_cast<uint64_t>(value >> 64));
}

inline uint64_t HashBytes(const void* data, size_t size) {
    const auto* at = static_cast<const uint8_t*>(data);
    uint64_t hash = size * kHashSeed;
    uint64_t word;
    for (; size >= sizeof word; size -= sizeof word, at += sizeof word) {
        std::memcpy(&word, at, sizeof word);
        hash = Combine(hash, word);
    }
    word = 0;
    if (size > 0) std::memcpy(&word, at, size);
    return Combine(hash, word);
}

}  // namespace ivy::index
