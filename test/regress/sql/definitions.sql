-- SPDX-License-Identifier: Apache-2.0
-- Definitions and rows that change together: savepoints, streamed and prepared transactions; every kind of added column; keys that
-- become others.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_mooncake CASCADE;
CREATE SCHEMA df;
SET search_path = df, public;
\set SHOW_CONTEXT never
\getenv abs_srcdir PG_ABS_SRCDIR
\set file :abs_srcdir '/include/compare.sql'
\set ECHO none
\i :file
\set ECHO all

-- Savepoints that are rolled back and released, with the same column dropped and made anew as another type
CREATE TABLE t (id int PRIMARY KEY, a int, b text);
INSERT INTO t SELECT i, i, 'b' || i FROM generate_series(1, 200) i;
CALL mooncake.create_table('m', 't');
BEGIN;
INSERT INTO t VALUES (1001, 1, 'x');
SAVEPOINT s1;
ALTER TABLE t DROP COLUMN a;
UPDATE t SET b = 'no a' WHERE id < 20;
SAVEPOINT s2;
ALTER TABLE t ADD COLUMN a text;
UPDATE t SET a = 'text';
ROLLBACK TO s2;
INSERT INTO t VALUES (1002, 'without a');
ROLLBACK TO s1;
UPDATE t SET a = -a WHERE id BETWEEN 5 AND 10;
SAVEPOINT s3;
ALTER TABLE t ADD COLUMN c int;
UPDATE t SET c = id;
RELEASE s3;
SAVEPOINT s4;
TRUNCATE t;
INSERT INTO t VALUES (1, 1, '1', 1);
ROLLBACK TO s4;
SAVEPOINT s5;
ALTER TABLE t RENAME c TO d;
DELETE FROM t WHERE d % 3 = 0;
RELEASE s5;
ALTER TABLE t DROP COLUMN b;
INSERT INTO t VALUES (2000, 1, 1);
COMMIT;
SELECT * FROM compare('m');
SELECT count(*), sum(a), sum(d) FROM m;

-- The same keys again and again in one transaction: deleted, inserted, truncated, moved, exchanged
BEGIN;
DELETE FROM t WHERE id < 100;
INSERT INTO t (id, a) SELECT i, 7 FROM generate_series(1, 99) i;
SAVEPOINT q;
TRUNCATE t;
INSERT INTO t (id, a) SELECT i, 8 FROM generate_series(1, 99) i;
SAVEPOINT r;
DELETE FROM t;
ROLLBACK TO r;
UPDATE t SET id = id + 1000;
COMMIT;
BEGIN;
UPDATE t SET id = -id;
UPDATE t SET id = 5000 - id, a = id;
DELETE FROM t WHERE id = 6050;
INSERT INTO t (id, a) VALUES (6050, 1), (5, 5);
DELETE FROM t WHERE id = 5;
UPDATE t SET a = CASE id WHEN 6051 THEN 6052 ELSE a END, id = CASE id WHEN 6051 THEN 7000 ELSE id END;
UPDATE t SET id = 6051 WHERE id = 6052;
UPDATE t SET id = 6052 WHERE id = 7000;
COMMIT;
SELECT * FROM compare('m');
SELECT count(*), sum(id), sum(a) FROM m;

-- Sent while it runs, with columns that come, go and change their type in the middle
INSERT INTO t (id, a) SELECT i, i FROM generate_series(10000, 10100) i;
ALTER SYSTEM SET logical_decoding_work_mem = '64kB';
SELECT pg_reload_conf();
SELECT streamed() AS before \gset
BEGIN;
INSERT INTO t SELECT i, i, i FROM generate_series(20000, 60000) i;
SAVEPOINT a;
ALTER TABLE t ADD COLUMN e text;
UPDATE t SET e = 'e' WHERE id > 50000;
ROLLBACK TO a;
ALTER TABLE t ADD COLUMN e int;
UPDATE t SET e = 5 WHERE id > 55000;
SAVEPOINT b;
DELETE FROM t WHERE id > 30000;
ROLLBACK TO b;
ALTER TABLE t DROP COLUMN d;
DELETE FROM t WHERE id BETWEEN 21000 AND 40000;
COMMIT;
SELECT * FROM compare('m');
SELECT count(*), sum(id), sum(e) FROM m;
CALL wait_streamed(:before);
ALTER SYSTEM RESET logical_decoding_work_mem;
SELECT pg_reload_conf();

-- Prepared: definitions, truncation, partitions
BEGIN;
ALTER TABLE t ADD COLUMN f text;
UPDATE t SET f = 'f' WHERE id < 10050;
SAVEPOINT s;
ALTER TABLE t DROP COLUMN a;
ROLLBACK TO s;
PREPARE TRANSACTION 'df';
SET lock_timeout = '100ms';
SELECT count(*) FROM m;
RESET lock_timeout;
COMMIT PREPARED 'df';
SELECT count(f) FROM m;
SELECT * FROM compare('m');
BEGIN;
TRUNCATE t;
INSERT INTO t (id, a) SELECT i, i FROM generate_series(1, 100) i;
ALTER TABLE t DROP COLUMN f;
PREPARE TRANSACTION 'df';
ROLLBACK PREPARED 'df';
SELECT * FROM compare('m');
BEGIN;
TRUNCATE t;
INSERT INTO t (id, a) SELECT i, i FROM generate_series(1, 100) i;
ALTER TABLE t RENAME COLUMN f TO g;
PREPARE TRANSACTION 'df';
COMMIT PREPARED 'df';
SELECT * FROM compare('m');
CREATE TABLE p (id int, d int, PRIMARY KEY (id, d)) PARTITION BY LIST (d);
CREATE TABLE p0 PARTITION OF p FOR VALUES IN (0);
CREATE TABLE p1 (d int NOT NULL, id int NOT NULL);
INSERT INTO p SELECT i, 0 FROM generate_series(1, 100) i;
INSERT INTO p1 SELECT 1, i FROM generate_series(1, 50) i;
CALL mooncake.create_table('mp', 'p');
BEGIN;
ALTER TABLE p ATTACH PARTITION p1 FOR VALUES IN (1);
DELETE FROM p WHERE id % 7 = 0;
PREPARE TRANSACTION 'df';
COMMIT PREPARED 'df';
SELECT * FROM compare('mp');
BEGIN;
TRUNCATE p0;
INSERT INTO p VALUES (7, 0);
ALTER TABLE p DETACH PARTITION p1;
PREPARE TRANSACTION 'df';
COMMIT PREPARED 'df';
UPDATE p1 SET id = -id;
SELECT * FROM compare('mp');

-- Columns of every kind; each that gives old rows a value is copied anew, and no other. A view, and the plan of the statement that reads
-- it, stay.
CREATE TABLE g (id int PRIMARY KEY, a int, b numeric(8,2));
INSERT INTO g SELECT i, i * 2, i / 3.0 FROM generate_series(1, 100) i;
CALL mooncake.create_table('mg', 'g');
CREATE VIEW on_mg AS SELECT id, a, b FROM mg WHERE id > 0;
CREATE DOMAIN filled AS int DEFAULT 3 CHECK (VALUE > 0);
CREATE DOMAIN never_null AS int DEFAULT 3 NOT NULL;
CREATE PROCEDURE alter_g(command text) LANGUAGE plpgsql AS $$
DECLARE
    result record;
    seen record;
BEGIN
    EXECUTE 'ALTER TABLE g ' || command;
    COMMIT;
    CALL wait_live('mg');
    INSERT INTO g (id, a) SELECT max(id) + 1, 1 FROM g;
    UPDATE g SET a = a + 1 WHERE id % 9 = 0;
    COMMIT;
    SELECT * INTO result FROM compare('mg');
    SET LOCAL mooncake.fallback = off;
    SELECT count(*), sum(a), sum(b) INTO seen FROM on_mg;
    COMMIT;
    RAISE WARNING '%: same %, by the engine %, copy %; the view %', command, result.same, result.by_engine, result.generation, seen;
END $$;
CALL alter_g('ADD COLUMN vg int GENERATED ALWAYS AS (a + id) VIRTUAL');
CALL alter_g('ADD COLUMN sg int GENERATED ALWAYS AS (a * 3) STORED');
CALL alter_g('ALTER COLUMN vg SET EXPRESSION AS (a - id)');
CALL alter_g('ALTER COLUMN sg SET EXPRESSION AS (a * 4)');
CALL alter_g('ALTER COLUMN sg DROP EXPRESSION');
CALL alter_g('ADD COLUMN vol timestamptz DEFAULT clock_timestamp()');
CALL alter_g('ADD COLUMN stable timestamptz DEFAULT now()');
CALL alter_g('ADD COLUMN numbered bigint GENERATED BY DEFAULT AS IDENTITY');
CALL alter_g('ADD COLUMN filled filled');
CALL alter_g('ADD COLUMN never_null never_null');
CALL alter_g('ADD COLUMN required int NOT NULL DEFAULT 5');
CALL alter_g('ADD COLUMN nothing text');
CALL alter_g('ADD COLUMN empty text DEFAULT NULL');
CALL alter_g('ALTER COLUMN numbered SET GENERATED ALWAYS');
CALL alter_g('ALTER COLUMN b SET STATISTICS 100');
CALL alter_g('ALTER COLUMN nothing SET COMPRESSION pglz');
CALL alter_g('SET (autovacuum_enabled = off)');
CALL alter_g('SET ACCESS METHOD heap');
CALL alter_g('SET WITHOUT CLUSTER');
CALL alter_g('DROP COLUMN stable, DROP COLUMN vg');
CALL alter_g('RENAME COLUMN b TO price');
ALTER TABLE g SET SCHEMA public;
ALTER TABLE public.g RENAME TO df_g;
ALTER TABLE df_g ADD COLUMN last int;
UPDATE df_g SET price = 1, last = 2;
SELECT count(*), sum(a), sum(b) FROM on_mg;
SELECT * FROM compare('mg');
ALTER TABLE df_g RENAME TO g;
ALTER TABLE public.g SET SCHEMA df;
ALTER TABLE g SET ACCESS METHOD mooncake;
ALTER TABLE mg SET ACCESS METHOD heap;
CREATE INDEX CONCURRENTLY g_a ON g (a);
CREATE UNIQUE INDEX CONCURRENTLY g_id ON g (id);
REINDEX TABLE CONCURRENTLY g;
DROP INDEX CONCURRENTLY g_a;
UPDATE g SET a = 0 WHERE id < 10;
SELECT * FROM compare('mg');

-- Types that become others, step by step, in ordinary columns; values that are at home in the new type only
CREATE TABLE w (id int PRIMARY KEY, s smallint, v varchar(3), n numeric(4,1), d date, c char(3), f real, z varbit(4), ts timestamp(0), i interval day to minute);
INSERT INTO w SELECT i, i, i % 1000, i / 10.0, date '2024-01-01' + i, 'c' || i % 10, i / 8.0, (i % 16)::bit(4), timestamp '2024-01-01' + i * interval '1 hour', i * interval '1 minute' FROM generate_series(1, 300) i;
CALL mooncake.create_table('mw', 'w');
CREATE PROCEDURE widen(column_name text, type text, value text) LANGUAGE plpgsql AS $$
DECLARE
    result record;
BEGIN
    EXECUTE format('ALTER TABLE w ALTER %I TYPE %s', column_name, type);
    EXECUTE format('UPDATE w SET %I = %s WHERE id %% 5 = 0', column_name, value);
    COMMIT;
    CALL wait_live('mw');
    EXECUTE format('UPDATE w SET %I = %s WHERE id %% 7 = 0', column_name, value);
    COMMIT;
    SELECT * INTO result FROM compare('mw');
    RAISE WARNING '% %: same %, by the engine %, copy %', column_name, type, result.same, result.by_engine, result.generation;
END $$;
CALL widen('s', 'int', '100000');
CALL widen('s', 'bigint', '10000000000');
CALL widen('s', 'numeric', '1.5');
CALL widen('v', 'varchar(10)', '''ten digits''');
CALL widen('v', 'varchar', 'repeat(''v'', 50)');
CALL widen('v', 'text', 'repeat(''t'', 5000)');
CALL widen('v', 'text COLLATE "C"', '''Z''');
CALL widen('n', 'numeric(10,1)', '100000000.5');
CALL widen('n', 'numeric(20,4)', '0.1234');
CALL widen('n', 'numeric(60,4)', '1e50');
CALL widen('n', 'numeric', '''NaN''');
CALL widen('n', 'double precision', '''-infinity''');
CALL widen('d', 'timestamp', '''2024-02-29 12:34:56.789''');
CALL widen('d', 'timestamptz', '''2024-02-29 12:34:56.789+05''');
CALL widen('c', 'char(10)', '''wide''');
CALL widen('c', 'text', '''blank  ''');
CALL widen('f', 'float8', '0.1');
CALL widen('z', 'varbit(10)', 'B''1010101010''');
CALL widen('z', 'varbit', 'repeat(''1'', 100)::varbit');
CALL widen('ts', 'timestamp(3)', '''2024-01-01 00:00:00.123''');
CALL widen('ts', 'timestamp', '''2024-01-01 00:00:00.123456''');
CALL widen('i', 'interval', '''1 year 2 days 3.456 seconds''');

-- Keys: another column, renamed, of another type, gone; each time rows are found by the new one.
CREATE TABLE k (id int PRIMARY KEY, c varchar(5) NOT NULL UNIQUE, v int);
INSERT INTO k SELECT i, 'c' || i, i FROM generate_series(1, 99) i;
CALL mooncake.create_table('mk', 'k');
BEGIN;
UPDATE k SET v = 1 WHERE id % 2 = 0;
ALTER TABLE k DROP CONSTRAINT k_pkey;
ALTER TABLE k ADD PRIMARY KEY (c);
UPDATE k SET v = v + 1, id = 1 WHERE id % 3 = 0;
DELETE FROM k WHERE c = 'c7';
COMMIT;
CALL wait_live('mk');
UPDATE k SET id = 1, c = c || 'x' WHERE c < 'c3';
DELETE FROM k WHERE c = 'c8';
SELECT * FROM compare('mk');
BEGIN;
DELETE FROM k WHERE c = 'c9';
ALTER TABLE k RENAME COLUMN c TO code;
ALTER TABLE k ALTER code TYPE varchar(40);
UPDATE k SET code = repeat(code, 3) WHERE v > 50;
COMMIT;
SELECT * FROM compare('mk');
ALTER TABLE k ALTER code TYPE text COLLATE "C";
UPDATE k SET code = upper(code) WHERE v < 80;
CALL wait_live('mk');
UPDATE k SET code = code || 'y', v = 0 WHERE v > 90;
SELECT * FROM compare('mk');
BEGIN;
ALTER TABLE k DROP CONSTRAINT k_pkey;
DELETE FROM k WHERE v = 0;
ROLLBACK;
DELETE FROM k WHERE v = 60;
SELECT * FROM compare('mk');
BEGIN;
SAVEPOINT s;
ALTER TABLE k DROP CONSTRAINT k_pkey;
UPDATE k SET v = 2 WHERE v = 61;
ROLLBACK TO s;
UPDATE k SET v = 3 WHERE v = 62;
COMMIT;
SELECT * FROM compare('mk');
SET client_min_messages = error;
ALTER TABLE k DROP COLUMN code;
SET client_min_messages = warning;
SELECT state, error FROM mooncake.mirrors WHERE mirror = 'mk'::regclass;
INSERT INTO k (id) VALUES (5), (5);
DELETE FROM k WHERE id = 5;
SELECT same, by_engine, state FROM compare('mk');
DELETE FROM k WHERE id <> ALL (SELECT min(id) FROM k);
DELETE FROM k a USING k b WHERE a.id = b.id AND a.ctid > b.ctid;
ALTER TABLE k ADD PRIMARY KEY (id);
CALL wait_live('mk');
INSERT INTO k (id) VALUES (5);
UPDATE k SET v = 7, id = id + 1;
SELECT same, by_engine, state FROM compare('mk');
SET client_min_messages = error;
DROP SCHEMA df CASCADE;
