// SPDX-License-Identifier: Apache-2.0
// EXPLAIN of ColumnarScan: what the engine runs, what not and why, its own plan, and, with ANALYZE, what it did.
#include "columnar_query.h"
#include "lake_plan.h"
#include "mirrors.h"
#include "settings.h"

extern "C" {
#include "access/xlog.h"
#include "commands/explain.h"
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#include "nodes/value.h"
}

namespace ivy::duck {

namespace {

const char* QualifiedName(Oid relid) {
    char* name = get_rel_name(relid);
    return name ? quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), name) : "(dropped)";
}

const char* LevelText(PlanLevel level) {
    switch (level) {
        case PlanLevel::kWhole: return "whole query";
        case PlanLevel::kSplit: return "part of the query";
        case PlanLevel::kScan: return "scan";
    }
    return "";
}

// Each mirror once, as "mirror of source".
List* MirrorTexts(const ColumnarPlan& plan) {
    List* texts = NIL;
    List* seen = NIL;
    for (int i = 0; i < list_length(plan.mirrors); i++) {
        const Oid mirror = list_nth_oid(plan.mirrors, i);
        if (list_member_oid(seen, mirror)) continue;
        seen = lappend_oid(seen, mirror);
        const Oid source = list_nth_oid(plan.sources, i);
        texts = lappend(texts, psprintf("%s (of %s)", QualifiedName(mirror), QualifiedName(source)));
    }
    return texts;
}

// Each lake function, as "read_csv(/a.csv)".
List* LakeTexts(const ColumnarPlan& plan) {
    List* texts = NIL;
    ListCell* cell;
    foreach (cell, plan.functions) {
        const auto* info = static_cast<const Node*>(lfirst(cell));
        List* paths = LakeInfoPaths(info);
        const char* name = get_func_name(LakeInfoFunction(info));
        texts =
            lappend(texts, psprintf("%s(%s%s)", name ? name : "(dropped)", static_cast<char*>(linitial(paths)),
                                    list_length(paths) > 1 ? psprintf(" and %d more", list_length(paths) - 1) : ""));
    }
    return texts;
}

// The relations that the backend reads and sends.
List* RowSourceTexts(const ColumnarPlan& plan) {
    List* texts = NIL;
    ListCell* cell;
    foreach (cell, plan.row_queries) {
        const auto* query = static_cast<const ::Query*>(lfirst(cell));
        const char* text = "subquery";
        if (list_length(query->rtable) == 1) {
            const auto* rte = linitial_node(RangeTblEntry, query->rtable);
            if (rte->rtekind == RTE_RELATION) text = QualifiedName(rte->relid);
        }
        texts = lappend(texts, const_cast<char*>(text));
    }
    return texts;
}

List* ReasonTexts(const ColumnarPlan& plan) {
    List* texts = NIL;
    ListCell* cell;
    foreach (cell, plan.reasons) texts = lappend(texts, strVal(lfirst(cell)));
    return texts;
}

// In text format a box drawing of many lines, each indented like the rest.
void ShowPlan(const char* plan, ExplainState* es) {
    if (es->format != EXPLAIN_FORMAT_TEXT) {
        ExplainPropertyText("DuckDB Plan", plan, es);
        return;
    }
    ExplainIndentText(es);
    appendStringInfoString(es->str, "DuckDB Plan:\n");
    while (*plan) {
        const char* end = strchrnul(plan, '\n');
        if (end > plan) {
            appendStringInfoSpaces(es->str, es->indent * 2 + 2);
            appendBinaryStringInfo(es->str, plan, static_cast<int>(end - plan));
            appendStringInfoChar(es->str, '\n');
        }
        plan = *end ? end + 1 : end;
    }
}

void ShowWork(const ColumnarScanState* state, ExplainState* es) {
    if (state->fallback_runs > 0) {
        ExplainPropertyText("Ran on Row Table", state->fallback_reason ? state->fallback_reason : "unknown reason", es);
    }
    if (state->summaries == 0) return;
    if (state->runs > 1) ExplainPropertyUInteger("Engine Queries", nullptr, state->runs - state->fallback_runs, es);
    if (state->plan.mirrors == NIL) return;
    ExplainPropertyUInteger("Files", nullptr, state->files, es);
    ExplainPropertyUInteger("Rows in Files", nullptr, state->file_rows, es);
    ExplainPropertyUInteger("Rows in Delta", nullptr, state->delta_rows, es);
    if (es->timing) {
        ExplainPropertyFloat("Freshness Wait", "ms", static_cast<double>(state->freshness_wait_us) / 1000, 3, es);
    }
}

const char* WhyOnRowTable(const ColumnRelation& relation) {
    if (RecoveryInProgress()) return "the server is a standby";
    if (!relation.usable) return relation.reason ? relation.reason : "it can't be used now";
    if (execution == kExecutionRow) return "mooncake.execution is off";
    return "system columns, TABLESAMPLE, row locks, changes of data or reading it row by row need it";
}

explain_per_plan_hook_type previous_per_plan;

// Mirrors that were exchanged for their row tables at planning are in the range table, but no node reads them.
void OnExplainPlan(PlannedStmt* plan, IntoClause* into, ExplainState* es, const char* text, ParamListInfo params,
                   QueryEnvironment* environment) {
    if (previous_per_plan) previous_per_plan(plan, into, es, text, params, environment);
    List* texts = NIL;
    int rti = 0;
    ListCell* cell;
    foreach (cell, plan->rtable) {
        rti++;
        const auto* rte = lfirst_node(RangeTblEntry, cell);
        ColumnRelation relation;
        if (bms_is_member(rti, plan->unprunableRelids) || !LookupMirror(rte, &relation)) continue;
        texts = lappend(texts, psprintf("%s instead of mirror %s: %s", QualifiedName(relation.source),
                                        QualifiedName(relation.relid), WhyOnRowTable(relation)));
    }
    if (texts != NIL) ExplainPropertyList("Row Tables", texts, es);
}

}  // namespace

void InstallExplain() {
    previous_per_plan = explain_per_plan_hook;
    explain_per_plan_hook = OnExplainPlan;
}

void ExplainColumnarScan(CustomScanState* node, List*, ExplainState* es) {
    auto* state = reinterpret_cast<ColumnarScanState*>(node);
    const ColumnarPlan& plan = state->plan;
    ExplainPropertyText("Columnar Engine", LevelText(plan.level), es);
    if (plan.mirrors != NIL) ExplainPropertyList("Mirrors", MirrorTexts(plan), es);
    if (plan.functions != NIL) ExplainPropertyList("Lake Files", LakeTexts(plan), es);
    if (plan.row_queries != NIL) ExplainPropertyList("Row Sources", RowSourceTexts(plan), es);
    if (plan.reasons != NIL) ExplainPropertyList("Not Pushed Down", ReasonTexts(plan), es);
    if (es->verbose) ExplainPropertyText("Engine SQL", plan.sql, es);
    if (es->summary && plan.translation_us > 0) {
        ExplainPropertyFloat("Translation Time", "ms", plan.translation_us / 1000.0, 3, es);
    }
    if (es->analyze) {
        ShowWork(state, es);
        if (state->profile && es->timing) ShowPlan(state->profile, es);
        return;
    }
    // DuckDB's plan has estimates on each line.
    if (!es->costs) return;
    const char* why = nullptr;
    if (const char* text = ExplainOnEngine(state, &why)) {
        ShowPlan(text, es);
    } else {
        ExplainPropertyText("DuckDB Plan", psprintf("not available: %s", why), es);
    }
}

}  // namespace ivy::duck
