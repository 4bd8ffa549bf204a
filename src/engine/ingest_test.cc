// SPDX-License-Identifier: Apache-2.0
//
// Ingest against a model: random transactions and snapshots of all ages, while files are flushed, publications get lost,
// sessions break, engines end, copies run and columns are added.
#include "engine/ingest_fixture.h"

namespace ivy::engine::test {
namespace {

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
        ExpectAllInFiles(id);
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
        // The copy's snapshot holds the horizon.
        worker_.Progress(source.lsn() + 5, begin.snapshot.xmin);
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

TEST_F(IngestTest, AppliesAndCopiesManyRows) {
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
    const auto check = [&](uint32_t mirror, Xid xid) {
        const Snapshot snapshot = {xid + 1, xid + 1, {}};
        Unavailable why;
        auto read = engine_->mirrors().Read(mirror, snapshot, &why);
        for (int i = 0; i < 2000 && !read.ok() && why == Unavailable::kNotReady; i++) {  // a copy is published soon
            std::this_thread::sleep_for(10ms);
            read = engine_->mirrors().Read(mirror, snapshot, &why);
        }
        ASSERT_TRUE(read.ok()) << read.error().message;
        const auto connection = engine_->instance().Connect();
        QueryInputs::Attach(*connection->context).mirrors.push_back({read->view, {}});
        std::string rows = "SELECT * FROM ivy_delta(0)";
        if (!read->view->files().empty()) rows += " UNION ALL SELECT * FROM ivy_files('0')";
        auto result = connection->Query(
            "SELECT concat_ws(' ', count(*), count(DISTINCT c1), sum(c1), sum(c2), "
            "count(DISTINCT c4), sum(epoch_us(c5) - c1 * 1000), bool_and(c3 = c1 / 7)) FROM (" +
            rows + ")");
        ASSERT_FALSE(result->HasError()) << result->GetError();
        EXPECT_EQ(result->Fetch()->GetValue(0, 0).ToString(),
                  "1000000 1000000 499999500000 499500000 5000 1700000000000000000000 true");
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
        (void)worker_.channel().Send(frames);
        (void)worker_.channel().SendMessage(MessageType::kCommit, Commit{1000, 200, 205, 0});
        ASSERT_TRUE(engine_->mirrors().WaitApplied(200, 60s, {}, &why).ok());
        check(201, 1000);
    }
    {
        const auto copy = engine_->Connect(Role::kCopy);
        CopyBegin begin_copy;
        begin_copy.mirror = 202;
        begin_copy.snapshot = {1001, 1001, {}};
        begin_copy.columns = {1, 2, 3, 4, 5};
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
        check(202, 1001);
    }
}

}  // namespace
}  // namespace ivy::engine::test
