// SPDX-License-Identifier: Apache-2.0
// ChangeBuilder: deformed rows into chunks.
#include "capture/change_builder.h"

#include <algorithm>

#include "capture/engine_link.h"
#include "pg/guard.h"

extern "C" {
#include "access/detoast.h"
#include "varatt.h"
}

namespace ivy::capture {

namespace {

// A value of which the WAL says only that it did not change. Values that did are made whole by the reorder buffer.
bool IsUnchanged(Form_pg_attribute attribute, Datum value) {
    return attribute->attlen == -1 && VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(value));
}

// A value to convert. One that the reorder buffer has put together lies behind a pointer, and would be copied to be read.
Datum Resolved(Form_pg_attribute attribute, Datum value) {
    if (attribute->attlen != -1 || !VARATT_IS_EXTERNAL_INDIRECT(DatumGetPointer(value))) return value;
    varatt_indirect indirect;
    VARATT_EXTERNAL_GET_POINTER(indirect, DatumGetPointer(value));
    return PointerGetDatum(indirect.pointer);
}

}  // namespace

void ChangeBuilder::SetLayout(const RowLayout& layout) {
    pg::Guard([&] {
        rows_ = LayoutRows(layout);
        keys_ = LayoutKeys(layout);
        tried_ = LayoutKeys(layout);
        changes_.columns = LayoutColumnIds(layout);
    });
}

void ChangeBuilder::WriteRow(RowLayout* layout, bool may_be_unchanged) {
    for (int i = 0; i < layout->column_count; i++) {
        LayoutColumn* column = &layout->columns[i];
        const int index = column->attnum - 1;
        ColumnBuilder& out = rows_.column(static_cast<size_t>(i));
        if (layout->nulls[index]) {
            pg::Guard([&] { out.AppendNull(); });
            continue;
        }
        const Datum value = layout->values[index];
        if (IsUnchanged(TupleDescAttr(layout->descriptor, index), value)) {
            if (!may_be_unchanged) {
                ereport(ERROR,
                        (errcode(ERRCODE_DATA_CORRUPTED),
                         errmsg("a new row's column %d is stored out of line and missing from the WAL", column->id)));
            }
            pg::Guard([&] {
                changes_.unchanged.push_back({static_cast<uint32_t>(out.rows()), static_cast<uint32_t>(i)});
                out.AppendNull();
            });
            continue;
        }
        const Datum resolved = Resolved(TupleDescAttr(layout->descriptor, index), value);
        if (!column->writer.write(&column->writer, resolved, &out)) {
            pg::Guard([&] {
                const auto id = static_cast<uint32_t>(column->id);
                auto& inexact = changes_.inexact;
                if (std::find(inexact.begin(), inexact.end(), id) == inexact.end()) inexact.push_back(id);
            });
        }
    }
    if (layout->column_count == 0) rows_.AddEmptyRows(1);
}

// Whether the mirror's format has all values of a key, which has no NULLs.
bool ChangeBuilder::IsStorable(RowLayout* layout, const Datum* values) {
    bool storable = true;
    for (int i = 0; i < layout->key_count && storable; i++) {
        LayoutColumn* column = &layout->columns[layout->key[i]];
        if (column->writer.mapping.form == types::Form::kExact) continue;
        ColumnBuilder& out = tried_.column(static_cast<size_t>(i));
        storable = column->writer.write(&column->writer, values[column->attnum - 1], &out);
    }
    tried_.Clear();
    return storable;
}

// False, and nothing written, if a part of the key is not known. Only where whole rows are the key can it hold NULLs.
bool ChangeBuilder::WriteKey(RowLayout* layout, const Datum* values, const bool* nulls) {
    if (!layout->has_key) return false;
    for (int i = 0; i < layout->key_count; i++) {
        const int index = layout->columns[layout->key[i]].attnum - 1;
        if (nulls[index] && layout->identity == Identity::kFull) continue;
        if (nulls[index] || IsUnchanged(TupleDescAttr(layout->descriptor, index), values[index])) return false;
    }
    // Rows whose keys can't be stored have NULLs there, which would not tell them from each other. Of whole rows that are equal
    // but for such values any goes: queries that see the difference are not the mirror's.
    if (layout->identity == Identity::kKey && !IsStorable(layout, values)) return false;
    for (int i = 0; i < layout->key_count; i++) {
        LayoutColumn* column = &layout->columns[layout->key[i]];
        ColumnBuilder& out = keys_.column(static_cast<size_t>(i));
        const int index = column->attnum - 1;
        if (nulls[index]) {
            pg::Guard([&] { out.AppendNull(); });
            continue;
        }
        column->writer.write(&column->writer, values[index], &out);
    }
    return true;
}

void ChangeBuilder::Done(RowOp op) {
    pg::Guard([&] { changes_.ops.push_back(static_cast<uint8_t>(op)); });
    bytes_ = rows_.bytes() + keys_.bytes();
    CheckMessageSize(bytes_);
    torn_ = false;
}

void ChangeBuilder::Insert(RowLayout* layout) {
    torn_ = true;
    WriteRow(layout, false);
    Done(RowOp::kInsert);
}

void ChangeBuilder::Update(RowLayout* layout, bool old_is_known) {
    torn_ = true;
    // Of a whole row, the new version tells nothing about the old one.
    const bool identified = (old_is_known || layout->identity == Identity::kKey) &&
                            WriteKey(layout, old_is_known ? layout->old_values : layout->values,
                                     old_is_known ? layout->old_nulls : layout->nulls);
    if (!identified) {
        Done(RowOp::kUnidentified);
        return;
    }
    WriteRow(layout, true);
    Done(RowOp::kUpdate);
}

void ChangeBuilder::Delete(RowLayout* layout, bool old_is_known) {
    torn_ = true;
    const bool identified = old_is_known && WriteKey(layout, layout->old_values, layout->old_nulls);
    Done(identified ? RowOp::kDelete : RowOp::kUnidentified);
}

void ChangeBuilder::Truncate() {
    torn_ = true;
    Done(RowOp::kTruncate);
}

void ChangeBuilder::Unidentified() {
    torn_ = true;
    Done(RowOp::kUnidentified);
}

void ChangeBuilder::Send(EngineLink* link, Oid mirror) {
    if (torn_) Clear();
    if (changes_.ops.empty()) return;
    pg::Guard([&] {
        changes_.mirror = mirror;
        ByteWriter rows, keys;
        rows_.Write(&rows);
        rows_.Clear();
        keys_.Write(&keys);
        keys_.Clear();
        changes_.rows = rows.Take();
        changes_.keys = keys.Take();
    });
    link->QueueChanges(&changes_);
    Clear();
}

void ChangeBuilder::Clear() {
    changes_.ops.clear();
    changes_.unchanged.clear();
    changes_.inexact.clear();
    changes_.rows.clear();
    changes_.keys.clear();
    rows_.Clear();
    keys_.Clear();
    bytes_ = 0;
    torn_ = false;
}

}  // namespace ivy::capture
