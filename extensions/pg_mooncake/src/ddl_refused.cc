// SPDX-License-Identifier: Apache-2.0
// Commands that mirrors refuse.
#include "ddl_internal.h"

extern "C" {
#include "catalog/namespace.h"
#include "utils/guc.h"
}

#include "mirror_relation.h"

namespace ivy::mooncake::ddl {

Oid ResolveRelation(const RangeVar* name) { return name ? RangeVarGetRelid(name, NoLock, true) : InvalidOid; }

bool NamesMirror(const RangeVar* name) {
    const Oid relid = ResolveRelation(name);
    return OidIsValid(relid) && HasMirrorAccessMethod(relid);
}

bool CalledBy(const char* program) {
    const char* name = GetConfigOption("application_name", true, false);
    return name && strcmp(name, program) == 0;
}

namespace {

[[noreturn]] void Refuse(const RangeVar* name, const char* what, const char* hint) {
    ereport(ERROR, errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("cannot %s mirror \"%s\"", what, name->relname),
            errhint("%s", hint));
    pg_unreachable();
}

constexpr char kAlterSource[] = "Alter its source table; the mirror follows.";

void CheckAlterTable(const AlterTableStmt* statement) {
    const bool mirror = NamesMirror(statement->relation);
    ListCell* cell;
    foreach (cell, statement->cmds) {
        const auto* command = static_cast<const AlterTableCmd*>(lfirst(cell));
        switch (command->subtype) {
            case AT_ChangeOwner:
            case AT_SetStatistics:
            case AT_SetOptions:
            case AT_ResetOptions:
            case AT_SetRelOptions:
            case AT_ResetRelOptions:
            case AT_EnableRowSecurity:
            case AT_ForceRowSecurity: break;
            case AT_DisableRowSecurity:
            case AT_NoForceRowSecurity:
                if (mirror) {
                    Refuse(statement->relation, "switch off row security of",
                           "Row security of a mirror follows its source table's.");
                }
                break;
            case AT_SetAccessMethod:
                if (mirror) Refuse(statement->relation, "alter", kAlterSource);
                if (command->name && strcmp(command->name, "mooncake") == 0) {
                    ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("cannot turn a table into a mirror"),
                            errhint("Use CALL mooncake.create_table('mirror', 'table')."));
                }
                break;
            case AT_AddInherit:
                if (mirror) Refuse(statement->relation, "alter", kAlterSource);
                if (NamesMirror(reinterpret_cast<RangeVar*>(command->def))) {
                    Refuse(reinterpret_cast<RangeVar*>(command->def), "inherit from", "Inherit from its source table.");
                }
                break;
            case AT_AttachPartition: {
                const RangeVar* part = reinterpret_cast<PartitionCmd*>(command->def)->name;
                if (mirror) Refuse(statement->relation, "alter", kAlterSource);
                if (NamesMirror(part)) Refuse(part, "attach", "Attach its source table.");
                break;
            }
            default:
                if (mirror) Refuse(statement->relation, "alter", kAlterSource);
        }
    }
}

// Mirrors are made by create_table only. pg_dump names the access method by "default_table_access_method", never in the
// statement: such a relation is accepted, and becomes a mirror when its row in mooncake.mirrors is restored.
void CheckCreate(const RangeVar* relation, const char* access_method, List* parents) {
    if (access_method && strcmp(access_method, "mooncake") == 0 && OidIsValid(MirrorAccessMethod()) &&
        !IsBinaryUpgrade) {
        ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                errmsg("cannot create mirror \"%s\" by itself", relation->relname),
                errhint("Use CALL mooncake.create_table('%s', 'source').", relation->relname));
    }
    ListCell* cell;
    foreach (cell, parents) {
        const auto* parent = static_cast<const RangeVar*>(lfirst(cell));
        if (NamesMirror(parent)) Refuse(parent, "inherit from", "Inherit from its source table.");
    }
}

// pg_restore with several jobs truncates each table that it has made before it loads it.
void CheckTruncate(const TruncateStmt* statement) {
    if (CalledBy("pg_restore")) return;
    ListCell* cell;
    foreach (cell, statement->relations) {
        const auto* name = static_cast<const RangeVar*>(lfirst(cell));
        if (NamesMirror(name)) Refuse(name, "truncate", "Truncate its source table; the mirror follows.");
    }
}

}  // namespace

void CheckCommand(const Node* node) {
    switch (nodeTag(node)) {
        case T_AlterTableStmt: CheckAlterTable(reinterpret_cast<const AlterTableStmt*>(node)); break;
        case T_TruncateStmt: CheckTruncate(reinterpret_cast<const TruncateStmt*>(node)); break;
        case T_CreateStmt: {
            const auto* statement = reinterpret_cast<const CreateStmt*>(node);
            CheckCreate(statement->relation, statement->accessMethod, statement->inhRelations);
            break;
        }
        case T_CreateTableAsStmt: {
            const IntoClause* into = reinterpret_cast<const CreateTableAsStmt*>(node)->into;
            CheckCreate(into->rel, into->accessMethod, NIL);
            break;
        }
        case T_IndexStmt: {
            const RangeVar* name = reinterpret_cast<const IndexStmt*>(node)->relation;
            if (NamesMirror(name)) Refuse(name, "create an index on", "Queries on a mirror need no index.");
            break;
        }
        case T_CreateTrigStmt: {
            const RangeVar* name = reinterpret_cast<const CreateTrigStmt*>(node)->relation;
            if (NamesMirror(name)) Refuse(name, "create a trigger on", "Create the trigger on its source table.");
            break;
        }
        case T_RenameStmt: {
            const auto* statement = reinterpret_cast<const RenameStmt*>(node);
            if (statement->renameType == OBJECT_COLUMN && NamesMirror(statement->relation)) {
                Refuse(statement->relation, "rename a column of",
                       "Rename the column of its source table; the mirror follows.");
            }
            break;
        }
        default: break;
    }
}

}  // namespace ivy::mooncake::ddl
