// SPDX-License-Identifier: Apache-2.0
//
// A DuckDB optimizer extension that changes nothing: it looks at every finished plan and refuses those that read a
// mirror's column marked inexact. Only the finished plan knows which columns are really read, and nothing has run yet.
#pragma once

namespace duckdb {
class DatabaseInstance;
}

namespace ivy::engine {

void RegisterInexactGuard(duckdb::DatabaseInstance& database);

}  // namespace ivy::engine
