#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs this folder's tests: run.sh [pytest arguments]. Exits with 77, "skipped", without the packages of scripts/venv.sh.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=$here/../../.venv/bin/python
if [ ! -x "$python" ]; then
    echo "SKIPPED: no Python environment (scripts/venv.sh could not install its packages)"
    exit 77
fi
export PYTHONDONTWRITEBYTECODE=1
exec "$python" -m pytest -q -p no:cacheprovider "$here" "$@"
