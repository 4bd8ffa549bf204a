// SPDX-License-Identifier: Apache-2.0
//
// Numerics to scaled 128-bit integers and back, without text.
//
// A numeric's layout is part of the on-disk format and so fixed for a major version, but its struct is private to the
// server's numeric.c. Format (after the varlena header): a 16-bit header; with bit 15 set and bit 14 clear it is the
// short form (bit 13 sign, bits 12..7 display scale, bits 6..0 weight in two's complement); with both set it is NaN or
// an infinity; otherwise it is the long form (bit 14 sign, bits 13..0 display scale), followed by a 16-bit weight. Then
// come 16-bit digits in base 10000, most significant first, without leading and trailing zeros; the first digit's place
// is 10000^weight.
#pragma once

#include "pg/postgres_api.h"

#include "protocol/column_chunk.h"

namespace ivy::types {

// value * 10^scale for a numeric(precision, scale) value given by its bytes after the varlena header. False if it is
// NaN or infinite, has another display scale, or has too many digits.
bool NumericToInt128(const char* data, size_t size, int precision, int scale, Int128* out);

// Whether decimal(precision, scale) has the value of a numeric given so, whatever its display scale is.
bool NumericFits(const char* data, size_t size, int precision, int scale);

// The numeric value / 10^scale with display scale "scale" (0..38), palloc'ed.
Datum Int128ToNumeric(Int128 value, int scale);

// The parts of a numeric's typmod. REQUIRES: typmod >= VARHDRSZ
int NumericTypmodPrecision(int32 typmod);
int NumericTypmodScale(int32 typmod);

}  // namespace ivy::types
