// SPDX-License-Identifier: Apache-2.0
//
// Equal rows, of tables whose rows may repeat. To delete one of several candidates in files, one has to be read, since rows
// with the same hash need not be equal. Reading one row costs nearly as much as reading the thousands that lie around it, and
// of equal rows any will do, so what is read is remembered: the rows of a file that are exactly equal to each other, first
// those that the delete looked for, and of a block that was read as a whole all others as well.
//
// A block (Options::block_rows) is read as a whole where that will pay: it has many candidates, or all rows of the table
// can be remembered, unless they are long. What is remembered takes bounded memory, and is forgotten when files go.
#include <algorithm>

#include "delta/chunk_convert.h"
#include "delta/table_impl.h"

namespace ivy::delta {
namespace {

// Memory that a remembered row takes, and what equal rows have in common.
constexpr size_t kBytesOfRow = 16, kBytesOfKey = 128;
// Candidates of one hash in a block, beyond those that are needed, for which it is read as a whole.
constexpr size_t kManyCandidates = 8;

}  // namespace

// What is read of a file: rows, and blocks as a whole.
struct TableImpl::EqualRead {
    std::vector<uint64_t> rows;
    std::set<uint64_t> blocks;
};

std::optional<TableImpl::RowAddress> TableImpl::KnownEqual(const std::vector<FlatColumn>& keys, size_t key_row,
                                                           uint64_t hash) {
    const auto known = equal_rows_.find(hash);
    if (known == equal_rows_.end()) return std::nullopt;
    std::string key;
    key_.AppendBytes(keys, key_row, &key);
    if (known->second.key != key) return std::nullopt;
    auto& rows = known->second.rows;
    while (!rows.empty()) {
        const auto [slot, row] = rows.back();
        rows.pop_back();
        equal_bytes_ -= kBytesOfRow;
        File* file = known_files_.at(slot).get();
        if (!file->deleted.Contains(row)) return RowAddress{RowAddress::kFile, row, file};
    }
    equal_bytes_ -= kBytesOfKey + key.size();
    equal_rows_.erase(known);
    return std::nullopt;
}

void TableImpl::NoteAmbiguous(const std::vector<FlatColumn>& keys, size_t key_row, Part* part) {
    Part::Ambiguous& one = part->ambiguous.back();
    key_.AppendBytes(keys, key_row, &one.bytes);
    part->hashes.insert(one.hash);
}

// Decides the deletes of "open", ordinals in part->ambiguous, and leaves those in it that no row is exactly equal to.
Status TableImpl::ResolveEqual(Part* part, std::vector<size_t>* open) {
    if (!options_.row_reader) return Status::Internal("no reader for rows of files");
    // First as many candidates as there are deletes of a hash, then, if they were not equal, all.
    for (const bool all : {false, true}) {
        std::unordered_map<uint64_t, size_t> needed;
        part->wanted.clear();
        for (const size_t i : *open) {
            const Part::Ambiguous& one = part->ambiguous[i];
            needed[one.hash]++;
            auto& wanted = part->wanted[one.hash];
            auto same =
                std::find_if(wanted.begin(), wanted.end(), [&](const auto& known) { return known.key == one.bytes; });
            if (same == wanted.end()) same = wanted.insert(same, {one.bytes, {}});
            same->deletes.push_back(i);
        }
        std::map<uint32_t, EqualRead> reads;  // by slot
        for (const auto& [hash, count] : needed) IVY_RETURN_IF_ERROR(PlanEqual(hash, all ? SIZE_MAX : count, &reads));
        for (auto& [slot, read] : reads) IVY_RETURN_IF_ERROR(ReadEqual(known_files_.at(slot).get(), &read, part));
        std::erase_if(*open, [&](size_t i) { return part->ambiguous[i].file != nullptr; });
        if (open->empty()) return Status::Ok();
    }
    return Status::Ok();
}

// Adds what has to be read to find "needed" rows of a hash.
Status TableImpl::PlanEqual(uint64_t hash, size_t needed, std::map<uint32_t, EqualRead>* reads) {
    uint64_t table_rows = 0;
    for (const FilePtr& file : lookup_files_) table_rows += static_cast<uint64_t>(file->rows);
    const bool is_small = table_rows <= options_.equal_rows_bytes / 2 / kBytesOfRow;
    size_t found = 0;
    for (const FilePtr& file : lookup_files_) {
        if (found >= needed) break;
        EqualRead* read = nullptr;
        size_t spare = 0;
        uint64_t block = 0;
        const auto read_whole = [&] {
            if (!equal_blocks_.contains({file->slot, block})) read->blocks.insert(block);
        };
        IVY_RETURN_IF_ERROR(VisitLiveRows(file.get(), hash, [&](uint64_t row) {
            if (found >= needed) {
                // More of the block that the last one is in.
                if (row / options_.block_rows != block || ++spare == kManyCandidates) return false;
            } else {
                found++;
                block = row / options_.block_rows;
                if (!read) read = &(*reads)[file->slot];
                if (is_small) read_whole();
            }
            read->rows.push_back(row);
            return true;
        }));
        if (spare == kManyCandidates) read_whole();
    }
    return Status::Ok();
}

// Reads rows, decides deletes of rows that are equal to them, and remembers the others.
Status TableImpl::ReadEqual(File* file, EqualRead* read, Part* part) {
    std::erase_if(read->rows, [&](uint64_t row) { return read->blocks.contains(row / options_.block_rows); });
    for (const uint64_t block : read->blocks) {
        const uint64_t end = std::min(static_cast<uint64_t>(file->rows), (block + 1) * options_.block_rows);
        for (uint64_t row = block * options_.block_rows; row < end; row++) read->rows.push_back(row);
    }
    std::sort(read->rows.begin(), read->rows.end());
    if (equal_bytes_ > options_.equal_rows_bytes / 2) ForgetEqual();

    std::vector<uint64_t> hashes;
    std::vector<FlatColumn> columns;
    std::string key;
    const auto take = [&](const int64_t* numbers, duckdb::DataChunk& chunk) -> Status {
        if (chunk.GetTypes() != ToDuckTypes(key_.types())) {
            return Status::Internal("rows read from \"" + file->path + "\" have other types");
        }
        columns.clear();
        for (const auto& vector : chunk.data) columns.push_back(FlatColumnOf(vector));
        hashes.resize(chunk.size());
        key_.Hash(columns, 0, chunk.size(), hashes.data());
        for (size_t i = 0; i < chunk.size(); i++) {
            const auto row = static_cast<uint64_t>(numbers[i]);
            const auto wanted = part->wanted.find(hashes[i]);
            const bool is_wanted = wanted != part->wanted.end();
            if (!is_wanted && equal_bytes_ > options_.equal_rows_bytes) continue;
            if (file->deleted.Contains(row)) continue;
            key.clear();
            key_.AppendBytes(columns, i, &key);
            if (is_wanted && TakeWanted(key, &wanted->second, file, row, part)) continue;
            NoteEqual(hashes[i], key, file->slot, row);
        }
        return Status::Ok();
    };
    IVY_RETURN_IF_ERROR(options_.row_reader->ReadRows(file->path, read->rows, key_columns_, take));
    for (const uint64_t block : read->blocks) equal_blocks_.insert({file->slot, block});
    return Status::Ok();
}

// Deletes the row if that is what one of the deletes wants.
bool TableImpl::TakeWanted(const std::string& key, std::vector<Part::Wanted>* wanted, File* file, uint64_t row,
                           Part* part) {
    for (Part::Wanted& one : *wanted) {
        if (one.deletes.empty() || one.key != key) continue;
        Part::Ambiguous& found = part->ambiguous[one.deletes.back()];
        one.deletes.pop_back();
        found.file = file;
        found.row = row;
        Delete({RowAddress::kFile, row, file}, found.hash);
        return true;
    }
    return false;
}

// Of rows that differ but have the same hash only the first kind is remembered.
void TableImpl::NoteEqual(uint64_t hash, const std::string& key, uint32_t slot, uint64_t row) {
    const auto [known, added] = equal_rows_.try_emplace(hash);
    if (added) {
        known->second.key = key;
        equal_bytes_ += kBytesOfKey + key.size();
    } else if (known->second.key != key) {
        return;
    }
    known->second.rows.emplace_back(slot, row);
    equal_bytes_ += kBytesOfRow;
}

// Files have gone, or are no longer looked into.
void TableImpl::ForgetEqual() {
    equal_rows_.clear();
    equal_blocks_.clear();
    equal_bytes_ = 0;
}

}  // namespace ivy::delta
