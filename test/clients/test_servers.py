# SPDX-License-Identifier: Apache-2.0
"""Servers of their own: a hot standby, databases of other encodings and collations, dumps, an engine that is stopped when idle."""

import os
import shutil
import subprocess
import tempfile
import time

import psycopg
import pytest
from conftest import error, plan, rows
from ivy_server import ROOT, Server, wait_live


def bindir():
    config = os.environ.get("PG_CONFIG") or shutil.which("pg_config", path="/usr/lib/postgresql/18/bin:" + os.environ["PATH"])
    return subprocess.run([config, "--bindir"], capture_output=True, text=True, check=True).stdout.strip()


def as_server_user(*command, **kwargs):
    """Runs a server program as scripts/server.sh runs the server."""
    if os.getuid() == 0:
        command = ("runuser", "-u", "postgres", "--", *command)
    return subprocess.run(command, cwd="/", capture_output=True, text=True, check=True, **kwargs)


def test_hot_standby():
    """No engine follows a standby's own replay: queries on mirrors run on the row tables, or say why not."""
    with Server() as primary, primary.connect(autocommit=True) as c:
        c.execute("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' || i % 3 FROM generate_series(1, 500) i")
        c.execute("CALL mooncake.create_table('m', 't')")
        wait_live(c, "m")
        # A base backup takes no long paths.
        c.execute("CREATE TABLE t2 (id int PRIMARY KEY); INSERT INTO t2 VALUES (1); CREATE SCHEMA a_schema_with_quite_a_long_name")
        c.execute("CALL mooncake.create_table('a_schema_with_quite_a_long_name.a_mirror_with_quite_a_long_name_as_well', 't2')")
        c.execute("CALL mooncake.create_snapshot('m')")
        folder = tempfile.mkdtemp(prefix="ivy_test.")
        try:
            os.chmod(folder, 0o755)
            if os.getuid() == 0:
                shutil.chown(folder, "postgres")
            data = os.path.join(folder, "data")
            as_server_user(os.path.join(bindir(), "pg_basebackup"), "-h", primary.dir, "-U", "postgres", "-D", data, "-R", "-X", "stream", "-c", "fast")
            options = "-c unix_socket_directories='%s' -c hot_standby=on" % folder
            as_server_user(os.path.join(bindir(), "pg_ctl"), "-D", data, "-l", os.path.join(folder, "log"), "-o", options, "-w", "start", timeout=60)
            try:
                check_standby(c, folder)
            finally:
                as_server_user(os.path.join(bindir(), "pg_ctl"), "-D", data, "-m", "immediate", "-w", "stop")
                with open(os.path.join(folder, "log"), encoding="utf-8") as log:
                    text = log.read()
                assert "terminated by signal" not in text and "PANIC" not in text, text[-3000:]
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def check_standby(c, folder):
    with psycopg.connect(host=folder, port=5432, user="postgres", dbname="postgres", autocommit=True) as standby:
        assert rows(standby, "SELECT pg_is_in_recovery()") == [(True,)]
        query = "SELECT v, count(*) FROM m GROUP BY v ORDER BY v"
        assert rows(standby, query) == rows(standby, query.replace(" m ", " t ")) == rows(c, query)
        assert "instead of mirror public.m: the server is a standby" in plan(standby, query)
        c.execute("INSERT INTO t VALUES (1000, 'new'); ALTER TABLE t ADD COLUMN w int DEFAULT 7")
        deadline = time.monotonic() + 20
        while rows(standby, "SELECT count(*) FROM m WHERE v = 'new'") != [(1,)] and time.monotonic() < deadline:
            time.sleep(0.05)
        standby.execute("PREPARE q(int) AS SELECT sum(id), count(*) FROM m WHERE id > $1")
        assert rows(standby, "EXECUTE q(999)") == [(1000, 1)]
        while "w" not in [column.name for column in standby.execute("SELECT * FROM m LIMIT 1").description] and time.monotonic() < deadline:
            time.sleep(0.05)
        assert rows(standby, "SELECT sum(w) FROM m") == [(7 * 501,)]
        standby.execute("BEGIN; DECLARE k SCROLL CURSOR FOR SELECT id FROM m ORDER BY id")
        assert rows(standby, "FETCH LAST FROM k") == [(1000,)]
        standby.execute("COMMIT")
        assert "ColumnarScan" not in str(rows(standby, "EXPLAIN ANALYZE " + query))
        with standby.cursor().copy("COPY m TO STDOUT") as copy:
            assert len(b"".join(bytes(part) for part in copy).splitlines()) == 501
        assert error(standby, "INSERT INTO m VALUES (1)") in ("25006", "42809")
        assert error(standby, "CALL mooncake.create_table('x', 't')") in ("25006", "55000")
        assert rows(standby, "SELECT mooncake.bgworker_status() IS NOT NULL") == [(True,)]


ENCODINGS = [("LATIN1", "LOCALE 'C'"), ("SQL_ASCII", "LOCALE 'C'"), ("EUC_JP", "LOCALE 'C'")]


@pytest.mark.parametrize("encoding,locale", ENCODINGS)
def test_other_encodings_are_refused(server, encoding, locale):
    with server.connect(autocommit=True) as c:
        c.execute("CREATE DATABASE other TEMPLATE template0 ENCODING '%s' %s" % (encoding, locale))
        try:
            with server.connect(dbname="other", autocommit=True) as other:
                other.execute("SET client_min_messages = error; CREATE EXTENSION pg_mooncake CASCADE; CREATE TABLE t (id int PRIMARY KEY, v text)")
                with pytest.raises(psycopg.errors.FeatureNotSupported, match="encoding UTF8, not " + encoding):
                    other.execute("CALL mooncake.create_table('m', 't')")
                assert rows(other, "SELECT count(*) FROM pg_class WHERE relname = 'm'") == [(0,)]
        finally:
            c.execute("DROP DATABASE other WITH (FORCE)")


COLLATED = """
CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE t (id int PRIMARY KEY, v text, c text COLLATE "C", l text COLLATE loose);
INSERT INTO t SELECT row_number() OVER (), x, x, x FROM unnest(ARRAY['a', 'B', 'b', 'A', 'ä', 'Ä', 'z', 'Z', 'aa', 'Ab', 'é', 'e', 'E', '', ' a', '_', '日本', 'ß', 'ss', 'I', 'i', 'ı']) x;
"""
QUESTIONS = [
    "SELECT v FROM {} ORDER BY v, id", "SELECT min(v), max(v), min(c), max(c) FROM {}", "SELECT count(*) FROM {} WHERE v < 'b'", "SELECT id FROM {} WHERE v BETWEEN 'a' AND 'c' ORDER BY id",
    "SELECT v FROM {} ORDER BY c, id", "SELECT l, count(*) FROM {} GROUP BY l ORDER BY count(*), min(id)", "SELECT count(DISTINCT l), count(DISTINCT v) FROM {}",
    "SELECT id FROM {} WHERE l = 'A' ORDER BY id", "SELECT id FROM {} WHERE v = 'A' ORDER BY id", "SELECT upper(v), lower(v), initcap(v) FROM {} ORDER BY id",
    "SELECT id FROM {} WHERE v LIKE 'a%' ORDER BY id", "SELECT id FROM {} WHERE v ILIKE 'ä%' ORDER BY id", "SELECT a.id, b.id FROM {} a JOIN {} b ON a.l = b.l ORDER BY 1, 2",
    "SELECT v, rank() OVER (ORDER BY v) FROM {} ORDER BY id", "SELECT greatest(v, 'm'), least(v, 'm') FROM {} ORDER BY id", "SELECT DISTINCT ON (l) id FROM {} ORDER BY l, id",
]


@pytest.mark.parametrize("locale", ["LOCALE_PROVIDER icu ICU_LOCALE 'de' LOCALE 'C.UTF-8'", "LOCALE_PROVIDER icu ICU_LOCALE 'tr' LOCALE 'C.UTF-8'",
                                    "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'", "LOCALE 'C'"])
def test_collations_of_databases(server, locale):
    with server.connect(autocommit=True) as c:
        c.execute("CREATE DATABASE other TEMPLATE template0 ENCODING 'UTF8' " + locale)
        try:
            with server.connect(dbname="other", autocommit=True) as other:
                other.execute("SET client_min_messages = error; CREATE EXTENSION pg_mooncake CASCADE")
                other.execute(COLLATED)
                other.execute("CALL mooncake.create_table('m', 't')")
                wait_live(other, "m")
                other.execute("SET mooncake.fallback = off")
                for question in QUESTIONS:
                    assert rows(other, question.format("m", "m")) == rows(other, question.format("t", "t")), question
        finally:
            c.execute("DROP DATABASE other WITH (FORCE)")


@pytest.mark.parametrize("client", ["LATIN1", "UTF8", "WIN1252"])
def test_client_encodings(own, client):
    c, t, m = own
    c.execute("UPDATE %s SET v = 'äöü ' || id" % t)
    c.execute("SET client_encoding = %s" % client)
    assert rows(c, "SELECT v FROM %s WHERE v = %%s" % m, ["äöü 7"]) == [("äöü 7",)]
    assert rows(c, "SELECT max(v) FROM %s" % m) == rows(c, "SELECT max(v) FROM %s" % t)


def test_dump_and_restore(server, own):
    """A dump of a database with mirrors, their privileges, policies and views, restored elsewhere."""
    c, t, m = own
    c.execute("""
        CREATE ROLE dump_reader; GRANT SELECT ON %s TO dump_reader; GRANT SELECT (id) ON %s TO PUBLIC;
        ALTER TABLE %s ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON %s USING (id < 50);
        CREATE VIEW dump_view AS SELECT v, count(*) AS k FROM %s GROUP BY v""" % (t, t, t, t, m))
    try:
        tool = os.path.join(bindir(), "pg_dump")
        dumped = subprocess.run([tool, "-h", server.dir, "-U", "postgres", "-d", "postgres", "-t", t, "-t", m, "-t", "dump_view", "-n", "mooncake"],
                                capture_output=True, text=True, check=False)
        assert dumped.returncode == 0, dumped.stderr
        whole = subprocess.run([tool, "-h", server.dir, "-U", "postgres", "-d", "postgres"], capture_output=True, text=True, check=True).stdout
        c.execute("CREATE DATABASE restored TEMPLATE template0")
        restored = subprocess.run([os.path.join(bindir(), "psql"), "-X", "-q", "-h", server.dir, "-U", "postgres", "-d", "restored", "-v", "ON_ERROR_STOP=1"],
                                  input=whole, capture_output=True, text=True, check=False)
        assert restored.returncode == 0, restored.stderr
        with server.connect(dbname="restored", autocommit=True) as other:
            wait_live(other, m)
            other.execute("SET mooncake.fallback = off")
            assert rows(other, "SELECT * FROM dump_view ORDER BY v") == rows(c, "SELECT * FROM dump_view ORDER BY v")
            assert rows(other, "SELECT id, v, count(*) FROM %s GROUP BY id ORDER BY id LIMIT 1" % m) == [(1, "v1", 1)]
            access = "SELECT relacl::text, relrowsecurity FROM pg_class WHERE relname = '%s'" % m
            assert rows(other, access) == rows(c, access)
            other.execute("SET ROLE dump_reader")
            assert rows(other, "SELECT count(*) FROM %s" % m) == [(49,)]
    finally:
        c.execute("DROP DATABASE IF EXISTS restored WITH (FORCE)")
        c.execute("DROP VIEW dump_view; REVOKE ALL ON %s, %s FROM dump_reader; DROP ROLE dump_reader" % (t, m))


def test_idle_engine_stops_and_comes_back():
    """duckdb.engine_idle_timeout is for the lite edition, whose engines nobody keeps."""
    with Server(conf="duckdb.engine_idle_timeout = 1", extension=False) as server:
        with server.connect(autocommit=True) as c:
            c.execute("CREATE EXTENSION pg_duckdb")
            for _ in range(2):
                assert rows(c, "SELECT duckdb.engine_status() IS NOT NULL") == [(True,)]
                assert len(server.kill("ivy_engine", 0)) == 1
                deadline = time.monotonic() + 15
                while server.kill("ivy_engine", 0):
                    assert time.monotonic() < deadline, "the idle engine was not stopped"
                    time.sleep(0.1)


def test_engine_with_mirrors_is_kept():
    with Server(conf="duckdb.engine_idle_timeout = 1") as server, server.connect(autocommit=True) as c:
        c.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 10)")
        c.execute("CALL mooncake.create_table('m', 't')")
        wait_live(c, "m")
        engine = server.kill("ivy_engine", 0)
        time.sleep(3)
        assert server.kill("ivy_engine", 0) == engine and len(engine) == 1
        c.execute("SET mooncake.fallback = off")
        assert rows(c, "SELECT count(*) FROM m") == [(10,)]
        server.kill("ivy_engine")
        c.execute("SET mooncake.fallback = on")
        assert rows(c, "SELECT count(*) FROM m") == [(10,)]
        wait_live(c, "m")
        assert os.path.isdir(ROOT)
