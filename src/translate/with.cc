// SPDX-License-Identifier: Apache-2.0
// WITH queries.
#include "translate/query_parts.h"

extern "C" {
#include "nodes/nodeFuncs.h"
}

namespace ivy::translate {

namespace {

// The recursive term refers to the whole, so its columns' types are settled by the other term alone.
bool TranslateRecursive(Translator* t, Query* query, Cte* cte, StringInfo out) {
    const auto* stmt = reinterpret_cast<SetOperationStmt*>(query->setOperations);
    if (stmt == nullptr || !IsA(stmt, SetOperationStmt) || stmt->op != SETOP_UNION || query->cteList != NIL ||
        query->sortClause != NIL || query->limitCount != nullptr || query->limitOffset != nullptr ||
        !CheckQuery(t, query)) {
        return Refuse(t, "recursive WITH query of unusual form");
    }
    PushLevel(t, query, t->level);
    const char* first;
    const char* second = nullptr;
    Columns seed;
    Columns step;
    bool ok = TranslateSetNode(t, stmt->larg, &first, &seed);
    if (ok) {
        Columns wanted{static_cast<Sql*>(palloc0(seed.count * sizeof(Sql))), seed.count};
        for (int i = 0; i < seed.count; i++) {
            Sql* item = &wanted.items[i];
            *item = seed.items[i];
            item->is_null = false;
            if (IsNumeric(*item)) item->rep = Decimal(38, item->rep.scale);
        }
        cte->columns = wanted.items;
        cte->column_count = wanted.count;
        ok = TranslateSetNode(t, stmt->rarg, &second, &step);
        for (int i = 0; ok && i < wanted.count; i++) {
            const Sql& item = wanted.items[i];
            const Sql& next = step.items[i];
            if (!next.is_null && (next.rep.kind != item.rep.kind || next.rep.scale != item.rep.scale ||
                                  next.text_form != item.text_form || next.scale_kind != item.scale_kind)) {
                ok = Refuse(t, "recursive WITH query whose terms have different representations");
            }
        }
        if (ok) {
            ok = CheckSetColumns(t, stmt, wanted);
            appendStringInfo(out, "(%s) %s (%s)", CastColumns(t, first, seed, wanted), SetOperator(stmt),
                             CastColumns(t, second, step, wanted));
        }
    }
    t->level = t->level->parent;
    return ok;
}

}  // namespace

bool TranslateWith(Translator* t, const char** with) {
    Level* level = t->level;
    StringInfoData text;
    initStringInfo(&text);
    bool recursive = false;
    bool ok = true;
    foreach_node (CommonTableExpr, expression, level->query->cteList) {
        auto* cte = static_cast<Cte*>(palloc0(sizeof(Cte)));
        cte->name = expression->ctename;
        level->ctes = lappend(level->ctes, cte);
        if (expression->cterefcount == 0) continue;
        cte->alias = psprintf("w%d", ++t->cte_count);
        if (!IsA(expression->ctequery, Query)) {
            ok = Refuse(t, "WITH query that was not analysed");
            continue;
        }
        Query* query = castNode(Query, expression->ctequery);
        StringInfoData body;
        initStringInfo(&body);
        if (expression->cterecursive) {
            recursive = true;
            if (expression->search_clause != nullptr || expression->cycle_clause != nullptr) {
                ok = Refuse(t, "SEARCH or CYCLE clause");
                continue;
            }
            ok = TranslateRecursive(t, query, cte, &body) && ok;
        } else {
            Columns columns;
            if (!TranslateOrFetch(t, query, level, &body, &columns)) {
                ok = false;
                continue;
            }
            cte->columns = columns.items;
            cte->column_count = columns.count;
        }
        appendStringInfo(&text, "%s%s", text.len == 0 ? "" : ", ", cte->alias);
        if (expression->cterecursive) {
            for (int i = 0; i < cte->column_count; i++) appendStringInfo(&text, "%sc%d", i == 0 ? "(" : ", ", i + 1);
            appendStringInfoChar(&text, ')');
        }
        const bool fence = expression->ctematerialized == CTEMaterializeAlways && !expression->cterecursive;
        appendStringInfo(&text, " AS %s(%s)", fence ? "MATERIALIZED " : "", body.data);
    }
    *with = text.len == 0 ? "" : psprintf("WITH %s%s ", recursive ? "RECURSIVE " : "", text.data);
    return ok;
}

}  // namespace ivy::translate
