#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs what building and testing need on Debian 12 or newer, and nothing when all of it is there already.
#
# PostgreSQL 18 and DuckDB 2.0 are in Debian from suite "forky" on. On an older release this adds that suite as a
# low-priority source next to the mirror that apt already uses (read from apt's own configuration), so that nothing
# else is ever upgraded by accident, and installs only the packages named below from it.
#
# Usage: scripts/setup.sh [build|test]    "test" (the default) also installs what the test suites need.
set -euo pipefail

readonly BUILD_PACKAGES=(g++ cmake ninja-build make git pkg-config ca-certificates
    libroaring-dev libgmp-dev nlohmann-json3-dev zlib1g-dev util-linux)
readonly TEST_PACKAGES=(libgtest-dev python3 python3-venv sqlsmith)
# For Apache Spark, one of the test suites, which reports SKIPPED without it.
readonly OPTIONAL_TEST_PACKAGES=(default-jre-headless)
readonly FORKY_PACKAGES=(postgresql-18 postgresql-server-dev-18 libduckdb-dev duckdb libicu-dev)
readonly SUITE=forky

die() { printf 'setup: %s\n' "$*" >&2; exit 1; }
say() { printf 'setup: %s\n' "$*"; }

have() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'install ok installed'; }

missing_of() {
    local package
    for package in "$@"; do have "$package" || printf '%s\n' "$package"; done
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo -E "$@"
    else die "root or sudo is needed to install packages: $*"
    fi
}

apt_get() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Use-Pty=0 -o APT::Update::Error-Mode=any "$@"; }

# The Debian archive that apt is configured with. Records of apt-get indextargets are paragraphs; the security archive
# is another tree, with another label.
debian_archive() {
    apt-get indextargets 'Created-By: Packages' 2>/dev/null | awk -F': ' '
        function match_record() { return f["Origin"] == "Debian" && f["Label"] == "Debian" && f["Component"] == "main" }
        NF == 0 { if (!found && match_record()) { found = f["Repo-URI"] } delete f; next }
        { f[$1] = $2 }
        END { if (!found && match_record()) { found = f["Repo-URI"] } print found }'
}

archive_keyring() {
    local keyring
    for keyring in /usr/share/keyrings/debian-archive-keyring.{pgp,gpg}; do
        if [ -r "$keyring" ]; then printf '%s\n' "$keyring"; return; fi
    done
}

add_suite() {
    local uri keyring
    uri=$(debian_archive)
    keyring=$(archive_keyring)
    [ -n "$uri" ] || die "no Debian archive is configured in apt; add a source for suite $SUITE by hand"
    say "adding suite $SUITE of the configured Debian archive with priority 100"
    {
        printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\n' "$uri" "$SUITE"
        [ -z "$keyring" ] || printf 'Signed-By: %s\n' "$keyring"
    } | as_root tee "/etc/apt/sources.list.d/$SUITE.sources" >/dev/null
    printf 'Package: *\nPin: release n=%s\nPin-Priority: 100\n' "$SUITE" | as_root tee "/etc/apt/preferences.d/$SUITE" >/dev/null
    apt_get update
}

has_suite() { apt-cache policy | grep -q "n=$SUITE,"; }

install_optional() {
    if command -v java >/dev/null || ! command -v apt-get >/dev/null; then return; fi
    say "installing: $*"
    { apt_get update && apt_get install -y --no-install-recommends "$@"; } || say "could not install $*, which one test suite wants"
}

# The suite may be there from an earlier run that failed later: its packages then are candidates, but what they depend on
# has to be allowed to come from there too, which -t does.
install_from_suite() {
    local target=(-t "$SUITE")
    if ! has_suite; then
        if apt-cache policy postgresql-18 | grep -q 'Candidate: 18' && apt-cache policy libduckdb-dev | grep -q 'Candidate: 2\.0'; then
            target=()
        else
            add_suite
        fi
    fi
    apt_get install -y --no-install-recommends "${target[@]}" "$@" || die "could not install $*"
}

makes_venvs() {
    local folder status=0
    folder=$(mktemp -d)
    python3 -m venv "$folder" >/dev/null 2>&1 || status=$?
    rm -rf "$folder"
    return $status
}

# The server's packages may have brought the suite's newer python3; the pip for virtual environments then has to follow.
install_pip() {
    if ! command -v apt-get >/dev/null || makes_venvs; then return; fi
    (install_from_suite python3-venv python3-pip-whl python3-setuptools-whl) || say "the suites in Python can't run"
}

install_needed() {
    local want=("${BUILD_PACKAGES[@]}") missing forky_missing
    [ "${1:-test}" = build ] || want+=("${TEST_PACKAGES[@]}")
    mapfile -t missing < <(missing_of "${want[@]}")
    mapfile -t forky_missing < <(missing_of "${FORKY_PACKAGES[@]}")
    # A server and a DuckDB that the caller named take the place of Debian's packages.
    if [ -n "${PG_CONFIG:-}" ] && [ -n "${DUCKDB_ROOT:-}" ]; then forky_missing=(); fi
    if [ ${#missing[@]} -eq 0 ] && [ ${#forky_missing[@]} -eq 0 ]; then
        say "everything needed is installed"
        return
    fi

    [ -r /etc/debian_version ] && command -v apt-get >/dev/null ||
        die "this system has no apt: install ${missing[*]} ${forky_missing[*]} (see README.md, 'Other systems')"
    say "installing: ${missing[*]} ${forky_missing[*]}"
    apt_get update || die "apt-get update failed: are the package registries reachable?"
    [ ${#missing[@]} -eq 0 ] || apt_get install -y --no-install-recommends "${missing[@]}" ||
        die "could not install ${missing[*]}"
    if [ ${#forky_missing[@]} -gt 0 ]; then
        # Keep postgresql-common from starting a cluster of its own: tests and the demo make private ones.
        as_root mkdir -p /etc/postgresql-common/createcluster.d
        printf 'create_main_cluster = false\n' | as_root tee /etc/postgresql-common/createcluster.d/ivy_mooncake.conf >/dev/null
        install_from_suite "${forky_missing[@]}"
    fi
    say "done"
}

main() {
    install_needed "$@"
    if [ "${1:-test}" = build ]; then return; fi
    install_pip
    install_optional "${OPTIONAL_TEST_PACKAGES[@]}"
}

main "$@"
