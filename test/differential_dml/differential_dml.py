# SPDX-License-Identifier: Apache-2.0
"""Random DML of many shapes by several sessions, mirrors made and dropped meanwhile, and at any moment row tables and
mirrors compared by content in one REPEATABLE READ transaction. The seed is printed; give it to repeat a run (the
interleaving of sessions differs all the same).

    differential_dml.py [--seed N] [--seconds N] [--sessions N] [--immediate]

--immediate  every change is streamed at once, with one session whose transactions are small

Exit code 1 on any difference, 2 when a mirror did not answer.
"""

import argparse
import os
import random
import sys
import threading
import time

import psycopg

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import workload  # noqa: E402
from ivy_server import Server, compare, wait_live  # noqa: E402

# Small enough that ordinary transactions are streamed while they run, and spill.
CONF = """
logical_decoding_work_mem = 64kB
max_prepared_transactions = 20
max_locks_per_transaction = 256
log_min_messages = fatal
log_min_error_statement = panic
"""


class Writers:
    """Sessions that run random transactions in threads until stop()."""

    def __init__(self, server, seed, count, **options):
        self.server, self.seed, self.count, self.options = server, seed, count, options
        self.stopping, self.threads, self.error = threading.Event(), [], None
        self.transactions = 0

    def start(self):
        self.stopping.clear()
        self.seed += 1000
        self.threads = [threading.Thread(target=self.work, args=(self.seed + i,)) for i in range(self.count)]
        for thread in self.threads:
            thread.start()

    def work(self, seed):
        try:
            session = workload.connect(self.server.connect, seed, **self.options)
            while not self.stopping.is_set():
                session.run()
            session.finish()
            self.transactions += session.done
            session.c.close()
        except psycopg.OperationalError as error:
            if not self.stopping.is_set():
                self.error = error
        except Exception as error:  # noqa: BLE001  the main thread reports it
            self.error = error

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        if self.error:
            raise self.error


def check(connection, table, context, patience=20):
    """Compares; a mirror that can't answer at this moment (its copy is newer than the snapshot) is asked again."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return compare(connection, table, table + "_mirror", context=context)
        except psycopg.Error as error:
            if time.monotonic() > deadline or isinstance(error, psycopg.OperationalError):
                raise
            time.sleep(0.05)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randint(1, 10**9))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--sessions", type=int, default=3)
    parser.add_argument("--immediate", action="store_true")
    options = parser.parse_args()
    print("seed %d" % options.seed, flush=True)
    conf = CONF + ("debug_logical_replication_streaming = immediate\n" if options.immediate else "")
    context = "seed %d" % options.seed
    rnd = random.Random(options.seed)
    checks = remade = 0
    with Server(conf=conf) as server, server.connect(autocommit=True) as c:
        c.execute(workload.SCHEMA)
        writers = Writers(server, options.seed, 1, big=200) if options.immediate else Writers(server, options.seed, options.sessions)
        writers.start()
        try:
            time.sleep(1)
            for table in workload.TABLES:  # made while rows are written
                c.execute("CALL mooncake.create_table('%s_mirror', '%s')" % (table, table))
            for table in workload.TABLES:
                wait_live(c, table + "_mirror")
            deadline = time.monotonic() + options.seconds
            while time.monotonic() < deadline and not writers.error:
                table = rnd.choice(workload.TABLES)
                pick = rnd.random()
                if pick < 0.04:
                    c.execute("DROP TABLE %s_mirror" % table)
                    c.execute("CALL mooncake.create_table('%s_mirror', '%s')" % (table, table))
                    wait_live(c, table + "_mirror")
                    remade += 1
                elif pick < 0.15:
                    c.execute("CALL mooncake.create_snapshot('%s_mirror')" % table)
                check(c, table, context)
                checks += 1
        finally:
            writers.stop()
        for table in workload.TABLES:
            print("%-6s %s rows equal" % (table, check(c, table, context + ", at the end")[0]))
        # Nothing here is a reason to copy a mirror anew: one that was had failed.
        failed = c.execute("SELECT mirror, state, error, generation FROM mooncake.mirrors WHERE state <> 'live' OR generation > 1").fetchall()
        streamed = c.execute("SELECT sum(stream_txns) FROM pg_stat_replication_slots").fetchone()[0]
        if failed or not streamed:
            print("failed: %s; %s transactions were streamed" % (failed, streamed))
            return 2
    print("%d checks under %d transactions, %d mirrors made anew" % (checks, writers.transactions, remade))
    return 0


if __name__ == "__main__":
    sys.exit(main())
