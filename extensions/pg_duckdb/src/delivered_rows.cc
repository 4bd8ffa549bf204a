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
    MemoryContext context;
    TupleDesc desc;
    int* columns;
    int column_count;
    uint64* hashes;  // of the rows in the order in which they were returned, which is cheap to keep
    uint64 count;
    uint64 capacity;
    uint64 limit;           // of the capacity
    rowcount_hash* counts;  // made of them by the first look-up
    uint64 left;
};

namespace {

constexpr uint64 kLeastMemory = uint64{64} << 20;

// The same for values of a type that look the same, however they are stored.
uint64 HashValue(Datum value, const CompactAttribute* attribute, Oid type, uint64 seed) {
    const auto bytes = [seed](const void* data, size_t size) {
        return hash_bytes_extended(static_cast<const unsigned char*>(data), static_cast<int>(size), seed);
    };
    // The bits of NaN are anybody's choice.
    if (type == FLOAT8OID && std::isnan(DatumGetFloat8(value))) return bytes("nan", 3);
    if (type == FLOAT4OID && std::isnan(DatumGetFloat4(value))) return bytes("nan", 3);
    if (attribute->attbyval) return murmurhash64(static_cast<uint64>(value) ^ seed);
    if (attribute->attlen > 0) return bytes(DatumGetPointer(value), attribute->attlen);
    if (attribute->attlen == -2) return bytes(DatumGetCString(value), strlen(DatumGetCString(value)));
    auto* varlena = reinterpret_cast<struct varlena*>(PG_DETOAST_DATUM_PACKED(value));
    const uint64 hash = bytes(VARDATA_ANY(varlena), VARSIZE_ANY_EXHDR(varlena));
    if (varlena != reinterpret_cast<struct varlena*>(DatumGetPointer(value))) pfree(varlena);
    return hash;
}

uint64 HashRow(const DeliveredRows* rows, TupleTableSlot* slot) {
    uint64 hash = 0;
    for (int i = 0; i < rows->column_count; i++) {
        const int column = rows->columns[i];
        const uint64 seed = hash * 0x9E3779B97F4A7C15 + 1;
        hash = slot->tts_isnull[column] ? seed
                                        : HashValue(slot->tts_values[column], TupleDescCompactAttr(rows->desc, column),
                                                    TupleDescAttr(rows->desc, column)->atttypid, seed);
    }
    return hash;
}

void CountRows(DeliveredRows* rows) {
    rows->counts = rowcount_create(rows->context, static_cast<uint32>(rows->count), nullptr);
    for (uint64 i = 0; i < rows->count; i++) {
        bool found;
        RowCount* entry = rowcount_insert(rows->counts, rows->hashes[i], &found);
        entry->count = found ? entry->count + 1 : 1;
    }
    rows->left = rows->count;
    pfree(rows->hashes);
    rows->hashes = nullptr;
}

}  // namespace

DeliveredRows* TrackRows(MemoryContext context, TupleDesc desc, const int* columns, int count) {
    MemoryContext before = MemoryContextSwitchTo(context);
    auto* rows = static_cast<DeliveredRows*>(palloc0(sizeof(DeliveredRows)));
    rows->context = context;
    rows->desc = desc;
    rows->columns = static_cast<int*>(palloc(sizeof(int) * Max(count, 1)));
    for (int i = 0; i < count; i++) {
        if (columns[i] >= 0) rows->columns[rows->column_count++] = columns[i];
    }
    rows->limit = Max(static_cast<uint64>(get_hash_memory_limit()), kLeastMemory) / sizeof(uint64);
    rows->capacity = 16 * 1024;
    rows->hashes = static_cast<uint64*>(palloc(rows->capacity * sizeof(uint64)));
    MemoryContextSwitchTo(before);
    return rows;
}

bool RememberRow(DeliveredRows* rows, TupleTableSlot* slot) {
    if (rows->count == rows->capacity) {
        if (rows->capacity * 2 > rows->limit) {
            pfree(rows->hashes);
            pfree(rows);
            return false;
        }
        rows->capacity *= 2;
        rows->hashes = static_cast<uint64*>(repalloc_huge(rows->hashes, rows->capacity * sizeof(uint64)));
    }
    rows->hashes[rows->count++] = HashRow(rows, slot);
    return true;
}

bool WasDelivered(DeliveredRows* rows, TupleTableSlot* slot) {
    if (!rows->counts) CountRows(rows);
    if (rows->left == 0) return false;
    RowCount* entry = rowcount_lookup(rows->counts, HashRow(rows, slot));
    if (!entry || entry->count == 0) return false;
    entry->count--;
    rows->left--;
    return true;
}

uint64 RowsNotSeenAgain(const DeliveredRows* rows) { return rows->counts ? rows->left : rows->count; }

}  // namespace ivy::duck
