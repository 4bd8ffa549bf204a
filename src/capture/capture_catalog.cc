// SPDX-License-Identifier: Apache-2.0
// CaptureWorker: makes the captured mirrors, the engine's mirrors and deleted folders agree with the catalog.
#include "capture/capture_worker.h"

#include <sys/stat.h>
#include <algorithm>

#include "capture/row_layout.h"
#include "capture/session.h"
#include "pg_mooncake/src/location.h"
#include "pg_mooncake/src/member_rows.h"
#include "pg_mooncake/src/source.h"

namespace ivy::capture {

namespace {

constexpr int kDropPollMs = 1000;  // folders that the engine is deleting

// Whether chunks with the columns "from" can become rows with the columns "to" without looking at the source again.
bool CanFollow(const std::vector<MirrorColumn>& from, const std::vector<MirrorColumn>& to) {
    for (const MirrorColumn& column : to) {
        const auto old = std::find_if(from.begin(), from.end(), [&](const auto& c) { return c.id == column.id; });
        if (old == from.end()) continue;
        const bool wider = old->type.kind == TypeKind::kDecimal && column.type.kind == TypeKind::kDecimal &&
                           old->type.scale == column.type.scale && old->type.precision <= column.type.precision;
        if ((!(old->type == column.type) && !wider) || old->numeric_scale != column.numeric_scale) return false;
    }
    return true;
}

// The ids of the columns by which a mirror's files are sorted: those of its option, up to one that can't serve any more
// because it is gone or has another type. May throw std::bad_alloc: call inside pg::Guard.
std::vector<uint32_t> SortColumns(const MirrorRow& row, const RowLayout& layout) {
    std::vector<uint32_t> ids;
    ListCell* cell;
    foreach (cell, row.options.sort_columns) {
        const auto* name = static_cast<const char*>(lfirst(cell));
        const LayoutColumn* begin = layout.columns;
        const LayoutColumn* end = begin + layout.column_count;
        const LayoutColumn* column = std::find_if(begin, end, [&](const LayoutColumn& one) {
            return strcmp(NameStr(TupleDescAttr(layout.source, one.id - 1)->attname), name) == 0;
        });
        if (column == end) break;
        const bool decimal = column->writer.numeric_scale != types::kNoNumericScale;
        if (!decimal && !types::HasStoredOrder(column->writer.mapping)) break;
        ids.push_back(static_cast<uint32_t>(column->id));
    }
    return ids;
}

}  // namespace

// Makes the captured mirrors and the engine's agree with the catalog.
void CaptureWorker::RefreshCatalog() {
    FaultPoint("capture-refresh");
    refresh_ = false;
    catalog_version_ = mooncake::CatalogVersion();  // before reading, so that a change meanwhile is seen next time
    pg::Guard([&] {
        wanted_.clear();
        dropped_.clear();
    });
    bool complete = true;
    InTransaction([&] { complete = ReadCatalog(); });
    if (extension_gone_) GoneForGood();
    if (!complete) {
        refresh_ = true;
        WakeIn(kBusyRetryMs);
    }
    ApplyCatalog();
}

// In a transaction. False if something was locked and must be looked at again.
bool CaptureWorker::ReadCatalog() {
    extension_gone_ = !mooncake::ExtensionExists();
    if (extension_gone_) return true;
    pg_uuid_t key;
    if (mooncake::ReadMessageKey(&key)) decoder_->set_message_key(key);
    bool complete = true;
    bool restarted = false;
    retry_due_ = 0;
    ListCell* cell;
    foreach (cell, mooncake::ListMirrors()) {
        const auto* row = static_cast<const MirrorRow*>(lfirst(cell));
        const char* reason = nullptr;
        if (!mooncake::OwnsLocation(row->location)) {
            reason = "its files belong to another server or database";
        } else if (row->state == MirrorState::kStale) {
            reason = "changes were given up";
        } else if (row->state == MirrorState::kError && row->retry_at != 0) {
            if (row->retry_at <= GetCurrentTimestamp()) {
                reason = "another attempt after a failure";
            } else {
                retry_due_ = retry_due_ == 0 ? row->retry_at : std::min(retry_due_, row->retry_at);
            }
        }
        if (!reason) continue;
        if (mooncake::RestartCopy(row->mirror, reason) == ChangeResult::kBusy) {
            complete = false;
        } else {
            restarted = true;
        }
    }
    if (restarted) CommandCounterIncrement();
    foreach (cell, mooncake::ListMirrors()) {
        const auto* row = static_cast<const MirrorRow*>(lfirst(cell));
        if (row->state != MirrorState::kCopying && row->state != MirrorState::kLive) continue;
        if (!mooncake::OwnsLocation(row->location)) continue;
        ReadMirror(row);
    }
    foreach (cell, mooncake::ListDropped()) {
        const auto* dropped = static_cast<const mooncake::DroppedLocation*>(lfirst(cell));
        pg::Guard([&] { dropped_.emplace_back(dropped->mirror, dropped->location); });
    }
    return complete;
}

bool CaptureWorker::RetryIsDue() {
    if (retry_due_ == 0) return false;
    const long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), retry_due_);
    if (left > 0) WakeIn(static_cast<int>(std::min<long>(left, kIdleMs)));
    return left <= 0;
}

// In a transaction: adds the mirror to wanted_ unless its relations are gone.
void CaptureWorker::ReadMirror(const MirrorRow* row) {
    // Without a lock: an ALTER TABLE that waits in some session must not stop all mirrors. The descriptor is that of some
    // committed moment, and a later one is announced by the WAL.
    Relation source = RelationIdGetRelation(row->source);
    const char* table = get_rel_name(row->mirror);
    if (!RelationIsValid(source)) return;
    if (!table) {
        RelationClose(source);
        return;
    }
    const char* schema = get_namespace_name(get_rel_namespace(row->mirror));
    CapturedMirror* made = pg::Guard([&] {
        reading_ = std::make_unique<CapturedMirror>();
        return reading_.get();
    });
    ShapeOfMirror(row, RelationGetDescr(source), &made->shape);
    RowLayout* layout =
        MakeRowLayout(CurrentMemoryContext, RelationGetDescr(source), RelationGetDescr(source), made->shape);
    // A child table may have NULLs where its parent has none.
    const bool nullable = source->rd_rel->relkind != RELKIND_PARTITIONED_TABLE && mooncake::HasMembers(source);
    pg::Guard([&]() -> Status {
        auto mirror = std::move(reading_);
        mirror->id = row->mirror;
        mirror->source = row->source;
        mirror->generation = row->generation;
        MirrorOpen& open = mirror->told;
        open.id = row->mirror;
        open.generation = static_cast<uint32_t>(row->generation);
        open.schema_name = schema ? schema : "";
        open.table_name = table;
        open.columns = LayoutColumns(*layout);
        if (nullable) {
            for (MirrorColumn& column : open.columns) column.not_null = false;
        }
        for (const int16 attribute : mirror->shape.key) open.key.push_back(static_cast<uint32_t>(attribute));
        open.location = row->location;
        if (row->metadata_location) open.metadata_location = row->metadata_location;
        open.flushed_lsn = row->flushed_lsn;
        open.has_copy_snapshot = row->copy_snapshot != nullptr;
        if (row->copy_snapshot && !mooncake::SnapshotFromText(row->copy_snapshot, &open.copy_snapshot)) {
            return Status::Corrupt("mooncake.mirrors has a damaged copy_snapshot");
        }
        open.format_version = static_cast<uint8_t>(row->format_version);
        open.flush_ms = static_cast<uint64_t>(row->options.flush_interval_ms);
        open.flush_rows = static_cast<uint64_t>(row->options.flush_rows);
        open.flush_bytes = static_cast<uint64_t>(row->options.flush_bytes);
        open.sort = SortColumns(*row, *layout);
        for (int i = 0; i < row->inexact_count; i++) open.inexact.push_back(static_cast<uint32_t>(row->inexact[i]));
        wanted_.push_back(std::move(mirror));
        return Status::Ok();
    });
    FreeRowLayout(layout);
    RelationClose(source);
}

// Outside of a transaction: sends what has changed.
void CaptureWorker::ApplyCatalog() {
    // What is gone, or is another generation now.
    for (size_t i = decoder_->mirrors().size(); i-- > 0;) {
        const CapturedMirror* captured = decoder_->mirrors()[i];
        bool kept = false;
        for (const auto& wanted : wanted_) {
            kept = kept || (wanted->id == captured->id && wanted->generation == captured->generation);
        }
        if (!kept) Release(captured->id);
    }
    // A folder is deleted before the mirror's next generation is opened under the same id.
    DeleteDroppedFiles();
    for (auto& wanted : wanted_) {
        if (CapturedMirror* captured = decoder_->FindMirror(wanted->id)) {
            UpdateMirror(captured, *wanted);
        } else {
            OpenMirror(&wanted);
        }
    }
    pg::Guard([&] { wanted_.clear(); });
}

void CaptureWorker::Release(Oid mirror) {
    ForgetJob(mirror, true);
    decoder_->RemoveMirror(mirror);
    MirrorClose close;
    close.id = mirror;
    link_->Queue(MessageType::kMirrorClose, close);
}

void CaptureWorker::OpenMirror(std::unique_ptr<CapturedMirror>* wanted) {
    uint64 order = 0;
    if (!pg_strong_random(&order, sizeof order)) {
        ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values")));
    }
    CapturedMirror* mirror = decoder_->AddMirror(wanted->release());
    mirror->told.copy_order = order;
    link_->Queue(MessageType::kMirrorOpen, mirror->told);
    if (mirror->told.has_copy_snapshot) return;
    CopyJob* job = pg::Guard([&] {
        jobs_.push_back(std::make_unique<CopyJob>());
        CopyJob* made = jobs_.back().get();
        made->mirror = mirror->id;
        made->generation = mirror->generation;
        made->order = order;
        made->streamed.assign(decoder_->streamed().begin(), decoder_->streamed().end());
        return made;
    });
    job->in_flight.Begin();
}

// The same generation as before, perhaps with other columns or another name.
void CaptureWorker::UpdateMirror(CapturedMirror* captured, const CapturedMirror& wanted) {
    MirrorOpen& told = captured->told;
    const bool same = pg::Guard([&] {
        const auto equal = [](const MirrorColumn& a, const MirrorColumn& b) {
            return a.id == b.id && a.name == b.name && a.type == b.type && a.not_null == b.not_null &&
                   a.numeric_scale == b.numeric_scale;
        };
        return told.schema_name == wanted.told.schema_name && told.table_name == wanted.told.table_name &&
               told.sort == wanted.told.sort &&
               std::equal(told.columns.begin(), told.columns.end(), wanted.told.columns.begin(),
                          wanted.told.columns.end(), equal);
    });
    if (same) return;
    if (!CanFollow(told.columns, wanted.told.columns)) {
        // The extension's own hooks order the copy with the ALTER; this is for whatever they do not see.
        ChangeResult result = ChangeResult::kDone;
        InTransaction([&] { result = mooncake::RestartCopy(captured->id, "a column of the source has another type"); });
        refresh_ = true;
        if (result == ChangeResult::kBusy) WakeIn(kBusyRetryMs);
        return;
    }
    pg::Guard([&] {
        const uint64_t order = told.copy_order;
        told = wanted.told;
        told.copy_order = order;
    });
    link_->Queue(MessageType::kMirrorOpen, told);
}

void CaptureWorker::DeleteDroppedFiles() {
    for (const auto& [mirror, location] : dropped_) {
        const bool fresh = pg::Guard([&] { return deleting_.insert(location).second; });
        if (!fresh) continue;
        MirrorClose* close = pg::Guard([&] { return new MirrorClose{mirror, true, location}; });
        link_->Queue(MessageType::kMirrorClose, *close);
        delete close;
    }
    if (!dropped_.empty()) forget_due_ = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), kDropPollMs);
}

// Rows of mooncake.dropped whose folder is gone, or is not where this process could look.
void CaptureWorker::ForgetDeletedFiles() {
    if (dropped_.empty()) return;
    if (GetCurrentTimestamp() < forget_due_) {
        WakeIn(kDropPollMs);
        return;
    }
    bool left = false;
    InTransaction([&] {
        for (const auto& [mirror, location] : dropped_) {
            struct stat status;
            if (strstr(location.c_str(), "://") == nullptr && stat(location.c_str(), &status) == 0) {
                left = true;
            } else {
                mooncake::ForgetDropped(location.c_str());
                mooncake::RemoveEmptyWarehouse(location.c_str());
            }
        }
    });
    pg::Guard([&] {
        std::erase_if(dropped_, [](const auto& entry) {
            struct stat status;
            return entry.second.find("://") != std::string::npos || stat(entry.second.c_str(), &status) != 0;
        });
    });
    forget_due_ = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), left ? kIdleMs : kDropPollMs);
}

}  // namespace ivy::capture
