// SPDX-License-Identifier: Apache-2.0
// MirrorStorage, and the file system that goes with it: handles of the object store's own file system, opened as somebody else.
#include "engine/mirror_storage.h"

#include <duckdb.hpp>

#include <duckdb/common/file_system.hpp>
#include <duckdb/common/multi_file/multi_file_list.hpp>
#include <duckdb/main/client_context_file_opener.hpp>

#include <algorithm>
#include <string_view>

#include "engine/error_map.h"
#include "engine/instance.h"
#include "engine/query_inputs.h"

namespace ivy::engine {
namespace {

// DuckDB takes for remote, and caches, what begins with a scheme that it knows.
constexpr std::string_view kScheme = "s3://", kMirrorPrefix = "s3://.mirror/";
constexpr char kMirrorFileMark[] = "ivy_mirror";

std::string Quoted(const std::string& value, char quote) {
    std::string quoted(1, quote);
    for (const char c : value) {
        quoted += c;
        if (c == quote) quoted += c;
    }
    return quoted + quote;
}

std::string TrueName(const std::string& name) {
    return name.starts_with(kMirrorPrefix) ? std::string(kScheme) + name.substr(kMirrorPrefix.size()) : name;
}

bool HasMark(const duckdb::OpenFileInfo& file) {
    return file.extended_info && file.extended_info->options.contains(kMirrorFileMark);
}

bool IsFor(const Secret& secret, const std::string& location) {
    return secret.scope.empty() || std::any_of(secret.scope.begin(), secret.scope.end(),
                                               [&](const auto& prefix) { return location.starts_with(prefix); });
}

// The settings with which objects of mirrors are read and written. The engine tries again by itself, with pauses that
// grow, so a request should rather fail soon; and a part of an upload waits in memory, several at a time. How long a client's
// query waits is its session's choice.
class MirrorOpener final : public duckdb::ClientContextFileOpener {
  public:
    MirrorOpener(duckdb::ClientContext& context, bool writes, duckdb::ClientContext* reader = nullptr)
        : ClientContextFileOpener(context), writes_(writes) {
        if (!reader) return;
        (void)reader->TryGetCurrentSetting(duckdb::Identifier("http_timeout"), timeout_);
        (void)reader->TryGetCurrentSetting(duckdb::Identifier("http_retries"), retries_);
    }

    duckdb::SettingLookupResult TryGetCurrentSetting(const duckdb::Identifier& key, duckdb::Value& result) override {
        return Find(key, &result) ? duckdb::SettingLookupResult(duckdb::SettingScope::LOCAL)
                                  : ClientContextFileOpener::TryGetCurrentSetting(key, result);
    }
    duckdb::SettingLookupResult TryGetCurrentSetting(const duckdb::Identifier& key, duckdb::Value& result,
                                                     duckdb::FileOpenerInfo& info) override {
        return Find(key, &result) ? duckdb::SettingLookupResult(duckdb::SettingScope::LOCAL)
                                  : ClientContextFileOpener::TryGetCurrentSetting(key, result, info);
    }

  private:
    bool Find(const duckdb::Identifier& key, duckdb::Value* result) const {
        const std::string name = key.GetIdentifierName();
        if (name == "http_timeout") {
            *result = timeout_.IsNull() ? duckdb::Value::UBIGINT(writes_ ? 120 : 20)
                                        : timeout_;  // seconds, of a whole request
        } else if (name == "http_retries") {
            *result = retries_.IsNull() ? duckdb::Value::UBIGINT(2) : retries_;
        } else if (name == "http_retry_wait_ms") {
            *result = duckdb::Value::UBIGINT(100);
        } else if (name == "s3_uploader_max_filesize") {
            *result = duckdb::Value("160GB");  // 16 MB a part
        } else if (name == "s3_uploader_thread_limit") {
            *result = duckdb::Value::UBIGINT(4);
        } else {
            return false;
        }
        return true;
    }

    const bool writes_;
    duckdb::Value timeout_, retries_;  // a session's
};

}  // namespace

// Secrets of a connection are found in a transaction of it. This one never ends; it holds nothing.
struct MirrorStorage::Access {
    std::unique_ptr<duckdb::Connection> connection;
    std::unique_ptr<MirrorOpener> reads, writes;  // of the engine itself
    Status status;                                // why nothing can be opened with it

    Status Open(Instance& instance, const std::string& location, const std::vector<Secret>& secrets) {
        IVY_RETURN_IF_ERROR(instance.LoadHttpfs());
        bool has_secret = false;
        try {
            connection = instance.Connect();
            for (const Secret& secret : secrets) {
                if (!IsFor(secret, location)) continue;
                has_secret = true;
                const auto result = connection->Query(CreateSecretSql(secret));
                if (!result->HasError()) continue;
                return Status::Make(sqlstate::kInsufficientPrivilege, "secret \"" + secret.name + "\" can't be used",
                                    ErrorFromDuck(result->GetErrorObject()).message);
            }
            connection->BeginTransaction();
            reads = std::make_unique<MirrorOpener>(*connection->context, false);
            writes = std::make_unique<MirrorOpener>(*connection->context, true);
        } catch (const std::exception& exception) {
            return StatusFromException(exception);
        }
        // Nobody but the store's owner may write, so it need not be asked without a key, wherever that would be.
        if (has_secret) return Status::Ok();
        return Status::Make(sqlstate::kInsufficientPrivilege,
                            "the owner of the mirror has no secret for \"" + location + "\"");
    }
    ~Access() {
        try {
            if (connection && connection->HasActiveTransaction()) connection->Rollback();
        } catch (const std::exception&) {
            // It goes with the connection.
        }
    }
};

namespace {

class MirrorFileHandle final : public duckdb::FileHandle {
  public:
    MirrorFileHandle(duckdb::FileSystem& files, const std::string& path, duckdb::FileOpenFlags flags,
                     duckdb::unique_ptr<duckdb::FileHandle> inner, std::shared_ptr<MirrorStorage::Access> access,
                     std::shared_ptr<duckdb::FileOpener> opener)
        : FileHandle(files, path, flags),
          access_(std::move(access)),
          opener_(std::move(opener)),
          inner_(std::move(inner)) {
        track_io = false;
    }
    ~MirrorFileHandle() override {
        if (!inner_ || !flags.OpenForWriting() || closed_) return;
        // What is not closed must not appear under its name, if the store's file system can be told so.
        try {
            inner_->AbortWrite();
        } catch (const std::exception&) {
            // Then an object that nothing refers to.
        }
    }
    void Close() override {
        closed_ = true;
        inner_->Close();
    }
    bool CanSeek() override { return inner_->CanSeek(); }
    duckdb::FileHandle& inner() { return *inner_; }

  private:
    std::shared_ptr<MirrorStorage::Access> access_;  // outlive the handle
    std::shared_ptr<duckdb::FileOpener> opener_;
    duckdb::unique_ptr<duckdb::FileHandle> inner_;
    bool closed_ = false;
};

duckdb::FileHandle& Inner(duckdb::FileHandle& handle) { return handle.Cast<MirrorFileHandle>().inner(); }

class MirrorFileSystem final : public duckdb::FileSystem {
  private:
    // The access to a path. Throws unless the opener is the engine itself or has the mirror from a view.
    std::shared_ptr<MirrorStorage::Access> Check(const std::string& path,
                                                 duckdb::optional_ptr<duckdb::FileOpener> opener, bool marked) const {
        duckdb::optional_ptr<duckdb::ClientContext> context = duckdb::FileOpener::TryGetClientContext(opener);
        if (context && !marked && QueryInputs::Find(*context)) {
            ThrowSqlError(sqlstate::kInsufficientPrivilege, "the columnar engine must not open \"" + path + "\"");
        }
        auto access = storage_.Find(TrueName(path));
        if (!access) ThrowSqlError(sqlstate::kIoError, "the location of \"" + TrueName(path) + "\" is not known");
        if (access->status.ok()) return access;
        const Error& error = access->status.error();
        ThrowSqlError(error.sqlstate.c_str(), error.message, error.detail, error.hint);
    }

    template <typename Body>
    auto As(const std::string& path, duckdb::optional_ptr<duckdb::FileOpener> opener, bool writes, Body body) {
        const auto access = Check(path, opener, false);
        return body(TrueName(path), writes ? access->writes.get() : access->reads.get());
    }

  public:
    MirrorFileSystem(const MirrorStorage& storage, duckdb::FileSystem& all) : storage_(storage), all_(all) {}

    std::string GetName() const override { return "MirrorFileSystem"; }
    bool CanHandleFile(const std::string& path) override { return path.starts_with(kMirrorPrefix); }
    bool IsManuallySet() override { return true; }  // goes before the store's own
    bool CanSeek() override { return true; }

    duckdb::vector<duckdb::OpenFileInfo> Glob(const std::string& path, duckdb::FileOpener* opener) override {
        Check(path, opener, false);
        return {OpenMirrorFile(TrueName(path))};
    }
    bool FileExists(const std::string& path, duckdb::optional_ptr<duckdb::FileOpener> opener) override {
        return As(path, opener, false, [&](const std::string& name, duckdb::FileOpener* as) {
            // The store's own says no as well where a server does not answer.
            try {
                all_.OpenFile(name, duckdb::FileFlags::FILE_FLAGS_READ, as);
                return true;
            } catch (const std::exception& exception) {
                if (StatusFromException(exception).error().sqlstate == sqlstate::kUndefinedFile) return false;
                throw;
            }
        });
    }
    void RemoveFile(const std::string& path, duckdb::optional_ptr<duckdb::FileOpener> opener) override {
        As(path, opener, true, [&](const std::string& name, duckdb::FileOpener* as) { all_.RemoveFile(name, as); });
    }
    bool TryRemoveFile(const std::string& path, duckdb::optional_ptr<duckdb::FileOpener> opener) override {
        try {
            RemoveFile(path, opener);
            return true;
        } catch (const std::exception& exception) {
            if (StatusFromException(exception).error().sqlstate == sqlstate::kUndefinedFile) return false;
            throw;
        }
    }

    void Read(duckdb::FileHandle& handle, void* buffer, int64_t bytes, duckdb::idx_t location) override {
        Inner(handle).Read(buffer, static_cast<duckdb::idx_t>(bytes), location);
    }
    int64_t Read(duckdb::FileHandle& handle, void* buffer, int64_t bytes) override {
        return Inner(handle).Read(buffer, static_cast<duckdb::idx_t>(bytes));
    }
    void Write(duckdb::FileHandle& handle, void* buffer, int64_t bytes, duckdb::idx_t location) override {
        Inner(handle).Write(duckdb::QueryContext(), buffer, static_cast<duckdb::idx_t>(bytes), location);
    }
    int64_t Write(duckdb::FileHandle& handle, void* buffer, int64_t bytes) override {
        return Inner(handle).Write(buffer, static_cast<duckdb::idx_t>(bytes));
    }
    int64_t GetFileSize(duckdb::FileHandle& handle) override {
        return static_cast<int64_t>(Inner(handle).GetFileSize());
    }
    duckdb::timestamp_t GetLastModifiedTime(duckdb::FileHandle& handle) override {
        return Inner(handle).file_system.GetLastModifiedTime(Inner(handle));
    }
    duckdb::string GetVersionTag(duckdb::FileHandle& handle) override {
        return Inner(handle).file_system.GetVersionTag(Inner(handle));
    }
    duckdb::FileType GetFileType(duckdb::FileHandle& handle) override { return Inner(handle).GetType(); }
    duckdb::FileMetadata Stats(duckdb::FileHandle& handle) override { return Inner(handle).Stats(); }
    void FileSync(duckdb::FileHandle& handle) override { Inner(handle).Sync(); }
    void AbortFileWrite(duckdb::FileHandle& handle) override { Inner(handle).AbortWrite(); }
    void Seek(duckdb::FileHandle& handle, duckdb::idx_t location) override { Inner(handle).Seek(location); }
    void Reset(duckdb::FileHandle& handle) override { Inner(handle).Reset(); }
    duckdb::idx_t SeekPosition(duckdb::FileHandle& handle) override { return Inner(handle).SeekPosition(); }
    duckdb::FileWriteMode GetWriteMode(duckdb::FileHandle& handle) override { return Inner(handle).GetWriteMode(); }
    bool OnDiskFile(duckdb::FileHandle&) override { return false; }
    bool TryGetNetworkThroughput(duckdb::FileHandle& handle, duckdb::NetworkThroughputEstimate& result) override {
        return Inner(handle).TryGetNetworkThroughput(result);
    }

  protected:
    duckdb::unique_ptr<duckdb::FileHandle> OpenFileExtended(const duckdb::OpenFileInfo& file,
                                                            duckdb::FileOpenFlags flags,
                                                            duckdb::optional_ptr<duckdb::FileOpener> opener) override {
        const auto access = Check(file.path, opener, HasMark(file));
        const duckdb::OpenFileInfo inner(TrueName(file.path));
        std::shared_ptr<duckdb::FileOpener> as;
        duckdb::optional_ptr<duckdb::ClientContext> reader = duckdb::FileOpener::TryGetClientContext(opener);
        if (flags.OpenForWriting()) {
            as = {access, access->writes.get()};
        } else if (reader && QueryInputs::Find(*reader)) {
            as = std::make_shared<MirrorOpener>(*access->connection->context, false, reader.get());
        } else {
            as = {access, access->reads.get()};
        }
        auto handle = all_.OpenFile(inner, flags, as.get());
        if (!handle) return nullptr;
        return duckdb::make_uniq<MirrorFileHandle>(*this, file.path, flags, std::move(handle), access, std::move(as));
    }
    bool SupportsOpenFileExtended() const override { return true; }

    bool ListFilesExtended(const std::string& folder, const std::function<void(duckdb::OpenFileInfo&)>& callback,
                           duckdb::optional_ptr<duckdb::FileOpener> opener) override {
        return As(folder, opener, false,
                  [&](const std::string& name, duckdb::FileOpener* as) { return all_.ListFiles(name, callback, as); });
    }
    bool SupportsListFilesExtended() const override { return true; }

  private:
    const MirrorStorage& storage_;
    duckdb::FileSystem& all_;  // by scheme
};

}  // namespace

std::string CreateSecretSql(const Secret& secret) {
    std::string sql = "CREATE SECRET " + Quoted(secret.name, '"') + " IN connection (TYPE " + Quoted(secret.type, '"');
    if (!secret.scope.empty()) {
        sql += ", SCOPE [";
        for (size_t i = 0; i < secret.scope.size(); i++) sql += (i == 0 ? "" : ", ") + Quoted(secret.scope[i], '\'');
        sql += "]";
    }
    for (const auto& [name, value] : secret.options) sql += ", " + Quoted(name, '"') + " " + Quoted(value, '\'');
    return sql + ")";
}

bool IsLocalPath(const std::string& path) { return path.find("://") == std::string::npos; }

std::string OpenName(const std::string& path) {
    return path.starts_with(kScheme) && !path.starts_with(kMirrorPrefix)
               ? std::string(kMirrorPrefix) + path.substr(kScheme.size())
               : path;
}

std::string TrueNames(std::string text) {
    for (size_t at = 0; (at = text.find(kMirrorPrefix, at)) != std::string::npos;)
        text.replace(at, kMirrorPrefix.size(), kScheme);
    return text;
}

duckdb::OpenFileInfo OpenMirrorFile(const std::string& path) {
    static const auto unchanging = [] {
        auto info = duckdb::make_shared_ptr<duckdb::ExtendedOpenFileInfo>();
        info->options["validate_external_file_cache"] = duckdb::Value::BOOLEAN(false);
        info->options[kMirrorFileMark] = duckdb::Value::BOOLEAN(true);
        return info;
    }();
    duckdb::OpenFileInfo file(OpenName(path));
    file.extended_info = unchanging;
    return file;
}

bool IsStorageFailure(const Error& error) {
    for (const char* state : {sqlstate::kConnectionFailure, sqlstate::kIoError, sqlstate::kInsufficientPrivilege,
                              sqlstate::kFeatureNotSupported}) {
        if (error.sqlstate == state) return true;
    }
    return false;
}

MirrorStorage::MirrorStorage() = default;
MirrorStorage::~MirrorStorage() = default;

void MirrorStorage::Register(duckdb::DatabaseInstance& database) {
    duckdb::FileSystem& all = *duckdb::DBConfig::GetConfig(database).file_system;
    all.RegisterSubSystem(duckdb::make_uniq<MirrorFileSystem>(*this, all));
}

Status MirrorStorage::Use(Instance& instance, const std::string& location, const std::vector<Secret>& secrets) {
    if (IsLocalPath(location)) return Status::Ok();
    auto access = std::make_shared<Access>();
    access->status = access->Open(instance, location, secrets);
    const Status status = access->status;
    std::lock_guard guard(mutex_);
    locations_[location + "/"] = std::move(access);
    return status;
}

void MirrorStorage::Forget(const std::string& location) {
    std::lock_guard guard(mutex_);
    locations_.erase(location + "/");
}

std::shared_ptr<MirrorStorage::Access> MirrorStorage::Find(const std::string& path) const {
    std::lock_guard guard(mutex_);
    // No location is within another.
    auto found = locations_.upper_bound(path + "/");
    if (found == locations_.begin()) return nullptr;
    --found;
    return (path + "/").starts_with(found->first) ? found->second : nullptr;
}

}  // namespace ivy::engine
