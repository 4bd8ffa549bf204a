# SPDX-License-Identifier: Apache-2.0
"""A private server for Python tests, and the oracle that every one of them uses: in one REPEATABLE READ transaction the
row table and its mirror must give the same rows.

    with Server(conf="...") as server, server.connect() as connection: ...

With IVY_KEEP_FAILED in the environment, the folder of a failed test's server stays.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import psycopg

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PORT = 5432


class Server:
    """A server of its own in a temporary folder, stopped and removed at the end. Keeps its log if the test failed.

    It listens on a socket in that folder, and with a "port" also there on the loopback interface."""

    def __init__(self, conf="", lite=False, extension=True, port=None):
        self.dir = tempfile.mkdtemp(prefix="ivy_test.")
        self.port = port or PORT
        if port:
            conf += "\nlisten_addresses = '127.0.0.1'\nport = %d" % port
        self.env = dict(os.environ, IVY_CONF=conf)
        if lite:
            self.env["IVY_LITE"] = "1"
        self.extension = extension

    def __enter__(self):
        self.run("start")
        if self.extension:
            with self.connect(autocommit=True) as connection:
                connection.execute("SET client_min_messages = warning")
                connection.execute("CREATE EXTENSION pg_mooncake CASCADE")
        return self

    def __exit__(self, kind, *_):
        try:
            self.run("stop", "immediate")
        except subprocess.CalledProcessError:
            pass
        crashed = self.crashes()
        if kind or crashed:
            lines = [line for line in self.log().splitlines() if "the database system is" not in line]
            print("\n".join(lines)[-12000:], file=sys.stderr)
        if kind and os.environ.get("IVY_KEEP_FAILED"):
            print("the server's folder stays: %s" % self.dir, file=sys.stderr)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)
        if crashed and not kind:
            raise AssertionError("a server process crashed: " + crashed[0])

    def run(self, command, *args):
        subprocess.run([os.path.join(ROOT, "scripts/server.sh"), command, self.dir, *args], check=True, env=self.env)

    def start(self):
        self.run("start")

    def stop(self, mode="fast"):
        try:
            self.run("stop", mode)
        except subprocess.CalledProcessError:
            print("the server does not stop; what is left:", file=sys.stderr)
            for pid, args in self.descendants():
                print("  %d %s" % (pid, args), file=sys.stderr)
            raise

    def connect(self, dbname="postgres", user="postgres", **kwargs):
        return psycopg.connect(host=self.dir, port=self.port, user=user, dbname=dbname, **kwargs)

    def log(self):
        with open(os.path.join(self.dir, "log"), errors="replace") as log:
            return log.read()

    def crashes(self):
        """Log lines that tell of a server process that crashed, those killed on purpose (signal 9) aside."""
        return [line for line in self.log().splitlines() if re.search(r"\(PID \d+\) was terminated by signal (?!9\b)|PANIC|TRAP:", line)]

    def failures(self):
        """Log lines that tell of a mirror that failed. It is copied anew by itself, and then right again, as if nothing had been."""
        return [line for line in self.log().splitlines() if re.search(r'mirror ".*" failed', line)]

    def postmaster_pid(self):
        with open(os.path.join(self.dir, "data/postmaster.pid")) as file:
            return int(file.readline())

    def descendants(self):
        """(pid, command line) of every process below the postmaster."""
        table = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
        rows = [line.split(None, 2) for line in table.splitlines()]
        wanted, found = {self.postmaster_pid()}, []
        for _ in range(3):
            for pid, parent, args in rows:
                if int(parent) in wanted and int(pid) not in wanted:
                    wanted.add(int(pid))
                    found.append((int(pid), args))
        return found

    def kill(self, pattern, number=signal.SIGKILL):
        """Sends a signal to this server's own processes whose command line matches; returns their pids."""
        pids = [pid for pid, args in self.descendants() if re.search(pattern, args)]
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        return pids


def rows_of(connection, query):
    """Every row of a query as text, so that display scale, -0 and NaN count, sorted."""
    with connection.cursor(binary=False) as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def compare(connection, source, mirror, columns=None, context=""):
    """Raises unless the row table and the mirror have the same rows, compared by content in one snapshot.

    The query runs on an idle connection. Sorting and hashing is Postgres's on both sides; the mirror's rows come from
    the engine. mooncake.fallback is off, so the row table can't stand in for its mirror. The source is
    locked before the snapshot is taken: a table that others truncate or rewrite after it looks empty to the snapshot.
    """
    text = "t::text" if columns is None else "(%s)::text" % ", ".join(columns)
    if columns is None:
        names = connection.execute(
            "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute "
            "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped", (source,)).fetchone()[0]
        connection.rollback() if not connection.autocommit else None
        text = "ROW(%s)::text" % names
    query = "SELECT count(*), coalesce(sum(hashtextextended(r, 0)::numeric), 0) FROM (SELECT %s AS r FROM %s t) s"
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ" if connection.autocommit
                       else "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    try:
        connection.execute("LOCK TABLE %s IN ACCESS SHARE MODE" % source)
        connection.execute("SET LOCAL mooncake.fallback = off")
        got = connection.execute(query % (text, mirror)).fetchone()
        want = connection.execute(query % (text, source)).fetchone()
        if got != want:
            extra = connection.execute("SELECT %s FROM %s t EXCEPT ALL SELECT %s FROM %s t LIMIT 5" % (text, mirror, text, source)).fetchall()
            missing = connection.execute("SELECT %s FROM %s t EXCEPT ALL SELECT %s FROM %s t LIMIT 5" % (text, source, text, mirror)).fetchall()
            raise AssertionError("%s: mirror %s has %s, row table %s has %s\nonly in mirror: %s\nonly in row table: %s"
                                 % (context, mirror, got, source, want, extra, missing))
        return want
    finally:
        connection.execute("ROLLBACK") if connection.autocommit else connection.rollback()


def wait_live(connection, mirror, seconds=60):
    """Waits until a mirror answers queries itself."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            connection.execute("BEGIN")
            connection.execute("SET LOCAL mooncake.fallback = off")
            connection.execute("SELECT count(*) FROM %s" % mirror)
            connection.execute("COMMIT")
            return
        except psycopg.Error as error:
            connection.execute("ROLLBACK")
            if time.monotonic() > deadline:
                raise TimeoutError("%s did not become live: %s" % (mirror, error)) from error
            time.sleep(0.05)
