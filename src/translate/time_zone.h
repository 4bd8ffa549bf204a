// SPDX-License-Identifier: Apache-2.0
// Time zones for the engine: tables of transitions, made from the server's zone data (engine/time_zone.h has the format).
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "pgtime.h"
}

namespace ivy::translate {

// The zone's table, kept for the life of the process if it is the session's. Null for a zone that has too many transitions.
const char* ZoneTable(pg_tz* zone);

// The table of a zone by its name or abbreviation, as in AT TIME ZONE 'name'. Null if the name has no fixed meaning.
const char* NamedZoneTable(const char* name);

}  // namespace ivy::translate
