-- SPDX-License-Identifier: Apache-2.0
-- How the old versions of rows are found: keys of every type, whole rows, and not at all.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_mooncake CASCADE;
CREATE SCHEMA idn;
SET search_path = idn, public;
\set SHOW_CONTEXT never
\getenv abs_srcdir PG_ABS_SRCDIR
\set file :abs_srcdir '/include/compare.sql'
\set ECHO none
\i :file
\set ECHO all

-- Keys: rows are changed, moved to another key that is equal to the old one or not, and deleted; from memory and from files.
CREATE TYPE mood AS ENUM ('sad', 'ok', 'glad');
CREATE TYPE point2 AS (x int, y numeric);
CREATE DOMAIN code AS text CHECK (VALUE <> '');
CREATE DOMAIN amount AS numeric;
CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE PROCEDURE check_key(type text, first text[], then_values text[]) LANGUAGE plpgsql AS $$
DECLARE
    i int;
    result record;
BEGIN
    DROP TABLE IF EXISTS keyed CASCADE;
    EXECUTE format('CREATE TABLE keyed (k %s PRIMARY KEY, v int)', type);
    FOR i IN 1 .. array_length(first, 1) LOOP
        EXECUTE format('INSERT INTO keyed VALUES (%L, %s)', first[i], i);
    END LOOP;
    COMMIT;
    CALL mooncake.create_table('mir_keyed', 'keyed');
    FOR round IN 1 .. 2 LOOP
        UPDATE keyed SET v = v + 10;
        FOR i IN 1 .. array_length(then_values, 1) LOOP
            EXECUTE format('UPDATE keyed SET k = %L WHERE v %% 10 = %s', then_values[i], i);
        END LOOP;
        COMMIT;
        IF round = 1 THEN CALL mooncake.create_snapshot('mir_keyed'); END IF;
        UPDATE keyed SET v = v + 10;
        EXECUTE format('DELETE FROM keyed WHERE v %% 10 = %s', round);
        EXECUTE format('INSERT INTO keyed VALUES (%L, %s)', first[round], round);
        COMMIT;
    END LOOP;
    SELECT * INTO result FROM compare('mir_keyed');
    IF result.same AND result.by_engine AND result.generation = 1 THEN RAISE WARNING '% as a key: the same', type;
    ELSE RAISE WARNING '% as a key: %, error %', type, result, (SELECT error FROM mooncake.mirrors WHERE mirror = 'mir_keyed'::regclass);
    END IF;
END $$;
CALL check_key('int', '{1,2,3}', '{4,2}');
CALL check_key('bigint', '{-9223372036854775808,0,9223372036854775807}', '{5,1}');
CALL check_key('boolean', '{t,f}', '{t}');
CALL check_key('text', '{a,"",ä€}', '{A,b}');
CALL check_key('text COLLATE nocase', '{a,b,ccc}', '{A,B,CCC}');
CALL check_key('varchar(3) COLLATE nocase', '{a,b,ccc}', '{A,B,CCC}');
CALL check_key('char(5)', '{a,"b  ",cc}', '{"a  ",b}');
CALL check_key('code', '{a,b}', '{c}');
CALL check_key('name', '{a,b}', '{c}');
CALL check_key('bytea', '{"\\x00","\\x",\\xff00}', '{\\x0000,\\x01}');
CALL check_key('uuid', '{00000000-0000-0000-0000-000000000001,ffffffff-ffff-ffff-ffff-ffffffffffff}', '{00000000-0000-0000-0000-000000000002}');
CALL check_key('numeric', '{1.0,2.50,1e40}', '{1.00,2.5,10e39}');
CALL check_key('numeric(10,2)', '{1.0,2.50,3}', '{1.00,2.5}');
CALL check_key('numeric(50,2)', '{1.0,2.50,1e40}', '{1.00,2.5}');
CALL check_key('float8', '{0,NaN,Infinity}', '{-0,1}');
CALL check_key('float4', '{-0,NaN,-Infinity}', '{0,1.1}');
CALL check_key('date', '{2024-02-29,infinity,0044-03-15 BC}', '{2024-03-01,-infinity}');
CALL check_key('time', '{00:00,24:00:00,12:00:00.000001}', '{23:59:59}');
CALL check_key('timetz', '{12:00+02,10:00+00}', '{11:00+01}');
CALL check_key('timestamp', '{2024-01-01 12:00:00.000001,-infinity}', '{2024-01-01 12:00}');
CALL check_key('timestamptz', '{2024-01-01 12:00+02,infinity}', '{2024-01-01 10:00+00}');
CALL check_key('interval', '{1 month,1 day,1 hour}', '{30 days,24 hours}');
CALL check_key('mood', '{sad,glad}', '{ok}');
CALL check_key('point2', '{"(1,1.0)","(1,2.50)"}', '{"(1,1.00)","(1,2.5)"}');
CALL check_key('point2', '{"(,)","(1,)","(,1.0)"}', '{"(2,)","(,2.00)"}');
CALL check_key('point2[]', '{"{}","{NULL,\"(1,)\"}"}', '{"{\"(,)\"}"}');
CALL check_key('amount', '{1.0,2.50,NaN}', '{1.00,2.5}');
CALL check_key('mood[]', '{"{sad}","{sad,NULL}"}', '{"{glad,ok}"}');
CALL check_key('numeric(38,10)', '{9999999999999999999999999999.9999999999,0,-0.0000000001}', '{1,-9999999999999999999999999999.9999999999}');
CALL check_key('money', '{1,-2.50}', '{3}');
CALL check_key('macaddr', '{08:00:2b:01:02:03,ff:ff:ff:ff:ff:ff}', '{08:00:2b:01:02:04}');
CALL check_key('pg_lsn', '{0/0,FFFFFFFF/FFFFFFFF}', '{1/2}');
CALL check_key('tsvector', '{a b,c,""}', '{b a d}');
CALL check_key('nummultirange', '{"{}","{[1.0,2.5)}"}', '{"{[1.00,2.50),[3,4)}"}');
CALL check_key('"char"', '{a,b}', '{c}');
CALL check_key('int[]', '{"{1,2}","{}","{1,NULL}"}', '{"{1}","{{1,2}}"}');
CALL check_key('numeric[]', '{"{1.0}","{2.50}"}', '{"{1.00}","{2.5}"}');
CALL check_key('jsonb', '{"{\"a\": 1.0}","[]"}', '{"{\"a\": 1.00}","[1]"}');
CALL check_key('int4range', '{"[1,5)","empty"}', '{"[1,6)"}');
CALL check_key('inet', '{10.0.0.1,::1}', '{10.0.0.1/32}');
CALL check_key('bit(3)', '{101,000}', '{111}');
CALL check_key('oid', '{1,4294967295}', '{2}');
DROP TABLE keyed CASCADE;

-- Long keys, stored out of line
CREATE TABLE long_keys (a text, b int, v int, PRIMARY KEY (b, a));
INSERT INTO long_keys SELECT repeat(md5(i::text), 70), i, i FROM generate_series(1, 20) i;
CALL mooncake.create_table('mir_long', 'long_keys');
UPDATE long_keys SET v = v + 1;
UPDATE long_keys SET b = b + 100 WHERE b % 2 = 0;
DELETE FROM long_keys WHERE v = 6;
SELECT * FROM compare('mir_long');

-- REPLICA IDENTITY USING INDEX
CREATE TABLE by_index (id int PRIMARY KEY, a int NOT NULL, b text NOT NULL, c int);
CREATE UNIQUE INDEX by_a_b ON by_index (b, a);
CALL mooncake.create_table('mir_index', 'by_index', '{"identity": "by_a_b"}');
ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_a_b;
CALL mooncake.create_table('mir_index', 'by_index', '{"identity": "primary_key"}');
CALL mooncake.create_table('mir_index', 'by_index', '{"identity": "by_a_b"}');
SELECT identity, key_columns FROM mooncake.mirror_options WHERE table_name = 'mir_index';
INSERT INTO by_index SELECT i, i, 'b' || i % 3, i FROM generate_series(1, 100) i;
UPDATE by_index SET id = -id, b = b || 'x' WHERE id % 7 = 0;
DELETE FROM by_index WHERE a % 5 = 0;
SELECT * FROM compare('mir_index');
-- another identity: a new copy; none: the row table until there is one again
ALTER TABLE by_index REPLICA IDENTITY DEFAULT;
CALL wait_live('mir_index');
UPDATE by_index SET c = 0 WHERE id % 2 = 0;
SELECT key_columns FROM mooncake.mirror_options WHERE table_name = 'mir_index';
SELECT * FROM compare('mir_index');
ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_a_b;
DROP INDEX by_a_b;
DELETE FROM by_index WHERE a % 4 = 0;
SELECT * FROM compare('mir_index');
SELECT error FROM mooncake.mirrors WHERE mirror = 'mir_index'::regclass;
CALL mooncake.rebuild_table('mir_index');
ALTER TABLE by_index REPLICA IDENTITY DEFAULT;
CALL wait_live('mir_index');
SELECT * FROM compare('mir_index');

-- Whole rows: of equal ones exactly one goes.
CREATE TABLE bag (a int, b text, n numeric, f float8);
INSERT INTO bag SELECT i % 3, 'x', 1.50, NULL FROM generate_series(1, 30) i;
INSERT INTO bag VALUES (NULL, NULL, NULL, NULL), (NULL, NULL, NULL, NULL), (1, 'n', 'NaN', 'NaN'), (1, 'n', 1.5, -0.0), (1, 'n', 1.500, 0.0);
CALL mooncake.create_table('mir_bag', 'bag', '{"identity": "full"}');
ALTER TABLE bag REPLICA IDENTITY FULL;
CALL mooncake.create_table('mir_bag', 'bag');
CALL mooncake.create_table('mir_bag', 'bag', '{"identity": "full"}');
DELETE FROM bag WHERE ctid IN (SELECT ctid FROM bag WHERE a = 1 AND b = 'x' LIMIT 4);
DELETE FROM bag WHERE ctid IN (SELECT ctid FROM bag WHERE a IS NULL LIMIT 1);
SELECT * FROM compare('mir_bag');
UPDATE bag SET n = 1.5 WHERE ctid IN (SELECT ctid FROM bag WHERE a = 2 LIMIT 3);
UPDATE bag SET f = -f WHERE b = 'n';
DELETE FROM bag WHERE n::text = '1.500';
INSERT INTO bag SELECT * FROM bag;
SELECT * FROM compare('mir_bag');
CALL mooncake.create_snapshot('mir_bag');
BEGIN;
INSERT INTO bag VALUES (2, 'x', 1.50, NULL);
DELETE FROM bag WHERE ctid IN (SELECT ctid FROM bag WHERE a = 2 ORDER BY ctid LIMIT 5);
SAVEPOINT sp;
DELETE FROM bag;
ROLLBACK TO sp;
UPDATE bag SET b = 'y' WHERE ctid = (SELECT min(ctid) FROM bag WHERE a = 2);
COMMIT;
SELECT * FROM compare('mir_bag');
SELECT a, b, count(*) FROM mir_bag GROUP BY 1, 2 ORDER BY 1, 2;
-- wide values, unchanged ones among them
ALTER TABLE bag ADD COLUMN doc text;
ALTER TABLE bag ALTER doc SET STORAGE EXTERNAL;
CALL wait_live('mir_bag');
INSERT INTO bag (a, doc) SELECT 7, repeat('long', 3000) FROM generate_series(1, 3);
UPDATE bag SET b = 'u' WHERE ctid = (SELECT min(ctid) FROM bag WHERE a = 7);
DELETE FROM bag WHERE ctid = (SELECT max(ctid) FROM bag WHERE a = 7 AND b IS NULL);
SELECT a, b, length(doc), count(*) FROM mir_bag WHERE a = 7 GROUP BY 1, 2, 3 ORDER BY 1, 2;
SELECT * FROM compare('mir_bag');
TRUNCATE bag;
SELECT * FROM compare('mir_bag');
-- of equal ones before and after TRUNCATE, those after
INSERT INTO bag (a) SELECT 1 FROM generate_series(1, 3);
TRUNCATE bag;
INSERT INTO bag (a) SELECT 1 FROM generate_series(1, 2);
DELETE FROM bag WHERE ctid = (SELECT min(ctid) FROM bag);
SELECT * FROM compare('mir_bag');
BEGIN;
INSERT INTO bag (a) VALUES (1);
TRUNCATE bag;
INSERT INTO bag (a) VALUES (1), (1);
DELETE FROM bag WHERE ctid = (SELECT min(ctid) FROM bag);
UPDATE bag SET b = 'left';
COMMIT;
SELECT * FROM compare('mir_bag');
SELECT a, b FROM mir_bag;
ALTER TABLE bag REPLICA IDENTITY DEFAULT;
INSERT INTO bag VALUES (1);
DELETE FROM bag;
SELECT * FROM compare('mir_bag');
ALTER TABLE bag REPLICA IDENTITY FULL;
CALL wait_live('mir_bag');
SELECT same, state FROM compare('mir_bag');

-- Nothing of this changes the sources, which have the identities that their owners gave them.
SELECT relname, relreplident, relhastriggers, (SELECT count(*) FROM pg_publication) AS publications
  FROM pg_class WHERE relnamespace = 'idn'::regnamespace AND relname IN ('by_index', 'bag', 'long_keys') ORDER BY 1;

-- Rows that are only added
CREATE TABLE events (at timestamptz, what text);
INSERT INTO events SELECT '2024-01-01', 'e' || i FROM generate_series(1, 100) i;
CALL mooncake.create_table('mir_events', 'events', '{"identity": "append_only"}');
SELECT identity, key_columns FROM mooncake.mirror_options WHERE table_name = 'mir_events';
INSERT INTO events SELECT '2024-01-02', 'e' || i FROM generate_series(1, 100) i;
SELECT * FROM compare('mir_events');
TRUNCATE events;
INSERT INTO events VALUES ('2024-01-03', 'one');
CALL mooncake.create_snapshot('mir_events');
SELECT * FROM compare('mir_events');
UPDATE events SET what = 'two';
SELECT same FROM compare('mir_events');
DO $$
BEGIN
    FOR i IN 1..500 LOOP
        EXIT WHEN (SELECT failures FROM mooncake.mirrors WHERE mirror = 'mir_events'::regclass) > 0;
        PERFORM pg_sleep(0.02);
    END LOOP;
END $$;
SELECT failures FROM mooncake.mirrors WHERE mirror = 'mir_events'::regclass;
INSERT INTO events VALUES ('2024-01-04', 'three');
SELECT what FROM mir_events ORDER BY 1;
CALL mooncake.rebuild_table('mir_events');
INSERT INTO events VALUES ('2024-01-05', 'four');
SELECT * FROM compare('mir_events');
DELETE FROM events WHERE what = 'four';
SELECT same FROM compare('mir_events');

-- Without a column there is nothing to store.
CREATE TABLE nothing ();
INSERT INTO nothing DEFAULT VALUES;
CALL mooncake.create_table('mir_nothing', 'nothing', identity => 'append_only');
ALTER TABLE nothing ADD COLUMN a int, ADD COLUMN v int GENERATED ALWAYS AS (1 + 1) VIRTUAL;
INSERT INTO nothing VALUES (1);
CALL mooncake.create_table('mir_nothing', 'nothing', identity => 'append_only');
INSERT INTO nothing VALUES (2);
SET client_min_messages = error;
ALTER TABLE nothing DROP COLUMN a;
SET client_min_messages = warning;
INSERT INTO nothing DEFAULT VALUES;
SELECT same, state FROM compare('mir_nothing');
SELECT error FROM mooncake.mirrors WHERE mirror = 'mir_nothing'::regclass;
ALTER TABLE nothing ADD COLUMN b int;
CALL wait_live('mir_nothing');
INSERT INTO nothing (b) VALUES (3);
SELECT same, by_engine, state FROM compare('mir_nothing');

-- Names of objects are kept as their oids: a rename shows.
CREATE TABLE aliases (id int PRIMARY KEY, c regclass, t regtype, r regrole, cs regclass[]);
CREATE TABLE named_before (x int);
INSERT INTO aliases VALUES (1, 'named_before', 'mood', 'postgres', '{named_before}'), (2, NULL, 'int', NULL, '{}');
CALL mooncake.create_table('mir_aliases', 'aliases');
SELECT * FROM mir_aliases ORDER BY id;
ALTER TABLE named_before RENAME TO named_after;
ALTER TYPE mood RENAME TO humour;
SELECT * FROM mir_aliases ORDER BY id;
SELECT * FROM compare('mir_aliases');
SELECT * FROM mooncake.inexact_columns WHERE table_name = 'mir_aliases';

-- Keys that the mirror's format can't hold are all the same to it: of rows with such ones, none is taken for another.
CREATE TABLE far (k timestamp PRIMARY KEY, t text);
INSERT INTO far VALUES ('294270-01-01', 'a'), ('294271-01-01', 'b'), ('2020-01-01', 'c'), ('2020-01-02', 'd');
CALL mooncake.create_table('mir_far', 'far');
UPDATE far SET t = 'e' WHERE t = 'd';
SELECT t FROM mir_far ORDER BY t;
SELECT failures FROM mooncake.mirrors WHERE mirror = 'mir_far'::regclass;
DELETE FROM far WHERE t = 'b';
SELECT t FROM mir_far ORDER BY t;
DO $$
BEGIN
    FOR i IN 1..500 LOOP
        EXIT WHEN (SELECT failures FROM mooncake.mirrors WHERE mirror = 'mir_far'::regclass) > 0;
        PERFORM pg_sleep(0.02);
    END LOOP;
END $$;
SELECT failures, error FROM mooncake.mirrors WHERE mirror = 'mir_far'::regclass;
UPDATE far SET t = 'f' WHERE t IN ('a', 'c');
SELECT t FROM mir_far ORDER BY t;
CALL mooncake.rebuild_table('mir_far');
SELECT t FROM mir_far ORDER BY t;

-- Rows that repeat, and rows that Postgres takes for equal but shows differently: each goes as often as it was deleted.
CREATE COLLATION either_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE alike (f float8, n numeric, m numeric(8, 2), t text COLLATE either_case, i interval, r real, b bytea);
ALTER TABLE alike REPLICA IDENTITY FULL;
INSERT INTO alike SELECT v.* FROM generate_series(1, 40), (VALUES
    (float8 '0', numeric '1.0', 1, 'a', interval '1 day', real '0', bytea ''), ('-0', '1.00', 1, 'A', '24 hours', '-0', ''), ('0', '1.00', 1, 'a', '1 day', '0', ''),
    ('NaN', 'NaN', NULL, 'Ä', '30 days', 'NaN', '\x00'), ('NaN', 'NaN', NULL, 'ä', '1 mon', 'NaN', NULL), (NULL, NULL, NULL, NULL, NULL, NULL, NULL)) v;
CALL mooncake.create_table('mir_alike', 'alike', identity => 'full');
CREATE PROCEDURE delete_each(number int) LANGUAGE plpgsql AS $$
DECLARE victim tid;
BEGIN
    FOR victim IN SELECT ctid FROM (SELECT ctid, row_number() OVER (PARTITION BY alike::text) AS n FROM alike) numbered WHERE n <= number + 1 LOOP
        DELETE FROM alike WHERE ctid = victim;
        COMMIT;
    END LOOP;
END $$;
CALL delete_each(2);
SELECT * FROM compare('mir_alike');
DELETE FROM alike WHERE ctid IN (SELECT ctid FROM (SELECT ctid, row_number() OVER (PARTITION BY alike::text) AS n FROM alike) numbered WHERE n % 3 = 0);
SELECT * FROM compare('mir_alike');
CALL mooncake.create_snapshot('mir_alike');
UPDATE alike SET f = -f, n = n * 1.0 WHERE t = 'A' AND f = 0;
INSERT INTO alike SELECT * FROM alike WHERE t = 'a';
CALL delete_each(3);
SELECT * FROM compare('mir_alike');
BEGIN;
DELETE FROM alike WHERE f = 0 OR f IS NULL;
SAVEPOINT s;
DELETE FROM alike;
ROLLBACK TO s;
COMMIT;
SELECT * FROM compare('mir_alike');
SELECT t::text COLLATE "C" AS letter, count(*) FROM mir_alike GROUP BY 1 ORDER BY 1;
DELETE FROM alike;
SELECT * FROM compare('mir_alike');

SET client_min_messages = error;
DROP SCHEMA idn CASCADE;
