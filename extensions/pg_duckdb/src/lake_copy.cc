// SPDX-License-Identifier: Apache-2.0
// COPY by the engine: which statements, and what they become.
#include "lake_copy.h"

#include "engine_query.h"
#include "lake_access.h"
#include "lake_arguments.h"
#include "lake_function.h"
#include "lake_run.h"
#include "row_upload.h"

extern "C" {
#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/defrem.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/value.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
}

namespace ivy::duck {

namespace {

ProcessUtility_hook_type previous_utility;

// --- which COPY ------------------------------------------------------------------------------------------------------

enum class CopyFormat : uint8_t { kServer, kParquet, kCsv, kJson };

bool EndsWith(const char* path, const char* suffix) {
    const size_t length = strlen(path), tail = strlen(suffix);
    return length >= tail && pg_strcasecmp(path + length - tail, suffix) == 0;
}

CopyFormat FormatOf(const CopyStmt* copy) {
    if (!copy->filename || copy->is_program) return CopyFormat::kServer;
    const char* format = nullptr;
    ListCell* cell;
    foreach (cell, copy->options) {
        auto* option = lfirst_node(DefElem, cell);
        if (strcmp(option->defname, "format") == 0) format = defGetString(option);
    }
    const bool network = IsNetworkPath(copy->filename);
    if (format) {
        if (strcmp(format, "parquet") == 0) return CopyFormat::kParquet;
        if (strcmp(format, "json") == 0) return CopyFormat::kJson;
        if (network && strcmp(format, "csv") == 0) return CopyFormat::kCsv;
    } else if (EndsWith(copy->filename, ".parquet")) {
        return CopyFormat::kParquet;
    } else if (network && (EndsWith(copy->filename, ".json") || EndsWith(copy->filename, ".ndjson"))) {
        return CopyFormat::kJson;
    } else if (network && (EndsWith(copy->filename, ".csv") || EndsWith(copy->filename, ".csv.gz"))) {
        return CopyFormat::kCsv;
    }
    if (!network) return CopyFormat::kServer;
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("COPY format \"%s\" is not supported at network locations", format ? format : "text"),
                    errhint("Use FORMAT parquet, csv or json.")));
    pg_unreachable();
}

void CheckPath(const char* path) {
    if (IsNetworkPath(path) || is_absolute_path(path)) return;
    ereport(ERROR, (errcode(ERRCODE_INVALID_NAME), errmsg("relative path not allowed for COPY to file")));
}

// --- TO ----------------------------------------------------------------------------------------------------------------

struct WriteOption {
    const char* name;
    const char* engine_name;
    CopyFormat format;  // kServer: all
};

constexpr WriteOption kWriteOptions[] = {
    {"compression", "COMPRESSION", CopyFormat::kServer},
    {"compression_level", "COMPRESSION_LEVEL", CopyFormat::kParquet},
    {"row_group_size", "ROW_GROUP_SIZE", CopyFormat::kParquet},
    {"parquet_version", "PARQUET_VERSION", CopyFormat::kParquet},
    {"header", "HEADER", CopyFormat::kCsv},
    {"delimiter", "DELIMITER", CopyFormat::kCsv},
    {"quote", "QUOTE", CopyFormat::kCsv},
    {"escape", "ESCAPE", CopyFormat::kCsv},
    {"null", "NULLSTR", CopyFormat::kCsv},
    {"dateformat", "DATEFORMAT", CopyFormat::kServer},
    {"timestampformat", "TIMESTAMPFORMAT", CopyFormat::kServer},
    {"array", "ARRAY", CopyFormat::kJson},
};

// "FORMAT parquet, COMPRESSION 'zstd'". "ordered": rows are to be in the order in which they come.
char* WriteOptions(const CopyStmt* copy, CopyFormat format, bool ordered) {
    StringInfoData out;
    initStringInfo(&out);
    appendStringInfo(&out, "FORMAT %s",
                     format == CopyFormat::kParquet ? "parquet"
                     : format == CopyFormat::kCsv   ? "csv"
                                                    : "json");
    bool header = false;
    ListCell* cell;
    foreach (cell, copy->options) {
        auto* option = lfirst_node(DefElem, cell);
        if (strcmp(option->defname, "format") == 0) continue;
        if (strcmp(option->defname, "partition_by") == 0) {
            appendStringInfoString(&out, ", PARTITION_BY (");
            List* columns = option->arg && IsA(option->arg, List) ? reinterpret_cast<List*>(option->arg)
                                                                  : list_make1(makeString(defGetString(option)));
            ListCell* column;
            foreach (column, columns) {
                appendStringInfo(&out, "%s%s", column == list_head(columns) ? "" : ", ",
                                 LakeIdentifier(strVal(lfirst(column))));
            }
            appendStringInfoString(&out, "), OVERWRITE_OR_IGNORE true");
            ordered = false;  // across files there is no order
            continue;
        }
        const WriteOption* known = nullptr;
        for (const WriteOption& candidate : kWriteOptions) {
            if (strcmp(candidate.name, option->defname) != 0) continue;
            if (candidate.format == CopyFormat::kServer || candidate.format == format) known = &candidate;
        }
        if (!known) {
            ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
                            errmsg("option \"%s\" not recognized for this format of COPY TO", option->defname)));
        }
        header = header || strcmp(known->name, "header") == 0;
        const char* value = option->arg ? defGetString(option) : "true";
        appendStringInfo(&out, ", %s %s", known->engine_name, LakeLiteral(value));
    }
    if (ordered) appendStringInfoString(&out, ", PRESERVE_ORDER true");
    // As Postgres's own.
    if (format == CopyFormat::kCsv && !header) appendStringInfoString(&out, ", HEADER false");
    return out.data;
}

// The analysed query whose rows are to be written.
::Query* QueryOf(const CopyStmt* copy, const PlannedStmt* stmt, const char* text) {
    RawStmt* raw = makeNode(RawStmt);
    if (copy->query) {
        raw->stmt = static_cast<Node*>(copyObjectImpl(copy->query));
        raw->stmt_location = stmt->stmt_location;
        raw->stmt_len = stmt->stmt_len;
    } else {
        // A table's own rows, without its children, as Postgres's COPY has it; a partitioned table's partitions are its rows.
        SelectStmt* select = makeNode(SelectStmt);
        auto* from = static_cast<RangeVar*>(copyObjectImpl(copy->relation));
        const Oid relid = RangeVarGetRelid(from, AccessShareLock, false);
        from->inh = get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE;
        List* names = NIL;
        ListCell* cell;
        foreach (cell, copy->attlist) names = lappend(names, list_make1(lfirst(cell)));
        if (names == NIL) names = list_make1(list_make1(makeNode(A_Star)));
        foreach (cell, names) {
            ColumnRef* column = makeNode(ColumnRef);
            column->fields = static_cast<List*>(lfirst(cell));
            column->location = -1;
            ResTarget* target = makeNode(ResTarget);
            target->val = reinterpret_cast<Node*>(column);
            target->location = -1;
            select->targetList = lappend(select->targetList, target);
        }
        select->fromClause = list_make1(from);
        raw->stmt = reinterpret_cast<Node*>(select);
    }
    List* queries = pg_analyze_and_rewrite_fixedparams(raw, text, nullptr, 0, nullptr);
    if (list_length(queries) != 1 || linitial_node(::Query, queries)->commandType != CMD_SELECT) {
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("only SELECT can be written to files by the columnar engine")));
    }
    return linitial_node(::Query, queries);
}

uint64 CopyTo(const CopyStmt* copy, CopyFormat format, const PlannedStmt* stmt, const char* text) {
    CheckPath(copy->filename);
    List* files = list_make1(copy->filename);
    CheckLakeAccess(files, LakeAccess::kWrite);
    ::Query* query = QueryOf(copy, stmt, text);
    StringInfoData sql;
    initStringInfo(&sql);
    int number = 0;
    ListCell* cell;
    foreach (cell, query->targetList) {
        const auto* entry = lfirst_node(TargetEntry, cell);
        if (entry->resjunk) continue;
        number++;
        appendStringInfo(&sql, "%sc%d AS %s", number == 1 ? "COPY (SELECT " : ", ", number,
                         LakeIdentifier(entry->resname));
    }
    if (number == 0)
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("rows without columns cannot be written")));
    appendStringInfo(&sql, " FROM {rows:0}) TO %s (%s)", LakeLiteral(copy->filename),
                     WriteOptions(copy, format, query->sortClause != NIL));

    MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "lake copy", ALLOCSET_DEFAULT_SIZES);
    MemoryContext before = MemoryContextSwitchTo(context);
    PushCopiedSnapshot(GetActiveSnapshot());
    UpdateActiveSnapshotCommandId();
    const uint64 rows = RunLakeCopy(sql.data, query, text, files);
    PopActiveSnapshot();
    MemoryContextSwitchTo(before);
    MemoryContextDelete(context);
    return rows;
}

// --- FROM ----------------------------------------------------------------------------------------------------------------

// The columns to fill, as "a, b" in *names and "a integer, b text" in *declared.
void TargetColumns(const CopyStmt* copy, Oid relid, StringInfo names, StringInfo declared) {
    Relation relation = table_open(relid, NoLock);
    TupleDesc desc = RelationGetDescr(relation);
    List* wanted = NIL;
    ListCell* cell;
    foreach (cell, copy->attlist) {
        const char* name = strVal(lfirst(cell));
        const AttrNumber number = get_attnum(relid, name);
        if (number <= 0) {
            ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN), errmsg("column \"%s\" of relation \"%s\" does not exist",
                                                                      name, RelationGetRelationName(relation))));
        }
        wanted = lappend_int(wanted, number);
    }
    for (int i = 0; i < desc->natts && copy->attlist == NIL; i++) {
        const FormData_pg_attribute* attribute = TupleDescAttr(desc, i);
        if (!attribute->attisdropped && !attribute->attgenerated) wanted = lappend_int(wanted, i + 1);
    }
    foreach (cell, wanted) {
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

uint64 CopyFrom(const CopyStmt* copy, CopyFormat format) {
    const Oid relid = RangeVarGetRelid(copy->relation, RowExclusiveLock, false);
    StringInfoData names, declared, sql;
    initStringInfo(&names);
    initStringInfo(&declared);
    initStringInfo(&sql);
    TargetColumns(copy, relid, &names, &declared);
    const char* reader = format == CopyFormat::kParquet ? "read_parquet"
                         : format == CopyFormat::kCsv   ? "read_csv"
                                                        : "read_json";
    appendStringInfo(&sql, "INSERT INTO %s (%s) SELECT %s FROM mooncake.%s(%s",
                     quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), get_rel_name(relid)),
                     names.data, names.data, reader, quote_literal_cstr(copy->filename));
    ListCell* cell;
    foreach (cell, copy->options) {
        auto* option = lfirst_node(DefElem, cell);
        if (strcmp(option->defname, "format") == 0) continue;
        const char* name = strcmp(option->defname, "null") == 0 ? "nullstr" : option->defname;
        appendStringInfo(&sql, ", %s => %s", quote_identifier(name),
                         quote_literal_cstr(option->arg ? defGetString(option) : "true"));
    }
    appendStringInfo(&sql, ") AS (%s)", declared.data);
    return RunInsert(sql.data, copy->whereClause);
}

void OnUtility(PlannedStmt* stmt, const char* text, bool read_only_tree, ProcessUtilityContext context,
               ParamListInfo params, QueryEnvironment* environment, DestReceiver* dest, QueryCompletion* completion) {
    // The statement itself may be gone afterwards.
    const bool is_setting = IsA(stmt->utilityStmt, VariableSetStmt), drops_roles = IsA(stmt->utilityStmt, DropRoleStmt);
    if (IsA(stmt->utilityStmt, CopyStmt)) {
        const auto* copy = reinterpret_cast<const CopyStmt*>(stmt->utilityStmt);
        if (const CopyFormat format = FormatOf(copy); format != CopyFormat::kServer) {
            if (copy->is_from) PreventCommandIfReadOnly("COPY FROM");
            const uint64 rows = copy->is_from ? CopyFrom(copy, format) : CopyTo(copy, format, stmt, text);
            if (completion) SetQueryCompletion(completion, CMDTAG_COPY, rows);
            return;
        }
    }
    if (previous_utility) {
        previous_utility(stmt, text, read_only_tree, context, params, environment, dest, completion);
    } else {
        standard_ProcessUtility(stmt, text, read_only_tree, context, params, environment, dest, completion);
    }
    if (is_setting) RenewLakeArguments();
    if (drops_roles) {
        CommandCounterIncrement();
        RemoveSecretsOfDroppedRoles();
    }
}

}  // namespace

void InstallLakeCopy() {
    previous_utility = ProcessUtility_hook;
    ProcessUtility_hook = OnUtility;
}

}  // namespace ivy::duck
