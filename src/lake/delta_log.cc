// SPDX-License-Identifier: Apache-2.0
// Finding the log's files and feeding them to DeltaState.
#include "lake/delta_log.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <set>

#include "lake/delta_state.h"
#include "lake/paths.h"

namespace ivy::lake {
namespace {

constexpr size_t kVersionDigits = 20;
constexpr int64_t kMaxParts = 100000;

// A complete checkpoint: its files, relative to the log's folder.
struct Checkpoint {
    int64_t version = -1;
    std::vector<std::string> files;
};

struct LogFiles {
    std::set<int64_t> commits;
    std::vector<Checkpoint> checkpoints;  // complete ones, by version
};

Status Bad(const std::string& what) { return Status::Corrupt("Delta log: " + what); }

std::string Padded(int64_t version) {
    std::string digits = std::to_string(version);
    return std::string(kVersionDigits - std::min(kVersionDigits, digits.size()), '0') + digits;
}

bool ToNumber(std::string_view digits, int64_t* number) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), *number);
    return !digits.empty() && error == std::errc() && end == digits.data() + digits.size() && *number >= 0;
}

std::vector<std::string_view> Split(std::string_view name) {
    std::vector<std::string_view> parts;
    for (size_t at = 0;;) {
        const size_t dot = name.find('.', at);
        parts.push_back(name.substr(at, dot - at));
        if (dot == std::string_view::npos) return parts;
        at = dot + 1;
    }
}

// Sorts the names in a log's folder into commits and complete checkpoints.
LogFiles Classify(const std::vector<std::string>& names) {
    LogFiles log;
    std::map<std::pair<int64_t, int64_t>, std::set<std::string>> in_parts;  // by version and number of parts
    for (const std::string& name : names) {
        const std::vector<std::string_view> parts = Split(name);
        int64_t version = 0;
        if (parts[0].size() != kVersionDigits || !ToNumber(parts[0], &version)) continue;
        if (parts.size() == 2 && parts[1] == "json") log.commits.insert(version);
        if (parts.size() < 3 || parts[1] != "checkpoint") continue;
        int64_t part = 0, of = 0;
        if (parts.size() == 5 && parts[4] == "parquet" && ToNumber(parts[2], &part) && ToNumber(parts[3], &of)) {
            if (part >= 1 && part <= of && of <= kMaxParts) in_parts[{version, of}].insert(name);
        } else if (parts.back() == "parquet" || (parts.size() == 4 && parts.back() == "json")) {
            log.checkpoints.push_back({version, {name}});
        }
    }
    for (const auto& [key, files] : in_parts) {
        if (static_cast<int64_t>(files.size()) != key.second) continue;  // some are missing
        log.checkpoints.push_back({key.first, {files.begin(), files.end()}});
    }
    std::stable_sort(log.checkpoints.begin(), log.checkpoints.end(),
                     [](const Checkpoint& a, const Checkpoint& b) { return a.version < b.version; });
    return log;
}

class LogReader {
  public:
    LogReader(TableIo* io, const std::string& table) : io_(io), table_(table), folder_(table + "/_delta_log") {}

    Result<DeltaSegment> Find(const DeltaTimeTravel& travel) {
        IVY_ASSIGN_OR_RETURN(const LogFiles log, List());
        if (log.commits.empty() && log.checkpoints.empty()) {
            return Status::Make(sqlstate::kUndefinedFile, "\"" + table_ + "\" is not a Delta table",
                                "There are no commits in \"" + folder_ + "\".");
        }
        DeltaSegment segment;
        segment.table = table_;
        IVY_ASSIGN_OR_RETURN(segment.version, Choose(log, travel));
        int64_t next = 0;
        if (const Checkpoint* checkpoint = NewestUpTo(log, segment.version)) {
            for (const std::string& file : checkpoint->files) segment.checkpoint.push_back(folder_ + "/" + file);
            next = checkpoint->version + 1;
        }
        for (; next <= segment.version; next++) {
            if (!log.commits.contains(next)) {
                return Status::Corrupt("Delta table \"" + table_ + "\" has no commit and no checkpoint for version " +
                                       std::to_string(next) + ", which version " + std::to_string(segment.version) +
                                       " builds on");
            }
            segment.commits.push_back(CommitPath(next));
        }
        return segment;
    }

    Result<DeltaSnapshot> Read(const DeltaSegment& segment) {
        DeltaState state(table_);
        for (const std::string& path : segment.checkpoint) IVY_RETURN_IF_ERROR(ReadCheckpoint(path, &state));
        for (const std::string& path : segment.commits) IVY_RETURN_IF_ERROR(ReadCommit(path, &state));
        return std::move(state).Finish(segment.version);
    }

  private:
    std::string CommitPath(int64_t version) const { return folder_ + "/" + Padded(version) + ".json"; }

    // Lists the folder or, where that is not possible, tries names.
    Result<LogFiles> List() {
        const Result<std::vector<std::string>> paths = io_->List(folder_);
        if (paths.ok() && !paths->empty()) {
            std::vector<std::string> names;
            for (const std::string& path : *paths) names.emplace_back(BaseName(path));
            return Classify(names);
        }
        // Elsewhere folders can be listed: a failure is one, and not a reason to take the versions that can be seen for all.
        if (!IsPlainHttp(table_)) return paths.ok() ? Result<LogFiles>(LogFiles{}) : paths.status();
        LogFiles log;
        IVY_ASSIGN_OR_RETURN(const auto hint, LastCheckpoint());
        if (hint) log.checkpoints.push_back(*hint);
        for (int64_t version = hint ? hint->version + 1 : 0;; version++) {
            IVY_ASSIGN_OR_RETURN(const bool exists, io_->Exists(CommitPath(version)));
            if (!exists) return log;
            log.commits.insert(version);
        }
    }

    // The checkpoint that _last_checkpoint names, if there is one.
    Result<std::optional<Checkpoint>> LastCheckpoint() {
        const std::string path = folder_ + "/_last_checkpoint";
        IVY_ASSIGN_OR_RETURN(const bool exists, io_->Exists(path));
        if (!exists) return std::optional<Checkpoint>();
        IVY_ASSIGN_OR_RETURN(const Bytes content, io_->ReadFile(path));
        const std::string_view text(reinterpret_cast<const char*>(content.data()), content.size());
        IVY_ASSIGN_OR_RETURN(const Json json, iceberg::ParseJson(text, "\"" + path + "\""));
        Checkpoint checkpoint;
        IVY_ASSIGN_OR_RETURN(checkpoint.version, iceberg::RequiredInt(json, "version"));
        IVY_ASSIGN_OR_RETURN(const auto parts, iceberg::OptionalInt(json, "parts"));
        IVY_ASSIGN_OR_RETURN(const Json* v2, iceberg::OptionalObject(json, "v2Checkpoint"));
        if (checkpoint.version < 0 || (parts && (*parts < 1 || *parts > kMaxParts))) {
            return Bad("\"" + path + "\" is out of range");
        }
        const std::string stem = Padded(checkpoint.version) + ".checkpoint.";
        if (v2 != nullptr) {
            IVY_ASSIGN_OR_RETURN(const std::string file, iceberg::RequiredString(*v2, "path"));
            checkpoint.files.emplace_back(BaseName(file));
        } else if (parts) {
            const auto number = [](int64_t n) { return Padded(n).substr(kVersionDigits - 10); };
            for (int64_t part = 1; part <= *parts; part++) {
                checkpoint.files.push_back(stem + number(part) + "." + number(*parts) + ".parquet");
            }
        } else {
            checkpoint.files.push_back(stem + "parquet");
        }
        return std::optional(std::move(checkpoint));
    }

    static const Checkpoint* NewestUpTo(const LogFiles& log, int64_t version) {
        const Checkpoint* newest = nullptr;
        for (const Checkpoint& checkpoint : log.checkpoints) {
            if (checkpoint.version <= version) newest = &checkpoint;
        }
        return newest;
    }

    Result<int64_t> Choose(const LogFiles& log, const DeltaTimeTravel& travel) {
        const int64_t last_commit = log.commits.empty() ? -1 : *log.commits.rbegin();
        const int64_t latest = std::max(last_commit, log.checkpoints.empty() ? -1 : log.checkpoints.back().version);
        if (travel.version) {
            if (*travel.version >= 0 && *travel.version <= latest) return *travel.version;
            return Status::Make(sqlstate::kInvalidParameter,
                                "Delta table \"" + table_ + "\" has no version " + std::to_string(*travel.version),
                                "Its latest version is " + std::to_string(latest) + ".");
        }
        if (!travel.timestamp_ms) return latest;
        // Commit times ascend with versions, so the last one that is not later is found by halving.
        const std::vector<int64_t> versions(log.commits.begin(), log.commits.end());
        size_t low = 0, high = versions.size();  // those before "low" are not later, those from "high" on are
        while (low < high) {
            const size_t middle = low + (high - low) / 2;
            IVY_ASSIGN_OR_RETURN(const int64_t time, CommitTime(versions[middle]));
            if (time <= *travel.timestamp_ms)
                low = middle + 1;
            else
                high = middle;
        }
        if (low > 0) return versions[low - 1];
        return Status::Make(sqlstate::kInvalidParameter,
                            "Delta table \"" + table_ + "\" has no version as old as the requested timestamp");
    }

    Result<int64_t> CommitTime(int64_t version) {
        const std::string path = CommitPath(version);
        std::optional<int64_t> in_commit;
        IVY_RETURN_IF_ERROR(ForEachLine(path, [&in_commit](const Json& action) -> Status {
            IVY_ASSIGN_OR_RETURN(const Json* info, iceberg::OptionalObject(action, "commitInfo"));
            if (info == nullptr) return Status::Ok();
            IVY_ASSIGN_OR_RETURN(in_commit, iceberg::OptionalInt(*info, "inCommitTimestamp"));
            return Status::Ok();
        }));
        if (in_commit) return *in_commit;
        return io_->ModifiedMs(path);
    }

    // Reads newline-delimited JSON.
    Status ForEachLine(const std::string& path, const std::function<Status(const Json&)>& take) {
        IVY_ASSIGN_OR_RETURN(const Bytes content, io_->ReadFile(path));
        std::string_view rest(reinterpret_cast<const char*>(content.data()), content.size());
        while (!rest.empty()) {
            const std::string_view line = rest.substr(0, rest.find('\n'));
            rest.remove_prefix(std::min(rest.size(), line.size() + 1));
            if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
            const Result<Json> action = iceberg::ParseJson(line, "a line");
            if (!action.ok()) return action.status().Prepend("\"" + path + "\"");
            const Status taken = take(*action);
            if (!taken.ok()) return taken.Prepend("\"" + path + "\"");
        }
        return Status::Ok();
    }

    // Within a commit, what is removed goes first: a file may be removed and added again.
    Status ReadCommit(const std::string& path, DeltaState* state) {
        std::vector<Json> later;
        IVY_RETURN_IF_ERROR(ForEachLine(path, [&](const Json& action) -> Status {
            if (action.is_object() && action.contains("sidecar")) return Bad("a commit names a sidecar");
            if (!action.is_object() || !action.contains("add")) return state->Apply(action);
            later.push_back(action);
            return Status::Ok();
        }));
        for (const Json& action : later) {
            const Status applied = state->Apply(action);
            if (!applied.ok()) return applied.Prepend("\"" + path + "\"");
        }
        return Status::Ok();
    }

    Status ReadParquet(const std::string& path, DeltaState* state) {
        const Status read = io_->ReadRows(path, DeltaState::CheckpointColumns(),
                                          [state](const Json& action) { return state->Apply(action); });
        return read.ok() ? read : read.Prepend("\"" + path + "\"");
    }

    Status ReadCheckpoint(const std::string& path, DeltaState* state) {
        if (path.ends_with(".json")) {
            IVY_RETURN_IF_ERROR(ForEachLine(path, [state](const Json& action) { return state->Apply(action); }));
        } else {
            IVY_RETURN_IF_ERROR(ReadParquet(path, state));
        }
        for (const std::string& sidecar : state->TakeSidecars()) {
            IVY_ASSIGN_OR_RETURN(const std::string file, ResolvePath(folder_ + "/_sidecars", PercentDecoded(sidecar)));
            IVY_RETURN_IF_ERROR(ReadParquet(file, state));
            if (!state->TakeSidecars().empty()) return Bad("sidecar \"" + file + "\" names further sidecars");
        }
        return Status::Ok();
    }

    TableIo* const io_;
    const std::string table_, folder_;
};

}  // namespace

Result<DeltaSegment> FindDeltaSegment(TableIo* io, const std::string& table, const DeltaTimeTravel& travel) {
    return LogReader(io, WithoutSlash(NormalPath(table))).Find(travel);
}

Result<DeltaSnapshot> ReadDeltaSegment(TableIo* io, const DeltaSegment& segment) {
    return LogReader(io, segment.table).Read(segment);
}

Result<DeltaSnapshot> LoadDeltaSnapshot(TableIo* io, const std::string& table, const DeltaTimeTravel& travel) {
    IVY_ASSIGN_OR_RETURN(const DeltaSegment segment, FindDeltaSegment(io, table, travel));
    return ReadDeltaSegment(io, segment);
}

}  // namespace ivy::lake
