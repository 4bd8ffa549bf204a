// SPDX-License-Identifier: Apache-2.0
#include "lake/snapshot_cache.h"

#include <gtest/gtest.h>

namespace ivy::lake {
namespace {

std::shared_ptr<const int> Value(int value) { return std::make_shared<const int>(value); }

TEST(SnapshotCacheTest, KeepsWhatWasUsedLast) {
    SnapshotCache<int> cache(10);
    EXPECT_EQ(cache.Find("a"), nullptr);
    cache.Put("a", Value(1), 4);
    cache.Put("b", Value(2), 4);
    ASSERT_NE(cache.Find("a"), nullptr);
    EXPECT_EQ(*cache.Find("a"), 1);
    cache.Put("c", Value(3), 6);  // no room for both: "b" was used longer ago
    EXPECT_EQ(cache.Find("b"), nullptr);
    EXPECT_NE(cache.Find("a"), nullptr);
    EXPECT_NE(cache.Find("c"), nullptr);
}

TEST(SnapshotCacheTest, ReplacesAndRefuses) {
    SnapshotCache<int> cache(10);
    const auto held = Value(1);
    cache.Put("a", held, 10);
    cache.Put("a", Value(2), 10);
    EXPECT_EQ(*cache.Find("a"), 2);
    EXPECT_EQ(*held, 1);
    cache.Put("b", Value(3), 11);
    EXPECT_EQ(cache.Find("b"), nullptr);
    EXPECT_EQ(*cache.Find("a"), 2);
    cache.Put("a", Value(4), 11);  // what it replaces is not right any more
    EXPECT_EQ(cache.Find("a"), nullptr);
    cache.Put("d", Value(5), 10);
    EXPECT_EQ(*cache.Find("d"), 5);
}

}  // namespace
}  // namespace ivy::lake
