// SPDX-License-Identifier: Apache-2.0
//
// Where mirrors' Iceberg tables are.
//
//   <data directory>/pg_mooncake/<database oid>/<schema>.<table>-<oid>[.<generation>]        by default
//   <warehouse>/ivy_<system id>_<database oid>_<check sum>/<schema>.<table>-<oid>[.<generation>]  with option "location"
//
// The part after the warehouse tells which server and database own the folder: the check sum is the data directory's, so
// that a copy of the server elsewhere never writes to the original's files. Names are those at creation; the oid makes
// them unique, the generation keeps an old copy's files apart from a new one's.
#pragma once

#include "pg/postgres_api.h"

namespace ivy::mooncake {

// "warehouse" is the option's, or null. The result is palloc'ed.
char* MirrorLocation(Oid mirror, int generation, const char* warehouse);

// Checks the option "location" for the current user: an absolute path of an existing folder outside of the data
// directory, which only members of pg_write_server_files may name. Returns it in canonical form, palloc'ed. Ereports.
char* CheckWarehouse(const char* path);

// Removes the folder that held a deleted location if nothing else is in it. Not below the data directory.
void RemoveEmptyWarehouse(const char* location);

}  // namespace ivy::mooncake
