// SPDX-License-Identifier: Apache-2.0
//
// Iceberg's binary form of single values, in which manifests keep the bounds of columns, and the types it depends on.
//
// Format: https://iceberg.apache.org/spec/#binary-single-value-serialization
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/status.h"

namespace ivy::iceberg {

enum class TypeKind {
    kUnknown,
    kBoolean,
    kInt,
    kLong,
    kFloat,
    kDouble,
    kDecimal,
    kDate,
    kTime,
    kTimestamp,
    kTimestampTz,
    kTimestampNs,
    kTimestampTzNs,
    kString,
    kUuid,
    kFixed,
    kBinary,
    kVariant,
    kGeometry,
    kGeography,
    kNested,  // a struct, list or map: its text is JSON
};

struct PrimitiveType {
    TypeKind kind = TypeKind::kUnknown;
    int precision = 0, scale = 0;  // decimal: 1..38 digits, 0..precision of them behind the point
    int64_t length = 0;            // fixed
    bool operator==(const PrimitiveType&) const = default;
};

// Parses a type's name as schemas write it, such as "decimal(10, 2)"; a text beginning with "{" is kNested.
Result<PrimitiveType> ParseType(std::string_view name);

using Int128 = __int128;

// A value: bool; int32_t for int and date (days since 1970); int64_t for long, time (microseconds since midnight) and
// timestamps (micro- or nanoseconds since 1970, UTC); float; double; Int128 for a decimal's unscaled value; std::string for
// string, binary, fixed and uuid (16 bytes, as written).
using SingleValue = std::variant<bool, int32_t, int64_t, float, double, Int128, std::string>;

// The binary form. An error if the value is not of the type, or the type has no binary form.
Result<std::string> EncodeSingleValue(const PrimitiveType& type, const SingleValue& value);

// The value of a binary form. Reads what was written before a column's type was promoted: int as long, float as double,
// date as timestamp.
Result<SingleValue> DecodeSingleValue(const PrimitiveType& type, std::string_view bytes);

// Bounds of long values, cut to at most "length" characters (of UTF-8) or bytes. A lower bound is just cut; an upper bound
// is cut and raised, and is nothing if it cannot be raised (then the file has no upper bound for the column). Text that is
// not UTF-8 gives nothing.
inline constexpr size_t kBoundLength = 16;
std::optional<std::string> TruncatedLowerText(std::string_view text, size_t length = kBoundLength);
std::optional<std::string> TruncatedUpperText(std::string_view text, size_t length = kBoundLength);
std::string TruncatedLowerBinary(std::string_view bytes, size_t length = kBoundLength);
std::optional<std::string> TruncatedUpperBinary(std::string_view bytes, size_t length = kBoundLength);

}  // namespace ivy::iceberg
