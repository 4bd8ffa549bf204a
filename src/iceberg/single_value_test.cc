// SPDX-License-Identifier: Apache-2.0
// Types' names, binary single values, truncated bounds.
#include "iceberg/single_value.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "iceberg/test_support.h"

namespace ivy::iceberg {
namespace {

std::string Hex(const std::string& hex) {
    const Bytes bytes = FromHex(hex);
    return std::string(bytes.begin(), bytes.end());
}

TEST(Types, Parse) {
    EXPECT_EQ(ParseType("long")->kind, TypeKind::kLong);
    EXPECT_EQ(ParseType("timestamptz_ns")->kind, TypeKind::kTimestampTzNs);
    for (const char* name : {"decimal(10,2)", "decimal(10, 2)", "decimal( 10 , 2 )", "decimal (10,2)"}) {
        const auto type = ParseType(name);
        ASSERT_TRUE(type.ok()) << name;
        EXPECT_EQ(type->precision, 10);
        EXPECT_EQ(type->scale, 2);
    }
    EXPECT_EQ(ParseType("fixed[16]")->length, 16);
    EXPECT_EQ(ParseType("geometry(srid:4326)")->kind, TypeKind::kGeometry);
    EXPECT_EQ(ParseType(R"({"type": "list"})")->kind, TypeKind::kNested);
    for (const char* name :
         {"", "Long", "decimal", "decimal(39,0)", "decimal(0,0)", "decimal(5,6)", "decimal(5,-1)", "decimal(5)",
          "decimal(5,2", "decimal(5,2)x", "fixed", "fixed[-1]", "fixed[x]", "geometry("}) {
        EXPECT_FALSE(ParseType(name).ok()) << name;
    }
}

void ExpectBinary(const char* type_name, const SingleValue& value, const std::string& hex) {
    const auto type = ParseType(type_name);
    ASSERT_TRUE(type.ok());
    const auto bytes = EncodeSingleValue(*type, value);
    ASSERT_TRUE(bytes.ok()) << type_name;
    EXPECT_EQ(*bytes, Hex(hex)) << type_name;
    const auto back = DecodeSingleValue(*type, *bytes);
    ASSERT_TRUE(back.ok()) << type_name;
    EXPECT_TRUE(*back == value) << type_name;
}

TEST(SingleValue, EveryType) {
    ExpectBinary("boolean", true, "01");
    ExpectBinary("boolean", false, "00");
    ExpectBinary("int", 34, "22000000");
    ExpectBinary("int", -1, "ffffffff");
    ExpectBinary("long", int64_t{34}, "2200000000000000");
    ExpectBinary("float", 1.0f, "0000803f");
    ExpectBinary("double", -0.0, "0000000000000080");
    ExpectBinary("date", 17486, "4e440000");
    ExpectBinary("time", int64_t{81068123456}, "406509e012000000");
    ExpectBinary("timestamp", int64_t{-1}, "ffffffffffffffff");
    ExpectBinary("timestamptz", std::numeric_limits<int64_t>::min(), "0000000000000080");
    ExpectBinary("timestamp_ns", int64_t{1}, "0100000000000000");
    ExpectBinary("string", std::string("iceberg"), "69636562657267");
    ExpectBinary("string", std::string(), "");
    ExpectBinary("binary", Hex("00ff"), "00ff");
    ExpectBinary("fixed[2]", Hex("00ff"), "00ff");
    ExpectBinary("uuid", Hex("f79c3e09677c4bbda4793f349cb785e7"), "f79c3e09677c4bbda4793f349cb785e7");
}

TEST(SingleValue, Decimals) {
    ExpectBinary("decimal(9,2)", Int128{0}, "00");
    ExpectBinary("decimal(9,2)", Int128{1420}, "058c");
    ExpectBinary("decimal(9,2)", Int128{-1420}, "fa74");
    ExpectBinary("decimal(9,2)", Int128{127}, "7f");
    ExpectBinary("decimal(9,2)", Int128{128}, "0080");
    ExpectBinary("decimal(9,2)", Int128{-128}, "80");
    ExpectBinary("decimal(9,2)", Int128{-129}, "ff7f");
    Int128 largest = 1;
    for (int i = 0; i < 38; i++) largest *= 10;
    ExpectBinary("decimal(38,0)", largest - 1, "4b3b4ca85a86c47a098a223fffffffff");
    ExpectBinary("decimal(38,0)", -(largest - 1), "b4c4b357a5793b85f675ddc000000001");
    // Longer than need be, as other writers may have it.
    EXPECT_TRUE(*DecodeSingleValue(*ParseType("decimal(9,2)"), Hex("ffffffff80")) == SingleValue(Int128{-128}));
    std::mt19937_64 random(1);
    for (int i = 0; i < 100000; i++) {
        const auto value =
            static_cast<Int128>(static_cast<unsigned __int128>(random()) << 64 | random()) >> (random() % 127);
        const PrimitiveType type = *ParseType("decimal(38,3)");
        const std::string bytes = *EncodeSingleValue(type, value);
        ASSERT_TRUE(*DecodeSingleValue(type, bytes) == SingleValue(value));
        // One byte less would be another number.
        if (bytes.size() > 1) {
            ASSERT_FALSE(*DecodeSingleValue(type, bytes.substr(1)) == SingleValue(value));
        }
    }
}

TEST(SingleValue, PromotedTypes) {
    EXPECT_TRUE(*DecodeSingleValue(*ParseType("long"), Hex("feffffff")) == SingleValue(int64_t{-2}));
    EXPECT_TRUE(*DecodeSingleValue(*ParseType("double"), Hex("0000803f")) == SingleValue(1.0));
    EXPECT_TRUE(*DecodeSingleValue(*ParseType("timestamp"), Hex("ffffffff")) == SingleValue(int64_t{-86400} * 1000000));
    EXPECT_TRUE(*DecodeSingleValue(*ParseType("timestamp_ns"), Hex("01000000")) ==
                SingleValue(int64_t{86400} * 1000000000));
    EXPECT_FALSE(
        DecodeSingleValue(*ParseType("timestamp_ns"), Hex("ffffff00")).ok());  // days out of range in nanoseconds
    EXPECT_TRUE(DecodeSingleValue(*ParseType("timestamp"), Hex("ffffff00")).ok());
    EXPECT_FALSE(DecodeSingleValue(*ParseType("timestamp"), Hex("ffffff7f")).ok());
}

TEST(SingleValue, Errors) {
    for (const char* type : {"boolean", "int", "long", "float", "double", "date", "time", "timestamp", "timestamptz",
                             "uuid", "fixed[4]", "decimal(5,2)"}) {
        for (const size_t size : {0, 3, 17}) {
            if (size == 3 && std::string(type) == "decimal(5,2)") continue;
            EXPECT_FALSE(DecodeSingleValue(*ParseType(type), std::string(size, 'x')).ok()) << type << size;
        }
        EXPECT_EQ(EncodeSingleValue(*ParseType(type), std::string("abc")).ok(), false) << type;
    }
    EXPECT_FALSE(EncodeSingleValue(*ParseType("double"), std::nan("")).ok());
    EXPECT_FALSE(EncodeSingleValue(*ParseType("float"), std::nanf("")).ok());
    EXPECT_FALSE(EncodeSingleValue(*ParseType("variant"), std::string("x")).ok());
    EXPECT_FALSE(DecodeSingleValue(*ParseType("unknown"), "").ok());
}

TEST(Bounds, Text) {
    EXPECT_EQ(TruncatedLowerText("short"), "short");
    EXPECT_EQ(TruncatedUpperText("short"), "short");
    EXPECT_EQ(TruncatedUpperText(""), "");
    EXPECT_EQ(TruncatedLowerText("0123456789abcdef"), "0123456789abcdef");
    EXPECT_EQ(TruncatedUpperText("0123456789abcdef"), "0123456789abcdef");
    EXPECT_EQ(TruncatedLowerText("0123456789abcdefg"), "0123456789abcdef");
    EXPECT_EQ(TruncatedUpperText("0123456789abcdefg"), "0123456789abcdeg");
    EXPECT_EQ(TruncatedLowerText("ääää", 3), "äää");  // characters, not bytes
    EXPECT_EQ(TruncatedUpperText("ääää", 3), "ääå");
    EXPECT_EQ(TruncatedUpperText("a\x7f"
                                 "b",
                                 2),
              "a\u0080");  // one byte becomes two
    EXPECT_EQ(TruncatedUpperText("a\u07ff"
                                 "b",
                                 2),
              "a\u0800");  // two become three
    EXPECT_EQ(TruncatedUpperText("a\uffff"
                                 "b",
                                 2),
              "a\U00010000");  // three become four
    EXPECT_EQ(TruncatedUpperText("a\ud7ff"
                                 "b",
                                 2),
              "a\ue000");  // over the surrogates
    EXPECT_EQ(TruncatedUpperText("a\U0010ffff"
                                 "b",
                                 2),
              "b");  // carried
    EXPECT_EQ(TruncatedUpperText("\U0010ffff\U0010ffff"
                                 "b",
                                 2),
              std::nullopt);
    EXPECT_EQ(TruncatedUpperText("\xff\xff\xff", 2), std::nullopt);
    EXPECT_EQ(TruncatedLowerText("\xc3", 2), std::nullopt);
    // The bound holds for random texts.
    std::mt19937 random(3);
    for (int i = 0; i < 20000; i++) {
        static const char* kCharacters[] = {"a", "\x7f", "\u07ff", "\ud7ff", "\uffff", "\U0010ffff"};
        std::string text;
        for (uint32_t n = random() % 6; n > 0; n--) text += kCharacters[random() % 6];
        const auto lower = TruncatedLowerText(text, 3), upper = TruncatedUpperText(text, 3);
        ASSERT_TRUE(lower && *lower <= text);
        if (upper) {
            ASSERT_GE(*upper, text);
        }
    }
}

TEST(Bounds, Binary) {
    EXPECT_EQ(TruncatedLowerBinary("abcd", 2), "ab");
    EXPECT_EQ(TruncatedUpperBinary("abcd", 2), "ac");
    EXPECT_EQ(TruncatedUpperBinary("ab", 2), "ab");
    EXPECT_EQ(TruncatedUpperBinary(Hex("61ff00"), 2), "b");
    EXPECT_EQ(TruncatedUpperBinary(Hex("ffff00"), 2), std::nullopt);
}

}  // namespace
}  // namespace ivy::iceberg
