// SPDX-License-Identifier: Apache-2.0
//
// The read path's settings. Plain variables of the server's setting machinery: read them, never write them.
#pragma once

#include "pg/postgres_api.h"

namespace ivy::duck {

// The highest level at which queries on mirrors may run. For tests and for comparing plans.
enum Execution : int {
    kExecutionRow,    // on the row tables
    kExecutionScan,   // the engine scans, Postgres does the rest
    kExecutionSplit,  // the engine runs the lower part of a query that it can't run whole
    kExecutionWhole,  // the engine runs all that it can
};

extern int max_memory_mb;          // duckdb.max_memory: of each database's engine
extern int threads;                // duckdb.threads: of each database's engine
extern int engine_idle_timeout_s;  // duckdb.engine_idle_timeout; 0: never stop
extern bool fallback;              // mooncake.fallback
extern int freshness_timeout_ms;   // mooncake.freshness_timeout
extern int engine_timeout_ms;      // mooncake.engine_timeout: wait for an engine that is starting
extern char* lake_network_role;    // duckdb.lake_network_role: whose members may use network locations
extern int http_timeout_s;         // duckdb.http_timeout: for a server's answer at a network location
extern int http_retries;           // duckdb.http_retries: how often it is asked again
extern int execution;              // mooncake.execution

// Call in _PG_init.
void DefineSettings();

}  // namespace ivy::duck
