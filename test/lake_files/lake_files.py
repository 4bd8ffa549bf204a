# SPDX-License-Identifier: Apache-2.0
"""Lake functions on files of other writers, on damaged files, and on S3 and HTTP servers that work and that don't.

    lake_files.py [--files 2000] [--only NAME]

Local files are pyarrow's and PostgreSQL's. The S3 server is moto's; a small server of our own plays the broken ones:
it refuses keys, answers slowly, or hangs up in the middle.
"""

import argparse
import datetime
import decimal
import gzip
import http.server
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid

try:
    import deltalake
    import moto.server  # noqa: F401
    import psycopg
    import pyarrow as pa
    import pyarrow.parquet as pq
    import pyiceberg  # noqa: F401
except ImportError as error:
    print("SKIPPED: the Python environment lacks %s (scripts/venv.sh installs it)" % error.name)
    sys.exit(77)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from ivy_server import Server  # noqa: E402


class Context:
    """A server, a connection as its superuser, and a folder that the server can read and write."""

    def __init__(self, server, connection, folder, files):
        self.server, self.connection, self.folder, self.files = server, connection, folder, files

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def rows(self, query, *values):
        return self.connection.execute(query, values or None).fetchall()

    def one(self, query, *values):
        return self.rows(query, *values)[0][0]

    def error(self, query, *values):
        """The error that a query must raise."""
        try:
            rows = self.rows(query, *values)
        except psycopg.Error as error:
            return error
        raise AssertionError("no error but %r from %s" % (rows[:3], query))

    def explain(self, query):
        return "\n".join(row[0] for row in self.rows("EXPLAIN (COSTS OFF) " + query))


def expect(got, want, what=""):
    if got != want:
        raise AssertionError("%s: got %r, want %r" % (what, got, want))


def make_files(c):
    """The files that several tests read."""
    pq.write_table(pa.table({"x": list(range(5000)), "s": ["v%d" % (i % 97) for i in range(5000)]}), c.path("good.parquet"))
    pq.write_table(pa.table({"x": pa.array(range(100_000), pa.int32())}), c.path("groups.parquet"), row_group_size=10_000)
    with open(c.path("numbers.csv"), "w") as file:
        file.write("i,t\n" + "".join("%d,t%d\n" % (i, i) for i in range(3000)))


# --- types -----------------------------------------------------------------------------------------------------------

def test_types(c):
    """Every Arrow type has its Postgres type, its values, and NULL."""
    day, moment = datetime.date(1969, 7, 20), datetime.datetime(2001, 2, 3, 4, 5, 6, 789012)
    zone = datetime.timezone.utc
    columns = {
        "bool": (pa.bool_(), True, "boolean", True), "int8": (pa.int8(), -128, "smallint", -128),
        "uint8": (pa.uint8(), 255, "smallint", 255), "int16": (pa.int16(), -32768, "smallint", -32768),
        "uint16": (pa.uint16(), 65535, "integer", 65535), "int32": (pa.int32(), -2**31, "integer", -2**31),
        "uint32": (pa.uint32(), 2**32 - 1, "bigint", 2**32 - 1), "int64": (pa.int64(), -2**63, "bigint", -2**63),
        "uint64": (pa.uint64(), 2**64 - 1, "numeric", decimal.Decimal(2**64 - 1)),
        "float": (pa.float32(), 1.5, "real", 1.5), "double": (pa.float64(), float("inf"), "double precision", float("inf")),
        "dec": (pa.decimal128(38, 10), decimal.Decimal("-1234567890123456789012345678.0123456789"), "numeric(38,10)",
                decimal.Decimal("-1234567890123456789012345678.0123456789")),
        "text": (pa.string(), "é中\n\"'", "text", "é中\n\"'"), "bytes": (pa.binary(), b"\x00\xff'", "bytea", b"\x00\xff'"),
        "date": (pa.date32(), day, "date", day), "time": (pa.time64("us"), moment.time(), "time without time zone", moment.time()),
        "s": (pa.timestamp("s"), moment.replace(microsecond=0), "timestamp without time zone", moment.replace(microsecond=0)),
        "us": (pa.timestamp("us"), moment, "timestamp without time zone", moment),
        "ns": (pa.timestamp("ns"), moment, "timestamp without time zone", moment),
        "tz": (pa.timestamp("us", "UTC"), moment.replace(tzinfo=zone), "timestamp with time zone", moment.replace(tzinfo=zone)),
        "list": (pa.list_(pa.int32()), [1, None, 3], "integer[]", [1, None, 3]),
        "texts": (pa.list_(pa.string()), ["a\"b", None, "{,}", ""], "text[]", ["a\"b", None, "{,}", ""]),
        "struct": (pa.struct([("x", pa.int32()), ("y", pa.string())]), {"x": 1, "y": "z"}, "jsonb", {"x": 1, "y": "z"}),
        "map": (pa.map_(pa.string(), pa.int32()), [("k", 1)], "jsonb", {"k": 1}),
        "nested": (pa.list_(pa.list_(pa.int32())), [[1], []], "jsonb", [[1], []]),
        "dict": (pa.dictionary(pa.int32(), pa.string()), "d", "text", "d"),
    }
    table = pa.table({name: pa.array([value, None], kind) for name, (kind, value, _, _) in columns.items()})
    pq.write_table(table, c.path("types.parquet"))
    described = dict(c.rows("SELECT column_name, column_type FROM mooncake.describe(%s)", c.path("types.parquet")))
    expect(described, {name: column for name, (_, _, column, _) in columns.items()})
    source = "mooncake.read_parquet('%s')" % c.path("types.parquet")
    for execution in ("on", "scan", "off"):
        c.connection.execute("SET mooncake.execution = " + execution)
        for name, (_, _, _, value) in columns.items():
            expect(c.rows('SELECT "%s" FROM %s WHERE "int32" IS NOT NULL' % (name, source)), [(value,)], (name, execution))
        expect(c.one('SELECT count(*) FROM %s WHERE "text" IS NULL' % source), 1)
    c.connection.execute("RESET mooncake.execution")


def test_casts(c):
    """Declared types other than the file's: Postgres's casts and its errors, whoever computes them."""
    pq.write_table(pa.table({"i": [1, 2**31, -5], "f": [1.5, 2.5, -0.0], "t": ["7", " 8 ", "x"],
                             "d": pa.array([decimal.Decimal("1.25"), None, decimal.Decimal("2.50")], pa.decimal128(5, 2))}), c.path("casts.parquet"))
    source = "mooncake.read_parquet('%s') AS e" % c.path("casts.parquet")
    expect(c.error("SELECT sum(i) FROM %s(i int)" % source).sqlstate, "22003")
    expect(c.rows("SELECT i FROM %s(i numeric) ORDER BY 1 LIMIT 1" % source), [(decimal.Decimal(-5),)])
    expect(c.rows("SELECT f FROM %s(f int) ORDER BY 1" % source), [(0,), (2,), (2,)])  # half to even, as Postgres rounds
    expect(c.error("SELECT t FROM %s(t int)" % source).sqlstate, "22P02")
    expect(c.rows("SELECT d::text FROM %s(d numeric) ORDER BY d" % source), [("1.25",), ("2.50",), (None,)])
    expect(c.rows("SELECT sum(d)::text, avg(d)::text FROM %s(d numeric)" % source), [("3.75", "1.8750000000000000")])


def test_equality(c):
    """Values that are equal in Postgres though the file writes them differently."""
    with open(c.path("same.json"), "w") as file:
        file.write('{"o": {"a":1,"b":2}}\n{"o": {"b": 2, "a": 1}}\n')
    source = "mooncake.read_json('%s')" % c.path("same.json")
    for execution in ("on", "off"):
        c.connection.execute("SET mooncake.execution = " + execution)
        expect(c.rows("SELECT data, count(*) FROM %s AS (data jsonb) GROUP BY data" % source), [({"o": {"a": 1, "b": 2}}, 2)], execution)
        expect(c.one("SELECT count(DISTINCT o) FROM %s AS (o jsonb)" % source), 1, execution)
        expect(c.one("SELECT count(*) FROM %s AS (o jsonb) WHERE o = '{\"a\": 1, \"b\": 2}'" % source), 2, execution)
    c.connection.execute("RESET mooncake.execution")
    pq.write_table(pa.table({"l": [[1, 2], [1, 2], [2]], "u": pa.array([2**64 - 1, 5, 5], pa.uint64())}), c.path("lists.parquet"))
    source = "mooncake.read_parquet('%s')" % c.path("lists.parquet")
    expect(c.rows("SELECT l, count(*) FROM %s GROUP BY l ORDER BY l" % source), [([1, 2], 2), ([2], 1)])
    expect(c.one("SELECT count(*) FROM %s WHERE l = '{1,2}'" % source), 2)
    expect(c.rows("SELECT u, count(*) FROM %s WHERE u < 10 GROUP BY u" % source), [(decimal.Decimal(5), 2)])


# --- shapes of files ---------------------------------------------------------------------------------------------------

def test_empty(c):
    pq.write_table(pa.table({"x": pa.array([], pa.int32())}), c.path("empty.parquet"))
    expect(c.one("SELECT count(*) FROM mooncake.read_parquet(%s) AS (x int)", c.path("empty.parquet")), 0)
    expect(c.one("SELECT sum(x) FROM mooncake.read_parquet(%s) AS (x int)", c.path("empty.parquet")), None)
    for name in ("zero.parquet", "zero.csv", "zero.json"):
        open(c.path(name), "w").close()
    expect(c.error("SELECT * FROM mooncake.read_parquet('%s') AS (x int)" % c.path("zero.parquet")).sqlstate[:2] != "XX", True)
    c.error("SELECT * FROM mooncake.read_csv('%s') AS (x int)" % c.path("zero.csv"))
    with open(c.path("head.csv"), "w") as file:
        file.write("x,y\n")
    expect(c.one("SELECT count(*) FROM mooncake.read_csv('%s', header => true) AS (x int)" % c.path("head.csv")), 0)


def test_wide(c):
    """1,200 columns, and values of many megabytes."""
    columns = 1200
    pq.write_table(pa.table({"c%d" % i: [i, None] for i in range(columns)}), c.path("wide.parquet"))
    rows = c.rows("SELECT * FROM mooncake.read_parquet('%s')" % c.path("wide.parquet"))
    expect([len(row) for row in rows], [columns, columns])
    pq.write_table(pa.table({"x": ["a" * 40_000_000, "b"]}), c.path("long.parquet"))
    expect(c.rows("SELECT length(x) FROM mooncake.read_parquet('%s') ORDER BY 1" % c.path("long.parquet")), [(1,), (40_000_000,)])


def test_many_files(c):
    folder = c.path("many")
    os.makedirs(folder)
    table = pa.table({"x": pa.array([1, 2, 3], pa.int32())})
    pq.write_table(table, os.path.join(folder, "f0.parquet"))
    for i in range(1, c.files):
        os.link(os.path.join(folder, "f0.parquet"), os.path.join(folder, "f%d.parquet" % i))
    expect(c.rows("SELECT count(*), sum(x) FROM mooncake.read_parquet('%s/*.parquet')" % folder), [(3 * c.files, 6 * c.files)])


def test_partitions(c):
    for year in (2021, 2022):
        for month in (1, 2):
            folder = c.path("hive", "year=%d" % year, "month=%d" % month)
            os.makedirs(folder)
            pq.write_table(pa.table({"v": [year * 100 + month]}), os.path.join(folder, "p.parquet"))
    source = "mooncake.read_parquet('%s/**/*.parquet')" % c.path("hive")
    expect(c.rows("SELECT year, month, v FROM %s WHERE year = 2022 ORDER BY 2" % source), [(2022, 1, 202201), (2022, 2, 202202)])
    plan = "\n".join(r[0] for r in c.rows("EXPLAIN ANALYZE SELECT sum(v) FROM %s WHERE year = 2022 AND month = 1" % source))
    expect("Scanning Files: 1/4" in plan, True, plan)
    expect(c.rows("SELECT year FROM %s AS e(year text, v int) WHERE v = 202101" % source), [("2021",)])
    expect(c.one("SELECT count(DISTINCT filename) FROM mooncake.read_parquet('%s/**/*.parquet', filename => true)" % c.path("hive")), 4)


def test_row_groups(c):
    """A filter leaves row groups unread."""
    source = "mooncake.read_parquet('%s') AS e(x int)" % c.path("groups.parquet")
    plan = "\n".join(r[0] for r in c.rows("EXPLAIN ANALYZE SELECT count(*) FROM %s WHERE x >= 95000" % source))
    expect("Row Groups Scanned: 1 / 10" in plan, True, plan)
    expect(c.one("SELECT count(*) FROM %s WHERE x >= 95000" % source), 5000)


def test_nan(c):
    """Writers leave NaN out of the bounds of row groups; in Postgres it is larger than all numbers."""
    nan = float("nan")
    pq.write_table(pa.table({"d": [1.0, 2.0, nan], "f": pa.array([nan, 1.0, 2.0], pa.float32())}), c.path("nan.parquet"))
    for source in ("mooncake.read_parquet('%s') AS (d float8, f float4)", "mooncake.read_parquet('%s')"):
        source = source % c.path("nan.parquet")
        expect(c.rows("SELECT count(*) FROM %s WHERE d > 5" % source), [(1,)], source)
        expect(c.rows("SELECT count(*) FROM %s WHERE f = 'NaN'" % source), [(1,)], source)
        expect(c.rows("SELECT max(d)::text, max(f)::text, min(f) FROM %s" % source), [("NaN", "NaN", 1.0)], source)


def test_union_by_name(c):
    pq.write_table(pa.table({"a": [1], "b": ["x"]}), c.path("u1.parquet"))
    pq.write_table(pa.table({"b": ["y"], "c": [2.5]}), c.path("u2.parquet"))
    rows = c.rows("SELECT a, b, c FROM mooncake.read_parquet(ARRAY['%s', '%s'], union_by_name => true) ORDER BY b"
                  % (c.path("u1.parquet"), c.path("u2.parquet")))
    expect(rows, [(1, "x", None), (None, "y", 2.5)])


# --- damage ----------------------------------------------------------------------------------------------------------

def test_damaged_parquet(c):
    """Cut or altered anywhere: rows or a clear error, never a crash, never an internal error."""
    with open(c.path("good.parquet"), "rb") as file:
        good = file.read()
    for i in range(60):
        bad = bytearray(good[:len(good) * (i + 1) // 60] if i % 2 else good)
        if i % 2 == 0:
            for at in range(i * 37 % len(bad), len(bad), len(bad) // 7 + 1):
                bad[at] ^= 1 << (i % 8)
        with open(c.path("bad%d.parquet" % i), "wb") as file:
            file.write(bad)
        try:
            c.rows("SELECT count(*), sum(x), max(s) FROM mooncake.read_parquet('%s') AS e(x bigint, s text)" % c.path("bad%d.parquet" % i))
        except psycopg.Error as error:
            assert error.sqlstate and not c.connection.broken, error
    expect(c.one("SELECT count(*) FROM mooncake.read_parquet('%s')" % c.path("good.parquet")), 5000)


def test_bad_text(c):
    with open(c.path("latin.csv"), "wb") as file:
        file.write("name,n\nAndr\xe9,1\n".encode("latin-1"))
    error = c.error("SELECT * FROM mooncake.read_csv('%s') AS e(name text)" % c.path("latin.csv"))
    assert "latin.csv" in str(error) or "UTF" in str(error) or "utf" in str(error), error
    expect(c.rows("SELECT name FROM mooncake.read_csv('%s', encoding => 'latin-1') AS e(name text)" % c.path("latin.csv")), [("André",)])
    pq.write_table(pa.table({"s": ["a\0b"]}), c.path("nul.parquet"))
    expect(c.error("SELECT s FROM mooncake.read_parquet('%s')" % c.path("nul.parquet")).sqlstate, "22021")
    expect(c.error("SELECT s || 'x' FROM mooncake.read_parquet('%s')" % c.path("nul.parquet")).sqlstate, "22021")


def test_ragged_csv(c):
    with open(c.path("ragged.csv"), "w") as file:
        file.write("a,b\n" + "1,2\n" * 3000 + "3\n4,5,6\n7,8\n")
    source = "mooncake.read_csv('%s', header => true, delimiter => ',', columns => '{\"a\": \"INTEGER\", \"b\": \"INTEGER\"}'%s)"
    error = c.error("SELECT sum(a) FROM " + source % (c.path("ragged.csv"), "") + " AS e(a int, b int)")
    assert "3002" in str(error) and "ragged.csv" in str(error), error
    expect(c.one("SELECT count(*) FROM " + source % (c.path("ragged.csv"), ", ignore_errors => true") + " AS e(a int, b int)"), 3001)


def test_postgres_csv(c):
    """What COPY writes, read_csv reads with the same values, and COPY TO of a file comes back."""
    c.connection.execute("DROP TABLE IF EXISTS src; CREATE TABLE src (i int, t text, n numeric, b bool, d date, ts timestamp, a int[], j jsonb)")
    c.connection.execute("""INSERT INTO src SELECT i, CASE i % 5 WHEN 0 THEN NULL WHEN 1 THEN 'q"uo,te' WHEN 2 THEN E'two\\nlines' ELSE 'é' || i END,
        i / 7.0, i % 2 = 0, date '2000-01-01' + i, timestamp '1970-01-01' + i * interval '1 hour 1 us', ARRAY[i, NULL], jsonb_build_object('k', i)
        FROM generate_series(1, 3000) i""")
    columns = "i int, t text, n numeric, b bool, d date, ts timestamp, a int[], j jsonb"
    for path, options in ((c.path("src.csv"), ""), (c.path("src2.csv"), ", NULL '\\N', DELIMITER ';'")):
        c.connection.execute("COPY src TO '%s' (FORMAT csv, HEADER%s)" % (path, options))
        extra = ", nullstr => '\\N', delimiter => ';'" if options else ""
        source = "mooncake.read_csv('%s', header => true%s, all_varchar => true) AS e(%s)" % (path, extra, columns)
        expect(c.rows("(SELECT * FROM src EXCEPT ALL SELECT * FROM %s) UNION ALL (SELECT * FROM %s EXCEPT ALL SELECT * FROM src)" % (source, source)), [], path)
    with open(c.path("src.csv"), "rb") as plain, gzip.open(c.path("src.csv.gz"), "wb") as packed:
        shutil.copyfileobj(plain, packed)
    expect(c.one("SELECT count(*) FROM mooncake.read_csv('%s', header => true) AS e(i int)" % c.path("src.csv.gz")), 3000)
    c.connection.execute("COPY src TO '%s'" % c.path("back.parquet"))
    c.connection.execute("CREATE TABLE back (LIKE src)")
    expect(c.connection.execute("COPY back FROM '%s'" % c.path("back.parquet")).statusmessage, "COPY 3000")
    expect(c.rows("(SELECT * FROM src EXCEPT ALL SELECT * FROM back) UNION ALL (SELECT * FROM back EXCEPT ALL SELECT * FROM src)"), [])
    expect(pq.read_table(c.path("back.parquet")).num_rows, 3000)
    c.connection.execute("DROP TABLE src, back")


def test_replaced_file(c):
    """A file with new contents under its old name is read anew: nothing stale, whatever was cached."""
    path = c.path("replaced.parquet")
    for i in range(5):
        pq.write_table(pa.table({"x": [i] * 1000}), path + ".new")
        os.replace(path + ".new", path)
        expect(c.rows("SELECT min(x), max(x), count(*) FROM mooncake.read_parquet('%s') AS e(x bigint)" % path), [(i, i, 1000)])


def test_long_errors(c):
    """What an error shows of a file is cut."""
    with open(c.path("long.csv"), "w") as file:
        file.write("x,y\n" + "é" * 3_000_000 + ",1\n")
    error = c.error("SELECT x FROM mooncake.read_csv('%s', header => true) AS e(x text)" % c.path("long.csv"))
    assert len(str(error)) < 10_000 and "max_line_size" in str(error), str(error)[:300]
    expect(c.one("SELECT length(x) FROM mooncake.read_csv('%s', header => true, max_line_size => 10000000) AS e(x text)" % c.path("long.csv")), 3_000_000)


def test_copy_failures(c):
    """A COPY that fails, or is cancelled, leaves nothing behind, and what was under the name as it was."""
    folder = c.path("out")
    os.makedirs(folder)
    os.chmod(folder, 0o777)
    kept, new = os.path.join(folder, "kept.parquet"), os.path.join(folder, "new.parquet")
    c.connection.execute("COPY (SELECT 42 AS x) TO '%s'" % kept)
    before = open(kept, "rb").read()
    failing = "SELECT i, md5(i::text) AS h, 1 / (i - 900000) AS d FROM generate_series(1, 1000000) i"
    for path in (kept, new):
        expect(c.error("COPY (%s) TO '%s'" % (failing, path)).sqlstate, "22012", path)
    for path, sqlstate in ((kept, "57014"), (new, "57014")):
        with c.server.connect(autocommit=True) as other:
            timer = threading.Timer(1.0, other.cancel)
            timer.start()
            begin = time.monotonic()
            expect(user_error(other, "COPY (SELECT i, md5(i::text) AS h FROM generate_series(1, 100000000) i) TO '%s'" % path), sqlstate)
            assert time.monotonic() - begin < 5, "a cancelled COPY went on"
    deadline = time.monotonic() + 5  # the engine notices that the client is gone
    while sorted(os.listdir(folder)) != ["kept.parquet"] and time.monotonic() < deadline:
        time.sleep(0.05)
    expect(sorted(os.listdir(folder)), ["kept.parquet"])
    expect(open(kept, "rb").read() == before, True, "a COPY that failed changed the file")
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0777", "ivy_small", folder], capture_output=True).returncode != 0:
        print("        (no small file system can be mounted: a full disk is not tested)")
        return
    try:
        error = c.error("COPY (SELECT md5(i::text) AS a, md5((-i)::text) AS b FROM generate_series(1, 300000) i) TO '%s'" % new)
        expect(error.sqlstate, "53100", str(error))
        expect(os.listdir(folder), [], "after a full disk")
        c.connection.execute("COPY (SELECT 1 AS x) TO '%s'" % new)
    finally:
        subprocess.run(["umount", folder], check=True)


def test_spill(c):
    """Sorts, joins and groups of more than duckdb.max_memory: right, within bounds, and nothing is left on disk."""
    with Server(conf="duckdb.max_memory = '64MB'", lite=True, extension=False) as server, server.connect(autocommit=True) as connection:
        connection.execute("CREATE EXTENSION pg_duckdb")
        path = c.path("spill.parquet")
        connection.execute("COPY (SELECT i AS id, md5(i::text) AS h, md5((i * 7)::text) AS g FROM generate_series(1, 800000) i) TO '%s'" % path)
        source = "mooncake.read_parquet('%s') AS %%s(id int, h text, g text)" % path

        def ask(query):
            return connection.execute(query).fetchall()

        assert "whole query" in "\n".join(row[0] for row in ask("EXPLAIN SELECT count(DISTINCT h) FROM " + source % "a"))
        expect(ask("SELECT count(DISTINCT h), count(DISTINCT g) FROM " + source % "a"), [(800000, 800000)])
        expect(ask("SELECT count(*), sum(b.id) FROM %s JOIN %s ON a.h = b.h AND a.g = b.g" % (source % "a", source % "b")), [(800000, 320000400000)])
        target = c.path("sorted.parquet")
        connection.execute("COPY (SELECT * FROM %s ORDER BY h COLLATE \"C\") TO '%s'" % (source % "a", target))
        hashes = pq.read_table(target, columns=["h"]).column("h").to_pylist()
        expect((len(hashes), hashes == sorted(hashes)), (800000, True))
        engine = next(pid for pid, args in server.descendants() if "ivy_engine" in args)
        with open("/proc/%d/status" % engine) as status:
            peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
        assert peak < 400 * 1024, "the engine needed %d kB" % peak
        left = [name for folder, _, names in os.walk(os.path.join(server.dir, "data", "pg_duckdb"))
                if "pgsql_tmp" in folder for name in names if not name.endswith("_owner")]  # DuckDB's mark that the folder is in use
        expect(left, [], "temporary files")


# --- tables ----------------------------------------------------------------------------------------------------------

def test_mirror_as_iceberg(c):
    """What a mirror publishes, iceberg_scan reads, deleted rows left out; joined with the mirror itself."""
    c.connection.execute("CREATE TABLE ice (id int PRIMARY KEY, name text); INSERT INTO ice SELECT i, 'n' || i FROM generate_series(1, 5000) i")
    c.connection.execute("CALL mooncake.create_table('ice_mirror', 'ice')")
    c.connection.execute("DELETE FROM ice WHERE id % 3 = 0; UPDATE ice SET name = 'x' WHERE id % 5 = 0")
    c.connection.execute("CALL mooncake.create_snapshot('ice_mirror')")
    location = c.one("SELECT location FROM mooncake.mirrors WHERE mirror = 'ice_mirror'::regclass")
    source = "iceberg_scan('%s') AS e(id int, name text)" % location
    expect(c.rows("(SELECT * FROM ice EXCEPT ALL SELECT * FROM %s) UNION ALL (SELECT * FROM %s EXCEPT ALL SELECT * FROM ice)" % (source, source)), [])
    expect(c.one("SELECT count(*) FROM ice_mirror JOIN %s USING (id, name)" % source), 3334)
    assert "whole query" in c.explain("SELECT count(*) FROM ice_mirror JOIN %s USING (id, name)" % source)
    expect(c.one("SELECT count(*) > 1 FROM iceberg_snapshots('%s')" % location), True)
    c.connection.execute("DROP TABLE ice CASCADE")


def test_foreign_tables(c):
    from pyiceberg.catalog.sql import SqlCatalog
    first, second = pa.table({"id": [1, 2], "s": ["a", "b"]}), pa.table({"id": [3], "s": ["c"]})
    catalog = SqlCatalog("x", uri="sqlite:///" + c.path("catalog.db"), warehouse="file://" + c.folder)
    catalog.create_namespace("n")
    table = catalog.create_table("n.t", first.schema)
    table.append(first)
    old = table.current_snapshot().snapshot_id
    table.append(second)
    table.delete("id = 1")
    expect(c.rows("SELECT * FROM iceberg_scan('%s') ORDER BY id" % table.location()), [(2, "b"), (3, "c")])
    expect(c.rows("SELECT id FROM iceberg_scan('%s', snapshot_id => %d) AS e(id int) ORDER BY id" % (table.location(), old)), [(1,), (2,)])
    delta = c.path("delta")
    deltalake.write_deltalake(delta, first)
    deltalake.write_deltalake(delta, second, mode="append")
    deltalake.DeltaTable(delta).delete("id = 1")
    expect(c.rows("SELECT * FROM delta_scan('%s') ORDER BY id" % delta), [(2, "b"), (3, "c")])
    expect(c.rows("SELECT count(*) FROM delta_scan('%s', version => 0)" % delta), [(2,)])
    expect(c.rows("SELECT id FROM delta_scan('%s') AS e(id numeric(5,1)) ORDER BY id" % delta), [(decimal.Decimal("2.0"),), (decimal.Decimal("3.0"),)])
    c.error("SELECT * FROM delta_scan('%s') AS e(id int)" % c.folder)


def test_table_cache(c):
    """Metadata of tables are kept for the next query, and are never those of another version, or of another table of the
    same name."""
    import deltalake
    from pyiceberg.catalog.sql import SqlCatalog

    def data(*values):
        return pa.table({"id": list(values)})

    def ids(source):
        return [row[0] for row in c.rows("SELECT id FROM %s AS e(id int) ORDER BY 1" % source)]

    delta, log = c.path("cached_delta"), c.path("cached_delta", "_delta_log")
    source = "delta_scan('%s')" % delta
    for round in range(3):  # dropped and made again, with as many versions
        shutil.rmtree(delta, ignore_errors=True)
        for i in range(3):
            deltalake.write_deltalake(delta, data(10 * round + i), mode="append")
            expect(ids(source), [10 * round + j for j in range(i + 1)])
        expect(ids("delta_scan('%s', version => 1)" % delta), [10 * round, 10 * round + 1])
    # What is kept is used: a commit that can't be read any more, but looks as before, is not read.
    commit = os.path.join(log, "%020d.json" % 1)
    text, old = open(commit, "rb").read(), time.time() - 100
    for name in os.listdir(log):
        os.utime(os.path.join(log, name), (old, old))
    expect(ids(source), [20, 21, 22])
    with open(commit, "wb") as file:
        file.write(b"x" * len(text))
    c.error("SELECT * FROM " + source)  # it was changed now
    os.utime(commit, (old, old))
    expect(ids(source), [20, 21, 22])

    catalog = SqlCatalog("cached", uri="sqlite:///" + c.path("cached.db"), warehouse="file://" + c.folder)
    catalog.create_namespace("cached")
    table = catalog.create_table("cached.t", data(0).schema)
    source = "iceberg_scan('%s')" % table.location()
    for i in range(3):
        table.append(data(i))
        expect(ids(source), list(range(i + 1)))
    manifests = [name for name in os.listdir(os.path.join(table.location().removeprefix("file://"), "metadata")) if name.endswith(".avro")]
    for name in manifests:
        os.remove(os.path.join(table.location().removeprefix("file://"), "metadata", name))
    expect(ids(source), [0, 1, 2])
    c.error("SELECT * FROM iceberg_scan('%s', snapshot_id => %d)" % (table.location(), table.metadata.snapshots[0].snapshot_id))


# --- the engine ------------------------------------------------------------------------------------------------------

def test_engine_killed(c):
    source = "mooncake.read_parquet('%s') AS e(x int)" % c.path("groups.parquet")
    c.server.kill("ivy_engine")
    deadline = time.monotonic() + 30
    while True:
        try:
            expect(c.one("SELECT count(*) FROM " + source), 100_000)
            break
        except psycopg.OperationalError as error:
            assert error.sqlstate[:2] in ("08", "55", "58"), error
        except psycopg.Error as error:
            assert error.sqlstate[:2] in ("08", "55", "58"), error
        assert time.monotonic() < deadline, "the engine did not come back"
        time.sleep(0.1)


# --- servers ---------------------------------------------------------------------------------------------------------

def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Moto:
    """moto's S3 server, with a bucket."""

    def __enter__(self):
        self.port = free_port()
        program = os.path.join(os.path.dirname(sys.executable), "moto_server")
        self.process = subprocess.Popen([program, "-H", "127.0.0.1", "-p", str(self.port)], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while True:
            try:
                self.put("", b"")
                return self
            except OSError:
                assert time.monotonic() < deadline and self.process.poll() is None, "moto's server did not start"
                time.sleep(0.2)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def put(self, key, body):
        request = urllib.request.Request("http://127.0.0.1:%d/bucket%s" % (self.port, key and "/" + key), body, method="PUT",
                                         headers={"Content-Type": "application/octet-stream", "Authorization": "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/s3/aws4_request"})
        urllib.request.urlopen(request, timeout=10).read()

    def get(self, key):
        request = urllib.request.Request("http://127.0.0.1:%d/bucket/%s" % (self.port, key),
                                         headers={"Authorization": "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/s3/aws4_request"})
        return urllib.request.urlopen(request, timeout=10).read()

    def secret(self, name, scope="s3://bucket"):
        return ("SELECT mooncake.create_secret('%s', 's3', 'k', 's', '{\"ENDPOINT\": \"127.0.0.1:%d\", \"URL_STYLE\": \"path\", "
                "\"USE_SSL\": false, \"REGION\": \"us-east-1\", \"SCOPE\": \"%s\"}')" % (name, self.port, scope))


def test_s3(c):
    with Moto() as moto:
        c.connection.execute(moto.secret("moto"))
        for name in ("good.parquet", "numbers.csv"):
            with open(c.path(name), "rb") as file:
                moto.put("d/" + name, file.read())
        expect(c.one("SELECT count(*) FROM mooncake.read_parquet('s3://bucket/d/good.parquet')"), 5000)
        expect(c.one("SELECT count(*) FROM mooncake.read_parquet('s3://bucket/*/go*.parquet') AS e(x bigint)"), 5000)
        expect(c.one("SELECT count(*) FROM mooncake.read_csv('s3://bucket/d/numbers.csv', header => true) AS e(i int)"), 3000)
        expect(c.error("SELECT * FROM mooncake.read_parquet('s3://bucket/d/none.parquet') AS e(x int)").sqlstate, "58P01")
        expect(c.error("SELECT * FROM mooncake.read_parquet('s3://bucket/none/*.parquet') AS e(x int)").sqlstate, "58P01")
        # Written there, in formats and by a query with a join; read back; replaced and read again.
        for i in range(3):
            c.connection.execute("COPY (SELECT g AS x, %d AS round FROM generate_series(1, 1000) g) TO 's3://bucket/out/a.parquet'" % i)
            expect(c.rows("SELECT count(*), max(round) FROM mooncake.read_parquet('s3://bucket/out/a.parquet')"), [(1000, i)])
        c.connection.execute("COPY (SELECT 1 AS x, 'y' AS y) TO 's3://bucket/out/a.csv' (FORMAT csv, HEADER)")
        c.connection.execute("COPY (SELECT 1 AS x, 'y' AS y) TO 's3://bucket/out/a.json' (FORMAT 'json')")
        expect(c.rows("SELECT * FROM mooncake.read_csv('s3://bucket/out/a.csv')"), [(1, "y")])
        expect(c.rows("SELECT * FROM mooncake.read_json('s3://bucket/out/a.json')"), [(1, "y")])
        # Rights: the network role, and a secret of one's own or a granted one.
        c.connection.execute("CREATE ROLE mooncake_network; CREATE ROLE s3_user LOGIN; CREATE ROLE s3_friend LOGIN; "
                             "GRANT mooncake_network TO s3_user, s3_friend")
        query = "SELECT count(*) FROM mooncake.read_parquet('s3://bucket/d/good.parquet') AS e(x bigint)"
        with c.server.connect(user="s3_user", autocommit=True) as user, c.server.connect(user="s3_friend", autocommit=True) as friend:
            assert user_error(user, query), "a role without a secret read a bucket"
            user.execute(moto.secret("mine"))
            expect(user.execute(query).fetchone()[0], 5000)
            assert user_error(friend, query), "a role used another's secret"
            user.execute("SELECT mooncake.grant_secret('mine', 's3_friend')")
            expect(friend.execute(query).fetchone()[0], 5000)
            user.execute("SELECT mooncake.drop_secret('mine')")
            assert user_error(friend, query), "a dropped secret was used"
            assert user_error(friend, "SELECT * FROM mooncake.read_csv('/etc/passwd') AS e(x text)") == "42501"
        dump = subprocess.run([os.path.join(bindir(), "pg_dump"), "-h", c.server.dir, "-U", "postgres", "postgres"],
                              capture_output=True, text=True, check=True).stdout
        assert "127.0.0.1:%d" % moto.port not in dump, "a dump has secrets"
    begin = time.monotonic()
    error = c.error("SELECT * FROM mooncake.read_parquet('s3://bucket/d/good.parquet') AS e(x bigint)")
    expect(error.sqlstate, "08006", str(error))
    assert time.monotonic() - begin < 60


def user_error(connection, query):
    try:
        connection.execute(query).fetchall()
        return None
    except psycopg.Error as error:
        return error.sqlstate


def bindir():
    return subprocess.run([os.environ.get("PG_CONFIG", "/usr/lib/postgresql/18/bin/pg_config"), "--bindir"], capture_output=True,
                          text=True, check=True).stdout.strip()


DELTA_COMMIT = b"""{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}
{"metaData":{"id":"x","format":{"provider":"parquet","options":{}},"schemaString":"{\\"type\\":\\"struct\\",\\"fields\\":[{\\"name\\":\\"x\\",\\"type\\":\\"long\\",\\"nullable\\":true,\\"metadata\\":{}}]}","partitionColumns":[],"configuration":{},"createdTime":0}}
"""


class Broken(http.server.BaseHTTPRequestHandler):
    """Answers by the first part of the path: forbidden, cut, busy, garbage, hang; "flaky" is a Delta table whose
    second commit is there but can't be read."""

    released = threading.Event()

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)

    def answer(self, body):
        kind = self.path.split("/")[1].split("?")[0]
        if kind == "forbidden":
            text = b"<Error><Code>InvalidAccessKeyId</Code><Message>no such key</Message></Error>"
            self.send_response(403)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if body:
                self.wfile.write(text)
            return
        if kind == "busy" or (kind == "flaky" and not self.path.endswith("/00000000000000000000.json")):
            missing = kind == "flaky" and not self.path.endswith("/00000000000000000001.json")
            self.send_response(404 if missing else 503)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if kind in ("flaky", "garbage"):
            text = DELTA_COMMIT if kind == "flaky" else os.urandom(5000)
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if body:
                self.wfile.write(text)
            return
        if kind == "hang":
            self.released.wait(120)
            return
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        if body:
            self.wfile.write(b"x,y\n" + b"1,2\n" * 100)
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)


def test_broken_servers(c):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Broken)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    c.connection.execute("SELECT mooncake.create_secret('broken', 's3', 'k', 's', '{\"ENDPOINT\": \"127.0.0.1:%d\", \"URL_STYLE\": \"path\", "
                         "\"USE_SSL\": false, \"SCOPE\": \"s3://forbidden\"}')" % port)
    expect(c.error("SELECT * FROM mooncake.read_csv('s3://forbidden/x.csv') AS e(x int)").sqlstate, "42501")
    expect(c.error("SELECT * FROM mooncake.read_csv('http://127.0.0.1:%d/forbidden/x.csv') AS e(x int)" % port).sqlstate, "42501")
    error = c.error("SELECT * FROM mooncake.read_csv('http://127.0.0.1:%d/cut/x.csv') AS e(x int)" % port)
    assert error.sqlstate[:2] in ("58", "08"), (error.sqlstate, error)
    root = "http://127.0.0.1:%d" % port
    s3 = ("SELECT mooncake.create_secret('%s', 's3', 'k', 's', '{\"ENDPOINT\": \"127.0.0.1:%d\", \"URL_STYLE\": \"path\", "
          "\"USE_SSL\": false, \"SCOPE\": \"s3://%s\"}')")
    for bucket in ("busy", "garbage", "hang"):
        c.connection.execute(s3 % (bucket, port, bucket))
    # A busy server is asked some more times, and is not one where nothing is. A commit that can't be read is not the end of
    # a table's history.
    for query in ("mooncake.read_csv('%s/busy/x.csv')" % root, "mooncake.read_parquet('s3://busy/*.parquet')",
                  "delta_scan('s3://busy/t')", "delta_scan('%s/flaky')" % root):
        begin = time.monotonic()
        expect(c.error("SELECT * FROM %s AS e(x int)" % query).sqlstate, "58030", query)
        assert time.monotonic() - begin < 45, "%s took %.1f s" % (query, time.monotonic() - begin)
    expect(c.error("COPY (SELECT 1 AS x) TO 's3://busy/x.parquet'").sqlstate, "58030")
    for query in ("mooncake.read_parquet('%s/garbage/x.parquet')" % root, "iceberg_scan('s3://garbage/t')", "delta_scan('s3://garbage/t')"):
        assert c.error("SELECT * FROM %s AS e(x int)" % query).sqlstate in ("22000", "58030", "XX001"), query
    # Whatever waits for a server that never answers can be cancelled.
    for query in ("SELECT * FROM mooncake.read_csv('%s/hang/x.csv')" % root, "SELECT * FROM delta_scan('s3://hang/t') AS e(x int)",
                  "COPY (SELECT 1 AS x) TO 's3://hang/x.parquet'"):
        with c.server.connect(autocommit=True) as other:
            timer = threading.Timer(0.7, other.cancel)
            timer.start()
            begin = time.monotonic()
            expect(user_error(other, query), "57014", query)
            assert time.monotonic() - begin < 3, "a cancelled query went on for %.1f s" % (time.monotonic() - begin)
    Broken.released.set()
    server.shutdown()
    expect(c.one("SELECT count(*) FROM mooncake.read_parquet('%s')" % c.path("good.parquet")), 5000)


# --- the lite edition --------------------------------------------------------------------------------------------------

def test_lite(c):
    with Server(lite=True, extension=False) as server, server.connect(autocommit=True) as connection:
        connection.execute("CREATE EXTENSION pg_duckdb")
        expect(connection.execute("SELECT count(*) FROM mooncake.read_parquet('%s')" % c.path("good.parquet")).fetchone()[0], 5000)
        expect(connection.execute("SELECT sum(r['x']) FROM mooncake.read_parquet('%s') r" % c.path("good.parquet")).fetchone()[0], 12497500)
        connection.execute("CREATE TABLE names (x bigint PRIMARY KEY, name text); INSERT INTO names VALUES (1, 'one'), (2, 'two')")
        expect(connection.execute("SELECT name, s FROM names JOIN mooncake.read_parquet('%s') AS e(x bigint, s text) USING (x) ORDER BY 1"
                                  % c.path("good.parquet")).fetchall(), [("one", "v1"), ("two", "v2")])
        connection.execute("COPY names TO '%s'" % c.path("names.parquet"))
        expect(pq.read_table(c.path("names.parquet")).num_rows, 2)


TESTS = [test_types, test_casts, test_equality, test_empty, test_wide, test_many_files, test_partitions, test_row_groups, test_nan, test_union_by_name,
         test_damaged_parquet, test_bad_text, test_ragged_csv, test_postgres_csv, test_replaced_file, test_long_errors, test_copy_failures, test_spill, test_mirror_as_iceberg, test_foreign_tables, test_table_cache, test_engine_killed, test_s3,
         test_broken_servers, test_lite]


def run_tests(tests, description, prepare):
    """The program: runs tests on a server of their own, and exits."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--files", type=int, default=2000, help="number of small files")
    parser.add_argument("--only", help="the one test to run")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="ivy_lake.")
    os.umask(0)
    os.chmod(folder, 0o777)
    failed = 0
    try:
        with Server() as server, server.connect(autocommit=True) as connection:
            connection.execute("SET timezone = 'UTC'")
            context = Context(server, connection, folder, options.files)
            prepare(context)
            for test in tests:
                if options.only and test.__name__ != "test_" + options.only:
                    continue
                begin = time.monotonic()
                try:
                    test(context)
                    print("ok      %-20s %6.1f s" % (test.__name__, time.monotonic() - begin), flush=True)
                except Exception as error:  # the others are of interest, too
                    failed += 1
                    print("FAILED  %s: %s: %s" % (test.__name__, type(error).__name__, str(error)[:2000]), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    run_tests(TESTS, __doc__, make_files)
