// SPDX-License-Identifier: Apache-2.0
// Mirror: what the capture session and queries do with it. Copies are in mirror_copy.cc, files in mirror_files.cc,
// mirror_flush.cc, mirror_publish.cc and mirror_rewrite.cc.
#include "engine/mirror.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/fault_point.h"
#include "engine/change_mapping.h"
#include "engine/error_map.h"
#include "engine/log.h"
#include "engine/mirror_storage.h"
#include "engine/mirror_summary.h"

namespace ivy::engine {
namespace {

constexpr char kConfigurationLimitExceeded[] = "53400";
constexpr uint64_t kApplyBatchBytes = 64ull << 20;
constexpr uint64_t kBacklogMemory = 64ull << 20;  // of one mirror, before it goes to a file
constexpr uint64_t kBacklogFile = 1ull << 30;
constexpr uint64_t kSizeCheckBytes = 64ull << 20;  // applied between two looks at the delta's size

const char* StateName(Mirror::State state) {
    switch (state) {
        case Mirror::State::kCopying: return "copying";
        case Mirror::State::kLoading: return "loading";
        case Mirror::State::kLive: return "live";
        case Mirror::State::kReorganizing: return "reorganizing";
        case Mirror::State::kFailed: return "failed";
    }
    return "failed";
}

uint64_t TransactionBytes(const std::vector<const Changes*>& batch) {
    uint64_t bytes = 0;
    for (const Changes* changes : batch) bytes += changes->rows.size() + changes->keys.size() + changes->ops.size();
    return bytes;
}

// A view that keeps the token which says that files are in use.
struct HeldView {
    std::shared_ptr<const delta::ReadView> view;
    std::shared_ptr<const void> token;
};

}  // namespace

std::string LsnText(Lsn lsn) {
    char text[32];
    std::snprintf(text, sizeof text, "%X/%08X", static_cast<unsigned>(lsn >> 32), static_cast<unsigned>(lsn));
    return text;
}

Mirror::Mirror(MirrorContext& context, MirrorOpen open)
    : context_(context),
      id_(open.id),
      generation_(open.generation),
      name_(open.schema_name + "." + open.table_name),
      location_(open.location),
      network_(!IsLocalPath(open.location)),
      index_folder_(IndexRoot(context.options.folder, open.id, open.location)),
      local_io_(iceberg::MakeLocalFileIo()),
      open_(std::move(open)),
      last_commit_(open_.flushed_lsn),
      current_metadata_(open_.metadata_location),
      current_flushed_lsn_(open_.flushed_lsn),
      copy_snapshot_(open_.copy_snapshot),
      inexact_(open_.inexact),
      columns_(open_.columns),
      readers_(std::make_shared<int>()) {}

Mirror::~Mirror() = default;

bool Mirror::SameLayout(const MirrorOpen& a, const MirrorOpen& b) {
    if (a.key != b.key || a.columns.size() != b.columns.size()) return false;
    for (size_t i = 0; i < a.columns.size(); i++) {
        const MirrorColumn &x = a.columns[i], &y = b.columns[i];
        if (x.id != y.id || !(x.type == y.type) || x.numeric_scale != y.numeric_scale) return false;
    }
    return true;
}

// --- capture session's thread ----------------------------------------------------------------------------------------

bool Mirror::Commit(ChangeSpool changes, Xid xid, Lsn lsn) {
    std::lock_guard ingest(ingest_mutex_);
    if (closed_ || state_ == State::kFailed || lsn <= last_commit_) return false;
    last_commit_ = lsn;
    if (open_.has_copy_snapshot && open_.copy_snapshot.Sees(xid)) return false;
    if (copy_active_ && copying_snapshot_.Sees(xid)) return false;
    const bool queued = !backlog_.empty() || applying_lsn_ != kInvalidLsn;
    if (state_ == State::kLive && !queued && !delta_full_ && !MayReadFiles(changes)) {
        const Status applied = Apply(changes, xid, lsn);
        if (!applied.ok()) FailLocked(applied.error());
        return false;
    }
    Keep({xid, lsn, std::move(changes)});
    if ((state_ == State::kCopying || state_ == State::kLoading) && backlog_bytes_ > context_.policy.copy_bytes) {
        const char* until = state_ == State::kCopying ? "the end of its copy" : "its files";
        FailLocked(
            {kConfigurationLimitExceeded,
             "the changes that wait for " + std::string(until) + " exceed \"mooncake.max_retained_wal\"", "", ""},
            true);
        return false;
    }
    if (backlog_memory_ > kBacklogMemory) {
        // Of a file nothing is given back before all of it is.
        if (!backlog_file_ || backlog_file_->size() > kBacklogFile) {
            Result<std::shared_ptr<SpillFile>> made = SpillFile::Make(context_.options.folder + "/tmp");
            if (made.ok()) backlog_file_ = made.value();
        }
        backlog_memory_ = 0;
        for (auto waiting = backlog_.rbegin(); waiting != backlog_.rend(); ++waiting) {
            if (waiting->changes.memory_bytes() == 0) break;
            // Without room on the disk it stays in memory.
            if (backlog_file_) (void)waiting->changes.SpillTo(backlog_file_);
        }
    }
    UpdateReadable();
    return network_ && state_ == State::kLive && !delta_full_;
}

// Whether applying these may have to read a file on the network, for which the stream of changes must not wait. (Two keys of one
// hash need it as well. That is so unlikely that it may.)
bool Mirror::MayReadFiles(const ChangeSpool& changes) const {
    if (!network_) return false;
    const bool equal_rows = open_.key.size() == open_.columns.size();
    return changes.has_unchanged() || (equal_rows && changes.has_old_rows());
}

Status Mirror::Apply(const ChangeSpool& changes, Xid xid, Lsn lsn) {
    IVY_RETURN_IF_ERROR(ApplyTo(*table_, open_.columns, copied_columns_, changes, xid, lsn));
    CheckSize();
    return Status::Ok();
}

void Mirror::CheckSize() {
    if (applied_bytes_ <= kSizeCheckBytes || !table_) return;
    applied_bytes_ = 0;
    delta_full_ = table_->GetStats().delta_bytes > 2 * context_.options.force_bytes;
}

Status Mirror::ApplyTo(delta::MirrorTable& table, const std::vector<MirrorColumn>& columns,
                       const std::set<uint32_t>& copied, const ChangeSpool& changes, Xid xid, Lsn lsn) {
    IVY_FAULT_POINT("apply");
    return changes.ForEachBatch(kApplyBatchBytes, [&](const std::vector<const Changes*>& batch, bool last) -> Status {
        try {
            std::vector<Changes> mapped;  // those that were decoded under other columns
            mapped.reserve(batch.size());
            std::vector<const Changes*> part;
            for (const Changes* one : batch) {
                if (!one->inexact.empty()) NoteInexact(one->inexact);
                IVY_ASSIGN_OR_RETURN(std::optional<Changes> other, MapColumns(*one, columns, copied));
                if (other) mapped.push_back(*std::move(other));
                part.push_back(other ? &mapped.back() : one);
            }
            if (!last) {
                IVY_RETURN_IF_ERROR(table.ApplyPart(part, xid));
            } else {
                IVY_RETURN_IF_ERROR(table.Apply(part, xid, lsn));
            }
            applied_bytes_ += TransactionBytes(batch);
            return Status::Ok();
        } catch (const std::exception& exception) {
            return StatusFromException(exception);
        }
    });
}

void Mirror::SetOldestXmin(Xid oldest_xmin) {
    std::lock_guard ingest(ingest_mutex_);
    oldest_xmin_ = oldest_xmin;
    // A copy that has yet to begin sees what every snapshot sees.
    if (state_ == State::kCopying && !copy_active_ && !publication_) {
        while (!backlog_.empty() && backlog_.front().xid < oldest_xmin) TakeFirst();
    }
    if (table_) table_->SetOldestXmin(oldest_xmin);
}

// A copy under this snapshot, or a later one, brings them.
void Mirror::ForgetSeen(const Snapshot& snapshot) {
    std::deque<Waiting> all;
    all.swap(backlog_);
    backlog_memory_ = backlog_bytes_ = 0;
    for (Waiting& waiting : all) {
        if (!snapshot.Sees(waiting.xid)) Keep(std::move(waiting));
    }
    if (backlog_.empty()) backlog_file_.reset();
    UpdateReadable();
}

void Mirror::Keep(Waiting waiting) {
    backlog_memory_ += waiting.changes.memory_bytes();
    backlog_bytes_ += waiting.changes.bytes();
    backlog_.push_back(std::move(waiting));
}

Mirror::Waiting Mirror::TakeFirst() {
    Waiting first = std::move(backlog_.front());
    backlog_.pop_front();
    if (backlog_.empty()) backlog_file_.reset();
    backlog_memory_ -= std::min(backlog_memory_, first.changes.memory_bytes());
    backlog_bytes_ -= std::min(backlog_bytes_, first.changes.bytes());
    return first;
}

void Mirror::HideUntil(Lsn lsn) {
    std::lock_guard ingest(ingest_mutex_);
    hidden_until_ = lsn;
    UpdateReadable();
}

void Mirror::Reached(Lsn lsn) {
    std::lock_guard ingest(ingest_mutex_);
    if (hidden_until_ == kInvalidLsn || lsn < hidden_until_) return;
    hidden_until_ = kInvalidLsn;
    UpdateReadable();
}

Lsn Mirror::hidden_until() const {
    std::lock_guard ingest(ingest_mutex_);
    return hidden_until_;
}

bool Mirror::IsCurrent(const std::string& metadata_location, Lsn flushed_lsn) const {
    if (publication_ && publication_->published) {
        return metadata_location == publication_->ready.metadata_location &&
               flushed_lsn == publication_->ready.flushed_lsn;
    }
    return metadata_location == current_metadata_ && flushed_lsn == current_flushed_lsn_;
}

bool Mirror::Reopen(const MirrorOpen& open, bool new_session) {
    std::lock_guard ingest(ingest_mutex_);
    if (closed_ || state_ == State::kFailed || open.location != location_ ||
        open.format_version != open_.format_version) {
        return false;
    }
    const bool offered = publication_ && !publication_->published;
    if (new_session) {
        if (state_ == State::kLoading) return false;  // changes may be missing from the backlog
        if (offered && open.has_copy_snapshot && open.metadata_location == publication_->ready.metadata_location &&
            open.flushed_lsn == publication_->ready.flushed_lsn) {
            publication_->published = true;
        } else if (!IsCurrent(open.metadata_location, open.flushed_lsn)) {
            return false;
        } else if (offered && (publication_->cut || publication_->rewrite)) {
            context_.events.Send(publication_->ready);
        } else if (state_ == State::kCopying && !publication_) {
            return false;  // changes may be missing from the backlog: the copy starts over
        } else if (state_ == State::kCopying && offered) {
            return false;
        }
    } else if (!open.has_copy_snapshot && state_ != State::kCopying) {
        return false;  // it is to be copied again
    }
    TakeColumns(open);
    return true;
}

// A column that has come back, or null: rows that were written meanwhile lack its values. A source's new column has a new
// number, so this can't be, unless we were told wrong.
const MirrorColumn* Mirror::ComesBack(const MirrorOpen& open) {
    if (state_ == State::kCopying && !publication_) return nullptr;
    const std::vector<MirrorColumn>& now = next_open_ ? next_open_->columns : open_.columns;
    uint32_t largest = largest_column_;
    for (const MirrorColumn& column : now) largest = std::max(largest, column.id);
    largest_column_ = largest;
    const auto found = std::find_if(open.columns.begin(), open.columns.end(), [&](const MirrorColumn& column) {
        return column.id <= largest &&
               std::none_of(now.begin(), now.end(), [&](const MirrorColumn& known) { return known.id == column.id; });
    });
    return found == open.columns.end() ? nullptr : &*found;
}

void Mirror::TakeColumns(const MirrorOpen& open) {
    std::vector<uint32_t> unknown;
    {
        std::lock_guard state(state_mutex_);
        for (const uint32_t id : open.inexact) {
            if (std::find(inexact_.begin(), inexact_.end(), id) == inexact_.end()) inexact_.push_back(id);
        }
        for (const uint32_t id : inexact_) {
            if (std::find(open.inexact.begin(), open.inexact.end(), id) == open.inexact.end()) unknown.push_back(id);
        }
    }
    if (!unknown.empty()) context_.events.Send(MirrorFailed{id_, generation_, {}, unknown});
    if (const MirrorColumn* column = ComesBack(open)) {
        FailLocked({sqlstate::kObjectNotInState, "column \"" + column->name + "\" has come back after it was gone", "",
                    "The mirror must be copied again."},
                   true);
        return;
    }
    if (state_ == State::kCopying && open.key != open_.key) copy_active_ = false;
    if (state_ == State::kCopying || state_ == State::kLoading || (state_ == State::kLive && SameLayout(open, open_))) {
        open_.columns = open.columns;
        open_.key = open.key;
        open_.sort = open.sort;
        std::lock_guard state(state_mutex_);
        columns_ = open.columns;
        return;
    }
    next_open_ = open;
    SetState(State::kReorganizing);
}

void Mirror::Published(const std::string& metadata_location) {
    std::lock_guard ingest(ingest_mutex_);
    if (publication_ && publication_->ready.metadata_location == metadata_location) publication_->published = true;
}

void Mirror::Close() {
    std::lock_guard ingest(ingest_mutex_);
    closed_ = true;
    copy_active_ = false;
    backlog_.clear();
    backlog_size_ = 0;
    backlog_file_.reset();
    DropRewriteLocked();
    std::lock_guard state(state_mutex_);
    readable_ = false;
    table_.reset();
}

void Mirror::Fail(const Error& error) {
    std::lock_guard ingest(ingest_mutex_);
    FailLocked(error);
}

void Mirror::FailForGood(const Error& error) {
    std::lock_guard ingest(ingest_mutex_);
    FailLocked(error, true);
}

void Mirror::FailLocked(const Error& error, bool for_good) {
    if (closed_ || state_ == State::kFailed) return;
    LogError(LogLevel::kWarning, "mirror \"" + name_ + "\" failed", error);
    failed_lsn_ = OldestUnflushedLocked();
    if (failed_lsn_ == kInvalidLsn) failed_lsn_ = std::max(last_commit_, Lsn{1});
    copy_active_ = false;
    backlog_.clear();
    backlog_size_ = 0;
    backlog_file_.reset();
    DropRewriteLocked();
    {
        std::lock_guard state(state_mutex_);
        state_ = State::kFailed;
        readable_ = false;
        table_.reset();
        error_ = error;
    }
    if (!for_good && context_.reloads.MayReload(id_)) {
        const Error reload = {sqlstate::kConnectionFailure,
                              "mirror \"" + name_ + "\" has failed and is to be loaded again: " + error.message, "",
                              ""};
        context_.events.Send(ErrorMessage{reload, Unavailable::kNo});
    } else {
        context_.events.Send(MirrorFailed{id_, generation_, error, {}});
    }
}

void Mirror::NoteInexact(const std::vector<uint32_t>& columns) {
    std::vector<uint32_t> added;
    {
        std::lock_guard state(state_mutex_);
        for (const uint32_t id : columns) {
            if (std::find(inexact_.begin(), inexact_.end(), id) != inexact_.end()) continue;
            inexact_.push_back(id);
            added.push_back(id);
        }
    }
    if (!added.empty()) context_.events.Send(MirrorFailed{id_, generation_, {}, added});
}

std::vector<uint32_t> Mirror::Inexact() const {
    std::lock_guard state(state_mutex_);
    return inexact_;
}

// REQUIRES: ingest_mutex_ is held. One that has failed stays so: its backlog has gone.
void Mirror::SetState(State state) {
    {
        std::lock_guard guard(state_mutex_);
        if (state_ == State::kFailed) return;
        state_ = state;
    }
    UpdateReadable();
}

// Queries are refused with this reason, or null: they may read again.
void Mirror::SetUnreadable(const Error* error) {
    std::lock_guard ingest(ingest_mutex_);
    {
        std::lock_guard guard(state_mutex_);
        const bool news = error ? unreadable_.message != error->message : !unreadable_.message.empty();
        if (news && error) LogError(LogLevel::kWarning, "files of mirror \"" + name_ + "\" can't be read", *error);
        if (news && !error) Log(LogLevel::kLog, "files of mirror \"" + name_ + "\" can be read again");
        unreadable_ = error ? *error : Error{"", "", "", ""};
    }
    UpdateReadable();
}

void Mirror::UpdateReadable() {
    backlog_size_ = backlog_.size() + (applying_lsn_ != kInvalidLsn ? 1 : 0);
    std::lock_guard guard(state_mutex_);
    readable_ = state_ == State::kLive && backlog_size_ == 0 && !closed_ && hidden_until_ == kInvalidLsn &&
                unreadable_.message.empty();
}

// --- queries ---------------------------------------------------------------------------------------------------------

Result<MirrorRead> Mirror::Read(const Snapshot& snapshot, Unavailable* why) {
    *why = Unavailable::kNotReady;
    std::shared_ptr<delta::MirrorTable> table;
    auto held = std::make_shared<HeldView>();
    MirrorRead read;
    {
        std::lock_guard state(state_mutex_);
        if (state_ == State::kFailed) {
            return Status::Make(sqlstate::kObjectNotInState, "mirror \"" + name_ + "\" has failed: " + error_.message);
        }
        if (!readable_) {
            if (!unreadable_.message.empty()) {
                return Status::Make(sqlstate::kObjectNotInState,
                                    "files of mirror \"" + name_ + "\" can't be read: " + unreadable_.message);
            }
            std::string doing = state_ == State::kLive ? "catching up" : StateName(state_);
            if (state_ == State::kLoading && !flush_error_.message.empty()) doing += ": " + flush_error_.message;
            return Status::Make(sqlstate::kObjectNotInState, "mirror \"" + name_ + "\" is " + doing);
        }
        if (!snapshot.SeesAllOf(copy_snapshot_)) {
            return Status::Make(sqlstate::kObjectNotInState,
                                "the snapshot is older than the initial copy of mirror \"" + name_ + "\"");
        }
        table = table_;
        held->token = readers_;
        read.inexact = inexact_;
    }
    Result<std::shared_ptr<const delta::ReadView>> view = table->Read(snapshot);
    if (!view.ok()) {
        *why =
            view.error().sqlstate == sqlstate::kObjectNotInState ? Unavailable::kSnapshotTooOld : Unavailable::kFailed;
        return view.status();
    }
    *why = Unavailable::kNo;
    held->view = std::move(view).value();
    const delta::ReadView* raw = held->view.get();
    read.view = std::shared_ptr<const delta::ReadView>(std::move(held), raw);
    return read;
}

bool Mirror::IsFetching() const {
    if (!network_ || backlog_size_ == 0) return false;
    std::lock_guard state(state_mutex_);
    return state_ == State::kLive && failed_flushes_ == 0 && unreadable_.message.empty();
}

// --- any thread ------------------------------------------------------------------------------------------------------

Mirror::State Mirror::state() const {
    std::lock_guard state(state_mutex_);
    return state_;
}

bool Mirror::closed() const {
    std::lock_guard ingest(ingest_mutex_);
    return closed_;
}

bool Mirror::publishing() const {
    std::lock_guard ingest(ingest_mutex_);
    return flushing_ || publication_;
}

Lsn Mirror::last_commit() const {
    std::lock_guard ingest(ingest_mutex_);
    return last_commit_;
}

Lsn Mirror::OldestUnflushed() const {
    std::lock_guard ingest(ingest_mutex_);
    if (closed_) return kInvalidLsn;
    return state_ == State::kFailed ? failed_lsn_ : OldestUnflushedLocked();
}

Lsn Mirror::OldestNeeded() const {
    std::lock_guard ingest(ingest_mutex_);
    if (closed_ || (state_ == State::kCopying && !catching_up_ && !publication_)) return kInvalidLsn;
    return state_ == State::kFailed ? failed_lsn_ : OldestUnflushedLocked();
}

Lsn Mirror::OldestUnflushedLocked() const {
    if (table_) {
        const Lsn oldest = table_->GetStats().oldest_unflushed_lsn;
        if (oldest != kInvalidLsn) return oldest;
    }
    if (applying_lsn_ != kInvalidLsn) return applying_lsn_;
    return backlog_.empty() ? kInvalidLsn : backlog_.front().lsn;
}

Error Mirror::error() const {
    std::lock_guard state(state_mutex_);
    return error_;
}

int Mirror::FailedFlushes(Error* error) const {
    std::lock_guard state(state_mutex_);
    *error = flush_error_;
    return failed_flushes_;
}

bool Mirror::IsFlushed(Lsn lsn) const {
    const Lsn oldest = OldestUnflushed();
    return oldest == kInvalidLsn || oldest > lsn;
}

std::vector<MirrorColumn> Mirror::columns() const {
    std::lock_guard state(state_mutex_);
    return columns_;
}

std::weak_ptr<const void> Mirror::readers() const {
    std::lock_guard state(state_mutex_);
    return readers_;
}

nlohmann::json Mirror::StatusJson() const {
    nlohmann::json json;
    std::shared_ptr<delta::MirrorTable> table;
    std::shared_ptr<RewriteJob> rewrite;
    {
        std::lock_guard rewrite_guard(rewrite_mutex_);
        rewrite = rewrite_;
        json["optimize_requested"] = optimize_done_ < optimize_requested_;
    }
    {
        std::lock_guard state(state_mutex_);
        json["optimizations"] = rewrites_done_;
        json["optimize_error"] = rewrite_error_.message;
        json["id"] = id_;
        json["name"] = name_;
        json["location"] = location_;
        json["state"] = state_ == State::kLive && !unreadable_.message.empty() ? "unreadable"
                        : state_ == State::kLive && !readable_                 ? "catching up"
                                                                               : StateName(state_);
        json["error"] = error_.message;
        json["flush_error"] = unreadable_.message.empty() ? flush_error_.message : unreadable_.message;
        json["inexact"] = inexact_;
        table = table_;
    }
    json["backlog_transactions"] = backlog_size_.load();
    json["copied_rows"] = copied_rows_.load();
    json["estimated_rows"] = estimated_rows_.load();
    json["copy_phase"] = copy_phase_ == CopyPhase::kCopying      ? "copying"
                         : copy_phase_ == CopyPhase::kPublishing ? "publishing"
                                                                 : "waiting";
    json["scanned_bytes"] = scanned_bytes_.load();
    json["estimated_bytes"] = estimated_bytes_.load();
    if (rewrite) {
        const RewriteJob::Phase phase = rewrite->phase();
        json["optimize_phase"] = phase == RewriteJob::Phase::kPlanned     ? "waiting"
                                 : phase == RewriteJob::Phase::kRewriting ? "rewriting"
                                                                          : "publishing";
        json["optimize_files"] = rewrite->plan().inputs.size();
        json["optimize_rows_read"] = rewrite->rows_read();
        json["optimize_rows_written"] = rewrite->rows_written();
        json["optimize_rows"] = rewrite->total_rows();
    }
    if (table) {
        const delta::MirrorTable::Stats stats = table->GetStats();
        json["delta_rows"] = stats.delta_rows;
        json["delta_bytes"] = stats.delta_bytes;
        json["pending_deletes"] = stats.pending_deletes;
        json["files"] = stats.files;
        json["file_rows"] = stats.file_rows;
        json["file_bytes"] = stats.file_bytes;
        json["index_bytes"] = stats.index_bytes;
        json["flushed_lsn"] = LsnText(stats.flushed_lsn);
        json["oldest_unflushed_lsn"] = LsnText(stats.oldest_unflushed_lsn);
    }
    return json;
}

}  // namespace ivy::engine
