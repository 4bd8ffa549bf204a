#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs a Python test whose sessions are in Oracle's mode; on a server that has none, says so and counts as skipped.
set -euo pipefail

if ! grep -q PACKAGE_IVORYSQL_VERSION "$("${PG_CONFIG:-pg_config}" --includedir-server)/pg_config.h"; then
    echo "SKIPPED: this server is not IvorySQL"
    exit 77
fi
PGOPTIONS='-c ivorysql.compatible_mode=oracle' exec "$(dirname "$0")/run_python.sh" "$@"
