// SPDX-License-Identifier: Apache-2.0
//
// Statistics for planning: a mirror has the rows and the columns of its row table, so it has its statistics. Without
// them the server's part of a plan (what is joined and sorted above the engine's scans) would be a guess.
#include "mirrors.h"
#include "planner.h"

extern "C" {
#include "access/tableam.h"
#include "catalog/pg_inherits.h"
#include "optimizer/plancat.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/selfuncs.h"
}

namespace ivy::duck {

namespace {

get_relation_info_hook_type previous_relation_info;
get_relation_stats_hook_type previous_relation_stats;

void OnRelationInfo(PlannerInfo* root, Oid relid, bool inherits, RelOptInfo* rel) {
    if (previous_relation_info) previous_relation_info(root, relid, inherits, rel);
    ColumnRelation relation;
    if (!LookupMirror(relid, &relation)) return;
    // Not worth waiting for, nor a deadlock with a command that drops both.
    if (!ConditionalLockRelationOid(relation.source, AccessShareLock)) return;
    rel->pages = 0;
    rel->tuples = rel->allvisfrac = 0;
    ListCell* cell;
    foreach (cell, find_all_inheritors(relation.source, NoLock, nullptr)) {
        if (get_rel_relkind(lfirst_oid(cell)) != RELKIND_RELATION) continue;
        if (!ConditionalLockRelationOid(lfirst_oid(cell), AccessShareLock)) continue;
        Relation table = try_table_open(lfirst_oid(cell), NoLock);
        if (!table) continue;
        BlockNumber pages;
        double tuples, visible;
        estimate_rel_size(table, nullptr, &pages, &tuples, &visible);
        rel->pages += pages;
        rel->tuples += tuples;
        table_close(table, NoLock);
    }
}

bool OnRelationStats(PlannerInfo* root, RangeTblEntry* rte, AttrNumber attribute, VariableStatData* data) {
    if (previous_relation_stats && previous_relation_stats(root, rte, attribute, data)) return true;
    ColumnRelation relation;
    if (!LookupMirror(rte, &relation)) return false;
    const bool inherits = has_subclass(relation.source);
    data->statsTuple = SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(relation.source), Int16GetDatum(attribute),
                                       BoolGetDatum(inherits));
    data->freefunc = ReleaseSysCache;
    // Functions that could leak values see only those of columns that the user may read.
    const Oid user = data->rel && OidIsValid(data->rel->userid) ? data->rel->userid : GetUserId();
    data->acl_ok =
        rte->securityQuals == NIL && (pg_class_aclcheck(rte->relid, user, ACL_SELECT) == ACLCHECK_OK ||
                                      pg_attribute_aclcheck(rte->relid, attribute, user, ACL_SELECT) == ACLCHECK_OK);
    return true;
}

}  // namespace

void InstallStatistics() {
    previous_relation_info = get_relation_info_hook;
    get_relation_info_hook = OnRelationInfo;
    previous_relation_stats = get_relation_stats_hook;
    get_relation_stats_hook = OnRelationStats;
}

}  // namespace ivy::duck
