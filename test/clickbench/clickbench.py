# SPDX-License-Identifier: Apache-2.0
"""The 43 questions of ClickBench on a row table and on its mirror in one transaction: shipped wholly, with the same rows.

    clickbench.py [--rows N]

Ties at a LIMIT may be broken either way, so rows are compared without LIMIT and OFFSET, as a set; the query as it is must
give as many rows, and its rows must be among those.
"""

import argparse
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
sys.path.insert(0, os.path.join(HERE, "..", "tpch"))
from ivy_server import Server, wait_live  # noqa: E402
from tpch import shape, timed, translation_ms  # noqa: E402


def queries():
    with open(os.path.join(HERE, "queries.sql")) as file:
        return [line.strip().rstrip(";") for line in file if line.strip() and not line.startswith("--")]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=20000)
    options = parser.parse_args()
    different = shipped = 0
    slowest = 0.0
    with Server(conf="jit = off\nwork_mem = '64MB'") as server, server.connect(autocommit=True) as c:
        with open(os.path.join(HERE, "schema.sql")) as file:
            c.execute(file.read().replace(":rows", str(options.rows)))
        c.execute("CALL mooncake.create_table('mirror.hits', 'heap.hits')")
        wait_live(c, "mirror.hits")
        for number, query in enumerate(queries(), 1):
            c.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            everything = re.sub(r" LIMIT \d+( OFFSET \d+)?$", "", query)
            heap_types, heap_rows, _ = timed(c, "heap", everything)
            some_types, some_rows, heap_time = timed(c, "heap", query)
            mirror_types, mirror_rows, _ = timed(c, "mirror", everything)
            types, rows, mirror_time = timed(c, "mirror", query)
            plans = [[row[0] for row in c.execute("EXPLAIN (COSTS off, SUMMARY) " + query)] for _ in range(3)]
            c.execute("COMMIT")
            same = ((heap_types, sorted(heap_rows)) == (mirror_types, sorted(mirror_rows)) and types == some_types
                    and len(rows) == len(some_rows) and set(rows) <= set(heap_rows))
            translation = min(translation_ms(plan) or 0.0 for plan in plans)
            slowest = max(slowest, translation)
            different += not same
            shipped += shape(plans[0]) == "whole"
            print("query %02d  %-9s %5d rows  row table %8.1f ms  mirror %8.1f ms  translation %.3f ms  %s"
                  % (number, "equal" if same else "DIFFERENT", len(rows), heap_time * 1e3, mirror_time * 1e3, translation, shape(plans[0])),
                  flush=True)
            if shape(plans[0]) != "whole":
                print("  " + " ".join(line.strip() for line in plans[0] if "ot Pushed" in line)[:300])
            if not same:
                print("  row table: %s\n  mirror:    %s" % (str(some_rows)[:800], str(rows)[:800]))
    print("%d of 43 queries shipped wholly, %d different, slowest translation %.3f ms" % (shipped, different, slowest))
    return 1 if different or shipped < 43 else 0


if __name__ == "__main__":
    sys.exit(main())
