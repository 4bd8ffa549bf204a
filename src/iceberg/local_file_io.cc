// SPDX-License-Identifier: Apache-2.0
//
// LocalFileIo over POSIX calls. A written file appears under its name all at once: temporary file in the same folder,
// fsync, rename (or link, which fails if the name is taken), fsync of the folder. After a crash there is the old file or
// the new one, and perhaps a "*.tmp".
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "iceberg/file_io.h"

namespace ivy::iceberg {
namespace {

// A file descriptor that closes itself.
class Descriptor {
  public:
    explicit Descriptor(int fd) : fd_(fd) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (fd_ >= 0) close(fd_);
    }
    int get() const { return fd_; }
    bool ok() const { return fd_ >= 0; }
    // Closes now and reports what close() says (a network file system's last chance to report a failed write).
    int Close() {
        const int fd = fd_;
        fd_ = -1;
        return close(fd);
    }

  private:
    int fd_;
};

std::string Quoted(const std::string& path) { return "\"" + path + "\""; }

Status Failed(const std::string& what, const std::string& path) {
    return Status::FromErrno("could not " + what + " " + Quoted(path), errno);
}

// The plain path of a path that may have the scheme "file:".
std::string Plain(const std::string& path) {
    if (path.rfind("file://", 0) == 0) return path.substr(7);
    if (path.rfind("file:", 0) == 0) return path.substr(5);
    return path;
}

std::string ParentOf(const std::string& path) {
    const size_t slash = path.find_last_of('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

Status SyncFolder(const std::string& folder) {
    Descriptor fd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.ok()) return Failed("open folder", folder);
    if (fsync(fd.get()) != 0 && errno != EINVAL) return Failed("fsync folder", folder);
    return Status::Ok();
}

// Makes a folder and its missing parents, each fsynced into its own parent.
Status MakeFolders(const std::string& folder) {
    struct stat info;
    if (stat(folder.c_str(), &info) == 0) {
        if (S_ISDIR(info.st_mode)) return Status::Ok();
        errno = ENOTDIR;
        return Failed("create folder", folder);
    }
    if (errno != ENOENT) return Failed("create folder", folder);
    const std::string parent = ParentOf(folder);
    if (parent != folder) IVY_RETURN_IF_ERROR(MakeFolders(parent));
    if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return Failed("create folder", folder);
    return SyncFolder(parent);
}

Status ReadExactly(int fd, const std::string& path, int64_t offset, uint8_t* to, size_t size) {
    while (size > 0) {
        const ssize_t got = pread(fd, to, size, offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return Failed("read file", path);
        if (got == 0) {
            return Status::Corrupt("file " + Quoted(path) + " ends at byte " + std::to_string(offset) + ", " +
                                   std::to_string(size) + " bytes early");
        }
        to += got;
        offset += got;
        size -= static_cast<size_t>(got);
    }
    return Status::Ok();
}

Status WriteAndSync(const std::string& path, const Bytes& content) {
    Descriptor fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!fd.ok()) return Failed("create file", path);
    const uint8_t* from = content.data();
    size_t left = content.size();
    while (left > 0) {
        const ssize_t wrote = write(fd.get(), from, left);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) return Failed("write file", path);
        from += wrote;
        left -= static_cast<size_t>(wrote);
    }
    if (fsync(fd.get()) != 0) return Failed("fsync file", path);
    if (fd.Close() != 0) return Failed("close file", path);
    return Status::Ok();
}

class LocalFileIo : public FileIo {
  public:
    Result<Bytes> ReadFile(const std::string& path) override {
        const std::string plain = Plain(path);
        Descriptor fd(open(plain.c_str(), O_RDONLY | O_CLOEXEC));
        if (!fd.ok()) return Failed("open file", path);
        struct stat info;
        if (fstat(fd.get(), &info) != 0) return Failed("stat file", path);
        if (!S_ISREG(info.st_mode)) return Status::Make(sqlstate::kIoError, Quoted(path) + " is not a regular file");
        Bytes content(static_cast<size_t>(info.st_size));
        IVY_RETURN_IF_ERROR(ReadExactly(fd.get(), path, 0, content.data(), content.size()));
        return content;
    }

    Result<Bytes> ReadRange(const std::string& path, int64_t offset, int64_t size) override {
        if (offset < 0 || size < 0) return Status::Internal("negative file range");
        const std::string plain = Plain(path);
        Descriptor fd(open(plain.c_str(), O_RDONLY | O_CLOEXEC));
        if (!fd.ok()) return Failed("open file", path);
        struct stat info;
        if (fstat(fd.get(), &info) != 0) return Failed("stat file", path);
        // Before the buffer is made: the range may come from a damaged file.
        if (offset > info.st_size || size > info.st_size - offset) {
            return Status::Corrupt("file " + Quoted(path) + " has " + std::to_string(info.st_size) + " bytes, but " +
                                   std::to_string(size) + " were to be read at " + std::to_string(offset));
        }
        Bytes content(static_cast<size_t>(size));
        IVY_RETURN_IF_ERROR(ReadExactly(fd.get(), path, offset, content.data(), content.size()));
        return content;
    }

    Status WriteFile(const std::string& path, const Bytes& content, bool exclusive) override {
        const std::string plain = Plain(path), folder = ParentOf(plain);
        IVY_RETURN_IF_ERROR(MakeFolders(folder));
        static std::atomic<uint64_t> counter{0};
        // Not the name with something added: pg_basebackup, which may see it, takes no path of more than 99 bytes.
        const std::string temporary =
            folder + "/" + std::to_string(getpid()) + "." + std::to_string(counter++) + ".tmp";
        Status status = WriteAndSync(temporary, content);
        if (status.ok() && exclusive) {
            if (link(temporary.c_str(), plain.c_str()) != 0) status = Failed("create file", path);
        } else if (status.ok()) {
            if (rename(temporary.c_str(), plain.c_str()) != 0) status = Failed("rename a temporary file to", path);
        }
        if (!status.ok() || exclusive) unlink(temporary.c_str());
        IVY_RETURN_IF_ERROR(status);
        return SyncFolder(folder);
    }

    Status DeleteFile(const std::string& path) override {
        if (unlink(Plain(path).c_str()) != 0 && errno != ENOENT && errno != ENOTDIR) return Failed("remove file", path);
        return Status::Ok();
    }

    Result<bool> Exists(const std::string& path) override {
        struct stat info;
        if (stat(Plain(path).c_str(), &info) == 0) return true;
        if (errno == ENOENT || errno == ENOTDIR) return false;
        return Failed("stat file", path);
    }

    Result<std::vector<std::string>> List(const std::string& folder) override {
        const std::string plain = Plain(folder);
        std::unique_ptr<DIR, int (*)(DIR*)> stream(opendir(plain.c_str()), closedir);
        std::vector<std::string> files;
        if (!stream && errno == ENOENT) return files;
        if (!stream) return Failed("open folder", folder);
        for (;;) {
            errno = 0;
            const dirent* entry = readdir(stream.get());
            if (entry == nullptr && errno != 0) return Failed("read folder", folder);
            if (entry == nullptr) return files;
            struct stat info;
            const std::string name = entry->d_name;
            if (fstatat(dirfd(stream.get()), name.c_str(), &info, 0) == 0 && S_ISREG(info.st_mode)) {
                files.push_back(folder.ends_with('/') ? folder + name : folder + "/" + name);
            }
        }
    }

    Result<int64_t> FileSize(const std::string& path) override {
        struct stat info;
        if (stat(Plain(path).c_str(), &info) != 0) return Failed("stat file", path);
        return static_cast<int64_t>(info.st_size);
    }
};

}  // namespace

std::unique_ptr<FileIo> MakeLocalFileIo() { return std::make_unique<LocalFileIo>(); }

}  // namespace ivy::iceberg
