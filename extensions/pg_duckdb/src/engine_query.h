// SPDX-License-Identifier: Apache-2.0
//
// EngineQuery: one query on the engine, from its text to its rows. It knows connections, messages and chunks, and
// nothing of plans.
//
// The beginning of a result is held back until it is complete or large, or some time has passed: up to there a failure
// can still be made good by the row table, and that covers all but large results.
//
// Every step may find that the engine can't do it; that is a return value (EngineFailure), because the row table may
// still answer. ereport is left to interrupts and lack of memory.
#pragma once

#include "pg/postgres_api.h"

#include "pg/engine_client.h"
#include "pg/guard.h"
#include "protocol/messages.h"

namespace ivy::duck {

// Why the engine did not answer, in words, and as an error for those who don't want the row table instead.
struct EngineFailure {
    Unavailable unavailable;  // kNo: a genuine error
    pg::CapturedError error;
};

// A result being read. Plain data in the memory context given to Begin; C++ objects inside are owned by that context.
struct EngineQuery {
    pg::EngineLease* lease;
    struct ResultBuffer* buffer;  // chunks held back, and the current one
    size_t rows;                  // in the current chunk
    EngineFailure failure;        // after a step returned false
    bool complete;                // the engine has sent everything, including what follows below
    bool done;                    // complete, and all chunks were read

    uint64 freshness_wait_us, file_rows, delta_rows;
    uint32 files;
    const char* plan;  // or null
};

// What becomes of a file that a COPY has written, once it is complete.
struct FinishedFile {
    const char* written;
    const char* renamed;
    uint32 permissions;
};

struct QueryText {
    const char* sql;
    List* mirrors;       // OIDs
    List* result_types;  // Integer, as in ColumnarPlan
    ::Snapshot snapshot;
    XLogRecPtr lsn;
    QueryMode mode;
    List* files;                   // char*: lake files that the query opens, as named in it
    const FinishedFile* finished;  // kCopy; or null
};

// Connects. False: see query->failure, here and below.
bool OpenEngineQuery(EngineQuery* query, MemoryContext context);

// Files are read with the secrets of the current user; whether he may read them was checked by the caller.
// The caller may send row sources now, through query->lease; then:
bool SendEngineQuery(EngineQuery* query, const QueryText& text);

// Waits for the beginning of the result.
bool AwaitEngineResult(EngineQuery* query);

// Reads the next chunk with rows. True with query->done when there are no more.
bool NextEngineChunk(EngineQuery* query);

// Column i of the current chunk.
const ColumnView* EngineColumn(const EngineQuery* query, int i);

// Ends it: a connection that is between two queries goes back to the pool, another is closed, which makes the engine
// stop. May be called at any time, also twice.
void CloseEngineQuery(EngineQuery* query);

// Notes a failure that the caller found.
void SetFailure(EngineQuery* query, Unavailable unavailable, const char* message);

}  // namespace ivy::duck
