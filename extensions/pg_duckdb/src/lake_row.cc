// SPDX-License-Identifier: Apache-2.0
// Rows of type mooncake.lake_row: where they come from, and their subscripts.
#include "lake_row.h"

#include "lake_access.h"
#include "lake_function.h"

extern "C" {
#include "access/xact.h"
#include "executor/execExpr.h"
#include "nodes/nodeFuncs.h"
#include "nodes/subscripting.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(duckdb_lake_row_subscript);
}

namespace ivy::duck {

namespace {

struct KnownColumns {
    const char* text;
    List* columns;
};

List* known_columns;  // KnownColumns*, of the statement being analysed
List* named_columns;  // NamedColumn*, the same
MemoryContext known_context;
TimestampTz known_statement;

}  // namespace

void ForgetColumns() {
    if (known_columns == NIL) return;
    known_columns = named_columns = NIL;
    MemoryContextReset(known_context);
}

List* NamedColumns() { return named_columns; }

List* ColumnsOf(const FuncExpr* call) {
    auto* complete = static_cast<FuncExpr*>(copyObjectImpl(call));
    CompleteLakeCall(complete);
    complete->args = reinterpret_cast<List*>(eval_const_expressions(nullptr, reinterpret_cast<Node*>(complete->args)));
    const LakeCall* lake = LakeCallOfConstants(complete);
    if (!lake) return NIL;
    CheckLakeCall(lake->function, lake->paths);
    const char* text = LakeCallText(lake);
    const TimestampTz now = GetCurrentStatementStartTimestamp();
    if (!known_context) known_context = AllocSetContextCreate(TopMemoryContext, "lake columns", ALLOCSET_SMALL_SIZES);
    if (known_statement != now) ForgetColumns();
    known_statement = now;
    ListCell* cell;
    foreach (cell, known_columns) {
        const auto* candidate = static_cast<KnownColumns*>(lfirst(cell));
        if (strcmp(candidate->text, text) == 0) return candidate->columns;
    }
    MemoryContext before = MemoryContextSwitchTo(known_context);
    List* columns = DescribeFiles(lake);
    auto* entry = static_cast<KnownColumns*>(palloc(sizeof(KnownColumns)));
    *entry = {pstrdup(text), columns};
    known_columns = lappend(known_columns, entry);
    MemoryContextSwitchTo(before);
    return columns;
}

FuncExpr* LakeCallOfEntry(const RangeTblEntry* rte) {
    if (rte->rtekind != RTE_FUNCTION || list_length(rte->functions) != 1) return nullptr;
    Node* expression = linitial_node(RangeTblFunction, rte->functions)->funcexpr;
    if (!IsA(expression, FuncExpr)) return nullptr;
    auto* call = reinterpret_cast<FuncExpr*>(expression);
    return IsLakeFunction(call->funcid) ? call : nullptr;
}

FuncExpr* RowCallOf(const RangeTblEntry* rte, Oid row_type) {
    FuncExpr* call = LakeCallOfEntry(rte);
    return call && call->funcresulttype == row_type ? call : nullptr;
}

FuncExpr* TraceColumn(ParseState* pstate, RangeTblEntry* rte, AttrNumber attno, Oid row_type, int depth) {
    if (depth > 20) return nullptr;
    if (FuncExpr* call = RowCallOf(rte, row_type)) return call;
    ::Query* query = nullptr;
    if (rte->rtekind == RTE_SUBQUERY) {
        query = rte->subquery;
    } else if (rte->rtekind == RTE_CTE && pstate) {
        for (ParseState* level = pstate; level; level = level->parentParseState) {
            ListCell* cell;
            foreach (cell, level->p_ctenamespace) {
                auto* cte = lfirst_node(CommonTableExpr, cell);
                if (strcmp(cte->ctename, rte->ctename) != 0 || !IsA(cte->ctequery, Query)) continue;
                query = reinterpret_cast<::Query*>(cte->ctequery);
            }
            if (query) break;
        }
    }
    if (!query || attno <= 0) return nullptr;
    const TargetEntry* entry = get_tle_by_resno(query->targetList, attno);
    if (!entry || !IsA(entry->expr, Var)) return nullptr;
    const auto* var = reinterpret_cast<const Var*>(entry->expr);
    if (var->varlevelsup != 0 || var->varno > list_length(query->rtable)) return nullptr;
    return TraceColumn(pstate, rt_fetch(var->varno, query->rtable), var->varattno, row_type, depth + 1);
}

const FileColumn* FindFileColumn(List* columns, const char* name) {
    const FileColumn* similar = nullptr;
    ListCell* cell;
    foreach (cell, columns) {
        const auto* column = static_cast<FileColumn*>(lfirst(cell));
        if (strcmp(column->name, name) == 0) return column;
        if (!similar && pg_strcasecmp(column->name, name) == 0) similar = column;
    }
    return similar;
}

namespace {

void TransformSubscript(SubscriptingRef* ref, List* indirection, ParseState* pstate, bool is_slice,
                        bool is_assignment) {
    if (is_assignment) {
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("rows of files cannot be changed")));
    }
    List* names = NIL;
    ListCell* cell;
    foreach (cell, indirection) {
        const auto* index = lfirst_node(A_Indices, cell);
        if (is_slice || index->is_slice || !index->uidx) {
            ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH), errmsg("rows of files have no slices"),
                            parser_errposition(pstate, exprLocation(index->uidx ? index->uidx : index->lidx))));
        }
        Node* name = transformExpr(pstate, index->uidx, pstate->p_expr_kind);
        const int location = exprLocation(name);
        name = coerce_to_target_type(pstate, name, exprType(name), TEXTOID, -1, COERCION_ASSIGNMENT,
                                     COERCE_IMPLICIT_CAST, -1);
        if (!name) {
            ereport(ERROR,
                    (errcode(ERRCODE_DATATYPE_MISMATCH), errmsg("subscript of a row must be the name of a column"),
                     parser_errposition(pstate, location)));
        }
        names = lappend(names, name);
    }
    ref->refupperindexpr = names;
    ref->reflowerindexpr = NIL;
    ref->refrestype = list_length(names) > 1 ? JSONBOID : TEXTOID;
    ref->reftypmod = -1;
    // With the file's columns known, further subscripts are those of the column's value: the second analysis sees to them.
    const bool has_columns = ref->refcontainertype == LakeColumnsType();
    if (list_length(names) > 1 && !has_columns) return;
    const auto* name = IsA(linitial(names), Const) ? linitial_node(Const, names) : nullptr;
    if (!name || name->constisnull || !IsA(ref->refexpr, Var)) {
        if (!has_columns) return;
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("subscript of a row must be a constant where the columns are known"),
                        parser_errposition(pstate, exprLocation(static_cast<Node*>(linitial(names))))));
    }
    const auto* row = reinterpret_cast<const Var*>(ref->refexpr);
    RangeTblEntry* rte = GetRTEByRangeTablePosn(pstate, row->varno, static_cast<int>(row->varlevelsup));
    const FuncExpr* call = TraceColumn(pstate, rte, row->varattno, ref->refcontainertype);
    List* columns = call ? ColumnsOf(call) : NIL;
    if (columns == NIL) return;
    const char* wanted = TextDatumGetCString(name->constvalue);
    const FileColumn* column = FindFileColumn(columns, wanted);
    if (!column) {
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN), errmsg("column \"%s\" does not exist in the files", wanted),
                        parser_errposition(pstate, exprLocation(reinterpret_cast<const Node*>(name)))));
    }
    if (has_columns) {
        MemoryContext before = MemoryContextSwitchTo(known_context);
        auto* named = static_cast<NamedColumn*>(palloc(sizeof(NamedColumn)));
        *named = {row->location, column->name};
        named_columns = lappend(named_columns, named);
        MemoryContextSwitchTo(before);
    }
    if (list_length(names) > 1) return;
    ref->refrestype = column->type;
    ref->reftypmod = column->typmod;
}

// Run time, for rows that the planner could not make columns of: the value is a JSON object.
struct SubscriptWork {
    FmgrInfo input;
    Oid parameter;
    Oid type;
    int32 typmod;
};

bool CheckSubscripts(ExprState*, ExprEvalStep* op, ExprContext*) {
    const SubscriptingRefState* state = op->d.sbsref_subscript.state;
    for (int i = 0; i < state->numupper; i++) {
        if (!state->upperindexnull[i]) continue;
        *op->resnull = true;
        return false;
    }
    return true;
}

void FetchSubscript(ExprState*, ExprEvalStep* op, ExprContext*) {
    const SubscriptingRefState* state = op->d.sbsref.state;
    auto* work = static_cast<SubscriptWork*>(state->workspace);
    Jsonb* row = DatumGetJsonbP(*op->resvalue);
    auto* path = static_cast<Datum*>(palloc(sizeof(Datum) * state->numupper));
    for (int i = 0; i < state->numupper; i++) path[i] = state->upperindex[i];
    *op->resvalue = jsonb_get_element(row, path, state->numupper, op->resnull, work->type != JSONBOID);
    if (*op->resnull || work->type == JSONBOID || work->type == TEXTOID) return;
    char* value = TextDatumGetCString(*op->resvalue);
    *op->resvalue = InputFunctionCall(&work->input, value, work->parameter, work->typmod);
}

void SetUpSubscripts(const SubscriptingRef* ref, SubscriptingRefState* state, SubscriptExecSteps* methods) {
    auto* work = static_cast<SubscriptWork*>(palloc0(sizeof(SubscriptWork)));
    Oid input;
    getTypeInputInfo(ref->refrestype, &input, &work->parameter);
    fmgr_info(input, &work->input);
    work->type = ref->refrestype;
    work->typmod = ref->reftypmod;
    state->workspace = work;
    methods->sbs_check_subscripts = CheckSubscripts;
    methods->sbs_fetch = FetchSubscript;
    methods->sbs_assign = nullptr;
    methods->sbs_fetch_old = nullptr;
}

}  // namespace

}  // namespace ivy::duck

Datum duckdb_lake_row_subscript(PG_FUNCTION_ARGS) {
    static const SubscriptRoutines routines = {
        .transform = ivy::duck::TransformSubscript,
        .exec_setup = ivy::duck::SetUpSubscripts,
        .fetch_strict = true,
        .fetch_leakproof = false,
        .store_leakproof = false,
    };
    PG_RETURN_POINTER(&routines);
}
