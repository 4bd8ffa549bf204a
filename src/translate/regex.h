// SPDX-License-Identifier: Apache-2.0
//
// Regular expressions of which it is known that RE2, DuckDB's engine, and Postgres's own agree.
//
// Both engines say the same about whether an expression matches a text, for everything that is parsed here: literals, sets,
// groups, alternatives and greedy quantifiers. Which of several matches is taken, and what a group captures then, differs in
// general (Postgres takes the longest match of all, RE2 the first in order of preference). It doesn't for expressions that
// leave at most one decision open, since that is taken greedily by both, if they are bound to both ends of the text or if what
// follows the decision has a fixed length, so that taking more there makes the match longer.
#pragma once

namespace ivy::translate {

struct Regex {
    const char* text;   // for RE2
    int groups;         // capturing ones
    bool one_way;       // what it matches, and what groups capture, is the same in both engines
    bool may_be_empty;  // it may match an empty text
};

// Parses an advanced regular expression as Postgres reads it. "ascii_classes" says that \d, [[:alpha:]] and so on mean
// ASCII characters only; with "ignore_case" the letters of ASCII, which must be each other's upper and lower case, match both, and
// others are refused. False if something is not known to mean the same.
bool ParseRegex(const char* pattern, bool ascii_classes, bool ignore_case, Regex* out);

// The replacement text of regexp_replace for RE2, or null.
const char* ParseReplacement(const char* replacement, int groups);

}  // namespace ivy::translate
