// SPDX-License-Identifier: Apache-2.0
// Feeding a SegmentBuilder from DuckDB vectors.
#include "delta/index_builder.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include "duckdb/common/vector/flat_vector.hpp"
#include "index/key_hash.h"

namespace ivy::delta {

std::string IndexPathFor(const std::string& folder, const std::string& data_file, const std::vector<uint32_t>& key) {
    uint64_t hash = index::kHashSeed;
    for (const uint32_t id : key) hash = index::Combine(hash, index::HashInteger(id));
    // Short, since pg_basebackup takes no path of more than 99 bytes.
    char suffix[32];
    std::snprintf(suffix, sizeof suffix, ".%09" PRIx64 ".idx", hash >> 28);
    const size_t slash = data_file.rfind('/');
    std::string name = slash == std::string::npos ? data_file : data_file.substr(slash + 1);
    name.resize(std::min(name.size(), name.rfind('.')));
    return folder + "/" + name + suffix;
}

void IndexBuilder::Add(const duckdb::DataChunk& keys) {
    if (keys.size() == 0) return;
    std::vector<FlatColumn> columns;
    for (const duckdb::Vector& vector : keys.data) {
        vector.Flatten();
        columns.push_back(FlatColumnOf(vector));
    }
    Add(columns, 0, keys.size());
}

void IndexBuilder::Add(const std::vector<FlatColumn>& columns, size_t offset, size_t count) {
    hashes_.resize(count);
    key_.Hash(columns, offset, count, hashes_.data());
    for (const uint64_t hash : hashes_) segment_.Add(hash);
    if (!key_.HasOrdinal()) return;
    for (size_t row = offset; row < offset + count; row++) {
        // A NULL, which only a key of a keyless table can have, is never looked for by range.
        if (!columns[0].IsNull(row)) range_.Extend(key_.Ordinal(columns[0], row));
    }
}

Status IndexBuilder::Finish(const std::string& path) {
    if (key_.HasOrdinal()) segment_.SetRange(range_);
    return segment_.Write(path);
}

}  // namespace ivy::delta
