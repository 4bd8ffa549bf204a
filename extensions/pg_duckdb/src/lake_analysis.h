// SPDX-License-Identifier: Apache-2.0
//
// Lake functions without a column definition list, as in SELECT * FROM mooncake.read_csv('/a.csv').
//
// Postgres must know the columns of a function in FROM while it analyses the statement, and decides from the function's
// declared type alone whether there may, or must, be a column definition list. There is no hook before the analysis. So:
//
//   1. The type of a lake function's rows is that of its last argument, row_type, whose default is a node of our own kind.
//      Postgres reads that node while it looks the function up, which tells us the place of the call in the statement's
//      text. With a column definition list there, the node becomes a NULL of type record, as the list needs it. Without,
//      the files are asked for their columns, and it becomes one of the composite type mooncake.lake_columns, which has
//      just these columns in this process's cache of types until the analysis ends. So the first analysis sees them all:
//      "*", JOIN ... USING, GROUP BY 2, r['user_id'].
//   2. When it is done, the statement's text is parsed once more, the column definition lists that are missing are filled
//      in, and the statement is analysed anew. So what is stored in a view is the columns and not our type, and does not
//      depend on the file's being there.
//
// Where the columns can't be known at analysis (the path is a parameter or another table's column), or no second analysis
// takes place (bodies of functions in BEGIN ATOMIC, rules), rows have type mooncake.lake_row: JSON objects whose columns
// are got by subscripts, text unless the columns are known. There, a column's bare name is understood as a subscript.
#pragma once

#include "pg/postgres_api.h"

namespace ivy::duck {

// Call in _PG_init.
void InstallLakeAnalysis();

}  // namespace ivy::duck
