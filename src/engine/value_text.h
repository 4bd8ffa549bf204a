// SPDX-License-Identifier: Apache-2.0
//
// Values from text and to text as the server's input and output functions do it. Inputs throw the server's errors for what
// is no value of the type; forms of dates that depend on settings, or that only a few use, are "not supported" here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ivy::engine {

// Decimal, or with 0x, 0o, 0b, and underscores between digits. "type" is what errors name.
int64_t IntegerFromText(std::string_view text, int64_t min, int64_t max, const char* type);
bool BooleanFromText(std::string_view text);
template <typename T>
T FloatFromText(std::string_view text);
// The canonical text of the numeric.
std::string NumericFromText(std::string_view text);
// Hyphenated small letters.
std::string UuidFromText(std::string_view text);

struct TextStamp {
    int64_t days = 0;  // from 1970-01-01
    int64_t time = 0;  // microseconds of the day
    int infinity = 0;  // 1 or -1
    bool has_offset = false;
    int64_t offset = 0;  // seconds east of Greenwich
};
// Forms that mean the same under every DateStyle: YYYY-MM-DD, YYYY/MM/DD or YYYYMMDD, a time of day behind a blank or T, an
// offset behind that, BC; the infinities.
TextStamp StampFromText(std::string_view text, const char* type);

// Shortest digits, or as many significant ones as extra_float_digits asks for.
std::string FloatText(double value, int extra_float_digits);
std::string FloatText(float value, int extra_float_digits);

// DateStyle ISO. Years before Christ end in BC.
std::string DateText(int64_t days);
std::string TimeText(int64_t micros);
std::string StampText(int64_t local_micros);
std::string StampText(int64_t local_micros, std::string_view offset);
// "+05:30", of seconds east of Greenwich.
std::string OffsetText(int64_t seconds);
// IntervalStyle postgres.
std::string IntervalText(int64_t months, int64_t days, int64_t micros);

}  // namespace ivy::engine
