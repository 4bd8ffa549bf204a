// SPDX-License-Identifier: Apache-2.0
//
// Placeholders in the SQL that backends send: {mirror:i} and {rows:i} become table expressions.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include "base/status.h"

namespace ivy::engine {

enum class Placeholder { kMirror, kRows };

// The SQL that takes the place of one placeholder; "index" is below the count given to ExpandSql.
using PlaceholderText = std::function<std::string(Placeholder kind, size_t index)>;

// Replaces every placeholder outside string literals ('', E'', $tag$$tag$), quoted identifiers and comments. Braces
// that hold something else (DuckDB's struct literals) stay. An index at or above its count is an error, and so is an
// unknown or damaged placeholder such as "{mirror:x}".
Result<std::string> ExpandSql(const std::string& sql, size_t mirrors, size_t row_sources, const PlaceholderText& text);

}  // namespace ivy::engine
