// SPDX-License-Identifier: Apache-2.0
//
// MirrorStorage: mirrors in object stores: with whose credentials their files are opened, and under which names.
//
// A mirror's files are opened with the secrets of its owner, whoever reads, and users' own files with the user's, though
// both may be in one bucket. So inside of the engine an object of a mirror has a name of its own, "s3://.mirror/<bucket>/
// <key>" (no bucket can be called ".mirror"), and a file system that is ours opens it, with the secrets that the capture
// worker named for its location. What DuckDB caches of objects goes by these names too: what a user reads, with an endpoint
// of his own perhaps, never comes into a mirror. Queries of clients reach such names only by a mirror that they are given
// (kMirrorFileMark), not by paths in SQL or in somebody's table metadata.
//
// The rest of the engine keeps the true names; only where DuckDB is told to open something they are exchanged (OpenName).
// Thread-safe.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/status.h"
#include "protocol/messages.h"

namespace duckdb {
struct OpenFileInfo;
class DatabaseInstance;
}  // namespace duckdb

namespace ivy::engine {

class Instance;

// CREATE SECRET for a connection of its own.
std::string CreateSecretSql(const Secret& secret);

// Whether a path is on a local disk, not an object store.
bool IsLocalPath(const std::string& path);

// The name under which DuckDB opens a mirror's file; that of a local one is its path.
std::string OpenName(const std::string& path);

// A text with the names of files as they are outside of the engine.
std::string TrueNames(std::string text);

// The same as OpenName, with what DuckDB should know of it: that it never changes, so that what is cached of it is good for ever, and
// that a query may open it.
duckdb::OpenFileInfo OpenMirrorFile(const std::string& path);

// Whether an error is the storage's, which may well answer later or to other credentials, and tells nothing of the file.
bool IsStorageFailure(const Error& error);

class MirrorStorage {
  public:
    MirrorStorage();
    ~MirrorStorage();

    // Makes a file system of DuckDB's that opens mirrors' files. Call once.
    void Register(duckdb::DatabaseInstance& database);

    // From now on files below "location" (a URL without a slash at the end) are opened with these secrets. Loads what
    // network locations need; an error says that it is missing, or which secret, and is that of every later attempt to open
    // something there. Files that are open stay so.
    Status Use(Instance& instance, const std::string& location, const std::vector<Secret>& secrets);
    void Forget(const std::string& location);

    struct Access;  // an open connection with a location's secrets
    // Of the location that has this file, or null.
    std::shared_ptr<Access> Find(const std::string& path) const;

  private:
    mutable std::mutex mutex_;
    std::map<std::string, std::shared_ptr<Access>> locations_;  // by location and a slash
};

}  // namespace ivy::engine
