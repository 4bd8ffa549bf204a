// SPDX-License-Identifier: Apache-2.0
//
// ChangeBuilder: row changes of one (sub)transaction to one mirror on their way into a Changes message.
//
// A row is written column by column with Postgres code in between that may raise an error. The one such error after
// which decoding goes on is that a transaction which is being streamed turns out to have aborted; the half-written row
// and all rows with it are of that (sub)transaction, so the builder then throws its content away.
#pragma once

#include "pg/postgres_api.h"

#include "capture/row_layout.h"
#include "protocol/messages.h"

namespace ivy::capture {

class EngineLink;

class ChangeBuilder {
  public:
    // Rows have this layout from now on; it must outlive its use. REQUIRES: empty.
    void SetLayout(const RowLayout& layout);

    // Makes the following changes those of a (sub)transaction. REQUIRES: empty, or the same as before.
    void SetTransaction(Xid xid, Xid subxid) {
        changes_.xid = xid;
        changes_.subxid = subxid;
    }
    bool IsOf(Xid xid, Xid subxid) const { return changes_.xid == xid && changes_.subxid == subxid; }

    bool empty() const { return changes_.ops.empty() && !torn_; }
    // Whether it is time for Send.
    bool full() const { return changes_.ops.size() >= kMaxOps || bytes_ >= kMaxBytes; }

    // The layout's "values" hold the deformed new row, its "old_values" the old one, of which only the key matters. May
    // ereport. Columns of an updated row that are unchanged and not in the WAL are noted as such.
    void Insert(RowLayout* layout);
    void Update(RowLayout* layout, bool old_is_known);  // false: the old key is that of the new row
    void Delete(RowLayout* layout, bool old_is_known);  // false: the WAL has no old row
    void Truncate();
    void Unidentified();  // something happened to rows that can't be told from others

    // Queues the message if there is something and leaves the builder empty.
    void Send(EngineLink* link, Oid mirror);
    void Clear();

  private:
    static constexpr size_t kMaxOps = 16384;
    static constexpr size_t kMaxBytes = 1 << 20;

    void WriteRow(RowLayout* layout, bool may_be_unchanged);
    bool WriteKey(RowLayout* layout, const Datum* values, const bool* nulls);
    bool IsStorable(RowLayout* layout, const Datum* values);
    void Done(RowOp op);

    Changes changes_;
    ColumnChunkBuilder rows_, keys_;
    ColumnChunkBuilder tried_;  // a key
    size_t bytes_ = 0;          // held by the values
    bool torn_ = false;         // a change was begun and not finished
};

}  // namespace ivy::capture
