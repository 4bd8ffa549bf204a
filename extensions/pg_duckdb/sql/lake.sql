-- SPDX-License-Identifier: Apache-2.0
--
-- Reading files. Each function is one of the engine's readers (lake_function.cc); its arguments are the path, a glob or a
-- list of them, and the reader's options by their own names, NULL where not given. "row_type" settles what a row is: by
-- default the column definition list says, or, without one, a row is a mooncake.lake_row.
CREATE SCHEMA mooncake;
GRANT USAGE ON SCHEMA mooncake TO PUBLIC;

-- A row of a file whose columns are got by subscripts, r['name']. To Postgres it is a JSON object, stored as jsonb is.
CREATE TYPE mooncake.lake_row;
CREATE FUNCTION mooncake.lake_row_in(pg_catalog.cstring) RETURNS mooncake.lake_row
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'jsonb_in';
CREATE FUNCTION mooncake.lake_row_out(mooncake.lake_row) RETURNS pg_catalog.cstring
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'jsonb_out';
CREATE FUNCTION mooncake.lake_row_recv(pg_catalog.internal) RETURNS mooncake.lake_row
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'jsonb_recv';
CREATE FUNCTION mooncake.lake_row_send(mooncake.lake_row) RETURNS pg_catalog.bytea
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'jsonb_send';
CREATE FUNCTION mooncake.lake_row_subscript(pg_catalog.internal) RETURNS pg_catalog.internal
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'duckdb_lake_row_subscript';
CREATE TYPE mooncake.lake_row (
    INPUT = mooncake.lake_row_in, OUTPUT = mooncake.lake_row_out, RECEIVE = mooncake.lake_row_recv,
    SEND = mooncake.lake_row_send, SUBSCRIPT = mooncake.lake_row_subscript, LIKE = pg_catalog.jsonb);
-- While a statement is analysed, this one has the columns of a file (lake_analysis.h).
CREATE TYPE mooncake.lake_columns AS ();
CREATE CAST (mooncake.lake_row AS pg_catalog.jsonb) WITHOUT FUNCTION AS ASSIGNMENT;

CREATE FUNCTION mooncake.read_parquet(
    path pg_catalog.text, filename pg_catalog.bool DEFAULT NULL, hive_partitioning pg_catalog.bool DEFAULT NULL,
    hive_types pg_catalog.jsonb DEFAULT NULL, hive_types_autocast pg_catalog.bool DEFAULT NULL,
    union_by_name pg_catalog.bool DEFAULT NULL, file_row_number pg_catalog.bool DEFAULT NULL,
    binary_as_string pg_catalog.bool DEFAULT NULL, row_type pg_catalog.anyelement DEFAULT NULL::pg_catalog.record)
    RETURNS SETOF pg_catalog.anyelement LANGUAGE c STABLE PARALLEL RESTRICTED COST 1000000 ROWS 100000
    AS 'MODULE_PATHNAME', 'duckdb_lake_scan';
CREATE FUNCTION mooncake.read_parquet(
    path pg_catalog._text, filename pg_catalog.bool DEFAULT NULL, hive_partitioning pg_catalog.bool DEFAULT NULL,
    hive_types pg_catalog.jsonb DEFAULT NULL, hive_types_autocast pg_catalog.bool DEFAULT NULL,
    union_by_name pg_catalog.bool DEFAULT NULL, file_row_number pg_catalog.bool DEFAULT NULL,
    binary_as_string pg_catalog.bool DEFAULT NULL, row_type pg_catalog.anyelement DEFAULT NULL::pg_catalog.record)
    RETURNS SETOF pg_catalog.anyelement LANGUAGE c STABLE PARALLEL RESTRICTED COST 1000000 ROWS 100000
    AS 'MODULE_PATHNAME', 'duckdb_lake_scan';

CREATE FUNCTION mooncake.read_csv(
    path pg_catalog.text, filename pg_catalog.bool DEFAULT NULL, hive_partitioning pg_catalog.bool DEFAULT NULL,
    hive_types pg_catalog.jsonb DEFAULT NULL, hive_types_autocast pg_catalog.bool DEFAULT NULL,
    union_by_name pg_catalog.bool DEFAULT NULL, header pg_catalog.bool DEFAULT NULL,
    auto_detect pg_catalog.bool DEFAULT NULL, delimiter pg_catalog.text DEFAULT NULL,
    delim pg_catalog.text DEFAULT NULL, sep pg_catalog.text DEFAULT NULL, quote pg_catalog.text DEFAULT NULL,
    escape pg_catalog.text DEFAULT NULL, new_line pg_catalog.text DEFAULT NULL, nullstr pg_catalog.text DEFAULT NULL,
    skip pg_catalog.int8 DEFAULT NULL, columns pg_catalog.jsonb DEFAULT NULL, types pg_catalog.jsonb DEFAULT NULL,
    dtypes pg_catalog.jsonb DEFAULT NULL, column_types pg_catalog.jsonb DEFAULT NULL,
    names pg_catalog._text DEFAULT NULL, column_names pg_catalog._text DEFAULT NULL,
    auto_type_candidates pg_catalog._text DEFAULT NULL, all_varchar pg_catalog.bool DEFAULT NULL,
    dateformat pg_catalog.text DEFAULT NULL, timestampformat pg_catalog.text DEFAULT NULL,
    decimal_separator pg_catalog.text DEFAULT NULL, thousands pg_catalog.text DEFAULT NULL,
    sample_size pg_catalog.int8 DEFAULT NULL, files_to_sniff pg_catalog.int8 DEFAULT NULL,
    normalize_names pg_catalog.bool DEFAULT NULL, compression pg_catalog.text DEFAULT NULL,
    encoding pg_catalog.text DEFAULT NULL, comment pg_catalog.text DEFAULT NULL,
    max_line_size pg_catalog.int8 DEFAULT NULL, buffer_size pg_catalog.int8 DEFAULT NULL,
    ignore_errors pg_catalog.bool DEFAULT NULL, strict_mode pg_catalog.bool DEFAULT NULL,
    null_padding pg_catalog.bool DEFAULT NULL, force_not_null pg_catalog._text DEFAULT NULL,
    allow_quoted_nulls pg_catalog.bool DEFAULT NULL, parallel pg_catalog.bool DEFAULT NULL,
    row_type pg_catalog.anyelement DEFAULT NULL::pg_catalog.record)
    RETURNS SETOF pg_catalog.anyelement LANGUAGE c STABLE PARALLEL RESTRICTED COST 1000000 ROWS 100000
    AS 'MODULE_PATHNAME', 'duckdb_lake_scan';
CREATE FUNCTION mooncake.read_csv(
    path pg_catalog._text, filename pg_catalog.bool DEFAULT NULL, hive_partitioning pg_catalog.bool DEFAULT NULL,
    hive_types pg_catalog.jsonb DEFAULT NULL, hive_types_autocast pg_catalog.bool DEFAULT NULL,
    union_by_name pg_catalog.bool DEFAULT NULL, header pg_catalog.bool DEFAULT NULL,
    auto_detect pg_catalog.bool DEFAULT NULL, delimiter pg_catalog.text DEFAULT NULL,
    delim pg_catalog.text DEFAULT NULL, sep pg_catalog.text DEFAULT NULL, quote pg_catalog.text DEFAULT NULL,
    escape pg_catalog.text DEFAULT NULL, new_line pg_catalog.text DEFAULT NULL, nullstr pg_catalog.text DEFAULT NULL,
    skip pg_catalog.int8 DEFAULT NULL, columns pg_catalog.jsonb DEFAULT NULL, types pg_catalog.jsonb DEFAULT NULL,
    dtypes pg_catalog.jsonb DEFAULT NULL, column_types pg_catalog.jsonb DEFAULT NULL,
    names pg_catalog._text DEFAULT NULL, column_names pg_catalog._text DEFAULT NULL,
    auto_type_candidates pg_catalog._text DEFAULT NULL, all_varchar pg_catalog.bool DEFAULT NULL,
    dateformat pg_catalog.text DEFAULT NULL, timestampformat pg_catalog.text DEFAULT NULL,
    decimal_separator pg_catalog.text DEFAULT NULL, thousands pg_catalog.text DEFAULT NULL,
    sample_size pg_catalog.int8 DEFAULT NULL, files_to_sniff pg_catalog.int8 DEFAULT NULL,
    normalize_names pg_catalog.bool DEFAULT NULL, compression pg_catalog.text DEFAULT NULL,
    encoding pg_catalog.text DEFAULT NULL, comment pg_catalog.text DEFAULT NULL,
    max_line_size pg_catalog.int8 DEFAULT NULL, buffer_size pg_catalog.int8 DEFAULT NULL,
    ignore_errors pg_catalog.bool DEFAULT NULL, strict_mode pg_catalog.bool DEFAULT NULL,
    null_padding pg_catalog.bool DEFAULT NULL, force_not_null pg_catalog._text DEFAULT NULL,
    allow_quoted_nulls pg_catalog.bool DEFAULT NULL, parallel pg_catalog.bool DEFAULT NULL,
    row_type pg_catalog.anyelement DEFAULT NULL::pg_catalog.record)
    RETURNS SETOF pg_catalog.anyelement LANGUAGE c STABLE PARALLEL RESTRICTED COST 1000000 ROWS 100000
    AS 'MODULE_PATHNAME', 'duckdb_lake_scan';

CREATE FUNCTION mooncake.read_json(
    path pg_catalog.text, filename pg_catalog.bool DEFAULT NULL, hive_partitioning pg_catalog.bool DEFAULT NULL,
    hive_types pg_catalog.jsonb DEFAULT NULL, hive_types_autocast pg_catalog.bool DEFAULT NULL,
    union_by_name pg_catalog.bool DEFAULT NULL, format pg_catalog.text DEFAULT NULL,
    records pg_catalog.text DEFAULT NULL, columns pg_catalog.jsonb DEFAULT NULL,
    auto_detect pg_catalog.bool DEFAULT NULL, sample_size pg_catalog.int8 DEFAULT NULL,
    maximum_depth pg_catalog.int8 DEFAULT NULL, maximum_object_size pg_catalog.int8 DEFAULT NULL,
    maximum_sample_files pg_catalog.int8 DEFAULT NULL, dateformat pg_catalog.text DEFAULT NULL,
    timestampformat pg_catalog.text DEFAULT NULL, compression pg_catalog.text DEFAULT NULL,
    ignore_errors pg_catalog.bool DEFAULT NULL, convert_strings_to_integers pg_catalog.bool DEFAULT NULL,
    field_appearance_threshold pg_catalog.float8 DEFAULT NULL, map_inference_threshold pg_catalog.int8 DEFAULT NULL,
    row_type pg_catalog.anyelement DEFAULT NULL::pg_catalog.record)
    RETURNS SETOF pg_catalog.anyelement LANGUAGE c STABLE PARALLEL RESTRICTED COST 1000000 ROWS 100000
    AS 'MODULE_PATHNAME', 'duckdb_lake_scan';
CREATE FUNCTION mooncake.read_json(
    path pg_catalog._text, filename pg_catalog.bool DEFAULT NULL, hive_partitioning pg_catalog.bool DEFAULT NULL,
    hive_types pg_catalog.jsonb DEFAULT NULL, hive_types_autocast pg_catalog.bool DEFAULT NULL,
    union_by_name pg_catalog.bool DEFAULT NULL, format pg_catalog.text DEFAULT NULL,
    records pg_catalog.text DEFAULT NULL, columns pg_catalog.jsonb DEFAULT NULL,
    auto_detect pg_catalog.bool DEFAULT NULL, sample_size pg_catalog.int8 DEFAULT NULL,
    maximum_depth pg_catalog.int8 DEFAULT NULL, maximum_object_size pg_catalog.int8 DEFAULT NULL,
    maximum_sample_files pg_catalog.int8 DEFAULT NULL, dateformat pg_catalog.text DEFAULT NULL,
    timestampformat pg_catalog.text DEFAULT NULL, compression pg_catalog.text DEFAULT NULL,
    ignore_errors pg_catalog.bool DEFAULT NULL, convert_strings_to_integers pg_catalog.bool DEFAULT NULL,
    field_appearance_threshold pg_catalog.float8 DEFAULT NULL, map_inference_threshold pg_catalog.int8 DEFAULT NULL,
    row_type pg_catalog.anyelement DEFAULT NULL::pg_catalog.record)
    RETURNS SETOF pg_catalog.anyelement LANGUAGE c STABLE PARALLEL RESTRICTED COST 1000000 ROWS 100000
    AS 'MODULE_PATHNAME', 'duckdb_lake_scan';

-- Tables of other engines, under their usual unqualified names: in pg_catalog, every search path finds them.
CREATE FUNCTION pg_catalog.iceberg_scan(
    path pg_catalog.text, snapshot_id pg_catalog.int8 DEFAULT NULL, as_of pg_catalog.timestamptz DEFAULT NULL,
    ref pg_catalog.text DEFAULT NULL, version pg_catalog.text DEFAULT NULL,
    allow_moved_paths pg_catalog.bool DEFAULT NULL, row_type pg_catalog.anyelement DEFAULT NULL::pg_catalog.record)
    RETURNS SETOF pg_catalog.anyelement LANGUAGE c STABLE PARALLEL RESTRICTED COST 1000000 ROWS 100000
    AS 'MODULE_PATHNAME', 'duckdb_lake_scan';
CREATE FUNCTION pg_catalog.iceberg_metadata(
    path pg_catalog.text, snapshot_id pg_catalog.int8 DEFAULT NULL, as_of pg_catalog.timestamptz DEFAULT NULL,
    ref pg_catalog.text DEFAULT NULL, version pg_catalog.text DEFAULT NULL,
    allow_moved_paths pg_catalog.bool DEFAULT NULL, row_type pg_catalog.anyelement DEFAULT NULL::pg_catalog.record)
    RETURNS SETOF pg_catalog.anyelement LANGUAGE c STABLE PARALLEL RESTRICTED COST 1000000 ROWS 100000
    AS 'MODULE_PATHNAME', 'duckdb_lake_scan';
CREATE FUNCTION pg_catalog.iceberg_snapshots(
    path pg_catalog.text, snapshot_id pg_catalog.int8 DEFAULT NULL, as_of pg_catalog.timestamptz DEFAULT NULL,
    ref pg_catalog.text DEFAULT NULL, version pg_catalog.text DEFAULT NULL,
    allow_moved_paths pg_catalog.bool DEFAULT NULL, row_type pg_catalog.anyelement DEFAULT NULL::pg_catalog.record)
    RETURNS SETOF pg_catalog.anyelement LANGUAGE c STABLE PARALLEL RESTRICTED COST 1000000 ROWS 100000
    AS 'MODULE_PATHNAME', 'duckdb_lake_scan';
CREATE FUNCTION pg_catalog.delta_scan(
    path pg_catalog.text, version pg_catalog.int8 DEFAULT NULL, as_of pg_catalog.timestamptz DEFAULT NULL,
    row_type pg_catalog.anyelement DEFAULT NULL::pg_catalog.record)
    RETURNS SETOF pg_catalog.anyelement LANGUAGE c STABLE PARALLEL RESTRICTED COST 1000000 ROWS 100000
    AS 'MODULE_PATHNAME', 'duckdb_lake_scan';

-- The columns of files. The format is that of the path's ending if it is not given; options are those of its reader.
CREATE FUNCTION mooncake.describe(path pg_catalog.text, format pg_catalog.text DEFAULT NULL, options pg_catalog.jsonb DEFAULT NULL,
                                  OUT column_name pg_catalog.text, OUT column_type pg_catalog.text, OUT file_type pg_catalog.text)
    RETURNS SETOF pg_catalog.record LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'duckdb_lake_describe';
CREATE PROCEDURE mooncake.create_view(name pg_catalog.text, path pg_catalog.text, format pg_catalog.text DEFAULT NULL,
                                      options pg_catalog.jsonb DEFAULT NULL)
    LANGUAGE c AS 'MODULE_PATHNAME', 'duckdb_lake_create_view';

-- Credentials for network locations. Written and read by lake_secrets.cc alone; not part of any dump.
CREATE TABLE mooncake.secret_store (
    owner    pg_catalog.oid NOT NULL,
    name     pg_catalog.text NOT NULL,
    type     pg_catalog.text NOT NULL,
    scope    pg_catalog._text NOT NULL,
    options  pg_catalog._text NOT NULL,
    granted  pg_catalog._oid NOT NULL,
    PRIMARY KEY (owner, name)
);
REVOKE ALL ON mooncake.secret_store FROM PUBLIC;
CREATE VIEW mooncake.secrets WITH (security_barrier) AS
    SELECT s.name, s.type, s.scope, pg_catalog.pg_get_userbyid(s.owner) AS owner, s.owner = r.oid AS own
    FROM mooncake.secret_store s JOIN pg_catalog.pg_roles o ON o.oid = s.owner, pg_catalog.pg_roles r
    WHERE r.rolname = CURRENT_USER AND (s.owner = r.oid OR EXISTS (
        SELECT FROM pg_catalog.unnest(s.granted) g(role)
        WHERE g.role = 0 OR g.role = r.oid OR EXISTS (
            WITH RECURSIVE member(role) AS (SELECT r.oid UNION SELECT m.roleid FROM pg_catalog.pg_auth_members m, member
                                            WHERE m.member = member.role)
            SELECT FROM member WHERE member.role = g.role)));
GRANT SELECT ON mooncake.secrets TO PUBLIC;
COMMENT ON VIEW mooncake.secrets IS 'secrets that the current user may use';

CREATE FUNCTION mooncake.create_secret(name pg_catalog.text, type pg_catalog.text, key_id pg_catalog.text, secret pg_catalog.text,
                                       extra pg_catalog.jsonb DEFAULT NULL) RETURNS pg_catalog.void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'duckdb_create_secret';
CREATE FUNCTION mooncake.drop_secret(name pg_catalog.text) RETURNS pg_catalog.void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'duckdb_drop_secret';
CREATE FUNCTION mooncake.grant_secret(name pg_catalog.text, role pg_catalog.text) RETURNS pg_catalog.void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'duckdb_grant_secret';
CREATE FUNCTION mooncake.revoke_secret(name pg_catalog.text, role pg_catalog.text) RETURNS pg_catalog.void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'duckdb_revoke_secret';

-- Postgres has json_extract_path_text for json only. A second function for jsonb itself would make calls with literals
-- ambiguous; this one takes jsonb by an implicit cast, and literals and parameters of unknown type, which its type's
-- category draws, with the same result as the original.
CREATE TYPE mooncake.json_document;
CREATE FUNCTION mooncake.json_document_in(pg_catalog.cstring) RETURNS mooncake.json_document
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'json_in';
CREATE FUNCTION mooncake.json_document_out(mooncake.json_document) RETURNS pg_catalog.cstring
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'json_out';
CREATE FUNCTION mooncake.json_document_recv(pg_catalog.internal) RETURNS mooncake.json_document
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'json_recv';
CREATE FUNCTION mooncake.json_document_send(mooncake.json_document) RETURNS pg_catalog.bytea
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'json_send';
CREATE TYPE mooncake.json_document (
    INPUT = mooncake.json_document_in, OUTPUT = mooncake.json_document_out, RECEIVE = mooncake.json_document_recv,
    SEND = mooncake.json_document_send, LIKE = pg_catalog.json, CATEGORY = 'S');
CREATE CAST (pg_catalog.jsonb AS mooncake.json_document) WITH INOUT AS IMPLICIT;
CREATE FUNCTION pg_catalog.json_extract_path_text(from_json mooncake.json_document, VARIADIC path_elems pg_catalog._text)
    RETURNS pg_catalog.text LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'json_extract_path_text';

-- DISTINCT, UNION and ORDER BY of rows, which are compared as JSON objects.
CREATE FUNCTION mooncake.lake_row_lt(mooncake.lake_row, mooncake.lake_row) RETURNS pg_catalog.bool
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'jsonb_lt';
CREATE FUNCTION mooncake.lake_row_le(mooncake.lake_row, mooncake.lake_row) RETURNS pg_catalog.bool
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'jsonb_le';
CREATE FUNCTION mooncake.lake_row_eq(mooncake.lake_row, mooncake.lake_row) RETURNS pg_catalog.bool
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'jsonb_eq';
CREATE FUNCTION mooncake.lake_row_ge(mooncake.lake_row, mooncake.lake_row) RETURNS pg_catalog.bool
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'jsonb_ge';
CREATE FUNCTION mooncake.lake_row_gt(mooncake.lake_row, mooncake.lake_row) RETURNS pg_catalog.bool
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'jsonb_gt';
CREATE FUNCTION mooncake.lake_row_cmp(mooncake.lake_row, mooncake.lake_row) RETURNS pg_catalog.int4
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'jsonb_cmp';
CREATE OPERATOR mooncake.< (LEFTARG = mooncake.lake_row, RIGHTARG = mooncake.lake_row, FUNCTION = mooncake.lake_row_lt,
    COMMUTATOR = OPERATOR(mooncake.>), NEGATOR = OPERATOR(mooncake.>=), RESTRICT = pg_catalog.scalarltsel);
CREATE OPERATOR mooncake.<= (LEFTARG = mooncake.lake_row, RIGHTARG = mooncake.lake_row, FUNCTION = mooncake.lake_row_le,
    COMMUTATOR = OPERATOR(mooncake.>=), NEGATOR = OPERATOR(mooncake.>), RESTRICT = pg_catalog.scalarlesel);
CREATE OPERATOR mooncake.= (LEFTARG = mooncake.lake_row, RIGHTARG = mooncake.lake_row, FUNCTION = mooncake.lake_row_eq,
    COMMUTATOR = OPERATOR(mooncake.=), RESTRICT = pg_catalog.eqsel);
CREATE OPERATOR mooncake.>= (LEFTARG = mooncake.lake_row, RIGHTARG = mooncake.lake_row, FUNCTION = mooncake.lake_row_ge,
    COMMUTATOR = OPERATOR(mooncake.<=), NEGATOR = OPERATOR(mooncake.<), RESTRICT = pg_catalog.scalargesel);
CREATE OPERATOR mooncake.> (LEFTARG = mooncake.lake_row, RIGHTARG = mooncake.lake_row, FUNCTION = mooncake.lake_row_gt,
    COMMUTATOR = OPERATOR(mooncake.<), NEGATOR = OPERATOR(mooncake.<=), RESTRICT = pg_catalog.scalargtsel);
CREATE OPERATOR CLASS mooncake.lake_row_ops DEFAULT FOR TYPE mooncake.lake_row USING btree AS
    OPERATOR 1 mooncake.<, OPERATOR 2 mooncake.<=, OPERATOR 3 mooncake.=, OPERATOR 4 mooncake.>=, OPERATOR 5 mooncake.>,
    FUNCTION 1 mooncake.lake_row_cmp(mooncake.lake_row, mooncake.lake_row);

-- Makes the default of row_type what tells the reader's calls apart (lake_analysis.h). To be called again after pg_upgrade.
CREATE FUNCTION mooncake.settle_row_types() RETURNS pg_catalog.void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'duckdb_settle_row_types';
REVOKE ALL ON FUNCTION mooncake.settle_row_types() FROM PUBLIC;
SELECT mooncake.settle_row_types();
