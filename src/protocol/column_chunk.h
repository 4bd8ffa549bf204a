// SPDX-License-Identifier: Apache-2.0
//
// ColumnType and ColumnChunk: rows in columns, as they cross a socket between Postgres code and the engine.
//
// The layout is Arrow's (validity bits, a fixed-width array, or offsets and bytes), without Arrow's nested types, its
// schema messages and its dependency. Values are in DuckDB's and Iceberg's terms, so the engine copies arrays as they
// are: times are microseconds, dates days, both since 1970-01-01 (Postgres counts from 2000-01-01), decimals are
// integers scaled by a power of ten. Whoever builds a chunk from Datums converts.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace ivy {

// On the wire: do not renumber.
enum class TypeKind : uint8_t {
    kBool = 1,          // 1 byte, 0 or 1
    kInt16 = 2,         // 2 bytes
    kInt32 = 3,         // 4
    kInt64 = 4,         // 8
    kFloat = 5,         // 4, IEEE
    kDouble = 6,        // 8, IEEE
    kDecimal = 7,       // 16 always on the wire: value * 10^scale as a signed 128-bit integer
    kText = 8,          // valid UTF-8
    kBytes = 9,         // any bytes
    kDate = 10,         // 4: days since 1970-01-01; INT32_MAX and -INT32_MAX are infinity and -infinity
    kTime = 11,         // 8: microseconds since midnight, 0..86400000000
    kTimestamp = 12,    // 8: microseconds since 1970-01-01; INT64_MAX and -INT64_MAX are infinity and -infinity
    kTimestampTz = 13,  // 8: as kTimestamp, in UTC
    kUuid = 14,         // 16: the bytes in the order in which they are printed
    kInterval = 15,     // 16: int32 months, int32 days, int64 microseconds, not normalised
};

// A column's type. Precision and scale are for kDecimal: 1 <= precision <= 38, 0 <= scale <= precision.
struct ColumnType {
    TypeKind kind = TypeKind::kText;
    uint8_t precision = 0;
    uint8_t scale = 0;

    // Bytes a value, or 0 for kText and kBytes.
    size_t FixedWidth() const;
    bool IsVariable() const { return kind == TypeKind::kText || kind == TypeKind::kBytes; }
    // The type's name in DuckDB's SQL, such as "DECIMAL(10,2)".
    std::string DuckName() const;
    bool operator==(const ColumnType&) const = default;

    void Write(ByteWriter* out) const;
    // Sets *out to a valid type or makes the reader not ok().
    static ColumnType Read(ByteReader* in);
};

using Int128 = __int128;
inline constexpr int kMaxDecimalDigits = 38;

// Days and microseconds from 1970-01-01 to Postgres's epoch, 2000-01-01.
inline constexpr int32_t kPostgresEpochDays = 10957;
inline constexpr int64_t kPostgresEpochMicros = int64_t{kPostgresEpochDays} * 86400 * 1000000;

// One column's values, built by appending. NULLs take a zero slot in the fixed array.
class ColumnBuilder {
  public:
    explicit ColumnBuilder(ColumnType type) : type_(type), width_(type.FixedWidth()) {}

    void AppendNull();
    // REQUIRES: sizeof(T) == FixedWidth()
    template <typename T>
    void AppendFixed(T value) {
        static_assert(std::is_trivially_copyable_v<T>);
        AppendRaw(&value);
    }
    // FixedWidth() bytes.
    void AppendRaw(const void* value);
    // For kText and kBytes; a chunk holds less than 4 GB of them (see ColumnChunkBuilder::bytes()).
    void AppendVariable(std::string_view value);

    size_t rows() const { return rows_; }
    size_t bytes() const { return fixed_.size() + data_.size(); }
    const ColumnType& type() const { return type_; }
    void Clear();
    void Write(ByteWriter* out) const;

  private:
    void AppendValidity(bool valid);

    ColumnType type_;
    size_t width_;
    size_t rows_ = 0;
    bool has_nulls_ = false;
    std::vector<uint8_t> validity_;  // one bit a row, least significant first; 1 is "not NULL"
    std::vector<uint8_t> fixed_;     // values, or the 32-bit end offset of each variable value
    std::vector<uint8_t> data_;      // bytes of the variable values
};

// Rows under construction. All columns must have the same number of rows when it is written.
class ColumnChunkBuilder {
  public:
    ColumnChunkBuilder() = default;
    explicit ColumnChunkBuilder(const std::vector<ColumnType>& types);

    ColumnBuilder& column(size_t i) { return columns_[i]; }
    size_t column_count() const { return columns_.size(); }
    size_t rows() const { return columns_.empty() ? empty_rows_ : columns_[0].rows(); }
    // For chunks without columns, such as the input of count(*).
    void AddEmptyRows(size_t count) { empty_rows_ += count; }
    // Memory held by values: writers cut a chunk at some rows or some bytes, whichever is first.
    size_t bytes() const;
    void Clear();
    void Write(ByteWriter* out) const;

  private:
    std::vector<ColumnBuilder> columns_;
    size_t empty_rows_ = 0;
};

// One column read in place. It points into the message's buffer, which must outlive it.
struct ColumnView {
    ColumnType type;
    const uint8_t* validity = nullptr;  // null: no NULLs
    const uint8_t* fixed = nullptr;     // not aligned: read with Get()
    const uint8_t* data = nullptr;

    bool IsNull(size_t row) const { return validity && !(validity[row >> 3] >> (row & 7) & 1); }
    template <typename T>
    T Get(size_t row) const {
        T value;
        std::memcpy(&value, fixed + row * sizeof(T), sizeof value);
        return value;
    }
    std::string_view GetVariable(size_t row) const {
        const uint32_t begin = row == 0 ? 0 : Get<uint32_t>(row - 1);
        const uint32_t end = Get<uint32_t>(row);
        return {reinterpret_cast<const char*>(data) + begin, end - begin};
    }
};

// Rows read in place from a message. Every length and offset has been checked by Read.
struct ColumnChunkView {
    size_t rows = 0;
    std::vector<ColumnView> columns;

    // Reads a chunk as ColumnChunkBuilder::Write wrote it. The view points into the reader's buffer.
    static Result<ColumnChunkView> Read(ByteReader* in);
};

}  // namespace ivy
