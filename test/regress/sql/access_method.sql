-- SPDX-License-Identifier: Apache-2.0
-- The table access method: what a mirror accepts and refuses as a relation.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_mooncake CASCADE;
CREATE SCHEMA am;
SET search_path = am, public;
CREATE TABLE src (id int PRIMARY KEY, t text);
INSERT INTO src SELECT i, 'row ' || i FROM generate_series(1, 10) i;
CALL mooncake.create_table('mir', 'src');
\set SHOW_CONTEXT never

-- made by create_table only
CREATE TABLE by_hand (id int) USING mooncake;
CREATE TABLE by_hand USING mooncake AS SELECT 1 AS id;
CREATE MATERIALIZED VIEW by_hand USING mooncake AS SELECT 1 AS id;
ALTER TABLE src SET ACCESS METHOD mooncake;
CREATE TABLE heir () INHERITS (mir);
CREATE TABLE heir (id int, t text);
ALTER TABLE heir INHERIT mir;
CREATE TABLE parted (id int NOT NULL, t text) PARTITION BY LIST (id);
ALTER TABLE parted ATTACH PARTITION mir DEFAULT;

-- changed through the source only
ALTER TABLE mir ADD COLUMN x int;
ALTER TABLE mir DROP COLUMN t;
ALTER TABLE mir ALTER COLUMN t TYPE varchar;
ALTER TABLE mir ALTER COLUMN t SET DEFAULT 'x';
ALTER TABLE mir ALTER COLUMN t SET NOT NULL;
ALTER TABLE mir ADD CONSTRAINT c CHECK (id > 0);
ALTER TABLE mir ADD PRIMARY KEY (id);
ALTER TABLE mir RENAME COLUMN t TO u;
ALTER TABLE mir SET ACCESS METHOD heap;
ALTER TABLE mir SET UNLOGGED;
ALTER TABLE mir REPLICA IDENTITY FULL;
CREATE INDEX ON mir (id);
CREATE TRIGGER tr BEFORE INSERT ON mir FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
TRUNCATE mir;
TRUNCATE src, mir;
COPY mir FROM STDIN;
11	row 11
\.

-- what does not touch its rows is as for any table
COMMENT ON TABLE mir IS 'a mirror';
COMMENT ON COLUMN mir.t IS 'text';
GRANT SELECT ON mir TO PUBLIC;
ALTER TABLE mir SET (autovacuum_enabled = off);
ALTER TABLE mir ALTER COLUMN t SET STATISTICS 10;
CREATE SCHEMA am2;
ALTER TABLE mir SET SCHEMA am2;
ALTER TABLE am2.mir RENAME TO mirror;
ALTER TABLE am2.mirror RENAME TO mir;
ALTER TABLE am2.mir SET SCHEMA am;
VACUUM mir;
VACUUM (FULL, ANALYZE) mir;
ANALYZE mir;
REINDEX TABLE mir;
LOCK TABLE mir IN ACCESS SHARE MODE;
BEGIN;
LOCK TABLE mir;
COMMIT;
CREATE VIEW vw AS SELECT id, upper(t) AS t FROM mir;
SELECT count(*), max(t) FROM vw;
COPY mir TO STDOUT;
COPY (SELECT id FROM mir ORDER BY id LIMIT 2) TO STDOUT;
CREATE TABLE like_mir (LIKE mir);
CREATE TABLE as_mir AS SELECT * FROM mir;
SELECT count(*) FROM as_mir;
SELECT pg_relation_size('mir') AS size, pg_total_relation_size('mir') AS total;

-- statistics are the source's
SELECT n_distinct FROM pg_stats WHERE schemaname = 'am' AND tablename = 'mir';
DROP SCHEMA am, am2 CASCADE;
