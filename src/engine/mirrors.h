// SPDX-License-Identifier: Apache-2.0
//
// Mirrors: the mirrors that this engine knows, and how far the stream of changes has been applied to them.
//
// A query first waits until everything that its snapshot may see has been applied (WaitApplied), then takes one read
// view of each mirror (Read). Views need no common moment: what a snapshot sees is decided by transaction ids, and all
// the transactions that it sees have been applied to every mirror before WaitApplied returns.
//
// The capture session is the only one that adds, changes and removes mirrors. Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "base/snapshot.h"
#include "base/status.h"
#include "delta/read_view.h"
#include "protocol/messages.h"

namespace ivy::engine {

class Mirror;

// What a query may see of one mirror.
struct MirrorRead {
    // The files and rows that the snapshot sees. Files of the view stay on disk while it lives.
    std::shared_ptr<const delta::ReadView> view;
    // Column ids that hold NULL in place of some value that the column format can't hold. A query that reads one of
    // them must be refused with Unavailable::kInexact.
    std::vector<uint32_t> inexact;
};

class Mirrors {
  public:
    Mirrors();
    ~Mirrors();

    // --- queries ---

    // Waits until everything that committed at or before "lsn" has been applied. An error with *why = kStale after
    // "timeout", or at once when no capture worker is connected and it has not been; with SQLSTATE 57014 when
    // "cancelled", which is asked about every 10 ms, says so. "cancelled" may be empty.
    Status WaitApplied(Lsn lsn, std::chrono::milliseconds timeout, const std::function<bool()>& cancelled,
                       Unavailable* why) const;

    // What "snapshot" sees of a mirror; call after WaitApplied. An error sets *why: kNotReady (unknown, being copied,
    // being reorganised after a schema change, failed, or the snapshot does not see all that its copy saw) or
    // kSnapshotTooOld.
    Result<MirrorRead> Read(uint32_t id, const Snapshot& snapshot, Unavailable* why) const;
    // Whether it may well be readable in a moment: see Mirror.
    bool IsFetching(uint32_t id) const;

    // The columns of a mirror, for messages. Empty if it is unknown.
    std::vector<MirrorColumn> Columns(uint32_t id) const;

    // {"capture_connected", "applied_lsn", "oldest_xmin", "mirrors": [{"id", "name", "state", "error", ...}]}
    nlohmann::json StatusJson() const;

    Lsn applied_lsn() const;
    bool capture_connected() const;

    // --- ingest ---

    std::shared_ptr<Mirror> Find(uint32_t id) const;  // or null
    std::vector<std::shared_ptr<Mirror>> All() const;
    void Add(std::shared_ptr<Mirror> mirror);
    void Remove(uint32_t id);

    // Everything that committed at or before "lsn" has been applied. What queries wait for never goes back, though a
    // new capture session begins with transactions that came before.
    void SetApplied(Lsn lsn);
    // How far the present capture session has come; 0 if there is none.
    Lsn session_lsn() const;
    void SetOldestXmin(Xid oldest_xmin);
    Xid oldest_xmin() const;
    // Waiters fail at once while no capture worker is connected.
    void SetCaptureConnected(bool connected);

  private:
    mutable std::mutex mutex_;
    mutable std::condition_variable applied_changed_;
    std::map<uint32_t, std::shared_ptr<Mirror>> mirrors_;
    Lsn applied_ = kInvalidLsn;
    Lsn session_lsn_ = kInvalidLsn;
    Xid oldest_xmin_ = kInvalidXid;
    bool connected_ = false;
};

}  // namespace ivy::engine
