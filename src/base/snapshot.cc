// SPDX-License-Identifier: Apache-2.0
// Snapshot visibility, as XidInMVCCSnapshot does it in Postgres.
#include "base/snapshot.h"

#include <algorithm>

namespace ivy {

bool Snapshot::Sees(Xid xid) const {
    if (xid < xmin) return true;
    if (xid >= xmax) return false;
    return !std::binary_search(xip.begin(), xip.end(), xid);
}

bool Snapshot::SeesAllOf(const Snapshot& other) const {
    if (xmin >= other.xmax) return true;
    // Ids that this snapshot hides and the other may show: at or past xmax here, or running here.
    if (xmax < other.xmax) {
        // All of [xmax, other.xmax) would have to be hidden from the other as well.
        const auto first = std::lower_bound(other.xip.begin(), other.xip.end(), xmax);
        if (static_cast<Xid>(other.xip.end() - first) != other.xmax - xmax) return false;
    }
    for (const Xid running : xip) {
        if (running >= other.xmax) break;
        if (!std::binary_search(other.xip.begin(), other.xip.end(), running)) return false;
    }
    return true;
}

void Snapshot::Write(ByteWriter* out) const {
    out->U64(xmin);
    out->U64(xmax);
    out->U32(static_cast<uint32_t>(xip.size()));
    for (const Xid xid : xip) out->U64(xid);
}

Snapshot Snapshot::Read(ByteReader* in) {
    Snapshot snapshot;
    snapshot.xmin = in->U64();
    snapshot.xmax = in->U64();
    const uint32_t count = in->Count(sizeof(Xid));
    snapshot.xip.reserve(count);
    for (uint32_t i = 0; i < count; i++) snapshot.xip.push_back(in->U64());
    return snapshot;
}

}  // namespace ivy
