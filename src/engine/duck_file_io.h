// SPDX-License-Identifier: Apache-2.0
//
// DuckFileIo: Iceberg's file operations over DuckDB's file systems, so that local disks and object stores (s3:// with
// httpfs) are one code path, under DuckDB's own limits on which folders may be touched.
//
// On local disks whatever was written is on stable storage when a call returns: contents, names and new folders. A file
// is written under a temporary name first, so that its name never shows half of it. Thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/status.h"
#include "iceberg/file_io.h"

namespace duckdb {
class DatabaseInstance;
}

namespace ivy::engine {

std::unique_ptr<iceberg::FileIo> MakeDuckFileIo(duckdb::DatabaseInstance& database);

// Makes a local folder and those above it, durably; does nothing for object stores, which have none.
Status MakeFolder(const std::string& folder);

// Has a local file's contents and name on stable storage; does nothing for object stores.
Status SyncFile(const std::string& path);

// Removes the folders "data" and "metadata" under a table's location and everything in them, and the location itself if
// that leaves it empty. Missing ones are no error. Ends early with the error of "wanted", which is asked before each file.
Status RemoveTableFiles(iceberg::FileIo& io, const std::string& location, const std::function<Status()>& wanted = {});

}  // namespace ivy::engine
