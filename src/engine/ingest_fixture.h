// SPDX-License-Identifier: Apache-2.0
//
// The fixture of the ingest tests: an engine, a capture worker and a source model, and the comparison of mirrors with the
// model: whatever happens, a mirror either says that it can't answer or shows exactly what the snapshot sees. The seed is
// printed; IVY_SEED repeats it.
#pragma once

#include <sys/mount.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include <nlohmann/json.hpp>

#include "base/fault_point.h"
#include "engine/ingest_source.h"

namespace ivy::engine::test {

using namespace std::chrono_literals;

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
        if (id % 2 == 0) open.sort = {2, 3};  // some mirrors' files are sorted
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

    // After a flush of everything: nothing is in memory any more, so what a check compares next are the files.
    void ExpectAllInFiles(uint32_t mirror) {
        const std::shared_ptr<Mirror> found = engine_->mirrors().Find(mirror);
        ASSERT_TRUE(found);
        const auto json = found->StatusJson();
        EXPECT_EQ(json["delta_rows"], 0) << json.dump();
        EXPECT_EQ(json["pending_deletes"], 0) << json.dump();
        EXPECT_EQ(json["oldest_unflushed_lsn"], "0/00000000");
    }

    std::string folder_;
    uint64_t seed_ = 0;
    IngestOptions options_;
    std::unique_ptr<TestEngine> engine_;
    Worker worker_;
    std::vector<Held> held_;
    std::string last_refusal_;
};

}  // namespace ivy::engine::test
