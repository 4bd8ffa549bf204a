// SPDX-License-Identifier: Apache-2.0
#include "engine/change_mapping.h"

#include <algorithm>

namespace ivy::engine {
namespace {

// Whether values of one type can be taken as they are for the other: decimals may have become longer.
bool SameValues(const ColumnType& from, const ColumnType& to) {
    if (from.kind != to.kind) return false;
    return from.kind != TypeKind::kDecimal || (from.scale == to.scale && from.precision <= to.precision);
}

void Copy(const ColumnView& from, size_t rows, ColumnBuilder* to) {
    const size_t width = from.type.FixedWidth();
    for (size_t row = 0; row < rows; row++) {
        if (from.IsNull(row)) {
            to->AppendNull();
        } else if (width == 0) {
            to->AppendVariable(from.GetVariable(row));
        } else {
            to->AppendRaw(from.fixed + row * width);
        }
    }
}

}  // namespace

Result<std::optional<Changes>> MapColumns(const Changes& changes, const std::vector<MirrorColumn>& columns,
                                          const std::set<uint32_t>& copied) {
    const std::vector<uint32_t>& ids = changes.columns;
    if (ids.empty() || changes.rows.empty()) return std::optional<Changes>();
    ByteReader in(changes.rows);
    IVY_ASSIGN_OR_RETURN(const ColumnChunkView view, ColumnChunkView::Read(&in));
    if (view.columns.size() != ids.size()) {
        return Status::Make(sqlstate::kProtocolViolation, "changes message has another number of columns than it says");
    }

    std::vector<uint32_t> ordinal_of(ids.size(), UINT32_MAX);  // among the mirror's columns
    std::vector<size_t> source(columns.size(), SIZE_MAX);      // ordinal among those of the rows
    std::vector<ColumnType> types;
    bool same = columns.size() == ids.size();
    for (size_t i = 0; i < columns.size(); i++) {
        types.push_back(columns[i].type);
        const size_t at = i < ids.size() && ids[i] == columns[i].id
                              ? i
                              : static_cast<size_t>(std::find(ids.begin(), ids.end(), columns[i].id) - ids.begin());
        same = same && at == i && view.columns[i].type == columns[i].type;
        if (at == ids.size()) {
            if (!copied.contains(columns[i].id)) continue;
            return Status::Make(sqlstate::kObjectNotInState,
                                "a change lacks column \"" + columns[i].name + "\", which its row has", "",
                                "The mirror must be copied again.");
        }
        source[i] = at;
        ordinal_of[at] = static_cast<uint32_t>(i);
    }
    if (same) return std::optional<Changes>();

    Changes mapped = changes;
    mapped.columns.clear();
    mapped.unchanged.clear();
    for (const UnchangedValue& value : changes.unchanged) {
        if (value.column >= ordinal_of.size()) {
            return Status::Make(sqlstate::kProtocolViolation, "changes message names a column that it does not have");
        }
        if (ordinal_of[value.column] != UINT32_MAX) mapped.unchanged.push_back({value.row, ordinal_of[value.column]});
    }
    ColumnChunkBuilder builder(types);
    for (size_t i = 0; i < columns.size(); i++) {
        if (source[i] == SIZE_MAX) {
            for (size_t row = 0; row < view.rows; row++) builder.column(i).AppendNull();
            continue;
        }
        const ColumnView& from = view.columns[source[i]];
        if (!SameValues(from.type, columns[i].type)) {
            return Status::Make(sqlstate::kObjectNotInState,
                                "the type of column \"" + columns[i].name + "\" has changed", "",
                                "The mirror must be copied again.");
        }
        Copy(from, view.rows, &builder.column(i));
    }
    if (columns.empty()) builder.AddEmptyRows(view.rows);
    ByteWriter out;
    builder.Write(&out);
    mapped.rows = out.Take();
    return std::optional<Changes>(std::move(mapped));
}

}  // namespace ivy::engine
