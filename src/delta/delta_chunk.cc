// SPDX-License-Identifier: Apache-2.0
// DeltaChunk's storage, visibility and scanning.
#include "delta/delta_chunk.h"

#include <algorithm>

#include "delta/chunk_convert.h"
#include "duckdb/common/vector/flat_vector.hpp"
#include "duckdb/common/vector/string_vector.hpp"

namespace ivy::delta {

using duckdb::FlatVector;
using duckdb::string_t;
using duckdb::Vector;

namespace {

// A flat vector, with its strings, in an allocator's memory. Types of the delta are never nested.
Vector MakeVector(const duckdb::LogicalType& type, duckdb::Allocator& allocator) {
    const duckdb::capacity_t capacity(kChunkRows);
    if (type.InternalType() == duckdb::PhysicalType::VARCHAR) {
        return Vector(type, duckdb::make_buffer<duckdb::VectorStringBuffer>(allocator, capacity));
    }
    const auto width = duckdb::GetTypeIdSize(type.InternalType());
    return Vector(type, duckdb::make_buffer<duckdb::StandardVectorBuffer>(allocator, capacity, width));
}

}  // namespace

DeltaChunk::DeltaChunk(const duckdb::vector<duckdb::LogicalType>& types, const std::vector<size_t>& key_columns,
                       std::shared_ptr<FileMemory> memory)
    : memory_(std::move(memory)), validity_(std::make_unique<Validity[]>(types.size())) {
    duckdb::Allocator& allocator = memory_ ? memory_->allocator() : duckdb::Allocator::DefaultAllocator();
    columns_.reserve(types.size());
    for (size_t c = 0; c < types.size(); c++) {
        columns_.push_back(MakeVector(types[c], allocator));
        widths_.push_back(duckdb::GetTypeIdSize(types[c].InternalType()));
        validity_[c].fill(~uint64_t{0});
        bytes_ += kChunkRows * widths_.back() + sizeof(Validity);
    }
    for (const size_t column : key_columns) key_.push_back(Column(column));
}

DeltaChunk::~DeltaChunk() { delete deleters_.load(std::memory_order_relaxed); }

void DeltaChunk::SetValid(size_t column, size_t row, bool valid) {
    std::atomic_ref<uint64_t> word(validity_[column][row >> 6]);
    const uint64_t bit = uint64_t{1} << (row & 63);
    const uint64_t old = word.load(std::memory_order_relaxed);
    word.store(valid ? old | bit : old & ~bit, std::memory_order_relaxed);  // there is one writer
}

void DeltaChunk::SetValidity(size_t column, size_t begin, size_t count, const ColumnView& from, size_t offset) {
    if (!from.validity) return;  // bits start as valid
    for (size_t i = 0; i < count; i++) {
        if (from.IsNull(offset + i)) SetValid(column, begin + i, false);
    }
}

Status DeltaChunk::Append(const ColumnChunkView& view, size_t offset, size_t count, size_t at) {
    for (size_t c = 0; c < columns_.size(); c++) {
        const ColumnView& column = view.columns[c];
        IVY_RETURN_IF_ERROR(CopyValues(column, offset, count, &columns_[c], at));
        SetValidity(c, at, count, column, offset);
        if (column.type.IsVariable() && count > 0) {
            const size_t begin = offset == 0 ? 0 : column.Get<uint32_t>(offset - 1);
            bytes_ += column.Get<uint32_t>(offset + count - 1) - begin;
        }
    }
    return Status::Ok();
}

void DeltaChunk::SetValue(size_t row, size_t column, const FlatColumn& source, size_t source_row) {
    const bool null = source.IsNull(source_row);
    SetValid(column, row, !null);
    if (null) return;
    uint8_t* to = FlatVector::GetDataMutable(columns_[column]);
    if (columns_[column].GetType().InternalType() == duckdb::PhysicalType::VARCHAR) {
        const auto& value = reinterpret_cast<const string_t*>(source.data)[source_row];
        reinterpret_cast<string_t*>(to)[row] = duckdb::StringVector::AddStringOrBlob(columns_[column], value);
        bytes_ += value.GetSize();
    } else {
        std::memcpy(to + row * widths_[column], source.data + source_row * widths_[column], widths_[column]);
    }
}

void DeltaChunk::MarkDeleted(size_t row, Xid xid) {
    Deleters* deleters = deleters_.load(std::memory_order_relaxed);
    if (!deleters) {
        deleters = new Deleters();
        bytes_ += sizeof(Deleters);
        deleters_.store(deleters, std::memory_order_release);
    }
    (*deleters)[row].store(xid, std::memory_order_relaxed);
}

FlatColumn DeltaChunk::Column(size_t ordinal) const {
    return {FlatVector::GetData(columns_[ordinal]), validity_[ordinal].data()};
}

size_t DeltaChunk::Visible(const Snapshot& snapshot, const InsertRuns& inserted, size_t begin, size_t end,
                           duckdb::SelectionVector* sel) const {
    const Deleters* deleters = deleters_.load(std::memory_order_acquire);
    const bool all_inserts = inserted.max_xid < snapshot.xmin;
    if (all_inserts && !deleters) return end - begin;
    std::array<duckdb::sel_t, kChunkRows> rows;
    size_t count = 0;
    const auto add = [&](size_t from, size_t to) {
        for (size_t row = from; row < to; row++) {
            const Xid deleted = deleters ? (*deleters)[row].load(std::memory_order_relaxed) : kInvalidXid;
            rows[count] = static_cast<duckdb::sel_t>(row);
            count += deleted == kInvalidXid || !snapshot.Sees(deleted);
        }
    };
    if (all_inserts) {
        add(begin, end);
    } else {
        const auto& runs = inserted.runs;
        auto run = std::upper_bound(runs.begin(), runs.end(), begin,
                                    [](size_t row, const InsertRun& candidate) { return row < candidate.end; });
        for (size_t row = begin; row < end && run != runs.end(); ++run) {
            const size_t to = std::min<size_t>(end, run->end);
            if (snapshot.Sees(run->xid)) add(row, to);
            row = to;
        }
    }
    if (count < end - begin) {
        sel->Initialize(std::max<size_t>(count, 1));
        std::copy_n(rows.begin(), count, sel->data());
    }
    return count;
}

void DeltaChunk::Reference(const std::vector<size_t>& columns, size_t begin, size_t end,
                           const duckdb::SelectionVector& sel, size_t sel_count, duckdb::DataChunk& out) const {
    const size_t count = sel.IsSet() ? sel_count : end - begin;
    const size_t first = sel.IsSet() ? 0 : begin;  // of the rows that the vectors start with
    for (size_t i = 0; i < columns.size(); i++) {
        const size_t c = columns[i];
        auto* data = const_cast<uint8_t*>(FlatVector::GetData(columns_[c]));  // never written through a reference
        Vector vector(columns_[c].GetType(), data + first * widths_[c], end - first);
        uint64_t nulls = 0;
        std::array<uint64_t, kWords> words;
        for (size_t word = 0; word * 64 < end; word++) {
            words[word] = std::atomic_ref<uint64_t>(validity_[c][word]).load(std::memory_order_relaxed);
            const size_t rows = end - word * 64;
            nulls |= rows < 64 ? ~words[word] & ((uint64_t{1} << rows) - 1) : ~words[word];
        }
        if (nulls != 0) {
            duckdb::ValidityMask& mask = FlatVector::ValidityMutable(vector);
            mask.Initialize(kChunkRows);
            if (first == 0) {
                std::copy_n(words.begin(), (end + 63) / 64, mask.GetData());
            } else {
                for (size_t row = first; row < end; row++) {
                    if (!(words[row >> 6] >> (row & 63) & 1)) mask.SetInvalidUnsafe(row - first);
                }
            }
        }
        if (sel.IsSet()) vector.Slice(sel, count);
        out.data[i].Reference(vector);
    }
    out.SetCardinalityUnsafe(count);
}

}  // namespace ivy::delta
