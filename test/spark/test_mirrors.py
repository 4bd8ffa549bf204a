# SPDX-License-Identifier: Apache-2.0
"""Spark reads mirrors: through the Postgres port (Iceberg's JDBC catalog) and by path. After every step each row must be what
the row table has.

The settings in connect() are those that docs/mirrors.md tells users.
"""

import datetime
import math
import socket
import uuid

import pytest
from ivy_server import Server, compare, wait_live
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException

UTC = datetime.timezone.utc

# A column of every kind of type that mirrors have, how its values are made of a number i, and what Spark sees of it if that
# is not the value itself.
COLUMNS = [
    ("id", "int PRIMARY KEY", "i", None),
    ("b", "boolean", "i % 2 = 0", None),
    ("i2", "smallint", "i % 30000 - 15000", None),
    ("i8", "bigint", "i * 1000000007::bigint - 9223372036000000000", None),
    ("f4", "real", "CASE i % 5 WHEN 0 THEN 'NaN' WHEN 1 THEN '-Infinity' ELSE i / 3.0 END::real", "f4::float8"),
    ("f8", "double precision", "CASE i % 5 WHEN 0 THEN 'NaN' WHEN 1 THEN '-0' ELSE i / 7.0 END::float8", None),
    ("n", "numeric(12,3)", "i / 8.0 - 100", None),
    ("wide", "numeric(38,10)", "i * 1234567890123456789.0123456789", None),
    ("free", "numeric", "i / 16.0", "free::text"),
    ("t", "text", "'text ' || i || ' äöü €' || repeat('x', i % 50)", None),
    ("v", "varchar(20)", "'v' || i % 10", None),
    ("c", "char(5)", "'c' || i % 10", None),
    ("j", "json", "format('{\"a\": %s,  \"a\": 2}', i)::json", "j::text"),
    ("jb", "jsonb", "jsonb_build_object('b', i, 'a', ARRAY[i])", "jb::text"),
    ("by", "bytea", "decode(md5(i::text), 'hex')", None),
    ("u", "uuid", "md5(i::text)::uuid", None),
    ("d", "date", "date '0001-01-01' + i * 700", None),
    ("ts", "timestamp", "timestamp '1500-01-01' + i * interval '400 hours 1.000001 s'", None),
    ("tz", "timestamptz", "timestamptz '1960-01-01 00:00+00' + i * interval '7 minutes 0.1 s'", None),
    ("iv", "interval", "i * interval '1 month -1 day 1.5 s'",
     "CASE WHEN iv IS NOT NULL THEN format('%s months %s days %s seconds %s microseconds', (extract(year FROM iv) * 12 + extract(month FROM iv))::int, extract(day FROM iv), "
     "extract(epoch FROM date_trunc('second', iv - date_trunc('day', iv)))::int, extract(microseconds FROM iv)::int % 1000000) END"),
    ("m", "money", "i::money / 3", "(m::numeric * 100)::bigint"),
    ("ip", "inet", "('10.0.0.' || i % 256)::inet", "host(ip)"),
    ("a", "int[]", "ARRAY[i, NULL, i + 1]", "a::text"),
    ("e", "mood", "(ARRAY['sad', 'glad']::mood[])[i % 2 + 1]", "e::text"),
    ("dom", "positive", "i + 1", None),
    ("comp", "pair", "ROW(i, 'x')::pair", "comp::text"),
    ('"Mixed Case.ä"', "text", "'quoted ' || i", None),
]
# Every 13th row is of NULLs.
VALUES = ", ".join(value if name == "id" else "CASE WHEN i % 13 <> 4 THEN " + value + " END" for name, _, value, _ in COLUMNS)


def plain(value):
    """One form for what the two drivers give in different Python types."""
    if isinstance(value, datetime.datetime) and value.tzinfo:
        return value.astimezone(UTC)
    if isinstance(value, (memoryview, bytearray)):
        return bytes(value)
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else repr(value)
    return value


def assert_same(seen, wanted, condition=""):
    """Says what differs, rather than everything."""
    different = [[pair for pair in zip(*rows) if pair[0] != pair[1]] for rows in zip(seen, wanted) if rows[0] != rows[1]]
    assert not different and len(seen) == len(wanted), (condition, len(seen), len(wanted), different[:3])


def quoted(name):
    return "`" + name.strip('"') + "`"


class Mirror:
    """A row table, its mirror, and the two ways in which Spark reads that."""

    def __init__(self, server, spark, name, version):
        self.connection, self.spark, self.name, self.version = server, spark, name, version
        self.columns = [(column, seen or column) for column, _, _, seen in COLUMNS]
        self.sql("CREATE TABLE %s (%s)" % (name, ", ".join("%s %s" % column[:2] for column in COLUMNS)))
        self.fill(1, 1500)
        self.sql("CALL mooncake.create_table('%s_mirror', '%s', format_version => %d)" % (name, name, version))
        wait_live(server, name + "_mirror")

    def sql(self, statement):
        return self.connection.execute(statement)

    def fill(self, first, last):
        self.sql("INSERT INTO %s SELECT %s FROM generate_series(%d, %d) i" % (self.name, VALUES, first, last))

    def publish(self):
        wait_live(self.connection, self.name + "_mirror")  # some changes of columns order a new copy
        self.sql("CALL mooncake.create_snapshot('%s_mirror')" % self.name)

    def catalog_name(self):
        return "postgres.public.%s_mirror" % self.name

    def folder(self):
        location, = self.sql("SELECT metadata_location FROM mooncake.columnstore_tables WHERE table_name = '%s_mirror'" % self.name).fetchone()
        return location.rsplit("/metadata/", 1)[0]

    def wanted(self, condition="true"):
        rows = self.sql("SELECT %s FROM %s WHERE %s" % (", ".join(seen for _, seen in self.columns), self.name, condition)).fetchall()
        return sorted(tuple(map(plain, row)) for row in rows)

    def seen(self, table, condition="true"):
        rows = self.spark.sql("SELECT %s FROM %s WHERE %s" % (", ".join(quoted(name) for name, _ in self.columns), table, condition)).toArrow()
        return sorted(tuple(map(plain, row.values())) for row in rows.to_pylist())

    def check(self, conditions=()):
        self.publish()
        wanted = self.wanted()
        assert_same(self.seen(self.catalog_name()), wanted)
        self.spark.read.format("iceberg").load(self.folder()).createOrReplaceTempView("by_path")
        assert_same(self.seen("by_path"), wanted)
        assert self.spark.sql("SELECT count(*) FROM " + self.catalog_name()).collect()[0][0] == len(wanted)
        for condition in conditions:  # by which Spark leaves files and row groups out
            assert_same(self.seen(self.catalog_name(), condition), self.wanted(condition), condition)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def connect(spark, port):
    """The database as a catalog of Spark's; the catalog's name is the database's."""
    spark.conf.set("spark.sql.catalog.postgres", "org.apache.iceberg.spark.SparkCatalog")
    spark.conf.set("spark.sql.catalog.postgres.type", "jdbc")
    spark.conf.set("spark.sql.catalog.postgres.uri", f"jdbc:postgresql://127.0.0.1:{port}/postgres?currentSchema=mooncake")
    spark.conf.set("spark.sql.catalog.postgres.jdbc.user", "reader")
    spark.conf.set("spark.sql.catalog.postgres.jdbc.schema-version", "V1")
    spark.conf.set("spark.sql.catalog.postgres.warehouse", "/nowhere")
    spark.conf.set("spark.sql.catalog.postgres.cache-enabled", "false")


@pytest.fixture(scope="module")
def server(spark):
    port = free_port()
    with Server(port=port) as server, server.connect(autocommit=True) as connection:
        connection.execute("SET timezone = 'UTC'")
        connection.execute("CREATE ROLE reader LOGIN")
        connection.execute("CREATE TYPE mood AS ENUM ('sad', 'glad')")
        connection.execute("CREATE TYPE pair AS (x int, y text)")
        connection.execute("CREATE DOMAIN positive AS bigint CHECK (VALUE > 0)")
        connect(spark, port)
        yield connection


@pytest.mark.parametrize("version", [3, 2])
def test_every_type_after_every_change(server, spark, version):
    mirror = Mirror(server, spark, "t%d" % version, version)
    mirror.check(["id BETWEEN 100 AND 110", "t = 'text 77 äöü €' || repeat('x', 27)", "d > DATE '0500-01-01'", "jb IS NULL",
                  "ts < '1510-01-01'", "n = 25", "f8 > 5", "b AND i2 < -14900"])
    assert [row.tableName for row in spark.sql("SHOW TABLES IN postgres.public").collect() if row.tableName.startswith(mirror.name)] == [mirror.name + "_mirror"]
    mirror.fill(1501, 1600)
    mirror.check()
    mirror.sql("DELETE FROM %s WHERE id %% 3 = 0" % mirror.name)
    mirror.check(["id < 50"])
    snapshot = spark.sql("SELECT snapshot_id FROM %s.refs" % mirror.catalog_name()).collect()[0][0]
    then, columns = mirror.wanted(), mirror.columns
    mirror.sql("UPDATE %s SET t = 'changed', n = n + 1 WHERE id %% 5 = 0" % mirror.name)
    mirror.sql("DELETE FROM %s WHERE id %% 11 = 0" % mirror.name)
    mirror.check(["t = 'changed'", "id < 50"])  # deletes of a file replaced by more of them
    # Columns come, go, and change.
    mirror.sql("ALTER TABLE {0} ADD COLUMN extra int, DROP COLUMN v".format(mirror.name))
    mirror.sql("ALTER TABLE %s RENAME COLUMN t TO title" % mirror.name)
    mirror.columns = [("title", "title") if name == "t" else (name, seen) for name, seen in mirror.columns if name != "v"] + [("extra", "extra")]
    mirror.sql("UPDATE %s SET extra = id WHERE id %% 7 = 0" % mirror.name)
    mirror.check(["extra = 70", "extra IS NULL", "title = 'changed'"])
    mirror.columns, columns = columns, mirror.columns
    assert_same(mirror.seen("%s VERSION AS OF %d" % (mirror.catalog_name(), snapshot)), then)
    mirror.columns = columns
    # What is copied anew: another v, numbers with more digits.
    mirror.sql("ALTER TABLE %s ADD COLUMN v date DEFAULT '2020-02-02', ALTER COLUMN n TYPE numeric(20,3)" % mirror.name)
    mirror.columns.append(("v", "v"))
    mirror.check(["v = DATE '2020-02-02'"])
    mirror.sql("CALL mooncake.optimize('%s_mirror')" % mirror.name)
    mirror.check(["id BETWEEN 100 AND 110"])
    files = spark.sql("SELECT content, record_count FROM %s.files" % mirror.catalog_name()).collect()
    assert [file.content for file in files] == [0] and files[0].record_count == len(mirror.wanted()), files
    mirror.sql("TRUNCATE " + mirror.name)
    mirror.check()
    compare(server, mirror.name, mirror.name + "_mirror")


def test_row_lineage(server, spark):
    """Rows keep their ids when their files are rewritten; those written since say so."""
    server.execute("CREATE TABLE lineage (id int PRIMARY KEY, v text)")
    server.execute("INSERT INTO lineage SELECT i, 'v' || i FROM generate_series(1, 2000) i")
    server.execute("CALL mooncake.create_table('lineage_mirror', 'lineage')")

    def rows():
        server.execute("CALL mooncake.create_snapshot('lineage_mirror')")
        read = spark.sql("SELECT id, _row_id, _last_updated_sequence_number FROM postgres.public.lineage_mirror").collect()
        assert len({row._row_id for row in read}) == len(read)
        return {row.id: row[1:] for row in read}

    first = rows()
    assert len(first) == 2000 and None not in [value for row in first.values() for value in row]
    server.execute("UPDATE lineage SET v = 'new' WHERE id <= 10")
    server.execute("DELETE FROM lineage WHERE id > 1000")
    second = rows()
    assert all(second[id] == first[id] for id in range(11, 1001))
    assert all(second[id][1] > first[id][1] for id in range(1, 11))
    server.execute("CALL mooncake.optimize('lineage_mirror')")
    assert len(spark.sql("SELECT * FROM postgres.public.lineage_mirror.files").collect()) == 1
    assert rows() == second


def test_every_snapshot(server, spark):
    """Every snapshot that the metadata list can be read, however many commits ago, and what Spark makes of the metadata."""
    server.execute("CREATE TABLE steps (id int PRIMARY KEY, v int)")
    server.execute("CALL mooncake.create_table('steps_mirror', 'steps')")
    wanted = {}
    for step in range(1, 6):
        server.execute("INSERT INTO steps SELECT i, %d FROM generate_series(%d, %d) i" % (step, step * 100, step * 100 + 99))
        server.execute("DELETE FROM steps WHERE id %% 10 = %d" % step)
        server.execute("CALL mooncake.create_snapshot('steps_mirror')")
        snapshot = spark.sql("SELECT snapshot_id FROM postgres.public.steps_mirror.refs WHERE name = 'main'").collect()[0][0]
        wanted[snapshot] = server.execute("SELECT id, v FROM steps ORDER BY id").fetchall()
    for snapshot, rows in wanted.items():
        read = spark.sql("SELECT id, v FROM postgres.public.steps_mirror VERSION AS OF %d ORDER BY id" % snapshot).collect()
        assert [tuple(row) for row in read] == rows
    for name in ("history", "snapshots", "files", "manifests", "entries", "partitions", "all_data_files", "all_delete_files", "metadata_log_entries"):
        assert spark.sql("SELECT * FROM postgres.public.steps_mirror." + name).collect(), name
    files = spark.sql("SELECT sum(record_count) FILTER (WHERE content = 0), sum(record_count) FILTER (WHERE content <> 0) FROM postgres.public.steps_mirror.files").collect()[0]
    assert files[1] and files[0] - files[1] == server.execute("SELECT count(*) FROM steps").fetchone()[0]
    # What was added between two snapshots, which Spark can tell as long as nothing was deleted.
    server.execute("CREATE TABLE grows (id int PRIMARY KEY)")
    server.execute("CALL mooncake.create_table('grows_mirror', 'grows')")
    snapshots = []
    for step in range(3):
        server.execute("INSERT INTO grows SELECT generate_series(%d, %d)" % (step * 10, step * 10 + 9))
        server.execute("CALL mooncake.create_snapshot('grows_mirror')")
        snapshots.append(spark.sql("SELECT snapshot_id FROM postgres.public.grows_mirror.refs").collect()[0][0])
    new = spark.read.option("start-snapshot-id", snapshots[0]).option("end-snapshot-id", snapshots[2]).table("postgres.public.grows_mirror")
    assert sorted(row.id for row in new.collect()) == list(range(10, 30))


def test_other_shapes(server, spark):
    """Sorted files, mirrors of a few columns, tables without rows, without a key, and with partitions."""
    server.execute("CREATE TABLE shape (id int, day date, v text, secret text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day)")
    server.execute("CREATE TABLE shape_old PARTITION OF shape FOR VALUES FROM (MINVALUE) TO ('2020-01-01')")
    server.execute("CREATE TABLE shape_new PARTITION OF shape FOR VALUES FROM ('2020-01-01') TO (MAXVALUE)")
    server.execute("INSERT INTO shape SELECT i, date '2019-06-01' + i, 'v' || i % 3, 'no' FROM generate_series(1, 400) i")
    server.execute("CALL mooncake.create_table('shape_sorted', 'shape', sort_column => ARRAY['v', 'day'])")
    server.execute("CALL mooncake.create_table('shape_some', 'shape', columns => ARRAY['id', 'day', 'v'])")
    server.execute("CREATE TABLE nokey (v int)")
    server.execute("ALTER TABLE nokey REPLICA IDENTITY FULL")
    server.execute("CALL mooncake.create_table('nokey_mirror', 'nokey', identity => 'full')")

    def compare_with(mirror, table, columns):
        server.execute("CALL mooncake.create_snapshot('%s')" % mirror)
        read = spark.sql("SELECT %s FROM postgres.public.%s" % (columns, mirror)).collect()
        assert sorted(map(tuple, read)) == sorted(server.execute("SELECT %s FROM %s" % (columns, table)).fetchall())

    assert spark.table("postgres.public.shape_some").columns == ["id", "day", "v"]
    compare_with("nokey_mirror", "nokey", "v")
    server.execute("INSERT INTO nokey SELECT i % 5 FROM generate_series(1, 100) i")
    server.execute("DELETE FROM nokey WHERE ctid IN (SELECT ctid FROM nokey WHERE v = 3 LIMIT 7)")
    server.execute("UPDATE shape SET day = day + 100 WHERE id % 4 = 0")
    compare_with("nokey_mirror", "nokey", "v")
    compare_with("shape_sorted", "shape", "id, day, v, secret")
    compare_with("shape_some", "shape", "id, day, v")


def test_time_of_day(server, spark):
    """Spark refuses every table that has a column of type time: one without it can be had."""
    server.execute("CREATE TABLE clock (id int PRIMARY KEY, at time)")
    server.execute("INSERT INTO clock VALUES (1, '12:34:56.789'), (2, NULL), (3, '24:00')")
    server.execute("CALL mooncake.create_table('clock_mirror', 'clock')")
    server.execute("CALL mooncake.create_table('clock_ids', 'clock', columns => ARRAY['id'])")
    with pytest.raises(PySparkException, match="does not support time fields"):
        spark.sql("SELECT id FROM postgres.public.clock_mirror").collect()
    assert sorted(row.id for row in spark.table("postgres.public.clock_ids").collect()) == [1, 2, 3]


def test_only_postgres_writes(server, spark):
    """What Spark tries to write is refused, and leaves the mirror as it was."""
    server.execute("CREATE TABLE ours (id int PRIMARY KEY)")
    server.execute("CALL mooncake.create_table('ours_mirror', 'ours')")
    for first in (1, 51):
        server.execute("INSERT INTO ours SELECT generate_series(%d, %d)" % (first, first + 49))
        server.execute("CALL mooncake.create_snapshot('ours_mirror')")
    for statement in ("INSERT INTO {0} VALUES (101)", "DELETE FROM {0} WHERE id = 1", "ALTER TABLE {0} ADD COLUMN x int", "DROP TABLE {0}", "DROP TABLE {0} PURGE",
                      "ALTER TABLE {0} RENAME TO postgres.public.other", "CREATE TABLE postgres.public.theirs (id int) USING iceberg", "TRUNCATE TABLE {0}",
                      "CALL postgres.system.expire_snapshots(table => 'public.ours_mirror', older_than => TIMESTAMP '2100-01-01', retain_last => 1)"):
        with pytest.raises((PySparkException, Py4JJavaError)):
            spark.sql(statement.format("postgres.public.ours_mirror"))
        compare(server, "ours", "ours_mirror")
        assert spark.table("postgres.public.ours_mirror").count() == 100, statement
    server.execute("INSERT INTO ours VALUES (1000)")
    server.execute("CALL mooncake.create_snapshot('ours_mirror')")
    assert sorted(row.id for row in spark.table("postgres.public.ours_mirror").collect()) == [*range(1, 101), 1000]
    compare(server, "ours", "ours_mirror")
