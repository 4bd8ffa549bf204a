// SPDX-License-Identifier: Apache-2.0
// COPY FROM text, CSV and binary files at network locations: the engine fetches the bytes, and all else is the server's own
// COPY, with its options, its errors with line and column, and its way of filling tables. Each file of a glob is a file to
// it (with a header of its own); all of them are one statement.
#include "lake_copy.h"

#include "columnar_plan.h"
#include "engine_query.h"
#include "lake_access.h"
#include "lake_function.h"
#include "lake_run.h"

extern "C" {
#include "access/sysattr.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "commands/copy.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_clause.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
}

namespace ivy::duck {

namespace {

// The files' bytes, in pieces as the engine sends them.
struct Source {
    EngineQuery engine;
    MemoryContext context;
    size_t row;              // of the current chunk: the piece after the current one
    const char* piece_file;  // that the current piece is of
    const char* file;        // whose turn it is
    const char* at;          // what is left of the current piece
    size_t left;
    bool done;
};

// The server calls back without an argument. Triggers may run another COPY meanwhile.
Source* current;

// Moves to the next piece.
void NextPiece(Source* source) {
    if (source->row >= source->engine.rows) {
        if (!NextEngineChunk(&source->engine)) RaiseLakeFailure(source->engine.failure);
        source->row = 0;
        source->done = source->engine.done;
        if (source->done) return;
    }
    const std::string_view name = EngineColumn(&source->engine, 0)->GetVariable(source->row);
    const std::string_view bytes = EngineColumn(&source->engine, 1)->GetVariable(source->row);
    source->row++;
    if (!source->piece_file || name.compare(source->piece_file) != 0) {
        MemoryContext before = MemoryContextSwitchTo(source->context);
        source->piece_file = pnstrdup(name.data(), name.size());
        MemoryContextSwitchTo(before);
    }
    source->at = bytes.data();
    source->left = bytes.size();
}

// Whether the current piece is of the file whose turn it is.
bool InFile(const Source* source) { return !source->done && source->piece_file == source->file; }

// For the server's COPY: at least "least" bytes of the file, if it has them.
int ReadFile(void* out, int least, int most) {
    Source* source = current;
    int size = 0;
    while (size < least) {
        while (source->left == 0 && InFile(source)) NextPiece(source);
        if (!InFile(source)) break;
        const int part = static_cast<int>(Min(source->left, static_cast<size_t>(most - size)));
        std::memcpy(static_cast<char*>(out) + size, source->at, part);
        source->at += part;
        source->left -= part;
        size += part;
    }
    return size;
}

void OpenSource(Source* source, const char* path) {
    *source = Source{};
    source->context = CurrentMemoryContext;
    if (!OpenEngineQuery(&source->engine, CurrentMemoryContext)) RaiseLakeFailure(source->engine.failure);
    List* files = list_make1(const_cast<char*>(path));
    const QueryText text = {psprintf("SELECT file, bytes FROM ivy_file_bytes(%s)", LakeLiteral(path)),
                            NIL,
                            list_make2(PackType({TypeKind::kText}), PackType({TypeKind::kBytes})),
                            GetActiveSnapshot(),
                            InvalidXLogRecPtr,
                            QueryMode::kExecute,
                            files,
                            nullptr};
    if (!SendEngineQuery(&source->engine, text) || !AwaitEngineResult(&source->engine))
        RaiseLakeFailure(source->engine.failure);
    NextPiece(source);
}

void DescribeFile(void* arg) {
    const auto* source = static_cast<const Source*>(arg);
    if (source->file) errcontext("file \"%s\"", source->file);
}

// The condition as the server's COPY wants it. "nsitem" is the table.
List* Condition(ParseState* pstate, Relation relation, ParseNamespaceItem* nsitem, Node* raw) {
    if (!raw) return NIL;
    addNSItemToQuery(pstate, nsitem, false, true, true);
    Node* condition = coerce_to_boolean(
        pstate, transformExpr(pstate, static_cast<Node*>(copyObjectImpl(raw)), EXPR_KIND_COPY_WHERE), "WHERE");
    assign_expr_collations(pstate, condition);
    Bitmapset* columns = nullptr;
    pull_varattnos(condition, 1, &columns);
    const bool whole_row = bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, columns);
    TupleDesc desc = RelationGetDescr(relation);
    for (int i = 0; i < desc->natts; i++) {
        const FormData_pg_attribute* attribute = TupleDescAttr(desc, i);
        const bool used = whole_row || bms_is_member(i + 1 - FirstLowInvalidHeapAttributeNumber, columns);
        if (!used || !attribute->attgenerated) continue;
        ereport(ERROR, (errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
                        errmsg("generated columns are not supported in COPY FROM WHERE conditions"),
                        errdetail("Column \"%s\" is a generated column.", NameStr(attribute->attname))));
    }
    condition = eval_const_expressions(nullptr, condition);
    return make_ands_implicit(canonicalize_qual(reinterpret_cast<Expr*>(condition), false));
}

// Checks what the server's COPY leaves to its caller, and gives the condition.
List* Prepare(ParseState* pstate, const CopyStmt* copy, Relation relation) {
    ParseNamespaceItem* nsitem =
        addRangeTableEntryForRelation(pstate, relation, RowExclusiveLock, nullptr, false, false);
    RTEPermissionInfo* permissions = nsitem->p_perminfo;
    permissions->requiredPerms = ACL_INSERT;
    List* condition = Condition(pstate, relation, nsitem, copy->whereClause);
    ListCell* cell;
    foreach (cell, CopyGetAttnums(RelationGetDescr(relation), relation, copy->attlist)) {
        permissions->insertedCols =
            bms_add_member(permissions->insertedCols, lfirst_int(cell) - FirstLowInvalidHeapAttributeNumber);
    }
    ExecCheckPermissions(pstate->p_rtable, list_make1(permissions), true);
    if (check_enable_rls(RelationGetRelid(relation), InvalidOid, false) == RLS_ENABLED) {
        ereport(ERROR,
                (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("COPY FROM not supported with row-level security"),
                 errhint("Use INSERT statements instead.")));
    }
    if (XactReadOnly && !relation->rd_islocaltemp) PreventCommandIfReadOnly("COPY FROM");
    return condition;
}

// Without a format, the ending says that it is CSV.
List* OptionsOf(const CopyStmt* copy) {
    ListCell* cell;
    foreach (cell, copy->options) {
        if (strcmp(lfirst_node(DefElem, cell)->defname, "format") == 0) return copy->options;
    }
    if (!HasCsvEnding(copy->filename)) return copy->options;
    DefElem* format = makeDefElem(pstrdup("format"), reinterpret_cast<Node*>(makeString(pstrdup("csv"))), -1);
    return lappend(list_copy(copy->options), format);
}

}  // namespace

uint64 CopyFromBytes(const CopyStmt* copy, const char* text) {
    CheckLakeAccess(list_make1(copy->filename), LakeAccess::kRead);
    ParseState* pstate = make_parsestate(nullptr);
    pstate->p_sourcetext = text;
    Relation relation = table_openrv(copy->relation, RowExclusiveLock);
    List* condition = Prepare(pstate, copy, relation);
    List* options = OptionsOf(copy);

    Source source;
    Source* const outer = current;
    ErrorContextCallback callback{error_context_stack, DescribeFile, &source};
    volatile uint64 rows = 0;
    OpenSource(&source, copy->filename);
    PG_TRY();
    {
        error_context_stack = &callback;
        while (!source.done) {
            source.file = source.piece_file;
            current = &source;
            CopyFromState state = BeginCopyFrom(pstate, relation, reinterpret_cast<Node*>(condition), nullptr, false,
                                                ReadFile, copy->attlist, options);
            rows = rows + CopyFrom(state);
            EndCopyFrom(state);
            // What follows an end-of-data marker is not read.
            while (InFile(&source)) NextPiece(&source);
        }
        error_context_stack = callback.previous;
    }
    PG_FINALLY();
    {
        current = outer;
    }
    PG_END_TRY();
    CloseEngineQuery(&source.engine);
    table_close(relation, NoLock);
    free_parsestate(pstate);
    return rows;
}

}  // namespace ivy::duck
