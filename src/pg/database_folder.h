// SPDX-License-Identifier: Apache-2.0
//
// Folders in the data directory that are named after databases' OIDs, for processes without a connection to any database.
#pragma once

#include "pg/postgres_api.h"

namespace ivy::pg {

// Whether the files of a database exist. False only for one that was dropped or never made (or is just being made).
bool DatabaseExists(Oid database);

// Databases, existing or not, that have a folder in "parent": a list of OIDs. NIL if there is no such parent.
List* DatabaseFolders(const char* parent);

// Removes the folders in "parent" of databases that do not exist.
void RemoveForsakenFolders(const char* parent);

// Removes a folder with everything in it, if it is there; says so in the log. Failures are warnings.
void RemoveDatabaseFolder(const char* parent, Oid database);

}  // namespace ivy::pg
