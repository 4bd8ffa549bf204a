// SPDX-License-Identifier: Apache-2.0
#include "engine/transaction_stage.h"

namespace ivy::engine {

void TransactionStage::Add(Changes changes) {
    Parts& parts = transactions_[changes.xid];
    const uint32_t mirror = changes.mirror;
    parts.try_emplace(mirror, folder_, memory_limit_).first->second.Append(std::move(changes));
}

void TransactionStage::Abort(Xid xid, Xid subxid) {
    const auto found = transactions_.find(xid);
    if (found == transactions_.end()) return;
    if (subxid == xid) {
        transactions_.erase(found);
        return;
    }
    for (auto& [mirror, spool] : found->second) spool.AbortSubtransaction(subxid);
}

TransactionStage::Parts TransactionStage::Take(Xid xid) {
    const auto found = transactions_.find(xid);
    if (found == transactions_.end()) return {};
    Parts parts = std::move(found->second);
    transactions_.erase(found);
    return parts;
}

}  // namespace ivy::engine
