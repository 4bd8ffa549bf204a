// SPDX-License-Identifier: Apache-2.0
//
// Planning of queries on mirrors. See docs/architecture.md, "Life of a read".
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "nodes/params.h"
#include "nodes/plannodes.h"
}

namespace ivy::duck {

// Installs the planner's hooks. Call in _PG_init.
void InstallPlanner();

// Installs the hooks that lend mirrors the statistics of their row tables (stats.cc).
void InstallStatistics();

// Plans a query whose mirrors were exchanged for row tables, lake functions included: nothing of it is shipped.
PlannedStmt* PlanOnServer(::Query* query, const char* text, ParamListInfo params);

}  // namespace ivy::duck
