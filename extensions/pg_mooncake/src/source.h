// SPDX-License-Identifier: Apache-2.0
//
// Sources: which tables can be mirrored, and the tables whose rows a source shows.
//
// A source is a plain table, a partitioned table, or a table that others inherit from; its members are the plain tables
// whose rows a query on it reads: itself, its leaf partitions, its descendants. A mirror has the columns of the source;
// members may have theirs in another order, with others between them, and are matched by name.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "utils/relcache.h"
}

#include "catalog.h"

namespace ivy::mooncake {

struct SourceCheck {
    const char* problem;  // why the table can't be mirrored so, in words for an error's detail; null: it can
    const char* hint;     // or null
    int sqlerrcode;
    int16* key;     // without a problem: the attribute numbers of the identity, palloc'ed
    int key_count;  // 0: append-only
};

// Whether a table can be mirrored with these options. Members are looked at without locks.
SourceCheck CheckSource(Relation source, const MirrorOptions& options);

// Before a mirror is made of a source: waits for transactions that have brought a table below it, or are changing one there,
// and keeps others from it until this one has ended. They order a new copy, or tell of the rows, only for mirrors that they
// see. (A table that comes below a plain source whose mirror goes by its key is seen by every query: see CheckSource.)
void LockMembership(Oid source, Identity identity);

// Whether the rows of a source are (also) those of other tables.
bool HasMembers(Relation source);

// The plain tables whose rows a source shows, in order of their OIDs, of which those are locked that are not the source
// itself. "lockmode" may be NoLock.
List* SourceMembers(Oid source, LOCKMODE lockmode);

// A table and everything above it: the partitioned tables that it is a partition of, the tables that it inherits from.
List* SourcesAbove(Oid relid);

// Those of them that have mirrors, the table itself aside.
List* MirroredAbove(Oid relid);

// Whether some table above "relid", or it itself, has a mirror.
bool HasMirrorAbove(Oid relid);

// Whether a source shows the rows of "child" by way of another parent than this one (tables may inherit from several).
bool IsBelowOtherwise(Oid child, Oid parent, Oid source);

// The attribute of "to" that has the name of an attribute of "from", or 0.
AttrNumber SameNamedAttribute(TupleDesc from, AttrNumber attribute, TupleDesc to);

}  // namespace ivy::mooncake
