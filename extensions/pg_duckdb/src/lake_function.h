// SPDX-License-Identifier: Apache-2.0
//
// Lake functions: SQL functions that stand for a table function of the engine over files (mooncake.read_parquet and
// its like). Which functions are such, and what a call of one means to the engine.
//
// A lake function is a C function with the symbol duckdb_lake_scan; its name says which reader of the engine it is, its
// first argument is a path, a glob or a list of them, its last ("row_type") only settles the type of its rows, and what
// is between them are the reader's options by their own names. So a new reader is a row in kReaders and a CREATE FUNCTION.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "nodes/pg_list.h"
#include "nodes/primnodes.h"
}

namespace ivy::duck {

enum class LakeFormat : uint8_t { kParquet, kCsv, kJson, kTable };

struct LakeReader {
    const char* sql_name;
    const char* engine_name;
    LakeFormat format;
    bool lists;  // reads a list of paths, and globs; else one path
};

struct LakeFunction {
    Oid oid;
    const LakeReader* reader;
    int nargs;  // path, options, row_type
    const Oid* types;
    char** names;
};

// The reader of a SQL function's name, or null.
const LakeReader* FindLakeReader(const char* sql_name);

// Whether a function is a lake function: a look into pg_proc's cache.
bool IsLakeFunction(Oid function);
// REQUIRES: IsLakeFunction(function)
const LakeFunction* LookupLakeFunction(Oid function);

// The type of rows whose columns are got by subscripts (mooncake.lake_row), or InvalidOid where the extension is not created.
Oid LakeRowType();
// The composite type that has the columns of a file while a statement is analysed (mooncake.lake_columns), or InvalidOid.
Oid LakeColumnsType();

struct LakeOption {
    const char* name;
    const char* text;  // a DuckDB literal
};

// A call with known arguments. Plain data.
struct LakeCall {
    Oid function;
    const LakeReader* reader;
    List* paths;    // char*, not empty
    List* options;  // LakeOption*
};

// ereports if an argument is not valid. Values are those of function->types, without the last.
LakeCall* MakeLakeCall(const LakeFunction* function, const Datum* values, const bool* nulls);

// The call from its expression, if all arguments are constants; else null. REQUIRES: CompleteLakeCall(call)
LakeCall* LakeCallOfConstants(const FuncExpr* call);

// Gives a call all its arguments, by position: those that were left out as NULLs. So nobody looks up defaults later.
void CompleteLakeCall(FuncExpr* call);

// "read_csv(['/a.csv'], header = true)". The options that "override" (LakeOption*) names replace those of the call.
char* LakeCallText(const LakeCall* call, List* overrides = NIL);

// How messages name the call: "read_csv('/a.csv')".
char* LakeCallName(const LakeCall* call);

// A DuckDB string literal or quoted identifier, in UTF-8.
char* LakeLiteral(const char* text);
char* LakeIdentifier(const char* name);

}  // namespace ivy::duck
