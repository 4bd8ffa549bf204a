// SPDX-License-Identifier: Apache-2.0
//
// RowLayout: how rows with one tuple descriptor become the columns of a chunk.
//
// Decoding sees a source with the descriptor that it had when the row was written, so a mirror has a succession of
// layouts. A column's id is its attribute number. Left out are dropped columns and virtual generated ones, which have no
// stored value.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "access/tupdesc.h"
}

#include "protocol/messages.h"
#include "types/type_map.h"

namespace ivy::capture {

struct LayoutColumn {
    AttrNumber attnum;
    types::DatumWriter writer;
};

// Palloc'ed in a context of its own, which FreeRowLayout deletes.
struct RowLayout {
    MemoryContext context;
    TupleDesc descriptor;   // a copy, without defaults and constraints but for NOT NULL
    int column_count;
    LayoutColumn* columns;  // in attribute order
    int key_count;
    int* key;               // positions in "columns" of the key's columns, in key order
    bool has_key;           // false: a column of the key is not among the columns
    Datum* values;          // one for each attribute: room for a deformed row...
    bool* nulls;
    Datum* old_values;      // ...and for the old one of an update
    bool* old_nulls;
};

RowLayout* MakeRowLayout(MemoryContext parent, TupleDesc descriptor, const int16* key, int key_count);
void FreeRowLayout(RowLayout* layout);

// Whether rows with this descriptor have this layout: the same attributes with the same types.
bool LayoutFits(const RowLayout& layout, TupleDesc descriptor);

// The layout's columns as the engine is told of them. May throw std::bad_alloc: call inside pg::Guard.
std::vector<MirrorColumn> LayoutColumns(const RowLayout& layout);
std::vector<uint32_t> LayoutColumnIds(const RowLayout& layout);
ColumnChunkBuilder LayoutRows(const RowLayout& layout);
ColumnChunkBuilder LayoutKeys(const RowLayout& layout);

}  // namespace ivy::capture
