// SPDX-License-Identifier: Apache-2.0
// CaptureWorker: the engine's events. Files that are ready become current in the catalog, failures are noted there.
#include "capture/capture_worker.h"

#include <algorithm>

#include "capture/session.h"

namespace ivy::capture {

namespace {
constexpr int kRemovalRetryMs = 5 * 60 * 1000;
}

// An event whose mirror is locked by somebody waits, and with it the later ones of the same mirror.
void CaptureWorker::HandleEvents() {
    while (const Frame* event = link_->FirstEvent()) {
        pg::Guard([&] { waiting_.push_back(*event); });
        link_->PopEvent();
    }
    pg::Guard([&] { locked_.clear(); });
    for (size_t i = 0; i < waiting_.size();) {
        const uint32_t mirror = waiting_[i].reader().U32();
        if (std::find(locked_.begin(), locked_.end(), mirror) == locked_.end() && HandleEvent(waiting_[i])) {
            pg::Guard([&] { waiting_.erase(waiting_.begin() + static_cast<ptrdiff_t>(i)); });
        } else {
            pg::Guard([&] { locked_.push_back(mirror); });
            WakeIn(kBusyRetryMs);
            i++;
        }
    }
}

// False if the mirror's row is locked: try again later.
bool CaptureWorker::HandleEvent(const Frame& event) {
    switch (static_cast<MessageType>(event.type)) {
        case MessageType::kFlushReady: return HandleFlushReady(event);
        case MessageType::kMirrorFailed: return HandleMirrorFailed(event);
        case MessageType::kPersisted: HandlePersisted(event); return true;
        case MessageType::kFilesRemoved: HandleFilesRemoved(event); return true;
        case MessageType::kError: RaiseEngineError(event);
        default:
            ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
                            errmsg("unexpected message %d from the columnar engine", event.type)));
    }
}

bool CaptureWorker::HandleFlushReady(const Frame& frame) {
    const FlushReady* ready = pg::Guard([&]() -> Result<const FlushReady*> {
        auto message = FlushReady::Read(frame);
        if (!message.ok()) return message.status();
        return static_cast<const FlushReady*>(new FlushReady(std::move(*message)));
    });
    ChangeResult result = ChangeResult::kDone;
    FaultPoint("capture-before-publish");
    InTransaction([&] {
        mooncake::Publication publication = {};
        publication.mirror = ready->mirror;
        publication.metadata_location = ready->metadata_location.c_str();
        publication.previous_metadata_location = ready->previous_metadata_location.c_str();
        publication.flushed_lsn = ready->flushed_lsn;
        if (ready->has_copy_snapshot) publication.copy_snapshot = mooncake::SnapshotToText(ready->copy_snapshot);
        publication.rows = ready->total_rows;
        publication.bytes = ready->total_bytes;
        result = mooncake::PublishMirror(publication);
    });
    FaultPoint("capture-after-publish");
    if (result == ChangeResult::kDone) {
        if (CapturedMirror* mirror = decoder_->FindMirror(ready->mirror)) {
            pg::Guard([&] {
                MirrorOpen& told = mirror->told;
                told.metadata_location = ready->metadata_location;
                told.flushed_lsn = ready->flushed_lsn;
                if (ready->has_copy_snapshot) {
                    told.has_copy_snapshot = true;
                    told.copy_snapshot = ready->copy_snapshot;
                }
            });
        }
        if (ready->has_copy_snapshot) ForgetJob(ready->mirror, false);
        Published* published = pg::Guard([&] { return new Published{ready->mirror, ready->metadata_location}; });
        link_->Queue(MessageType::kPublished, *published);
        delete published;
    } else if (result == ChangeResult::kGone) {
        // Dropped, or to be copied anew: the catalog says which, and the engine is told.
        refresh_ = true;
    }
    delete ready;
    return result != ChangeResult::kBusy;
}

bool CaptureWorker::HandleMirrorFailed(const Frame& frame) {
    const MirrorFailed* failed = pg::Guard([&]() -> Result<const MirrorFailed*> {
        auto message = MirrorFailed::Read(frame);
        if (!message.ok()) return message.status();
        return static_cast<const MirrorFailed*>(new MirrorFailed(std::move(*message)));
    });
    ChangeResult result = ChangeResult::kGone;
    const CapturedMirror* mirror = decoder_->FindMirror(failed->mirror);
    if (mirror && static_cast<uint32_t>(mirror->generation) == failed->generation) {
        InTransaction([&] {
            if (!failed->inexact.empty()) {
                const int count = static_cast<int>(failed->inexact.size());
                auto* columns = static_cast<int16*>(palloc(sizeof(int16) * static_cast<Size>(count)));
                for (int i = 0; i < count; i++)
                    columns[i] = static_cast<int16>(failed->inexact[static_cast<size_t>(i)]);
                result = mooncake::MarkInexact(mirror->id, columns, count);
            } else {
                result = mooncake::FailMirror(mirror->id, mirror->generation, MirrorState::kError,
                                              failed->error.message.c_str());
            }
        });
        if (result == ChangeResult::kDone && failed->inexact.empty()) {
            ereport(LOG, (errmsg("mirror %u failed: %s", mirror->id, failed->error.message.c_str()),
                          errdetail("Queries on it use the row table.")));
            refresh_ = true;
        } else if (result == ChangeResult::kDone) {
            pg::Guard([&] {
                auto& known = decoder_->FindMirror(failed->mirror)->told.inexact;
                for (const uint32_t id : failed->inexact) {
                    if (std::find(known.begin(), known.end(), id) == known.end()) known.push_back(id);
                }
            });
        }
    }
    delete failed;
    return result != ChangeResult::kBusy;
}

// Of a location on the network. What can't be deleted is tried again, at once with other secrets.
void CaptureWorker::HandleFilesRemoved(const Frame& frame) {
    const FilesRemoved* removed = pg::Guard([&]() -> Result<const FilesRemoved*> {
        auto message = FilesRemoved::Read(frame);
        if (!message.ok()) return message.status();
        return static_cast<const FilesRemoved*>(new FilesRemoved(std::move(*message)));
    });
    const char* location = removed->location.c_str();
    const char* error = removed->error.message.c_str();
    InTransaction([&] {
        if (*error == '\0') {
            mooncake::ForgetDropped(location);
        } else {
            mooncake::NoteDroppedError(location, error);
        }
    });
    if (*error != '\0') {
        ereport(LOG, (errmsg("could not delete the files under \"%s\": %s", location, error),
                      errhint("It is tried again, at once when a secret changes. To give up, delete the row from "
                              "mooncake.dropped.")));
    }
    pg::Guard([&] {
        if (*error == '\0') {
            std::erase_if(dropped_, [&](const DroppedFiles& files) { return files.location == removed->location; });
            deleting_.erase(removed->location);
        } else {
            deleting_[removed->location].retry_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), kRemovalRetryMs);
        }
    });
    delete removed;
}

void CaptureWorker::HandlePersisted(const Frame& frame) {
    const Lsn lsn = pg::Guard([&]() -> Result<Lsn> {
        auto message = Persisted::Read(frame);
        if (!message.ok()) return message.status();
        return message->lsn;
    });
    persisted_ = std::max<XLogRecPtr>(persisted_, std::min<XLogRecPtr>(lsn, decoder_->decoded_lsn()));
}

}  // namespace ivy::capture
