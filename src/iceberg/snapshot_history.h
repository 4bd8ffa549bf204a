// SPDX-License-Identifier: Apache-2.0
//
// SnapshotHistory: which files become unreachable when old snapshots of a table are expired.
//
// In a history that is a single line, a file is reachable exactly if it is live now or was removed by a snapshot younger
// than the oldest that is kept. Each snapshot's manifests say what it removed. That is read from the files once and kept
// from then on, so that a commit that expires one snapshot reads nothing.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "iceberg/file_io.h"
#include "iceberg/metadata.h"
#include "iceberg/table.h"

namespace ivy::iceberg {

class SnapshotHistory {
  public:
    // Enters a snapshot that this process committed.
    void Add(int64_t snapshot_id, std::vector<std::string> manifests, std::vector<std::string> removed_files);

    // The files that nothing refers to any more after "gone" was expired. "now" is the metadata after that, data_files and
    // delete_files what is live in it. Files of a history that is not a single line, or that cannot be read, are left out.
    Expired Collect(FileIo* io, const TableMetadata::ExpiredSnapshots& gone, const TableMetadata& now,
                    const std::vector<DataFile>& data_files, const std::vector<DataFile>& delete_files);

  private:
    struct Entry {
        std::vector<std::string> manifests;      // all that its manifest list names
        std::vector<std::string> removed_files;  // data files, delete files and Puffin files
    };
    Result<Entry*> Find(FileIo* io, const TableSnapshot& snapshot);

    std::map<int64_t, Entry> entries_;
};

}  // namespace ivy::iceberg
