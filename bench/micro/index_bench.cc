// SPDX-License-Identifier: Apache-2.0
//
// How fast one core applies changes: inserts, updates and deletes of hot keys, deletes of keys in files, and what a
// read view and an index segment cost. Prints rows a second of processor time.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>

#include "delta/mirror_table.h"

using namespace ivy;
using delta::FlushCut;
using delta::MirrorTable;
using delta::NewFile;

namespace {

constexpr int64_t kRows = 2000000;
constexpr int64_t kBatch = 10000;

// Processor time, so that other load on the machine does not count.
double Now() {
    timespec now;
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

void Report(const char* what, double seconds, double count) { std::printf("%-44s %10.0f /s\n", what, count / seconds); }

void Check(const Status& status) {
    if (status.ok()) return;
    std::fprintf(stderr, "%s\n", status.error().message.c_str());
    std::exit(1);
}

// A message for ids first, first + step, ...: (id bigint, a int, b double, name text).
Changes Message(RowOp op, int64_t first, int64_t step, int64_t count) {
    Changes changes;
    ColumnChunkBuilder rows({{TypeKind::kInt64}, {TypeKind::kInt32}, {TypeKind::kDouble}, {TypeKind::kText}});
    ColumnChunkBuilder keys(std::vector<ColumnType>{{TypeKind::kInt64}});
    for (int64_t i = 0; i < count; i++) {
        const int64_t id = first + i * step;
        changes.ops.push_back(static_cast<uint8_t>(op));
        if (op != RowOp::kDelete) {
            rows.column(0).AppendFixed(id);
            rows.column(1).AppendFixed(static_cast<int32_t>(id));
            rows.column(2).AppendFixed(static_cast<double>(id));
            rows.column(3).AppendVariable("customer name " + std::to_string(id % 1000));
        }
        if (op != RowOp::kInsert) keys.column(0).AppendFixed(id);
    }
    ByteWriter row_bytes, key_bytes;
    if (op != RowOp::kDelete) rows.Write(&row_bytes);
    if (op != RowOp::kInsert) keys.Write(&key_bytes);
    changes.rows = row_bytes.Take();
    changes.keys = key_bytes.Take();
    return changes;
}

Xid next_xid = 10;

// Keys are met in a scattered order: neighbours in a message are far apart in the table.
void Run(MirrorTable* table, const char* what, RowOp op, int64_t rows) {
    const int64_t step = op == RowOp::kInsert ? 1 : rows / kBatch;
    std::vector<Changes> messages;
    for (int64_t i = 0; i < rows / kBatch; i++) {
        messages.push_back(Message(op, op == RowOp::kInsert ? i * kBatch : i, step, kBatch));
    }
    const double begin = Now();
    for (const Changes& message : messages) {
        Check(table->Apply({&message}, next_xid, next_xid));
        next_xid++;
    }
    Report(what, Now() - begin, static_cast<double>(rows));
}

}  // namespace

int main() {
    const std::string folder = std::filesystem::temp_directory_path() / ("index_bench_" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder);
    MirrorTable::Options options;
    options.open.table_name = "bench";
    options.open.columns = {{1, "id", {TypeKind::kInt64}, true},
                            {2, "a", {TypeKind::kInt32}, false},
                            {3, "b", {TypeKind::kDouble}, false},
                            {4, "name", {TypeKind::kText}, false}};
    options.open.key = {1};
    options.open.has_copy_snapshot = true;
    options.index_folder = folder;
    auto made = MirrorTable::Make(options);
    Check(made.status());
    MirrorTable* table = made->get();

    Run(table, "insert", RowOp::kInsert, kRows);
    Run(table, "update of hot keys", RowOp::kUpdate, kRows);
    const FlushCut cut = table->BeginFlush(next_xid, false);
    double begin = Now();
    auto index = table->WriteIndexSegment(cut, "bench.parquet");
    Check(index.status());
    Report("index segment: keys written", Now() - begin, static_cast<double>(cut.rows));
    const NewFile file{"bench.parquet", static_cast<int64_t>(cut.rows), 1, *index, nullptr};
    begin = Now();
    Check(table->FinishFlush(cut, &file));
    std::printf("%-44s %10.2f ms\n", "finishing the flush", (Now() - begin) * 1e3);
    Run(table, "delete of keys in a file", RowOp::kDelete, kRows / 2);
    Run(table, "insert", RowOp::kInsert, kRows / 2);

    const int views = 1000;
    begin = Now();
    for (int i = 0; i < views; i++) Check(table->Read({next_xid, next_xid, {}}).status());
    std::printf("%-44s %10.2f us\n", "read view", (Now() - begin) * 1e6 / views);
    Run(table, "delete of hot keys", RowOp::kDelete, kRows / 2);
    std::filesystem::remove_all(folder);
    return 0;
}
