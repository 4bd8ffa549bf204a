// SPDX-License-Identifier: Apache-2.0
//
// The translator's inside: what one translation knows, and how the parts call each other.
//
//   query.cc       levels, WHERE, what stands above; from.cc, grouping.cc, set_operation.cc, with.cc  -> SELECT text
//   expression.cc  expression nodes; value.cc, cast.cc, choice.cc, comparison.cc, sublink.cc, window.cc -> Sql
//   signature*.cc  functions and operators, by OID: the whitelist, as data
//   literal.cc     values                                                     -> DuckDB literals
//   scan.cc        one relation with its filters;  split.cc  the two-level form
//
// Two ideas carry the exactness:
//   * Every translated expression knows how its value is represented (ColumnType), besides its Postgres type. A numeric's
//     display scale is part of its value in Postgres and is the scale of a DECIMAL in DuckDB; where it can't be that for
//     every row, the expression says so (NumericScale) or the numeric has text form, over which the engine has functions
//     with Postgres's rules for digits and scales (ivy_num_*).
//   * A function or operator is found by its exact OID in a table, or it isn't shipped.
//
// All memory is palloc'ed and all structs are plain, so that a longjmp out of a catalog look-up loses nothing.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "nodes/parsenodes.h"
#include "nodes/primnodes.h"
}

#include "protocol/column_chunk.h"
#include "translate/translate.h"

namespace ivy::translate {

// How sure we are of the display scale of a numeric expression.
enum class NumericScale : uint8_t {
    kFixed,    // the scale of its DECIMAL, for every row
    kByRow,    // "scale" is an expression that gives it; the DECIMAL's scale is the largest
    kLiteral,  // that of the DECIMAL which the value's literal will be when the query runs
};

// A translated expression: text that can stand wherever DuckDB takes an expression, without parentheses around it.
struct Sql {
    const char* text = nullptr;
    Oid type = InvalidOid;   // Postgres's type; domains are resolved to their base type
    ColumnType rep;          // DuckDB's type
    bool text_form = false;  // the value is a type's canonical text: only output, NULL tests, some equality
    bool is_null = false;    // a NULL literal: any scale will do
    NumericScale scale_kind = NumericScale::kFixed;
    const char* scale = nullptr;  // kByRow: an INTEGER expression
};

// A row table (or anything else that Postgres computes for us) that the query reads: {rows:index}.
struct RowSource {
    int index;
    RangeTblEntry* rte;  // copied into the Query that reads it; null if "query" is complete as it is
    RTEPermissionInfo* perminfo;
    Query* query;   // complete: a subquery without mirrors, run as a whole
    Index rti;      // of the RTE in its level, whose Vars become Vars of 1
    List* attnums;  // int list: the attribute that column c1, c2, ... holds, in order of first use
    List* vars;     // a Var for each
    List* quals;    // pushed down, with Vars of rti
};

// One range table entry of a level, once it has been put into the text.
struct FromEntry {
    const char* alias;  // null: not (yet) in FROM
    RowSource* rows;    // columns are given out as they are used
    Sql* columns;       // of a subquery, CTE or VALUES list: type and representation of c1, c2, ... (text is null)
    int column_count;
    EngineFunction* function;  // or null
};

struct Cte {
    const char* name;   // as in the Query
    const char* alias;  // in the text
    Sql* columns;       // null: not translated (nothing refers to it)
    int column_count;
};

// The grouping step: SELECT g.., aggregates FROM (SELECT group expressions, arguments FROM ...) GROUP BY ...
struct Grouping {
    const char* input;   // alias of the inner SELECT
    List* arguments;     // text of its columns a1, a2, ...
    const char* output;  // alias of the grouped SELECT
    List* results;       // text of its columns x1, x2, ...
    Sql* groups;         // of g1..gn
    const char** keys;   // what g1..gn hold instead of the group expressions, or null
    int group_count;
    Index group_rti;  // the RTE_GROUP, or 0
};

// One query level. Vars with varlevelsup n refer to the n-th parent.
struct Level {
    Level* parent;
    Query* query;
    FromEntry* entries;   // by rti; [0] is unused
    Grouping* grouping;   // null: not grouped
    bool above_grouping;  // translating what is computed from groups (and not WHERE, arguments, group expressions)
    List* ctes;           // Cte
    bool has_joins;       // the range table has join entries, whose aliases Vars may name
    Index scan_rti;       // TranslateScan: the only relation, whose OID is scan_relid
    Oid scan_relid;
    const EngineFunction* scan_function;  // or the only entry is this, and scan_relid is not set
};

struct Translator {
    IsMirrorFn is_mirror;
    List* mirrors;          // OIDs
    List* row_sources;      // RowSource
    List* functions;        // info of engine functions
    List* values;           // Node
    List* reasons;          // String
    Level* level;           // the innermost
    Sql* case_value;        // what CaseTestExpr stands for
    Sql* subquery_columns;  // what PARAM_SUBLINK Params stand for
    int relation_count;     // aliases given out
    int cte_count;
    bool as_qual;       // NULL and false mean the same to the caller
    int array_element;  // not 0: of the array_agg being translated only this element is wanted
};

// --- reasons -----------------------------------------------------------------------------------------------------------

// Notes why something can't be shipped. Returns false, so that "return Refuse(...)" reads well.
bool Refuse(Translator* t, const char* format, ...) pg_attribute_printf(2, 3);

// --- representations (representation.cc) ---------------------------------------------------------------------------------

// DuckDB's name of a type, palloc'ed or static.
const char* TypeName(ColumnType type);
// Fills in type, rep and text_form as the type map has them: a numeric without a scale in its typmod has text form.
Sql ColumnOf(Oid type, int32 typmod, const char* text);
ColumnType Native(TypeKind kind);
ColumnType Decimal(int precision, int scale);
// "CAST(text AS type)", or the text itself if it has that representation.
const char* CastTo(const Sql& expression, ColumnType type);
inline bool IsNumeric(const Sql& e) { return e.rep.kind == TypeKind::kDecimal && !e.text_form; }
inline bool IsNumericText(const Sql& e) { return e.type == NUMERICOID && e.text_form; }
// A numeric in text form.
Sql NumericText(const char* text);
Sql ToNumericText(const Sql& e);
// e's text in the representation of "common", of which CommonType said that e can have it.
const char* ConvertTo(const Sql& e, const Sql& common);
// An INTEGER expression for the display scale of a DECIMAL.
const char* ScaleOf(const Sql& e);

// What becomes of several expressions that give one result (CASE, COALESCE, UNION, VALUES...): their common
// representation, to which ConvertTo brings each of them. Refuses if there is none. For numerics, out->scale_kind says
// whether scales agree; the scale by row is not filled in here.
bool CommonType(Translator* t, const Sql* expressions, int count, const char* what, Sql* out);

// Whether values of a type have a literal at all (some single values, such as an infinite numeric, may still have none).
bool HasLiteral(Oid type);
// For a type in text form: values are equal just when their texts are.
bool HasTextEquality(Oid type);

// --- collations (collation.cc) -------------------------------------------------------------------------------------------------------

bool IsDeterministic(Oid collation);
// Comparison is that of UTF-8 bytes, as DuckDB's.
bool SortsByBytes(Oid collation);
// Upper and lower case are ASCII's only.
bool HasAsciiCase(Oid collation);
// The literal by which the engine's functions know how the collation maps upper to lower case and back, or null.
const char* CaseName(Oid collation);
// ASCII letters are each other's upper and lower case, and nobody else's counterpart.
bool HasPlainAsciiCase(Oid collation);
// The literal by which the engine's functions know a deterministic collation that doesn't sort by bytes, or null.
// *has_keys says whether they have sort keys for it, or comparison only.
const char* CollationName(Oid collation, bool* has_keys);

// --- expressions -------------------------------------------------------------------------------------------------------

// Translates an expression that has been through Fold. Refuses (returns false) if any part is not known.
bool TranslateExpression(Translator* t, Node* node, Sql* out);
// The same for a boolean whose NULL counts as false; "quals" is an expression, an implicitly-ANDed list, or null.
bool TranslateQual(Translator* t, Node* quals, const char** out);
// eval_const_expressions on a copy, with join aliases of the current level resolved.
Node* Fold(Translator* t, Node* node);
// Whether Postgres can evaluate it at executor start: no Vars, no volatile functions, nothing that needs rows.
bool IsValue(Node* node);
// An expression that is a value. Refuses if its type has no exact literal.
bool TranslateValue(Translator* t, Node* node, Sql* out);
// The text of a setting, as it is when the query runs: of what depends on one.
bool TranslateSetting(Translator* t, const char* name, const char** text);
bool TranslateVar(Translator* t, Var* var, Sql* out);
// Whether equality of this expression's values is equality of their representation (GROUP BY, DISTINCT, UNION, IN). With
// "key" also where it is that of another expression, which *key becomes: equal numerics may differ in their display scale.
bool CheckGroupable(Translator* t, const Sql& e, Oid collation, Oid equality_operator, int32 typmod,
                    const char** key = nullptr);
// An expression whose order by bytes or numbers is Postgres's order of e, such as e itself. Refuses if there is none.
bool CheckSortable(Translator* t, const Sql& e, Oid collation, Oid sort_operator, const char** key, bool* descending);
// "ASC NULLS LAST" and so on.
const char* SortDirection(bool descending, bool nulls_first);

// --- FROM (from.cc) ------------------------------------------------------------------------------------------------------

// Appends the FROM list of the current level's query and returns its WHERE condition, or null, in *where.
// A column of an engine function, as the type and collation of "var" say.
bool FunctionColumn(Translator* t, const EngineFunction& function, const Var* var, const char* text, Sql* out);
// The function that the registered look-up finds for an entry; false if none.
bool LookupEngineFunction(RangeTblEntry* rte, EngineFunction* out);
bool TranslateFrom(Translator* t, StringInfo from, const char** where);
// "t7": an alias that occurs nowhere else in the text.
const char* NewAlias(Translator* t);
Level* LevelAt(Translator* t, Index levels_up);

// --- grouping (grouping.cc) ----------------------------------------------------------------------------------------------

// Group expressions and aliases; must come after FROM and before anything above the grouping is translated.
bool BeginGrouping(Translator* t);
// The grouped SELECT, once everything that uses it has been translated. "from" holds FROM and WHERE.
bool EndGrouping(Translator* t, const char* from, StringInfo out);

// --- queries (query.cc) --------------------------------------------------------------------------------------------------

// The columns of a SELECT, relation or CTE.
struct Columns {
    Sql* items;  // type and representation of c1, c2, ...; text is null
    int count;
};

Level* PushLevel(Translator* t, Query* query, Level* outer);
// Appends the text of a SELECT whose columns are named c1, c2, ...; one for each target entry that isn't junk. "outer" is
// the level that its Vars' levelsup 1 means, or null. With "final" the columns are cast to their representation, so that
// DuckDB's types are what we say they are.
bool TranslateSelect(Translator* t, Query* query, Level* outer, bool final, StringInfo out, Columns* columns);
// The same, and if that fails for a query that Postgres can run apart (no mirror, no outside references), rows that
// Postgres sends.
bool TranslateOrFetch(Translator* t, Query* query, Level* outer, StringInfo out, Columns* columns);
// How far a translation had come, to take it up there again after a part failed.
struct Mark {
    int mirrors;
    int functions;
    int row_sources;
    int values;
    int reasons;
    int text;
};
Mark SetMark(const Translator* t, const StringInfoData* out);
void ResetToMark(Translator* t, const Mark& mark, StringInfo out);

// Builds a Translation from a translator that is done. "columns" is used only if ok.
Translation* Finish(Translator* t, bool ok, const char* sql, Columns columns);

}  // namespace ivy::translate
