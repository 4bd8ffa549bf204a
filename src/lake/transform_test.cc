// SPDX-License-Identifier: Apache-2.0
#include "lake/transform.h"

#include <gtest/gtest.h>

#include <cmath>

namespace ivy::lake {
namespace {

using iceberg::Int128;
using iceberg::SingleValue;

constexpr int32_t kAll = std::numeric_limits<int32_t>::max();

Column Of(Kind kind, int precision = 0, int scale = 0) {
    Column column;
    column.kind = kind;
    column.precision = precision;
    column.scale = scale;
    return column;
}

int64_t Number(const std::optional<SingleValue>& value) {
    if (!value) return -1;
    if (const auto* narrow = std::get_if<int32_t>(&*value)) return *narrow;
    return std::get<int64_t>(*value);
}

std::string Text(const std::optional<SingleValue>& value) { return value ? std::get<std::string>(*value) : "none"; }

TEST(Transform, Names) {
    EXPECT_EQ(ParseTransform("bucket[16]"), (Transform{TransformKind::kBucket, 16}));
    EXPECT_EQ(ParseTransform("truncate[1]"), (Transform{TransformKind::kTruncate, 1}));
    EXPECT_EQ(ParseTransform("hour").kind, TransformKind::kHour);
    EXPECT_EQ(ParseTransform("void").kind, TransformKind::kVoid);
    for (const char* name : {"", "bucket", "bucket[]", "bucket[0]", "bucket[-1]", "bucket[4", "bucket[4]]",
                             "bucket[99999999999]", "truncate[x]", "zorder[2]", "identity ", "days"}) {
        EXPECT_EQ(ParseTransform(name).kind, TransformKind::kUnknown) << name;
    }
    EXPECT_FALSE(ParseTransform("void").HasRange());
    EXPECT_FALSE(ParseTransform("bucket[2]").HasRange());
    EXPECT_TRUE(ParseTransform("identity").HasRange());
}

// The values of the specification's appendix B.
TEST(Transform, Hashes) {
    const auto hash = [](Kind kind, const SingleValue& value, int precision = 0, int scale = 0) {
        return BucketOf(kAll, Of(kind, precision, scale), value).value();
    };
    // The hash of the specification as a bucket of 2^31-1.
    const auto bucket = [](int32_t hash) {
        return static_cast<int32_t>((static_cast<uint32_t>(hash) & 0x7fffffffu) % kAll);
    };
    EXPECT_EQ(hash(Kind::kInt32, int32_t{34}), bucket(2017239379));
    EXPECT_EQ(hash(Kind::kInt64, int64_t{34}), bucket(2017239379));
    EXPECT_EQ(hash(Kind::kDecimal, Int128{1420}, 9, 2), bucket(-500754589));
    EXPECT_EQ(hash(Kind::kDate, int32_t{17486}), bucket(-653330422));                   // 2017-11-16
    EXPECT_EQ(hash(Kind::kTime, int64_t{81068000000}), bucket(-662762989));             // 22:31:08
    EXPECT_EQ(hash(Kind::kTimestamp, int64_t{1510871468000000}), bucket(-2047944441));  // 2017-11-16T22:31:08
    EXPECT_EQ(hash(Kind::kTimestamp, int64_t{1510871468000001}), bucket(-1207196810));
    EXPECT_EQ(hash(Kind::kTimestampTz, int64_t{1510871468000000}), bucket(-2047944441));
    EXPECT_EQ(hash(Kind::kTimestampNs, int64_t{1510871468000001001}), bucket(-1207196810));
    EXPECT_EQ(hash(Kind::kTimestampTzNs, int64_t{1510871468000000000}), bucket(-2047944441));
    EXPECT_EQ(hash(Kind::kString, std::string("iceberg")), bucket(1210000089));
    EXPECT_EQ(hash(Kind::kUuid, std::string("\xf7\x9c\x3e\x09\x67\x7c\x4b\xbd\xa4\x79\x3f\x34\x9c\xb7\x85\xe7")),
              bucket(1488055340));
    EXPECT_EQ(hash(Kind::kBinary, std::string("\x00\x01\x02\x03", 4)), bucket(-188683207));
    EXPECT_EQ(Murmur3(std::string_view("\x00\x01\x02\x03", 4)), static_cast<uint32_t>(-188683207));
    EXPECT_EQ(Murmur3(""), 0u);
    // No bucket of what the transform does not take.
    EXPECT_FALSE(BucketOf(4, Of(Kind::kDouble), 1.0));
    EXPECT_FALSE(BucketOf(4, Of(Kind::kBoolean), true));
    EXPECT_FALSE(BucketOf(4, Of(Kind::kInt32), 1.0));
}

TEST(Transform, RangesOfTimes) {
    const auto range = [](const char* transform, Kind kind, int32_t first, int32_t last) {
        const ValueRange found = RangeOf(ParseTransform(transform), Of(kind), SingleValue(first), SingleValue(last));
        return std::make_pair(Number(found.lower), Number(found.upper));
    };
    using Pair = std::pair<int64_t, int64_t>;
    EXPECT_EQ(range("year", Kind::kDate, 54, 54), Pair(19723, 20088));     // 2024
    EXPECT_EQ(range("month", Kind::kDate, 649, 649), Pair(19754, 19782));  // 2024-02, a leap year's
    EXPECT_EQ(range("month", Kind::kDate, 649, 650), Pair(19754, 19813));
    EXPECT_EQ(range("day", Kind::kDate, -5, 7), Pair(-5, 7));
    EXPECT_EQ(range("day", Kind::kTimestamp, 1, 1), Pair(86400000000, 2 * 86400000000 - 1));
    EXPECT_EQ(range("day", Kind::kTimestampNs, 1, 1), Pair(86400000000000, 2 * 86400000000000 - 1));
    EXPECT_EQ(range("hour", Kind::kTimestampTz, 2, 3), Pair(7200000000, 4 * 3600000000 - 1));
    // Before 1970, and in its first unit, writers differ: a unit more.
    EXPECT_EQ(range("day", Kind::kTimestamp, 0, 0), Pair(-86400000000, 86400000000 - 1));
    EXPECT_EQ(range("year", Kind::kDate, -1, -1), Pair(-731, -1));  // from 1968, a leap year, on
    EXPECT_EQ(range("month", Kind::kDate, -22, -22), Pair(-700, -641));
    // Bounds that no value has.
    EXPECT_FALSE(
        RangeOf(ParseTransform("year"), Of(Kind::kTimestamp), SingleValue(int32_t{300000}), std::nullopt).lower);
    EXPECT_FALSE(
        RangeOf(ParseTransform("day"), Of(Kind::kTimestampNs), std::nullopt, SingleValue(int32_t{200000})).upper);
    EXPECT_FALSE(
        RangeOf(ParseTransform("year"), Of(Kind::kDate), SingleValue(std::numeric_limits<int32_t>::min()), std::nullopt)
            .lower);
    EXPECT_FALSE(
        RangeOf(ParseTransform("day"), Of(Kind::kDate), std::nullopt, SingleValue(std::numeric_limits<int32_t>::max()))
            .upper);
}

TEST(Transform, RangesOfTruncated) {
    const Transform ten = ParseTransform("truncate[10]"), two = ParseTransform("truncate[2]");
    EXPECT_EQ(Number(RangeOf(ten, Of(Kind::kInt32), SingleValue(int32_t{-10}), SingleValue(int32_t{20})).lower), -10);
    EXPECT_EQ(Number(RangeOf(ten, Of(Kind::kInt32), SingleValue(int32_t{-10}), SingleValue(int32_t{20})).upper), 29);
    EXPECT_EQ(Number(RangeOf(ten, Of(Kind::kInt64), std::nullopt, SingleValue(int64_t{1} << 40)).upper),
              (int64_t{1} << 40) + 9);
    EXPECT_FALSE(
        RangeOf(ten, Of(Kind::kInt32), std::nullopt, SingleValue(std::numeric_limits<int32_t>::max() - 3)).upper);
    EXPECT_FALSE(
        RangeOf(ten, Of(Kind::kInt64), std::nullopt, SingleValue(std::numeric_limits<int64_t>::max() - 3)).upper);
    EXPECT_EQ(std::get<Int128>(*RangeOf(ten, Of(Kind::kDecimal, 10, 2), std::nullopt, SingleValue(Int128{1065})).upper),
              1074);
    const auto text = [&two](const char* value) {
        return Text(
            RangeOf(two, Of(Kind::kString), SingleValue(std::string(value)), SingleValue(std::string(value))).upper);
    };
    EXPECT_EQ(text("ab"), "ac");
    EXPECT_GE(text("a"), "a");
    EXPECT_LT(text("a"), "aa");
    EXPECT_EQ(text("äé"), "äê");
    EXPECT_EQ(text("a\xf4\x8f\xbf\xbf"), "b");  // the last code point of all
    EXPECT_EQ(text("\xf4\x8f\xbf\xbf\xf4\x8f\xbf\xbf"), "none");
    EXPECT_EQ(Text(RangeOf(two, Of(Kind::kBinary), std::nullopt, SingleValue(std::string("a\xff"))).upper), "b");
    EXPECT_EQ(Text(RangeOf(two, Of(Kind::kBinary), std::nullopt, SingleValue(std::string("\xff\xff"))).upper), "none");
}

TEST(Transform, PartitionValues) {
    const Transform identity = ParseTransform("identity"), bucket = ParseTransform("bucket[4]");
    EXPECT_EQ(PartitionValue(identity, Of(Kind::kInt64), std::string_view("\x05\x00\x00\x00", 4)),
              SingleValue(int64_t{5}));  // was int
    EXPECT_EQ(PartitionValue(bucket, Of(Kind::kString), std::string_view("\x03\x00\x00\x00", 4)),
              SingleValue(int32_t{3}));
    EXPECT_FALSE(PartitionValue(bucket, Of(Kind::kString), std::string_view("x")));
    EXPECT_FALSE(PartitionValue(bucket, Of(Kind::kDouble), Json(1)));
    EXPECT_FALSE(PartitionValue(ParseTransform("hour"), Of(Kind::kDate), Json(1)));
    EXPECT_FALSE(PartitionValue(ParseTransform("what"), Of(Kind::kDate), Json(1)));
    EXPECT_FALSE(PartitionValue(ParseTransform("day"), Of(Kind::kDate), Json(int64_t{1} << 40)));
    EXPECT_FALSE(PartitionValue(identity, Of(Kind::kInt32), Json("1")));
    EXPECT_EQ(PartitionValue(identity, Of(Kind::kBinary), Json("00ff")), SingleValue(std::string("\0\xff", 2)));
    EXPECT_EQ(PartitionValue(identity, Of(Kind::kBoolean), Json(true)), SingleValue(true));
    EXPECT_TRUE(std::isnan(std::get<double>(*PartitionValue(identity, Of(Kind::kDouble), Json("NaN")))));
    EXPECT_EQ(PartitionValue(identity, Of(Kind::kFloat), Json("-Infinity")),
              SingleValue(-std::numeric_limits<float>::infinity()));
}

}  // namespace
}  // namespace ivy::lake
