// SPDX-License-Identifier: Apache-2.0
//
// Where mirrors' Iceberg tables are.
//
//   <data directory>/pg_mooncake/<database oid>/<schema>.<table>-<oid>[.<generation>]        by default
//   <warehouse>/ivy_<system id>_<database oid>_<owner>/<schema>.<table>-<oid>[.<generation>]  with option "location"
//
// The part after the warehouse tells which server and database own the folder, so that a copy of the server never writes
// to the original's files. On local disks the owner is a check sum of the data directory's path. A bucket is reached from
// everywhere, by a copy at the same path on another machine too: there it is a random number that a file in the data
// directory keeps, with a name that base backups leave out. Names are those at creation; the oid makes them unique, the
// generation keeps an old copy's files apart from a new one's.
#pragma once

#include "pg/postgres_api.h"

namespace ivy::mooncake {

// "warehouse" is the option's, or null. The result is palloc'ed.
char* MirrorLocation(Oid mirror, int generation, const char* warehouse);

// Whether a location, or a warehouse, is in an object store.
bool IsNetworkLocation(const char* location);

// Checks a warehouse for the current user and returns it in canonical form, palloc'ed; ereports. It is an absolute path of
// an existing folder outside of the data directory, or "s3://bucket/prefix", which those may use who may use network
// locations. "chosen": the user named it, as the option "location", and so must be a member of pg_write_server_files to
// name a local one; else it is the default (mooncake.default_location).
char* CheckWarehouse(const char* path, bool chosen);

// The secrets with which the files of a mirror are opened: its owner's (LakeSecret*), NIL for a local location.
List* LocationSecrets(const char* location, Oid owner);

// Has the engine try whether it can write, read, list and delete files where mirrors of this database in a warehouse are,
// with the secrets of their owner; ereports. Nothing is tried for local ones, or null.
void ProbeWarehouse(const char* warehouse, Oid owner);

// Removes the local folder that held a deleted location if nothing else is in it. Not below the data directory.
void RemoveEmptyWarehouse(const char* location);

}  // namespace ivy::mooncake
