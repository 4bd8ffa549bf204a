// SPDX-License-Identifier: Apache-2.0
// Folders of databases, on the server's own directory functions.
#include "pg/database_folder.h"

extern "C" {
#include "common/file_utils.h"
#include "common/relpath.h"
#include "storage/fd.h"
}

#include <sys/stat.h>

namespace ivy::pg {
namespace {

// The OID that a folder's name is, or InvalidOid.
Oid OidFromName(const char* name) {
    char* end;
    const unsigned long value = strtoul(name, &end, 10);
    return *name >= '1' && *name <= '9' && *end == '\0' && value <= PG_UINT32_MAX ? static_cast<Oid>(value)
                                                                                  : InvalidOid;
}

bool Exists(const char* path) {
    struct stat status;
    return stat(path, &status) == 0;
}

}  // namespace

// A database's own folder in its tablespace has a PG_VERSION; those that it has in other tablespaces have none.
bool DatabaseExists(Oid database) {
    if (Exists(psprintf("base/%u/PG_VERSION", database))) return true;
    bool found = false;
    DIR* folder = AllocateDir(PG_TBLSPC_DIR);
    while (dirent* entry = ReadDirExtended(folder, PG_TBLSPC_DIR, LOG)) {
        if (entry->d_name[0] == '.') continue;
        found = found || Exists(psprintf("%s/%s/%s/%u/PG_VERSION", PG_TBLSPC_DIR, entry->d_name,
                                         TABLESPACE_VERSION_DIRECTORY, database));
    }
    FreeDir(folder);
    return found;
}

List* DatabaseFolders(const char* parent) {
    List* databases = NIL;
    if (!Exists(parent)) return NIL;
    DIR* folder = AllocateDir(parent);
    while (dirent* entry = ReadDirExtended(folder, parent, LOG)) {
        const Oid database = OidFromName(entry->d_name);
        if (OidIsValid(database)) databases = lappend_oid(databases, database);
    }
    FreeDir(folder);
    return databases;
}

void RemoveForsakenFolders(const char* parent) {
    ListCell* cell;
    foreach (cell, DatabaseFolders(parent)) {
        if (!DatabaseExists(lfirst_oid(cell))) RemoveDatabaseFolder(parent, lfirst_oid(cell));
    }
}

void RemoveDatabaseFolder(const char* parent, Oid database) {
    const char* folder = psprintf("%s/%u", parent, database);
    if (!Exists(folder)) return;
    ereport(LOG, errmsg("removing folder \"%s\" of a database that does not exist any more", folder));
    rmtree(folder, true);
}

}  // namespace ivy::pg
