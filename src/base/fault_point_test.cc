// SPDX-License-Identifier: Apache-2.0
#include "base/fault_point.h"

#include <gtest/gtest.h>

#include <chrono>

namespace ivy {
namespace {

#ifdef IVY_FAULT_POINTS

Status Work() {
    IVY_FAULT_POINT("test-work");
    return Status::Ok();
}

TEST(FaultPoint, ActsAsOftenAsItsCountSays) {
    EXPECT_TRUE(Work().ok());
    ASSERT_TRUE(SetFaults("other:error,test-work:error:2").ok());
    EXPECT_FALSE(Work().ok());
    EXPECT_FALSE(Work().ok());
    EXPECT_TRUE(Work().ok());
    EXPECT_EQ(FaultCount("test-work"), 2);
    ASSERT_TRUE(SetFaults("test-work:error").ok());
    EXPECT_FALSE(Work().ok());
    ASSERT_TRUE(SetFaults("test-work:off").ok());
    EXPECT_TRUE(Work().ok());
}

TEST(FaultPoint, ActsOnSomePassings) {
    ASSERT_TRUE(SetFaults("test-work:error-50").ok());
    int failed = 0;
    for (int i = 0; i < 1000; i++) failed += Work().ok() ? 0 : 1;
    EXPECT_GT(failed, 300);
    EXPECT_LT(failed, 700);
    ASSERT_TRUE(SetFaults("test-work:off").ok());
}

TEST(FaultPoint, Sleeps) {
    ASSERT_TRUE(SetFaults("test-work:sleep-30:1").ok());
    const auto start = std::chrono::steady_clock::now();
    EXPECT_TRUE(Work().ok());
    EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(30));
}

TEST(FaultPoint, KillsTheProcess) {
    EXPECT_EXIT(
        {
            (void)SetFaults("test-work:kill");
            (void)Work();
        },
        testing::KilledBySignal(SIGKILL), "");
}

TEST(FaultPoint, RefusesBadSpecifications) {
    for (const char* bad : {"", "x", ":error", "x:explode", "x:error:0", "x:error:many", "x:kill-0", "x:error-101"}) {
        EXPECT_FALSE(SetFaults(bad).ok()) << bad;
    }
}

#else

TEST(FaultPoint, AreAbsent) { EXPECT_FALSE(SetFaults("x:error").ok()); }

#endif

}  // namespace
}  // namespace ivy
