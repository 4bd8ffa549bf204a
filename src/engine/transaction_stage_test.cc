// SPDX-License-Identifier: Apache-2.0
#include "engine/transaction_stage.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/fault_point.h"

namespace ivy::engine {
namespace {

// A change that can be recognised by its number.
Changes Numbered(uint32_t mirror, Xid xid, Xid subxid, uint32_t number, size_t size = 100) {
    Changes changes;
    changes.mirror = mirror;
    changes.xid = xid;
    changes.subxid = subxid;
    changes.ops = {static_cast<uint8_t>(RowOp::kInsert)};
    changes.unchanged = {{number, 0}};
    changes.rows.assign(size, static_cast<uint8_t>(number));
    return changes;
}

std::vector<uint32_t> Numbers(const ChangeSpool& spool, uint64_t batch_bytes = 1000) {
    std::vector<uint32_t> numbers;
    const Status status = spool.ForEachBatch(batch_bytes, [&](const std::vector<const Changes*>& batch, bool) {
        for (const Changes* changes : batch) numbers.push_back(changes->unchanged[0].row);
        return Status::Ok();
    });
    EXPECT_TRUE(status.ok());
    return numbers;
}

class StageTest : public testing::Test {
  protected:
    void SetUp() override { folder_ = testing::TempDir() + "/stage_test_" + std::to_string(getpid()); }
    void TearDown() override { std::filesystem::remove_all(folder_); }
    std::string folder_;
};

TEST_F(StageTest, KeepsTransactionsAndMirrorsApart) {
    TransactionStage stage(folder_, 1 << 20);
    stage.Add(Numbered(1, 10, 10, 1));
    stage.Add(Numbered(2, 10, 10, 2));
    stage.Add(Numbered(1, 20, 20, 3));
    stage.Add(Numbered(1, 10, 11, 4));
    auto parts = stage.Take(10);
    ASSERT_EQ(parts.size(), 2u);
    EXPECT_EQ(Numbers(parts.at(1)), (std::vector<uint32_t>{1, 4}));
    EXPECT_EQ(Numbers(parts.at(2)), (std::vector<uint32_t>{2}));
    EXPECT_TRUE(stage.Take(10).empty());
    EXPECT_EQ(stage.transactions(), 1u);
    stage.Abort(20, 20);
    EXPECT_EQ(stage.transactions(), 0u);
    stage.Abort(30, 31);  // unknown transactions are no mistake: they may have changed no mirror
}

TEST_F(StageTest, ForgetsAbortedSubtransactionsInMemoryAndOnDisk) {
    for (const uint64_t limit : {uint64_t{1} << 20, uint64_t{500}, uint64_t{1}}) {
        TransactionStage stage(folder_, limit);
        for (uint32_t i = 0; i < 30; i++) stage.Add(Numbered(1, 10, 10 + i % 3, i));
        stage.Abort(10, 11);
        for (uint32_t i = 30; i < 60; i++) stage.Add(Numbered(1, 10, i % 2 ? 10 : 12, i));
        stage.Abort(10, 12);
        stage.Add(Numbered(1, 10, 13, 60));
        std::vector<uint32_t> expected;
        for (uint32_t i = 0; i < 30; i += 3) expected.push_back(i);
        for (uint32_t i = 31; i < 60; i += 2) expected.push_back(i);
        expected.push_back(60);
        auto parts = stage.Take(10);
        EXPECT_EQ(Numbers(parts.at(1)), expected) << "limit " << limit;
        EXPECT_EQ(Numbers(parts.at(1), 1), expected) << "limit " << limit;  // a second time, one by one
    }
}

TEST_F(StageTest, SpillsLargeTransactionsInOrder) {
    TransactionStage stage(folder_, 1 << 20);
    std::vector<uint32_t> expected;
    for (uint32_t i = 0; i < 300; i++) {
        stage.Add(Numbered(1, 10, 10, i, 100000));
        expected.push_back(i);
    }
    auto parts = stage.Take(10);
    EXPECT_LE(parts.at(1).memory_bytes(), 2u << 20);
    size_t largest = 0;
    std::vector<uint32_t> numbers;
    const Status status = parts.at(1).ForEachBatch(1 << 20, [&](const std::vector<const Changes*>& batch, bool) {
        largest = std::max(largest, batch.size());
        for (const Changes* changes : batch) {
            numbers.push_back(changes->unchanged[0].row);
            EXPECT_EQ(changes->rows.size(), 100000u);
            EXPECT_EQ(changes->rows[99999], static_cast<uint8_t>(numbers.back()));
        }
        return Status::Ok();
    });
    EXPECT_TRUE(status.ok());
    EXPECT_EQ(numbers, expected);
    EXPECT_LE(largest, 11u);
    // The files have no names.
    EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(StageTest, MovesToASharedFile) {
    auto file = SpillFile::Make(folder_);
    ASSERT_TRUE(file.ok());
    ChangeSpool first(folder_, 1 << 20), second(folder_, 1 << 20);
    for (uint32_t i = 0; i < 10; i++) {
        first.Append(Numbered(1, 1, 1, i));
        second.Append(Numbered(1, 2, 2, 100 + i));
    }
    ASSERT_TRUE(first.SpillTo(file.value()).ok());
    ASSERT_TRUE(second.SpillTo(file.value()).ok());
    EXPECT_EQ(first.memory_bytes(), 0u);
    EXPECT_EQ(Numbers(first).size(), 10u);
    EXPECT_EQ(Numbers(second).front(), 100u);
}

#ifdef IVY_FAULT_POINTS
TEST_F(StageTest, StaysInMemoryWhenTheDiskIsFull) {
    ASSERT_TRUE(SetFaults("spill-append:error").ok());
    TransactionStage stage(folder_, 1000);
    for (uint32_t i = 0; i < 100; i++) stage.Add(Numbered(1, 10, 10, i));
    ASSERT_TRUE(SetFaults("spill-append:off").ok());
    for (uint32_t i = 100; i < 1000; i++) stage.Add(Numbered(1, 10, 10, i));
    auto parts = stage.Take(10);
    const std::vector<uint32_t> numbers = Numbers(parts.at(1));
    ASSERT_EQ(numbers.size(), 1000u);
    for (uint32_t i = 0; i < 1000; i++) EXPECT_EQ(numbers[i], i);
}
#endif

}  // namespace
}  // namespace ivy::engine
