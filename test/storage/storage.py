# SPDX-License-Identifier: Apache-2.0
"""What mirrors are stored as, looked at by readers that nobody here wrote (pyarrow, pyiceberg): sorted files, rewritten files,
format version 2; and rewriting under a write load, while processes are killed, against the row table.

    storage.py [scenario ...]    all of them without arguments; --seed N
"""

import argparse
import os
import random
import re
import sys
import threading
import time

import psycopg

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from ivy_server import Server, compare, wait_live  # noqa: E402

try:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
    from pyiceberg.table import StaticTable
except ImportError as error:
    print("SKIPPED: %s" % error)
    sys.exit(77)

ROW_ID, LAST_UPDATED = 2147483540, 2147483539
SEED = 1


def metadata_of(c, mirror):
    return c.execute("SELECT metadata_location FROM mooncake.columnstore_tables WHERE table_name::text = %s", (mirror,)).fetchone()[0]


def table_of(c, mirror):
    return StaticTable.from_metadata(metadata_of(c, mirror))


def data_files(c, mirror):
    """(path, number of rows, deleted rows) of the current snapshot, by the engine's own list: pyiceberg's needs no deletes."""
    folder = metadata_of(c, mirror)
    rows = c.execute("SELECT file_path, record_count FROM iceberg_metadata('%s') AS f(file_path text, record_count bigint, content text) "
                     "WHERE content = 'DATA'" % folder).fetchall()
    return [(path, count) for path, count in rows]


def read_sorted(path, columns):
    """A data file's rows as tuples of these columns, in file order, NULLs last in comparisons."""
    table = pq.read_table(path, columns=columns)
    return list(zip(*[table.column(name).to_pylist() for name in columns]))


def is_sorted(rows):
    key = [tuple((value is None, value) for value in row) for row in rows]
    return all(not greater(a, b) for a, b in zip(key, key[1:]))


def greater(a, b):
    for (a_null, a_value), (b_null, b_value) in zip(a, b):
        if a_null != b_null:
            return a_null
        if not a_null and a_value != b_value:
            return a_value > b_value
    return False


def row_groups_in_range(c, mirror, column, low, high):
    """How many row groups a range of a column may be in, and how many there are."""
    hit = total = 0
    for path, _ in data_files(c, mirror):
        metadata = pq.ParquetFile(path).metadata
        index = metadata.schema.to_arrow_schema().get_field_index(column)
        for group in range(metadata.num_row_groups):
            statistics = metadata.row_group(group).column(index).statistics
            total += 1
            hit += statistics.min <= high and statistics.max >= low
    return hit, total


def sorted_files(server):
    """Files are sorted by the copy, by flushes, and together by a rewrite; Iceberg's sort order says so."""
    with server.connect(autocommit=True) as c:
        c.execute("CREATE TABLE events (id int PRIMARY KEY, kind text, at timestamp, amount float8, padding text)")
        c.execute("INSERT INTO events SELECT i, CASE WHEN i % 11 > 0 THEN 'kind ' || i % 7 END, timestamp '2024-01-01' + (i::bigint * 7919 % 100003) * interval '1 minute', "
                  "CASE i % 5 WHEN 0 THEN float8 'NaN' WHEN 1 THEN float8 '-0' WHEN 2 THEN NULL ELSE i END, repeat(md5(i::text), 3) FROM generate_series(1, 400000) i")
        c.execute("CALL mooncake.create_table('by_time', 'events', '{\"sort_column\": \"at\"}')")
        c.execute("CALL mooncake.create_table('by_kind', 'events', '{\"sort_column\": [\"kind\", \"at\"]}')")
        c.execute("CALL mooncake.create_table('plain', 'events')")
        hit, total = row_groups_in_range(c, "by_time", "at", *days(10))
        plain, plain_total = row_groups_in_range(c, "plain", "at", *days(10))
        print("row groups with ten of %d days: %d of %d sorted, %d of %d unsorted" % (70, hit, total, plain, plain_total))
        assert plain == plain_total >= 3 and hit < plain, (hit, total, plain, plain_total)
        for step in range(3):
            c.execute("UPDATE events SET kind = 'kind x', at = at - interval '1 day' * (id %% 50) WHERE id %% 10 = %d" % step)
            c.execute("DELETE FROM events WHERE id %% 100 = %d" % step)
            for mirror in ("by_time", "by_kind"):
                c.execute("CALL mooncake.create_snapshot('%s')" % mirror)
        for mirror, columns in (("by_time", ["at"]), ("by_kind", ["kind", "at"])):
            files = data_files(c, mirror)
            assert len(files) >= 4, files
            for path, count in files:
                rows = read_sorted(path, columns)
                assert len(rows) == count and is_sorted(rows), path
            order = table_of(c, mirror).sort_order()
            names = [table_of(c, mirror).schema().find_column_name(field.source_id) for field in order.fields]
            assert names == columns, order
            compare(c, "events", mirror)
        # Rewritten files are sorted together.
        c.execute("CALL mooncake.optimize('by_time')")
        files = data_files(c, "by_time")
        assert len(files) == 1 and is_sorted(read_sorted(files[0][0], ["at"])), files
        compare(c, "events", "by_time")
        # A dropped column ends the order.
        c.execute("ALTER TABLE events RENAME COLUMN at TO moment")
        c.execute("INSERT INTO events SELECT -i, 'new', timestamp '2023-01-01' + (i * 31 % 1000) * interval '1 day' FROM generate_series(1, 1000) i")
        c.execute("CALL mooncake.create_snapshot('by_time')")
        assert is_sorted(read_sorted(newest(c, "by_time"), ["moment"]))
        c.execute("ALTER TABLE events DROP COLUMN moment")
        c.execute("INSERT INTO events SELECT -i, 'newer' FROM generate_series(2000, 3000) i")
        for mirror in ("by_time", "by_kind"):
            c.execute("CALL mooncake.create_snapshot('%s')" % mirror)
            compare(c, "events", mirror)
        assert table_of(c, "by_time").sort_order().order_id == 0
        assert [field.source_id for field in table_of(c, "by_kind").sort_order().fields] == [2]


def sorted_numerics(server):
    """Numerics with option numeric_scale sort as numbers, and their conditions leave row groups out."""
    with server.connect(autocommit=True) as c:
        c.execute("CREATE TABLE amounts (id int PRIMARY KEY, amount numeric, t text)")
        c.execute("INSERT INTO amounts SELECT i, CASE WHEN i % 1000 > 0 THEN round((i::bigint * 7919 % 100003 - 50000) / 7.0, i % 7) END, md5(i::text) FROM generate_series(1, 300000) i")
        c.execute("CALL mooncake.create_table('by_amount', 'amounts', '{\"sort_column\": [\"amount\", \"id\"], \"numeric_scale\": 6}')")
        c.execute("CALL mooncake.create_table('two', 'amounts', '{\"sort_column\": \"amount\", \"numeric_scale\": {\"amount\": 6}, \"format_version\": 2}')")
        compare(c, "amounts", "by_amount")
        conditions = ["amount > 7142.8", "amount >= 7142.857143", "amount < -7140", "amount <= -7142.85714285714", "amount = 1.5", "amount = 1.5000000000000000000000000000000000000000000001",
                      "amount > 7142.857142857142857142857142857142857142857", "amount > 1e50", "amount < -1e50", "amount < 1e50", "amount > 'NaN'", "amount < 'NaN'", "amount < 'Infinity'",
                      "amount > '-Infinity'", "amount = 'NaN'", "amount <> 1.5", "amount IS NULL", "amount BETWEEN 10 AND 11.5", "amount IN (1.5, 2, 3.25)", "1.50 > amount", "NOT amount > 5",
                      "amount > 7142 OR amount < -7142", "amount > 5 AND id < 1000", "coalesce(amount, 0) = 0", "amount * 2 > 14285"]
        for mirror in ("by_amount", "two"):
            for condition in conditions:
                query = "SELECT count(*), sum(amount), count(t), min(id) FROM %s WHERE " + condition
                want, got = (c.execute(query % name).fetchone() for name in ("amounts", mirror))
                assert tuple(map(str, got)) == tuple(map(str, want)), (condition, got, want)
        plan = "\n".join(row[0] for row in c.execute("EXPLAIN (ANALYZE, VERBOSE) SELECT count(t) FROM by_amount WHERE amount > 7142.8"))
        scanned, groups = map(int, re.search(r"Row Groups Scanned: (\d+) / (\d+)", plan).groups())
        print("row groups with amounts above a bound: %d of %d" % (scanned, groups))
        assert scanned < groups and groups >= 2, plan
        for step in range(3):
            c.execute("UPDATE amounts SET amount = round(amount / 3, %d) WHERE id %% 10 = %d" % (step, step))
            c.execute("DELETE FROM amounts WHERE id %% 100 = %d" % step)
            for mirror in ("by_amount", "two"):
                c.execute("CALL mooncake.create_snapshot('%s')" % mirror)
        for mirror, columns in (("by_amount", ["amount", "id"]), ("two", ["amount"])):
            files = data_files(c, mirror)
            assert len(files) >= 4, files
            for path, _ in files:
                assert is_sorted(read_sorted(path, columns)), path
            order = table_of(c, mirror).sort_order()
            assert [table_of(c, mirror).schema().find_column_name(field.source_id) for field in order.fields] == columns, order
            compare(c, "amounts", mirror)
            c.execute("CALL mooncake.optimize('%s')" % mirror)
            files = data_files(c, mirror)
            assert len(files) == 1 and is_sorted(read_sorted(files[0][0], columns)), files
            compare(c, "amounts", mirror)
        # Values that do not fit are NULLs to a file's order as well.
        c.execute("INSERT INTO amounts VALUES (-1, 0.12345678), (-2, 5), (-3, 'NaN'), (-4, -7.25)")
        c.execute("CALL mooncake.create_snapshot('by_amount')")
        assert is_sorted(read_sorted(newest(c, "by_amount"), ["amount", "id"]))


def days(count):
    import datetime
    low = datetime.datetime(2024, 1, 20)
    return low, low + datetime.timedelta(days=count)


def newest(c, mirror):
    return max((path for path, _ in data_files(c, mirror)), key=os.path.getmtime)


def field_column(table, field_id):
    for i, field in enumerate(table.schema):
        if field.metadata and field.metadata.get(b"PARQUET:field_id") == str(field_id).encode():
            return table.column(i)
    return None


def optimized(server):
    """Many small files and one with many deleted rows become one; rows keep their ids; old files go; nobody sees a difference."""
    with server.connect(autocommit=True) as c:
        c.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
        c.execute("INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 50000) i")
        c.execute("CALL mooncake.create_table('m', 't')")
        first, = [path for path, _ in data_files(c, "m")]
        ids = {key: position for position, (key,) in enumerate(read_sorted(first, ["id"]))}
        for step in range(12):
            c.execute("INSERT INTO t SELECT i, 'w' || i FROM generate_series(%d, %d) i" % (60000 + step * 100, 60000 + step * 100 + 99))
            c.execute("DELETE FROM t WHERE id %% 40 = %d" % step)
            c.execute("CALL mooncake.create_snapshot('m')")
        before = {path for path, _ in data_files(c, "m")}
        assert len(before) == 13, before
        # A query that has begun goes on with the old files.
        with server.connect() as old:
            old.execute("SET mooncake.fallback = off")
            old.execute("DECLARE c CURSOR FOR SELECT id FROM m ORDER BY v, id")
            seen = old.execute("FETCH 10 FROM c").fetchall()
            c.execute("CALL mooncake.optimize('m')")
            seen += old.execute("FETCH ALL FROM c").fetchall()
            assert sorted(seen) == old.execute("SELECT id FROM t ORDER BY id").fetchall()
        after = data_files(c, "m")
        assert len(after) == 1 and after[0][0] not in before, after
        want = c.execute("SELECT count(*) FROM t").fetchone()[0]
        assert after[0][1] == want, (after, want)
        compare(c, "t", "m", context="optimized")
        arrow = pq.read_table(after[0][0])
        row_ids = field_column(arrow, ROW_ID)
        updated = field_column(arrow, LAST_UPDATED)
        found = dict(zip(arrow.column("id").to_pylist(), row_ids.to_pylist()))
        assert len(set(found.values())) == want
        assert all(found[key] == ids[key] for key in found if key in ids), "rows of the copy keep their ids"
        numbers = [snapshot.sequence_number for snapshot in table_of(c, "m").metadata.snapshots]
        assert pc.min(updated).as_py() == 1 and 13 <= pc.max(updated).as_py() < max(numbers), "and the numbers of the commits that wrote them"
        # And keep them when they are rewritten again.
        c.execute("DELETE FROM t WHERE id % 7 = 0")
        c.execute("CALL mooncake.optimize('m')")
        arrow = pq.read_table(data_files(c, "m")[0][0])
        again = dict(zip(arrow.column("id").to_pylist(), field_column(arrow, ROW_ID).to_pylist()))
        assert again == {key: value for key, value in found.items() if key % 7}
        operations = [snapshot.summary.operation.value for snapshot in table_of(c, "m").metadata.snapshots]
        assert operations.count("replace") == 2, operations
        # Nothing to do is not an error, and does nothing.
        location = metadata_of(c, "m")
        c.execute("CALL mooncake.optimize('m')")
        assert metadata_of(c, "m") == location
        c.execute("DELETE FROM t")
        c.execute("CALL mooncake.optimize('m')")
        compare(c, "t", "m", context="emptied")
        assert data_files(c, "m") == []
        for statement, state in (("CALL mooncake.optimize('t')", "42809"), ("CALL mooncake.optimize('nothing')", "42P01"),
                                 ("CALL mooncake.optimize(NULL)", "22004")):
            try:
                c.execute(statement)
                raise AssertionError("no error: " + statement)
            except psycopg.Error as error:
                assert error.sqlstate == state, (statement, error.sqlstate, error)


def by_itself(server):
    """Small files are rewritten without being asked, if the settings say so."""
    with server.connect(autocommit=True) as c:
        c.execute("ALTER SYSTEM SET mooncake.optimize_files = 4")
        c.execute("SELECT pg_reload_conf()")
        c.execute("CREATE TABLE auto (id int PRIMARY KEY, v text)")
        c.execute("CALL mooncake.create_table('auto_mirror', 'auto')")
        for step in range(12):
            c.execute("INSERT INTO auto SELECT i, 'x' FROM generate_series(%d, %d) i" % (step * 50, step * 50 + 49))
            c.execute("CALL mooncake.create_snapshot('auto_mirror')")
        deadline = time.monotonic() + 30
        while len(data_files(c, "auto_mirror")) > 4:
            assert time.monotonic() < deadline, data_files(c, "auto_mirror")
            time.sleep(0.1)
        compare(c, "auto", "auto_mirror", context="rewritten by itself")
        c.execute("ALTER SYSTEM RESET mooncake.optimize_files")
        c.execute("SELECT pg_reload_conf()")


def cancelled(server):
    """A cancelled call leaves nothing behind, and what fails is tried again."""
    with server.connect(autocommit=True) as c:
        c.execute("CREATE TABLE big (id int PRIMARY KEY, v text)")
        c.execute("CALL mooncake.create_table('big_mirror', 'big')")
        for step in range(3):
            c.execute("INSERT INTO big SELECT i, repeat(md5(i::text), 8) FROM generate_series(%d, %d) i" % (step * 200000, step * 200000 + 199999))
            c.execute("CALL mooncake.create_snapshot('big_mirror')")
        files = sorted(data_files(c, "big_mirror"))
        folder = os.path.dirname(files[0][0])
        known = set(os.listdir(folder))
        c.execute("SET statement_timeout = 300")
        try:
            c.execute("CALL mooncake.optimize('big_mirror')")
            raise AssertionError("it was to be cancelled")
        except psycopg.errors.QueryCanceled:
            pass
        c.execute("RESET statement_timeout")
        deadline = time.monotonic() + 30
        while set(os.listdir(folder)) != known or c.execute("SELECT count(*) FROM mooncake.optimize_progress").fetchone()[0]:
            assert time.monotonic() < deadline, set(os.listdir(folder)) - known
            time.sleep(0.1)
        assert sorted(data_files(c, "big_mirror")) == files
        c.execute("CALL mooncake.optimize('big_mirror')")
        assert len(data_files(c, "big_mirror")) < 3
        compare(c, "big", "big_mirror", context="after a cancelled call")


def altered_meanwhile(server):
    """A command that waits for a mirror while its files are rewritten: the rewrite's end does not wait for the command."""
    with server.connect(autocommit=True) as c:
        for name in ("altered", "dropped"):
            c.execute("CREATE TABLE %s (id int PRIMARY KEY)" % name)
            c.execute("CALL mooncake.create_table('%s_mirror', '%s')" % (name, name))
            for step in range(3):
                c.execute("INSERT INTO %s SELECT generate_series(%d, %d)" % (name, step * 100, step * 100 + 99))
                c.execute("CALL mooncake.create_snapshot('%s_mirror')" % name)
    server.stop()
    server.env["IVY_FAULT"] = "rewrite-finish-file:sleep-1000"
    server.start()
    for mirror, command in (("altered_mirror", "ALTER TABLE altered ADD COLUMN more int"), ("dropped_mirror", "DROP TABLE dropped_mirror")):
        ended = []

        def optimize(mirror=mirror):
            with server.connect(autocommit=True) as c:
                c.execute("SET statement_timeout = '20s'")
                try:
                    c.execute("CALL mooncake.optimize('%s')" % mirror)
                    ended.append("done")
                except psycopg.Error as error:
                    ended.append(error.sqlstate)
        with server.connect(autocommit=True) as c:
            wait_live(c, mirror)
            thread = threading.Thread(target=optimize)
            thread.start()
            time.sleep(0.4)
            c.execute("SET statement_timeout = '20s'")
            c.execute(command)
            thread.join()
        assert ended[0] in ("done", "55000"), ended
    with server.connect(autocommit=True) as c:
        wait_live(c, "altered_mirror")
        compare(c, "altered", "altered_mirror", context="altered while files were rewritten")
    server.env["IVY_FAULT"] = ""


def version_2(server):
    """Format version 2: deletes in Parquet files, which pyiceberg reads row by row, through rewrites and restarts."""
    with server.connect(autocommit=True) as c:
        c.execute("CREATE TABLE src (id int PRIMARY KEY, t text, n numeric(12,3), u uuid)")
        c.execute("INSERT INTO src SELECT i, CASE WHEN i % 7 > 0 THEN 'text ' || i END, i / 8.0, md5(i::text)::uuid FROM generate_series(1, 8000) i")
        c.execute("CALL mooncake.create_table('v2', 'src', '{\"format_version\": 2}')")
        assert c.execute("SELECT format_version FROM mooncake.columnstore_tables WHERE table_name::text = 'v2'").fetchone()[0] == 2

        def check(step):
            c.execute("CALL mooncake.create_snapshot('v2')")
            table = table_of(c, "v2")
            assert table.metadata.format_version == 2
            got = sorted((row["id"], row["t"], row["n"], row["u"].bytes if hasattr(row["u"], "bytes") else row["u"]) for row in table.scan().to_arrow().to_pylist())
            want = [(i, t, n, u.bytes) for i, t, n, u in c.execute("SELECT id, t, n, u FROM src ORDER BY id")]
            assert got == want, "%s: pyiceberg reads %d rows, the row table has %d" % (step, len(got), len(want))
            compare(c, "src", "v2", context=step)
        check("copy")
        c.execute("DELETE FROM src WHERE id % 3 = 0")
        check("position deletes")
        c.execute("UPDATE src SET t = 'changed' WHERE id % 5 = 0")
        c.execute("DELETE FROM src WHERE id % 11 = 0")
        check("position deletes replaced")
        server.stop()
        server.start()
    with server.connect(autocommit=True) as c:
        wait_live(c, "v2")
        compare(c, "src", "v2", context="restarted")
        c.execute("DELETE FROM src WHERE id % 13 = 0")
        c.execute("CALL mooncake.optimize('v2')")
        table = table_of(c, "v2")
        assert table.metadata.format_version == 2
        assert len(data_files(c, "v2")) == 1
        assert len(table.scan().to_arrow()) == c.execute("SELECT count(*) FROM src").fetchone()[0]
        assert field_column(pq.read_table(data_files(c, "v2")[0][0]), ROW_ID) is None
        deletes = [task.delete_files for task in table.scan().plan_files()]
        assert deletes == [set()], deletes
        compare(c, "src", "v2", context="optimized")
        c.execute("TRUNCATE src")
        c.execute("INSERT INTO src SELECT i, 'again', i, NULL FROM generate_series(1, 50) i")
        c.execute("CALL mooncake.create_snapshot('v2')")
        assert len(table_of(c, "v2").scan().to_arrow()) == 50
        compare(c, "src", "v2", context="truncated")


FAULTS = ["rewrite-new-file", "rewrite-finish-file", "rewrite-before-commit", "rewrite-before-publish", "sort-append", "file-write",
          "flush-before-vectors", "flush-after-publish", "capture-before-publish", "capture-after-publish", "parquet-append", "parquet-sync"]


def under_load(server, seconds=20):
    """Writers of all kinds, files rewritten all the time, the engine killed or made to fail at any point of it."""
    rnd = random.Random(SEED)
    mirrors = [("k", "k_sorted", '{"sort_column": ["v", "n"]}'), ("k", "k_two", '{"format_version": 2}'), ("f", "f_full", '{"identity": "full", "sort_column": "n"}'),
               ("k", "k_plain", "{}")]
    with server.connect(autocommit=True) as c:
        c.execute("ALTER SYSTEM SET mooncake.optimize_files = 3")
        c.execute("ALTER SYSTEM SET mooncake.flush_interval = '100ms'")
        c.execute("SELECT pg_reload_conf()")
        c.execute("CREATE TABLE k (id int PRIMARY KEY, v text, n float8)")
        c.execute("CREATE TABLE f (v text, n int)")
        c.execute("ALTER TABLE f REPLICA IDENTITY FULL")
        c.execute("INSERT INTO k SELECT i, 'v' || i %% 100, i FROM generate_series(1, 3000) i".replace("%%", "%"))
        for source, mirror, options in mirrors:
            c.execute("CALL mooncake.create_table(%s, %s, %s::jsonb)", (mirror, source, options))
    stopping, failed = threading.Event(), []

    def write(seed):
        dice = random.Random(seed)
        while not stopping.is_set():
            try:
                with server.connect() as connection:
                    while not stopping.is_set():
                        for _ in range(dice.randint(1, 4)):
                            low = dice.randint(0, 5000)
                            pick = dice.random()
                            if pick < 0.35:
                                connection.execute("INSERT INTO k SELECT i, 'v' || i %% 50, random() FROM generate_series(%s::int, %s::int) i ON CONFLICT (id) DO UPDATE SET n = excluded.n",
                                                   (low, low + dice.randint(0, 300)))
                            elif pick < 0.55:
                                connection.execute("DELETE FROM k WHERE id BETWEEN %s AND %s", (low, low + dice.randint(0, 200)))
                            elif pick < 0.7:
                                connection.execute("INSERT INTO f SELECT 'x' || i %% 3, i %% 5 FROM generate_series(1, %s::int) i", (dice.randint(1, 40),))
                            elif pick < 0.85:
                                connection.execute("DELETE FROM f WHERE ctid IN (SELECT ctid FROM f WHERE n = %s LIMIT %s)", (dice.randint(0, 4), dice.randint(1, 30)))
                            elif pick < 0.99:
                                connection.execute("UPDATE k SET v = 'u' || %s WHERE id %% 97 = %s", (low, low % 97))
                            else:
                                connection.execute("TRUNCATE " + dice.choice("kf"))
                        connection.commit() if dice.random() < 0.9 else connection.rollback()
            except (psycopg.OperationalError, psycopg.errors.DeadlockDetected):
                time.sleep(0.05)
            except Exception as error:  # noqa: BLE001  the main thread reports it
                failed.append(error)
                return

    def optimize(seed):
        dice = random.Random(seed)
        while not stopping.wait(dice.random() * 0.3):
            try:
                with server.connect(autocommit=True) as connection:
                    if dice.random() < 0.2:
                        connection.execute("SET statement_timeout = %d" % dice.randint(1, 100))
                    connection.execute("CALL mooncake.optimize('%s')" % dice.choice(mirrors)[1])
            except psycopg.Error:
                time.sleep(0.05)

    threads = [threading.Thread(target=write, args=(SEED + i,)) for i in range(2)] + [threading.Thread(target=optimize, args=(SEED,))]
    for thread in threads:
        thread.start()
    checks = kills = 0
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end and not failed:
            time.sleep(rnd.random())
            if rnd.random() < 0.5:
                server.kill("ivy_engine")
                kills += 1
            for source, mirror, _ in mirrors:
                with server.connect(autocommit=True) as c:
                    wait_live(c, mirror)
                    for _ in range(20):
                        try:
                            compare(c, source, mirror, context="seed %d" % SEED)
                            checks += 1
                            break
                        except psycopg.Error:
                            time.sleep(0.1)  # killed by a fault point, or not sure which of equal rows went
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    if failed:
        raise failed[0]
    assert checks > 4, checks
    with server.connect(autocommit=True) as c:
        for source, mirror, _ in mirrors:
            wait_live(c, mirror)
            c.execute("CALL mooncake.optimize('%s')" % mirror)
            count = compare(c, source, mirror, context="at the end")[0]
            rows = sum(rows for _, rows in data_files(c, mirror))
            assert rows >= count, (rows, count)
            # Nothing but what the table refers to is left, once the mirror was loaded anew.
        operations = [s.summary.operation.value for s in table_of(c, "k_sorted").metadata.snapshots]
        again = c.execute("SELECT mirror::text, generation, error FROM mooncake.mirrors WHERE generation > 1").fetchall()
        assert not again, again
        print("%d checks, %d kills, %d of the last %d snapshots of one mirror are rewrites" % (checks, kills, operations.count("replace"), len(operations)))
        c.execute("ALTER SYSTEM RESET ALL")
        c.execute("SELECT pg_reload_conf()")


def faults(server):
    """The engine dies at each step of a rewrite: nothing is lost, nothing is left behind."""
    with server.connect(autocommit=True) as c:
        c.execute("CREATE TABLE ft (id int PRIMARY KEY, v int)")
        c.execute("CALL mooncake.create_table('ft_mirror', 'ft', '{\"sort_column\": \"v\"}')")
    for number, name in enumerate(FAULTS):
        for action in ("kill", "error"):
            server.env["IVY_FAULT"] = ""
            server.stop()
            server.start()
            with server.connect(autocommit=True) as c:
                wait_live(c, "ft_mirror")
                for step in range(3):
                    c.execute("INSERT INTO ft SELECT i, random() * 1000 FROM generate_series(%d, %d) i ON CONFLICT DO NOTHING" % (number * 100 + step * 50, number * 100 + step * 50 + 120))
                    c.execute("DELETE FROM ft WHERE id %% 17 = %d" % (number % 17))
                    c.execute("CALL mooncake.create_snapshot('ft_mirror')")
            server.env["IVY_FAULT"] = "%s:%s" % (name, action)
            server.stop()
            server.start()
            with server.connect(autocommit=True) as c:
                try:
                    c.execute("CALL mooncake.optimize('ft_mirror')")
                except psycopg.Error:
                    pass
            server.env["IVY_FAULT"] = ""
            server.stop("immediate")
            server.start()
            with server.connect(autocommit=True) as c:
                wait_live(c, "ft_mirror")
                compare(c, "ft", "ft_mirror", context="%s %s" % (name, action))
                c.execute("CALL mooncake.optimize('ft_mirror')")
                compare(c, "ft", "ft_mirror", context="%s %s, optimized" % (name, action))
                live = data_files(c, "ft_mirror")
                assert len(live) == 1, (name, action, live)
    with server.connect(autocommit=True) as c:
        again = c.execute("SELECT mirror::text, generation, error FROM mooncake.mirrors WHERE mirror = 'ft_mirror'::regclass AND generation > 1").fetchall()
        assert not again, again


SCENARIOS = [sorted_files, sorted_numerics, optimized, by_itself, cancelled, altered_meanwhile, version_2, under_load, faults]


def main():
    global SEED
    parser = argparse.ArgumentParser()
    parser.add_argument("scenario", nargs="*")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randint(1, 10**6))
    options = parser.parse_args()
    SEED = options.seed
    for scenario in SCENARIOS:
        if options.scenario and scenario.__name__ not in options.scenario:
            continue
        with Server(conf="mooncake.flush_interval = 1h\nmooncake.optimize_files = 0\n") as server:
            started = time.monotonic()
            scenario(server)
            print("%s: %.1f s" % (scenario.__name__, time.monotonic() - started), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
