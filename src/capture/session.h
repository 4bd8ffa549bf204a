// SPDX-License-Identifier: Apache-2.0
//
// What the capture and copy workers set up for their own transactions.
#pragma once

#include "pg/postgres_api.h"

namespace ivy::capture {

// Fixes settings of the server, database or role that must not reach a worker's transactions. To be repeated after the
// configuration was read again.
void PinWorkerSettings();

// Takes back the mark "this process only decodes" that creating a decoding context puts on it. A process with the mark
// is left out of other sessions' snapshots: they would take its own running transactions for aborted ones.
void LeaveDecodingStatus();

}  // namespace ivy::capture
