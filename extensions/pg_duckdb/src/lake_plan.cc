// SPDX-License-Identifier: Apache-2.0
// Lake functions in plans: finding calls, and asking the engine about their files once a planning.
#include "lake_plan.h"

#include "lake_access.h"
#include "lake_row.h"

extern "C" {
#include "catalog/namespace.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "nodes/value.h"
#include "optimizer/optimizer.h"
}

namespace ivy::duck {

namespace {

LakePlanning* current;

// --- calls in a query ------------------------------------------------------------------------------------------------

bool PrepareWalker(Node* node, void* context) {
    if (!node) return false;
    if (IsA(node, Query)) return query_tree_walker(reinterpret_cast<::Query*>(node), PrepareWalker, context, 0);
    if (IsA(node, FuncExpr) && IsLakeFunction(reinterpret_cast<FuncExpr*>(node)->funcid)) {
        CompleteLakeCall(reinterpret_cast<FuncExpr*>(node));
        *static_cast<bool*>(context) = true;
    }
    return expression_tree_walker(node, PrepareWalker, context);
}

// --- tables ----------------------------------------------------------------------------------------------------------

struct KnownTable {
    const char* key;
    ErrorData* error;  // or null; not asked for again, as a server that doesn't answer takes its time
    const LakeTable* table;
    translate::EngineFunction function;
};

// The call with its arguments folded, parameters of known value included.
FuncExpr* FoldArguments(const FuncExpr* call) {
    PlannerGlobal* global = makeNode(PlannerGlobal);
    global->boundParams = current->params;
    PlannerInfo* root = makeNode(PlannerInfo);
    root->glob = global;
    auto* folded = static_cast<FuncExpr*>(copyObjectImpl(call));
    folded->args = reinterpret_cast<List*>(eval_const_expressions(root, reinterpret_cast<Node*>(folded->args)));
    return folded;
}

const char* KeyOf(const LakeCall* call, TupleDesc declared) {
    StringInfoData key;
    initStringInfo(&key);
    appendStringInfoString(&key, LakeCallText(call));
    for (int i = 0; i < declared->natts; i++) {
        const FormData_pg_attribute* attribute = TupleDescAttr(declared, i);
        appendStringInfo(&key, " %u %d %s", attribute->atttypid, attribute->atttypmod, NameStr(attribute->attname));
    }
    return key.data;
}

translate::EngineFunction FunctionOf(const LakeTable* table) {
    translate::EngineFunction function{};
    auto* types = static_cast<int*>(palloc0(sizeof(int) * Max(table->count, 1)));
    auto* computable = static_cast<bool*>(palloc0(sizeof(bool) * Max(table->count, 1)));
    for (int i = 0; i < table->count; i++) {
        const ColumnType wire = table->columns[i].wire;
        types[i] = static_cast<int>(wire.kind) | wire.precision << 8 | wire.scale << 16;
        computable[i] = table->columns[i].shippable;
    }
    List* paths = NIL;
    ListCell* cell;
    foreach (cell, table->call->paths) paths = lappend(paths, makeString(static_cast<char*>(lfirst(cell))));
    function.text = LakeTableText(table);
    function.count = table->count;
    function.types = types;
    function.computable = computable;
    function.info = reinterpret_cast<Node*>(list_make2(list_make1_oid(table->call->function), paths));
    return function;
}

bool FindEngineFunction(RangeTblEntry* rte, translate::EngineFunction* out) {
    const LakeTable* table;
    return FindLakeTable(rte, out, &table);
}

}  // namespace

void InstallLakePlanning() { translate::RegisterEngineFunctions(FindEngineFunction); }

bool PrepareLakeCalls(::Query* query) {
    if (!OidIsValid(get_namespace_oid("mooncake", true))) return false;
    bool found = false;
    PrepareWalker(reinterpret_cast<Node*>(query), &found);
    return found;
}

LakePlanning* EnterLakePlanning(LakePlanning* planning) {
    LakePlanning* before = current;
    current = planning;
    return before;
}

bool FindLakeTable(RangeTblEntry* rte, translate::EngineFunction* out, const LakeTable** table) {
    if (!current) return false;
    const FuncExpr* expression = rte->funcordinality ? nullptr : LakeCallOfEntry(rte);
    if (!expression) return false;
    TupleDesc declared = DeclaredColumns(linitial_node(RangeTblFunction, rte->functions));
    if (!declared) return false;
    const FuncExpr* folded = FoldArguments(expression);
    const LakeCall* call = LakeCallOfConstants(folded);
    if (!call) return false;

    const char* key = KeyOf(call, declared);
    KnownTable* known = nullptr;
    ListCell* cell;
    foreach (cell, current->tables) {
        auto* candidate = static_cast<KnownTable*>(lfirst(cell));
        if (strcmp(candidate->key, key) == 0) known = candidate;
    }
    if (!known) {
        CheckLakeCall(call->function, call->paths);
        known = static_cast<KnownTable*>(palloc0(sizeof(KnownTable)));
        known->key = key;
        current->tables = lappend(current->tables, known);
        MemoryContext context = CurrentMemoryContext;
        PG_TRY();
        {
            known->table = BindLakeTable(call, declared);
        }
        PG_CATCH();
        {
            MemoryContextSwitchTo(context);
            known->error = CopyErrorData();
            PG_RE_THROW();
        }
        PG_END_TRY();
        known->function = FunctionOf(known->table);
    }
    if (known->error) ReThrowError(known->error);
    *out = known->function;
    *table = known->table;
    return true;
}

Oid LakeInfoFunction(const Node* info) {
    return linitial_oid(static_cast<List*>(linitial(reinterpret_cast<const List*>(info))));
}

List* LakeInfoPaths(const Node* info) {
    List* paths = NIL;
    ListCell* cell;
    foreach (cell, static_cast<List*>(lsecond(reinterpret_cast<const List*>(info)))) {
        paths = lappend(paths, strVal(lfirst(cell)));
    }
    return paths;
}

}  // namespace ivy::duck
