-- SPDX-License-Identifier: Apache-2.0
-- Option sort_column: checked, kept, shown; follows renames and drops. (That files are sorted: test/storage.)
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_mooncake CASCADE;
CREATE SCHEMA so;
SET search_path = so, public;
\set SHOW_CONTEXT never

CREATE TABLE src (id int PRIMARY KEY, "Day" date, gone text, name text, v int GENERATED ALWAYS AS (id * 2) VIRTUAL,
                  j json, n numeric, i interval, x int[], d numeric(8,2));
INSERT INTO src (id, "Day", gone, name, n, d) SELECT i, CASE WHEN i % 100 > 0 THEN date '2020-01-01' + i * 7919 % 1000 END, i % 3, 'n' || i % 50, i, i / 3.0
  FROM generate_series(1, 5000) i;

-- What is wrong with it
DO $$
DECLARE
    option text;
    state text; message text; detail text; hint text;
BEGIN
    FOREACH option IN ARRAY ARRAY[
        '{"sort_column": 1}', '{"sort_column": []}', '{"sort_column": [1]}', '{"sort_column": ["id", ["d"]]}', '{"sort_column": "nothing"}', '{"sort_column": "day"}',
        '{"sort_column": ["d", "d"]}', '{"sort_column": "v"}', '{"sort_column": "j"}', '{"sort_column": "n"}', '{"sort_column": "i"}',
        '{"sort_column": ["id", "x"]}', '{"columns": ["id"], "sort_column": "d"}', '{"sort_column": "ctid"}'] LOOP
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

CALL mooncake.create_table('mir', 'src', '{"sort_column": ["Day", "gone", "name"]}');
SELECT sort_columns FROM mooncake.mirror_options WHERE table_name = 'mir';

SELECT count(*), sum(id), count("Day") FROM mir;

-- It follows the columns; what comes after one that goes orders nothing by itself.
ALTER TABLE src RENAME COLUMN "Day" TO day;
ALTER TABLE src RENAME COLUMN d TO "Day";
SELECT sort_columns FROM mooncake.mirror_options WHERE table_name = 'mir';
BEGIN;
ALTER TABLE src DROP COLUMN gone;
SELECT sort_columns FROM mooncake.mirror_options WHERE table_name = 'mir';
ROLLBACK;
SELECT sort_columns FROM mooncake.mirror_options WHERE table_name = 'mir';
ALTER TABLE src DROP COLUMN gone;
UPDATE src SET day = day + 1 WHERE id % 2 = 0;
CALL mooncake.create_snapshot('mir');
SELECT sort_columns FROM mooncake.mirror_options WHERE table_name = 'mir';
SELECT day, count(*), sum(id) FROM mir WHERE day < date '2020-01-05' GROUP BY day ORDER BY day;
ALTER TABLE src DROP COLUMN day;
SELECT sort_columns FROM mooncake.mirror_options WHERE table_name = 'mir';
DELETE FROM src WHERE id > 4000;
CALL mooncake.create_snapshot('mir');
SELECT count(*), sum(id), max(name) FROM mir;

-- A type that no longer sorts as its values do ends the order as well, until it does again.
CREATE TABLE typed (id int PRIMARY KEY, k numeric(8,2));
INSERT INTO typed SELECT i, 1000 - i FROM generate_series(1, 1000) i;
CALL mooncake.create_table('typed_mir', 'typed', '{"sort_column": "k"}');
ALTER TABLE typed ALTER COLUMN k TYPE numeric;
INSERT INTO typed SELECT i, i + 0.125 FROM generate_series(1001, 2000) i;
SELECT sort_columns FROM mooncake.mirror_options WHERE table_name = 'typed_mir';
SELECT count(*), sum(k) FROM typed_mir WHERE k > 500;
DROP SCHEMA so CASCADE;
