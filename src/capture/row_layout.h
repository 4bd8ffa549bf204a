// SPDX-License-Identifier: Apache-2.0
//
// RowLayout: how rows with one tuple descriptor become the columns of a chunk.
//
// Decoding sees a table with the descriptor that it had when the row was written, so a mirror has a succession of
// layouts; and the rows of a partitioned table come from tables whose descriptors differ. A column's id is its attribute
// number in the source; its value is that of the attribute with the same name in the table that has the row. Left out are
// dropped columns, virtual generated ones, which have no stored value, and those that the mirror is not to store.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "access/tupdesc.h"
#include "nodes/bitmapset.h"
}

#include <utility>

#include "pg_mooncake/src/catalog.h"
#include "protocol/messages.h"
#include "types/type_map.h"

namespace ivy::capture {

using mooncake::Identity;

// What of a source a mirror has. Attribute numbers are the source's.
struct MirrorShape {
    Identity identity = Identity::kKey;
    std::vector<int16> key;
    std::vector<int16> stored;  // ascending; empty: all
    // How numerics without a precision are stored: those listed with their own scale, all others with this one.
    int numeric_scale = types::kNoNumericScale;
    std::vector<std::pair<int16, int>> numeric_scales;

    int NumericScale(AttrNumber attribute) const;
};

// The shape of a mirror whose source has this descriptor now.
void ShapeOfMirror(const mooncake::MirrorRow* row, TupleDesc source, MirrorShape* shape);

struct LayoutColumn {
    AttrNumber attnum;  // in the rows
    AttrNumber id;      // in the source
    types::DatumWriter writer;
};

// Palloc'ed in a context of its own, which FreeRowLayout deletes.
struct RowLayout {
    MemoryContext context;
    TupleDesc descriptor;  // of the rows: a copy, without defaults and constraints but for NOT NULL
    TupleDesc source;      // of the source: likewise; the same object if the rows are the source's own
    Identity identity;
    int column_count;
    LayoutColumn* columns;  // in the order of the source's attributes
    int key_count;
    int* key;       // positions in "columns" of the key's columns, in key order
    bool has_key;   // false: rows can't be found by a key: there is none, or not all of it is in the rows
    Datum* values;  // one for each attribute: room for a deformed row...
    bool* nulls;
    Datum* old_values;  // ...and for the old one of an update
    bool* old_nulls;
};

// "source" and "table" are the same for rows of the source itself.
RowLayout* MakeRowLayout(MemoryContext parent, TupleDesc source, TupleDesc table, const MirrorShape& shape);
void FreeRowLayout(RowLayout* layout);

// Whether rows of such a table have this layout: the same attributes with the same types.
bool LayoutFits(const RowLayout& layout, TupleDesc source, TupleDesc table);

// Raises an error if rows of so many bytes don't fit into one message.
void CheckMessageSize(size_t bytes);

// Whether rows of both can go into one chunk.
bool SameColumns(const RowLayout& a, const RowLayout& b);

// The layout's columns as the engine is told of them. May throw std::bad_alloc: call inside pg::Guard.
std::vector<MirrorColumn> LayoutColumns(const RowLayout& layout);
std::vector<uint32_t> LayoutColumnIds(const RowLayout& layout);
ColumnChunkBuilder LayoutRows(const RowLayout& layout);
ColumnChunkBuilder LayoutKeys(const RowLayout& layout);

}  // namespace ivy::capture
