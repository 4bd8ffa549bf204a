// SPDX-License-Identifier: Apache-2.0
// Tables: commits of every kind against a model, what each writes and reads, expiry, failures.
#include "iceberg/table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "iceberg/deletion_vector.h"
#include "iceberg/manifest.h"
#include "iceberg/metadata.h"
#include "iceberg/test_support.h"

namespace ivy::iceberg {
namespace {

const Schema kSchema{.fields = {{1, "id", "long", true, "", {}, {}}, {2, "name", "string", false, "", {}, {}}}};

DataFile File(const std::string& name, int64_t rows) {
    DataFile file;
    file.path = "/wh/t/data/" + name;
    file.record_count = rows;
    file.file_size = 100 + rows;
    file.metrics.value_counts = {{1, rows}, {2, rows}};
    file.metrics.lower_bounds = {{1, std::string(8, '\0')}};
    return file;
}

DataFile PositionDeletes(const std::string& name, int64_t rows, std::optional<std::string> target) {
    DataFile file = File(name, rows);
    file.content = Content::kPositionDeletes;
    file.referenced_data_file = std::move(target);
    return file;
}

class TableTest : public testing::Test {
  protected:
    std::unique_ptr<Table> Create(int version) {
        auto table = Table::Create(&io_, "/wh/t/", kSchema, version, {{"owner", "test"}});
        EXPECT_TRUE(table.ok()) << table.error().message;
        return std::move(*table);
    }
    CommitResult Commit(Table* table, const Change& change) {
        auto result = table->Commit(change);
        EXPECT_TRUE(result.ok()) << result.error().message;
        return *result;
    }
    // One vector per pair of a data file and rows, in one Puffin file.
    std::vector<DataFile> Vectors(const std::vector<std::pair<std::string, std::vector<uint64_t>>>& deletes) {
        std::vector<DeletedRows> rows(deletes.size());
        std::vector<std::pair<std::string, const DeletedRows*>> vectors;
        for (size_t i = 0; i < deletes.size(); i++) {
            for (const uint64_t row : deletes[i].second) rows[i].add(row);
            vectors.emplace_back(deletes[i].first, &rows[i]);
        }
        const std::string path = "/wh/t/data/dv" + std::to_string(puffins_++) + ".puffin";
        return *WriteDeletionVectors(&io_, path, vectors);
    }
    void ExpectSame(const Table& a, const Table& b) {
        EXPECT_EQ(a.metadata_location(), b.metadata_location());
        EXPECT_EQ(a.uuid(), b.uuid());
        EXPECT_EQ(a.current_snapshot_id(), b.current_snapshot_id());
        EXPECT_EQ(a.snapshot_summary(), b.snapshot_summary());
        EXPECT_TRUE(a.schema().SameFields(b.schema()));
        ASSERT_EQ(a.data_files().size(), b.data_files().size());
        for (size_t i = 0; i < a.data_files().size(); i++) ASSERT_EQ(a.data_files()[i], b.data_files()[i]) << i;
        // Delete files have no order of their own.
        const auto key = [](const DataFile& f) { return f.path + "#" + std::to_string(f.content_offset.value_or(0)); };
        std::map<std::string, DataFile> of_a, of_b;
        for (const DataFile& file : a.delete_files()) of_a[key(file)] = file;
        for (const DataFile& file : b.delete_files()) of_b[key(file)] = file;
        EXPECT_EQ(of_a, of_b);
        EXPECT_EQ(of_a.size(), a.delete_files().size());
    }
    std::unique_ptr<Table> Reload(const Table& table) {
        auto loaded = Table::Load(&io_, table.metadata_location());
        EXPECT_TRUE(loaded.ok()) << loaded.error().message;
        ExpectSame(table, **loaded);
        return std::move(*loaded);
    }
    TableMetadata Metadata(const Table& table) {
        return *TableMetadata::Parse(io_.files.at(table.metadata_location()));
    }
    std::vector<ManifestFile> Manifests(const Table& table) {
        return *ReadManifestList(io_.files.at(Metadata(table).current_snapshot()->manifest_list));
    }

    MemoryFileIo io_;
    int puffins_ = 0;
};

TEST_F(TableTest, CreateAndPublish) {
    auto table = Create(3);
    EXPECT_EQ(table->location(), "/wh/t");
    EXPECT_EQ(table->format_version(), 3);
    EXPECT_EQ(table->current_snapshot_id(), std::nullopt);
    EXPECT_TRUE(table->metadata_location().starts_with("/wh/t/metadata/00001-"));
    EXPECT_EQ(io_.files.size(), 1u);
    Reload(*table);
    ASSERT_TRUE(table->Publish().ok());
    Commit(table.get(), {.added = {File("a", 3)}});
    EXPECT_TRUE(table->metadata_location().starts_with("/wh/t/metadata/00002-"));
    EXPECT_EQ(io_.files.at("/wh/t/metadata/version-hint.text"), ToBytes("1"));
    EXPECT_FALSE(io_.files.contains("/wh/t/metadata/v2.metadata.json"));  // not before it is published
    ASSERT_TRUE(table->Publish().ok());
    EXPECT_EQ(io_.files.at("/wh/t/metadata/version-hint.text"), ToBytes("2"));
    EXPECT_EQ(io_.files.at("/wh/t/metadata/v2.metadata.json"), io_.files.at(table->metadata_location()));
    // A table that was loaded by its published name goes on with the next number.
    auto loaded = Table::Load(&io_, "/wh/t/metadata/v2.metadata.json");
    ASSERT_TRUE(loaded.ok());
    ASSERT_TRUE((*loaded)->Publish().ok());
    Commit(loaded->get(), {.added = {File("b", 3)}});
    EXPECT_TRUE((*loaded)->metadata_location().starts_with("/wh/t/metadata/00003-"));
    EXPECT_FALSE(Table::Create(&io_, "relative/path", kSchema, 3, {}).ok());
    EXPECT_FALSE(Table::Load(&io_, "/wh/none").ok());
}

TEST_F(TableTest, AppendWritesOneManifest) {
    auto table = Create(3);
    Commit(table.get(), {.added = {File("a", 10), File("b", 5)}, .summary = {{"ivy.flushed-lsn", "42"}}});
    const auto first = Manifests(*table);
    ASSERT_EQ(first.size(), 1u);
    EXPECT_EQ(first[0].first_row_id, 0);
    const int before = io_.writes;
    const int reads = io_.reads;
    Commit(table.get(), {.added = {File("c", 7)}, .summary = {{"ivy.flushed-lsn", "43"}}});
    EXPECT_EQ(io_.writes - before, 3);  // manifest, manifest list, metadata
    EXPECT_EQ(io_.reads, reads);
    const auto second = Manifests(*table);
    ASSERT_EQ(second.size(), 2u);
    EXPECT_EQ(second[0], first[0]);  // untouched
    EXPECT_EQ(second[1].first_row_id, 15);
    EXPECT_EQ(second[1].sequence_number, 2);

    ASSERT_EQ(table->data_files().size(), 3u);
    EXPECT_EQ(table->data_files()[0].first_row_id, 0);
    EXPECT_EQ(table->data_files()[1].first_row_id, 10);
    EXPECT_EQ(table->data_files()[2].first_row_id, 15);
    EXPECT_EQ(table->data_files()[2].sequence_number, 2);
    const auto& summary = table->snapshot_summary();
    EXPECT_EQ(summary.at("operation"), "append");
    EXPECT_EQ(summary.at("ivy.flushed-lsn"), "43");
    EXPECT_EQ(summary.at("added-data-files"), "1");
    EXPECT_EQ(summary.at("added-records"), "7");
    EXPECT_EQ(summary.at("total-data-files"), "3");
    EXPECT_EQ(summary.at("total-records"), "22");
    EXPECT_EQ(summary.at("total-files-size"), "322");
    const TableMetadata metadata = Metadata(*table);
    EXPECT_EQ(metadata.next_row_id(), 22);
    EXPECT_EQ(metadata.current_snapshot()->first_row_id, 15);
    EXPECT_EQ(metadata.current_snapshot()->added_rows, 7);
    EXPECT_EQ(metadata.last_sequence_number(), 2);
    Reload(*table);
}

TEST_F(TableTest, DeletionVectors) {
    auto table = Create(3);
    Commit(table.get(), {.added = {File("a", 10), File("b", 5)}});
    Commit(table.get(), {.deletion_vectors = Vectors({{"/wh/t/data/a", {1, 2}}, {"/wh/t/data/b", {0}}})});
    EXPECT_EQ(table->snapshot_summary().at("operation"), "delete");
    EXPECT_EQ(table->snapshot_summary().at("added-dvs"), "2");
    EXPECT_EQ(table->snapshot_summary().at("total-position-deletes"), "3");
    ASSERT_EQ(table->delete_files().size(), 2u);
    EXPECT_EQ(table->delete_files()[0].sequence_number, 2);
    // A new vector replaces the old one; a vector may be of a file of the same commit.
    Commit(table.get(), {.added = {File("c", 4)},
                         .deletion_vectors = Vectors({{"/wh/t/data/a", {1, 2, 3}}, {"/wh/t/data/c", {3}}})});
    EXPECT_EQ(table->snapshot_summary().at("operation"), "overwrite");
    EXPECT_EQ(table->snapshot_summary().at("removed-dvs"), "1");
    EXPECT_EQ(table->snapshot_summary().at("total-delete-files"), "3");
    EXPECT_EQ(table->snapshot_summary().at("total-position-deletes"), "5");
    Reload(*table);
    const auto manifests = Manifests(*table);
    ASSERT_EQ(manifests.size(), 3u);  // two of data, one of deletes
    const ManifestFile& deletes = manifests[2];
    EXPECT_TRUE(deletes.deletes);
    EXPECT_FALSE(deletes.first_row_id);
    EXPECT_EQ(deletes.added_files, 2);
    EXPECT_EQ(deletes.existing_files, 1);
    EXPECT_EQ(deletes.deleted_files, 1);
    EXPECT_EQ(deletes.min_sequence_number, 2);
    // Removing a data file removes its vector; the manifests that lost files are rewritten.
    Commit(table.get(), {.removed = {"/wh/t/data/a"}});
    EXPECT_EQ(table->snapshot_summary().at("operation"), "delete");
    EXPECT_EQ(table->data_files().size(), 2u);
    ASSERT_EQ(table->delete_files().size(), 2u);
    for (const DataFile& file : table->delete_files()) EXPECT_NE(file.referenced_data_file, "/wh/t/data/a");
    EXPECT_EQ(table->data_files()[0].first_row_id, 10);  // kept
    Reload(*table);
    // Compaction.
    Commit(table.get(), {.operation = "replace", .added = {File("d", 7)}, .removed = {"/wh/t/data/b", "/wh/t/data/c"}});
    EXPECT_EQ(table->snapshot_summary().at("operation"), "replace");
    EXPECT_EQ(table->data_files().size(), 1u);
    EXPECT_TRUE(table->delete_files().empty());
    EXPECT_EQ(table->snapshot_summary().at("total-delete-files"), "0");
    Reload(*table);
    // The manifests of only removed entries are dropped by the next commit.
    Commit(table.get(), {.added = {File("e", 1)}});
    for (const ManifestFile& manifest : Manifests(*table)) EXPECT_TRUE(manifest.HasLiveFiles());
    EXPECT_EQ(Metadata(*table).next_row_id(), 10 + 5 + 4 + 7 + 1);
    Reload(*table);
}

TEST_F(TableTest, PositionDeletes) {
    auto table = Create(2);
    Commit(table.get(), {.added = {File("a", 10)}});
    Commit(table.get(),
           {.added = {File("b", 5)},
            .position_deletes = {PositionDeletes("pa", 2, "/wh/t/data/a"), PositionDeletes("pall", 3, {})}});
    EXPECT_EQ(table->delete_files().size(), 2u);
    EXPECT_EQ(table->snapshot_summary().at("operation"), "overwrite");
    EXPECT_EQ(table->snapshot_summary().at("added-position-delete-files"), "2");
    EXPECT_FALSE(table->data_files()[0].first_row_id);
    EXPECT_FALSE(Metadata(*table).current_snapshot()->first_row_id);
    Reload(*table);
    // Those of the removed file go; those of several files stay while older data is left.
    Commit(table.get(), {.removed = {"/wh/t/data/a"}});
    ASSERT_EQ(table->delete_files().size(), 1u);
    EXPECT_EQ(table->delete_files()[0].path, "/wh/t/data/pall");
    Commit(table.get(), {.operation = "replace", .added = {File("c", 5)}, .removed = {"/wh/t/data/b"}});
    EXPECT_TRUE(table->delete_files().empty());
    Reload(*table);
    Commit(table.get(), {.position_deletes = {PositionDeletes("pc", 1, "/wh/t/data/c")}});
    Commit(table.get(), {.operation = "replace",
                         .removed = {"/wh/t/data/pc"},
                         .position_deletes = {PositionDeletes("pc2", 2, "/wh/t/data/c")}});
    ASSERT_EQ(table->delete_files().size(), 1u);
    EXPECT_EQ(table->delete_files()[0].path, "/wh/t/data/pc2");
    Reload(*table);
}

TEST_F(TableTest, SchemaAndPropertiesMakeNoSnapshot) {
    auto table = Create(3);
    Commit(table.get(), {.added = {File("a", 10)}});
    const auto snapshot = table->current_snapshot_id();
    Schema wider = kSchema;
    wider.fields.push_back({3, "extra", "decimal(10,2)", false, "", "\"1.50\"", "\"1.50\""});
    const CommitResult result = Commit(table.get(), {.schema = wider, .properties = {{"p", "q"}}});
    EXPECT_FALSE(result.snapshot_id);
    EXPECT_EQ(table->current_snapshot_id(), snapshot);
    EXPECT_TRUE(table->schema().SameFields(wider));
    EXPECT_EQ(table->data_files().size(), 1u);
    Reload(*table);
    // Together with files they do, and so does a change of nothing at all, or of the summary only.
    Schema renamed = wider;
    renamed.fields[1].name = "renamed";
    EXPECT_TRUE(Commit(table.get(), {.added = {File("b", 1)}, .schema = renamed}).snapshot_id);
    EXPECT_EQ(Metadata(*table).current_snapshot()->schema_id, 2);
    EXPECT_TRUE(Commit(table.get(), {}).snapshot_id);
    EXPECT_TRUE(Commit(table.get(), {.summary = {{"ivy.flushed-lsn", "9"}}}).snapshot_id);
    EXPECT_EQ(table->snapshot_summary().at("ivy.flushed-lsn"), "9");
    EXPECT_EQ(table->snapshot_summary().at("total-data-files"), "2");
    Reload(*table);
}

TEST_F(TableTest, RefusedChangesLeaveEverythingAsItWas) {
    auto table = Create(3);
    Commit(table.get(), {.added = {File("a", 10)}, .deletion_vectors = Vectors({{"/wh/t/data/a", {1}}})});
    const auto vectors = Vectors({{"/wh/t/data/a", {1, 2}}});
    const auto many = Vectors({{"/wh/t/data/a", {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}}});
    const auto files = io_.files;
    DataFile relative = File("x", 1), no_size = File("x", 1), not_data = File("x", 1), not_absolute_vector = vectors[0];
    relative.path = "data/x";
    no_size.file_size = 0;
    not_data.content = Content::kEqualityDeletes;
    not_absolute_vector.content_size.reset();
    Schema bad_schema = kSchema;
    bad_schema.fields[0].id = 2;
    const Change refused[] = {
        {.added = {File("a", 1)}},
        {.added = {File("x", 1), File("x", 1)}},
        {.added = {relative}},
        {.added = {no_size}},
        {.added = {not_data}},
        {.added = {File("x", 1)}, .removed = {"/wh/t/data/x"}},
        {.removed = {"/wh/t/data/none"}},
        {.removed = {"/wh/t/data/a", "/wh/t/data/a"}},
        {.removed = {"/wh/t/data/a"}, .deletion_vectors = vectors},
        {.removed = {"/wh/t/data/dv0.puffin"}},
        {.deletion_vectors = {vectors[0], vectors[0]}},
        {.deletion_vectors = many},
        {.deletion_vectors = {not_absolute_vector}},
        {.deletion_vectors = Vectors({{"/wh/t/data/none", {1}}})},
        {.position_deletes = {PositionDeletes("p", 1, {})}},
        {.operation = "nonsense"},
        {.schema = bad_schema},
        {.added = {File("x", 1)}, .summary = {{"k", "\xff"}}},  // not UTF-8, found when all but the metadata is written
    };
    auto before = Reload(*table);
    for (const Change& change : refused) {
        EXPECT_FALSE(table->Commit(change).ok());
        ExpectSame(*table, *before);
    }
    io_.files.erase("/wh/t/data/dv3.puffin");
    EXPECT_EQ(io_.files, files);  // nothing left behind
    Commit(table.get(), {.deletion_vectors = vectors});
    Reload(*table);
    auto old = Create(2);
    EXPECT_FALSE(old->Commit({.added = {File("a", 3)}, .deletion_vectors = vectors}).ok());
}

TEST_F(TableTest, FailedWrites) {
    auto table = Create(3);
    Commit(table.get(), {.added = {File("a", 10)}, .deletion_vectors = Vectors({{"/wh/t/data/a", {1}}})});
    const Change change{.added = {File("b", 1)}, .deletion_vectors = Vectors({{"/wh/t/data/a", {1, 2}}})};
    const auto files = io_.files;
    auto before = Reload(*table);
    int failures = 0;
    for (;; failures++) {
        io_.writes_until_failure = failures;
        const auto result = table->Commit(change);
        io_.writes_until_failure = -1;
        if (result.ok()) break;
        EXPECT_EQ(result.error().sqlstate, sqlstate::kDiskFull);
        ExpectSame(*table, *before);
        EXPECT_EQ(io_.files, files);
    }
    EXPECT_EQ(failures, 4);  // two manifests, manifest list, metadata
    Reload(*table);
}

TEST_F(TableTest, LostCommitIsRepeated) {
    auto table = Create(3);
    Commit(table.get(), {.added = {File("a", 10)}});
    const std::string published = table->metadata_location();
    Commit(table.get(), {.added = {File("lost", 10)}});
    auto loaded = Table::Load(&io_, published).value();
    Commit(loaded.get(), {.added = {File("b", 1)}});
    EXPECT_NE(loaded->metadata_location(), table->metadata_location());
    ASSERT_EQ(loaded->data_files().size(), 2u);
    EXPECT_EQ(loaded->data_files()[1].path, "/wh/t/data/b");
    Reload(*loaded);
    Reload(*table);
}

TEST_F(TableTest, ManifestsStayFew) {
    auto table = Create(3);
    std::mt19937 random(1);
    int64_t written = 0;
    for (int i = 0; i < 450; i++) {
        Change change{.added = {File("f" + std::to_string(i), 10)}, .keep_snapshots = 2};
        if (i > 0) change.deletion_vectors = Vectors({{"/wh/t/data/f" + std::to_string(i - 1), {1}}});
        const int before = io_.writes;
        Commit(table.get(), change);
        written += io_.writes - before;
        const auto manifests = Manifests(*table);
        ASSERT_LE(std::count_if(manifests.begin(), manifests.end(), [](const auto& m) { return !m.deletes; }), 102);
        ASSERT_LE(std::count_if(manifests.begin(), manifests.end(), [](const auto& m) { return m.deletes; }), 102);
    }
    EXPECT_LE(written, 450 * 5);
    EXPECT_EQ(table->data_files().size(), 450u);
    for (size_t i = 0; i < 450; i++) {  // in the order in which they were added, each with its row ids
        ASSERT_EQ(table->data_files()[i].path, "/wh/t/data/f" + std::to_string(i));
        ASSERT_EQ(table->data_files()[i].first_row_id, static_cast<int64_t>(10 * i));
        ASSERT_EQ(table->data_files()[i].sequence_number, static_cast<int64_t>(i + 1));
    }
    Reload(*table);
}

// All files that some snapshot in a metadata file refers to, the metadata files in its log, and itself.
std::set<std::string> Reachable(MemoryFileIo* io, const Table& table) {
    std::set<std::string> paths{table.metadata_location()};
    const Bytes content = io->files.at(table.metadata_location());
    const TableMetadata metadata = *TableMetadata::Parse(content);
    const Json json = *ParseJson({reinterpret_cast<const char*>(content.data()), content.size()}, "test");
    for (const Json& entry : json["metadata-log"]) paths.insert(entry["metadata-file"].get<std::string>());
    for (const TableSnapshot& snapshot : metadata.snapshots()) {
        paths.insert(snapshot.manifest_list);
        const auto manifests = ReadManifestList(io->files.at(snapshot.manifest_list));
        for (const ManifestFile& manifest : *manifests) {
            paths.insert(manifest.path);
            const auto entries = ReadManifest(io->files.at(manifest.path), manifest);
            for (const ManifestEntry& entry : *entries) {
                if (entry.status != EntryStatus::kDeleted) paths.insert(entry.file.path);
            }
        }
    }
    return paths;
}

// Random commits against a model; after each, every file that a kept snapshot needs is there and all others are gone.
void RandomCommits(
    MemoryFileIo* io, std::unique_ptr<Table> table, uint32_t seed, int commits,
    const std::function<std::vector<DataFile>(const std::vector<std::pair<std::string, std::vector<uint64_t>>>&)>&
        vectors,
    const std::function<std::unique_ptr<Table>(const Table&)>& reload) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    std::map<std::string, std::vector<uint64_t>> model;  // data file → deleted rows
    int files = 0;
    int64_t rows_ever = 0;
    for (int i = 0; i < commits; i++) {
        Change change{.keep_snapshots = 1 + static_cast<int>(random() % 6)};
        auto next = model;
        for (uint32_t n = random() % 3; n > 0; n--) {
            change.added.push_back(File("f" + std::to_string(files++), 20));
            io->files[change.added.back().path] = ToBytes("data");
            next[change.added.back().path];
            rows_ever += 20;
        }
        std::vector<std::pair<std::string, std::vector<uint64_t>>> deletes;
        for (const auto& [path, rows] : model) {
            if (random() % 10 == 0) {
                change.removed.push_back(path);
                next.erase(path);
            } else if (random() % 4 == 0 && rows.size() < 20) {
                next[path].push_back(rows.size());
                deletes.emplace_back(path, next[path]);
            }
        }
        if (!deletes.empty()) change.deletion_vectors = vectors(deletes);
        const auto result = table->Commit(change);
        ASSERT_TRUE(result.ok()) << result.error().message;
        model = next;
        for (const std::string& path : result->expired) io->files.erase(path);
        if (random() % 3 == 0) table = reload(*table);

        ASSERT_EQ(table->data_files().size(), model.size());
        std::map<std::string, int64_t> cardinalities;
        for (const DataFile& file : table->delete_files())
            cardinalities[*file.referenced_data_file] = file.record_count;
        for (const DataFile& file : table->data_files()) {
            ASSERT_TRUE(model.contains(file.path));
            ASSERT_EQ(cardinalities[file.path], static_cast<int64_t>(model[file.path].size()));
            ASSERT_TRUE(file.first_row_id && *file.first_row_id + 20 <= rows_ever);
        }
        for (const DataFile& file : table->delete_files()) {
            const auto rows = ReadDeletionVector(io, file);
            ASSERT_TRUE(rows.ok()) << rows.error().message;
        }
        std::set<std::string> there;
        for (const auto& [path, content] : io->files) there.insert(path);
        ASSERT_EQ(there, Reachable(io, *table));
    }
}

TEST_F(TableTest, RandomCommitsKeepExactlyWhatIsNeeded) {
    for (uint32_t seed = 1; seed <= 4; seed++) {
        io_.files.clear();
        RandomCommits(
            &io_, Create(3), seed, seed == 1 ? 130 : 40, [this](const auto& deletes) { return Vectors(deletes); },
            [this](const Table& table) { return Reload(table); });
        if (HasFatalFailure()) return;
    }
}

TEST_F(TableTest, ExpiryReadsNothing) {
    auto table = Create(3);
    for (int i = 0; i < 20; i++)
        Commit(table.get(), {.added = {File("f" + std::to_string(i), 1)}, .keep_snapshots = 5});
    const int reads = io_.reads;
    const CommitResult result = Commit(table.get(), {.removed = {"/wh/t/data/f0"}, .keep_snapshots = 5});
    EXPECT_EQ(io_.reads, reads);
    EXPECT_FALSE(result.expired.empty());
    EXPECT_EQ(std::count(result.expired.begin(), result.expired.end(), "/wh/t/data/f0"),
              0);  // older snapshots show it still
    std::vector<std::string> expired;
    for (int i = 0; i < 5; i++) {
        const auto later = Commit(table.get(), {.keep_snapshots = 5}).expired;
        expired.insert(expired.end(), later.begin(), later.end());
    }
    EXPECT_EQ(std::count(expired.begin(), expired.end(), "/wh/t/data/f0"), 1);
}

TEST_F(TableTest, UpgradedTableGetsRowIds) {
    auto table = Create(2);
    Commit(table.get(), {.added = {File("a", 10)}});
    Commit(table.get(), {.added = {File("b", 5)}, .position_deletes = {PositionDeletes("p", 2, "/wh/t/data/a")}});
    Bytes& content = io_.files[table->metadata_location()];
    Json json = *ParseJson({reinterpret_cast<const char*>(content.data()), content.size()}, "test");
    json["format-version"] = 3;
    json["next-row-id"] = 0;
    content = ToBytes(json.dump());
    auto upgraded = Table::Load(&io_, table->metadata_location()).value();
    EXPECT_EQ(upgraded->format_version(), 3);
    EXPECT_FALSE(upgraded->data_files()[0].first_row_id);
    Commit(upgraded.get(), {.added = {File("c", 3)}, .deletion_vectors = Vectors({{"/wh/t/data/a", {1, 2, 3}}})});
    std::set<int64_t> ids;
    for (const DataFile& file : upgraded->data_files()) {
        ASSERT_TRUE(file.first_row_id);
        for (int64_t row = 0; row < file.record_count; row++) EXPECT_TRUE(ids.insert(*file.first_row_id + row).second);
    }
    EXPECT_GE(Metadata(*upgraded).next_row_id(), 18);
    EXPECT_GT(Metadata(*upgraded).next_row_id(), *ids.rbegin());
    ASSERT_EQ(upgraded->delete_files().size(), 1u);  // the vector took the position deletes' place
    EXPECT_EQ(upgraded->delete_files()[0].format, "PUFFIN");
    Reload(*upgraded);
}

TEST_F(TableTest, DamagedTable) {
    auto table = Create(3);
    Commit(table.get(), {.added = {File("a", 10)}, .deletion_vectors = Vectors({{"/wh/t/data/a", {1}}})});
    const std::string location = table->metadata_location();
    for (const auto& [path, good] : std::map(io_.files)) {
        if (!path.ends_with(".avro")) continue;
        const auto load = [&, path = path](const Bytes& bad) {
            io_.files[path] = bad;
            (void)Table::Load(&io_, location).ok();
        };
        Damage(good, 100, load, /*step=*/31);  // the readers' own tests do more
        io_.files.erase(path);
        EXPECT_FALSE(Table::Load(&io_, location).ok());
        io_.files[path] = good;
    }
    EXPECT_TRUE(Table::Load(&io_, location).ok());
}

TEST_F(TableTest, PartitionedTablesAreReadOnly) {
    auto table = Create(2);
    Bytes& content = io_.files[table->metadata_location()];
    Json json = *ParseJson({reinterpret_cast<const char*>(content.data()), content.size()}, "test");
    json["partition-specs"][0]["fields"].push_back(
        {{"source-id", 1}, {"field-id", 1000}, {"name", "x"}, {"transform", "identity"}});
    content = ToBytes(json.dump());
    auto loaded = Table::Load(&io_, table->metadata_location());
    ASSERT_TRUE(loaded.ok());
    EXPECT_EQ((*loaded)->Commit({.added = {File("a", 1)}}).error().sqlstate, sqlstate::kFeatureNotSupported);
}

}  // namespace
}  // namespace ivy::iceberg
