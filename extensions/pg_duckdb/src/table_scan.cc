// SPDX-License-Identifier: Apache-2.0
//
// A scan of a whole mirror: the query "SELECT all columns FROM mirror", planned and run like any other, so that
// snapshots, own writes and the row table are dealt with in one place only, the plan node.
#include "table_scan.h"

extern "C" {
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "parser/parse_relation.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
}

namespace ivy {

struct ColumnarTableScan {
    MemoryContext context;
    QueryDesc* desc;
    List* attributes;  // int list: attribute of each result column
};

namespace duck {

namespace {

// The Query as analysis would make it. Privileges are the caller's to check.
::Query* SelectAll(Relation mirror, List** attributes) {
    auto* query = reinterpret_cast<::Query*>(newNode(sizeof(::Query), T_Query));
    query->commandType = CMD_SELECT;
    query->canSetTag = true;
    RangeTblEntry* rte = makeNode(RangeTblEntry);
    rte->rtekind = RTE_RELATION;
    rte->relid = RelationGetRelid(mirror);
    rte->relkind = mirror->rd_rel->relkind;
    rte->rellockmode = AccessShareLock;
    rte->inFromCl = true;
    rte->eref = makeAlias(RelationGetRelationName(mirror), NIL);
    query->rtable = list_make1(rte);
    addRTEPermissionInfo(&query->rteperminfos, rte);  // which asks for nothing
    RangeTblRef* reference = makeNode(RangeTblRef);
    reference->rtindex = 1;
    query->jointree = makeFromExpr(list_make1(reference), nullptr);

    TupleDesc desc = RelationGetDescr(mirror);
    for (int i = 0; i < desc->natts; i++) {
        const FormData_pg_attribute* attribute = TupleDescAttr(desc, i);
        rte->eref->colnames = lappend(rte->eref->colnames, makeString(pstrdup(NameStr(attribute->attname))));
        if (attribute->attisdropped) continue;
        *attributes = lappend_int(*attributes, attribute->attnum);
        Var* var = makeVar(1, attribute->attnum, attribute->atttypid, attribute->atttypmod, attribute->attcollation, 0);
        query->targetList = lappend(query->targetList,
                                    makeTargetEntry(reinterpret_cast<Expr*>(var),
                                                    static_cast<AttrNumber>(list_length(*attributes)), nullptr, false));
    }
    return query;
}

}  // namespace

ColumnarTableScan* BeginTableScan(Relation mirror, ::Snapshot snapshot) {
    MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "columnar table scan", ALLOCSET_DEFAULT_SIZES);
    MemoryContext before = MemoryContextSwitchTo(context);
    auto* scan = static_cast<ColumnarTableScan*>(palloc0(sizeof(ColumnarTableScan)));
    scan->context = context;
    const char* text = "scan of a columnstore mirror";
    PlannedStmt* plan = pg_plan_query(SelectAll(mirror, &scan->attributes), text, 0, nullptr);
    scan->desc = CreateQueryDesc(plan, text, snapshot, nullptr, None_Receiver, nullptr, nullptr, 0);
    ExecutorStart(scan->desc, 0);
    MemoryContextSwitchTo(before);
    return scan;
}

bool NextTableRow(ColumnarTableScan* scan, TupleTableSlot* slot) {
    ExecClearTuple(slot);
    EState* estate = scan->desc->estate;
    MemoryContext before = MemoryContextSwitchTo(estate->es_query_cxt);
    ResetPerTupleExprContext(estate);
    TupleTableSlot* row = ExecProcNode(scan->desc->planstate);
    const bool found = !TupIsNull(row);
    if (found) slot_getallattrs(row);
    MemoryContextSwitchTo(before);
    if (!found) return false;

    memset(slot->tts_isnull, true, sizeof(bool) * slot->tts_tupleDescriptor->natts);
    for (int i = 0; i < list_length(scan->attributes); i++) {
        const int column = list_nth_int(scan->attributes, i) - 1;
        slot->tts_values[column] = row->tts_values[i];
        slot->tts_isnull[column] = row->tts_isnull[i];
    }
    ExecStoreVirtualTuple(slot);
    return true;
}

void EndTableScan(ColumnarTableScan* scan) {
    ExecutorFinish(scan->desc);
    ExecutorEnd(scan->desc);
    FreeQueryDesc(scan->desc);
    MemoryContextDelete(scan->context);
}

}  // namespace duck
}  // namespace ivy
