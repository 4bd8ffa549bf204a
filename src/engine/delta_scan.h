// SPDX-License-Identifier: Apache-2.0
//
// ivy_delta(i): a DuckDB table function over the rows of a query's i-th mirror that are not in files yet. Scans of
// several threads take one chunk of the delta after another.
#pragma once

namespace duckdb {
class ExtensionLoader;
}

namespace ivy::engine {

void RegisterDeltaScan(duckdb::ExtensionLoader& loader);

}  // namespace ivy::engine
