// SPDX-License-Identifier: Apache-2.0
//
// Inside of ddl.h: what its parts offer each other.
//
//   ddl.cc           the hooks, and the transaction's end
//   ddl_touched.cc   which relations this transaction has touched, and bringing their mirrors in step
//   ddl_refused.cc   commands that mirrors refuse
//   ddl_prepare.cc   before a command that alters tables: what it touches, and locks
//   ddl_database.cc  databases and the extension as a whole
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace ivy::mooncake::ddl {

// --- ddl_touched.cc ---

// Notes a relation that may be a source, or below one, and whose definition may have changed.
void Touch(Oid relid);
// The same, and its rows may have changed without row changes in the WAL.
void TouchContent(Oid relid);
// A table is about to leave those above it. "content": their content changes, and was not told (see below).
void TouchAbove(Oid relid, bool content);
// The mirrors above a table were told that its rows leave: what the command does with the table is accounted for.
void NoteTold(Oid relid);
bool WasTold(Oid relid);
// Policies of some table have changed.
void TouchPolicies(void);
// A table is being truncated by a command, which may truncate more of them.
void NoteTruncated(Oid relid);
// Whether a table, or one below it, has rows now. The caller holds a lock that keeps others from changing them.
bool HasRows(Oid relid);

bool AnythingTouched(void);
void ForgetTouched(void);
// Brings the mirrors of touched relations, and of those above them, in step. "behavior" is for views on dropped columns.
void FollowUp(DropBehavior behavior);

// --- ddl_refused.cc ---

// The relation that a name means now, or InvalidOid. Without a lock.
Oid ResolveRelation(const RangeVar* name);
bool NamesMirror(const RangeVar* name);
bool CalledBy(const char* program);
// Ereports for what would break a mirror, or make one in another way than create_table.
void CheckCommand(const Node* node);

// --- ddl_prepare.cc ---

// Notes what a command will touch, and locks what it will change. Returns the behavior that the command asks for.
DropBehavior PrepareCommand(const Node* node);
// After the command has run.
void FinishCommand(const Node* node);

// --- ddl_database.cc ---

// Commands that need a database without connections.
void PrepareDatabaseCommand(const Node* node);
// The database that a DROP DATABASE names, or InvalidOid.
Oid DroppedDatabase(const Node* node);
// After DROP DATABASE, which can't be taken back: its engine and the files of its mirrors go, too.
void RemoveDatabase(Oid database);
// The extension is dropped by this transaction, which is about to commit: worker, slot and engine go.
void RemoveCapture(void);

}  // namespace ivy::mooncake::ddl
