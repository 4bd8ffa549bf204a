// SPDX-License-Identifier: Apache-2.0
//
// mooncake.lake_row: a row of a file whose columns are got by subscripts. While a statement is analysed, a row is followed
// to the call that it comes from, so that a subscript has the type of the file's column.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "nodes/parsenodes.h"
#include "parser/parse_node.h"
}

#include "lake_columns.h"

namespace ivy::duck {

// The columns (FileColumn*) of a call's files if its arguments are constants, else NIL. Asked once a statement; ereports if
// the user may not read them.
List* ColumnsOf(const FuncExpr* call);
// Ends what ColumnsOf and NamedColumns take for a statement.
void ForgetColumns();

// A subscript of a row of type mooncake.lake_columns, r['x'], that was analysed: the place of "r" and the column's name.
struct NamedColumn {
    int location;
    const char* name;
};
List* NamedColumns();  // NamedColumn*

// The call of a lake function that an entry in FROM is, or null.
FuncExpr* LakeCallOfEntry(const RangeTblEntry* rte);

// The call that gives an entry's rows of type mooncake.lake_row ("row_type"), or null.
FuncExpr* RowCallOf(const RangeTblEntry* rte, Oid row_type);

// The call whose rows column "attno" of an entry holds, followed through subqueries and WITH queries, or null.
FuncExpr* TraceColumn(ParseState* pstate, RangeTblEntry* rte, AttrNumber attno, Oid row_type, int depth = 0);

// A column by its name: exactly, else without regard to case; or null.
const FileColumn* FindFileColumn(List* columns, const char* name);

}  // namespace ivy::duck
