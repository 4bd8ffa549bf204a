-- SPDX-License-Identifier: Apache-2.0
-- The options of create_table: each is checked, kept, shown, and does what it says.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_mooncake CASCADE;
CREATE SCHEMA op;
SET search_path = op, public;
\set SHOW_CONTEXT never

CREATE TABLE src (id int PRIMARY KEY, a int, b text, v int GENERATED ALWAYS AS (a * 2) VIRTUAL, s int GENERATED ALWAYS AS (a + 1) STORED);
INSERT INTO src (id, a, b) SELECT i, i * 10, 'b' || i FROM generate_series(1, 1000) i;

-- What is wrong with them
DO $$
DECLARE
    option text;
    state text; message text; detail text; hint text;
BEGIN
    FOREACH option IN ARRAY ARRAY[
        '[]', '"x"', '{"unknown": 1}', '{"wait": 1}', '{"identity": 1}', '{"identity": "no_such_index"}', '{"identity": "full"}',
        '{"columns": "id"}', '{"columns": []}', '{"columns": [1]}', '{"columns": ["id", "nothing"]}', '{"columns": ["a"]}', '{"columns": ["id", "v"]}',
        '{"flush_interval": true}', '{"flush_interval": "soon"}', '{"flush_interval": 0}', '{"flush_interval": "-1 s"}', '{"flush_interval": "2 days"}',
        '{"flush_rows": "5"}', '{"flush_rows": 0}', '{"flush_rows": 1.5}', '{"flush_rows": 1e30}', '{"flush_size": "1 kB"}', '{"flush_size": null}', '{"flush_size": "much"}',
        '{"location": "relative"}', '{"location": "gs://bucket/x"}', '{"location": "s3://"}', '{"location": "s3://b/x"}', '{"location": "s3://bucket/a b"}',
        '{"location": "s3://bucket/a//b"}', '{"location": "s3://bucket/../b"}', '{"location": "s3://bucket/x?s3_endpoint=host"}', '{"location": "/no/such/folder"}', '{"location": "/dev/null"}', '{"location": "/tmp/a b"}',
        '{"format_version": 4}', '{"format_version": 1}', '{"format_version": "3"}', '{"sort": "a"}', '{"numeric_scale": {"a": 4}}'] LOOP
        BEGIN
            CALL mooncake.create_table('mir', 'src', option::jsonb);
            RAISE WARNING '%: no error', option;
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
            RAISE WARNING '% % %|%|%', option, state, message, detail, hint;
        END;
    END LOOP;
END $$;
SELECT to_regclass('mir');

-- Folders are for those who may write files.
CREATE ROLE op_user;
GRANT CREATE, USAGE ON SCHEMA op TO op_user;
CREATE TABLE users_table (id int PRIMARY KEY);
ALTER TABLE users_table OWNER TO op_user;
SET ROLE op_user;
CALL mooncake.create_table('mir', 'users_table', '{"location": "/tmp"}');
RESET ROLE;

-- Kept and shown
CALL mooncake.create_table('mir', 'src', '{"identity": "primary_key", "flush_interval": "0.2 s", "flush_rows": 7, "flush_size": "64 MB", "format_version": 3}');
SELECT * FROM mooncake.mirror_options WHERE table_name = 'mir';
CALL mooncake.create_table('mir_plain', 'src');
SELECT * FROM mooncake.mirror_options WHERE table_name = 'mir_plain';
-- Names that do not exist, or are none, are no errors.
SELECT count(*) FROM mooncake.mirror_options WHERE table_name IN ('no such', 'a.b.c', '');

-- The same as named arguments, mixed with JSON, and what is wrong with those
CALL mooncake.create_table('mir_named', 'src', identity => 'primary_key', flush_interval => '0.2 s', flush_rows => 7, flush_size => '64 MB', format_version => 3);
CALL mooncake.create_table('mir_mixed', 'src', '{"flush_rows": 7}', columns => '{id,a}', flush_interval => '1 hour', wait => false);
SELECT table_name, identity, stored_columns, flush_interval, flush_rows, flush_bytes FROM mooncake.mirror_options WHERE table_name ~ '^mir_(named|mixed)$' ORDER BY 1;
DROP TABLE mir_named, mir_mixed;
CALL mooncake.create_table('mir_named', 'src', '{"flush_rows": 7}', flush_rows => 7);
CALL mooncake.create_table('mir_named', 'src', '[]', flush_rows => 7);
CALL mooncake.create_table('mir_named', 'src', flush_rows => 0);
CALL mooncake.create_table('mir_named', 'src', flush_interval => '2 days');
CALL mooncake.create_table('mir_named', 'src', columns => '{}');
CALL mooncake.create_table('mir_named', 'src', columns => '{id,NULL}');
CALL mooncake.create_table('mir_named', 'src', columns => '{id,"no such"}');
CALL mooncake.create_table('mir_named', 'src', no_such => 1);
SELECT to_regclass('mir_named');

-- A flush comes by itself, soon for the one, not for the other.
INSERT INTO src (id, a) VALUES (2001, 1);
DO $$
BEGIN
    FOR i IN 1..500 LOOP
        EXIT WHEN (SELECT rows_in_files FROM mooncake.columnstore_tables WHERE table_name = 'mir') = 1001;
        PERFORM pg_sleep(0.02);
    END LOOP;
END $$;
SELECT table_name, rows_in_files FROM mooncake.columnstore_tables WHERE source_table = 'src' ORDER BY 1;
SELECT (SELECT count(*) FROM mir), (SELECT count(*) FROM mir_plain);

-- Columns that are not stored are the row table's: the same answers, whatever a query asks for.
CALL mooncake.create_table('mir_part', 'src', '{"columns": ["id", "a"]}');
SELECT stored_columns FROM mooncake.mirror_options WHERE table_name = 'mir_part';
CREATE FUNCTION served_by(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
    RETURN CASE WHEN plan::text LIKE '%ColumnarScan%' THEN 'engine' ELSE 'row table' END;
END $$;
SELECT served_by('SELECT count(*), sum(a) FROM mir_part'),
       served_by('SELECT count(b) FROM mir_part'),
       served_by('SELECT * FROM mir_part'),
       served_by('SELECT m FROM mir_part m'),
       served_by('SELECT sum(v) FROM mir_part'),
       served_by('SELECT sum(s) FROM mir_part'),
       served_by('SELECT sum(x.a) FROM mir_part x JOIN mir y ON x.id = y.id'),
       served_by('SELECT sum(x.a) FROM mir_part x JOIN mir y USING (id)'),
       served_by('SELECT count(b) FROM mir_part x FULL JOIN (SELECT text ''b1'' AS b) y USING (b)');
SELECT served_by('SELECT count(*) FROM mir_part x JOIN mir_part y USING (b)');
SELECT sum(a), count(b), sum(v), sum(s) FROM mir_part;
SELECT m FROM mir_part m WHERE id = 3;
SELECT x.id, y.b FROM mir_part x LEFT JOIN mir_part y ON y.id = x.id + 1 WHERE x.id < 3 ORDER BY 1;
UPDATE src SET b = 'changed' WHERE id = 3;
DELETE FROM src WHERE id = 4;
SELECT id, a, b FROM mir_part WHERE id < 5 ORDER BY 1;
SELECT count(*), sum(a) FROM mir_part;
-- They follow renames; new columns are not stored.
ALTER TABLE src RENAME COLUMN a TO amount;
ALTER TABLE src ADD COLUMN late int;
UPDATE src SET late = 1, amount = amount + 1 WHERE id <= 10;
SELECT stored_columns FROM mooncake.mirror_options WHERE table_name = 'mir_part';
SELECT served_by('SELECT sum(amount) FROM mir_part'), served_by('SELECT sum(late) FROM mir_part');
SELECT sum(amount), sum(late) FROM mir_part;
COPY (SELECT * FROM mir_part WHERE id < 3 ORDER BY id) TO STDOUT;

-- Another folder
SELECT regexp_replace(current_setting('data_directory'), '[^/]*$', 'warehouse') AS warehouse \gset
SELECT set_config('op.warehouse', :'warehouse', false) = :'warehouse' AS set;
DO $$ BEGIN EXECUTE format('COPY (SELECT 1) TO PROGRAM %L', 'mkdir ' || current_setting('op.warehouse')); END $$;
CALL mooncake.create_table('mir_away', 'src', location => :'warehouse' || '/');
SELECT regexp_replace(replace(location, :'warehouse', 'W'), 'ivy_[0-9a-f]+_\d+_[0-9a-f]+/op.mir_away-\d+$', 'X') AS location, count(*) OVER () FROM mooncake.columnstore_tables WHERE table_name = 'mir_away';
SELECT replace(warehouse, :'warehouse', 'W') AS warehouse FROM mooncake.mirror_options WHERE table_name = 'mir_away';
SELECT count(*), sum(amount) FROM mir_away;
CALL mooncake.rebuild_table('mir_away');
SELECT count(*), sum(amount) FROM mir_away;
SELECT regexp_replace(replace(location, :'warehouse', 'W'), 'ivy_[0-9a-f]+_\d+_[0-9a-f]+/op.mir_away-\d+', 'X') AS location FROM mooncake.columnstore_tables WHERE table_name = 'mir_away';

-- Rebuilding
CALL mooncake.rebuild_table('mir');
SELECT generation, state FROM mooncake.mirrors WHERE mirror = 'mir'::regclass;
CALL mooncake.rebuild_table('mir', wait => false);
SELECT count(*) FROM mir;
CALL mooncake.rebuild_table('src');
CALL mooncake.rebuild_table('nothing');
CALL mooncake.rebuild_table(NULL);
SET ROLE op_user;
CALL mooncake.rebuild_table('mir');
RESET ROLE;
BEGIN;
CALL mooncake.rebuild_table('mir_plain');
SELECT count(*) FROM mir_plain;
ROLLBACK;
SELECT generation, state FROM mooncake.mirrors WHERE mirror = 'mir_plain'::regclass;

DROP SCHEMA op CASCADE;
DROP ROLE op_user;
DO $$
BEGIN
    FOR i IN 1..500 LOOP
        EXIT WHEN NOT EXISTS (SELECT FROM mooncake.dropped);
        PERFORM pg_sleep(0.02);
    END LOOP;
END $$;
SELECT count(*) FROM pg_ls_dir(:'warehouse');
