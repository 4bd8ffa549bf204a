-- SPDX-License-Identifier: Apache-2.0
CREATE FUNCTION mooncake.table_handler(pg_catalog.internal) RETURNS pg_catalog.table_am_handler
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mooncake_table_handler';
REVOKE ALL ON FUNCTION mooncake.table_handler(pg_catalog.internal) FROM PUBLIC;

CREATE ACCESS METHOD mooncake TYPE TABLE HANDLER mooncake.table_handler;
COMMENT ON ACCESS METHOD mooncake IS 'columnstore mirror of a row table, made by mooncake.create_table';
