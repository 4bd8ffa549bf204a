# SPDX-License-Identifier: Apache-2.0
"""Simple and extended protocol: parameters of every type in text and binary, portals, pipelines, prepared statements."""

import datetime
import decimal
import os
import struct
import uuid

import psycopg
import pytest
from conftest import error, plan, rows
from wire import Wire, data, errors

COLUMNS = ["id", "i2", "i8", "f4", "f8", "n", "un", "bo", "tx", "vc", "bc", "by", "d", "ts", "tz", "ti", "iv", "u", "jb", "ia", "ta", "e", "inet"]


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("column", COLUMNS)
def test_parameter_of_type(c, column, binary, mode):
    """A value read from the row table, in text or binary, finds the same rows as a parameter on the mirror."""
    c.execute("SET plan_cache_mode = %s" % mode)
    oid = rows(c, "SELECT atttypid FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = %s", [column])[0][0]
    pg = c.pgconn
    for table in ("t", "m"):
        pg.prepare(b"p_" + table.encode(), b"SELECT count(*), min(id) FROM %s WHERE %s = $1" % (table.encode(), column.encode()), [oid])
    for row in (7, 500, 1001):
        got = pg.exec_params(b"SELECT %s FROM t WHERE id = %d" % (column.encode(), row), [], result_format=int(binary))
        value = got.get_value(0, 0)
        answers = []
        for table in (b"t", b"m"):
            result = pg.exec_prepared(b"p_" + table, [value], [int(binary)])
            assert result.status == psycopg.pq.ExecStatus.TUPLES_OK, result.error_message
            answers.append([result.get_value(0, i) for i in range(2)])
        assert answers[0] == answers[1]
        assert answers[0][0] == b"0" if value is None else int(answers[0][0]) > 0


@pytest.mark.parametrize("binary", [False, True])
def test_results_of_every_type(c, binary):
    names = ", ".join(COLUMNS + ["j"])
    results = [c.pgconn.exec_params(b"SELECT %s FROM %s ORDER BY id LIMIT 50" % (names.encode(), table), [], result_format=int(binary)) for table in (b"t", b"m")]
    for i in range(results[0].nfields):
        assert results[0].ftype(i) == results[1].ftype(i) and results[0].fmod(i) == results[1].fmod(i)
        for j in range(50):
            assert results[0].get_value(j, i) == results[1].get_value(j, i), (COLUMNS[i], j)


def test_server_side_prepare_after_some_executions(c):
    """Like JDBC: the same statement becomes a prepared one, then a generic plan."""
    c.prepare_threshold = 3
    for i in range(1, 15):
        got = rows(c, "SELECT count(*), sum(n) FROM m WHERE id <= %s AND n < %s", [i, decimal.Decimal("1000")])
        assert got == [(i, sum(decimal.Decimal(k) / 4 for k in range(1, i + 1)))]
    assert rows(c, "SELECT generic_plans > 0 FROM pg_prepared_statements") == [(True,)]


def test_python_values(c):
    assert rows(c, "SELECT id FROM m WHERE d = %s", [datetime.date(2024, 1, 11)]) == [(10,)]
    assert rows(c, "SELECT id FROM m WHERE u = %s", [uuid.UUID(int=0x42)]) == [(42,)]
    assert rows(c, "SELECT id FROM m WHERE id = ANY(%s) ORDER BY 1", [[3, 1, None, 5000]]) == [(1,), (3,)]
    assert rows(c, "SELECT count(*) FROM m WHERE iv > %s", [datetime.timedelta(days=990)]) == [(10,)]
    assert rows(c, "SELECT count(*) FROM m WHERE by = %s", [b"\x00\x00\x00\x09\x00\x00\x00\x09"[:0] + b"0"]) == [(0,)]
    assert rows(c, "SELECT %s::text || tx FROM m WHERE id = 1", ["é\\'"]) == [("é\\'text 1",)]


def test_pipeline(server):
    with server.connect() as c, c.pipeline():
        cursors = [c.execute("SELECT count(*) FROM m WHERE id <= %s", [i]) for i in range(1, 30)]
        c.execute("INSERT INTO r VALUES (9001, 1, 'pipeline')")
        last = c.execute("SELECT count(*) FROM m JOIN r ON r.t_id = m.id WHERE r.v = 'pipeline'")
        assert [cursor.fetchone()[0] for cursor in cursors] == list(range(1, 30))
        assert last.fetchone() == (1,)
        c.rollback()


def test_pipeline_with_an_error(server):
    with server.connect(autocommit=True) as c:
        with pytest.raises(psycopg.errors.DivisionByZero), c.pipeline():
            c.execute("SELECT 1 / (id - id) FROM m")
            c.execute("SELECT count(*) FROM m")
        assert rows(c, "SELECT count(*) FROM m") == [(1001,)]


@pytest.fixture
def wire(server):
    connection = Wire(os.path.join(server.dir, ".s.PGSQL.5432"))
    yield connection
    connection.close()


def test_portals_with_row_limits(wire):
    """Fetch sizes: portals that are read in parts, two of them in turn."""
    wire.query("BEGIN")
    wire.parse("s", "SELECT id FROM m WHERE id <= $1 ORDER BY id", [23])
    for portal, limit in (("a", b"10"), ("b", b"7")):
        wire.bind(portal, "s", [limit])
    seen = {"a": [], "b": []}
    for portal, limit in (("a", 3), ("b", 4), ("a", 5), ("b", 100), ("a", 1), ("a", 0)):
        wire.execute(portal, limit)
        wire.send(b"H")
        messages = wire.until(b"s", b"C", b"E")
        assert not errors(messages)
        seen[portal] += [int(row[0]) for row in data(messages)]
    wire.sync()
    wire.until(b"Z")
    assert seen == {"a": list(range(1, 11)), "b": list(range(1, 8))}
    wire.query("COMMIT")


def test_mixed_result_formats(wire):
    wire.parse("", "SELECT id, n, tx FROM m WHERE id = $1", [23])
    wire.bind("", "", [struct.pack("!i", 8)], [1], [1, 0, 1])
    wire.describe(b"P", "")
    wire.execute("")
    wire.sync()
    assert data(wire.until(b"Z")) == [[struct.pack("!i", 8), b"2.00", b"text 8"]]


def test_portal_ends_with_its_transaction(wire):
    wire.query("BEGIN")
    wire.parse("", "SELECT id, tx FROM m", [])
    wire.bind("p", "")
    wire.execute("p", 5)
    wire.send(b"H")
    wire.until(b"s")
    wire.sync()
    wire.until(b"Z")
    wire.query("ROLLBACK")
    wire.execute("p", 5)
    wire.sync()
    assert errors(wire.until(b"Z")) == ["34000"]
    assert data(wire.query("SELECT count(*) FROM m")) == [[b"1001"]]


def test_several_statements_in_one_message(wire):
    messages = wire.query("SELECT count(*) FROM m; SELECT max(id) FROM m WHERE id < 10; SELECT 1 / 0 FROM m; SELECT 1")
    assert data(messages) == [[b"1001"], [b"9"]]
    assert errors(messages) == ["22012"]


def test_simple_statement_with_a_parameter_in_a_function(c):
    c.execute("CREATE OR REPLACE FUNCTION pg_temp.f(a int, b text) RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM m WHERE id < a AND tx = b'")
    assert rows(c, "SELECT pg_temp.f(50, 'text 3')") == [(5,)]


def test_ddl_invalidates_plans(own):
    c, t, m = own
    c.prepare_threshold = None  # the client would deallocate all after ALTER
    for mode in ("force_generic_plan", "force_custom_plan"):
        c.execute("DEALLOCATE ALL; SET plan_cache_mode = %s; SET mooncake.fallback = on" % mode)
        c.execute("PREPARE q(int) AS SELECT count(*), max(v) FROM %s WHERE id < $1" % m)
        assert rows(c, "EXECUTE q(11)") == [(10, "v4")]
        c.execute("ALTER TABLE %s ADD COLUMN x int DEFAULT 5" % t)
        assert rows(c, "EXECUTE q(11)") == [(10, "v4")]
        assert rows(c, "SELECT sum(x) FROM %s" % m) == [(500,)]
        c.execute("ALTER TABLE %s RENAME v TO w" % t)
        assert error(c, "EXECUTE q(11)") == "42703"
        c.execute("ALTER TABLE %s RENAME w TO v; ALTER TABLE %s DROP COLUMN x" % (t, t))
        assert rows(c, "EXECUTE q(11)") == [(10, "v4")]
        c.execute("ALTER TABLE %s RENAME TO %s_renamed" % (m, m))
        assert error(c, "EXECUTE q(11)") == "42P01"
        c.execute("ALTER TABLE %s_renamed RENAME TO %s" % (m, m))
        assert rows(c, "EXECUTE q(11)") == [(10, "v4")]
        c.execute("ALTER TABLE %s ALTER v TYPE varchar(10)" % t)
        assert rows(c, "EXECUTE q(11)") == [(10, "v4")]
        c.execute("ALTER TABLE %s ALTER v TYPE text" % t)


def test_result_type_must_not_change(own):
    c, t, m = own
    c.prepare_threshold = None
    c.execute("SET mooncake.fallback = on; PREPARE q AS SELECT * FROM %s WHERE id = 1" % m)
    assert rows(c, "EXECUTE q") == [(1, "v1", decimal.Decimal("0.25"))]
    c.execute("ALTER TABLE %s ADD COLUMN x int" % t)
    assert error(c, "EXECUTE q") == "0A000"  # as on the row table: cached plan must not change result type


def test_search_path_is_part_of_a_plan(own):
    c, t, m = own
    c.execute("CREATE SCHEMA other; CREATE TABLE other.%s (id int)" % m)
    c.execute("PREPARE q AS SELECT count(*) FROM %s" % m)
    assert rows(c, "EXECUTE q") == [(100,)]
    c.execute("SET search_path = other, public")
    assert rows(c, "EXECUTE q") == [(0,)]
    c.execute("DROP SCHEMA other CASCADE")
    assert rows(c, "EXECUTE q") == [(100,)]


def test_whole_query_is_shipped_with_parameters(c):
    c.execute("PREPARE q(int, text) AS SELECT count(*) FROM m WHERE id < $1 AND tx = $2; SET plan_cache_mode = force_generic_plan")
    text = "\n".join(row[0] for row in c.execute("EXPLAIN (COSTS off) EXECUTE q(50, 'text 1')"))
    assert "whole query" in text
    assert "whole query" in plan(c, "SELECT count(*) FROM m WHERE id < 50")
