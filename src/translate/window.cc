// SPDX-License-Identifier: Apache-2.0
// Window functions: OVER with its partition, order and frame written out in full.
#include "translate/query_parts.h"

extern "C" {
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/timestamp.h"
}

namespace ivy::translate {

namespace {

constexpr int kOffsets = FRAMEOPTION_START_OFFSET | FRAMEOPTION_END_OFFSET;

// What the rows of a RANGE frame with offsets are sorted by: a type in which no sum with an offset overflows.
const char* RangeKey(const Sql& value, const char* key) {
    switch (value.type) {
        case INT2OID:
        case INT4OID:
        case INT8OID: return psprintf("CAST(%s AS HUGEINT)", key);
        case FLOAT4OID: return psprintf("CAST(%s AS DOUBLE)", key);
        case DATEOID: return psprintf("CAST(%s AS TIMESTAMP)", key);
        default: return key;
    }
}

// A RANGE frame's offset, a distance between values. Postgres has the errors for negative ones and NULL.
bool RangeOffset(Translator* t, Oid key_type, Node* offset, const char** out) {
    const char* valid = "$1 >= 0";
    const char* type = nullptr;
    switch (key_type) {
        case INT2OID:
        case INT4OID:
        case INT8OID: type = "HUGEINT"; break;
        case FLOAT4OID:
        case FLOAT8OID:
            type = "DOUBLE";
            valid = "isfinite($1) AND $1 >= 0";
            break;
        case NUMERICOID: break;
        case DATEOID:
        case TIMESTAMPOID:
        case TIMESTAMPTZOID: {
            if (!IsA(offset, Const) || castNode(Const, offset)->constisnull || exprType(offset) != INTERVALOID) {
                return Refuse(t, "RANGE frame with an offset that is not a constant interval");
            }
            const Interval* interval = DatumGetIntervalP(castNode(Const, offset)->constvalue);
            if (INTERVAL_NOT_FINITE(interval) || interval->month < 0 || interval->day < 0 || interval->time < 0) {
                return Refuse(t, "RANGE frame with a negative or infinite interval");
            }
            if (key_type == TIMESTAMPTZOID && (interval->month != 0 || interval->day != 0)) {
                return Refuse(t, "RANGE frame with days or months of a time zone");
            }
            Sql value;
            if (!TranslateValue(t, offset, &value)) return false;
            *out = value.text;
            return true;
        }
        default: return Refuse(t, "RANGE frame with an offset of type %s", format_type_be(exprType(offset)));
    }
    Sql value;
    if (!TranslateValue(t, offset, &value)) return false;
    if (value.text_form) return Refuse(t, "RANGE frame with an offset that is not a number");
    Sql number;
    number.text = type != nullptr ? psprintf("CAST(%s AS %s)", value.text, type) : value.text;
    // A constant is looked at here, a parameter when the query runs.
    *out = psprintf("CASE WHEN %s THEN %s ELSE error('frame offset') END", Expand(valid, &number, 1), number.text);
    return true;
}

// Fails for timestamps from which an interval can't be taken away: the server's range ends before the engine's.
const char* GuardedKey(Oid key_type, const char* key, const char* const distances[2]) {
    if (key_type != DATEOID && key_type != TIMESTAMPOID && key_type != TIMESTAMPTZOID) return key;
    const char* first = LiteralFor(key_type == TIMESTAMPTZOID ? TIMESTAMPTZOID : TIMESTAMPOID, -1,
                                   TimestampGetDatum(MIN_TIMESTAMP), false);
    for (int i = 0; i < 2; i++) {
        if (distances[i] == nullptr) continue;
        key = psprintf("ivy_at_least(%s, %s + %s)", key, first, distances[i]);
    }
    return key;
}

bool AppendBound(Translator* t, int options, bool start, Node* offset, const char* distance, StringInfo out) {
    const int preceding = start ? FRAMEOPTION_START_OFFSET_PRECEDING : FRAMEOPTION_END_OFFSET_PRECEDING;
    const int following = start ? FRAMEOPTION_START_OFFSET_FOLLOWING : FRAMEOPTION_END_OFFSET_FOLLOWING;
    if (options & (start ? FRAMEOPTION_START_UNBOUNDED_PRECEDING : FRAMEOPTION_END_UNBOUNDED_PRECEDING)) {
        appendStringInfoString(out, "UNBOUNDED PRECEDING");
    } else if (options & (start ? FRAMEOPTION_START_UNBOUNDED_FOLLOWING : FRAMEOPTION_END_UNBOUNDED_FOLLOWING)) {
        appendStringInfoString(out, "UNBOUNDED FOLLOWING");
    } else if (options & (start ? FRAMEOPTION_START_CURRENT_ROW : FRAMEOPTION_END_CURRENT_ROW)) {
        appendStringInfoString(out, "CURRENT ROW");
    } else if (options & (preceding | following)) {
        if (options & FRAMEOPTION_RANGE) {
            appendStringInfo(out, "%s %s", distance, options & preceding ? "PRECEDING" : "FOLLOWING");
            return true;
        }
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
    const bool ranges = (window->frameOptions & FRAMEOPTION_RANGE) != 0 && (window->frameOptions & kOffsets) != 0;
    const char* distances[2] = {nullptr, nullptr};
    const char* comma = "PARTITION BY ";
    appendStringInfoString(out, " OVER (");
    foreach_node (SortGroupClause, clause, window->partitionClause) {
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
    foreach_node (SortGroupClause, clause, window->orderClause) {
        Node* node = Fold(t, get_sortgroupclause_expr(clause, query->targetList));
        Sql value;
        const char* key;
        bool descending;
        if (!TranslateExpression(t, node, &value) ||
            !CheckSortable(t, value, exprCollation(node), clause->sortop, &key, &descending)) {
            return false;
        }
        if (ranges) {
            if (value.text_form || (IsNumeric(value) && value.scale_kind != NumericScale::kFixed)) {
                return Refuse(t, "RANGE frame with an offset over type %s", format_type_be(value.type));
            }
            Node* const offsets[2] = {window->startOffset, window->endOffset};
            for (int side = 0; side < 2; side++) {
                if (offsets[side] == nullptr) continue;
                Node* offset = Fold(t, offsets[side]);
                if (!IsValue(offset)) return Refuse(t, "frame offset that is not a constant");
                if (!RangeOffset(t, value.type, offset, &distances[side])) return false;
            }
            key = GuardedKey(value.type, RangeKey(value, key), distances);
        }
        appendStringInfo(out, "%s%s %s", comma, key, SortDirection(descending, clause->nulls_first));
        comma = ", ";
    }
    if (window->orderClause != NIL) appendStringInfoChar(out, ' ');
    const int options = window->frameOptions;
    appendStringInfoString(out, options & FRAMEOPTION_ROWS     ? "ROWS"
                                : options & FRAMEOPTION_GROUPS ? "GROUPS"
                                                               : "RANGE");
    appendStringInfoString(out, " BETWEEN ");
    if (!AppendBound(t, options, true, window->startOffset, distances[0], out)) return false;
    appendStringInfoString(out, " AND ");
    if (!AppendBound(t, options, false, window->endOffset, distances[1], out)) return false;
    if (options & FRAMEOPTION_EXCLUDE_CURRENT_ROW) appendStringInfoString(out, " EXCLUDE CURRENT ROW");
    if (options & FRAMEOPTION_EXCLUDE_GROUP) appendStringInfoString(out, " EXCLUDE GROUP");
    if (options & FRAMEOPTION_EXCLUDE_TIES) appendStringInfoString(out, " EXCLUDE TIES");
    appendStringInfoChar(out, ')');
    return true;
}

// Whether each row's frame is its whole partition, in no order.
bool IsWholePartition(const WindowClause* window) {
    const int options = window->frameOptions;
    const bool to_end = (options & FRAMEOPTION_END_UNBOUNDED_FOLLOWING) != 0 ||
                        ((options & FRAMEOPTION_END_CURRENT_ROW) != 0 && (options & FRAMEOPTION_ROWS) == 0);
    return window->orderClause == NIL && (options & FRAMEOPTION_START_UNBOUNDED_PRECEDING) != 0 && to_end &&
           (options & FRAMEOPTION_EXCLUSION) == 0;
}

}  // namespace

bool TranslateWindowFunction(Translator* t, WindowFunc* function, Sql* out) {
    const Signature* signature = FindSignature(function->winfnoid);
    const int count = list_length(function->args);
    if (signature == nullptr || static_cast<int>(strcspn(signature->types, ">")) != count || count > kMaxArguments) {
        return Refuse(t, "window %s", DescribeFunction(function->winfnoid));
    }
    const WindowClause* window = nullptr;
    foreach_node (WindowClause, candidate, t->level->query->windowClause) {
        if (candidate->winref == function->winref) window = candidate;
    }
    if (window == nullptr) return Refuse(t, "window function without a window");
    if (function->winagg && AddsFloats(*signature) && !IsWholePartition(window)) {
        return Refuse(t, "window %s: sum of floats in a given order", DescribeFunction(function->winfnoid));
    }
    Sql args[kMaxArguments];
    bool ok = true;
    int i = 0;
    foreach_ptr (Node, node, function->args) {
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
    if (!AppendWindow(t, window, &after)) return false;
    Call call{t, signature, function->args, args, count, function->inputcollid, function->wintype, -1};
    call.before = "(";
    call.after = after.data;
    call.aggregate = AggregateOf(call, "", arguments.data);
    return ApplySignature(call, out);
}

}  // namespace ivy::translate
