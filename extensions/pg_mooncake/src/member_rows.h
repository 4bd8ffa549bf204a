// SPDX-License-Identifier: Apache-2.0
//
// Rows that come to a source, or leave it, without being written: a filled table is attached or detached, a partition
// is dropped or truncated. The transaction that does it writes them to the WAL as logical messages, which arrive among
// its changes and are rolled back with it (and its savepoints); the decoder makes inserts and deletes of them. Deleted
// rows have the mirrors' keys only.
//
// That costs reading the table and, for rows that come, as much WAL as inserting them, under the lock of the command.
// So it is done for tables of moderate size; a change of large ones orders a new copy of the mirrors.
//
// Anybody may write logical messages: ours carry a key that only the extension can read (mooncake.message_key).
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "utils/uuid.h"
}

namespace ivy::mooncake {

inline constexpr char kMemberRowsPrefix[] = "pg_mooncake member rows";
inline constexpr uint32 kMemberRowsVersion = 1;

// A message: this, the OIDs of the mirrors, and the rows, each a uint64 length and the tuple; rows and what follows
// them begin at multiples of MAXALIGN.
struct MemberRowsHead {
    pg_uuid_t key;  // first: what has another one is not ours
    uint32 version;
    Oid table;          // that has the rows
    TransactionId xid;  // the (sub)transaction
    uint32 mirror_count;
    uint32 row_count;
    bool come;  // else they leave; also sent without rows then, so that a TRUNCATE is known to be accounted for
};

// Reads the key. False if the extension does not exist.
bool ReadMessageKey(pg_uuid_t* key);

// Tells the mirrors of "sources", which are above the table, that its rows, and those of all its partitions, come or leave.
// The caller holds locks on all of them that keep their rows as they are until the end of the transaction. False if nothing was
// told: it is too large, others inherit from it, or some mirror does not follow deletes; the mirrors must be copied anew then.
bool TellMemberRows(Oid table, const List* sources, bool come);

}  // namespace ivy::mooncake
