// SPDX-License-Identifier: Apache-2.0
#include "engine/flusher.h"

#include <algorithm>
#include <filesystem>

#include "engine/duck_file_io.h"
#include "engine/error_map.h"
#include "engine/log.h"

namespace ivy::engine {

namespace {
constexpr std::chrono::milliseconds kTick{100};
}

Flusher::Flusher(Mirrors& mirrors, MirrorContext& context)
    : mirrors_(mirrors), context_(context), thread_([this] { Run(); }) {}

Flusher::~Flusher() {
    {
        std::lock_guard guard(mutex_);
        stop_ = true;
        changed_.notify_all();
    }
    thread_.join();
}

void Flusher::Wake() {
    std::lock_guard guard(mutex_);
    awake_ = true;
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

void Flusher::RemoveFiles(std::string location, std::string index_folder) {
    std::lock_guard guard(mutex_);
    removals_.push_back({std::move(location), std::move(index_folder)});
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
        const Xid oldest_xmin = mirrors_.oldest_xmin();
        const bool may_flush = mirrors_.capture_connected();
        const Lsn session_lsn = mirrors_.session_lsn();
        for (const auto& mirror : mirrors_.All()) {
            try {
                more = mirror->Work(oldest_xmin, may_flush, session_lsn) || more;
                if (mirror->SweepIsDue() && !HasReaders(mirror->location())) mirror->Sweep();
            } catch (const std::exception& exception) {
                mirror->Fail(StatusFromException(exception).error());
            }
        }
        SendPersisted();
        RemoveDueFiles();
        lock.lock();
    }
}

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
        const Status removed = RemoveTableFiles(context_.io, removal.location);
        if (!removed.ok()) {
            LogError(LogLevel::kWarning, "could not delete the files under \"" + removal.location + "\"",
                     removed.error());
        }
        std::error_code error;
        if (!removal.index_folder.empty()) std::filesystem::remove_all(removal.index_folder, error);
    }
}

}  // namespace ivy::engine
