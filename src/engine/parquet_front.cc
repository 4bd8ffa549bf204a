// SPDX-License-Identifier: Apache-2.0
#include "engine/parquet_front.h"

#include <utility>

#include "engine/bitmap_filter.h"

namespace ivy::engine {

duckdb::TableFunction ParquetFront(const duckdb::TableFunction& parquet, const char* name,
                                   duckdb::table_function_get_multi_file_reader_t reader) {
    duckdb::TableFunction function = parquet;
    function.name = duckdb::Identifier(name);
    function.get_multi_file_reader = reader;
    // Counts and bounds in footers include deleted rows: nothing may be answered or skipped from them alone.
    function.get_partition_stats = nullptr;
    function.statistics = nullptr;
    function.statistics_extended = nullptr;
    function.serialize = nullptr;
    function.deserialize = nullptr;
    return function;
}

duckdb::OpenFileInfo UnchangingFile(const std::string& path, int64_t size) {
    duckdb::OpenFileInfo info(path);
    info.extended_info = duckdb::make_shared_ptr<duckdb::ExtendedOpenFileInfo>();
    info.extended_info->options["validate_external_file_cache"] = duckdb::Value::BOOLEAN(false);
    if (size > 0) info.extended_info->options["file_size"] = duckdb::Value::UBIGINT(static_cast<uint64_t>(size));
    return info;
}

void LeaveOut(std::shared_ptr<const delta::RowSet> deleted, duckdb::BaseFileReader* reader) {
    if (!deleted || deleted->isEmpty()) return;
    reader->deletion_filter = duckdb::make_uniq<BitmapFilter>(std::move(deleted));
}

}  // namespace ivy::engine
