// SPDX-License-Identifier: Apache-2.0
//
// The options of create_table: a JSON object, named arguments, or both; every name and value is checked.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "utils/relcache.h"
}

#include "catalog.h"

namespace ivy::mooncake {

struct CreateOptions {
    bool wait;              // until the mirror is live
    MirrorOptions mirror;   // "columns" as given: see CheckColumnOption
    const char* key_index;  // that the identity must be: an index's name, or "primary_key"; null: any
};

// Of a call of create_table whose argument "json" is the JSON object (or NULL); those that follow it are options of the
// argument's name, unless NULL. Ereports for what is unknown, malformed, given twice, or not allowed to the current user.
CreateOptions ParseOptions(FunctionCallInfo fcinfo, int json);

// Checks what names columns and indexes of the source. Ereports.
void CheckSourceOptions(const CreateOptions& options, Relation source);

}  // namespace ivy::mooncake
