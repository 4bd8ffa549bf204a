// SPDX-License-Identifier: Apache-2.0
//
// The rows that a scan has returned so far, so that the row table can take over in the middle: when the engine fails late, the
// row table is asked for all rows, and those that were returned already are left out, each as often as it was.
//
// Only hashes of 64 bits are kept: two rows are taken for the same with a probability of about n * n / 2^65, if the engine
// fails at all.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "executor/tuptable.h"
}

namespace ivy::duck {

struct DeliveredRows;

// "columns" (0-based attributes of the slots) are those that count; copied. Memory is taken from "context" up to the limit for
// hash tables (work_mem, hash_mem_multiplier), but at least 64 MB.
DeliveredRows* TrackRows(MemoryContext context, TupleDesc desc, const int* columns, int count);

// Notes a row. False if there are more than memory has room for: "rows" is freed then, and nobody can take over.
bool RememberRow(DeliveredRows* rows, TupleTableSlot* slot);

// Whether the row was returned before; it then counts as seen again.
bool WasDelivered(DeliveredRows* rows, TupleTableSlot* slot);

// Rows that were returned and not seen again.
uint64 RowsNotSeenAgain(const DeliveredRows* rows);

}  // namespace ivy::duck
