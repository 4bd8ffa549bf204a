// SPDX-License-Identifier: Apache-2.0
#include "engine/lake_deletes.h"

#include <duckdb/common/multi_file/multi_file_reader.hpp>
#include <duckdb/function/create_sort_key.hpp>
#include <duckdb/storage/buffer_manager.hpp>

#include <algorithm>
#include <map>
#include <mutex>
#include <string_view>
#include <unordered_map>

#include "engine/error_map.h"
#include "engine/lake_io.h"
#include "engine/lake_scan.h"
#include "iceberg/deletion_vector.h"

namespace ivy::engine {
namespace {

using iceberg::DataFile;
using lake::Column;

// One Parquet file read with some of a table's columns, nothing deleted.
class OneFile final : public LakeTable {
  public:
    OneFile(std::vector<Column> columns, const DataFile& file)
        : columns_(std::move(columns)), file_{file.path, file.file_size, {}} {}
    const std::vector<Column>& columns() const override { return columns_; }
    lake::Matching matching() const override { return lake::Matching::kByFieldId; }
    size_t file_count() const override { return 1; }
    File file(size_t) const override { return file_; }
    std::optional<duckdb::Value> Constant(size_t, size_t column, bool in_file) const override {
        return in_file ? std::nullopt : constants_[column];
    }
    duckdb::unique_ptr<duckdb::BaseStatistics> Statistics(size_t, size_t) const override { return nullptr; }
    std::shared_ptr<const delta::RowSet> Deleted(duckdb::ClientContext&, size_t) const override { return nullptr; }

    void SetConstants(std::vector<std::optional<duckdb::Value>> constants) { constants_ = std::move(constants); }

  private:
    const std::vector<Column> columns_;
    const File file_;
    std::vector<std::optional<duckdb::Value>> constants_ = std::vector<std::optional<duckdb::Value>>(columns_.size());
};

// A key column by its field id, in the schema that is read or in an older one, where it may have been dropped from.
Column KeyColumn(const lake::IcebergSnapshot& snapshot, int id, const std::string& path) {
    const auto is_it = [id](const Column& column) { return column.id == id; };
    const auto& columns = snapshot.columns();
    if (const auto found = std::find_if(columns.begin(), columns.end(), is_it); found != columns.end()) return *found;
    for (const iceberg::Schema& schema : snapshot.metadata().schemas()) {
        const Result<std::vector<Column>> old = lake::ColumnsOfIceberg(schema);
        if (!old.ok()) continue;
        if (const auto found = std::find_if(old->begin(), old->end(), is_it); found != old->end()) return *found;
    }
    ThrowSqlError(sqlstate::kFeatureNotSupported, "equality delete file \"" + path + "\" has field " +
                                                      std::to_string(id) +
                                                      " as a key, which is no column of the table");
}

void RequireParquet(const DataFile& file) {
    if (file.format != "PARQUET") ThrowUnsupportedFormat("delete", file);
}

// Deleted keys, each as the bytes by which DuckDB sorts a row, with the largest sequence number that deletes it.
class DeletedKeys {
  public:
    explicit DeletedKeys(duckdb::BufferManager& buffers) : buffers_(buffers) {}
    ~DeletedKeys() {
        if (reserved_ > 0) buffers_.FreeReservedMemory(reserved_);
    }

    void Add(std::string_view key, int64_t sequence) {
        const auto [entry, added] = keys_.try_emplace(std::string(key), sequence);
        if (!added) {
            entry->second = std::max(entry->second, sequence);
            return;
        }
        used_ += kEntryBytes + key.size();
        if (used_ <= reserved_) return;
        buffers_.ReserveMemory(kReserveStep);  // throws if the limit is reached
        reserved_ += kReserveStep;
    }
    // Whether a row of a data file with this sequence number is deleted.
    bool Deletes(const std::string& key, int64_t sequence) const {
        const auto found = keys_.find(key);
        return found != keys_.end() && found->second > sequence;
    }

  private:
    static constexpr size_t kEntryBytes = 80, kReserveStep = size_t{4} << 20;
    duckdb::BufferManager& buffers_;
    std::unordered_map<std::string, int64_t> keys_;
    size_t used_ = 0, reserved_ = 0;
};

// The first "columns" columns of a chunk as sort keys: equal keys are equal rows, NULL equals NULL.
void SortKeys(duckdb::DataChunk& chunk, size_t columns, duckdb::Vector* keys) {
    duckdb::DataChunk view;
    duckdb::vector<duckdb::LogicalType> types;
    for (size_t i = 0; i < columns; i++) types.push_back(chunk.data[i].GetType());
    view.InitializeEmpty(types);
    for (size_t i = 0; i < columns; i++) view.data[i].Reference(chunk.data[i]);
    view.SetCardinalityUnsafe(chunk.size());
    const duckdb::OrderModifiers order(duckdb::OrderType::ASCENDING, duckdb::OrderByNullType::NULLS_LAST);
    duckdb::CreateSortKeyHelpers::CreateSortKey(view, duckdb::vector<duckdb::OrderModifiers>(columns, order), *keys);
}

// Calls take(key, position) for every row of a file.
template <typename Take>
void ScanKeys(duckdb::ClientContext& context, std::shared_ptr<OneFile> file, Take take) {
    const size_t columns = file->columns().size();
    const auto prepare = [columns](const auto&, const auto&) {
        duckdb::vector<duckdb::column_t> wanted;
        for (size_t i = 0; i < columns; i++) wanted.push_back(i);
        wanted.push_back(duckdb::MultiFileReader::COLUMN_IDENTIFIER_FILE_ROW_NUMBER);
        return wanted;
    };
    const std::string path = file->file(0).path;
    ScanParquet(context, ScanOf(context, std::move(file)), path, prepare, [&](duckdb::DataChunk& chunk) {
        chunk.Flatten();
        duckdb::Vector keys(duckdb::LogicalType::BLOB, chunk.size());
        SortKeys(chunk, columns, &keys);
        keys.Flatten();
        const auto* texts = duckdb::FlatVector::GetData<duckdb::string_t>(keys);
        const auto* positions = duckdb::FlatVector::GetData<int64_t>(chunk.data[columns]);
        for (size_t row = 0; row < chunk.size(); row++) {
            take(std::string_view(texts[row].GetData(), texts[row].GetSize()), static_cast<uint64_t>(positions[row]));
        }
    });
}

}  // namespace

struct LakeDeletes::State {
    explicit State(const lake::IcebergSnapshot& the_snapshot) : snapshot(the_snapshot) {}

    // What a position delete file deletes, by data file.
    struct PositionFile {
        std::once_flag once;
        std::unordered_map<std::string, delta::RowSet> positions;
    };
    // Equality deletes of the same key columns and the same partition.
    struct KeyGroup {
        std::once_flag once;
        std::vector<Column> key;
        std::vector<size_t> files;  // indexes in the snapshot's deletes
        std::unique_ptr<DeletedKeys> keys;
    };

    const PositionFile& Positions(duckdb::ClientContext& context, size_t index);
    void AddEqualities(duckdb::ClientContext& context, const LakeTable& table, size_t file, KeyGroup* group,
                       delta::RowSet* deleted);

    const lake::IcebergSnapshot& snapshot;
    std::map<size_t, PositionFile> position_files;  // by index in the snapshot's deletes
    std::map<size_t, KeyGroup*> group_of;           // likewise
    std::map<std::string, KeyGroup> groups;
};

LakeDeletes::LakeDeletes(const lake::IcebergSnapshot& snapshot) : state_(std::make_unique<State>(snapshot)) {
    const auto& deletes = snapshot.deletes();
    for (size_t i = 0; i < deletes.size(); i++) {
        const DataFile& file = deletes[i].file;
        if (file.content == iceberg::Content::kPositionDeletes) {
            if (file.format != "PUFFIN") state_->position_files[i];
            continue;
        }
        std::vector<int> ids = file.equality_ids;
        std::sort(ids.begin(), ids.end());
        std::string name = std::to_string(file.partition_spec_id) + ":" + file.partition_json;
        for (const int id : ids) name += "," + std::to_string(id);
        State::KeyGroup& group = state_->groups[name];
        group.files.push_back(i);
        state_->group_of[i] = &group;
        if (group.files.size() > 1) continue;
        for (const int id : ids) group.key.push_back(KeyColumn(snapshot, id, file.path));
    }
}

LakeDeletes::~LakeDeletes() = default;

const LakeDeletes::State::PositionFile& LakeDeletes::State::Positions(duckdb::ClientContext& context, size_t index) {
    PositionFile& result = position_files.at(index);
    std::call_once(result.once, [&] {
        const DataFile& file = snapshot.deletes()[index].file;
        RequireParquet(file);
        const auto prepare = [&file](const duckdb::vector<duckdb::string>& names,
                                     const duckdb::vector<duckdb::LogicalType>& types) {
            duckdb::vector<duckdb::column_t> wanted;
            for (const char* name : {"file_path", "pos"}) {
                const auto found = std::find(names.begin(), names.end(), name);
                const size_t at = static_cast<size_t>(found - names.begin());
                const auto type = wanted.empty() ? duckdb::LogicalType::VARCHAR : duckdb::LogicalType::BIGINT;
                if (found == names.end() || types[at] != type) {
                    ThrowSqlError(sqlstate::kDataCorrupted, "position delete file \"" + file.path +
                                                                "\" has no column " + name + " of the right type");
                }
                wanted.push_back(at);
            }
            return wanted;
        };
        std::unordered_map<std::string, delta::RowSet> positions;
        std::string name;  // rows are sorted by path: the last one is looked up once
        delta::RowSet* rows = nullptr;
        ScanParquet(context, ParquetFunction(context), file.path, prepare, [&](duckdb::DataChunk& chunk) {
            chunk.Flatten();
            const auto* paths = duckdb::FlatVector::GetData<duckdb::string_t>(chunk.data[0]);
            const auto* numbers = duckdb::FlatVector::GetData<int64_t>(chunk.data[1]);
            for (size_t row = 0; row < chunk.size(); row++) {
                const bool is_null =
                    duckdb::FlatVector::IsNull(chunk.data[0], row) || duckdb::FlatVector::IsNull(chunk.data[1], row);
                if (is_null || numbers[row] < 0) {
                    ThrowSqlError(sqlstate::kDataCorrupted, "position delete file \"" + file.path + "\" has a bad row");
                }
                const std::string_view path(paths[row].GetData(), paths[row].GetSize());
                if (rows == nullptr || path != name) {
                    name = path;
                    rows = &positions[ValueOrThrow(snapshot.Resolve(name))];
                }
                rows->add(static_cast<uint64_t>(numbers[row]));
            }
        });
        result.positions = std::move(positions);
    });
    return result;
}

void LakeDeletes::State::AddEqualities(duckdb::ClientContext& context, const LakeTable& table, size_t index,
                                       KeyGroup* group, delta::RowSet* deleted) {
    std::call_once(group->once, [&] {
        auto keys = std::make_unique<DeletedKeys>(duckdb::BufferManager::GetBufferManager(context));
        for (const size_t i : group->files) {
            const DataFile& file = snapshot.deletes()[i].file;
            RequireParquet(file);
            ScanKeys(context, std::make_shared<OneFile>(group->key, file),
                     [&](std::string_view key, uint64_t) { keys->Add(key, file.sequence_number); });
        }
        group->keys = std::move(keys);
    });
    const DataFile& data = snapshot.data()[index].file;
    // Key columns that the data file lacks may have a value by its partition.
    auto file = std::make_shared<OneFile>(group->key, data);
    std::vector<std::optional<duckdb::Value>> constants;
    for (const Column& key : group->key) {
        const auto& columns = table.columns();
        const auto found =
            std::find_if(columns.begin(), columns.end(), [&key](const Column& c) { return c.id == key.id; });
        constants.push_back(found == columns.end()
                                ? std::nullopt
                                : table.Constant(index, static_cast<size_t>(found - columns.begin()), false));
    }
    file->SetConstants(std::move(constants));
    std::string buffer;
    ScanKeys(context, std::move(file), [&](std::string_view key, uint64_t position) {
        buffer = key;
        if (group->keys->Deletes(buffer, data.sequence_number)) deleted->add(position);
    });
}

std::shared_ptr<const delta::RowSet> LakeDeletes::Of(duckdb::ClientContext& context, const LakeTable& table,
                                                     size_t file) {
    const DataFile& data = state_->snapshot.data()[file].file;
    const lake::AppliedDeletes applied = state_->snapshot.DeletesOf(data);
    if (applied.empty()) return nullptr;
    auto deleted = std::make_shared<delta::RowSet>();
    if (applied.vector) {
        LakeIo io(context);
        *deleted = ValueOrThrow(iceberg::ReadDeletionVector(&io, state_->snapshot.deletes()[*applied.vector].file));
    }
    for (const size_t index : applied.positions) {
        const auto& positions = state_->Positions(context, index).positions;
        if (const auto found = positions.find(data.path); found != positions.end()) *deleted |= found->second;
    }
    std::vector<State::KeyGroup*> groups;
    for (const size_t index : applied.equalities) {
        State::KeyGroup* group = state_->group_of.at(index);
        if (std::find(groups.begin(), groups.end(), group) == groups.end()) groups.push_back(group);
    }
    for (State::KeyGroup* group : groups) state_->AddEqualities(context, table, file, group, deleted.get());
    return deleted;
}

void ThrowUnsupportedFormat(const char* what, const DataFile& file) {
    ThrowSqlError(
        sqlstate::kFeatureNotSupported,
        std::string(what) + " file \"" + file.path + "\" has format " + file.format + ", which is not supported",
        "Data and delete files of Iceberg tables are read in Parquet.",
        "Set the table property write.format.default (for delete files write.delete.format.default) to parquet, and "
        "let an engine that reads " +
            file.format + " rewrite the files, such as Spark with rewrite_data_files.");
}

}  // namespace ivy::engine
