#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes .venv/ in the project's root with the Python packages that tests use, at the versions below. Does nothing, quickly,
# when they are there already; makes it anew when the list or the interpreter changed. Safe to run several times at once.
#
# Usage: scripts/venv.sh    PYTHON names the interpreter (default: python3)
set -euo pipefail

readonly PACKAGES=(
    'pyarrow==26.0.1'
    'pyiceberg[sql-sqlite,pyarrow,pyiceberg-core]==0.12.0'
    'deltalake==1.6.6'
    'fastavro==1.13.1'
    'psycopg[binary]==3.3.9'
    'pytest==9.2.0'
    'moto[server,s3]==5.2.5'
)

die() { printf 'venv: %s\n' "$*" >&2; exit 1; }

cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python3}
command -v "$python" >/dev/null || die "$python is not installed"
wanted=$(printf '%s\n' "${PACKAGES[@]}" && "$python" -c 'import sys; print(sys.base_prefix, sys.version)')

is_right() { [ "$(cat .venv/.installed 2>/dev/null)" = "$wanted" ] && .venv/bin/python -c '' 2>/dev/null; }

if is_right; then exit 0; fi
mkdir -p .venv
exec 9>.venv/.lock
flock 9
if is_right; then exit 0; fi  # another one made it meanwhile

printf 'venv: installing %s\n' "${PACKAGES[*]}"
find .venv -mindepth 1 -maxdepth 1 ! -name .lock -exec rm -rf {} +
"$python" -m venv .venv || die "could not make a virtual environment (on Debian: apt install python3-venv)"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input "${PACKAGES[@]}" ||
    die "could not install the packages: is a package index reachable?"
printf '%s\n' "$wanted" >.venv/.installed
