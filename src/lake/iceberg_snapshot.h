// SPDX-License-Identifier: Apache-2.0
//
// IcebergSnapshot: a foreign Iceberg table at one snapshot, as a scan needs it: columns, data files, and which delete
// files apply to which data file. Manifests are read in a second step, so that those whose partitions no row of interest
// can be in need not be read: their delete files apply to none but such rows.
//
// A deletion vector applies to the data file that it names, if that is not newer; position deletes to data files of
// their partition that are not newer, unless there is a vector; equality deletes to older data files of their
// partition, or to all older ones if their partition spec is unpartitioned.
//
// Format: https://iceberg.apache.org/spec/#scan-planning, #snapshot-references and #column-projection
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "iceberg/manifest.h"
#include "iceberg/metadata.h"
#include "lake/column.h"
#include "lake/iceberg_metadata_file.h"
#include "lake/table_io.h"
#include "lake/transform.h"

namespace ivy::lake {

// What to read, and from where. At most one of the first three.
struct IcebergOptions {
    std::optional<int64_t> snapshot_id;
    std::optional<int64_t> timestamp_ms;  // what was current then, milliseconds since 1970
    std::string ref;                      // a branch or a tag
    std::string version;                  // see FindIcebergMetadata
    bool allow_moved_paths =
        false;  // files are below the folder that was asked for, wherever the metadata says they are
};

struct PartitionField {
    int source_id = 0;  // of the column
    int field_id = 0;   // of the value in partition tuples
    Transform transform;
};

struct IcebergEntry {
    iceberg::DataFile file;  // its path resolved
    std::string manifest;
    int64_t manifest_sequence_number = 0;
    iceberg::EntryStatus status = iceberg::EntryStatus::kAdded;
};

// The delete files that apply to one data file: indexes in IcebergSnapshot::deletes.
struct AppliedDeletes {
    std::optional<size_t> vector;
    std::vector<size_t> positions, equalities;
    bool empty() const { return !vector && positions.empty() && equalities.empty(); }
};

class IcebergSnapshot {
  public:
    // With all files.
    static Result<IcebergSnapshot> Load(TableIo* io, const std::string& path, const IcebergOptions& options);
    // Of a metadata file that was read already, without files.
    static Result<IcebergSnapshot> LoadList(TableIo* io, IcebergLocation location, const IcebergOptions& options);
    // The same with the files of those manifests that are wanted, by their place in manifests().
    Result<IcebergSnapshot> WithFiles(TableIo* io, const std::vector<bool>& wanted) const;

    const std::string& table() const { return location_->table; }
    const iceberg::TableMetadata& metadata() const { return location_->metadata; }
    const iceberg::TableSnapshot* snapshot() const { return snapshot_ ? metadata().Find(*snapshot_) : nullptr; }
    const std::vector<Column>& columns() const { return columns_; }
    const std::vector<iceberg::ManifestFile>& manifests() const { return manifests_; }  // that have live files
    const std::vector<IcebergEntry>& data() const { return data_; }                     // live data files
    const std::vector<IcebergEntry>& deletes() const { return deletes_; }               // live delete files
    // The fields of a data or delete file's partition spec.
    const std::vector<PartitionField>& spec(int id) const;

    AppliedDeletes DeletesOf(const iceberg::DataFile& file) const;
    // Where a file is that the table's metadata or delete files name.
    Result<std::string> Resolve(const std::string& path) const;

  private:
    explicit IcebergSnapshot(IcebergLocation location)
        : location_(std::make_shared<const IcebergLocation>(std::move(location))) {}
    Status ChooseSnapshot(const IcebergOptions& options);
    Status ReadColumns(bool as_of_snapshot);
    Status ReadSpecs();
    Status ReadManifestList(TableIo* io);
    Status ReadFiles(TableIo* io, const iceberg::ManifestFile& manifest);
    Status IndexDeletes();

    std::shared_ptr<const IcebergLocation> location_;
    bool moved_ = false;  // IcebergOptions::allow_moved_paths
    std::optional<int64_t> snapshot_;
    std::optional<int> schema_id_;  // of the snapshot, if it is read with its own schema
    std::vector<Column> columns_;
    std::map<int, std::vector<PartitionField>> specs_;
    std::vector<iceberg::ManifestFile> manifests_;
    std::vector<IcebergEntry> data_, deletes_;
    // Indexes of delete files: vectors and position deletes of one data file by its path, others by partition, and
    // equality deletes of all partitions.
    std::unordered_map<std::string, size_t> vectors_;
    std::unordered_map<std::string, std::vector<size_t>> by_path_, by_partition_;
    std::vector<size_t> everywhere_;
};

}  // namespace ivy::lake
