// SPDX-License-Identifier: Apache-2.0
//
// Hooks for DDL. Three of them work together:
//
//   object access   sees everything that is created, altered or dropped, whatever command caused it. It deletes the
//                   catalog row of a mirror that is dropped, and notes relations whose definition was touched.
//   utility         refuses commands that would break a mirror, takes locks in an order that can't deadlock with
//                   readers, and after each command brings the mirrors of the noted relations in step
//                   (mirror_relation.cc).
//   transaction     does the same before commit, for changes that came without a utility command, and takes down worker
//                   and slot when the extension was dropped.
//
// Locks: a query locks the mirror when it is parsed and the source when it starts, so a command that changes both must
// not wait for one while it holds the other (LockSourceAndMirrors).
#include "ddl.h"

#include "pg/postgres_api.h"

extern "C" {
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_policy.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "commands/tablecmds.h"
#include "nodes/makefuncs.h"
#include "parser/parse_type.h"
#include "replication/slot.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/typcache.h"
}

#include <sys/stat.h>

#include "catalog.h"
#include "launcher.h"
#include "mirror_access.h"
#include "mirror_relation.h"
#include "provider.h"
#include "worker.h"

namespace ivy::mooncake {
namespace {

ProcessUtility_hook_type previous_utility = nullptr;
object_access_hook_type previous_access = nullptr;

// What this transaction has touched and not yet followed up. The lists live in TopTransactionContext.
List* touched = NIL;    // relations that may be sources and whose definition may have changed
List* rewritten = NIL;  // those of them whose content may have changed without row changes in the WAL
bool policies_changed = false;
bool extension_dropped = false;
bool harmless_rewrite = false;  // inside VACUUM FULL or CLUSTER: new files, same rows

void AddOid(List** list, Oid relid) {
    MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
    *list = list_append_unique_oid(*list, relid);
    MemoryContextSwitchTo(old);
}

void Touch(Oid relid) {
    if (OidIsValid(relid)) AddOid(&touched, relid);
}

// Brings the mirrors of touched relations in step.
void FollowUp(DropBehavior behavior) {
    if (policies_changed) {
        policies_changed = false;
        ForgetPolicies();
    }
    while (touched != NIL) {
        List* now = touched;
        List* changed = rewritten;
        touched = rewritten = NIL;
        if (!ExtensionExists()) return;
        CommandCounterIncrement();
        ListCell* cell;
        foreach (cell, now) {
            const Oid relid = lfirst_oid(cell);
            if (HasMirrorOfSource(relid)) SyncMirrors(relid, list_member_oid(changed, relid), behavior);
        }
    }
}

// --- object access ---------------------------------------------------------------------------------------------------

void RelationCreated(Oid relid, int subid) {
    if (subid != 0) {
        Touch(relid);
        return;
    }
    // A rewrite fills a transient relation that names the one it will replace.
    if (harmless_rewrite) return;
    Relation rel = RelationIdGetRelation(relid);
    if (!rel) return;
    const Oid replaced = rel->rd_rel->relrewrite;
    RelationClose(rel);
    if (OidIsValid(replaced)) {
        Touch(replaced);
        AddOid(&rewritten, replaced);
    }
}

void RelationDropped(Oid relid, int subid) {
    if (subid != 0) {
        Touch(relid);
    } else if (get_rel_relkind(relid) == RELKIND_INDEX) {
        Touch(IndexGetRelation(relid, true));
    } else if (HasMirrorAccessMethod(relid)) {
        DeleteMirror(relid);
    }
}

void ObjectAccess(ObjectAccessType access, Oid class_id, Oid object_id, int subid, void* argument) {
    if (previous_access) previous_access(access, class_id, object_id, subid, argument);
    if (ChangingMirror() || !IsNormalProcessingMode() || !IsTransactionState()) return;
    if (class_id == ExtensionRelationId) {
        if (access == OAT_DROP && object_id == get_extension_oid("pg_mooncake", true)) extension_dropped = true;
        return;
    }
    if (class_id == PolicyRelationId) policies_changed = true;
    if (class_id != RelationRelationId || !OidIsValid(MirrorAccessMethod())) return;
    switch (access) {
        case OAT_POST_CREATE:
            RelationCreated(object_id, subid);
            break;
        case OAT_POST_ALTER:
            Touch(object_id);
            break;
        case OAT_DROP:
            RelationDropped(object_id, subid);
            break;
        default:
            break;
    }
}

// --- refusals --------------------------------------------------------------------------------------------------------

Oid ResolveRelation(const RangeVar* name) { return name ? RangeVarGetRelid(name, NoLock, true) : InvalidOid; }

bool NamesMirror(const RangeVar* name) {
    const Oid relid = ResolveRelation(name);
    return OidIsValid(relid) && HasMirrorAccessMethod(relid);
}

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
            case AT_ForceRowSecurity:
                break;
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

bool CalledBy(const char* program) {
    const char* name = GetConfigOption("application_name", true, false);
    return name && strcmp(name, program) == 0;
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

void CheckCommand(const Node* node) {
    switch (nodeTag(node)) {
        case T_AlterTableStmt:
            CheckAlterTable(reinterpret_cast<const AlterTableStmt*>(node));
            break;
        case T_TruncateStmt:
            CheckTruncate(reinterpret_cast<const TruncateStmt*>(node));
            break;
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
        default:
            break;
    }
}

// --- locks -----------------------------------------------------------------------------------------------------------

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
        case AT_DropConstraint:
            return true;
        default:
            return false;
    }
}

// Whether values of one type hold values of another.
bool TypeContains(Oid type, Oid part) {
    check_stack_depth();
    if (type == part) return true;
    const Oid base = getBaseType(type);
    if (base != type) return TypeContains(base, part);
    const Oid element = get_element_type(type);
    if (OidIsValid(element)) return TypeContains(element, part);
    const char kind = get_typtype(type);
    if (kind == TYPTYPE_RANGE) return TypeContains(get_range_subtype(type), part);
    if (kind == TYPTYPE_MULTIRANGE) return TypeContains(get_multirange_range(type), part);
    if (kind != TYPTYPE_COMPOSITE || type == RECORDOID) return false;
    TupleDesc desc = lookup_rowtype_tupdesc_copy(type, -1);
    bool contains = false;
    for (int i = 0; i < desc->natts && !contains; i++) {
        const FormData_pg_attribute* att = TupleDescAttr(desc, i);
        contains = !att->attisdropped && TypeContains(att->atttypid, part);
    }
    FreeTupleDesc(desc);
    return contains;
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
            Touch(relid);
            AddOid(&rewritten, relid);
            break;
        }
        table_close(source, AccessShareLock);
    }
}

// After a command that may have switched row security off: what only the command tells, since it may also be on for the
// mirror alone.
void FollowRowSecurity(const Node* node) {
    if (!IsA(node, AlterTableStmt)) return;
    const auto* statement = reinterpret_cast<const AlterTableStmt*>(node);
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

bool ChangesRowType(const AlterTableStmt* statement) {
    ListCell* cell;
    foreach (cell, statement->cmds) {
        const AlterTableType type = static_cast<const AlterTableCmd*>(lfirst(cell))->subtype;
        if (type == AT_AddColumn || type == AT_DropColumn || type == AT_AlterColumnType) return true;
    }
    return false;
}

// Before a command that alters tables: notes its relation, and locks what it will change. Returns the behavior that the
// command asks for.
DropBehavior PrepareAlter(const Node* node) {
    DropBehavior behavior = DROP_RESTRICT;
    if (IsA(node, AlterTableStmt)) {
        const auto* statement = reinterpret_cast<const AlterTableStmt*>(node);
        const Oid relid = ResolveRelation(statement->relation);
        if (OidIsValid(relid) && ChangesRowType(statement)) TouchUsersOfType(get_rel_type_id(relid));
        if (statement->objtype != OBJECT_TABLE) return behavior;
        Touch(relid);  // although it has no mirror yet: another session may be making one
        if (!OidIsValid(relid) || !HasMirrorOfSource(relid)) return behavior;
        bool columns = false;
        ListCell* cell;
        foreach (cell, statement->cmds) {
            const auto* command = static_cast<const AlterTableCmd*>(lfirst(cell));
            columns = columns || ChangesColumns(command->subtype);
            if (command->subtype == AT_DropColumn) behavior = command->behavior;
        }
        // Only an owner may make others wait.
        if (columns && object_ownercheck(RelationRelationId, relid, GetUserId())) {
            LockSourceAndMirrors(relid, AlterTableGetLockLevel(statement->cmds));
        }
    } else if (IsA(node, RenameStmt)) {
        const auto* statement = reinterpret_cast<const RenameStmt*>(node);
        if (statement->renameType != OBJECT_COLUMN) return behavior;
        const Oid relid = ResolveRelation(statement->relation);
        Touch(relid);
        if (!OidIsValid(relid) || !HasMirrorOfSource(relid)) return behavior;
        if (object_ownercheck(RelationRelationId, relid, GetUserId())) LockSourceAndMirrors(relid, AccessExclusiveLock);
    } else if (IsA(node, DropStmt)) {
        const auto* statement = reinterpret_cast<const DropStmt*>(node);
        if (statement->removeType != OBJECT_TABLE || statement->behavior != DROP_CASCADE) return behavior;
        ListCell* cell;
        foreach (cell, statement->objects) {
            const RangeVar* name = makeRangeVarFromNameList(static_cast<List*>(lfirst(cell)));
            const Oid relid = ResolveRelation(name);
            if (!OidIsValid(relid) || !HasMirrorOfSource(relid)) continue;
            if (object_ownercheck(RelationRelationId, relid, GetUserId())) {
                LockSourceAndMirrors(relid, AccessExclusiveLock);
            }
        }
    } else if (IsA(node, AlterEnumStmt)) {
        const auto* statement = reinterpret_cast<const AlterEnumStmt*>(node);
        if (statement->oldVal)
            TouchUsersOfType(LookupTypeNameOid(nullptr, makeTypeNameFromNameList(statement->typeName), true));
    } else if (IsA(node, IndexStmt)) {
        Touch(ResolveRelation(reinterpret_cast<const IndexStmt*>(node)->relation));
    }
    return behavior;
}

// --- databases and the extension -------------------------------------------------------------------------------------

void PauseNamed(const char* name, bool forget) {
    const Oid database = name ? get_database_oid(name, true) : InvalidOid;
    if (!OidIsValid(database)) return;
    if (object_ownercheck(DatabaseRelationId, database, GetUserId())) PauseWorker(database, forget);
}

// Commands that need a database without connections.
void PrepareDatabaseCommand(const Node* node) {
    switch (nodeTag(node)) {
        case T_DropdbStmt:
            PauseNamed(reinterpret_cast<const DropdbStmt*>(node)->dbname, true);
            break;
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
        default:
            break;
    }
}

Oid DroppedDatabase(const Node* node) {
    return IsA(node, DropdbStmt) ? get_database_oid(reinterpret_cast<const DropdbStmt*>(node)->dbname, true)
                                 : InvalidOid;
}

// After DROP DATABASE, which can't be taken back: its engine and the files of its mirrors go, too.
void RemoveDatabase(Oid database) {
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

void EndOfTransaction(XactEvent event, void*) {
    switch (event) {
        case XACT_EVENT_PRE_COMMIT:
        case XACT_EVENT_PRE_PREPARE:
            if (touched != NIL || policies_changed) {
                PushActiveSnapshot(GetTransactionSnapshot());
                FollowUp(DROP_RESTRICT);
                PopActiveSnapshot();
            }
            if (extension_dropped && !ExtensionExists()) {
                if (event == XACT_EVENT_PRE_PREPARE) {
                    ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                            errmsg("cannot PREPARE a transaction that has dropped extension \"pg_mooncake\""));
                }
                RemoveCapture();
            }
            break;
        case XACT_EVENT_COMMIT:
        case XACT_EVENT_ABORT:
        case XACT_EVENT_PREPARE:
            touched = rewritten = NIL;
            policies_changed = extension_dropped = false;
            break;
        default:
            break;
    }
}

// --- hooks -----------------------------------------------------------------------------------------------------------

// pg_dump reads every table. A mirror's rows are its source's, and the restored mirror is copied from there.
Node* WithoutRowsForDump(CopyStmt* statement) {
    if (statement->is_from || !statement->relation || !NamesMirror(statement->relation)) return nullptr;
    if (!CalledBy("pg_dump")) return nullptr;
    CopyStmt* empty = static_cast<CopyStmt*>(copyObjectImpl(statement));
    empty->whereClause = nullptr;
    SelectStmt* select = makeNode(SelectStmt);
    ListCell* cell;
    foreach (cell, statement->attlist) {
        ResTarget* target = makeNode(ResTarget);
        ColumnRef* column = makeNode(ColumnRef);
        column->fields = list_make1(copyObjectImpl(lfirst(cell)));
        column->location = target->location = -1;
        target->val = reinterpret_cast<Node*>(column);
        select->targetList = lappend(select->targetList, target);
    }
    select->fromClause = list_make1(copyObjectImpl(statement->relation));
    A_Const* limit = makeNode(A_Const);
    limit->val.ival.type = T_Integer;
    limit->val.ival.ival = 0;
    limit->location = -1;
    select->limitCount = reinterpret_cast<Node*>(limit);
    select->limitOption = LIMIT_OPTION_COUNT;
    empty->relation = nullptr;
    empty->attlist = NIL;
    empty->query = reinterpret_cast<Node*>(select);
    return reinterpret_cast<Node*>(empty);
}

// The arguments of a utility hook.
struct Command {
    PlannedStmt* statement;
    const char* query;
    bool read_only;
    ProcessUtilityContext context;
    ParamListInfo params;
    QueryEnvironment* environment;
    DestReceiver* receiver;
    QueryCompletion* completion;
};

void RunPrevious(const Command& c) {
    (previous_utility ? previous_utility : standard_ProcessUtility)(c.statement, c.query, c.read_only, c.context,
                                                                    c.params, c.environment, c.receiver, c.completion);
}

// VACUUM FULL and CLUSTER.
void RunHarmlessRewrite(const Command& command) {
    harmless_rewrite = true;
    PG_TRY();
    {
        RunPrevious(command);
    }
    PG_FINALLY();
    {
        harmless_rewrite = false;
    }
    PG_END_TRY();
}

void Utility(PlannedStmt* statement, const char* query, bool read_only, ProcessUtilityContext context,
             ParamListInfo params, QueryEnvironment* environment, DestReceiver* receiver, QueryCompletion* completion) {
    Command command = {statement, query, read_only, context, params, environment, receiver, completion};
    Node* node = statement->utilityStmt;
    // Commands of transactions run when there is none, or a failed one.
    if (IsA(node, TransactionStmt) || !IsTransactionState()) {
        RunPrevious(command);
        return;
    }
    PrepareDatabaseCommand(node);
    const Oid dropped_database = DroppedDatabase(node);
    DropBehavior behavior = DROP_RESTRICT;
    List* access = NIL;
    if (OidIsValid(MirrorAccessMethod())) {
        CheckCommand(node);
        behavior = PrepareAlter(node);
        access = NoteAccess(node);
        Node* empty = IsA(node, CopyStmt) ? WithoutRowsForDump(reinterpret_cast<CopyStmt*>(node)) : nullptr;
        if (empty) {
            command.statement = static_cast<PlannedStmt*>(copyObjectImpl(statement));
            command.statement->utilityStmt = empty;
        }
    }
    if (IsA(node, VacuumStmt) || IsA(node, ClusterStmt)) {
        RunHarmlessRewrite(command);
    } else {
        RunPrevious(command);
    }
    if (OidIsValid(dropped_database)) RemoveDatabase(dropped_database);
    if (!IsTransactionState()) return;
    FollowAccess(access);
    FollowRowSecurity(node);
    if (touched != NIL || policies_changed) FollowUp(behavior);
}

}  // namespace

void InitDdl() {
    previous_utility = ProcessUtility_hook;
    ProcessUtility_hook = Utility;
    previous_access = object_access_hook;
    object_access_hook = ObjectAccess;
    RegisterXactCallback(EndOfTransaction, nullptr);
}

}  // namespace ivy::mooncake
