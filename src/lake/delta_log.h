// SPDX-License-Identifier: Apache-2.0
//
// Delta Lake's transaction log: the state of a table at one version.
//
// The state is the newest complete checkpoint at or before the version (classic, in parts, or version 2 with sidecars),
// and the commits after it, replayed in order: an "add" puts a file in, a "remove" takes it out, the last "metaData"
// and "protocol" count. The folder is listed; where it can't be (plain HTTP), commits are tried one after another from
// _last_checkpoint on. A protocol that asks readers for a feature that is not implemented here is refused by name.
//
// Format: https://github.com/delta-io/delta/blob/master/PROTOCOL.md
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lake/column.h"
#include "lake/delta_deletion_vector.h"
#include "lake/table_io.h"

namespace ivy::lake {

// A data file of the table.
struct DeltaFile {
    std::string path;  // resolved
    int64_t size = 0;  // bytes
    // Values of the partition columns by physical name, as the log's text; none: NULL.
    std::map<std::string, std::optional<std::string>> partition;
    std::string stats;  // the log's JSON text, or empty
    std::optional<DeletionVectorRef> deletion_vector;

    // The number of rows before deletions, as the statistics say; none if they don't.
    std::optional<int64_t> Rows() const;
};

struct DeltaSnapshot {
    std::string table;  // its folder
    int64_t version = 0;
    std::vector<Column> columns;
    Matching matching = Matching::kByPhysicalName;
    std::vector<size_t> partition_columns;  // ordinals in "columns"
    std::vector<DeltaFile> files;           // sorted by path
};

// At most one of the two.
struct DeltaTimeTravel {
    std::optional<int64_t> version;
    // The last version that was committed at or before this time (milliseconds since 1970): by the commit's in-commit
    // timestamp if it has one, else by the time when its file was last changed.
    std::optional<int64_t> timestamp_ms;
};

// Which files of the log make a version: the checkpoint's, and the commits after it.
struct DeltaSegment {
    std::string table;  // its folder
    int64_t version = 0;
    std::vector<std::string> checkpoint;  // paths, as the following
    std::vector<std::string> commits;
};

// Lists the log and chooses the version.
Result<DeltaSegment> FindDeltaSegment(TableIo* io, const std::string& table, const DeltaTimeTravel& travel);
Result<DeltaSnapshot> ReadDeltaSegment(TableIo* io, const DeltaSegment& segment);

// Both.
Result<DeltaSnapshot> LoadDeltaSnapshot(TableIo* io, const std::string& table, const DeltaTimeTravel& travel);

}  // namespace ivy::lake
