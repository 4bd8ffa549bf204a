-- SPDX-License-Identifier: Apache-2.0
-- Option numeric_scale: numerics without a precision are decimals in files, and the same values as ever in queries.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_mooncake CASCADE;
CREATE SCHEMA ns;
SET search_path = ns, public;
\set SHOW_CONTEXT never
\getenv abs_srcdir PG_ABS_SRCDIR
\set file :abs_srcdir '/include/compare.sql'
\set ECHO none
\i :file
\set ECHO all

CREATE DOMAIN money_like AS numeric CHECK (VALUE > -1e30);
CREATE DOMAIN short AS numeric(6,2);
CREATE TABLE src (id int PRIMARY KEY, amount numeric, "Price" numeric, fixed numeric(10,2), wide numeric(50,10), d money_like, s short,
                  label text, v numeric GENERATED ALWAYS AS (amount * 2) VIRTUAL, a numeric[]);
INSERT INTO src VALUES
    (1, 1, 1.0, 1, 1, 1, 1, 'a'), (2, 1.0, 1.00, 1, 1, 1.0, 1, 'b'), (3, 1.00, -1.50000000, 1, 1, 1.00, 1, 'c'), (4, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (5, 0, -0.0, 0, 0, 0.00, 0, ''), (6, -0.0000, 0.00000, 0, 0, 0, 0, ''), (7, 9999999999999999999999999999999999.9999, -9999999999999999999999999999999999.9999, 1, 1, 1, 1, 'widest'),
    (8, 0.0001, -0.0001, 1, 1, 1, 1, 'smallest'), (9, 18446744073709551616, -9223372036854775808.5, 1, 1, 1, 1, 'beyond 64 bits'),
    (10, ('1.' || repeat('0', 16383))::numeric, 1e-4, 1, 1, 1, 1, 'largest display scale'), (11, 1e33, 100, 1, 1, 1, 1, 'e');

-- What is wrong with it
DO $$
DECLARE
    option text;
    state text; message text; detail text; hint text;
BEGIN
    FOREACH option IN ARRAY ARRAY[
        '{"numeric_scale": "4"}', '{"numeric_scale": true}', '{"numeric_scale": null}', '{"numeric_scale": [4]}', '{"numeric_scale": {}}', '{"numeric_scale": 1.5}',
        '{"numeric_scale": -1}', '{"numeric_scale": 39}', '{"numeric_scale": 1e30}', '{"numeric_scale": {"amount": 39}}', '{"numeric_scale": {"amount": "4"}}',
        '{"numeric_scale": {"amount": {"Price": 4}}}', '{"numeric_scale": {"nothing": 4}}', '{"numeric_scale": {"price": 4}}', '{"numeric_scale": {"": 4}}',
        '{"numeric_scale": {"id": 4}}', '{"numeric_scale": {"fixed": 4}}', '{"numeric_scale": {"s": 4}}', '{"numeric_scale": {"label": 4}}', '{"numeric_scale": {"a": 4}}',
        '{"numeric_scale": {"v": 4}}', '{"numeric_scale": {"ctid": 4}}', '{"columns": ["id", "Price"], "numeric_scale": {"Price": 2, "amount": 2}}'] LOOP
        BEGIN
            CALL mooncake.create_table('mir', 'src', option::jsonb);
            RAISE WARNING '%: no error', option;
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
            RAISE WARNING '% % %|%|%', option, state, message, detail, hint;
        END;
    END LOOP;
END $$;
CALL mooncake.create_table('mir', 'src', '{"numeric_scale": 4}', numeric_scale => '4');
SELECT to_regclass('mir');

-- As an argument: a number of any type, or JSON, as a literal or of a type
DO $$
DECLARE
    argument text;
BEGIN
    FOREACH argument IN ARRAY ARRAY['4', '4::int2', '4::int8', '4.0', '''4''', '''4''::text', '''4''::jsonb', '''4''::json', '''{"amount": 4}''',
        '''{"amount": 4}''::text', '''{"amount": 4}''::json', 'jsonb_build_object(''amount'', 2 + 2)', 'NULL', 'NULL::int', 'NULL::text', '-1', '39',
        '4.5', 'true', '''four''', '''''', '''"4"''', 'ARRAY[4]', 'now()', '1e300', '''NaN''::float8'] LOOP
        BEGIN
            EXECUTE format('CALL mooncake.create_table(''mir'', ''src'', wait => false, numeric_scale => %s)', argument);
            RAISE WARNING '%: %', argument, (SELECT numeric_scale FROM mooncake.mirror_options WHERE table_name = 'mir');
            DROP TABLE mir;
        EXCEPTION WHEN OTHERS THEN
            RAISE WARNING '%: % %', argument, SQLSTATE, SQLERRM;
        END;
    END LOOP;
END $$;
DO $$
DECLARE
    scale int := 3;
    scales text := '{"amount": 2}';
BEGIN
    CALL mooncake.create_table('mir', 'src', numeric_scale => scale);
    CALL mooncake.create_table('mir2', 'src', numeric_scale => scales);
END $$;
SELECT table_name, numeric_scale FROM mooncake.mirror_options ORDER BY 1;
DROP TABLE mir, mir2;

-- Kept and shown
CALL mooncake.create_table('every', 'src', '{"numeric_scale": 4}');
CALL mooncake.create_table('named', 'src', numeric_scale => '{"Price": 4, "amount": 4, "d": 2}');
CALL mooncake.create_table('old_format', 'src', numeric_scale => '4', format_version => 2, columns => '{id,amount,"Price"}', flush_interval => '50 ms');
SELECT table_name, stored_columns, format_version, numeric_scale FROM mooncake.mirror_options ORDER BY 1;
SELECT table_name, column_name FROM mooncake.inexact_columns;

-- What files have: read as anybody's Iceberg tables
CREATE VIEW locations AS SELECT table_name, metadata_location FROM mooncake.columnstore_tables;
SELECT metadata_location AS every FROM locations WHERE table_name = 'every' \gset
SELECT metadata_location AS named FROM locations WHERE table_name = 'named' \gset
SELECT r['id'], r['amount'], r['Price'], r['wide'], r['amount$scale'], r['Price$scale'], r['wide$scale'] FROM iceberg_scan(:'every') r ORDER BY 1;
SELECT r['fixed'], r['d'], r['d$scale'], r['a'] FROM iceberg_scan(:'named') r WHERE r['id'] = 3;

-- What queries have: the source's values, digit by digit
CREATE FUNCTION same_stored(OUT same boolean, OUT rows bigint) SET mooncake.fallback = off LANGUAGE plpgsql AS $$
DECLARE
    stored text[];
BEGIN
    SELECT array_agg(row(id, amount, "Price")::text ORDER BY id), count(*) INTO stored, rows FROM old_format;
    same := stored = (SELECT array_agg(row(id, amount, "Price")::text ORDER BY id) FROM src);
END $$;
SELECT (compare('every')).*;
SELECT (compare('named')).*;
SELECT * FROM same_stored();
SELECT id, amount, "Price" FROM every WHERE id <> 10 ORDER BY id;
SELECT amount, count(*), min(id) FROM named WHERE id <= 3 GROUP BY amount::text, amount ORDER BY amount::text;
SELECT count(DISTINCT amount), sum(amount), max("Price"), avg(d), sum(wide) FROM every WHERE id < 7;
SELECT id FROM every WHERE amount = 1 ORDER BY id;
SELECT id FROM every WHERE amount > 1 AND "Price" < 1e3 ORDER BY id;
SELECT id FROM every WHERE amount IS NULL;
SELECT every.id, named.id FROM every JOIN named ON every.amount = named."Price" ORDER BY 1, 2;

-- Changes: what is in memory, what is flushed, what is rewritten
INSERT INTO src (id, amount, "Price", d) SELECT i, i / 10000.0, round(i / 3.0, i % 5) , i FROM generate_series(101, 1100) i;
INSERT INTO src (id, amount, "Price") SELECT i, round(i / 7.0, i % 5), i FROM generate_series(2001, 2100) i;
UPDATE src SET amount = amount + 0.5, "Price" = NULL WHERE id % 2 = 0 AND id BETWEEN 100 AND 200;
DELETE FROM src WHERE id % 5 = 0 AND id > 20;
UPDATE src SET "Price" = round("Price", 5) WHERE id % 7 = 1;
SELECT (compare('named')).*;
CALL mooncake.create_snapshot('every');
CALL mooncake.create_snapshot('named');
CALL mooncake.create_snapshot('old_format');
SELECT (compare('named')).*;
SELECT * FROM same_stored();
CALL mooncake.optimize('named');
CALL mooncake.optimize('old_format');
SELECT (compare('named')).*;
SELECT * FROM same_stored();
-- Digits beyond the fourth that are zero are display scale only. One that is not:
UPDATE src SET "Price" = 0.12345 WHERE id = 1;
SELECT "Price", (SELECT count(*) FROM named) FROM named WHERE id = 1;
DO $$
BEGIN
    FOR i IN 1..500 LOOP
        EXIT WHEN (SELECT count(*) FROM mooncake.inexact_columns) = 3;
        PERFORM pg_sleep(0.02);
    END LOOP;
END $$;
SELECT table_name, column_name, column_type FROM mooncake.inexact_columns ORDER BY 1, 2;
SELECT mooncake.count_inexact('every', 'amount'), (SELECT count(*) FROM src WHERE amount <> round(amount, 4)),
       mooncake.count_inexact('named', 'amount'), mooncake.count_inexact('every', 'Price'), mooncake.count_inexact('every', 'fixed');

-- Values that decimal(38, 4) does not have: the source has them, and nothing stops.
CREATE TABLE edge (id int PRIMARY KEY, n numeric, other int);
CALL mooncake.create_table('edges', 'edge', '{"numeric_scale": 4}');
CREATE FUNCTION try(value numeric) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE edge;
    INSERT INTO edge VALUES (1, 1.10, 1), (2, value, 2), (3, NULL, 3);
    RETURN value;
END $$;
SET mooncake.fallback = off;
BEGIN;
SELECT try('NaN');
COMMIT;
SELECT count(other), sum(id) FROM edges;
SELECT n FROM edges WHERE id = 1;
SET mooncake.fallback = on;
SELECT n FROM edges ORDER BY id;
CREATE PROCEDURE wait_inexact(mirror text) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..500 LOOP
        EXIT WHEN EXISTS (SELECT FROM mooncake.inexact_columns WHERE table_name = mirror);
        COMMIT;
        PERFORM pg_sleep(0.02);
    END LOOP;
END $$;
CALL wait_inexact('edges');
SELECT column_name FROM mooncake.inexact_columns WHERE table_name = 'edges';
UPDATE edge SET other = other + 1;
DELETE FROM edge WHERE id = 2;
SELECT * FROM edges ORDER BY id;
SELECT mooncake.count_inexact('edges', 'n');
CALL mooncake.rebuild_table('edges');
SELECT column_name FROM mooncake.inexact_columns WHERE table_name = 'edges';
SELECT (compare('edges')).*;
DO $$
DECLARE
    value numeric;
    counted int;
BEGIN
    FOREACH value IN ARRAY ARRAY['Infinity', '-Infinity', '0.00001', '-1.23456', '10000000000000000000000000000000000', '-10000000000000000000000000000000000.0', '1e100', '1e-1000',
                                 '1.0000000', '9999999999999999999999999999999999', '-0.9999', '1e-4']::numeric[] LOOP
        PERFORM try(value);
        SELECT mooncake.count_inexact('edges', 'n') INTO counted;
        RAISE WARNING '% %', left(value::text, 60), CASE counted WHEN 0 THEN 'fits' ELSE 'is the source''s' END;
    END LOOP;
END $$;

-- Keys
CREATE TABLE by_number (k numeric PRIMARY KEY, t text);
INSERT INTO by_number SELECT i / 8.0, 'row ' || i FROM generate_series(1, 3000) i;
INSERT INTO by_number VALUES (-1, 'minus'), (5000.50, 'x'), (1e20, 'big');
CALL mooncake.create_table('by_numbers', 'by_number', '{"numeric_scale": 6}');
UPDATE by_number SET t = 'changed' WHERE k BETWEEN 100 AND 110;
UPDATE by_number SET k = k + 0.100 WHERE k > 370;
UPDATE by_number SET k = 5000.5 WHERE k = 5000.50;
DELETE FROM by_number WHERE k < 3;
SELECT (compare('by_numbers')).*;
CALL mooncake.create_snapshot('by_numbers');
DELETE FROM by_number WHERE k > 300 AND k < 360;
UPDATE by_number SET t = NULL WHERE k = 1e20;
SELECT (compare('by_numbers')).*;
CALL mooncake.optimize('by_numbers');
UPDATE by_number SET t = 'again' WHERE t = 'changed';
SELECT (compare('by_numbers')).*;
-- A key that does not fit is no other row's.
INSERT INTO by_number VALUES ('NaN', 'nan'), (1e60, 'huge'), (0.0000001, 'tiny');
SELECT t FROM by_numbers WHERE t ~ '^(nan|huge|tiny)' ORDER BY t;
DELETE FROM by_number WHERE t = 'huge';
SELECT t FROM by_numbers WHERE t ~ '^(nan|huge|tiny)' ORDER BY t;
DELETE FROM by_number WHERE k = 'NaN' OR k = 0.0000001;
CALL mooncake.rebuild_table('by_numbers');
SELECT (compare('by_numbers')).*;

-- Columns without NULLs are required in the Iceberg table, until one has a NULL in place of a value.
CREATE TABLE required (id int PRIMARY KEY, n numeric NOT NULL, p numeric(5,2) NOT NULL);
INSERT INTO required VALUES (1, 1, 1);
CALL mooncake.create_table('required_mir', 'required', '{"numeric_scale": 2}');
CREATE FUNCTION required(mirror text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(f ->> 'name', ' ') FROM locations l, LATERAL (SELECT pg_read_file(l.metadata_location)::json AS data) m,
           json_array_elements(data -> 'schemas') s, json_array_elements(s -> 'fields') f
     WHERE l.table_name = mirror AND (s ->> 'schema-id') = data ->> 'current-schema-id' AND f ->> 'required' = 'true'
$$;
SELECT required('required_mir');
INSERT INTO required VALUES (2, 1.001, 1);
CALL mooncake.create_snapshot('required_mir');
SELECT required('required_mir');
INSERT INTO required VALUES (3, 1, 'NaN');
CALL mooncake.create_snapshot('required_mir');
SELECT required('required_mir');
CALL mooncake.rebuild_table('required_mir');
SELECT required('required_mir');
DELETE FROM required WHERE id > 1;
CALL mooncake.rebuild_table('required_mir');
SELECT required('required_mir');

-- DDL
CREATE TABLE alt (id int PRIMARY KEY, a numeric, b numeric(8,3), c int);
INSERT INTO alt SELECT i, i / 4.0, i / 8.0, i FROM generate_series(1, 1000) i;
CALL mooncake.create_table('alt_all', 'alt', '{"numeric_scale": 9}');
CALL mooncake.create_table('alt_a', 'alt', '{"numeric_scale": {"a": 9}}');
CREATE FUNCTION scales(mirror text) RETURNS TABLE (column_name text, type text) LANGUAGE plpgsql AS $$
DECLARE
    data json;
BEGIN
    EXECUTE format('CALL mooncake.create_snapshot(%L)', mirror);
    SELECT pg_read_file(metadata_location)::json INTO data FROM locations WHERE table_name = mirror;
    RETURN QUERY SELECT f ->> 'name', f ->> 'type' FROM json_array_elements(data -> 'schemas') s, json_array_elements(s -> 'fields') f
                  WHERE (s ->> 'schema-id') = data ->> 'current-schema-id' AND f ->> 'name' NOT IN ('id', 'c');
END $$;
SELECT * FROM scales('alt_all');
SELECT * FROM scales('alt_a');
-- A column that comes later has the scale for all, and none of its own; names are followed.
ALTER TABLE alt ADD COLUMN late numeric;
ALTER TABLE alt RENAME COLUMN a TO x;
UPDATE alt SET late = id / 16.0 WHERE id % 3 = 0;
SELECT (compare('alt_all')).*;
SELECT (compare('alt_a')).*;
SELECT * FROM scales('alt_all');
SELECT * FROM scales('alt_a');
SELECT table_name, numeric_scale FROM mooncake.mirror_options WHERE table_name LIKE 'alt%' ORDER BY 1;
SELECT (compare('alt_all')).*;
-- Types: what changes the form of values orders a copy.
ALTER TABLE alt ALTER COLUMN b TYPE numeric;
CALL wait_live('alt_all');
CALL wait_live('alt_a');
SELECT (compare('alt_all')).*;
SELECT (compare('alt_a')).*;
SELECT * FROM scales('alt_all');
SELECT * FROM scales('alt_a');
ALTER TABLE alt ALTER COLUMN x TYPE numeric(12,2);
CALL wait_live('alt_all');
CALL wait_live('alt_a');
SELECT (compare('alt_all')).*;
SELECT * FROM scales('alt_a');
ALTER TABLE alt ALTER COLUMN x TYPE money_like;
CALL wait_live('alt_all');
CALL wait_live('alt_a');
SELECT (compare('alt_a')).*;
SELECT * FROM scales('alt_a');
ALTER TABLE alt DROP COLUMN x;
ALTER TABLE alt ADD COLUMN x numeric;
UPDATE alt SET x = 3.14 WHERE id = 3;
SELECT (compare('alt_a')).*;
SELECT * FROM scales('alt_a');
SELECT * FROM scales('alt_all');
SELECT table_name, numeric_scale FROM mooncake.mirror_options WHERE table_name LIKE 'alt%' ORDER BY 1;
BEGIN;
ALTER TABLE alt ADD COLUMN "x$scale" int;
UPDATE alt SET "x$scale" = 7 WHERE id = 3;
COMMIT;
SELECT (compare('alt_all')).*;
SELECT * FROM scales('alt_all');
CALL mooncake.rebuild_table('alt_all');
SELECT (compare('alt_all')).*;

-- Partitions, identity full, and sorted files
CREATE TABLE parts (a numeric, id int, b numeric) PARTITION BY RANGE (id);
CREATE TABLE part_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
CREATE TABLE part_2 (b numeric, gone int, id int, a numeric);
ALTER TABLE part_2 DROP COLUMN gone;
ALTER TABLE parts ATTACH PARTITION part_2 FOR VALUES FROM (100) TO (200);
ALTER TABLE parts REPLICA IDENTITY FULL;
ALTER TABLE part_1 REPLICA IDENTITY FULL;
ALTER TABLE part_2 REPLICA IDENTITY FULL;
INSERT INTO parts SELECT i / 2.0, i % 200, i % 3 FROM generate_series(1, 1000) i;
CALL mooncake.create_table('parts_mir', 'parts', '{"identity": "full", "format_version": 2, "sort_column": ["id"], "numeric_scale": {"a": 17, "b": 0}, "columns": ["a", "b", "id"]}');
SELECT (compare('parts_mir')).*;
UPDATE parts SET id = id + 100 WHERE id = 7;
UPDATE parts SET b = b + 1.000 WHERE id BETWEEN 90 AND 110;
DELETE FROM parts WHERE a = 7.5;
INSERT INTO parts VALUES (1, 5, 2), (1.0, 5, 2), (1.0, 5, 2.00), (1.0, 5, 2.00), (NULL, 5, NULL), (NULL, 5, NULL);
CALL mooncake.create_snapshot('parts_mir');
DELETE FROM parts WHERE ctid = (SELECT min(ctid) FROM parts WHERE id = 5 AND a = 1.0 AND b::text = '2.00') AND tableoid = 'part_1'::regclass;
DELETE FROM parts WHERE ctid = (SELECT min(ctid) FROM parts WHERE id = 5 AND a IS NULL) AND tableoid = 'part_1'::regclass;
SELECT (compare('parts_mir')).*;
SELECT a, b FROM parts_mir WHERE id = 5 AND (a = 1 OR a IS NULL) ORDER BY a::text, b::text;
DROP TABLE part_1;
SELECT (compare('parts_mir')).*;

-- The ends of the range, with conditions around them
CREATE TABLE ends (id int PRIMARY KEY, n numeric);
INSERT INTO ends VALUES (1, 0.99999999999999999999999999999999999999), (2, -0.00000000000000000000000000000000000001), (3, 0);
CALL mooncake.create_table('ends_38', 'ends', '{"numeric_scale": 38}');
SET mooncake.fallback = off;
SELECT * FROM ends_38 ORDER BY id;
SELECT id FROM ends_38 WHERE n > 0.5;
SELECT id FROM ends_38 WHERE n < 0;
SELECT id FROM ends_38 WHERE n >= 1;
SELECT id FROM ends_38 WHERE n = 0.0;
SELECT id FROM ends_38 WHERE n > -1e20 AND n < 1e20 AND n <> 0 ORDER BY id;
DELETE FROM ends;
INSERT INTO ends VALUES (1, 99999999999999999999999999999999999999), (2, -99999999999999999999999999999999999999), (3, 0.000);
CALL mooncake.create_table('ends_0', 'ends', '{"numeric_scale": 0}');
SELECT * FROM ends_0 WHERE n >= -99999999999999999999999999999999999999 ORDER BY id;
SELECT id FROM ends_0 WHERE n > 99999999999999999999999999999999999998.5;
SELECT id FROM ends_0 WHERE n <= -99999999999999999999999999999999999998.0001;
SELECT id FROM ends_0 WHERE n > 99999999999999999999999999999999999999;
SELECT id FROM ends_0 WHERE n < -99999999999999999999999999999999999999 OR n = -99999999999999999999999999999999999999.5;
SELECT sum(n), sum(abs(n)), avg(n) FROM ends_0;
SET mooncake.fallback = on;

-- Every option with every other: what queries say does not depend on them.
CREATE TABLE mixed (k numeric NOT NULL, id int NOT NULL, n numeric, t text, PRIMARY KEY (k, id));
ALTER TABLE mixed REPLICA IDENTITY FULL;
INSERT INTO mixed SELECT round(i / 4.0, i % 4), i, CASE WHEN i % 7 > 0 THEN round(i * 1.1, i % 3) END, 't' || i FROM generate_series(1, 500) i;
CREATE TABLE mixes (name text, options jsonb);
INSERT INTO mixes SELECT 'mix_' || row_number() OVER (), v.o || s.o || n.o || c.o || i.o
  FROM (VALUES (jsonb '{}'), ('{"format_version": 2}')) v(o), (VALUES (jsonb '{}'), ('{"sort_column": ["n", "id"]}')) s(o),
       (VALUES (jsonb '{"numeric_scale": 5}'), ('{"numeric_scale": {"n": 3}}')) n(o), (VALUES (jsonb '{}'), ('{"columns": ["n", "k", "id"]}')) c(o),
       (VALUES (jsonb '{"identity": "full"}'), ('{"identity": "append_only"}')) i(o);
DO $$
DECLARE
    mix record;
BEGIN
    FOR mix IN SELECT * FROM mixes LOOP
        EXECUTE format('CALL mooncake.create_table(%L, %L, %L, wait => false)', mix.name, 'mixed', mix.options);
    END LOOP;
END $$;
CREATE PROCEDURE check_mixes(why text, append_only boolean) LANGUAGE plpgsql AS $$
DECLARE
    mix record;
    want text;
    got text;
    checked int := 0;
BEGIN
    FOR mix IN SELECT * FROM mixes WHERE append_only OR options ->> 'identity' <> 'append_only' LOOP
        CALL wait_live(mix.name::regclass);
        EXECUTE format('CALL mooncake.create_snapshot(%L)', mix.name);
        SET mooncake.fallback = off;
        EXECUTE format('SELECT string_agg(row(k, id, n)::text, %L ORDER BY id) FROM %I WHERE n > 5.5 OR n IS NULL', ' ', mix.name) INTO got;
        SET mooncake.fallback = on;
        SELECT string_agg(row(k, id, n)::text, ' ' ORDER BY id) INTO want FROM mixed WHERE n > 5.5 OR n IS NULL;
        IF got IS DISTINCT FROM want THEN RAISE WARNING '%: % differs', why, mix; END IF;
        checked := checked + 1;
    END LOOP;
    RAISE WARNING '%: % mirrors', why, checked;
END $$;
CALL check_mixes('copied', true);
INSERT INTO mixed SELECT round(i / 4.0, i % 4), i, round(i * 1.1, i % 4), 't' || i FROM generate_series(501, 600) i;
CALL check_mixes('inserted', true);
DO $$
DECLARE
    mix record;
BEGIN
    FOR mix IN DELETE FROM mixes WHERE options ->> 'identity' = 'append_only' RETURNING name LOOP
        EXECUTE format('DROP TABLE %I', mix.name);
    END LOOP;
END $$;
UPDATE mixed SET n = -n, k = k + 0.10 WHERE id % 9 = 0;
DELETE FROM mixed WHERE id % 10 = 3;
ALTER TABLE mixed RENAME COLUMN t TO u;
CALL check_mixes('changed', false);
DO $$
DECLARE
    mix record;
BEGIN
    FOR mix IN SELECT * FROM mixes LOOP EXECUTE format('CALL mooncake.optimize(%L)', mix.name); END LOOP;
END $$;
CALL check_mixes('rewritten', false);

SET client_min_messages = error;
DROP SCHEMA ns CASCADE;
