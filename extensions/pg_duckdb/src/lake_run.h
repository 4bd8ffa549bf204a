// SPDX-License-Identifier: Apache-2.0
//
// Queries over files that have no row table to fall back to: an error of the engine is the caller's error.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "access/tupdesc.h"
#include "nodes/parsenodes.h"
#include "utils/tuplestore.h"
}

#include "engine_query.h"
#include "lake_columns.h"

namespace ivy::duck {

// Runs a query whose columns are text that is not NULL, and gives its rows (char**), in the current context. "files" are
// those that it opens. ereports; with "may_fail" an error of the engine's gives NIL.
List* RunLakeTexts(const char* sql, int columns, List* files, bool may_fail = false);

// Raises a failure of the engine's.
[[noreturn]] void RaiseLakeFailure(const EngineFailure& failure);

// Reads all rows of a table into a tuplestore, with the columns of "desc". ereports.
void ReadLakeTable(const LakeTable* table, TupleDesc desc, Tuplestorestate* store);

}  // namespace ivy::duck
