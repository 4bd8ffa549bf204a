-- SPDX-License-Identifier: Apache-2.0
-- Many columns, wide values, many mirrors.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_mooncake CASCADE;
CREATE SCHEMA lm;
SET search_path = lm, public;
\set SHOW_CONTEXT never
\getenv abs_srcdir PG_ABS_SRCDIR
\set file :abs_srcdir '/include/compare.sql'
\set ECHO none
\i :file
\set ECHO all

-- As many columns as a table can have, some dropped
SELECT format('CREATE TABLE many (id int PRIMARY KEY, %s)', string_agg('c' || i || CASE i % 4 WHEN 0 THEN ' text' WHEN 1 THEN ' int' WHEN 2 THEN ' numeric(10,2)' ELSE ' date' END, ', ' ORDER BY i))
  FROM generate_series(1, 1599) i \gexec
ALTER TABLE many DROP COLUMN c100, DROP COLUMN c800;
INSERT INTO many (id, c1, c4, c1599) VALUES (1, 11, 'four', '2024-01-01'), (2, 12, NULL, NULL);
CALL mooncake.create_table('mir_many', 'many');
INSERT INTO many (id, c2, c1598) VALUES (3, 1.5, 2.5);
UPDATE many SET c4 = 'new', c1597 = 7 WHERE id = 1;
DELETE FROM many WHERE id = 2;
CALL mooncake.create_snapshot('mir_many');
SELECT * FROM compare('mir_many');
SELECT id, c1, c2, c4, c1597, c1598, c1599 FROM mir_many ORDER BY id;
ALTER TABLE many ADD COLUMN one_more int;
DROP TABLE many CASCADE;

-- Wide values: unchanged ones come from the row's previous version, in memory and in files, more than once
CREATE TABLE wide (id int PRIMARY KEY, plain text, out_of_line text, packed text, bin bytea, list int[], n int);
ALTER TABLE wide ALTER out_of_line SET STORAGE EXTERNAL, ALTER bin SET STORAGE EXTERNAL;
INSERT INTO wide SELECT i, 'p', repeat('o', 10000 + i), repeat('c', 200000), convert_to(repeat('b', 5000 + i), 'UTF8'), array_agg(j), 0
  FROM generate_series(1, 20) i, generate_series(1, 3000) j GROUP BY i;
CALL mooncake.create_table('mir_wide', 'wide');
UPDATE wide SET n = 1;
SELECT sum(length(out_of_line)), sum(length(packed)), sum(length(bin)), sum(cardinality(list)), sum(n) FROM mir_wide;
BEGIN;
UPDATE wide SET n = n + 1 WHERE id <= 10;
UPDATE wide SET n = n + 1, plain = 'twice' WHERE id <= 5;
UPDATE wide SET id = id + 100 WHERE id <= 3;
COMMIT;
CALL mooncake.create_snapshot('mir_wide');
UPDATE wide SET n = n + 1;
UPDATE wide SET out_of_line = out_of_line || 'x' WHERE id = 4;
UPDATE wide SET packed = NULL WHERE id = 5;
UPDATE wide SET n = n + 1 WHERE id IN (4, 5);
SELECT * FROM compare('mir_wide');
INSERT INTO wide (id, plain, n) VALUES (1000, repeat('large', 8 * 1024 * 1024), 1);
UPDATE wide SET n = 2 WHERE id = 1000;
SELECT length(plain), n FROM mir_wide WHERE id = 1000;
DELETE FROM wide WHERE id = 1000;
SELECT * FROM compare('mir_wide');

-- Values that a column's format does not hold: the row is kept, the row table answers, and a view tells.
CREATE TABLE odd (id int PRIMARY KEY, n numeric(10,2), t timestamp, free numeric);
INSERT INTO odd VALUES (1, 1.5, '2024-01-01', 1), (2, 2.5, '2024-01-02', 2);
CALL mooncake.create_table('mir_odd', 'odd');
INSERT INTO odd VALUES (3, 'NaN', '294276-01-01', 'NaN'), (4, 4.5, '2024-01-04', 1e100), (5, 5.5, '2024-01-05', -0.000000000000000000000000000000000000000001);
SELECT * FROM mir_odd ORDER BY id;
SELECT count(*), sum(id) FROM mir_odd;
UPDATE odd SET n = 3 WHERE id = 3;
DELETE FROM odd WHERE id = 4;
SELECT sum(n), max(t), sum(free) FROM mir_odd;
SELECT column_name, column_type FROM mooncake.inexact_columns WHERE table_name = 'mir_odd' ORDER BY 1;
SELECT column_name, mooncake.count_inexact(table_name, column_name) FROM mooncake.inexact_columns WHERE table_name = 'mir_odd' ORDER BY 1;
INSERT INTO odd SELECT i, CASE i % 3 WHEN 0 THEN 'NaN' ELSE i::numeric END, CASE i % 7 WHEN 0 THEN timestamp '294276-01-01' END FROM generate_series(1001, 4000) i;
SELECT column_name, mooncake.count_inexact(table_name, column_name) FROM mooncake.inexact_columns WHERE table_name = 'mir_odd' ORDER BY 1;
SELECT mooncake.count_inexact('mir_odd', 'free'), mooncake.count_inexact('mir_odd', 'id'), mooncake.count_inexact(NULL, 'id');
SELECT mooncake.count_inexact('mir_odd', 'nothing');
SELECT mooncake.count_inexact('odd', 'id');
SELECT mooncake.count_inexact('nothing', 'id');
DELETE FROM odd WHERE id > 1000;
UPDATE odd SET t = '2024-01-03' WHERE id = 3;
SELECT column_name, mooncake.count_inexact(table_name, column_name) FROM mooncake.inexact_columns WHERE table_name = 'mir_odd' ORDER BY 1;
CALL mooncake.rebuild_table('mir_odd');
SELECT column_name, column_type FROM mooncake.inexact_columns WHERE table_name = 'mir_odd' ORDER BY 1;
SELECT * FROM compare('mir_odd');

-- Many mirrors: of many tables, and of one
DO $$
BEGIN
    FOR i IN 1..100 LOOP
        EXECUTE format('CREATE TABLE many_%s (id int PRIMARY KEY, v text)', i);
        EXECUTE format('INSERT INTO many_%s SELECT j, ''v'' FROM generate_series(1, 10) j', i);
        EXECUTE format('CALL mooncake.create_table(''mir_many_%s'', ''many_%s'')', i, CASE WHEN i % 10 = 0 THEN 1 ELSE i END);
    END LOOP;
END $$;
DO $$
BEGIN
    FOR i IN 1..1500 LOOP
        EXIT WHEN NOT EXISTS (SELECT FROM mooncake.mirrors WHERE state <> 'live' AND mirror::text LIKE 'mir_many%');
        COMMIT;
        PERFORM pg_sleep(0.02);
    END LOOP;
END $$;
SELECT state, count(*) FROM mooncake.mirrors WHERE mirror::text LIKE 'mir_many%' GROUP BY 1;
DO $$ BEGIN FOR i IN 1..100 LOOP EXECUTE format('UPDATE many_%s SET v = ''changed'' WHERE id %% 2 = 0', i); END LOOP; END $$;
SELECT c.same, c.state, count(*) FROM mooncake.mirrors m, compare(m.mirror) c WHERE m.mirror::text LIKE 'mir_many%' GROUP BY 1, 2;
SELECT count(*) FROM mooncake.copy_progress;
SET client_min_messages = error;
DO $$ BEGIN FOR i IN 1..100 LOOP EXECUTE format('DROP TABLE many_%s CASCADE', i); END LOOP; END $$;
DROP SCHEMA lm CASCADE;
