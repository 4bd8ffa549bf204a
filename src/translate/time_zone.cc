// SPDX-License-Identifier: Apache-2.0
// Tables of transitions: see the header.
#include "translate/time_zone.h"

extern "C" {
#include "utils/datetime.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
}

namespace ivy::translate {

namespace {

constexpr pg_time_t kFirstSecond = INT64CONST(-210866803200);  // of the calendar
constexpr pg_time_t kLastSecond = INT64CONST(7258118400);      // 2200-01-01; until then rules of today are written out
constexpr int kMaxTransitions = 4000;                          // rules without a beginning would fill centuries

void MakeTable(pg_tz* zone, StringInfo out) {
    pg_time_t from = kFirstSecond;
    for (int count = 0;; count++) {
        pg_time_t boundary;
        long before;
        long after;
        int before_is_dst;
        int after_is_dst;
        const int found = pg_next_dst_boundary(&from, &before, &before_is_dst, &boundary, &after, &after_is_dst, zone);
        if (found < 0 || count > kMaxTransitions) {
            resetStringInfo(out);
            return;
        }
        if (out->len == 0) appendStringInfo(out, "%ld", before);
        if (found == 0) return;
        if (boundary > kLastSecond) {
            appendStringInfo(out, " " INT64_FORMAT "!", static_cast<int64>(kLastSecond));
            return;
        }
        appendStringInfo(out, " " INT64_FORMAT ":%ld", static_cast<int64>(boundary), after);
        from = boundary;
    }
}

}  // namespace

const char* ZoneTable(pg_tz* zone) {
    // Zones live as long as the process.
    static pg_tz* known = nullptr;
    static const char* table = nullptr;
    if (zone == known) return table;
    StringInfoData text;
    initStringInfo(&text);
    MakeTable(zone, &text);
    if (zone != session_timezone) return text.len > 0 ? text.data : nullptr;
    char* kept = text.len > 0 ? MemoryContextStrdup(TopMemoryContext, text.data) : nullptr;
    if (table != nullptr) pfree(const_cast<char*>(table));
    table = kept;
    known = zone;
    return table;
}

const char* NamedZoneTable(const char* name) {
    int offset;
    pg_tz* zone;
    switch (DecodeTimezoneName(name, &offset, &zone)) {
        case TZNAME_FIXED_OFFSET: return psprintf("%d", offset);
        case TZNAME_ZONE: return ZoneTable(zone);
        default: return nullptr;
    }
}

}  // namespace ivy::translate
