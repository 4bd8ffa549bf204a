// SPDX-License-Identifier: Apache-2.0
#include "engine/data_file.h"

#include <unistd.h>

#include <algorithm>
#include <unordered_set>

#include <duckdb/main/query_result_stream.hpp>

#include "delta/chunk_convert.h"
#include "engine/error_map.h"
#include "engine/mirror_storage.h"
#include "engine/query_inputs.h"
#include "engine/stored_numeric.h"
#include "iceberg/metadata.h"

namespace ivy::engine {
namespace {

constexpr size_t kRowsOfOneQuery = 2000;
constexpr size_t kRowsForOne = 64;           // that are read rather than naming each that is wanted
constexpr int64_t kRowsOfPart = 4 * 122880;  // row groups of ParquetWriter
constexpr uint64_t kGuessedCompression = 3;  // of Parquet files against the bytes of values

// Of the values in a chunk, about.
uint64_t BytesOf(const duckdb::DataChunk& chunk) {
    uint64_t bytes = 0;
    for (const duckdb::Vector& vector : chunk.data) {
        const auto type = vector.GetType().InternalType();
        bytes += chunk.size() * duckdb::GetTypeIdSize(type);
        if (type != duckdb::PhysicalType::VARCHAR) continue;
        duckdb::UnifiedVectorFormat format;
        vector.ToUnifiedFormat(format);
        const auto* texts = duckdb::UnifiedVectorFormat::GetData<duckdb::string_t>(format);
        for (size_t i = 0; i < chunk.size(); i++) {
            const auto at = format.sel->get_index(i);
            if (format.validity.RowIsValid(at)) bytes += texts[at].GetSize();
        }
    }
    return bytes;
}

std::vector<ColumnType> TypesOf(const std::vector<MirrorColumn>& columns) {
    std::vector<ColumnType> types;
    for (const MirrorColumn& column : columns) types.push_back(column.type);
    return types;
}

std::string Quoted(const std::string& text) {
    std::string quoted = "'";
    for (const char c : text) {
        if (c == '\'') quoted += '\'';
        quoted += c;
    }
    return quoted + "'";
}

// "SELECT <columns, found by field id, with the mirror's types>, file_row_number FROM <file>". Glob characters in the path do
// not matter, since a path that exists is taken literally.
std::string SelectFrom(const std::string& path, const std::vector<MirrorColumn>& columns) {
    std::string schema, list;
    for (const MirrorColumn& column : FileColumns(columns)) {
        if (!schema.empty()) schema += ", ";
        schema += std::to_string(column.id) + ": {name: '" + EngineColumnName(column.id) + "', type: '" +
                  column.type.DuckName() + "', default_value: NULL}";
    }
    for (const MirrorColumn& column : columns) list += StoredColumnSql(column) + ", ";
    return "SELECT " + list + "file_row_number FROM read_parquet(" + Quoted(OpenName(path)) + ", schema = MAP {" +
           schema + "}, file_row_number = true)";
}

// Gives the chunks of a query of SelectFrom.
Status Run(Instance& instance, const std::string& path, const std::string& sql,
           const std::function<Status(duckdb::DataChunk&)>& take) {
    try {
        const auto connection = instance.Connect();
        auto result = connection->Submit(sql);
        if (result->HasError()) return Status(ErrorFromDuck(result->GetErrorObject()));
        duckdb::QueryResultStream<> stream(std::move(result));
        while (true) {
            const auto chunk = stream.Fetch();
            if (stream.HasError()) return Status(ErrorFromDuck(stream.GetErrorObject()));
            if (!chunk) return Status::Ok();
            if (chunk->size() == 0) continue;
            IVY_RETURN_IF_ERROR(take(*chunk));
        }
    } catch (const std::exception& exception) {
        return StatusFromException(exception).Prepend("could not read \"" + path + "\"");
    }
}

}  // namespace

Result<std::vector<size_t>> KeyOrdinals(const std::vector<MirrorColumn>& columns, const std::vector<uint32_t>& key) {
    std::vector<size_t> ordinals;
    for (const uint32_t id : key) {
        const auto found =
            std::find_if(columns.begin(), columns.end(), [&](const auto& column) { return column.id == id; });
        if (found == columns.end()) {
            return Status::Make(sqlstate::kInvalidParameter,
                                "key column " + std::to_string(id) + " is not in the mirror");
        }
        ordinals.push_back(static_cast<size_t>(found - columns.begin()));
    }
    return ordinals;
}

std::string NewDataPath(const std::string& location, const std::string& extension) {
    return location + "/data/" + iceberg::NewFileId() + extension;
}

Result<std::unique_ptr<DataFileWriter>> DataFileWriter::Open(Instance& instance, DataFileSpec spec) {
    auto writer = std::make_unique<DataFileWriter>();
    writer->spec_ = std::move(spec);
    IVY_RETURN_IF_ERROR(writer->OpenIndex());
    IVY_ASSIGN_OR_RETURN(writer->file_, ParquetWriter::Open(instance, writer->spec_.path, writer->spec_.columns));
    if (!writer->spec_.sort.empty()) IVY_RETURN_IF_ERROR(writer->OpenSorter(instance));
    return writer;
}

Status DataFileWriter::OpenIndex() {
    if (spec_.key.empty()) return Status::Ok();
    IVY_ASSIGN_OR_RETURN(key_ordinals_, KeyOrdinals(spec_.columns, spec_.key));
    std::vector<ColumnType> types;
    for (const size_t ordinal : key_ordinals_) types.push_back(spec_.columns[ordinal].type);
    index_path_ = delta::IndexPathFor(spec_.index_folder, spec_.path, spec_.key);
    keys_.InitializeEmpty(delta::ToDuckTypes(types));
    index_.emplace(delta::KeyColumns(std::move(types)));
    return Status::Ok();
}

Status DataFileWriter::OpenSorter(Instance& instance) {
    IVY_ASSIGN_OR_RETURN(std::vector<size_t> keys, KeyOrdinals(spec_.columns, spec_.sort));
    auto types = delta::ToDuckTypes(TypesOf(spec_.columns));
    types.push_back(duckdb::LogicalType::BIGINT);
    AddSortDecimals(spec_.columns, &types, &keys);
    numbered_.InitializeEmpty(types);
    IVY_ASSIGN_OR_RETURN(sorter_, RowSorter::Make(instance, types, keys));
    return Status::Ok();
}

uint64_t DataFileWriter::file_bytes() const {
    return sorter_ ? sorted_bytes_ / kGuessedCompression : file_->file_bytes();
}

Status DataFileWriter::Append(duckdb::DataChunk& chunk) {
    if (!sorter_) return Write(chunk);
    const size_t columns = chunk.ColumnCount();
    for (size_t i = 0; i < columns; i++) numbered_.data[i].Reference(chunk.data[i]);
    numbered_.data[columns].Sequence(static_cast<int64_t>(sorter_->rows()), 1, chunk.size());
    if (numbered_.ColumnCount() > columns + 1) {
        try {
            IVY_ASSIGN_OR_RETURN(const std::vector<size_t> keys, KeyOrdinals(spec_.columns, spec_.sort));
            FillSortDecimals(spec_.columns, keys, chunk.size(), columns + 1, &numbered_);
        } catch (const std::exception& exception) {
            return StatusFromException(exception).Prepend("could not sort rows");
        }
    }
    numbered_.SetCardinalityUnsafe(chunk.size());
    sorted_bytes_ += BytesOf(chunk);
    return sorter_->Append(numbered_);
}

Status DataFileWriter::Write(duckdb::DataChunk& chunk) {
    if (index_) {
        for (size_t i = 0; i < key_ordinals_.size(); i++) keys_.data[i].Reference(chunk.data[key_ordinals_[i]]);
        keys_.SetCardinalityUnsafe(chunk.size());
        index_->Add(keys_);
    }
    return file_->Append(chunk);
}

Status DataFileWriter::WriteSorted() {
    duckdb::DataChunk sorted, rows;
    sorted.Initialize(duckdb::Allocator::DefaultAllocator(), numbered_.GetTypes());
    rows.InitializeEmpty(delta::ToDuckTypes(TypesOf(spec_.columns)));
    if (spec_.keep_order) {
        if (sorter_->rows() > kMaxOrderedRows) return Status::Internal("too many rows to keep their order");
        order_ = std::make_shared<std::vector<uint32_t>>(sorter_->rows());
    }
    while (true) {
        IVY_RETURN_IF_ERROR(sorter_->Next(&sorted));
        if (sorted.size() == 0) return Status::Ok();
        const uint64_t first = file_->rows();
        for (size_t i = 0; i < rows.ColumnCount(); i++) rows.data[i].Reference(sorted.data[i]);
        rows.SetCardinalityUnsafe(sorted.size());
        IVY_RETURN_IF_ERROR(Write(rows));
        if (!order_) continue;
        auto& ordinals = sorted.data[rows.ColumnCount()];
        ordinals.Flatten();
        const auto* ordinal = duckdb::FlatVector::GetData<int64_t>(ordinals);
        for (size_t i = 0; i < sorted.size(); i++)
            order_->at(static_cast<size_t>(ordinal[i])) = static_cast<uint32_t>(first + i);
    }
}

Result<DataFileWriter::Written> DataFileWriter::Finish() {
    if (sorter_) IVY_RETURN_IF_ERROR(WriteSorted());
    sorter_.reset();
    Written written;
    IVY_ASSIGN_OR_RETURN(written.file, file_->Finish());
    if (index_) {
        const Status indexed = index_->Finish(index_path_);
        if (!indexed.ok()) {
            unlink(written.file.path.c_str());
            return indexed;
        }
    }
    written.entry.path = written.file.path;
    written.entry.rows = written.file.record_count;
    written.entry.size = written.file.file_size;
    written.entry.index_path = index_path_;
    written.entry.order = order_;
    return written;
}

Status DataFileReader::Scan(const std::string& path, const std::vector<MirrorColumn>& columns, const Take& take) const {
    const std::string sql = SelectFrom(path, columns) + " ORDER BY file_row_number";
    uint64_t row = 0;
    return Run(instance_, path, sql, [&](duckdb::DataChunk& chunk) -> Status {
        chunk.data.pop_back();
        const uint64_t first = row;
        row += chunk.size();
        return take(first, chunk);
    });
}

Status DataFileReader::ScanInParts(const std::string& path, int64_t rows, const std::vector<MirrorColumn>& columns,
                                   const Take& take) const {
    uint64_t row = 0;
    for (int64_t begin = 0; begin < rows; begin += kRowsOfPart) {
        // Row groups outside of the range are not read.
        const std::string sql = SelectFrom(path, columns) + " WHERE file_row_number BETWEEN " + std::to_string(begin) +
                                " AND " + std::to_string(std::min(begin + kRowsOfPart, rows) - 1) +
                                " ORDER BY file_row_number";
        IVY_RETURN_IF_ERROR(Run(instance_, path, sql, [&](duckdb::DataChunk& chunk) -> Status {
            chunk.data.pop_back();
            const uint64_t first = row;
            row += chunk.size();
            return take(first, chunk);
        }));
    }
    if (row == static_cast<uint64_t>(rows)) return Status::Ok();
    return Status::Corrupt("data file \"" + path + "\" has " + std::to_string(row) + " rows instead of " +
                           std::to_string(rows));
}

Status DataFileReader::RebuildIndex(const std::string& path, int64_t rows, const std::vector<MirrorColumn>& key_columns,
                                    const std::string& index_path) const {
    delta::IndexBuilder builder{delta::KeyColumns(TypesOf(key_columns))};
    IVY_RETURN_IF_ERROR(Scan(path, key_columns, [&](uint64_t, duckdb::DataChunk& chunk) {
        builder.Add(chunk);
        return Status::Ok();
    }));
    if (builder.rows() != static_cast<uint64_t>(rows)) {
        return Status::Corrupt("data file \"" + path + "\" has " + std::to_string(builder.rows()) +
                               " rows instead of " + std::to_string(rows));
    }
    return builder.Finish(index_path);
}

// Removes rows from a chunk by their number in the file, the last column.
static void LeaveOut(const std::unordered_set<int64_t>& numbers, duckdb::DataChunk* chunk) {
    chunk->Flatten();
    const auto* number = duckdb::FlatVector::GetData<int64_t>(chunk->data.back());
    duckdb::SelectionVector left(chunk->size());
    size_t count = 0;
    for (size_t i = 0; i < chunk->size(); i++) {
        if (!numbers.contains(number[i])) left.set_index(count++, i);
    }
    if (count < chunk->size()) chunk->Slice(left, count);
}

// Where many rows of a block are wanted, all between them are read: a list of thousands of numbers costs more.
Status MirrorRowReader::ReadRows(const std::string& path, const std::vector<uint64_t>& rows,
                                 const std::vector<size_t>& columns, const Sink& sink) {
    std::vector<MirrorColumn> wanted;
    for (const size_t ordinal : columns) wanted.push_back(columns_.at(ordinal));
    const std::string select = SelectFrom(path, wanted);
    const bool network = !IsLocalPath(path);
    for (size_t begin = 0; begin < rows.size();) {
        size_t end = begin + 1;
        while (end < rows.size() && rows[end] - rows[begin] < kBlockRows) end++;
        const bool all = (end - begin) * kRowsForOne > rows[end - 1] - rows[begin];
        if (!all) end = std::min(rows.size(), begin + kRowsOfOneQuery);
        std::string sql = select + " WHERE file_row_number BETWEEN " + std::to_string(rows[begin]) + " AND " +
                          std::to_string(rows[end - 1]);
        if (!all) {
            sql += " AND file_row_number IN (";
            for (size_t i = begin; i < end; i++) sql += (i == begin ? "" : ", ") + std::to_string(rows[i]);
            sql += ")";
        }
        size_t found = 0;
        std::unordered_set<int64_t> given;  // of the network: not again after a failure
        bool again = false;
        const auto take = [&](duckdb::DataChunk& chunk) -> Status {
            if (again) LeaveOut(given, &chunk);
            if (chunk.size() == 0) return Status::Ok();
            chunk.Flatten();
            const auto* numbers = duckdb::FlatVector::GetData<int64_t>(chunk.data.back());
            for (size_t i = 0; i < chunk.size(); i++) {
                found +=
                    std::binary_search(rows.begin() + static_cast<ptrdiff_t>(begin),
                                       rows.begin() + static_cast<ptrdiff_t>(end), static_cast<uint64_t>(numbers[i]));
            }
            if (network) given.insert(numbers, numbers + chunk.size());
            const duckdb::Vector kept = std::move(chunk.data.back());
            chunk.data.pop_back();
            return sink(numbers, chunk);
        };
        Status read = Run(instance_, path, sql, take);
        for (again = true; !read.ok() && try_again_ && try_again_(read);) read = Run(instance_, path, sql, take);
        IVY_RETURN_IF_ERROR(read);
        if (found != end - begin) {
            return Status::Corrupt("data file \"" + path + "\" has " + std::to_string(found) + " of " +
                                   std::to_string(end - begin) + " rows looked for");
        }
        begin = end;
    }
    return Status::Ok();
}

}  // namespace ivy::engine
