// SPDX-License-Identifier: Apache-2.0
//
// What the rest of pg_mooncake.so offers to src/capture, besides catalog.h.
//
// Processes: the mirror launcher (launcher.cc) keeps one capture worker per database; that one starts copy workers by
// StartCopyWorker. Both enter through functions of this module (worker.cc), which announce a capture worker in shared
// memory (so that backends can wake it by its latch and stop it by SIGTERM), connect to the database and then call
// capture::CaptureMain or capture::CopyMain. Signals when they are called: SIGTERM raises FATAL at the next
// CHECK_FOR_INTERRUPTS, SIGHUP sets ConfigReloadPending, SIGINT cancels.
//
// An ereport(ERROR) out of them ends the process. The launcher starts a capture worker again, at once the first time
// and then with growing pauses up to 10 s, unless it ended with exit code 0.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "postmaster/bgworker.h"
}

#include "pg_duckdb/src/api.h"

namespace ivy::mooncake {

// pg_duckdb's functions. Valid from _PG_init on.
const DuckdbApi& Api(void);

// Name of the replication slot of a database: "ivy_mooncake_<oid>". "name" has NAMEDATALEN bytes.
void SlotName(Oid database, char* name);

// A counter that rises after every commit that changed mooncake.mirrors or mooncake.dropped in a way that the capture
// worker must know (a mirror made, dropped, to be copied anew, failed). The worker's latch is set after it rose. For
// the capture worker's process only.
uint64 CatalogVersion(void);

// How often the capture worker of this process's database has failed in a row before this run.
int WorkerFailures(void);

// What a copy worker is to do.
struct CopyOrder {
    Oid mirror;
    int generation;
    uint64 number;  // MirrorOpen::copy_order: an order of this capture session, not of an earlier one
};

// Starts a copy worker, a process of its own in this database. The handle is palloc'ed; null if no background worker is
// free. The caller is notified (SIGUSR1, its latch) when it starts and ends.
BackgroundWorkerHandle* StartCopyWorker(const CopyOrder& order);

// Settings (see module.cc).
extern int max_retained_wal_mb;  // mooncake.max_retained_wal: the slot may hold back this much; -1 is no limit
extern int flush_interval_ms;    // mooncake.flush_interval: changes stay in memory for at most about this long
extern int target_file_size_mb;  // mooncake.target_file_size: of data files that others are rewritten into
extern int optimize_files;  // mooncake.optimize_files: so many small ones are rewritten together; 0: on request only
extern int optimize_deleted_percent;  // mooncake.optimize_deleted_percent: ...and those that have lost so many rows
extern int flush_size_mb;             // mooncake.flush_size: ...and at most about this many of one mirror
extern int copy_workers;              // mooncake.copy_workers: parallel workers of one copy
extern int member_rows_limit_kb;      // mooncake.partition_rows_limit; -1: none

}  // namespace ivy::mooncake
