// SPDX-License-Identifier: Apache-2.0
// Decoder: the decoding context, its callbacks, and what becomes of transactions.
#include "capture/decoder.h"

#include <algorithm>

#include "capture/engine_link.h"
#include "capture/session.h"
#include "pg/guard.h"
#include "pg/xid.h"
#include "pg_mooncake/src/member_rows.h"
#include "pg_mooncake/src/source.h"

extern "C" {
#include "access/xlog.h"
#include "access/xlogreader.h"
#include "access/xlogutils.h"
#include "nodes/makefuncs.h"
#include "replication/decode.h"
#include "replication/logical.h"
#include "replication/reorderbuffer.h"
#include "replication/slot.h"
#include "storage/sinval.h"
#include "utils/inval.h"
}

namespace ivy::capture {

namespace {

constexpr Size kLongTransaction = 256 * 1024;  // bytes in the reorder buffer: a millisecond or more of decoding

Decoder* the_decoder = nullptr;    // of this process
XLogRecPtr flushed_when_read = 0;  // how far the WAL was flushed when a page was last asked for

// Reads a page of the WAL if it is flushed up to what is needed, and never waits for more.
int read_page(XLogReaderState* state, XLogRecPtr page, int needed, XLogRecPtr target, char* buffer) {
    flushed_when_read = GetFlushRecPtr(nullptr);
    if (page + static_cast<XLogRecPtr>(needed) > flushed_when_read) return -1;
    return read_local_xlog_page(state, page, needed, target, buffer);
}

void begin_transaction(LogicalDecodingContext*, ReorderBufferTXN* txn) { the_decoder->OnBegin(txn); }
void change_row(LogicalDecodingContext*, ReorderBufferTXN*, Relation relation, ReorderBufferChange* change) {
    the_decoder->OnChange(relation, change, false);
}
void truncate_tables(LogicalDecodingContext*, ReorderBufferTXN*, int count, Relation relations[],
                     ReorderBufferChange* change) {
    the_decoder->OnTruncate(count, relations, change, false);
}
void tell_message(LogicalDecodingContext*, ReorderBufferTXN*, XLogRecPtr, bool transactional, const char* prefix,
                  Size size, const char* message) {
    if (transactional && strcmp(prefix, mooncake::kMemberRowsPrefix) == 0) the_decoder->OnMessage(message, size, false);
}
void stream_message(LogicalDecodingContext*, ReorderBufferTXN*, XLogRecPtr, bool transactional, const char* prefix,
                    Size size, const char* message) {
    if (transactional && strcmp(prefix, mooncake::kMemberRowsPrefix) == 0) the_decoder->OnMessage(message, size, true);
}
void commit(LogicalDecodingContext*, ReorderBufferTXN* txn, XLogRecPtr commit_lsn) {
    the_decoder->OnCommit(txn, commit_lsn, false);
}
void stream_start(LogicalDecodingContext*, ReorderBufferTXN* txn) { the_decoder->OnStreamStart(txn); }
void stream_stop(LogicalDecodingContext*, ReorderBufferTXN*) { the_decoder->OnStreamStop(); }
void stream_abort(LogicalDecodingContext*, ReorderBufferTXN* txn, XLogRecPtr) { the_decoder->OnStreamAbort(txn); }
void stream_commit(LogicalDecodingContext*, ReorderBufferTXN* txn, XLogRecPtr commit_lsn) {
    the_decoder->OnCommit(txn, commit_lsn, true);
}
void stream_change(LogicalDecodingContext*, ReorderBufferTXN*, Relation relation, ReorderBufferChange* change) {
    the_decoder->OnChange(relation, change, true);
}
void stream_truncate(LogicalDecodingContext*, ReorderBufferTXN*, int count, Relation relations[],
                     ReorderBufferChange* change) {
    the_decoder->OnTruncate(count, relations, change, true);
}

// A relation's cached descriptor may change only after its cache entry was invalidated.
void relation_invalidated(Datum, Oid relid) {
    if (the_decoder) the_decoder->InvalidateLayouts(relid);
}

OutputPluginCallbacks Callbacks() {
    OutputPluginCallbacks callbacks = {};
    callbacks.begin_cb = begin_transaction;
    callbacks.change_cb = change_row;
    callbacks.truncate_cb = truncate_tables;
    callbacks.message_cb = tell_message;
    callbacks.commit_cb = commit;
    callbacks.stream_start_cb = stream_start;
    callbacks.stream_stop_cb = stream_stop;
    callbacks.stream_abort_cb = stream_abort;
    callbacks.stream_commit_cb = stream_commit;
    callbacks.stream_change_cb = stream_change;
    callbacks.stream_truncate_cb = stream_truncate;
    callbacks.stream_message_cb = stream_message;
    return callbacks;
}

DefElem* Option(const char* name, const char* value) {
    return makeDefElem(pstrdup(name), reinterpret_cast<Node*>(makeString(pstrdup(value))), -1);
}

Xid TopXid(ReorderBufferTXN* txn) { return pg::WidenXid(rbtxn_get_toptxn(txn)->xid); }

}  // namespace

Decoder* Decoder::Start(EngineLink* link, bool streaming) {
    Decoder* decoder = pg::Guard([] { return new Decoder(); });
    decoder->link_ = link;
    decoder->row_context_ = AllocSetContextCreate(TopMemoryContext, "decoded row", ALLOCSET_DEFAULT_SIZES);
    if (!the_decoder) CacheRegisterRelcacheCallback(relation_invalidated, 0);
    the_decoder = decoder;

    XLogReaderRoutine reader = {};
    reader.page_read = read_page;
    reader.segment_open = wal_segment_open;
    reader.segment_close = wal_segment_close;
    MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
    List* options = list_make3(Option("proto_version", "4"), Option("publication_names", "ivy_mooncake"),
                               Option("streaming", streaming ? "on" : "off"));
    decoder->context_ = CreateDecodingContext(InvalidXLogRecPtr, options, false, &reader, nullptr, nullptr, nullptr);
    decoder->context_->callbacks = Callbacks();
    MemoryContextSwitchTo(caller);
    LeaveDecodingStatus();
    XLogBeginRead(decoder->context_->reader, MyReplicationSlot->data.restart_lsn);
    return decoder;
}

// --- mirrors ---------------------------------------------------------------------------------------------------------

CapturedMirror* Decoder::AddMirror(CapturedMirror* mirror) {
    pg::Guard([&] {
        mirrors_.push_back(mirror);
        // Room for all of them: noting one never fails.
        dirty_.reserve(mirrors_.size());
    });
    InvalidateLayouts(InvalidOid);
    return mirror;
}

void Decoder::RemoveMirror(Oid id) {
    CapturedMirror* mirror = FindMirror(id);
    if (!mirror) return;
    pg::Guard([&] {
        std::erase(mirrors_, mirror);
        std::erase(dirty_, mirror);
        for (auto& [relid, table] : tables_) {
            for (auto& route : table.routes) {
                if (route.mirror == mirror) FreeLayout(&route);
            }
            std::erase_if(table.routes, [&](const auto& route) { return route.mirror == mirror; });
        }
    });
    if (culprit_ == mirror) culprit_ = nullptr;
    delete mirror;
}

CapturedMirror* Decoder::FindMirror(Oid id) const {
    for (CapturedMirror* mirror : mirrors_) {
        if (mirror->id == id) return mirror;
    }
    return nullptr;
}

void Decoder::InvalidateLayouts(Oid relid) {
    for (auto& [table_relid, table] : tables_) {
        if (relid == InvalidOid || std::find(table.above.begin(), table.above.end(), relid) != table.above.end()) {
            table.checked = false;
        }
    }
}

// --- records ---------------------------------------------------------------------------------------------------------

Decoder::Step Decoder::DecodeRecord() {
    char* error = nullptr;
    culprit_ = nullptr;
    // The reader allocates its buffers in the current context when it first needs them.
    MemoryContext caller = MemoryContextSwitchTo(context_->context);
    const bool found = XLogReadRecord(context_->reader, &error) != nullptr;
    if (!found && error) {
        ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("could not read the WAL for the mirrors: %s", error)));
    }
    if (found) LogicalDecodingProcessRecord(context_, context_->reader);
    MemoryContextSwitchTo(caller);
    if (!found) return Step::kEnd;
    culprit_ = nullptr;
    return held_.xid != kInvalidXid ? Step::kHeld : Step::kMore;
}

XLogRecPtr Decoder::decoded_lsn() const { return context_->reader->EndRecPtr; }

bool Decoder::MoreWal() const { return GetFlushRecPtr(nullptr) > flushed_when_read; }

// --- changes ---------------------------------------------------------------------------------------------------------

void Decoder::OnBegin(ReorderBufferTXN* txn) {
    current_xid_ = TopXid(txn);
    current_touched_ = false;
    AnnounceLongWork(txn);
}

void Decoder::AnnounceLongWork(ReorderBufferTXN* txn) {
    if (txn->total_size < kLongTransaction) return;
    link_->Queue(MessageType::kProgress, Progress{context_->reader->ReadRecPtr, progress_xmin_});
    link_->Flush();
}

void Decoder::NoteDirty(CapturedMirror* mirror) {
    if (std::find(dirty_.begin(), dirty_.end(), mirror) == dirty_.end()) dirty_.push_back(mirror);
}

// The subtransaction that made a change. That of a whole transaction does not matter: what aborted is left out.
Xid Decoder::SubXid(ReorderBufferChange* change, bool streamed) {
    if (!streamed) return current_xid_;
    if (change->txn->xid != last_subxid_) {
        last_subxid_ = change->txn->xid;
        last_wide_subxid_ = pg::WidenXid(last_subxid_);
    }
    return last_wide_subxid_;
}

void Decoder::FreeLayout(CapturedTable::Route* route) {
    if (!route->layout) return;
    if (route->mirror->current == route->layout) route->mirror->current = nullptr;
    FreeRowLayout(route->layout);
    route->layout = nullptr;
}

// The route to a mirror, with the layout that it has already if that still is right.
CapturedTable::Route Decoder::MakeRoute(CapturedMirror* mirror, const CapturedTable& table, Relation relation) {
    RowLayout* layout = nullptr;
    for (const auto& known : table.routes) {
        if (known.mirror == mirror) layout = known.layout;
    }
    const bool own = mirror->source == RelationGetRelid(relation);
    Relation source = own ? relation : RelationIdGetRelation(mirror->source);
    if (!RelationIsValid(source)) {
        ereport(ERROR,
                (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not open relation with OID %u", mirror->source)));
    }
    if (!layout || !LayoutFits(*layout, RelationGetDescr(source), RelationGetDescr(relation))) {
        layout = MakeRowLayout(TopMemoryContext, RelationGetDescr(source), RelationGetDescr(relation), mirror->shape);
    }
    if (!own) RelationClose(source);
    return {mirror, layout};
}

// Finds the mirrors that show a table's rows, by the catalog as of the change.
void Decoder::CheckTable(CapturedTable* table, Relation relation) {
    List* above = mooncake::SourcesAbove(RelationGetRelid(relation));
    std::vector<CapturedTable::Route>* routes = pg::Guard([] { return new std::vector<CapturedTable::Route>(); });
    for (CapturedMirror* mirror : mirrors_) {
        if (!list_member_oid(above, mirror->source)) continue;
        culprit_ = mirror;
        const CapturedTable::Route route = MakeRoute(mirror, *table, relation);
        pg::Guard([&] { routes->push_back(route); });
        culprit_ = nullptr;
    }
    pg::Guard([&] {
        table->above.clear();
        ListCell* cell;
        foreach (cell, above) table->above.push_back(lfirst_oid(cell));
        for (auto& old : table->routes) {
            const bool kept = std::any_of(routes->begin(), routes->end(),
                                          [&](const auto& route) { return route.layout == old.layout; });
            if (!kept) FreeLayout(&old);
        }
        table->routes = *routes;
        delete routes;
    });
    table->checked = true;
}

void Decoder::UseLayout(CapturedMirror* mirror, const RowLayout* layout) {
    if (mirror->current == layout) return;
    if (!mirror->current || !SameColumns(*mirror->current, *layout)) {
        mirror->builder.Send(link_, mirror->id);
        mirror->builder.SetLayout(*layout);
    }
    mirror->current = layout;
}

void Decoder::PrepareMirror(CapturedMirror* mirror, Xid subxid) {
    if (!mirror->builder.empty() && !mirror->builder.IsOf(current_xid_, subxid)) {
        mirror->builder.Send(link_, mirror->id);
    }
    mirror->builder.SetTransaction(current_xid_, subxid);
    NoteDirty(mirror);
}

void Decoder::AppendChange(CapturedMirror* mirror, RowLayout* layout, Relation relation, ReorderBufferChange* change) {
    FaultPoint("capture-change", ERRCODE_DATA_EXCEPTION);
    TupleDesc descriptor = RelationGetDescr(relation);
    HeapTuple old_row = change->data.tp.oldtuple;
    HeapTuple new_row = change->data.tp.newtuple;
    if (old_row) heap_deform_tuple(old_row, descriptor, layout->old_values, layout->old_nulls);
    if (new_row) heap_deform_tuple(new_row, descriptor, layout->values, layout->nulls);
    switch (change->action) {
        case REORDER_BUFFER_CHANGE_INSERT:
        case REORDER_BUFFER_CHANGE_UPDATE:
            if (!new_row) {
                ereport(ERROR,
                        (errcode(ERRCODE_DATA_CORRUPTED), errmsg("a change of table \"%s\" has no new row in the WAL",
                                                                 RelationGetRelationName(relation))));
            }
            if (change->action == REORDER_BUFFER_CHANGE_INSERT) {
                mirror->builder.Insert(layout);
            } else {
                mirror->builder.Update(layout, old_row != nullptr);
            }
            break;
        case REORDER_BUFFER_CHANGE_DELETE: mirror->builder.Delete(layout, old_row != nullptr); break;
        default: return;
    }
    if (mirror->builder.full()) mirror->builder.Send(link_, mirror->id);
}

void Decoder::OnChange(Relation relation, ReorderBufferChange* change, bool streamed) {
    if (mirrors_.empty()) return;
    CapturedTable* table = pg::Guard([&] { return &tables_[RelationGetRelid(relation)]; });
    if (table->checked && table->routes.empty()) return;
    MemoryContext caller = MemoryContextSwitchTo(row_context_);
    if (!table->checked) CheckTable(table, relation);
    const Xid subxid = SubXid(change, streamed);
    for (const CapturedTable::Route& route : table->routes) {
        culprit_ = route.mirror;
        UseLayout(route.mirror, route.layout);
        PrepareMirror(route.mirror, subxid);
        AppendChange(route.mirror, route.layout, relation, change);
        culprit_ = nullptr;
        current_touched_ = true;
    }
    MemoryContextSwitchTo(caller);
    MemoryContextReset(row_context_);
}

void Decoder::TellMirror(CapturedMirror* mirror, Relation relation, const char* rows, uint32 count, bool come,
                         Xid subxid) {
    Relation source = RelationIdGetRelation(mirror->source);
    if (!RelationIsValid(source)) {
        ereport(ERROR,
                (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not open relation with OID %u", mirror->source)));
    }
    RowLayout* layout =
        MakeRowLayout(TopMemoryContext, RelationGetDescr(source), RelationGetDescr(relation), mirror->shape);
    RelationClose(source);
    CapturedTable::Route route = {mirror, layout};
    UseLayout(mirror, layout);
    PrepareMirror(mirror, subxid);
    ReorderBufferChange change = {};
    change.action = come ? REORDER_BUFFER_CHANGE_INSERT : REORDER_BUFFER_CHANGE_DELETE;
    MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext, "told row", ALLOCSET_DEFAULT_SIZES);
    for (uint32 i = 0; i < count; i++) {
        uint64 length;
        memcpy(&length, rows, sizeof length);
        HeapTupleData row = {};
        row.t_len = static_cast<uint32>(length);
        row.t_tableOid = RelationGetRelid(relation);
        row.t_data = reinterpret_cast<HeapTupleHeader>(const_cast<char*>(rows + sizeof length));
        rows += sizeof length + MAXALIGN(length);
        (come ? change.data.tp.newtuple : change.data.tp.oldtuple) = &row;
        MemoryContext caller = MemoryContextSwitchTo(row_context);
        AppendChange(mirror, layout, relation, &change);
        MemoryContextSwitchTo(caller);
        MemoryContextReset(row_context);
    }
    FreeLayout(&route);
    current_touched_ = true;
    if (come) return;
    const Oid relid = RelationGetRelid(relation);
    pg::Guard([&] { removed_.emplace(current_xid_, mirror->id, relid); });
}

void Decoder::OnMessage(const char* message, Size size, bool streamed) {
    mooncake::MemberRowsHead head;
    if (size < sizeof head) return;
    memcpy(&head, message, sizeof head);
    if (memcmp(&head.key, &message_key_, sizeof head.key) != 0) return;  // anybody's
    if (head.version != mooncake::kMemberRowsVersion) {
        ereport(ERROR,
                (errcode(ERRCODE_DATA_CORRUPTED), errmsg("unknown version %u of a logical message", head.version)));
    }
    MemoryContext caller = MemoryContextSwitchTo(row_context_);
    const char* rows = message + MAXALIGN(sizeof head + sizeof(Oid) * head.mirror_count);
    Relation relation = RelationIdGetRelation(head.table);
    if (!RelationIsValid(relation)) {
        ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not open relation with OID %u", head.table)));
    }
    for (uint32 i = 0; i < head.mirror_count; i++) {
        Oid id;
        memcpy(&id, message + sizeof head + sizeof(Oid) * i, sizeof id);
        CapturedMirror* mirror = FindMirror(id);
        if (!mirror) continue;
        culprit_ = mirror;
        TellMirror(mirror, relation, rows, head.row_count, head.come, streamed ? pg::WidenXid(head.xid) : current_xid_);
        culprit_ = nullptr;
    }
    RelationClose(relation);
    MemoryContextSwitchTo(caller);
    MemoryContextReset(row_context_);
}

// A mirror is emptied when all tables whose rows it shows are. When only some are, messages have said which rows went, or the
// extension's hooks have ordered a new copy, of which the catalog tells before the commit is sent; otherwise (a
// subscription applied the TRUNCATE) the mirror fails.
void Decoder::TruncateMirror(CapturedMirror* mirror, int count, Relation relations[], Xid subxid) {
    List* truncated = NIL;
    bool whole = false, part = false, unknown = false;
    for (int i = 0; i < count; i++) {
        const Oid relid = RelationGetRelid(relations[i]);
        truncated = lappend_oid(truncated, relid);
        whole = whole || (relid == mirror->source && relations[i]->rd_rel->relkind == RELKIND_PARTITIONED_TABLE);
        if (!list_member_oid(mooncake::SourcesAbove(relid), mirror->source)) continue;
        part = true;
        // Of a partitioned table the WAL names the partitions as well.
        if (relations[i]->rd_rel->relkind == RELKIND_PARTITIONED_TABLE) continue;
        unknown = unknown || !pg::Guard([&] { return removed_.count({current_xid_, mirror->id, relid}) > 0; });
    }
    if (!part) return;
    if (!whole) whole = list_difference_oid(mooncake::SourceMembers(mirror->source, NoLock), truncated) == NIL;
    if (!whole && !unknown) return;
    PrepareMirror(mirror, subxid);
    if (whole) {
        mirror->builder.Truncate();
    } else {
        mirror->builder.Unidentified();
        pg::Guard([&] { ordering_.insert(current_xid_); });
    }
    current_touched_ = true;
}

void Decoder::OnTruncate(int count, Relation relations[], ReorderBufferChange* change, bool streamed) {
    const Xid subxid = SubXid(change, streamed);
    MemoryContext caller = MemoryContextSwitchTo(row_context_);
    for (CapturedMirror* mirror : mirrors_) {
        culprit_ = mirror;
        TruncateMirror(mirror, count, relations, subxid);
        culprit_ = nullptr;
    }
    MemoryContextSwitchTo(caller);
    MemoryContextReset(row_context_);
}

void Decoder::SendBuilders() {
    for (CapturedMirror* mirror : dirty_) mirror->builder.Send(link_, mirror->id);
    dirty_.clear();
}

// --- ends of transactions --------------------------------------------------------------------------------------------

bool Decoder::TouchesDefinitions(ReorderBufferTXN* txn) const {
    for (uint32 i = 0; i < txn->ninvalidations; i++) {
        const SharedInvalidationMessage& message = txn->invalidations[i];
        if (message.id != SHAREDINVALRELCACHE_ID) continue;
        const Oid relid = message.rc.relId;
        if (relid == InvalidOid) return true;
        for (const CapturedMirror* mirror : mirrors_) {
            if (mirror->source == relid) return true;
        }
    }
    return false;
}

void Decoder::OnCommit(ReorderBufferTXN* txn, XLogRecPtr commit_lsn, bool streamed) {
    const Xid xid = streamed ? pg::WidenXid(txn->xid) : current_xid_;
    bool touched = current_touched_;
    if (streamed) {
        pg::Guard([&] {
            streamed_.erase(xid);
            touched = touched_.erase(xid) > 0;
        });
    } else {
        SendBuilders();
    }
    Commit commit;
    commit.xid = xid;
    commit.commit_lsn = commit_lsn;
    commit.end_lsn = txn->end_lsn;
    commit.commit_time = txn->xact_time.commit_time + kPostgresEpochMicros;
    const bool orders = pg::Guard([&] { return ordering_.erase(xid) > 0; });
    ForgetRemoved(xid);
    if (orders || TouchesDefinitions(txn)) {
        held_ = commit;
        held_touched_ = touched;
    } else if (touched) {
        link_->Queue(MessageType::kCommit, commit);
        newest_commit_ = std::max(newest_commit_, xid);
    }
}

void Decoder::ForgetRemoved(Xid xid) {
    pg::Guard([&] { std::erase_if(removed_, [&](const auto& entry) { return std::get<0>(entry) == xid; }); });
}

void Decoder::ReleaseHeldCommit() {
    if (held_touched_) {
        link_->Queue(MessageType::kCommit, held_);
        newest_commit_ = std::max(newest_commit_, held_.xid);
    }
    held_ = Commit();
}

void Decoder::OnStreamStart(ReorderBufferTXN* txn) {
    current_xid_ = TopXid(txn);
    current_touched_ = false;
    culprit_ = nullptr;
    pg::Guard([&] { streamed_.insert(current_xid_); });
    AnnounceLongWork(txn);
}

void Decoder::OnStreamStop() {
    // Also after an error because the transaction was found to have aborted: what is complete is sent.
    culprit_ = nullptr;
    if (!dirty_.empty()) current_touched_ = true;
    SendBuilders();
    if (current_touched_) {
        pg::Guard([&] { touched_.insert(current_xid_); });
    }
}

void Decoder::OnStreamAbort(ReorderBufferTXN* txn) {
    const Xid xid = TopXid(txn);
    const Xid subxid = pg::WidenXid(txn->xid);
    const bool touched = touched_.count(xid) > 0;
    if (touched) link_->Queue(MessageType::kAbort, Abort{xid, subxid});
    if (xid == subxid) {
        pg::Guard([&] {
            streamed_.erase(xid);
            touched_.erase(xid);
            ordering_.erase(xid);
        });
        ForgetRemoved(xid);
    }
}

}  // namespace ivy::capture
