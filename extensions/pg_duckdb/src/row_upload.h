// SPDX-License-Identifier: Apache-2.0
//
// Row sources: row tables of a columnar query, read by this backend with its own snapshot and sent to the engine.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "nodes/execnodes.h"
#include "tcop/dest.h"
}

#include "engine_query.h"

namespace ivy::duck {

// Runs "rows" and sends what it returns as the engine query's next row source. "outer" is the state of the query that
// this is a part of: its snapshot, parameters and text are used. With "announce_only" no row is read or sent. False:
// see query->failure.
bool UploadRows(EngineQuery* query, ::Query* rows, EState* outer, bool announce_only);

// The same for a query that the caller runs: announces rows of these columns (TargetEntry), and gives a receiver that sends
// them. Both live in the current context.
DestReceiver* BeginUpload(EngineQuery* query, List* target_list);
// Sends the last rows, after the query has ended. False: see query->failure; *unstorable (may be null) is the number of the
// column with a value that can't be held.
bool EndUpload(DestReceiver* receiver, int* unstorable);

}  // namespace ivy::duck
