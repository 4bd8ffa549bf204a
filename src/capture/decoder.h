// SPDX-License-Identifier: Apache-2.0
//
// Decoder: logical decoding of the slot, in this process, with real tuples.
//
// The slot's output plugin is pgoutput, because that is the one that every server trusts (output_plugin_libraries) and
// has; but its callbacks are replaced by ours in the decoding context, so that no protocol and no publication is
// involved: ours get HeapTuples and the relation's descriptor as of the change.
//
// Transactions arrive whole at their commit, in commit order, except that large ones are streamed in parts while they
// run; the engine stages parts until Commit or Abort. Two-phase decoding stays off: a prepared transaction arrives at its
// COMMIT PREPARED as any other does at its commit. (With it on, the slot would not bring such a transaction again after
// a restart between PREPARE and COMMIT PREPARED, though the engine had it in memory only.)
//
// Streaming has a flaw in the server (18.6): when a transaction alters a table, rolls that back to a savepoint, and alters
// the table again, changes in between may be looked up under a wrong version of the catalog row, because the command ids
// of the rolled back alteration are still on file and those of the later one are not read yet. The error ("could not map
// filenumber ...") would come again and again. Without streaming all of them are known. So whoever runs the decoder starts
// it again without streaming after an error.
//
// A change is routed to the mirrors of its table and to those of the tables above it (partitions, inheritance), as the
// catalog was then: a row that came while the table was not a partition is none of the partitioned table's. Attaching or
// detaching a table that has rows is not a change of rows; the extension's hooks write them to the WAL as logical messages
// (member_rows.h), or order a new copy.
//
// Schema changes: the layout of rows follows the historic descriptor by itself. When a transaction that touched the
// definition of a source commits, its Commit message is held back (HeldCommit) until the caller, outside of decoding,
// has told the engine of the new columns.
//
// One decoder per process; its state is the process's (see pg/guard.h for the rules that this follows).
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "access/xlogdefs.h"
#include "replication/reorderbuffer.h"
#include "utils/uuid.h"
}

#include <set>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "capture/change_builder.h"
#include "capture/row_layout.h"
#include "protocol/messages.h"

struct LogicalDecodingContext;

namespace ivy::capture {

class EngineLink;

// A mirror whose source's changes are captured.
struct CapturedMirror {
    Oid id = InvalidOid;
    Oid source = InvalidOid;
    int generation = 0;
    MirrorShape shape;
    MirrorOpen told;  // what the engine was told last
    ChangeBuilder builder;
    const RowLayout* current = nullptr;  // layout of the rows in the builder; null before the first
};

// A table that changes came from.
struct CapturedTable {
    struct Route {
        CapturedMirror* mirror;
        RowLayout* layout;
    };
    std::vector<Route> routes;  // to the mirrors that show its rows: its own, those of tables above it
    std::vector<Oid> above;     // itself and the tables above it (partitioned, or inherited from)
    bool checked = false;       // none of this can have changed since
};

class Decoder {
  public:
    // Starts decoding from the acquired slot's confirmed position, all changes going to "link". Again after an error: what
    // the earlier decoder held of the server's is left behind.
    static Decoder* Start(EngineLink* link, bool streaming);

    // --- mirrors; call between records only ---

    // The decoder owns the mirror from here on.
    CapturedMirror* AddMirror(CapturedMirror* mirror);
    void RemoveMirror(Oid id);
    CapturedMirror* FindMirror(Oid id) const;
    const std::vector<CapturedMirror*>& mirrors() const { return mirrors_; }

    // What marks logical messages as the extension's own (member_rows.h).
    void set_message_key(const pg_uuid_t& key) { message_key_ = key; }

    // Transactions of which parts have been sent already, and which go on. A mirror added now misses those parts.
    const std::unordered_set<Xid>& streamed() const { return streamed_; }

    // --- decoding ---

    enum class Step : uint8_t {
        kMore,  // a record was decoded
        kEnd,   // there is no more flushed WAL
        kHeld,  // as kMore, and it ended with a commit that is held back: see HeldCommit
    };
    Step DecodeRecord();

    // The commit that DecodeRecord has held back, if it returned kHeld: announce the sources' new columns, then release it.
    Xid held_xid() const { return held_.xid; }
    void ReleaseHeldCommit();

    // Everything that committed at or before has been queued.
    XLogRecPtr decoded_lsn() const;
    // Whether WAL was flushed since DecodeRecord last looked for some.
    bool MoreWal() const;
    // The largest transaction id whose commit was sent.
    Xid newest_commit() const { return newest_commit_; }

    // Before a long transaction is sent, readers of what came before are let go by a Progress of its own; this is the
    // horizon that it carries.
    void set_progress_xmin(Xid oldest_xmin) { progress_xmin_ = oldest_xmin; }

    // The mirror whose change was being processed when an error was raised, or null if it had nothing to do with one.
    const CapturedMirror* culprit() const { return culprit_; }

    // Forgets which descriptors were checked: "relid" was invalidated, or all were if it is InvalidOid.
    void InvalidateLayouts(Oid relid);

    // Callbacks of the decoding context.
    void OnBegin(ReorderBufferTXN* txn);
    void OnChange(Relation relation, ReorderBufferChange* change, bool streamed);
    void OnTruncate(int count, Relation relations[], ReorderBufferChange* change, bool streamed);
    void OnMessage(const char* message, Size size, bool streamed);
    void OnCommit(ReorderBufferTXN* txn, XLogRecPtr commit_lsn, bool streamed);
    void OnStreamStart(ReorderBufferTXN* txn);
    void OnStreamStop();
    void OnStreamAbort(ReorderBufferTXN* txn);

  private:
    Decoder() = default;
    Xid SubXid(ReorderBufferChange* change, bool streamed);
    void CheckTable(CapturedTable* table, Relation relation);
    CapturedTable::Route MakeRoute(CapturedMirror* mirror, const CapturedTable& table, Relation relation);
    void FreeLayout(CapturedTable::Route* route);
    void PrepareMirror(CapturedMirror* mirror, Xid subxid);
    void UseLayout(CapturedMirror* mirror, const RowLayout* layout);
    void AppendChange(CapturedMirror* mirror, RowLayout* layout, Relation relation, ReorderBufferChange* change);
    void TellMirror(CapturedMirror* mirror, Relation relation, const char* rows, uint32 count, bool come, Xid subxid);
    void TruncateMirror(CapturedMirror* mirror, int count, Relation relations[], Xid subxid);
    void ForgetRemoved(Xid xid);
    void SendBuilders();
    void AnnounceLongWork(ReorderBufferTXN* txn);
    bool TouchesDefinitions(ReorderBufferTXN* txn) const;
    void NoteDirty(CapturedMirror* mirror);

    LogicalDecodingContext* context_ = nullptr;
    EngineLink* link_ = nullptr;
    MemoryContext row_context_ = nullptr;  // reset after each change
    std::vector<CapturedMirror*> mirrors_;
    std::unordered_map<Oid, CapturedTable> tables_;  // every one that a change came from, those without mirrors too
    std::vector<CapturedMirror*> dirty_;             // whose builders hold something
    std::unordered_set<Xid> streamed_;               // transactions with parts sent
    std::unordered_set<Xid> touched_;                // ...of which those with changes to mirrors
    // (transaction, mirror, table): messages have said which rows of the table leave the mirror.
    std::set<std::tuple<Xid, Oid, Oid>> removed_;
    std::unordered_set<Xid>
        ordering_;  // transactions that will have ordered a new copy of a mirror, see TruncateMirror
    pg_uuid_t message_key_ = {};
    Xid current_xid_ = kInvalidXid;                     // top-level transaction that is being replayed or streamed...
    bool current_touched_ = false;                      // ...and whether it has changed a mirror
    TransactionId last_subxid_ = InvalidTransactionId;  // the subtransaction widened last...
    Xid last_wide_subxid_ = kInvalidXid;                // ...and the result
    Commit held_;
    bool held_touched_ = false;
    Xid newest_commit_ = kInvalidXid;
    Xid progress_xmin_ = kInvalidXid;
    const CapturedMirror* culprit_ = nullptr;
};

}  // namespace ivy::capture
