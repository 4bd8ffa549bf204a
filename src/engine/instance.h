// SPDX-License-Identifier: Apache-2.0
//
// Instance: the one DuckDB of the engine, shared by all sessions: one memory limit, one pool of threads, one set of
// caches. It has no database file; temporary results spill to a folder of the engine's own.
//
// The configuration is closed: DuckDB installs no extensions and keeps SQL from changing any setting but those a query
// may choose. What files the queries of clients may touch is decided query by query (access_guard.h).
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "base/status.h"

namespace duckdb {
class Connection;
class DatabaseInstance;
class DuckDB;
}  // namespace duckdb

namespace ivy::engine {

class MirrorStorage;

class Instance {
  public:
    struct Config {
        std::string temp_folder;    // for spilling; made if missing, emptied of what a crashed engine left there
        uint64_t memory_limit = 0;  // bytes; 0: DuckDB's default, 80% of the machine's memory
        uint64_t temp_limit = 0;    // bytes in temp_folder; 0: DuckDB's default, 90% of the free space
        int threads = 0;            // 0: one a core
    };
    static Result<std::unique_ptr<Instance>> Open(const Config& config);
    ~Instance();

    duckdb::DatabaseInstance& database();
    MirrorStorage& storage() { return *storage_; }  // of mirrors in object stores
    // A connection with its own settings and transaction, for one thread at a time. Throws only if out of memory.
    std::unique_ptr<duckdb::Connection> Connect();

    // Loads DuckDB's extension for network locations (s3://, https:// and so on) from disk, the first time that it is
    // called. An error says what is missing. Any thread.
    Status LoadHttpfs();

    struct Usage {
        std::string version;  // DuckDB's
        uint64_t threads = 0;
        uint64_t memory_used = 0;  // bytes
        uint64_t memory_limit = 0;
        uint64_t temp_used = 0;  // bytes spilled
    };
    Usage GetUsage();

    // Ends the process if DuckDB met an error after which it refuses all work ("database has been invalidated"): the
    // launcher starts a new engine, and changes are replayed.
    void ExitIfBroken();

  private:
    explicit Instance(std::unique_ptr<duckdb::DuckDB> database);

    const std::unique_ptr<MirrorStorage> storage_;  // outlives the database, whose file system looks into it
    std::unique_ptr<duckdb::DuckDB> database_;
    std::mutex httpfs_mutex_;
    bool httpfs_loaded_ = false;
};

}  // namespace ivy::engine
