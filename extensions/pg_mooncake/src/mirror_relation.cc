// SPDX-License-Identifier: Apache-2.0
// Making mirror relations, and keeping their columns in step with the source's by difference: whatever command changed
// the source (ALTER TABLE, a parent's ALTER TABLE, DROP TYPE ... CASCADE), the outcome is compared, not the command.
#include "mirror_relation.h"

extern "C" {
#include "access/tableam.h"
#include "catalog/dependency.h"
#include "catalog/heap.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_inherits.h"
#include "commands/defrem.h"
#include "commands/event_trigger.h"
#include "commands/tablecmds.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/acl.h"
}

#include "mirror_access.h"
#include "mirror_key.h"
#include "source.h"
#include "types/type_map.h"
#include "value_types.h"

namespace ivy::mooncake {
namespace {

int changing_mirror = 0;

// Marks errors that the state of the source caused: they heal when the source does.
constexpr char kSourcePrefix[] = "the source table can't be captured: ";

const char* PlaceholderName(int attnum) { return psprintf("........mooncake.%d........", attnum); }

Node* VirtualExpression(TupleDesc desc, int attnum) {
    return TupleDescGetDefault(desc, static_cast<AttrNumber>(attnum));
}

bool IsVirtual(const FormData_pg_attribute* att) { return att->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL; }

bool IsValidNotNull(TupleDesc desc, int i) {
    return TupleDescAttr(desc, i)->attnotnull && TupleDescCompactAttr(desc, i)->attnullability == ATTNULLABLE_VALID;
}

// A descriptor of the source that stays while relations change, with what the mirror's columns shall be. Child tables
// need not have NOT NULL where their parent has.
TupleDesc SourceDesc(Relation source) {
    TupleDesc desc = CreateTupleDescCopyConstr(RelationGetDescr(source));
    if (source->rd_rel->relkind == RELKIND_PARTITIONED_TABLE || !HasMembers(source)) return desc;
    for (int i = 0; i < desc->natts; i++) {
        TupleDescAttr(desc, i)->attnotnull = false;
        populate_compact_attribute(desc, i);
    }
    return desc;
}

// A column of the source as a column definition for the mirror; a dropped one gets a placeholder.
ColumnDef* MirrorColumn(TupleDesc desc, int i) {
    const FormData_pg_attribute* att = TupleDescAttr(desc, i);
    ColumnDef* def;
    if (att->attisdropped) {
        def = makeColumnDef(PlaceholderName(att->attnum), INT4OID, -1, InvalidOid);
    } else {
        def = makeColumnDef(NameStr(att->attname), att->atttypid, att->atttypmod, att->attcollation);
        if (IsVirtual(att)) def->generated = ATTRIBUTE_GENERATED_VIRTUAL;
#ifdef PACKAGE_IVORYSQL_VERSION
        def->is_invisible = att->attisinvisible;
#endif
    }
    return def;
}

AlterTableCmd* Command(AlterTableType type, const char* name, Node* def) {
    AlterTableCmd* command = makeNode(AlterTableCmd);
    command->subtype = type;
    command->name = name ? pstrdup(name) : nullptr;
    command->def = def;
    command->behavior = DROP_RESTRICT;
    return command;
}

// Runs one ALTER TABLE command on a mirror, on which AccessExclusiveLock is held.
void Alter(Oid mirror, AlterTableCmd* command) {
    AlterTableStmt* statement = makeNode(AlterTableStmt);
    statement->relation = makeRangeVar(get_namespace_name(get_rel_namespace(mirror)), get_rel_name(mirror), -1);
    statement->objtype = OBJECT_TABLE;
    statement->cmds = list_make1(command);
    AlterTableUtilityContext context = {};
    context.queryString = "";
    context.relid = mirror;
    AlterTable(statement, AccessExclusiveLock, &context);
    CommandCounterIncrement();
}

void DropColumn(Oid mirror, const char* name, DropBehavior behavior) {
    AlterTableCmd* command = Command(AT_DropColumn, name, nullptr);
    command->behavior = behavior;
    Alter(mirror, command);
}

void RenameColumn(Oid mirror, const char* from, const char* to) {
    RenameStmt* statement = makeNode(RenameStmt);
    statement->renameType = OBJECT_COLUMN;
    statement->relationType = OBJECT_TABLE;
    statement->relation = makeRangeVar(get_namespace_name(get_rel_namespace(mirror)), get_rel_name(mirror), -1);
    statement->relation->inh = false;
    statement->subname = pstrdup(from);
    statement->newname = pstrdup(to);
    statement->behavior = DROP_RESTRICT;
    renameatt(statement);
    CommandCounterIncrement();
}

// Gives a virtual generated column its expression, in place of the one that it may have.
void SetVirtualExpression(Oid mirror, AttrNumber attnum, Node* expression) {
    const Oid old = GetAttrDefaultOid(mirror, attnum);
    if (OidIsValid(old)) {
        deleteDependencyRecordsFor(AttrDefaultRelationId, old, false);  // among them the one that forbids this
        CommandCounterIncrement();
        RemoveAttrDefault(mirror, attnum, DROP_RESTRICT, true, true);
        CommandCounterIncrement();
    }
    Relation rel = table_open(mirror, NoLock);
    StoreAttrDefault(rel, attnum, expression, true);
    table_close(rel, NoLock);
    CommandCounterIncrement();
}

// Whether a column's values keep their form in the engine when its type changes so.
bool SameForm(const FormData_pg_attribute* a, const FormData_pg_attribute* b) {
    if (a->atttypid != b->atttypid) return false;
    if (a->atttypmod == b->atttypmod) return true;
    const types::TypeMapping x = types::LookupType(a->atttypid, a->atttypmod);
    const types::TypeMapping y = types::LookupType(b->atttypid, b->atttypmod);
    return x.form == y.form && x.column.kind == y.column.kind && x.column.precision == y.column.precision &&
           x.column.scale == y.column.scale;
}

// A descriptor that stays while the relation changes.
TupleDesc CopiedDesc(Oid relid) {
    Relation rel = table_open(relid, NoLock);
    TupleDesc desc = CreateTupleDescCopyConstr(RelationGetDescr(rel));
    table_close(rel, NoLock);
    return desc;
}

bool NameTaken(TupleDesc desc, const char* name) {
    for (int i = 0; i < desc->natts; i++) {
        if (!TupleDescAttr(desc, i)->attisdropped && strcmp(NameStr(TupleDescAttr(desc, i)->attname), name) == 0)
            return true;
    }
    return false;
}

// Whether rows that are there already have another value than NULL in a column that the source just got.
bool HasOldValues(Oid source, TupleDesc desc, int i) {
    if (TupleDescAttr(desc, i)->atthasmissing) return true;
    ListCell* cell;
    foreach (cell, SourceMembers(source, NoLock)) {
        if (lfirst_oid(cell) == source) continue;
        Relation member = RelationIdGetRelation(lfirst_oid(cell));
        if (!RelationIsValid(member)) continue;
        const AttrNumber attribute = SameNamedAttribute(desc, static_cast<AttrNumber>(i + 1), RelationGetDescr(member));
        const bool missing = attribute > 0 && TupleDescAttr(RelationGetDescr(member), attribute - 1)->atthasmissing;
        RelationClose(member);
        if (missing) return true;
    }
    return false;
}

// Changes the mirror's columns into the source's. Returns whether the files must be written anew.
bool SyncColumns(Oid mirror, Oid source_relid, TupleDesc source, DropBehavior behavior) {
    bool recopy = false;
    TupleDesc before = CopiedDesc(mirror);

    for (int i = 0; i < before->natts && i < source->natts; i++) {
        const FormData_pg_attribute* from = TupleDescAttr(before, i);
        if (!from->attisdropped && TupleDescAttr(source, i)->attisdropped) {
            DropColumn(mirror, NameStr(from->attname), behavior);
        }
    }

    // Renames in two steps, because two columns may have exchanged their names.
    TupleDesc dropped = CopiedDesc(mirror);
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < dropped->natts && i < source->natts; i++) {
            const FormData_pg_attribute* from = TupleDescAttr(dropped, i);
            const FormData_pg_attribute* to = TupleDescAttr(source, i);
            if (from->attisdropped || to->attisdropped ||
                namestrcmp(const_cast<Name>(&from->attname), NameStr(to->attname)) == 0) {
                continue;
            }
            const bool detour = NameTaken(dropped, NameStr(to->attname));
            if (pass == 0) {
                RenameColumn(mirror, NameStr(from->attname),
                             detour ? PlaceholderName(to->attnum) : NameStr(to->attname));
            } else if (detour) {
                RenameColumn(mirror, PlaceholderName(to->attnum), NameStr(to->attname));
            }
        }
    }

    for (int i = 0; i < before->natts && i < source->natts; i++) {
        const FormData_pg_attribute* from = TupleDescAttr(before, i);
        const FormData_pg_attribute* to = TupleDescAttr(source, i);
        if (to->attisdropped || from->attisdropped) continue;
        if (from->atttypid != to->atttypid || from->atttypmod != to->atttypmod ||
            from->attcollation != to->attcollation) {
            ColumnDef* def = MirrorColumn(source, i);
            def->generated = '\0';
            if (!IsVirtual(from)) {
                def->cooked_default =
                    reinterpret_cast<Node*>(makeNullConst(to->atttypid, to->atttypmod, to->attcollation));
            }
            Alter(mirror, Command(AT_AlterColumnType, NameStr(to->attname), reinterpret_cast<Node*>(def)));
            if (!IsVirtual(to) && !SameForm(from, to)) recopy = true;
        }
    }

    for (int i = before->natts; i < source->natts; i++) {
        const FormData_pg_attribute* to = TupleDescAttr(source, i);
        Alter(mirror, Command(AT_AddColumn, nullptr, reinterpret_cast<Node*>(MirrorColumn(source, i))));
        if (to->attisdropped) DropColumn(mirror, PlaceholderName(to->attnum), DROP_RESTRICT);
        // Rows that are in files already have another value than NULL in the new column.
        if (!to->attisdropped && HasOldValues(source_relid, source, i)) recopy = true;
    }

    TupleDesc after = CopiedDesc(mirror);
    for (int i = 0; i < after->natts && i < source->natts; i++) {
        const FormData_pg_attribute* to = TupleDescAttr(source, i);
        if (to->attisdropped) continue;
        if (IsVirtual(to) && !equal(VirtualExpression(after, i + 1), VirtualExpression(source, i + 1))) {
            SetVirtualExpression(mirror, to->attnum, VirtualExpression(source, i + 1));
        }
        const bool not_null = IsValidNotNull(source, i);
        if (not_null == IsValidNotNull(after, i)) continue;
        Alter(mirror, Command(not_null ? AT_SetNotNull : AT_DropNotNull, NameStr(to->attname), nullptr));
    }
    return recopy;
}

// SyncColumns as the bootstrap superuser: the mirror may belong to another role than the source by now.
bool SyncColumnsAsSuperuser(Oid mirror, Oid source_relid, TupleDesc source, DropBehavior behavior) {
    Oid user;
    int context;
    volatile bool recopy = false;
    GetUserIdAndSecContext(&user, &context);
    changing_mirror++;
    EventTriggerInhibitCommandCollection();
    PG_TRY();
    {
        SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID, context | SECURITY_LOCAL_USERID_CHANGE);
        recopy = SyncColumns(mirror, source_relid, source, behavior);
    }
    PG_FINALLY();
    {
        changing_mirror--;
        EventTriggerUndoInhibitCommandCollection();
        SetUserIdAndSecContext(user, context);
    }
    PG_END_TRY();
    return recopy;
}

bool SameKey(const MirrorRow* row, const int16* key, int key_count) {
    return row->key_count == key_count && memcmp(row->key, key, sizeof(int16) * key_count) == 0;
}

bool SameTexts(const List* a, const List* b) {
    if (list_length(a) != list_length(b)) return false;
    for (int i = 0; i < list_length(a); i++) {
        if (strcmp(static_cast<const char*>(list_nth(a, i)), static_cast<const char*>(list_nth(b, i))) != 0)
            return false;
    }
    return true;
}

// The new name of a mirror's column, null if it goes.
const char* NameAfter(const char* name, TupleDesc mirror, TupleDesc source) {
    for (int i = 0; i < mirror->natts && i < source->natts; i++) {
        const FormData_pg_attribute* from = TupleDescAttr(mirror, i);
        const FormData_pg_attribute* to = TupleDescAttr(source, i);
        if (from->attisdropped || strcmp(NameStr(from->attname), name) != 0) continue;
        return to->attisdropped ? nullptr : pstrdup(NameStr(to->attname));
    }
    return nullptr;
}

bool SameScales(const List* a, const List* b) {
    if (list_length(a) != list_length(b)) return false;
    for (int i = 0; i < list_length(a); i++) {
        const auto* x = static_cast<const NumericScale*>(list_nth(a, i));
        const auto* y = static_cast<const NumericScale*>(list_nth(b, i));
        if (x->scale != y->scale || (x->column == nullptr) != (y->column == nullptr)) return false;
        if (x->column && strcmp(x->column, y->column) != 0) return false;
    }
    return true;
}

// Columns are about to be renamed or dropped: so are those that options "columns", "sort_column" and "numeric_scale" name. A sort order
// ends before a column that goes: what comes after orders nothing by itself.
void RenameOptionColumns(MirrorRow* row, TupleDesc mirror, TupleDesc source) {
    List* columns = NIL;
    List* sort_columns = NIL;
    List* numeric_scales = NIL;
    ListCell* cell;
    foreach (cell, row->options.columns) {
        const char* name = NameAfter(static_cast<const char*>(lfirst(cell)), mirror, source);
        if (name) columns = lappend(columns, const_cast<char*>(name));
    }
    foreach (cell, row->options.sort_columns) {
        const char* name = NameAfter(static_cast<const char*>(lfirst(cell)), mirror, source);
        if (!name) break;
        sort_columns = lappend(sort_columns, const_cast<char*>(name));
    }
    foreach (cell, row->options.numeric_scales) {
        const auto* scale = static_cast<const NumericScale*>(lfirst(cell));
        const char* name = scale->column ? NameAfter(scale->column, mirror, source) : nullptr;
        if (!name && scale->column) continue;
        auto* renamed = static_cast<NumericScale*>(palloc(sizeof(NumericScale)));
        *renamed = {name, scale->scale};
        numeric_scales = lappend(numeric_scales, renamed);
    }
    if (SameTexts(columns, row->options.columns) && SameTexts(sort_columns, row->options.sort_columns) &&
        SameScales(numeric_scales, row->options.numeric_scales)) {
        return;
    }
    row->options.columns = columns;
    row->options.sort_columns = sort_columns;
    row->options.numeric_scales = numeric_scales;
    SetOptionColumns(row->mirror, row->options);
}

void SyncMirror(MirrorRow* row, Relation source, bool rewritten, DropBehavior behavior) {
    const Oid mirror = row->mirror;
    Relation rel = try_table_open(mirror, AccessShareLock);
    if (!rel) return;  // dropped in this transaction
    const bool differs = ColumnDifference(rel, source) != nullptr;

    bool recopy = rewritten;
    if (differs) {
        LockRelationOid(mirror, AccessExclusiveLock);
        TupleDesc desc = SourceDesc(source);
        RenameOptionColumns(row, RelationGetDescr(rel), desc);
        table_close(rel, NoLock);
        recopy = SyncColumnsAsSuperuser(mirror, row->source, desc, behavior) || recopy;
    } else {
        table_close(rel, AccessShareLock);
    }

    SyncRowSecurity(mirror, source, false);
    if (!HasSourceKey(mirror, source)) {
        LockRelationOid(mirror, ShareUpdateExclusiveLock);
        SyncSourceKey(mirror, source);
    }

    const SourceCheck check = CheckSource(source, row->options);
    const char* problem = check.problem;
    const bool failed_by_source = row->state == MirrorState::kError && row->error &&
                                  strncmp(row->error, kSourcePrefix, strlen(kSourcePrefix)) == 0;
    if (problem) {
        const char* error = psprintf("%s%s", kSourcePrefix, problem);
        if (failed_by_source && strcmp(row->error, error) == 0) return;
        LockRelationOid(mirror, ShareUpdateExclusiveLock);
        FailMirrorLocked(mirror, error);
        ereport(
            WARNING, errmsg("mirror \"%s\" stops following its source table", get_rel_name(mirror)),
            errdetail("The source table can't be captured: %s.", problem),
            errhint("Queries on the mirror use the source table. The mirror is copied anew when the cause is gone.%s%s",
                    check.hint ? " " : "", check.hint ? check.hint : ""));
    } else if (recopy || failed_by_source || !SameKey(row, check.key, check.key_count)) {
        LockRelationOid(mirror, ShareUpdateExclusiveLock);
        RestartCopyLocked(mirror, check.key, check.key_count,
                          rewritten          ? "the stored values of its source changed"
                          : recopy           ? "a column's type or default changed its stored values"
                          : failed_by_source ? "the source table can be captured again"
                                             : "the source table's identity changed");
    }
}

}  // namespace

Oid MirrorAccessMethod(void) { return ExtensionExists() ? get_table_am_oid("mooncake", true) : InvalidOid; }

bool HasMirrorAccessMethod(Oid relid) {
    const Oid am = MirrorAccessMethod();
    if (!OidIsValid(am)) return false;
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
    if (!HeapTupleIsValid(tuple)) return false;
    const bool mirror = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relam == am;
    ReleaseSysCache(tuple);
    return mirror;
}

Oid OwnMirror(RangeVar* name, LOCKMODE lockmode) {
    const Oid relid = RangeVarGetRelid(name, lockmode, false);
    if (!HasMirrorAccessMethod(relid)) {
        ereport(ERROR, errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" is not a mirror", get_rel_name(relid)));
    }
    if (!object_ownercheck(RelationRelationId, relid, GetUserId())) {
        aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(relid));
    }
    return relid;
}

Oid CreateMirrorRelation(RangeVar* name, Relation source, Oid owner) {
    TupleDesc desc = SourceDesc(source);
    CreateStmt* statement = makeNode(CreateStmt);
    statement->relation = name;
    statement->oncommit = ONCOMMIT_NOOP;
    statement->accessMethod = pstrdup("mooncake");
    for (int i = 0; i < desc->natts; i++) {
        ColumnDef* def = MirrorColumn(desc, i);
        if (def->generated) def->cooked_default = static_cast<Node*>(copyObjectImpl(VirtualExpression(desc, i + 1)));
        statement->tableElts = lappend(statement->tableElts, def);
        if (!IsValidNotNull(desc, i) || TupleDescAttr(desc, i)->attisdropped) continue;
        Constraint* constraint = makeNode(Constraint);
        constraint->contype = CONSTR_NOTNULL;
        constraint->location = -1;
        constraint->keys = list_make1(makeString(pstrdup(def->colname)));
        constraint->initially_valid = true;
        statement->nnconstraints = lappend(statement->nnconstraints, constraint);
    }

    volatile Oid mirror = InvalidOid;
    changing_mirror++;
    EventTriggerInhibitCommandCollection();
    PG_TRY();
    {
        mirror = DefineRelation(statement, RELKIND_RELATION, owner, nullptr, "").objectId;
        CommandCounterIncrement();
        LockRelationOid(mirror, AccessExclusiveLock);
        for (int i = 0; i < desc->natts; i++) {
            if (TupleDescAttr(desc, i)->attisdropped) DropColumn(mirror, PlaceholderName(i + 1), DROP_RESTRICT);
        }
        SyncSourceKey(mirror, source);
        CopyAccess(mirror, source);
    }
    PG_FINALLY();
    {
        changing_mirror--;
        EventTriggerUndoInhibitCommandCollection();
    }
    PG_END_TRY();
    return mirror;
}

const char* ColumnDifference(Relation mirror, Relation source) {
    TupleDesc a = RelationGetDescr(mirror);
    TupleDesc b = SourceDesc(source);
    if (a->natts != b->natts) return "its columns are not those of its source";
    for (int i = 0; i < a->natts; i++) {
        const FormData_pg_attribute* x = TupleDescAttr(a, i);
        const FormData_pg_attribute* y = TupleDescAttr(b, i);
        if (x->attisdropped != y->attisdropped) return "its columns are not those of its source";
        if (x->attisdropped) continue;
        if (namestrcmp(const_cast<Name>(&x->attname), NameStr(y->attname)) != 0) {
            return "its column names are not those of its source";
        }
        if (x->atttypid != y->atttypid || x->atttypmod != y->atttypmod || x->attcollation != y->attcollation) {
            return "its column types are not those of its source";
        }
        if (IsVirtual(x) != IsVirtual(y) ||
            (IsVirtual(x) && !equal(VirtualExpression(a, i + 1), VirtualExpression(b, i + 1)))) {
            return "its generated columns are not those of its source";
        }
        if (IsValidNotNull(a, i) != IsValidNotNull(b, i)) return "its NOT NULL columns are not those of its source";
    }
    return nullptr;
}

void SyncMirrors(Oid source, bool rewritten, DropBehavior behavior) {
    List* rows = FindMirrorsOfSource(source);
    if (rows == NIL) return;
    Relation rel = try_table_open(source, AccessShareLock);
    if (!rel) return;
    LockLabels(RelationGetDescr(rel));
    ListCell* cell;
    foreach (cell, rows) SyncMirror(static_cast<MirrorRow*>(lfirst(cell)), rel, rewritten, behavior);
    table_close(rel, NoLock);
}

void DropMirrorRelation(Oid mirror) {
    LockRelationOid(mirror, AccessExclusiveLock);
    if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(mirror))) return;
    ObjectAddress address;
    ObjectAddressSet(address, RelationRelationId, mirror);
    performDeletion(&address, DROP_CASCADE, PERFORM_DELETION_QUIETLY);
}

void RestoreMirror(const MirrorRow* restored) {
    if (!HasMirrorAccessMethod(restored->mirror)) {
        ereport(ERROR, errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("relation %u can't be a mirror", restored->mirror),
                errdetail("Its access method is not \"mooncake\"."), errhint("Use CALL mooncake.create_table."));
    }
    // Waits for a primary key that another session of the restore is making, and makes later ones wait for this row.
    Relation rel = table_open(restored->source, ShareUpdateExclusiveLock);
    LockMembership(restored->source, restored->options.identity);
    const SourceCheck check = CheckSource(rel, restored->options);
    LockRelationOid(restored->mirror, ShareUpdateExclusiveLock);
    SyncSourceKey(restored->mirror, rel);
    SyncRowSecurity(restored->mirror, rel, false);
    table_close(rel, NoLock);
    InsertMirror(restored->mirror, restored->source, check.key, check.key_count, restored->options);
    // A dump makes primary keys after it has loaded the data: the mirror recovers then.
    if (check.problem) FailMirrorLocked(restored->mirror, psprintf("%s%s", kSourcePrefix, check.problem));
}

bool ChangingMirror(void) { return changing_mirror > 0; }

}  // namespace ivy::mooncake
