// SPDX-License-Identifier: Apache-2.0
#include "lake/delta_log.h"

#include <gtest/gtest.h>

#include <cstdio>

#include "lake/test_support.h"

namespace ivy::lake {
namespace {

constexpr char kProtocol[] = R"({"protocol":{"minReaderVersion":1,"minWriterVersion":2}})";

std::string Metadata(const std::string& fields, const std::string& more = "") {
    const std::string schema = R"({\"type\":\"struct\",\"fields\":[)" + fields + "]}";
    return R"({"metaData":{"id":"x","format":{"provider":"parquet","options":{}},"schemaString":")" + schema +
           R"(","partitionColumns":[],"configuration":{}})" + more + "}";
}
std::string Field(const std::string& name, const std::string& type) {
    return R"({\"name\":\")" + name + R"(\",\"type\":\")" + type + R"(\",\"nullable\":true,\"metadata\":{}})";
}
std::string Add(const std::string& path, const std::string& more = "") {
    return R"({"add":{"path":")" + path + R"(","partitionValues":{},"size":10,"modificationTime":0,"dataChange":true)" +
           more + "}}";
}
std::string Remove(const std::string& path, const std::string& more = "") {
    return R"({"remove":{"path":")" + path + R"(","dataChange":true)" + more + "}}";
}
std::string Vector(const std::string& inline_text) {
    return R"(,"deletionVector":{"storageType":"i","pathOrInlineDv":")" + inline_text +
           R"(","sizeInBytes":40,"cardinality":6})";
}

class DeltaLogTest : public testing::Test {
  protected:
    static std::string Name(int64_t version) {
        char name[32];
        std::snprintf(name, sizeof name, "%020lld", static_cast<long long>(version));
        return std::string("/t/_delta_log/") + name;
    }
    void Commit(int64_t version, const std::vector<std::string>& actions) {
        std::string text;
        for (const std::string& action : actions) text += action + "\n";
        io_.Put(Name(version) + ".json", text);
        io_.modified[Name(version) + ".json"] = version * 1000;
    }
    // A table whose version N has files f0 .. fN.
    void Fill(int64_t versions) {
        Commit(0, {kProtocol, Metadata(Field("a", "integer")), Add("f0")});
        for (int64_t version = 1; version < versions; version++) Commit(version, {Add("f" + std::to_string(version))});
    }
    // A checkpoint of Fill's table, as "Parquet".
    static std::string Checkpoint(int64_t version) {
        std::string text = std::string("[") + kProtocol + "," + Metadata(Field("a", "integer"));
        for (int64_t i = 0; i <= version; i++) text += "," + Add("f" + std::to_string(i));
        return text + "]";
    }
    Result<DeltaSnapshot> Load(const DeltaTimeTravel& travel = {}) { return LoadDeltaSnapshot(&io_, "/t/", travel); }
    std::string Files(const DeltaTimeTravel& travel = {}) {
        const auto snapshot = Load(travel);
        if (!snapshot.ok()) return "!" + snapshot.error().sqlstate + " " + snapshot.error().message;
        std::string text;
        for (const DeltaFile& file : snapshot->files) text += (text.empty() ? "" : " ") + file.path;
        return text;
    }

    MemoryIo io_;
};

TEST_F(DeltaLogTest, ReplaysCommits) {
    Commit(0, {kProtocol, Metadata(Field("a", "integer")), Add("x"), Add("y")});
    Commit(1, {Remove("x"), Add("z%20z"), R"({"txn":{"appId":"a","version":1}})"});
    Commit(2, {Add("s3a://b/c"), Remove("y")});
    EXPECT_EQ(Files().substr(0, 6), "!0A000");  // a local table with a file on the network
    Commit(2, {Add("file:///other/c"), Remove("y")});
    EXPECT_EQ(Files(), "/other/c /t/z z");
    EXPECT_EQ(Files({.version = 1}), "/t/y /t/z z");
    EXPECT_EQ(Files({.version = 0}), "/t/x /t/y");
    EXPECT_EQ(Files({.version = 3}).substr(0, 6), "!22023");
    EXPECT_EQ(Files({.version = -1}).substr(0, 6), "!22023");
    EXPECT_EQ(Load()->version, 2);
    // The order of actions in a commit does not matter.
    Commit(3, {Add("/other/c", R"(,"stats":"{\"numRecords\":7}")"), Remove("/other/c")});
    EXPECT_EQ(Files(), "/other/c /t/z z");
    EXPECT_EQ(Load()->files[0].Rows(), 7);
}

TEST_F(DeltaLogTest, NotATable) {
    EXPECT_EQ(Files().substr(0, 6), "!58P01");
    io_.Put("/t/_delta_log/readme.txt", "x");
    EXPECT_EQ(Files().substr(0, 6), "!58P01");
}

TEST_F(DeltaLogTest, Timestamps) {
    Fill(4);
    EXPECT_EQ(Files({.timestamp_ms = 1500}), "/t/f0 /t/f1");
    EXPECT_EQ(Files({.timestamp_ms = 1000}), "/t/f0 /t/f1");
    EXPECT_EQ(Files({.timestamp_ms = 999999}), "/t/f0 /t/f1 /t/f2 /t/f3");
    EXPECT_EQ(Files({.timestamp_ms = -1}).substr(0, 6), "!22023");
    // The commit's own word counts more than the file's time.
    Commit(2, {R"({"commitInfo":{"inCommitTimestamp":1400}})", Add("f2")});
    EXPECT_EQ(Files({.timestamp_ms = 1500}), "/t/f0 /t/f1 /t/f2");
}

TEST_F(DeltaLogTest, Checkpoints) {
    Fill(6);
    io_.Put(Name(3) + ".checkpoint.parquet", Checkpoint(3));
    for (int version = 0; version <= 3; version++) io_.files.erase(Name(version) + ".json");
    EXPECT_EQ(Files(), "/t/f0 /t/f1 /t/f2 /t/f3 /t/f4 /t/f5");
    EXPECT_EQ(Files({.version = 3}), "/t/f0 /t/f1 /t/f2 /t/f3");
    EXPECT_EQ(Files({.version = 2}).substr(0, 6), "!XX001");  // its commits are gone
    io_.files.erase(Name(4) + ".json");
    EXPECT_NE(Files().find("no commit and no checkpoint for version 4"), std::string::npos);
}

TEST_F(DeltaLogTest, CheckpointInParts) {
    Fill(3);
    const auto part = [](int n, int of) {
        char name[64];
        std::snprintf(name, sizeof name, ".checkpoint.%010d.%010d.parquet", n, of);
        return Name(2) + name;
    };
    io_.Put(part(1, 2), std::string("[") + kProtocol + "," + Add("p1") + "]");
    EXPECT_EQ(Files(), "/t/f0 /t/f1 /t/f2");  // incomplete: not used
    io_.Put(part(2, 2), "[" + Metadata(Field("a", "integer")) + "," + Add("p2") + "," + Remove("p3") + "]");
    EXPECT_EQ(Files(), "/t/p1 /t/p2");
}

TEST_F(DeltaLogTest, CheckpointVersion2) {
    Fill(3);
    const std::string uuid = "80a083e8-7026-4e79-81be-64bd76c43a11";
    io_.Put("/t/_delta_log/_sidecars/one.parquet", "[" + Add("s1") + "," + Add("s2") + "]");
    io_.Put("/t/_delta_log/_sidecars/two.parquet", "[" + Add("s3") + "," + Remove("s4") + "]");
    const std::string sidecars = R"({"sidecar":{"path":"one.parquet","sizeInBytes":1,"modificationTime":1}})";
    const std::string second = R"({"sidecar":{"path":"two.parquet","sizeInBytes":1,"modificationTime":1}})";
    io_.Put(Name(2) + ".checkpoint." + uuid + ".json",
            R"({"checkpointMetadata":{"version":2}})"
            "\n" +
                std::string(kProtocol) + "\n" + Metadata(Field("a", "integer")) + "\n" + sidecars + "\n" + second);
    EXPECT_EQ(Files(), "/t/s1 /t/s2 /t/s3");
    io_.files.erase(Name(2) + ".checkpoint." + uuid + ".json");
    io_.Put(
        Name(2) + ".checkpoint." + uuid + ".parquet",
        std::string("[") + kProtocol + "," + Metadata(Field("a", "integer")) + "," + sidecars + "," + Add("m") + "]");
    EXPECT_EQ(Files(), "/t/m /t/s1 /t/s2");
    io_.files.erase("/t/_delta_log/_sidecars/one.parquet");
    EXPECT_EQ(Files().substr(0, 6), "!58P01");
}

TEST_F(DeltaLogTest, WithoutListing) {
    io_.can_list = false;
    const auto put = [this](const std::string& path, const std::string& text) { io_.Put("http://h" + path, text); };
    Fill(6);
    io_.Put(Name(3) + ".checkpoint.parquet", Checkpoint(3));
    const auto files = io_.files;
    for (const auto& [path, content] : files) put(path, std::string(content.begin(), content.end()));
    const auto count = [this]() {
        const auto snapshot = LoadDeltaSnapshot(&io_, "http://h/t", {});
        return snapshot.ok() ? std::to_string(snapshot->files.size()) : snapshot.error().message;
    };
    EXPECT_EQ(count(), "6");
    for (int version = 0; version <= 3; version++) io_.files.erase("http://h" + Name(version) + ".json");
    EXPECT_NE(count(), "6");
    put("/t/_delta_log/_last_checkpoint", R"({"version":3,"size":6})");
    EXPECT_EQ(count(), "6");
    put("/t/_delta_log/_last_checkpoint", R"({"version":3,"size":6,"parts":2})");
    EXPECT_NE(count(), "6");
    put("/t/_delta_log/_last_checkpoint", R"({"version":-3})");
    EXPECT_NE(count(), "6");
    EXPECT_EQ(LoadDeltaSnapshot(&io_, "http://h/none", {}).error().sqlstate, sqlstate::kUndefinedFile);
}

TEST_F(DeltaLogTest, DeletionVectorsTellFilesApart) {
    const std::string one = "wi5b=000010000siXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L";
    Commit(0, {kProtocol, Metadata(Field("a", "integer")), Add("x"), Add("y", Vector("other"))});
    Commit(1, {Remove("x"), Add("x", Vector(one)), Remove("y")});
    const auto snapshot = Load();
    ASSERT_TRUE(snapshot.ok()) << snapshot.error().message;
    ASSERT_EQ(snapshot->files.size(), 2u);
    ASSERT_TRUE(snapshot->files[0].deletion_vector);
    EXPECT_EQ(snapshot->files[0].deletion_vector->UniqueId(), "i" + one);
    EXPECT_EQ(snapshot->files[1].path, "/t/y");  // the one with the vector was not removed
    // The same file twice would give rows twice.
    Commit(2, {Add("x")});
    EXPECT_EQ(Files().substr(0, 6), "!XX001");
}

TEST_F(DeltaLogTest, Protocols) {
    const auto with = [this](const std::string& protocol) {
        Commit(0, {R"({"protocol":)" + protocol + "}", Metadata(Field("a", "integer"))});
        return Files();
    };
    EXPECT_EQ(with(R"({"minReaderVersion":2,"minWriterVersion":5})"), "");
    EXPECT_EQ(
        with(R"({"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["deletionVectors","v2Checkpoint"]})"), "");
    EXPECT_NE(with(R"({"minReaderVersion":3,"readerFeatures":["deletionVectors","catalogManaged"]})")
                  .find("\"catalogManaged\""),
              std::string::npos);
    EXPECT_EQ(with(R"({"minReaderVersion":4})").substr(0, 6), "!0A000");
    EXPECT_EQ(with(R"({})").substr(0, 6), "!XX001");
    Commit(0, {Metadata(Field("a", "integer"))});
    EXPECT_EQ(Files().substr(0, 6), "!XX001");
    Commit(0, {kProtocol});
    EXPECT_EQ(Files().substr(0, 6), "!XX001");
}

TEST_F(DeltaLogTest, Columns) {
    Commit(0, {kProtocol, Metadata(Field("a", "integer") + "," + Field("d", "decimal(12, 3)") + "," +
                                   Field("t", "timestamp_ntz") + "," + Field("v", "void"))});
    const auto snapshot = Load();
    ASSERT_TRUE(snapshot.ok()) << snapshot.error().message;
    ASSERT_EQ(snapshot->columns.size(), 4u);
    EXPECT_EQ(snapshot->columns[1].kind, Kind::kDecimal);
    EXPECT_EQ(snapshot->columns[1].precision, 12);
    EXPECT_EQ(snapshot->columns[1].scale, 3);
    EXPECT_EQ(snapshot->columns[2].kind, Kind::kTimestamp);
    EXPECT_EQ(snapshot->columns[3].kind, Kind::kNull);
    Commit(0, {kProtocol, Metadata(Field("odd", "variant"))});
    EXPECT_EQ(Files(), "!0A000 column \"odd\" has type variant, which is not supported");
    Commit(0, {kProtocol, Metadata(Field("a", "decimal(39,0)"))});
    EXPECT_EQ(Files().substr(0, 6), "!0A000");
}

TEST_F(DeltaLogTest, ColumnMapping) {
    const auto column = [](const std::string& name, int id) {
        return R"({\"name\":\")" + name +
               R"(\",\"type\":\"integer\",\"nullable\":true,\"metadata\":)"
               R"({\"delta.columnMapping.id\":)" +
               std::to_string(id) + R"(,\"delta.columnMapping.physicalName\":\"col-)" + name + R"(\"}})";
    };
    const auto with = [&](const std::string& mode, int reader) {
        std::string metadata = Metadata(column("a", 5) + "," + column("b", 3));
        const std::string empty = R"("configuration":{})";
        metadata.replace(metadata.find(empty), empty.size(),
                         R"("configuration":{"delta.columnMapping.mode":")" + mode + R"("})");
        Commit(0, {R"({"protocol":{"minReaderVersion":)" + std::to_string(reader) + "}}", metadata});
        return Load();
    };
    auto snapshot = with("id", 2);
    ASSERT_TRUE(snapshot.ok()) << snapshot.error().message;
    EXPECT_EQ(snapshot->matching, Matching::kByFieldId);
    EXPECT_EQ(snapshot->columns[0].field_id, 5);
    EXPECT_EQ(snapshot->columns[0].physical_name, "col-a");
    snapshot = with("name", 2);
    EXPECT_EQ(snapshot->matching, Matching::kByPhysicalName);
    EXPECT_EQ(snapshot->columns[1].physical_name, "col-b");
    snapshot = with("name", 1);  // the protocol does not know it
    EXPECT_EQ(snapshot->columns[1].physical_name, "b");
    EXPECT_EQ(with("guess", 2).error().sqlstate, sqlstate::kFeatureNotSupported);
}

// Damaged logs give errors or tables, never anything worse.
TEST_F(DeltaLogTest, DamagedLogs) {
    Commit(0, {kProtocol, Metadata(Field("a", "integer") + "," + Field("d", "decimal(10,2)")),
               Add("x", R"(,"stats":"{\"numRecords\":7,\"minValues\":{\"a\":1}}")"), Remove("y"),
               Add("z", Vector("wi5b=000010000siXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L"))});
    const Bytes good = io_.files[Name(0) + ".json"];
    Damage(good, 3000, [&](const Bytes& bad) {
        io_.files[Name(0) + ".json"] = bad;
        const auto snapshot = Load();
        if (!snapshot.ok()) {
            EXPECT_EQ(snapshot.error().sqlstate.size(), 5u);
            return;
        }
        for (const DeltaFile& file : snapshot->files) {
            (void)file.Rows();
            if (file.deletion_vector) (void)ReadDeltaDeletionVector(&io_, "/t", *file.deletion_vector);
        }
    });
    Fill(3);
    const Bytes hint = ToBytes(R"({"version":3,"size":6,"parts":2,"v2Checkpoint":{"path":"x"}})");
    io_.can_list = false;
    Damage(hint, 300, [&](const Bytes& bad) {
        io_.files["http://h/t/_delta_log/_last_checkpoint"] = bad;
        (void)LoadDeltaSnapshot(&io_, "http://h/t", {});
    });
}

}  // namespace
}  // namespace ivy::lake
