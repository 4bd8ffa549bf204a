// SPDX-License-Identifier: Apache-2.0
//
// Scans of mirrors and row sources, over a read view made by hand: data files with deletions, renamed, added and
// widened columns, delta chunks, uploaded rows; and that DuckDB still prunes and pushes down through them.
#include <gtest/gtest.h>

#include <duckdb.hpp>

#include <filesystem>

#include "delta/chunk_convert.h"
#include "engine/error_map.h"
#include "engine/instance.h"
#include "engine/query_inputs.h"
#include "engine/row_source.h"

namespace ivy::engine {
namespace {

constexpr ColumnType kInt{TypeKind::kInt32, 0, 0};
constexpr ColumnType kBigint{TypeKind::kInt64, 0, 0};
constexpr ColumnType kText{TypeKind::kText, 0, 0};

class FakeView final : public delta::ReadView {
  public:
    const std::vector<MirrorColumn>& columns() const override { return columns_; }
    const std::vector<delta::FileView>& files() const override { return files_; }
    size_t delta_chunks() const override { return chunks_.size(); }
    uint64_t delta_rows() const override {
        uint64_t rows = 0;
        for (const auto& chunk : chunks_) rows += chunk->size();
        return rows;
    }
    void ScanDelta(size_t chunk, const std::vector<size_t>& columns, duckdb::DataChunk& out) const override {
        for (size_t i = 0; i < columns.size(); i++) out.data[i].Reference(chunks_[chunk]->data[columns[i]]);
        out.SetCardinalityUnsafe(chunks_[chunk]->size());
    }

    std::vector<MirrorColumn> columns_;
    std::vector<delta::FileView> files_;
    std::vector<std::unique_ptr<duckdb::DataChunk>> chunks_;
};

class ScanTest : public testing::Test {
  protected:
    void SetUp() override {
        folder_ = testing::TempDir() + "/ivy_scan_test_" + std::to_string(getpid());
        std::filesystem::remove_all(folder_);
        std::filesystem::create_directories(folder_ + "/warehouse");
        Instance::Config config;
        config.temp_folder = folder_ + "/temp";
        config.threads = 4;
        auto instance = Instance::Open(config);
        ASSERT_TRUE(instance.ok()) << instance.error().message;
        instance_ = std::move(*instance);
        connection_ = instance_->Connect();
        inputs_ = &QueryInputs::Attach(*connection_->context);
        view_ = std::make_shared<FakeView>();
        view_->columns_ = {{1, "id", kInt, true}, {3, "amount", kBigint, false}, {4, "note", kText, false}};
    }
    void TearDown() override {
        connection_.reset();
        instance_.reset();
        std::filesystem::remove_all(folder_);
    }

    // Writes a data file from a query, with field ids for its columns in order.
    delta::FileView WriteFile(const std::string& name, const std::string& select, const std::string& field_ids) {
        duckdb::DuckDB other(nullptr);
        duckdb::Connection connection(other);
        delta::FileView file;
        file.path = folder_ + "/warehouse/" + name;
        const auto result = connection.Query("COPY (" + select + ") TO '" + file.path +
                                             "' (FORMAT parquet, ROW_GROUP_SIZE 2048, FIELD_IDS " + field_ids + ")");
        EXPECT_FALSE(result->HasError()) << result->GetError();
        const auto count = connection.Query("SELECT count(*) FROM '" + file.path + "'");
        file.rows = count->Fetch()->GetValue(0, 0).GetValue<int64_t>();
        file.size = static_cast<int64_t>(std::filesystem::file_size(file.path));
        return file;
    }
    void AddDelta(const std::string& select) {
        duckdb::DuckDB other(nullptr);
        auto result = duckdb::Connection(other).Query(select);
        ASSERT_FALSE(result->HasError()) << result->GetError();
        while (auto chunk = result->Fetch()) view_->chunks_.emplace_back(chunk.release());
    }
    // All rows as text: columns joined by "|", rows by newlines; or the error's SQLSTATE.
    std::string Run(const std::string& sql) {
        inputs_->mirrors = {{view_, inexact_}};
        const auto result = connection_->Query(sql);
        if (result->HasError()) {
            const Error error = ErrorFromDuck(result->GetErrorObject());
            return "!" + error.sqlstate + " " + error.message;
        }
        std::string text;
        while (auto chunk = result->Fetch()) {
            for (size_t row = 0; row < chunk->size(); row++) {
                if (!text.empty()) text += "\n";
                for (size_t column = 0; column < chunk->ColumnCount(); column++) {
                    text += (column ? "|" : "") + chunk->GetValue(column, row).ToString();
                }
            }
        }
        return text;
    }

    const std::string kBoth = "(SELECT * FROM ivy_files('0') UNION ALL SELECT * FROM ivy_delta(0))";
    std::string folder_;
    std::unique_ptr<Instance> instance_;
    std::unique_ptr<duckdb::Connection> connection_;
    QueryInputs* inputs_ = nullptr;
    std::shared_ptr<FakeView> view_;
    std::vector<uint32_t> inexact_;
};

TEST_F(ScanTest, EmptyMirror) {
    EXPECT_EQ(Run("SELECT * FROM ivy_delta(0)"), "");
    EXPECT_EQ(Run("SELECT count(*), sum(c3) FROM ivy_delta(0)"), "0|NULL");
    EXPECT_EQ(Run("SELECT typeof(c1) || typeof(c3) || typeof(c4) FROM (SELECT NULL) LEFT JOIN ivy_delta(0) ON true"),
              "INTEGERBIGINTVARCHAR");
}

TEST_F(ScanTest, ColumnsAreMatchedByFieldId) {
    // An old file: before "note" was added, when "amount" was an int named differently; a dropped column in between.
    view_->files_.push_back(
        WriteFile("old.parquet", "SELECT 1 AS c4, 'gone' AS x, 10::INTEGER AS y", "{c4: 1, x: 2, y: 3}"));
    view_->files_.push_back(
        WriteFile("new.parquet", "SELECT 'n' AS c1, 20::BIGINT AS c3, 2 AS c4", "{c1: 4, c3: 3, c4: 1}"));
    EXPECT_EQ(Run("SELECT * FROM ivy_files('0') ORDER BY c1"), "1|10|NULL\n2|20|n");
    EXPECT_EQ(Run("SELECT c1 FROM ivy_files('0') WHERE c4 IS NULL"), "1");
    EXPECT_EQ(Run("SELECT c1 FROM ivy_files('0') WHERE c4 = 'n'"), "2");
    EXPECT_EQ(Run("SELECT c1 FROM ivy_files('0') WHERE c3 < 15"), "1");
    EXPECT_EQ(Run("SELECT max(c3), count(*), count(c4) FROM ivy_files('0')"), "20|2|1");
}

TEST_F(ScanTest, DeletedRowsAreDropped) {
    const std::string rows = "SELECT i::INTEGER AS a, (i * 2)::BIGINT AS b, 'r' || i AS c FROM range(10000) t(i)";
    view_->files_.push_back(WriteFile("a.parquet", rows, "{a: 1, b: 3, c: 4}"));
    view_->files_.push_back(WriteFile("b.parquet", rows, "{a: 1, b: 3, c: 4}"));
    auto deleted = std::make_shared<delta::RowSet>();
    for (uint64_t row = 0; row < 10000; row += 2) deleted->add(row);  // every even row
    for (uint64_t row = 2048; row < 4096; row++) deleted->add(row);   // a whole row group
    deleted->add(uint64_t{9999});
    view_->files_[1].deleted = deleted;
    EXPECT_EQ(Run("SELECT count(*) FROM ivy_files('0')"), std::to_string(20000 - deleted->cardinality()));
    EXPECT_EQ(Run("SELECT count(*) FROM (SELECT c1 FROM ivy_files('0') GROUP BY c1 HAVING count(*) = 2)"),
              std::to_string(10000 - deleted->cardinality()));
    EXPECT_EQ(Run("SELECT count(*), min(c4) FROM ivy_files('0') WHERE c1 = 5"), "2|r5");
    EXPECT_EQ(Run("SELECT count(*) FROM ivy_files('0') WHERE c1 = 4"), "1");
    EXPECT_EQ(Run("SELECT count(*) FROM ivy_files('0') WHERE c1 BETWEEN 2048 AND 4095"), "2048");
    EXPECT_EQ(Run("SELECT count(*), max(c1) FROM ivy_files('0') WHERE c3 > 19990"), "5|9999");
    EXPECT_EQ(Run("SELECT c1, c4 FROM ivy_files('0') ORDER BY c1 DESC, c4 LIMIT 3"),
              "9999|r9999\n9998|r9998\n9997|r9997");
    EXPECT_EQ(Run("SELECT min(c1), max(c1) FROM ivy_files('0') WHERE c1 % 2 = 1"), "1|9999");
    EXPECT_EQ(Run("SELECT c1, count(*) FROM ivy_files('0') a JOIN ivy_files('0') b USING (c1) WHERE c1 < 4 "
                  "GROUP BY c1 ORDER BY c1"),
              "0|1\n1|4\n2|1\n3|4");
    // Everything deleted.
    auto all = std::make_shared<delta::RowSet>();
    for (uint64_t row = 0; row < 10000; row++) all->add(row);
    view_->files_[0].deleted = view_->files_[1].deleted = all;
    EXPECT_EQ(Run("SELECT count(*), min(c1) FROM ivy_files('0')"), "0|NULL");
}

TEST_F(ScanTest, FilesAndDelta) {
    view_->files_.push_back(WriteFile(
        "a.parquet", "SELECT i::INTEGER AS a, i::BIGINT AS b, 'f' AS c FROM range(100000) t(i)", "{a: 1, b: 3, c: 4}"));
    AddDelta("SELECT (100000 + i)::INTEGER, i::BIGINT, CASE WHEN i % 3 > 0 THEN 'd' END FROM range(10000) t(i)");
    ASSERT_GT(view_->delta_chunks(), 1u);
    EXPECT_EQ(Run("SELECT count(*) FROM " + kBoth), "110000");
    EXPECT_EQ(Run("SELECT sum(c3), count(c4), min(c1), max(c1) FROM " + kBoth),
              std::to_string(uint64_t{99999} * 100000 / 2 + uint64_t{9999} * 10000 / 2) + "|106666|0|109999");
    EXPECT_EQ(Run("SELECT c4, count(*) FROM " + kBoth + " WHERE c1 >= 99999 GROUP BY c4 ORDER BY c4 NULLS LAST"),
              "d|6666\nf|1\nNULL|3334");
    EXPECT_EQ(Run("SELECT count(*) FROM " + kBoth + " a JOIN " + kBoth + " b ON (a.c1 = b.c1)"), "110000");
    EXPECT_EQ(Run("SELECT c1 FROM " + kBoth + " ORDER BY c1 DESC LIMIT 2"), "109999\n109998");
    EXPECT_EQ(Run("SELECT 1 FROM " + kBoth + " WHERE c3 = 50000 AND c4 = 'f'"), "1");
}

TEST_F(ScanTest, PlanPushesDown) {
    view_->files_.push_back(WriteFile(
        "a.parquet", "SELECT i::INTEGER AS a, i::BIGINT AS b, 'f' AS c FROM range(100000) t(i)", "{a: 1, b: 3, c: 4}"));
    AddDelta("SELECT 1::INTEGER, 1::BIGINT, 'd'");
    const std::string plan = Run("EXPLAIN SELECT sum(c3) FROM " + kBoth + " x WHERE c1 > 99990");
    EXPECT_NE(plan.find("c1 > 99990"), std::string::npos) << plan;
    EXPECT_EQ(plan.find("c4"), std::string::npos) << plan;
    // Row groups that the filter rules out are not read.
    const std::string profile = Run("EXPLAIN ANALYZE SELECT sum(c3) FROM ivy_files('0') WHERE c1 > 99990");
    EXPECT_EQ(profile.find("100,000 rows"), std::string::npos) << profile;
}

TEST_F(ScanTest, InexactColumnsAreRefused) {
    view_->files_.push_back(
        WriteFile("a.parquet", "SELECT 1::INTEGER AS a, 1::BIGINT AS b, 'f' AS c", "{a: 1, b: 3, c: 4}"));
    AddDelta("SELECT 2::INTEGER, 2::BIGINT, 'd'");
    inexact_ = {3};
    EXPECT_EQ(Run("SELECT count(*), min(c1) FROM " + kBoth), "2|1");
    EXPECT_FALSE(inputs_->reads_inexact);
    EXPECT_EQ(Run("SELECT c1 FROM (SELECT * FROM " + kBoth + ") ORDER BY 1"), "1\n2");
    for (const char* sql : {"SELECT sum(c3) FROM ", "SELECT c1 FROM ", "SELECT * FROM "}) {
        inputs_->reads_inexact = false;
        const std::string where = std::string(sql).find("c1") == std::string::npos ? "" : " WHERE c3 > 0";
        EXPECT_EQ(Run(sql + kBoth + where).substr(0, 6), "!0A000") << sql;
        EXPECT_TRUE(inputs_->reads_inexact);
    }
}

TEST_F(ScanTest, BadReferences) {
    EXPECT_EQ(Run("SELECT * FROM ivy_delta(1)").substr(0, 1), "!");
    EXPECT_EQ(Run("SELECT * FROM ivy_delta(-1)").substr(0, 1), "!");
    EXPECT_EQ(Run("SELECT * FROM ivy_delta(NULL)").substr(0, 1), "!");
    EXPECT_EQ(Run("SELECT * FROM ivy_files('x')").substr(0, 1), "!");
    EXPECT_EQ(Run("SELECT * FROM ivy_files('/etc/passwd')").substr(0, 1), "!");
    EXPECT_EQ(Run("SELECT * FROM ivy_rows(0)").substr(0, 1), "!");
    const auto other = instance_->Connect();
    EXPECT_TRUE(other->Query("SELECT * FROM ivy_delta(0)")->HasError());
}

TEST_F(ScanTest, MissingFile) {
    view_->files_.push_back(delta::FileView{0, folder_ + "/warehouse/nothing.parquet", 10, 100, nullptr});
    EXPECT_EQ(Run("SELECT count(*) FROM ivy_files('0')").substr(0, 6), "!58P01");
    view_->files_[0].path = folder_ + "/elsewhere.parquet";
    EXPECT_EQ(Run("SELECT count(*) FROM ivy_files('0')").substr(0, 1), "!");
}

TEST_F(ScanTest, RowSources) {
    RowSourceBuilder builder(*connection_->context, {kInt, kText});
    for (int part = 0; part < 3; part++) {
        ColumnChunkBuilder chunk({kInt, kText});
        for (int i = 0; i < 5000; i++) {
            chunk.column(0).AppendFixed<int32_t>(part * 5000 + i);
            if (i % 2) {
                chunk.column(1).AppendVariable("a text that is too long to be inlined " + std::to_string(i));
            } else {
                chunk.column(1).AppendNull();
            }
        }
        ByteWriter out;
        chunk.Write(&out);
        ASSERT_TRUE(builder.Append(out.bytes()).ok());
    }
    inputs_->row_sources.push_back(builder.rows());
    EXPECT_EQ(Run("SELECT count(*) FROM ivy_rows(0)"), "15000");
    EXPECT_EQ(Run("SELECT count(c2), sum(c1), max(c2) FROM ivy_rows(0)"),
              "7500|112492500|a text that is too long to be inlined 999");
    EXPECT_EQ(Run("SELECT c2, c1 FROM ivy_rows(0) WHERE c1 = 5001"), "a text that is too long to be inlined 1|5001");
    EXPECT_EQ(Run("SELECT count(*) FROM ivy_rows(0) a JOIN ivy_rows(0) b USING (c1)"), "15000");

    EXPECT_FALSE(builder.Append(Bytes{7, 0, 0, 0}).ok());
    ColumnChunkBuilder other({kText, kInt});
    ByteWriter swapped;
    other.Write(&swapped);
    EXPECT_EQ(builder.Append(swapped.bytes()).error().sqlstate, sqlstate::kProtocolViolation);
}

TEST_F(ScanTest, RowSourceWithoutColumns) {
    RowSourceBuilder builder(*connection_->context, {});
    ColumnChunkBuilder chunk;
    chunk.AddEmptyRows(5000);
    ByteWriter out;
    chunk.Write(&out);
    ASSERT_TRUE(builder.Append(out.bytes()).ok());
    inputs_->row_sources.push_back(builder.rows());
    EXPECT_EQ(Run("SELECT count(*) FROM ivy_rows(0)"), "5000");
    EXPECT_EQ(Run("SELECT count(*) FROM ivy_rows(0), (SELECT 1 UNION ALL SELECT 2)"), "10000");
}

}  // namespace
}  // namespace ivy::engine
