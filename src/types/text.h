// SPDX-License-Identifier: Apache-2.0
//
// Text between the server and the wire: encodings, and output and input functions that no setting influences.
#pragma once

#include "pg/postgres_api.h"

#include "protocol/column_chunk.h"

namespace ivy::types {

// Whether every text value of this database is valid UTF-8 as it is.
bool DatabaseIsUtf8();

// Appends text in the database's encoding as UTF-8. False, and NULL appended, if it can't be converted there and back.
bool AppendServerText(const char* text, size_t size, ColumnBuilder* out);

// UTF-8 from the wire in the database's encoding: *text and *size point to it, in place or palloc'ed; not terminated.
// ereports if a character has no equivalent.
void ToServerText(std::string_view utf8, const char** text, size_t* size);

// OutputFunctionCall and InputFunctionCall under fixed settings (DateStyle, IntervalStyle, TimeZone,
// extra_float_digits, bytea_output, xmloption, array_nulls), so that equal values have equal text in every session and
// all of it can be read back. Far cheaper than changing settings through their own machinery; restored on error.
char* PinnedOutput(FmgrInfo* function, Datum value);
Datum PinnedInput(FmgrInfo* function, char* text, Oid typioparam);

}  // namespace ivy::types
