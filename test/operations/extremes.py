# SPDX-License-Identifier: Apache-2.0
"""The large and the rare: values of many megabytes, as many columns as a table can have, too few slots and processes,
transactions of thousands of levels. make check runs some, and small values; by hand all of them, with values up to 1 GB.

    extremes.py [scenario ...]
"""

import re
import signal
import sys
import threading
import time

import psycopg
from scenario import Server, compare, exact, generation, main, one, right, run, slot, slot_name, wait_live, wait_until

MB = 1 << 20
BASIC = """
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1, 1000) i;
"""


class Memory(threading.Thread):
    """The most memory that can't be written back to files, in MB, of processes by what their command lines match."""

    def __init__(self, server, *patterns):
        super().__init__()
        self.server, self.most, self.stopping = server, dict.fromkeys(patterns, 0), threading.Event()
        self.start()

    def run(self):
        while not self.stopping.wait(0.1):
            for pid, args in self.server.descendants():
                for pattern in self.most:
                    if not re.search(pattern, args):
                        continue
                    try:
                        with open("/proc/%d/status" % pid) as file:
                            anonymous = re.search(r"RssAnon:\s+(\d+) kB", file.read())
                    except (FileNotFoundError, ProcessLookupError):
                        continue
                    if anonymous:
                        self.most[pattern] = max(self.most[pattern], int(anonymous.group(1)) // 1024)

    def stop(self):
        self.stopping.set()
        self.join()
        return self.most


# --- values ----------------------------------------------------------------------------------------------------------

VALUES = "SELECT id, length(v), md5(v), length(b), md5(b), n FROM %s ORDER BY id"


def same_values(server, context):
    """Row by row: a row's text would be larger than a value can be."""
    def attempt():
        with server.connect(autocommit=True) as c:
            wait_live(c, "m", 300)
            c.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            want = c.execute(VALUES % "b").fetchall()
            c.execute("SET LOCAL mooncake.fallback = off")
            got = c.execute(VALUES % "m").fetchall()
            c.execute("ROLLBACK")
            assert got == want, "%s: %s, not %s" % (context, got, want)
            return True
    wait_until(attempt, "a live mirror, " + context, 300)


def values_of(size):
    """Text and bytea of "size" bytes: copied, inserted, updated, left alone by updates, moved, deleted, and read again after a kill."""
    budget = 1024 + 6 * size // MB
    with Server(conf="max_wal_size = 8GB\nmooncake.max_retained_wal = '50GB'\nmooncake.flush_interval = '1h'\nduckdb.max_memory = '%dMB'" % budget) as server:
        text, binary = "repeat('%%s', %d)" % size, "decode(repeat('%%s', %d), 'escape')" % size
        run(server, "CREATE TABLE b (id int PRIMARY KEY, v text, b bytea, n int)", "ALTER TABLE b ALTER v SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL",
            "CREATE TABLE other (id int PRIMARY KEY, v text)", "CALL mooncake.create_table('mo', 'other')",
            "INSERT INTO b SELECT i, 'r' || i, 'x', i FROM generate_series(1, 10) i",
            "INSERT INTO b VALUES (100, %s, NULL, 1)" % (text % "a"), "INSERT INTO b VALUES (101, NULL, %s, 1)" % (binary % "b"))
        memory = Memory(server, "pg_mooncake copy", "pg_mooncake capture", "ivy_engine")
        run(server, "CALL mooncake.create_table('m', 'b')")
        same_values(server, "copied")
        run(server, "BEGIN; INSERT INTO b SELECT i, 'r' || i, 'x', i FROM generate_series(11, 20) i; INSERT INTO b VALUES (102, %s, 'y', 1); "
            "INSERT INTO b SELECT i, 'r' || i, 'x', i FROM generate_series(21, 30) i; INSERT INTO other VALUES (1, 'beside'); COMMIT" % (text % "c"))
        same_values(server, "inserted")
        run(server, "UPDATE b SET n = n + 1 WHERE id >= 100")
        same_values(server, "left alone, in files and in memory")
        run(server, "CALL mooncake.create_snapshot('m')", "UPDATE b SET n = n + 1 WHERE id >= 100", "UPDATE b SET id = id + 100 WHERE id = 101",
            "UPDATE b SET v = %s WHERE id = 102" % (text % "d"), "DELETE FROM b WHERE id = 100")
        same_values(server, "published and changed")
        server.kill("ivy_engine")
        same_values(server, "read again")
        exact(server, "other", "mo")
        assert generation(server, "m") == 1 and generation(server, "mo") == 1
        for pattern, most in memory.stop().items():
            # Decoding alone takes twice the value: its pieces, and it. What the engine may have for queries is beside its stream.
            limit = 300 + 6 * size // MB + (budget if pattern == "ivy_engine" else 0)
            assert most < limit, "%s took %d MB" % (pattern, most)
            print("    %s: %d MB" % (pattern, most))


def values_of_64_mb():
    values_of(64 * MB)


def values_of_255_mb():
    values_of(255 * MB)


def values_of_512_mb():
    values_of(512 * MB)


def values_just_below_1_gb():
    values_of(1024 * MB - 200)


# --- columns ---------------------------------------------------------------------------------------------------------

TYPES = ["text", "int", "numeric(10,2)", "date", "numeric", "jsonb", "bool", "float8"]
SAMPLES = ["'é' || {i}", "{i}", "{i} / 4.0", "date '2024-01-01' + {i}", "{i} / 3.0", "'{{\"a\": {i}}}'", "{i} % 2 = 0", "{i} / 7.0"]


def create_wide(name, columns, key):
    """A table of so many columns; a row of all these types has to fit into a page, so most columns of a row are NULL."""
    made = ["%s int%s" % ("id", " PRIMARY KEY" if key else "")] + ["c%d %s" % (i, TYPES[i % len(TYPES)]) for i in range(1, columns)]
    return "CREATE TABLE %s (%s)" % (name, ", ".join(made))


def insert_wide(name, columns, row):
    """One value in ten."""
    chosen = [i for i in range(1, columns) if i % 10 == row % 10]
    return "INSERT INTO %s (id, %s) VALUES (%d, %s)" % (name, ", ".join("c%d" % i for i in chosen), row,
                                                       ", ".join(SAMPLES[i % len(TYPES)].format(i=i + row) for i in chosen))


def many_columns():
    """1600 columns, with a key and with whole rows for identity: copy, changes, and columns that come and go at the limit."""
    with Server(conf="mooncake.flush_interval = '1h'") as server:
        for name, key in (("wide", True), ("whole", False)):
            run(server, create_wide(name, 1600, key), *([] if key else ["ALTER TABLE whole REPLICA IDENTITY FULL"]),
                *[insert_wide(name, 1600, row) for row in range(1, 21)],
                "CALL mooncake.create_table('m%s', '%s'%s)" % (name, name, "" if key else ", identity => 'full'"))
            exact(server, name, "m" + name, context="copied")
            run(server, *[insert_wide(name, 1600, row) for row in range(21, 41)], "UPDATE %s SET c1 = 7, c1599 = -1, c800 = 'new' WHERE id %% 3 = 0" % name,
                "DELETE FROM %s WHERE id %% 5 = 0" % name, "UPDATE %s SET id = id + 1000 WHERE id %% 7 = 0" % name)
            exact(server, name, "m" + name, context="changed")
            run(server, "CALL mooncake.create_snapshot('m%s')" % name, "UPDATE %s SET c8 = 'again' WHERE id %% 4 = 0" % name)
            exact(server, name, "m" + name, context="published and changed")
            # The limit counts columns that were dropped.
            run(server, "ALTER TABLE %s DROP COLUMN c5, DROP COLUMN c1599" % name, insert_wide(name, 5, 2001))
            exact(server, name, "m" + name, context="columns dropped")
            try:
                run(server, "ALTER TABLE %s ADD COLUMN one_more int" % name)
                raise AssertionError("a table has 1601 columns")
            except psycopg.errors.TooManyColumns:
                pass
            exact(server, name, "m" + name, context="not added")
            # Whole rows have lost a part of their identity.
            assert generation(server, "m" + name) == (1 if key else 2)
        # Up to the limit, column by column and many at once, with rolled back attempts between.
        run(server, create_wide("growing", 1500, True), insert_wide("growing", 1500, 1), "CALL mooncake.create_table('mgrowing', 'growing')")
        with server.connect(autocommit=True) as c:
            for i in range(1500, 1520):
                c.execute("ALTER TABLE growing ADD COLUMN c%d %s" % (i, TYPES[i % len(TYPES)]))
                c.execute(insert_wide("growing", i + 1, i))
            c.execute("BEGIN")
            c.execute("ALTER TABLE growing " + ", ".join("ADD COLUMN x%d int" % i for i in range(80)))
            c.execute("INSERT INTO growing (id, x79) VALUES (-1, 1)")
            c.execute("ROLLBACK")
            c.execute("ALTER TABLE growing " + ", ".join("ADD COLUMN c%d %s" % (i, TYPES[i % len(TYPES)]) for i in range(1520, 1600)))
            c.execute(insert_wide("growing", 1600, 5000))
        exact(server, "growing", "mgrowing", context="grown")
        with server.connect(autocommit=True) as c:
            c.execute("SET mooncake.fallback = off")
            sums = ", ".join("count(c%d)" % i for i in range(1, 1600))
            assert c.execute("SELECT %s FROM mgrowing" % sums).fetchone() == c.execute("SELECT %s FROM growing" % sums).fetchone()
        server.kill("ivy_engine")
        for name in "wide", "whole", "growing":
            exact(server, name, "m" + name, context="read again")


# --- too little of something -----------------------------------------------------------------------------------------

def restart(server):
    server.stop()
    server.start()


def refused(server, wanted, *statements, dbname="postgres"):
    try:
        run(server, *statements, dbname=dbname)
        raise AssertionError("%s was not refused" % statements[-1])
    except psycopg.errors.ConfigurationLimitExceeded as error:
        assert wanted in str(error), error


def too_few_processes():
    """max_worker_processes leaves none for capture, then one for it but none for copies; then enough."""
    with Server(conf="max_worker_processes = 3") as server:
        run(server, BASIC)
        refused(server, "max_worker_processes", "CALL mooncake.create_table('m', 't')")
        assert one(server, "SELECT to_regclass('m') IS NULL AND NOT EXISTS (SELECT FROM mooncake.mirrors)")
        run(server, "ALTER SYSTEM SET max_worker_processes = 4")
        restart(server)
        warnings = []
        with server.connect(autocommit=True) as c:
            c.add_notice_handler(lambda notice: warnings.append(notice.message_primary))
            caller = threading.Thread(target=lambda: wait_refused(c), daemon=True)
            caller.start()
            wait_until(lambda: any("max_worker_processes" in text for text in warnings), "a warning", 20)
            right(server, "t", "m")
            c.cancel()
            caller.join()
        assert one(server, "SELECT to_regclass('m') IS NULL AND NOT EXISTS (SELECT FROM mooncake.mirrors)")
        run(server, "CALL mooncake.create_table('m', 't', wait => false)")
        wait_until(lambda: "max_worker_processes" in (one(server, "SELECT last_error FROM mooncake.copy_progress") or ""), "a reason", 20)
        run(server, "INSERT INTO t VALUES (-1, 'meanwhile')")
        right(server, "t", "m")
        run(server, "ALTER SYSTEM RESET max_worker_processes")
        server.stop()
        with open(server.dir + "/data/postgresql.conf", "a") as conf:
            conf.write("\nmax_worker_processes = 16\n")
        server.start()
        exact(server, "t", "m")
        assert one(server, "SELECT error IS NULL AND state = 'live' FROM mooncake.mirror_status")


def wait_refused(connection):
    try:
        connection.execute("CALL mooncake.create_table('m', 't')")
    except psycopg.errors.QueryCanceled:
        return
    raise AssertionError("create_table was not cancelled")


def too_few_slots():
    """No slot is free for a database, at first or after its own was lost: mirrors come as soon as there is one."""
    with Server(conf="max_replication_slots = 2\nmax_wal_senders = 0") as server:
        run(server, BASIC, "CALL mooncake.create_table('m', 't')", "CREATE DATABASE d", "SELECT pg_create_physical_replication_slot('taken')")
        run(server, "SET client_min_messages = warning", "CREATE EXTENSION pg_mooncake CASCADE", BASIC, dbname="d")
        refused(server, "max_replication_slots", "CALL mooncake.create_table('m', 't')", dbname="d")
        run(server, "SELECT pg_drop_replication_slot('taken')")
        run(server, "CALL mooncake.create_table('m', 't')", dbname="d")
        exact(server, "t", "m", dbname="d")
        # The first database's slot is lost, and another has taken its place.
        name = slot_name(server)
        run(server, "ALTER SYSTEM SET pg_mooncake.enable_bgworker = off")
        restart(server)
        run(server, "SELECT pg_drop_replication_slot('%s')" % name, "SELECT pg_create_physical_replication_slot('taken')", "INSERT INTO t VALUES (-1, 'unseen')",
            "ALTER SYSTEM RESET pg_mooncake.enable_bgworker")
        restart(server)
        exact(server, "t", "m", dbname="d")
        run(server, "INSERT INTO t VALUES (-2, 'unseen too')")
        right(server, "t", "m")
        run(server, "SELECT pg_drop_replication_slot('taken')")
        exact(server, "t", "m", seconds=120)
        assert generation(server, "m") == 2
        assert slot(server) is not None


def idle_slot_is_invalidated():
    """idle_replication_slot_timeout takes a slot away that nobody reads, as while the workers are off: a new copy follows."""
    with Server(conf="idle_replication_slot_timeout = '1s'") as server:
        run(server, BASIC, "CALL mooncake.create_table('m', 't')")
        time.sleep(2)
        run(server, "CHECKPOINT", "INSERT INTO t VALUES (-1, 'one')")
        exact(server, "t", "m")
        assert generation(server, "m") == 1, "a slot that is in use was taken away"
        run(server, "ALTER SYSTEM SET pg_mooncake.enable_bgworker = off")
        restart(server)
        invalid = "SELECT invalidation_reason FROM pg_replication_slots WHERE slot_name = '%s'" % slot_name(server)

        def invalidated():
            run(server, "SELECT pg_logical_emit_message(false, 'x', 'y', true)", "CHECKPOINT")
            return one(server, invalid) == "idle_timeout" or slot(server) is None
        wait_until(invalidated, "the invalidation", 30)
        run(server, "INSERT INTO t VALUES (-2, 'unseen')")
        right(server, "t", "m")
        run(server, "ALTER SYSTEM RESET pg_mooncake.enable_bgworker")
        restart(server)
        right(server, "t", "m")
        exact(server, "t", "m")
        assert generation(server, "m") == 2


# --- transactions ----------------------------------------------------------------------------------------------------

def levels_of(depth, rows):
    """Savepoints nested "depth" deep, a row in each, half of them rolled back from within; then "rows" rows with savepoints."""
    with Server(conf="logical_decoding_work_mem = 64kB\nmax_stack_depth = 7MB\nmooncake.max_retained_wal = '50GB'\nmax_wal_size = 4GB") as server:
        run(server, BASIC, "CALL mooncake.create_table('m', 't')")
        with server.connect(autocommit=True) as c:
            c.execute("BEGIN")
            for level in range(depth):
                c.execute("SAVEPOINT s%d; INSERT INTO t VALUES (%d, 'level')" % (level, 10000 + level))
            c.execute("ROLLBACK TO s%d" % (depth // 2))
            c.execute("INSERT INTO t VALUES (-1, 'after')")
            c.execute("COMMIT")
        exact(server, "t", "m", context="nested")
        assert one(server, "SELECT count(*) FROM m WHERE v = 'level'") == depth // 2
        with server.connect(autocommit=True) as c:
            c.execute("BEGIN")
            step = rows // 10
            for part in range(10):
                c.execute("SAVEPOINT s")
                c.execute("INSERT INTO t SELECT i, 'streamed' FROM generate_series(%d, %d) i" % (10**6 + part * step, 10**6 + (part + 1) * step - 1))
                if part % 2:
                    c.execute("UPDATE t SET v = 'never' WHERE id < 1000")
                    c.execute("ROLLBACK TO s")
                if part == 6:
                    server.kill("ivy_engine")
            c.execute("COMMIT")
        exact(server, "t", "m", context="streamed", seconds=300)
        assert one(server, "SELECT count(*) FROM m WHERE v = 'streamed'") == step * 5
        assert generation(server, "m") == 1


def deep_transactions():
    levels_of(2000, 200000)


def deepest_transactions():
    levels_of(10000, 5000000)


if __name__ == "__main__":
    sys.exit(main([values_of_64_mb, values_of_255_mb, values_of_512_mb, values_just_below_1_gb, many_columns, too_few_processes, too_few_slots,
                   idle_slot_is_invalidated, deep_transactions, deepest_transactions]))
