// SPDX-License-Identifier: Apache-2.0
//
// ColumnarScan: the custom scan node whose rows come from the engine, or, where the engine can't give exactly what the
// row table would, from the row table.
//
// The choice is made when the first row is asked for: the query's text is completed with the values that Postgres
// computes, row sources are uploaded, the query is sent, and the beginning of the result is awaited. Whatever fails
// until then sends the node to the row table (mooncake.fallback); a failure after rows were returned is an error.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "nodes/execnodes.h"
#include "nodes/plannodes.h"
}

#include "columnar_plan.h"
#include "delivered_rows.h"
#include "engine_query.h"
#include "fallback.h"

struct ExplainState;

namespace ivy::types {
struct DatumReader;
}

namespace ivy::duck {

// Register with Postgres in _PG_init.
void RegisterColumnarScan();

extern const CustomScanMethods columnar_scan_methods;

// A node for a plan at PlanLevel::kWhole or kSplit, whose output columns are described by custom_scan_tlist; or, at
// kScan, one that fills the attributes of relation scan_relid. "values" are the expressions of {value:i}.
CustomScan* MakeColumnarScan(const ColumnarPlan& plan, List* values, List* target_list, List* quals,
                             List* scan_target_list, Index scan_relid);

// Execution state. Plain data in the executor's query context.
struct ColumnarScanState {
    CustomScanState css;  // first
    ColumnarPlan plan;
    List* values;               // ExprState
    bool may_raise;             // computing values or row sources may raise an error
    Bitmapset* params;          // the plan's own parameters that the values need
    MemoryContext run_context;  // everything of one run; reset by a rescan

    // One run.
    bool started;
    bool summary_taken;
    EngineQuery engine;
    types::DatumReader* readers;  // one a result column
    ExprState** casts;            // one a result column, or null; of each: null if there is nothing to cast
    size_t row;                   // next in the current chunk
    FallbackRun* fallback;        // not null: rows come from the row table
    DeliveredRows* delivered;     // not null: it could take over, or has done so, in the middle
    EngineFailure late_failure;   // why, then
    int* slot_column;             // of each result column: its index in the scan slot

    // For EXPLAIN ANALYZE.
    const char* fallback_reason;  // or null
    uint64 runs;
    uint64 fallback_runs;
    uint64 summaries;  // runs that were read to their end; the numbers below are theirs
    uint64 freshness_wait_us, file_rows, delta_rows;
    uint32 files;
    const char* profile;  // DuckDB's plan with times, of the last run
};

// The state of a plan that is nothing but one ColumnarScan for the whole query, or null.
ColumnarScanState* WholeColumnarScan(PlanState* plan);

// Makes a node that is to be executed for the first time return the row table's rows, because its engine query has failed.
// ereports if it may not.
void ContinueOnRowTable(ColumnarScanState* state);

// In explain.cc: the node's part of EXPLAIN, and the hook for what is said once a plan.
void ExplainColumnarScan(CustomScanState* node, List* ancestors, ExplainState* es);
void InstallExplain();

}  // namespace ivy::duck
