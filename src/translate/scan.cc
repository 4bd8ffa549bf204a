// SPDX-License-Identifier: Apache-2.0
// The scan of one mirror with the filters that can go along.
#include "translate/translator.h"

extern "C" {
#include "nodes/value.h"
}

namespace ivy::translate {

Translation* TranslateScan(Index rti, Oid relid, List* attnums, List* quals, List** remote, List** local) {
    auto* t = static_cast<Translator*>(palloc0(sizeof(Translator)));
    auto* level = static_cast<Level*>(palloc0(sizeof(Level)));
    level->scan_rti = rti;
    level->scan_relid = relid;
    t->level = level;
    t->mirrors = list_make1_oid(relid);
    *remote = NIL;
    *local = NIL;

    StringInfoData where;
    initStringInfo(&where);
    foreach_ptr(Node, qual, quals) {
        const int values = list_length(t->values);
        const char* condition;
        if (TranslateQual(t, Fold(t, qual), &condition)) {
            appendStringInfo(&where, "%s%s", where.len == 0 ? " WHERE " : " AND ", condition);
            *remote = lappend(*remote, qual);
        } else {
            t->values = list_truncate(t->values, values);
            *local = lappend(*local, qual);
        }
    }

    StringInfoData sql;
    initStringInfo(&sql);
    Columns columns{static_cast<Sql*>(palloc0((list_length(attnums) + 1) * sizeof(Sql))), 0};
    foreach_int(attnum, attnums) {
        Oid type;
        Oid collation;
        int32 typmod;
        get_atttypetypmodcoll(relid, static_cast<AttrNumber>(attnum), &type, &typmod, &collation);
        columns.items[columns.count] = ColumnOf(type, typmod, nullptr);
        appendStringInfo(&sql, "%sc%d", columns.count++ == 0 ? "SELECT " : ", ", attnum);
    }
    if (columns.count == 0) {
        // Only the number of rows is wanted: one constant column.
        appendStringInfoString(&sql, "SELECT TRUE");
        columns.items[columns.count++].rep = Native(TypeKind::kBool);
    }
    appendStringInfo(&sql, " FROM {mirror:0}%s", where.data);
    return Finish(t, true, sql.data, columns);
}

}  // namespace ivy::translate
