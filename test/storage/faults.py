# SPDX-License-Identifier: Apache-2.0
"""Everything long that the engine does with a mirror's files is disturbed at each of its steps: the engine is killed, the disk
is full, a call fails, whoever waits cancels. After each: the mirror is right, it tells why, the next attempt works, another
mirror never stopped, and in the end no file is there that nothing refers to.

    faults.py [--seed N] [--seconds N] [--short]

Each step in one way at least, then in others for so long (0: in every way); --short: each step of one operation only, in one way.
"""

import argparse
import glob
import os
import random
import re
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from ivy_server import Server, compare, wait_live  # noqa: E402

try:
    import psycopg
    from pyiceberg.table import StaticTable
except ImportError as missing:
    print("SKIPPED: the Python environment lacks %s (scripts/venv.sh installs it)" % missing.name)
    sys.exit(77)

CONF = "mooncake.flush_interval = 1h\nmooncake.optimize_files = 0\nmooncake.copy_workers = 0\n"
KEPT_SNAPSHOTS = 100

# The steps of each operation, in order.
FLUSH = ["flush-before-write", "parquet-open", "sort-append", "parquet-append", "flush-before-index", "parquet-sync", "flush-before-vectors",
         "flush-before-commit", "file-write", "flush-before-publish", "flush-after-publish", "expire"]
OPTIMIZE = ["rewrite-new-file", "parquet-open", "sort-append", "parquet-append", "rewrite-finish-file", "parquet-sync", "rewrite-before-commit",
            "file-write", "rewrite-before-publish", "flush-after-publish", "expire"]
COPY = ["copy-clear", "parquet-open", "sort-append", "parquet-append", "copy-finish-file", "parquet-sync", "copy-before-commit", "file-write",
        "copy-before-publish", "flush-after-publish"]
# Steps whose errors are no reason for an error of whoever waits: deleting what is of no use any more, and taking up what is published.
QUIET = {"expire", "flush-after-publish"}


def one(c, query, *values):
    return c.execute(query, values or None).fetchone()[0]


def wait_until(check, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "waited in vain for " + what
        time.sleep(0.02)


class Faults:
    """What the server's processes do at which point, from now on: the file that IVY_FAULT_FILE names."""

    def __init__(self, server):
        self.path = os.path.join(server.dir, "faults")
        server.env["IVY_FAULT_FILE"] = self.path
        self.set("")
        os.chmod(self.path, 0o666)

    def set(self, specification):
        with open(self.path, "w") as file:
            file.write(specification)

    def used(self):
        return os.path.getsize(self.path) == 0


class Call(threading.Thread):
    """A statement in a session of its own; .error is how it ended."""

    def __init__(self, server, statement):
        super().__init__()
        self.connection, self.statement, self.error = server.connect(autocommit=True), statement, None
        self.start()

    def run(self):
        try:
            self.connection.execute(self.statement)
        except psycopg.Error as error:
            self.error = error

    def end(self, seconds=60):
        self.join(seconds)
        assert not self.is_alive(), self.statement + " does not end"
        self.connection.close()
        return self.error


# --- the world -------------------------------------------------------------------------------------------------------

def make(server, flushes=KEPT_SNAPSHOTS + 5):
    """With so many snapshots that, from now on, each commit has something to expire."""
    with server.connect(autocommit=True) as c:
        c.execute("CREATE TABLE t (id int PRIMARY KEY, a int, big text, n numeric(12,2))")
        c.execute("ALTER TABLE t ALTER COLUMN big SET STORAGE EXTERNAL")
        c.execute("INSERT INTO t SELECT g, g % 7, repeat(md5(g::text), 1 + g % 100), g / 4.0 FROM generate_series(1, 3000) g")
        c.execute("CREATE TABLE other (id int PRIMARY KEY, a int); INSERT INTO other SELECT g, 0 FROM generate_series(1, 1000) g")
        c.execute("CALL mooncake.create_table('m', 't', '{\"sort_column\": \"a\"}')")
        c.execute("CALL mooncake.create_table('o', 'other')")
        for i in range(flushes):
            c.execute("UPDATE t SET a = a + 1 WHERE id = %s", (i + 1,))
            c.execute("CALL mooncake.create_snapshot('m')")


def write(c, number):
    """Rows come and go, also from files, and keep values out of line."""
    begin = 10000 + number * 100
    c.execute("INSERT INTO t SELECT g, g %% 5, repeat('new', g %% 900), g FROM generate_series(%s::int, %s::int) g ON CONFLICT DO NOTHING", (begin, begin + 150))
    c.execute("UPDATE t SET a = a + 1 WHERE id %% 37 = %s", (number % 37,))
    c.execute("DELETE FROM t WHERE id %% 101 = %s", (number % 101,))


def others_go_on(c, context):
    c.execute("UPDATE other SET a = a + 1 WHERE id % 10 = 0")
    compare(c, "other", "o", context=context)


def right(c, context):
    """The mirror's answer, whoever gives it."""
    query = "SELECT count(*), sum(a), sum(length(big)), sum(n) FROM "
    got, want = (c.execute(query + name).fetchone() for name in ("m", "t"))
    assert got == want, (context, got, want)


def referenced(metadata):
    """Every file that the snapshots of a table need, by another reader of Iceberg."""
    table = StaticTable.from_metadata(metadata)
    files = {metadata} | {entry.metadata_file for entry in table.metadata.metadata_log}
    for snapshot in table.metadata.snapshots:
        files.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            if manifest.manifest_path in files:
                continue  # of an earlier snapshot, too
            files.add(manifest.manifest_path)
            files.update(entry.data_file.file_path for entry in manifest.fetch_manifest_entry(table.io))
    return {path.removeprefix("file://") for path in files}


def check_files(server, context):
    """After the mirror was loaded again, the folder has what the table needs and nothing else."""
    server.kill("ivy_engine")
    with server.connect(autocommit=True) as c:
        wait_live(c, "m")
        location, metadata = c.execute("SELECT location, metadata_location FROM mooncake.mirrors WHERE mirror = 'm'::regclass").fetchone()
        needed = referenced(metadata)

        def rest():
            there = {path for folder in ("data", "metadata") for path in glob.glob(os.path.join(location, folder, "*")) + glob.glob(os.path.join(location, folder, ".*"))}
            return [path for path in there - needed if not re.search(r"/(version-hint\.text|v\d+\.metadata\.json)$", path)]
        wait_until(lambda: not rest(), "the end of orphans after %s: %s" % (context, rest()[:5]), 20)
        gone = [path for path in needed if not os.path.exists(path)]
        assert not gone, (context, gone[:5])
        # Other copies of the source have gone as well.
        folders = [path for path in glob.glob(os.path.join(os.path.dirname(location), "*")) if os.path.isdir(path)]
        known = {row[0] for row in c.execute("SELECT location FROM mooncake.mirrors").fetchall()}
        wait_until(lambda: one(c, "SELECT count(*) FROM mooncake.dropped") == 0, "the end of earlier copies")
        assert {path for path in folders if os.path.exists(path)} <= known, (context, folders, known)
        compare(c, "t", "m", context=context)


# --- one disturbance -------------------------------------------------------------------------------------------------

def disturb(server, faults, operation, step, how, number):
    context = "%s, %s at %s" % (operation, how, step)
    statement = {"flush": "CALL mooncake.create_snapshot('m')", "optimize": "CALL mooncake.optimize('m')", "copy": "CALL mooncake.rebuild_table('m')"}[operation]
    with server.connect(autocommit=True) as c:
        generation = one(c, "SELECT generation FROM mooncake.mirrors WHERE mirror = 'm'::regclass")
        write(c, number)
        if operation == "optimize":
            for _ in range(2):
                c.execute("CALL mooncake.create_snapshot('m')")
                write(c, number + 1)
            c.execute("CALL mooncake.create_snapshot('m')")
        faults.set("%s:%s" % (step, {"kill": "kill:1", "full": "full:1", "error": "error:1", "cancel": "sleep-600:1"}[how]))
        call = Call(server, statement)
        wait_until(faults.used, "the step: " + context, 30)
        if how == "cancel":
            if operation == "copy":
                c.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pg_mooncake copy'")
            call.connection.cancel()
        if how in ("full", "error") or how == "cancel":
            others_go_on(c, context)
        right(c, context)
        error = call.end()
        wait_live(c, "o")  # after a kill: when the engine is back
        if how in ("full", "error") and operation != "copy" and step not in QUIET:
            assert error is not None and ("fault point" in str(error) or "No space" in str(error)), (context, error)
        if how in ("full", "error") and step not in QUIET:
            assert "fault point \"%s\" was reached" % step in server.log(), context
        if error is not None and how == "cancel":
            assert error.sqlstate in ("57014", "55000"), (context, error)
        right(c, context)
        others_go_on(c, context)
        write(c, number + 2)
        right(c, context)
        state, said = c.execute("SELECT state, error FROM mooncake.mirrors WHERE mirror = 'm'::regclass").fetchone()
        if state == "error":
            assert operation == "copy" and how == "cancel" and said == "its copy was cancelled", (context, state, said)
            c.execute("CALL mooncake.rebuild_table('m')")
        wait_live(c, "m")
        compare(c, "t", "m", context=context)
        c.execute(statement)
        compare(c, "t", "m", context=context + ", again")
        c.execute("CALL mooncake.create_snapshot('m')")
        wait_until(lambda: one(c, "SELECT error FROM mooncake.mirror_status WHERE table_name = 'm'") is None, "the end of the error: " + context)
        if operation != "copy" and not (step == "flush-after-publish" and how in ("full", "error")):
            assert one(c, "SELECT generation FROM mooncake.mirrors WHERE mirror = 'm'::regclass") == generation, context + ": copied anew"


def sweeping(server, faults):
    """The engine dies while it removes orphans: the next one goes on."""
    with server.connect(autocommit=True) as c:
        location = one(c, "SELECT location FROM mooncake.mirrors WHERE mirror = 'm'::regclass")
        for i in range(4):
            path = location + "/data/lost%d.parquet" % i
            with open(path, "w") as file:
                file.write("x")
            subprocess.run(["chown", "--reference", location, path], check=True)
        faults.set("sweep:kill:1")
        server.kill("ivy_engine")
        wait_until(faults.used, "a sweep", 30)
        wait_live(c, "m")
        compare(c, "t", "m", context="sweep")


def full_disk(seed):
    """A disk that is full, in earnest: flushes and rewrites fail, say so, leave nothing, and work when there is room. (Copies:
    operations/failures.py.)"""
    with Server(CONF) as server:
        folder = os.path.join(server.dir, "data/pg_mooncake")
        os.makedirs(folder, exist_ok=True)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=777", "tmpfs", folder], capture_output=True).returncode != 0:
            print("full_disk: skipped, may not mount")
            return
        try:
            make(server, 3)
            with server.connect(autocommit=True) as c:
                for number, (operation, statement) in enumerate((("flush", "CALL mooncake.create_snapshot('m')"), ("optimize", "CALL mooncake.optimize('m')"))):
                    write(c, seed + number)
                    if operation == "optimize":
                        c.execute("CALL mooncake.create_snapshot('m')")
                    filler = os.path.join(folder, "filler")
                    with open(filler, "wb", 0) as file:
                        try:
                            for size in (1 << 16, 1 << 12):
                                while True:
                                    file.write(b"x" * size)
                        except OSError:
                            pass
                    try:
                        c.execute(statement)
                        raise AssertionError("a full disk is no obstacle to " + operation)
                    except psycopg.Error as error:
                        assert "No space" in str(error), error
                    said = {"flush": "SELECT coalesce(error, '') FROM mooncake.mirror_status WHERE table_name = 'm'",
                            "optimize": "SELECT coalesce(max(last_error), '') FROM mooncake.optimize_progress WHERE table_name = 'm'"}[operation]
                    assert "No space" in one(c, said), (operation, one(c, said))
                    right(c, "full disk, " + operation)
                    others_go_on(c, "full disk, " + operation)
                    os.unlink(filler)
                    c.execute(statement)
                    compare(c, "t", "m", context="room again, " + operation)
            check_files(server, "a full disk")
        finally:
            server.stop("immediate")
            subprocess.run(["umount", folder], check=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randint(1, 10**6))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--short", action="store_true")
    options = parser.parse_args()
    rnd = random.Random(options.seed)
    steps = [(operation, step) for operation, steps in (("flush", FLUSH), ("optimize", OPTIMIZE), ("copy", COPY)) for step in steps]
    if options.short:
        steps = [(operation, step) for operation, step in steps if operation == "flush" or step not in FLUSH]
    ways = {each: rnd.sample(["kill", "full", "error", "cancel"], 4) for each in steps}
    for each in steps:
        if each[1] in QUIET:
            ways[each] = ["kill", "cancel"]
    begin = time.monotonic()
    server = Server(CONF)
    faults = Faults(server)
    done = 0
    with server:
        make(server)
        for round_ in range(1 if options.short else 4):
            for each in steps:
                if round_ > 0 and options.seconds and time.monotonic() - begin > options.seconds:
                    break
                if round_ < len(ways[each]):
                    disturb(server, faults, *each, ways[each][round_], rnd.randrange(500))
                    done += 1
            if round_ == 0 and not options.short:
                check_files(server, "each step")
        sweeping(server, faults)
        check_files(server, "everything")
    print("%d disturbances with seed %d, %.1f s" % (done, options.seed, time.monotonic() - begin), flush=True)
    full_disk(rnd.randrange(500))
    print("full disk: ok, %.1f s" % (time.monotonic() - begin), flush=True)


main()
