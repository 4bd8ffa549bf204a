// SPDX-License-Identifier: Apache-2.0
//
// mooncake.slot_record: the furthest confirmed position of the replication slot for which the published files account.
//
// What is before the slot's confirmed position never comes again, so the mirrors in the catalog must contain it. The worker
// advances the slot only after a transaction that records the new position here, and at its start compares the two. A slot
// that is further than the record is not the one that this catalog goes with: somebody dropped and made it again, or
// advanced or consumed it; or the catalog is older than the slot (a standby that was promoted with a synchronised slot, a
// restore to a point in time). Then the mirrors are copied anew. A slot that is behind the record only means more to replay.
//
// All functions need a transaction of the database and may ereport.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "access/xlogdefs.h"
}

namespace ivy::mooncake {

// InvalidXLogRecPtr if nothing was ever recorded.
XLogRecPtr RecordedSlotPosition(void);

// Replaces the record.
void RecordSlotPosition(XLogRecPtr confirmed);

}  // namespace ivy::mooncake
