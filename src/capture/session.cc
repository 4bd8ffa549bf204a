// SPDX-License-Identifier: Apache-2.0
// Settings and status of the workers' processes.
#include "capture/session.h"

extern "C" {
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "utils/guc.h"
}

namespace ivy::capture {

void PinWorkerSettings() {
    static constexpr const char* kSettings[][2] = {
        {"synchronous_commit", "local"},  // a standby that is down must not stop the mirrors
        {"default_transaction_read_only", "off"},
        {"default_transaction_isolation", "read committed"},
        {"transaction_timeout", "0"},
        {"lock_timeout", "0"},
        {"search_path", "pg_catalog"},
    };
    for (const auto& setting : kSettings) SetConfigOption(setting[0], setting[1], PGC_SUSET, PGC_S_OVERRIDE);
}

void LeaveDecodingStatus() {
    LWLockAcquire(ProcArrayLock, LW_EXCLUSIVE);
    MyProc->statusFlags &= static_cast<uint8>(~PROC_IN_LOGICAL_DECODING);
    ProcGlobal->statusFlags[MyProc->pgxactoff] = MyProc->statusFlags;
    LWLockRelease(ProcArrayLock);
}

}  // namespace ivy::capture
