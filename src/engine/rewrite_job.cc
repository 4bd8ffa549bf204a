// SPDX-License-Identifier: Apache-2.0
#include "engine/rewrite_job.h"

#include <unistd.h>

#include "base/fault_point.h"
#include "delta/chunk_convert.h"
#include "engine/duck_file_io.h"
#include "engine/error_map.h"
#include "engine/stored_numeric.h"

namespace ivy::engine {
namespace {

std::vector<ColumnType> TypesOf(const std::vector<MirrorColumn>& columns) {
    std::vector<ColumnType> types;
    for (const MirrorColumn& column : columns) types.push_back(column.type);
    return types;
}

// Replaces NULLs of a lineage column, which the file inherits, by first + (the row's number times step).
void Inherit(duckdb::Vector* values, const std::vector<uint64_t>& rows, int64_t first, int64_t step) {
    values->Flatten();
    auto* data = reinterpret_cast<int64_t*>(duckdb::FlatVector::GetDataMutable(*values));
    for (size_t i = 0; i < rows.size(); i++) {
        if (!duckdb::FlatVector::IsNull(*values, i)) continue;
        data[i] = first + static_cast<int64_t>(rows[i]) * step;
        duckdb::FlatVector::SetNull(*values, i, false);
    }
}

}  // namespace

RewriteJob::RewriteJob(Instance& instance, iceberg::FileIo& io, RewritePlan plan)
    : instance_(instance), io_(io), plan_(std::move(plan)), columns_(plan_.columns) {
    if (plan_.lineage) {
        for (const auto& [id, name] :
             {std::pair(kRowIdField, "_row_id"), std::pair(kLastUpdatedField, "_last_updated_sequence_number")}) {
            MirrorColumn& column = columns_.emplace_back();
            column.id = id;
            column.name = name;
            column.type.kind = TypeKind::kInt64;
        }
    }
    for (const RewriteInput& input : plan_.inputs) {
        const auto& deleted = input.source.deleted;
        total_rows_ += static_cast<uint64_t>(input.source.rows) - (deleted ? deleted->cardinality() : 0);
    }
}

Status RewriteJob::Run(const Note& note) {
    Status done;
    try {
        const bool sorted = !plan_.sort.empty() && total_rows_ <= kMaxOrderedRows;
        done = sorted ? CopySorted(note) : CopyInOrder(note);
        if (done.ok() && file_) done = FinishFile();
    } catch (const std::exception& exception) {
        done = StatusFromException(exception);
    }
    if (done.ok() && rows_written_ != total_rows_) {
        done =
            Status::Corrupt("rewriting " + std::to_string(total_rows_) + " rows gave " + std::to_string(rows_written_));
    }
    if (!done.ok()) Remove();
    return done;
}

Status RewriteJob::Check() const {
    if (!cancelled_) return Status::Ok();
    return Status::Make(sqlstate::kQueryCanceled, "the rewriting of files was canceled");
}

void RewriteJob::Remove() {
    file_.reset();
    files_.clear();
    for (const std::string& path : paths_) {
        (void)io_.DeleteFile(path);
        if (!plan_.key.empty()) unlink(delta::IndexPathFor(plan_.index_folder, path, plan_.key).c_str());
    }
}

Status RewriteJob::Read(const std::function<Status(duckdb::DataChunk&)>& take) {
    for (const RewriteInput& input : plan_.inputs) {
        const Status read = ReadFile(input, take);
        if (!read.ok()) return read.Prepend("could not rewrite \"" + input.source.path + "\"");
    }
    return Status::Ok();
}

// Gives the live rows of a file in order, with the lineage that they have.
Status RewriteJob::ReadFile(const RewriteInput& input, const std::function<Status(duckdb::DataChunk&)>& take) {
    const delta::RowSet* deleted = input.source.deleted.get();
    std::vector<uint64_t> rows;
    return DataFileReader(instance_).ScanInParts(
        input.source.path, input.source.rows, columns_, [&](uint64_t first, duckdb::DataChunk& chunk) -> Status {
            IVY_RETURN_IF_ERROR(Check());
            rows.clear();
            duckdb::SelectionVector sel(chunk.size());
            for (size_t i = 0; i < chunk.size(); i++) {
                if (deleted && deleted->contains(uint64_t{first + i})) continue;
                sel.set_index(rows.size(), i);
                rows.push_back(first + i);
            }
            if (rows.empty()) return Status::Ok();
            if (rows.size() < chunk.size()) chunk.Slice(sel, rows.size());
            if (plan_.lineage) {
                Inherit(&chunk.data[plan_.columns.size()], rows, input.first_row_id, 1);
                Inherit(&chunk.data[plan_.columns.size() + 1], rows, input.sequence_number, 0);
            }
            rows_read_ += rows.size();
            return take(chunk);
        });
}

Status RewriteJob::CopyInOrder(const Note& note) {
    return Read([&](duckdb::DataChunk& chunk) { return Write(chunk, note); });
}

Status RewriteJob::CopySorted(const Note& note) {
    IVY_ASSIGN_OR_RETURN(const std::vector<size_t> keys, KeyOrdinals(columns_, plan_.sort));
    std::vector<size_t> sorted_by = keys;
    auto types = delta::ToDuckTypes(TypesOf(columns_));
    duckdb::DataChunk rows, numbered, sorted;
    rows.InitializeEmpty(types);
    types.push_back(duckdb::LogicalType::BIGINT);  // the row's ordinal
    AddSortDecimals(columns_, &types, &sorted_by);
    numbered.InitializeEmpty(types);
    sorted.Initialize(duckdb::Allocator::DefaultAllocator(), types);
    IVY_ASSIGN_OR_RETURN(const std::unique_ptr<RowSorter> sorter, RowSorter::Make(instance_, types, sorted_by));
    IVY_RETURN_IF_ERROR(Read([&](duckdb::DataChunk& chunk) {
        for (size_t i = 0; i < columns_.size(); i++) numbered.data[i].Reference(chunk.data[i]);
        numbered.data[columns_.size()].Sequence(static_cast<int64_t>(sorter->rows()), 1, chunk.size());
        FillSortDecimals(columns_, keys, chunk.size(), columns_.size() + 1, &numbered);
        numbered.SetCardinalityUnsafe(chunk.size());
        return sorter->Append(numbered);
    }));
    auto order = std::make_shared<std::vector<uint32_t>>(sorter->rows());
    uint64_t place = 0;
    while (true) {
        IVY_RETURN_IF_ERROR(Check());
        IVY_RETURN_IF_ERROR(sorter->Next(&sorted));
        if (sorted.size() == 0) break;
        auto& ordinals = sorted.data[columns_.size()];
        ordinals.Flatten();
        const auto* ordinal = duckdb::FlatVector::GetData<int64_t>(ordinals);
        for (size_t i = 0; i < sorted.size(); i++)
            order->at(static_cast<size_t>(ordinal[i])) = static_cast<uint32_t>(place++);
        for (size_t i = 0; i < columns_.size(); i++) rows.data[i].Reference(sorted.data[i]);
        rows.SetCardinalityUnsafe(sorted.size());
        IVY_RETURN_IF_ERROR(Write(rows, note));
    }
    order_ = std::move(order);
    return Status::Ok();
}

Status RewriteJob::Write(duckdb::DataChunk& chunk, const Note& note) {
    if (!file_) {
        DataFileSpec spec;
        spec.path = NewDataPath(plan_.location, ".parquet");
        spec.index_folder = plan_.index_folder;
        spec.columns = columns_;
        spec.key = plan_.key;
        paths_.push_back(spec.path);
        IVY_RETURN_IF_ERROR(note(paths_));
        IVY_FAULT_POINT("rewrite-new-file");
        IVY_ASSIGN_OR_RETURN(file_, DataFileWriter::Open(instance_, std::move(spec)));
    }
    IVY_RETURN_IF_ERROR(file_->Append(chunk));
    rows_written_ += chunk.size();
    return file_->file_bytes() >= plan_.target_bytes ? FinishFile() : Status::Ok();
}

Status RewriteJob::FinishFile() {
    IVY_FAULT_POINT("rewrite-finish-file");
    IVY_ASSIGN_OR_RETURN(DataFileWriter::Written written, file_->Finish());
    file_.reset();
    // Reserved columns have no place in a manifest's metrics.
    for (const uint32_t field : {kRowIdField, kLastUpdatedField}) {
        const int id = static_cast<int>(field);
        iceberg::Metrics& metrics = written.file.metrics;
        for (auto* counts :
             {&metrics.column_sizes, &metrics.value_counts, &metrics.null_value_counts, &metrics.nan_value_counts}) {
            counts->erase(id);
        }
        metrics.lower_bounds.erase(id);
        metrics.upper_bounds.erase(id);
    }
    if (!plan_.sort.empty() && total_rows_ > kMaxOrderedRows) written.file.sort_order_id = 0;
    files_.push_back(std::move(written));
    return Status::Ok();
}

}  // namespace ivy::engine
