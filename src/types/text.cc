// SPDX-License-Identifier: Apache-2.0
// Text between the server and the wire.
#include "types/text.h"

#include "pg/guard.h"

extern "C" {
#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
#include "pgtime.h"
#include "utils/array.h"
#include "utils/bytea.h"
#include "utils/float.h"
#include "utils/xml.h"
}

namespace ivy::types {

namespace {

// Converts without raising: null if some character has no equivalent.
char* TryConvert(const char* text, size_t size, int from, int to, size_t* out_size) {
    const Oid proc = FindDefaultConversionProc(from, to);
    if (!OidIsValid(proc)) return nullptr;
    if (size > (MaxAllocSize - 1) / MAX_CONVERSION_GROWTH) return nullptr;
    const Size room = size * MAX_CONVERSION_GROWTH + 1;
    auto* out = static_cast<unsigned char*>(palloc(room + 1));
    const int taken =
        pg_do_encoding_conversion_buf(proc, from, to, reinterpret_cast<unsigned char*>(const_cast<char*>(text)),
                                      static_cast<int>(size), out, static_cast<int>(room + 1), true);
    if (taken != static_cast<int>(size)) return nullptr;
    *out_size = strlen(reinterpret_cast<char*>(out));
    return reinterpret_cast<char*>(out);
}

// The variables that settings are held in. Their values are only borrowed: nothing here outlives a function call.
struct Settings {
    int date_style;
    int date_order;
    int interval_style;
    int float_digits;
    int bytea_format;
    int xml_option;
    bool nulls_in_arrays;
    pg_tz* timezone;
};

Settings CurrentSettings() {
    return {DateStyle,    DateOrder, IntervalStyle, extra_float_digits,
            bytea_output, xmloption, Array_nulls,   session_timezone};
}

void Apply(const Settings& settings) {
    DateStyle = settings.date_style;
    DateOrder = settings.date_order;
    IntervalStyle = settings.interval_style;
    extra_float_digits = settings.float_digits;
    bytea_output = settings.bytea_format;
    xmloption = settings.xml_option;
    Array_nulls = settings.nulls_in_arrays;
    session_timezone = settings.timezone;
}

const Settings& PinnedSettings() {
    static Settings pinned;
    if (!pinned.timezone) {
        pinned = {USE_ISO_DATES, DATEORDER_YMD, INTSTYLE_POSTGRES, 1, BYTEA_OUTPUT_HEX, XMLOPTION_CONTENT,
                  true,          nullptr};
        pinned.timezone = pg_tzset("UTC");
        if (!pinned.timezone) pinned.timezone = pg_tzset_offset(0);
    }
    return pinned;
}

}  // namespace

bool DatabaseIsUtf8() { return GetDatabaseEncoding() == PG_UTF8; }

bool AppendServerText(const char* text, size_t size, ColumnBuilder* out) {
    const int encoding = GetDatabaseEncoding();
    bool storable = true;
    if (encoding == PG_SQL_ASCII) {
        storable = pg_verify_mbstr(PG_UTF8, text, static_cast<int>(size), true);
    } else if (encoding != PG_UTF8) {
        size_t utf8_size = 0, back_size = 0;
        const char* utf8 = TryConvert(text, size, encoding, PG_UTF8, &utf8_size);
        const char* back = utf8 ? TryConvert(utf8, utf8_size, PG_UTF8, encoding, &back_size) : nullptr;
        storable = back && back_size == size && memcmp(back, text, size) == 0;
        text = utf8;
        size = utf8_size;
    }
    pg::Guard([&] { storable ? out->AppendVariable({text, size}) : out->AppendNull(); });
    return storable;
}

void ToServerText(std::string_view utf8, const char** text, size_t* size) {
    *text = utf8.data();
    *size = utf8.size();
    const int encoding = GetDatabaseEncoding();
    if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII || utf8.empty()) return;
    char* converted = pg_any_to_server(utf8.data(), static_cast<int>(utf8.size()), PG_UTF8);
    if (converted == utf8.data()) return;
    *text = converted;
    *size = strlen(converted);
}

char* PinnedOutput(FmgrInfo* function, Datum value) {
    const Settings saved = CurrentSettings();
    char* volatile text = nullptr;
    Apply(PinnedSettings());
    PG_TRY();
    {
        text = OutputFunctionCall(function, value);
    }
    PG_FINALLY();
    {
        Apply(saved);
    }
    PG_END_TRY();
    return text;
}

Datum PinnedInput(FmgrInfo* function, char* text, Oid typioparam) {
    const Settings saved = CurrentSettings();
    volatile Datum value = 0;
    Apply(PinnedSettings());
    PG_TRY();
    {
        value = InputFunctionCall(function, text, typioparam, -1);
    }
    PG_FINALLY();
    {
        Apply(saved);
    }
    PG_END_TRY();
    return value;
}

}  // namespace ivy::types
