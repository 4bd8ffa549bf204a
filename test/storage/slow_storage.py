# SPDX-License-Identifier: Apache-2.0
"""Buckets whose server does not answer: what it holds up is the mirrors there, and nothing else.

    slow_storage.py [SCENARIO...]     all of them without arguments
"""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from ivy_server import Server, compare, wait_live  # noqa: E402

try:
    import moto.server  # noqa: F401
    import psycopg
except ImportError as missing:
    print("SKIPPED: the Python environment lacks %s (scripts/venv.sh installs it)" % missing.name)
    sys.exit(77)

from s3_server import S3Server  # noqa: E402

CONF = "mooncake.flush_interval = 1h\nmooncake.optimize_files = 0\n"
# A request is given up after 20 s, thrice: what takes less did not wait for one.
SOON = 8


def one(connection, query, *values):
    return connection.execute(query, values or None).fetchone()[0]


def wait_until(check, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "waited in vain for " + what
        time.sleep(0.05)


def status(connection, mirror):
    return connection.execute("SELECT state, engine_state, coalesce(error, '') FROM mooncake.mirror_status WHERE table_name = %s", (mirror,)).fetchone()


def generations(connection):
    return dict(connection.execute("SELECT source::text, generation FROM mooncake.mirrors").fetchall())


class Soon:
    """What must not take longer than SOON."""

    def __init__(self, what, seconds=SOON):
        self.what, self.seconds = what, seconds

    def __enter__(self):
        self.begin = time.monotonic()

    def __exit__(self, kind, *_):
        took = time.monotonic() - self.begin
        print("    %-60s %5.2f s" % (self.what, took), flush=True)
        assert kind or took < self.seconds, "%s took %.1f s" % (self.what, took)


def make(c, name, options=""):
    """A table with long values, and its mirror, all of it in files."""
    c.execute("CREATE TABLE %s (id int PRIMARY KEY, a int, big text)" % name)
    c.execute("ALTER TABLE %s ALTER COLUMN big SET STORAGE EXTERNAL" % name)
    # What is long does not compress much: else the file would be read with its footer.
    c.execute("INSERT INTO %s SELECT g, g %% 7, CASE WHEN g %% 20 = 0 THEN (SELECT string_agg(md5(g::text || i), '') FROM generate_series(1, 1000) i) ELSE 'x' END "
              "FROM generate_series(1, 2000) g" % name)
    c.execute("CALL mooncake.create_table('%s_mirror', '%s'%s)" % (name, name, options))


def make_all(c, s3, names=("t",)):
    c.execute(s3.secret("s"))
    for name in names:
        make(c, name, ", location => 's3://bucket/lake'")
        wait_live(c, name + "_mirror")
    make(c, "loc")
    wait_live(c, "loc_mirror")


def restart_engine(server, c, s3, *mirrors):
    """So that nothing of the bucket is cached, and everything loaded."""
    pids = server.kill("ivy_engine")
    assert pids
    for mirror in mirrors or ("t_mirror", "loc_mirror"):
        wait_until(lambda: (status(c, mirror) or "")[1] == "live", "a loaded mirror")  # noqa: B023
    while True:
        before = sum(s3.requests.values())
        time.sleep(0.5)
        if sum(s3.requests.values()) == before:
            return


def others_go_on(c, what):
    with Soon("another mirror, " + what):
        c.execute("UPDATE loc SET a = a + 1 WHERE id % 10 = 0")
        compare(c, "loc", "loc_mirror", context=what)
        c.execute("CALL mooncake.create_snapshot('loc_mirror')")
        compare(c, "loc", "loc_mirror", context=what)


def right(c, name="t", what="a query of the mirror that waits"):
    """The answer is right, whoever gives it."""
    query = "SELECT count(*), sum(a), sum(length(big)) FROM "
    with Soon(what):
        got = c.execute(query + name + "_mirror").fetchone()
    assert got == c.execute(query + name).fetchone(), got


def cancelled(connection, statement, what):
    """Ends at once when it is cancelled."""
    connection.execute("SET statement_timeout = '700ms'")
    try:
        with Soon(what, 4):
            connection.execute(statement)
        raise AssertionError("%s: it was not cancelled" % what)
    except psycopg.errors.QueryCanceled:
        pass
    finally:
        connection.execute("RESET statement_timeout")


# --- scenarios -------------------------------------------------------------------------------------------------------

def unchanged_values(s3):
    """An update that keeps a value needs it from a file: the stream of changes does not wait for it."""
    with Server(CONF) as server, server.connect(autocommit=True) as c:
        make_all(c, s3)
        restart_engine(server, c, s3)
        before = generations(c)
        s3.mode = "hang"
        c.execute("UPDATE t SET a = a + 1 WHERE id % 20 = 0")
        others_go_on(c, "while one waits for a value")
        right(c)
        c.execute("INSERT INTO t VALUES (5000, 1, 'later')")
        c.execute("DELETE FROM t WHERE id % 40 = 0")
        others_go_on(c, "with more that waits")
        right(c)
        assert status(c, "t_mirror")[1] == "catching up", status(c, "t_mirror")
        cancelled(c, "CALL mooncake.create_snapshot('t_mirror')", "a flush that is cancelled")
        # Something new for the mirror that waits.
        with Soon("ALTER TABLE of its source"):
            c.execute("ALTER TABLE t ADD COLUMN more int")
        others_go_on(c, "with another column")
        right(c)
        s3.mode = "pass"
        s3.release()
        wait_live(c, "t_mirror")
        compare(c, "t", "t_mirror", context="the server is back")
        c.execute("CALL mooncake.create_snapshot('t_mirror')")
        compare(c, "t", "t_mirror", context="in files")
        # A server that fails is asked again, without a new copy and without a new session.
        restart_engine(server, c, s3)
        for mode in ("busy", "drop"):
            s3.mode = mode
            c.execute("UPDATE t SET a = a + 1 WHERE id % 20 = 0 AND id % 40 <> 0 AND big IS NOT NULL AND length(big) > 1000")
            others_go_on(c, "with a server that fails: " + mode)
            right(c)
            wait_until(lambda: status(c, "t_mirror")[2] != "", "the reason in the view")
            assert "could not" in status(c, "t_mirror")[2] or "HTTP" in status(c, "t_mirror")[2], status(c, "t_mirror")
            s3.mode = "pass"
            wait_live(c, "t_mirror", 100)
            compare(c, "t", "t_mirror", context="after " + mode)
            assert status(c, "t_mirror")[2] == "", status(c, "t_mirror")
            c.execute("CALL mooncake.create_snapshot('t_mirror')")
            restart_engine(server, c, s3)
        assert "is to be loaded again" not in server.log()
        assert generations(c) == before, generations(c)
        # Whole rows as identity: old ones are looked for in files.
        c.execute("CREATE TABLE whole (a int, b text); ALTER TABLE whole REPLICA IDENTITY FULL; INSERT INTO whole SELECT g % 50, 'x' FROM generate_series(1, 1000) g")
        c.execute("CALL mooncake.create_table('whole_mirror', 'whole', location => 's3://bucket/lake', identity => 'full')")
        restart_engine(server, c, s3, "whole_mirror", "loc_mirror")
        s3.mode = "hang"
        c.execute("DELETE FROM whole WHERE a = 7")
        others_go_on(c, "while one looks for equal rows")
        # Given up meanwhile: dropped, and made anew elsewhere.
        with Soon("DROP of the mirror that waits"):
            c.execute("DROP TABLE whole_mirror")
        others_go_on(c, "after it was dropped")
        with Soon("a mirror elsewhere of the same table", 20):
            c.execute("CALL mooncake.create_table('whole_mirror', 'whole', identity => 'full')")
            compare(c, "whole", "whole_mirror", context="elsewhere")
        s3.mode = "pass"
        s3.release()
        wait_until(lambda: one(c, "SELECT count(*) FROM mooncake.dropped") == 0, "the end of its objects", 100)


def killed_while_waiting(s3):
    """Processes die while a transaction waits for a value: it comes again."""
    with Server(CONF) as server:
        with server.connect(autocommit=True) as c:
            make_all(c, s3)
        for round_, how in enumerate(("ivy_engine", "pg_mooncake capture", "stop", "immediate")):
            with server.connect(autocommit=True) as c:
                restart_engine(server, c, s3)
                s3.mode = "hang"
                c.execute("UPDATE t SET a = a + 1 WHERE id % 20 = 0")
                c.execute("INSERT INTO t VALUES (%d, 1, 'later')" % (6000 + round_))
                others_go_on(c, "before the end of " + how)
            if how in ("stop", "immediate"):
                with Soon("the server's %s" % how):
                    server.stop("fast" if how == "stop" else how)
                server.start()
            else:
                assert server.kill(how, 9 if how == "ivy_engine" else 15)
            with server.connect(autocommit=True) as c:
                with Soon("the other mirror after it", 15):
                    wait_live(c, "loc_mirror")
                    compare(c, "loc", "loc_mirror", context=how)
                right(c)
                s3.mode = "pass"
                s3.release()
                wait_live(c, "t_mirror", 100)
                compare(c, "t", "t_mirror", context=how)
                c.execute("CALL mooncake.create_snapshot('t_mirror')")
                assert generations(c) == {"t": 1, "loc": 1}, (how, generations(c))


def queries(s3):
    """Queries of mirrors in a bucket that hangs: cancelled at once, bounded by duckdb.http_timeout, and not in anybody's way."""
    with Server(CONF + "duckdb.threads = 2\n") as server, server.connect(autocommit=True) as c:
        make_all(c, s3)
        restart_engine(server, c, s3)
        s3.mode = lambda method, path: "hang" if ".parquet" in path else "pass"
        waiting = [server.connect(autocommit=True) for _ in range(4)]
        query = "SELECT sum(length(big)) FROM t_mirror"
        cancelled(c, query, "a query that is cancelled")
        pids = []
        for connection in waiting:
            connection.execute("SET mooncake.fallback = off")
            pids.append(connection.info.backend_pid)
            connection.pgconn.send_query(query.encode())
        time.sleep(1)
        others_go_on(c, "beside four queries that hang")
        for _ in range(3):
            with Soon("a query of another mirror beside them", 3):
                c.execute("SELECT sum(a), max(big) FROM loc_mirror")
        with Soon("the end of four sessions", 5):
            for pid in pids:
                c.execute("SELECT pg_terminate_backend(%s)", (pid,))
            wait_until(lambda: one(c, "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY (%s)", pids) == 0, "the end of the sessions", 10)
        # The session's settings say how long a query waits. The row table answers then.
        s3.mode = "pass"
        s3.release()
        restart_engine(server, c, s3)
        s3.mode = lambda method, path: "hang" if ".parquet" in path else "pass"
        c.execute("SET duckdb.http_timeout = '1s'; SET duckdb.http_retries = 0")
        right(c, what="a query with a timeout of 1 s")
        wait_until(lambda: status(c, "t_mirror")[2] != "", "the reason in the view")
        right(c, what="the next one")
        s3.mode = "pass"
        s3.release()
        wait_live(c, "t_mirror", 100)
        # Another setting, of a session that had one already.
        restart_engine(server, c, s3)
        s3.mode = lambda method, path: "hang" if ".parquet" in path else "pass"
        c.execute("SET duckdb.http_timeout = '3s'; SET duckdb.http_retries = 1")
        begin = time.monotonic()
        right(c, what="a query with a timeout of 3 s, twice", )
        assert time.monotonic() - begin > 5.5, "it did not wait for 3 s and then 3 s"
        s3.mode = "pass"
        s3.release()
        with server.connect(autocommit=True) as fresh:
            wait_live(fresh, "t_mirror", 100)
            compare(fresh, "t", "t_mirror", context="the server is back")
        for connection in waiting:
            connection.close()


def rewrites(s3):
    """Rewriting files of one bucket hangs: files of others are rewritten, here and in another bucket."""
    with Server(CONF) as server, server.connect(autocommit=True) as c:
        make_all(c, s3)
        s3.request("PUT", "/second")
        c.execute(s3.secret("s2", scope="s3://second"))
        make(c, "u", ", location => 's3://second/lake'")
        make(c, "v", ", location => 's3://bucket/lake'")

        def small_files(name):
            for step in range(3):
                c.execute("INSERT INTO %s SELECT g, 0, 'small' FROM generate_series(10000 + (SELECT count(*) FROM %s), 10100 + (SELECT count(*) FROM %s)) g ON CONFLICT DO NOTHING" % (name, name, name))
                c.execute("CALL mooncake.create_snapshot('%s_mirror')" % name)

        for name in ("t", "u", "v", "loc"):
            wait_live(c, name + "_mirror")
            small_files(name)
        folder = one(c, "SELECT location FROM mooncake.columnstore_tables WHERE table_name = 't_mirror'")[len("s3://bucket/"):]
        s3.mode = lambda method, path: "hang" if folder in path and "/data/" in path and method in ("PUT", "POST") else "pass"
        cancelled(c, "CALL mooncake.optimize('t_mirror')", "a rewrite that is cancelled")
        with Soon("a rewrite on the local disk beside one that hangs"):
            c.execute("CALL mooncake.optimize('loc_mirror')")
        with Soon("a rewrite in another bucket"):
            c.execute("CALL mooncake.optimize('u_mirror')")
        small_files("loc")
        c.execute("ALTER SYSTEM SET mooncake.optimize_files = 2")
        c.execute("SELECT pg_reload_conf()")
        files = "SELECT files FROM mooncake.mirror_status WHERE table_name = 'loc_mirror'"
        with Soon("rewrites that nobody asked for"):
            wait_until(lambda: one(c, files) <= 2, "a rewrite by itself")
        c.execute("ALTER SYSTEM RESET mooncake.optimize_files")
        c.execute("SELECT pg_reload_conf()")
        for name in ("loc", "u"):
            compare(c, name, name + "_mirror", context="rewritten")
        right(c)
        with Soon("DROP of the mirror whose rewrite hangs"):
            c.execute("DROP TABLE t_mirror")
        others_go_on(c, "after it was dropped")
        s3.mode = "pass"
        s3.release()
        c.execute("CALL mooncake.optimize('v_mirror')")  # the bucket has its turn again
        compare(c, "v", "v_mirror", context="rewritten at last")
        wait_until(lambda: not s3.objects(folder), "the end of its objects", 100)


SCENARIOS = [unchanged_values, killed_while_waiting, queries, rewrites]


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
