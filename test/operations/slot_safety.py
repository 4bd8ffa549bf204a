# SPDX-License-Identifier: Apache-2.0
"""The replication slot: it never holds back much WAL, and whatever happens to it, no mirror ever answers wrongly.

    slot_safety.py [scenario ...]
"""

import re
import signal
import sys
import time

import psycopg
from scenario import (Server, exact, generation, logged, main, one, right, run, slot, slot_name, wait_until, write_wal)

MB = 1 << 20
BASIC = """
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1, 1000) i;
"""


def make_mirror(server):
    run(server, BASIC, "CALL mooncake.create_table('m', 't')")


def turn_off(server):
    """The server without workers: what a careless hand does to the slot then."""
    run(server, "ALTER SYSTEM SET pg_mooncake.enable_bgworker = off")
    server.stop()
    server.start()
    wait_until(lambda: not slot(server) or not slot(server)[2], "an idle slot")


def turn_on(server):
    run(server, "ALTER SYSTEM RESET pg_mooncake.enable_bgworker")
    server.stop()
    server.start()


def is_copied_anew(server):
    """The row table answers at once, and the mirror after one new copy."""
    right(server, "t", "m")
    exact(server, "t", "m")
    assert generation(server, "m") == 2


def idle_mirrors_let_the_wal_go():
    """Mirrors without writes, while other tables and another database write."""
    with Server() as server:
        make_mirror(server)
        run(server, "CREATE DATABASE other", "CREATE TABLE noise (id int, v text)")
        run(server, "CREATE TABLE noise (id int, v text)", dbname="other")
        before, most = slot(server)[0], 0
        for dbname in ["postgres", "other"] * 3:
            with server.connect(dbname=dbname, autocommit=True) as connection:
                connection.execute("INSERT INTO noise SELECT i, repeat('noise', 200) FROM generate_series(1, 10000) i")
                write_wal(connection, 60)
            time.sleep(0.5)  # faster than any decoding can follow is another question
            most = max(most, slot(server)[1])
        assert most < 256 * MB, "the slot held back %d MB" % (most / MB)
        wait_until(lambda: slot(server)[1] < 64 * MB, "a slot that has advanced")
        assert slot(server)[0] != before
        exact(server, "t", "m")
        assert generation(server, "m") == 1


def writes_to_mirrors_are_flushed_in_time():
    """Writes that only fill memory slowly, far below the flush size, but much WAL beside them."""
    with Server(conf="mooncake.flush_interval = '1h'\nmax_wal_size = 4GB") as server:
        make_mirror(server)
        most = 0
        for i in range(10):
            with server.connect(autocommit=True) as connection:
                connection.execute("UPDATE t SET v = v || 'x' WHERE id %% 10 = %s", (i,))
                write_wal(connection, 40)
            time.sleep(0.2)
            most = max(most, slot(server)[1])
        assert most < 256 * MB, "the slot held back %d MB" % (most / MB)
        exact(server, "t", "m")
        assert generation(server, "m") == 1


def flush_settings_reach_the_engine():
    """Changes reach files after mooncake.flush_interval, also when it is changed while the server runs, and by size."""
    with Server(conf="mooncake.flush_interval = '1h'") as server:
        make_mirror(server)
        published = "SELECT flushed_lsn FROM mooncake.mirrors"
        before = one(server, published)
        run(server, "UPDATE t SET v = 'changed' WHERE id < 100")
        time.sleep(1)
        assert one(server, published) == before
        run(server, "ALTER SYSTEM SET mooncake.flush_interval = '100ms'", "SELECT pg_reload_conf()")
        wait_until(lambda: one(server, published) != before, "a flush by age", 20)
        run(server, "ALTER SYSTEM SET mooncake.flush_interval = '1h'", "ALTER SYSTEM SET mooncake.flush_size = '4MB'",
            "SELECT pg_reload_conf()")
        time.sleep(0.5)
        before = one(server, published)
        run(server, "INSERT INTO t SELECT i, repeat('x', 200) FROM generate_series(2000, 60000) i")
        wait_until(lambda: one(server, published) != before, "a flush by size", 20)
        exact(server, "t", "m")


def too_much_wal_gives_the_slot_up():
    """A transaction that goes on and on: past the limit the slot goes, queries use the row table, then a new copy comes."""
    with Server(conf="mooncake.max_retained_wal = '64MB'") as server:
        make_mirror(server)
        with server.connect() as old, server.connect(autocommit=True) as connection:
            old.execute("INSERT INTO t VALUES (-1, 'goes on')")
            write_wal(connection, 100)
            wait_until(lambda: logged(server, "are given up and will be copied anew"), "the slot's end")
            connection.execute("INSERT INTO t VALUES (-2, 'meanwhile')")
            right(server, "t", "m")
            # While a new slot waits for the transaction, it holds back no more than the limit either.
            assert (slot(server) or (0, 0))[1] < 128 * MB
            old.commit()
        exact(server, "t", "m")
        assert generation(server, "m") == 2


def invalidated_slot():
    """max_slot_wal_keep_size takes the WAL away."""
    with Server(conf="max_slot_wal_keep_size = '32MB'\nmin_wal_size = 32MB\nmax_wal_size = 64MB") as server:
        make_mirror(server)
        with server.connect() as old, server.connect(autocommit=True) as connection:
            old.execute("INSERT INTO t VALUES (-1, 'goes on')")
            write_wal(connection, 150)
            connection.execute("CHECKPOINT")
            wait_until(lambda: logged(server, "the replication slot was invalidated"), "the invalidation")
            connection.execute("INSERT INTO t VALUES (-2, 'meanwhile')")
            right(server, "t", "m")
            old.commit()
        exact(server, "t", "m")
        assert generation(server, "m") >= 2


def dropped_slot():
    """Somebody drops the slot as soon as its worker lets it go, and rows come before anybody notices."""
    with Server() as server:
        make_mirror(server)
        name = slot_name(server)
        deadline = time.monotonic() + 30
        with server.connect(autocommit=True) as connection:
            while True:
                server.kill(r"pg_mooncake capture", signal.SIGTERM)
                try:
                    connection.execute("SELECT pg_drop_replication_slot(%s)", (name,))
                    break
                except psycopg.errors.ObjectInUse:
                    assert time.monotonic() < deadline
        run(server, "INSERT INTO t VALUES (-1, 'unseen')", "DELETE FROM t WHERE id = 7")
        is_copied_anew(server)


def replaced_slot():
    """Dropped and made again by hand under the same name: it looks right, but changes in between are missing."""
    with Server() as server:
        make_mirror(server)
        turn_off(server)
        name = slot_name(server)
        run(server, "SELECT pg_drop_replication_slot('%s')" % name, "INSERT INTO t VALUES (-1, 'unseen')",
            "UPDATE t SET v = 'unseen' WHERE id = 5", "SELECT pg_create_logical_replication_slot('%s', 'pgoutput')" % name)
        right(server, "t", "m")
        turn_on(server)
        is_copied_anew(server)


def advanced_slot():
    """Advanced by hand past changes that no file has."""
    with Server() as server:
        make_mirror(server)
        turn_off(server)
        run(server, "INSERT INTO t VALUES (-1, 'skipped')",
            "SELECT pg_replication_slot_advance('%s', pg_current_wal_lsn())" % slot_name(server))
        turn_on(server)
        is_copied_anew(server)


def foreign_slot():
    """A slot of another kind under our name: queries use the row table, the log says what to do, and then all is well."""
    with Server() as server:
        make_mirror(server)
        turn_off(server)
        name = slot_name(server)
        run(server, "SELECT pg_drop_replication_slot('%s')" % name, "SELECT pg_create_physical_replication_slot('%s')" % name)
        turn_on(server)
        run(server, "INSERT INTO t VALUES (-1, 'unseen')")
        right(server, "t", "m")
        wait_until(lambda: logged(server, 'replication slot "%s" is not one that mirrors can use' % name), "an error about the slot")
        run(server, "SELECT pg_drop_replication_slot('%s')" % name)
        exact(server, "t", "m")


def lowered_wal_level():
    """The server refuses wal_level = replica while the slot is there; without the slot the mirrors rest, then are copied."""
    with Server() as server:
        make_mirror(server)
        turn_off(server)
        run(server, "SELECT pg_drop_replication_slot('%s')" % slot_name(server), "ALTER SYSTEM SET wal_level = replica")
        turn_on(server)
        run(server, "INSERT INTO t VALUES (-1, 'not decoded')")
        right(server, "t", "m")
        try:
            run(server, "CREATE TABLE t2 (id int PRIMARY KEY)", "CALL mooncake.create_table('m2', 't2')")
            raise AssertionError("a mirror was made without logical decoding")
        except psycopg.errors.ObjectNotInPrerequisiteState as error:
            assert "wal_level" in str(error)
        run(server, "ALTER SYSTEM RESET wal_level")
        server.stop()
        server.start()
        is_copied_anew(server)


def slots_without_workers_are_watched():
    """With the workers switched off nothing reads the slot: past the limit it goes all the same."""
    with Server(conf="mooncake.max_retained_wal = '32MB'") as server:
        make_mirror(server)
        turn_off(server)
        with server.connect(autocommit=True) as connection:
            write_wal(connection, 60)
            connection.execute("INSERT INTO t VALUES (-1, 'unseen')")
        wait_until(lambda: slot(server) is None, "the end of the idle slot")
        right(server, "t", "m")
        turn_on(server)
        is_copied_anew(server)


def databases_without_slots_are_found():
    """After a restore there are mirrors but no slot: capture begins by itself, before anybody asks."""
    with Server() as server:
        make_mirror(server)
        turn_off(server)
        run(server, "SELECT pg_drop_replication_slot('%s')" % slot_name(server))
        turn_on(server)
        wait_until(lambda: generation(server, "m") == 2, "a new copy")
        exact(server, "t", "m")


def forsaken_folders_are_removed():
    """DROP DATABASE removes the folders of mirrors and engine; what a crash left of them goes at the next start."""
    with Server() as server:
        run(server, "CREATE DATABASE gone")
        run(server, "CREATE EXTENSION pg_mooncake CASCADE", BASIC, "CALL mooncake.create_table('m', 't')", dbname="gone")
        oid = one(server, "SELECT oid FROM pg_database WHERE datname = 'gone'")
        run(server, "DROP DATABASE gone")
        folders = "SELECT count(*) FROM (VALUES ('pg_mooncake/%d'), ('pg_duckdb/%d')) f(name), pg_stat_file(name, true) s WHERE s.isdir" % (oid, oid)
        wait_until(lambda: one(server, folders) == 0, "the end of the folders", 20)
        assert one(server, "SELECT count(*) FROM pg_replication_slots") == 1
        # As if the server had crashed before.
        run(server, "COPY (SELECT 1) TO PROGRAM 'mkdir -p pg_mooncake/%d/x pg_duckdb/%d'" % (oid, oid))
        server.stop("immediate")
        server.start()
        wait_until(lambda: one(server, folders) == 0, "the end of forsaken folders")
        assert len(re.findall("of a database that does not exist any more", server.log())) >= 2


if __name__ == "__main__":
    sys.exit(main([idle_mirrors_let_the_wal_go, writes_to_mirrors_are_flushed_in_time, flush_settings_reach_the_engine,
                   too_much_wal_gives_the_slot_up, invalidated_slot, dropped_slot, replaced_slot, advanced_slot, foreign_slot,
                   lowered_wal_level, slots_without_workers_are_watched, databases_without_slots_are_found,
                   forsaken_folders_are_removed]))
