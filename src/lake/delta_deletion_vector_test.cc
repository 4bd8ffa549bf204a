// SPDX-License-Identifier: Apache-2.0
#include "lake/delta_deletion_vector.h"

#include <gtest/gtest.h>

#include "lake/test_support.h"

namespace ivy::lake {
namespace {

// The example of the protocol's text, which is in the older form.
constexpr char kInline[] = "wi5b=000010000siXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L";

std::string Rows(const Result<iceberg::DeletedRows>& rows) {
    if (!rows.ok()) return "!" + rows.error().sqlstate;
    std::string text;
    for (const uint64_t row : *rows) text += (text.empty() ? "" : ",") + std::to_string(row);
    return text;
}

TEST(DeltaDeletionVector, Z85) {
    const Bytes bytes = {0x86, 0x4f, 0xd2, 0x6f, 0xb5, 0x59, 0xf7, 0x5b};  // ZeroMQ's own example
    EXPECT_EQ(EncodeZ85(bytes), "HelloWorld");
    EXPECT_EQ(*DecodeZ85("HelloWorld"), bytes);
    EXPECT_EQ(DecodeZ85("")->size(), 0u);
    for (const char* bad : {"Hello Worl", "HelloWorl", "\"aaaa", "#####", "%nSc1",
                            "a\x80"
                            "aaa"}) {
        EXPECT_FALSE(DecodeZ85(bad).ok()) << bad;
    }
    EXPECT_EQ(*DecodeZ85("%nSc0"), (Bytes{0xff, 0xff, 0xff, 0xff}));
}

TEST(DeltaDeletionVector, Inline) {
    MemoryIo io;
    DeletionVectorRef ref{'i', kInline, {}, 40, 6};
    EXPECT_EQ(Rows(ReadDeltaDeletionVector(&io, "/t", ref)), "3,4,7,11,18,29");
    ref.cardinality = 5;
    EXPECT_EQ(Rows(ReadDeltaDeletionVector(&io, "/t", ref)), "!XX001");
    ref.cardinality = 6;
    for (const int64_t size : {int64_t{0}, int64_t{8}, int64_t{36}, int64_t{41}, int64_t{1000}}) {
        ref.size = size;
        EXPECT_EQ(Rows(ReadDeltaDeletionVector(&io, "/t", ref)), "!XX001") << size;
    }
}

// What tables hold, as deltalake and Spark write it.
TEST(DeltaDeletionVector, InlinePortable) {
    iceberg::DeletedRows rows;
    for (const uint64_t row : {uint64_t{0}, uint64_t{65536}, uint64_t{3} << 33}) rows.add(row);
    const Bytes blob = iceberg::EncodeDeletionVector(rows);
    Bytes body(blob.begin() + 4, blob.end() - 4);
    const auto size = static_cast<int64_t>(body.size());
    while (body.size() % 4 != 0) body.push_back(0);
    MemoryIo io;
    EXPECT_EQ(Rows(ReadDeltaDeletionVector(&io, "/t", {'i', EncodeZ85(body), {}, size, 3})), "0,65536,25769803776");
}

TEST(DeltaDeletionVector, Paths) {
    const auto path = [](char storage, const std::string& text) {
        const auto found = DeletionVectorPath("s3://mytable/", {storage, text, 4, 40, 6});
        return !found.ok() ? "!" + found.error().sqlstate : found->value_or("none");
    };
    EXPECT_EQ(path('u', "ab^-aqEH.-t@S}K{vb[*k^"),
              "s3://mytable/ab/deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin");
    EXPECT_EQ(path('u', "^-aqEH.-t@S}K{vb[*k^"),
              "s3://mytable/deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin");
    EXPECT_EQ(path('p', "s3a://other/x%20y.bin"), "s3://other/x y.bin");
    EXPECT_EQ(path('p', "file:///etc/passwd"), "!0A000");
    EXPECT_EQ(path('u', "short"), "!XX001");
    EXPECT_EQ(path('i', kInline), "none");
}

TEST(DeltaDeletionVector, InFiles) {
    MemoryIo io;
    iceberg::DeletedRows rows;
    for (const uint64_t row : {uint64_t{1}, uint64_t{77}, uint64_t{5} << 32}) rows.add(row);
    const Bytes blob = iceberg::EncodeDeletionVector(rows);
    Bytes file = {1};  // the format's version
    file.insert(file.end(), blob.begin(), blob.end());
    io.files["/t/v.bin"] = file;
    DeletionVectorRef ref{'p', "/t/v.bin", 1, static_cast<int64_t>(blob.size()) - 8, 3};
    EXPECT_EQ(Rows(ReadDeltaDeletionVector(&io, "/t", ref)), "1,77,21474836480");
    ref.offset = 2;
    EXPECT_EQ(Rows(ReadDeltaDeletionVector(&io, "/t", ref)), "!XX001");
    ref.offset = INT64_MAX;
    EXPECT_EQ(Rows(ReadDeltaDeletionVector(&io, "/t", ref)), "!XX001");
    ref.offset = 1;
    ref.path_or_inline = "/t/none.bin";
    EXPECT_EQ(Rows(ReadDeltaDeletionVector(&io, "/t", ref)), "!58P01");
}

TEST(DeltaDeletionVector, Damaged) {
    const Bytes good = *DecodeZ85(kInline);
    MemoryIo io;
    Damage(good, 5000, [&](const Bytes& bad) {
        Bytes padded = bad;
        while (padded.size() % 4 != 0) padded.push_back(0);
        const DeletionVectorRef ref{'i', EncodeZ85(padded), {}, static_cast<int64_t>(bad.size()), 6};
        const auto rows = ReadDeltaDeletionVector(&io, "/t", ref);
        if (!rows.ok()) return;
        EXPECT_EQ(rows->cardinality(), 6u);
    });
}

TEST(DeltaDeletionVector, References) {
    const auto parse = [](const char* text) { return DeletionVectorRefFromJson(*iceberg::ParseJson(text, "test")); };
    const auto ref = parse(R"({"storageType":"u","pathOrInlineDv":"x","offset":4,"sizeInBytes":40,"cardinality":6})");
    ASSERT_TRUE(ref.ok());
    EXPECT_EQ(ref->UniqueId(), "ux@4");
    for (const char* bad : {R"({"storageType":"x","pathOrInlineDv":"x","sizeInBytes":40,"cardinality":6})",
                            R"({"storageType":"u","pathOrInlineDv":"x","offset":-4,"sizeInBytes":40,"cardinality":6})",
                            R"({"storageType":"u","pathOrInlineDv":"x","sizeInBytes":-40,"cardinality":6})",
                            R"({"storageType":"u","pathOrInlineDv":"x","sizeInBytes":40})", R"([])"}) {
        EXPECT_FALSE(parse(bad).ok()) << bad;
    }
}

}  // namespace
}  // namespace ivy::lake
