// SPDX-License-Identifier: Apache-2.0
// Lake functions: from pg_proc and argument values to text for the engine.
#include "lake_function.h"

extern "C" {
#include "catalog/namespace.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "utils/array.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
}

namespace ivy::duck {

namespace {

constexpr char kSymbol[] = "duckdb_lake_scan";

constexpr LakeReader kReaders[] = {
    {"read_parquet", "read_parquet", LakeFormat::kParquet, true},
    {"read_csv", "read_csv", LakeFormat::kCsv, true},
    {"read_json", "read_json", LakeFormat::kJson, true},
    {"iceberg_scan", "ivy_iceberg_scan", LakeFormat::kTable, false},
    {"iceberg_metadata", "ivy_iceberg_metadata", LakeFormat::kTable, false},
    {"iceberg_snapshots", "ivy_iceberg_snapshots", LakeFormat::kTable, false},
    {"delta_scan", "ivy_delta_scan", LakeFormat::kTable, false},
};

[[noreturn]] void RaiseNullPath(const LakeFunction* function) {
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                    errmsg("path of %s must not be null", function->reader->sql_name)));
    pg_unreachable();
}

void CheckPath(const LakeFunction* function, const char* path) {
    if (*path != '\0') return;
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("path of %s must not be empty", function->reader->sql_name)));
}

List* PathsOf(const LakeFunction* function, Datum value) {
    if (function->types[0] != TEXTARRAYOID) {
        char* path = TextDatumGetCString(value);
        CheckPath(function, path);
        return list_make1(path);
    }
    Datum* elements;
    bool* nulls;
    int count;
    deconstruct_array_builtin(DatumGetArrayTypeP(value), TEXTOID, &elements, &nulls, &count);
    List* paths = NIL;
    for (int i = 0; i < count; i++) {
        if (nulls[i]) RaiseNullPath(function);
        char* path = TextDatumGetCString(elements[i]);
        CheckPath(function, path);
        paths = lappend(paths, path);
    }
    if (paths == NIL) {
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("list of paths of %s must not be empty", function->reader->sql_name)));
    }
    return paths;
}

// --- option values ---------------------------------------------------------------------------------------------------

void AppendJson(StringInfo out, JsonbIterator** iterator, JsonbIteratorToken token, JsonbValue* value) {
    switch (token) {
        case WJB_BEGIN_ARRAY: {
            const bool scalar = value->val.array.rawScalar;
            if (!scalar) appendStringInfoChar(out, '[');
            bool first = true;
            while ((token = JsonbIteratorNext(iterator, value, false)) != WJB_END_ARRAY) {
                if (!first) appendStringInfoString(out, ", ");
                first = false;
                AppendJson(out, iterator, token, value);
            }
            if (!scalar) appendStringInfoChar(out, ']');
            return;
        }
        case WJB_BEGIN_OBJECT: {
            appendStringInfoChar(out, '{');
            bool first = true;
            while ((token = JsonbIteratorNext(iterator, value, false)) != WJB_END_OBJECT) {
                if (!first) appendStringInfoString(out, ", ");
                first = false;
                appendStringInfo(out, "%s: ", LakeLiteral(pnstrdup(value->val.string.val, value->val.string.len)));
                token = JsonbIteratorNext(iterator, value, false);
                AppendJson(out, iterator, token, value);
            }
            appendStringInfoChar(out, '}');
            return;
        }
        default: break;
    }
    switch (value->type) {
        case jbvString:
            appendStringInfoString(out, LakeLiteral(pnstrdup(value->val.string.val, value->val.string.len)));
            break;
        case jbvNumeric:
            appendStringInfoString(
                out, DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric))));
            break;
        case jbvBool: appendStringInfoString(out, value->val.boolean ? "true" : "false"); break;
        default: appendStringInfoString(out, "NULL");
    }
}

// A value of one of the types that options are declared with, as a DuckDB literal.
const char* OptionText(Oid type, Datum value) {
    StringInfoData out;
    switch (type) {
        case BOOLOID: return DatumGetBool(value) ? "true" : "false";
        case INT4OID: return psprintf("%d", DatumGetInt32(value));
        case INT8OID: return psprintf(INT64_FORMAT, DatumGetInt64(value));
        case FLOAT8OID: return psprintf("%s", DatumGetCString(DirectFunctionCall1(float8out, value)));
        case TEXTOID: return LakeLiteral(TextDatumGetCString(value));
        case TIMESTAMPTZOID:
            return psprintf(
                "make_timestamptz(CAST(" INT64_FORMAT " AS BIGINT))",
                DatumGetTimestampTz(value) + int64{POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE} * USECS_PER_DAY);
        case TEXTARRAYOID: {
            Datum* elements;
            bool* nulls;
            int count;
            deconstruct_array_builtin(DatumGetArrayTypeP(value), TEXTOID, &elements, &nulls, &count);
            initStringInfo(&out);
            for (int i = 0; i < count; i++) {
                appendStringInfo(&out, "%s%s", i == 0 ? "[" : ", ",
                                 nulls[i] ? "NULL" : LakeLiteral(TextDatumGetCString(elements[i])));
            }
            appendStringInfoString(&out, count == 0 ? "[]" : "]");
            return out.data;
        }
        case JSONBOID: {
            Jsonb* json = DatumGetJsonbP(value);
            JsonbIterator* iterator = JsonbIteratorInit(&json->root);
            JsonbValue current;
            initStringInfo(&out);
            const JsonbIteratorToken token = JsonbIteratorNext(&iterator, &current, false);
            AppendJson(&out, &iterator, token, &current);
            return out.data;
        }
        default: elog(ERROR, "lake function has an option of type %s", format_type_be(type));
    }
}

char* Quoted(const char* text, char quote) {
    const char* utf8 = pg_server_to_any(text, static_cast<int>(strlen(text)), PG_UTF8);
    StringInfoData out;
    initStringInfo(&out);
    appendStringInfoChar(&out, quote);
    for (const char* at = utf8; *at; at++) {
        if (*at == quote) appendStringInfoChar(&out, quote);
        appendStringInfoChar(&out, *at);
    }
    appendStringInfoChar(&out, quote);
    return out.data;
}

bool SameOption(const LakeOption* option, List* among) {
    ListCell* cell;
    foreach (cell, among) {
        if (strcmp(static_cast<LakeOption*>(lfirst(cell))->name, option->name) == 0) return true;
    }
    return false;
}

}  // namespace

const LakeReader* FindLakeReader(const char* sql_name) {
    for (const LakeReader& reader : kReaders) {
        if (strcmp(reader.sql_name, sql_name) == 0) return &reader;
    }
    return nullptr;
}

bool IsLakeFunction(Oid function) {
    if (function < FirstNormalObjectId) return false;
    HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
    if (!HeapTupleIsValid(tuple)) return false;
    bool found = false;
    if (reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple))->prolang == ClanguageId) {
        char* symbol = TextDatumGetCString(SysCacheGetAttrNotNull(PROCOID, tuple, Anum_pg_proc_prosrc));
        found = strcmp(symbol, kSymbol) == 0;
        pfree(symbol);
    }
    ReleaseSysCache(tuple);
    return found;
}

const LakeFunction* LookupLakeFunction(Oid function) {
    HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
    if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for function %u", function);
    auto* found = static_cast<LakeFunction*>(palloc0(sizeof(LakeFunction)));
    const char* name = NameStr(reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple))->proname);
    found->reader = FindLakeReader(name);
    if (!found->reader) elog(ERROR, "function \"%s\" is none of the readers of files", name);
    Oid* types;
    char* modes;
    found->oid = function;
    found->nargs = get_func_arg_info(tuple, &types, &found->names, &modes);
    found->types = types;
    ReleaseSysCache(tuple);
    return found;
}

namespace {

Oid TypeInSchema(const char* name) {
    const Oid schema = get_namespace_oid("mooncake", true);
    if (!OidIsValid(schema)) return InvalidOid;
    return GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum(name), ObjectIdGetDatum(schema));
}

}  // namespace

Oid LakeRowType() { return TypeInSchema("lake_row"); }

Oid LakeColumnsType() { return TypeInSchema("lake_columns"); }

LakeCall* MakeLakeCall(const LakeFunction* function, const Datum* values, const bool* nulls) {
    if (nulls[0]) RaiseNullPath(function);
    auto* call = static_cast<LakeCall*>(palloc0(sizeof(LakeCall)));
    call->function = function->oid;
    call->reader = function->reader;
    call->paths = PathsOf(function, values[0]);
    for (int i = 1; i < function->nargs - 1; i++) {
        if (nulls[i]) continue;
        auto* option = static_cast<LakeOption*>(palloc(sizeof(LakeOption)));
        // "timestamp" can't be an argument's name.
        option->name = strcmp(function->names[i], "as_of") == 0 ? "timestamp" : function->names[i];
        option->text = OptionText(function->types[i], values[i]);
        call->options = lappend(call->options, option);
    }
    return call;
}

LakeCall* LakeCallOfConstants(const FuncExpr* call) {
    const LakeFunction* function = LookupLakeFunction(call->funcid);
    if (list_length(call->args) != function->nargs) return nullptr;
    Datum values[FUNC_MAX_ARGS];
    bool nulls[FUNC_MAX_ARGS];
    for (int i = 0; i < function->nargs - 1; i++) {
        const auto* argument = static_cast<const Node*>(list_nth(call->args, i));
        if (!IsA(argument, Const)) return nullptr;
        values[i] = reinterpret_cast<const Const*>(argument)->constvalue;
        nulls[i] = reinterpret_cast<const Const*>(argument)->constisnull;
    }
    return MakeLakeCall(function, values, nulls);
}

void CompleteLakeCall(FuncExpr* call) {
    const LakeFunction* function = LookupLakeFunction(call->funcid);
    Node* arguments[FUNC_MAX_ARGS] = {};
    int position = 0;
    ListCell* cell;
    foreach (cell, call->args) {
        auto* argument = static_cast<Node*>(lfirst(cell));
        if (IsA(argument, NamedArgExpr)) {
            auto* named = reinterpret_cast<NamedArgExpr*>(argument);
            arguments[named->argnumber] = reinterpret_cast<Node*>(named->arg);
        } else {
            arguments[position++] = argument;
        }
    }
    call->args = NIL;
    for (int i = 0; i < function->nargs; i++) {
        const Oid type = i == function->nargs - 1 ? call->funcresulttype : function->types[i];
        if (!arguments[i]) arguments[i] = reinterpret_cast<Node*>(makeNullConst(type, -1, get_typcollation(type)));
        call->args = lappend(call->args, arguments[i]);
    }
}

char* LakeLiteral(const char* text) { return Quoted(text, '\''); }

char* LakeIdentifier(const char* name) { return Quoted(name, '"'); }

char* LakeCallText(const LakeCall* call, List* overrides) {
    StringInfoData out;
    initStringInfo(&out);
    appendStringInfo(&out, "%s(", call->reader->engine_name);
    if (call->reader->lists) {
        const char* separator = "[";
        ListCell* cell;
        foreach (cell, call->paths) {
            appendStringInfo(&out, "%s%s", separator, LakeLiteral(static_cast<char*>(lfirst(cell))));
            separator = ", ";
        }
        appendStringInfoChar(&out, ']');
    } else {
        appendStringInfoString(&out, LakeLiteral(static_cast<char*>(linitial(call->paths))));
    }
    ListCell* cell;
    foreach (cell, call->options) {
        const auto* option = static_cast<LakeOption*>(lfirst(cell));
        if (!SameOption(option, overrides))
            appendStringInfo(&out, ", %s = %s", LakeIdentifier(option->name), option->text);
    }
    foreach (cell, overrides) {
        const auto* option = static_cast<LakeOption*>(lfirst(cell));
        appendStringInfo(&out, ", %s = %s", LakeIdentifier(option->name), option->text);
    }
    appendStringInfoChar(&out, ')');
    return out.data;
}

char* LakeCallName(const LakeCall* call) {
    return psprintf("%s('%s'%s)", call->reader->sql_name, static_cast<char*>(linitial(call->paths)),
                    list_length(call->paths) > 1 ? ", ..." : "");
}

}  // namespace ivy::duck
