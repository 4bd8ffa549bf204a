// SPDX-License-Identifier: Apache-2.0
// Avro: round trips of every type, the specification's examples, hostile files.
#include "iceberg/avro.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>

#include "iceberg/manifest_schema.h"
#include "iceberg/test_support.h"

namespace ivy::iceberg::avro {
namespace {

constexpr char kEveryType[] = R"({"type": "record", "name": "r", "namespace": "ns", "fields": [
    {"name": "n", "type": "null"}, {"name": "b", "type": "boolean", "field-id": 1}, {"name": "i", "type": "int"},
    {"name": "l", "type": {"type": "long", "logicalType": "timestamp-micros"}}, {"name": "f", "type": "float"},
    {"name": "d", "type": "double"}, {"name": "y", "type": "bytes"}, {"name": "s", "type": "string"},
    {"name": "x", "type": {"type": "fixed", "name": "four", "size": 4}},
    {"name": "e", "type": {"type": "enum", "name": "color", "symbols": ["red", "green"]}},
    {"name": "a", "type": {"type": "array", "items": "long", "element-id": 7}},
    {"name": "m", "type": {"type": "map", "values": ["null", "string"]}},
    {"name": "u", "type": ["null", "long", "string"]},
    {"name": "again", "type": "four"}, {"name": "qualified", "type": ["null", "ns.color"]},
    {"name": "next", "type": ["null", "r"]}]})";

Value EveryType(Value next) {
    return Value::List{
        Value(),
        true,
        -7,
        int64_t{1} << 60,
        1.5,
        -2.25,
        std::string("\0\1", 2),
        "grün",
        "abcd",
        1,
        Value::List{1, 2, -3},
        Value::List{Value::List{"k", "v"}, Value::List{"none", Value()}},
        "text",
        "wxyz",
        0,
        std::move(next),
    };
}

std::vector<Value> ReadAll(const Bytes& file, Status* status) {
    std::vector<Value> values;
    Result<FileReader> reader = FileReader::Open(file);
    *status = reader.status();
    while (status->ok()) {
        Value value;
        Result<bool> more = reader->Next(&value);
        *status = more.status();
        if (!more.ok() || !*more) break;
        values.push_back(std::move(value));
    }
    return values;
}

Bytes Write(const char* schema, const std::vector<Value>& values, Codec codec) {
    Result<FileWriter> writer = FileWriter::Make(schema, {{"key", "value"}}, codec);
    EXPECT_TRUE(writer.ok());
    if (!writer.ok()) return {};
    for (const Value& value : values) {
        const Status status = writer->Append(value);
        EXPECT_TRUE(status.ok()) << status.error().message;
    }
    return *writer->Finish();
}

class AvroCodec : public testing::TestWithParam<Codec> {};

TEST_P(AvroCodec, RoundTrip) {
    std::vector<Value> values;
    for (int i = 0; i < 5000; i++) values.push_back(EveryType(i % 3 ? EveryType(Value()) : Value()));  // several blocks
    const Bytes file = Write(kEveryType, values, GetParam());
    Status status;
    const std::vector<Value> read = ReadAll(file, &status);
    ASSERT_TRUE(status.ok()) << status.error().message;
    EXPECT_EQ(read, values);
    Result<FileReader> reader = FileReader::Open(file);
    EXPECT_EQ(reader->metadata().at("key"), "value");
    EXPECT_EQ(reader->root().FieldIndex(1, ""), 1);
    EXPECT_EQ(reader->root().FieldIndex(2, "i"), -1);  // names count only if the writer gave no ids
    EXPECT_EQ(reader->root().name, "ns.r");
}

TEST_P(AvroCodec, Damage) {
    const Bytes file = Write(kEveryType, {EveryType(EveryType(Value())), EveryType(Value())}, GetParam());
    Damage(file, 5000, [](const Bytes& bad) {
        Status status;
        ReadAll(bad, &status);
    });
}

INSTANTIATE_TEST_SUITE_P(Codecs, AvroCodec, testing::Values(Codec::kNull, Codec::kDeflate));

TEST(Avro, EncodingOfTheSpecification) {
    // Of the specification: {"a": 27, "b": "foo"} is 36 06 66 6f 6f, -64 is 7f, 64 is 80 01.
    const char* schema =
        R"({"type": "record", "name": "test", "fields": [{"name": "a", "type": "long"}, {"name": "b", "type": "string"}]})";
    const Bytes file = Write(schema, {Value::List{27, "foo"}, Value::List{-64, ""}, Value::List{64, ""}}, Codec::kNull);
    const Bytes data = FromHex("06 14 36 06 666f6f 7f 00 8001 00");  // 3 data, 10 bytes
    const Bytes sync(file.end() - 16, file.end());
    Bytes tail(file.end() - 16 - static_cast<std::ptrdiff_t>(data.size()), file.end() - 16);
    EXPECT_EQ(tail, data);
    EXPECT_EQ(Bytes(file.begin(), file.begin() + 4), FromHex("4f626a01"));
}

TEST(Avro, ArraysInSizedBlocks) {
    // An array in two blocks, the first with a negative count and its size: [1, 2] then [3].
    const char* schema = R"({"type": "array", "items": "long"})";
    Bytes file = Write(schema, {Value(Value::List{})}, Codec::kNull);
    const Bytes sync(file.end() - 16, file.end());
    file.resize(file.size() - 16 - 3);
    for (const uint8_t byte : FromHex("02 0e 03 04 02 04 02 06 00")) file.push_back(byte);
    file.insert(file.end(), sync.begin(), sync.end());
    Status status;
    const auto values = ReadAll(file, &status);
    ASSERT_TRUE(status.ok()) << status.error().message;
    ASSERT_EQ(values.size(), 1u);
    EXPECT_EQ(values[0], Value(Value::List{1, 2, 3}));
}

// A file of one block with the given data, uncompressed.
Bytes Handmade(const char* schema, const char* count_and_size, const Bytes& data) {
    Bytes file = Write(schema, {}, Codec::kNull);
    const Bytes sync(file.end() - 16, file.end());
    for (const uint8_t byte : FromHex(count_and_size)) file.push_back(byte);
    file.insert(file.end(), data.begin(), data.end());
    file.insert(file.end(), sync.begin(), sync.end());
    return file;
}

TEST(Avro, MemoryIsBounded) {
    Status status;
    // 2^61 nulls in an array of 10 bytes, and as many data of no size.
    ReadAll(Handmade(R"({"type": "array", "items": "null"})", "02 16", FromHex("feffffffffffffff3f 0000")), &status);
    EXPECT_FALSE(status.ok());
    ReadAll(Handmade(R"("null")", "feffffffffffffff3f 00", {}), &status);
    EXPECT_FALSE(status.ok());
    // A string of 2^40 bytes.
    ReadAll(Handmade(R"("string")", "02 0e", FromHex("808080808040 00")), &status);
    EXPECT_FALSE(status.ok());
    // Records of records, 2^30 in all, of no size.
    std::string schema = R"({"type": "record", "name": "r0", "fields": []})";
    for (int i = 1; i <= 30; i++) {
        const std::string n = std::to_string(i), inner = "r" + std::to_string(i - 1);
        schema = R"({"type": "record", "name": "r)" + n + R"(", "fields": [{"name": "a", "type": )" + schema +
                 R"(}, {"name": "b", "type": ")" + inner + R"("}]})";
    }
    ReadAll(Handmade(schema.c_str(), "02 00", {}), &status);
    EXPECT_FALSE(status.ok());
    // A datum without end.
    ReadAll(Handmade(R"({"type": "record", "name": "r", "fields": [{"name": "r", "type": "r"}]})", "02 00", {}),
            &status);
    EXPECT_FALSE(status.ok());
}

// "megabytes" of zeros, which compress 1000 to 1.
Bytes DeflatedZeros(int megabytes) {
    z_stream stream{};
    EXPECT_EQ(deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    Bytes zeros(1 << 20), out(static_cast<size_t>(megabytes) << 14);
    stream.next_out = out.data();
    stream.avail_out = static_cast<uInt>(out.size());
    for (int i = 1; i <= megabytes; i++) {
        stream.next_in = zeros.data();
        stream.avail_in = static_cast<uInt>(zeros.size());
        EXPECT_EQ(deflate(&stream, i == megabytes ? Z_FINISH : Z_NO_FLUSH), i == megabytes ? Z_STREAM_END : Z_OK);
    }
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}

// A block that would inflate to more than a block may have is refused, whatever its header says, and is never written.
TEST(Avro, DeflateBomb) {
    const char* schema = R"("bytes")";
    const Bytes small = Write(schema, {"x"}, Codec::kDeflate);
    const Bytes sync(small.end() - 16, small.end());
    // Up to the first marker is the header; then come blocks: a count, a size, the bytes, the marker.
    const auto header = std::search(small.begin(), small.end(), sync.begin(), sync.end()) + 16;
    const Bytes deflated = DeflatedZeros(257);
    Bytes bomb(small.begin(), header);
    bomb.push_back(2);  // one value
    for (uint64_t rest = deflated.size() * 2; rest > 0; rest >>= 7)
        bomb.push_back(static_cast<uint8_t>((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0)));
    bomb.insert(bomb.end(), deflated.begin(), deflated.end());
    bomb.insert(bomb.end(), sync.begin(), sync.end());
    Status status;
    EXPECT_TRUE(ReadAll(bomb, &status).empty());
    ASSERT_FALSE(status.ok());
    EXPECT_NE(status.error().message.find("too large"), std::string::npos) << status.error().message;

    Result<FileWriter> writer = FileWriter::Make(schema, {}, Codec::kDeflate);
    EXPECT_FALSE(writer->Append(std::string(257 << 20, '\0')).ok());
}

TEST(Avro, BadSchemas) {
    for (
        const char* schema : {
            "",
            "7",
            "null",
            "\"nonsense\"",
            "[]",
            "{}",
            R"({"type": 5})",
            R"({"type": "record", "name": "r"})",
            R"({"type": "record", "fields": []})",
            R"({"type": "fixed", "name": "f", "size": -1})",
            R"({"type": "fixed", "name": "f", "size": 9999999999})",
            R"({"type": "array"})",
            R"(["null", ["int"]])",
            R"({"type": "record", "name": "r", "fields": [{"name": "x"}]})",
            R"({"type": "record", "name": "r", "fields": [{"name": "x", "type": "int", "field-id": -5}]})",
            R"({"type": "record", "name": "r", "fields": [{"name": "x", "type": {"type": "record", "name": "r", "fields": []}}]})",
        }) {
        EXPECT_FALSE(Schema::Parse(schema).ok()) << schema;
    }
    EXPECT_FALSE(Schema::Parse(std::string(1 << 20, '[')).ok());
    const std::string good = ManifestAvroSchema(3);
    Damage(Bytes(good.begin(), good.end()), 1000,
           [](const Bytes& bad) { (void)Schema::Parse({reinterpret_cast<const char*>(bad.data()), bad.size()}).ok(); });
}

TEST(Avro, WrongDataAreRefusedAndLeaveTheFileGood) {
    Result<FileWriter> writer = FileWriter::Make(R"({"type": "record", "name": "r", "fields": [
        {"name": "i", "type": "int"}, {"name": "s", "type": ["null", "string"]}]})",
                                                 {});
    EXPECT_FALSE(writer->Append(Value::List{"no", Value()}).ok());
    EXPECT_FALSE(writer->Append(Value::List{1}).ok());
    EXPECT_FALSE(writer->Append(Value::List{int64_t{1} << 40, Value()}).ok());
    EXPECT_FALSE(writer->Append(Value::List{1, 2}).ok());
    EXPECT_TRUE(writer->Append(Value::List{1, "yes"}).ok());
    Status status;
    EXPECT_EQ(ReadAll(*writer->Finish(), &status).size(), 1u);
    EXPECT_TRUE(status.ok());
}

TEST(Avro, UnknownCodec) {
    Bytes file = Write(R"("int")", {1}, Codec::kDeflate);
    const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
    file[text.find("deflate")] = 'X';
    EXPECT_EQ(FileReader::Open(file).status().error().sqlstate, sqlstate::kFeatureNotSupported);
}

}  // namespace
}  // namespace ivy::iceberg::avro
