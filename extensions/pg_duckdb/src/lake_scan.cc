// SPDX-License-Identifier: Apache-2.0
//
// duckdb_lake_scan: what a lake function does when Postgres's executor calls it: it reads its files, whatever its arguments
// come from and wherever it stands. The planner spares it where it can (lake_plan.cc).
#include "lake_access.h"
#include "lake_columns.h"
#include "lake_run.h"

extern "C" {
#include "funcapi.h"
#include "miscadmin.h"

PG_FUNCTION_INFO_V1(duckdb_lake_scan);
}

Datum duckdb_lake_scan(PG_FUNCTION_ARGS) {
    using namespace ivy::duck;
    auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
    if (!result || !IsA(result, ReturnSetInfo) || !(result->allowedModes & SFRM_Materialize)) {
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("set-valued function called in context that cannot accept a set")));
    }
    const LakeFunction* function = LookupLakeFunction(fcinfo->flinfo->fn_oid);
    Datum values[FUNC_MAX_ARGS];
    bool nulls[FUNC_MAX_ARGS];
    for (int i = 0; i < fcinfo->nargs; i++) {
        values[i] = PG_GETARG_DATUM(i);
        nulls[i] = PG_ARGISNULL(i);
    }
    const LakeCall* call = MakeLakeCall(function, values, nulls);
    CheckLakeAccess(call->paths, LakeAccess::kRead);

    Oid type;
    TupleDesc desc;
    const TypeFuncClass kind = get_call_result_type(fcinfo, &type, &desc);
    if (kind == TYPEFUNC_SCALAR && type != LakeRowType()) {
        ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                        errmsg("\"row_type\" of %s must be of a composite type", function->reader->sql_name)));
    }
    if (kind == TYPEFUNC_RECORD) desc = result->expectedDesc;
    if (kind != TYPEFUNC_SCALAR && !desc) {
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("function returning record called in context that cannot accept type record"),
                        errhint("Call it in FROM, with a column definition list.")));
    }
    MemoryContext before = MemoryContextSwitchTo(result->econtext->ecxt_per_query_memory);
    if (kind == TYPEFUNC_SCALAR) {
        desc = CreateTemplateTupleDesc(1);
        TupleDescInitEntry(desc, 1, "row", type, -1, 0);
    } else {
        desc = CreateTupleDescCopy(desc);
    }
    Tuplestorestate* store = tuplestore_begin_heap(result->allowedModes & SFRM_Materialize_Random, false, work_mem);
    MemoryContextSwitchTo(before);
    const LakeTable* table = kind == TYPEFUNC_SCALAR ? BindLakeRows(call, type) : BindLakeTable(call, desc);
    ReadLakeTable(table, desc, store);
    result->returnMode = SFRM_Materialize;
    result->setResult = store;
    result->setDesc = desc;
    return 0;
}
