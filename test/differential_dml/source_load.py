# SPDX-License-Identifier: Apache-2.0
"""Sources of every kind and what happens to them: partitioned tables of several levels with rows that move, partitions that come
and go, tables without keys whose rows repeat, inheritance, append-only tables, mirrors that store some columns only, several
mirrors of one source, foreign keys and triggers; and every kind of DDL, in transactions with writes before and after it.

For sources.py and crash.py: SCHEMA, MIRRORS, Session, alter, repair.
"""

import itertools
import random

import psycopg

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

-- below child, besides parent
CREATE TABLE other_parent (b text, a int);
ALTER TABLE other_parent REPLICA IDENTITY FULL;

CREATE TABLE log (at int, what text);

-- referenced rows are changed and removed by foreign keys and triggers
CREATE TABLE master (id int PRIMARY KEY, name text);
CREATE TYPE feeling AS ENUM ('sad', 'glad');
-- rows that a foreign key moves from one partition to another
CREATE TABLE piece (n int, master int REFERENCES master ON UPDATE CASCADE ON DELETE CASCADE, v text, PRIMARY KEY (n, master)) PARTITION BY RANGE (master);
CREATE TABLE piece_1 PARTITION OF piece FOR VALUES FROM (MINVALUE) TO (100);
CREATE TABLE piece_2 (v text, master int NOT NULL, n int NOT NULL);
ALTER TABLE piece ATTACH PARTITION piece_2 FOR VALUES FROM (100) TO (MAXVALUE);
CREATE TABLE detail (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, master int REFERENCES master ON UPDATE CASCADE ON DELETE CASCADE, note text,
                     felt feeling[], since timestamp DEFAULT now());
CREATE TABLE tally (name text PRIMARY KEY, rows int);
CREATE FUNCTION count_detail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tally VALUES (coalesce(NEW.note, OLD.note), 1) ON CONFLICT (name) DO UPDATE SET rows = tally.rows + 1;
    RETURN NULL;
END $$;
CREATE TRIGGER count_detail AFTER INSERT OR DELETE ON detail FOR EACH ROW EXECUTE FUNCTION count_detail();

-- without a default partition: DETACH ... CONCURRENTLY is possible
CREATE TABLE ring (id int, slot int, v text, PRIMARY KEY (id, slot)) PARTITION BY LIST (slot);
CREATE TABLE ring_0 PARTITION OF ring FOR VALUES IN (0);
CREATE TABLE ring_1 (v text, slot int NOT NULL, id int NOT NULL);
ALTER TABLE ring ATTACH PARTITION ring_1 FOR VALUES IN (1);
CREATE TABLE ring_2 PARTITION OF ring FOR VALUES IN (2, 3) PARTITION BY LIST (slot);
CREATE TABLE ring_2a PARTITION OF ring_2 FOR VALUES IN (2);
CREATE TABLE ring_2b PARTITION OF ring_2 FOR VALUES IN (3);

-- its partitions come and go in every shape, its columns as well
CREATE TABLE mix (id int, d int, v text, n numeric, PRIMARY KEY (id, d)) PARTITION BY LIST (d);
CREATE TABLE mix_0 PARTITION OF mix FOR VALUES IN (0);

CREATE SCHEMA aside;
CREATE ROLE somebody;
GRANT ALL ON SCHEMA public, aside TO somebody;
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
    "m_other": ("other_parent", '{"identity": "full"}', None),
    "m_piece": ("piece", "{}", None),
    "m_log": ("log", '{"identity": "append_only", "flush_rows": 50}', None),
    "m_master": ("master", '{"identity": "primary_key"}', None),
    "m_detail": ("detail", "{}", None),
    "m_detail2": ("detail", '{"flush_interval": "50 ms"}', None),
    "m_tally": ("tally", "{}", None),
    "m_part2": ("part", '{"format_version": 2, "sort_column": ["day", "id"], "flush_interval": "300 ms"}', None),
    "m_bag2": ("bag", '{"identity": "full", "sort_column": "a", "format_version": 2}', None),
    "m_ring": ("ring", '{"flush_rows": 100}', None),
    "m_mix": ("mix", "{}", None),
    "m_mix2": ("mix", '{"columns": ["id", "d", "v"], "flush_interval": "200 ms"}', ["id", "d", "v"]),
    "m_ring2": ("ring_2", '{"sort_column": "v"}', None),
}
TABLESPACE = ["SET allow_in_place_tablespaces = on", "CREATE TABLESPACE elsewhere LOCATION ''"]  # each by itself
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
        "COPY log (at) FROM PROGRAM 'seq 1 %d'" % r.randint(1, 200),
        "UPDATE detail SET felt = '{%s}' WHERE id %% 7 = %d" % (r.choice(["sad", "glad", "glad,sad"]), key % 7),
        "INSERT INTO ring SELECT i, i %% 4, 'ring' FROM generate_series(%d, %d) i ON CONFLICT DO NOTHING" % (key, key + r.randint(1, 60)),
        "UPDATE ring SET slot = (slot + %d) %% 4 WHERE id %% 13 = %d" % (r.randint(1, 3), key % 13),
        "UPDATE ring_2 SET v = %s WHERE id %% 5 = %d" % (text, key % 5),
        "INSERT INTO mix (id, d, v) SELECT i, 0, %s FROM generate_series(%d, %d) i ON CONFLICT DO NOTHING" % (text, key, key + r.randint(1, 40)),
        "UPDATE mix SET d = %d WHERE id %% 13 = %d" % (key % 4, key % 13),
        "DELETE FROM mix WHERE id %% 17 = %d" % (key % 17),
        "INSERT INTO piece SELECT %d, id, 'piece' FROM master ON CONFLICT DO NOTHING" % (key % 9),
        "UPDATE piece SET v = %s WHERE n = %d" % (text, key % 9),
        "INSERT INTO other_parent VALUES ('same', %d), ('same', %d)" % (key % 9, key % 9),
        "DELETE FROM other_parent WHERE a = %d" % (key % 9),
        "DELETE FROM ring WHERE id %% 17 = %d" % (key % 17),
        "DELETE FROM ring_1 WHERE id < %d" % (key // 3),
    ])


# Transactions that change what tables there are and what they are like, with changes of rows. Labels, partitions and columns come
# and go, so many of them fail, each at some statement, and are rolled back.
CHANGES = [
    ["TRUNCATE part_0"], ["TRUNCATE part_1"], ["TRUNCATE part"], ["TRUNCATE bag"], ["TRUNCATE parent"], ["TRUNCATE ONLY parent"], ["TRUNCATE child, log"],
    ["TRUNCATE master CASCADE"], ["TRUNCATE log"], ["TRUNCATE part_1a, part_0"], ["TRUNCATE ring_2"], ["TRUNCATE ring_1, ring_2a"],
    ["TRUNCATE bag", "COPY bag (a) FROM PROGRAM 'seq 1 60' WITH (FREEZE)"],
    ["TRUNCATE part_0", "INSERT INTO part SELECT i, 3 FROM generate_series(1, 50) i", "TRUNCATE part_0"],
    ["SAVEPOINT f", "TRUNCATE tally", "COPY tally (name) FROM PROGRAM 'seq 1 40' WITH (FREEZE)", "RELEASE f", "UPDATE tally SET rows = 1"],
    ["CREATE TABLE part_new PARTITION OF part FOR VALUES FROM (100) TO (110)", "INSERT INTO part SELECT i, 100 FROM generate_series(1, 20) i"],
    ["DROP TABLE IF EXISTS part_new"],
    ["ALTER TABLE part DETACH PARTITION part_new", "INSERT INTO part_new (id, day) VALUES (77, 105) ON CONFLICT DO NOTHING"],
    ["DELETE FROM part_rest WHERE day BETWEEN 100 AND 109", "ALTER TABLE part ATTACH PARTITION part_new FOR VALUES FROM (100) TO (110)"],
    ["ALTER TABLE part_1 DETACH PARTITION part_1a", "INSERT INTO part_1a (id, day) VALUES (78, 11) ON CONFLICT DO NOTHING"],
    ["DELETE FROM part WHERE day BETWEEN 10 AND 12", "ALTER TABLE part_1 ATTACH PARTITION part_1a FOR VALUES IN (10, 11, 12)"],
    ["ALTER TABLE part DETACH PARTITION part_1", "DELETE FROM part_1 WHERE id % 3 = 0", "UPDATE part_1 SET day = 13 WHERE id % 3 = 1 AND day = 14"],
    ["DELETE FROM part_rest WHERE day BETWEEN 10 AND 19", "ALTER TABLE part ATTACH PARTITION part_1 FOR VALUES FROM (10) TO (20)", "UPDATE part SET v = 3 WHERE day = 15"],
    ["ALTER TABLE part DETACH PARTITION part_1", "DELETE FROM part_rest WHERE day BETWEEN 10 AND 19", "ALTER TABLE part ATTACH PARTITION part_1 FOR VALUES FROM (10) TO (20)"],
    ["ALTER TABLE part DETACH PARTITION part_rest", "DELETE FROM part_rest WHERE id % 2 = 0", "ALTER TABLE part ATTACH PARTITION part_rest DEFAULT"],
    ["ALTER TABLE ring DETACH PARTITION ring_2", "INSERT INTO ring_2 VALUES (900, 2, 'apart') ON CONFLICT DO NOTHING"],
    ["ALTER TABLE ring ATTACH PARTITION ring_2 FOR VALUES IN (2, 3)"], ["ALTER TABLE ring ATTACH PARTITION ring_1 FOR VALUES IN (1)"],
    ["ALTER TABLE ring ATTACH PARTITION ring_1 FOR VALUES IN (1)"], ["ALTER TABLE ring ATTACH PARTITION ring_2 FOR VALUES IN (2, 3)"],
    ["ALTER TABLE ring_2 DETACH PARTITION ring_2b"], ["ALTER TABLE ring_2 ATTACH PARTITION ring_2b FOR VALUES IN (3)"],
    ["DROP TABLE ring_2b", "CREATE TABLE ring_2b PARTITION OF ring_2 FOR VALUES IN (3)", "INSERT INTO ring_2b VALUES (901, 3, 'anew')"],
    ["CREATE TABLE late () INHERITS (child)", "ALTER TABLE late REPLICA IDENTITY FULL", "INSERT INTO late VALUES (1, 'late', 2)"],
    # one partition made two, and the two one
    ["ALTER TABLE part DETACH PARTITION part_0", "CREATE TABLE part_0b PARTITION OF part FOR VALUES FROM (5) TO (10)",
     "WITH moved AS (DELETE FROM part_0 WHERE day >= 5 RETURNING id, day, region, v, doc) INSERT INTO part (id, day, region, v, doc) SELECT * FROM moved",
     "ALTER TABLE part ATTACH PARTITION part_0 FOR VALUES FROM (0) TO (5)", "UPDATE part SET day = 9 - day WHERE day BETWEEN 0 AND 9 AND id % 19 = 0"],
    ["ALTER TABLE part DETACH PARTITION part_0", "ALTER TABLE part DETACH PARTITION part_0b", "INSERT INTO part_0 (id, day, region, v, doc) SELECT id, day, region, v, doc FROM part_0b",
     "DROP TABLE part_0b", "ALTER TABLE part ATTACH PARTITION part_0 FOR VALUES FROM (0) TO (10)"],
    ["DELETE FROM part WHERE day BETWEEN 120 AND 129", "CREATE TABLE part_cold PARTITION OF part FOR VALUES FROM (120) TO (130)",
     "COPY part_cold (id, day) FROM PROGRAM 'seq -f \"%.0f,120\" 1 40' WITH (FREEZE, FORMAT csv)", "SAVEPOINT c", "TRUNCATE part_cold", "ROLLBACK TO c", "UPDATE part SET v = 7 WHERE day = 120"],
    ["DROP TABLE IF EXISTS part_cold"], ["TRUNCATE part_cold", "COPY part_cold (id, day) FROM PROGRAM 'seq -f \"%.0f,121\" 1 30' WITH (FREEZE, FORMAT csv)"],
    ["ALTER TABLE piece DETACH PARTITION piece_2", "INSERT INTO piece_2 SELECT 'apart', id, 70 FROM master WHERE id >= 100 ON CONFLICT DO NOTHING",
     "ALTER TABLE piece ATTACH PARTITION piece_2 FOR VALUES FROM (100) TO (MAXVALUE)"],
    # changes of an unlogged partition are not in the WAL
    ["DELETE FROM part WHERE day BETWEEN 140 AND 149", "CREATE UNLOGGED TABLE part_unlogged PARTITION OF part FOR VALUES FROM (140) TO (150)",
     "INSERT INTO part SELECT i, 140 FROM generate_series(1, 20) i", "COMMIT", "BEGIN", "UPDATE part SET v = 8 WHERE day = 140", "DROP TABLE part_unlogged"],
    ["DELETE FROM part WHERE day BETWEEN 140 AND 149", "CREATE UNLOGGED TABLE part_unlogged PARTITION OF part FOR VALUES FROM (140) TO (150)",
     "INSERT INTO part SELECT i, 140 FROM generate_series(1, 20) i", "COMMIT", "BEGIN", "UPDATE part SET v = 8 WHERE day = 140", "ALTER TABLE part_unlogged SET LOGGED"],
    ["DROP TABLE IF EXISTS part_unlogged"], ["DROP TABLE IF EXISTS part_unlogged"],
    ["ALTER TABLE child INHERIT other_parent"], ["ALTER TABLE child NO INHERIT other_parent"], ["ALTER TABLE grandchild INHERIT other_parent"],
    ["ALTER TABLE child INHERIT other_parent", "UPDATE other_parent SET b = 'both' WHERE a = 3", "ALTER TABLE child NO INHERIT parent", "ALTER TABLE child INHERIT parent"],
    ["ALTER TABLE grandchild NO INHERIT other_parent"], ["TRUNCATE ONLY other_parent"], ["TRUNCATE other_parent"],
    ["ALTER TABLE late NO INHERIT child"], ["ALTER TABLE late INHERIT child"], ["DROP TABLE IF EXISTS late"],
    ["ALTER TABLE part ADD COLUMN IF NOT EXISTS extra int", "UPDATE part SET extra = 1 WHERE id % 9 = 0"],
    ["ALTER TABLE part ADD COLUMN IF NOT EXISTS extra int DEFAULT 5"],
    ["ALTER TABLE part DROP COLUMN IF EXISTS extra"],
    ["ALTER TABLE bag ADD COLUMN IF NOT EXISTS extra text", "INSERT INTO bag (a, extra) VALUES (1, 'e'), (1, 'e')"],
    ["ALTER TABLE bag DROP COLUMN IF EXISTS extra"],
    ["ALTER TABLE parent ADD COLUMN IF NOT EXISTS extra int"], ["ALTER TABLE parent DROP COLUMN IF EXISTS extra"],
    ["ALTER TABLE detail RENAME COLUMN note TO notes", "UPDATE detail SET notes = 'renamed' WHERE id % 5 = 0", "ALTER TABLE detail RENAME COLUMN notes TO note"],
    ["ALTER TABLE detail ADD COLUMN IF NOT EXISTS twice int GENERATED ALWAYS AS (id * 2) STORED"], ["ALTER TABLE detail ADD COLUMN IF NOT EXISTS twice float8 NOT NULL DEFAULT random()"],
    ["ALTER TABLE detail ADD COLUMN IF NOT EXISTS shown int GENERATED ALWAYS AS (id + 1) VIRTUAL"],
    ["ALTER TABLE detail DROP COLUMN IF EXISTS twice", "ALTER TABLE detail DROP COLUMN IF EXISTS shown"],
    ["ALTER TABLE detail ALTER note TYPE varchar(40)"], ["ALTER TABLE detail ALTER note TYPE text"], ["ALTER TABLE tally ALTER rows TYPE bigint", "UPDATE tally SET rows = rows * 2"],
    ["ALTER TABLE tally ALTER rows TYPE int USING 1"], ["ALTER TABLE detail ALTER since TYPE timestamptz"], ["ALTER TABLE detail ALTER since TYPE timestamp"],
    ["UPDATE detail SET note = 'set' WHERE note IS NULL", "ALTER TABLE detail ALTER note SET NOT NULL", "ALTER TABLE detail ALTER note SET DEFAULT 'd'"],
    ["ALTER TABLE detail ALTER note DROP NOT NULL", "ALTER TABLE detail ALTER note DROP DEFAULT"],
    ["ALTER TYPE feeling RENAME VALUE 'sad' TO 'blue'", "UPDATE detail SET felt = '{blue}' WHERE id % 4 = 0"], ["ALTER TYPE feeling RENAME VALUE 'blue' TO 'sad'"],
    ["ALTER TABLE detail DROP CONSTRAINT detail_pkey", "UPDATE detail SET note = 'keyless' WHERE id % 6 = 0", "ALTER TABLE detail ADD PRIMARY KEY (id)"],
    ["ALTER TABLE part ALTER COLUMN v TYPE numeric(12,2)"], ["ALTER TABLE part ALTER COLUMN v TYPE numeric(10,2) USING 1"],
    ["ALTER TABLE master REPLICA IDENTITY FULL"], ["ALTER TABLE master REPLICA IDENTITY DEFAULT"],
    ["ALTER TABLE tally SET UNLOGGED", "INSERT INTO tally VALUES ('unlogged', 1) ON CONFLICT DO NOTHING", "ALTER TABLE tally SET LOGGED"],
    ["ALTER TABLE bag SET UNLOGGED", "ALTER TABLE bag SET LOGGED"],
    ["ALTER TABLE tally SET TABLESPACE elsewhere"], ["ALTER TABLE tally SET TABLESPACE pg_default"], ["ALTER TABLE part_0 SET TABLESPACE elsewhere"],
    ["ALTER TABLE part_0 SET TABLESPACE pg_default"],
    ["ALTER TABLE bag RENAME TO sack", "INSERT INTO sack (a) VALUES (1), (1)", "ALTER TABLE sack RENAME TO bag"],
    ["ALTER TABLE tally SET SCHEMA aside", "UPDATE aside.tally SET rows = rows + 1", "ALTER TABLE aside.tally SET SCHEMA public"],
    ["ALTER TABLE m_bag RENAME TO m_sack", "ALTER TABLE m_sack SET SCHEMA aside", "ALTER TABLE aside.m_sack SET SCHEMA public", "ALTER TABLE m_sack RENAME TO m_bag"],
    ["ALTER TABLE tally OWNER TO somebody", "GRANT SELECT ON tally TO PUBLIC"], ["ALTER TABLE tally OWNER TO postgres", "REVOKE SELECT ON tally FROM PUBLIC"],
    ["ALTER TABLE bag ENABLE ROW LEVEL SECURITY", "CREATE POLICY few ON bag USING (a > 1)", "DROP POLICY few ON bag", "ALTER TABLE bag DISABLE ROW LEVEL SECURITY"],
    ["DROP TABLE m_master", "DELETE FROM master WHERE id % 5 = 0", "CALL mooncake.create_table('m_master', 'master', identity => 'primary_key')"],
    ["CALL mooncake.rebuild_table('m_tally')", "UPDATE tally SET rows = 0"],
]
# Not in a transaction.
REWRITES = ["CLUSTER part_0 USING part_0_pkey", "VACUUM FULL part_0", "VACUUM FULL bag", "VACUUM FULL tally", "CLUSTER tally USING tally_pkey", "VACUUM (FREEZE) part",
            "ALTER TABLE ring DETACH PARTITION ring_1 CONCURRENTLY", "ALTER TABLE ring DETACH PARTITION ring_1 FINALIZE", "ALTER TABLE ring DETACH PARTITION ring_1 CONCURRENTLY",
            "ALTER TABLE ring DETACH PARTITION ring_1 FINALIZE", "REINDEX TABLE CONCURRENTLY detail"]


ENDS = [["COMMIT"]] * 5 + [["ROLLBACK"]] * 2 + [["PREPARE TRANSACTION 'alter'", end + " PREPARED 'alter'"] for end in ("COMMIT", "ROLLBACK")]
# of the sizes of partitions that are followed row by row
LIMITS = ["0", "16kB", "64kB", "1GB", "-1", "-1"]


def expected(error):
    """Whether an error is one that such changes at the same time may have; a lost connection, an internal error and one of the
    engine's is not."""
    return error.sqlstate and not error.sqlstate.startswith(("XX", "57P", "58", "08"))


class Session:
    """One client with its own generator; run() executes one random transaction."""

    prepared_names = itertools.count(1)

    def __init__(self, connection, seed, prepare=False):
        self.c, self.rnd, self.prepare = connection, random.Random(seed), prepare
        self.prepared, self.done = [], 0

    def run(self):
        r = self.rnd
        try:
            if self.prepared and r.random() < 0.5:
                self.c.execute("%s PREPARED '%s'" % (r.choice(["COMMIT", "COMMIT", "ROLLBACK"]), self.prepared.pop(0)))
            elif r.random() < 0.4:
                self.c.execute(statement(r))
            else:
                self.c.execute("BEGIN")
                self.statements()
                if self.prepare and len(self.prepared) < 2 and r.random() < 0.1:
                    name = "s%d" % next(self.prepared_names)
                    self.c.execute("PREPARE TRANSACTION '%s'" % name)
                    self.prepared.append(name)
                else:
                    self.c.execute(r.choice(["COMMIT", "COMMIT", "COMMIT", "ROLLBACK"]))
            self.done += 1
        except psycopg.errors.UndefinedObject:
            pass  # somebody else has finished the prepared transaction
        except psycopg.Error as error:
            if not expected(error):
                raise
            self.c.execute("ROLLBACK")

    def statements(self, depth=0):
        for _ in range(self.rnd.randint(1, 6)):
            if self.rnd.random() < 0.25 and depth < 4:
                self.c.execute("SAVEPOINT s%d" % depth)
                self.statements(depth + 1)
                self.c.execute(self.rnd.choice(["ROLLBACK TO", "RELEASE"]) + " s%d" % depth)
            else:
                self.c.execute(statement(self.rnd))

    def finish(self):
        while self.prepared:
            self.c.execute("%s PREPARED '%s'" % (self.rnd.choice(["COMMIT", "ROLLBACK"]), self.prepared.pop()))


def connect(make, seed, prepare=False):
    connection = make(autocommit=True)
    connection.execute("SET lock_timeout = '2s'; SET deadlock_timeout = '100ms'")
    return Session(connection, seed, prepare)


def create(c):
    c.execute(SCHEMA)
    for one in TABLESPACE:
        c.execute(one)


def shaped(c, r):
    """What makes a table of the columns that "mix" has now, in any order and with dropped ones between them."""
    columns = c.execute("SELECT quote_ident(attname) || ' ' || format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END || "
                        "CASE attgenerated WHEN 's' THEN ' GENERATED ALWAYS AS (id + 1) STORED' ELSE '' END FROM pg_attribute "
                        "WHERE attrelid = 'mix'::regclass AND attnum > 0 AND NOT attisdropped").fetchall()
    columns = [column for (column,) in columns]
    r.shuffle(columns)
    gone = ["gone_%d" % i for i in range(r.randint(0, 2))]
    for name in gone:
        columns.insert(r.randint(0, len(columns)), name + " int")
    number = r.randint(1, 5)
    name = "mix_%d" % number
    attach = "ALTER TABLE mix ATTACH PARTITION %s FOR VALUES IN (%d)" % (name, number)
    return name, attach, ["CREATE TABLE %s (%s)" % (name, ", ".join(columns)), *["ALTER TABLE %s DROP COLUMN %s" % (name, column) for column in gone],
                          "INSERT INTO %s (id, d) SELECT i, %d FROM generate_series(1, %d) i" % (name, number, r.choice([0, 1, 30, 2000]))]


def mixed(c, r):
    """A change of the partitions of "mix", and perhaps of its columns before or after it."""
    name, attach, make = shaped(c, r)
    there = c.execute("SELECT relispartition FROM pg_class WHERE oid = to_regclass(%s)", (name,)).fetchone()
    detach = "ALTER TABLE mix DETACH PARTITION " + name
    if there is None:
        said = r.choice([make, [*make, attach], [*make, attach], [*make, attach, detach, attach]])
    elif there[0]:
        said = r.choice([[detach], ["TRUNCATE " + name], ["DROP TABLE " + name], ["DROP TABLE " + name, *make, attach], [detach, "UPDATE %s SET v = 'apart'" % name, attach]])
    else:
        said = r.choice([[attach], [attach], ["DROP TABLE " + name]])
    number = r.randint(1, 3)
    column = r.choice(["ADD COLUMN IF NOT EXISTS c%d int" % number, "ADD COLUMN IF NOT EXISTS c%d text DEFAULT 'late'" % number, "DROP COLUMN IF EXISTS c%d" % number,
                       "RENAME COLUMN c%d TO c%d" % (number, number % 3 + 1), "ADD COLUMN IF NOT EXISTS c%d int GENERATED ALWAYS AS (id + 1) STORED" % number])
    pick = r.random()
    change = ["ALTER TABLE mix " + column]
    return [*said, *change] if pick < 0.3 else [*change, *said] if pick < 0.45 and there else said


def alter(c, r):
    """One transaction of DDL, perhaps with a savepoint that is rolled back, perhaps rolled back. What it said."""
    if r.random() < 0.12:
        said = [r.choice(REWRITES)]
    else:
        said = mixed(c, r) if r.random() < 0.2 else list(r.choice(CHANGES))
        if r.random() < 0.2:
            said = ["SAVEPOINT s", *r.choice(CHANGES), "ROLLBACK TO s", *said]
        elif r.random() < 0.2:
            said += [statement(r), *r.choice(CHANGES)]
        said = ["BEGIN", *said, *r.choice(ENDS)]
    if r.random() < 0.3:
        said.insert(0, "SET mooncake.partition_rows_limit = '%s'" % r.choice(LIMITS))
    try:
        for one in said:
            c.execute(one)
    except psycopg.Error as error:
        if not expected(error):
            raise
        if len(said) > 1:
            c.execute("ROLLBACK")
        return "%s, which failed: %s" % ("; ".join(said), type(error).__name__)
    return "; ".join(said)


def repair(c):
    """Ends what an interrupted command has left half done, so that every mirror can serve."""
    if c.execute("SELECT count(*) FROM pg_inherits WHERE inhdetachpending").fetchone()[0]:
        c.execute("ALTER TABLE ring DETACH PARTITION ring_1 FINALIZE")
    c.execute("DROP TABLE IF EXISTS part_unlogged")
