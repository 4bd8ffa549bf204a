# SPDX-License-Identifier: Apache-2.0
"""The engine fails after it has returned rows: the row table takes over in the middle, and each row comes once."""

import os
import signal

import pytest
from conftest import error, rows

ROWS = 80000


@pytest.fixture(scope="module")
def wide(server):
    """A table whose result is too large to be held back; its last row overflows in the engine, but not in the server."""
    with server.connect(autocommit=True) as c:
        c.execute("CREATE TABLE wide (id int PRIMARY KEY, a numeric(15,3), b numeric(15,3), f float8, tx text, un numeric)")
        c.execute("INSERT INTO wide SELECT i, i, 1.5, i / 7.0, CASE WHEN i %% 3 > 0 THEN repeat('x', i %% 200) END, i / 3.0 FROM generate_series(1, %d) i" % ROWS)
        c.execute("INSERT INTO wide SELECT * FROM wide WHERE false; UPDATE wide SET a = 900000000000, b = 900000000000 WHERE id = %d" % ROWS)
        c.execute("UPDATE wide SET tx = (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 300) i), f = 'NaN' WHERE id < 4")
        c.execute("CALL mooncake.create_table('wide_m', 'wide'); ANALYZE wide")
        yield server
        c.execute("SET lock_timeout = '20s'; DROP TABLE wide CASCADE")


QUERIES = [
    "SELECT id, a * b AS product, tx FROM {t}",
    "SELECT id % 5 AS k, a * b AS product, f, tx, un FROM {t} WHERE id > 3",  # rows that occur often
    "SELECT tx, f, un, a FROM {t} WHERE a * b > 2 AND tx IS DISTINCT FROM 'y'",
    "SELECT to_tsvector('simple', left(tx, 3))::text AS v, id FROM {t} WHERE a * b > 2",  # only the scan is the engine's
    "SELECT x.id, x.p, tx FROM (SELECT id, a * b AS p, tx FROM {t} ORDER BY id DESC) x",
]


@pytest.mark.parametrize("query", QUERIES)
def test_an_error_in_a_late_row(wide, query):
    count = "SELECT count(*), count(DISTINCT x::text), sum(hashtextextended(x::text, 0)) FROM (%s OFFSET 0) x"
    with wide.connect(autocommit=True) as c:
        c.execute("CREATE TEMP TABLE answer AS " + query.format(t="wide_m"))
        assert rows(c, count % "SELECT * FROM answer") == rows(c, count % query.format(t="wide"))


def test_without_fallback_it_is_an_error(wide):
    with wide.connect(autocommit=True) as c:
        c.execute("SET mooncake.fallback = off")
        assert error(c, "CREATE TEMP TABLE answer AS " + QUERIES[0].format(t="wide_m")) == "22003"


def test_an_error_of_the_server_too(wide):
    """Both meet it; the row table's is the one that counts."""
    with wide.connect(autocommit=True) as c:
        assert error(c, "CREATE TEMP TABLE answer AS SELECT 1 / (id - %d), tx FROM wide_m" % ROWS) == "22012"


@pytest.mark.parametrize("order", ["", " ORDER BY id"])
def test_the_engine_dies(wide, order):
    with wide.connect() as c:
        c.execute("DECLARE answer CURSOR FOR SELECT id, tx, a, f FROM wide_m" + order)
        first = rows(c, "FETCH 1000 FROM answer")
        engines = [pid for pid, command in wide.descendants() if "ivy_engine" in command]
        assert engines
        os.kill(engines[0], signal.SIGKILL)
        rest = rows(c, "FETCH ALL FROM answer")
        ids = [row[0] for row in first + rest]
        assert len(ids) == ROWS and (ids == sorted(ids) if order else sorted(ids) == list(range(1, ROWS + 1)))
        assert sorted(map(str, first + rest)) == sorted(map(str, rows(c, "SELECT id, tx, a, f FROM wide")))
        c.rollback()
        c.execute("SELECT 1 FROM wide_m LIMIT 1")
