// SPDX-License-Identifier: Apache-2.0
//
// Mirror: rewriting its files. The flusher's thread plans (PlanRewrite) and publishes (OfferRewrite), the compactor's thread
// does what lies between (Rewrite). Deletes of that time are mapped to the new files: those in deletion vectors here, those
// in memory by the table when the new files have become current.
//
// A rewrite comes to nothing when one of its files goes meanwhile (TRUNCATE, all rows deleted), or the mirror's columns or
// key change; it is planned anew then. The names of its files are noted before they are written, so that the next start
// removes those of a rewrite that never was.
#include <algorithm>
#include <map>

#include "base/fault_point.h"
#include "engine/error_map.h"
#include "engine/log.h"
#include "engine/mirror.h"
#include "engine/mirror_summary.h"

namespace ivy::engine {
namespace {

using namespace std::chrono_literals;

constexpr auto kPlanPause = 1s;  // between two looks at the files, when nobody asks
constexpr auto kLongestPause = 600s;
constexpr uint64_t kWornShare = 8;  // of a new file's size: smaller files are not rewritten for their deleted rows

}  // namespace

// --- requests --------------------------------------------------------------------------------------------------------

uint64_t Mirror::RequestOptimize() {
    std::lock_guard rewrite(rewrite_mutex_);
    optimize_sequence_ = INT64_MAX;
    optimize_error_ = {};
    optimize_error_.message.clear();
    return ++optimize_requested_;
}

bool Mirror::Optimized(uint64_t ticket, Error* error) const {
    std::lock_guard rewrite(rewrite_mutex_);
    *error = optimize_error_;
    return optimize_done_ >= ticket;
}

void Mirror::CancelOptimize(uint64_t ticket) {
    std::lock_guard rewrite(rewrite_mutex_);
    if (optimize_requested_ != ticket) return;  // somebody else has asked since
    optimize_done_ = std::max(optimize_done_, ticket);
    if (rewrite_ && rewrite_->plan().ticket != 0) rewrite_->Cancel();
}

// --- planning --------------------------------------------------------------------------------------------------------

std::vector<size_t> Mirror::FilesToRewrite(bool requested) const {
    const FlushPolicy& settings = context_.policy;
    RewritePolicy policy = context_.options.rewrite;
    policy.target_bytes = settings.file_bytes;
    policy.small_files = settings.rewrite_files;
    policy.deleted_percent = settings.rewrite_deleted_percent;
    policy.worn_bytes = std::min(policy.worn_bytes, policy.target_bytes / kWornShare);
    if (requested) {
        policy.small_files = 2;
        policy.deleted_percent = 0;
        policy.worn_bytes = 0;
        policy.merge_all = true;
    } else if (policy.small_files == 0) {
        return {};
    }
    std::map<std::string, uint64_t> deleted;
    for (const iceberg::DataFile& file : iceberg_->delete_files()) {
        if (file.referenced_data_file) deleted[*file.referenced_data_file] = static_cast<uint64_t>(file.record_count);
    }
    std::vector<FileFacts> facts;
    std::vector<size_t> indexes;
    for (size_t i = 0; i < iceberg_->data_files().size(); i++) {
        const iceberg::DataFile& file = iceberg_->data_files()[i];
        if (requested && file.file_sequence_number > optimize_sequence_) continue;
        const auto found = deleted.find(file.path);
        facts.push_back({static_cast<uint64_t>(file.record_count), found == deleted.end() ? 0 : found->second,
                         static_cast<uint64_t>(file.file_size)});
        indexes.push_back(i);
    }
    std::vector<size_t> chosen = ChooseFiles(facts, policy);
    for (size_t& i : chosen) i = indexes[i];
    return chosen;
}

// REQUIRES: no publication waits.
void Mirror::PlanRewrite() {
    uint64_t ticket = 0;
    std::shared_ptr<delta::MirrorTable> table;
    {
        std::lock_guard ingest(ingest_mutex_);
        std::lock_guard rewrite(rewrite_mutex_);
        if (rewrite_ || closed_ || state_ != State::kLive || sweep_due_) return;
        if (optimize_done_ < optimize_requested_) ticket = optimize_requested_;
        // What a request is about are the files of this moment, not what rewriting them brings.
        if (ticket != 0 && optimize_sequence_ == INT64_MAX) {
            optimize_sequence_ = 0;
            for (const iceberg::DataFile& file : iceberg_->data_files()) {
                optimize_sequence_ = std::max(optimize_sequence_, file.file_sequence_number);
            }
        }
        table = table_;
    }
    if (!table || (ticket == 0 && Clock::now() < next_rewrite_) || !context_.turns.Take(location_)) return;
    struct Turn {
        RewriteTurns& turns;
        const std::string& location;
        bool used = false;
        ~Turn() {
            if (!used) turns.Return(location);
        }
    } turn{context_.turns, location_};
    next_rewrite_ = std::max<Clock::time_point>(next_rewrite_, Clock::now() + kPlanPause);
    const std::vector<size_t> chosen = FilesToRewrite(ticket != 0);
    std::vector<std::string> paths;
    for (const size_t i : chosen) paths.push_back(iceberg_->data_files()[i].path);
    const auto sources = table->RewriteSources(paths);
    std::lock_guard ingest(ingest_mutex_);
    std::lock_guard rewrite(rewrite_mutex_);
    if (ticket != 0 && optimize_done_ >= ticket) return;  // cancelled meanwhile
    if (chosen.empty()) {
        if (ticket != 0) optimize_done_ = ticket;
        return;
    }
    if (!sources) return;  // a TRUNCATE that is not in files yet: next time
    if (closed_ || state_ != State::kLive) return;
    RewritePlan plan;
    plan.columns = open_.columns;
    plan.key = open_.key;
    plan.sort = open_.sort;
    plan.location = location_;
    plan.index_folder = index_folder_;
    plan.target_bytes = context_.policy.file_bytes;
    plan.lineage = iceberg_->format_version() >= 3;
    plan.ticket = ticket;
    for (size_t i = 0; i < chosen.size(); i++) {
        const iceberg::DataFile& file = iceberg_->data_files()[chosen[i]];
        plan.inputs.push_back({(*sources)[i], file.file_size, file.first_row_id.value_or(0), file.sequence_number});
    }
    rewrite_ = std::make_shared<RewriteJob>(context_.instance, context_.io, std::move(plan));
    turn.used = true;
}

// --- rewriting -------------------------------------------------------------------------------------------------------

bool Mirror::Rewrite() {
    std::shared_ptr<RewriteJob> job;
    {
        std::lock_guard rewrite(rewrite_mutex_);
        if (!rewrite_ || rewrite_->phase() != RewriteJob::Phase::kPlanned) return false;
        job = rewrite_;
        job->set_phase(RewriteJob::Phase::kRewriting);
    }
    job->status =
        job->Run([&](const std::vector<std::string>& paths) { return NoteFilesToWrite(kRewriteNote, paths); });
    {
        std::lock_guard ingest(ingest_mutex_);
        std::lock_guard rewrite(rewrite_mutex_);
        if (!closed_ && state_ != State::kFailed) {
            job->set_phase(RewriteJob::Phase::kWritten);
            return true;
        }
        rewrite_.reset();
        context_.turns.Return(location_);
    }
    job->Remove();  // nobody is left to publish it
    return true;
}

void Mirror::StopRewrite() {
    std::lock_guard rewrite(rewrite_mutex_);
    if (rewrite_) rewrite_->Cancel();
}

// The mirror is closed or has failed: what is not offered yet comes to nothing. Files that wait to be offered stay, as others may
// use the job at this moment and the storage may take its time: whoever loads the mirror again removes what was noted.
void Mirror::DropRewriteLocked() {
    std::lock_guard rewrite(rewrite_mutex_);
    if (!rewrite_) return;
    rewrite_->Cancel();
    if (rewrite_->phase() == RewriteJob::Phase::kRewriting) return;  // Rewrite does the rest
    rewrite_.reset();
    context_.turns.Return(location_);
}

// --- publishing ------------------------------------------------------------------------------------------------------

// Publishes what has been rewritten. False if there is nothing to publish. REQUIRES: no publication waits.
bool Mirror::FinishRewriting() {
    std::shared_ptr<RewriteJob> job;
    {
        std::lock_guard rewrite(rewrite_mutex_);
        if (!rewrite_ || rewrite_->phase() != RewriteJob::Phase::kWritten) return false;
        job = rewrite_;
    }
    const std::string base = iceberg_->metadata_location();
    Status status = job->status;
    try {
        if (status.ok()) status = OfferRewrite(job);
    } catch (const std::exception& exception) {
        status = StatusFromException(exception);
    }
    if (status.ok()) return true;
    job->Remove();
    EndRewrite(job, status);
    if (iceberg_->metadata_location() != base) {
        // The commit was made but never offered.
        Result<std::unique_ptr<iceberg::Table>> loaded = iceberg::Table::Load(&context_.io, base);
        if (!loaded.ok()) {
            Fail(loaded.error());
            return true;
        }
        iceberg_ = std::move(loaded).value();
    }
    return true;
}

Status Mirror::OfferRewrite(const std::shared_ptr<RewriteJob>& job) {
    const RewritePlan& plan = job->plan();
    const Status obsolete =
        Status::Make(sqlstate::kObjectNotInState, "the files have changed while they were rewritten");
    std::shared_ptr<delta::MirrorTable> table;
    Publication publication;
    FlushReady& ready = publication.ready;
    MirrorOpen open;
    {
        std::lock_guard ingest(ingest_mutex_);
        table = table_;
        open = open_;
        MirrorOpen planned;
        planned.columns = plan.columns;
        planned.key = plan.key;
        if (closed_ || state_ != State::kLive || !table || job->cancelled()) return obsolete;
        if (!SameLayout(planned, open) || plan.sort != open.sort) return obsolete;
        ready.previous_metadata_location = current_metadata_;
        ready.flushed_lsn = current_flushed_lsn_;
    }
    std::vector<std::string> paths;
    std::vector<delta::RewriteSource> sources;
    for (const RewriteInput& input : plan.inputs) {
        paths.push_back(input.source.path);
        sources.push_back(input.source);
    }
    const auto now = table->RewriteSources(paths);
    if (!now) return obsolete;
    std::vector<uint64_t> file_rows;
    for (const auto& written : job->files()) file_rows.push_back(static_cast<uint64_t>(written.file.record_count));
    publication.map = std::make_shared<delta::RewriteMap>(std::move(sources), job->order(), file_rows);
    std::vector<std::shared_ptr<const delta::RowSet>> vectors_now;
    for (const delta::RewriteSource& source : *now) vectors_now.push_back(source.deleted);
    const auto vectors = publication.map->MapDeleted(vectors_now);

    iceberg::Change change;
    change.operation = "replace";
    change.keep_snapshots = context_.options.keep_snapshots;
    change.removed = paths;
    std::vector<std::pair<std::string, const delta::RowSet*>> deleted;
    for (size_t i = 0; i < vectors.size(); i++) {
        change.added.push_back(job->files()[i].file);
        if (vectors[i]) deleted.emplace_back(job->files()[i].file.path, vectors[i].get());
    }
    IVY_FAULT_POINT("rewrite-before-commit");
    const std::vector<std::string> delete_paths = NewDeletePaths(deleted.size());
    // The last flush is published: what it noted is not needed any more.
    IVY_RETURN_IF_ERROR(NoteFilesToWrite(kFlushNote, delete_paths));
    IVY_ASSIGN_OR_RETURN(const std::vector<iceberg::DataFile> deletes, WriteDeletes(deleted, delete_paths));
    AddDeletes(*iceberg_, deletes, &change);
    // Nothing but the files changes: what is known of the last flush still holds.
    for (const char* property : {kFlushedLsn, kUnseenXids}) {
        const auto found = iceberg_->snapshot_summary().find(property);
        if (found != iceberg_->snapshot_summary().end()) change.summary.insert(*found);
    }
    (void)AddDefinition(*iceberg_, open, Inexact(), &change);
    Result<iceberg::CommitResult> committed = iceberg_->Commit(change);
    if (!committed.ok()) {
        for (const iceberg::DataFile& file : deletes) (void)context_.io.DeleteFile(file.path);
        return committed.status();
    }
    publication.expired = std::move(committed->expired);
    ready.mirror = id_;
    ready.metadata_location = iceberg_->metadata_location();
    ready.total_rows = static_cast<uint64_t>(std::max<int64_t>(0, LiveRows(*iceberg_)));
    ready.total_bytes = static_cast<uint64_t>(LiveBytes(*iceberg_));
    publication.rewrite = job;
    IVY_FAULT_POINT("rewrite-before-publish");
    std::lock_guard ingest(ingest_mutex_);
    if (closed_ || state_ != State::kLive) return obsolete;
    job->set_phase(RewriteJob::Phase::kPublishing);
    context_.events.Send(publication.ready);
    publication_ = std::move(publication);
    return Status::Ok();
}

// The rewrite has become current, or comes to nothing.
void Mirror::EndRewrite(const std::shared_ptr<RewriteJob>& job, const Status& status) {
    const bool stopped = !status.ok() && (status.error().sqlstate == sqlstate::kQueryCanceled ||
                                          status.error().sqlstate == sqlstate::kObjectNotInState);
    std::lock_guard rewrite(rewrite_mutex_);
    if (rewrite_ != job) return;
    rewrite_.reset();
    context_.turns.Return(location_);
    std::lock_guard state(state_mutex_);
    if (status.ok()) {
        failed_rewrites_ = 0;
        rewrites_done_++;
        rewrite_error_ = {};
        rewrite_error_.message.clear();
        return;
    }
    next_rewrite_ = Clock::now() + kPlanPause;
    if (stopped) return;  // planned anew, if it is still due
    if (failed_rewrites_ == 0 || rewrite_error_.message != status.error().message) {
        LogError(LogLevel::kWarning, "could not rewrite files of mirror \"" + name_ + "\"", status.error());
    }
    rewrite_error_ = status.error();
    next_rewrite_ =
        Clock::now() + std::min<Clock::duration>(kPlanPause * (1 << std::min(failed_rewrites_++, 10)), kLongestPause);
    const uint64_t ticket = job->plan().ticket;
    if (ticket != 0 && ticket == optimize_requested_) {
        optimize_error_ = status.error();
        optimize_done_ = ticket;
    }
}

}  // namespace ivy::engine
