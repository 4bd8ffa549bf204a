// SPDX-License-Identifier: Apache-2.0
//
// Partition transforms: what a partition's value says about the values of the column that it was made from, so that files
// and manifests of other partitions can be left out.
//
// Format: https://iceberg.apache.org/spec/#partition-transforms and #appendix-b-32-bit-hash-requirements
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "iceberg/single_value.h"
#include "lake/column.h"

namespace ivy::lake {

enum class TransformKind : uint8_t { kUnknown, kVoid, kIdentity, kBucket, kTruncate, kYear, kMonth, kDay, kHour };

struct Transform {
    TransformKind kind = TransformKind::kUnknown;
    int32_t width = 0;  // bucket: number of buckets; truncate: width, or length in characters or bytes; at least 1
    bool operator==(const Transform&) const = default;
    // Whether a partition has the values of a range, NULL if and only if they are NULL.
    bool HasRange() const { return kind == TransformKind::kIdentity || kind >= TransformKind::kTruncate; }
};

// A transform by its name in a partition spec, such as "bucket[16]". kUnknown for those that nobody here knows, which say
// nothing about any value.
Transform ParseTransform(std::string_view name);

// A column's type in Iceberg's terms; nothing for nested ones. "bytes": the length of a value, for those of fixed length.
std::optional<iceberg::PrimitiveType> PrimitiveTypeOf(const Column& column, size_t bytes);

// A partition's value, that is not null, from its binary form (in manifest lists) and from DataFile::partition_json. Nothing
// if it is not one that the transform makes of such a column.
std::optional<iceberg::SingleValue> PartitionValue(const Transform& transform, const Column& column,
                                                   std::string_view bytes);
std::optional<iceberg::SingleValue> PartitionValue(const Transform& transform, const Column& column, const Json& json);

// Murmur3 (x86, 32 bits, seed 0).
uint32_t Murmur3(std::string_view bytes);

// The bucket of a value of a column's type; nothing if it is not known for such a value.
std::optional<int32_t> BucketOf(int32_t buckets, const Column& column, const iceberg::SingleValue& value);

// Between which values of the column's type all are whose transformed values are between "lower" and "upper": bounds
// that are none are unknown. REQUIRES: transform.HasRange().
struct ValueRange {
    std::optional<iceberg::SingleValue> lower, upper;
};
ValueRange RangeOf(const Transform& transform, const Column& column, const std::optional<iceberg::SingleValue>& lower,
                   const std::optional<iceberg::SingleValue>& upper);

}  // namespace ivy::lake
