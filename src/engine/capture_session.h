// SPDX-License-Identifier: Apache-2.0
//
// CaptureSession: serves the capture worker's connection: opens and closes mirrors, stages changes, applies commits.
//
// What it has staged ends with it: the slot sends unfinished transactions again to the next session. Mirrors stay, and
// skip the commits that they have already.
#pragma once

#include <cstdint>
#include <map>
#include <set>

#include "base/status.h"
#include "engine/flusher.h"
#include "engine/mirror.h"
#include "engine/mirrors.h"
#include "engine/transaction_stage.h"

namespace ivy::engine {

class Channel;

class CaptureSession {
  public:
    CaptureSession(Channel& channel, Mirrors& mirrors, Flusher& flusher, MirrorContext& context);

    // Returns when the connection has ended; an error if it broke or the worker sent nonsense.
    Status Serve();

  private:
    Status Handle(Frame& frame);
    void TakeSettings(const FlushSettings& settings);
    Status Open(const MirrorOpen& open);
    void Close(const MirrorClose& close);
    void HandleCommit(const Commit& commit);
    void HandleProgress(const Progress& progress);
    void SetApplied(Lsn lsn);
    // Forgets a mirror; queries that read it go on.
    void Drop(uint32_t id);

    Channel& channel_;
    Mirrors& mirrors_;
    Flusher& flusher_;
    MirrorContext& context_;
    TransactionStage stage_;
    std::map<uint32_t, std::shared_ptr<Mirror>> open_;  // those opened in this session
    std::set<uint32_t> hidden_;  // those of them that wait for the session to come where earlier ones were
    Xid oldest_xmin_ = kInvalidXid;
};

}  // namespace ivy::engine
