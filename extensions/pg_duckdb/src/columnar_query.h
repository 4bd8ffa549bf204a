// SPDX-License-Identifier: Apache-2.0
//
// What a ColumnarScan asks the engine: whether it may ask at all, the query's text completed with the values that Postgres
// computes, the rows that Postgres reads, and the beginning of the answer. Execution (columnar_scan.h), COPY and EXPLAIN
// ask in the same way and differ in what they do with the answer.
#pragma once

#include "columnar_scan.h"

namespace ivy::duck {

// Whether an error says something about the data, so that the row table's plan might not come across it.
bool IsAboutData(int sqlstate);

// Whether nothing that is known beforehand keeps the engine from answering; else *reason, palloc'ed, says what does.
bool MayServe(ColumnarScanState* state, const char** reason);

// Tells the server what a SERIALIZABLE transaction is about to read, as scans of the row tables would.
void RegisterReads(ColumnarScanState* state);

// What must be applied before the query runs: all that its snapshot may see. Flushes the WAL up to there.
XLogRecPtr LsnToAwait(const ColumnarScanState* state);

// A COPY whose rows are those of a whole query, and which the engine runs itself.
struct EngineCopy {
    const char* begin;             // its text: what stands before the query's own...
    const char* end;               // ...and after
    List* files;                   // char*: what it writes
    const FinishedFile* finished;  // or null
};

// Sends everything that the engine needs and waits for the beginning of its answer. "copy" (may be null) is what to do
// with the rows. False: state->engine.failure says why there is none. ereports if the user may not read the plan's files.
bool AskEngine(ColumnarScanState* state, QueryMode mode, XLogRecPtr lsn, const EngineCopy* copy);

// Runs the copy in the place of a node that was not executed yet, and tells the number of rows. False:
// state->engine.failure says why not; the error is to be raised, or ContinueOnRowTable called.
bool CopyOnEngine(ColumnarScanState* state, const EngineCopy* copy, uint64* rows);

// The DuckDB plan of a node that is not executed, palloc'ed; or null and *why. Uploads no rows.
char* ExplainOnEngine(ColumnarScanState* state, const char** why);

}  // namespace ivy::duck
