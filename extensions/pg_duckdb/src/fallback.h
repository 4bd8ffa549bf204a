// SPDX-License-Identifier: Apache-2.0
//
// Fallback: a part of a query on the row tables, in place of the engine.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "nodes/execnodes.h"
}

namespace ivy::duck {

struct FallbackRun;  // plain data in the memory context of the call that made it

// Plans "query" with row tables in place of all mirrors and starts it under the outer query's snapshot and parameters.
// Executor parameters in it are replaced by their present values. "econtext" is the outer node's.
FallbackRun* BeginFallback(const ::Query* query, EState* outer, ExprContext* econtext, PlanState* parent);

// The next row, or null at the end. Its columns are the query's; it is valid until the next call.
TupleTableSlot* NextFallbackRow(FallbackRun* run);

void EndFallback(FallbackRun* run);

// Whether a plan runs a scan of a mirror again and again, as in a subquery that depends on the rows around it: then the row
// tables may be the cheaper way.
bool RepeatsScan(const PlannedStmt* plan);

}  // namespace ivy::duck
