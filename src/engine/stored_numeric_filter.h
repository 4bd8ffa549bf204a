// SPDX-License-Identifier: Apache-2.0
//
// A DuckDB optimizer extension: conditions on stored numerics (stored_numeric.h) are also told to the scan, as conditions on
// their decimals, so that it leaves out row groups by their statistics, and rows before their texts are put together.
//
// The translator compares numerics without a precision by ivy_num_key. Over a scan of files that is
//     ivy_num_key(ivy_stored_numeric(c7, c10007)) > <constant>
// which implies  c7 > <the largest decimal of the type that is not above the constant>, whatever the constant is: one with
// more digits than the type has, NaN, an infinity. The condition itself stays where it is, above the scan.
#pragma once

namespace duckdb {
class DatabaseInstance;
}

namespace ivy::engine {

void RegisterStoredNumericFilter(duckdb::DatabaseInstance& database);

}  // namespace ivy::engine
