// SPDX-License-Identifier: Apache-2.0
// Raw statements with calls of lake functions.
#include "lake_raw.h"

#include "lake_function.h"
#include "lake_row.h"

extern "C" {
#include "nodes/makefuncs.h"
#include "parser/parser.h"
}

namespace ivy::duck {

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

namespace {

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

// The body of a statement that defines something by statements of its own, or null.
Node* BodyOf(Node* statement) {
    if (IsA(statement, CreateFunctionStmt)) return reinterpret_cast<CreateFunctionStmt*>(statement)->sql_body;
    if (IsA(statement, RuleStmt)) return reinterpret_cast<Node*>(reinterpret_cast<RuleStmt*>(statement)->actions);
    return nullptr;
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

bool VariableWalker(Node* node, void* arg) {
    if (!node) return false;
    if (IsA(node, ColumnRef) || IsA(node, ParamRef) || IsA(node, SubLink)) return true;
    return raw_expression_tree_walker(node, VariableWalker, arg);
}

bool NameColumnsWalker(Node* node, void* arg) {
    if (!node) return false;
    if (IsA(node, A_Indirection)) {
        const auto* indirection = reinterpret_cast<A_Indirection*>(node);
        ListCell* cell;
        foreach (cell, IsA(indirection->arg, ColumnRef) ? static_cast<List*>(arg) : NIL) {
            const auto* named = static_cast<NamedColumn*>(lfirst(cell));
            if (reinterpret_cast<ColumnRef*>(indirection->arg)->location != named->location) continue;
            linitial(indirection->indirection) = makeString(pstrdup(named->name));
        }
    }
    return raw_expression_tree_walker(node, NameColumnsWalker, arg);
}

}  // namespace

List* ParseAgain(const char* text) {
    for (const RawParseMode mode : {RAW_PARSE_DEFAULT, RAW_PARSE_PLPGSQL_EXPR, RAW_PARSE_PLPGSQL_ASSIGN1,
                                    RAW_PARSE_PLPGSQL_ASSIGN2, RAW_PARSE_PLPGSQL_ASSIGN3}) {
        if (List* statements = ParseIn(mode, text)) return statements;
    }
    return NIL;
}

bool WalkStatements(Node* statements, tree_walker_callback walker, void* arg) {
    if (!statements) return true;
    if (IsA(statements, List)) {
        bool known = true;
        ListCell* cell;
        foreach (cell, reinterpret_cast<List*>(statements)) {
            known = WalkStatements(static_cast<Node*>(lfirst(cell)), walker, arg) && known;
        }
        return known;
    }
    Node* inner = InnerStatement(statements);
    if (!inner) return true;
    switch (nodeTag(inner)) {
        case T_SelectStmt:
        case T_InsertStmt:
        case T_UpdateStmt:
        case T_DeleteStmt:
        case T_MergeStmt:
        case T_PLAssignStmt: walker(inner, arg); return true;
        case T_ReturnStmt: walker(reinterpret_cast<ReturnStmt*>(inner)->returnval, arg); return true;
        case T_CreateFunctionStmt:
        case T_RuleStmt: return WalkStatements(BodyOf(inner), walker, arg);
        default: return false;
    }
}

bool MentionsLakeFunction(const char* text) {
    for (const char* at = text; *at; at++) {
        if (*at != '_') continue;
        // read_..., ..._scan, iceberg_...
        if ((at - text >= 4 && pg_strncasecmp(at - 4, "read", 4) == 0) || pg_strncasecmp(at + 1, "scan", 4) == 0 ||
            (at - text >= 7 && pg_strncasecmp(at - 7, "iceberg", 7) == 0)) {
            return true;
        }
    }
    return false;
}

CallPlace FindCall(List* statements, int location) {
    CallSearch search{location, nullptr};
    const bool seen = WalkStatements(reinterpret_cast<Node*>(statements), CallSearchWalker, &search);
    CallSearch in_body{location, nullptr};
    ListCell* cell;
    foreach (cell, statements) {
        if (Node* body = BodyOf(InnerStatement(static_cast<Node*>(lfirst(cell))))) {
            WalkStatements(body, CallSearchWalker, &in_body);
        }
    }
    return {search.found, seen, !in_body.found};
}

RawStmt* StatementOf(List* statements, int location) {
    ListCell* cell;
    foreach (cell, statements) {
        CallSearch search{location, nullptr};
        auto* candidate = lfirst_node(RawStmt, cell);
        if (CallSearchWalker(InnerStatement(candidate->stmt), &search)) return candidate;
    }
    return nullptr;
}

bool HasVariables(Node* expression) { return VariableWalker(expression, nullptr); }

bool IsLakeName(const List* name) {
    const char* schema = list_length(name) > 1 ? strVal(list_nth(name, list_length(name) - 2)) : nullptr;
    return FindLakeReader(strVal(llast(name))) && (!schema || strcmp(schema, "mooncake") == 0);
}

void DefineColumns(RangeFunction* range, int location, List* columns) {
    if (list_length(range->functions) > 1 || range->ordinality) {
        ListCell* cell;
        foreach (cell, range->functions) {
            auto* pair = lfirst_node(List, cell);
            if (exprLocation(static_cast<Node*>(linitial(pair))) == location) lsecond(pair) = columns;
        }
        return;
    }
    auto* call = linitial_node(FuncCall, linitial_node(List, range->functions));
    char* function = strVal(llast(call->funcname));
    if (!range->alias) range->alias = makeAlias(function, NIL);
    if (range->alias->colnames == NIL) {
        range->coldeflist = columns;
        return;
    }
    // AS r(a, b): other names above the file's, which a view must keep. The entry becomes a subquery, in place.
    RangeFunction* inner = makeNode(RangeFunction);
    memcpy(inner, range, sizeof(RangeFunction));
    inner->lateral = false;
    inner->alias = makeAlias(function, NIL);
    inner->coldeflist = columns;
    ColumnRef* star = makeNode(ColumnRef);
    star->fields = list_make1(makeNode(A_Star));
    star->location = -1;
    ResTarget* target = makeNode(ResTarget);
    target->val = reinterpret_cast<Node*>(star);
    target->location = -1;
    SelectStmt* select = makeNode(SelectStmt);
    select->targetList = list_make1(target);
    select->fromClause = list_make1(inner);
    RangeSubselect* outer = makeNode(RangeSubselect);
    outer->lateral = range->lateral;
    outer->subquery = reinterpret_cast<Node*>(select);
    outer->alias = range->alias;
    static_assert(sizeof(RangeSubselect) <= sizeof(RangeFunction));
    memcpy(static_cast<void*>(range), outer, sizeof(RangeSubselect));
}

void NameColumns(Node* statement, List* named) { NameColumnsWalker(statement, named); }

}  // namespace ivy::duck
