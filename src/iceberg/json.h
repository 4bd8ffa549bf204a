// SPDX-License-Identifier: Apache-2.0
//
// Reading and writing JSON without exceptions: parse with a depth limit, typed members with clear errors.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace ivy::iceberg {

using Json = nlohmann::json;

// Parses a text. "what" names it in errors. Nesting deeper than 100 is an error (writing JSON recurses).
Result<Json> ParseJson(std::string_view text, const std::string& what);
// The compact text of a value. An error if a string in it is not UTF-8.
Result<std::string> DumpJson(const Json& value);

// Members of an object. A missing or null member is an empty optional; one of the wrong type is an error.
Result<std::optional<int64_t>> OptionalInt(const Json& object, const char* key);
Result<std::optional<std::string>> OptionalString(const Json& object, const char* key);
Result<std::optional<bool>> OptionalBool(const Json& object, const char* key);
// The same, but it must be there.
Result<int64_t> RequiredInt(const Json& object, const char* key);
Result<int> RequiredInt32(const Json& object, const char* key);
Result<std::string> RequiredString(const Json& object, const char* key);
// An array or object member, or null if it is missing.
Result<const Json*> OptionalArray(const Json& object, const char* key);
Result<const Json*> OptionalObject(const Json& object, const char* key);
// A map of strings; a missing one is empty. Numbers and booleans are taken as their text.
Result<std::map<std::string, std::string>> StringMap(const Json& object, const char* key);

}  // namespace ivy::iceberg
