// SPDX-License-Identifier: Apache-2.0
//
// COPY of formats and locations that Postgres's own COPY does not know: Parquet and JSON files, and network locations.
// What Postgres can do itself (text, CSV and binary files of the server, STDIN, STDOUT, programs) stays with it.
//
//   COPY ... TO     the engine writes the file: of a query that it can run, or of rows that the server sends it
//   COPY ... FROM   Parquet and JSON: is INSERT INTO the table SELECT FROM the lake function of the format
//                   text, CSV and binary files at network locations: is the server's own, of bytes that the engine fetches
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
}

namespace ivy::duck {

// kServer: nothing of ours. kBytes: the server's own formats at network locations.
enum class CopyFormat : uint8_t { kServer, kParquet, kCsv, kJson, kBytes };

// Call in _PG_init.
void InstallLakeCopy();

// Whether a path ends so, without regard to case.
bool HasEnding(const char* path, const char* ending);

// Of CSV files, plain or compressed.
bool HasCsvEnding(const char* path);

// In lake_copy_to.cc, lake_copy_from.cc and lake_copy_bytes.cc. They give the number of rows, and ereport. "text" is the
// statement's.
uint64 CopyToFile(const CopyStmt* copy, CopyFormat format, const PlannedStmt* stmt, const char* text);
uint64 CopyFromFile(const CopyStmt* copy, CopyFormat format);
uint64 CopyFromBytes(const CopyStmt* copy, const char* text);

}  // namespace ivy::duck
