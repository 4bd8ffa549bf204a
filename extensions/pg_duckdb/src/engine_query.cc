// SPDX-License-Identifier: Apache-2.0
// EngineQuery: messages of one query.
#include "engine_query.h"

#include "columnar_plan.h"
#include "pg/xid.h"
#include "settings.h"

extern "C" {
#include "pgtime.h"
}

namespace ivy::duck {

// The chunk being read. Its view points into the connection's current frame, which stays until the next is received.
struct ResultBuffer {
    ColumnChunkView view;
};

namespace {

// Takes an error message of the engine.
void TakeError(EngineQuery* query, const Frame& frame) {
    query->failure.error = pg::Guard([&]() -> Result<pg::CapturedError> {
        IVY_ASSIGN_OR_RETURN(const ErrorMessage message, ErrorMessage::Read(frame));
        query->failure.unavailable = message.unavailable;
        return pg::CaptureError(message.error);
    });
}

const char* CopyText(const std::string& text) {
    auto* copy = static_cast<char*>(palloc_extended(text.size() + 1, MCXT_ALLOC_NO_OOM | MCXT_ALLOC_HUGE));
    if (copy) std::memcpy(copy, text.c_str(), text.size() + 1);
    return copy;
}

bool TakeDone(EngineQuery* query, const Frame& frame) {
    pg::Guard([&]() -> Status {
        IVY_ASSIGN_OR_RETURN(const QueryDone done, QueryDone::Read(frame));
        query->freshness_wait_us = done.freshness_wait_us;
        query->file_rows = done.file_rows;
        query->delta_rows = done.delta_rows;
        query->files = done.files;
        query->plan = done.plan.empty() ? nullptr : CopyText(done.plan);
        return {};
    });
    query->done = true;
    query->rows = 0;
    pg::ReturnEngine(query->lease);
    return true;
}

}  // namespace

void SetFailure(EngineQuery* query, Unavailable unavailable, const char* message) {
    query->failure.unavailable = unavailable;
    query->failure.error = pg::CaptureText(sqlstate::kObjectNotInState, message);
}

bool OpenEngineQuery(EngineQuery* query, MemoryContext context) {
    MemoryContext before = MemoryContextSwitchTo(context);
    *query = EngineQuery{};
    query->buffer = pg::OwnObject<ResultBuffer>(context);
    query->lease = pg::LeaseEngine(context, MyDatabaseId, Role::kQuery, engine_timeout_ms);
    const bool connected = query->lease->connection != nullptr;
    if (!connected) SetFailure(query, Unavailable::kNotReady, query->lease->failure);
    MemoryContextSwitchTo(before);
    return connected;
}

bool SendEngineQuery(EngineQuery* query, const QueryText& text) {
    // Read before the C++ part, which must not call what could raise an error.
    const FullTransactionId next = ReadNextFullTransactionId();
    const char* timezone = pg_get_timezone_name(session_timezone);
    pg::Guard([&] {
        ivy::Query message;
        message.sql = text.sql;
        for (int i = 0; i < list_length(text.mirrors); i++) message.mirrors.push_back(list_nth_oid(text.mirrors, i));
        for (int i = 0; i < list_length(text.result_types); i++) {
            message.result.push_back(UnpackType(static_cast<const Node*>(list_nth(text.result_types, i))));
        }
        message.settings.emplace_back("TimeZone", timezone);
        message.snapshot = pg::ConvertSnapshot(*text.snapshot, next);
        message.lsn = text.lsn;
        message.freshness_timeout_ms = static_cast<uint32_t>(freshness_timeout_ms);
        message.mode = text.mode;
        AppendMessage(MessageType::kQuery, message, &pg::EngineOut(query->lease));
    });
    // A broken connection may still hold the engine's reason.
    pg::SendToEngine(query->lease);
    return true;
}

bool NextEngineChunk(EngineQuery* query) {
    query->rows_before += query->rows;
    query->rows = 0;
    while (!query->done) {
        Frame* frame;
        if (!query->lease->connection || !pg::ReceiveFromEngine(query->lease, &frame)) {
            SetFailure(query, Unavailable::kNotReady, query->lease->failure);
            return false;
        }
        switch (static_cast<MessageType>(frame->type)) {
            case MessageType::kChunk:
                query->rows = pg::Guard([&]() -> Result<size_t> {
                    ByteReader reader = frame->reader();
                    IVY_ASSIGN_OR_RETURN(query->buffer->view, ColumnChunkView::Read(&reader));
                    IVY_RETURN_IF_ERROR(reader.Finish("result chunk"));
                    return query->buffer->view.rows;
                });
                if (query->rows > 0) return true;
                break;
            case MessageType::kQueryDone:
                return TakeDone(query, *frame);
            case MessageType::kError:
                TakeError(query, *frame);
                pg::ReturnEngine(query->lease);
                return false;
            default:
                SetFailure(query, Unavailable::kFailed, "the columnar engine sent an unexpected message");
                pg::CloseEngine(query->lease);
                return false;
        }
    }
    return true;
}

const ColumnView* EngineColumn(const EngineQuery* query, int i) { return &query->buffer->view.columns[i]; }

void CloseEngineQuery(EngineQuery* query) {
    if (query->lease && query->lease->connection) pg::CloseEngine(query->lease);
}

}  // namespace ivy::duck
