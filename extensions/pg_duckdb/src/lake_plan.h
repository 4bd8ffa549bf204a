// SPDX-License-Identifier: Apache-2.0
//
// Lake functions in plans. The translator takes a call whose arguments are known while the query is planned for a table
// of the engine's; what it can't ship leaves the call as a scan of its own, with columns and filters pushed down. A call
// that is none of these (arguments from other tables, WITH ORDINALITY, UPDATE ... FROM) stays a function that Postgres
// calls.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "nodes/params.h"
#include "nodes/parsenodes.h"
}

#include "lake_columns.h"
#include "translate/translate.h"

namespace ivy::duck {

// Call in _PG_init.
void InstallLakePlanning();

// Whether a query calls lake functions, at some level. Gives every call all its arguments, in place. Cheap where there
// are none.
bool PrepareLakeCalls(::Query* query);

// What is known of lake functions while one query is planned; nested plannings have their own.
struct LakePlanning {
    ParamListInfo params;
    List* tables;  // what was asked of the engine already
};

// Sets the planning in progress (null: lake functions are not for the engine) and returns the one before.
LakePlanning* EnterLakePlanning(LakePlanning* planning);

// The engine's function and the table that stand for an entry, or false if it must be called by Postgres.
bool FindLakeTable(RangeTblEntry* rte, translate::EngineFunction* out, const LakeTable** table);

// The function and the paths that EngineFunction::info stands for.
Oid LakeInfoFunction(const Node* info);
List* LakeInfoPaths(const Node* info);  // char*

}  // namespace ivy::duck
