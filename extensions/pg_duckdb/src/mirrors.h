// SPDX-License-Identifier: Apache-2.0
//
// Mirrors in queries: which relations of a Query are mirrors, and putting their row tables in their place.
//
// A mirror has its source's attribute numbers, so a Query reads the row table once the relation's OID in its range
// table entry is exchanged; nothing else of it changes. Privileges stay those of the mirror: they are checked on a
// range table entry kept aside, and those of the row table are not asked for.
#pragma once

#include "api.h"

extern "C" {
#include "nodes/plannodes.h"
}

namespace ivy::duck {

// Called by pg_mooncake through the API.
void RegisterProvider(const ColumnRelationProvider* provider);

// A secret was made, changed or dropped: at commit, mirrors that may use it are told.
void TellSecretsChanged();

// True, and *out filled, if "relid" is a mirror. One look into the relation cache's catalog for other relations.
bool LookupMirror(Oid relid, ColumnRelation* out);
// The same for a range table entry: false unless it is a plain relation.
bool LookupMirror(const RangeTblEntry* rte, ColumnRelation* out);
// For the translator: a mirror that may be shipped.
bool IsUsableMirror(Oid relid);
// Whether the mirror may serve now; if not, *reason says why.
bool MirrorReady(Oid relid, const char** reason);

// What a query has to do with mirrors.
struct MirrorSurvey {
    List* mirrors;       // ColumnRelation*, each once
    bool locks_rows;     // FOR UPDATE and the like, at some level
    bool modifies;       // a CTE that changes data, at some level
    bool reads_storage;  // asks how values are stored in the row table
};

// Finds the mirrors that a query reads, at all levels; ereports if it changes one. Cheap for queries that have nothing
// to do with any.
MirrorSurvey SurveyMirrors(::Query* query);

// A range table entry whose row table was put in place of a mirror, as it was before.
struct ExchangedMirror {
    RangeTblEntry* rte;
    RTEPermissionInfo* permissions;
    Oid source;
};

// Puts row tables in place of those mirrors of a query that the engine can't serve here (not usable, TABLESAMPLE, row
// locks, system columns, columns that are not stored), or of all. Changes "query", locks the row tables, and returns a list of ExchangedMirror*.
List* ExchangeForRowTables(::Query* query, bool all);

// Puts "(SELECT all columns FROM mirror)" in the place of each mirror of a query that may have to fetch rows again by
// their place, after a concurrent update of its target: rows of the engine have no place, those of a subquery are kept
// whole. The planner does not pull these subqueries up, but pushes filters into them.
void WrapMirrors(::Query* query);

// Makes a plan of an exchanged query check the mirrors' privileges and depend on the mirrors, too.
void AddExchanged(PlannedStmt* plan, List* exchanged);

// Clears what privileges a query asks for, at all levels, for a query that is a part of one that was checked already.
void ClearPermissions(::Query* query);

}  // namespace ivy::duck
