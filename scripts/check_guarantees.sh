#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Whether each test that docs/guarantees.md names exists, and is run by make check unless it is marked with a dagger.
set -euo pipefail

cd "$(dirname "$0")/.."
status=0
fail() { printf 'docs/guarantees.md: %s\n' "$*"; status=1; }

# The line of CMake that registers a Python suite, with those that continue it.
registration() { sed -n "/ \(\${CMAKE_CURRENT_SOURCE_DIR}\/\)\?${1//\//\\/}[ )]/,/)/p" test/CMakeLists.txt; }

while IFS='|' read -r name dagger; do
    file=${name%%:*} case=
    [ "$file" = "$name" ] || case=${name#*:}
    case $file in
        regress/*) path=test/regress/sql/${file#*/}.sql ;;
        isolation/*) path=test/isolation/specs/${file#*/}.spec ;;
        *) for path in "test/$file.py" "src/$file.cc" ''; do [ ! -e "$path" ] || break; done ;;
    esac
    [ -e "$path" ] || { fail "there is no test $file"; continue; }
    if [ -n "$case" ]; then
        grep -qE "^def $case\(|^TEST[_FP]*\([A-Za-z]+, $case\)" "$path" || { fail "there is no $case in $path"; continue; }
        # Scenarios of a suite are all run if its registration names none.
        scenarios=$(registration "$file.py")
        if [[ $file = operations/* && $scenarios =~ \.py\ +[a-z_]+ && -z $dagger ]]; then
            grep -qw "$case" <<<"$scenarios" || fail "$name is not in make check: mark it with a dagger"
        fi
    fi
done < <(sed -nE '/^\| [^|]+ \| .*`/s/^\| [^|]+ \|(.*)\|$/\1/p' docs/guarantees.md | grep -oE '`[a-z_0-9]+/[A-Za-z_0-9/:]+`( \([^)]*\))?†?' |
    sed -E 's/^`([^`]+)`[^†]*(†?)$/\1|\2/' | sort -u)
exit $status
