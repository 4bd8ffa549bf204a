// SPDX-License-Identifier: Apache-2.0
//
// FileIo: the few file operations that table metadata needs, so that local disks and object stores are one code path.
// The engine implements it over DuckDB's file systems; LocalFileIo serves tests and tools.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"

namespace ivy::iceberg {

class FileIo {
  public:
    virtual ~FileIo() = default;
    virtual Result<Bytes> ReadFile(const std::string& path) = 0;
    virtual Result<Bytes> ReadRange(const std::string& path, int64_t offset, int64_t size) = 0;
    // Creates or replaces a file as a whole, makes missing folders, and has it on stable storage when it returns.
    // With "exclusive", an existing file is an error.
    virtual Status WriteFile(const std::string& path, const Bytes& content, bool exclusive) = 0;
    virtual Status DeleteFile(const std::string& path) = 0;  // a missing file is not an error
    virtual Result<bool> Exists(const std::string& path) = 0;
    virtual Result<std::vector<std::string>> List(const std::string& folder) = 0;  // files directly in it, full paths
    virtual Result<int64_t> FileSize(const std::string& path) = 0;
};

std::unique_ptr<FileIo> MakeLocalFileIo();

}  // namespace ivy::iceberg
