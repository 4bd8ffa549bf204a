// SPDX-License-Identifier: Apache-2.0
//
// Avro's binary encoding and container framing. A container is: "Obj" 1, the header's metadata map (schema and codec in
// it), a 16-byte sync marker, then blocks of (count, size in bytes, data, sync marker).
#include "iceberg/avro.h"

#include <zlib.h>

#include <cstring>
#include <random>

#include "iceberg/json.h"

namespace ivy::iceberg::avro {
namespace {

constexpr uint8_t kMagic[4] = {'O', 'b', 'j', 1};
constexpr size_t kSyncSize = 16;
constexpr size_t kBlockTarget = 64 * 1024;
constexpr int64_t kMaxBlock = 256ll << 20;  // bytes of one block, decompressed
constexpr int kMaxDepth = 64;

Status Damaged(const char* what) { return Status::Corrupt(std::string("Avro file: ") + what); }

// --- encoding ---

void PutLong(Bytes* out, int64_t value) {
    uint64_t zigzag = (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
    while (zigzag >= 0x80) {
        out->push_back(static_cast<uint8_t>(zigzag | 0x80));
        zigzag >>= 7;
    }
    out->push_back(static_cast<uint8_t>(zigzag));
}

void PutRaw(Bytes* out, const void* data, size_t size) {
    const auto* from = static_cast<const uint8_t*>(data);
    out->insert(out->end(), from, from + size);
}

void PutString(Bytes* out, std::string_view text) {
    PutLong(out, static_cast<int64_t>(text.size()));
    PutRaw(out, text.data(), text.size());
}

Status Mismatch(const Type& type) {
    return Status::Internal("an Avro datum does not fit its schema" +
                            (type.name.empty() ? "" : " at type " + type.name));
}

// Whether a value's shape is that of a type (not looking into lists).
bool Fits(const Type& type, const Value& value) {
    switch (type.kind) {
        case Kind::kNull: return value.IsNull();
        case Kind::kBoolean: return value.Get<bool>() != nullptr;
        case Kind::kInt:
        case Kind::kLong:
        case Kind::kEnum: return value.Get<int64_t>() != nullptr;
        case Kind::kFloat:
        case Kind::kDouble: return value.Get<double>() != nullptr;
        case Kind::kBytes:
        case Kind::kString: return value.Get<std::string>() != nullptr;
        case Kind::kFixed:
            return value.Get<std::string>() && static_cast<int64_t>(value.Get<std::string>()->size()) == type.size;
        case Kind::kRecord: return value.Get<Value::List>() && value.Get<Value::List>()->size() == type.fields.size();
        case Kind::kArray:
        case Kind::kMap: return value.Get<Value::List>() != nullptr;
        case Kind::kUnion: return true;
    }
    return false;
}

Status Encode(const Type& type, const Value& value, Bytes* out) {
    if (!Fits(type, value)) return Mismatch(type);
    switch (type.kind) {
        case Kind::kNull: return Status::Ok();
        case Kind::kBoolean: out->push_back(*value.Get<bool>() ? 1 : 0); return Status::Ok();
        case Kind::kInt:
        case Kind::kEnum: {
            const int64_t number = *value.Get<int64_t>();
            if (number < INT32_MIN || number > INT32_MAX) return Mismatch(type);
            if (type.kind == Kind::kEnum && (number < 0 || number >= static_cast<int64_t>(type.symbols.size())))
                return Mismatch(type);
            PutLong(out, number);
            return Status::Ok();
        }
        case Kind::kLong: PutLong(out, *value.Get<int64_t>()); return Status::Ok();
        case Kind::kFloat: {
            const auto number = static_cast<float>(*value.Get<double>());
            PutRaw(out, &number, sizeof number);
            return Status::Ok();
        }
        case Kind::kDouble: PutRaw(out, value.Get<double>(), sizeof(double)); return Status::Ok();
        case Kind::kBytes:
        case Kind::kString: PutString(out, *value.Get<std::string>()); return Status::Ok();
        case Kind::kFixed:
            PutRaw(out, value.Get<std::string>()->data(), value.Get<std::string>()->size());
            return Status::Ok();
        case Kind::kRecord: {
            const auto& list = *value.Get<Value::List>();
            for (size_t i = 0; i < list.size(); i++) IVY_RETURN_IF_ERROR(Encode(*type.fields[i].type, list[i], out));
            return Status::Ok();
        }
        case Kind::kArray:
        case Kind::kMap: {
            const auto& list = *value.Get<Value::List>();
            if (!list.empty()) PutLong(out, static_cast<int64_t>(list.size()));
            for (const Value& item : list) {
                if (type.kind == Kind::kArray) {
                    IVY_RETURN_IF_ERROR(Encode(*type.items, item, out));
                    continue;
                }
                const auto* pair = item.Get<Value::List>();
                if (pair == nullptr || pair->size() != 2 || !(*pair)[0].Get<std::string>()) return Mismatch(type);
                PutString(out, *(*pair)[0].Get<std::string>());
                IVY_RETURN_IF_ERROR(Encode(*type.items, (*pair)[1], out));
            }
            PutLong(out, 0);
            return Status::Ok();
        }
        case Kind::kUnion:
            for (size_t i = 0; i < type.branches.size(); i++) {
                if (!Fits(*type.branches[i], value)) continue;
                PutLong(out, static_cast<int64_t>(i));
                return Encode(*type.branches[i], value, out);
            }
            return Mismatch(type);
    }
    return Mismatch(type);
}

// --- decoding ---

// A cursor over bytes; like ByteReader, it turns bad for ever at the first short read.
struct Input {
    const uint8_t* at;
    const uint8_t* end;
    bool ok = true;

    size_t left() const { return static_cast<size_t>(end - at); }

    const uint8_t* Raw(int64_t size) {
        if (!ok || size < 0 || static_cast<uint64_t>(size) > left()) {
            ok = false;
            return nullptr;
        }
        const uint8_t* from = at;
        at += size;
        return from;
    }

    int64_t Long() {
        uint64_t zigzag = 0;
        for (int shift = 0; shift < 70; shift += 7) {
            const uint8_t* byte = Raw(1);
            if (byte == nullptr) return 0;
            if (shift == 63 && *byte > 1) break;
            zigzag |= static_cast<uint64_t>(*byte & 0x7f) << shift;
            if ((*byte & 0x80) == 0) return static_cast<int64_t>(zigzag >> 1) ^ -static_cast<int64_t>(zigzag & 1);
        }
        ok = false;
        return 0;
    }

    std::string String() {
        const int64_t size = Long();
        const uint8_t* from = Raw(size);
        return from ? std::string(reinterpret_cast<const char*>(from), static_cast<size_t>(size)) : std::string();
    }

    // The number of items in an array's or map's next block; 0 at its end.
    int64_t BlockCount() {
        int64_t count = Long();
        if (count < 0) {
            if (count == INT64_MIN || Long() < 0) ok = false;  // followed by the block's size in bytes, for skipping
            count = ok ? -count : 0;
        }
        return ok ? count : 0;
    }
};

// "budget" is how many values may still be made: an array of a billion nulls takes no bytes in a file.
Status Decode(const Type& type, Input* in, int64_t* budget, int depth, Value* out) {
    if (--*budget < 0 || depth > kMaxDepth) return Damaged("a datum is larger than its block can hold");
    switch (type.kind) {
        case Kind::kNull: out->data = std::monostate(); break;
        case Kind::kBoolean: {
            const uint8_t* byte = in->Raw(1);
            if (byte != nullptr && *byte > 1) return Damaged("a boolean is neither 0 nor 1");
            out->data = byte != nullptr && *byte == 1;
            break;
        }
        case Kind::kInt:
        case Kind::kEnum: {
            const int64_t number = in->Long();
            if (number < INT32_MIN || number > INT32_MAX) return Damaged("an int is out of range");
            if (type.kind == Kind::kEnum && (number < 0 || number >= static_cast<int64_t>(type.symbols.size()))) {
                return Damaged("an enum has no such symbol");
            }
            out->data = number;
            break;
        }
        case Kind::kLong: out->data = in->Long(); break;
        case Kind::kFloat: {
            float number = 0;
            if (const uint8_t* from = in->Raw(sizeof number)) std::memcpy(&number, from, sizeof number);
            out->data = static_cast<double>(number);
            break;
        }
        case Kind::kDouble: {
            double number = 0;
            if (const uint8_t* from = in->Raw(sizeof number)) std::memcpy(&number, from, sizeof number);
            out->data = number;
            break;
        }
        case Kind::kBytes:
        case Kind::kString: out->data = in->String(); break;
        case Kind::kFixed: {
            const uint8_t* from = in->Raw(type.size);
            out->data =
                from ? std::string(reinterpret_cast<const char*>(from), static_cast<size_t>(type.size)) : std::string();
            break;
        }
        case Kind::kRecord: {
            Value::List list;
            list.reserve(type.fields.size());
            for (const Field& field : type.fields) {
                IVY_RETURN_IF_ERROR(Decode(*field.type, in, budget, depth + 1, &list.emplace_back()));
            }
            out->data = std::move(list);
            break;
        }
        case Kind::kArray:
        case Kind::kMap: {
            Value::List list;
            while (const int64_t count = in->BlockCount()) {
                for (int64_t i = 0; i < count; i++) {
                    Value item;
                    if (type.kind == Kind::kArray) {
                        IVY_RETURN_IF_ERROR(Decode(*type.items, in, budget, depth + 1, &item));
                    } else {
                        if (--*budget < 0) return Damaged("a datum is larger than its block can hold");
                        Value::List pair(2);
                        pair[0].data = in->String();
                        IVY_RETURN_IF_ERROR(Decode(*type.items, in, budget, depth + 1, &pair[1]));
                        item.data = std::move(pair);
                    }
                    if (!in->ok) return Damaged("cut short");
                    list.push_back(std::move(item));
                }
            }
            out->data = std::move(list);
            break;
        }
        case Kind::kUnion: {
            const int64_t branch = in->Long();
            if (!in->ok || branch < 0 || branch >= static_cast<int64_t>(type.branches.size())) {
                return Damaged("a union has no such branch");
            }
            return Decode(*type.branches[static_cast<size_t>(branch)], in, budget, depth + 1, out);
        }
    }
    return in->ok ? Status::Ok() : Damaged("cut short");
}

// --- raw deflate, as the codec "deflate" prescribes ---

Result<Bytes> Deflate(const Bytes& raw) {
    z_stream stream{};
    if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        return Status::Make(sqlstate::kOutOfMemory, "could not start compression");
    }
    Bytes out(deflateBound(&stream, raw.size()));
    stream.next_in = const_cast<Bytef*>(raw.data());
    stream.avail_in = static_cast<uInt>(raw.size());
    stream.next_out = out.data();
    stream.avail_out = static_cast<uInt>(out.size());
    const int result = deflate(&stream, Z_FINISH);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    if (result != Z_STREAM_END) return Status::Internal("could not compress an Avro block");
    return out;
}

Status Inflate(const uint8_t* from, size_t size, Bytes* out) {
    z_stream stream{};
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
        return Status::Make(sqlstate::kOutOfMemory, "could not start decompression");
    stream.next_in = const_cast<Bytef*>(from);
    stream.avail_in = static_cast<uInt>(size);
    out->clear();
    int result = Z_OK;
    while (result == Z_OK && static_cast<int64_t>(out->size()) < kMaxBlock) {
        const size_t before = out->size();
        out->resize(std::min<size_t>(kMaxBlock, before + std::max<size_t>(kBlockTarget, before)));
        stream.next_out = out->data() + before;
        stream.avail_out = static_cast<uInt>(out->size() - before);
        result = inflate(&stream, Z_NO_FLUSH);
        out->resize(out->size() - stream.avail_out);
    }
    inflateEnd(&stream);
    // Bytes behind the end are let pass: pyiceberg leaves a part of zlib's checksum there.
    if (result != Z_STREAM_END) return Damaged("a compressed block is damaged or too large");
    return Status::Ok();
}

}  // namespace

// --- FileWriter ---

Result<FileWriter> FileWriter::Make(const std::string& schema_json, const std::map<std::string, std::string>& metadata,
                                    Codec codec) {
    FileWriter writer;
    IVY_ASSIGN_OR_RETURN(writer.schema_, Schema::Parse(schema_json));
    writer.codec_ = codec;
    std::random_device random;
    while (writer.sync_.size() < kSyncSize) writer.sync_.push_back(static_cast<char>(random()));

    PutRaw(&writer.out_, kMagic, sizeof kMagic);
    PutLong(&writer.out_, static_cast<int64_t>(metadata.size()) + 2);
    PutString(&writer.out_, "avro.schema");
    PutString(&writer.out_, schema_json);
    PutString(&writer.out_, "avro.codec");
    PutString(&writer.out_, codec == Codec::kDeflate ? "deflate" : "null");
    for (const auto& [key, value] : metadata) {
        PutString(&writer.out_, key);
        PutString(&writer.out_, value);
    }
    PutLong(&writer.out_, 0);
    PutRaw(&writer.out_, writer.sync_.data(), kSyncSize);
    return writer;
}

Status FileWriter::Append(const Value& value) {
    const size_t before = block_.size();
    const Status status = Encode(schema_->root(), value, &block_);
    if (!status.ok()) {
        block_.resize(before);
        return status;
    }
    block_count_++;
    return block_.size() >= kBlockTarget ? FlushBlock() : Status::Ok();
}

Status FileWriter::FlushBlock() {
    if (block_count_ == 0) return Status::Ok();
    if (static_cast<int64_t>(block_.size()) > kMaxBlock) return Status::Internal("an Avro datum is too large");
    PutLong(&out_, block_count_);
    if (codec_ == Codec::kDeflate) {
        IVY_ASSIGN_OR_RETURN(const Bytes deflated, Deflate(block_));
        PutLong(&out_, static_cast<int64_t>(deflated.size()));
        PutRaw(&out_, deflated.data(), deflated.size());
    } else {
        PutLong(&out_, static_cast<int64_t>(block_.size()));
        PutRaw(&out_, block_.data(), block_.size());
    }
    PutRaw(&out_, sync_.data(), kSyncSize);
    block_.clear();
    block_count_ = 0;
    return Status::Ok();
}

Result<Bytes> FileWriter::Finish() {
    IVY_RETURN_IF_ERROR(FlushBlock());
    return std::move(out_);
}

// --- FileReader ---

Result<FileReader> FileReader::Open(const Bytes& file) {
    FileReader reader;
    Input in{file.data(), file.data() + file.size()};
    const uint8_t* magic = in.Raw(sizeof kMagic);
    if (magic == nullptr || std::memcmp(magic, kMagic, sizeof kMagic) != 0)
        return Damaged("not an Avro container file");
    while (const int64_t count = in.BlockCount()) {
        for (int64_t i = 0; i < count && in.ok; i++) {
            std::string key = in.String();
            reader.metadata_[std::move(key)] = in.String();
        }
    }
    const uint8_t* sync = in.Raw(kSyncSize);
    if (!in.ok) return Damaged("the header is damaged");
    reader.sync_.assign(reinterpret_cast<const char*>(sync), kSyncSize);

    const std::string codec = reader.metadata_.contains("avro.codec") ? reader.metadata_["avro.codec"] : "null";
    if (codec == "deflate")
        reader.codec_ = Codec::kDeflate;
    else if (codec != "null" && !codec.empty()) {
        return Status::Make(sqlstate::kFeatureNotSupported, "Avro codec \"" + codec + "\" is not supported");
    }
    IVY_ASSIGN_OR_RETURN(reader.schema_, Schema::Parse(reader.metadata_["avro.schema"]));
    reader.at_ = in.at;
    reader.end_ = in.end;
    return reader;
}

Status FileReader::NextBlock() {
    Input in{at_, end_};
    const int64_t count = in.Long();
    const int64_t size = in.Long();
    const uint8_t* data = in.Raw(size);
    const uint8_t* sync = in.Raw(kSyncSize);
    if (!in.ok || count < 0 || size > kMaxBlock) return Damaged("cut short or a block's header is damaged");
    if (std::memcmp(sync, sync_.data(), kSyncSize) != 0) return Damaged("a block does not end with the sync marker");
    at_ = in.at;
    block_ = data;
    block_end_ = data + size;
    if (codec_ == Codec::kDeflate) {
        IVY_RETURN_IF_ERROR(Inflate(data, static_cast<size_t>(size), &inflated_));
        block_ = inflated_.data();
        block_end_ = block_ + inflated_.size();
    }
    block_left_ = count;
    budget_ = 1024 + 4 * (block_end_ - block_);
    return Status::Ok();
}

Result<bool> FileReader::Next(Value* value) {
    while (block_left_ == 0) {
        if (block_ != block_end_) return Damaged("a block has bytes left over");
        if (at_ == end_) return false;
        IVY_RETURN_IF_ERROR(NextBlock());
    }
    Input in{block_, block_end_};
    IVY_RETURN_IF_ERROR(Decode(schema_->root(), &in, &budget_, 0, value));
    block_ = in.at;
    block_left_--;
    return true;
}

}  // namespace ivy::iceberg::avro
