// SPDX-License-Identifier: Apache-2.0
//
// MemoryIo: foreign tables' files in memory. A "Parquet" file is its rows as a JSON array.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <string_view>

#include "iceberg/test_support.h"
#include "lake/table_io.h"

namespace ivy::lake {

using iceberg::Damage;
using iceberg::ToBytes;

class MemoryIo : public TableIo {
  public:
    Result<Bytes> ReadFile(const std::string& path) override {
        const auto found = files.find(path);
        if (found == files.end()) return Status::Make(sqlstate::kUndefinedFile, "no file " + path);
        return found->second;
    }
    Result<Bytes> ReadRange(const std::string& path, int64_t offset, int64_t size) override {
        IVY_ASSIGN_OR_RETURN(const Bytes all, ReadFile(path));
        const auto length = static_cast<int64_t>(all.size());
        if (offset < 0 || size < 0 || offset > length || size > length - offset)
            return Status::Corrupt("short " + path);
        return Bytes(all.begin() + offset, all.begin() + offset + size);
    }
    Result<bool> Exists(const std::string& path) override { return files.contains(path); }
    Result<std::vector<std::string>> List(const std::string& folder) override {
        if (!can_list) return Status::Make(sqlstate::kFeatureNotSupported, "folders cannot be listed");
        std::vector<std::string> found;
        for (const auto& [path, content] : files) {
            const bool inside = path.rfind(folder + "/", 0) == 0;
            if (inside && path.find('/', folder.size() + 1) == std::string::npos) found.push_back(path);
        }
        return found;
    }
    Result<int64_t> FileSize(const std::string& path) override {
        IVY_ASSIGN_OR_RETURN(const Bytes all, ReadFile(path));
        return static_cast<int64_t>(all.size());
    }
    Result<int64_t> ModifiedMs(const std::string& path) override { return modified[path]; }
    Status ReadRows(const std::string& path, const std::vector<std::string>&, const TakeRow& take) override {
        IVY_ASSIGN_OR_RETURN(const Bytes all, ReadFile(path));
        IVY_ASSIGN_OR_RETURN(
            const iceberg::Json rows,
            iceberg::ParseJson(std::string_view(reinterpret_cast<const char*>(all.data()), all.size()), path));
        for (const auto& row : rows) IVY_RETURN_IF_ERROR(take(row));
        return Status::Ok();
    }

    void Put(const std::string& path, std::string_view text) { files[path] = ToBytes(text); }

    std::map<std::string, Bytes> files;
    std::map<std::string, int64_t> modified;
    bool can_list = true;
};

}  // namespace ivy::lake
