// SPDX-License-Identifier: Apache-2.0
//
// ByteWriter and ByteReader: little-endian encoding of messages and files, every length checked on reading.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace ivy {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the wire and file formats are little-endian");

using Bytes = std::vector<uint8_t>;

// Appends to a growing buffer that it owns. Lengths are 32-bit: a caller never passes more than 4 GB at once.
class ByteWriter {
  public:
    template <typename T>
    void Fixed(T value) {
        static_assert(std::is_trivially_copyable_v<T>);
        Raw(&value, sizeof value);
    }
    void U8(uint8_t v) { bytes_.push_back(v); }
    void U16(uint16_t v) { Fixed(v); }
    void U32(uint32_t v) { Fixed(v); }
    void U64(uint64_t v) { Fixed(v); }
    void Bool(bool v) { U8(v ? 1 : 0); }
    void String(std::string_view s) {
        U32(static_cast<uint32_t>(s.size()));
        Raw(s.data(), s.size());
    }
    void Raw(const void* data, size_t size) {
        const auto* from = static_cast<const uint8_t*>(data);
        bytes_.insert(bytes_.end(), from, from + size);
    }
    // Overwrites four bytes written earlier, at "offset".
    void PatchU32(size_t offset, uint32_t v) { std::memcpy(bytes_.data() + offset, &v, sizeof v); }

    size_t size() const { return bytes_.size(); }
    const Bytes& bytes() const { return bytes_; }
    Bytes Take() { return std::move(bytes_); }
    void Clear() { bytes_.clear(); }

  private:
    Bytes bytes_;
};

// Reads a buffer that it does not own. After the first short read every getter returns zero or empty and ok() is
// false for ever, so a parser may read a whole message and check once at its end.
class ByteReader {
  public:
    ByteReader(const void* data, size_t size) : at_(static_cast<const uint8_t*>(data)), left_(size) {}
    explicit ByteReader(const Bytes& bytes) : ByteReader(bytes.data(), bytes.size()) {}

    template <typename T>
    T Fixed() {
        static_assert(std::is_trivially_copyable_v<T>);
        T value{};
        if (const uint8_t* from = Raw(sizeof value)) std::memcpy(&value, from, sizeof value);
        return value;
    }
    uint8_t U8() { return Fixed<uint8_t>(); }
    uint16_t U16() { return Fixed<uint16_t>(); }
    uint32_t U32() { return Fixed<uint32_t>(); }
    uint64_t U64() { return Fixed<uint64_t>(); }
    bool Bool() { return U8() != 0; }
    std::string_view View() {
        const uint32_t size = U32();
        const uint8_t* from = Raw(size);
        return from ? std::string_view(reinterpret_cast<const char*>(from), size) : std::string_view();
    }
    std::string String() { return std::string(View()); }
    // "size" bytes in place, or null if fewer are left.
    const uint8_t* Raw(size_t size) {
        if (!ok_ || size > left_) {
            ok_ = false;
            return nullptr;
        }
        const uint8_t* from = at_;
        at_ += size;
        left_ -= size;
        return from;
    }
    // A count of items that take at least "item_size" bytes each: 0 and not ok() if the buffer can't hold them. Guards
    // against huge allocations for a damaged count.
    uint32_t Count(size_t item_size);

    bool ok() const { return ok_; }
    size_t left() const { return left_; }
    // An error unless everything was read and nothing was short.
    Status Finish(const char* what) const;

  private:
    const uint8_t* at_;
    size_t left_;
    bool ok_ = true;
};

// CRC-32 (the zlib and gzip polynomial) of a buffer, continuing from "crc".
uint32_t Crc32(const void* data, size_t size, uint32_t crc = 0);

}  // namespace ivy
