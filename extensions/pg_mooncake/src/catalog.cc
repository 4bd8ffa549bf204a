// SPDX-License-Identifier: Apache-2.0
// Reading mooncake.mirrors and mooncake.dropped, tuple by tuple; and the texts in them.
#include "catalog.h"

extern "C" {
#include "access/stratnum.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "commands/extension.h"
#include "common/int.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/pg_lsn.h"
}

#include <cinttypes>

#include "catalog_rows.h"
#include "types/type_map.h"

namespace ivy::mooncake {

using namespace rows;

namespace {

Oid TableOid(const char* name) {
    if (!ExtensionExists()) return InvalidOid;
    const Oid schema = get_namespace_oid("mooncake", true);
    return OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;
}

SysScanDesc ScanForMirror(Relation mirrors, Oid mirror, ScanKeyData* key) {
    return BeginScan(mirrors, RelationGetPrimaryKeyIndex(mirrors, false), kMirror, mirror, key);
}

int CompareMirrors(const ListCell* a, const ListCell* b) {
    return pg_cmp_u32(static_cast<const MirrorRow*>(lfirst(a))->mirror,
                      static_cast<const MirrorRow*>(lfirst(b))->mirror);
}

const int16* Int16sAt(HeapTuple tuple, TupleDesc desc, AttrNumber column, int* count) {
    bool null;
    const Datum value = heap_getattr(tuple, column, desc, &null);
    *count = 0;
    if (null) return nullptr;
    ArrayType* array = DatumGetArrayTypePCopy(value);
    if (ARR_NDIM(array) != 1 || ARR_HASNULL(array) || ARR_ELEMTYPE(array) != INT2OID) return nullptr;
    *count = ARR_DIMS(array)[0];
    return reinterpret_cast<const int16*>(ARR_DATA_PTR(array));
}

List* TextsAt(HeapTuple tuple, TupleDesc desc, AttrNumber column) {
    bool null;
    const Datum value = heap_getattr(tuple, column, desc, &null);
    if (null) return NIL;
    Datum* texts;
    bool* nulls;
    int count;
    deconstruct_array_builtin(DatumGetArrayTypeP(value), TEXTOID, &texts, &nulls, &count);
    List* list = NIL;
    for (int i = 0; i < count; i++) {
        if (!nulls[i]) list = lappend(list, TextDatumGetCString(texts[i]));
    }
    return list;
}

MirrorState StateFromName(const char* name) {
    for (const MirrorState state : {MirrorState::kCopying, MirrorState::kLive, MirrorState::kError}) {
        if (strcmp(name, MirrorStateName(state)) == 0) return state;
    }
    return MirrorState::kStale;
}

Identity IdentityFromName(const char* name) {
    for (const Identity identity : {Identity::kFull, Identity::kAppendOnly}) {
        if (strcmp(name, IdentityName(identity)) == 0) return identity;
    }
    return Identity::kKey;
}

}  // namespace

namespace rows {

Relation OpenTable(const char* name, LOCKMODE lockmode) {
    const Oid relid = TableOid(name);
    return OidIsValid(relid) ? try_table_open(relid, lockmode) : nullptr;
}

Oid SourceIndex(Relation mirrors) { return get_relname_relid("mirrors_source", RelationGetNamespace(mirrors)); }

SysScanDesc BeginScan(Relation rel, Oid index, AttrNumber column, Oid value, ScanKeyData* key) {
    ScanKeyInit(key, column, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(value));
    return systable_beginscan(rel, index, OidIsValid(index), nullptr, 1, key);
}

const char* TextAt(HeapTuple tuple, TupleDesc desc, AttrNumber column) {
    bool null;
    const Datum value = heap_getattr(tuple, column, desc, &null);
    return null ? nullptr : TextDatumGetCString(value);
}

Datum DatumAt(HeapTuple tuple, TupleDesc desc, AttrNumber column) {
    bool null;
    const Datum value = heap_getattr(tuple, column, desc, &null);
    return null ? Datum{0} : value;
}

Datum ScalesDatum(const List* scales) {
    const auto scalar = [](int scale) {
        JsonbValue value;
        value.type = jbvNumeric;
        value.val.numeric = int64_to_numeric(scale);
        return value;
    };
    const auto* first = static_cast<const NumericScale*>(linitial(scales));
    if (!first->column) {
        JsonbValue value = scalar(first->scale);
        return JsonbPGetDatum(JsonbValueToJsonb(&value));
    }
    JsonbParseState* state = nullptr;
    pushJsonbValue(&state, WJB_BEGIN_OBJECT, nullptr);
    ListCell* cell;
    foreach (cell, scales) {
        const auto* entry = static_cast<const NumericScale*>(lfirst(cell));
        JsonbValue key;
        key.type = jbvString;
        key.val.string.val = pstrdup(entry->column);
        key.val.string.len = static_cast<int>(strlen(entry->column));
        pushJsonbValue(&state, WJB_KEY, &key);
        JsonbValue value = scalar(entry->scale);
        pushJsonbValue(&state, WJB_VALUE, &value);
    }
    return JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, nullptr)));
}

List* ScalesFromDatum(Datum jsonb) {
    if (jsonb == Datum{0}) return NIL;
    Jsonb* json = DatumGetJsonbP(jsonb);
    List* scales = NIL;
    const char* column = nullptr;
    JsonbIterator* it = JsonbIteratorInit(&json->root);
    JsonbValue item;
    JsonbIteratorToken token;
    while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE) {
        if (token == WJB_KEY) column = pnstrdup(item.val.string.val, static_cast<Size>(item.val.string.len));
        if ((token != WJB_VALUE && token != WJB_ELEM) || item.type != jbvNumeric) continue;
        bool error = false;
        const int32 scale = numeric_int4_opt_error(item.val.numeric, &error);
        if (error || scale < 0 || scale > kMaxDecimalDigits) continue;  // not written by us
        auto* entry = static_cast<NumericScale*>(palloc(sizeof(NumericScale)));
        *entry = {column, scale};
        scales = lappend(scales, entry);
    }
    return scales;
}

MirrorRow* RowFromTuple(HeapTuple tuple, TupleDesc desc) {
    auto* row = static_cast<MirrorRow*>(palloc0(sizeof(MirrorRow)));
    row->mirror = DatumGetObjectId(DatumAt(tuple, desc, kMirror));
    row->source = DatumGetObjectId(DatumAt(tuple, desc, kSource));
    row->state = StateFromName(TextAt(tuple, desc, kState));
    row->generation = DatumGetInt32(DatumAt(tuple, desc, kGeneration));
    row->format_version = DatumGetInt16(DatumAt(tuple, desc, kFormatVersion));
    row->location = TextAt(tuple, desc, kLocation);
    row->metadata_location = TextAt(tuple, desc, kMetadataLocation);
    row->previous_metadata_location = TextAt(tuple, desc, kPreviousMetadataLocation);
    row->flushed_lsn = DatumGetLSN(DatumAt(tuple, desc, kFlushedLsn));
    row->copy_snapshot = TextAt(tuple, desc, kCopySnapshot);
    row->key = Int16sAt(tuple, desc, kKey, &row->key_count);
    row->inexact = Int16sAt(tuple, desc, kInexact, &row->inexact_count);
    row->rows = static_cast<uint64>(DatumGetInt64(DatumAt(tuple, desc, kRowCount)));
    row->bytes = static_cast<uint64>(DatumGetInt64(DatumAt(tuple, desc, kByteCount)));
    row->error = TextAt(tuple, desc, kError);
    row->failures = DatumGetInt32(DatumAt(tuple, desc, kFailures));
    row->failed = DatumGetTimestampTz(DatumAt(tuple, desc, kFailed));
    row->retry_at = DatumGetTimestampTz(DatumAt(tuple, desc, kRetryAt));
    row->options.identity = IdentityFromName(TextAt(tuple, desc, kIdentity));
    row->options.columns = TextsAt(tuple, desc, kStoredColumns);
    row->options.flush_interval_ms = DatumGetInt64(DatumAt(tuple, desc, kFlushIntervalMs));
    row->options.flush_rows = DatumGetInt64(DatumAt(tuple, desc, kFlushRows));
    row->options.flush_bytes = DatumGetInt64(DatumAt(tuple, desc, kFlushBytes));
    row->options.warehouse = TextAt(tuple, desc, kWarehouse);
    row->options.format_version = row->format_version;
    row->options.sort_columns = TextsAt(tuple, desc, kSortColumns);
    row->options.numeric_scales = ScalesFromDatum(DatumAt(tuple, desc, kNumericScale));
    return row;
}

bool FetchMirror(Relation mirrors, Oid mirror, HeapTuple* copy, MirrorRow** row) {
    ScanKeyData key;
    SysScanDesc scan = ScanForMirror(mirrors, mirror, &key);
    HeapTuple tuple = systable_getnext(scan);
    const bool found = HeapTupleIsValid(tuple);
    if (found) {
        *copy = heap_copytuple(tuple);
        *row = RowFromTuple(tuple, RelationGetDescr(mirrors));
    }
    systable_endscan(scan);
    return found;
}

}  // namespace rows

const char* MirrorStateName(MirrorState state) {
    switch (state) {
        case MirrorState::kCopying: return "copying";
        case MirrorState::kLive: return "live";
        case MirrorState::kError: return "error";
        case MirrorState::kStale: return "stale";
    }
    return "error";
}

char* SnapshotToText(const Snapshot& snapshot) {
    StringInfoData text;
    initStringInfo(&text);
    appendStringInfo(&text, "%" PRIu64 ":%" PRIu64 ":", snapshot.xmin, snapshot.xmax);
    for (size_t i = 0; i < snapshot.xip.size(); i++) {
        appendStringInfo(&text, "%s%" PRIu64, i == 0 ? "" : ",", snapshot.xip[i]);
    }
    return text.data;
}

bool SnapshotFromText(const char* text, Snapshot* out) {
    char* end;
    out->xip.clear();
    out->xmin = strtou64(text, &end, 10);
    if (end == text || *end != ':') return false;
    text = end + 1;
    out->xmax = strtou64(text, &end, 10);
    if (end == text || *end != ':') return false;
    text = end + 1;
    while (*text != '\0') {
        const Xid xid = strtou64(text, &end, 10);
        if (end == text || (*end != ',' && *end != '\0')) return false;
        if (xid < out->xmin || xid >= out->xmax || (!out->xip.empty() && xid <= out->xip.back())) return false;
        out->xip.push_back(xid);
        if (*end == '\0') break;
        text = end + 1;
    }
    return out->xmin <= out->xmax;
}

const char* IdentityName(Identity identity) {
    switch (identity) {
        case Identity::kKey: return "key";
        case Identity::kFull: return "full";
        case Identity::kAppendOnly: return "append_only";
    }
    return "key";
}

bool IsStoredColumn(const MirrorOptions& options, const char* name) {
    if (options.columns == NIL) return true;
    ListCell* cell;
    foreach (cell, options.columns) {
        if (strcmp(static_cast<const char*>(lfirst(cell)), name) == 0) return true;
    }
    return false;
}

int NumericScaleOf(const MirrorOptions& options, const char* column) {
    int scale = types::kNoNumericScale;
    ListCell* cell;
    foreach (cell, options.numeric_scales) {
        const auto* entry = static_cast<const NumericScale*>(lfirst(cell));
        if (!entry->column || (column && strcmp(entry->column, column) == 0)) scale = entry->scale;
    }
    return scale;
}

bool ExtensionExists(void) { return OidIsValid(get_extension_oid("pg_mooncake", true)); }

List* ListMirrors(void) {
    Relation mirrors = OpenTable("mirrors", AccessShareLock);
    if (!mirrors) return NIL;
    List* rows = NIL;
    SysScanDesc scan = systable_beginscan(mirrors, InvalidOid, false, nullptr, 0, nullptr);
    while (HeapTuple tuple = systable_getnext(scan))
        rows = lappend(rows, RowFromTuple(tuple, RelationGetDescr(mirrors)));
    systable_endscan(scan);
    table_close(mirrors, AccessShareLock);
    return rows;
}

MirrorRow* FindMirror(Oid mirror) {
    Relation mirrors = OpenTable("mirrors", AccessShareLock);
    if (!mirrors) return nullptr;
    HeapTuple tuple;
    MirrorRow* row = nullptr;
    FetchMirror(mirrors, mirror, &tuple, &row);
    table_close(mirrors, AccessShareLock);
    return row;
}

List* FindMirrorsOfSource(Oid source) {
    Relation mirrors = OpenTable("mirrors", AccessShareLock);
    if (!mirrors) return NIL;
    List* rows = NIL;
    ScanKeyData key;
    SysScanDesc scan = BeginScan(mirrors, SourceIndex(mirrors), kSource, source, &key);
    while (HeapTuple tuple = systable_getnext(scan))
        rows = lappend(rows, RowFromTuple(tuple, RelationGetDescr(mirrors)));
    systable_endscan(scan);
    table_close(mirrors, AccessShareLock);
    list_sort(rows, CompareMirrors);
    return rows;
}

bool HasMirrorOfSource(Oid source) {
    Relation mirrors = OpenTable("mirrors", AccessShareLock);
    if (!mirrors) return false;
    ScanKeyData key;
    SysScanDesc scan = BeginScan(mirrors, SourceIndex(mirrors), kSource, source, &key);
    const bool found = HeapTupleIsValid(systable_getnext(scan));
    systable_endscan(scan);
    table_close(mirrors, AccessShareLock);
    return found;
}

List* ListDropped(void) {
    Relation dropped = OpenTable("dropped", AccessShareLock);
    if (!dropped) return NIL;
    List* rows = NIL;
    SysScanDesc scan = systable_beginscan(dropped, InvalidOid, false, nullptr, 0, nullptr);
    while (HeapTuple tuple = systable_getnext(scan)) {
        auto* row = static_cast<DroppedLocation*>(palloc(sizeof(DroppedLocation)));
        row->location = TextAt(tuple, RelationGetDescr(dropped), kDroppedLocation);
        row->mirror = DatumGetObjectId(DatumAt(tuple, RelationGetDescr(dropped), kDroppedMirror));
        row->owner = DatumGetObjectId(DatumAt(tuple, RelationGetDescr(dropped), kDroppedOwner));
        rows = lappend(rows, row);
    }
    systable_endscan(scan);
    table_close(dropped, AccessShareLock);
    return rows;
}

}  // namespace ivy::mooncake
