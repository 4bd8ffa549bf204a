// SPDX-License-Identifier: Apache-2.0
//
// Row sources: row tables of a columnar query, read by this backend with its own snapshot and sent to the engine.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "nodes/execnodes.h"
}

#include "engine_query.h"

namespace ivy::duck {

// Runs "rows" and sends what it returns as the engine query's next row source. "outer" is the state of the query that
// this is a part of: its snapshot, parameters and text are used. With "announce_only" no row is read or sent. False:
// see query->failure.
bool UploadRows(EngineQuery* query, ::Query* rows, EState* outer, bool announce_only);

// The same for a query of its own, whose privileges are checked, under the active snapshot.
bool UploadQuery(EngineQuery* query, ::Query* rows, const char* text);

}  // namespace ivy::duck
