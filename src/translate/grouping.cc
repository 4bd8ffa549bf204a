// SPDX-License-Identifier: Apache-2.0
//
// Grouping as two SELECTs: the inner one computes group expressions and arguments of aggregates from FROM and WHERE, the
// outer one groups by column names and computes aggregates as columns. What stands above (HAVING, the target list, window
// functions) then sees nothing but columns, as Postgres's RTE_GROUP does, and DuckDB never has to find out by itself
// which expressions are grouped ones. It costs nothing: DuckDB merges projections.
#include "translate/query_parts.h"

extern "C" {
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_agg.h"
#include "parser/parsetree.h"
}

namespace ivy::translate {

namespace {

// The index of a text in a list of texts, which it is appended to if it is new.
int AddText(List** list, const char* text) {
    int index = 0;
    foreach_ptr (char, known, *list) {
        if (strcmp(known, text) == 0) return index;
        index++;
    }
    *list = lappend(*list, const_cast<char*>(text));
    return index;
}

int GroupIndex(const Query* query, Index ref) {
    int index = 0;
    foreach_node (SortGroupClause, clause, query->groupClause) {
        if (clause->tleSortGroupRef == ref) return index;
        index++;
    }
    elog(ERROR, "group clause %u not found", ref);
}

}  // namespace

void UseArgument(Grouping* grouping, Sql* argument) {
    const int index = AddText(&grouping->arguments, argument->text);
    argument->text = psprintf("%s.a%d", grouping->input, index + 1);
}

void UseResult(Grouping* grouping, Sql* result) {
    const int index = AddText(&grouping->results, result->text);
    result->text = psprintf("%s.x%d", grouping->output, index + 1);
}

bool BeginGrouping(Translator* t) {
    Level* level = t->level;
    Query* query = level->query;
    auto* grouping = static_cast<Grouping*>(palloc0(sizeof(Grouping)));
    level->grouping = grouping;
    grouping->input = NewAlias(t);
    grouping->output = NewAlias(t);
    Index rti = 0;
    foreach_node (RangeTblEntry, rte, query->rtable) {
        rti++;
        if (rte->rtekind == RTE_GROUP) grouping->group_rti = rti;
    }
    if (grouping->group_rti == 0) {
        return query->groupClause == NIL || Refuse(t, "GROUP BY without a grouping step");
    }
    const RangeTblEntry* rte = rt_fetch(grouping->group_rti, query->rtable);
    grouping->group_count = list_length(rte->groupexprs);
    grouping->groups = static_cast<Sql*>(palloc0(grouping->group_count * sizeof(Sql)));
    grouping->keys = static_cast<const char**>(palloc0(grouping->group_count * sizeof(char*)));
    bool ok = true;
    // Where a grouping set leaves one of two equal expressions out, Postgres takes them for the same column all the same.
    for (int i = 0; query->groupingSets != NIL && i < grouping->group_count; i++) {
        for (int j = 0; j < i; j++) {
            if (equal(list_nth(rte->groupexprs, i), list_nth(rte->groupexprs, j))) {
                return Refuse(t, "grouping sets with the same expression twice");
            }
        }
    }
    for (int i = 0; i < grouping->group_count; i++) {
        Node* node = Fold(t, static_cast<Node*>(list_nth(rte->groupexprs, i)));
        const auto* clause = static_cast<SortGroupClause*>(list_nth(query->groupClause, i));
        Sql* group = &grouping->groups[i];
        ok = TranslateExpression(t, node, group) &&
             CheckGroupable(t, *group, exprCollation(node), clause->eqop, exprTypmod(node), &grouping->keys[i]) && ok;
        if (ok && grouping->keys[i] != nullptr && group->type == NUMERICOID) *group = ToNumericText(*group);
    }
    return ok;
}

bool EndGrouping(Translator* t, const char* from, StringInfo out) {
    const Query* query = t->level->query;
    const Grouping* grouping = t->level->grouping;
    const char* comma = "";
    appendStringInfoString(out, "(SELECT ");
    for (int i = 0; i < grouping->group_count; i++) {
        appendStringInfo(out, "%s%s.g%d AS g%d", comma, grouping->input, i + 1, i + 1);
        comma = ", ";
    }
    int index = 0;
    foreach_ptr (char, text, grouping->results) {
        appendStringInfo(out, "%s%s AS x%d", comma, text, ++index);
        comma = ", ";
    }
    if (*comma == '\0') appendStringInfoString(out, "count(*) AS x0");
    appendStringInfoString(out, " FROM (SELECT ");
    comma = "";
    for (int i = 0; i < grouping->group_count; i++) {
        appendStringInfo(out, "%s%s AS g%d", comma, grouping->keys[i] ? grouping->keys[i] : grouping->groups[i].text,
                         i + 1);
        comma = ", ";
    }
    index = 0;
    foreach_ptr (char, text, grouping->arguments) {
        appendStringInfo(out, "%s%s AS a%d", comma, text, ++index);
        comma = ", ";
    }
    if (*comma == '\0') appendStringInfoString(out, "1 AS a0");
    appendStringInfo(out, "%s) AS %s", from, grouping->input);

    if (query->groupingSets != NIL) {
        appendStringInfoString(out, " GROUP BY GROUPING SETS (");
        comma = "";
        foreach_ptr (List, set, expand_grouping_sets(query->groupingSets, query->groupDistinct, -1)) {
            appendStringInfo(out, "%s(", comma);
            comma = "";
            foreach_int (ref, set) {
                appendStringInfo(out, "%s%s.g%d", comma, grouping->input, GroupIndex(query, ref) + 1);
                comma = ", ";
            }
            appendStringInfoChar(out, ')');
            comma = ", ";
        }
        appendStringInfoChar(out, ')');
    } else {
        for (int i = 0; i < grouping->group_count; i++) {
            appendStringInfo(out, "%s%s.g%d", i == 0 ? " GROUP BY " : ", ", grouping->input, i + 1);
        }
    }
    appendStringInfo(out, ") AS %s", grouping->output);
    return true;
}

bool TranslateGroupedVar(Translator* t, Level* level, RangeTblEntry* rte, Var* var, Sql* out) {
    Grouping* grouping = level->grouping;
    if (rte->rtekind == RTE_GROUP) {
        const int index = var->varattno - 1;
        *out = grouping->groups[index];
        out->is_null = false;
        if (grouping->keys[index] == nullptr) {
            out->text = psprintf("%s.g%d", grouping->output, var->varattno);
            return true;
        }
        // The group's value, if all rows have the very same one. Grouping sets without it show NULL.
        UseArgument(grouping, out);
        out->text = psprintf("%s(%s)", out->type == INTERVALOID ? "ivy_interval_one" : "ivy_num_one", out->text);
        if (level->query->groupingSets != NIL) {
            out->text =
                psprintf("CASE WHEN GROUPING(%s.g%d) = 0 THEN %s END", grouping->input, var->varattno, out->text);
        }
        UseResult(grouping, out);
        return true;
    }
    // Not grouped, so functionally dependent on what is: the same in all rows of a group.
    level->above_grouping = false;
    const bool ok = TranslateVar(t, var, out);
    level->above_grouping = true;
    if (!ok) return false;
    UseArgument(grouping, out);
    out->text = psprintf("first(%s)", out->text);
    UseResult(grouping, out);
    return true;
}

bool TranslateGroupingFunc(Translator* t, GroupingFunc* function, Sql* out) {
    Level* level = t->level;
    if (function->agglevelsup != 0 || level->grouping == nullptr || !level->above_grouping) {
        return Refuse(t, "GROUPING of an outer query");
    }
    StringInfoData text;
    initStringInfo(&text);
    foreach_int (ref, function->refs) {
        appendStringInfo(&text, "%s%s.g%d", text.len == 0 ? "CAST(GROUPING(" : ", ", level->grouping->input,
                         GroupIndex(level->query, ref) + 1);
    }
    appendStringInfoString(&text, ") AS INTEGER)");
    *out = Sql{};
    // Without grouping sets every column is grouped.
    out->text = level->query->groupingSets != NIL ? text.data : "CAST(0 AS INTEGER)";
    out->type = INT4OID;
    out->rep = Native(TypeKind::kInt32);
    if (level->query->groupingSets != NIL) UseResult(level->grouping, out);
    return true;
}

}  // namespace ivy::translate
