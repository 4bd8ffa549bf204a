// SPDX-License-Identifier: Apache-2.0
// The SQL functions of schema duckdb.
#include "control.h"
#include "launcher.h"
#include "settings.h"

extern "C" {
#include "funcapi.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(duckdb_engines);
PG_FUNCTION_INFO_V1(duckdb_engine_status);
}

Datum duckdb_engines(PG_FUNCTION_ARGS) {
    using namespace ivy::duck;
    InitMaterializedSRF(fcinfo, 0);
    auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
    auto* engines = static_cast<EngineInfo*>(palloc(sizeof(EngineInfo) * kMaxEngines));
    const int count = ListEngines(engines, kMaxEngines);
    for (int i = 0; i < count; i++) {
        const EngineInfo& engine = engines[i];
        Datum values[] = {ObjectIdGetDatum(engine.database),     Int32GetDatum(engine.pid),
                          CStringGetTextDatum(engine.state),     BoolGetDatum(engine.keep),
                          Int32GetDatum(engine.connections),     Int32GetDatum(engine.failures),
                          TimestampTzGetDatum(engine.started_at)};
        bool nulls[] = {false, engine.pid == 0, false, false, false, false, engine.pid == 0};
        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    }
    return 0;
}

Datum duckdb_engine_status(PG_FUNCTION_ARGS) {
    char* text = ivy::duck::Control(MyDatabaseId, "status", InvalidOid, 0, ivy::duck::engine_timeout_ms);
    return DirectFunctionCall1(jsonb_in, CStringGetDatum(text));
}
