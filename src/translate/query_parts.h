// SPDX-License-Identifier: Apache-2.0
// The expression nodes that depend on the query around them.
#pragma once

#include "translate/signature.h"

namespace ivy::translate {

bool TranslateAggregate(Translator* t, Aggref* aggregate, Sql* out);
// A Var of a grouped level, seen from above the grouping.
bool TranslateGroupedVar(Translator* t, Level* level, RangeTblEntry* rte, Var* var, Sql* out);
bool TranslateGroupingFunc(Translator* t, GroupingFunc* grouping, Sql* out);
bool TranslateWindowFunction(Translator* t, WindowFunc* function, Sql* out);
bool TranslateSubLink(Translator* t, SubLink* link, bool as_qual, Sql* out);

// "left op ANY (SELECT right FROM (rows) AS alias)", or ALL.
bool TranslateQuantified(Translator* t, const Signature* signature, Oid op, Sql left, Sql right, const char* rows,
                         const char* alias, Oid collation, bool any, Sql* out);

}  // namespace ivy::translate
