// SPDX-License-Identifier: Apache-2.0
// How the files of the translator call each other: expression nodes with files of their own, and the parts of a query.
#pragma once

#include "translate/signature.h"

namespace ivy::translate {

constexpr int kMaxArguments = 8;

// --- expressions --------------------------------------------------------------------------------------------------------

Sql Boolean(const char* text);
// Translates arguments, all of them even if one is refused, so that every reason is found.
bool TranslateArguments(Translator* t, List* nodes, Sql* out);
// PrepareArguments, with constants padded where a bpchar column is compared with them.
bool PrepareCall(Translator* t, const Signature& signature, List* nodes, Sql* args, Oid collation);
bool TranslateCall(Translator* t, const Signature* signature, List* nodes, Oid collation, Oid result_type,
                   int32 result_typmod, Sql* out);

bool TranslateCase(Translator* t, CaseExpr* expression, Sql* out);
bool TranslateCoalesce(Translator* t, CoalesceExpr* expression, Sql* out);
bool TranslateMinMax(Translator* t, MinMaxExpr* expression, Sql* out);
bool TranslateScalarArray(Translator* t, ScalarArrayOpExpr* expression, Sql* out);
bool TranslateRowCompare(Translator* t, RowCompareExpr* row, Sql* out);
bool TranslateRelabel(Translator* t, RelabelType* relabel, Sql* out);
bool TranslateTextCast(Translator* t, CoerceViaIO* cast, Sql* out);
// The text that the type's output function gives. Refuses if that isn't known.
bool TextOf(Translator* t, const Sql& e, Sql* out);
// A value of a type from its text by the input function, or Refuse.
bool FromText(Translator* t, const Sql& text, Oid type, Sql* out);
// Arrays (array.cc).
bool TranslateArray(Translator* t, ArrayExpr* array, Sql* out);
// A constant or parameter as text. (After ANY and ALL, TranslateValue gives a list.)
bool TranslateArrayValue(Translator* t, Node* node, Sql* out);
bool TranslateSubscript(Translator* t, SubscriptingRef* subscript, Sql* out);
// "x = ANY (array)" or "x <> ALL (array)" of an array that varies by row.
bool TranslateAnyOfArray(Translator* t, const Signature* signature, ScalarArrayOpExpr* expression, Sql* out);
// unnest in FROM of an array that varies by row: a table expression with column c1.
bool TranslateUnnest(Translator* t, RangeTblEntry* rte, const char** text, Sql* column);
// concat, concat_ws and format (concatenation.cc).
bool IsConcatenation(Oid function);
bool TranslateConcatenation(Translator* t, FuncExpr* function, Sql* out);

bool TranslateAggregate(Translator* t, Aggref* aggregate, Sql* out);
// (array_agg(...))[n], of which no array has to be made; everything else with subscripts is refused.
bool TranslateElement(Translator* t, SubscriptingRef* subscript, Sql* out);
// Makes an expression over FROM a column of the inner SELECT of a grouping, which its text becomes.
void UseArgument(Grouping* grouping, Sql* argument);
// Makes an aggregate a column of the grouped SELECT.
void UseResult(Grouping* grouping, Sql* result);
// A Var of a grouped level, seen from above the grouping.
bool TranslateGroupedVar(Translator* t, Level* level, RangeTblEntry* rte, Var* var, Sql* out);
bool TranslateGroupingFunc(Translator* t, GroupingFunc* grouping, Sql* out);
bool TranslateWindowFunction(Translator* t, WindowFunc* function, Sql* out);
bool TranslateSubLink(Translator* t, SubLink* link, bool as_qual, Sql* out);

// "left op ANY (SELECT right FROM (rows) AS alias)", or ALL.
bool TranslateQuantified(Translator* t, const Signature* signature, Oid op, Sql left, Sql right, const char* rows,
                         const char* alias, Oid collation, bool any, Sql* out);

// --- queries -------------------------------------------------------------------------------------------------------------

// A SELECT whose columns are named, before ORDER BY and what goes with it.
struct Body {
    const char* text;
    const char* with;  // "WITH ... " or ""
    Sql* items;        // c1, c2, ...: first those of the result, then those that only ORDER BY or DISTINCT ON use
    int* refs;         // ressortgroupref of each, or 0
    Oid* collations;
    int visible;
    int count;
};

void InitBody(Body* body, int capacity);
// Refuses what no SELECT may have.
bool CheckQuery(Translator* t, const Query* query);

// "SELECT ... FROM (text)" with the columns cast to "wanted", or the text itself.
const char* CastColumns(Translator* t, const char* text, const Columns& columns, const Columns& wanted);
// Duplicates that the set operation removes must be what Postgres sees as duplicates; with "by_key" it is enough that their
// keys are.
bool CheckSetColumns(Translator* t, const SetOperationStmt* stmt, const Columns& columns, bool by_key = false);
// What DuckDB must compare instead of a column, where equal values may look different (numerics, intervals), or the column.
const char* KeyOf(const Sql& item, const char* column);
bool HasKeys(const Sql* items, int count);
// DISTINCT of rows with columns c1, c2... by their keys: shown is the value that all equal ones agree on.
const char* DistinctByKey(Translator* t, const Sql* items, int count, const char* rows);
const char* SetOperator(const SetOperationStmt* stmt);
bool TranslateSetNode(Translator* t, Node* node, const char** text, Columns* columns);
bool TranslateSetBody(Translator* t, bool final, Body* body);

// "WITH ... " or "": the current level's WITH queries.
bool TranslateWith(Translator* t, const char** with);

// Whether a condition of a query could tell about rows that row security or a security barrier hides (row_security.cc).
bool HasLeakyCondition(Query* query);

}  // namespace ivy::translate
