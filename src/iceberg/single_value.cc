// SPDX-License-Identifier: Apache-2.0
#include "iceberg/single_value.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstring>
#include <vector>

namespace ivy::iceberg {
namespace {

constexpr std::pair<const char*, TypeKind> kPlainTypes[] = {
    {"unknown", TypeKind::kUnknown},
    {"boolean", TypeKind::kBoolean},
    {"int", TypeKind::kInt},
    {"long", TypeKind::kLong},
    {"float", TypeKind::kFloat},
    {"double", TypeKind::kDouble},
    {"date", TypeKind::kDate},
    {"time", TypeKind::kTime},
    {"timestamp", TypeKind::kTimestamp},
    {"timestamptz", TypeKind::kTimestampTz},
    {"timestamp_ns", TypeKind::kTimestampNs},
    {"timestamptz_ns", TypeKind::kTimestampTzNs},
    {"string", TypeKind::kString},
    {"uuid", TypeKind::kUuid},
    {"binary", TypeKind::kBinary},
    {"variant", TypeKind::kVariant},
    {"geometry", TypeKind::kGeometry},
    {"geography", TypeKind::kGeography},
};

Status BadType(std::string_view name) { return Status::Corrupt("unknown Iceberg type \"" + std::string(name) + "\""); }

// Reads a decimal number in *text and what may be around it.
bool TakeNumber(std::string_view* text, int64_t* number) {
    const size_t begin = text->find_first_not_of(' ');
    if (begin == std::string_view::npos) return false;
    const auto [end, error] = std::from_chars(text->data() + begin, text->data() + text->size(), *number);
    if (error != std::errc()) return false;
    text->remove_prefix(static_cast<size_t>(end - text->data()));
    while (!text->empty() && text->front() == ' ') text->remove_prefix(1);
    return true;
}

bool TakeChar(std::string_view* text, char c) {
    if (text->empty() || text->front() != c) return false;
    text->remove_prefix(1);
    return true;
}

template <typename T>
std::string Raw(T value) {
    return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

template <typename T>
T FromRaw(std::string_view bytes) {
    T value;
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

// Two's complement, big-endian, in as few bytes as hold the sign.
std::string EncodeDecimal(Int128 value) {
    std::string bytes;
    for (int shift = 120; shift >= 0; shift -= 8)
        bytes.push_back(static_cast<char>(static_cast<unsigned __int128>(value) >> shift));
    size_t skip = 0;
    while (skip < 15) {
        const auto first = static_cast<unsigned char>(bytes[skip]),
                   second = static_cast<unsigned char>(bytes[skip + 1]);
        if (!((first == 0 && second < 0x80) || (first == 0xff && second >= 0x80))) break;
        skip++;
    }
    return bytes.substr(skip);
}

Int128 DecodeDecimal(std::string_view bytes) {
    unsigned __int128 value = static_cast<signed char>(bytes[0]) < 0 ? ~static_cast<unsigned __int128>(0) : 0;
    for (const char byte : bytes) value = value << 8 | static_cast<unsigned char>(byte);
    return static_cast<Int128>(value);
}

// Where each character of a UTF-8 text begins, and its end; at most "limit" characters. Nothing if it is not UTF-8.
std::optional<std::vector<size_t>> CharacterOffsets(std::string_view text, size_t limit) {
    std::vector<size_t> offsets{0};
    size_t at = 0;
    while (at < text.size() && offsets.size() <= limit) {
        const auto lead = static_cast<unsigned char>(text[at]);
        const size_t size = lead < 0x80                   ? 1
                            : lead >= 0xf0 && lead < 0xf5 ? 4
                            : lead >= 0xe0 && lead < 0xf0 ? 3
                            : lead >= 0xc2 && lead < 0xe0 ? 2
                                                          : 0;
        if (size == 0 || size > text.size() - at) return std::nullopt;
        for (size_t i = 1; i < size; i++) {
            if ((static_cast<unsigned char>(text[at + i]) & 0xc0) != 0x80) return std::nullopt;
        }
        at += size;
        offsets.push_back(at);
    }
    return offsets;
}

uint32_t CodePoint(std::string_view character) {
    const auto lead = static_cast<unsigned char>(character[0]);
    uint32_t code = character.size() == 1 ? lead : lead & (0x7fu >> character.size());
    for (size_t i = 1; i < character.size(); i++) code = code << 6 | (static_cast<unsigned char>(character[i]) & 0x3f);
    return code;
}

std::string Utf8(uint32_t code) {
    std::string text;
    if (code < 0x80) {
        text.push_back(static_cast<char>(code));
    } else if (code < 0x800) {
        text.push_back(static_cast<char>(0xc0 | code >> 6));
        text.push_back(static_cast<char>(0x80 | (code & 0x3f)));
    } else if (code < 0x10000) {
        text.push_back(static_cast<char>(0xe0 | code >> 12));
        text.push_back(static_cast<char>(0x80 | (code >> 6 & 0x3f)));
        text.push_back(static_cast<char>(0x80 | (code & 0x3f)));
    } else {
        text.push_back(static_cast<char>(0xf0 | code >> 18));
        text.push_back(static_cast<char>(0x80 | (code >> 12 & 0x3f)));
        text.push_back(static_cast<char>(0x80 | (code >> 6 & 0x3f)));
        text.push_back(static_cast<char>(0x80 | (code & 0x3f)));
    }
    return text;
}

}  // namespace

Result<PrimitiveType> ParseType(std::string_view name) {
    PrimitiveType type;
    for (const auto& [plain, kind] : kPlainTypes) {
        if (name != plain) continue;
        type.kind = kind;
        return type;
    }
    if (name.starts_with('{')) {
        type.kind = TypeKind::kNested;
        return type;
    }
    std::string_view rest = name;
    int64_t first = 0, second = 0;
    if (name.starts_with("decimal")) {
        rest.remove_prefix(7);
        while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
        if (!TakeChar(&rest, '(') || !TakeNumber(&rest, &first) || !TakeChar(&rest, ',') ||
            !TakeNumber(&rest, &second) || !TakeChar(&rest, ')') || !rest.empty() || first < 1 || first > 38 ||
            second < 0 || second > first) {
            return BadType(name);
        }
        type.kind = TypeKind::kDecimal;
        type.precision = static_cast<int>(first);
        type.scale = static_cast<int>(second);
        return type;
    }
    if (name.starts_with("fixed")) {
        rest.remove_prefix(5);
        if (!TakeChar(&rest, '[') || !TakeNumber(&rest, &first) || !TakeChar(&rest, ']') || !rest.empty() || first < 0)
            return BadType(name);
        type.kind = TypeKind::kFixed;
        type.length = first;
        return type;
    }
    if (name.starts_with("geometry(") && name.ends_with(')'))
        type.kind = TypeKind::kGeometry;
    else if (name.starts_with("geography(") && name.ends_with(')'))
        type.kind = TypeKind::kGeography;
    else
        return BadType(name);
    return type;
}

Result<std::string> EncodeSingleValue(const PrimitiveType& type, const SingleValue& value) {
    switch (type.kind) {
        case TypeKind::kBoolean:
            if (const auto* v = std::get_if<bool>(&value)) return std::string(1, *v ? 1 : 0);
            break;
        case TypeKind::kInt:
        case TypeKind::kDate:
            if (const auto* v = std::get_if<int32_t>(&value)) return Raw(*v);
            break;
        case TypeKind::kLong:
        case TypeKind::kTime:
        case TypeKind::kTimestamp:
        case TypeKind::kTimestampTz:
        case TypeKind::kTimestampNs:
        case TypeKind::kTimestampTzNs:
            if (const auto* v = std::get_if<int64_t>(&value)) return Raw(*v);
            break;
        case TypeKind::kFloat:
            if (const auto* v = std::get_if<float>(&value); v && !std::isnan(*v)) return Raw(*v);
            break;
        case TypeKind::kDouble:
            if (const auto* v = std::get_if<double>(&value); v && !std::isnan(*v)) return Raw(*v);
            break;
        case TypeKind::kDecimal:
            if (const auto* v = std::get_if<Int128>(&value)) return EncodeDecimal(*v);
            break;
        case TypeKind::kString:
        case TypeKind::kBinary:
            if (const auto* v = std::get_if<std::string>(&value)) return *v;
            break;
        case TypeKind::kUuid:
        case TypeKind::kFixed:
            if (const auto* v = std::get_if<std::string>(&value)) {
                if (static_cast<int64_t>(v->size()) == (type.kind == TypeKind::kUuid ? 16 : type.length)) return *v;
            }
            break;
        default: return Status::Make(sqlstate::kFeatureNotSupported, "a value of this Iceberg type has no binary form");
    }
    return Status::Internal("a value does not fit its Iceberg type");
}

Result<SingleValue> DecodeSingleValue(const PrimitiveType& type, std::string_view bytes) {
    constexpr int64_t kMicrosPerDay = 86400ll * 1000000;
    switch (type.kind) {
        case TypeKind::kBoolean:
            if (bytes.size() == 1) return SingleValue(bytes[0] != 0);
            break;
        case TypeKind::kInt:
        case TypeKind::kDate:
            if (bytes.size() == 4) return SingleValue(FromRaw<int32_t>(bytes));
            break;
        case TypeKind::kLong:
            if (bytes.size() == 4) return SingleValue(static_cast<int64_t>(FromRaw<int32_t>(bytes)));
            if (bytes.size() == 8) return SingleValue(FromRaw<int64_t>(bytes));
            break;
        case TypeKind::kTimestamp:
        case TypeKind::kTimestampNs: {
            if (bytes.size() == 8) return SingleValue(FromRaw<int64_t>(bytes));
            const int64_t per_day = kMicrosPerDay * (type.kind == TypeKind::kTimestampNs ? 1000 : 1);
            int64_t since_1970 = 0;
            if (bytes.size() == 4 && !__builtin_mul_overflow(int64_t{FromRaw<int32_t>(bytes)}, per_day, &since_1970)) {
                return SingleValue(since_1970);
            }
            break;
        }
        case TypeKind::kTime:
        case TypeKind::kTimestampTz:
        case TypeKind::kTimestampTzNs:
            if (bytes.size() == 8) return SingleValue(FromRaw<int64_t>(bytes));
            break;
        case TypeKind::kFloat:
            if (bytes.size() == 4) return SingleValue(FromRaw<float>(bytes));
            break;
        case TypeKind::kDouble:
            if (bytes.size() == 4) return SingleValue(static_cast<double>(FromRaw<float>(bytes)));
            if (bytes.size() == 8) return SingleValue(FromRaw<double>(bytes));
            break;
        case TypeKind::kDecimal:
            if (!bytes.empty() && bytes.size() <= 16) return SingleValue(DecodeDecimal(bytes));
            break;
        case TypeKind::kString:
        case TypeKind::kBinary: return SingleValue(std::string(bytes));
        case TypeKind::kUuid:
            if (bytes.size() == 16) return SingleValue(std::string(bytes));
            break;
        case TypeKind::kFixed:
            if (static_cast<int64_t>(bytes.size()) == type.length) return SingleValue(std::string(bytes));
            break;
        default: return Status::Make(sqlstate::kFeatureNotSupported, "a value of this Iceberg type has no binary form");
    }
    return Status::Corrupt("a column's bound has " + std::to_string(bytes.size()) +
                           " bytes, which its type does not have");
}

std::optional<std::string> TruncatedLowerText(std::string_view text, size_t length) {
    const auto offsets = CharacterOffsets(text, length);
    if (!offsets) return std::nullopt;
    return std::string(text.substr(0, offsets->size() > length ? (*offsets)[length] : text.size()));
}

std::optional<std::string> TruncatedUpperText(std::string_view text, size_t length) {
    const auto offsets = CharacterOffsets(text, length);
    if (!offsets) return std::nullopt;
    if (offsets->size() <= length || (*offsets)[length] == text.size()) return std::string(text);
    for (size_t i = length; i > 0; i--) {
        const size_t begin = (*offsets)[i - 1];
        uint32_t code = CodePoint(text.substr(begin, (*offsets)[i] - begin)) + 1;
        if (code >= 0xd800 && code < 0xe000) code = 0xe000;  // surrogates are no characters
        if (code <= 0x10ffff) return std::string(text.substr(0, begin)) + Utf8(code);
    }
    return std::nullopt;
}

std::string TruncatedLowerBinary(std::string_view bytes, size_t length) { return std::string(bytes.substr(0, length)); }

std::optional<std::string> TruncatedUpperBinary(std::string_view bytes, size_t length) {
    if (bytes.size() <= length) return std::string(bytes);
    std::string bound(bytes.substr(0, length));
    while (!bound.empty() && static_cast<unsigned char>(bound.back()) == 0xff) bound.pop_back();
    if (bound.empty()) return std::nullopt;
    bound.back() = static_cast<char>(static_cast<unsigned char>(bound.back()) + 1);
    return bound;
}

}  // namespace ivy::iceberg
