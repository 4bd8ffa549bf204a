-- SPDX-License-Identifier: Apache-2.0
-- Partitioned tables and inheritance, mirrored at the root: rows of all tables below, wherever they come from and go to.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_mooncake CASCADE;
CREATE SCHEMA pt;
SET search_path = pt, public;
\set SHOW_CONTEXT never
\getenv abs_srcdir PG_ABS_SRCDIR
\set file :abs_srcdir '/include/compare.sql'
\set ECHO none
\i :file
\set ECHO all

-- Three levels; columns in another order, with dropped ones between, with others of their own types' alignment.
CREATE TABLE root (gone int, id int, day date, region text, amount numeric(10, 2), note text, twice int GENERATED ALWAYS AS (id * 2) STORED,
                   thrice int GENERATED ALWAYS AS (id * 3) VIRTUAL, PRIMARY KEY (id, day, region)) PARTITION BY RANGE (day);
ALTER TABLE root DROP COLUMN gone;
CREATE TABLE y23 PARTITION OF root FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE y24 (region text NOT NULL, x int, note text, amount numeric(10, 2), id int NOT NULL, twice int GENERATED ALWAYS AS (id * 2) STORED, y bigint, day date NOT NULL,
                  thrice int GENERATED ALWAYS AS (id * 3) VIRTUAL) PARTITION BY LIST (region);
ALTER TABLE y24 DROP COLUMN x, DROP COLUMN y;
CREATE TABLE y24_north PARTITION OF y24 FOR VALUES IN ('north');
CREATE TABLE y24_other PARTITION OF y24 DEFAULT;
ALTER TABLE root ATTACH PARTITION y24 FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE rest PARTITION OF root DEFAULT;
INSERT INTO root (id, day, region, amount, note)
    SELECT i, date '2023-01-01' + i, (ARRAY['north', 'south', 'east'])[i % 3 + 1], i / 7.0, 'n' || i FROM generate_series(1, 1000) i;
CALL mooncake.create_table('mir', 'root');
\d mir
SELECT * FROM compare('mir');
SELECT * FROM mir WHERE id IN (3, 400, 999) ORDER BY id;
SELECT sum(amount), sum(twice), sum(thrice), count(note) FROM mir;

-- Changes through the root, through partitions, and from one to another
INSERT INTO root (id, day, region, amount) VALUES (2001, '2023-05-05', 'north', 1), (2002, '2024-05-05', 'south', 2), (2003, '2030-01-01', 'west', 3);
INSERT INTO y24_north (id, day, region, amount) VALUES (2004, '2024-06-06', 'north', 4);
UPDATE root SET day = day + 365 WHERE id % 10 = 0;
UPDATE y24 SET region = 'north', note = 'moved' WHERE id % 7 = 0;
UPDATE root SET id = -id WHERE id % 50 = 1;
UPDATE root SET note = repeat('wide', 5000) WHERE id % 100 = 2;
UPDATE root SET amount = amount + 1 WHERE id % 100 = 2;
DELETE FROM root WHERE id % 11 = 0;
DELETE FROM rest WHERE id % 5 = 0;
INSERT INTO root (id, day, region, amount) VALUES (2004, '2024-06-06', 'north', 40) ON CONFLICT (id, day, region) DO UPDATE SET amount = EXCLUDED.amount;
SELECT * FROM compare('mir');
CALL mooncake.create_snapshot('mir');
UPDATE root SET day = day - 365 WHERE id % 13 = 0 AND day >= '2024-01-01';
DELETE FROM y24 WHERE id % 17 = 0;
SELECT * FROM compare('mir');
BEGIN;
INSERT INTO y24_other (id, day, region) VALUES (3000, '2024-01-01', 'own');
SELECT count(*) FROM mir WHERE id = 3000;
ROLLBACK;

-- Partitions come: empty ones, made and filled in one transaction, filled before
CREATE TABLE y25 PARTITION OF root FOR VALUES FROM ('2026-06-01') TO ('2027-01-01');
INSERT INTO root (id, day, region) VALUES (4000, '2026-07-07', 'new');
SELECT * FROM compare('mir');
BEGIN;
CREATE TABLE y31 PARTITION OF root FOR VALUES FROM ('2031-01-01') TO ('2032-01-01');
INSERT INTO y31 (id, day, region) SELECT i, '2031-01-01', 'filled at once' FROM generate_series(1, 10) i;
SAVEPOINT sp;
CREATE TABLE y32 PARTITION OF root FOR VALUES FROM ('2032-01-01') TO ('2033-01-01');
INSERT INTO y32 (id, day, region) VALUES (1, '2032-01-01', 'never');
ROLLBACK TO sp;
COMMIT;
SELECT * FROM compare('mir');
CREATE TABLE y33 (LIKE root INCLUDING ALL);
INSERT INTO y33 (id, day, region) SELECT i, '2033-01-01', 'filled before' FROM generate_series(1, 10) i;
BEGIN;
ALTER TABLE root ATTACH PARTITION y33 FOR VALUES FROM ('2033-01-01') TO ('2034-01-01');
SELECT count(*) FROM mir WHERE region = 'filled before';
ROLLBACK;
SELECT * FROM compare('mir');
ALTER TABLE root ATTACH PARTITION y33 FOR VALUES FROM ('2033-01-01') TO ('2034-01-01');
SELECT count(*) FROM mir WHERE region = 'filled before';
CALL wait_live('mir');
INSERT INTO y33 (id, day, region) VALUES (11, '2033-01-02', 'filled later');
SELECT * FROM compare('mir');

-- and go
BEGIN;
ALTER TABLE root DETACH PARTITION y33;
INSERT INTO y33 (id, day, region) VALUES (12, '2033-01-02', 'not there any more');
COMMIT;
SELECT count(*) FROM mir WHERE region LIKE 'filled%';
CALL wait_live('mir');
DELETE FROM y33;
SELECT * FROM compare('mir');
ALTER TABLE root ATTACH PARTITION y33 FOR VALUES FROM ('2033-01-01') TO ('2034-01-01');
ALTER TABLE root DETACH PARTITION y33;
SELECT * FROM compare('mir');
ALTER TABLE root DETACH PARTITION y25;
SELECT count(*) FROM mir WHERE id = 4000;
CALL wait_live('mir');
SELECT * FROM compare('mir');
CREATE TABLE list (id int PRIMARY KEY) PARTITION BY LIST (id);
CREATE TABLE list_1 PARTITION OF list FOR VALUES IN (1);
CREATE TABLE list_2 PARTITION OF list FOR VALUES IN (2);
INSERT INTO list VALUES (1), (2);
CALL mooncake.create_table('mir_list', 'list');
ALTER TABLE list DETACH PARTITION list_2 CONCURRENTLY;
SELECT * FROM mir_list;
CALL wait_live('mir_list');
SELECT * FROM compare('mir_list');
DROP TABLE list CASCADE;
DROP TABLE y31;
CALL wait_live('mir');
SELECT * FROM compare('mir');
TRUNCATE y24_north;
CALL wait_live('mir');
SELECT * FROM compare('mir');
DROP TABLE y24_north;
SELECT * FROM compare('mir');
TRUNCATE y24_other;
CALL wait_live('mir');
SELECT * FROM compare('mir');
BEGIN;
TRUNCATE root;
INSERT INTO root (id, day, region) VALUES (1, '2023-01-01', 'a'), (2, '2024-01-01', 'b');
COMMIT;
SELECT * FROM compare('mir');

-- Columns, and values that rewrite
ALTER TABLE root ADD COLUMN extra int, ADD COLUMN more text;
ALTER TABLE root RENAME COLUMN note TO remark;
INSERT INTO root (id, day, region, extra, remark) VALUES (3, '2023-03-03', 'c', 33, 'r');
UPDATE root SET more = 'm' WHERE id = 2;
SELECT * FROM compare('mir');
ALTER TABLE root DROP COLUMN extra;
SELECT * FROM compare('mir');
ALTER TABLE root ALTER COLUMN more TYPE varchar(10);
CALL wait_live('mir');
ALTER TABLE root ADD COLUMN d int DEFAULT 5;
CALL wait_live('mir');
SELECT * FROM compare('mir');
VACUUM FULL y23;
CLUSTER y23 USING y23_pkey;
SELECT * FROM compare('mir');

-- Partitions may compute generated columns in their own way: stored values are the partition's, virtual ones those of the table asked.
CREATE TABLE computed (id int, d int, v int GENERATED ALWAYS AS (id * 2) VIRTUAL, s int GENERATED ALWAYS AS (id * 3) STORED, PRIMARY KEY (id, d)) PARTITION BY LIST (d);
CREATE TABLE computed_1 PARTITION OF computed FOR VALUES IN (1);
CREATE TABLE computed_2 (id int NOT NULL, d int NOT NULL, v int GENERATED ALWAYS AS (id * 20) VIRTUAL, s int GENERATED ALWAYS AS (id * 30) STORED);
ALTER TABLE computed ATTACH PARTITION computed_2 FOR VALUES IN (2);
INSERT INTO computed SELECT i, i % 2 + 1 FROM generate_series(1, 10) i;
CALL mooncake.create_table('mir_computed', 'computed');
CALL mooncake.create_table('mir_computed_2', 'computed_2');
INSERT INTO computed SELECT i, i % 2 + 1 FROM generate_series(11, 20) i;
UPDATE computed SET d = 3 - d WHERE id % 3 = 0;
SELECT * FROM compare('mir_computed');
SELECT * FROM compare('mir_computed_2');
SELECT (SELECT sum(v) FROM mir_computed), (SELECT sum(s) FROM mir_computed), (SELECT sum(v) FROM mir_computed_2);
DROP TABLE computed CASCADE;

-- A partition that can't be followed
ALTER TABLE y23 REPLICA IDENTITY NOTHING;
SELECT error FROM mooncake.mirrors WHERE mirror = 'mir'::regclass;
DELETE FROM root WHERE id = 3;
SELECT same, by_engine, state FROM compare('mir');
ALTER TABLE y23 REPLICA IDENTITY DEFAULT;
CALL wait_live('mir');
SELECT same, by_engine, state FROM compare('mir');

CREATE UNLOGGED TABLE y50 PARTITION OF root FOR VALUES FROM ('2050-01-01') TO ('2051-01-01');
INSERT INTO root (id, day, region) VALUES (50, '2050-01-01', 'unlogged');
UPDATE root SET remark = 'moved', day = '2050-02-02' WHERE id = 2;
SELECT same, by_engine, state FROM compare('mir');
ALTER TABLE y50 SET LOGGED;
CALL wait_live('mir');
SELECT same, by_engine, state FROM compare('mir');
ALTER TABLE y50 SET UNLOGGED;
SELECT same, by_engine, state FROM compare('mir');
UPDATE root SET day = '2024-01-01' WHERE id = 2;
DROP TABLE y50;
CALL wait_live('mir');
SELECT same, by_engine, state FROM compare('mir');

-- What queries say and do elsewhere
SELECT tableoid::regclass, id FROM mir ORDER BY id;
SELECT count(*) FROM ONLY mir;
BEGIN;
SELECT id FROM mir WHERE id = 2 FOR UPDATE;
COMMIT;
PREPARE q AS SELECT count(*), sum(id) FROM mir;
EXECUTE q;
CREATE TABLE y40 PARTITION OF root FOR VALUES FROM ('2040-01-01') TO ('2041-01-01');
INSERT INTO y40 (id, day, region) VALUES (40, '2040-01-01', 'q');
EXECUTE q;
SET mooncake.fallback = off;
EXECUTE q;
RESET mooncake.fallback;

-- A partition, a subtree and the root, each with a mirror
CALL mooncake.create_table('mir_leaf', 'y24_other');
CALL mooncake.create_table('mir_sub', 'y24');
INSERT INTO root (id, day, region) SELECT i, '2024-02-02', 'all three' FROM generate_series(100, 110) i;
UPDATE y24 SET remark = 'x' WHERE id = 105;
SELECT * FROM compare('mir');
SELECT * FROM compare('mir_sub');
SELECT * FROM compare('mir_leaf');
DROP TABLE root CASCADE;
SELECT to_regclass('mir'), to_regclass('mir_leaf'), to_regclass('mir_sub'), (SELECT count(*) FROM mooncake.mirrors WHERE mirror::text LIKE '%mir%');

-- Inheritance: keys may repeat, so whole rows find old ones.
CREATE TABLE parent (id int NOT NULL NO INHERIT, t text);
CREATE TABLE child (own int) INHERITS (parent);
CREATE TABLE other_child (x int, t text, id int);
ALTER TABLE other_child INHERIT parent;
INSERT INTO parent VALUES (1, 'parent'), (2, 'parent');
INSERT INTO child VALUES (1, 'child', 7), (NULL, 'child', 8);
CALL mooncake.create_table('mir_parent', 'parent');
CALL mooncake.create_table('mir_parent', 'parent', '{"identity": "full"}');
ALTER TABLE parent REPLICA IDENTITY FULL;
ALTER TABLE child REPLICA IDENTITY FULL;
CALL mooncake.create_table('mir_parent', 'parent', '{"identity": "full"}');
ALTER TABLE other_child REPLICA IDENTITY FULL;
CALL mooncake.create_table('mir_parent', 'parent', '{"identity": "full"}');
\d mir_parent
SELECT * FROM compare('mir_parent');
SELECT id FROM mir_parent WHERE id IS NULL;
INSERT INTO other_child VALUES (0, 'other', 1), (0, 'parent', 1);
DELETE FROM parent WHERE id = 1 AND t = 'parent' AND tableoid = 'other_child'::regclass;
UPDATE child SET own = 9, t = 'changed' WHERE id IS NULL;
UPDATE parent SET t = t || '!';
SELECT * FROM compare('mir_parent');
CREATE TABLE third () INHERITS (parent);
INSERT INTO third VALUES (3, 'third');
SELECT * FROM compare('mir_parent');
ALTER TABLE third REPLICA IDENTITY FULL;
CALL wait_live('mir_parent');
SELECT * FROM compare('mir_parent');
ALTER TABLE third NO INHERIT parent;
SELECT count(*) FROM mir_parent WHERE t = 'third';
CALL wait_live('mir_parent');
UPDATE third SET t = 'alone';
SELECT same, by_engine FROM compare('mir_parent');
ALTER TABLE third INHERIT parent;
CALL wait_live('mir_parent');
SELECT same, by_engine FROM compare('mir_parent');
DROP TABLE third;
CALL wait_live('mir_parent');
SELECT same, by_engine FROM compare('mir_parent');
TRUNCATE ONLY parent;
CALL wait_live('mir_parent');
SELECT same, by_engine FROM compare('mir_parent');
TRUNCATE parent;
SELECT same, by_engine FROM compare('mir_parent');
CREATE TEMP TABLE fleeting () INHERITS (parent);
INSERT INTO fleeting VALUES (9, 'mine');
SELECT * FROM mir_parent;
DROP TABLE fleeting;
CALL wait_live('mir_parent');
SELECT same, by_engine FROM compare('mir_parent');

-- Anybody may write logical messages; ours can't be forged.
CREATE ROLE pt_forger;
SET ROLE pt_forger;
SELECT key FROM mooncake.message_key;
SELECT pg_logical_emit_message(true, 'pg_mooncake member rows', decode(repeat('00', 200), 'hex')) IS NOT NULL AS written;
SELECT pg_logical_emit_message(true, 'pg_mooncake member rows', 'short') IS NOT NULL AS written;
RESET ROLE;
DROP ROLE pt_forger;
INSERT INTO parent VALUES (7, 'after the forgery');
SELECT same, by_engine FROM compare('mir_parent');

SET client_min_messages = error;
DROP SCHEMA pt CASCADE;
