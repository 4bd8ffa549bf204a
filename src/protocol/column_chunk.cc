// SPDX-License-Identifier: Apache-2.0
//
// Column chunks: building, writing, and reading with every length checked.
//
// Wire form:  chunk  = rows:u32  columns:u16  column*
//             column = type:3 bytes  flags:u8 (1: has NULLs)  [validity: (rows+7)/8 bytes]
//                      fixed: rows * width bytes, or rows * 4 bytes of ascending end offsets
//                      [data_size:u32  data]          (variable types only)
#include "protocol/column_chunk.h"

#include <cassert>

namespace ivy {

namespace {
constexpr size_t kKeepCapacity = 4 << 20;  // bytes of a column's variable values
}  // namespace

size_t ColumnType::FixedWidth() const {
    switch (kind) {
        case TypeKind::kBool: return 1;
        case TypeKind::kInt16: return 2;
        case TypeKind::kInt32:
        case TypeKind::kFloat:
        case TypeKind::kDate: return 4;
        case TypeKind::kInt64:
        case TypeKind::kDouble:
        case TypeKind::kTime:
        case TypeKind::kTimestamp:
        case TypeKind::kTimestampTz: return 8;
        case TypeKind::kDecimal:
        case TypeKind::kUuid:
        case TypeKind::kInterval: return 16;
        case TypeKind::kText:
        case TypeKind::kBytes: return 0;
    }
    return 0;
}

std::string ColumnType::DuckName() const {
    switch (kind) {
        case TypeKind::kBool: return "BOOLEAN";
        case TypeKind::kInt16: return "SMALLINT";
        case TypeKind::kInt32: return "INTEGER";
        case TypeKind::kInt64: return "BIGINT";
        case TypeKind::kFloat: return "FLOAT";
        case TypeKind::kDouble: return "DOUBLE";
        case TypeKind::kDecimal: return "DECIMAL(" + std::to_string(precision) + "," + std::to_string(scale) + ")";
        case TypeKind::kText: return "VARCHAR";
        case TypeKind::kBytes: return "BLOB";
        case TypeKind::kDate: return "DATE";
        case TypeKind::kTime: return "TIME";
        case TypeKind::kTimestamp: return "TIMESTAMP";
        case TypeKind::kTimestampTz: return "TIMESTAMPTZ";
        case TypeKind::kUuid: return "UUID";
        case TypeKind::kInterval: return "INTERVAL";
    }
    return "VARCHAR";
}

void ColumnType::Write(ByteWriter* out) const {
    out->U8(static_cast<uint8_t>(kind));
    out->U8(precision);
    out->U8(scale);
}

ColumnType ColumnType::Read(ByteReader* in) {
    ColumnType type;
    const uint8_t kind = in->U8();
    type.kind = static_cast<TypeKind>(kind);
    type.precision = in->U8();
    type.scale = in->U8();
    bool valid = kind >= 1 && kind <= static_cast<uint8_t>(TypeKind::kInterval);
    if (type.kind == TypeKind::kDecimal) {
        valid = valid && type.precision >= 1 && type.precision <= kMaxDecimalDigits && type.scale <= type.precision;
    }
    if (!valid) {
        in->Raw(SIZE_MAX);  // makes the reader fail
        return {};
    }
    return type;
}

void ColumnBuilder::AppendValidity(bool valid) {
    if ((rows_ & 7) == 0) validity_.push_back(0);
    if (valid) {
        validity_.back() |= static_cast<uint8_t>(1u << (rows_ & 7));
    } else {
        has_nulls_ = true;
    }
    rows_++;
}

void ColumnBuilder::AppendNull() {
    AppendValidity(false);
    if (width_ == 0) {
        const auto end = static_cast<uint32_t>(data_.size());
        const auto* from = reinterpret_cast<const uint8_t*>(&end);
        fixed_.insert(fixed_.end(), from, from + sizeof end);
    } else {
        fixed_.resize(fixed_.size() + width_, 0);
    }
}

void ColumnBuilder::AppendRaw(const void* value) {
    AppendValidity(true);
    const auto* from = static_cast<const uint8_t*>(value);
    fixed_.insert(fixed_.end(), from, from + width_);
}

void ColumnBuilder::AppendVariable(std::string_view value) {
    AppendValidity(true);
    const auto* from = reinterpret_cast<const uint8_t*>(value.data());
    data_.insert(data_.end(), from, from + value.size());
    const auto end = static_cast<uint32_t>(data_.size());
    const auto* offset = reinterpret_cast<const uint8_t*>(&end);
    fixed_.insert(fixed_.end(), offset, offset + sizeof end);
}

void ColumnBuilder::Clear() {
    rows_ = 0;
    has_nulls_ = false;
    validity_.clear();
    fixed_.clear();
    data_.clear();
    // Memory for the next chunk is worth keeping, that of one huge value is not.
    if (data_.capacity() > kKeepCapacity) data_ = Bytes();
}

void ColumnBuilder::Write(ByteWriter* out) const {
    type_.Write(out);
    out->U8(has_nulls_ ? 1 : 0);
    if (has_nulls_) out->Raw(validity_.data(), validity_.size());
    out->Raw(fixed_.data(), fixed_.size());
    if (width_ == 0) {
        out->U32(static_cast<uint32_t>(data_.size()));
        out->Raw(data_.data(), data_.size());
    }
}

ColumnChunkBuilder::ColumnChunkBuilder(const std::vector<ColumnType>& types) {
    columns_.reserve(types.size());
    for (const ColumnType& type : types) columns_.emplace_back(type);
}

size_t ColumnChunkBuilder::bytes() const {
    size_t total = 0;
    for (const ColumnBuilder& column : columns_) total += column.bytes();
    return total;
}

void ColumnChunkBuilder::Clear() {
    for (ColumnBuilder& column : columns_) column.Clear();
    empty_rows_ = 0;
}

void ColumnChunkBuilder::Write(ByteWriter* out) const {
    out->U32(static_cast<uint32_t>(rows()));
    out->U16(static_cast<uint16_t>(columns_.size()));
    for (const ColumnBuilder& column : columns_) {
        assert(column.rows() == rows());
        column.Write(out);
    }
}

namespace {

// Ascending offsets that end exactly at the data's size: only then is GetVariable safe for every row.
bool OffsetsAreSane(const ColumnView& column, size_t rows, uint32_t data_size) {
    uint32_t previous = 0;
    for (size_t row = 0; row < rows; row++) {
        const auto end = column.Get<uint32_t>(row);
        if (end < previous) return false;
        previous = end;
    }
    return previous == data_size;
}

}  // namespace

Result<ColumnChunkView> ColumnChunkView::Read(ByteReader* in) {
    const Status damaged = Status::Make(sqlstate::kProtocolViolation, "column chunk is damaged");
    ColumnChunkView chunk;
    chunk.rows = in->U32();
    const uint16_t columns = in->U16();
    chunk.columns.resize(columns);
    for (ColumnView& column : chunk.columns) {
        column.type = ColumnType::Read(in);
        const uint8_t flags = in->U8();
        if (flags > 1) return damaged;
        if (flags == 1) column.validity = in->Raw((chunk.rows + 7) / 8);
        const size_t width = column.type.FixedWidth();
        column.fixed = in->Raw(chunk.rows * (width ? width : sizeof(uint32_t)));
        if (width == 0) {
            const uint32_t size = in->U32();
            column.data = in->Raw(size);
            if (!in->ok() || !OffsetsAreSane(column, chunk.rows, size)) return damaged;
        }
        if (!in->ok()) return damaged;
    }
    if (!in->ok()) return damaged;
    return chunk;
}

}  // namespace ivy
