// SPDX-License-Identifier: Apache-2.0
#include "iceberg/deletion_vector.h"

#include <cstring>
#include <exception>

#include "iceberg/puffin.h"

namespace ivy::iceberg {
namespace {

constexpr uint8_t kMagic[4] = {0xd1, 0xd3, 0x39, 0x64};
constexpr int kRowPositionFieldId = INT32_MAX - 2;  // the reserved column _pos
constexpr size_t kFraming = 12;                     // length, magic, CRC
constexpr char kBlobType[] = "deletion-vector-v1";

// Roaring's portable format of a 32-bit bitmap.
constexpr uint32_t kCookieWithRuns = 12347, kCookieWithoutRuns = 12346;
constexpr uint32_t kMaxContainers = 1 << 16, kMaxArrayCardinality = 4096, kMinContainersForOffsets = 4;
constexpr size_t kBitsetBytes = 8192;

Status Damaged(const char* what) { return Status::Corrupt(std::string("deletion vector: ") + what); }

void PutBigEndian(uint8_t* to, uint32_t value) {
    for (int i = 0; i < 4; i++) to[i] = static_cast<uint8_t>(value >> (24 - 8 * i));
}

uint32_t GetBigEndian(const uint8_t* from) {
    return static_cast<uint32_t>(from[0]) << 24 | static_cast<uint32_t>(from[1]) << 16 |
           static_cast<uint32_t>(from[2]) << 8 | from[3];
}

// Whether a container's values are ascending, as many as its header says, and all there.
bool CheckContainer(ByteReader* in, uint32_t cardinality, bool is_run) {
    uint32_t found = 0;
    if (is_run) {
        int64_t end = 0;  // of the run before
        for (uint16_t runs = in->U16(); in->ok() && runs > 0; runs--) {
            const int64_t first = in->U16(), length = in->U16() + 1;
            if (first < end || first + length > 65536) return false;
            end = first + length;
            found += static_cast<uint32_t>(length);
        }
    } else if (cardinality <= kMaxArrayCardinality) {
        int64_t last = -1;
        for (; found < cardinality && in->ok(); found++) {
            const int64_t value = in->U16();
            if (value <= last) return false;
            last = value;
        }
    } else if (const uint8_t* bits = in->Raw(kBitsetBytes)) {
        for (size_t i = 0; i < kBitsetBytes; i++) found += static_cast<uint32_t>(__builtin_popcount(bits[i]));
    }
    return in->ok() && found == cardinality;
}

// Whether the next bytes are exactly one well-formed 32-bit bitmap.
bool CheckBitmap32(ByteReader* in) {
    const size_t size_before = in->left();
    const uint32_t cookie = in->U32();
    const bool with_runs = (cookie & 0xffff) == kCookieWithRuns;
    if (!with_runs && cookie != kCookieWithoutRuns) return false;
    const uint32_t containers = with_runs ? (cookie >> 16) + 1 : in->U32();
    if (!in->ok() || containers > kMaxContainers) return false;
    const uint8_t* run_flags = with_runs ? in->Raw((containers + 7) / 8) : nullptr;
    const uint8_t* headers = in->Raw(4 * containers);
    const bool with_offsets = !with_runs || containers >= kMinContainersForOffsets;
    const uint8_t* offsets = with_offsets ? in->Raw(4 * containers) : nullptr;
    if (!in->ok()) return false;
    int last_key = -1;
    for (uint32_t i = 0; i < containers; i++) {
        uint16_t header[2];
        std::memcpy(header, headers + 4 * i, sizeof header);
        if (header[0] <= last_key) return false;
        last_key = header[0];
        if (with_offsets) {
            uint32_t offset;
            std::memcpy(&offset, offsets + 4 * i, sizeof offset);
            if (offset != size_before - in->left()) return false;
        }
        const bool is_run = with_runs && (run_flags[i / 8] >> (i % 8) & 1);
        if (!CheckContainer(in, header[1] + 1u, is_run)) return false;
    }
    return true;
}

Status CheckBitmap64(const uint8_t* data, size_t size) {
    ByteReader in(data, size);
    const uint64_t bitmaps = in.U64();
    if (!in.ok() || bitmaps > size / 12) return Damaged("more bitmaps than bytes");
    int64_t last_key = -1;
    for (uint64_t i = 0; i < bitmaps; i++) {
        const uint32_t key = in.U32();
        if (key <= last_key || key > INT32_MAX) return Damaged("the keys of its bitmaps are not ascending");
        last_key = key;
        if (!CheckBitmap32(&in)) return Damaged("a bitmap is malformed");
    }
    if (!in.ok() || in.left() != 0) return Damaged("bytes are missing or left over");
    return Status::Ok();
}

// A vector that is at a multiple of eight bytes in memory, since CRoaring reads 64-bit numbers there.
Result<DeletedRows> ReadVector(const uint8_t* vector, size_t size) {
    IVY_RETURN_IF_ERROR(CheckBitmap64(vector, size));
    try {
        return DeletedRows::readSafe(reinterpret_cast<const char*>(vector), size);
    } catch (const std::exception&) {
        return Damaged("a bitmap is malformed");
    }
}

}  // namespace

Bytes EncodeDeletionVector(const DeletedRows& rows) {
    DeletedRows compact = rows;
    compact.runOptimize();
    const size_t vector_size = compact.getSizeInBytes();
    Bytes blob(vector_size + kFraming);
    PutBigEndian(blob.data(), static_cast<uint32_t>(vector_size + sizeof kMagic));
    std::memcpy(blob.data() + 4, kMagic, sizeof kMagic);
    compact.write(reinterpret_cast<char*>(blob.data()) + 8);
    PutBigEndian(blob.data() + 8 + vector_size, Crc32(blob.data() + 4, vector_size + sizeof kMagic));
    return blob;
}

Result<DeletedRows> DecodeDeletionVector(const Bytes& blob) {
    if (blob.size() < kFraming + 8) return Damaged("too short");
    const size_t vector_size = blob.size() - kFraming;
    if (GetBigEndian(blob.data()) != vector_size + sizeof kMagic) return Damaged("its length is not that of the blob");
    if (std::memcmp(blob.data() + 4, kMagic, sizeof kMagic) != 0) return Damaged("the magic bytes are wrong");
    if (GetBigEndian(blob.data() + 8 + vector_size) != Crc32(blob.data() + 4, vector_size + sizeof kMagic)) {
        return Damaged("the checksum is wrong");
    }
    return ReadVector(blob.data() + 8, vector_size);
}

Result<DeletedRows> DecodeDeletionVectorBody(const Bytes& body) {
    if (body.size() < sizeof kMagic + 8) return Damaged("too short");
    if (std::memcmp(body.data(), kMagic, sizeof kMagic) != 0) return Damaged("the magic bytes are wrong");
    const Bytes vector(body.begin() + sizeof kMagic, body.end());  // aligned
    return ReadVector(vector.data(), vector.size());
}

Result<std::vector<DataFile>> WriteDeletionVectors(
    FileIo* io, const std::string& path, const std::vector<std::pair<std::string, const DeletedRows*>>& vectors) {
    PuffinWriter puffin;
    std::vector<DataFile> files;
    for (const auto& [data_file, rows] : vectors) {
        const uint64_t cardinality = rows->cardinality();
        if (cardinality == 0) return Status::Internal("an empty deletion vector for \"" + data_file + "\"");
        const Bytes content = EncodeDeletionVector(*rows);
        PuffinBlob blob;
        blob.type = kBlobType;
        blob.fields = {kRowPositionFieldId};
        blob.properties = {{"referenced-data-file", data_file}, {"cardinality", std::to_string(cardinality)}};
        DataFile& file = files.emplace_back();
        file.content = Content::kPositionDeletes;
        file.path = path;
        file.format = "PUFFIN";
        file.record_count = static_cast<int64_t>(cardinality);
        file.referenced_data_file = data_file;
        file.content_offset = puffin.Add(std::move(blob), content);
        file.content_size = static_cast<int64_t>(content.size());
    }
    IVY_ASSIGN_OR_RETURN(const Bytes content, puffin.Finish("ivy_mooncake"));
    IVY_RETURN_IF_ERROR(io->WriteFile(path, content, /*exclusive=*/false));
    for (DataFile& file : files) file.file_size = static_cast<int64_t>(content.size());
    return files;
}

Result<DeletedRows> ReadDeletionVector(FileIo* io, const DataFile& file) {
    if (file.format != "PUFFIN" || !file.content_offset || !file.content_size) {
        return Status::Corrupt("\"" + file.path + "\" is not a deletion vector");
    }
    Result<Bytes> blob = io->ReadRange(file.path, *file.content_offset, *file.content_size);
    if (!blob.ok()) return blob.status();
    Result<DeletedRows> rows = DecodeDeletionVector(*blob);
    if (!rows.ok()) return rows.status().Prepend("\"" + file.path + "\"");
    if (rows->cardinality() != static_cast<uint64_t>(file.record_count)) {
        return Damaged("its cardinality is not the one in the manifest").Prepend("\"" + file.path + "\"");
    }
    return rows;
}

}  // namespace ivy::iceberg
