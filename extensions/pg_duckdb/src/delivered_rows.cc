// SPDX-License-Identifier: Apache-2.0
#include "delivered_rows.h"

#include <cmath>

extern "C" {
#include "common/hashfn.h"
#include "executor/nodeHash.h"
#include "port/pg_bitutils.h"
#include "utils/expandeddatum.h"
#include "varatt.h"
}

namespace ivy::duck {

struct RowCount {
    uint64 hash;
    uint32 count;
    char status;
};

#define SH_PREFIX rowcount
#define SH_ELEMENT_TYPE RowCount
#define SH_KEY_TYPE uint64
#define SH_KEY hash
#define SH_HASH_KEY(tb, key) static_cast<uint32>(key)
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct DeliveredRows {
    rowcount_hash* counts;
    MemoryContext scratch;  // detoasted values of one row
    TupleDesc desc;
    int* columns;
    int column_count;
    uint64 left;
    uint64 limit;           // entries
    bool overflowed;
};

namespace {

constexpr uint64 kLeastMemory = uint64{64} << 20;

// The same for equal values of a type, however they are stored, as long as they look the same.
uint64 HashValue(Datum value, const CompactAttribute* attribute, Oid type, uint64 seed) {
    const auto bytes = [seed](const void* data, size_t size) {
        return hash_bytes_extended(static_cast<const unsigned char*>(data), static_cast<int>(size), seed);
    };
    // The bits of NaN are anybody's choice.
    if (type == FLOAT8OID && std::isnan(DatumGetFloat8(value))) return bytes("nan", 3);
    if (type == FLOAT4OID && std::isnan(DatumGetFloat4(value))) return bytes("nan", 3);
    if (attribute->attbyval) return bytes(&value, sizeof value);
    if (attribute->attlen > 0) return bytes(DatumGetPointer(value), attribute->attlen);
    if (attribute->attlen == -2) return bytes(DatumGetCString(value), strlen(DatumGetCString(value)));
    const auto* varlena = reinterpret_cast<const struct varlena*>(PG_DETOAST_DATUM_PACKED(value));
    return bytes(VARDATA_ANY(varlena), VARSIZE_ANY_EXHDR(varlena));
}

uint64 HashRow(DeliveredRows* rows, TupleTableSlot* slot) {
    MemoryContext before = MemoryContextSwitchTo(rows->scratch);
    uint64 hash = 0;
    for (int i = 0; i < rows->column_count; i++) {
        const int column = rows->columns[i];
        const uint64 seed = hash * 0x9E3779B97F4A7C15 + 1;
        hash = slot->tts_isnull[column] ? seed
                                        : HashValue(slot->tts_values[column], TupleDescCompactAttr(rows->desc, column),
                                                    TupleDescAttr(rows->desc, column)->atttypid, seed);
    }
    MemoryContextSwitchTo(before);
    MemoryContextReset(rows->scratch);
    return hash;
}

}  // namespace

DeliveredRows* TrackRows(MemoryContext context, TupleDesc desc, const int* columns, int count) {
    MemoryContext before = MemoryContextSwitchTo(context);
    auto* rows = static_cast<DeliveredRows*>(palloc0(sizeof(DeliveredRows)));
    rows->desc = desc;
    rows->columns = static_cast<int*>(palloc(sizeof(int) * Max(count, 1)));
    for (int i = 0; i < count; i++) {
        if (columns[i] >= 0) rows->columns[rows->column_count++] = columns[i];
    }
    rows->counts = rowcount_create(context, 1024, nullptr);
    rows->scratch = AllocSetContextCreate(context, "delivered row", ALLOCSET_SMALL_SIZES);
    // The table doubles when it is nine tenths full.
    rows->limit = Max(static_cast<uint64>(get_hash_memory_limit()), kLeastMemory) / sizeof(RowCount) / 2;
    MemoryContextSwitchTo(before);
    return rows;
}

bool RememberRow(DeliveredRows* rows, TupleTableSlot* slot) {
    if (rows->overflowed) return false;
    bool found;
    RowCount* entry = rowcount_insert(rows->counts, HashRow(rows, slot), &found);
    entry->count = found ? entry->count + 1 : 1;
    rows->left++;
    if (rows->counts->members >= rows->limit) {
        rowcount_destroy(rows->counts);
        rows->overflowed = true;
    }
    return !rows->overflowed;
}

bool WasDelivered(DeliveredRows* rows, TupleTableSlot* slot) {
    if (rows->left == 0) return false;
    RowCount* entry = rowcount_lookup(rows->counts, HashRow(rows, slot));
    if (!entry || entry->count == 0) return false;
    entry->count--;
    rows->left--;
    return true;
}

uint64 RowsNotSeenAgain(const DeliveredRows* rows) { return rows->left; }

}  // namespace ivy::duck
