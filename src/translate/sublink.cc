// SPDX-License-Identifier: Apache-2.0
// Subqueries in expressions.
#include "translate/query_parts.h"

extern "C" {
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
}

namespace ivy::translate {

namespace {

// EXISTS asks only whether there is a row: what the rows hold doesn't matter, and may be anything.
Query* WithoutTargets(Query* query) {
    if (query->setOperations != nullptr || query->hasAggs || query->groupClause != NIL || query->groupingSets != NIL ||
        query->havingQual != nullptr || query->hasTargetSRFs || query->distinctClause != NIL ||
        query->limitOption == LIMIT_OPTION_WITH_TIES) {
        return query;
    }
    auto* bare = static_cast<Query*>(palloc(sizeof(Query)));
    *bare = *query;
    bare->targetList = NIL;
    bare->windowClause = NIL;
    bare->hasWindowFuncs = false;
    bare->sortClause = NIL;
    return bare;
}

}  // namespace

bool TranslateQuantified(Translator* t, const Signature* signature, Oid op, Sql left, Sql right, const char* rows,
                         const char* alias, Oid collation, bool any, Sql* out) {
    if (!signature->IsComparison()) return Refuse(t, "ANY or ALL with %s", DescribeOperator(op));
    Sql args[2] = {left, right};
    if (!PrepareArguments(t, *signature, args, 2, collation)) return false;
    *out = Boolean(psprintf("(%s %s %s (SELECT %s FROM (%s) AS %s))", args[0].text, signature->sql, any ? "ANY" : "ALL",
                            args[1].text, rows, alias));
    return true;
}

bool TranslateSubLink(Translator* t, SubLink* link, bool as_qual, Sql* out) {
    if (!IsA(link->subselect, Query)) return Refuse(t, "planned subquery");
    switch (link->subLinkType) {
        case EXISTS_SUBLINK:
        case EXPR_SUBLINK:
        case ANY_SUBLINK:
        case ALL_SUBLINK: break;
        case ARRAY_SUBLINK: return Refuse(t, "ARRAY(subquery)");
        case ROWCOMPARE_SUBLINK: return Refuse(t, "row comparison with a subquery");
        default: return Refuse(t, "subquery of kind %d", static_cast<int>(link->subLinkType));
    }
    Columns columns;
    StringInfoData rows;
    initStringInfo(&rows);
    // What CASE and outer subqueries stand for is not visible inside.
    Sql* case_value = t->case_value;
    Sql* subquery_columns = t->subquery_columns;
    t->case_value = nullptr;
    t->subquery_columns = nullptr;
    Query* query = castNode(Query, link->subselect);
    if (link->subLinkType == EXISTS_SUBLINK && contain_volatile_functions(reinterpret_cast<Node*>(query->targetList))) {
        return Refuse(t, "volatile function in the target list of EXISTS");
    }
    if (link->subLinkType == EXISTS_SUBLINK) query = WithoutTargets(query);
    const bool ok = TranslateOrFetch(t, query, t->level, &rows, &columns);
    t->case_value = case_value;
    t->subquery_columns = subquery_columns;
    if (!ok) return false;

    if (link->subLinkType == EXISTS_SUBLINK) {
        *out = Boolean(psprintf("EXISTS (%s)", rows.data));
        return true;
    }
    if (link->subLinkType == EXPR_SUBLINK) {
        *out = columns.items[0];
        out->text = psprintf("(%s)", rows.data);
        return true;
    }
    // The test is an expression over the subquery's columns.
    const char* alias = NewAlias(t);
    auto* named = static_cast<Sql*>(palloc(columns.count * sizeof(Sql)));
    for (int i = 0; i < columns.count; i++) {
        named[i] = columns.items[i];
        named[i].text = psprintf("%s.c%d", alias, i + 1);
    }
    t->subquery_columns = named;
    bool tested;
    if (IsA(link->testexpr, OpExpr)) {
        auto* test = castNode(OpExpr, link->testexpr);
        const Signature* signature = FindOperator(t, test->opno, test->args);
        Sql left;
        Sql right;
        tested = signature != nullptr && TranslateExpression(t, static_cast<Node*>(linitial(test->args)), &left) &&
                 TranslateExpression(t, static_cast<Node*>(lsecond(test->args)), &right) &&
                 TranslateQuantified(t, signature, test->opno, left, right, rows.data, alias, test->inputcollid,
                                     link->subLinkType == ANY_SUBLINK, out);
    } else if (link->subLinkType == ANY_SUBLINK && as_qual) {
        // (a, b) IN (SELECT ...): DuckDB would compare structs, in which NULLs are equal.
        const char* condition;
        tested = TranslateQual(t, link->testexpr, &condition);
        if (tested) *out = Boolean(psprintf("EXISTS (SELECT 1 FROM (%s) AS %s WHERE %s)", rows.data, alias, condition));
    } else {
        tested = Refuse(t, "row comparison with a subquery");
    }
    t->subquery_columns = subquery_columns;
    return tested;
}

}  // namespace ivy::translate
