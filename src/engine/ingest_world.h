// SPDX-License-Identifier: Apache-2.0
//
// A small world around Ingest for its tests: source tables with transactions as Postgres has them, a WAL of what was
// decoded, a catalog of what was published, a capture worker on a socket pair, and an engine that may end at any time.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "delta/chunk_convert.h"
#include "engine/channel.h"
#include "engine/ingest.h"
#include "engine/instance.h"
#include "engine/mirror.h"
#include "engine/mirrors.h"
#include "engine/query_inputs.h"

namespace ivy::engine::test {

// A row of a source: columns 1 id (int, key), 2 v (text), 3 n (decimal(10,2)); with "wide", also 5 w (bigint).
struct Row {
    std::optional<std::string> v;
    int64_t n = 0;
    std::optional<int64_t> w;
    bool operator==(const Row&) const = default;
};
using Rows = std::map<int32_t, Row>;

inline std::string Print(int32_t id, const Row& row) {
    const int64_t n = row.n < 0 ? -row.n : row.n;
    char number[64];
    std::snprintf(number, sizeof number, "%s%ld.%02ld", row.n < 0 ? "-" : "", n / 100, n % 100);
    return std::to_string(id) + "|" + row.v.value_or("NULL") + "|" + number + "|" +
           (row.w ? std::to_string(*row.w) : "NULL");
}

inline std::vector<MirrorColumn> Columns(bool wide) {
    std::vector<MirrorColumn> columns = {{1, "id", {TypeKind::kInt32}, true},
                                         {2, "v", {TypeKind::kText}, false},
                                         {3, "n", {TypeKind::kDecimal, 10, 2}, true}};
    if (wide) columns.push_back({5, "w", {TypeKind::kInt64}, false});
    return columns;
}

// What a transaction did, in order, as it is sent.
struct Sent {
    MessageType type;
    Changes changes;
    Abort abort;
    MirrorOpen open;  // a schema change
};
struct Transaction {
    Xid xid = 0;
    Lsn lsn = 0;  // of the commit record
    std::vector<Sent> messages;
};

// Builds one Changes message.
class ChangesBuilder {
  public:
    ChangesBuilder(uint32_t mirror, Xid xid, Xid subxid, bool wide)
        : wide_(wide), rows_(Types(wide)), keys_({{TypeKind::kInt32}}) {
        changes_.mirror = mirror;
        changes_.xid = xid;
        changes_.subxid = subxid;
        for (const MirrorColumn& column : Columns(wide)) changes_.columns.push_back(column.id);
    }
    void Insert(int32_t id, const Row& row) {
        Op(RowOp::kInsert);
        AddRow(id, row, false);
    }
    void Delete(int32_t id) {
        Op(RowOp::kDelete);
        keys_.column(0).AppendFixed(id);
    }
    void Update(int32_t old_id, int32_t id, const Row& row, bool v_unchanged) {
        Op(RowOp::kUpdate);
        keys_.column(0).AppendFixed(old_id);
        AddRow(id, row, v_unchanged);
    }
    void Truncate() { Op(RowOp::kTruncate); }
    Changes Take() {
        ByteWriter rows, keys;
        rows_.Write(&rows);
        keys_.Write(&keys);
        changes_.rows = rows.Take();
        changes_.keys = keys.Take();
        return std::move(changes_);
    }
    static std::vector<ColumnType> Types(bool wide) {
        std::vector<ColumnType> types;
        for (const MirrorColumn& column : Columns(wide)) types.push_back(column.type);
        return types;
    }
    static void AddRow(int32_t id, const Row& row, bool v_unchanged, bool wide, ColumnChunkBuilder* rows) {
        rows->column(0).AppendFixed(id);
        if (row.v && !v_unchanged) {
            rows->column(1).AppendVariable(*row.v);
        } else {
            rows->column(1).AppendNull();
        }
        rows->column(2).AppendFixed<Int128>(row.n);
        if (!wide) return;
        if (row.w) {
            rows->column(3).AppendFixed<int64_t>(*row.w);
        } else {
            rows->column(3).AppendNull();
        }
    }

  private:
    void Op(RowOp op) { changes_.ops.push_back(static_cast<uint8_t>(op)); }
    void AddRow(int32_t id, const Row& row, bool v_unchanged) {
        if (v_unchanged) changes_.unchanged.push_back({static_cast<uint32_t>(rows_.rows()), 1});
        AddRow(id, row, v_unchanged, wide_, &rows_);
    }
    bool wide_;
    Changes changes_;
    ColumnChunkBuilder rows_, keys_;
};

// An engine in this process, on a folder, with one capture connection.
class TestEngine {
  public:
    explicit TestEngine(const std::string& folder, IngestOptions options = {}) {
        Instance::Config config;
        config.temp_folder = folder + "/engine/temp";
        config.threads = 2;
        auto instance = Instance::Open(config);
        EXPECT_TRUE(instance.ok()) << instance.error().message;
        instance_ = std::move(instance).value();
        options.folder = folder + "/engine";
        ingest_ = std::make_unique<Ingest>(*instance_, options);
    }
    ~TestEngine() {
        ingest_->Stop();
        for (std::thread& thread : threads_) thread.join();
    }
    Ingest& ingest() { return *ingest_; }
    Mirrors& mirrors() { return ingest_->mirrors(); }
    Instance& instance() { return *instance_; }

    // The client's end of a new connection that the engine serves.
    std::unique_ptr<Channel> Connect(Role role) {
        int fds[2];
        EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        threads_.emplace_back([this, role, fd = fds[1]] {
            Channel channel(fd);
            if (role == Role::kCapture) {
                ingest_->ServeCapture(channel);
            } else {
                ingest_->ServeCopy(channel);
            }
        });
        return std::make_unique<Channel>(fds[0]);
    }

    // A mirror's rows for a snapshot, sorted; or why there are none.
    Result<std::vector<std::string>> Select(uint32_t mirror, const Snapshot& snapshot, Unavailable* why,
                                            bool wide = false) {
        IVY_ASSIGN_OR_RETURN(const MirrorRead read, mirrors().Read(mirror, snapshot, why));
        const auto connection = instance_->Connect();
        QueryInputs::Attach(*connection->context).mirrors.push_back({read.view, {}});
        const std::string list = wide ? "c1, c2, c3, c5" : "c1, c2, c3, NULL";
        std::string sql = "SELECT " + list + " FROM ivy_delta(0)";
        if (!read.view->files().empty()) sql += " UNION ALL SELECT " + list + " FROM ivy_files('0')";
        auto result = connection->Query(sql);
        if (result->HasError()) return Status::Internal(result->GetError());
        std::vector<std::string> rows;
        while (const auto chunk = result->Fetch()) {
            for (size_t i = 0; i < chunk->size(); i++) {
                std::string row;
                for (size_t c = 0; c < 4; c++) row += (c ? "|" : "") + chunk->GetValue(c, i).ToString();
                rows.push_back(row);
            }
        }
        std::sort(rows.begin(), rows.end());
        return rows;
    }

  private:
    std::unique_ptr<Instance> instance_;
    std::unique_ptr<Ingest> ingest_;
    std::vector<std::thread> threads_;
};

// One mirror's row in the catalog.
struct CatalogRow {
    MirrorOpen open;
    int publications = 0;
    Error error;
};

// The capture worker: keeps catalog and engine in agreement, remembers how much WAL it may forget.
class Worker {
  public:
    ~Worker() { Disconnect(); }
    std::map<uint32_t, CatalogRow> catalog;  // used under mutex()
    // Decides what happens with each FlushReady.
    enum class Fate { kPublish, kPublishSilently, kIgnore };
    std::function<Fate(const FlushReady&)> fate = [](const FlushReady&) { return Fate::kPublish; };

    std::mutex& mutex() { return mutex_; }
    Lsn persisted() {
        std::lock_guard guard(mutex_);
        return persisted_;
    }
    int publications(uint32_t mirror) {
        std::lock_guard guard(mutex_);
        return catalog[mirror].publications;
    }

    void Connect(TestEngine& engine) {
        const auto wait_until = [&](bool connected) {
            while (engine.mirrors().capture_connected() != connected)
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
        };
        Disconnect();
        wait_until(false);
        channel_ = engine.Connect(Role::kCapture);
        {
            std::lock_guard guard(mutex_);
            for (auto& [id, row] : catalog) {
                if (row.error.message.empty()) (void)channel_->SendMessage(MessageType::kMirrorOpen, row.open);
            }
        }
        Bytes ready;
        AppendFrame(static_cast<uint8_t>(MessageType::kCaptureReady), {}, &ready);
        (void)channel_->Send(ready);
        receiver_ = std::thread([this] { Receive(); });
        wait_until(true);
    }
    // Forgets everything: a new server.
    void Reset() {
        Disconnect();
        std::lock_guard guard(mutex_);
        catalog.clear();
        persisted_ = 0;
    }
    void Disconnect() {
        if (channel_) channel_->Shutdown();
        if (receiver_.joinable()) receiver_.join();
        channel_.reset();
    }
    void Open(const MirrorOpen& open) {
        {
            std::lock_guard guard(mutex_);
            catalog[open.id].open = open;
        }
        (void)channel_->SendMessage(MessageType::kMirrorOpen, open);
    }
    Channel& channel() { return *channel_; }

    void Send(const Transaction& transaction) {
        for (const Sent& sent : transaction.messages) Send(sent);
        Commit commit;
        commit.xid = transaction.xid;
        commit.commit_lsn = transaction.lsn;
        commit.end_lsn = transaction.lsn + 5;
        (void)channel_->SendMessage(MessageType::kCommit, commit);
    }
    void Send(const Sent& sent) {
        if (sent.type == MessageType::kChanges) (void)channel_->SendMessage(sent.type, sent.changes);
        if (sent.type == MessageType::kAbort) (void)channel_->SendMessage(sent.type, sent.abort);
        if (sent.type == MessageType::kMirrorOpen) {
            MirrorOpen open;
            {
                std::lock_guard guard(mutex_);
                MirrorOpen& row = catalog[sent.open.id].open;
                row.columns = sent.open.columns;
                open = row;
            }
            (void)channel_->SendMessage(sent.type, open);
        }
    }
    void Progress(Lsn lsn, Xid oldest_xmin) {
        (void)channel_->SendMessage(MessageType::kProgress, ivy::Progress{lsn, oldest_xmin});
    }

  private:
    void Receive() {
        Frame frame;
        while (true) {
            const auto more = channel_->Read(&frame);
            if (!more.ok() || !*more) return;
            switch (static_cast<MessageType>(frame.type)) {
                case MessageType::kFlushReady: Publish(FlushReady::Read(frame).value()); break;
                case MessageType::kPersisted: {
                    std::lock_guard guard(mutex_);
                    persisted_ = std::max(persisted_, Persisted::Read(frame).value().lsn);
                    break;
                }
                case MessageType::kMirrorFailed: {
                    const MirrorFailed failed = MirrorFailed::Read(frame).value();
                    std::lock_guard guard(mutex_);
                    CatalogRow& row = catalog[failed.mirror];
                    if (failed.inexact.empty()) row.error = failed.error;
                    for (const uint32_t id : failed.inexact) row.open.inexact.push_back(id);
                    break;
                }
                default: ADD_FAILURE() << "frame " << int{frame.type};
            }
        }
    }
    void Publish(const FlushReady& ready) {
        const Fate fate_now = fate(ready);
        if (fate_now == Fate::kIgnore) return;
        {
            std::lock_guard guard(mutex_);
            CatalogRow& row = catalog[ready.mirror];
            if (row.open.metadata_location != ready.previous_metadata_location) return;
            row.open.metadata_location = ready.metadata_location;
            EXPECT_GE(ready.flushed_lsn, row.open.flushed_lsn);
            row.open.flushed_lsn = ready.flushed_lsn;
            if (ready.has_copy_snapshot) {
                row.open.has_copy_snapshot = true;
                row.open.copy_snapshot = ready.copy_snapshot;
            }
            row.publications++;
        }
        if (fate_now == Fate::kPublish) {
            (void)channel_->SendMessage(MessageType::kPublished, Published{ready.mirror, ready.metadata_location});
        }
    }

    std::mutex mutex_;
    std::unique_ptr<Channel> channel_;
    std::thread receiver_;
    Lsn persisted_ = 0;
};

}  // namespace ivy::engine::test
