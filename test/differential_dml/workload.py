# SPDX-License-Identifier: Apache-2.0
"""A random write load: everything that can happen to a mirrored table, in transactions of every shape.

Statements: INSERT of one and of many rows, COPY, ON CONFLICT, MERGE, UPDATE of values, of keys and of TOASTed rows without
touching the TOASTed value, DELETE, TRUNCATE. Transactions: plain, with nested savepoints that are released or rolled back,
with PL/pgSQL exception blocks, large enough to be streamed while they run, prepared and finished later, aborted.
"""

import io
import itertools
import random
import string

import psycopg

TABLES = ("plain", "wide", "pair", "ident")

# mirror: source, options, columns to compare (None: all)
MIRRORS = {
    "plain_mirror": ("plain", "{}", None),
    "wide_mirror": ("wide", "{}", None),
    "pair_mirror": ("pair", "{}", None),
    "ident_mirror": ("ident", "{}", None),
    "plain_scaled": ("plain", '{"numeric_scale": 5}', None),
    "plain_sorted": ("plain", '{"sort_column": ["n", "id"], "flush_interval": "300 ms"}', None),
    "wide_2": ("wide", '{"format_version": 2, "flush_rows": 200}', None),
    "pair_2": ("pair", '{"format_version": 2, "sort_column": "k1"}', None),
}

SCHEMA = """
CREATE TABLE plain (id int PRIMARY KEY, a bigint, b text, n numeric(12,2), x numeric DEFAULT 1.50);
-- Values of "doc" are stored out of line, uncompressed; values of "packed" are compressed.
CREATE TABLE wide (id bigint PRIMARY KEY, doc text, packed text, num int DEFAULT 7, gen int GENERATED ALWAYS AS (num * 2) STORED);
ALTER TABLE wide ALTER doc SET STORAGE EXTERNAL;
CREATE TABLE pair (k1 text, gone int, k2 int, v float8, d date, flag boolean, PRIMARY KEY (k2, k1));
ALTER TABLE pair DROP COLUMN gone;
CREATE TABLE ident (u uuid NOT NULL, t timestamptz, ts timestamp, free numeric, j jsonb, arr int[]);
CREATE UNIQUE INDEX ident_key ON ident (u);
ALTER TABLE ident REPLICA IDENTITY USING INDEX ident_key;
CREATE FUNCTION try_insert(first int, count int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN first .. first + count LOOP
        BEGIN
            INSERT INTO plain VALUES (i, i, 'tried', 0);
            IF i % 3 = 0 THEN RAISE EXCEPTION 'no'; END IF;
        EXCEPTION WHEN others THEN
            UPDATE plain SET b = 'caught' WHERE id = i;
        END;
    END LOOP;
END $$;
"""


def long_text(rnd, size):
    # Random enough not to compress to nothing.
    return "".join(rnd.choices(string.ascii_letters, k=64)) * (size // 64)


class Session:
    """One client with its own generator; run() executes one random transaction."""

    prepared_names = itertools.count(1)

    def __init__(self, connection, seed, keys=400, big=20000, truncate=True, prepare=True):
        self.c, self.rnd, self.keys, self.big = connection, random.Random(seed), keys, big
        self.truncate, self.prepare = truncate, prepare
        self.prepared = []
        self.done = self.failed = 0

    # --- statements ---

    def key(self):
        return self.rnd.randint(1, self.keys)

    def uuid(self):
        return "00000000-0000-0000-0000-%012d" % self.key()

    def text(self):
        return self.rnd.choice([None, "", "x", "ä€𝄞", "it's", "back\\slash", "tab\tnewline\n", self.rnd.choice(string.ascii_letters) * 20])

    def insert(self):
        r = self.rnd
        pick = r.random()
        if pick < 0.3:
            self.c.execute("INSERT INTO plain VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING", (self.key(), r.randint(-2**62, 2**62), self.text(), r.randint(-10**9, 10**9) / 100))
        elif pick < 0.5:
            self.c.execute("INSERT INTO wide (id, doc, packed, num) VALUES (%s, %s, %s, %s) ON CONFLICT (id) DO UPDATE SET num = wide.num + 1",
                           (self.key(), long_text(r, r.choice([0, 100, 3000, 9000])), "p" * r.choice([0, 50, 5000, 20000]), r.randint(0, 100)))
        elif pick < 0.7:
            self.c.execute("INSERT INTO pair (k1, k2, v, d, flag) VALUES (%s, %s, %s, %s, %s) ON CONFLICT (k1, k2) DO UPDATE SET v = EXCLUDED.v, flag = NOT pair.flag",
                           (r.choice(["", "a", "ä", "long" * 50]), self.key(), r.choice([0.0, -0.0, float("nan"), float("inf"), r.uniform(-1, 1)]),
                            r.choice([None, "2024-02-29", "infinity", "0044-03-15 BC"]), r.choice([None, True, False])))
        elif pick < 0.85:
            self.c.execute("INSERT INTO ident VALUES (%s, now(), %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                           (self.uuid(), r.choice([None, "infinity", "2020-01-01 00:00:00.123456"]), r.choice([None, "1.50", "1e30", "NaN", "-0.0001"]),
                            r.choice([None, '{"a": [1, 2.50]}', "null"]), r.choice([None, [], [1, None, 3]])))
        else:
            first = self.key()
            self.c.execute("INSERT INTO plain SELECT i, i, 'many ' || i, i / 3.0 FROM generate_series(%s::int, %s::int) i ON CONFLICT DO NOTHING", (first, first + r.randint(1, 50)))

    def copy(self):
        first = self.keys + self.rnd.randint(1, 10**7) * 100
        rows = self.rnd.randint(1, 99)
        with self.c.cursor() as cursor, cursor.copy("COPY plain (id, a, b, n) FROM STDIN") as copy:
            copy.write("".join("%d\t%d\tcopied %d\t%d.%02d\n" % (first + i, i, i, i, i % 100) for i in range(rows)))

    def update(self):
        r = self.rnd
        self.c.execute(*r.choice([
            ("UPDATE plain SET a = a + 1, b = %s WHERE id = %s", (self.text(), self.key())),
            ("UPDATE plain SET n = n + 0.01 WHERE id %% %s = 0", (r.randint(5, 50),)),
            ("UPDATE plain SET x = round(x - id / 7.0, id %% 6) WHERE id %% %s = 0", (r.randint(3, 20),)),
            ("UPDATE plain SET id = %s WHERE id = %s", (self.keys + r.randint(1, 10**9), self.key())),
            ("UPDATE plain SET id = id WHERE id = %s", (self.key(),)),
            ("UPDATE wide SET num = num + 1 WHERE id %% %s = 0", (r.randint(3, 30),)),
            ("UPDATE wide SET num = NULL, packed = packed || 'x' WHERE id = %s", (self.key(),)),
            ("UPDATE wide SET doc = doc || 'y' WHERE id = %s", (self.key(),)),
            ("UPDATE wide SET id = -id WHERE id = %s", (self.key(),)),
            ("UPDATE pair SET k1 = k1 || 'z', v = -v WHERE k2 = %s", (self.key(),)),
            ("UPDATE pair SET flag = NOT flag WHERE k2 %% %s = 0", (r.randint(3, 30),)),
            ("UPDATE ident SET free = free * 1.10, arr = arr || 4 WHERE u = %s", (self.uuid(),)),
            ("UPDATE ident SET u = gen_random_uuid() WHERE u = %s", (self.uuid(),)),
        ]))

    def delete(self):
        r = self.rnd
        self.c.execute(*r.choice([
            ("DELETE FROM plain WHERE id = %s", (self.key(),)),
            ("DELETE FROM plain WHERE id %% %s = %s", (r.randint(20, 60), r.randint(0, 19))),
            ("DELETE FROM wide WHERE id = %s", (self.key(),)),
            ("DELETE FROM pair WHERE k2 = %s", (self.key(),)),
            ("DELETE FROM ident WHERE u = %s", (self.uuid(),)),
        ]))

    def merge(self):
        self.c.execute("MERGE INTO plain t USING (SELECT i FROM generate_series(%s::int, %s::int) i) s ON t.id = s.i "
                       "WHEN MATCHED AND t.a %% 2 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET a = t.a + 1 "
                       "WHEN NOT MATCHED THEN INSERT VALUES (s.i, s.i, 'merged', 1)", (first := self.key(), first + self.rnd.randint(0, 20)))

    def blocks(self):
        self.c.execute("SELECT try_insert(%s::int, %s::int)", (self.key(), self.rnd.randint(1, 30)))

    def large(self):
        first = self.keys + self.rnd.randint(1, 10**8) * 10
        self.c.execute("INSERT INTO plain (id, a, b, n) SELECT i, -i, repeat('large', 5), 0 FROM generate_series(%s::int, %s::int) i ON CONFLICT DO NOTHING", (first, first + self.rnd.randint(100, self.big)))
        if self.rnd.random() < 0.5:
            self.c.execute("UPDATE plain SET a = 0 WHERE id BETWEEN %s AND %s", (first + 10, first + self.big // 2))
        if self.rnd.random() < 0.7:
            self.c.execute("DELETE FROM plain WHERE id >= %s AND id <= %s", (first, first + self.big))

    def statement(self):
        pick = self.rnd.random()
        if pick < 0.34:
            self.insert()
        elif pick < 0.62:
            self.update()
        elif pick < 0.76:
            self.delete()
        elif pick < 0.82:
            self.merge()
        elif pick < 0.88:
            self.copy()
        elif pick < 0.93:
            self.blocks()
        elif pick < 0.97:
            self.large()
        elif pick < 0.973 and self.truncate:
            self.c.execute("TRUNCATE " + self.rnd.choice(["plain", "wide, pair", "ident", "pair"]))
        else:
            self.c.execute("SELECT 1")

    def statements(self, depth=0):
        for _ in range(self.rnd.randint(1, 6)):
            if self.rnd.random() < 0.2 and depth < 4:
                name = "s%d" % depth
                self.c.execute("SAVEPOINT " + name)
                try:
                    self.statements(depth + 1)
                    self.c.execute(self.rnd.choice(["RELEASE ", "ROLLBACK TO ", "RELEASE "]) + name)
                except psycopg.errors.UniqueViolation:
                    self.c.execute("ROLLBACK TO " + name)
            else:
                self.statement()

    # --- transactions ---

    def run(self):
        try:
            if self.prepared and self.rnd.random() < 0.5:
                name = self.prepared.pop(0)
                self.c.execute("%s PREPARED '%s'" % (self.rnd.choice(["COMMIT", "COMMIT", "ROLLBACK"]), name))
                return
            if self.rnd.random() < 0.3:
                self.statement()  # a transaction of its own
            else:
                self.c.execute("BEGIN")
                self.statements()
                pick = self.rnd.random()
                if pick < 0.12:
                    self.c.execute("ROLLBACK")
                elif pick < 0.2 and self.prepare and len(self.prepared) < 2:
                    name = "p%d" % next(self.prepared_names)
                    self.c.execute("PREPARE TRANSACTION '%s'" % name)
                    self.prepared.append(name)
                else:
                    self.c.execute("COMMIT")
            self.done += 1
        except (psycopg.errors.UniqueViolation, psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled,
                psycopg.errors.NumericValueOutOfRange, psycopg.errors.CardinalityViolation):
            self.failed += 1
            self.c.execute("ROLLBACK")

    def finish(self):
        """Ends what is still prepared."""
        while self.prepared:
            self.c.execute("%s PREPARED '%s'" % (self.rnd.choice(["COMMIT", "ROLLBACK"]), self.prepared.pop()))


def create(connection):
    connection.execute(SCHEMA)


def repair(connection):
    """Nothing that is interrupted here stays half done."""


def alter(connection, rnd):
    """One change of a definition; the load's statements name no column that comes and goes."""
    table = rnd.choice(TABLES)
    added = [name for (name,) in connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attname ~ '^added' AND NOT attisdropped", (table,))]
    choices = ["ADD COLUMN added_%d %s" % (rnd.randint(1, 10**9), kind) for kind in (
        "int", "int DEFAULT 7", "text NOT NULL DEFAULT 'x'", "float8 DEFAULT random()", "numeric(10,2)")]
    if added:
        name = rnd.choice(added)
        choices += ["DROP COLUMN " + name, "DROP COLUMN " + name, "RENAME COLUMN %s TO added_%d" % (name, rnd.randint(1, 10**9)),
                    "ALTER COLUMN %s DROP NOT NULL" % name, "ALTER COLUMN %s TYPE text" % name]
    if len(added) > 6:
        choices = ["DROP COLUMN " + name for name in added]
    try:
        pick = rnd.random()
        if pick < 0.05:
            connection.execute("VACUUM FULL " + table)
        elif pick < 0.3:
            # Changes of a definition and of rows in one transaction, some of it rolled back.
            with connection.transaction():
                connection.execute("ALTER TABLE %s %s" % (table, rnd.choice(choices)))
                connection.execute("DELETE FROM plain WHERE id %% 97 = %s", (rnd.randint(0, 96),))
                with connection.transaction() as inner:
                    connection.execute("ALTER TABLE %s ADD COLUMN added_%d int DEFAULT 1" % (table, rnd.randint(1, 10**9)))
                    if rnd.random() < 0.5:
                        raise psycopg.Rollback(inner)
                if rnd.random() < 0.3:
                    raise psycopg.Rollback()
        else:
            connection.execute("ALTER TABLE %s %s" % (table, rnd.choice(choices)))
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected, psycopg.errors.QueryCanceled,
            psycopg.errors.ObjectInUse, psycopg.errors.UndefinedColumn):
        pass
    except psycopg.Rollback as error:  # could not be sent
        raise psycopg.OperationalError("the connection is lost") from error


def connect(make, seed, **options):
    """A session on a new connection; its statements never wait long for each other."""
    connection = make(autocommit=True)
    connection.execute("SET lock_timeout = '2s'")
    connection.execute("SET deadlock_timeout = '100ms'")
    return Session(connection, seed, **options)
