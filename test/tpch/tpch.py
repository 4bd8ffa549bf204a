# SPDX-License-Identifier: Apache-2.0
"""TPC-H's 22 queries on row tables and on their mirrors in one transaction: the same rows in the same order, wholly run
by the engine. Prints both times, and how long the translation took.

    tpch.py [--orders N]
"""

import argparse
import glob
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from ivy_server import Server, wait_live  # noqa: E402

TABLES = ["region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem"]


def timed(c, schema, query):
    c.execute("SET search_path = " + schema)
    start = time.perf_counter()
    with c.cursor() as cursor:
        cursor.execute(query)
        result = cursor.pgresult
        rows = [tuple(result.get_value(i, j) for j in range(result.nfields)) for i in range(result.ntuples)]
        types = [(result.ftype(j), result.fmod(j)) for j in range(result.nfields)]
    return types, rows, time.perf_counter() - start


def shape(plan):
    lines = [line for line in plan if "ColumnarScan" in line]
    if plan and "ColumnarScan" in plan[0]:
        return "whole"
    return "split or scans (%d)" % len(lines) if lines else "row tables"


def translation_ms(plan):
    """The sum of EXPLAIN's "Translation Time" lines, or None."""
    times = [float(line.split(":")[1].split()[0]) for line in plan if "Translation Time" in line]
    return sum(times) if times else None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--orders", type=int, default=15000)
    options = parser.parse_args()
    different = 0
    shipped = 0
    slowest = 0.0
    with Server(conf="jit = off\nwork_mem = '64MB'") as server, server.connect(autocommit=True) as c:
        with open(os.path.join(HERE, "schema.sql")) as file:
            c.execute(file.read().replace(":orders", str(options.orders)))
        for table in TABLES:
            c.execute("CALL mooncake.create_table('mirror.%s', 'heap.%s')" % (table, table))
            wait_live(c, "mirror." + table)
        c.execute("SET statement_timeout = '300s'")
        for path in sorted(glob.glob(os.path.join(HERE, "queries", "*.sql"))):
            with open(path) as file:
                query = file.read()
            c.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            heap = timed(c, "heap", query)
            mirror = timed(c, "mirror", query)
            plans = [[row[0] for row in c.execute("EXPLAIN (COSTS off, SUMMARY) " + query)] for _ in range(3)]
            plan = plans[0]
            translation = min(translation_ms(p) or 0.0 for p in plans)
            slowest = max(slowest, translation)
            shipped += shape(plan) == "whole"
            c.execute("COMMIT")
            same = heap[:2] == mirror[:2]
            different += not same
            print("query %s  %-9s %5d rows  row tables %8.1f ms  mirrors %8.1f ms  translation %.3f ms  %s"
                  % (os.path.basename(path)[:2], "equal" if same else "DIFFERENT", len(heap[1]), heap[2] * 1e3, mirror[2] * 1e3, translation, shape(plan)), flush=True)
            if not same:
                print("  row tables: %s\n  mirrors:    %s" % (str(heap[:2])[:800], str(mirror[:2])[:800]))
    print("%d of 22 queries shipped wholly, %d different, slowest translation %.3f ms" % (shipped, different, slowest))
    return 1 if different or shipped < 22 else 0


if __name__ == "__main__":
    sys.exit(main())
