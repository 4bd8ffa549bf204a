#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the tests of reading foreign tables: run.sh TOOL [pytest arguments], where TOOL is the built ivy_lake_tool.
# Exits with 77, which ctest takes for "skipped", if the Python packages cannot be installed.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
if ! "$root/scripts/venv.sh"; then
    echo "SKIPPED: the Python packages of scripts/venv.sh cannot be installed"
    exit 77
fi
export IVY_LAKE_TOOL=$1 PYTHONDONTWRITEBYTECODE=1
exec "$root/.venv/bin/python" -m pytest -q -p no:cacheprovider "$here" "${@:2}"
