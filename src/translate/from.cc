// SPDX-License-Identifier: Apache-2.0
// FROM and WHERE, and the Vars that point there.
#include "translate/query_parts.h"

extern "C" {
#include "catalog/pg_attribute.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
}

namespace ivy::translate {

namespace {

RowSource* AddRowSource(Translator* t, RangeTblEntry* rte, Query* query, Index rti) {
    auto* source = static_cast<RowSource*>(palloc0(sizeof(RowSource)));
    source->index = list_length(t->row_sources);
    source->rte = rte;
    source->query = query;
    source->rti = rti;
    if (rte != nullptr && rte->perminfoindex > 0) {
        source->perminfo = static_cast<RTEPermissionInfo*>(
            list_nth(t->level->query->rteperminfos, static_cast<int>(rte->perminfoindex) - 1));
    }
    t->row_sources = lappend(t->row_sources, source);
    return source;
}

// --- which filters Postgres can apply to a row source --------------------------------------------------------------------

struct SingleRelation {
    Index rti;
    bool other;
};

bool SingleRelationWalker(Node* node, void* context) {
    auto* state = static_cast<SingleRelation*>(context);
    if (node == nullptr) return false;
    switch (nodeTag(node)) {
        case T_Var: {
            const auto* var = castNode(Var, node);
            if (var->varlevelsup != 0 || (state->rti != 0 && state->rti != static_cast<Index>(var->varno))) {
                state->other = true;
                return true;
            }
            state->rti = var->varno;
            return false;
        }
        case T_SubLink:
        case T_Aggref:
        case T_GroupingFunc:
        case T_WindowFunc:
        case T_Query: state->other = true; return true;
        case T_Param:
            if (castNode(Param, node)->paramkind == PARAM_EXTERN) return false;
            state->other = true;
            return true;
        default: return expression_tree_walker(node, SingleRelationWalker, context);
    }
}

// The row source among "candidates" that this filter is about alone, or null.
RowSource* SourceOfQual(Translator* t, Node* qual, Relids candidates) {
    SingleRelation state{0, false};
    SingleRelationWalker(qual, &state);
    if (state.other || state.rti == 0 || !bms_is_member(static_cast<int>(state.rti), candidates)) return nullptr;
    return contain_volatile_functions(qual) ? nullptr : t->level->entries[state.rti].rows;
}

// Translates a condition, without the parts that row sources in "candidates" take.
bool TranslateCondition(Translator* t, Node* condition, Relids candidates, const char** out) {
    List* rest = NIL;
    foreach_ptr (Node, qual, make_ands_implicit(reinterpret_cast<Expr*>(Fold(t, condition)))) {
        RowSource* source = SourceOfQual(t, qual, candidates);
        if (source != nullptr) {
            source->quals = lappend(source->quals, qual);
        } else {
            rest = lappend(rest, qual);
        }
    }
    *out = nullptr;
    return rest == NIL || TranslateQual(t, reinterpret_cast<Node*>(rest), out);
}

// --- range table entries -------------------------------------------------------------------------------------------------

bool AddMirror(Translator* t, RangeTblEntry* rte, FromEntry* entry, StringInfo out) {
    if (rte->tablesample != nullptr) return Refuse(t, "TABLESAMPLE");
    const int index = list_length(t->mirrors);
    t->mirrors = lappend_oid(t->mirrors, rte->relid);
    entry->alias = NewAlias(t);
    if (rte->securityQuals == NIL) {
        appendStringInfo(out, "{mirror:%d} AS %s", index, entry->alias);
        return true;
    }
    const char* filter;
    const char* inner = entry->alias;
    if (!TranslateQual(t, Fold(t, reinterpret_cast<Node*>(rte->securityQuals)), &filter)) return false;
    entry->alias = NewAlias(t);
    appendStringInfo(out, "(SELECT * FROM {mirror:%d} AS %s WHERE %s) AS %s", index, inner, filter, entry->alias);
    return true;
}

bool AddRows(Translator* t, RangeTblEntry* rte, Index rti, FromEntry* entry, StringInfo out) {
    entry->alias = NewAlias(t);
    entry->rows = AddRowSource(t, rte, nullptr, rti);
    appendStringInfo(out, "{rows:%d} AS %s", entry->rows->index, entry->alias);
    return true;
}

bool AddSubquery(Translator* t, RangeTblEntry* rte, FromEntry* entry, StringInfo out) {
    if (rte->securityQuals != NIL) return Refuse(t, "row security of a view");
    appendStringInfoString(out, rte->lateral ? "LATERAL (" : "(");
    Columns columns;
    if (!TranslateOrFetch(t, rte->subquery, t->level, out, &columns)) return false;
    entry->columns = columns.items;
    entry->column_count = columns.count;
    entry->alias = NewAlias(t);
    appendStringInfo(out, ") AS %s", entry->alias);
    return true;
}

bool AddCteReference(Translator* t, RangeTblEntry* rte, FromEntry* entry, StringInfo out) {
    Level* level = LevelAt(t, rte->ctelevelsup);
    if (level == nullptr) return Refuse(t, "WITH query of an outer level");
    foreach_ptr (Cte, cte, level->ctes) {
        if (strcmp(cte->name, rte->ctename) != 0) continue;
        if (cte->columns == nullptr) break;
        entry->columns = cte->columns;
        entry->column_count = cte->column_count;
        entry->alias = NewAlias(t);
        appendStringInfo(out, "%s AS %s", cte->alias, entry->alias);
        return true;
    }
    return Refuse(t, "WITH query that was not translated");
}

bool AddValues(Translator* t, RangeTblEntry* rte, FromEntry* entry, StringInfo out) {
    const int rows = list_length(rte->values_lists);
    const int columns = list_length(static_cast<List*>(linitial(rte->values_lists)));
    auto* cells = static_cast<Sql*>(palloc0(rows * columns * sizeof(Sql)));
    int at = 0;
    foreach_ptr (List, row, rte->values_lists) {
        int column = 0;
        foreach_ptr (Node, node, row) {
            // By column, for CommonType.
            if (!TranslateExpression(t, Fold(t, node), &cells[column++ * rows + at])) return false;
        }
        at++;
    }
    entry->columns = static_cast<Sql*>(palloc0(columns * sizeof(Sql)));
    entry->column_count = columns;
    for (int i = 0; i < columns; i++) {
        Sql* common = &entry->columns[i];
        if (!CommonType(t, &cells[i * rows], rows, "VALUES", common)) return false;
        if (common->scale_kind != NumericScale::kFixed) *common = NumericText(nullptr);
        common->is_null = false;
    }
    entry->alias = NewAlias(t);
    appendStringInfoString(out, "(VALUES ");
    for (int row = 0; row < rows; row++) {
        appendStringInfoString(out, row == 0 ? "(" : ", (");
        for (int i = 0; i < columns; i++) {
            appendStringInfo(out, "%s%s", i == 0 ? "" : ", ", ConvertTo(cells[i * rows + row], entry->columns[i]));
        }
        appendStringInfoChar(out, ')');
    }
    appendStringInfo(out, ") AS %s(", entry->alias);
    for (int i = 0; i < columns; i++) appendStringInfo(out, "%sc%d", i == 0 ? "" : ", ", i + 1);
    appendStringInfoChar(out, ')');
    return true;
}

// Its columns are described by the entry: only what the engine may not compute with must be remembered.
bool AddEngineFunction(Translator* t, const EngineFunction& function, FromEntry* entry, StringInfo out) {
    entry->alias = NewAlias(t);
    entry->function = static_cast<EngineFunction*>(palloc(sizeof(EngineFunction)));
    *entry->function = function;
    t->functions = lappend(t->functions, function.info);
    appendStringInfo(out, "%s AS %s", function.text, entry->alias);
    return true;
}

bool AddUnnest(Translator* t, RangeTblEntry* rte, FromEntry* entry, StringInfo out) {
    const char* text;
    entry->columns = static_cast<Sql*>(palloc0(sizeof(Sql)));
    entry->column_count = 1;
    if (!TranslateUnnest(t, rte, &text, entry->columns)) return false;
    entry->alias = NewAlias(t);
    appendStringInfo(out, "%s AS %s", text, entry->alias);
    return true;
}

bool VarWalker(Node* node, void* context) {
    if (node == nullptr) return false;
    return IsA(node, Var) || expression_tree_walker(node, VarWalker, context);
}

// Whether an entry that is computed from expressions needs nothing from other relations, of this query or outer ones.
bool IsIndependent(Node* expressions) {
    return !VarWalker(expressions, nullptr) && !checkExprHasSubLink(expressions) &&
           !contain_volatile_functions(expressions);
}

bool AddRelation(Translator* t, Index rti, Relids* sources, StringInfo out) {
    RangeTblEntry* rte = rt_fetch(rti, t->level->query->rtable);
    FromEntry* entry = &t->level->entries[rti];
    switch (rte->rtekind) {
        case RTE_RELATION:
            if (t->is_mirror(rte->relid)) return AddMirror(t, rte, entry, out);
            *sources = bms_add_member(*sources, static_cast<int>(rti));
            return AddRows(t, rte, rti, entry, out);
        case RTE_SUBQUERY: return AddSubquery(t, rte, entry, out);
        case RTE_CTE: return AddCteReference(t, rte, entry, out);
        case RTE_VALUES: {
            const Mark mark = SetMark(t, out);
            if (AddValues(t, rte, entry, out)) return true;
            if (list_length(t->mirrors) > mark.mirrors || !IsIndependent(reinterpret_cast<Node*>(rte->values_lists))) {
                return false;
            }
            ResetToMark(t, mark, out);
            return AddRows(t, rte, rti, entry, out);
        }
        case RTE_FUNCTION: {
            EngineFunction function;
            if (LookupEngineFunction(rte, &function)) return AddEngineFunction(t, function, entry, out);
            if (!IsIndependent(reinterpret_cast<Node*>(rte->functions))) return AddUnnest(t, rte, entry, out);
            *sources = bms_add_member(*sources, static_cast<int>(rti));
            return AddRows(t, rte, rti, entry, out);
        }
        case RTE_RESULT: appendStringInfo(out, "(SELECT 1 AS c0) AS %s", NewAlias(t)); return true;
        case RTE_TABLEFUNC: return Refuse(t, "XMLTABLE or JSON_TABLE");
        case RTE_NAMEDTUPLESTORE: return Refuse(t, "transition table");
        default: return Refuse(t, "range table entry of kind %d", static_cast<int>(rte->rtekind));
    }
}

// Appends one item of the join tree. *sources receives the row sources whose rows it neither drops nor extends with
// NULLs: filters above may go into those.
bool AddItem(Translator* t, Node* node, Relids* sources, StringInfo out) {
    check_stack_depth();
    if (IsA(node, RangeTblRef)) {
        return AddRelation(t, static_cast<Index>(castNode(RangeTblRef, node)->rtindex), sources, out);
    }
    if (!IsA(node, JoinExpr)) return Refuse(t, "join tree node of kind %d", static_cast<int>(nodeTag(node)));
    auto* join = castNode(JoinExpr, node);
    Relids left = nullptr;
    Relids right = nullptr;
    Relids filterable = nullptr;
    const char* name = nullptr;
    appendStringInfoChar(out, '(');
    bool ok = AddItem(t, join->larg, &left, out);
    switch (join->jointype) {
        case JOIN_INNER: name = "INNER JOIN"; break;
        case JOIN_LEFT: name = "LEFT JOIN"; break;
        case JOIN_RIGHT: name = "RIGHT JOIN"; break;
        case JOIN_FULL: name = "FULL JOIN"; break;
        default: return Refuse(t, "join of kind %d", static_cast<int>(join->jointype));
    }
    if (join->jointype != JOIN_INNER && checkExprHasSubLink(join->quals)) {
        // DuckDB fails inside for some of these, which would end the engine.
        return Refuse(t, "subquery in the condition of an outer join");
    }
    appendStringInfo(out, " %s ", name);
    ok = AddItem(t, join->rarg, &right, out) && ok;
    if (!ok) return false;
    switch (join->jointype) {
        case JOIN_INNER:
            filterable = bms_union(left, right);
            *sources = bms_union(*sources, filterable);
            break;
        case JOIN_LEFT:
            filterable = right;
            *sources = bms_union(*sources, left);
            break;
        case JOIN_RIGHT:
            filterable = left;
            *sources = bms_union(*sources, right);
            break;
        default: break;
    }
    const char* condition;
    if (!TranslateCondition(t, join->quals, filterable, &condition)) return false;
    appendStringInfo(out, " ON %s)", condition != nullptr ? condition : "TRUE");
    return true;
}

// --- Vars ------------------------------------------------------------------------------------------------------------------

// A virtual generated column is its expression over the relation's other columns.
bool TranslateGenerated(Translator* t, Level* level, Var* var, Oid relid, Sql* out) {
    Relation relation = table_open(relid, NoLock);
    Node* expression = static_cast<Node*>(copyObjectImpl(build_generation_expression(relation, var->varattno)));
    table_close(relation, NoLock);
    ChangeVarNodes(expression, 1, var->varno, 0);
    Level* inner = t->level;
    t->level = level;
    const bool ok = TranslateExpression(t, Fold(t, expression), out);
    t->level = inner;
    return ok;
}

Sql RowSourceColumn(RowSource* source, const char* alias, Var* var) {
    int index = 0;
    foreach_int (attnum, source->attnums) {
        if (attnum == var->varattno) break;
        index++;
    }
    if (index == list_length(source->attnums)) {
        source->attnums = lappend_int(source->attnums, var->varattno);
        Var* own = makeVar(1, var->varattno, var->vartype, var->vartypmod, var->varcollid, 0);
        source->vars = lappend(source->vars, own);
    }
    return ColumnOf(var->vartype, var->vartypmod, psprintf("%s.c%d", alias, index + 1));
}

}  // namespace

namespace {
FindEngineFunction find_engine_function;
}

void RegisterEngineFunctions(FindEngineFunction find) { find_engine_function = find; }

bool LookupEngineFunction(RangeTblEntry* rte, EngineFunction* out) {
    return find_engine_function != nullptr && find_engine_function(rte, out);
}

bool FunctionColumn(Translator* t, const EngineFunction& function, const Var* var, const char* text, Sql* out) {
    if (var->varattno > function.count) return Refuse(t, "column that a function does not have");
    const int packed = function.types[var->varattno - 1];
    const ColumnType wire{static_cast<TypeKind>(packed & 0xff), static_cast<uint8_t>(packed >> 8 & 0xff),
                          static_cast<uint8_t>(packed >> 16 & 0xff)};
    if (!function.computable[var->varattno - 1]) {
        return Refuse(t, "column of a file that only the server can cast to type %s", format_type_be(var->vartype));
    }
    *out = ColumnOf(var->vartype, var->vartypmod, text);
    // A numeric without precision has that of the files.
    if (wire.kind == TypeKind::kDecimal) {
        out->rep = wire;
        out->text_form = false;
        out->scale_kind = NumericScale::kFixed;
    }
    return true;
}

const char* NewAlias(Translator* t) { return psprintf("t%d", ++t->relation_count); }

Level* LevelAt(Translator* t, Index levels_up) {
    Level* level = t->level;
    while (level != nullptr && levels_up-- > 0) level = level->parent;
    return level;
}

bool TranslateFrom(Translator* t, StringInfo from, const char** where) {
    const FromExpr* tree = t->level->query->jointree;
    Relids sources = nullptr;
    bool ok = true;
    bool first = true;
    foreach_ptr (Node, item, tree->fromlist) {
        if (!first) appendStringInfoString(from, ", ");
        first = false;
        ok = AddItem(t, item, &sources, from) && ok;
    }
    if (!ok) return false;
    return TranslateCondition(t, tree->quals, sources, where);
}

bool TranslateVar(Translator* t, Var* var, Sql* out) {
    Level* level = LevelAt(t, var->varlevelsup);
    if (level == nullptr) return Refuse(t, "column of an outer query");
    // DuckDB runs a correlated subquery once for values that it takes for the same; of some types, equal values differ.
    const Oid type = var->varlevelsup > 0 ? getBaseType(var->vartype) : InvalidOid;
    if (type == FLOAT4OID || type == FLOAT8OID || type == INTERVALOID) {
        return Refuse(t, "column of type %s of an outer query", format_type_be(type));
    }
    if (var->varattno == InvalidAttrNumber) return Refuse(t, "whole-row reference");
    if (var->varattno < 0) return Refuse(t, "system column");
    if (level->scan_rti != 0) {
        if (static_cast<Index>(var->varno) != level->scan_rti) return Refuse(t, "column of another relation");
        if (level->scan_function != nullptr) {
            return FunctionColumn(t, *level->scan_function, var, psprintf("c%d", var->varattno), out);
        }
        *out = ColumnOf(var->vartype, var->vartypmod, psprintf("c%d", var->varattno));
        return true;
    }
    RangeTblEntry* rte = rt_fetch(var->varno, level->query->rtable);
    if (level->above_grouping) return TranslateGroupedVar(t, level, rte, var, out);
    if (rte->rtekind == RTE_JOIN || rte->rtekind == RTE_GROUP) {
        List* expressions = rte->rtekind == RTE_JOIN ? rte->joinaliasvars : rte->groupexprs;
        Level* inner = t->level;
        t->level = level;
        const bool ok =
            TranslateExpression(t, Fold(t, static_cast<Node*>(list_nth(expressions, var->varattno - 1))), out);
        t->level = inner;
        return ok;
    }
    const FromEntry* entry = &level->entries[var->varno];
    if (entry->alias == nullptr) return Refuse(t, "column of a relation that is not in FROM");
    if (entry->rows != nullptr) {
        *out = RowSourceColumn(entry->rows, entry->alias, var);
        return true;
    }
    if (entry->function != nullptr) {
        return FunctionColumn(t, *entry->function, var, psprintf("%s.c%d", entry->alias, var->varattno), out);
    }
    if (entry->columns != nullptr) {
        if (var->varattno > entry->column_count) return Refuse(t, "column that a subquery does not have");
        *out = entry->columns[var->varattno - 1];
        out->text = psprintf("%s.c%d", entry->alias, var->varattno);
        return true;
    }
    if (get_attgenerated(rte->relid, var->varattno) == ATTRIBUTE_GENERATED_VIRTUAL) {
        return TranslateGenerated(t, level, var, rte->relid, out);
    }
    *out = ColumnOf(var->vartype, var->vartypmod, psprintf("%s.c%d", entry->alias, var->varattno));
    return true;
}

}  // namespace ivy::translate
