# SPDX-License-Identifier: Apache-2.0
"""Copies that take long: they hold back no WAL, whatever is written meanwhile, lose nothing when a process dies, and can be
stopped.

    copies.py [scenario ...]
"""

import random
import sys
import threading
import time

import psycopg
from scenario import (Server, exact, generation, logged, main, one, right, run, slot, wait_until, write_wal)

MB = 1 << 20
ROWS = 60000
BASIC = """
CREATE TABLE t (id int PRIMARY KEY, n int, v text);
INSERT INTO t SELECT i, 0, repeat('x', 300) FROM generate_series(1, %d) i;
CREATE TABLE idle (id int PRIMARY KEY);
""" % ROWS
STATE = "SELECT state, error, failures, retry_at FROM mooncake.mirror_status WHERE table_name = 'm'"


def slow_server(conf="", sleep_ms=300, faults=""):
    """A copy of t takes about 15 times the sleep."""
    server = Server(conf=conf + "\nmax_wal_size = 4GB\nmooncake.copy_workers = 0\n")
    server.env["IVY_FAULT"] = "copy-chunk:sleep-%d%s" % (sleep_ms, "," + faults if faults else "")
    return server


def is_copying(server):
    return one(server, "SELECT count(*) FROM mooncake.copy_progress WHERE phase = 'copying'") == 1


def start_copy(server):
    run(server, "CALL mooncake.create_table('m', 't', wait => false)")
    wait_until(lambda: is_copying(server), "a copy")


def others_go_on():
    """While one table is copied slowly, other mirrors go on answering by themselves, and others are made; old rows can be
    vacuumed away as soon as the copy has ended."""
    with slow_server() as server:
        run(server, BASIC, "CREATE TABLE busy (id int PRIMARY KEY, n int)", "INSERT INTO busy SELECT i, 0 FROM generate_series(1, 1000) i",
            "CREATE TABLE small (id int PRIMARY KEY)", "INSERT INTO small VALUES (1)", "CALL mooncake.create_table('o', 'busy')")
        start_copy(server)
        rounds = 0
        with server.connect(autocommit=True) as c:
            c.execute("SET mooncake.fallback = off")
            while is_copying(server):
                c.execute("UPDATE busy SET n = n + 1 WHERE id % 10 = 0")
                rounds += 1
                assert c.execute("SELECT sum(n), (SELECT sum(n) FROM busy) FROM o").fetchone() == (100 * rounds,) * 2
                if rounds == 5:
                    c.execute("CALL mooncake.create_table('s', 'small')")
                    assert is_copying(server) and c.execute("SELECT count(*) FROM s").fetchone() == (1,)
        assert rounds > 20, "%d rounds during the copy" % rounds
        exact(server, "t", "m")
        wait_until(lambda: one(server, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_mooncake copy'") == 0, "the end of the copy's worker")
        assert one(server, "SELECT xmin IS NULL FROM pg_replication_slots")
        run(server, "DELETE FROM busy WHERE id <= 500")

        def vacuumed():
            notices = []
            with server.connect(autocommit=True) as c:
                c.add_notice_handler(lambda notice: notices.append(notice.message_primary))
                c.execute("VACUUM (VERBOSE) busy")
            return any("500 remain, 0 are dead but not yet removable" in notice for notice in notices)
        wait_until(vacuumed, "old rows that can be removed")
        exact(server, "busy", "o")
        assert generation(server, "o") == 1 and generation(server, "m") == 1


def slower_than_the_limit():
    """Far more WAL than mooncake.max_retained_wal while one table is copied, changes of that table among it."""
    with slow_server("mooncake.max_retained_wal = '100MB'") as server:
        run(server, BASIC, "CALL mooncake.create_table('o', 'idle')")
        start_copy(server)
        most = rounds = 0
        with server.connect(autocommit=True) as c:
            while is_copying(server):
                c.execute("UPDATE t SET n = n + 1 WHERE id %% 100 = %s", (rounds,))
                c.execute("DELETE FROM t WHERE id = %s", (rounds * 7 + 1,))
                c.execute("INSERT INTO t VALUES (%s, -1, 'new')", (ROWS + rounds + 1,))
                write_wal(c, 20)
                time.sleep(0.1)
                most, rounds = max(most, slot(server)[1]), rounds + 1
                # A machine that is busy otherwise decodes less than is written here. A slot that stands still would stay here.
                wait_until(lambda: slot(server)[1] < 60 * MB or not is_copying(server), "the slot to advance")
        assert rounds * 20 > 150, "only %d MB were written during the copy" % (rounds * 20)
        assert most < 100 * MB, "the slot held back %d MB" % (most / MB)
        exact(server, "t", "m")
        assert generation(server, "m") == 1 and generation(server, "o") == 1
        # What was not sent again is in the files: they alone have to do now.
        server.kill("ivy_engine")
        exact(server, "t", "m")
        assert generation(server, "m") == 1


def killed_at_the_end():
    """Processes die around the moment when a copy becomes live, after the slot has passed changes that came during it."""
    rnd = random.Random(11)
    with slow_server(sleep_ms=60, faults="copy-catch-up:sleep-50,capture-before-publish:sleep-50,capture-after-publish:sleep-50") as server:
        run(server, BASIC)
        for attempt in range(8):
            before = slot(server)[0] if attempt else "0/0"
            start_copy(server)
            with server.connect(autocommit=True) as c:
                number = 0
                while is_copying(server):
                    number += 1
                    c.execute("UPDATE t SET n = n + 1 WHERE id %% 50 = %s", (number % 50,))
                    c.execute("INSERT INTO t VALUES (%s, %s, 'late') ON CONFLICT (id) DO NOTHING", (10**6 * (attempt + 1) + number, number))
                    write_wal(c, 17)
                assert one(server, "SELECT confirmed_flush_lsn > %s FROM pg_replication_slots", (before,))
                time.sleep(rnd.random() * 0.4)
                c.execute("UPDATE t SET n = n + 1 WHERE id % 1000 = 1")
                server.kill("ivy_engine" if attempt % 2 else "(ivy_engine|pg_mooncake capture)", 9 if attempt % 2 else 15)
            exact(server, "t", "m", context="attempt %d" % attempt)
            run(server, "DROP TABLE m")


def truncated_and_altered_while_copied():
    """TRUNCATE waits for a copy's lock, DDL as well; what they do then is followed."""
    with slow_server() as server:
        run(server, BASIC)
        for statement in ("TRUNCATE t", "ALTER TABLE t ADD COLUMN late int DEFAULT 5", "ALTER TABLE t ALTER n TYPE bigint", "ALTER TABLE t ADD COLUMN plain text"):
            start_copy(server)
            run(server, "UPDATE t SET n = n + 1 WHERE id % 3 = 0", statement, "INSERT INTO t (id, n) SELECT i, i FROM generate_series(2000001, 2000100) i",
                "UPDATE t SET n = 0 WHERE id % 2 = 0")
            right(server, "t", "m")
            exact(server, "t", "m", context=statement)
            run(server, "DROP TABLE m", "TRUNCATE t", "INSERT INTO t (id, n, v) SELECT i, 0, repeat('x', 300) FROM generate_series(1, %d) i" % ROWS)


def too_many_changes():
    """Changes that wait for the end of a copy take disk as well: beyond the limit that mirror fails, alone, and is copied again."""
    with slow_server("mooncake.max_retained_wal = '40MB'") as server:
        run(server, BASIC)
        run(server, "CALL mooncake.create_table('o', 'idle')")
        start_copy(server)
        failed = "the changes that wait for the end of its copy exceed"
        with server.connect(autocommit=True) as c:
            number = 0
            while not logged(server, failed):
                number += 1
                assert number < 200
                # Compressed in the WAL, not here.
                c.execute("INSERT INTO t SELECT i, 0, repeat('y', 100000) FROM generate_series(%s::int, %s::int) i", (number * 10**5, number * 10**5 + 30))
                time.sleep(0.02)
        right(server, "t", "m")
        exact(server, "t", "m")
        assert generation(server, "m") > 1 and generation(server, "o") == 1


def cancelled_by_procedure():
    with slow_server() as server:
        run(server, BASIC)
        start_copy(server)
        run(server, "CREATE ROLE somebody LOGIN", "GRANT USAGE ON SCHEMA mooncake TO somebody")
        with server.connect(user="somebody", autocommit=True) as c:
            try:
                c.execute("CALL mooncake.cancel_copy('m')")
                raise AssertionError("anybody may cancel a copy")
            except psycopg.errors.InsufficientPrivilege:
                pass
        run(server, "CALL mooncake.cancel_copy('m')")
        stays_cancelled(server)


def cancelled_by_signal():
    with slow_server() as server:
        run(server, BASIC)
        start_copy(server)
        run(server, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pg_mooncake copy'")
        wait_until(lambda: one(server, STATE)[0] == "error", "the end of the copy")
        stays_cancelled(server)


def stays_cancelled(server):
    """In state error, with the reason and without another attempt, until somebody orders a copy."""
    assert one(server, STATE) == ("error", "its copy was cancelled", 0, None), one(server, STATE)
    wait_until(lambda: one(server, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_mooncake copy'") == 0, "the end of its worker")
    right(server, "t", "m")
    time.sleep(2)
    assert one(server, STATE)[0] == "error" and generation(server, "m") == 1
    with server.connect(autocommit=True) as c:
        try:
            c.execute("CALL mooncake.cancel_copy('m')")
            raise AssertionError("a copy that is none was cancelled")
        except psycopg.errors.ObjectNotInPrerequisiteState:
            pass
    run(server, "CALL mooncake.rebuild_table('m')")
    exact(server, "t", "m")
    assert generation(server, "m") == 2


def cancelled_creation():
    """Somebody cancels the copy that a create_table waits for: it fails, and leaves nothing."""
    with slow_server() as server:
        run(server, BASIC)
        said = []

        def create():
            try:
                run(server, "CALL mooncake.create_table('m', 't')")
            except psycopg.Error as error:
                said.append(str(error))
        thread = threading.Thread(target=create)
        thread.start()
        wait_until(lambda: is_copying(server), "a copy")
        run(server, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pg_mooncake copy'")
        thread.join()
        assert said and "its copy was cancelled" in said[0], said
        assert one(server, "SELECT to_regclass('m') IS NULL AND NOT EXISTS (SELECT FROM mooncake.mirrors)")


def late_copy_worker():
    """A copy worker that outlives engine and capture worker brings rows of a snapshot from before the slot's position."""
    server = Server(conf="mooncake.copy_workers = 0\nmax_wal_size = 4GB\n")
    server.env["IVY_FAULT"] = "copy-connect:sleep-6000"
    with server:
        run(server, "CREATE TABLE t (id int PRIMARY KEY, n int)", "INSERT INTO t SELECT i, 0 FROM generate_series(1, 1000) i", "CREATE TABLE idle (id int PRIMARY KEY)",
            "CALL mooncake.create_table('o', 'idle')", "CALL mooncake.create_table('m', 't', wait => false)")
        wait_until(lambda: one(server, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_mooncake copy'"), "a copy worker")
        time.sleep(1)
        run(server, "UPDATE t SET n = 1 WHERE id <= 3", "DELETE FROM t WHERE id = 1000", "INSERT INTO t VALUES (2000, 2)")
        changed = one(server, "SELECT pg_current_wal_lsn()")
        with server.connect(autocommit=True) as c:
            write_wal(c, 40)
        wait_until(lambda: one(server, "SELECT confirmed_flush_lsn > %s::pg_lsn FROM pg_replication_slots", (changed,)), "a slot that has advanced")
        server.kill("ivy_engine")
        exact(server, "t", "m")
        assert generation(server, "m") == 1


if __name__ == "__main__":
    sys.exit(main([late_copy_worker, others_go_on, slower_than_the_limit, killed_at_the_end, truncated_and_altered_while_copied, too_many_changes,
                   cancelled_by_procedure, cancelled_by_signal, cancelled_creation]))
