// SPDX-License-Identifier: Apache-2.0
#include "engine/iceberg_value.h"

#include <duckdb/common/types/uuid.hpp>

#include "engine/lake_types.h"

namespace ivy::engine {

using duckdb::Value;
using iceberg::Int128;
using iceberg::SingleValue;
using lake::Column;
using lake::Kind;

std::optional<Value> FromSingleValue(const Column& column, const SingleValue& value) {
    const auto* wide = std::get_if<int64_t>(&value);
    const auto* narrow = std::get_if<int32_t>(&value);
    const auto* bytes = std::get_if<std::string>(&value);
    switch (column.kind) {
        case Kind::kBoolean:
            if (const auto* v = std::get_if<bool>(&value)) return Value::BOOLEAN(*v);
            break;
        case Kind::kInt32:
            if (narrow) return Value::INTEGER(*narrow);
            break;
        case Kind::kInt64:
            if (wide) return Value::BIGINT(*wide);
            break;
        case Kind::kFloat:
            if (const auto* v = std::get_if<float>(&value)) return Value::FLOAT(*v);
            break;
        case Kind::kDouble:
            if (const auto* v = std::get_if<double>(&value)) return Value::DOUBLE(*v);
            break;
        case Kind::kDecimal:
            if (const auto* v = std::get_if<Int128>(&value)) {
                duckdb::hugeint_t huge;
                huge.upper = static_cast<int64_t>(*v >> 64);
                huge.lower = static_cast<uint64_t>(*v);
                // Bounds made from partitions may have more digits than the type.
                auto decimal =
                    Value::DECIMAL(huge, 38, static_cast<uint8_t>(column.scale)).DefaultTryCastAs(LakeType(column));
                if (decimal) return std::move(*decimal);
            }
            break;
        case Kind::kDate:
            if (narrow) return Value::DATE(duckdb::date_t(*narrow));
            break;
        case Kind::kTime:
            if (wide) return Value::TIME(duckdb::dtime_t(*wide));
            break;
        case Kind::kTimestamp:
            if (wide) return Value::TIMESTAMP(duckdb::timestamp_t(*wide));
            break;
        case Kind::kTimestampTz:
            if (wide) return Value::TIMESTAMPTZ(duckdb::timestamp_tz_t(*wide));
            break;
        case Kind::kTimestampNs:
            if (wide) return Value::TIMESTAMPNS(duckdb::timestamp_ns_t(*wide));
            break;
        case Kind::kTimestampTzNs:
            if (wide) return Value::TIMESTAMPTZNS(duckdb::timestamp_tz_ns_t(*wide));
            break;
        case Kind::kString:
            if (bytes && Value::StringIsValid(*bytes)) return Value(*bytes);
            break;
        case Kind::kBinary:
            if (bytes) return Value::BLOB_RAW(*bytes);
            break;
        case Kind::kUuid:
            if (bytes && bytes->size() == 16) {
                return Value::UUID(
                    duckdb::BaseUUID::FromBlob(reinterpret_cast<duckdb::const_data_ptr_t>(bytes->data())));
            }
            break;
        default: break;
    }
    return std::nullopt;
}

std::optional<SingleValue> ToSingleValue(const Column& column, const Value& value) {
    switch (column.kind) {
        case Kind::kBoolean: return SingleValue(value.GetValueUnsafe<bool>());
        case Kind::kInt32: return SingleValue(value.GetValueUnsafe<int32_t>());
        case Kind::kDate: return SingleValue(value.GetValueUnsafe<duckdb::date_t>().days);
        case Kind::kInt64:
        case Kind::kTime:
        case Kind::kTimestamp:
        case Kind::kTimestampTz:
        case Kind::kTimestampNs:
        case Kind::kTimestampTzNs: return SingleValue(value.GetValueUnsafe<int64_t>());
        case Kind::kFloat: return SingleValue(value.GetValueUnsafe<float>());
        case Kind::kDouble: return SingleValue(value.GetValueUnsafe<double>());
        case Kind::kDecimal: {
            const Value wide =
                value.DefaultCastAs(duckdb::LogicalType::DECIMAL(38, static_cast<uint8_t>(column.scale)));
            const auto number = wide.GetValueUnsafe<duckdb::hugeint_t>();
            return SingleValue(static_cast<Int128>(number.upper) << 64 | number.lower);
        }
        case Kind::kString:
        case Kind::kBinary: return SingleValue(std::string(duckdb::StringValue::Get(value)));
        case Kind::kUuid: {
            std::string bytes(16, '\0');
            duckdb::BaseUUID::ToBlob(value.GetValueUnsafe<duckdb::hugeint_t>(),
                                     reinterpret_cast<duckdb::data_ptr_t>(bytes.data()));
            return SingleValue(std::move(bytes));
        }
        default: return std::nullopt;
    }
}

}  // namespace ivy::engine
