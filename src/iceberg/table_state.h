// SPDX-License-Identifier: Apache-2.0
//
// TableState: what a Table holds in memory, shared by loading (table.cc) and committing (commit.cc).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "iceberg/manifest.h"
#include "iceberg/metadata.h"
#include "iceberg/snapshot_history.h"
#include "iceberg/table.h"

namespace ivy::iceberg {

struct LiveManifest {
    uint64_t number = 0;  // a name for it in this process
    ManifestFile file;
};

struct TableState {
    TableMetadata metadata;
    std::string metadata_location;
    int64_t version = 0;                  // the number in the metadata file's name
    std::vector<LiveManifest> manifests;  // of the current snapshot, in the manifest list's order
    uint64_t next_manifest_number = 0;
    std::vector<DataFile> data_files, delete_files;
    std::vector<uint64_t> data_homes, delete_homes;  // the number of each file's manifest
    SnapshotHistory history;
};

// Writes the metadata as the given version of the table and returns the file's location.
Result<std::string> WriteMetadata(FileIo* io, const TableMetadata& metadata, int64_t version);

// The version in a metadata file's name, "00042-<uuid>.metadata.json" or "v42.metadata.json"; 0 if there is none.
int64_t VersionOf(const std::string& location);
// The name v<N>.metadata.json under which a metadata file is published, in the same folder.
std::string PublishedName(const std::string& location);

// Milliseconds since 1970.
int64_t NowMs();

// Makes and writes the state after "change"; "state" is changed only if all went well.
Result<CommitResult> CommitChange(FileIo* io, TableState* state, const Change& change);

}  // namespace ivy::iceberg
