#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the Iceberg interoperability tests: run.sh TOOL [pytest arguments], where TOOL is the built ivy_iceberg_tool.
# Exits with 77, which ctest takes for "skipped", if the Python packages cannot be installed.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
if ! "$root/scripts/venv.sh"; then
    echo "SKIPPED: the Python packages of scripts/venv.sh cannot be installed"
    exit 77
fi
export IVY_ICEBERG_TOOL=$1 PYTHONDONTWRITEBYTECODE=1
exec "$root/.venv/bin/python" -m pytest -q -p no:cacheprovider "$here" "${@:2}"
