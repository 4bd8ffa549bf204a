// SPDX-License-Identifier: Apache-2.0
// The scan of one mirror with the filters that can go along.
#include "translate/translator.h"

extern "C" {
#include "nodes/value.h"
}

namespace ivy::translate {

namespace {

// "WHERE ..." of those quals that can be shipped, or an empty text; splits the quals.
char* ShipQuals(Translator* t, List* quals, List** remote, List** local) {
    *remote = NIL;
    *local = NIL;
    StringInfoData where;
    initStringInfo(&where);
    foreach_ptr (Node, qual, quals) {
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
    return where.data;
}

Translator* ScanTranslator(Index rti) {
    auto* t = static_cast<Translator*>(palloc0(sizeof(Translator)));
    t->level = static_cast<Level*>(palloc0(sizeof(Level)));
    t->level->scan_rti = rti;
    return t;
}

}  // namespace

Translation* TranslateScan(Index rti, Oid relid, List* attnums, List* quals, List** remote, List** local) {
    Translator* t = ScanTranslator(rti);
    t->level->scan_relid = relid;
    t->mirrors = list_make1_oid(relid);
    const char* where = ShipQuals(t, quals, remote, local);
    StringInfoData sql;
    initStringInfo(&sql);
    Columns columns{static_cast<Sql*>(palloc0((list_length(attnums) + 1) * sizeof(Sql))), 0};
    foreach_int (attnum, attnums) {
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
    appendStringInfo(&sql, " FROM {mirror:0}%s", where);
    return Finish(t, true, sql.data, columns);
}

Translation* TranslateFunctionScan(Index rti, const EngineFunction& function, List* columns, List* quals, List** remote,
                                   List** local) {
    Translator* t = ScanTranslator(rti);
    t->level->scan_function = &function;
    t->functions = list_make1(function.info);
    const char* where = ShipQuals(t, quals, remote, local);
    StringInfoData sql;
    initStringInfo(&sql);
    Columns result{static_cast<Sql*>(palloc0((list_length(columns) + 1) * sizeof(Sql))), 0};
    foreach_int (number, columns) {
        const int packed = function.types[number - 1];
        result.items[result.count].rep = {static_cast<TypeKind>(packed & 0xff),
                                          static_cast<uint8_t>(packed >> 8 & 0xff),
                                          static_cast<uint8_t>(packed >> 16 & 0xff)};
        appendStringInfo(&sql, "%sc%d", result.count++ == 0 ? "SELECT " : ", ", number);
    }
    if (result.count == 0) {
        appendStringInfoString(&sql, "SELECT TRUE");
        result.items[result.count++].rep = Native(TypeKind::kBool);
    }
    appendStringInfo(&sql, " FROM %s%s", function.text, where);
    return Finish(t, true, sql.data, result);
}

}  // namespace ivy::translate
