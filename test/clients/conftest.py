# SPDX-License-Identifier: Apache-2.0
"""One server for the whole suite, with the modules of contrib that look at queries, and a mirrored table with a column of
each kind. Tests that change it change it in a transaction which they roll back, or have tables of their own."""

import os
import sys

import psycopg
import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from ivy_server import Server, wait_live  # noqa: E402

CONF = """
shared_preload_libraries = 'pg_duckdb,pg_mooncake,pg_stat_statements,auto_explain'
max_prepared_transactions = 5
compute_query_id = on
"""

TABLE = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TABLE t (id int PRIMARY KEY, i2 smallint, i8 bigint, f4 real, f8 float8, n numeric(10,2), un numeric, bo boolean, tx text, vc varchar(20),
    bc char(5), by bytea, d date, ts timestamp, tz timestamptz, ti time, iv interval, u uuid, j json, jb jsonb, ia int[], ta text[], e mood, inet inet);
INSERT INTO t SELECT i, i % 100, i * 1000000000::bigint, i / 4.0, i / 8.0, i / 4.0, i / 3.0, i % 2 = 0, 'text ' || i % 10, 'v' || i, 'c' || i % 7,
    decode(lpad(to_hex(i), 8, '0'), 'hex'), date '2024-01-01' + i, timestamp '2024-01-01' + i * interval '1 hour',
    timestamptz '2024-01-01 00:00:00+00' + i * interval '1 minute', time '00:00' + i * interval '1 second', i * interval '1 day',
    lpad(i::text, 32, '0')::uuid, json_build_object('i', i), jsonb_build_object('i', i), ARRAY[i, i + 1], ARRAY['a' || i, NULL],
    (ARRAY['sad', 'ok', 'happy'])[i % 3 + 1]::mood, ('10.0.0.' || i % 256)::inet FROM generate_series(1, 1000) i;
INSERT INTO t (id) VALUES (1001);
CREATE TABLE r (id int PRIMARY KEY, t_id int, v text);  -- has no mirror
INSERT INTO r SELECT i, i * 3, 'r' || i FROM generate_series(1, 300) i;
"""


@pytest.fixture(scope="session")
def server():
    # The preload list of the settings' last line counts.
    with Server(conf=CONF) as running:
        with running.connect(autocommit=True) as c:
            c.execute("CREATE EXTENSION pg_stat_statements")
            c.execute(TABLE)
            c.execute("ANALYZE")
            c.execute("CALL mooncake.create_table('m', 't')")
            wait_live(c, "m")
        yield running


@pytest.fixture
def c(server):
    """A connection in autocommit mode on which only the mirror may answer."""
    with server.connect(autocommit=True) as connection:
        connection.execute("SET mooncake.fallback = off; SET statement_timeout = '60s'")
        yield connection


@pytest.fixture
def own(server, c, request):
    """A table of the test's own with its mirror: (connection, table, mirror)."""
    name = request.node.name.split("[")[0][:40]
    c.execute("CREATE TABLE %s (id int PRIMARY KEY, v text, n numeric(8,2))" % name)
    c.execute("INSERT INTO %s SELECT i, 'v' || i %% 5, i / 4.0 FROM generate_series(1, 100) i" % name)
    c.execute("CALL mooncake.create_table('%s_m', '%s')" % (name, name))
    wait_live(c, name + "_m")
    yield c, name, name + "_m"
    c.close()
    with server.connect(autocommit=True) as connection:
        for prepared, in rows(connection, "SELECT gid FROM pg_prepared_xacts"):
            connection.execute("ROLLBACK PREPARED '%s'" % prepared)
        connection.execute("SET lock_timeout = '20s'; DROP TABLE %s CASCADE" % name)


def rows(connection, text, *args, **kwargs):
    return connection.execute(text, *args, **kwargs).fetchall()


def plan(connection, text):
    return "\n".join(row[0] for row in connection.execute("EXPLAIN (COSTS off, VERBOSE) " + text))


def error(connection, text, *args):
    """The SQLSTATE that a statement fails with."""
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(text, *args)
    return caught.value.sqlstate
