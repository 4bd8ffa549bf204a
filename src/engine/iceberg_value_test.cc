// SPDX-License-Identifier: Apache-2.0
#include "engine/iceberg_value.h"

#include <gtest/gtest.h>

namespace ivy::engine {
namespace {

lake::Column Decimal(int precision, int scale) {
    lake::Column column;
    column.kind = lake::Kind::kDecimal;
    column.precision = precision;
    column.scale = scale;
    return column;
}

TEST(IcebergValueTest, Decimals) {
    const lake::Column column = Decimal(3, 2);
    const auto value = FromSingleValue(column, iceberg::SingleValue(iceberg::Int128{-999}));
    ASSERT_TRUE(value);
    EXPECT_EQ(value->ToString(), "-9.99");
    EXPECT_EQ(ToSingleValue(column, *value), iceberg::SingleValue(iceberg::Int128{-999}));
}

// Partitions by truncate[700] end there: a bound that the type does not have is none, not an error.
TEST(IcebergValueTest, DecimalsBeyondTheirPrecision) {
    for (const int64_t number : {1000, -1000, 1399, -1400}) {
        EXPECT_FALSE(FromSingleValue(Decimal(3, 2), iceberg::SingleValue(iceberg::Int128{number}))) << number;
    }
}

}  // namespace
}  // namespace ivy::engine
