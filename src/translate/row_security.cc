// SPDX-License-Identifier: Apache-2.0
//
// Row security and security-barrier views hide rows from the conditions around them: a condition that could tell what it
// sees (by an error, say) must be evaluated after those that hide. DuckDB orders conditions as it likes, so a query with
// such a condition is not shipped whole. What stands above conditions sees only rows that have passed them.
#include "translate/query_parts.h"

extern "C" {
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
}

namespace ivy::translate {

namespace {

// Whether something in FROM, or below it, hides rows.
bool HidesRows(const Query* query) {
    foreach_node (RangeTblEntry, rte, query->rtable) {
        if (rte->securityQuals != NIL || rte->security_barrier) return true;
        if (rte->rtekind == RTE_SUBQUERY && HidesRows(rte->subquery)) return true;
    }
    return false;
}

bool JoinTreeWalker(Node* node, void* context) {
    if (node == nullptr) return false;
    if (IsA(node, FromExpr) && contain_leaked_vars(castNode(FromExpr, node)->quals)) return true;
    if (IsA(node, JoinExpr) && contain_leaked_vars(castNode(JoinExpr, node)->quals)) return true;
    return expression_tree_walker(node, JoinTreeWalker, context);
}

bool QueryWalker(Node* node, void* context) {
    if (node == nullptr) return false;
    if (!IsA(node, Query)) return expression_tree_walker(node, QueryWalker, context);
    auto* query = castNode(Query, node);
    if (HidesRows(query) &&
        (JoinTreeWalker(reinterpret_cast<Node*>(query->jointree), nullptr) || contain_leaked_vars(query->havingQual))) {
        return true;
    }
    return query_tree_walker(query, QueryWalker, context, 0);
}

}  // namespace

bool HasLeakyCondition(Query* query) { return QueryWalker(reinterpret_cast<Node*>(query), nullptr); }

}  // namespace ivy::translate
