// SPDX-License-Identifier: Apache-2.0
//
// Lake functions in raw parse trees: statements that are parsed once more from their text, calls found in them by their
// place, and column definition lists put where there are none.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
}

namespace ivy::duck {

// The statement inside a utility statement, or the statement itself.
Node* InnerStatement(Node* statement);

// Parses text that was parsed before, in one of the modes that there are. NIL if it can't be.
List* ParseAgain(const char* text);

// Calls a walker of raw expressions for the statements (a list or one) that may have calls of functions in FROM. False if one
// is of a kind that is not looked into.
bool WalkStatements(Node* statements, tree_walker_callback walker, void* arg);

// Whether a text may have a call of a lake function: for leaving out others at little cost.
bool MentionsLakeFunction(const char* text);

// Where a call stands.
struct CallPlace {
    RangeFunction* range;  // the entry of FROM whose function the call is, or null
    bool seen;             // the search saw all of the statements: without "range" the call is not in FROM
    bool
        is_analysed;  // post_parse_analyze_hook will be called for the statement: not so for bodies of functions and rules
};

CallPlace FindCall(List* statements, int location);

// The statement in which a call stands, or null.
RawStmt* StatementOf(List* statements, int location);

// Whether an expression has columns, parameters or subqueries.
bool HasVariables(Node* expression);

// Whether a function's name, as written, is that of a lake function.
bool IsLakeName(const List* name);

// Gives the call of an entry of FROM the column definition list "columns" (ColumnDef*), in place. An alias with names of its
// own for the columns is put around it.
void DefineColumns(RangeFunction* range, int location, List* columns);

// r['x'] to (r).x, for the subscripts in "named" (NamedColumn*), in place.
void NameColumns(Node* statement, List* named);

}  // namespace ivy::duck
