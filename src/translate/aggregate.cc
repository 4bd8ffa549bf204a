// SPDX-License-Identifier: Apache-2.0
//
// Aggregates: plain ones, with DISTINCT, FILTER and ORDER BY; ordered-set ones (percentile_cont...); hypothetical ones.
//
// ORDER BY counts where the signature says that the result depends on it, and is left out elsewhere. Where Postgres leaves
// the order of rows open (array_agg without ORDER BY, ties), the engine's order is as good. It is not if the only thing in
// FROM is a subquery with ORDER BY: then Postgres does keep that order, and aggregates by itself.
#include "translate/query_parts.h"

extern "C" {
#include "catalog/pg_aggregate.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"
#include "utils/typcache.h"
}

namespace ivy::translate {

namespace {

// Whether the rows of a level have an order that an aggregate would see.
bool ReadsSortedRows(const Level* level) {
    const Query* query = level->query;
    if (list_length(query->jointree->fromlist) != 1 || !IsA(linitial(query->jointree->fromlist), RangeTblRef))
        return false;
    const RangeTblEntry* rte =
        rt_fetch(castNode(RangeTblRef, linitial(query->jointree->fromlist))->rtindex, query->rtable);
    if (rte->rtekind == RTE_SUBQUERY) return rte->subquery->sortClause != NIL;
    if (rte->rtekind != RTE_CTE) return false;
    for (Index up = 0; up < rte->ctelevelsup && level != nullptr; up++) level = level->parent;
    if (level == nullptr) return true;
    foreach_node (CommonTableExpr, cte, level->query->cteList) {
        if (strcmp(cte->ctename, rte->ctename) != 0) continue;
        return !IsA(cte->ctequery, Query) || castNode(Query, cte->ctequery)->sortClause != NIL;
    }
    return true;
}

// The keys that an aggregate's rows are sorted by, as columns of the inner SELECT. DISTINCT sorts too.
bool SortKeys(Translator* t, Aggref* aggregate, const Sql* values, SortKey* keys, int* count) {
    *count = 0;
    bool ok = true;
    foreach_node (SortGroupClause, clause, aggregate->aggorder != NIL ? aggregate->aggorder : aggregate->aggdistinct) {
        if (*count == kMaxArguments) return Refuse(t, "aggregate with many sort keys");
        auto* entry = get_sortgroupclause_tle(clause, aggregate->args);
        if (aggregate->aggkind == AGGKIND_NORMAL && IsValue(reinterpret_cast<Node*>(entry->expr))) continue;
        SortKey* key = &keys[(*count)++];
        key->op = clause->sortop;
        key->collation = exprCollation(reinterpret_cast<Node*>(entry->expr));
        key->nulls_first = clause->nulls_first;
        int place = 0;
        foreach_node (TargetEntry, candidate, aggregate->args) {
            if (candidate == entry) key->value = values[place];
            place++;
        }
        ok = CheckSortable(t, key->value, key->collation, key->op, &key->text, &key->descending) && ok;
        // DuckDB wants to see the very argument there.
        if (ok && aggregate->aggdistinct != NIL && key->text != key->value.text)
            ok = Refuse(t, "DISTINCT values with sort keys");
    }
    return ok;
}

// The row in count(DISTINCT (a, b)), as a struct of what DuckDB must compare. A row of NULLs counts.
bool DistinctRow(Translator* t, RowExpr* row, Sql* out) {
    StringInfoData text;
    initStringInfo(&text);
    foreach_ptr (Node, field, row->args) {
        const TypeCacheEntry* entry = lookup_type_cache(exprType(field), TYPECACHE_EQ_OPR);
        Sql value;
        const char* key = nullptr;
        if (!OidIsValid(entry->eq_opr) || !TranslateExpression(t, field, &value) ||
            !CheckGroupable(t, value, exprCollation(field), entry->eq_opr, exprTypmod(field), &key)) {
            return false;
        }
        appendStringInfo(&text, "%s%s", text.len == 0 ? "row(" : ", ", key != nullptr ? key : value.text);
    }
    if (text.len == 0) return Refuse(t, "row without columns");
    appendStringInfoChar(&text, ')');
    *out = Sql{};
    out->text = text.data;
    out->rep = Native(TypeKind::kBytes);
    return true;
}

}  // namespace

bool TranslateElement(Translator* t, SubscriptingRef* subscript, Sql* out) {
    const auto* array = reinterpret_cast<Node*>(subscript->refexpr);
    const auto* index = list_length(subscript->refupperindexpr) == 1
                            ? static_cast<Node*>(linitial(subscript->refupperindexpr))
                            : nullptr;
    if (subscript->reflowerindexpr != NIL || subscript->refassgnexpr != nullptr || !IsA(array, Aggref) ||
        castNode(Aggref, array)->aggfnoid != F_ARRAY_AGG_ANYNONARRAY || index == nullptr || !IsA(index, Const) ||
        castNode(Const, index)->constisnull || DatumGetInt32(castNode(Const, index)->constvalue) < 1) {
        return Refuse(t, "subscript");
    }
    t->array_element = DatumGetInt32(castNode(Const, index)->constvalue);
    return TranslateAggregate(t, reinterpret_cast<Aggref*>(subscript->refexpr), out);
}

bool TranslateAggregate(Translator* t, Aggref* aggregate, Sql* out) {
    Level* level = t->level;
    const int element = t->array_element;
    t->array_element = 0;  // not that of aggregates in its arguments
    if (aggregate->agglevelsup != 0) return Refuse(t, "aggregate of an outer query");
    if (level->grouping == nullptr || !level->above_grouping) return Refuse(t, "aggregate outside of a grouped query");
    const Signature* signature = FindSignature(aggregate->aggfnoid);
    const bool hypothetical = aggregate->aggkind == AGGKIND_HYPOTHETICAL;
    const int direct = list_length(aggregate->aggdirectargs);
    const int entries = list_length(aggregate->args);
    int count = direct;
    foreach_node (TargetEntry, entry, aggregate->args) {
        if (!entry->resjunk) count++;
    }
    if (signature == nullptr || aggregate->aggvariadic || direct + entries > kMaxArguments ||
        (!hypothetical && static_cast<int>(strcspn(signature->types, ">")) != count)) {
        return Refuse(t, "%s", DescribeFunction(aggregate->aggfnoid));
    }
    if (aggregate->aggkind == AGGKIND_NORMAL && aggregate->aggorder != NIL && AddsFloats(*signature)) {
        return Refuse(t, "%s: sum of floats in a given order", DescribeFunction(aggregate->aggfnoid));
    }
    const bool ordered = signature->ordered;
    if (ordered && aggregate->aggorder == NIL && aggregate->aggdistinct == NIL && ReadsSortedRows(level)) {
        return Refuse(t, "%s: rows in the order of a subquery", DescribeFunction(aggregate->aggfnoid));
    }

    Grouping* grouping = level->grouping;
    Sql args[kMaxArguments];
    List* nodes = NIL;
    bool ok = true;
    int i = 0;
    foreach_ptr (Node, node, aggregate->aggdirectargs) {
        Node* folded = Fold(t, node);
        nodes = lappend(nodes, folded);
        if (!IsValue(folded))
            return Refuse(t, "%s: an argument that is not a constant", DescribeFunction(aggregate->aggfnoid));
        ok = TranslateValue(t, folded, &args[i++]) && ok;
    }
    level->above_grouping = false;
    foreach_node (TargetEntry, entry, aggregate->args) {
        Node* node = reinterpret_cast<Node*>(entry->expr);
        if (!entry->resjunk) nodes = lappend(nodes, node);
        if (aggregate->aggfnoid == F_COUNT_ANY && aggregate->aggdistinct != NIL && IsA(node, RowExpr)) {
            ok = DistinctRow(t, castNode(RowExpr, node), &args[i++]) && ok;
            continue;
        }
        ok = TranslateExpression(t, node, &args[i]) && ok;
        foreach_node (SortGroupClause, clause, aggregate->aggdistinct) {
            if (!ok || clause->tleSortGroupRef != entry->ressortgroupref) continue;
            // How many there are can be said of keys too.
            const char* key = nullptr;
            ok = CheckGroupable(t, args[i], exprCollation(node), clause->eqop, exprTypmod(node),
                                aggregate->aggfnoid == F_COUNT_ANY ? &key : nullptr);
            if (key == nullptr) continue;
            args[i] = Sql{};
            args[i].text = key;
            args[i].rep = Native(TypeKind::kBytes);
        }
        i++;
    }
    SortKey keys[kMaxArguments];
    int key_count = 0;
    if (ok && ordered) ok = SortKeys(t, aggregate, args + direct, keys, &key_count);
    const char* filter = nullptr;
    if (aggregate->aggfilter != nullptr) {
        ok = TranslateQual(t, reinterpret_cast<Node*>(aggregate->aggfilter), &filter) && ok;
    }
    ok = ok && (hypothetical || PrepareArguments(t, *signature, args, count, aggregate->inputcollid));
    level->above_grouping = true;
    if (!ok) return false;

    StringInfoData arguments;
    StringInfoData after;
    initStringInfo(&arguments);
    initStringInfo(&after);
    // Ordered-set aggregates leave NULLs out.
    if (aggregate->aggkind == AGGKIND_ORDERED_SET) {
        const char* not_null = psprintf("(%s IS NOT NULL)", args[direct].text);
        filter = filter == nullptr ? not_null : psprintf("(%s AND %s)", filter, not_null);
    }
    for (i = direct; i < count && !hypothetical; i++) {
        const char* value = args[i].text;
        UseArgument(grouping, &args[i]);
        if (args[i].scale_kind == NumericScale::kByRow) {
            Sql scale;
            scale.text = psprintf("CASE WHEN %s IS NOT NULL THEN %s END", value, args[i].scale);
            UseArgument(grouping, &scale);
            args[i].scale = scale.text;
        }
        appendStringInfo(&arguments, "%s%s", i == direct ? "" : ", ", args[i].text);
    }
    for (i = 0; i < key_count && !hypothetical; i++) {
        Sql key;
        key.text = keys[i].text;
        UseArgument(grouping, &key);
        keys[i].text = key.text;
    }
    if (aggregate->aggstar) appendStringInfoChar(&arguments, '*');
    appendStringInfoChar(&after, ')');
    if (filter != nullptr) {
        Sql condition;
        condition.text = filter;
        UseArgument(grouping, &condition);
        appendStringInfo(&after, " FILTER (WHERE %s)", condition.text);
    }
    Call call{t, signature, nodes, args, count, aggregate->inputcollid, aggregate->aggtype, -1};
    call.is_distinct = aggregate->aggdistinct != NIL;
    call.before = call.is_distinct ? "(DISTINCT " : "(";
    call.after = after.data;
    call.aggregate = AggregateOf(call, "", arguments.data);
    call.direct = direct;
    call.element = element;
    call.keys = keys;
    call.key_count = key_count;
    if (!ApplySignature(call, out)) return false;
    UseResult(grouping, out);
    return true;
}

}  // namespace ivy::translate
