# SPDX-License-Identifier: Apache-2.0
"""Iceberg tables that pyiceberg does not write: delete files of all kinds, versions 1 and 3, old metadata."""

import decimal
import struct

import pyarrow as pa
import pytest
from handmade import HandmadeIceberg, iceberg_field, write_parquet
from pyiceberg.table import StaticTable

FIELDS = [("id", pa.int64(), 1), ("name", pa.string(), 2), ("score", pa.float64(), 3)]
SCHEMA = [iceberg_field(1, "id", "long"), iceberg_field(2, "name", "string"), iceberg_field(3, "score", "double")]


def numbered(start, stop):
    return [(n, None if n % 10 == 3 else f"n{n % 7}", n / 2) for n in range(start, stop)]


def read(engine, path, columns="*", condition="true"):
    return engine.rows(f"SELECT {columns} FROM ivy_iceberg_scan('{path}') WHERE {condition}")


def ordered(rows):
    return sorted(rows, key=repr)


def test_position_deletes(engine, tmp_path):
    table = HandmadeIceberg(tmp_path / "t", SCHEMA)
    a = table.data("a.parquet", FIELDS, numbered(0, 5000), 1)
    b = table.data("b.parquet", FIELDS, numbered(5000, 6000), 2)
    c = str(tmp_path / "t" / "data" / "c.parquet")
    table.position_deletes("d1.parquet", [(a, n) for n in range(0, 5000, 3)] + [(b, 0), (b, 999), (c, 5)], 3)
    table.position_deletes("d2.parquet", [(b, 1), (b, 0), ("/not/there.parquet", 7)], 5)
    path = table.write()
    expected = [row for row in numbered(0, 5000) if row[0] % 3] + numbered(5002, 5999)
    assert read(engine, path) == ordered(expected)
    assert rows_by_pyiceberg(table) == ordered(expected)
    table.data("c.parquet", FIELDS, numbered(6000, 6100), 5)  # newer than the first delete file
    path = table.write()
    expected += numbered(6000, 6100)
    assert read(engine, path) == ordered(expected)
    assert read(engine, path, "count(*)") == [(len(expected),)]
    assert read(engine, path, "id", "id < 10") == [(n,) for n in (1, 2, 4, 5, 7, 8)]
    assert read(engine, path, "min(id), max(id)", "id BETWEEN 5000 AND 5999") == [(5002, 5998)]
    listed = engine.run(f"SELECT content, manifest_content, record_count FROM ivy_iceberg_metadata('{path}') "
                        "WHERE manifest_content = 'DELETE' ORDER BY record_count")
    assert listed == [["POSITION_DELETES", "DELETE", "3"], ["POSITION_DELETES", "DELETE", "1670"]]


def rows_by_pyiceberg(table):
    metadata = (table.folder / "metadata" / "v1.metadata.json").as_uri()
    return ordered(tuple(row.values()) for row in StaticTable.from_metadata(metadata).scan().to_arrow().to_pylist())


def test_deletion_vectors(engine, tmp_path):
    table = HandmadeIceberg(tmp_path / "t", SCHEMA, version=3)
    a = table.data("a.parquet", FIELDS, numbered(0, 100000), 1)
    b = table.data("b.parquet", FIELDS, numbered(100000, 100100), 2)
    c = table.data("c.parquet", FIELDS, numbered(200000, 200100), 2)
    gone = set(range(0, 100000, 17)) | set(range(70000, 70100))
    table.vectors("v.puffin", {a: gone, b: set(range(100))}, 3)
    table.position_deletes("d.parquet", [(a, 1), (c, 3)], 3)  # a has a vector, which counts alone
    path = table.write()
    expected = [row for row in numbered(0, 100000) if row[0] not in gone]
    expected += [row for row in numbered(200000, 200100) if row[0] != 200003]
    assert read(engine, path) == ordered(expected)
    assert read(engine, path, "count(*), sum(id)") == [(len(expected), sum(row[0] for row in expected))]
    assert read(engine, path, "id", "id BETWEEN 69990 AND 70110") == [
        (row[0],) for row in expected if 69990 <= row[0] <= 70110]


def test_equality_deletes(engine, tmp_path):
    table = HandmadeIceberg(tmp_path / "t", SCHEMA)
    table.data("a.parquet", FIELDS, numbered(0, 5000), 1)
    table.data("b.parquet", FIELDS, numbered(5000, 5100), 3)
    table.equality_deletes("e1.parquet", [FIELDS[0]], [(7,), (8,), (5007,), (99999,)], 2)   # b is newer
    table.equality_deletes("e2.parquet", [FIELDS[1]], [("n3",), (None,)], 4)                # NULL deletes NULL
    table.equality_deletes("e3.parquet", [FIELDS[2], FIELDS[0]], [(10.0, 20), (11.0, 20), (None, 30)], 4)  # two keys
    table.equality_deletes("e4.parquet", [FIELDS[0]], [(5099,), (100,)], 3)                 # not older than b
    # A file may have columns beside the keys.
    table.equality_deletes("e5.parquet", [FIELDS[0], FIELDS[1]], [(200, "x")], 4, equality_ids=[1])
    path = table.write()

    def lives(row, sequence):
        return not (row[0] in (7, 8) and sequence < 2 or row[1] in ("n3", None) or row[0] == 20
                    or row[0] in (100, 5099) and sequence < 3 or row[0] == 200)

    expected = [row for row in numbered(0, 5000) if lives(row, 1)] + [row for row in numbered(5000, 5100) if lives(row, 3)]
    assert read(engine, path) == ordered(expected)
    assert read(engine, path, "count(*)") == [(len(expected),)]
    assert read(engine, path, "score", "id < 10") == ordered((row[2],) for row in expected if row[0] < 10)  # no key column read


def test_equality_deletes_and_evolution(engine, tmp_path):
    """Keys that were widened, renamed, added later with a default, or dropped."""
    fields = [iceberg_field(1, "renamed", "long"), iceberg_field(4, "added", "string", initial_default="dflt")]
    table = HandmadeIceberg(tmp_path / "t", fields, version=3)
    old = [("id", pa.int32(), 1), ("gone", pa.int64(), 9)]
    table.data("a.parquet", old, [(n, n % 5) for n in range(50)], 1)
    new = [("id", pa.int64(), 1), ("added", pa.string(), 4)]
    table.data("b.parquet", new, [(100, "x"), (101, "dflt"), (102, None)], 1)
    table.equality_deletes("e1.parquet", [("id", pa.int64(), 1)], [(3,), (100,)], 2)
    table.equality_deletes("e2.parquet", [("id", pa.int32(), 1)], [(4,)], 2)
    path = table.write()
    expected = [(n, "dflt") for n in range(50) if n not in (3, 4)] + [(101, "dflt"), (102, None)]
    assert read(engine, path) == ordered(expected)
    table.equality_deletes("e3.parquet", [("added", pa.string(), 4)], [("dflt",)], 2)
    assert read(engine, table.write()) == [(102, None)]
    table.equality_deletes("e4.parquet", [("gone", pa.int64(), 9)], [(1,)], 2)
    assert engine.error(f"SELECT * FROM ivy_iceberg_scan('{table.write()}')").startswith("0A000")


def test_partitioned_deletes(engine, tmp_path):
    specs = [{"spec-id": 0, "fields": [{"source-id": 2, "field-id": 1000, "name": "p", "transform": "identity", "avro": "string"}]},
             {"spec-id": 1, "fields": []}]
    table = HandmadeIceberg(tmp_path / "t", SCHEMA, specs=specs)
    # The files lack the partition's column.
    short = [FIELDS[0], FIELDS[2]]
    a = table.data("a.parquet", short, [(n, 0.5) for n in range(10)], 1, partition={"p": "x"})
    b = table.data("b.parquet", short, [(n, 0.5) for n in range(10)], 1, partition={"p": "y"})
    table.data("c.parquet", short, [(n, 0.5) for n in range(10)], 1, partition={"p": None})
    table.data("d.parquet", FIELDS, [(n, "z", 0.5) for n in range(10)], 1, spec=1)
    table.position_deletes("d1.parquet", [(a, 1), (b, 1)], 2, partition={"p": "x"})  # of x only
    table.equality_deletes("e1.parquet", [FIELDS[0]], [(2,)], 2, partition={"p": "y"})
    table.equality_deletes("e2.parquet", [FIELDS[0]], [(3,)], 2, spec=1)  # of all partitions
    # A key that the data files lack has the partition's value.
    table.equality_deletes("e3.parquet", [FIELDS[1], FIELDS[0]], [("x", 4), (None, 5), ("z", 6)], 2, spec=1)
    path = table.write()
    expected = [(n, "x", 0.5) for n in range(10) if n not in (1, 3, 4)]
    expected += [(n, "y", 0.5) for n in range(10) if n not in (2, 3)]
    expected += [(n, None, 0.5) for n in range(10) if n not in (3, 5)]
    expected += [(n, "z", 0.5) for n in range(10) if n not in (3, 6)]
    assert read(engine, path) == ordered(expected)
    for condition, value in (("name = 'x'", "x"), ("name IS NULL", None), ("name = 'z'", "z"), ("name > 'x' AND name < 'z'", "y")):
        assert read(engine, path, "*", condition) == ordered(row for row in expected if row[1] == value), condition
    plan = engine.run(f"EXPLAIN SELECT * FROM ivy_iceberg_scan('{path}') WHERE name = 'x'")[0][1]
    assert "2/4" in plan, plan  # that of x, and the one without statistics


@pytest.mark.parametrize("listed", [True, False])
def test_version_1(engine, tmp_path, listed):
    table = HandmadeIceberg(tmp_path / "t", SCHEMA, version=1)
    table.data("a.parquet", FIELDS, numbered(0, 100), 1)
    table.data("b.parquet", FIELDS, numbered(100, 150), 1)
    assert read(engine, table.write(list_manifests=listed)) == ordered(numbered(0, 150))


def test_initial_defaults(engine, tmp_path):
    fields = [iceberg_field(1, "id", "long"),
              iceberg_field(2, "i", "int", initial_default=-5), iceberg_field(3, "s", "string", initial_default="it's"),
              iceberg_field(4, "n", "decimal(9,2)", initial_default="14.20"),
              iceberg_field(5, "d", "date", initial_default="2007-12-03"),
              iceberg_field(6, "ts", "timestamptz", initial_default="2007-12-03T10:15:30.000001+00:00"),
              iceberg_field(7, "b", "binary", initial_default="00ff61"), iceberg_field(8, "f", "boolean", initial_default=True),
              iceberg_field(9, "x", "double", initial_default=1.5),
              iceberg_field(10, "st", {"type": "struct", "fields": [
                  iceberg_field(11, "old", "int"), iceberg_field(12, "new", "string", initial_default="in")]}),
              iceberg_field(13, "plain", "string"), iceberg_field(14, "nothing", "unknown")]
    table = HandmadeIceberg(tmp_path / "t", fields, version=3)
    struct_type = pa.struct([pa.field("old", pa.int32(), metadata={"PARQUET:field_id": "11"})])
    table.data("a.parquet", [("id", pa.int64(), 1), ("st", struct_type, 10)], [(1, {"old": 3}), (2, None)], 1)
    path = table.write()
    text = engine.run(f"SELECT id, i, s, n, d, ts AT TIME ZONE 'UTC', b, f, x, st, plain, nothing "
                      f"FROM ivy_iceberg_scan('{path}') ORDER BY id")
    common = ["-5", "it's", "14.20", "2007-12-03", "2007-12-03 10:15:30.000001", "\\x00\\xFFa", "true", "1.5"]
    assert text == [["1", *common, "{'old': 3, 'new': in}", None, None], ["2", *common, None, None, None]]
    assert read(engine, path, "id", "i = -5 AND s = 'it''s'") == [(1,), (2,)]
    assert read(engine, path, "id", "i = 5") == []
    assert read(engine, path, "id", "st.new = 'in'") == [(1,)]


def test_types_of_version_3(engine, tmp_path):
    fields = [iceberg_field(1, "ns", "timestamp_ns"), iceberg_field(2, "nz", "timestamptz_ns")]
    table = HandmadeIceberg(tmp_path / "t", fields, version=3)
    table.data("a.parquet", [("ns", pa.timestamp("ns"), 1), ("nz", pa.timestamp("ns", "UTC"), 2)],
               [(1_700_000_000_123_456_789, 1_700_000_000_123_456_789)], 1)
    path = table.write()
    assert engine.run(f"SELECT ns::VARCHAR FROM ivy_iceberg_scan('{path}')") == [["2023-11-14 22:13:20.123456789"]]
    for kind in ("variant", "geometry", "geography"):
        odd = HandmadeIceberg(tmp_path / kind, [iceberg_field(1, "odd", kind)], version=3)
        error = engine.error(f"SELECT * FROM ivy_iceberg_scan('{odd.write()}')")
        assert error == f"0A000 column \"odd\" has type {kind}, which is not supported"


def test_times_are_utc_in_every_zone(engine, tmp_path):
    """INT96 has no zone, and a wrong annotation must not move moments by the session's zone."""
    table = HandmadeIceberg(tmp_path / "t", [iceberg_field(1, "tz", "timestamptz"), iceberg_field(2, "ts", "timestamp")])
    moment = 1_700_000_000_000_000
    for number, (types, options) in enumerate([
            ((pa.timestamp("us", "UTC"), pa.timestamp("us")), {}),
            ((pa.timestamp("us"), pa.timestamp("us", "UTC")), {}),
            ((pa.timestamp("us", "UTC"), pa.timestamp("us")), {"use_deprecated_int96_timestamps": True})]):
        path = tmp_path / "t" / f"{number}.parquet"
        write_parquet(path, [("tz", types[0], 1), ("ts", types[1], 2)], [(moment, moment)], **options)
        table.add(path, 1, 1)
    path = table.write()
    engine.run("SET TimeZone = 'America/New_York'")
    text = engine.run(f"SELECT epoch_us(tz), epoch_us(ts) FROM ivy_iceberg_scan('{path}')")
    assert text == [[str(moment), str(moment)]] * 3
    condition = "tz = TIMESTAMPTZ '2023-11-14 22:13:20+00' AND ts = TIMESTAMP '2023-11-14 22:13:20'"
    assert read(engine, path, "count(*)", condition) == [(3,)]
    assert read(engine, path, "count(*)", "tz > TIMESTAMPTZ '2023-11-14 22:13:20+00' OR ts > TIMESTAMP '2023-11-14 22:13:20'") == [(0,)]
    nested = pa.struct([pa.field("t", pa.timestamp("us"), metadata={"PARQUET:field_id": "2"})])
    odd = HandmadeIceberg(tmp_path / "n", [iceberg_field(1, "st", {"type": "struct", "fields": [iceberg_field(2, "t", "timestamptz")]})])
    odd.data("a.parquet", [("st", nested, 1)], [({"t": moment},)], 1)
    assert engine.error(f"SELECT * FROM ivy_iceberg_scan('{odd.write()}')").startswith("0A000")


def test_nan_is_no_reason_to_leave_a_file_out(engine, tmp_path):
    table = HandmadeIceberg(tmp_path / "t", SCHEMA)
    nan = float("nan")
    for name, rows in (("a.parquet", [(1, "a", 1.0), (2, "b", nan)]), ("b.parquet", [(3, "c", 5.0)])):
        bounds = [row[2] for row in rows if row[2] == row[2]]
        table.data(name, FIELDS, rows, 1, value_counts=[{"key": 3, "value": len(rows)}],
                   null_value_counts=[{"key": 3, "value": 0}],
                   lower_bounds=[{"key": 3, "value": struct.pack("<d", min(bounds))}],
                   upper_bounds=[{"key": 3, "value": struct.pack("<d", max(bounds))}])
    path = table.write()
    assert read(engine, path, "id", "score > 4") == [(2,), (3,)]  # NaN is the largest number
    assert read(engine, path, "id", "score = 'nan'::DOUBLE") == [(2,)]
    assert read(engine, path, "id", "score < 0") == []
    plan = engine.run(f"EXPLAIN SELECT * FROM ivy_iceberg_scan('{path}') WHERE score < 4")[0][1]
    assert "1/2" in plan, plan


def test_bad_tables(engine, tmp_path):
    def scan(table):
        return engine.error(f"SELECT * FROM ivy_iceberg_scan('{table.write()}')")

    table = HandmadeIceberg(tmp_path / "orc", SCHEMA)
    table.data("a.parquet", FIELDS, numbered(0, 5), 1, file_format="ORC")
    assert scan(table).startswith("0A000") and "ORC" in scan(table)
    table = HandmadeIceberg(tmp_path / "gone", SCHEMA)
    (table.folder / "data").mkdir(parents=True)
    lost = table.data("a.parquet", FIELDS, numbered(0, 5), 1)
    (table.folder / "data" / "a.parquet").unlink()
    assert lost in scan(table)
    table = HandmadeIceberg(tmp_path / "noids", SCHEMA)
    table.data("a.parquet", [(name, kind, None) for name, kind, _ in FIELDS], numbered(0, 5), 1)
    assert scan(table).startswith("XX001") and "a.parquet" in scan(table)
    table.properties["schema.name-mapping.default"] = '[{"field-id": 1, "names": ["id"]}, {"field-id": 2, "names": ["x", "name"]}]'
    assert read(engine, table.write()) == ordered((row[0], row[1], None) for row in numbered(0, 5))
    table = HandmadeIceberg(tmp_path / "mismatch", [iceberg_field(1, "id", {"type": "list", "element-id": 9, "element-required": False, "element": "long"})])
    table.data("a.parquet", FIELDS, numbered(0, 5), 1)
    assert scan(table).startswith("0A000") and "a.parquet" in scan(table)
    table = HandmadeIceberg(tmp_path / "deletes", SCHEMA)
    a = table.data("a.parquet", FIELDS, numbered(0, 5), 1)
    path = tmp_path / "deletes" / "data" / "d.parquet"
    write_parquet(path, [("pos", pa.int64(), 1)], [(1,)])
    table.add(path, 1, 2, content=1)
    assert scan(table).startswith("XX001") and "d.parquet" in scan(table)
    table = HandmadeIceberg(tmp_path / "puffin", SCHEMA, version=3)
    a = table.data("a.parquet", FIELDS, numbered(0, 5), 1)
    table.vectors("v.puffin", {a: {1}}, 2)
    puffin = tmp_path / "puffin" / "data" / "v.puffin"
    content = bytearray(puffin.read_bytes())
    content[20] ^= 1
    puffin.write_bytes(content)
    assert scan(table).startswith("XX001") and "v.puffin" in scan(table)
    puffin.write_bytes(content[:20])
    assert scan(table).startswith("XX001") and "v.puffin" in scan(table)
    for path in ("", "/nonexistent", str(tmp_path)):
        assert engine.error(f"SELECT * FROM ivy_iceberg_scan('{path}')")


def test_names_of_all_kinds(engine, tmp_path):
    names = ["Id", "ID2", "select", "a b", 'q"q', "ünï", "_", "c\\d", "x.y"]
    fields = [iceberg_field(n + 1, name, "long") for n, name in enumerate(names)]
    table = HandmadeIceberg(tmp_path / "t't [x]*", fields)
    table.data("a [1]?.parquet", [(name, pa.int64(), n + 1) for n, name in enumerate(names)], [tuple(range(9))], 1)
    a = str(table.folder / "data" / "a [1]?.parquet")
    table.position_deletes("d*.parquet", [(a, 5)], 2)
    path = table.write().replace("'", "''")
    read = engine.table(f"SELECT * FROM ivy_iceberg_scan('{path}')")
    assert read.column_names == names
    assert [column.to_pylist() for column in read.columns] == [[n] for n in range(9)]


def test_wide_decimals_and_many_rows(engine, tmp_path):
    table = HandmadeIceberg(tmp_path / "t", [iceberg_field(1, "id", "long"), iceberg_field(2, "n", "decimal(38,10)")])
    kind = pa.decimal128(38, 10)
    rows = [(n, decimal.Decimal(n) * 10**18 - 5) for n in range(20000)]
    bound = lambda value: int(value.scaleb(10)).to_bytes(16, "big", signed=True)  # noqa: E731
    for part in range(4):
        part_rows = rows[part * 5000:(part + 1) * 5000]
        table.data(f"{part}.parquet", [("id", pa.int64(), 1), ("n", kind, 2)], part_rows, 1,
                   value_counts=[{"key": 2, "value": 5000}], null_value_counts=[{"key": 2, "value": 0}],
                   lower_bounds=[{"key": 2, "value": bound(part_rows[0][1])}],
                   upper_bounds=[{"key": 2, "value": bound(part_rows[-1][1])}])
    path = table.write()
    assert read(engine, path) == ordered(rows)
    assert read(engine, path, "id", "n < 0") == [(0,)]
    assert read(engine, path, "id", f"n = {rows[12345][1]}") == [(12345,)]
    plan = engine.run(f"EXPLAIN SELECT * FROM ivy_iceberg_scan('{path}') WHERE n < 0")[0][1]
    assert "1/4" in plan, plan
