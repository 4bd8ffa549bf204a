// SPDX-License-Identifier: Apache-2.0
//
// What pg_duckdb's planner and executor ask about mirrors, answered from a cache of this backend.
//
// An entry is what mooncake.mirrors and the descriptors of mirror and source say. It is thrown away when a relcache
// invalidation of either relation arrives; every change of a mirror's state sends one for the mirror.
#pragma once

#include "pg/postgres_api.h"

#include "pg_duckdb/src/api.h"

namespace ivy::mooncake {

// In _PG_init: registers with pg_duckdb.
void InitProvider();

// As ColumnRelationProvider::lookup: true if "relid" is a mirror. "reason" is palloc'ed.
bool LookupMirror(Oid relid, ColumnRelation* out);

}  // namespace ivy::mooncake
