// SPDX-License-Identifier: Apache-2.0
//
// The converters that rows of the type map name, one pair for each way in which the server holds values. See type_map.h
// for what they must do.
#pragma once

#include "types/type_map.h"

namespace ivy::types {

using WriteFn = bool (*)(DatumWriter*, Datum, ColumnBuilder*);
using ReadFn = Datum (*)(DatumReader*, const ColumnView*, size_t row);

bool WriteBool(DatumWriter*, Datum, ColumnBuilder*);
bool WriteInt16(DatumWriter*, Datum, ColumnBuilder*);
bool WriteInt32(DatumWriter*, Datum, ColumnBuilder*);
bool WriteInt64(DatumWriter*, Datum, ColumnBuilder*);
bool WriteOid(DatumWriter*, Datum, ColumnBuilder*);  // unsigned 32-bit values in 64 bits
bool WriteFloat(DatumWriter*, Datum, ColumnBuilder*);
bool WriteDouble(DatumWriter*, Datum, ColumnBuilder*);
bool WriteDecimal(DatumWriter*, Datum, ColumnBuilder*);
bool WriteText(DatumWriter*, Datum, ColumnBuilder*);  // varlena text
bool WriteName(DatumWriter*, Datum, ColumnBuilder*);
bool WriteBytes(DatumWriter*, Datum, ColumnBuilder*);
bool WriteDate(DatumWriter*, Datum, ColumnBuilder*);
bool WriteTimestamp(DatumWriter*, Datum, ColumnBuilder*);
bool WriteUuid(DatumWriter*, Datum, ColumnBuilder*);
bool WriteInterval(DatumWriter*, Datum, ColumnBuilder*);
bool WriteOutput(DatumWriter*, Datum, ColumnBuilder*);          // the output function, which no setting influences
bool WriteFittingNumeric(DatumWriter*, Datum, ColumnBuilder*);  // likewise, if decimal(38, numeric_scale) has the value
bool WritePinnedOutput(DatumWriter*, Datum, ColumnBuilder*);    // the output function, under fixed settings
bool WriteNothing(DatumWriter*, Datum, ColumnBuilder*);         // no value can be stored

Datum ReadBool(DatumReader*, const ColumnView*, size_t row);
Datum ReadInt16(DatumReader*, const ColumnView*, size_t row);
Datum ReadInt32(DatumReader*, const ColumnView*, size_t row);
Datum ReadInt64(DatumReader*, const ColumnView*, size_t row);
Datum ReadOid(DatumReader*, const ColumnView*, size_t row);
Datum ReadFloat(DatumReader*, const ColumnView*, size_t row);
Datum ReadDouble(DatumReader*, const ColumnView*, size_t row);
Datum ReadDecimal(DatumReader*, const ColumnView*, size_t row);
Datum ReadText(DatumReader*, const ColumnView*, size_t row);
Datum ReadName(DatumReader*, const ColumnView*, size_t row);
Datum ReadBytes(DatumReader*, const ColumnView*, size_t row);
Datum ReadDate(DatumReader*, const ColumnView*, size_t row);
Datum ReadTimestamp(DatumReader*, const ColumnView*, size_t row);
Datum ReadUuid(DatumReader*, const ColumnView*, size_t row);
Datum ReadInterval(DatumReader*, const ColumnView*, size_t row);
Datum ReadInput(DatumReader*, const ColumnView*, size_t row);
Datum ReadPinnedInput(DatumReader*, const ColumnView*, size_t row);

}  // namespace ivy::types
