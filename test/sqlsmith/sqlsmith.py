# SPDX-License-Identifier: Apache-2.0
"""Queries that sqlsmith makes up, each run on row tables and on their mirrors in one snapshot: no crash, no death of the
engine, and the same answer wherever the answer is determined.

sqlsmith reads the catalog of a database (one with the same tables and nothing else) and prints queries (--dry-run); they are
run here. Its LIMITs and samples are taken out, because they have no order. A difference counts if the row tables give the same answer twice, and once more with their rows in
another order. Queries run as an ordinary role, so that no function of sqlsmith's choice does harm.

    sqlsmith.py [--seed N] [--queries N] [--seconds N]
"""

import argparse
import collections
import random
import re
import shutil
import subprocess
import sys
import time
import os

from psycopg import pq

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from ivy_server import Server, wait_live  # noqa: E402

SCHEMA = """
CREATE TYPE rows.mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN rows.small AS int CHECK (VALUE < 1000);
CREATE TABLE rows.numbers (id int PRIMARY KEY, i2 smallint, i4 int, i8 bigint, f4 real, f8 double precision, n numeric(12,3),
    un numeric, bo boolean, dom rows.small, o oid, m money);
CREATE TABLE rows.texts (id bigint PRIMARY KEY, t text, c text COLLATE "C", v varchar(12), b char(6), nm name, u uuid, e rows.mood,
    by bytea, j json, jb jsonb, bi bit(4), inet inet, number_id int);
CREATE TABLE rows.times (d date, ts timestamp, tz timestamptz, ti time, tt timetz, iv interval, id int, PRIMARY KEY (id, d));
CREATE TABLE rows.lists (id int PRIMARY KEY, ai int[], at text[], r int4range, p point, ts tsvector, xid xid8);
"""
TEXTS = ["", "a", "b", "ab", "Zebra", "zebra", "äöü", "日本", "100%", "a_b", "it's", "back\\slash", "  pad "]
ROWS = 25


def fill(c, rnd):
    """A few rows with edge values and NULLs in each table."""
    def some(*values):
        return None if rnd.random() < 0.15 else rnd.choice(values)

    for i in range(1, ROWS + 1):
        c.execute("INSERT INTO rows.numbers VALUES (" + ", ".join(["%s"] * 12) + ")", [
            i, some(0, -1, 32767, i), some(0, 1, 2147483647, -2147483648, i), some(0, 2**63 - 1, -5, i), some(0.0, -0.0, 1.5, float("nan")),
            some(0.0, 1e300, float("inf"), i / 3), some("0", "-1.5", "99999.999", str(i)), some("1.50", "NaN", "1e30", "0.001"),
            some(True, False), some(0, 999, i), some(0, 4294967295, i), some("1.23", "-5", "0")])
        c.execute("INSERT INTO rows.texts VALUES (" + ", ".join(["%s"] * 14) + ")", [
            i, some(*TEXTS), some(*TEXTS), some(*TEXTS[:6]), some("a", "ab  ", "é"), some("a", "pg_class"), some("%032x" % rnd.getrandbits(128)),
            some("sad", "ok", "happy"), some(b"", b"\x00\xff", b"abc"), some('{"a": 1}', "[1, 2]", '"x"', "null"),
            some('{"a": [1, 2.50]}', "[]", "1.0", '"t"'), some("0000", "1010"), some("10.0.0.1", "::1/64"), rnd.randint(1, ROWS)])
        c.execute("INSERT INTO rows.times VALUES (" + ", ".join(["%s"] * 7) + ")", [
            rnd.choice(["2024-02-29", "0044-03-15 BC", "infinity", "1999-12-31"]), some("2024-02-29 23:59:59.999999", "-infinity", "2000-01-01"),
            some("2024-03-31 02:30:00+01", "2000-01-01 00:00:00Z"), some("00:00", "23:59:59.999999", "24:00"), some("12:00+02", "00:00-11"),
            some("1 mon -1 day 00:00:01", "0", "-178000000 years", "36:00"), i])
        c.execute("INSERT INTO rows.lists VALUES (" + ", ".join(["%s"] * 7) + ")", [
            i, some("{}", "{1,NULL,3}", "{{1,2},{3,4}}", "[0:1]={5,6}"), some('{a,"b c",NULL}', "{}"), some("[1,5)", "empty", "(,3]"),
            some("(1,2)", "(0,-0.5)"), some("a:1 b:2", ""), some("0", "7")])


class Answer:
    def __init__(self, result):
        self.failed = result.status not in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)
        self.sqlstate = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"?").decode() if self.failed else None
        self.message = (result.error_message or b"").decode(errors="replace").strip()
        # Which zero stands for several equal ones is open.
        self.rows = collections.Counter(tuple(b"0" if (v := result.get_value(i, j)) == b"-0" else v for j in range(result.nfields))
                                        for i in range(result.ntuples))
        self.types = [(result.ftype(j), result.fmod(j)) for j in range(result.nfields)]

    def same(self, other):
        if self.failed or other.failed:
            # A data exception may come or not: which expressions are evaluated is open.
            return self.sqlstate == other.sqlstate or (not other.failed and self.sqlstate.startswith("22"))
        if [oid for oid, _ in self.types if oid < 16384] != [oid for oid, _ in other.types if oid < 16384]:
            return False
        return self.rows == other.rows

    def __str__(self):
        return self.message if self.failed else "%d rows %s" % (sum(self.rows.values()), str(dict(list(self.rows.items())[:4]))[:600])


# Functions of the server's state, which goes on while queries run.
STATE = re.compile(r"pg_catalog\.(pg_(stat|last|log|current|wal|is|backend|database|tablespace|relation|total|table|indexes|control|get|ls|lock|blocking|"
                   r"safe|snapshot|export|xact|visible|notification|available|timezone|show|cursor|prepared|replication|logical)\w*|txid\w*|clock\w*|timeofday|"
                   r"random\w*|gen_random\w*|uuidv\w*|current_query)\b")
UNAVAILABLE = ("57014", "53200", "54001", "55000")  # time-out, memory, stack depth


def generate(server, seed, count):
    """The SELECTs that sqlsmith prints."""
    target = "host=%s port=5432 user=smith dbname=model" % server.dir
    printed = subprocess.run(["sqlsmith", "--target=" + target, "--dry-run", "--exclude-catalog", "--seed=%d" % seed,
                              "--max-queries=%d" % count], capture_output=True, text=True, check=False, timeout=600).stdout
    for text in re.split(r";\s*\n", printed):
        text = re.sub(r"\blimit 1\s+offset", "order by id limit 1 offset", text)
        text = re.sub(r"\btablesample \w+ \([0-9.e-]+\)", "", text)
        text = re.sub(r"\blimit \d+(?!\s+offset)", "", text).strip()
        if re.match(r"(?i)(select|with)\b", text) and "rows." in text and not STATE.search(text) and not re.search(r"(?i)\b(insert|update|delete|merge)\b", text):
            yield text


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randint(1, 10**9))
    parser.add_argument("--queries", type=int, default=1000, help="to be asked of sqlsmith at a time")
    parser.add_argument("--seconds", type=float, default=60, help="go on with following seeds for so long")
    options = parser.parse_args()
    if not shutil.which("sqlsmith"):
        print("SKIPPED: sqlsmith is not installed (scripts/setup.sh test)")
        return 77
    counts, messages = collections.Counter(), collections.Counter()
    with Server() as server, server.connect(autocommit=True) as owner:
        owner.execute("CREATE DATABASE model TEMPLATE template0")
        with server.connect(dbname="model", autocommit=True) as model:
            model.execute("CREATE SCHEMA rows; GRANT USAGE ON SCHEMA rows TO public")
            model.execute(SCHEMA)
            model.execute("GRANT SELECT ON ALL TABLES IN SCHEMA rows TO public")
        owner.execute("CREATE SCHEMA rows; CREATE SCHEMA mirrors; CREATE ROLE smith LOGIN; GRANT USAGE ON SCHEMA rows, mirrors TO smith")
        owner.execute(SCHEMA)
        fill(owner, random.Random(options.seed))
        tables = ("numbers", "texts", "times", "lists")
        owner.execute("GRANT SELECT ON ALL TABLES IN SCHEMA rows TO smith")
        for table in tables:
            owner.execute("CALL mooncake.create_table('mirrors.%s', 'rows.%s')" % (table, table))
            wait_live(owner, "mirrors." + table)
        # Half of the rows are in memory, with some that were deleted.
        owner.execute("UPDATE rows.numbers SET i4 = i4 WHERE id % 2 = 0; DELETE FROM rows.texts WHERE id = 7")
        with server.connect(user="smith", autocommit=True) as c:
            run(server, c.pgconn, tables, options, counts, messages)
    print(", ".join("%s: %d" % item for item in sorted(counts.items())))
    print("most frequent errors: %s" % messages.most_common(8))
    return 1 if counts["different"] or not counts["compared"] else 0


def run(server, pg, tables, options, counts, messages):
    def execute(text):
        result = pg.exec_(text.encode())
        if pg.status != pq.ConnStatus.OK:
            raise AssertionError("the connection was lost by\n" + text)
        return Answer(result)

    def fresh():
        execute("ROLLBACK TO s")

    execute("SET statement_timeout = '3s'; SET extra_float_digits = 1")
    log = open(os.path.join(server.dir, "log"), errors="replace", encoding="utf-8")
    log.seek(0, os.SEEK_END)
    deadline = time.monotonic() + options.seconds
    seed = options.seed
    while time.monotonic() < deadline:
        print("seed %d" % seed, flush=True)
        for text in generate(server, seed, options.queries):
            if time.monotonic() > deadline:
                break
            counts["queries"] += 1
            execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SAVEPOINT s")
            first = execute(text)
            fresh()
            mirrored = re.sub(r"\brows\.(%s)\b" % "|".join(tables), r"mirrors.\1", text)
            mirror = execute(mirrored)
            counts["errors"] += first.failed
            if first.failed:
                messages[re.sub(r'"[^"]*"|\d+', "*", first.message.split("\n")[0])[:90]] += 1
            if not (first.sqlstate in UNAVAILABLE or mirror.sqlstate in UNAVAILABLE):
                counts["compared"] += 1
                if not first.same(mirror) and is_determined(execute, fresh, text, tables, first):
                    counts["different"] += 1
                    fresh()
                    print("DIFFERENT (seed %d)\n%s\nrow tables: %s\nmirrors:    %s" % (seed, text, first, mirror))
                    plan = pg.exec_(("EXPLAIN (VERBOSE, COSTS off) " + mirrored).encode())
                    print("\n".join(plan.get_value(i, 0).decode(errors="replace") for i in range(plan.ntuples)) + "\n", flush=True)
            execute("ROLLBACK")
            died = [line for line in log if re.search("DuckDB can't go on|columnar engine of database .* child process", line)]
            if died:
                raise AssertionError("the engine has died (seed %d) of\n%s\n%s" % (seed, mirrored, "".join(died)))
        seed += 1


def is_determined(execute, fresh, text, tables, first):
    fresh()
    if not first.same(execute(text)):
        return False
    for order in ("random()", "id DESC"):
        fresh()
        for table in tables:
            execute("CREATE TEMP TABLE %s AS SELECT * FROM rows.%s ORDER BY %s" % (table, table, order))
        for setting in ("enable_hashagg", "enable_hashjoin", "enable_sort") if order == "random()" else ():
            execute("SET LOCAL %s = off" % setting)
        if not first.same(execute(re.sub(r"\brows\.(%s)\b" % "|".join(tables), r"pg_temp.\1", text))):
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())
