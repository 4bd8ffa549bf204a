// SPDX-License-Identifier: Apache-2.0
// The read path's settings.
#include "settings.h"

#include <unistd.h>

extern "C" {
#include "utils/guc.h"
}

namespace ivy::duck {

int max_memory_mb;
int threads;
int engine_idle_timeout_s;
bool fallback;
int freshness_timeout_ms;
int engine_timeout_ms;
int execution;
char* lake_network_role;
int http_timeout_s;
int http_retries;

namespace {

bool allow_community_extensions;

constexpr int kMinMemoryMb = 64;
constexpr int kMaxDefaultMemoryMb = 64 * 1024;

const config_enum_entry kExecutionOptions[] = {
    {"on", kExecutionWhole, false},
    {"off", kExecutionRow, false},
    {"whole", kExecutionWhole, true},
    {"split", kExecutionSplit, false},
    {"scan", kExecutionScan, false},
    {"row", kExecutionRow, true},
    {nullptr, 0, false},
};

// A container's memory limit in bytes, or UINT64_MAX.
uint64 ContainerLimit() {
    for (const char* name : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
        FILE* file = fopen(name, "r");
        if (!file) continue;
        char text[32] = "";
        const bool read = fgets(text, sizeof text, file) != nullptr;
        fclose(file);
        const uint64 limit = read ? strtoull(text, nullptr, 10) : 0;  // "max" is 0
        return limit > 0 ? limit : UINT64_MAX;
    }
    return UINT64_MAX;
}

// A quarter of the memory: the server's own buffers and the page cache need the rest.
int DefaultMemoryMb() {
    const uint64 machine = static_cast<uint64>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64>(sysconf(_SC_PAGESIZE));
    const uint64 quarter_mb = Min(machine, ContainerLimit()) / 4 / (1024 * 1024);
    return static_cast<int>(Min(Max(quarter_mb, static_cast<uint64>(256)), static_cast<uint64>(kMaxDefaultMemoryMb)));
}

int DefaultThreads() {
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return static_cast<int>(Min(Max(cores, 1L), 1024L));
}

}  // namespace

void DefineSettings() {
    DefineCustomIntVariable("duckdb.max_memory", "Sets the memory that the columnar engine of a database may use.",
                            "Takes effect when the engine next starts.", &max_memory_mb, DefaultMemoryMb(),
                            kMinMemoryMb, INT_MAX, PGC_SIGHUP, GUC_UNIT_MB, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("duckdb.threads", "Sets the number of threads of the columnar engine of a database.",
                            "Takes effect when the engine next starts.", &threads, DefaultThreads(), 1, 1024,
                            PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("duckdb.engine_idle_timeout",
                            "Sets how long a columnar engine without mirrors may be idle before it is stopped.",
                            "0 means that it is never stopped.", &engine_idle_timeout_s, 600, 0, INT_MAX / 1000,
                            PGC_SIGHUP, GUC_UNIT_S, nullptr, nullptr, nullptr);
    DefineCustomBoolVariable("duckdb.allow_community_extensions", "Allows DuckDB extensions that are not DuckDB's own.",
                             "The engine never installs an extension by itself.", &allow_community_extensions, false,
                             PGC_SUSET, 0, nullptr, nullptr, nullptr);
    DefineCustomBoolVariable(
        "mooncake.fallback", "Runs a query on the row table where its mirror can't serve it exactly.",
        "If off, such a query fails and says why.", &fallback, true, PGC_USERSET, 0, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("mooncake.freshness_timeout",
                            "Sets how long a query waits for the mirror to receive what was committed before.",
                            "After that the query runs on the row table.", &freshness_timeout_ms, 10000, 0, INT_MAX,
                            PGC_USERSET, GUC_UNIT_MS, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("mooncake.engine_timeout",
                            "Sets how long a query waits for a columnar engine that is starting.",
                            "After that the query runs on the row table.", &engine_timeout_ms, 5000, 0, INT_MAX,
                            PGC_USERSET, GUC_UNIT_MS, nullptr, nullptr, nullptr);
    DefineCustomEnumVariable("mooncake.execution", "Sets what the columnar engine may run of a query on mirrors.",
                             "\"split\" and \"scan\" leave more of it to the server, \"off\" leaves all of it.",
                             &execution, kExecutionWhole, kExecutionOptions, PGC_USERSET, 0, nullptr, nullptr, nullptr);
    DefineCustomStringVariable("duckdb.lake_network_role",
                               "Sets the role whose members may read and write files at network locations.",
                               "Superusers always may; \"public\" means everyone.", &lake_network_role,
                               "mooncake_network", PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("duckdb.http_timeout", "Sets how long a server at a network location may take to answer.",
                            "It is then asked again, \"duckdb.http_retries\" times.", &http_timeout_s, 30, 1, 24 * 3600,
                            PGC_USERSET, GUC_UNIT_S, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("duckdb.http_retries",
                            "Sets how often a server at a network location is asked again after a failure.", nullptr,
                            &http_retries, 3, 0, 100, PGC_USERSET, 0, nullptr, nullptr, nullptr);
    // The prefix "mooncake" is shared with pg_mooncake, which is loaded later and reserves it.
    MarkGUCPrefixReserved("duckdb");
}

}  // namespace ivy::duck
