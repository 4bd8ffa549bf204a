# SPDX-License-Identifier: Apache-2.0
"""Ends of queries and of servers: a cancelled, terminated or timed out session stops its work in the engine at once; a
server with queries running in the engine stops without being waited for; an engine that is killed takes no session along.

    shutdown.py
"""

import os
import sys
import threading
import time

import psycopg

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from ivy_server import Server, compare, wait_live  # noqa: E402

# Hours of work for the engine, none of which can be skipped.
LONG = "SELECT count(*) FROM m a, m b, m c WHERE (a.v + b.v + c.v) % 1000003 = 17"


def wait_for(condition, what, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.02)


def engine_ticks(server):
    """CPU time of the engine so far, in clock ticks."""
    for pid, args in server.descendants():
        if "ivy_engine" in args:
            fields = open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()
            return int(fields[11]) + int(fields[12])
    return 0


def is_idle(server):
    """Whether the engine does (almost) nothing for a while: background work costs a tick now and then."""
    before = engine_ticks(server)
    time.sleep(0.5)
    return engine_ticks(server) - before < 10


class LongQuery:
    """LONG in a session of its own; .error is how it ended."""

    def __init__(self, server, setting=None):
        self.connection = server.connect(autocommit=True)
        self.connection.execute("SET mooncake.fallback = off")
        if setting:
            self.connection.execute(setting)
        self.pid = self.connection.info.backend_pid
        self.error = None
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self):
        try:
            self.connection.execute(LONG)
        except psycopg.Error as error:
            self.error = error

    def end(self, *states):
        self.thread.join(30)
        assert not self.thread.is_alive(), "the query goes on"
        assert self.error is not None, "the query finished"
        state = self.error.sqlstate or "connection lost"
        assert state in states, "%s: %s" % (state, self.error)


def main():
    with Server(conf="jit = off") as server:
        with server.connect(autocommit=True) as c:
            c.execute("CREATE TABLE t (id int PRIMARY KEY, v int)")
            c.execute("INSERT INTO t SELECT i, i * 7 FROM generate_series(1, 50000) i")
            c.execute("CALL mooncake.create_table('m', 't')")
            wait_live(c, "m")

            for how, states in (("pg_cancel_backend", ("57014",)), ("pg_terminate_backend", ("57P01", "connection lost"))):
                query = LongQuery(server)
                wait_for(lambda: not is_idle(server), "the query starts")
                c.execute("SELECT %s(%d)" % (how, query.pid))
                query.end(*states)
                wait_for(lambda: is_idle(server), "the engine's work ends after " + how)
                print(how + ": the engine is idle again", flush=True)
            LongQuery(server, "SET statement_timeout = '300ms'").end("57014")
            wait_for(lambda: is_idle(server), "the engine's work ends after a timeout")
            compare(c, "t", "m")

            query = LongQuery(server)
            wait_for(lambda: not is_idle(server), "the query starts")
            server.kill("ivy_engine")
            query.end("55000", "08006", "58000")
            query.connection.execute("SELECT 1")  # the session lives
            c.execute("INSERT INTO t VALUES (0, 0)")
            assert c.execute("SELECT count(*) FROM m").fetchone()[0] == 50001  # by whatever answers
            wait_live(c, "m")
            compare(c, "t", "m")
            print("engine killed: %s" % str(query.error).splitlines()[0], flush=True)

        queries = [LongQuery(server) for _ in range(4)]
        wait_for(lambda: not is_idle(server), "the queries start")
        start = time.monotonic()
        server.stop("fast")
        print("server stopped in %.2f s with 4 queries running" % (time.monotonic() - start), flush=True)
        assert time.monotonic() - start < 15, "the stop waited for queries"
        for query in queries:
            query.end("57P01", "57014", "connection lost")
        server.start()
        with server.connect(autocommit=True) as c:
            wait_live(c, "m")
            compare(c, "t", "m")
    return 0


if __name__ == "__main__":
    sys.exit(main())
