// SPDX-License-Identifier: Apache-2.0
//
// Ingest when something breaks: disks that fail or are full, lost key indexes, one mirror that fails among others, dropped
// mirrors with readers, no capture worker.
#include "engine/ingest_fixture.h"

namespace ivy::engine::test {
namespace {

void SendRows(Channel& copy, const Rows& table) {
    ColumnChunkBuilder rows(ChangesBuilder::Types(false));
    for (const auto& [id, row] : table) ChangesBuilder::AddRow(id, row, false, false, &rows);
    ByteWriter chunk;
    rows.Write(&chunk);
    Bytes frame;
    AppendFrame(static_cast<uint8_t>(MessageType::kChunk), chunk.bytes(), &frame);
    EXPECT_TRUE(copy.Send(frame).ok());
}

void EndCopy(Channel& copy) {
    EXPECT_TRUE(copy.SendMessage(MessageType::kCopyEnd, CopyEnd{}).ok());
    Frame reply;
    const auto answered = copy.Read(&reply);
    ASSERT_TRUE(answered.ok() && *answered);
    EXPECT_EQ(reply.type, static_cast<uint8_t>(MessageType::kOk)) << ErrorMessage::Read(reply)->error.message;
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
        const auto deadline = std::chrono::steady_clock::now() + 30s;
        Status flushed = engine_->ingest().Flush(101, source.lsn(), {});
        while (!flushed.ok() && std::chrono::steady_clock::now() < deadline)
            flushed = engine_->ingest().Flush(101, source.lsn(), {});
        EXPECT_TRUE(flushed.ok()) << point << ": " << flushed.error().message;
        CheckNow(source, true);
        ExpectAllInFiles(101);
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

#ifdef IVY_FAULT_POINTS
// The removal of what an earlier attempt has left takes long, and meanwhile that attempt has been given up: by the worker, or
// with its whole capture session. Files of the next one stay.
TEST_F(IngestTest, LateRemovalLeavesTheNextCopyAlone) {
    for (const bool new_session : {false, true}) {
        SCOPED_TRACE(new_session);
        worker_.Reset();
        StartEngine();
        Source source(seed_, {101});
        for (int i = 0; i < 100; i++) source.Step();
        source.CommitAll([](const Transaction&) {});
        worker_.catalog[101].open = OpenOf(101, false);
        worker_.Connect(*engine_);
        CopyBegin begin;
        begin.mirror = 101;
        begin.snapshot = source.Now();
        begin.columns = {1, 2, 3};
        ASSERT_TRUE(SetFaults("copy-clear:sleep-1500:1").ok());
        const int before = FaultCount("copy-clear");
        const auto late = engine_->Connect(Role::kCopy);
        ASSERT_TRUE(late->SendMessage(MessageType::kCopyBegin, begin).ok());
        while (FaultCount("copy-clear") == before) std::this_thread::sleep_for(1ms);
        late->Shutdown();
        if (new_session) worker_.Connect(*engine_);
        const auto copy = engine_->Connect(Role::kCopy);
        ASSERT_TRUE(copy->SendMessage(MessageType::kCopyBegin, begin).ok());
        SendRows(*copy, source.tables().at(101));
        // The late one wakes up while this one has files, and before it is at its end.
        std::this_thread::sleep_for(2s);
        EndCopy(*copy);
        CheckNow(source, true);
        if (HasFailure()) return;
        // A new engine finds all of the files.
        worker_.Disconnect();
        StartEngine();
        Capture(source);
        CheckNow(source, true);
        worker_.Disconnect();
        engine_.reset();
        std::filesystem::remove_all(folder_);
        std::filesystem::create_directories(folder_);
    }
}

// A transaction that has waited and then could not be applied must come again: the slot does not pass it.
TEST_F(IngestTest, KeepsTheSlotForWhatCouldNotBeApplied) {
    options_.reload = false;
    options_.flush_age = 1h;
    StartEngine();
    Source source(seed_, {101});
    for (int i = 0; i < 100; i++) source.Step();
    source.CommitAll([](const Transaction&) {});
    worker_.catalog[101].open = OpenOf(101, false);
    std::atomic<bool> may_publish{false};
    worker_.fate = [&](const FlushReady&) {
        while (!may_publish) std::this_thread::sleep_for(1ms);
        return Worker::Fate::kPublish;
    };
    worker_.Connect(*engine_);
    CopyBegin begin;
    begin.mirror = 101;
    begin.snapshot = source.Now();
    begin.columns = {1, 2, 3};
    const auto copy = engine_->Connect(Role::kCopy);
    ASSERT_TRUE(copy->SendMessage(MessageType::kCopyBegin, begin).ok());
    SendRows(*copy, source.tables().at(101));
    EndCopy(*copy);
    // These wait for the files to be published.
    const Lsn first = source.InsertMany(101, 5000, 10).lsn;
    source.InsertMany(101, 6000, 10);
    for (const Transaction& transaction : source.wal()) {
        if (transaction.lsn >= first) worker_.Send(transaction);
    }
    worker_.Progress(source.lsn() + 5, source.Now().xmin);
    Unavailable why;
    ASSERT_TRUE(engine_->mirrors().WaitApplied(source.lsn(), 20s, {}, &why).ok());
    ASSERT_TRUE(SetFaults("apply:error:1").ok());
    may_publish = true;
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    const auto failed = [&] { return engine_->mirrors().Find(101)->state() == Mirror::State::kFailed; };
    while (!failed() && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(1ms);
    ASSERT_TRUE(failed());
    std::this_thread::sleep_for(400ms);
    EXPECT_LT(worker_.persisted(), first);
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
        // The flusher tries again by itself, and may be at it.
        bool empty = false;
        for (int tries = 0; !empty && tries < 2000; tries++) {
            empty = std::filesystem::is_empty(disk + "/t101/data");
            if (!empty) std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        EXPECT_TRUE(empty);
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
    std::filesystem::remove_all(folder_ + "/engine/pgsql_tmp_index");
    StartEngine();
    Capture(source);
    for (int i = 0; i < 200; i++) {
        if (const Transaction* committed = source.Step()) Send(*committed);
    }
    CheckNow(source, true);
}

TEST_F(IngestTest, FailsOneMirrorOnly) {
    options_.reload = false;  // the first failure counts
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

#ifdef IVY_FAULT_POINTS
// What is given up while files are opened must not be read once they are open: its backlog has gone.
TEST_F(IngestTest, StaysFailedWhileItsFilesAreOpened) {
    options_.reload = false;
    StartEngine();
    Source source(seed_, {101});
    worker_.catalog[101].open = OpenOf(101);
    Capture(source);
    worker_.Send(source.InsertMany(101, 0, 100));
    CheckNow(source, true);
    ASSERT_TRUE(SetFaults("mirror-switch-columns:sleep-500:1").ok());
    const int before = FaultCount("mirror-switch-columns");
    MirrorOpen open = worker_.catalog[101].open;
    open.columns = Columns(true);
    worker_.Open(open);
    const std::shared_ptr<Mirror> mirror = engine_->mirrors().Find(101);
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (FaultCount("mirror-switch-columns") == before && std::chrono::steady_clock::now() < deadline)
        std::this_thread::sleep_for(1ms);
    ASSERT_GT(FaultCount("mirror-switch-columns"), before);
    mirror->FailForGood({sqlstate::kObjectNotInState, "given up", "", ""});
    std::this_thread::sleep_for(1s);
    EXPECT_EQ(mirror->state(), Mirror::State::kFailed);
    Unavailable why;
    EXPECT_FALSE(engine_->Select(101, source.Now(), &why).ok());
}
#endif

// Rows that were written without it would show NULL.
TEST_F(IngestTest, RefusesAColumnThatComesBack) {
    StartEngine();
    worker_.catalog[101].open = OpenOf(101);
    worker_.Connect(*engine_);
    MirrorOpen open = OpenOf(101);
    const MirrorColumn last = open.columns.back();
    open.columns.pop_back();
    open.columns.push_back({last.id + 1, "new", {TypeKind::kInt32}, false});
    worker_.Open(open);
    open.columns.push_back(last);
    worker_.Open(open);
    const auto refused = [&] {
        std::lock_guard guard(worker_.mutex());
        return !worker_.catalog[101].error.message.empty();
    };
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (!refused() && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(10ms);
    EXPECT_TRUE(refused());
    EXPECT_EQ(engine_->mirrors().Find(101)->state(), Mirror::State::kFailed);
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

// Were its files announced to the next session, they would be published for a mirror that has begun anew and does not have
// the changes since the copy's snapshot.
TEST_F(IngestTest, CopyEndsWithItsCaptureSession) {
    StartEngine();
    Source source(seed_, {101});
    worker_.catalog[101].open = OpenOf(101, false);
    worker_.Connect(*engine_);
    const auto copy = engine_->Connect(Role::kCopy);
    CopyBegin begin;
    begin.mirror = 101;
    begin.snapshot = source.Now();
    begin.columns = {1, 2, 3};
    ASSERT_TRUE(copy->SendMessage(MessageType::kCopyBegin, begin).ok());
    const auto phase = [&] { return engine_->mirrors().Find(101)->StatusJson()["copy_phase"]; };
    while (phase() != "copying") std::this_thread::sleep_for(1ms);

    worker_.Disconnect();
    while (engine_->mirrors().capture_connected()) std::this_thread::sleep_for(1ms);
    const auto next = engine_->Connect(Role::kCapture);
    std::this_thread::sleep_for(100ms);  // it listens to events now, and has not named its mirrors yet
    ASSERT_TRUE(copy->SendMessage(MessageType::kCopyEnd, CopyEnd{}).ok());
    Frame reply;
    const auto answered = copy->Read(&reply);
    ASSERT_TRUE(answered.ok() && *answered);
    EXPECT_EQ(reply.type, static_cast<uint8_t>(MessageType::kError));
    next->Shutdown();
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

}  // namespace
}  // namespace ivy::engine::test
