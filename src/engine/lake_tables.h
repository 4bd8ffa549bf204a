// SPDX-License-Identifier: Apache-2.0
//
// Opening foreign tables. Both throw DuckDB exceptions that carry an error of ours.
#pragma once

#include <memory>
#include <string>

#include <duckdb.hpp>

#include "engine/lake_table.h"
#include "lake/delta_log.h"
#include "lake/iceberg_snapshot.h"

namespace ivy::engine {

// How many files' worth of tables' metadata is kept for the next query, per format.
constexpr size_t kMaxCachedFiles = 50000;

std::shared_ptr<const LakeTable> OpenIcebergTable(duckdb::ClientContext& context, const std::string& path,
                                                  const lake::IcebergOptions& options);
std::shared_ptr<const LakeTable> OpenDeltaTable(duckdb::ClientContext& context, const std::string& path,
                                                const lake::DeltaTimeTravel& travel);

}  // namespace ivy::engine
