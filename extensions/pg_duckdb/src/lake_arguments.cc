// SPDX-License-Identifier: Apache-2.0
// NAME=VALUE arguments of lake functions: IvorySQL's parser, and a hint on PostgreSQL.
#include "lake_arguments.h"

#include "lake_function.h"
#include "lake_raw.h"

#ifdef PACKAGE_IVORYSQL_VERSION

extern "C" {
#include "nodes/nodeFuncs.h"
#include "parser/parser.h"
#include "utils/guc_tables.h"
}

namespace ivy::duck {

namespace {

raw_parser_hook_type standard_parser, oracle_parser;  // what is wrapped
GucEnumAssignHook previous_assign;

// The name in NAME=VALUE, or null.
char* ArgumentName(const Node* argument) {
    if (!IsA(argument, A_Expr)) return nullptr;
    const auto* expression = reinterpret_cast<const A_Expr*>(argument);
    if (expression->kind != AEXPR_OP || list_length(expression->name) != 1 ||
        strcmp(strVal(linitial(expression->name)), "=") != 0) {
        return nullptr;
    }
    const Node* left = expression->lexpr;
    // How the Oracle grammar has a name of which it does not know what it stands for.
    if (left && IsA(left, ColumnRefOrFuncCall)) {
        left = reinterpret_cast<const Node*>(reinterpret_cast<const ColumnRefOrFuncCall*>(left)->cref);
    }
    if (!left || !IsA(left, ColumnRef)) return nullptr;
    const auto* column = reinterpret_cast<const ColumnRef*>(left);
    if (list_length(column->fields) != 1 || !IsA(linitial(column->fields), String)) return nullptr;
    return strVal(linitial(column->fields));
}

bool NameArgumentsWalker(Node* node, void* arg) {
    if (!node) return false;
    if (IsA(node, FuncCall) && IsLakeName(reinterpret_cast<FuncCall*>(node)->funcname)) {
        ListCell* cell;
        foreach (cell, reinterpret_cast<FuncCall*>(node)->args) {
            auto* argument = static_cast<Node*>(lfirst(cell));
            char* name = foreach_current_index(cell) > 0 ? ArgumentName(argument) : nullptr;
            if (!name) continue;
            const auto* expression = reinterpret_cast<A_Expr*>(argument);
            NamedArgExpr* named = makeNode(NamedArgExpr);
            named->name = name;
            named->arg = reinterpret_cast<Expr*>(expression->rexpr);
            named->argnumber = -1;
            named->location = exprLocation(expression->lexpr);
            lfirst(cell) = named;
        }
    }
    return raw_expression_tree_walker(node, NameArgumentsWalker, arg);
}

List* NameArguments(List* statements, const char* text) {
    if (strchr(text, '=') && MentionsLakeFunction(text)) {
        WalkStatements(reinterpret_cast<Node*>(statements), NameArgumentsWalker, nullptr);
    }
    return statements;
}

List* parse_standard(const char* text, RawParseMode mode) { return NameArguments(standard_parser(text, mode), text); }

List* parse_oracle(const char* text, RawParseMode mode) { return NameArguments(oracle_parser(text, mode), text); }

void assign_mode(int value, void* extra) {
    if (previous_assign) previous_assign(value, extra);
    RenewLakeArguments();
}

}  // namespace

void RenewLakeArguments() {
    if (sql_raw_parser == standard_parser) sql_raw_parser = parse_standard;
    if (oracle_parser && sql_raw_parser == oracle_parser) sql_raw_parser = parse_oracle;
}

void InstallLakeArguments() {
    standard_parser = standard_raw_parser;
    if (ora_raw_parser) {
        oracle_parser = ora_raw_parser;
        ora_raw_parser = parse_oracle;
    }
    // The server puts its own parser in place when the mode changes.
    if (auto* option = find_option("ivorysql.compatible_mode", false, true, LOG);
        option && option->vartype == PGC_ENUM) {
        auto* mode = reinterpret_cast<config_enum*>(option);
        previous_assign = mode->assign_hook;
        mode->assign_hook = assign_mode;
    }
    RenewLakeArguments();
}

}  // namespace ivy::duck

#else

extern "C" {
#include "mb/pg_wchar.h"
#include "parser/scansup.h"
#include "tcop/tcopprot.h"
}

namespace ivy::duck {

namespace {

emit_log_hook_type previous_emit_log;

// Whether the text at a place (in characters, from 1) is NAME = and stands among the arguments of a lake function.
bool IsNamedByEquals(const char* text, int position) {
    const char* at = text;
    for (int i = 1; i < position && *at; i++) at += pg_mblen_cstr(at);
    const char* end = at;
    while (*end == '_' || *end == '"' || isalnum(static_cast<unsigned char>(*end)) || IS_HIGHBIT_SET(*end)) end++;
    if (end == at) return false;
    while (scanner_isspace(*end)) end++;
    if (*end != '=' || end[1] == '>') return false;
    // Back to the parenthesis that is open here, over those that are closed before and over strings.
    int depth = 0;
    for (const char* back = at; back-- > text;) {
        if (*back == '\'') {
            do {
                if (back == text) return false;
                back--;
            } while (*back != '\'');
        } else if (*back == ')') {
            depth++;
        } else if (*back == '(' && depth-- == 0) {
            const char* stop = back;
            while (stop > text && scanner_isspace(stop[-1])) stop--;
            const char* start = stop;
            while (start > text && (start[-1] == '_' || isalnum(static_cast<unsigned char>(start[-1])))) start--;
            char* name = downcase_identifier(start, static_cast<int>(stop - start), false, false);
            return FindLakeReader(name) != nullptr;
        }
    }
    return false;
}

void OnLog(ErrorData* error) {
    if (error->sqlerrcode == ERRCODE_UNDEFINED_COLUMN && !error->hint && !error->internalquery &&
        error->cursorpos > 0 && debug_query_string && MentionsLakeFunction(debug_query_string) &&
        IsNamedByEquals(debug_query_string, error->cursorpos)) {
        error->hint =
            MemoryContextStrdup(error->assoc_context, "PostgreSQL writes arguments by name as NAME => VALUE.");
    }
    if (previous_emit_log) previous_emit_log(error);
}

}  // namespace

void RenewLakeArguments() {}

void InstallLakeArguments() {
    previous_emit_log = emit_log_hook;
    emit_log_hook = OnLog;
}

}  // namespace ivy::duck

#endif
