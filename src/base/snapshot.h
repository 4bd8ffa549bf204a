// SPDX-License-Identifier: Apache-2.0
//
// Lsn, Xid and Snapshot: Postgres's notions of "when" as values that know no Postgres header.
//
// Transaction ids are 64-bit (epoch and xid, Postgres's FullTransactionId), so that nothing here ever wraps around;
// whoever talks to Postgres widens its 32-bit ids. All ids are of top-level transactions: decoding reports a
// subtransaction's changes under its top-level id, and a snapshot that shows the top-level id as running hides them.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"

namespace ivy {

using Lsn = uint64_t;  // byte position in the WAL; 0 is invalid
using Xid = uint64_t;  // full top-level transaction id; 0 is invalid

inline constexpr Lsn kInvalidLsn = 0;
inline constexpr Xid kInvalidXid = 0;

// What a transaction can see. A transaction that committed is visible iff it is below xmax and was not running.
struct Snapshot {
    Xid xmin = 0;          // everything below has ended
    Xid xmax = 0;          // nothing at or above is visible
    std::vector<Xid> xip;  // running in [xmin, xmax), ascending

    // Whether the effects of "xid" are visible, given that it committed (aborted transactions never reach a mirror).
    bool Sees(Xid xid) const;

    // Whether everything that "other" sees is seen by this snapshot too. (Their differences are of committed
    // transactions only if one of them is older, so this is exact for "is a copy made under other usable for me".)
    bool SeesAllOf(const Snapshot& other) const;

    void Write(ByteWriter* out) const;
    static Snapshot Read(ByteReader* in);
};

}  // namespace ivy
