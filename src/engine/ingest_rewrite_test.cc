// SPDX-License-Identifier: Apache-2.0
//
// Rewriting files against the model: while transactions are applied and flushed, snapshots are held, publications get lost,
// engines end and rewrites fail at any step; of sorted mirrors, and of both format versions.
#include <future>

#include "engine/duck_file_io.h"
#include "engine/ingest_fixture.h"
#include "iceberg/table.h"

namespace ivy::engine::test {
namespace {

class RewriteTest : public IngestTest {
  protected:
    static constexpr uint32_t kMirrors[] = {101, 102, 103};  // plain, sorted, format version 2

    void OpenMirrors() {
        for (const uint32_t id : kMirrors) worker_.catalog[id].open = OpenOf(id);
        worker_.catalog[103].open.format_version = 2;
    }
    std::string MetadataOf(uint32_t id) {
        std::lock_guard guard(worker_.mutex());
        return worker_.catalog[id].open.metadata_location;
    }
    // What is in the mirror's folder and in no snapshot that is kept.
    std::vector<std::string> Orphans(uint32_t id) {
        const auto io = iceberg::MakeLocalFileIo();
        auto table = iceberg::Table::Load(io.get(), MetadataOf(id));
        EXPECT_TRUE(table.ok()) << table.error().message;
        const auto referenced = (*table)->ReferencedFiles();
        EXPECT_TRUE(referenced.ok());
        std::vector<std::string> orphans;
        for (const auto& entry : std::filesystem::directory_iterator((*table)->location() + "/data")) {
            if (!referenced->contains(entry.path())) orphans.push_back(entry.path());
        }
        return orphans;
    }
    void ExpectNoOrphans(uint32_t id) {
        const auto deadline = std::chrono::steady_clock::now() + 10s;
        while (!Orphans(id).empty() && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(20ms);
        EXPECT_EQ(Orphans(id), std::vector<std::string>());
    }
    size_t FilesOf(uint32_t id) {
        const auto json = engine_->mirrors().Find(id)->StatusJson();
        return json["files"].get<size_t>();
    }
    size_t RewritesOf(uint32_t id) { return engine_->mirrors().Find(id)->StatusJson()["optimizations"].get<size_t>(); }
};

TEST_F(RewriteTest, WhileChangesArrive) {
    options_.flush_rows = 30;
    options_.flush_age = 50ms;
    options_.rewrite.small_files = 4;
    StartEngine();
    Source source(seed_, {101, 102, 103});
    OpenMirrors();
    std::atomic<int> lose{0};  // percent
    std::atomic<uint64_t> dice{seed_};
    worker_.fate = [&](const FlushReady&) {
        const uint64_t roll = (dice = dice * 6364136223846793005ull + 1442695040888963407ull) >> 33;
        if (static_cast<int>(roll % 100) >= lose) return Worker::Fate::kPublish;
        return roll / 100 % 2 ? Worker::Fate::kPublishSilently : Worker::Fate::kIgnore;
    };
    Capture(source);
    size_t rewrites = 0, cancelled = 0;
    std::future<void> running;
    std::atomic<bool> stop{false};
    const auto finish = [&] {
        stop = true;
        if (running.valid()) running.get();
        stop = false;
        for (const uint32_t id : kMirrors) rewrites += RewritesOf(id);
    };
    for (int round = 0; round < 250; round++) {
        for (uint64_t steps = source.Pick(15); steps > 0; steps--) {
            if (const Transaction* committed = source.Step()) Send(*committed);
        }
        if (source.Pick(10) == 0) Hold(source);
        if (held_.size() > 2) held_.erase(held_.begin());
        lose = round % 5 == 0 ? 50 : 0;
        const bool idle = !running.valid() || running.wait_for(0s) == std::future_status::ready;
        if (idle && source.Pick(3) == 0) {
            const uint32_t id = kMirrors[source.Pick(3)];
            const bool impatient = source.Pick(4) == 0;
            running = std::async(std::launch::async, [this, id, impatient, &stop, &cancelled, lsn = source.lsn()] {
                int polls = 0;
                const Status status =
                    engine_->ingest().Optimize(id, lsn, [&] { return stop || (impatient && ++polls > 3); });
                cancelled += !status.ok() && status.error().sqlstate == sqlstate::kQueryCanceled;
            });
        }
        const uint64_t choice = source.Pick(25);
        if (choice == 0) {
            finish();
            Capture(source);
        } else if (choice == 1) {
            finish();
            worker_.Disconnect();
            StartEngine();
            Capture(source);
        } else if (choice == 2) {
            std::this_thread::sleep_for(60ms);
        }
        CheckNow(source, true);
        if (HasFailure()) break;
    }
    finish();
    if (HasFailure()) return;
    std::printf("%zu rewrites seen, %zu cancelled\n", rewrites, cancelled);
    EXPECT_GT(rewrites, 0u);
    lose = 0;
    held_.clear();
    source.CommitAll([&](const Transaction& transaction) { Send(transaction); });
    CheckNow(source, true);
    worker_.Disconnect();
    StartEngine();
    Capture(source);
    CheckNow(source, true);
    for (const uint32_t id : kMirrors) {
        const Status done = engine_->ingest().Optimize(id, source.lsn(), {});
        EXPECT_TRUE(done.ok()) << done.error().message;
        ExpectAllInFiles(id);
        EXPECT_LE(FilesOf(id), 1u);
        ExpectNoOrphans(id);
    }
    CheckNow(source, true);
}

TEST_F(RewriteTest, FailsAtEveryStepAndGoesOn) {
    options_.flush_rows = 1000000;
    options_.flush_age = 1h;
    options_.rewrite.small_files = 0;
    StartEngine();
    Source source(seed_, {101, 102, 103});
    OpenMirrors();
    Capture(source);
    const auto grow = [&] {
        for (int part = 0; part < 3; part++) {
            for (int i = 0; i < 60; i++) {
                if (const Transaction* committed = source.Step()) Send(*committed);
            }
            source.CommitAll([&](const Transaction& transaction) { Send(transaction); });
            CheckNow(source, true);
            for (const uint32_t id : kMirrors) EXPECT_TRUE(engine_->ingest().Flush(id, source.lsn(), {}).ok());
        }
    };
    grow();
    for (const char* fault : {"rewrite-new-file", "rewrite-finish-file", "rewrite-before-commit",
                              "rewrite-before-publish", "parquet-append", "parquet-sync", "sort-append"}) {
        SCOPED_TRACE(fault);
        for (const uint32_t id : kMirrors) {
            if (std::string(fault) == "sort-append" && id != 102) continue;
            for (int i = 0; i < 20; i++) {
                if (const Transaction* committed = source.Step()) Send(*committed);
            }
            source.CommitAll([&](const Transaction& transaction) { Send(transaction); });
            CheckNow(source, true);
            ASSERT_TRUE(engine_->ingest().Flush(id, source.lsn(), {}).ok());
            const bool due = FilesOf(id) > 1;  // unless a TRUNCATE has emptied it
            ASSERT_TRUE(SetFaults(std::string(fault) + ":error").ok());
            const Status failed = engine_->ingest().Optimize(id, source.lsn(), {});
            ASSERT_TRUE(SetFaults(std::string(fault) + ":off").ok());
            EXPECT_TRUE(!due || !failed.ok());
            CheckNow(source, true);
            const Status done = engine_->ingest().Optimize(id, source.lsn(), {});
            EXPECT_TRUE(done.ok()) << done.error().message;
            EXPECT_LE(FilesOf(id), 1u);
            CheckNow(source, true);
            if (HasFailure()) return;
        }
    }
    // Nothing to do: no snapshot for it.
    for (const uint32_t id : kMirrors) {
        EXPECT_TRUE(engine_->ingest().Optimize(id, source.lsn(), {}).ok());
        const std::string location = MetadataOf(id);
        EXPECT_TRUE(engine_->ingest().Optimize(id, source.lsn(), {}).ok());
        EXPECT_EQ(MetadataOf(id), location);
    }
    worker_.Disconnect();
    StartEngine();
    Capture(source);
    CheckNow(source, true);
    for (const uint32_t id : kMirrors) ExpectNoOrphans(id);
}

}  // namespace
}  // namespace ivy::engine::test
