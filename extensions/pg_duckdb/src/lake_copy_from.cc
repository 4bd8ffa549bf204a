// SPDX-License-Identifier: Apache-2.0
// COPY FROM Parquet and JSON files: columns by name.
#include "lake_copy.h"

extern "C" {
#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/copy.h"
#include "commands/defrem.h"
#include "executor/executor.h"
#include "nodes/value.h"
#include "parser/parser.h"
#include "tcop/tcopprot.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
}

namespace ivy::duck {

namespace {

// The columns to fill, as "a, b" in *names and "a integer, b text" in *declared.
void TargetColumns(const CopyStmt* copy, Oid relid, StringInfo names, StringInfo declared) {
    Relation relation = table_open(relid, NoLock);
    TupleDesc desc = RelationGetDescr(relation);
    ListCell* cell;
    foreach (cell, CopyGetAttnums(desc, relation, copy->attlist)) {
        const FormData_pg_attribute* attribute = TupleDescAttr(desc, lfirst_int(cell) - 1);
        const char* comma = names->len ? ", " : "";
        const char* name = quote_identifier(NameStr(attribute->attname));
        appendStringInfo(names, "%s%s", comma, name);
        appendStringInfo(declared, "%s%s %s", comma, name,
                         format_type_extended(attribute->atttypid, attribute->atttypmod,
                                              FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));
    }
    table_close(relation, NoLock);
}

// Runs the INSERT ... SELECT in "sql" with a condition (raw, or null) for the SELECT. Returns the number of rows.
uint64 RunInsert(const char* sql, Node* condition) {
    RawStmt* raw = linitial_node(RawStmt, raw_parser(sql, RAW_PARSE_DEFAULT));
    auto* select = castNode(SelectStmt, castNode(InsertStmt, raw->stmt)->selectStmt);
    select->whereClause = static_cast<Node*>(copyObjectImpl(condition));
    uint64 rows = 0;
    ListCell* cell;
    foreach (cell, pg_analyze_and_rewrite_fixedparams(raw, sql, nullptr, 0, nullptr)) {  // rules may add statements
        PushCopiedSnapshot(GetActiveSnapshot());
        UpdateActiveSnapshotCommandId();
        PlannedStmt* plan = pg_plan_query(lfirst_node(::Query, cell), sql, CURSOR_OPT_PARALLEL_OK, nullptr);
        QueryDesc* run = CreateQueryDesc(plan, sql, GetActiveSnapshot(), nullptr, None_Receiver, nullptr, nullptr, 0);
        ExecutorStart(run, 0);
        ExecutorRun(run, ForwardScanDirection, 0);
        if (plan->canSetTag) rows = run->estate->es_processed;
        ExecutorFinish(run);
        ExecutorEnd(run);
        FreeQueryDesc(run);
        PopActiveSnapshot();
        CommandCounterIncrement();
    }
    return rows;
}

void DescribeCopy(void* arg) {
    const auto* copy = static_cast<const CopyStmt*>(arg);
    errcontext("COPY %s, file \"%s\"", copy->relation->relname, copy->filename);
}

}  // namespace

uint64 CopyFromFile(const CopyStmt* copy, CopyFormat format) {
    const Oid relid = RangeVarGetRelid(copy->relation, RowExclusiveLock, false);
    StringInfoData names, declared, sql;
    initStringInfo(&names);
    initStringInfo(&declared);
    initStringInfo(&sql);
    TargetColumns(copy, relid, &names, &declared);
    const char* reader = format == CopyFormat::kParquet ? "read_parquet" : "read_json";
    appendStringInfo(&sql, "INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM mooncake.%s(%s",
                     quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), get_rel_name(relid)),
                     names.data, names.data, reader, quote_literal_cstr(copy->filename));
    ListCell* cell;
    foreach (cell, copy->options) {
        auto* option = lfirst_node(DefElem, cell);
        if (strcmp(option->defname, "format") == 0) continue;
        appendStringInfo(&sql, ", %s => %s", quote_identifier(option->defname),
                         quote_literal_cstr(option->arg ? defGetString(option) : "true"));
    }
    appendStringInfo(&sql, ") AS (%s)", declared.data);
    ErrorContextCallback callback{error_context_stack, DescribeCopy, const_cast<CopyStmt*>(copy)};
    error_context_stack = &callback;
    const uint64 rows = RunInsert(sql.data, copy->whereClause);
    error_context_stack = callback.previous;
    return rows;
}

}  // namespace ivy::duck
