// SPDX-License-Identifier: Apache-2.0
//
// Who may read and write which files, and with which credentials.
//
// Local files are for members of pg_read_server_files and pg_write_server_files, as for COPY; network locations for
// members of the role that duckdb.lake_network_role names; superusers may use both. The current user counts, at the time
// when files are about to be opened: a view lends no rights, as with any function that it calls, a SECURITY DEFINER
// function does.
#pragma once

#include "api.h"
#include "pg/postgres_api.h"

extern "C" {
#include "nodes/pg_list.h"
}

namespace ivy::duck {

enum class LakeAccess : uint8_t { kRead, kWrite };

// Whether a path names a network location.
bool IsNetworkPath(const char* path);

// ereports unless the current user may access all of "paths" (char*).
void CheckLakeAccess(const List* paths, LakeAccess access);

// The same for a call of a function, whose execution must be granted too.
void CheckLakeCall(Oid function, const List* paths);

// Which secrets a role may use (LakeSecret*).
List* SecretsOf(Oid role);

// The secrets of the current user (LakeSecret*), if one of "paths" needs any; else NIL.
List* SecretsFor(const List* paths);

// ereports unless the current user may use a network location.
void CheckNetworkAccess(const char* location);

// Removes secrets whose owners are gone, and grants to such roles. Nothing where the extension is not created.
void RemoveSecretsOfDroppedRoles();

}  // namespace ivy::duck
