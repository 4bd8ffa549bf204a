// SPDX-License-Identifier: Apache-2.0
//
// IndexBuilder: makes the key index segment of a data file from its key columns, as they are written or read back: for
// an initial copy, and for a segment that was lost.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "delta/key_columns.h"

namespace ivy::delta {

// Where the segment of a data file belongs: in "folder", under a name made of the file's own and of the key's column
// ids in key order. So a segment of another key, from before a change of the primary key, is never taken for this one:
// its single candidates, which nobody verifies, would be other rows.
std::string IndexPathFor(const std::string& folder, const std::string& data_file, const std::vector<uint32_t>& key);

class IndexBuilder {
  public:
    explicit IndexBuilder(KeyColumns key) : key_(std::move(key)) {}

    // The key columns, in key order, of the file's next rows. Vectors of any kind.
    void Add(const duckdb::DataChunk& keys);
    // The same for flat columns.
    void Add(const std::vector<FlatColumn>& columns, size_t offset, size_t count);
    uint64_t rows() const { return segment_.rows(); }

    // Writes the segment; the builder is used up.
    Status Finish(const std::string& path);

  private:
    KeyColumns key_;
    index::SegmentBuilder segment_;
    index::KeyRange range_;
    std::vector<uint64_t> hashes_;
};

}  // namespace ivy::delta
