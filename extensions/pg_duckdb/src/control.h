// SPDX-License-Identifier: Apache-2.0
//
// Connections and control commands for others than queries. See api.h for what the functions promise.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "nodes/pg_list.h"
}

namespace ivy::duck {

int ConnectEngine(Oid database, int role, int timeout_ms, char** error);
char* Control(Oid database, const char* command, Oid mirror, uint64 lsn, int timeout_ms);
void ProbeLocation(Oid database, const char* location, const List* secrets, int timeout_ms);

}  // namespace ivy::duck
