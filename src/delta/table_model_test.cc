// SPDX-License-Identifier: Apache-2.0
//
// MirrorTable against a naive model: random transactions that overlap in time, snapshots that see any of them, flushes
// of every kind in between, crashes that lose everything unpublished. Each view must show exactly the model's rows when
// it is made, and still when it is old. Seeded: a failure prints its seed.
#include "delta/table_harness.h"

namespace ivy::delta::test {
namespace {

struct Config {
    const char* name;
    std::vector<size_t> key;
    uint64_t hash_mask;
    int keys;        // number of different ids
    size_t largest;  // operations in a transaction
    uint64_t block_rows = RowReader::kBlockRows;
    size_t equal_rows_bytes = 16 << 20;
};

class ModelTest : public TableTest, public ::testing::WithParamInterface<std::tuple<Config, int>> {
  protected:
    // A row version; the model keeps all that a snapshot could still see.
    struct Version {
        Row row;
        Xid inserted = 0, deleted = 0;
    };
    struct Applied {
        Xid xid;
        Lsn lsn;
        std::vector<Op> ops;
    };
    struct OldView {
        std::shared_ptr<const ReadView> view;
        std::vector<Row> rows;
    };

    static void TearDownTestSuite() {
        EXPECT_GT(rewritten_, ::testing::UnitTest::GetInstance()->successful_test_count() * 2);
    }

    uint64_t Random(uint64_t below) { return random_() % below; }

    Row RandomRow() {
        Row row;
        row.id = static_cast<int64_t>(Random(static_cast<uint64_t>(config_.keys)));
        row.name = "name " + std::to_string(Random(3)) + std::string(Random(30), 'n');
        if (Random(4)) row.note = std::string(Random(60), static_cast<char>('a' + Random(26)));
        if (Random(4)) row.amount = 1 + static_cast<int64_t>(Random(1000000));
        if (RowsRepeat()) {  // duplicates are wanted
            row.name = "n";
            row.note = Random(2) ? std::optional<std::string>("a note that is not inlined") : std::nullopt;
            row.amount = Random(2) ? std::optional<int64_t>(5) : std::nullopt;
        }
        return row;
    }
    // The key of a row, where it must be unique.
    std::string KeyOf(const Row& row) const {
        return config_.key.size() == 1 ? std::to_string(row.id) : std::to_string(row.id) + row.name;
    }
    bool Taken(const Row& row) const {
        return !config_.key.empty() && !RowsRepeat() && live_keys_.contains(KeyOf(row));
    }
    bool RowsRepeat() const { return config_.key.size() == Types().size(); }
    // A live version, or SIZE_MAX. Nobody deletes a row that he does not see; where a key tells rows apart the table
    // need not rely on that.
    size_t RandomLive() {
        for (int i = 0; i < 20 && !versions_.empty(); i++) {
            const size_t at = Random(versions_.size());
            const Xid inserted = versions_[at].inserted;
            if (RowsRepeat() && ending_.contains(inserted) && inserted != current_) continue;
            if (versions_[at].deleted == 0) return at;
        }
        return SIZE_MAX;
    }

    // A random transaction on the latest state.
    std::vector<Op> RandomOps(Xid xid) {
        current_ = xid;
        std::vector<Op> ops;
        const size_t count = 1 + Random(Random(4) ? 5 : config_.largest);
        for (size_t i = 0; i < count; i++) {
            const uint64_t what = Random(1000);
            if (what == 0) {
                ops.push_back({RowOp::kTruncate, {}, {}, {}});
                versions_.clear();
                live_keys_.clear();
                continue;
            }
            const size_t live = what < 450 ? SIZE_MAX : RandomLive();
            if (config_.key.empty() || live == SIZE_MAX) {
                const Row row = RandomRow();
                if (Taken(row)) continue;
                ops.push_back({RowOp::kInsert, {}, row, {}});
                Add(row, xid);
            } else if (what < 650) {
                ops.push_back({RowOp::kDelete, versions_[live].row, {}, {}});
                Remove(live, xid);
            } else {
                Op op{RowOp::kUpdate, versions_[live].row, RandomRow(), {}};
                if (Random(3)) op.new_row.id = op.old_row.id;
                if (Random(3)) op.new_row.name = op.old_row.name;
                for (const size_t column : {1, 2}) {
                    if (Random(3)) continue;
                    op.unchanged.push_back(column);
                    if (column == 1) op.new_row.name = op.old_row.name;
                    if (column == 2) op.new_row.note = op.old_row.note;
                }
                if (KeyOf(op.new_row) != KeyOf(op.old_row) && Taken(op.new_row)) continue;
                ops.push_back(op);
                Remove(live, xid);
                Add(op.new_row, xid);
            }
        }
        return ops;
    }
    void Add(const Row& row, Xid xid) {
        versions_.push_back({row, xid, 0});
        live_keys_.insert(KeyOf(row));
    }
    void Remove(size_t version, Xid xid) {
        live_keys_.erase(KeyOf(versions_[version].row));
        if (versions_[version].inserted == xid) {  // nobody ever sees it
            versions_.erase(versions_.begin() + static_cast<ptrdiff_t>(version));
        } else {
            versions_[version].deleted = xid;
        }
    }

    void ApplyTransaction(const Applied& transaction) {
        std::vector<Changes> messages;
        for (size_t at = 0; at < transaction.ops.size();) {
            const size_t count = 1 + Random(transaction.ops.size() - at);
            messages.push_back(Message({transaction.ops.begin() + static_cast<ptrdiff_t>(at),
                                        transaction.ops.begin() + static_cast<ptrdiff_t>(at + count)},
                                       config_.key));
            at += count;
        }
        std::vector<const Changes*> batch;
        for (size_t i = 0; i < messages.size(); i++) {
            batch.push_back(&messages[i]);
            if (i + 1 < messages.size() && Random(3) == 0) {
                const Status status = table_->ApplyPart(batch, transaction.xid);
                ASSERT_TRUE(status.ok()) << status.error().message;
                batch.clear();
                if (Random(3) == 0) FinishFlush();
                if (Random(3) == 0) BeginFlush();
            }
        }
        const Status status = table_->Apply(batch, transaction.xid, transaction.lsn);
        ASSERT_TRUE(status.ok()) << status.error().message << " lsn " << transaction.lsn;
    }

    void Commit() {
        if (running_.empty()) return;
        auto chosen = running_.begin();
        std::advance(chosen, Random(running_.size()));
        const Xid xid = *chosen;
        running_.erase(chosen);
        ending_.insert(xid);
        Applied transaction{xid, next_lsn_++, RandomOps(xid)};
        ApplyTransaction(transaction);
        log_.push_back(std::move(transaction));
    }

    Snapshot TakeSnapshot() {
        Snapshot snapshot;
        snapshot.xmax = next_xid_;
        std::set<Xid> hidden = running_;
        hidden.insert(ending_.begin(), ending_.end());
        snapshot.xip.assign(hidden.begin(), hidden.end());
        snapshot.xmin = hidden.empty() ? next_xid_ : *hidden.begin();
        return snapshot;
    }
    Xid OldestXmin() {
        Xid oldest = TakeSnapshot().xmin;
        for (const Snapshot& snapshot : snapshots_) oldest = std::min(oldest, snapshot.xmin);
        return oldest;
    }

    void CheckRead(const Snapshot& snapshot) {
        const bool refused =
            std::any_of(flushed_.begin(), flushed_.end(), [&](Xid xid) { return !snapshot.Sees(xid); });
        auto view = table_->Read(snapshot);
        reads_++;
        if (RowsRepeat() && !view.ok() && !refused) {
            confused_++;
            EXPECT_FALSE(snapshot.xip.empty());
            return;
        }
        ASSERT_EQ(view.ok(), !refused) << (view.ok() ? "should be refused" : view.error().message);
        if (refused) {
            EXPECT_EQ(view.error().sqlstate, sqlstate::kObjectNotInState);
            return;
        }
        std::vector<Row> expected;
        for (const Version& version : versions_) {
            if (!snapshot.Sees(version.inserted)) continue;
            if (version.deleted == 0 || !snapshot.Sees(version.deleted)) expected.push_back(version.row);
        }
        std::sort(expected.begin(), expected.end());
        const std::vector<Row> actual = RowsOf(**view);
        ASSERT_EQ(actual.size(), expected.size());
        ASSERT_TRUE(actual == expected);
        if (Random(10) == 0) old_views_.push_back({std::move(view).value(), std::move(expected)});
    }
    void CheckOldView() {
        if (old_views_.empty()) return;
        const size_t at = Random(old_views_.size());
        ASSERT_TRUE(RowsOf(*old_views_[at].view) == old_views_[at].rows) << "an old view changed";
        if (Random(3) == 0) old_views_.erase(old_views_.begin() + static_cast<ptrdiff_t>(at));
    }

    void BeginFlush() {
        if (cut_.id != 0) return;
        cut_ = table_->BeginFlush(OldestXmin(), Random(20) == 0);
    }
    void FinishFlush() {
        if (cut_.id == 0) return;
        if (Random(5) == 0) {
            table_->AbandonFlush(cut_);
            cut_ = {};
            return;
        }
        const auto file = WriteFile(cut_);
        Publish(cut_, file.get());
        if (Random(15) == 0) {  // the crash comes before the engine hears that it is published
            NoteFlushed();
            cut_ = {};
            crash_ = true;
            return;
        }
        const Status status = table_->FinishFlush(cut_, file.get());
        ASSERT_TRUE(status.ok()) << status.error().message;
        NoteFlushed();
        EXPECT_EQ(table_->GetStats().flushed_lsn, cut_.flushed_lsn);
        cut_ = {};
    }

    void BeginRewrite() {
        if (rewrite_) return;
        std::vector<std::string> paths;
        for (const NewFile& file : published_.files) {
            // Not those that are empty, or that a TRUNCATE has emptied.
            if (Random(2) == 0 && table_->RewriteSources({file.path})) paths.push_back(file.path);
        }
        if (!paths.empty()) rewrite_ = TableTest::BeginRewrite(paths, 1 + Random(3));
    }
    void FinishRewrite() {
        if (!rewrite_ || cut_.id != 0) return;
        const bool told = Random(15) != 0;  // or the crash comes before the engine hears that it is published
        if (TableTest::FinishRewrite(rewrite_.get(), told)) {
            rewritten_++;  // in all tests
            crash_ = !told;
        }
        rewrite_.reset();
    }

    void NoteFlushed() {
        for (const Applied& transaction : log_) {
            const bool published = transaction.lsn <= published_.flushed_lsn;
            if (published && !transaction.ops.empty()) flushed_.insert(transaction.xid);
        }
        std::erase_if(log_, [&](const Applied& transaction) { return transaction.lsn <= published_.flushed_lsn; });
    }

    // The engine starts anew from what is published; the slot sends the rest again.
    void Restart() {
        crash_ = false;
        cut_ = {};
        rewrite_.reset();
        Open();
        table_->SetOldestXmin(OldestXmin());
        for (const Applied& transaction : log_) {
            const Changes changes = Message(transaction.ops, config_.key);
            const Status status = table_->Apply({&changes}, transaction.xid, transaction.lsn);
            ASSERT_TRUE(status.ok()) << status.error().message;
        }
    }

    Config config_;
    std::mt19937_64 random_;
    std::vector<Version> versions_;
    std::set<std::string> live_keys_;
    std::vector<Applied> log_;  // not published yet
    std::set<Xid> running_;     // have an id, did not commit
    std::set<Xid> ending_;      // committed and applied, still hidden from new snapshots
    std::set<Xid> flushed_;     // published
    std::vector<Snapshot> snapshots_;
    std::vector<OldView> old_views_;
    FlushCut cut_;
    std::unique_ptr<Rewrite> rewrite_;
    static inline int rewritten_ = 0;
    bool crash_ = false;
    int reads_ = 0, confused_ = 0;
    Xid current_ = 0;
    Xid next_xid_ = 10;
    Lsn next_lsn_ = 100;
};

TEST_P(ModelTest, EveryViewIsExact) {
    config_ = std::get<0>(GetParam());
    const int seed = std::get<1>(GetParam());
    SCOPED_TRACE(std::string(config_.name) + " seed " + std::to_string(seed));
    random_.seed(static_cast<uint64_t>(seed));
    key_ = config_.key;
    hash_mask_ = config_.hash_mask;
    block_rows_ = config_.block_rows;
    equal_rows_bytes_ = config_.equal_rows_bytes;
    sort_files_ = seed % 2 == 0;
    Open();
    for (int step = 0; step < 1500 && !HasFatalFailure(); step++) {
        SCOPED_TRACE("step " + std::to_string(step));
        const uint64_t what = Random(100);
        if (what < 20) {
            if (running_.size() < 8) running_.insert(next_xid_++);
        } else if (what < 45) {
            Commit();
        } else if (what < 60) {
            if (!ending_.empty()) {
                auto chosen = ending_.begin();
                std::advance(chosen, Random(ending_.size()));
                ending_.erase(chosen);
            }
        } else if (what < 62) {
            BeginRewrite();
        } else if (what < 64) {
            FinishRewrite();
        } else if (what < 68) {
            if (snapshots_.size() < 5) snapshots_.push_back(TakeSnapshot());
            CheckRead(TakeSnapshot());
        } else if (what < 80) {
            if (!snapshots_.empty()) CheckRead(snapshots_[Random(snapshots_.size())]);
        } else if (what < 85) {
            if (snapshots_.empty()) continue;
            snapshots_.erase(snapshots_.begin() + static_cast<ptrdiff_t>(Random(snapshots_.size())));
        } else if (what < 88) {
            table_->SetOldestXmin(OldestXmin());
        } else if (what < 92) {
            BeginFlush();
        } else if (what < 96) {
            FinishFlush();
        } else if (what < 99) {
            CheckOldView();
        } else if (Random(4) == 0) {
            crash_ = true;
        }
        if (crash_) Restart();
    }
    if (HasFatalFailure()) return;
    running_.clear();
    ending_.clear();
    CheckRead(TakeSnapshot());
    EXPECT_LT(confused_, reads_);
    while (!old_views_.empty() && !HasFatalFailure()) CheckOldView();
}

constexpr uint64_t kAll = ~uint64_t{0};
#ifdef __SANITIZE_THREAD__
constexpr int kSeeds = 1;  // there is only one thread here
#else
constexpr int kSeeds = 6;
#endif
INSTANTIATE_TEST_SUITE_P(
    Random, ModelTest,
    ::testing::Combine(::testing::Values(Config{"id", {0}, kAll, 200, 60}, Config{"id_large", {0}, kAll, 20000, 6000},
                                         Config{"id_collide", {0}, 7, 100, 40}, Config{"id_one_hash", {0}, 0, 40, 20},
                                         Config{"name_id", {1, 0}, kAll, 200, 60},
                                         Config{"name_id_collide", {1, 0}, uint64_t{3} << 62, 50, 30},
                                         Config{"full", {0, 1, 2, 3}, kAll, 10, 60},
                                         Config{"full_collide", {0, 1, 2, 3}, 3, 10, 40},
                                         Config{"full_blocks", {0, 1, 2, 3}, kAll, 3, 200, 40, 2000},
                                         Config{"full_small_blocks", {0, 1, 2, 3}, kAll, 10, 60, 5, 1000},
                                         Config{"full_forgetful", {0, 1, 2, 3}, kAll, 10, 100, 20, 0},
                                         Config{"full_blocks_collide", {0, 1, 2, 3}, 3, 6, 100, 30, 3000},
                                         Config{"append_only", {}, kAll, 200, 500}),
                       ::testing::Range(1, kSeeds + 1)),
    [](const auto& info) {
        return std::string(std::get<0>(info.param).name) + "_" + std::to_string(std::get<1>(info.param));
    });

}  // namespace
}  // namespace ivy::delta::test
