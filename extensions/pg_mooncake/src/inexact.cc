// SPDX-License-Identifier: Apache-2.0
//
// mooncake.count_inexact(dst, column_name): how many values of a column the mirror's format can't hold, as of the
// query's snapshot and for what the caller may read. The engine only knows that there was one; so the source is read,
// and each value converted as a copy would. When there are none left, rebuild_table gives the column back to the
// engine.
#include "pg/postgres_api.h"

extern "C" {
#include "catalog/namespace.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"
}

#include "catalog.h"
#include "mirror_relation.h"
#include "pg/guard.h"
#include "types/type_map.h"

namespace ivy::mooncake {
namespace {

constexpr int kBatchRows = 1000;

int64 CountInexact(Oid relid, const char* column, int numeric_scale) {
    StringInfoData query;
    initStringInfo(&query);
    const char* name = quote_identifier(column);
    appendStringInfo(&query, "SELECT %s FROM %s WHERE %s IS NOT NULL", name,
                     quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), get_rel_name(relid)),
                     name);
    SPIPlanPtr plan = SPI_prepare(query.data, 0, nullptr);
    if (!plan) elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
    Portal portal = SPI_cursor_open(nullptr, plan, nullptr, nullptr, true);

    types::DatumWriter writer;
    ColumnBuilder* values = nullptr;
    int64 count = 0;
    MemoryContext batch = AllocSetContextCreate(CurrentMemoryContext, "values", ALLOCSET_DEFAULT_SIZES);
    for (;;) {
        CHECK_FOR_INTERRUPTS();
        SPI_cursor_fetch(portal, true, kBatchRows);
        if (SPI_processed == 0) break;
        TupleDesc desc = SPI_tuptable->tupdesc;
        if (!values) {
            types::InitDatumWriter(&writer, SPI_gettypeid(desc, 1), TupleDescAttr(desc, 0)->atttypmod, numeric_scale);
            values = pg::OwnObject<ColumnBuilder>(CurrentMemoryContext, writer.mapping.column);
        }
        MemoryContext caller = MemoryContextSwitchTo(batch);
        for (uint64 i = 0; i < SPI_processed; i++) {
            bool null;
            const Datum value = SPI_getbinval(SPI_tuptable->vals[i], desc, 1, &null);
            if (!null && !writer.write(&writer, value, values)) count++;
            pg::Guard([&] { values->Clear(); });
        }
        MemoryContextSwitchTo(caller);
        MemoryContextReset(batch);
        SPI_freetuptable(SPI_tuptable);
    }
    SPI_cursor_close(portal);
    return count;
}

}  // namespace
}  // namespace ivy::mooncake

extern "C" {

PG_FUNCTION_INFO_V1(mooncake_count_inexact);
Datum mooncake_count_inexact(PG_FUNCTION_ARGS) {
    using namespace ivy::mooncake;
    RangeVar* name = makeRangeVarFromNameList(textToQualifiedNameList(PG_GETARG_TEXT_PP(0)));
    const Oid mirror = RangeVarGetRelid(name, AccessShareLock, false);
    const MirrorRow* row = HasMirrorAccessMethod(mirror) ? FindMirror(mirror) : nullptr;
    if (!row) ereport(ERROR, errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" is not a mirror", name->relname));
    if (SPI_connect() != SPI_OK_CONNECT) elog(ERROR, "SPI_connect failed");
    const char* column = text_to_cstring(PG_GETARG_TEXT_PP(1));
    const int64 count = CountInexact(row->source, column, NumericScaleOf(row->options, column));
    SPI_finish();
    PG_RETURN_INT64(count);
}
}
