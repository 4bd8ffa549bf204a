-- SPDX-License-Identifier: Apache-2.0
CREATE FUNCTION mooncake.start_capture() RETURNS pg_catalog.void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'mooncake_start_capture';
REVOKE ALL ON FUNCTION mooncake.start_capture() FROM PUBLIC;
SELECT mooncake.start_capture();
