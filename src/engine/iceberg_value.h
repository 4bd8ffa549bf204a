// SPDX-License-Identifier: Apache-2.0
//
// Iceberg's single values (bounds, partitions) to and from DuckDB's values.
#pragma once

#include <optional>

#include <duckdb.hpp>

#include "iceberg/single_value.h"
#include "lake/column.h"

namespace ivy::engine {

// As a value of the column's type; none if it is not one.
std::optional<duckdb::Value> FromSingleValue(const lake::Column& column, const iceberg::SingleValue& value);

// The other way; none for types that have no single values. "value" is of the column's type and not NULL.
std::optional<iceberg::SingleValue> ToSingleValue(const lake::Column& column, const duckdb::Value& value);

}  // namespace ivy::engine
