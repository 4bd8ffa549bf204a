// SPDX-License-Identifier: Apache-2.0
// Writing and reading of messages, field by field in the order of messages.h.
#include "protocol/messages.h"

#include <algorithm>

namespace ivy {

namespace {

constexpr uint8_t kNoNumericScale = UINT8_MAX;

void WriteStrings(const std::vector<std::pair<std::string, std::string>>& pairs, ByteWriter* out) {
    out->U32(static_cast<uint32_t>(pairs.size()));
    for (const auto& [name, value] : pairs) {
        out->String(name);
        out->String(value);
    }
}

std::vector<std::pair<std::string, std::string>> ReadStrings(ByteReader* in) {
    std::vector<std::pair<std::string, std::string>> pairs;
    const uint32_t count = in->Count(8);
    for (uint32_t i = 0; i < count; i++) {
        std::string name = in->String();
        pairs.emplace_back(std::move(name), in->String());
    }
    return pairs;
}

void WriteTexts(const std::vector<std::string>& texts, ByteWriter* out) {
    out->U32(static_cast<uint32_t>(texts.size()));
    for (const std::string& text : texts) out->String(text);
}

std::vector<std::string> ReadTexts(ByteReader* in) {
    std::vector<std::string> texts;
    const uint32_t count = in->Count(4);
    for (uint32_t i = 0; i < count; i++) texts.push_back(in->String());
    return texts;
}

void WriteIds(const std::vector<uint32_t>& ids, ByteWriter* out) {
    out->U32(static_cast<uint32_t>(ids.size()));
    for (const uint32_t id : ids) out->U32(id);
}

std::vector<uint32_t> ReadIds(ByteReader* in) {
    std::vector<uint32_t> ids(in->Count(sizeof(uint32_t)));
    for (uint32_t& id : ids) id = in->U32();
    return ids;
}

void WriteTypes(const std::vector<ColumnType>& types, ByteWriter* out) {
    out->U32(static_cast<uint32_t>(types.size()));
    for (const ColumnType& type : types) type.Write(out);
}

std::vector<ColumnType> ReadTypes(ByteReader* in) {
    std::vector<ColumnType> types(in->Count(3));
    for (ColumnType& type : types) type = ColumnType::Read(in);
    return types;
}

void WriteError(const Error& error, ByteWriter* out) {
    out->String(error.sqlstate);
    out->String(error.message);
    out->String(error.detail);
    out->String(error.hint);
}

Error ReadError(ByteReader* in) {
    Error error;
    error.sqlstate = in->String();
    error.message = in->String();
    error.detail = in->String();
    error.hint = in->String();
    if (error.sqlstate.size() != 5) error.sqlstate = sqlstate::kInternalError;
    return error;
}

void WriteBlob(const Bytes& bytes, ByteWriter* out) {
    out->U32(static_cast<uint32_t>(bytes.size()));
    out->Raw(bytes.data(), bytes.size());
}

Bytes ReadBlob(ByteReader* in) {
    const std::string_view view = in->View();
    const auto* from = reinterpret_cast<const uint8_t*>(view.data());
    return Bytes(from, from + view.size());
}

void WriteSecrets(const std::vector<Secret>& secrets, ByteWriter* out) {
    out->U32(static_cast<uint32_t>(secrets.size()));
    for (const Secret& secret : secrets) secret.Write(out);
}

std::vector<Secret> ReadSecrets(ByteReader* in) {
    std::vector<Secret> secrets;
    const uint32_t count = in->Count(16);
    for (uint32_t i = 0; i < count; i++) secrets.push_back(Secret::Read(in));
    return secrets;
}

// A message that was read whole, or the reader's error.
template <typename Message>
Result<Message> Finished(const ByteReader& in, Message message, const char* what) {
    const Status status = in.Finish(what);
    if (!status.ok()) return status;
    return message;
}

}  // namespace

void Hello::Write(ByteWriter* out) const {
    out->U32(kProtocolMagic);
    out->U16(kProtocolVersion);
    out->U8(static_cast<uint8_t>(role));
    out->U32(database);
}

Result<Hello> Hello::Read(const Frame& frame) {
    ByteReader in = frame.reader();
    if (frame.type != static_cast<uint8_t>(MessageType::kHello) || in.U32() != kProtocolMagic) {
        return Status::Make(sqlstate::kProtocolViolation, "the peer does not speak the engine's protocol");
    }
    const uint16_t version = in.U16();
    if (version != kProtocolVersion) {
        return Status::Make(
            sqlstate::kProtocolViolation,
            "protocol version " + std::to_string(version) + " is not " + std::to_string(kProtocolVersion),
            "The engine and the extension are of different releases.", "Restart the server after an upgrade.");
    }
    Hello hello;
    const uint8_t role = in.U8();
    hello.role = static_cast<Role>(role);
    hello.database = in.U32();
    if (role < 1 || role > 4) return Status::Make(sqlstate::kProtocolViolation, "unknown role in hello message");
    return Finished(in, hello, "hello message");
}

void ErrorMessage::Write(ByteWriter* out) const {
    WriteError(error, out);
    out->U8(static_cast<uint8_t>(unavailable));
}

Result<ErrorMessage> ErrorMessage::Read(const Frame& frame) {
    ByteReader in = frame.reader();
    ErrorMessage message;
    message.error = ReadError(&in);
    message.unavailable = static_cast<Unavailable>(in.U8());
    return Finished(in, message, "error message");
}

void Secret::Write(ByteWriter* out) const {
    out->String(name);
    out->String(type);
    WriteTexts(scope, out);
    WriteStrings(options, out);
}

Secret Secret::Read(ByteReader* in) {
    Secret secret;
    secret.name = in->String();
    secret.type = in->String();
    secret.scope = ReadTexts(in);
    secret.options = ReadStrings(in);
    return secret;
}

void RowSource::Write(ByteWriter* out) const { WriteTypes(columns, out); }

Result<RowSource> RowSource::Read(const Frame& frame) {
    ByteReader in = frame.reader();
    RowSource message;
    message.columns = ReadTypes(&in);
    return Finished(in, std::move(message), "row source message");
}

void Query::Write(ByteWriter* out) const {
    out->String(sql);
    WriteIds(mirrors, out);
    WriteTypes(result, out);
    WriteStrings(settings, out);
    snapshot.Write(out);
    out->U64(lsn);
    out->U32(freshness_timeout_ms);
    out->U8(static_cast<uint8_t>(mode));
    WriteTexts(files, out);
    WriteSecrets(secrets, out);
    out->String(written);
    out->String(renamed);
    out->U32(permissions);
}

Result<Query> Query::Read(const Frame& frame) {
    ByteReader in = frame.reader();
    Query message;
    message.sql = in.String();
    message.mirrors = ReadIds(&in);
    message.result = ReadTypes(&in);
    message.settings = ReadStrings(&in);
    message.snapshot = Snapshot::Read(&in);
    message.lsn = in.U64();
    message.freshness_timeout_ms = in.U32();
    message.mode = static_cast<QueryMode>(std::min<uint8_t>(in.U8(), 3));
    message.files = ReadTexts(&in);
    message.secrets = ReadSecrets(&in);
    message.written = in.String();
    message.renamed = in.String();
    message.permissions = in.U32();
    return Finished(in, std::move(message), "query message");
}

void QueryDone::Write(ByteWriter* out) const {
    out->U64(rows);
    out->U64(freshness_wait_us);
    out->U64(file_rows);
    out->U64(delta_rows);
    out->U32(files);
    out->String(plan);
}

Result<QueryDone> QueryDone::Read(const Frame& frame) {
    ByteReader in = frame.reader();
    QueryDone message;
    message.rows = in.U64();
    message.freshness_wait_us = in.U64();
    message.file_rows = in.U64();
    message.delta_rows = in.U64();
    message.files = in.U32();
    message.plan = in.String();
    return Finished(in, std::move(message), "query-done message");
}

void MirrorColumn::Write(ByteWriter* out) const {
    out->U32(id);
    out->String(name);
    type.Write(out);
    out->Bool(not_null);
    out->U8(numeric_scale.value_or(kNoNumericScale));
}

MirrorColumn MirrorColumn::Read(ByteReader* in) {
    MirrorColumn message;
    message.id = in->U32();
    message.name = in->String();
    message.type = ColumnType::Read(in);
    message.not_null = in->Bool();
    const uint8_t scale = in->U8();
    if (scale == kNoNumericScale) return message;
    if (scale > kMaxDecimalDigits || message.type.kind != TypeKind::kText) in->Raw(SIZE_MAX);  // makes the reader fail
    message.numeric_scale = scale;
    return message;
}

void MirrorOpen::Write(ByteWriter* out) const {
    out->U32(id);
    out->U32(generation);
    out->String(schema_name);
    out->String(table_name);
    out->U32(static_cast<uint32_t>(columns.size()));
    for (const MirrorColumn& column : columns) column.Write(out);
    WriteIds(key, out);
    out->String(location);
    out->String(metadata_location);
    out->U64(flushed_lsn);
    out->Bool(has_copy_snapshot);
    copy_snapshot.Write(out);
    out->U8(format_version);
    WriteIds(inexact, out);
    out->U64(flush_ms);
    out->U64(flush_rows);
    out->U64(flush_bytes);
    WriteIds(sort, out);
    out->U64(copy_order);
    WriteSecrets(secrets, out);
}

Result<MirrorOpen> MirrorOpen::Read(const Frame& frame) {
    ByteReader in = frame.reader();
    MirrorOpen message;
    message.id = in.U32();
    message.generation = in.U32();
    message.schema_name = in.String();
    message.table_name = in.String();
    message.columns.resize(in.Count(12));
    for (MirrorColumn& column : message.columns) column = MirrorColumn::Read(&in);
    message.key = ReadIds(&in);
    message.location = in.String();
    message.metadata_location = in.String();
    message.flushed_lsn = in.U64();
    message.has_copy_snapshot = in.Bool();
    message.copy_snapshot = Snapshot::Read(&in);
    message.format_version = in.U8();
    message.inexact = ReadIds(&in);
    message.flush_ms = in.U64();
    message.flush_rows = in.U64();
    message.flush_bytes = in.U64();
    message.sort = ReadIds(&in);
    message.copy_order = in.U64();
    message.secrets = ReadSecrets(&in);
    return Finished(in, std::move(message), "mirror-open message");
}

void MirrorClose::Write(ByteWriter* out) const {
    out->U32(id);
    out->Bool(remove_files);
    out->String(location);
    WriteSecrets(secrets, out);
}

Result<MirrorClose> MirrorClose::Read(const Frame& frame) {
    ByteReader in = frame.reader();
    MirrorClose message;
    message.id = in.U32();
    message.remove_files = in.Bool();
    message.location = in.String();
    message.secrets = ReadSecrets(&in);
    return Finished(in, std::move(message), "mirror-close message");
}

void Changes::Write(ByteWriter* out) const {
    out->U32(mirror);
    out->U64(xid);
    out->U64(subxid);
    WriteBlob(ops, out);
    out->U32(static_cast<uint32_t>(unchanged.size()));
    for (const UnchangedValue& value : unchanged) {
        out->U32(value.row);
        out->U32(value.column);
    }
    WriteIds(inexact, out);
    WriteBlob(rows, out);
    WriteBlob(keys, out);
    WriteIds(columns, out);
}

Result<Changes> Changes::Read(const Frame& frame) {
    ByteReader in = frame.reader();
    Changes message;
    message.mirror = in.U32();
    message.xid = in.U64();
    message.subxid = in.U64();
    message.ops = ReadBlob(&in);
    message.unchanged.resize(in.Count(8));
    for (UnchangedValue& value : message.unchanged) {
        value.row = in.U32();
        value.column = in.U32();
    }
    message.inexact = ReadIds(&in);
    message.rows = ReadBlob(&in);
    message.keys = ReadBlob(&in);
    message.columns = ReadIds(&in);
    return Finished(in, std::move(message), "changes message");
}

void Commit::Write(ByteWriter* out) const {
    out->U64(xid);
    out->U64(commit_lsn);
    out->U64(end_lsn);
    out->Fixed(commit_time);
}

Result<Commit> Commit::Read(const Frame& frame) {
    ByteReader in = frame.reader();
    Commit message;
    message.xid = in.U64();
    message.commit_lsn = in.U64();
    message.end_lsn = in.U64();
    message.commit_time = in.Fixed<int64_t>();
    return Finished(in, std::move(message), "commit message");
}

void Abort::Write(ByteWriter* out) const {
    out->U64(xid);
    out->U64(subxid);
}

Result<Abort> Abort::Read(const Frame& frame) {
    ByteReader in = frame.reader();
    Abort message;
    message.xid = in.U64();
    message.subxid = in.U64();
    return Finished(in, std::move(message), "abort message");
}

void Progress::Write(ByteWriter* out) const {
    out->U64(lsn);
    out->U64(oldest_xmin);
}

Result<Progress> Progress::Read(const Frame& frame) {
    ByteReader in = frame.reader();
    Progress message;
    message.lsn = in.U64();
    message.oldest_xmin = in.U64();
    return Finished(in, std::move(message), "progress message");
}

void FlushSettings::Write(ByteWriter* out) const {
    out->U64(interval_ms);
    out->U64(bytes);
    out->U64(wal_bytes);
    out->U64(force_wal_bytes);
    out->U64(copy_bytes);
    out->U64(file_bytes);
    out->U64(rewrite_files);
    out->U64(rewrite_deleted_percent);
}

Result<FlushSettings> FlushSettings::Read(const Frame& frame) {
    ByteReader in = frame.reader();
    FlushSettings message;
    message.interval_ms = in.U64();
    message.bytes = in.U64();
    message.wal_bytes = in.U64();
    message.force_wal_bytes = in.U64();
    message.copy_bytes = in.U64();
    message.file_bytes = in.U64();
    message.rewrite_files = in.U64();
    message.rewrite_deleted_percent = in.U64();
    return Finished(in, std::move(message), "flush settings message");
}

void FlushReady::Write(ByteWriter* out) const {
    out->U32(mirror);
    out->String(metadata_location);
    out->String(previous_metadata_location);
    out->U64(flushed_lsn);
    out->Bool(has_copy_snapshot);
    copy_snapshot.Write(out);
    out->U64(total_rows);
    out->U64(total_bytes);
}

Result<FlushReady> FlushReady::Read(const Frame& frame) {
    ByteReader in = frame.reader();
    FlushReady message;
    message.mirror = in.U32();
    message.metadata_location = in.String();
    message.previous_metadata_location = in.String();
    message.flushed_lsn = in.U64();
    message.has_copy_snapshot = in.Bool();
    message.copy_snapshot = Snapshot::Read(&in);
    message.total_rows = in.U64();
    message.total_bytes = in.U64();
    return Finished(in, std::move(message), "flush-ready message");
}

void Published::Write(ByteWriter* out) const {
    out->U32(mirror);
    out->String(metadata_location);
}

Result<Published> Published::Read(const Frame& frame) {
    ByteReader in = frame.reader();
    Published message;
    message.mirror = in.U32();
    message.metadata_location = in.String();
    return Finished(in, std::move(message), "published message");
}

void MirrorFailed::Write(ByteWriter* out) const {
    out->U32(mirror);
    out->U32(generation);
    WriteError(error, out);
    WriteIds(inexact, out);
}

Result<MirrorFailed> MirrorFailed::Read(const Frame& frame) {
    ByteReader in = frame.reader();
    MirrorFailed message;
    message.mirror = in.U32();
    message.generation = in.U32();
    message.error = ReadError(&in);
    message.inexact = ReadIds(&in);
    return Finished(in, std::move(message), "mirror-failed message");
}

void Persisted::Write(ByteWriter* out) const { out->U64(lsn); }

Result<Persisted> Persisted::Read(const Frame& frame) {
    ByteReader in = frame.reader();
    Persisted message;
    message.lsn = in.U64();
    return Finished(in, std::move(message), "persisted message");
}

void FilesRemoved::Write(ByteWriter* out) const {
    out->U32(mirror);
    out->String(location);
    WriteError(error, out);
}

Result<FilesRemoved> FilesRemoved::Read(const Frame& frame) {
    ByteReader in = frame.reader();
    FilesRemoved message;
    message.mirror = in.U32();
    message.location = in.String();
    message.error = ReadError(&in);
    return Finished(in, std::move(message), "files-removed message");
}

void CopyBegin::Write(ByteWriter* out) const {
    out->U32(mirror);
    out->U64(order);
    snapshot.Write(out);
    out->U64(estimated_rows);
    out->U64(estimated_bytes);
    out->Bool(joins);
    WriteIds(columns, out);
}

Result<CopyBegin> CopyBegin::Read(const Frame& frame) {
    ByteReader in = frame.reader();
    CopyBegin message;
    message.mirror = in.U32();
    message.order = in.U64();
    message.snapshot = Snapshot::Read(&in);
    message.estimated_rows = in.U64();
    message.estimated_bytes = in.U64();
    message.joins = in.Bool();
    message.columns = ReadIds(&in);
    return Finished(in, std::move(message), "copy-begin message");
}

void CopyScanned::Write(ByteWriter* out) const { out->U64(bytes); }

Result<CopyScanned> CopyScanned::Read(const Frame& frame) {
    ByteReader in = frame.reader();
    CopyScanned message;
    message.bytes = in.U64();
    return Finished(in, std::move(message), "copy-scanned message");
}

void CopyEnd::Write(ByteWriter* out) const { WriteIds(inexact, out); }

Result<CopyEnd> CopyEnd::Read(const Frame& frame) {
    ByteReader in = frame.reader();
    CopyEnd message;
    message.inexact = ReadIds(&in);
    return Finished(in, std::move(message), "copy-end message");
}

void Control::Write(ByteWriter* out) const {
    out->String(command);
    out->U32(mirror);
    out->U64(lsn);
    out->String(location);
    WriteSecrets(secrets, out);
}

Result<Control> Control::Read(const Frame& frame) {
    ByteReader in = frame.reader();
    Control message;
    message.command = in.String();
    message.mirror = in.U32();
    message.lsn = in.U64();
    message.location = in.String();
    message.secrets = ReadSecrets(&in);
    return Finished(in, std::move(message), "control message");
}

}  // namespace ivy
