#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Checks that need no build: licence lines, layering, formatting; then clang-tidy over the libraries if it is installed.
set -euo pipefail

cd "$(dirname "$0")/.."
status=0
fail() { printf '%s\n' "$*"; status=1; }

while read -r file; do
    head -n 3 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' || fail "$file: no SPDX line"
done < <(git ls-files | grep -vE '(^LICENSE|\.json|\.out|\.control\.in|/corpus/.*|\.gitignore|\.control)$')

scripts/check_guarantees.sh || status=1

if git grep -nE '#include *["<](postgres|libpq)' -- src/base src/iceberg src/lake src/index src/delta src/protocol src/engine; then
    fail 'Postgres headers in libraries meant to have none'
fi
if git grep -nE '#include *["<]duckdb' -- src/base src/iceberg src/lake src/index src/protocol src/pg src/types src/translate src/capture extensions; then
    fail 'DuckDB headers in libraries meant to have none'
fi

if command -v clang-format-21 >/dev/null; then
    git ls-files '*.cc' '*.h' | xargs clang-format-21 --dry-run -Werror || status=1
else
    echo 'lint: clang-format-21 is not installed; formatting not checked'
fi
if command -v clang-tidy-21 >/dev/null; then
    git ls-files 'src/base/*.cc' 'src/protocol/*.cc' 'src/iceberg/*.cc' 'src/lake/*.cc' 'src/index/*.cc' 'src/delta/*.cc' |
        xargs clang-tidy-21 -p build/check --quiet || status=1
else
    echo 'lint: clang-tidy-21 is not installed; static analysis not run'
fi
exit $status
