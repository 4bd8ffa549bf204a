#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs pg_regress or pg_isolation_regress over one suite folder against a private server of its own.
#
#   run_sql_suite.sh regress|isolation SUITE_FOLDER BUILD_FOLDER [TEST...]
#
# The tests are those in the folder's "schedule" if there is one, else all of its sql/ (or specs/), in order of name.
# Fails as well when the server's log tells of a crashed process. Results stay in BUILD_FOLDER/results/SUITE.
set -euo pipefail

kind=$1
suite=$(cd "$2" && pwd)
build=$(cd "$3" && pwd)
shift 3
root=$(cd "$(dirname "$0")/../.." && pwd)
pg_config=${PG_CONFIG:-$(PATH="/usr/lib/postgresql/18/bin:$PATH" command -v pg_config)}
pgxs=$(dirname "$("$pg_config" --pgxs)")
name=$(basename "$suite")
output=$build/results/$name
rm -rf "$output"
mkdir -p "$output"

case $kind in
    regress) runner=$pgxs/../../src/test/regress/pg_regress inputs=sql suffix=sql ;;
    isolation) runner=$pgxs/../../src/test/isolation/pg_isolation_regress inputs=specs suffix=spec ;;
esac
[ -x "$runner" ] || { echo "SKIPPED: $runner is not installed"; exit 77; }

dir=$(mktemp -d "${TMPDIR:-/tmp}/ivy_$name.XXXXXX")
export IVY_BUILD=$build
[ ! -e "$suite/postgresql.conf" ] || IVY_CONF=$(cat "$suite/postgresql.conf")
export IVY_CONF=${IVY_CONF:-}
cleanup() {
    "$root/scripts/server.sh" stop "$dir" immediate 2>/dev/null || true
    cp "$dir/log" "$output/server.log" 2>/dev/null || true
    rm -rf "$dir"
}
trap cleanup EXIT
"$root/scripts/server.sh" start "$dir"

tests=("$@")
if [ ${#tests[@]} -eq 0 ] && [ -e "$suite/schedule" ]; then
    tests=(--schedule="$suite/schedule")
elif [ ${#tests[@]} -eq 0 ]; then
    for file in "$suite/$inputs"/*."$suffix"; do tests+=("$(basename "$file" ".$suffix")"); done
fi

status=0
PGOPTIONS="${PGOPTIONS:-}" "$runner" --host="$dir" --port=5432 --user=postgres --dbname="ivy_$kind" --bindir="$("$pg_config" --bindir)" \
    --inputdir="$suite" --expecteddir="$suite" --outputdir="$output" "${tests[@]}" || status=$?
[ "$status" -eq 0 ] || cat "$output/regression.diffs" 2>/dev/null | head -n 300
if grep -aE 'terminated by signal|PANIC|TRAP:|AddressSanitizer' "$dir/log"; then
    echo 'a server process crashed'
    status=1
fi
exit $status
