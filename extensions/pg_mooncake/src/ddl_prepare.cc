// SPDX-License-Identifier: Apache-2.0
//
// Before a command that alters tables: notes what it will touch, and locks what it will change.
//
// Locks: a query locks the mirror when it is parsed and the source when it starts, so a command that changes both must
// not wait for one while it holds the other (LockSourceAndMirrors).
#include "ddl_internal.h"

extern "C" {
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/tablecmds.h"
#include "nodes/makefuncs.h"
#include "parser/parse_type.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/typcache.h"
}

#include "catalog.h"
#include "member_rows.h"
#include "mirror_access.h"
#include "source.h"
#include "value_types.h"

namespace ivy::mooncake::ddl {
namespace {

// Locks a source and its mirrors without waiting for one while the other is held (unless this transaction held locks
// before). Whoever waits holds nothing, so no deadlock with queries, which take the mirror first and the source later.
void LockSourceAndMirrors(Oid source, LOCKMODE mode) {
    List* rows = FindMirrorsOfSource(source);
    if (rows == NIL) return;
    for (;;) {
        LockRelationOid(source, mode);
        Oid busy = InvalidOid;
        List* locked = NIL;
        ListCell* cell;
        foreach (cell, rows) {
            const Oid mirror = static_cast<MirrorRow*>(lfirst(cell))->mirror;
            if (!ConditionalLockRelationOid(mirror, AccessExclusiveLock)) {
                busy = mirror;
                break;
            }
            locked = lappend_oid(locked, mirror);
        }
        if (!OidIsValid(busy)) return;
        foreach (cell, locked) UnlockRelationOid(lfirst_oid(cell), AccessExclusiveLock);
        UnlockRelationOid(source, mode);
        // Wait until the busy one can be had, then try all of them again.
        LockRelationOid(busy, AccessExclusiveLock);
        UnlockRelationOid(busy, AccessExclusiveLock);
    }
}

bool ChangesColumns(AlterTableType type) {
    switch (type) {
        case AT_AddColumn:
        case AT_DropColumn:
        case AT_AlterColumnType:
        case AT_SetNotNull:
        case AT_DropNotNull:
        case AT_SetExpression:
        case AT_DropExpression:
        case AT_AddConstraint:
        case AT_DropConstraint: return true;
        default: return false;
    }
}

// The text form of a type's values is about to change: mirrors that keep it in files are to be written anew.
void TouchUsersOfType(Oid type) {
    if (!OidIsValid(type)) return;
    ListCell* cell;
    foreach (cell, ListMirrors()) {
        const Oid relid = static_cast<MirrorRow*>(lfirst(cell))->source;
        Relation source = try_table_open(relid, AccessShareLock);
        if (!source) continue;
        TupleDesc desc = RelationGetDescr(source);
        for (int i = 0; i < desc->natts; i++) {
            const FormData_pg_attribute* att = TupleDescAttr(desc, i);
            if (att->attisdropped || att->atttypid < FirstNormalObjectId || !TypeContains(att->atttypid, type))
                continue;
            TouchContent(relid);
            break;
        }
        table_close(source, AccessShareLock);
    }
}

bool ChangesRowType(const AlterTableStmt* statement) {
    ListCell* cell;
    foreach (cell, statement->cmds) {
        const AlterTableType type = static_cast<const AlterTableCmd*>(lfirst(cell))->subtype;
        if (type == AT_AddColumn || type == AT_DropColumn || type == AT_AlterColumnType) return true;
    }
    return false;
}

// Only an owner may make others wait.
bool IsOwned(Oid relid) { return object_ownercheck(RelationRelationId, relid, GetUserId()); }

// For ALTER TABLE commands that change what is below a table.
struct Membership {
    Oid child, parent;
    bool comes;
};
Membership MembershipChange(const AlterTableStmt* statement, const AlterTableCmd* command) {
    const Oid altered = ResolveRelation(statement->relation);
    switch (command->subtype) {
        case AT_AttachPartition:
        case AT_DetachPartition:
        case AT_DetachPartitionFinalize:
            return {ResolveRelation(reinterpret_cast<const PartitionCmd*>(command->def)->name), altered,
                    command->subtype == AT_AttachPartition};
        case AT_AddInherit:
        case AT_DropInherit:
            return {altered, ResolveRelation(reinterpret_cast<const RangeVar*>(command->def)),
                    command->subtype == AT_AddInherit};
        default: return {InvalidOid, InvalidOid, false};
    }
}

DropBehavior PrepareAlterTable(const AlterTableStmt* statement) {
    DropBehavior behavior = DROP_RESTRICT;
    const Oid relid = ResolveRelation(statement->relation);
    if (OidIsValid(relid) && ChangesRowType(statement)) TouchUsersOfType(get_rel_type_id(relid));
    if (statement->objtype != OBJECT_TABLE) return behavior;
    Touch(relid);  // although it has no mirror yet: another session may be making one
    if (!OidIsValid(relid)) return behavior;
    bool columns = false;
    ListCell* cell;
    foreach (cell, statement->cmds) {
        const auto* command = static_cast<const AlterTableCmd*>(lfirst(cell));
        columns = columns || ChangesColumns(command->subtype);
        if (command->subtype == AT_DropColumn) behavior = command->behavior;
    }
    if (columns && HasMirrorOfSource(relid) && IsOwned(relid)) {
        LockSourceAndMirrors(relid, AlterTableGetLockLevel(statement->cmds));
    }
    return behavior;
}

// After a command that may have switched row security off: what only the command tells, since it may also be on for the
// mirror alone.
void FollowRowSecurity(const AlterTableStmt* statement) {
    bool off = false;
    ListCell* cell;
    foreach (cell, statement->cmds) {
        const AlterTableType type = static_cast<const AlterTableCmd*>(lfirst(cell))->subtype;
        off |= type == AT_DisableRowSecurity || type == AT_NoForceRowSecurity;
    }
    const Oid relid = off ? ResolveRelation(statement->relation) : InvalidOid;
    Relation source = OidIsValid(relid) && HasMirrorOfSource(relid) ? try_table_open(relid, NoLock) : nullptr;
    if (!source) return;
    CommandCounterIncrement();
    foreach (cell, FindMirrorsOfSource(relid)) {
        SyncRowSecurity(static_cast<MirrorRow*>(lfirst(cell))->mirror, source, true);
    }
    table_close(source, NoLock);
}

// A table that comes below others brings its rows, one that leaves takes its own. The command has locked it; those below it
// (DETACH does not lock them) are locked here against writers.
void FinishAlterTable(const AlterTableStmt* statement) {
    ListCell* cell;
    foreach (cell, statement->cmds) {
        const Membership change = MembershipChange(statement, static_cast<const AlterTableCmd*>(lfirst(cell)));
        if (!OidIsValid(change.child) || !OidIsValid(change.parent)) continue;
        Touch(change.parent);  // DETACH ... CONCURRENTLY has had transactions of its own
        if (!HasMirrorAbove(change.parent)) continue;
        SourceMembers(change.child, ShareLock);
        if (!HasRows(change.child)) continue;
        List* sources = NIL;
        ListCell* above;
        foreach (above, SourcesAbove(change.parent)) {
            const Oid source = lfirst_oid(above);
            if (!HasMirrorOfSource(source) || IsBelowOtherwise(change.child, change.parent, source)) continue;
            sources = lappend_oid(sources, source);
        }
        if (sources != NIL && !TellMemberRows(change.child, sources, change.comes)) TouchContent(change.parent);
    }
}

// A table below sources is about to go, or its rows are: locks it, and its partitions, as the command will, and tells their
// mirrors.
void TellBeforeGoing(Oid relid, List* sources) {
    if (sources == NIL) return;
    LockRelationOid(relid, AccessExclusiveLock);
    if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid))) return;
    find_all_inheritors(relid, AccessExclusiveLock, nullptr);
    if (!TellMemberRows(relid, sources, false)) return;
    ListCell* cell;
    foreach (cell, SourceMembers(relid, NoLock)) NoteTold(lfirst_oid(cell));
}

bool IsTableOrPartitioned(Oid relid) {
    const char kind = get_rel_relkind(relid);
    return kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE;
}

// Partitions and child tables that go one by one, while what is above them stays.
void TellBeforeDrop(const DropStmt* statement) {
    List* dropped = NIL;
    ListCell* cell;
    foreach (cell, statement->objects) {
        dropped = lappend_oid(dropped, ResolveRelation(makeRangeVarFromNameList(static_cast<List*>(lfirst(cell)))));
    }
    foreach (cell, dropped) {
        const Oid relid = lfirst_oid(cell);
        if (!OidIsValid(relid) || !IsTableOrPartitioned(relid) || !IsOwned(relid)) continue;
        List* sources = MirroredAbove(relid);
        List* above = list_delete_oid(SourcesAbove(relid), relid);
        if (sources == NIL || list_length(list_difference_oid(above, dropped)) < list_length(above)) continue;
        if (get_rel_relispartition(relid)) LockRelationOid(get_partition_parent(relid, true), AccessExclusiveLock);
        TellBeforeGoing(relid, sources);
    }
}

// Truncated partitions of sources of which others stay. (When all tables of a source are truncated, the WAL says so.)
void TellBeforeTruncate(const TruncateStmt* statement) {
    List* truncated = NIL;
    ListCell* cell;
    foreach (cell, statement->relations) {
        const auto* name = static_cast<const RangeVar*>(lfirst(cell));
        const Oid relid = ResolveRelation(name);
        if (!OidIsValid(relid) || pg_class_aclcheck(relid, GetUserId(), ACL_TRUNCATE) != ACLCHECK_OK) continue;
        if (!IsTableOrPartitioned(relid)) continue;
        // In the command's order, the upper one first, if it comes to telling.
        if (get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE && MirroredAbove(relid) != NIL) {
            LockRelationOid(relid, AccessExclusiveLock);
        }
        List* members = name->inh ? SourceMembers(relid, NoLock) : list_make1_oid(relid);
        truncated = list_concat_unique_oid(truncated, members);
    }
    foreach (cell, truncated) {
        const Oid relid = lfirst_oid(cell);
        List* sources = NIL;
        ListCell* above;
        foreach (above, MirroredAbove(relid)) {
            if (list_difference_oid(SourceMembers(lfirst_oid(above), NoLock), truncated) == NIL) continue;
            sources = lappend_oid(sources, lfirst_oid(above));
        }
        TellBeforeGoing(relid, sources);
    }
}

DropBehavior PrepareDrop(const DropStmt* statement) {
    if (statement->removeType != OBJECT_TABLE) return DROP_RESTRICT;
    TellBeforeDrop(statement);
    if (statement->behavior != DROP_CASCADE) return DROP_RESTRICT;
    ListCell* cell;
    foreach (cell, statement->objects) {
        const Oid relid = ResolveRelation(makeRangeVarFromNameList(static_cast<List*>(lfirst(cell))));
        if (OidIsValid(relid) && HasMirrorOfSource(relid) && IsOwned(relid)) {
            LockSourceAndMirrors(relid, AccessExclusiveLock);
        }
    }
    return DROP_RESTRICT;
}

}  // namespace

DropBehavior PrepareCommand(const Node* node) {
    switch (nodeTag(node)) {
        case T_AlterTableStmt: return PrepareAlterTable(reinterpret_cast<const AlterTableStmt*>(node));
        case T_RenameStmt: {
            const auto* statement = reinterpret_cast<const RenameStmt*>(node);
            if (statement->renameType != OBJECT_COLUMN) break;
            const Oid relid = ResolveRelation(statement->relation);
            Touch(relid);
            if (OidIsValid(relid) && HasMirrorOfSource(relid) && IsOwned(relid)) {
                LockSourceAndMirrors(relid, AccessExclusiveLock);
            }
            break;
        }
        case T_TruncateStmt: TellBeforeTruncate(reinterpret_cast<const TruncateStmt*>(node)); break;
        case T_DropStmt: return PrepareDrop(reinterpret_cast<const DropStmt*>(node));
        case T_AlterEnumStmt: {
            const auto* statement = reinterpret_cast<const AlterEnumStmt*>(node);
            if (!statement->oldVal) break;
            const Oid type = LookupTypeNameOid(nullptr, makeTypeNameFromNameList(statement->typeName), true);
            if (!OidIsValid(type) || !object_ownercheck(TypeRelationId, type, GetUserId())) break;
            // Before looking for mirrors: a column that is being added has its lock (LockLabels).
            LockDatabaseObject(TypeRelationId, type, 0, ExclusiveLock);
            TouchUsersOfType(type);
            break;
        }
        case T_IndexStmt: Touch(ResolveRelation(reinterpret_cast<const IndexStmt*>(node)->relation)); break;
        default: break;
    }
    return DROP_RESTRICT;
}

void FinishCommand(const Node* node) {
    if (!IsA(node, AlterTableStmt)) return;
    const auto* statement = reinterpret_cast<const AlterTableStmt*>(node);
    FollowRowSecurity(statement);
    FinishAlterTable(statement);
}

}  // namespace ivy::mooncake::ddl
