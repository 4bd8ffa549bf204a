// SPDX-License-Identifier: Apache-2.0
#include "lake/iceberg_metadata_file.h"

#include <charconv>
#include <optional>

#include "iceberg/table_state.h"
#include "lake/paths.h"

namespace ivy::lake {
namespace {

constexpr char kHint[] = "version-hint.text";
constexpr int64_t kMaxVersion = int64_t{1} << 53;

bool IsMetadataFile(std::string_view path) {
    return path.ends_with(".metadata.json") || path.ends_with(".metadata.json.gz");
}

std::optional<int64_t> ToVersion(std::string_view text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.remove_suffix(1);
    while (text.starts_with(' ')) text.remove_prefix(1);
    if (text.starts_with('v')) text.remove_prefix(1);
    int64_t version = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
    const bool whole = error == std::errc() && end == text.data() + text.size();
    return whole && version >= 0 && version < kMaxVersion ? std::optional(version) : std::nullopt;
}

Status NotATable(const std::string& path, const std::string& detail) {
    return Status::Make(sqlstate::kUndefinedFile, "\"" + path + "\" is not an Iceberg table", detail,
                        "Name the table's folder or one of its metadata files.");
}

class Finder {
  public:
    Finder(TableIo* io, std::string table) : io_(io), table_(std::move(table)), folder_(table_ + "/metadata") {}

    Result<std::string> Find(const std::string& version) {
        if (version == "?") return Newest();
        if (const auto number = ToVersion(version)) {
            IVY_ASSIGN_OR_RETURN(const auto file, OfVersion(*number));
            if (file) return *file;
            IVY_ASSIGN_OR_RETURN(const auto named, NamedFor(*number));
            if (named) return *named;
            return NotATable(table_, "There is no metadata file of version " + version + " in \"" + folder_ + "\".");
        }
        const std::string hint = folder_ + "/" + (version.empty() ? kHint : version);
        IVY_ASSIGN_OR_RETURN(const bool exists, io_->Exists(hint));
        if (exists) return ByHint(hint);
        if (!version.empty()) return NotATable(table_, "There is no file \"" + hint + "\".");
        return Newest();
    }

    Result<iceberg::TableMetadata> Parse(const std::string& file) {
        IVY_ASSIGN_OR_RETURN(const Bytes content, io_->ReadFile(file));
        Result<iceberg::TableMetadata> metadata = iceberg::TableMetadata::Parse(content);
        if (!metadata.ok()) return metadata.status().Prepend("\"" + file + "\"");
        return metadata;
    }

  private:
    // The file of a version by the names that go without a UUID.
    Result<std::optional<std::string>> OfVersion(int64_t version) {
        const std::string number = std::to_string(version);
        for (const std::string& name : {"v" + number + ".metadata.json", "v" + number + ".gz.metadata.json",
                                        "v" + number + ".metadata.json.gz", number + ".metadata.json"}) {
            IVY_ASSIGN_OR_RETURN(const bool exists, io_->Exists(folder_ + "/" + name));
            if (exists) return std::optional(folder_ + "/" + name);
        }
        return std::optional<std::string>();
    }

    // The file of a version by any name.
    Result<std::optional<std::string>> NamedFor(int64_t version) {
        IVY_ASSIGN_OR_RETURN(const std::vector<std::string> files, io_->List(folder_));
        for (const std::string& file : files) {
            if (IsMetadataFile(file) && iceberg::VersionOf(file) == version) return std::optional(file);
        }
        return std::optional<std::string>();
    }

    Result<std::string> ByHint(const std::string& hint) {
        IVY_ASSIGN_OR_RETURN(const Bytes content, io_->ReadFile(hint));
        const std::string text(content.begin(), content.end());
        const auto version = ToVersion(text);
        if (!version) return Status::Corrupt("\"" + hint + "\" does not hold a version number");
        IVY_ASSIGN_OR_RETURN(auto file, OfVersion(*version));
        if (!file) {
            IVY_ASSIGN_OR_RETURN(file, NamedFor(*version));
            if (!file) return Status::Corrupt("\"" + hint + "\" names a version that has no metadata file");
            return *file;
        }
        for (int64_t next = *version + 1;; next++) {
            IVY_ASSIGN_OR_RETURN(auto newer, OfVersion(next));
            if (!newer) return *file;
            file = std::move(newer);
        }
    }

    Result<std::string> Newest() {
        IVY_ASSIGN_OR_RETURN(const std::vector<std::string> files, io_->List(folder_));
        std::vector<std::string> candidates;
        int64_t largest = 0;
        for (const std::string& file : files) {
            const int64_t version = iceberg::VersionOf(file);
            if (!IsMetadataFile(file) || version < largest) continue;
            if (version > largest) candidates.clear();
            largest = version;
            candidates.push_back(file);
        }
        if (candidates.empty()) return NotATable(table_, "There are no metadata files in \"" + folder_ + "\".");
        if (candidates.size() == 1) return candidates[0];
        size_t newest = 0;
        int64_t updated = -1;
        for (size_t i = 0; i < candidates.size(); i++) {
            IVY_ASSIGN_OR_RETURN(const iceberg::TableMetadata metadata, Parse(candidates[i]));
            const bool newer = metadata.last_updated_ms() > updated ||
                               (metadata.last_updated_ms() == updated && candidates[i] > candidates[newest]);
            if (!newer) continue;
            newest = i;
            updated = metadata.last_updated_ms();
        }
        return candidates[newest];
    }

    TableIo* const io_;
    const std::string table_, folder_;
};

// The folder of the folder that a metadata file is in.
std::string TableOf(const std::string& file) {
    const std::string folder = file.substr(0, file.size() - BaseName(file).size());
    std::string table = WithoutSlash(folder);
    table.resize(table.size() - BaseName(table).size());
    return WithoutSlash(table.empty() ? "." : table);
}

}  // namespace

Result<IcebergLocation> FindIcebergMetadata(TableIo* io, const std::string& path, const std::string& version) {
    std::string file = WithoutSlash(NormalPath(path));
    const bool is_file = IsMetadataFile(file);
    Finder finder(io, is_file ? TableOf(file) : file);
    std::string table = is_file ? TableOf(file) : file;
    if (!is_file) {
        IVY_ASSIGN_OR_RETURN(file, finder.Find(version));
    }
    IVY_ASSIGN_OR_RETURN(iceberg::TableMetadata metadata, finder.Parse(file));
    return IcebergLocation{std::move(table), std::move(file), std::move(metadata)};
}

}  // namespace ivy::lake
