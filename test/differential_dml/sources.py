# SPDX-License-Identifier: Apache-2.0
"""Sources of every kind (source_load.py) while several sessions write and others alter them; at any moment a source and its
mirror are compared in one snapshot. The seed is printed; give it to repeat a run (the interleaving differs all the same).

    sources.py [--seed N] [--seconds N] [--sessions N] [--alterers N] [--kill]
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
import source_load as load  # noqa: E402
from ivy_server import Server, compare  # noqa: E402

CONF = """
logical_decoding_work_mem = 64kB
max_locks_per_transaction = 512
max_worker_processes = 16
max_prepared_transactions = 20
mooncake.flush_interval = 3s
mooncake.optimize_files = 4
log_min_error_statement = panic
"""


class Worker(threading.Thread):
    """Repeats a step until it is told to stop."""

    def __init__(self, step, finish=lambda: None):
        super().__init__()
        self.step, self.finish = step, finish
        self.stopping, self.error, self.count = threading.Event(), None, 0

    def run(self):
        try:
            while not self.stopping.is_set():
                self.step()
                self.count += 1
            self.finish()
        except Exception as error:  # noqa: BLE001  the main thread reports it
            self.error = error


def writer(server, seed):
    session = load.connect(server.connect, seed, prepare=True)
    return Worker(session.run, session.finish)


def alterer(server, seed, said):
    connection, rnd = server.connect(autocommit=True), random.Random(seed)
    connection.execute("SET lock_timeout = '2s'; SET deadlock_timeout = '200ms'")

    def step():
        time.sleep(rnd.random() * 0.4)
        said.append(load.alter(connection, rnd))
        del said[:-6]
    return Worker(step)


def check(c, mirror, context):
    source, _, columns = load.MIRRORS[mirror]
    deadline = time.monotonic() + 90
    while True:
        try:
            return compare(c, source, mirror, columns=columns, context=context)
        except psycopg.Error as error:
            row = c.execute("SELECT state, error FROM mooncake.mirrors WHERE mirror = to_regclass(%s)", (mirror,)).fetchone()
            state, why = row or (None, None)
            if state == "error" and not (why or "").startswith("the source table can't be captured: "):
                raise AssertionError("%s: mirror %s failed: %s" % (context, mirror, why)) from error
            if time.monotonic() > deadline:
                print(c.execute("SELECT mooncake.engine_status()").fetchone()[0], file=sys.stderr)
                raise
            time.sleep(0.05)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randint(1, 10**9))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--sessions", type=int, default=3)
    parser.add_argument("--alterers", type=int, default=2)
    parser.add_argument("--kill", action="store_true")
    options = parser.parse_args()
    print("seed %d" % options.seed, flush=True)
    r = random.Random(options.seed)
    checks = 0
    said = ["the start"]
    with Server(conf=CONF) as server, server.connect(autocommit=True) as c:
        load.create(c)
        c.execute("SET deadlock_timeout = '200ms'; SET lock_timeout = '10s'")
        writers = [writer(server, options.seed + i) for i in range(options.sessions)]
        alterers = []
        for one in writers:
            one.start()
        try:
            time.sleep(0.5)
            for mirror, (source, given, _) in load.MIRRORS.items():
                c.execute("CALL mooncake.create_table('%s', '%s', '%s')" % (mirror, source, given))
            alterers = [alterer(server, options.seed + 100 + i, said) for i in range(options.alterers)]
            for one in alterers:
                one.start()
            deadline = time.monotonic() + options.seconds
            while time.monotonic() < deadline and not any(one.error for one in writers + alterers):
                pick = r.random()
                if pick < 0.07:
                    try:
                        c.execute("CALL mooncake.%s('%s')" % (r.choice(["create_snapshot", "optimize"]), r.choice(list(load.MIRRORS))))
                    except (psycopg.errors.ObjectNotInPrerequisiteState, psycopg.errors.ConnectionFailure, psycopg.errors.UndefinedTable,
                            psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable, psycopg.errors.WrongObjectType):
                        pass  # it is being copied, altered or made anew, or the engine was killed
                elif pick < 0.08:
                    c.execute("CALL mooncake.rebuild_table('%s', wait => false)" % r.choice(["m_tally", "m_bag2", "m_part"]))
                elif pick < 0.1 and options.kill:
                    server.kill(*r.choice([("ivy_engine", signal.SIGKILL), ("ivy_engine", signal.SIGTERM), ("pg_mooncake copy", signal.SIGTERM), ("pg_mooncake capture", signal.SIGTERM)]))
                else:
                    check(c, r.choice(list(load.MIRRORS)), "seed %d, after %s" % (options.seed, said))
                    checks += 1
        finally:
            for one in writers + alterers:
                one.stopping.set()
            for one in writers + alterers:
                if one.is_alive():
                    one.join()
        for one in writers + alterers:
            if one.error:
                raise one.error
        load.repair(c)
        for mirror in load.MIRRORS:
            print("%-10s %s rows equal" % (mirror, check(c, mirror, "seed %d, at the end, after %s" % (options.seed, said))[0]))
        copies = c.execute("SELECT sum(generation) FROM mooncake.mirrors").fetchone()[0]
        if server.failures():
            raise AssertionError("seed %d: mirrors failed: %s" % (options.seed, server.failures()[:3]))
    print("%d checks, %d alterations, %d copies under %d transactions" % (checks, sum(one.count for one in alterers), copies, sum(one.count for one in writers)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
