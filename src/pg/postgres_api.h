// SPDX-License-Identifier: Apache-2.0
//
// The one way in which our C++ code includes the server's headers. Everything that touches Postgres includes this
// first, before any other header of ours that needs the standard library.
//
// Why one place: the server's headers are C (they must be read as extern "C", and the standard headers that they pull
// in must have been read before as C++), and they define macros with names that C++ code uses. More server headers may
// be included after this one, inside extern "C".
#pragma once

#include <atomic>
#include <cmath>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

extern "C" {
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/nodes.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
}

// Macros that break C++ code which comes later: the server's printf family, gettext's shorthand, and ours.
#undef _
#undef vsnprintf
#undef snprintf
#undef vsprintf
#undef sprintf
#undef vfprintf
#undef fprintf
#undef vprintf
#undef printf
#undef strerror
#undef strerror_r
