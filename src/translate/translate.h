// SPDX-License-Identifier: Apache-2.0
//
// Translation of an analysed Query into DuckDB SQL.
//
// Nothing is shipped unless every construct in it is known to give Postgres's result; what is unknown is named, for
// EXPLAIN. The result is plain data (palloc'ed, no C++ objects), so that it can be stored in a plan and copied.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "nodes/params.h"
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
}

namespace ivy::translate {

// How the translator asks what a relation is. Returns true if "relid" is a mirror that the engine serves.
using IsMirrorFn = bool (*)(Oid relid);

// A function in FROM that the engine can run itself.
struct EngineFunction {
    const char* text;  // a DuckDB table expression whose columns are named c1, c2, ...
    int count;
    const int* types;        // of each column: its representation, packed as in Translation::result_types
    const bool* computable;  // false: the engine must not compute with the column
    Node* info;              // for Translation::functions
};

// How the translator asks whether a range table entry of kind RTE_FUNCTION is such a function; false if not. Registered
// once, by the module's start.
using FindEngineFunction = bool (*)(RangeTblEntry* rte, EngineFunction* out);
void RegisterEngineFunctions(FindEngineFunction find);

struct Translation {
    bool ok;
    // ok: DuckDB SQL with "{mirror:i}" and "{rows:i}" for relations and "{value:i}" for values that Postgres evaluates at
    // executor start (see LiteralFor); none of them inside quotes.
    char* sql;
    List* mirrors;      // OID list: relation of each {mirror:i}
    List* row_queries;  // Query nodes: {rows:i} is what this query returns (a row table with its columns and filters)
    List* functions;    // info of the engine functions in it
    List* values;       // Expr nodes without Vars, aggregates or sublinks: {value:i}; may hold PARAM_EXTERN Params
    List*
        result_types;  // for each output column: an Integer node holding kind | precision << 8 | scale << 16 (ColumnType)
    // not ok, or partial: what could not be translated and why, as String nodes for people, without duplicates
    List* reasons;
    int micros;  // how long the translation took
};

// Translates a whole SELECT. "query" is not changed. May ereport (catalog look-ups), does no I/O.
Translation* TranslateQuery(::Query* query, IsMirrorFn is_mirror);

// Translates a scan of one mirror: SELECT the attributes in "attnums" (int list, ascending; empty: one constant column,
// for the number of rows) of "relid" WHERE those of "quals" (Vars have varno "rti") that can be shipped. *remote and *local
// receive the quals split.
Translation* TranslateScan(Index rti, Oid relid, List* attnums, List* quals, List** remote, List** local);

// The same for a function in FROM: "columns" (int list, ascending) are its columns by number.
Translation* TranslateFunctionScan(Index rti, const EngineFunction& function, List* columns, List* quals, List** remote,
                                   List** local);

// The two-level form: "inner" is a Query that can be shipped whole, "outer" is a Query over it (its only range table entry
// in the from list is a subquery whose place "inner" takes) that Postgres's executor runs. Null if there is no such split.
struct Split {
    ::Query* outer;
    Index inner_rti;  // index of the subquery RTE in outer's range table
    Translation* inner;
};
Split* SplitQuery(::Query* query, IsMirrorFn is_mirror);
// The same for queries that have none, with joins and all conditions below that can be shipped, and grouping and the other
// conditions above. Scans of their own may be cheaper: that is for the planner to say. "query" is not changed.
Split* SplitRows(::Query* query, IsMirrorFn is_mirror);

// The text that replaces {value:i}: a DuckDB literal with its type, exact for every value ("CAST('1.5' AS DECIMAL(3,1))").
// Null if the value has no exact literal: the query can't be shipped with it.
char* LiteralFor(Oid type, int32 typmod, Datum value, bool isnull);

}  // namespace ivy::translate
