// SPDX-License-Identifier: Apache-2.0
//
// Who may read a mirror: whoever may read its source, and whoever was given more on the mirror itself.
//
//   privileges    A new mirror has its source's owner and its SELECT privileges, on the table and on columns, and none by
//                 ALTER DEFAULT PRIVILEGES. GRANT and REVOKE of SELECT on the source, and ALTER TABLE ... OWNER, do the
//                 same to the mirror; what is granted on the mirror alone stays.
//   row security  The switches follow the source's, and the source's policies hold for the mirror, too, looked up when a
//                 query is analysed. Policies made on the mirror come in addition, as among those of one table.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "utils/relcache.h"
}

namespace ivy::mooncake {

// The owner of a relation; InvalidOid if it is gone.
Oid OwnerOf(Oid relation);

// Gives a new mirror its source's access.
void CopyAccess(Oid mirror, Relation source);

// Switches row security of a mirror on where the source has it, or, with "exactly", to what the source has.
void SyncRowSecurity(Oid mirror, Relation source, bool exactly);

// Owner and privileges of all sources, before a command that may change them. Null if the command can't.
List* NoteAccess(const Node* command);
// After the command: does to the mirrors what it did to their sources.
void FollowAccess(List* before);

// Policies of a source have changed: analysed queries on its mirrors are no longer right.
void ForgetPolicies(void);

// Installs the hooks. To be called in _PG_init.
void InitAccess(void);

}  // namespace ivy::mooncake
