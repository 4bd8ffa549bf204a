// SPDX-License-Identifier: Apache-2.0
//
// Whether this transaction has uncommitted changes of a row table: its mirror does not have them, so a query that must
// see them runs on the row table.
#pragma once

#include "pg/postgres_api.h"

namespace ivy::duck {

// False only if it is certain that this transaction, its subtransactions that were not rolled back included, has
// changed nothing in the relation and has not replaced its storage.
bool MayHaveOwnWrites(Oid relid);

}  // namespace ivy::duck
