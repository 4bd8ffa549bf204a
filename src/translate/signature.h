// SPDX-License-Identifier: Apache-2.0
//
// Signatures: the functions, operators, casts, aggregates and window functions that are shipped, each by the OID of the
// function (an operator is its function), with what DuckDB is told instead. What is not here is not shipped.
//
// A signature is a row of data. "types" names what the SQL expects and gives, one letter each, as in "24>4":
//
//   b boolean   2 4 8 integers   f d floats    t text        c bpchar (compared without trailing blanks)
//   n numeric: a DECIMAL of fixed scale or text form (a comparison's are of any scale, or their keys)
//   S numeric: as n, or a DECIMAL whose scale varies by row
//   p bpchar (as it is)          y bytes       D date        T time       s timestamp  z timestamptz
//   j jsonb (its text)
//   u uuid      i interval       e text form with textual equality    * anything native    ? anything
//
// An argument with a narrower type is cast. "sql" is an infix comparison operator without '$', or a template in which $1
// is the first argument and so on. Of numerics, "A|B" is A for DECIMALs and B for text form. In an aggregate's template $a
// is its parenthesised arguments with DISTINCT, FILTER and OVER. Where a template can't say it, "rewrite" does.
#pragma once

#include "translate/translator.h"

namespace ivy::translate {

// What the input collation must be for DuckDB, which knows bytes only, to be right.
enum class Needs : uint8_t {
    kNothing,
    kDeterministic,  // equal means equal bytes
    kBytes,          // and the order is that of bytes
};

struct Signature;

// What an aggregate's rows are sorted by.
struct SortKey {
    Sql value;         // as Postgres has it
    const char* text;  // what DuckDB sorts by
    Oid op;            // the sort operator
    Oid collation;
    bool descending;
    bool nulls_first;
};

// One call being translated. Arguments have been translated and cast to what the signature says.
struct Call {
    Translator* t;
    const Signature* signature;
    List* nodes;  // the argument expressions
    Sql* args;
    int count;
    Oid collation;
    Oid result_type;
    int32 result_typmod;
    bool is_distinct = false;
    const char* before = nullptr;     // of an aggregate: "(" or "(DISTINCT "
    const char* after = nullptr;      // ")" with FILTER and OVER
    const char* aggregate = nullptr;  // what $a stands for: before, arguments, after
    int direct = 0;                   // of an ordered-set aggregate: the first arguments, which aren't aggregated
    int element = 0;                  // of array_agg: the only element that is wanted, or 0
    const SortKey* keys = nullptr;    // of an aggregate whose signature is ordered
    int key_count = 0;
};

using RewriteFn = bool (*)(const Call& call, Sql* out);

struct Signature {
    Oid function;
    const char* types;
    const char* sql;
    Needs needs = Needs::kNothing;
    RewriteFn rewrite = nullptr;
    bool ordered = false;  // of an aggregate: the result depends on the order of rows, so "rewrite" has to say it

    bool IsComparison() const { return sql != nullptr && strchr(sql, '$') == nullptr && rewrite == nullptr; }
};

// A category's rows; the tables are in signatures_*.cc.
struct SignatureTable {
    const Signature* rows;
    int count;
};
SignatureTable NumericSignatures();
SignatureTable TextSignatures();
SignatureTable DatetimeSignatures();
SignatureTable IntervalSignatures();
SignatureTable FormatSignatures();
SignatureTable ArraySignatures();
SignatureTable JsonSignatures();
SignatureTable CastSignatures();
SignatureTable AggregateSignatures();
SignatureTable OrderedSignatures();
SignatureTable WindowSignatures();

// The row for a function, or null. Functions that a server has under OIDs of its own but with the code of a built-in one
// (language internal) count as that one; a function whose EXECUTE privilege was changed isn't shipped.
const Signature* FindSignature(Oid function);
// The operator's function, with the reason noted if there is none.
const Signature* FindOperator(Translator* t, Oid op, List* args);

// Casts translated arguments to what the signature wants and checks its needs.
bool PrepareArguments(Translator* t, const Signature& signature, Sql* args, int count, Oid collation);
// Puts arguments into the template and sets the result's type.
bool ApplySignature(const Call& call, Sql* out);
// "$1" and so on in "sql" replaced by the arguments' texts, "$a" by "aggregate".
const char* Expand(const char* sql, const Sql* args, int count, const char* aggregate = nullptr);
// "name(text)" as the call's aggregate has it: with its DISTINCT, FILTER and OVER.
const char* AggregateOf(const Call& call, const char* name, const char* text);
// The same with the call's keys as ORDER BY.
const char* OrderedOf(const Call& call, const char* name, const char* text);
// Whether an aggregate adds floats, in the order of rows: a given order gives given bits.
bool AddsFloats(const Signature& signature);
// The template for DECIMALs or for text form, of two with "|" between.
const char* NumericTemplate(const char* sql, bool text_form);
// Sets type and rep of a result by its letter. An 'n' is text form.
void SetResult(const Call& call, char letter, const char* text, Sql* out);

// Whether the argument is a Const that isn't NULL.
bool ConstText(const Call& call, int argument, char** out);
bool ConstInt(const Call& call, int argument, int32* out);
// The DTK_ code of the first argument, if it is a constant unit of time in any spelling that Postgres takes, or -1.
int ConstUnit(const Call& call);
bool RefuseCall(const Call& call, const char* why);

// "function to_char(timestamp without time zone, text)", "operator ~(text, text)": for reasons.
const char* DescribeFunction(Oid function);
const char* DescribeOperator(Oid op);

}  // namespace ivy::translate
