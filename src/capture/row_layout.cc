// SPDX-License-Identifier: Apache-2.0
// RowLayout: making, comparing, describing.
#include "capture/row_layout.h"

extern "C" {
#include "catalog/pg_attribute.h"
}

namespace ivy::capture {

namespace {

bool IsStored(Form_pg_attribute attribute) {
    return !attribute->attisdropped && attribute->attgenerated != ATTRIBUTE_GENERATED_VIRTUAL;
}

int FindColumn(const RowLayout& layout, AttrNumber attnum) {
    for (int i = 0; i < layout.column_count; i++) {
        if (layout.columns[i].attnum == attnum) return i;
    }
    return -1;
}

}  // namespace

RowLayout* MakeRowLayout(MemoryContext parent, TupleDesc descriptor, const int16* key, int key_count) {
    MemoryContext context = AllocSetContextCreate(parent, "mirror row layout", ALLOCSET_SMALL_SIZES);
    MemoryContext caller = MemoryContextSwitchTo(context);
    auto* layout = static_cast<RowLayout*>(palloc0(sizeof(RowLayout)));
    layout->context = context;
    layout->descriptor = CreateTupleDescCopy(descriptor);
    // The plain copy forgets these, which belong to what LayoutFits compares and to what is announced.
    for (int i = 0; i < descriptor->natts; i++) {
        Form_pg_attribute from = TupleDescAttr(descriptor, i);
        Form_pg_attribute to = TupleDescAttr(layout->descriptor, i);
        to->attnotnull = from->attnotnull;
        to->attgenerated = from->attgenerated;
    }
    layout->columns = static_cast<LayoutColumn*>(palloc0(sizeof(LayoutColumn) * Max(descriptor->natts, 1)));
    for (int i = 0; i < descriptor->natts; i++) {
        Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
        if (!IsStored(attribute)) continue;
        LayoutColumn* column = &layout->columns[layout->column_count++];
        column->attnum = attribute->attnum;
        types::InitDatumWriter(&column->writer, attribute->atttypid, attribute->atttypmod);
    }
    layout->key = static_cast<int*>(palloc(sizeof(int) * Max(key_count, 1)));
    layout->has_key = true;
    for (int i = 0; i < key_count; i++) {
        const int position = FindColumn(*layout, key[i]);
        if (position < 0) {
            layout->has_key = false;
            break;
        }
        layout->key[layout->key_count++] = position;
    }
    const Size attributes = static_cast<Size>(Max(descriptor->natts, 1));
    layout->values = static_cast<Datum*>(palloc(sizeof(Datum) * attributes));
    layout->nulls = static_cast<bool*>(palloc(sizeof(bool) * attributes));
    layout->old_values = static_cast<Datum*>(palloc(sizeof(Datum) * attributes));
    layout->old_nulls = static_cast<bool*>(palloc(sizeof(bool) * attributes));
    MemoryContextSwitchTo(caller);
    return layout;
}

void FreeRowLayout(RowLayout* layout) { MemoryContextDelete(layout->context); }

bool LayoutFits(const RowLayout& layout, TupleDesc descriptor) {
    if (layout.descriptor->natts != descriptor->natts) return false;
    for (int i = 0; i < descriptor->natts; i++) {
        Form_pg_attribute a = TupleDescAttr(layout.descriptor, i);
        Form_pg_attribute b = TupleDescAttr(descriptor, i);
        if (a->attisdropped != b->attisdropped || a->attgenerated != b->attgenerated) return false;
        if (a->attisdropped) continue;
        if (a->atttypid != b->atttypid || a->atttypmod != b->atttypmod || a->attnotnull != b->attnotnull ||
            strcmp(NameStr(a->attname), NameStr(b->attname)) != 0) {
            return false;
        }
    }
    return true;
}

std::vector<MirrorColumn> LayoutColumns(const RowLayout& layout) {
    std::vector<MirrorColumn> columns;
    for (int i = 0; i < layout.column_count; i++) {
        const LayoutColumn& column = layout.columns[i];
        Form_pg_attribute attribute = TupleDescAttr(layout.descriptor, column.attnum - 1);
        columns.push_back({static_cast<uint32_t>(column.attnum), NameStr(attribute->attname),
                           column.writer.mapping.column, attribute->attnotnull});
    }
    return columns;
}

std::vector<uint32_t> LayoutColumnIds(const RowLayout& layout) {
    std::vector<uint32_t> ids;
    for (int i = 0; i < layout.column_count; i++) ids.push_back(static_cast<uint32_t>(layout.columns[i].attnum));
    return ids;
}

ColumnChunkBuilder LayoutRows(const RowLayout& layout) {
    std::vector<ColumnType> types;
    for (int i = 0; i < layout.column_count; i++) types.push_back(layout.columns[i].writer.mapping.column);
    return ColumnChunkBuilder(types);
}

ColumnChunkBuilder LayoutKeys(const RowLayout& layout) {
    std::vector<ColumnType> types;
    for (int i = 0; i < layout.key_count; i++) types.push_back(layout.columns[layout.key[i]].writer.mapping.column);
    return ColumnChunkBuilder(types);
}

}  // namespace ivy::capture
