// SPDX-License-Identifier: Apache-2.0
//
// SQL functions that show what the translator makes of a query, for the suite in this folder and for people. Relations in
// schema "mirror" count as mirrors; no engine is needed.
#include "pg/postgres_api.h"

extern "C" {
#include "nodes/params.h"
#include "parser/analyze.h"
#include "portability/instr_time.h"
#include "tcop/tcopprot.h"
#include "utils/ruleutils.h"

PG_MODULE_MAGIC;
PG_FUNCTION_INFO_V1(ivy_translate);
PG_FUNCTION_INFO_V1(ivy_split);
PG_FUNCTION_INFO_V1(ivy_translate_micros);
PG_FUNCTION_INFO_V1(ivy_literal);
}

#include "protocol/column_chunk.h"
#include "translate/translate.h"

namespace {

using ivy::translate::Split;
using ivy::translate::Translation;

bool IsMirror(Oid relid) {
    const char* schema = get_namespace_name(get_rel_namespace(relid));
    return schema != nullptr && strcmp(schema, "mirror") == 0;
}

Query* Analyse(const char* sql) {
    List* raw = pg_parse_query(sql);
    if (list_length(raw) != 1)
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("one statement expected"));
    Oid* types = nullptr;
    int count = 0;
    List* queries = pg_analyze_and_rewrite_varparams(linitial_node(RawStmt, raw), sql, &types, &count, nullptr);
    return linitial_node(Query, queries);
}

void Describe(const Translation* translation, StringInfo out) {
    if (!translation->ok) {
        foreach_node (String, reason, translation->reasons) appendStringInfo(out, "not shipped: %s\n", strVal(reason));
        return;
    }
    appendStringInfo(out, "%s\n", translation->sql);
    int index = 0;
    foreach_ptr (Query, query, translation->row_queries) {
        appendStringInfo(out, "rows %d:%s%s\n", index++, " ", pg_get_querydef(query, false));
    }
    index = 0;
    foreach_ptr (Node, value, translation->values) {
        appendStringInfo(out, "value %d: %s\n", index++, deparse_expression(value, NIL, false, false));
    }
}

}  // namespace

extern "C" {

PGDLLEXPORT Datum ivy_translate(PG_FUNCTION_ARGS) {
    StringInfoData out;
    initStringInfo(&out);
    Describe(ivy::translate::TranslateQuery(Analyse(text_to_cstring(PG_GETARG_TEXT_PP(0))), IsMirror), &out);
    PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, Max(out.len - 1, 0)));
}

PGDLLEXPORT Datum ivy_split(PG_FUNCTION_ARGS) {
    const Split* split = ivy::translate::SplitQuery(Analyse(text_to_cstring(PG_GETARG_TEXT_PP(0))), IsMirror);
    if (split == nullptr) PG_RETURN_NULL();
    StringInfoData out;
    initStringInfo(&out);
    Describe(split->inner, &out);
    appendStringInfo(&out, "outer:%s%s", " ", pg_get_querydef(split->outer, false));
    PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}

// The mean time of a translation in microseconds, analysis not included.
PGDLLEXPORT Datum ivy_translate_micros(PG_FUNCTION_ARGS) {
    Query* query = Analyse(text_to_cstring(PG_GETARG_TEXT_PP(0)));
    const int runs = PG_GETARG_INT32(1);
    instr_time start;
    instr_time end;
    INSTR_TIME_SET_CURRENT(start);
    for (int i = 0; i < runs; i++) ivy::translate::TranslateQuery(query, IsMirror);
    INSTR_TIME_SET_CURRENT(end);
    INSTR_TIME_SUBTRACT(end, start);
    PG_RETURN_FLOAT8(INSTR_TIME_GET_MICROSEC(end) / static_cast<double>(Max(runs, 1)));
}

PGDLLEXPORT Datum ivy_literal(PG_FUNCTION_ARGS) {
    const Oid type = get_fn_expr_argtype(fcinfo->flinfo, 0);
    const bool isnull = PG_ARGISNULL(0);
    const char* literal =
        ivy::translate::LiteralFor(type, -1, isnull ? static_cast<Datum>(0) : PG_GETARG_DATUM(0), isnull);
    if (literal == nullptr) PG_RETURN_NULL();
    PG_RETURN_TEXT_P(cstring_to_text(literal));
}

}  // extern "C"
