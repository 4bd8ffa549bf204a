// SPDX-License-Identifier: Apache-2.0
//
// ColumnarPlan: what a ColumnarScan plan node carries, and how it is kept in the node's custom_private as a list of
// nodes that Postgres can copy and print.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "nodes/plannodes.h"
}

#include "protocol/column_chunk.h"
#include "translate/translate.h"

namespace ivy::duck {

// How much of the query a node stands for.
enum class PlanLevel : int { kWhole, kSplit, kScan };

struct ColumnarPlan {
    PlanLevel level;
    const char* sql;     // with {mirror:i}, {rows:i} and {value:i}
    List* mirrors;       // OIDs: of {mirror:i}
    List* sources;       // OIDs: the row table of each, in the same order
    List* functions;     // info of the lake functions in it (lake_plan.h)
    List* row_queries;   // Query: of {rows:i}
    List* result_types;  // Integer: ColumnType of each result column, as in Translation
    List* attributes;    // kScan: int list, the relation's attribute that each result column fills
    List* casts;         // kScan of a lake function: for each result column null, or a list of what is read (a
                         // CaseTestExpr) and the cast of that to the column's type
    ::Query* fallback;   // the same rows and columns from Postgres, once mirrors are exchanged
    List* reasons;       // String: what was not pushed down and why
    int translation_us;  // how long the translation took; 0: not known
    // The node's custom_exprs are the expressions of {value:i}, in order.
};

// REQUIRES: translation->ok
ColumnarPlan MakeColumnarPlan(PlanLevel level, const translate::Translation* translation, ::Query* fallback);

List* PackPlan(const ColumnarPlan& plan);
ColumnarPlan UnpackPlan(List* packed);

// The type that an Integer of result_types stands for, and back.
ColumnType UnpackType(const Node* node);
Node* PackType(ColumnType type);

}  // namespace ivy::duck
