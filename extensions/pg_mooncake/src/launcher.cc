// SPDX-License-Identifier: Apache-2.0
//
// The mirror launcher, the table in shared memory through which backends reach it, and how a capture worker announces
// itself.
//
// One entry per database, protected by one lightweight lock that is held for moments only. Who writes what: backends
// set "wanted" and "pauses", the launcher "starting" and the outcome of an attempt, the worker itself its pid when it
// comes and, in an exit callback, the end of its run. An entry whose worker is gone for good is freed.
//
// Crash behaviour: when any process with shared memory dies hard, the postmaster starts everything afresh, and the
// registrations come back from the replication slots. When only the launcher fails, the postmaster starts it again in a
// second; running workers go on, and the new launcher sees them in the table.
#include "launcher.h"

extern "C" {
#include "access/xlog.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "replication/slot.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/procsignal.h"
#include "storage/shmem.h"
#include "tcop/tcopprot.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

PGDLLEXPORT void mooncake_launcher_main(Datum argument);
}

#include "module.h"
#include "slot_guard.h"
#include "worker.h"

namespace ivy::mooncake {
namespace {

constexpr int kIdleMs = 60 * 1000;        // the launcher looks at the slots at least this often...
constexpr int kIdleSlotMs = 5 * 1000;     // ...or this, while there is one that no worker watches
constexpr int kMaxPauseMs = 10 * 1000;    // between two attempts
constexpr int kFirstPauseMs = 100;        // after the second failure in a row; doubled with each further one
constexpr int kHealthyRunMs = 60 * 1000;  // a run this long ends a series of failures
constexpr int kStopTimeoutMs = 30 * 1000;

struct Entry {
    Oid database;            // InvalidOid: free
    bool wanted;             // the worker is to run
    int pauses;              // transactions that keep it from running
    bool starting;           // registered with the postmaster, has not announced itself yet
    bool no_slot;            // the last attempt failed for lack of a background worker
    pid_t pid;               // of the running worker, or 0
    int failures;            // in a row
    TimestampTz not_before;  // of the next attempt
    TimestampTz started;     // of the current run
    uint64 requests;         // raised by RequestWorker
    uint64 seen_requests;    // the value when the current run began
    uint64 catalog_version;
    Latch* latch;  // of the running worker
};

struct SharedState {
    pid_t launcher_pid;  // 0: not running
    bool launched;       // it has run since the server's start
    Latch* launcher_latch;
    ConditionVariable changed;
    int capacity;
    Entry entries[FLEXIBLE_ARRAY_MEMBER];
};

SharedState* shared = nullptr;
LWLock* lock = nullptr;
Entry* my_entry = nullptr;  // in a capture worker

shmem_request_hook_type previous_shmem_request = nullptr;
shmem_startup_hook_type previous_shmem_startup = nullptr;

// What this backend's transaction has asked for.
bool wake_at_commit = false;
struct Pause {
    Oid database;
    bool forget;
};
Pause pauses[8];
int pause_count = 0;

constexpr char kTranche[] = "pg_mooncake";

// At most one slot a database, so never more databases than slots.
int Capacity() { return Max(max_replication_slots, 1); }
Size SharedSize() { return offsetof(SharedState, entries) + sizeof(Entry) * Capacity(); }

// REQUIRES: lock held.
Entry* FindEntry(Oid database) {
    for (int i = 0; i < shared->capacity; i++) {
        if (shared->entries[i].database == database) return &shared->entries[i];
    }
    return nullptr;
}

// REQUIRES: lock held exclusively.
Entry* FindOrMakeEntry(Oid database) {
    if (Entry* entry = FindEntry(database)) return entry;
    Entry* entry = FindEntry(InvalidOid);
    if (entry) {
        *entry = Entry{};
        entry->database = database;
    }
    return entry;
}

// REQUIRES: lock held exclusively.
void FreeIfUnused(Entry* entry) {
    if (!entry->wanted && entry->pauses == 0 && entry->pid == 0 && !entry->starting) *entry = Entry{};
}

// REQUIRES: lock held.
void WakeLauncher() {
    if (shared->launcher_latch) SetLatch(shared->launcher_latch);
}

void RequestShmem() {
    if (previous_shmem_request) previous_shmem_request();
    RequestAddinShmemSpace(SharedSize());
    RequestNamedLWLockTranche(kTranche, 1);
}

void StartupShmem() {
    if (previous_shmem_startup) previous_shmem_startup();
    bool found;
    LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
    shared = static_cast<SharedState*>(ShmemInitStruct(kTranche, SharedSize(), &found));
    if (!found) {
        memset(shared, 0, SharedSize());
        shared->capacity = Capacity();
        ConditionVariableInit(&shared->changed);
    }
    lock = &GetNamedLWLockTranche(kTranche)->lock;
    LWLockRelease(AddinShmemInitLock);
}

// --- transactions ----------------------------------------------------------------------------------------------------

// Returns whether this database was forgotten.
bool EndPauses(bool committed) {
    bool forgotten = false;
    if (pause_count == 0) return forgotten;
    LWLockAcquire(lock, LW_EXCLUSIVE);
    for (int i = 0; i < pause_count; i++) {
        Entry* entry = FindEntry(pauses[i].database);
        if (committed && pauses[i].forget && pauses[i].database == MyDatabaseId) forgotten = true;
        if (!entry) continue;
        entry->pauses--;
        if (committed && pauses[i].forget) entry->wanted = false;
        FreeIfUnused(entry);
    }
    WakeLauncher();
    LWLockRelease(lock);
    pause_count = 0;
    return forgotten;
}

void EndOfTransaction(XactEvent event, void*) {
    switch (event) {
        case XACT_EVENT_PRE_PREPARE:
            if (wake_at_commit) {
                ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("cannot PREPARE a transaction that has made, changed or dropped a mirror"));
            }
            break;
        case XACT_EVENT_COMMIT:
            // Mirrors that went with the extension are nobody's business any more.
            if (!EndPauses(true) && wake_at_commit) RequestWorker(MyDatabaseId);
            wake_at_commit = false;
            break;
        case XACT_EVENT_ABORT:
        case XACT_EVENT_PREPARE:
            EndPauses(false);
            wake_at_commit = false;
            break;
        default: break;
    }
}

// --- the launcher ----------------------------------------------------------------------------------------------------

// Attempts whose workers have not announced themselves yet, of this launcher's life.
struct Attempt {
    Oid database;
    BackgroundWorkerHandle* handle;
};
List* attempts = NIL;

void LauncherExit(int, Datum) {
    LWLockAcquire(lock, LW_EXCLUSIVE);
    shared->launcher_pid = 0;
    shared->launcher_latch = nullptr;
    LWLockRelease(lock);
}

// Registers a database that has a slot, or the folder of mirrors. A paused worker's slot may be about to go.
void Register(Oid database) {
    LWLockAcquire(lock, LW_EXCLUSIVE);
    Entry* entry = FindOrMakeEntry(database);
    if (entry && entry->pauses == 0) entry->wanted = true;
    LWLockRelease(lock);
}

// Looks at the slots. Returns milliseconds until they are to be looked at again.
long AttendSlots() {
    int count = 0;
    SlotOwner* slots = ListSlots(&count);
    bool idle = false;
    for (int i = 0; i < count; i++) {
        idle = idle || slots[i].idle;
        if (enable_bgworker) Register(slots[i].database);
    }
    GiveUpIdleSlots(slots, count);
    pfree(slots);
    return idle ? kIdleSlotMs : kIdleMs;
}

// After a run or an attempt that failed. REQUIRES: lock held exclusively.
void NoteFailure(Entry* entry) {
    const TimestampTz now = GetCurrentTimestamp();
    if (entry->started != 0 && TimestampDifferenceExceeds(entry->started, now, kHealthyRunMs)) entry->failures = 0;
    const int pause = entry->failures == 0 ? 0 : Min(kMaxPauseMs, kFirstPauseMs << Min(entry->failures - 1, 10));
    entry->not_before = TimestampTzPlusMilliseconds(now, pause);
    entry->failures++;
    entry->started = 0;
}

// Looks for attempts that ended before the worker could announce itself.
void CheckAttempts() {
    ListCell* cell;
    foreach (cell, attempts) {
        auto* attempt = static_cast<Attempt*>(lfirst(cell));
        pid_t pid;
        const BgwHandleStatus status = GetBackgroundWorkerPid(attempt->handle, &pid);
        LWLockAcquire(lock, LW_EXCLUSIVE);
        Entry* entry = FindEntry(attempt->database);
        const bool announced = !entry || !entry->starting;
        if (!announced && status == BGWH_STOPPED) {
            entry->starting = false;
            NoteFailure(entry);
            FreeIfUnused(entry);
        }
        LWLockRelease(lock);
        if (announced || status == BGWH_STOPPED) {
            ConditionVariableBroadcast(&shared->changed);
            attempts = foreach_delete_current(attempts, cell);
            pfree(attempt->handle);
            pfree(attempt);
        }
    }
}

void StartOne(Oid database) {
    BackgroundWorker worker;
    memset(&worker, 0, sizeof worker);
    pg_snprintf(worker.bgw_name, BGW_MAXLEN, "pg_mooncake capture of database %u", database);
    strlcpy(worker.bgw_type, "pg_mooncake capture", BGW_MAXLEN);
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    strlcpy(worker.bgw_library_name, "pg_mooncake", MAXPGPATH);
    strlcpy(worker.bgw_function_name, "mooncake_capture_main", BGW_MAXLEN);
    worker.bgw_main_arg = ObjectIdGetDatum(database);
    worker.bgw_restart_time = BGW_NEVER_RESTART;
    worker.bgw_notify_pid = MyProcPid;

    BackgroundWorkerHandle* handle = nullptr;
    const bool registered = RegisterDynamicBackgroundWorker(&worker, &handle);
    bool report = false;
    LWLockAcquire(lock, LW_EXCLUSIVE);
    if (Entry* entry = FindEntry(database)) {
        report = !registered && !entry->no_slot;
        entry->no_slot = !registered;
        if (!registered) {
            entry->starting = false;
            NoteFailure(entry);
        }
    }
    LWLockRelease(lock);
    if (registered) {
        auto* attempt = static_cast<Attempt*>(palloc(sizeof(Attempt)));
        *attempt = {database, handle};
        attempts = lappend(attempts, attempt);
    } else if (report) {
        ereport(LOG, errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
                errmsg("no background worker is free for the mirrors of database %u", database),
                errdetail("Queries on its mirrors use the row tables until one is."),
                errhint("You might need to increase \"max_worker_processes\"."));
    }
    ConditionVariableBroadcast(&shared->changed);
}

// Starts what is due. Returns milliseconds until something else will be.
long StartWorkers() {
    long wait = kIdleMs;
    for (int i = 0; i < shared->capacity; i++) {
        Oid due = InvalidOid;
        LWLockAcquire(lock, LW_EXCLUSIVE);
        Entry* entry = &shared->entries[i];
        if (OidIsValid(entry->database) && entry->wanted && entry->pauses == 0 && entry->pid == 0 && !entry->starting) {
            const long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), entry->not_before);
            if (left <= 0) {
                entry->starting = true;
                due = entry->database;
            } else {
                wait = Min(wait, left);
            }
        }
        LWLockRelease(lock);
        if (OidIsValid(due)) {
            StartOne(due);
            wait = Min(wait, kFirstPauseMs);
        }
    }
    return wait;
}

void RunLauncher() {
    // "starting" entries of a launcher that died can't be followed up: their workers have announced themselves by now,
    // or never will.
    LWLockAcquire(lock, LW_EXCLUSIVE);
    for (int i = 0; i < shared->capacity; i++) shared->entries[i].starting = false;
    shared->launcher_pid = MyProcPid;
    shared->launcher_latch = MyLatch;
    const bool first = !shared->launched;
    shared->launched = true;
    LWLockRelease(lock);
    before_shmem_exit(LauncherExit, Datum{0});
    if (first) RemoveForsakenFolders();

    const bool can_decode = wal_level >= WAL_LEVEL_LOGICAL;
    if (!can_decode && enable_bgworker) {
        ereport(LOG, errmsg("mirrors are not kept up to date because \"wal_level\" is not \"logical\""),
                errhint("Set \"wal_level\" to \"logical\" and restart the server."));
    }
    if (can_decode && enable_bgworker) {
        ListCell* cell;
        foreach (cell, DatabasesWithFolders()) Register(lfirst_oid(cell));
    }
    while (!ShutdownRequestPending) {
        ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
        if (ConfigReloadPending) {
            ConfigReloadPending = false;
            ProcessConfigFile(PGC_SIGHUP);
        }
        long wait = kIdleMs;
        if (can_decode) {
            CheckAttempts();
            wait = AttendSlots();
            if (enable_bgworker) wait = Min(wait, StartWorkers());
        }
        WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, wait, PG_WAIT_EXTENSION);
    }
}

// --- the capture worker's frame --------------------------------------------------------------------------------------

void CaptureExit(int code, Datum) {
    LWLockAcquire(lock, LW_EXCLUSIVE);
    my_entry->pid = 0;
    my_entry->latch = nullptr;
    if (code == 0 && my_entry->requests == my_entry->seen_requests) {
        my_entry->wanted = false;
    } else {
        NoteFailure(my_entry);
    }
    FreeIfUnused(my_entry);
    WakeLauncher();
    LWLockRelease(lock);
    ConditionVariableBroadcast(&shared->changed);
    my_entry = nullptr;
}

}  // namespace

void AnnounceCaptureWorker(Oid database) {
    LWLockAcquire(lock, LW_EXCLUSIVE);
    Entry* entry = FindEntry(database);
    const bool allowed = entry && entry->wanted && entry->pauses == 0 && entry->pid == 0;
    if (entry && entry->pid == 0) {
        entry->starting = false;
        if (allowed) {
            entry->pid = MyProcPid;
            entry->latch = MyLatch;
            entry->started = GetCurrentTimestamp();
            entry->seen_requests = entry->requests;
            my_entry = entry;
        } else {
            FreeIfUnused(entry);
        }
    }
    WakeLauncher();
    LWLockRelease(lock);
    ConditionVariableBroadcast(&shared->changed);
    if (!allowed) proc_exit(1);
    // Late among the exit callbacks: when the entry says that the worker is gone, its slot has been released.
    on_shmem_exit(CaptureExit, Datum{0});
}

void InitLauncher(bool register_launcher) {
    previous_shmem_request = shmem_request_hook;
    shmem_request_hook = RequestShmem;
    previous_shmem_startup = shmem_startup_hook;
    shmem_startup_hook = StartupShmem;
    RegisterXactCallback(EndOfTransaction, nullptr);
    if (!register_launcher) return;

    BackgroundWorker worker;
    memset(&worker, 0, sizeof worker);
    strlcpy(worker.bgw_name, "pg_mooncake launcher", BGW_MAXLEN);
    strlcpy(worker.bgw_type, "pg_mooncake launcher", BGW_MAXLEN);
    strlcpy(worker.bgw_library_name, "pg_mooncake", MAXPGPATH);
    strlcpy(worker.bgw_function_name, "mooncake_launcher_main", BGW_MAXLEN);
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS;
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = 1;
    RegisterBackgroundWorker(&worker);
}

bool LauncherRunning(void) {
    LWLockAcquire(lock, LW_SHARED);
    const bool running = enable_bgworker && shared->launcher_pid != 0;
    LWLockRelease(lock);
    return running;
}

void RequestWorker(Oid database) {
    LWLockAcquire(lock, LW_EXCLUSIVE);
    if (Entry* entry = FindOrMakeEntry(database)) {
        entry->wanted = true;
        entry->requests++;
        entry->catalog_version++;
        entry->not_before = 0;
        if (entry->latch) {
            SetLatch(entry->latch);
        } else {
            WakeLauncher();
        }
    }
    LWLockRelease(lock);
}

WorkerState GetWorkerState(Oid database) {
    WorkerState state = WorkerState::kNone;
    LWLockAcquire(lock, LW_SHARED);
    if (const Entry* entry = FindEntry(database)) {
        if (entry->pid != 0) {
            state = WorkerState::kRunning;
        } else if (entry->no_slot) {
            state = WorkerState::kNoSlot;
        } else if (entry->wanted && entry->pauses == 0) {
            state = WorkerState::kWaiting;
        }
    } else if (!FindEntry(InvalidOid)) {
        state = WorkerState::kNoSpace;
    }
    LWLockRelease(lock);
    return state;
}

void WaitForWorkerChange(int ms) { ConditionVariableTimedSleep(&shared->changed, ms, PG_WAIT_EXTENSION); }
void EndWaitForWorkerChange(void) { ConditionVariableCancelSleep(); }

void WakeWorkerAtCommit(void) { wake_at_commit = true; }

void PauseWorker(Oid database, bool forget) {
    for (int i = 0; i < pause_count; i++) {
        if (pauses[i].database == database) {
            pauses[i].forget = pauses[i].forget || forget;
            return;
        }
    }
    if (pause_count == static_cast<int>(lengthof(pauses))) {
        ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("too many databases are being changed at once"));
    }
    LWLockAcquire(lock, LW_EXCLUSIVE);
    Entry* entry = FindOrMakeEntry(database);
    if (entry) entry->pauses++;
    LWLockRelease(lock);
    if (!entry) return;  // no room for it, so no worker either
    pauses[pause_count++] = {database, forget};

    const TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), kStopTimeoutMs);
    bool signalled = false;
    for (;;) {
        LWLockAcquire(lock, LW_SHARED);
        const pid_t pid = entry->pid;
        const bool gone = pid == 0 && !entry->starting;
        LWLockRelease(lock);
        if (gone) break;
        if (pid != 0 && !signalled) {
            kill(pid, SIGTERM);
            signalled = true;
        }
        if (GetCurrentTimestamp() > deadline) {
            EndWaitForWorkerChange();
            ereport(ERROR, errcode(ERRCODE_OBJECT_IN_USE),
                    errmsg("the capture worker of database %u did not stop in time", database),
                    errhint("Try again later."));
        }
        WaitForWorkerChange(100);
    }
    EndWaitForWorkerChange();
}

int WorkerFailures(void) {
    LWLockAcquire(lock, LW_SHARED);
    const int failures = my_entry ? my_entry->failures : 0;
    LWLockRelease(lock);
    return failures;
}

uint64 CatalogVersion(void) {
    LWLockAcquire(lock, LW_SHARED);
    const uint64 version = my_entry ? my_entry->catalog_version : 0;
    LWLockRelease(lock);
    return version;
}

}  // namespace ivy::mooncake

extern "C" {

void mooncake_launcher_main(Datum) {
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
    BackgroundWorkerUnblockSignals();
    ivy::mooncake::RunLauncher();
    proc_exit(1);  // 0 would mean "never again", and it may not be the server's end but somebody's pg_terminate_backend
}
}
