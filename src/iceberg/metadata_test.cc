// SPDX-License-Identifier: Apache-2.0
// Table metadata and schemas: reading all versions, unknown members kept, expiry, hostile files.
#include "iceberg/metadata.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <set>

#include "iceberg/test_support.h"

namespace ivy::iceberg {
namespace {

const Schema kSchema{.fields = {{1, "id", "long", true, "", {}, {}}, {2, "name", "string", false, "who", {}, {}}}};

constexpr char kForeign[] = R"({"format-version": 2, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1",
    "location": "s3://bucket/test/location/", "last-sequence-number": 34, "last-updated-ms": 1602638573590, "last-column-id": 3,
    "current-schema-id": 1, "schemas": [
        {"type": "struct", "schema-id": 0, "fields": [{"id": 1, "name": "x", "required": true, "type": "long"}]},
        {"type": "struct", "schema-id": 1, "identifier-field-ids": [1], "fields": [
            {"id": 1, "name": "x", "required": true, "type": "long", "new-attribute": 5},
            {"id": 2, "name": "l", "required": false, "type": {"type": "list", "element-id": 9, "element": "int", "element-required": true}}]}],
    "default-spec-id": 0, "partition-specs": [{"spec-id": 0, "fields": []}], "last-partition-id": 999,
    "default-sort-order-id": 3, "sort-orders": [{"order-id": 3, "fields": [{"transform": "identity", "source-id": 1, "direction": "asc", "null-order": "nulls-first"}]}],
    "properties": {"a": "b"}, "current-snapshot-id": 30, "from-the-future": {"x": [1, {"y": null}]},
    "snapshots": [
        {"snapshot-id": 10, "timestamp-ms": 1, "sequence-number": 0, "summary": {"operation": "append"}, "manifest-list": "s3://a/1.avro"},
        {"snapshot-id": 20, "parent-snapshot-id": 10, "timestamp-ms": 2, "sequence-number": 1, "summary": {"operation": "append"},
         "manifest-list": "s3://a/2.avro", "schema-id": 1, "strange": true},
        {"snapshot-id": 30, "parent-snapshot-id": 20, "timestamp-ms": 3, "sequence-number": 34, "summary": {"operation": "delete", "n": 5},
         "manifest-list": "s3://a/3.avro"}],
    "snapshot-log": [{"snapshot-id": 10, "timestamp-ms": 1}, {"snapshot-id": 20, "timestamp-ms": 2}, {"snapshot-id": 30, "timestamp-ms": 3}],
    "metadata-log": [], "statistics": [{"snapshot-id": 10, "statistics-path": "s3://a/stats.puffin"}, {"snapshot-id": 30, "statistics-path": "s3://a/new.puffin"}],
    "refs": {"main": {"snapshot-id": 30, "type": "branch", "min-snapshots-to-keep": 7}}})";

Json Document(const TableMetadata& metadata) {
    const Bytes bytes = *metadata.Serialize();
    return *ParseJson({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, "test");
}

Bytes Gzip(const Bytes& content) {
    z_stream stream{};
    deflateInit2(&stream, 9, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY);
    Bytes out(deflateBound(&stream, content.size()) + 64);
    stream.next_in = const_cast<Bytef*>(content.data());
    stream.avail_in = static_cast<uInt>(content.size());
    stream.next_out = out.data();
    stream.avail_out = static_cast<uInt>(out.size());
    EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}

TEST(Metadata, SortOrders) {
    auto made = TableMetadata::New("/wh/t", kSchema, 3, {});
    ASSERT_TRUE(made.ok());
    EXPECT_TRUE(made->SortFields().empty());
    ASSERT_TRUE(made->SetSortOrder({2, 1}).ok());
    EXPECT_EQ(made->default_sort_order_id(), 1);
    const Json field = {
        {"transform", "identity"}, {"source-id", 2}, {"direction", "asc"}, {"null-order", "nulls-last"}};
    EXPECT_EQ(Document(*made)["sort-orders"][1]["fields"][0], field);
    ASSERT_TRUE(made->SetSortOrder({1}).ok());
    EXPECT_EQ(made->default_sort_order_id(), 2);
    ASSERT_TRUE(made->SetSortOrder({}).ok());
    EXPECT_EQ(made->default_sort_order_id(), 0);
    ASSERT_TRUE(made->SetSortOrder({2, 1}).ok());  // known already
    EXPECT_EQ(made->default_sort_order_id(), 1);
    EXPECT_EQ(Document(*made)["sort-orders"].size(), 3u);
    EXPECT_FALSE(made->SetSortOrder({7}).ok());
    const auto again = TableMetadata::Parse(*made->Serialize());
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again->SortFields(), (std::vector<int>{2, 1}));
    const std::string foreign = kForeign;
    const auto other = TableMetadata::Parse(Bytes(foreign.begin(), foreign.end()));
    ASSERT_TRUE(other.ok());
    EXPECT_EQ(other->default_sort_order_id(), 3);
    EXPECT_EQ(other->SortFields(), std::vector<int>{1});
}

TEST(Metadata, NewTable) {
    for (const int version : {2, 3}) {
        const auto made = TableMetadata::New("/wh/t", kSchema, version, {{"k", "v"}});
        ASSERT_TRUE(made.ok()) << made.error().message;
        const Json json = Document(*made);
        for (const char* key : {"format-version", "table-uuid", "location", "last-sequence-number", "last-updated-ms",
                                "last-column-id", "schemas", "current-schema-id", "partition-specs", "default-spec-id",
                                "last-partition-id", "sort-orders", "default-sort-order-id"}) {
            EXPECT_TRUE(json.contains(key)) << key;
        }
        EXPECT_EQ(json.contains("next-row-id"), version == 3);
        EXPECT_EQ(json["last-column-id"], 2);
        EXPECT_EQ(json["schemas"][0]["fields"][0]["id"], 1);
        const auto read = TableMetadata::Parse(*made->Serialize());
        ASSERT_TRUE(read.ok()) << read.error().message;
        EXPECT_EQ(read->uuid(), made->uuid());
        EXPECT_TRUE(read->schema().SameFields(kSchema));
        EXPECT_EQ(read->current_snapshot(), nullptr);
        EXPECT_EQ(Document(*read), json);
    }
    EXPECT_FALSE(TableMetadata::New("/wh/t", kSchema, 1, {}).ok());
    EXPECT_FALSE(TableMetadata::New("/wh/t", kSchema, 4, {}).ok());
}

TEST(Metadata, ForeignMembersSurvive) {
    auto metadata = TableMetadata::Parse(ToBytes(kForeign));
    ASSERT_TRUE(metadata.ok()) << metadata.error().message;
    EXPECT_EQ(metadata->location(), "s3://bucket/test/location");
    EXPECT_EQ(metadata->schema().id, 1);
    EXPECT_EQ(metadata->schema().fields[1].type,
              R"({"element":"int","element-id":9,"element-required":true,"type":"list"})");
    EXPECT_EQ(metadata->current_snapshot()->summary.at("n"), "5");
    metadata->AddSnapshot({.id = 40,
                           .parent_id = 30,
                           .sequence_number = 35,
                           .timestamp_ms = 4,
                           .manifest_list = "s3://a/4.avro",
                           .summary = {{"operation", "append"}}},
                          0);
    metadata->SetProperties({{"a", "c"}, {"d", "e"}});
    metadata->SetLastUpdated(5);
    const Json json = Document(*metadata);
    EXPECT_EQ(json["from-the-future"], (Json{{"x", Json::array({1, Json{{"y", nullptr}}})}}));
    EXPECT_EQ(json["snapshots"][1]["strange"], true);
    EXPECT_EQ(json["schemas"][1]["fields"][0]["new-attribute"], 5);
    EXPECT_EQ(json["refs"]["main"], (Json{{"snapshot-id", 40}, {"type", "branch"}, {"min-snapshots-to-keep", 7}}));
    EXPECT_EQ(json["current-snapshot-id"], 40);
    EXPECT_EQ(json["snapshot-log"].size(), 4u);
    EXPECT_EQ(json["last-sequence-number"], 35);
    EXPECT_EQ(json["properties"], (Json{{"a", "c"}, {"d", "e"}}));
    EXPECT_FALSE(json.contains("next-row-id"));
    const auto again = TableMetadata::Parse(*metadata->Serialize());
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(Document(*again), json);
}

TEST(Metadata, Expiry) {
    auto metadata = TableMetadata::Parse(ToBytes(kForeign));
    EXPECT_TRUE(metadata->ExpireSnapshots(3).snapshots.empty());
    const auto gone = metadata->ExpireSnapshots(2);
    EXPECT_TRUE(gone.linear);
    ASSERT_EQ(gone.snapshots.size(), 1u);
    EXPECT_EQ(gone.snapshots[0].id, 10);
    EXPECT_EQ(gone.statistics, std::vector<std::string>{"s3://a/stats.puffin"});
    Json json = Document(*metadata);
    EXPECT_EQ(json["snapshots"].size(), 2u);
    EXPECT_EQ(json["snapshot-log"].size(), 2u);
    EXPECT_EQ(json["statistics"].size(), 1u);
    EXPECT_EQ(metadata->ExpireSnapshots(-5).snapshots.size(), 1u);  // the current one always stays
    EXPECT_EQ(Document(*metadata)["snapshots"].size(), 1u);

    // A tag keeps its snapshot, a branch all of its line.
    json = *ParseJson(kForeign, "test");
    json["refs"]["t"] = {{"snapshot-id", 10}, {"type", "tag"}};
    metadata = TableMetadata::Parse(ToBytes(json.dump()));
    const auto tagged = metadata->ExpireSnapshots(1);
    EXPECT_FALSE(tagged.linear);
    ASSERT_EQ(tagged.snapshots.size(), 1u);
    EXPECT_EQ(tagged.snapshots[0].id, 20);
    json["refs"]["t"] = {{"snapshot-id", 20}, {"type", "branch"}};
    metadata = TableMetadata::Parse(ToBytes(json.dump()));
    EXPECT_TRUE(metadata->ExpireSnapshots(1).snapshots.empty());
}

TEST(Metadata, MetadataLogIsBounded) {
    auto metadata = TableMetadata::New("/wh/t", kSchema, 3, {});
    std::vector<std::string> dropped;
    for (int i = 0; i < 250; i++) {
        for (const auto& name : metadata->PushMetadataLog("m" + std::to_string(i), i)) dropped.push_back(name);
    }
    EXPECT_EQ(dropped.size(), 150u);
    EXPECT_EQ(dropped[0], "m0");
    const Json json = Document(*metadata);
    EXPECT_EQ(json["metadata-log"].size(), 100u);
    EXPECT_EQ(json["metadata-log"][0]["metadata-file"], "m150");
}

TEST(Metadata, Schemas) {
    auto metadata = TableMetadata::New("/wh/t", kSchema, 3, {});
    Schema wider = kSchema;
    wider.fields.push_back({7, "n", "int", false, "", "5", "6"});
    ASSERT_TRUE(metadata->SetSchema(wider).ok());
    EXPECT_EQ(metadata->schema().id, 1);
    ASSERT_TRUE(metadata->SetSchema(kSchema).ok());  // back to the first
    EXPECT_EQ(metadata->schema().id, 0);
    ASSERT_TRUE(metadata->SetSchema(wider).ok());
    const Json json = Document(*metadata);
    EXPECT_EQ(json["schemas"].size(), 2u);
    EXPECT_EQ(json["current-schema-id"], 1);
    EXPECT_EQ(json["last-column-id"], 7);
    EXPECT_EQ(json["schemas"][1]["fields"][2]["initial-default"], 5);
    EXPECT_TRUE(TableMetadata::Parse(*metadata->Serialize())->schema().SameFields(wider));
    // Refused, and without effect.
    Schema bad = kSchema;
    bad.fields[1].id = 1;
    EXPECT_FALSE(metadata->SetSchema(bad).ok());
    bad = kSchema;
    bad.fields[1].name = "id";
    EXPECT_FALSE(metadata->SetSchema(bad).ok());
    bad = kSchema;
    bad.fields[1].id = 0;
    EXPECT_FALSE(metadata->SetSchema(bad).ok());
    bad = kSchema;
    bad.fields[1].type = "varchar";
    EXPECT_FALSE(metadata->SetSchema(bad).ok());
    bad = kSchema;
    bad.identifier_field_ids = {2};  // optional
    EXPECT_FALSE(metadata->SetSchema(bad).ok());
    bad = kSchema;
    bad.fields[1].name = "\xff";
    EXPECT_FALSE(metadata->SetSchema(bad).ok());
    EXPECT_EQ(metadata->schema().id, 1);
    // What version 2 does not have.
    EXPECT_FALSE(CheckSchema(wider, 2).ok());
    EXPECT_FALSE(CheckSchema({.fields = {{1, "t", "timestamp_ns", false, "", {}, {}}}}, 2).ok());
    EXPECT_TRUE(CheckSchema({.fields = {{1, "t", "timestamp_ns", false, "", {}, {}}}}, 3).ok());
}

TEST(Metadata, VersionOne) {
    const auto metadata = TableMetadata::Parse(ToBytes(R"({"format-version": 1, "location": "/t", "last-updated-ms": 5,
        "last-column-id": 1, "schema": {"type": "struct", "fields": [{"id": 1, "name": "x", "required": true, "type": "long"}]},
        "partition-spec": [{"name": "x", "transform": "identity", "source-id": 1, "field-id": 1000}], "properties": {},
        "current-snapshot-id": -1, "snapshots": [{"snapshot-id": 1, "timestamp-ms": 2, "manifests": ["/t/m1.avro"]}]})"));
    ASSERT_TRUE(metadata.ok()) << metadata.error().message;
    EXPECT_EQ(metadata->schema().fields[0].name, "x");
    EXPECT_TRUE(metadata->partitioned());
    EXPECT_EQ(metadata->current_snapshot(), nullptr);
    EXPECT_EQ(metadata->Find(1)->manifests, std::vector<std::string>{"/t/m1.avro"});
}

TEST(Metadata, Gzip) {
    const Bytes packed = Gzip(ToBytes(kForeign));
    const auto metadata = TableMetadata::Parse(packed);
    ASSERT_TRUE(metadata.ok());
    EXPECT_EQ(metadata->uuid(), "9c12d441-03fe-4693-9a96-a0705ddf69c1");
    Damage(packed, 2000, [](const Bytes& bad) { (void)TableMetadata::Parse(bad).ok(); });
}

TEST(Metadata, Damage) {
    const Json good = *ParseJson(kForeign, "test");
    const auto read = [](const Json& json) {
        auto metadata = TableMetadata::Parse(ToBytes(json.dump()));
        if (!metadata.ok()) return;
        // What was read can be worked on.
        metadata->AddSnapshot({.id = 40, .sequence_number = 35, .manifest_list = "x"}, 0);
        metadata->SetProperties({{"a", "c"}});
        metadata->PushMetadataLog("m", 1);
        metadata->ExpireSnapshots(1);
        (void)metadata->SetSchema(kSchema).ok();
        EXPECT_TRUE(metadata->Serialize().ok());
    };
    Damage(ToBytes(kForeign), 5000, [](const Bytes& bad) { (void)TableMetadata::Parse(bad).ok(); });
    // Each member missing, and of each wrong type.
    const std::vector<Json> replacements = {
        nullptr, true, -1, 1e300, uint64_t{1} << 63, "text", Json::array(), Json::array({1}), Json::object()};
    for (const auto& [key, value] : good.items()) {
        Json bad = good;
        bad.erase(key);
        read(bad);
        for (const Json& replacement : replacements) {
            bad = good;
            bad[key] = replacement;
            read(bad);
            if (!value.is_array() || value.empty() || !value[0].is_object()) continue;
            for (const auto& [inner, unused] : value[0].items()) {
                bad = good;
                bad[key][0][inner] = replacement;
                read(bad);
            }
        }
    }
    EXPECT_EQ(TableMetadata::Parse(ToBytes(R"({"format-version": 4})")).status().error().sqlstate,
              sqlstate::kFeatureNotSupported);
    EXPECT_FALSE(TableMetadata::Parse(ToBytes(std::string(1 << 20, '['))).ok());
}

TEST(Metadata, Ids) {
    std::set<std::string> uuids;
    std::set<int64_t> ids;
    for (int i = 0; i < 1000; i++) {
        const std::string uuid = NewUuid();
        ASSERT_EQ(uuid.size(), 36u);
        ASSERT_EQ(uuid[14], '4');
        ASSERT_NE(std::string("89ab").find(uuid[19]), std::string::npos);
        ASSERT_TRUE(uuids.insert(uuid).second);
        const int64_t id = NewSnapshotId();
        ASSERT_GT(id, 0);
        ASSERT_TRUE(ids.insert(id).second);
    }
}

}  // namespace
}  // namespace ivy::iceberg
