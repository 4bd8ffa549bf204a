// SPDX-License-Identifier: Apache-2.0
// DeletedRows' block list and merging.
#include "delta/deleted_rows.h"

#include <algorithm>

namespace ivy::delta {

namespace {

constexpr size_t kFirstBlock = 64;
constexpr size_t kLargestBlock = 8192;
// A base checkpoint is advanced when it would save as many steps as this, each time.
constexpr uint64_t kWorthACheckpoint = 1024;

}  // namespace

struct DeletedRows::Block {
    Block(uint64_t the_first, size_t the_capacity)
        : first(the_first), capacity(the_capacity), entries(std::make_unique_for_overwrite<Entry[]>(the_capacity)) {}
    uint64_t end() const { return first + capacity; }

    const uint64_t first;  // ordinal of its first entry
    const size_t capacity;
    const std::unique_ptr<Entry[]> entries;
};

void DeletedRows::Add(uint64_t row, Xid xid, std::mutex* table_mutex) {
    if (blocks_.empty() || end_ == blocks_.back()->end()) {
        const size_t capacity = blocks_.empty() ? kFirstBlock : std::min(kLargestBlock, blocks_.back()->capacity * 2);
        auto block = std::make_shared<Block>(end_, capacity);
        const std::lock_guard lock(*table_mutex);
        blocks_.push_back(std::move(block));
    }
    Block& block = *blocks_.back();
    block.entries[end_ - block.first] = {row, xid};
    end_++;
    applied_.add(row);
}

void DeletedRows::SetVector(std::shared_ptr<const RowSet> vector, uint64_t count) {
    vector_ = std::move(vector);
    begin_ += count;
    applied_ = RowSet();
    for (const auto& block : blocks_) {
        for (uint64_t i = std::max(begin_, block->first); i < std::min(end_, block->end()); i++) {
            applied_.add(block->entries[i - block->first].row);
        }
    }
    const auto kept =
        std::find_if(blocks_.begin(), blocks_.end(), [&](const auto& block) { return block->end() > begin_; });
    blocks_.erase(blocks_.begin(), kept);
    if (base_.end < begin_) base_ = {vector_, begin_, kInvalidXid};
}

DeletedRows::Capture DeletedRows::Take() const {
    Capture capture;
    capture.base = base_.end <= begin_ ? Checkpoint{vector_, begin_, kInvalidXid} : base_;
    capture.latest = latest_.end <= capture.base.end ? capture.base : latest_;
    capture.end = published_;
    const uint64_t needed = capture.base.end;
    for (const auto& block : blocks_) {
        if (block->end() > needed && block->first < published_) capture.blocks.push_back(block);
    }
    return capture;
}

void DeletedRows::Keep(const Capture& capture) {
    if (capture.base.end > std::max(base_.end, begin_)) base_ = capture.base;
    if (capture.latest.end > std::max(latest_.end, begin_)) latest_ = capture.latest;
}

std::shared_ptr<const RowSet> DeletedRows::Merge(Capture* capture, const Snapshot& snapshot, Xid oldest_xmin) {
    // Calls visit(entry) for entries [begin, end) until it returns false.
    const auto each = [&](uint64_t begin, uint64_t end, auto&& visit) {
        for (const auto& block : capture->blocks) {
            for (uint64_t i = std::max(begin, block->first); i < std::min(end, block->end()); i++) {
                if (!visit(block->entries[i - block->first])) return;
            }
        }
    };
    const auto copy_of = [](const Checkpoint& checkpoint) {
        return checkpoint.bitmap ? std::make_shared<RowSet>(*checkpoint.bitmap) : std::make_shared<RowSet>();
    };

    Checkpoint& base = capture->base;
    if (capture->end - base.end >= 2 * kWorthACheckpoint) {
        uint64_t seen_by_all = base.end;
        Xid max_xid = base.max_xid;
        each(base.end, capture->end, [&](const Entry& entry) {
            if (entry.xid >= oldest_xmin) return false;
            max_xid = std::max(max_xid, entry.xid);
            seen_by_all++;
            return true;
        });
        if (seen_by_all - base.end >= kWorthACheckpoint) {
            auto bitmap = copy_of(base);
            each(base.end, seen_by_all, [&](const Entry& entry) {
                bitmap->add(entry.row);
                return true;
            });
            base = {std::move(bitmap), seen_by_all, max_xid};
        }
    }

    const Checkpoint start =
        capture->latest.end >= base.end && capture->latest.max_xid < snapshot.xmin ? capture->latest : base;
    capture->complete = true;
    capture->max_xid = start.max_xid;
    if (start.end == capture->end) return start.bitmap;
    std::shared_ptr<RowSet> merged;
    each(start.end, capture->end, [&](const Entry& entry) {
        if (!snapshot.Sees(entry.xid)) {
            capture->complete = false;
            return true;
        }
        if (!merged) merged = copy_of(start);
        merged->add(entry.row);
        capture->max_xid = std::max(capture->max_xid, entry.xid);
        return true;
    });
    if (!merged) return start.bitmap;
    if (capture->complete) capture->latest = {merged, capture->end, capture->max_xid};
    return merged;
}

}  // namespace ivy::delta
