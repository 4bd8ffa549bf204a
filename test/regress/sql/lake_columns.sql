-- SPDX-License-Identifier: Apache-2.0
-- Lake functions without a column definition list, where Postgres has to know the columns while it analyses the statement.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_mooncake CASCADE;
SELECT current_setting('data_directory') AS dir \gset
\set a :dir '/columns_a.csv'
\set b :dir '/columns_b.parquet'
COPY (SELECT i AS user_id, 'n' || i AS "Name", i * 1.5 AS amount FROM generate_series(1, 5) i) TO :'a' (FORMAT csv, HEADER);
COPY (SELECT i AS user_id, 'x' || i AS other FROM generate_series(3, 7) i) TO :'b';
CREATE TABLE users (user_id int, label text);
INSERT INTO users SELECT i, 'u' || i FROM generate_series(1, 10) i;

-- joins by name, set operations, columns by number, INSERT with and without names
SELECT * FROM users JOIN mooncake.read_csv('columns_a.csv') a USING (user_id) ORDER BY 1 LIMIT 2;
SELECT * FROM mooncake.read_csv('columns_a.csv') NATURAL JOIN mooncake.read_parquet('columns_b.parquet') ORDER BY 1;
SELECT * FROM users FULL JOIN mooncake.read_csv('columns_a.csv') a USING (user_id) ORDER BY 1 DESC LIMIT 1;
SELECT user_id, label FROM users WHERE user_id < 2 UNION SELECT * FROM mooncake.read_parquet('columns_b.parquet') ORDER BY 1 LIMIT 3;
SELECT * FROM mooncake.read_csv('columns_a.csv') EXCEPT SELECT * FROM mooncake.read_csv('columns_a.csv') WHERE user_id > 1;
SELECT * FROM mooncake.read_parquet('columns_b.parquet') GROUP BY 2, 1 ORDER BY 2 DESC LIMIT 2;
SELECT DISTINCT ON (1) * FROM mooncake.read_csv('columns_a.csv') ORDER BY 1, 3 LIMIT 1;
INSERT INTO users (user_id, label) SELECT * FROM mooncake.read_parquet('columns_b.parquet') WHERE user_id > 5 RETURNING *;
WITH RECURSIVE t AS (
    SELECT user_id FROM mooncake.read_csv('columns_a.csv') WHERE user_id = 3
    UNION ALL SELECT t.user_id + 1 FROM t JOIN mooncake.read_parquet('columns_b.parquet') USING (user_id))
SELECT * FROM t;

-- names for the columns, numbers for the rows, several functions
SELECT a, b FROM mooncake.read_parquet('columns_b.parquet') AS r(a, b) ORDER BY 1 LIMIT 1;
CREATE VIEW renamed AS SELECT * FROM mooncake.read_parquet('columns_b.parquet') AS r(a, b);
SELECT pg_get_viewdef('renamed');
SELECT * FROM renamed ORDER BY 1 LIMIT 1;
SELECT * FROM mooncake.read_csv('columns_a.csv') WITH ORDINALITY ORDER BY ordinality LIMIT 1;
SELECT * FROM ROWS FROM (generate_series(1, 2), mooncake.read_parquet('columns_b.parquet')) AS x(n) ORDER BY n LIMIT 2;

-- names without regard to case where nothing has them exactly
SELECT name, r['name'], r."Name", r.NAME FROM mooncake.read_csv('columns_a.csv') r ORDER BY name LIMIT 1;

-- whole rows
SELECT r, row_to_json(r), (r).user_id FROM mooncake.read_csv('columns_a.csv') r ORDER BY user_id LIMIT 1;
SELECT w['user_id'], w['NAME'] FROM (SELECT r AS w FROM mooncake.read_csv('columns_a.csv') r) q ORDER BY 1 LIMIT 1;
WITH w AS (SELECT r FROM mooncake.read_csv('columns_a.csv') r) SELECT max(r['user_id'] + 1) FROM w;
SELECT (SELECT max(r['amount']) FROM mooncake.read_csv('columns_a.csv') r WHERE r['user_id'] < u.user_id) FROM users u WHERE user_id = 4;
SELECT r[label] FROM mooncake.read_csv('columns_a.csv') r, users;

-- analyses of their own: functions, blocks, prepared statements
CREATE FUNCTION atomic() RETURNS SETOF text LANGUAGE sql
    BEGIN ATOMIC SELECT r['user_id']::text FROM mooncake.read_csv('columns_a.csv') r ORDER BY 1; END;
SELECT * FROM atomic() LIMIT 1;
CREATE FUNCTION plain() RETURNS TABLE (a int, b text) LANGUAGE sql
    AS $$ SELECT * FROM mooncake.read_parquet('columns_b.parquet') ORDER BY 1 $$;
SELECT * FROM plain() LIMIT 1;
DO $$
DECLARE
    row record;
    total bigint;
BEGIN
    FOR row IN SELECT * FROM mooncake.read_parquet('columns_b.parquet') JOIN mooncake.read_csv('columns_a.csv') USING (user_id) ORDER BY 1 LOOP
        RAISE WARNING '%', row;
    END LOOP;
    total := (SELECT sum(user_id) FROM mooncake.read_csv('columns_a.csv'));
    RAISE WARNING '%', total;
END $$;
PREPARE twice(int) AS SELECT * FROM mooncake.read_csv('columns_a.csv') WHERE user_id = $1 UNION ALL VALUES (0, 'z', 1.0) ORDER BY 1;
EXECUTE twice(2);
EXECUTE twice(3);

-- nothing is left behind, neither by success nor by errors
SELECT * FROM mooncake.read_csv('columns_none.csv') JOIN users USING (user_id);
SELECT * FROM mooncake.read_csv('columns_a.csv') JOIN users USING (amount);
SELECT attname FROM pg_attribute WHERE attrelid = 'mooncake.lake_columns'::regclass AND attnum > 0;
SELECT NULL::mooncake.lake_columns;
SELECT (NULL::mooncake.lake_columns).user_id;

-- comparisons are no named arguments
SELECT header = 1 FROM mooncake.read_csv('columns_a.csv');
SELECT count(nothing = 1) FROM mooncake.read_csv('columns_a.csv', header => true);
DROP VIEW renamed;
DROP FUNCTION atomic, plain;
DROP TABLE users;
