// SPDX-License-Identifier: Apache-2.0
#include "engine/copy_session.h"

#include <unistd.h>

#include <thread>

#include "base/fault_point.h"
#include "delta/chunk_convert.h"
#include "engine/channel.h"
#include "engine/error_map.h"
#include "engine/log.h"

namespace ivy::engine {
namespace {

// The capture worker has told us of the mirror before it starts a copy, but on another connection.
constexpr auto kOpenPoll = std::chrono::milliseconds(10);
constexpr auto kOpenWait = std::chrono::seconds(10);

}  // namespace

void CopySession::Serve() {
    Status status;
    try {
        status = Receive();
    } catch (const std::exception& exception) {
        status = StatusFromException(exception);
    }
    if (mirror_) mirror_->NoteCopy(status);
    if (status.ok()) {
        (void)channel_.SendOk();
        return;
    }
    Discard();
    LogError(LogLevel::kLog, mirror_ ? "copy for mirror \"" + mirror_->name() + "\" ended" : "copy ended",
             status.error());
    (void)channel_.SendError(status.error());
}

Status CopySession::Receive() {
    Frame frame;
    while (true) {
        IVY_ASSIGN_OR_RETURN(const bool more, channel_.Read(&frame));
        if (!more) return Status::Make(sqlstate::kConnectionFailure, "the copy worker closed the connection");
        const auto type = static_cast<MessageType>(frame.type);
        if (type == MessageType::kCopyBegin && !mirror_) {
            IVY_RETURN_IF_ERROR(Begin(frame));
        } else if (type == MessageType::kChunk && mirror_) {
            IVY_RETURN_IF_ERROR(Append(frame));
        } else if (type == MessageType::kCopyScanned && mirror_) {
            IVY_ASSIGN_OR_RETURN(const CopyScanned scanned, CopyScanned::Read(frame));
            mirror_->CopyScanned(ticket_, scanned.bytes);
        } else if (type == MessageType::kCopyEnd && mirror_) {
            IVY_ASSIGN_OR_RETURN(const CopyEnd end, CopyEnd::Read(frame));
            IVY_RETURN_IF_ERROR(FinishFile());
            IVY_FAULT_POINT("copy-before-commit");
            if (joins_) return mirror_->AddCopyFiles(ticket_, written_, end.inexact);
            return mirror_->FinishCopy(ticket_, written_, end.inexact);
        } else {
            return Status::Make(sqlstate::kProtocolViolation,
                                "unexpected message " + std::to_string(frame.type) + " from the copy worker");
        }
    }
}

Status CopySession::Begin(const Frame& frame) {
    IVY_ASSIGN_OR_RETURN(const CopyBegin begin, CopyBegin::Read(frame));
    const auto deadline = std::chrono::steady_clock::now() + kOpenWait;
    std::shared_ptr<Mirror> mirror;
    while (true) {
        mirror = mirrors_.Find(begin.mirror);
        if (mirror && mirror->state() == Mirror::State::kCopying) break;
        if (std::chrono::steady_clock::now() > deadline) {
            return Status::Make(sqlstate::kObjectNotInState,
                                "mirror " + std::to_string(begin.mirror) + " does not wait for a copy");
        }
        std::this_thread::sleep_for(kOpenPoll);
    }
    // The one that it joins may still be removing what an earlier attempt left behind.
    bool beginning = begin.joins && mirror->CopyIsBeginning();
    Result<Mirror::CopyTicket> ticket = mirror->BeginCopy(begin);
    while (!ticket.ok() && beginning) {
        std::this_thread::sleep_for(kOpenPoll);
        beginning = mirror->CopyIsBeginning();
        ticket = mirror->BeginCopy(begin);
    }
    if (!ticket.ok()) {
        mirror->NoteCopy(ticket.status());
        return ticket.status();
    }
    ticket_ = std::move(ticket).value();
    mirror_ = std::move(mirror);
    joins_ = begin.joins;
    std::vector<ColumnType> types;
    for (const MirrorColumn& column : ticket_.columns) types.push_back(column.type);
    chunk_.Initialize(duckdb::Allocator::DefaultAllocator(), delta::ToDuckTypes(types));
    return Status::Ok();
}

Status CopySession::Append(const Frame& frame) {
    ByteReader in = frame.reader();
    IVY_ASSIGN_OR_RETURN(const ColumnChunkView view, ColumnChunkView::Read(&in));
    IVY_RETURN_IF_ERROR(in.Finish("chunk message"));
    bool fits = view.columns.size() == ticket_.columns.size();
    for (size_t i = 0; fits && i < view.columns.size(); i++) fits = view.columns[i].type == ticket_.columns[i].type;
    if (!fits) return Status::Make(sqlstate::kProtocolViolation, "the copied rows have other columns than the mirror");
    for (size_t offset = 0; offset < view.rows; offset += STANDARD_VECTOR_SIZE) {
        const size_t count = std::min<size_t>(STANDARD_VECTOR_SIZE, view.rows - offset);
        if (!file_) {
            DataFileSpec spec;
            spec.path = NewDataPath(mirror_->location(), ".parquet");
            spec.index_folder = ticket_.index_folder;
            spec.columns = ticket_.columns;
            spec.key = ticket_.key;
            spec.sort = ticket_.sort;
            IVY_ASSIGN_OR_RETURN(file_, DataFileWriter::Open(context_.instance, std::move(spec)));
        }
        IVY_RETURN_IF_ERROR(delta::ChunkFromView(view, offset, count, &chunk_));
        IVY_RETURN_IF_ERROR(file_->Append(chunk_));
    }
    IVY_RETURN_IF_ERROR(mirror_->CopyProgress(ticket_, view.rows));
    if (file_ && file_->file_bytes() >= context_.options.copy_file_bytes) IVY_RETURN_IF_ERROR(FinishFile());
    return Status::Ok();
}

Status CopySession::FinishFile() {
    if (!file_) return Status::Ok();
    IVY_FAULT_POINT("copy-finish-file");
    IVY_ASSIGN_OR_RETURN(DataFileWriter::Written written, file_->Finish());
    written_.push_back(std::move(written));
    file_.reset();
    return Status::Ok();
}

void CopySession::Discard() {
    file_.reset();
    for (const DataFileWriter::Written& written : written_) {
        (void)context_.io.DeleteFile(written.file.path);
        if (!written.entry.index_path.empty()) unlink(written.entry.index_path.c_str());
    }
    written_.clear();
    if (mirror_) mirror_->AbandonCopy(ticket_);
}

}  // namespace ivy::engine
