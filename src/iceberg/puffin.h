// SPDX-License-Identifier: Apache-2.0
//
// Puffin files: a container of blobs about a table, here deletion vectors.
//
// Format: https://iceberg.apache.org/puffin-spec/ . Blobs and footers are written uncompressed; a compressed footer (LZ4)
// is refused on reading.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"

namespace ivy::iceberg {

struct PuffinBlob {
    std::string type;
    std::vector<int> fields;   // field ids that the blob is about
    int64_t snapshot_id = -1;  // -1: not known when the file was written
    int64_t sequence_number = -1;
    int64_t offset = 0, length = 0;                // where it is in the file
    std::optional<std::string> compression_codec;  // "lz4" or "zstd"; none: as is
    std::map<std::string, std::string> properties;
};

// Writes one Puffin file into memory.
class PuffinWriter {
  public:
    PuffinWriter();
    // Appends a blob's bytes; "blob" says the rest. Returns its offset.
    int64_t Add(PuffinBlob blob, const Bytes& content);
    // The whole file, with "created_by" in its footer.
    Result<Bytes> Finish(const std::string& created_by);

  private:
    Bytes out_;
    std::vector<PuffinBlob> blobs_;
};

// The blobs that a Puffin file's footer lists, each checked to lie inside the file.
Result<std::vector<PuffinBlob>> ReadPuffinFooter(const Bytes& file);

}  // namespace ivy::iceberg
