# SPDX-License-Identifier: Apache-2.0
"""Own writes, savepoints, prepared transactions, timeouts, cancels and lost clients."""

import os
import threading
import time

import psycopg
import pytest
from conftest import error, rows
from wire import Wire, errors

SLOW = "SELECT count(*) FROM m a, m b, m c WHERE a.n + b.n + c.n < 0"  # 10^9 combinations, wholly in the engine


@pytest.fixture
def free(own):
    """A mirrored table, where the row table may answer."""
    own[0].execute("SET mooncake.fallback = on")
    return own


def count(c, table):
    return rows(c, "SELECT count(*) FROM " + table)[0][0]


def test_own_writes(free):
    c, t, m = free
    c.execute("BEGIN; INSERT INTO %s VALUES (500)" % t)
    assert count(c, m) == 101
    c.execute("SAVEPOINT a; DELETE FROM %s WHERE id <= 50" % t)
    assert count(c, m) == 51
    c.execute("SAVEPOINT b; TRUNCATE %s" % t)
    assert count(c, m) == 0
    c.execute("ROLLBACK TO b")
    assert count(c, m) == 51
    c.execute("ROLLBACK TO a")
    assert count(c, m) == 101
    c.execute("RELEASE a; UPDATE %s SET v = 'mine' WHERE id = 1; COMMIT" % t)
    c.execute("SET mooncake.fallback = off")
    assert rows(c, "SELECT count(*), count(*) FILTER (WHERE v = 'mine') FROM %s" % m) == [(101, 1)]


def test_own_writes_without_fallback_are_refused(own):
    c, t, m = own
    c.execute("BEGIN; INSERT INTO %s VALUES (500)" % t)
    assert error(c, "SELECT count(*) FROM %s" % m) == "55000"
    c.execute("ROLLBACK")
    assert count(c, m) == 100


def test_subtransactions(free):
    c, t, m = free
    c.execute("BEGIN")
    for i in range(70):  # more than a process keeps in shared memory
        c.execute("SAVEPOINT s; INSERT INTO %s VALUES (%d)" % (t, 1000 + i))
        assert count(c, m) == count(c, t)
        c.execute("ROLLBACK TO s" if i % 3 == 0 else "RELEASE s")
    want = count(c, t)
    assert count(c, m) == want
    c.execute("COMMIT; SET mooncake.fallback = off")
    assert count(c, m) == want == 100 + 46


def test_error_in_a_savepoint(free):
    c, t, m = free
    c.execute("BEGIN; SAVEPOINT s")
    assert error(c, "SELECT 1 / (id - 5) FROM %s" % m) == "22012"
    assert error(c, "SELECT count(*) FROM %s" % m) == "25P02"
    c.execute("ROLLBACK TO s")
    assert count(c, m) == 100
    c.execute("COMMIT")


def test_prepared_transaction(server, free):
    c, t, m = free
    c.execute("BEGIN; DELETE FROM %s WHERE id <= 10; SELECT count(*) FROM %s; PREPARE TRANSACTION 'both'" % (t, m))
    assert count(c, m) == count(c, t) == 100
    with server.connect(autocommit=True) as other:
        other.execute("COMMIT PREPARED 'both'")
    c.execute("SET mooncake.fallback = off")
    assert count(c, m) == 90
    c.execute("BEGIN; SELECT count(*) FROM %s; PREPARE TRANSACTION 'reader'" % m)
    c.execute("ROLLBACK PREPARED 'reader'")


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_snapshots(server, own, level):
    c, t, m = own
    c.execute("BEGIN ISOLATION LEVEL " + level)
    assert count(c, m) == 100
    with server.connect(autocommit=True) as other:
        other.execute("DELETE FROM %s WHERE id <= 40" % t)
        assert count(other, m) == 60
    assert count(c, m) == count(c, t) == (60 if level == "READ COMMITTED" else 100)
    c.execute("COMMIT")
    assert count(c, m) == 60


def test_exported_snapshot(server, own):
    c, t, m = own
    c.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    name = rows(c, "SELECT pg_export_snapshot()")[0][0]
    with server.connect(autocommit=True) as other:
        other.execute("DELETE FROM %s" % t)
        other.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '%s'" % name)
        assert count(other, m) == count(other, t) == 100
        other.execute("COMMIT")
        assert count(other, m) == 0
    c.execute("COMMIT")


def test_read_only_and_deferrable(c):
    c.execute("BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE")
    assert count(c, "m") == 1001
    c.execute("COMMIT")


def test_statement_timeout(c):
    for setting in ("statement_timeout", "transaction_timeout"):
        c.execute("SET %s = '300ms'" % setting)
        start = time.monotonic()
        if setting == "transaction_timeout":
            with pytest.raises(psycopg.Error):
                c.execute(SLOW)
            return  # this timeout ends the session
        assert error(c, SLOW) == "57014"
        assert time.monotonic() - start < 3
        assert count(c, "m") == 1001
        c.execute("SET statement_timeout = 0")


def test_timeout_while_a_row_table_is_sent(c):
    c.execute("SET statement_timeout = '300ms'")
    query = "SELECT count(*) FROM m JOIN (SELECT g, pg_sleep(0.01) FROM generate_series(1, 1000) g) s ON s.g = m.id"
    assert error(c, query) == "57014"
    c.execute("RESET statement_timeout")
    assert count(c, "m") == 1001


def test_timeout_while_a_value_is_computed(c):
    c.execute("CREATE OR REPLACE FUNCTION pg_temp.slow() RETURNS int STABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(5); RETURN 1; END $$")
    c.execute("SET statement_timeout = '300ms'")
    assert error(c, "SELECT count(*) FROM m WHERE id > pg_temp.slow()") == "57014"


def test_lock_timeout(server, own):
    c, t, m = own
    with server.connect() as other:
        other.execute("LOCK TABLE %s IN ACCESS EXCLUSIVE MODE" % m)
        c.execute("SET lock_timeout = '200ms'")
        assert error(c, "SELECT count(*) FROM %s" % m) == "55P03"
        other.rollback()
    assert count(c, m) == 100


@pytest.mark.parametrize("how", ["cancel", "terminate", "disconnect"])
def test_stop_in_the_engine(server, c, how):
    """The engine's work for a query ends with it."""
    wire = Wire(os.path.join(server.dir, ".s.PGSQL.5432"))
    pid = int(wire.query("SELECT pg_backend_pid()")[1][1][6:])
    wire.send(b"Q", SLOW.encode() + b"\0")
    time.sleep(0.4)

    def working():
        return rows(c, "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND state = 'active'", [pid])[0][0]

    assert working()
    start = time.monotonic()
    if how == "disconnect":
        c.execute("SELECT 1")
        wire.socket.close()
    else:
        c.execute("SELECT pg_%s_backend(%d)" % (how, pid))
    if how != "disconnect":  # a lost client is noticed when something is sent to it, or by client_connection_check_interval
        while working():
            assert time.monotonic() - start < 3
            time.sleep(0.01)
    else:
        c.execute("SELECT pg_terminate_backend(%d)" % pid)
    if how == "cancel":
        assert errors(wire.until(b"Z")) == ["57014"]
        wire.close()
    start = time.monotonic()
    assert count(c, "m") == 1001
    assert time.monotonic() - start < 5


def test_lost_client_is_noticed(server, c):
    wire = Wire(os.path.join(server.dir, ".s.PGSQL.5432"))
    wire.query("SET client_connection_check_interval = '100ms'")
    pid = int(wire.query("SELECT pg_backend_pid()")[1][1][6:])
    wire.send(b"Q", SLOW.encode() + b"\0")
    time.sleep(0.3)
    wire.socket.close()
    deadline = time.monotonic() + 5
    while rows(c, "SELECT count(*) FROM pg_stat_activity WHERE pid = %s", [pid])[0][0]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_cancel_at_any_moment(server):
    """Cancels that hit planning, connecting, uploading, computing and fetching: the session goes on each time."""
    with server.connect(autocommit=True) as c:
        stop = threading.Event()

        def cancel():
            while not stop.is_set():
                time.sleep(0.004)
                c.cancel_safe() if hasattr(c, "cancel_safe") else c.cancel()

        thread = threading.Thread(target=cancel)
        thread.start()
        cancelled = 0
        try:
            for i in range(150):
                try:
                    c.execute("SELECT m.tx, sum(m.n), count(r.v) FROM m LEFT JOIN r ON r.t_id = m.id GROUP BY m.tx" if i % 2 else "SELECT * FROM m")
                except psycopg.errors.QueryCanceled:
                    cancelled += 1
        finally:
            stop.set()
            thread.join()
        assert cancelled > 0
        time.sleep(0.05)
        for _ in range(3):
            try:
                assert count(c, "m") == 1001
            except psycopg.errors.QueryCanceled:  # one that was still on its way
                continue


def test_idle_in_transaction_timeout(server):
    with server.connect() as c:
        c.execute("SET idle_in_transaction_session_timeout = '200ms'")
        c.execute("DECLARE k CURSOR FOR SELECT * FROM m; FETCH 3 FROM k")
        time.sleep(0.6)
        with pytest.raises(psycopg.Error):
            c.execute("FETCH k")
    with server.connect() as c:
        assert count(c, "m") == 1001
