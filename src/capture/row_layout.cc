// SPDX-License-Identifier: Apache-2.0
// RowLayout: making, comparing, describing.
#include "capture/row_layout.h"

#include <algorithm>

#include "pg/guard.h"
#include "pg_mooncake/src/source.h"

extern "C" {
#include "catalog/pg_attribute.h"
}

namespace ivy::capture {

namespace {

bool IsStored(Form_pg_attribute attribute, const MirrorShape& shape) {
    if (attribute->attisdropped || attribute->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL) return false;
    return shape.stored.empty() || std::binary_search(shape.stored.begin(), shape.stored.end(), attribute->attnum);
}

int FindColumn(const RowLayout& layout, AttrNumber id) {
    for (int i = 0; i < layout.column_count; i++) {
        if (layout.columns[i].id == id) return i;
    }
    return -1;
}

// The plain copy forgets these, which belong to what LayoutFits compares and to what is announced.
TupleDesc CopyDescriptor(TupleDesc descriptor) {
    TupleDesc copy = CreateTupleDescCopy(descriptor);
    for (int i = 0; i < descriptor->natts; i++) {
        Form_pg_attribute from = TupleDescAttr(descriptor, i);
        Form_pg_attribute to = TupleDescAttr(copy, i);
        to->attnotnull = from->attnotnull;
        to->attgenerated = from->attgenerated;
    }
    return copy;
}

bool SameDescriptor(TupleDesc left, TupleDesc right) {
    if (left->natts != right->natts) return false;
    for (int i = 0; i < right->natts; i++) {
        Form_pg_attribute a = TupleDescAttr(left, i);
        Form_pg_attribute b = TupleDescAttr(right, i);
        if (a->attisdropped != b->attisdropped || a->attgenerated != b->attgenerated) return false;
        if (a->attisdropped) continue;
        if (a->atttypid != b->atttypid || a->atttypmod != b->atttypmod || a->attnotnull != b->attnotnull ||
            strcmp(NameStr(a->attname), NameStr(b->attname)) != 0) {
            return false;
        }
    }
    return true;
}

}  // namespace

void ShapeOfMirror(const mooncake::MirrorRow* row, TupleDesc source, MirrorShape* shape) {
    shape->identity = row->options.identity;
    pg::Guard([&] {
        shape->key.assign(row->key, row->key + row->key_count);
        shape->stored.clear();
        shape->numeric_scale = mooncake::NumericScaleOf(row->options, nullptr);
        shape->numeric_scales.clear();
        for (int i = 0; i < source->natts; i++) {
            Form_pg_attribute attribute = TupleDescAttr(source, i);
            if (attribute->attisdropped) continue;
            const char* name = NameStr(attribute->attname);
            const int scale = mooncake::NumericScaleOf(row->options, name);
            if (scale != shape->numeric_scale) shape->numeric_scales.emplace_back(attribute->attnum, scale);
            if (row->options.columns == NIL || !mooncake::IsStoredColumn(row->options, name)) continue;
            shape->stored.push_back(attribute->attnum);
        }
    });
}

int MirrorShape::NumericScale(AttrNumber attribute) const {
    for (const auto& [listed, scale] : numeric_scales) {
        if (listed == attribute) return scale;
    }
    return numeric_scale;
}

RowLayout* MakeRowLayout(MemoryContext parent, TupleDesc source, TupleDesc table, const MirrorShape& shape) {
    MemoryContext context = AllocSetContextCreate(parent, "mirror row layout", ALLOCSET_SMALL_SIZES);
    MemoryContext caller = MemoryContextSwitchTo(context);
    auto* layout = static_cast<RowLayout*>(palloc0(sizeof(RowLayout)));
    layout->context = context;
    layout->descriptor = CopyDescriptor(table);
    layout->source = source == table ? layout->descriptor : CopyDescriptor(source);
    layout->identity = shape.identity;
    layout->columns = static_cast<LayoutColumn*>(palloc0(sizeof(LayoutColumn) * Max(source->natts, 1)));
    for (int i = 0; i < source->natts; i++) {
        Form_pg_attribute attribute = TupleDescAttr(source, i);
        if (!IsStored(attribute, shape)) continue;
        const AttrNumber own =
            source == table ? attribute->attnum : mooncake::SameNamedAttribute(source, attribute->attnum, table);
        if (own == InvalidAttrNumber) continue;
        LayoutColumn* column = &layout->columns[layout->column_count++];
        column->attnum = own;
        column->id = attribute->attnum;
        types::InitDatumWriter(&column->writer, attribute->atttypid, attribute->atttypmod,
                               shape.NumericScale(attribute->attnum));
    }
    const int key_count = static_cast<int>(shape.key.size());
    layout->key = static_cast<int*>(palloc(sizeof(int) * Max(key_count, 1)));
    layout->has_key = key_count > 0;
    for (int i = 0; i < key_count; i++) {
        const int position = FindColumn(*layout, shape.key[static_cast<size_t>(i)]);
        if (position < 0) {
            layout->has_key = false;
            layout->key_count = 0;
            break;
        }
        layout->key[layout->key_count++] = position;
    }
    const Size attributes = static_cast<Size>(Max(table->natts, 1));
    layout->values = static_cast<Datum*>(palloc(sizeof(Datum) * attributes));
    layout->nulls = static_cast<bool*>(palloc(sizeof(bool) * attributes));
    layout->old_values = static_cast<Datum*>(palloc(sizeof(Datum) * attributes));
    layout->old_nulls = static_cast<bool*>(palloc(sizeof(bool) * attributes));
    MemoryContextSwitchTo(caller);
    return layout;
}

void FreeRowLayout(RowLayout* layout) { MemoryContextDelete(layout->context); }

bool LayoutFits(const RowLayout& layout, TupleDesc source, TupleDesc table) {
    if (!SameDescriptor(layout.descriptor, table)) return false;
    if (source == table) return layout.source == layout.descriptor;
    return layout.source != layout.descriptor && SameDescriptor(layout.source, source);
}

void CheckMessageSize(size_t bytes) {
    constexpr size_t kOverhead = 16 << 20;  // generously, of everything but the values
    if (bytes <= kMaxFrameSize - kOverhead) return;
    ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("a row of the source is too large for its mirror"),
                    errdetail("Its values, and those of its old version where they tell it from others, take %zu MB.",
                              bytes >> 20)));
}

bool SameColumns(const RowLayout& a, const RowLayout& b) {
    if (a.column_count != b.column_count || a.has_key != b.has_key) return false;
    for (int i = 0; i < a.column_count; i++) {
        const LayoutColumn& x = a.columns[i];
        const LayoutColumn& y = b.columns[i];
        if (x.id != y.id || !(x.writer.mapping.column == y.writer.mapping.column)) return false;
    }
    return true;
}

std::vector<MirrorColumn> LayoutColumns(const RowLayout& layout) {
    std::vector<MirrorColumn> columns;
    for (int i = 0; i < layout.column_count; i++) {
        const LayoutColumn& column = layout.columns[i];
        Form_pg_attribute attribute = TupleDescAttr(layout.source, column.id - 1);
        MirrorColumn& made = columns.emplace_back();
        made.id = static_cast<uint32_t>(column.id);
        made.name = NameStr(attribute->attname);
        made.type = column.writer.mapping.column;
        made.not_null = attribute->attnotnull;
        if (column.writer.numeric_scale != types::kNoNumericScale) {
            made.numeric_scale = static_cast<uint8_t>(column.writer.numeric_scale);
        }
    }
    return columns;
}

std::vector<uint32_t> LayoutColumnIds(const RowLayout& layout) {
    std::vector<uint32_t> ids;
    for (int i = 0; i < layout.column_count; i++) ids.push_back(static_cast<uint32_t>(layout.columns[i].id));
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
