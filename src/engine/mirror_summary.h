// SPDX-License-Identifier: Apache-2.0
//
// What a mirror writes into the summaries of its Iceberg snapshots, the definition of its table, and totals of its live files.
#pragma once

#include <string>
#include <vector>

#include "base/snapshot.h"
#include "iceberg/table.h"
#include "protocol/messages.h"

namespace ivy::engine {

// The commit LSN of the last transaction contained, for people who look.
inline constexpr char kFlushedLsn[] = "ivy.flushed-lsn";
// Transactions contained that some snapshot of that time might not see (delta::FlushCut::unseen_xids): their ids, separated
// by commas.
inline constexpr char kUnseenXids[] = "ivy.unseen-xids";

std::string XidsText(const std::vector<Xid>& xids);
std::vector<Xid> XidsFromText(const std::string& text);

// Enters into a change what the mirror is like now, as far as the table says otherwise: schema and sort order. The files that
// the change adds must be sorted so. "inexact" as in MakeIcebergSchema. Whether there was anything.
bool AddDefinition(const iceberg::Table& table, const MirrorOpen& open, const std::vector<uint32_t>& inexact,
                   iceberg::Change* change);

int64_t LiveRows(const iceberg::Table& table);
int64_t LiveBytes(const iceberg::Table& table);

}  // namespace ivy::engine
