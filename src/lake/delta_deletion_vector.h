// SPDX-License-Identifier: Apache-2.0
//
// Delta Lake's deletion vectors: which rows of a data file are deleted.
//
// A vector is in the log itself (as Z85 text), or part of a file that is found by a UUID (20 characters of Z85, behind
// a folder's name) or by its path. Its content is Iceberg's: a magic number and a 64-bit Roaring bitmap; in a file it
// has a length before it and a CRC-32 behind it. Vectors in the form that came before (the one of the protocol's
// example) are read as well.
//
// Format: Delta Lake's PROTOCOL.md, "Deletion Vector Descriptor Schema" and "Deletion Vector Format".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "iceberg/deletion_vector.h"
#include "iceberg/json.h"
#include "lake/table_io.h"

namespace ivy::lake {

struct DeletionVectorRef {
    char storage = 0;  // 'i' inline, 'u' by UUID, 'p' by path
    std::string path_or_inline;
    std::optional<int64_t> offset;  // in the file; not inline
    int64_t size = 0;               // bytes, decoded
    int64_t cardinality = 0;        // rows

    // Tells apart the vectors that one data file had in the course of time.
    std::string UniqueId() const;
};

Result<DeletionVectorRef> DeletionVectorRefFromJson(const iceberg::Json& json);

// Where the vector's file is, for a table in folder "table"; nothing if it is inline.
Result<std::optional<std::string>> DeletionVectorPath(const std::string& table, const DeletionVectorRef& ref);

// Reads a vector; an error if its size or cardinality is another than the log says.
Result<iceberg::DeletedRows> ReadDeltaDeletionVector(TableIo* io, const std::string& table,
                                                     const DeletionVectorRef& ref);

// Z85 (ZeroMQ RFC 32): five characters for four bytes. The text's length must be a multiple of five.
Result<Bytes> DecodeZ85(std::string_view text);
std::string EncodeZ85(const Bytes& bytes);  // REQUIRES: a multiple of four bytes

}  // namespace ivy::lake
