// SPDX-License-Identifier: Apache-2.0
// COPY TO files that the engine writes.
//
// Where the engine can run the whole query, it runs it and writes what comes out, in one message. Otherwise, and if that
// fails in a way that Postgres's executor may not, the server runs the query and sends the rows. Both give the same file:
// every column is cast to the type that its Postgres type has in a row source.
//
// A local file gets its name when it is complete: it is written beside under a random one, which is removed after errors.
#include "lake_copy.h"

#include <sys/stat.h>
#include <unistd.h>

#include "columnar_query.h"
#include "lake_access.h"
#include "lake_function.h"
#include "lake_run.h"
#include "row_upload.h"
#include "types/type_map.h"

extern "C" {
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type_d.h"
#include "commands/defrem.h"
#include "executor/executor.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/value.h"
#include "parser/parsetree.h"
#include "tcop/tcopprot.h"
#include "utils/snapmgr.h"
}

namespace ivy::duck {

namespace {

// --- the statement --------------------------------------------------------------------------------------------------

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
    bool header = false, compressed = false, partitioned = false;
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
            partitioned = true;
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
        compressed = compressed || strcmp(known->name, "compression") == 0;
        const char* value = option->arg ? defGetString(option) : "true";
        appendStringInfo(&out, ", %s %s", known->engine_name, LakeLiteral(value));
    }
    if (ordered) appendStringInfoString(&out, ", PRESERVE_ORDER true");
    if (!partitioned) {
        // By the file's name, which is not the one that the engine writes.
        const char* name = copy->filename;
        if (!compressed && HasEnding(name, ".gz")) appendStringInfoString(&out, ", COMPRESSION 'gzip'");
        if (!compressed && HasEnding(name, ".zst")) appendStringInfoString(&out, ", COMPRESSION 'zstd'");
        if (!IsNetworkPath(name)) appendStringInfoString(&out, ", USE_TMP_FILE false");
    }
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

// --- the columns -------------------------------------------------------------------------------------------------------

// Column "name" of the engine's own result in the form that the server would send it in, or null if it may look different.
// "of_files": it may be a text that some other program wrote.
const char* AsSent(const types::TypeMapping& sent, ColumnType actual, bool of_files, const char* name) {
    const char* value = name;
    if (actual.kind == TypeKind::kDecimal && sent.base == NUMERICOID && sent.form == types::Form::kTextForm) {
        value = psprintf("CAST(%s AS VARCHAR)", name);
    } else if (actual.kind != sent.column.kind || actual.scale != sent.column.scale) {
        return nullptr;
    } else if (actual.kind == TypeKind::kDecimal) {
        value = psprintf("CAST(%s AS DECIMAL(%d, %d))", name, sent.column.precision, sent.column.scale);
    } else if (actual.kind == TypeKind::kText && of_files) {
        if ((sent.base != TEXTOID && sent.base != VARCHAROID) || GetDatabaseEncoding() != PG_UTF8) return nullptr;
    }
    return psprintf("ivy_storable(%s)", value);
}

// "COPY (SELECT c1 AS a, ... FROM ", or null if the engine's own result ("scan", if not null) is not what the server would send.
const char* CopyHead(List* target_list, const ColumnarScanState* scan) {
    StringInfoData sql;
    initStringInfo(&sql);
    int number = 0;
    ListCell* cell;
    foreach (cell, target_list) {
        const auto* entry = lfirst_node(TargetEntry, cell);
        if (entry->resjunk) continue;
        const auto* expression = reinterpret_cast<const Node*>(entry->expr);
        const types::TypeMapping sent = types::LookupType(exprType(expression), exprTypmod(expression));
        const char* value = psprintf("c%d", number + 1);
        if (scan) {
            const ColumnType actual = UnpackType(static_cast<const Node*>(list_nth(scan->plan.result_types, number)));
            value = AsSent(sent, actual, scan->plan.functions != NIL, value);
            if (!value) return nullptr;
        }
        // Parquet's intervals are positive and have milliseconds.
        if (sent.column.kind == TypeKind::kInterval) value = psprintf("ivy_interval_text(%s, 'postgres')", value);
        appendStringInfo(&sql, "%s%s AS %s", number == 0 ? "COPY (SELECT " : ", ", value,
                         LakeIdentifier(entry->resname));
        number++;
    }
    appendStringInfoString(&sql, " FROM ");
    return sql.data;
}

// --- the file ----------------------------------------------------------------------------------------------------------

struct Target {
    const char* name;              // as in the statement
    const char* written;           // what the engine writes
    const FinishedFile* finished;  // what that becomes, or null: it has its name
};

// Where writing "path" leads to by symbolic links, also by one to a file that is not there; or null.
char* FollowLinks(const char* path) {
    constexpr int kMaxLinks = 40;  // as the kernel
    char* at = pstrdup(path);
    for (int i = 0; i < kMaxLinks; i++) {
        char link[MAXPGPATH];
        const ssize_t length = readlink(at, link, sizeof link - 1);
        if (length < 0) return errno == EINVAL || errno == ENOENT ? at : nullptr;
        link[length] = '\0';
        char* folder = pstrdup(at);
        get_parent_directory(folder);
        at = is_absolute_path(link) ? pstrdup(link) : psprintf("%s/%s", folder, link);
    }
    return nullptr;
}

// Files appear complete under their name, but not what is no plain file (a pipe), folders of partitions, objects in network
// storage (which appear complete anyway), and files in folders where only they can be written.
Target TargetOf(const CopyStmt* copy) {
    Target target{copy->filename, copy->filename, nullptr};
    ListCell* cell;
    foreach (cell, copy->options) {
        if (strcmp(lfirst_node(DefElem, cell)->defname, "partition_by") == 0) return target;
    }
    if (IsNetworkPath(copy->filename)) return target;
    if (!is_absolute_path(copy->filename))
        ereport(ERROR, (errcode(ERRCODE_INVALID_NAME), errmsg("relative path not allowed for COPY to file")));
    struct stat file;
    const bool exists = stat(copy->filename, &file) == 0;
    if (exists && S_ISDIR(file.st_mode))
        ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" is a directory", copy->filename)));
    if (exists && !S_ISREG(file.st_mode)) return target;
    char* path = FollowLinks(copy->filename);
    if (!path) return target;
    char* folder = pstrdup(path);
    get_parent_directory(folder);
    if (exists && (access(folder, W_OK) != 0 || access(path, W_OK) != 0)) return target;
    uint64 random;
    if (!pg_strong_random(&random, sizeof random))
        ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate a random file name")));
    target.written = psprintf("%s/.copy_%016" PRIx64 ".tmp", folder, random);
    auto* finished = static_cast<FinishedFile*>(palloc(sizeof(FinishedFile)));
    *finished = {target.written, path, exists ? file.st_mode & 07777 : 0644};  // as Postgres's own COPY
    target.finished = finished;
    return target;
}

const char* ReplaceAll(const char* text, const char* from, const char* to) {
    if (!text) return nullptr;
    StringInfoData out;
    initStringInfo(&out);
    for (const char* found; (found = strstr(text, from)); text = found + strlen(from)) {
        appendBinaryStringInfo(&out, text, static_cast<int>(found - text));
        appendStringInfoString(&out, to);
    }
    appendStringInfoString(&out, text);
    return out.data;
}

// Names the file as its user did. Whether the error is about it, and not about what the query reads.
bool NameTarget(EngineFailure* failure, const Target& target) {
    const char* const before = failure->error.message;
    if (!before || !strstr(before, target.written)) return false;
    failure->error.message = ReplaceAll(before, target.written, target.name);
    failure->error.detail = ReplaceAll(failure->error.detail, target.written, target.name);
    return true;
}

// What an engine that died may have left.
void RemoveUnfinished(const Target& target) {
    if (target.finished) unlink(target.written);
}

// --- running it ----------------------------------------------------------------------------------------------------------

struct Copy {
    Target target;
    const char* options;
};

const char* CopyTail(const Copy& copy) {
    return psprintf(") TO %s (%s)", LakeLiteral(copy.target.written), copy.options);
}

// The engine runs the query. False: it could not, and the plan now gives the row table's rows.
bool WriteOnEngine(ColumnarScanState* scan, List* target_list, const Copy& copy, uint64* rows) {
    const char* head = CopyHead(target_list, scan);
    if (!head) return false;
    StringInfoData columns;
    initStringInfo(&columns);
    for (int i = 0; i < list_length(scan->plan.result_types); i++) {
        appendStringInfo(&columns, "%sc%d", i == 0 ? "" : ", ", i + 1);
    }
    const EngineCopy message = {psprintf("%s(", head), psprintf(") AS q(%s)%s", columns.data, CopyTail(copy)),
                                list_make1(const_cast<char*>(copy.target.written)), copy.target.finished};
    if (CopyOnEngine(scan, &message, rows)) {
        elog(DEBUG1, "the columnar engine ran the query of COPY");
        return true;
    }
    if (NameTarget(&scan->engine.failure, copy.target)) RaiseLakeFailure(scan->engine.failure);
    RemoveUnfinished(copy.target);
    ContinueOnRowTable(scan);
    return false;
}

// The server runs the query and sends its rows.
uint64 WriteRows(QueryDesc* run, List* target_list, const Copy& copy) {
    EngineQuery engine{};
    if (!OpenEngineQuery(&engine, CurrentMemoryContext)) RaiseLakeFailure(engine.failure);
    run->dest = BeginUpload(&engine, target_list);
    ExecutorRun(run, ForwardScanDirection, 0);
    int unstorable = 0;
    if (!EndUpload(run->dest, &unstorable)) {
        const auto* entry = get_tle_by_resno(target_list, static_cast<AttrNumber>(unstorable));
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("column \"%s\" has a value that the file's type for %s can't hold", entry->resname,
                               format_type_be(exprType(reinterpret_cast<const Node*>(entry->expr)))),
                        errhint("Cast the column to text.")));
    }
    const QueryText query = {psprintf("%s{rows:0}%s", CopyHead(target_list, nullptr), CopyTail(copy)),
                             NIL,
                             list_make1(PackType({TypeKind::kInt64})),
                             GetActiveSnapshot(),
                             InvalidXLogRecPtr,
                             QueryMode::kCopy,
                             list_make1(const_cast<char*>(copy.target.written)),
                             copy.target.finished};
    bool ok = SendEngineQuery(&engine, query) && AwaitEngineResult(&engine);
    uint64 count = 0;
    while (ok && !engine.done) {
        ok = NextEngineChunk(&engine);
        for (size_t row = 0; ok && row < engine.rows; row++) count += EngineColumn(&engine, 0)->Get<uint64>(row);
    }
    if (ok) return count;
    NameTarget(&engine.failure, copy.target);
    RaiseLakeFailure(engine.failure);
}

uint64 Write(::Query* query, const char* text, const Copy& copy) {
    PushCopiedSnapshot(GetActiveSnapshot());
    UpdateActiveSnapshotCommandId();
    List* target_list = static_cast<List*>(copyObjectImpl(query->targetList));
    PlannedStmt* plan = pg_plan_query(query, text, CURSOR_OPT_PARALLEL_OK, nullptr);
    QueryDesc* run = CreateQueryDesc(plan, text, GetActiveSnapshot(), nullptr, None_Receiver, nullptr, nullptr, 0);
    ExecutorStart(run, 0);
    ColumnarScanState* scan = WholeColumnarScan(run->planstate);
    uint64 rows = 0;
    if (!scan || !WriteOnEngine(scan, target_list, copy, &rows)) rows = WriteRows(run, target_list, copy);
    ExecutorFinish(run);
    ExecutorEnd(run);
    FreeQueryDesc(run);
    PopActiveSnapshot();
    return rows;
}

}  // namespace

uint64 CopyToFile(const CopyStmt* stmt, CopyFormat format, const PlannedStmt* utility, const char* text) {
    CheckLakeAccess(list_make1(stmt->filename), LakeAccess::kWrite);
    ::Query* query = QueryOf(stmt, utility, text);
    if (ExecCleanTargetListLength(query->targetList) == 0)
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("rows without columns cannot be written")));
    MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "lake copy", ALLOCSET_DEFAULT_SIZES);
    MemoryContext before = MemoryContextSwitchTo(context);
    const Copy copy = {TargetOf(stmt), WriteOptions(stmt, format, query->sortClause != NIL)};
    uint64 rows = 0;
    PG_TRY();
    {
        rows = Write(query, text, copy);
    }
    PG_CATCH();
    {
        RemoveUnfinished(copy.target);
        PG_RE_THROW();
    }
    PG_END_TRY();
    MemoryContextSwitchTo(before);
    MemoryContextDelete(context);
    return rows;
}

}  // namespace ivy::duck
