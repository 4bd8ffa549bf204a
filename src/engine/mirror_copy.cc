// SPDX-License-Identifier: Apache-2.0
//
// Mirror: copies, from their beginning to the offer of their files; by the threads of copy sessions.
#include <unistd.h>

#include <algorithm>

#include "base/fault_point.h"
#include "engine/duck_file_io.h"
#include "engine/error_map.h"
#include "engine/iceberg_schema.h"
#include "engine/mirror.h"
#include "engine/mirror_summary.h"

namespace ivy::engine {

namespace {
constexpr std::chrono::seconds kClearingWait{10};  // until the copy worker, which holds a snapshot, is to come again
}

// Holding ingest_mutex_.
Status Mirror::CopyIsWanted(const CopyBegin& begin) const {
    if (closed_ || copies_ended_ || state_ != State::kCopying || publication_) {
        return Status::Make(sqlstate::kObjectNotInState, "mirror \"" + name_ + "\" does not wait for a copy");
    }
    if (begin.order == open_.copy_order) return Status::Ok();
    return Status::Make(sqlstate::kObjectNotInState, "mirror \"" + name_ + "\" waits for another copy");
}

// An earlier attempt may have ended without a chance to clean up. Nobody reads what was never published. REQUIRES: the
// location is this session's in context_.clearings.
Status Mirror::ClearForCopy(const CopyBegin& begin) {
    {
        std::lock_guard ingest(ingest_mutex_);
        IVY_RETURN_IF_ERROR(CopyIsWanted(begin));
        // From here on what other sessions write comes to nothing.
        copy_active_ = false;
        copy_number_++;
    }
    IVY_FAULT_POINT("copy-clear");
    return RemoveTableFiles(context_.io, location_, [&] {
        std::lock_guard ingest(ingest_mutex_);
        return CopyIsWanted(begin);
    });
}

Result<Mirror::CopyTicket> Mirror::BeginCopy(const CopyBegin& begin) {
    std::unique_lock ingest(ingest_mutex_);
    IVY_RETURN_IF_ERROR(CopyIsWanted(begin));
    // Kept until the copy has begun: the next session must not find files that this one is to write.
    struct Clearing {
        Clearings& clearings;
        const std::string& location;
        bool begun = false;
        ~Clearing() {
            if (begun) clearings.End(location);
        }
    } clearing{context_.clearings, location_};
    if (!begin.joins && current_metadata_.empty()) {
        beginning_copies_++;
        ingest.unlock();
        clearing.begun = context_.clearings.Begin(location_, kClearingWait);
        const Status cleared =
            clearing.begun ? ClearForCopy(begin)
                           : Status::Make(sqlstate::kObjectNotInState, "files of an earlier copy of mirror \"" + name_ +
                                                                           "\" are still being removed");
        ingest.lock();
        beginning_copies_--;
        IVY_RETURN_IF_ERROR(cleared);
        IVY_RETURN_IF_ERROR(CopyIsWanted(begin));
    }
    std::vector<uint32_t> ids;
    for (const MirrorColumn& column : open_.columns) ids.push_back(column.id);
    if (begin.columns != ids) {
        return Status::Make(sqlstate::kObjectNotInState, "the columns of mirror \"" + name_ + "\" have changed", "",
                            "The copy must be started again.");
    }
    CopyTicket ticket;
    ticket.columns = open_.columns;
    ticket.key = open_.key;
    ticket.sort = open_.sort;
    ticket.index_folder = index_folder_;
    ticket.snapshot = begin.snapshot;
    if (begin.joins) {
        const Snapshot& active = copying_snapshot_;
        if (!copy_active_ || begin.snapshot.xmin != active.xmin || begin.snapshot.xmax != active.xmax ||
            begin.snapshot.xip != active.xip) {
            return Status::Make(sqlstate::kObjectNotInState,
                                "this copy of mirror \"" + name_ + "\" is not wanted any more");
        }
        ticket.number = copy_number_;
        return ticket;
    }
    copy_active_ = true;
    catching_up_ = false;
    copying_snapshot_ = begin.snapshot;
    ForgetSeen(begin.snapshot);
    copied_rows_ = 0;
    estimated_rows_ = begin.estimated_rows;
    scanned_bytes_ = 0;
    copy_phase_ = CopyPhase::kCopying;
    estimated_bytes_ = begin.estimated_bytes;
    joined_files_.clear();
    joined_inexact_.clear();
    ticket.number = ++copy_number_;
    return ticket;
}

void Mirror::CopyScanned(const CopyTicket& ticket, uint64_t bytes) {
    std::lock_guard ingest(ingest_mutex_);
    if (ticket.number == copy_number_) scanned_bytes_ = bytes;
}

Status Mirror::AddCopyFiles(const CopyTicket& ticket, std::vector<DataFileWriter::Written> files,
                            const std::vector<uint32_t>& inexact) {
    IVY_RETURN_IF_ERROR(CopyProgress(ticket, 0));
    std::lock_guard ingest(ingest_mutex_);
    if (ticket.number != copy_number_) return Status::Internal("files for a copy that has ended");
    for (auto& file : files) joined_files_.push_back(std::move(file));
    joined_inexact_.insert(joined_inexact_.end(), inexact.begin(), inexact.end());
    return Status::Ok();
}

Status Mirror::CopyProgress(const CopyTicket& ticket, uint64_t added_rows) {
    std::lock_guard ingest(ingest_mutex_);
    if (closed_ || !copy_active_ || ticket.number != copy_number_) {
        return Status::Make(sqlstate::kObjectNotInState,
                            "this copy of mirror \"" + name_ + "\" is not wanted any more");
    }
    copied_rows_ += added_rows;
    return Status::Ok();
}

void Mirror::AbandonCopy(const CopyTicket& ticket) {
    std::vector<DataFileWriter::Written> files;
    {
        std::lock_guard ingest(ingest_mutex_);
        if (ticket.number != copy_number_) return;
        copy_active_ = catching_up_ = false;
        copy_phase_ = CopyPhase::kWaiting;
        files.swap(joined_files_);
    }
    for (const DataFileWriter::Written& written : files) {
        (void)context_.io.DeleteFile(written.file.path);
        if (!written.entry.index_path.empty()) unlink(written.entry.index_path.c_str());
    }
}

void Mirror::EndCopies() {
    std::lock_guard ingest(ingest_mutex_);
    copies_ended_ = true;
    copy_active_ = false;
}

void Mirror::NoteCopy(const Status& status) {
    std::lock_guard state(state_mutex_);
    flush_error_ = status.ok() ? Error{"", "", "", ""} : status.error();
}

Status Mirror::FinishCopy(const CopyTicket& ticket, const std::vector<DataFileWriter::Written>& own_files,
                          const std::vector<uint32_t>& own_inexact) {
    IVY_RETURN_IF_ERROR(CopyProgress(ticket, 0));
    std::vector<DataFileWriter::Written> files = own_files;
    std::vector<uint32_t> inexact = own_inexact;
    {
        std::lock_guard ingest(ingest_mutex_);
        files.insert(files.end(), joined_files_.begin(), joined_files_.end());
        inexact.insert(inexact.end(), joined_inexact_.begin(), joined_inexact_.end());
    }
    copy_phase_ = CopyPhase::kPublishing;
    const iceberg::Schema schema = MakeIcebergSchema(ticket.columns, ticket.key, inexact);
    Publication publication;
    FlushReady& ready = publication.ready;
    std::unique_ptr<iceberg::Table> table;
    {
        IVY_ASSIGN_OR_RETURN(table, iceberg::Table::Create(&context_.io, location_, schema, open_.format_version, {}));
        iceberg::Change change;
        change.keep_snapshots = context_.options.keep_snapshots;
        for (const DataFileWriter::Written& written : files) {
            change.added.push_back(written.file);
            ready.total_rows += static_cast<uint64_t>(written.file.record_count);
            ready.total_bytes += static_cast<uint64_t>(written.file.file_size);
        }
        // Nothing changes it while the mirror is copying.
        ready.flushed_lsn = current_flushed_lsn_;
        change.summary[kFlushedLsn] = LsnText(ready.flushed_lsn);
        if (!ticket.sort.empty()) change.sort_fields.emplace(ticket.sort.begin(), ticket.sort.end());
        IVY_ASSIGN_OR_RETURN(const iceberg::CommitResult committed, table->Commit(change));
        ready.metadata_location = committed.metadata_location;
    }
    IVY_FAULT_POINT("copy-before-publish");
    ready.mirror = id_;
    ready.has_copy_snapshot = true;
    ready.copy_snapshot = ticket.snapshot;
    IVY_RETURN_IF_ERROR(CatchUp(ticket, *table, &ready));
    std::lock_guard ingest(ingest_mutex_);
    if (closed_ || !copy_active_ || ticket.number != copy_number_) {
        return Status::Make(sqlstate::kObjectNotInState,
                            "this copy of mirror \"" + name_ + "\" is not wanted any more");
    }
    ready.previous_metadata_location = current_metadata_;
    NoteInexact(inexact);
    iceberg_ = std::move(table);
    publication_ = std::move(publication);
    copy_active_ = false;
    joined_files_.clear();
    context_.events.Send(publication_->ready);
    return Status::Ok();
}

// --- the end of a copy -----------------------------------------------------------------------------------------------

// By a copy session's thread: what came while rows were copied goes to files as well. After an error it waits again, for the
// next copy: that one's snapshot need not see a transaction which has written its commit record just now.
Status Mirror::CatchUp(const CopyTicket& ticket, iceberg::Table& files, FlushReady* ready) {
    std::deque<Waiting> waiting;
    MirrorOpen open;
    Xid oldest_xmin = kInvalidXid;
    {
        std::lock_guard ingest(ingest_mutex_);
        if (ticket.number != copy_number_) return Status::Internal("a copy that has ended is to catch up");
        catching_up_ = true;
        waiting.swap(backlog_);
        backlog_memory_ = backlog_bytes_ = 0;
        backlog_file_.reset();
        UpdateReadable();
        open = open_;
        oldest_xmin = oldest_xmin_;
    }
    open.has_copy_snapshot = true;
    open.copy_snapshot = ticket.snapshot;
    open.flushed_lsn = ready->flushed_lsn;
    open.metadata_location = files.metadata_location();
    Status status;
    try {
        if (!waiting.empty()) status = ApplyToFiles(ticket, waiting, open, oldest_xmin, files, ready);
    } catch (const std::exception& exception) {
        status = StatusFromException(exception);
    }
    if (status.ok()) return status;
    std::lock_guard ingest(ingest_mutex_);
    if (closed_ || state_ == State::kFailed) return status;
    backlog_.insert(backlog_.begin(), std::make_move_iterator(waiting.begin()), std::make_move_iterator(waiting.end()));
    ForgetSeen(ticket.snapshot);  // and counts them
    return status;
}

Status Mirror::ApplyToFiles(const CopyTicket& ticket, const std::deque<Waiting>& waiting, const MirrorOpen& open,
                            Xid oldest_xmin, iceberg::Table& files, FlushReady* ready) {
    IVY_ASSIGN_OR_RETURN(const std::shared_ptr<delta::MirrorTable> table, OpenFiles(files, open));
    const std::set<uint32_t> copied = CopiedColumns(files);
    for (auto next = waiting.begin(); next != waiting.end(); ++next) {
        IVY_RETURN_IF_ERROR(CopyProgress(ticket, 0));
        if (!ticket.snapshot.Sees(next->xid)) {
            IVY_RETURN_IF_ERROR(ApplyTo(*table, open.columns, copied, next->changes, next->xid, next->lsn));
        }
        if (std::next(next) != waiting.end() && table->GetStats().delta_bytes < context_.options.force_bytes) continue;
        const delta::FlushCut cut = table->BeginFlush(oldest_xmin, true);
        if (cut.id == 0) continue;
        Written written;
        Publication publication;
        IVY_RETURN_IF_ERROR(WriteCut(*table, cut, open, &written));
        IVY_FAULT_POINT("copy-catch-up");
        IVY_RETURN_IF_ERROR(CommitCut(files, cut, open, written, &publication));
        IVY_RETURN_IF_ERROR(table->FinishFlush(cut, publication.file ? &*publication.file : nullptr));
        ready->metadata_location = publication.ready.metadata_location;
        ready->flushed_lsn = publication.ready.flushed_lsn;
        ready->total_rows = publication.ready.total_rows;
        ready->total_bytes = publication.ready.total_bytes;
    }
    return Status::Ok();
}

}  // namespace ivy::engine
