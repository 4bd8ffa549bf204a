// SPDX-License-Identifier: Apache-2.0
// ColumnarPlan to a list of nodes and back.
#include "columnar_plan.h"

#include "mirrors.h"

extern "C" {
#include "nodes/value.h"
}

namespace ivy::duck {

ColumnarPlan MakeColumnarPlan(PlanLevel level, const translate::Translation* translation, ::Query* fallback) {
    ColumnarPlan plan{};
    plan.level = level;
    plan.sql = translation->sql;
    plan.mirrors = translation->mirrors;
    ListCell* cell;
    foreach (cell, plan.mirrors) {
        ColumnRelation relation;
        if (!LookupMirror(lfirst_oid(cell), &relation)) elog(ERROR, "relation %u is not a mirror", lfirst_oid(cell));
        plan.sources = lappend_oid(plan.sources, relation.source);
    }
    plan.functions = translation->functions;
    plan.row_queries = translation->row_queries;
    plan.result_types = translation->result_types;
    plan.fallback = fallback;
    plan.reasons = translation->reasons;
    plan.translation_us = translation->micros;
    return plan;
}

List* PackPlan(const ColumnarPlan& plan) {
    // All members are lists or strings, or nothing; copying keeps the plan apart from what the planner goes on
    // changing.
    List* packed =
        list_make5(makeInteger(static_cast<int>(plan.level)), makeString(pstrdup(plan.sql)),
                   copyObjectImpl(plan.mirrors), copyObjectImpl(plan.sources), copyObjectImpl(plan.row_queries));
    packed = lappend(packed, copyObjectImpl(plan.result_types));
    packed = lappend(packed, copyObjectImpl(plan.attributes));
    packed = lappend(packed, copyObjectImpl(plan.fallback));
    packed = lappend(packed, copyObjectImpl(plan.reasons));
    packed = lappend(packed, makeInteger(plan.translation_us));
    packed = lappend(packed, copyObjectImpl(plan.functions));
    return lappend(packed, copyObjectImpl(plan.casts));
}

ColumnarPlan UnpackPlan(List* packed) {
    ColumnarPlan plan{};
    plan.level = static_cast<PlanLevel>(intVal(list_nth(packed, 0)));
    plan.sql = strVal(list_nth(packed, 1));
    plan.mirrors = static_cast<List*>(list_nth(packed, 2));
    plan.sources = static_cast<List*>(list_nth(packed, 3));
    plan.row_queries = static_cast<List*>(list_nth(packed, 4));
    plan.result_types = static_cast<List*>(list_nth(packed, 5));
    plan.attributes = static_cast<List*>(list_nth(packed, 6));
    plan.fallback = static_cast<::Query*>(list_nth(packed, 7));
    plan.reasons = static_cast<List*>(list_nth(packed, 8));
    plan.translation_us = intVal(list_nth(packed, 9));
    plan.functions = static_cast<List*>(list_nth(packed, 10));
    plan.casts = static_cast<List*>(list_nth(packed, 11));
    return plan;
}

ColumnType UnpackType(const Node* node) {
    const int packed = intVal(node);
    return {static_cast<TypeKind>(packed & 0xff), static_cast<uint8_t>(packed >> 8 & 0xff),
            static_cast<uint8_t>(packed >> 16 & 0xff)};
}

Node* PackType(ColumnType type) {
    return reinterpret_cast<Node*>(makeInteger(static_cast<int>(type.kind) | type.precision << 8 | type.scale << 16));
}

}  // namespace ivy::duck
