// SPDX-License-Identifier: Apache-2.0
// One walk over a type's parts, for both questions.
#include "value_types.h"

extern "C" {
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"
}

namespace ivy::mooncake {
namespace {

// Calls "visit" for a type and all types inside of it, until it returns true, and returns that.
template <typename Visit>
bool VisitTypes(Oid type, const Visit& visit) {
    check_stack_depth();
    if (visit(type)) return true;
    const Oid base = getBaseType(type);
    if (base != type) return VisitTypes(base, visit);
    const Oid element = get_element_type(type);
    if (OidIsValid(element)) return VisitTypes(element, visit);
    const char kind = get_typtype(type);
    if (kind == TYPTYPE_RANGE) return VisitTypes(get_range_subtype(type), visit);
    if (kind == TYPTYPE_MULTIRANGE) return VisitTypes(get_multirange_range(type), visit);
    if (kind != TYPTYPE_COMPOSITE || type == RECORDOID) return false;
    TupleDesc desc = lookup_rowtype_tupdesc_copy(type, -1);
    bool found = false;
    for (int i = 0; i < desc->natts && !found; i++) {
        const FormData_pg_attribute* att = TupleDescAttr(desc, i);
        found = !att->attisdropped && VisitTypes(att->atttypid, visit);
    }
    FreeTupleDesc(desc);
    return found;
}

}  // namespace

bool TypeContains(Oid type, Oid part) {
    return VisitTypes(type, [part](Oid inner) { return inner == part; });
}

void LockLabels(TupleDesc desc) {
    for (int i = 0; i < desc->natts; i++) {
        const FormData_pg_attribute* att = TupleDescAttr(desc, i);
        if (att->attisdropped || att->atttypid < FirstNormalObjectId) continue;
        VisitTypes(att->atttypid, [](Oid inner) {
            if (get_typtype(inner) == TYPTYPE_ENUM) LockDatabaseObject(TypeRelationId, inner, 0, ShareLock);
            return false;
        });
    }
}

}  // namespace ivy::mooncake
