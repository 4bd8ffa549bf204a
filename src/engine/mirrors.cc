// SPDX-License-Identifier: Apache-2.0
#include "engine/mirrors.h"

#include <nlohmann/json.hpp>

#include "engine/mirror.h"

namespace ivy::engine {

namespace {
constexpr std::chrono::milliseconds kCancelPoll{10};
}

Mirrors::Mirrors() = default;
Mirrors::~Mirrors() = default;

Status Mirrors::WaitApplied(Lsn lsn, std::chrono::milliseconds timeout, const std::function<bool()>& cancelled,
                            Unavailable* why) const {
    using Clock = std::chrono::steady_clock;
    *why = Unavailable::kNo;
    const auto deadline = Clock::now() + timeout;
    std::unique_lock lock(mutex_);
    while (applied_ < lsn) {
        if (!connected_) {
            *why = Unavailable::kStale;
            return Status::Make(sqlstate::kObjectNotInState, "no capture worker is connected to the engine");
        }
        const auto now = Clock::now();
        if (now >= deadline) {
            *why = Unavailable::kStale;
            return Status::Make(
                sqlstate::kObjectNotInState,
                "changes up to " + LsnText(lsn) + " did not arrive within " + std::to_string(timeout.count()) + " ms",
                "Changes up to " + LsnText(applied_) + " have been applied.");
        }
        applied_changed_.wait_until(lock, std::min(deadline, now + kCancelPoll));
        if (applied_ < lsn && cancelled) {
            lock.unlock();
            if (cancelled()) return Status::Make(sqlstate::kQueryCanceled, "canceled while waiting for changes");
            lock.lock();
        }
    }
    return Status::Ok();
}

Result<MirrorRead> Mirrors::Read(uint32_t id, const Snapshot& snapshot, Unavailable* why) const {
    const std::shared_ptr<Mirror> mirror = Find(id);
    if (!mirror) {
        *why = Unavailable::kNotReady;
        return Status::Make(sqlstate::kObjectNotInState, "the engine does not know mirror " + std::to_string(id));
    }
    return mirror->Read(snapshot, why);
}

bool Mirrors::IsFetching(uint32_t id) const {
    const std::shared_ptr<Mirror> mirror = Find(id);
    return mirror && mirror->IsFetching();
}

std::vector<MirrorColumn> Mirrors::Columns(uint32_t id) const {
    const std::shared_ptr<Mirror> mirror = Find(id);
    return mirror ? mirror->columns() : std::vector<MirrorColumn>();
}

nlohmann::json Mirrors::StatusJson() const {
    nlohmann::json json;
    {
        std::lock_guard guard(mutex_);
        json["capture_connected"] = connected_;
        json["applied_lsn"] = LsnText(applied_);
        json["oldest_xmin"] = oldest_xmin_;
    }
    nlohmann::json mirrors = nlohmann::json::array();
    for (const auto& mirror : All()) mirrors.push_back(mirror->StatusJson());
    json["mirrors"] = std::move(mirrors);
    return json;
}

Lsn Mirrors::applied_lsn() const {
    std::lock_guard guard(mutex_);
    return applied_;
}

Lsn Mirrors::session_lsn() const {
    std::lock_guard guard(mutex_);
    return session_lsn_;
}

bool Mirrors::capture_connected() const {
    std::lock_guard guard(mutex_);
    return connected_;
}

std::shared_ptr<Mirror> Mirrors::Find(uint32_t id) const {
    std::lock_guard guard(mutex_);
    const auto found = mirrors_.find(id);
    return found == mirrors_.end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<Mirror>> Mirrors::All() const {
    std::lock_guard guard(mutex_);
    std::vector<std::shared_ptr<Mirror>> all;
    for (const auto& [id, mirror] : mirrors_) all.push_back(mirror);
    return all;
}

void Mirrors::Add(std::shared_ptr<Mirror> mirror) {
    std::lock_guard guard(mutex_);
    mirrors_[mirror->id()] = std::move(mirror);
}

void Mirrors::Remove(uint32_t id) {
    std::lock_guard guard(mutex_);
    mirrors_.erase(id);
}

void Mirrors::SetApplied(Lsn lsn) {
    std::lock_guard guard(mutex_);
    session_lsn_ = std::max(session_lsn_, lsn);
    if (lsn <= applied_) return;
    applied_ = lsn;
    applied_changed_.notify_all();
}

void Mirrors::SetOldestXmin(Xid oldest_xmin) {
    std::lock_guard guard(mutex_);
    oldest_xmin_ = std::max(oldest_xmin_, oldest_xmin);
}

Xid Mirrors::oldest_xmin() const {
    std::lock_guard guard(mutex_);
    return oldest_xmin_;
}

void Mirrors::SetCaptureConnected(bool connected) {
    std::lock_guard guard(mutex_);
    connected_ = connected;
    if (!connected) session_lsn_ = kInvalidLsn;
    applied_changed_.notify_all();
}

}  // namespace ivy::engine
