// SPDX-License-Identifier: Apache-2.0
//
// The contract between pg_duckdb (the read path) and pg_mooncake (the write path): one versioned table of functions,
// published by pg_duckdb under a rendezvous variable and looked up by pg_mooncake at load. No link-time symbols, no
// dependence on load order beyond shared_preload_libraries' own.
//
// To add a function: append it, raise kDuckdbApiVersion, and implement it in api.cc.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "access/tableam.h"
#include "nodes/bitmapset.h"
#include "nodes/parsenodes.h"
#include "nodes/pathnodes.h"
#include "utils/rel.h"
}

namespace ivy {

inline constexpr char kDuckdbApiName[] = "pg_duckdb_api";
inline constexpr int kDuckdbApiVersion = 2;

// What the planner needs to know of a relation that lives in the engine.
struct ColumnRelation {
    Oid relid;            // the mirror; also its id in the engine
    Oid source;           // the row table it mirrors
    bool usable;          // false: plan on the row table at once (not live, schema out of step, ...)
    const char* reason;   // why not usable, in words that EXPLAIN shows; palloc'ed or static
    Bitmapset* row_only;  // attribute numbers of the columns that only the row table has; palloc'ed, or null
};

// A secret: credentials for network locations. Plain data.
struct LakeSecret {
    const char* name;
    const char* type;
    List* scope;    // char*
    List* options;  // char*: name, value, name, value...
};

// Implemented by pg_mooncake. Called in a transaction; may ereport.
struct ColumnRelationProvider {
    // True and *out filled if "relid" (a relation whose access method is "mooncake") is a mirror.
    bool (*lookup)(Oid relid, ColumnRelation* out);
    // Called at executor start after the source was locked: whether the mirror may serve now. If not, sets *reason.
    bool (*ready)(Oid relid, const char** reason);
    // OID of the table access method, or InvalidOid if the extension is not created in this database.
    Oid (*access_method)(void);
    // A secret was made, changed or dropped in this transaction.
    void (*secrets_changed)(void);
};

struct DuckdbApi {
    int version;  // kDuckdbApiVersion of the publisher
    size_t size;  // sizeof(DuckdbApi) of the publisher

    void (*register_provider)(const ColumnRelationProvider* provider);

    // keep: asks the launcher to run the engine of a database, which stays up although idle. Not keep: gives it up; it
    // stops as soon as no query uses it. Returns at once.
    void (*request_engine)(Oid database, bool keep);
    // A blocking connection for a role, with Hello exchanged: a file descriptor, or -1 with *error palloc'ed. Waits up
    // to timeout_ms for an engine that is starting. Interruptible (CHECK_FOR_INTERRUPTS while waiting).
    int (*connect_engine)(Oid database, int role, int timeout_ms, char** error);
    // One control exchange (see protocol/messages.h): the reply's text, palloc'ed; ereports on failure. Interruptible.
    char* (*control)(Oid database, const char* command, Oid mirror, uint64 lsn, int timeout_ms);

    // A scan of a whole mirror by Postgres's executor, for the table access method: runs "SELECT all columns".
    struct ColumnarTableScan* (*begin_table_scan)(Relation mirror, ::Snapshot snapshot);
    bool (*next_table_row)(struct ColumnarTableScan* scan, TupleTableSlot* slot);
    void (*end_table_scan)(struct ColumnarTableScan* scan);

    // ereports unless the current user may use a network location (lake_access.h).
    void (*check_network_access)(const char* location);
    // The secrets that a role may use (LakeSecret*): its own, and those granted to it.
    List* (*secrets_of)(Oid role);
    // Has the engine write, read, list and delete an object below a network location; ereports if it can't.
    void (*probe_location)(Oid database, const char* location, const List* secrets, int timeout_ms);
};

}  // namespace ivy
