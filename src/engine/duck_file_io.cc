// SPDX-License-Identifier: Apache-2.0
// DuckFileIo: whole-file reads and writes; durability by hand where DuckDB leaves it to the caller.
#include "engine/duck_file_io.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>

#include <duckdb.hpp>
#include <duckdb/common/file_system.hpp>

#include "base/fault_point.h"
#include "engine/error_map.h"
#include "engine/mirror_storage.h"

namespace ivy::engine {
namespace {

std::string FolderOf(const std::string& path) {
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

// fsync of a file or a folder.
Status Sync(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return Status::FromErrno("could not open \"" + path + "\"", errno);
    const int result = fsync(fd);
    const int error = errno;
    close(fd);
    if (result != 0) return Status::FromErrno("could not fsync \"" + path + "\"", error);
    return Status::Ok();
}

class DuckFileIo : public iceberg::FileIo {
  public:
    explicit DuckFileIo(duckdb::DatabaseInstance& database) : files_(duckdb::FileSystem::GetFileSystem(database)) {}

    Result<Bytes> ReadFile(const std::string& path) override {
        return Guarded<Bytes>([&]() -> Result<Bytes> {
            auto handle = files_.OpenFile(OpenName(path), duckdb::FileFlags::FILE_FLAGS_READ);
            Bytes bytes(handle->GetFileSize());
            handle->Read(bytes.data(), bytes.size(), 0);
            return bytes;
        });
    }

    Result<Bytes> ReadRange(const std::string& path, int64_t offset, int64_t size) override {
        return Guarded<Bytes>([&]() -> Result<Bytes> {
            auto handle = files_.OpenFile(OpenName(path), duckdb::FileFlags::FILE_FLAGS_READ);
            const auto total = static_cast<int64_t>(handle->GetFileSize());
            if (offset < 0 || size < 0 || offset > total || size > total - offset) {
                return Status::Corrupt("file \"" + path + "\" is shorter than its metadata says");
            }
            Bytes bytes(static_cast<size_t>(size));
            handle->Read(bytes.data(), bytes.size(), static_cast<duckdb::idx_t>(offset));
            return bytes;
        });
    }

    Status WriteFile(const std::string& path, const Bytes& content, bool exclusive) override {
        IVY_FAULT_POINT("file-write");
        const bool local = IsLocalPath(path);
        if (local) IVY_RETURN_IF_ERROR(MakeFolder(FolderOf(path)));
        if (exclusive) {
            IVY_ASSIGN_OR_RETURN(const bool exists, Exists(path));
            if (exists) return Status::Make(sqlstate::kIoError, "file \"" + path + "\" exists already");
        }
        static std::atomic<uint64_t> counter{0};
        const std::string target = local ? FolderOf(path) + "/.tmp" + std::to_string(counter++) : OpenName(path);
        Result<bool> written = Guarded<bool>([&]() -> Result<bool> {
            auto handle = files_.OpenFile(
                target, duckdb::FileFlags::FILE_FLAGS_WRITE | duckdb::FileFlags::FILE_FLAGS_FILE_CREATE_NEW);
            size_t done = 0;
            while (done < content.size()) {
                const int64_t count = handle->Write(const_cast<uint8_t*>(content.data()) + done, content.size() - done);
                if (count <= 0) return Status::Make(sqlstate::kDiskFull, "could not write \"" + target + "\"");
                done += static_cast<size_t>(count);
            }
            if (local) handle->Sync();
            handle->Close();
            if (local) files_.MoveFile(target, path);
            return true;
        });
        if (!written.ok()) {
            if (local) unlink(target.c_str());
            return written.status();
        }
        return local ? Sync(FolderOf(path)) : Status::Ok();
    }

    Status DeleteFile(const std::string& path) override {
        return Guarded<bool>([&]() -> Result<bool> {
                   files_.TryRemoveFile(OpenName(path));
                   return true;
               })
            .status();
    }

    Result<bool> Exists(const std::string& path) override {
        return Guarded<bool>([&]() -> Result<bool> { return files_.FileExists(OpenName(path)); });
    }

    Result<std::vector<std::string>> List(const std::string& folder) override {
        return Guarded<std::vector<std::string>>([&]() -> Result<std::vector<std::string>> {
            std::vector<std::string> found;
            if (IsLocalPath(folder) && !files_.DirectoryExists(folder)) return found;
            files_.ListFiles(OpenName(folder), [&](const duckdb::string& name, bool is_folder) {
                if (!is_folder) found.push_back(folder + "/" + name.substr(name.find_last_of('/') + 1));
            });
            return found;
        });
    }

    Result<int64_t> FileSize(const std::string& path) override {
        return Guarded<int64_t>([&]() -> Result<int64_t> {
            return static_cast<int64_t>(
                files_.OpenFile(OpenName(path), duckdb::FileFlags::FILE_FLAGS_READ)->GetFileSize());
        });
    }

  private:
    template <typename T, typename Body>
    static Result<T> Guarded(Body body) {
        try {
            return body();
        } catch (const std::exception& exception) {
            return StatusFromException(exception);
        }
    }

    duckdb::FileSystem& files_;
};

}  // namespace

std::unique_ptr<iceberg::FileIo> MakeDuckFileIo(duckdb::DatabaseInstance& database) {
    return std::make_unique<DuckFileIo>(database);
}

Status MakeFolder(const std::string& folder) {
    if (!IsLocalPath(folder)) return Status::Ok();
    std::error_code error;
    if (std::filesystem::is_directory(folder, error)) return Status::Ok();
    const std::string parent = FolderOf(folder);
    if (parent != folder) IVY_RETURN_IF_ERROR(MakeFolder(parent));
    std::filesystem::create_directory(folder, error);
    if (error) return Status::FromErrno("could not create folder \"" + folder + "\"", error.value());
    return Sync(parent);
}

Status SyncFile(const std::string& path) {
    if (!IsLocalPath(path)) return Status::Ok();
    IVY_RETURN_IF_ERROR(Sync(path));
    return Sync(FolderOf(path));
}

Status RemoveTableFiles(iceberg::FileIo& io, const std::string& location, const std::function<Status()>& wanted) {
    for (const char* name : {"/data", "/metadata"}) {
        IVY_ASSIGN_OR_RETURN(const std::vector<std::string> files, io.List(location + name));
        for (const std::string& file : files) {
            if (wanted) IVY_RETURN_IF_ERROR(wanted());
            IVY_RETURN_IF_ERROR(io.DeleteFile(file));
        }
        if (IsLocalPath(location)) rmdir((location + name).c_str());
    }
    if (IsLocalPath(location)) rmdir(location.c_str());
    return Status::Ok();
}

}  // namespace ivy::engine
