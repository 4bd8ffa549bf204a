// SPDX-License-Identifier: Apache-2.0
// Window functions: OVER with its partition, order and frame written out in full.
#include "translate/query_parts.h"

extern "C" {
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
}

namespace ivy::translate {

namespace {

bool AppendBound(Translator* t, int options, bool start, Node* offset, StringInfo out) {
    const int preceding = start ? FRAMEOPTION_START_OFFSET_PRECEDING : FRAMEOPTION_END_OFFSET_PRECEDING;
    const int following = start ? FRAMEOPTION_START_OFFSET_FOLLOWING : FRAMEOPTION_END_OFFSET_FOLLOWING;
    if (options & (start ? FRAMEOPTION_START_UNBOUNDED_PRECEDING : FRAMEOPTION_END_UNBOUNDED_PRECEDING)) {
        appendStringInfoString(out, "UNBOUNDED PRECEDING");
    } else if (options & (start ? FRAMEOPTION_START_UNBOUNDED_FOLLOWING : FRAMEOPTION_END_UNBOUNDED_FOLLOWING)) {
        appendStringInfoString(out, "UNBOUNDED FOLLOWING");
    } else if (options & (start ? FRAMEOPTION_START_CURRENT_ROW : FRAMEOPTION_END_CURRENT_ROW)) {
        appendStringInfoString(out, "CURRENT ROW");
    } else if (options & (preceding | following)) {
        // With RANGE an offset is a distance between values, in arithmetic of its own.
        if (options & FRAMEOPTION_RANGE) return Refuse(t, "RANGE frame with an offset");
        Node* folded = Fold(t, offset);
        Sql value;
        if (!IsValue(folded)) return Refuse(t, "frame offset that is not a constant");
        if (!TranslateValue(t, folded, &value)) return false;
        appendStringInfo(out, "%s %s", value.text, options & preceding ? "PRECEDING" : "FOLLOWING");
    } else {
        return Refuse(t, "window frame");
    }
    return true;
}

bool AppendWindow(Translator* t, const WindowClause* window, StringInfo out) {
    const Query* query = t->level->query;
    const char* comma = "PARTITION BY ";
    appendStringInfoString(out, " OVER (");
    foreach_node(SortGroupClause, clause, window->partitionClause) {
        Node* node = Fold(t, get_sortgroupclause_expr(clause, query->targetList));
        Sql value;
        const char* key = nullptr;
        if (!TranslateExpression(t, node, &value) ||
            !CheckGroupable(t, value, exprCollation(node), clause->eqop, exprTypmod(node), &key)) {
            return false;
        }
        appendStringInfo(out, "%s%s", comma, key != nullptr ? key : value.text);
        comma = ", ";
    }
    if (window->partitionClause != NIL) appendStringInfoChar(out, ' ');
    comma = "ORDER BY ";
    foreach_node(SortGroupClause, clause, window->orderClause) {
        Node* node = Fold(t, get_sortgroupclause_expr(clause, query->targetList));
        Sql value;
        const char* key;
        bool descending;
        if (!TranslateExpression(t, node, &value) ||
            !CheckSortable(t, value, exprCollation(node), clause->sortop, &key, &descending)) {
            return false;
        }
        appendStringInfo(out, "%s%s %s", comma, key, SortDirection(descending, clause->nulls_first));
        comma = ", ";
    }
    if (window->orderClause != NIL) appendStringInfoChar(out, ' ');
    const int options = window->frameOptions;
    appendStringInfoString(out, options & FRAMEOPTION_ROWS ? "ROWS" : options & FRAMEOPTION_GROUPS ? "GROUPS" : "RANGE");
    appendStringInfoString(out, " BETWEEN ");
    if (!AppendBound(t, options, true, window->startOffset, out)) return false;
    appendStringInfoString(out, " AND ");
    if (!AppendBound(t, options, false, window->endOffset, out)) return false;
    if (options & FRAMEOPTION_EXCLUDE_CURRENT_ROW) appendStringInfoString(out, " EXCLUDE CURRENT ROW");
    if (options & FRAMEOPTION_EXCLUDE_GROUP) appendStringInfoString(out, " EXCLUDE GROUP");
    if (options & FRAMEOPTION_EXCLUDE_TIES) appendStringInfoString(out, " EXCLUDE TIES");
    appendStringInfoChar(out, ')');
    return true;
}

}  // namespace

bool TranslateWindowFunction(Translator* t, WindowFunc* function, Sql* out) {
    const Signature* signature = FindSignature(function->winfnoid);
    const int count = list_length(function->args);
    if (signature == nullptr || static_cast<int>(strcspn(signature->types, ">")) != count || count > kMaxArguments) {
        return Refuse(t, "window %s", DescribeFunction(function->winfnoid));
    }
    // A float's sum depends on the order of additions, which differs for moving frames.
    if (function->winagg && strpbrk(signature->types, "fd") != nullptr &&
        (strstr(signature->sql, "sum") != nullptr || strstr(signature->sql, "avg") != nullptr)) {
        return Refuse(t, "window %s", DescribeFunction(function->winfnoid));
    }
    Sql args[kMaxArguments];
    bool ok = true;
    int i = 0;
    foreach_ptr(Node, node, function->args) {
        ok = TranslateExpression(t, node, &args[i++]) && ok;
    }
    if (!ok || !PrepareArguments(t, *signature, args, count, function->inputcollid)) return false;
    StringInfoData arguments;
    StringInfoData after;
    initStringInfo(&arguments);
    initStringInfo(&after);
    for (i = 0; i < count; i++) {
        if (args[i].scale_kind == NumericScale::kByRow) {
            args[i].scale = psprintf("CASE WHEN %s IS NOT NULL THEN %s END", args[i].text, args[i].scale);
        }
        appendStringInfo(&arguments, "%s%s", i == 0 ? "" : ", ", args[i].text);
    }
    if (function->winstar) appendStringInfoChar(&arguments, '*');
    appendStringInfoChar(&after, ')');
    if (function->aggfilter != nullptr) {
        const char* filter;
        if (!TranslateQual(t, reinterpret_cast<Node*>(function->aggfilter), &filter)) return false;
        appendStringInfo(&after, " FILTER (WHERE %s)", filter);
    }
    const WindowClause* window = nullptr;
    foreach_node(WindowClause, candidate, t->level->query->windowClause) {
        if (candidate->winref == function->winref) window = candidate;
    }
    if (window == nullptr) return Refuse(t, "window function without a window");
    if (!AppendWindow(t, window, &after)) return false;
    Call call{t, signature, function->args, args, count, function->inputcollid, function->wintype, -1};
    call.before = "(";
    call.after = after.data;
    call.aggregate = AggregateOf(call, "", arguments.data);
    return ApplySignature(call, out);
}

}  // namespace ivy::translate
