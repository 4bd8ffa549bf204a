#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs a Python test in the project's virtual environment; without one, says so and counts as skipped.
set -euo pipefail

python=$(cd "$(dirname "$0")/../.." && pwd)/.venv/bin/python
if [ ! -x "$python" ]; then
    echo "SKIPPED: no Python environment (scripts/venv.sh could not install its packages)"
    exit 77
fi
exec "$python" "$@"
