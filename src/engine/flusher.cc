// SPDX-License-Identifier: Apache-2.0
#include "engine/flusher.h"

#include <algorithm>
#include <filesystem>

#include "engine/duck_file_io.h"
#include "engine/error_map.h"
#include "engine/instance.h"
#include "engine/log.h"
#include "engine/mirror_storage.h"

namespace ivy::engine {

namespace {
constexpr std::chrono::milliseconds kTick{100};
}

Flusher::Flusher(Mirrors& mirrors, MirrorContext& context)
    : mirrors_(mirrors), context_(context), remover_([this] { RunRemover(); }), thread_([this] { Run(); }) {}

Flusher::~Flusher() {
    {
        std::lock_guard guard(mutex_);
        stop_ = true;
        changed_.notify_all();
    }
    thread_.join();
    remover_.join();
    for (Lane& lane : lanes_) lane.thread.join();
}

void Flusher::Wake() {
    std::lock_guard guard(mutex_);
    awake_ = true;
    wakes_++;
    changed_.notify_all();
}

void Flusher::ForgetPersisted() {
    std::lock_guard guard(mutex_);
    forget_persisted_ = true;
}

void Flusher::Bury(std::shared_ptr<Mirror> mirror) {
    std::lock_guard guard(mutex_);
    graves_.push_back({mirror, mirror->readers(), mirror->location()});
}

void Flusher::RemoveFiles(uint32_t mirror, std::string location, std::string index_folder) {
    std::lock_guard guard(mutex_);
    removals_.push_back({mirror, std::move(location), std::move(index_folder)});
    awake_ = true;
    changed_.notify_all();
}

void Flusher::Run() {
    std::unique_lock lock(mutex_);
    bool more = false;
    while (!stop_) {
        if (!more) changed_.wait_for(lock, kTick, [this] { return awake_ || stop_; });
        if (stop_) return;
        awake_ = false;
        lock.unlock();
        more = false;
        for (const auto& mirror : mirrors_.All()) {
            if (IsLocalPath(mirror->location())) {
                more = WorkOn(*mirror) || more;
            } else {
                mirror->GiveUpIfDue(mirrors_.session_lsn());
            }
        }
        TendLanes();
        SendPersisted();
        RemoveDueFiles();
        lock.lock();
    }
}

bool Flusher::WorkOn(Mirror& mirror) {
    try {
        const bool more = mirror.Work(mirrors_.oldest_xmin(), mirrors_.capture_connected(), mirrors_.session_lsn());
        if (mirror.SweepIsDue() && !HasReaders(mirror.location())) mirror.Sweep();
        return more;
    } catch (const std::exception& exception) {
        mirror.Fail(StatusFromException(exception).error());
        return false;
    }
}

// --- mirrors on the network ------------------------------------------------------------------------------------------

// Ends lanes of mirrors that were closed and begins those of new ones. A mirror that is opened again waits for the end of
// the earlier one's lane: only one thread works on a location.
void Flusher::TendLanes() {
    std::vector<std::thread> ended;
    {
        std::lock_guard guard(mutex_);
        std::erase_if(lanes_, [&](Lane& lane) {
            if (lane.ended) ended.push_back(std::move(lane.thread));
            return lane.ended;
        });
    }
    for (std::thread& thread : ended) thread.join();
    for (const auto& mirror : mirrors_.All()) {
        if (IsLocalPath(mirror->location())) continue;
        std::lock_guard guard(mutex_);
        const bool busy = std::any_of(lanes_.begin(), lanes_.end(),
                                      [&](const Lane& lane) { return lane.mirror->id() == mirror->id(); });
        if (busy || stop_) continue;
        Lane& lane = lanes_.emplace_back();
        lane.mirror = mirror;
        lane.thread = std::thread([this, &lane] { RunLane(&lane); });
    }
}

void Flusher::RunLane(Lane* lane) {
    Mirror& mirror = *lane->mirror;
    std::unique_lock lock(mutex_);
    uint64_t seen = 0;
    for (bool more = true; !stop_;) {
        if (!more) changed_.wait_for(lock, kTick, [&] { return wakes_ != seen || stop_; });
        seen = wakes_;
        lock.unlock();
        const bool closed = mirror.closed();
        more = !closed && WorkOn(mirror);
        lock.lock();
        if (closed) break;
    }
    lane->ended = true;
}

void Flusher::RunRemover() {
    std::unique_lock lock(mutex_);
    while (true) {
        changed_.wait(lock, [this] { return stop_ || !remote_removals_.empty(); });
        if (stop_) return;
        std::vector<Removal> due;
        due.swap(remote_removals_);
        lock.unlock();
        for (const Removal& removal : due) Remove(removal);
        lock.lock();
    }
}

void Flusher::Remove(const Removal& removal) {
    const bool local = IsLocalPath(removal.location);
    Status removed;
    try {
        removed = RemoveTableFiles(context_.io, removal.location);
    } catch (const std::exception& exception) {
        removed = StatusFromException(exception);
    }
    if (!removed.ok() && local) {
        LogError(LogLevel::kWarning, "could not delete the files under \"" + removal.location + "\"", removed.error());
    }
    if (!local) {
        if (removed.ok()) context_.instance.storage().Forget(removal.location);
        context_.events.Send(
            FilesRemoved{removal.mirror, removal.location, removed.ok() ? Error{"", "", "", ""} : removed.error()});
    }
    std::error_code error;
    if (!removal.index_folder.empty()) std::filesystem::remove_all(removal.index_folder, error);
}

// --- the slot --------------------------------------------------------------------------------------------------------

Lsn Flusher::PersistedLsn() const {
    // First how far the session has come, then what is missing from files: what is applied in between lies behind the
    // first. Not how far earlier sessions came: a mirror that was loaded anew since needs what lies between.
    Lsn lsn = mirrors_.session_lsn();
    for (const auto& mirror : mirrors_.All()) {
        const Lsn oldest = mirror->OldestNeeded();
        if (oldest != kInvalidLsn) lsn = std::min(lsn, oldest - 1);
    }
    return lsn;
}

void Flusher::SendPersisted() {
    {
        std::lock_guard guard(mutex_);
        if (forget_persisted_) persisted_ = kInvalidLsn;
        forget_persisted_ = false;
    }
    if (!mirrors_.capture_connected()) return;
    const Lsn lsn = PersistedLsn();
    if (lsn <= persisted_) return;
    persisted_ = lsn;
    context_.events.Send(Persisted{lsn});
}

// Whether a mirror that was closed still has readers in the location.
bool Flusher::HasReaders(const std::string& location) {
    std::lock_guard guard(mutex_);
    std::erase_if(graves_, [](const Grave& grave) { return grave.Empty(); });
    return std::any_of(graves_.begin(), graves_.end(), [&](const Grave& grave) { return grave.location == location; });
}

void Flusher::RemoveDueFiles() {
    std::vector<Removal> due;
    {
        std::lock_guard guard(mutex_);
        std::erase_if(graves_, [](const Grave& grave) { return grave.Empty(); });
        std::erase_if(removals_, [&](const Removal& removal) {
            const bool in_use = std::any_of(graves_.begin(), graves_.end(),
                                            [&](const Grave& grave) { return grave.location == removal.location; });
            if (!in_use) due.push_back(removal);
            return !in_use;
        });
    }
    for (const Removal& removal : due) {
        if (IsLocalPath(removal.location)) {
            Remove(removal);
            continue;
        }
        std::lock_guard guard(mutex_);
        remote_removals_.push_back(removal);
        changed_.notify_all();
    }
}

}  // namespace ivy::engine
