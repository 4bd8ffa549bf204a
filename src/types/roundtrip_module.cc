// SPDX-License-Identifier: Apache-2.0
//
// A module for tests only: SQL functions that take a value through a column chunk and back, as a mirror does.
//
//   CREATE FUNCTION roundtrip(anyelement, typmod int DEFAULT -1) RETURNS anyelement LANGUAGE c AS 'ivy_types_test';
//   CREATE FUNCTION column_type(regtype, typmod int) RETURNS text LANGUAGE c AS 'ivy_types_test';
//
// roundtrip returns NULL for a value that can't be stored.
#include "pg/guard.h"
#include "types/type_map.h"

extern "C" {
#include "utils/datum.h"

PG_MODULE_MAGIC;
PG_FUNCTION_INFO_V1(roundtrip);
PG_FUNCTION_INFO_V1(column_type);
}

namespace {

using namespace ivy;

struct Buffers {
    ColumnChunkBuilder builder;
    Bytes bytes;
    ColumnChunkView view;
};

}  // namespace

Datum roundtrip(PG_FUNCTION_ARGS) {
    if (PG_ARGISNULL(0)) PG_RETURN_NULL();
    const Oid type = get_fn_expr_argtype(fcinfo->flinfo, 0);
    const int32 typmod = PG_ARGISNULL(1) ? -1 : PG_GETARG_INT32(1);
    types::DatumWriter writer;
    types::InitDatumWriter(&writer, type, typmod);
    auto* buffers = pg::OwnObject<Buffers>(CurrentMemoryContext);
    pg::Guard([&] { buffers->builder = ColumnChunkBuilder({writer.mapping.column}); });
    const bool stored = writer.write(&writer, PG_GETARG_DATUM(0), &buffers->builder.column(0));
    pg::Guard([&]() -> Status {
        ByteWriter out;
        buffers->builder.Write(&out);
        buffers->bytes = out.Take();
        ByteReader in(buffers->bytes);
        IVY_ASSIGN_OR_RETURN(buffers->view, ColumnChunkView::Read(&in));
        return in.Finish("chunk");
    });
    const ColumnView* column = &buffers->view.columns[0];
    if (stored == column->IsNull(0)) elog(ERROR, "a value that was not stored must be NULL, and no other");
    if (!stored) PG_RETURN_NULL();
    types::DatumReader reader;
    types::InitDatumReader(&reader, type, typmod, column->type);
    const Datum result = reader.read(&reader, column, 0);
    int16 length;
    bool by_value;
    get_typlenbyval(type, &length, &by_value);
    return datumCopy(result, by_value, length);
}

Datum column_type(PG_FUNCTION_ARGS) {
    const types::TypeMapping mapping = types::LookupType(PG_GETARG_OID(0), PG_GETARG_INT32(1));
    static const char* const kForms[] = {"exact", "almost", "text form"};
    char* name = pg::Guard([&] {
        const std::string duck = mapping.column.DuckName();
        auto* copy = static_cast<char*>(palloc_extended(duck.size() + 1, MCXT_ALLOC_NO_OOM));
        if (copy) strcpy(copy, duck.c_str());
        return copy;
    });
    if (!name) elog(ERROR, "out of memory");
    PG_RETURN_TEXT_P(cstring_to_text(psprintf("%s, %s", name, kForms[static_cast<int>(mapping.form)])));
}
