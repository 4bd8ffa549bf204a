// SPDX-License-Identifier: Apache-2.0
// What DDL on databases, and DROP EXTENSION, mean for workers, slots, engines and files.
#include "ddl_internal.h"

extern "C" {
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "replication/slot.h"
#include "utils/acl.h"
}

#include <sys/stat.h>

#include "launcher.h"
#include "worker.h"

namespace ivy::mooncake::ddl {
namespace {

void PauseNamed(const char* name, bool forget) {
    const Oid database = name ? get_database_oid(name, true) : InvalidOid;
    if (!OidIsValid(database)) return;
    if (object_ownercheck(DatabaseRelationId, database, GetUserId())) PauseWorker(database, forget);
}

}  // namespace

void PrepareDatabaseCommand(const Node* node) {
    if (IsBinaryUpgrade) return;  // there are no launchers
    switch (nodeTag(node)) {
        case T_DropdbStmt: PauseNamed(reinterpret_cast<const DropdbStmt*>(node)->dbname, true); break;
        case T_RenameStmt: {
            const auto* statement = reinterpret_cast<const RenameStmt*>(node);
            if (statement->renameType == OBJECT_DATABASE) PauseNamed(statement->subname, false);
            break;
        }
        case T_CreatedbStmt: {
            const char* source = "template1";
            ListCell* cell;
            foreach (cell, reinterpret_cast<const CreatedbStmt*>(node)->options) {
                auto* option = static_cast<DefElem*>(lfirst(cell));
                if (strcmp(option->defname, "template") == 0 && option->arg) source = defGetString(option);
            }
            PauseNamed(source, false);
            break;
        }
        case T_AlterDatabaseStmt: {
            const auto* statement = reinterpret_cast<const AlterDatabaseStmt*>(node);
            ListCell* cell;
            foreach (cell, statement->options) {
                if (strcmp(static_cast<DefElem*>(lfirst(cell))->defname, "tablespace") == 0) {
                    PauseNamed(statement->dbname, false);
                }
            }
            break;
        }
        default: break;
    }
}

Oid DroppedDatabase(const Node* node) {
    return IsA(node, DropdbStmt) ? get_database_oid(reinterpret_cast<const DropdbStmt*>(node)->dbname, true)
                                 : InvalidOid;
}

void RemoveDatabase(Oid database) {
    if (IsBinaryUpgrade) return;
    Api().request_engine(database, false);
    const char* folder = psprintf("pg_mooncake/%u", database);
    struct stat status;
    if (stat(folder, &status) == 0) rmtree(folder, true);
}

// The slot is not transactional: it goes just before the commit. If the commit fails after all, the worker finds no
// slot and copies its mirrors anew.
void RemoveCapture() {
    PauseWorker(MyDatabaseId, true);
    char name[NAMEDATALEN];
    SlotName(MyDatabaseId, name);
    if (SearchNamedReplicationSlot(name, true)) ReplicationSlotDrop(name, false);
    Api().request_engine(MyDatabaseId, false);
}

}  // namespace ivy::mooncake::ddl
