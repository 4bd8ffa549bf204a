# SPDX-License-Identifier: Apache-2.0
"""The numbers that the README of this folder explains. Each is a ratio or a distribution taken in one run on one machine:
mirrors against row tables and against native DuckDB tables with the same threads."""

import json
import os
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "test", "support"))
from ivy_server import Server, compare, wait_live  # noqa: E402
from equal_rows import bench_equal_rows  # noqa: E402
from files import bench_files  # noqa: E402
from pairs import DuckDb, in_turns  # noqa: E402
from partitions import bench_partitions  # noqa: E402

ROWS = int(os.environ.get("IVY_BENCH_ROWS", 5_000_000))
CONF = "shared_buffers = '1GB'\nmax_wal_size = '8GB'\ncheckpoint_timeout = '30min'\nmax_parallel_workers_per_gather = 2\njit = off"

QUERIES = [
    ("count(*)", "SELECT count(*) FROM {t}"),
    ("sum, min, max", "SELECT sum(quantity), min(price), max(price), sum(quantity * price) FROM {t}"),
    ("filter", "SELECT count(*), sum(price) FROM {t} WHERE quantity = 3 AND price > 500"),
    ("group by 20000", "SELECT product_id, sum(quantity), sum(price) FROM {t} GROUP BY product_id ORDER BY 2 DESC, 1 LIMIT 10"),
    ("group by day", "SELECT date_trunc('day', made) AS d, count(*), sum(price) FROM {t} GROUP BY d ORDER BY d LIMIT 10"),
]


def percentile(values, p):
    return sorted(values)[min(len(values) - 1, int(len(values) * p))]


def best(action, repeat=5):
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def cpu_seconds(server, pattern):
    ticks = os.sysconf("SC_CLK_TCK")
    total = 0.0
    for pid, args in server.descendants():
        if pattern in args:
            fields = open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()
            total += (int(fields[11]) + int(fields[12])) / ticks
    return total


def load(connection, table, rows):
    connection.execute("CREATE TABLE %s (id bigint PRIMARY KEY, product_id int NOT NULL, quantity int NOT NULL, "
                       "price numeric(10,2) NOT NULL, made timestamp NOT NULL)" % table)
    fill(connection, table, 1, rows)


def fill(connection, table, first, last):
    connection.execute("INSERT INTO %s SELECT i, 1 + i * 104729 %% 20000, 1 + i %% 7, (i * 31 %% 99990) / 100.0, "
                       "timestamp '2022-01-01' + i %% 63072000 * interval '1 second' FROM generate_series(%d::bigint, %d) i"
                       % (table, first, last))


def bench_copy_and_queries(server):
    with server.connect(autocommit=True) as c:
        load(c, "items", ROWS)
        c.execute("VACUUM ANALYZE items")
        start = time.perf_counter()
        c.execute("CALL mooncake.create_table('items_mirror', 'items')")
        seconds = time.perf_counter() - start
        print("initial copy: %d rows in %.2f s, %.0f rows/s" % (ROWS, seconds, ROWS / seconds))
        compare(c, "items", "items_mirror")
        threads = c.execute("SHOW duckdb.threads").fetchone()[0]
        files = c.execute("SELECT location FROM mooncake.columnstore_tables").fetchone()[0]
        native = native_times(files, threads)
        print("%-16s %12s %12s %10s %10s %9s %9s %8s"
              % ("query", "row, serial", "row, 2 work.", "mirror", "native", "/serial", "/parallel", "native/"))
        for name, query in QUERIES:
            parallel = best(lambda: c.execute(query.format(t="items")).fetchall(), 3)
            c.execute("SET max_parallel_workers_per_gather = 0")
            serial = best(lambda: c.execute(query.format(t="items")).fetchall(), 3)
            c.execute("RESET max_parallel_workers_per_gather")
            mirror = best(lambda: c.execute(query.format(t="items_mirror")).fetchall(), 7)
            print("%-16s %9.1f ms %9.1f ms %7.1f ms %7.1f ms %8.1fx %8.1fx %7.2fx"
                  % (name, serial * 1e3, parallel * 1e3, mirror * 1e3, native[name] * 1e3, serial / mirror, parallel / mirror,
                     mirror / native[name]))


def native_times(location, threads):
    """Best times of the same queries by the duckdb command line over a native table with the same rows."""
    script = ["SET threads=%s;" % (threads if threads != "0" else os.cpu_count()),
              "CREATE TABLE items AS SELECT * FROM read_parquet('%s/data/*.parquet');" % location, ".timer on"]
    marks = []
    for name, query in QUERIES:
        for _ in range(7):
            script.append(query.format(t="items") + ";")
            marks.append(name)
    output = subprocess.run(["duckdb", ":memory:"], input="\n".join(script), text=True, capture_output=True, check=True).stdout
    times = [float(line.split("real")[1].split()[0]) for line in output.splitlines() if line.startswith("Run Time")]
    best_of = {}
    for name, seconds in zip(marks, times[-len(marks):]):
        best_of[name] = max(min(best_of.get(name, 1e9), seconds), 1e-6)
    return best_of


def bench_ingest(server):
    with server.connect(autocommit=True) as c:
        load(c, "stream", 0)
        c.execute("CALL mooncake.create_table('stream_mirror', 'stream')")
        wait_live(c, "stream_mirror")
        rows = 1_000_000
        for name, batch in (("one transaction", rows), ("transactions of 1,000 rows", 1000)):
            first = c.execute("SELECT coalesce(max(id), 0) FROM stream").fetchone()[0]
            cpu = {p: cpu_seconds(server, p) for p in ("pg_mooncake capture", "ivy_engine")}
            start = time.perf_counter()
            for at in range(0, rows, batch):
                fill(c, "stream", first + at + 1, first + at + batch)
            written = time.perf_counter()
            c.execute("SELECT count(*) FROM stream_mirror").fetchone()
            done = time.perf_counter()
            used = {p: cpu_seconds(server, p) - cpu[p] for p in cpu}
            print("ingest, %s: written in %.2f s, mirror current %.2f s later; CPU: decode %.2f s, apply %.2f s: %.0f rows/s per core"
                  % (name, written - start, done - written, used["pg_mooncake capture"], used["ivy_engine"], rows / max(sum(used.values()), 1e-9)))
        compare(c, "stream", "stream_mirror")


def bench_freshness(server):
    with server.connect(autocommit=True) as c:
        c.execute("CREATE TABLE ticks (id bigint PRIMARY KEY, v int)")
        c.execute("INSERT INTO ticks SELECT i, 0 FROM generate_series(1, 100000) i")
        c.execute("CALL mooncake.create_table('ticks_mirror', 'ticks')")
        wait_live(c, "ticks_mirror")
        for name, clients in (("idle", 0), ("under pgbench with 4 clients", 4)):
            load_process = None
            if clients:
                script = os.path.join(server.dir, "load.sql")
                with open(script, "w") as f:
                    f.write("\\set id random(1, 100000)\nUPDATE ticks SET v = v + 1 WHERE id = :id;\n")
                bindir = subprocess.run([os.environ.get("PG_CONFIG", "/usr/lib/postgresql/18/bin/pg_config"), "--bindir"],
                                        capture_output=True, text=True, check=True).stdout.strip()
                load_process = subprocess.Popen([bindir + "/pgbench", "-n", "-c", str(clients), "-T", "20", "-f", script, "-h", server.dir,
                                                 "-p", "5432", "-U", "postgres", "postgres"], stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL)
                time.sleep(2)
            waits, totals = [], []
            for i in range(1000):
                c.execute("INSERT INTO ticks VALUES (%d, 1)" % (1_000_000 * (clients + 1) + i))
                start = time.perf_counter()
                plan = c.execute("EXPLAIN (ANALYZE, FORMAT JSON, BUFFERS off) SELECT count(*) FROM ticks_mirror WHERE id = 1").fetchone()[0]
                totals.append((time.perf_counter() - start) * 1e3)
                plan = plan if isinstance(plan, list) else json.loads(plan)
                waits.append(plan[0]["Plan"]["Freshness Wait"])
            print("freshness wait, %s: p50 %.3f ms, p99 %.3f ms, mean %.3f ms (whole statement p50 %.2f ms)"
                  % (name, percentile(waits, .5), percentile(waits, .99), statistics.mean(waits), percentile(totals, .5)))
            if load_process:
                out = load_process.communicate()[0]
                print("   " + [line for line in out.splitlines() if line.startswith("tps")][0])


def bench_connection(server):
    with server.connect(autocommit=True) as c:
        c.execute("CREATE TABLE small (id int PRIMARY KEY)")
        c.execute("CALL mooncake.create_table('small_mirror', 'small')")
        wait_live(c, "small_mirror")
    times = {}
    for _ in range(100):
        for query in ("SELECT 1", "SELECT count(*) FROM small", "SELECT count(*) FROM small_mirror"):
            start = time.perf_counter()
            with server.connect(autocommit=True) as c:
                c.execute(query).fetchall()
            times.setdefault(query, []).append((time.perf_counter() - start) * 1e3)
    for query, values in times.items():
        print("new connection, %-34s p50 %.2f ms" % (query, percentile(values, .5)))


LAKE_QUERIES = [
    ("count, filter", "SELECT count(*), sum(quantity) FROM {f} WHERE quantity = 3 AND product_id > 500"),
    ("sum, min, max", "SELECT sum(quantity), min(price), max(price), count(made) FROM {f}"),
    ("group by 20000", "SELECT product_id, sum(quantity), max(price) FROM {f} GROUP BY product_id ORDER BY 2 DESC, 1 LIMIT 10"),
    ("text", "SELECT count(*), max(note) FROM {f} WHERE note LIKE '%7%'"),
]


def bench_lake(server):
    """Hot reads of one Parquet and one CSV file through lake functions, in turns with the duckdb command line."""
    with server.connect(autocommit=True) as connection:
        duck = DuckDb(int(connection.execute("SHOW duckdb.threads").fetchone()[0]))
        parquet, text = os.path.join(server.dir, "data", "bench.parquet"), os.path.join(server.dir, "data", "bench.csv")
        rows = "SELECT i AS id, 1 + i * 104729 %% 20000 AS product_id, 1 + i %% 7 AS quantity, (i * 31 %% 99990)::float8 / 100 AS price, " \
               "timestamp '2022-01-01' + i %% 63072000 * interval '1 second' AS made, 'note ' || i AS note " \
               "FROM generate_series(1::bigint, %d) i" % ROWS
        connection.execute("COPY (%s) TO '%s' (FORMAT parquet, COMPRESSION snappy)" % (rows, parquet))
        connection.execute("COPY (%s) TO '%s' (FORMAT csv, HEADER)" % (rows.replace(str(ROWS), str(ROWS // 10)), text))
        columns = "AS e(id bigint, product_id bigint, quantity bigint, price float8, made timestamp, note text)"
        engine = next(pid for pid, args in server.descendants() if "ivy_engine" in args)
        for name, reader, path in (("parquet", "read_parquet", parquet), ("csv", "read_csv", text)):
            for what, query in LAKE_QUERIES:
                connection.execute("PREPARE lake AS " + query.format(f="mooncake.%s('%s') %s" % (reader, path, columns)))
                in_turns("lake %-8s %-16s" % (name, what), 15, duck.pid, lambda: duck.run(query.format(f="%s('%s')" % (reader, path))),
                         [("", engine, lambda: connection.execute("EXECUTE lake").fetchall())])
                connection.execute("DEALLOCATE lake")
        duck.close()


def bench_copy(server):
    """COPY of a mirror to Parquet: by the engine itself, of rows that the server sends, and by the duckdb command line of a
    native table with the same rows; in turns."""
    with server.connect(autocommit=True) as connection:
        load(connection, "items", ROWS)
        connection.execute("CALL mooncake.create_table('items_mirror', 'items')")
        wait_live(connection, "items_mirror")
        folder = os.path.join(server.dir, "data")
        engine = next(pid for pid, args in server.descendants() if "ivy_engine" in args)
        duck = DuckDb(int(connection.execute("SHOW duckdb.threads").fetchone()[0]))
        connection.execute("COPY items_mirror TO '%s/items.parquet'" % folder)
        duck.run("CREATE TABLE items AS SELECT * FROM '%s/items.parquet'" % folder)

        def copy(execution, query):
            connection.execute("SET mooncake.execution = '%s'" % execution)
            connection.execute("COPY (%s) TO '%s/out.parquet'" % (query.format(t="items_mirror"), folder))

        for what, query in (("table", "SELECT * FROM {t}"), ("sorted", "SELECT * FROM {t} ORDER BY price, id"),
                            ("group by", "SELECT product_id, sum(quantity) AS q, max(price) AS p FROM {t} GROUP BY product_id")):
            in_turns("copy %-10s" % what, 5, duck.pid, lambda: duck.run("COPY (%s) TO '%s/cli.parquet'" % (query.format(t="items"), folder)),
                     [("engine", engine, lambda: copy("whole", query)), ("rows", engine, lambda: copy("split", query))])
        duck.close()


BENCHMARKS = {"queries": bench_copy_and_queries, "ingest": bench_ingest, "freshness": bench_freshness, "connection": bench_connection,
              "lake": bench_lake, "files": lambda server: bench_files(server, ROWS), "copy": bench_copy,
              "equal_rows": lambda server: bench_equal_rows(server, ROWS // 5),
              "partitions": lambda server: bench_partitions(server, ROWS)}

if __name__ == "__main__":
    for wanted in sys.argv[1:] or BENCHMARKS:
        with Server(conf=CONF + ("\nmooncake.flush_interval = '1h'\nmooncake.optimize_files = 0" if wanted == "files" else "")) as running:
            BENCHMARKS[wanted](running)
