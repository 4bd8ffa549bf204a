// SPDX-License-Identifier: Apache-2.0
// Text, bpchar, bytea, uuid and types that are compared as text.
//
// To DuckDB text is UTF-8 bytes. Equality is that of Postgres under every deterministic collation; order only under those
// that sort by bytes; the case of letters only where it is ASCII's. Positions and lengths are code points in both.
#include "translate/regex.h"
#include "translate/signature.h"

extern "C" {
#include "utils/fmgroids.h"
}

namespace ivy::translate {

namespace {

// In Postgres a backslash escapes in every LIKE, in DuckDB only where ESCAPE says so.
bool Like(const Call& call, Sql* out) {
    char* pattern;
    const bool plain = ConstText(call, 1, &pattern) && strchr(pattern, '\\') == nullptr;
    SetResult(call, 'b',
              psprintf("(%s %s %s%s)", call.args[0].text, call.signature->sql, call.args[1].text,
                       plain ? "" : " ESCAPE '\\'"),
              out);
    return true;
}

// The pattern is the second argument. What "*" does to the case of letters, an operator or a flag may ask for.
bool ConstRegex(const Call& call, bool ignore_case, Regex* regex) {
    char* pattern;
    return (ConstText(call, 1, &pattern) && (!ignore_case || HasPlainAsciiCase(call.collation)) &&
            ParseRegex(pattern, HasAsciiCase(call.collation), ignore_case, regex)) ||
           RefuseCall(call, "pattern that the engine may understand differently");
}

// Flags of which only "i" and "g" are known, if there are any.
bool ConstFlags(const Call& call, int argument, bool* ignore_case, bool* global) {
    char* flags;
    *ignore_case = *global = false;
    if (argument >= call.count) return true;
    if (!ConstText(call, argument, &flags) || strspn(flags, "gi") != strlen(flags)) {
        return RefuseCall(call, "flags other than g and i");
    }
    *ignore_case = strchr(flags, 'i') != nullptr;
    *global = strchr(flags, 'g') != nullptr;
    return true;
}

const char* TextLiteral(const char* text) { return LiteralFor(TEXTOID, -1, CStringGetTextDatum(text), false); }

bool MatchBy(const Call& call, bool ignore_case, Sql* out) {
    Regex regex;
    if (!ConstRegex(call, ignore_case, &regex)) return false;
    SetResult(call, 'b', psprintf(call.signature->sql, call.args[0].text, TextLiteral(regex.text)), out);
    return true;
}

bool RegexMatch(const Call& call, Sql* out) { return MatchBy(call, false, out); }
bool RegexMatchIgnoringCase(const Call& call, Sql* out) { return MatchBy(call, true, out); }

bool RegexLike(const Call& call, Sql* out) {
    bool ignore_case;
    bool global;
    if (!ConstFlags(call, 2, &ignore_case, &global)) return false;
    if (global) return RefuseCall(call, "flag g");
    return MatchBy(call, ignore_case, out);
}

bool RegexReplace(const Call& call, Sql* out) {
    Regex regex;
    char* replacement;
    bool ignore_case;
    bool global;
    if (!ConstFlags(call, 3, &ignore_case, &global) || !ConstRegex(call, ignore_case, &regex)) return false;
    const char* rewritten = ConstText(call, 2, &replacement) ? ParseReplacement(replacement, regex.groups) : nullptr;
    if (rewritten == nullptr || !regex.one_way || (global && regex.may_be_empty)) {
        return RefuseCall(call, "a match that the engine may choose differently");
    }
    SetResult(call, 't',
              psprintf("regexp_replace(%s, %s, %s%s)", call.args[0].text, TextLiteral(regex.text),
                       TextLiteral(rewritten), global ? ", 'g'" : ""),
              out);
    return true;
}

// What the pattern's first group matches, or all of it if it has none, or if "whole" says so.
bool SubstringBy(const Call& call, bool whole, Sql* out) {
    Regex regex;
    if (!ConstRegex(call, false, &regex)) return false;
    if (!regex.one_way) return RefuseCall(call, "a match that the engine may choose differently");
    const char* pattern = TextLiteral(regex.text);
    SetResult(call, 't',
              psprintf("CASE WHEN regexp_matches(%s, %s) THEN regexp_extract(%s, %s, %d) END", call.args[0].text,
                       pattern, call.args[0].text, pattern, regex.groups > 0 && !whole ? 1 : 0),
              out);
    return true;
}
bool RegexSubstring(const Call& call, Sql* out) { return SubstringBy(call, false, out); }
bool RegexWholeSubstring(const Call& call, Sql* out) { return SubstringBy(call, true, out); }

// Upper and lower case, by the collation's locale.
bool LetterCase(const Call& call, Sql* out) {
    const char* locale = CaseName(call.collation);
    if (locale == nullptr) return RefuseCall(call, "letters of a locale that the engine does not have");
    SetResult(call, 't', psprintf("%s(%s, %s)", call.signature->sql, call.args[0].text, locale), out);
    return true;
}

// In Postgres too, ILIKE is LIKE of both in lower case.
bool LikeIgnoringCase(const Call& call, Sql* out) {
    const char* locale = CaseName(call.collation);
    if (locale == nullptr) return RefuseCall(call, "letters of a locale that the engine does not have");
    SetResult(call, 'b',
              psprintf("(ivy_lower(%s, %s) %s ivy_lower(%s, %s) ESCAPE '\\')", call.args[0].text, locale,
                       call.signature->sql, call.args[1].text, locale),
              out);
    return true;
}

// encode and decode in a known format.
bool Recode(const Call& call, Sql* out) {
    char* format;
    const char* known = nullptr;
    if (ConstText(call, 1, &format)) {
        for (const char* name : {"hex", "base64", "escape"}) {
            if (pg_strcasecmp(format, name) == 0) known = name;
        }
    }
    if (known == nullptr) return RefuseCall(call, "format that is not a known constant");
    SetResult(call, strchr(call.signature->types, '>')[1],
              psprintf("%s(%s, '%s')", call.signature->sql, call.args[0].text, known), out);
    return true;
}

bool Concatenate(const Call& call, Sql* out) {
    // Where an empty string is NULL, this isn't strict.
    if (!func_strict(call.signature->function)) return RefuseCall(call, "not strict");
    SetResult(call, 't', Expand(call.signature->sql, call.args, call.count), out);
    return true;
}

// An explicit cast to varchar(n) cuts; an implicit one raises an error for what is too long.
bool VarcharTypmod(const Call& call, Sql* out) {
    int32 typmod;
    const auto* is_explicit = static_cast<Const*>(list_nth(call.nodes, 2));
    if (!ConstInt(call, 1, &typmod) || typmod < VARHDRSZ || !IsA(is_explicit, Const) || is_explicit->constisnull ||
        !DatumGetBool(is_explicit->constvalue)) {
        return RefuseCall(call, "not an explicit cast");
    }
    SetResult(call, 't', psprintf("left(%s, %d)", call.args[0].text, typmod - VARHDRSZ), out);
    return true;
}

constexpr Signature kRows[] = {
    {F_TEXTEQ, "tt>b", "=", Needs::kDeterministic},
    {F_TEXTNE, "tt>b", "<>", Needs::kDeterministic},
    {F_TEXT_LT, "tt>b", "<", Needs::kBytes},
    {F_TEXT_LE, "tt>b", "<=", Needs::kBytes},
    {F_TEXT_GT, "tt>b", ">", Needs::kBytes},
    {F_TEXT_GE, "tt>b", ">=", Needs::kBytes},
    {F_BPCHAREQ, "cc>b", "=", Needs::kDeterministic},
    {F_BPCHARNE, "cc>b", "<>", Needs::kDeterministic},
    {F_BPCHARLT, "cc>b", "<", Needs::kBytes},
    {F_BPCHARLE, "cc>b", "<=", Needs::kBytes},
    {F_BPCHARGT, "cc>b", ">", Needs::kBytes},
    {F_BPCHARGE, "cc>b", ">=", Needs::kBytes},
    {F_BYTEAEQ, "yy>b", "="},
    {F_BYTEANE, "yy>b", "<>"},
    {F_BYTEALT, "yy>b", "<"},
    {F_BYTEALE, "yy>b", "<="},
    {F_BYTEAGT, "yy>b", ">"},
    {F_BYTEAGE, "yy>b", ">="},
    {F_UUID_EQ, "uu>b", "="},
    {F_UUID_NE, "uu>b", "<>"},
    {F_UUID_LT, "uu>b", "<"},
    {F_UUID_LE, "uu>b", "<="},
    {F_UUID_GT, "uu>b", ">"},
    {F_UUID_GE, "uu>b", ">="},
    {F_ENUM_EQ, "ee>b", "="},
    {F_ENUM_NE, "ee>b", "<>"},
    {F_NETWORK_EQ, "ee>b", "="},
    {F_NETWORK_NE, "ee>b", "<>"},
    {F_MACADDR_EQ, "ee>b", "="},
    {F_MACADDR_NE, "ee>b", "<>"},
    {F_MACADDR8_EQ, "ee>b", "="},
    {F_MACADDR8_NE, "ee>b", "<>"},
    {F_BITEQ, "ee>b", "="},
    {F_BITNE, "ee>b", "<>"},
    {F_VARBITEQ, "ee>b", "="},
    {F_VARBITNE, "ee>b", "<>"},

    {F_TEXTLIKE, "tt>b", "LIKE", Needs::kDeterministic, Like},
    {F_LIKE_TEXT_TEXT, "tt>b", "LIKE", Needs::kDeterministic, Like},
    {F_BPCHARLIKE, "pt>b", "LIKE", Needs::kDeterministic, Like},
    {F_TEXTNLIKE, "tt>b", "NOT LIKE", Needs::kDeterministic, Like},
    {F_NOTLIKE_TEXT_TEXT, "tt>b", "NOT LIKE", Needs::kDeterministic, Like},
    {F_BPCHARNLIKE, "pt>b", "NOT LIKE", Needs::kDeterministic, Like},
    {F_TEXTICLIKE, "tt>b", "LIKE", Needs::kDeterministic, LikeIgnoringCase},
    {F_BPCHARICLIKE, "pt>b", "LIKE", Needs::kDeterministic, LikeIgnoringCase},
    {F_TEXTICNLIKE, "tt>b", "NOT LIKE", Needs::kDeterministic, LikeIgnoringCase},
    {F_BPCHARICNLIKE, "pt>b", "NOT LIKE", Needs::kDeterministic, LikeIgnoringCase},
    {F_STARTS_WITH, "tt>b", "starts_with($1, $2)", Needs::kDeterministic},

    {F_TEXTREGEXEQ, "tt>b", "regexp_matches(%s, %s)", Needs::kDeterministic, RegexMatch},
    {F_TEXTREGEXNE, "tt>b", "(NOT regexp_matches(%s, %s))", Needs::kDeterministic, RegexMatch},
    {F_BPCHARREGEXEQ, "pt>b", "regexp_matches(%s, %s)", Needs::kDeterministic, RegexMatch},
    {F_BPCHARREGEXNE, "pt>b", "(NOT regexp_matches(%s, %s))", Needs::kDeterministic, RegexMatch},
    {F_TEXTICREGEXEQ, "tt>b", "regexp_matches(%s, %s)", Needs::kDeterministic, RegexMatchIgnoringCase},
    {F_TEXTICREGEXNE, "tt>b", "(NOT regexp_matches(%s, %s))", Needs::kDeterministic, RegexMatchIgnoringCase},
    {F_BPCHARICREGEXEQ, "pt>b", "regexp_matches(%s, %s)", Needs::kDeterministic, RegexMatchIgnoringCase},
    {F_BPCHARICREGEXNE, "pt>b", "(NOT regexp_matches(%s, %s))", Needs::kDeterministic, RegexMatchIgnoringCase},
    {F_REGEXP_LIKE_TEXT_TEXT, "tt>b", "regexp_matches(%s, %s)", Needs::kDeterministic, RegexLike},
    {F_REGEXP_LIKE_TEXT_TEXT_TEXT, "ttt>b", "regexp_matches(%s, %s)", Needs::kDeterministic, RegexLike},
    {F_REGEXP_REPLACE_TEXT_TEXT_TEXT, "ttt>t", "", Needs::kDeterministic, RegexReplace},
    {F_REGEXP_REPLACE_TEXT_TEXT_TEXT_TEXT, "tttt>t", "", Needs::kDeterministic, RegexReplace},
    {F_SUBSTRING_TEXT_TEXT, "tt>t", "", Needs::kDeterministic, RegexSubstring},
    {F_REGEXP_SUBSTR_TEXT_TEXT, "tt>t", "", Needs::kDeterministic, RegexWholeSubstring},

    {F_LENGTH_TEXT, "t>4", "CAST(length($1) AS INTEGER)"},
    {F_CHAR_LENGTH_TEXT, "t>4", "CAST(length($1) AS INTEGER)"},
    {F_CHARACTER_LENGTH_TEXT, "t>4", "CAST(length($1) AS INTEGER)"},
    {F_TEXTLEN, "t>4", "CAST(length($1) AS INTEGER)"},
    {F_LENGTH_BPCHAR, "c>4", "CAST(length($1) AS INTEGER)"},
    {F_CHAR_LENGTH_BPCHAR, "c>4", "CAST(length($1) AS INTEGER)"},
    {F_CHARACTER_LENGTH_BPCHAR, "c>4", "CAST(length($1) AS INTEGER)"},
    {F_OCTET_LENGTH_BYTEA, "y>4", "CAST(octet_length($1) AS INTEGER)"},
    {F_TEXTCAT, "tt>t", "($1 || $2)", Needs::kNothing, Concatenate},
    {F_SUBSTRING_TEXT_INT4_INT4, "t44>t", "ivy_substr($1, $2, $3)"},
    {F_SUBSTRING_TEXT_INT4, "t4>t", "ivy_substr_from($1, $2)"},
    {F_SUBSTR_TEXT_INT4_INT4, "t44>t", "ivy_substr($1, $2, $3)"},
    {F_SUBSTR_TEXT_INT4, "t4>t", "ivy_substr_from($1, $2)"},
    {F_LEFT, "t4>t", "ivy_left($1, $2)"},
    {F_RIGHT, "t4>t", "ivy_right($1, $2)"},
    {F_LPAD_TEXT_INT4_TEXT, "t4t>t", "ivy_lpad($1, $2, $3)"},
    {F_LPAD_TEXT_INT4, "t4>t", "ivy_lpad($1, $2, ' ')"},
    {F_RPAD_TEXT_INT4_TEXT, "t4t>t", "ivy_rpad($1, $2, $3)"},
    {F_RPAD_TEXT_INT4, "t4>t", "ivy_rpad($1, $2, ' ')"},
    {F_REPEAT, "t4>t", "ivy_repeat($1, $2)"},
    {F_REVERSE_TEXT, "t>t", "ivy_reverse($1)"},
    {F_SPLIT_PART, "tt4>t", "ivy_split_part($1, $2, $3)", Needs::kDeterministic},
    {F_TRANSLATE, "ttt>t", "ivy_translate($1, $2, $3)"},
    {F_OVERLAY_TEXT_TEXT_INT4, "tt4>t", "ivy_overlay($1, $2, $3)"},
    {F_ASCII, "t>4", "ivy_ascii($1)"},
    {F_CHR, "4>t", "ivy_chr($1)"},
    {F_TO_HEX_INT4, "4>t", "ivy_hex4($1)"},
    {F_TO_HEX_INT8, "8>t", "ivy_hex8($1)"},
    {F_MD5_TEXT, "t>t", "md5($1)"},
    {F_OCTET_LENGTH_TEXT, "t>4", "CAST(strlen($1) AS INTEGER)"},
    {F_OCTET_LENGTH_BPCHAR, "p>4", "CAST(strlen($1) AS INTEGER)"},
    {F_BYTEACAT, "yy>y", "($1 || $2)"},
    {F_ENCODE, "yt>t", "ivy_encode", Needs::kNothing, Recode},
    {F_DECODE, "tt>y", "ivy_decode", Needs::kNothing, Recode},
    {F_MD5_BYTEA, "y>t", "md5($1)"},
    {F_SHA256, "y>y", "unhex(sha256($1))"},
    {F_LENGTH_BYTEA, "y>4", "CAST(octet_length($1) AS INTEGER)"},
    {F_STRPOS, "tt>4", "CAST(strpos($1, $2) AS INTEGER)", Needs::kDeterministic},
    {F_POSITION_TEXT_TEXT, "tt>4", "CAST(strpos($1, $2) AS INTEGER)", Needs::kDeterministic},
    {F_REPLACE, "ttt>t", "replace($1, $2, $3)", Needs::kDeterministic},
    {F_BTRIM_TEXT, "t>t", "trim($1, ' ')"},
    {F_LTRIM_TEXT, "t>t", "ltrim($1, ' ')"},
    {F_RTRIM_TEXT, "t>t", "rtrim($1, ' ')"},
    {F_BTRIM_TEXT_TEXT, "tt>t", "trim($1, $2)"},
    {F_LTRIM_TEXT_TEXT, "tt>t", "ltrim($1, $2)"},
    {F_RTRIM_TEXT_TEXT, "tt>t", "rtrim($1, $2)"},
    {F_UPPER_TEXT, "t>t", "ivy_upper", Needs::kNothing, LetterCase},
    {F_LOWER_TEXT, "t>t", "ivy_lower", Needs::kNothing, LetterCase},
    {F_INITCAP, "t>t", "ivy_initcap", Needs::kNothing, LetterCase},

    {F_TEXT_BPCHAR, "c>t", "$1"},
    {F_TEXT_BOOL, "b>t", "CASE WHEN $1 THEN 'true' WHEN NOT $1 THEN 'false' END"},
    {F_VARCHAR_VARCHAR_INT4_BOOL, "t4b>t", "$1", Needs::kNothing, VarcharTypmod},
};

}  // namespace

SignatureTable TextSignatures() { return {kRows, lengthof(kRows)}; }

}  // namespace ivy::translate
