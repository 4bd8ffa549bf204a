# SPDX-License-Identifier: Apache-2.0
"""Kills at random points under a write load, then row tables and mirrors compared by content: nothing lost, nothing
twice, and no copy made anew. The seed is printed; give it to repeat a run (the moments differ all the same).

    crash.py [--seed N] [--rounds N] [--sessions N]

Kills: the engine (SIGKILL), the capture worker (SIGTERM, SIGKILL: the server then starts everything afresh), a session
(SIGTERM), the whole server (immediate stop), the server with a clean stop; several at once; and all of these while flushes
and copies are under way, which fault points slow down. Exit code 1 on any difference.
"""

import argparse
import os
import random
import signal
import sys
import threading
import time

import psycopg

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "differential_dml"))
import workload  # noqa: E402
from ivy_server import Server, compare, wait_live  # noqa: E402

CONF = """
logical_decoding_work_mem = 64kB
max_prepared_transactions = 20
max_locks_per_transaction = 256
log_min_error_statement = panic
checkpoint_timeout = 30s
"""


class Load:
    """Sessions that come back whenever their connection is lost."""

    def __init__(self, server, seed, count):
        self.server, self.seed, self.count = server, seed, count
        self.stopping, self.threads, self.error, self.transactions = threading.Event(), [], None, 0

    def start(self):
        self.threads = [threading.Thread(target=self.work, args=(self.seed + i,)) for i in range(self.count)]
        for thread in self.threads:
            thread.start()

    def work(self, seed):
        while not self.stopping.is_set():
            session = None
            try:
                # Prepared transactions would outlive their session and hold locks for ever.
                session = workload.connect(self.server.connect, seed, prepare=False, big=20000)
                while not self.stopping.is_set():
                    session.run()
            except psycopg.OperationalError:
                time.sleep(0.1)
            except Exception as error:  # noqa: BLE001  the main thread reports it
                self.error = error
                return
            finally:
                if session:
                    self.transactions += session.done
                    session.c.close()
                seed += 1000

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        if self.error:
            raise self.error


def eventually(server, action, seconds=60):
    """Repeats an action on fresh connections until the server is there again."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with server.connect(autocommit=True) as connection:
                return action(connection)
        except psycopg.Error:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def kill_engine(server, rnd):
    return "engine killed: %s" % server.kill(r"ivy_engine")


def stop_worker(server, rnd):
    return "capture worker stopped: %s" % server.kill(r"pg_mooncake capture", signal.SIGTERM)


def kill_worker(server, rnd):
    return "capture worker killed: %s" % server.kill(r"pg_mooncake capture")


def kill_sessions(server, rnd):
    return "sessions stopped: %d" % len(server.kill(r"postgres: postgres postgres \[local\]", signal.SIGTERM))


def kill_both(server, rnd):
    server.kill(r"pg_mooncake capture", signal.SIGTERM)
    server.kill(r"ivy_engine")
    return "engine killed, capture worker stopped"


def immediate_stop(server, rnd):
    server.stop("immediate")
    server.start()
    return "server stopped at once"


def clean_restart(server, rnd):
    server.stop("fast")
    server.start()
    return "server restarted"


KILLS = [kill_engine, kill_engine, stop_worker, kill_worker, kill_sessions, kill_both, immediate_stop, clean_restart]


def snapshot_in_background(server, rnd):
    """A flush that the kill may hit."""
    def work():
        try:
            with server.connect(autocommit=True) as connection:
                connection.execute("CALL mooncake.create_snapshot('%s_mirror')" % rnd.choice(workload.TABLES))
        except psycopg.Error:
            pass
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def copy_in_background(server, rnd):
    """A mirror that is made anew while the kill comes."""
    table = rnd.choice(workload.TABLES)

    def work():
        try:
            with server.connect(autocommit=True) as connection:
                connection.execute("DROP TABLE IF EXISTS %s_mirror" % table)
                connection.execute("CALL mooncake.create_table('%s_mirror', '%s')" % (table, table))
        except psycopg.Error:
            pass
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def make_missing(connection):
    for table in workload.TABLES:
        if connection.execute("SELECT to_regclass(%s)", (table + "_mirror",)).fetchone()[0] is None:
            connection.execute("CALL mooncake.create_table('%s_mirror', '%s')" % (table, table))


def check_all(server, context):
    counts = {}
    eventually(server, make_missing)
    for table in workload.TABLES:
        eventually(server, lambda c: wait_live(c, table + "_mirror"))  # noqa: B023  used at once
        counts[table] = eventually(server, lambda c: compare(c, table, table + "_mirror", context=context)[0])  # noqa: B023
    return counts


def generations(server):
    return eventually(server, lambda c: c.execute("SELECT mirror::text, generation FROM mooncake.mirrors ORDER BY 1").fetchall())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randint(1, 10**9))
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--sessions", type=int, default=3)
    options = parser.parse_args()
    print("seed %d" % options.seed, flush=True)
    rnd = random.Random(options.seed)
    server = Server(conf=CONF)
    server.env.setdefault("IVY_FAULT", "capture-before-publish:sleep-100,capture-after-publish:sleep-100,copy-chunk:sleep-20")
    with server:
        with server.connect(autocommit=True) as c:
            c.execute(workload.SCHEMA)
            for table in workload.TABLES:
                c.execute("CALL mooncake.create_table('%s_mirror', '%s')" % (table, table))
        for number in range(options.rounds):
            load = Load(server, options.seed + number * 10, options.sessions)
            load.start()
            said = []
            try:
                for _ in range(rnd.randint(1, 3)):
                    time.sleep(rnd.choice([0.05, 0.3, 1, 2]) * rnd.random())
                    pick = rnd.random()
                    work = snapshot_in_background(server, rnd) if pick < 0.5 else copy_in_background(server, rnd) if pick < 0.7 else None
                    time.sleep(rnd.random() * 0.2)
                    said.append(rnd.choice(KILLS)(server, rnd))
                    if work:
                        work.join()
            finally:
                load.stop()
            started = time.monotonic()
            counts = check_all(server, "seed %d, round %d: %s" % (options.seed, number, said))
            print("round %d: %s; %d transactions; exact after %.1f s: %s" % (number, "; ".join(said), load.transactions, time.monotonic() - started, counts), flush=True)
        again = [row for row in generations(server) if row[1] != 1]
        if again:
            print("copied anew: %s" % again)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
