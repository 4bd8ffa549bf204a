// SPDX-License-Identifier: Apache-2.0
//
// The messages between Postgres processes (clients) and the columnar engine (server) of one database.
//
// A connection starts with Hello, which names its role, and its reply. Then:
//
//   query    a backend. Any number of times: [RowSource, RowChunk*]* Query, answered by ResultChunk* and then QueryDone
//            or Error. A client cancels, or stops early, by closing the connection; the engine then interrupts the query.
//            Flow control is the socket's: the engine produces no faster than the client reads.
//   capture  the capture worker; at most one. A one-way stream of changes in commit order, with the engine's events
//            (FlushReady, MirrorFailed, Persisted, FilesRemoved) coming back at any time.
//   copy     an initial copy. CopyBegin, [Chunk | CopyScanned]*, CopyEnd; answered by Ok or Error.
//   control  any process. Control, answered by ControlReply or Error.
//
// Every struct has Write and a static Read; Read checks everything and returns an error for a damaged message.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/snapshot.h"
#include "protocol/column_chunk.h"
#include "protocol/frame.h"

namespace ivy {

inline constexpr uint32_t kProtocolMagic = 0x31595649;  // "IVY1"
inline constexpr uint16_t kProtocolVersion = 1;         // raised by incompatible changes of releases

enum class MessageType : uint8_t {
    // both directions
    kHello = 1,
    kError = 2,
    kOk = 3,
    kChunk = 4,  // rows: of a result, a row source, or a copy
    // query
    kRowSource = 10,
    kQuery = 11,
    kQueryDone = 12,
    // capture, to the engine
    kMirrorOpen = 20,
    kMirrorClose = 21,
    kChanges = 22,
    kCommit = 23,
    kAbort = 24,
    kProgress = 25,
    kPublished = 26,
    kCaptureReady = 27,
    kFlushSettings = 28,
    // capture, from the engine
    kFlushReady = 30,
    kMirrorFailed = 32,
    kPersisted = 33,
    kFilesRemoved = 34,
    // copy
    kCopyBegin = 40,
    kCopyEnd = 41,
    kCopyScanned = 42,
    // control
    kControl = 50,
    kControlReply = 51,
};

enum class Role : uint8_t { kQuery = 1, kCapture = 2, kCopy = 3, kControl = 4 };

struct Hello {
    Role role = Role::kQuery;
    uint32_t database = 0;  // the database's OID: guards against a socket of another one
    void Write(ByteWriter* out) const;
    static Result<Hello> Read(const Frame& frame);  // an error too for another magic or version
};

// Why the engine refuses to run a query that the row table can answer. On the wire: do not renumber.
enum class Unavailable : uint8_t {
    kNo = 0,              // a genuine error
    kNotReady = 1,        // the mirror is unknown, still being copied, or being recovered
    kSnapshotTooOld = 2,  // the snapshot is older than what the mirror keeps
    kStale = 3,           // changes did not arrive in time, or no capture is running
    kInexact = 4,         // a column holds a value that the column format can't hold
    kFailed = 5,          // execution failed in a way that Postgres's executor may not
};

struct ErrorMessage {
    Error error;
    Unavailable unavailable = Unavailable::kNo;
    void Write(ByteWriter* out) const;
    static Result<ErrorMessage> Read(const Frame& frame);
};

// Credentials for network locations: for the time of one query, or those of a mirror's files.
struct Secret {
    std::string name;
    std::string type;                                          // s3, gcs, r2, http
    std::vector<std::string> scope;                            // URL prefixes; empty: all that the type is for
    std::vector<std::pair<std::string, std::string>> options;  // of DuckDB's CREATE SECRET, by name
    void Write(ByteWriter* out) const;
    static Secret Read(ByteReader* in);
    bool operator==(const Secret&) const = default;
};

// --- query -----------------------------------------------------------------------------------------------------------

// Announces rows that the backend has read for this query. Its chunks follow, then the next source or the query.
struct RowSource {
    std::vector<ColumnType> columns;  // named c1, c2, ... in the query
    void Write(ByteWriter* out) const;
    static Result<RowSource> Read(const Frame& frame);
};

enum class QueryMode : uint8_t {
    kExecute = 0,
    kExplain = 1,  // no rows: the plan's text in QueryDone
    kProfile = 2,  // rows, and the plan with times and row counts in QueryDone
    kCopy = 3,     // "sql" is one COPY (SELECT ...) TO; its result is the number of rows
};

struct Query {
    // DuckDB SQL. "{mirror:i}" stands for the i-th of "mirrors" and "{rows:i}" for the i-th row source; both are used
    // where a table name may stand; neither is looked for inside quotes. A mirror's columns are named c<column id>, a row source's c1, c2, ...
    std::string sql;
    std::vector<uint32_t> mirrors;   // mirror ids: OIDs of the mirror relations; one entry a reference
    std::vector<ColumnType> result;  // what the client expects; the engine casts nothing, a mismatch is an error
    std::vector<std::pair<std::string, std::string>> settings;  // DuckDB settings for this query, such as TimeZone
    Snapshot snapshot;
    Lsn lsn = kInvalidLsn;              // everything committed up to here must be applied first
    uint32_t freshness_timeout_ms = 0;  // how long to wait for that before Unavailable::kStale
    QueryMode mode = QueryMode::kExecute;
    // Paths and globs that the client's user may read (kCopy: write): the engine opens no other lake files for it.
    std::vector<std::string> files;
    std::vector<Secret> secrets;
    // kCopy: the file that "sql" writes gets these permissions and this name once it is complete, if the client is still
    // there; else it is removed. Empty: it is left as and where it was written.
    std::string written, renamed;
    uint32_t permissions = 0;
    void Write(ByteWriter* out) const;
    static Result<Query> Read(const Frame& frame);
};

struct QueryDone {
    uint64_t rows = 0;               // rows of the result
    uint64_t freshness_wait_us = 0;  // time waited for the capture worker
    uint64_t file_rows = 0;          // rows in the files scanned, before deletion vectors and filters
    uint64_t delta_rows = 0;         // rows in the delta scanned, before visibility and filters
    uint32_t files = 0;              // data files of the mirrors referenced
    std::string plan;                // for kExplain and kProfile
    void Write(ByteWriter* out) const;
    static Result<QueryDone> Read(const Frame& frame);
};

// --- capture ---------------------------------------------------------------------------------------------------------

struct MirrorColumn {
    uint32_t id = 0;   // Iceberg field id: the column's attribute number in source and mirror
    std::string name;  // as in Postgres
    ColumnType type;
    bool not_null = false;
    // Of numerics in text form: data files have them as decimal(38, numeric_scale), with the display scale in a column of its
    // own. Every value fits: one that does not is NULL, and the column is inexact.
    std::optional<uint8_t> numeric_scale = std::nullopt;
    void Write(ByteWriter* out) const;
    static MirrorColumn Read(ByteReader* in);
};

// Makes a mirror known to the engine, after a start or when it is created. An open mirror may be opened again with
// other columns, after a schema change.
struct MirrorOpen {
    uint32_t id = 0;                      // OID of the mirror relation
    uint32_t generation = 0;              // which copy of the source this is
    std::string schema_name, table_name;  // for Iceberg's table name and for messages
    std::vector<MirrorColumn> columns;    // in attribute order
    std::vector<uint32_t> key;            // column ids of the replica identity, in index order; empty: append-only
    std::string location;                 // warehouse folder of the table
    std::string metadata_location;        // current metadata file, or empty if nothing was published yet
    Lsn flushed_lsn = kInvalidLsn;        // transactions that committed at or before this are in the files
    bool has_copy_snapshot = false;       // false: the initial copy is still to come; changes wait for it
    Snapshot copy_snapshot;               // what the initial copy saw
    uint8_t format_version = 3;
    std::vector<uint32_t> inexact;                           // column ids already known to hold unstorable values
    uint64_t flush_ms = 0, flush_rows = 0, flush_bytes = 0;  // when to flush; 0: as the engine is set
    std::vector<uint32_t> sort;  // column ids by which files are sorted, ascending, NULLs last; empty: they are not
    uint64_t copy_order = 0;  // of the initial copy that is still to come: the CopyBegin that has it is meant for this
    std::vector<Secret> secrets;  // with which files are opened, if "location" is on the network
    void Write(ByteWriter* out) const;
    static Result<MirrorOpen> Read(const Frame& frame);
};

struct MirrorClose {
    uint32_t id = 0;
    bool remove_files = false;  // the mirror was dropped: delete everything under "location"
    std::string location;
    std::vector<Secret> secrets;  // with which files are opened, if "location" is on the network
    void Write(ByteWriter* out) const;
    static Result<MirrorClose> Read(const Frame& frame);
};

// One row operation. On the wire: do not renumber.
enum class RowOp : uint8_t {
    kInsert = 'I',    // takes the next row of "rows"
    kDelete = 'D',    // takes the next row of "keys"
    kUpdate = 'U',    // takes the next of "keys" (the old key) and the next of "rows" (the new row)
    kTruncate = 'T',  // takes none
    // A row was deleted or updated that can't be identified: the WAL does not have the mirror's key, because the source
    // had another replica identity then. Takes none. A mirror that has to apply it fails.
    kUnidentified = '?',
};

// An unchanged TOASTed column of an update: its value is that of the row's previous version.
struct UnchangedValue {
    uint32_t row = 0;     // ordinal in "rows"
    uint32_t column = 0;  // ordinal in the columns of "rows"
};

// Changes of one transaction to one mirror, in order. Kept by the engine until the transaction's Commit or Abort.
struct Changes {
    uint32_t mirror = 0;
    Xid xid = kInvalidXid;     // top-level transaction
    Xid subxid = kInvalidXid;  // the (sub)transaction that made them; equals xid at top level
    std::vector<uint8_t> ops;  // RowOp values
    std::vector<UnchangedValue> unchanged;
    std::vector<uint32_t> inexact;  // column ids in which "rows" has a NULL in place of a value that can't be stored
    Bytes rows;                     // a column chunk with the row's columns
    Bytes keys;                     // a column chunk with the key's columns
    // Ids of the columns of "rows", in order; empty: exactly the mirror's columns. Rows decoded from before or after a
    // schema change have others than the mirror's current ones: ids that the mirror does not have are ignored (dropped
    // since), ids that are missing are NULL (added since). A MirrorOpen with the new columns comes before the Commit of
    // the transaction that changes the schema.
    std::vector<uint32_t> columns;
    void Write(ByteWriter* out) const;
    static Result<Changes> Read(const Frame& frame);
};

struct Commit {
    Xid xid = kInvalidXid;
    Lsn commit_lsn = kInvalidLsn;  // start of the commit record: orders transactions and decides what files contain
    Lsn end_lsn = kInvalidLsn;     // end of the commit record: the stream has been applied up to here
    int64_t commit_time = 0;       // microseconds since 1970-01-01
    void Write(ByteWriter* out) const;
    static Result<Commit> Read(const Frame& frame);
};

struct Abort {
    Xid xid = kInvalidXid;
    Xid subxid = kInvalidXid;  // only this subtransaction's changes, or everything if it equals xid
    void Write(ByteWriter* out) const;
    static Result<Abort> Read(const Frame& frame);
};

// Everything that committed at or before "lsn" has been sent.
struct Progress {
    Lsn lsn = kInvalidLsn;
    Xid oldest_xmin = kInvalidXid;  // every running and future snapshot sees all committed transactions below
    void Write(ByteWriter* out) const;
    static Result<Progress> Read(const Frame& frame);
};

// When committed changes are to go to files. Sent at the start and when the server's settings change.
struct FlushSettings {
    uint64_t interval_ms = 0;      // a change stays in memory for about so long
    uint64_t bytes = 0;            // of one mirror's changes in memory
    uint64_t wal_bytes = 0;        // how far back in the WAL a change in memory may lie
    uint64_t force_wal_bytes = 0;  // ...before it goes to a file although some snapshot does not see it yet
    uint64_t copy_bytes = 0;       // of the changes that wait while a mirror is copied, before it fails; 0: no limit
    // Rewriting data files: the size of new ones, how many small ones are rewritten together (0: only on request), and what
    // share of a file's rows must be deleted.
    uint64_t file_bytes = 0, rewrite_files = 0, rewrite_deleted_percent = 0;
    void Write(ByteWriter* out) const;
    static Result<FlushSettings> Read(const Frame& frame);
};

// Engine: files up to "flushed_lsn" are written; make "metadata_location" current in the catalog. The worker answers
// with Published once that is committed. Until then the engine goes on with the old files and the delta.
struct FlushReady {
    uint32_t mirror = 0;
    std::string metadata_location;
    std::string previous_metadata_location;  // what must be current now
    Lsn flushed_lsn = kInvalidLsn;
    bool has_copy_snapshot = false;  // the first publication of a copy: the mirror becomes live
    Snapshot copy_snapshot;
    uint64_t total_rows = 0;  // rows in the files after this
    uint64_t total_bytes = 0;
    void Write(ByteWriter* out) const;
    static Result<FlushReady> Read(const Frame& frame);
};

struct Published {
    uint32_t mirror = 0;
    std::string metadata_location;
    void Write(ByteWriter* out) const;
    static Result<Published> Read(const Frame& frame);
};

// Engine: this mirror can't go on; the others can. The worker stores the reason, and queries use the row table.
struct MirrorFailed {
    uint32_t mirror = 0;
    uint32_t generation = 0;  // of its MirrorOpen: an earlier copy's failure is none of the next one's
    Error error;
    std::vector<uint32_t> inexact;  // not empty: it goes on, but these columns now hold unstorable values
    void Write(ByteWriter* out) const;
    static Result<MirrorFailed> Read(const Frame& frame);
};

// Engine: nothing before "lsn" is needed from the slot any more.
struct Persisted {
    Lsn lsn = kInvalidLsn;
    void Write(ByteWriter* out) const;
    static Result<Persisted> Read(const Frame& frame);
};

// Engine: whether all files under a location on the network, whose mirror was dropped, are deleted.
struct FilesRemoved {
    uint32_t mirror = 0;
    std::string location;
    Error error;  // why some are left; without a message: none are
    void Write(ByteWriter* out) const;
    static Result<FilesRemoved> Read(const Frame& frame);
};

// --- copy ------------------------------------------------------------------------------------------------------------

struct CopyBegin {
    uint32_t mirror = 0;
    // MirrorOpen::copy_order. A process that was started for an earlier capture session, or another generation, has a snapshot
    // from before what the present one began to send: it is refused.
    uint64_t order = 0;
    Snapshot snapshot;                                 // the rows that follow are what it sees
    uint64_t estimated_rows = 0, estimated_bytes = 0;  // for progress
    // One of several processes that copy: its rows go to the copy with this snapshot that another one has begun, which
    // is finished by that one's CopyEnd, after those of the others were answered.
    bool joins = false;
    // Ids of the columns of the chunks, in order. If they are not exactly the mirror's columns, the source was altered
    // just now: the answer is an error, and the copy is tried again.
    std::vector<uint32_t> columns;
    void Write(ByteWriter* out) const;
    static Result<CopyBegin> Read(const Frame& frame);
};

// How much of the source has been read so far, by all processes of the copy; sent now and then by the one that began it.
struct CopyScanned {
    uint64_t bytes = 0;
    void Write(ByteWriter* out) const;
    static Result<CopyScanned> Read(const Frame& frame);
};

// All rows have been sent.
struct CopyEnd {
    std::vector<uint32_t>
        inexact;  // ids of columns in which some row has NULL in place of a value that can't be stored
    void Write(ByteWriter* out) const;
    static Result<CopyEnd> Read(const Frame& frame);
};

// --- control ---------------------------------------------------------------------------------------------------------

// "status": reply is a JSON object with the engine's state and one of each mirror.
// "flush": mirror names one; the reply comes when what was applied at the call is published.
// "optimize": as "flush", and then the mirror's files are rewritten where that is worth anything.
// "probe": whether files can be written, read, listed and deleted below a location on the network.
struct Control {
    std::string command;
    uint32_t mirror = 0;
    Lsn lsn = kInvalidLsn;  // flush: apply up to here first
    std::string location;
    std::vector<Secret> secrets;
    void Write(ByteWriter* out) const;
    static Result<Control> Read(const Frame& frame);
};

// Appends a whole frame for "message" to *out.
template <typename Message>
void AppendMessage(MessageType type, const Message& message, Bytes* out) {
    ByteWriter payload;
    message.Write(&payload);
    AppendFrame(static_cast<uint8_t>(type), payload.bytes(), out);
}

}  // namespace ivy
