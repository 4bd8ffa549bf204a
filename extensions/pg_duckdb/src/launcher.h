// SPDX-License-Identifier: Apache-2.0
//
// The engine launcher: one background worker that starts, restarts and stops the engines of this server's databases.
//
// Whoever needs an engine says so in shared memory and sets the launcher's latch. The launcher forks and executes
// ivy_engine, found in the folder of this module, and keeps the other end of its lifeline (protocol/engine_process.h).
// An engine that dies is started again at once, and with growing pauses when it dies again and again. An engine that
// nobody wants to keep and nobody has used for duckdb.engine_idle_timeout is stopped. If the launcher itself ends, for
// whatever reason, the lifelines close and the engines end with it.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "datatype/timestamp.h"
}

namespace ivy::duck {

// Registers the worker and its shared memory. Call in _PG_init while preloading.
void InitLauncher();

// With "keep": asks for the engine of a database, which then stays up although idle. Without: gives it up; it stops as
// soon as no query uses it, and is started again when one needs it. Returns at once.
void RequestEngine(Oid database, bool keep);

struct EngineInfo {
    Oid database;
    int pid;            // 0 if there is none
    const char* state;  // static text
    bool keep;
    int connections;  // in use now
    int failures;     // in a row
    TimestampTz started_at;
};

// Copies what the launcher knows of at most "size" engines. Returns their number.
int ListEngines(EngineInfo* out, int size);

// Upper limit of the number of engines, that is, of databases with one.
inline constexpr int kMaxEngines = 256;

}  // namespace ivy::duck
