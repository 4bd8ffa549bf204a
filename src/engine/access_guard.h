// SPDX-License-Identifier: Apache-2.0
//
// access_guard: what the plan of a client's query may touch.
//
// The rights of a query's user are checked by the backend, which knows them, and sent along as the list of lake files
// that the query may open. This is the second lock on the same door: a plan is refused if it scans anything but mirrors,
// row sources and listed files, or writes anything but the file of an announced COPY. The SQL that backends send is
// written by the translator from what it knows, never by users; should that ever fail, nothing leaks.
#pragma once

namespace duckdb {
class DatabaseInstance;
}

namespace ivy::engine {

void RegisterAccessGuard(duckdb::DatabaseInstance& database);

}  // namespace ivy::engine
