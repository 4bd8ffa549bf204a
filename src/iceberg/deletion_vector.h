// SPDX-License-Identifier: Apache-2.0
//
// Deletion vectors: which rows of a data file are deleted, as blobs "deletion-vector-v1" of Puffin files.
//
// A vector read from a file is checked to the last bit before CRoaring sees it, because CRoaring trusts the contents of
// containers.
//
// Format: https://iceberg.apache.org/puffin-spec/#deletion-vector-v1-blob-type
#pragma once

#include <roaring/roaring64map.hh>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "iceberg/file_io.h"
#include "iceberg/table.h"

// CRoaring moved its C++ classes from the global namespace to "roaring" in version 0.3; this finds them in either.
namespace roaring {}
namespace ivy::iceberg::croaring {
using namespace ::roaring;
using Map64 = Roaring64Map;
}  // namespace ivy::iceberg::croaring

namespace ivy::iceberg {

using DeletedRows = croaring::Map64;  // row positions in a file, from 0

// A blob's bytes: length, magic, the vector in Roaring's portable format, CRC-32.
Bytes EncodeDeletionVector(const DeletedRows& rows);
Result<DeletedRows> DecodeDeletionVector(const Bytes& blob);
// The same for a vector without length and CRC around it, as Delta Lake's log holds small ones: magic and vector.
Result<DeletedRows> DecodeDeletionVectorBody(const Bytes& body);

// Writes vectors, each with the path of the data file it belongs to, into one new Puffin file at "path". Returns an entry
// per vector, in order, as Change::deletion_vectors takes them. No vector may be empty.
Result<std::vector<DataFile>> WriteDeletionVectors(
    FileIo* io, const std::string& path, const std::vector<std::pair<std::string, const DeletedRows*>>& vectors);

// Reads the vector that an entry of Table::delete_files() describes; an error if its cardinality is another.
Result<DeletedRows> ReadDeletionVector(FileIo* io, const DataFile& file);

}  // namespace ivy::iceberg
