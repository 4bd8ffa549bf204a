// SPDX-License-Identifier: Apache-2.0
// Which files are rewritten together, and that a table that grows by small files is not rewritten all the time.
#include "engine/rewrite_policy.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

namespace ivy::engine {
namespace {

constexpr uint64_t kMb = 1 << 20;

FileFacts File(uint64_t mb, uint64_t deleted_percent = 0) { return {10000, deleted_percent * 100, mb * kMb}; }

TEST(RewritePolicy, SmallFilesWaitForOthers) {
    const RewritePolicy policy;
    std::vector<FileFacts> files(9, File(3));
    EXPECT_TRUE(ChooseFiles(files, policy).empty());
    files.push_back(File(250));
    EXPECT_TRUE(ChooseFiles(files, policy).empty());
    files.push_back(File(3));
    EXPECT_EQ(ChooseFiles(files, policy), (std::vector<size_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 10}));
    // A larger one is left alone until the others are as large together.
    files.assign(9, File(1));
    files.push_back(File(100));
    EXPECT_TRUE(ChooseFiles(files, policy).empty());
    files.insert(files.end(), 95, File(1));
    EXPECT_EQ(ChooseFiles(files, policy).size(), files.size());
    EXPECT_TRUE(ChooseFiles({}, policy).empty());
    EXPECT_TRUE(ChooseFiles({{0, 0, 100}}, policy).empty());
}

TEST(RewritePolicy, LargeFilesThatLostRows) {
    RewritePolicy policy;
    EXPECT_TRUE(ChooseFiles({File(250, 24)}, policy).empty());
    EXPECT_EQ(ChooseFiles({File(250), File(250, 25)}, policy), std::vector<size_t>{1});
    EXPECT_TRUE(ChooseFiles({File(10, 90)}, policy).empty()) << "small ones wait";
    // Not more at once than two new files, but always one.
    EXPECT_EQ(ChooseFiles({File(400, 30), File(400, 30), File(400, 30)}, policy), std::vector<size_t>{0});
    EXPECT_EQ(ChooseFiles({File(4000, 30)}, policy), std::vector<size_t>{0});
    // Small ones join in.
    EXPECT_EQ(ChooseFiles({File(1), File(250, 50), File(2)}, policy), (std::vector<size_t>{0, 1, 2}));
    // On request: everything that is worth anything.
    policy.small_files = 2;
    policy.deleted_percent = 0;
    policy.worn_bytes = 0;
    policy.merge_all = true;
    EXPECT_EQ(ChooseFiles({File(250), File(1, 1)}, policy), std::vector<size_t>{1});
    EXPECT_EQ(ChooseFiles({File(250), File(1), File(100)}, policy), (std::vector<size_t>{1, 2}));
    EXPECT_TRUE(ChooseFiles({File(250), File(1)}, policy).empty());
}

TEST(RewritePolicy, CostsLittleForATableThatGrows) {
    const RewritePolicy policy;
    std::mt19937 random(1);
    std::vector<FileFacts> files;
    uint64_t written = 0, rewritten = 0;
    size_t most = 0;
    for (int flush = 0; flush < 5000; flush++) {
        files.push_back({1000, 0, (1 + random() % 4) * kMb / 2});
        written += files.back().bytes;
        const std::vector<size_t> chosen = ChooseFiles(files, policy);
        if (chosen.empty()) {
            most = std::max(most, files.size());
            continue;
        }
        uint64_t bytes = 0;
        for (size_t i = chosen.size(); i-- > 0;) {
            bytes += files[chosen[i]].bytes;
            files.erase(files.begin() + static_cast<ptrdiff_t>(chosen[i]));
        }
        rewritten += bytes;
        for (; bytes > policy.target_bytes; bytes -= policy.target_bytes)
            files.push_back({1000, 0, policy.target_bytes});
        if (bytes > 0) files.push_back({1000, 0, bytes});
    }
    EXPECT_LT(rewritten, 5 * written);
    EXPECT_LT(most, written / policy.target_bytes + 60);
}

}  // namespace
}  // namespace ivy::engine
