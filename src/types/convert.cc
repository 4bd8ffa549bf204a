// SPDX-License-Identifier: Apache-2.0
// The converters between Datums and column values. Each does Postgres's part first and then appends inside Guard, so
// that neither an error nor an exception leaves a row half written.
#include "types/convert.h"

#include "pg/guard.h"
#include "types/numeric.h"
#include "types/text.h"

extern "C" {
#include "common/int.h"
#include "utils/date.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
#include "varatt.h"
}

namespace ivy::types {

namespace {

template <typename T>
bool Append(ColumnBuilder* out, T value) {
    pg::Guard([&] { out->AppendFixed(value); });
    return true;
}

bool AppendUnstorable(ColumnBuilder* out) {
    pg::Guard([&] { out->AppendNull(); });
    return false;
}

// The wire's infinities are symmetric, Postgres's are the type's extremes.
constexpr int32_t kWireDateInfinity = INT32_MAX;
constexpr int64_t kWireTimestampInfinity = INT64_MAX;

struct WireInterval {
    int32_t months;
    int32_t days;
    int64_t micros;
};
static_assert(sizeof(WireInterval) == 16);

char* ServerCString(std::string_view utf8) {
    const char* text;
    size_t size;
    ToServerText(utf8, &text, &size);
    return pnstrdup(text, size);
}

}  // namespace

bool WriteBool(DatumWriter*, Datum value, ColumnBuilder* out) {
    return Append<uint8_t>(out, DatumGetBool(value) ? 1 : 0);
}
bool WriteInt16(DatumWriter*, Datum value, ColumnBuilder* out) { return Append<int16_t>(out, DatumGetInt16(value)); }
bool WriteInt32(DatumWriter*, Datum value, ColumnBuilder* out) { return Append<int32_t>(out, DatumGetInt32(value)); }
bool WriteInt64(DatumWriter*, Datum value, ColumnBuilder* out) { return Append<int64_t>(out, DatumGetInt64(value)); }
bool WriteOid(DatumWriter*, Datum value, ColumnBuilder* out) { return Append<int64_t>(out, DatumGetObjectId(value)); }
bool WriteFloat(DatumWriter*, Datum value, ColumnBuilder* out) { return Append<float>(out, DatumGetFloat4(value)); }
bool WriteDouble(DatumWriter*, Datum value, ColumnBuilder* out) { return Append<double>(out, DatumGetFloat8(value)); }

bool WriteDecimal(DatumWriter* writer, Datum value, ColumnBuilder* out) {
    auto* numeric = reinterpret_cast<varlena*>(PG_DETOAST_DATUM_PACKED(value));
    const ColumnType& column = writer->mapping.column;
    Int128 scaled;
    if (!NumericToInt128(VARDATA_ANY(numeric), VARSIZE_ANY_EXHDR(numeric), column.precision, column.scale, &scaled)) {
        return AppendUnstorable(out);
    }
    return Append(out, scaled);
}

bool WriteText(DatumWriter*, Datum value, ColumnBuilder* out) {
    auto* text = reinterpret_cast<varlena*>(PG_DETOAST_DATUM_PACKED(value));
    return AppendServerText(VARDATA_ANY(text), VARSIZE_ANY_EXHDR(text), out);
}

bool WriteName(DatumWriter*, Datum value, ColumnBuilder* out) {
    const char* name = NameStr(*DatumGetName(value));
    return AppendServerText(name, strlen(name), out);
}

bool WriteBytes(DatumWriter*, Datum value, ColumnBuilder* out) {
    auto* bytes = reinterpret_cast<varlena*>(PG_DETOAST_DATUM_PACKED(value));
    pg::Guard([&] { out->AppendVariable({VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes)}); });
    return true;
}

bool WriteDate(DatumWriter*, Datum value, ColumnBuilder* out) {
    const DateADT date = DatumGetDateADT(value);
    if (DATE_IS_NOBEGIN(date)) return Append<int32_t>(out, -kWireDateInfinity);
    if (DATE_IS_NOEND(date)) return Append<int32_t>(out, kWireDateInfinity);
    return Append<int32_t>(out, date + kPostgresEpochDays);  // the latest date is 2.3 million days from overflow
}

bool WriteTimestamp(DatumWriter*, Datum value, ColumnBuilder* out) {
    const Timestamp timestamp = DatumGetTimestamp(value);
    if (TIMESTAMP_IS_NOBEGIN(timestamp)) return Append<int64_t>(out, -kWireTimestampInfinity);
    if (TIMESTAMP_IS_NOEND(timestamp)) return Append<int64_t>(out, kWireTimestampInfinity);
    int64 shifted;
    if (pg_add_s64_overflow(timestamp, kPostgresEpochMicros, &shifted) || shifted == kWireTimestampInfinity) {
        return AppendUnstorable(out);  // the last 30 years of Postgres's range
    }
    return Append<int64_t>(out, shifted);
}

bool WriteUuid(DatumWriter*, Datum value, ColumnBuilder* out) {
    const pg_uuid_t* uuid = DatumGetUUIDP(value);
    pg::Guard([&] { out->AppendRaw(uuid->data); });
    return true;
}

bool WriteInterval(DatumWriter*, Datum value, ColumnBuilder* out) {
    const Interval* interval = DatumGetIntervalP(value);
    return Append(out, WireInterval{interval->month, interval->day, interval->time});
}

bool WriteOutput(DatumWriter* writer, Datum value, ColumnBuilder* out) {
    const char* text = OutputFunctionCall(&writer->output, value);
    return AppendServerText(text, strlen(text), out);
}

bool WriteFittingNumeric(DatumWriter* writer, Datum value, ColumnBuilder* out) {
    auto* numeric = reinterpret_cast<varlena*>(PG_DETOAST_DATUM_PACKED(value));
    if (!NumericFits(VARDATA_ANY(numeric), VARSIZE_ANY_EXHDR(numeric), kMaxDecimalDigits, writer->numeric_scale)) {
        return AppendUnstorable(out);
    }
    return WriteOutput(writer, PointerGetDatum(numeric), out);
}

bool WritePinnedOutput(DatumWriter* writer, Datum value, ColumnBuilder* out) {
    const char* text = PinnedOutput(&writer->output, value);
    return AppendServerText(text, strlen(text), out);
}

bool WriteNothing(DatumWriter*, Datum, ColumnBuilder* out) { return AppendUnstorable(out); }

Datum ReadBool(DatumReader*, const ColumnView* column, size_t row) {
    return BoolGetDatum(column->Get<uint8_t>(row) != 0);
}
Datum ReadInt16(DatumReader*, const ColumnView* column, size_t row) { return Int16GetDatum(column->Get<int16_t>(row)); }
Datum ReadInt32(DatumReader*, const ColumnView* column, size_t row) { return Int32GetDatum(column->Get<int32_t>(row)); }
Datum ReadInt64(DatumReader*, const ColumnView* column, size_t row) { return Int64GetDatum(column->Get<int64_t>(row)); }
Datum ReadOid(DatumReader*, const ColumnView* column, size_t row) {
    return ObjectIdGetDatum(static_cast<Oid>(column->Get<int64_t>(row)));
}
Datum ReadFloat(DatumReader*, const ColumnView* column, size_t row) { return Float4GetDatum(column->Get<float>(row)); }
Datum ReadDouble(DatumReader*, const ColumnView* column, size_t row) {
    return Float8GetDatum(column->Get<double>(row));
}

Datum ReadDecimal(DatumReader* reader, const ColumnView* column, size_t row) {
    return Int128ToNumeric(column->Get<Int128>(row), reader->wire.scale);
}

Datum ReadText(DatumReader*, const ColumnView* column, size_t row) {
    const char* text;
    size_t size;
    ToServerText(column->GetVariable(row), &text, &size);
    // Files of other writers may hold what no text of the server can.
    if (memchr(text, '\0', size)) {
        ereport(ERROR, (errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
                        errmsg("invalid byte sequence for encoding \"UTF8\": 0x00")));
    }
    return PointerGetDatum(cstring_to_text_with_len(text, static_cast<int>(size)));
}

Datum ReadName(DatumReader*, const ColumnView* column, size_t row) {
    auto* name = static_cast<Name>(palloc0(NAMEDATALEN));
    namestrcpy(name, ServerCString(column->GetVariable(row)));
    return NameGetDatum(name);
}

Datum ReadBytes(DatumReader*, const ColumnView* column, size_t row) {
    const std::string_view bytes = column->GetVariable(row);
    return PointerGetDatum(cstring_to_text_with_len(bytes.data(), static_cast<int>(bytes.size())));
}

Datum ReadDate(DatumReader*, const ColumnView* column, size_t row) {
    const auto days = column->Get<int32_t>(row);
    if (days == -kWireDateInfinity) return DateADTGetDatum(DATEVAL_NOBEGIN);
    if (days == kWireDateInfinity) return DateADTGetDatum(DATEVAL_NOEND);
    int32 date;
    if (pg_sub_s32_overflow(days, kPostgresEpochDays, &date) || !IS_VALID_DATE(date)) {
        ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("date out of range")));
    }
    return DateADTGetDatum(date);
}

Datum ReadTimestamp(DatumReader*, const ColumnView* column, size_t row) {
    const auto micros = column->Get<int64_t>(row);
    if (micros == -kWireTimestampInfinity) return TimestampGetDatum(DT_NOBEGIN);
    if (micros == kWireTimestampInfinity) return TimestampGetDatum(DT_NOEND);
    int64 timestamp;
    if (pg_sub_s64_overflow(micros, kPostgresEpochMicros, &timestamp) || !IS_VALID_TIMESTAMP(timestamp)) {
        ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
    }
    return TimestampGetDatum(timestamp);
}

Datum ReadUuid(DatumReader*, const ColumnView* column, size_t row) {
    auto* uuid = static_cast<pg_uuid_t*>(palloc(sizeof(pg_uuid_t)));
    std::memcpy(uuid->data, column->fixed + row * sizeof uuid->data, sizeof uuid->data);
    return UUIDPGetDatum(uuid);
}

Datum ReadInterval(DatumReader*, const ColumnView* column, size_t row) {
    const auto wire = column->Get<WireInterval>(row);
    auto* interval = static_cast<Interval*>(palloc(sizeof(Interval)));
    interval->time = wire.micros;
    interval->day = wire.days;
    interval->month = wire.months;
    return IntervalPGetDatum(interval);
}

Datum ReadInput(DatumReader* reader, const ColumnView* column, size_t row) {
    return InputFunctionCall(&reader->input, ServerCString(column->GetVariable(row)), reader->typioparam, -1);
}

Datum ReadPinnedInput(DatumReader* reader, const ColumnView* column, size_t row) {
    return PinnedInput(&reader->input, ServerCString(column->GetVariable(row)), reader->typioparam);
}

}  // namespace ivy::types
