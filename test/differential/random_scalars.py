# SPDX-License-Identifier: Apache-2.0
"""Random formats, patterns and texts for the functions that take them apart in code of our own: to_char, casts from and to text,
regular expressions, arrays. Row table and mirror must give the same, or both an error.

    random_scalars.py [--seed N] [--seconds N] [--verbose]
"""

import argparse
import os
import random
import struct
import sys
import time

import psycopg

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from ivy_server import Server, wait_live  # noqa: E402

ROWS = 300
# Looked at first: what was wrong once and comes rarely.
KNOWN = ["to_char(iv, 'fmfmSSSSS')", "to_char(ts, 'FMfmMONTH')"]
DATE_PARTS = ["YYYY", "YYY", "YY", "Y", "Y,YYY", "IYYY", "IYY", "IY", "I", "MM", "MON", "Mon", "mon", "MONTH", "Month", "month", "DD", "DDD", "D", "ID", "IDDD", "DAY", "Day", "day", "DY", "Dy", "dy",
              "HH", "HH12", "HH24", "MI", "SS", "MS", "US", "FF1", "FF3", "FF6", "SSSS", "SSSSS", "AM", "p.m.", "BC", "a.d.", "CC", "Q", "J", "W", "WW", "IW", "RM", "rm", "TZH", "TZM", "OF", "FM", "fm",
              "TH", "th", "SP", "FX", "-", "/", ":", " ", ",", ".", "\"text\"", "x", "é", "\\", "T", "M", "F", "d", "yyyy", "hh24", "mi", "ss"]
NUMBER_PARTS = ["9", "9", "9", "9", "0", "0", ",", ".", "D", "G", "FM", "MI", "PL", "SG", "PR", "th", "TH", " ", "\"x\"", "-", "%", "B", "fm", "g"]
REGEX_ATOMS = ["a", "b", "c", ".", "[ab]", "[^a]", "[a-c]", "[^b-c]", "x", "1", "[0-9]", "\\.", "ä"]
TEXT_CHARS = "aabbccx1230. ä-_ABC"


def random_regex(r, depth=0):
    out = ""
    for _ in range(r.randint(1, 4)):
        if depth < 2 and r.random() < 0.25:
            atom = ("(" if r.random() < 0.6 else "(?:") + random_regex(r, depth + 1) + ")"
        else:
            atom = r.choice(REGEX_ATOMS)
        out += atom + r.choice(["", "", "", "*", "+", "?", "{1,2}", "{2}"])
    if depth == 0:
        out = r.choice(["", "", "^"]) + out + r.choice(["", "", "$"])
    if r.random() < 0.1:
        out += "|" + r.choice(REGEX_ATOMS)
    return out


def random_number_text(r):
    return r.choice(["%d" % r.randint(-10**r.randint(1, 20), 10**r.randint(1, 20)), "%.*f" % (r.randint(0, 8), r.uniform(-1e6, 1e6)), "%de%d" % (r.randint(-99, 99), r.randint(-30, 30)),
                     " %d " % r.randint(-99, 99), "".join(r.choice("0123456789+-.eEx_ nN") for _ in range(r.randint(0, 6))), "0x%x" % r.randint(0, 2**40), "0%s_%d" % (r.choice("xob"), r.randint(0, 11))])


def random_double(r):
    if r.random() < 0.4:
        return struct.unpack("d", struct.pack("Q", r.getrandbits(64)))[0]
    if r.random() < 0.3:
        return float(r.randint(1, 10**r.randint(1, 17))) * 10.0**r.randint(-5, 30)
    return r.choice([round(r.uniform(-1e4, 1e4), r.randint(0, 6)), 2.0**r.randint(-80, 120), float(r.randint(-10**6, 10**6))])


def random_array(r):
    return [None if r.random() < 0.1 else "".join(r.choice("ab,{}\" \\NUL") for _ in range(r.randint(0, 4))) for _ in range(r.randint(0, 4))]


def quote(text):
    return "'" + text.replace("'", "''") + "'"


def expression(r):
    kind = r.randint(0, 9)
    if kind <= 2:
        text = "".join(r.choice(DATE_PARTS) for _ in range(r.randint(1, 7)))
        return "to_char(%s, %s)" % (r.choice(["ts", "ts", "tz", "ts::date", "iv"]), quote(text))
    if kind <= 4:
        text = "".join(r.choice(NUMBER_PARTS) for _ in range(r.randint(1, 12)))
        return "to_char(%s, %s)" % (r.choice(["n", "f", "f::real", "i", "n::int", "u"]), quote(text))
    if kind <= 7:
        pattern = quote(random_regex(r))
        return r.choice(["regexp_replace(t, %s, '<\\&>')", "regexp_replace(t, %s, '[\\1]')", "regexp_replace(t, %s, '_', 'g')", "substring(t, %s)", "regexp_substr(t, %s)", "t ~ %s", "t ~* %s",
                         "regexp_replace(t, %s, '-', 'gi')"]) % pattern
    if kind == 8:
        return r.choice(["f::text", "f::real::text", "(f * %r)::text" % r.uniform(0, 100), "(f::real * %r::real)::real::text" % r.uniform(0, 100), "iv::text", "(iv * %r)::text" % r.uniform(-5, 5), "ts::text", "tz::text",
                         "extract(epoch from iv)", "date_part('epoch', iv)", "justify_interval(iv / %r)" % r.uniform(0.1, 9), "initcap(t)", "upper(t)", "t ILIKE %s" % quote(r.choice(["%a_", "B%", "%Ä%"]))])
    return r.choice(["nt::%s" % r.choice(["smallint", "int", "bigint", "numeric", "float8", "real"]), "arr[%d]" % r.randint(0, 4), "cardinality(arr)", "arr @> ARRAY[t]", "array_to_string(arr, '|')", "t = ANY (arr)",
                     "arr && %s::text[]" % quote("{a,b,\"\"}"), "string_to_array(t, %s)" % quote(r.choice(["a", "b", " ", ""]))])


def run(c, query):
    c.execute("SAVEPOINT s")
    try:
        rows = c.execute(query).fetchall()
        c.execute("RELEASE s")
        return rows
    except psycopg.Error as error:
        c.execute("ROLLBACK TO s")
        return error


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--verbose", action="store_true", help="show what the engine refuses")
    options = parser.parse_args()
    r = random.Random(options.seed)
    wrong = equal = refused = shipped = 0
    with Server(conf="jit = off\ntimezone = 'Europe/Dublin'") as server, server.connect(autocommit=True) as c:
        c.execute("CREATE SCHEMA heap")
        c.execute("CREATE SCHEMA mirror")
        c.execute("CREATE TABLE heap.v (id int PRIMARY KEY, t text, nt text, n numeric(14,4), u numeric, f float8, i bigint, ts timestamp, tz timestamptz, iv interval, arr text[])")
        for i in range(ROWS):
            c.execute("INSERT INTO heap.v VALUES (%s, %s, %s, %s, %s, %s, %s, timestamp '1970-01-01' + %s * interval '1 microsecond', to_timestamp(%s), make_interval(0, %s, 0, %s, 0, 0, %s), %s)",
                      (i, "".join(r.choice(TEXT_CHARS) for _ in range(r.randint(0, 9))), random_number_text(r), round(r.uniform(-10**r.randint(1, 9), 10**r.randint(1, 9)), 4), r.uniform(-1e12, 1e12),
                       random_double(r), r.randint(-10**r.randint(1, 18), 10**r.randint(1, 18)), r.randint(-10**17, 10**17), r.randint(-10**11, 4 * 10**9), r.randint(-99, 99), r.randint(-99, 99),
                       round(r.uniform(-1e6, 1e6), r.randint(0, 6)), random_array(r)))
        c.execute("CALL mooncake.create_table('mirror.v', 'heap.v')")
        wait_live(c, "mirror.v")
        c.execute("SET mooncake.fallback = off")
        c.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        end = time.monotonic() + options.seconds
        known = list(KNOWN)
        while time.monotonic() < end:
            text = known.pop() if known else expression(r)
            queries = ["SELECT id, (%s)::text FROM %s.v ORDER BY id" % (text, schema) for schema in ("heap", "mirror")]
            plan = run(c, "EXPLAIN " + queries[1])
            shipped += not isinstance(plan, psycopg.Error) and any("whole query" in line[0] for line in plan)
            heap, mirror = run(c, queries[0]), run(c, queries[1])
            if heap == mirror or (isinstance(heap, psycopg.Error) and isinstance(mirror, psycopg.Error)):
                equal += 1
                continue
            if isinstance(mirror, psycopg.Error):
                # The engine may do so, for the row table to answer.
                refused += 1
                if options.verbose:
                    print("refused %s: %s" % (text, str(mirror).splitlines()[0]))
                continue
            wrong += 1
            detail = heap if isinstance(heap, psycopg.Error) else next((a, b) for a, b in zip(heap, mirror) if a != b)
            print("wrong %s: %s" % (text, detail), flush=True)
    print("equal %d, wrong %d, refused %d; shipped whole %d" % (equal, wrong, refused, shipped))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
