// SPDX-License-Identifier: Apache-2.0
// Mirrors in queries: finding and exchanging them.
#include "mirrors.h"

#include "settings.h"

extern "C" {
#include "catalog/pg_inherits.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
}

namespace ivy::duck {

namespace {

const ColumnRelationProvider* provider;

// --- survey ----------------------------------------------------------------------------------------------------------

void AddMirror(List** mirrors, const ColumnRelation& relation) {
    ListCell* cell;
    foreach (cell, *mirrors) {
        if (static_cast<ColumnRelation*>(lfirst(cell))->relid == relation.relid) return;
    }
    auto* copy = static_cast<ColumnRelation*>(palloc(sizeof(ColumnRelation)));
    *copy = relation;
    *mirrors = lappend(*mirrors, copy);
}

const char* Verb(CmdType command) {
    switch (command) {
        case CMD_INSERT: return "insert into";
        case CMD_UPDATE: return "update";
        case CMD_DELETE: return "delete from";
        default: return "merge into";
    }
}

// Also of a CTE: exchanging a mirror that a statement changes would change its row table.
void RefuseChanges(const ::Query* query) {
    if (query->resultRelation == 0) return;
    const RangeTblEntry* rte = rt_fetch(query->resultRelation, query->rtable);
    ColumnRelation relation;
    if (!LookupMirror(rte, &relation)) return;
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                    errmsg("cannot %s mirror \"%s\"", Verb(query->commandType), get_rel_name(rte->relid)),
                    errhint("Write to its source table \"%s\".", get_rel_name(relation.source))));
}

bool SurveyWalker(Node* node, void* context) {
    auto* survey = static_cast<MirrorSurvey*>(context);
    if (!node) return false;
    if (IsA(node, RangeTblEntry)) {
        ColumnRelation relation;
        if (LookupMirror(reinterpret_cast<RangeTblEntry*>(node), &relation)) AddMirror(&survey->mirrors, relation);
        return false;
    }
    if (IsA(node, FuncExpr)) {
        switch (reinterpret_cast<FuncExpr*>(node)->funcid) {
            case F_PG_COLUMN_SIZE:
            case F_PG_COLUMN_COMPRESSION:
            case F_PG_COLUMN_TOAST_CHUNK_ID: survey->reads_storage = true;
        }
    }
    if (IsA(node, Query)) {
        auto* query = reinterpret_cast<::Query*>(node);
        RefuseChanges(query);
        survey->locks_rows |= query->rowMarks != NIL;
        survey->modifies |= query->hasModifyingCTE;
        return query_tree_walker(query, SurveyWalker, context, QTW_EXAMINE_RTES_BEFORE);
    }
    return expression_tree_walker(node, SurveyWalker, context);
}

// --- exchange --------------------------------------------------------------------------------------------------------

struct ExchangeContext {
    List* levels;  // Query*, innermost first
    bool all;
    List* exchanged;
};

::Query* NewSelect(List* from) {
    auto* query = reinterpret_cast<::Query*>(newNode(sizeof(::Query), T_Query));
    query->commandType = CMD_SELECT;
    query->canSetTag = true;
    query->jointree = makeFromExpr(from, nullptr);
    return query;
}

// SELECT all columns FROM the relation, with its attribute numbers: dropped columns are NULLs.
::Query* SelectAllColumns(const RangeTblEntry* rte) {
    RangeTblRef* reference = makeNode(RangeTblRef);
    reference->rtindex = 1;
    ::Query* query = NewSelect(list_make1(reference));
    query->rtable = list_make1(copyObjectImpl(rte));
    Relation relation = table_open(rte->relid, NoLock);
    TupleDesc desc = RelationGetDescr(relation);
    for (int i = 0; i < desc->natts; i++) {
        const FormData_pg_attribute* attribute = TupleDescAttr(desc, i);
        Node* column = attribute->attisdropped
                           ? reinterpret_cast<Node*>(makeNullConst(INT4OID, -1, InvalidOid))
                           : reinterpret_cast<Node*>(makeVar(1, attribute->attnum, attribute->atttypid,
                                                             attribute->atttypmod, attribute->attcollation, 0));
        query->targetList =
            lappend(query->targetList, makeTargetEntry(reinterpret_cast<Expr*>(column), attribute->attnum,
                                                       pstrdup(NameStr(attribute->attname)), false));
    }
    table_close(relation, NoLock);
    return query;
}

Index IndexOf(const ::Query* query, const RangeTblEntry* rte) {
    Index rti = 1;
    ListCell* cell;
    foreach (cell, query->rtable) {
        if (lfirst(cell) == rte) break;
        rti++;
    }
    return rti;
}

// The relation becomes a subquery that gives its columns, with its row security in there; returns that.
::Query* BecomeSubquery(::Query* query, RangeTblEntry* rte) {
    ::Query* inner = SelectAllColumns(rte);
    auto* relation = linitial_node(RangeTblEntry, inner->rtable);
    relation->lateral = false;
    ChangeVarNodes(reinterpret_cast<Node*>(relation->securityQuals), static_cast<int>(IndexOf(query, rte)), 1, 0);
    inner->hasSubLinks = checkExprHasSubLink(reinterpret_cast<Node*>(relation->securityQuals));
    inner->hasRowSecurity = query->hasRowSecurity;
    if (rte->perminfoindex > 0) {
        inner->rteperminfos = list_make1(copyObjectImpl(getRTEPermissionInfo(query->rteperminfos, rte)));
        relation->perminfoindex = 1;
    }
    rte->rtekind = RTE_SUBQUERY;
    rte->subquery = inner;
    rte->relid = InvalidOid;
    rte->relkind = 0;
    rte->rellockmode = 0;
    rte->perminfoindex = 0;
    rte->inh = false;
    rte->securityQuals = NIL;
    return inner;
}

// How a query refers to a relation of its own, also from below.
struct References {
    Index rti;
    Index level;
    bool row;     // as a whole row
    bool system;  // to columns that only a table has
};

bool FindReferences(Node* node, void* arg) {
    auto* found = static_cast<References*>(arg);
    if (!node) return false;
    if (IsA(node, Var)) {
        const auto* var = reinterpret_cast<Var*>(node);
        if (static_cast<Index>(var->varno) != found->rti || var->varlevelsup != found->level) return false;
        found->row |= var->varattno == 0;
        found->system |= var->varattno < 0;
        return false;
    }
    if (IsA(node, Query)) {
        found->level++;
        query_tree_walker(reinterpret_cast<::Query*>(node), FindReferences, found, 0);
        found->level--;
        return false;
    }
    return expression_tree_walker(node, FindReferences, arg);
}

// Rows of tables below a source are converted to the source's row type, which is not what a reference to the mirror's
// row expects. A subquery gives columns, of which the planner makes rows of the type wanted, as it does for views.
void GiveColumns(::Query* query, RangeTblEntry* rte) {
    if (rte->tablesample) return;
    if (rte->relkind != RELKIND_PARTITIONED_TABLE && !has_subclass(rte->relid)) return;
    References references = {IndexOf(query, rte), 0, false, false};
    ListCell* cell;
    foreach (cell, query->rowMarks) {
        if (lfirst_node(RowMarkClause, cell)->rti == references.rti) return;
    }
    query_tree_walker(query, FindReferences, &references, 0);
    if (references.row && !references.system) BecomeSubquery(query, rte);
}

void Exchange(ExchangeContext* context, ::Query* query, RangeTblEntry* rte, const ColumnRelation& relation) {
    if (!relation.usable && !fallback) {
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("columnstore mirror \"%s\" can't serve this query: %s", get_rel_name(rte->relid),
                               relation.reason ? relation.reason : "unknown reason"),
                        errhint("Set \"mooncake.fallback\" to on to let such queries run on the row table.")));
    }
    auto* before = static_cast<ExchangedMirror*>(palloc0(sizeof(ExchangedMirror)));
    before->source = relation.source;
    before->rte = static_cast<RangeTblEntry*>(copyObjectImpl(rte));
    if (rte->perminfoindex > 0) {
        RTEPermissionInfo* permissions = getRTEPermissionInfo(query->rteperminfos, rte);
        before->permissions = static_cast<RTEPermissionInfo*>(copyObjectImpl(permissions));
        permissions->relid = relation.source;
        permissions->requiredPerms = 0;
    }
    LockRelationOid(relation.source, rte->rellockmode);
    rte->relid = relation.source;
    rte->relkind = get_rel_relkind(relation.source);
    rte->inh = true;  // a mirror has all rows that its source shows, those of partitions and child tables included
    GiveColumns(query, rte);
    context->exchanged = lappend(context->exchanged, before);
}

// A relation that only its row table can give in this query.
void ExchangeIndex(ExchangeContext* context, ::Query* query, Index rti) {
    if (rti == 0 || rti > static_cast<Index>(list_length(query->rtable))) return;
    RangeTblEntry* rte = rt_fetch(rti, query->rtable);
    ColumnRelation relation;
    if (LookupMirror(rte, &relation)) Exchange(context, query, rte, relation);
}

bool ExchangeWalker(Node* node, void* arg);

// System columns are only the row table's, and so are columns that the mirror does not store.
void ExchangeForVar(ExchangeContext* context, const Var* var) {
    if (var->varlevelsup >= static_cast<Index>(list_length(context->levels)) || var->varno <= 0) return;
    auto* query = static_cast<::Query*>(list_nth(context->levels, static_cast<int>(var->varlevelsup)));
    if (var->varno > list_length(query->rtable)) return;
    RangeTblEntry* rte = rt_fetch(var->varno, query->rtable);
    if (rte->rtekind == RTE_JOIN) {
        // A column that JOIN ... USING has merged. Its parts belong to the level of the join.
        if (var->varattno <= 0 || var->varattno > list_length(rte->joinaliasvars)) return;
        List* levels = context->levels;
        context->levels = list_copy_tail(levels, static_cast<int>(var->varlevelsup));
        ExchangeWalker(static_cast<Node*>(list_nth(rte->joinaliasvars, var->varattno - 1)), context);
        context->levels = levels;
        return;
    }
    ColumnRelation relation;
    if (var->varattno < 0 || (LookupMirror(rte, &relation) && relation.row_only &&
                              (var->varattno == 0 || bms_is_member(var->varattno, relation.row_only)))) {
        ExchangeIndex(context, query, static_cast<Index>(var->varno));
    }
}

bool ExchangeWalker(Node* node, void* arg) {
    auto* context = static_cast<ExchangeContext*>(arg);
    if (!node) return false;
    if (IsA(node, Var)) {
        ExchangeForVar(context, reinterpret_cast<Var*>(node));
        return false;
    }
    if (IsA(node, RangeTblEntry)) {
        auto* rte = reinterpret_cast<RangeTblEntry*>(node);
        ColumnRelation relation;
        if (!LookupMirror(rte, &relation)) return false;
        if (context->all || !relation.usable || rte->tablesample) {
            Exchange(context, static_cast<::Query*>(linitial(context->levels)), rte, relation);
        }
        return false;
    }
    if (IsA(node, Query)) {
        auto* query = reinterpret_cast<::Query*>(node);
        context->levels = lcons(query, context->levels);
        ListCell* cell;
        foreach (cell, query->rowMarks) ExchangeIndex(context, query, lfirst_node(RowMarkClause, cell)->rti);
        query_tree_walker(query, ExchangeWalker, context, QTW_EXAMINE_RTES_BEFORE | QTW_IGNORE_JOINALIASES);
        context->levels = list_delete_first(context->levels);
        return false;
    }
    return expression_tree_walker(node, ExchangeWalker, context);
}

// --- wrapping --------------------------------------------------------------------------------------------------------

// A CTE that nobody refers to costs nothing and keeps a subquery from being pulled up, without keeping filters out.
CommonTableExpr* UnusedCte() {
    CommonTableExpr* cte = makeNode(CommonTableExpr);
    cte->ctename = pstrdup("mooncake");
    cte->ctequery = reinterpret_cast<Node*>(NewSelect(NIL));
    return cte;
}

void Wrap(::Query* query, RangeTblEntry* rte) { BecomeSubquery(query, rte)->cteList = list_make1(UnusedCte()); }

bool WrapWalker(Node* node, void* context) {
    if (!node) return false;
    if (IsA(node, Query)) {
        auto* query = reinterpret_cast<::Query*>(node);
        query_tree_walker(query, WrapWalker, context, 0);  // what is wrapped is not looked at again
        ListCell* cell;
        foreach (cell, query->rtable) {
            ColumnRelation relation;
            auto* rte = lfirst_node(RangeTblEntry, cell);
            if (LookupMirror(rte, &relation)) Wrap(query, rte);
        }
        return false;
    }
    return expression_tree_walker(node, WrapWalker, context);
}

bool ClearWalker(Node* node, void* context) {
    if (!node) return false;
    if (IsA(node, Query)) {
        auto* query = reinterpret_cast<::Query*>(node);
        ListCell* cell;
        foreach (cell, query->rteperminfos) lfirst_node(RTEPermissionInfo, cell)->requiredPerms = 0;
        return query_tree_walker(query, ClearWalker, context, 0);
    }
    return expression_tree_walker(node, ClearWalker, context);
}

}  // namespace

void RegisterProvider(const ColumnRelationProvider* registered) { provider = registered; }

void TellSecretsChanged() {
    if (provider && OidIsValid(provider->access_method())) provider->secrets_changed();
}

bool LookupMirror(Oid relid, ColumnRelation* out) {
    if (!provider) return false;
    const Oid access_method = provider->access_method();
    if (!OidIsValid(access_method) || get_rel_relam(relid) != access_method) return false;
    return provider->lookup(relid, out);
}

bool LookupMirror(const RangeTblEntry* rte, ColumnRelation* out) {
    return rte->rtekind == RTE_RELATION && rte->relkind == RELKIND_RELATION && LookupMirror(rte->relid, out);
}

bool IsUsableMirror(Oid relid) {
    ColumnRelation relation;
    return LookupMirror(relid, &relation) && relation.usable;
}

bool MirrorReady(Oid relid, const char** reason) {
    if (!provider) {
        *reason = "the extension pg_mooncake is not loaded";
        return false;
    }
    return provider->ready(relid, reason);
}

MirrorSurvey SurveyMirrors(::Query* query) {
    MirrorSurvey survey{};
    if (provider && OidIsValid(provider->access_method())) SurveyWalker(reinterpret_cast<Node*>(query), &survey);
    return survey;
}

List* ExchangeForRowTables(::Query* query, bool all) {
    ExchangeContext context{NIL, all, NIL};
    ExchangeWalker(reinterpret_cast<Node*>(query), &context);
    return context.exchanged;
}

void WrapMirrors(::Query* query) { WrapWalker(reinterpret_cast<Node*>(query), nullptr); }

void AddExchanged(PlannedStmt* plan, List* exchanged) {
    ListCell* cell;
    foreach (cell, exchanged) {
        auto* before = static_cast<ExchangedMirror*>(lfirst(cell));
        // The entry is in no plan node, so nobody opens the relation; it is locked and checked like any other.
        if (before->permissions) {
            plan->permInfos = lappend(plan->permInfos, before->permissions);
            before->rte->perminfoindex = static_cast<Index>(list_length(plan->permInfos));
        }
        before->rte->tablesample = nullptr;
        before->rte->securityQuals = NIL;
        plan->rtable = lappend(plan->rtable, before->rte);
        plan->relationOids = list_append_unique_oid(plan->relationOids, before->rte->relid);
    }
}

void ClearPermissions(::Query* query) { ClearWalker(reinterpret_cast<Node*>(query), nullptr); }

}  // namespace ivy::duck
