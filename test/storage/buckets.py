# SPDX-License-Identifier: Apache-2.0
"""Mirrors in buckets: what they answer, what other readers of Iceberg see, and what happens when the S3 server, the
credentials, the engine or the server fail.

    buckets.py [SCENARIO...]     all of them without arguments
"""

import os
import re
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from ivy_server import Server, compare, wait_live  # noqa: E402

try:
    import moto.server  # noqa: F401
    import psycopg
    import pyiceberg.catalog.sql
    from pyiceberg.table import StaticTable
except ImportError as missing:
    print("SKIPPED: the Python environment lacks %s (scripts/venv.sh installs it)" % missing.name)
    sys.exit(77)

from s3_server import S3Server  # noqa: E402

CONF = "mooncake.flush_interval = 200ms\nmooncake.optimize_files = 0\n"


def one(connection, query, *values):
    return connection.execute(query, values or None).fetchone()[0]


def error_of(connection, query):
    try:
        connection.execute(query)
    except psycopg.Error as error:
        return error
    raise AssertionError("no error from " + query)


def wait_until(check, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "waited in vain for " + what
        time.sleep(0.05)


def status(connection, mirror):
    return connection.execute("SELECT * FROM mooncake.mirror_status WHERE table_name = %s", (mirror,)).fetchone()


def flush_error(connection, mirror):
    return one(connection, "SELECT coalesce(error, '') FROM mooncake.mirror_status WHERE table_name = %s", mirror)


def key_of(location):
    assert location.startswith("s3://bucket/"), location
    return location[len("s3://bucket/"):]


def location_of(connection, mirror):
    return one(connection, "SELECT location FROM mooncake.columnstore_tables WHERE table_name = %s", mirror)


def make(connection, s3, rows=2000, name="t", options="location => 's3://bucket/lake'"):
    """A table with rows of every size and its mirror in the bucket."""
    connection.execute("CREATE TABLE %s (id int PRIMARY KEY, a int, t text, n numeric(12,2))" % name)
    connection.execute("INSERT INTO %s SELECT g, g %% 7, repeat(md5(g::text), 1 + g %% 3), g / 4.0 FROM generate_series(1, %d) g" % (name, rows))
    connection.execute("CALL mooncake.create_table('%s_mirror', '%s', %s)" % (name, name, options))


def writes(connection, name="t", begin=100000):
    connection.execute("INSERT INTO %s SELECT g, g %% 7, 'new ' || g, g FROM generate_series(%d, %d) g" % (name, begin, begin + 500))
    connection.execute("UPDATE %s SET t = t || '!' WHERE id %% 11 = 0" % name)
    connection.execute("DELETE FROM %s WHERE id %% 13 = 0" % name)


def iceberg_rows(s3, metadata):
    return StaticTable.from_metadata(metadata, s3.iceberg_properties()).scan().to_arrow().num_rows


def secret_is_nowhere(server):
    assert "secret-of-" not in server.log(), "the log has a secret"
    for table in ("mooncake.mirrors", "mooncake.dropped", "mooncake.mirror_status", "mooncake.mirror_options"):
        with server.connect(autocommit=True) as connection:
            assert "secret-of-" not in str(connection.execute("SELECT * FROM %s" % table).fetchall()), table


# --- scenarios -------------------------------------------------------------------------------------------------------

def plain(s3):
    """Everything that a mirror does, in a bucket."""
    with Server(CONF) as server, server.connect(autocommit=True) as c:
        c.execute(s3.secret("s"))
        make(c, s3)
        make(c, s3, name="v2", options="""'{"location": "s3://bucket/lake/deep/", "format_version": 2, "sort_column": "a"}'""")
        c.execute("CREATE TABLE loc (id int PRIMARY KEY, t text); INSERT INTO loc SELECT g, 'x' FROM generate_series(1, 100) g")
        c.execute("CALL mooncake.create_table('loc_mirror', 'loc')")
        for round_ in range(3):
            for name in ("t", "v2"):
                mirror = name + "_mirror"
                writes(c, name, 100000 + 1000 * round_)
                compare(c, name, mirror, context="round %d" % round_)
                c.execute("CALL mooncake.create_snapshot('%s')" % mirror)
                compare(c, name, mirror, context="round %d, in files" % round_)
                metadata, location = c.execute("SELECT metadata_location, location FROM mooncake.columnstore_tables WHERE table_name = %s", (mirror,)).fetchone()
                assert metadata.startswith(location + "/metadata/") and location.startswith("s3://bucket/lake/"), (metadata, location)
                assert iceberg_rows(s3, metadata) == one(c, "SELECT count(*) FROM " + name), name
        # Columns come and go, rows move, TOASTed values are taken from the old version of the row.
        c.execute("ALTER TABLE t ADD COLUMN big text; ALTER TABLE t ALTER COLUMN big SET STORAGE EXTERNAL")
        c.execute("UPDATE t SET big = repeat(md5(id::text), 200) WHERE id % 50 = 0")
        c.execute("CALL mooncake.create_snapshot('t_mirror')")
        c.execute("UPDATE t SET a = a + 1 WHERE id % 100 = 0")
        compare(c, "t", "t_mirror", context="unchanged TOAST")
        c.execute("CALL mooncake.optimize('t_mirror')")
        compare(c, "t", "t_mirror", context="optimized")
        c.execute("SELECT t.a, count(*), sum(m.n) FROM t_mirror m JOIN t USING (id) JOIN loc_mirror l USING (id) GROUP BY 1")
        # A second query of the same files asks the server for nothing.
        c.execute("SELECT sum(n), max(t) FROM t_mirror")
        before = sum(s3.requests.values())
        c.execute("SET mooncake.fallback = off")
        c.execute("SELECT sum(n), max(t) FROM t_mirror")
        c.execute("RESET mooncake.fallback")
        assert sum(s3.requests.values()) == before, s3.paths[before:]
        # Engine and server again, without and with changes that are not in files.
        server.stop()
        server.start()
        with server.connect(autocommit=True) as c2:
            wait_live(c2, "t_mirror")
            wait_live(c2, "v2_mirror")
            compare(c2, "t", "t_mirror", context="restarted")
            c2.execute("TRUNCATE v2")
            writes(c2, "v2", 5)
            compare(c2, "v2", "v2_mirror", context="truncated")
            c2.execute("CALL mooncake.rebuild_table('v2_mirror')")
            compare(c2, "v2", "v2_mirror", context="rebuilt")
            catalog = pyiceberg.catalog.sql.SqlCatalog(
                "postgres", uri="postgresql+psycopg://postgres@/postgres?host=%s&port=5432&options=-csearch_path%%3Dmooncake" % server.dir,
                init_catalog_tables="false", **s3.iceberg_properties())
            c2.execute("CALL mooncake.create_snapshot('t_mirror')")
            assert catalog.load_table("public.t_mirror").scan().to_arrow().num_rows == one(c2, "SELECT count(*) FROM t")
            # Its files go with it, after the commit; the others stay.
            old, other = key_of(location_of(c2, "t_mirror")), key_of(location_of(c2, "v2_mirror"))
            assert s3.objects(old) and s3.objects(other)
            c2.execute("BEGIN; DROP TABLE t_mirror; ROLLBACK")
            compare(c2, "t", "t_mirror", context="DROP rolled back")
            assert s3.objects(old)
            c2.execute("DROP TABLE t_mirror")
            wait_until(lambda: not s3.objects(old) and one(c2, "SELECT count(*) FROM mooncake.dropped") == 0, "the end of the objects")
            assert s3.objects(other)
            c2.execute("DROP TABLE v2 CASCADE")
            wait_until(lambda: not s3.objects("lake/"), "an empty bucket")
        secret_is_nowhere(server)
        dump = subprocess.run([os.path.join(bindir(), "pg_dump"), "-h", server.dir, "-U", "postgres", "postgres"],
                              capture_output=True, text=True, check=True).stdout
        assert "secret-of-" not in dump, "a dump has a secret"


def bindir():
    return subprocess.run([os.environ.get("PG_CONFIG", "/usr/lib/postgresql/18/bin/pg_config"), "--bindir"], capture_output=True,
                          text=True, check=True).stdout.strip()


def rights(s3):
    """Who may make a mirror in a bucket, with whose secrets, and who may read it."""
    with Server(CONF) as server, server.connect(autocommit=True) as c:
        c.execute("CREATE ROLE app LOGIN; CREATE ROLE reader LOGIN; CREATE ROLE other LOGIN; CREATE ROLE mooncake_network; "
                  "GRANT ALL ON SCHEMA public TO app, other")
        with server.connect(user="app", autocommit=True) as app, server.connect(user="reader", autocommit=True) as reader:
            app.execute("CREATE TABLE t (id int PRIMARY KEY, x int); INSERT INTO t SELECT g, g FROM generate_series(1, 1000) g; "
                        "GRANT SELECT ON t TO reader, other")
            call = "CALL mooncake.create_table('m', 't', location => 's3://bucket/lake')"
            assert error_of(app, call).sqlstate == "42501"  # no network locations
            c.execute("GRANT mooncake_network TO app")
            error = error_of(app, call)  # no secret
            assert "can't be kept under" in str(error) and "create_secret" in error.diag.message_hint, error
            app.execute(s3.secret("s", key="wrong"))
            error = error_of(app, call)
            assert error.sqlstate == "42501" and "403" in error.diag.message_detail, error.diag.message_detail
            app.execute("SELECT mooncake.drop_secret('s')")
            app.execute(s3.secret("s", scope="s3://nowhere"))
            assert error_of(app, call.replace("bucket", "nowhere")).sqlstate == "58P01"
            app.execute("SELECT mooncake.drop_secret('s')")
            app.execute(s3.secret("s"))
            s3.mode = "busy"
            assert "503" in error_of(app, call).diag.message_detail
            s3.mode = "pass"
            s3.close()
            assert error_of(app, call).sqlstate == "08006"
            s3.listen()
            assert one(c, "SELECT count(*) FROM mooncake.mirrors") == 0 and not s3.objects()
            app.execute(call)
            compare(app, "t", "m", context="of a role with a secret")
            # Readers need neither the right nor the secret, and get no more by the mirror than its rows.
            reader.execute("SET mooncake.fallback = off")
            assert one(reader, "SELECT count(*) FROM m") == 1000
            location = location_of(c, "m")
            data = "s3://bucket/" + next(key for key in s3.objects(key_of(location)) if "/data/" in key)
            assert error_of(reader, "SELECT * FROM mooncake.read_parquet('%s')" % data).sqlstate == "42501"
            c.execute(s3.secret("mine", key="wrong"))
            for path in (data, data.replace("s3://", "s3://.mirror/")):
                assert error_of(c, "SELECT * FROM mooncake.read_parquet('%s')" % path).sqlstate == "42501", path
            assert error_of(c, "COPY (SELECT 1) TO 's3://.mirror/%s/data/x.parquet'" % location[5:]).sqlstate == "42501"
            # The owner's secrets count: another owner's, if the source gets one.
            c.execute("ALTER TABLE t OWNER TO other")
            c.execute("INSERT INTO t VALUES (5000, 1)")
            wait_until(lambda: "no secret" in flush_error(c, "m"), "the reason in the view", 100)
            assert one(c, "SELECT sum(id) FROM m") == one(c, "SELECT sum(id) FROM t")
            app.execute("SELECT mooncake.grant_secret('s', 'other')")
            wait_until(lambda: flush_error(c, "m") == "", "the granted secret")
            c.execute("CALL mooncake.create_snapshot('m')")
            assert iceberg_rows(s3, one(c, "SELECT metadata_location FROM mooncake.mirrors")) == 1001
            c.execute("DROP TABLE m")
            wait_until(lambda: not s3.objects(), "the end of the objects")
            # The default is the administrator's.
            assert error_of(app, "SET mooncake.default_location = 's3://bucket/default'").sqlstate == "42501"
            c.execute("SET mooncake.default_location = 's3://bucket/default'")
            c.execute("CALL mooncake.create_table('m', 't')")
            assert location_of(c, "m").startswith("s3://bucket/default/ivy_")
            c.execute("SET mooncake.default_location = ''")
            c.execute("CALL mooncake.create_table('m2', 't')")
            assert location_of(c, "m2").startswith("/")
            # What can't be deleted waits for a secret, and says so.
            app.execute("SELECT mooncake.revoke_secret('s', 'other')")
            c.execute("DROP TABLE m")
            wait_until(lambda: "no secret" in (one(c, "SELECT coalesce(max(error), '') FROM mooncake.dropped")), "the reason in mooncake.dropped")
            app.execute("SELECT mooncake.grant_secret('s', 'other')")
            wait_until(lambda: not s3.objects() and one(c, "SELECT count(*) FROM mooncake.dropped") == 0, "the end of the objects")
        secret_is_nowhere(server)


def failures(s3):
    """A server that fails in every way: other mirrors go on, nothing is wrong, and it comes back by itself."""
    with Server(CONF) as server, server.connect(autocommit=True) as c:
        c.execute(s3.secret("s"))
        make(c, s3)
        make(c, s3, name="loc", options="wait => true")

        def others_go_on(what):
            begin = time.monotonic()
            c.execute("UPDATE loc SET a = a + 1 WHERE id % 10 = 0")
            c.execute("CALL mooncake.create_snapshot('loc_mirror')")
            compare(c, "loc", "loc_mirror", context=what)
            assert time.monotonic() - begin < 8, "%s: another mirror waited for %.1f s" % (what, time.monotonic() - begin)

        for round_, mode in enumerate(("busy", "drop", "hang")):
            s3.mode = mode
            writes(c, "t", 200000 + 1000 * round_)
            others_go_on(mode)
            if mode != "hang":
                wait_until(lambda: flush_error(c, "t_mirror") != "", "the reason in the view")
                assert error_of(c, "CALL mooncake.create_snapshot('t_mirror')").sqlstate in ("58030", "08006"), mode
            compare_rows(c)
            others_go_on(mode)
            s3.mode = "pass"
            s3.release()
            wait_until(lambda: flush_error(c, "t_mirror") == "", "the end of the failure: " + mode, 100)
            wait_live(c, "t_mirror")
            c.execute("CALL mooncake.create_snapshot('t_mirror')")
            compare(c, "t", "t_mirror", context="after " + mode)
        # Rewriting fails in the middle: nothing has changed.
        s3.mode = lambda method, path: "busy" if method == "PUT" and "/data/" in path else "pass"
        error_of(c, "CALL mooncake.optimize('t_mirror')")
        compare_rows(c)
        s3.mode = "pass"
        c.execute("CALL mooncake.optimize('t_mirror')")
        compare(c, "t", "t_mirror", context="a rewrite that did not")
        # A new engine finds nobody: the row table answers, the others are there, and so is the mirror when the server is.
        s3.close()
        assert server.kill("ivy_engine")
        wait_live(c, "loc_mirror")
        others_go_on("no server")
        writes(c, "t", 300000)
        assert one(c, "SELECT count(*) FROM t_mirror") == one(c, "SELECT count(*) FROM t")
        wait_until(lambda: flush_error(c, "t_mirror") != "", "the reason in the view")
        c.execute("SET mooncake.fallback = off")
        error = error_of(c, "SELECT sum(a) FROM t_mirror")
        assert "could not" in str(error) or "onnect" in str(error), error
        c.execute("RESET mooncake.fallback")
        s3.listen()
        wait_live(c, "t_mirror", 100)
        compare(c, "t", "t_mirror", context="the server is back")
        # Other keys: the mirror waits for a secret with them.
        s3.keys = {"new"}
        assert server.kill("ivy_engine")
        writes(c, "t", 400000)
        wait_until(lambda: "403" in flush_error(c, "t_mirror"), "the reason in the view")
        assert one(c, "SELECT count(*) FROM t_mirror") == one(c, "SELECT count(*) FROM t")
        c.execute("SELECT mooncake.drop_secret('s')")
        c.execute(s3.secret("s", key="new"))
        wait_live(c, "t_mirror", 20)
        compare(c, "t", "t_mirror", context="another key")
        s3.keys = {"new", "key"}
        # An object is gone: a new copy.
        c.execute("CALL mooncake.create_snapshot('t_mirror')")
        location = location_of(c, "t_mirror")
        for key in s3.objects(key_of(location) + "/data/"):
            s3.request("DELETE", "/bucket/" + key)
        assert server.kill("ivy_engine")
        wait_until(lambda: location_of(c, "t_mirror") != location, "another copy")
        wait_live(c, "t_mirror")
        compare(c, "t", "t_mirror", context="lost objects")
        # A copy that fails says why, and goes on when it can.
        s3.mode = lambda method, path: "busy" if method == "PUT" and path.endswith(".parquet") else "pass"
        c.execute("CALL mooncake.rebuild_table('t_mirror', wait => false)")
        wait_until(lambda: "503" in flush_error(c, "t_mirror"), "the reason in the view")
        others_go_on("a copy that fails")
        s3.mode = "pass"
        wait_live(c, "t_mirror", 100)
        compare(c, "t", "t_mirror", context="copied after all")
        secret_is_nowhere(server)


def much_wal(s3):
    """Before a mirror whose server is away costs the others their slot it is given up, alone, and copied when it is back."""
    with Server(CONF + "mooncake.max_retained_wal = 100MB\nmax_wal_size = 1GB\n") as server, server.connect(autocommit=True) as c:
        c.execute(s3.secret("s"))
        make(c, s3)
        make(c, s3, name="loc", options="wait => true")
        s3.mode = "busy"
        state = "SELECT state FROM mooncake.mirrors WHERE source = 't'::regclass"
        generation = "SELECT generation FROM mooncake.mirrors WHERE source = '%s'::regclass"
        begin = 10**6
        while one(c, generation % "t") == 1 and one(c, state) == "live":
            c.execute("INSERT INTO t SELECT g, 1, repeat(md5(g::text), 20), 1 FROM generate_series(%d, %d) g" % (begin, begin + 4000))
            begin += 10000
            assert begin < 10**7, "a mirror keeps the WAL for ever"
            compare_rows(c)
        assert "503" in flush_error(c, "t_mirror") or one(c, generation % "t") > 1
        compare(c, "loc", "loc_mirror", context="beside a mirror that was given up")
        assert one(c, generation % "loc") == 1
        s3.mode = "pass"
        wait_until(lambda: one(c, state) == "live", "a new copy", 120)
        wait_live(c, "t_mirror")
        compare(c, "t", "t_mirror", context="copied anew")
        assert one(c, generation % "loc") == 1


def kills(s3):
    """kill -9 of the engine, and crashes of the server, under writes; the S3 server fails now and then."""
    with Server(CONF) as server:
        with server.connect(autocommit=True) as c:
            c.execute(s3.secret("s"))
            make(c, s3, rows=500)
            make(c, s3, rows=500, name="v2", options="location => 's3://bucket/lake', format_version => 2")
        for round_ in range(6):
            stop = threading.Event()

            def write(name, seed):
                try:
                    with server.connect(autocommit=True) as w:
                        for i in range(10**6):
                            if stop.is_set():
                                return
                            begin = 10000 + (seed * 37 + i * 61) % 5000
                            w.execute("INSERT INTO %s SELECT g, 1, repeat('x', 50), 1 FROM generate_series(%d, %d) g "
                                      "ON CONFLICT (id) DO UPDATE SET a = %s.a + 1" % (name, begin, begin + 40, name))
                            w.execute("DELETE FROM %s WHERE id %% 17 = %d" % (name, i % 17))
                except psycopg.OperationalError:
                    pass  # the server crashed

            writers = [threading.Thread(target=write, args=(name, round_)) for name in ("t", "v2")]
            for thread in writers:
                thread.start()
            time.sleep(1 + round_ % 3 * 0.4)
            if round_ % 3 == 1:
                s3.mode = "busy"
                time.sleep(0.5)
            if round_ % 2 == 0:
                server.kill("ivy_engine")
                time.sleep(0.5)
            else:
                server.stop("immediate")
            stop.set()
            for thread in writers:
                thread.join()
            s3.mode = "pass"
            if round_ % 2 == 1:
                server.start()
            with server.connect(autocommit=True) as c:
                for name in ("t", "v2"):
                    wait_live(c, name + "_mirror", 100)
                    compare(c, name, name + "_mirror", context="round %d" % round_)
                if round_ == 3:
                    c.execute("CALL mooncake.optimize('t_mirror')")
        with server.connect(autocommit=True) as c:
            # What crashes left behind is found when a mirror is next loaded.
            server.kill("ivy_engine")
            for name in ("t", "v2"):
                wait_live(c, name + "_mirror")
                c.execute("CALL mooncake.create_snapshot('%s_mirror')" % name)
                compare(c, name, name + "_mirror", context="the end")
                metadata = one(c, "SELECT metadata_location FROM mooncake.mirrors WHERE source = %s::regclass", name)
                assert iceberg_rows(s3, metadata) == one(c, "SELECT count(*) FROM " + name)


def backup(s3):
    """A base backup, restored when its mirrors' objects are gone: beside the origin's objects, or (with the file that base
    backups leave out) among them."""
    with Server(CONF) as server:
        data, old = os.path.join(server.dir, "data"), os.path.join(server.dir, "old")
        with server.connect(autocommit=True) as c:
            c.execute(s3.secret("s"))
            make(c, s3)
            assert os.path.exists(os.path.join(data, "pg_mooncake/pgsql_tmp_owner"))
            as_owner(server, os.path.join(bindir(), "pg_basebackup"), "-h", server.dir, "-U", "postgres", "-D", server.dir + "/backup", "-c", "fast")
            writes(c)
            c.execute("CALL mooncake.rebuild_table('t_mirror')")
            location = location_of(c, "t_mirror")
        for with_file in (False, True):
            server.stop()
            origin = sorted(s3.objects("lake/"))
            os.rename(data, old)
            as_owner(server, "cp", "-a", server.dir + "/backup", data)
            if with_file:
                as_owner(server, "mkdir", "-p", data + "/pg_mooncake")
                as_owner(server, "cp", old + "/pg_mooncake/pgsql_tmp_owner", data + "/pg_mooncake/pgsql_tmp_owner")
            server.start()
            with server.connect(autocommit=True) as c:
                compare_rows(c)
                wait_live(c, "t_mirror", 100)
                writes(c, begin=500000)
                compare(c, "t", "t_mirror", context="restored")
                c.execute("CALL mooncake.create_snapshot('t_mirror')")
                compare(c, "t", "t_mirror", context="restored, in files")
                if not with_file:
                    assert os.path.dirname(location_of(c, "t_mirror")) != os.path.dirname(location)
                    assert set(origin) <= set(s3.objects("lake/")), "the origin's objects were touched"
            subprocess.run(["rm", "-rf", old], check=True)
            if not with_file:  # the origin is started again
                server.stop()
                subprocess.run(["rm", "-rf", data], check=True)
                as_owner(server, "cp", "-a", server.dir + "/backup", data)
                server.start()
                with server.connect(autocommit=True) as c:
                    wait_live(c, "t_mirror", 100)


def compare_rows(connection):
    """The mirror is right, whoever answers."""
    want, got = (connection.execute("SELECT count(*), sum(a), sum(n) FROM " + name).fetchone() for name in ("t", "t_mirror"))
    assert got == want, (got, want)


def as_owner(server, *command):
    """Runs a program as the server's user."""
    if os.getuid() == 0:
        if not hasattr(server, "owner"):
            server.owner = subprocess.run(["stat", "-c", "%U", server.dir + "/data"], capture_output=True, text=True, check=True).stdout.strip()
        command = ("runuser", "-u", server.owner, "--", *command)
    subprocess.run(command, check=True, cwd="/")


SCENARIOS = [plain, rights, failures, much_wal, kills, backup]


def main():
    wanted = sys.argv[1:] or [scenario.__name__ for scenario in SCENARIOS]
    for scenario in SCENARIOS:
        if scenario.__name__ not in wanted:
            continue
        begin = time.monotonic()
        with S3Server() as s3:
            scenario(s3)
        print("%s: ok, %.1f s" % (scenario.__name__, time.monotonic() - begin), flush=True)


main()
