# SPDX-License-Identifier: Apache-2.0
"""Who may read a mirror: whoever may read its source, and whoever was given more on the mirror itself (mirror_access.h)."""

import os

import psycopg
import pytest
from conftest import error, plan, rows, wait_live


@pytest.fixture
def world(server):
    """(superuser's connection, connect(role)): a table s with mirror sm, owned by "boss", and roles reader and other."""
    with server.connect(autocommit=True) as c:
        c.execute("""
            CREATE ROLE boss; CREATE ROLE reader LOGIN; CREATE ROLE other LOGIN; CREATE ROLE team; GRANT CREATE ON SCHEMA public TO boss;
            SET ROLE boss;
            CREATE TABLE s (id int PRIMARY KEY, who text, v int, hidden text);
            INSERT INTO s SELECT i, (ARRAY['reader', 'other', 'boss'])[i % 3 + 1], i, 'h' || i FROM generate_series(1, 30) i""")
        c.execute("CALL mooncake.create_table('sm', 's')")
        c.execute("RESET ROLE")
        wait_live(c, "sm")
        connections = []

        def connect(role):
            connections.append(server.connect(user=role, autocommit=True))
            connections[-1].execute("SET statement_timeout = '60s'; SET mooncake.fallback = off")
            return connections[-1]

        yield c, connect
        for connection in connections:
            connection.close()
        c.execute("RESET ROLE; RESET SESSION AUTHORIZATION")
        c.execute("DROP OWNED BY boss, reader, other, team CASCADE; DROP ROLE boss, reader, other, team")


def readable(connection, columns="count(*)", table="sm"):
    try:
        return rows(connection, "SELECT %s FROM %s" % (columns, table))[0][0]
    except psycopg.errors.InsufficientPrivilege:
        return None


def test_grants_on_the_source_count(world):
    c, connect = world
    reader, other = connect("reader"), connect("other")
    assert readable(reader) is None
    c.execute("GRANT SELECT ON s TO reader")
    assert readable(reader) == 30 and readable(other) is None
    c.execute("REVOKE SELECT ON s FROM reader")
    assert readable(reader) is None
    c.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO other")
    assert readable(other) == 30
    c.execute("REVOKE ALL ON s FROM other")
    assert readable(other) is None
    c.execute("GRANT SELECT ON s TO PUBLIC")
    assert readable(reader) == readable(other) == 30
    c.execute("REVOKE SELECT ON s FROM PUBLIC; GRANT team TO other; GRANT SELECT ON s TO team")
    assert readable(other) == 30 and readable(reader) is None


def test_column_grants(world):
    c, connect = world
    reader = connect("reader")
    c.execute("GRANT SELECT (id, v) ON s TO reader")
    assert readable(reader, "sum(v)") == 465 and readable(reader, "count(*)") == 30
    assert readable(reader, "max(hidden)") is None and readable(reader, "sm") is None
    assert readable(reader, "count(*) FILTER (WHERE hidden = 'x')") is None
    assert error(reader, "SELECT id FROM sm WHERE who = 'x'") == error(reader, "SELECT id FROM s WHERE who = 'x'") == "42501"
    assert error(reader, "SELECT * FROM sm") == "42501"
    c.execute("REVOKE SELECT (v) ON s FROM reader")
    assert readable(reader, "sum(v)") is None and readable(reader, "max(id)") == 30


def test_grants_on_the_mirror_alone(world):
    c, connect = world
    reader = connect("reader")
    c.execute("GRANT SELECT ON sm TO reader")
    assert readable(reader) == 30 and readable(reader, table="s") is None
    # Also when the row table answers in its place, and in a join with it.
    reader.execute("SET mooncake.fallback = on; SET mooncake.execution = off")
    assert readable(reader) == 30
    assert error(reader, "SELECT count(*) FROM sm JOIN s USING (id)") == "42501"
    c.execute("GRANT INSERT ON s TO reader")
    assert readable(reader) == 30
    c.execute("REVOKE SELECT ON sm FROM reader")
    assert readable(reader) is None


def test_no_default_privileges(world):
    """Default privileges would let others read what they may not read in the source."""
    c, connect = world
    c.execute("ALTER DEFAULT PRIVILEGES FOR ROLE boss GRANT SELECT ON TABLES TO other; GRANT SELECT ON s TO reader WITH GRANT OPTION; SET ROLE boss")
    c.execute("CALL mooncake.create_table('second', 's', '{\"wait\": false}')")
    c.execute("RESET ROLE")
    connection = connect("other")
    connection.execute("SET mooncake.fallback = on")
    assert readable(connection, table="second") is None and readable(connection) is None
    assert rows(c, "SELECT has_table_privilege('reader', 'second', 'SELECT WITH GRANT OPTION')") == [(True,)]
    c.execute("ALTER DEFAULT PRIVILEGES FOR ROLE boss REVOKE SELECT ON TABLES FROM other")


def test_owner_follows(world):
    c, connect = world
    c.execute("GRANT CREATE ON SCHEMA public TO other; ALTER TABLE s OWNER TO other")
    assert rows(c, "SELECT relowner::regrole::text FROM pg_class WHERE relname IN ('s', 'sm')") == [("other",), ("other",)]
    assert readable(connect("other")) == 30
    c.execute("SET ROLE boss")
    assert readable(c) is None
    c.execute("RESET ROLE; REASSIGN OWNED BY other TO boss")
    assert rows(c, "SELECT relowner::regrole::text FROM pg_class WHERE relname IN ('s', 'sm')") == [("boss",), ("boss",)]


def test_revoke_between_prepare_and_execute(world):
    c, connect = world
    reader = connect("reader")
    c.execute("GRANT SELECT ON s TO reader")
    for mode in ("force_generic_plan", "force_custom_plan"):
        reader.execute("SET plan_cache_mode = %s; PREPARE q_%s(int) AS SELECT count(*) FROM sm WHERE id <= $1" % (mode, mode))
        assert rows(reader, "EXECUTE q_%s(5)" % mode) == [(5,)]
    c.execute("REVOKE SELECT ON s FROM reader")
    for mode in ("force_generic_plan", "force_custom_plan"):
        assert error(reader, "EXECUTE q_%s(5)" % mode) == "42501"
    c.execute("GRANT SELECT ON s TO reader")
    assert rows(reader, "EXECUTE q_force_generic_plan(5)") == [(5,)]


def test_set_role(world):
    c, connect = world
    c.execute("GRANT SELECT ON s TO reader; GRANT reader TO other; GRANT other TO boss")
    other = connect("other")
    assert readable(other) == 30
    c.execute("REVOKE reader FROM other; GRANT reader TO other WITH INHERIT FALSE")
    assert readable(other) is None
    other.execute("PREPARE q AS SELECT count(*) FROM sm")
    other.execute("SET ROLE reader")
    assert readable(other) == 30 and rows(other, "EXECUTE q") == [(30,)]
    other.execute("RESET ROLE")
    assert readable(other) is None and error(other, "EXECUTE q") == "42501"


def test_views_and_functions_with_their_owners_rights(world):
    c, connect = world
    c.execute("""
        SET ROLE boss;
        CREATE VIEW v AS SELECT id, v FROM sm WHERE v > 10;
        CREATE VIEW invoker WITH (security_invoker) AS SELECT id FROM sm;
        CREATE FUNCTION secret() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM sm';
        CREATE FUNCTION secret_plpgsql() RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN RETURN (SELECT count(*) FROM sm); END $$;
        CREATE FUNCTION own_rights() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM sm';
        GRANT SELECT ON v, invoker TO reader; RESET ROLE""")
    reader = connect("reader")
    assert readable(reader, table="v") == 20 and readable(reader, table="invoker") is None
    assert rows(reader, "SELECT secret(), secret_plpgsql()") == [(30, 30)]
    assert error(reader, "SELECT own_rights()") == "42501"
    c.execute("REVOKE SELECT ON s FROM boss")  # an owner can take his own
    c.execute("ALTER VIEW v OWNER TO other")
    assert readable(reader, table="v") is None


def test_row_security_of_the_source(world):
    c, connect = world
    c.execute("GRANT SELECT ON s TO reader, other")
    reader, other = connect("reader"), connect("other")
    reader.execute("PREPARE q AS SELECT count(*) FROM sm")
    assert rows(reader, "EXECUTE q") == [(30,)]
    c.execute("ALTER TABLE s ENABLE ROW LEVEL SECURITY")
    assert rows(reader, "EXECUTE q") == [(0,)] == rows(reader, "SELECT count(*) FROM s")
    c.execute("CREATE POLICY own_rows ON s USING (who = current_user::text)")
    for connection, name in ((reader, "reader"), (other, "other")):
        for table in ("s", "sm"):
            assert rows(connection, "SELECT count(*), min(who), max(who) FROM %s" % table) == [(10, name, name)]
    assert rows(reader, "EXECUTE q") == [(10,)]
    assert "whole query" in plan(reader, "SELECT count(*) FROM sm")
    c.execute("CREATE POLICY low ON s AS RESTRICTIVE FOR SELECT TO reader USING (v < 10)")
    assert rows(reader, "EXECUTE q") == [(3,)] and readable(other) == 10
    c.execute("ALTER POLICY low ON s USING (v < 5)")
    assert rows(reader, "EXECUTE q") == rows(reader, "SELECT count(*) FROM s") == [(1,)]
    c.execute("DROP POLICY low ON s")
    assert rows(reader, "EXECUTE q") == [(10,)]
    # With SET ROLE in one session, plans differ.
    c.execute("GRANT other TO reader")
    reader.execute("SET ROLE other")
    assert rows(reader, "SELECT min(who) FROM sm") == [("other",)] and rows(reader, "EXECUTE q") == [(10,)]
    reader.execute("RESET ROLE; SET row_security = off")
    assert error(reader, "EXECUTE q") == error(reader, "SELECT count(*) FROM s") == "42501"
    # Policies of the mirror alone come in addition.
    reader.execute("RESET row_security")
    c.execute("CREATE POLICY extra ON sm USING (id = 1)")
    assert readable(reader, table="s") == 10 and rows(reader, "SELECT count(*) FROM sm WHERE who = 'reader' OR id = 1") == [(11,)]
    # The owner is bound by FORCE only.
    c.execute("SET ROLE boss")
    assert readable(c) == 30
    c.execute("ALTER TABLE s FORCE ROW LEVEL SECURITY")
    assert rows(c, "SELECT count(*) FROM s") == [(10,)] and rows(c, "SELECT count(*) FROM sm") == [(11,)]
    assert error(c, "ALTER TABLE sm DISABLE ROW LEVEL SECURITY") == "42809"
    c.execute("ALTER TABLE s NO FORCE ROW LEVEL SECURITY; ALTER TABLE s DISABLE ROW LEVEL SECURITY")
    assert rows(reader, "EXECUTE q") == [(30,)]


def test_policy_with_a_subquery(world):
    c, connect = world
    c.execute("SET ROLE boss; CREATE TABLE allowed (who text, id int); INSERT INTO allowed VALUES ('reader', 3), ('reader', 4), ('other', 5)")
    c.execute("GRANT SELECT ON s, allowed TO reader; ALTER TABLE s ENABLE ROW LEVEL SECURITY")
    c.execute("CREATE POLICY listed ON s USING (id IN (SELECT a.id FROM allowed a WHERE a.who = current_user)); RESET ROLE")
    reader = connect("reader")
    for execution in ("on", "split", "scan"):
        reader.execute("SET mooncake.execution = %s" % execution)
        assert rows(reader, "SELECT id FROM sm ORDER BY id") == rows(reader, "SELECT id FROM s ORDER BY id") == [(3,), (4,)]
        assert rows(reader, "SELECT count(*) FROM sm a JOIN sm b ON a.id < b.id") == [(1,)]


@pytest.mark.parametrize("execution", ["on", "split", "scan"])
def test_conditions_do_not_see_hidden_rows(world, execution):
    """Neither by an error nor by a function's side channel."""
    c, connect = world
    c.execute("GRANT SELECT ON s TO reader; ALTER TABLE s ENABLE ROW LEVEL SECURITY; CREATE POLICY low ON s USING (v < 10)")
    c.execute("CREATE VIEW barrier WITH (security_barrier) AS SELECT * FROM sm WHERE v < 10; GRANT SELECT ON barrier TO reader")
    c.execute("GRANT SELECT ON sm TO CURRENT_USER")
    reader = connect("reader")
    reader.execute("SET mooncake.execution = %s" % execution)
    for table in ("sm", "barrier"):
        for condition in ("1 / (v - 20) < 5", "(hidden || 'x')::text <> '' AND 10 / (v - 20) < 5", "v > 0 AND 1 / (v - 20) < 5"):
            assert rows(reader, "SELECT count(*) FROM %s WHERE %s" % (table, condition)) == [(9,)], (table, condition)
        assert rows(reader, "SELECT count(*) FROM %s a JOIN %s b ON 1 / (a.v - 20) = b.v - 5" % (table, table)) == [(9,)]
        assert rows(reader, "SELECT sum(v) FROM %s HAVING 1 / (min(v) - 20) < 5" % table) == [(45,)]
        assert rows(reader, "SELECT count(*) FROM (SELECT v FROM %s GROUP BY v HAVING 1 / (v - 20) < 5) x" % table) == [(9,)]
    reader.execute("""CREATE FUNCTION pg_temp.peek(int) RETURNS bool LANGUAGE plpgsql COST 0.0001 AS
        $$ BEGIN PERFORM set_config('test.seen', greatest($1, current_setting('test.seen')::int)::text, false); RETURN true; END $$""")
    reader.execute("SET test.seen = 0")
    for table in ("sm", "barrier"):
        assert rows(reader, "SELECT count(*) FROM %s WHERE pg_temp.peek(v)" % table) == [(9,)]
    assert rows(reader, "SELECT current_setting('test.seen')") == [("9",)]
    # What row security does not forbid is still for the engine.
    reader.execute("SET mooncake.execution = on")
    assert "whole query" in plan(reader, "SELECT sum(v), max(1 / v) FROM sm WHERE v > 3 AND who = 'reader'")


def test_procedures_are_for_owners(world):
    c, connect = world
    c.execute("GRANT SELECT ON s TO reader")
    reader = connect("reader")
    assert error(reader, "CALL mooncake.create_table('mine', 's')") == "42501"
    assert error(reader, "CALL mooncake.create_snapshot('sm')") == "42501"
    assert error(reader, "DROP TABLE sm") == "42501"
    assert error(reader, "BEGIN; LOCK TABLE sm IN ACCESS EXCLUSIVE MODE") == "42501"


def test_errors_of_mirrors_are_for_their_readers(world):
    """They may quote values."""
    c, connect = world
    reader, other = connect("reader"), connect("other")
    c.execute("GRANT SELECT ON s TO reader; INSERT INTO s VALUES (100)")
    folder = rows(c, "SELECT location FROM mooncake.columnstore_tables WHERE table_name = 'sm'")[0][0] + "/data"
    os.chmod(folder, 0)
    try:
        assert error(c, "CALL mooncake.create_snapshot('sm')") == "42501"
        for role, seen in ((reader, True), (other, False)):
            assert rows(role, "SELECT error LIKE '%ermission%' FROM mooncake.mirror_status WHERE table_name = 'sm'") == [(seen or None,)]
            status = rows(role, "SELECT mooncake.engine_status()")[0][0]
            mirror, = [m for m in status["mirrors"] if m["name"] == "public.sm"]
            assert ("ermission" in str(status)) == seen and ("flush_error" in mirror) == seen and mirror["state"] == "live"
    finally:
        os.chmod(folder, 0o700)
