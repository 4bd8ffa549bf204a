// SPDX-License-Identifier: Apache-2.0
//
// Manifests and manifest lists: the Avro files that name a snapshot's data and delete files. Versions 1 to 3 are read,
// 2 and 3 are written.
//
// What a new file's entry leaves open (snapshot id, sequence numbers, first row id) it inherits from its manifest's entry
// in the manifest list, so that a manifest need not be rewritten when a commit is tried again.
//
// Format: https://iceberg.apache.org/spec/#manifests and #manifest-lists.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "iceberg/avro.h"
#include "iceberg/table.h"

namespace ivy::iceberg {

// What a manifest list says of one partition field's values in a manifest's files. NULL and NaN are outside of the bounds.
struct PartitionSummary {
    bool contains_null = true;
    std::optional<bool> contains_nan;  // none: not known
    std::optional<std::string> lower,
        upper;  // in binary form, of the field's type; none: no other values, or not known
    bool operator==(const PartitionSummary&) const = default;
};

// A manifest as its manifest list describes it.
struct ManifestFile {
    std::string path;
    int64_t length = 0;  // bytes
    int partition_spec_id = 0;
    bool deletes = false;             // holds delete files and deletion vectors, not data files
    int64_t sequence_number = 0;      // of the commit that added the manifest
    int64_t min_sequence_number = 0;  // smallest data sequence number of its live files
    int64_t added_snapshot_id = 0;
    // Unknown (and then possibly not zero) only in lists written by version 1.
    std::optional<int64_t> added_files, existing_files, deleted_files;
    std::optional<int64_t> added_rows, existing_rows, deleted_rows;
    std::optional<int64_t> first_row_id;  // version 3, data manifests
    // One for each field of the partition spec, in its order; empty if the list does not say.
    std::vector<PartitionSummary> partitions;
    bool HasLiveFiles() const { return added_files.value_or(1) + existing_files.value_or(1) > 0; }
    bool operator==(const ManifestFile&) const = default;
};

enum class EntryStatus : int { kExisting = 0, kAdded = 1, kDeleted = 2 };

struct ManifestEntry {
    EntryStatus status = EntryStatus::kAdded;
    DataFile file;
};

// What a manifest's header says about its table.
struct ManifestHeader {
    int format_version = 2;
    std::string schema_json;  // of the table schema
    int schema_id = 0;
    std::string partition_fields_json = "[]";
    int partition_spec_id = 0;
    bool deletes = false;
};

// All entries of a manifest, deleted ones too, with what they inherit from "manifest" filled in.
Result<std::vector<ManifestEntry>> ReadManifest(const Bytes& content, const ManifestFile& manifest);

// Writes one manifest into memory, for an unpartitioned spec. Added files get no sequence numbers (they inherit); existing
// and deleted ones are written with those that their DataFile has. A deleted entry's snapshot id is the writing snapshot's.
class ManifestWriter {
  public:
    static Result<ManifestWriter> Make(const ManifestHeader& header, int64_t snapshot_id, int64_t sequence_number);
    Status Add(EntryStatus status, const DataFile& file);
    size_t size() const { return file_.size(); }  // bytes so far, roughly
    bool empty() const { return entries_ == 0; }
    // Rows of files whose first row id is inherited.
    int64_t inherited_rows() const { return inherited_rows_; }
    // The file, and its entry for the manifest list (path and first_row_id are the caller's).
    Result<std::pair<Bytes, ManifestFile>> Finish();

  private:
    explicit ManifestWriter(avro::FileWriter file) : file_(std::move(file)) {}

    avro::FileWriter file_;
    ManifestHeader header_;
    ManifestFile summary_;
    bool any_live_ = false;
    int64_t entries_ = 0, inherited_rows_ = 0;
};

Result<std::vector<ManifestFile>> ReadManifestList(const Bytes& content);

struct ManifestListHeader {
    int format_version = 2;
    int64_t snapshot_id = 0;
    std::optional<int64_t> parent_snapshot_id;
    int64_t sequence_number = 0;
    int64_t first_row_id = 0;  // version 3
};
// Counts that a manifest does not have are written as 0: fill them in first.
Result<Bytes> WriteManifestList(const ManifestListHeader& header, const std::vector<ManifestFile>& manifests);

}  // namespace ivy::iceberg
