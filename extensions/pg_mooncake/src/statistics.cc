// SPDX-License-Identifier: Apache-2.0
//
// A mirror has no statistics of its own: its values are its source's, column for column with the same attribute numbers,
// so the source's rows in pg_statistic are given to the planner in their place. The planner has checked that the user
// may read the mirror's column before it uses them.
#include "statistics.h"

#include "pg/postgres_api.h"

extern "C" {
#include "nodes/pathnodes.h"
#include "optimizer/plancat.h"
#include "utils/selfuncs.h"
}

#include "mirror_relation.h"
#include "provider.h"

namespace ivy::mooncake {
namespace {

get_relation_stats_hook_type previous_stats = nullptr;
get_relation_info_hook_type previous_info = nullptr;

bool GetStatistics(PlannerInfo* root, RangeTblEntry* rte, AttrNumber attnum, VariableStatData* data) {
    ColumnRelation mirror;
    if (rte->rtekind == RTE_RELATION && HasMirrorAccessMethod(rte->relid) && LookupMirror(rte->relid, &mirror)) {
        data->statsTuple = SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(mirror.source), Int16GetDatum(attnum),
                                           BoolGetDatum(false));
        data->freefunc = ReleaseSysCache;
        return true;
    }
    return previous_stats && previous_stats(root, rte, attnum, data);
}

// Rows come through one connection: a parallel scan would have nothing to share.
void GetRelationInfo(PlannerInfo* root, Oid relid, bool inhparent, RelOptInfo* rel) {
    if (previous_info) previous_info(root, relid, inhparent, rel);
    if (HasMirrorAccessMethod(relid)) rel->rel_parallel_workers = 0;
}

}  // namespace

void InitStatistics() {
    previous_stats = get_relation_stats_hook;
    get_relation_stats_hook = GetStatistics;
    previous_info = get_relation_info_hook;
    get_relation_info_hook = GetRelationInfo;
}

}  // namespace ivy::mooncake
