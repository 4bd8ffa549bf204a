// SPDX-License-Identifier: Apache-2.0
//
// What the tests of MirrorTable share: rows of a small table, messages made of them, data files in memory.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "delta/chunk_convert.h"
#include "delta/mirror_table.h"
#include "delta/row_set.h"

namespace ivy::delta::test {

// The table is (id bigint, name text, note text, amount numeric(12,2)); the last two may be NULL.
struct Row {
    int64_t id = 0;
    std::string name;
    std::optional<std::string> note;
    std::optional<int64_t> amount;
    auto operator<=>(const Row&) const = default;
};

inline const std::vector<ColumnType>& Types() {
    static const std::vector<ColumnType> types = {
        {TypeKind::kInt64}, {TypeKind::kText}, {TypeKind::kText}, {TypeKind::kDecimal, 12, 2}};
    return types;
}

inline void AppendColumn(const Row& row, size_t column, bool null, ColumnBuilder* out) {
    if (null) return out->AppendNull();
    switch (column) {
        case 0: return out->AppendFixed<int64_t>(row.id);
        case 1: return out->AppendVariable(row.name);
        case 2: return row.note ? out->AppendVariable(*row.note) : out->AppendNull();
        default: return row.amount ? out->AppendFixed<Int128>(*row.amount) : out->AppendNull();
    }
}

inline Row RowOf(duckdb::DataChunk& chunk, size_t row) {
    Row result;
    result.id = chunk.GetValue(0, row).GetValue<int64_t>();
    result.name = chunk.GetValue(1, row).ToString();
    const auto note = chunk.GetValue(2, row);
    if (!note.IsNull()) result.note = note.ToString();
    const auto amount = chunk.GetValue(3, row);
    if (!amount.IsNull())
        result.amount = std::stoll([&] {
            std::string text = amount.ToString();
            text.erase(std::remove(text.begin(), text.end(), '.'), text.end());
            return text;
        }());
    return result;
}

// One operation, with the old row for D and U, the new one for I and U.
struct Op {
    RowOp op = RowOp::kInsert;
    Row old_row, new_row;
    std::vector<size_t> unchanged;  // columns sent as unchanged TOAST values
};

inline Changes Message(const std::vector<Op>& ops, const std::vector<size_t>& key) {
    Changes changes;
    ColumnChunkBuilder rows(Types());
    std::vector<ColumnType> key_types;
    for (const size_t column : key) key_types.push_back(Types()[column]);
    ColumnChunkBuilder keys(key_types);
    for (const Op& op : ops) {
        changes.ops.push_back(static_cast<uint8_t>(op.op));
        if (op.op == RowOp::kDelete || op.op == RowOp::kUpdate) {
            for (size_t i = 0; i < key.size(); i++) AppendColumn(op.old_row, key[i], false, &keys.column(i));
        }
        if (op.op == RowOp::kInsert || op.op == RowOp::kUpdate) {
            const auto ordinal = static_cast<uint32_t>(rows.rows());
            for (size_t c = 0; c < Types().size(); c++) {
                const bool left_out = std::find(op.unchanged.begin(), op.unchanged.end(), c) != op.unchanged.end();
                if (left_out) changes.unchanged.push_back({ordinal, static_cast<uint32_t>(c)});
                AppendColumn(op.new_row, c, left_out, &rows.column(c));
            }
        }
    }
    ByteWriter row_bytes, key_bytes;
    if (rows.rows() > 0) rows.Write(&row_bytes);
    if (key.size() > 0 && keys.rows() > 0) keys.Write(&key_bytes);
    changes.rows = row_bytes.Take();
    changes.keys = key_bytes.Take();
    return changes;
}

// Data files that are vectors. Thread-safe.
class MemoryFiles final : public RowReader {
  public:
    Status ReadRows(const std::string& path, const std::vector<uint64_t>& wanted, const std::vector<size_t>& columns,
                    const Sink& sink) override {
        reads++;
        std::vector<uint64_t> rows = wanted;
        if (!in_order) {  // backwards, and with a row that nobody wants: both is allowed
            std::reverse(rows.begin(), rows.end());
            if (wanted[0] > 0) rows.push_back(wanted[0] - 1);
        }
        const std::vector<Row> content = Get(path);
        duckdb::vector<duckdb::LogicalType> types;
        for (const size_t column : columns) types.push_back(ToDuckType(Types()[column]));
        for (size_t done = 0; done < rows.size();) {
            const size_t count = std::min<size_t>(3, rows.size() - done);
            std::vector<ColumnType> column_types;
            for (const size_t column : columns) column_types.push_back(Types()[column]);
            ColumnChunkBuilder builder(column_types);
            for (size_t i = 0; i < count; i++) {
                for (size_t c = 0; c < columns.size(); c++) {
                    AppendColumn(content.at(rows[done + i]), columns[c], false, &builder.column(c));
                }
            }
            ByteWriter out;
            builder.Write(&out);
            ByteReader in(out.bytes());
            IVY_ASSIGN_OR_RETURN(const ColumnChunkView view, ColumnChunkView::Read(&in));
            duckdb::DataChunk chunk;
            chunk.Initialize(duckdb::Allocator::DefaultAllocator(), types);
            IVY_RETURN_IF_ERROR(ChunkFromView(view, 0, count, &chunk));
            std::vector<int64_t> numbers(rows.begin() + static_cast<ptrdiff_t>(done),
                                         rows.begin() + static_cast<ptrdiff_t>(done + count));
            IVY_RETURN_IF_ERROR(sink(numbers.data(), chunk));
            done += count;
        }
        return Status::Ok();
    }

    void Put(const std::string& path, std::vector<Row> rows) {
        const std::lock_guard lock(mutex_);
        files_[path] = std::move(rows);
    }
    std::vector<Row> Get(const std::string& path) {
        const std::lock_guard lock(mutex_);
        return files_.at(path);
    }

    std::atomic<int> reads{0};
    bool in_order = false;

  private:
    std::mutex mutex_;
    std::map<std::string, std::vector<Row>> files_;
};

// Files and vectors as a metadata file would list them.
struct Published {
    std::vector<NewFile> files;
    Lsn flushed_lsn = 1;
    std::vector<Xid> unseen_xids;
};

class TableTest : public ::testing::Test {
  protected:
    void SetUp() override {
        folder_ = ::testing::TempDir() + "ivy_delta_" + std::to_string(::getpid()) + "_" +
                  ::testing::UnitTest::GetInstance()->current_test_info()->name();
        std::replace(folder_.begin() + 1, folder_.end(), '#', '_');
        std::filesystem::create_directories(folder_);
    }
    void TearDown() override {
        table_.reset();
        std::filesystem::remove_all(folder_);
    }

    MirrorTable::Options Options() {
        MirrorTable::Options options;
        options.open.table_name = "t";
        const char* names[] = {"id", "name", "note", "amount"};
        for (size_t c = 0; c < Types().size(); c++) {
            options.open.columns.push_back({static_cast<uint32_t>(c + 1), names[c], Types()[c], false});
        }
        for (const size_t column : key_) options.open.key.push_back(static_cast<uint32_t>(column + 1));
        options.open.flushed_lsn = published_.flushed_lsn;
        options.open.has_copy_snapshot = true;
        options.open.copy_snapshot = {1, 1, {}};
        options.index_folder = folder_;
        options.row_reader = &files_;
        options.flushed_xids = published_.unseen_xids;
        options.hash_mask = hash_mask_;
        options.block_rows = block_rows_;
        options.equal_rows_bytes = equal_rows_bytes_;
        return options;
    }

    // The table as the last publication left it.
    void Open() {
        auto made = MirrorTable::Make(Options());
        ASSERT_TRUE(made.ok()) << made.error().message;
        table_ = std::move(made).value();
        auto slots = table_->AddFiles(published_.files);
        ASSERT_TRUE(slots.ok()) << slots.error().message;
    }

    Status Apply(const std::vector<Op>& ops, Xid xid, Lsn lsn) {
        const Changes changes = Message(ops, key_);
        return table_->Apply({&changes}, xid, lsn);
    }

    // A data file with these rows, and its index.
    NewFile PutFile(std::vector<Row> rows) {
        NewFile file;
        file.path = folder_ + "/data_" + std::to_string(next_file_++) + ".parquet";
        file.rows = static_cast<int64_t>(rows.size());
        file.size = 100;
        if (!key_.empty()) {
            std::vector<ColumnType> types;
            for (const size_t column : key_) types.push_back(Types()[column]);
            IndexBuilder builder = table_->MakeIndexBuilder();
            duckdb::DataChunk keys;
            keys.Initialize(duckdb::Allocator::DefaultAllocator(), ToDuckTypes(types));
            for (size_t done = 0; done < rows.size();) {
                const size_t count = std::min<size_t>(STANDARD_VECTOR_SIZE, rows.size() - done);
                ColumnChunkBuilder columns(types);
                for (size_t r = done; r < done + count; r++) {
                    for (size_t i = 0; i < key_.size(); i++) AppendColumn(rows[r], key_[i], false, &columns.column(i));
                }
                ByteWriter out;
                columns.Write(&out);
                ByteReader in(out.bytes());
                const auto view = ColumnChunkView::Read(&in);
                EXPECT_TRUE(view.ok() && ChunkFromView(*view, 0, count, &keys).ok());
                builder.Add(keys);
                done += count;
            }
            file.index_path = IndexPathFor(folder_, file.path, {1});
            const Status index = builder.Finish(file.index_path);
            EXPECT_TRUE(index.ok()) << index.error().message;
        }
        files_.Put(file.path, std::move(rows));
        return file;
    }

    // Writes a cut's file and index. Null if the cut has no rows.
    std::unique_ptr<NewFile> WriteFile(const FlushCut& cut) {
        if (cut.rows == 0) return nullptr;
        std::vector<Row> rows;
        duckdb::DataChunk chunk;
        chunk.Initialize(duckdb::Allocator::DefaultAllocator(), ToDuckTypes(Types()));
        for (uint64_t position = 0;;) {
            table_->ScanCut(cut, &position, chunk);
            if (chunk.size() == 0) break;
            for (size_t r = 0; r < chunk.size(); r++) rows.push_back(RowOf(chunk, r));
        }
        EXPECT_EQ(rows.size(), cut.rows);
        const auto order = sort_files_ ? Backwards(&rows) : nullptr;
        auto file = std::make_unique<NewFile>(PutFile(std::move(rows)));
        file->order = order;
        return file;
    }

    // Puts rows into another order; returns it as NewFile::order.
    static std::shared_ptr<const std::vector<uint32_t>> Backwards(std::vector<Row>* rows) {
        auto order = std::make_shared<std::vector<uint32_t>>();
        for (size_t r = rows->size(); r-- > 0;) order->push_back(static_cast<uint32_t>(r));
        std::reverse(rows->begin(), rows->end());
        return order;
    }

    // A rewrite of some of the published files, into "new_files" files.
    struct Rewrite {
        std::vector<std::string> paths;
        std::vector<NewFile> files;
        std::unique_ptr<RewriteMap> map;
    };
    std::unique_ptr<Rewrite> BeginRewrite(const std::vector<std::string>& paths, size_t new_files) {
        auto sources = table_->RewriteSources(paths);
        if (!sources) return nullptr;
        auto rewrite = std::make_unique<Rewrite>();
        rewrite->paths = paths;
        std::vector<Row> rows;
        for (const RewriteSource& source : *sources) {
            const std::vector<Row> content = files_.Get(source.path);
            for (size_t r = 0; r < content.size(); r++) {
                if (!source.deleted || !source.deleted->contains(uint64_t{r})) rows.push_back(content[r]);
            }
        }
        const auto order = sort_files_ ? Backwards(&rows) : nullptr;
        std::vector<uint64_t> file_rows;
        for (size_t i = 0, begin = 0; i < new_files; i++) {
            const size_t end = rows.size() * (i + 1) / new_files;
            if (end == begin) continue;
            rewrite->files.push_back(
                PutFile({rows.begin() + static_cast<ptrdiff_t>(begin), rows.begin() + static_cast<ptrdiff_t>(end)}));
            file_rows.push_back(end - begin);
            begin = end;
        }
        rewrite->map = std::make_unique<RewriteMap>(std::move(*sources), order, file_rows);
        return rewrite;
    }
    // Publishes it; false if it has become obsolete. "told": whether the table hears of it.
    bool FinishRewrite(Rewrite* rewrite, bool told = true) {
        const auto now = table_->RewriteSources(rewrite->paths);
        if (!now) return false;
        std::vector<std::shared_ptr<const RowSet>> vectors;
        for (const RewriteSource& source : *now) vectors.push_back(source.deleted);
        const auto mapped = rewrite->map->MapDeleted(vectors);
        for (size_t i = 0; i < mapped.size(); i++) rewrite->files[i].deleted = mapped[i];
        std::erase_if(published_.files, [&](const NewFile& file) {
            return std::find(rewrite->paths.begin(), rewrite->paths.end(), file.path) != rewrite->paths.end();
        });
        published_.files.insert(published_.files.end(), rewrite->files.begin(), rewrite->files.end());
        if (!told) return true;
        const Status status = table_->FinishRewrite(*rewrite->map, rewrite->files);
        EXPECT_TRUE(status.ok()) << status.error().message;
        return true;
    }

    // What the metadata says once the cut is current.
    void Publish(const FlushCut& cut, const NewFile* file) {
        if (cut.truncated) published_.files.clear();
        for (const auto& deletes : cut.deletes) {
            for (NewFile& known : published_.files) {
                if (known.path == deletes.path) known.deleted = deletes.deleted;
            }
        }
        if (file) published_.files.push_back(*file);
        published_.flushed_lsn = cut.flushed_lsn;
        published_.unseen_xids = cut.unseen_xids;
    }

    // All of it in one go.
    void Flush(Xid oldest_xmin, bool force = false) {
        const FlushCut cut = table_->BeginFlush(oldest_xmin, force);
        if (cut.id == 0) return;
        const auto file = WriteFile(cut);
        Publish(cut, file.get());
        const Status status = table_->FinishFlush(cut, file.get());
        ASSERT_TRUE(status.ok()) << status.error().message;
    }

    // The rows of a view, sorted.
    std::vector<Row> RowsOf(const ReadView& view) {
        std::vector<Row> rows;
        for (const FileView& file : view.files()) {
            const std::vector<Row> content = files_.Get(file.path);
            EXPECT_EQ(static_cast<int64_t>(content.size()), file.rows);
            for (size_t r = 0; r < content.size(); r++) {
                if (!file.deleted || !file.deleted->contains(uint64_t{r})) rows.push_back(content[r]);
            }
        }
        duckdb::DataChunk chunk;
        chunk.Initialize(duckdb::Allocator::DefaultAllocator(), ToDuckTypes(Types()));
        uint64_t upper_bound = 0;
        for (size_t i = 0; i < view.delta_chunks(); i++) {
            chunk.Reset();
            view.ScanDelta(i, {0, 1, 2, 3}, chunk);
            upper_bound += chunk.size();
            for (size_t r = 0; r < chunk.size(); r++) rows.push_back(RowOf(chunk, r));
        }
        EXPECT_LE(upper_bound, view.delta_rows());
        std::sort(rows.begin(), rows.end());
        return rows;
    }
    std::vector<Row> Rows(const Snapshot& snapshot) {
        auto view = table_->Read(snapshot);
        EXPECT_TRUE(view.ok()) << view.error().message;
        return view.ok() ? RowsOf(**view) : std::vector<Row>();
    }

    std::string folder_;
    std::vector<size_t> key_ = {0};
    uint64_t hash_mask_ = ~uint64_t{0};
    uint64_t block_rows_ = RowReader::kBlockRows;
    size_t equal_rows_bytes_ = 16 << 20;
    bool sort_files_ = false;  // flushed files have their rows in another order than the delta
    MemoryFiles files_;
    Published published_;
    std::unique_ptr<MirrorTable> table_;
    int next_file_ = 0;
};

// A snapshot that sees every transaction below "xid".
inline Snapshot SeesBelow(Xid xid) { return {xid, xid, {}}; }

}  // namespace ivy::delta::test
