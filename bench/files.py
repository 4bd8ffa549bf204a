# SPDX-License-Identifier: Apache-2.0
"""What sorting and rewriting a mirror's files is worth: times of queries and sizes before and after. For bench.py."""

import time

QUERIES = [
    ("one day of 730", "SELECT count(*), sum(amount) FROM {t} WHERE made >= '2023-03-03' AND made < '2023-03-04'"),
    ("one customer", "SELECT count(*), sum(amount) FROM {t} WHERE customer = 777"),
    ("one key", "SELECT * FROM {t} WHERE id = 123457"),
    ("whole table", "SELECT customer % 100, count(*), sum(amount) FROM {t} GROUP BY 1 ORDER BY 1 LIMIT 5"),
]


def best(connection, query, repeat=7):
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        connection.execute(query).fetchall()
        times.append(time.perf_counter() - start)
    return min(times) * 1e3


def rows(first, last):
    """Events in the order of their keys, whose times have nothing to do with it, as when many devices report late."""
    return ("SELECT i, timestamp '2022-01-01' + abs(hashint8(i) %% 63072000) * interval '1 second', abs(hashint8(i + 7) %% 50000), "
            "abs(hashint8(i + 13) %% 99990) / 100.0, 'device ' || abs(hashint8(i + 31) %% 1000) FROM generate_series(%d::bigint, %d) i" % (first, last))


def megabytes(connection, mirror):
    return connection.execute("SELECT byte_count / 1e6 FROM mooncake.mirrors WHERE mirror = %s::regclass", (mirror,)).fetchone()[0]


def compare_times(connection, title, before, after):
    """Prints each query's times; "before" and "after" are the times by query."""
    for name, _ in QUERIES:
        print("%s, %-15s %8.1f ms -> %8.1f ms: %5.2fx" % (title, name, before[name], after[name], before[name] / after[name]))


def times_of(connection, mirror):
    return {name: best(connection, query.format(t=mirror)) for name, query in QUERIES}


def bench_files(server, count):
    with server.connect(autocommit=True) as c:
        c.execute("CREATE TABLE events (id bigint PRIMARY KEY, made timestamp NOT NULL, customer int NOT NULL, amount numeric(10,2) NOT NULL, device text)")
        c.execute("INSERT INTO events " + rows(1, count))
        copies = {}
        for mirror, options in (("as_they_come", "{}"), ("by_time", '{"sort_column": "made"}'), ("by_customer", '{"sort_column": ["customer", "made"]}')):
            start = time.perf_counter()
            c.execute("CALL mooncake.create_table('%s', 'events', '%s')" % (mirror, options))
            copies[mirror] = time.perf_counter() - start
        plain = times_of(c, "as_they_come")
        for mirror in "by_time", "by_customer":
            compare_times(c, "sorted " + mirror, plain, times_of(c, mirror))
            print("sorted %s: copied in %.1f s (unsorted %.1f s), %.1f MB (unsorted %.1f MB)"
                  % (mirror, copies[mirror], copies["as_they_come"], megabytes(c, mirror), megabytes(c, "as_they_come")))
        # A table after a day: a quarter of its rows have come in small flushes, a quarter of the older ones have gone.
        steps = 60
        for step in range(steps):
            first = count + step * (count // 4 // steps)
            c.execute("INSERT INTO events " + rows(first + 1, first + count // 4 // steps))
            c.execute("DELETE FROM events WHERE id %% 240 = %d AND id <= %d" % (step, count))
            for mirror in "as_they_come", "by_time":
                c.execute("CALL mooncake.create_snapshot('%s')" % mirror)
        for mirror in "as_they_come", "by_time":
            files = "SELECT files FROM mooncake.mirror_status WHERE table_name = '%s'" % mirror
            before, size, number = times_of(c, mirror), megabytes(c, mirror), c.execute(files).fetchone()[0]
            start = time.perf_counter()
            c.execute("CALL mooncake.optimize('%s')" % mirror)
            seconds = time.perf_counter() - start
            compare_times(c, "optimized " + mirror, before, times_of(c, mirror))
            left = c.execute("SELECT row_count FROM mooncake.mirrors WHERE mirror = %s::regclass", (mirror,)).fetchone()[0]
            print("optimized %s: in %.1f s, %.0f rows/s; %d files with %.1f MB -> %d with %.1f MB"
                  % (mirror, seconds, left / seconds, number, size, c.execute(files).fetchone()[0], megabytes(c, mirror)))
