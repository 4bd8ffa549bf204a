// SPDX-License-Identifier: Apache-2.0
// EngineQuery: messages of one query.
#include "engine_query.h"

#include <deque>

#include "columnar_plan.h"
#include "lake_access.h"
#include "pg/xid.h"
#include "secret_message.h"
#include "settings.h"
#include "translate/time_zone.h"

extern "C" {
#include "pgtime.h"
#include "utils/timestamp.h"
}

namespace ivy::duck {

struct ResultBuffer {
    std::deque<Bytes> held;  // payloads of chunks that came before they were asked for
    Bytes current;           // what "view" points into
    ColumnChunkView view;
};

namespace {

// A result is held back until it has this many bytes, or for this long after its first chunk.
constexpr size_t kHoldBytes = 4 * 1024 * 1024;
constexpr long kHoldMs = 100;

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

void TakeDone(EngineQuery* query, const Frame& frame) {
    pg::Guard([&]() -> Status {
        IVY_ASSIGN_OR_RETURN(const QueryDone done, QueryDone::Read(frame));
        query->freshness_wait_us = done.freshness_wait_us;
        query->file_rows = done.file_rows;
        query->delta_rows = done.delta_rows;
        query->files = done.files;
        query->plan = done.plan.empty() ? nullptr : CopyText(done.plan);
        return {};
    });
    query->complete = true;
    pg::ReturnEngine(query->lease);
}

// Receives the next chunk into buffer->held, or learns that there are no more. False: see query->failure. With a
// timeout (not negative) *timed_out may be set instead.
bool ReceiveChunk(EngineQuery* query, long timeout_ms, bool* timed_out) {
    if (!query->lease->connection) {
        SetFailure(query, Unavailable::kNotReady, query->lease->failure);
        return false;
    }
    Frame* frame;
    switch (pg::ReceiveFromEngine(query->lease, &frame, timeout_ms)) {
        case pg::Received::kFrame: break;
        case pg::Received::kTimeout: *timed_out = true; return true;
        case pg::Received::kClosed: SetFailure(query, Unavailable::kNotReady, query->lease->failure); return false;
    }
    switch (static_cast<MessageType>(frame->type)) {
        case MessageType::kChunk:
            pg::Guard([&] { query->buffer->held.push_back(std::move(frame->payload)); });
            return true;
        case MessageType::kQueryDone: TakeDone(query, *frame); return true;
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
    const char* zone_table = strstr(text.sql, "ivy_zoned_") ? translate::ZoneTable(session_timezone) : nullptr;
    const List* secrets = SecretsFor(text.files);
    pg::Guard([&] {
        ivy::Query message;
        message.sql = text.sql;
        for (int i = 0; i < list_length(text.mirrors); i++) message.mirrors.push_back(list_nth_oid(text.mirrors, i));
        for (int i = 0; i < list_length(text.result_types); i++) {
            message.result.push_back(UnpackType(static_cast<const Node*>(list_nth(text.result_types, i))));
        }
        message.settings.emplace_back("TimeZone", timezone);
        // For files, and for mirrors that the engine knows to be on the network.
        message.settings.emplace_back("http_timeout", std::to_string(http_timeout_s));
        message.settings.emplace_back("http_retries", std::to_string(http_retries));
        if (zone_table) message.settings.emplace_back("ivy_time_zone", zone_table);
        message.snapshot = pg::ConvertSnapshot(*text.snapshot, next);
        message.lsn = text.lsn;
        message.freshness_timeout_ms = static_cast<uint32_t>(freshness_timeout_ms);
        message.mode = text.mode;
        for (int i = 0; i < list_length(text.files); i++) {
            message.files.emplace_back(static_cast<const char*>(list_nth(text.files, i)));
        }
        message.secrets = SecretMessages(secrets);
        if (text.finished) {
            message.written = text.finished->written;
            message.renamed = text.finished->renamed;
            message.permissions = text.finished->permissions;
        }
        AppendMessage(MessageType::kQuery, message, &pg::EngineOut(query->lease));
    });
    // A broken connection may still hold the engine's reason.
    pg::SendToEngine(query->lease);
    return true;
}

bool AwaitEngineResult(EngineQuery* query) {
    bool timed_out = false;
    size_t bytes = 0;
    TimestampTz first = 0;
    while (!query->complete && !timed_out && bytes < kHoldBytes) {
        long timeout = -1;
        if (first != 0) {
            timeout = kHoldMs - TimestampDifferenceMilliseconds(first, GetCurrentTimestamp());
            if (timeout <= 0) break;
        }
        const size_t before = query->buffer->held.size();
        if (!ReceiveChunk(query, timeout, &timed_out)) return false;
        if (query->buffer->held.size() == before) continue;
        bytes += query->buffer->held.back().size();
        if (first == 0) first = GetCurrentTimestamp();
    }
    return true;
}

bool NextEngineChunk(EngineQuery* query) {
    query->rows = 0;
    while (query->rows == 0) {
        ResultBuffer* buffer = query->buffer;
        if (buffer->held.empty()) {
            query->done = query->complete;
            if (query->done) return true;
            bool timed_out = false;
            if (!ReceiveChunk(query, -1, &timed_out)) return false;
            continue;
        }
        query->rows = pg::Guard([&]() -> Result<size_t> {
            buffer->current = std::move(buffer->held.front());
            buffer->held.pop_front();
            ByteReader reader(buffer->current);
            IVY_ASSIGN_OR_RETURN(buffer->view, ColumnChunkView::Read(&reader));
            IVY_RETURN_IF_ERROR(reader.Finish("result chunk"));
            return buffer->view.rows;
        });
    }
    return true;
}

const ColumnView* EngineColumn(const EngineQuery* query, int i) { return &query->buffer->view.columns[i]; }

void CloseEngineQuery(EngineQuery* query) {
    if (query->lease && query->lease->connection) pg::CloseEngine(query->lease);
}

}  // namespace ivy::duck
