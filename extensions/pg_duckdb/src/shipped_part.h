// SPDX-License-Identifier: Apache-2.0
//
// Parts of a query that the engine runs where it can't run the whole: the lower part of a split, the SELECT of an INSERT,
// subqueries of any statement.
//
// A part is a subquery in a range table that Postgres plans around: OFFSET 0 keeps it from being pulled up, and the planner
// gives it a ColumnarScan as its only path. Which part it is travels in the entry itself, in fields that subqueries don't
// use, because the planner copies entries as it goes.
#pragma once

#include "mirrors.h"
#include "translate/translate.h"

namespace ivy::duck {

struct ShippedPart {
    translate::Translation* translation;
    ::Query* query;  // what the translation was made from
};

// What set_rel_pathlist_hook must know of the planning in progress. Planning nests: evaluating a constant may run a function
// that plans a query.
struct Planning {
    List* shipped;   // ShippedPart*
    List* reasons;   // String: why the query was not shipped whole
    bool refetches;  // rows may be fetched again by their place
};

// The part that an entry stands for, or null.
ShippedPart* FindShipped(const Planning* planning, const RangeTblEntry* rte);

// Whether a translation needs the engine at all.
inline bool UsesEngine(const translate::Translation* translation) {
    return translation->mirrors != NIL || translation->functions != NIL;
}

// translate::TranslateQuery. An error about data, which the server might never meet, is a reason not to ship.
translate::Translation* TranslateGuarded(::Query* query);

// Ships the lower part of a query that can't go whole, or of the SELECT of an INSERT. Changes "query"; returns the query to
// plan, which is the same one if there was nothing to ship.
::Query* ShipParts(Planning* context, ::Query* query, const MirrorSurvey& survey);

// The query above a part that joins and filters (translate::SplitRows), or null. "query" is not changed.
::Query* ShipRows(Planning* context, ::Query* query, const MirrorSurvey& survey);

// Ships the subqueries of a statement, at any level, that ask for more than a scan and depend on nothing outside: those in
// FROM, in WITH, and in expressions. Changes "query"; false if there was none.
bool ShipSubqueries(Planning* context, ::Query* query);

}  // namespace ivy::duck
