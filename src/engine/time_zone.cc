// SPDX-License-Identifier: Apache-2.0
// TimeZone: see the header.
#include "engine/time_zone.h"

#include <duckdb.hpp>

#include <algorithm>
#include <charconv>
#include <string>

#include "engine/calendar.h"
#include "engine/error_map.h"

namespace ivy::engine {
namespace {

constexpr int64_t kSecond = 1000000;
constexpr int64_t kDaySeconds = 86400;

[[noreturn]] void OutOfRange() { ThrowSqlError(sqlstate::kDatetimeOverflow, "timestamp out of range"); }

int64_t Shifted(int64_t micros, int64_t seconds) {
    int64_t result;
    if (__builtin_add_overflow(micros, seconds * kSecond, &result) || result == INT64_MAX || result <= -INT64_MAX)
        OutOfRange();
    return result;
}

int64_t TakeNumber(std::string_view* text) {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
    if (error != std::errc()) ThrowSqlError(sqlstate::kInternalError, "damaged time zone table");
    text->remove_prefix(static_cast<size_t>(end - text->data()));
    return value;
}

}  // namespace

TimeZone TimeZone::Parse(std::string_view text) {
    TimeZone zone;
    zone.first_offset_ = static_cast<int32_t>(TakeNumber(&text));
    while (!text.empty()) {
        text.remove_prefix(1);
        const int64_t second = TakeNumber(&text);
        if (text.starts_with('!')) {
            zone.end_ = second;
            text.remove_prefix(1);
            continue;
        }
        if (!text.starts_with(':')) ThrowSqlError(sqlstate::kInternalError, "damaged time zone table");
        text.remove_prefix(1);
        zone.transitions_.push_back({second, static_cast<int32_t>(TakeNumber(&text))});
    }
    return zone;
}

size_t TimeZone::FirstAfter(int64_t second) const {
    if (second >= end_) ThrowSqlError(sqlstate::kFeatureNotSupported, "timestamp is beyond the time zone table");
    const auto found = std::upper_bound(transitions_.begin(), transitions_.end(), second,
                                        [](int64_t value, const Transition& t) { return value < t.second; });
    return static_cast<size_t>(found - transitions_.begin());
}

int64_t TimeZone::ToLocal(int64_t utc) const {
    if (transitions_.empty()) return Shifted(utc, first_offset_);
    return Shifted(utc, OffsetBefore(FirstAfter(FloorDivide(utc, kSecond))));
}

int64_t TimeZone::ToUtc(int64_t local) const {
    if (transitions_.empty()) return Shifted(local, -first_offset_);
    const int64_t second = FloorDivide(local, kSecond);
    // Offsets are less than a day, and no two transitions are within two days.
    const size_t next = FirstAfter(second - kDaySeconds);
    const int32_t before = OffsetBefore(next);
    if (next == transitions_.size()) return Shifted(local, -before);
    const int32_t after = transitions_[next].offset;
    const int64_t boundary = transitions_[next].second;
    const int64_t if_before = second - before;
    const int64_t if_after = second - after;
    if (if_before < boundary && if_after < boundary) return Shifted(local, -before);
    if (if_before > boundary && if_after >= boundary) return Shifted(local, -after);
    return Shifted(local, if_before > if_after ? -before : -after);
}

}  // namespace ivy::engine
