// SPDX-License-Identifier: Apache-2.0
// The mirror's statement of its source's primary key.
#include "mirror_key.h"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_constraint.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
}

namespace ivy::mooncake {
namespace {

struct Key {
    Oid constraint;  // InvalidOid: there is none
    Oid index;
    int16* columns;
    int count;
};

// The primary key that a relation's constraints name, if it is enforced at once.
Key FindKey(Oid relid) {
    Key key = {};
    Relation constraints = table_open(ConstraintRelationId, AccessShareLock);
    ScanKeyData relation;
    ScanKeyInit(&relation, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
    SysScanDesc scan = systable_beginscan(constraints, ConstraintRelidTypidNameIndexId, true, nullptr, 1, &relation);
    HeapTuple tuple;
    while (HeapTupleIsValid(tuple = systable_getnext(scan))) {
        const auto* form = reinterpret_cast<Form_pg_constraint>(GETSTRUCT(tuple));
        if (form->contype != CONSTRAINT_PRIMARY || form->condeferrable) continue;
        bool is_null;
        const Datum columns = heap_getattr(tuple, Anum_pg_constraint_conkey, RelationGetDescr(constraints), &is_null);
        if (is_null) continue;
        ArrayType* array = DatumGetArrayTypePCopy(columns);
        key = {form->oid, form->conindid, reinterpret_cast<int16*>(ARR_DATA_PTR(array)), ARR_DIMS(array)[0]};
        break;
    }
    systable_endscan(scan);
    table_close(constraints, AccessShareLock);
    return key;
}

bool SameKey(const Key& a, const Key& b) {
    return OidIsValid(a.constraint) == OidIsValid(b.constraint) && a.index == b.index && a.count == b.count &&
           (a.count == 0 || memcmp(a.columns, b.columns, sizeof(int16) * static_cast<size_t>(a.count)) == 0);
}

void StateKey(Oid mirror, const Key& key) {
    const char* name = ChooseConstraintName(get_rel_name(mirror), nullptr, "pkey", get_rel_namespace(mirror), NIL);
    const Oid constraint = CreateConstraintEntry(
        name, get_rel_namespace(mirror), CONSTRAINT_PRIMARY, false, false, true, true, InvalidOid, mirror, key.columns,
        key.count, key.count, InvalidOid, key.index, InvalidOid, nullptr, nullptr, nullptr, nullptr, 0, ' ', ' ',
        nullptr, 0, ' ', nullptr, nullptr, nullptr, true, 0, true, false, true);
    // Gone with the source's index: by ALTER TABLE ... DROP CONSTRAINT, say.
    ObjectAddress stated, index;
    ObjectAddressSet(stated, ConstraintRelationId, constraint);
    ObjectAddressSet(index, RelationRelationId, key.index);
    recordDependencyOn(&stated, &index, DEPENDENCY_AUTO);
}

// REINDEX CONCURRENTLY gives the index another OID; the dependency followed, the constraint's own column did not.
void RenameIndex(const Key& key, Oid index) {
    Relation constraints = table_open(ConstraintRelationId, RowExclusiveLock);
    HeapTuple tuple = SearchSysCacheCopy1(CONSTROID, ObjectIdGetDatum(key.constraint));
    if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for constraint %u", key.constraint);
    reinterpret_cast<Form_pg_constraint>(GETSTRUCT(tuple))->conindid = index;
    CatalogTupleUpdate(constraints, &tuple->t_self, tuple);
    table_close(constraints, RowExclusiveLock);
}

}  // namespace

bool HasSourceKey(Oid mirror, Relation source) { return SameKey(FindKey(mirror), FindKey(RelationGetRelid(source))); }

void SyncSourceKey(Oid mirror, Relation source) {
    const Key want = FindKey(RelationGetRelid(source));
    Key have = FindKey(mirror);
    if (SameKey(have, want)) return;
    Key renamed = have;
    renamed.index = want.index;
    if (OidIsValid(have.constraint) && SameKey(renamed, want)) {
        RenameIndex(have, want.index);
    } else {
        if (OidIsValid(have.constraint)) {
            ObjectAddress stated;
            ObjectAddressSet(stated, ConstraintRelationId, have.constraint);
            performDeletion(&stated, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
        }
        if (OidIsValid(want.constraint)) StateKey(mirror, want);
    }
    CommandCounterIncrement();
}

}  // namespace ivy::mooncake
