// SPDX-License-Identifier: Apache-2.0
// _PG_init of pg_mooncake: settings, the link to pg_duckdb, hooks, and the mirror launcher.
#include "module.h"

#include "pg/postgres_api.h"

extern "C" {
#include "utils/guc.h"

PG_MODULE_MAGIC_EXT(.name = "pg_mooncake", .version = IVY_VERSION);
PGDLLEXPORT void _PG_init(void);
}

#include "ddl.h"
#include "launcher.h"
#include "mirror_access.h"
#include "pg/server_check.h"
#include "provider.h"
#include "worker.h"

namespace ivy::mooncake {

bool enable_bgworker = true;
int max_retained_wal_mb = 10 * 1024;
int flush_interval_ms = 60 * 1000;
int flush_size_mb = 256;
int copy_workers = 2;
int target_file_size_mb = 256;
int optimize_files = 10;
int optimize_deleted_percent = 25;
int member_rows_limit_kb = 1024 * 1024;
char* default_location = nullptr;

namespace {

constexpr int kMaxCopyWorkers = 64;

const DuckdbApi* api = nullptr;

void DefineSettings() {
    DefineCustomBoolVariable("pg_mooncake.enable_bgworker", "Runs the processes that keep mirrors up to date.",
                             "Off reduces pg_mooncake to reading: mirrors are neither made nor followed.",
                             &enable_bgworker, true, PGC_POSTMASTER, 0, nullptr, nullptr, nullptr);
    DefineCustomIntVariable(
        "mooncake.max_retained_wal", "Amount of WAL that the slot of a database's mirrors may hold back.",
        "Beyond it the mirrors are given up, their queries use the row tables, and they are copied "
        "anew. -1 means no limit.",
        &max_retained_wal_mb, 10 * 1024, -1, MAX_KILOBYTES, PGC_SIGHUP, GUC_UNIT_MB, nullptr, nullptr, nullptr);
    DefineCustomIntVariable(
        "mooncake.flush_interval",
        "Sets how long committed changes stay in the engine's memory before they go to files.",
        "Queries see changes at once; other readers of the Iceberg tables see them when they are in files. Short "
        "intervals make many small files.",
        &flush_interval_ms, 60 * 1000, 10, INT_MAX, PGC_SIGHUP, GUC_UNIT_MS, nullptr, nullptr, nullptr);
    DefineCustomIntVariable(
        "mooncake.flush_size", "Sets the amount of one mirror's committed changes in memory at which they go to files.",
        nullptr, &flush_size_mb, 256, 1, MAX_KILOBYTES, PGC_SIGHUP, GUC_UNIT_MB, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("mooncake.copy_workers", "Number of parallel workers that may help to copy a large table.",
                            "They are taken from those that \"max_parallel_workers\" allows.", &copy_workers, 2, 0,
                            kMaxCopyWorkers, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("mooncake.target_file_size",
                            "Sets the size of the data files that smaller ones are rewritten into.", nullptr,
                            &target_file_size_mb, 256, 1, 4096, PGC_SIGHUP, GUC_UNIT_MB, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("mooncake.optimize_files",
                            "Sets the number of small data files of a mirror at which they are rewritten together.",
                            "0 means that files are rewritten only by CALL mooncake.optimize.", &optimize_files, 10, 0,
                            10000, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("mooncake.optimize_deleted_percent",
                            "Sets the share of a data file's rows that must be deleted for the file to be rewritten.",
                            nullptr, &optimize_deleted_percent, 25, 1, 100, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
    DefineCustomIntVariable(
        "mooncake.partition_rows_limit",
        "Sets the size of a partition or child table up to which mirrors follow it row by row when it is attached, "
        "detached, dropped or truncated.",
        "For larger ones, and for one that leaves and is larger than all others together, the mirrors above are copied "
        "anew. -1 means that none is made because of its size, 0 that one is always made.",
        &member_rows_limit_kb, 1024 * 1024, -1, INT_MAX, PGC_USERSET, GUC_UNIT_KB, nullptr, nullptr, nullptr);
    DefineCustomStringVariable("mooncake.default_location", "Sets where new mirrors keep their files.",
                               "A local folder, or s3://bucket/prefix. Empty means the data directory. The option "
                               "\"location\" of mooncake.create_table goes before it.",
                               &default_location, "", PGC_SUSET, 0, nullptr, nullptr, nullptr);
    MarkGUCPrefixReserved("pg_mooncake");
    MarkGUCPrefixReserved("mooncake");  // pg_duckdb, loaded earlier, has defined its own by now
}

void ConnectToPgDuckdb() {
    api = static_cast<const DuckdbApi*>(*find_rendezvous_variable(kDuckdbApiName));
    if (!api) {
        ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                errmsg("pg_mooncake needs pg_duckdb to be loaded before it"),
                errhint("Set \"shared_preload_libraries\" to 'pg_duckdb,pg_mooncake' and restart the server."));
    }
    if (api->version < kDuckdbApiVersion || api->size < sizeof(DuckdbApi)) {
        ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("pg_duckdb is too old for this pg_mooncake"),
                errdetail("Its interface has version %d; version %d is needed.", api->version, kDuckdbApiVersion),
                errhint("Install both extensions from the same build."));
    }
}

}  // namespace

const DuckdbApi& Api(void) { return *api; }

}  // namespace ivy::mooncake

extern "C" {

void _PG_init(void) {
    ivy::pg::CheckServer("pg_mooncake");
    if (!process_shared_preload_libraries_in_progress) {
        ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                errmsg("pg_mooncake must be loaded at server start"),
                errhint("Set \"shared_preload_libraries\" to 'pg_duckdb,pg_mooncake' and restart the server."));
    }
    ivy::mooncake::DefineSettings();
    ivy::mooncake::ConnectToPgDuckdb();
    ivy::mooncake::InitLauncher(!IsBinaryUpgrade);
    ivy::mooncake::InitProvider();
    ivy::mooncake::InitDdl();
    ivy::mooncake::InitAccess();
}
}
