-- SPDX-License-Identifier: Apache-2.0
-- Every way in which rows reach a source: COPY with FREEZE, conflicts, foreign keys, triggers, rules, deep savepoints, exception
-- blocks, several mirrors in one transaction, a subscription.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_mooncake CASCADE;
CREATE SCHEMA tx;
SET search_path = tx, public;
\set SHOW_CONTEXT never
\getenv abs_srcdir PG_ABS_SRCDIR
\set file :abs_srcdir '/include/compare.sql'
\set ECHO none
\i :file
\set ECHO all

CREATE TABLE a (id int PRIMARY KEY, v text, n int DEFAULT 0);
CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a ON DELETE CASCADE ON UPDATE CASCADE, s text);
CREATE TABLE c (a int REFERENCES a ON DELETE SET NULL ON UPDATE SET NULL, id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
CALL mooncake.create_table('ma', 'a');
CALL mooncake.create_table('mb', 'b');
CALL mooncake.create_table('mc', 'c');
CREATE FUNCTION all_same(OUT ma text, OUT mb text, OUT mc text) LANGUAGE sql AS $$
    SELECT (SELECT format('%s %s %s', same, by_engine, generation) FROM compare('ma')), (SELECT format('%s %s %s', same, by_engine, generation) FROM compare('mb')),
           (SELECT format('%s %s %s', same, by_engine, generation) FROM compare('mc')) $$;

-- COPY: plain, frozen after TRUNCATE, failing in the middle
COPY a (id, v) FROM STDIN;
1	one
2	two
3	three
\.
BEGIN;
TRUNCATE a, b, c;
COPY a (id, v) FROM STDIN WITH (FREEZE);
10	ten
11	eleven
12	\N
\.
COMMIT;
COPY a (id, v) FROM STDIN;
20	twenty
10	again
\.
COPY a (id, v) FROM STDIN WITH (ON_ERROR ignore);
30	thirty
x	no number
\.
SELECT * FROM all_same();

-- Multi-row inserts, conflicts, MERGE, data-modifying CTEs
INSERT INTO a SELECT i, 'i' || i FROM generate_series(100, 1200) i;
INSERT INTO a SELECT i, 'again' FROM generate_series(1100, 1300) i ON CONFLICT (id) DO UPDATE SET n = a.n + 1, v = EXCLUDED.v WHERE a.id % 2 = 0;
INSERT INTO a SELECT i, 'never' FROM generate_series(1100, 1300) i ON CONFLICT DO NOTHING;
MERGE INTO a USING (SELECT generate_series(1290, 1310) AS i) s ON a.id = s.i
    WHEN MATCHED AND i % 3 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET v = 'merged' WHEN NOT MATCHED THEN INSERT VALUES (i, 'merged in');
WITH gone AS (DELETE FROM a WHERE id % 50 = 0 RETURNING *), moved AS (UPDATE a SET id = id + 10000 WHERE id % 50 = 1 RETURNING *)
    INSERT INTO a SELECT id + 20000, v FROM gone UNION ALL SELECT id + 20000, v FROM moved;
SELECT * FROM all_same();

-- Foreign keys, triggers, rules
INSERT INTO b SELECT i, i + 99, 's' FROM generate_series(2, 500) i WHERE EXISTS (SELECT FROM a WHERE id = i + 99);
INSERT INTO c (a) SELECT a FROM b;
UPDATE a SET id = -id WHERE id BETWEEN 200 AND 250;
DELETE FROM a WHERE id BETWEEN 300 AND 350;
SELECT count(*), count(a) FROM mc;
CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE a SET n = n + 1 WHERE id = NEW.a;
    NEW.s := upper(NEW.s);
    RETURN NEW;
END $$;
CREATE TRIGGER follow BEFORE INSERT OR UPDATE ON b FOR EACH ROW EXECUTE FUNCTION follow();
UPDATE b SET s = 'triggered' WHERE id % 7 = 0;
CREATE RULE no_delete AS ON DELETE TO b DO INSTEAD UPDATE b SET s = 'deleted' WHERE id = OLD.id;
DELETE FROM b WHERE id % 11 = 0;
DROP RULE no_delete ON b;
SELECT * FROM all_same();

-- Savepoints: deep, released, rolled back, and across several mirrors
DO $$
BEGIN
    FOR i IN 1..300 LOOP
        BEGIN
            INSERT INTO a VALUES (50000 + i, 'block');
            INSERT INTO c (a) VALUES (50000 + i);
            IF i % 3 = 0 THEN RAISE EXCEPTION 'no'; END IF;
            BEGIN
                UPDATE a SET n = 7 WHERE id = 50000 + i;
                DELETE FROM c WHERE a = 50000 + i;
                IF i % 4 = 0 THEN RAISE EXCEPTION 'inner'; END IF;
            EXCEPTION WHEN OTHERS THEN
                UPDATE a SET v = 'inner failed' WHERE id = 50000 + i;
            END;
        EXCEPTION WHEN OTHERS THEN
            NULL;
        END;
    END LOOP;
END $$;
CREATE FUNCTION nest(depth int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO a VALUES (60000 + depth, 'nested');
    IF depth > 0 THEN PERFORM nest(depth - 1); END IF;
    IF depth = 50 THEN RAISE EXCEPTION 'half'; END IF;
EXCEPTION WHEN raise_exception THEN
    UPDATE a SET n = depth WHERE id >= 60000;
END $$;
SELECT nest(120);
BEGIN;
SAVEPOINT one;
DELETE FROM a WHERE id > 50000;
SAVEPOINT two;
TRUNCATE c;
INSERT INTO c (a) VALUES (NULL);
ROLLBACK TO two;
INSERT INTO a VALUES (70000, 'after');
RELEASE one;
COMMIT;
SELECT * FROM all_same();

-- Definitions and rows in one transaction
BEGIN;
UPDATE a SET v = 'before' WHERE id < 0;
ALTER TABLE a ADD COLUMN extra int;
UPDATE a SET extra = 1 WHERE id < 0;
SAVEPOINT s;
ALTER TABLE a DROP COLUMN v;
INSERT INTO a (id, extra) VALUES (-1000, 5);
ROLLBACK TO s;
ALTER TABLE a RENAME COLUMN v TO w;
INSERT INTO a (id, w, extra) VALUES (-1001, 'w', 6);
COMMIT;
SELECT * FROM all_same();
SELECT count(*), sum(extra), count(w) FROM ma;

-- A subscription writes to a source.
SELECT current_database() AS here \gset
CREATE DATABASE tx_publisher;
\c tx_publisher
CREATE TABLE pub (id int PRIMARY KEY, v text, doc text);
ALTER TABLE pub ALTER doc SET STORAGE EXTERNAL;
INSERT INTO pub SELECT i, 'p' || i, repeat('d', 3000) FROM generate_series(1, 50) i;
CREATE PUBLICATION tx_pub FOR TABLE pub;
SELECT 1 FROM pg_create_logical_replication_slot('tx_sub', 'pgoutput');
\c :here
SET search_path = tx, public;
SET client_min_messages = warning;
CREATE TABLE public.pub (id int PRIMARY KEY, v text, doc text);
CALL mooncake.create_table('mpub', 'public.pub');
SELECT format('host=%s port=%s user=%s dbname=tx_publisher', :'HOST', :'PORT', :'USER') AS conninfo \gset
\set ECHO none
SELECT format('CREATE SUBSCRIPTION tx_sub CONNECTION %L PUBLICATION tx_pub WITH (create_slot = false, slot_name = tx_sub)', :'conninfo') \gexec
\set ECHO all
CREATE PROCEDURE wait_for(query text) LANGUAGE plpgsql AS $$
DECLARE
    done boolean;
BEGIN
    FOR i IN 1..1500 LOOP
        EXECUTE query INTO done;
        EXIT WHEN done;
        COMMIT;
        PERFORM pg_sleep(0.02);
    END LOOP;
    IF NOT done THEN RAISE 'not true in time: %', query; END IF;
END $$;
CALL wait_for('SELECT count(*) = 50 FROM pub');
\c tx_publisher
INSERT INTO pub SELECT i, 'later' FROM generate_series(100, 3000) i;
UPDATE pub SET v = 'changed' WHERE id <= 20;
UPDATE pub SET id = -id WHERE id BETWEEN 5 AND 9;
DELETE FROM pub WHERE id % 10 = 1;
BEGIN;
INSERT INTO pub VALUES (5000, 'a');
SAVEPOINT s;
INSERT INTO pub VALUES (5001, 'b');
ROLLBACK TO s;
COMMIT;
\c :here
SET search_path = tx, public;
SET client_min_messages = warning;
CALL wait_for('SELECT count(*) = 1 FROM pub WHERE id = 5000');
SELECT * FROM compare('mpub');
SELECT count(*), count(doc), sum(length(doc)) FROM mpub;
\c tx_publisher
TRUNCATE pub;
INSERT INTO pub VALUES (1, 'end');
\c :here
SET search_path = tx, public;
SET client_min_messages = error;
CALL wait_for('SELECT count(*) = 1 FROM pub');
SELECT * FROM compare('mpub');
ALTER SUBSCRIPTION tx_sub DISABLE;
ALTER SUBSCRIPTION tx_sub SET (slot_name = NONE);
DROP SUBSCRIPTION tx_sub;
CALL wait_for('SELECT NOT active FROM pg_replication_slots WHERE slot_name = ''tx_sub''');
\c tx_publisher
SELECT pg_drop_replication_slot('tx_sub');
\c :here
SET client_min_messages = error;
DROP DATABASE tx_publisher;
DROP TABLE public.pub CASCADE;
DROP SCHEMA tx CASCADE;
