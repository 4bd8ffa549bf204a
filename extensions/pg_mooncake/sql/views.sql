-- SPDX-License-Identifier: Apache-2.0
--
-- Tables are named by text as regclass prints them: quoted as needed, with the schema where the search_path does not lead
-- to the table. A name that does not exist finds no row; with type regclass it would be an error.
CREATE VIEW mooncake.columnstore_tables AS
    SELECT m.mirror::pg_catalog.text AS table_name,
           m.source::pg_catalog.text AS source_table,
           m.location,
           m.metadata_location,
           m.state,
           m.row_count AS rows_in_files,
           m.byte_count AS bytes_in_files,
           m.format_version,
           m.flushed_lsn,
           m.created,
           m.published
      FROM mooncake.mirrors AS m;
COMMENT ON VIEW mooncake.columnstore_tables IS 'mirrors and the physical locations of their Iceberg tables';
GRANT SELECT ON mooncake.columnstore_tables TO PUBLIC;

CREATE VIEW mooncake.mirror_options AS
    SELECT m.mirror::pg_catalog.text AS table_name,
           m.source::pg_catalog.text AS source_table,
           m.identity,
           (SELECT pg_catalog.array_agg(a.attname ORDER BY k.ordinal)
              FROM pg_catalog.unnest(m.key) WITH ORDINALITY AS k(attribute, ordinal)
              JOIN pg_catalog.pg_attribute AS a ON a.attrelid = m.source::pg_catalog.oid AND a.attnum = k.attribute) AS key_columns,
           m.stored_columns,
           -- Not by an interval's literal: IvorySQL reads those by its mode, and pg_upgrade restores views in another one.
           pg_catalog.make_interval(secs => m.flush_interval_ms / 1000.0::pg_catalog.float8) AS flush_interval,
           m.flush_rows,
           m.flush_bytes,
           m.warehouse,
           m.format_version,
           m.sort_columns,
           m.numeric_scale
      FROM mooncake.mirrors AS m;
COMMENT ON VIEW mooncake.mirror_options IS 'how mirrors find old rows, and the options given to create_table; NULL is the default';
GRANT SELECT ON mooncake.mirror_options TO PUBLIC;

-- Values that no column of the mirror''s format holds. Queries that read such a column use the row table.
CREATE VIEW mooncake.inexact_columns AS
    SELECT m.mirror::pg_catalog.text AS table_name,
           m.source::pg_catalog.text AS source_table,
           a.attname AS column_name,
           pg_catalog.format_type(a.atttypid, a.atttypmod) AS column_type
      FROM mooncake.mirrors AS m
           CROSS JOIN LATERAL pg_catalog.unnest(m.inexact) AS i(attribute)
      JOIN pg_catalog.pg_attribute AS a ON a.attrelid = m.source::pg_catalog.oid AND a.attnum = i.attribute
     WHERE NOT a.attisdropped;
COMMENT ON VIEW mooncake.inexact_columns IS 'columns of mirrors in which some value could not be stored: queries on them use the row table';
GRANT SELECT ON mooncake.inexact_columns TO PUBLIC;

-- What the engine says of each mirror now. The error text may quote values: it is for those who may read the mirror.
CREATE VIEW mooncake.mirror_status AS
    SELECT m.mirror::pg_catalog.text AS table_name,
           m.source::pg_catalog.text AS source_table,
           m.state,
           e.mirror_state ->> 'state' AS engine_state,
           (e.mirror_state ->> 'copied_rows')::pg_catalog.int8 AS copied_rows,
           (e.mirror_state ->> 'estimated_rows')::pg_catalog.int8 AS estimated_rows,
           (e.mirror_state ->> 'delta_rows')::pg_catalog.int8 AS delta_rows,
           (e.mirror_state ->> 'delta_bytes')::pg_catalog.int8 AS delta_bytes,
           (e.mirror_state ->> 'pending_deletes')::pg_catalog.int8 AS pending_deletes,
           (e.mirror_state ->> 'files')::pg_catalog.int8 AS files,
           (e.mirror_state ->> 'file_rows')::pg_catalog.int8 AS file_rows,
           (e.mirror_state ->> 'file_bytes')::pg_catalog.int8 AS file_bytes,
           (e.engine_state ->> 'applied_lsn')::pg_catalog.pg_lsn AS applied_lsn,
           m.flushed_lsn,
           CASE WHEN NOT pg_catalog.pg_is_in_recovery()
                THEN pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_flush_lsn(),
                         (e.engine_state ->> 'applied_lsn')::pg_catalog.pg_lsn)::pg_catalog.int8 END AS lag_bytes,
           CASE WHEN pg_catalog.has_table_privilege(m.mirror::pg_catalog.oid, 'SELECT')
                THEN coalesce(m.error, nullif(e.mirror_state ->> 'error', pg_catalog.repeat(' ', 0)),
                              nullif(e.mirror_state ->> 'flush_error', pg_catalog.repeat(' ', 0))) END AS error,
           m.failures,
           m.retry_at
      FROM mooncake.mirrors AS m
      LEFT JOIN (SELECT s.engine_state, t.mirror_state, (t.mirror_state ->> 'id')::pg_catalog.oid AS id
                   FROM (SELECT mooncake.engine_status() AS engine_state OFFSET 0) AS s,
                        LATERAL pg_catalog.jsonb_array_elements(s.engine_state -> 'mirrors') AS t(mirror_state)) AS e
             ON e.id = m.mirror::pg_catalog.oid;
COMMENT ON VIEW mooncake.mirror_status IS 'live state of mirrors: copy progress, delta, files, lag, last error';
GRANT SELECT ON mooncake.mirror_status TO PUBLIC;

CREATE VIEW mooncake.copy_progress AS
    SELECT m.mirror::pg_catalog.text AS table_name,
           m.source::pg_catalog.text AS source_table,
           coalesce(e.mirror_state ->> 'copy_phase', 'waiting') AS phase,
           coalesce((e.mirror_state ->> 'copied_rows')::pg_catalog.int8, 0) AS rows,
           (e.mirror_state ->> 'estimated_rows')::pg_catalog.int8 AS estimated_rows,
           coalesce((e.mirror_state ->> 'scanned_bytes')::pg_catalog.int8, 0) AS bytes,
           (e.mirror_state ->> 'estimated_bytes')::pg_catalog.int8 AS total_bytes,
           m.generation,
           CASE WHEN pg_catalog.has_table_privilege(m.mirror::pg_catalog.oid, 'SELECT')
                THEN coalesce(m.error, nullif(e.mirror_state ->> 'flush_error', pg_catalog.repeat(' ', 0))) END AS last_error
      FROM mooncake.mirrors AS m
      LEFT JOIN (SELECT t.mirror_state, (t.mirror_state ->> 'id')::pg_catalog.oid AS id
                   FROM (SELECT mooncake.engine_status() AS engine_state OFFSET 0) AS s,
                        LATERAL pg_catalog.jsonb_array_elements(s.engine_state -> 'mirrors') AS t(mirror_state)) AS e
             ON e.id = m.mirror::pg_catalog.oid
     WHERE m.state = 'copying';
COMMENT ON VIEW mooncake.copy_progress IS 'copies that are under way: rows sent, and bytes of the source read, of how many';
GRANT SELECT ON mooncake.copy_progress TO PUBLIC;

-- Mirrors whose files are being rewritten, or were asked to be; and why the last attempt failed, which may quote values.
CREATE VIEW mooncake.optimize_progress AS
    SELECT m.mirror::pg_catalog.text AS table_name,
           coalesce(e.mirror_state ->> 'optimize_phase', 'waiting') AS phase,
           (e.mirror_state ->> 'optimize_requested')::pg_catalog.bool AS requested,
           (e.mirror_state ->> 'optimize_files')::pg_catalog.int8 AS files,
           (e.mirror_state ->> 'optimize_rows_read')::pg_catalog.int8 AS rows_read,
           (e.mirror_state ->> 'optimize_rows_written')::pg_catalog.int8 AS rows_written,
           (e.mirror_state ->> 'optimize_rows')::pg_catalog.int8 AS total_rows,
           CASE WHEN pg_catalog.has_table_privilege(m.mirror::pg_catalog.oid, 'SELECT')
                THEN nullif(e.mirror_state ->> 'optimize_error', pg_catalog.repeat(' ', 0)) END AS last_error
      FROM mooncake.mirrors AS m
      JOIN (SELECT t.mirror_state, (t.mirror_state ->> 'id')::pg_catalog.oid AS id
              FROM (SELECT mooncake.engine_status() AS engine_state OFFSET 0) AS s,
                   LATERAL pg_catalog.jsonb_array_elements(s.engine_state -> 'mirrors') AS t(mirror_state)) AS e
        ON e.id = m.mirror::pg_catalog.oid
     WHERE e.mirror_state ->> 'optimize_phase' IS NOT NULL OR (e.mirror_state ->> 'optimize_requested')::pg_catalog.bool
        OR nullif(e.mirror_state ->> 'optimize_error', pg_catalog.repeat(' ', 0)) IS NOT NULL;
COMMENT ON VIEW mooncake.optimize_progress IS 'mirrors whose data files are being rewritten: rows read and written, of how many';
GRANT SELECT ON mooncake.optimize_progress TO PUBLIC;

-- The catalog that the JDBC and SQL catalogs of Iceberg clients read. Views: only this extension writes.
CREATE VIEW mooncake.iceberg_tables AS
    SELECT pg_catalog.current_database()::pg_catalog.text AS catalog_name,
           n.nspname::pg_catalog.text AS table_namespace,
           c.relname::pg_catalog.text AS table_name,
           m.metadata_location,
           m.previous_metadata_location,
           'TABLE'::pg_catalog.text AS iceberg_type
      FROM mooncake.mirrors AS m
      JOIN pg_catalog.pg_class AS c ON c.oid = m.mirror::pg_catalog.oid
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE m.metadata_location IS NOT NULL;
COMMENT ON VIEW mooncake.iceberg_tables IS 'Iceberg catalog (JDBC catalog, schema version 1): tables';
GRANT SELECT ON mooncake.iceberg_tables TO PUBLIC;

CREATE VIEW mooncake.iceberg_namespace_properties AS
    SELECT DISTINCT t.catalog_name,
           t.table_namespace AS namespace,
           'exists'::pg_catalog.text AS property_key,
           'true'::pg_catalog.text AS property_value
      FROM mooncake.iceberg_tables AS t;
COMMENT ON VIEW mooncake.iceberg_namespace_properties IS 'Iceberg catalog (JDBC catalog, schema version 1): namespaces';
GRANT SELECT ON mooncake.iceberg_namespace_properties TO PUBLIC;
