// SPDX-License-Identifier: Apache-2.0
//
// The mains of the two background workers that move data from Postgres to the engine. pg_mooncake.so connects the
// process to its database and calls them (extensions/pg_mooncake/src/worker.h).
//
// Capture worker: one for each database that has mirrors. It decodes the WAL from the slot "ivy_mooncake_<oid>", sends
// row changes to the engine, publishes in the catalog what the engine has flushed, and starts a copy worker for each
// mirror that is to be copied. Nothing is lost when it ends, however it ends: the slot's confirmed position never passes
// what is in published files, and all of its state is built again from slot and catalog.
//
// Copy worker: reads one source table under one snapshot, once, with the help of parallel workers.
#pragma once

#include "pg/postgres_api.h"

#include "pg_mooncake/src/worker.h"

struct shm_toc;

namespace ivy::capture {

// Returns never. Exit code 0: there is nothing to do here any more (the extension is gone from the database: the slot
// has been dropped then). Exit code 1: start it again (the engine's connection broke, an error, shutdown).
[[noreturn]] void CaptureMain(Oid database);

// Copies the source of "mirror" if it still is to be copied in this generation. Returns when the engine has all of it.
void CopyMain(const mooncake::CopyOrder& order);

// In a parallel worker of a copy worker.
void CopyParallelMain(::shm_toc* toc);

}  // namespace ivy::capture
