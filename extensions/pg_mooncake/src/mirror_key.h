// SPDX-License-Identifier: Apache-2.0
//
// The source's primary key, as a fact that the mirror states too: SELECT id, name, count(*) ... GROUP BY id is a legal
// query only over a table whose primary key is known to the parser, and tools ask the catalog for keys.
//
// It is a row of pg_constraint and nothing else: a mirror has no indexes. The row names the source's index, so that its
// definition can be printed, and goes with it. pg_dump looks for indexes and does not see it; it comes back with the
// source's key when a dump is restored.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "utils/relcache.h"
}

namespace ivy::mooncake {

// Whether the mirror states just the key that the source has (a primary key that is not deferrable), or none if it has
// none.
bool HasSourceKey(Oid mirror, Relation source);

// Makes it so. A lock on the mirror that conflicts with itself must be held, if others can see the mirror.
void SyncSourceKey(Oid mirror, Relation source);

}  // namespace ivy::mooncake
