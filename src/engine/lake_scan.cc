// SPDX-License-Identifier: Apache-2.0
//
// lake_scan: a MultiFileReader over a LakeTable.
//
// Threads: binding is the session's. Files are opened by several DuckDB threads at once, each its own; what is shared
// (the table) is immutable or guards itself.
#include "engine/lake_scan.h"

#include <duckdb/catalog/catalog_entry/table_function_catalog_entry.hpp>
#include <duckdb/common/multi_file/multi_file_reader.hpp>
#include <duckdb/main/extension/extension_loader.hpp>
#include <duckdb/planner/expression/bound_cast_expression.hpp>
#include <duckdb/planner/expression/bound_function_expression.hpp>
#include <duckdb/planner/expression_iterator.hpp>
#include <duckdb/planner/filter/expression_filter.hpp>

#include <mutex>
#include <numeric>

#include "engine/error_map.h"
#include "engine/lake_io.h"
#include "engine/lake_options.h"
#include "engine/lake_pruning.h"
#include "engine/lake_tables.h"
#include "engine/lake_types.h"
#include "engine/parquet_front.h"

namespace ivy::engine {
namespace {

using duckdb::LogicalType;
using duckdb::LogicalTypeId;
using TablePointer = std::shared_ptr<const LakeTable>;

// Some of a table's files. Empty until the table is open: DuckDB makes the list before it looks at options. The table is
// listed as late as can be, so that conditions may say which part of it is needed.
class LakeFileList final : public duckdb::MultiFileList {
  public:
    LakeFileList() = default;
    // All files of a listed table, or some of them.
    explicit LakeFileList(TablePointer table) : table_(std::move(table)) { TakeAll(); }
    LakeFileList(TablePointer table, std::vector<uint32_t> files)
        : table_(std::move(table)), files_(std::move(files)) {}

    // The context is the one that the list's plan is of.
    void Open(duckdb::ClientContext& context, TablePointer table) {
        context_ = &context;
        table_ = std::move(table);
        if (table_->listed()) TakeAll();
    }
    const LakeTable& table() const { return *Listed(); }
    // The table's file at a position of the list.
    uint32_t file(size_t position) const {
        Listed();
        return files_.at(position);
    }
    // For EXPLAIN.
    std::optional<LakeTable::Lists> lists() const {
        const std::lock_guard guard(mutex_);
        return table_ ? table_->lists() : std::nullopt;
    }

    duckdb::unique_ptr<MultiFileList> ComplexFilterPushdown(
        duckdb::ClientContext& context, const duckdb::MultiFileOptions&, duckdb::MultiFilePushdownInfo& info,
        duckdb::vector<duckdb::unique_ptr<duckdb::Expression>>& filters) const override {
        const TablePointer before = Table();
        if (filters.empty() || IsEmpty()) return nullptr;
        const LakeConditions conditions(context, *before, info.column_indexes, filters);
        if (conditions.empty()) return nullptr;
        const auto list = Pruned(context, before, conditions);
        const size_t total = before->listed() ? files_.size() : TotalOf(*before, list->table());
        if (list->files_.size() == total) return before->listed() ? nullptr : list->Copy();
        // For EXPLAIN: "Scanning Files: 3/10".
        if (!info.extra_info.total_files.IsValid()) info.extra_info.total_files = total;
        info.extra_info.filtered_files = list->files_.size();
        for (const auto& filter : filters) {
            if (!info.extra_info.file_filters.empty()) info.extra_info.file_filters += " AND ";
            info.extra_info.file_filters += filter->ToString();
        }
        return list->Copy();
    }

    duckdb::unique_ptr<MultiFileList> DynamicFilterPushdown(duckdb::MultiFileDynamicPushdownInfo& info) const override {
        const TablePointer before = Table();
        if (IsEmpty()) return nullptr;
        const LakeConditions conditions(*before, info.column_indexes, info.filters);
        if (conditions.empty()) return nullptr;
        const auto list = Pruned(info.context, before, conditions);
        return before->listed() && list->files_.size() == files_.size() ? nullptr : list->Copy();
    }

    duckdb::vector<duckdb::OpenFileInfo> GetAllFiles() const override {
        Listed();
        duckdb::vector<duckdb::OpenFileInfo> all;
        for (size_t i = 0; i < files_.size(); i++) all.push_back(GetFile(i));
        return all;
    }
    // Not SINGLE_FILE, which DuckDB would read with a single thread (see file_scan).
    duckdb::FileExpandResult GetExpandResult() const override {
        return GetTotalFileCount() == 0 ? duckdb::FileExpandResult::NO_FILES : duckdb::FileExpandResult::MULTIPLE_FILES;
    }
    duckdb::idx_t GetTotalFileCount() const override {
        if (const auto size = SizeUnlisted(); size && size->files) return static_cast<duckdb::idx_t>(*size->files);
        Listed();
        return files_.size();
    }

    duckdb::unique_ptr<duckdb::NodeStatistics> GetCardinality(duckdb::ClientContext&) const override {
        if (const auto size = SizeUnlisted(); size && size->rows) {
            return duckdb::make_uniq<duckdb::NodeStatistics>(static_cast<duckdb::idx_t>(*size->rows));
        }
        const TablePointer table = Listed();
        int64_t rows = 0, known = 0;
        for (const uint32_t index : files_) {
            if (const auto file_rows = table->file(index).rows) {
                rows += *file_rows;
                known++;
            }
        }
        if (known == 0 && !files_.empty()) return nullptr;
        const auto unknown = static_cast<int64_t>(files_.size()) - known;
        if (unknown > 0) rows += rows / known * unknown;
        return duckdb::make_uniq<duckdb::NodeStatistics>(static_cast<duckdb::idx_t>(std::max<int64_t>(rows, 0)));
    }
    duckdb::unique_ptr<MultiFileList> Copy() const override {
        const std::lock_guard guard(mutex_);
        auto copy = duckdb::make_uniq<LakeFileList>(table_, files_);
        copy->context_ = context_;
        return copy;
    }

  protected:
    duckdb::OpenFileInfo GetFile(duckdb::idx_t position) const override {
        const TablePointer table = Listed();
        if (position >= files_.size()) return duckdb::OpenFileInfo("");
        const LakeTable::File file = table->file(files_[position]);
        // What the metadata know need not be asked for again over the network.
        return UnchangingFile(file.path, file.size);
    }

  private:
    void TakeAll() const {
        files_.resize(table_->file_count());
        std::iota(files_.begin(), files_.end(), 0u);
    }

    TablePointer Table() const {
        const std::lock_guard guard(mutex_);
        return table_;
    }

    // The table, listed whole if it is not yet. From then on neither it nor the files change.
    TablePointer Listed() const {
        const std::lock_guard guard(mutex_);
        if (table_ && !table_->listed()) {
            table_ = table_->List(*context_, nullptr);
            TakeAll();
        }
        return table_;
    }

    std::optional<LakeTable::Size> SizeUnlisted() const {
        const TablePointer table = Table();
        return table && !table->listed() ? std::optional(table->size()) : std::nullopt;
    }

    // The files that conditions leave, of a table that need not be listed.
    duckdb::unique_ptr<LakeFileList> Pruned(duckdb::ClientContext& context, const TablePointer& before,
                                            const LakeConditions& conditions) const {
        if (before->listed()) {
            return duckdb::make_uniq<LakeFileList>(before, conditions.Prune(context, *before, files_));
        }
        auto list = duckdb::make_uniq<LakeFileList>(before->List(context, &conditions));
        list->files_ = conditions.Prune(context, *list->table_, list->files_);
        return list;
    }

    // How many files a table has of which some are listed.
    static size_t TotalOf(const LakeTable& unlisted, const LakeTable& listed) {
        const auto known = unlisted.size().files;
        return std::max(listed.file_count(), known ? static_cast<size_t>(*known) : 0);
    }

    duckdb::ClientContext* context_ = nullptr;  // of tables that are not listed
    mutable std::mutex mutex_;                  // guards the two until the table is listed
    mutable TablePointer table_;
    mutable std::vector<uint32_t> files_;
};

bool IsZoned(const LogicalType& type) {
    return type.id() == LogicalTypeId::TIMESTAMP_TZ || type.id() == LogicalTypeId::TIMESTAMP_TZ_NS;
}

// Casts between times with and without zone go by the session's zone; in data files both are UTC. Replaces such a cast
// of a column by the one that keeps the moment.
void KeepMoments(duckdb::unique_ptr<duckdb::Expression>& expression) {
    if (expression->GetExpressionType() == duckdb::ExpressionType::OPERATOR_CAST) {
        auto& function = expression->Cast<duckdb::BoundFunctionExpression>();
        auto& child = *function.GetChildrenMutable()[0];
        const LogicalType from = child.GetReturnType(), to = expression->GetReturnType();
        if (from.IsTemporal() && to.IsTemporal() && IsZoned(from) != IsZoned(to)) {
            expression = duckdb::BoundCastExpression::AddDefaultCastToType(child.Copy(), to);
            return;
        }
    }
    duckdb::ExpressionIterator::EnumerateChildren(
        *expression, [](duckdb::unique_ptr<duckdb::Expression>& child) { KeepMoments(child); });
}

// A condition in a wrapping that statistics are not looked up through.
duckdb::unique_ptr<duckdb::ExpressionFilter> Opaque(const duckdb::ExpressionFilter& filter) {
    static const duckdb::ScalarFunction kSame = [] {
        duckdb::ScalarFunction same(duckdb::Identifier("ivy_same"), {LogicalType::BOOLEAN}, LogicalType::BOOLEAN,
                                    [](duckdb::DataChunk& input, duckdb::ExpressionState&, duckdb::Vector& result) {
                                        result.Reference(input.data[0]);
                                    });
        same.SetStability(duckdb::FunctionStability::VOLATILE);  // not even folded
        return same;
    }();
    duckdb::vector<duckdb::unique_ptr<duckdb::Expression>> children;
    children.push_back(filter.expr->Copy());
    return duckdb::make_uniq<duckdb::ExpressionFilter>(
        duckdb::make_uniq<duckdb::BoundFunctionExpression>(duckdb::BoundScalarFunction(kSame), std::move(children),
                                                           nullptr),
        filter.column_indexes);
}

class LakeReader : public duckdb::MultiFileReader {
  public:
    explicit LakeReader(TablePointer table = nullptr) : table_(std::move(table)) {}
    const std::vector<lake::Column>& columns() const { return table_->columns(); }  // REQUIRES: bound

    // The path is kept for Bind, which knows the options.
    duckdb::shared_ptr<duckdb::MultiFileList> CreateFileList(duckdb::ClientContext& context,
                                                             duckdb::vector<duckdb::OpenFileInfo> files,
                                                             const duckdb::FileGlobInput&) override {
        if (files.size() != 1 || files[0].path.empty()) {
            ThrowSqlError(sqlstate::kInvalidParameter, "a lake table is named by one path");
        }
        context_ = &context;
        path_ = files[0].path;
        return duckdb::make_shared_ptr<LakeFileList>();
    }

    bool ParseOption(const duckdb::Identifier& key, const duckdb::Value& value, duckdb::MultiFileOptions& options,
                     duckdb::ClientContext& context) override {
        return options_.Parse(key.GetIdentifierName(), value) ||
               MultiFileReader::ParseOption(key, value, options, context);
    }

    bool Bind(duckdb::MultiFileOptions& options, duckdb::MultiFileList& files, duckdb::vector<LogicalType>& types,
              duckdb::vector<duckdb::Identifier>& names, duckdb::MultiFileReaderBindData& bind_data) override {
        options.auto_detect_hive_partitioning = false;
        options.hive_partitioning = false;
        if (!table_) table_ = OpenTable(*context_, path_, options_);
        files.Cast<LakeFileList>().Open(*context_, table_);
        context_ = nullptr;
        for (const lake::Column& column : table_->columns()) {
            bind_data.schema.push_back(LakeDefinition(column));
            names.push_back(bind_data.schema.back().name);
            types.push_back(bind_data.schema.back().type);
        }
        bind_data.mapping = duckdb::MultiFileColumnMappingMode::BY_FIELD_ID;
        return true;
    }

    duckdb::ReaderInitializeType InitializeReader(duckdb::MultiFileReaderData& data,
                                                  const duckdb::MultiFileBindData& bind_data,
                                                  const duckdb::vector<duckdb::MultiFileColumnDefinition>& columns,
                                                  const duckdb::vector<duckdb::ColumnIndex>& column_ids,
                                                  duckdb::optional_ptr<duckdb::TableFilterSet> filters,
                                                  duckdb::ClientContext& context,
                                                  duckdb::MultiFileGlobalState& state) override {
        duckdb::BaseFileReader& reader = *data.reader;
        const auto& list = state.file_list.Cast<LakeFileList>();
        const LakeTable& table = list.table();
        const uint32_t file = list.file(reader.file_list_idx.GetIndex());
        AssignIds(table.columns(), table.matching(), reader.GetFileName(), &reader.columns);
        AddConstants(table, file, column_ids, &data);
        const auto result =
            MultiFileReader::InitializeReader(data, bind_data, columns, column_ids, filters, context, state);
        if (result == duckdb::ReaderInitializeType::SKIP_READING_FILE) return result;
        for (auto& expression : data.expressions) KeepMoments(expression);
        for (auto& [index, expression] : reader.expression_map) KeepMoments(expression.expression);
        HideFromStatistics(table, file, column_ids, &reader);
        LeaveOut(table.Deleted(context, file), &reader);
        return result;
    }

  protected:
    virtual TablePointer OpenTable(duckdb::ClientContext&, const std::string&, const LakeOptions&) const {
        throw duckdb::InternalException("a lake table is not open");
    }

  private:
    // Values that the metadata give for the whole file.
    static void AddConstants(const LakeTable& table, uint32_t file,
                             const duckdb::vector<duckdb::ColumnIndex>& column_ids, duckdb::MultiFileReaderData* data) {
        const auto& in_file = data->reader->columns;
        for (size_t i = 0; i < column_ids.size(); i++) {
            const size_t column = column_ids[i].GetPrimaryIndex();
            if (column >= table.columns().size()) continue;
            const int32_t id = table.columns()[column].id;
            const bool found = std::any_of(in_file.begin(), in_file.end(), [id](const auto& local) {
                return !local.identifier.IsNull() && local.GetIdentifierFieldId() == id;
            });
            auto value = table.Constant(file, column, found);
            if (value) data->constant_map.Add(duckdb::MultiFileGlobalIndex(i), std::move(*value));
        }
    }

    // Parquet writers leave NaN out of the bounds of row groups, and the reader believes them: where a column may have
    // NaN, conditions are only checked row by row.
    static void HideFromStatistics(const LakeTable& table, uint32_t file,
                                   const duckdb::vector<duckdb::ColumnIndex>& column_ids,
                                   duckdb::BaseFileReader* reader) {
        const size_t columns = table.columns().size();
        const auto can_have_nan = [&](size_t column) { return column < columns && table.CanHaveNan(file, column); };
        const bool any = std::any_of(column_ids.begin(), column_ids.end(),
                                     [&](const auto& index) { return can_have_nan(index.GetPrimaryIndex()); });
        if (!reader->filters || !any) return;
        auto filters = duckdb::make_uniq<duckdb::TableFilterSet>();
        size_t number = 0;
        for (auto& entry : *reader->filters) {
            // The reader's filters are in the order of its columns, and so are the columns that they are for.
            const size_t global = reader->filter_global_indices.at(number++).GetIndex();
            auto filter = entry.TakeFilter();
            if (can_have_nan(column_ids[global].GetPrimaryIndex())) {
                if (duckdb::ExpressionFilter::IsOptionalFilter(*filter)) continue;
                filter = Opaque(duckdb::ExpressionFilter::GetExpressionFilter(*filter, "lake"));
            }
            filters->SetFilterByColumnIndex(entry.GetIndex(), std::move(filter));
        }
        for (const auto& filter : reader->filters->GetMultiColumnFilters()) {
            if (duckdb::ExpressionFilter::IsOptionalFilter(*filter)) continue;
            filters->PushMultiColumnFilter(Opaque(duckdb::ExpressionFilter::GetExpressionFilter(*filter, "lake")));
        }
        reader->filters = std::move(filters);
    }

    TablePointer table_;
    LakeOptions options_;
    std::string path_;
    duckdb::ClientContext* context_ = nullptr;  // while binding
};

class IcebergReader final : public LakeReader {
  public:
    static duckdb::unique_ptr<MultiFileReader> Make(const duckdb::BoundTableFunction&) {
        return duckdb::make_uniq<IcebergReader>();
    }
    duckdb::unique_ptr<MultiFileReader> Copy() const override { return duckdb::make_uniq<IcebergReader>(*this); }

  protected:
    TablePointer OpenTable(duckdb::ClientContext& context, const std::string& path,
                           const LakeOptions& options) const override {
        return OpenIcebergTable(context, path, options.ForIceberg());
    }
};

class DeltaReader final : public LakeReader {
  public:
    static duckdb::unique_ptr<MultiFileReader> Make(const duckdb::BoundTableFunction&) {
        return duckdb::make_uniq<DeltaReader>();
    }
    duckdb::unique_ptr<MultiFileReader> Copy() const override { return duckdb::make_uniq<DeltaReader>(*this); }

  protected:
    TablePointer OpenTable(duckdb::ClientContext& context, const std::string& path,
                           const LakeOptions& options) const override {
        return OpenDeltaTable(context, path, options.ForDelta());
    }
};

// The table that a function made by ScanOf reads.
struct OpenTableInfo final : public duckdb::TableFunctionInfo {
    explicit OpenTableInfo(TablePointer the_table) : table(std::move(the_table)) {}
    const TablePointer table;
};

class OpenTableReader final : public LakeReader {
  public:
    explicit OpenTableReader(TablePointer table) : LakeReader(std::move(table)) {}
    static duckdb::unique_ptr<MultiFileReader> Make(const duckdb::BoundTableFunction& function) {
        return duckdb::make_uniq<OpenTableReader>(function.function_info->Cast<OpenTableInfo>().table);
    }
    duckdb::unique_ptr<MultiFileReader> Copy() const override { return duckdb::make_uniq<OpenTableReader>(*this); }
};

const lake::Column& ColumnOf(const duckdb::FunctionData& bind_data, duckdb::idx_t column) {
    const auto& reader = bind_data.Cast<duckdb::MultiFileBindData>().multi_file_reader;
    return static_cast<const LakeReader&>(*reader).columns().at(column);
}

// The reader would give a missing field its default in structs that are NULL, too.
bool PushesExtract(const duckdb::FunctionData& bind_data, const duckdb::LogicalIndex& column) {
    return !lake::HasInnerDefault(ColumnOf(bind_data, column.index));
}

// What EXPLAIN shows beside the rest.
duckdb::InsertionOrderPreservingMap<duckdb::string> ToString(duckdb::TableFunctionToStringInput& input) {
    duckdb::InsertionOrderPreservingMap<duckdb::string> result;
    result["Function"] = duckdb::StringUtil::Upper(input.table_function.GetName().GetIdentifierName());
    const auto& bound = input.bind_data->Cast<duckdb::MultiFileBindData>();
    const auto* list = dynamic_cast<const LakeFileList*>(bound.file_list.get());
    const auto lists = list ? list->lists() : std::nullopt;
    if (lists && lists->used < lists->total) {
        result["Reading Manifests"] = std::to_string(lists->used) + "/" + std::to_string(lists->total);
    }
    return result;
}

// The Parquet reader's function with another front.
duckdb::TableFunction WithReader(const duckdb::TableFunction& parquet, const char* name,
                                 duckdb::table_function_get_multi_file_reader_t reader) {
    duckdb::TableFunction function = ParquetFront(parquet, name, reader);
    function.supports_pushdown_extract = PushesExtract;
    function.to_string = ToString;
    return function;
}

}  // namespace

duckdb::TableFunction ScanOf(duckdb::ClientContext& context, TablePointer table) {
    auto function = WithReader(ParquetFunction(context), "ivy_open_table", OpenTableReader::Make);
    function.function_info = duckdb::make_shared_ptr<OpenTableInfo>(std::move(table));
    return function;
}

void RegisterLakeScans(duckdb::ExtensionLoader& loader) {
    const auto& entry = loader.GetTableFunction(duckdb::Identifier("parquet_scan"));
    const duckdb::TableFunction& parquet = *entry.functions.GetFunctionByOffset(0);  // the overload for one path
    auto iceberg = WithReader(parquet, "ivy_iceberg_scan", IcebergReader::Make);
    iceberg.GetSignature() = LakeOptions::IcebergSignature();
    loader.RegisterFunction(iceberg);
    auto delta = WithReader(parquet, "ivy_delta_scan", DeltaReader::Make);
    delta.GetSignature() = LakeOptions::DeltaSignature();
    loader.RegisterFunction(delta);
}

}  // namespace ivy::engine
