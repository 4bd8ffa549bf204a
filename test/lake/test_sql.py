# SPDX-License-Identifier: Apache-2.0
"""Foreign tables through SQL, joined with row tables; and our own mirrors' Iceberg tables, which are foreign to these
readers and whose row tables tell what must be in them."""

import os
import sys

import psycopg
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from handmade import HandmadeIceberg, iceberg_field
from test_delta import sample

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from ivy_server import Server, wait_live  # noqa: E402

pytestmark = pytest.mark.skipif("IVY_BUILD" not in os.environ, reason="no server was built")


@pytest.fixture(scope="module")
def server():
    with Server() as server:
        yield server


@pytest.fixture
def connection(server):
    with server.connect(autocommit=True) as connection:
        connection.execute("SET timezone = 'UTC'")
        yield connection


@pytest.fixture
def folder(tmp_path_factory):
    """A folder that the server's user may read."""
    folder = tmp_path_factory.mktemp("tables")
    for path in (folder, folder.parent, folder.parent.parent):
        path.chmod(0o755)
    return folder


def ordered(rows):
    return sorted(rows, key=repr)


def open_up(folder):
    for root, folders, files in os.walk(folder):
        for name in folders + files:
            os.chmod(os.path.join(root, name), 0o755)


def test_delta(connection, folder):
    table = sample(60).drop_columns(["point", "list", "map", "bytes", "i8"])
    for start in (0, 60):
        write_deltalake(str(folder / "t"), sample(60, start).select(table.column_names), mode="append", partition_by=["part"])
    DeltaTable(str(folder / "t")).delete("id % 9 = 0")
    open_up(folder)
    columns = ("id bigint, part text, i16 smallint, i32 int, f32 real, f64 double precision, flag boolean, price numeric(10,2), "
               "big numeric(38,3), day date, moment timestamptz, local timestamp, name text")
    scan = f"delta_scan('{folder}/t') AS t({columns})"
    names = [column.split()[0] for column in columns.split(", ")]
    expected = DeltaTable(str(folder / "t")).to_pyarrow_table().select(names).to_pylist()
    assert ordered(connection.execute(f"SELECT * FROM {scan}").fetchall()) == ordered(tuple(row.values()) for row in expected)
    connection.execute("CREATE TEMP TABLE wanted AS SELECT g::bigint AS id, 'w' || g AS w FROM generate_series(1, 200, 7) g")
    joined = connection.execute(f"SELECT t.id, w.w FROM wanted w JOIN {scan} USING (id) WHERE t.part = 'p1'").fetchall()
    assert ordered(joined) == ordered((row["id"], f"w{row['id']}") for row in expected
                                      if row["part"] == "p1" and row["id"] % 7 == 1)
    assert connection.execute(f"SELECT count(*) FROM delta_scan('{folder}/t', version => 0) AS t(id bigint)").fetchone() == (60,)
    assert connection.execute(f"SELECT count(*) FROM delta_scan('{folder}/t', as_of => now()) AS t(id bigint)").fetchone() == (
        len(expected),)
    connection.execute(f"CREATE TEMP TABLE copied AS SELECT * FROM {scan}")
    assert connection.execute("SELECT count(*) FROM copied").fetchone() == (len(expected),)
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="no version 99"):
        connection.execute(f"SELECT * FROM delta_scan('{folder}/t', version => 99) AS t(id bigint)")
    with pytest.raises(psycopg.errors.UndefinedFile, match="not a Delta table"):
        connection.execute(f"SELECT * FROM delta_scan('{folder}/none') AS t(id bigint)")
    # Columns and types without a list of them.
    cursor = connection.execute(f"SELECT * FROM delta_scan('{folder}/t') WHERE id = 1")
    assert [column.name for column in cursor.description] == table.column_names


def test_iceberg(connection, folder):
    fields = [("id", pa.int64(), 1), ("name", pa.string(), 2)]
    table = HandmadeIceberg(folder / "t", [iceberg_field(1, "id", "long"), iceberg_field(2, "name", "string")])
    a = table.data("a.parquet", fields, [(n, f"n{n}") for n in range(1000)], 1)
    table.position_deletes("p.parquet", [(a, n) for n in range(0, 1000, 2)], 2)
    table.equality_deletes("e.parquet", [fields[0]], [(5,), (7,)], 2)
    table.write()
    open_up(folder)
    scan = f"iceberg_scan('{folder}/t') AS t(id bigint, name text)"
    expected = [(n, f"n{n}") for n in range(1, 1000, 2) if n not in (5, 7)]
    assert ordered(connection.execute(f"SELECT * FROM {scan}").fetchall()) == ordered(expected)
    assert connection.execute(f"SELECT name FROM {scan} WHERE id BETWEEN 4 AND 9 ORDER BY id").fetchall() == [("n9",)]
    contents = connection.execute(f"SELECT content FROM iceberg_metadata('{folder}/t') ORDER BY 1").fetchall()
    assert contents == [("DATA",), ("EQUALITY_DELETES",), ("POSITION_DELETES",)]
    assert connection.execute(f"SELECT snapshot_id FROM iceberg_snapshots('{folder}/t')").fetchall() == [(1,)]
    table.data("b.parquet", [("id", pa.string(), 1)], [("x",)], 1)
    table.write()
    open_up(folder)
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="b.parquet"):
        connection.execute(f"SELECT * FROM {scan}")


def test_mirrors_are_iceberg_tables(connection):
    """What mirrors write is read back by these readers: every snapshot, with its deletion vectors."""
    connection.execute("CREATE TABLE src (id bigint PRIMARY KEY, t text, n numeric(12,2), d date, ts timestamp, b boolean)")
    connection.execute("INSERT INTO src SELECT i, CASE WHEN i % 5 > 0 THEN 't' || i END, i / 7.0, date '2020-01-01' + i % 900, "
                       "timestamp '2020-01-01' + i * interval '1 minute', i % 2 = 0 FROM generate_series(1, 5000) i")
    connection.execute("CALL mooncake.create_table('src_mirror', 'src')")
    wait_live(connection, "src_mirror")
    for change in ("DELETE FROM src WHERE id % 10 = 3", "UPDATE src SET t = 'new' WHERE id % 10 = 4",
                   "ALTER TABLE src ADD COLUMN extra int DEFAULT 7", "INSERT INTO src SELECT i, 'more' FROM generate_series(6000, 6500) i"):
        connection.execute(change)
        wait_live(connection, "src_mirror")
        connection.execute("CALL mooncake.create_snapshot('src_mirror')")
        location, = connection.execute("SELECT metadata_location FROM mooncake.columnstore_tables "
                                       "WHERE table_name = 'src_mirror'").fetchone()
        columns = "id bigint, t text, n numeric(12,2), d date, ts timestamp, b boolean"
        columns += ", extra int" if "extra" in change or "INSERT" in change else ""
        differences = connection.execute(f"SELECT count(*) FROM (TABLE src EXCEPT SELECT * FROM iceberg_scan('{location}') AS m({columns})) x"
                                         ).fetchone()
        counts = connection.execute(f"SELECT (SELECT count(*) FROM src), (SELECT count(*) FROM iceberg_scan('{location}') AS m({columns}))"
                                    ).fetchone()
        assert differences == (0,) and counts[0] == counts[1], change


def test_cancel(connection, folder):
    fields = [("id", pa.int64(), 1)]
    table = HandmadeIceberg(folder / "t", [iceberg_field(1, "id", "long")])
    for part in range(4):
        table.data(f"{part}.parquet", fields, [(n,) for n in range(20000)], 1)
    table.write()
    open_up(folder)
    connection.execute("SET statement_timeout = 300")
    scan = f"iceberg_scan('{folder}/t') AS {{0}}(id bigint)"
    with pytest.raises(psycopg.errors.QueryCanceled):
        connection.execute(f"SELECT count(*) FROM {scan.format('a')}, {scan.format('b')} WHERE a.id * b.id % 7 = 3")
    connection.execute("SET statement_timeout = 0")
    assert connection.execute(f"SELECT count(*) FROM {scan.format('a')}").fetchone() == (80000,)
