-- SPDX-License-Identifier: Apache-2.0
-- Changes of the source reach the mirror in the same transaction; what needs a new copy gets one.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_mooncake CASCADE;
CREATE SCHEMA dd;
SET search_path = dd, public;
\set SHOW_CONTEXT never
\getenv abs_srcdir PG_ABS_SRCDIR
\set file :abs_srcdir '/include/compare.sql'
\set ECHO none
\i :file
\set ECHO all

CREATE TABLE src (id int PRIMARY KEY, n numeric(10, 2), t text, v int GENERATED ALWAYS AS (id * 2) VIRTUAL,
                  s int GENERATED ALWAYS AS (id + 1) STORED);
INSERT INTO src (id, n, t) SELECT i, i / 3.0, repeat('x', i % 7) FROM generate_series(1, 1000) i;
CALL mooncake.create_table('mir', 'src');
SELECT * FROM compare('mir');

-- no new copy: a nullable column, a dropped one, new names, a wider varchar
ALTER TABLE src ADD COLUMN c varchar(20);
SELECT count(*), count(c) FROM mir;
UPDATE src SET c = 'c' || id WHERE id <= 10;
SELECT * FROM compare('mir');
SELECT count(*), count(c), min(c) FROM mir;
ALTER TABLE src DROP COLUMN t;
ALTER TABLE src RENAME COLUMN n TO amount;
ALTER TABLE src ALTER COLUMN c TYPE varchar(40);
INSERT INTO src (id, amount, c) VALUES (2001, 1.5, 'a value of more than twenty characters');
SELECT * FROM compare('mir');
\d mir
SELECT t FROM mir;
BEGIN;
ALTER TABLE src RENAME COLUMN amount TO a;
ALTER TABLE src RENAME COLUMN c TO amount;
ALTER TABLE src RENAME COLUMN a TO c;
COMMIT;
SELECT * FROM compare('mir');
SELECT amount, c FROM mir WHERE id = 2001;
ALTER TABLE src ALTER COLUMN v SET EXPRESSION AS (id * 5);
SELECT sum(v) FROM mir;
SELECT * FROM compare('mir');

-- NOT NULL follows both ways
UPDATE src SET c = 0 WHERE c IS NULL;
ALTER TABLE src ALTER COLUMN c SET NOT NULL;
SELECT attnotnull FROM pg_attribute WHERE attrelid = 'mir'::regclass AND attname = 'c';
SELECT count(*) FROM mir WHERE c IS NULL;
ALTER TABLE src ALTER COLUMN c DROP NOT NULL;
UPDATE src SET c = NULL WHERE id <= 3;
SELECT count(*) FROM mir WHERE c IS NULL;
SELECT * FROM compare('mir');

-- a new copy: a default that older rows have, another type, a rewrite with the same type, a stored expression
ALTER TABLE src ADD COLUMN d int DEFAULT 7;
SELECT sum(d) FROM mir;
CALL wait_live('mir');
SELECT * FROM compare('mir');
ALTER TABLE src ALTER COLUMN d TYPE bigint;
CALL wait_live('mir');
SELECT * FROM compare('mir');
ALTER TABLE src ALTER COLUMN d TYPE bigint USING d + 1;
CALL wait_live('mir');
SELECT * FROM compare('mir');
SELECT sum(d) FROM mir;
ALTER TABLE src ALTER COLUMN s SET EXPRESSION AS (id + 2);
CALL wait_live('mir');
SELECT * FROM compare('mir');

-- and none: what only moves rows, or changes nothing of them
VACUUM FULL src;
CLUSTER src USING src_pkey;
ALTER TABLE src ALTER COLUMN d SET DEFAULT 8, SET (fillfactor = 90);
ALTER TABLE src ADD CONSTRAINT ck CHECK (id > 0);
CREATE INDEX ON src (d);
TRUNCATE src;
SELECT count(*) FROM mir;
INSERT INTO src (id) SELECT generate_series(1, 100);
SELECT * FROM compare('mir');

-- rolled back, wholly and in part
BEGIN;
ALTER TABLE src ADD COLUMN z int, DROP COLUMN d;
SAVEPOINT sp;
ALTER TABLE src DROP COLUMN z;
ROLLBACK TO sp;
INSERT INTO src (id, z) VALUES (300, 3);
SELECT count(z) FROM mir;
ROLLBACK;
SELECT * FROM compare('mir');
BEGIN;
SAVEPOINT sp;
ALTER TABLE src DROP COLUMN d;
ROLLBACK TO sp;
ALTER TABLE src ADD COLUMN z int;
INSERT INTO src (id, z) VALUES (300, 3);
COMMIT;
SELECT count(z) FROM mir;
SELECT * FROM compare('mir');

-- identity
RESET client_min_messages;
ALTER TABLE src DROP CONSTRAINT src_pkey;
SET client_min_messages = warning;
SELECT state, error FROM mooncake.mirrors WHERE mirror = 'mir'::regclass;
DELETE FROM src WHERE id = 7;
SELECT same FROM compare('mir');
ALTER TABLE src ADD PRIMARY KEY (id);
CALL wait_live('mir');
SELECT * FROM compare('mir');
ALTER TABLE src REPLICA IDENTITY FULL;
UPDATE src SET d = 1 WHERE id < 5;
SELECT * FROM compare('mir');
ALTER TABLE src REPLICA IDENTITY NOTHING;
ALTER TABLE src REPLICA IDENTITY DEFAULT;
CALL wait_live('mir');
SELECT * FROM compare('mir');
ALTER TABLE src SET UNLOGGED;
SELECT state, error FROM mooncake.mirrors WHERE mirror = 'mir'::regclass;
ALTER TABLE src SET LOGGED;
CALL wait_live('mir');
SELECT * FROM compare('mir');

-- types whose text changes
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TYPE pair AS (a int);
ALTER TABLE src ADD COLUMN m mood[], ADD COLUMN p pair;
UPDATE src SET m = '{sad,glad}', p = ROW(id);
SELECT same FROM compare('mir');
ALTER TYPE mood RENAME VALUE 'sad' TO 'blue';
SELECT DISTINCT m FROM mir;
ALTER TYPE pair ADD ATTRIBUTE b int;
CALL wait_live('mir');
SELECT * FROM compare('mir');
DROP TYPE pair CASCADE;
SELECT * FROM compare('mir');

-- what depends on the mirror's columns
CREATE VIEW on_mir AS SELECT m FROM mir;
ALTER TABLE src DROP COLUMN m;
ALTER TABLE src ALTER COLUMN m TYPE text;
ALTER TABLE src DROP COLUMN m CASCADE;
SELECT to_regclass('on_mir');
SELECT * FROM compare('mir');

-- columns of a partition change through its parent
CREATE TABLE parted (id int PRIMARY KEY, t text) PARTITION BY RANGE (id);
CREATE TABLE part PARTITION OF parted DEFAULT;
CALL mooncake.create_table('mir_part', 'part');
ALTER TABLE parted ADD COLUMN x int;
ALTER TABLE parted RENAME COLUMN t TO u;
INSERT INTO parted VALUES (1, 'one', 11);
SELECT * FROM mir_part;
SELECT * FROM compare('mir_part');

-- children change what the table answers
CREATE TABLE child () INHERITS (src);
INSERT INTO child (id) VALUES (1000000);
SELECT same FROM compare('mir');
DROP TABLE child;
CALL wait_live('mir');
SELECT same FROM compare('mir');

-- dropping
DROP TABLE src;
BEGIN;
DROP TABLE mir;
ROLLBACK;
SELECT * FROM compare('mir');
DROP TABLE src CASCADE;
SELECT to_regclass('mir'), count(*) FROM mooncake.mirrors WHERE mirror = to_regclass('mir');
DROP SCHEMA dd CASCADE;
SELECT count(*) FROM mooncake.iceberg_tables WHERE table_namespace = 'dd';
DO $$
BEGIN
    FOR i IN 1..500 LOOP
        EXIT WHEN NOT EXISTS (SELECT FROM mooncake.dropped);
        PERFORM pg_sleep(0.02);
    END LOOP;
    RAISE WARNING 'folders left: %', (SELECT count(*) FROM mooncake.dropped);
END $$;
