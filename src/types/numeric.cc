// SPDX-License-Identifier: Apache-2.0
// Numerics to scaled integers and back. See numeric.h for the layout.
#include "types/numeric.h"

extern "C" {
#include "varatt.h"
}

namespace ivy::types {

namespace {

constexpr uint16_t kFormMask = 0xC000;
constexpr uint16_t kShortForm = 0x8000;
constexpr uint16_t kSpecialForm = 0xC000;
constexpr uint16_t kShortSign = 0x2000;
constexpr int kShortScaleShift = 7;
constexpr uint16_t kShortScaleMask = 0x3F;
constexpr uint16_t kShortWeightSign = 0x40;
constexpr uint16_t kShortWeightMask = 0x7F;
constexpr uint16_t kLongSign = 0x4000;
constexpr uint16_t kLongScaleMask = 0x3FFF;

constexpr int kDigitsPerGroup = 4;
constexpr int kGroupBase = 10000;
constexpr int kSmallPowers[kDigitsPerGroup + 1] = {1, 10, 100, 1000, 10000};
constexpr int kMaxGroups = 12;  // 39 digits, unaligned

int DecimalDigits(int group) { return group >= 1000 ? 4 : group >= 100 ? 3 : group >= 10 ? 2 : group >= 1 ? 1 : 0; }

// A numeric's bytes need not be aligned: a short varlena header is one byte.
template <typename T>
T Load(const char* at) {
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

// Splits "value" into groups of four decimal digits, least significant first. Returns their number.
template <typename Unsigned>
int SplitGroups(Unsigned value, int16_t* groups) {
    int count = 0;
    for (; value > 0; value /= kGroupBase) groups[count++] = static_cast<int16_t>(value % kGroupBase);
    return count;
}

// A numeric's header.
struct Parts {
    bool finite;
    bool negative;
    int display_scale;
    int weight;
    const char* digits;
    int count;
};

Parts ReadParts(const char* data, size_t size) {
    const auto header = Load<uint16_t>(data);
    Parts parts{};
    size_t header_size = sizeof(uint16_t);
    if ((header & kFormMask) == kSpecialForm) return parts;
    parts.finite = true;
    if ((header & kFormMask) == kShortForm) {
        parts.negative = header & kShortSign;
        parts.display_scale = (header >> kShortScaleShift) & kShortScaleMask;
        parts.weight = (header & kShortWeightMask);
        if (parts.weight & kShortWeightSign) parts.weight -= kShortWeightMask + 1;
    } else {
        parts.negative = header & kLongSign;
        parts.display_scale = header & kLongScaleMask;
        parts.weight = Load<int16_t>(data + sizeof(uint16_t));
        header_size += sizeof(int16_t);
    }
    parts.digits = data + header_size;
    parts.count = static_cast<int>((size - header_size) / sizeof(int16_t));
    return parts;
}

// value * 10^scale; false if decimal(precision, scale) does not have the value.
bool Scaled(const Parts& parts, int precision, int scale, Int128* out) {
    *out = 0;
    if (!parts.finite) return false;
    if (parts.count == 0) return true;
    const int integer_digits = parts.weight * kDigitsPerGroup + DecimalDigits(Load<int16_t>(parts.digits));
    if (integer_digits > precision - scale) return false;  // also keeps what follows within 10^38

    Int128 value = 0;
    int shift = 0;  // decimal places between the last group taken and the scale
    for (int i = 0; i < parts.count; i++) {
        const int group = Load<int16_t>(parts.digits + i * sizeof(int16_t));
        shift = (parts.weight - i) * kDigitsPerGroup + scale;
        if (shift >= 0) {
            value = value * kGroupBase + group;
        } else {  // the scale cuts through this group: what is below it must be zero
            if (shift <= -kDigitsPerGroup || group % kSmallPowers[-shift] != 0) return false;
            value = value * kSmallPowers[kDigitsPerGroup + shift] + group / kSmallPowers[-shift];
        }
    }
    for (; shift >= kDigitsPerGroup; shift -= kDigitsPerGroup) value *= kGroupBase;
    if (shift > 0) value *= kSmallPowers[shift];
    *out = parts.negative ? -value : value;
    return true;
}

}  // namespace

int NumericTypmodPrecision(int32 typmod) { return ((typmod - static_cast<int32>(VARHDRSZ)) >> 16) & 0xffff; }

int NumericTypmodScale(int32 typmod) {
    const int bits = (typmod - static_cast<int32>(VARHDRSZ)) & 0x7ff;  // 11 bits, two's complement
    return (bits ^ 1024) - 1024;
}

bool NumericToInt128(const char* data, size_t size, int precision, int scale, Int128* out) {
    const Parts parts = ReadParts(data, size);
    // The scale is part of the value: 1.5 is not 1.50.
    return parts.display_scale == scale && Scaled(parts, precision, scale, out);
}

bool NumericFits(const char* data, size_t size, int precision, int scale) {
    Int128 value;
    return Scaled(ReadParts(data, size), precision, scale, &value);
}

Datum Int128ToNumeric(Int128 value, int scale) {
    const bool negative = value < 0;
    auto rest = negative ? -static_cast<unsigned __int128>(value) : static_cast<unsigned __int128>(value);

    // Groups are aligned at the decimal point: the lowest may hold fewer than four of the scale's digits.
    int16_t groups[kMaxGroups];
    int count = 0;
    const int partial = scale % kDigitsPerGroup;
    if (partial > 0) {
        groups[count++] = static_cast<int16_t>(static_cast<int>(rest % kSmallPowers[partial]) *
                                               kSmallPowers[kDigitsPerGroup - partial]);
        rest /= kSmallPowers[partial];
    }
    if (rest <= UINT64_MAX) {
        count += SplitGroups(static_cast<uint64_t>(rest), groups + count);
    } else {
        count += SplitGroups(rest, groups + count);
    }
    const int fraction_groups = (scale + kDigitsPerGroup - 1) / kDigitsPerGroup;

    int low = 0;
    while (low < count && groups[low] == 0) low++;
    while (count > low && groups[count - 1] == 0) count--;
    const int used = count - low;
    const int weight = used == 0 ? 0 : count - 1 - fraction_groups;

    const Size size = VARHDRSZ + sizeof(uint16_t) + used * sizeof(int16_t);
    auto* result = static_cast<char*>(palloc(size));
    SET_VARSIZE(result, size);
    const auto header = static_cast<uint16_t>(kShortForm | (negative ? kShortSign : 0) | (scale << kShortScaleShift) |
                                              (weight & kShortWeightMask));
    char* at = result + VARHDRSZ;
    std::memcpy(at, &header, sizeof header);
    at += sizeof header;
    for (int i = count - 1; i >= low; i--, at += sizeof(int16_t)) std::memcpy(at, &groups[i], sizeof(int16_t));
    return PointerGetDatum(result);
}

}  // namespace ivy::types
