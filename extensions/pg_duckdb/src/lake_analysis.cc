// SPDX-License-Identifier: Apache-2.0
// Lake functions in parse analysis: the row_type node, column names, and the second analysis.
#include "lake_analysis.h"

#include "lake_columns.h"
#include "lake_function.h"
#include "lake_raw.h"
#include "lake_row.h"

extern "C" {
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parse_expr.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "utils/builtins.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(duckdb_settle_row_types);
}

namespace ivy::duck {

namespace {

constexpr char kNodeName[] = "ivy_lake_row_type";

post_parse_analyze_hook_type previous_analyze;
PostParseColumnRefHook previous_columnref;
void (*parser_callback)(void*);  // what the parser pushes on the error context stack around the look-up of a function
List* filled_calls;              // places of calls that the second analysis, under way, gave a column definition list
char*
    bare_text;  // of the statement in which a call without column definition list was last seen (a copy: an error may have ended it)

// --- column names as subscripts ------------------------------------------------------------------------------------------

Node* MakeSubscript(Var* row, const FileColumn* column, Oid row_type) {
    SubscriptingRef* ref = makeNode(SubscriptingRef);
    ref->refcontainertype = row_type;
    ref->refrestype = column->type;
    ref->reftypmod = column->typmod;
    ref->refcollid = get_typcollation(column->type);
    ref->refexpr = reinterpret_cast<Expr*>(row);
    ref->refupperindexpr =
        list_make1(makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1, CStringGetTextDatum(column->name), false, false));
    return reinterpret_cast<Node*>(ref);
}

// A column whose name is that of a file's column without regard to case, or null. "call" is that of the entry.
Node* FindSimilarColumn(const ParseNamespaceItem* item, const FuncExpr* call, const char* name, Index levels_up) {
    if (call->funcresulttype != LakeColumnsType() && !list_member_int(filled_calls, call->location)) return nullptr;
    const int columns = list_length(item->p_names->colnames);
    for (int i = 0; i < columns; i++) {
        if (pg_strcasecmp(strVal(list_nth(item->p_names->colnames, i)), name) != 0) continue;
        const ParseNamespaceColumn* column = &item->p_nscolumns[i];
        return reinterpret_cast<Node*>(makeVar(static_cast<int>(column->p_varno), column->p_varattno, column->p_vartype,
                                               column->p_vartypmod, column->p_varcollid, levels_up));
    }
    return nullptr;
}

// A column of the rows of type mooncake.lake_row that an entry has, or null.
Node* FindSubscript(ParseState* level, const ParseNamespaceItem* item, const char* name, Index levels_up,
                    Oid row_type) {
    const int columns = list_length(item->p_names->colnames);
    for (int i = 0; i < columns; i++) {
        const ParseNamespaceColumn* source = &item->p_nscolumns[i];
        if (source->p_vartype != row_type) continue;
        const FuncExpr* call = TraceColumn(level, item->p_rte, static_cast<AttrNumber>(i + 1), row_type);
        const FileColumn* column = call ? FindFileColumn(ColumnsOf(call), name) : nullptr;
        if (!column) continue;
        return MakeSubscript(
            makeVar(static_cast<int>(source->p_varno), source->p_varattno, row_type, -1, InvalidOid, levels_up), column,
            row_type);
    }
    return nullptr;
}

// A name that Postgres could not resolve may be that of a column of a file.
Node* ResolveColumn(ParseState* pstate, ColumnRef* reference, Node* resolved) {
    Node* by_others = previous_columnref ? previous_columnref(pstate, reference, resolved) : nullptr;
    if (resolved || by_others) return by_others;
    const int count = list_length(reference->fields);
    if (count > 2 || !IsA(llast(reference->fields), String)) return nullptr;
    const char* table = count == 2 ? strVal(linitial(reference->fields)) : nullptr;
    const char* name = strVal(llast(reference->fields));
    const Oid row_type = LakeRowType();
    if (!OidIsValid(row_type)) return nullptr;
    Index levels_up = 0;
    for (ParseState* level = pstate; level; level = level->parentParseState, levels_up++) {
        ListCell* cell;
        foreach (cell, level->p_namespace) {
            auto* item = static_cast<ParseNamespaceItem*>(lfirst(cell));
            if (item->p_rte->rtekind == RTE_JOIN) continue;
            if (table && strcmp(item->p_names->aliasname, table) != 0) continue;
            const FuncExpr* call = LakeCallOfEntry(item->p_rte);
            Node* found = call ? FindSimilarColumn(item, call, name, levels_up) : nullptr;
            if (!found) found = FindSubscript(level, item, name, levels_up, row_type);
            if (!found) continue;
            auto* var = IsA(found, Var) ? reinterpret_cast<Var*>(found)
                                        : reinterpret_cast<Var*>(reinterpret_cast<SubscriptingRef*>(found)->refexpr);
            var->location = reference->location;
            markNullableIfNeeded(pstate, var);
            return found;
        }
    }
    return nullptr;
}

// --- the columns of mooncake.lake_columns -------------------------------------------------------------------------------

TypeCacheEntry* shown_type;  // while it has columns that are not the catalog's

void HideColumns() {
    if (!shown_type) return;
    TupleDesc desc = shown_type->tupDesc;
    shown_type->tupDesc = nullptr;
    shown_type = nullptr;
    if (desc && --desc->tdrefcount == 0) FreeTupleDesc(desc);
}

// Until HideColumns, the composite type has the columns of a file (FileColumn*): in this process's cache of types only. It
// is what gives a call its columns while a statement is analysed for the first time; nothing keeps values of the type.
void ShowColumns(Oid type, List* columns) {
    HideColumns();
    MemoryContext before = MemoryContextSwitchTo(CacheMemoryContext);
    TupleDesc desc = CreateTemplateTupleDesc(list_length(columns));
    AttrNumber number = 0;
    ListCell* cell;
    foreach (cell, columns) {
        const auto* column = static_cast<FileColumn*>(lfirst(cell));
        TupleDescInitEntry(desc, ++number, column->name, column->type, column->typmod, 0);
    }
    MemoryContextSwitchTo(before);
    desc->tdtypeid = type;
    desc->tdtypmod = -1;
    desc->tdrefcount = 1;
    TypeCacheEntry* entry = lookup_type_cache(type, TYPECACHE_TUPDESC);
    TupleDesc own = entry->tupDesc;
    entry->tupDesc = desc;
    shown_type = entry;
    if (own && --own->tdrefcount == 0) FreeTupleDesc(own);
}

void EndAnalysis() {
    HideColumns();
    ForgetColumns();
}

void OnTransactionEnd(XactEvent, void*) { EndAnalysis(); }
void OnSubtransactionEnd(SubXactEvent, SubTransactionId, SubTransactionId, void*) { EndAnalysis(); }

// --- the row_type node -----------------------------------------------------------------------------------------------------

// The columns of a call of which only the raw form is known; NIL if its arguments are no constants.
List* ColumnsOfRaw(const ParseState* pstate, const FuncCall* call) {
    ListCell* cell;
    foreach (cell, call->args) {
        if (HasVariables(static_cast<Node*>(lfirst(cell)))) return NIL;
    }
    List* columns = NIL;
    List* const outer = filled_calls;
    ErrorContextCallback* const callbacks = error_context_stack;
    PG_TRY();
    {
        filled_calls = list_append_unique_int(list_copy(outer), call->location);
        error_context_stack = callbacks->previous;
        ParseState* state = make_parsestate(nullptr);
        state->p_sourcetext = pstate->p_sourcetext;
        Node* analysed = transformExpr(state, static_cast<Node*>(copyObjectImpl(call)), EXPR_KIND_FROM_FUNCTION);
        if (IsA(analysed, FuncExpr)) columns = ColumnsOf(reinterpret_cast<FuncExpr*>(analysed));
        free_parsestate(state);
    }
    PG_FINALLY();
    {
        error_context_stack = callbacks;
        filled_calls = outer;
    }
    PG_END_TRY();
    return columns;
}

// The call of a lake function in an entry of FROM, or null if there are several: they would have the same columns.
const FuncCall* OnlyLakeCall(const RangeFunction* range) {
    const FuncCall* found = nullptr;
    ListCell* cell;
    foreach (cell, range->functions) {
        const auto* function = static_cast<Node*>(linitial(lfirst_node(List, cell)));
        if (!IsA(function, FuncCall) || !IsLakeName(reinterpret_cast<const FuncCall*>(function)->funcname)) continue;
        if (found) return nullptr;
        found = reinterpret_cast<const FuncCall*>(function);
    }
    return found;
}

// The type that the rows of the call being looked up shall have.
Oid TypeOfRows() {
    const ErrorContextCallback* callback = error_context_stack;
    if (!callback || callback->callback != parser_callback) return RECORDOID;
    const auto* parsing = static_cast<const ParseCallbackState*>(callback->arg);
    ParseState* pstate = parsing->pstate;
    if (!pstate || !pstate->p_sourcetext || parsing->location < 0) return RECORDOID;
    const int location = parsing->location;
    if (list_member_int(filled_calls, location)) return RECORDOID;
    List* statements = ParseAgain(pstate->p_sourcetext);
    if (statements == NIL) return RECORDOID;
    const CallPlace place = FindCall(statements, location);
    if (!place.range && !place.seen)
        return RECORDOID;  // somewhere in a utility statement: the stricter form is expected there
    if (place.range) {
        if (place.range->coldeflist != NIL) return RECORDOID;
        ListCell* cell;
        foreach (cell, place.range->functions) {
            if (lsecond(lfirst_node(List, cell))) return RECORDOID;
        }
    }
    if (bare_text) pfree(bare_text);
    bare_text = nullptr;
    bare_text = MemoryContextStrdup(TopMemoryContext, pstate->p_sourcetext);
    for (ParseState* level = pstate; level; level = level->parentParseState) {
        if (level->p_post_columnref_hook == ResolveColumn) continue;
        previous_columnref = level->p_post_columnref_hook;
        level->p_post_columnref_hook = ResolveColumn;
    }
    const Oid columns_type = LakeColumnsType();
    const FuncCall* call = place.range && place.is_analysed ? OnlyLakeCall(place.range) : nullptr;
    if (call && OidIsValid(columns_type)) {
        List* columns = ColumnsOfRaw(pstate, call);
        if (columns != NIL) {
            ShowColumns(columns_type, columns);
            return columns_type;
        }
    }
    return LakeRowType();
}

void read_row_type(ExtensibleNode* node) {
    // The node becomes another in place: it is at least as large as a Const.
    const Oid type = TypeOfRows();
    auto* constant = reinterpret_cast<Const*>(node);
    memset(constant, 0, sizeof(Const));
    NodeSetTag(constant, T_Const);
    constant->consttype = OidIsValid(type) ? type : RECORDOID;
    constant->consttypmod = -1;
    constant->constlen = -1;
    constant->constisnull = true;
    constant->location = -1;
}

void copy_row_type(ExtensibleNode*, const ExtensibleNode*) {}
bool equal_row_type(const ExtensibleNode*, const ExtensibleNode*) { return true; }
void out_row_type(StringInfo, const ExtensibleNode*) {}

const ExtensibleNodeMethods kRowTypeMethods = {
    .extnodename = kNodeName,
    .node_size = Max(sizeof(Const), sizeof(ExtensibleNode)),
    .nodeCopy = copy_row_type,
    .nodeEqual = equal_row_type,
    .nodeOut = out_row_type,
    .nodeRead = read_row_type,
};

// --- the second analysis -----------------------------------------------------------------------------------------------------

// Finds the calls (FuncExpr*) whose rows have type mooncake.lake_columns.
struct BareCalls {
    Oid type;
    List* calls;
};

bool BareCallWalker(Node* node, void* arg) {
    auto* found = static_cast<BareCalls*>(arg);
    if (!node) return false;
    if (IsA(node, FuncExpr) && reinterpret_cast<FuncExpr*>(node)->funcresulttype == found->type &&
        IsLakeFunction(reinterpret_cast<FuncExpr*>(node)->funcid)) {
        found->calls = lappend(found->calls, node);
    }
    if (IsA(node, Query)) {
        auto* query = reinterpret_cast<::Query*>(node);
        if (query->utilityStmt) return BareCallWalker(InnerStatement(query->utilityStmt), arg);
        return query_tree_walker(query, BareCallWalker, arg, 0);
    }
    return expression_tree_walker(node, BareCallWalker, arg);
}

// Gives a call in FROM its column definition list.
bool FillColumns(RangeFunction* range, const FuncExpr* call) {
    List* definitions = NIL;
    ListCell* cell;
    foreach (cell, ColumnsOf(call)) {
        const auto* column = static_cast<FileColumn*>(lfirst(cell));
        definitions = lappend(
            definitions, makeColumnDef(column->name, column->type, column->typmod, get_typcollation(column->type)));
    }
    if (definitions != NIL) DefineColumns(range, call->location, definitions);
    return definitions != NIL;
}

// The raw statement that was analysed into "query".
Node* RawStatementOf(RawStmt* raw, const ::Query* query) {
    if (query->commandType == CMD_UTILITY) return raw->stmt;
    return InnerStatement(raw->stmt);
}

void AnalyseAgain(ParseState* pstate, ::Query* query) {
    BareCalls bare{LakeColumnsType(), NIL};
    if (!OidIsValid(bare.type)) return;
    BareCallWalker(reinterpret_cast<Node*>(query), &bare);
    if (bare.calls == NIL) return;
    List* statements = ParseAgain(pstate->p_sourcetext);
    List* places = NIL;
    ListCell* cell;
    RawStmt* raw = StatementOf(statements, static_cast<FuncExpr*>(linitial(bare.calls))->location);
    foreach (cell, bare.calls) {
        const auto* call = static_cast<FuncExpr*>(lfirst(cell));
        if (list_member_int(places, call->location)) continue;
        RangeFunction* range = FindCall(statements, call->location).range;
        if (!raw || !range || !FillColumns(range, call))
            elog(ERROR, "call of a lake function was not found again in its statement");
        places = lappend_int(places, call->location);
    }
    NameColumns(InnerStatement(raw->stmt), NamedColumns());

    ParseState* again = make_parsestate(nullptr);
    again->p_sourcetext = pstate->p_sourcetext;
    again->p_queryEnv = pstate->p_queryEnv;
    again->p_pre_columnref_hook = pstate->p_pre_columnref_hook;
    if (pstate->p_post_columnref_hook != ResolveColumn) previous_columnref = pstate->p_post_columnref_hook;
    again->p_post_columnref_hook = ResolveColumn;
    again->p_paramref_hook = pstate->p_paramref_hook;
    again->p_coerce_param_hook = pstate->p_coerce_param_hook;
    again->p_ref_hook_state = pstate->p_ref_hook_state;
    RawStmt* statement = makeNode(RawStmt);
    statement->stmt = RawStatementOf(raw, query);
    statement->stmt_location = query->stmt_location;
    statement->stmt_len = query->stmt_len;
    ::Query* volatile analysed = nullptr;
    List* const outer = filled_calls;
    PG_TRY();
    {
        filled_calls = places;
        analysed = transformTopLevelStmt(again, statement);
    }
    PG_FINALLY();
    {
        filled_calls = outer;
    }
    PG_END_TRY();
    analysed->queryId = query->queryId;
    free_parsestate(again);
    *query = *analysed;
}

void OnAnalyze(ParseState* pstate, ::Query* query, JumbleState* jumble) {
    const bool is_bare = bare_text && pstate->p_sourcetext && strcmp(pstate->p_sourcetext, bare_text) == 0;
    // No other utility statement holds a query that was analysed; some run where the catalog can't be read.
    const bool has_query = query->commandType != CMD_UTILITY || IsA(query->utilityStmt, ExplainStmt) ||
                           IsA(query->utilityStmt, CreateTableAsStmt) || IsA(query->utilityStmt, DeclareCursorStmt);
    if (is_bare && has_query) AnalyseAgain(pstate, query);
    EndAnalysis();
    if (previous_analyze) previous_analyze(pstate, query, jumble);
}

}  // namespace

void InstallLakeAnalysis() {
    ParseCallbackState probe;
    setup_parser_errposition_callback(&probe, nullptr, -1);
    parser_callback = probe.errcallback.callback;
    cancel_parser_errposition_callback(&probe);
    RegisterExtensibleNodeMethods(&kRowTypeMethods);
    RegisterXactCallback(OnTransactionEnd, nullptr);
    RegisterSubXactCallback(OnSubtransactionEnd, nullptr);
    previous_analyze = post_parse_analyze_hook;
    post_parse_analyze_hook = OnAnalyze;
}

}  // namespace ivy::duck

namespace ivy::duck {

namespace {

// Subscripts for mooncake.lake_columns: CREATE TYPE has none for composite types.
void SettleSubscripts() {
    HeapTuple row = SearchSysCache1(TYPEOID, ObjectIdGetDatum(LakeRowType()));
    if (!HeapTupleIsValid(row)) elog(ERROR, "type mooncake.lake_row does not exist");
    const Oid handler = reinterpret_cast<Form_pg_type>(GETSTRUCT(row))->typsubscript;
    ReleaseSysCache(row);
    HeapTuple tuple = SearchSysCacheCopy1(TYPEOID, ObjectIdGetDatum(LakeColumnsType()));
    if (!HeapTupleIsValid(tuple)) elog(ERROR, "type mooncake.lake_columns does not exist");
    reinterpret_cast<Form_pg_type>(GETSTRUCT(tuple))->typsubscript = handler;
    Relation catalog = table_open(TypeRelationId, RowExclusiveLock);
    CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
    table_close(catalog, RowExclusiveLock);
}

}  // namespace

}  // namespace ivy::duck

// Puts the node of our own in the place of the default of the last argument of each lake function.
Datum duckdb_settle_row_types(PG_FUNCTION_ARGS) {
    using namespace ivy::duck;
    Relation catalog = table_open(ProcedureRelationId, RowExclusiveLock);
    TableScanDesc scan = table_beginscan_catalog(catalog, 0, nullptr);
    List* found = NIL;
    HeapTuple tuple;
    while ((tuple = heap_getnext(scan, ForwardScanDirection)) != nullptr) {
        const Oid oid = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple))->oid;
        if (IsLakeFunction(oid)) found = lappend_oid(found, oid);
    }
    table_endscan(scan);
    ListCell* cell;
    foreach (cell, found) {
        tuple = SearchSysCacheCopy1(PROCOID, ObjectIdGetDatum(lfirst_oid(cell)));
        char* stored = TextDatumGetCString(SysCacheGetAttrNotNull(PROCOID, tuple, Anum_pg_proc_proargdefaults));
        auto* defaults = static_cast<List*>(stringToNode(stored));
        auto* node = reinterpret_cast<ExtensibleNode*>(newNode(kRowTypeMethods.node_size, T_ExtensibleNode));
        node->extnodename = kNodeName;
        llast(defaults) = node;
        Datum values[Natts_pg_proc] = {};
        bool nulls[Natts_pg_proc] = {};
        bool replaced[Natts_pg_proc] = {};
        values[Anum_pg_proc_proargdefaults - 1] = CStringGetTextDatum(nodeToString(defaults));
        replaced[Anum_pg_proc_proargdefaults - 1] = true;
        HeapTuple changed = heap_modify_tuple(tuple, RelationGetDescr(catalog), values, nulls, replaced);
        CatalogTupleUpdate(catalog, &changed->t_self, changed);
    }
    table_close(catalog, RowExclusiveLock);
    SettleSubscripts();
    PG_RETURN_VOID();
}
