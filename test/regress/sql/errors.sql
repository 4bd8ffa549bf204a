-- SPDX-License-Identifier: Apache-2.0
-- What mooncake.create_table and create_snapshot refuse, with SQLSTATE, detail and hint.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_mooncake CASCADE;
CREATE SCHEMA er;
SET search_path = er, public;
CREATE TABLE good (id int PRIMARY KEY, t text);
CALL mooncake.create_table('mir', 'good');
\set VERBOSITY default
\set SHOW_CONTEXT never

-- names
CALL mooncake.create_table('m', 'missing');
CALL mooncake.create_table('m', 'nowhere.good');
CALL mooncake.create_table('nowhere.m', 'good');
CALL mooncake.create_table('a.b.c.d', 'good');
CALL mooncake.create_table('', 'good');
CALL mooncake.create_table('m', '"good');
CALL mooncake.create_table(NULL, 'good');
CALL mooncake.create_table('m', NULL);
CALL mooncake.create_table('mir', 'good');
CALL mooncake.create_table('good', 'good');
CALL mooncake.create_table('pg_temp.m', 'good');
CALL mooncake.create_table('m', 'good', '{"unknown": 1}');
CALL mooncake.create_table('m', 'good', '{"wait": "yes"}');
CALL mooncake.create_table('m', 'good', '[]');

-- sources
CREATE TABLE keyless (a int);
CREATE TABLE deferred (a int PRIMARY KEY DEFERRABLE);
CREATE TABLE full_identity (a int);
ALTER TABLE full_identity REPLICA IDENTITY FULL;
CREATE TABLE no_identity (a int PRIMARY KEY);
ALTER TABLE no_identity REPLICA IDENTITY NOTHING;
CREATE TABLE parted (a int PRIMARY KEY) PARTITION BY LIST (a);
CREATE TABLE part PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE parent (a int PRIMARY KEY);
CREATE TABLE child () INHERITS (parent);
CREATE TEMPORARY TABLE temporary (a int PRIMARY KEY);
CREATE UNLOGGED TABLE unlogged (a int PRIMARY KEY);
CREATE VIEW vw AS SELECT 1 AS a;
CREATE MATERIALIZED VIEW mv AS SELECT 1 AS a;
CREATE SEQUENCE sq;
CREATE TYPE comp AS (a int);
DO $$
DECLARE
    name text;
    detail text;
    hint text;
BEGIN
    FOREACH name IN ARRAY ARRAY['keyless', 'deferred', 'full_identity', 'no_identity', 'parent', 'temporary',
                                'unlogged', 'vw', 'mv', 'sq', 'comp', 'good_pkey', 'mir', 'pg_catalog.pg_class',
                                'mooncake.mirrors']
    LOOP
        BEGIN
            CALL mooncake.create_table('m', name);
            RAISE WARNING '%: no error', name;
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
            RAISE WARNING '%: % %|%|%', name, SQLSTATE, SQLERRM, detail, hint;
        END;
    END LOOP;
END $$;
CALL mooncake.create_table('m_part', 'part');
SELECT count(*) FROM m_part;

-- privileges
CREATE ROLE er_user;
GRANT USAGE ON SCHEMA er TO er_user;
SET ROLE er_user;
CALL mooncake.create_table('m', 'good');
CALL mooncake.create_snapshot('mir');
INSERT INTO mooncake.mirrors SELECT * FROM mooncake.mirrors;
DELETE FROM mooncake.dropped;
SELECT error FROM mooncake.mirrors;
RESET ROLE;
CREATE TABLE users_table (id int PRIMARY KEY);
ALTER TABLE users_table OWNER TO er_user;
SET ROLE er_user;
CALL mooncake.create_table('m', 'users_table');
RESET ROLE;

-- snapshots
CALL mooncake.create_snapshot('good');
CALL mooncake.create_snapshot('missing');
CALL mooncake.create_snapshot(NULL);
CALL mooncake.create_snapshot('mir');

SELECT to_regclass('m'), count(*) FROM mooncake.mirrors WHERE mirror = to_regclass('m');
DROP SCHEMA er CASCADE;
DROP ROLE er_user;
