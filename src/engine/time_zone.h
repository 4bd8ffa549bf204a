// SPDX-License-Identifier: Apache-2.0
//
// A time zone as a table of its transitions, which the backend makes from the server's own zone data: so what is computed
// here is what the server would have computed, whatever zone data this machine or DuckDB has.
//
// The table's text is "offset", then " second:offset" for each transition in ascending order (seconds since 1970-01-01 UTC,
// offsets in seconds east of Greenwich), then " second!" if the table ends there.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace ivy::engine {

class TimeZone {
  public:
    // Throws if the text is not a table.
    static TimeZone Parse(std::string_view text);

    // Microseconds of a finite timestamp, as shown by the zone's clocks, and back. A local time that a transition skips
    // counts by the offset before it, one that occurs twice by the offset after it, as in Postgres. Throw for a time
    // that the table doesn't reach.
    int64_t ToLocal(int64_t utc) const;
    int64_t ToUtc(int64_t local) const;

  private:
    struct Transition {
        int64_t second;
        int32_t offset;  // from then on
    };

    // The first transition after "second".
    size_t FirstAfter(int64_t second) const;
    int32_t OffsetBefore(size_t transition) const {
        return transition == 0 ? first_offset_ : transitions_[transition - 1].offset;
    }

    int32_t first_offset_ = 0;
    std::vector<Transition> transitions_;
    int64_t end_ = INT64_MAX;
};

}  // namespace ivy::engine
