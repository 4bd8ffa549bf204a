-- SPDX-License-Identifier: Apache-2.0
-- Lake functions on local files. Relative paths are those of the data directory, so that messages are the same everywhere.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_mooncake CASCADE;
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SELECT current_setting('data_directory') AS dir \gset
\set csv :dir '/lake_events.csv'
\set json :dir '/lake_events.json'
\set parquet :dir '/lake_events.parquet'
\set quoted :dir '/lake ''odd'' name.csv'
CREATE TABLE events (user_id int, event_type text, created_at timestamp, amount numeric(10,2), zip text);
INSERT INTO events VALUES (1, 'click', '2023-05-01 10:00:00', 1.50, '00123'), (2, 'view', '2022-05-01 10:00:00', 2.25, '04567'),
                          (3, NULL, '2024-01-01 00:00:00', NULL, '99999');
COPY (SELECT * FROM events ORDER BY user_id) TO :'csv' (FORMAT csv, HEADER);
COPY (SELECT 1 AS "a b", 'x' AS "Q") TO :'quoted' (FORMAT csv, HEADER);
COPY (SELECT json_build_object('user_id', user_id, 'event_type', event_type, 'created_at', created_at, 'tags', ARRAY['a"', 'b\'],
                               'o', json_build_object('x', user_id)) FROM events ORDER BY user_id)
    TO :'json' (FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02');
COPY events TO :'parquet';

-- the forms of the manual
SELECT user_id, event_type, created_at
FROM mooncake.read_parquet('lake_events.parquet') AS (user_id INT, event_type TEXT, created_at TIMESTAMP)
WHERE created_at > '2023-01-01' ORDER BY 1;
SELECT r['user_id']::INT, r['event_type'], r['created_at']::TIMESTAMP
FROM mooncake.read_csv('lake_events.csv', AUTO_DETECT => TRUE) r
WHERE r['created_at']::TIMESTAMP > '2023-01-01' ORDER BY 1;
SELECT * FROM mooncake.read_csv('lake_events.csv', HEADER => TRUE, DELIMITER => ',', AUTO_DETECT => TRUE) ORDER BY 1;
SELECT json_extract_path_text(data, 'user_id')::INT AS user_id, json_extract_path_text(data, 'event_type') AS event_type,
       json_extract_path_text(data, 'created_at')::TIMESTAMP AS created_at
FROM mooncake.read_json('lake_events.json') AS (data JSONB)
WHERE json_extract_path_text(data, 'created_at')::TIMESTAMP > '2023-01-01' ORDER BY 1;
SELECT u.x, e.event_type FROM (VALUES (1, 'one'), (2, 'two')) u(id, x)
JOIN mooncake.read_parquet('lake_events.parquet') AS e(user_id INT, event_type TEXT) ON u.id = e.user_id ORDER BY 1;

-- column definition lists: by name, in any order, cast as Postgres casts; text and numerics as they stand in the file
SELECT * FROM mooncake.read_csv('lake_events.csv') AS e(zip text, amount numeric, user_id text, created_at date) ORDER BY user_id;
SELECT * FROM mooncake.read_csv('lake_events.csv') AS e("USER_ID" bigint) ORDER BY 1;
CREATE DOMAIN small AS int CHECK (VALUE < 3);
SELECT * FROM mooncake.read_csv('lake_events.csv') AS e(user_id small);
SELECT * FROM mooncake.read_csv('lake_events.csv') AS e(event_type int);
SELECT * FROM mooncake.read_csv('lake_events.csv') AS e(nothing int);
SELECT * FROM mooncake.read_csv('lake_events.csv') AS e(user_id uuid);
SELECT * FROM mooncake.read_csv('lake_nothing.csv') AS e(user_id int);
SELECT * FROM mooncake.read_csv('lake ''odd'' name.csv') AS e("a b" int, "Q" text);
SELECT * FROM mooncake.read_csv(ARRAY['lake_events.csv', 'lake_events.csv']) AS e(user_id int) ORDER BY 1;
SELECT count(*) FROM mooncake.read_csv('lake_events.csv', row_type => NULL::events);
SELECT * FROM mooncake.read_csv('lake_events.csv', delimiter => ''';--') LIMIT 0;
SELECT * FROM mooncake.read_csv('lake_events.csv', nothing => 1) AS e(user_id int);

-- without one
SELECT user_id, amount * 2 AS twice FROM mooncake.read_parquet('lake_events.parquet') WHERE amount > 2;
SELECT r.*, r.user_id + 1 AS next FROM mooncake.read_parquet('lake_events.parquet') r ORDER BY user_id LIMIT 1;
SELECT user_id FROM (SELECT * FROM mooncake.read_csv('lake_events.csv')) s ORDER BY 1;
WITH w AS (SELECT * FROM mooncake.read_csv('lake_events.csv')) SELECT max(user_id), count(DISTINCT event_type) FROM w;
SELECT r['event_type'], sum(r['amount']), count(*) FROM mooncake.read_csv('lake_events.csv') r GROUP BY r['event_type'] ORDER BY 1;
SELECT r['o']['x'], r['tags'], r['tags'][1] FROM mooncake.read_json('lake_events.json') r ORDER BY 1;
SELECT * FROM mooncake.read_csv('lake_events.csv') UNION SELECT * FROM mooncake.read_csv('lake_events.csv') ORDER BY 1;
SELECT a.user_id, b.event_type FROM mooncake.read_csv('lake_events.csv') a
LEFT JOIN mooncake.read_json('lake_events.json') b ON a.user_id = b.user_id AND b.user_id > 1 ORDER BY 1;
SELECT r['nothing'] FROM mooncake.read_csv('lake_events.csv') r;
SELECT nothing FROM mooncake.read_csv('lake_events.csv') r;
SELECT (mooncake.read_csv('lake_events.csv', header => true))['user_id'] ORDER BY 1;
CREATE VIEW lake_star AS SELECT * FROM mooncake.read_csv('lake_events.csv');
SELECT pg_get_viewdef('lake_star');
SELECT * FROM lake_star WHERE user_id = 2;
CREATE TABLE lake_loaded AS SELECT r['user_id'], r['zip'] FROM mooncake.read_csv('lake_events.csv') r;
INSERT INTO events SELECT * FROM mooncake.read_parquet('lake_events.parquet') WHERE user_id = 1;
SELECT count(*) FROM events;
DELETE FROM events WHERE ctid <> ALL (ARRAY(SELECT min(ctid) FROM events GROUP BY user_id));
MERGE INTO events USING mooncake.read_parquet('lake_events.parquet') s ON events.user_id = s.user_id AND s.user_id = 3
WHEN MATCHED THEN UPDATE SET zip = 'merged';
SELECT count(*) FROM events WHERE zip = 'merged';
UPDATE events SET zip = e.event_type FROM mooncake.read_parquet('lake_events.parquet') AS e(user_id int, event_type text)
WHERE e.user_id = events.user_id AND e.user_id = 1 RETURNING zip;

-- prepared statements, PL/pgSQL, cursors, lateral calls
PREPARE by_path(text) AS SELECT sum(user_id) FROM mooncake.read_csv($1) AS e(user_id int);
EXECUTE by_path('lake_events.csv');
EXECUTE by_path('lake_events.csv');
EXECUTE by_path('lake_nothing.csv');
PREPARE by_value(int) AS SELECT event_type FROM mooncake.read_csv('lake_events.csv') WHERE user_id = $1;
EXECUTE by_value(2);
DO $$
DECLARE
    row record;
    file text := 'lake_events.csv';
BEGIN
    FOR row IN SELECT * FROM mooncake.read_csv('lake_events.csv') WHERE user_id < 3 ORDER BY 1 LOOP RAISE WARNING '%', row; END LOOP;
    FOR row IN SELECT r['user_id']::int AS id FROM mooncake.read_csv(file) r ORDER BY 1 LOOP RAISE WARNING '%', row; END LOOP;
    RAISE WARNING '%', (SELECT count(*) FROM mooncake.read_csv('lake_events.csv'));
END $$;
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT user_id FROM mooncake.read_csv('lake_events.csv') ORDER BY 1;
FETCH 2 FROM c;
FETCH BACKWARD 1 FROM c;
SAVEPOINT s;
SELECT * FROM mooncake.read_csv('lake_nothing.csv');
ROLLBACK TO s;
SELECT count(*) FROM mooncake.read_csv('lake_events.csv');
COMMIT;
SELECT f.file, e.user_id FROM (VALUES ('lake_events.csv')) f(file), LATERAL mooncake.read_csv(f.file) AS e(user_id int) ORDER BY 2;
SELECT * FROM ROWS FROM (mooncake.read_csv('lake_events.csv') AS (user_id int), generate_series(1, 2)) WITH ORDINALITY;

-- plans: whole, scan, and none
EXPLAIN (COSTS OFF) SELECT count(*) FROM mooncake.read_parquet('lake_events.parquet') WHERE user_id > 1;
EXPLAIN (COSTS OFF) SELECT * FROM mooncake.read_csv('lake_events.csv') AS e(user_id int, created_at date)
WHERE created_at > '2023-01-01' AND user_id > 1;
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) CREATE TABLE lake_explained AS
SELECT * FROM mooncake.read_csv('lake_events.csv') LIMIT 0;
DROP TABLE lake_explained;
SET mooncake.execution = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM mooncake.read_parquet('lake_events.parquet') WHERE user_id > 1;
SELECT count(*) FROM mooncake.read_parquet('lake_events.parquet') WHERE user_id > 1;
RESET mooncake.execution;

-- a file that changes between planning and execution
PREPARE changing AS SELECT * FROM mooncake.read_csv('lake_events.csv') AS e(user_id numeric) ORDER BY 1;
EXECUTE changing;
COPY (SELECT 'x' AS other, 1.25 AS user_id) TO :'csv' (FORMAT csv, HEADER);
EXECUTE changing;
DEALLOCATE changing;

-- files with a view of their own
SELECT * FROM mooncake.describe('lake_events.parquet');
SELECT column_name, column_type FROM mooncake.describe('lake_events.csv', options => '{"all_varchar": true}');
SELECT * FROM mooncake.describe('lake_events.csv', options => '{"nothing": true}');
SELECT * FROM mooncake.describe('lake_events.unknown');
SELECT * FROM mooncake.describe('lake_events.unknown', 'excel');
CALL mooncake.create_view('public."Lake view"', 'lake_events.parquet');
SELECT count(*) FROM "Lake view";
CALL mooncake.create_view('lake_options', 'lake_events.csv', options => '{"header": true, "types": {"user_id": "VARCHAR"}}');
SELECT pg_get_viewdef('lake_options');

-- COPY
CREATE TABLE copied (LIKE events);
COPY copied FROM :'parquet';
SELECT * FROM copied ORDER BY 1;
COPY copied (zip, user_id) FROM :'parquet' (FORMAT parquet);
SELECT count(*), count(event_type) FROM copied;
COPY (SELECT user_id, amount FROM copied WHERE zip = '00123') TO :'json' (FORMAT 'json');
SELECT * FROM mooncake.read_json('lake_events.json') AS e(user_id int, amount numeric) ORDER BY 2;
COPY copied TO 'relative.parquet';
COPY copied TO :'parquet' (FORMAT parquet, nothing 1);
TRUNCATE copied;
COPY copied FROM :'parquet' WHERE user_id > 1 AND event_type IS NOT NULL;
SELECT user_id, event_type FROM copied ORDER BY 1;
\set VERBOSITY sqlstate
COPY copied FROM :'parquet' WHERE nothing > 1;
\set VERBOSITY default
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.zip := 'stamped'; RETURN NEW; END $$;
CREATE TRIGGER stamp BEFORE INSERT ON copied FOR EACH ROW EXECUTE FUNCTION stamp();
COPY copied FROM :'parquet' WHERE user_id = 1;
SELECT user_id, zip FROM copied ORDER BY 1;
COPY copied TO '/nothing/x.parquet';
COPY (INSERT INTO copied DEFAULT VALUES RETURNING *) TO :'parquet';

DROP VIEW lake_star, "Lake view", lake_options;
DROP TABLE events, lake_loaded, copied;
DROP DOMAIN small;
