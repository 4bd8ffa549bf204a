-- SPDX-License-Identifier: Apache-2.0
-- mooncake.create_table: names, what the mirror looks like, and when it is made.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_mooncake CASCADE;
CREATE SCHEMA ct;
SET search_path = ct, public;

-- Columns: attribute numbers, names, types, NOT NULL and generated columns are the source's; defaults are not.
CREATE TABLE src (
    gone int,
    id bigint PRIMARY KEY,
    name varchar(20) COLLATE "C" NOT NULL DEFAULT 'x',
    also_gone text,
    amount numeric(10, 2) CHECK (amount >= 0),
    stored int GENERATED ALWAYS AS (id * 2) STORED,
    virtual int GENERATED ALWAYS AS (id * 3) VIRTUAL,
    "Odd ""Name" text[]
);
ALTER TABLE src DROP COLUMN gone, DROP COLUMN also_gone;
INSERT INTO src (id, amount, "Odd ""Name") SELECT i, i / 4.0, ARRAY['a', i::text] FROM generate_series(1, 100) i;
CALL mooncake.create_table('mir', 'src');
\d mir
SELECT a.attnum, a.attname, a.atttypid = b.atttypid AND a.atttypmod = b.atttypmod AND a.attcollation = b.attcollation AS same
  FROM pg_attribute a JOIN pg_attribute b USING (attnum)
 WHERE a.attrelid = 'mir'::regclass AND b.attrelid = 'src'::regclass AND attnum > 0 AND NOT a.attisdropped ORDER BY 1;
SELECT (SELECT array_agg(attnum ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'mir'::regclass AND attisdropped)
     = (SELECT array_agg(attnum ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'src'::regclass AND attisdropped) AS same_dropped;
SELECT * FROM mir ORDER BY id LIMIT 2;
SELECT count(*), sum(amount), sum(stored), sum(virtual) FROM mir;
SELECT relam = (SELECT oid FROM pg_am WHERE amname = 'mooncake') AS am,
       reltoastrelid = 0 AS no_toast, relhasindex, relhastriggers, relkind, relpersistence
  FROM pg_class WHERE oid = 'mir'::regclass;

-- Catalog
SELECT table_name, source_table, state, rows_in_files, format_version,
       regexp_replace(location, '^.*/pg_mooncake/\d+/(.*)-\d+$', '\1') AS location,
       metadata_location LIKE location || '/metadata/%.metadata.json' AS metadata
  FROM mooncake.columnstore_tables WHERE table_name = 'mir';
SELECT catalog_name = current_database() AS catalog, table_namespace, table_name, iceberg_type
  FROM mooncake.iceberg_tables WHERE table_namespace = 'ct';
SELECT namespace, property_key, property_value FROM mooncake.iceberg_namespace_properties WHERE namespace = 'ct';
SELECT state, engine_state, copied_rows, files, file_rows, error FROM mooncake.mirror_status WHERE table_name = 'mir';

-- Names
CREATE SCHEMA "Ct.2 %";
CREATE TABLE "Ct.2 %"."A ""quoted"" Ünï" ("Id" int PRIMARY KEY, "select" text);
INSERT INTO "Ct.2 %"."A ""quoted"" Ünï" VALUES (1, 'one');
CALL mooncake.create_table('"Ct.2 %"."Its mirror/../x"', '"Ct.2 %"."A ""quoted"" Ünï"');
SELECT * FROM "Ct.2 %"."Its mirror/../x";
SELECT regexp_replace(location, '^.*/pg_mooncake/\d+/(.*)-\d+$', '\1') AS location
  FROM mooncake.columnstore_tables WHERE source_table = '"Ct.2 %"."A ""quoted"" Ünï"';
CALL mooncake.create_table('  ct . spaced ', ' SRC ');
SELECT count(*) FROM spaced;

-- Several mirrors of one source; identity by an index; empty tables; tables without columns but the key
CALL mooncake.create_table(dst => 'mir_b', src => 'src');
SELECT count(*) FROM mir, mir_b WHERE mir.id = mir_b.id;
CREATE TABLE by_index (a int NOT NULL, b text NOT NULL, c int);
CREATE UNIQUE INDEX by_index_idx ON by_index (b, a);
ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_idx;
CALL mooncake.create_table('mir_index', 'by_index', options => '{"wait": true}');
SELECT key FROM mooncake.mirrors WHERE mirror = 'mir_index'::regclass;
SELECT count(*) FROM mir_index;

-- In a transaction block the copy starts after the commit; queries use the row table until it is done.
BEGIN;
CREATE TABLE fresh (id int PRIMARY KEY);
INSERT INTO fresh VALUES (1);
CALL mooncake.create_table('mir_fresh', 'fresh');
SELECT * FROM mir_fresh;
SELECT state FROM mooncake.mirrors WHERE mirror = 'mir_fresh'::regclass;
COMMIT;
INSERT INTO fresh VALUES (2);
SELECT * FROM mir_fresh ORDER BY 1;
BEGIN;
CALL mooncake.create_table('mir_never', 'fresh');
ROLLBACK;
SELECT to_regclass('mir_never'), (SELECT count(*) FROM mooncake.mirrors WHERE source = 'fresh'::regclass);
BEGIN;
CALL mooncake.create_table('mir_never', 'fresh');
PREPARE TRANSACTION 'x';

-- A cancelled wait leaves nothing behind.
CREATE TABLE large (id int PRIMARY KEY, t text);
INSERT INTO large SELECT i, repeat('x', 500) FROM generate_series(1, 200000) i;
SET statement_timeout = '50ms';
CALL mooncake.create_table('mir_large', 'large');
RESET statement_timeout;
SELECT to_regclass('mir_large'), (SELECT count(*) FROM mooncake.mirrors WHERE source = 'large'::regclass);

-- The mirror belongs to the source's owner; others get nothing but what is granted on it.
CREATE ROLE ct_owner;
GRANT USAGE, CREATE ON SCHEMA ct TO ct_owner;
CREATE TABLE owned (id int PRIMARY KEY);
INSERT INTO owned VALUES (1);
ALTER TABLE owned OWNER TO ct_owner;
CALL mooncake.create_table('mir_owned', 'owned');
SELECT relowner::regrole FROM pg_class WHERE oid = 'mir_owned'::regclass;
SET ROLE ct_owner;
SELECT * FROM mir_owned;
SELECT * FROM mir;
ALTER TABLE mir_owned RENAME TO mir_renamed;
SELECT * FROM mir_renamed;
DROP TABLE mir_renamed;
CALL mooncake.create_table('mir_owned', 'owned');
RESET ROLE;

-- Row-level security of the source is not inherited, so the mirror starts closed.
ALTER TABLE owned ENABLE ROW LEVEL SECURITY;
RESET client_min_messages;
CALL mooncake.create_table('mir_closed', 'owned');
SET client_min_messages = warning;
SELECT relrowsecurity FROM pg_class WHERE oid = 'mir_closed'::regclass;

DROP SCHEMA ct, "Ct.2 %" CASCADE;
DROP ROLE ct_owner;
SELECT count(*) FROM mooncake.mirrors WHERE source::oid NOT IN (SELECT oid FROM pg_class);
