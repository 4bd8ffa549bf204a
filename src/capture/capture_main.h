// SPDX-License-Identifier: Apache-2.0
//
// The capture worker: one background worker for each database that has mirrors. It decodes the WAL from the slot
// "ivy_mooncake_<database oid>" and sends row changes to the engine, publishes what the engine has flushed in the
// catalog, and starts a copy worker for each mirror that has not been copied yet.
//
// The launcher in pg_mooncake registers it. Its exit code tells the launcher what to do:
//   0   for good: the extension is gone from the database (the slot has then been dropped), or logical decoding is off
//   1   start it again: the engine's connection broke, an error, or the postmaster is shutting down
// Nothing is lost in either case: the slot's confirmed position never passes what is in published files.
#pragma once

extern "C" {
#include "postgres.h"

#include "postmaster/bgworker.h"

// Main functions; pg_mooncake.so exports them. The argument is the database's OID.
PGDLLEXPORT void IvyCaptureMain(Datum database_oid);
PGDLLEXPORT void IvyCopyMain(Datum database_oid);
}

namespace ivy::capture {

// Fills in everything for RegisterDynamicBackgroundWorker: names, flags, no restart by the postmaster.
void InitCaptureWorker(BackgroundWorker* worker, Oid database);

// Name of the database's replication slot.
void CaptureSlotName(Oid database, NameData* name);

}  // namespace ivy::capture
