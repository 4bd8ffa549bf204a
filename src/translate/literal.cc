// SPDX-License-Identifier: Apache-2.0
// Values as DuckDB literals. No output function that depends on a setting is used, and each literal names its type, so
// that DuckDB infers nothing.
#include "translate/translator.h"

#include "types/type_map.h"

extern "C" {
#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/date.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
#include "varatt.h"
}

namespace ivy::translate {

namespace {

const char* Quote(const char* text, int size) {
    const char* utf8 = pg_server_to_any(text, size, PG_UTF8);
    if (utf8 != text) size = static_cast<int>(strlen(utf8));
    StringInfoData out;
    initStringInfo(&out);
    appendStringInfoChar(&out, '\'');
    for (int i = 0; i < size; i++) {
        if (utf8[i] == '\'') appendStringInfoChar(&out, '\'');
        appendStringInfoChar(&out, utf8[i]);
    }
    appendStringInfoChar(&out, '\'');
    return out.data;
}

char* NumericLiteral(Datum value) {
    const char* text = DatumGetCString(DirectFunctionCall1(numeric_out, value));
    const char* digits = *text == '-' ? text + 1 : text;
    if (*digits < '0' || *digits > '9') return nullptr;  // NaN and the infinities
    const char* point = strchr(digits, '.');
    const int scale = point ? static_cast<int>(strlen(point + 1)) : 0;
    int before = point ? static_cast<int>(point - digits) : static_cast<int>(strlen(digits));
    if (before == 1 && digits[0] == '0') before = 0;
    const int precision = Max(before + scale, 1);
    if (precision > 38) return nullptr;
    return psprintf("CAST('%s' AS DECIMAL(%d,%d))", text, precision, scale);
}

char* DateLiteral(DateADT date) {
    if (DATE_IS_NOBEGIN(date)) return pstrdup("CAST('-infinity' AS DATE)");
    if (DATE_IS_NOEND(date)) return pstrdup("CAST('infinity' AS DATE)");
    return psprintf("make_date(CAST(%d AS INTEGER))", date + kPostgresEpochDays);
}

char* TimestampLiteral(Timestamp stamp, bool with_zone) {
    const char* type = with_zone ? "TIMESTAMPTZ" : "TIMESTAMP";
    if (TIMESTAMP_IS_NOBEGIN(stamp)) return psprintf("CAST('-infinity' AS %s)", type);
    if (TIMESTAMP_IS_NOEND(stamp)) return psprintf("CAST('infinity' AS %s)", type);
    int64_t micros;
    // INT64_MAX itself is infinity in DuckDB.
    if (__builtin_add_overflow(stamp, kPostgresEpochMicros, &micros) || micros == INT64_MAX) return nullptr;
    return psprintf("%s(CAST(%lld AS BIGINT))", with_zone ? "make_timestamptz" : "make_timestamp",
                    static_cast<long long>(micros));
}

char* TimeLiteral(TimeADT time) {
    const int64_t seconds = time / USECS_PER_SEC;
    return psprintf("CAST('%02d:%02d:%02d.%06d' AS TIME)", static_cast<int>(seconds / 3600),
                    static_cast<int>(seconds / 60 % 60), static_cast<int>(seconds % 60),
                    static_cast<int>(time % USECS_PER_SEC));
}

char* IntervalLiteral(const Interval* interval) {
    if (INTERVAL_NOT_FINITE(interval)) return nullptr;
    return psprintf(
        "(to_months(CAST(%d AS INTEGER)) + to_days(CAST(%d AS INTEGER)) + to_microseconds(CAST(%lld AS BIGINT)))",
        interval->month, interval->day, static_cast<long long>(interval->time));
}

char* BytesLiteral(Datum value) {
    const bytea* bytes = DatumGetByteaPP(value);
    StringInfoData out;
    initStringInfo(&out);
    appendStringInfoString(&out, "unhex('");
    for (size_t i = 0; i < VARSIZE_ANY_EXHDR(bytes); i++) {
        appendStringInfo(&out, "%02x", static_cast<unsigned char>(VARDATA_ANY(bytes)[i]));
    }
    appendStringInfoString(&out, "')");
    return out.data;
}

char* FloatLiteral(double value, bool single) {
    char text[DOUBLE_SHORTEST_DECIMAL_LEN];
    if (std::isnan(value)) {
        strcpy(text, "nan");
    } else if (std::isinf(value)) {
        strcpy(text, value > 0 ? "inf" : "-inf");
    } else if (single) {
        float_to_shortest_decimal_buf(static_cast<float>(value), text);
    } else {
        double_to_shortest_decimal_buf(value, text);
    }
    return psprintf("CAST('%s' AS %s)", text, single ? "FLOAT" : "DOUBLE");
}

// All elements in storage order, without the array's shape: what "= ANY (array)" looks at.
char* ArrayLiteral(Oid element, int32 typmod, Datum value) {
    int16 size;
    bool by_value;
    char align;
    get_typlenbyvalalign(element, &size, &by_value, &align);
    Datum* items;
    bool* nulls;
    int count;
    deconstruct_array(DatumGetArrayTypeP(value), element, size, by_value, align, &items, &nulls, &count);
    StringInfoData out;
    initStringInfo(&out);
    appendStringInfoChar(&out, '[');
    for (int i = 0; i < count; i++) {
        const char* item = LiteralFor(element, typmod, items[i], nulls[i]);
        if (item == nullptr) return nullptr;
        if (i > 0) appendStringInfoString(&out, ", ");
        appendStringInfoString(&out, item);
    }
    appendStringInfoChar(&out, ']');
    // An empty list, or one of NULLs, has no type of its own. The elements of a list of decimals agree on the largest.
    const Sql column = ColumnOf(element, typmod, nullptr);
    if (column.type == NUMERICOID && column.text_form) {
        return count > 0 ? out.data : pstrdup("CAST([] AS DECIMAL(1,0)[])");
    }
    return psprintf("CAST(%s AS %s[])", out.data, TypeName(column.rep));
}

}  // namespace

bool HasTextEquality(Oid type) {
    switch (type) {
        case INETOID:
        case CIDROID:
        case MACADDROID:
        case MACADDR8OID:
        case BITOID:
        case VARBITOID: return true;
        default: return type_is_enum(type);
    }
}

bool HasLiteral(Oid type) {
    const Oid base = getBaseType(type);
    switch (base) {
        case BOOLOID:
        case INT2OID:
        case INT4OID:
        case INT8OID:
        case OIDOID:
        case FLOAT4OID:
        case FLOAT8OID:
        case NUMERICOID:
        case TEXTOID:
        case VARCHAROID:
        case BPCHAROID:
        case BYTEAOID:
        case DATEOID:
        case TIMEOID:
        case TIMESTAMPOID:
        case TIMESTAMPTZOID:
        case UUIDOID:
        case INTERVALOID: return true;
        default: {
            if (HasTextEquality(base)) return true;
            const Oid element = get_element_type(base);
            return OidIsValid(element) && get_typtype(element) == TYPTYPE_BASE && HasLiteral(element);
        }
    }
}

char* LiteralFor(Oid type, int32 typmod, Datum value, bool isnull) {
    int32 base_typmod = typmod;
    const Oid base = getBaseTypeAndTypmod(type, &base_typmod);
    if (!HasLiteral(base)) return nullptr;
    const Oid element = get_element_type(base);
    const Sql column = ColumnOf(OidIsValid(element) ? element : base, base_typmod, nullptr);
    if (isnull) {
        const bool any_numeric = column.type == NUMERICOID && column.text_form;
        return psprintf("CAST(NULL AS %s%s)", any_numeric ? "DECIMAL(1,0)" : TypeName(column.rep),
                        OidIsValid(element) ? "[]" : "");
    }
    if (OidIsValid(element)) return ArrayLiteral(element, base_typmod, value);
    switch (base) {
        case BOOLOID: return pstrdup(DatumGetBool(value) ? "TRUE" : "FALSE");
        case INT2OID: return psprintf("CAST(%d AS SMALLINT)", DatumGetInt16(value));
        case INT4OID: return psprintf("CAST(%d AS INTEGER)", DatumGetInt32(value));
        case INT8OID: return psprintf("CAST(%lld AS BIGINT)", static_cast<long long>(DatumGetInt64(value)));
        case OIDOID: return psprintf("CAST(%u AS BIGINT)", DatumGetObjectId(value));
        case FLOAT4OID: return FloatLiteral(DatumGetFloat4(value), true);
        case FLOAT8OID: return FloatLiteral(DatumGetFloat8(value), false);
        case NUMERICOID: return NumericLiteral(value);
        case TEXTOID:
        case VARCHAROID:
        case BPCHAROID: {
            const text* string = DatumGetTextPP(value);
            return psprintf("CAST(%s AS VARCHAR)", Quote(VARDATA_ANY(string), VARSIZE_ANY_EXHDR(string)));
        }
        case BYTEAOID: return BytesLiteral(value);
        case DATEOID: return DateLiteral(DatumGetDateADT(value));
        case TIMEOID: return TimeLiteral(DatumGetTimeADT(value));
        case TIMESTAMPOID: return TimestampLiteral(DatumGetTimestamp(value), false);
        case TIMESTAMPTZOID: return TimestampLiteral(DatumGetTimestampTz(value), true);
        case INTERVALOID: return IntervalLiteral(DatumGetIntervalP(value));
        case UUIDOID: return psprintf("CAST('%s' AS UUID)", DatumGetCString(DirectFunctionCall1(uuid_out, value)));
        default: {
            Oid output;
            bool is_varlena;
            getTypeOutputInfo(base, &output, &is_varlena);
            const char* label = OidOutputFunctionCall(output, value);
            return psprintf("CAST(%s AS VARCHAR)", Quote(label, static_cast<int>(strlen(label))));
        }
    }
}

}  // namespace ivy::translate
