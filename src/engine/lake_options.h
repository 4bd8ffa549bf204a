// SPDX-License-Identifier: Apache-2.0
//
// LakeOptions: the named parameters of the table functions over foreign tables (see lake_scan.h).
#pragma once

#include <optional>
#include <string>

#include <duckdb.hpp>

#include "lake/delta_log.h"
#include "lake/iceberg_snapshot.h"

namespace ivy::engine {

class LakeOptions {
  public:
    // What the functions declare: a path, and the options of the format.
    static duckdb::FunctionSignature IcebergSignature();
    static duckdb::FunctionSignature DeltaSignature();

    // Takes one option; false if its name is none of these. Throws if the value is not good.
    bool Parse(const std::string& name, const duckdb::Value& value);

    // Throw if options contradict each other.
    lake::IcebergOptions ForIceberg() const;
    lake::DeltaTimeTravel ForDelta() const;

  private:
    std::optional<int64_t> snapshot_id_, timestamp_ms_;
    std::string ref_, version_;
    bool allow_moved_paths_ = false;
};

}  // namespace ivy::engine
