// SPDX-License-Identifier: Apache-2.0
// Instance: configuring DuckDB.
#include "engine/instance.h"

#include <duckdb.hpp>

#include <cerrno>
#include <filesystem>

#include "engine/error_map.h"

namespace ivy::engine {
namespace {

// Settings that a query may choose for its own connection (Query.settings, and profiling).
constexpr const char* kSessionSettings[] = {"TimeZone", "Calendar", "enable_profiling", "profiling_mode",
                                            "profiling_coverage"};

}  // namespace

Instance::Instance(std::unique_ptr<duckdb::DuckDB> database) : database_(std::move(database)) {}

Instance::~Instance() = default;

Result<std::unique_ptr<Instance>> Instance::Open(const Config& config) {
    std::error_code error;
    std::filesystem::remove_all(config.temp_folder, error);
    std::filesystem::create_directories(config.temp_folder, error);
    if (error) return Status::FromErrno("could not create folder \"" + config.temp_folder + "\"", error.value());
    try {
        duckdb::DBConfig duck;
        duck.options.temporary_directory = config.temp_folder;
        if (config.memory_limit) duck.options.maximum_memory = config.memory_limit;
        if (config.temp_limit) duck.options.maximum_swap_space = config.temp_limit;
        if (config.threads > 0) duck.options.maximum_threads = static_cast<duckdb::idx_t>(config.threads);
        const auto set = [&duck](const char* name, duckdb::Value value) {
            duck.SetOptionByName(duckdb::Identifier(name), value);
        };
        // Results get their order from ORDER BY alone, as in Postgres.
        set("preserve_insertion_order", false);
        set("default_null_order", "NULLS_LAST_ON_ASC_FIRST_ON_DESC");
        set("autoinstall_known_extensions", false);
        set("autoload_known_extensions", false);
        set("enable_external_access", false);
        set("parquet_metadata_cache", true);
        auto database = std::make_unique<duckdb::DuckDB>(nullptr, &duck);
        return std::unique_ptr<Instance>(new Instance(std::move(database)));
    } catch (const std::exception& exception) {
        return StatusFromException(exception).Prepend("could not start DuckDB");
    }
}

std::unique_ptr<duckdb::Connection> Instance::Connect() { return std::make_unique<duckdb::Connection>(*database_); }

Status Instance::AllowFolder(const std::string& folder) {
    try {
        duckdb::DBConfig::GetConfig(*database_->instance).AddAllowedDirectory(folder);
        return Status::Ok();
    } catch (const std::exception& exception) {
        return StatusFromException(exception);
    }
}

}  // namespace ivy::engine
