// SPDX-License-Identifier: Apache-2.0
//
// A scan of a whole mirror without a plan: what pg_mooncake's table access method offers to commands that read a table
// directly (COPY mirror TO, for one).
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "executor/tuptable.h"
}

namespace ivy {

struct ColumnarTableScan;

namespace duck {

// All functions may ereport. The scan is freed with the memory context of the first call if it is not ended.
ColumnarTableScan* BeginTableScan(Relation mirror, ::Snapshot snapshot);
bool NextTableRow(ColumnarTableScan* scan, TupleTableSlot* slot);
void EndTableScan(ColumnarTableScan* scan);

}  // namespace duck
}  // namespace ivy
