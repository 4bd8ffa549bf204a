# SPDX-License-Identifier: Apache-2.0
"""Mirrors as a part of other statements, functions, views and triggers."""

import pytest
from conftest import error, plan, rows

SAVED = "SELECT * FROM {} ORDER BY 1"


@pytest.mark.parametrize("statement", [
    "UPDATE r SET v = {t}.tx FROM {t} WHERE {t}.id = r.t_id AND r.id < 9 RETURNING r.*, {t}.n",
    "UPDATE r SET v = (SELECT max(tx) FROM {t} WHERE {t}.id < r.id) WHERE id < 5 RETURNING *",
    "DELETE FROM r USING {t} WHERE {t}.id = r.t_id AND {t}.tx = 'text 3' RETURNING r.id",
    "DELETE FROM r WHERE t_id IN (SELECT id FROM {t} WHERE n > 10) RETURNING id",
    "INSERT INTO r SELECT id + 5000, count(*), min(tx) FROM {t} WHERE id < 40 GROUP BY id RETURNING *",
    "INSERT INTO r SELECT id, id, tx FROM {t} WHERE id < 400 ON CONFLICT (id) DO UPDATE SET v = EXCLUDED.v || r.v RETURNING *",
    "INSERT INTO r (id, v) VALUES (5000, (SELECT max(tx) FROM {t})) RETURNING *",
    "WITH gone AS (DELETE FROM r WHERE id < 20 RETURNING *) SELECT gone.id, {t}.n FROM gone JOIN {t} ON {t}.id = gone.t_id ORDER BY 1",
    "WITH x AS (SELECT id, tx FROM {t} WHERE id < 30) UPDATE r SET v = x.tx FROM x WHERE x.id = r.id RETURNING r.*",
    """MERGE INTO r USING {t} ON {t}.id = r.id WHEN MATCHED AND {t}.id < 5 THEN UPDATE SET v = {t}.tx
       WHEN MATCHED AND {t}.id < 8 THEN DELETE WHEN NOT MATCHED AND {t}.id < 310 THEN INSERT VALUES ({t}.id, 0, 'new')
       WHEN NOT MATCHED BY SOURCE THEN DELETE RETURNING merge_action(), r.*""",
    "SELECT count(*) FROM {t} WHERE id IN (SELECT t_id FROM r)",
    "SELECT {t}.id, x.v FROM {t}, LATERAL (SELECT v FROM r WHERE r.t_id = {t}.id LIMIT 1) x ORDER BY 1",
    "TABLE {t}",
])
def test_in_statement(c, statement):
    """The same rows and the same effect as with the row table."""
    answers = []
    for table in ("t", "m"):
        c.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        answers.append((sorted(rows(c, statement.format(t=table)), key=str), rows(c, SAVED.format("r"))))
        c.execute("ROLLBACK")
    assert answers[0] == answers[1]


@pytest.mark.parametrize("statement", [
    "INSERT INTO m (id) VALUES (5)", "UPDATE m SET tx = 'x'", "DELETE FROM m", "TRUNCATE m", "COPY m (id) FROM PROGRAM 'echo 5'",
    "MERGE INTO m USING r ON r.id = m.id WHEN MATCHED THEN DELETE", "WITH x AS (INSERT INTO m (id) VALUES (5) RETURNING id) SELECT * FROM x",
    "CREATE INDEX ON m (id)", "ALTER TABLE m ADD COLUMN z int", "CREATE TRIGGER x BEFORE INSERT ON m EXECUTE FUNCTION suppress_redundant_updates_trigger()",
])
def test_writes_are_refused(c, statement):
    assert error(c, statement) == "42809"


def test_tables_from_queries(c):
    c.execute("BEGIN")
    c.execute("CREATE TEMP TABLE a AS SELECT tx, count(*) AS k, avg(n) FROM m GROUP BY tx")
    c.execute("CREATE TEMP TABLE b AS SELECT tx, count(*) AS k, avg(n) FROM t GROUP BY tx")
    c.execute("SELECT id, n INTO TEMP s FROM m WHERE id < 10")
    c.execute("CREATE TEMP TABLE w AS SELECT * FROM m WITH NO DATA")
    assert rows(c, "SELECT * FROM a EXCEPT ALL SELECT * FROM b") == []
    assert rows(c, "SELECT count(*), sum(n) FROM s") == rows(c, "SELECT count(*), sum(n) FROM t WHERE id < 10")
    columns = "SELECT attname, atttypid, atttypmod, attcollation FROM pg_attribute WHERE attrelid = '%s'::regclass AND attnum > 0 ORDER BY attnum"
    assert rows(c, columns % "w") == rows(c, columns % "t")
    c.execute("ROLLBACK")


def test_temporary_table_joined(c):
    c.execute("BEGIN; CREATE TEMP TABLE picked (id int PRIMARY KEY) ON COMMIT DROP; INSERT INTO picked SELECT generate_series(5, 50, 5)")
    assert rows(c, "SELECT count(*), sum(m.n) FROM m JOIN picked USING (id)") == rows(c, "SELECT count(*), sum(t.n) FROM t JOIN picked USING (id)")
    assert "whole query" in plan(c, "SELECT count(*), sum(m.n) FROM m JOIN picked USING (id)")
    c.execute("ROLLBACK")


def test_materialized_view(server, own):
    c, t, m = own
    c.execute("CREATE MATERIALIZED VIEW mv_%s AS SELECT v, count(*) AS k, sum(n) AS s FROM %s GROUP BY v" % (t, m))
    c.execute("CREATE UNIQUE INDEX ON mv_%s (v)" % t)
    c.execute("UPDATE %s SET v = 'other' WHERE id < 30" % t)
    for how in ("CONCURRENTLY ", ""):
        c.execute("REFRESH MATERIALIZED VIEW %smv_%s" % (how, t))
        assert rows(c, "SELECT * FROM mv_%s ORDER BY v" % t) == rows(c, "SELECT v, count(*), sum(n) FROM %s GROUP BY v ORDER BY v" % t)
        c.execute("DELETE FROM %s WHERE id = 31" % t)


def test_copy_to(c):
    def copied(statement):
        with c.cursor().copy(statement) as copy:
            return b"".join(bytes(part) for part in copy)

    for options in ("", "(FORMAT csv, HEADER)", "(FORMAT binary)"):
        first = copied("COPY (SELECT * FROM t WHERE id < 50 ORDER BY id) TO STDOUT " + options)
        assert copied("COPY (SELECT * FROM m WHERE id < 50 ORDER BY id) TO STDOUT " + options) == first
    assert sorted(copied("COPY m TO STDOUT").split(b"\n")) == sorted(copied("COPY t TO STDOUT").split(b"\n"))
    assert sorted(copied("COPY m (tx, id) TO STDOUT").split(b"\n")) == sorted(copied("COPY t (tx, id) TO STDOUT").split(b"\n"))


def test_grouped_by_primary_key(own):
    """Columns that depend on the key need not be grouped; the mirror states its source's key."""
    c, t, m = own
    query = "SELECT {t}.id, {t}.v, {t}.n, count(r.id) FROM {t} LEFT JOIN r ON r.t_id = {t}.id GROUP BY {t}.id ORDER BY 1"
    assert rows(c, query.format(t=m)) == rows(c, query.format(t=t))
    assert "whole query" in plan(c, query.format(t=m))
    c.execute("CREATE VIEW depends_%s AS SELECT id, v, count(*) FROM %s GROUP BY id" % (t, m))
    c.execute("SET mooncake.fallback = on; SET client_min_messages = error")
    assert error(c, "ALTER TABLE %s DROP CONSTRAINT %s_pkey" % (t, t)) == "2BP01"
    c.execute("REINDEX TABLE CONCURRENTLY %s" % t)
    assert rows(c, "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = '%s'::regclass AND contype = 'p'" % m) == [("PRIMARY KEY (id)",)]
    c.execute("ALTER TABLE %s DROP CONSTRAINT %s_pkey CASCADE" % (t, t))
    assert error(c, "SELECT id, v, count(*) FROM %s GROUP BY id" % m) == error(c, "SELECT id, v, count(*) FROM %s GROUP BY id" % t) == "42803"
    c.execute("ALTER TABLE %s ADD PRIMARY KEY (id)" % t)
    assert len(rows(c, "SELECT id, v, count(*) FROM %s GROUP BY id" % m)) == 100


FUNCTIONS = """
CREATE OR REPLACE FUNCTION pg_temp.inlined(int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM m WHERE id <= $1';
CREATE OR REPLACE FUNCTION pg_temp.atomic(k int) RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM m WHERE id <= k; END;
CREATE OR REPLACE FUNCTION pg_temp.strict_one(int) RETURNS bigint LANGUAGE sql STRICT AS 'SELECT count(*) FROM m WHERE id <= $1';
CREATE OR REPLACE FUNCTION pg_temp.rows_of(int) RETURNS TABLE (id int, tx text) LANGUAGE sql STABLE AS 'SELECT id, tx FROM m WHERE id <= $1';
CREATE OR REPLACE FUNCTION pg_temp.set_of(int) RETURNS SETOF m LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT * FROM m WHERE m.id <= $1; END $$;
CREATE OR REPLACE FUNCTION pg_temp.dynamic(int) RETURNS bigint LANGUAGE plpgsql AS
    $$ DECLARE k bigint; BEGIN EXECUTE 'SELECT count(*) FROM m WHERE id <= $1' INTO k USING $1; RETURN k; END $$;
CREATE OR REPLACE FUNCTION pg_temp.whole_row(m) RETURNS text LANGUAGE sql AS 'SELECT $1.id || $1.tx';
"""


def test_functions(c):
    c.execute(FUNCTIONS)
    for name in ("inlined", "atomic", "strict_one", "dynamic"):
        assert rows(c, "SELECT pg_temp.%s(7), pg_temp.%s(0), (SELECT sum(pg_temp.%s(id)) FROM r WHERE id < 4)" % (name, name, name)) == [(7, 0, 6)]
    assert rows(c, "SELECT count(*), max(tx) FROM pg_temp.rows_of(5)") == [(5, "text 5")]
    assert rows(c, "SELECT sum(id), count(DISTINCT e) FROM pg_temp.set_of(9)") == [(45, 3)]
    assert rows(c, "SELECT pg_temp.whole_row(m) FROM m WHERE id = 3") == [("3text 3",)]
    assert rows(c, "SELECT m.id, x.tx FROM m, pg_temp.rows_of(3) x WHERE m.id = x.id ORDER BY 1") == [(1, "text 1"), (2, "text 2"), (3, "text 3")]


def test_do_block(c):
    c.execute("DO $$ DECLARE k bigint; BEGIN FOR i IN 1..12 LOOP SELECT count(*) INTO k FROM m WHERE id <= i; ASSERT k = i; END LOOP; END $$")
    c.execute("DO $$ BEGIN IF EXISTS (SELECT 1 FROM m WHERE id = 77) THEN PERFORM count(*) FROM m; ELSE RAISE 'lost'; END IF; END $$")
    assert error(c, "DO $$ BEGIN PERFORM 1 / (id - 5) FROM m; END $$") == "22012"
    c.execute("DO $$ BEGIN PERFORM 1 / (id - 5) FROM m; EXCEPTION WHEN division_by_zero THEN PERFORM count(*) FROM m; END $$")


def test_trigger_reads_mirror(own):
    """A trigger on the source reads the mirror within the writing transaction: its own rows must be there."""
    c, t, m = own
    c.execute("""
        SET mooncake.fallback = on;
        CREATE TABLE log_%s (k bigint, s numeric);
        CREATE FUNCTION note_%s() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN INSERT INTO log_%s SELECT count(*), sum(n) FROM %s; RETURN NULL; END $$;
        CREATE TRIGGER note AFTER INSERT OR DELETE ON %s FOR EACH STATEMENT EXECUTE FUNCTION note_%s();
        INSERT INTO %s SELECT i FROM generate_series(200, 209) i;
        DELETE FROM %s WHERE id = 1""" % (t, t, t, m, t, t, t, t))
    assert rows(c, "SELECT k FROM log_%s" % t) == [(110,), (109,)]
    c.execute("DROP TABLE log_%s; DROP FUNCTION note_%s CASCADE" % (t, t))


def test_transition_tables(own):
    c, t, m = own
    c.execute("""
        SET mooncake.fallback = on;
        CREATE FUNCTION seen_%s() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM set_config('test.seen', (SELECT count(*) FROM fresh JOIN m ON m.id = fresh.id)::text, false); RETURN NULL; END $$;
        CREATE TRIGGER seen AFTER INSERT ON %s REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION seen_%s();
        INSERT INTO %s SELECT i FROM generate_series(990, 1010) i""" % (t, t, t, t))
    assert rows(c, "SELECT current_setting('test.seen')") == [("12",)]
    c.execute("DROP FUNCTION seen_%s CASCADE" % t)


def test_views(c):
    c.execute("CREATE TEMP VIEW v AS SELECT tx, count(*) AS k FROM m GROUP BY tx; CREATE TEMP VIEW vv AS SELECT * FROM v JOIN r ON r.id = v.k")
    assert rows(c, "SELECT count(*), sum(k) FROM v") == rows(c, "SELECT count(*), sum(k) FROM (SELECT tx, count(*) AS k FROM t GROUP BY tx) s")
    assert rows(c, "SELECT * FROM vv ORDER BY tx") == rows(c, "SELECT * FROM (SELECT tx, count(*) AS k FROM t GROUP BY tx) v JOIN r ON r.id = v.k ORDER BY tx")
    c.execute("CREATE TEMP RECURSIVE VIEW chain (n) AS SELECT min(id) FROM m UNION ALL SELECT n + 1 FROM chain WHERE n < 10")
    assert rows(c, "SELECT sum(n) FROM chain") == [(55,)]


def test_default_and_generated_expressions(c):
    """A mirror inside of a CHECK's or default's function."""
    c.execute(FUNCTIONS.replace("pg_temp.", "public."))
    c.execute("BEGIN; CREATE TEMP TABLE x (id int DEFAULT public.dynamic(10), CHECK (id <= public.dynamic(5000))); INSERT INTO x DEFAULT VALUES")
    assert rows(c, "SELECT id FROM x") == [(10,)]
    assert error(c, "INSERT INTO x VALUES (5000)") == "23514"
    c.execute("ROLLBACK")
    c.execute("DROP FUNCTION public.inlined, public.atomic, public.strict_one, public.rows_of, public.set_of, public.dynamic, public.whole_row")


def test_parallel_plans_around_mirrors(c):
    """A large row table that is scanned in parallel beside a mirror; mirrors themselves are not for parallel workers."""
    c.execute("SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET debug_parallel_query = on")
    query = "SELECT count(*), sum(m.n), max(r.v) FROM m JOIN r ON r.t_id = m.id WHERE m.tx ~ '[13]$'"
    for execution in ("on", "split", "scan"):
        c.execute("SET mooncake.execution = %s" % execution)
        assert rows(c, query) == rows(c, query.replace("m.", "t.").replace("FROM m", "FROM t"))
    c.execute("CREATE OR REPLACE FUNCTION pg_temp.safe(int) RETURNS bigint LANGUAGE plpgsql PARALLEL SAFE AS "
              "$$ DECLARE k bigint; BEGIN SELECT count(*) INTO k FROM m WHERE id <= $1; RETURN k; END $$")
    c.execute("SET mooncake.execution = on")
    assert rows(c, "SELECT sum(pg_temp.safe(id)) FROM r WHERE id <= 20") == [(210,)]
