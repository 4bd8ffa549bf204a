# SPDX-License-Identifier: Apache-2.0
"""Foreign tables against the duckdb command line's read_parquet on the same files: lake.py TOOL, where TOOL is the built
ivy_lake_tool. All run hot, with the same threads, in turns. Beside the command line, which is another build of DuckDB, the
library that the engine uses reads the same files by the same SQL."""

import os
import subprocess
import sys
import tempfile

import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake
from pyiceberg.catalog.sql import SqlCatalog

from pairs import DuckDb, Tool, in_turns

ROWS = int(os.environ.get("IVY_BENCH_ROWS", 5_000_000))
FILES = 10
THREADS = 4
RUNS = 11
QUERIES = [
    ("count(*)", "SELECT count(*) FROM {t}"),
    ("sum, min, max", "SELECT sum(quantity), min(price), max(price), sum(quantity * price) FROM {t}"),
    ("filter", "SELECT count(*), sum(price) FROM {t} WHERE quantity = 3 AND price > 500"),
    ("group by", "SELECT product_id, sum(quantity), sum(price) FROM {t} GROUP BY product_id ORDER BY 2 DESC, 1 LIMIT 10"),
    ("text", "SELECT count(DISTINCT note), max(note) FROM {t}"),
    ("one file's rows", "SELECT count(*), sum(price) FROM {t} WHERE id BETWEEN 1000 AND 200000"),
]


def rows(folder, start, stop):
    path = f"{folder}/rows.parquet"
    sql = (f"COPY (SELECT id, (1 + id * 104729 % 20000)::INTEGER AS product_id, (1 + id % 7)::INTEGER AS quantity, "
           f"(id * 31 % 99990) / 100.0 AS price, 'note ' || id % 5003 AS note FROM range({start}, {stop}) t(id)) TO '{path}'")
    subprocess.run(["duckdb", "-c", sql], check=True, stdout=subprocess.DEVNULL)
    return pq.read_table(path)


def main():
    with tempfile.TemporaryDirectory() as folder:
        catalog = SqlCatalog("bench", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/warehouse")
        catalog.create_namespace("n")
        iceberg = None
        for part in range(FILES):
            data = rows(folder, part * ROWS // FILES, (part + 1) * ROWS // FILES)
            iceberg = iceberg or catalog.create_table("n.t", schema=data.schema)
            iceberg.append(data)
            write_deltalake(f"{folder}/delta", data, mode="append")
        tables = {
            "iceberg": (f"ivy_iceberg_scan('{folder}/warehouse/n/t')",
                        [file.file.file_path.removeprefix("file://") for file in iceberg.scan().plan_files()]),
            "delta": (f"ivy_delta_scan('{folder}/delta')", DeltaTable(f"{folder}/delta").file_uris()),
        }
        tool, duck = Tool([sys.argv[1], folder]), DuckDb(THREADS)
        for name, (scan, files) in tables.items():
            plain = "read_parquet([%s])" % ", ".join(f"'{file}'" for file in files)
            for label, query in QUERIES:
                in_turns("%-8s %-16s" % (name, label), RUNS, duck.pid, lambda: duck.run(query.format(t=plain)),
                         [("", tool.pid, lambda: tool.run(query.format(t=scan))),
                          ("library", tool.pid, lambda: tool.run(query.format(t=plain)))])
        for process in (tool, duck):
            process.close()


if __name__ == "__main__":
    main()
