# SPDX-License-Identifier: Apache-2.0
"""What administrators do with databases, tablespaces, roles and folders while mirrors follow live writes.

    administration.py [scenario ...]
"""

import json
import os
import random
import sys
import threading
import time

import psycopg
from backup import call
from scenario import Server, exact, generation, main, one, right, run, wait_until

BASIC = """
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1, 2000) i;
CREATE TABLE p (id int, day int, v text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE p0 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (10) TO (20);
INSERT INTO p SELECT i, i % 20, 'part' FROM generate_series(1, 2000) i;
"""
WRITES = ["INSERT INTO {s}t VALUES ({n}, 'new') ON CONFLICT (id) DO UPDATE SET v = 'again'", "UPDATE {s}t SET v = v || '.' WHERE id % 97 = {k}",
          "DELETE FROM {s}t WHERE id % 89 = {k}", "INSERT INTO {s}p VALUES ({n}, {d}, 'new') ON CONFLICT DO NOTHING",
          "UPDATE {s}p SET day = (day + 7) % 20 WHERE id % 53 = {k}", "DELETE FROM {s}p WHERE id % 61 = {k}"]


class Writer(threading.Thread):
    """Changes t and p of a database, with a schema's name before them, until stop(). A lost connection ends it if that is expected."""

    def __init__(self, server, dbname="postgres", schema="", may_end=False):
        super().__init__()
        self.c = server.connect(dbname=dbname, autocommit=True)
        self.schema, self.may_end, self.rnd = schema, may_end, random.Random(dbname)
        self.stopping, self.error, self.count = threading.Event(), None, 0
        self.start()

    def run(self):
        try:
            while not self.stopping.is_set():
                r = self.rnd
                statement = r.choice(WRITES).format(s=self.schema, n=r.randint(1, 10**5), k=r.randint(0, 88), d=r.randint(0, 19))
                try:
                    self.c.execute(statement)
                except (psycopg.errors.DeadlockDetected, psycopg.errors.UniqueViolation):
                    pass
                self.count += 1
        except psycopg.OperationalError as error:
            self.error = None if self.may_end else error
        except Exception as error:  # noqa: BLE001  stop() reports it
            self.error = error

    def stop(self):
        self.stopping.set()
        self.join()
        self.c.close()
        if self.error:
            raise self.error
        assert self.count > 0


def make_mirrors(server, dbname="postgres"):
    run(server, BASIC, "CALL mooncake.create_table('mt', 't', flush_interval => '0.3 s')", "CALL mooncake.create_table('mp', 'p', flush_interval => '0.3 s')", dbname=dbname)


def all_exact(server, context, dbname="postgres"):
    exact(server, "t", "mt", dbname=dbname, context=context)
    exact(server, "p", "mp", dbname=dbname, context=context)


def folder(server, name):
    """A new folder of the server's user beside its data directory."""
    path = os.path.join(server.dir, name)
    os.mkdir(path)
    info = os.stat(os.path.join(server.dir, "data"))
    os.chown(path, info.st_uid, info.st_gid)
    return path


def rewrites_under_writes():
    """Tables and partitions move to another tablespace and back, are clustered and vacuumed: rows stay what they are, no copy."""
    with Server() as server:
        make_mirrors(server)
        run(server, "CREATE TABLESPACE elsewhere LOCATION '%s'" % folder(server, "elsewhere"))
        writer = Writer(server)
        try:
            for statement in ("ALTER TABLE t SET TABLESPACE elsewhere", "ALTER TABLE p0 SET TABLESPACE elsewhere", "ALTER INDEX t_pkey SET TABLESPACE elsewhere",
                              "ALTER TABLE p SET TABLESPACE elsewhere", "CLUSTER t USING t_pkey", "VACUUM FULL t", "VACUUM FULL p1", "CLUSTER p0 USING p0_pkey", "CLUSTER",
                              "VACUUM (FULL, FREEZE, ANALYZE) t", "REINDEX TABLE t", "ALTER TABLE ALL IN TABLESPACE elsewhere SET TABLESPACE pg_default",
                              "VACUUM FULL"):
                run(server, "SET deadlock_timeout = '100ms'", statement)
                right(server, "t", "mt", context=statement)
                all_exact(server, statement)
        finally:
            writer.stop()
        all_exact(server, "at the end")
        assert generation(server, "mt") == 1 and generation(server, "mp") == 1


def owners():
    """REASSIGN OWNED and DROP OWNED, by the owner of source and mirror, of one of them, and of nothing but rights."""
    with Server() as server:
        run(server, "CREATE ROLE a LOGIN", "CREATE ROLE b LOGIN", "CREATE ROLE reader LOGIN", "CREATE SCHEMA s", "GRANT ALL ON SCHEMA s TO a, b", "GRANT USAGE ON SCHEMA s TO reader",
            "CREATE TABLE s.t (id int PRIMARY KEY, v text)", "INSERT INTO s.t VALUES (1, 'one'), (2, 'two')", "ALTER TABLE s.t OWNER TO a", "GRANT SELECT ON s.t TO reader",
            "SET ROLE a", "CALL mooncake.create_table('s.m', 's.t')", "RESET ROLE")
        owner = "SELECT string_agg(c.relname || ' ' || r.rolname, ', ' ORDER BY c.relname) FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE relnamespace = 's'::regnamespace AND relkind = 'r'"
        assert one(server, owner) == "m a, t a"
        run(server, "REASSIGN OWNED BY a TO b", "INSERT INTO s.t VALUES (3, 'three')")
        assert one(server, owner) == "m b, t b"
        exact(server, "s.t", "s.m")
        with server.connect(user="reader", autocommit=True) as c:
            assert c.execute("SELECT count(*) FROM s.m").fetchone() == (3,)
        run(server, "DROP OWNED BY reader")
        with server.connect(user="reader", autocommit=True) as c:
            for relation in "s.t", "s.m":
                try:
                    c.execute("SELECT count(*) FROM " + relation)
                    raise AssertionError("%s may still be read" % relation)
                except psycopg.errors.InsufficientPrivilege:
                    pass
        run(server, "DROP OWNED BY a", "UPDATE s.t SET v = 'changed'")
        exact(server, "s.t", "s.m")
        # A mirror that belongs to another role than its source goes with the source, not by itself.
        run(server, "ALTER TABLE s.m OWNER TO a", "INSERT INTO s.t VALUES (4, 'four')")
        exact(server, "s.t", "s.m")
        assert generation(server, "s.m") == 1
        with server.connect(autocommit=True) as c:
            c.execute("BEGIN")
            c.execute("DROP OWNED BY b CASCADE")
            assert c.execute("SELECT to_regclass('s.t'), to_regclass('s.m'), (SELECT count(*) FROM mooncake.mirrors)").fetchone() == (None, None, 0)
            c.execute("ROLLBACK")
        exact(server, "s.t", "s.m")
        run(server, "DROP OWNED BY a CASCADE", "INSERT INTO s.t VALUES (5, 'five')")
        assert one(server, "SELECT to_regclass('s.m') IS NULL AND count(*) = 5 FROM s.t")
        run(server, "CALL mooncake.create_table('s.m', 's.t')", "DROP OWNED BY b CASCADE")
        assert one(server, "SELECT to_regclass('s.m') IS NULL AND NOT EXISTS (SELECT FROM mooncake.mirrors)")
        wait_until(lambda: one(server, "SELECT count(*) FROM mooncake.dropped") == 0, "the end of the files")
        run(server, "DROP ROLE a", "DROP ROLE b", "DROP ROLE reader")


def moved_data_directory():
    """Stop, move the folder, start: the files are copied anew at the new place, and moving back is no different."""
    with Server() as server:
        make_mirrors(server)
        home = server.dir
        for place in (home + ".moved", home):
            run(server, "UPDATE t SET v = v || '!' WHERE id % 10 = 0", "DELETE FROM p WHERE id % 100 = 0")
            server.stop()
            old, server.dir = server.dir, place
            os.rename(old, place)
            settings = os.path.join(place, "data/postgresql.conf")
            with open(settings) as file:
                text = file.read()
            with open(settings, "w") as file:
                file.write(text.replace("'%s/" % old, "'%s/" % place).replace("'%s'" % old, "'%s'" % place))  # sockets, extensions
            server.start()
            right(server, "t", "mt", context=place)
            run(server, "INSERT INTO t VALUES (%d, 'after')" % (10**6 + len(place)))
            all_exact(server, place)
            assert one(server, "SELECT bool_and(starts_with(location, current_setting('data_directory') || '/')) FROM mooncake.mirrors")


def many_databases():
    """Five databases under writes; one is dropped, one renamed, one moved to another tablespace, the engine of one is killed."""
    with Server(conf="max_worker_processes = 40\nmax_replication_slots = 20\nmax_connections = 60\nduckdb.max_memory = '256MB'\nduckdb.threads = 1") as server:
        names = ["db%d" % i for i in range(5)]
        run(server, "CREATE TABLESPACE elsewhere LOCATION '%s'" % folder(server, "elsewhere"))
        for name in names:
            run(server, "CREATE DATABASE " + name)
            run(server, "SET client_min_messages = warning", "CREATE EXTENSION pg_mooncake CASCADE", dbname=name)
            make_mirrors(server, name)
        writers = {name: Writer(server, name, may_end=name == "db0") for name in names}
        for name in names:
            all_exact(server, "under writes", name)
        run(server, "DROP DATABASE db0 WITH (FORCE)")
        writers.pop("db0").stop()
        for name in names[1:]:
            all_exact(server, "after DROP DATABASE", name)
        for name, statement in (("db1", "ALTER DATABASE db1 RENAME TO renamed"), ("db2", "ALTER DATABASE db2 SET TABLESPACE elsewhere")):
            writers.pop(name).stop()
            wait_until(lambda: not one(server, "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'", (name,)), "an idle database")  # noqa: B023
            run(server, statement)
        names = ["renamed", "db2", "db3", "db4"]
        server.kill("ivy_engine --database=%d " % one(server, "SELECT oid FROM pg_database WHERE datname = 'db3'"))
        run(server, "DELETE FROM t WHERE id % 3 = 0", "UPDATE p SET v = 'moved'", dbname="renamed")
        run(server, "DELETE FROM t WHERE id % 3 = 0", "UPDATE p SET v = 'moved'", dbname="db2")
        for name in names:
            right(server, "t", "mt", dbname=name)
            all_exact(server, "at the end", name)
        for writer in writers.values():
            writer.stop()
        for name in names:
            all_exact(server, "without writes", name)
        wait_until(lambda: one(server, "SELECT count(*) FROM pg_replication_slots") == 5, "a slot for each of them and for postgres", 20)


def many_mirrors():
    """Three hundred mirrors in one database, ten of them of one source, under writes and across a crash."""
    with Server(conf="max_locks_per_transaction = 512") as server:
        with server.connect(autocommit=True) as c:
            for i in range(300):
                c.execute("CREATE TABLE s%d (id int PRIMARY KEY, v text)" % i)
                c.execute("INSERT INTO s%d SELECT i, 's%d' FROM generate_series(1, 20) i" % (i, i))
            c.execute("BEGIN")
            for i in range(300):
                c.execute("CALL mooncake.create_table('m%d', 's%d')" % (i, i if i > 10 else 0))
            c.execute("COMMIT")
        live = "SELECT count(*) FROM mooncake.mirror_status WHERE state = 'live' AND engine_state = 'live'"
        wait_until(lambda: one(server, live) == 300, "300 live mirrors", 240)
        equal = " UNION ALL ".join("(SELECT %d WHERE (SELECT count(*) || ' ' || sum(hashtext(x::text)) FROM s%d x) IS DISTINCT FROM "
                                   "(SELECT count(*) || ' ' || sum(hashtext(x::text)) FROM m%d x))" % (i, i if i > 10 else 0, i) for i in range(0, 300, 7))

        def compare_some(context):
            with server.connect(autocommit=True) as c:
                c.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
                different = c.execute(equal).fetchall()
                assert not different, "%s: different: %s" % (context, different)
        with server.connect(autocommit=True) as c:
            for round_number in range(3):
                for i in range(0, 300):
                    c.execute("INSERT INTO s%d VALUES (%d, 'r')" % (i, 100 + round_number))
                c.execute("UPDATE s0 SET v = v || '.'")
                compare_some("round %d" % round_number)
        server.stop("immediate")
        server.start()
        compare_some("at once after a crash")
        wait_until(lambda: one(server, live) == 300, "300 live mirrors again", 120)
        compare_some("after a crash")
        for i in (0, 3, 10, 11, 150, 299):
            exact(server, "s%d" % (i if i > 10 else 0), "m%d" % i)
        assert one(server, "SELECT max(generation) FROM mooncake.mirrors") == 1


def dumped_options():
    """pg_dump and restore keep what create_table was told, and the mirrors are exact again by themselves."""
    with Server() as server:
        run(server, BASIC, "CREATE TABLE keyless (a int, n numeric)", "ALTER TABLE keyless REPLICA IDENTITY FULL", "INSERT INTO keyless VALUES (1, 1.50), (1, 1.50), (NULL, 'NaN')",
            "CREATE TABLE log (a int)", "INSERT INTO log VALUES (1)",
            "CALL mooncake.create_table('mt', 't', flush_interval => '3 s', flush_rows => 77, flush_size => '5 MB', columns => '{id}')", "CALL mooncake.create_table('mp', 'p')",
            "CREATE TABLE amounts (id int PRIMARY KEY, n numeric, o numeric)", "INSERT INTO amounts VALUES (1, 1.50, 'NaN'), (2, -2, 1e50), (3, 0.125, 7.0)",
            "CALL mooncake.create_table('ma', 'amounts', numeric_scale => '{\"n\": 3}')",
            "CALL mooncake.create_table('mk', 'keyless', identity => 'full')", "CALL mooncake.create_table('ml', 'log', identity => 'append_only')")
        options = "SELECT string_agg(o::text, E'\\n' ORDER BY table_name) FROM mooncake.mirror_options o"
        before = one(server, options)
        dump = os.path.join(folder(server, "dump"), "dump")
        call(server, "pg_dump", "-Fc", "-f", dump, "postgres")
        run(server, "CREATE DATABASE restored")
        call(server, "pg_restore", "-d", "restored", dump)
        assert one(server, options, dbname="restored") == before, one(server, options, dbname="restored")
        for source, mirror in (("p", "mp"), ("keyless", "mk"), ("log", "ml"), ("amounts", "ma")):
            right(server, source, mirror, dbname="restored")
            exact(server, source, mirror, dbname="restored")
        metadata = one(server, "SELECT metadata_location FROM mooncake.columnstore_tables WHERE table_name = 'ma'", dbname="restored")
        fields = {f["name"]: f["type"] for f in json.load(open(metadata))["schemas"][-1]["fields"]}
        assert fields == {"id": "int", "n": "decimal(38,3)", "o": "string", "n$scale": "int"}, fields
        assert one(server, "SELECT (SELECT count(*) FROM mt) = (SELECT count(*) FROM t)", dbname="restored")


if __name__ == "__main__":
    sys.exit(main([rewrites_under_writes, owners, moved_data_directory, many_databases, many_mirrors, dumped_options]))
