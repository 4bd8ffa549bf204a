// SPDX-License-Identifier: Apache-2.0
// Puffin files and deletion vectors: the specification's layout byte by byte, round trips, hostile files.
#include "iceberg/puffin.h"

#include <gtest/gtest.h>

#include <random>

#include "iceberg/deletion_vector.h"
#include "iceberg/test_support.h"

namespace ivy::iceberg {
namespace {

DeletedRows Rows(const std::vector<uint64_t>& positions) {
    DeletedRows rows;
    for (const uint64_t position : positions) rows.add(position);
    return rows;
}

TEST(Puffin, FileWithoutBlobs) {
    // Another writer's empty file: magic, magic, {"blobs":[]}, its size, no flags, magic.
    const Bytes foreign = FromHex("50464131 50464131 7b22626c6f6273223a5b5d7d 0c000000 00000000 50464131");
    const auto blobs = ReadPuffinFooter(foreign);
    ASSERT_TRUE(blobs.ok());
    EXPECT_TRUE(blobs->empty());
}

TEST(Puffin, RoundTrip) {
    PuffinWriter writer;
    PuffinBlob first{
        .type = "some-type", .fields = {1, 2}, .snapshot_id = 5, .sequence_number = 6, .properties = {{"a", "b"}}};
    EXPECT_EQ(writer.Add(first, ToBytes("hello")), 4);
    EXPECT_EQ(writer.Add({.type = "empty", .compression_codec = "zstd"}, {}), 9);
    const Bytes file = *writer.Finish("test 1.0");
    const auto blobs = ReadPuffinFooter(file);
    ASSERT_TRUE(blobs.ok());
    ASSERT_EQ(blobs->size(), 2u);
    EXPECT_EQ((*blobs)[0].type, "some-type");
    EXPECT_EQ((*blobs)[0].fields, (std::vector<int>{1, 2}));
    EXPECT_EQ((*blobs)[0].snapshot_id, 5);
    EXPECT_EQ((*blobs)[0].sequence_number, 6);
    EXPECT_EQ((*blobs)[0].offset, 4);
    EXPECT_EQ((*blobs)[0].length, 5);
    EXPECT_EQ((*blobs)[0].properties.at("a"), "b");
    EXPECT_FALSE((*blobs)[0].compression_codec);
    EXPECT_EQ((*blobs)[1].compression_codec, "zstd");
    EXPECT_EQ((*blobs)[1].snapshot_id, -1);
    // The last 12 bytes: footer payload's size, flags, magic.
    ByteReader tail(file.data() + file.size() - 12, 12);
    const uint32_t size = tail.U32();
    EXPECT_EQ(tail.U32(), 0u);
    EXPECT_EQ(Bytes(file.end() - 4, file.end()), FromHex("50464131"));
    const Bytes footer(file.end() - 12 - size, file.end() - 12);
    EXPECT_EQ(footer.front(), '{');
    EXPECT_EQ(footer.back(), '}');
    EXPECT_EQ(Bytes(file.end() - 12 - size - 4, file.end() - 12 - size), FromHex("50464131"));
    Damage(file, 5000, [](const Bytes& bad) {
        const auto read = ReadPuffinFooter(bad);
        if (!read.ok()) return;
        for (const PuffinBlob& blob : *read) ASSERT_LE(blob.offset + blob.length, static_cast<int64_t>(bad.size()));
    });
}

TEST(Puffin, CompressedFooter) {
    Bytes file = FromHex("50464131 50464131 7b22626c6f6273223a5b5d7d 0c000000 01000000 50464131");
    EXPECT_EQ(ReadPuffinFooter(file).status().error().sqlstate, sqlstate::kFeatureNotSupported);
}

TEST(DeletionVector, LayoutOfTheSpecification) {
    // Length (BE), magic, one bitmap with key 0: cookie 12346, one container with key 0 and cardinality 5 at offset 16, its
    // values, CRC-32 (BE). These are also the bytes that Iceberg's Java library writes.
    const Bytes five = FromHex(
        "0000002a d1d33964 0100000000000000 00000000 3a300000 01000000 0000 0400 10000000"
        "0100 0300 0500 0700 0900 b3fb20be");
    EXPECT_EQ(EncodeDeletionVector(Rows({1, 3, 5, 7, 9})), five);
    EXPECT_TRUE(*DecodeDeletionVector(five) == Rows({1, 3, 5, 7, 9}));
    const Bytes none = FromHex("0000000c d1d33964 0000000000000000 bf18480c");
    EXPECT_EQ(EncodeDeletionVector(Rows({})), none);
    EXPECT_EQ(DecodeDeletionVector(none)->cardinality(), 0u);
    const Bytes two_containers = FromHex(
        "00000030 d1d33964 0100000000000000 00000000 3a300000 02000000 0000 0100 0080 0100"
        "18000000 1c000000 6400 6500 6300 6400 15eb1c7c");
    const DeletedRows large = Rows({100, 101, 0x7fffffffull + 100, 0x7fffffffull + 101});
    EXPECT_EQ(EncodeDeletionVector(large), two_containers);
    EXPECT_TRUE(*DecodeDeletionVector(two_containers) == large);
    // Two bitmaps with arrays and runs, from the Java library.
    const Bytes runs = FromHex(
        "00000056 d1d33964 0200000000000000 00000000 3b300200 06 0000 0100 0100 e603 0200 fdff 0500 0700"
        "0100 0100 e603 0100 0100 fdff 01000000 3b300200 06 0000 0100 0100 e901 0200 fdff 0a00 1400"
        "0100 0a00 e901 0100 0100 fdff c89be397");
    const auto read = DecodeDeletionVector(runs);
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(EncodeDeletionVector(*read), runs);
    EXPECT_TRUE(read->contains(uint64_t{5}) && read->contains((uint64_t{1} << 32) + 20) &&
                !read->contains(uint64_t{6}));
}

DeletedRows RandomRows(std::mt19937_64* random) {
    DeletedRows rows;
    for (uint64_t part = (*random)() % 5; part > 0; part--) {
        const uint64_t base = (*random)() % 3 * (uint64_t{1} << 32) + (*random)() % 5 * 65536;
        const uint64_t kind = (*random)() % 3, count = (*random)() % (kind == 0 ? 100 : 60000);
        for (uint64_t i = 0; i < count; i++) rows.add(kind == 1 ? base + i : base + (*random)() % 65536);
    }
    return rows;
}

TEST(DeletionVector, RandomRoundTrips) {
    std::mt19937_64 random(4);
    for (int i = 0; i < 200; i++) {
        const DeletedRows rows = RandomRows(&random);
        const auto read = DecodeDeletionVector(EncodeDeletionVector(rows));
        ASSERT_TRUE(read.ok()) << read.error().message;
        ASSERT_TRUE(*read == rows);
    }
}

// Makes the checksum right again, so that damage reaches the bitmap's checks.
Bytes WithChecksum(Bytes blob) {
    if (blob.size() < 12) return blob;
    const auto put = [&blob](size_t at, uint32_t value) {
        for (size_t i = 0; i < 4; i++) blob[at + i] = static_cast<uint8_t>(value >> (24 - 8 * i));
    };
    put(0, static_cast<uint32_t>(blob.size() - 8));
    put(blob.size() - 4, Crc32(blob.data() + 4, blob.size() - 8));
    return blob;
}

TEST(DeletionVector, Damage) {
    DeletedRows rows = Rows({1, 2, 3, 70000, uint64_t{1} << 33});
    for (uint64_t i = 0; i < 10000; i += 2) rows.add(200000 + i);  // a bitset
    for (uint64_t i = 0; i < 9000; i++) rows.add(400000 + i);      // runs
    rows.add(uint64_t{500000});
    const Bytes blob = EncodeDeletionVector(rows);
    Damage(blob, 2000, [](const Bytes& bad) { EXPECT_FALSE(DecodeDeletionVector(bad).ok()); });
    Damage(blob, 20000, [](const Bytes& bad) {
        const auto read = DecodeDeletionVector(WithChecksum(bad));
        if (!read.ok()) return;
        uint64_t count = 0;  // what passes the checks is a sound bitmap
        for (const uint64_t position : *read) count += position < (uint64_t{1} << 63);
        EXPECT_EQ(count, read->cardinality());
        EXPECT_TRUE(DecodeDeletionVector(EncodeDeletionVector(*read)).ok());
    });
}

TEST(DeletionVector, FilesAndEntries) {
    MemoryFileIo io;
    const DeletedRows a = Rows({0, 5}), b = Rows({7, 8, 9});
    const auto files =
        WriteDeletionVectors(&io, "/t/data/dv.puffin", {{"/t/data/a.parquet", &a}, {"/t/data/b.parquet", &b}});
    ASSERT_TRUE(files.ok());
    ASSERT_EQ(files->size(), 2u);
    const Bytes& puffin = io.files["/t/data/dv.puffin"];
    const auto blobs = ReadPuffinFooter(puffin);
    ASSERT_TRUE(blobs.ok());
    for (size_t i = 0; i < 2; i++) {
        const DataFile& file = (*files)[i];
        EXPECT_EQ(file.content, Content::kPositionDeletes);
        EXPECT_EQ(file.format, "PUFFIN");
        EXPECT_EQ(file.file_size, static_cast<int64_t>(puffin.size()));
        EXPECT_EQ(file.content_offset, (*blobs)[i].offset);
        EXPECT_EQ(file.content_size, (*blobs)[i].length);
        EXPECT_EQ((*blobs)[i].type, "deletion-vector-v1");
        EXPECT_EQ((*blobs)[i].properties.at("referenced-data-file"), *file.referenced_data_file);
        EXPECT_EQ((*blobs)[i].properties.at("cardinality"), std::to_string(file.record_count));
        EXPECT_FALSE((*blobs)[i].compression_codec);
        EXPECT_EQ((*blobs)[i].snapshot_id, -1);
    }
    EXPECT_TRUE(*ReadDeletionVector(&io, (*files)[0]) == a);
    EXPECT_TRUE(*ReadDeletionVector(&io, (*files)[1]) == b);
    DataFile wrong = (*files)[0];
    wrong.record_count = 3;
    EXPECT_FALSE(ReadDeletionVector(&io, wrong).ok());
    wrong = (*files)[0];
    wrong.content_size = int64_t{1} << 60;
    EXPECT_FALSE(ReadDeletionVector(&io, wrong).ok());
    const DeletedRows none;
    EXPECT_FALSE(WriteDeletionVectors(&io, "/t/x.puffin", {{"/t/a", &none}}).ok());
}

}  // namespace
}  // namespace ivy::iceberg
