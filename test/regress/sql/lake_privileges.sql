-- SPDX-License-Identifier: Apache-2.0
-- Who may read and write what by lake functions, COPY and secrets.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_mooncake CASCADE;
SELECT current_setting('data_directory') AS dir \gset
\set csv :dir '/lake_secret.csv'
COPY (SELECT 1 AS x) TO :'csv' (FORMAT csv, HEADER);
CREATE ROLE lake_none;
CREATE ROLE lake_reader IN ROLE pg_read_server_files;
CREATE VIEW lake_view AS SELECT * FROM mooncake.read_csv('lake_secret.csv');
CREATE FUNCTION lake_lent() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog
    RETURN (SELECT sum(x) FROM mooncake.read_csv('lake_secret.csv') AS e(x int));
GRANT SELECT ON lake_view TO lake_none, lake_reader;
PREPARE lake_planned AS SELECT * FROM mooncake.read_csv('lake_secret.csv') AS e(x int);
EXECUTE lake_planned;

SET ROLE lake_reader;
SELECT * FROM mooncake.read_csv('lake_secret.csv');
SELECT * FROM lake_view;
EXECUTE lake_planned;

-- no way around for others: other names of the file, globs, views, prepared statements, other readers
SET ROLE lake_none;
SELECT * FROM mooncake.read_csv('lake_secret.csv');
SELECT * FROM mooncake.read_csv('lake_secret.csv') AS e(x int);
SELECT * FROM mooncake.read_csv('*.csv') AS e(x int);
SELECT * FROM mooncake.read_csv('file:lake_secret.csv') AS e(x int);
SELECT * FROM mooncake.read_csv('file:///etc/passwd') AS e(x text);
SELECT * FROM mooncake.read_csv('FILE:///etc/passwd') AS e(x text);
SELECT * FROM mooncake.read_csv(ARRAY['s3://bucket/x.csv', '/etc/passwd']) AS e(x text);
SELECT * FROM mooncake.read_csv('s3://../../etc/passwd') AS e(x text);
SELECT * FROM mooncake.read_csv('zipfs:///etc/passwd') AS e(x text);
SELECT * FROM mooncake.read_parquet('lake_secret.csv') AS e(x text);
SELECT * FROM mooncake.read_json('lake_secret.csv') AS e(x json);
SELECT * FROM iceberg_scan('pg_mooncake') AS e(x text);
SELECT * FROM delta_scan('pg_mooncake') AS e(x text);
SELECT * FROM iceberg_metadata('pg_mooncake');
SELECT * FROM mooncake.describe('lake_secret.csv');
CALL mooncake.create_view('lake_mine', 'lake_secret.csv');
SELECT * FROM lake_view;
EXECUTE lake_planned;
EXPLAIN SELECT * FROM mooncake.read_csv('lake_secret.csv') AS e(x int);
COPY (SELECT 1 AS x) TO '/lake_secret.parquet';
COPY (SELECT 1 AS x) TO 's3://bucket/x.parquet';
-- what a definer lends is lent
SELECT lake_lent();
-- settings
SET duckdb.lake_network_role = 'public';

-- EXECUTE is asked for, too
RESET ROLE;
REVOKE EXECUTE ON FUNCTION mooncake.settle_row_types() FROM lake_reader;
SET ROLE lake_reader;
SELECT mooncake.settle_row_types();
COPY (SELECT 1 AS x) TO '/lake_secret.parquet';
SELECT * FROM mooncake.read_csv('http://127.0.0.1:1/x.csv') AS e(x int);
RESET ROLE;

-- secrets
CREATE ROLE lake_friend;
SET ROLE lake_none;
SELECT mooncake.create_secret('mine', 'S3', 'id', 'key', '{"REGION": "eu-1", "SCOPE": ["s3://a", "s3://b"]}');
SELECT mooncake.create_secret('mine', 's3', 'id', 'key');
SELECT mooncake.create_secret('other', 'azure', 'id', 'key');
SELECT mooncake.create_secret('other', 's3', 'id', 'key', '{"nothing": 1}');
SELECT mooncake.create_secret('other', 's3', NULL, 'key');
SELECT * FROM mooncake.secrets;
SELECT * FROM mooncake.secret_store;
SET ROLE lake_reader;
SELECT * FROM mooncake.secrets;
SELECT mooncake.drop_secret('mine');
SELECT mooncake.grant_secret('mine', 'lake_reader');
SET ROLE lake_none;
SELECT mooncake.grant_secret('mine', 'lake_friend');
RESET ROLE;
GRANT lake_friend TO lake_reader;
SET ROLE lake_reader;
SELECT name, own FROM mooncake.secrets;
SET ROLE lake_none;
SELECT mooncake.revoke_secret('mine', 'lake_friend');
SELECT mooncake.drop_secret('mine');
SELECT mooncake.drop_secret('mine');
SELECT count(*) FROM mooncake.secrets;
RESET ROLE;

-- what a dropped role had goes with it, and is of no use to those whom it was granted
CREATE ROLE lake_gone;
SET ROLE lake_gone;
SELECT mooncake.create_secret('gone', 's3', 'id', 'key');
SELECT mooncake.grant_secret('gone', 'public');
SET ROLE lake_reader;
SELECT mooncake.create_secret('kept', 's3', 'id', 'key');
SELECT mooncake.grant_secret('kept', 'lake_gone');
SELECT mooncake.grant_secret('kept', 'lake_friend');
RESET ROLE;
BEGIN;
DROP ROLE lake_gone;
ROLLBACK;
SELECT name FROM mooncake.secrets;
DROP ROLE lake_gone;
SELECT name FROM mooncake.secrets;
SELECT name, granted = ARRAY['lake_friend'::regrole::oid] AS to_friend FROM mooncake.secret_store;
SET ROLE lake_reader;
SELECT mooncake.drop_secret('kept');
RESET ROLE;

DROP FUNCTION lake_lent;
DROP VIEW lake_view;
DROP ROLE lake_none, lake_reader, lake_friend;
