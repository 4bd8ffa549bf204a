# SPDX-License-Identifier: Apache-2.0
"""Kills at random points under a write load, then row tables and mirrors compared by content: nothing lost, nothing
twice, and no copy made anew without need. The seed is printed; give it to repeat a run (the moments differ all the same).

    crash.py [--seed N] [--rounds N] [--sessions N] [--ddl] [--prepare] [--sources] [--faults] [--errors]

Kills: the engine (SIGKILL), the capture worker (SIGTERM, SIGKILL: the server then starts everything afresh), a copy worker,
the launchers, a session (SIGTERM), the whole server (immediate stop), the server with a clean stop; several at once; and
all of these while flushes and copies are under way, which fault points slow down.

Meanwhile a session compares row tables and mirrors at random moments.

--prepare  the load has transactions that are prepared and finished later, by another session or after a restart
--ddl      a session alters the sources meanwhile: columns, types, rewrites, mirrors dropped and made anew
--sources  sources of every kind (source_load.py) beside the plain tables of workload.py, and with --ddl what happens to them
--faults   fault points of the engine, the capture and the copy worker kill their process at some passings
--errors   ...or make it fail there

Exit code 1 on any difference.
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
import source_load  # noqa: E402
import workload  # noqa: E402
from ivy_server import Server, compare, wait_live  # noqa: E402

CONF = """
logical_decoding_work_mem = 64kB
max_prepared_transactions = 20
max_locks_per_transaction = 512
max_worker_processes = 16
mooncake.optimize_files = 4
log_min_error_statement = panic
checkpoint_timeout = 30s
"""


# Where a process may die or fail.
FAULTS = ["apply", "flush-before-write", "flush-before-index", "flush-before-vectors", "flush-before-commit",
          "flush-before-publish", "flush-after-publish", "file-write", "mirror-load", "mirror-switch-columns", "parquet-open",
          "parquet-append", "parquet-sync", "sort-append", "rewrite-new-file", "rewrite-finish-file", "rewrite-before-commit",
          "rewrite-before-publish", "spill-append", "copy-finish-file", "copy-before-commit", "copy-before-publish", "copy-catch-up",
          "capture-held-commit", "capture-before-publish", "capture-after-publish", "capture-before-confirm",
          "capture-recorded-confirm", "copy-chunk"]
SLEEPS = "capture-before-publish:sleep-100,capture-after-publish:sleep-100,copy-chunk:sleep-20"


def random_faults(rnd, options):
    """A specification for IVY_FAULT: what the processes that start from now on may run into."""
    if not (options.faults or options.errors) or rnd.random() < 0.2:
        return SLEEPS
    actions = (["kill"] if options.faults else []) + (["error"] if options.errors else [])
    return ",".join("%s:%s-%d" % (name, rnd.choice(actions), rnd.choice([1, 5, 20])) for name in rnd.sample(FAULTS, rnd.randint(1, 4)))


class Load:
    """Sessions that come back whenever their connection is lost."""

    def __init__(self, server, seed, options):
        self.server, self.seed, self.options = server, seed, options
        self.stopping, self.threads, self.error, self.transactions, self.checks = threading.Event(), [], None, 0, 0

    def start(self):
        worlds = self.options.worlds
        steps = [(self.write, worlds[i % len(worlds)]) for i in range(self.options.sessions)]
        steps += [(self.alter, world) for world in worlds] if self.options.ddl else []
        steps.append((self.check, None))
        self.threads = [threading.Thread(target=self.repeat, args=(step, world, self.seed + i)) for i, (step, world) in enumerate(steps)]
        for thread in self.threads:
            thread.start()

    def repeat(self, step, world, seed):
        """Calls a step with a new seed whenever it has lost its connection."""
        while not self.stopping.is_set():
            try:
                step(world, seed)
            except psycopg.OperationalError:
                time.sleep(0.1)
            except psycopg.errors.UndefinedObject:
                pass  # another session has finished its prepared transaction
            except Exception as error:  # noqa: BLE001  stop() reports it
                self.error = self.error or error
                return
            seed += 1000

    def alter(self, world, seed):
        """Changes definitions, slowly enough that the load gets its turns."""
        rnd = random.Random(seed)
        with self.server.connect(autocommit=True) as connection:
            connection.execute("SET lock_timeout = '1s'")
            while not self.stopping.wait(rnd.random() * 0.5):
                world.alter(connection, rnd)

    def write(self, world, seed):
        session = world.connect(self.server.connect, seed, prepare=self.options.prepare)
        try:
            # What an earlier session has left would hold its locks for ever.
            finish_prepared(session.c, session.rnd, 0.5)
            while not self.stopping.is_set():
                session.run()
        finally:
            self.transactions += session.done
            session.c.close()

    def check(self, _, seed):
        """Compares now and then; a mirror that does not answer now is no difference."""
        rnd = random.Random(seed)
        with self.server.connect(autocommit=True) as connection:
            connection.execute("SET lock_timeout = '500ms'")
            while not self.stopping.wait(rnd.random() * 0.2):
                mirror, (source, _, columns) = rnd.choice(list(self.options.mirrors.items()))
                try:
                    compare(connection, source, mirror, columns=columns, context="seed %d, at any moment" % self.seed)
                    self.checks += 1
                except psycopg.Error:
                    if connection.closed:
                        return

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        if self.error:
            raise self.error


def finish_prepared(connection, rnd, share=1.0):
    """Ends prepared transactions, or a share of them."""
    for (name,) in connection.execute("SELECT gid FROM pg_prepared_xacts").fetchall():
        if rnd.random() >= share:
            continue
        try:
            connection.execute("%s PREPARED '%s'" % (rnd.choice(["COMMIT", "ROLLBACK"]), name))
        except psycopg.errors.UndefinedObject:
            pass  # another session was quicker


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


def kill_copy(server, rnd):
    number = rnd.choice([signal.SIGTERM, signal.SIGTERM, signal.SIGKILL])
    return "copy worker, signal %d: %s" % (number, server.kill(r"pg_mooncake copy", number))


def stop_launcher(server, rnd):
    pattern = rnd.choice([r"pg_mooncake launcher", r"columnar engine launcher"])
    return "%s stopped: %s" % (pattern, server.kill(pattern, signal.SIGTERM))


def kill_launcher(server, rnd):
    pattern = rnd.choice([r"pg_mooncake launcher", r"columnar engine launcher"])
    return "%s killed: %s" % (pattern, server.kill(pattern))


def immediate_stop(server, rnd):
    server.stop("immediate")
    restart(server, rnd)
    return "server stopped at once"


def stop(server, mode):
    """A fast shutdown that is requested while the server recovers from a crash may never end (18.6: only the checkpointer is
    left, and waited for), so it waits for the end of recovery."""
    if mode == "fast":
        eventually(server, lambda connection: None)
    server.stop(mode)


def clean_restart(server, rnd):
    stop(server, "fast")
    restart(server, rnd)
    return "server restarted"


def restart(server, rnd):
    server.env["IVY_FAULT"] = random_faults(rnd, server.options)
    server.start()


KILLS = [kill_engine, kill_engine, stop_worker, kill_worker, kill_sessions, kill_both, kill_copy, stop_launcher, kill_launcher,
         immediate_stop, clean_restart]


def snapshot_in_background(server, rnd):
    """A flush or a rewrite of files that the kill may hit."""
    def work():
        try:
            with server.connect(autocommit=True) as connection:
                connection.execute("CALL mooncake.%s('%s')" % (rnd.choice(["create_snapshot", "optimize"]), rnd.choice(list(server.options.mirrors))))
        except psycopg.Error:
            pass
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def copy_in_background(server, rnd):
    """A mirror that is made anew while the kill comes."""
    mirror, (source, given, _) = rnd.choice(list(server.options.mirrors.items()))

    def work():
        try:
            with server.connect(autocommit=True) as connection:
                if server.options.ddl and rnd.random() < 0.5:
                    connection.execute("CALL mooncake.rebuild_table('%s')" % mirror)
                    return
                connection.execute("DROP TABLE IF EXISTS %s" % mirror)
                connection.execute("CALL mooncake.create_table('%s', '%s', '%s')" % (mirror, source, given))
        except psycopg.Error:
            pass
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def make_missing(connection, options):
    """Ends what interrupted commands have left half done."""
    for world in options.worlds:
        world.repair(connection)
    for mirror, (source, given, _) in options.mirrors.items():
        if connection.execute("SELECT to_regclass(%s)", (mirror,)).fetchone()[0] is None:
            connection.execute("CALL mooncake.create_table('%s', '%s', '%s')" % (mirror, source, given))


def check_all(server, context):
    counts = {}
    eventually(server, lambda c: make_missing(c, server.options))
    for mirror, (source, _, columns) in server.options.mirrors.items():
        try:
            eventually(server, lambda c: wait_live(c, mirror))  # noqa: B023  used at once
        except TimeoutError as error:
            state = eventually(server, lambda c: c.execute("SELECT state, engine_state, error, failures, retry_at FROM mooncake.mirror_status WHERE table_name = %s", (mirror,)).fetchone())  # noqa: B023
            raise AssertionError("%s: mirror %s does not come back: %s" % (context, mirror, state)) from error
        try:
            counts[mirror] = eventually(server, lambda c: compare(c, source, mirror, columns=columns, context=context)[0])  # noqa: B023
        except AssertionError:
            print(eventually(server, lambda c: c.execute("SELECT m::text FROM mooncake.mirrors m WHERE source = %s::regclass", (source,)).fetchall()))  # noqa: B023
            print(eventually(server, lambda c: c.execute("SELECT mooncake.engine_status()").fetchone()[0]))
            raise
    return counts


def generations(server):
    return eventually(server, lambda c: c.execute("SELECT mirror::text, generation FROM mooncake.mirrors ORDER BY 1").fetchall())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randint(1, 10**9))
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--sessions", type=int, default=3)
    for name in ("ddl", "prepare", "sources", "faults", "errors"):
        parser.add_argument("--" + name, action="store_true")
    options = parser.parse_args()
    print("seed %d" % options.seed, flush=True)
    rnd = random.Random(options.seed)
    options.worlds = [workload, source_load] if options.sources else [workload]
    options.mirrors = {mirror: given for world in options.worlds for mirror, given in world.MIRRORS.items()}
    server = Server(conf=CONF + "mooncake.flush_interval = %d\n" % rnd.choice([100, 1000, 60000]))
    server.options = options
    server.env.setdefault("IVY_FAULT", SLEEPS)
    with server:
        with server.connect(autocommit=True) as c:
            for world in options.worlds:
                world.create(c)
            make_missing(c, options)
        for number in range(options.rounds):
            load = Load(server, options.seed + number * 10, options)
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
            if options.faults or options.errors:
                # A process that dies at every second flush gets nowhere: the check wants quiet.
                faults = server.env["IVY_FAULT"]
                if faults != SLEEPS:
                    said.append("faults " + faults)
                    server.env["IVY_FAULT"] = SLEEPS
                    stop(server, rnd.choice(["fast", "immediate"]))
                    server.start()
            started = time.monotonic()
            eventually(server, lambda c: finish_prepared(c, rnd))
            counts = check_all(server, "seed %d, round %d: %s" % (options.seed, number, said))
            print("round %d: %s; %d transactions, %d checks; exact after %.1f s, %d rows" % (
                number, "; ".join(said), load.transactions, load.checks, time.monotonic() - started, sum(counts.values())), flush=True)
            if number + 1 < options.rounds and (options.faults or options.errors) and rnd.random() < 0.7:
                stop(server, "fast")
                restart(server, rnd)
        # A change of a type, and an error that a fault point made up, are reasons for a new copy; a kill is none.
        again = [row for row in generations(server) if row[1] != 1 and not options.ddl and not options.errors]
        if again:
            print("copied anew: %s" % again)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
