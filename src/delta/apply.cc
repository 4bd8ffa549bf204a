// SPDX-License-Identifier: Apache-2.0
//
// Applying transactions. The rows of a message are appended in one go, column by column; then its operations are walked
// in order, which only have to find old rows and to enter new ones into the hot table.
//
// What needs values from files is put off to the end of the part, so that each file is read once: deletes of keys with
// several candidate rows, and unchanged values of updated rows.
#include <algorithm>
#include <chrono>

#include "delta/chunk_convert.h"
#include "delta/table_impl.h"

namespace ivy::delta {

namespace {

Status Damaged(const std::string& what) {
    return Status::Make(sqlstate::kProtocolViolation, "damaged message of changes: " + what);
}

// A chunk of a message, or an empty one where the message has none.
Result<ColumnChunkView> ReadChunk(const Bytes& bytes, const duckdb::vector<duckdb::LogicalType>& types,
                                  const char* what) {
    if (bytes.empty()) return ColumnChunkView{};
    ByteReader in(bytes);
    IVY_ASSIGN_OR_RETURN(ColumnChunkView view, ColumnChunkView::Read(&in));
    IVY_RETURN_IF_ERROR(in.Finish(what));
    if (view.rows == 0 && view.columns.empty()) return view;
    bool same = view.columns.size() == types.size();
    for (size_t c = 0; same && c < types.size(); c++) same = ToDuckType(view.columns[c].type) == types[c];
    if (!same) return Damaged(std::string(what) + " have other columns than the mirror");
    return view;
}

// Values read from a file, found again by row number.
class FetchedRows {
  public:
    FetchedRows(std::vector<uint64_t> rows, duckdb::vector<duckdb::LogicalType> types)
        : rows_(std::move(rows)), types_(std::move(types)) {
        std::sort(rows_.begin(), rows_.end());
        rows_.erase(std::unique(rows_.begin(), rows_.end()), rows_.end());
    }

    Status Fetch(RowReader* reader, const std::string& path, const std::vector<size_t>& columns) {
        if (!reader) return Status::Internal("no reader for rows of files");
        places_.assign(rows_.size(), Place{});
        size_t fetched = 0;
        const auto take = [&](const int64_t* numbers, duckdb::DataChunk& chunk) -> Status {
            if (chunk.GetTypes() != types_) return Status::Internal("rows read from \"" + path + "\" have other types");
            duckdb::SelectionVector wanted(chunk.size());
            size_t count = 0;
            for (size_t i = 0; i < chunk.size(); i++) {
                const auto row = static_cast<uint64_t>(numbers[i]);
                const auto found = std::lower_bound(rows_.begin(), rows_.end(), row);
                if (found == rows_.end() || *found != row) continue;
                places_[static_cast<size_t>(found - rows_.begin())] = {chunks_.size(), count};
                wanted.set_index(count++, i);
            }
            if (count == 0) return Status::Ok();
            auto copy = std::make_unique<duckdb::DataChunk>();
            copy->Initialize(duckdb::Allocator::DefaultAllocator(), types_, count);
            chunk.Copy(*copy, wanted, count);
            chunks_.push_back(std::move(copy));
            fetched += count;
            return Status::Ok();
        };
        IVY_RETURN_IF_ERROR(reader->ReadRows(path, rows_, columns, take));
        if (fetched == rows_.size()) return Status::Ok();
        return Status::Corrupt("\"" + path + "\" gave " + std::to_string(fetched) + " of " +
                               std::to_string(rows_.size()) + " rows");
    }

    // Where a row's values are: the columns that hold it and the position in them. REQUIRES: it was asked for.
    std::pair<std::vector<FlatColumn>, size_t> At(uint64_t row) const {
        const Place place = Locate(row);
        std::vector<FlatColumn> columns;
        for (const auto& vector : chunks_[place.chunk]->data) columns.push_back(FlatColumnOf(vector));
        return {std::move(columns), place.at};
    }
    std::pair<FlatColumn, size_t> At(uint64_t row, size_t column) const {
        const Place place = Locate(row);
        return {FlatColumnOf(chunks_[place.chunk]->data[column]), place.at};
    }

  private:
    struct Place {
        size_t chunk = 0, at = 0;
    };
    const Place& Locate(uint64_t row) const {
        return places_[static_cast<size_t>(std::lower_bound(rows_.begin(), rows_.end(), row) - rows_.begin())];
    }

    std::vector<uint64_t> rows_;
    duckdb::vector<duckdb::LogicalType> types_;
    std::vector<std::unique_ptr<duckdb::DataChunk>> chunks_;
    std::vector<Place> places_;  // of each row
};

// One key of a message, as flat columns of one row.
class SingleKey {
  public:
    SingleKey(const ColumnChunkView& keys, size_t row) {
        for (const ColumnView& column : keys.columns) {
            vectors_.emplace_back(ToDuckType(column.type), 1);
            status_ = AppendToVector(column, row, 1, &vectors_.back(), 0);
            if (!status_.ok()) return;
        }
        for (const auto& vector : vectors_) columns_.push_back(FlatColumnOf(vector));
    }
    const Status& status() const { return status_; }
    const std::vector<FlatColumn>& columns() const { return columns_; }

  private:
    duckdb::vector<duckdb::Vector> vectors_;
    std::vector<FlatColumn> columns_;
    Status status_;
};

// How many live candidates of an ambiguous key are looked at before all of them are.
constexpr size_t kFewCandidates = 64;
// How many rows of the delta are looked at in search of an old one among equals.
constexpr size_t kEqualRowsTried = 16;
}  // namespace

Status TableImpl::Apply(const std::vector<const Changes*>& changes, Xid xid, Lsn commit_lsn) {
    return Guarded([&]() -> Status {
        IVY_RETURN_IF_ERROR(Begin(xid));
        if (commit_lsn <= last_lsn_) return Status::Internal("transactions are not in commit order");
        IVY_RETURN_IF_ERROR(ApplyChanges(changes));
        Publish(commit_lsn);
        return Status::Ok();
    });
}

Status TableImpl::ApplyPart(const std::vector<const Changes*>& changes, Xid xid) {
    return Guarded([&]() -> Status {
        IVY_RETURN_IF_ERROR(Begin(xid));
        return ApplyChanges(changes);
    });
}

// Runs a step of applying. When one fails the table is of no more use: it may have half a transaction in it.
Status TableImpl::Guarded(const std::function<Status()>& step) {
    const std::lock_guard apply_lock(apply_mutex_);
    {
        const std::lock_guard lock(mutex_);
        if (failure_) return *failure_;
    }
    Status status;
    try {
        status = step();
    } catch (const std::bad_alloc&) {
        status = Status::Make(sqlstate::kOutOfMemory, "out of memory while applying changes");
    } catch (const std::exception& error) {
        status = Status::Internal(std::string("while applying changes: ") + error.what());
    }
    if (!status.ok()) {
        const std::lock_guard lock(mutex_);
        failure_ = status.error();
    }
    return status;
}

Status TableImpl::Begin(Xid xid) {
    if (xid == kInvalidXid) return Damaged("no transaction id");
    if (staged_.xid == xid) return Status::Ok();
    if (staged_.xid != kInvalidXid) return Status::Internal("transactions are interleaved");
    staged_ = Staged{xid, end_, deletes_begin_ + deletes_.size(), std::nullopt, {}, {}};
    return Status::Ok();
}

Status TableImpl::ApplyChanges(const std::vector<const Changes*>& changes) {
    Part part;
    for (const Changes* one : changes) IVY_RETURN_IF_ERROR(ApplyOne(*one, &part));
    IVY_RETURN_IF_ERROR(ResolveAmbiguous(&part));
    return FillUnchanged(&part);
}

Status TableImpl::ApplyOne(const Changes& changes, Part* part) {
    IVY_ASSIGN_OR_RETURN(const ColumnChunkView rows, ReadChunk(changes.rows, types_, "rows"));
    IVY_ASSIGN_OR_RETURN(ColumnChunkView keys_read, ReadChunk(changes.keys, ToDuckTypes(key_.types()), "keys"));
    part->keys.push_back(std::make_unique<ColumnChunkView>(std::move(keys_read)));
    const ColumnChunkView& keys = *part->keys.back();

    size_t new_rows = 0, old_rows = 0;
    for (const uint8_t op : changes.ops) {
        switch (static_cast<RowOp>(op)) {
            case RowOp::kInsert: new_rows++; break;
            case RowOp::kDelete: old_rows++; break;
            case RowOp::kUpdate:
                new_rows++;
                old_rows++;
                break;
            case RowOp::kTruncate: break;
            case RowOp::kUnidentified: return Unidentified();
            default: return Damaged("unknown operation");
        }
    }
    if (new_rows != rows.rows || old_rows != keys.rows) return Damaged("operations and rows disagree");
    if (old_rows > 0 && key_columns_.empty()) return Unidentified();
    for (const UnchangedValue& value : changes.unchanged) {
        if (value.row >= new_rows || value.column >= columns_->size()) return Damaged("unchanged value of no row");
    }

    const uint64_t base = end_;
    IVY_RETURN_IF_ERROR(AppendRows(rows));
    IVY_RETURN_IF_ERROR(FillUnchangedKeys(changes, keys, base));
    std::vector<uint64_t> row_hashes;
    if (!key_columns_.empty()) HashRows(base, end_, &row_hashes);

    auto unchanged = changes.unchanged;
    std::stable_sort(unchanged.begin(), unchanged.end(), [](const auto& a, const auto& b) { return a.row < b.row; });
    auto next_unchanged = unchanged.begin();

    std::vector<uint64_t> key_hashes(std::min(kChunkRows, old_rows));
    std::vector<FlatColumn> key_values;
    size_t row = 0, key = 0;
    RowAddress old;
    for (const uint8_t op_code : changes.ops) {
        const auto op = static_cast<RowOp>(op_code);
        if (op == RowOp::kTruncate) {
            Truncate(base + row, part);
            continue;
        }
        if (op != RowOp::kInsert) {
            const size_t in_chunk = key % kChunkRows;
            if (in_chunk == 0) {
                const size_t count = std::min(kChunkRows, old_rows - key);
                IVY_RETURN_IF_ERROR(ChunkFromView(keys, key, count, &key_chunk_));
                key_values.clear();
                for (const auto& vector : key_chunk_.data) key_values.push_back(FlatColumnOf(vector));
                key_.Hash(key_values, 0, count, key_hashes.data());
                for (size_t i = 0; i < count; i++) hot_.Prefetch(key_hashes[i]);
            }
            IVY_ASSIGN_OR_RETURN(old, FindOld(key_values, in_chunk, key_hashes[in_chunk], part));
            if (old.kind == RowAddress::kAmbiguous) {
                part->ambiguous.push_back({&keys, key, key_hashes[in_chunk]});
                if (key_is_row_) NoteAmbiguous(key_values, in_chunk, part);
            }
            Delete(old, key_hashes[in_chunk]);
            key++;
        }
        if (op == RowOp::kDelete) continue;
        const uint64_t position = base + row;
        for (; next_unchanged != unchanged.end() && next_unchanged->row == row; ++next_unchanged) {
            if (op != RowOp::kUpdate) return Damaged("unchanged value of an inserted row");
            const size_t column = next_unchanged->column;
            const bool in_key = std::find(key_columns_.begin(), key_columns_.end(), column) != key_columns_.end();
            if (!in_key) part->unchanged.push_back({position, column, old});
        }
        if (!key_columns_.empty()) {
            if (row + 16 < row_hashes.size()) hot_.Prefetch(row_hashes[row + 16]);
            hot_.Insert(row_hashes[row], position);
        }
        row++;
    }
    return Status::Ok();
}

// A row was deleted or updated that can't be found here.
Status TableImpl::Unidentified() const {
    if (key_columns_.empty()) {
        return Status::Make(sqlstate::kObjectNotInState,
                            "rows were updated or deleted in the source of an append-only mirror", "",
                            "Rebuild the mirror, or make one that can find its rows.");
    }
    return Status::Make(
        sqlstate::kObjectNotInState, "rows were updated or deleted that can't be identified",
        "The source had another replica identity then, or the mirror's format can't hold a value of their key.",
        "Rebuild the mirror.");
}

Status TableImpl::AppendRows(const ColumnChunkView& rows) {
    for (size_t done = 0; done < rows.rows;) {
        if (end_ / kChunkRows - first_chunk_ == chunks_.size()) {
            auto chunk = std::make_shared<DeltaChunk>(types_, key_columns_, options_.memory);
            const std::lock_guard lock(mutex_);
            chunks_.push_back(std::move(chunk));
            chunk_list_ = nullptr;
        }
        const size_t at = end_ % kChunkRows;
        const size_t count = std::min(kChunkRows - at, rows.rows - done);
        IVY_RETURN_IF_ERROR(ChunkAt(end_).Append(rows, done, count, at));
        done += count;
        end_ += count;
    }
    return Status::Ok();
}

// An updated row's key columns that were left out are those of its old key, which comes with the update.
Status TableImpl::FillUnchangedKeys(const Changes& changes, const ColumnChunkView& keys, uint64_t base) {
    std::vector<size_t> key_of_row;  // ordinal of each row's old key
    for (const UnchangedValue& value : changes.unchanged) {
        const auto in_key = std::find(key_columns_.begin(), key_columns_.end(), value.column);
        if (in_key == key_columns_.end()) continue;
        if (key_of_row.empty()) {
            size_t key = 0;
            for (const uint8_t op : changes.ops) {
                if (op == static_cast<uint8_t>(RowOp::kInsert)) key_of_row.push_back(SIZE_MAX);
                if (op == static_cast<uint8_t>(RowOp::kUpdate)) key_of_row.push_back(key);
                if (op == static_cast<uint8_t>(RowOp::kUpdate) || op == static_cast<uint8_t>(RowOp::kDelete)) key++;
            }
        }
        if (key_of_row[value.row] == SIZE_MAX) return Damaged("unchanged value of an inserted row");
        const auto ordinal = static_cast<size_t>(in_key - key_columns_.begin());
        const SingleKey old(keys, key_of_row[value.row]);
        IVY_RETURN_IF_ERROR(old.status());
        const uint64_t position = base + value.row;
        ChunkAt(position).SetValue(position % kChunkRows, value.column, old.columns()[ordinal], 0);
    }
    return Status::Ok();
}

void TableImpl::HashRows(uint64_t begin, uint64_t end, std::vector<uint64_t>* hashes) const {
    hashes->resize(end - begin);
    for (uint64_t at = begin; at < end;) {
        const uint64_t count = std::min<uint64_t>(end - at, kChunkRows - at % kChunkRows);
        key_.Hash(ChunkAt(at).key(), at % kChunkRows, count, hashes->data() + (at - begin));
        at += count;
    }
}

// Of equal rows an older one is the better choice: see Substitute.
uint64_t TableImpl::FindHot(const std::vector<FlatColumn>& keys, size_t key_row, uint64_t hash, bool exact) const {
    const auto equal = [&](uint64_t position) {
        return key_.Equal(ChunkAt(position).key(), position % kChunkRows, keys, key_row, exact);
    };
    if (!key_is_row_) return hot_.Find(hash, equal);
    uint64_t oldest = index::HotTable::kNone;
    size_t steps = 0;
    hot_.Find(hash, [&](uint64_t position) {
        if (equal(position)) oldest = position;
        return ++steps >= kEqualRowsTried && oldest != index::HotTable::kNone;
    });
    return oldest;
}

// The row that a delete or update means. In a key of some columns it is unique; rows of a keyless table may repeat, and
// then one whose bits are equal is preferred to one that only compares as equal.
Result<TableImpl::RowAddress> TableImpl::FindOld(const std::vector<FlatColumn>& keys, size_t key_row, uint64_t hash,
                                                 Part* part) {
    uint64_t position = FindHot(keys, key_row, hash, key_is_row_);
    if (position != index::HotTable::kNone) return RowAddress{RowAddress::kDelta, position, nullptr};
    if (key_is_row_) {
        if (const auto known = KnownEqual(keys, key_row, hash)) return *known;
        // Those of equal rows that are put off leave too few candidates for this one to be sure, however many it finds.
        if (part->hashes.contains(hash)) return RowAddress{RowAddress::kAmbiguous, part->ambiguous.size(), nullptr};
    }
    const bool fenced = key_.HasOrdinal() && !keys[0].IsNull(key_row);
    const int64_t ordinal = fenced ? key_.Ordinal(keys[0], key_row) : 0;
    RowAddress found{RowAddress::kAmbiguous, part->ambiguous.size(), nullptr};
    size_t candidates = 0;
    for (const FilePtr& file : lookup_files_) {
        if (candidates > 1) break;
        const index::KeyRange* range = file->segment->range();
        if (fenced && range && (ordinal < range->min || ordinal > range->max)) continue;
        IVY_RETURN_IF_ERROR(VisitLiveRows(file.get(), hash, [&](uint64_t row) {
            if (candidates++ > 0) return false;
            found = {RowAddress::kFile, row, file.get()};
            return true;
        }));
    }
    if (candidates == 1) return found;
    if (candidates > 1) return RowAddress{RowAddress::kAmbiguous, part->ambiguous.size(), nullptr};
    if (key_is_row_) position = FindHot(keys, key_row, hash, false);
    if (position != index::HotTable::kNone) return RowAddress{RowAddress::kDelta, position, nullptr};
    return Status::Corrupt("row to delete is not in the mirror");
}

void TableImpl::Delete(const RowAddress& address, uint64_t hash) {
    if (address.kind == RowAddress::kAmbiguous) return;
    if (address.kind == RowAddress::kDelta) {
        if (key_is_row_) NoteSubstitute(address.row);
        ChunkAt(address.row).MarkDeleted(address.row % kChunkRows, staged_.xid);
        hot_.Erase(hash, address.row);
        deletes_.push_back({address.row, kDeltaSlot});
        return;
    }
    address.file->deleted.Add(address.row, staged_.xid, &mutex_);
    deletes_.push_back({address.row, address.file->slot});
    if (staged_.touched.empty() || staged_.touched.back().get() != address.file) {
        const FilePtr& file = known_files_.at(address.file->slot);
        if (std::find(staged_.touched.begin(), staged_.touched.end(), file) == staged_.touched.end()) {
            staged_.touched.push_back(file);
        }
    }
}

void TableImpl::NoteSubstitute(uint64_t position) {
    if (position >= staged_.begin) return;
    const auto& runs = ChunkAt(position).inserted().runs;
    const auto run = std::upper_bound(runs.begin(), runs.end(), position % kChunkRows,
                                      [](size_t row, const InsertRun& candidate) { return row < candidate.end; });
    const Substitute substitute{staged_.xid, run->xid};
    auto& noted = staged_.substitutes;
    if (noted.empty() || noted.back() != substitute) noted.push_back(substitute);
}

// All that came before is gone: no look-up may find it, and what was put off for it no longer matters.
void TableImpl::Truncate(uint64_t position, Part* part) {
    staged_.truncated = position;
    hot_.RaiseFloor(position);
    lookup_files_.clear();
    ForgetEqual();
    part->ambiguous.clear();
    part->hashes.clear();
    part->unchanged.clear();
}

Status TableImpl::ResolveAmbiguous(Part* part) {
    if (part->ambiguous.empty()) return Status::Ok();
    std::vector<size_t> open(part->ambiguous.size());  // ordinals in part->ambiguous
    for (size_t i = 0; i < open.size(); i++) open[i] = i;
    if (key_is_row_) IVY_RETURN_IF_ERROR(ResolveEqual(part, &open));
    std::unordered_map<uint64_t, size_t> deletes;  // of each hash
    for (const size_t i : open) deletes[part->ambiguous[i].hash]++;

    // First with a few candidates more than there are deletes of a hash, then, if collisions left some out, with all.
    for (const size_t more : {key_is_row_ ? SIZE_MAX : kFewCandidates, SIZE_MAX}) {
        if (open.empty()) break;
        std::unordered_map<uint64_t, std::vector<std::pair<File*, uint64_t>>> candidates;
        std::map<File*, std::vector<uint64_t>> rows;
        for (const size_t i : open) {
            const uint64_t hash = part->ambiguous[i].hash;
            const auto [entry, added] = candidates.try_emplace(hash);
            if (!added) continue;
            const size_t enough = more == SIZE_MAX ? SIZE_MAX : deletes[hash] + more;
            for (const FilePtr& file : lookup_files_) {
                IVY_RETURN_IF_ERROR(VisitLiveRows(file.get(), hash, [&](uint64_t row) {
                    if (entry->second.size() >= enough) return false;
                    entry->second.push_back({file.get(), row});
                    rows[file.get()].push_back(row);
                    return true;
                }));
            }
        }
        std::map<File*, FetchedRows> fetched;
        for (auto& [file, wanted] : rows) {
            auto& read = fetched.try_emplace(file, std::move(wanted), ToDuckTypes(key_.types())).first->second;
            IVY_RETURN_IF_ERROR(read.Fetch(options_.row_reader, file->path, key_columns_));
        }
        std::vector<size_t> unresolved;
        for (const size_t i : open) {
            Part::Ambiguous& one = part->ambiguous[i];
            const SingleKey key(*one.keys, one.key_row);
            IVY_RETURN_IF_ERROR(key.status());
            for (const auto& [file, row] : candidates[one.hash]) {
                if (file->deleted.Contains(row)) continue;
                const auto [values, at] = fetched.at(file).At(row);
                if (!key_.Equal(values, at, key.columns(), 0, false)) continue;
                one.file = file;
                one.row = row;
                Delete({RowAddress::kFile, row, file}, one.hash);
                break;
            }
            if (!one.file) unresolved.push_back(i);
        }
        open = std::move(unresolved);
    }
    return open.empty() ? Status::Ok() : Status::Corrupt("row to delete is not in the mirror");
}

// Files are read first. A value that comes from the delta may itself be one of those, hence the order.
Status TableImpl::FillUnchanged(Part* part) {
    if (part->unchanged.empty()) return Status::Ok();
    struct Wanted {
        std::vector<uint64_t> rows;
        std::vector<size_t> columns;
        std::vector<const Part::Unchanged*> values;
    };
    std::map<File*, Wanted> by_file;
    for (Part::Unchanged& value : part->unchanged) {
        if (value.from.kind == RowAddress::kAmbiguous) {
            const Part::Ambiguous& resolved = part->ambiguous[value.from.row];
            value.from = {RowAddress::kFile, resolved.row, resolved.file};
        }
        if (value.from.kind != RowAddress::kFile) continue;
        Wanted& wanted = by_file[value.from.file];
        wanted.rows.push_back(value.from.row);
        wanted.columns.push_back(value.column);
        wanted.values.push_back(&value);
    }
    for (auto& [file, wanted] : by_file) {
        auto& columns = wanted.columns;
        std::sort(columns.begin(), columns.end());
        columns.erase(std::unique(columns.begin(), columns.end()), columns.end());
        duckdb::vector<duckdb::LogicalType> types;
        for (const size_t column : columns) types.push_back(types_[column]);
        FetchedRows fetched(std::move(wanted.rows), std::move(types));
        IVY_RETURN_IF_ERROR(fetched.Fetch(options_.row_reader, file->path, columns));
        for (const Part::Unchanged* value : wanted.values) {
            const auto ordinal = std::lower_bound(columns.begin(), columns.end(), value->column) - columns.begin();
            const auto [source, at] = fetched.At(value->from.row, static_cast<size_t>(ordinal));
            ChunkAt(value->position).SetValue(value->position % kChunkRows, value->column, source, at);
        }
    }
    for (const Part::Unchanged& value : part->unchanged) {
        if (value.from.kind != RowAddress::kDelta) continue;
        const FlatColumn source = ChunkAt(value.from.row).Column(value.column);
        const size_t at = value.from.row % kChunkRows;
        ChunkAt(value.position).SetValue(value.position % kChunkRows, value.column, source, at);
    }
    return Status::Ok();
}

void TableImpl::Publish(Lsn commit_lsn) {
    const int64_t now =
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
            .count();
    const size_t hot_bytes = hot_.bytes();
    const uint64_t deletes_end = deletes_begin_ + deletes_.size();
    const bool changed = staged_.begin != end_ || staged_.deletes_begin != deletes_end || staged_.truncated;
    last_lsn_ = commit_lsn;
    const std::lock_guard lock(mutex_);
    if (changed) {
        for (uint64_t at = staged_.begin; at < end_;) {
            const uint64_t count = std::min<uint64_t>(end_ - at, kChunkRows - at % kChunkRows);
            ChunkAt(at).inserted().Add(static_cast<uint32_t>(at % kChunkRows + count), staged_.xid);
            at += count;
        }
        transactions_.push_back({staged_.xid, commit_lsn, staged_.begin, end_, deletes_end, staged_.truncated, now});
    }
    published_end_ = end_;
    hot_bytes_ = hot_bytes;
    unflushed_deletes_ = deletes_end - deletes_begin_;
    for (const FilePtr& file : staged_.touched) file->deleted.Publish();
    if (staged_.truncated) {
        truncated_end_ = *staged_.truncated;
        for (const FilePtr& file : live_files_) file->dropped_by = commit_lsn;
        live_files_.clear();
    }
    if (!staged_.touched.empty() || staged_.truncated) files_version_++;
    auto& substitutes = staged_.substitutes;
    std::sort(substitutes.begin(), substitutes.end());
    substitutes.erase(std::unique(substitutes.begin(), substitutes.end()), substitutes.end());
    for (const Substitute& one : substitutes) {
        if (one.inserter >= oldest_xmin_) substitutes_.push_back(one);
    }
    staged_ = {};
}

}  // namespace ivy::delta
