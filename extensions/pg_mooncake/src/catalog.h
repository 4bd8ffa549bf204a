// SPDX-License-Identifier: Apache-2.0
//
// mooncake.mirrors and mooncake.dropped: what the extension remembers about mirrors, as C++ sees it.
//
// A mirror's row is ordinary transactional data: what a transaction changes here becomes true with its commit, together
// with the relations that it changes. All functions need a transaction of the database, none starts or ends one, and
// all may ereport. They read and write tuples directly, so that neither the session's search_path nor its SQL dialect
// matters and no trigger fires.
//
// Locking: whoever changes a mirror's row holds at least ShareUpdateExclusiveLock on the mirror relation until the end
// of its transaction. DDL takes AccessExclusiveLock on it anyway. Functions for the workers take the lock only if it is
// free and answer kBusy otherwise: a worker must never wait for a user's open transaction, it tries again later.
//
// Visibility: rows are read as of now (the catalog snapshot), not as of the transaction's snapshot.
//
// Each change of what the planner must know (not a mere publication) sends a relcache invalidation of the mirror.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
}

#include "base/snapshot.h"

namespace ivy::mooncake {

enum class MirrorState : uint8_t {
    kCopying,  // the initial copy, or a new one, is under way or still to come
    kLive,     // may serve
    kError,    // cannot go on; MirrorRow::error says why, retry_at when it is tried again
    kStale,    // changes were lost on purpose (too much WAL retained); a new copy follows when the worker can
};
const char* MirrorStateName(MirrorState state);

// How the old version of an updated or deleted row is found.
enum class Identity : uint8_t {
    kKey,         // by the replica identity: primary key, or the index of REPLICA IDENTITY USING INDEX
    kFull,        // by all stored columns (REPLICA IDENTITY FULL); of several equal rows one goes
    kAppendOnly,  // not at all: rows are only added, or all removed by TRUNCATE
};
const char* IdentityName(Identity identity);

// What create_table was told. Kept by dumps, unlike the rest of a mirror's row.
struct MirrorOptions {
    Identity identity;
    List*
        columns;  // of char*: names of the columns that the mirror stores; NIL: all. Queries on others use the row table
    int64 flush_interval_ms;  // publish changes when the oldest is as old as this...
    int64 flush_rows;         // ...or when there are so many of them...
    int64 flush_bytes;        // ...or when they take so much memory; 0: as the engine is set
    const char* warehouse;    // folder below which the mirror's own is made, or null: the data directory's
    int format_version;       // of the Iceberg table
    List* sort_columns;       // of char*: names of the columns by which files are sorted; NIL: they are not
    List* numeric_scales;  // of NumericScale*: numerics without a precision that files have as decimals; NIL: as text
};
struct NumericScale {
    const char* column;  // null: all columns
    int scale;           // of decimal(38, scale)
};
// The scale for a column of this name (null: for columns that are not listed), or types::kNoNumericScale.
int NumericScaleOf(const MirrorOptions& options, const char* column);
// Whether the mirror stores a column of this name.
bool IsStoredColumn(const MirrorOptions& options, const char* name);

// One row of mooncake.mirrors. Everything is palloc'ed in the context of the call that made it.
struct MirrorRow {
    Oid mirror;
    Oid source;
    MirrorState state;
    int generation;                          // raised with every new copy; part of "location", so that copies never mix
    int format_version;                      // of the Iceberg table
    const char* location;                    // folder of the Iceberg table: absolute, no slash at the end
    const char* metadata_location;           // current metadata file, or null if nothing is published
    const char* previous_metadata_location;  // or null
    XLogRecPtr flushed_lsn;     // commits at or before are in the files; InvalidXLogRecPtr if nothing is published
    const char* copy_snapshot;  // text form of what the copy saw ("xmin:xmax:xip,xip", 64-bit ids), or null
    const int16* key;           // attribute numbers of the replica identity, in index order
    int key_count;              // 0: append-only
    const int16* inexact;       // attribute numbers of columns that hold unstorable values
    int inexact_count;
    uint64 rows, bytes;    // in the published files
    const char* error;     // or null
    int failures;          // in a row, that led to kError
    TimestampTz failed;    // when the last of them was; 0: never
    TimestampTz retry_at;  // kError: when a new copy is to be tried; 0: only when somebody acts
    MirrorOptions options;
};

// Text form of a snapshot as stored in copy_snapshot. The result is palloc'ed.
char* SnapshotToText(const Snapshot& snapshot);
// False if the text is not a snapshot. *out may have been changed then. May throw std::bad_alloc: call inside
// pg::Guard.
bool SnapshotFromText(const char* text, Snapshot* out);

// Whether the extension exists in this database (and its tables can be used).
bool ExtensionExists(void);

// --- reading ---------------------------------------------------------------------------------------------------------

List* ListMirrors(void);                // of MirrorRow*, in no special order; NIL if the extension does not exist
MirrorRow* FindMirror(Oid mirror);      // null if there is none
List* FindMirrorsOfSource(Oid source);  // of MirrorRow*, by OID, in which order they are to be locked
bool HasMirrorOfSource(Oid source);

// --- the capture worker and its copies -------------------------------------------------------------------------------

enum class ChangeResult : uint8_t {
    kDone,
    kBusy,  // somebody else is changing this mirror: try again in a new transaction
    kGone,  // the mirror was dropped, or is not in the state that the change supposes (a new copy was ordered)
};

// Files are ready: makes them current. kGone if "previous" is not what is current now, or if the file is not below the
// mirror's location (it belongs to an earlier copy). With a copy snapshot (text form) the mirror becomes live.
struct Publication {
    Oid mirror;
    const char* metadata_location;
    const char* previous_metadata_location;  // null or empty if nothing was published before
    XLogRecPtr flushed_lsn;
    const char* copy_snapshot;  // or null
    uint64 rows, bytes;
};
ChangeResult PublishMirror(const Publication& publication);

// The mirror is told not to serve (kError, kStale), with the reason in words. "generation" is the one that failed.
// kError is retried, unless not "retry": by a new copy after a pause that grows with each failure in a row, a few times.
ChangeResult FailMirror(Oid mirror, int generation, MirrorState state, const char* error, bool retry = true);
// The same for a copy that failed; kCopying if it will be tried again. Nothing happens if the mirror has become live or failed
// meanwhile: an earlier copy worker may outlive the one that took its place.
ChangeResult FailCopy(Oid mirror, int generation, MirrorState state, const char* error, bool retry);

// The mirror is to be copied anew: state copying, next generation with a location of its own, nothing published; the
// old location goes to mooncake.dropped (not if it belongs to another server or database: see OwnsLocation). "reason"
// is for the log.
ChangeResult RestartCopy(Oid mirror, const char* reason);

// Adds columns to "inexact".
ChangeResult MarkInexact(Oid mirror, const int16* columns, int count);

// Whether a location lies in this database's folder of this data directory. A row whose location does not was copied
// here with the whole database (CREATE DATABASE ... TEMPLATE, a file system copy): its files are another's. The worker
// calls RestartCopy for such rows before anything else.
bool OwnsLocation(const char* location);

// One row of mooncake.dropped: a folder that nothing refers to any more.
struct DroppedLocation {
    Oid mirror;            // OID that the mirror had
    const char* location;  // delete everything below it...
    Oid owner;             // ...with this role's secrets, if it is on the network
};
List* ListDropped(void);                   // of DroppedLocation*
void ForgetDropped(const char* location);  // after its files are gone
// They can't be deleted, for this reason.
void NoteDroppedError(const char* location, const char* error);

// --- DDL (extensions/pg_mooncake only) -------------------------------------------------------------------------------

// Inserts the row of a new mirror (state copying) and records that the mirror depends on the source.
void InsertMirror(Oid mirror, Oid source, const int16* key, int key_count, const MirrorOptions& options);
// Deletes the row and notes the location in mooncake.dropped. False if there was none.
bool DeleteMirror(Oid mirror);
// As FailMirror (without a retry) and RestartCopy for a caller that holds AccessExclusiveLock or
// ShareUpdateExclusiveLock on the mirror.
// RestartCopyLocked stores the key too.
void FailMirrorLocked(Oid mirror, const char* error);
void RestartCopyLocked(Oid mirror, const int16* key, int key_count, const char* reason);
// Columns of the mirror were renamed or dropped: stores the names in its options "columns", "sort_column" and "numeric_scale".
void SetOptionColumns(Oid mirror, const MirrorOptions& options);

}  // namespace ivy::mooncake
