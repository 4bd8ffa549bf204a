# SPDX-License-Identifier: Apache-2.0
"""What the suites about operations share: looking at slots, mirrors and the log, and waiting for what must come."""

import os
import sys
import time
import traceback

import psycopg

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from ivy_server import Server, compare, wait_live  # noqa: E402, F401  for the suites


def wait_until(condition, what, seconds=60):
    """Repeats a condition until it is true, connections that fail included; returns its value."""
    deadline = time.monotonic() + seconds
    last = None
    while True:
        try:
            value = condition()
            if value:
                return value
        except psycopg.Error as error:
            last = error
        if time.monotonic() > deadline:
            raise TimeoutError("%s did not come about%s" % (what, ": %s" % last if last else ""))
        time.sleep(0.05)


def one(server, query, args=None, dbname="postgres"):
    """The first row of a query on a connection of its own; its only value if there is one column."""
    with server.connect(dbname=dbname, autocommit=True) as connection:
        row = connection.execute(query, args).fetchone()
        return row[0] if row is not None and len(row) == 1 else row


def run(server, *statements, dbname="postgres"):
    with server.connect(dbname=dbname, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def slot_name(server, dbname="postgres"):
    return "ivy_mooncake_%d" % one(server, "SELECT oid FROM pg_database WHERE datname = %s", (dbname,))


def slot(server, dbname="postgres"):
    """(confirmed_flush_lsn, bytes held back, active) of the mirrors' slot, or None."""
    return one(server, "SELECT confirmed_flush_lsn, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint, active "
               "FROM pg_replication_slots WHERE slot_name = %s", (slot_name(server, dbname),))


def generation(server, mirror, dbname="postgres"):
    return one(server, "SELECT generation FROM mooncake.mirrors WHERE mirror = %s::regclass", (mirror,), dbname)


def write_wal(connection, megabytes):
    """WAL of about this size that concerns no mirror."""
    connection.execute("SELECT count(pg_logical_emit_message(false, 'noise', repeat('x', 1000000))) FROM generate_series(1, %s)", (megabytes,))


def exact(server, source, mirror, dbname="postgres", context="", seconds=60):
    """Waits until the mirror serves and compares it with its row table by content."""
    def attempt():
        with server.connect(dbname=dbname, autocommit=True) as connection:
            wait_live(connection, mirror, seconds)
            compare(connection, source, mirror, context=context)
            return True
    return wait_until(attempt, "a live %s" % mirror, seconds)


def right(server, source, mirror, dbname="postgres", context=""):
    """The mirror's answer now, from wherever, is the row table's."""
    query = "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) FROM %s t"
    with server.connect(dbname=dbname) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        got = connection.execute(query % mirror).fetchone()
        want = connection.execute(query % source).fetchone()
        assert got == want, "%s: mirror %s says %s, row table %s" % (context, mirror, got, want)


def logged(server, text):
    return text in server.log()


def main(scenarios, arguments=None):
    """Runs the scenarios named on the command line, or all; exit code 1 if one fails."""
    wanted = (arguments if arguments is not None else sys.argv[1:]) or [scenario.__name__ for scenario in scenarios]
    failed = []
    for scenario in scenarios:
        if scenario.__name__ not in wanted:
            continue
        started = time.monotonic()
        try:
            scenario()
            print("%-40s ok, %.1f s" % (scenario.__name__, time.monotonic() - started), flush=True)
        except Exception:  # noqa: BLE001  the others are to run as well
            traceback.print_exc()
            print("%-40s FAILED" % scenario.__name__, flush=True)
            failed.append(scenario.__name__)
    return 1 if failed else 0
