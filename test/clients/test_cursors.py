# SPDX-License-Identifier: Apache-2.0
"""Cursors of SQL and PL/pgSQL: scrollable, holdable, binary, read in parts, forwards and backwards."""

import pytest
from conftest import error, rows


def both(c, declare, *fetches):
    """The same cursor on the row table and on the mirror, read in the same steps."""
    answers = []
    for table in ("t", "m"):
        c.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        c.execute(declare.replace("{t}", table))
        answers.append([rows(c, fetch) if not fetch.startswith("MOVE") else c.execute(fetch).statusmessage for fetch in fetches])
        c.execute("ROLLBACK")
    assert answers[0] == answers[1]
    return answers[1]


def test_scroll(c):
    both(c, "DECLARE k SCROLL CURSOR FOR SELECT id, tx FROM {t} ORDER BY id",
         "FETCH 5 FROM k", "FETCH BACKWARD 3 FROM k", "FETCH PRIOR FROM k", "FETCH PRIOR FROM k", "FETCH FIRST FROM k", "FETCH LAST FROM k",
         "FETCH ABSOLUTE 500 FROM k", "FETCH RELATIVE -100 FROM k", "FETCH RELATIVE 0 FROM k", "FETCH ABSOLUTE -3 FROM k", "MOVE FORWARD ALL FROM k",
         "FETCH NEXT FROM k", "FETCH BACKWARD ALL FROM k", "FETCH FORWARD 2 FROM k")


@pytest.mark.parametrize("query", [
    "SELECT tx, count(*), avg(n) FROM {t} GROUP BY tx ORDER BY tx COLLATE \"C\"",
    "SELECT a.id, r.v FROM {t} a JOIN r ON r.t_id = a.id ORDER BY a.id",
    "SELECT id, random() < 2 FROM {t} WHERE id < 20 ORDER BY id",
])
def test_scroll_at_each_level(c, query):
    both(c, "DECLARE k SCROLL CURSOR FOR " + query, "FETCH 4 FROM k", "FETCH BACKWARD 2 FROM k", "FETCH ABSOLUTE 3 FROM k", "FETCH LAST FROM k", "FETCH FIRST FROM k")


def test_no_scroll(c):
    c.execute("BEGIN; DECLARE k NO SCROLL CURSOR FOR SELECT id FROM m ORDER BY id")
    assert rows(c, "FETCH 2 FROM k") == [(1,), (2,)]
    assert error(c, "FETCH BACKWARD 1 FROM k") == "55000"
    c.execute("ROLLBACK")


def test_holdable(c):
    c.execute("BEGIN; DECLARE k SCROLL CURSOR WITH HOLD FOR SELECT id FROM m ORDER BY id")
    assert rows(c, "FETCH 3 FROM k") == [(1,), (2,), (3,)]
    c.execute("COMMIT")
    assert rows(c, "FETCH 2 FROM k") == [(4,), (5,)]
    assert rows(c, "FETCH BACKWARD 2 FROM k") == [(4,), (3,)]
    c.execute("CLOSE k")


def test_binary_cursor(c):
    c.execute("BEGIN")
    for table in ("t", "m"):
        c.execute("DECLARE k_%s BINARY CURSOR FOR SELECT id, n, ts, ia, u FROM %s ORDER BY id" % (table, table))
    values = []
    for table in (b"t", b"m"):
        result = c.pgconn.exec_(b"FETCH 20 FROM k_" + table)
        assert all(result.fformat(i) == 1 for i in range(5))
        values.append([[result.get_value(j, i) for i in range(5)] for j in range(20)])
    assert values[0] == values[1]
    c.execute("ROLLBACK")


def test_cursor_keeps_its_snapshot(own):
    c, t, m = own
    c.execute("SET mooncake.fallback = on; BEGIN")
    c.execute("DECLARE k CURSOR FOR SELECT count(*) FROM %s" % m)
    c.execute("INSERT INTO %s VALUES (1000), (1001)" % t)
    c.execute("DECLARE after CURSOR FOR SELECT count(*) FROM %s" % m)
    assert rows(c, "FETCH k") == [(100,)]
    assert rows(c, "FETCH after") == [(102,)]
    c.execute("ROLLBACK")


def test_cursor_and_commits_of_others(server, own):
    c, t, m = own
    c.execute("BEGIN; DECLARE k CURSOR FOR SELECT id FROM %s ORDER BY id" % m)
    assert rows(c, "FETCH 1 FROM k") == [(1,)]
    with server.connect(autocommit=True) as other:
        other.execute("DELETE FROM %s" % t)
    assert len(rows(c, "FETCH ALL FROM k")) == 99
    assert rows(c, "SELECT count(*) FROM %s" % m) == [(0,)]
    c.execute("COMMIT")


def test_many_open_cursors(c):
    c.execute("BEGIN")
    for i in range(20):
        c.execute("DECLARE k%d CURSOR FOR SELECT id FROM m WHERE id > %d ORDER BY id" % (i, i))
    for _ in range(3):
        for i in range(20):
            assert len(rows(c, "FETCH 7 FROM k%d" % i)) == 7
    c.execute("SAVEPOINT s; DECLARE inner_one CURSOR FOR SELECT id FROM m ORDER BY id; FETCH 1 FROM inner_one; ROLLBACK TO s")
    assert error(c, "FETCH inner_one") == "34000"
    c.execute("ROLLBACK TO s")
    assert rows(c, "FETCH 1 FROM k0") == [(22,)]
    c.execute("COMMIT")


def test_where_current_of_a_mirror_is_refused(own):
    c, t, m = own
    c.execute("BEGIN; DECLARE k CURSOR FOR SELECT id FROM %s; FETCH 1 FROM k" % m)
    assert error(c, "DELETE FROM %s WHERE CURRENT OF k" % t) in ("24000", "42P01")
    c.execute("ROLLBACK")


def test_psycopg_server_side_cursor(server):
    with server.connect() as c:
        with c.cursor(name="fetched", scrollable=True) as cursor:
            cursor.itersize = 100
            cursor.execute("SELECT id FROM m WHERE id < %s ORDER BY id", [500])
            assert [row[0] for row in cursor] == list(range(1, 500))
            cursor.scroll(0, mode="absolute")
            assert cursor.fetchone() == (1,)


def test_plpgsql(c):
    c.execute("""
        CREATE OR REPLACE FUNCTION pg_temp.loops() RETURNS text LANGUAGE plpgsql AS $$
        DECLARE
            k CURSOR (low int) FOR SELECT id, n FROM m WHERE id > low ORDER BY id;
            s SCROLL CURSOR FOR SELECT id FROM m ORDER BY id;
            ref refcursor;
            x record;
            total numeric := 0;
            seen int := 0;
        BEGIN
            FOR x IN k(990) LOOP total := total + coalesce(x.n, 0); END LOOP;
            FOR x IN SELECT id FROM m WHERE id <= 7 ORDER BY id DESC LOOP
                seen := seen * 10 + x.id;
                EXIT WHEN x.id = 3;
            END LOOP;
            OPEN s; FETCH LAST FROM s INTO x; MOVE RELATIVE -5 FROM s; FETCH PRIOR FROM s INTO x; CLOSE s;
            OPEN ref FOR EXECUTE 'SELECT count(*) AS id FROM m WHERE id < $1' USING 11;
            FETCH ref INTO x;
            RETURN concat_ws(' ', total, seen, x.id, (SELECT count(*) FROM m WHERE n > total / 100));
        END $$""")
    for _ in range(8):  # custom plans, then generic ones
        assert rows(c, "SELECT pg_temp.loops()") == [("2488.75 76543 10 901",)]


def test_returned_refcursor(c):
    c.execute("CREATE OR REPLACE FUNCTION pg_temp.give(c refcursor) RETURNS refcursor LANGUAGE plpgsql AS "
              "$$ BEGIN OPEN c FOR SELECT id, tx FROM m ORDER BY id; RETURN c; END $$")
    c.execute("BEGIN; SELECT pg_temp.give('given')")
    assert rows(c, "FETCH 2 FROM given") == [(1, "text 1"), (2, "text 2")]
    c.execute("COMMIT")


def test_loop_with_commits(own):
    """A procedure that commits while it reads a mirror: the cursor becomes a holdable one."""
    c, t, m = own
    c.execute("""
        CREATE PROCEDURE pg_temp.move() LANGUAGE plpgsql AS $$
        DECLARE x record; k int := 0;
        BEGIN
            FOR x IN SELECT id FROM %s ORDER BY id LOOP
                UPDATE %s SET v = 'done' WHERE id = x.id;
                k := k + 1;
                IF k %% 10 = 0 THEN COMMIT; END IF;
            END LOOP;
        END $$""" % (m, t))
    c.execute("SET mooncake.fallback = on")
    c.execute("CALL pg_temp.move()")
    c.execute("SET mooncake.fallback = off")
    assert rows(c, "SELECT v, count(*) FROM %s GROUP BY v" % m) == [("done", 100)]
