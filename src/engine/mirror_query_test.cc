// SPDX-License-Identifier: Apache-2.0
//
// Queries on real mirrors, from the capture and copy connections' messages to the rows that a snapshot sees: copy,
// changes, flushes and deletion vectors, against a model that applies the same transactions.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "engine/test_client.h"
#include "engine/test_engine.h"

namespace ivy::engine {
namespace {

constexpr uint32_t kMirror = 500;

struct Row {
    int64_t amount;
    std::string note;
};
using Table = std::map<int32_t, Row>;

// One transaction of the test: what it did, in order.
struct Change {
    RowOp op;
    int32_t key = 0;      // of the row inserted, or of the old row
    int32_t new_key = 0;  // of an update
    Row row;
};

class MirrorQueryTest : public EngineTest {
  protected:
    void SetUp() override {
        EngineTest::SetUp();
        capture_ = std::make_unique<TestClient>(path_, Role::kCapture);
        capture_reader_ = std::thread([this] { ReadEvents(); });
        MirrorOpen open;
        open.id = kMirror;
        open.schema_name = "public";
        open.table_name = "orders";
        open.columns = {{1, "id", kInt, true}, {3, "amount", kBigint, false}, {4, "note", kText, false}};
        open.key = {1};
        open.location = folder_ + "/warehouse/orders";
        capture_->Send(MessageType::kMirrorOpen, open);
        Bytes ready;
        AppendFrame(static_cast<uint8_t>(MessageType::kCaptureReady), {}, &ready);
        ASSERT_TRUE(capture_->channel().Send(ready).ok());
        while (!services_.mirrors->capture_connected()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        query_ = std::make_unique<TestClient>(path_, Role::kQuery);
    }
    void TearDown() override {
        query_.reset();
        capture_->channel().Shutdown();
        capture_reader_.join();
        capture_.reset();
        EngineTest::TearDown();
    }

    // The capture worker's other half: everything that the engine offers is published.
    void ReadEvents() {
        while (true) {
            const Frame frame = capture_->Next();
            if (frame.type == 0) return;
            if (frame.type == static_cast<uint8_t>(MessageType::kFlushReady)) {
                const FlushReady flush = FlushReady::Read(frame).value();
                capture_->Send(MessageType::kPublished, Published{flush.mirror, flush.metadata_location});
                flushes_++;
            } else if (frame.type == static_cast<uint8_t>(MessageType::kMirrorFailed)) {
                ADD_FAILURE() << "mirror failed: " << MirrorFailed::Read(frame).value().error.message;
            } else if (frame.type == static_cast<uint8_t>(MessageType::kError)) {
                ADD_FAILURE() << "capture failed: " << ErrorMessage::Read(frame).value().error.message;
            }
        }
    }

    // Copies rows [0, count), as seen by a snapshot that sees every transaction below 100.
    void Copy(int32_t count) {
        TestClient copy(path_, Role::kCopy);
        CopyBegin begin;
        begin.mirror = kMirror;
        begin.snapshot = {100, 100, {}};
        begin.columns = {1, 3, 4};
        copy.Send(MessageType::kCopyBegin, begin);
        for (int32_t first = 0; first < count; first += 10000) {
            ColumnChunkBuilder chunk({kInt, kBigint, kText});
            for (int32_t key = first; key < std::min(count, first + 10000); key++) {
                AppendRow(key, CopiedRow(key), &chunk);
            }
            copy.Send(MessageType::kChunk, chunk);
        }
        copy.Send(MessageType::kCopyEnd, CopyEnd{});
        const Frame answer = copy.Next();
        ASSERT_EQ(answer.type, static_cast<uint8_t>(MessageType::kOk));
        for (int32_t key = 0; key < count; key++) table_[key] = CopiedRow(key);
        // The mirror can be read once the copy is published and changes have caught up.
        const auto waiting = TestClock::now();
        while (MillisecondsSince(waiting) < 10000) {
            Progress(100);
            const Answer probe = Ask("SELECT 1::INTEGER FROM {mirror:0} LIMIT 1", {kInt}, Sees(100));
            if (!probe.error || probe.error->unavailable != Unavailable::kNotReady) return;
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
        FAIL() << "the mirror does not become readable";
    }
    static Row CopiedRow(int32_t key) { return {key * int64_t{3}, "copied " + std::to_string(key % 100)}; }
    static void AppendRow(int32_t key, const Row& row, ColumnChunkBuilder* chunk) {
        chunk->column(0).AppendFixed<int32_t>(key);
        chunk->column(1).AppendFixed<int64_t>(row.amount);
        chunk->column(2).AppendVariable(row.note);
    }

    // Sends a transaction and its commit, and applies it to "table".
    void Apply(Xid xid, const std::vector<Change>& changes, Table* table) {
        ColumnChunkBuilder rows({kInt, kBigint, kText}), keys({kInt});
        Changes message;
        message.mirror = kMirror;
        message.xid = message.subxid = xid;
        for (const Change& change : changes) {
            message.ops.push_back(static_cast<uint8_t>(change.op));
            if (change.op == RowOp::kDelete || change.op == RowOp::kUpdate) {
                keys.column(0).AppendFixed<int32_t>(change.key);
                table->erase(change.key);
            }
            if (change.op == RowOp::kTruncate) table->clear();
            if (change.op == RowOp::kInsert || change.op == RowOp::kUpdate) {
                const int32_t key = change.op == RowOp::kInsert ? change.key : change.new_key;
                AppendRow(key, change.row, &rows);
                (*table)[key] = change.row;
            }
        }
        ByteWriter row_bytes, key_bytes;
        rows.Write(&row_bytes);
        keys.Write(&key_bytes);
        message.rows = row_bytes.Take();
        message.keys = key_bytes.Take();
        capture_->Send(MessageType::kChanges, message);
        lsn_ += 100;
        capture_->Send(MessageType::kCommit, Commit{xid, lsn_, lsn_ + 50, 0});
        lsn_ += 50;
    }
    void Progress(Xid oldest_xmin) {
        lsn_ += 10;
        capture_->Send(MessageType::kProgress, ivy::Progress{lsn_, oldest_xmin});
    }
    void Flush() { Flush(lsn_); }
    void Flush(Lsn lsn) {
        TestClient control(path_, Role::kControl);
        control.Send(MessageType::kControl, Control{"flush", kMirror, lsn});
        const Frame reply = control.Next();
        ASSERT_EQ(reply.type, static_cast<uint8_t>(MessageType::kControlReply))
            << ErrorMessage::Read(reply).value().error.message;
    }

    Answer Ask(const std::string& sql, std::vector<ColumnType> types, const Snapshot& snapshot) {
        Query query = TestClient::MakeQuery(sql, std::move(types));
        query.mirrors = {kMirror};
        query.snapshot = snapshot;
        query.lsn = lsn_;
        query.freshness_timeout_ms = 10000;
        return query_->Run(query);
    }
    // Everything in one number a row: the content of the mirror as a snapshot sees it must be "expected".
    void ExpectContent(const Table& expected, const Snapshot& snapshot) {
        const Answer answer = Ask("SELECT c1 || '|' || c3 || '|' || c4 FROM {mirror:0} ORDER BY c1", {kText}, snapshot);
        ASSERT_TRUE(answer.done) << answer.error->error.message;
        std::vector<std::string> rows;
        for (const auto& [key, row] : expected) {
            rows.push_back(std::to_string(key) + "|" + std::to_string(row.amount) + "|" + row.note);
        }
        ASSERT_EQ(answer.values.size(), rows.size());
        ASSERT_TRUE(answer.values == rows);
        const Answer count = Ask("SELECT count(*) FROM {mirror:0}", {kBigint}, snapshot);
        ASSERT_TRUE(count.done);
        ASSERT_EQ(count.values[0], std::to_string(expected.size()));
    }
    static Snapshot Sees(Xid below) { return {below, below, {}}; }

    std::unique_ptr<TestClient> capture_, query_;
    std::thread capture_reader_;
    std::atomic<int> flushes_{0};
    Lsn lsn_ = 1000;
    Table table_;
};

TEST_F(MirrorQueryTest, NotReadyUntilCopied) {
    Progress(100);
    EXPECT_EQ(Ask("SELECT count(*) FROM {mirror:0}", {kBigint}, Sees(200)).error->unavailable, Unavailable::kNotReady);
    Copy(10);
    ExpectContent(table_, Sees(200));
    // A snapshot that does not see what the copy saw.
    EXPECT_EQ(Ask("SELECT count(*) FROM {mirror:0}", {kBigint}, Sees(50)).error->unavailable, Unavailable::kNotReady);
}

TEST_F(MirrorQueryTest, SnapshotsSeeWhatTheyShould) {
    Copy(1000);
    const Table before = table_;
    Apply(110, {{RowOp::kInsert, 5000, 0, {1, "new"}}, {RowOp::kDelete, 7}, {RowOp::kUpdate, 8, 9000, {2, "moved"}}},
          &table_);
    const Table after = table_;
    Apply(111, {{RowOp::kDelete, 5000}, {RowOp::kUpdate, 9000, 9000, {3, "again"}}}, &table_);
    Progress(100);
    ExpectContent(before, Sees(110));
    ExpectContent(after, Sees(111));
    ExpectContent(table_, Sees(112));
    ExpectContent(before, Snapshot{110, 112, {110, 111}});
    ExpectContent(after, Snapshot{111, 112, {111}});
    // Flushed for everybody who sees 110; the rest stays in memory.
    Progress(111);
    Flush();
    ExpectContent(after, Sees(111));
    ExpectContent(table_, Sees(112));
    Progress(112);
    Flush();
    ExpectContent(table_, Sees(112));
    const Answer done = Ask("SELECT count(*) FROM {mirror:0}", {kBigint}, Sees(112));
    EXPECT_EQ(done.done->delta_rows, 0u);
    EXPECT_GE(done.done->files, 1u);
}

TEST_F(MirrorQueryTest, SeveralReferencesAndRowSources) {
    Copy(5000);
    Apply(110, {{RowOp::kInsert, 6000, 0, {1, "x"}}, {RowOp::kDelete, 0}}, &table_);
    Progress(111);
    ColumnChunkBuilder chunk({kInt});
    for (const int32_t key : {0, 1, 6000, 7000}) chunk.column(0).AppendFixed<int32_t>(key);
    query_->Send(MessageType::kRowSource, RowSource{{kInt}});
    query_->Send(MessageType::kChunk, chunk);
    Query query = TestClient::MakeQuery(
        "SELECT a.c1 FROM {mirror:0} a JOIN {rows:0} r ON (a.c1 = r.c1) WHERE EXISTS (SELECT 1 FROM {mirror:1} b "
        "WHERE b.c1 = a.c1) ORDER BY 1",
        {kInt});
    query.mirrors = {kMirror, kMirror};
    query.snapshot = Sees(111);
    query.lsn = lsn_;
    query.freshness_timeout_ms = 1000;
    const Answer answer = query_->Run(query);
    ASSERT_TRUE(answer.done) << answer.error->error.message;
    EXPECT_EQ(answer.values, (std::vector<std::string>{"1", "6000"}));
}

TEST_F(MirrorQueryTest, WaitsForChanges) {
    Copy(10);
    Query query = TestClient::MakeQuery("SELECT count(*) FROM {mirror:0}", {kBigint});
    query.mirrors = {kMirror};
    query.snapshot = Sees(111);
    query.lsn = lsn_ + 160;  // what Apply and Progress will reach
    query.freshness_timeout_ms = 50;
    EXPECT_EQ(query_->Run(query).error->unavailable, Unavailable::kStale);
    query.freshness_timeout_ms = 10000;
    query_->Send(MessageType::kQuery, query);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    Apply(110, {{RowOp::kInsert, 100, 0, {1, "x"}}}, &table_);
    Progress(111);
    const Answer answer = query_->Receive();
    ASSERT_TRUE(answer.done) << answer.error->error.message;
    EXPECT_EQ(answer.values[0], "11");
    EXPECT_GT(answer.done->freshness_wait_us, 50000u);
    // A client that hangs up does not wait on.
    query.lsn = lsn_ + 1000;
    query_->Send(MessageType::kQuery, query);
    WaitUntilRunning(1);
    query_ = std::make_unique<TestClient>(path_, Role::kQuery);
    const double took = MillisecondsUntilIdle();
    EXPECT_GE(took, 0);
    EXPECT_LT(took, 1000);
}

// Random transactions, random snapshots with transactions in progress, flushes in between.
TEST_F(MirrorQueryTest, RandomTransactions) {
    // IVY_SEED repeats a run.
    const char* given = std::getenv("IVY_SEED");
    const unsigned seed = given ? static_cast<unsigned>(std::stoul(given)) : std::random_device()();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const auto below = [&random](int limit) { return static_cast<int>(random() % static_cast<unsigned>(limit)); };
    Copy(5000);
    std::map<Xid, Table> after;  // what a snapshot sees after each transaction; they commit in the order of their ids
    Xid xid = 110;
    Xid oldest = xid;
    after[xid - 1] = table_;
    for (int round = 0; round < 60; round++) {
        std::vector<Change> changes;
        Table preview = table_;
        const int size = below(20) == 0 ? 3000 : below(30) + 1;
        for (int i = 0; i < size; i++) {
            const int32_t key = below(6000);
            const Row row{below(1000000), "r" + std::to_string(below(1000))};
            Change change{RowOp::kInsert, key, key, row};
            if (preview.contains(key)) {
                change.op = below(2) ? RowOp::kDelete : RowOp::kUpdate;
                if (change.op == RowOp::kUpdate && below(3) == 0) {
                    const int32_t other = 6000 + below(100000);
                    if (!preview.contains(other)) change.new_key = other;
                }
            } else if (below(1000) == 0) {
                change.op = RowOp::kTruncate;
            }
            if (change.op == RowOp::kTruncate) preview.clear();
            if (change.op == RowOp::kDelete || change.op == RowOp::kUpdate) preview.erase(key);
            if (change.op == RowOp::kInsert) preview[key] = row;
            if (change.op == RowOp::kUpdate) preview[change.new_key] = row;
            changes.push_back(change);
        }
        Apply(xid, changes, &table_);
        // As in Postgres, a truncated table is empty to older snapshots too.
        const bool truncated =
            std::any_of(changes.begin(), changes.end(), [](const Change& c) { return c.op == RowOp::kTruncate; });
        if (truncated) {
            for (auto& [older, content] : after) content.clear();
        }
        after[xid] = table_;
        xid++;
        // From here on no snapshot is older than "oldest": that is what the worker promises with it.
        const bool advance = below(4) == 0;
        if (advance) oldest += static_cast<Xid>(below(static_cast<int>(xid - oldest) + 1));
        Progress(oldest);
        if (advance && below(2)) Flush();
        ExpectContent(table_, Sees(xid));
        const Xid limit = oldest + static_cast<Xid>(below(static_cast<int>(xid - oldest) + 1));
        ExpectContent(after[limit - 1], Sees(limit));
        Snapshot in_progress{limit, xid, {}};
        for (Xid running = limit; running < xid; running++) in_progress.xip.push_back(running);
        ExpectContent(after[limit - 1], in_progress);
        if (HasFatalFailure()) return;
    }
}

// Readers and flushes run beside commits; each reader must see exactly its snapshot, which holds the oldest xmin back.
// At least IVY_ROUNDS transactions commit.
TEST_F(MirrorQueryTest, ConcurrentReaders) {
    constexpr size_t kReaders = 3;
    const char* given = std::getenv("IVY_ROUNDS");
    const int rounds = given ? std::stoi(given) : 600;
    Copy(2000);
    std::mutex mutex;  // of the next four
    Xid committed = 110;
    Lsn position = lsn_;
    std::array<Xid, kReaders> reading{};  // what each reader's snapshot sees, 0 for no snapshot
    int checked = 0;
    std::atomic<bool> stop{false};
    std::vector<std::thread> readers;
    for (size_t i = 0; i < kReaders; i++) {
        readers.emplace_back([&, i] {
            TestClient client(path_, Role::kQuery);
            while (!stop) {
                Query query = TestClient::MakeQuery("SELECT sum(c3) FROM {mirror:0} WHERE c1 >= 10000", {kHuge});
                query.mirrors = {kMirror};
                query.freshness_timeout_ms = 10000;
                Xid sees;
                {
                    std::lock_guard guard(mutex);
                    sees = reading[i] = committed;
                    query.lsn = position;
                }
                query.snapshot = Sees(sees);
                const Answer answer = client.Run(query);
                ASSERT_TRUE(answer.done) << answer.error->error.message;
                // Every transaction updates one row and adds another: 1 more each time.
                EXPECT_EQ(answer.values[0], sees == 110 ? "NULL" : std::to_string(sees - 110));
                std::lock_guard guard(mutex);
                reading[i] = 0;
                checked++;
            }
        });
    }
    // A flush of what a reader does not see yet waits until there has been progress since.
    const auto progress = [&](Xid now) {
        std::lock_guard guard(mutex);
        committed = now;
        Xid oldest = committed;
        for (const Xid sees : reading) oldest = sees ? std::min(oldest, sees) : oldest;
        Progress(oldest);
        position = lsn_;
    };
    std::atomic<bool> flushing{true};
    std::thread flusher([&] {
        while (!stop) {
            Lsn lsn;
            {
                std::lock_guard guard(mutex);
                lsn = position;
            }
            Flush(lsn);
        }
        flushing = false;
    });
    const auto begin = TestClock::now();
    const auto enough = [&] {
        std::lock_guard guard(mutex);
        return (checked > 100 && flushes_ >= 10) || MillisecondsSince(begin) > 60000;
    };
    int round = 0;
    for (; round < rounds || !enough(); round++) {
        const Xid xid = 110 + static_cast<Xid>(round);
        std::vector<Change> changes = {{RowOp::kInsert, 10000 + round, 0, {1, "n"}}};
        if (round > 0) changes.push_back({RowOp::kUpdate, 9999 + round, 9999 + round, {1, "u"}});
        Apply(xid, changes, &table_);
        progress(xid + 1);
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    stop = true;
    for (auto& reader : readers) reader.join();
    while (flushing) {
        progress(110 + static_cast<Xid>(round));
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    flusher.join();
    ExpectContent(table_, Sees(110 + static_cast<Xid>(round)));
    std::printf("%d queries, %d flushes\n", checked, flushes_.load());
    EXPECT_GT(checked, 100);
    EXPECT_GE(flushes_.load(), 10);
}

}  // namespace
}  // namespace ivy::engine
