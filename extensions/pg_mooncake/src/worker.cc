// SPDX-License-Identifier: Apache-2.0
// Entry points of the background workers that run in a database, and what starts a copy worker.
#include "worker.h"

extern "C" {
#include "access/parallel.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/procsignal.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"

PGDLLEXPORT void mooncake_capture_main(Datum database);
PGDLLEXPORT void mooncake_copy_main(Datum database);
PGDLLEXPORT void mooncake_copy_parallel(dsm_segment* segment, shm_toc* toc);
}

#include "capture/worker.h"
#include "launcher.h"

namespace ivy::mooncake {
namespace {

static_assert(sizeof(CopyOrder) <= BGW_EXTRALEN);

void Connect(Oid database) {
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    pqsignal(SIGTERM, die);
    BackgroundWorkerUnblockSignals();
    BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, BGWORKER_BYPASS_ALLOWCONN);
}

}  // namespace

void SlotName(Oid database, char* name) { pg_snprintf(name, NAMEDATALEN, "ivy_mooncake_%u", database); }

BackgroundWorkerHandle* StartCopyWorker(const CopyOrder& order) {
    BackgroundWorker worker;
    memset(&worker, 0, sizeof worker);
    pg_snprintf(worker.bgw_name, BGW_MAXLEN, "pg_mooncake copy of mirror %u", order.mirror);
    strlcpy(worker.bgw_type, "pg_mooncake copy", BGW_MAXLEN);
    strlcpy(worker.bgw_library_name, "pg_mooncake", MAXPGPATH);
    strlcpy(worker.bgw_function_name, "mooncake_copy_main", BGW_MAXLEN);
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = BGW_NEVER_RESTART;
    worker.bgw_notify_pid = MyProcPid;
    worker.bgw_main_arg = ObjectIdGetDatum(MyDatabaseId);
    memcpy(worker.bgw_extra, &order, sizeof order);
    BackgroundWorkerHandle* handle = nullptr;
    return RegisterDynamicBackgroundWorker(&worker, &handle) ? handle : nullptr;
}

}  // namespace ivy::mooncake

extern "C" {

void mooncake_capture_main(Datum database) {
    ivy::mooncake::AnnounceCaptureWorker(DatumGetObjectId(database));
    ivy::mooncake::Connect(DatumGetObjectId(database));
    ivy::capture::CaptureMain(DatumGetObjectId(database));
}

void mooncake_copy_parallel(dsm_segment*, shm_toc* toc) { ivy::capture::CopyParallelMain(toc); }

void mooncake_copy_main(Datum database) {
    ivy::mooncake::CopyOrder order;
    memcpy(&order, MyBgworkerEntry->bgw_extra, sizeof order);
    ivy::mooncake::Connect(DatumGetObjectId(database));
    ivy::capture::CopyMain(order);
    proc_exit(0);
}
}
