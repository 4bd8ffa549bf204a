-- SPDX-License-Identifier: Apache-2.0
-- DROP EXTENSION leaves no slot and no worker; a rolled back one changes nothing; it can be created again.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_mooncake CASCADE;
CREATE SCHEMA un;
SET search_path = un, public;
CREATE FUNCTION left_over(OUT slots bigint, OUT workers bigint) LANGUAGE sql AS $$
    SELECT (SELECT count(*) FROM pg_replication_slots WHERE database = current_database() AND slot_name LIKE 'ivy_mooncake%'),
           (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type LIKE 'pg_mooncake%')
$$;
SELECT mooncake.bgworker_status();
CREATE TABLE src (id int PRIMARY KEY);
INSERT INTO src SELECT generate_series(1, 10);
CALL mooncake.create_table('mir', 'src');
SELECT * FROM left_over();
DROP EXTENSION pg_mooncake;
DROP EXTENSION pg_duckdb;
BEGIN;
DROP EXTENSION pg_mooncake CASCADE;
SELECT to_regclass('mir');
ROLLBACK;
BEGIN;
SAVEPOINT sp;
DROP EXTENSION pg_mooncake CASCADE;
ROLLBACK TO sp;
COMMIT;
SELECT * FROM left_over();
INSERT INTO src VALUES (11);
SELECT count(*) FROM mir;
DROP EXTENSION pg_mooncake CASCADE;
SELECT * FROM left_over();
SELECT to_regclass('mir'), to_regclass('src'), to_regnamespace('mooncake');
INSERT INTO src VALUES (12);

CREATE EXTENSION pg_mooncake;
SELECT mooncake.bgworker_status();
CALL mooncake.create_table('mir', 'src');
SELECT count(*) FROM mir;
SELECT * FROM left_over();
DROP SCHEMA un CASCADE;

-- Databases with mirrors can be copied, renamed and dropped although workers are connected to them.
CREATE DATABASE un_one;
\c un_one
SET client_min_messages = warning;
CREATE EXTENSION pg_mooncake CASCADE;
CREATE TABLE src (id int PRIMARY KEY);
INSERT INTO src VALUES (1);
CALL mooncake.create_table('mir', 'src');
\c ivy_regress
CREATE DATABASE un_two TEMPLATE un_one;
\c un_two
INSERT INTO src VALUES (2);
SELECT count(*) FROM mir;
\c un_one
SELECT count(*) FROM mir;
\c ivy_regress
ALTER DATABASE un_two RENAME TO un_three;
DROP DATABASE un_three;
DROP DATABASE un_one;
SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE 'ivy_mooncake%' AND database <> 'ivy_regress';
