// SPDX-License-Identifier: Apache-2.0
#include "engine/lake_io.h"

#include <duckdb/catalog/catalog.hpp>
#include <duckdb/catalog/catalog_entry/table_function_catalog_entry.hpp>
#include <duckdb/common/file_system.hpp>
#include <duckdb/execution/execution_context.hpp>
#include <duckdb/parallel/thread_context.hpp>
#include <duckdb/parser/tableref/table_function_ref.hpp>

#include "engine/error_map.h"
#include "lake/paths.h"

namespace ivy::engine {
namespace {

using duckdb::LogicalTypeId;
using lake::TableIo;

// Runs a body that may throw. A missing file becomes kUndefinedFile, any other failure keeps its own state.
template <typename T, typename Body>
Result<T> Guarded(const std::string& path, Body body) {
    try {
        return body();
    } catch (const std::exception& exception) {
        Status status = StatusFromException(exception);
        return status.error().message.find(path) == std::string::npos ? status.Prepend("\"" + path + "\"") : status;
    }
}

// A value of a checkpoint as JSON. Strings that are not UTF-8 never come here: Parquet text is checked on reading.
iceberg::Json ToJson(const duckdb::Value& value) {
    if (value.IsNull()) return nullptr;
    switch (value.type().id()) {
        case LogicalTypeId::BOOLEAN: return value.GetValue<bool>();
        case LogicalTypeId::TINYINT:
        case LogicalTypeId::SMALLINT:
        case LogicalTypeId::INTEGER:
        case LogicalTypeId::BIGINT: return value.GetValue<int64_t>();
        case LogicalTypeId::FLOAT:
        case LogicalTypeId::DOUBLE: {
            const double number = value.GetValue<double>();
            return std::isfinite(number) ? iceberg::Json(number) : iceberg::Json(value.ToString());
        }
        case LogicalTypeId::VARCHAR: return std::string(duckdb::StringValue::Get(value));
        case LogicalTypeId::BLOB: return nullptr;
        case LogicalTypeId::STRUCT: {
            iceberg::Json object = iceberg::Json::object();
            const auto& children = duckdb::StructValue::GetChildren(value);
            for (size_t i = 0; i < children.size(); i++) {
                if (children[i].IsNull()) continue;
                object[std::string(duckdb::StructType::GetChildName(value.type(), i).GetIdentifierName())] =
                    ToJson(children[i]);
            }
            return object;
        }
        case LogicalTypeId::LIST: {
            iceberg::Json array = iceberg::Json::array();
            for (const auto& item : duckdb::ListValue::GetChildren(value)) array.push_back(ToJson(item));
            return array;
        }
        case LogicalTypeId::MAP: {
            iceberg::Json object = iceberg::Json::object();
            for (const auto& entry : duckdb::MapValue::GetChildren(value)) {
                const auto& pair = duckdb::StructValue::GetChildren(entry);
                object[pair[0].ToString()] = ToJson(pair[1]);
            }
            return object;
        }
        default: return value.ToString();
    }
}

}  // namespace

void ThrowError(const Error& error) {
    if (error.sqlstate == sqlstate::kQueryCanceled) throw duckdb::InterruptException();
    ThrowSqlError(error.sqlstate.c_str(), error.message, error.detail, error.hint);
}

Result<Bytes> LakeIo::ReadFile(const std::string& path) {
    return Guarded<Bytes>(path, [&]() -> Result<Bytes> {
        context_.InterruptCheck();
        auto handle = duckdb::FileSystem::GetFileSystem(context_).OpenFile(path, duckdb::FileFlags::FILE_FLAGS_READ);
        const auto size = static_cast<int64_t>(handle->GetFileSize());
        if (size > kMaxMetadataBytes) {
            return Status::Make(sqlstate::kProgramLimit, "\"" + path + "\" is too large for a table's metadata (" +
                                                             std::to_string(size) + " bytes)");
        }
        Bytes bytes(static_cast<size_t>(size));
        handle->Read(bytes.data(), bytes.size(), 0);
        return bytes;
    });
}

Result<Bytes> LakeIo::ReadRange(const std::string& path, int64_t offset, int64_t size) {
    return Guarded<Bytes>(path, [&]() -> Result<Bytes> {
        context_.InterruptCheck();
        auto handle = duckdb::FileSystem::GetFileSystem(context_).OpenFile(path, duckdb::FileFlags::FILE_FLAGS_READ);
        const auto total = static_cast<int64_t>(handle->GetFileSize());
        if (offset < 0 || size < 0 || offset > total || size > total - offset) {
            return Status::Corrupt("file \"" + path + "\" is shorter than the table's metadata says");
        }
        Bytes bytes(static_cast<size_t>(size));
        handle->Read(bytes.data(), bytes.size(), static_cast<duckdb::idx_t>(offset));
        return bytes;
    });
}

Result<bool> LakeIo::Exists(const std::string& path) {
    return Guarded<bool>(path, [&]() -> Result<bool> {
        context_.InterruptCheck();
        auto& files = duckdb::FileSystem::GetFileSystem(context_);
        if (lake::IsLocal(path)) return files.FileExists(path);
        // FileExists says no as well where a server does not answer, and a table would be taken for an older one.
        try {
            files.OpenFile(path, duckdb::FileFlags::FILE_FLAGS_READ);
            return true;
        } catch (const std::exception& exception) {
            const Status status = StatusFromException(exception);
            return status.error().sqlstate == sqlstate::kUndefinedFile ? Result<bool>(false) : status;
        }
    });
}

Result<std::vector<std::string>> LakeIo::List(const std::string& folder) {
    return Guarded<std::vector<std::string>>(folder, [&]() -> Result<std::vector<std::string>> {
        context_.InterruptCheck();
        auto& files = duckdb::FileSystem::GetFileSystem(context_);
        std::vector<std::string> found;
        files.ListFiles(folder, [&](const duckdb::string& name, bool is_folder) {
            if (is_folder) return;
            found.push_back(folder + "/" + name.substr(name.find_last_of('/') + 1));
        });
        return found;
    });
}

Result<int64_t> LakeIo::FileSize(const std::string& path) {
    return Guarded<int64_t>(path, [&]() -> Result<int64_t> {
        auto handle = duckdb::FileSystem::GetFileSystem(context_).OpenFile(path, duckdb::FileFlags::FILE_FLAGS_READ);
        return static_cast<int64_t>(handle->GetFileSize());
    });
}

Result<int64_t> LakeIo::ModifiedMs(const std::string& path) {
    return Guarded<int64_t>(path, [&]() -> Result<int64_t> {
        auto& files = duckdb::FileSystem::GetFileSystem(context_);
        auto handle = files.OpenFile(path, duckdb::FileFlags::FILE_FLAGS_READ);
        return files.GetLastModifiedTime(*handle).value / 1000;
    });
}

Status LakeIo::ReadRows(const std::string& path, const std::vector<std::string>& columns, const TakeRow& take) {
    std::vector<std::string> names;
    Status status;
    const auto prepare = [&](const duckdb::vector<duckdb::string>& has, const duckdb::vector<duckdb::LogicalType>&) {
        duckdb::vector<duckdb::column_t> wanted;
        for (size_t i = 0; i < has.size(); i++) {
            if (std::find(columns.begin(), columns.end(), has[i]) == columns.end()) continue;
            wanted.push_back(i);
            names.push_back(has[i]);
        }
        return wanted;
    };
    const auto rows = [&](duckdb::DataChunk& chunk) {
        for (size_t row = 0; row < chunk.size(); row++) {
            iceberg::Json object = iceberg::Json::object();
            for (size_t i = 0; i < names.size(); i++) {
                const duckdb::Value value = chunk.GetValue(i, row);
                if (!value.IsNull()) object[names[i]] = ToJson(value);
            }
            OkOrThrow(take(object));
        }
    };
    return Guarded<bool>(path,
                         [&]() -> Result<bool> {
                             ScanParquet(context_, ParquetFunction(context_), path, prepare, rows);
                             return true;
                         })
        .status();
}

const duckdb::TableFunction& ParquetFunction(duckdb::ClientContext& context) {
    auto& entry = duckdb::Catalog::GetEntry<duckdb::TableFunctionCatalogEntry>(
        context, duckdb::QualifiedName(SYSTEM_CATALOG, DEFAULT_SCHEMA, duckdb::Identifier("parquet_scan")));
    return *entry.functions.GetFunctionByOffset(0);  // the overload for one path
}

void ScanParquet(duckdb::ClientContext& context, const duckdb::TableFunction& function, const std::string& path,
                 const PrepareColumns& prepare, const TakeChunk& take) {
    duckdb::BoundTableFunction bound(function);
    duckdb::vector<duckdb::Value> arguments{duckdb::Value(path)};
    duckdb::named_argument_map_t options;
    options[duckdb::Identifier("hive_partitioning")] = duckdb::Value::BOOLEAN(false);
    duckdb::vector<duckdb::LogicalType> no_types;
    duckdb::vector<duckdb::Identifier> no_names;
    const duckdb::TableFunctionRef reference;
    duckdb::TableFunctionBindInput bind_input(arguments, options, no_types, no_names, bound.function_info.get(),
                                              nullptr, bound, reference);
    duckdb::vector<duckdb::LogicalType> types;
    duckdb::vector<duckdb::Identifier> identifiers;
    const auto bind_data = bound.bind(context, bind_input, types, identifiers);
    if (bound.get_virtual_columns) bound.get_virtual_columns(context, bind_data.get());  // row numbers are one
    duckdb::vector<duckdb::string> names;
    for (const auto& identifier : identifiers) names.push_back(identifier.GetIdentifierName());

    const duckdb::vector<duckdb::column_t> columns = prepare(names, types);
    if (columns.empty()) return;
    duckdb::vector<duckdb::LogicalType> column_types;
    for (const duckdb::column_t column : columns) {
        column_types.push_back(column < types.size() ? types[column] : duckdb::LogicalType::BIGINT);
    }
    duckdb::ThreadContext thread(context);
    duckdb::ExecutionContext execution(context, thread, nullptr);
    duckdb::TableFunctionInitInput init_input(bind_data.get(), columns, duckdb::vector<duckdb::idx_t>(), nullptr);
    const auto global = bound.init_global(context, init_input);
    const auto local = bound.init_local(execution, init_input, global.get());
    duckdb::DataChunk chunk;
    chunk.Initialize(context, column_types);
    while (true) {
        context.InterruptCheck();
        chunk.Reset();
        duckdb::TableFunctionInput input(bind_data.get(), local.get(), global.get());
        bound.function(context, input, chunk);
        if (chunk.size() > 0)
            take(chunk);
        else if (input.async_result.GetResultType() != duckdb::AsyncResultType::HAVE_MORE_OUTPUT)
            return;
    }
}

}  // namespace ivy::engine
