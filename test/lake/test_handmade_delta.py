# SPDX-License-Identifier: Apache-2.0
"""Delta tables that the deltalake package does not write: deletion vectors, column mapping, checkpoints of all kinds,
widened types."""

import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, QueryBuilder
from handmade import HandmadeDelta, delta_field, mapped_field

FIELDS = [("id", pa.int64(), None), ("name", pa.string(), None)]
SCHEMA = [delta_field("id", "long"), delta_field("name", "string")]
NAMES = ["deletionVectors", "columnMapping", "timestampNtz", "v2Checkpoint"]
FEATURES = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": NAMES, "writerFeatures": NAMES}
WIDENING = FEATURES | {"readerFeatures": NAMES + ["typeWidening"], "writerFeatures": NAMES + ["typeWidening"]}


def numbered(start, stop):
    return [(n, None if n % 10 == 3 else f"n{n % 7}") for n in range(start, stop)]


def read(engine, table, columns="*", condition="true", **arguments):
    more = "".join(f", {name} := {value}" for name, value in arguments.items())
    return engine.rows(f"SELECT {columns} FROM ivy_delta_scan('{table.folder}'{more}) WHERE {condition}")


def ordered(rows):
    return sorted(rows, key=repr)


def test_deletion_vectors(engine, tmp_path):
    table = HandmadeDelta(tmp_path / "t", SCHEMA, protocol=FEATURES)
    a = table.file("a.parquet", FIELDS, numbered(0, 5000), row_group_size=700)
    table.commit(a)
    gone = sorted(set(range(0, 5000, 3)) | {4999} | set(range(1400, 2100)))
    inline = dict(a["add"], deletionVector=table.inline_vector(gone))
    table.commit({"remove": {"path": "a.parquet", "dataChange": True}}, {"add": inline})
    rest = [row for row in numbered(0, 5000) if row[0] not in set(gone)]
    assert read(engine, table) == ordered(rest)
    assert read(engine, table, version=1) == ordered(numbered(0, 5000))
    assert read(engine, table, "count(*)") == [(len(rest),)]
    # A larger vector replaces it: the old one is removed by its identity.
    refs = table.vector_file([gone + [1], [0], list(range(50))], folder="ab")
    table.commit({"remove": {"path": "a.parquet", "deletionVector": inline["deletionVector"], "dataChange": True}},
                 {"add": dict(a["add"], deletionVector=refs[0][0])},
                 table.file("b.parquet", FIELDS, numbered(5000, 5010), vector=refs[1][1]),
                 table.file("c.parquet", FIELDS, numbered(6000, 6050), vector=refs[2][0]))
    rest = [row for row in rest if row[0] != 1] + numbered(5001, 5010)
    assert read(engine, table) == ordered(rest)
    assert read(engine, table, "id", "id BETWEEN 1390 AND 2110") == [(row[0],) for row in rest if 1390 <= row[0] <= 2110]
    assert read(engine, table, "min(id), count(name)") == [(2, sum(row[1] is not None for row in rest))]
    # Bad ones.
    for change, state in (({"cardinality": 3}, "XX001"), ({"offset": 3}, "XX001"), ({"sizeInBytes": 9999999}, "XX001"),
                          ({"pathOrInlineDv": "00000000000000000000"}, "58"), ({"storageType": "x"}, "XX001")):
        bad = HandmadeDelta(tmp_path / "t", SCHEMA, protocol=FEATURES)
        bad.commit(bad.file("a.parquet", FIELDS, numbered(0, 10), vector=refs[1][0] | change))
        for version in range(2, 10):
            (bad.log / f"{version:020}.json").unlink(missing_ok=True)
        assert engine.error(f"SELECT * FROM ivy_delta_scan('{bad.folder}')").startswith(state), change


@pytest.mark.parametrize("mode", ["name", "id"])
def test_column_mapping(engine, tmp_path, mode):
    nested = {"type": "struct", "fields": [mapped_field("x", "integer", 4, "col-x"), mapped_field("y", "string", 5, "col-y")]}
    fields = [mapped_field("Renamed", "long", 1, "col-a"), mapped_field("part", "string", 2, "col-p"),
              mapped_field("st", nested, 3, "col-st"), mapped_field("added", "string", 9, "col-new"),
              mapped_field("list", {"type": "array", "elementType": nested, "containsNull": True}, 6, "col-l"),
              mapped_field("map", {"type": "map", "keyType": "string", "valueType": nested, "valueContainsNull": True}, 7, "col-m")]
    table = HandmadeDelta(tmp_path / "t", fields, partition_columns=["part"], protocol=FEATURES,
                          configuration={"delta.columnMapping.mode": mode})

    def struct(prefix):
        return pa.struct([pa.field(prefix + "y", pa.string(), metadata={"PARQUET:field_id": "5"}),
                          pa.field(prefix + "x", pa.int32(), metadata={"PARQUET:field_id": "4"})])

    # In mode id the names in files do not matter.
    prefix = "col-" if mode == "name" else "any-"
    inner = struct(prefix)
    value = {prefix + "y": "why", prefix + "x": 7}
    files = [(prefix + "st", inner, 3), (prefix + "a", pa.int64(), 1), (prefix + "l", pa.list_(inner), 6),
             (prefix + "m", pa.map_(pa.string(), inner), 7), ("col-dropped", pa.int64(), 8)]
    stats = {"numRecords": 2, "minValues": {"col-a": 1}, "maxValues": {"col-a": 2}, "nullCount": {"col-a": 0}}
    table.commit(table.file("a.parquet", files, [(value, 1, [value, None], [("k", value)], 9), (None, 2, None, None, 9)],
                            partition={"col-p": "P"}, stats=stats))
    logical = {"x": 7, "y": "why"}
    assert read(engine, table) == ordered([
        (1, "P", logical, None, [logical, None], [("k", logical)]), (2, "P", None, None, None, None)])
    assert read(engine, table, '"Renamed"', "st.x = 7 AND part = 'P'") == [(1,)]
    assert read(engine, table, "st.y, list[1].x, map['k'].y") == ordered([("why", 7, "why"), (None, None, None)])
    assert read(engine, table, "count(*)", '"Renamed" > 2') == [(0,)]
    plan = engine.run(f"EXPLAIN SELECT * FROM ivy_delta_scan('{table.folder}') WHERE \"Renamed\" > 2")[0][1]
    assert "~0 rows" in plan, plan


def classic(table, actions, path, kinds=("add", "remove", "metaData", "protocol", "sidecar")):
    """Writes actions as a Parquet checkpoint."""
    strings = pa.map_(pa.string(), pa.string())
    vector = pa.struct([("storageType", pa.string()), ("pathOrInlineDv", pa.string()), ("offset", pa.int32()),
                        ("sizeInBytes", pa.int32()), ("cardinality", pa.int64())])
    types = {
        "add": pa.struct([("path", pa.string()), ("partitionValues", strings), ("size", pa.int64()),
                          ("modificationTime", pa.int64()), ("dataChange", pa.bool_()), ("stats", pa.string()),
                          ("stats_parsed", pa.struct([("numRecords", pa.int64()), ("minValues", pa.struct([("id", pa.int64())])),
                                                      ("maxValues", pa.struct([("id", pa.int64())])),
                                                      ("nullCount", pa.struct([("id", pa.int64())]))])),
                          ("deletionVector", vector)]),
        "remove": pa.struct([("path", pa.string()), ("dataChange", pa.bool_()), ("deletionVector", vector)]),
        "metaData": pa.struct([("id", pa.string()), ("format", pa.struct([("provider", pa.string()), ("options", strings)])),
                               ("schemaString", pa.string()), ("partitionColumns", pa.list_(pa.string())),
                               ("configuration", strings)]),
        "protocol": pa.struct([("minReaderVersion", pa.int32()), ("minWriterVersion", pa.int32()),
                               ("readerFeatures", pa.list_(pa.string())), ("writerFeatures", pa.list_(pa.string()))]),
        "sidecar": pa.struct([("path", pa.string()), ("sizeInBytes", pa.int64()), ("modificationTime", pa.int64())]),
    }

    def fit(value, kind):
        if value is None:
            return None
        if pa.types.is_map(kind):
            return list(value.items())
        if pa.types.is_struct(kind):
            return {field.name: fit(value.get(field.name), field.type) for field in kind}
        return value

    columns = {kind: pa.array([fit(action.get(kind), types[kind]) for action in actions], types[kind]) for kind in kinds}
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=3)


def checkpointed(tmp_path):
    """A table with 12 files at version 12, of which some have vectors and statistics."""
    table = HandmadeDelta(tmp_path / "t", SCHEMA, protocol=FEATURES)
    adds = []
    for n in range(12):
        stats = {"numRecords": 10, "minValues": {"id": n * 10}, "maxValues": {"id": n * 10 + 9}, "nullCount": {"id": 0}}
        add = table.file(f"{n}.parquet", FIELDS, numbered(n * 10, n * 10 + 10), stats=stats if n % 2 else None,
                         vector=table.inline_vector([3]) if n % 3 == 0 else None)
        if n % 2 == 0:
            add["add"]["stats_parsed"] = stats
        adds.append(add)
        table.commit({"add": {name: value for name, value in add["add"].items() if name != "stats_parsed"}})
    expected = [row for row in numbered(0, 120) if row[0] % 30 != 3]
    return table, adds, expected


def drop_commits(table, last):
    for version in range(last + 1):
        (table.log / f"{version:020}.json").unlink()


@pytest.mark.parametrize("kind", ["classic", "parts", "v2 parquet", "v2 json", "v2 classic name"])
def test_checkpoints(engine, tmp_path, kind):
    table, adds, expected = checkpointed(tmp_path)
    assert read(engine, table) == ordered(expected)
    gone = {"remove": {"path": "x.parquet", "dataChange": True}}
    head = [table.protocol, table.metadata, gone]
    stem = f"{10:020}.checkpoint"
    here, after = adds[:10], adds[10:]
    assert len(after) == 2
    if kind == "classic":
        classic(table, head + here, table.log / f"{stem}.parquet")
    elif kind == "parts":
        for part, actions in enumerate([head[:1] + here[:4], here[4:9] + head[1:2], here[9:]], 1):
            classic(table, actions, table.log / f"{stem}.{part:010}.{3:010}.parquet")
    else:
        sidecars = []
        for number, actions in enumerate([here[:5], here[5:] + [gone]]):
            name = f"side-{number}.parquet"
            classic(table, actions, table.log / "_sidecars" / name, kinds=("add", "remove"))
            sidecars.append({"sidecar": {"path": name, "sizeInBytes": 1, "modificationTime": 1}})
        id = "80a083e8-7026-4e79-81be-64bd76c43a11"
        if kind == "v2 json":
            lines = [{"checkpointMetadata": {"version": 10}}, *head[:2], *sidecars]
            (table.log / f"{stem}.{id}.json").write_text("\n".join(json.dumps(line) for line in lines))
        else:
            name = f"{stem}.parquet" if kind == "v2 classic name" else f"{stem}.{id}.parquet"
            classic(table, head[:2] + sidecars, table.log / name, kinds=("metaData", "protocol", "sidecar"))
    (table.log / "_last_checkpoint").write_text(json.dumps({"version": 10, "size": 13}))
    drop_commits(table, 10)
    assert read(engine, table) == ordered(expected)
    assert read(engine, table, version=10) == ordered(row for row in expected if row[0] < 100)
    assert engine.error(f"SELECT * FROM ivy_delta_scan('{table.folder}', version := 9)").startswith("XX001")
    plan = engine.run(f"EXPLAIN SELECT * FROM ivy_delta_scan('{table.folder}') WHERE id = 47 OR id = 48")[0][1]
    assert "2/12" in plan, plan  # that with the rows, and one that has no statistics
    if kind == "parts":
        (table.log / f"{stem}.{2:010}.{3:010}.parquet").unlink()
        assert engine.error(f"SELECT * FROM ivy_delta_scan('{table.folder}')").startswith("XX001")
    if kind == "classic":
        (table.log / f"{stem}.parquet").write_bytes(b"PAR1 damaged PAR1")
        assert f"{stem}.parquet" in engine.error(f"SELECT * FROM ivy_delta_scan('{table.folder}')")


def test_type_widening(engine, tmp_path):
    kinds = {"a": ("long", pa.int8()), "b": ("integer", pa.int16()), "c": ("double", pa.float32()), "d": ("double", pa.int32()),
             "e": ("timestamp_ntz", pa.date32()), "f": ("decimal(20,4)", pa.decimal128(12, 2)), "g": ("decimal(14,2)", pa.int32())}
    table = HandmadeDelta(tmp_path / "t", [delta_field(name, new) for name, (new, _) in kinds.items()], protocol=WIDENING)
    old = pa.table({name: pa.array([5, None], pa.int32()).cast(kind) if name != "e" else pa.array([5, None], kind)
                    for name, (_, kind) in kinds.items()})
    pq.write_table(old, table.folder / "old.parquet")
    table.commit({"add": {"path": "old.parquet", "size": 1000, "partitionValues": {}, "dataChange": True,
                          "stats": json.dumps({"numRecords": 2, "minValues": {"a": 5, "e": "1970-01-06", "g": 5},
                                               "maxValues": {"a": 5, "e": "1970-01-06", "g": 5}})}})
    text = engine.run(f"SELECT * FROM ivy_delta_scan('{table.folder}')")
    assert text == [["5", "5", "5.0", "5.0", "1970-01-06 00:00:00", "5.0000", "5.00"], [None] * 7]
    for condition in ("a = 5", "b < 100000", "c = 5", "d = 5", "e = TIMESTAMP '1970-01-06 00:00:00'", "f = 5.0000", "g = 5"):
        assert read(engine, table, "count(*)", condition) == [(1,)], condition
    for condition in ("a > 1000000", "b > 70000", "e > TIMESTAMP '1970-01-06 00:00:01'", "g = 5.5"):
        assert read(engine, table, "count(*)", condition) == [(0,)], condition


def test_partition_values(engine, tmp_path):
    values = {"byte": ("-5", "-5"), "short": ("300", "300"), "integer": ("7", "7"), "long": ("9007199254740993", "9007199254740993"),
              "float": ("1.5", "1.5"), "double": ("NaN", "nan"), "boolean": ("true", "true"), "decimal(9,3)": ("1.250", "1.250"),
              "date": ("1969-07-20", "1969-07-20"), "string": ("a/b", "a/b"), "timestamp_ntz": ("2024-02-29 12:00:00.5", "2024-02-29 12:00:00.5"),
              "binary": ("a\u0001\u00ff", "a\\x01\\xFF")}
    for number, (kind, (text, shown)) in enumerate(values.items()):
        table = HandmadeDelta(tmp_path / f"t{number}", SCHEMA + [delta_field("p", kind)], partition_columns=["p"], protocol=FEATURES)
        for file, value in enumerate((text, None, "")):
            table.commit(table.file(f"{file}.parquet", FIELDS, [(file, "x")], partition={"p": value}))
        found = engine.run(f"SELECT id, p::VARCHAR FROM ivy_delta_scan('{table.folder}') ORDER BY id")
        assert found == [["0", shown], ["1", None], ["2", None]], kind
        cast = "" if kind == "binary" else f" AND p::VARCHAR = '{shown}'"
        assert read(engine, table, "id", f"p IS NOT NULL{cast}") == [(0,)]
        assert read(engine, table, "id", "p IS NULL") == [(1,), (2,)]
    for kind, text in (("integer", "x"), ("date", "2024-13-01"), ("boolean", "perhaps")):
        bad = HandmadeDelta(tmp_path / f"bad{kind}", SCHEMA + [delta_field("p", kind)], partition_columns=["p"])
        bad.commit(bad.file("a.parquet", FIELDS, [(1, "x")], partition={"p": text}))
        assert engine.error(f"SELECT * FROM ivy_delta_scan('{bad.folder}')").startswith("XX001"), kind
    # Moments are UTC, whatever the session's zone and the text's form.
    engine.run("SET TimeZone = 'Asia/Tokyo'")
    table = HandmadeDelta(tmp_path / "tz", SCHEMA + [delta_field("p", "timestamp")], partition_columns=["p"])
    for file, value in enumerate(("2024-02-29 12:00:00", "2024-02-29T12:00:00.000000Z", "2024-02-29 12:00:00.0")):
        table.commit(table.file(f"{file}.parquet", FIELDS, [(file, "x")], partition={"p": value}))
    assert engine.run(f"SELECT DISTINCT epoch_ms(p) FROM ivy_delta_scan('{table.folder}')") == [["1709208000000"]]
    assert read(engine, table, "count(*)", "p = TIMESTAMPTZ '2024-02-29 12:00:00+00'") == [(3,)]


def test_int96(engine, tmp_path):
    """What Spark writes by default."""
    table = HandmadeDelta(tmp_path / "t", [delta_field("moment", "timestamp")])
    table.commit(table.file("a.parquet", [("moment", pa.timestamp("us", "UTC"), None)], [(1_700_000_000_000_000,)],
                            use_deprecated_int96_timestamps=True))
    engine.run("SET TimeZone = 'America/New_York'")
    assert engine.run(f"SELECT epoch_us(moment) FROM ivy_delta_scan('{table.folder}') WHERE moment >= TIMESTAMPTZ '2023-11-14 22:13:20+00'") == [
        ["1700000000000000"]]


def test_unsupported_features_are_named(engine, tmp_path):
    for feature in ("variantType", "catalogManaged", "somethingNew"):
        table = HandmadeDelta(tmp_path / feature, SCHEMA, protocol={
            "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["deletionVectors", feature], "writerFeatures": []})
        assert engine.error(f"SELECT * FROM ivy_delta_scan('{table.folder}')") == (
            f"0A000 Delta table needs reader feature \"{feature}\", which is not supported")


def test_in_commit_timestamps(engine, tmp_path):
    table = HandmadeDelta(tmp_path / "t", SCHEMA)
    for n in range(4):
        table.commit({"commitInfo": {"inCommitTimestamp": 1_700_000_000_000 + n * 1000, "timestamp": 1}},
                     table.file(f"{n}.parquet", FIELDS, [(n, "x")]))
    os.utime(table.log / f"{0:020}.json", (1_600_000_000,) * 2)
    for at, count in (("2023-11-14 22:13:20", 1), ("2023-11-14 22:13:21.5", 2), ("2023-11-14 22:13:23", 4), ("2022-01-01", 0)):
        assert read(engine, table, "count(*)", timestamp=f"TIMESTAMP '{at}'") == [(count,)]


def test_paths_are_encoded(engine, tmp_path):
    table = HandmadeDelta(tmp_path / "t", SCHEMA)
    add = table.file("a%b c+d=ü.parquet", FIELDS, numbered(0, 20))
    add["add"]["path"] = "a%25b%20c+d=%C3%BC.parquet"
    absolute = table.file("absolute.parquet", FIELDS, numbered(20, 25))
    absolute["add"]["path"] = (table.folder / "absolute.parquet").as_uri()
    table.commit(add)
    assert DeltaTable(str(table.folder)).to_pyarrow_dataset().count_rows() == 20
    table.commit(absolute)  # the package takes all paths for relative ones
    assert read(engine, table) == ordered(numbered(0, 25))


def test_handmade_tables_are_right(tmp_path):
    """As far as the deltalake package can tell."""
    table, _, expected = checkpointed(tmp_path)
    assert DeltaTable(str(table.folder)).version() == 12
    read = QueryBuilder().register("t", DeltaTable(str(table.folder))).execute("SELECT * FROM t").read_all()
    assert ordered(zip(*(pa.table(read)[name].to_pylist() for name in ("id", "name")))) == ordered(expected)
