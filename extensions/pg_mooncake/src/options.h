// SPDX-License-Identifier: Apache-2.0
//
// The options of create_table: a JSON object, every name and value of which is checked.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "utils/jsonb.h"
#include "utils/relcache.h"
}

#include "catalog.h"

namespace ivy::mooncake {

struct CreateOptions {
    bool wait;              // until the mirror is live
    MirrorOptions mirror;   // "columns" as given: see CheckColumnOption
    const char* key_index;  // that the identity must be: an index's name, or "primary_key"; null: any
};

// "json" may be null. Ereports for what is unknown, malformed, or not allowed to the current user.
CreateOptions ParseOptions(Jsonb* json);

// Checks what names columns and indexes of the source. Ereports.
void CheckSourceOptions(const CreateOptions& options, Relation source);

}  // namespace ivy::mooncake
