// SPDX-License-Identifier: Apache-2.0
#include "source.h"

extern "C" {
#include "access/genam.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_am.h"
#include "catalog/pg_inherits.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
}

namespace ivy::mooncake {
namespace {

constexpr char kHintKeyless[] =
    "Add a primary key, or set REPLICA IDENTITY USING INDEX. For a table without a key, set REPLICA IDENTITY FULL and "
    "use option \"identity\": \"full\"; for one whose rows are never updated or deleted, \"identity\": "
    "\"append_only\".";
constexpr char kHintFull[] =
    "Use ALTER TABLE ... REPLICA IDENTITY FULL. It makes the WAL of updates and deletes larger.";

SourceCheck Problem(int sqlerrcode, const char* problem, const char* hint) {
    return {problem, hint, sqlerrcode, nullptr, 0};
}

// The replica identity of a table as decoding sees it: the primary key; or the index that REPLICA IDENTITY USING INDEX
// names; with REPLICA IDENTITY FULL the primary key. With a problem, there is none.
SourceCheck KeyOf(Relation table) {
    Oid index_oid = InvalidOid;
    const char* reason;
    switch (table->rd_rel->relreplident) {
        case REPLICA_IDENTITY_NOTHING:
            return Problem(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "its replica identity is NOTHING",
                           "Use ALTER TABLE ... REPLICA IDENTITY DEFAULT.");
        case REPLICA_IDENTITY_FULL:
            index_oid = RelationGetPrimaryKeyIndex(table, false);
            reason = "its replica identity is FULL and it has no primary key";
            break;
        case REPLICA_IDENTITY_INDEX:
            index_oid = RelationGetReplicaIndex(table);
            reason = "the index of its replica identity does not exist any more";
            break;
        default:
            index_oid = RelationGetReplicaIndex(table);
            reason = "it has no primary key, or a deferrable one";
            break;
    }
    if (!OidIsValid(index_oid)) {
        const bool full = table->rd_rel->relreplident == REPLICA_IDENTITY_FULL;
        return Problem(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, reason,
                       full ? "Add a primary key, or use option \"identity\": \"full\"." : kHintKeyless);
    }
    Relation index = index_open(index_oid, AccessShareLock);
    SourceCheck check = {};
    check.key_count = IndexRelationGetNumberOfKeyAttributes(index);
    check.key = static_cast<int16*>(palloc(sizeof(int16) * check.key_count));
    for (int i = 0; i < check.key_count; i++) check.key[i] = index->rd_index->indkey.values[i];
    index_close(index, NoLock);
    return check;
}

// All columns that a mirror stores.
SourceCheck WholeRow(Relation source, const MirrorOptions& options) {
    TupleDesc desc = RelationGetDescr(source);
    SourceCheck check = {};
    check.key = static_cast<int16*>(palloc(sizeof(int16) * Max(desc->natts, 1)));
    for (int i = 0; i < desc->natts; i++) {
        const FormData_pg_attribute* att = TupleDescAttr(desc, i);
        if (att->attisdropped || att->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL) continue;
        if (IsStoredColumn(options, NameStr(att->attname))) check.key[check.key_count++] = att->attnum;
    }
    if (check.key_count == 0) {
        return Problem(ERRCODE_FEATURE_NOT_SUPPORTED, "it has no column that a mirror could store", nullptr);
    }
    return check;
}

// What a table that holds rows must be, whatever its identity.
const char* StorageProblem(const FormData_pg_class* form) {
    if (form->relkind != RELKIND_RELATION) return "it is not a table";
    if (form->relpersistence == RELPERSISTENCE_TEMP) return "it is temporary, so its changes are not in the WAL";
    if (form->relpersistence == RELPERSISTENCE_UNLOGGED) return "it is unlogged, so its changes are not in the WAL";
    if (form->relam != HEAP_TABLE_AM_OID) return "it is not a row table (access method heap)";
    return nullptr;
}

// Whether the WAL of a member's updates and deletes has the source's key.
SourceCheck CheckMemberKey(Relation source, const SourceCheck& wanted, Relation member) {
    if (member->rd_rel->relreplident == REPLICA_IDENTITY_FULL) return SourceCheck{};
    const SourceCheck own = KeyOf(member);
    if (own.problem) return own;
    for (int i = 0; i < wanted.key_count; i++) {
        const AttrNumber attribute =
            SameNamedAttribute(RelationGetDescr(source), wanted.key[i], RelationGetDescr(member));
        bool found = false;
        for (int j = 0; j < own.key_count; j++) found = found || own.key[j] == attribute;
        if (!found) {
            return Problem(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                           "its replica identity is not that of the whole table",
                           "Use ALTER TABLE ... REPLICA IDENTITY on it.");
        }
    }
    return SourceCheck{};
}

SourceCheck CheckTable(Relation source, const SourceCheck& wanted, const MirrorOptions& options, Relation table) {
    if (const char* storage = StorageProblem(table->rd_rel))
        return Problem(ERRCODE_WRONG_OBJECT_TYPE, storage, nullptr);
    switch (options.identity) {
        case Identity::kKey: return source == table ? SourceCheck{} : CheckMemberKey(source, wanted, table);
        case Identity::kFull:
            if (table->rd_rel->relreplident == REPLICA_IDENTITY_FULL) break;
            return Problem(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "its replica identity is not FULL", kHintFull);
        case Identity::kAppendOnly: break;
    }
    return SourceCheck{};
}

// Tables of which a partition is just being detached CONCURRENTLY show it to some snapshots only.
bool IsBeingDetached(Oid parent) {
    bool pending = false;
    list_free(find_inheritance_children_extended(parent, false, NoLock, &pending, nullptr));
    return pending;
}

SourceCheck CheckMembers(Relation source, const SourceCheck& wanted, const MirrorOptions& options) {
    ListCell* cell;
    foreach (cell, find_all_inheritors(RelationGetRelid(source), NoLock, nullptr)) {
        const Oid relid = lfirst_oid(cell);
        if (relid == RelationGetRelid(source)) {
            if (source->rd_rel->relkind == RELKIND_PARTITIONED_TABLE && IsBeingDetached(relid)) {
                return Problem(ERRCODE_OBJECT_IN_USE, "a partition is being detached from it", nullptr);
            }
            continue;
        }
        Relation member = RelationIdGetRelation(relid);
        if (!RelationIsValid(member)) continue;  // dropped just now
        SourceCheck check = {};
        if (member->rd_rel->relkind == RELKIND_PARTITIONED_TABLE) {
            if (IsBeingDetached(relid)) {
                check = Problem(ERRCODE_OBJECT_IN_USE, "a partition is being detached from it", nullptr);
            }
        } else {
            check = CheckTable(source, wanted, options, member);
        }
        if (check.problem) {
            check.problem = psprintf("%s \"%s\": %s", member->rd_rel->relispartition ? "partition" : "child table",
                                     RelationGetRelationName(member), check.problem);
        }
        RelationClose(member);
        if (check.problem) return check;
    }
    return wanted;
}

// The identity's columns must be stored, and what virtual columns are computed from is the row table's matter.
SourceCheck CheckStored(Relation source, const SourceCheck& wanted, const MirrorOptions& options) {
    for (int i = 0; i < wanted.key_count; i++) {
        const char* name = NameStr(TupleDescAttr(RelationGetDescr(source), wanted.key[i] - 1)->attname);
        if (IsStoredColumn(options, name)) continue;
        return Problem(ERRCODE_INVALID_PARAMETER_VALUE,
                       psprintf("column \"%s\" of its identity is not among the columns to store", name),
                       "Add it to option \"columns\".");
    }
    return wanted;
}

// A list with the tables that a table is a partition of, or inherits from.
List* AddParents(List* list, Relation inherits, Oid child) {
    ScanKeyData key;
    ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(child));
    SysScanDesc scan = systable_beginscan(inherits, InheritsRelidSeqnoIndexId, true, nullptr, 1, &key);
    while (HeapTuple tuple = systable_getnext(scan)) {
        list = list_append_unique_oid(list, reinterpret_cast<Form_pg_inherits>(GETSTRUCT(tuple))->inhparent);
    }
    systable_endscan(scan);
    return list;
}

}  // namespace

AttrNumber SameNamedAttribute(TupleDesc from, AttrNumber attribute, TupleDesc to) {
    const char* name = NameStr(TupleDescAttr(from, attribute - 1)->attname);
    // Mostly at the same place.
    if (attribute <= to->natts) {
        const FormData_pg_attribute* att = TupleDescAttr(to, attribute - 1);
        if (!att->attisdropped && strcmp(NameStr(att->attname), name) == 0) return attribute;
    }
    for (int i = 0; i < to->natts; i++) {
        const FormData_pg_attribute* att = TupleDescAttr(to, i);
        if (!att->attisdropped && strcmp(NameStr(att->attname), name) == 0) return att->attnum;
    }
    return InvalidAttrNumber;
}

bool HasMembers(Relation source) {
    if (source->rd_rel->relkind == RELKIND_PARTITIONED_TABLE) return true;
    return source->rd_rel->relhassubclass && find_inheritance_children(RelationGetRelid(source), NoLock) != NIL;
}

List* SourceMembers(Oid source, LOCKMODE lockmode) {
    List* members = NIL;
    ListCell* cell;
    foreach (cell, find_all_inheritors(source, NoLock, nullptr)) {
        const Oid relid = lfirst_oid(cell);
        if (lockmode != NoLock && relid != source) LockRelationOid(relid, lockmode);
        if (get_rel_relkind(relid) == RELKIND_RELATION) members = lappend_oid(members, relid);
    }
    list_sort(members, list_oid_cmp);
    return members;
}

List* SourcesAbove(Oid relid) {
    List* above = list_make1_oid(relid);
    Relation inherits = table_open(InheritsRelationId, AccessShareLock);
    for (int i = 0; i < list_length(above); i++) above = AddParents(above, inherits, list_nth_oid(above, i));
    table_close(inherits, AccessShareLock);
    return above;
}

bool IsBelowOtherwise(Oid child, Oid parent, Oid source) {
    Relation inherits = table_open(InheritsRelationId, AccessShareLock);
    List* parents = AddParents(NIL, inherits, child);
    table_close(inherits, AccessShareLock);
    ListCell* cell;
    foreach (cell, parents) {
        if (lfirst_oid(cell) != parent && list_member_oid(SourcesAbove(lfirst_oid(cell)), source)) return true;
    }
    return false;
}

List* MirroredAbove(Oid relid) {
    List* mirrored = NIL;
    ListCell* cell;
    foreach (cell, SourcesAbove(relid)) {
        if (lfirst_oid(cell) != relid && HasMirrorOfSource(lfirst_oid(cell)))
            mirrored = lappend_oid(mirrored, lfirst_oid(cell));
    }
    return mirrored;
}

bool HasMirrorAbove(Oid relid) {
    ListCell* cell;
    foreach (cell, SourcesAbove(relid)) {
        if (HasMirrorOfSource(lfirst_oid(cell))) return true;
    }
    return false;
}

SourceCheck CheckSource(Relation source, const MirrorOptions& options) {
    const bool partitioned = source->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
    const bool members = HasMembers(source);
    if (!partitioned) {
        if (const char* problem = StorageProblem(source->rd_rel)) {
            const bool kind = source->rd_rel->relkind != RELKIND_RELATION ||
                              source->rd_rel->relpersistence != RELPERSISTENCE_PERMANENT;
            return Problem(kind ? ERRCODE_WRONG_OBJECT_TYPE : ERRCODE_FEATURE_NOT_SUPPORTED, problem, nullptr);
        }
    }
    SourceCheck wanted = {};
    switch (options.identity) {
        case Identity::kKey:
            if (members && !partitioned) {
                return Problem(ERRCODE_FEATURE_NOT_SUPPORTED, "it has child tables, in which its key may occur again",
                               "Set REPLICA IDENTITY FULL on all of them and use option \"identity\": \"full\".");
            }
            wanted = KeyOf(source);
            break;
        case Identity::kFull: wanted = WholeRow(source, options); break;
        case Identity::kAppendOnly:
            if (const SourceCheck whole = WholeRow(source, options); whole.problem) return whole;
            break;
    }
    if (wanted.problem) return wanted;
    if (!partitioned) {
        const SourceCheck own = CheckTable(source, wanted, options, source);
        if (own.problem) return own;
    }
    wanted = CheckStored(source, wanted, options);
    return wanted.problem || !members ? wanted : CheckMembers(source, wanted, options);
}

void LockMembership(Oid source, Identity identity) {
    const bool partitioned = get_rel_relkind(source) == RELKIND_PARTITIONED_TABLE;
    if (!partitioned && identity == Identity::kKey) return;
    ListCell* cell;
    LockRelationOid(source, ShareUpdateExclusiveLock);
    foreach (cell, find_all_inheritors(source, AccessShareLock, nullptr)) {
        if (partitioned && get_rel_relkind(lfirst_oid(cell)) != RELKIND_PARTITIONED_TABLE) continue;
        LockRelationOid(lfirst_oid(cell), ShareUpdateExclusiveLock);
    }
}

}  // namespace ivy::mooncake
