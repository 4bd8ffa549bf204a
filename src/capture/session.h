// SPDX-License-Identifier: Apache-2.0
//
// What the capture and copy workers set up for their own transactions.
#pragma once

#include "pg/postgres_api.h"

#include "base/fault_point.h"
#include "pg/guard.h"

namespace ivy::capture {

// Fixes settings of the server, database or role that must not reach a worker's transactions. To be repeated after the
// configuration was read again.
void PinWorkerSettings();

// Takes back the mark "this process only decodes" that creating a decoding context puts on it. A process with the mark
// is left out of other sessions' snapshots: they would take its own running transactions for aborted ones.
void LeaveDecodingStatus();

// A fault point (base/fault_point.h) whose error is an ereport with this SQLSTATE.
inline void FaultPoint([[maybe_unused]] const char* name, [[maybe_unused]] int sqlerrcode = ERRCODE_IO_ERROR) {
#ifdef IVY_FAULT_POINTS
    const bool passed = pg::Guard([&] { return PassFaultPoint(name).ok(); });
    if (!passed) ereport(ERROR, (errcode(sqlerrcode), errmsg("fault point \"%s\" was reached", name)));
#endif
}

}  // namespace ivy::capture
