// SPDX-License-Identifier: Apache-2.0
//
// TableMetadata: an Iceberg table's metadata file. Versions 1 to 3 are read, 2 and 3 are written.
//
// The JSON document itself is kept and edited, so that members that this code does not know survive a rewrite; the typed
// members beside it are what the code reads, and every change goes through a method that keeps both in step.
//
// Format: https://iceberg.apache.org/spec/#table-metadata-fields and appendix C.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "iceberg/json.h"
#include "iceberg/schema.h"

namespace ivy::iceberg {

struct TableSnapshot {
    int64_t id = 0;
    std::optional<int64_t> parent_id;
    int64_t sequence_number = 0;
    int64_t timestamp_ms = 0;
    std::string manifest_list;  // empty only in version 1, which may name the manifests instead
    std::vector<std::string> manifests;
    std::map<std::string, std::string> summary;  // with "operation"
    std::optional<int> schema_id;
    std::optional<int64_t> first_row_id, added_rows;  // version 3
};

class TableMetadata {
  public:
    // A new table without snapshots, in an unpartitioned, unsorted format version 2 or 3.
    static Result<TableMetadata> New(const std::string& location, const Schema& schema, int format_version,
                                     const std::map<std::string, std::string>& properties);
    // Reads a metadata file, plain or gzipped.
    static Result<TableMetadata> Parse(const Bytes& content);
    Result<Bytes> Serialize() const;

    int format_version() const { return format_version_; }
    const std::string& uuid() const { return uuid_; }  // empty only in version 1
    const std::string& location() const { return location_; }
    int64_t last_sequence_number() const { return last_sequence_number_; }
    int64_t last_updated_ms() const { return last_updated_ms_; }
    int64_t next_row_id() const { return next_row_id_; }
    const Schema& schema() const { return schemas_[current_schema_]; }
    const std::vector<Schema>& schemas() const {
        return schemas_;
    }  // never empty; the first is the one that it began with
    // The whole document, for what has no member of its own here: partition specs, refs, the snapshot log.
    const Json& document() const { return document_; }
    const std::vector<TableSnapshot>& snapshots() const { return snapshots_; }
    const TableSnapshot* current_snapshot() const {
        return current_snapshot_id_ ? Find(*current_snapshot_id_) : nullptr;
    }
    const TableSnapshot* Find(int64_t snapshot_id) const;
    int default_spec_id() const { return default_spec_id_; }
    int default_sort_order_id() const { return default_sort_order_id_; }  // 0: files are not sorted
    // The source field ids of the default sort order.
    std::vector<int> SortFields() const;
    bool partitioned() const { return partitioned_; }  // some spec, old or current, has fields

    // Makes a schema the current one: an equal one is used again, else it gets the next schema id.
    Status SetSchema(const Schema& schema);
    // Makes "fields" ascending, NULLs last, the order in which files are sorted from now on; none: they are not sorted. An
    // equal order is used again, else it gets the next order id. An error if a field is not in the schema.
    Status SetSortOrder(const std::vector<int>& fields);
    void SetProperties(const std::map<std::string, std::string>& properties);
    // Adds a snapshot and makes it the current one of branch main.
    void AddSnapshot(const TableSnapshot& snapshot, int64_t next_row_id);
    // Enters the metadata file that this one replaces. Returns the locations that fell off the log's end.
    std::vector<std::string> PushMetadataLog(const std::string& location, int64_t timestamp_ms);
    // The metadata files that came before this one, as far as they are kept, and files of statistics.
    std::vector<std::string> OtherFiles() const;
    void SetLastUpdated(int64_t timestamp_ms);

    struct ExpiredSnapshots {
        std::vector<TableSnapshot> snapshots;  // oldest first
        std::vector<std::string> statistics;   // their statistics files
        // Whether the history is a single line: no branches and tags but main, every snapshot an ancestor of the current one.
        bool linear = true;
    };
    // Removes all but the newest "keep" snapshots of main's history from the metadata. What a branch or tag refers to stays.
    ExpiredSnapshots ExpireSnapshots(int keep);

  private:
    TableMetadata() = default;
    Status ParseSchemas();
    Status ParseSpecs();
    Status ParseSortOrders();
    Status ParseSnapshots();
    std::vector<std::string> DropStatistics(const std::vector<int64_t>& snapshot_ids);
    void TrimSnapshotLog(const std::vector<int64_t>& expired);

    Json document_;
    int format_version_ = 0;
    std::string uuid_, location_;
    int64_t last_sequence_number_ = 0, last_updated_ms_ = 0, next_row_id_ = 0;
    int last_column_id_ = 0;
    std::vector<Schema> schemas_;
    size_t current_schema_ = 0;  // index
    int default_spec_id_ = 0;
    int default_sort_order_id_ = 0;
    bool partitioned_ = false;
    std::vector<TableSnapshot> snapshots_;
    std::optional<int64_t> current_snapshot_id_;
};

// A new random part of a file's name, 16 characters: base backups, being tar files, refuse paths of 100 characters or more,
// so a UUID is a luxury here.
std::string NewFileId();
// A new random (version 4) UUID as text.
std::string NewUuid();
// A new random snapshot id, positive.
int64_t NewSnapshotId();

}  // namespace ivy::iceberg
