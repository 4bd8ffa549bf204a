// SPDX-License-Identifier: Apache-2.0
// The one row of mooncake.slot_record, read and written as a tuple: neither search_path nor SQL dialect matters.
#include "slot_record.h"

extern "C" {
#include "access/genam.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "utils/lsyscache.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"
}

#include "catalog.h"

namespace ivy::mooncake {
namespace {

// Columns of mooncake.slot_record.
enum : AttrNumber { kConfirmed = 1, kRecorded, kColumns = kRecorded };

// Null if the extension does not exist (any more).
Relation OpenRecord(LOCKMODE lockmode) {
    if (!ExtensionExists()) return nullptr;
    const Oid schema = get_namespace_oid("mooncake", true);
    const Oid relid = OidIsValid(schema) ? get_relname_relid("slot_record", schema) : InvalidOid;
    return OidIsValid(relid) ? try_table_open(relid, lockmode) : nullptr;
}

}  // namespace

XLogRecPtr RecordedSlotPosition(void) {
    Relation record = OpenRecord(AccessShareLock);
    if (!record) return InvalidXLogRecPtr;
    XLogRecPtr confirmed = InvalidXLogRecPtr;
    SysScanDesc scan = systable_beginscan(record, InvalidOid, false, nullptr, 0, nullptr);
    while (HeapTuple tuple = systable_getnext(scan)) {
        bool null;
        confirmed = DatumGetLSN(heap_getattr(tuple, kConfirmed, RelationGetDescr(record), &null));
    }
    systable_endscan(scan);
    table_close(record, AccessShareLock);
    return confirmed;
}

void RecordSlotPosition(XLogRecPtr confirmed) {
    Relation record = OpenRecord(RowExclusiveLock);
    if (!record) return;
    Datum values[kColumns];
    bool nulls[kColumns] = {};
    values[kConfirmed - 1] = LSNGetDatum(confirmed);
    values[kRecorded - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
    HeapTuple changed = heap_form_tuple(RelationGetDescr(record), values, nulls);
    SysScanDesc scan = systable_beginscan(record, InvalidOid, false, nullptr, 0, nullptr);
    HeapTuple tuple = systable_getnext(scan);
    if (HeapTupleIsValid(tuple)) {
        CatalogTupleUpdate(record, &tuple->t_self, changed);
    } else {
        CatalogTupleInsert(record, changed);
    }
    systable_endscan(scan);
    heap_freetuple(changed);
    table_close(record, RowExclusiveLock);
}

}  // namespace ivy::mooncake
