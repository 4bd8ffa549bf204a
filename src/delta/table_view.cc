// SPDX-License-Identifier: Apache-2.0
// Scanning a view's part of the delta.
#include "delta/table_view.h"

#include <algorithm>

namespace ivy::delta {

size_t TableView::delta_chunks() const {
    if (parts_.begin == parts_.end) return 0;
    return (parts_.end - 1 - parts_.chunks_position) / kChunkRows - FirstChunk() + 1;
}

void TableView::ScanDelta(size_t chunk, const std::vector<size_t>& columns, duckdb::DataChunk& out) const {
    const size_t ordinal = FirstChunk() + chunk;
    const DeltaChunk& rows = *(*parts_.chunks)[ordinal];
    const uint64_t position = parts_.chunks_position + ordinal * kChunkRows;
    const size_t begin = parts_.begin > position ? parts_.begin - position : 0;
    const size_t end = std::min<uint64_t>(kChunkRows, parts_.end - position);
    const bool last = chunk + 1 == delta_chunks();
    duckdb::SelectionVector sel;
    const size_t count = rows.Visible(parts_.snapshot, last ? parts_.last_inserted : rows.inserted(), begin, end, &sel);
    rows.Reference(columns, begin, end, sel, count, out);
}

}  // namespace ivy::delta
