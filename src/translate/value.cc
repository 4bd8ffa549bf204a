// SPDX-License-Identifier: Apache-2.0
// Values: what Postgres evaluates before the query runs, and the simplification that finds it.
#include "translate/query_parts.h"

extern "C" {
#include "catalog/pg_collation.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/fmgroids.h"
#include "utils/numeric.h"
}

namespace ivy::translate {

namespace {

bool NeedsRowsWalker(Node* node, void* context) {
    auto* test_depth = static_cast<int*>(context);
    if (node == nullptr) return false;
    switch (nodeTag(node)) {
        case T_Var:
        case T_Aggref:
        case T_GroupingFunc:
        case T_WindowFunc:
        case T_SubLink:
        case T_SubPlan:
        case T_AlternativeSubPlan:
        case T_PlaceHolderVar:
        case T_SetToDefault:
        case T_CurrentOfExpr:
        case T_NextValueExpr:
        case T_Query:
        case T_MergeSupportFunc: return true;
        // The planner's own parameters (PARAM_EXEC) occur in filters of a scan, whose node evaluates them like the client's.
        case T_Param:
            return castNode(Param, node)->paramkind != PARAM_EXTERN && castNode(Param, node)->paramkind != PARAM_EXEC;
        case T_CaseTestExpr: return *test_depth == 0;
        case T_FuncExpr:
            if (castNode(FuncExpr, node)->funcretset) return true;
            break;
        case T_OpExpr:
            if (castNode(OpExpr, node)->opretset) return true;
            break;
        case T_CaseExpr:
        case T_ArrayCoerceExpr: {
            (*test_depth)++;
            const bool found = expression_tree_walker(node, NeedsRowsWalker, context);
            (*test_depth)--;
            return found;
        }
        default: break;
    }
    return expression_tree_walker(node, NeedsRowsWalker, context);
}

struct AliasState {
    Query* query;
    int levels_up;
};

// Replaces Vars of join entries by what they stand for.
Node* ResolveAliasesMutator(Node* node, void* context) {
    auto* state = static_cast<AliasState*>(context);
    if (node == nullptr) return nullptr;
    if (IsA(node, Var)) {
        auto* var = castNode(Var, node);
        if (static_cast<int>(var->varlevelsup) != state->levels_up || var->varattno <= 0) return node;
        const RangeTblEntry* rte = rt_fetch(var->varno, state->query->rtable);
        if (rte->rtekind != RTE_JOIN) return node;
        Node* alias = static_cast<Node*>(copyObjectImpl(list_nth(rte->joinaliasvars, var->varattno - 1)));
        AliasState inner{state->query, 0};
        alias = ResolveAliasesMutator(alias, &inner);
        if (state->levels_up > 0) IncrementVarSublevelsUp(alias, state->levels_up, 0);
        return alias;
    }
    if (IsA(node, Query)) {
        state->levels_up++;
        Query* result = query_tree_mutator(castNode(Query, node), ResolveAliasesMutator, context, 0);
        state->levels_up--;
        return reinterpret_cast<Node*>(result);
    }
    return expression_tree_mutator(node, ResolveAliasesMutator, context);
}

}  // namespace

bool IsValue(Node* node) {
    int test_depth = 0;
    return !NeedsRowsWalker(node, &test_depth) && !contain_volatile_functions(node);
}

bool TranslateValue(Translator* t, Node* node, Sql* out) {
    const Oid type = exprType(node);
    if (!HasLiteral(type)) return Refuse(t, "constant or parameter of type %s", format_type_be(type));
    *out = ColumnOf(type, exprTypmod(node), nullptr);
    if (OidIsValid(get_element_type(out->type))) {
        out->text_form = true;
    }
    if (IsA(node, Const)) {
        const auto* constant = castNode(Const, node);
        out->text = LiteralFor(type, exprTypmod(node), constant->constvalue, constant->constisnull);
        if (out->text == nullptr && out->type == NUMERICOID) {
            // NaN, an infinity, or more digits than a DECIMAL has.
            const char* digits = DatumGetCString(DirectFunctionCall1(numeric_out, constant->constvalue));
            *out = NumericText(psprintf("CAST('%s' AS VARCHAR)", digits));
            return true;
        }
        if (out->text == nullptr) return Refuse(t, "constant of type %s without a literal", format_type_be(type));
        out->is_null = constant->constisnull;
        if (out->type == NUMERICOID) {
            out->text_form = false;
            int precision = 1;
            int scale = 0;
            const char* decimal = strstr(out->text, " AS DECIMAL(");
            if (decimal != nullptr) sscanf(decimal, " AS DECIMAL(%d,%d)", &precision, &scale);
            out->rep = Decimal(precision, scale);
        }
        return true;
    }
    int index = 0;
    foreach_ptr (Node, known, t->values) {
        if (equal(known, node)) break;
        index++;
    }
    if (index == list_length(t->values)) t->values = lappend(t->values, copyObjectImpl(node));
    out->text = psprintf("{value:%d}", index);
    if (out->type == NUMERICOID) {
        if (out->text_form) {
            out->text_form = false;
            out->rep = Decimal(38, 0);
            out->scale_kind = NumericScale::kLiteral;
        } else {
            // The literal has the value's own precision.
            out->text = psprintf("CAST(%s AS %s)", out->text, TypeName(out->rep));
        }
    }
    return true;
}

bool TranslateSetting(Translator* t, const char* name, const char** text) {
    Const* argument = makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1, CStringGetTextDatum(name), false, false);
    FuncExpr* setting = makeFuncExpr(F_CURRENT_SETTING_TEXT, TEXTOID, list_make1(argument), InvalidOid,
                                     DEFAULT_COLLATION_OID, COERCE_EXPLICIT_CALL);
    Sql value;
    if (!TranslateValue(t, reinterpret_cast<Node*>(setting), &value)) return false;
    *text = value.text;
    return true;
}

Node* Fold(Translator* t, Node* node) {
    AliasState state{t->level->query, 0};
    if (node == nullptr) return nullptr;
    if (t->level->query != nullptr && t->level->has_joins) node = ResolveAliasesMutator(node, &state);
    return eval_const_expressions(nullptr, node);
}

}  // namespace ivy::translate
