// SPDX-License-Identifier: Apache-2.0
// The check of the server's flavour.
#include "pg/server_check.h"

#include "pg/postgres_api.h"

extern "C" {
#include "utils/guc.h"
}

namespace ivy::pg {

namespace {

#ifdef PACKAGE_IVORYSQL_VERSION
constexpr bool kBuiltForIvory = true;
#else
constexpr bool kBuiltForIvory = false;
#endif

}  // namespace

void CheckServer(const char* module) {
    const bool is_ivory = GetConfigOption("ivorysql.database_mode", true, false) != nullptr;
    if (is_ivory == kBuiltForIvory) return;
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("module \"%s\" was built for %s and can't be loaded into %s", module,
                           kBuiltForIvory ? "IvorySQL" : "PostgreSQL", is_ivory ? "IvorySQL" : "PostgreSQL"),
                    errhint("Build it with PG_CONFIG set to this server's pg_config.")));
}

}  // namespace ivy::pg
