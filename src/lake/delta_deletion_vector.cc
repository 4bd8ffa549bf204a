// SPDX-License-Identifier: Apache-2.0
#include "lake/delta_deletion_vector.h"

#include <array>

#include "lake/paths.h"

namespace ivy::lake {
namespace {

constexpr char kZ85[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
constexpr size_t kUuidCharacters = 20;         // of Z85
constexpr int64_t kFileFraming = 8;            // length before the vector, CRC behind it
constexpr uint32_t kNativeMagic = 1681511376;  // that of the portable form is the next number
constexpr int64_t kMaxSize = int64_t{1} << 30;

std::array<int8_t, 256> MakeDigits() {
    std::array<int8_t, 256> digits;
    digits.fill(-1);
    for (int i = 0; i < 85; i++) digits[static_cast<unsigned char>(kZ85[i])] = static_cast<int8_t>(i);
    return digits;
}

Status Bad(const std::string& what) { return Status::Corrupt("deletion vector: " + what); }

// The canonical text of 16 bytes.
std::string UuidText(const Bytes& bytes) {
    static constexpr char kHex[] = "0123456789abcdef";
    std::string text;
    for (size_t i = 0; i < bytes.size(); i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
        text += kHex[bytes[i] >> 4];
        text += kHex[bytes[i] & 15];
    }
    return text;
}

uint32_t Get32(const uint8_t* from, bool big_endian) {
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) value |= static_cast<uint32_t>(from[i]) << 8 * (big_endian ? 3 - i : i);
    return value;
}

// The older form of a vector, before it was Roaring's portable one: magic number, number of 32-bit bitmaps, and each
// with its size before it; bitmap i has the rows from i << 32 on. Numbers have either byte order. As the portable form,
// or nothing if it is no such vector.
Result<std::optional<Bytes>> FromNative(const Bytes& body) {
    if (body.size() < 8) return std::optional<Bytes>();
    const bool big_endian = Get32(body.data(), true) == kNativeMagic;
    if (!big_endian && Get32(body.data(), false) != kNativeMagic) return std::optional<Bytes>();
    const uint32_t bitmaps = Get32(body.data() + 4, big_endian);
    ByteWriter out;
    out.U32(kNativeMagic + 1);
    out.U64(bitmaps);
    size_t at = 8;
    for (uint32_t i = 0; i < bitmaps; i++) {
        const uint32_t size = body.size() - at < 4 ? UINT32_MAX : Get32(body.data() + at, big_endian);
        if (body.size() - at < 4 || size > body.size() - at - 4) return Bad("bitmaps are cut off");
        out.U32(i);
        out.Raw(body.data() + at + 4, size);
        at += 4 + size;
    }
    if (at != body.size()) return Bad("bytes are left over");
    return std::optional(out.Take());
}

Result<iceberg::DeletedRows> DecodeBody(const Bytes& body) {
    IVY_ASSIGN_OR_RETURN(const auto portable, FromNative(body));
    return iceberg::DecodeDeletionVectorBody(portable ? *portable : body);
}

// A vector as files hold it: its length before it and its CRC-32 behind it, both big-endian.
Result<iceberg::DeletedRows> DecodeFramed(const Bytes& blob) {
    const size_t size = blob.size() - kFileFraming;
    if (Get32(blob.data(), true) != size) return Bad("its length is not the one in the log");
    if (Get32(blob.data() + 4 + size, true) != Crc32(blob.data() + 4, size)) return Bad("the checksum is wrong");
    return DecodeBody(Bytes(blob.begin() + 4, blob.end() - 4));
}

Result<iceberg::DeletedRows> ReadVector(TableIo* io, const std::string& table, const DeletionVectorRef& ref) {
    if (ref.storage == 'i') {
        IVY_ASSIGN_OR_RETURN(Bytes bytes, DecodeZ85(ref.path_or_inline));
        if (static_cast<int64_t>(bytes.size()) < ref.size) return Bad("it is shorter than the log says");
        bytes.resize(static_cast<size_t>(ref.size));  // the text is padded to a multiple of four bytes
        return DecodeBody(bytes);
    }
    IVY_ASSIGN_OR_RETURN(const auto path, DeletionVectorPath(table, ref));
    IVY_ASSIGN_OR_RETURN(const Bytes blob, io->ReadRange(*path, ref.offset.value_or(0), ref.size + kFileFraming));
    Result<iceberg::DeletedRows> rows = DecodeFramed(blob);
    if (!rows.ok()) return rows.status().Prepend("\"" + *path + "\"");
    return rows;
}

}  // namespace

std::string DeletionVectorRef::UniqueId() const {
    std::string id(1, storage);
    id += path_or_inline;
    if (offset) id += "@" + std::to_string(*offset);
    return id;
}

Result<DeletionVectorRef> DeletionVectorRefFromJson(const iceberg::Json& json) {
    DeletionVectorRef ref;
    IVY_ASSIGN_OR_RETURN(const std::string storage, iceberg::RequiredString(json, "storageType"));
    if (storage.size() != 1 || std::string_view("iup").find(storage[0]) == std::string_view::npos) {
        return Bad("unknown storage type \"" + storage + "\"");
    }
    ref.storage = storage[0];
    IVY_ASSIGN_OR_RETURN(ref.path_or_inline, iceberg::RequiredString(json, "pathOrInlineDv"));
    IVY_ASSIGN_OR_RETURN(ref.offset, iceberg::OptionalInt(json, "offset"));
    IVY_ASSIGN_OR_RETURN(ref.size, iceberg::RequiredInt(json, "sizeInBytes"));
    IVY_ASSIGN_OR_RETURN(ref.cardinality, iceberg::RequiredInt(json, "cardinality"));
    if (ref.size < 0 || ref.size > kMaxSize || ref.cardinality < 0 || ref.offset.value_or(0) < 0) {
        return Bad("its size, offset or cardinality is out of range");
    }
    return ref;
}

Result<std::optional<std::string>> DeletionVectorPath(const std::string& table, const DeletionVectorRef& ref) {
    if (ref.storage == 'i') return std::optional<std::string>();
    if (ref.storage == 'p') {
        IVY_ASSIGN_OR_RETURN(std::string path, ResolvePath(table, PercentDecoded(ref.path_or_inline)));
        return std::optional(std::move(path));
    }
    const std::string& text = ref.path_or_inline;
    if (text.size() < kUuidCharacters) return Bad("its UUID is too short");
    const std::string folder = text.substr(0, text.size() - kUuidCharacters);
    IVY_ASSIGN_OR_RETURN(const Bytes uuid, DecodeZ85(std::string_view(text).substr(folder.size())));
    std::string path = WithoutSlash(table) + "/";
    if (!folder.empty()) path += folder + "/";
    return std::optional(path + "deletion_vector_" + UuidText(uuid) + ".bin");
}

Result<iceberg::DeletedRows> ReadDeltaDeletionVector(TableIo* io, const std::string& table,
                                                     const DeletionVectorRef& ref) {
    IVY_ASSIGN_OR_RETURN(iceberg::DeletedRows rows, ReadVector(io, table, ref));
    if (rows.cardinality() != static_cast<uint64_t>(ref.cardinality)) {
        return Bad("its cardinality is not the one in the log");
    }
    return rows;
}

Result<Bytes> DecodeZ85(std::string_view text) {
    static const std::array<int8_t, 256> kDigits = MakeDigits();
    if (text.size() % 5 != 0) return Bad("its text is not of a length that Z85 has");
    Bytes bytes;
    bytes.reserve(text.size() / 5 * 4);
    for (size_t i = 0; i < text.size(); i += 5) {
        uint64_t value = 0;
        for (size_t j = i; j < i + 5; j++) {
            const int8_t digit = kDigits[static_cast<unsigned char>(text[j])];
            if (digit < 0) return Bad("its text has a character that Z85 does not have");
            value = value * 85 + static_cast<uint64_t>(digit);
        }
        if (value > UINT32_MAX) return Bad("its text is not Z85");
        for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<uint8_t>(value >> shift));
    }
    return bytes;
}

std::string EncodeZ85(const Bytes& bytes) {
    std::string text;
    for (size_t i = 0; i + 4 <= bytes.size(); i += 4) {
        uint32_t value = 0;
        for (size_t j = i; j < i + 4; j++) value = value << 8 | bytes[j];
        char digits[5];
        for (int j = 4; j >= 0; j--, value /= 85) digits[j] = kZ85[value % 85];
        text.append(digits, 5);
    }
    return text;
}

}  // namespace ivy::lake
