# SPDX-License-Identifier: Apache-2.0
"""COPY TO files of the engine: what it writes by itself is what it writes of rows that the server sends, and files appear
complete or not at all.

    copy_to.py [--only NAME]
"""

import os
import random
import stat
import subprocess
import threading
import time

from lake_files import Moto, expect, pa, pq, psycopg, run_tests, user_error
from ivy_server import wait_live

ROWS = 20_000
# Values that are hard to carry; each row of the table has them in another combination.
VALUES = {
    "b": ("boolean", "true", "false"), "i2": ("smallint", "-32768", "7"), "i4": ("integer", "2147483647", "-1"),
    "i8": ("bigint", "-9223372036854775808", "12"), "f4": ("real", "'NaN'", "-0.0", "1.1"),
    "f8": ("double precision", "'Infinity'", "-0.0", "1e300", "0.1"), "d": ("numeric(12,3)", "-123456789.125", "0.500", "0"),
    "wide": ("numeric(38,10)", "1234567890123456789012345678.0123456789", "-0.0000000001"),
    "n": ("numeric", "1.50", "'NaN'", "123456789012345678901234567890.5", "'-Infinity'", "0.00"),
    "t": ("text", "''", "E'a\"b\\nc,\\td'", "'é中🙂'", "'null'", "' x '"), "v": ("varchar(10)", "'abc'", "''"), "c": ("char(5)", "'ab'", "''"),
    "by": ("bytea", "'\\x00ff27'", "''"), "da": ("date", "'infinity'", "'0044-03-15 BC'", "'2024-02-29'"),
    "ti": ("time", "'24:00'", "'01:02:03.456789'"), "ttz": ("timetz", "'01:02:03+05'", "'23:59:59.5-11:30'"),
    "ts": ("timestamp", "'-infinity'", "'2024-02-29 12:34:56.789012'", "'4713-01-01 BC'"),
    "tz": ("timestamptz", "'infinity'", "'2024-06-01 12:00+02'", "'1900-01-01 00:00:00.000001+00'"),
    "iv": ("interval", "'1 mon -2 days 03:04:05.000006'", "'-1 year'", "'0'"), "u": ("uuid", "'00112233-4455-6677-8899-aabbccddeeff'"),
    "j": ("json", "'{\"b\":1, \"a\" : [1,2]}'", "'null'"), "jb": ("jsonb", "'{\"b\":1.50, \"a\" : [1,null]}'", "'\"x\"'"),
    "ia": ("integer[]", "'{1,NULL,3}'", "'[2:3]={4,5}'", "'{}'"), "ta": ("text[]", "'{\"a,b\",NULL,\"\"}'"), "e": ("mood", "'glad'", "'so so'"),
    "bi": ("varbit", "B'101'"), "ip": ("inet", "'10.0.0.1/24'"), "mo": ("money", "'12.34'"), "o": ("oid", "4294967295"), "r": ("int4range", "'[1,5)'"),
    "dom": ("positive", "5"),
}
# Every column as it is, then what the engine computes: of each of these the types differ in form from columns of mirrors.
COMPUTED = [
    "SELECT * FROM m",
    "SELECT id, d + 1 AS a, d * d AS b, d / 7 AS c, wide - d AS e, -n AS f, n + d AS g, round(d, 1) AS h, abs(n) AS i FROM m",
    "SELECT t, count(*) AS n, sum(i4) AS s4, sum(i8::numeric) AS s8, sum(i2) AS s2, sum(d) AS sd, avg(d) AS ad, avg(i4) AS ai, sum(n) AS sn, "
    "max(n) AS mn, min(da) AS mda, max(ts) AS mts, min(tz) AS mtz, max(f8) AS mf, min(iv) AS miv FROM m GROUP BY t",
    "SELECT i2 % 5 AS x, count(DISTINCT t) AS c, stddev(f4) AS s, variance(d) AS v, bool_or(b) AS bo, string_agg(v, ',' ORDER BY id) AS l, "
    "array_agg(id ORDER BY id) AS a, percentile_cont(0.5) WITHIN GROUP (ORDER BY id) AS p FROM m GROUP BY 1",
    "SELECT CASE WHEN id % 2 = 0 THEN d ELSE wide END AS k, coalesce(n, d) AS l, NULL::integer AS m, NULL AS unknown, 'x' AS y, 1.50 AS z, 1e400 AS w, "
    "now() > '2000-01-01' AS later, ARRAY[1,2] AS arr, coalesce(ia, '[5:6]={7,NULL}') AS ci, interval '1 day' AS iv, date_trunc('hour', ts) AS h, tz AT TIME ZONE 'Asia/Tokyo' AS tokyo, "
    "extract(year FROM da) AS ye, id::text AS idt, d::text AS dt, da + 1 AS tomorrow, ts - ts AS zero FROM m WHERE id % 3 = 0 AND da < '3000-01-01' AND isfinite(ts)",
    "SELECT c::text AS c, c AS c, length(t) AS l, upper(v) AS u, t || 'x' AS cat, substr(t, 2) AS sub, by || by AS bb, md5(t) AS md5, u AS u, "
    "jb -> 'a' AS ja, jb ->> 'b' AS jt, ia[1] AS i1, array_length(ia, 1) AS al, e AS mood FROM m",
    "SELECT id, row_number() OVER (ORDER BY id) AS rn, sum(d) OVER (PARTITION BY b ORDER BY id) AS run, lag(n) OVER (ORDER BY id) AS before FROM m",
    "SELECT a.id, b.d FROM m a JOIN m b ON a.id = b.id + 1 JOIN small s ON s.id = a.id",
    "SELECT id FROM m WHERE id < 0",
    "SELECT d FROM m UNION ALL SELECT wide FROM m UNION ALL SELECT n FROM m",
    "SELECT id AS \"Quoted \"\"name\", d AS \"select\", t AS \"é\", i4 AS \"a.b\", 1 AS \" \" FROM m",
]


def setup(c):
    c.connection.execute("CREATE TYPE mood AS ENUM ('glad', 'so so'); CREATE DOMAIN positive AS integer CHECK (VALUE > 0)")
    chooser = random.Random(5)
    c.connection.execute("CREATE TABLE m_source (id integer PRIMARY KEY, %s)" % ", ".join("%s %s" % (name, spec[0]) for name, spec in VALUES.items()))
    rows = ", ".join("(%d, %s)" % (i, ", ".join("NULL" if i == 1 else chooser.choice(spec[1:] + ("NULL",)) for spec in VALUES.values()))
                     for i in range(ROWS // 40))
    c.connection.execute("INSERT INTO m_source VALUES " + rows)
    c.connection.execute("INSERT INTO m_source SELECT id + %d * copies, %s FROM m_source, generate_series(1, 39) copies"
                         % (ROWS // 40, ", ".join(VALUES)))
    c.connection.execute("CREATE TABLE small (id integer); INSERT INTO small SELECT generate_series(1, 5000, 7)")
    c.connection.execute("CALL mooncake.create_table('m', 'm_source')")
    wait_live(c.connection, "m")
    c.connection.execute("UPDATE m_source SET i4 = id WHERE id % 50 = 0; DELETE FROM m_source WHERE id % 77 = 3")


class Notices:
    """The server's messages at DEBUG1 about how a COPY ran."""

    def __init__(self, connection):
        self.connection, self.seen = connection, []

    def __enter__(self):
        self.connection.add_notice_handler(self.note)
        self.connection.execute("SET client_min_messages = debug1")
        return self

    def __exit__(self, *_):
        self.connection.execute("RESET client_min_messages")
        self.connection.remove_notice_handler(self.note)

    def note(self, message):
        self.seen.append(message.message_primary)

    def by_itself(self):
        return any("ran the query of COPY" in text for text in self.seen)


def copy(c, query, path, options=""):
    """(rows, whether the engine ran the query) of COPY."""
    with Notices(c.connection) as notices:
        tag = c.connection.execute("COPY (%s) TO '%s' %s" % (query, path, options)).statusmessage
    return int(tag.split()[1]), notices.by_itself()


def plain_rows(path):
    """The rows of a Parquet file as texts. Dates and times as their numbers: not all have a Python object."""
    columns = []
    for column in pq.ParquetFile(path).read().columns:
        if pa.types.is_temporal(column.type):
            column = pa.chunked_array([chunk.view(pa.int32() if column.type.bit_width == 32 else pa.int64()) for chunk in column.chunks])
        columns.append(column.to_pylist())
    return [repr(row) for row in zip(*columns)]


def both_ways(c, query, name, options="", ordered=False):
    """Writes the same query both ways, and compares the files. Returns whether the engine ran it."""
    paths = [c.path(way + "." + name) for way in ("itself", "sent")]
    rows, by_itself = copy(c, query, paths[0], options)
    c.connection.execute("SET mooncake.execution = 'split'")
    expect(copy(c, query, paths[1], options), (rows, False), query)
    c.connection.execute("RESET mooncake.execution")
    if name.endswith(".parquet"):
        one, other = (pq.ParquetFile(path) for path in paths)
        expect(one.schema, other.schema, query)  # also how the types are stored
        contents = [plain_rows(path) for path in paths]
    else:
        contents = [open(path, "rb").read().splitlines() for path in paths]
    expect(len(contents[0]) >= rows, True, "rows of " + query)
    if not ordered:
        contents = [sorted(content) for content in contents]
    if contents[0] != contents[1]:
        pairs = [(one, other) for one, other in zip(*contents) if one != other]
        one, other = pairs[0]
        raise AssertionError("%s: the engine %s, of rows %s" % (query, *(" ".join(field for field, twin in zip(a.split(", "), b.split(", ")) if field != twin)
                                                                         for a, b in ((one, other), (other, one)))))
    return by_itself


def test_same_files(c):
    """Each column alone and all queries, in all formats; all but few are run by the engine."""
    sent = []
    for query in COMPUTED + ["SELECT %s FROM m" % name for name in VALUES]:
        if not both_ways(c, query, "x.parquet"):
            sent.append(query)
    for options, name in (("(FORMAT 'json')", "x.json"), ("(FORMAT 'json', ARRAY)", "y.json"), ("(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 5000)", "z.parquet")):
        both_ways(c, "SELECT * FROM m ORDER BY id", name, options, ordered=True)
    for order in ("id", "t COLLATE \"C\" DESC NULLS LAST, id", "d, n, id", "f8 DESC, id"):
        assert both_ways(c, "SELECT id, t, d, n, f8 FROM m ORDER BY " + order, "o.parquet", ordered=True), order
    assert both_ways(c, "SELECT id, t FROM m ORDER BY id OFFSET 100 LIMIT 1000", "o.parquet", ordered=True)
    print("        the server sent the rows of %d of %d queries: %s" % (len(sent), len(COMPUTED) + len(VALUES), "; ".join(text[:60] for text in sent)))
    assert len(sent) <= 3, sent
    # CSV is the engine's at network locations only.
    with Moto() as moto:
        c.connection.execute(moto.secret("copies"))
        for options in ("(FORMAT csv)", "(FORMAT csv, HEADER, DELIMITER ';', NULL '-', COMPRESSION gzip)"):
            contents = []
            for execution in ("whole", "split"):
                c.connection.execute("SET mooncake.execution = '%s'" % execution)
                path = "s3://bucket/%s.csv" % execution
                expect(copy(c, "SELECT * FROM m ORDER BY id", path, options)[1], execution == "whole", options)
                contents.append(moto.get(execution + ".csv"))
            c.connection.execute("RESET mooncake.execution")
            expect(contents[0] == contents[1] or sorted(contents[0].splitlines()), contents[0] == contents[1] or sorted(contents[1].splitlines()), options)
        # A failing one leaves no object, and one that was there as it was.
        c.error("COPY (SELECT 10 / (id - 12000) AS x FROM m ORDER BY id) TO 's3://bucket/whole.csv' (FORMAT csv)")
        expect(moto.get("whole.csv"), contents[0])
        c.error("COPY (SELECT 10 / (id - 12000) AS x FROM m ORDER BY id) TO 's3://bucket/none.parquet'")
        expect(c.error("SELECT * FROM mooncake.read_parquet('s3://bucket/none.parquet') AS e(x int)").sqlstate, "58P01")
        c.connection.execute("SELECT mooncake.drop_secret('copies')")


def test_files_as_sources(c):
    """Queries on files: also of a file onto itself. What no Postgres value can hold is refused, not written."""
    path = c.path("source.parquet")
    c.connection.execute("COPY (SELECT id, t, d, da, ts, tz, jb FROM m) TO '%s'" % path)
    source = "mooncake.read_parquet('%s') AS e(id int, t text, d numeric(12,3), da date, ts timestamp, tz timestamptz)" % path
    for name in ("id", "t", "d", "da", "ts", "tz"):
        assert both_ways(c, "SELECT %s FROM %s" % (name, source), "f.parquet"), name
    assert both_ways(c, "SELECT * FROM " + source, "f.parquet")
    assert both_ways(c, "SELECT t, sum(d) AS s, count(*) AS n FROM %s GROUP BY t" % source, "f.parquet")
    assert both_ways(c, "SELECT e.id, m.d FROM %s JOIN m USING (id)" % source, "f.parquet")
    before = c.rows("SELECT count(*), sum(id) FROM " + source)
    expect(copy(c, "SELECT * FROM %s ORDER BY id DESC" % source, path), (before[0][0], True))
    expect(c.rows("SELECT count(*), sum(id) FROM " + source), before)
    odd = c.path("odd.parquet")
    for expression, sqlstate in (("'a' || chr(0) || 'b'", "22021"), ("DATE '5877641-06-24 (BC)'", "22008"), ("TIMESTAMP '200000-01-01 (BC) 00:00:00'", "22008"),
                                 ("TIMESTAMPTZ '200000-01-01 (BC) 00:00:00+00'", "22008")):
        subprocess.run(["duckdb", "-c", "COPY (SELECT %s AS x) TO '%s'" % (expression, odd)], check=True, stdout=subprocess.DEVNULL)
        error = c.error("COPY (SELECT x FROM mooncake.read_parquet('%s') e) TO '%s'" % (odd, c.path("never.parquet")))
        expect(error.sqlstate, sqlstate, "%s: %s" % (expression, error))
    expect(os.path.exists(c.path("never.parquet")), False)


def test_other_ways(c):
    """What the engine can't answer: own changes, errors that only rows that nobody asks for would raise, values without a form."""
    path = c.path("other.parquet")
    with c.connection.transaction(force_rollback=True):
        c.connection.execute("INSERT INTO m_source (id) VALUES (-1)")
        expect(copy(c, "SELECT id FROM m WHERE id < 0", path), (1, False))
        expect(pq.read_table(path).to_pylist(), [{"id": -1}])
    expect(c.error("COPY (SELECT 1 / (id - 5000) AS x FROM m) TO '%s'" % path).sqlstate, "22012")
    expect(c.error("COPY (SELECT i4 * i4 AS x FROM m) TO '%s'" % path).sqlstate, "22003")
    expect(pq.read_table(path).to_pylist(), [{"id": -1}], "after errors")
    error = c.error("COPY (SELECT 'NaN'::numeric(5,2) AS \"X y\") TO '%s'" % path)
    expect((error.sqlstate, "\"X y\"" in str(error), "Cast the column" in str(error)), ("0A000", True, True), str(error))
    # An inexact column of a mirror.
    c.connection.execute("CREATE TABLE odd (id int PRIMARY KEY, x numeric(5,2)); INSERT INTO odd VALUES (1, 'NaN'), (2, 1.5); CALL mooncake.create_table('odd_m', 'odd')")
    time.sleep(1)
    expect(c.error("COPY odd_m TO '%s'" % path).sqlstate, "0A000")
    expect(copy(c, "SELECT id, x::text AS x FROM odd_m ORDER BY id", path)[0], 2)
    expect(pq.read_table(path).column("x").to_pylist(), ["NaN", "1.50"])


def test_names(c):
    """Names that occur twice, and as many columns as there can be."""
    path = c.path("names.parquet")
    assert both_ways(c, "SELECT id AS x, t AS x, d AS \"X\" FROM m", "n.parquet")
    wide = ", ".join("id + %d AS c%d" % (i, i) for i in range(1600))
    assert both_ways(c, "SELECT %s FROM m WHERE id < 20" % wide, "w.parquet")
    expect(len(pq.read_schema(c.path("itself.w.parquet")).names), 1600)
    expect(c.error("COPY (SELECT FROM m) TO '%s'" % path).sqlstate, "0A000")
    long = c.path("n" * 240 + ".parquet")
    expect(copy(c, "SELECT id FROM m WHERE id = 5", long)[0], 1)
    odd = c.path("o'd d\u00e9.parquet")
    c.connection.execute("COPY (SELECT id FROM m WHERE id = 5) TO '%s'" % odd.replace("'", "''"))
    expect(pq.read_table(odd).num_rows, 1)


def test_places(c):
    """Links, permissions, devices, pipes and folders."""
    folder = c.path("places")
    os.makedirs(folder)
    os.chmod(folder, 0o777)
    real, link, dangling = (os.path.join(folder, name) for name in ("real.parquet", "link.parquet", "dangling.parquet"))
    query = "SELECT id FROM m"
    want = c.one("SELECT count(*) FROM m")
    copy(c, query, real)
    expect(stat.S_IMODE(os.stat(real).st_mode), 0o644)
    os.chmod(real, 0o640)
    os.symlink("real.parquet", link)
    os.symlink("new.parquet", dangling)
    expect(copy(c, "SELECT 1 AS one", link)[0], 1)
    expect((os.path.islink(link), pq.read_table(real).num_rows, stat.S_IMODE(os.stat(real).st_mode)), (True, 1, 0o640))
    copy(c, query, dangling)
    expect((os.path.islink(dangling), pq.read_table(os.path.join(folder, "new.parquet")).num_rows), (True, want))
    expect(copy(c, query, "/dev/null", "(FORMAT 'json')")[0], want)
    expect(c.error("COPY (%s) TO '%s' (FORMAT parquet)" % (query, folder)).sqlstate, "42809")
    pipe = os.path.join(folder, "pipe.json")
    os.mkfifo(pipe, 0o666)
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(open(pipe)))
    reader.start()
    expect(copy(c, query, pipe, "(FORMAT 'json')")[0], want)
    reader.join(20)
    expect(len(lines), want)
    assert stat.S_ISFIFO(os.stat(pipe).st_mode)
    # A folder that takes no new files, with a file that can be written.
    os.chmod(folder, 0o555)
    os.chown(folder, 0, 0) if os.geteuid() == 0 else None
    expect(copy(c, query, real)[0], want)
    expect(pq.read_table(real).num_rows, want)
    expect(c.error("COPY (%s) TO '%s'" % (query, os.path.join(folder, "other.parquet"))).sqlstate, "42501")
    os.chmod(folder, 0o777)
    expect(sorted(os.listdir(folder)), ["dangling.parquet", "link.parquet", "new.parquet", "pipe.json", "real.parquet"])
    for name, magic in (("z.json.gz", b"\x1f\x8b"), ("z.json.zst", b"\x28\xb5\x2f\xfd")):  # compressed by the ending
        copy(c, query, os.path.join(folder, name), "(FORMAT 'json')")
        assert open(os.path.join(folder, name), "rb").read(4).startswith(magic), name
    partitions = os.path.join(folder, "by")
    both = [copy(c, "SELECT id, i2 FROM m WHERE i2 IS NOT NULL", partitions, "(FORMAT parquet, PARTITION_BY (i2))")[1]]
    expect((both, pq.read_table(partitions).num_rows), ([True], c.one("SELECT count(i2) FROM m")))


def test_writers(c):
    """Several sessions write one file, again and again, and some are cancelled: every reader finds one of theirs, whole."""
    folder = c.path("writers")
    os.makedirs(folder)
    os.chmod(folder, 0o777)
    path = os.path.join(folder, "x.parquet")
    copy(c, "SELECT id, 0 AS w FROM m", path)
    want = c.one("SELECT count(*) FROM m")
    stop, failures = time.monotonic() + 6, []

    def write(number):
        with c.server.connect(autocommit=True) as connection:
            while time.monotonic() < stop:
                timer = threading.Timer(random.random() / 4, connection.cancel)
                timer.start()
                try:
                    connection.execute("COPY (SELECT id, %d AS w FROM m) TO '%s'" % (number, path))
                except psycopg.errors.QueryCanceled:
                    pass
                except Exception as error:
                    failures.append(repr(error))
                timer.cancel()
                timer.join()

    threads = [threading.Thread(target=write, args=(number,)) for number in (1, 2, 3)]
    for thread in threads:
        thread.start()
    reads = 0
    while time.monotonic() < stop:
        with open(path, "rb") as file:
            table = pq.ParquetFile(file).read()
        expect((table.num_rows, len(set(table.column("w").to_pylist()))), (want, 1))
        reads += 1
    for thread in threads:
        thread.join()
    expect(failures, [])
    assert reads > 10
    deadline = time.monotonic() + 5
    while os.listdir(folder) != ["x.parquet"] and time.monotonic() < deadline:
        time.sleep(0.05)
    expect(os.listdir(folder), ["x.parquet"])


LARGE = "SELECT a.id * 20000::bigint + b.id AS k, md5(a.t) AS h, b.d FROM m a, m b"


def test_cut_short(c):
    """Cancelled, out of disk space, the engine killed: what was there stays, nothing else is left, and it works afterwards."""
    folder = c.path("cut")
    os.makedirs(folder)
    os.chmod(folder, 0o777)
    old, new = os.path.join(folder, "old.parquet"), os.path.join(folder, "new.parquet")
    copy(c, "SELECT 42 AS x", old)

    def check(what, names=("old.parquet",)):
        deadline = time.monotonic() + 5
        while sorted(os.listdir(folder)) != list(names) and time.monotonic() < deadline:
            time.sleep(0.05)
        expect((sorted(os.listdir(folder)), pq.read_table(old).to_pylist()), (list(names), [{"x": 42}]), what)

    for path in (old, new):
        with c.server.connect(autocommit=True) as other:
            timer = threading.Timer(1.0, other.cancel)
            timer.start()
            begin = time.monotonic()
            expect(user_error(other, "COPY (%s) TO '%s'" % (LARGE, path)), "57014")
            assert time.monotonic() - begin < 5, "a cancelled COPY went on"
        check("cancelled")
    for path in (old, new):
        with c.server.connect(autocommit=True) as other:
            thread = threading.Timer(1.0, lambda: c.server.kill("ivy_engine"))
            thread.start()
            # Without the row table: a join of this size would run there for hours.
            other.execute("SET mooncake.fallback = off")
            state = user_error(other, "COPY (%s) TO '%s'" % (LARGE, path))
            assert state, "the engine was killed, and the COPY succeeded"
            check("engine killed")
            # With it.
            thread.join()
            wait_live(c.connection, "m")
            other.execute("RESET mooncake.fallback")
            expect(other.execute("COPY (SELECT id FROM m WHERE id < 100) TO '%s'" % new).statusmessage, "COPY 98")
            os.remove(new)
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0777", "ivy_small", folder], capture_output=True).returncode != 0:
        print("        (no small file system can be mounted: a full disk is not tested)")
        return
    try:
        copy(c, "SELECT 42 AS x", old)
        for path in (old, new):
            for execution in ("whole", "split"):
                c.connection.execute("SET mooncake.execution = '%s'" % execution)
                error = c.error("COPY (SELECT id, md5(id::text) AS a, md5(t || id) AS b, md5(id::text || t) AS c FROM m) TO '%s'" % path)
                expect((error.sqlstate, path in str(error), ".tmp" in str(error)), ("53100", True, False), str(error))
                c.connection.execute("RESET mooncake.execution")
                check("full disk")
        copy(c, "SELECT 43 AS x", new)
    finally:
        subprocess.run(["umount", folder], check=True)


def test_rights(c):
    """Of the current user, on the file, the mirror, and the rows."""
    c.connection.execute("CREATE ROLE writer LOGIN; CREATE ROLE stranger LOGIN; GRANT pg_write_server_files TO writer; GRANT SELECT ON m TO stranger")
    path = c.path("rights.parquet")
    with c.server.connect(user="writer", autocommit=True) as writer, c.server.connect(user="stranger", autocommit=True) as stranger:
        for target in (path, "file://" + path, "s3://bucket/x.parquet", path + "/../rights.parquet"):
            expect(user_error(stranger, "COPY m TO '%s' (FORMAT parquet)" % target), "42501", target)
        expect(user_error(writer, "COPY m TO '%s'" % path), "42501")
        expect(user_error(writer, "COPY (SELECT id FROM m) TO '%s'" % path), "42501")
        c.connection.execute("GRANT SELECT (id) ON m TO writer")
        expect(user_error(writer, "COPY (SELECT * FROM m) TO '%s'" % path), "42501")
        expect(os.path.exists(path), False)
        writer.execute("COPY (SELECT id FROM m) TO '%s'" % path)
        # What it may write, it may still not read.
        expect(user_error(writer, "COPY (SELECT * FROM mooncake.read_parquet('%s') AS e(id int)) TO '%s'" % (path, path)), "42501")
        c.connection.execute("GRANT SELECT ON m TO writer; GRANT SELECT ON m_source TO writer; ALTER TABLE m_source ENABLE ROW LEVEL SECURITY; "
                             "CREATE POLICY few ON m_source TO writer USING (id < 10)")
        writer.execute("COPY m TO '%s'" % path)
        expect(pq.read_table(path).num_rows, c.one("SELECT count(*) FROM m_source WHERE id < 10"))
        writer.execute("SET row_security = off")
        expect(user_error(writer, "COPY m TO '%s'" % path), "42501")
    c.connection.execute("ALTER TABLE m_source DISABLE ROW LEVEL SECURITY")


TESTS = [test_same_files, test_files_as_sources, test_other_ways, test_names, test_places, test_writers, test_cut_short, test_rights]

if __name__ == "__main__":
    run_tests(TESTS, __doc__, setup)
