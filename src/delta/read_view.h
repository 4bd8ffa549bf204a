// SPDX-License-Identifier: Apache-2.0
//
// ReadView: the rows of one mirror that one snapshot sees, frozen. Made by MirrorTable::Read, scanned by query
// sessions.
//
// A view holds shared pointers to everything it needs, so applying, flushing and publishing go on beside it.
// Thread-safe: any number of threads may scan different chunks at once.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/snapshot.h"
#include "delta/row_set.h"
#include "protocol/messages.h"

namespace duckdb {
class DataChunk;
}

namespace ivy::delta {

// A data file as this view sees it.
struct FileView {
    uint32_t slot = 0;  // index of the file in the mirror, stable while the file lives
    std::string path;
    int64_t rows = 0;  // before deletes
    int64_t size = 0;  // bytes
    // Rows that this view does not show, or null if it shows all of them.
    std::shared_ptr<const RowSet> deleted;
};

class ReadView {
  public:
    virtual ~ReadView() = default;

    virtual const std::vector<MirrorColumn>& columns() const = 0;
    virtual const std::vector<FileView>& files() const = 0;

    // The delta is scanned in chunks of at most STANDARD_VECTOR_SIZE rows.
    virtual size_t delta_chunks() const = 0;
    virtual uint64_t delta_rows() const = 0;  // before visibility: an upper bound of what a scan gives
    // Fills "out" (initialised with the types of "columns", which are ordinals into columns()) with the visible rows of
    // chunk "chunk". May leave it empty. "out" may reference the view's memory: it is valid while the view lives.
    virtual void ScanDelta(size_t chunk, const std::vector<size_t>& columns, duckdb::DataChunk& out) const = 0;
};

}  // namespace ivy::delta
