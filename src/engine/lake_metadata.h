// SPDX-License-Identifier: Apache-2.0
//
// Table functions over the metadata of foreign Iceberg tables, with the options of ivy_iceberg_scan:
//
//   ivy_iceberg_metadata(path, ...)   the live data and delete files of a snapshot: manifest_path,
//   manifest_sequence_number,
//                                     manifest_content, status, content, file_path, file_format, record_count
//   ivy_iceberg_snapshots(path, ...)  the table's snapshots, oldest first: sequence_number, snapshot_id, timestamp_ms
//   (a
//                                     TIMESTAMP, UTC), manifest_list
#pragma once

namespace duckdb {
class ExtensionLoader;
}

namespace ivy::engine {

void RegisterLakeMetadata(duckdb::ExtensionLoader& loader);

}  // namespace ivy::engine
