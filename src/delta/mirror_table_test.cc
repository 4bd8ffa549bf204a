// SPDX-License-Identifier: Apache-2.0
// MirrorTable, one behaviour a test; table_model_test.cc has the random ones.
#include <atomic>
#include <limits>
#include <thread>

#include "delta/index_builder.h"
#include "delta/table_harness.h"

namespace ivy::delta::test {
namespace {

Op Insert(int64_t id, std::string name = "n", std::optional<std::string> note = "note") {
    return {RowOp::kInsert, {}, {id, std::move(name), std::move(note), 1}, {}};
}
Op Delete(int64_t id) { return {RowOp::kDelete, {id, "n", "note", 1}, {}, {}}; }
Op Update(int64_t id, Row row, std::vector<size_t> unchanged = {}) {
    return {RowOp::kUpdate, {id, "n", "note", 1}, std::move(row), std::move(unchanged)};
}
Op Truncate() { return {RowOp::kTruncate, {}, {}, {}}; }

#define ASSERT_OK(expression)                                     \
    do {                                                          \
        const Status ok_status = (expression);                    \
        ASSERT_TRUE(ok_status.ok()) << ok_status.error().message; \
    } while (false)

TEST_F(TableTest, UnknownKeyColumnIsRefused) {
    auto options = Options();
    options.open.key = {77};
    EXPECT_EQ(MirrorTable::Make(std::move(options)).error().sqlstate, sqlstate::kProtocolViolation);
}

TEST_F(TableTest, NothingIsReadBeforeTheCopy) {
    auto options = Options();
    options.open.has_copy_snapshot = false;
    table_ = MirrorTable::Make(std::move(options)).value();
    EXPECT_EQ(table_->Read(SeesBelow(100)).error().sqlstate, sqlstate::kObjectNotInState);
    table_->SetCopySnapshot({50, 60, {55}});
    EXPECT_TRUE(table_->Read(SeesBelow(100)).ok());
    EXPECT_TRUE(table_->Read({55, 60, {55}}).ok());
    EXPECT_FALSE(table_->Read(SeesBelow(55)).ok());
    EXPECT_FALSE(table_->Read({55, 60, {55, 58}}).ok());
}

TEST_F(TableTest, AMissingRowFailsTheTableForGood) {
    Open();
    ASSERT_OK(Apply({Insert(1)}, 10, 100));
    const Status status = Apply({Insert(2), Delete(3)}, 11, 101);
    EXPECT_EQ(status.error().sqlstate, sqlstate::kDataCorrupted);
    EXPECT_EQ(status.error().message, "row to delete is not in the mirror");
    EXPECT_FALSE(Apply({Insert(4)}, 12, 102).ok());
    EXPECT_EQ(table_->Read(SeesBelow(100)).error().sqlstate, sqlstate::kObjectNotInState);
    EXPECT_EQ(table_->BeginFlush(100, true).id, 0u);
}

TEST_F(TableTest, DeletingTwiceFails) {
    Open();
    ASSERT_OK(Apply({Insert(1)}, 10, 100));
    Flush(11);
    ASSERT_OK(Apply({Delete(1)}, 11, 101));
    EXPECT_FALSE(Apply({Delete(1)}, 12, 102).ok());
}

TEST_F(TableTest, CommitOrderIsKept) {
    Open();
    ASSERT_OK(Apply({Insert(1)}, 10, 100));
    EXPECT_FALSE(Apply({Insert(2)}, 11, 100).ok());
}

TEST_F(TableTest, DamagedMessagesAreRefused) {
    const Changes good = Message({Insert(1), Insert(2)}, key_);
    const auto refused = [&](const Changes& changes) {
        Open();
        const Status status = table_->Apply({&changes}, 10, 100);
        EXPECT_EQ(status.ok() ? "" : status.error().sqlstate, sqlstate::kProtocolViolation);
    };
    Changes bad = good;
    bad.ops.pop_back();
    refused(bad);
    bad = good;
    bad.ops[0] = 'X';
    refused(bad);
    bad = good;
    bad.rows.pop_back();
    refused(bad);
    bad = good;
    bad.ops[0] = 'D';
    refused(bad);
    bad = good;
    bad.unchanged.push_back({5, 0});
    refused(bad);
    bad = good;
    bad.unchanged.push_back({1, 2});  // of an insert
    refused(bad);
    bad = good;
    bad.rows = Message({Delete(1), Delete(2)}, {0}).keys;  // one column instead of four
    refused(bad);
    Open();
    EXPECT_EQ(table_->Apply({&good}, kInvalidXid, 100).error().sqlstate, sqlstate::kProtocolViolation);
}

TEST_F(TableTest, AppendOnlyTakesInsertsAndTruncates) {
    key_ = {};
    Open();
    ASSERT_OK(Apply({Insert(1), Insert(1)}, 10, 100));
    Flush(11);
    EXPECT_EQ(published_.files[0].index_path, "");
    ASSERT_OK(Apply({Insert(2)}, 11, 101));
    EXPECT_EQ(Rows(SeesBelow(100)).size(), 3u);
    ASSERT_OK(Apply({Truncate(), Insert(3)}, 12, 102));
    EXPECT_EQ(Rows(SeesBelow(100)).size(), 1u);
    Changes update = Message({Insert(1)}, {});
    update.ops[0] = 'D';
    update.rows.clear();
    EXPECT_FALSE(table_->Apply({&update}, 13, 103).ok());
}

TEST_F(TableTest, UnchangedValuesComeFromWhereverTheRowWas) {
    Open();
    const std::string big(5000, 'b');
    ASSERT_OK(Apply({Insert(1, "n", big), Insert(2, "n", std::nullopt), Insert(3, "n", "short")}, 10, 100));
    Flush(11);
    // From the file, then from the row just made (twice), NULL, and from the delta.
    ASSERT_OK(Apply({Update(1, {1, "a", std::nullopt, 7}, {2}), Update(1, {1, "b", std::nullopt, 8}, {2, 3}),
                     Update(2, {2, "c", std::nullopt, 9}, {2}), Insert(4, "n", big)},
                    11, 101));
    ASSERT_OK(Apply({Update(4, {4, "d", std::nullopt, 1}, {2}), Update(1, {5, "e", std::nullopt, 1}, {2})}, 12, 102));
    const std::vector<Row> expected = {
        {2, "c", std::nullopt, 9}, {3, "n", "short", 1}, {4, "d", big, 1}, {5, "e", big, 1}};
    EXPECT_EQ(Rows(SeesBelow(100)), expected);
    EXPECT_EQ(files_.reads.load(), 1) << "one read for the file";
    Flush(13);
    EXPECT_EQ(Rows(SeesBelow(100)), expected);
}

TEST_F(TableTest, UnchangedKeyColumnsComeFromTheOldKey) {
    key_ = {1, 0};
    Open();
    const std::string long_name(100, 'k');
    ASSERT_OK(Apply({Insert(1, long_name)}, 10, 100));
    Op update{RowOp::kUpdate, {1, long_name, "note", 1}, {1, "", "new", 2}, {1}};
    ASSERT_OK(Apply({update}, 11, 101));
    EXPECT_EQ(Rows(SeesBelow(100)), (std::vector<Row>{{1, long_name, "new", 2}}));
    ASSERT_OK(Apply({{RowOp::kDelete, {1, long_name, "new", 2}, {}, {}}}, 12, 102));  // is found by its key
    EXPECT_TRUE(Rows(SeesBelow(100)).empty());
}

TEST_F(TableTest, OnlyCollisionsAreVerified) {
    for (const uint64_t mask : {~uint64_t{0}, uint64_t{0}}) {
        hash_mask_ = mask;
        published_ = {};
        files_.reads = 0;
        Open();
        std::vector<Op> ops;
        for (int64_t id = 0; id < 1000; id++) ops.push_back(Insert(id));
        ASSERT_OK(Apply(ops, 10, 100));
        Flush(11);
        ops.clear();
        for (int64_t id = 0; id < 1000; id += 2) ops.push_back(Delete(id));
        ASSERT_OK(Apply(ops, 11, 101));
        const auto rows = Rows(SeesBelow(100));
        ASSERT_EQ(rows.size(), 500u);
        for (size_t i = 0; i < rows.size(); i++) EXPECT_EQ(rows[i].id, static_cast<int64_t>(2 * i + 1));
        EXPECT_EQ(files_.reads.load(), mask == 0 ? 2 : 0);  // first some candidates, then all
    }
}

TEST_F(TableTest, EqualRowsOfAKeylessTable) {
    key_ = {0, 1, 2, 3};
    Open();
    std::vector<Op> ops(20000, Insert(1));
    ASSERT_OK(Apply(ops, 10, 100));
    Flush(11);
    ops.assign(15000, Delete(1));
    ASSERT_OK(Apply(ops, 11, 101));
    EXPECT_EQ(Rows(SeesBelow(100)).size(), 5000u);
    for (Xid xid = 12; xid < 112; xid++) ASSERT_OK(Apply({Delete(1)}, xid, 100 + xid));
    EXPECT_EQ(Rows(SeesBelow(1000)).size(), 4900u);
    ASSERT_OK(Apply({Insert(2), Insert(2)}, 500, 500));
    ASSERT_OK(Apply({Delete(2)}, 501, 501));
    EXPECT_EQ(Rows(SeesBelow(1000)).size(), 4901u);
    EXPECT_FALSE(Apply({Delete(3)}, 502, 502).ok());
}

// What was read for one delete serves many.
TEST_F(TableTest, DeletesOfEqualRowsReadLittle) {
    key_ = {0, 1, 2, 3};
    constexpr int64_t kKinds = 50;
    for (const bool collide : {false, true}) {
        hash_mask_ = collide ? 7 : ~uint64_t{0};
        published_ = {};
        Open();
        const int64_t rows = collide ? 3000 : 300000;  // in three blocks
        std::vector<Op> ops;
        for (int64_t i = 0; i < rows; i++) ops.push_back(Insert(i % kKinds, i % 3 ? "n" : "not n"));
        ASSERT_OK(Apply(ops, 10, 100));
        Flush(11);
        files_.reads = 0;
        std::map<Row, int64_t> expected;
        for (const Op& op : ops) expected[op.new_row]++;
        const Xid end = 11 + static_cast<Xid>(rows / 100);
        for (Xid xid = 11; xid < end; xid++) {  // of one row each
            const Row row = ops[xid * 7919 % ops.size()].new_row;
            ASSERT_OK(Apply({{RowOp::kDelete, row, {}, {}}}, xid, 90 + xid));
            expected[row]--;
        }
        EXPECT_LE(files_.reads.load(), collide ? 100 : 3);
        files_.reads = 0;
        std::vector<Op> deletes;  // and of many
        for (size_t i = 0; i < ops.size() / 2; i++) {
            int64_t& left = expected[ops[i].new_row];
            if (left == 0) continue;
            left--;
            deletes.push_back({RowOp::kDelete, ops[i].new_row, {}, {}});
        }
        ASSERT_OK(Apply(deletes, end, 90 + end));
        EXPECT_LE(files_.reads.load(), 2);
        std::map<Row, int64_t> left;
        for (const Row& row : Rows(SeesBelow(end + 1))) left[row]++;
        for (const auto& [row, count] : expected) EXPECT_EQ(left[row], count) << row.id;
        EXPECT_FALSE(Apply({{RowOp::kDelete, {kKinds, "n", "note", 1}, {}, {}}}, end + 1, 91 + end).ok());
    }
}

TEST_F(TableTest, ARowThatATruncateTookIsNoEqualOne) {
    key_ = {0, 1, 2, 3};
    Open();
    ASSERT_OK(Apply({Insert(1), Insert(2), Insert(3)}, 10, 100));
    ASSERT_OK(Apply({Delete(3), Truncate(), Insert(1), Insert(1), Delete(1)}, 11, 101));
    EXPECT_EQ(Rows(SeesBelow(12)).size(), 1u);
    ASSERT_OK(Apply({Delete(1)}, 12, 102));
    EXPECT_TRUE(Rows(SeesBelow(13)).empty());
    ASSERT_OK(Apply({Insert(4), Insert(4)}, 13, 103));
    Flush(14);
    ASSERT_OK(Apply({Delete(4), Truncate(), Insert(4)}, 14, 104));
    ASSERT_OK(Apply({Delete(4)}, 15, 105));
    EXPECT_TRUE(Rows(SeesBelow(16)).empty());
    Flush(17);
    EXPECT_TRUE(Rows(SeesBelow(17)).empty());
    EXPECT_FALSE(Apply({Delete(2)}, 17, 107).ok());
}

TEST_F(TableTest, AnEqualRowIsNoSubstituteForAnUnseenOne) {
    key_ = {0, 1, 2, 3};
    Open();
    ASSERT_OK(Apply({Insert(1)}, 10, 100));
    Flush(11);
    ASSERT_OK(Apply({Insert(1)}, 11, 101));  // takes long to become visible
    ASSERT_OK(Apply({Delete(1)}, 12, 102));  // deletes the first row, but the table takes the second
    const Snapshot confused{11, 13, {11}};   // should see no row
    const auto view = table_->Read(confused);
    EXPECT_TRUE(!view.ok() || RowsOf(**view).empty());
    EXPECT_EQ(Rows(SeesBelow(13)).size(), 1u);
    table_->SetOldestXmin(13);
    EXPECT_EQ(Rows(SeesBelow(13)).size(), 1u);
}

TEST_F(TableTest, ForcedFlushRefusesOlderSnapshots) {
    Open();
    ASSERT_OK(Apply({Insert(1)}, 10, 100));
    ASSERT_OK(Apply({Insert(2)}, 20, 101));
    const Snapshot old = SeesBelow(15);
    EXPECT_EQ(Rows(old).size(), 1u);
    EXPECT_EQ(table_->BeginFlush(10, false).id, 0u) << "nothing is below";
    Flush(11, true);
    EXPECT_EQ(published_.unseen_xids, (std::vector<Xid>{20}));
    EXPECT_EQ(table_->Read(old).error().sqlstate, sqlstate::kObjectNotInState);
    EXPECT_EQ(Rows({20, 30, {25}}).size(), 2u);
    Open();  // also after a restart
    EXPECT_FALSE(table_->Read(old).ok());
    table_->SetOldestXmin(21);
    EXPECT_EQ(Rows(SeesBelow(21)).size(), 2u);
}

TEST_F(TableTest, TruncateEmptiesEveryNewView) {
    Open();
    ASSERT_OK(Apply({Insert(1)}, 10, 100));
    Flush(11);
    ASSERT_OK(Apply({Insert(2)}, 11, 101));
    const auto before = table_->Read(SeesBelow(12)).value();
    const FlushCut cut = table_->BeginFlush(12, false);
    ASSERT_OK(Apply({Insert(3), Truncate(), Insert(4)}, 12, 102));
    EXPECT_EQ(RowsOf(*before).size(), 2u);
    EXPECT_TRUE(Rows(SeesBelow(12)).empty()) << "a snapshot from before the truncation sees nothing, as in Postgres";
    EXPECT_EQ(Rows(SeesBelow(13)).size(), 1u);
    // The cut is of before: its file is valid but no view shows it.
    EXPECT_FALSE(cut.truncated);
    const auto file = WriteFile(cut);
    ASSERT_TRUE(file);
    Publish(cut, file.get());
    ASSERT_OK(table_->FinishFlush(cut, file.get()));
    EXPECT_EQ(published_.files.size(), 2u);
    EXPECT_EQ(Rows(SeesBelow(13)).size(), 1u);
    EXPECT_EQ(table_->GetStats().files, 0u);
    ASSERT_OK(Apply({Insert(1), Insert(2)}, 13, 103));  // the keys are free again
    Flush(14);
    EXPECT_EQ(published_.files.size(), 1u);
    EXPECT_EQ(published_.files[0].rows, 3);
    EXPECT_EQ(Rows(SeesBelow(14)).size(), 3u);
    ASSERT_OK(Apply({Delete(1), Delete(2), Delete(4)}, 14, 104));
    EXPECT_TRUE(Rows(SeesBelow(15)).empty());
}

TEST_F(TableTest, RowsDeletedInsideTheCutAreNotWritten) {
    Open();
    ASSERT_OK(Apply({Insert(1), Insert(2), Insert(3)}, 10, 100));
    ASSERT_OK(Apply({Delete(2)}, 11, 101));
    ASSERT_OK(Apply({Delete(3)}, 20, 102));  // outside of the cut
    const FlushCut cut = table_->BeginFlush(15, false);
    EXPECT_EQ(cut.rows, 2u);
    EXPECT_EQ(cut.flushed_lsn, 101u);
    ASSERT_OK(Apply({Delete(1)}, 21, 103));  // while it is being written
    const auto file = WriteFile(cut);
    Publish(cut, file.get());
    ASSERT_OK(table_->FinishFlush(cut, file.get()));
    EXPECT_EQ(Rows(SeesBelow(15)).size(), 2u);
    EXPECT_EQ(Rows({20, 22, {20}}), (std::vector<Row>{{3, "n", "note", 1}}));
    EXPECT_TRUE(Rows(SeesBelow(22)).empty());
    EXPECT_EQ(table_->GetStats().pending_deletes, 2u);
    Flush(30);
    EXPECT_EQ(table_->GetStats().pending_deletes, 0u);
    EXPECT_EQ(published_.files[0].deleted->cardinality(), 2u);
}

TEST_F(TableTest, ACutThatCancelsOutIsEmptyButMovesOn) {
    Open();
    ASSERT_OK(Apply({Insert(1)}, 10, 100));
    ASSERT_OK(Apply({Delete(1)}, 11, 101));
    const FlushCut cut = table_->BeginFlush(20, false);
    EXPECT_TRUE(cut.Empty());
    EXPECT_NE(cut.id, 0u);
    EXPECT_EQ(table_->BeginFlush(20, false).id, 0u) << "one at a time";
    ASSERT_OK(table_->FinishFlush(cut, nullptr));
    EXPECT_EQ(table_->GetStats().flushed_lsn, 101u);
    EXPECT_EQ(table_->GetStats().oldest_unflushed_lsn, kInvalidLsn);
    EXPECT_EQ(table_->BeginFlush(20, false).id, 0u);
    ASSERT_OK(table_->FinishFlush(FlushCut(), nullptr));
}

TEST_F(TableTest, AFailedFinishCanBeTriedAgainOrGivenUp) {
    Open();
    ASSERT_OK(Apply({Insert(1)}, 10, 100));
    FlushCut cut = table_->BeginFlush(20, false);
    auto file = WriteFile(cut);
    const std::string index_path = file->index_path;
    file->index_path += ".missing";
    EXPECT_EQ(table_->FinishFlush(cut, file.get()).error().sqlstate, sqlstate::kUndefinedFile);
    file->index_path = index_path;
    file->rows = 2;
    EXPECT_FALSE(table_->FinishFlush(cut, file.get()).ok());
    table_->AbandonFlush(cut);
    file->rows = 1;
    EXPECT_FALSE(table_->FinishFlush(cut, file.get()).ok());
    Flush(20);
    EXPECT_EQ(Rows(SeesBelow(20)).size(), 1u);
}

TEST_F(TableTest, MemoryIsReleasedByFlushes) {
    Open();
    const size_t empty = table_->GetStats().delta_bytes;
    std::vector<Op> ops;
    for (int64_t id = 0; id < 10000; id++) ops.push_back(Insert(id, "n", std::string(100, 'x')));
    ASSERT_OK(Apply(ops, 10, 100));
    const auto full = table_->GetStats();
    EXPECT_EQ(full.delta_rows, 10000u);
    EXPECT_GT(full.delta_bytes, 1000000u);
    EXPECT_EQ(full.oldest_unflushed_lsn, 100u);
    EXPECT_GT(full.oldest_unflushed_us, 0);
    ASSERT_OK(Apply({Insert(20000)}, 30, 101));
    Flush(20);
    EXPECT_EQ(table_->GetStats().delta_rows, 1u);
    EXPECT_LT(table_->GetStats().delta_bytes, full.delta_bytes / 2);
    EXPECT_EQ(table_->GetStats().oldest_unflushed_lsn, 101u);
    Flush(40);
    const auto flushed = table_->GetStats();
    EXPECT_EQ(flushed.delta_bytes, empty);
    EXPECT_EQ(flushed.delta_rows, 0u);
    EXPECT_EQ(flushed.file_rows, 10001u);
    EXPECT_EQ(flushed.files, 2u);
    ASSERT_OK(Apply({Delete(5), Insert(5), Delete(20000)}, 41, 102));
    EXPECT_EQ(Rows(SeesBelow(50)).size(), 10000u);
}

TEST_F(TableTest, ALostIndexIsNoticedAndRebuiltEqually) {
    key_ = {1, 0};
    Open();
    std::vector<Op> ops;
    for (int64_t id = 0; id < 3000; id++) ops.push_back(Insert(id, "name " + std::to_string(id % 7)));
    ASSERT_OK(Apply(ops, 10, 100));
    Flush(20);
    const std::string path = published_.files[0].index_path;
    const std::string written = [&] {
        FILE* file = fopen(path.c_str(), "rb");
        std::string content(std::filesystem::file_size(path), 0);
        EXPECT_EQ(fread(content.data(), 1, content.size(), file), content.size());
        fclose(file);
        return content;
    }();
    std::filesystem::remove(path);
    auto again = MirrorTable::Make(Options()).value();
    EXPECT_EQ(again->AddFiles(published_.files).error().sqlstate, sqlstate::kUndefinedFile);
    EXPECT_EQ(again->key_columns(), (std::vector<size_t>{1, 0}));
    IndexBuilder builder = again->MakeIndexBuilder();
    std::vector<uint64_t> all(3000);
    for (size_t i = 0; i < all.size(); i++) all[i] = i;
    files_.in_order = true;
    ASSERT_OK(files_.ReadRows(published_.files[0].path, all, again->key_columns(), [&](const int64_t*, auto& keys) {
        builder.Add(keys);
        return Status::Ok();
    }));
    EXPECT_EQ(builder.rows(), 3000u);
    ASSERT_OK(builder.Finish(path));
    FILE* file = fopen(path.c_str(), "rb");
    std::string rebuilt(std::filesystem::file_size(path), 0);
    EXPECT_EQ(fread(rebuilt.data(), 1, rebuilt.size(), file), rebuilt.size());
    fclose(file);
    EXPECT_TRUE(rebuilt == written);
    EXPECT_TRUE(again->AddFiles(published_.files).ok());
}

TEST_F(TableTest, ScansOfSomeOrNoColumns) {
    Open();
    std::vector<Op> ops;
    for (int64_t id = 0; id < 5000; id++) ops.push_back(Insert(id));
    ASSERT_OK(Apply(ops, 10, 100));
    ops.clear();
    for (int64_t id = 0; id < 5000; id += 3) ops.push_back(Delete(id));
    ASSERT_OK(Apply(ops, 11, 101));
    const auto view = table_->Read(SeesBelow(12)).value();
    EXPECT_EQ(view->columns().size(), 4u);
    EXPECT_EQ(view->delta_rows(), 5000u);
    duckdb::DataChunk none, some;
    some.Initialize(duckdb::Allocator::DefaultAllocator(),
                    {duckdb::LogicalType::DECIMAL(12, 2), duckdb::LogicalType::BIGINT});
    size_t count = 0, sum = 0;
    for (size_t i = 0; i < view->delta_chunks(); i++) {
        view->ScanDelta(i, {}, none);
        some.Reset();
        view->ScanDelta(i, {3, 0}, some);
        EXPECT_EQ(none.size(), some.size());
        count += none.size();
        for (size_t r = 0; r < some.size(); r++) sum += static_cast<size_t>(some.GetValue(1, r).GetValue<int64_t>());
        EXPECT_EQ(some.GetValue(0, 0).ToString(), "0.01");
    }
    EXPECT_EQ(count, 3333u);
    EXPECT_EQ(sum, 4999u * 5000 / 2 - 3u * 1666 * 1667 / 2);
}

TEST(IndexPathFor, NamesFileAndKey) {
    EXPECT_EQ(IndexPathFor("f", "a/b.parquet", {1, 2}), IndexPathFor("f", "s3://x/b.parquet", {1, 2}));
    EXPECT_NE(IndexPathFor("f", "b.parquet", {1, 2}), IndexPathFor("f", "b.parquet", {2, 1}));
    EXPECT_NE(IndexPathFor("f", "b.parquet", {1}), IndexPathFor("f", "b.parquet", {2}));
    EXPECT_EQ(IndexPathFor("f", "b.parquet", {1}).rfind("f/b.", 0), 0u);
}

// Values that are equal to Postgres though their bits differ.
TEST(KeyColumns, EqualityIsByValue) {
    const auto check = [](ColumnType type, auto a, auto b, bool equal, bool exactly) {
        const KeyColumns key({type});
        std::vector<FlatColumn> left = {{reinterpret_cast<const uint8_t*>(&a), nullptr}};
        std::vector<FlatColumn> right = {{reinterpret_cast<const uint8_t*>(&b), nullptr}};
        uint64_t hashes[2];
        key.Hash(left, 0, 1, hashes);
        key.Hash(right, 0, 1, hashes + 1);
        EXPECT_EQ(key.Equal(left, 0, right, 0, false), equal);
        EXPECT_EQ(key.Equal(left, 0, right, 0, true), exactly);
        std::string bytes[2];
        key.AppendBytes(left, 0, &bytes[0]);
        key.AppendBytes(right, 0, &bytes[1]);
        EXPECT_EQ(bytes[0] == bytes[1], exactly);
        EXPECT_EQ(hashes[0] == hashes[1], equal);
    };
    const double nan = std::numeric_limits<double>::quiet_NaN();
    check({TypeKind::kDouble}, 0.0, -0.0, true, false);
    check({TypeKind::kDouble}, nan, -nan, true, true);
    check({TypeKind::kDouble}, 1.5, 1.5, true, true);
    check({TypeKind::kDouble}, nan, 1.0, false, false);
    check({TypeKind::kFloat}, 0.0f, -0.0f, true, false);
    struct Interval {
        int32_t months, days;
        int64_t micros;
    };
    check({TypeKind::kInterval}, Interval{1, 0, 0}, Interval{0, 30, 0}, true, false);
    check({TypeKind::kInterval}, Interval{0, 1, 0}, Interval{0, 0, 86400000000}, true, false);
    check({TypeKind::kInterval}, Interval{0, 1, 0}, Interval{0, 0, 1}, false, false);
    check({TypeKind::kDecimal, 18, 2}, int64_t{100}, int64_t{1000}, false, false);

    // Decimals hash by value across scales.
    const auto hash_of = [](uint8_t precision, uint8_t scale, auto value) {
        uint64_t hash;
        const std::vector<FlatColumn> column = {{reinterpret_cast<const uint8_t*>(&value), nullptr}};
        KeyColumns({{TypeKind::kDecimal, precision, scale}}).Hash(column, 0, 1, &hash);
        return hash;
    };
    EXPECT_EQ(hash_of(18, 2, int64_t{150}), hash_of(38, 4, Int128{15000}));
    EXPECT_EQ(hash_of(4, 0, int16_t{0}), hash_of(38, 9, Int128{0}));
    Int128 huge = 1;
    for (int i = 0; i < 30; i++) huge *= 10;
    EXPECT_EQ(hash_of(38, 5, huge), hash_of(38, 6, huge * 10));
    EXPECT_EQ(hash_of(38, 25, huge), hash_of(9, 0, int32_t{100000}));
}

TEST(KeyColumns, OrdinalsKeepTheOrder) {
    const auto ordinal = [](ColumnType type, auto value) {
        const KeyColumns key({type});
        EXPECT_TRUE(key.HasOrdinal());
        return key.Ordinal({reinterpret_cast<const uint8_t*>(&value), nullptr}, 0);
    };
    EXPECT_EQ(ordinal({TypeKind::kInt32}, int32_t{-5}), -5);
    EXPECT_EQ(ordinal({TypeKind::kDecimal, 38, 0}, Int128{1} << 100), INT64_MAX);
    EXPECT_EQ(ordinal({TypeKind::kDecimal, 38, 0}, -(Int128{1} << 100)), INT64_MIN);
    EXPECT_FALSE(KeyColumns({{TypeKind::kText}}).HasOrdinal());
    EXPECT_FALSE(KeyColumns({{TypeKind::kInt32}, {TypeKind::kInt32}}).HasOrdinal());
}

// One thread applies, one flushes, some read: every view must show the same number of rows and the same sum.
TEST_F(TableTest, ReadersAreExactWhileOthersApplyAndFlush) {
    Open();
    const int64_t accounts = 500;
    std::vector<Op> ops;
    for (int64_t id = 0; id < accounts; id++) {
        ops.push_back({RowOp::kInsert, {}, {id, "n", "note of some length", 100}, {}});
    }
    ASSERT_OK(Apply(ops, 10, 100));

    std::atomic<Xid> applied{10};  // everything up to here has been applied
    std::atomic<bool> stop{false};
    std::atomic<int> views{0}, flushes{0};
    std::mutex snapshots_mutex;
    std::multiset<Xid> snapshots;  // xmins in use
    std::thread writer([&] {
        std::mt19937_64 random(1);
        std::vector<int64_t> balance(accounts, 100);
        for (Xid xid = 11; !stop && xid < 200000 && (xid < 3000 || views < 50 || flushes < 10); xid++) {
            std::vector<Op> transfer;
            const auto from = static_cast<int64_t>(random() % accounts), to = static_cast<int64_t>(random() % accounts);
            for (const auto& [id, amount] : {std::pair{from, -7}, {to, 7}}) {
                balance[static_cast<size_t>(id)] += amount;
                transfer.push_back(Update(id, {id, "n", std::nullopt, balance[static_cast<size_t>(id)]}, {2}));
            }
            const Status status = Apply(transfer, xid, 100 + xid);
            ASSERT_TRUE(status.ok()) << status.error().message;
            applied = xid;
        }
        stop = true;
    });
    std::thread flusher([&] {
        while (!stop) {
            Xid oldest = applied + 1;
            {
                const std::lock_guard lock(snapshots_mutex);
                if (!snapshots.empty()) oldest = std::min(oldest, *snapshots.begin());
            }
            const FlushCut cut = table_->BeginFlush(oldest, false);
            if (cut.id != 0) {
                const auto file = WriteFile(cut);
                const Status status = table_->FinishFlush(cut, file.get());
                ASSERT_TRUE(status.ok()) << status.error().message;
                flushes++;
            }
            table_->GetStats();
            std::this_thread::sleep_for(std::chrono::microseconds(300));
        }
    });
    std::vector<std::thread> readers;
    for (int i = 0; i < 2; i++) {
        readers.emplace_back([&, i] {
            std::mt19937_64 random(static_cast<uint64_t>(i));
            while (!stop) {
                Snapshot snapshot;
                {
                    const std::lock_guard lock(snapshots_mutex);
                    snapshot.xmin = snapshot.xmax = applied + 1;
                    const Xid hidden = snapshot.xmax - 1;  // some hide the last transaction
                    if (random() % 2 && hidden > 10 && (snapshots.empty() || hidden >= *snapshots.begin())) {
                        snapshot.xmin = hidden;
                        snapshot.xip = {hidden};
                    }
                    snapshots.insert(snapshot.xmin);
                }
                auto view = table_->Read(snapshot);
                // A flush may have taken what this snapshot hides before it was known: then it is refused.
                if (view.ok()) {
                    for (int again = 0; again < 2; again++) {
                        const auto rows = RowsOf(**view);
                        int64_t sum = 0;
                        for (const Row& row : rows) {
                            sum += *row.amount;
                            EXPECT_EQ(row.note, "note of some length");
                        }
                        EXPECT_EQ(rows.size(), static_cast<size_t>(accounts));
                        EXPECT_EQ(sum, accounts * 100);
                        if (HasFailure()) stop = true;
                    }
                    views++;
                }
                const std::lock_guard lock(snapshots_mutex);
                snapshots.erase(snapshots.find(snapshot.xmin));
            }
        });
    }
    writer.join();
    flusher.join();
    for (std::thread& reader : readers) reader.join();
    EXPECT_GE(views.load(), 50);
    EXPECT_GE(flushes.load(), 10);
}

}  // namespace
}  // namespace ivy::delta::test
