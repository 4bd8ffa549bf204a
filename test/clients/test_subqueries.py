# SPDX-License-Identifier: Apache-2.0
"""Subqueries of statements that can't go whole: changes of row tables, and SELECTs with constructs that stay with the server.
The same statement over the row table must leave the same rows."""

import threading
import time

import pytest
from conftest import plan, rows

CHANGES = [  # {t} is the mirrored table, r has no mirror
    "UPDATE r SET v = s.k::text FROM (SELECT i2, count(*) AS k FROM {t} GROUP BY i2) s WHERE s.i2 = r.id",
    "UPDATE r SET v = (SELECT max(a.tx) FROM {t} a JOIN {t} b USING (id)) WHERE id < 5",
    "UPDATE r SET v = (SELECT sum(n)::text FROM {t} WHERE {t}.id < r.id) WHERE id < 9",
    "DELETE FROM r WHERE t_id IN (SELECT a.id FROM {t} a JOIN {t} b ON a.id = b.id + 1 WHERE b.n > 100 GROUP BY a.id HAVING count(*) = 1)",
    "DELETE FROM r USING (SELECT DISTINCT i2 FROM {t} WHERE id > 50) s WHERE s.i2 = r.id",
    "DELETE FROM r WHERE NOT EXISTS (SELECT FROM {t} a JOIN {t} b USING (id) WHERE a.n > 1000000)",
    "WITH s AS (SELECT i2 AS k, array_agg(id ORDER BY id) AS ids FROM {t} GROUP BY i2) UPDATE r SET v = s.ids::text FROM s WHERE s.k = r.id",
    "WITH s AS MATERIALIZED (SELECT i2 AS k FROM {t} UNION SELECT 7) DELETE FROM r USING s WHERE s.k = r.id AND r.id <> (SELECT min(k) FROM s)",
    "MERGE INTO r USING (SELECT i2, percentile_disc(0.5) WITHIN GROUP (ORDER BY tx) AS p FROM {t} GROUP BY i2) s ON s.i2 = r.id "
    "WHEN MATCHED AND r.id < 50 THEN UPDATE SET v = s.p WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (-1 - coalesce(s.i2, 999), 0, s.p)",
    "UPDATE r SET v = s.tx FROM (SELECT tx, max(id) AS id FROM {t} GROUP BY tx) s, {t} x WHERE s.id = x.id AND r.t_id = x.id",
]


@pytest.mark.parametrize("statement", CHANGES)
def test_changes(c, statement):
    answers = []
    for table in ("t", "m"):
        c.execute("BEGIN")
        c.execute(statement.format(t=table))
        answers.append(sorted(rows(c, "SELECT * FROM r")))
        c.execute("ROLLBACK")
    assert answers[0] == answers[1]


@pytest.mark.parametrize("statement", [s for s in CHANGES if "< r.id)" not in s and "EXISTS" not in s])
def test_changes_are_computed_below(c, statement):
    assert "part of the query" in plan(c, statement.format(t="m"))


QUERIES = [
    "SELECT s.i2, to_tsvector('simple', r.v), s.k FROM (SELECT i2, count(*) AS k FROM {t} GROUP BY i2) s JOIN r ON r.id = s.i2 WHERE xmlcomment('a') IS NOT NULL",
    "SELECT to_tsvector('simple', r.v), (SELECT sum(a.n) FROM {t} a JOIN {t} b USING (id)) FROM r FOR UPDATE",
    "WITH s AS (SELECT tx, sum(n) AS n FROM {t} GROUP BY tx) SELECT to_tsvector('simple', x.tx), y.n FROM s x JOIN s y USING (tx) TABLESAMPLE_r",
    "SELECT xmlelement(name a, v) ::text FROM r WHERE t_id IN (SELECT max(id) FROM {t} GROUP BY i2 UNION SELECT 9) FOR SHARE OF r",
]


@pytest.mark.parametrize("query", QUERIES)
def test_queries(c, query):
    query = query.replace(" TABLESAMPLE_r", ", r TABLESAMPLE system (100)")
    assert sorted(rows(c, query.format(t="m")), key=str) == sorted(rows(c, query.format(t="t")), key=str)
    assert "part of the query" in plan(c, query.format(t="m"))


def test_parameters_and_new_plans(c):
    """A generic plan; then one that DDL has made invalid."""
    c.execute("PREPARE change(int) AS UPDATE r SET v = s.k::text FROM (SELECT i2, count(*) AS k FROM m WHERE id > $1 GROUP BY i2) s WHERE s.i2 = r.id")
    c.execute("SET plan_cache_mode = force_generic_plan; BEGIN")
    for bound in (1, 500, 1000):
        c.execute("EXECUTE change(%d)" % bound)
        changed = rows(c, "SELECT id, v FROM r ORDER BY 1")
        c.execute("UPDATE r SET v = s.k::text FROM (SELECT i2, count(*) AS k FROM t WHERE id > %d GROUP BY i2) s WHERE s.i2 = r.id" % bound)
        assert changed == rows(c, "SELECT id, v FROM r ORDER BY 1")
    c.execute("ROLLBACK")


def test_own_changes_count(server):
    """The transaction has changed the source: the row table answers, in the part too."""
    with server.connect() as c:
        c.execute("UPDATE t SET n = n + 1 WHERE id = 1")
        c.execute("UPDATE r SET v = s.n::text FROM (SELECT sum(n) AS n FROM m) s WHERE r.id = 1")
        assert rows(c, "SELECT v FROM r WHERE id = 1") == [(str(rows(c, "SELECT sum(n) FROM t")[0][0]),)]
        c.rollback()


def test_a_view_and_its_owner(server, c):
    """Through a view the user needs no right on the mirror; without it he has none."""
    c.execute("CREATE ROLE reader; CREATE VIEW sums AS SELECT i2, sum(n) AS s FROM m GROUP BY i2; GRANT SELECT ON sums TO reader")
    c.execute("GRANT SELECT, UPDATE ON r TO reader; BEGIN; SET LOCAL ROLE reader")
    c.execute("UPDATE r SET v = sums.s::text FROM sums WHERE sums.i2 = r.id")
    assert rows(c, "SELECT count(*) FROM r WHERE v !~ '^r'")[0][0] > 50
    c.execute("SAVEPOINT s")
    with pytest.raises(Exception, match="permission denied"):
        c.execute("UPDATE r SET v = s.s::text FROM (SELECT i2, sum(n) AS s FROM m GROUP BY i2) s WHERE s.i2 = r.id")
    c.execute("ROLLBACK TO s; ROLLBACK; DROP VIEW sums; REVOKE ALL ON r FROM reader; DROP ROLE reader")


def test_concurrent_update(server):
    """The updated row has changed meanwhile: its new version is joined with the part's rows as they were."""
    with server.connect() as first, server.connect() as second:
        first.execute("UPDATE r SET v = 'meanwhile' WHERE id = 20")
        failures = []

        def update():
            try:
                second.execute("UPDATE r SET v = r.v || s.k::text || '/' || (SELECT max(id) FROM m) FROM (SELECT i2, sum(id) AS k FROM m GROUP BY i2) s "
                               "WHERE s.i2 = r.t_id AND r.id IN (SELECT max(i2) - 79 FROM m)")
            except Exception as failure:  # shown by the assertion
                failures.append(failure)

        waiting = threading.Thread(target=update)
        waiting.start()
        time.sleep(0.7)
        first.commit()
        waiting.join(timeout=30)
        assert not failures
        expected = rows(second, "SELECT 'meanwhile' || sum(id) || '/' || 1001 FROM t WHERE i2 = 60")[0][0]
        assert rows(second, "SELECT v FROM r WHERE id = 20") == [(expected,)]
        second.rollback()
        first.execute("UPDATE r SET v = 'r20' WHERE id = 20")
        first.commit()


@pytest.mark.parametrize("query", [
    "SELECT coalesce(NULL::numeric, a.n) FROM {t} a JOIN {t} b USING (id) EXCEPT ALL SELECT un FROM {t}",
    "SELECT coalesce(NULL::varchar, a.vc) FROM {t} a JOIN {t} b USING (id) GROUP BY 1 INTERSECT ALL SELECT to_tsvector('simple', vc)::text::varchar(20) FROM {t}",
])
def test_type_modifiers(c, query):
    types = [[(column.type_code, column.precision, column.scale, column.display_size) for column in c.execute(query.format(t=table)).description]
             for table in ("t", "m")]
    assert types[0] == types[1]
