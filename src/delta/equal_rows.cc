// SPDX-License-Identifier: Apache-2.0
//
// Equal rows, of tables whose rows may repeat: to delete one, candidates in files are read and compared. Those that turn out
// to be exactly equal are remembered, so that small transactions which delete such rows one by one read a file now and then,
// not each time. What is remembered is forgotten when files go.
#include "delta/table_impl.h"

namespace ivy::delta {
namespace {

// Rows that are remembered as equal to one that was deleted, and the largest of those, in bytes.
constexpr size_t kMostEqualRows = 65536;
constexpr size_t kLargestEqualKey = 1024;

}  // namespace

std::optional<TableImpl::RowAddress> TableImpl::KnownEqual(const std::vector<FlatColumn>& keys, size_t key_row,
                                                           uint64_t hash) {
    const auto known = equal_rows_.find(hash);
    if (known == equal_rows_.end() || known->second.key != key_.Bytes(keys, key_row)) return std::nullopt;
    auto& rows = known->second.rows;
    while (!rows.empty()) {
        const auto [slot, row] = rows.back();
        rows.pop_back();
        equal_rows_count_--;
        File* file = known_files_.at(slot).get();
        if (!file->deleted.Contains(row)) return RowAddress{RowAddress::kFile, row, file};
    }
    equal_rows_.erase(known);
    return std::nullopt;
}

void TableImpl::NoteEqual(uint64_t hash, std::string key, std::vector<std::pair<uint32_t, uint64_t>> rows) {
    if (rows.empty() || key.size() > kLargestEqualKey) return;
    if (equal_rows_count_ + rows.size() > kMostEqualRows) ForgetEqual();
    auto& known = equal_rows_[hash];
    equal_rows_count_ += rows.size();
    equal_rows_count_ -= known.rows.size();
    known = {std::move(key), std::move(rows)};
}

// Files have gone, or are no longer looked into.
void TableImpl::ForgetEqual() {
    equal_rows_.clear();
    equal_rows_count_ = 0;
}

}  // namespace ivy::delta
