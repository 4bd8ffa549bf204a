// SPDX-License-Identifier: Apache-2.0
//
// ivy_files('i'): a DuckDB table function over the data files of a query's i-th mirror.
//
// It is DuckDB's own Parquet reader with another front: files come from the read view instead of a glob, columns are
// matched by field id (so renames and added columns need no rewriting; a column that a file lacks is NULL), and rows
// that the view does not show are dropped while they are read. Projection, filters, row-group pruning and parallel
// reading are the Parquet reader's. Columns are those of FileColumns (stored_numeric.h): the mirror's, then display scales.
#pragma once

namespace duckdb {
class ExtensionLoader;
}

namespace ivy::engine {

void RegisterFileScan(duckdb::ExtensionLoader& loader);

}  // namespace ivy::engine
