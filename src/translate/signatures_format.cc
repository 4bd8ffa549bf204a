// SPDX-License-Identifier: Apache-2.0
// to_char, to_date and to_timestamp with constant formats.
#include "translate/signature.h"

#include <algorithm>
#include <cctype>

extern "C" {
#include "catalog/pg_collation.h"
#include "nodes/makefuncs.h"
#include "utils/fmgroids.h"
#include "utils/numeric.h"
}

namespace ivy::translate {

namespace {

#ifdef PACKAGE_IVORYSQL_VERSION

constexpr const char* kDateNames[] = {
    "A.D.", "A.M.", "AD",  "AM",  "B.C.", "BC",    "CC",   "DAY",   "DDD",  "DD",   "DY", "D",  "FF1",  "FF2",
    "FF3",  "FF4",  "FF5", "FF6", "FM",   "FX",    "HH24", "HH12",  "HH",   "IDDD", "ID", "IW", "IYYY", "IYY",
    "IY",   "I",    "J",   "MI",  "MM",   "MONTH", "MON",  "MS",    "OF",   "P.M.", "PM", "Q",  "RM",   "SSSSS",
    "SSSS", "SS",   "TZH", "TZM", "US",   "WW",    "W",    "Y,YYY", "YYYY", "YYY",  "YY", "Y"};
constexpr const char* kMixedDateNames[] = {"Day", "Dy", "Month", "Mon"};
constexpr const char* kOracleDateNames[] = {"FF", "FF7", "FF8", "FF9", "RR", "RRRR", "SYYYY"};
constexpr const char* kNumberNames[] = {"0", "9", "D", "EEEE", "FM", "G", "MI", "PL", "PR", "SG", "SP"};

// The length of the longest of the names that the text begins with, in any case or only in that of the name.
template <size_t kCount>
int LongestName(const char* text, const char* const (&names)[kCount], bool any_case) {
    int longest = 0;
    for (const char* name : names) {
        const int length = static_cast<int>(strlen(name));
        const int order = any_case ? pg_strncasecmp(text, name, static_cast<size_t>(length))
                                   : strncmp(text, name, static_cast<size_t>(length));
        if (order == 0) longest = std::max(longest, length);
    }
    return longest;
}

bool InOneCase(const char* text, int length) {
    bool lower = false;
    bool upper = false;
    for (int i = 0; i < length; i++) {
        lower |= text[i] >= 'a' && text[i] <= 'z';
        upper |= text[i] >= 'A' && text[i] <= 'Z';
    }
    return !lower || !upper;
}

// IvorySQL has more names in formats, takes them in any case, prefers the longest, and in Oracle's mode refuses other
// letters and digits. Whether none of this makes a difference to the format.
bool MeansTheSame(const char* format, bool of_date) {
    bool quoted = false;
    for (const char* at = format; *at != '\0';) {
        if (*at == '\\' && at[1] != '\0' && (quoted || at[1] == '"')) {
            at += 2;
            continue;
        }
        if (*at == '"') quoted = !quoted;
        if (quoted) {
            at++;
            continue;
        }
        const int length = of_date ? LongestName(at, kDateNames, true) : LongestName(at, kNumberNames, true);
        if (of_date && LongestName(at, kOracleDateNames, true) > length) return false;
        const bool exact = InOneCase(at, length) || (of_date && LongestName(at, kMixedDateNames, false) == length);
        if (!exact) return false;
        // FM belongs to what follows it: where it does so twice, the second one's letters may begin other names.
        if (length == 2 && pg_strncasecmp(at, "FMFM", 4) == 0) return false;
        at += length;
        if (length > 0 && (strncmp(at, "TH", 2) == 0 || strncmp(at, "th", 2) == 0)) {
            at += 2;
        } else if (length == 0) {
            const auto byte = static_cast<unsigned char>(*at++);
            if (byte >= 0x80 || isalnum(byte)) return false;
        }
    }
    return true;
}

#else

constexpr bool MeansTheSame(const char*, bool) { return true; }

#endif

bool DateFormat(const Call& call, Sql* out) {
    char* format;
    if (!ConstText(call, 1, &format)) return RefuseCall(call, "format that is not a constant");
    bool quoted = false;
    for (const char* at = format; *at != '\0'; at++) {
        if (*at == '\\' && at[1] != '\0') {
            at++;
            continue;
        }
        if (*at == '"') quoted = !quoted;
        if (quoted) continue;
        if (strncmp(at, "TM", 2) == 0 || strncmp(at, "tm", 2) == 0) return RefuseCall(call, "localised names");
        if ((strncmp(at, "TZ", 2) == 0 && at[2] != 'H' && at[2] != 'M') ||
            (strncmp(at, "tz", 2) == 0 && at[2] != 'h' && at[2] != 'm')) {
            return RefuseCall(call, "abbreviation of the time zone");
        }
    }
    if (!MeansTheSame(format, true)) return RefuseCall(call, "format of IvorySQL's own");
    SetResult(call, 't', Expand(call.signature->sql, call.args, 2), out);
    return true;
}

// Whether the engine knows all of a picture. *local: it has separators of the locale; *local_point: with its decimal point.
bool KnownPicture(const char* picture, bool* local, bool* local_point) {
    constexpr const char* kKnown[] = {"FM", "MI", "PL", "PR", "SG", "TH", "fm", "mi", "pl", "pr", "sg", "th"};
    bool quoted = false;
    *local = *local_point = false;
    for (const char* at = picture; *at != '\0'; at++) {
        if (*at == '\\' && at[1] != '\0' && (quoted || at[1] == '"')) {
            at++;
            continue;
        }
        if (*at == '"') quoted = !quoted;
        if (quoted) continue;
        bool known = false;
        for (const char* name : kKnown) known |= strncmp(at, name, 2) == 0;
        if (known) {
            at++;
            continue;
        }
        if (strncmp(at, "RN", 2) == 0 || strncmp(at, "rn", 2) == 0 || pg_strncasecmp(at, "EEEE", 4) == 0 ||
            strchr("BCLSVbclsv", *at) != nullptr) {
            return false;
        }
        *local_point |= *at == 'D' || *at == 'd';
        *local |= *local_point || *at == 'G' || *at == 'g';
    }
    return true;
}

// How the session's locale writes 1234.5, which Postgres computes when the query runs.
bool LocalSymbols(const Call& call, bool local_point, const char** symbols) {
    const Datum number =
        DirectFunctionCall3(numeric_in, CStringGetDatum("1234.5"), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
    Const* value = makeConst(NUMERICOID, -1, InvalidOid, -1, number, false, false);
    Const* picture = makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1,
                               CStringGetTextDatum(local_point ? "FM9G999D9" : "FM9G999.9"), false, false);
    FuncExpr* shown = makeFuncExpr(F_TO_CHAR_NUMERIC_TEXT, TEXTOID, list_make2(value, picture), DEFAULT_COLLATION_OID,
                                   DEFAULT_COLLATION_OID, COERCE_EXPLICIT_CALL);
    Sql text;
    if (!TranslateValue(call.t, reinterpret_cast<Node*>(shown), &text)) return false;
    *symbols = text.text;
    return true;
}

bool NumberFormat(const Call& call, Sql* out) {
    char* picture;
    bool local;
    bool local_point;
    if (!ConstText(call, 1, &picture)) return RefuseCall(call, "format that is not a constant");
    if (!KnownPicture(picture, &local, &local_point) || !MeansTheSame(picture, false))
        return RefuseCall(call, "pattern that the engine does not have");
    const char* symbols = "'1,234.5'";
    if (local && !LocalSymbols(call, local_point, &symbols)) return false;
    const char* number = call.signature->types[0] == 'n' ? ToNumericText(call.args[0]).text : call.args[0].text;
    SetResult(call, 't', psprintf("%s(%s, %s, %s)", call.signature->sql, number, call.args[1].text, symbols), out);
    return true;
}

// to_date and to_timestamp by a format of plain fields, each at most once, with a year.
bool ParseByFormat(const Call& call, Sql* out) {
    constexpr const char* kFields[] = {"YYYY", "MM", "DD", "HH24", "MI", "SS"};
    char* format;
    if (!ConstText(call, 1, &format)) return RefuseCall(call, "format that is not a constant");
    int seen = 0;
    for (const char* at = format; *at != '\0';) {
        int field = -1;
        for (int i = 0; i < static_cast<int>(lengthof(kFields)); i++) {
            if (strncmp(at, kFields[i], strlen(kFields[i])) == 0) field = i;
        }
        // What could make another pattern of a field (YYYYY, SSSS, DDD, MIth) is no separator and no new field.
        const char* rest = field >= 0 ? at + strlen(kFields[field]) : at + 1;
        if (field >= 0 ? (seen & 1 << field) != 0 : strchr("-/:. ", *at) == nullptr)
            return RefuseCall(call, "pattern that the engine does not have");
        if (field >= 0) seen |= 1 << field;
        at = rest;
    }
    if ((seen & 1) == 0) return RefuseCall(call, "format without a year");
    SetResult(call, strchr(call.signature->types, '>')[1], Expand(call.signature->sql, call.args, 2), out);
    return true;
}

constexpr Signature kRows[] = {
    {F_TO_DATE, "tt>D", "CAST(ivy_by_format($1, $2) AS DATE)", Needs::kNothing, ParseByFormat},
    {F_TO_TIMESTAMP_TEXT_TEXT, "tt>z", "ivy_zoned_instant(ivy_by_format($1, $2))", Needs::kNothing, ParseByFormat},
    {F_TO_CHAR_TIMESTAMP_TEXT, "st>t", "ivy_timestamp_format($1, $2)", Needs::kNothing, DateFormat},
    {F_TO_CHAR_TIMESTAMPTZ_TEXT, "zt>t", "ivy_zoned_format($1, $2)", Needs::kNothing, DateFormat},
    {F_TO_CHAR_INTERVAL_TEXT, "it>t", "ivy_interval_format($1, $2)", Needs::kNothing, DateFormat},
    {F_TO_CHAR_NUMERIC_TEXT, "nt>t", "ivy_num_format", Needs::kNothing, NumberFormat},
    {F_TO_CHAR_INT4_TEXT, "4t>t", "ivy_integer_format", Needs::kNothing, NumberFormat},
    {F_TO_CHAR_INT8_TEXT, "8t>t", "ivy_integer_format", Needs::kNothing, NumberFormat},
    {F_TO_CHAR_FLOAT4_TEXT, "ft>t", "ivy_float_format", Needs::kNothing, NumberFormat},
    {F_TO_CHAR_FLOAT8_TEXT, "dt>t", "ivy_double_format", Needs::kNothing, NumberFormat},
};

}  // namespace

SignatureTable FormatSignatures() { return {kRows, lengthof(kRows)}; }

}  // namespace ivy::translate
