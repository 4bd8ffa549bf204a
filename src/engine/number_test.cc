// SPDX-License-Identifier: Apache-2.0
// Number: the expected texts are what PostgreSQL 18 prints.
#include "engine/number.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include <duckdb.hpp>

#include "engine/error_map.h"

namespace ivy::engine {
namespace {

std::string Binary(Number (*function)(const Number&, const Number&), const char* a, const char* b) {
    try {
        return function(Number::Parse(a), Number::Parse(b)).Text();
    } catch (const std::exception& error) {
        return "!" + StatusFromException(error).error().sqlstate;
    }
}

std::string Unary(Number (*function)(const Number&), const char* a) {
    try {
        return function(Number::Parse(a)).Text();
    } catch (const std::exception& error) {
        return "!" + StatusFromException(error).error().sqlstate;
    }
}

TEST(NumberTest, TextIsCanonical) {
    for (const char* text :
         {"0", "0.00", "1", "-1.50", "123456789012345678", "1234567890123456789012345678901234567890.5",
          "-0.000000000000000000000000000000000001", "NaN", "Infinity", "-Infinity"}) {
        EXPECT_EQ(Number::Parse(text).Text(), text);
    }
    EXPECT_EQ(Number::Parse("1.5e3").Text(), "1500");
    EXPECT_EQ(Number::Parse("1.5e-3").Text(), "0.0015");
    for (const char* text : {"", "-", ".", "1x", "1e", "nan", "1.2.3"}) {
        EXPECT_THROW(Number::Parse(text), duckdb::Exception) << text;
    }
}

TEST(NumberTest, Arithmetic) {
    EXPECT_EQ(Binary(Add, "1.5", "2.25"), "3.75");
    EXPECT_EQ(Binary(Add, "Infinity", "-Infinity"), "NaN");
    EXPECT_EQ(Binary(Subtract, "1.50", "1.5"), "0.00");
    EXPECT_EQ(Binary(Multiply, "1.50", "-2.0"), "-3.000");
    EXPECT_EQ(Binary(Multiply, "0", "Infinity"), "NaN");
    EXPECT_EQ(Binary(Modulo, "-7.5", "2"), "-1.5");
    EXPECT_EQ(Binary(Modulo, "7", "0.30"), "0.10");
    EXPECT_EQ(Binary(Modulo, "7", "0"), "!22012");
    EXPECT_EQ(Binary(DivideToInteger, "-7.5", "2"), "-3");
    EXPECT_EQ(Unary(Ceiling, "-1.5"), "-1");
    EXPECT_EQ(Unary(Floor, "-1.5"), "-2");
    EXPECT_EQ(Round(Number::Parse("2.5"), 0).Text(), "3");
    EXPECT_EQ(Round(Number::Parse("-150"), -2).Text(), "-200");
    EXPECT_EQ(Round(Number::Parse("1.5"), 3).Text(), "1.500");
    EXPECT_EQ(Truncate(Number::Parse("-1.59"), 1).Text(), "-1.5");
}

TEST(NumberTest, QuotientsHaveTheServersScale) {
    EXPECT_EQ(Binary(Divide, "1", "3"), "0.33333333333333333333");
    EXPECT_EQ(Binary(Divide, "2", "3"), "0.66666666666666666667");
    EXPECT_EQ(Binary(Divide, "10", "3"), "3.3333333333333333");
    EXPECT_EQ(Binary(Divide, "-100000", "7.0"), "-14285.714285714286");
    EXPECT_EQ(Binary(Divide, "0", "7.00"), "0.00000000000000000000");
    EXPECT_EQ(Binary(Divide, "0.00001", "70000"), "0.0000000001428571428571428571");
    EXPECT_EQ(Binary(Divide, "1", "0"), "!22012");
    EXPECT_EQ(Binary(Divide, "NaN", "0"), "NaN");
    EXPECT_EQ(Binary(Divide, "Infinity", "0"), "!22012");
    EXPECT_EQ(Binary(Divide, "1", "-Infinity"), "0");
}

TEST(NumberTest, Roots) {
    EXPECT_EQ(Unary(SquareRoot, "2"), "1.414213562373095");
    EXPECT_EQ(Unary(SquareRoot, "0.0001"), "0.01000000000000000");
    EXPECT_EQ(Unary(SquareRoot, "-1"), "!2201F");
    EXPECT_EQ(Unary(SquareRoot, "Infinity"), "Infinity");
}

TEST(NumberTest, KeysSortAsValues) {
    const std::vector<const char*> ascending = {"-Infinity", "-1000000", "-10.5", "-10.25", "-10",      "-9.99",
                                                "-1",        "-0.5",     "-0.05", "0",      "0.001",    "0.05",
                                                "0.5",       "1",        "1.01",  "1.1",    "9",        "10",
                                                "10.01",     "99.9",     "100",   "1e40",   "Infinity", "NaN"};
    for (size_t i = 0; i < ascending.size(); i++) {
        for (size_t j = 0; j < ascending.size(); j++) {
            const Number a = Number::Parse(ascending[i]);
            const Number b = Number::Parse(ascending[j]);
            const int by_key = a.Key().compare(b.Key());
            EXPECT_EQ(by_key < 0, i < j) << ascending[i] << " " << ascending[j];
            EXPECT_EQ(Compare(a, b) < 0, i < j) << ascending[i] << " " << ascending[j];
        }
    }
    EXPECT_EQ(Number::Parse("1.500").Key(), Number::Parse("1.5").Key());
    EXPECT_EQ(Number::Parse("0.00").Key(), Number::Parse("0").Key());
    EXPECT_EQ(Number::Parse("-100").Key(), Number::Parse("-100.0").Key());
}

TEST(NumberTest, Deviations) {
    const auto deviation = [](int64_t count, const char* sum, const char* squares, bool sample, bool root) {
        return Deviation(Number::FromInteger(count), Number::Parse(sum), Number::Parse(squares), sample, root).Text();
    };
    EXPECT_EQ(deviation(3, "6", "14", true, false), "1.00000000000000000000");  // 1, 2, 3
    EXPECT_EQ(deviation(3, "6", "14", false, false), "0.66666666666666666667");
    EXPECT_EQ(deviation(3, "6", "14", false, true), "0.81649658092772603273");
    EXPECT_EQ(deviation(2, "4.0", "8.00", true, true), "0");
    EXPECT_EQ(deviation(2, "NaN", "NaN", true, true), "NaN");
}

TEST(NumberTest, Floats) {
    EXPECT_EQ(Number::FromDouble(0.1, 15).Text(), "0.1");
    EXPECT_EQ(Number::FromDouble(1e40, 15).Text(), "10000000000000000000000000000000000000000");
    EXPECT_EQ(Number::FromDouble(-1.5, 6).Text(), "-1.5");
    EXPECT_EQ(Number::Parse("123456789012345678901234567890").ToFloat<double>(), 123456789012345678901234567890.0);
    EXPECT_EQ(Number::Parse("32767.4").ToInteger(-32768, 32767, "smallint"), 32767);
    EXPECT_THROW(Number::Parse("32767.5").ToInteger(-32768, 32767, "smallint"), duckdb::Exception);
}

}  // namespace
}  // namespace ivy::engine
