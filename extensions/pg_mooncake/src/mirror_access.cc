// SPDX-License-Identifier: Apache-2.0
// Privileges and row security of mirrors.
#include "mirror_access.h"

extern "C" {
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "commands/tablecmds.h"
#include "nodes/makefuncs.h"
#include "rewrite/rowsecurity.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/inval.h"
}

#include "catalog.h"
#include "mirror_relation.h"
#include "provider.h"

namespace ivy::mooncake {
namespace {

// --- privileges ------------------------------------------------------------------------------------------------------

// The ACL of a relation (attnum 0) or one of its columns; null stands for the default one.
Acl* ReadAcl(Oid relid, AttrNumber attnum) {
    HeapTuple tuple = attnum == 0 ? SearchSysCache1(RELOID, ObjectIdGetDatum(relid))
                                  : SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid), Int16GetDatum(attnum));
    if (!HeapTupleIsValid(tuple)) return nullptr;
    bool is_null;
    const Datum value = attnum == 0 ? SysCacheGetAttr(RELOID, tuple, Anum_pg_class_relacl, &is_null)
                                    : SysCacheGetAttr(ATTNUM, tuple, Anum_pg_attribute_attacl, &is_null);
    Acl* acl = is_null ? nullptr : DatumGetAclPCopy(value);
    ReleaseSysCache(tuple);
    return acl;
}

void WriteAcl(Oid relid, AttrNumber attnum, Oid owner, const Acl* acl) {
    Oid *old_members, *members;
    Acl* before = ReadAcl(relid, attnum);
    const int old_count = before ? aclmembers(before, &old_members) : 0;
    const int count = acl ? aclmembers(acl, &members) : 0;
    if (!before) old_members = nullptr;
    if (!acl) members = nullptr;

    const bool is_null = !acl || (attnum != 0 && ACL_NUM(acl) == 0);
    Datum values[Max(Natts_pg_class, Natts_pg_attribute)] = {};
    bool nulls[Max(Natts_pg_class, Natts_pg_attribute)] = {};
    bool replace[Max(Natts_pg_class, Natts_pg_attribute)] = {};
    const int column = (attnum == 0 ? Anum_pg_class_relacl : Anum_pg_attribute_attacl) - 1;
    values[column] = PointerGetDatum(acl);
    nulls[column] = is_null;
    replace[column] = true;
    Relation catalog = table_open(attnum == 0 ? RelationRelationId : AttributeRelationId, RowExclusiveLock);
    HeapTuple tuple = attnum == 0 ? SearchSysCacheCopy1(RELOID, ObjectIdGetDatum(relid))
                                  : SearchSysCacheCopy2(ATTNUM, ObjectIdGetDatum(relid), Int16GetDatum(attnum));
    if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for relation %u", relid);
    tuple = heap_modify_tuple(tuple, RelationGetDescr(catalog), values, nulls, replace);
    CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
    table_close(catalog, RowExclusiveLock);
    updateAclDependencies(RelationRelationId, relid, attnum, owner, old_count, old_members, count, members);
    CommandCounterIncrement();
}

// Adds or takes what "item" has of SELECT in *acl, as far as "except" has it not.
void ChangeSelect(Acl** acl, Oid owner, AclItem item, const Acl* except, Oid except_owner, int mode) {
    if (item.ai_grantee == except_owner) return;  // owners have their own
    AclMode privileges = ACLITEM_GET_PRIVS(item) & ACL_SELECT;
    AclMode options = ACLITEM_GET_GOPTIONS(item) & ACL_SELECT;
    for (int i = 0; except && i < ACL_NUM(except); i++) {
        const AclItem& other = ACL_DAT(except)[i];
        if (other.ai_grantee != item.ai_grantee || other.ai_grantor != item.ai_grantor) continue;
        privileges &= ~ACLITEM_GET_PRIVS(other);
        options &= ~ACLITEM_GET_GOPTIONS(other);
    }
    if (privileges == ACL_NO_RIGHTS && options == ACL_NO_RIGHTS) return;
    if (item.ai_grantor == except_owner) item.ai_grantor = owner;
    if (item.ai_grantee == owner) return;
    ACLITEM_SET_PRIVS_GOPTIONS(item, privileges, options);
    *acl = aclupdate(*acl, &item, mode, owner, DROP_CASCADE);
}

// Does to a mirror's ACL what a command did to its source's: SELECT that was taken is taken, what was given is given.
void FollowAcl(Oid mirror, AttrNumber attnum, Oid source_owner, const Acl* before, const Acl* after) {
    const Oid owner = OwnerOf(mirror);
    const Acl* current = ReadAcl(mirror, attnum);
    Acl* acl = current ? aclcopy(current) : acldefault(attnum == 0 ? OBJECT_TABLE : OBJECT_COLUMN, owner);
    for (int i = 0; before && i < ACL_NUM(before); i++) {
        ChangeSelect(&acl, owner, ACL_DAT(before)[i], after, source_owner, ACL_MODECHG_DEL);
    }
    for (int i = 0; after && i < ACL_NUM(after); i++) {
        ChangeSelect(&acl, owner, ACL_DAT(after)[i], before, source_owner, ACL_MODECHG_ADD);
    }
    if (current ? !aclequal(current, acl) : ACL_NUM(acl) > (attnum == 0 ? 1 : 0)) WriteAcl(mirror, attnum, owner, acl);
}

// Owner and privileges of one source.
struct Access {
    Oid source;
    Oid owner;
    int columns;
    Acl** acl;  // [0]: of the table; [n]: of column n
};

Access* ReadAccess(Oid source) {
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(source));
    if (!HeapTupleIsValid(tuple)) return nullptr;
    const auto* form = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
    auto* access = static_cast<Access*>(palloc0(sizeof(Access)));
    access->source = source;
    access->owner = form->relowner;
    access->columns = form->relnatts;
    ReleaseSysCache(tuple);
    access->acl = static_cast<Acl**>(palloc0(sizeof(Acl*) * static_cast<size_t>(access->columns + 1)));
    for (int i = 0; i <= access->columns; i++) access->acl[i] = ReadAcl(source, static_cast<AttrNumber>(i));
    return access;
}

void FollowOwner(Oid mirror, Oid before, Oid after) {
    if (before == after || OwnerOf(mirror) != before) return;
    LockRelationOid(mirror, AccessExclusiveLock);
    ATExecChangeOwner(mirror, after, true, AccessExclusiveLock);
    CommandCounterIncrement();
}

// --- policies --------------------------------------------------------------------------------------------------------

char PolicyCommand(CmdType command) {
    switch (command) {
        case CMD_SELECT: return ACL_SELECT_CHR;
        case CMD_INSERT: return ACL_INSERT_CHR;
        case CMD_UPDATE: return ACL_UPDATE_CHR;
        case CMD_DELETE: return ACL_DELETE_CHR;
        default: return '\0';
    }
}

// A policy that lets nobody see anything.
List* DenyAll() {
    auto* policy = static_cast<RowSecurityPolicy*>(palloc0(sizeof(RowSecurityPolicy)));
    policy->policy_name = pstrdup("source is gone");
    policy->polcmd = '*';
    Datum everybody = ObjectIdGetDatum(ACL_ID_PUBLIC);
    policy->roles = construct_array_builtin(&everybody, 1, OIDOID);
    policy->qual = reinterpret_cast<Expr*>(makeBoolConst(false, false));
    return list_make1(policy);
}

// The source's policies of one kind, for a query on its mirror. The columns' numbers are the same in both.
List* SourcePolicies(CmdType command, Relation relation, bool permissive) {
    const Oid access_method = MirrorAccessMethod();
    ColumnRelation mirror;
    if (!OidIsValid(access_method) || relation->rd_rel->relam != access_method ||
        !LookupMirror(RelationGetRelid(relation), &mirror)) {
        return NIL;
    }
    // Not waiting, as when the query starts: a command that changes both may wait for the mirror's lock, held here.
    ConditionalLockRelationOid(mirror.source, AccessShareLock);
    Relation source = RelationIdGetRelation(mirror.source);
    if (!source) return permissive ? NIL : DenyAll();
    List* policies = NIL;
    ListCell* cell;
    foreach (cell, source->rd_rel->relrowsecurity && source->rd_rsdesc ? source->rd_rsdesc->policies : NIL) {
        const auto* policy = static_cast<RowSecurityPolicy*>(lfirst(cell));
        if (policy->permissive != permissive || (policy->polcmd != '*' && policy->polcmd != PolicyCommand(command))) {
            continue;
        }
        auto* copy = static_cast<RowSecurityPolicy*>(palloc(sizeof(RowSecurityPolicy)));
        *copy = *policy;
        copy->policy_name = pstrdup(policy->policy_name);
        copy->roles = DatumGetArrayTypePCopy(PointerGetDatum(policy->roles));
        copy->qual = static_cast<Expr*>(copyObjectImpl(policy->qual));
        copy->with_check_qual = static_cast<Expr*>(copyObjectImpl(policy->with_check_qual));
        policies = lappend(policies, copy);
    }
    RelationClose(source);
    return policies;
}

row_security_policy_hook_type previous_permissive, previous_restrictive;

List* Permissive(CmdType command, Relation relation) {
    List* policies = previous_permissive ? previous_permissive(command, relation) : NIL;
    return list_concat(policies, SourcePolicies(command, relation, true));
}

List* Restrictive(CmdType command, Relation relation) {
    List* policies = previous_restrictive ? previous_restrictive(command, relation) : NIL;
    return list_concat(policies, SourcePolicies(command, relation, false));
}

}  // namespace

Oid OwnerOf(Oid relation) {
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
    if (!HeapTupleIsValid(tuple)) return InvalidOid;
    const Oid owner = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relowner;
    ReleaseSysCache(tuple);
    return owner;
}

void CopyAccess(Oid mirror, Relation source) {
    const Access* access = ReadAccess(RelationGetRelid(source));
    const Oid owner = OwnerOf(mirror);
    // What default privileges gave goes.
    if (ReadAcl(mirror, 0)) WriteAcl(mirror, 0, owner, acldefault(OBJECT_TABLE, owner));
    for (int i = 0; i <= access->columns; i++) {
        FollowAcl(mirror, static_cast<AttrNumber>(i), access->owner, nullptr, access->acl[i]);
    }
    SyncRowSecurity(mirror, source, true);
}

void SyncRowSecurity(Oid mirror, Relation source, bool exactly) {
    const FormData_pg_class* want = source->rd_rel;
    HeapTuple tuple = SearchSysCacheCopy1(RELOID, ObjectIdGetDatum(mirror));
    if (!HeapTupleIsValid(tuple)) return;
    auto* form = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
    const bool enabled = want->relrowsecurity || (!exactly && form->relrowsecurity);
    const bool forced = want->relforcerowsecurity || (!exactly && form->relforcerowsecurity);
    if (form->relrowsecurity == enabled && form->relforcerowsecurity == forced) return;
    // As ALTER TABLE does it.
    LockRelationOid(mirror, AccessExclusiveLock);
    form->relrowsecurity = enabled;
    form->relforcerowsecurity = forced;
    Relation catalog = table_open(RelationRelationId, RowExclusiveLock);
    CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
    table_close(catalog, RowExclusiveLock);
    CommandCounterIncrement();
}

List* NoteAccess(const Node* command) {
    bool may_change = IsA(command, GrantStmt) && reinterpret_cast<const GrantStmt*>(command)->objtype == OBJECT_TABLE;
    if (IsA(command, AlterTableStmt)) {
        ListCell* cell;
        foreach (cell, reinterpret_cast<const AlterTableStmt*>(command)->cmds) {
            may_change |= static_cast<AlterTableCmd*>(lfirst(cell))->subtype == AT_ChangeOwner;
        }
    }
    if (!may_change) return NIL;
    List* before = NIL;
    ListCell* cell;
    foreach (cell, ListMirrors()) {
        if (Access* access = ReadAccess(static_cast<MirrorRow*>(lfirst(cell))->source))
            before = lappend(before, access);
    }
    return before;
}

void FollowAccess(List* before) {
    if (before == NIL) return;
    CommandCounterIncrement();
    ListCell* cell;
    foreach (cell, before) {
        const auto* old = static_cast<Access*>(lfirst(cell));
        const Access* now = ReadAccess(old->source);
        if (!now) continue;
        bool changed = old->owner != now->owner;
        for (int i = 0; i <= now->columns && !changed; i++) {
            const bool both = old->acl[i] && now->acl[i];
            changed = both ? !aclequal(old->acl[i], now->acl[i]) : old->acl[i] != now->acl[i];
        }
        ListCell* row;
        foreach (row, changed ? FindMirrorsOfSource(old->source) : NIL) {
            const Oid mirror = static_cast<MirrorRow*>(lfirst(row))->mirror;
            if (old->owner != now->owner) {
                // A new owner takes the old one's place in the privileges, too.
                FollowOwner(mirror, old->owner, now->owner);
                continue;
            }
            for (int i = 0; i <= now->columns; i++) {
                FollowAcl(mirror, static_cast<AttrNumber>(i), now->owner, old->acl[i], now->acl[i]);
            }
        }
    }
}

void ForgetPolicies(void) {
    ListCell* cell;
    foreach (cell, ListMirrors()) {
        CacheInvalidateRelcacheByRelid(static_cast<MirrorRow*>(lfirst(cell))->mirror);
    }
}

void InitAccess(void) {
    previous_permissive = row_security_policy_hook_permissive;
    row_security_policy_hook_permissive = Permissive;
    previous_restrictive = row_security_policy_hook_restrictive;
    row_security_policy_hook_restrictive = Restrictive;
}

}  // namespace ivy::mooncake
