# SPDX-License-Identifier: Apache-2.0
"""Partitions that come and go, followed row by row or by a new copy of the mirror: how long the command takes, which holds its locks,
and how long after it began the mirror answers again; at several sizes of the partition and of the others. For bench.py."""

import os
import time

import psycopg

ROW_BY_ROW, COPY = "-1", "0"


def served(c):
    """Until the mirror itself answers."""
    c.execute("SET mooncake.fallback = off")
    while True:
        try:
            return c.execute("SELECT count(*) FROM m").fetchone()
        except psycopg.Error:
            time.sleep(0.02)


def fill(c, table, first, rows, day):
    c.execute("INSERT INTO %s SELECT i, %d, i %% 20000, (i * 31 %% 99990) / 100.0, 'a note of some length ' || i FROM generate_series(%d::bigint, %d) i"
              % (table, day, first, first + rows - 1))


def measure(c, command):
    before = c.execute("SELECT pg_current_wal_insert_lsn()").fetchone()[0]
    start = time.perf_counter()
    c.execute(command)
    held = time.perf_counter() - start
    wal = c.execute("SELECT pg_current_wal_insert_lsn() - %s::pg_lsn", (before,)).fetchone()[0]
    served(c)
    return held, time.perf_counter() - start, float(wal) / 1e6


def bench_partitions(server, rows):
    with server.connect(autocommit=True) as c:
        c.execute("SET log_min_messages = panic")
        for others, part in ((rows, rows // 20), (rows, rows // 4), (rows, rows // 2), (rows, rows), (rows // 2, rows), (rows // 10, rows)):
            c.execute("DROP TABLE IF EXISTS root, part CASCADE")
            c.execute("CREATE TABLE root (id bigint, day int, product int, price numeric(10,2), note text, PRIMARY KEY (id, day)) PARTITION BY LIST (day)")
            c.execute("CREATE TABLE others PARTITION OF root FOR VALUES IN (0)")
            c.execute("CREATE TABLE part (LIKE root INCLUDING ALL, CHECK (day = 1 AND day IS NOT NULL))")
            fill(c, "others", 1, others, 0)
            fill(c, "part", others + 1, part, 1)
            c.execute("VACUUM ANALYZE others, part")
            c.execute("CALL mooncake.create_table('m', 'root')")
            size = c.execute("SELECT pg_table_size('part') / 1e6").fetchone()[0]
            steps = [("ATTACH", "ALTER TABLE root ATTACH PARTITION part FOR VALUES IN (1)"), ("DETACH", "ALTER TABLE root DETACH PARTITION part"),
                     (None, "ALTER TABLE root ATTACH PARTITION part FOR VALUES IN (1)"), ("TRUNCATE", "TRUNCATE part")]
            seen = {}
            for way in ROW_BY_ROW, COPY:
                c.execute("SET mooncake.partition_rows_limit = '%s'" % way)
                for name, command in steps:
                    found = measure(c, command)
                    if name:
                        seen[name, way] = found
                c.execute("ALTER TABLE root DETACH PARTITION part")
                fill(c, "part", others + 1, part, 1)
            for name in "ATTACH", "DETACH", "TRUNCATE":
                (held, again, wal), (copy_held, copy_again, copy_wal) = seen[name, ROW_BY_ROW], seen[name, COPY]
                print("%-8s of %d MB, %.0f %% of the others: command %.2f s, with a copy %.2f s; mirror answers after %.2f s, with a copy %.2f s: %.2fx; WAL %.0f MB, %.0f MB; load %.1f"
                      % (name, size, 100 * part / others, held, copy_held, again, copy_again, again / copy_again, wal, copy_wal, os.getloadavg()[0]), flush=True)
