// SPDX-License-Identifier: Apache-2.0
// A parser of regular expressions by recursive descent: see the header.
#include "translate/regex.h"

#include "pg/postgres_api.h"

extern "C" {
#include "mb/pg_wchar.h"
}

namespace ivy::translate {

namespace {

constexpr int kMaxRepeat = 255;
constexpr int kMaxDepth = 50;

// Characters: ASCII ones each, all others as one.
struct CharSet {
    uint64 bits[2] = {0, 0};
    bool others = false;

    void Add(uint32 c) {
        if (c < 128) {
            bits[c / 64] |= UINT64CONST(1) << (c % 64);
        } else {
            others = true;
        }
    }
    void AddAll() {
        bits[0] = bits[1] = ~UINT64CONST(0);
        others = true;
    }
    void Unite(const CharSet& set) {
        bits[0] |= set.bits[0];
        bits[1] |= set.bits[1];
        others |= set.others;
    }
    // Others may be any of them: their complement is so too.
    void Complement() {
        bits[0] = ~bits[0];
        bits[1] = ~bits[1];
        others = true;
    }
    bool Meets(const CharSet& set) const {
        return (bits[0] & set.bits[0]) != 0 || (bits[1] & set.bits[1]) != 0 || (others && set.others);
    }
};

// A piece of an expression, for the question whether it can be matched in one way only.
struct Piece {
    CharSet first;          // with what it can begin
    bool optional = false;  // may be empty
    bool variable = false;  // has a quantifier
};

struct Parser {
    const char* at;
    bool ascii_classes;
    bool ignore_case;
    StringInfoData out;
    int groups = 0;
    int depth = 0;
    bool simple = true;  // no alternatives, nothing variable inside a quantified or together in a capturing group
    bool starts_at_begin = false;
    bool ends_at_end = false;
    List* pieces = NIL;  // Piece, in order
};

void Emit(Parser* p, const char* bytes, int count) { appendBinaryStringInfo(&p->out, bytes, count); }

bool IsAlphanumeric(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool IsLetter(uint32 c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
uint32 OtherCase(uint32 c) { return c ^ 0x20; }

// Takes one character, as a literal in or outside of brackets.
uint32 TakeLiteral(Parser* p) {
    const int length = pg_mblen(p->at);
    const auto c = static_cast<unsigned char>(*p->at);
    if (length == 1 && c < 128) {
        if (!IsAlphanumeric(*p->at) && *p->at > ' ') appendStringInfoChar(&p->out, '\\');
        appendStringInfoChar(&p->out, *p->at++);
        return c;
    }
    pg_wchar wide[2];
    pg_mb2wchar_with_len(p->at, wide, length);
    Emit(p, p->at, length);
    p->at += length;
    return wide[0];
}

struct Class {
    const char* name;
    const char* text;  // inside brackets
};
constexpr Class kClasses[] = {
    {"[:digit:]", "0-9"},  {"[:alpha:]", "A-Za-z"},   {"[:alnum:]", "0-9A-Za-z"},  {"[:upper:]", "A-Z"},
    {"[:lower:]", "a-z"},  {"[:space:]", "\\t-\\r "}, {"[:xdigit:]", "0-9A-Fa-f"}, {"\\d", "0-9"},
    {"\\w", "0-9A-Za-z_"}, {"\\s", "\\t-\\r "},
};

void AddClass(const char* text, CharSet* set) {
    if (text[0] == '\\') {
        for (uint32 c = '\t'; c <= '\r'; c++) set->Add(c);
        set->Add(' ');
        return;
    }
    while (*text != '\0') {
        const bool range = text[1] == '-';
        for (uint32 c = static_cast<unsigned char>(text[0]); c <= static_cast<unsigned char>(text[range ? 2 : 0]); c++)
            set->Add(c);
        text += range ? 3 : 1;
    }
}

// A class at the current place, for inside of brackets.
const Class* TakeClass(Parser* p) {
    for (const Class& known : kClasses) {
        const size_t length = strlen(known.name);
        if (strncmp(p->at, known.name, length) != 0) continue;
        if (!p->ascii_classes ||
            (p->ignore_case && (strcmp(known.name, "[:upper:]") == 0 || strcmp(known.name, "[:lower:]") == 0))) {
            return nullptr;
        }
        p->at += length;
        return &known;
    }
    return nullptr;
}

// "\n" and so on, or a backslash before punctuation. Gives the character, or 0.
uint32 TakeEscape(Parser* p) {
    const char c = p->at[1];
    switch (c) {
        case 'n':
        case 't':
        case 'r':
        case 'f':
            Emit(p, p->at, 2);
            p->at += 2;
            return c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : '\f';
        default: break;
    }
    if (c == '\0' || IsAlphanumeric(c) || static_cast<unsigned char>(c) >= 128 || c <= ' ') return 0;
    p->at++;
    return TakeLiteral(p);
}

// In brackets, ignoring case: the counterparts of a range's letters. False if that isn't a range.
bool AddOtherCase(Parser* p, uint32 low, uint32 high, CharSet* set) {
    if (high >= 128) return false;
    if (IsLetter(low) && IsLetter(high) && (low & 0x20) == (high & 0x20)) {
        appendStringInfo(&p->out, "%c-%c", static_cast<char>(OtherCase(low)), static_cast<char>(OtherCase(high)));
        for (uint32 c = low; c <= high; c++) set->Add(OtherCase(c));
        return true;
    }
    for (uint32 c = low; c <= high; c++) {
        if (IsLetter(c)) return false;
    }
    return true;
}

bool ParseBrackets(Parser* p, CharSet* set) {
    p->at++;
    appendStringInfoChar(&p->out, '[');
    const bool negated = *p->at == '^';
    if (negated) {
        appendStringInfoChar(&p->out, '^');
        p->at++;
    }
    bool empty = true;
    while (*p->at != ']' || empty) {
        empty = false;
        if (*p->at == '\0') return false;
        if (const Class* known = TakeClass(p)) {
            appendStringInfoString(&p->out, known->text);
            AddClass(known->text, set);
            if (*p->at == '-' && p->at[1] != ']') return false;
            continue;
        }
        if (*p->at == '[' && strchr(".:=", p->at[1]) != nullptr) return false;
        // A hyphen is itself only as the last character here.
        if (*p->at == '-' && p->at[1] != ']') return false;
        const uint32 low = *p->at == '\\' ? TakeEscape(p) : TakeLiteral(p);
        if (low == 0) return false;
        uint32 high = low;
        if (*p->at == '-' && p->at[1] != ']') {
            p->at++;
            if (*p->at == '\0' || *p->at == '[' || *p->at == '\\' || *p->at == '-') return false;
            appendStringInfoChar(&p->out, '-');
            high = TakeLiteral(p);
            if (high < low) return false;
        }
        if (p->ignore_case && !AddOtherCase(p, low, high, set)) return false;
        for (uint32 c = low; c <= Min(high, 128U); c++) set->Add(c);
        if (high >= 128) set->others = true;
    }
    p->at++;
    appendStringInfoChar(&p->out, ']');
    if (negated) set->Complement();
    return true;
}

bool ParseAlternatives(Parser* p, bool top);

// "*", "+", "?" or bounds; *min and *max (-1: none) say how often.
bool ParseQuantifier(Parser* p, bool* present, int* min, int* max) {
    const char* start = p->at;
    *present = true;
    *min = *max = 1;
    switch (*p->at) {
        case '*':
            *min = 0;
            *max = -1;
            p->at++;
            break;
        case '+':
            *max = -1;
            p->at++;
            break;
        case '?':
            *min = 0;
            p->at++;
            break;
        case '{': {
            char* end;
            if (p->at[1] < '0' || p->at[1] > '9') return false;
            const long low = strtol(p->at + 1, &end, 10);
            long high = low;
            if (*end == ',') {
                high = -1;
                end++;
                if (*end != '}') {
                    if (*end < '0' || *end > '9') return false;
                    high = strtol(end, &end, 10);
                }
            }
            if (*end != '}' || low > kMaxRepeat || high > kMaxRepeat || (high >= 0 && high < low)) return false;
            *min = static_cast<int>(low);
            *max = static_cast<int>(high);
            p->at = end + 1;
            break;
        }
        default: *present = false; return true;
    }
    Emit(p, start, static_cast<int>(p->at - start));
    // "*?" prefers short matches, and "**" is an error.
    return strchr("*+?{", *p->at) == nullptr || *p->at == '\0';
}

bool ParseCharacter(Parser* p, Piece* piece) {
    const int start = p->out.len;
    const uint32 c = TakeLiteral(p);
    piece->first.Add(c);
    if (!p->ignore_case) return true;
    if (c >= 128) return false;
    if (IsLetter(c)) {
        p->out.len = start;
        appendStringInfo(&p->out, "[%c%c]", static_cast<char>(c), static_cast<char>(OtherCase(c)));
        piece->first.Add(OtherCase(c));
    }
    return true;
}

bool ParseAtom(Parser* p, Piece* piece, bool* is_group) {
    *is_group = false;
    switch (*p->at) {
        case '(': {
            const bool capturing = p->at[1] != '?';
            if (!capturing && p->at[2] != ':') return false;
            p->at += capturing ? 1 : 3;
            appendStringInfoString(&p->out, capturing ? "(" : "(?:");
            if (capturing) p->groups++;
            *is_group = true;
            List* outer = p->pieces;
            p->pieces = NIL;
            if (!ParseAlternatives(p, false) || *p->at != ')') return false;
            p->at++;
            appendStringInfoChar(&p->out, ')');
            // What is inside becomes part of the sequence around.
            int variable = 0;
            foreach_ptr (Piece, inner, p->pieces) variable += inner->variable ? 1 : 0;
            if (capturing && variable > 1) p->simple = false;
            if (p->pieces != NIL) *piece = *static_cast<Piece*>(linitial(p->pieces));
            piece->variable = variable > 0;
            p->pieces = list_concat(outer, p->pieces);
            return true;
        }
        case '[': return ParseBrackets(p, &piece->first);
        case '.':
            piece->first.AddAll();
            appendStringInfoChar(&p->out, *p->at++);
            return true;
        case '\\': {
            if (const Class* known = TakeClass(p)) {
                AddClass(known->text, &piece->first);
                appendStringInfo(&p->out, "[%s]", known->text);
                return true;
            }
            const uint32 c = TakeEscape(p);
            piece->first.Add(c);
            return c != 0;
        }
        case '*':
        case '+':
        case '?':
        case '{':
        case '^':
        case '$': return false;
        default: return ParseCharacter(p, piece);
    }
}

bool ParseBranch(Parser* p, bool top) {
    bool any = false;
    while (*p->at != '\0' && *p->at != '|' && *p->at != ')') {
        if (*p->at == '^' || *p->at == '$') {
            const bool begin = *p->at == '^';
            if (top && begin && !any) {
                p->starts_at_begin = true;
            } else if (top && !begin && p->at[1] == '\0') {
                p->ends_at_end = true;
            } else {
                p->simple = false;
            }
            appendStringInfoChar(&p->out, *p->at++);
            if (*p->at != '\0' && strchr("*+?{", *p->at) != nullptr) return false;
            any = true;
            continue;
        }
        Piece piece;
        bool is_group;
        bool quantified;
        int min;
        int max;
        const int before = list_length(p->pieces);
        const int groups = p->groups;
        if (!ParseAtom(p, &piece, &is_group) || !ParseQuantifier(p, &quantified, &min, &max)) return false;
        any = true;
        if (is_group && !quantified) continue;
        if (is_group) {
            // A repeated group counts as a piece that begins as it does. What it captures is the last of several matches.
            if (piece.variable || p->groups > groups) p->simple = false;
            p->pieces = list_truncate(p->pieces, before);
        }
        piece.variable = quantified && min != max;
        piece.optional = quantified && min == 0;
        auto* copy = static_cast<Piece*>(palloc(sizeof(Piece)));
        *copy = piece;
        p->pieces = lappend(p->pieces, copy);
    }
    return any;
}

bool ParseAlternatives(Parser* p, bool top) {
    if (++p->depth > kMaxDepth) return false;
    if (!ParseBranch(p, top)) return false;
    while (*p->at == '|') {
        p->simple = false;
        appendStringInfoChar(&p->out, *p->at++);
        if (!ParseBranch(p, top)) return false;
    }
    p->depth--;
    return true;
}

// Whether a quantified piece could end at several places.
bool IsAmbiguous(const List* pieces, int index) {
    const auto* piece = static_cast<const Piece*>(list_nth(pieces, index));
    CharSet next;
    for (int i = index + 1; i < list_length(pieces); i++) {
        const auto* following = static_cast<const Piece*>(list_nth(pieces, i));
        next.Unite(following->first);
        if (!following->optional) break;
    }
    return piece->variable && piece->first.Meets(next);
}

// Whether both engines find the same match: see the header.
bool MatchesOneWay(const Parser& p) {
    int ambiguous = 0;
    bool last = true;  // no quantified piece behind this one
    bool only_last = true;
    for (int i = list_length(p.pieces) - 1; i >= 0; i--) {
        if (IsAmbiguous(p.pieces, i)) {
            ambiguous++;
            only_last &= last;
        }
        if (static_cast<const Piece*>(list_nth(p.pieces, i))->variable) last = false;
    }
    return p.simple && ambiguous <= 1 && (only_last || (p.starts_at_begin && p.ends_at_end));
}

bool MayBeEmpty(const List* pieces) {
    foreach_ptr (Piece, piece, pieces) {
        if (!piece->optional) return false;
    }
    return true;
}

}  // namespace

bool ParseRegex(const char* pattern, bool ascii_classes, bool ignore_case, Regex* out) {
    Parser p{};
    p.at = pattern;
    p.ascii_classes = ascii_classes;
    p.ignore_case = ignore_case;
    p.simple = true;
    initStringInfo(&p.out);
    appendStringInfoString(&p.out, "(?s)");  // a point is any character
    // "***" and "(?" at the start change what the rest means.
    if (strncmp(pattern, "***", 3) == 0) return false;
    if (!ParseAlternatives(&p, true) || *p.at != '\0') return false;
    out->text = p.out.data;
    out->groups = p.groups;
    out->one_way = MatchesOneWay(p);
    out->may_be_empty = MayBeEmpty(p.pieces);
    return true;
}

const char* ParseReplacement(const char* replacement, int groups) {
    StringInfoData out;
    initStringInfo(&out);
    for (const char* c = replacement; *c != '\0'; c++) {
        if (*c != '\\') {
            appendStringInfoChar(&out, *c);
            continue;
        }
        c++;
        if (*c == '\\') {
            appendStringInfoString(&out, "\\\\");
        } else if (*c == '&') {
            appendStringInfoString(&out, "\\0");
        } else if (*c >= '1' && *c <= '9' && *c - '0' <= groups) {
            appendStringInfo(&out, "\\%c", *c);
        } else {
            return nullptr;
        }
    }
    return out.data;
}

}  // namespace ivy::translate
