-- SPDX-License-Identifier: Apache-2.0
--
-- Reading files. Each function is one of the engine's readers (lake_function.cc); its arguments are the path, a glob or a
-- list of them, and the reader's options by their own names, NULL where not given. "row_type" settles what a row is: by
-- default the column definition list says, or, without one, a row is a mooncake.lake_row.
CREATE SCHEMA mooncake;
GRANT USAGE ON SCHEMA mooncake TO PUBLIC;

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
