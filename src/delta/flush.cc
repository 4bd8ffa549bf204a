// SPDX-License-Identifier: Apache-2.0
//
// Flushing: a cut is a prefix of the applied transactions. Taking and finishing one are short; what takes time
// (planning, scanning, the index) works on captured state while transactions are applied beside it.
//
// Row numbers of the new file are ranks among the cut's rows that are written, or where a sort has put those: they are the
// rows that no transaction of the cut has deleted. A later delete of such a row, before or during the flush, is in the delete log behind the cut's part; it is
// given to the new file when the cut is finished, in its place in the commit order.
#include <algorithm>
#include <bit>
#include <set>

#include "delta/table_impl.h"

namespace ivy::delta {

namespace {

// Sets bits [begin, end).
void SetBits(uint64_t* words, size_t begin, size_t end) {
    for (size_t bit = begin; bit < end; bit++) words[bit >> 6] |= uint64_t{1} << (bit & 63);
}

}  // namespace

bool FlushCut::FileDeletes::Emptied() const { return deleted->cardinality() == static_cast<uint64_t>(file_rows); }

bool FlushCut::RemovesFiles() const {
    return truncated || std::any_of(deletes.begin(), deletes.end(), [](const auto& file) { return file.Emptied(); });
}

std::optional<uint64_t> TableImpl::ActiveCut::RowNumber(uint64_t position) const {
    if (position < cut.begin_position || position >= cut.end_position) return std::nullopt;
    const CutChunk& chunk = chunks[(position - chunks_position) / kChunkRows];
    const size_t row = position % kChunkRows;
    if (!(chunk.written[row >> 6] >> (row & 63) & 1)) return std::nullopt;
    uint64_t number = chunk.first_row;
    for (size_t word = 0; word < row >> 6; word++) number += static_cast<uint64_t>(std::popcount(chunk.written[word]));
    const uint64_t below = (uint64_t{1} << (row & 63)) - 1;
    number += static_cast<uint64_t>(std::popcount(chunk.written[row >> 6] & below));
    return order ? (*order)[number] : number;
}

FlushCut TableImpl::BeginFlush(Xid oldest_xmin, bool force) {
    SetOldestXmin(oldest_xmin);
    auto active = std::make_unique<ActiveCut>();
    FlushCut& cut = active->cut;
    std::vector<DeleteRecord> deletes;
    std::map<uint32_t, FilePtr> files;
    {
        const std::lock_guard apply_lock(apply_mutex_);
        {
            const std::lock_guard lock(mutex_);
            if (failure_ || active_cut_) return {};
            cut.begin_position = flushed_end_;
            cut.unseen_xids = unseen_xids_;
            oldest_xmin = std::max(oldest_xmin, oldest_xmin_);
        }
        auto last = transactions_.begin();
        while (last != transactions_.end() && (force || last->xid < oldest_xmin)) ++last;
        active->transactions = static_cast<size_t>(last - transactions_.begin());
        if (active->transactions == 0) return {};
        --last;
        cut.flushed_lsn = last->commit_lsn;
        for (auto t = transactions_.begin(); t <= last; ++t) {
            if (t->truncated) {
                cut.truncated = true;
                cut.begin_position = std::max(cut.begin_position, *t->truncated);  // rows before are not written
            }
            if (t->xid >= oldest_xmin) cut.unseen_xids.push_back(t->xid);
        }
        cut.end_position = std::max(cut.begin_position, last->end);
        active->deletes_end = last->deletes_end;
        deletes.assign(deletes_.begin(), deletes_.begin() + static_cast<ptrdiff_t>(last->deletes_end - deletes_begin_));
        for (const auto& [slot, file] : known_files_) {
            const bool dropped = file->dropped_by != kInvalidLsn && file->dropped_by <= cut.flushed_lsn;
            if (!dropped) files.emplace(slot, file);
        }
        if (cut.begin_position < cut.end_position) {
            const uint64_t first = cut.begin_position / kChunkRows, end = (cut.end_position - 1) / kChunkRows + 1;
            active->chunks_position = first * kChunkRows;
            for (uint64_t i = first; i < end; i++) {
                CutChunk chunk;
                chunk.chunk = chunks_[i - first_chunk_];
                active->chunks.push_back(std::move(chunk));
            }
        }
        cut.id = next_cut_++;
    }
    std::sort(cut.unseen_xids.begin(), cut.unseen_xids.end());
    PlanCut(active.get(), deletes, files);
    FlushCut result = cut;
    const std::lock_guard apply_lock(apply_mutex_);
    active_cut_ = std::move(active);
    return result;
}

// Decides which rows are written and what the new deletion vectors are. Vectors of files change only with FinishFlush,
// which the same thread calls.
void TableImpl::PlanCut(ActiveCut* active, const std::vector<DeleteRecord>& deletes,
                        const std::map<uint32_t, FilePtr>& files) const {
    FlushCut& cut = active->cut;
    for (size_t i = 0; i < active->chunks.size(); i++) {
        CutChunk& chunk = active->chunks[i];
        const uint64_t position = active->chunks_position + i * kChunkRows;
        chunk.begin = cut.begin_position > position ? cut.begin_position - position : 0;
        chunk.end = std::min<uint64_t>(kChunkRows, cut.end_position - position);
        chunk.written.fill(0);
        SetBits(chunk.written.data(), chunk.begin, chunk.end);
    }
    std::map<uint32_t, std::shared_ptr<RowSet>> vectors;
    for (const DeleteRecord& record : deletes) {
        if (record.slot == kDeltaSlot) {
            if (record.row < cut.begin_position) continue;
            CutChunk& chunk = active->chunks[(record.row - active->chunks_position) / kChunkRows];
            const size_t row = record.row % kChunkRows;
            chunk.written[row >> 6] &= ~(uint64_t{1} << (row & 63));
            continue;
        }
        const auto file = files.find(record.slot);
        if (file == files.end()) continue;  // truncated
        auto& vector = vectors[record.slot];
        if (!vector) {
            const auto& old = file->second->deleted.vector();
            vector = old ? std::make_shared<RowSet>(*old) : std::make_shared<RowSet>();
        }
        vector->add(record.row);
        active->file_deletes[record.slot]++;
    }
    for (CutChunk& chunk : active->chunks) {
        chunk.first_row = cut.rows;
        for (const uint64_t word : chunk.written) cut.rows += static_cast<uint64_t>(std::popcount(word));
    }
    for (auto& [slot, vector] : vectors) {
        const File& file = *files.at(slot);
        cut.deletes.push_back({slot, file.path, file.rows, std::move(vector)});
    }
}

void TableImpl::ScanCut(const FlushCut& cut, uint64_t* position, duckdb::DataChunk& out) {
    std::vector<size_t> columns(columns_->size());
    for (size_t i = 0; i < columns.size(); i++) columns[i] = i;
    out.SetCardinalityUnsafe(0);
    if (!active_cut_ || active_cut_->cut.id != cut.id) return;
    while (true) {
        const uint64_t at = std::max(*position, cut.begin_position);
        if (at >= cut.end_position) return;
        const CutChunk& chunk = active_cut_->chunks[(at - active_cut_->chunks_position) / kChunkRows];
        const size_t begin = at % kChunkRows;
        *position = at - begin + chunk.end;
        duckdb::SelectionVector sel(kChunkRows);
        size_t count = 0;
        for (size_t row = begin; row < chunk.end; row++) {
            sel.set_index(count, row);
            count += chunk.written[row >> 6] >> (row & 63) & 1;
        }
        if (count == 0) continue;
        if (count == chunk.end - begin) sel = duckdb::SelectionVector();
        chunk.chunk->Reference(columns, begin, chunk.end, sel, count, out);
        return;
    }
}

Status TableImpl::FinishFlush(const FlushCut& cut, const NewFile* file) {
    if (cut.id == 0) return Status::Ok();
    FilePtr added;
    if (file) {
        IVY_ASSIGN_OR_RETURN(added, OpenFile(*file));
    }
    std::unique_ptr<ActiveCut> active;  // frees the cut's memory when the locks are gone
    const std::lock_guard apply_lock(apply_mutex_);
    if (!active_cut_ || active_cut_->cut.id != cut.id) return Status::Internal("this flush is not under way");
    if ((file ? static_cast<uint64_t>(file->rows) : 0) != active_cut_->cut.rows) {
        return Status::Internal("the flushed file has other rows than the cut");
    }
    if (file && file->order && file->order->size() != active_cut_->cut.rows) {
        return Status::Internal("the order of the flushed file is not that of the cut's rows");
    }
    active = std::move(active_cut_);
    if (file) active->order = file->order;
    if (added) {
        added->slot = next_slot_;
        CarryOver(*active, added);
    }
    deletes_.erase(deletes_.begin(), deletes_.begin() + static_cast<ptrdiff_t>(active->deletes_end - deletes_begin_));
    deletes_begin_ = active->deletes_end;

    const std::lock_guard lock(mutex_);
    transactions_.erase(transactions_.begin(), transactions_.begin() + static_cast<ptrdiff_t>(active->transactions));
    flushed_lsn_ = active->cut.flushed_lsn;
    unflushed_deletes_ = transactions_.empty() ? 0 : transactions_.back().deletes_end - deletes_begin_;
    for (const FlushCut::FileDeletes& deletes : active->cut.deletes) {
        known_files_.at(deletes.slot)->deleted.SetVector(deletes.deleted, active->file_deletes.at(deletes.slot));
    }
    std::erase_if(known_files_, [&](const auto& known) {
        return known.second->dropped_by != kInvalidLsn && known.second->dropped_by <= flushed_lsn_;
    });
    for (const FlushCut::FileDeletes& deletes : active->cut.deletes) {
        if (deletes.Emptied()) Forget(deletes.slot);
    }
    if (added) {
        // A TRUNCATE after the cut, published or not, has already emptied the file.
        next_slot_++;
        known_files_.emplace(added->slot, added);
        const auto truncation = std::find_if(transactions_.begin(), transactions_.end(),
                                             [](const Transaction& later) { return later.truncated.has_value(); });
        if (truncation != transactions_.end()) {
            added->dropped_by = truncation->commit_lsn;
        } else {
            live_files_.push_back(added);
            if (!staged_.truncated) lookup_files_.push_back(added);
        }
    }
    files_version_++;
    unseen_xids_.assign(std::lower_bound(active->cut.unseen_xids.begin(), active->cut.unseen_xids.end(), oldest_xmin_),
                        active->cut.unseen_xids.end());
    DropFlushedRows(active->cut.end_position);
    return Status::Ok();
}

// Holding both. Nothing refers to a row of the file any more: each was deleted by a transaction that is in files.
void TableImpl::Forget(uint32_t slot) {
    const auto is_it = [slot](const FilePtr& file) { return file->slot == slot; };
    ForgetEqual();
    known_files_.erase(slot);
    std::erase_if(live_files_, is_it);
    std::erase_if(lookup_files_, is_it);
}

// Holding apply_mutex_. Deletes of the cut's rows by later transactions become pending deletes of the file. So far as
// those transactions are published the file's deletes are published too; the staged transaction's follow with it.
void TableImpl::CarryOver(const ActiveCut& active, const FilePtr& file) {
    auto transaction = transactions_.begin() + static_cast<ptrdiff_t>(active.transactions);
    bool staged = false;
    for (uint64_t i = active.deletes_end; i < deletes_begin_ + deletes_.size(); i++) {
        while (transaction != transactions_.end() && transaction->deletes_end <= i) ++transaction;
        if (transaction == transactions_.end() && !staged) {
            staged = true;
            file->deleted.Publish();
            staged_.touched.push_back(file);
        }
        DeleteRecord& record = deletes_[i - deletes_begin_];
        if (record.slot != kDeltaSlot) continue;
        const auto row = active.RowNumber(record.row);
        if (!row) continue;
        file->deleted.Add(*row, staged ? staged_.xid : transaction->xid, &mutex_);
        record = {*row, file->slot};
    }
    if (!staged) file->deleted.Publish();
}

// Holding both. Positions go on; when nothing is left in memory the last chunk goes as well.
void TableImpl::DropFlushedRows(uint64_t end) {
    flushed_end_ = std::max(flushed_end_, end);
    hot_.RaiseFloor(flushed_end_);
    if (flushed_end_ == end_) {
        hot_.Clear();
        if (end_ % kChunkRows != 0) {
            end_ += kChunkRows - end_ % kChunkRows;
            flushed_end_ = published_end_ = end_;
            if (staged_.xid != kInvalidXid) staged_.begin = end_;  // it has no rows yet
        }
    }
    while (!chunks_.empty() && (first_chunk_ + 1) * kChunkRows <= flushed_end_) {
        chunks_.pop_front();
        first_chunk_++;
    }
    hot_bytes_ = hot_.bytes();
    chunk_list_ = nullptr;
}

void TableImpl::AbandonFlush(const FlushCut& cut) {
    const std::lock_guard apply_lock(apply_mutex_);
    if (active_cut_ && active_cut_->cut.id == cut.id) active_cut_ = nullptr;
}

}  // namespace ivy::delta
