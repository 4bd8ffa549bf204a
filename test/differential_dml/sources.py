# SPDX-License-Identifier: Apache-2.0
"""Sources of every kind under random changes: partitioned tables of several levels with rows that move, partitions that come
and go, tables without keys whose rows repeat, inheritance, append-only tables, mirrors that store some columns only, several
mirrors of one source. Several sessions write, one alters; at any moment a source and its mirror are compared in one snapshot.
The seed is printed.

    sources.py [--seed N] [--seconds N] [--sessions N] [--kill]
"""

import argparse
import os
import random
import sys
import threading
import time

import psycopg

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from ivy_server import Server, compare, wait_live  # noqa: E402

CONF = """
logical_decoding_work_mem = 64kB
max_locks_per_transaction = 512
max_worker_processes = 16
mooncake.flush_interval = 3s
log_min_error_statement = panic
"""

SCHEMA = """
CREATE TABLE part (id int, day int, region text, v numeric(10,2), doc text, twice int GENERATED ALWAYS AS (id * 2) STORED,
                   PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
ALTER TABLE part ALTER doc SET STORAGE EXTERNAL;
CREATE TABLE part_0 PARTITION OF part FOR VALUES FROM (0) TO (10);
CREATE TABLE part_1 (doc text, day int NOT NULL, gone int, v numeric(10,2), region text, id int NOT NULL,
                     twice int GENERATED ALWAYS AS (id * 2) STORED) PARTITION BY LIST (day);
ALTER TABLE part_1 DROP COLUMN gone;
CREATE TABLE part_1a PARTITION OF part_1 FOR VALUES IN (10, 11, 12);
CREATE TABLE part_1b PARTITION OF part_1 DEFAULT;
ALTER TABLE part ATTACH PARTITION part_1 FOR VALUES FROM (10) TO (20);
CREATE TABLE part_rest PARTITION OF part DEFAULT;

CREATE TABLE bag (a int, b text, n numeric, f float8);
ALTER TABLE bag REPLICA IDENTITY FULL;

CREATE TABLE parent (a int, b text);
CREATE TABLE child (own int) INHERITS (parent);
CREATE TABLE grandchild (x int, b text, own int, a int);
ALTER TABLE grandchild DROP COLUMN x;
ALTER TABLE grandchild INHERIT child;
ALTER TABLE parent REPLICA IDENTITY FULL;
ALTER TABLE child REPLICA IDENTITY FULL;
ALTER TABLE grandchild REPLICA IDENTITY FULL;

CREATE TABLE log (at int, what text);

-- referenced rows are changed and removed by foreign keys and triggers
CREATE TABLE master (id int PRIMARY KEY, name text);
CREATE TABLE detail (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, master int REFERENCES master ON UPDATE CASCADE ON DELETE CASCADE, note text);
CREATE TABLE tally (name text PRIMARY KEY, rows int);
CREATE FUNCTION count_detail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tally VALUES (coalesce(NEW.note, OLD.note), 1) ON CONFLICT (name) DO UPDATE SET rows = tally.rows + 1;
    RETURN NULL;
END $$;
CREATE TRIGGER count_detail AFTER INSERT OR DELETE ON detail FOR EACH ROW EXECUTE FUNCTION count_detail();
CREATE FUNCTION attempt(n int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. n LOOP
        BEGIN
            INSERT INTO bag VALUES (i, 'attempt', i / 3.0, NULL);
            INSERT INTO part VALUES (-i, 3, 'attempt', 0, NULL);
            IF i % 2 = 0 THEN RAISE division_by_zero; END IF;
        EXCEPTION WHEN division_by_zero OR unique_violation THEN
            INSERT INTO log VALUES (i, 'caught');
        END;
    END LOOP;
END $$;
"""

# mirror: source, options, columns to compare (None: all)
MIRRORS = {
    "m_part": ("part", "{}", None),
    "m_some": ("part", '{"columns": ["id", "day", "v"]}', ["id", "day", "v"]),
    "m_sub": ("part_1", "{}", None),
    "m_leaf": ("part_0", "{}", None),
    "m_bag": ("bag", '{"identity": "full"}', None),
    "m_parent": ("parent", '{"identity": "full"}', None),
    "m_log": ("log", '{"identity": "append_only", "flush_rows": 50}', None),
    "m_master": ("master", '{"identity": "primary_key"}', None),
    "m_detail": ("detail", "{}", None),
    "m_detail2": ("detail", '{"flush_interval": "50 ms"}', None),
    "m_tally": ("tally", "{}", None),
}
EXPECTED = (psycopg.errors.UniqueViolation, psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable, psycopg.errors.CheckViolation,
            psycopg.errors.ForeignKeyViolation, psycopg.errors.UndefinedTable, psycopg.errors.SerializationFailure, psycopg.errors.ObjectNotInPrerequisiteState)


def statement(r):
    key, day = r.randint(1, 300), r.randint(-3, 25)
    text = r.choice(["NULL", "''", "'x'", "'ä€'", "repeat('w', 3000)", "repeat(md5(random()::text), 200)"])
    return r.choice([
        "INSERT INTO part VALUES (%d, %d, 'r%d', %d, %s) ON CONFLICT (id, day) DO UPDATE SET v = part.v + 1" % (key, day, day, key, text),
        "INSERT INTO part SELECT i, i %% 25, 'many', i / 7.0 FROM generate_series(%d, %d) i ON CONFLICT DO NOTHING" % (key, key + r.randint(1, 200)),
        "UPDATE part SET day = day + %d WHERE id %% 23 = %d" % (r.choice([-11, 1, 9, 30]), key % 23),
        "UPDATE part SET v = v + 1 WHERE id %% 7 = %d" % (key % 7),
        "UPDATE part_1 SET region = %s, day = 10 + (day + 1) %% 10 WHERE id %% 11 = %d" % (text, key % 11),
        "UPDATE part SET doc = %s WHERE id = %d" % (text, key),
        "UPDATE part SET id = id + 1000 WHERE id = %d AND day = %d" % (key, day),
        "DELETE FROM part WHERE id %% 31 = %d" % (key % 31),
        "DELETE FROM part_rest WHERE id < %d" % (key // 4),
        "INSERT INTO bag SELECT %d, %s, %s, %s FROM generate_series(1, %d)" % (key % 5, r.choice(["NULL", "'b'", text]), r.choice(["1.5", "1.50", "'NaN'", "NULL"]), r.choice(["0", "-0.0", "'NaN'", "NULL"]), r.randint(1, 5)),
        "DELETE FROM bag WHERE ctid IN (SELECT ctid FROM bag WHERE a = %d LIMIT %d)" % (key % 5, r.randint(1, 4)),
        "UPDATE bag SET n = n + 1 WHERE ctid IN (SELECT ctid FROM bag WHERE a IS NOT DISTINCT FROM %d LIMIT 3)" % (key % 5),
        "UPDATE bag SET b = %s WHERE a = %d AND n IS NULL" % (text, key % 5),
        "INSERT INTO parent VALUES (%d, %s)" % (key % 9, text),
        "INSERT INTO child VALUES (%d, %s, %d)" % (key % 9, text, key),
        "INSERT INTO grandchild (a, b) VALUES (%d, 'same'), (%d, 'same')" % (key % 9, key % 9),
        "UPDATE parent SET b = b || '!' WHERE a = %d AND length(b) < 100" % (key % 9),
        "DELETE FROM parent WHERE a = %d AND b = 'same'" % (key % 9),
        "DELETE FROM ONLY parent WHERE a = %d" % (key % 9),
        "INSERT INTO log SELECT i, 'l' FROM generate_series(1, %d) i" % r.randint(1, 30),
        "INSERT INTO master VALUES (%d, 'm') ON CONFLICT DO NOTHING" % (key % 40),
        "INSERT INTO detail (master, note) SELECT id, 'n' || id %% 5 FROM master WHERE id %% 3 = %d" % (key % 3),
        "UPDATE master SET id = id + 100 WHERE id = %d" % (key % 140),
        "DELETE FROM master WHERE id = %d" % (key % 140),
        "SELECT attempt(%d)" % r.randint(1, 12),
        "MERGE INTO part t USING (SELECT i FROM generate_series(%d, %d) i) s ON t.id = s.i AND t.day = 5 WHEN MATCHED THEN UPDATE SET v = 0 "
        "WHEN NOT MATCHED THEN INSERT (id, day, v) VALUES (s.i, 5, 1)" % (key, key + 5),
    ])


def change_tables(r):
    """Statements of one transaction that changes what tables there are and what they are like."""
    return r.choice([
        ["TRUNCATE part_0"], ["TRUNCATE part_1"], ["TRUNCATE part"], ["TRUNCATE bag"], ["TRUNCATE parent"], ["TRUNCATE ONLY parent"], ["TRUNCATE child, log"],
        ["TRUNCATE master, detail"], ["TRUNCATE log"],
        ["CREATE TABLE part_new PARTITION OF part FOR VALUES FROM (100) TO (110)", "INSERT INTO part SELECT i, 100 FROM generate_series(1, 20) i"],
        ["DROP TABLE IF EXISTS part_new"],
        ["ALTER TABLE part DETACH PARTITION part_new", "INSERT INTO part_new (id, day) VALUES (77, 105) ON CONFLICT DO NOTHING"],
        ["ALTER TABLE part ATTACH PARTITION part_new FOR VALUES FROM (100) TO (110)"],
        ["ALTER TABLE part_1 DETACH PARTITION part_1a"],
        ["ALTER TABLE part_1 ATTACH PARTITION part_1a FOR VALUES IN (10, 11, 12)"],
        ["CREATE TABLE late () INHERITS (child)", "ALTER TABLE late REPLICA IDENTITY FULL", "INSERT INTO late VALUES (1, 'late', 2)"],
        ["ALTER TABLE late NO INHERIT child"], ["ALTER TABLE late INHERIT child"], ["DROP TABLE IF EXISTS late"],
        ["ALTER TABLE part ADD COLUMN IF NOT EXISTS extra int", "UPDATE part SET extra = 1 WHERE id % 9 = 0"],
        ["ALTER TABLE part ADD COLUMN IF NOT EXISTS extra int DEFAULT 5"],
        ["ALTER TABLE part DROP COLUMN IF EXISTS extra"],
        ["ALTER TABLE bag ADD COLUMN IF NOT EXISTS extra text", "INSERT INTO bag (a, extra) VALUES (1, 'e'), (1, 'e')"],
        ["ALTER TABLE bag DROP COLUMN IF EXISTS extra"],
        ["ALTER TABLE parent ADD COLUMN IF NOT EXISTS extra int"], ["ALTER TABLE parent DROP COLUMN IF EXISTS extra"],
        ["ALTER TABLE detail RENAME COLUMN note TO notes", "UPDATE detail SET notes = 'renamed' WHERE id % 5 = 0", "ALTER TABLE detail RENAME COLUMN notes TO note"],
        ["ALTER TABLE part ALTER COLUMN v TYPE numeric(12,2)"], ["ALTER TABLE part ALTER COLUMN v TYPE numeric(10,2)"],
        ["CLUSTER part_0 USING part_0_pkey"], ["ALTER TABLE master REPLICA IDENTITY FULL"], ["ALTER TABLE master REPLICA IDENTITY DEFAULT"],
    ])


class Writer(threading.Thread):
    def __init__(self, server, seed):
        super().__init__()
        self.c, self.r = server.connect(autocommit=True), random.Random(seed)
        self.c.execute("SET lock_timeout = '2s'; SET deadlock_timeout = '100ms'")
        self.stopping, self.error, self.transactions = threading.Event(), None, 0

    def run(self):
        try:
            while not self.stopping.is_set():
                self.transaction()
        except Exception as error:  # noqa: BLE001  the main thread reports it
            self.error = error

    def transaction(self):
        try:
            if self.r.random() < 0.4:
                self.c.execute(statement(self.r))
            else:
                self.c.execute("BEGIN")
                for _ in range(self.r.randint(1, 6)):
                    if self.r.random() < 0.25:
                        self.c.execute("SAVEPOINT s")
                        self.c.execute(statement(self.r))
                        self.c.execute(self.r.choice(["ROLLBACK TO s", "RELEASE s"]))
                    else:
                        self.c.execute(statement(self.r))
                self.c.execute(self.r.choice(["COMMIT", "COMMIT", "COMMIT", "ROLLBACK"]))
            self.transactions += 1
        except EXPECTED:
            self.c.execute("ROLLBACK")


def alter(c, r):
    """One transaction of DDL, perhaps with a savepoint that is rolled back, perhaps rolled back. What it said."""
    said = change_tables(r)
    if said[0].startswith("CLUSTER"):
        c.execute(said[0])
        return said[0]
    if r.random() < 0.2:
        said = ["SAVEPOINT s"] + change_tables(r) + ["ROLLBACK TO s"] + said
        said = [s for s in said if not s.startswith("CLUSTER")]
    said.append(r.choice(["COMMIT", "COMMIT", "COMMIT", "ROLLBACK"]))
    c.execute("BEGIN")
    try:
        for one in said:
            c.execute(one)
    except psycopg.Error as error:
        c.execute("ROLLBACK")
        return "%s, which failed: %s" % ("; ".join(said), type(error).__name__)
    return "; ".join(said)


def check(c, mirror, context):
    source, _, columns = MIRRORS[mirror]
    deadline = time.monotonic() + 90
    while True:
        try:
            return compare(c, source, mirror, columns=columns, context=context)
        except psycopg.Error as error:
            state, why = c.execute("SELECT state, error FROM mooncake.mirrors WHERE mirror = %s::regclass", (mirror,)).fetchone()
            if state == "error" and "can't be captured" not in (why or ""):
                raise AssertionError("%s: mirror %s failed: %s" % (context, mirror, why)) from error
            if state == "error" or time.monotonic() > deadline:
                print(c.execute("SELECT mooncake.engine_status()").fetchone()[0], file=sys.stderr)
                raise
            time.sleep(0.05)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randint(1, 10**9))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--sessions", type=int, default=3)
    parser.add_argument("--kill", action="store_true")
    options = parser.parse_args()
    print("seed %d" % options.seed, flush=True)
    r = random.Random(options.seed)
    checks = ddl = 0
    said = "the start"
    with Server(conf=CONF) as server, server.connect(autocommit=True) as c:
        c.execute(SCHEMA)
        c.execute("SET deadlock_timeout = '200ms'")
        writers = [Writer(server, options.seed + i) for i in range(options.sessions)]
        for writer in writers:
            writer.start()
        try:
            time.sleep(0.5)
            for mirror, (source, given, _) in MIRRORS.items():
                c.execute("CALL mooncake.create_table('%s', '%s', '%s')" % (mirror, source, given))
            deadline = time.monotonic() + options.seconds
            while time.monotonic() < deadline and not any(writer.error for writer in writers):
                pick = r.random()
                if pick < 0.15:
                    said = alter(c, r)
                    ddl += 1
                elif pick < 0.2:
                    try:
                        c.execute("CALL mooncake.create_snapshot('%s')" % r.choice(["m_detail2", "m_tally"]))
                    except (psycopg.errors.ObjectNotInPrerequisiteState, psycopg.errors.ConnectionFailure):
                        pass  # it is being copied, or the engine was killed
                elif pick < 0.22:
                    c.execute("CALL mooncake.rebuild_table('%s', wait => false)" % r.choice(["m_tally", "m_bag", "m_part"]))
                elif pick < 0.23 and options.kill:
                    server.kill(r.choice(["ivy_engine", "pg_mooncake copy"]), 9 if r.random() < 0.5 else 15)
                else:
                    mirror = r.choice(list(MIRRORS))
                    check(c, mirror, "seed %d, after %s" % (options.seed, said))
                    checks += 1
        finally:
            for writer in writers:
                writer.stopping.set()
            for writer in writers:
                writer.join()
        for writer in writers:
            if writer.error:
                raise writer.error
        for mirror in MIRRORS:
            print("%-10s %s rows equal" % (mirror, check(c, mirror, "seed %d, at the end" % options.seed)[0]))
        copies = c.execute("SELECT sum(generation) FROM mooncake.mirrors").fetchone()[0]
    print("%d checks, %d alterations, %d copies under %d transactions" % (checks, ddl, copies, sum(writer.transactions for writer in writers)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
