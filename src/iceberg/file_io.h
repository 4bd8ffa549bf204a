// SPDX-License-Identifier: Apache-2.0
//
// FileIo: the few file operations that table metadata needs, so that local disks and object stores are one code path.
// The engine implements it over DuckDB's file systems; LocalFileIo serves tests and tools.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"

namespace ivy::iceberg {

// Implementations may be called by several threads at once. A path is absolute or has a scheme. A file that is not there
// is SQLSTATE 58P01, other failures of the medium 58030.
class FileIo {
  public:
    virtual ~FileIo() = default;
    virtual Result<Bytes> ReadFile(const std::string& path) = 0;
    // Exactly "size" bytes from "offset" on; a file that ends earlier is an error.
    virtual Result<Bytes> ReadRange(const std::string& path, int64_t offset, int64_t size) = 0;
    // Creates or replaces a file as a whole, makes missing folders, and has it on stable storage when it returns.
    // With "exclusive", an existing file is an error.
    virtual Status WriteFile(const std::string& path, const Bytes& content, bool exclusive) = 0;
    virtual Status DeleteFile(const std::string& path) = 0;  // a missing file is not an error
    virtual Result<bool> Exists(const std::string& path) = 0;
    // Files directly in a folder, full paths, in no order. A missing folder has no files (as on an object store).
    virtual Result<std::vector<std::string>> List(const std::string& folder) = 0;
    virtual Result<int64_t> FileSize(const std::string& path) = 0;
};

// The local file system. Paths may begin with "file:" or "file://". A file is written under a temporary name (ending in
// ".tmp", left behind only by a crash) and renamed, file and folder are fsynced.
std::unique_ptr<FileIo> MakeLocalFileIo();

}  // namespace ivy::iceberg
