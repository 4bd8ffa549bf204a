# SPDX-License-Identifier: Apache-2.0
"""Every shippable signature over edge values: each expression is computed for all rows, or all pairs of rows, of a row
table and of its mirror in one snapshot, and text form, type and errors must be equal.

    signatures.py [--only TEXT] [--aggregates] [--zones] [--every] [--verbose]

"wrong"    the mirror's answer differs, or it answers where the row table raises an error: never allowed.
"refused"  the engine raised an error where the row table doesn't: Postgres would answer by itself, so only slow.
"local"    the expression was not shipped whole. Those that must be shipped are marked in the lists below.
"""

import argparse
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import scalar_expressions  # noqa: E402
from ivy_server import Server, wait_live  # noqa: E402
from signature_runner import PROBE, Runner  # noqa: E402

# Edge values by column. Columns have the name of their list; shorter lists are padded with NULLs.
VALUES = {
    "b": ("boolean", ["true", "false"]),
    "i2": ("smallint", ["0", "1", "-1", "2", "7", "-7", "32767", "-32768"]),
    "i4": ("integer", ["0", "1", "-1", "2", "-7", "100", "2147483647", "-2147483648", "46341"]),
    "i8": ("bigint", ["0", "1", "-1", "3", "-7", "9223372036854775807", "-9223372036854775808", "9007199254740993", "3037000500"]),
    "f4": ("real", ["0", "-0", "1", "-1.5", "0.5", "2.5", "3.4e38", "1e-45", "NaN", "Infinity", "-Infinity", "16777217", "32767.5"]),
    "f8": ("double precision", ["0", "-0", "1", "-1.5", "0.5", "2.5", "1.7e308", "5e-324", "NaN", "Infinity", "-Infinity",
                                "2147483647.5", "-2147483648.5", "9223372036854775807", "0.1"]),
    "n": ("numeric(10,2)", ["0", "1", "-1", "0.01", "-0.05", "99999999.99", "-99999999.99", "2.50", "-2.50", "1234.56"]),
    "m": ("numeric(12,5)", ["0", "1", "-1", "0.00001", "9999999.99999", "-9999999.99999", "0.5", "-1.5", "2.50000"]),
    "w": ("numeric(38,10)", ["0", "1", "-1", "9999999999999999999999999999.9999999999", "-9999999999999999999999999999.9999999999",
                             "0.0000000001", "12345678901234.5"]),
    "z": ("numeric(20,0)", ["0", "1", "-1", "99999999999999999999", "-99999999999999999999", "12"]),
    "t": ("text", ["", "a", "A", "ab", "abc", " pad ", "Zebra", "äöü", "日本語", "é", "100%", "a_b", "back\\slash", "it's",
                   "{mirror:0}", "a\tb", "long" * 300, "ß", "x\u00a0y", "\U0001f600"]),
    "c": ("text COLLATE \"C\"", ["", "a", "A", "ab", "B", "äöü", "日本", "\U0001f600", "a b", "a!", "~", "b", "é", "z"]),
    "v": ("varchar(10)", ["", "a", "abc", "ab ", "äöü", "1234567890", "%", "_"]),
    "p": ("char(5)", ["", "a", "ab", "ab   ", "abcde", "äöü", "a\tb", "  x", "A"]),
    "y": ("bytea", ["\\x", "\\x00", "\\x00ff", "\\x61", "\\xff", "\\x6161"]),
    "d": ("date", ["2024-02-29", "2000-01-01", "1999-12-31", "0001-01-01", "0001-12-31 BC", "0044-03-15 BC", "4713-01-01 BC",
                   "5874897-12-31", "infinity", "-infinity", "2020-12-31", "2021-01-03", "1900-02-28", "2001-01-01", "1970-01-01"]),
    "ts": ("timestamp", ["2024-02-29 12:34:56.789012", "2000-01-01 00:00:00", "1999-12-31 23:59:59.999999", "0001-01-01 00:00:00",
                         "0044-03-15 01:02:03 BC", "4713-01-01 00:00:00 BC", "294246-12-31 23:59:59", "infinity", "-infinity",
                         "1969-12-31 23:59:59.5", "2024-01-31 10:00", "2023-03-26 02:30", "2001-01-01", "1970-01-01", "2024-03-10 02:30", "2024-11-03 01:30",
                         "2023-10-29 01:30:00.5", "1883-11-18 12:00", "2011-12-30 12:00", "1890-01-01"]),
    "tz": ("timestamptz", ["2024-02-29 12:34:56.789012+00", "2000-01-01 00:00:00+05:30", "1999-12-31 23:59:59.999999-08",
                           "0044-03-15 01:02:03+00 BC", "infinity", "-infinity", "1969-12-31 23:59:59.5+00", "2023-03-26 02:30+01",
                            "2023-03-26 01:00:00+00", "2023-10-29 00:30+00", "2023-10-29 01:00+00", "2024-03-10 07:00+00", "2024-11-03 05:30+00",
                            "2024-11-03 06:30+00", "1900-01-01 00:00+00", "2011-12-30 10:00+00", "1883-11-18 17:00+00"]),
    "tm": ("time", ["00:00", "24:00:00", "12:34:56.789", "23:59:59.999999", "01:00"]),
    "u": ("uuid", ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
                   "7fffffff-ffff-ffff-ffff-ffffffffffff", "80000000-0000-0000-0000-000000000000"]),
    "iv": ("interval", ["0", "1 day", "24 hours", "1 month", "30 days", "-1 month 1 day", "1 year 2 months 3 days 04:05:06.789",
                        "-00:00:00.000001", "infinity"]),
    "e": ("mood", ["sad", "ok", "happy"]),
    "o": ("oid", ["0", "1", "4294967295"]),
    "un": ("numeric", ["0", "1.0", "1.00", "NaN", "Infinity", "1e40", "0.000", "-7.5", "-Infinity",
                       "123456789012345678901234567890.123456789012345678901234567890", "0.00000000000000000000000000000000000000000001", "32767.5"]),
    "js": ("jsonb", ['{"a": 1}', '{"a":1}', "[]", "null", '{"b": {"c": [1, {"d": "x, }]"}]}, "a": "q\\"ä\\n\\u0001"}', '[1, "a", null, [2, 3], {"a": 5}]', '"a"', "1.50",
                        '{"": 0, "a b": true, "\\"k\\"": null}', '{"a": null}', "{}", "true"]),
}
for name, texts in scalar_expressions.TEXTS.items():
    VALUES[name] = ("text", texts)
VALUES.update(scalar_expressions.ARRAYS)
COMPARE = ["=", "<>", "<", "<=", ">", ">="]


def expressions():
    """(expression over x and y, whether it must be shipped). One that names only x is run over single rows."""
    yield from scalar_expressions.expressions()
    for left, right in [("i2", "i2"), ("i4", "i4"), ("i8", "i8"), ("i2", "i4"), ("i4", "i2"), ("i2", "i8"), ("i8", "i2"),
                        ("i4", "i8"), ("i8", "i4")]:
        for op in COMPARE + ["+", "-", "*", "/"]:
            yield "x.%s %s y.%s" % (left, op, right), True
    for column in ["i2", "i4", "i8"]:
        for op in ["%", "&", "|", "#"]:
            yield "x.%s %s y.%s" % (column, op, column), True
        for text in ["-%s", "+%s", "@%s", "abs(%s)", "~%s", "%s::text", "%s::numeric", "%s::real", "%s::float8", "%s IS NULL"]:
            yield text % ("x." + column), True
        yield "mod(x.%s, y.%s)" % (column, column), True
        yield "x.%s BETWEEN y.%s AND 100" % (column, column), True
        yield "x.%s IN (0, 1, 7, NULL)" % column, True
        yield "x.%s NOT IN (0, 1, 7)" % column, True
        yield "x.%s NOT IN (0, 1, NULL)" % column, True
        yield "x.%s = ANY ('{}')" % column, True
        yield "x.%s < ALL ('{1,100}')" % column, True
        yield "nullif(x.%s, y.%s)" % (column, column), True
        yield "greatest(x.%s, y.%s, 5::int2)" % (column, column), True
        yield "least(x.%s, y.%s)" % (column, column), True
        yield "coalesce(x.%s, y.%s, 3::int2)" % (column, column), True
        yield "x.%s IS DISTINCT FROM y.%s" % (column, column), True
    for source, target in [("i2", "int4"), ("i2", "int8"), ("i4", "int2"), ("i4", "int8"), ("i8", "int2"), ("i8", "int4"), ("f4", "int2"),
                           ("f4", "int4"), ("f4", "int8"), ("f4", "float8"), ("f8", "int2"), ("f8", "int4"), ("f8", "int8"),
                           ("n", "int2"), ("n", "int4"), ("n", "int8"), ("n", "float8"), ("m", "int4"), ("m", "float8"), ("z", "int8"), ("b", "int4"), ("i4", "bool"),
                           ("b", "text"), ("n", "text"), ("m", "text"), ("u", "text"), ("p", "text"), ("v", "text"), ("t", "varchar(3)"),
                           ("n", "numeric(6,1)"), ("m", "numeric(9,2)"), ("n", "numeric(20,6)"), ("d", "timestamp"), ("ts", "date"),
                           ("d", "timestamptz"), ("ts", "timestamptz"), ("tz", "timestamp"), ("tz", "date")]:
        yield "x.%s::%s" % (source, target), True
    for left, right in [("f4", "f4"), ("f8", "f8"), ("f4", "f8"), ("f8", "f4")]:
        for op in COMPARE + ["+", "-", "*", "/"]:
            yield "x.%s %s y.%s" % (left, op, right), True
    yield "-x.f8 >= 'NaN'", True
    yield "-x.f8 BETWEEN 'NaN' AND '-0'", True
    yield "(-x.f4) < y.f4", True
    for text in ["-%s", "+%s", "@%s", "abs(%s)"]:
        yield text % "x.f4", True
        yield text % "x.f8", True
    for function in ["ceil", "ceiling", "floor", "trunc", "round"]:
        yield "%s(x.f8)" % function, True
    yield "greatest(x.f8, y.f8)", True
    yield "least(x.f4, y.f4)", True
    for left, right in [("n", "n"), ("n", "m"), ("m", "n"), ("z", "n"), ("w", "w"), ("w", "n")]:
        for op in COMPARE + ["+", "-", "*"]:
            yield "x.%s %s y.%s" % (left, op, right), True
    yield "x.n * y.m - y.n * 2 + 0.125", True
    yield "x.n + x.i4", True
    yield "x.i8 * y.n", True
    yield "x.n > 1", True
    yield "x.n = 1.0000", True
    yield "x.n IN (1, 2.5, -0.05)", True
    for left, right in [("n", "n"), ("n", "m"), ("w", "n"), ("un", "n"), ("un", "un"), ("z", "un")]:
        for op in ["/", "%", "+", "-", "*"] + COMPARE:
            yield "x.%s %s y.%s" % (left, op, right), True
        yield "div(x.%s, y.%s)" % (left, right), True
        yield "x.%s IS DISTINCT FROM y.%s" % (left, right), True
        yield "coalesce(x.%s, y.%s)" % (left, right), True
        yield "nullif(x.%s, y.%s)" % (left, right), True
        yield "greatest(x.%s, y.%s, 1.0)" % (left, right), True
        yield "least(x.%s, y.%s)" % (left, right), True
        yield "CASE WHEN x.b THEN x.%s ELSE y.%s END" % (left, right), True
    yield "sqrt(abs(x.n))", True
    yield "sqrt(x.un)", True
    yield "x.n / 7.0 > y.m * 0.2", True
    yield "x.n IN (1, 'NaN', 2.5)", True
    yield "x.un IN (1, 'NaN', 'Infinity', 1e40)", True
    yield "x.un = ANY ('{1,NaN}'::numeric[])", None
    yield "x.un BETWEEN -1 AND y.un", True
    for source, target in [("un", "int2"), ("un", "int4"), ("un", "int8"), ("un", "float8"), ("un", "float4"), ("un", "text"), ("un", "numeric(6,1)"),
                           ("un", "numeric(50,3)"), ("n", "numeric(6,-2)"), ("n", "float4"), ("w", "float8"), ("z", "float8"), ("f8", "numeric"),
                           ("f4", "numeric"), ("f8", "numeric(10,2)")]:
        yield "x.%s::%s" % (source, target), True
    for column in ["n", "m", "w", "z", "un"]:
        for text in ["-%s", "+%s", "abs(%s)", "ceil(%s)", "floor(%s)", "sign(%s)", "round(%s)", "round(%s, 1)", "round(%s, 3)", "round(%s, -2)",
                     "trunc(%s)", "trunc(%s, 1)", "trunc(%s, -1)", "scale(%s)", "%s::text"]:
            yield text % ("x." + column), True
    yield "CASE WHEN x.i4 > 0 THEN x.n ELSE y.n END", True
    yield "CASE WHEN x.i4 > 0 THEN x.n ELSE 0 END", True
    yield "round(x.n, x.i2)", True
    yield "CASE WHEN x.i4 > 0 THEN x.n ELSE 0 END > 0.5", True
    yield "CASE x.i4 WHEN 0 THEN 'zero' WHEN 1 THEN 'one' END", True
    yield "CASE WHEN y.i4 <> 0 THEN x.i4 / y.i4 END", True
    yield "coalesce(x.n, y.n)", True
    yield "coalesce(x.n, 0) < 5", True
    for op in COMPARE:
        for column in ["b", "c", "d", "ts", "tz", "tm", "u", "y", "o"]:
            yield "x.%s %s y.%s" % (column, op, column), True
        yield "x.d %s y.ts" % op, True
        yield "x.ts %s y.d" % op, True
        yield "x.d %s timestamp '2000-01-01 12:00'" % op, True
        yield "x.d %s timestamp '2000-01-01'" % op, True
        yield "timestamp '-infinity' %s x.d" % op, True
        yield "x.ts %s date '2000-01-01'" % op, True
        yield "x.tz %s date '2000-01-01'" % op, True
        yield "x.tz %s timestamp '2000-01-01'" % op, True
        yield "x.ts %s timestamptz '2000-01-01 00:00+03'" % op, True
        yield "x.d %s y.tz" % op, True
        yield "x.p COLLATE \"C\" %s y.p" % op, True
        yield "x.c %s 'a'" % op, True
    for op in ["=", "<>"]:
        for column in ["t", "v", "p", "e"]:
            yield "x.%s %s y.%s" % (column, op, column), True
        yield "x.t %s 'it''s'" % op, True
        yield "x.t %s '{mirror:0}'" % op, True
        yield "x.t %s E'a\\tb'" % op, True
        yield "x.p %s 'ab'" % op, True
        yield "x.p %s 'ab   '" % op, True
        yield "x.p %s 'abcdefgh'" % op, True
        yield "x.e %s 'ok'" % op, True
    yield "x.p IN ('a', 'ab', 'zz')", True
    yield "x.p = x.t", True
    yield "x.v = x.t", True
    yield "x.b AND y.b", True
    yield "x.b OR y.b", True
    yield "NOT x.b", True
    for test in ["TRUE", "NOT TRUE", "FALSE", "NOT FALSE", "UNKNOWN", "NOT UNKNOWN"]:
        yield "x.b IS %s" % test, True
    for pattern in ["a%", "%b", "_", "a_b", "a\\_b", "%\\%%", "", "%", "äö_", "日%", "back\\\\slash", "%it''s%", "_%_"]:
        for column in ["t", "p", "v"]:
            yield "x.%s LIKE '%s'" % (column, pattern), True
        yield "x.t NOT LIKE '%s'" % pattern, True
    for pattern in ["a", "^a", "b$", "^$", "a|b", "^(a|ab)+$", "[a-c]+", "[^a-z]", "a.b", "^.$", "\\.", "(ab)?c", "a{2,3}", "[äö]", "^[[:alpha:]]*$",
                    "\\d", "\\w\\s", "x.y", "日.*", "[]a]", "[a-]", "%$", "\\\\", "é|ß", "^a?b*c", "(long){3}", "[^\\w]"]:
        for column in ["t", "c", "p"]:
            yield "x.%s ~ '%s'" % (column, pattern), None if ("[[:" in pattern or "\\" in pattern) and column != "c" else True
            yield "x.%s !~ '%s'" % (column, pattern), None
        yield "regexp_like(x.c, '%s')" % pattern, True
    for pattern in ["a**", "a*?", "(a)\\1", "(?i)a", "(?=a)", "***=a", "a{,2}", "\\ma", "*a", "a||b", "(", "[b-a]", "[[:nope:]]"]:
        yield "x.t ~ '%s'" % pattern, False
    yield "x.t SIMILAR TO 'a%|b_'", True
    for pattern, replacement in [("^(.)(.*)$", "\\2-\\1"), ("^a(b?)[^x]*$", "<\\1\\&>"), ("^(?:ab)?([^c]+)c*$", "\\1"), ("^[a-z]+$", "\\\\")]:
        yield "regexp_replace(x.c, '%s', '%s')" % (pattern, replacement), True
        yield "regexp_replace(x.t, '%s', '%s')" % (pattern, replacement), True
    for pattern, replacement in [("a", "b"), ("^a*", "x"), ("^(a|ab)(c|bcd)$", "\\1"), ("^(a?(ab)?)(b?)$", "\\1"), ("^(a*)(a*)$", "\\2"), ("^(a)$", "\\2"), ("^(a)?$", "[\\1]")]:
        yield "regexp_replace(x.t, '%s', '%s')" % (pattern, replacement), None
    yield "x.t LIKE y.v", True
    yield "x.t LIKE 'a!_b' ESCAPE '!'", True
    yield "x.t LIKE ANY ('{a%,%b}')", True
    for text in ["length(%s)", "char_length(%s)", "substring(%s, 1, 2)", "substring(%s, 2)", "substr(%s, 3, 0)", "substring(%s from 2 for 1000)",
                 "left(%s, 2)", "right(%s, 2)", "left(%s, 0)", "strpos(%s, 'b')", "position('' in %s)", "position('本' in %s)",
                 "replace(%s, 'a', 'xyz')", "replace(%s, '', 'x')", "trim(%s)", "ltrim(%s)", "rtrim(%s)", "btrim(%s, 'aä')", "ltrim(%s, 'ab')",
                 "rtrim(%s, ' b')", "btrim(%s, '')", "starts_with(%s, 'a')", "starts_with(%s, '')"]:
        yield text % "x.t", True
    yield "strpos(x.t, y.t)", True
    for text in ["substring(%s, y.i2)", "substring(%s, y.i2, y.i4)", "substr(%s, -1, 3)", "left(%s, y.i2)", "right(%s, y.i2)", "left(%s, -1)", "right(%s, -2)",
                 "lpad(%s, 7, 'äb')", "lpad(%s, 2)", "rpad(%s, 7, 'xyz')", "rpad(%s, 5)", "lpad(%s, -1, 'x')", "rpad(%s, 5, '')", "repeat(%s, 3)", "repeat(%s, y.i2 %% 4)",
                 "reverse(%s)", "split_part(%s, 'b', 1)", "split_part(%s, 'a', -1)", "split_part(%s, ' ', y.i2)", "split_part(%s, '', 1)", "translate(%s, 'abcä', 'xy')",
                 "translate(%s, 'aa', 'xy')", "translate(%s, '', 'x')", "overlay(%s placing 'ö' from 2)", "overlay(%s placing 'xyz' from y.i2)", "ascii(%s)", "md5(%s)",
                 "octet_length(%s)", "concat(%s, 1, NULL, y.v)", "concat_ws('-', %s, y.v, y.i4, NULL)", "concat_ws(NULL, %s)", "concat(%s, y.n, y.u)"]:
        yield text % "x.t", True
    for text in ["%s -> 'a'", "%s ->> 'a'", "%s -> 'b' -> 'c' -> 1 ->> 'd'", "%s -> 0", "%s ->> -1", "%s -> y.i2::int", "%s #> '{b,c}'", "%s #>> '{b,c,1,d}'",
                 "%s #>> '{3,1}'", "%s #> '{a,b}'", "%s #>> '{-1,a}'", "%s ? 'a'", "%s ->> y.v", "jsonb_typeof(%s)", "jsonb_array_length(%s)", "%s ->> '\"k\"'", "%s ->> ''",
                 "(%s ->> 'a') IS NULL", "%s #> '{ 0}'", "length(%s ->> 'a')"]:
        yield text % "x.js", True
    for text in ["chr(x.i4)", "chr(x.i2)", "chr(x.i4 + 8364)", "to_hex(x.i4)", "to_hex(x.i8)", "encode(x.y, 'hex')", "x.y || y.y", "octet_length(x.p)", "concat(x.p, 'x')",
                 "gcd(x.i4, y.i4)", "lcm(x.i4, y.i4)", "gcd(x.i8, y.i8)", "lcm(x.i8, y.i8)", "make_date(x.i4, 2, 29)", "make_date(2024, x.i4, 1)", "make_date(x.i2, y.i2, 7)",
                 "date_bin('15 minutes', x.ts, timestamp '2001-01-01')", "date_bin('1 day 3 hours', x.tz, timestamptz '2020-02-29 00:00+00')", "date_bin(x.iv, y.ts, '2000-01-01')",
                 "to_timestamp(x.f8)", "to_timestamp(x.i4 + 0.25::float8)", "age(x.ts, y.ts)", "age(x.tz, y.tz)", "age(x.ts, timestamp '2000-02-29 12:00')", "-x.iv"]:
        yield text, True
    for function in ["sqrt", "cbrt", "exp", "ln", "log", "log10", "sign", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh",
                     "degrees", "radians", "|/", "||/"]:
        yield "%s(x.f8)" % function, True
        yield "%s(x.f8 / 1000)" % function, True
    for text in ["power(%s, %s)", "%s ^ %s", "atan2(%s, %s)", "pow(%s, %s)"]:
        yield text % ("x.f8", "y.f8"), True
    yield "power(x.f8, 2)", True
    yield "exp(x.f4)", True
    yield "x.t || y.v", True
    yield "x.t || '{rows:1}'", True
    yield "length(x.p)", True
    yield "octet_length(x.y)", True
    yield "upper(x.c)", True
    yield "lower(x.c)", True
    yield "upper(x.t)", None
    for op in COMPARE:
        yield "x.t %s y.t" % op, True
        yield "x.t COLLATE \"en-x-icu\" %s y.t" % op, True
        yield "x.t COLLATE \"sv-x-icu\" %s 'äöü'" % op, True
        yield "x.p COLLATE \"de-x-icu\" %s y.p" % op, True
    yield "greatest(x.t COLLATE \"en-x-icu\", y.t)", None
    yield "rank() OVER (ORDER BY x.t COLLATE \"sv-x-icu\")", True
    yield "lag(x.t) OVER (ORDER BY x.t COLLATE \"en-x-icu\" DESC, x.id)", True
    yield "x.t COLLATE \"und-x-icu\" BETWEEN 'a' AND 'z'", True
    yield "x.d + x.i2::int4", True
    yield "x.d - 3", True
    yield "x.d - y.d", True
    for interval in ["1 month", "-1 month", "1 day", "1 year 2 months 3 days 04:05:06.789", "-36 hours", "12 months", "0"]:
        for column in ["d", "ts"]:
            yield "x.%s + interval '%s'" % (column, interval), True
            yield "x.%s - interval '%s'" % (column, interval), True
    yield "x.tz + interval '5 hours 3 microseconds'", True
    for interval in ["1 month", "-1 month", "1 day", "-1 day", "1 year 2 months 3 days 04:05:06.789", "-36 hours", "12 months", "0", "1 day -1 microsecond"]:
        yield "x.tz + interval '%s'" % interval, True
        yield "x.tz - interval '%s'" % interval, True
    yield "x.tz - y.tz", True
    for op in COMPARE:
        yield "x.iv %s y.iv" % op, True
        yield "x.iv %s interval '30 days'" % op, True
    yield "x.tz + y.iv", None
    for zone in ["America/New_York", "Asia/Kathmandu", "UTC", "Europe/Dublin", "EST", "Asia/Shanghai", "Pacific/Apia"]:
        yield "x.tz AT TIME ZONE '%s'" % zone, True
        yield "x.ts AT TIME ZONE '%s'" % zone, True
        yield "date_trunc('day', x.tz, '%s')" % zone, True
    yield "x.tz AT TIME ZONE 'no/zone'", None
    for field in ["timezone", "timezone_hour", "timezone_minute"]:
        yield "extract(%s from x.tz)" % field, True
        yield "date_part('%s', x.tz)" % field, True
    yield "x.ts - y.ts", True
    yield "x.ts + y.iv", True
    for unit in ["microseconds", "milliseconds", "second", "minute", "hour", "day", "week", "month", "quarter", "year", "decade",
                 "century", "millennium"]:
        yield "date_trunc('%s', x.ts)" % unit, True
        yield "date_trunc('%s', x.tz)" % unit, True
        yield "date_trunc('%s', x.d)" % unit, True
    for field in ["year", "month", "day", "quarter", "dow", "isodow", "doy", "week", "isoyear", "decade", "century", "millennium", "epoch"]:
        for column in ["d", "ts", "tz"]:
            yield "extract(%s from x.%s)" % (field, column), True
        if field != "epoch":
            yield "date_part('%s', x.ts)" % field, True
    for field in ["hour", "minute", "second", "milliseconds", "microseconds"]:
        yield "extract(%s from x.ts)" % field, True
        yield "extract(%s from x.tz)" % field, True
    for column in ["d", "ts", "tz"]:
        yield "isfinite(x.%s)" % column, True
    for column in VALUES:
        yield "x.%s" % column, True
        yield "x.%s IS NOT NULL" % column, True


AGGREGATES = (["%s(x.%s)" % (f, c) for f in ("min", "max", "count") for c in ("i2", "i4", "i8", "f4", "f8", "n", "m", "w", "z", "c", "d", "ts", "tz", "tm", "o")]
              + ["sum(x.%s)" % c for c in ("i2", "i4", "i8", "n", "m", "w", "z")]
              + ["avg(x.%s)" % c for c in ("i2", "i4", "i8", "n", "m", "w", "z")]
              + ["%s(x.%s)" % (f, c) for f in ("stddev", "stddev_samp", "stddev_pop", "variance", "var_samp", "var_pop") for c in ("i2", "i4", "i8", "n", "m", "w", "z", "un")]
              + ["%s(x.un)" % f for f in ("sum", "avg", "min", "max", "count")]
              + ["sum(x.%s / 3)" % c for c in ("i4", "n", "m", "un")] + ["sum(x.n) / sum(x.m)", "avg(x.n) > avg(x.m)", "avg(x.n / 7)", "avg(DISTINCT x.n)"]
              + ["sum(DISTINCT x.%s)" % c for c in ("i4", "n")] + ["count(DISTINCT x.%s)" % c for c in ("i4", "n", "un", "t", "f8", "d", "p", "b", "u", "e")]
              + ["%s(x.%s COLLATE \"%s\")" % (f, c, l) for f in ("min", "max") for c in ("t", "v") for l in ("C", "en-x-icu", "sv-x-icu", "default", "C.utf8")]
              + ["bool_and(x.b)", "bool_or(x.b)", "every(x.b)", "count(*)", "count(x.t)", "count(x.js)", "count(*) FILTER (WHERE x.i4 > 0)",
                 "sum(x.n) FILTER (WHERE x.b)", "sum(CASE WHEN x.b THEN x.n ELSE 0 END)", "avg(CASE WHEN x.b THEN x.n ELSE 0 END)",
                 "sum(x.n * (1 - x.m))", "sum(x.n) / count(*)", "round(avg(x.n), 2)", "sum(x.f8) FILTER (WHERE x.f8 < 10)"]
              + ["%s(x.%s)" % (f, c) for f in ("bit_and", "bit_or", "bit_xor") for c in ("i2", "i4", "i8")])


FLOAT_AGGREGATES = ["variance", "var_samp", "var_pop", "stddev", "stddev_samp", "stddev_pop"]
PAIR_AGGREGATES = ["covar_pop", "covar_samp", "corr", "regr_count", "regr_sxx", "regr_syy", "regr_sxy", "regr_avgx", "regr_avgy", "regr_r2", "regr_slope",
                   "regr_intercept"]
SORTABLE = ["i2", "i4", "i8", "f4", "f8", "n", "m", "w", "z", "c", "d", "ts", "tz", "tm", "u", "y", "b", "o", "un"]
# Types with edge values that are equal but look different (0 and -0, numerics of other scales): any of them may be shown.
DISTINCT_LOOKS = ["i2", "i4", "i8", "n", "m", "w", "z", "c", "d", "ts", "tm", "u", "y", "b", "p"]
AGGREGATES += (
    ["%s(x.%s)" % (f, c) for f in FLOAT_AGGREGATES for c in ("f4", "f8")]
    + ["%s(x.f8) FILTER (WHERE abs(x.f8) < 1e6)" % f for f in FLOAT_AGGREGATES]
    + ["%s(x.f8, x.f4)" % f for f in PAIR_AGGREGATES]
    + ["%s(x.i4, x.i2) FILTER (WHERE x.id < 8)" % f for f in PAIR_AGGREGATES]
    + ["%s(x.f8, x.i4) FILTER (WHERE abs(x.f8) < 1e6)" % f for f in PAIR_AGGREGATES]
    + ["%s(x.i4, 1) FILTER (WHERE x.i4 < 1000)" % f for f in PAIR_AGGREGATES]
    + ["%s(DISTINCT x.%s)" % (f, c) for f in ("stddev", "var_pop", "var_samp", "stddev_pop") for c in ("i2", "i4", "n", "w")]
    + ["percentile_disc(%s) WITHIN GROUP (ORDER BY x.%s%s)" % (f, c, o) for c in SORTABLE for f, o in ((0.5, ""), (0, ""), (1, " DESC"), (0.37, " DESC NULLS LAST"))]
    + ["mode() WITHIN GROUP (ORDER BY %s%s)" % ("abs(x.%s)" % c if c[0] == "f" else "x." + c, o) for c in SORTABLE for o in ("", " DESC")]
    + ["mode() WITHIN GROUP (ORDER BY x.%s %% 3 DESC)" % c for c in ("i2", "i4", "n", "un")]
    + ["percentile_cont(%s) WITHIN GROUP (ORDER BY x.%s)" % (f, c) for c in ("i2", "i4", "i8", "f4", "f8", "n", "w", "un") for f in (0, 0.5, 0.123, 1)]
    + ["percentile_cont(%s) WITHIN GROUP (ORDER BY x.f8 DESC) FILTER (WHERE x.i4 > 0)" % f for f in (0.5, "'NaN'", 1.5, -0.1, "NULL")]
    + ["percentile_disc(%s) WITHIN GROUP (ORDER BY x.i4)" % f for f in ("'NaN'", 1.5, -0.1, "NULL::float8")]
    + ["percentile_disc('{0,0.25,NULL,1}'::float8[]) WITHIN GROUP (ORDER BY x.%s)" % c for c in DISTINCT_LOOKS if c not in ("p",)]
    + ["percentile_cont('{0,0.25,NULL,0.9,1}'::float8[]) WITHIN GROUP (ORDER BY x.%s)" % c for c in ("i4", "f8", "n")]
    + ["percentile_cont('{}'::float8[]) WITHIN GROUP (ORDER BY x.i4)", "percentile_cont('{0.5,2}'::float8[]) WITHIN GROUP (ORDER BY x.i4)",
       "percentile_disc(0.5) WITHIN GROUP (ORDER BY x.t COLLATE \"sv-x-icu\")", "mode() WITHIN GROUP (ORDER BY x.t COLLATE \"en-x-icu\" DESC)"]
    + ["array_agg(x.%s ORDER BY x.id%s)" % (c, o) for c in ("i2", "i4", "i8", "f4", "f8", "n", "m", "w", "z", "c", "t", "v", "p", "d", "ts", "tm", "u", "y", "b", "un", "js", "e", "o")
       for o in ("", " DESC")]
    + ["array_agg(DISTINCT x.%s)" % c for c in DISTINCT_LOOKS if c != "p"]
    + ["array_agg(DISTINCT x.%s ORDER BY x.%s DESC NULLS LAST)" % (c, c) for c in ("i4", "n", "c", "d")]
    + ["array_agg(x.t ORDER BY x.c DESC, x.i4 NULLS FIRST, x.id)", "array_agg(x.n / 3 ORDER BY x.id)", "array_agg(x.id ORDER BY x.un NULLS FIRST, x.id)",
       "array_agg(x.t ORDER BY x.t COLLATE \"sv-x-icu\" DESC, x.id)", "array_agg(x.i4 ORDER BY x.id) FILTER (WHERE x.i4 > 0)",
       "string_agg(x.t, ',' ORDER BY x.id)", "string_agg(x.t, '' ORDER BY x.id DESC)", "string_agg(x.t, NULL ORDER BY x.id)", "string_agg(DISTINCT x.c, ', ')",
       "string_agg(DISTINCT x.c, ', ' ORDER BY x.c DESC)",
       "string_agg(x.i4::text, '|' ORDER BY x.i4)", "string_agg(x.v, ',' ORDER BY x.id) FILTER (WHERE x.b)", "any_value(x.i4 ORDER BY x.i4)",
       "any_value(x.un ORDER BY x.id DESC)", "any_value(x.js ORDER BY x.id)", "any_value(1)", "(array_agg(x.t ORDER BY x.id DESC))[1]", "(array_agg(x.un ORDER BY x.id))[3] + 1", "(array_agg(x.d ORDER BY x.id) FILTER (WHERE x.b))[90]",
       "count(DISTINCT (x.i4 % 3, x.b))", "count(DISTINCT (x.un, x.iv, x.p))", "count(DISTINCT row(x.f8))", "sum(x.n ORDER BY x.id)", "count(x.t ORDER BY x.c)", "max(x.i4 ORDER BY x.id)"]
    + ["%s(%s) WITHIN GROUP (ORDER BY x.%s%s)" % (f, v, c, o) for f in ("rank", "dense_rank", "percent_rank", "cume_dist") for o in ("", " DESC", " NULLS FIRST")
       for c, v in (("i4", "1"), ("i4", "NULL"), ("n", "1.000"), ("n", "0.007"), ("un", "7"), ("c", "'b'"), ("d", "'2000-01-01'"), ("f8", "0.5"), ("t COLLATE \"sv-x-icu\"", "'b'"))]
    + ["%s(1, 'b') WITHIN GROUP (ORDER BY x.i4 %% 3 DESC, x.c)" % f for f in ("rank", "dense_rank", "percent_rank", "cume_dist")]
    + ["%s(x.%s)" % (f, c) for f in ("min", "max") for c in ("y",)]
    + ["%s(x.p COLLATE \"C\")" % f for f in ("min", "max")])
# Those that are computed above the engine's scan.
LOCAL_AGGREGATES = ["array_agg(DISTINCT x.p)", "string_agg(DISTINCT x.t COLLATE \"en-x-icu\", ';' ORDER BY x.t COLLATE \"en-x-icu\")", "array_agg(x.iv ORDER BY x.id)",
                    "sum(x.f8 ORDER BY x.id)", "string_agg(x.t, x.v ORDER BY x.id)", "array_agg(x.tz ORDER BY x.id)"]


# Frames over a total order, or with peers where the function doesn't tell them apart.
FRAMES = ["ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING", "ROWS BETWEEN 3 PRECEDING AND 2 PRECEDING", "ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING",
          "GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING", "GROUPS BETWEEN CURRENT ROW AND 2 FOLLOWING", "RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING"]
EXCLUSIONS = ["", " EXCLUDE CURRENT ROW", " EXCLUDE GROUP", " EXCLUDE TIES", " EXCLUDE NO OTHERS"]
RANGES = ([("x.%s" % c, o) for c in ("i2", "i4", "i8", "i4 % 5", "n", "m", "w", "z") for o in ("0", "1", "3")] + [("x.i8", "9223372036854775807"), ("x.i4", "5000000000"), ("x.n", "0.01"), ("x.n", "2.005")]
          + [("x.%s" % c, "%s::float8" % o) for c in ("f4", "f8") for o in ("0", "0.5", "1e300")]
          + [("x.%s" % c, "interval '%s'" % o) for c in ("d", "ts") for o in ("0", "1 day", "1 year 2 months 3 days 04:05", "500 years")] + [("x.tz", "interval '36 hours'")])
WINDOWS = (
    ["%s OVER (PARTITION BY x.g ORDER BY x.i2 %s%s)" % (f, frame, e) for f in ("count(x.t)", "sum(x.n)", "max(x.c)", "avg(x.i8)", "bool_or(x.b)") for frame in FRAMES for e in EXCLUSIONS
     if not frame.startswith("ROWS")]
    + ["%s OVER (ORDER BY x.i4 DESC, x.id %s%s)" % (f, frame, e) for f in ("first_value(x.t)", "last_value(x.n)", "nth_value(x.d, 2)", "array_agg(x.id)", "string_agg(x.v, '-')", "stddev(x.n)",
                                                                      "count(*) FILTER (WHERE x.b)", "any_value(x.id)", "sum(x.un)") for frame in FRAMES for e in EXCLUSIONS]
    + ["%s OVER (ORDER BY %s%s RANGE BETWEEN %s %s AND %s)" % (f, key, direction, o, side, end.replace("@", o)) for key, o in RANGES for direction in ("", " DESC", " NULLS FIRST")
       for f, side, end in (("count(*)", "PRECEDING", "CURRENT ROW"), ("sum(x.id)", "PRECEDING", "@ FOLLOWING"), ("min(x.id)", "FOLLOWING", "UNBOUNDED FOLLOWING"),
                            ("max(x.id)", "PRECEDING", "@ PRECEDING EXCLUDE TIES"))]
    + ["%s OVER (PARTITION BY x.g)" % f for f in ("count(x.f8)", "stddev(x.i2)", "regr_count(x.f8, x.f4)", "string_agg(x.b::int::text, '')", "max(x.tz)")]
    + ["%s OVER (PARTITION BY x.id)" % f for f in ("sum(x.f8)", "avg(x.f8)", "var_pop(x.f8)", "corr(x.f8, x.f8)", "avg(x.f4)")]
    + ["ntile(4) OVER (ORDER BY x.id)", "lag(x.n, 1, 0.125) OVER (ORDER BY x.id)", "lag(x.un, 1, 7) OVER (ORDER BY x.id)", "lag(x.un, 2) OVER (ORDER BY x.id)", "lead(x.n, 1, 0) OVER (ORDER BY x.id)", "lag(x.i4, x.g, 7) OVER (ORDER BY x.id)",
       "lag(x.t, -1, 'none') OVER (PARTITION BY x.g ORDER BY x.id DESC)", "nth_value(x.js, 3) OVER (ORDER BY x.id)", "cume_dist() OVER (ORDER BY x.i2)", "percent_rank() OVER (ORDER BY x.c DESC)"])
# Those whose window functions Postgres computes: sums of floats in an order, offsets for which it has an error or that know time zones.
LOCAL_WINDOWS = ["ntile(x.g + 1) OVER (ORDER BY x.id)", "sum(x.f8) OVER (ORDER BY x.id)", "avg(x.f8) OVER (ORDER BY x.id ROWS 2 PRECEDING)", "count(*) OVER (ORDER BY x.tz RANGE interval '1 day' PRECEDING)",
                 "count(*) OVER (ORDER BY x.d RANGE interval '-1 day' PRECEDING)", "count(*) OVER (ORDER BY x.un RANGE 1 PRECEDING)"]


ZONES = ["America/New_York", "Australia/Lord_Howe", "Europe/Dublin", "Asia/Kathmandu", "Pacific/Apia", "Africa/Monrovia", "EST5EDT", "+03:30"]


def schema():
    rows = max(len(values) for _, values in VALUES.values())
    lines = ["CREATE SCHEMA heap", "CREATE SCHEMA mirror", "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')",
             "CREATE TABLE heap.edge (id int PRIMARY KEY, g int, %s)" % ", ".join("%s %s" % (c, t) for c, (t, _) in VALUES.items())]
    inserts = []
    for i in range(rows + 1):
        row = [str(i), str(i % 3)]
        for column, (_, values) in VALUES.items():
            row.append("E'%s'" % values[i].replace("\\", "\\\\").replace("'", "\\'") if i < len(values) else "NULL")
        inserts.append("(%s)" % ", ".join(row))
    lines.append("INSERT INTO heap.edge VALUES " + ", ".join(inserts))
    return lines


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--aggregates", action="store_true", help="only these and window functions")
    parser.add_argument("--zones", action="store_true", help="all time zones, not just one")
    parser.add_argument("--every", action="store_true", help="each pair of rows that raises an error, not just each row in some pair")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    with Server(conf="jit = off\ntimezone = 'UTC'\nextra_float_digits = 3") as server, server.connect(autocommit=True) as c:
        for line in schema():
            c.execute(line)
        c.execute("CALL mooncake.create_table('mirror.edge', 'heap.edge')")
        c.execute(PROBE)
        wait_live(c, "mirror.edge")
        c.execute("ANALYZE")
        c.execute("SET mooncake.fallback = off")
        c.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        runner = Runner(c, options.verbose, options.every)
        # IvorySQL's || depends on the session's mode (whether NULL counts as an empty string): Postgres evaluates it.
        ivorysql = c.execute("SELECT 1 FROM pg_settings WHERE name = 'ivorysql.compatible_mode'").fetchone()
        # So are formats with names that IvorySQL reads in its own way.
        own = [" || ", "Hh Mm", "quoted", "äö YYYY", "DDSP FX"] if ivorysql else []
        wanted = [(text, None if any(part in text for part in own) else must_ship) for text, must_ship in expressions() if options.only in text]
        if not options.aggregates:
            runner.expressions(wanted)
        runner.aggregates([text for text in AGGREGATES if options.only in text], True)
        runner.aggregates([text for text in LOCAL_AGGREGATES if options.only in text], False)
        runner.whole_queries([text for text in scalar_expressions.UNNESTED if options.only in text])
        runner.windows([text for text in WINDOWS if options.only in text], True)
        runner.windows([text for text in LOCAL_WINDOWS if options.only in text], False)
        # What depends on the session's time zone, in zones with daylight saving time in either half of the year, with
        # offsets of minutes, with days left out, and with rules only.
        for zone in [] if options.aggregates else ZONES if options.zones else ZONES[:1]:
            c.execute("SET TimeZone = '%s'" % zone)
            print("time zone %s" % zone)
            runner.expressions([(text, must_ship) for text, must_ship in wanted if "tz" in text or "timestamptz" in text])
        print(", ".join("%s %d" % item for item in runner.counts.items()))
        sys.exit(1 if runner.counts["wrong"] or runner.counts["local"] else 0)


if __name__ == "__main__":
    main()
