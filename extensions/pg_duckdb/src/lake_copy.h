// SPDX-License-Identifier: Apache-2.0
//
// COPY of formats and locations that Postgres's own COPY does not know: Parquet and JSON files, and network locations.
// What Postgres can do itself (text, CSV and binary files of the server, STDIN, STDOUT, programs) stays with it.
//
//   COPY ... TO     the server runs the query and the engine writes the file
//   COPY ... FROM   is INSERT INTO the table SELECT FROM the lake function of the format
#pragma once

namespace ivy::duck {

// Call in _PG_init.
void InstallLakeCopy();

}  // namespace ivy::duck
