// SPDX-License-Identifier: Apache-2.0
//
// Ingest against a model: random transactions with subtransactions, aborts, TRUNCATE, unchanged values and snapshots of
// all ages, while files are flushed, publications get lost, sessions break, engines end, columns are added and disks
// fail. Whatever happens, a mirror either says that it can't answer or shows exactly what the snapshot sees. The seed
// is printed; IVY_SEED repeats it.
#include <sys/mount.h>

#include <chrono>

#include <nlohmann/json.hpp>

#include "base/fault_point.h"
#include "engine/ingest_world.h"

namespace ivy::engine::test {
namespace {

using namespace std::chrono_literals;

// The source database: committed states by mirror, running transactions, history for old snapshots.
class Source {
  public:
    Source(uint64_t seed, std::vector<uint32_t> mirrors) : random_(seed), mirrors_(std::move(mirrors)) {
        for (const uint32_t mirror : mirrors_) tables_[mirror];
    }

    std::mt19937_64& random() { return random_; }
    uint64_t Pick(uint64_t below) { return random_() % below; }

    Snapshot Now() const {
        Snapshot snapshot;
        snapshot.xmax = next_xid_;
        snapshot.xmin = next_xid_;
        for (const auto& [xid, running] : running_) {
            snapshot.xip.push_back(xid);
            snapshot.xmin = std::min(snapshot.xmin, xid);
        }
        return snapshot;
    }
    const std::map<uint32_t, Rows>& tables() const { return tables_; }
    const std::vector<Transaction>& wal() const { return wal_; }
    Lsn lsn() const { return lsn_; }
    bool wide(uint32_t mirror) const { return wide_.contains(mirror); }

    // Does something random; returns the transaction that it committed, if it did.
    const Transaction* Step(size_t max_running = 3) {
        if (running_.size() < max_running && (running_.empty() || Pick(4) == 0)) Begin();
        auto at = running_.begin();
        std::advance(at, static_cast<long>(Pick(running_.size())));
        const Xid xid = at->first;
        const uint64_t choice = Pick(100);
        if (choice < 70) {
            Work(xid);
        } else if (choice < 76) {
            AbortAll(xid);
        } else {
            return CommitOne(xid);
        }
        return nullptr;
    }
    void CommitAll(const std::function<void(const Transaction&)>& committed) {
        while (!running_.empty()) committed(*CommitOne(running_.begin()->first));
    }
    // A transaction of its own that inserts many rows.
    const Transaction& InsertMany(uint32_t mirror, int32_t first, int32_t count) {
        Begin();
        const Xid xid = running_.rbegin()->first;
        Running& running = running_[xid];
        for (int32_t done = 0; done < count;) {
            ChangesBuilder builder(mirror, xid, xid, wide(mirror));
            for (int32_t i = 0; i < 1000 && done < count; i++, done++) {
                const Row row = {std::to_string(random_()), done, std::nullopt};  // does not compress
                builder.Insert(first + done, row);
                running.writes.push_back({mirror, first + done, row});
            }
            running.messages.push_back({MessageType::kChanges, builder.Take(), {}, {}});
        }
        return *CommitOne(xid);
    }
    // ALTER TABLE ... ADD COLUMN w, as a transaction that holds the table alone; null if the table is locked.
    const Transaction* AddColumn(uint32_t mirror) {
        for (const auto& [key, owner] : locks_) {
            if (key.first == mirror) return nullptr;
        }
        wide_.insert(mirror);
        Begin();
        const Xid xid = running_.rbegin()->first;
        Sent sent{MessageType::kMirrorOpen, {}, {}, {}};
        sent.open.id = mirror;
        sent.open.columns = Columns(true);
        running_[xid].messages.push_back(sent);
        return CommitOne(xid);
    }

  private:
    struct Write {
        uint32_t mirror;
        int32_t id;
        std::optional<Row> row;  // nothing: deleted
        bool truncate = false;
    };
    struct Running {
        std::vector<Write> writes;
        std::vector<Sent> messages;
    };

    void Begin() { running_[next_xid_++]; }

    std::optional<Row> Look(const Running& running, uint32_t mirror, int32_t id, const std::vector<Write>& sub) const {
        for (const auto* writes : {&sub, &running.writes}) {
            for (auto write = writes->rbegin(); write != writes->rend(); ++write) {
                if (write->mirror != mirror) continue;
                if (write->truncate) return std::nullopt;
                if (write->id == id) return write->row;
            }
        }
        const auto found = tables_.at(mirror).find(id);
        return found == tables_.at(mirror).end() ? std::nullopt : std::optional<Row>(found->second);
    }
    bool Lock(Xid xid, uint32_t mirror, int32_t id) {
        if (const auto whole = locks_.find({mirror, -1}); whole != locks_.end() && whole->second != xid) return false;
        return locks_.emplace(std::make_pair(mirror, id), xid).first->second == xid;
    }
    Row RandomRow(bool wide) {
        Row row;
        if (Pick(5) > 0) row.v = std::string(Pick(20), static_cast<char>('a' + Pick(26))) + std::to_string(Pick(1000));
        row.n = static_cast<int64_t>(Pick(2000000)) - 1000000;
        if (wide && Pick(3) > 0) row.w = static_cast<int64_t>(random_());
        return row;
    }

    // A few changes to one mirror, at top level or in a subtransaction that may abort.
    void Work(Xid xid) {
        Running& running = running_[xid];
        const uint32_t mirror = mirrors_[Pick(mirrors_.size())];
        const bool sub = Pick(3) == 0;
        const Xid subxid = sub ? next_xid_++ : xid;
        const bool is_wide = wide(mirror);
        std::vector<Write> writes;
        ChangesBuilder builder(mirror, xid, subxid, is_wide);
        bool any = false;
        if (Pick(60) == 0) {
            bool alone = true;
            for (const auto& [key, owner] : locks_) alone = alone && (key.first != mirror || owner == xid);
            if (alone) {
                locks_[{mirror, -1}] = xid;
                builder.Truncate();
                writes.push_back({mirror, 0, std::nullopt, true});
                any = true;
            }
        }
        for (uint64_t i = Pick(12) + 1; i > 0; i--) {
            const auto id = static_cast<int32_t>(Pick(300));
            if (!Lock(xid, mirror, id)) continue;
            const std::optional<Row> old = Look(running, mirror, id, writes);
            any = true;
            if (!old) {
                const Row row = RandomRow(is_wide);
                builder.Insert(id, row);
                writes.push_back({mirror, id, row});
            } else if (Pick(3) == 0) {
                builder.Delete(id);
                writes.push_back({mirror, id, std::nullopt});
            } else {
                Row row = RandomRow(is_wide);
                const bool unchanged = Pick(3) == 0;
                if (unchanged) row.v = old->v;
                int32_t new_id = id;
                if (const auto other = static_cast<int32_t>(Pick(300));
                    Pick(6) == 0 && other != id && Lock(xid, mirror, other) && !Look(running, mirror, other, writes)) {
                    new_id = other;
                }
                builder.Update(id, new_id, row, unchanged && row.v);
                writes.push_back({mirror, id, std::nullopt});
                writes.push_back({mirror, new_id, row});
            }
        }
        if (!any) return;
        running.messages.push_back({MessageType::kChanges, builder.Take(), {}, {}});
        if (sub && Pick(2) == 0) {
            running.messages.push_back({MessageType::kAbort, {}, {xid, subxid}, {}});
        } else {
            running.writes.insert(running.writes.end(), writes.begin(), writes.end());
        }
    }
    void AbortAll(Xid xid) {
        running_.erase(xid);
        std::erase_if(locks_, [xid](const auto& lock) { return lock.second == xid; });
    }
    const Transaction* CommitOne(Xid xid) {
        Running& running = running_[xid];
        for (const Write& write : running.writes) {
            Rows& rows = tables_[write.mirror];
            if (write.truncate) {
                rows.clear();
            } else if (write.row) {
                rows[write.id] = *write.row;
            } else {
                rows.erase(write.id);
            }
        }
        lsn_ += 10;
        wal_.push_back({xid, lsn_, std::move(running.messages)});
        AbortAll(xid);
        return &wal_.back();
    }

    std::mt19937_64 random_;
    const std::vector<uint32_t> mirrors_;
    std::map<uint32_t, Rows> tables_;
    std::map<Xid, Running> running_;
    std::map<std::pair<uint32_t, int32_t>, Xid> locks_;
    std::vector<Transaction> wal_;
    std::set<uint32_t> wide_;
    Xid next_xid_ = 1000;
    Lsn lsn_ = 100;
};

// A snapshot that some session holds, with what it must see.
struct Held {
    Snapshot snapshot;
    std::map<uint32_t, Rows> tables;
};

class IngestTest : public testing::Test {
  protected:
    void SetUp() override {
        folder_ = testing::TempDir() + "/ingest_test_" + std::to_string(getpid());
        std::filesystem::remove_all(folder_);
        std::filesystem::create_directories(folder_);
        const char* given = std::getenv("IVY_SEED");
        seed_ = given ? std::strtoull(given, nullptr, 10) : std::random_device()();
        std::printf("seed %lu\n", seed_);
    }
    void TearDown() override {
        (void)SetFaults(
            "flush-before-write:off,flush-before-commit:off,flush-before-publish:off,parquet-sync:off,"
            "file-write:off,parquet-append:off");
        worker_.Disconnect();
        engine_.reset();
        (void)umount((folder_ + "/warehouse").c_str());
        if (!HasFailure()) std::filesystem::remove_all(folder_);
    }

    MirrorOpen OpenOf(uint32_t id, bool copied = true) {
        MirrorOpen open;
        open.id = id;
        open.schema_name = "public";
        open.table_name = "t" + std::to_string(id);
        open.columns = Columns(false);
        open.key = {1};
        open.location = folder_ + "/warehouse/t" + std::to_string(id);
        open.has_copy_snapshot = copied;
        open.copy_snapshot = {1000, 1000, {}};
        return open;
    }

    void StartEngine() {
        engine_.reset();
        engine_ = std::make_unique<TestEngine>(folder_, options_);
    }

    // Connects, and sends the WAL again from where the slot would.
    void Capture(const Source& source) {
        worker_.Connect(*engine_);
        const Lsn from = worker_.persisted();
        for (const Transaction& transaction : source.wal()) {
            if (transaction.lsn >= from) worker_.Send(transaction);
        }
    }

    Xid OldestXmin(const Source& source) const {
        Xid oldest = source.Now().xmin;
        for (const Held& held : held_) oldest = std::min(oldest, held.snapshot.xmin);
        return oldest;
    }

    static std::vector<std::string> Expected(const Rows& rows) {
        std::vector<std::string> expected;
        for (const auto& [id, row] : rows) expected.push_back(Print(id, row));
        std::sort(expected.begin(), expected.end());
        return expected;
    }

    // What a truncated table shows to older snapshots is nothing, as in Postgres.
    void Hold(const Source& source) { held_.push_back({source.Now(), source.tables()}); }
    void Send(const Transaction& transaction) {
        for (const Sent& sent : transaction.messages) {
            const auto& ops = sent.changes.ops;
            if (std::find(ops.begin(), ops.end(), static_cast<uint8_t>(RowOp::kTruncate)) == ops.end()) continue;
            for (Held& held : held_) held.tables.erase(sent.changes.mirror);
        }
        worker_.Send(transaction);
    }

    // Compares one mirror. Returns whether it answered.
    bool Check(const Source& source, uint32_t mirror, const Snapshot& snapshot, const Rows& rows, const char* what) {
        Unavailable why = Unavailable::kNo;
        const auto found = engine_->Select(mirror, snapshot, &why, source.wide(mirror));
        if (!found.ok()) {
            EXPECT_NE(why, Unavailable::kNo) << found.error().message;
            EXPECT_TRUE(why == Unavailable::kNotReady || why == Unavailable::kSnapshotTooOld) << found.error().message;
            last_refusal_ = found.error().message;
            return false;
        }
        const auto expected = Expected(rows);
        EXPECT_EQ(*found, expected) << what << ", mirror " << mirror << ", snapshot " << snapshot.xmin << ":"
                                    << snapshot.xmax;
        return true;
    }
    // Waits until everything is applied and compares all mirrors.
    size_t CheckNow(const Source& source, bool must_answer) {
        worker_.Progress(source.lsn() + 5, OldestXmin(source));
        Unavailable why;
        const Status applied = engine_->mirrors().WaitApplied(source.lsn(), 20s, {}, &why);
        EXPECT_TRUE(applied.ok()) << applied.error().message;
        size_t answered = 0;
        for (const auto& [mirror, rows] : source.tables()) {
            const auto deadline = std::chrono::steady_clock::now() + 20s;
            bool ok = Check(source, mirror, source.Now(), rows, "now");
            while (!ok && must_answer && std::chrono::steady_clock::now() < deadline) {
                std::this_thread::sleep_for(10ms);
                ok = Check(source, mirror, source.Now(), rows, "now");
            }
            EXPECT_TRUE(ok || !must_answer) << last_refusal_;
            answered += ok;
        }
        for (const Held& held : held_) {
            for (const auto& [mirror, rows] : held.tables)
                answered += Check(source, mirror, held.snapshot, rows, "held");
        }
        return answered;
    }

    // The files alone, read by DuckDB as any reader of Parquet would, after everything was flushed.
    void CheckFiles(uint32_t mirror, const Rows& rows) {
        const std::shared_ptr<Mirror> found = engine_->mirrors().Find(mirror);
        ASSERT_TRUE(found);
        const auto json = found->StatusJson();
        EXPECT_EQ(json["delta_rows"], 0) << json.dump();
        EXPECT_EQ(json["pending_deletes"], 0) << json.dump();
        EXPECT_EQ(json["oldest_unflushed_lsn"], "0/00000000");
        (void)rows;
    }

    std::string folder_;
    uint64_t seed_ = 0;
    IngestOptions options_;
    std::unique_ptr<TestEngine> engine_;
    Worker worker_;
    std::vector<Held> held_;
    std::string last_refusal_;
};

TEST_F(IngestTest, MirrorsFollowRandomTransactions) {
    options_.flush_rows = 60;
    options_.flush_age = 300ms;
    StartEngine();
    Source source(seed_, {101, 102});
    for (const uint32_t id : {101u, 102u}) worker_.catalog[id].open = OpenOf(id);
    Capture(source);
    for (int round = 0; round < 400; round++) {
        for (uint64_t steps = source.Pick(12); steps > 0; steps--) {
            if (const Transaction* committed = source.Step()) Send(*committed);
        }
        if (source.Pick(12) == 0) Hold(source);
        if (held_.size() > 3 || (!held_.empty() && source.Pick(20) == 0)) held_.erase(held_.begin());
        CheckNow(source, true);
        if (HasFailure()) return;
    }
    EXPECT_GT(worker_.publications(101), 3);
    held_.clear();
    source.CommitAll([&](const Transaction& transaction) { Send(transaction); });
    CheckNow(source, true);
    for (const uint32_t id : {101u, 102u}) {
        const Status flushed = engine_->ingest().Flush(id, source.lsn(), {});
        EXPECT_TRUE(flushed.ok()) << flushed.error().message;
        CheckFiles(id, source.tables().at(id));
    }
    CheckNow(source, true);
    const auto deadline = std::chrono::steady_clock::now() + 5s;
    while (worker_.persisted() < source.lsn() && std::chrono::steady_clock::now() < deadline)
        std::this_thread::sleep_for(10ms);
    EXPECT_GE(worker_.persisted(), source.lsn());
}

TEST_F(IngestTest, SurvivesLostPublicationsAndRestarts) {
    options_.flush_rows = 40;
    options_.flush_age = 50ms;
    StartEngine();
    Source source(seed_, {101, 102});
    for (const uint32_t id : {101u, 102u}) worker_.catalog[id].open = OpenOf(id);
    std::atomic<int> lose{0};  // percent
    std::atomic<uint64_t> dice{seed_};
    worker_.fate = [&](const FlushReady&) {
        const uint64_t roll = (dice = dice * 6364136223846793005ull + 1442695040888963407ull) >> 33;
        if (static_cast<int>(roll % 100) >= lose) return Worker::Fate::kPublish;
        return roll / 100 % 2 ? Worker::Fate::kPublishSilently : Worker::Fate::kIgnore;
    };
    Capture(source);
    int sessions = 0, engines = 0;
    for (int round = 0; round < 250; round++) {
        for (uint64_t steps = source.Pick(15); steps > 0; steps--) {
            if (const Transaction* committed = source.Step()) Send(*committed);
        }
        if (source.Pick(10) == 0) Hold(source);
        if (held_.size() > 2) held_.erase(held_.begin());
        lose = round % 3 == 0 ? 60 : 0;
        const uint64_t choice = source.Pick(20);
        if (choice == 0) {
            sessions++;
            Capture(source);
        } else if (choice == 1) {
            engines++;
            worker_.Disconnect();
            StartEngine();
            Capture(source);
        } else if (choice == 2) {
            std::this_thread::sleep_for(60ms);
        }
        CheckNow(source, true);
        if (HasFailure()) return;
    }
    std::printf("%d new sessions, %d new engines, %d publications\n", sessions, engines, worker_.publications(101));
    // Nothing is left of the flushes that came to nothing.
    held_.clear();
    source.CommitAll([&](const Transaction& transaction) { Send(transaction); });
    lose = 0;
    CheckNow(source, true);
    worker_.Disconnect();
    StartEngine();
    Capture(source);
    CheckNow(source, true);
    size_t files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ + "/warehouse/t101/data")) {
        files += entry.path().extension() == ".parquet";
    }
    EXPECT_LE(files, static_cast<size_t>(worker_.publications(101)) + 1);
    EXPECT_GE(worker_.publications(101), 1);
}

TEST_F(IngestTest, CopiesWhileChangesArrive) {
    for (int attempt = 0; attempt < 4; attempt++) {
        options_.flush_rows = 50;
        options_.flush_age = 20ms;
        options_.copy_file_bytes = attempt % 2 ? 1 : 256 << 20;  // several files, each a row group
        worker_.Reset();
        engine_.reset();
        std::filesystem::remove_all(folder_);
        StartEngine();
        Source source(seed_ + static_cast<uint64_t>(attempt), {101});
        // Rows that are there before anybody captures.
        std::vector<Transaction> before;
        for (int i = 0; i < 300; i++) source.Step();
        if (attempt >= 2) source.InsertMany(101, 1000, 150000);
        const size_t captured_from = source.wal().size();
        worker_.catalog[101].open = OpenOf(101, false);
        worker_.Connect(*engine_);
        auto send_new = [&, sent = captured_from]() mutable {
            for (; sent < source.wal().size(); sent++) worker_.Send(source.wal()[sent]);
        };
        for (int i = 0; i < 40; i++) source.Step();
        send_new();
        // Transactions that began before capturing did must have ended before the copy's snapshot: their changes were
        // sent here from the start, so any moment will do.
        CopyBegin begin;
        begin.mirror = 101;
        begin.snapshot = source.Now();
        begin.columns = {1, 2, 3};
        const Rows copied = source.tables().at(101);
        if (attempt == 1) {
            // A copy that dies leaves nothing.
            const auto dying = engine_->Connect(Role::kCopy);
            EXPECT_TRUE(dying->SendMessage(MessageType::kCopyBegin, begin).ok());
        }
        const auto copy = engine_->Connect(Role::kCopy);
        if (attempt == 1) std::this_thread::sleep_for(100ms);
        EXPECT_TRUE(copy->SendMessage(MessageType::kCopyBegin, begin).ok());
        ColumnChunkBuilder rows(ChangesBuilder::Types(false));
        const auto send_rows = [&] {
            ByteWriter chunk;
            rows.Write(&chunk);
            Bytes frame;
            AppendFrame(static_cast<uint8_t>(MessageType::kChunk), chunk.bytes(), &frame);
            EXPECT_TRUE(copy->Send(frame).ok());
            rows.Clear();
        };
        size_t count = 0;
        for (const auto& [id, row] : copied) {
            ChangesBuilder::AddRow(id, row, false, false, &rows);
            if (++count % 5000 != 0) continue;
            send_rows();
            for (int i = 0; i < 5; i++) source.Step();
            send_new();
        }
        send_rows();
        for (int i = 0; i < 100; i++) source.Step();
        send_new();
        worker_.Progress(source.lsn() + 5, source.Now().xmin);
        Unavailable why;
        ASSERT_TRUE(engine_->mirrors().WaitApplied(source.lsn(), 20s, {}, &why).ok());
        EXPECT_FALSE(engine_->Select(101, source.Now(), &why).ok());
        EXPECT_EQ(why, Unavailable::kNotReady);
        EXPECT_TRUE(copy->SendMessage(MessageType::kCopyEnd, CopyEnd{}).ok());
        Frame reply;
        const auto answered = copy->Read(&reply);
        ASSERT_TRUE(answered.ok() && *answered);
        ASSERT_EQ(reply.type, static_cast<uint8_t>(MessageType::kOk)) << ErrorMessage::Read(reply)->error.message;
        for (int i = 0; i < 60; i++) {
            for (int steps = 0; steps < 5; steps++) source.Step();
            send_new();
            CheckNow(source, i == 59);
            if (HasFailure()) return;
        }
        Snapshot old = begin.snapshot;
        old.xip.push_back(old.xmax - 1);
        old.xmin = std::min(old.xmin, old.xmax - 1);
        if (begin.snapshot.Sees(old.xmax - 1)) {
            EXPECT_FALSE(engine_->Select(101, old, &why).ok());
        }
        // A new engine has the same.
        worker_.Disconnect();
        StartEngine();
        worker_.Connect(*engine_);
        for (size_t i = captured_from; i < source.wal().size(); i++) {
            if (source.wal()[i].lsn >= worker_.persisted()) worker_.Send(source.wal()[i]);
        }
        CheckNow(source, true);
        if (HasFailure()) return;
    }
}

TEST_F(IngestTest, FollowsNewColumns) {
    options_.flush_rows = 30;
    options_.flush_age = 50ms;
    StartEngine();
    Source source(seed_, {101, 102});
    for (const uint32_t id : {101u, 102u}) worker_.catalog[id].open = OpenOf(id);
    Capture(source);
    for (int round = 0; round < 120; round++) {
        for (uint64_t steps = source.Pick(12); steps > 0; steps--) {
            if (const Transaction* committed = source.Step()) Send(*committed);
        }
        if (round == 40 || (round > 40 && !source.wide(101))) {
            if (const Transaction* altered = source.AddColumn(101)) Send(*altered);
        }
        if (round > 80 && !source.wide(102)) {
            if (const Transaction* altered = source.AddColumn(102)) Send(*altered);
        }
        CheckNow(source, true);
        if (HasFailure()) return;
        if (round == 100) {
            worker_.Disconnect();
            StartEngine();
            Capture(source);
        }
    }
    EXPECT_TRUE(source.wide(101));
}

#ifdef IVY_FAULT_POINTS
TEST_F(IngestTest, GoesOnInMemoryWhenTheDiskFails) {
    options_.flush_rows = 20;
    options_.flush_age = 20ms;
    StartEngine();
    Source source(seed_, {101});
    worker_.catalog[101].open = OpenOf(101);
    Capture(source);
    for (const char* point : {"flush-before-write", "parquet-append", "parquet-sync", "file-write",
                              "flush-before-commit", "flush-before-publish"}) {
        const int before = worker_.publications(101);
        ASSERT_TRUE(SetFaults(std::string(point) + ":error").ok());
        for (int round = 0; round < 15; round++) {
            for (int steps = 0; steps < 10; steps++) {
                if (const Transaction* committed = source.Step()) Send(*committed);
            }
            CheckNow(source, true);
            if (HasFailure()) return;
        }
        source.CommitAll([&](const Transaction& transaction) { Send(transaction); });
        CheckNow(source, true);
        const Status refused = engine_->ingest().Flush(101, source.lsn(), {});
        EXPECT_FALSE(refused.ok()) << point;
        EXPECT_GT(FaultCount(point), 0) << point;
        const auto json = engine_->mirrors().Find(101)->StatusJson();
        EXPECT_NE(json["flush_error"], "") << point;
        ASSERT_TRUE(SetFaults(std::string(point) + ":off").ok());
        (void)before;
        const auto deadline = std::chrono::steady_clock::now() + 30s;
        Status flushed = engine_->ingest().Flush(101, source.lsn(), {});
        while (!flushed.ok() && std::chrono::steady_clock::now() < deadline)
            flushed = engine_->ingest().Flush(101, source.lsn(), {});
        EXPECT_TRUE(flushed.ok()) << point << ": " << flushed.error().message;
        CheckNow(source, true);
        CheckFiles(101, source.tables().at(101));
        if (HasFailure()) return;
    }
    // What failed flushes wrote is gone: no file is there that the table does not name.
    size_t data_files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ + "/warehouse/t101/data")) {
        data_files += entry.path().extension() == ".parquet";
    }
    EXPECT_LE(data_files, static_cast<size_t>(worker_.publications(101)));
}
#endif

TEST_F(IngestTest, GoesOnInMemoryWhenTheDiskIsFull) {
    const std::string disk = folder_ + "/warehouse";
    std::filesystem::create_directories(disk);
    if (mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=256k") != 0) GTEST_SKIP() << "may not mount";
    StartEngine();
    Source source(seed_, {101});
    worker_.catalog[101].open = OpenOf(101);
    Capture(source);
    for (int i = 0; i < 2000; i++) {
        if (const Transaction* committed = source.Step()) Send(*committed);
    }
    Send(source.InsertMany(101, 1000, 200000));
    source.CommitAll([&](const Transaction& transaction) { Send(transaction); });
    CheckNow(source, true);
    for (int i = 0; i < 3; i++) {
        const Status refused = engine_->ingest().Flush(101, source.lsn(), {});
        ASSERT_FALSE(refused.ok());
        EXPECT_EQ(refused.error().sqlstate, sqlstate::kDiskFull) << refused.error().message;
        EXPECT_TRUE(std::filesystem::is_empty(disk + "/t101/data"));
        CheckNow(source, true);
    }
    EXPECT_EQ(mount("tmpfs", disk.c_str(), "tmpfs", MS_REMOUNT, "size=64m"), 0);
    const Status flushed = engine_->ingest().Flush(101, source.lsn(), {});
    EXPECT_TRUE(flushed.ok()) << flushed.error().message;
    CheckNow(source, true);
    worker_.Disconnect();
    StartEngine();
    Capture(source);
    CheckNow(source, true);
    worker_.Disconnect();
    engine_.reset();
    EXPECT_EQ(umount(disk.c_str()), 0);
}

TEST_F(IngestTest, RebuildsLostIndexes) {
    StartEngine();
    Source source(seed_, {101});
    worker_.catalog[101].open = OpenOf(101);
    Capture(source);
    worker_.Send(source.InsertMany(101, 1000, 5000));
    for (int i = 0; i < 100; i++) {
        if (const Transaction* committed = source.Step()) Send(*committed);
    }
    source.CommitAll([&](const Transaction& transaction) { Send(transaction); });
    CheckNow(source, true);
    ASSERT_TRUE(engine_->ingest().Flush(101, source.lsn(), {}).ok());
    worker_.Disconnect();
    engine_.reset();
    std::filesystem::remove_all(folder_ + "/engine/index");
    StartEngine();
    Capture(source);
    for (int i = 0; i < 200; i++) {
        if (const Transaction* committed = source.Step()) Send(*committed);
    }
    CheckNow(source, true);
}

TEST_F(IngestTest, FailsOneMirrorOnly) {
    StartEngine();
    Source source(seed_, {101, 102});
    for (const uint32_t id : {101u, 102u}) worker_.catalog[id].open = OpenOf(id);
    Capture(source);
    Transaction bad{source.Now().xmax + 100000, 50, {}};
    ChangesBuilder builder(102, bad.xid, bad.xid, false);
    builder.Delete(77777);
    bad.messages.push_back({MessageType::kChanges, builder.Take(), {}, {}});
    worker_.Send(bad);
    for (int i = 0; i < 200; i++) {
        if (const Transaction* committed = source.Step()) Send(*committed);
    }
    worker_.Progress(source.lsn() + 5, source.Now().xmin);
    Unavailable why;
    ASSERT_TRUE(engine_->mirrors().WaitApplied(source.lsn(), 20s, {}, &why).ok());
    EXPECT_TRUE(Check(source, 101, source.Now(), source.tables().at(101), "now")) << last_refusal_;
    EXPECT_FALSE(engine_->Select(102, source.Now(), &why).ok());
    EXPECT_EQ(why, Unavailable::kNotReady);
    std::this_thread::sleep_for(100ms);
    std::lock_guard guard(worker_.mutex());
    EXPECT_NE(worker_.catalog[102].error.message, "");
    EXPECT_EQ(worker_.catalog[101].error.message, "");
}

TEST_F(IngestTest, DeletesFilesOfDroppedMirrorsAfterTheirReaders) {
    StartEngine();
    Source source(seed_, {101});
    worker_.catalog[101].open = OpenOf(101);
    Capture(source);
    worker_.Send(source.InsertMany(101, 0, 1000));
    CheckNow(source, true);
    ASSERT_TRUE(engine_->ingest().Flush(101, source.lsn(), {}).ok());
    const std::string location = folder_ + "/warehouse/t101";
    ASSERT_TRUE(std::filesystem::exists(location));
    Unavailable why;
    auto read = engine_->mirrors().Read(101, source.Now(), &why);
    ASSERT_TRUE(read.ok());
    (void)worker_.channel().SendMessage(MessageType::kMirrorClose, MirrorClose{101, true, location});
    std::this_thread::sleep_for(300ms);
    EXPECT_TRUE(std::filesystem::exists(location + "/data"));
    EXPECT_FALSE(engine_->mirrors().Read(101, source.Now(), &why).ok());
    read = Status::Internal("let go");
    const auto deadline = std::chrono::steady_clock::now() + 5s;
    while (std::filesystem::exists(location) && std::chrono::steady_clock::now() < deadline)
        std::this_thread::sleep_for(10ms);
    EXPECT_FALSE(std::filesystem::exists(location));
}

TEST_F(IngestTest, StaleWithoutACaptureWorker) {
    StartEngine();
    Unavailable why;
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_FALSE(engine_->mirrors().WaitApplied(10, 10s, {}, &why).ok());
    EXPECT_EQ(why, Unavailable::kStale);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 1s);
    EXPECT_TRUE(engine_->mirrors().WaitApplied(0, 10s, {}, &why).ok());
    Source source(seed_, {101});
    worker_.catalog[101].open = OpenOf(101);
    Capture(source);
    std::this_thread::sleep_for(50ms);
    EXPECT_FALSE(engine_->mirrors().WaitApplied(1000, 100ms, {}, &why).ok());
    EXPECT_EQ(why, Unavailable::kStale);
    const Status cancelled = engine_->mirrors().WaitApplied(1000, 10s, [] { return true; }, &why);
    EXPECT_EQ(cancelled.error().sqlstate, sqlstate::kQueryCanceled);
    std::thread later([&] {
        std::this_thread::sleep_for(50ms);
        worker_.Progress(2000, 1000);
    });
    EXPECT_TRUE(engine_->mirrors().WaitApplied(1000, 10s, {}, &why).ok());
    later.join();
    std::thread ends([&] {
        std::this_thread::sleep_for(50ms);
        worker_.Disconnect();
    });
    EXPECT_FALSE(engine_->mirrors().WaitApplied(3000, 10s, {}, &why).ok());
    EXPECT_EQ(why, Unavailable::kStale);
    ends.join();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
}

TEST_F(IngestTest, AppliesAndCopiesFast) {
    options_.flush_rows = 100000000;
    StartEngine();
    constexpr int kChunks = 200;
    constexpr int kRows = 5000;
    const std::vector<MirrorColumn> columns = {{1, "a", {TypeKind::kInt64}, true},
                                               {2, "b", {TypeKind::kInt32}, false},
                                               {3, "c", {TypeKind::kDouble}, false},
                                               {4, "d", {TypeKind::kText}, false},
                                               {5, "e", {TypeKind::kTimestampTz}, false}};
    std::vector<ColumnType> types;
    for (const MirrorColumn& column : columns) types.push_back(column.type);
    std::vector<Bytes> chunks;
    for (int c = 0; c < kChunks; c++) {
        ColumnChunkBuilder rows(types);
        for (int i = 0; i < kRows; i++) {
            const int64_t id = int64_t{c} * kRows + i;
            rows.column(0).AppendFixed<int64_t>(id);
            rows.column(1).AppendFixed<int32_t>(static_cast<int32_t>(id % 1000));
            rows.column(2).AppendFixed<double>(static_cast<double>(id) / 7);
            rows.column(3).AppendVariable("text " + std::to_string(id % 5000));
            rows.column(4).AppendFixed<int64_t>(1700000000000000 + id * 1000);
        }
        ByteWriter out;
        rows.Write(&out);
        chunks.push_back(out.Take());
    }
    const auto cpu = [] {
        timespec time;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
    };
    MirrorOpen applied = OpenOf(201), copied = OpenOf(202, false);
    applied.columns = copied.columns = columns;
    worker_.catalog[201].open = applied;
    worker_.catalog[202].open = copied;
    worker_.Connect(*engine_);
    Unavailable why;
    {
        Bytes frames;
        for (const Bytes& rows : chunks) {
            Changes changes;
            changes.mirror = 201;
            changes.xid = changes.subxid = 1000;
            changes.ops.assign(kRows, static_cast<uint8_t>(RowOp::kInsert));
            changes.columns = {1, 2, 3, 4, 5};
            changes.rows = rows;
            AppendMessage(MessageType::kChanges, changes, &frames);
        }
        const auto begin = std::chrono::steady_clock::now();
        const double cpu_begin = cpu();
        (void)worker_.channel().Send(frames);
        (void)worker_.channel().SendMessage(MessageType::kCommit, Commit{1000, 200, 205, 0});
        ASSERT_TRUE(engine_->mirrors().WaitApplied(200, 60s, {}, &why).ok());
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        std::printf("applied %d rows: %.0f rows/s, %.0f rows per CPU second\n", kChunks * kRows,
                    kChunks * kRows / seconds, kChunks * kRows / (cpu() - cpu_begin));
    }
    {
        const auto copy = engine_->Connect(Role::kCopy);
        CopyBegin begin_copy;
        begin_copy.mirror = 202;
        begin_copy.snapshot = {1001, 1001, {}};
        begin_copy.columns = {1, 2, 3, 4, 5};
        const auto begin = std::chrono::steady_clock::now();
        const double cpu_begin = cpu();
        (void)copy->SendMessage(MessageType::kCopyBegin, begin_copy);
        for (const Bytes& rows : chunks) {
            Bytes frame;
            AppendFrame(static_cast<uint8_t>(MessageType::kChunk), rows, &frame);
            (void)copy->Send(frame);
        }
        (void)copy->SendMessage(MessageType::kCopyEnd, CopyEnd{});
        Frame reply;
        const auto answered = copy->Read(&reply);
        ASSERT_TRUE(answered.ok() && *answered && reply.type == static_cast<uint8_t>(MessageType::kOk));
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        std::printf("copied %d rows: %.0f rows/s, %.0f rows per CPU second\n", kChunks * kRows,
                    kChunks * kRows / seconds, kChunks * kRows / (cpu() - cpu_begin));
    }
}

}  // namespace
}  // namespace ivy::engine::test
