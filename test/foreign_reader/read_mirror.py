# SPDX-License-Identifier: Apache-2.0
"""A mirror read by pyiceberg, which nobody here wrote: by its metadata file, and through an SQL catalog over the Postgres
port. Every row of every snapshot published must be what the row table had."""

import datetime
import decimal
import os
import sys
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from ivy_server import Server, wait_live  # noqa: E402

try:
    from pyiceberg.table import StaticTable
except ImportError as error:
    print("SKIPPED: %s" % error)
    sys.exit(77)

COLUMNS = ["id", "i2", "i8", "f8", "n", "t", "b", "d", "ts", "tz", "u", "by"]
UTC = datetime.timezone.utc


def rows_of_iceberg(metadata):
    table = StaticTable.from_metadata(metadata)
    arrow = table.scan(selected_fields=tuple(COLUMNS)).to_arrow()
    return sorted((tuple(normal(row[name]) for name in COLUMNS) for row in arrow.to_pylist()), key=lambda r: r[0])


def normal(value):
    """One form for values that the two drivers give in different Python types."""
    if isinstance(value, datetime.datetime) and value.tzinfo:
        return value.astimezone(UTC)
    if isinstance(value, uuid.UUID):
        return value.bytes
    if isinstance(value, (memoryview, bytearray)):
        return bytes(value)
    if isinstance(value, decimal.Decimal):
        return str(value)
    return value


def rows_of_postgres(c, table):
    rows = c.execute("SELECT %s FROM %s ORDER BY id" % (", ".join(COLUMNS), table)).fetchall()
    return [tuple(normal(v) for v in row) for row in rows]


def check(c, step):
    c.execute("CALL mooncake.create_snapshot('src_mirror')")
    metadata, = c.execute("SELECT metadata_location FROM mooncake.columnstore_tables WHERE table_name = 'src_mirror'").fetchone()
    got, want = rows_of_iceberg(metadata), rows_of_postgres(c, "src")
    if got != want:
        for a, b in zip(got, want):
            if a != b:
                print("pyiceberg %s\npostgres  %s" % (a, b))
                break
        raise AssertionError("%s: pyiceberg reads %d rows, the row table has %d" % (step, len(got), len(want)))
    print("%s: %d rows equal" % (step, len(got)))
    return metadata


def main():
    with Server() as server, server.connect(autocommit=True) as c:
        c.execute("SET timezone = 'UTC'")
        c.execute("CREATE TABLE src (id int PRIMARY KEY, i2 smallint, i8 bigint, f8 double precision, n numeric(12,3), t text, b boolean, "
                  "d date, ts timestamp, tz timestamptz, u uuid, by bytea)")
        fill = ("INSERT INTO src SELECT i, i %% 100, i * 1000000007::bigint, i / 3.0, i / 8.0, CASE WHEN i %% 7 = 0 THEN NULL ELSE 'text ' || i || ' äöü' END, "
                "i %% 2 = 0, date '2020-01-01' + i %% 1000, timestamp '2020-01-01' + i * interval '1.5 hours', timestamptz '2020-01-01 00:00+00' + i * interval '7 minutes', "
                "md5(i::text)::uuid, decode(md5(i::text), 'hex') FROM generate_series(%d, %d) i")
        c.execute(fill % (1, 5000))
        c.execute("CALL mooncake.create_table('src_mirror', 'src')")
        wait_live(c, "src_mirror")
        check(c, "initial copy")
        c.execute(fill % (5001, 6000))
        check(c, "append")
        c.execute("DELETE FROM src WHERE id % 3 = 0")
        check(c, "deletion vectors")
        c.execute("UPDATE src SET t = 'changed', n = n + 1 WHERE id % 5 = 0")
        c.execute("DELETE FROM src WHERE id % 11 = 0")
        check(c, "deletion vectors replaced")
        c.execute("TRUNCATE src")
        check(c, "truncate")
        c.execute(fill % (1, 10))
        metadata = check(c, "after truncate")

        from pyiceberg.catalog.sql import SqlCatalog
        catalog = SqlCatalog("postgres", uri="postgresql+psycopg://postgres@/postgres?host=%s&port=5432&options=-csearch_path%%3Dmooncake" % server.dir,
                             init_catalog_tables="false")
        tables = catalog.list_tables("public")
        assert tables == [("public", "src_mirror")], tables
        loaded = catalog.load_table("public.src_mirror")
        assert loaded.metadata_location == metadata, loaded.metadata_location
        assert loaded.scan().to_arrow().num_rows == 10
        print("SQL catalog over the Postgres port: table found and read")
    return 0


if __name__ == "__main__":
    sys.exit(main())
