// SPDX-License-Identifier: Apache-2.0
//
// Table: one Iceberg table's current state, and the commits that make its next one. Not thread-safe.
//
// Reading a table loads its metadata file, the current snapshot's manifest list and manifests: the list of live data
// files with their deletion vectors. A commit writes only new manifests (cost proportional to the change), a manifest
// list and a metadata file; making that file "current" is the caller's business (a catalog), so a commit that is never
// published has no effect and its files are orphans.
//
// Format: https://iceberg.apache.org/spec/ versions 2 and 3.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/status.h"
#include "iceberg/file_io.h"
#include "iceberg/schema.h"

namespace ivy::iceberg {

enum class Content : int { kData = 0, kPositionDeletes = 1, kEqualityDeletes = 2 };

// Column metrics of a data file by field id, as manifests carry them. Bounds are in Iceberg's single-value binary form.
struct Metrics {
    std::map<int, int64_t> column_sizes, value_counts, null_value_counts, nan_value_counts;
    std::map<int, std::string> lower_bounds, upper_bounds;
    bool operator==(const Metrics&) const = default;
};

// A data file or a delete file of a snapshot.
struct DataFile {
    Content content = Content::kData;
    std::string path;                // absolute, or with a scheme
    std::string format = "PARQUET";  // PUFFIN for a deletion vector
    int64_t record_count = 0;        // for a deletion vector: its cardinality
    int64_t file_size = 0;           // bytes of the whole file, also for a deletion vector in a larger Puffin file
    Metrics metrics;
    std::vector<int64_t> split_offsets;
    std::optional<int> sort_order_id;
    std::vector<int> equality_ids;  // equality deletes only
    std::optional<std::string>
        referenced_data_file;  // deletion vectors (required) and position deletes of one data file
    std::optional<int64_t> content_offset, content_size;  // deletion vectors: the blob in the Puffin file
    std::optional<int64_t> first_row_id;                  // v3, data files; assigned at commit
    // For reading foreign tables; empty if unpartitioned. A JSON object from partition field id to value: numbers for
    // numbers ("NaN", "Infinity" and "-Infinity" as text), dates (days) and times, text for strings, hexadecimal text for
    // bytes, uuids and decimals.
    std::string partition_json;
    int partition_spec_id = 0;
    // Set by reading and by commits:
    int64_t sequence_number = 0, file_sequence_number = 0, snapshot_id = 0;
    bool operator==(const DataFile&) const = default;
};

// What one commit changes. Files are compared by path (deletion vectors by referenced_data_file). A change of nothing but
// schema, sort order or properties makes no snapshot; every other one does, even an empty one.
struct Change {
    // append, overwrite, delete or replace. "append" with removals or deletes is written as overwrite or delete.
    std::string operation = "append";
    std::vector<DataFile> added;  // data files
    // Paths of data files to remove; their deletion vectors and position deletes go with them. Position and equality delete
    // files can be named as well.
    std::vector<std::string> removed;
    // v3: new vectors, each replaces the vector and the position deletes that its data file had (and must contain them). The
    // data file may be one that is added here. See WriteDeletionVectors().
    std::vector<DataFile> deletion_vectors;
    std::vector<DataFile> position_deletes;      // v2: added position delete files
    std::map<std::string, std::string> summary;  // extra snapshot summary properties, such as "ivy.flushed-lsn"
    std::optional<Schema> schema;                // a new current schema (ids kept, schema-id assigned here)
    // The fields by which files are sorted from this change on, its own added files included (those that name an order of
    // their own aside); empty: they are not.
    std::optional<std::vector<int>> sort_fields;
    std::map<std::string, std::string> properties;  // table properties to set
    int keep_snapshots = 100;  // at least 1; older ones are expired from the metadata (see Expired)
};

// Files that a commit made unreachable: those of expired snapshots, and metadata files that fell off the metadata log. To be
// deleted once the new metadata file is current; some may be gone already. Tables with branches or tags beside main, or with
// snapshots outside of main's history, report metadata files only; the rest is left to a sweep of orphans.
using Expired = std::vector<std::string>;

struct CommitResult {
    std::string metadata_location;
    std::optional<int64_t> snapshot_id;  // of the new snapshot, if the commit made one
    Expired expired;
};

class Table {
  public:
    // Writes the first metadata file (no snapshot) of a new table under "location" and returns the table.
    static Result<std::unique_ptr<Table>> Create(FileIo* io, const std::string& location, const Schema& schema,
                                                 int format_version,
                                                 const std::map<std::string, std::string>& properties);
    // Loads the table that a metadata file describes, with the live files of its current snapshot.
    static Result<std::unique_ptr<Table>> Load(FileIo* io, const std::string& metadata_location);
    virtual ~Table() = default;

    virtual const std::string& metadata_location() const = 0;
    virtual const std::string& location() const = 0;
    virtual const std::string& uuid() const = 0;
    virtual int format_version() const = 0;
    virtual const Schema& schema() const = 0;
    virtual const Schema& first_schema() const = 0;    // with which the table was made
    virtual std::vector<int> sort_fields() const = 0;  // by which new files are sorted; empty: they are not
    virtual std::optional<int64_t> current_snapshot_id() const = 0;
    virtual const std::map<std::string, std::string>& snapshot_summary() const = 0;  // of the current snapshot
    // Live data files, in the order in which they were added, and live delete files.
    virtual const std::vector<DataFile>& data_files() const = 0;
    virtual const std::vector<DataFile>& delete_files() const = 0;

    // Writes manifests, manifest list and metadata (<N>-<uuid>.metadata.json) for the table after "change", fsynced on local
    // disks, and moves this object to that state. On an error the object keeps its old state and what was written is
    // removed. A caller that then fails to make the metadata file current must Load() the old one: nothing that a later
    // commit writes collides with the files of the lost one.
    virtual Result<CommitResult> Commit(const Change& change) = 0;

    // Every file that the table needs, now or for an older snapshot that it keeps: data, deletes, manifests, metadata. All
    // others in its folder are orphans, of lost commits and crashes. Reads the manifests of all snapshots.
    virtual Result<std::set<std::string>> ReferencedFiles() const = 0;

    // Lets readers that know only the table's path find the current state: writes v<N>.metadata.json, a copy of the metadata
    // file, and then version-hint.text. Call once the metadata file is current in the catalog, and after Load() if a crash
    // may have come between the two; doing it again is harmless. Only published versions ever have the name v<N>, because
    // some readers try v<N+1> without being told.
    virtual Status Publish() = 0;
};

}  // namespace ivy::iceberg
