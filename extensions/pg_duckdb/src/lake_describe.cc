// SPDX-License-Identifier: Apache-2.0
//
// mooncake.describe and mooncake.create_view: the columns of files as a result, and as a view that names them and their
// types, so that the file need not be asked when the view is planned by tools, dumped or restored.
#include "lake_access.h"
#include "lake_columns.h"

extern "C" {
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "parser/parse_type.h"
#include "utils/catcache.h"
#include "utils/jsonb.h"
#include "utils/varlena.h"

PG_FUNCTION_INFO_V1(duckdb_lake_describe);
PG_FUNCTION_INFO_V1(duckdb_lake_create_view);
}

namespace ivy::duck {

namespace {

bool EndsWith(const char* path, const char* suffix) {
    const size_t length = strlen(path), tail = strlen(suffix);
    return length >= tail && pg_strcasecmp(path + length - tail, suffix) == 0;
}

// The lake function for a path, by its ending; compressed text formats keep theirs before it.
const char* FunctionForPath(const char* path) {
    char* stem = pstrdup(path);
    for (const char* packed : {".gz", ".zst", ".bz2"}) {
        if (EndsWith(stem, packed)) stem[strlen(stem) - strlen(packed)] = '\0';
    }
    if (EndsWith(stem, ".metadata.json")) return "iceberg_scan";
    for (const char* suffix : {".parquet", ".parq"}) {
        if (EndsWith(stem, suffix)) return "read_parquet";
    }
    for (const char* suffix : {".csv", ".tsv", ".txt"}) {
        if (EndsWith(stem, suffix)) return "read_csv";
    }
    for (const char* suffix : {".json", ".jsonl", ".ndjson"}) {
        if (EndsWith(stem, suffix)) return "read_json";
    }
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("format of \"%s\" is not known from its name", path),
             errhint("Say it with format => 'parquet', 'csv', 'json', 'iceberg' or 'delta'.")));
    pg_unreachable();
}

const char* FunctionForFormat(const char* format) {
    constexpr const char* kFormats[][2] = {{"parquet", "read_parquet"},
                                           {"csv", "read_csv"},
                                           {"json", "read_json"},
                                           {"iceberg", "iceberg_scan"},
                                           {"delta", "delta_scan"}};
    for (const auto& [name, function] : kFormats) {
        if (pg_strcasecmp(format, name) == 0) return function;
    }
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("format \"%s\" is not known", format),
                    errhint("Formats are parquet, csv, json, iceberg and delta.")));
    pg_unreachable();
}

// The lake function of that name that takes one path.
const LakeFunction* FunctionByName(const char* name) {
    CatCList* list = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(name));
    Oid found = InvalidOid;
    for (int i = 0; i < list->n_members; i++) {
        auto* row = reinterpret_cast<Form_pg_proc>(GETSTRUCT(&list->members[i]->tuple));
        if (row->pronargs > 0 && row->proargtypes.values[0] == TEXTOID && IsLakeFunction(row->oid)) found = row->oid;
    }
    ReleaseSysCacheList(list);
    if (!OidIsValid(found)) {
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION), errmsg("function %s does not exist", name)));
    }
    return LookupLakeFunction(found);
}

// A value of a JSON object as text that an option's type reads.
char* OptionInput(JsonbValue* value, Oid type) {
    if (value->type == jbvString && type != JSONBOID) return pnstrdup(value->val.string.val, value->val.string.len);
    Datum json = JsonbPGetDatum(JsonbValueToJsonb(value));
    if (type != TEXTARRAYOID) return DatumGetCString(DirectFunctionCall1(jsonb_out, json));
    // A list of texts, by the server's own cast of its elements.
    StringInfoData array;
    initStringInfo(&array);
    appendStringInfoChar(&array, '{');
    JsonbIterator* iterator = JsonbIteratorInit(&DatumGetJsonbP(json)->root);
    JsonbValue element;
    JsonbIteratorToken token;
    bool first = true;
    while ((token = JsonbIteratorNext(&iterator, &element, true)) != WJB_DONE) {
        if (token != WJB_ELEM) continue;
        const char* input = OptionInput(&element, TEXTOID);
        appendStringInfo(&array, "%s\"", first ? "" : ",");
        for (; *input; input++) {
            if (*input == '"' || *input == '\\') appendStringInfoChar(&array, '\\');
            appendStringInfoChar(&array, *input);
        }
        appendStringInfoChar(&array, '"');
        first = false;
    }
    appendStringInfoChar(&array, '}');
    return array.data;
}

struct Described {
    const LakeFunction* function;
    const LakeCall* call;
    List* columns;  // FileColumn*
    char* options;  // ", name => 'value'" for SQL
};

// Arguments: path text, format text, options jsonb.
Described Describe(const char* path, const char* format, Jsonb* options) {
    Described result{};
    result.function = FunctionByName(format ? FunctionForFormat(format) : FunctionForPath(path));
    const LakeFunction* function = result.function;
    Datum values[FUNC_MAX_ARGS] = {CStringGetTextDatum(path)};
    bool nulls[FUNC_MAX_ARGS] = {false};
    for (int i = 1; i < function->nargs; i++) nulls[i] = true;
    StringInfoData text_form;
    initStringInfo(&text_form);
    if (options) {
        JsonbIterator* iterator = JsonbIteratorInit(&options->root);
        JsonbValue value;
        if (JsonbIteratorNext(&iterator, &value, true) != WJB_BEGIN_OBJECT) {
            ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("options must be a JSON object")));
        }
        JsonbIteratorToken token;
        while ((token = JsonbIteratorNext(&iterator, &value, true)) == WJB_KEY) {
            char* name = pnstrdup(value.val.string.val, value.val.string.len);
            JsonbIteratorNext(&iterator, &value, true);
            int at = 1;
            while (at < function->nargs - 1 && strcmp(function->names[at], name) != 0) at++;
            if (at == function->nargs - 1) {
                ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                                errmsg("%s has no option \"%s\"", function->reader->sql_name, name)));
            }
            if (value.type == jbvNull) continue;
            char* input = OptionInput(&value, function->types[at]);
            Oid reader, parameter;
            getTypeInputInfo(function->types[at], &reader, &parameter);
            values[at] = OidInputFunctionCall(reader, input, parameter, -1);
            nulls[at] = false;
            appendStringInfo(&text_form, ", %s => %s", quote_identifier(name), quote_literal_cstr(input));
        }
    }
    result.options = text_form.data;
    result.call = MakeLakeCall(function, values, nulls);
    CheckLakeCall(function->oid, result.call->paths);
    result.columns = DescribeFiles(result.call);
    return result;
}

Described DescribeArguments(FunctionCallInfo fcinfo, int first) {
    if (PG_ARGISNULL(first)) {
        ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("path must not be null")));
    }
    const char* path = text_to_cstring(PG_GETARG_TEXT_PP(first));
    const char* format = PG_ARGISNULL(first + 1) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(first + 1));
    return Describe(path, format, PG_ARGISNULL(first + 2) ? nullptr : PG_GETARG_JSONB_P(first + 2));
}

}  // namespace

}  // namespace ivy::duck

Datum duckdb_lake_describe(PG_FUNCTION_ARGS) {
    using namespace ivy::duck;
    InitMaterializedSRF(fcinfo, 0);
    auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
    const Described described = DescribeArguments(fcinfo, 0);
    ListCell* cell;
    foreach (cell, described.columns) {
        const auto* column = static_cast<FileColumn*>(lfirst(cell));
        Datum values[] = {CStringGetTextDatum(column->name),
                          CStringGetTextDatum(format_type_with_typemod(column->type, column->typmod)),
                          CStringGetTextDatum(column->duck_type)};
        bool nulls[] = {false, false, false};
        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    }
    return 0;
}

Datum duckdb_lake_create_view(PG_FUNCTION_ARGS) {
    using namespace ivy::duck;
    if (PG_ARGISNULL(0))
        ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("view name must not be null")));
    const RangeVar* view = makeRangeVarFromNameList(textToQualifiedNameList(PG_GETARG_TEXT_PP(0)));
    const Described described = DescribeArguments(fcinfo, 1);
    StringInfoData sql;
    initStringInfo(&sql);
    const Oid schema = get_func_namespace(described.function->oid);
    appendStringInfo(&sql, "CREATE VIEW %s AS SELECT * FROM %s(%s%s) AS (",
                     quote_qualified_identifier(view->schemaname, view->relname),
                     quote_qualified_identifier(get_namespace_name(schema), described.function->reader->sql_name),
                     quote_literal_cstr(static_cast<char*>(linitial(described.call->paths))), described.options);
    bool first = true;
    ListCell* cell;
    foreach (cell, described.columns) {
        const auto* column = static_cast<FileColumn*>(lfirst(cell));
        appendStringInfo(
            &sql, "%s%s %s", first ? "" : ", ", quote_identifier(column->name),
            format_type_extended(column->type, column->typmod, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));
        first = false;
    }
    appendStringInfoChar(&sql, ')');
    SPI_connect();
    const int done = SPI_execute(sql.data, false, 0);
    if (done < 0) elog(ERROR, "could not create the view: %s", SPI_result_code_string(done));
    SPI_finish();
    PG_RETURN_VOID();
}
