# SPDX-License-Identifier: Apache-2.0
"""Delta tables written by the deltalake package, compared with what it reads itself."""

import datetime as dt
import decimal
import os

import pyarrow as pa
import pytest
from lake_engine import rows_of
from deltalake import DeltaTable, Field, Schema, write_deltalake

UTC = dt.timezone.utc


def sample(count=100, start=0):
    """A table with a column of every type that the package writes."""
    numbers = range(start, start + count)

    def some(make):
        return [None if n % 11 == 5 else make(n) for n in numbers]

    return pa.table({
        "id": pa.array(numbers, pa.int64()),
        "part": pa.array(some(lambda n: "p" + str(n % 3)), pa.string()),
        "i8": pa.array(some(lambda n: n % 100 - 50), pa.int8()),
        "i16": pa.array(some(lambda n: n * 3 - 500), pa.int16()),
        "i32": pa.array(some(lambda n: n * 70000), pa.int32()),
        "f32": pa.array(some(lambda n: n / 4), pa.float32()),
        "f64": pa.array(some(lambda n: -n / 3), pa.float64()),
        "flag": pa.array(some(lambda n: n % 2 == 0), pa.bool_()),
        "price": pa.array(some(lambda n: decimal.Decimal(n * 7 - 100) / 100), pa.decimal128(10, 2)),
        "big": pa.array(some(lambda n: decimal.Decimal(10**30 + n) / 1000), pa.decimal128(38, 3)),
        "day": pa.array(some(lambda n: dt.date(1965, 3, 1) + dt.timedelta(n * 37)), pa.date32()),
        "moment": pa.array(some(lambda n: dt.datetime(1969, 12, 31, 23, tzinfo=UTC) + dt.timedelta(seconds=n * 61.000007)),
                       pa.timestamp("us", "UTC")),
        "local": pa.array(some(lambda n: dt.datetime(2024, 1, 1) + dt.timedelta(hours=n)), pa.timestamp("us")),
        "name": pa.array(some(lambda n: f"nämé {n}" * (n % 4)), pa.string()),
        "bytes": pa.array(some(lambda n: bytes([n % 256, 255, 0])), pa.binary()),
        "point": pa.array(some(lambda n: {"x": n, "y": {"z": str(n)}}),
                          pa.struct([("x", pa.int32()), ("y", pa.struct([("z", pa.string())]))])),
        "list": pa.array(some(lambda n: [n, None, n + 1][: n % 4]), pa.list_(pa.int64())),
        "map": pa.array(some(lambda n: [(f"k{n}", n), ("other", None)]), pa.map_(pa.string(), pa.int64())),
    })


def check(engine, path, version=None):
    """Compares all rows of a table with the package's."""
    table = DeltaTable(path, version=version)
    expected = rows_of(table.to_pyarrow_table())
    argument = "" if version is None else f", version := {version}"
    assert engine.rows(f"SELECT * FROM ivy_delta_scan('{path}'{argument})") == expected
    assert int(engine.run(f"SELECT count(*) FROM ivy_delta_scan('{path}'{argument})")[0][0]) == len(expected)
    return expected


def test_all_types(engine, tmp_path):
    path = str(tmp_path / "t")
    write_deltalake(path, sample())
    assert len(check(engine, path)) == 100
    read = engine.table(f"SELECT * FROM ivy_delta_scan('{path}')").schema
    assert [field.name for field in read] == [field.name for field in sample().schema]


def test_partitions(engine, tmp_path):
    path = str(tmp_path / "t")
    for keys in (["part"], ["day"], ["big", "flag"], ["i32"], ["moment"], ["local"], ["f64"]):
        target = path + "_".join(keys)
        write_deltalake(target, sample(60), partition_by=keys)
        check(engine, target)
    # Special characters in folder names, an empty text (which is NULL) and NULL.
    table = pa.table({"k": ["a b", "a%20b", "ü/=:", "x'y\"z", None, "#?&"], "v": range(6)})
    write_deltalake(path + "s", table, partition_by=["k"])
    check(engine, path + "s")
    assert engine.rows(f"SELECT v FROM ivy_delta_scan('{path}s') WHERE k = 'a%20b'") == [(1,)]
    assert engine.rows(f"SELECT v FROM ivy_delta_scan('{path}s') WHERE k IS NULL") == [(4,)]


def test_changes_and_time_travel(engine, tmp_path):
    path = str(tmp_path / "t")
    write_deltalake(path, sample(50), partition_by=["part"])
    write_deltalake(path, sample(50, 50), mode="append")
    table = DeltaTable(path)
    table.delete("id % 7 = 0")
    table.update(updates={"name": "'new'"}, predicate="id > 80")
    source = sample(30, 90).drop_columns(["list", "map", "point"])
    (table.merge(source, "t.id = s.id", source_alias="s", target_alias="t")
     .when_matched_update({"name": "'merged'"}).when_not_matched_insert({"id": "s.id", "name": "s.name"}).execute())
    table.create_checkpoint()
    write_deltalake(path, sample(5, 500), mode="append")
    write_deltalake(path, sample(3, 600), mode="overwrite")
    latest = DeltaTable(path).version()
    for version in range(latest + 1):
        check(engine, path, version)
    assert check(engine, path) == check(engine, path, latest)
    for version in range(latest + 1):
        os.utime(f"{path}/_delta_log/{version:020}.json", (1_700_000_000 + version * 60,) * 2)
    for seconds, version in ((0, 0), (59, 0), (60, 1), (121, 2), (10**6, latest)):
        at = dt.datetime.fromtimestamp(1_700_000_000 + seconds, UTC).replace(tzinfo=None)
        rows = engine.rows(f"SELECT id FROM ivy_delta_scan('{path}', timestamp := TIMESTAMP '{at}')")
        assert rows == engine.rows(f"SELECT id FROM ivy_delta_scan('{path}', version := {version})")
        zoned = engine.rows(f"SELECT id FROM ivy_delta_scan('{path}', timestamp := TIMESTAMPTZ '{at}+00')")
        assert rows == zoned
    assert engine.error(f"SELECT * FROM ivy_delta_scan('{path}', version := {latest + 1})").startswith("22023")
    assert engine.error(f"SELECT * FROM ivy_delta_scan('{path}', version := -1)").startswith("22023")
    assert engine.error(f"SELECT * FROM ivy_delta_scan('{path}', timestamp := '2001-01-01')").startswith("22023")
    assert engine.error(f"SELECT * FROM ivy_delta_scan('{path}', timestamp := 'soon')").startswith("22023")
    assert engine.error(f"SELECT * FROM ivy_delta_scan('{path}', version := 1, timestamp := 'now')").startswith("22023")


def test_schema_evolution(engine, tmp_path):
    path = str(tmp_path / "t")
    write_deltalake(path, pa.table({"a": pa.array([1, 2], pa.int32()), "s": [{"x": 1}, None]}))
    write_deltalake(path, pa.table({"b": ["new"], "a": pa.array([3], pa.int32()), "s": [{"x": 2}]}), mode="append",
                    schema_mode="merge")
    check(engine, path)
    assert engine.rows(f"SELECT a FROM ivy_delta_scan('{path}') WHERE b IS NULL") == [(1,), (2,)]
    assert engine.rows(f"SELECT a FROM ivy_delta_scan('{path}') WHERE b = 'new'") == [(3,)]
    DeltaTable(path).alter.add_columns(Field("c", "double"))
    check(engine, path)
    write_deltalake(path, pa.table({"z": [1]}), mode="overwrite", schema_mode="overwrite")
    check(engine, path)
    check(engine, path, 1)


def test_optimized_and_cleaned(engine, tmp_path):
    path = str(tmp_path / "t")
    for start in range(0, 50, 10):
        write_deltalake(path, sample(10, start), mode="append")
    table = DeltaTable(path)
    before = check(engine, path)
    table.optimize.compact()
    table.create_checkpoint()
    table.cleanup_metadata()
    table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    assert check(engine, path) == before


def test_empty(engine, tmp_path):
    path = str(tmp_path / "t")
    DeltaTable.create(path, Schema([Field("a", "integer"), Field("b", "string")]))
    assert engine.rows(f"SELECT * FROM ivy_delta_scan('{path}')") == []
    assert engine.run(f"SELECT count(*), max(a) FROM ivy_delta_scan('{path}')") == [["0", None]]
    assert engine.run(f"SELECT count(*) FROM ivy_delta_scan('{path}') WHERE a > 3 AND b = 'x'") == [["0"]]
    write_deltalake(path, pa.table({"a": pa.array([1], pa.int32()), "b": ["x"]}), mode="append")
    DeltaTable(path).delete()
    assert engine.rows(f"SELECT * FROM ivy_delta_scan('{path}')") == []


@pytest.mark.parametrize("condition", [
    "id = 42", "id < 5", "id >= 95", "part = 'p1'", "part IS NULL", "part IS NOT NULL AND id > 90", "price < -0.5",
    "day < DATE '1970-01-01'", "moment < TIMESTAMPTZ '1970-01-01 00:10:00+00'", "moment > TIMESTAMPTZ '1970-01-01 00:30:00.123+00'",
    "local = TIMESTAMP '2024-01-02 00:00:00'", "f64 > -2", "name LIKE 'nämé 1%'", "name = ''", "flag", "i8 IN (-50, 3)",
    "bytes = '\\x07\\xFF\\x00'::BLOB", "point.x = 7", "point.y.z = '9'", "list[1] = 3", "map['other'] IS NULL",
    "id = 1000", "big > 1e27", "i16 + i32 > 100", "id IN (SELECT 13)", "i32 IS NULL OR part = 'p2'",
])
def test_filters(engine, tmp_path, condition):
    path = str(tmp_path / "t")
    for start in range(0, 100, 20):
        write_deltalake(path, sample(20, start), mode="append", partition_by=["part"])
    everything = str(tmp_path / "all.parquet")
    engine.run(f"COPY (SELECT * FROM ivy_delta_scan('{path}')) TO '{everything}' (FORMAT parquet)")
    for columns in ("*", "id", "count(*)", "id, point.y"):
        expected = engine.rows(f"SELECT {columns} FROM read_parquet('{everything}') WHERE {condition}")
        assert engine.rows(f"SELECT {columns} FROM ivy_delta_scan('{path}') WHERE {condition}") == expected


def test_files_are_left_out(engine, tmp_path):
    path = str(tmp_path / "t")
    for start in range(0, 100, 20):
        write_deltalake(path, sample(20, start).drop_columns(["part"]), mode="append")

    def files(condition):
        plan = engine.run(f"EXPLAIN ANALYZE SELECT * FROM ivy_delta_scan('{path}') WHERE {condition}")[0][1]
        return int(plan.split("Total Files Read: ")[1].split()[0].rstrip("│")) if "Total Files Read" in plan else 0

    assert files("id >= 0") == 5
    assert files("id = 42") == 1
    assert files("id > 70") == 2
    assert files("day < DATE '1966-01-01'") == 1
    assert files("moment >= TIMESTAMPTZ '1970-01-01 00:30:00+00'") == 1
    # Bounds of timestamps are cut to milliseconds: the last row must still be found.
    last = engine.run(f"SELECT max(moment) FROM ivy_delta_scan('{path}')")[0][0]
    assert engine.run(f"SELECT count(*) FROM ivy_delta_scan('{path}') WHERE moment = TIMESTAMPTZ '{last}'") == [["1"]]
