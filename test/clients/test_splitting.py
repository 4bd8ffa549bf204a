# SPDX-License-Identifier: Apache-2.0
"""Queries that can't be shipped whole: what goes below, at what price, and that the answers stay the same."""

import pytest
from conftest import plan, rows

KEPT = [  # constructs that stay with the server, in every place of a query
    "SELECT a.tx, count(*), sum(a.n) FROM {t} a JOIN r ON r.t_id = a.id WHERE to_tsvector('simple', a.tx) @@ '3' GROUP BY a.tx",
    "SELECT count(*) FROM {t} a JOIN {t} b ON a.id = b.id AND to_tsvector('simple', a.tx) @@ '3' WHERE a.n > 10",
    "SELECT count(*) FROM {t} a LEFT JOIN {t} b ON a.id = b.id + 1 AND to_tsvector('simple', a.tx) @@ '3' WHERE a.n > 10",
    "SELECT a.tx, jsonb_object_agg(b.id, b.vc ORDER BY b.id) FROM {t} a JOIN {t} b ON a.id = b.id WHERE a.id < 30 GROUP BY a.tx HAVING count(*) > 2",
    "SELECT a.id, ts_rank(to_tsvector('simple', a.tx), '3') FROM {t} a JOIN r ON r.t_id = a.id ORDER BY 2 DESC, 1 LIMIT 10",
    "SELECT x.tx, x.k FROM (SELECT tx, count(*) AS k FROM {t} GROUP BY tx) x WHERE to_tsvector('simple', x.tx) @@ '3'",
    "SELECT DISTINCT ON (a.tx) a.tx, a.id, to_tsvector('simple', a.tx) FROM {t} a, r WHERE r.t_id = a.id ORDER BY a.tx, a.id DESC",
    "SELECT a.tx, count(*) OVER (PARTITION BY to_tsvector('simple', a.tx)) FROM {t} a JOIN r ON r.t_id = a.id",
    "SELECT count(*) FROM {t} a JOIN {t} b USING (id) WHERE a.id IN (SELECT t_id FROM r) AND to_tsvector('simple', b.tx) @@ '3'",
    "SELECT a.e, count(*), xmlagg(xmlelement(name x, b.id) ORDER BY b.id)::text FROM {t} a JOIN {t} b ON b.id = a.id AND a.id < 9 GROUP BY a.e",
    "WITH w AS (SELECT id, tx FROM {t} WHERE id < 50) SELECT count(*) FROM w JOIN {t} b USING (id) WHERE to_tsvector('simple', b.tx) @@ '3'",
    "SELECT tx, grouping(tx), count(to_tsvector('simple', vc)) FROM {t} a JOIN r ON r.t_id = a.id GROUP BY ROLLUP (tx)",
    "SELECT count(*) FROM {t} a, {t} b, r WHERE a.id = b.id AND r.t_id = b.id AND to_tsvector('simple', a.tx || r.v) @@ '3'",
    "SELECT count(*) FROM {t} a JOIN {t} b ON a.id = b.id WHERE to_tsvector('simple', a.tx) @@ '3' AND 10 / (b.id - 5) > 0 AND b.id > 5",
    "SELECT a.id FROM {t} a JOIN {t} b ON a.id = b.id WHERE random() < 2 ORDER BY a.id FETCH FIRST 3 ROWS WITH TIES",
]


@pytest.mark.parametrize("execution", ["on", "split", "scan"])
@pytest.mark.parametrize("query", KEPT)
def test_same_rows(c, query, execution):
    c.execute("SET mooncake.execution = %s" % execution)
    assert sorted(rows(c, query.format(t="m")), key=str) == sorted(rows(c, query.format(t="t")), key=str)


def test_join_below_a_condition(c):
    shown = plan(c, "SELECT a.tx, count(*) FROM m a JOIN m b ON a.id = b.id WHERE to_tsvector('simple', a.tx) @@ '3' AND b.n > 200 GROUP BY a.tx")
    assert "part of the query" in shown and "Filter: (to_tsvector" in shown and "Join" not in shown


def test_join_below_an_aggregate(c):
    shown = plan(c, "SELECT a.tx, jsonb_agg(b.n) FROM m a JOIN m b ON a.id = b.id GROUP BY a.tx")
    assert "part of the query" in shown and "Join" not in shown and "jsonb_agg" in shown


def test_no_join_below_if_it_makes_more_rows(c):
    shown = plan(c, "SELECT count(to_tsvector('simple', a.tx || b.tx)) FROM m a, m b")
    assert shown.count("Columnar Engine: scan") == 2


def test_groups_below(c):
    shown = plan(c, "SELECT to_tsvector('simple', tx), sum(n) FROM m GROUP BY tx")
    assert "part of the query" in shown and "Aggregate" not in shown


def test_row_table_for_repeated_questions(c):
    """A subquery that would ask the engine once a row goes through the row table's index."""
    query = "SELECT id, (SELECT to_tsvector('simple', i.tx) FROM m i WHERE i.id = o.id) FROM m o"
    c.execute("SET mooncake.fallback = on; SET enable_seqscan = off")
    assert "public.t instead of mirror public.m" in plan(c, query)
    assert rows(c, query + " ORDER BY 1") == rows(c, query.replace(" m ", " t ") + " ORDER BY 1")


@pytest.mark.parametrize("query", [
    "SELECT a.id, x.z FROM {t} a, LATERAL (SELECT a.f8 * '-0' AS z FROM {t} b WHERE b.id = a.id AND b.f8 = a.f8) x WHERE a.id < 9",
    "SELECT a.id, (SELECT a.iv FROM {t} b WHERE b.id = 1) FROM {t} a WHERE a.id IN (30, 31, 60)",
    "SELECT count(*) FROM {t} a LEFT JOIN {t} b ON (SELECT max(id) FROM {t}) > b.id LEFT JOIN r ON r.id = b.id WHERE b.id IS NULL",
    "SELECT bool(jsonb_build_array()), id FROM {t} WHERE id < 0",
    "SELECT x.id FROM (SELECT id, 1 / 0 AS y FROM {t}) x WHERE x.id < 5",
    "SELECT x.id, to_tsvector('simple', x.tx) FROM (SELECT a.id, a.tx, 1 / 0 AS y FROM {t} a JOIN {t} b USING (id)) x WHERE x.id < 5",
    "WITH w AS (SELECT tx, count(*) AS k, 'x'::text::int AS y FROM {t} GROUP BY tx) SELECT to_tsvector('simple', tx), k FROM w",
    "SELECT id, line_in(NULL) FROM {t} WHERE (SELECT 1.5) <> coalesce((SELECT n FROM {t} WHERE id = 6), exp((SELECT 1e6 + count(*) FROM {t})) + id)",
    "SELECT count(*) FROM {t} WHERE (-f8) <= 'NaN'",
])
def test_where_engines_differ(c, query):
    """Found by sqlsmith: zeros with signs and intervals as correlated values, outer joins on subqueries, values of no row."""
    c.execute("SET mooncake.fallback = on")
    assert sorted(rows(c, query.format(t="m")), key=str) == sorted(rows(c, query.format(t="t")), key=str)


@pytest.mark.parametrize("query", [  # numerics and intervals that are equal and look the same
    "SELECT un FROM {t} WHERE id < 50 UNION SELECT un FROM {t} WHERE id > 30 AND id < 60",
    "SELECT un, iv FROM {t} WHERE id < 50 INTERSECT SELECT un, iv FROM {t} WHERE id % 2 = 0",
    "SELECT iv, NULL FROM {t} EXCEPT SELECT iv, NULL FROM {t} WHERE id % 2 = 0",
    "SELECT un, i2 FROM {t} WHERE id < 9 UNION (SELECT un, i2 FROM {t} WHERE id < 99 EXCEPT SELECT un, 3 FROM {t}) ORDER BY un DESC, i2",
    "SELECT DISTINCT ON (iv) iv, id FROM {t} ORDER BY iv DESC, id",
    "SELECT DISTINCT ON (un * 0, bo) bo, id FROM {t} ORDER BY un * 0, bo, id",
    "SELECT tx, (array_agg(id ORDER BY n DESC, id))[1], count(DISTINCT (i2 % 3, bo)) FROM {t} GROUP BY tx HAVING (array_agg(un ORDER BY id))[2] > 3",
    "SELECT (array_agg((SELECT (array_agg(b.id ORDER BY b.id))[2] FROM {t} b WHERE b.tx = a.tx) ORDER BY id))[1] FROM {t} a WHERE id < 9",
])
def test_shipped_whole(c, query):
    assert "whole query" in plan(c, query.format(t="m"))
    assert sorted(rows(c, query.format(t="m")), key=str) == sorted(rows(c, query.format(t="t")), key=str)
