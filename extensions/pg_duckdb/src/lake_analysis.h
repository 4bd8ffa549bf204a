// SPDX-License-Identifier: Apache-2.0
//
// Lake functions without a column definition list, as in SELECT * FROM mooncake.read_csv('/a.csv').
//
// Postgres must know the columns of a function in FROM while it analyses the statement, and decides from the function's
// declared type alone whether there may, or must, be a column definition list. There is no hook before the analysis. So:
//
//   1. The type of a lake function's rows is that of its last argument, row_type, whose default is a node of our own kind.
//      Postgres reads that node while it looks the function up, which tells us the place of the call in the statement's
//      text. With a column definition list there, the node becomes a NULL of type record, as the list needs it; without,
//      one of type mooncake.lake_row, whose columns are got by subscripts: r['user_id'] has the type that the column has in
//      the file. A column's bare name is understood as such a subscript.
//   2. When the analysis is done, the statement's text is parsed once more, the column definition lists that are missing are
//      filled in from what the files hold, and the statement is analysed anew. So "*" means the columns of the file, and
//      what is stored in a view does not depend on the file's being there.
//
// What fails in the first analysis can't get to the second: there, "*" is one column. docs/lake.md says what that rules
// out. Where a path is not known at analysis (a parameter) the second does not take place: rows are JSON objects then, and
// subscripts text.
#pragma once

#include "pg/postgres_api.h"

namespace ivy::duck {

// Call in _PG_init.
void InstallLakeAnalysis();

}  // namespace ivy::duck
