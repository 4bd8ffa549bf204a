// SPDX-License-Identifier: Apache-2.0
//
// Layout: magic, blobs, then the footer: magic, JSON, its size (4 bytes), flags (4 bytes), magic. All little-endian.
#include "iceberg/puffin.h"

#include <cstring>

#include "iceberg/json.h"

namespace ivy::iceberg {
namespace {

constexpr uint8_t kMagic[4] = {'P', 'F', 'A', '1'};
constexpr size_t kTailSize = 12;  // size, flags, magic
constexpr uint8_t kFooterCompressed = 1;

Status Damaged(const char* what) { return Status::Corrupt(std::string("Puffin file: ") + what); }

bool IsMagic(const uint8_t* at) { return std::memcmp(at, kMagic, sizeof kMagic) == 0; }

Result<PuffinBlob> BlobFromJson(const Json& json, int64_t footer_at) {
    PuffinBlob blob;
    IVY_ASSIGN_OR_RETURN(blob.type, RequiredString(json, "type"));
    IVY_ASSIGN_OR_RETURN(const Json* fields, OptionalArray(json, "fields"));
    if (fields == nullptr) return Damaged("a blob has no fields");
    for (const Json& field : *fields) {
        if (!field.is_number_integer()) return Damaged("a blob's field id is not an integer");
        blob.fields.push_back(field.get<int>());
    }
    IVY_ASSIGN_OR_RETURN(blob.snapshot_id, RequiredInt(json, "snapshot-id"));
    IVY_ASSIGN_OR_RETURN(blob.sequence_number, RequiredInt(json, "sequence-number"));
    IVY_ASSIGN_OR_RETURN(blob.offset, RequiredInt(json, "offset"));
    IVY_ASSIGN_OR_RETURN(blob.length, RequiredInt(json, "length"));
    if (blob.offset < static_cast<int64_t>(sizeof kMagic) || blob.length < 0 || blob.offset > footer_at ||
        blob.length > footer_at - blob.offset) {
        return Damaged("a blob lies outside of the file");
    }
    IVY_ASSIGN_OR_RETURN(blob.compression_codec, OptionalString(json, "compression-codec"));
    IVY_ASSIGN_OR_RETURN(blob.properties, StringMap(json, "properties"));
    return blob;
}

}  // namespace

PuffinWriter::PuffinWriter() : out_(kMagic, kMagic + sizeof kMagic) {}

int64_t PuffinWriter::Add(PuffinBlob blob, const Bytes& content) {
    blob.offset = static_cast<int64_t>(out_.size());
    blob.length = static_cast<int64_t>(content.size());
    out_.insert(out_.end(), content.begin(), content.end());
    blobs_.push_back(std::move(blob));
    return blobs_.back().offset;
}

Result<Bytes> PuffinWriter::Finish(const std::string& created_by) {
    Json list = Json::array();
    for (const PuffinBlob& blob : blobs_) {
        Json json = {
            {"type", blob.type},
            {"fields", blob.fields},
            {"snapshot-id", blob.snapshot_id},
            {"sequence-number", blob.sequence_number},
            {"offset", blob.offset},
            {"length", blob.length},
            {"properties", blob.properties},
        };
        if (blob.compression_codec) json["compression-codec"] = *blob.compression_codec;
        list.push_back(std::move(json));
    }
    IVY_ASSIGN_OR_RETURN(const std::string footer,
                         DumpJson({{"blobs", std::move(list)}, {"properties", {{"created-by", created_by}}}}));
    ByteWriter tail;
    tail.Raw(kMagic, sizeof kMagic);
    tail.Raw(footer.data(), footer.size());
    tail.U32(static_cast<uint32_t>(footer.size()));
    tail.U32(0);  // flags
    tail.Raw(kMagic, sizeof kMagic);
    out_.insert(out_.end(), tail.bytes().begin(), tail.bytes().end());
    return std::move(out_);
}

Result<std::vector<PuffinBlob>> ReadPuffinFooter(const Bytes& file) {
    if (file.size() < 2 * sizeof kMagic + kTailSize) return Damaged("too short");
    const uint8_t* tail = file.data() + file.size() - kTailSize;
    if (!IsMagic(file.data()) || !IsMagic(tail + 8)) return Damaged("not a Puffin file");
    uint32_t size = 0;
    std::memcpy(&size, tail, sizeof size);
    if (size > file.size() - 2 * sizeof kMagic - kTailSize) return Damaged("the footer is larger than the file");
    if (tail[4] & kFooterCompressed) {
        return Status::Make(sqlstate::kFeatureNotSupported, "Puffin files with a compressed footer are not supported");
    }
    const uint8_t* footer = tail - size;
    if (!IsMagic(footer - sizeof kMagic)) return Damaged("the footer does not begin with the magic bytes");
    const auto footer_at = static_cast<int64_t>(footer - sizeof kMagic - file.data());
    IVY_ASSIGN_OR_RETURN(const Json json, ParseJson({reinterpret_cast<const char*>(footer), size}, "Puffin footer"));
    IVY_ASSIGN_OR_RETURN(const Json* list, OptionalArray(json, "blobs"));
    if (list == nullptr) return Damaged("the footer lists no blobs");
    std::vector<PuffinBlob> blobs;
    for (const Json& item : *list) {
        IVY_ASSIGN_OR_RETURN(PuffinBlob blob, BlobFromJson(item, footer_at));
        blobs.push_back(std::move(blob));
    }
    return blobs;
}

}  // namespace ivy::iceberg
