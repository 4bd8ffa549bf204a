// SPDX-License-Identifier: Apache-2.0
// Widening of transaction ids.
#include "pg/xid.h"

#include <algorithm>

namespace ivy::pg {

namespace {

Xid WidenAt(TransactionId xid, FullTransactionId next) {
    return U64FromFullTransactionId(FullTransactionIdFromAllowableAt(next, xid));
}

}  // namespace

Xid WidenXid(TransactionId xid) {
    if (!TransactionIdIsValid(xid)) return kInvalidXid;
    return WidenAt(xid, ReadNextFullTransactionId());
}

ivy::Snapshot ConvertSnapshot(const SnapshotData& snapshot, FullTransactionId next) {
    ivy::Snapshot out;
    out.xmin = WidenAt(snapshot.xmin, next);
    out.xmax = WidenAt(snapshot.xmax, next);
    out.xip.reserve(snapshot.xcnt);
    for (uint32 i = 0; i < snapshot.xcnt; i++) out.xip.push_back(WidenAt(snapshot.xip[i], next));
    std::sort(out.xip.begin(), out.xip.end());
    return out;
}

}  // namespace ivy::pg
