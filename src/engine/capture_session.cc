// SPDX-License-Identifier: Apache-2.0
#include "engine/capture_session.h"

#include "engine/channel.h"
#include "engine/error_map.h"
#include "engine/instance.h"
#include "engine/log.h"
#include "engine/mirror_storage.h"

namespace ivy::engine {

CaptureSession::CaptureSession(Channel& channel, Mirrors& mirrors, Flusher& flusher, MirrorContext& context)
    : channel_(channel),
      mirrors_(mirrors),
      flusher_(flusher),
      context_(context),
      stage_(context.options.folder + "/tmp", context.options.stage_bytes) {}

Status CaptureSession::Serve() {
    Frame frame;
    while (true) {
        IVY_ASSIGN_OR_RETURN(const bool more, channel_.Read(&frame));
        if (!more) return Status::Ok();
        try {
            IVY_RETURN_IF_ERROR(Handle(frame));
        } catch (const std::exception& exception) {
            return StatusFromException(exception);
        }
    }
}

Status CaptureSession::Handle(Frame& frame) {
    switch (static_cast<MessageType>(frame.type)) {
        case MessageType::kMirrorOpen: {
            IVY_ASSIGN_OR_RETURN(const MirrorOpen open, MirrorOpen::Read(frame));
            return Open(open);
        }
        case MessageType::kMirrorClose: {
            IVY_ASSIGN_OR_RETURN(const MirrorClose close, MirrorClose::Read(frame));
            Close(close);
            return Status::Ok();
        }
        case MessageType::kCaptureReady: {
            // What the catalog does not have any more is closed without being named.
            for (const auto& mirror : mirrors_.All()) {
                if (!open_.contains(mirror->id())) Drop(mirror->id());
            }
            mirrors_.SetCaptureConnected(true);
            flusher_.Wake();
            return Status::Ok();
        }
        case MessageType::kChanges: {
            IVY_ASSIGN_OR_RETURN(Changes changes, Changes::Read(frame));
            frame.payload = Bytes();  // a row may be a gigabyte
            if (open_.contains(changes.mirror)) stage_.Add(std::move(changes));
            return Status::Ok();
        }
        case MessageType::kCommit: {
            IVY_ASSIGN_OR_RETURN(const Commit commit, Commit::Read(frame));
            HandleCommit(commit);
            return Status::Ok();
        }
        case MessageType::kAbort: {
            IVY_ASSIGN_OR_RETURN(const Abort abort, Abort::Read(frame));
            stage_.Abort(abort.xid, abort.subxid);
            return Status::Ok();
        }
        case MessageType::kProgress: {
            IVY_ASSIGN_OR_RETURN(const Progress progress, Progress::Read(frame));
            HandleProgress(progress);
            return Status::Ok();
        }
        case MessageType::kPublished: {
            IVY_ASSIGN_OR_RETURN(const Published published, Published::Read(frame));
            const auto found = open_.find(published.mirror);
            if (found != open_.end()) found->second->Published(published.metadata_location);
            flusher_.Wake();
            return Status::Ok();
        }
        case MessageType::kFlushSettings: {
            IVY_ASSIGN_OR_RETURN(const FlushSettings settings, FlushSettings::Read(frame));
            TakeSettings(settings);
            return Status::Ok();
        }
        default:
            return Status::Make(sqlstate::kProtocolViolation,
                                "unexpected message " + std::to_string(frame.type) + " from the capture worker");
    }
}

void CaptureSession::TakeSettings(const FlushSettings& settings) {
    FlushPolicy& policy = context_.policy;
    if (!context_.options.flush_bytes_fixed) policy.bytes = settings.bytes;
    if (!context_.options.flush_age_fixed) policy.age_ms = settings.interval_ms;
    policy.file_bytes = settings.file_bytes;
    policy.rewrite_files = settings.rewrite_files;
    policy.rewrite_deleted_percent = settings.rewrite_deleted_percent;
    policy.wal_bytes = settings.wal_bytes;
    policy.force_wal_bytes = settings.force_wal_bytes;
    policy.copy_bytes = settings.copy_bytes == 0 ? UINT64_MAX : settings.copy_bytes;
    flusher_.Wake();
}

Status CaptureSession::Open(const MirrorOpen& open) {
    // An error is met again, and told, where files are opened.
    (void)context_.instance.storage().Use(context_.instance, open.location, open.secrets);
    if (const std::shared_ptr<Mirror> known = mirrors_.Find(open.id)) {
        const bool new_session = !open_.contains(open.id);
        if (known->Reopen(open, new_session)) {
            open_[open.id] = known;
            known->RetryNow();
            if (known->hidden_until() != kInvalidLsn) hidden_.insert(open.id);
            flusher_.Wake();
            return Status::Ok();
        }
        Drop(open.id);
    }
    auto mirror = std::make_shared<Mirror>(context_, open);
    const Status loaded = mirror->Load();
    if (!loaded.ok()) mirror->FailForGood(loaded.error());
    if (oldest_xmin_ != kInvalidXid) mirror->SetOldestXmin(oldest_xmin_);
    open_[open.id] = mirror;
    if (open.has_copy_snapshot && mirrors_.applied_lsn() > open.flushed_lsn) {
        mirror->HideUntil(mirrors_.applied_lsn());
        hidden_.insert(open.id);
    }
    mirrors_.Add(std::move(mirror));
    return Status::Ok();
}

void CaptureSession::Drop(uint32_t id) {
    const std::shared_ptr<Mirror> mirror = mirrors_.Find(id);
    if (!mirror) return;
    mirrors_.Remove(id);
    open_.erase(id);
    mirror->Close();
    flusher_.Bury(mirror);
}

void CaptureSession::Close(const MirrorClose& close) {
    const std::shared_ptr<Mirror> mirror = mirrors_.Find(close.id);
    // A folder that is to be removed may be that of an earlier copy of a mirror which is open.
    if (mirror && (!close.remove_files || close.location == mirror->location())) Drop(close.id);
    if (!close.remove_files || close.location.empty()) return;
    if (!IsLocalPath(close.location)) {
        const Status usable = context_.instance.storage().Use(context_.instance, close.location, close.secrets);
        if (!usable.ok()) {
            context_.events.Send(FilesRemoved{close.id, close.location, usable.error()});
            return;
        }
    }
    flusher_.RemoveFiles(close.id, close.location,
                         Mirror::IndexRoot(context_.options.folder, close.id, close.location));
}

void CaptureSession::HandleCommit(const Commit& commit) {
    bool wake = false;
    for (auto& [id, changes] : stage_.Take(commit.xid)) {
        const auto found = open_.find(id);
        if (found == open_.end()) continue;
        wake = found->second->Commit(std::move(changes), commit.xid, commit.commit_lsn) || wake;
    }
    if (wake) flusher_.Wake();
    SetApplied(commit.end_lsn);
}

void CaptureSession::SetApplied(Lsn lsn) {
    std::erase_if(hidden_, [&](uint32_t id) {
        const auto found = open_.find(id);
        if (found == open_.end()) return true;
        found->second->Reached(lsn);
        return found->second->hidden_until() == kInvalidLsn;
    });
    mirrors_.SetApplied(lsn);
}

void CaptureSession::HandleProgress(const Progress& progress) {
    if (progress.oldest_xmin > oldest_xmin_) {
        oldest_xmin_ = progress.oldest_xmin;
        mirrors_.SetOldestXmin(oldest_xmin_);
        for (const auto& [id, mirror] : open_) mirror->SetOldestXmin(oldest_xmin_);
    }
    SetApplied(progress.lsn);
}

}  // namespace ivy::engine
