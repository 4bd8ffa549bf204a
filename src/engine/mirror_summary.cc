// SPDX-License-Identifier: Apache-2.0
#include "engine/mirror_summary.h"

#include <charconv>

#include "engine/iceberg_schema.h"

namespace ivy::engine {

std::string XidsText(const std::vector<Xid>& xids) {
    std::string text;
    for (const Xid xid : xids) text += (text.empty() ? "" : ",") + std::to_string(xid);
    return text;
}

std::vector<Xid> XidsFromText(const std::string& text) {
    std::vector<Xid> xids;
    const char* at = text.data();
    const char* end = at + text.size();
    while (at < end) {
        Xid xid = kInvalidXid;
        const auto [next, error] = std::from_chars(at, end, xid);
        if (error != std::errc()) break;
        xids.push_back(xid);
        at = next + 1;
    }
    return xids;
}

bool AddDefinition(const iceberg::Table& table, const MirrorOpen& open, const std::vector<uint32_t>& inexact,
                   iceberg::Change* change) {
    iceberg::Schema schema = EvolveIcebergSchema(table.schema(), open.columns, open.key, inexact);
    const bool schema_changed = !schema.SameFields(table.schema());
    const std::vector<int> sort_fields(open.sort.begin(), open.sort.end());
    const bool sort_changed = sort_fields != table.sort_fields();
    if (schema_changed) change->schema = std::move(schema);
    if (sort_changed || !sort_fields.empty()) change->sort_fields = sort_fields;
    return schema_changed || sort_changed;
}

int64_t LiveRows(const iceberg::Table& table) {
    int64_t rows = 0;
    for (const iceberg::DataFile& file : table.data_files()) rows += file.record_count;
    for (const iceberg::DataFile& file : table.delete_files()) rows -= file.record_count;
    return rows;
}

int64_t LiveBytes(const iceberg::Table& table) {
    int64_t bytes = 0;
    for (const iceberg::DataFile& file : table.data_files()) bytes += file.file_size;
    for (const iceberg::DataFile& file : table.delete_files()) bytes += file.content_size.value_or(file.file_size);
    return bytes;
}

}  // namespace ivy::engine
