// SPDX-License-Identifier: Apache-2.0
// Lake functions in parse analysis: the row_type node, column names, and the second analysis.
#include "lake_analysis.h"

#include "lake_columns.h"
#include "lake_function.h"
#include "lake_row.h"

extern "C" {
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_proc.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(duckdb_settle_row_types);
}

namespace ivy::duck {

namespace {

constexpr char kNodeName[] = "ivy_lake_row_type";

post_parse_analyze_hook_type previous_analyze;
PostParseColumnRefHook previous_columnref;
void (*parser_callback)(void*);  // what the parser pushes on the error context stack around the look-up of a function
List* filled_calls;              // places of calls that the second analysis, under way, gave a column definition list
char* bare_text;                 // of the statement in which a call without column definition list was last seen (a copy: an error may have ended it)

// --- the raw statement -----------------------------------------------------------------------------------------------

// The statement inside a utility statement, or the statement itself.
Node* InnerStatement(Node* statement) {
    switch (nodeTag(statement)) {
        case T_RawStmt: return InnerStatement(reinterpret_cast<RawStmt*>(statement)->stmt);
        case T_ExplainStmt: return InnerStatement(reinterpret_cast<ExplainStmt*>(statement)->query);
        case T_CreateTableAsStmt: return reinterpret_cast<CreateTableAsStmt*>(statement)->query;
        case T_DeclareCursorStmt: return reinterpret_cast<DeclareCursorStmt*>(statement)->query;
        case T_ViewStmt: return reinterpret_cast<ViewStmt*>(statement)->query;
        case T_PrepareStmt: return reinterpret_cast<PrepareStmt*>(statement)->query;
        case T_CopyStmt: return reinterpret_cast<CopyStmt*>(statement)->query;
        default: return statement;
    }
}

struct CallSearch {
    int location;
    RangeFunction* found;
};

bool CallSearchWalker(Node* node, void* arg) {
    auto* search = static_cast<CallSearch*>(arg);
    if (!node) return false;
    if (IsA(node, RangeFunction)) {
        auto* range = reinterpret_cast<RangeFunction*>(node);
        ListCell* cell;
        foreach (cell, range->functions) {
            auto* call = static_cast<Node*>(linitial(lfirst_node(List, cell)));
            if (!IsA(call, FuncCall) || reinterpret_cast<FuncCall*>(call)->location != search->location) continue;
            search->found = range;
            return true;
        }
    }
    return raw_expression_tree_walker(node, CallSearchWalker, arg);
}

// Looks for the call in a statement. False if the statement is of a kind that raw_expression_tree_walker doesn't know.
bool SearchStatement(Node* statement, CallSearch* search) {
    if (!statement) return true;
    if (IsA(statement, List)) {
        bool known = true;
        ListCell* cell;
        foreach (cell, reinterpret_cast<List*>(statement)) {
            known = SearchStatement(static_cast<Node*>(lfirst(cell)), search) && known;
        }
        return known;
    }
    Node* inner = InnerStatement(statement);
    switch (nodeTag(inner)) {
        case T_SelectStmt:
        case T_InsertStmt:
        case T_UpdateStmt:
        case T_DeleteStmt:
        case T_MergeStmt:
        case T_PLAssignStmt:
            CallSearchWalker(inner, search);
            return true;
        case T_CreateFunctionStmt: return SearchStatement(reinterpret_cast<CreateFunctionStmt*>(inner)->sql_body, search);
        case T_ReturnStmt: CallSearchWalker(reinterpret_cast<ReturnStmt*>(inner)->returnval, search); return true;
        case T_RuleStmt: return SearchStatement(reinterpret_cast<Node*>(reinterpret_cast<RuleStmt*>(inner)->actions), search);
        default: return false;
    }
}

RangeFunction* FindCall(List* statements, int location) {
    CallSearch search{location, nullptr};
    SearchStatement(reinterpret_cast<Node*>(statements), &search);
    return search.found;
}

// The raw statements of a text in one mode, or NIL if it can't be parsed so.
List* ParseIn(RawParseMode mode, const char* text) {
    List* volatile statements = NIL;
    MemoryContext context = CurrentMemoryContext;
    ErrorContextCallback* const callbacks = error_context_stack;
    PG_TRY();
    {
        error_context_stack = nullptr;
        statements = raw_parser(text, mode);
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(context);
        FlushErrorState();
    }
    PG_END_TRY();
    error_context_stack = callbacks;
    return statements;
}

// Parses text that was parsed before, in one of the modes that there are.
List* ParseAgain(const char* text) {
    for (const RawParseMode mode : {RAW_PARSE_DEFAULT, RAW_PARSE_PLPGSQL_EXPR, RAW_PARSE_PLPGSQL_ASSIGN1,
                                    RAW_PARSE_PLPGSQL_ASSIGN2, RAW_PARSE_PLPGSQL_ASSIGN3}) {
        if (List* statements = ParseIn(mode, text)) return statements;
    }
    return NIL;
}

// --- column names as subscripts ------------------------------------------------------------------------------------------

Node* MakeSubscript(Var* row, const FileColumn* column, Oid row_type) {
    SubscriptingRef* ref = makeNode(SubscriptingRef);
    ref->refcontainertype = row_type;
    ref->refrestype = column->type;
    ref->reftypmod = column->typmod;
    ref->refcollid = get_typcollation(column->type);
    ref->refexpr = reinterpret_cast<Expr*>(row);
    ref->refupperindexpr = list_make1(
        makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1, CStringGetTextDatum(column->name), false, false));
    return reinterpret_cast<Node*>(ref);
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
    int levels_up = 0;
    for (ParseState* level = pstate; level; level = level->parentParseState, levels_up++) {
        ListCell* cell;
        foreach (cell, level->p_namespace) {
            auto* item = static_cast<ParseNamespaceItem*>(lfirst(cell));
            if (item->p_rte->rtekind == RTE_JOIN) continue;
            if (table && strcmp(item->p_names->aliasname, table) != 0) continue;
            const int columns = list_length(item->p_names->colnames);
            for (int i = 0; i < columns; i++) {
                const ParseNamespaceColumn* source = &item->p_nscolumns[i];
                if (source->p_vartype != row_type) continue;
                const FuncExpr* call = TraceColumn(level, item->p_rte, static_cast<AttrNumber>(i + 1), row_type);
                const FileColumn* column = call ? FindFileColumn(ColumnsOf(call), name) : nullptr;
                if (!column) continue;
                Var* row = makeVar(static_cast<int>(source->p_varno), source->p_varattno, row_type, -1, InvalidOid,
                                   static_cast<Index>(levels_up));
                row->location = reference->location;
                markNullableIfNeeded(pstate, row);
                return MakeSubscript(row, column, row_type);
            }
        }
    }
    return nullptr;
}

// --- the row_type node -----------------------------------------------------------------------------------------------------

// The call that is being looked up, if it is in FROM without a column definition list.
bool IsBareCall() {
    const ErrorContextCallback* callback = error_context_stack;
    if (!callback || callback->callback != parser_callback) return false;
    const auto* parsing = static_cast<const ParseCallbackState*>(callback->arg);
    ParseState* pstate = parsing->pstate;
    if (!pstate || !pstate->p_sourcetext || parsing->location < 0) return false;
    if (list_member_int(filled_calls, parsing->location)) return false;
    List* statements = ParseAgain(pstate->p_sourcetext);
    if (statements == NIL) return false;
    CallSearch search{parsing->location, nullptr};
    const bool seen = SearchStatement(reinterpret_cast<Node*>(statements), &search);
    if (!search.found && !seen) return false;  // somewhere in a utility statement: the stricter form is expected there
    if (search.found) {
        if (search.found->coldeflist != NIL) return false;
        ListCell* cell;
        foreach (cell, search.found->functions) {
            if (lsecond(lfirst_node(List, cell))) return false;
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
    return true;
}

void read_row_type(ExtensibleNode* node) {
    // The node becomes another in place: it is at least as large as a Const.
    Oid type = RECORDOID;
    if (IsBareCall()) type = LakeRowType();
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

struct BareCalls {
    Oid row_type;
    List* calls;  // FuncExpr*
};

bool BareCallWalker(Node* node, void* arg) {
    auto* found = static_cast<BareCalls*>(arg);
    if (!node) return false;
    if (IsA(node, RangeTblEntry)) {
        if (FuncExpr* call = RowCallOf(reinterpret_cast<RangeTblEntry*>(node), found->row_type)) {
            found->calls = lappend(found->calls, call);
        }
        return false;
    }
    if (IsA(node, Query)) {
        auto* query = reinterpret_cast<::Query*>(node);
        if (query->utilityStmt) return BareCallWalker(InnerStatement(query->utilityStmt), arg);
        return query_tree_walker(query, BareCallWalker, arg, QTW_EXAMINE_RTES_BEFORE);
    }
    return expression_tree_walker(node, BareCallWalker, arg);
}

// Gives a call in FROM its column definition list.
bool FillColumns(RangeFunction* range, const FuncExpr* call) {
    if (list_length(range->functions) != 1 || range->ordinality) return false;
    List* columns = ColumnsOf(call);
    if (columns == NIL) return false;
    ListCell* cell;
    foreach (cell, columns) {
        const auto* column = static_cast<FileColumn*>(lfirst(cell));
        range->coldeflist = lappend(range->coldeflist, makeColumnDef(column->name, column->type, column->typmod,
                                                                     get_typcollation(column->type)));
    }
    if (!range->alias) {
        auto* name = linitial_node(FuncCall, linitial_node(List, range->functions));
        range->alias = makeAlias(strVal(llast(name->funcname)), NIL);
    }
    return true;
}

// r['x'] to r.x, for the names that have columns now.
bool NameColumnsWalker(Node* node, void* arg) {
    auto* aliases = static_cast<List*>(arg);
    if (!node) return false;
    if (IsA(node, A_Indirection)) {
        auto* indirection = reinterpret_cast<A_Indirection*>(node);
        auto* first = static_cast<Node*>(linitial(indirection->indirection));
        if (IsA(indirection->arg, ColumnRef) && IsA(first, A_Indices)) {
            auto* reference = reinterpret_cast<ColumnRef*>(indirection->arg);
            const auto* index = reinterpret_cast<A_Indices*>(first);
            const bool is_name = !index->is_slice && index->uidx && IsA(index->uidx, A_Const) &&
                                 !reinterpret_cast<A_Const*>(index->uidx)->isnull &&
                                 IsA(&reinterpret_cast<A_Const*>(index->uidx)->val, String);
            auto* last = static_cast<Node*>(llast(reference->fields));
            ListCell* cell;
            foreach (cell, is_name && IsA(last, String) ? aliases : NIL) {
                if (strcmp(static_cast<char*>(lfirst(cell)), strVal(last)) != 0) continue;
                ColumnRef* column = makeNode(ColumnRef);
                column->fields = list_make2(last, makeString(strVal(&reinterpret_cast<A_Const*>(index->uidx)->val)));
                column->location = reference->location;
                indirection->arg = reinterpret_cast<Node*>(column);
                indirection->indirection = list_delete_first(indirection->indirection);
                // Without further subscripts the parser would not make such a node: it becomes the column, in place.
                static_assert(sizeof(ColumnRef) <= sizeof(A_Indirection));
                if (indirection->indirection == NIL) memcpy(node, column, sizeof(ColumnRef));
                return false;
            }
        }
    }
    return raw_expression_tree_walker(node, NameColumnsWalker, arg);
}

// The raw statement that was analysed into "query".
Node* RawStatementOf(RawStmt* raw, const ::Query* query) {
    if (query->commandType == CMD_UTILITY) return raw->stmt;
    return InnerStatement(raw->stmt);
}

void AnalyseAgain(ParseState* pstate, ::Query* query) {
    BareCalls bare{LakeRowType(), NIL};
    BareCallWalker(reinterpret_cast<Node*>(query), &bare);
    if (bare.calls == NIL) return;
    List* statements = ParseAgain(pstate->p_sourcetext);
    List* aliases = NIL;
    List* places = NIL;
    ListCell* cell;
    foreach (cell, bare.calls) {
        const auto* call = static_cast<FuncExpr*>(lfirst(cell));
        RangeFunction* range = FindCall(statements, call->location);
        if (!range || !FillColumns(range, call)) continue;
        aliases = lappend(aliases, range->alias->aliasname);
        places = lappend_int(places, call->location);
    }
    if (aliases == NIL) return;
    RawStmt* raw = nullptr;
    foreach (cell, statements) {
        CallSearch search{static_cast<FuncExpr*>(linitial(bare.calls))->location, nullptr};
        auto* candidate = lfirst_node(RawStmt, cell);
        if (CallSearchWalker(InnerStatement(candidate->stmt), &search)) raw = candidate;
    }
    if (!raw) return;
    NameColumnsWalker(InnerStatement(raw->stmt), aliases);

    ParseState* again = make_parsestate(nullptr);
    again->p_sourcetext = pstate->p_sourcetext;
    again->p_queryEnv = pstate->p_queryEnv;
    again->p_pre_columnref_hook = pstate->p_pre_columnref_hook;
    again->p_post_columnref_hook = pstate->p_post_columnref_hook == ResolveColumn ? previous_columnref
                                                                                  : pstate->p_post_columnref_hook;
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
    if (previous_analyze) previous_analyze(pstate, query, jumble);
}

}  // namespace

void InstallLakeAnalysis() {
    ParseCallbackState probe;
    setup_parser_errposition_callback(&probe, nullptr, -1);
    parser_callback = probe.errcallback.callback;
    cancel_parser_errposition_callback(&probe);
    RegisterExtensibleNodeMethods(&kRowTypeMethods);
    previous_analyze = post_parse_analyze_hook;
    post_parse_analyze_hook = OnAnalyze;
}

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
    PG_RETURN_VOID();
}
