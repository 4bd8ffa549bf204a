-- SPDX-License-Identifier: Apache-2.0
--
-- These scripts run under PostgreSQL's parser and under IvorySQL's Oracle-compatible one. Hence: types of pg_catalog are
-- qualified, there is no empty string literal (it is NULL there) and no quoted lower-case identifier.
\echo Use "CREATE EXTENSION pg_mooncake CASCADE" to load this file. \quit
