# SPDX-License-Identifier: Apache-2.0
"""ALTER TABLE of mirrored tables under a write load: after each, row table and mirror must have the same columns and the
same rows. Alterations come alone, in transactions with writes before and after them, large enough to be streamed, rolled
back wholly or to a savepoint, and across a restart of engine or capture worker. The seed is printed.

    schema_changes.py [--seed N] [--seconds N]
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
from ivy_server import Server, compare, wait_live  # noqa: E402

CONF = """
logical_decoding_work_mem = 64kB
max_locks_per_transaction = 256
log_min_error_statement = panic
"""
TYPES = ["numeric", "int", "bigint", "text", "varchar(20)", "numeric(8,2)", "date", "boolean", "double precision", "timestamp", "jsonb", "int[]"]
CONSTANTS = {"numeric": "0.1250", "int": "7", "bigint": "8", "text": "'nine'", "varchar(20)": "'ten'", "numeric(8,2)": "11.50", "date": "'2024-02-29'", "boolean": "true",
             "double precision": "1.5", "timestamp": "'2024-01-01 12:00'", "jsonb": "'{\"a\": 1}'", "int[]": "'{1,2}'"}


class Load:
    """Writes that know only the columns id and base, which stay."""

    def __init__(self, server, seed):
        self.server, self.rnd = server, random.Random(seed)
        self.stopping, self.error, self.writes = threading.Event(), None, 0
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self):
        try:
            c = self.server.connect(autocommit=True)
            while not self.stopping.is_set():
                key = self.rnd.randint(1, 500)
                self.execute(c, self.rnd.choice([
                    "INSERT INTO t (id, base) VALUES (%d, 'b') ON CONFLICT (id) DO UPDATE SET base = t.base || 'c'" % key,
                    "UPDATE t SET base = 'u%d' WHERE id %% 17 = %d" % (key, key % 17),
                    "DELETE FROM t WHERE id = %d" % key,
                    "UPDATE t SET id = id + 1000000 WHERE id = %d AND NOT EXISTS (SELECT 1 FROM t WHERE id = %d + 1000000)" % (key, key),
                ]))
                self.writes += 1
        except Exception as error:  # noqa: BLE001  the main thread reports it
            self.error = error

    @staticmethod
    def execute(c, statement):
        try:
            c.execute(statement)
        except (psycopg.errors.DeadlockDetected, psycopg.errors.UniqueViolation):
            pass

    def stop(self):
        self.stopping.set()
        self.thread.join()
        if self.error:
            raise self.error


class Alterer:
    def __init__(self, connection, rnd):
        self.c, self.rnd, self.names = connection, rnd, 0

    def columns(self):
        """(name, type) of the columns that may be altered."""
        return self.c.execute("SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 't'::regclass "
                              "AND attnum > 0 AND NOT attisdropped AND attname NOT IN ('id', 'base')").fetchall()

    def alteration(self):
        r, columns = self.rnd, self.columns()
        pick = r.random()
        if pick < 0.4 or not columns:
            self.names += 1
            kind = r.choice(TYPES)
            default = r.choice(["", "", " DEFAULT " + CONSTANTS[kind], " NOT NULL DEFAULT " + CONSTANTS[kind]])
            if kind == "double precision" and r.random() < 0.3:
                default = " DEFAULT random()"
            return 'ALTER TABLE t ADD COLUMN "C%d" %s%s' % (self.names, kind, default)
        name, kind = r.choice(columns)
        if pick < 0.65:
            return 'ALTER TABLE t DROP COLUMN "%s"' % name
        if pick < 0.8:
            self.names += 1
            return 'ALTER TABLE t RENAME COLUMN "%s" TO "R%d"' % (name, self.names)
        to = {"integer": ["bigint", "text", "numeric(12,2)"], "bigint": ["text"], "character varying(20)": ["varchar(40)", "text"],
              "numeric(8,2)": ["numeric(12,2)", "numeric(12,4)", "numeric"], "numeric": ["numeric(12,4)", "text"], "date": ["timestamp"], "text": ["text"]}.get(kind)
        if not to:
            return 'ALTER TABLE t ALTER "%s" DROP NOT NULL' % name
        return 'ALTER TABLE t ALTER "%s" TYPE %s' % (name, r.choice(to))

    def fill(self):
        """Gives a column values, so that rows differ in it."""
        columns = self.columns()
        if columns:
            name, kind = self.rnd.choice(columns)
            kind = {"integer": "int", "character varying(20)": "varchar(20)", "timestamp without time zone": "timestamp", "integer[]": "int[]"}.get(kind, kind)
            if kind in CONSTANTS:
                self.c.execute('UPDATE t SET "%s" = %s WHERE id %% %d = 0' % (name, CONSTANTS[kind], self.rnd.randint(2, 9)))

    def large(self):
        first = 10**7 + self.rnd.randint(1, 10**6) * 1000
        self.c.execute("INSERT INTO t (id, base) SELECT i, 'large' FROM generate_series(%d, %d) i ON CONFLICT DO NOTHING" % (first, first + self.rnd.randint(10, 3000)))

    def step(self):
        r = self.rnd
        if r.random() < 0.5:
            text = self.alteration()
            self.c.execute(text)
            self.fill()
            return text
        said = []
        self.c.execute("BEGIN")
        for _ in range(r.randint(1, 4)):
            savepoint = r.random() < 0.3
            if savepoint:
                self.c.execute("SAVEPOINT s")
            for action in r.sample([self.large, self.fill, self.large], r.randint(0, 2)):
                action()
            said.append(self.alteration())
            self.c.execute(said[-1])
            if r.random() < 0.5:
                self.large()
            if r.random() < 0.5:
                self.fill()
            if savepoint:
                said.append(r.choice(["ROLLBACK TO s", "RELEASE s"]))
                self.c.execute(said[-1])
        said.append(r.choice(["COMMIT", "COMMIT", "ROLLBACK"]))
        self.c.execute(said[-1])
        return "BEGIN; " + "; ".join(said)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randint(1, 10**9))
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    print("seed %d" % options.seed, flush=True)
    rnd = random.Random(options.seed)
    steps = at_once = 0
    with Server(conf=CONF) as server, server.connect(autocommit=True) as c:
        c.execute("CREATE TABLE t (gone int, id int PRIMARY KEY, base text, first int DEFAULT 3)")
        c.execute("ALTER TABLE t DROP COLUMN gone")
        c.execute("INSERT INTO t SELECT i, 'start' FROM generate_series(1, 300) i")
        c.execute("CALL mooncake.create_table('t_mirror', 't', '%s')" % rnd.choice(['{"numeric_scale": 4}', '{"numeric_scale": 3, "format_version": 2}', "{}"]))
        wait_live(c, "t_mirror")
        alterer = Alterer(c, rnd)
        load = Load(server, options.seed)
        try:
            deadline = time.monotonic() + options.seconds
            while time.monotonic() < deadline and not load.error:
                pick = rnd.random()
                if pick < 0.05:
                    server.kill("ivy_engine")
                elif pick < 0.1:
                    server.kill("pg_mooncake capture", signal.SIGTERM)
                elif pick < 0.2:
                    c.execute("CALL mooncake.create_snapshot('t_mirror')") if rnd.random() < 0.5 else None
                try:
                    said = alterer.step()
                except (psycopg.errors.DeadlockDetected, psycopg.errors.UniqueViolation) as error:
                    c.execute("ROLLBACK")
                    said = "an alteration that failed: %s" % type(error).__name__
                context = "seed %d, after %s" % (options.seed, said)
                try:
                    compare(c, "t", "t_mirror", context=context)
                    at_once += 1
                except psycopg.Error:  # being copied anew, or the engine was killed
                    wait_live(c, "t_mirror")
                    compare(c, "t", "t_mirror", context=context)
                steps += 1
                if steps % 40 == 0:  # rows of the large transactions
                    Load.execute(c, "DELETE FROM t WHERE id > 1000000")
        finally:
            load.stop()
        compare(c, "t", "t_mirror", context="seed %d, at the end" % options.seed)
        copies = c.execute("SELECT generation FROM mooncake.mirrors").fetchone()[0]
        if server.failures():
            raise AssertionError("seed %d: the mirror failed: %s" % (options.seed, server.failures()[:3]))
    print("%d alterations under %d writes; %d answered by the mirror at once, %d copies" % (steps, load.writes, at_once, copies))
    return 0


if __name__ == "__main__":
    sys.exit(main())
