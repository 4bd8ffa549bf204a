// SPDX-License-Identifier: Apache-2.0
//
// The columns of files, and how they become columns of a query.
//
// A column of a file has a DuckDB type, which stands for a Postgres type (its natural type). A declared column of another
// type gets the file's value by Postgres's cast. Where the engine is known to do just what that cast does (or fails where
// Postgres may not, which sends the query to Postgres), it is left to the engine, and the engine may compute with the
// result; else the backend casts what it receives.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "access/tupdesc.h"
#include "nodes/pg_list.h"
#include "nodes/primnodes.h"
}

#include "lake_function.h"
#include "protocol/column_chunk.h"

namespace ivy::duck {

// A column as the engine describes it.
struct FileColumn {
    const char* name;
    const char* duck_type;
    Oid type;  // its natural type in Postgres
    int32 typmod;
};

// Asks the engine for the columns of a call's files (FileColumn*). The caller has checked the user's rights. ereports.
List* DescribeFiles(const LakeCall* call);

// One declared column.
struct LakeColumn {
    const char* name;
    Oid type;
    int32 typmod;
    Oid collation;
    const char* expression;  // DuckDB SQL over the columns of the files
    ColumnType wire;         // its type
    Oid read_type;           // what Postgres type a value is read as
    int32 read_typmod;
    bool shippable;  // the value is the declared type's: the engine may compute with it
};

// A call with its columns: all that is needed to write queries over it. Plain data.
struct LakeTable {
    const LakeCall* call;
    char* source;  // the call as text for the engine
    LakeColumn* columns;
    int count;
};

// Matches declared columns with those of the files. ereports if one is missing or can't be cast.
LakeTable* BindLakeTable(const LakeCall* call, TupleDesc declared);

// The tuple descriptor of what a RangeTblFunction with a column definition list (or a composite type) returns; null if it
// is neither.
TupleDesc DeclaredColumns(const RangeTblFunction* function);

// One row as one JSON object, in a single column of type mooncake.lake_row.
LakeTable* BindLakeRows(const LakeCall* call, Oid row_type);

// "(SELECT expression AS c1, ... FROM source)": a table expression.
char* LakeTableText(const LakeTable* table);

// The cast from what is read to the declared type, over a CaseTestExpr; null if there is nothing to cast.
Expr* LakeConversion(const LakeColumn* column);

}  // namespace ivy::duck
