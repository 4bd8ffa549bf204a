// SPDX-License-Identifier: Apache-2.0
// Manifests and manifest lists: round trips, inheritance, what other versions and writers leave out, hostile files.
#include "iceberg/manifest.h"

#include <gtest/gtest.h>

#include "iceberg/manifest_schema.h"
#include "iceberg/test_support.h"

namespace ivy::iceberg {
namespace {

DataFile SomeDataFile(const std::string& path, int64_t rows) {
    DataFile file;
    file.path = path;
    file.record_count = rows;
    file.file_size = 1000 + rows;
    file.metrics.column_sizes = {{1, 10}, {2, 20}};
    file.metrics.value_counts = {{1, rows}, {2, rows}};
    file.metrics.null_value_counts = {{1, 0}, {2, 1}};
    file.metrics.nan_value_counts = {{2, 3}};
    file.metrics.lower_bounds = {{1, std::string("\0\0\0\0", 4)}};
    file.metrics.upper_bounds = {{1, std::string("\xff\xff\xff\x7f", 4)}, {2, ""}};
    file.split_offsets = {4, 1 << 20};
    file.sort_order_id = 0;
    return file;
}

DataFile SomeVector(const std::string& target) {
    DataFile file;
    file.content = Content::kPositionDeletes;
    file.format = "PUFFIN";
    file.path = "/t/data/dv.puffin";
    file.record_count = 2;
    file.file_size = 300;
    file.referenced_data_file = target;
    file.content_offset = 4;
    file.content_size = 44;
    return file;
}

ManifestHeader Header(int version, bool deletes) {
    return {.format_version = version,
            .schema_json = R"({"type":"struct","fields":[]})",
            .schema_id = 3,
            .deletes = deletes};
}

std::pair<Bytes, ManifestFile> WriteOne(int version, bool deletes,
                                        const std::vector<std::pair<EntryStatus, DataFile>>& files) {
    auto writer = ManifestWriter::Make(Header(version, deletes), 77, 5);
    EXPECT_TRUE(writer.ok());
    for (const auto& [status, file] : files) EXPECT_TRUE(writer->Add(status, file).ok());
    auto finished = writer->Finish();
    EXPECT_TRUE(finished.ok());
    return *finished;
}

class ManifestVersion : public testing::TestWithParam<int> {};

TEST_P(ManifestVersion, RoundTripAndInheritance) {
    const int version = GetParam();
    DataFile old = SomeDataFile("/t/data/old.parquet", 10), removed = SomeDataFile("/t/data/removed.parquet", 7);
    old.sequence_number = 2, old.file_sequence_number = 3, old.snapshot_id = 55;
    removed.sequence_number = 1, removed.file_sequence_number = 1, removed.snapshot_id = 54;
    if (version == 3) old.first_row_id = 100, removed.first_row_id = 90;
    auto [content, manifest] = WriteOne(version, false,
                                        {{EntryStatus::kExisting, old},
                                         {EntryStatus::kDeleted, removed},
                                         {EntryStatus::kAdded, SomeDataFile("/t/data/a.parquet", 4)},
                                         {EntryStatus::kAdded, SomeDataFile("/t/data/b.parquet", 5)}});
    EXPECT_EQ(manifest.added_files, 2);
    EXPECT_EQ(manifest.added_rows, 9);
    EXPECT_EQ(manifest.existing_files, 1);
    EXPECT_EQ(manifest.existing_rows, 10);
    EXPECT_EQ(manifest.deleted_files, 1);
    EXPECT_EQ(manifest.deleted_rows, 7);
    EXPECT_EQ(manifest.min_sequence_number, 2);
    EXPECT_EQ(manifest.sequence_number, 5);
    EXPECT_EQ(manifest.length, static_cast<int64_t>(content.size()));
    if (version == 3) manifest.first_row_id = 1000;

    const auto entries = ReadManifest(content, manifest);
    ASSERT_TRUE(entries.ok()) << entries.error().message;
    ASSERT_EQ(entries->size(), 4u);
    EXPECT_EQ((*entries)[0].status, EntryStatus::kExisting);
    EXPECT_EQ((*entries)[0].file, old);
    EXPECT_EQ((*entries)[1].status, EntryStatus::kDeleted);
    removed.snapshot_id = 77;  // the one that removed it
    EXPECT_EQ((*entries)[1].file, removed);
    DataFile a = SomeDataFile("/t/data/a.parquet", 4), b = SomeDataFile("/t/data/b.parquet", 5);
    for (DataFile* file : {&a, &b}) file->sequence_number = 5, file->file_sequence_number = 5, file->snapshot_id = 77;
    if (version == 3) a.first_row_id = 1000, b.first_row_id = 1004;
    EXPECT_EQ((*entries)[2].status, EntryStatus::kAdded);
    EXPECT_EQ((*entries)[2].file, a);
    EXPECT_EQ((*entries)[3].file, b);
}

TEST_P(ManifestVersion, Headers) {
    const auto [content, manifest] = WriteOne(GetParam(), true, {});
    const auto reader = avro::FileReader::Open(content);
    ASSERT_TRUE(reader.ok());
    const auto& metadata = reader->metadata();
    EXPECT_EQ(metadata.at("schema"), R"({"type":"struct","fields":[]})");
    EXPECT_EQ(metadata.at("schema-id"), "3");
    EXPECT_EQ(metadata.at("partition-spec"), "[]");
    EXPECT_EQ(metadata.at("partition-spec-id"), "0");
    EXPECT_EQ(metadata.at("format-version"), std::to_string(GetParam()));
    EXPECT_EQ(metadata.at("content"), "deletes");
    EXPECT_EQ(metadata.at("avro.codec"), "deflate");
}

TEST_P(ManifestVersion, ListRoundTrip) {
    std::vector<ManifestFile> manifests(3);
    for (size_t i = 0; i < manifests.size(); i++) {
        ManifestFile& m = manifests[i];
        const auto n = static_cast<int64_t>(i);
        m.path = "/t/metadata/m" + std::to_string(i) + ".avro";
        m.length = 1000 + n, m.deletes = i == 2, m.sequence_number = n + 1, m.min_sequence_number = n,
        m.added_snapshot_id = 70 + n;
        m.added_files = n, m.existing_files = n + 1, m.deleted_files = n + 2;
        m.added_rows = 10 * n, m.existing_rows = 11 * n, m.deleted_rows = 12 * n;
        if (GetParam() == 3 && !m.deletes) m.first_row_id = 500 * n;
    }
    const auto content = WriteManifestList({GetParam(), 72, 71, 3, 500}, manifests);
    ASSERT_TRUE(content.ok());
    const auto read = ReadManifestList(*content);
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(*read, manifests);
    const auto reader = avro::FileReader::Open(*content);
    EXPECT_EQ(reader->metadata().at("snapshot-id"), "72");
    EXPECT_EQ(reader->metadata().at("parent-snapshot-id"), "71");
    EXPECT_EQ(reader->metadata().at("sequence-number"), "3");
    EXPECT_EQ(reader->metadata().contains("first-row-id"), GetParam() == 3);
    Damage(*content, 1500, [](const Bytes& bad) { (void)ReadManifestList(bad).ok(); });
}

TEST_P(ManifestVersion, Damage) {
    const auto [content, manifest] = WriteOne(GetParam(), false, {{EntryStatus::kAdded, SomeDataFile("/t/a", 4)}});
    ManifestFile list_entry = manifest;
    list_entry.first_row_id = INT64_MAX - 2;
    Damage(content, 1500, [&](const Bytes& bad) { (void)ReadManifest(bad, list_entry).ok(); });
    EXPECT_FALSE(ReadManifest(content, list_entry).ok());  // row ids out of range
}

INSTANTIATE_TEST_SUITE_P(Versions, ManifestVersion, testing::Values(2, 3));

TEST(Manifest, DeletionVectors) {
    DataFile vector = SomeVector("/t/data/a.parquet");
    auto [content, manifest] = WriteOne(3, true, {{EntryStatus::kAdded, vector}});
    manifest.first_row_id = 5;  // which has no meaning for deletes
    const auto entries = ReadManifest(content, manifest);
    ASSERT_TRUE(entries.ok());
    vector.sequence_number = vector.file_sequence_number = 5;
    vector.snapshot_id = 77;
    EXPECT_EQ((*entries)[0].file, vector);
    EXPECT_FALSE((*entries)[0].file.first_row_id);
    // A delete file where the list promises data files.
    manifest.deletes = false;
    EXPECT_FALSE(ReadManifest(content, manifest).ok());
}

// Version 1 as other writers have it: fewer fields, other names, unknown ones, a partition tuple.
TEST(Manifest, VersionOne) {
    const char* schema = R"({"type": "record", "name": "manifest_entry", "fields": [
        {"name": "status", "type": "int", "field-id": 0},
        {"name": "snapshot_id", "type": ["null", "long"], "field-id": 1},
        {"name": "data_file", "field-id": 2, "type": {"type": "record", "name": "r2", "fields": [
            {"name": "file_path", "type": "string", "field-id": 100},
            {"name": "file_format", "type": "string", "field-id": 101},
            {"name": "partition", "field-id": 102, "type": {"type": "record", "name": "r102", "fields": [
                {"name": "day", "type": ["null", {"type": "int", "logicalType": "date"}], "field-id": 1000},
                {"name": "who", "type": ["null", "string"], "field-id": 1001},
                {"name": "key", "type": ["null", {"type": "fixed", "name": "uuid_fixed", "size": 2}], "field-id": 1002}]}},
            {"name": "rows", "type": "long", "field-id": 103},
            {"name": "file_size_in_bytes", "type": "long", "field-id": 104},
            {"name": "block_size_in_bytes", "type": "long", "field-id": 105},
            {"name": "counts", "field-id": 109, "type": ["null", {"type": "array", "logicalType": "map", "items":
                {"type": "record", "name": "kv", "fields": [{"name": "key", "type": "int", "field-id": 119},
                {"name": "value", "type": "long", "field-id": 120}]}}]},
            {"name": "from_the_future", "type": {"type": "map", "values": "double"}, "field-id": 9999}]}}]})";
    auto writer = avro::FileWriter::Make(schema, {}, avro::Codec::kNull);
    ASSERT_TRUE(writer.ok());
    using avro::Value;
    const auto append = [&writer](int status, const char* path) {
        ASSERT_TRUE(
            writer
                ->Append(Value::List{status, int64_t{9},
                                     Value::List{path, "parquet", Value::List{19000, "ü", "\1\xff"}, int64_t{3},
                                                 int64_t{200}, int64_t{64}, Value::List{Value::List{1, int64_t{3}}},
                                                 Value::List{Value::List{"x", 0.5}}}})
                .ok());
    };
    append(1, "/t/a.parquet");
    append(0, "/t/b.parquet");
    ManifestFile manifest;  // as a version 1 list has it
    const auto entries = ReadManifest(*writer->Finish(), manifest);
    ASSERT_TRUE(entries.ok()) << entries.error().message;
    ASSERT_EQ(entries->size(), 2u);
    const DataFile& file = (*entries)[0].file;
    EXPECT_EQ(file.format, "PARQUET");
    EXPECT_EQ(file.record_count, 3);
    EXPECT_EQ(file.snapshot_id, 9);
    EXPECT_EQ(file.sequence_number, 0);
    EXPECT_EQ(file.metrics.value_counts, (std::map<int, int64_t>{{1, 3}}));
    EXPECT_EQ(file.partition_json, R"({"1000":19000,"1001":"ü","1002":"01ff"})");
    EXPECT_EQ((*entries)[1].file.sequence_number, 0);
}

TEST(Manifest, ListOfVersionOne) {
    const char* schema = R"({"type": "record", "name": "manifest_file", "fields": [
        {"name": "manifest_path", "type": "string", "field-id": 500},
        {"name": "manifest_length", "type": "long", "field-id": 501},
        {"name": "partition_spec_id", "type": "int", "field-id": 502},
        {"name": "added_snapshot_id", "type": ["null", "long"], "default": null, "field-id": 503}]})";
    auto writer = avro::FileWriter::Make(schema, {});
    ASSERT_TRUE(writer->Append(avro::Value::List{"/t/m.avro", int64_t{5}, 0, int64_t{8}}).ok());
    const auto list = ReadManifestList(*writer->Finish());
    ASSERT_TRUE(list.ok());
    EXPECT_EQ((*list)[0].path, "/t/m.avro");
    EXPECT_FALSE((*list)[0].added_files);
    EXPECT_TRUE((*list)[0].HasLiveFiles());
    EXPECT_FALSE((*list)[0].deletes);
}

}  // namespace
}  // namespace ivy::iceberg
