# SPDX-License-Identifier: Apache-2.0
"""Expressions over text, formats, casts through text, intervals and letter case, for signatures.py."""

# Columns of texts that are to become values of other types.
TEXTS = {
    "nt": ["0", "1", "-1", " 42 ", "+7", "2147483648", "-32769", "0x1F", "0b101", "-0o17", "1_000", "1__0", "12.50", "1e3", "-.5", "5.", "NaN", "inf", "-Infinity",
           "abc", "", "1 2"],
    "dt": ["2024-02-29", "2024-01-31 10:20:30", "2024-01-31T10:20:30.123456Z", "2024/3/5", "20240131", "1999-12-31 23:59:59.9999999", "2024-02-30", "0044-03-15 BC",
           "infinity", "-infinity", " 2001-02-03 04:05 ", "2024-06-01 12:00:00+05:30", "2024-06-01 12:00-0330", "12345-01-01", "0000-01-01", "2024-13-01", "junk",
           "2024-03-10 02:30:00", "0001-12-31 23:00:00 BC", "2024-11-03 01:30"],
    "bt": ["t", "true", " YES ", "on", "1", "f", "False", "no", "OFF", "0", "o", "tru", "maybe", "", "n"],
    "ut": ["00000000-0000-0000-0000-000000000000", "{7FFFFFFF-ffff-ffff-ffff-ffffffffffff}", "80000000000000000000000000000000", "8000-0000-0000-0000-0000-0000-0000-0001",
           "xyz", "80000000-0000-0000-0000-00000000000"],
}

# Arrays of one and more dimensions, with other bounds, empty, and with elements that need quotes.
ARRAYS = {
    "ai": ("int[]", ["{}", "{1,2,3}", "{NULL}", "{2,NULL,2147483647}", "{{1,2},{3,4}}", "[0:2]={7,8,9}", "[-1:0][2:3]={{1,2},{3,4}}", "{-1}", "{0}", "{1}"]),
    "a8": ("bigint[]", ["{}", "{1,9007199254740993}", "{3,NULL}", "{2147483647}", "{100}"]),
    "at": ("text[]", ["{}", "{a,b}", "{NULL,\"NULL\",null}", "{\"\",\" pad \",\"x,y\"}", "{\"q\\\"uote\",\"back\\\\slash\",\"{brace}\"}", "{äöü,日本語}", "{{a,b},{c,NULL}}", "[5:6]={a,abc}", "{ab}"]),
    "av": ("varchar(10)[]", ["{a,ab }", "{}", "{abc,NULL}"]),
    "ab": ("boolean[]", ["{t,f,NULL}", "{}", "{f}"]),
    "au": ("uuid[]", ["{00000000-0000-0000-0000-000000000000,NULL}", "{80000000-0000-0000-0000-000000000000}"]),
    "ad": ("date[]", ["{2024-02-29,NULL,infinity}", "{\"0044-03-15 BC\"}"]),
    "an": ("numeric[]", ["{1.50,NaN,-Infinity}", "{1e40}"]),
    "af": ("float8[]", ["{0.1,-0,NaN,1e300}", "{Infinity,NULL}"]),
}

DATE_FORMATS = [
    "YYYY-MM-DD", "YYYY-MM-DD HH24:MI:SS", "YYYY-MM", "Mon YYYY", "FMMonth DD, YYYY", "Day, DD Month YYYY", "DY dy Dy DAY day FMDay", "MON mon Month MONTH month", "HH12:MI AM", "HH:MI:SS p.m.",
    "HH24:MI:SS.MS US FF1 FF2 FF3 FF4 FF5 FF6", "SSSS SSSSS", "Q CC WW W IW IYYY IYY IY I IDDD ID D DDD J", "Y,YYY YYYY YYY YY Y", "FMYYYY FMMM FMDD FMHH24 FMWW FMIW FMDDD FMCC FMHH12 FMMI FMSS", "RM rm FMRM",
    "BC ad B.C. a.d. am PM A.M.", "DDth DDTH FMDDth YYYYth MMTH HH24th Dth", "\"Year\" YYYY \"quoted \\\" text\" \\\"x", "yyyy-mm-dd hh24:mi:ss", "YYYY\"Q\"Q", "TZH:TZM OF FMOF", "äö YYYY", "DDSP FX", "IYYY-\"W\"IW", "YYYYMMDDHH24MISSMS",
    "", "FM", "YYYYYYYY", "DDDDD", "hh Hh Mm", "MMMM"]
INTERVAL_FORMATS = ["HH24:MI:SS", "YYYY MM DD HH24:MI:SS.US", "DD \"days\" HH12:MI", "SSSS", "Q RM CC YY Y", "FMDD FMHH24 FMMI", "DDD WW W", "MS FF3", "AM", "Y,YYY"]
NUMBER_FORMATS = ["999", "FM999,999,990.00", "999,999,990.99", "000", "0000.00", "FM0000", "9", ".99", "FM9.99", "S", "99D99", "FM999G999G999D00", "9G999", "999MI", "MI999.9", "PL99", "99PL", "SG99.9", "99SG",
                  "999.9PR", "FM999PR", "9999th", "FM9999TH", "\"n=\"999", "99 99", "90.90", "FM90.909", "FM99.00", "FM00.99", "99999999999999999999.9999", "FM99999999999999990.999999", "fm990.00", "9,9,9", "0,000.0", ""]


def expressions():
    yield from _formats()
    yield from _casts()
    yield from _intervals()
    yield from _text()
    yield from _numbers()
    yield from _arrays()


def _arrays():
    for column in ["ai", "a8", "at", "av", "ab", "au", "ad", "an", "af"]:
        for text in ["x.%s[1]", "x.%s[x.i2]", "x.%s[0]", "array_length(x.%s, 1)", "array_length(x.%s, 2)", "array_length(x.%s, x.i4)", "cardinality(x.%s)", "array_ndims(x.%s)", "array_lower(x.%s, 1)", "array_upper(x.%s, 1)"]:
            yield text % column, True
    for column in ["ai", "a8", "at", "av", "ab", "au"]:
        for op in ["@>", "<@", "&&", "=", "<>"]:
            yield "x.%s %s y.%s" % (column, op, column), True
        yield "array_to_string(x.%s, ', ')" % column, True
    yield "array_to_string(x.at, x.v)", True
    for scalar, column in [("i4", "ai"), ("i2", "ai"), ("i4", "a8"), ("i8", "a8"), ("t", "at"), ("v", "av"), ("c", "at"), ("b", "ab"), ("u", "au")]:
        yield "x.%s = ANY (y.%s)" % (scalar, column), True
        yield "x.%s <> ALL (y.%s)" % (scalar, column), True
    yield "x.i8 = ANY (y.ai)", None
    yield "x.i4 < ANY (y.ai)", False
    yield "x.d = ANY (y.ad)", False
    yield "x.t = ANY (y.at COLLATE \"C\")", True
    for text in ["x.ai @> '{1}'", "x.ai && ARRAY[y.i4, 2]", "x.at @> ARRAY['a']", "x.at <@ ARRAY[y.t, 'b', NULL]", "x.at = '{a,b}'", "ARRAY[x.i4, y.i4]", "ARRAY[x.t, y.v, NULL]", "ARRAY[x.u]", "(ARRAY[x.t, y.t])[2]", "string_to_array(x.t, 'b')",
                 "string_to_array(x.t, '')", "(string_to_array(x.t, ' '))[2]", "array_length(string_to_array(x.t, 'a'), 1)", "cardinality(ARRAY[x.i4, x.i4])", "(x.ai)[1] + 1", "x.i4 = ANY (ARRAY[y.i4, 1])", "array_to_string(ARRAY[x.t, y.t], ',')"]:
        yield text, True
    for text in ["ARRAY[x.f8]", "x.ai[1:2]", "array_to_string(x.af, ',')", "string_to_array(x.t, x.v)"]:
        yield text, False


# Queries with a row for each element: how many, or in which order, must not depend on anything.
UNNESTED = ["SELECT x.id, el FROM edge x, unnest(x.%s) AS el ORDER BY 1, 2" % c for c in ("ai", "a8", "at", "av", "ab", "au", "ad", "an", "af")] + [
    "SELECT x.id, el FROM edge x CROSS JOIN LATERAL unnest(x.at) AS u(el) WHERE el LIKE 'a%' ORDER BY 1, 2",
    "SELECT x.id, el FROM edge x LEFT JOIN LATERAL unnest(x.ai) AS u(el) ON true ORDER BY 1, 2 NULLS FIRST",
    "SELECT el, count(*), sum(x.n) FROM edge x, unnest(x.ai) AS el GROUP BY el ORDER BY 1",
    "SELECT x.id, y.id, el FROM edge x JOIN edge y ON y.id = x.id + 1, unnest(ARRAY[x.i4, y.i4]) AS el ORDER BY 1, 2, 3",
    "SELECT x.id, part FROM edge x, unnest(string_to_array(x.t, 'b')) AS part ORDER BY 1, part COLLATE \"C\"",
    "SELECT x.id FROM edge x WHERE EXISTS (SELECT 1 FROM unnest(x.ai) AS el WHERE el > 2) ORDER BY 1",
    "SELECT x.id, (SELECT count(*) FROM unnest(x.at) AS el WHERE el = 'a') FROM edge x ORDER BY 1"]


def _formats():
    for text in DATE_FORMATS:
        for column in ["ts", "tz", "d"]:
            yield "to_char(x.%s, '%s')" % (column, text), True
    for text in INTERVAL_FORMATS:
        yield "to_char(x.iv, '%s')" % text, True
    for text in NUMBER_FORMATS:
        known = "S" != text
        for column in ["i2", "i4", "i8", "n", "m", "un", "f8", "f4"]:
            yield "to_char(x.%s, '%s')" % (column, text), known
    for text in ["to_char(x.ts, 'TMMonth')", "to_char(x.tz, 'TZ')", "to_char(x.n, 'L99')", "to_char(x.i4, 'RN')", "to_char(x.f8, '9.9EEEE')", "to_char(x.n, '99V99')", "to_char(x.ts, x.t)"]:
        yield text, False
    for text in ["to_char(x.n, '9.9.9')", "to_char(x.i4, 'PR9')", "to_char(x.n, '99PR9')"]:
        yield text, None
    yield "to_char(x.ts, 'YYYY-MM') = '2024-02'", True


def _casts():
    for text in ["YYYY-MM-DD", "YYYYMMDD", "YYYY/MM/DD", "DD.MM.YYYY", "YYYY-MM", "YYYY-MM-DD HH24:MI:SS", "YYYYMMDDHH24MISS", "MM/DD/YYYY", "YYYY MM", "YYYYMM"]:
        for column in ["ts", "d"]:
            yield "to_date(to_char(x.%s, '%s'), '%s')" % (column, text, text), True
        yield "to_timestamp(to_char(x.ts, '%s'), '%s')" % (text, text), True
        for column in ["dt", "nt"]:
            yield "to_date(x.%s, '%s')" % (column, text), True
            yield "to_timestamp(x.%s, '%s')" % (column, text), True
    for text in ["Mon YYYY", "YYYYY", "DDD YYYY", "SSSS YYYY", "MM-DD", "YYYY-MM-DDTH", "FXYYYY", "YYYY MM MM", "DD YYYY BC"]:
        yield "to_date(x.dt, '%s')" % text, False
    for target in ["smallint", "int", "bigint", "numeric", "real", "float8", "numeric(8,2)"]:
        yield "x.nt::%s" % target, True
    yield "(x.js ->> 'a')::int", True
    yield "(x.js ->> 'a')::numeric", True
    yield "x.v::int", True
    yield "x.p::int", True
    yield "x.bt::boolean", True
    yield "x.ut::uuid", True
    for target in ["date", "timestamp", "timestamptz"]:
        yield "x.dt::%s" % target, None
        yield "CASE WHEN x.id < 6 OR x.id BETWEEN 7 AND 9 THEN x.dt::%s END" % target, True
    for column in ["f4", "f8", "d", "ts", "tz", "tm", "iv", "e", "js", "o", "b"]:
        yield "x.%s::text" % column, True
    yield "(x.f8 * 9.99)::text", True
    yield "(x.f8 / 3)::varchar", True
    yield "(x.i8 * 1.0::float8)::text", True
    yield "(x.i8::float4)::text", True
    yield "power(2::float8, x.i2 % 1000)::text", True
    yield "power(2::float4, x.i2 % 100)::float4::text", True
    yield "power(10::float8, (x.id * 15 + y.id) % 60 - 20)::text", True
    yield "(power(10::float8, (x.id * 15 + y.id) % 60 - 20) * 3)::float4::text", True
    yield "(5e22::float8 * (x.id * 23 + y.id))::text", True
    yield "concat(x.d, ' ', x.f8, x.b, x.iv, x.tm, x.tz, x.js, x.e)", True
    yield "concat_ws(', ', x.ts, x.f4, x.b, NULL, x.un)", True
    yield "format('%s is 100%% of %s%s', x.t, x.n, y.d)", True
    yield "format('%I', x.t)", False
    yield "x.v || x.i4", None
    yield "x.t || x.d", None


def _intervals():
    for text in ["x.iv + y.iv", "x.iv - y.iv", "x.iv * y.f8", "y.f8 * x.iv", "x.iv / y.f8", "x.iv * 1.5", "x.iv / 7", "x.iv * y.i4", "justify_hours(x.iv)", "justify_days(x.iv)", "justify_interval(x.iv)",
                 "justify_interval(x.iv * 37.5)", "justify_hours(x.iv * -29)", "justify_days(x.iv * -41)", "make_interval(years => x.i4)", "make_interval(days => x.i2, hours => x.i4, secs => x.n::float8)",
                 "make_interval(0, x.i2, x.i2, 0, 0, x.i4, x.f8)", "isfinite(x.iv)", "extract(epoch from x.ts - timestamp '2000-01-01')", "x.tm - y.tm", "x.tm + y.iv", "x.tm - y.iv", "x.iv::time", "x.tm::interval",
                 "x.ts::time", "x.tz::time", "make_time(x.i2, y.i2, 1.5)", "make_time(23, 59, x.f8)", "make_timestamp(x.i2, 2, 28, 12, 30, 15.5)", "make_timestamp(2024, x.i4, y.i4, 1, 2, 3)",
                 "make_timestamp(2024, 1, 1, x.i2, y.i2, 60)", "age(x.ts)", "x.ts - x.iv", "x.d + y.tm"]:
        yield text, None if text in ("age(x.ts)", "x.d + y.tm") else True
    for field in ["microseconds", "milliseconds", "second", "minute", "hour", "day", "week", "month", "quarter", "year", "decade", "century", "millennium", "epoch"]:
        yield "extract(%s from x.iv)" % field, True
        yield "date_part('%s', x.iv)" % field, True
        yield "extract(%s from x.iv * -13)" % field, True
    for field in ["microseconds", "milliseconds", "second", "minute", "hour", "epoch"]:
        yield "extract(%s from x.tm)" % field, True
        yield "date_part('%s', x.tm)" % field, True


def _text():
    for function in ["upper", "lower", "initcap"]:
        for column in ["t", "c", "v", "p", "t COLLATE \"C\"", "t COLLATE \"C.utf8\"", "t COLLATE \"en-x-icu\"", "t COLLATE \"tr-x-icu\"", "t COLLATE \"und-x-icu\"", "t COLLATE \"POSIX\""]:
            yield "%s(x.%s)" % (function, column), True
    for pattern in ["a%", "%B", "_", "A\\_b", "%Ö%", "%IT''S%", "ß", "%"]:
        for column in ["t", "c", "p", "t COLLATE \"en-x-icu\""]:
            yield "x.%s ILIKE '%s'" % (column, pattern), True
        yield "x.t NOT ILIKE '%s'" % pattern, True
    yield "x.t ILIKE y.t", True
    for pattern in ["^A", "b$", "[A-C]+", "z|LONG", "^[^a-z]", "a.B", "it''S", "K", "\\.", "^[a-zA-Z]+$", "[xA]b"]:
        for column in ["t", "c", "p"]:
            yield "x.%s ~* '%s'" % (column, pattern), True
        yield "x.t !~* '%s'" % pattern, True
        yield "regexp_like(x.c, '%s', 'i')" % pattern, True
    for pattern in ["ä", "[A-z]", "[[:upper:]]"]:
        yield "x.t ~* '%s'" % pattern, False
    for pattern in ["a", "[a-c]+", "[^a-z]+", "^.", "b$", "a(.)", "(a+)(b)", "o?n", "(lo)ng", "([^ ]+) ", "([a-z])[a-z]$", "l(on?)g", "(^a)b*", " *p", "[a-z]+[0-9]*c", "x*", "a_?"]:
        for text in ["substring(x.t from '%s')", "substring(x.c, '%s')", "regexp_substr(x.t, '%s')", "regexp_replace(x.t, '%s', '<\\&>')", "regexp_replace(x.t, '%s', '-', 'g')", "regexp_replace(x.c, '%s', 'Z', 'gi')"]:
            yield text % pattern, None
    yield "substring(x.t from 'b(.*)')", True
    yield "regexp_replace(x.t, '[^a-z]+', '', 'g')", True
    yield "regexp_replace(x.t, '\\s+', ' ', 'g')", None
    for text in ["encode(%s, 'base64')", "encode(%s, 'escape')", "encode(%s, 'hex')", "md5(%s)", "sha256(%s)", "length(%s)"]:
        yield text % "x.y", True
        yield text % "(x.y || decode(repeat('ab01', y.i2 % 100), 'hex'))", True
    for text in ["decode(encode(x.y, 'base64'), 'base64')", "decode(encode(x.y || y.y, 'escape'), 'escape')", "decode(x.t, 'hex')", "decode(x.t, 'escape')", "decode(md5(x.t), 'HEX')", "decode(' YWJj\nZA== ', 'base64') || x.y",
                 "decode(x.v, 'base64')"]:
        yield text, None if "x.t" in text or "x.v" in text else True


def _numbers():
    for column in ["i2", "i4", "i8"]:
        for op in ["<<", ">>"]:
            yield "x.%s %s y.i4" % (column, op), True
            yield "x.%s %s 3" % (column, op), True
    for column in ["n", "m", "un", "w"]:
        yield "trim_scale(x.%s)" % column, True
        yield "min_scale(x.%s)" % column, True
    for left, right in [("n", "n"), ("n", "m"), ("un", "z"), ("un", "un")]:
        yield "gcd(x.%s, y.%s)" % (left, right), True
        yield "lcm(x.%s, y.%s)" % (left, right), True
    yield "factorial(x.id::bigint)", True
    yield "factorial(x.i8)", True
    for text in ["width_bucket(x.f8, y.f8, 10, 5)", "width_bucket(x.f8, -10, y.f8, 7)", "width_bucket(x.f8, 1.7e308, -1.7e308, 10)", "width_bucket(x.n, y.n, 100, 10)", "width_bucket(x.un, -10, y.m, 7)", "width_bucket(x.n, 0, 10, x.i4)",
                 "width_bucket(x.f8, 0, 10, x.i4)"]:
        yield text, True
