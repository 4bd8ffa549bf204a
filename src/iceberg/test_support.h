// SPDX-License-Identifier: Apache-2.0
//
// What the tests of this library share: a file system in memory with failures on demand, and damage to files.
#pragma once

#include <functional>
#include <map>
#include <random>
#include <string>

#include "base/bytes.h"
#include "iceberg/file_io.h"

namespace ivy::iceberg {

class MemoryFileIo : public FileIo {
  public:
    Result<Bytes> ReadFile(const std::string& path) override {
        reads++;
        const auto found = files.find(path);
        if (found == files.end()) return Status::Make(sqlstate::kUndefinedFile, "no file " + path);
        return found->second;
    }
    Result<Bytes> ReadRange(const std::string& path, int64_t offset, int64_t size) override {
        IVY_ASSIGN_OR_RETURN(const Bytes all, ReadFile(path));
        const auto length = static_cast<int64_t>(all.size());
        if (offset < 0 || size < 0 || offset > length || size > length - offset)
            return Status::Corrupt("short file " + path);
        return Bytes(all.begin() + offset, all.begin() + offset + size);
    }
    Status WriteFile(const std::string& path, const Bytes& content, bool exclusive) override {
        if (writes_until_failure == 0) return Status::Make(sqlstate::kDiskFull, "no space left");
        if (writes_until_failure > 0) writes_until_failure--;
        if (exclusive && files.contains(path)) return Status::Make(sqlstate::kIoError, "file exists");
        files[path] = content;
        writes++;
        return Status::Ok();
    }
    Status DeleteFile(const std::string& path) override {
        files.erase(path);
        return Status::Ok();
    }
    Result<bool> Exists(const std::string& path) override { return files.contains(path); }
    Result<std::vector<std::string>> List(const std::string& folder) override {
        std::vector<std::string> found;
        for (const auto& [path, content] : files) {
            if (path.rfind(folder + "/", 0) == 0 && path.find('/', folder.size() + 1) == std::string::npos)
                found.push_back(path);
        }
        return found;
    }
    Result<int64_t> FileSize(const std::string& path) override {
        IVY_ASSIGN_OR_RETURN(const Bytes all, ReadFile(path));
        return static_cast<int64_t>(all.size());
    }

    std::map<std::string, Bytes> files;
    int reads = 0, writes = 0;
    int writes_until_failure = -1;  // -1: never
};

inline Bytes ToBytes(std::string_view text) { return Bytes(text.begin(), text.end()); }

inline Bytes FromHex(std::string_view hex) {
    Bytes bytes;
    std::string digits;
    for (const char c : hex) {
        if (c == ' ') continue;
        digits.push_back(c);
        if (digits.size() < 2) continue;
        bytes.push_back(static_cast<uint8_t>(std::stoi(digits, nullptr, 16)));
        digits.clear();
    }
    return bytes;
}

// Calls "read" with the file cut at every length (or every "step"th), then with "rounds" copies that have up to four bytes
// changed. The copies are allocated exactly, so that a sanitizer sees any read beyond their end.
inline void Damage(const Bytes& good, int rounds, const std::function<void(const Bytes&)>& read, size_t step = 1) {
    for (size_t size = 0; size < good.size(); size += step)
        read(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)));
    std::mt19937 random(20260101);
    for (int round = 0; round < rounds; round++) {
        Bytes bad = good;
        for (uint32_t flips = 1 + random() % 4; flips > 0; flips--)
            bad[random() % bad.size()] = static_cast<uint8_t>(random());
        if (bad != good) read(bad);
    }
}

}  // namespace ivy::iceberg
