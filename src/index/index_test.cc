// SPDX-License-Identifier: Apache-2.0
// Unit tests of src/index: the hot table against a model, the filter, segments of many sizes, and damaged segments.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>

#include "index/fuse_filter.h"
#include "index/hot_table.h"
#include "index/key_hash.h"
#include "index/segment.h"

namespace ivy::index {
namespace {

TEST(KeyHash, IsStableOnDiskAndByValue) {
    // Fixed for ever: segments on disk contain these.
    EXPECT_EQ(HashInteger(0), 0xe220a8397b1dcdafu);
    EXPECT_EQ(HashBytes("", 0), HashBytes(nullptr, 0));
    EXPECT_EQ(HashWideInteger(-5), HashInteger(-5));
    EXPECT_NE(HashWideInteger(__int128{1} << 64), HashInteger(0));
    EXPECT_NE(HashBytes("a\0", 2), HashBytes("a", 1));
    EXPECT_NE(HashBytes("12345678", 8), HashBytes("12345678\0", 9));
    EXPECT_NE(Combine(HashInteger(1), HashInteger(2)), Combine(HashInteger(2), HashInteger(1)));
}

// Random inserts, erases and floors against a map, with so few hashes that chains and wrapped probes are common.
TEST(HotTable, AgreesWithAModel) {
    for (const uint64_t mask : {uint64_t{7}, uint64_t{0x3ff}, ~uint64_t{0}, uint64_t{0xff} << 56}) {
        std::mt19937_64 random(mask);
        HotTable table;
        std::map<uint64_t, std::set<uint64_t>> model;  // hash -> positions
        uint64_t next = 0, floor = 0;
        for (int step = 0; step < 40000; step++) {
            const uint64_t hash = Mix(random() % 3000) & mask;
            const unsigned what = random() % 100;
            if (what < 55) {
                table.Insert(hash, next);
                model[hash].insert(next++);
            } else if (what < 97) {
                auto& positions = model[hash];
                if (positions.empty()) {
                    table.Erase(hash, next);
                } else {
                    auto at = positions.begin();
                    std::advance(at, random() % positions.size());
                    table.Erase(hash, *at);
                    positions.erase(at);
                }
            } else if (what == 97 && step % 50 == 0) {
                floor = std::max(floor, next - std::min<uint64_t>(next, random() % 2000));
                table.RaiseFloor(floor);
                for (auto& [key, positions] : model) positions.erase(positions.begin(), positions.lower_bound(floor));
            }
            const uint64_t probe = Mix(random() % 3000) & mask;
            std::vector<uint64_t> found;
            EXPECT_EQ(table.Find(probe,
                                 [&](uint64_t position) {
                                     found.push_back(position);
                                     return false;
                                 }),
                      HotTable::kNone);
            const auto& expected = model[probe];
            ASSERT_EQ(found, std::vector<uint64_t>(expected.rbegin(), expected.rend())) << "step " << step;
        }
        table.Clear();
        EXPECT_EQ(table.Find(0, [](uint64_t) { return true; }), HotTable::kNone);
    }
}

TEST(HotTable, AMillionDuplicatesAreFast) {
    HotTable table;
    for (uint64_t i = 0; i < 1000000; i++) table.Insert(42, i);
    for (uint64_t i = 1000000; i-- > 0;) {
        ASSERT_EQ(table.Find(42, [](uint64_t) { return true; }), i);
        table.Erase(42, i);
    }
}

TEST(FuseFilter, NoFalseNegativesFewFalsePositives) {
    for (const size_t count : {0u, 1u, 2u, 3u, 10u, 100u, 1000u, 100000u, 1000000u}) {
        std::vector<uint64_t> hashes;
        for (size_t i = 0; i < count; i++) hashes.push_back(HashInteger(static_cast<int64_t>(i)));
        const FuseFilter filter = FuseFilter::Build(hashes);
        ByteWriter out;
        filter.Write(&out);
        ByteReader in(out.bytes());
        const FuseFilter read = FuseFilter::Read(&in);
        ASSERT_TRUE(in.Finish("filter").ok());
        for (const uint64_t hash : hashes) ASSERT_TRUE(read.MayContain(hash));
        int positives = 0;
        for (int64_t i = 1; i <= 100000; i++) positives += read.MayContain(HashInteger(-i));
        EXPECT_LT(positives, 600) << count;
        if (count == 1000000) {
            EXPECT_LT(static_cast<double>(read.bytes()) * 8, 9.2 * static_cast<double>(count));
        }
    }
    // Hashes that differ in few bits only.
    std::vector<uint64_t> few;
    for (uint64_t i = 0; i < 64; i++) few.push_back(i);
    const FuseFilter filter = FuseFilter::Build(few);
    for (const uint64_t hash : few) EXPECT_TRUE(filter.MayContain(hash));
    EXPECT_FALSE(FuseFilter().MayContain(1));
}

class SegmentTest : public ::testing::Test {
  protected:
    void SetUp() override {
        folder_ = ::testing::TempDir() + "ivy_segment_" + std::to_string(::getpid());
        std::filesystem::create_directories(folder_);
        path_ = folder_ + "/segment.idx";
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    static std::vector<uint64_t> Rows(Segment* segment, uint64_t hash, uint64_t skip = 0) {
        std::vector<uint64_t> rows;
        EXPECT_TRUE(segment
                        ->Find(hash, skip,
                               [&](uint64_t row) {
                                   rows.push_back(row);
                                   return true;
                               })
                        .ok());
        return rows;
    }

    std::string folder_;
    std::string path_;
};

TEST_F(SegmentTest, FindsEveryKeyAndHardlyAnythingElse) {
    for (const uint64_t rows : {0u, 1u, 2u, 510u, 511u, 512u, 5000u, 1000000u}) {
        SegmentBuilder builder;
        for (uint64_t row = 0; row < rows; row++) builder.Add(HashInteger(static_cast<int64_t>(row)));
        ASSERT_TRUE(builder.Write(path_).ok());
        auto opened = Segment::Open(path_, rows);
        ASSERT_TRUE(opened.ok()) << opened.error().message;
        Segment* segment = opened->get();
        EXPECT_EQ(segment->rows(), rows);
        const uint64_t step = std::max<uint64_t>(1, rows / 100000);
        uint64_t candidates = 0;
        for (uint64_t row = 0; row < rows; row += step) {
            const uint64_t hash = HashInteger(static_cast<int64_t>(row));
            ASSERT_TRUE(segment->MayContain(hash));
            const auto found = Rows(segment, hash);
            ASSERT_NE(std::find(found.begin(), found.end(), row), found.end()) << row << " of " << rows;
            candidates += found.size();
        }
        EXPECT_EQ(candidates, (rows + step - 1) / step) << "more than one candidate";
        for (int64_t key = -1000; key < 0; key++) EXPECT_TRUE(Rows(segment, HashInteger(key)).empty());
        for (const uint64_t edge : {uint64_t{0}, ~uint64_t{0}}) EXPECT_TRUE(Rows(segment, edge).empty());
        if (rows == 1000000) {
            EXPECT_LT(static_cast<double>(std::filesystem::file_size(path_)), 9.4 * static_cast<double>(rows));
            EXPECT_LT(static_cast<double>(segment->resident_bytes()) * 8, 9.3 * static_cast<double>(rows));
        }
    }
}

TEST_F(SegmentTest, DuplicatesAndCollidingHashes) {
    for (const uint64_t mask : {uint64_t{0}, uint64_t{1}, uint64_t{0xff}, uint64_t{0xf} << 60, uint64_t{0xfff} << 20}) {
        SegmentBuilder builder;
        std::map<uint64_t, std::vector<uint64_t>> model;
        const uint64_t rows = 20000;
        for (uint64_t row = 0; row < rows; row++) {
            const uint64_t hash = Mix(row) & mask;
            builder.Add(hash);
            model[hash].push_back(row);
        }
        ASSERT_TRUE(builder.Write(path_).ok());
        auto segment = Segment::Open(path_, rows);
        ASSERT_TRUE(segment.ok());
        for (const auto& [hash, expected] : model) {
            ASSERT_TRUE((*segment)->MayContain(hash));
            ASSERT_EQ(Rows(segment->get(), hash), expected) << std::hex << mask;
            const uint64_t skip = expected.size() / 3;
            ASSERT_EQ(Rows(segment->get(), hash, skip),
                      std::vector<uint64_t>(expected.begin() + static_cast<ptrdiff_t>(skip), expected.end()));
            ASSERT_TRUE(Rows(segment->get(), hash, expected.size()).empty());
        }
    }
}

TEST_F(SegmentTest, RangeIsKept) {
    SegmentBuilder builder;
    KeyRange range;
    for (const int64_t key : {5, -7, 100}) {
        builder.Add(HashInteger(key));
        range.Extend(key);
    }
    builder.SetRange(range);
    ASSERT_TRUE(builder.Write(path_).ok());
    auto segment = Segment::Open(path_, 3);
    ASSERT_TRUE(segment.ok());
    EXPECT_EQ((*segment)->range()->min, -7);
    EXPECT_EQ((*segment)->range()->max, 100);
}

TEST_F(SegmentTest, DamageIsNoticed) {
    const uint64_t rows = 3000;
    SegmentBuilder builder;
    for (uint64_t row = 0; row < rows; row++) builder.Add(HashInteger(static_cast<int64_t>(row)));
    ASSERT_TRUE(builder.Write(path_).ok());
    std::ifstream file(path_, std::ios::binary);
    const std::string good((std::istreambuf_iterator<char>(file)), {});
    const auto put = [&](const std::string& content) {
        std::ofstream out(path_, std::ios::binary | std::ios::trunc);
        out.write(content.data(), static_cast<std::streamsize>(content.size()));
    };
    EXPECT_EQ(Segment::Open(folder_ + "/missing", rows).error().sqlstate, sqlstate::kUndefinedFile);
    EXPECT_FALSE(Segment::Open(path_, rows + 1).ok());
    for (const size_t size : {size_t{0}, size_t{100}, size_t{4096}, good.size() / 2, good.size() - 1}) {
        put(good.substr(0, size));
        EXPECT_EQ(Segment::Open(path_, rows).error().sqlstate, sqlstate::kDataCorrupted) << size;
    }
    put(good + "x");
    EXPECT_FALSE(Segment::Open(path_, rows).ok());

    std::mt19937_64 random(1);
    const size_t pages_end = 4096 * (1 + (rows + 510) / 511);
    for (int i = 0; i < 300; i++) {
        std::string bad = good;
        const size_t at = i < 64 ? static_cast<size_t>(i) : random() % good.size();
        bad[at] = static_cast<char>(bad[at] ^ (1 << random() % 8));
        put(bad);
        auto opened = Segment::Open(path_, rows);
        if (at < 64 || at >= pages_end) {
            EXPECT_FALSE(opened.ok()) << at;
            continue;
        }
        ASSERT_TRUE(opened.ok()) << at;  // pages are checked when they are first read
        if (at < 4096) continue;         // the rest of the header's page is not used
        bool noticed = false;
        for (uint64_t row = 0; row < rows && !noticed; row++) {
            noticed = !(*opened)->Find(HashInteger(static_cast<int64_t>(row)), 0, [](uint64_t) { return true; }).ok();
        }
        EXPECT_TRUE(noticed) << at;
        EXPECT_FALSE(std::filesystem::exists(path_)) << "the next open must fail";
    }
}

TEST_F(SegmentTest, AFailedWriteLeavesNothing) {
    SegmentBuilder builder;
    builder.Add(1);
    EXPECT_EQ(builder.Write(folder_ + "/none/segment.idx").error().sqlstate, sqlstate::kUndefinedFile);
    std::filesystem::create_directory(path_);  // the rename must fail
    SegmentBuilder second;
    second.Add(1);
    EXPECT_FALSE(second.Write(path_).ok());
    EXPECT_FALSE(std::filesystem::exists(path_ + ".tmp"));
}

}  // namespace
}  // namespace ivy::index
