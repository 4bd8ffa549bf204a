-- SPDX-License-Identifier: Apache-2.0
-- Rows that others change than the statement says: triggers, foreign keys, constraints that are checked while rows are inserted;
-- and sessions for which triggers do not fire.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_mooncake CASCADE;
CREATE SCHEMA rc;
SET search_path = rc, public;
\set SHOW_CONTEXT never
\getenv abs_srcdir PG_ABS_SRCDIR
\set file :abs_srcdir '/include/compare.sql'
\set ECHO none
\i :file
\set ECHO all

-- Foreign keys: SET DEFAULT, SET NULL of some columns, checked at the end of the transaction
CREATE TABLE pa (id int PRIMARY KEY, v int);
CREATE TABLE ch (id int, p int DEFAULT 0 REFERENCES pa ON DELETE SET DEFAULT ON UPDATE CASCADE, tenant int DEFAULT 1, q int, doc text, PRIMARY KEY (tenant, id),
                 FOREIGN KEY (q) REFERENCES pa ON DELETE SET NULL (q) DEFERRABLE INITIALLY DEFERRED);
ALTER TABLE ch ALTER doc SET STORAGE EXTERNAL;
INSERT INTO pa SELECT i, i FROM generate_series(0, 20) i;
INSERT INTO ch (id, p, q, doc) SELECT i, i % 20 + 1, i % 20 + 1, repeat('d', 3000) FROM generate_series(1, 100) i;
CALL mooncake.create_table('mpa', 'pa');
CALL mooncake.create_table('mch', 'ch');
DELETE FROM pa WHERE id IN (3, 4, 5);
ALTER TABLE ch ALTER p SET DEFAULT 7;
BEGIN;
DELETE FROM pa WHERE id IN (8, 9);
SAVEPOINT s;
DELETE FROM pa WHERE id = 10;
ROLLBACK TO s;
COMMIT;
SELECT * FROM compare('mpa');
SELECT * FROM compare('mch');
SELECT p, count(*), count(q), sum(length(doc)) FROM mch WHERE p IN (0, 7, 10) GROUP BY p ORDER BY p;

-- Triggers: rows that are changed, given another key or dropped on the way; statements that write elsewhere; views
CREATE TABLE tr (id int PRIMARY KEY, v int, big text);
ALTER TABLE tr ALTER big SET STORAGE EXTERNAL;
CREATE FUNCTION rewrite() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RETURN CASE WHEN OLD.id % 2 = 0 THEN NULL ELSE OLD END;
    END IF;
    NEW.v := NEW.v * 10;
    NEW.id := NEW.id + CASE WHEN NEW.id % 7 = 0 THEN 1000 ELSE 0 END;
    RETURN CASE WHEN NEW.id % 5 = 0 THEN NULL ELSE NEW END;
END $$;
CREATE FUNCTION elsewhere() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO ch (id) SELECT max(id) + 1 FROM ch; RETURN NULL; END $$;
CREATE TRIGGER rewrite BEFORE INSERT OR UPDATE OR DELETE ON tr FOR EACH ROW EXECUTE FUNCTION rewrite();
CREATE TRIGGER each_statement AFTER UPDATE ON tr FOR EACH STATEMENT EXECUTE FUNCTION elsewhere();
CREATE CONSTRAINT TRIGGER at_the_end AFTER INSERT ON tr DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION elsewhere();
CALL mooncake.create_table('mtr', 'tr');
INSERT INTO tr SELECT i, i, repeat('z', 3000) FROM generate_series(1, 60) i;
UPDATE tr SET v = v + 1;
DELETE FROM tr WHERE id < 30;
SELECT * FROM compare('mtr');
SELECT count(*), sum(v), sum(length(big)), max(id) FROM mtr;
CREATE VIEW through AS SELECT * FROM tr;
CREATE FUNCTION instead() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    CASE TG_OP WHEN 'INSERT' THEN INSERT INTO tr VALUES (-NEW.id, NEW.v, 'instead'); RETURN NEW;
               WHEN 'UPDATE' THEN UPDATE tr SET v = NEW.v, id = NEW.id WHERE id = OLD.id; RETURN NEW;
               ELSE UPDATE tr SET big = 'deleted' WHERE id = OLD.id; RETURN OLD; END CASE;
END $$;
CREATE TRIGGER instead INSTEAD OF INSERT OR UPDATE OR DELETE ON through FOR EACH ROW EXECUTE FUNCTION instead();
INSERT INTO through SELECT i + 500, i FROM generate_series(1, 20) i;
UPDATE through SET v = 5, id = id + 3000 WHERE id < 0;
DELETE FROM through WHERE id > 2000;
SELECT * FROM compare('mtr');
BEGIN;
INSERT INTO tr VALUES (9001, 1, 'x');
SELECT count(*) FROM mch;
COMMIT;
SELECT count(*) FROM mch;
SELECT * FROM compare('mch');

-- Constraints that are checked after the row is in the table: rows that were there for a moment
CREATE TABLE ex (id int PRIMARY KEY, c circle, EXCLUDE USING gist (c WITH &&));
CALL mooncake.create_table('mex', 'ex');
INSERT INTO ex SELECT i, circle(point(i * 10, 0), 3) FROM generate_series(1, 50) i;
INSERT INTO ex SELECT i, circle(point(i * 10 + 5, 0), i % 4) FROM generate_series(40, 90) i ON CONFLICT DO NOTHING;
INSERT INTO ex VALUES (1000, circle(point(10, 0), 1));
CREATE TABLE un (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, n int NOT NULL, v int);
CREATE UNIQUE INDEX un_n ON un (n);
ALTER TABLE un REPLICA IDENTITY USING INDEX un_n;
CALL mooncake.create_table('mun', 'un');
INSERT INTO un SELECT i, i, i FROM generate_series(1, 10) i;
BEGIN;
UPDATE un SET id = 11 - id;
INSERT INTO un VALUES (1, 100, 0);
SAVEPOINT s;
DELETE FROM un WHERE id = 1;
ROLLBACK TO s;
DELETE FROM un WHERE n = 100;
COMMIT;
BEGIN;
INSERT INTO un VALUES (1, 101, 0);
COMMIT;
SELECT * FROM compare('mex');
SELECT * FROM compare('mun');

-- Sessions for which triggers do not fire: rows, and changes of definitions, are followed all the same.
SET session_replication_role = replica;
INSERT INTO tr SELECT i, i FROM generate_series(6000, 6010) i;
DELETE FROM pa WHERE id < 3;
ALTER TABLE tr ADD COLUMN x text;
UPDATE tr SET x = 'x' WHERE id > 6005;
ALTER TABLE tr RENAME COLUMN v TO w;
ALTER TABLE tr RENAME COLUMN w TO v;
RESET session_replication_role;
SELECT * FROM compare('mtr');
SELECT * FROM compare('mpa');
SET event_triggers = off;
DROP VIEW through;
ALTER TABLE tr ADD COLUMN y int;
UPDATE tr SET y = 5 WHERE id > 6000;
ALTER TABLE tr DROP COLUMN big;
RESET event_triggers;
SELECT * FROM compare('mtr');
ALTER TABLE tr DISABLE TRIGGER ALL;
INSERT INTO tr VALUES (7, 7, 'y', 7);
DELETE FROM tr WHERE id % 2 = 0;
ALTER TABLE tr DROP COLUMN x;
SELECT * FROM compare('mtr');
SELECT count(*), sum(v), sum(y) FROM mtr;
SET client_min_messages = error;
DROP SCHEMA rc CASCADE;
