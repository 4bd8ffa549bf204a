// SPDX-License-Identifier: Apache-2.0
//
// The types inside of types: domains, arrays, ranges and composites hold values of others. Files have such values in their
// text form, which changes when a label of an enum is renamed.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "access/tupdesc.h"
}

namespace ivy::mooncake {

// Whether values of one type hold values of another, or are such.
bool TypeContains(Oid type, Oid part);

// Waits for transactions that rename labels of enums in a row's values, and keeps others from it until this one has
// committed: they order new copies only of mirrors whose columns they see.
void LockLabels(TupleDesc desc);

}  // namespace ivy::mooncake
