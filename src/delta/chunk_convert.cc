// SPDX-License-Identifier: Apache-2.0
//
// Conversion loops, one per physical layout. See column_chunk.cc for the wire form.
#include "delta/chunk_convert.h"

#include <array>
#include <type_traits>

#include "duckdb/common/types/decimal.hpp"
#include "duckdb/common/vector/flat_vector.hpp"
#include "duckdb/common/vector/string_vector.hpp"

namespace ivy::delta {

namespace {

using duckdb::FlatVector;
using duckdb::LogicalType;
using duckdb::LogicalTypeId;
using duckdb::PhysicalType;
using duckdb::string_t;
using duckdb::UnifiedVectorFormat;
using duckdb::ValidityMask;
using duckdb::Vector;

constexpr char kDatatypeMismatch[] = "42804";
constexpr char kProgramLimitExceeded[] = "54000";

// 10^0 to 10^38, which is the largest power of ten that fits.
constexpr std::array<Int128, 39> kPowersOfTen = [] {
    std::array<Int128, 39> powers{};
    Int128 power = 1;
    for (size_t i = 0; i < powers.size(); i++) {
        powers[i] = power;
        if (i + 1 < powers.size()) power *= 10;
    }
    return powers;
}();

// What DuckDB keeps for a UUID: the printed bytes as a big-endian number with the sign bit flipped, so that it sorts.
struct DuckUuid {
    uint64_t lower;
    uint64_t upper;
};
constexpr uint64_t kSignBit = uint64_t{1} << 63;

DuckUuid UuidFromWire(const uint8_t* bytes) {
    uint64_t upper, lower;
    std::memcpy(&upper, bytes, sizeof upper);
    std::memcpy(&lower, bytes + sizeof upper, sizeof lower);
    return {__builtin_bswap64(lower), __builtin_bswap64(upper) ^ kSignBit};
}

void UuidToWire(DuckUuid uuid, uint8_t* bytes) {
    const uint64_t upper = __builtin_bswap64(uuid.upper ^ kSignBit);
    const uint64_t lower = __builtin_bswap64(uuid.lower);
    std::memcpy(bytes, &upper, sizeof upper);
    std::memcpy(bytes + sizeof upper, &lower, sizeof lower);
}

// NULL slots are zero on the wire and fit any precision.
template <typename T>
bool DecimalsFromWire(const ColumnView& column, size_t offset, size_t count, T* to) {
    const Int128 limit = kPowersOfTen[column.type.precision];
    bool fits = true;
    for (size_t i = 0; i < count; i++) {
        const auto value = column.Get<Int128>(offset + i);
        fits &= value < limit && value > -limit;
        if constexpr (std::is_same_v<T, Int128>) {
            std::memcpy(to + i, &value, sizeof value);  // DuckDB aligns to 8 bytes only
        } else {
            to[i] = static_cast<T>(value);
        }
    }
    return fits;
}

bool DecimalsFromWire(const ColumnView& column, size_t offset, size_t count, Vector* out, size_t at) {
    uint8_t* data = FlatVector::GetDataMutable(*out);
    switch (out->GetType().InternalType()) {
        case PhysicalType::INT16: return DecimalsFromWire(column, offset, count, reinterpret_cast<int16_t*>(data) + at);
        case PhysicalType::INT32: return DecimalsFromWire(column, offset, count, reinterpret_cast<int32_t*>(data) + at);
        case PhysicalType::INT64: return DecimalsFromWire(column, offset, count, reinterpret_cast<int64_t*>(data) + at);
        default: return DecimalsFromWire(column, offset, count, reinterpret_cast<Int128*>(data + at * sizeof(Int128)));
    }
}

// One allocation for all strings that DuckDB does not keep inside string_t.
void StringsFromWire(const ColumnView& column, size_t offset, size_t count, Vector* out, size_t at) {
    auto* to = reinterpret_cast<string_t*>(FlatVector::GetDataMutable(*out)) + at;
    size_t heap_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t size = column.GetVariable(offset + i).size();
        if (size > string_t::INLINE_LENGTH) heap_bytes += size;
    }
    char* heap = nullptr;
    if (heap_bytes > 0) {
        heap = reinterpret_cast<char*>(duckdb::StringVector::GetStringAllocator(*out).Allocate(heap_bytes));
    }
    for (size_t i = 0; i < count; i++) {
        const std::string_view value = column.GetVariable(offset + i);
        const auto size = static_cast<uint32_t>(value.size());
        if (size > string_t::INLINE_LENGTH) {
            std::memcpy(heap, value.data(), size);
            to[i] = string_t(heap, size);
            heap += size;
        } else {
            to[i] = string_t(value.data(), size);
        }
    }
}

// Writes "count" values through a row order that may repeat and skip.
template <typename T, typename Convert>
void WriteConverted(const UnifiedVectorFormat& format, size_t offset, size_t count, ByteWriter* out, Convert convert) {
    std::array<decltype(convert(std::declval<T>())), 256> buffer;
    for (size_t done = 0; done < count;) {
        const size_t batch = std::min(count - done, buffer.size());
        for (size_t i = 0; i < batch; i++) {
            T value;
            std::memcpy(&value, format.data + format.sel->get_index(offset + done + i) * sizeof(T), sizeof value);
            buffer[i] = convert(value);
        }
        out->Raw(buffer.data(), batch * sizeof buffer[0]);
        done += batch;
    }
}

struct Wide {
    uint64_t words[2];
};

void WriteFixed(const UnifiedVectorFormat& format, bool flat, size_t width, size_t offset, size_t count,
                ByteWriter* out) {
    if (flat) {
        out->Raw(format.data + offset * width, count * width);
        return;
    }
    const auto same = [](auto value) { return value; };
    switch (width) {
        case 1: return WriteConverted<uint8_t>(format, offset, count, out, same);
        case 2: return WriteConverted<uint16_t>(format, offset, count, out, same);
        case 4: return WriteConverted<uint32_t>(format, offset, count, out, same);
        case 8: return WriteConverted<uint64_t>(format, offset, count, out, same);
        default: return WriteConverted<Wide>(format, offset, count, out, same);
    }
}

void WriteDecimals(const UnifiedVectorFormat& format, bool flat, size_t offset, size_t count, ByteWriter* out) {
    const auto widen = [](auto value) { return static_cast<Int128>(value); };
    switch (format.physical_type) {
        case PhysicalType::INT16: return WriteConverted<int16_t>(format, offset, count, out, widen);
        case PhysicalType::INT32: return WriteConverted<int32_t>(format, offset, count, out, widen);
        case PhysicalType::INT64: return WriteConverted<int64_t>(format, offset, count, out, widen);
        default: return WriteFixed(format, flat, sizeof(Int128), offset, count, out);
    }
}

// End offsets, then the bytes. A NULL's slot may hold anything in DuckDB and takes no bytes here.
Status WriteStrings(const UnifiedVectorFormat& format, size_t offset, size_t count, ByteWriter* out) {
    const auto* strings = reinterpret_cast<const string_t*>(format.data);
    const bool all_valid = format.validity.CannotHaveNull();
    uint64_t end = 0;
    std::array<uint32_t, 256> ends;
    for (size_t done = 0; done < count;) {
        const size_t batch = std::min(count - done, ends.size());
        for (size_t i = 0; i < batch; i++) {
            const auto row = format.sel->get_index(offset + done + i);
            if (all_valid || format.validity.RowIsValid(row)) end += strings[row].GetSize();
            ends[i] = static_cast<uint32_t>(end);
        }
        out->Raw(ends.data(), batch * sizeof ends[0]);
        done += batch;
    }
    if (end > UINT32_MAX) return Status::Make(kProgramLimitExceeded, "text of a result chunk exceeds 4 GB");
    out->U32(static_cast<uint32_t>(end));
    for (size_t i = 0; i < count; i++) {
        const auto row = format.sel->get_index(offset + i);
        if (all_valid || format.validity.RowIsValid(row)) out->Raw(strings[row].GetData(), strings[row].GetSize());
    }
    return Status::Ok();
}

// Validity bits, if any row is NULL. Returns through *has_nulls what the flags byte must say.
void WriteValidity(const UnifiedVectorFormat& format, size_t offset, size_t count, ByteWriter* out) {
    const size_t bytes = (count + 7) / 8;
    Bytes bits(bytes, 0);
    bool has_nulls = false;
    if (format.validity.CanHaveNull()) {
        for (size_t i = 0; i < count; i++) {
            const bool valid = format.validity.RowIsValidUnsafe(format.sel->get_index(offset + i));
            bits[i >> 3] |= static_cast<uint8_t>(valid << (i & 7));
            has_nulls |= !valid;
        }
    }
    out->U8(has_nulls ? 1 : 0);
    if (has_nulls) out->Raw(bits.data(), bytes);
}

Status WriteColumn(const Vector& vector, size_t offset, size_t count, const ColumnType& type, ByteWriter* out) {
    if (count == 0) {  // the vector may have no buffer
        ColumnBuilder(type).Write(out);
        return Status::Ok();
    }
    UnifiedVectorFormat format;
    vector.ToUnifiedFormat(format);
    const bool flat = vector.GetVectorType() == duckdb::VectorType::FLAT_VECTOR;
    type.Write(out);
    WriteValidity(format, offset, count, out);
    switch (type.kind) {
        case TypeKind::kDecimal: WriteDecimals(format, flat, offset, count, out); return Status::Ok();
        case TypeKind::kUuid:
            WriteConverted<DuckUuid>(format, offset, count, out, [](DuckUuid uuid) {
                std::array<uint8_t, 16> bytes;
                UuidToWire(uuid, bytes.data());
                return bytes;
            });
            return Status::Ok();
        case TypeKind::kText:
        case TypeKind::kBytes: return WriteStrings(format, offset, count, out);
        default: WriteFixed(format, flat, type.FixedWidth(), offset, count, out); return Status::Ok();
    }
}

}  // namespace

LogicalType ToDuckType(const ColumnType& type) {
    switch (type.kind) {
        case TypeKind::kBool: return LogicalType::BOOLEAN;
        case TypeKind::kInt16: return LogicalType::SMALLINT;
        case TypeKind::kInt32: return LogicalType::INTEGER;
        case TypeKind::kInt64: return LogicalType::BIGINT;
        case TypeKind::kFloat: return LogicalType::FLOAT;
        case TypeKind::kDouble: return LogicalType::DOUBLE;
        case TypeKind::kDecimal: return LogicalType::DECIMAL(type.precision, type.scale);
        case TypeKind::kText: return LogicalType::VARCHAR;
        case TypeKind::kBytes: return LogicalType::BLOB;
        case TypeKind::kDate: return LogicalType::DATE;
        case TypeKind::kTime: return LogicalType::TIME;
        case TypeKind::kTimestamp: return LogicalType::TIMESTAMP;
        case TypeKind::kTimestampTz: return LogicalType::TIMESTAMP_TZ;
        case TypeKind::kUuid: return LogicalType::UUID;
        case TypeKind::kInterval: return LogicalType::INTERVAL;
    }
    return LogicalType::VARCHAR;
}

duckdb::vector<LogicalType> ToDuckTypes(const std::vector<ColumnType>& types) {
    duckdb::vector<LogicalType> result;
    result.reserve(types.size());
    for (const ColumnType& type : types) result.push_back(ToDuckType(type));
    return result;
}

Result<ColumnType> FromDuckType(const LogicalType& type) {
    switch (type.id()) {
        case LogicalTypeId::BOOLEAN: return ColumnType{TypeKind::kBool};
        case LogicalTypeId::SMALLINT: return ColumnType{TypeKind::kInt16};
        case LogicalTypeId::INTEGER: return ColumnType{TypeKind::kInt32};
        case LogicalTypeId::BIGINT: return ColumnType{TypeKind::kInt64};
        case LogicalTypeId::FLOAT: return ColumnType{TypeKind::kFloat};
        case LogicalTypeId::DOUBLE: return ColumnType{TypeKind::kDouble};
        case LogicalTypeId::DECIMAL:
            return ColumnType{TypeKind::kDecimal, duckdb::DecimalType::GetWidth(type),
                              duckdb::DecimalType::GetScale(type)};
        case LogicalTypeId::HUGEINT: return ColumnType{TypeKind::kDecimal, 38, 0};
        case LogicalTypeId::VARCHAR: return ColumnType{TypeKind::kText};
        case LogicalTypeId::BLOB: return ColumnType{TypeKind::kBytes};
        case LogicalTypeId::DATE: return ColumnType{TypeKind::kDate};
        case LogicalTypeId::TIME: return ColumnType{TypeKind::kTime};
        case LogicalTypeId::TIMESTAMP: return ColumnType{TypeKind::kTimestamp};
        case LogicalTypeId::TIMESTAMP_TZ: return ColumnType{TypeKind::kTimestampTz};
        case LogicalTypeId::UUID: return ColumnType{TypeKind::kUuid};
        case LogicalTypeId::INTERVAL: return ColumnType{TypeKind::kInterval};
        default:
            return Status::Make(sqlstate::kFeatureNotSupported,
                                "a result column has type " + type.ToString() + ", which has no column format");
    }
}

Status CopyValues(const ColumnView& column, size_t offset, size_t count, Vector* out, size_t at) {
    switch (column.type.kind) {
        case TypeKind::kBool: {
            auto* to = FlatVector::GetDataMutable(*out) + at;
            for (size_t i = 0; i < count; i++) to[i] = column.fixed[offset + i] != 0;
            break;
        }
        case TypeKind::kDecimal:
            if (!DecimalsFromWire(column, offset, count, out, at)) {
                return Status::Make(sqlstate::kProtocolViolation,
                                    "a value exceeds the precision of its column of type " + column.type.DuckName());
            }
            break;
        case TypeKind::kUuid: {
            auto* to = FlatVector::GetDataMutable(*out) + at * sizeof(DuckUuid);
            for (size_t i = 0; i < count; i++) {
                const DuckUuid uuid = UuidFromWire(column.fixed + (offset + i) * sizeof(DuckUuid));
                std::memcpy(to + i * sizeof uuid, &uuid, sizeof uuid);
            }
            break;
        }
        case TypeKind::kText:
        case TypeKind::kBytes: StringsFromWire(column, offset, count, out, at); break;
        default: {
            const size_t width = column.type.FixedWidth();
            std::memcpy(FlatVector::GetDataMutable(*out) + at * width, column.fixed + offset * width, count * width);
        }
    }
    return Status::Ok();
}

Status AppendToVector(const ColumnView& column, size_t offset, size_t count, Vector* out, size_t at) {
    IVY_RETURN_IF_ERROR(CopyValues(column, offset, count, out, at));
    ValidityMask& validity = FlatVector::ValidityMutable(*out);
    if (column.validity) {
        for (size_t i = 0; i < count; i++) {
            if (column.IsNull(offset + i)) {
                validity.SetInvalid(at + i);
            } else {
                validity.SetValid(at + i);
            }
        }
    } else if (validity.CanHaveNull()) {
        for (size_t i = 0; i < count; i++) validity.SetValidUnsafe(at + i);
    }
    return Status::Ok();
}

Status ChunkFromView(const ColumnChunkView& view, size_t offset, size_t count, duckdb::DataChunk* out) {
    out->Reset();
    for (size_t i = 0; i < view.columns.size(); i++) {
        IVY_RETURN_IF_ERROR(AppendToVector(view.columns[i], offset, count, &out->data[i], 0));
    }
    out->SetChildCardinality(count);
    return Status::Ok();
}

Status WriteChunk(const duckdb::DataChunk& chunk, size_t offset, size_t count, const std::vector<ColumnType>& types,
                  ByteWriter* out) {
    if (chunk.ColumnCount() != types.size()) {
        return Status::Make(kDatatypeMismatch, "result has " + std::to_string(chunk.ColumnCount()) +
                                                   " columns, expected " + std::to_string(types.size()));
    }
    for (size_t i = 0; i < types.size(); i++) {
        const LogicalType& actual = chunk.data[i].GetType();
        IVY_ASSIGN_OR_RETURN(const ColumnType found, FromDuckType(actual));
        const bool decimal = types[i].kind == TypeKind::kDecimal;
        if (found.kind != types[i].kind || (decimal && found.scale != types[i].scale)) {
            return Status::Make(kDatatypeMismatch, "result column " + std::to_string(i + 1) + " has type " +
                                                       actual.ToString() + ", expected " + types[i].DuckName());
        }
    }
    out->U32(static_cast<uint32_t>(count));
    out->U16(static_cast<uint16_t>(types.size()));
    for (size_t i = 0; i < types.size(); i++) {
        IVY_RETURN_IF_ERROR(WriteColumn(chunk.data[i], offset, count, types[i], out));
    }
    return Status::Ok();
}

}  // namespace ivy::delta
