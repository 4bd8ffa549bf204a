// SPDX-License-Identifier: Apache-2.0
//
// file_scan: a MultiFileReader over a read view.
//
// Threads: binding is the session's; readers of one file may be used by several DuckDB threads at once, and so may its
// deletion filter, which only reads an immutable bitmap.
#include "engine/file_scan.h"

#include <duckdb.hpp>

#include <duckdb/catalog/catalog_entry/table_function_catalog_entry.hpp>
#include <duckdb/common/multi_file/multi_file_reader.hpp>
#include <duckdb/main/extension/extension_loader.hpp>

#include "delta/chunk_convert.h"
#include "engine/mirror_storage.h"
#include "engine/parquet_front.h"
#include "engine/query_inputs.h"
#include "engine/stored_numeric.h"

namespace ivy::engine {
namespace {

using delta::FileView;
using delta::ReadView;

// The files of a view, with their true number of rows.
class ViewFileList final : public duckdb::SimpleMultiFileList {
  public:
    explicit ViewFileList(const ReadView& view) : SimpleMultiFileList(Paths(view)) {
        for (const FileView& file : view.files()) {
            rows_ += static_cast<duckdb::idx_t>(file.rows);
            if (file.deleted) rows_ -= std::min<uint64_t>(rows_, file.deleted->cardinality());
        }
    }

    duckdb::unique_ptr<duckdb::NodeStatistics> GetCardinality(duckdb::ClientContext&) const override {
        return duckdb::make_uniq<duckdb::NodeStatistics>(rows_, rows_);
    }
    // DuckDB reads "a single file" with as many threads as the reader that bound it has row groups. This list is bound
    // from the view, by no reader, so it would be one thread: several files mean all threads, shared by row groups.
    duckdb::FileExpandResult GetExpandResult() const override { return duckdb::FileExpandResult::MULTIPLE_FILES; }
    // EXPLAIN counts the files. Their long names would only make it too wide to read.
    duckdb::vector<duckdb::OpenFileInfo> GetDisplayFileList(duckdb::optional_idx) const override { return {}; }
    duckdb::unique_ptr<MultiFileList> Copy() const override { return duckdb::make_uniq<ViewFileList>(*this); }

  private:
    static duckdb::vector<duckdb::OpenFileInfo> Paths(const ReadView& view) {
        duckdb::vector<duckdb::OpenFileInfo> paths;
        paths.reserve(view.files().size());
        for (const FileView& file : view.files()) paths.push_back(OpenMirrorFile(file.path));
        return paths;
    }

    duckdb::idx_t rows_ = 0;
};

class ViewFileReader final : public duckdb::MultiFileReader {
  public:
    static duckdb::unique_ptr<MultiFileReader> Make(const duckdb::BoundTableFunction&) {
        return duckdb::make_uniq<ViewFileReader>();
    }

    duckdb::unique_ptr<MultiFileReader> Copy() const override { return duckdb::make_uniq<ViewFileReader>(*this); }

    // "files" is the function's argument: the index of the mirror in the query.
    duckdb::shared_ptr<duckdb::MultiFileList> CreateFileList(duckdb::ClientContext& context,
                                                             duckdb::vector<duckdb::OpenFileInfo> files,
                                                             const duckdb::FileGlobInput&) override {
        if (files.size() != 1) throw duckdb::BinderException("ivy_files takes the index of a mirror");
        const auto index = duckdb::Value(files[0].path).DefaultCastAs(duckdb::LogicalType::BIGINT);
        view_ = QueryInputs::Of(context).mirror(index.GetValue<int64_t>()).view;
        return duckdb::make_shared_ptr<ViewFileList>(*view_);
    }

    bool Bind(duckdb::MultiFileOptions& options, duckdb::MultiFileList&, duckdb::vector<duckdb::LogicalType>& types,
              duckdb::vector<duckdb::Identifier>& names, duckdb::MultiFileReaderBindData& bind_data) override {
        options.auto_detect_hive_partitioning = false;
        for (const MirrorColumn& column : FileColumns(view_->columns())) {
            duckdb::MultiFileColumnDefinition definition(EngineColumnName(column.id), delta::ToDuckType(column.type));
            definition.identifier = duckdb::Value::INTEGER(static_cast<int32_t>(column.id));
            definition.default_expression = duckdb::ConstantExpression::FromValue(duckdb::Value(definition.type));
            names.push_back(definition.name);
            types.push_back(definition.type);
            bind_data.schema.push_back(std::move(definition));
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
        const size_t index = reader.file_list_idx.GetIndex();
        if (index >= view_->files().size() || OpenName(view_->files()[index].path) != reader.GetFileName()) {
            throw duckdb::InternalException("file \"" + reader.GetFileName() + "\" is not in the read view");
        }
        LeaveOut(view_->files()[index].deleted, &reader);
        return MultiFileReader::InitializeReader(data, bind_data, columns, column_ids, filters, context, state);
    }

  private:
    std::shared_ptr<const ReadView> view_;
};

}  // namespace

void RegisterFileScan(duckdb::ExtensionLoader& loader) {
    const auto& parquet = loader.GetTableFunction(duckdb::Identifier("parquet_scan"));
    // The overload for one path.
    loader.RegisterFunction(ParquetFront(*parquet.functions.GetFunctionByOffset(0), "ivy_files", ViewFileReader::Make));
}

}  // namespace ivy::engine
