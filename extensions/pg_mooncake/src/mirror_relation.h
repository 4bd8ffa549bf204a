// SPDX-License-Identifier: Apache-2.0
//
// The mirror as a relation: made with the same attribute numbers as its source, and kept so when the source changes.
//
// A mirror has its source's columns with their names, types, type modifiers, collations and NOT NULL; stored generated
// columns are plain ones, virtual generated columns are virtual here too, with the same expression. Columns dropped in
// the source are made and dropped here. It states its source's primary key (mirror_key.h); it has no defaults, other
// constraints, indexes, triggers or storage.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "nodes/parsenodes.h"
#include "nodes/primnodes.h"
#include "utils/relcache.h"
}

#include "catalog.h"

namespace ivy::mooncake {

// OID of the table access method, or InvalidOid if the extension is not in this database.
Oid MirrorAccessMethod(void);
// Whether a relation has our access method. Cheap: two syscache look-ups at most.
bool HasMirrorAccessMethod(Oid relid);

// The mirror that a name means, locked; an error if it is none, or not the current user's.
Oid OwnMirror(RangeVar* name, LOCKMODE lockmode);

// Makes the relation, as the current user and for "owner". Errors as those of CREATE TABLE.
Oid CreateMirrorRelation(RangeVar* name, Relation source, Oid owner);

// How the columns of mirror and source differ, in words, or null. Exact: null means that a query's Vars mean the same
// in both relations.
const char* ColumnDifference(Relation mirror, Relation source);

// Brings the mirrors of a source in step with it. To be called after DDL, in its transaction; a lock that keeps others
// from changing the source must be held. "rewritten": the table's content may have changed without WAL that decoding
// sees. Does nothing, and takes no lock on the mirror, if all is well. "behavior" is for views on dropped columns.
void SyncMirrors(Oid source, bool rewritten, DropBehavior behavior);

// Drops a mirror's relation with all that depends on it, as DROP TABLE ... CASCADE.
void DropMirrorRelation(Oid mirror);

// Makes a relation with our access method, which a dump has restored, a mirror that is still to be copied. Of "restored"
// the relations and the options matter.
void RestoreMirror(const MirrorRow* restored);

// True while this backend changes a mirror's columns: scans of mirrors are empty then (there is nothing to rewrite or
// to verify).
bool ChangingMirror(void);

}  // namespace ivy::mooncake
