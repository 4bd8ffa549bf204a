-- SPDX-License-Identifier: Apache-2.0
-- Options come as one JSON object, as named arguments, or both. To add one, add it here and in options.cc: arguments are
-- options of their own names. None has type interval: IvorySQL's pg_upgrade restores in Oracle's mode, where that is another type.
-- numeric_scale is a number, or JSON; not of type "any", a name which Oracle's mode takes for ANY.
CREATE PROCEDURE mooncake.create_table(
    dst             pg_catalog.text,
    src             pg_catalog.text,
    options         pg_catalog.jsonb DEFAULT NULL,
    wait            pg_catalog.bool DEFAULT NULL,
    identity        pg_catalog.text DEFAULT NULL,
    columns         pg_catalog._text DEFAULT NULL,
    sort_column     pg_catalog._text DEFAULT NULL,
    flush_interval  pg_catalog.text DEFAULT NULL,
    flush_rows      pg_catalog.int8 DEFAULT NULL,
    flush_size      pg_catalog.text DEFAULT NULL,
    location        pg_catalog.text DEFAULT NULL,
    format_version  pg_catalog.int4 DEFAULT NULL,
    numeric_scale   pg_catalog.anycompatible DEFAULT NULL)
    LANGUAGE c AS 'MODULE_PATHNAME', 'mooncake_create_table';
COMMENT ON PROCEDURE mooncake.create_table
    IS 'makes a columnstore mirror of a table and waits until it is live';

CREATE PROCEDURE mooncake.rebuild_table(dst pg_catalog.text, wait pg_catalog.bool DEFAULT true)
    LANGUAGE c AS 'MODULE_PATHNAME', 'mooncake_rebuild_table';
COMMENT ON PROCEDURE mooncake.rebuild_table(pg_catalog.text, pg_catalog.bool)
    IS 'copies the source of a mirror anew, and waits until the mirror is live again';

CREATE PROCEDURE mooncake.cancel_copy(dst pg_catalog.text)
    LANGUAGE c AS 'MODULE_PATHNAME', 'mooncake_cancel_copy';
COMMENT ON PROCEDURE mooncake.cancel_copy(pg_catalog.text)
    IS 'stops the copy of a mirror, whose state is error until rebuild_table is called';

CREATE PROCEDURE mooncake.create_snapshot(dst pg_catalog.text)
    LANGUAGE c AS 'MODULE_PATHNAME', 'mooncake_create_snapshot';
COMMENT ON PROCEDURE mooncake.create_snapshot(pg_catalog.text)
    IS 'publishes what has committed so far as a snapshot of the Iceberg table';

CREATE FUNCTION mooncake.count_inexact(dst pg_catalog.text, column_name pg_catalog.text) RETURNS pg_catalog.int8
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'mooncake_count_inexact';
COMMENT ON FUNCTION mooncake.count_inexact(pg_catalog.text, pg_catalog.text)
    IS 'values in a column of the source that its mirror can''t store; reads the whole column';

CREATE PROCEDURE mooncake.optimize(dst pg_catalog.text)
    LANGUAGE c AS 'MODULE_PATHNAME', 'mooncake_optimize';
COMMENT ON PROCEDURE mooncake.optimize(pg_catalog.text)
    IS 'rewrites small data files of a mirror, and those with deleted rows, into larger ones';

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
