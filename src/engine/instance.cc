// SPDX-License-Identifier: Apache-2.0
// Instance: configuring DuckDB.
#include "engine/instance.h"

#include <unistd.h>

#include <duckdb.hpp>

#include <duckdb/main/extension/extension_loader.hpp>
#include <duckdb/main/valid_checker.hpp>
#include <duckdb/storage/buffer_manager.hpp>

#include <filesystem>

#include "engine/access_guard.h"
#include "engine/delta_scan.h"
#include "engine/error_map.h"
#include "engine/file_bytes.h"
#include "engine/file_scan.h"
#include "engine/functions.h"
#include "engine/inexact_guard.h"
#include "engine/lake_metadata.h"
#include "engine/lake_scan.h"
#include "engine/log.h"
#include "engine/mirror_storage.h"
#include "engine/row_source.h"
#include "engine/stored_numeric.h"
#include "engine/stored_numeric_filter.h"

namespace ivy::engine {
namespace {

// Settings that a query may choose for its own connection (Query.settings). All others are locked.
const char* const kSessionSettings[] = {"TimeZone", "Calendar", kTimeZoneSetting, "http_timeout",
                                        "http_retries"};  // httpfs brings the last two

void Configure(const Instance::Config& config, duckdb::DBConfig* duck) {
    duck->options.temporary_directory = config.temp_folder;
    if (config.memory_limit) duck->options.maximum_memory = config.memory_limit;
    if (config.temp_limit) duck->options.maximum_swap_space = config.temp_limit;
    if (config.threads > 0) duck->options.maximum_threads = static_cast<duckdb::idx_t>(config.threads);
    const auto set = [duck](const char* name, const duckdb::Value& value) {
        duck->SetOptionByName(duckdb::Identifier(name), value);
    };
    // Results get their order from ORDER BY alone, as in Postgres.
    set("preserve_insertion_order", false);
    set("default_null_order", "NULLS_LAST_ON_ASC_FIRST_ON_DESC");
    set("autoinstall_known_extensions", false);
    set("autoload_known_extensions", false);
}

void RegisterFunctions(duckdb::DatabaseInstance& database) {
    duckdb::ExtensionLoader loader(database, "ivy");
    RegisterFileBytes(loader);
    RegisterFileScan(loader);
    RegisterDeltaScan(loader);
    RegisterStoredNumeric(loader);
    RegisterRowSource(loader);
    RegisterLakeScans(loader);
    RegisterLakeMetadata(loader);
    RegisterScalarFunctions(loader);
    RegisterInexactGuard(database);
    RegisterStoredNumericFilter(database);
    RegisterAccessGuard(database);
}

// Settings of extensions exist only now. From here on SQL can change nothing but the session settings.
void Lock(duckdb::DatabaseInstance& database) {
    duckdb::Connection(database).Query("SET GLOBAL parquet_metadata_cache = true")->ThrowIfError();
    duckdb::DBConfig& config = duckdb::DBConfig::GetConfig(database);
    for (const char* name : kSessionSettings) config.AddAllowedConfig(duckdb::Identifier(name));
    config.SetOptionByName(duckdb::Identifier("lock_configuration"), true);
}

}  // namespace

Instance::Instance(std::unique_ptr<duckdb::DuckDB> database)
    : storage_(std::make_unique<MirrorStorage>()), database_(std::move(database)) {
    storage_->Register(*database_->instance);
}

Instance::~Instance() = default;

Result<std::unique_ptr<Instance>> Instance::Open(const Config& config) {
    std::error_code error;
    std::filesystem::remove_all(config.temp_folder, error);
    std::filesystem::create_directories(config.temp_folder, error);
    if (error) return Status::FromErrno("could not create folder \"" + config.temp_folder + "\"", error.value());
    try {
        duckdb::DBConfig duck;
        Configure(config, &duck);
        auto database = std::make_unique<duckdb::DuckDB>(nullptr, &duck);
        RegisterFunctions(*database->instance);
        Lock(*database->instance);
        return std::unique_ptr<Instance>(new Instance(std::move(database)));
    } catch (const std::exception& exception) {
        return StatusFromException(exception).Prepend("could not start DuckDB");
    }
}

duckdb::DatabaseInstance& Instance::database() { return *database_->instance; }

std::unique_ptr<duckdb::Connection> Instance::Connect() { return std::make_unique<duckdb::Connection>(*database_); }

Status Instance::LoadHttpfs() {
    std::lock_guard guard(httpfs_mutex_);
    if (httpfs_loaded_) return Status::Ok();
    try {
        const auto result = duckdb::Connection(*database_).Query("LOAD httpfs");
        if (result->HasError()) {
            const Error error = ErrorFromDuck(result->GetErrorObject());
            return Status::Make(
                sqlstate::kFeatureNotSupported,
                "network locations need DuckDB's extension httpfs, which could not be loaded", error.message,
                "Install the file httpfs.duckdb_extension of DuckDB " + std::string(duckdb::DuckDB::LibraryVersion()) +
                    "; Debian's package duckdb has it.");
        }
        // A busy server (429, 503) is asked nine times: with the extension's own factor of 4 that takes more than a minute.
        duckdb::DBConfig::GetConfig(*database_->instance)
            .SetOptionByName(duckdb::Identifier("http_retry_backoff"), duckdb::Value::FLOAT(1.5));
        httpfs_loaded_ = true;
        return Status::Ok();
    } catch (const std::exception& exception) {
        return StatusFromException(exception);
    }
}

Instance::Usage Instance::GetUsage() {
    const auto& buffers = database_->instance->GetBufferManager();
    Usage usage;
    usage.version = duckdb::DuckDB::LibraryVersion();
    usage.threads = database_->NumberOfThreads();
    usage.memory_used = buffers.GetUsedMemory();
    usage.memory_limit = buffers.GetMaxMemory();
    usage.temp_used = buffers.GetUsedSwap();
    return usage;
}

void Instance::ExitIfBroken() {
    auto& checker = duckdb::ValidChecker::Get(*database_->instance);
    if (!checker.IsInvalidated()) return;
    Log(LogLevel::kFatal, "DuckDB can't go on: " + checker.InvalidatedMessage());
    _exit(1);
}

}  // namespace ivy::engine
