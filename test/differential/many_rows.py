# SPDX-License-Identifier: Apache-2.0
"""Aggregates and window functions over more rows than a vector, a row group or a group of DuckDB's holds, on a row table and on its
mirror in one snapshot: large and many groups, rows in files and in memory, several threads. The answers must be equal.

    many_rows.py [--rows N]
"""

import argparse
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from ivy_server import Server, wait_live  # noqa: E402

QUERIES = [  # {t} is the table: g has few values, h many
    "SELECT g, percentile_cont(0.5) WITHIN GROUP (ORDER BY f) FROM {t} GROUP BY g",
    "SELECT h, percentile_disc(0.9) WITHIN GROUP (ORDER BY n) FROM {t} GROUP BY h",
    "SELECT percentile_cont(ARRAY[0.1, 0.5, 0.9]::float8[]) WITHIN GROUP (ORDER BY f) FROM {t}",
    "SELECT percentile_disc(ARRAY[0.1, 0.5, 0.9]::float8[]) WITHIN GROUP (ORDER BY t DESC) FROM {t}",
    "SELECT g, mode() WITHIN GROUP (ORDER BY d), mode() WITHIN GROUP (ORDER BY t DESC) FROM {t} GROUP BY g",
    "SELECT mode() WITHIN GROUP (ORDER BY n % 1000), mode() WITHIN GROUP (ORDER BY un) FROM {t}",
    "SELECT h, string_agg(t, ',' ORDER BY id) FROM {t} GROUP BY h",
    "SELECT h, (array_agg(t ORDER BY d DESC, id))[1] FROM {t} GROUP BY h",
    "SELECT array_agg(t ORDER BY id), string_agg(t, '' ORDER BY t, id DESC), array_agg(n ORDER BY id DESC) FROM {t}",
    "SELECT g, array_agg(DISTINCT d), array_agg(DISTINCT id % 77 ORDER BY id % 77 DESC) FROM {t} GROUP BY g",
    "SELECT g, stddev(DISTINCT id % 1000), var_pop(DISTINCT n) FROM {t} GROUP BY g",
    "SELECT g, regr_count(f, id), round(corr(f, id)::numeric, 8), round(stddev(f)::numeric, 6), round(regr_slope(f, id)::numeric, 8) FROM {t} GROUP BY g",
    "SELECT g, count(DISTINCT (h, d)), count(DISTINCT (un, n)) FROM {t} GROUP BY g",
    "SELECT rank(100, date '2022-01-01') WITHIN GROUP (ORDER BY h, d), dense_rank(5) WITHIN GROUP (ORDER BY g), percent_rank(77) WITHIN GROUP (ORDER BY h DESC), "
    "cume_dist('t4') WITHIN GROUP (ORDER BY t) FROM {t}",
    "SELECT id, count(*) OVER (PARTITION BY g ORDER BY d RANGE BETWEEN interval '7 days' PRECEDING AND CURRENT ROW) FROM {t}",
    "SELECT id, sum(n) OVER (ORDER BY id ROWS BETWEEN 10 PRECEDING AND CURRENT ROW EXCLUDE TIES) FROM {t}",
    "SELECT id, sum(n) OVER (PARTITION BY g ORDER BY f DESC RANGE BETWEEN 100 PRECEDING AND 7.5 FOLLOWING EXCLUDE GROUP) FROM {t}",
    "SELECT id, string_agg(t, '') OVER (PARTITION BY h ORDER BY id GROUPS BETWEEN 3 PRECEDING AND 1 FOLLOWING) FROM {t}",
    "SELECT id, array_agg(id) OVER (PARTITION BY h ORDER BY id) FROM {t}",
    "SELECT id, nth_value(id, 3) OVER (PARTITION BY h ORDER BY d DESC, id RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) FROM {t}",
    "SELECT un FROM {t} UNION SELECT un FROM {t} WHERE g = 1",
    "SELECT un, g FROM {t} WHERE id % 3 > 0 EXCEPT SELECT un, g FROM {t} WHERE id % 2 = 0",
    "SELECT DISTINCT ON (un, g) un, g, id FROM {t} ORDER BY un, g, id DESC",
    "SELECT g, any_value(t ORDER BY id DESC), any_value(d ORDER BY d, id) FROM {t} GROUP BY g",
    "SELECT t, percentile_cont(0.3) WITHIN GROUP (ORDER BY id) FILTER (WHERE g < 5), string_agg(d::text, ';' ORDER BY d, id) FILTER (WHERE g = 2) FROM {t} GROUP BY t",
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=50000)
    options = parser.parse_args()
    different = 0
    with Server(conf="jit = off\nwork_mem = '64MB'") as server, server.connect(autocommit=True) as c:
        c.execute("CREATE TABLE many (id int PRIMARY KEY, g int, h int, n numeric(12,2), un numeric, f float8, t text COLLATE \"C\", d date)")
        c.execute("INSERT INTO many SELECT i, i %% 20, i %% 9000, (i::bigint * 7919 %% 1000003) / 100.0, round((i::bigint * 7919 %% 1003) / 7.0, 3), "
                  "(i::bigint * 7919 %% 1000003) / 8.0, CASE WHEN i %% 50 > 0 THEN 't' || i %% 5000 END, date '2020-01-01' + i %% 2000 "
                  "FROM generate_series(1, %d) i" % options.rows)
        c.execute("ANALYZE many")
        c.execute("CALL mooncake.create_table('many_mirror', 'many')")
        wait_live(c, "many_mirror")
        c.execute("UPDATE many SET g = g WHERE id % 10 = 0")  # in memory, over deleted rows of files
        c.execute("SET mooncake.fallback = off; BEGIN ISOLATION LEVEL REPEATABLE READ")
        for query in QUERIES:
            answers, times = [], []
            for table in ("many", "many_mirror"):
                begin = time.monotonic()
                answers.append(sorted(map(str, c.execute(query.format(t=table)).fetchall())))
                times.append(time.monotonic() - begin)
            plan = c.execute("EXPLAIN (VERBOSE) " + query.format(t="many_mirror")).fetchall()
            whole = any("Columnar Engine: whole query" in row[0] for row in plan)
            same = answers[0] == answers[1]
            different += not (same and whole)
            print("%s %5.2f s %5.2f s  %s" % ("equal" if same and whole else "DIFFERENT" if whole else "NOT SHIPPED", *times, query), flush=True)
    print("%d queries, %d different or not shipped whole" % (len(QUERIES), different))
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
