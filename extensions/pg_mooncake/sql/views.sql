-- SPDX-License-Identifier: Apache-2.0
CREATE VIEW mooncake.columnstore_tables AS
    SELECT m.mirror AS table_name,
           m.source AS source_table,
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
