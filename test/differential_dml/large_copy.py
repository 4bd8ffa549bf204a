# SPDX-License-Identifier: Apache-2.0
"""Copies of a large table by several processes under a write load: the result is compared, the progress view must have shown
helpers and growing numbers, and a helper that is terminated or killed only means that the copy starts over.

    large_copy.py [--rows N]
"""

import argparse
import os
import sys
import threading
import time

import psycopg

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from ivy_server import Server, compare, wait_live  # noqa: E402

CONF = """
mooncake.copy_workers = 2
max_wal_size = 4GB
log_min_error_statement = panic
"""
HELPERS = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'parallel worker'"


class Background(threading.Thread):
    """Repeats a function until stop()."""

    def __init__(self, function):
        super().__init__()
        self.function, self.stopping, self.error = function, threading.Event(), None
        self.start()

    def run(self):
        try:
            while not self.stopping.is_set():
                self.function()
        except Exception as error:  # noqa: BLE001  stop() reports it
            self.error = error

    def stop(self):
        self.stopping.set()
        self.join()
        if self.error:
            raise self.error


def wait_for_helper(c, seconds=30):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        row = c.execute(HELPERS).fetchone()
        if row:
            return row[0]
        time.sleep(0.005)
    raise AssertionError("no parallel worker helped to copy")


def reconnect(server, seconds=60):
    deadline = time.monotonic() + seconds
    while True:
        try:
            return server.connect(autocommit=True)
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=700000)
    options = parser.parse_args()
    with Server(conf=CONF) as server, server.connect(autocommit=True) as c:
        watcher, writer = server.connect(autocommit=True), server.connect(autocommit=True)
        c.execute("CREATE TABLE large (id int PRIMARY KEY, v text, n numeric(12,2))")
        c.execute("INSERT INTO large SELECT i, repeat('x', 150), i / 3.0 FROM generate_series(1, %d) i" % options.rows)
        seen, keys = [], iter(range(1, 10**9))

        def watch():
            seen.append(watcher.execute("SELECT phase, rows, bytes, total_bytes FROM mooncake.copy_progress").fetchone())
            time.sleep(0.05)

        def write():
            key = next(keys)
            writer.execute("UPDATE large SET n = n + 1 WHERE id %% 9973 = %d" % (key % 9973))
            writer.execute("DELETE FROM large WHERE id = %d" % (key * 7))

        tasks = [Background(watch), Background(write)]
        c.execute("CALL mooncake.create_table('m', 'large')")
        for task in tasks:
            task.stop()
        print("%s rows, first copy" % compare(c, "large", "m", context="the first copy")[0])
        copying = [row for row in seen if row and row[0] == "copying"]
        if not copying or copying[-1][1] == 0 or copying[-1][3] < 64 << 20 or [r[1:3] for r in copying] != sorted(r[1:3] for r in copying):
            raise AssertionError("progress: %s" % seen)

        c.execute("CALL mooncake.rebuild_table('m', wait => false)")
        watcher.execute("SELECT pg_terminate_backend(%d)" % wait_for_helper(watcher))
        wait_live(c, "m")
        compare(c, "large", "m", context="after a helper was terminated")

        c.execute("CALL mooncake.rebuild_table('m', wait => false)")
        wait_for_helper(watcher)
        if not server.kill("parallel worker"):
            raise AssertionError("no parallel worker was there to be killed")
        time.sleep(1)
        c = reconnect(server)  # a killed process restarts the server
        wait_live(c, "m")
        compare(c, "large", "m", context="after a helper was killed")

        c.execute("ALTER SYSTEM SET mooncake.copy_workers = 0")
        c.execute("SELECT pg_reload_conf()")
        c.execute("CALL mooncake.rebuild_table('m')")
        compare(c, "large", "m", context="without helpers")
        c.close()
    print("copied by several, interrupted, and by one: equal")
    return 0


if __name__ == "__main__":
    sys.exit(main())
