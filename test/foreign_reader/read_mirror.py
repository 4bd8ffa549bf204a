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


def numerics(c):
    """Numerics without a precision, with option numeric_scale: decimals of that scale, and the digits that Postgres shows."""
    c.execute("CREATE TABLE free (id int PRIMARY KEY, amount numeric, big numeric, plain numeric)")
    c.execute("INSERT INTO free SELECT i, round(i / 7.0, i % 6), (i - 500)::numeric * 1e30 + i / 8.0, i / 3.0 FROM generate_series(1, 1000) i")
    c.execute("INSERT INTO free VALUES (0, NULL, 0.00000000, 'NaN')")
    for version in (2, 3):
        mirror = "free_%d" % version
        c.execute("CALL mooncake.create_table('%s', 'free', '{\"numeric_scale\": {\"amount\": 5, \"big\": 3}, \"format_version\": %d}')" % (mirror, version))
        wait_live(c, mirror)
        c.execute("UPDATE free SET amount = amount + 0.5, big = -big WHERE id % 10 = 0")
        c.execute("INSERT INTO free SELECT max(id) + 1, 7.50, -1, 1 FROM free")
        for step in ("flushed", "rewritten"):
            c.execute("CALL mooncake.%s('%s')" % ("create_snapshot" if step == "flushed" else "optimize", mirror))
            metadata, = c.execute("SELECT metadata_location FROM mooncake.columnstore_tables WHERE table_name = %s", (mirror,)).fetchone()
            table = StaticTable.from_metadata(metadata)
            types = {field.name: str(field.field_type) for field in table.schema().fields}
            assert types == {"id": "int", "amount": "decimal(38, 5)", "big": "decimal(38, 3)", "plain": "string", "amount$scale": "int", "big$scale": "int"}, types
            got = sorted((tuple(row[name] for name in ("id", "amount", "amount$scale", "big", "big$scale")) for row in table.scan().to_arrow().to_pylist()), key=lambda r: r[0])
            want = c.execute("SELECT id, amount, nullif(scale(amount), 5), big, nullif(scale(big), 3) FROM free ORDER BY id").fetchall()
            assert got == want, [pair for pair in zip(got, want) if pair[0] != pair[1]][:3]
            # Files are left out by the bounds of decimals.
            assert table.scan(row_filter="amount > 140.00000 and big < 0.000").to_arrow().num_rows == c.execute("SELECT count(*) FROM free WHERE amount > 140 AND big < 0").fetchone()[0]
            assert not list(table.scan(row_filter="amount > 100000.00000").plan_files())
            assert list(table.scan(row_filter="amount == 7.50000").plan_files())
        print("numeric_scale, version %d: %d rows equal" % (version, len(got)))


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

        numerics(c)

        from pyiceberg.catalog.sql import SqlCatalog
        catalog = SqlCatalog("postgres", uri="postgresql+psycopg://postgres@/postgres?host=%s&port=5432&options=-csearch_path%%3Dmooncake" % server.dir,
                             init_catalog_tables="false")
        tables = catalog.list_tables("public")
        assert ("public", "src_mirror") in tables, tables
        loaded = catalog.load_table("public.src_mirror")
        assert loaded.metadata_location == metadata, loaded.metadata_location
        assert loaded.scan().to_arrow().num_rows == 10
        print("SQL catalog over the Postgres port: table found and read")
    return 0


if __name__ == "__main__":
    sys.exit(main())
