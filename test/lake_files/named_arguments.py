# SPDX-License-Identifier: Apache-2.0
"""Options of lake functions written as NAME=VALUE: on IvorySQL, from both ports, in both kinds of database and in both modes
of the parser, however the mode was set. PostgreSQL can only give a hint, which is tested in the suite regress."""

import os
import subprocess
import sys
import tempfile

import psycopg

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from ivy_server import Server  # noqa: E402

PG_PORT, ORACLE_PORT = 5432, 1521

# A way into a mode of the parser, and out of it.
WAYS = [([], []), (["SET ivorysql.compatible_mode = oracle"], ["RESET ivorysql.compatible_mode"]),
        (["SET ivorysql.compatible_mode = pg"], ["DISCARD ALL"]),
        (["BEGIN", "SET LOCAL ivorysql.compatible_mode = oracle"], ["ROLLBACK"]),
        (["SELECT set_config('ivorysql.compatible_mode', 'oracle', false)"], ["SELECT set_config('ivorysql.compatible_mode', 'pg', false)"])]


def queries(path):
    call = "mooncake.read_csv('%s', HEADER=TRUE, DELIMITER = ';', AUTO_DETECT=TRUE)" % path
    return [("SELECT * FROM %s ORDER BY 1" % call, [(1, "a"), (2, "b")]),
            ("SELECT e.name FROM %s AS e(id int, name text) WHERE e.id = 2" % call, [("b",)]),
            ("SELECT r['id']::int + 1 FROM %s r WHERE r['name'] = 'a'" % call, [(2,)]),
            ("WITH w AS (SELECT * FROM %s) SELECT count(*) FROM w, %s b WHERE w.id = b.id" % (call, call), [(2,)]),
            ("SELECT (SELECT max(id) FROM %s)" % call, [(2,)])]


def ask(connection, path, what):
    for query, want in queries(path):
        got = connection.execute(query).fetchall()
        assert got == want, "%s: %s gives %r" % (what, query, got)
    # Other calls and other functions keep their comparisons.
    assert connection.execute("SELECT coalesce(t.header = 1, false) FROM (SELECT 1 AS header) t").fetchall() == [(True,)], what


def run(mode, ports):
    os.environ["IVY_INITDB"] = "-m " + mode
    with Server() as server, tempfile.TemporaryDirectory(prefix="ivy_named.") as folder:
        os.chmod(folder, 0o755)
        path = os.path.join(folder, "a.csv")
        with open(path, "w") as file:
            file.write("id;name\n1;a\n2;b\n")
        for port in ports:
            with psycopg.connect(host=server.dir, port=port, user="postgres", dbname="postgres", autocommit=True) as connection:
                for enter, leave in WAYS if mode == "oracle" else WAYS[:1]:
                    for statement in enter:
                        connection.execute(statement)
                    ask(connection, path, (mode, port, enter))
                    for statement in leave:
                        connection.execute(statement)
                    ask(connection, path, (mode, port, leave))
                name = "v%d" % port
                connection.execute("CREATE VIEW %s AS SELECT * FROM mooncake.read_csv('%s', header=true)" % (name, path))
                assert connection.execute("SELECT count(*) FROM " + name).fetchall() == [(2,)]
                try:
                    connection.execute("SELECT * FROM mooncake.read_csv('%s', nothing=true)" % path)
                    raise AssertionError("an unknown option was taken")
                except psycopg.errors.UndefinedFunction:
                    pass
            print("ok      %s database, port %d" % (mode, port), flush=True)


def main():
    headers = subprocess.run([os.environ.get("PG_CONFIG", "pg_config"), "--includedir-server"], capture_output=True, text=True, check=True)
    with open(os.path.join(headers.stdout.strip(), "pg_config.h")) as file:
        if "PACKAGE_IVORYSQL_VERSION" not in file.read():
            print("SKIPPED: NAME=VALUE arguments need IvorySQL, and this build is for PostgreSQL")
            return 77
    run("oracle", (PG_PORT, ORACLE_PORT))
    run("pg", (PG_PORT,))
    return 0


if __name__ == "__main__":
    sys.exit(main())
