#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# make check: sets up, builds with warnings as errors, runs every suite through ctest, and then the libraries' unit tests
# once more under the sanitizers. --fast: only the unit and regression tests.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
fast=
[ "${1:-}" != --fast ] || fast=1
jobs=$(nproc)
# What tests sort and print is nobody's locale.
export LC_ALL=C.UTF-8 LANG=C.UTF-8

say() { printf '\n== %s (%s s)\n' "$*" "$SECONDS"; }

say 'Set-up'
scripts/setup.sh test
if [ -z "$fast" ]; then scripts/venv.sh || echo 'check: the Python packages could not be installed; suites that need them report SKIPPED'; fi

say 'Build'
cmake --preset check
cmake --build build/check -j "$jobs"

status=0
if [ -n "$fast" ]; then
    say 'Tests'
    ctest --test-dir build/check --output-on-failure -L 'unit|regress' || status=$?
    exit $status
fi

# sanitized PRESET TEST...: builds these unit tests with a preset and runs them.
sanitized() {
    local preset=$1
    shift
    say "Libraries under $preset"
    cmake --preset "$preset" >/dev/null
    cmake --build "build/$preset" -j "$jobs" --target "$@"
    ctest --test-dir "build/$preset" --output-on-failure -R "$(printf '%s|' "$@" | sed 's/|$//')" || status=$?
}
# The libraries that are also fuzzed with damaged input, and the engine's write path; DuckDB's own library is not
# instrumented.
sanitized asan base_test protocol_test iceberg_test lake_test index_test chunk_convert_test table_model_test mirror_table_test \
    engine_files_test engine_ingest_test
# Threads share memory in the delta store and in what it rests on.
sanitized tsan base_test protocol_test index_test table_model_test mirror_table_test

say 'Tests'
ctest --test-dir build/check --output-on-failure || status=$?
say 'Done'
exit $status
