#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A private server from a build tree, with the extensions preloaded as the manual says and nothing else set that they
# need. It listens on a Unix socket in its own folder only, runs as an unprivileged user when the caller is root, and
# uses a copy of the staged extension files, because that user may not be able to read the build tree.
#
#   server.sh start DIR    make DIR/data if it is missing, start, wait until it accepts connections
#   server.sh stop DIR [fast|immediate]
#   server.sh restart DIR
#   server.sh psql DIR ...     psql on it, database postgres, as the superuser
#   server.sh env DIR          shell assignments: PGHOST PGPORT PGUSER PGDATABASE
#
# PG_CONFIG  the server (default: PostgreSQL 18's)       IVY_BUILD  the build folder (default: build/check, build/release)
# IVY_CONF   extra lines for postgresql.conf             IVY_LITE   if set, preload pg_duckdb alone, without wal_level
# IVY_INITDB extra words for initdb, whose encoding and locale are not the caller's: UTF8 and C.UTF-8
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
pg_config=${PG_CONFIG:-$(PATH="/usr/lib/postgresql/18/bin:$PATH" command -v pg_config)}
bindir=$("$pg_config" --bindir)
command=${1:?command}
dir=${2:?directory}
shift 2

find_build() {
    local candidate
    for candidate in ${IVY_BUILD:-"$root/build/check" "$root/build/release"}; do
        if [ -e "$candidate/stage/lib/pg_mooncake.so" ]; then printf '%s\n' "$candidate"; return; fi
    done
    printf 'server.sh: nothing is built yet (build/check/stage or IVY_BUILD)\n' >&2
    exit 1
}

server_user() {
    if [ "$(id -u)" -ne 0 ]; then id -un
    elif id postgres >/dev/null 2>&1; then printf 'postgres\n'
    else printf 'nobody\n'
    fi
}
user=$(server_user)

as_server_user() {
    if [ "$(id -u)" -eq 0 ]; then (cd / && runuser -u "$user" -- "$@"); else "$@"; fi
}

# The port only names the socket file: nothing listens on TCP. IvorySQL needs a second one.
readonly port=5432

init() {
    local build
    build=$(find_build)
    mkdir -p "$dir"
    cp -R "$build/stage" "$dir/stage.new"
    rm -rf "$dir/stage"
    mv "$dir/stage.new" "$dir/stage"
    chmod 755 "$dir"
    [ "$(id -u)" -ne 0 ] || chown -R "$user" "$dir"
    [ ! -e "$dir/data/PG_VERSION" ] || return 0
    # shellcheck disable=SC2086  # IVY_INITDB is a list of words
    as_server_user "$bindir/initdb" -D "$dir/data" -U postgres -A trust --no-sync \
        --encoding=UTF8 --locale=C.UTF-8 ${IVY_INITDB:-} >"$dir/initdb.log" 2>&1 ||
        { cat "$dir/initdb.log" >&2; exit 1; }
    {
        printf "listen_addresses = ''\nunix_socket_directories = '%s'\nport = %s\n" "$dir" "$port"
        printf "extension_control_path = '%s/stage/share:\$system'\n" "$dir"
        printf "dynamic_library_path = '%s/stage/lib:\$libdir'\n" "$dir"
        preload
        printf "logging_collector = off\nlog_line_prefix = '%%m [%%p] %%b '\n"
        printf 'fsync = %s\n' "${IVY_FSYNC:-off}"
        printf '%s\n' "${IVY_CONF:-}"
    } | as_server_user tee -a "$dir/data/postgresql.conf" >/dev/null
    if [ -e "$dir/data/ivorysql.conf" ]; then
        printf "ivorysql.port = 1521\nivorysql.listen_addresses = ''\n" | as_server_user tee -a "$dir/data/ivorysql.conf" >/dev/null
    fi
}

# On IvorySQL the list already has entries, in ivorysql.conf, which is read after postgresql.conf.
preload() {
    local modules='pg_duckdb,pg_mooncake'
    [ -z "${IVY_LITE:-}" ] || modules=pg_duckdb
    printf "duckdb.allow_community_extensions = true\n"
    [ -n "${IVY_LITE:-}" ] || printf 'wal_level = logical\n'
    if [ -e "$dir/data/ivorysql.conf" ]; then
        as_server_user sed -i "s/^shared_preload_libraries *= *'\(.*\)'/shared_preload_libraries = '\1, $modules'/" "$dir/data/ivorysql.conf"
    else
        printf "shared_preload_libraries = '%s'\n" "$modules"
    fi
}

case $command in
    start)
        init
        # The server must not keep the caller's pipes open.
        as_server_user "$bindir/pg_ctl" -D "$dir/data" -l "$dir/log" -w -t 60 start >"$dir/pg_ctl.log" 2>&1 ||
            { cat "$dir/pg_ctl.log" "$dir/log" >&2; exit 1; }
        ;;
    stop) as_server_user "$bindir/pg_ctl" -D "$dir/data" -m "${1:-fast}" -w -t 60 stop >/dev/null ;;
    restart) as_server_user "$bindir/pg_ctl" -D "$dir/data" -l "$dir/log" -m fast -w -t 60 restart >"$dir/pg_ctl.log" 2>&1 ;;
    psql) exec "$bindir/psql" -X -h "$dir" -p "$port" -U postgres -d postgres "$@" ;;
    env) printf 'export PGHOST=%q PGPORT=%s PGUSER=postgres PGDATABASE=postgres\n' "$dir" "$port" ;;
    *) printf 'server.sh: unknown command %s\n' "$command" >&2; exit 2 ;;
esac
