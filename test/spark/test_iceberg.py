# SPDX-License-Identifier: Apache-2.0
"""Iceberg tables that Spark writes, in every way in which it can: what iceberg_scan reads of them is what Spark reads."""

import datetime as dt

import pytest
from conftest import spark_rows

# Of every type that Spark's Iceberg tables can have. NULLs in every 11th row.
TYPES = """
    id bigint, part string, i int, f float, d double, flag boolean, price decimal(10,2), wide decimal(38,6), day date,
    moment timestamp, local timestamp_ntz, name string, bytes binary,
    point struct<x: int, y: struct<z: string, w: date>>, list array<bigint>, points array<struct<a: int, b: array<string>>>,
    map map<string, bigint>, maps map<int, struct<v: double>>"""
VALUES = """
    SELECT id, if(dead, null, concat('p', id % 3)), if(dead, null, int(id * 70000 - 1000000)), if(dead, null, if(id % 17 = 3, float('NaN'), float(id / 4))),
        if(dead, null, if(id % 17 = 4, double('-Infinity'), -id / 3)), if(dead, null, id % 2 = 0), if(dead, null, decimal(id * 7 - 100) / 100),
        if(dead, null, decimal(id) * 12345678901234567890.123456bd), if(dead, null, date_add(date'1965-03-01', int(id * 37))),
        if(dead, null, timestamp'1969-12-31 23:00:00' + make_interval(0, 0, 0, 0, 0, 0, id * 3661.000007)),
        if(dead, null, timestamp_ntz'1969-12-30 00:00:00' + make_interval(0, 0, 0, 0, int(id))), if(dead, null, repeat(concat('nämé ', id), int(id % 4))),
        if(dead, null, unhex(hex(id))), if(dead, null, named_struct('x', int(id), 'y', named_struct('z', string(id), 'w', date_add(date'2000-01-01', int(id))))),
        if(dead, null, slice(array(id, null, id + 1), 1, int(id % 4))), if(dead, null, array(named_struct('a', int(id), 'b', array('x', null)), null)),
        if(dead, null, map(concat('k', id), id, 'other', null)), if(dead, null, map(int(id), named_struct('v', double(id)), -1, null))
    FROM (SELECT id, id % 11 = 5 AS dead FROM range({first}, {last}, 1, 1))"""


@pytest.fixture
def table(run, request):
    """Makes tables; says what to call them."""
    def make(name, columns=TYPES, version=3, partitioned="", properties=""):
        run(f"DROP TABLE IF EXISTS h.n.{name}")
        run(f"CREATE TABLE h.n.{name} ({columns}) USING iceberg {partitioned} "
            f"TBLPROPERTIES ('format-version' = '{version}' {properties})")
        return f"h.n.{name}"
    return make


@pytest.fixture
def check(spark, engine, h_path):
    """Compares all rows of a table, as of a snapshot if one is named, with Spark's, and the rows that conditions leave with
    those that they leave of all rows."""
    def check(name, *conditions, snapshot=None):
        wanted = spark_rows(spark.sql(f"SELECT * FROM h.n.{name}" + (f" VERSION AS OF {snapshot}" if snapshot else "")))
        scan = f"ivy_iceberg_scan('{h_path(name)}'" + (f", snapshot_id := {snapshot})" if snapshot else ")")
        assert engine.rows(f"SELECT * FROM {scan}") == wanted
        if conditions:
            engine.run(f"CREATE OR REPLACE TEMP TABLE everything AS SELECT * FROM {scan}")
        for condition in conditions:
            found, left = f"SELECT * FROM {scan} WHERE {condition}", f"SELECT * FROM everything WHERE {condition}"
            counts = engine.run(f"SELECT (SELECT count(*) FROM ({found} EXCEPT ALL {left})), (SELECT count(*) FROM ({left} EXCEPT ALL {found}))")
            assert counts == [["0", "0"]], condition
        return wanted
    return check


MERGE_ON_READ = ", 'write.delete.mode' = 'merge-on-read', 'write.update.mode' = 'merge-on-read', 'write.merge.mode' = 'merge-on-read'"


@pytest.mark.parametrize("version, how", [
    (1, "copy on write"), pytest.param(2, "merge on read", marks=pytest.mark.long), (3, "merge on read"),
    pytest.param(3, "copy on write", marks=pytest.mark.long)])
def test_changes(run, table, check, spark, version, how):
    name = f"changes_{version}_{how[:4]}"
    t = table(name, version=version, properties=MERGE_ON_READ if how == "merge on read" else "")
    run(f"INSERT INTO {t} {VALUES.format(first=0, last=300)}; INSERT INTO {t} {VALUES.format(first=300, last=400)}")
    check(name, "id = 350", "price > 20", "name IS NULL", "day < DATE '1970-01-01'", "f > 50", "flag", "local = TIMESTAMP '1970-01-10'", "point.x = 7")
    run(f"DELETE FROM {t} WHERE id % 7 = 0; UPDATE {t} SET name = 'changed', point = named_struct('x', 1, 'y', null) WHERE id % 10 = 3; DELETE FROM {t} WHERE id BETWEEN 290 AND 310")
    check(name, "name = 'changed'", "id > 280")
    run(f"""MERGE INTO {t} t USING (SELECT id AS other FROM range(0, 500, 50)) s ON t.id = s.other
            WHEN MATCHED AND t.id = 100 THEN DELETE WHEN MATCHED THEN UPDATE SET name = 'merged'
            WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.other, 'merged in')""")
    run(f"DELETE FROM {t} WHERE id < 200; INSERT INTO {t} {VALUES.format(first=1000, last=1010)}")
    check(name)
    snapshots = [row[0] for row in spark.sql(f"SELECT snapshot_id FROM {t}.snapshots").collect()]
    assert len(snapshots) >= 7
    for snapshot in snapshots[3::3]:
        check(name, snapshot=snapshot)
    run(f"CALL h.system.rewrite_data_files(table => 'n.{name}', options => map('rewrite-all', 'true'))")
    run(f"CALL h.system.rewrite_manifests('n.{name}'); CALL h.system.expire_snapshots(table => 'n.{name}', older_than => TIMESTAMP '2100-01-01 00:00:00', retain_last => 1)")
    check(name)
    run(f"INSERT OVERWRITE {t} {VALUES.format(first=5, last=9)}")
    assert len(check(name)) == 4


def test_position_deletes_by_partition(run, table, check):
    """Delete files for all data files of a partition, which Spark writes if it is told to, and their compaction."""
    t = table("by_partition", version=2, partitioned="PARTITIONED BY (part)",
              properties=MERGE_ON_READ + ", 'write.delete.granularity' = 'partition'")
    for first in (0, 100, 200):
        run(f"INSERT INTO {t} {VALUES.format(first=first, last=first + 100)}")
    run(f"DELETE FROM {t} WHERE id % 9 = 1; DELETE FROM {t} WHERE id % 9 = 2")
    check("by_partition", "part = 'p1'", "part IS NULL")
    run("CALL h.system.rewrite_position_delete_files('n.by_partition')")
    check("by_partition", "id < 50")
    # A table whose deletes are files of positions becomes one whose deletes are vectors.
    run(f"ALTER TABLE {t} SET TBLPROPERTIES ('format-version' = '3'); DELETE FROM {t} WHERE id % 9 = 3; UPDATE {t} SET i = 0 WHERE id % 9 = 4 AND part = 'p2'")
    check("by_partition", "part = 'p2'")
    # From version 3 to vectors for all.
    run("CALL h.system.rewrite_position_delete_files(table => 'n.by_partition', options => map('rewrite-all', 'true'))")
    check("by_partition")


TRANSFORMS = [("part", "part"), ("bucket(4, id)", "id"), ("bucket(7, name)", "name"), ("bucket(5, price)", "price"), ("bucket(3, day)", "day"),
              ("bucket(3, moment)", "moment"), ("bucket(6, bytes)", "bytes"), ("bucket(5, i)", "i"), ("truncate(2, name)", "name"), ("truncate(100000, i)", "i"),
              ("truncate(50, price)", "price"), ("truncate(1, bytes)", "bytes"), ("truncate(13, id)", "id"), ("years(day)", "day"), ("months(day)", "day"), ("days(day)", "day"),
              ("years(moment)", "moment"), ("months(local)", "local"), ("days(moment)", "moment"), ("days(local)", "local"), ("hours(moment)", "moment"),
              ("hours(local)", "local"), ("flag", "flag"), ("d", "d"), ("f", "f"), ("day", "day"), ("moment", "moment"), ("wide", "wide"), ("bytes", "bytes")]


@pytest.mark.parametrize("step", [6, pytest.param(1, marks=pytest.mark.long)])  # each of how many
def test_partition_transforms(run, table, check, engine, spark, h_path, step):
    """Every transform over every type that it takes: conditions find what they find without partitions."""
    columns = "id, part, i, f, d, flag, price, wide, day, moment, local, name, bytes"
    spark.sql(VALUES.format(first=0, last=40)).toDF(*[c.split()[0] for c in "id part i f d flag price wide day moment local name bytes point list points map maps".split()]).select(*columns.split(", ")).createOrReplaceTempView("sample")
    declared = TYPES[:TYPES.index("point struct")].strip().rstrip(",")
    for number, (transform, column) in list(enumerate(TRANSFORMS))[::step]:
        name = f"transform{number}"
        t = table(name, declared, version=2 + number % 2, partitioned=f"PARTITIONED BY ({transform})")
        run(f"INSERT INTO {t} SELECT * FROM sample")
        scan = f"ivy_iceberg_scan('{h_path(name)}')"
        if number == 0:
            check(name)
            engine.run(f"CREATE OR REPLACE TEMP TABLE sample AS SELECT * FROM {scan}")
        assert engine.run(f"SELECT count(*) FROM (SELECT * FROM {scan} EXCEPT ALL SELECT * FROM sample)") == [["0"]], transform
        conditions = [f"{{0}} {operator} '{value}'" for operator in ("=", "<", ">=", "<>", "IS DISTINCT FROM")
                      for value, in engine.run(f"SELECT DISTINCT {column}::VARCHAR FROM sample WHERE id % 7 = 2 AND {column} IS NOT NULL")]
        # All at once: for each condition the rows that it leaves, of the files and of all rows.
        conditions = [condition.format(column) for condition in [*conditions, "{0} IS NULL", "{0} IS NOT NULL"]]
        found, left = ([engine.run("SELECT " + ", ".join(f"(SELECT string_agg(id, ',' ORDER BY id) FROM {source} WHERE {condition})"
                                                         for condition in conditions))[0]] for source in (scan, "sample"))
        assert found == left, (transform, conditions)
        assert any(found[0]), transform


def test_partition_evolution(run, table, check):
    t = table("evolution", partitioned="PARTITIONED BY (days(moment))", properties=MERGE_ON_READ)
    steps = ["ADD PARTITION FIELD part", "DROP PARTITION FIELD days(moment)", "ADD PARTITION FIELD bucket(3, id)",
             "REPLACE PARTITION FIELD part WITH truncate(3, name) AS short", "DROP PARTITION FIELD short", "ADD PARTITION FIELD months(moment) AS m",
             "DROP PARTITION FIELD bucket(3, id)", "DROP PARTITION FIELD m"]
    for number, step in enumerate(steps):
        run(f"INSERT INTO {t} {VALUES.format(first=number * 30, last=number * 30 + 30)}; ALTER TABLE {t} {step}; DELETE FROM {t} WHERE id % 30 = {number}")
    run(f"INSERT INTO {t} {VALUES.format(first=500, last=530)}")
    check("evolution", "id = 37", "part = 'p1'", "part IS NULL", "day < DATE '1970-01-01'", "name = 'nämé 61'", "id > 200 AND part = 'p2'")
    # A column that partitions files of an old spec is dropped.
    run(f"ALTER TABLE {t} DROP COLUMN part; INSERT INTO {t} (id) VALUES (9999)")
    check("evolution", "id = 9999", "id = 31")


def test_schema_evolution(run, table, check, spark):
    t = table("schema", properties=MERGE_ON_READ)
    run(f"INSERT INTO {t} {VALUES.format(first=0, last=30)}")
    for step in ("ADD COLUMN extra string", "RENAME COLUMN name TO title", "ALTER COLUMN i TYPE bigint", "ALTER COLUMN f TYPE double",
                 "ALTER COLUMN price TYPE decimal(20,2)", "ADD COLUMN point.v int FIRST", "RENAME COLUMN point.x TO ex", "DROP COLUMN flag",
                 "ALTER COLUMN day FIRST", "ALTER COLUMN id AFTER title", "ADD COLUMN flag string", "DROP COLUMN point.y", "ADD COLUMN points.element.c date",
                 "ADD COLUMN maps.value.u string", "ALTER COLUMN point.ex TYPE bigint", "ALTER COLUMN extra COMMENT 'x'"):
        run(f"ALTER TABLE {t} {step}")
    check("schema")
    run(f"""INSERT INTO {t} (id, extra, i, f, price, flag, point) VALUES
            (1000, 'new', 5000000000, 1e300, 123456789012345.67, 'text', named_struct('v', 1, 'ex', 5000000000)); DELETE FROM {t} WHERE id % 5 = 1""")
    check("schema", "extra IS NULL", "i > 4000000000", "flag = 'text'", "point.ex = 5000000000", "point.ex = 3")
    for snapshot in spark.sql(f"SELECT snapshot_id FROM {t}.snapshots").collect():
        check("schema", snapshot=snapshot[0])


def test_branches_and_time(run, table, spark, engine, h_path):
    t = table("refs", "id int")
    run(f"INSERT INTO {t} VALUES (1); ALTER TABLE {t} CREATE TAG first; INSERT INTO {t} VALUES (2); ALTER TABLE {t} CREATE BRANCH side; INSERT INTO {t}.branch_side VALUES (3)")
    path = h_path("refs")
    for ref, ids in (("first", [1]), ("side", [1, 2, 3]), ("main", [1, 2])):
        assert engine.rows(f"SELECT id FROM ivy_iceberg_scan('{path}', ref := '{ref}')") == [(id,) for id in ids]
    run(f"CALL h.system.rollback_to_snapshot('n.refs', {spark.sql(f'SELECT snapshot_id FROM {t}.refs WHERE name = {chr(39)}first{chr(39)}').collect()[0][0]})")
    for at in spark.sql(f"SELECT made_current_at FROM {t}.history ORDER BY 1").collect():
        stamp = at[0].strftime("%Y-%m-%d %H:%M:%S.%f")
        wanted = sorted(tuple(row) for row in spark.sql(f"SELECT id FROM {t} TIMESTAMP AS OF '{stamp}'").collect())
        assert engine.rows(f"SELECT id FROM ivy_iceberg_scan('{path}', timestamp := TIMESTAMP '{stamp}')") == wanted
    assert engine.rows(f"SELECT id FROM ivy_iceberg_scan('{path}')") == [(1,)]


def test_writer_options(run, table, check):
    """Codecs, page formats, distribution, metadata compression, names that need quotes, and metrics that aren't there."""
    for number, properties in enumerate((
            "'write.parquet.compression-codec' = 'gzip', 'write.metadata.compression-codec' = 'gzip'",
            "'write.parquet.compression-codec' = 'zstd', 'write.metadata.metrics.default' = 'none'",
            "'write.parquet.compression-codec' = 'snappy', 'write.metadata.metrics.default' = 'truncate(1)'",
            "'write.parquet.compression-codec' = 'lz4', 'write.metadata.metrics.default' = 'counts'",
            "'write.parquet.compression-codec' = 'uncompressed', 'write.avro.compression-codec' = 'zstd'",
            "'write.avro.compression-codec' = 'snappy', 'write.object-storage.enabled' = 'true'")):
        t = table(f"options{number}", properties=", " + properties)
        run(f"INSERT INTO {t} {VALUES.format(first=0, last=50)}; DELETE FROM {t} WHERE id = 3")
        check(f"options{number}", "name = 'nämé 5'", "id = 20", "f > 5")
    t = table("names", "`select` int, `a.b` int, `sp ace` struct<`x y`: int>, `ä€` string, `\"q\"` int", partitioned="PARTITIONED BY (`a.b`, truncate(1, `ä€`))")
    run(f"INSERT INTO {t} VALUES (1, 2, named_struct('x y', 3), 'ä', 4), (5, 6, null, 'a/b=c%?', 7), (8, null, null, '', 9)")
    rows = check("names")
    assert len(rows) == 3
