// SPDX-License-Identifier: Apache-2.0
//
// Data files: every type's extremes survive the way to Parquet and back; metrics are what Iceberg wants; names clash
// harmlessly; nothing is left of a file that was not finished.
#include "engine/parquet_writer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <random>

#include "base/fault_point.h"
#include "delta/chunk_convert.h"
#include "engine/data_file.h"
#include "engine/iceberg_schema.h"
#include "engine/stored_numeric.h"

namespace ivy::engine {
namespace {

class ParquetWriterTest : public testing::Test {
  protected:
    void SetUp() override {
        folder_ = testing::TempDir() + "/parquet_writer_test_" + std::to_string(getpid());
        std::filesystem::create_directories(folder_);
        Instance::Config config;
        config.temp_folder = folder_ + "/temp";
        auto instance = Instance::Open(config);
        ASSERT_TRUE(instance.ok()) << instance.error().message << instance.error().detail;
        instance_ = std::move(instance).value();
    }
    void TearDown() override {
        instance_.reset();
        std::filesystem::remove_all(folder_);
    }

    static MirrorColumn Column(uint32_t id, const std::string& name, ColumnType type, bool not_null = false) {
        return MirrorColumn{id, name, type, not_null};
    }

    // Writes a column chunk's rows "repeat" times.
    iceberg::DataFile Write(const std::vector<MirrorColumn>& columns, const ColumnChunkBuilder& rows,
                            const std::string& path, int repeat = 1) {
        ByteWriter bytes;
        rows.Write(&bytes);
        ByteReader in(bytes.bytes());
        auto view = ColumnChunkView::Read(&in);
        EXPECT_TRUE(view.ok());
        std::vector<ColumnType> types;
        for (const auto& column : columns) types.push_back(column.type);
        duckdb::DataChunk chunk;
        chunk.Initialize(duckdb::Allocator::DefaultAllocator(), delta::ToDuckTypes(types));
        auto writer = ParquetWriter::Open(*instance_, path, columns);
        EXPECT_TRUE(writer.ok()) << writer.error().message;
        for (int i = 0; i < repeat; i++) {
            for (size_t offset = 0; offset < view->rows; offset += STANDARD_VECTOR_SIZE) {
                const size_t count = std::min<size_t>(STANDARD_VECTOR_SIZE, view->rows - offset);
                EXPECT_TRUE(delta::ChunkFromView(*view, offset, count, &chunk).ok());
                const Status appended = (*writer)->Append(chunk);
                EXPECT_TRUE(appended.ok()) << appended.error().message;
            }
        }
        auto file = (*writer)->Finish();
        EXPECT_TRUE(file.ok()) << file.error().message;
        return *file;
    }

    // The rows of a file as a column chunk's bytes.
    Bytes ReadBack(const std::vector<MirrorColumn>& columns, const std::string& path) {
        std::vector<ColumnType> types;
        for (const auto& column : columns) types.push_back(column.type);
        duckdb::DataChunk all;
        ByteWriter out;
        const Status read = DataFileReader(*instance_).Scan(path, columns, [&](uint64_t, duckdb::DataChunk& chunk) {
            return delta::WriteChunk(chunk, 0, chunk.size(), types, &out);
        });
        EXPECT_TRUE(read.ok()) << read.error().message;
        return out.Take();
    }

    std::string folder_;
    std::unique_ptr<Instance> instance_;
};

TEST_F(ParquetWriterTest, KeepsEveryTypesExtremes) {
    std::vector<MirrorColumn> columns;
    uint32_t id = 1;
    for (const TypeKind kind : {TypeKind::kBool, TypeKind::kInt16, TypeKind::kInt32, TypeKind::kInt64, TypeKind::kFloat,
                                TypeKind::kDouble, TypeKind::kText, TypeKind::kBytes, TypeKind::kDate, TypeKind::kTime,
                                TypeKind::kTimestamp, TypeKind::kTimestampTz, TypeKind::kUuid, TypeKind::kInterval}) {
        columns.push_back(Column(id, "c" + std::to_string(id), {kind}));
        id += 3;
    }
    for (const uint8_t precision : {uint8_t{4}, uint8_t{9}, uint8_t{18}, uint8_t{38}}) {
        columns.push_back(Column(id, "d" + std::to_string(precision), {TypeKind::kDecimal, precision, 2}));
        id += 3;
    }
    std::vector<ColumnType> types;
    for (const auto& column : columns) types.push_back(column.type);
    ColumnChunkBuilder rows(types);
    for (int row = 0; row < 4; row++) {  // 0: smallest, 1: largest, 2: NULL, 3: something
        for (size_t c = 0; c < columns.size(); c++) {
            ColumnBuilder& out = rows.column(c);
            if (row == 2) {
                out.AppendNull();
                continue;
            }
            const auto pick = [&](auto low, auto high, auto other) { return row == 0 ? low : row == 1 ? high : other; };
            switch (types[c].kind) {
                case TypeKind::kBool: out.AppendFixed<uint8_t>(row == 1); break;
                case TypeKind::kInt16: out.AppendFixed<int16_t>(pick(INT16_MIN, INT16_MAX, -7)); break;
                case TypeKind::kInt32: out.AppendFixed<int32_t>(pick(INT32_MIN, INT32_MAX, -7)); break;
                case TypeKind::kInt64: out.AppendFixed<int64_t>(pick(INT64_MIN, INT64_MAX, int64_t{-7})); break;
                case TypeKind::kFloat: out.AppendFixed<float>(pick(-INFINITY, INFINITY, 1e-45f)); break;
                case TypeKind::kDouble: out.AppendFixed<double>(pick(-1.7976931348623157e308, 5e-324, -0.1)); break;
                case TypeKind::kText:
                    out.AppendVariable(pick(std::string(), std::string(5000, 'z'), std::string("ä'\"\n")));
                    break;
                case TypeKind::kBytes:
                    out.AppendVariable(pick(std::string(1, '\0'), std::string(300, '\xff'), std::string("a\0b", 3)));
                    break;
                case TypeKind::kDate: out.AppendFixed<int32_t>(pick(-INT32_MAX, INT32_MAX, -800000)); break;
                case TypeKind::kTime:
                    out.AppendFixed<int64_t>(pick(int64_t{0}, int64_t{86400000000}, int64_t{1}));
                    break;
                case TypeKind::kTimestamp:
                case TypeKind::kTimestampTz:
                    out.AppendFixed<int64_t>(pick(-INT64_MAX, INT64_MAX, int64_t{-62135596800000001}));
                    break;
                case TypeKind::kUuid: {
                    const std::string bytes = pick(std::string(16, '\0'), std::string(16, '\xff'),
                                                   std::string("\x80\x01"
                                                               "23456789abcdef"));
                    out.AppendRaw(bytes.data());
                    break;
                }
                case TypeKind::kInterval: {
                    struct Interval {
                        int32_t months, days;
                        int64_t micros;
                    };
                    out.AppendFixed(pick(Interval{INT32_MIN, INT32_MIN, INT64_MIN},
                                         Interval{INT32_MAX, INT32_MAX, INT64_MAX},
                                         Interval{-14, 3, -36 * int64_t{3600000000} - 1}));
                    break;
                }
                case TypeKind::kDecimal: {
                    Int128 limit = 1;
                    for (int i = 0; i < types[c].precision; i++) limit *= 10;
                    out.AppendFixed<Int128>(pick(-limit + 1, limit - 1, Int128{-5}));
                    break;
                }
            }
        }
    }
    const std::string path = folder_ + "/table/data/a.parquet";
    const iceberg::DataFile file = Write(columns, rows, path);
    EXPECT_EQ(file.record_count, 4);
    EXPECT_EQ(file.file_size, static_cast<int64_t>(std::filesystem::file_size(path)));
    ByteWriter expected;
    rows.Write(&expected);
    const Bytes back = ReadBack(columns, path);
    ByteReader expected_in(expected.bytes()), back_in(back);
    const auto a = ColumnChunkView::Read(&expected_in);
    const auto b = ColumnChunkView::Read(&back_in);
    ASSERT_TRUE(a.ok() && b.ok());
    ASSERT_EQ(b->rows, 4u);
    for (size_t c = 0; c < columns.size(); c++) {
        for (size_t row = 0; row < 4; row++) {
            ASSERT_EQ(a->columns[c].IsNull(row), b->columns[c].IsNull(row)) << types[c].DuckName() << " row " << row;
            if (row == 2) continue;
            if (types[c].IsVariable()) {
                EXPECT_EQ(a->columns[c].GetVariable(row), b->columns[c].GetVariable(row)) << types[c].DuckName();
            } else {
                const size_t width = types[c].FixedWidth();
                EXPECT_EQ(std::memcmp(a->columns[c].fixed + row * width, b->columns[c].fixed + row * width, width), 0)
                    << types[c].DuckName() << " row " << row;
            }
        }
        EXPECT_EQ(file.metrics.value_counts.at(static_cast<int>(columns[c].id)), 4);
        EXPECT_EQ(file.metrics.null_value_counts.at(static_cast<int>(columns[c].id)), 1);
        // DuckDB gives up on the bounds of bytes that no longer value can be cut above.
        const bool bounded = types[c].kind != TypeKind::kInterval && types[c].kind != TypeKind::kBytes;
        EXPECT_EQ(file.metrics.lower_bounds.contains(static_cast<int>(columns[c].id)), bounded) << types[c].DuckName();
    }
    // Column 4 is int16, stored as int; 19 is text; 22 is bytes.
    EXPECT_EQ(file.metrics.lower_bounds.at(4), std::string("\x00\x80\xff\xff", 4));
    EXPECT_EQ(file.metrics.upper_bounds.at(7), std::string("\xff\xff\xff\x7f", 4));
    EXPECT_EQ(file.metrics.lower_bounds.at(19), "");
    EXPECT_EQ(file.metrics.upper_bounds.at(19), "ä'\"\n");
    EXPECT_FALSE(file.metrics.upper_bounds.contains(22));
    EXPECT_EQ(file.metrics.lower_bounds.at(37), std::string(16, '\0'));
    EXPECT_EQ(file.metrics.upper_bounds.at(37), std::string(16, '\xff'));
    EXPECT_EQ(file.metrics.lower_bounds.at(43), std::string("\xd8\xf1", 2));  // -9999 in a decimal(4,2)
}

TEST_F(ParquetWriterTest, BoundsLeaveNanOut) {
    const std::vector<MirrorColumn> columns = {Column(1, "x", {TypeKind::kDouble})};
    ColumnChunkBuilder rows({{TypeKind::kDouble}});
    for (const double value : {1.5, std::numeric_limits<double>::quiet_NaN(), -2.5}) rows.column(0).AppendFixed(value);
    const auto file = Write(columns, rows, folder_ + "/table/data/nan.parquet");
    const auto number = [](const std::string& bytes) {
        double value;
        std::memcpy(&value, bytes.data(), sizeof value);
        return value;
    };
    EXPECT_EQ(number(file.metrics.lower_bounds.at(1)), -2.5);
    EXPECT_EQ(number(file.metrics.upper_bounds.at(1)), 1.5);
}

TEST_F(ParquetWriterTest, TakesAnyColumnNames) {
    const std::vector<std::string> names = {"a",  "A",   "a_2", "select", "\"q\"", "x.y", "__duckdb_field_id",
                                            "列", "A B", ""};
    std::vector<MirrorColumn> columns;
    std::vector<ColumnType> types;
    for (size_t i = 0; i < names.size(); i++) {
        columns.push_back(Column(static_cast<uint32_t>(i + 1), names[i], {TypeKind::kInt32}));
        types.push_back({TypeKind::kInt32});
    }
    ColumnChunkBuilder rows(types);
    for (size_t i = 0; i < names.size(); i++) rows.column(i).AppendFixed<int32_t>(static_cast<int32_t>(i) * 10);
    const std::string path = folder_ + "/table/data/na'm[e]*.parquet";
    const auto file = Write(columns, rows, path);
    EXPECT_EQ(file.metrics.lower_bounds.size(), names.size());
    const Bytes back = ReadBack(columns, path);
    ByteReader in(back);
    const auto view = ColumnChunkView::Read(&in);
    ASSERT_TRUE(view.ok());
    for (size_t i = 0; i < names.size(); i++) EXPECT_EQ(view->columns[i].Get<int32_t>(0), static_cast<int32_t>(i) * 10);
}

TEST(StoredNumeric, SplitsAndJoins) {
    const std::string nines(38, '9');
    for (const char* text : {"0", "1", "-1", "1.0", "1.00", "1.5", "-1.5", "-0.01", "0.0001", "1.50000", "0.00000000",
                             "12345678901234567890.12", "-18446744073709551616", "18446744073709551615.0000",
                             "9999999999999999999999999999999999.9999"}) {
        const auto number = SplitNumeric(text, 4);
        ASSERT_TRUE(number) << text;
        EXPECT_EQ(JoinNumeric(*number, 4), text);
    }
    EXPECT_EQ(SplitNumeric("-1.5", 4)->value, Int128{-15000});
    EXPECT_EQ(SplitNumeric("-1.5", 4)->display_scale, 1);
    for (const char* text :
         {"NaN", "Infinity", "-Infinity", "", "-", "1e5", "0.00001", "1.23456", "10000000000000000000000000000000000",
          "-10000000000000000000000000000000000.0", "1.0000x"}) {
        EXPECT_FALSE(SplitNumeric(text, 4)) << text;
    }
    for (const std::string& text : {nines, "-" + nines, nines + ".000"}) {
        const auto number = SplitNumeric(text, 0);
        ASSERT_TRUE(number) << text;
        EXPECT_EQ(JoinNumeric(*number, 0), text);
    }
    EXPECT_FALSE(SplitNumeric("1" + std::string(38, '0'), 0));
    EXPECT_EQ(JoinNumeric(*SplitNumeric("-0." + nines, 38), 38), "-0." + nines);
    EXPECT_EQ(JoinNumeric(*SplitNumeric("0." + std::string(16383, '0'), 38), 38), "0." + std::string(16383, '0'));
    EXPECT_FALSE(SplitNumeric("1", 38));
    std::mt19937_64 random(7);
    for (int i = 0; i < 20000; i++) {
        const int scale = static_cast<int>(random() % 39), display = static_cast<int>(random() % 45);
        const auto before = random() % static_cast<uint64_t>(39 - scale);  // digits before the point
        std::string text = before == 0 ? "0" : std::string(1, static_cast<char>('1' + random() % 9));
        while (text.size() < before) text += static_cast<char>('0' + random() % 10);
        if (display > 0) text += '.';
        bool zero = text.find_first_not_of("0.") == std::string::npos;
        for (int d = 0; d < display; d++) {
            text += d < scale ? static_cast<char>('0' + random() % 10) : '0';
            zero = zero && text.back() == '0';
        }
        if (!zero && random() % 2) text = "-" + text;
        const auto number = SplitNumeric(text, scale);
        ASSERT_TRUE(number) << text << " scale " << scale;
        ASSERT_EQ(JoinNumeric(*number, scale), text) << "scale " << scale;
    }
}

TEST_F(ParquetWriterTest, StoresNumericsAsDecimals) {
    std::vector<MirrorColumn> columns = {Column(1, "n", {TypeKind::kText}), Column(2, "n$scale", {TypeKind::kText}),
                                         Column(3, "all_two", {TypeKind::kText})};
    columns[0].numeric_scale = 4;
    columns[2].numeric_scale = 2;
    ColumnChunkBuilder rows({{TypeKind::kText}, {TypeKind::kText}, {TypeKind::kText}});
    const std::vector<const char*> values = {"1", "1.0", nullptr, "-1.50000", "100.1234"};
    for (const char* value : values) {
        if (value) {
            rows.column(0).AppendVariable(value);
        } else {
            rows.column(0).AppendNull();
        }
        rows.column(1).AppendVariable("x");
        rows.column(2).AppendVariable("2.50");
    }
    const std::string path = folder_ + "/table/data/n.parquet";
    const auto file = Write(columns, rows, path);
    const Bytes back = ReadBack(columns, path);
    ByteReader in(back);
    const auto view = ColumnChunkView::Read(&in);
    ASSERT_TRUE(view.ok());
    for (size_t i = 0; i < values.size(); i++) {
        ASSERT_EQ(view->columns[0].IsNull(i), values[i] == nullptr);
        if (values[i]) {
            EXPECT_EQ(view->columns[0].GetVariable(i), values[i]);
        }
        EXPECT_EQ(view->columns[1].GetVariable(i), "x");
        EXPECT_EQ(view->columns[2].GetVariable(i), "2.50");
    }
    // What others see, in Iceberg's terms.
    const auto stored = FileColumns(columns);
    ASSERT_EQ(stored.size(), 5u);
    EXPECT_EQ(stored[3].name, "n$scale_");
    EXPECT_EQ(stored[3].id, 1 + kScaleFieldOffset);
    const iceberg::Schema schema = MakeIcebergSchema(columns, {3});
    EXPECT_EQ(schema.fields[0].type, "decimal(38,4)");
    EXPECT_EQ(schema.fields[4].type, "int");
    EXPECT_FALSE(schema.fields[4].required);
    EXPECT_EQ(file.metrics.null_value_counts.at(1), 1);
    EXPECT_EQ(file.metrics.null_value_counts.at(3 + kScaleFieldOffset), 5);
    EXPECT_EQ(file.metrics.null_value_counts.at(1 + kScaleFieldOffset), 2);  // where the value is NULL, or has scale 4
    EXPECT_EQ(file.metrics.lower_bounds.at(1), std::string("\xc5\x68", 2));  // -15000
    EXPECT_EQ(file.metrics.upper_bounds.at(1), std::string("\x0f\x47\x12", 3));  // 1001234
    EXPECT_EQ(file.metrics.upper_bounds.at(1 + kScaleFieldOffset), std::string("\x05\0\0\0", 4));
    // A value that should not have come is no silent change.
    ColumnChunkBuilder wrong({{TypeKind::kText}, {TypeKind::kText}, {TypeKind::kText}});
    for (size_t i = 0; i < 3; i++) wrong.column(i).AppendVariable("NaN");
    auto writer = ParquetWriter::Open(*instance_, folder_ + "/table/data/wrong.parquet", columns);
    ASSERT_TRUE(writer.ok());
    ByteWriter out;
    wrong.Write(&out);
    ByteReader wrong_in(out.bytes());
    const auto wrong_view = ColumnChunkView::Read(&wrong_in);
    duckdb::DataChunk chunk;
    chunk.Initialize(duckdb::Allocator::DefaultAllocator(),
                     delta::ToDuckTypes({{TypeKind::kText}, {TypeKind::kText}, {TypeKind::kText}}));
    ASSERT_TRUE(delta::ChunkFromView(*wrong_view, 0, 1, &chunk).ok());
    EXPECT_FALSE((*writer)->Append(chunk).ok());
}

TEST_F(ParquetWriterTest, ReadsOldFilesUnderNewColumns) {
    ColumnChunkBuilder rows({{TypeKind::kInt32}, {TypeKind::kDecimal, 10, 2}});
    for (int i = 0; i < 10; i++) {
        rows.column(0).AppendFixed<int32_t>(i);
        rows.column(1).AppendFixed<Int128>(i * 100);
    }
    const std::string path = folder_ + "/table/data/old.parquet";
    Write({Column(1, "id", {TypeKind::kInt32}), Column(2, "gone", {TypeKind::kDecimal, 10, 2})}, rows, path);
    const Bytes back =
        ReadBack({Column(3, "added", {TypeKind::kText}), Column(2, "renamed", {TypeKind::kDecimal, 20, 2}),
                  Column(1, "id", {TypeKind::kInt64})},
                 path);
    ByteReader in(back);
    const auto view = ColumnChunkView::Read(&in);
    ASSERT_TRUE(view.ok());
    for (size_t i = 0; i < 10; i++) {
        EXPECT_TRUE(view->columns[0].IsNull(i));
        EXPECT_EQ(view->columns[1].Get<Int128>(i), Int128{static_cast<int64_t>(i) * 100});
        EXPECT_EQ(view->columns[2].Get<int64_t>(i), static_cast<int64_t>(i));
    }
}

TEST_F(ParquetWriterTest, FetchesSingleRows) {
    ColumnChunkBuilder rows({{TypeKind::kInt64}, {TypeKind::kText}});
    for (int64_t i = 0; i < 300000; i++) {
        rows.column(0).AppendFixed<int64_t>(i);
        rows.column(1).AppendVariable("row " + std::to_string(i));
    }
    const std::vector<MirrorColumn> columns = {Column(1, "id", {TypeKind::kInt64}), Column(2, "t", {TypeKind::kText})};
    const std::string path = folder_ + "/table/data/rows.parquet";
    Write(columns, rows, path);
    MirrorRowReader reader(*instance_, columns);
    std::vector<std::vector<uint64_t>> lists = {{0}, {299999}, {5, 6, 7}, {1, 122880, 250000}, {}, {}, {}};
    for (uint64_t i = 0; i < 300000; i += 37) lists[4].push_back(i);    // most of each block
    for (uint64_t i = 0; i < 300000; i += 1111) lists[5].push_back(i);  // few
    for (uint64_t i = 122880; i < 245760; i++) lists[6].push_back(i);   // a whole one
    for (const auto& wanted : lists) {
        std::map<uint64_t, std::string> found;
        const auto begin = std::chrono::steady_clock::now();
        const Status read = reader.ReadRows(path, wanted, {1}, [&](const int64_t* numbers, duckdb::DataChunk& chunk) {
            EXPECT_EQ(chunk.ColumnCount(), 1u);
            for (size_t i = 0; i < chunk.size(); i++) {
                EXPECT_TRUE(found.emplace(numbers[i], chunk.GetValue(0, i).ToString()).second);
            }
            return Status::Ok();
        });
        std::printf("%zu rows: %ld us\n", wanted.size(),
                    static_cast<long>(
                        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin)
                            .count()));
        ASSERT_TRUE(read.ok()) << read.error().message;
        for (const uint64_t row : wanted) ASSERT_TRUE(found.contains(row)) << row;
        for (const auto& [row, text] : found) ASSERT_EQ(text, "row " + std::to_string(row));
    }
    EXPECT_FALSE(reader.ReadRows(path, {300000}, {0}, [](const int64_t*, auto&) { return Status::Ok(); }).ok());
}

TEST_F(ParquetWriterTest, SortsFilesAndSaysWhereRowsWent) {
    DataFileSpec spec;
    spec.path = NewDataPath(folder_ + "/table", ".parquet");
    spec.index_folder = folder_;
    spec.columns = {Column(1, "id", {TypeKind::kInt64}), Column(2, "d", {TypeKind::kDouble}),
                    Column(3, "t", {TypeKind::kText})};
    spec.key = {1};
    spec.sort = {2, 3};
    spec.keep_order = true;
    auto writer = DataFileWriter::Open(*instance_, spec);
    ASSERT_TRUE(writer.ok()) << writer.error().message;
    // Doubles with all that is special about them, texts with NULLs, zero bytes and the empty one.
    constexpr int64_t kRows = 300000;
    const double special[] = {-0.0, 0.0, NAN, INFINITY, -INFINITY, 1.5, -1.5};
    std::vector<std::pair<std::optional<double>, std::optional<std::string>>> given;
    duckdb::DataChunk chunk;
    chunk.Initialize(duckdb::Allocator::DefaultAllocator(),
                     {duckdb::LogicalType::BIGINT, duckdb::LogicalType::DOUBLE, duckdb::LogicalType::VARCHAR});
    for (int64_t row = 0; row < kRows;) {
        chunk.Reset();
        const int64_t count = std::min<int64_t>(2000, kRows - row);
        for (int64_t i = 0; i < count; i++, row++) {
            const uint64_t random = static_cast<uint64_t>(row) * 0x9E3779B97F4A7C15;
            std::optional<double> d;
            std::optional<std::string> t;
            if (random >> 60 != 0)
                d = random >> 60 < 8 ? special[(random >> 40) % 7] : static_cast<double>((random >> 30) % 1000);
            if (random >> 50 & 7) t = std::string((random >> 20) % 40, static_cast<char>('a' + random % 3));
            if ((random >> 44) % 64 == 0) t = std::string("a\0b", 3);
            given.emplace_back(d, t);
            const auto at = static_cast<duckdb::idx_t>(i);
            chunk.data[0].SetValue(at, duckdb::Value::BIGINT(row));
            chunk.data[1].SetValue(at, d ? duckdb::Value::DOUBLE(*d) : duckdb::Value(duckdb::LogicalType::DOUBLE));
            chunk.data[2].SetValue(at, t ? duckdb::Value(*t) : duckdb::Value(duckdb::LogicalType::VARCHAR));
        }
        chunk.SetChildCardinality(static_cast<duckdb::idx_t>(count));
        ASSERT_TRUE((*writer)->Append(chunk).ok());
    }
    EXPECT_GT((*writer)->file_bytes(), 0u);
    const auto written = (*writer)->Finish();
    ASSERT_TRUE(written.ok()) << written.error().message;
    ASSERT_EQ(written->file.record_count, kRows);
    ASSERT_EQ(written->entry.order->size(), static_cast<size_t>(kRows));

    // By (d, t) with NULLs last and NaN above all numbers; every row whole, bit by bit, and where "order" says.
    const auto rank = [](const std::optional<double>& d) { return !d ? 2 : std::isnan(*d) ? 1 : 0; };
    const auto less = [&](const auto& a, const auto& b) {
        if (rank(a.first) != rank(b.first)) return rank(a.first) < rank(b.first);
        if (rank(a.first) == 0 && *a.first != *b.first) return *a.first < *b.first;
        if (!a.second || !b.second) return a.second.has_value() && !b.second.has_value();
        return *a.second < *b.second;
    };
    std::optional<std::pair<std::optional<double>, std::optional<std::string>>> last;
    uint64_t seen = 0;
    const Status read =
        DataFileReader(*instance_).Scan(spec.path, spec.columns, [&](uint64_t first, duckdb::DataChunk& rows) {
            for (duckdb::idx_t i = 0; i < rows.size(); i++, seen++) {
                const auto id = static_cast<size_t>(rows.GetValue(0, i).GetValue<int64_t>());
                const auto& [d, t] = given.at(id);
                if (written->entry.order->at(id) != first + i)
                    return Status::Internal("row " + std::to_string(id) + " is elsewhere");
                const duckdb::Value dv = rows.GetValue(1, i), tv = rows.GetValue(2, i);
                bool same = dv.IsNull() == !d && tv.IsNull() == !t;
                if (same && d) {
                    const double value = dv.GetValue<double>();
                    same = std::memcmp(&value, &*d, sizeof value) == 0 || (std::isnan(value) && std::isnan(*d));
                }
                if (same && t) same = duckdb::StringValue::Get(tv) == *t;
                if (!same) return Status::Internal("row " + std::to_string(id) + " has other values");
                if (last && less(given[id], *last))
                    return Status::Internal("row " + std::to_string(id) + " is out of order");
                last = given[id];
            }
            return Status::Ok();
        });
    EXPECT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(seen, static_cast<uint64_t>(kRows));
}

TEST_F(ParquetWriterTest, CutsRowGroupsByRowsAndBytes) {
    ColumnChunkBuilder rows({{TypeKind::kText}});
    for (int i = 0; i < 2048; i++) rows.column(0).AppendVariable(std::string(100000, static_cast<char>('a' + i % 26)));
    const std::string path = folder_ + "/table/data/wide.parquet";
    Write({Column(1, "t", {TypeKind::kText})}, rows, path, 2);
    const auto connection = instance_->Connect();
    auto result = connection->Query("SELECT count(DISTINCT row_group_id) FROM parquet_metadata('" + path + "')");
    ASSERT_FALSE(result->HasError()) << result->GetError();
    EXPECT_GE(result->Fetch()->GetValue(0, 0).GetValue<int64_t>(), 2);
}

// One chunk may have more than memory: it is cut into row groups as it comes.
TEST_F(ParquetWriterTest, CutsChunksOfWideRows) {
    Instance::Config config;
    config.temp_folder = folder_ + "/small";
    config.memory_limit = 64 << 20;
    instance_ = std::move(Instance::Open(config)).value();
    const std::vector<MirrorColumn> columns = {Column(1, "id", {TypeKind::kInt32}),
                                               Column(2, "wide", {TypeKind::kText}),
                                               Column(3, "length", {TypeKind::kInterval})};
    ColumnChunkBuilder rows({columns[0].type, columns[1].type, columns[2].type});
    for (int i = 0; i < 60; i++) {
        rows.column(0).AppendFixed(i);
        // Some rows are larger than a row group, some have nothing.
        i % 7 == 3
            ? rows.column(1).AppendNull()
            : rows.column(1).AppendVariable(std::string((i % 10 == 0 ? 9 : 2) << 20, static_cast<char>('a' + i % 26)));
        rows.column(2).AppendFixed(duckdb::interval_t{i, 0, 0});
    }
    const std::string path = folder_ + "/wide.parquet";
    EXPECT_EQ(Write(columns, rows, path).record_count, 60);
    auto connection = instance_->Connect();
    auto result = connection->Query(
        "SELECT count(*), sum(c1 * length(c2)), min(ascii(c2) - 97 = c1 % 26), count(DISTINCT c1) FROM "
        "(SELECT id AS c1, wide AS c2 FROM '" +
        path + "')");
    ASSERT_FALSE(result->HasError()) << result->GetError();
    auto answer = result->Fetch();
    int64_t sum = 0;
    for (int64_t i = 0; i < 60; i++) sum += i % 7 == 3 ? 0 : i * ((i % 10 == 0 ? 9 : 2) << 20);
    EXPECT_EQ(answer->GetValue(0, 0).GetValue<int64_t>(), 60);
    EXPECT_EQ(answer->GetValue(1, 0).GetValue<int64_t>(), sum);
    EXPECT_TRUE(answer->GetValue(2, 0).GetValue<bool>());
    EXPECT_EQ(answer->GetValue(3, 0).GetValue<int64_t>(), 60);
    result = connection->Query(
        "SELECT max(bytes) FROM (SELECT row_group_id, sum(total_uncompressed_size) AS bytes FROM parquet_metadata('" +
        path + "') GROUP BY 1)");
    ASSERT_FALSE(result->HasError()) << result->GetError();
    answer = result->Fetch();
    EXPECT_LT(answer->GetValue(0, 0).GetValue<int64_t>(), 14 << 20);
}

TEST_F(ParquetWriterTest, LeavesNothingOfAnUnfinishedFile) {
    const std::vector<MirrorColumn> columns = {Column(1, "id", {TypeKind::kInt64})};
    {
        DataFileSpec spec;
        spec.path = NewDataPath(folder_ + "/table", ".parquet");
        spec.index_folder = folder_ + "/index";
        spec.columns = columns;
        spec.key = {1};
        auto writer = DataFileWriter::Open(*instance_, spec);
        ASSERT_TRUE(writer.ok());
        duckdb::DataChunk chunk;
        chunk.Initialize(duckdb::Allocator::DefaultAllocator(), {duckdb::LogicalType::BIGINT});
        chunk.SetChildCardinality(100);
        for (int i = 0; i < 3000; i++) ASSERT_TRUE((*writer)->Append(chunk).ok());
    }
    EXPECT_TRUE(std::filesystem::is_empty(folder_ + "/table/data"));
    EXPECT_FALSE(std::filesystem::exists(folder_ + "/index"));
}

TEST_F(ParquetWriterTest, ReportsWhatTheDiskRefuses) {
    auto writer = ParquetWriter::Open(*instance_, "/proc/nowhere/x.parquet", {Column(1, "id", {TypeKind::kInt64})});
    EXPECT_FALSE(writer.ok());
}

TEST(FileColumnNames, DifferByMoreThanCase) {
    std::vector<MirrorColumn> columns;
    for (const char* name : {"a", "A", "b", "a_2", "A"}) {
        columns.push_back({static_cast<uint32_t>(columns.size() + 1), name, {TypeKind::kInt32}, false});
    }
    EXPECT_EQ(FileColumnNames(columns), (std::vector<std::string>{"a", "A_2_", "b", "a_2", "A_5"}));
}

}  // namespace
}  // namespace ivy::engine
