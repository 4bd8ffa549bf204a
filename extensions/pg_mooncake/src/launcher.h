// SPDX-License-Identifier: Apache-2.0
//
// The mirror launcher and what backends ask of it, through shared memory.
//
// The launcher is a static background worker without a database. It keeps one capture worker running for every database
// that is registered: durably by the replication slot "ivy_mooncake_<database oid>", at the server's start by the folder of
// its mirrors (a restored backup has no slots), or since then by RequestWorker. With pg_mooncake.enable_bgworker off it
// only guards the slots that there are (slot_guard.h). A worker that exits is started again, at once the first time and then with growing pauses up to 10 s;
// one that exits with code 0 is done for good (its extension is gone).
//
// DROP DATABASE and its like need a database without connections: they pause the worker until their transaction ends.
#pragma once

#include "pg/postgres_api.h"

namespace ivy::mooncake {

// In _PG_init: shared memory, transaction callback and, if wanted, the launcher itself.
void InitLauncher(bool register_launcher);

bool LauncherRunning(void);

// Registers a database and starts its worker, or wakes the worker that runs. Never raises an error.
void RequestWorker(Oid database);

enum class WorkerState : uint8_t {
    kNone,     // not registered, or paused
    kWaiting,  // not started yet, or between two attempts
    kRunning,
    kNoSlot,   // no background worker was free at the last attempt (max_worker_processes)
    kNoSpace,  // too many databases for the shared table (max_replication_slots)
};
WorkerState GetWorkerState(Oid database);

// Sleeps until some worker's state changes, or "ms" have passed. Interruptible.
void WaitForWorkerChange(int ms);
// To be called after a loop of WaitForWorkerChange.
void EndWaitForWorkerChange(void);

// At commit of this transaction: request the worker and raise CatalogVersion (see worker.h).
void WakeWorkerAtCommit(void);

// Stops the worker of a database, waits until it is gone, and keeps it from being started until the end of this
// transaction; "forget" then removes the registration if the transaction commits. An error if it does not stop in time.
void PauseWorker(Oid database, bool forget);

// In a capture worker, before anything else: makes it known, and its end. Exits if it is not to run (any more).
void AnnounceCaptureWorker(Oid database);

}  // namespace ivy::mooncake
