-- SPDX-License-Identifier: Apache-2.0
-- Who may read a mirror: its own grants decide, as for any table; views run with their owner's rights.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_mooncake CASCADE;
CREATE ROLE ivy_reader;
CREATE TABLE secret (id int PRIMARY KEY, v text);
INSERT INTO secret VALUES (1, 'x');
CALL mooncake.create_table('secret_m', 'secret');
CREATE VIEW peek AS SELECT count(*) AS k FROM secret_m;
GRANT SELECT ON peek TO ivy_reader;
RESET client_min_messages;
SET ROLE ivy_reader;
SELECT * FROM secret_m;
SELECT count(*) FROM secret_m;
SELECT * FROM peek;
CALL mooncake.create_table('mine', 'secret');
CALL mooncake.create_snapshot('secret_m');
RESET ROLE;
GRANT SELECT (id) ON secret_m TO ivy_reader;
SET ROLE ivy_reader;
SELECT id FROM secret_m;
SELECT v FROM secret_m;
SELECT id FROM secret_m WHERE v = 'x';
RESET ROLE;
GRANT SELECT ON secret_m TO ivy_reader;
SET ROLE ivy_reader;
SELECT * FROM secret_m;
-- The row table answers in the mirror's place (own writes), without privileges on the row table being needed.
RESET ROLE;
BEGIN;
INSERT INTO secret VALUES (2, 'y');
SET LOCAL ROLE ivy_reader;
SELECT * FROM secret_m ORDER BY id;
ROLLBACK;
-- A row table in the same query keeps its own privileges.
SET ROLE ivy_reader;
SELECT count(*) FROM secret_m JOIN secret USING (id);
RESET ROLE;
SET client_min_messages = warning;
DROP TABLE secret CASCADE;
DROP ROLE ivy_reader;
