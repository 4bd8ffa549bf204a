#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Apache Spark as the other reader and the other writer: run.sh TOOL [pytest arguments], where TOOL is the built ivy_lake_tool.
# Exits with 77, which ctest takes for "skipped", where Spark cannot be had. Spark is kept in build/spark (IVY_SPARK: elsewhere).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
export IVY_LAKE_TOOL=$1 IVY_SPARK=${IVY_SPARK:-$root/build/spark} PYTHONDONTWRITEBYTECODE=1
if ! "$root/scripts/venv.sh"; then
    echo "SKIPPED: the Python packages of scripts/venv.sh cannot be installed"
    exit 77
fi
if ! reason=$("$here/fetch.sh" "$IVY_SPARK"); then
    echo "SKIPPED: ${reason##*$'\n'}"
    exit 77
fi
export PYTHONPATH=$IVY_SPARK/python
exec "$root/.venv/bin/python" -m pytest -q -p no:cacheprovider "$here" "${@:2}"
