-- SPDX-License-Identifier: Apache-2.0
-- Filled tables that come below a source and leave it: their rows are told to the mirrors, no new copy, whatever the rows are and
-- however the transaction goes; and where a new copy is ordered all the same.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_mooncake CASCADE;
CREATE SCHEMA mr;
SET search_path = mr, public;
\set SHOW_CONTEXT never
\getenv abs_srcdir PG_ABS_SRCDIR
\set file :abs_srcdir '/include/compare.sql'
\set ECHO none
\i :file
\set ECHO all

CREATE TABLE p (id int, d int, v text, n numeric(10,2), x text, g int GENERATED ALWAYS AS (id + d) STORED, PRIMARY KEY (id, d)) PARTITION BY RANGE (d);
ALTER TABLE p ALTER x SET STORAGE EXTERNAL;
CREATE TABLE p0 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (10) TO (20);
INSERT INTO p SELECT i, i % 20, 'v' || i, i / 7.0, CASE i % 200 WHEN 0 THEN repeat('x', 9000 + i) END FROM generate_series(1, 5000) i;
CALL mooncake.create_table('m', 'p');
CALL mooncake.create_table('m_log', 'p', identity => 'append_only');
CALL mooncake.create_table('m_some', 'p', columns => '{id,d,v}');
CREATE FUNCTION state(OUT m text, OUT m_some text, OUT m_log text) LANGUAGE sql AS $$
    SELECT (SELECT format('%s %s %s', same, by_engine, generation) FROM compare('m')),
           (SELECT format('%s %s', (SELECT sum(hashtext((id, d, v)::text)) FROM m_some) IS NOT DISTINCT FROM (SELECT sum(hashtext((id, d, v)::text)) FROM p), generation)
              FROM mooncake.mirrors WHERE mirror = 'm_some'::regclass),
           (SELECT format('%s', same) FROM compare('m_log')) $$;

-- A table of another shape: columns in another order, one dropped, one added with a default that no row has stored
CREATE TABLE late (x text, gone int, d int NOT NULL, id int NOT NULL, g int GENERATED ALWAYS AS (id + d) STORED, n numeric(10,2));
INSERT INTO late (x, gone, d, id, n) SELECT CASE i % 30 WHEN 0 THEN repeat('late', 3000) WHEN 1 THEN repeat('packed', 3000) END, 1, 20 + i % 5, i, i FROM generate_series(1, 500) i;
ALTER TABLE late ALTER x SET STORAGE EXTERNAL;
ALTER TABLE late DROP COLUMN gone;
ALTER TABLE late ADD COLUMN v text DEFAULT 'missing';
UPDATE late SET v = NULL WHERE id % 7 = 0;
ALTER TABLE p ATTACH PARTITION late FOR VALUES FROM (20) TO (30);
SELECT * FROM state();
ALTER TABLE p DETACH PARTITION late;
CALL wait_live('m_log');
CALL wait_live('m');
CALL wait_live('m_some');
SELECT * FROM state();
DROP TABLE m_log;
CREATE TABLE log (a int);
CALL mooncake.create_table('m_log', 'log', identity => 'append_only');

ALTER TABLE p ATTACH PARTITION late FOR VALUES FROM (20) TO (30);
UPDATE p SET v = v || '!', d = d + 1 WHERE id % 50 = 0 AND d BETWEEN 10 AND 28;
DELETE FROM late WHERE id % 11 = 0;
SELECT * FROM state();
ALTER TABLE p DETACH PARTITION late;
SELECT * FROM state();

-- In one transaction, with savepoints, with changes before and after
BEGIN;
UPDATE late SET v = 'before' WHERE id % 3 = 0;
ALTER TABLE p ATTACH PARTITION late FOR VALUES FROM (20) TO (30);
UPDATE p SET v = 'while' WHERE d = 21;
SAVEPOINT s;
ALTER TABLE p DETACH PARTITION late;
DELETE FROM late;
ROLLBACK TO s;
INSERT INTO p SELECT i, 25, 'new' FROM generate_series(9001, 9010) i;
ALTER TABLE p DETACH PARTITION late;
UPDATE late SET v = 'apart' WHERE d = 25;
ALTER TABLE p ATTACH PARTITION late FOR VALUES FROM (20) TO (30);
COMMIT;
SELECT * FROM state();
BEGIN;
TRUNCATE p1;
INSERT INTO p SELECT i, 15, 'refilled' FROM generate_series(1, 100) i;
ROLLBACK;
SELECT * FROM state();
BEGIN;
TRUNCATE p1;
INSERT INTO p SELECT i, 15, 'refilled' FROM generate_series(1, 100) i;
TRUNCATE p1;
INSERT INTO p SELECT i, 16, 'refilled again' FROM generate_series(1, 3000) i;
SAVEPOINT s;
DROP TABLE p1;
ROLLBACK TO s;
COMMIT;
SELECT * FROM state();
BEGIN;
DROP TABLE late;
CREATE TABLE late PARTITION OF p FOR VALUES FROM (20) TO (30);
INSERT INTO p SELECT i, 22, 'another table' FROM generate_series(1, 10) i;
COMMIT;
SELECT * FROM state();
TRUNCATE late, p1;
SELECT * FROM state();
TRUNCATE p0, p1, late;
SELECT * FROM state();
TRUNCATE p0;
SELECT * FROM state();

-- Large enough to be streamed while it runs
ALTER SYSTEM SET logical_decoding_work_mem = '64kB';
SELECT pg_reload_conf();
INSERT INTO p SELECT i, i % 20, 'v' || i, i / 7.0 FROM generate_series(1, 4000) i;
SELECT streamed() AS before \gset
CREATE TABLE big (LIKE p INCLUDING GENERATED);
INSERT INTO big (id, d, v) SELECT i, 30, repeat('big', 20) FROM generate_series(1, 2500) i;
BEGIN;
SAVEPOINT a;
ALTER TABLE p ATTACH PARTITION big FOR VALUES FROM (30) TO (40);
ROLLBACK TO a;
SAVEPOINT b;
ALTER TABLE p ATTACH PARTITION big FOR VALUES FROM (30) TO (40);
DELETE FROM p WHERE d = 30 AND id % 2 = 0;
RELEASE b;
SAVEPOINT c;
TRUNCATE big;
ROLLBACK TO c;
COMMIT;
CALL wait_streamed(:before);
SELECT * FROM state();
ALTER SYSTEM RESET logical_decoding_work_mem;
SELECT pg_reload_conf();

-- Values that can't be stored come with a table
CREATE TABLE odd (LIKE p INCLUDING GENERATED);
INSERT INTO odd (id, d, n) VALUES (1, 41, 'NaN'), (2, 41, 5);
ALTER TABLE p ATTACH PARTITION odd FOR VALUES FROM (40) TO (50);
SELECT count(*), count(n) FROM m WHERE d = 41;
SELECT (SELECT array_agg(m::text ORDER BY id, d) FROM m) = (SELECT array_agg(p::text ORDER BY id, d) FROM p) AS same;
DO $$ BEGIN FOR i IN 1..500 LOOP EXIT WHEN EXISTS (SELECT FROM mooncake.inexact_columns); PERFORM pg_sleep(0.02); END LOOP; END $$;
SELECT table_name, column_name, mooncake.count_inexact(table_name, column_name) FROM mooncake.inexact_columns ORDER BY 1;
DROP TABLE odd;
CALL mooncake.rebuild_table('m');

-- Of several tables; by those who may not
CREATE ROLE mr_user;
GRANT USAGE ON SCHEMA mr TO mr_user;
SET ROLE mr_user;
TRUNCATE p1;
DROP TABLE p1;
ALTER TABLE p DETACH PARTITION p1;
RESET ROLE;
DROP TABLE p1, big;
SELECT * FROM state();
DROP TABLE p0, nothing;
DROP TABLE IF EXISTS late, nothing;
SELECT * FROM state();

-- A table with partitions of its own, at several levels, of other shapes
CREATE TABLE sub (LIKE p INCLUDING GENERATED) PARTITION BY LIST (d);
CREATE TABLE sub_1 (x text, g int GENERATED ALWAYS AS (id + d) STORED, d int NOT NULL, v text, gone int, id int NOT NULL, n numeric(10,2)) PARTITION BY HASH (id);
ALTER TABLE sub_1 DROP COLUMN gone;
CREATE TABLE sub_1a PARTITION OF sub_1 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE sub_1b PARTITION OF sub_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
ALTER TABLE sub ATTACH PARTITION sub_1 FOR VALUES IN (51);
CREATE TABLE sub_2 PARTITION OF sub DEFAULT;
INSERT INTO sub (id, d, v) SELECT i, 50 + i % 3, 'sub ' || i FROM generate_series(1, 60) i;
ALTER TABLE p ATTACH PARTITION sub FOR VALUES FROM (50) TO (60);
SELECT * FROM state();
UPDATE p SET v = v || '!' WHERE d >= 50 AND id % 4 = 0;
DELETE FROM sub_1 WHERE id % 5 = 0;
TRUNCATE sub_1;
SELECT * FROM state();
INSERT INTO p (id, d) SELECT i, 51 FROM generate_series(1, 30) i;
BEGIN;
ALTER TABLE p DETACH PARTITION sub;
INSERT INTO sub (id, d) VALUES (1000, 51);
SAVEPOINT s;
ALTER TABLE p ATTACH PARTITION sub FOR VALUES FROM (50) TO (60);
ROLLBACK TO s;
DELETE FROM sub WHERE id < 5;
COMMIT;
SELECT * FROM state();
ALTER TABLE p ATTACH PARTITION sub FOR VALUES FROM (50) TO (60);
ALTER TABLE sub DETACH PARTITION sub_1;
SELECT * FROM state();
ALTER TABLE sub ATTACH PARTITION sub_1 FOR VALUES IN (51);
DROP TABLE sub_1;
SELECT * FROM state();
TRUNCATE sub;
INSERT INTO p (id, d) VALUES (1, 50);
SELECT * FROM state();

-- One larger than the others together: row by row when it comes, copied anew when it leaves, unless that is not wanted
CREATE TABLE large (LIKE p INCLUDING GENERATED);
INSERT INTO large (id, d, v) SELECT i, 60, repeat('large', 100) FROM generate_series(1, 4000) i;
ALTER TABLE p ATTACH PARTITION large FOR VALUES FROM (60) TO (70);
SELECT * FROM state();
ALTER TABLE p DETACH PARTITION large;
CALL wait_live('m');
CALL wait_live('m_some');
SELECT * FROM state();
ALTER TABLE p ATTACH PARTITION large FOR VALUES FROM (60) TO (70);
SET mooncake.partition_rows_limit = -1;
ALTER TABLE p DETACH PARTITION large;
SELECT * FROM state();
RESET mooncake.partition_rows_limit;

-- Beyond the limit, up to it, and CONCURRENTLY
CREATE TABLE little (LIKE p INCLUDING GENERATED);
INSERT INTO little (id, d, v) SELECT i, 70, 'little' FROM generate_series(1, 10) i;
SET mooncake.partition_rows_limit = '64kB';
ALTER TABLE p ATTACH PARTITION little FOR VALUES FROM (70) TO (80);
SELECT * FROM state();
BEGIN;
ALTER TABLE p ATTACH PARTITION large FOR VALUES FROM (60) TO (70);
INSERT INTO p (id, d) VALUES (9001, 61);
ROLLBACK;
SELECT * FROM state();
BEGIN;
INSERT INTO p (id, d) VALUES (9002, 70);
SAVEPOINT s;
ALTER TABLE p ATTACH PARTITION large FOR VALUES FROM (60) TO (70);
ROLLBACK TO s;
ALTER TABLE p DETACH PARTITION little;
COMMIT;
SELECT * FROM state();
BEGIN;
ALTER TABLE p ATTACH PARTITION little FOR VALUES FROM (70) TO (80);
ALTER TABLE p ATTACH PARTITION large FOR VALUES FROM (60) TO (70);
DELETE FROM p WHERE d = 70 AND id < 4;
TRUNCATE little;
INSERT INTO p (id, d) VALUES (9003, 70), (9004, 60);
COMMIT;
SELECT same FROM compare('m');
CALL wait_live('m');
CALL wait_live('m_some');
SELECT * FROM state();
BEGIN;
ALTER TABLE p DETACH PARTITION large;
ALTER TABLE p ATTACH PARTITION large FOR VALUES FROM (60) TO (70);
TRUNCATE large;
INSERT INTO large (id, d, v) SELECT i, 60, repeat('large', 100) FROM generate_series(1, 4000) i;
COMMIT;
CALL wait_live('m');
CALL wait_live('m_some');
SELECT * FROM state();
SET mooncake.partition_rows_limit = 0;
TRUNCATE little;
CALL wait_live('m');
CALL wait_live('m_some');
SELECT * FROM state();
DROP TABLE little;
RESET mooncake.partition_rows_limit;
ALTER TABLE p DETACH PARTITION sub CONCURRENTLY;
CALL wait_live('m');
SELECT same FROM compare('m');

-- While a mirror does not serve, rows of tables of another shape are still the mirror's rows.
BEGIN;
CALL mooncake.rebuild_table('m', false);
CALL mooncake.cancel_copy('m');
COMMIT;
SELECT state, by_engine, same FROM compare('m');
SELECT left(t::text, 15), pg_typeof(t) FROM m t ORDER BY t LIMIT 1;
SELECT count(*) FROM m a JOIN m b ON a = b;
SELECT x.id, left(t::text, 15), t IS NULL FROM (VALUES (1), (-1)) x(id) LEFT JOIN m t ON t.id = x.id AND t.d = 60 ORDER BY 1;
CALL mooncake.cancel_copy('m');
CALL mooncake.rebuild_table('m');
SELECT state, by_engine, same FROM compare('m');

-- Inheritance: whole rows are the key, and rows repeat
CREATE TABLE parent (a int, b text);
CREATE TABLE child (b text, own int, a int);
ALTER TABLE parent REPLICA IDENTITY FULL;
ALTER TABLE child REPLICA IDENTITY FULL;
INSERT INTO parent VALUES (1, 'same'), (1, 'same'), (NULL, NULL);
INSERT INTO child (a, b) SELECT 1, 'same' FROM generate_series(1, 5) UNION ALL SELECT NULL, NULL UNION ALL SELECT 2, repeat('w', 5000);
CALL mooncake.create_table('m_full', 'parent', identity => 'full');
ALTER TABLE child INHERIT parent;
SELECT * FROM compare('m_full');
DELETE FROM child WHERE ctid = (SELECT min(ctid) FROM child WHERE a = 1);
ALTER TABLE child NO INHERIT parent;
SELECT * FROM compare('m_full');
BEGIN;
ALTER TABLE child INHERIT parent;
DELETE FROM parent WHERE b = 'same';
COMMIT;
SELECT * FROM compare('m_full');
TRUNCATE child;
SELECT * FROM compare('m_full');
INSERT INTO child VALUES ('last', 1, 9);
DROP TABLE child;
SELECT * FROM compare('m_full');

-- A table that inherits from several, and is below the source by each of them
CREATE TABLE top (a int, b text);
CREATE TABLE left_one () INHERITS (top);
CREATE TABLE right_one () INHERITS (top);
CREATE TABLE bottom () INHERITS (left_one, right_one);
ALTER TABLE top REPLICA IDENTITY FULL;
ALTER TABLE left_one REPLICA IDENTITY FULL;
ALTER TABLE right_one REPLICA IDENTITY FULL;
ALTER TABLE bottom REPLICA IDENTITY FULL;
INSERT INTO top SELECT i, 'top' FROM generate_series(1, 20) i;
INSERT INTO bottom SELECT i, 'bottom' FROM generate_series(1, 10) i;
CALL mooncake.create_table('m_top', 'top', identity => 'full');
CALL mooncake.create_table('m_left', 'left_one', identity => 'full');
ALTER TABLE bottom NO INHERIT left_one;
SELECT * FROM compare('m_top');
CALL wait_live('m_left');
SELECT same, by_engine FROM compare('m_left');
UPDATE bottom SET b = 'changed' WHERE a = 1;
ALTER TABLE bottom INHERIT left_one;
SELECT * FROM compare('m_top');
CALL wait_live('m_left');
SELECT same, by_engine FROM compare('m_left');
ALTER TABLE bottom NO INHERIT right_one;
SELECT * FROM compare('m_top');
TRUNCATE ONLY left_one;
CALL wait_live('m_top');
SELECT same, by_engine FROM compare('m_top');
ALTER TABLE bottom NO INHERIT left_one;
CALL wait_live('m_top');
SELECT same, by_engine FROM compare('m_top');

DROP SCHEMA mr CASCADE;
DROP ROLE mr_user;
