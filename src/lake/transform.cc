// SPDX-License-Identifier: Apache-2.0
#include "lake/transform.h"

#include <array>
#include <charconv>
#include <limits>
#include <string>
#include <utility>

namespace ivy::lake {
namespace {

using iceberg::Int128;
using iceberg::PrimitiveType;
using iceberg::SingleValue;
using iceberg::TypeKind;

constexpr int64_t kSecondsPerDay = 86400;

uint32_t Rotated(uint32_t value, int bits) { return value << bits | value >> (32 - bits); }

// Parses "NAME[number]".
std::optional<int32_t> Argument(std::string_view name, std::string_view function) {
    if (!name.starts_with(function) || !name.ends_with(']')) return std::nullopt;
    name.remove_prefix(function.size());
    name.remove_suffix(1);
    if (!name.starts_with('[')) return std::nullopt;
    name.remove_prefix(1);
    int32_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error != std::errc() || end != name.data() + name.size() || number < 1) return std::nullopt;
    return number;
}

bool IsTimestamp(Kind kind) {
    return kind == Kind::kTimestamp || kind == Kind::kTimestampTz || kind == Kind::kTimestampNs ||
           kind == Kind::kTimestampTzNs;
}

bool HasNanoseconds(Kind kind) { return kind == Kind::kTimestampNs || kind == Kind::kTimestampTzNs; }

bool IsTimeTransform(TransformKind kind) { return kind >= TransformKind::kYear; }

// The transforms' values of these are of type int.
bool MakesInt(TransformKind kind) { return kind == TransformKind::kBucket || IsTimeTransform(kind); }

// Which columns a transform takes.
bool Takes(TransformKind transform, Kind kind) {
    switch (transform) {
        case TransformKind::kIdentity: return true;
        case TransformKind::kBucket:
            return kind == Kind::kInt32 || kind == Kind::kInt64 || kind == Kind::kDecimal || kind == Kind::kDate ||
                   kind == Kind::kTime || IsTimestamp(kind) || kind == Kind::kString || kind == Kind::kUuid ||
                   kind == Kind::kBinary;
        case TransformKind::kTruncate:
            return kind == Kind::kInt32 || kind == Kind::kInt64 || kind == Kind::kDecimal || kind == Kind::kString ||
                   kind == Kind::kBinary;
        case TransformKind::kYear:
        case TransformKind::kMonth:
        case TransformKind::kDay: return kind == Kind::kDate || IsTimestamp(kind);
        case TransformKind::kHour: return IsTimestamp(kind);
        case TransformKind::kUnknown:
        case TransformKind::kVoid: break;
    }
    return false;
}

// Days from 1970-01-01 to the first day of a month, which is counted from January 1970; proleptic Gregorian.
int64_t DayOfMonth(int64_t months) {
    int64_t year = 1970 + (months >= 0 ? months : months - 11) / 12;
    const int64_t month = months - (year - 1970) * 12;  // 0..11
    // Years that begin in March have their leap day at the end.
    const int64_t from_march = (month + 10) % 12;
    if (month < 2) year--;
    const int64_t era = (year >= 0 ? year : year - 399) / 400, of_era = year - era * 400;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * from_march + 2) / 5 - 719468;
}

// When the unit that has a number since 1970 begins: days for dates, else micro- or nanoseconds.
std::optional<SingleValue> BeginningOf(TransformKind transform, Kind kind, int64_t unit) {
    int64_t seconds = 0;
    if (transform == TransformKind::kHour) {
        seconds = unit * 3600;
    } else {
        const int64_t day = transform == TransformKind::kYear    ? DayOfMonth(unit * 12)
                            : transform == TransformKind::kMonth ? DayOfMonth(unit)
                                                                 : unit;
        if (kind == Kind::kDate) {
            if (day < std::numeric_limits<int32_t>::min() || day > std::numeric_limits<int32_t>::max())
                return std::nullopt;
            return SingleValue(static_cast<int32_t>(day));
        }
        seconds = day * kSecondsPerDay;
    }
    int64_t moment = 0;
    if (__builtin_mul_overflow(seconds, HasNanoseconds(kind) ? 1000000000ll : 1000000ll, &moment)) return std::nullopt;
    return SingleValue(moment);
}

// The value before a beginning.
std::optional<SingleValue> Before(std::optional<SingleValue> value) {
    if (!value) return value;
    if (const auto* day = std::get_if<int32_t>(&*value)) {
        if (*day == std::numeric_limits<int32_t>::min()) return std::nullopt;
        return SingleValue(*day - 1);
    }
    const int64_t moment = std::get<int64_t>(*value);
    if (moment == std::numeric_limits<int64_t>::min()) return std::nullopt;
    return SingleValue(moment - 1);
}

// The largest value that is truncated to this one; none if there is no such bound.
std::optional<SingleValue> LastOfTruncated(int32_t width, const SingleValue& value) {
    if (const auto* narrow = std::get_if<int32_t>(&value)) {
        int32_t last = 0;
        if (__builtin_add_overflow(*narrow, width - 1, &last)) return std::nullopt;
        return SingleValue(last);
    }
    if (const auto* wide = std::get_if<int64_t>(&value)) {
        int64_t last = 0;
        if (__builtin_add_overflow(*wide, int64_t{width} - 1, &last)) return std::nullopt;
        return SingleValue(last);
    }
    if (const auto* decimal = std::get_if<Int128>(&value)) return SingleValue(*decimal + width - 1);
    return std::nullopt;
}

}  // namespace

Transform ParseTransform(std::string_view name) {
    constexpr std::array<std::pair<std::string_view, TransformKind>, 6> kPlain = {{
        {"identity", TransformKind::kIdentity},
        {"void", TransformKind::kVoid},
        {"year", TransformKind::kYear},
        {"month", TransformKind::kMonth},
        {"day", TransformKind::kDay},
        {"hour", TransformKind::kHour},
    }};
    for (const auto& [plain, kind] : kPlain) {
        if (name == plain) return {kind, 0};
    }
    if (const auto buckets = Argument(name, "bucket")) return {TransformKind::kBucket, *buckets};
    if (const auto width = Argument(name, "truncate")) return {TransformKind::kTruncate, *width};
    return {};
}

std::optional<PrimitiveType> PrimitiveTypeOf(const Column& column, size_t bytes) {
    PrimitiveType type;
    type.precision = column.precision;
    type.scale = column.scale;
    type.length = static_cast<int64_t>(bytes);
    switch (column.kind) {
        case Kind::kBoolean: type.kind = TypeKind::kBoolean; return type;
        case Kind::kInt32: type.kind = TypeKind::kInt; return type;
        case Kind::kInt64: type.kind = TypeKind::kLong; return type;
        case Kind::kFloat: type.kind = TypeKind::kFloat; return type;
        case Kind::kDouble: type.kind = TypeKind::kDouble; return type;
        case Kind::kDecimal: type.kind = TypeKind::kDecimal; return type;
        case Kind::kDate: type.kind = TypeKind::kDate; return type;
        case Kind::kTime: type.kind = TypeKind::kTime; return type;
        case Kind::kTimestamp: type.kind = TypeKind::kTimestamp; return type;
        case Kind::kTimestampTz: type.kind = TypeKind::kTimestampTz; return type;
        case Kind::kTimestampNs: type.kind = TypeKind::kTimestampNs; return type;
        case Kind::kTimestampTzNs: type.kind = TypeKind::kTimestampTzNs; return type;
        case Kind::kString: type.kind = TypeKind::kString; return type;
        case Kind::kUuid: type.kind = TypeKind::kUuid; return type;
        case Kind::kBinary: type.kind = TypeKind::kBinary; return type;
        default: return std::nullopt;
    }
}

std::optional<SingleValue> PartitionValue(const Transform& transform, const Column& column, std::string_view bytes) {
    if (!Takes(transform.kind, column.kind)) return std::nullopt;
    auto type = PrimitiveTypeOf(column, bytes.size());
    if (MakesInt(transform.kind)) type = PrimitiveType{.kind = TypeKind::kInt};
    if (!type) return std::nullopt;
    Result<SingleValue> value = iceberg::DecodeSingleValue(*type, bytes);
    if (!value.ok()) return std::nullopt;
    return std::move(value).value();
}

std::optional<SingleValue> PartitionValue(const Transform& transform, const Column& column, const Json& json) {
    if (!Takes(transform.kind, column.kind)) return std::nullopt;
    const auto int32 = [&json]() -> std::optional<SingleValue> {
        if (!json.is_number_integer()) return std::nullopt;
        const auto number = json.get<int64_t>();
        if (number != static_cast<int32_t>(number)) return std::nullopt;
        return SingleValue(static_cast<int32_t>(number));
    };
    if (MakesInt(transform.kind)) return int32();
    switch (column.kind) {
        case Kind::kBoolean:
            if (json.is_boolean()) return SingleValue(json.get<bool>());
            return std::nullopt;
        case Kind::kFloat:
        case Kind::kDouble: {
            double number = 0;
            if (json.is_number())
                number = json.get<double>();
            else if (json == "NaN")
                number = std::numeric_limits<double>::quiet_NaN();
            else if (json == "Infinity" || json == "-Infinity")
                number = std::numeric_limits<double>::infinity() * (json == "Infinity" ? 1 : -1);
            else
                return std::nullopt;
            return column.kind == Kind::kDouble ? SingleValue(number) : SingleValue(static_cast<float>(number));
        }
        case Kind::kInt32:
        case Kind::kDate: return int32();
        case Kind::kInt64:
        case Kind::kTime:
        case Kind::kTimestamp:
        case Kind::kTimestampTz:
        case Kind::kTimestampNs:
        case Kind::kTimestampTzNs:
            if (json.is_number_integer()) return SingleValue(json.get<int64_t>());
            return std::nullopt;
        case Kind::kString:
            if (json.is_string()) return SingleValue(json.get<std::string>());
            return std::nullopt;
        default: {  // bytes as hexadecimal digits
            if (!json.is_string()) return std::nullopt;
            const auto hex = json.get<std::string>();
            const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
            std::string bytes;
            for (size_t i = 0; i + 2 <= hex.size(); i += 2)
                bytes += static_cast<char>(digit(hex[i]) << 4 | digit(hex[i + 1]));
            return PartitionValue(transform, column, std::string_view(bytes));
        }
    }
}

uint32_t Murmur3(std::string_view bytes) {
    const auto byte = [&bytes](size_t at) { return static_cast<uint32_t>(static_cast<unsigned char>(bytes[at])); };
    const auto mixed = [](uint32_t block) { return Rotated(block * 0xcc9e2d51u, 15) * 0x1b873593u; };
    uint32_t hash = 0;
    size_t at = 0;
    for (; at + 4 <= bytes.size(); at += 4) {
        const uint32_t block = byte(at) | byte(at + 1) << 8 | byte(at + 2) << 16 | byte(at + 3) << 24;
        hash = Rotated(hash ^ mixed(block), 13) * 5 + 0xe6546b64u;
    }
    uint32_t rest = 0;
    for (size_t i = bytes.size(); i > at; i--) rest = rest << 8 | byte(i - 1);
    if (at < bytes.size()) hash ^= mixed(rest);
    hash ^= static_cast<uint32_t>(bytes.size());
    hash = (hash ^ hash >> 16) * 0x85ebca6bu;
    hash = (hash ^ hash >> 13) * 0xc2b2ae35u;
    return hash ^ hash >> 16;
}

std::optional<int32_t> BucketOf(int32_t buckets, const Column& column, const SingleValue& value) {
    if (!Takes(TransformKind::kBucket, column.kind)) return std::nullopt;
    std::string bytes;
    const auto put_long = [&bytes](int64_t number) {
        for (int shift = 0; shift < 64; shift += 8)
            bytes.push_back(static_cast<char>(static_cast<uint64_t>(number) >> shift));
    };
    if (const auto* narrow = std::get_if<int32_t>(&value)) {
        put_long(*narrow);  // so that int and long have the same buckets
    } else if (const auto* wide = std::get_if<int64_t>(&value)) {
        // Nanoseconds as microseconds, for the same reason.
        put_long(HasNanoseconds(column.kind) ? (*wide >= 0 ? *wide : *wide - 999) / 1000 : *wide);
    } else if (column.kind == Kind::kDecimal && std::holds_alternative<Int128>(value)) {
        const auto encoded = iceberg::EncodeSingleValue(*PrimitiveTypeOf(column, 0), value);
        if (!encoded.ok()) return std::nullopt;
        bytes = *encoded;
    } else if (const auto* text = std::get_if<std::string>(&value)) {
        bytes = *text;
    } else {
        return std::nullopt;
    }
    return static_cast<int32_t>((Murmur3(bytes) & 0x7fffffffu) % static_cast<uint32_t>(buckets));
}

ValueRange RangeOf(const Transform& transform, const Column& column, const std::optional<SingleValue>& lower,
                   const std::optional<SingleValue>& upper) {
    if (transform.kind == TransformKind::kIdentity) return {lower, upper};
    ValueRange range;
    if (transform.kind == TransformKind::kTruncate) {
        range.lower = lower;
        const auto* text = upper ? std::get_if<std::string>(&*upper) : nullptr;
        if (text != nullptr) {
            // One more character makes sure that it is cut to the length, and so raised above all that begin with it.
            const auto length = static_cast<size_t>(transform.width);
            range.upper = column.kind == Kind::kString ? iceberg::TruncatedUpperText(*text + "\x01", length)
                                                       : iceberg::TruncatedUpperBinary(*text + "\x01", length);
        } else if (upper) {
            range.upper = LastOfTruncated(transform.width, *upper);
        }
        return range;
    }
    // Old writers rounded moments before 1970 towards it: what has the number of a unit may be of the one before.
    const auto unit = [](const SingleValue& value) { return int64_t{std::get<int32_t>(value)}; };
    if (lower) {
        const bool exact = transform.kind == TransformKind::kDay && column.kind == Kind::kDate;
        const int64_t first = unit(*lower) - (unit(*lower) <= 0 && !exact ? 1 : 0);
        range.lower = BeginningOf(transform.kind, column.kind, first);
    }
    if (upper) range.upper = Before(BeginningOf(transform.kind, column.kind, unit(*upper) + 1));
    return range;
}

}  // namespace ivy::lake
