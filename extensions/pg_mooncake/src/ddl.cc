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
#include "ddl.h"

#include "ddl_internal.h"

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
#include "source.h"
#include "worker.h"

namespace ivy::mooncake {

using namespace ddl;

namespace {

ProcessUtility_hook_type previous_utility = nullptr;
object_access_hook_type previous_access = nullptr;

bool extension_dropped = false;
bool harmless_rewrite = false;  // inside VACUUM FULL or CLUSTER: new files, same rows

// --- object access ---------------------------------------------------------------------------------------------------

void RelationCreated(Oid relid, int subid) {
    Touch(relid);  // it may be a partition
    if (subid != 0) return;
    // A rewrite fills a transient relation that names the one it will replace.
    if (harmless_rewrite) return;
    Relation rel = RelationIdGetRelation(relid);
    if (!rel) return;
    const Oid replaced = rel->rd_rel->relrewrite;
    RelationClose(rel);
    TouchContent(replaced);
}

void RelationDropped(Oid relid, int subid) {
    if (subid != 0) {
        Touch(relid);
        return;
    }
    const char kind = get_rel_relkind(relid);
    if (kind == RELKIND_INDEX || kind == RELKIND_PARTITIONED_INDEX) {
        Touch(IndexGetRelation(relid, true));
    } else if (HasMirrorAccessMethod(relid)) {
        DeleteMirror(relid);
    } else if (kind == RELKIND_RELATION && HasMirrorAbove(relid)) {
        TouchAbove(relid, !WasTold(relid) && HasRows(relid));
    }
}

void ObjectAccess(ObjectAccessType access, Oid class_id, Oid object_id, int subid, void* argument) {
    if (previous_access) previous_access(access, class_id, object_id, subid, argument);
    if (ChangingMirror() || !IsNormalProcessingMode() || !IsTransactionState()) return;
    if (class_id == ExtensionRelationId) {
        if (access == OAT_DROP && object_id == get_extension_oid("pg_mooncake", true)) extension_dropped = true;
        return;
    }
    if (class_id == PolicyRelationId) TouchPolicies();
    if (class_id != RelationRelationId || !OidIsValid(MirrorAccessMethod())) return;
    switch (access) {
        case OAT_POST_CREATE: RelationCreated(object_id, subid); break;
        case OAT_POST_ALTER: Touch(object_id); break;
        case OAT_TRUNCATE: NoteTruncated(object_id); break;
        case OAT_DROP: RelationDropped(object_id, subid); break;
        default: break;
    }
}

// --- the end of the transaction --------------------------------------------------------------------------------------

void EndOfTransaction(XactEvent event, void*) {
    switch (event) {
        case XACT_EVENT_PRE_COMMIT:
        case XACT_EVENT_PRE_PREPARE:
            if (AnythingTouched()) {
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
            ForgetTouched();
            extension_dropped = false;
            break;
        default: break;
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
        behavior = PrepareCommand(node);
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
    if (OidIsValid(MirrorAccessMethod())) FinishCommand(node);
    if (AnythingTouched()) FollowUp(behavior);
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
