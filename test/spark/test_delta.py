# SPDX-License-Identifier: Apache-2.0
"""Delta Lake tables that Spark writes, with every feature that it can switch on: what delta_scan reads of them is what Spark
reads."""

import pytest
from conftest import spark_rows

TYPES = """
    id bigint, part string, i int, small smallint, tiny tinyint, f float, d double, flag boolean, price decimal(10,2), wide decimal(38,6),
    day date, moment timestamp, local timestamp_ntz, name string, bytes binary, point struct<x: int, y: struct<z: string>>, list array<bigint>,
    map map<string, bigint>"""
VALUES = """
    SELECT id, if(dead, null, concat('p/ä ', id % 3)), if(dead, null, int(id * 70000 - 1000000)), if(dead, null, smallint(id - 50)), if(dead, null, tinyint(id % 100)),
        if(dead, null, if(id % 17 = 3, float('NaN'), float(id / 4))), if(dead, null, if(id % 17 = 4, double('-Infinity'), -id / 3)), if(dead, null, id % 2 = 0),
        if(dead, null, decimal(id * 7 - 100) / 100), if(dead, null, decimal(id) * 12345678901234567890.123456bd), if(dead, null, date_add(date'1965-03-01', int(id * 37))),
        if(dead, null, timestamp'1969-12-31 23:00:00' + make_interval(0, 0, 0, 0, 0, 0, id * 3661.000007)),
        if(dead, null, timestamp_ntz'1969-12-30 00:00:00' + make_interval(0, 0, 0, 0, int(id))), if(dead, null, repeat(concat('nämé ', id), int(id % 4))),
        if(dead, null, unhex(hex(id))), if(dead, null, named_struct('x', int(id), 'y', named_struct('z', string(id)))),
        if(dead, null, slice(array(id, null, id + 1), 1, int(id % 4))), if(dead, null, map(concat('k', id), id, 'other', null))
    FROM (SELECT id, id % 11 = 5 AS dead FROM range({first}, {last}, 1, 1))"""


@pytest.fixture
def table(run, tmp_path):
    """Makes tables; says what Spark calls them, and where they are."""
    def make(columns=TYPES, partitioned="", properties=""):
        path = tmp_path / "table"
        run(f"CREATE TABLE delta.`{path}` ({columns}) USING delta {partitioned} "
            f"TBLPROPERTIES ('delta.feature.timestampNtz' = 'supported' {properties and ', ' + properties})")
        return f"delta.`{path}`", path
    return make


@pytest.fixture
def check(spark, engine):
    """Compares all rows of a table, of a version if one is named, with Spark's, and the rows that conditions leave with those
    that they leave of all rows."""
    def check(path, *conditions, version=None):
        wanted = spark_rows(spark.sql(f"SELECT * FROM delta.`{path}`" + (f" VERSION AS OF {version}" if version is not None else "")))
        scan = f"ivy_delta_scan('{path}'" + (f", version := {version})" if version is not None else ")")
        assert engine.rows(f"SELECT * FROM {scan}") == wanted
        if conditions:
            engine.run(f"CREATE OR REPLACE TEMP TABLE everything AS SELECT * FROM {scan}")
        for condition in conditions:
            found, left = f"SELECT * FROM {scan} WHERE {condition}", f"SELECT * FROM everything WHERE {condition}"
            counts = engine.run(f"SELECT (SELECT count(*) FROM ({found} EXCEPT ALL {left})), (SELECT count(*) FROM ({left} EXCEPT ALL {found}))")
            assert counts == [["0", "0"]], condition
        return wanted
    return check


CONDITIONS = ["id = 50", "part = 'p/ä 1'", "part IS NULL", "f > 5", "price < 0", "day < DATE '1970-01-01'", "name = 'nämé 61'", "point.x = 7", "flag", "small > 100",
              "moment >= TIMESTAMPTZ '1970-01-03 00:00:00+00'", "local = TIMESTAMP '1970-01-01 00:00:00'"]


LONG = pytest.mark.long


@pytest.mark.parametrize("vectors, partitioned", [
    pytest.param("true", "", marks=LONG), pytest.param("false", "", marks=LONG), ("true", "PARTITIONED BY (part, flag, day, local, moment)"),
    pytest.param("false", "PARTITIONED BY (part, flag, day, local, moment)", marks=LONG)])
def test_changes(run, table, check, vectors, partitioned):
    """Changes with deletion vectors and without, optimize, and versions of before."""
    t, path = table(partitioned=partitioned, properties=f"'delta.enableDeletionVectors' = '{vectors}', 'delta.enableChangeDataFeed' = 'true'")
    run(f"INSERT INTO {t} {VALUES.format(first=0, last=40)}; INSERT INTO {t} {VALUES.format(first=40, last=80)}")
    check(path, *CONDITIONS)
    run(f"DELETE FROM {t} WHERE id % 7 = 0; UPDATE {t} SET name = 'changed', point = null WHERE id % 10 = 3; DELETE FROM {t} WHERE id BETWEEN 35 AND 45")
    run(f"""MERGE INTO {t} t USING (SELECT id AS other FROM range(0, 120, 6)) s ON t.id = s.other
            WHEN MATCHED AND t.id = 6 THEN DELETE WHEN MATCHED THEN UPDATE SET name = 'merged' WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.other, 'in')""")
    check(path, *CONDITIONS)
    run(f"OPTIMIZE {t}")
    check(path, "id = 50", "name = 'merged'")
    for version in (1, 3, 5):
        check(path, version=version)
    run(f"RESTORE TABLE {t} TO VERSION AS OF 2; DELETE FROM {t} WHERE id < 20")
    check(path, "id < 30")
    run(f"TRUNCATE TABLE {t}; INSERT INTO {t} {VALUES.format(first=5, last=9)}")
    assert len(check(path)) == 4


@pytest.mark.parametrize("mode", ["name", pytest.param("id", marks=LONG)])
def test_column_mapping(run, table, check, mode):
    t, path = table(partitioned="PARTITIONED BY (part)", properties=f"'delta.columnMapping.mode' = '{mode}', 'delta.enableDeletionVectors' = 'true'")
    run(f"INSERT INTO {t} {VALUES.format(first=0, last=40)}; ALTER TABLE {t} RENAME COLUMN name TO `a title, with = {{signs}}`; ALTER TABLE {t} RENAME COLUMN part TO department")
    run(f"ALTER TABLE {t} DROP COLUMN price; ALTER TABLE {t} ADD COLUMN (price string, point.w int AFTER x); ALTER TABLE {t} RENAME COLUMN point.x TO ex; ALTER TABLE {t} ALTER COLUMN day FIRST")
    run(f"INSERT INTO {t} (id, price, department, point) VALUES (1000, 'new', 'p/ä 1', named_struct('ex', 1, 'w', 2, 'y', null)); DELETE FROM {t} WHERE id % 9 = 2")
    check(path, "price = 'new'", "department = 'p/ä 1'", "id < 5", "point.ex = 1", "price IS NULL")
    check(path, version=1)
    run(f"ALTER TABLE {t} DROP COLUMN point.y; OPTIMIZE {t}")
    check(path)


def test_type_widening(run, table, check, spark):
    t, path = table("id bigint, tiny tinyint, small smallint, i int, f float, price decimal(5,2), day date, s struct<x: smallint>, l array<int>, n int",
                    properties="'delta.enableTypeWidening' = 'true', 'delta.enableDeletionVectors' = 'true'")
    run(f"INSERT INTO {t} SELECT id, tinyint(id), smallint(id), int(id), float(id / 3), decimal(id) / 7, date_add(date'1960-01-01', int(id * 400)), named_struct('x', smallint(id)), array(int(id), null), int(id) FROM range(20)")
    for column, types in {"tiny": ["smallint", "int", "bigint"], "small": ["int"], "i": ["bigint"], "f": ["double"], "price": ["decimal(7,2)", "decimal(22,5)"],
                          "day": ["timestamp_ntz"], "s.x": ["bigint"], "l.element": ["bigint"], "n": ["double"]}.items():
        for wider in types:
            run(f"ALTER TABLE {t} ALTER COLUMN {column} TYPE {wider}")
    run(f"""INSERT INTO {t} VALUES (100, 3000000000, 2000000000, 5000000000, 1e300, 12345678901234567.12345, timestamp_ntz'2020-02-02 02:02:02', named_struct('x', 5000000000), array(5000000000), 0.5);
            DELETE FROM {t} WHERE id % 5 = 1""")
    check(path, "tiny > 5", "tiny = 3000000000", "i > 4000000000", "i = 7", "f > 100", "price > 1", "day < TIMESTAMP '1970-01-01'", "s.x = 5000000000", "n = 0.5", "n = 3")
    check(path, version=1)


@pytest.mark.parametrize("policy", [pytest.param("classic", marks=LONG), "v2"])
def test_checkpoints(run, table, check, policy):
    t, path = table(partitioned="PARTITIONED BY (part)", properties=f"'delta.checkpointPolicy' = '{policy}', 'delta.checkpointInterval' = '3', 'delta.enableDeletionVectors' = 'true'")
    for number in range(3):
        run(f"INSERT INTO {t} {VALUES.format(first=number * 10, last=number * 10 + 10)}; DELETE FROM {t} WHERE id % 10 = {number}")
    assert list((path / "_delta_log").glob("*.checkpoint*")), "no checkpoint"
    check(path, *CONDITIONS)
    for version in (2, 5):
        check(path, version=version)


def test_generated_and_defaults(run, spark, tmp_path, check):
    """Columns that Delta computes, whose values and partitions are in the files all the same; defaults, constraints, identity, clustering."""
    path = tmp_path / "generated"
    run(f"""CREATE TABLE delta.`{path}` (id bigint, at timestamp, year int GENERATED ALWAYS AS (year(at)), day date GENERATED ALWAYS AS (cast(at AS date)),
            twice bigint GENERATED ALWAYS AS (id * 2), number bigint GENERATED ALWAYS AS IDENTITY) USING delta PARTITIONED BY (year, day)""")
    run(f"INSERT INTO delta.`{path}` (id, at) SELECT id, timestamp'2024-01-01' + make_interval(0, 0, 0, int(id)) FROM range(8); DELETE FROM delta.`{path}` WHERE id = 3")
    check(path, "year = 2024", "\"at\" < TIMESTAMPTZ '2024-01-05 00:00:00+00'", "twice = 10")
    path = tmp_path / "defaults"
    run(f"""CREATE TABLE delta.`{path}` (id bigint, v string DEFAULT 'none', n int NOT NULL) USING delta CLUSTER BY (id)
            TBLPROPERTIES ('delta.feature.allowColumnDefaults' = 'supported', 'delta.enableRowTracking' = 'true', 'delta.enableInCommitTimestamps' = 'true');
            ALTER TABLE delta.`{path}` ADD CONSTRAINT c CHECK (n > 0); INSERT INTO delta.`{path}` (id, n) VALUES (1, 1), (2, 2); INSERT INTO delta.`{path}` VALUES (3, 'x', 3);
            DELETE FROM delta.`{path}` WHERE id = 2; OPTIMIZE delta.`{path}`""")
    assert check(path, "v = 'none'") == [(1, "none", 1), (3, "x", 3)]


def test_unsupported(run, tmp_path, engine):
    """What cannot be read is named."""
    path = tmp_path / "variant"
    run(f"CREATE TABLE delta.`{path}` (id int, v variant) USING delta; INSERT INTO delta.`{path}` SELECT 1, parse_json('[1]')")
    error = engine.error(f"SELECT * FROM ivy_delta_scan('{path}')")
    assert error.startswith("0A000") and "variantType" in error, error
