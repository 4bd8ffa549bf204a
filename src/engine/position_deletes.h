// SPDX-License-Identifier: Apache-2.0
//
// Position delete files: which rows of one data file are deleted, as Iceberg's format version 2 has it: a Parquet file with the
// columns file_path and pos. Ours are about one data file each and have all of its deleted rows, so that a newer one replaces
// the older one, as deletion vectors do.
//
// Format: https://iceberg.apache.org/spec/#position-delete-files
#pragma once

#include <string>

#include "base/status.h"
#include "delta/row_set.h"
#include "engine/instance.h"
#include "iceberg/table.h"

namespace ivy::engine {

// Writes a file about the deleted rows of "data_file"; it is on stable storage then.
Result<iceberg::DataFile> WritePositionDeletes(Instance& instance, const std::string& path,
                                               const std::string& data_file, const delta::RowSet& deleted);

// The rows that a file written by the above has deleted. An error if it is damaged.
Result<delta::RowSet> ReadPositionDeletes(Instance& instance, const iceberg::DataFile& file);

}  // namespace ivy::engine
