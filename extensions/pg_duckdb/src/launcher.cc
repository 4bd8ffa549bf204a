// SPDX-License-Identifier: Apache-2.0
//
// The engine launcher. Slots in shared memory are changed under one lock; what only the launcher needs to know of an
// engine is in its own memory, and lost with it, as the engines are.
#include "launcher.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "pg/database_folder.h"
#include "pg/engine_client.h"
#include "protocol/engine_process.h"
#include "settings.h"

extern "C" {
#include "libpq/pqsignal.h"
#include "port/atomics.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/guc.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

PGDLLEXPORT void IvyEngineLauncherMain(Datum);
}

namespace ivy::duck {

namespace {

constexpr char kFolder[] = "pg_duckdb";
constexpr char kTranche[] = "pg_duckdb";
constexpr char kProgram[] = "ivy_engine";

constexpr int kStartPollMs = 20;      // how often a starting engine is looked at
constexpr int kFirstBackoffMs = 100;  // before the second restart in a row; doubles with each
constexpr int kLastBackoffMs = 10000;
constexpr int kMaxUnaskedStarts = 5;  // in a row, of an engine that nobody has asked for since
constexpr int kStableMs = 30000;      // an engine that lived this long has started well
constexpr int kStopMs = 1000;         // time for an engine to end by itself
constexpr int kExitExecFailed = 127;

enum class State : uint8 { kStopped, kStarting, kRunning, kStopping };

struct Slot {
    Oid database;  // InvalidOid: free
    bool wanted;   // somebody asked since it was last started
    bool keep;
    State state;
    int pid;
    int failures;  // in a row
    TimestampTz started_at;
    pg_atomic_uint64 last_used;  // TimestampTz
    pg_atomic_uint32 in_use;     // connections; the slot is not given to another database while there are any
};

struct Shared {
    Latch* launcher;  // null while it is not running
    Slot slots[kMaxEngines];
};

Shared* shared;
LWLock* shared_lock;

shmem_request_hook_type previous_shmem_request;
shmem_startup_hook_type previous_shmem_startup;

void RequestShmem() {
    if (previous_shmem_request) previous_shmem_request();
    RequestAddinShmemSpace(MAXALIGN(sizeof(Shared)));
    RequestNamedLWLockTranche(kTranche, 1);
}

void StartupShmem() {
    if (previous_shmem_startup) previous_shmem_startup();
    LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
    bool found;
    shared = static_cast<Shared*>(ShmemInitStruct("pg_duckdb engines", sizeof(Shared), &found));
    if (!found) {
        memset(static_cast<void*>(shared), 0, sizeof(Shared));
        for (Slot& slot : shared->slots) {
            pg_atomic_init_u64(&slot.last_used, 0);
            pg_atomic_init_u32(&slot.in_use, 0);
        }
    }
    shared_lock = &GetNamedLWLockTranche(kTranche)->lock;
    LWLockRelease(AddinShmemInitLock);
}

// The database's slot, or null if there is none. REQUIRES: the lock
Slot* FindSlot(Oid database) {
    for (Slot& slot : shared->slots) {
        if (slot.database == database) return &slot;
    }
    return nullptr;
}

// The same, taking a free or abandoned slot if need be. Null if all are taken. REQUIRES: the lock, exclusively
Slot* MakeSlot(Oid database) {
    if (Slot* slot = FindSlot(database)) return slot;
    Slot* slot = FindSlot(InvalidOid);
    for (int i = 0; !slot && i < kMaxEngines; i++) {
        Slot* other = &shared->slots[i];
        const bool idle = other->state == State::kStopped && !other->keep && pg_atomic_read_u32(&other->in_use) == 0;
        if (idle) slot = other;
    }
    if (!slot) return nullptr;
    slot->database = database;
    slot->wanted = slot->keep = false;
    slot->state = State::kStopped;
    slot->pid = slot->failures = 0;
    slot->started_at = 0;
    return slot;
}

void Request(Oid database, bool set_keep, bool keep) {
    LWLockAcquire(shared_lock, LW_EXCLUSIVE);
    if (Slot* slot = MakeSlot(database)) {
        slot->wanted = true;
        if (set_keep) slot->keep = keep;
        pg_atomic_write_u64(&slot->last_used, static_cast<uint64>(GetCurrentTimestamp()));
    }
    Latch* launcher = shared->launcher;
    if (launcher) SetLatch(launcher);
    LWLockRelease(shared_lock);
}

// --- what engine_client needs ----------------------------------------------------------------------------------------

const char* EngineFolder(Oid database) {
    static char folder[64];
    pg_snprintf(folder, sizeof folder, "%s/%u", kFolder, database);
    return folder;
}

// The token is the slot: end_use runs during error recovery, where no lock should be waited for. A slot in use is not
// given to another database.
void* BeginUse(Oid database) {
    static Slot nowhere;  // stands for a slot when all are taken
    LWLockAcquire(shared_lock, LW_EXCLUSIVE);
    Slot* slot = MakeSlot(database);
    if (!slot) slot = &nowhere;
    pg_atomic_fetch_add_u32(&slot->in_use, 1);
    LWLockRelease(shared_lock);
    return slot;
}

void EndUse(void* token) {
    auto* slot = static_cast<Slot*>(token);
    pg_atomic_write_u64(&slot->last_used, static_cast<uint64>(GetCurrentTimestamp()));
    pg_atomic_fetch_sub_u32(&slot->in_use, 1);
}

const pg::EngineSupervisor kSupervisor = {
    .folder = EngineFolder,
    .request = [](Oid database) { Request(database, false, false); },
    .begin_use = BeginUse,
    .end_use = EndUse,
};

// --- the worker ------------------------------------------------------------------------------------------------------

// What the launcher alone knows of an engine, by slot.
struct Child {
    int lifeline;            // or -1
    TimestampTz not_before;  // of the next start
    TimestampTz kill_at;     // when a stopping engine has had time enough
};
Child children[kMaxEngines];

void OnChildExit(SIGNAL_ARGS) { SetLatch(MyLatch); }

// The program's path: beside this module, wherever the module is.
void ProgramPath(char* out, size_t size) {
    Dl_info info;
    if (dladdr(reinterpret_cast<void*>(&ProgramPath), &info) == 0) {
        ereport(FATAL, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not find the folder of module \"pg_duckdb\"")));
    }
    strlcpy(out, info.dli_fname, size);
    char* slash = strrchr(out, '/');
    if (slash) *slash = '\0';
    strlcat(out, "/", size);
    strlcat(out, kProgram, size);
}

bool MakeFolder(const char* path) {
    if (mkdir(path, S_IRWXU) == 0 || errno == EEXIST) return true;
    ereport(LOG, (errcode_for_file_access(), errmsg("could not create directory \"%s\": %m", path)));
    return false;
}

// Runs in the forked process, where only async-signal-safe functions may be called.
[[noreturn]] void ExecEngine(const char* program, char* const* arguments, int lifeline) {
    setsid();  // signals to the launcher's group are not for the engine
    for (int signal = 1; signal < NSIG; signal++) ::signal(signal, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    if (lifeline == kLifelineFd) {
        fcntl(lifeline, F_SETFD, 0);
    } else {
        dup2(lifeline, kLifelineFd);  // the copy stays open across exec
    }
    const int null = open("/dev/null", O_RDONLY);
    if (null >= 0) dup2(null, STDIN_FILENO);
    constexpr unsigned kFirst = kLifelineFd + 1;
    bool closed = false;
#ifdef SYS_close_range
    closed = syscall(SYS_close_range, kFirst, ~0U, 0) == 0;
#endif
    if (!closed) {
        rlimit limit{};
        getrlimit(RLIMIT_NOFILE, &limit);
        const auto end = static_cast<unsigned>(Min(limit.rlim_cur, static_cast<rlim_t>(1 << 20)));
        for (unsigned fd = kFirst; fd < end; fd++) close(static_cast<int>(fd));
    }
    execv(program, arguments);
    _exit(kExitExecFailed);
}

// Starts an engine. False if that failed, which was logged.
bool Spawn(Oid database, Child* child, int* pid) {
    const char* folder = EngineFolder(database);
    if (!MakeFolder(kFolder) || !MakeFolder(folder)) return false;

    char program[MAXPGPATH], database_option[64], folder_option[128], memory_option[64], threads_option[64];
    ProgramPath(program, sizeof program);
    pg_snprintf(database_option, sizeof database_option, "%s%u", kDatabaseOption, database);
    pg_snprintf(folder_option, sizeof folder_option, "%s%s", kFolderOption, folder);
    pg_snprintf(memory_option, sizeof memory_option, "%s" UINT64_FORMAT, kMemoryLimitOption,
                static_cast<uint64>(max_memory_mb) * 1024 * 1024);
    pg_snprintf(threads_option, sizeof threads_option, "%s%d", kThreadsOption, threads);
    char* arguments[] = {program, database_option, folder_option, memory_option, threads_option, nullptr};

    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0) {
        ereport(LOG, (errcode_for_socket_access(), errmsg("could not create a socket pair: %m")));
        return false;
    }
    fflush(nullptr);
    // No signal handler of this process may run in the child.
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    const pid_t forked = fork();
    if (forked == 0) ExecEngine(program, arguments, ends[1]);
    const int error = errno;
    sigprocmask(SIG_SETMASK, &before, nullptr);
    close(ends[1]);
    if (forked < 0) {
        close(ends[0]);
        errno = error;
        ereport(LOG, (errcode_for_socket_access(), errmsg("could not fork the columnar engine: %m")));
        return false;
    }
    child->lifeline = ends[0];
    *pid = forked;
    return true;
}

// A copy of what decides about a slot, so that system calls are made without the lock.
struct Decision {
    Oid database;
    bool wanted;
    bool keep;
    State state;
    int pid;
    int failures;
    TimestampTz started_at;
    TimestampTz last_used;
    bool in_use;
};

Decision Look(int i) {
    LWLockAcquire(shared_lock, LW_SHARED);
    Slot& slot = shared->slots[i];
    const Decision decision = {slot.database,
                               slot.wanted,
                               slot.keep,
                               slot.state,
                               slot.pid,
                               slot.failures,
                               slot.started_at,
                               static_cast<TimestampTz>(pg_atomic_read_u64(&slot.last_used)),
                               pg_atomic_read_u32(&slot.in_use) > 0};
    LWLockRelease(shared_lock);
    return decision;
}

void SetState(int i, State state, int pid, int failures) {
    LWLockAcquire(shared_lock, LW_EXCLUSIVE);
    Slot& slot = shared->slots[i];
    if (state == State::kStarting) {
        slot.wanted = false;
        slot.started_at = GetCurrentTimestamp();
    }
    slot.state = state;
    slot.pid = pid;
    slot.failures = failures;
    LWLockRelease(shared_lock);
}

TimestampTz After(int ms) { return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms); }

// Schedules the next start of an engine that failed: at once after a long life, then with growing pauses.
void Failed(int i, int failures) {
    const int doublings = Min(failures - 2, 10);
    const int pause = failures <= 1 ? 0 : Min(kFirstBackoffMs << Max(doublings, 0), kLastBackoffMs);
    children[i].not_before = After(pause);
    SetState(i, State::kStopped, 0, failures);
}

void Start(int i, const Decision& slot) {
    int pid = 0;
    if (!Spawn(slot.database, &children[i], &pid)) {
        Failed(i, slot.failures + 2);
        return;
    }
    SetState(i, State::kStarting, pid, slot.failures);
    ereport(DEBUG1, (errmsg("columnar engine of database %u started, process %d", slot.database, pid)));
}

void Stop(int i, const Decision& slot) {
    kill(slot.pid, SIGTERM);
    children[i].kill_at = After(kStopMs);
    SetState(i, State::kStopping, slot.pid, slot.failures);
}

// Deals with engines that have ended.
void Reap() {
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (int i = 0; i < kMaxEngines; i++) {
            const Decision slot = Look(i);
            if (slot.pid != pid || slot.state == State::kStopped) continue;
            close(children[i].lifeline);
            children[i].lifeline = -1;
            if (slot.state == State::kStopping) {
                SetState(i, State::kStopped, 0, 0);
                break;
            }
            const bool exec_failed = WIFEXITED(status) && WEXITSTATUS(status) == kExitExecFailed;
            const bool folder_in_use = WIFEXITED(status) && WEXITSTATUS(status) == kExitFolderInUse;
            char* what = wait_result_to_str(status);
            if (exec_failed) {
                char program[MAXPGPATH];
                ProgramPath(program, sizeof program);
                ereport(LOG, (errcode(ERRCODE_UNDEFINED_FILE), errmsg("could not execute \"%s\"", program),
                              errhint("The program is installed beside the module \"pg_duckdb\".")));
            } else {
                ereport(LOG, (errmsg("columnar engine of database %u (process %d): %s", slot.database,
                                     static_cast<int>(pid), what),
                              folder_in_use ? errdetail("Another engine still uses the folder.") : 0));
            }
            pfree(what);
            const bool was_stable =
                TimestampDifferenceExceeds(slot.started_at, GetCurrentTimestamp(), kStableMs) && !exec_failed;
            Failed(i, was_stable ? 1 : slot.failures + 1);
            LWLockAcquire(shared_lock, LW_EXCLUSIVE);
            // Whoever used it wants it back; an engine that can't start waits for the next request.
            shared->slots[i].wanted |= shared->slots[i].failures <= kMaxUnaskedStarts;
            LWLockRelease(shared_lock);
            break;
        }
    }
}

// The engine was given up, perhaps because its database was dropped: then its folder goes, too.
void RemoveIfDropped(int i, const Decision& slot) {
    const bool dropped = !pg::DatabaseExists(slot.database);
    if (dropped) pg::RemoveDatabaseFolder(kFolder, slot.database);
    LWLockAcquire(shared_lock, LW_EXCLUSIVE);
    Slot& own = shared->slots[i];
    const bool unused =
        own.database == slot.database && !own.wanted && !own.keep && pg_atomic_read_u32(&own.in_use) == 0;
    if (unused && dropped) own.database = InvalidOid;
    if (unused && !dropped) pg_atomic_write_u64(&own.last_used, 1);  // looked at
    LWLockRelease(shared_lock);
}

// Does what is due for one slot. Returns how long nothing more will be, in ms, at most "longest".
long Attend(int i, long longest) {
    const Decision slot = Look(i);
    const TimestampTz now = GetCurrentTimestamp();
    switch (slot.state) {
        case State::kStopped:
            if (!OidIsValid(slot.database)) return longest;
            if (!(slot.wanted || slot.keep)) {
                if (slot.last_used == 0) RemoveIfDropped(i, slot);
                return longest;
            }
            if (now < children[i].not_before) {
                return Min(longest, TimestampDifferenceMilliseconds(now, children[i].not_before) + 1);
            }
            Start(i, slot);
            return kStartPollMs;
        case State::kStarting: {
            char byte;
            if (recv(children[i].lifeline, &byte, 1, MSG_DONTWAIT) != 1) return kStartPollMs;
            SetState(i, State::kRunning, slot.pid, slot.failures);
            return kStartPollMs;  // what is due for a running one
        }
        case State::kRunning: {
            if (slot.keep) return longest;
            // Nobody wakes the launcher when a use ends.
            if (slot.in_use) return engine_idle_timeout_s == 0 ? longest : Min(longest, engine_idle_timeout_s * 1000L);
            if (slot.last_used != 0) {  // else it was given up
                if (engine_idle_timeout_s == 0) return longest;
                const TimestampTz due = TimestampTzPlusSeconds(slot.last_used, engine_idle_timeout_s);
                if (now < due) return Min(longest, TimestampDifferenceMilliseconds(now, due) + 1);
            }
            Stop(i, slot);
            return kStartPollMs;
        }
        case State::kStopping:
            if (now >= children[i].kill_at) kill(slot.pid, SIGKILL);
            return kStartPollMs;
    }
    return longest;
}

// Ends all engines, within kStopMs.
void StopAll() {
    bool any = false;
    for (int i = 0; i < kMaxEngines; i++) {
        const Decision slot = Look(i);
        if (slot.pid == 0) continue;
        Stop(i, slot);
        any = true;
    }
    const TimestampTz deadline = After(kStopMs);
    while (any) {
        Reap();
        any = false;
        const bool late = GetCurrentTimestamp() >= deadline;
        for (int i = 0; i < kMaxEngines; i++) {
            const Decision slot = Look(i);
            if (slot.pid == 0) continue;
            any = true;
            if (late) kill(slot.pid, SIGKILL);
        }
        if (any) pg_usleep(5000);
    }
}

void OnLauncherExit(int, Datum) {
    LWLockAcquire(shared_lock, LW_EXCLUSIVE);
    shared->launcher = nullptr;
    LWLockRelease(shared_lock);
}

// A launcher that was restarted after an error finds slots of engines that ended with its predecessor.
void ResetSlots() {
    LWLockAcquire(shared_lock, LW_EXCLUSIVE);
    for (Slot& slot : shared->slots) {
        if (slot.state != State::kStopped) slot.wanted = true;
        slot.state = State::kStopped;
        slot.pid = slot.failures = 0;
    }
    shared->launcher = MyLatch;
    LWLockRelease(shared_lock);
    for (Child& child : children) child = {-1, 0, 0};
}

const char* StateName(State state) {
    switch (state) {
        case State::kStopped: return "stopped";
        case State::kStarting: return "starting";
        case State::kRunning: return "running";
        case State::kStopping: return "stopping";
    }
    return "unknown";
}

}  // namespace

void InitLauncher() {
    previous_shmem_request = shmem_request_hook;
    shmem_request_hook = RequestShmem;
    previous_shmem_startup = shmem_startup_hook;
    shmem_startup_hook = StartupShmem;
    pg::SetEngineSupervisor(&kSupervisor);

    BackgroundWorker worker{};
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS;
    worker.bgw_start_time = BgWorkerStart_ConsistentState;
    worker.bgw_restart_time = 1;
    strlcpy(worker.bgw_library_name, "pg_duckdb", sizeof worker.bgw_library_name);
    strlcpy(worker.bgw_function_name, "IvyEngineLauncherMain", sizeof worker.bgw_function_name);
    strlcpy(worker.bgw_name, "columnar engine launcher", sizeof worker.bgw_name);
    strlcpy(worker.bgw_type, "columnar engine launcher", sizeof worker.bgw_type);
    RegisterBackgroundWorker(&worker);
}

void RequestEngine(Oid database, bool keep) {
    if (keep) {
        Request(database, true, true);
        return;
    }
    LWLockAcquire(shared_lock, LW_EXCLUSIVE);
    if (Slot* slot = MakeSlot(database)) {
        slot->wanted = slot->keep = false;
        pg_atomic_write_u64(&slot->last_used, 0);
        if (shared->launcher) SetLatch(shared->launcher);
    }
    LWLockRelease(shared_lock);
}

int ListEngines(EngineInfo* out, int size) {
    int count = 0;
    LWLockAcquire(shared_lock, LW_SHARED);
    for (const Slot& slot : shared->slots) {
        if (!OidIsValid(slot.database) || count == size) continue;
        auto& in_use = const_cast<pg_atomic_uint32&>(slot.in_use);
        out[count++] = {slot.database,
                        slot.pid,
                        StateName(slot.state),
                        slot.keep,
                        static_cast<int>(pg_atomic_read_u32(&in_use)),
                        slot.failures,
                        slot.started_at};
    }
    LWLockRelease(shared_lock);
    return count;
}

}  // namespace ivy::duck

void IvyEngineLauncherMain(Datum) {
    using namespace ivy::duck;
    pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    pqsignal(SIGCHLD, OnChildExit);
    BackgroundWorkerUnblockSignals();
    before_shmem_exit(OnLauncherExit, 0);
    ResetSlots();
    ivy::pg::RemoveForsakenFolders(kFolder);

    while (!ShutdownRequestPending) {
        Reap();
        long pause = 60 * 1000;
        for (int i = 0; i < kMaxEngines; i++) pause = Attend(i, pause);
        WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, pause, PG_WAIT_EXTENSION);
        ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
        if (ConfigReloadPending) {
            ConfigReloadPending = false;
            ProcessConfigFile(PGC_SIGHUP);
        }
    }
    StopAll();
    proc_exit(1);  // 0 would mean "never again", and it may not be the server's end but somebody's pg_terminate_backend
}
