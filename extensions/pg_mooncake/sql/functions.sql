-- SPDX-License-Identifier: Apache-2.0
CREATE PROCEDURE mooncake.create_table(dst pg_catalog.text, src pg_catalog.text, options pg_catalog.jsonb DEFAULT NULL)
    LANGUAGE c AS 'MODULE_PATHNAME', 'mooncake_create_table';
COMMENT ON PROCEDURE mooncake.create_table(pg_catalog.text, pg_catalog.text, pg_catalog.jsonb)
    IS 'makes a columnstore mirror of a table and waits until it is live';

CREATE PROCEDURE mooncake.rebuild_table(dst pg_catalog.text, wait pg_catalog.bool DEFAULT true)
    LANGUAGE c AS 'MODULE_PATHNAME', 'mooncake_rebuild_table';
COMMENT ON PROCEDURE mooncake.rebuild_table(pg_catalog.text, pg_catalog.bool)
    IS 'copies the source of a mirror anew, and waits until the mirror is live again';

CREATE PROCEDURE mooncake.create_snapshot(dst pg_catalog.text)
    LANGUAGE c AS 'MODULE_PATHNAME', 'mooncake_create_snapshot';
COMMENT ON PROCEDURE mooncake.create_snapshot(pg_catalog.text)
    IS 'publishes what has committed so far as a snapshot of the Iceberg table';

CREATE FUNCTION mooncake.bgworker_status(
    OUT guc_enabled        pg_catalog.bool,
    OUT wal_level_logical  pg_catalog.bool,
    OUT launcher_running   pg_catalog.bool,
    OUT worker_running     pg_catalog.bool,
    OUT slot_exists        pg_catalog.bool,
    OUT socket_exists      pg_catalog.bool,
    OUT socket_listening   pg_catalog.bool)
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'mooncake_bgworker_status';
COMMENT ON FUNCTION mooncake.bgworker_status() IS 'whether each link of the chain from a commit to the mirrors is up';

CREATE FUNCTION mooncake.engine_status() RETURNS pg_catalog.jsonb
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'mooncake_engine_status';
COMMENT ON FUNCTION mooncake.engine_status() IS 'state of the columnar engine and its mirrors, or NULL if it does not run';
