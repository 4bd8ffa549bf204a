// SPDX-License-Identifier: Apache-2.0
// Hash, equality and order of key values, one case for each physical layout.
#include "delta/key_columns.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "delta/chunk_convert.h"
#include "duckdb/common/vector/flat_vector.hpp"
#include "index/key_hash.h"

namespace ivy::delta {

namespace {

using duckdb::string_t;

template <typename T>
T Load(const uint8_t* data, size_t row) {
    T value;
    std::memcpy(&value, data + row * sizeof(T), sizeof value);
    return value;
}

struct Interval {
    int32_t months;
    int32_t days;
    int64_t micros;
};

// A month counts 30 days, a day 24 hours, as Postgres compares intervals.
Int128 IntervalLength(Interval interval) {
    const Int128 days = Int128{interval.months} * 30 + interval.days;
    return days * 86400000000 + interval.micros;
}

// -0 becomes 0 and every NaN the same one.
template <typename T>
double Canonical(T value) {
    if (std::isnan(value)) return std::numeric_limits<double>::quiet_NaN();
    return value == 0 ? 0.0 : static_cast<double>(value);
}

// Bits of NaNs don't matter.
template <typename T>
T OneNan(T value) {
    return std::isnan(value) ? std::numeric_limits<T>::quiet_NaN() : value;
}

uint64_t HashDouble(double value) {
    int64_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return index::HashInteger(bits);
}

// Without its trailing zeros a decimal has one form whatever its column's scale.
uint64_t HashDecimal(Int128 value, int scale) {
    if (const auto narrow = static_cast<int64_t>(value); narrow == value) {
        int64_t rest = narrow;
        while (scale > 0 && rest % 10 == 0) {
            rest /= 10;
            scale--;
            if (rest == 0) scale = 0;
        }
        return index::HashInteger(rest) + static_cast<uint64_t>(scale);
    }
    while (scale > 0 && value % 10 == 0) {
        value /= 10;
        scale--;
    }
    return index::HashWideInteger(value) + static_cast<uint64_t>(scale);
}

Int128 LoadDecimal(const uint8_t* data, size_t width, size_t row) {
    switch (width) {
        case 2: return Load<int16_t>(data, row);
        case 4: return Load<int32_t>(data, row);
        case 8: return Load<int64_t>(data, row);
        default: return Load<Int128>(data, row);
    }
}

uint64_t HashValue(const ColumnType& type, size_t width, const uint8_t* data, size_t row) {
    switch (type.kind) {
        case TypeKind::kBool: return index::HashInteger(Load<uint8_t>(data, row));
        case TypeKind::kInt16: return index::HashInteger(Load<int16_t>(data, row));
        case TypeKind::kInt32:
        case TypeKind::kDate: return index::HashInteger(Load<int32_t>(data, row));
        case TypeKind::kInt64:
        case TypeKind::kTime:
        case TypeKind::kTimestamp:
        case TypeKind::kTimestampTz: return index::HashInteger(Load<int64_t>(data, row));
        case TypeKind::kFloat: return HashDouble(Canonical(Load<float>(data, row)));
        case TypeKind::kDouble: return HashDouble(Canonical(Load<double>(data, row)));
        case TypeKind::kDecimal: return HashDecimal(LoadDecimal(data, width, row), type.scale);
        case TypeKind::kUuid: return index::HashBytes(data + row * width, width);
        case TypeKind::kInterval: return index::HashWideInteger(IntervalLength(Load<Interval>(data, row)));
        case TypeKind::kText:
        case TypeKind::kBytes: {
            const auto value = Load<string_t>(data, row);
            return index::HashBytes(value.GetData(), value.GetSize());
        }
    }
    return 0;
}

template <typename T>
bool FloatsEqual(const uint8_t* left, size_t left_row, const uint8_t* right, size_t right_row, bool exact) {
    const T a = Load<T>(left, left_row), b = Load<T>(right, right_row);
    if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
    return a == b && (!exact || std::signbit(a) == std::signbit(b));
}

bool ValuesEqual(const ColumnType& type, size_t width, const uint8_t* left, size_t left_row, const uint8_t* right,
                 size_t right_row, bool exact) {
    switch (type.kind) {
        case TypeKind::kFloat: return FloatsEqual<float>(left, left_row, right, right_row, exact);
        case TypeKind::kDouble: return FloatsEqual<double>(left, left_row, right, right_row, exact);
        case TypeKind::kInterval:
            if (exact) break;
            return IntervalLength(Load<Interval>(left, left_row)) == IntervalLength(Load<Interval>(right, right_row));
        case TypeKind::kText:
        case TypeKind::kBytes: return Load<string_t>(left, left_row) == Load<string_t>(right, right_row);
        default: break;
    }
    return std::memcmp(left + left_row * width, right + right_row * width, width) == 0;
}

}  // namespace

FlatColumn FlatColumnOf(const duckdb::Vector& vector) {
    return {duckdb::FlatVector::GetData(vector), duckdb::FlatVector::Validity(vector).GetData()};
}

KeyColumns::KeyColumns(std::vector<ColumnType> types, uint64_t hash_mask)
    : types_(std::move(types)), hash_mask_(hash_mask) {
    for (const ColumnType& type : types_) widths_.push_back(duckdb::GetTypeIdSize(ToDuckType(type).InternalType()));
    has_ordinal_ = false;
    if (types_.size() == 1) {
        switch (types_[0].kind) {
            case TypeKind::kInt16:
            case TypeKind::kInt32:
            case TypeKind::kInt64:
            case TypeKind::kDate:
            case TypeKind::kTime:
            case TypeKind::kTimestamp:
            case TypeKind::kTimestampTz:
            case TypeKind::kDecimal:
            case TypeKind::kUuid: has_ordinal_ = true; break;
            default: break;
        }
    }
}

void KeyColumns::Hash(const std::vector<FlatColumn>& columns, size_t offset, size_t count, uint64_t* out) const {
    for (size_t c = 0; c < types_.size(); c++) {
        const FlatColumn& column = columns[c];
        for (size_t i = 0; i < count; i++) {
            const size_t row = offset + i;
            const uint64_t hash =
                column.IsNull(row) ? index::kHashNull : HashValue(types_[c], widths_[c], column.data, row);
            out[i] = c == 0 ? hash : index::Combine(out[i], hash);
        }
    }
    for (size_t i = 0; i < count; i++) out[i] &= hash_mask_;
}

bool KeyColumns::Equal(const std::vector<FlatColumn>& left, size_t left_row, const std::vector<FlatColumn>& right,
                       size_t right_row, bool exact) const {
    for (size_t c = 0; c < types_.size(); c++) {
        const bool null = left[c].IsNull(left_row);
        if (null != right[c].IsNull(right_row)) return false;
        if (!null && !ValuesEqual(types_[c], widths_[c], left[c].data, left_row, right[c].data, right_row, exact)) {
            return false;
        }
    }
    return true;
}

void KeyColumns::AppendBytes(const std::vector<FlatColumn>& columns, size_t row, std::string* out) const {
    const auto append = [&](const auto& value) { out->append(reinterpret_cast<const char*>(&value), sizeof value); };
    for (size_t c = 0; c < types_.size(); c++) {
        const bool null = columns[c].IsNull(row);
        out->push_back(null ? 0 : 1);
        if (null) continue;
        const uint8_t* data = columns[c].data;
        switch (types_[c].kind) {
            case TypeKind::kFloat: append(OneNan(Load<float>(data, row))); break;
            case TypeKind::kDouble: append(OneNan(Load<double>(data, row))); break;
            case TypeKind::kText:
            case TypeKind::kBytes: {
                const auto value = Load<string_t>(data, row);
                append(uint64_t{value.GetSize()});
                out->append(value.GetData(), value.GetSize());
                break;
            }
            default: out->append(reinterpret_cast<const char*>(data + row * widths_[c]), widths_[c]);
        }
    }
}

int64_t KeyColumns::Ordinal(const FlatColumn& column, size_t row) const {
    switch (types_[0].kind) {
        case TypeKind::kInt16: return Load<int16_t>(column.data, row);
        case TypeKind::kInt32:
        case TypeKind::kDate: return Load<int32_t>(column.data, row);
        case TypeKind::kDecimal: {
            const Int128 value = LoadDecimal(column.data, widths_[0], row);
            return static_cast<int64_t>(std::clamp<Int128>(value, INT64_MIN, INT64_MAX));
        }
        case TypeKind::kUuid:  // DuckDB keeps the first eight bytes as the signed upper half
            return Load<int64_t>(column.data + sizeof(int64_t), row * 2);
        default: return Load<int64_t>(column.data, row);
    }
}

}  // namespace ivy::delta
