// SPDX-License-Identifier: Apache-2.0
//
// TableView: the ReadView of a MirrorTable. Immutable, so it needs no locks.
#pragma once

#include <memory>
#include <vector>

#include "delta/delta_chunk.h"
#include "delta/read_view.h"

namespace ivy::delta {

using ChunkList = std::vector<std::shared_ptr<const DeltaChunk>>;

class TableView final : public ReadView {
  public:
    struct Parts {
        std::shared_ptr<const std::vector<MirrorColumn>> columns;
        std::shared_ptr<const std::vector<FileView>> files;
        std::shared_ptr<const ChunkList> chunks;  // may have more than the view's rows
        uint64_t chunks_position = 0;             // position of the first row of the first of them
        uint64_t begin = 0, end = 0;              // positions of the view's rows
        InsertRuns last_inserted;                 // who inserted the rows of the last chunk, which may still grow
        Snapshot snapshot;
    };
    explicit TableView(Parts parts) : parts_(std::move(parts)) {}

    const std::vector<MirrorColumn>& columns() const override { return *parts_.columns; }
    const std::vector<FileView>& files() const override { return *parts_.files; }
    size_t delta_chunks() const override;
    uint64_t delta_rows() const override { return parts_.end - parts_.begin; }
    void ScanDelta(size_t chunk, const std::vector<size_t>& columns, duckdb::DataChunk& out) const override;

  private:
    size_t FirstChunk() const { return (parts_.begin - parts_.chunks_position) / kChunkRows; }

    const Parts parts_;
};

}  // namespace ivy::delta
