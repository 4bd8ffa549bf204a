# SPDX-License-Identifier: Apache-2.0
"""EXPLAIN in all its forms, auto_explain, pg_stat_statements."""

import json
import re

import pytest
from conftest import error, rows

QUERY = "SELECT tx, count(*) FROM m WHERE id < 100 GROUP BY tx"


@pytest.mark.parametrize("options", [
    "ANALYZE", "VERBOSE", "ANALYZE, VERBOSE, BUFFERS, WAL, SETTINGS, MEMORY, SERIALIZE", "ANALYZE, TIMING off, SUMMARY off, COSTS off", "GENERIC_PLAN",
])
@pytest.mark.parametrize("layout", ["TEXT", "JSON", "XML", "YAML"])
@pytest.mark.parametrize("execution", ["on", "split", "scan", "off"])
def test_every_form(c, options, layout, execution):
    c.execute("SET mooncake.fallback = on; SET mooncake.execution = %s" % execution)
    got = rows(c, "EXPLAIN (%s, FORMAT %s) %s" % (options, layout, QUERY))
    text = "\n".join(str(row[0]) for row in got)
    assert ("ColumnarScan" in text) == (execution != "off")
    assert "public.t instead of mirror public.m" in text or execution != "off"
    if layout == "JSON":
        assert isinstance(got[0][0], list)


def test_analyze_counts(c):
    shown = rows(c, "EXPLAIN (ANALYZE, FORMAT JSON) " + QUERY)[0][0][0]["Plan"]
    assert shown["Actual Rows"] == 10 and shown["Rows in Files"] + shown["Rows in Delta"] >= 1000


def test_execute(c):
    c.execute("PREPARE q(int) AS SELECT count(*) FROM m WHERE id < $1")
    for mode in ("force_custom_plan", "force_generic_plan"):
        c.execute("SET plan_cache_mode = %s" % mode)
        assert "whole query" in str(rows(c, "EXPLAIN EXECUTE q(5)"))
        assert "rows=1.00 loops=1" in str(rows(c, "EXPLAIN ANALYZE EXECUTE q(5)"))


def test_of_statements(c):
    for statement in ("CREATE TABLE x AS " + QUERY, "INSERT INTO r SELECT id, id, tx FROM m", "DECLARE k CURSOR FOR " + QUERY,
                      "UPDATE r SET v = m.tx FROM m WHERE m.id = r.id", "DELETE FROM r USING m WHERE m.id = r.id",
                      "CREATE MATERIALIZED VIEW x AS " + QUERY, "MERGE INTO r USING m ON m.id = r.id WHEN MATCHED THEN DELETE"):
        assert "ColumnarScan" in str(rows(c, "EXPLAIN " + statement)), statement
    c.execute("BEGIN")
    assert "ColumnarScan" in str(rows(c, "EXPLAIN (ANALYZE) CREATE TABLE x AS " + QUERY))
    assert rows(c, "SELECT count(*) FROM x") == [(10,)]
    c.execute("ROLLBACK")


def test_reasons(c):
    shown = "\n".join(r[0] for r in rows(c, "EXPLAIN VERBOSE SELECT upper(tx), pg_backend_pid(), xmin FROM m"))
    assert "Row Tables: public.t instead of mirror public.m" in shown
    shown = "\n".join(r[0] for r in rows(c, "EXPLAIN VERBOSE SELECT to_tsvector(tx) FROM m"))
    assert re.search(r"Not Pushed Down: .*to_tsvector", shown)


def test_explain_needs_no_rows_and_reads_none(server, c):
    """EXPLAIN alone neither runs the query nor waits for anything."""
    assert error(c, "SELECT 1 / (id - 3) FROM m") == "22012"
    assert "ColumnarScan" in str(rows(c, "EXPLAIN SELECT 1 / (id - 3) FROM m"))


@pytest.mark.parametrize("settings", ["", "SET auto_explain.log_analyze = on; SET auto_explain.log_buffers = on", "SET auto_explain.log_verbose = on",
                                      "SET auto_explain.log_nested_statements = on; SET auto_explain.log_analyze = on", "SET auto_explain.log_format = json"])
def test_auto_explain(server, c, settings):
    marker = "auto %s" % re.sub("[^a-z]", "", settings)
    c.execute("SET auto_explain.log_min_duration = 0; " + settings)
    assert len(rows(c, "SELECT tx, count(*), '%s' FROM m GROUP BY tx" % marker)) == 11
    assert rows(c, "SELECT count(*), '%s' FROM m JOIN r ON r.t_id = m.id" % marker)[0][0] == 300
    c.execute("BEGIN; DECLARE k CURSOR FOR SELECT id, '%s' FROM m" % marker)
    assert len(rows(c, "FETCH 3 FROM k")) == 3
    c.execute("COMMIT; SET auto_explain.log_min_duration = -1")
    assert rows(c, "SELECT count(*) FROM m") == [(1001,)]
    log = server.log()
    assert log.count(marker) >= 3 and "ColumnarScan" in log[log.index(marker):]


def test_pg_stat_statements(server):
    with server.connect(autocommit=True) as c:
        c.execute("SELECT pg_stat_statements_reset()")
        for i in range(7):
            c.execute("SELECT sum(n) FROM m WHERE id < %d" % i)
            c.execute("SELECT count(*) FROM m JOIN r ON r.t_id = m.id WHERE m.id > %d" % i)
        c.execute("INSERT INTO r SELECT id + 7000, id, tx FROM m WHERE id < 10")
        c.execute("BEGIN; INSERT INTO t (id) VALUES (2000); SELECT count(*) FROM m; ROLLBACK")  # on the row table
        found = rows(c, "SELECT query, calls, rows FROM pg_stat_statements WHERE query ~ '\\mm\\M' AND query !~ 'pg_stat' ORDER BY query")
        assert found == [
            ("INSERT INTO r SELECT id + $1, id, tx FROM m WHERE id < $2", 1, 9),
            ("SELECT count(*) FROM m", 1, 1),
            ("SELECT count(*) FROM m JOIN r ON r.t_id = m.id WHERE m.id > $1", 7, 7),
            ("SELECT sum(n) FROM m WHERE id < $1", 7, 7),
        ]
        # What runs inside (the upload of a row table, the row table in a mirror's place) is not counted as a statement.
        c.execute("SET pg_stat_statements.track = 'all'; SELECT pg_stat_statements_reset()")
        c.execute("SELECT count(*) FROM m JOIN r ON r.t_id = m.id")
        c.execute("BEGIN; INSERT INTO t (id) VALUES (2000); SELECT max(id) FROM m; ROLLBACK")
        found = rows(c, "SELECT query, calls, toplevel FROM pg_stat_statements WHERE query ~ '\\mm\\M' AND query !~ 'pg_stat' ORDER BY query")
        assert [row for row in found if row[2]] == [("SELECT count(*) FROM m JOIN r ON r.t_id = m.id", 1, True), ("SELECT max(id) FROM m", 1, True)]
        c.execute("DELETE FROM r WHERE id > 7000")


def test_query_text_in_activity(server, c):
    with server.connect(autocommit=True) as other:
        pid = other.info.backend_pid
        other.execute("SELECT count(*) /* shown */ FROM m")
        assert rows(c, "SELECT query, query_id IS NOT NULL FROM pg_stat_activity WHERE pid = %s", [pid]) == [("SELECT count(*) /* shown */ FROM m", True)]
