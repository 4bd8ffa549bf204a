// SPDX-License-Identifier: Apache-2.0
//
// Own writes, known by the locks held: whatever changes rows of a table (INSERT, UPDATE, DELETE, COPY, MERGE, foreign
// key actions, TRUNCATE, a rewrite) takes RowExclusiveLock or a stronger lock on it and keeps it until the end of the
// transaction, or until the savepoint before it is rolled back to, which is when the changes are gone too. Unlike the
// statistics collector's counts, locks can't be switched off.
//
// A strong lock does not prove changes (LOCK TABLE, an UPDATE that found no row): then the row table answers
// needlessly, but rightly.
#include "own_writes.h"

extern "C" {
#include "catalog/pg_inherits.h"
#include "storage/lmgr.h"
#include "utils/relcache.h"
}

namespace ivy::duck {

namespace {

// Made or rewritten by this transaction.
bool StorageIsNew(Relation relation) {
    return relation->rd_createSubid != InvalidSubTransactionId ||
           relation->rd_newRelfilelocatorSubid != InvalidSubTransactionId ||
           relation->rd_firstRelfilelocatorSubid != InvalidSubTransactionId;
}

bool MayHaveChanged(Oid relid) {
    if (CheckRelationOidLockedByMe(relid, RowExclusiveLock, true)) return true;
    Relation relation = RelationIdGetRelation(relid);
    if (!relation) return true;
    const bool is_new = StorageIsNew(relation);
    RelationClose(relation);
    return is_new;
}

}  // namespace

// The rows of a table may be those of partitions and child tables, which can be written to without it.
bool MayHaveOwnWrites(Oid relid) {
    // Changes need a transaction id.
    if (!TransactionIdIsValid(GetTopTransactionIdIfAny())) return false;
    ListCell* cell;
    foreach (cell, find_all_inheritors(relid, NoLock, nullptr)) {
        if (MayHaveChanged(lfirst_oid(cell))) return true;
    }
    return false;
}

}  // namespace ivy::duck
