// SPDX-License-Identifier: Apache-2.0
// Unit tests of src/base: byte coding with damaged input, and snapshot visibility.
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/snapshot.h"

namespace ivy {
namespace {

TEST(Bytes, RoundTripAndFinish) {
    ByteWriter out;
    out.U8(7);
    out.U64(1ull << 60);
    out.String("grün");
    ByteReader in(out.bytes());
    EXPECT_EQ(in.U8(), 7);
    EXPECT_EQ(in.U64(), 1ull << 60);
    EXPECT_EQ(in.String(), "grün");
    EXPECT_TRUE(in.Finish("test").ok());
}

TEST(Bytes, ShortInputFailsForEver) {
    ByteWriter out;
    out.U32(1000);  // a length with nothing behind it
    ByteReader in(out.bytes());
    EXPECT_EQ(in.View(), "");
    EXPECT_FALSE(in.ok());
    EXPECT_EQ(in.U64(), 0u);
    EXPECT_EQ(in.Finish("test").error().sqlstate, sqlstate::kProtocolViolation);
}

TEST(Bytes, CountIsBoundedByTheBuffer) {
    ByteWriter out;
    out.U32(0xffffffff);
    ByteReader in(out.bytes());
    EXPECT_EQ(in.Count(8), 0u);
    EXPECT_FALSE(in.ok());
}

TEST(Bytes, Crc32MatchesTheKnownCheckValue) { EXPECT_EQ(Crc32("123456789", 9), 0xCBF43926u); }

TEST(Snapshot, Sees) {
    const Snapshot s{10, 20, {10, 15}};
    EXPECT_TRUE(s.Sees(9));
    EXPECT_FALSE(s.Sees(10));
    EXPECT_TRUE(s.Sees(11));
    EXPECT_FALSE(s.Sees(15));
    EXPECT_FALSE(s.Sees(20));
}

// Checks SeesAllOf against its definition over every pair of small snapshots.
TEST(Snapshot, SeesAllOfIsExact) {
    std::vector<Snapshot> all;
    for (Xid xmin = 1; xmin <= 4; xmin++) {
        for (Xid xmax = xmin; xmax <= 5; xmax++) {
            for (unsigned running = 0; running < 16; running++) {
                Snapshot s{xmin, xmax, {}};
                for (Xid x = xmin; x < xmax; x++) {
                    if (running >> (x - 1) & 1) s.xip.push_back(x);
                }
                all.push_back(s);
            }
        }
    }
    for (const Snapshot& a : all) {
        for (const Snapshot& b : all) {
            bool expected = true;
            for (Xid x = 0; x < 8; x++) expected &= !b.Sees(x) || a.Sees(x);
            ASSERT_EQ(a.SeesAllOf(b), expected) << a.xmin << ' ' << a.xmax << " vs " << b.xmin << ' ' << b.xmax;
        }
    }
}

TEST(Snapshot, RoundTrip) {
    const Snapshot s{10, 20, {10, 15}};
    ByteWriter out;
    s.Write(&out);
    ByteReader in(out.bytes());
    const Snapshot t = Snapshot::Read(&in);
    EXPECT_TRUE(in.Finish("snapshot").ok());
    EXPECT_EQ(t.xmax, 20u);
    EXPECT_EQ(t.xip, s.xip);
}

}  // namespace
}  // namespace ivy
