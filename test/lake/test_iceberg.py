# SPDX-License-Identifier: Apache-2.0
"""Iceberg tables written by pyiceberg, compared with what it reads itself."""

import datetime as dt
import decimal
import os
import re
import shutil
import uuid

import pyarrow as pa
import pytest
from lake_engine import rows_of
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import (BucketTransform, DayTransform, HourTransform, IdentityTransform, MonthTransform,
                                  TruncateTransform, YearTransform)
from pyiceberg.types import (BinaryType, BooleanType, DateType, DecimalType, DoubleType, FixedType, FloatType,
                             IntegerType, ListType, LongType, MapType, NestedField, StringType, StructType,
                             TimestampType, TimestamptzType, TimeType, UUIDType)

UTC = dt.timezone.utc

SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "part", StringType()),
    NestedField(3, "i", IntegerType()),
    NestedField(4, "f", FloatType()),
    NestedField(5, "d", DoubleType()),
    NestedField(6, "flag", BooleanType()),
    NestedField(7, "price", DecimalType(10, 2)),
    NestedField(8, "day", DateType()),
    NestedField(9, "time", TimeType()),
    NestedField(10, "moment", TimestamptzType()),
    NestedField(11, "local", TimestampType()),
    NestedField(12, "name", StringType()),
    NestedField(13, "bytes", BinaryType()),
    NestedField(14, "fixed", FixedType(4)),
    NestedField(15, "uuid", UUIDType()),
    NestedField(16, "point", StructType(NestedField(20, "x", IntegerType()),
                                        NestedField(21, "y", StructType(NestedField(22, "z", StringType()))))),
    NestedField(17, "list", ListType(23, LongType(), False)),
    NestedField(18, "map", MapType(24, StringType(), 25, LongType(), False)),
)


def sample(count=100, start=0):
    numbers = range(start, start + count)

    def some(make):
        return [None if n % 11 == 5 else make(n) for n in numbers]

    return pa.Table.from_pydict({
        "id": list(numbers),
        "part": some(lambda n: "p" + str(n % 3)),
        "i": some(lambda n: n * 70000 - 10**6),
        "f": some(lambda n: n / 4),
        "d": some(lambda n: -n / 3),
        "flag": some(lambda n: n % 2 == 0),
        "price": some(lambda n: decimal.Decimal(n * 7 - 100) / 100),
        "day": some(lambda n: dt.date(1965, 3, 1) + dt.timedelta(n * 37)),
        "time": some(lambda n: dt.time(n % 24, n % 60, 1, n)),
        "moment": some(lambda n: dt.datetime(1969, 12, 31, 23, tzinfo=UTC) + dt.timedelta(seconds=n * 61.000007)),
        "local": some(lambda n: dt.datetime(2024, 1, 1) + dt.timedelta(hours=n)),
        "name": some(lambda n: f"nämé {n}" * (n % 4)),
        "bytes": some(lambda n: bytes([n % 256, 255, 0])),
        "fixed": some(lambda n: bytes([n % 256] * 4)),
        "uuid": some(lambda n: uuid.UUID(int=n * 10**30).bytes),
        "point": some(lambda n: {"x": n, "y": {"z": str(n)}}),
        "list": some(lambda n: [n, None, n + 1][: n % 4]),
        "map": some(lambda n: [(f"k{n}", n), ("other", None)]),
    }, schema=schema_to_pyarrow(SCHEMA, include_field_ids=False))  # the table gives its own ids


@pytest.fixture(params=[1, 2], ids=["v1", "v2"])  # pyiceberg does not write version 3
def new_table(request, tmp_path):
    catalog = SqlCatalog("test", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/warehouse")
    catalog.create_namespace("n")

    def create(name="t", schema=SCHEMA, spec=PartitionSpec(), properties=None):
        return catalog.create_table(f"n.{name}", schema=schema, partition_spec=spec,
                                    properties={"format-version": str(request.param)} | (properties or {}))

    return create


def path_of(table):
    return table.location().removeprefix("file://")


def check(engine, table, **scan):
    """Compares all rows of a table with pyiceberg's."""
    expected = rows_of(table.scan(**scan).to_arrow())
    arguments = "".join(f", {name} := {value}" for name, value in scan.items())
    assert engine.rows(f"SELECT * FROM ivy_iceberg_scan('{path_of(table)}'{arguments})") == expected
    counted = engine.run(f"SELECT count(*) FROM ivy_iceberg_scan('{table.metadata_location}'{arguments})")
    assert int(counted[0][0]) == len(expected)
    return expected


def test_all_types(engine, new_table):
    table = new_table()
    assert check(engine, table) == []
    table.append(sample())
    assert len(check(engine, table)) == 100


def test_changes_and_time_travel(engine, new_table):
    # Without UUIDs, which pyarrow cannot filter.
    names = [name for name in SCHEMA.column_names if "." not in name and name != "uuid"]
    table = new_table(schema=SCHEMA.select(*names))
    table.append(sample(50).drop_columns("uuid"))
    table.append(sample(50, 50).drop_columns("uuid"))
    table.delete("id < 20")
    table.overwrite(sample(5, 50).drop_columns("uuid"), overwrite_filter="id >= 50 and id < 60")
    table.delete("name is null")
    snapshots = [snapshot.snapshot_id for snapshot in table.metadata.snapshots]
    for snapshot in snapshots:
        check(engine, table, snapshot_id=snapshot)
    check(engine, table)
    path = path_of(table)
    for entry in table.metadata.snapshot_log:
        at = dt.datetime.fromtimestamp(entry.timestamp_ms / 1000, UTC).replace(tzinfo=None)
        rows = engine.rows(f"SELECT id FROM ivy_iceberg_scan('{path}', timestamp := TIMESTAMP '{at}')")
        assert rows == rows_of(table.scan(snapshot_id=entry.snapshot_id, selected_fields=("id",)).to_arrow())
    assert engine.error(f"SELECT * FROM ivy_iceberg_scan('{path}', timestamp := '2001-01-01')").startswith("22023")
    assert engine.error(f"SELECT * FROM ivy_iceberg_scan('{path}', snapshot_id := 1)").startswith("22023")
    listed = engine.run(f"SELECT snapshot_id FROM ivy_iceberg_snapshots('{path}')")
    assert [int(row[0]) for row in listed] == snapshots
    files = engine.run(f"SELECT file_path, record_count FROM ivy_iceberg_metadata('{path}') WHERE content = 'DATA'")
    inspected = table.inspect.data_files().to_pylist()
    assert sorted((name, int(count)) for name, count in files) == sorted(
        (file["file_path"].removeprefix("file://"), file["record_count"]) for file in inspected)


def test_branches_and_tags(engine, new_table):
    table = new_table()
    table.append(sample(10))
    first = table.current_snapshot().snapshot_id
    table.append(sample(10, 10))
    table.manage_snapshots().create_tag(first, "old tag").create_branch(first, "dev").commit()
    table.append(sample(7, 100), branch="dev")
    with table.update_schema() as update:
        update.add_column("extra", StringType())
    path = path_of(table)

    def count(ref):
        return int(engine.run(f"SELECT count(*) FROM ivy_iceberg_scan('{path}', ref := '{ref}')")[0][0])

    assert (count("main"), count("dev"), count("old tag")) == (20, 17, 10)
    # A branch has the table's schema, a tag that of its snapshot.
    assert "extra" in engine.table(f"SELECT * FROM ivy_iceberg_scan('{path}', ref := 'dev')").column_names
    assert "extra" not in engine.table(f"SELECT * FROM ivy_iceberg_scan('{path}', ref := 'old tag')").column_names
    assert engine.error(f"SELECT * FROM ivy_iceberg_scan('{path}', ref := 'none')").startswith("22023")


def test_schema_evolution(engine, new_table):
    table = new_table()
    table.append(sample(20))
    with table.update_schema() as update:
        update.rename_column("name", "title")
        update.update_column("i", LongType())
        update.update_column("f", DoubleType())
        update.update_column("price", DecimalType(20, 2))
        update.add_column("extra", StringType())
        update.add_column(("point", "w"), IntegerType())
        update.rename_column("point.x", "ex")
        update.delete_column("flag")
        update.move_first("day")
    check(engine, table)
    with table.update_schema() as update:
        update.add_column("flag", StringType())  # another column than the dropped one
        update.delete_column("point.y")
    check(engine, table)
    first = table.metadata.snapshots[0].snapshot_id
    check(engine, table, snapshot_id=first)
    new = table.scan(limit=1).to_arrow().schema
    rows = [{"id": 1000, "flag": "text", "point": {"ex": 1, "w": 2}, "i": 2**40, "f": 1e300}]
    table.append(pa.Table.from_pylist(rows, schema=schema_to_pyarrow(table.schema(), include_field_ids=False)))
    assert new.names == table.scan().to_arrow().schema.names
    check(engine, table)
    path = path_of(table)
    assert engine.rows(f"SELECT id FROM ivy_iceberg_scan('{path}') WHERE flag = 'text'") == [(1000,)]
    assert engine.rows(f"SELECT id FROM ivy_iceberg_scan('{path}') WHERE i > 10000000000") == [(1000,)]
    assert engine.rows(f"SELECT id FROM ivy_iceberg_scan('{path}') WHERE point.w = 2") == [(1000,)]
    assert engine.rows(f"SELECT id FROM ivy_iceberg_scan('{path}') WHERE point.ex = 3") == [(3,)]
    assert len(engine.rows(f"SELECT id FROM ivy_iceberg_scan('{path}') WHERE flag IS NULL")) == 20


@pytest.mark.parametrize("transform, source", [
    (IdentityTransform(), "part"), (IdentityTransform(), "day"), (IdentityTransform(), "price"),
    (IdentityTransform(), "moment"), (BucketTransform(4), "id"),
    (TruncateTransform(2), "name"), (TruncateTransform(10), "i"), (YearTransform(), "day"), (MonthTransform(), "moment"),
    (DayTransform(), "local"), (HourTransform(), "moment"),
], ids=str)
def test_partitions(engine, new_table, transform, source):
    field = SCHEMA.find_field(source)
    table = new_table(spec=PartitionSpec(PartitionField(field.field_id, 1000, transform, "p")))
    table.append(sample(30))
    table.append(sample(30, 30))
    table.delete("id = 31")
    check(engine, table)
    path = path_of(table)
    some = engine.run(f"SELECT min({source})::VARCHAR, max({source})::VARCHAR FROM ivy_iceberg_scan('{path}')")[0]
    for value in some:
        scan = f"ivy_iceberg_scan('{path}')"
        matching = engine.rows(f"SELECT id FROM {scan} WHERE {source} = '{value}'")
        assert matching == engine.rows(f"SELECT id FROM {scan} WHERE {source}::VARCHAR = '{value}'")
        assert matching


def test_partition_evolution(engine, new_table):
    table = new_table(spec=PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "part")))
    table.append(sample(30))
    with table.update_spec() as update:
        update.remove_field("part")
        update.add_field("day", YearTransform(), "year")
    table.append(sample(30, 30))
    with table.update_spec() as update:
        update.remove_field("year")
    table.append(sample(30, 60))
    check(engine, table)
    rows = engine.rows(f"SELECT id FROM ivy_iceberg_scan('{path_of(table)}') WHERE part = 'p1' AND day < DATE '1969-01-01'")
    assert rows == rows_of(table.scan(row_filter="part = 'p1' and day < '1969-01-01'", selected_fields=("id",)).to_arrow())


def test_files_are_left_out(engine, new_table):
    table = new_table()
    for start in range(0, 100, 20):
        table.append(sample(20, start))
    path = path_of(table)

    def files(condition):
        plan = engine.run(f"EXPLAIN ANALYZE SELECT * FROM ivy_iceberg_scan('{path}') WHERE {condition}")[0][1]
        return int(plan.split("Total Files Read: ")[1].split()[0].rstrip("│")) if "Total Files Read" in plan else 0

    assert files("id >= 0") == 5
    assert files("id = 42") == 1
    assert files("id > 70") == 2
    assert files("price > 5.9") == 1
    assert files("day < DATE '1966-01-01'") == 1
    assert files("moment >= TIMESTAMPTZ '1970-01-01 00:30:00+00'") == 1
    assert files("name > 'o'") == 0
    plan = engine.run(f"EXPLAIN SELECT * FROM ivy_iceberg_scan('{path}') WHERE id = 42")[0][1]
    assert "1/5" in plan, plan


def pruning(engine, table, condition):
    """What EXPLAIN says: (files to scan, files, manifests to read, manifests), None where it is silent."""
    plan = engine.run(f"EXPLAIN SELECT id FROM ivy_iceberg_scan('{path_of(table)}') WHERE {condition}")[0][1]
    plan = " ".join(plan.replace("│", " ").split())
    found = [re.search(what + r": (\d+)/(\d+)", plan) for what in ("Scanning Files", "Reading Manifests")]
    return tuple(int(number) for match in found for number in (match.groups() if match else (-1, -1)))


@pytest.mark.parametrize("transform, source, conditions", [
    (BucketTransform(16), "id", ["id = 3", "id IN (3, 60)", "id = 3 OR id = 60", "id = 3 AND name IS NOT NULL"]),
    (BucketTransform(16), "name", ["name = 'nämé 45'", "name IS NULL"]),
    (BucketTransform(16), "price", ["price = 0.05"]),
    (BucketTransform(16), "day", ["day = DATE '1965-05-14'"]),
    (BucketTransform(16), "moment", ["moment = TIMESTAMPTZ '1969-12-31 23:02:02.000014+00'"]),
    (BucketTransform(16), "bytes", ["bytes = '\\x07\\xFF\\x00'::BLOB"]),
    (TruncateTransform(100000), "i", ["i = -860000", "i < -900000", "i BETWEEN 150000 AND 250000", "i IS NULL"]),
    (TruncateTransform(100), "price", ["price = 1.10", "price < -0.5"]),
    (TruncateTransform(6), "name", ["name = 'nämé 45'", "name > 'nämé 9'"]),
    (YearTransform(), "day", ["day = DATE '1970-03-25'", "day < DATE '1966-01-01'", "day >= DATE '1974-01-01'", "day IS NULL"]),
    (MonthTransform(), "day", ["day = DATE '1966-05-19'"]),
    (DayTransform(), "day", ["day = DATE '1966-05-19'"]),
    (DayTransform(), "local", ["local = TIMESTAMP '2024-01-03 02:00:00'", "local >= TIMESTAMP '2024-01-04 00:00:00'"]),
    (HourTransform(), "moment", ["moment = TIMESTAMPTZ '1969-12-31 23:02:02.000014+00'", "moment < TIMESTAMPTZ '1969-12-31 23:30:00+00'"]),
    (IdentityTransform(), "part", ["part = 'p1'", "part > 'p1'", "part IS NULL"]),
    (IdentityTransform(), "flag", ["flag", "NOT flag", "flag IS NULL"]),
], ids=str)
def test_pruning_by_partitions(engine, new_table, transform, source, conditions):
    """Partition values alone, without metrics of columns, keep files out."""
    spec = PartitionSpec(PartitionField(SCHEMA.find_field(source).field_id, 1000, transform, "p"))
    table = new_table(spec=spec, properties={"write.metadata.metrics.default": "none"})
    for start in range(0, 100, 25):
        table.append(sample(25, start))
    everything = table.scan().to_arrow()
    assert everything.num_rows == 100
    engine.run(f"CREATE OR REPLACE TEMP TABLE everything AS SELECT * FROM ivy_iceberg_scan('{path_of(table)}')")
    for condition in conditions:
        kept, files, *_ = pruning(engine, table, condition)
        assert 0 < kept < files, condition
        rows = engine.rows(f"SELECT id FROM ivy_iceberg_scan('{path_of(table)}') WHERE {condition}")
        assert rows and rows == engine.rows(f"SELECT id FROM everything WHERE {condition}"), condition


def test_pruning_of_manifests(engine, new_table, tmp_path):
    """Manifests of other partitions are not read at all: they may be missing."""
    table = new_table(spec=PartitionSpec(PartitionField(8, 1000, YearTransform(), "year"), PartitionField(1, 1001, BucketTransform(8), "b")))
    for year in range(1990, 2000):
        rows = sample(10, year).set_column(7, "day", pa.array([dt.date(year, 6, 1 + n) for n in range(10)]))
        table.append(rows)
    manifests = {manifest.partitions[0].lower_bound: manifest.manifest_path for manifest in table.current_snapshot().manifests(table.io)}
    assert len(manifests) == 10
    kept = manifests[(23).to_bytes(4, "little")]  # of 1993
    for path in manifests.values():
        if path != kept:
            os.rename(path.removeprefix("file://"), path.removeprefix("file://") + ".away")
    scan = f"ivy_iceberg_scan('{path_of(table)}')"
    rows = engine.rows(f"SELECT id FROM {scan} WHERE day BETWEEN DATE '1993-01-01' AND DATE '1993-12-31'")
    assert rows == [(id,) for id in range(1993, 2003)]
    assert engine.error(f"SELECT id FROM {scan}").startswith("58P01")
    assert engine.rows(f"SELECT id FROM {scan} WHERE day = DATE '1993-06-02'") == [(1994,)]
    for path in manifests.values():
        if path != kept:
            os.rename(path.removeprefix("file://") + ".away", path.removeprefix("file://"))
    for _ in range(2):  # the second time with all manifests in memory
        assert pruning(engine, table, "day = DATE '1993-06-04'")[2:] == (1, 10)
        assert pruning(engine, table, "day >= DATE '1998-01-01'")[2:] == (2, 10)
        assert pruning(engine, table, "day >= DATE '1998-01-01' AND id = 2000")[:2] == (2, 55)
        assert engine.rows(f"SELECT id FROM {scan} WHERE day < DATE '1980-01-01'") == []
        assert engine.rows(f"SELECT id FROM {scan} WHERE day IS NULL") == []
        assert pruning(engine, table, "name = 'none'")[2:] == (-1, -1)
        assert len(engine.rows(f"SELECT id FROM {scan}")) == 100
    assert len(engine.rows(f"SELECT id FROM {scan} WHERE year(day) = 1991")) == 10


def test_moved_table(engine, new_table, tmp_path):
    table = new_table()
    table.append(sample(20))
    expected = rows_of(table.scan().to_arrow())
    shutil.move(path_of(table), tmp_path / "elsewhere")
    path = tmp_path / "elsewhere"
    assert engine.error(f"SELECT * FROM ivy_iceberg_scan('{path}')").startswith("58")
    assert engine.rows(f"SELECT * FROM ivy_iceberg_scan('{path}', allow_moved_paths := true)") == expected


def test_imported_files(engine, new_table, tmp_path):
    """Files without field ids, whose columns the table's name mapping tells, and partition values that they lack."""
    import pyarrow.parquet as pq
    table = new_table(schema=Schema(NestedField(1, "id", LongType()), NestedField(2, "s", StringType()),
                                    NestedField(3, "st", StructType(NestedField(4, "x", LongType())))))
    pq.write_table(pa.table({"s": ["a", "b"], "id": [1, 2], "st": [{"x": 5}, None]}), tmp_path / "in.parquet")
    table.add_files([f"file://{tmp_path}/in.parquet"])
    check(engine, table)
    with table.update_schema() as update:
        update.rename_column("s", "t")
    check(engine, table)
