-- SPDX-License-Identifier: Apache-2.0
--
-- The truth about mirrors. Written by this extension only, as C++ (catalog.cc): the column order is known there. The types
-- regclass let pg_dump carry rows over by name; a restored row is turned into an order for a new copy by the trigger.
CREATE TABLE mooncake.mirrors (
    mirror                      pg_catalog.regclass PRIMARY KEY,
    source                      pg_catalog.regclass NOT NULL,
    state                       pg_catalog.text NOT NULL CHECK (state IN ('copying', 'live', 'error', 'stale')),
    generation                  pg_catalog.int4 NOT NULL,
    format_version              pg_catalog.int2 NOT NULL,
    location                    pg_catalog.text NOT NULL,
    metadata_location           pg_catalog.text,
    previous_metadata_location  pg_catalog.text,
    flushed_lsn                 pg_catalog.pg_lsn,
    copy_snapshot               pg_catalog.text,
    key                         pg_catalog._int2 NOT NULL,
    inexact                     pg_catalog._int2,
    row_count                   pg_catalog.int8 NOT NULL,
    byte_count                  pg_catalog.int8 NOT NULL,
    error                       pg_catalog.text,
    created                     pg_catalog.timestamptz NOT NULL,
    published                   pg_catalog.timestamptz,
    failures                    pg_catalog.int4 NOT NULL DEFAULT 0,
    failed                      pg_catalog.timestamptz,
    retry_at                    pg_catalog.timestamptz,
    identity                    pg_catalog.text NOT NULL CHECK (identity IN ('key', 'full', 'append_only')),
    stored_columns              pg_catalog._text,
    flush_interval_ms           pg_catalog.int8,
    flush_rows                  pg_catalog.int8,
    flush_bytes                 pg_catalog.int8,
    warehouse                   pg_catalog.text,
    sort_columns                pg_catalog._text,
    numeric_scale               pg_catalog.jsonb
);
CREATE INDEX mirrors_source ON mooncake.mirrors (source);
COMMENT ON TABLE mooncake.mirrors IS 'mirrors and their published Iceberg tables';

CREATE FUNCTION mooncake.restore_mirror() RETURNS pg_catalog.trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'mooncake_restore_mirror';
REVOKE ALL ON FUNCTION mooncake.restore_mirror() FROM PUBLIC;
CREATE TRIGGER restore_mirror BEFORE INSERT ON mooncake.mirrors
    FOR EACH ROW EXECUTE FUNCTION mooncake.restore_mirror();

-- Folders of dropped mirrors, until the capture worker has deleted them: those in buckets with the secrets of "owner".
CREATE TABLE mooncake.dropped (
    location  pg_catalog.text PRIMARY KEY,
    mirror    pg_catalog.oid NOT NULL,
    dropped   pg_catalog.timestamptz NOT NULL,
    owner     pg_catalog.oid NOT NULL,
    error     pg_catalog.text
);
COMMENT ON TABLE mooncake.dropped IS 'folders of dropped mirrors whose files are still to be deleted';

-- How far the replication slot may be: at most one row. A slot that is further has passed changes without the mirrors (it
-- was made or advanced by somebody, or this database is older than the slot): see slot_record.h.
CREATE TABLE mooncake.slot_record (
    confirmed  pg_catalog.pg_lsn NOT NULL,
    recorded   pg_catalog.timestamptz NOT NULL
);
COMMENT ON TABLE mooncake.slot_record IS 'the furthest position of the replication slot that the published files account for';

-- What marks logical messages in the WAL as the extension's own: anybody may write some (pg_logical_emit_message). One row,
-- for nobody to read but the capture worker and the hooks that write messages (member_rows.h).
CREATE TABLE mooncake.message_key (
    key  pg_catalog.uuid NOT NULL
);
INSERT INTO mooncake.message_key VALUES (pg_catalog.gen_random_uuid());
COMMENT ON TABLE mooncake.message_key IS 'secret that marks logical messages as this extension''s';

-- Everything but the error text, which may quote values.
GRANT SELECT (mirror, source, state, generation, format_version, location, metadata_location, previous_metadata_location,
              flushed_lsn, copy_snapshot, key, inexact, row_count, byte_count, created, published, failures, failed, retry_at,
              identity, stored_columns, flush_interval_ms, flush_rows, flush_bytes, warehouse, sort_columns,
              numeric_scale)
    ON mooncake.mirrors TO PUBLIC;
GRANT SELECT ON mooncake.dropped TO PUBLIC;
GRANT SELECT ON mooncake.slot_record TO PUBLIC;

SELECT pg_catalog.pg_extension_config_dump('mooncake.mirrors', 'WHERE true');
