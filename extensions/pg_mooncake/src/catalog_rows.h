// SPDX-License-Identifier: Apache-2.0
//
// Inside of the catalog (catalog.h): tuples of mooncake.mirrors and mooncake.dropped, shared by catalog.cc (reading) and
// catalog_change.cc (writing).
#pragma once

#include "catalog.h"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "utils/builtins.h"
#include "utils/relcache.h"
}

namespace ivy::mooncake::rows {

// Columns of mooncake.mirrors: the order in sql/catalog.sql.
enum : AttrNumber {
    kMirror = 1,
    kSource,
    kState,
    kGeneration,
    kFormatVersion,
    kLocation,
    kMetadataLocation,
    kPreviousMetadataLocation,
    kFlushedLsn,
    kCopySnapshot,
    kKey,
    kInexact,
    kRowCount,
    kByteCount,
    kError,
    kCreated,
    kPublished,
    kFailures,
    kFailed,
    kRetryAt,
    kIdentity,
    kStoredColumns,
    kFlushIntervalMs,
    kFlushRows,
    kFlushBytes,
    kWarehouse,
    kSortColumns,
    kNumericScale,
    kMirrorColumns = kNumericScale
};

// Columns of mooncake.dropped.
enum : AttrNumber {
    kDroppedLocation = 1,
    kDroppedMirror,
    kDroppedTime,
    kDroppedOwner,
    kDroppedError,
    kDroppedColumns = kDroppedError
};

Datum TextsDatum(const List* texts);  // of char*
// MirrorOptions::numeric_scales as jsonb: a number for all columns, or an object of numbers.
Datum ScalesDatum(const List* scales);
List* ScalesFromDatum(Datum jsonb);

// A row under construction or change: values, NULLs, and which columns an update replaces.
struct RowBuffer {
    Datum values[kMirrorColumns];
    bool nulls[kMirrorColumns];
    bool replace[kMirrorColumns];

    void Set(AttrNumber column, Datum value) {
        values[column - 1] = value;
        nulls[column - 1] = false;
        replace[column - 1] = true;
    }
    void SetNull(AttrNumber column) {
        values[column - 1] = Datum{0};
        nulls[column - 1] = true;
        replace[column - 1] = true;
    }
    // 0 stands for NULL.
    void SetCount(AttrNumber column, int64 value) {
        Set(column, Int64GetDatum(value));
        nulls[column - 1] = value == 0;
    }
    // NIL stands for NULL.
    void SetTexts(AttrNumber column, const List* texts) {
        Set(column, TextsDatum(texts));
        nulls[column - 1] = texts == NIL;
    }
    void SetScales(AttrNumber column, const List* scales) {
        if (scales != NIL) {
            Set(column, ScalesDatum(scales));
        } else {
            SetNull(column);
        }
    }
    void SetText(AttrNumber column, const char* text) {
        if (text) {
            Set(column, CStringGetTextDatum(text));
        } else {
            SetNull(column);
        }
    }
};
// Opens one of our tables; null if the extension does not exist (any more).
Relation OpenTable(const char* name, LOCKMODE lockmode);

SysScanDesc BeginScan(Relation rel, Oid index, AttrNumber column, Oid value, ScanKeyData* key);
// The index on a column other than the primary key's, or InvalidOid (then the scan is sequential).
Oid SourceIndex(Relation mirrors);

Datum DatumAt(HeapTuple tuple, TupleDesc desc, AttrNumber column);       // 0 for NULL
const char* TextAt(HeapTuple tuple, TupleDesc desc, AttrNumber column);  // null for NULL

MirrorRow* RowFromTuple(HeapTuple tuple, TupleDesc desc);

// The tuple of a mirror in an open table (a copy) and what it says; false if there is none. The row is made while the
// scan is open: long texts are fetched under its snapshot.
bool FetchMirror(Relation mirrors, Oid mirror, HeapTuple* copy, MirrorRow** row);

}  // namespace ivy::mooncake::rows
