# SPDX-License-Identifier: Apache-2.0
"""What deletes and updates cost a mirror of rows that repeat (identity "full"), against a mirror of the same rows with a key, in the
same run: the engine's CPU time, and how long after the writer the mirror is current. For bench.py."""

import os
import time

from pairs import cpu_seconds

SHAPES = [("10 different rows", 10), ("1000 different rows", 1000), ("each row 10 times", None)]
SMALL = 3000  # transactions of one row

# A share of the rows that has nothing to do with their values, the same in both tables.
SOME = "WHERE (ctid::text::point)[1]::int %% 2 = %d"


def make(c, rows, different):
    values = "i %% %d AS a, 'label ' || i %% %d AS b, (i %% %d)::numeric(10,2) AS n" % ((different,) * 3)
    c.execute("DROP TABLE IF EXISTS keyed, bag CASCADE")
    c.execute("CREATE TABLE keyed (id bigint PRIMARY KEY, a bigint, b text, n numeric(10,2))")
    c.execute("CREATE TABLE bag (id bigint, a bigint, b text, n numeric(10,2))")
    c.execute("ALTER TABLE bag REPLICA IDENTITY FULL")
    c.execute("INSERT INTO keyed SELECT i, %s FROM generate_series(1::bigint, %d) i" % (values, rows))
    c.execute("INSERT INTO bag SELECT 1, %s FROM generate_series(1::bigint, %d) i" % (values, rows))
    c.execute("CALL mooncake.create_table('keyed_mirror', 'keyed')")
    c.execute("CALL mooncake.create_table('bag_mirror', 'bag', identity => 'full')")


def small_deletes(table):
    """Transactions of one row each, of rows in no order."""
    return ("DO $$ DECLARE victim tid; BEGIN FOR victim IN SELECT ctid FROM %s ORDER BY hashtext(ctid::text) LIMIT %d LOOP "
            "DELETE FROM %s WHERE ctid = victim; COMMIT; END LOOP; END $$" % (table, SMALL, table))


STEPS = [("delete of a half", lambda table: "DELETE FROM %s %s" % (table, SOME % 0)),
         ("update of the rest", lambda table: "UPDATE %s SET n = n + 1" % table),
         ("%d deletes of one row" % SMALL, small_deletes)]


def bench_equal_rows(server, rows):
    with server.connect(autocommit=True) as c:
        c.execute("SET synchronous_commit = off")
        for title, different in SHAPES:
            make(c, rows, different or rows // 10)
            engine = next(pid for pid, args in server.descendants() if "ivy_engine" in args)
            capture = next(pid for pid, args in server.descendants() if "pg_mooncake capture" in args)
            for name, sql in STEPS:
                seen = {}
                for table in "keyed", "bag":
                    c.execute("CALL mooncake.create_snapshot('%s_mirror')" % table)
                    before, decoded = cpu_seconds(engine), cpu_seconds(capture)
                    c.execute(sql(table))
                    written = time.perf_counter()
                    count = c.execute("SELECT count(*) FROM %s_mirror" % table).fetchone()
                    behind = time.perf_counter() - written
                    seen[table] = cpu_seconds(engine) - before, behind, cpu_seconds(capture) - decoded, count
                assert seen["bag"][3] == seen["keyed"][3], seen
                (key_cpu, key_behind, key_decoding, _), (cpu, behind, decoding, _) = seen["keyed"], seen["bag"]
                print("%s, %s: engine's CPU %.2f s, with a key %.2f s: %.1fx; capture worker's %.2f s and %.2f s; current after %.2f s and %.2f s; load %.1f"
                      % (title, name, cpu, key_cpu, cpu / max(key_cpu, 0.01), decoding, key_decoding, behind, key_behind, os.getloadavg()[0]), flush=True)
