// SPDX-License-Identifier: Apache-2.0
//
// TransactionStage: changes of transactions that have not committed yet, by top-level transaction and mirror.
//
// Large transactions are streamed while they run, several at a time, and any of their subtransactions may abort before
// the whole commits. Used by the capture session's thread only.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "engine/change_spool.h"
#include "protocol/messages.h"

namespace ivy::engine {

class TransactionStage {
  public:
    // A transaction's changes of one mirror stay in memory up to "memory_limit" bytes, then go to files in "folder".
    TransactionStage(std::string folder, uint64_t memory_limit)
        : folder_(std::move(folder)), memory_limit_(memory_limit) {}

    void Add(Changes changes);
    // Forgets a subtransaction's changes, or the whole transaction if subxid == xid.
    void Abort(Xid xid, Xid subxid);

    // The changes of a transaction by mirror id; they are no longer staged.
    using Parts = std::map<uint32_t, ChangeSpool>;
    Parts Take(Xid xid);

    void Clear() { transactions_.clear(); }
    size_t transactions() const { return transactions_.size(); }

  private:
    const std::string folder_;
    const uint64_t memory_limit_;
    std::map<Xid, Parts> transactions_;
};

}  // namespace ivy::engine
