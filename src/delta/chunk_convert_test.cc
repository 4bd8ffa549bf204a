// SPDX-License-Identifier: Apache-2.0
// Unit tests of chunk_convert: every type round-trips through DuckDB's vectors, flat, constant and dictionary.
#include "delta/chunk_convert.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "duckdb/common/types/uuid.hpp"
#include "duckdb/common/types/value.hpp"
#include "duckdb/common/vector/constant_vector.hpp"

namespace ivy::delta {
namespace {

using duckdb::DataChunk;
using duckdb::Value;

const std::vector<ColumnType> kAllTypes = {{TypeKind::kBool},           {TypeKind::kInt16},
                                           {TypeKind::kInt32},          {TypeKind::kInt64},
                                           {TypeKind::kFloat},          {TypeKind::kDouble},
                                           {TypeKind::kDecimal, 4, 2},  {TypeKind::kDecimal, 9, 0},
                                           {TypeKind::kDecimal, 18, 5}, {TypeKind::kDecimal, 38, 10},
                                           {TypeKind::kText},           {TypeKind::kBytes},
                                           {TypeKind::kDate},           {TypeKind::kTime},
                                           {TypeKind::kTimestamp},      {TypeKind::kTimestampTz},
                                           {TypeKind::kUuid},           {TypeKind::kInterval}};

void AppendRandom(ColumnBuilder* column, std::mt19937_64* random) {
    if ((*random)() % 5 == 0) return column->AppendNull();
    const ColumnType& type = column->type();
    switch (type.kind) {
        case TypeKind::kBool: return column->AppendFixed<uint8_t>((*random)() & 1);
        case TypeKind::kDecimal: {
            Int128 limit = 1;
            for (int i = 0; i < type.precision; i++) limit *= 10;
            const Int128 value = static_cast<Int128>((*random)()) * static_cast<Int128>((*random)() >> 1) % limit;
            return column->AppendFixed<Int128>((*random)() & 1 ? value : -value);
        }
        case TypeKind::kText:
        case TypeKind::kBytes: {
            std::string text((*random)() % 40, 'x');
            for (char& c : text) c = static_cast<char>('a' + (*random)() % 26);
            return column->AppendVariable(text);
        }
        default: {
            uint8_t bytes[16];
            for (uint8_t& byte : bytes) byte = static_cast<uint8_t>((*random)());
            return column->AppendRaw(bytes);
        }
    }
}

Bytes RandomChunk(size_t rows, uint64_t seed) {
    std::mt19937_64 random(seed);
    ColumnChunkBuilder builder(kAllTypes);
    for (size_t c = 0; c < kAllTypes.size(); c++) {
        for (size_t r = 0; r < rows; r++) AppendRandom(&builder.column(c), &random);
    }
    ByteWriter out;
    builder.Write(&out);
    return out.Take();
}

ColumnChunkView View(const Bytes& bytes) {
    ByteReader in(bytes);
    auto view = ColumnChunkView::Read(&in);
    EXPECT_TRUE(view.ok() && in.Finish("chunk").ok());
    return std::move(view).value();
}

std::string ValueAt(const ColumnView& column, size_t row) {
    if (column.IsNull(row)) return "NULL";
    if (column.type.IsVariable()) return std::string(column.GetVariable(row));
    const size_t width = column.type.FixedWidth();
    return {reinterpret_cast<const char*>(column.fixed) + row * width, width};
}

TEST(ChunkConvert, EveryTypeRoundTripsInSlices) {
    const size_t rows = 1000;
    const Bytes wire = RandomChunk(rows, 7);
    const ColumnChunkView view = View(wire);
    DataChunk chunk;
    chunk.Initialize(duckdb::Allocator::DefaultAllocator(), ToDuckTypes(kAllTypes));
    for (const auto& [offset, count] : {std::pair<size_t, size_t>{0, rows}, {13, 500}, {999, 1}, {5, 0}}) {
        ASSERT_TRUE(ChunkFromView(view, offset, count, &chunk).ok());
        ASSERT_EQ(chunk.size(), count);
        ByteWriter out;
        ASSERT_TRUE(WriteChunk(chunk, 0, count, kAllTypes, &out).ok());
        const ColumnChunkView back = View(out.bytes());
        ASSERT_EQ(back.rows, count);
        for (size_t c = 0; c < kAllTypes.size(); c++) {
            EXPECT_EQ(back.columns[c].type, kAllTypes[c]);
            for (size_t r = 0; r < count; r++) {
                ASSERT_EQ(ValueAt(back.columns[c], r), ValueAt(view.columns[c], offset + r)) << c << ' ' << r;
            }
        }
    }
}

TEST(ChunkConvert, DictionaryAndConstantVectors) {
    const size_t rows = 300;
    const Bytes wire = RandomChunk(rows, 8);
    const ColumnChunkView view = View(wire);
    DataChunk flat, sliced, constant;
    flat.Initialize(duckdb::Allocator::DefaultAllocator(), ToDuckTypes(kAllTypes));
    sliced.InitializeEmpty(ToDuckTypes(kAllTypes));
    constant.InitializeEmpty(ToDuckTypes(kAllTypes));
    ASSERT_TRUE(ChunkFromView(view, 0, rows, &flat).ok());
    duckdb::SelectionVector sel(rows);
    for (size_t i = 0; i < rows; i++) sel.set_index(i, rows - 1 - i / 2);
    sliced.Slice(flat, sel, rows);
    ByteWriter out;
    ASSERT_TRUE(WriteChunk(sliced, 10, 200, kAllTypes, &out).ok());
    const ColumnChunkView back = View(out.bytes());
    for (size_t c = 0; c < kAllTypes.size(); c++) {
        for (size_t r = 0; r < 200; r++) {
            ASSERT_EQ(ValueAt(back.columns[c], r), ValueAt(view.columns[c], rows - 1 - (r + 10) / 2)) << c << ' ' << r;
        }
    }
    for (size_t c = 0; c < kAllTypes.size(); c++) {
        duckdb::ConstantVector::Reference(constant.data[c], duckdb::count_t(5), flat.data[c], 42, rows);
    }
    constant.SetChildCardinality(5);
    ByteWriter constant_out;
    ASSERT_TRUE(WriteChunk(constant, 0, 5, kAllTypes, &constant_out).ok());
    const ColumnChunkView same = View(constant_out.bytes());
    for (size_t c = 0; c < kAllTypes.size(); c++) {
        for (size_t r = 0; r < 5; r++) ASSERT_EQ(ValueAt(same.columns[c], r), ValueAt(view.columns[c], 42)) << c;
    }
}

TEST(ChunkConvert, ValuesMeanTheSameToDuckDB) {
    ColumnChunkBuilder builder({{TypeKind::kUuid},
                                {TypeKind::kDecimal, 10, 2},
                                {TypeKind::kTimestamp},
                                {TypeKind::kDate},
                                {TypeKind::kInterval}});
    const uint8_t uuid[16] = {0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 1, 2, 3, 4, 5, 6, 7, 8};
    builder.column(0).AppendRaw(uuid);
    builder.column(1).AppendFixed<Int128>(-12345);
    builder.column(2).AppendFixed<int64_t>(INT64_MAX);
    builder.column(3).AppendFixed<int32_t>(-INT32_MAX);
    struct {
        int32_t months = 14, days = -3;
        int64_t micros = 1000000;
    } interval;
    builder.column(4).AppendRaw(&interval);
    ByteWriter out;
    builder.Write(&out);
    const ColumnChunkView view = View(out.bytes());
    DataChunk chunk;
    std::vector<ColumnType> types;
    for (const ColumnView& column : view.columns) types.push_back(column.type);
    chunk.Initialize(duckdb::Allocator::DefaultAllocator(), ToDuckTypes(types));
    ASSERT_TRUE(ChunkFromView(view, 0, 1, &chunk).ok());
    EXPECT_EQ(chunk.GetValue(0, 0).ToString(), "12345678-9abc-def0-0102-030405060708");
    EXPECT_EQ(chunk.GetValue(1, 0).ToString(), "-123.45");
    EXPECT_EQ(chunk.GetValue(2, 0).ToString(), "infinity");
    EXPECT_EQ(chunk.GetValue(3, 0).ToString(), "-infinity");
    EXPECT_EQ(chunk.GetValue(4, 0).ToString(), "1 year 2 months -3 days 00:00:01");
}

TEST(ChunkConvert, BadInputIsRefused) {
    ColumnChunkBuilder builder(std::vector<ColumnType>{{TypeKind::kDecimal, 4, 0}});
    builder.column(0).AppendFixed<Int128>(10000);
    ByteWriter out;
    builder.Write(&out);
    DataChunk chunk;
    chunk.Initialize(duckdb::Allocator::DefaultAllocator(), {duckdb::LogicalType::DECIMAL(4, 0)});
    EXPECT_EQ(ChunkFromView(View(out.bytes()), 0, 1, &chunk).error().sqlstate, sqlstate::kProtocolViolation);

    DataChunk other;
    other.Initialize(duckdb::Allocator::DefaultAllocator(), {duckdb::LogicalType::INTEGER});
    other.SetChildCardinality(0);
    ByteWriter none;
    EXPECT_FALSE(WriteChunk(other, 0, 0, {{TypeKind::kInt64}}, &none).ok());
    EXPECT_FALSE(WriteChunk(other, 0, 0, {}, &none).ok());
    EXPECT_FALSE(FromDuckType(duckdb::LogicalType::UBIGINT).ok());
    EXPECT_EQ(FromDuckType(duckdb::LogicalType::HUGEINT).value(), (ColumnType{TypeKind::kDecimal, 38, 0}));
}

}  // namespace
}  // namespace ivy::delta
