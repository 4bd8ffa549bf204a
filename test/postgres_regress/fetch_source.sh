#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Brings the folder src/test/regress of the installed server's own source package below FOLDER and prints its path.
# Nothing of it is part of this project. It is fetched once, by apt-get source from the archive that apt is configured
# with, with package lists of its own, so that neither root nor a change of apt's configuration is needed.
#
# Usage: fetch_source.sh FOLDER        Exit status 77: it can't be had here (the reason is printed).
set -euo pipefail

readonly PACKAGE=postgresql-18
folder=${1:?folder}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
regress=$folder/regress

skip() { printf 'SKIPPED: %s\n' "$*" >&2; exit 77; }

if [ -e "$regress/parallel_schedule" ]; then printf '%s\n' "$regress"; exit 0; fi
exec 9>"$folder/lock"
flock 9
if [ -e "$regress/parallel_schedule" ]; then printf '%s\n' "$regress"; exit 0; fi
command -v apt-get >/dev/null || skip "this system has no apt to get the server's source package with"
version=$(dpkg-query -W -f='${source:Version}' "$PACKAGE" 2>/dev/null) || skip "package $PACKAGE is not installed"

# The archives that have the installed package, as sources of source packages.
mkdir -p "$folder/lists/partial"
apt-get indextargets 'Created-By: Packages' | awk -F': ' '
    NF == 0 { if (f["Origin"] == "Debian" && f["Component"] == "main")
                  printf "deb-src %s%s %s main\n", f["Signed-By"] == "" ? "" : "[signed-by=" f["Signed-By"] "] ", f["Repo-URI"], f["Codename"]
              delete f; next }
    { f[$1] = $2 }' | sort -u >"$folder/sources.list"
[ -s "$folder/sources.list" ] || skip "apt is not configured with a Debian archive"
options=(-q -o "Dir::Etc::SourceList=$folder/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State::Lists=$folder/lists" -o "Dir::Cache=$folder" -o APT::Sandbox::User= -o APT::Update::Error-Mode=any)
apt-get "${options[@]}" update >"$folder/apt.log" 2>&1 || skip "the package archive is not reachable (see $folder/apt.log)"
(cd "$folder" && apt-get "${options[@]}" source --download-only --only-source "$PACKAGE=$version") >>"$folder/apt.log" 2>&1 ||
    skip "the archive does not have the source of $PACKAGE $version (see $folder/apt.log)"
tarball=$(find "$folder" -maxdepth 1 -name "${PACKAGE}_*.orig.tar.*" ! -name '*.asc' | head -n 1)
rm -rf "$folder/unpacked"
mkdir "$folder/unpacked"
tar -xf "$tarball" -C "$folder/unpacked" --wildcards '*/src/test/regress'
mv "$folder"/unpacked/*/src/test/regress "$regress"
rm -rf "$folder/unpacked" "$folder/lists"
printf '%s\n' "$regress"
