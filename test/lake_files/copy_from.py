# SPDX-License-Identifier: Apache-2.0
"""COPY FROM files that the engine reads or fetches, servers that don't answer, and the engine without httpfs.

    copy_from.py [--only NAME]
"""

import gzip
import http.server
import os
import subprocess
import threading
import time

from lake_files import Broken, Moto, expect, pa, pq, psycopg, run_tests, user_error
from ivy_server import Server, compare, wait_live

TABLE = "(a integer, b text, c numeric(10,2))"
# (name, content, options): each is read from the server's disk and from the network.
FILES = [
    ("plain.csv", b"1,x,1.5\n2,y,2\n", "FORMAT csv"),
    ("header.csv", b"a,b,c\n1,\"x\ny\",1.5\n2,\"q\"\"q\",\n", "FORMAT csv, HEADER"),
    ("match.csv", b"a,c,b\n1,2,3\n", "FORMAT csv, HEADER match"),
    ("nulls.csv", b"1,,\n2,\"\",3\n,-,4\n", "FORMAT csv, NULL '-'"),
    ("delimiters.csv", b"1;'a;b';2\n", "FORMAT csv, DELIMITER ';', QUOTE '''', ESCAPE '\\'"),
    ("bad.csv", b"1,x,1\n2,y,zz\n", "FORMAT csv"),
    ("short.csv", b"1,x\n", "FORMAT csv"),
    ("long.csv", b"1,x,1,2\n", "FORMAT csv"),
    ("open.csv", b"1,\"x,1\n2,y,3\n", "FORMAT csv"),
    ("encoding.csv", b"1,\xff\xfe,1\n", "FORMAT csv"),
    ("latin.csv", b"1,\xe9,1\n", "FORMAT csv, ENCODING 'latin1'"),
    ("zero.csv", b"1,a\x00b,1\n", "FORMAT csv"),
    ("crlf.csv", b"1,x,1\r\n2,y,2\r\n", "FORMAT csv"),
    ("unended.csv", b"1,x,1\n2,y,2", "FORMAT csv"),
    ("errors.csv", b"1,x,1\nbad,y,2\n3,z,3\n", "FORMAT csv, ON_ERROR ignore"),
    ("limit.csv", b"bad,x,1\nbad,y,2\n3,z,3\n", "FORMAT csv, ON_ERROR ignore, REJECT_LIMIT 1"),
    ("forced.csv", b"1,\"\",1\n2,,2\n", "FORMAT csv, FORCE_NULL (b)"),
    ("empty.csv", b"", "FORMAT csv, HEADER"),
    ("only_header.csv", b"a,b,c\n", "FORMAT csv, HEADER"),
    ("plain.txt", b"1\tx\\ty\t1.5\n\\N\t\\N\t\\N\n", "FORMAT text"),
    ("ended.txt", b"1\tx\t1.5\n\\.\nwhatever follows\n", ""),
    ("several.csv", b"".join(b"%d,%s,%d.25\n" % (i, b"v" * (i % 300), i % 1000) for i in range(40_000)), "FORMAT csv"),
    ("wide.csv", b"1,\"" + b"x,\n" * 1_500_000 + b"\",1\n2,y,2\n", "FORMAT csv"),
    ("unknown.csv", b"1,x,1\n", "FORMAT csv, NOTHING 1"),
    ("unknown.xls", b"1,x,1\n", "FORMAT xls"),
]


class Places:
    """A folder of the server's and the bucket, with the same files."""

    def __init__(self, c, moto):
        self.c, self.moto = c, moto

    def put(self, name, content):
        with open(self.c.path(name), "wb") as file:
            file.write(content)
        self.moto.put("in/" + name, content)

    def url(self, name):
        return "s3://bucket/in/" + name


def outcome(c, path, options, columns="", where=""):
    """What a COPY into an empty table does: its rows, or its error."""
    c.connection.execute("TRUNCATE target")
    try:
        tag = c.connection.execute("COPY target %s FROM '%s' %s %s" % (columns, path, "(%s)" % options if options else "", where)).statusmessage
    except psycopg.Error as error:
        context = [line for line in (error.diag.context or "").splitlines() if not line.startswith("file ")]
        return error.sqlstate, error.diag.message_primary, error.diag.message_detail, error.diag.message_hint, context
    return tag, c.rows("SELECT a, md5(b), c FROM target ORDER BY a, b, c")


def test_same_as_the_servers(c):
    """From the network a file means what it means on the server's disk, errors included."""
    c.connection.execute("CREATE TABLE target " + TABLE)
    with Moto() as moto:
        c.connection.execute(moto.secret("moto"))
        places = Places(c, moto)
        failed = 0
        for name, content, options in FILES:
            places.put(name, content)
            want = outcome(c, c.path(name), options)
            expect(outcome(c, places.url(name), options), want, name)
            failed += len(want) > 2
        expect(10 <= failed < len(FILES), True, "%d files failed" % failed)
        local, url = c.path("plain.csv"), places.url("plain.csv")
        for columns, where in (("(c, b, a)", ""), ("(b)", ""), ("(a, b, c)", "WHERE a > 1 AND b <> 'z'"), ("", "WHERE nothing = 1"), ("(a, a)", ""),
                               ("(a, none)", ""), ("", "WHERE a"), ("", "WHERE target.a = (SELECT 1)"), ("", "WHERE generate_series(1, 2) > 1")):
            expect(outcome(c, url, "FORMAT csv", columns, where), outcome(c, local, "FORMAT csv", columns, where), columns + where)
        c.connection.execute("COPY target TO '%s' (FORMAT binary)" % c.path("some.bin"))
        with open(c.path("some.bin"), "rb") as file:
            moto.put("in/some.bin", file.read())
        expect(outcome(c, places.url("some.bin"), "FORMAT binary"), outcome(c, c.path("some.bin"), "FORMAT binary"))
        # The file is named, and the line; the ending may say the format and the compression.
        error = c.error("COPY target FROM '%s' (FORMAT csv)" % places.url("bad.csv"))
        expect(error.diag.context.splitlines(), ["COPY target, line 2, column c: \"zz\"", "file \"s3://bucket/in/bad.csv\""])
        moto.put("in/z.csv.gz", gzip.compress(b"7,seven,7\n"))
        expect(outcome(c, places.url("z.csv.gz"), ""), ("COPY 1", c.rows("SELECT 7, md5('seven'), 7.00")))
        moto.put("in/json.jsonl", b'{"c": 1.5, "a": 1, "b": "x"}\n{"a": null, "c": 2, "b": null}\n')
        expect(outcome(c, places.url("json.jsonl"), "")[0], "COPY 2")
        expect(c.rows("SELECT a, b, c::text FROM target ORDER BY a"), [(1, "x", "1.50"), (None, None, "2.00")])
        # Several files are one statement.
        for i, content in enumerate((b"a,b,c\n1,x,1\n", b"", b"a,b,c\n", b"a,b,c\n2,y,2\n3,z,3\n")):
            moto.put("in/many/%d.csv" % i, content)
        expect(outcome(c, places.url("many/*.csv"), "FORMAT csv, HEADER")[0], "COPY 3")
        moto.put("in/many/4.csv", b"a,b,c\n4,w,4\nx,y,z\n")
        error = c.error("COPY target FROM '%s' (FORMAT csv, HEADER)" % places.url("many/*.csv"))
        expect(error.diag.context.splitlines(), ["COPY target, line 3, column a: \"x\"", "file \"s3://bucket/in/many/4.csv\""])
        expect(c.one("SELECT count(*) FROM target"), 3)
        for name in ("none.csv", "none/*.csv"):
            expect(c.error("COPY target FROM '%s' (FORMAT csv)" % places.url(name)).sqlstate, "58P01", name)
        # Elsewhere in the server.
        c.connection.execute("COPY target FROM PROGRAM 'echo 9,nine,9' (FORMAT csv)")
        c.connection.execute("DROP TABLE target; SELECT mooncake.drop_secret('moto')")


def test_targets(c):
    """Defaults, generated and identity columns, partitions, triggers, mirrors; for CSV, Parquet and JSON."""
    pq.write_table(pa.table({"id": [1, 2, 3], "t": ["x", None, "z"]}), c.path("in.parquet"))
    c.connection.execute("COPY (SELECT * FROM mooncake.read_parquet('%s') AS e(id int, t text)) TO '%s' (FORMAT 'json')" % (c.path("in.parquet"), c.path("in.json")))
    with Moto() as moto:
        c.connection.execute(moto.secret("moto"))
        moto.put("in.csv", b"1,x\n2,\n3,z\n")
        for name in ("in.parquet", "in.json"):
            with open(c.path(name), "rb") as file:
                moto.put(name, file.read())
        sources = [("'s3://bucket/in.csv' (FORMAT csv)", "csv"), ("'%s'" % c.path("in.parquet"), "parquet"), ("'s3://bucket/in.parquet'", "parquet"),
                   ("'%s' (FORMAT 'json')" % c.path("in.json"), "json"), ("'s3://bucket/in.json'", "json")]
        c.connection.execute(
            "CREATE TABLE kept (id integer PRIMARY KEY, t text DEFAULT 'd', n integer DEFAULT 5, twice integer GENERATED ALWAYS AS (id * 2) STORED, "
            "virtual integer GENERATED ALWAYS AS (id + 1) VIRTUAL, s serial);"
            "CREATE TABLE always (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, t text);"
            "CREATE TABLE parts (id integer PRIMARY KEY, t text) PARTITION BY RANGE (id); CREATE TABLE low PARTITION OF parts FOR VALUES FROM (0) TO (2);"
            "CREATE TABLE high PARTITION OF parts FOR VALUES FROM (2) TO (4); CREATE VIEW shown AS SELECT id, t FROM always;"
            "CREATE TABLE noted (id integer, t text);"
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.t := coalesce(NEW.t, 'none'); "
            "IF NEW.id = 2 THEN EXECUTE 'COPY noted FROM ''s3://bucket/in.csv'' (FORMAT csv) WHERE id = 3'; END IF; RETURN NEW; END $$;"
            "CREATE TABLE triggered (id integer, t text); CREATE TRIGGER note BEFORE INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION note();"
            "CALL mooncake.create_table('parts_mirror', 'parts'); CALL mooncake.create_table('kept_mirror', 'kept')")
        wait_live(c.connection, "parts_mirror")
        wait_live(c.connection, "kept_mirror")
        for source, kind in sources:
            expect(c.connection.execute("COPY kept (id, t) FROM " + source).statusmessage, "COPY 3", source)
            expect(c.rows("SELECT id, t, n, twice, virtual, s IS NULL FROM kept ORDER BY id"), [(1, "x", 5, 2, 2, False), (2, None, 5, 4, 3, False), (3, "z", 5, 6, 4, False)], source)
            expect(c.error("COPY kept (id, twice) FROM " + source).sqlstate, "42P10", source)
            expect(c.error("COPY kept (id, t) FROM " + source).sqlstate, "23505", source)
            compare(c.connection, "kept", "kept_mirror", context=source)
            expect(c.connection.execute("COPY always FROM %s WHERE id <> 2" % source).statusmessage, "COPY 2", source)
            expect(c.rows("SELECT * FROM always ORDER BY id"), [(1, "x"), (3, "z")], source)
            expect(c.connection.execute("COPY parts FROM " + source).statusmessage, "COPY 3", source)
            expect(c.rows("SELECT tableoid::regclass::text, id FROM parts ORDER BY id"), [("low", 1), ("high", 2), ("high", 3)], source)
            compare(c.connection, "parts", "parts_mirror", context=source)
            c.connection.execute("COPY triggered FROM " + source)
            expect(c.rows("SELECT * FROM triggered ORDER BY id"), [(1, "x"), (2, "none"), (3, "z")], source)
            expect(c.rows("SELECT * FROM noted"), [(3, "z")], source)
            expect(c.error("COPY parts_mirror FROM " + source).sqlstate, "42809", source)
            with c.connection.transaction():
                c.connection.execute("TRUNCATE kept, always, parts, triggered, noted")
                c.connection.execute("SAVEPOINT s; COPY parts FROM %s; ROLLBACK TO s" % source)
                c.connection.execute("COPY parts FROM %s WHERE id = 3" % source)
            compare(c.connection, "parts", "parts_mirror", context=source)
            c.connection.execute("TRUNCATE parts")
            c.connection.execute("CREATE TEMP TABLE mine (id integer, t text)")
            with c.connection.transaction():
                c.connection.execute("SET TRANSACTION READ ONLY")
                c.connection.execute("COPY mine FROM " + source)
            c.connection.execute("DROP TABLE mine")
            with c.server.connect(autocommit=True) as reader:
                reader.execute("SET default_transaction_read_only = on")
                expect(user_error(reader, "COPY always FROM " + source), "25006", source)
        # Privileges.
        c.connection.execute("DROP ROLE IF EXISTS mooncake_network; CREATE ROLE mooncake_network; CREATE ROLE filler LOGIN; GRANT INSERT (id) ON always TO filler; "
                             "SELECT mooncake.grant_secret('moto', 'filler')")
        with c.server.connect(user="filler", autocommit=True) as filler:
            for source, _ in sources:
                expect(user_error(filler, "COPY always FROM " + source), "42501", source)
            c.connection.execute("GRANT pg_read_server_files, mooncake_network TO filler")
            for source, _ in sources:
                expect(user_error(filler, "COPY always FROM " + source), "42501", source)
            c.connection.execute("GRANT INSERT ON always TO filler")
            for source, _ in sources:
                expect(user_error(filler, "COPY always FROM " + source), None, source)
                c.connection.execute("TRUNCATE always")
            c.connection.execute("ALTER TABLE always ENABLE ROW LEVEL SECURITY")
            for source, kind in sources:
                expect(user_error(filler, "COPY always FROM " + source), "0A000" if kind == "csv" else "42501", source)
        c.connection.execute("SELECT mooncake.drop_secret('moto')")


def test_bad_values(c):
    """What a file has that a column can't take names the file."""
    c.connection.execute("CREATE TABLE numbers (id smallint, t varchar(3))")
    path = c.path("bad.parquet")
    pq.write_table(pa.table({"id": [1, 70000], "t": ["a", "b"]}), path)
    error = c.error("COPY numbers FROM '%s'" % path)
    expect((error.sqlstate, path in str(error)), ("22003", True), str(error))
    with open(c.path("bad.json"), "w") as file:
        file.write('{"id": 1, "t": "a"}\n{"id": "x", "t": "b"}\n')
    error = c.error("COPY numbers FROM '%s' (FORMAT 'json')" % c.path("bad.json"))
    expect((error.sqlstate[:2], "bad.json" in str(error)), ("22", True), str(error))
    pq.write_table(pa.table({"id": [1], "other": ["a"]}), path)
    error = c.error("COPY numbers FROM '%s'" % path)
    expect((error.sqlstate, "other" in str(error)), ("42703", True), str(error))
    expect(c.connection.execute("COPY numbers (id) FROM '%s'" % path).statusmessage, "COPY 1")
    expect(c.error("COPY numbers FROM '%s' (FORMAT parquet, DELIMITER ',')" % path).sqlstate[:2], "42")


def test_servers_that_hang(c):
    """duckdb.http_timeout and duckdb.http_retries bound what a statement waits; cancelling works at once."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Broken)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = "http://127.0.0.1:%d/hang/x" % server.server_address[1]
    c.connection.execute("CREATE TABLE hung (x int)")
    statements = ("SELECT * FROM mooncake.read_csv('%s.csv') AS e(x int)" % url, "COPY hung FROM '%s.csv' (FORMAT csv)" % url,
                  "COPY hung FROM '%s.parquet'" % url, "SELECT * FROM mooncake.describe('%s.parquet')" % url, "SELECT * FROM delta_scan('%s') AS e(x int)" % url)
    try:
        with c.connection.transaction(force_rollback=True):
            c.connection.execute("SET LOCAL duckdb.http_timeout = '1s'; SET LOCAL duckdb.http_retries = 1")
            for statement in statements:
                begin = time.monotonic()
                c.connection.execute("SAVEPOINT s")
                error = c.error(statement)
                c.connection.execute("ROLLBACK TO s")
                expect(error.sqlstate[:2] in ("08", "58"), True, "%s: %s %s" % (statement, error.sqlstate, error))
                assert time.monotonic() - begin < 20, "%s took %.1f s" % (statement, time.monotonic() - begin)
        for statement in statements:
            with c.server.connect(autocommit=True) as other:
                timer = threading.Timer(0.7, other.cancel)
                timer.start()
                begin = time.monotonic()
                expect(user_error(other, statement), "57014", statement)
                assert time.monotonic() - begin < 3, "a cancelled statement went on for %.1f s" % (time.monotonic() - begin)
    finally:
        Broken.released.set()
        server.shutdown()
    expect(c.one("SHOW duckdb.http_timeout"), "30s")
    expect(c.error("SET duckdb.http_timeout = 0").sqlstate, "22023")


class Bare(Server):
    """A server whose processes see no DuckDB extensions."""

    def run(self, command, *args):
        if command != "start":
            return super().run(command, *args)
        hide = "mount -t tmpfs none /usr/lib/duckdb/extensions && exec \"$@\""
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts/server.sh")
        subprocess.run(["unshare", "-m", "sh", "-c", hide, "sh", script, command, self.dir, *args], check=True, env=self.env)


def test_without_httpfs(c):
    """An engine that finds no httpfs says so, what is missing, and goes on."""
    if os.geteuid() != 0 or not os.path.isdir("/usr/lib/duckdb/extensions") or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
        print("        (httpfs can't be hidden from a server here: not tested)")
        return
    with Bare(lite=True, extension=False) as server, server.connect(autocommit=True) as connection:
        connection.execute("CREATE EXTENSION pg_duckdb; CREATE TABLE t (x int)")
        for statement in ("SELECT * FROM mooncake.read_csv('s3://bucket/x.csv') AS e(x int)", "SELECT * FROM mooncake.describe('http://127.0.0.1/x.csv')",
                          "COPY t FROM 's3://bucket/x.csv' (FORMAT csv)", "COPY t TO 's3://bucket/x.parquet'", "SELECT * FROM delta_scan('s3://bucket/t') AS e(x int)"):
            try:
                connection.execute(statement)
                raise AssertionError("no error from " + statement)
            except psycopg.Error as error:
                expect((error.sqlstate, "httpfs" in error.diag.message_primary, "httpfs.duckdb_extension" in (error.diag.message_hint or "")), ("0A000", True, True), str(error))
        connection.execute("COPY (SELECT 1 AS x) TO '%s'" % c.path("bare.parquet"))
        expect(connection.execute("SELECT x FROM mooncake.read_parquet('%s') e" % c.path("bare.parquet")).fetchall(), [(1,)])


def test_huge_values(c):
    """Values beyond the readers' limits are refused with the limit's name, and read if it is raised."""
    size = 40 * 1024 * 1024
    with open(c.path("huge.csv"), "wb") as file:
        file.write(b"1,x\n2,\"" + b"y" * size + b"\"\n3,z\n")
    with open(c.path("huge.json"), "wb") as file:
        file.write(b'{"a":1,"b":"x"}\n{"a":2,"b":"' + b"y" * size + b'"}\n{"a":3,"b":"z"}\n')
    for call, option in (("read_csv('%s', columns => '{\"a\": \"INTEGER\", \"b\": \"VARCHAR\"}', auto_detect => false%%s)" % c.path("huge.csv"), "max_line_size"),
                         ("read_json('%s'%%s)" % c.path("huge.json"), "maximum_object_size")):
        error = c.error("SELECT * FROM mooncake.%s AS e(a int, b text)" % (call % ""))
        expect((error.sqlstate[:2], option in "%s %s" % (error, error.diag.message_hint), len(str(error)) < 3000), ("22", True, True), str(error)[:3000])
        raised = "mooncake.%s AS e(a int, b text)" % (call % (", %s => 100000000" % option))
        expect(c.rows("SELECT a, length(b) FROM %s ORDER BY a" % raised), [(1, 1), (2, size), (3, 1)], option)
    c.connection.execute("CREATE TABLE huge (a int, b text)")
    c.connection.execute("COPY huge FROM '%s' (FORMAT 'json', maximum_object_size 100000000)" % c.path("huge.json"))
    expect(c.one("SELECT sum(length(b)) FROM huge"), size + 2)
    c.connection.execute("COPY huge TO '%s'" % c.path("huge.parquet"))
    expect(c.one("SELECT max(length(b)) FROM mooncake.read_parquet('%s') AS e(b text)" % c.path("huge.parquet")), size)
    c.connection.execute("DROP TABLE huge")


TESTS = [test_same_as_the_servers, test_targets, test_bad_values, test_huge_values, test_servers_that_hang, test_without_httpfs]

if __name__ == "__main__":
    run_tests(TESTS, __doc__, lambda c: None)
