-- SPDX-License-Identifier: Apache-2.0
--
-- SQL objects of pg_duckdb. Written so that both of IvorySQL's parsers read it alike: qualified type names, no empty
-- string literals, no quoted lower-case identifiers.
\echo Use "CREATE EXTENSION pg_duckdb" to load this file. \quit

CREATE SCHEMA duckdb;
GRANT USAGE ON SCHEMA duckdb TO PUBLIC;

-- The engines of this server, one row for each database that has or had one.
CREATE FUNCTION duckdb.engines(OUT database pg_catalog.oid, OUT pid pg_catalog.int4, OUT state pg_catalog.text,
                               OUT keep pg_catalog.bool, OUT connections pg_catalog.int4, OUT failures pg_catalog.int4,
                               OUT started_at pg_catalog.timestamptz)
    RETURNS SETOF pg_catalog.record
    LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'duckdb_engines';
COMMENT ON FUNCTION duckdb.engines() IS 'columnar engines of this server';

-- The state of this database's engine and its mirrors. Starts the engine if it is not running.
CREATE FUNCTION duckdb.engine_status()
    RETURNS pg_catalog.jsonb
    LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'duckdb_engine_status';
REVOKE ALL ON FUNCTION duckdb.engine_status() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION duckdb.engine_status() TO pg_monitor;
COMMENT ON FUNCTION duckdb.engine_status() IS 'state of the columnar engine of this database and its mirrors; starts it if it is not running';
