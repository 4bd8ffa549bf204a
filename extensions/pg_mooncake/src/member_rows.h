// SPDX-License-Identifier: Apache-2.0
//
// Rows that come to a source, or leave it, without being written: a filled table is attached or detached, a partition is
// dropped or truncated. The transaction that does it writes them to the WAL as logical messages, which arrive among its
// changes and are rolled back with it (and its savepoints); the decoder makes inserts and deletes of them. Deleted rows
// have the mirrors' keys only.
//
// That costs reading the table and, for rows that come, as much WAL as inserting them, under the lock of the command. So
// it is done for tables of moderate size; a change of large ones orders a new copy of the mirrors.
#pragma once

#include "pg/postgres_api.h"

namespace ivy::mooncake {

inline constexpr char kMemberRowsPrefix[] = "pg_mooncake member rows";
inline constexpr uint32 kMemberRowsVersion = 1;

// A message: this, the OIDs of the mirrors, and the rows, each a uint64 length and the tuple; rows and what follows them
// begin at multiples of MAXALIGN.
struct MemberRowsHead {
    uint32 version;
    Oid table;           // that has the rows
    TransactionId xid;   // the (sub)transaction
    uint32 mirror_count;
    uint32 row_count;
    bool come;           // else they leave; also sent without rows then, so that a TRUNCATE is known to be accounted for
};

// Tells the mirrors of "sources", which are above the table, that its rows come or leave. The caller holds
// AccessExclusiveLock on the table until the end of the transaction. False if nothing was told: it is too large, has
// members itself, or some mirror does not follow deletes; the mirrors must be copied anew then.
bool TellMemberRows(Oid table, const List* sources, bool come);

}  // namespace ivy::mooncake
