-- SPDX-License-Identifier: Apache-2.0
-- A mirror is written by the engine only.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_mooncake CASCADE;
CREATE TABLE w (id int PRIMARY KEY, v int);
INSERT INTO w VALUES (1, 1);
CALL mooncake.create_table('wm', 'w');
RESET client_min_messages;
INSERT INTO wm VALUES (2, 2);
UPDATE wm SET v = 2;
DELETE FROM wm;
TRUNCATE wm;
COPY wm FROM STDIN;
\.
MERGE INTO wm USING w ON wm.id = w.id WHEN MATCHED THEN DELETE;
SELECT * FROM wm FOR UPDATE;
CREATE INDEX ON wm (id);
CREATE TABLE by_hand (id int) USING mooncake;
SELECT * FROM wm;
SELECT * FROM wm TABLESAMPLE SYSTEM (100);
SELECT tableoid::regclass, id FROM wm;
UPDATE w SET v = m.v + 10 FROM wm m WHERE m.id = w.id;
SELECT * FROM wm;
DELETE FROM w USING wm WHERE wm.id = w.id;
SELECT * FROM wm;
VACUUM wm;
ANALYZE wm;
SET client_min_messages = warning;
DROP TABLE w CASCADE;
