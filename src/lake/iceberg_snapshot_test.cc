// SPDX-License-Identifier: Apache-2.0
#include "lake/iceberg_snapshot.h"

#include <gtest/gtest.h>

#include "lake/test_support.h"

namespace ivy::lake {
namespace {

using iceberg::Content;
using iceberg::DataFile;

constexpr char kSchema[] = R"json({"type":"struct","schema-id":0,"fields":[
    {"id":1,"name":"id","required":true,"type":"long"},
    {"id":2,"name":"st","required":false,"type":{"type":"struct","fields":[
        {"id":3,"name":"x","required":false,"type":"int","initial-default":7}]}},
    {"id":4,"name":"l","required":false,"type":{"type":"list","element-id":5,"element-required":false,"element":"string"}},
    {"id":6,"name":"m","required":false,"type":{"type":"map","key-id":7,"key":"string","value-id":8,
        "value-required":false,"value":"decimal(9,2)"}}]})json";

// A metadata file. "more" goes before its end.
std::string Metadata(const std::string& more = "", const std::string& schema = kSchema) {
    return R"({"format-version":2,"table-uuid":"9c12d441-03fe-4693-9a96-a0705ddf69c1","location":"/t",
        "last-sequence-number":9,"last-updated-ms":1000,"last-column-id":8,"current-schema-id":0,"schemas":[)" +
           schema +
           R"(],"default-spec-id":0,"partition-specs":[{"spec-id":0,"fields":[]},
            {"spec-id":1,"fields":[{"source-id":1,"field-id":1000,"name":"p","transform":"identity"}]}],
        "last-partition-id":1000,"default-sort-order-id":0,"sort-orders":[{"order-id":0,"fields":[]}])" +
           more + "}";
}

// A snapshot with these files. Manifests are written by the iceberg library (for unpartitioned specs).
class IcebergSnapshotTest : public testing::Test {
  protected:
    void Put(int64_t id, const std::vector<DataFile>& files, const std::string& more = "") {
        std::vector<iceberg::ManifestFile> manifests;
        for (size_t i = 0; i < files.size(); i++) {
            iceberg::ManifestHeader header;
            header.schema_json = kSchema;
            header.format_version = 3;  // vectors need it
            header.deletes = files[i].content != Content::kData;
            header.partition_spec_id = files[i].partition_spec_id;
            auto writer = iceberg::ManifestWriter::Make(header, id, files[i].sequence_number).value();
            ASSERT_TRUE(writer.Add(iceberg::EntryStatus::kAdded, files[i]).ok());
            auto [content, manifest] = writer.Finish().value();
            manifest.path = "/t/metadata/m" + std::to_string(id) + "-" + std::to_string(i) + ".avro";
            manifest.length = static_cast<int64_t>(content.size());
            if (files[i].partition_spec_id == 1)
                manifest.partitions = {{false, true, std::string("\x05\0\0\0\0\0\0\0", 8), {}}};
            io_.files[manifest.path] = content;
            manifests.push_back(manifest);
        }
        const std::string list = "/t/metadata/s" + std::to_string(id) + ".avro";
        io_.files[list] = iceberg::WriteManifestList({.snapshot_id = id, .sequence_number = 9}, manifests).value();
        io_.Put("/t/metadata/v1.metadata.json",
                Metadata(R"(,"current-snapshot-id":)" + std::to_string(id) + R"(,"snapshots":[{"snapshot-id":)" +
                         std::to_string(id) + R"(,"sequence-number":9,"timestamp-ms":1000,"manifest-list":")" + list +
                         R"(","summary":{"operation":"append"},"schema-id":0}])" + more));
    }
    static DataFile File(const std::string& path, Content content, int64_t sequence, int spec = 0) {
        DataFile file;
        file.path = path;
        file.content = content;
        file.sequence_number = sequence;
        file.partition_spec_id = spec;
        file.record_count = 10;
        file.file_size = 100;
        if (content == Content::kEqualityDeletes) file.equality_ids = {1};
        return file;
    }
    Result<IcebergSnapshot> Load(const std::string& path = "/t", const IcebergOptions& options = {}) {
        return IcebergSnapshot::Load(&io_, path, options);
    }
    // "vector; positions; equalities" by the delete files' paths.
    static std::string Applied(const IcebergSnapshot& snapshot, const std::string& path) {
        for (const IcebergEntry& entry : snapshot.data()) {
            if (entry.file.path != path) continue;
            const AppliedDeletes applied = snapshot.DeletesOf(entry.file);
            std::string text = applied.vector ? snapshot.deletes()[*applied.vector].file.path : "";
            for (const auto* list : {&applied.positions, &applied.equalities}) {
                text += ";";
                for (const size_t i : *list) text += " " + snapshot.deletes()[i].file.path;
            }
            return text;
        }
        return "no such file";
    }

    MemoryIo io_;
};

TEST_F(IcebergSnapshotTest, Columns) {
    io_.Put("/t/metadata/v1.metadata.json", Metadata());
    const auto snapshot = Load();
    ASSERT_TRUE(snapshot.ok()) << snapshot.error().message;
    const auto& columns = snapshot->columns();
    ASSERT_EQ(columns.size(), 4u);
    EXPECT_EQ(columns[0].kind, Kind::kInt64);
    EXPECT_EQ(columns[1].kind, Kind::kStruct);
    EXPECT_EQ(columns[1].children[0].initial_default, Json(7));
    EXPECT_EQ(columns[2].children[0].id, 5);
    EXPECT_EQ(columns[3].children[1].scale, 2);
    EXPECT_TRUE(snapshot->data().empty());
    for (const char* type : {"geometry", "variant", "who"}) {
        io_.Put(
            "/t/metadata/v1.metadata.json",
            Metadata("", R"({"type":"struct","schema-id":0,"fields":[{"id":1,"name":"odd","required":false,"type":")" +
                             std::string(type) + R"("}]})"));
        const auto refused = Load();
        ASSERT_FALSE(refused.ok());
        EXPECT_EQ(refused.error().message, "column \"odd\" has type " + std::string(type) + ", which is not supported");
    }
}

TEST_F(IcebergSnapshotTest, WhichDeletesApply) {
    DataFile by_path = File("/t/only.parquet", Content::kPositionDeletes, 5);
    by_path.referenced_data_file = "/t/a.parquet";
    DataFile vector = File("/t/v.puffin", Content::kPositionDeletes, 6);
    vector.format = "PUFFIN";
    vector.referenced_data_file = "/t/b.parquet";
    vector.content_offset = 4;
    vector.content_size = 40;
    Put(7, {File("/t/a.parquet", Content::kData, 4), File("/t/b.parquet", Content::kData, 4),
            File("/t/new.parquet", Content::kData, 6), File("/t/pos.parquet", Content::kPositionDeletes, 5), by_path,
            vector, File("/t/eq.parquet", Content::kEqualityDeletes, 6),
            File("/t/old-eq.parquet", Content::kEqualityDeletes, 4), File("/t/part.parquet", Content::kData, 4, 1),
            File("/t/part-eq.parquet", Content::kEqualityDeletes, 9, 1)});
    const auto snapshot = Load();
    ASSERT_TRUE(snapshot.ok()) << snapshot.error().message;
    EXPECT_EQ(Applied(*snapshot, "/t/a.parquet"), "; /t/pos.parquet /t/only.parquet; /t/eq.parquet");
    EXPECT_EQ(Applied(*snapshot, "/t/b.parquet"), "/t/v.puffin;; /t/eq.parquet");
    // Position deletes of the same commit apply, equality deletes only of later ones.
    EXPECT_EQ(Applied(*snapshot, "/t/new.parquet"), ";;");
    // Unpartitioned equality deletes are for all partitions, position deletes are not.
    EXPECT_EQ(Applied(*snapshot, "/t/part.parquet"), ";; /t/eq.parquet /t/part-eq.parquet");
}

TEST_F(IcebergSnapshotTest, BadDeletes) {
    DataFile vector = File("/t/v.puffin", Content::kPositionDeletes, 6);
    vector.format = "PUFFIN";
    Put(7, {vector});
    EXPECT_EQ(Load().error().sqlstate, sqlstate::kDataCorrupted);
    vector.referenced_data_file = "/t/b.parquet";
    vector.content_offset = vector.content_size = 4;
    Put(7, {vector, vector});
    EXPECT_NE(Load().error().message.find("two deletion vectors"), std::string::npos);
    DataFile equality = File("/t/e.parquet", Content::kEqualityDeletes, 6);
    equality.equality_ids.clear();
    Put(7, {equality});
    EXPECT_NE(Load().error().message.find("names no columns"), std::string::npos);
    Put(7, {File("/t/a.parquet", Content::kData, 4, 99)});
    EXPECT_NE(Load().error().message.find("partition spec"), std::string::npos);
    Put(7, {File("s3://b/a.parquet", Content::kData, 4)});
    EXPECT_EQ(Load().error().sqlstate, sqlstate::kFeatureNotSupported);
}

TEST_F(IcebergSnapshotTest, MovedPaths) {
    Put(7, {File("/t/data/a.parquet", Content::kData, 4), File("/elsewhere/b.parquet", Content::kData, 4)});
    const auto files = io_.files;
    io_.files.clear();
    for (const auto& [path, content] : files) io_.files["/new" + path.substr(2)] = content;
    EXPECT_EQ(Load("/new").error().sqlstate, sqlstate::kUndefinedFile);
    const auto snapshot = Load("/new/", {.allow_moved_paths = true});
    ASSERT_TRUE(snapshot.ok()) << snapshot.error().message;
    EXPECT_EQ(snapshot->data()[0].file.path, "/new/data/a.parquet");
    EXPECT_EQ(snapshot->data()[1].file.path, "/elsewhere/b.parquet");
}

TEST_F(IcebergSnapshotTest, FindingTheMetadataFile) {
    const auto put = [this](const std::string& name, int64_t updated) {
        std::string text = Metadata();
        const std::string old = R"("last-updated-ms":1000)";
        text.replace(text.find(old), old.size(), R"("last-updated-ms":)" + std::to_string(updated));
        io_.Put("/t/metadata/" + name, text);
    };
    const auto find = [this](const std::string& version = "", const std::string& path = "/t") {
        const auto found = FindIcebergMetadata(&io_, path, version);
        return found.ok() ? found->metadata_file.substr(found->metadata_file.find_last_of('/') + 1)
                          : "!" + found.error().sqlstate;
    };
    EXPECT_EQ(find(), "!58P01");
    put("00001-aaaa.metadata.json", 1);
    put("00009-bbbb.metadata.json", 2);
    put("00010-cccc.metadata.json", 5);
    EXPECT_EQ(find(), "00010-cccc.metadata.json");
    put("00010-dddd.metadata.json", 3);
    EXPECT_EQ(find(), "00010-cccc.metadata.json");
    put("00010-eeee.metadata.json", 6);
    EXPECT_EQ(find(), "00010-eeee.metadata.json");
    EXPECT_EQ(find("9"), "00009-bbbb.metadata.json");
    EXPECT_EQ(find("11"), "!58P01");
    EXPECT_EQ(find("", "/t/metadata/00001-aaaa.metadata.json"), "00001-aaaa.metadata.json");
    EXPECT_EQ(find("", "file:///t/metadata/00001-aaaa.metadata.json"), "00001-aaaa.metadata.json");
    EXPECT_EQ(find("", "/t/metadata/nothing.metadata.json"), "!58P01");

    io_.Put("/t/metadata/version-hint.text", "2\n");
    EXPECT_EQ(find(), "!XX001");  // the hint's file is not there
    put("v2.metadata.json", 1);
    EXPECT_EQ(find(), "v2.metadata.json");
    put("v3.metadata.json", 1);
    put("v5.metadata.json", 1);
    EXPECT_EQ(find(), "v3.metadata.json");  // the hint may lag
    EXPECT_EQ(find("?"), "00010-eeee.metadata.json");
    EXPECT_EQ(find("5"), "v5.metadata.json");
    EXPECT_EQ(find("other.text"), "!58P01");
    io_.Put("/t/metadata/other.text", "v2");
    EXPECT_EQ(find("other.text"), "v3.metadata.json");
    io_.Put("/t/metadata/version-hint.text", "latest");
    EXPECT_EQ(find(), "!XX001");
}

TEST_F(IcebergSnapshotTest, TimeTravel) {
    const std::string snapshot = R"("sequence-number":1,"manifests":[],"summary":{"operation":"append"}})";
    io_.Put("/t/metadata/v1.metadata.json",
            Metadata(R"(,"current-snapshot-id":3,"snapshots":[{"snapshot-id":1,"timestamp-ms":100,)" + snapshot +
                     R"(,{"snapshot-id":2,"timestamp-ms":200,)" + snapshot +
                     R"(,{"snapshot-id":3,"timestamp-ms":300,)" + snapshot +
                     R"(],"snapshot-log":[{"snapshot-id":1,"timestamp-ms":100},{"snapshot-id":3,"timestamp-ms":300},
                     {"snapshot-id":1,"timestamp-ms":400}],"refs":{"main":{"snapshot-id":3,"type":"branch"},
                     "t":{"snapshot-id":2,"type":"tag"}})"));
    const auto chosen = [this](const IcebergOptions& options) -> int64_t {
        const auto loaded = Load("/t", options);
        return loaded.ok() ? loaded->snapshot()->id : -1;
    };
    EXPECT_EQ(chosen({}), 3);
    EXPECT_EQ(chosen({.snapshot_id = 2}), 2);
    EXPECT_EQ(chosen({.snapshot_id = 4}), -1);
    EXPECT_EQ(chosen({.timestamp_ms = 99}), -1);
    EXPECT_EQ(chosen({.timestamp_ms = 250}), 1);  // snapshot 2 was never current
    EXPECT_EQ(chosen({.timestamp_ms = 300}), 3);
    EXPECT_EQ(chosen({.timestamp_ms = 1000}), 1);  // rolled back
    EXPECT_EQ(chosen({.ref = "t"}), 2);
    EXPECT_EQ(chosen({.ref = "main"}), 3);
    EXPECT_EQ(chosen({.ref = "x"}), -1);
}

// Manifests that are not wanted are not read, nor are their deletes known.
TEST_F(IcebergSnapshotTest, SomeManifests) {
    Put(7, {File("/t/a.parquet", Content::kData, 4, 1), File("/t/b.parquet", Content::kData, 4, 1),
            File("/t/e.parquet", Content::kEqualityDeletes, 5)});
    auto location = FindIcebergMetadata(&io_, "/t", "");
    ASSERT_TRUE(location.ok());
    const auto list = IcebergSnapshot::LoadList(&io_, std::move(*location), {});
    ASSERT_TRUE(list.ok()) << list.error().message;
    EXPECT_TRUE(list->data().empty());
    ASSERT_EQ(list->manifests().size(), 3u);
    ASSERT_EQ(list->manifests()[0].partitions.size(), 1u);
    EXPECT_FALSE(list->manifests()[0].partitions[0].contains_null);
    EXPECT_EQ(list->manifests()[0].partitions[0].contains_nan, true);
    EXPECT_EQ(list->manifests()[0].partitions[0].lower->size(), 8u);
    EXPECT_FALSE(list->manifests()[0].partitions[0].upper);
    io_.files.erase("/t/metadata/m7-0.avro");
    EXPECT_FALSE(list->WithFiles(&io_, {true, true, true}).ok());
    const auto some = list->WithFiles(&io_, {false, true, true});
    ASSERT_TRUE(some.ok()) << some.error().message;
    ASSERT_EQ(some->data().size(), 1u);
    EXPECT_EQ(Applied(*some, "/t/b.parquet"), ";; /t/e.parquet");
}

// Damaged metadata, manifest lists and manifests give errors or tables, never anything worse.
TEST_F(IcebergSnapshotTest, DamagedFiles) {
    Put(7,
        {File("/t/a.parquet", Content::kData, 4, 1), File("/t/p.parquet", Content::kPositionDeletes, 5, 1),
         File("/t/e.parquet", Content::kEqualityDeletes, 5)},
        R"(,"properties":{"schema.name-mapping.default":"[{\"field-id\":1,\"names\":[\"id\"]}]"})");
    ASSERT_TRUE(Load().ok());
    const auto good = io_.files;
    for (const auto& [path, content] : good) {
        Damage(
            content, 700,
            [&, &path = path](const Bytes& bad) {
                io_.files[path] = bad;
                const auto loaded = Load();
                if (!loaded.ok()) {
                    EXPECT_EQ(loaded.error().sqlstate.size(), 5u);
                    return;
                }
                for (const IcebergEntry& entry : loaded->data()) (void)loaded->DeletesOf(entry.file);
            },
            7);
        io_.files[path] = content;
    }
}

}  // namespace
}  // namespace ivy::lake
