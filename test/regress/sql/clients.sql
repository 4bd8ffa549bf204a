-- SPDX-License-Identifier: Apache-2.0
-- Every way in which clients run queries: prepared statements, cursors, PL/pgSQL, views, CTAS, COPY, INSERT ... SELECT.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_mooncake CASCADE;
CREATE TABLE p (id int PRIMARY KEY, grp text, n numeric(10,2), d date, ts timestamp, f float8, tags text[]);
INSERT INTO p SELECT i, 'g' || i % 3, i / 4.0, date '2024-01-01' + i, timestamp '2024-01-01' + i * interval '1 hour', i / 8.0, ARRAY['t' || i, 'u'] FROM generate_series(1, 20) i;
CALL mooncake.create_table('pm', 'p');
RESET client_min_messages;

-- Parameters of several types, custom and generic plans.
PREPARE q(int, numeric, text, date, timestamp, float8) AS
  SELECT count(*), sum(n) FROM pm WHERE id > $1 AND n < $2 AND grp = $3 AND d > $4 AND ts > $5 AND f > $6;
EXECUTE q(1, 4.5, 'g1', '2024-01-01', '2024-01-01', 0.1);
EXECUTE q(NULL, 4.5, 'g1', '2024-01-01', '2024-01-01', 0.1);
SET plan_cache_mode = force_generic_plan;
EXECUTE q(1, 4.5, 'g1', '2024-01-01', '2024-01-01', 0.1);
EXECUTE q(5, 4.5, 'g2', '2024-01-01', '2024-01-01', 0.1);
PREPARE anyid(int[]) AS SELECT id FROM pm WHERE id = ANY ($1) ORDER BY id;
EXECUTE anyid('{3,1,99,NULL}');
-- DDL on the source invalidates the plan.
ALTER TABLE p ADD COLUMN extra int;
EXECUTE q(1, 4.5, 'g1', '2024-01-01', '2024-01-01', 0.1);
UPDATE p SET extra = id WHERE id < 3;
SELECT id, extra FROM pm WHERE extra IS NOT NULL ORDER BY id;
RESET plan_cache_mode;

-- Cursors, scrollable and holdable.
BEGIN;
DECLARE c CURSOR FOR SELECT id, grp FROM pm ORDER BY id;
FETCH 2 FROM c;
FETCH 2 FROM c;
DECLARE s SCROLL CURSOR FOR SELECT id FROM pm ORDER BY id;
FETCH LAST FROM s;
FETCH PRIOR FROM s;
FETCH ABSOLUTE 3 FROM s;
DECLARE h CURSOR WITH HOLD FOR SELECT id, n FROM pm WHERE id <= 2 ORDER BY id;
COMMIT;
FETCH ALL FROM h;
CLOSE h;

-- A cursor keeps its snapshot: writes after it was opened stay invisible to it, but not to the transaction.
BEGIN;
DECLARE before CURSOR FOR SELECT count(*) FROM pm;
INSERT INTO p (id, grp) VALUES (1000, 'mine');
FETCH before;
SELECT count(*) FROM pm;
ROLLBACK;

-- PL/pgSQL.
CREATE FUNCTION total(g text) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE r record; result numeric := 0;
BEGIN
  FOR r IN SELECT id, n FROM pm WHERE grp = g ORDER BY id LOOP result := result + r.n; END LOOP;
  RETURN result;
END $$;
SELECT total('g0'), total('g1'), total('none');
CREATE FUNCTION cnt() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM pm';
SELECT cnt();
DO $$ DECLARE k bigint; BEGIN
  FOR i IN 1..7 LOOP SELECT count(*) INTO k FROM pm WHERE id <= i; ASSERT k = i; END LOOP;
END $$;
DO $$ BEGIN
  INSERT INTO p (id) VALUES (50);
  BEGIN INSERT INTO p (id) VALUES (51); RAISE EXCEPTION 'undo'; EXCEPTION WHEN OTHERS THEN NULL; END;
  ASSERT (SELECT count(*) FROM pm WHERE id >= 50) = 1, 'own writes';
END $$;
SELECT id FROM pm WHERE id >= 50;
DELETE FROM p WHERE id = 50;

-- Views, CTEs, materialised views.
CREATE VIEW v AS SELECT grp, count(*) AS k, sum(n) AS total FROM pm GROUP BY grp;
SELECT * FROM v ORDER BY grp;
SELECT v.grp, v.k, p.id FROM v JOIN p ON p.id = v.k ORDER BY 1;
WITH x AS (SELECT grp, avg(n) AS a FROM pm GROUP BY grp) SELECT grp, a FROM x WHERE a > 2 ORDER BY grp;
CREATE MATERIALIZED VIEW mv AS SELECT d, n FROM pm WHERE id < 4;
SELECT * FROM mv ORDER BY d;
REFRESH MATERIALIZED VIEW mv;

-- Results go into tables and files with the types that Postgres gives them.
CREATE TABLE copied AS SELECT * FROM pm WHERE id <= 2;
\d copied
CREATE TABLE into_me (LIKE p);
INSERT INTO into_me SELECT * FROM pm;
SELECT count(*), sum(n) FROM into_me;
COPY (SELECT id, grp, tags FROM pm WHERE id < 4 ORDER BY id) TO STDOUT;

-- Types of results.
SELECT pg_typeof(sum(id)), pg_typeof(sum(n)), pg_typeof(avg(id)), pg_typeof(count(*)), pg_typeof(max(d)), pg_typeof(min(ts)), pg_typeof(sum(f)) FROM pm;
SELECT pm FROM pm WHERE id = 1;
SELECT tags[1], cardinality(tags) FROM pm WHERE id = 3;
DROP TABLE p CASCADE;
DROP TABLE copied, into_me;
