// SPDX-License-Identifier: Apache-2.0
//
// A model of the source database for tests of ingest: random transactions with subtransactions, aborts, TRUNCATE and
// unchanged values, what each commit leaves behind, and the snapshots that sessions would take meanwhile.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/ingest_world.h"

namespace ivy::engine::test {

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

}  // namespace ivy::engine::test
