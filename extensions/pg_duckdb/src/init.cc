// SPDX-License-Identifier: Apache-2.0
// The module's entry point: checks the server, defines settings, registers the launcher, the node and the hooks, and
// publishes the functions for pg_mooncake.
#include "api.h"
#include "columnar_scan.h"
#include "control.h"
#include "lake_access.h"
#include "lake_analysis.h"
#include "lake_arguments.h"
#include "lake_copy.h"
#include "lake_plan.h"
#include "launcher.h"
#include "mirrors.h"
#include "pg/server_check.h"
#include "planner.h"
#include "settings.h"
#include "table_scan.h"

extern "C" {
PG_MODULE_MAGIC_EXT(.name = "pg_duckdb", .version = IVY_VERSION);

PGDLLEXPORT void _PG_init(void);
}

namespace ivy::duck {

namespace {

const DuckdbApi kApi = {
    .version = kDuckdbApiVersion,
    .size = sizeof(DuckdbApi),
    .register_provider = RegisterProvider,
    .request_engine = RequestEngine,
    .connect_engine = ConnectEngine,
    .control = Control,
    .begin_table_scan = BeginTableScan,
    .next_table_row = NextTableRow,
    .end_table_scan = EndTableScan,
    .check_network_access = CheckNetworkAccess,
    .secrets_of = SecretsOf,
    .probe_location = ProbeLocation,
};

}  // namespace

}  // namespace ivy::duck

void _PG_init(void) {
    using namespace ivy;
    pg::CheckServer("pg_duckdb");
    if (!process_shared_preload_libraries_in_progress) {
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("module \"pg_duckdb\" must be loaded when the server starts"),
                        errhint("Add \"pg_duckdb\" to \"shared_preload_libraries\" and restart the server.")));
    }
    duck::DefineSettings();
    duck::RegisterColumnarScan();
    duck::InstallPlanner();
    duck::InstallLakePlanning();
    duck::InstallLakeAnalysis();
    duck::InstallLakeArguments();
    duck::InstallLakeCopy();
    duck::InstallStatistics();
    duck::InstallExplain();
    if (!IsBinaryUpgrade) duck::InitLauncher();
    *find_rendezvous_variable(kDuckdbApiName) = const_cast<DuckdbApi*>(&duck::kApi);
}
