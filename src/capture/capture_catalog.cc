// SPDX-License-Identifier: Apache-2.0
// CaptureWorker: makes the captured mirrors, the engine's mirrors and deleted folders agree with the catalog.
#include "capture/capture_worker.h"

#include <sys/stat.h>
#include <algorithm>

#include "capture/row_layout.h"
#include "capture/session.h"
#include "pg_duckdb/src/secret_message.h"
#include "pg_mooncake/src/location.h"
#include "pg_mooncake/src/member_rows.h"
#include "pg_mooncake/src/mirror_access.h"
#include "pg_mooncake/src/source.h"

namespace ivy::capture {

namespace {

constexpr int kDropPollMs = 1000;          // folders that the engine is deleting
constexpr int kSecretsPollMs = 30 * 1000;  // whether mirrors on the network have other secrets

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
    retry_due_ = secrets_due_ = 0;
    ListCell* cell;
    foreach (cell, mooncake::ListMirrors()) {
        const auto* row = static_cast<const MirrorRow*>(lfirst(cell));
        const char* reason = nullptr;
        const bool other_secrets = NoteSecrets(row);
        if (!mooncake::OwnsLocation(row->location)) {
            reason = "its files belong to another server or database";
        } else if (row->state == MirrorState::kStale) {
            reason = "changes were given up";
        } else if (row->state == MirrorState::kError && row->retry_at != 0) {
            if (other_secrets) {
                reason = "its owner has other secrets now";
            } else if (row->retry_at <= GetCurrentTimestamp()) {
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
        const List* secrets = mooncake::LocationSecrets(dropped->location, dropped->owner);
        const bool network = mooncake::IsNetworkLocation(dropped->location);
        if (network) secrets_due_ = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), kSecretsPollMs);
        pg::Guard([&] { dropped_.push_back({dropped->mirror, dropped->location, SecretMessages(secrets), network}); });
    }
    return complete;
}

// In a transaction: whether the secrets for a mirror's location are others than at the last look.
bool CaptureWorker::NoteSecrets(const MirrorRow* row) {
    if (!mooncake::IsNetworkLocation(row->location)) return false;
    secrets_due_ = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), kSecretsPollMs);
    const List* secrets = mooncake::LocationSecrets(row->location, mooncake::OwnerOf(row->mirror));
    return pg::Guard([&] {
        std::vector<Secret> now = SecretMessages(secrets);
        const auto [known, first] = secrets_.try_emplace(row->mirror, now);
        if (first || known->second == now) return false;
        known->second = std::move(now);
        return true;
    });
}

// Memberships of roles, and owners, are changed without a word to us.
bool CaptureWorker::SecretsAreDue() {
    if (secrets_due_ == 0) return false;
    const long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), secrets_due_);
    if (left > 0) WakeIn(static_cast<int>(std::min<long>(left, kIdleMs)));
    return left <= 0;
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
    const List* secrets = mooncake::LocationSecrets(row->location, mooncake::OwnerOf(row->mirror));
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
        open.secrets = SecretMessages(secrets);
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
               told.sort == wanted.told.sort && told.secrets == wanted.told.secrets &&
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
    for (const DroppedFiles& files : dropped_) {
        const TimestampTz now = GetCurrentTimestamp();
        const bool fresh = pg::Guard([&] {
            const auto [removal, first] = deleting_.try_emplace(files.location);
            const bool failed = removal->second.retry_at != 0;
            if (!first && !(failed && (removal->second.retry_at <= now || removal->second.secrets != files.secrets)))
                return false;
            removal->second = {files.secrets, 0};
            return true;
        });
        if (!fresh) continue;
        MirrorClose* close =
            pg::Guard([&] { return new MirrorClose{files.mirror, true, files.location, files.secrets}; });
        link_->Queue(MessageType::kMirrorClose, *close);
        delete close;
    }
    if (!dropped_.empty()) forget_due_ = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), kDropPollMs);
}

// Rows of mooncake.dropped whose local folder is gone; and those on the network that are to be tried again.
void CaptureWorker::ForgetDeletedFiles() {
    if (dropped_.empty()) return;
    if (GetCurrentTimestamp() < forget_due_) {
        WakeIn(kDropPollMs);
        return;
    }
    const auto gone = [](const DroppedFiles& files) {
        struct stat status;
        return !files.network && stat(files.location.c_str(), &status) != 0;
    };
    if (std::any_of(dropped_.begin(), dropped_.end(), gone)) {
        InTransaction([&] {
            for (const DroppedFiles& files : dropped_) {
                if (!gone(files)) continue;
                mooncake::ForgetDropped(files.location.c_str());
                mooncake::RemoveEmptyWarehouse(files.location.c_str());
            }
        });
        pg::Guard([&] { std::erase_if(dropped_, gone); });
    }
    const TimestampTz now = GetCurrentTimestamp();
    for (const auto& [location, removal] : deleting_) {
        if (removal.retry_at != 0 && removal.retry_at <= now) refresh_ = true;
    }
    forget_due_ = TimestampTzPlusMilliseconds(now, dropped_.empty() ? kDropPollMs : kIdleMs);
}

}  // namespace ivy::capture
